"""The last days of a column over all stocks, in rolling buffers: what `universe.CrossSection.history` hands out.

Days have numbers, 0 is the first of the data. A window is the days from one number up to, not with, another one; the
cross-section says where it ends, nothing here looks beyond that.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np

from bt_microcap.exchange import rules

from .columns import PRICES
from .errors import whole_number

LIMITS = ('low_limit', 'high_limit')  # computed where the data lacks them
ADJUSTABLE = (*PRICES, 'preclose', 'high_limit', 'low_limit')  # yuan a share: what ex-rights move


class Days(Protocol):
    """Reads the market day by day."""

    codes: np.ndarray

    def __len__(self) -> int:
        """Return the number of stocks."""

    def vector(self, name: str, day: int) -> np.ndarray:
        """Return a column of all stocks on a day; NaN where the stock has no row."""

    def last(self, name: str, day: int) -> np.ndarray:
        """Return the close or a flag of each stock's last row before a day; only asked for stocks with a row on the day."""

    def carried(self, day: int, stocks: np.ndarray) -> np.ndarray:
        """Return the close of some stocks' last row, by their numbers, on a day or before it; NaN without any."""

    def ordinal(self, day: int) -> int:
        """Return the ordinal of a day."""

    def listed_days(self, day: int) -> np.ndarray:
        """Return the number of the trading day since each stock's listing, as `exchange.calendar.Calendar` counts it."""


class History:
    """The past of a universe's columns.

    Parameters
    ----------
    days : Days
        Reads a day that is not in the buffers yet.
    """

    def __init__(self, days: Days) -> None:
        self._days = days
        self.forget()

    def forget(self) -> None:
        """Empty the buffers: the days have other numbers now."""
        self._columns: dict[str, _Rolling] = {}
        self._factors = _Rolling(self._factor, len(self._days))
        self._limits: dict[tuple[int, bool], dict[str, np.ndarray]] = {}  # of the last few days asked for

    def rows(self, name: str, n: int, end: int, adjusted: bool = False, filled: bool = False) -> np.ndarray:
        """Return the last days before a day; see `universe.CrossSection.history`.

        Parameters
        ----------
        name : str
        n : int
            Days.
        end : int
            Number of the day after the last one.
        adjusted, filled : bool

        Returns
        -------
        ndarray of float, shape (n, stocks)
            Read-only.
        """
        n = whole_number('n', n)
        if adjusted and name not in ADJUSTABLE:
            raise ValueError(f'{name!r} cannot be adjusted for ex-rights: only prices can, which are {", ".join(ADJUSTABLE)}')
        low = end - n
        read = partial(self.limit, name) if name in LIMITS else partial(self._days.vector, name)
        column = self._columns.get(name) or _Rolling(read, len(self._days))
        rows = column.window(low, end)
        self._columns[name] = column  # now that there is such a column
        if filled:
            if name != 'close':
                raise ValueError(f'{name!r} cannot be filled: only the close of the last row still holds on a day without one')
            rows = self._filled(rows, low)
        return restated(rows, self._factors.window(low, end)) if adjusted else rows

    def _filled(self, rows: np.ndarray, low: int) -> np.ndarray:
        """Return rows, from a day on, in which a stock without one repeats the value of the one before."""
        gaps = np.flatnonzero((rows != rows).any(axis=0))
        if not len(gaps):
            return rows
        part = rows[:, gaps]
        late = np.flatnonzero(part[0] != part[0])
        if low > 0 and len(late):
            part[0, late] = self._days.carried(low - 1, gaps[late])
        last = np.maximum.accumulate(np.where(part == part, np.arange(len(part))[:, None], 0), axis=0)
        rows = rows.copy()
        rows[:, gaps] = part[last, np.arange(len(gaps))]
        rows.flags.writeable = False
        return rows

    def limit(self, name: str, day: int, opened: bool = True) -> np.ndarray:
        """Return ``low_limit`` or ``high_limit`` of all stocks on a day; what the data lacks is computed, as by the broker.

        Parameters
        ----------
        name : str
        day : int
        opened : bool
            Whether the day's open is known, which may prove that no limit holds.
        """
        key = day, opened
        if key not in self._limits:
            if len(self._limits) >= 4:  # today's are yesterday's tomorrow
                self._limits.clear()
            self._limits[key] = dict(zip(LIMITS, limits_of_day(self._days, day, opened), strict=True))
        return self._limits[key][name]

    def __getstate__(self) -> dict[str, Any]:
        return {'_days': self._days}  # the buffers do not travel to another process

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.forget()

    def _factor(self, day: int) -> np.ndarray:
        actions = (self._days.vector(name, day) for name in ('preclose', 'cash_dividend', 'share_ratio'))
        return ex_rights_factor(self._days.last('close', day), *actions, rules.half_ticks(self._days.codes))


