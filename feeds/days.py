"""Reading a market day by day, over all stocks: from a store, or from one feed per stock; see `history.Days`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import numpy as np

from bt_microcap.exchange.calendar import Calendar

from .columns import OPTIONAL


def calendar_of(cerebro: Any, datas: list) -> Calendar:
    """Return the trading days of a run: the broker's where it counts them, else those of the feeds."""
    found = None if cerebro is None else getattr(cerebro.broker, 'calendar', None)
    return found if found is not None and len(found.days) else Calendar(datas if cerebro is None else cerebro.datas)


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

    def carried(self, day: int, stocks: np.ndarray) -> np.ndarray:
        """Return the close of some stocks' last row on a day or before it; NaN before the first and after the last of all."""
        return self._store.values('close', stocks, day)  # the block of a stock repeats the close on days without a row

    def ordinal(self, day: int) -> int:
        """Return the ordinal of a day."""
        return int(self._store.days[day])

    def listed_days(self, day: int) -> np.ndarray:
        """Return the number of the trading day since each stock's listing: its listing day, else its first row's."""
        if self._lives is None:
            store = self._store
            listed = store.days[store.first]
            if known := store.listing_days('listed'):
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

    def carried(self, day: int, stocks: np.ndarray) -> np.ndarray:
        """Return the close of some stocks' last row on a day or before it; NaN before the first and after the last of all."""
        out, columns, now = np.full(len(stocks), np.nan), self._whole('close'), self._days[day]
        for place, number in enumerate(stocks.tolist()):
            stamps = self._stamps[number]
            if stamps is None:  # a feed of another kind: the bars so far
                stamps = _past(self._feeds[number].datetime)
                at = int(stamps.searchsorted(now, side='right')) - 1
                out[place] = np.nan if at < 0 else _bar_value(self._feeds[number], 'close', at - len(stamps) + 1)
            elif (at := int(stamps.searchsorted(now, side='right')) - 1) >= 0 and now <= stamps[-1]:
                out[place] = columns[number][at]
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
