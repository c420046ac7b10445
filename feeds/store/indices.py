"""Indices worked out from a market: the equal-weight market, and the micro-cap index.

Both are made of the ratios of a day's prices to each stock's reference price of that day: ``preclose`` where it is known,
else the last close less an explicit cash dividend, over the share ratio. A suspended stock has the ratio 1. Members are
chosen from what was known the day before. How indices are named and kept: `benchmarks`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bt_microcap.exchange import rules

from ..columns import PRICES, dates_of
from ..errors import DataError
from ..invocation import command
from .layout import chunks, real_rows

CHUNK = 1 << 20  # stock-days at a time
START = 1000.0  # points, before the first return
GONE = 60  # trading days without a row, as the broker's delist_wait
NEW_SHARE_DAYS = 20  # trading days before a new share joins: those of its first, unlike any other days
COUNT = 400  # stocks of the micro-cap index, as in the usual ones of the vendors
FLOAT_CAP = 'circ_market_cap'
_OLD, _NEVER = -(1 << 40), 1 << 40  # numbers of first days: long before the data; no A share


def first_days(store: Any) -> np.ndarray:
    """Return the number of each stock's first trading day.

    Where the store tells the listing day, that one; before the data begins it is negative, in weekdays. Else the day of
    the stock's first row; where that is the first day of all, nobody knows, and the stock counts as old.

    Parameters
    ----------
    store : MarketStore

    Returns
    -------
    ndarray of int, shape (stocks,)
        A number that no day reaches for what is no A share.
    """
    first = store.first.astype('int64')
    first[first == 0] = _OLD
    listings = store.listing_days('listed')
    for stock, code in enumerate(store.codes.tolist()) if listings else ():
        if (listed := listings.get(code)) is not None:
            first[stock] = (np.searchsorted(store.days, listed) if listed >= store.days[0] else
                            -np.busday_count(*dates_of(np.array([listed, store.days[0]])).astype('datetime64[D]')))
    shares = np.concatenate(list(rules.board_places(store.codes).values()))
    out = np.full(len(first), _NEVER)
    out[shares] = first[shares]
    return out


def _reference(read: Callable[[str], np.ndarray | None], last_close: np.ndarray) -> np.ndarray:
    """Return what the prices of some stock-days are compared with, yuan; NaN where suspended, or where nothing is known.

    The explicit part is that of `feeds.history.ex_rights_factor`, which lies above this layer.

    Parameters
    ----------
    read : callable
        Gives a column at these stock-days; None where there is none.
    last_close : ndarray of float
        Yuan; changed in place.
    """
    dividend, ratio = read('cash_dividend'), read('share_ratio')
    if dividend is not None:
        last_close -= np.where(dividend == dividend, dividend, 0.0)
    if ratio is not None:
        last_close /= np.where(ratio == ratio, ratio, 1.0)
    preclose = read('preclose')
    if preclose is not None:
        np.copyto(last_close, preclose, where=preclose > 0)
    last_close[~((last_close > 0) & (read('paused') == 0))] = np.nan
    return last_close


def _ratio(values: np.ndarray, reference: np.ndarray, live: np.ndarray) -> np.ndarray:
    return np.divide(values, reference, out=np.ones(len(reference)), where=live)


def _points(mean: dict[str, np.ndarray], volume: np.ndarray) -> np.ndarray:
    """Return an index of the mean ratios of its days."""
    close = START * np.cumprod(mean['close'])
    before = np.concatenate([[START], close[:-1]])
    return np.array([*(close if name == 'close' else before * mean[name] for name in PRICES), volume])


def market_index(store: Any, new_share_days: int = NEW_SHARE_DAYS) -> np.ndarray:
    """Return the index of all A shares, equal weight, renewed daily.

    A member counts from ``new_share_days`` trading days after its first one; suspended it counts 0 %. Without a row for
    more than `GONE` trading days, or after its delisting day where that is known, it is none until it has a row again: whether a
    row comes later is not known on the day.

    Parameters
    ----------
    store : MarketStore
    new_share_days : int
        Trading days; 0: from the first one, whose reference is the issue price where ``preclose`` tells it.

    Returns
    -------
    ndarray of float, shape (5, days)
        Open, high, low, close (points; 1000 before the first return), volume (shares of the members).
    """
    days, start = len(store.days), np.asarray(store.arrays['start'])
    joins = np.maximum(first_days(store) + new_share_days, store.first)
    names = (*PRICES, 'volume', 'paused', 'preclose', 'cash_dividend', 'share_ratio')
    columns = {name: store.arrays[f'stock/{name}'] for name in names if name in store.columns}
    sums = {name: np.zeros(days) for name in (*PRICES, 'volume')}
    silent = _silent_members(store, joins, days)  # after their last row
    for name in PRICES:
        sums[name] += silent
    count, real = silent.copy(), real_rows(store)
    for low, high, part in chunks(start, CHUNK):
        lengths = np.diff(start[low:high + 1])
        day = np.arange(part.stop - part.start) - np.repeat(start[low:high] - part.start - store.first[low:high], lengths)
        place = np.arange(len(day))
        seen = np.maximum.accumulate(np.where(real[part], place, 0))  # each stock begins with a row
        day[(day < np.repeat(joins[low:high], lengths)) | (place - seen > GONE)] = days  # counts in no day
        last_close = np.empty(part.stop - part.start)
        last_close[1:] = columns['close'][part][:-1]
        last_close[start[low:high] - part.start] = np.nan
        here = {name: column[part] for name, column in columns.items()}
        _restate(here, last_close, np.repeat(np.arange(low, high), lengths))
        reference = _reference(here.get, last_close)
        live = reference == reference
        count += np.bincount(day, minlength=days + 1)[:days]
        for name in PRICES:
            sums[name] += np.bincount(day, _ratio(here[name], reference, live), days + 1)[:days]
        sums['volume'] += np.bincount(day, here['volume'], days + 1)[:days]
        store.release_pages()
    volume = sums.pop('volume')
    return _points({name: np.divide(total, count, out=np.ones(days), where=count > 0) for name, total in sums.items()}, volume)


def _restate(here: dict[str, np.ndarray], last_close: np.ndarray, stock: np.ndarray) -> None:
    """Restate last closes by explicit actions of suspended rows, which repeat the close of before."""
    dividend = here.get('cash_dividend', np.zeros(0))
    ratio = here.get('share_ratio', np.ones(0))
    acts = np.zeros(len(stock), bool)
    acts[:len(dividend)] |= dividend > 0
    acts[:len(ratio)] |= (ratio == ratio) & (ratio != 1)
    for row in np.flatnonzero(acts & (here['paused'] == 1)).tolist():
        close = here['close']
        if not row or stock[row - 1] != stock[row] or close[row] != close[row - 1]:
            continue
        later = np.flatnonzero((stock[row:] == stock[row]) & (here['paused'][row:] == 0))
        if len(later):
            paid = dividend[row] if len(dividend) and dividend[row] == dividend[row] else 0.0
            parts = ratio[row] if len(ratio) and ratio[row] == ratio[row] else 1.0
            last_close[row + later[0]] = (last_close[row + later[0]] - paid) / parts


def _silent_members(store: Any, joins: np.ndarray, days: int) -> np.ndarray:
    """Return how many members each day has that had their last row before, at most `GONE` days ago."""
    begin = np.maximum(store.last + 1, np.minimum(joins, days))
    end = np.minimum(store.last + 1 + GONE, days)
    known = store.listing_days('delisted')
    for number, code in enumerate(store.codes.tolist()) if known else ():
        if code in known:
            end[number] = min(end[number], int(np.searchsorted(store.days, known[code], 'right')))
    there = begin < end
    change = np.bincount(begin[there], minlength=days + 1) - np.bincount(end[there], minlength=days + 1)
    return np.cumsum(change)[:days].astype('float64')


class Choice:
    """Chooses the members of the micro-cap index, from what was known the day before.

    Parameters
    ----------
    store : MarketStore
    count : int
        Members, where as many are eligible.
    new_share_days : int
        Trading days.
    weight : str
        Of `benchmarks.WEIGHTS`.

    Raises
    ------
    DataError
        The store does not know the weights.
    """

    def __init__(
        self, store: Any, count: int = COUNT, new_share_days: int = NEW_SHARE_DAYS, weight: str = 'equal',
    ) -> None:
        self._store, self._count, self._weight = store, count, weight
        if weight == 'float_cap' and FLOAT_CAP not in store.columns:
            raise DataError(
                f'{store.path or "the market"}: found no column {FLOAT_CAP}, which weight=float_cap needs; add it to the table '
                f"(yuan, tradable shares x close), or make the store with {command('ingest')} xbx, which keeps it")
        self._joins = first_days(store) + new_share_days
        self._joins[rules.board_places(store.codes)[rules.BSE, 'BJSE']] = _NEVER
        self._flags = [name for name in ('paused', 'is_st', 'delisting_period') if name in store.columns]

    def of(self, day: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of the stocks that are members from a day on, and their weights.

        Parameters
        ----------
        day : int
            Number of the day; the rows of the one before decide.

        Returns
        -------
        ndarray of int, ndarray of float
            Ascending; the weights need not add up to 1.
        """
        if day < 1:
            return np.empty(0, 'int64'), np.empty(0)
        low, high = (int(row) for row in self._store.arrays['day_start'][day - 1:day + 1])
        rows = slice(low, high)
        stocks = self._store.arrays['day_stock'][rows]
        cap = self._column('market_cap', day - 1, rows)
        eligible = (self._joins[stocks] <= day) & (cap == cap)
        for name in self._flags:
            eligible &= self._column(name, day - 1, rows) == 0
        weight = None
        if self._weight == 'float_cap':
            weight = self._column(FLOAT_CAP, day - 1, rows)
            eligible &= weight > 0
        chosen = np.flatnonzero(eligible)
        if len(chosen) > self._count:
            caps = cap[chosen]
            largest = np.partition(caps, self._count - 1)[self._count - 1]
            inside = caps < largest
            ties = np.flatnonzero(caps == largest)  # by code, as the rows of a day are
            inside[ties[:self._count - int(inside.sum())]] = True
            chosen = chosen[inside]
        return stocks[chosen].astype('int64'), np.ones(len(chosen)) if weight is None else weight[chosen].astype('float64')

    def _column(self, name: str, day: int, rows: slice) -> np.ndarray:
        column = self._store.arrays.get(f'day/{name}')
        if column is None:
            return self._store.vector(name, day)[self._store.arrays['day_stock'][rows]]
        return column[rows]


