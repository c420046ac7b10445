"""Making the folder of a `MarketStore` from files of any size, or from the tables of a source."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import files
from ..columns import FLAGS, REFERENCE_TABLES
from ..errors import DataError
from ..schema import check_table
from ..sources import SOURCES
from .folder import VersionFolder, writing
from .layout import DuplicateRow, Layout, Read, RowKeys, build, numeric_columns, units
from .manifest import MANIFEST
from .market_store import MarketStore

BATCH = 500_000  # rows read and checked at a time


def ingest(
    paths: list[Path], store: Path, *, append: bool = False, about: dict[str, Any] | None = None,
    progress: Callable[[int, int], Any] | None = None,
) -> MarketStore:
    """Make a store from canonical tables in files, or extend it.

    Parameters
    ----------
    paths : list of Path
        Parquet or CSV files, of any size; rows in any order, one per stock and day over all files.
    store : Path
        The folder.
    append : bool
        Keep the rows that the store has; a row of the files replaces that of the same stock and day.
    about : dict, optional
        What the manifest shall say of the source.
    progress : callable, optional
        Called with what is done and what there is to do.

    Returns
    -------
    MarketStore
        The new store, opened.

    Raises
    ------
    DataError
        Wrong input, found before the store is touched; or another writer at work.
    """
    def rows(staging: Path) -> _Staging:
        return _Staging([_FileRows(path, staging / str(number)) for number, path in enumerate(paths)],
                        [_size(path) for path in paths], progress)

    return _make(rows, store, append, {'source': ', '.join(path.name for path in paths), **(about or {})})


def ingest_tables(
    tables: Iterable[pd.DataFrame], store: Path, *, append: bool = False, about: dict[str, Any] | None = None,
    reference_data: dict[str, pd.DataFrame] | None = None,
) -> MarketStore:
    """Make a store from canonical tables that a source yields, or extend it.

    Parameters
    ----------
    tables : iterable of DataFrame
        Each with ``attrs['source']``, what messages call it; all with the same columns.
    store : Path
        The folder.
    append : bool
        Keep the rows that the store has; a row of the tables replaces that of the same stock and day.
    about : dict, optional
        What the manifest shall say of the source; read when the tables are done.
    reference_data : dict of str to DataFrame, optional
        Tables beside the market, see `columns.REFERENCE_TABLES`; read when the tables are done.

    Raises
    ------
    DataError
        Wrong input, found before the store is touched; or another writer at work.
    """
    return _make(lambda staging: _Staging([_TableRows(tables, staging / '0')], [1], None), store, append, about or {},
                 reference_data or {})


def _make(
    rows: Callable[[Path], _Staging], store: Path, append: bool, about: dict[str, Any],
    reference_data: dict[str, pd.DataFrame] | None = None,
) -> MarketStore:
    """Make a new version of a store and put it in place."""
    if append and not (store / MANIFEST).exists():
        raise DataError(f'{store}: found no store to append to; leave out --append to make one')
    with writing(store):
        if not append and (store / MANIFEST).exists():  # asked under the lock: another writer may just have made it
            raise DataError(f'{store}: there is a store already; add --append to extend it, or remove the folder')
        old = MarketStore.open(store) if append else None
        sources = (old.about.get('source') if old is not None else None, about.get('source'))
        if sources[0] != sources[1] and set(sources) <= set(SOURCES):
            raise DataError(f'{store}: found a store made from {sources[0]}, expected one from {sources[1]}: '
                            'sources differ in how they see the same day; give another --store')
        folder = VersionFolder(store)
        temporary = folder.path / 'staging'
        temporary.mkdir()
        staging = rows(temporary)
        try:
            layout = staging.read()
        except DuplicateRow as duplicate:
            raise staging.duplicate_error(duplicate) from None
        columns, read = staging.columns, staging.column
        if old is not None:
            columns = _wider({name: old.arrays[f'stock/{name}'].dtype.str for name in old.columns}, columns)
            layout, read = _merged(old, layout, staging)
        build(layout, columns, read, folder.put)
        shutil.rmtree(temporary)
        for name in {*(old.reference_names if old is not None else ()), *(reference_data or {})}:
            parts = [old.reference_table(name)] if old is not None and name in old.reference_names else []
            parts += [reference_data[name]] if reference_data and name in reference_data else []
            folder.put_table(name, _joined(name, parts))
        before = old.about if old is not None else {}
        kept = {name: text for name, text in before.items() if 'estimated' in str(text)}  # true of the rows that stay
        folder.publish(units(columns), {**before, **about, **kept})
    return MarketStore.open(store)


def _wider(one: dict[str, str], other: dict[str, str]) -> dict[str, str]:
    """Return all columns, each with the dtype that holds the values of both."""
    both = {**other, **one}
    return {name: np.promote_types(both[name], other.get(name, both[name])).str for name in {**one, **other}}


def _joined(name: str, parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Return old and new rows of a table beside the market; a new row replaces the old one of the same key."""
    columns = list(REFERENCE_TABLES[name])
    key = [column for column in columns if column in ('code', 'date', 'index')]
    table = pd.concat([part[columns] for part in parts if len(part)] or [parts[0][columns]])
    return table.drop_duplicates(key, keep='last').sort_values(key).reset_index(drop=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _release_memory() -> None:
    """Give back the memory that the reader of Parquet files keeps for later."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def _merged(old: MarketStore, new: Layout, staging: _Staging) -> tuple[Layout, Read]:
    """Return the layout of an old store with new rows, and its columns: the old rows that stay, then the new."""
    codes = np.union1d(old.arrays['codes'], new.codes)
    days = np.union1d(old.days, new.days).astype('int32')
    there = np.zeros((len(days), len(codes)), bool)
    there[np.ix_(np.searchsorted(days, new.days), np.searchsorted(codes, new.codes))] = new.exists
    own_stock = old.arrays['day_stock']
    own_day = np.repeat(np.arange(len(old.days), dtype='int32'), np.diff(old.arrays['day_start']))
    stock = np.searchsorted(codes, old.arrays['codes']).astype('int32')[own_stock]
    day = np.searchsorted(days, old.days).astype('int32')[own_day]
    stays = ~there[day, stock]
    places = old.arrays['start'][own_stock[stays]] + (own_day[stays] - old.first[own_stock[stays]])
    new_stock = np.searchsorted(codes, new.codes).astype('int32')[staging.stock]
    new_day = np.searchsorted(days, new.days).astype('int32')[staging.day]
    layout = Layout(codes, days, np.concatenate([stock[stays], new_stock]), np.concatenate([day[stays], new_day]))

    def read(name: str) -> np.ndarray:
        column = old.arrays.get(f'stock/{name}')
        unknown = 0.0 if name in FLAGS else np.nan  # a flag has no third value
        kept = np.full(len(places), unknown) if column is None else column[places]
        added = staging.column(name) if name in staging.columns else np.full(len(new_stock), unknown)
        return np.concatenate([kept, added])

    return layout, read


class _FileRows:
    """The rows of one file, checked; a CSV's are kept one file a column meanwhile, as reading it again is slow."""

    def __init__(self, path: Path, staging: Path) -> None:
        self.path, self.count = path, 0
        self.columns: dict[str, str] = {}
        self.lines: list[np.ndarray] = []  # of the rows, in a CSV
        self.text: set[str] = set()  # further columns that hold text
        self._folder = None if path.name.lower().endswith('.parquet') else staging
        self._streams: dict[str, Any] = {}

    def check(self, keys: RowKeys) -> Iterator[int]:
        """Check all rows, gather their dates and codes, and yield how many bytes of memory each part had."""
        try:
            for part, lines, first in files.parts(self.path, BATCH):
                table = check_table(part, str(self.path), lines=lines, first_row=first, ordered=False)
                keys.add(table['date'], table['code'])
                self._note(table)
                if self._folder is not None:
                    self.lines.append(lines)
                    self._keep(table)
                self.count += len(table)
                yield int(part.memory_usage().sum())
        finally:
            for stream in self._streams.values():
                stream.close()

    def _note(self, table: pd.DataFrame) -> None:
        """Note which columns are kept, and which are text."""
        found = numeric_columns(table)
        self.columns = self.columns or found
        self.text |= {name for name in table.columns if name not in found and name not in ('date', 'code')}

    def place(self, row: int) -> str:
        """Return where a row is, in the user's own file."""
        return f'{self.path}, ' + (f'line {np.concatenate(self.lines)[row]}' if self.lines else f'row {row}')

    def _keep(self, table: pd.DataFrame) -> None:
        for number, (name, dtype) in enumerate(self.columns.items()):
            if not pd.api.types.is_numeric_dtype(table[name].dtype):
                table[name] = pd.to_numeric(table[name], errors='coerce')  # a further column that later turns to text
            if name not in self._streams:
                self._folder.mkdir(exist_ok=True)
                self._streams[name] = open(self._folder / f'{number}.bin', 'wb')  # noqa: SIM115  closed by check()
            self._streams[name].write(np.ascontiguousarray(table[name].to_numpy(dtype)).view('u1'))

    def column(self, name: str, dtype: str) -> np.ndarray:
        """Return a column of all rows; one that the file lacks is not known."""
        if name not in self.columns:
            return np.zeros(self.count, dtype) if dtype == '|u1' else np.full(self.count, np.nan, dtype)
        if self._folder is not None:
            return np.fromfile(self._folder / f'{list(self.columns).index(name)}.bin', self.columns[name])
        values = files.parquet_column(self.path, name)
        if not pd.api.types.is_numeric_dtype(values.dtype):
            values = pd.to_numeric(values, errors='coerce')
        if len(values) != self.count:
            raise DataError(f'{self.path}: was changed while it was read; start again')
        return values.to_numpy(dtype, na_value=np.nan) if dtype != '|u1' else values.to_numpy(dtype)


class _TableRows(_FileRows):
    """The rows of tables that a source yields one after the other."""

    def __init__(self, tables: Iterable[pd.DataFrame], staging: Path) -> None:
        super().__init__(Path('the source'), staging)
        self._folder, self._tables = staging, tables
        self._from: list[tuple[str, int]] = []  # of each table: what messages call it, rows

    def check(self, keys: RowKeys) -> Iterator[int]:
        """Check all rows, gather their dates and codes."""
        try:
            for table in self._tables:
                name = table.attrs.get('source', 'the source')
                checked = check_table(table, name, ordered=False)
                keys.add(checked['date'], checked['code'])
                self._note(checked)
                self._keep(checked.reindex(columns=['date', 'code', *self.columns]))
                self._from.append((name, len(checked)))
                self.count += len(checked)
                yield 0
        finally:
            for stream in self._streams.values():
                stream.close()
        if not self.count:
            raise DataError('the source has no rows for these stocks and days; check --start, --end and --codes')

    def place(self, row: int) -> str:
        """Return where a row is."""
        for name, rows in self._from:
            if row < rows:
                return f'{name}, row {row}'
            row -= rows
        raise AssertionError


class _Staging:
    """The rows of all files, in their order."""

    def __init__(self, rows: list[_FileRows], sizes: list[int], progress: Callable[[int, int], Any] | None) -> None:
        self.files = rows
        self.columns: dict[str, str] = {}
        self.stock = self.day = np.empty(0, 'int32')
        self._sizes = sizes
        self._size = 2 * sum(sizes)  # reading is about half of the work
        self._tell = progress or (lambda done, size: None)

    def read(self) -> Layout:
        """Check the files and return the layout of their rows."""
        keys, before = RowKeys(), 0
        for file, size in zip(self.files, self._sizes, strict=True):
            done = 0
            for part in file.check(keys):
                done = min(size, done + part // 3)  # files are packed
                self._tell(before + done, self._size)
            before += size
            self.columns = _wider(self.columns, file.columns)
        for file in self.files:
            text = next((name for name in file.text if name in self.columns), None)
            if text is not None:
                raise DataError(f'{file.path}, column {text}: found text, but numbers in other rows or files; make it numbers '
                                'everywhere, or leave the column out')
        _release_memory()
        layout = keys.layout()
        self.stock, self.day = keys.stock, keys.day
        return layout

    def column(self, name: str) -> np.ndarray:
        """Return a column of all rows."""
        number = list(self.columns).index(name)
        self._tell(self._size // 2 * (len(self.columns) + number) // len(self.columns), self._size)
        values = [file.column(name, self.columns[name]) for file in self.files]
        _release_memory()
        return values[0] if len(values) == 1 else np.concatenate(values)

    def duplicate_error(self, duplicate: DuplicateRow) -> DataError:
        """Say where a row is that is there a second time."""
        row = duplicate.row
        for file in self.files:
            if row < file.count:
                return DataError(f'{file.place(row)}, column code: found {duplicate.what} a second time, expected one row '
                                 'per date and code; drop one of the two rows')
            row -= file.count
        raise AssertionError
