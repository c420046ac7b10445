"""What a strategy would have made whose params are chosen on the past alone, again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ...feeds.errors import DataError
from ...record.figures import annual_return, max_drawdown
from ..grid import combinations, key_of, trials_of
from ..ledger import LESS_IS_BETTER, Key, Ledger, label_of
from ..trials import Setting, Trial
from .base import Kind, Plan, as_date, done, market_return

FEWEST_TEST_DAYS = 20  # of the last window


class Window(NamedTuple):
    """Days on which is chosen, and days after them on which the choice is run; both ends in."""

    train_start: date
    train_end: date
    test_start: date
    test_end: date


@dataclass(frozen=True)
class WalkForward(Kind):
    """Choose a combination of params on the past, run it on the next window, and so on; each run begins with the same cash.

    Parameters
    ----------
    dimensions : mapping of str to sequence
        Params of the strategy or keys of the profile -> their values.
    train, test : int
        Calendar months of the past on which is chosen, and of the window after it.
    by : str
        The figure by which is chosen, of `ledger.FIGURES`.
    anchored : bool
        Whether the past always begins with the first day, and grows.
    """

    name: ClassVar[str] = 'walk-forward'
    dimensions: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    train: int = 24
    test: int = 6
    by: str = 'annual_return'
    anchored: bool = False

    def windows(self, setting: Setting) -> list[Window]:
        """Return the windows, of which the last may be shorter.

        Raises
        ------
        DataError
            There are fewer than two.
        """
        days = setting.days()
        found: list[Window] = []
        if len(days):
            first, last = as_date(days[0]), as_date(days[-1])
            start = months_later(first, self.train)
            while start <= last:
                begin = first if self.anchored else months_later(first, self.test * len(found))
                end = months_later(first, self.train + self.test * (len(found) + 1))
                train, test = _within(days, begin, start), _within(days, start, end)
                if not len(train) or not len(test) or end > last and len(test) < FEWEST_TEST_DAYS:
                    break  # of the last window too little is left
                found.append(Window(*map(as_date, (train[0], train[-1], test[0], test[-1]))))
                start = months_later(first, self.train + self.test * len(found))
        if len(found) < 2:
            months = 0 if not len(days) else (last.year - first.year) * 12 + last.month - first.month + 1
            raise DataError(f'{months} months of data have {len(found)} windows of {self.train} months to choose on and '
                            f'{self.test} to run, expected two or more; give other months with --train and --test'
                            + (f', such as --train {max(1, months // 3)} --test {max(1, months // 6)}' if months > 5 else ''))
        return found

    def plan(self, setting: Setting) -> Plan:
        """Return the runs of every combination on every past and on every window."""
        windows = self.windows(setting)
        spans = dict.fromkeys((*((one.train_start, one.train_end) for one in windows),
                               *((one.test_start, one.test_end) for one in windows)))
        trials = [Trial((str(start), str(end), *one.key), one.params, one.rules, None, start, end)
                  for start, end in spans for one in trials_of(self.dimensions, setting)]
        return Plan(('from', 'to', *self.dimensions), trials)

    def facts(self, setting: Setting, plan: Plan, ledger: Ledger) -> dict[str, Any]:
        """Return the choices, and the stitched run beside the best in hindsight and the median."""
        done(plan, ledger)
        windows = self.windows(setting)
        year = setting.days_a_year
        rows, choices = [], []
        for window in windows:
            chosen = self.choose(ledger, window)
            if chosen is None:
                raise DataError(f'from {window.train_start} to {window.train_end} no combination has a {self.by}: there '
                                'is nothing to choose by')
            key = _key(window, chosen)
            if key not in ledger:
                raise DataError(f'{ledger.label(key)}: was chosen, but the strategy skips that run (StrategySkipError)')
            choices.append(chosen)
            made = {other: ledger.figures[_key(window, other)]['total_return'] for other in self._keys()
                    if _key(window, other) in ledger}
            past = ledger.figures[(str(window.train_start), str(window.train_end), *chosen)]
            rows.append({**{name: str(day) for name, day in window._asdict().items()},
                         'chosen': label_of(tuple(self.dimensions), chosen), 'past_figure': past[self.by],
                         'past_return': past['annual_return'], 'total_return': made[chosen],
                         'sale_cost': sale_cost(ledger.figures[key]), 'median': float(np.median(list(made.values()))),
                         'best': max(made.values()), 'worst': min(made.values()),
                         'rank': 1 + sum(value > made[chosen] for value in made.values()), 'count': len(made)})
        days, levels = stitched(ledger, windows, choices)
        # every combination on the same windows, begun anew with cash in each: else unlike things would be compared
        whole = {other: stitched(ledger, windows, [other] * len(windows))[1] for other in self._keys()
                 if all(_key(window, other) in ledger for window in windows)}
        annual = {other: annual_return(float(each[-1]), len(days), year) for other, each in whole.items()}
        best = max(annual, key=annual.__getitem__) if annual else None
        covered = setting.days()
        return {
            'by': self.by, 'train': self.train, 'test': self.test, 'anchored': self.anchored, 'windows': rows,
            'count': len(whole), 'stitched_return': annual_return(float(levels[-1]), len(days), year),
            'stitched_total': float(levels[-1] - 1), 'stitched_drawdown': max_drawdown(np.concatenate([[1.0], levels])),
            'past_return': float(np.mean([row['past_return'] for row in rows])),
            'best': '' if best is None else label_of(tuple(self.dimensions), best), 'best_key': best and list(best),
            'best_return': best and annual[best], 'median_return': float(np.median(list(annual.values()))) if annual else None,
            'better': sum(row['total_return'] > row['median'] for row in rows), 'choices': len({row['chosen'] for row in rows}),
            'left_out': int((covered > windows[-1].test_end.toordinal()).sum()),
            'market_return': market_return(setting, days), 'days': [str(as_date(day)) for day in days], 'levels': levels.tolist()}

    def choose(self, ledger: Ledger, window: Window) -> Key | None:
        """Return the combination that was best on a window's past; the first in the order of the grid among equals."""
        best, found = None, None
        for key in self._keys():
            figures = ledger.figures.get((str(window.train_start), str(window.train_end), *key))
            value = None if figures is None else figures[self.by]
            if value is None:
                continue
            value = -value if self.by in LESS_IS_BETTER else value
            if best is None or value > best:
                best, found = value, key
        return found

    def _keys(self) -> list[Key]:
        return [key_of(one) for one in combinations(self.dimensions)]