def microcap_index(
    store: Any, count: int = COUNT, new_share_days: int = NEW_SHARE_DAYS, renew: int = 1, phase: int = 0, weight: str = 'equal',
) -> np.ndarray:
    """Return the index of the smallest stocks, by the market cap of the day before; no costs.

    Eligible is an A share that the day before had a row, was not suspended, ST or in the delisting period, is not of the
    Beijing exchange, and whose first trading day is ``new_share_days`` ago. A member that is suspended counts 0 %, and so
    does one that has no rows any more, until the next choice.

    Parameters
    ----------
    store : MarketStore
    count : int
        Members; fewer where fewer are eligible, ties by code.
    new_share_days : int
        Trading days.
    renew, phase : int
        Members and weights are chosen anew on the days whose number over ``renew`` leaves the rest of ``phase``; between
        them the weights drift.
    weight : str
        ``equal``, or ``float_cap``: by ``circ_market_cap`` of the day before.

    Returns
    -------
    ndarray of float, shape (5, days)
        Open, high, low, close (points; 1000 before the first return), volume (shares of the members).

    Raises
    ------
    DataError
        The store does not know the weights.
    """
    days, choice = len(store.days), Choice(store, count, new_share_days, weight)
    mean = {name: np.ones(days) for name in PRICES}
    volume = np.zeros(days)
    held, value = np.empty(0, 'int64'), np.empty(0)
    step = max(1, CHUNK // max(1, min(count, len(store))))
    for low in range(0, days, step):
        high = min(low + step, days)
        fresh, members = {}, []
        for day in range(low, high):
            if (day - phase) % renew == 0:
                held, fresh[day] = choice.of(day)
                if len(fresh) % 16 == 0:
                    store.release_pages()
            members.append(held)
        ends = np.cumsum([len(stocks) for stocks in members])
        day = np.repeat(np.arange(low, high), np.diff(ends, prepend=0))
        read = _At(store, np.concatenate(members), day)
        reference = _reference(read, read.last_close())
        live = reference == reference
        close = _ratio(read('close'), reference, live)
        before, begin = np.empty(len(day)), 0  # the weights, drifted
        for number, end in enumerate(ends.tolist()):
            value = fresh.get(low + number, value)
            before[begin:end] = value
            value = value * close[begin:end]
            begin = end
        day -= low
        total = np.bincount(day, before, high - low)
        for name in PRICES:
            ratio = close if name == 'close' else _ratio(read(name), reference, live)
            np.divide(np.bincount(day, before * ratio, high - low), total, out=mean[name][low:high], where=total > 0)
        volume[low:high] = np.bincount(day, np.where(read.gone, 0.0, read('volume')), high - low)
    return _points(mean, volume)


class _At:
    """Reads the columns of a store at some stock-days; suspended where the stock has no rows any more."""

    def __init__(self, store: Any, stock: np.ndarray, day: np.ndarray) -> None:
        self._store = store
        begins = np.asarray(store.arrays['start'])[stock]
        self.gone = day > store.last[stock]
        self._places = np.where(self.gone, begins, begins + day - store.first[stock])

    def __call__(self, name: str) -> np.ndarray | None:
        column = self._store.arrays.get(f'stock/{name}')
        if column is None:
            return None
        values = column[self._places]
        if name == 'paused':
            values[self.gone] = 1
        self._store.release_pages()
        return values

    def last_close(self) -> np.ndarray:
        """Return the close of the day before; a member has one."""
        return self._store.arrays['stock/close'][self._places - 1]
