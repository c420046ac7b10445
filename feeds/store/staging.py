"""Checked rows on their way into a store, gathered part by part: in memory, or one file a column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns import FLAGS, dates_of
from ..errors import DataError
from ..evidence import TRADING_DAYS, Evidence, Falls
from ..grid import Layout
from ..quarantine import Quarantine
from ..rows import Rows, no_rows
from ..settling import NEVER, Settled, settle
from .layout import chunks, dtype_of

if TYPE_CHECKING:
    import pandas as pd


CHUNK = 1 << 20  # stock-days at a time


class _Growing:
    """An array that takes part after part: of large ones the system takes back the memory when they are let go."""

    def __init__(self, dtype: str, expected: int) -> None:
        self.dtype, self._count, self._array = np.dtype(dtype), 0, np.empty(expected, dtype)

    def append(self, values: np.ndarray) -> None:
        """Take a part."""
        end = self._count + len(values)
        if end > len(self._array):
            grown = np.empty(max(end, 2 * self._count), self.dtype)
            grown[:self._count] = self.values
            self._array = grown
        self._array[self._count:end] = values
        self._count = end

    @property
    def values(self) -> np.ndarray:
        """All values so far."""
        return self._array[:self._count]


class Staging:
    """The rows of a market, in the order in which they came.

    Parameters
    ----------
    quarantine : Quarantine
        Takes what is found in single rows.
    folder : Path, optional
        Where the columns are kept meanwhile; without it in memory.
    rows : int
        How many rows to expect, about: memory is taken once.
    """

    def __init__(self, quarantine: Quarantine, folder: Path | None = None, rows: int = 0) -> None:
        self._expected = rows
        self.quarantine, self.evidence = quarantine, Evidence(quarantine.since, quarantine.until)
        self.late: dict[str, Callable[[], np.ndarray]] = {}  # columns of a file that are not read with the others
        self.columns: dict[str, str] = {}  # dtype of each
        self.stock = self.day = np.empty(0, 'int32')  # of each row that stays, once the layout is made
        self.without_close = np.empty(0, 'int64')  # rows, of those that stay, that get the last close
        self.count = 0
        self._folder = folder
        self._stock, self._day, self._number = (_Growing('int32', rows) for _ in range(3))
        self._ids: dict[str, int] = {}
        self._parts: dict[str, list[tuple[int, int, str]]] = {}  # column -> of each part its first row, rows, dtype
        self._held: dict[str, _Growing] = {}  # columns in memory
        self._files: dict[str, Any] = {}
        self._sources: list[tuple[int, Rows]] = []  # first row of each part; the part, less its rows
        self._names: list[tuple[np.ndarray, np.ndarray, list[str]]] = []
        self._text: dict[str, str] = {}  # further columns of text -> where
        self._keep: np.ndarray | None = None
        self.by_name: set[str] = set()  # flags that the names of stocks tell

    def add(self, rows: Rows, *, checked: bool = False) -> None:
        """Check some rows and keep those that can be used.

        Parameters
        ----------
        rows : Rows
        checked : bool
            They have been checked; their findings are in the quarantine.
        """
        if not checked:
            rows = self.evidence.clean(rows, self.quarantine)
        for name in rows.text:
            self._text.setdefault(name, rows.source)
        if not len(rows):
            return
        ids = np.array([-1 if code is None else self._ids.setdefault(code, len(self._ids)) for code in rows.codes], 'int32')
        self._stock.append(ids[rows.stock])
        self._day.append(rows.day)
        for name, values in rows.columns.items():
            self._put(name, values)
        if rows.names is not None:
            self._note_names(rows, ids)
        self.by_name |= rows.by_name
        self._number.append(rows.number)
        self._sources.append((self.count, rows.take(np.empty(0, 'int64'))))  # by numbers: a view would keep all of them
        self.count += len(rows)

    def _put(self, name: str, values: np.ndarray) -> None:
        dtype = dtype_of(name, values.dtype)
        values = np.ascontiguousarray(values, dtype)
        self.columns[name] = np.promote_types(self.columns.get(name, dtype), dtype).str
        if self._folder is not None:
            if name not in self._files:
                self._files[name] = open(self._folder / f'{len(self._files)}.bin', 'w+b')  # noqa: SIM115  closed by close()
            self._files[name].write(values.view('u1'))
        else:
            if name not in self._held or self._held[name].dtype != self.columns[name]:
                grown = _Growing(self.columns[name], self._expected)
                grown.append(self._held[name].values if name in self._held else np.empty(0))
                self._held[name] = grown
            self._held[name].append(values)
        self._parts.setdefault(name, []).append((self.count, len(values), dtype))

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    # -- the whole ----------------------------------------------------------------------------------------

    def layout(self, source: str, *, judged: bool = False, first_priced: Callable[..., np.ndarray] | None = None,
               days: tuple[date | None, date | None] = (None, None)) -> Layout:
        """Leave out rows that are there twice, judge the market as a whole, and return the layout of its rows.

        Parameters
        ----------
        source : str
            What messages call the market.
        judged : bool
            It is known to be right.
        first_priced : callable, optional
            Takes the codes, and the stock and ordinal of each row; returns the ordinal of the first row that the market has
            already of each stock.
        days : tuple of date, optional
            First and last day that were asked for.

        Raises
        ------
        DataError
            A market that is wrong as a whole, or without rows.
        """
        for name, where in self._text.items():
            if name in self.columns:
                raise DataError(f'{where}, column {name}: found text, but numbers in other rows or files; make it numbers '
                                'everywhere, or leave the column out')
        codes = np.array(sorted(self._ids), dtype='S11')
        order = np.empty(len(codes) + 1, 'int32')
        order[[self._ids[code.decode()] for code in codes]] = np.arange(len(codes))
        if self.count:
            stock, day = order[self._stock.values], self._day.values
            self._stock = self._day = None
            before = np.full(len(codes), NEVER, 'int64') if first_priced is None else first_priced(codes, stock, day)
            settled = settle(stock, day, before, [*self.columns, *self.late], self._read)
            settled.tell(self.quarantine, lambda at: self._rows_at(at, stock, day, codes))
            stock, day = self._leave_out(settled, stock, day)
        if not judged:
            self.evidence.judge(source)
            self.quarantine.judge()
        if not self.count or not len(day):
            raise no_rows(source + (f' ({self.quarantine.line()})' if len(self.quarantine) else ''), *days)
        low = int(day.min())
        days = np.flatnonzero(np.bincount(day - low)).astype('int32') + low
        number = np.zeros(int(days[-1]) - low + 1, 'int32')
        number[days - low] = np.arange(len(days))
        self.stock, self.day = stock, number[day - low]
        there = np.flatnonzero(np.bincount(stock, minlength=len(codes)))
        if len(there) < len(codes):  # all rows of a stock were left out
            codes, self.stock = codes[there], np.searchsorted(there, stock).astype('int32')
        return Layout(codes, days, self.stock, self.day)

    def _leave_out(self, settled: Settled, stock: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        left_out, self.without_close = settled.left_out(), settled.last_close
        if not len(left_out):
            return stock, day
        self._keep = keep = np.ones(self.count, bool)
        keep[left_out] = False
        self.without_close = np.cumsum(keep)[settled.last_close] - 1
        return stock[keep], day[keep]

    def _rows_at(self, at: np.ndarray, stock: np.ndarray, day: np.ndarray, codes: np.ndarray) -> Iterator[Rows]:
        """Yield rows by their numbers, a `Rows` for each part that they are of."""
        first = np.array([start for start, _ in self._sources])
        part = np.searchsorted(first, at, 'right') - 1
        for number in np.unique(part).tolist():
            mine = at[part == number]
            empty = self._sources[number][1]
            texts = codes.astype(str).tolist()
            file_of = None if empty.files is None else dict(zip(empty.codes, empty.files, strict=True))
            files = None if file_of is None else [file_of.get(code, '') for code in texts]
            yield Rows(empty.source, day[mine], stock[mine], texts, {}, self._number.values[mine], empty.in_lines,
                       headings=empty.headings, files=files)

    def _read(self, name: str) -> np.ndarray:
        """Return a column of all rows that came; what a part lacks is not known, and a flag is then 0."""
        if name in self.late:
            return self.late[name]()[self._number.values]
        dtype, parts = self.columns[name], self._parts[name]
        if self._folder is not None:
            self._files[name].flush()
            self._files[name].seek(0)
            values = [np.fromfile(self._files[name], kind, count) for _, count, kind in parts]
            held = np.concatenate(values) if len(values) > 1 else values[0]
        else:
            held = self._held[name].values
        if len(held) == self.count:
            return held.astype(dtype, copy=False)
        out = np.zeros(self.count, dtype) if name in FLAGS else np.full(self.count, np.nan, dtype)
        at = 0
        for first, count, _ in parts:  # some parts lack it
            out[first:first + count] = held[at:at + count]
            at += count
        return out

    def check_order(self) -> None:
        """Refuse rows of a stock whose days do not ascend, where nothing is to be mended."""
        order = np.argsort(self.stock, kind='stable')
        back = np.flatnonzero((np.diff(self.stock[order]) == 0) & (np.diff(self.day[order]) < 0))
        if len(back):
            number = self._number.values if self._keep is None else self._number.values[self._keep]
            empty = self._sources[0][1]
            where = f'{empty.source}, {"line" if empty.in_lines else "row"} {number[order[back[0] + 1]]}'
            raise DataError(f'{where}, column date: found a day after a later day of the same stock, expected the dates of each '
                            "stock in ascending order; sort the table by ['date', 'code']")

    def column(self, name: str) -> np.ndarray:
        """Return a column of the rows that stay."""
        values = self._read(name)
        return values if self._keep is None else values[self._keep]

    def forget(self, name: str) -> None:
        """Let go of a column in memory."""
        self._held.pop(name, None)

    # -- names --------------------------------------------------------------------------------------------

    def _note_names(self, rows: Rows, ids: np.ndarray) -> None:
        """Keep the days on which a stock's name is another one than in its row before."""
        which, names = rows.names
        order = np.lexsort((rows.day, rows.stock))
        stock, name = rows.stock[order], which[order]
        new = np.flatnonzero((np.diff(stock, prepend=-1) != 0) | (np.diff(name, prepend=-1) != 0))
        new = new[name[new] >= 0]
        at = order[new]
        self._names.append((ids[rows.stock[at]], rows.day[at], [names[number] for number in which[at].tolist()]))

    def names(self) -> pd.DataFrame | None:
        """Return the names of the stocks as a table: code, date, name; None where there are none."""
        if not self._names:
            return None
        import pandas as pd

        codes = np.array(list(self._ids), object)  # by their numbers: in the order in which they came
        table = pd.DataFrame({
            'code': codes[np.concatenate([ids for ids, _, _ in self._names])],
            'date': dates_of(np.concatenate([days for _, days, _ in self._names])),
            'name': [name for _, _, names in self._names for name in names]})
        table = table.sort_values(['code', 'date'], kind='stable', ignore_index=True)
        return table[(table['code'] != table['code'].shift()) | (table['name'] != table['name'].shift())].reset_index(drop=True)

    def about(self, names: pd.DataFrame | None) -> dict[str, str]:
        """Return what is to be known of columns that were made of others."""
        if names is None or not self.by_name:
            return {}
        change = names['code'].duplicated().any() or self.day.max(initial=0) < TRADING_DAYS
        text = 'by the name of the day' if change else (
            'by names that never change: not known for the past, that of today on all days')
        return dict.fromkeys(sorted(self.by_name), text)


def judge_falls(staging: Staging, source: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse adjusted prices, as market caps tell them, where no amounts told already.

    Parameters
    ----------
    staging : Staging
    source : str
        What messages call the market.
    arrays : mapping of str to ndarray
        Of the laid out market.
    """
    if staging.evidence.has_amounts:
        return
    falls, start, codes = Falls(int(arrays['days'][-1])), arrays['start'], arrays['codes'].astype(str)
    for low, high, part in chunks(start, CHUNK):
        stock = np.repeat(np.arange(low, high), np.diff(start[low:high + 1]))
        day = arrays['days'][np.arange(part.start, part.stop) - start[stock] + arrays['first'][stock]]
        falls.take(arrays['stock/market_cap'][part], arrays['stock/close'][part], stock, day, codes)
    falls.judge(source)
