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
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import files
from .errors import DataError
from .schema import FLAGS, OPTIONAL, PRICES, REQUIRED, check_keys, check_table, dates_of, ordinals
from .store import DAY_COLUMNS, FORMAT, MANIFEST, MarketStore, checksum, read_manifest

BATCH = 400_000  # rows read, checked and placed at a time
Allocate = Callable[[str, str, tuple[int, ...]], np.ndarray]  # name, dtype, shape -> array of zeros


class Keys:
    """The date and code of every row, gathered part by part: what the layout follows from."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, dates: pd.Series, codes: pd.Series) -> None:
        """Take the checked dates and codes of some rows."""
        numbers, kinds = pd.factorize(codes)
        ids = np.array([self._ids.setdefault(code, len(self._ids)) for code in kinds], 'int32')
        self._parts.append((ids[numbers], ordinals(dates).astype('int32')))

    def layout(self) -> Layout:
        """Return the layout of all rows.

        Raises
        ------
        _Doubled
            A stock has two rows on a day.
        """
        codes = np.array(sorted(self._ids), dtype='S11')
        order = np.empty(len(codes), 'int32')
        order[[self._ids[code.decode()] for code in codes]] = np.arange(len(codes))
        days = np.unique(np.concatenate([np.unique(days) for _, days in self._parts]))
        exists = np.zeros((len(days), len(codes)), bool)
        seen = 0
        for ids, on in self._parts:
            exists[np.searchsorted(days, on), order[ids]] = True
            seen += len(ids)
        if int(exists.sum()) != seen:
            raise self._doubled(order, days, codes)
        return Layout(codes, days, exists)

    def _doubled(self, order: np.ndarray, days: np.ndarray, codes: np.ndarray) -> _Doubled:
        taken = np.zeros((len(days), len(codes)), bool)
        first = 0
        for ids, on in self._parts:
            flat = np.searchsorted(days, on) * len(codes) + order[ids]
            again = taken.ravel()[flat]
            unique, at = np.unique(flat, return_index=True)
            again[np.setdiff1d(np.arange(len(flat)), at)] = True
            if again.any():
                row = int(again.argmax())
                return _Doubled(first + row, f'{codes[order[ids[row]]].decode()} on {date.fromordinal(int(on[row]))}')
            taken.ravel()[unique] = True
            first += len(flat)
        raise AssertionError


class _Doubled(ValueError):
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
    exists : ndarray of bool, shape (days, stocks)
        Which rows there are.
    """

    def __init__(self, codes: np.ndarray, days: np.ndarray, exists: np.ndarray) -> None:
        self.codes, self.days, self.exists = codes, days, exists
        self.first = exists.argmax(axis=0).astype('int32')
        self.last = (len(days) - 1 - exists[::-1].argmax(axis=0)).astype('int32')
        self.start = np.concatenate([[0], np.cumsum(self.last - self.first + 1)]).astype('int64')
        self.day_start = np.concatenate([[0], np.cumsum(exists.sum(axis=1))]).astype('int64')
        self.rows = int(self.day_start[-1])
        self._rank = np.cumsum(exists.ravel(), dtype='int32' if self.rows < 2**31 else 'int64')

    def place(self, dates: pd.Series, codes: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of rows, stock-major and day-major."""
        day = np.searchsorted(self.days, ordinals(dates))
        numbers, kinds = pd.factorize(codes)
        stock = np.searchsorted(self.codes, np.asarray(kinds, dtype='S11'))[numbers]
        return self.start[stock] + (day - self.first[stock]), self._rank[day * len(self.codes) + stock] - 1


def build(
    layout: Layout, columns: dict[str, str], parts: Iterable[pd.DataFrame], allocate: Allocate, relax: Callable[[], None] = int,
) -> dict[str, np.ndarray]:
    """Lay out checked rows.

    Parameters
    ----------
    layout : Layout
    columns : dict of str to str
        Column -> dtype.
    parts : iterable of DataFrame
        The rows, in any order; together those of the layout.
    allocate : callable
        Makes an array.
    relax : callable
        Called after each part, to let go of memory.

    Returns
    -------
    dict of str to ndarray
        ``codes``, ``days``, ``first``, ``last``, ``start``, ``day_start``, ``day_stock``, ``index``, and the columns as
        ``stock/NAME`` and ``day/NAME``.
    """
    arrays: dict[str, np.ndarray] = {}

    def put(name: str, values: np.ndarray) -> None:
        arrays[name] = allocate(name, values.dtype.str, values.shape)
        arrays[name][...] = values

    for name in ('codes', 'days', 'first', 'last', 'start', 'day_start'):
        put(name, getattr(layout, name))
    put('day_stock', np.nonzero(layout.exists)[1].astype('int32'))
    for name, dtype in columns.items():
        arrays[f'stock/{name}'] = allocate(f'stock/{name}', dtype, (int(layout.start[-1]),))
        if name in DAY_COLUMNS or name not in REQUIRED | OPTIONAL:
            arrays[f'day/{name}'] = allocate(f'day/{name}', dtype, (layout.rows,))
    for part in parts:
        by_stock, by_day = layout.place(part['date'], part['code'])
        for name in columns:
            values = part[name].to_numpy() if name in part else np.nan
            arrays[f'stock/{name}'][by_stock] = values
            if f'day/{name}' in arrays:
                arrays[f'day/{name}'][by_day] = values
        relax()
    put('index', _fill_and_index(layout, {name: arrays[f'stock/{name}'] for name in columns}, relax))
    return arrays


def _fill_and_index(layout: Layout, columns: dict[str, np.ndarray], relax: Callable[[], None]) -> np.ndarray:
    """Fill the days without a row inside each stock's life, and return the market's equal-weight index.

    A day's return of the index is the plain mean over the stocks traded that day of close / reference - 1; the
    reference is ``preclose``, or the stock's last close where it is not known.
    """
    days = len(layout.days)
    sums = {name: np.zeros(days) for name in PRICES}
    count, volume = np.zeros(days), np.zeros(days)
    step = max(1, len(layout.codes) * BATCH // max(1, int(layout.start[-1])))
    for low in range(0, len(layout.codes), step):
        high = min(low + step, len(layout.codes))
        rows = slice(int(layout.start[low]), int(layout.start[high]))
        lengths = np.diff(layout.start[low:high + 1])
        stock = np.repeat(np.arange(low, high), lengths)
        begin = np.repeat(layout.start[low:high], lengths) - rows.start
        day = np.arange(rows.stop - rows.start) - begin + layout.first[stock]
        exists = layout.exists[day, stock]
        if not exists.all():
            _fill(columns, rows, exists)
        close = columns['close'][rows]
        last = np.empty_like(close)
        last[1:] = close[:-1]
        last[np.unique(begin)] = np.nan
        reference = last
        if 'preclose' in columns:
            preclose = columns['preclose'][rows]
            reference = np.where(preclose == preclose, preclose, last)
        volume += np.bincount(day, np.where(exists, columns['volume'][rows], 0), days)
        traded = exists & (columns['paused'][rows] == 0) & (reference == reference)
        on, base = day[traded], reference[traded]
        count += np.bincount(on, minlength=days)
        for name, total in sums.items():
            total += np.bincount(on, columns[name][rows][traded] / base, days)
        relax()
    mean = {name: np.divide(total, count, out=np.ones(days), where=count > 0) for name, total in sums.items()}
    level = 1000.0 * np.cumprod(mean['close'])
    before = level / mean['close']
    return np.array([*(mean[name] * before for name in PRICES), volume])


def _fill(columns: dict[str, np.ndarray], rows: slice, exists: np.ndarray) -> None:
    """Give the days without a row the values that a feed shows on them; each block begins with a real row."""
    missing = np.flatnonzero(~exists)
    source = np.maximum.accumulate(np.where(exists, np.arange(len(exists)), 0))[missing]
    for name, column in columns.items():
        block = column[rows]
        if name in PRICES:
            block[missing] = columns['close'][rows][source]
        elif name == 'paused':
            block[missing] = 1
        elif name == 'volume':
            block[missing] = 0
        elif name in FLAGS:
            block[missing] = block[source]
        else:
            block[missing] = np.nan


def dtype_of(name: str, kind: np.dtype) -> str:
    """Return the dtype in which a column is kept."""
    if name in FLAGS:
        return '|u1'
    return '<f4' if name not in REQUIRED | OPTIONAL and kind == np.float32 else '<f8'


def numeric_columns(table: pd.DataFrame) -> dict[str, str]:
    """Return the columns of a table that a store keeps, with their dtypes."""
    return {
        name: dtype_of(name, kind) for name, kind in table.dtypes.items()
        if name not in ('date', 'code') and (name in REQUIRED or name in OPTIONAL or pd.api.types.is_numeric_dtype(kind))
    }


def units(columns: Iterable[str]) -> dict[str, str]:
    """Return what is known of each column's unit."""
    return {name: REQUIRED.get(name) or OPTIONAL.get(name) or 'as in the source' for name in columns}


def from_table(table: pd.DataFrame, *, checked: bool = False, source: str = 'the table') -> MarketStore:
    """Hold a canonical table as a store in memory; see `MarketStore.from_table`."""
    if not checked:
        table = check_table(table, source)
    keys = Keys()
    keys.add(table['date'], table['code'])
    columns = numeric_columns(table)
    arrays = build(keys.layout(), columns, [table], lambda name, dtype, shape: np.zeros(shape, dtype))
    return MarketStore(arrays, units(columns), {'source': source})


# -- folders ----------------------------------------------------------------------------------------------


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
        other = [entry.name for entry in path.iterdir() if entry.name != '.lock' and not entry.name.startswith('version-')]
        if other:
            raise DataError(f'{path}: found a folder with other files ({sorted(other)[0]}), expected a store or an empty '
                            'folder; give another --store')
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f'{path}: cannot be made ({error.strerror}); give another --store') from None
    with open(path / '.lock', 'a+') as lock:
        if not _lock(lock.fileno()):
            raise DataError(f'{path}: another writer is at work on this store; wait until it is done')
        try:
            _clean(path)
            yield
        finally:
            _clean(path)
            if made and not (path / MANIFEST).exists():
                with contextlib.suppress(OSError):
                    (path / '.lock').unlink()
                    path.rmdir()


