"""The last days of a column over all stocks, in rolling buffers: what `universe.CrossSection.history` hands out.

Days have numbers, 0 is the first of the data. A window is the days from one number up to, not with, another one; the
cross-section says where it ends, nothing here looks beyond that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from typing import Any, Protocol

import numpy as np

from bt_microcap.exchange import rules
from bt_microcap.exchange.calendar import Calendar

from .columns import OPTIONAL, PRICES, ordinals

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
        self._limits: dict[int, dict[str, np.ndarray]] = {}  # of the last few days asked for

    def rows(self, name: str, n: int, end: int, adjusted: bool = False) -> np.ndarray:
        """Return the last days before a day; see `universe.CrossSection.history`.

        Parameters
        ----------
        name : str
        n : int
            Days.
        end : int
            Number of the day after the last one.
        adjusted : bool

        Returns
        -------
        ndarray of float, shape (n, stocks)
            Read-only.
        """
        if isinstance(n, (bool, np.bool_)) or not isinstance(n, (int, np.integer)) or n < 1:
            raise ValueError(f'n is {n!r}: expected a whole number of 1 or more')
        if adjusted and name not in ADJUSTABLE:
            raise ValueError(f'{name!r} cannot be adjusted for ex-rights: only prices can, which are {", ".join(ADJUSTABLE)}')
        low = end - int(n)
        read = partial(self.limit, name) if name in LIMITS else partial(self._days.vector, name)
        column = self._columns.get(name) or _Rolling(read, len(self._days))
        rows = column.window(low, end)
        self._columns[name] = column  # now that there is such a column
        return restated(rows, self._factors.window(low, end)) if adjusted else rows

    def limit(self, name: str, day: int) -> np.ndarray:
        """Return ``low_limit`` or ``high_limit`` of all stocks on a day; what the data lacks is computed, as by the broker."""
        if day not in self._limits:
            if len(self._limits) >= 4:  # today's are yesterday's tomorrow
                self._limits.clear()
            self._limits[day] = dict(zip(LIMITS, limits_of_day(self._days, day), strict=True))
        return self._limits[day][name]

    def __getstate__(self) -> dict[str, Any]:
        return {'_days': self._days}  # the buffers do not travel to another process

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.forget()

    def _factor(self, day: int) -> np.ndarray:
        actions = (self._days.vector(name, day) for name in ('preclose', 'cash_dividend', 'share_ratio'))
        return ex_rights_factor(self._days.last('close', day), *actions)


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


def limits_of_day(days: Days, day: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the price limits of all stocks on a day, by the rule of `exchange.execution`.

    The data's own value wins. Else `rules.price_limits_of_day` tells it from the preclose; an open that lies beyond those by
    more than half a tick proves that none holds on the day. All of it is known at the open.

    Returns
    -------
    tuple of ndarray of float, shape (stocks,)
        (low_limit, high_limit) in yuan; NaN where there is none, where the preclose is not known, for what is no A share, and
        before the rules begin.
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
    opening = days.vector('open', day)
    lacking &= ~((opening > computed[1] + rules.HALF_TICK) | (opening < computed[0] - rules.HALF_TICK))
    return tuple(np.where(lacking & (given != given), rule, given) for given, rule in zip((low, high), computed, strict=True))


def calendar_of(cerebro: Any, datas: list) -> Calendar:
    """Return the trading days of a run: the broker's where it counts them, else those of the feeds."""
    found = None if cerebro is None else getattr(cerebro.broker, 'calendar', None)
    return found if found is not None and len(found.days) else Calendar(datas if cerebro is None else cerebro.datas)


