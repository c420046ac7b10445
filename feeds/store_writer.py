"""Making a `MarketStore`: from a table in memory, or from files of any size into a folder.

A folder is never changed in place. A new version of all files is written beside the old one, then the manifest
is replaced by one rename: a writer killed at any moment leaves the old version whole, and readers keep the files
that they have mapped.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from . import files
from .errors import DataError
from .schema import check_table
from .sources import SIDES, SOURCES
from .store import FORMAT, MANIFEST, MarketStore, checksum, manifest_mark, read_manifest
from .store_layout import Doubled, Keys, Layout, Read, build, numeric_columns, units

BATCH = 500_000  # rows read and checked at a time


# -- folders ----------------------------------------------------------------------------------------------


# as tempfile names them: a folder of the user's own is not touched
_VERSION = re.compile(r'version-[a-z0-9_]{8}')


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Hold a folder for one writer, and clean up what a killed one has left.

    Raises
    ------
    DataError
        Another writer is at work, or the folder is no store.
    """
    made = not path.exists()
    if not made and not path.is_dir():
        raise DataError(f'{path}: found a file, expected the folder of a store; give another --store')
    if not made and not (path / MANIFEST).exists():
        other = [entry.name for entry in path.iterdir()
                 if entry.name not in ('.lock', MANIFEST + '.part') and not _VERSION.fullmatch(entry.name)]
        if other:
            raise DataError(f'{path}: found a folder with other files ({sorted(other)[0]}), expected a store or an empty '
                            'folder; give another --store')
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f'{path}: cannot be made ({error.strerror}); give another --store') from None
    with open(path / '.lock', 'a+') as lock:
        if not lock_file(lock.fileno()):
            raise DataError(f'{path}: another writer is at work on this store; wait until it is done')
        _clean(path)
        try:
            yield
        finally:
            _clean(path)
            if made and not (path / MANIFEST).exists():
                with contextlib.suppress(OSError):
                    (path / '.lock').unlink()
                    path.rmdir()


def lock_file(handle: int) -> bool:
    """Lock an open file, without waiting; the lock goes with the process, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _clean(path: Path) -> None:
    """Remove versions that no manifest names: from killed writers, or replaced ones.

    A manifest that cannot be read does not say what may be removed: it is an error.
    """
    current = read_manifest(path)['version'] if (path / MANIFEST).exists() else ''
    for entry in path.iterdir():
        if entry.name != current and _VERSION.fullmatch(entry.name):
            shutil.rmtree(entry, ignore_errors=True)  # Windows keeps what is mapped: the next writer removes it
    with contextlib.suppress(OSError):
        (path / (MANIFEST + '.part')).unlink()


class _Folder:
    """The files of a version that is being written."""

    def __init__(self, path: Path) -> None:
        self.store = path
        self.path = Path(tempfile.mkdtemp(prefix='version-', dir=path))
        self.path.chmod(0o755)
        self.entries: dict[str, dict[str, Any]] = {}
        self.sides: dict[str, dict[str, Any]] = {}

    def put(self, name: str, values: np.ndarray) -> None:
        """Write an array."""
        kind, _, column = name.partition('/')
        file = (f'{kind}-{quote(column, safe="")}' if column else kind) + '.bin'
        values = np.ascontiguousarray(values)
        data = values.reshape(-1).view('u1') if values.size else b''
        with open(self.path / file, 'wb') as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        self.entries[name] = {
            'file': file, 'dtype': values.dtype.str, 'shape': list(values.shape), 'bytes': values.nbytes,
            'crc32': zlib.crc32(data)}

    def put_side(self, name: str, table: pd.DataFrame) -> None:
        """Write a table beside the market."""
        file = self.path / f'side-{name}.parquet'
        table.to_parquet(file, index=False)
        self.sides[name] = {'file': file.name, 'bytes': file.stat().st_size, 'crc32': checksum(file)}

    def publish(self, columns: dict[str, str], about: dict[str, Any]) -> None:
        """Put the version in place of the old one."""
        manifest = {'format': FORMAT, 'version': self.path.name, 'about': about, 'columns': columns,
                    'arrays': self.entries, 'sides': self.sides}
        manifest['crc32'] = manifest_mark(json.loads(json.dumps(manifest)))
        part = self.store / (MANIFEST + '.part')
        with open(part, 'w', encoding='utf-8') as stream:
            json.dump(manifest, stream, indent=1, ensure_ascii=False)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, self.store / MANIFEST)


def save(store: MarketStore, path: Path) -> None:
    """Write a store from memory into a folder."""
    with writing(path):
        folder = _Folder(path)
        for name, values in store.arrays.items():
            folder.put(name, values)
        for name in store.side_names:
            folder.put_side(name, store.side(name))
        folder.publish(store.columns, store.about)


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
        return _Staging([_Rows(path, staging / str(number)) for number, path in enumerate(paths)],
                        [_size(path) for path in paths], progress)

    return _make(rows, store, append, {'source': ', '.join(path.name for path in paths), **(about or {})})


def ingest_tables(
    tables: Iterable[pd.DataFrame], store: Path, *, append: bool = False, about: dict[str, Any] | None = None,
    sides: dict[str, pd.DataFrame] | None = None,
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
    sides : dict of str to DataFrame, optional
        Tables beside the market, see `sources.SIDES`; read when the tables are done.

    Raises
    ------
    DataError
        Wrong input, found before the store is touched; or another writer at work.
    """
    return _make(lambda staging: _Staging([_Given(tables, staging / '0')], [1], None), store, append, about or {}, sides or {})