def _lock(handle: int) -> bool:
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
    """Remove versions that no manifest names: from killed writers, or replaced ones."""
    current = ''
    if (path / MANIFEST).exists():
        with contextlib.suppress(DataError):
            current = read_manifest(path)['version']
    for entry in path.glob('version-*'):
        if entry.name != current:
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
        self._maps: list[np.memmap] = []

    def allocate(self, name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        """Make a file of zeros and map it."""
        file = name.replace('/', '-') + '.bin'
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.entries[name] = {'file': file, 'dtype': dtype, 'shape': list(shape), 'bytes': size}
        with open(self.path / file, 'wb') as stream:
            if hasattr(os, 'posix_fallocate') and size:
                os.posix_fallocate(stream.fileno(), 0, size)  # a full disk is an error here, not a crash later
            else:
                stream.truncate(size)
        if not size:
            return np.zeros(shape, dtype)
        self._maps.append(np.memmap(self.path / file, dtype, 'r+', shape=shape))
        return self._maps[-1].view(np.ndarray)

    def relax(self) -> None:
        """Let go of the mapped pages: they are in the files."""
        import mmap

        if hasattr(mmap, 'MADV_DONTNEED'):
            for mapped in self._maps:
                mapped._mmap.madvise(mmap.MADV_DONTNEED)

    def publish(self, columns: dict[str, str], about: dict[str, Any]) -> None:
        """Put the version in place of the old one."""
        for mapped in self._maps:
            mapped.flush()
        self._maps.clear()
        for entry in self.entries.values():
            entry['crc32'] = checksum(self.path / entry['file'])
        manifest = {'format': FORMAT, 'version': self.path.name, 'about': about, 'columns': columns, 'arrays': self.entries}
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
            folder.allocate(name, values.dtype.str, values.shape)[...] = values
        folder.publish(store.columns, store.about)


def ingest(
    paths: list[Path], store: Path, *, append: bool = False, about: dict[str, Any] | None = None,
    progress: Callable[..., Any] | None = None,
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
        Called with the number of rows done and the number in all.

    Returns
    -------
    MarketStore
        The new store, opened.

    Raises
    ------
    DataError
        Wrong input, found before the store is touched; or another writer at work.
    """
    if append and not (store / MANIFEST).exists():
        raise DataError(f'{store}: found no store to append to; leave out --append to make one')
    if not append and (store / MANIFEST).exists():
        raise DataError(f'{store}: there is a store already; add --append to extend it, or remove the folder')
    with writing(store):
        folder = _Folder(store)
        sources = [_Source(path, folder.path) for path in paths]
        columns: dict[str, str] = {}
        keys, old = Keys(), MarketStore.open(store) if append else None
        for source in sources:
            source.read_keys(keys)
            columns = {**source.columns, **columns}
        try:
            layout = keys.layout()
        except _Doubled as doubled:
            raise _name_doubled(sources, doubled) from None
        parts: Iterable[pd.DataFrame] = (part for source in sources for part in source.parts())
        if old is not None:
            columns = {**{name: old.arrays[f'stock/{name}'].dtype.str for name in old.columns}, **columns}
            layout, parts = _merged(old, layout, parts)
        arrays = build(layout, columns, _counted(parts, layout.rows, progress), folder.allocate, folder.relax)
        del arrays
        for source in sources:
            source.close()
        folder.publish(units(columns), {
            **(old.about if old is not None else {}), 'source': ', '.join(path.name for path in paths), **(about or {})})
    return MarketStore.open(store)


def _counted(parts: Iterable[pd.DataFrame], rows: int, progress: Callable[..., Any] | None) -> Iterator[pd.DataFrame]:
    done = 0
    for part in parts:
        yield part
        done += len(part)
        if progress is not None:
            progress(done, rows)


def _name_doubled(sources: list[_Source], doubled: _Doubled) -> DataError:
    row = doubled.row
    for source in sources:
        if row < source.rows:
            place = f'row {row}' if source.lines is None else f'line {source.lines[row]}'
            return DataError(f'{source.path}, {place}, column code: found {doubled.what} a second time, expected one row '
                             'per date and code; drop one of the two rows')
        row -= source.rows
    raise AssertionError


def _merged(old: MarketStore, new: Layout, parts: Iterable[pd.DataFrame]) -> tuple[Layout, Iterator[pd.DataFrame]]:
    """Return the layout of an old store with new rows, and the rows: the old ones that stay, then the new."""
    codes = np.union1d(old.arrays['codes'], new.codes)
    days = np.union1d(old.days, new.days)
    exists = np.zeros((len(days), len(codes)), bool)
    exists[np.ix_(np.searchsorted(days, new.days), np.searchsorted(codes, new.codes))] = new.exists
    stock = np.searchsorted(codes, old.arrays['codes'])[old.arrays['day_stock']]
    day = np.repeat(np.searchsorted(days, old.days), np.diff(old.arrays['day_start']))
    stays = ~exists[day, stock]
    exists[day, stock] = True

    def rows() -> Iterator[pd.DataFrame]:
        own_stock, starts = old.arrays['day_stock'], old.arrays['day_start']
        own_day = np.repeat(np.arange(len(old.days)), np.diff(starts))
        kept = np.flatnonzero(stays)
        for low in range(0, len(kept), BATCH):
            at = kept[low:low + BATCH]
            position = old.arrays['start'][own_stock[at]] + (own_day[at] - old.first[own_stock[at]])
            yield pd.DataFrame({
                'date': dates_of(old.days[own_day[at]]),
                'code': pd.Categorical.from_codes(own_stock[at], categories=old.codes),
                **{name: old.arrays[f'stock/{name}'][position] for name in old.columns},
            })
        yield from parts

    return Layout(codes, days, exists), rows()


class _Source:
    """A file to be ingested; a CSV is checked once and kept as Parquet meanwhile, as it is read twice."""

    def __init__(self, path: Path, staging: Path) -> None:
        self.path = path
        self.rows = 0
        self.columns: dict[str, str] = {}
        self.lines: np.ndarray | None = None
        self._staged: Path | None = None
        if not path.name.lower().endswith('.parquet'):
            self._staged = staging / f'staged-{path.name}.parquet'

    def read_keys(self, keys: Keys) -> None:
        """Gather dates and codes, and count the rows."""
        if self._staged is None:
            for part, _, first in files.parts(self.path, BATCH, ['date', 'code']):
                dates = check_keys(part, str(self.path), first_row=first)
                keys.add(dates, part['code'])
                self.rows += len(part)
            self.columns = numeric_columns(next(files.parts(self.path, 1))[0])
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        writer, lines = None, []
        try:
            for part, line, _ in files.parts(self.path, BATCH):
                table = check_table(part, str(self.path), lines=line, ordered=False)
                keys.add(table['date'], table['code'])
                lines.append(line)
                self.columns = self.columns or numeric_columns(table)
                batch = pa.Table.from_pandas(table[['date', 'code', *self.columns]], preserve_index=False)
                writer = writer or pq.ParquetWriter(self._staged, batch.schema, compression='lz4')
                writer.write_table(batch.cast(writer.schema))
        finally:
            if writer is not None:
                writer.close()
        self.lines = np.concatenate(lines)
        self.rows = len(self.lines)

    def parts(self) -> Iterator[pd.DataFrame]:
        """Yield the rows, checked."""
        if self._staged is not None:
            for part, _, _ in files.parts(self._staged, BATCH):
                yield part
            return
        for part, _, first in files.parts(self.path, BATCH):
            yield check_table(part, str(self.path), first_row=first, ordered=False)

    def close(self) -> None:
        """Remove what was kept meanwhile."""
        if self._staged is not None:
            self._staged.unlink(missing_ok=True)
