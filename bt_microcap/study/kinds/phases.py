"""How much of a result is luck of the day on which the strategy rebalances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ...feeds.errors import DataError
from ...record.param_texts import as_text
from ...rotation.strategy import MicroCapStrategy
from ..ledger import Ledger
from ..trials import Setting, Trial
from .base import Kind, Plan, as_date, check_length, done, quantiles, value_of

MONTH_DAYS = 18  # trading days that every month has, but for February
SHIFTS = 5  # of a strategy whose rhythm is not known


def knows_phase(strategy: type) -> bool:
    """Return whether a strategy is shifted by `MicroCapStrategy`'s own params."""
    return issubclass(strategy, MicroCapStrategy) and all(
        getattr(strategy, name) is getattr(MicroCapStrategy, name) for name in ('is_rebalance_day', 'trade'))


@dataclass(frozen=True)
class Phases(Kind):
    """The same strategy on every shift of its rebalance day.

    `MicroCapStrategy` is shifted by its param ``phase``; with ``weekday`` or ``month_day`` these are varied. A strategy that says
    by itself when to rebalance (`is_rebalance_day` or `trade` of its own), any other one, and a JoinQuant script begin that many
    days later instead, with the same cash. An index that is renewed every few days from the run's first day on
    (``microcap:renew=5`` as ``market_index``) is not shifted by ``phase``.

    Parameters
    ----------
    shifts : int
        How many; 0: as many as its rhythm has, ``refresh_rate`` of them.
    """

    name: ClassVar[str] = 'phases'
    shifts: int = 0

    def plan(self, setting: Setting) -> Plan:
        """Return a run for each shift."""
        days = check_length(setting)
        for param, count in (('weekday', 5), ('month_day', MONTH_DAYS)) if knows_phase(setting.strategy) else ():
            if value_of(setting, param):
                chosen = [value_of(setting, param)]
                values = [*range(1, (self.shifts or count) + 1)]
                if param == 'weekday' and len(values) > count:
                    raise DataError(f'found {self.shifts} shifts, expected at most 5: a week has no more trading days')
                values += [value for value in chosen if value not in values]
                return Plan((param,), [Trial((as_text(value),), {param: value}) for value in values], (as_text(chosen[0]),))
        rate = value_of(setting, 'max_refresh_rate' if value_of(setting, 'refresh_by') else 'refresh_rate')
        count = self.shifts or (rate if isinstance(rate, int) and rate > 0 else SHIFTS)
        if count < 2:
            raise DataError('the strategy rebalances every day: there is no day to shift; give --shifts N to begin later')
        if len(days) - count < 20:
            raise DataError(f'found {len(days)} trading days for {count} shifts; give fewer with --shifts, or a longer period')
        own = value_of(setting, 'phase')
        if own is not None and knows_phase(setting.strategy):
            values = [*range(count), *([own] if own >= count else [])]
            return Plan(('phase',), [Trial((as_text(value),), {'phase': value}) for value in values], (as_text(own),))
        return Plan(('days_later',), [Trial((str(number),), start=as_date(days[number])) for number in range(count)], ('0',))

    def facts(self, setting: Setting, plan: Plan, ledger: Ledger) -> dict[str, Any]:
        """Return how far the shifts lie apart, and where the user's own stands among them."""
        keys = done(plan, ledger)
        annual = {key[0]: ledger.figures[key]['annual_return'] for key in keys}
        found = {'count': len(annual), 'param': plan.names[0], **quantiles(list(annual.values())),
                 'best': max(annual, key=annual.__getitem__), 'worst': min(annual, key=annual.__getitem__),
                 'own': None, 'own_return': None, 'own_rank': None}
        found['distinct'] = len({ledger.returns[key].tobytes() for key in keys})
        found['spread'] = found['high'] - found['low']
        if plan.own in ledger:
            own = annual[plan.own[0]]
            found |= {'own': plan.own[0], 'own_return': own, 'own_rank': 1 + sum(value > own for value in annual.values())}
        return found
