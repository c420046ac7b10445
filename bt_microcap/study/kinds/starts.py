"""How much of a result is luck of the day on which one began."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...feeds.errors import DataError
from ..ledger import Ledger
from ..trials import Setting, Trial
from .base import Kind, Plan, as_date, check_length, done, quantiles

LEAST_DAYS = 120  # half a year: of less an annual return is mostly stretched


@dataclass(frozen=True)
class Starts(Kind):
    """The same strategy begun with the same cash on the first trading day of every month.

    Parameters
    ----------
    least_days : int
        Trading days that are left to the last start.
    """

    name: ClassVar[str] = 'starts'
    least_days: int = LEAST_DAYS

    def plan(self, setting: Setting) -> Plan:
        """Return a run for each month."""
        days = check_length(setting)
        months = np.array([as_date(day).year * 12 + as_date(day).month for day in days])
        first = np.flatnonzero(np.diff(months, prepend=0))
        first = first[len(days) - first >= self.least_days]
        if len(first) < 2:
            raise DataError(f'found {len(first)} month that has {self.least_days} trading days after its start, expected two or '
                            'more; give a longer period, or fewer days with --least-days')
        trials = [Trial((as_date(days[place]).strftime('%Y-%m'),), start=as_date(days[place])) for place in first]
        return Plan(('start',), trials, trials[0].key)

    def facts(self, setting: Setting, plan: Plan, ledger: Ledger) -> dict[str, Any]:
        """Return how the starts ended, and where they stood after a year."""
        keys = done(plan, ledger)
        annual = {key[0]: ledger.figures[key]['annual_return'] for key in keys}
        year = round(setting.days_a_year)
        after = {key[0]: float(ledger.levels(key)[year] - 1) for key in keys if len(ledger.returns[key]) >= year}
        return {
            'count': len(keys), **quantiles(list(annual.values())), 'best': max(annual, key=annual.__getitem__),
            'worst': min(annual, key=annual.__getitem__),
            'lost': sum(ledger.figures[key]['total_return'] < 0 for key in keys), 'year_days': year,
            'counted': len(after), 'under': sum(value < 0 for value in after.values()),
            'worst_year': min(after, key=after.__getitem__) if after else None,
            'worst_year_return': min(after.values()) if after else None, 'after_a_year': after}
