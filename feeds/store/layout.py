"""How the rows of a market are laid out in a store, one column after the other.

See `market_store` for the two layouts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..columns import FLAGS, OPTIONAL, PRICES, REQUIRED
from ..grid import Layout

KEYS = ('codes', 'days', 'first', 'last', 'start', 'day_start')  # arrays of the layout itself
UNDATED = 'no history: one list without dates counts on every day, also before it was drawn up'  # members of an index
GUESSED = 'not known: guessed from the first row of each stock'  # the note on listings, where there are none
# columns of a screen, beside the further numeric ones of the input
DAY_COLUMNS = ('market_cap', 'is_st', 'paused', 'delisting_period', 'close', 'volume', 'amount', 'open', 'preclose', 'high_limit',
               'low_limit')

Read = Callable[[str], np.ndarray]  # column -> its values, in the order of the input's rows
Put = Callable[[str, np.ndarray], None]  # keeps an array under a name


class Columns(Mapping):
    """The arrays of a market in memory, each made of the rows when it is first asked for.

    Parameters
    ----------
    layout : Layout
    columns : dict of str to str
        Column -> dtype.
    read : callable
        Gives a column in the order of the layout's rows.
    """

    def __init__(self, layout: Layout, columns: dict[str, str], read: Read) -> None:
        self._layout, self._columns, self._read = layout, columns, read
        self._fill: _Fill | None = None
        self._made: dict[str, np.ndarray] = {name: getattr(layout, name) for name in KEYS}
        self._names = [*KEYS, 'day_stock', *(f'stock/{name}' for name in columns),
                       *(f'day/{name}' for name in columns if in_days(name))]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._made or name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _make(self, name: str) -> np.ndarray:
        if name == 'day_stock':
            return day_stock(self._layout)
        kind, _, column = name.partition('/')
        if name not in self._names:
            raise KeyError(name)
        if kind == 'day':
            return by_day(self._layout, np.asarray(self._read(column)).astype(self._columns[column], copy=False))
        if self._fill is None:
            self._fill = _Fill(self._layout)
        close = self['stock/close'] if column in PRICES and column != 'close' else None
        return block_of(self._layout, self._fill, column, self._columns[column], self._read(column), close)


def in_days(name: str) -> bool:
    """Tell whether a column is kept by day, too."""
    return name in DAY_COLUMNS or name not in REQUIRED | OPTIONAL


def day_stock(layout: Layout) -> np.ndarray:
    """Return the numbers of the stocks that have a row, day after day."""
    return np.nonzero(layout.exists)[1].astype('int32')


def by_day(layout: Layout, values: np.ndarray) -> np.ndarray:
    """Return a column by day, then stock."""
    if layout.by_day is None:
        return values
    ordered = np.empty_like(values)
    ordered[layout.by_day] = values
    return ordered


def block_of(
    layout: Layout, fill: _Fill, name: str, dtype: str, values: np.ndarray, close: np.ndarray | None
) -> np.ndarray:
    """Return a column by stock, then day, without a gap; `close` is that of the closes, for the other prices."""
    block = np.empty(layout.size, dtype)
    block[layout.by_stock] = values
    fill(name, block, close)
    return block


def build(layout: Layout, columns: dict[str, str], read: Read, put: Put) -> None:
    """Lay out checked rows, one column after the other: no more than a few columns are in memory.

    Parameters
    ----------
    layout : Layout
    columns : dict of str to str
        Column -> dtype.
    read : callable
        Gives a column in the order of the layout's rows.
    put : callable
        Takes the arrays: ``codes``, ``days``, ``first``, ``last``, ``start``, ``day_start``, ``day_stock``, and the columns as
        ``stock/NAME`` and ``day/NAME``.
    """
    for name in KEYS:
        put(name, getattr(layout, name))
    put('day_stock', day_stock(layout))
    fill, close = _Fill(layout), None
    for name in ['close', *(name for name in columns if name != 'close')]:
        values = np.asarray(read(name)).astype(columns[name], copy=False)
        block = block_of(layout, fill, name, columns[name], values, close)
        put(f'stock/{name}', block)
        if in_days(name):
            put(f'day/{name}', by_day(layout, values))
        if name == 'close':
            close = block


class _Fill:
    """Gives the days without a row the values that a feed shows on them."""

    def __init__(self, layout: Layout) -> None:
        there = np.zeros(layout.size, bool)
        there[layout.by_stock] = True
        self._missing = np.flatnonzero(~there)
        # the last real row before each gap: each block begins with a real one
        real = np.flatnonzero(there)
        self._source = real[np.searchsorted(real, self._missing) - 1] if len(self._missing) else self._missing

    def __call__(self, name: str, block: np.ndarray, close: np.ndarray | None) -> None:
        """Fill a column; `close` is the filled one of the closes, for the other prices."""
        if name in PRICES:
            block[self._missing] = block[self._source] if close is None else close[self._missing]
        elif name in FLAGS:
            block[self._missing] = 1 if name == 'paused' else block[self._source]
        else:
            block[self._missing] = 0 if name == 'volume' else np.nan


def chunks(start: np.ndarray, size: int) -> Iterator[tuple[int, int, slice]]:
    """Yield some stocks after the other: the first, the one after the last, and their places in a stock-major column.

    Parameters
    ----------
    start : ndarray of int, shape (stocks + 1,)
        Where each stock's block begins.
    size : int
        Places at a time, about; one stock at least.
    """
    start, low = np.asarray(start), 0
    while low < len(start) - 1:
        high = max(low + 1, int(np.searchsorted(start, start[low] + size, 'right')) - 1)
        yield low, high, slice(int(start[low]), int(start[high]))
        low = high


def real_rows(store: Any) -> np.ndarray:
    """Return which places of the stock-major columns are rows of the table, and not filled up.

    Returns
    -------
    ndarray of bool, shape (stock-days,)
    """
    start, day_start, stocks = store.arrays['start'], store.arrays['day_start'], store.arrays['day_stock']
    real = np.zeros(int(start[-1]), bool)
    base = np.asarray(start[:-1]) - store.first
    for day in range(len(store.days)):
        real[base[stocks[day_start[day]:day_start[day + 1]]] + day] = True
    return real


def dtype_of(name: str, kind: np.dtype) -> str:
    """Return the dtype in which a column is kept."""
    if name in FLAGS:
        return '|u1'
    return '<f4' if name not in REQUIRED | OPTIONAL and kind == np.float32 else '<f8'


def units(columns: Iterable[str]) -> dict[str, str]:
    """Return what is known of each column's unit."""
    return {name: REQUIRED.get(name) or OPTIONAL.get(name) or 'as in the source' for name in columns}