class _Rolling:
    """Some days of one column, each read once.

    The array is only written beyond the days it holds. When it is full, the days still needed move into a new one,
    so that no view handed out ever changes.
    """

    def __init__(self, read: Callable[[int], np.ndarray], stocks: int) -> None:
        self._read = read
        self._rows = np.empty((0, stocks))
        self._low = self._high = 0  # the days it holds
        self._widest = 0  # the longest window asked so far

    def window(self, low: int, high: int) -> np.ndarray:
        """Return the days from `low` up to `high`; days before 0 are NaN."""
        self._widest = max(self._widest, high - low)
        if not self._low <= low <= self._high or high - self._low > len(self._rows):
            self._move(low, high)
        for day in range(self._high, high):
            self._fill(self._rows[day - self._low], day)
            self._high = day + 1
        view = self._rows[low - self._low:high - self._low]
        view.flags.writeable = False
        return view

    def _fill(self, row: np.ndarray, day: int) -> None:
        row[:] = np.nan if day < 0 else self._read(day)

    def _move(self, low: int, high: int) -> None:
        """Begin a new array, with the days at hand that a window may still ask for."""
        start = max(self._low, high - self._widest) if self._low <= low <= self._high else low
        rows = np.empty((2 * self._widest, self._rows.shape[1]))
        kept = range(max(start, self._low), min(self._high, start + len(rows)))
        stop = start
        if kept:
            for day in range(start, kept.start):  # a longer window, or an earlier one
                self._fill(rows[day - start], day)
            rows[kept.start - start:kept.stop - start] = self._rows[kept.start - self._low:kept.stop - self._low]
            stop = kept.stop
        self._rows, self._low, self._high = rows, start, stop


def limits_of_day(days: Days, day: int, opened: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return the price limits of all stocks on a day, by the rule of `exchange.execution`.

    The data's own value wins. Else `rules.price_limits_of_day` tells it from the preclose; an open that lies beyond those by
    more than half a tick proves that none holds on the day. All of it is known at the open; the broker, which fills, also takes
    any price of a fund's day for a proof. Before the open (`opened` is False) nothing is proved.

    Returns
    -------
    tuple of ndarray of float, shape (stocks,)
        (low_limit, high_limit) in yuan; NaN where there is none, where the preclose is not known, for what is neither an A share
        nor a fund, and before the rules begin.
    """
    low, high = (days.vector(name, day) for name in LIMITS)
    preclose, on = days.vector('preclose', day), days.ordinal(day)
    lacking = (preclose > 0) & ~((low == low) & (high == high))
    if on < rules.VALID_FROM.toordinal() or not lacking.any():
        return low, high
    try:
        is_st = days.vector('is_st', day) == 1
    except KeyError:  # a feed of another kind
        is_st = np.zeros(len(days), bool)
    leaving = days.vector('delisting_period', day) == 1
    if leaving.any():
        leaving &= days.last('delisting_period', day) == 0
    computed = rules.price_limits_of_day(days.codes, on, preclose, is_st, days.listed_days(day), leaving, skip_unknown=True)
    opening, half = days.vector('open', day) if opened else preclose, rules.half_ticks(days.codes)
    lacking &= ~((opening > computed[1] + half) | (opening < computed[0] - half))
    return tuple(np.where(lacking & (given != given), rule, given) for given, rule in zip((low, high), computed, strict=True))


def ex_rights_factor(
    last_close: np.ndarray, preclose: np.ndarray, cash_dividend: np.ndarray, share_ratio: np.ndarray,
    half_tick: float | np.ndarray = rules.HALF_TICK,
) -> np.ndarray:
    """Return what the ex-rights of a day make of earlier prices, as `exchange.corporate_actions` recognises them (``auto``).

    Where the row tells (a cash dividend or a share ratio, be it that nothing happens), (last_close - cash_dividend) /
    share_ratio / last_close: the exchanges' ex-rights reference price (trading rules, 除权（息）参考价) over the last close,
    without rights issues. Else preclose / last_close, where they differ by more than half a tick.

    Parameters
    ----------
    last_close : ndarray of float, shape (stocks,)
        Close of the stock's last row before the day, yuan.
    preclose : ndarray of float, shape (stocks,)
        Yuan; NaN where it is not known.
    cash_dividend : ndarray of float, shape (stocks,)
        Yuan a share before tax; NaN where it is not known.
    share_ratio : ndarray of float, shape (stocks,)
        New shares per old one; NaN where it is not known.
    half_tick : float or ndarray of float, shape (stocks,)
        Yuan, `rules.half_ticks` of the codes.

    Returns
    -------
    ndarray of float, shape (stocks,)
        1 where nothing happens; NaN where a dividend is not below the last close, so that no price is left.
    """
    known = last_close > 0
    moved = known & (preclose > 0) & (np.abs(preclose - last_close) > half_tick)
    factor = np.divide(preclose, last_close, out=np.ones(len(last_close)), where=moved)
    told = np.flatnonzero(known & ((cash_dividend == cash_dividend) | (share_ratio == share_ratio)))
    if len(told):
        close, dividend, ratio = last_close[told], cash_dividend[told], share_ratio[told]
        price = (close - np.where(dividend == dividend, dividend, 0.0)) / np.where(ratio == ratio, ratio, 1.0)
        factor[told] = np.where(price > 0, price / close, np.nan)
    return factor


def restated(prices: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return prices at the level of the last row: each times the factors of all later rows.

    Parameters
    ----------
    prices, factors : ndarray of float, shape (days, stocks)

    Returns
    -------
    ndarray of float, shape (days, stocks)
        Read-only.
    """
    out = prices.copy()
    stocks = np.flatnonzero((factors[1:] != 1).any(axis=0))  # few: ex-dates are rare
    if len(stocks):
        out[:-1, stocks] *= np.cumprod(factors[:0:-1, stocks], axis=0)[::-1]
    out.flags.writeable = False
    return out