def ex_rights_factor(
    last_close: np.ndarray, preclose: np.ndarray, cash_dividend: np.ndarray, share_ratio: np.ndarray
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

    Returns
    -------
    ndarray of float, shape (stocks,)
        1 where nothing happens; NaN where a dividend is not below the last close, so that no price is left.
    """
    known = last_close > 0
    moved = known & (preclose > 0) & (np.abs(preclose - last_close) > rules.HALF_TICK)
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


class StoreDays:
    """Reads the days of a store; see `Days`.

    Parameters
    ----------
    store : MarketStore
    market : MarketFeed, optional
        Shows the store in a run, whose calendar then counts.
    """

    def __init__(self, store: Any, market: Any = None) -> None:
        self._store, self._market, self.codes = store, market, store.codes
        self._lives: tuple[Calendar, np.ndarray] | None = None  # trading days, and each stock's listing day

    def __len__(self) -> int:
        return len(self._store)

    def vector(self, name: str, day: int) -> np.ndarray:
        """Return a column of all stocks on a day."""
        return self._store.vector(name, day)

    def last(self, name: str, day: int) -> np.ndarray:
        """Return the close or a flag of each stock's last row before a day, however long ago."""
        if not day:
            return np.full(len(self), np.nan)
        store, arrays = self._store, self._store.arrays
        out = store.vector(name, day - 1)
        here = arrays['day_stock'][arrays['day_start'][day]:arrays['day_start'][day + 1]]
        late = here[np.isnan(out[here]) & (store.first[here] < day)]  # no row the day before: the block repeats the last one
        out[late] = arrays[f'stock/{name}'][arrays['start'][late] + (day - 1 - store.first[late])]
        return out

    def ordinal(self, day: int) -> int:
        """Return the ordinal of a day."""
        return int(self._store.days[day])

    def listed_days(self, day: int) -> np.ndarray:
        """Return the number of the trading day since each stock's listing: its listing day, else its first row's."""
        if self._lives is None:
            store = self._store
            listed = store.days[store.first]
            if 'listings' in store.reference_names:
                table = store.reference_table('listings').dropna(subset='listed')
                known = dict(zip(table['code'], ordinals(table['listed']).tolist(), strict=True))
                listed = np.array([known.get(code, first) for code, first in zip(self.codes.tolist(), listed, strict=True)])
            self._lives = calendar_of(None if self._market is None else self._market._env, [store]), listed
        calendar, listed = self._lives
        return calendar.listed_days(listed, self.ordinal(day))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_lives': None}


class FeedDays:
    """Reads the days of one feed per stock; see `Days`.

    Our own feeds keep all rows of their tables, also those before ``fromdate``. Of another feed, or one that Backtrader
    filters, resamples or moves to another time zone, the bars of the run are read, up to the current one; under
    ``exactbars`` those that its lines still have.

    Parameters
    ----------
    feeds : list of data feeds
        In the order of the codes.
    """

    def __init__(self, feeds: list) -> None:
        self._feeds, self.codes = feeds, np.array([feed._name for feed in feeds], dtype=str)
        self._calendar: Calendar | None = None
        self._days: np.ndarray | None = None  # stamps, ascending
        self._columns: dict[str, list] = {}
        self._found: tuple[int, list] = (-1, [])

    def __len__(self) -> int:
        return len(self._feeds)

    def find(self, stamp: float, forget: Callable[[], None]) -> int:
        """Return the number of the first day at or after a stamp.

        Parameters
        ----------
        stamp : float
            Backtrader's number of a day that has begun.
        forget : callable
            Called where days were found among those known, so that the numbers are others.
        """
        if self._days is None:
            self._read_days()
        if self._others:
            past = np.unique(np.concatenate([_past(self._feeds[number].datetime) for number in self._others]))
            new = np.setdiff1d(past, self._days)
            if len(new):
                self._days = np.union1d(self._days, new)
                if new[0] <= self._until:
                    self._found = -1, []
                    forget()
            self._until = max(self._until, stamp)
        return int(np.searchsorted(self._days, stamp))

    def _read_days(self) -> None:
        """Gather the days of our own feeds, which do not change, and tell the other feeds."""
        self._stamps = [feed.column('datetime') if _keeps_rows(feed) else None for feed in self._feeds]
        self._others = [number for number, stamps in enumerate(self._stamps) if stamps is None]
        there = np.zeros(date.max.toordinal() + 1, bool)  # quicker than sorting all rows, and smaller
        for feed, stamps in zip(self._feeds, self._stamps, strict=True):
            if stamps is not None:
                there[feed.days] = True
        self._days = np.flatnonzero(there).astype('float64')
        self._until = -np.inf  # the last day that was asked for

    def vector(self, name: str, day: int) -> np.ndarray:
        """Return a column of all stocks on a day."""
        out = np.full(len(self), np.nan)
        columns = self._whole(name)
        for number, at in self._places(day):
            if columns[number] is not None:
                out[number] = columns[number][at]
        for number, ago in self._bars(day):
            out[number] = _bar_value(self._feeds[number], name, ago)
        return out

    def last(self, name: str, day: int) -> np.ndarray:
        """Return the close or a flag of each stock's last row before a day, however long ago."""
        out = np.full(len(self), np.nan)
        columns = self._whole(name)
        for number, at in self._places(day):
            if at and columns[number] is not None:
                out[number] = columns[number][at - 1]
        for number, ago in self._bars(day):
            out[number] = _bar_value(self._feeds[number], name, ago - 1)
        return out

    def ordinal(self, day: int) -> int:
        """Return the ordinal of a day."""
        return int(self._days[day])

    def listed_days(self, day: int) -> np.ndarray:
        """Return the number of the trading day since each stock's first row."""
        if self._calendar is None:
            self._calendar = calendar_of(self._feeds[0]._env, self._feeds)
            self._first_days = np.array([getattr(feed, 'first_day', 0) for feed in self._feeds])
        return self._calendar.listed_days(self._first_days, self.ordinal(day))

    def columns(self, name: str) -> Iterator[np.ndarray]:
        """Give the column of each feed, later rows too; of a feed that is not ours the bars that are loaded."""
        for feed in self._feeds:
            if _keeps_rows(feed):
                column = feed.column(name)
            else:
                line = getattr(feed.lines, name, None)
                column = None if line is None else np.array(line.array)
            if column is not None:
                yield column

    def _whole(self, name: str) -> list:
        """Return the column of each feed of ours; None where it is not known, and for other feeds."""
        if name not in self._columns:
            self._columns[name] = [
                None if stamps is None else feed.column(name) for feed, stamps in zip(self._feeds, self._stamps, strict=True)]
        return self._columns[name]

    def _places(self, day: int) -> list[tuple[int, int]]:
        """Return the feeds of ours that have a row on a day, each with the row's number."""
        if self._found[0] != day:  # several columns are read of a day
            stamp, found = self._days[day], []
            for number, stamps in enumerate(self._stamps):
                if stamps is not None:
                    at = stamps.searchsorted(stamp)
                    if at < len(stamps) and stamps[at] == stamp:
                        found.append((number, at))
            self._found = day, found
        return self._found[1]

    def _bars(self, day: int) -> list[tuple[int, int]]:
        """Return the other feeds that have a bar on a day, each with how many bars ago, as a negative number."""
        found = []
        for number in self._others:
            stamps = _past(self._feeds[number].datetime)
            at = int(stamps.searchsorted(self._days[day]))
            if at < len(stamps) and stamps[at] == self._days[day]:
                found.append((number, at - len(stamps) + 1))
        return found


def _keeps_rows(feed: Any) -> bool:
    """Return whether a feed has its whole columns, and its bars are their rows."""
    return hasattr(feed, 'column') and feed._plain()


def _past(line: Any) -> np.ndarray:
    """Return a line's bars up to the current one; its array may hold the whole run."""
    return np.array(line.get(0, line.idx + 1))


def value_of(feed: Any, name: str, ago: int) -> float:
    """Return a column of a feed at a bar; NaN where an optional one is not there.

    Raises
    ------
    KeyError
        The feed has no such column.
    """
    if hasattr(feed, 'value'):
        return feed.value(name, ago)
    line = getattr(feed.lines, name, None)  # a feed of another kind
    if line is None and name not in OPTIONAL:
        raise KeyError(f'{feed._name} has no line {name!r}')
    return np.nan if line is None else line[ago]


def _bar_value(feed: Any, name: str, ago: int) -> float:
    """Return `value_of` a past bar; NaN before the first one of the line, where Python would count from the end."""
    line = getattr(feed.lines, name if name in feed.getlinealiases() else 'datetime')
    return np.nan if line.idx + ago < 0 else value_of(feed, name, ago)
