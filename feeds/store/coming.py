"""A market up to some day, and of that day only what is published before its open.

It is what somebody has in his hands on the evening before: `coming_day` cuts a store off, whatever it has of later days, and puts
one more day behind it that nobody has seen trade yet.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from ..columns import INDEX_LINES, OPTIONAL
from ..errors import DataError
from .market_store import MarketStore
from .reference_data import ReferenceData

ENDLESS = 1e15  # shares: the volume of a day to come, which cuts no order and moves no price
# What is published before a session of each stock, beside its reference price; the open itself is not.
FACTS = ('paused', 'is_st', 'preclose', 'high_limit', 'low_limit', 'cash_dividend', 'share_ratio', 'delisting_period')
DIGESTED = ('market_cap', 'close', 'open', 'preclose', 'volume', 'is_st', 'paused')  # what `digest` looks at


@dataclass
class ComingDay:
    """What is known of a trading day before its open.

    Parameters
    ----------
    day : int
        Ordinal.
    trades : ndarray of bool, shape (stocks,)
        Which stocks are listed on it, suspended ones among them.
    facts : dict of str to ndarray, shape (stocks,)
        Of `FACTS`, in the order of the store's codes; NaN where it is not known.
    last_close : ndarray of float, shape (stocks,)
        Yuan, as it was.
    reference : ndarray of float, shape (stocks,)
        Yuan: the exchange's reference price, the last close less what an ex-date takes off it.
    published : bool
        Whether the facts are of the day itself; else those of the day before stand in for them.
    """

    day: int
    trades: np.ndarray
    facts: dict[str, np.ndarray]
    last_close: np.ndarray
    reference: np.ndarray
    published: bool

    def value(self, name: str) -> np.ndarray:
        """Return a column of the day as a run sees it: at the open everything costs its reference price."""
        if name in self.facts:
            return self.facts[name]
        if name in ('open', 'high', 'low', 'close'):
            return self.reference
        if name == 'volume':
            return np.where(self.trades, np.where(self.facts['paused'] == 1, 0.0, ENDLESS), np.nan)
        return np.full(len(self.trades), np.nan)


def facts_before(store: MarketStore, day: int) -> ComingDay:
    """Return what is known of a day before its open: of its own row where the store has one, else of the day before.

    Parameters
    ----------
    store : MarketStore
    day : int
        Ordinal, after the store's first day.

    Raises
    ------
    DataError
        The store begins on that day or later.
    """
    number = store.day_number(day)
    if not number:
        raise DataError(f'the data begins on {store.span()[0]}: expected a day before {date.fromordinal(day)}')
    published = number < len(store.days) and int(store.days[number]) == day
    source = number if published else number - 1
    paused = store.vector('paused', source)
    trades, close = paused == paused, last_closes(store, number)
    trades &= close > 0  # what is listed on the day has no past that a rotation could go by
    facts = {name: np.full(len(store), np.nan) for name in FACTS}
    for name in FACTS if published else ('paused', 'is_st', 'delisting_period'):
        facts[name] = np.where(trades, store.vector(name, source), np.nan)
    preclose = np.where(facts['preclose'] > 0, facts['preclose'], close)
    preclose = np.where(trades, preclose, np.nan)
    return ComingDay(day, trades, {**facts, 'preclose': preclose}, close, preclose.copy(), published)


def last_closes(store: MarketStore, number: int) -> np.ndarray:
    """Return the close of each stock's last row before a day, by the day's number; NaN without any."""
    out = store.vector('close', number - 1)
    away = np.flatnonzero(np.isnan(out) & (store.first < number))
    at = np.minimum(store.last[away], number - 1)  # a block repeats the close on days without a row
    out[away] = store.arrays['stock/close'][store.arrays['start'][away] + (at - store.first[away])]
    return out


class _Arrays(Mapping):
    """The arrays of a store, some of them in another form."""

    def __init__(self, base: Mapping[str, np.ndarray], own: dict[str, np.ndarray]) -> None:
        self._base, self._own = base, own

    def __getitem__(self, name: str) -> np.ndarray:
        return self._own[name] if name in self._own else self._base[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._base)

    def __len__(self) -> int:
        return len(self._base)


class ComingStore(MarketStore):
    """A store that ends with a day to come; made by `coming_day`."""

    def __init__(self, base: MarketStore, coming: ComingDay) -> None:
        number = base.day_number(coming.day)
        listed = np.flatnonzero(coming.trades)
        rows = int(base.arrays['day_start'][number])
        super().__init__(_Arrays(base.arrays, {
            'days': np.append(base.days[:number], coming.day).astype(base.days.dtype),
            'first': np.minimum(base.first, number),
            'last': np.where(coming.trades, number, np.minimum(base.last, number - 1)),
            'day_start': np.append(base.arrays['day_start'][:number + 1], rows + len(listed)),
            'day_stock': np.concatenate([base.arrays['day_stock'][:rows], listed.astype('int32')]),
        }), base.columns, base.about, base.path, base.maps, base._tables)
        self.maps = base.maps
        self._base, self._number, self.coming = base, number, coming

    def vector(self, name: str, day: int) -> np.ndarray:
        """Return a column of all stocks on a day; of the last what is known before its open."""
        if day < self._number:
            return super().vector(name, day)
        if name not in self.columns and name not in OPTIONAL:
            raise KeyError(f'the store has no column {name!r}; it has {", ".join(self.columns)}')
        return self.coming.value(name).copy()

    def block(self, name: str, stock: int) -> np.ndarray | None:
        """Return a column of a stock from its first day to its last; see `MarketStore.block`."""
        found = super().block(name, stock)
        return None if found is None else np.array(self.until_coming(found, name, stock))

    def until_coming(self, block: Any, name: str, stock: int) -> array:
        """Return a stock's block of days without those that nobody has seen yet, and with the day to come."""
        seen = array('d', block[:max(0, self._number - int(self.first[stock]))])
        if self.coming.trades[stock]:
            seen.append(float(self.coming.value(name)[stock]))
        return seen

    def benchmark(self, spec: str, phase: int = 0) -> dict[str, np.ndarray]:
        """Return an index on all days; on the day to come it stands as the day before, for it is not known."""
        known = self._base.benchmark(spec, phase)
        return {name: np.append(known[name][:self._number], known[name][self._number - 1]) for name in INDEX_LINES}

    @property
    def reference_data(self) -> ReferenceData:
        """Looks things up in the tables beside the market."""
        return self._base.reference_data


def digest(store: MarketStore, first: int, end: int) -> int:
    """Return a CRC-32 of the rows of some days: another one tells that what a run has seen of them has changed since.

    Parameters
    ----------
    store : MarketStore
    first, end : int
        Ordinals of the first day and of the day after the last. Stocks that are listed later change nothing.
    """
    low, high = store.day_number(first), store.day_number(end)
    day_start = np.asarray(store.arrays['day_start'][low:high + 1])
    rows = slice(int(day_start[0]), int(day_start[-1]))
    names = np.array([zlib.crc32(code.encode()) for code in store.codes.tolist()], dtype='uint32')
    value = zlib.crc32(np.ascontiguousarray(store.days[low:high], dtype='int64').tobytes())
    value = zlib.crc32(np.ascontiguousarray(np.diff(day_start), dtype='int64').tobytes(), value)
    value = zlib.crc32(names[store.arrays['day_stock'][rows]].tobytes(), value)
    for name in DIGESTED:
        if name in store.columns and f'day/{name}' in store.arrays:
            column = np.ascontiguousarray(store.arrays[f'day/{name}'][rows], dtype='float64')
            value = zlib.crc32(column.tobytes(), value)
    return value
