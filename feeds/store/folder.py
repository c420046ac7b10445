"""Writing the folder of a store: a lock, a new version beside the old one, and one rename.

A folder is never changed in place. A new version of all files is written beside the old one, then the manifest
is replaced by one rename: a writer killed at any moment leaves the old version whole, and readers keep the files
that they have mapped.
"""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from ..errors import DataError
from .manifest import FORMAT, MANIFEST, file_checksum, manifest_checksum, read_manifest

if TYPE_CHECKING:
    import pandas as pd

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


def map_array(file: Path, entry: dict[str, Any], maps: list[mmap.mmap]) -> np.ndarray:
    """Map one array from its file, by its entry in the manifest; the mapping is added to `maps`."""
    shape = tuple(entry['shape'])
    if not entry['bytes']:
        return np.empty(shape, entry['dtype'])
    with open(file, 'rb') as stream:
        maps.append(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    return np.frombuffer(maps[-1], entry['dtype']).reshape(shape)


class VersionFolder:
    """The files of a version that is being written."""

    def __init__(self, path: Path) -> None:
        self.store = path
        self.path = Path(tempfile.mkdtemp(prefix='version-', dir=path))
        self.path.chmod(0o755)
        self.entries: dict[str, dict[str, Any]] = {}
        self.tables: dict[str, dict[str, Any]] = {}

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

    def arrays(self) -> tuple[dict[str, np.ndarray], list[mmap.mmap]]:
        """Return the arrays written so far, mapped from their files, and the mappings."""
        maps: list[mmap.mmap] = []
        return {name: map_array(self.path / entry['file'], entry, maps) for name, entry in self.entries.items()}, maps

    def put_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table beside the market."""
        file = self.path / f'side-{name}.parquet'
        table.to_parquet(file, index=False)
        self.tables[name] = {'file': file.name, 'bytes': file.stat().st_size, 'crc32': file_checksum(file)}

    def publish(self, columns: dict[str, str], about: dict[str, Any]) -> None:
        """Put the version in place of the old one."""
        manifest = {'format': FORMAT, 'version': self.path.name, 'about': about, 'columns': columns,
                    'arrays': self.entries, 'sides': self.tables}
        manifest['crc32'] = manifest_checksum(json.loads(json.dumps(manifest)))
        part = self.store / (MANIFEST + '.part')
        with open(part, 'w', encoding='utf-8') as stream:
            json.dump(manifest, stream, indent=1, ensure_ascii=False)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, self.store / MANIFEST)


def write_folder(
    path: Path, arrays: Mapping[str, np.ndarray], tables: Mapping[str, pd.DataFrame], columns: dict[str, str],
    about: dict[str, Any],
) -> None:
    """Write the arrays and the reference data of a market into a folder; see `market_store.MarketStore`."""
    with writing(path):
        folder = VersionFolder(path)
        for name, values in arrays.items():
            folder.put(name, values)
        for name, table in tables.items():
            folder.put_table(name, table)
        folder.publish(columns, about)