def _make(
    rows: Callable[[Path], _Staging], store: Path, append: bool, about: dict[str, Any],
    sides: dict[str, pd.DataFrame] | None = None,
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
        folder = _Folder(store)
        temporary = folder.path / 'staging'
        temporary.mkdir()
        staging = rows(temporary)
        try:
            layout = staging.read()
        except Doubled as doubled:
            raise staging.name_doubled(doubled) from None
        columns, read = staging.columns, staging.column
        if old is not None:
            columns = _wider({name: old.arrays[f'stock/{name}'].dtype.str for name in old.columns}, columns)
            layout, read = _merged(old, layout, staging)
        build(layout, columns, read, folder.put)
        shutil.rmtree(temporary)
        for name in {*(old.side_names if old is not None else ()), *(sides or {})}:
            parts = [old.side(name)] if old is not None and name in old.side_names else []
            parts += [sides[name]] if sides and name in sides else []
            folder.put_side(name, _joined(name, parts))
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
    key = [column for column in SIDES[name] if column in ('code', 'date', 'index')]
    table = pd.concat([part[list(SIDES[name])] for part in parts if len(part)] or [parts[0][list(SIDES[name])]])
    return table.drop_duplicates(key, keep='last').sort_values(key).reset_index(drop=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _let_go() -> None:
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
        kept = np.full(len(places), np.nan) if column is None else column[places]
        added = staging.column(name) if name in staging.columns else np.full(len(new_stock), np.nan)
        return np.concatenate([kept, added])

    return layout, read


class _Rows:
    """The rows of one file, checked; a CSV's are kept one file a column meanwhile, as reading it again is slow."""

    def __init__(self, path: Path, staging: Path) -> None:
        self.path, self.count = path, 0
        self.columns: dict[str, str] = {}
        self.lines: list[np.ndarray] = []  # of the rows, in a CSV
        self.text: set[str] = set()  # further columns that hold text
        self._folder = None if path.name.lower().endswith('.parquet') else staging
        self._streams: dict[str, Any] = {}

    def check(self, keys: Keys) -> Iterator[int]:
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


class _Given(_Rows):
    """The rows of tables that a source yields one after the other."""

    def __init__(self, tables: Iterable[pd.DataFrame], staging: Path) -> None:
        super().__init__(Path('the source'), staging)
        self._folder, self._tables = staging, tables
        self._from: list[tuple[str, int]] = []  # of each table: what messages call it, rows

    def check(self, keys: Keys) -> Iterator[int]:
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

    def __init__(self, rows: list[_Rows], sizes: list[int], progress: Callable[[int, int], Any] | None) -> None:
        self.files = rows
        self.columns: dict[str, str] = {}
        self.stock = self.day = np.empty(0, 'int32')
        self._sizes = sizes
        self._size = 2 * sum(sizes)  # reading is about half of the work
        self._tell = progress or (lambda done, size: None)

    def read(self) -> Layout:
        """Check the files and return the layout of their rows."""
        keys, before = Keys(), 0
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
        _let_go()
        layout = keys.layout()
        self.stock, self.day = keys.stock, keys.day
        return layout

    def column(self, name: str) -> np.ndarray:
        """Return a column of all rows."""
        number = list(self.columns).index(name)
        self._tell(self._size // 2 * (len(self.columns) + number) // len(self.columns), self._size)
        values = [file.column(name, self.columns[name]) for file in self.files]
        _let_go()
        return values[0] if len(values) == 1 else np.concatenate(values)

    def name_doubled(self, doubled: Doubled) -> DataError:
        """Say where a row is that is there a second time."""
        row = doubled.row
        for file in self.files:
            if row < file.count:
                return DataError(f'{file.place(row)}, column code: found {doubled.what} a second time, expected one row '
                                 'per date and code; drop one of the two rows')
            row -= file.count
        raise AssertionError