def _key(window: Window, combination: Key) -> Key:
    """Return the key of a combination's run on a window."""
    return str(window.test_start), str(window.test_end), *combination


def stitched(ledger: Ledger, windows: Sequence[Window], choices: Sequence[Key]) -> tuple[np.ndarray, np.ndarray]:
    """Return the days and levels of runs on windows one after the other, each of which ends with the sale of what it holds.

    Parameters
    ----------
    ledger : Ledger
    windows : sequence of Window
    choices : sequence of tuple of str
        The combination of each.

    Returns
    -------
    days : ndarray of int
        Ordinals.
    levels : ndarray of float
        What 1 has become after each.
    """
    days, returns = [], []
    for window, combination in zip(windows, choices, strict=True):
        key = _key(window, combination)
        made = ledger.returns[key].copy()
        made[-1] = (1 + made[-1]) * (1 - sale_cost(ledger.figures[key])) - 1
        days.append(ledger.days[key])
        returns.append(made)
    return np.concatenate(days), np.cumprod(1 + np.concatenate(returns))


def months_later(day: date, months: int) -> date:
    """Return the same day of the month some months later, the last one of a shorter month."""
    count = day.year * 12 + day.month - 1 + months
    year, month = divmod(count, 12)
    following = date(year + (month == 11), 1 if month == 11 else month + 2, 1)
    return min(date(year, month + 1, 1) + timedelta(days=day.day - 1), following - timedelta(days=1))


def _within(days: np.ndarray, start: date, end: date) -> np.ndarray:
    """Return the days from one on, and before another."""
    low, high = np.searchsorted(days, [start.toordinal(), end.toordinal()])
    return days[low:high]


def sale_cost(figures: Mapping[str, Any]) -> float:
    """Return the part of the account that selling all of a run's last holdings would cost.

    A window ends with stocks in hand, and the next one begins with cash: their sale is in neither run. See
    `exchange.execution`, ``sale_cost``: fees and slippage at the last close.
    """
    return figures['end_sale_cost'] / figures['end_value'] if figures['end_value'] > 0 else 0.0
