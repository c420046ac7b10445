"""How the rows of a market are laid out in a store, one column after the other.

See `market_store` for the two layouts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from ..columns import FLAGS, OPTIONAL, PRICES, REQUIRED, ordinals

if TYPE_CHECKING:
    import pandas as pd

# columns of a screen, beside the further numeric ones of the input
DAY_COLUMNS = ('market_cap', 'is_st', 'paused', 'delisting_period', 'close', 'volume', 'amount')

Read = Callable[[str], np.ndarray]  # column -> its values, in the order of the input's rows
Put = Callable[[str, np.ndarray], None]  # keeps an array under a name


class RowKeys:
    """The date and code of every row, gathered part by part: what the layout follows from."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []
        self.stock = self.day = np.empty(0, 'int32')  # of each row, once the layout is made

    def add(self, dates: pd.Series, codes: pd.Series) -> None:
        """Take the checked dates and codes of some rows."""
        import pandas as pd

        numbers, kinds = pd.factorize(codes)
        ids = np.array([self._ids.setdefault(code, len(self._ids)) for code in kinds], 'int32')
        self._parts.append((ids[numbers], ordinals(dates).astype('int32')))

    def layout(self) -> Layout:
        """Return the layout of all rows.

        Raises
        ------
        DuplicateRow
            A stock has two rows on a day.
        """
        codes = np.array(sorted(self._ids), dtype='S11')
        order = np.empty(len(codes), 'int32')
        order[[self._ids[code.decode()] for code in codes]] = np.arange(len(codes))
        days = np.unique(np.concatenate([np.unique(days) for _, days in self._parts]))
        stock = np.concatenate([order[ids] for ids, _ in self._parts])
        day = np.concatenate([np.searchsorted(days, on).astype('int32') for _, on in self._parts])
        self._parts.clear()
        self.stock, self.day = stock, day
        return Layout(codes, days, stock, day)


class DuplicateRow(ValueError):
    """A stock has two rows on a day: the number of the second one, and which it is."""

    def __init__(self, row: int, what: str) -> None:
        self.row, self.what = row, what


class Layout:
    """Where each row of a market lies in the two layouts.

    Parameters
    ----------
    codes : ndarray of bytes, shape (stocks,)
        Ascending.
    days : ndarray of int, shape (days,)
        Ordinals, ascending.
    stock, day : ndarray of int, shape (rows,)
        Numbers of each row's stock and day.

    Raises
    ------
    DuplicateRow
        A stock has two rows on a day.
    """

    def __init__(self, codes: np.ndarray, days: np.ndarray, stock: np.ndarray, day: np.ndarray) -> None:
        self.codes, self.days = codes, days
        self.rows = len(stock)
        self.exists = exists = np.zeros((len(days), len(codes)), bool)
        exists[day, stock] = True
        self.day_start = np.concatenate([[0], np.cumsum(exists.sum(axis=1))]).astype('int64')
        if self.day_start[-1] != self.rows:
            raise _first_duplicate(codes, days, stock, day)
        self.first = exists.argmax(axis=0).astype('int32')
        self.last = (len(days) - 1 - exists[::-1].argmax(axis=0)).astype('int32')
        self.start = np.concatenate([[0], np.cumsum(self.last - self.first + 1)]).astype('int64')
        self.size = int(self.start[-1])
        small = 'int32' if self.size < 2**31 else 'int64'
        base = (self.start[:-1] - self.first).astype(small)
        self.by_stock = base[stock] + day.astype(small)
        self.by_day: np.ndarray | None = None  # None: the rows come by day and code already
        ascending = (day[1:] > day[:-1]) | (day[1:] == day[:-1]) & (stock[1:] > stock[:-1])
        if not ascending.all():
            flat = day.astype('int64') * len(codes) + stock
            self.by_day = np.cumsum(exists.ravel(), dtype=small)[flat] - 1


