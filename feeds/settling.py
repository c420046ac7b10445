"""What only a whole table tells: rows that are there twice, and the last close of a suspended stock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from typing import NamedTuple

import numpy as np

from .cleaning import CONFLICTING, DOUBLED, LAST_CLOSE, LONELY_DAY, MEND, NO_LAST_CLOSE, SUSPENDED_PRICE
from .quarantine import SHARE, Quarantine
from .rows import Rows

HARDLY = 0.05  # of the rows of the days around: with fewer a day is somebody's slip
NEVER = np.iinfo('int32').max  # the ordinal of a first row that is not there
NO_WEEKENDS = date(1992, 1, 1).toordinal()  # since when nothing was traded on one
MANY_ROWS, AROUND = 20, 5  # rows a day from which that can be told; days on each side


class Settled(NamedTuple):
    """Numbers of rows: those to leave out, by reason, and those that get the stock's last close."""

    lonely: np.ndarray
    doubled: np.ndarray
    conflicting: np.ndarray
    without_close: np.ndarray
    last_close: np.ndarray

    def left_out(self) -> np.ndarray:
        """Return the rows to leave out."""
        return np.concatenate([self.lonely, self.doubled, self.conflicting, self.without_close])

    def tell(self, quarantine: Quarantine, rows_at: Callable[[np.ndarray], Iterable[Rows]]) -> None:
        """Tell the quarantine; `rows_at` gives rows by their numbers, a `Rows` for each source that they are from."""
        one = 'one row per date and code', 'drop one of the two rows'
        for rows in rows_at(self.lonely) if len(self.lonely) else ():
            found = [str(date.fromordinal(day)) for day in rows.day.tolist()]
            quarantine.add(LONELY_DAY, rows, np.arange(len(rows)), 'date', 'a trading day', MEND, found)
        for kind, at, column, text in (
            (DOUBLED, self.doubled, 'code', one), (CONFLICTING, self.conflicting, 'code', one),
            (NO_LAST_CLOSE, self.without_close, 'close', SUSPENDED_PRICE),
            (LAST_CLOSE, self.last_close, 'close', SUSPENDED_PRICE),
        ):
            for rows in rows_at(at) if len(at) else ():
                found = [f'{rows.code(row)} a second time' for row in range(len(rows))] if column == 'code' else 'no price'
                quarantine.add(kind, rows, np.arange(len(rows)), column, *text, found)


def settle(
    stock: np.ndarray, day: np.ndarray, first: np.ndarray, columns: Iterable[str], read: Callable[[str], np.ndarray],
) -> Settled:
    """Find the rows that are there twice, and those without a close.

    Parameters
    ----------
    stock, day : ndarray of int, shape (rows,)
    first : ndarray of int, shape (stocks,)
        Ordinal of each stock's first row among those that are there already; beyond all days where there is none. Changed.
    columns : iterable of str
        What two rows must have in common to be the same.
    read : callable
        Gives a column.
    """
    nothing = np.empty(0, 'int64')
    if not len(day):
        return Settled(nothing, nothing, nothing, nothing, nothing)
    lonely = _lonely(day)
    same, conflicting = _doubled(stock, day, len(first), columns, read)
    same, conflicting = np.setdiff1d(same, lonely), np.setdiff1d(conflicting, lonely)
    close = read('close')
    without = np.flatnonzero(close != close)
    if not len(without):
        return Settled(lonely, same, conflicting, nothing, nothing)
    priced = close == close
    priced[conflicting] = priced[lonely] = False
    np.minimum.at(first, stock[priced], day[priced])
    without = np.setdiff1d(without, np.concatenate([lonely, same, conflicting]))
    early = day[without] < first[stock[without]]
    return Settled(lonely, same, conflicting, without[early], without[~early])


def _lonely(day: np.ndarray) -> np.ndarray:
    """Return the rows of days that are somebody's slip.

    Days that have hardly any row, where the days around have many: a holiday, or another year's day. And weekends, where they
    are few; a made-up calendar may have all of them.
    """
    weekend = np.flatnonzero(((day % 7 == 6) | (day % 7 == 0)) & (day >= NO_WEEKENDS))  # of ordinals: Saturday, Sunday
    weekend = weekend if len(weekend) <= SHARE * len(day) else weekend[:0]
    low = int(day.min())
    counts = np.bincount(day - low)
    days = np.flatnonzero(counts)
    padded = np.pad(counts[days].astype(float), AROUND, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND + 1).copy()
    around[:, AROUND] = np.nan
    if len(days) < 3:
        return weekend
    typical = np.nanmedian(around, axis=1)
    few = days[(typical >= MANY_ROWS) & (counts[days] < HARDLY * typical)]
    return np.union1d(weekend, np.flatnonzero(np.isin(day, few + low))) if len(few) else weekend


def _any_doubled(stock: np.ndarray, day: np.ndarray, stocks: int) -> bool:
    """Tell whether a stock has two rows on a day."""
    low, high = int(day.min()), int(day.max())
    seen = np.zeros((high - low + 1) * stocks, bool)
    seen[(day - low).astype('int64') * stocks + stock] = True
    return int(np.count_nonzero(seen)) != len(day)


def _doubled(
    stock: np.ndarray, day: np.ndarray, stocks: int, columns: Iterable[str], read: Callable[[str], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that repeat an earlier one, and all rows of days of a stock whose rows differ."""
    if not _any_doubled(stock, day, stocks):  # quicker than sorting
        return np.empty(0, 'int64'), np.empty(0, 'int64')
    key = day.astype('int64') * stocks + stock
    order = np.argsort(key, kind='stable')
    again = np.flatnonzero(np.diff(key[order]) == 0) + 1  # places in `order` of second, third ... rows
    left, right = order[again - 1], order[again]
    equal = np.ones(len(again), bool)
    for name in columns:
        values = read(name)
        one, other = values[left], values[right]
        equal &= (one == other) | (one != one) & (other != other)
    bad = np.unique(key[right[~equal]])
    conflicting = np.flatnonzero(np.isin(key, bad)) if len(bad) else np.empty(0, 'int64')
    return np.sort(right[~np.isin(key[right], bad)]), conflicting