def _first_duplicate(codes: np.ndarray, days: np.ndarray, stock: np.ndarray, day: np.ndarray) -> DuplicateRow:
    flat = day.astype('int64') * len(codes) + stock
    again = np.ones(len(flat), bool)
    again[np.unique(flat, return_index=True)[1]] = False
    row = int(again.argmax())
    return DuplicateRow(row, f'{codes[stock[row]].decode()} on {date.fromordinal(int(days[day[row]]))}')


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
        Takes the arrays: ``codes``, ``days``, ``first``, ``last``, ``start``, ``day_start``, ``day_stock``, ``index``, and
        the columns as ``stock/NAME`` and ``day/NAME``.
    """
    for name in ('codes', 'days', 'first', 'last', 'start', 'day_start'):
        put(name, getattr(layout, name))
    put('day_stock', np.nonzero(layout.exists)[1].astype('int32'))
    first = [name for name in ('close', 'paused', 'preclose') if name in columns]
    builder = _IndexBuilder(layout)
    for name in [*first, *(name for name in columns if name not in first)]:
        values = np.asarray(read(name)).astype(columns[name], copy=False)
        block = np.empty(layout.size, columns[name])
        block[layout.by_stock] = values
        builder.fill(name, block)
        put(f'stock/{name}', block)
        builder.take(name, block)
        del block
        if name in DAY_COLUMNS or name not in REQUIRED | OPTIONAL:
            if layout.by_day is not None:
                ordered = np.empty_like(values)
                ordered[layout.by_day] = values
                values = ordered
            put(f'day/{name}', values)
    put('index', builder.index())


class _IndexBuilder:
    """What is made of the columns as they pass: the days without a row, and the market's equal-weight index.

    A day's return of the index is the plain mean over the stocks traded that day of close / reference - 1; the
    reference is ``preclose``, or the stock's last close where it is not known.
    """

    def __init__(self, layout: Layout) -> None:
        self._days = len(layout.days)
        lengths = np.diff(layout.start)
        # number of the day of each place; a narrow type, there are as many as rows
        self._day = np.arange(layout.size, dtype='int32') - np.repeat((layout.start[:-1] - layout.first).astype('int32'), lengths)
        self._begins = layout.start[:-1]
        there = np.zeros(layout.size, bool)
        there[layout.by_stock] = True
        self._missing = np.flatnonzero(~there)
        # the last real row before each gap: each block begins with a real one
        real = np.flatnonzero(there)
        self._source = real[np.searchsorted(real, self._missing) - 1] if len(self._missing) else self._missing
        self._traded = there
        self._reference = self._close = None
        self._sums: dict[str, np.ndarray] = {}

    def fill(self, name: str, block: np.ndarray) -> None:
        """Give the days without a row the values that a feed shows on them."""
        if name in PRICES:
            block[self._missing] = (block if name == 'close' else self._close)[self._source if name == 'close' else ...]
        elif name in FLAGS:
            block[self._missing] = 1 if name == 'paused' else block[self._source]
        else:
            block[self._missing] = 0 if name == 'volume' else np.nan

    def take(self, name: str, block: np.ndarray) -> None:
        """Take what the index needs of a column; close, paused and preclose come first."""
        if name == 'volume':  # 0 on the days without a row
            self._sums[name] = np.bincount(self._day, block, self._days)
        elif name == 'close':
            self._close = block[self._source]  # what the other prices repeat
            self._reference = np.empty_like(block)
            self._reference[1:] = block[:-1]
            self._reference[self._begins] = np.nan
            self._held = block
        elif name == 'paused':
            self._traded &= block == 0
        elif name == 'preclose':
            np.copyto(self._reference, block, where=block == block)
        if name in PRICES and name != 'close':
            if self._held is not None:
                self._known()
            self._add(name, block)

    def _known(self) -> None:
        """Sum up the closes: from here on it is known which rows count."""
        self._traded &= self._reference == self._reference
        self._on = self._day[self._traded]
        self._base = self._reference[self._traded]
        close, self._held, self._reference = self._held, None, None
        self._sums['count'] = np.bincount(self._on, minlength=self._days).astype('float64')
        self._add('close', close)

    def _add(self, name: str, block: np.ndarray) -> None:
        self._sums[name] = np.bincount(self._on, block[self._traded] / self._base, self._days)

    def index(self) -> np.ndarray:
        """Return open, high, low, close and volume of the market."""
        count = self._sums['count']
        mean = {name: np.divide(self._sums[name], count, out=np.ones(self._days), where=count > 0) for name in PRICES}
        level = 1000.0 * np.cumprod(mean['close'])
        before = level / mean['close']
        return np.array([*(mean[name] * before for name in PRICES), self._sums['volume']])


def dtype_of(name: str, kind: np.dtype) -> str:
    """Return the dtype in which a column is kept."""
    if name in FLAGS:
        return '|u1'
    return '<f4' if name not in REQUIRED | OPTIONAL and kind == np.float32 else '<f8'


def numeric_columns(table: pd.DataFrame) -> dict[str, str]:
    """Return the columns of a table that a store keeps, with their dtypes."""
    from pandas.api.types import is_numeric_dtype

    return {
        name: dtype_of(name, kind) for name, kind in table.dtypes.items()
        if name not in ('date', 'code') and (name in REQUIRED or name in OPTIONAL or is_numeric_dtype(kind))
    }


def units(columns: Iterable[str]) -> dict[str, str]:
    """Return what is known of each column's unit."""
    return {name: REQUIRED.get(name) or OPTIONAL.get(name) or 'as in the source' for name in columns}


def _values(column: pd.Series, dtype: str) -> np.ndarray:
    return column.to_numpy(dtype) if dtype == '|u1' else column.to_numpy(dtype, na_value=np.nan)


def table_arrays(
    table: pd.DataFrame, *, checked: bool = False, source: str = 'the table'
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return a canonical table as the arrays of a store, and its columns with their units.

    Parameters
    ----------
    table : DataFrame
        See `schema.REQUIRED`.
    checked : bool
        True when it has passed `schema.check_table` already.
    source : str
        What messages call it.
    """
    if not checked:
        from ..schema import check_table

        table = check_table(table, source)
    keys = RowKeys()
    keys.add(table['date'], table['code'])
    columns = numeric_columns(table)
    arrays: dict[str, np.ndarray] = {}
    build(keys.layout(), columns, lambda name: _values(table[name], columns[name]), arrays.__setitem__)
    return arrays, units(columns)
