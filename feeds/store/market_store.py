"""The whole market as arrays: in memory, or memory-mapped from a folder that `writer` makes.

Two layouts of the same rows. Stock-major: for each stock one block of days without a gap, from its first row
to its last, which the lines of a feed read; on a day without a row the prices repeat the last close, ``volume``
is 0, ``paused`` is 1, other flags are as before and the rest is NaN. Day-major: for each day the stocks that
have a row, which the cross-sections of the screens read; only the columns that screens usually ask for are
kept twice.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import tempfile
import weakref
import zlib
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns import INDEX_LINES, OPTIONAL, REFERENCE_TABLES, dates_of, ordinals
from ..errors import DataError
from ..invocation import command
from ..shared import SharedVectors
from .benchmarks import benchmark, parse
from .folder import map_array, write_folder
from .manifest import MANIFEST, file_checksum, of_written_size, read_manifest
from .reference_data import ReferenceData

if TYPE_CHECKING:
    import pandas as pd

    from ..quarantine import Quarantine
    from ..tables import Reading

TEMPORARY = 'bt_microcap_'  # how folders begin that are only made to travel to another process
FINDINGS = 'findings'  # the table of rows that were mended or left out, beside the reference tables


OFTEN = 32  # vectors after which pages are counted
MOST_TOUCHED = 96e6  # bytes of a store's pages that stay in memory: to map them again costs more than to read them


def touched_bytes() -> float:
    """Return the bytes of mapped files that are in this process's memory; infinite where the system does not tell."""
    try:
        with open('/proc/self/statm', encoding='ascii') as told:
            return int(told.read().split()[2]) * mmap.PAGESIZE
    except OSError:
        return math.inf


class MarketStore:
    """A market in the canonical layout, as arrays.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        See `layout.build`.
    columns : mapping of str to str
        Column -> unit.
    about : mapping
        What the manifest says of the source.
    path : Path, optional
        The folder that the arrays are mapped from.
    maps : sequence of mmap
        The mappings behind the arrays.
    tables : mapping of str to Path, optional
        Files of the reference data.

    Attributes
    ----------
    codes : ndarray of str, shape (stocks,)
        Canonical codes, ascending.
    days : ndarray of int, shape (days,)
        Trading days as ordinals, ascending.
    first, last : ndarray of int, shape (stocks,)
        Number of the day of each stock's first and last row.
    columns : dict of str to str
        Column -> unit, without date and code.
    """

    _benchmarks: dict[tuple[str, int], dict[str, np.ndarray]] | None = None  # those asked for so far
    shared: SharedVectors | None = None  # of a study's runs: what they work out of the same days
    coming: Any = None  # of a store that ends with a day nobody has seen trade yet: see `coming`

    def __init__(
        self, arrays: Mapping[str, np.ndarray], columns: Mapping[str, str], about: Mapping[str, Any] | None = None,
        path: Path | None = None, maps: Sequence[mmap.mmap] = (), tables: Mapping[str, Any] | None = None,
        version: Path | None = None,
    ) -> None:
        self.arrays, self.columns, self.about, self.path = arrays, dict(columns), dict(about or {}), path
        self.version = version  # the folder that its arrays are in, of the store's present or a former version
        self.maps = maps if hasattr(mmap, 'MADV_DONTNEED') else ()
        self.codes = arrays['codes'].astype(str)
        self.days = arrays['days']
        self.first, self.last = arrays['first'], arrays['last']
        self._start, self._day_start, self._day_stock = arrays['start'], arrays['day_start'], arrays['day_stock']
        self._asked, self._touched = 0, touched_bytes()  # vectors since pages were counted; what was in memory before the first
        self._nothing = np.full(len(self.codes), np.nan)
        self._nothing.setflags(write=False)
        self._tables: dict[str, Any] = dict(tables or {})
        self._reference_data: ReferenceData | None = None
        self._found: Quarantine | None = None  # of a table in memory
        self._ids = {code: number for number, code in enumerate(self.codes.tolist())}

    @classmethod
    def open(cls, path: str | Path) -> MarketStore:
        """Open a store; nothing but its manifest is read before it is used.

        Parameters
        ----------
        path : str or Path
            A folder made by the command ``ingest``.

        Raises
        ------
        DataError
            No store, one of another format, or a file that is missing or of the wrong size.
        """
        path = Path(path).resolve()
        for attempt in range(5):
            manifest = read_manifest(path)
            try:
                return _opened(path, json.dumps(manifest))
            except DataError:
                # a writer may have put a new version in place between the two looks
                if attempt == 4 or read_manifest(path) == manifest:
                    raise
        raise AssertionError

    @classmethod
    def from_table(
        cls, table: pd.DataFrame, *, checked: bool = False, source: str = 'the table', quarantine: Quarantine | None = None,
        reading: Reading | None = None,
    ) -> MarketStore:
        """Hold a canonical table as a store in memory.

        Parameters
        ----------
        table : DataFrame
            See `schema.check_table`.
        checked : bool
            True when it has passed `schema.check_table` already.
        source : str
            What messages call it.
        quarantine : Quarantine, optional
            Takes what is found in single rows, and says whether it is strict; without it one warning tells.
        reading : Reading, optional
            How the table is read.
        """
        from . import in_memory

        return cls._in_memory(in_memory.of_table(table, source, reading, quarantine, checked))

    @classmethod
    def from_file(
        cls, path: str | Path, *, quarantine: Quarantine | None = None, reading: Reading | None = None
    ) -> MarketStore:
        """Hold the canonical table of a Parquet or CSV file as a store in memory; see `from_table`."""
        from . import in_memory

        return cls._in_memory(in_memory.of_file(Path(path), reading, quarantine))

    @classmethod
    def _in_memory(cls, made: Any) -> MarketStore:
        store = cls(made.arrays, made.columns, made.about, tables=made.tables)
        store._found = made.quarantine
        return store

    def __len__(self) -> int:
        return len(self.codes)

    def __reduce__(self) -> tuple:
        if self.path is None:  # what travels to another process is a folder's name
            folder = tempfile.TemporaryDirectory(prefix=TEMPORARY)
            self.save(folder.name)
            self.path = Path(folder.name)
            weakref.finalize(self, folder.cleanup)
        return MarketStore.open, (str(self.path),)

    def save(self, path: str | Path) -> None:
        """Write the market into a folder, which `open` takes.

        Parameters
        ----------
        path : str or Path
            A folder that is not there yet, or is empty.

        Raises
        ------
        DataError
            The folder has other files, or another writer is at work.
        """
        tables = {name: self.reference_table(name) for name in self.reference_names}
        if len(found := self.findings()):
            tables[FINDINGS] = found
        arrays = dict(self.arrays)
        for name, spec in (('index', 'market'), ('index/microcap', 'microcap')):
            arrays[name] = np.array(list(self.benchmark(spec).values()))
        write_folder(Path(path), arrays, tables, self.columns, self.about)

    @property
    def is_temporary(self) -> bool:
        """Whether its folder was only made to travel to another process, and says nothing to a user."""
        return self.path is not None and self.path.name.startswith(TEMPORARY)

    # -- questions ----------------------------------------------------------------------------------------

    @property
    def explicit_actions(self) -> bool:
        """Whether the table has the columns of corporate actions."""
        return 'cash_dividend' in self.columns or 'share_ratio' in self.columns

    @property
    def rows(self) -> int:
        """The number of rows of the table."""
        return int(self._day_start[-1])

    def span(self) -> tuple[date, date]:
        """Return the first and the last trading day."""
        return date.fromordinal(int(self.days[0])), date.fromordinal(int(self.days[-1]))

    def checksum(self) -> int:
        """Return a CRC-32 of all that the market holds: another one is another market."""
        if self.path is not None:
            return read_manifest(self.path)['crc32']
        value = 0
        for name in sorted(self.arrays):
            value = zlib.crc32(np.ascontiguousarray(self.arrays[name]).reshape(-1).view('u1'), zlib.crc32(name.encode(), value))
        return value

    def stock_number(self, code: str) -> int:
        """Return the number of a stock in `codes`.

        Raises
        ------
        KeyError
            The store has no such stock.
        """
        try:
            return self._ids[code]
        except KeyError:
            raise KeyError(f'the store has no stock {code!r}; it has {len(self)} from {self.codes[0]} to '
                           f'{self.codes[-1]}') from None

    def find(self, codes: Sequence[str]) -> np.ndarray:
        """Return the numbers of some stocks in `codes`, -1 where the store has none of a code."""
        found = list(map(self._ids.get, codes))
        return np.array([-1 if number is None else number for number in found] if None in found else found, dtype=int)

    def day_number(self, day: int) -> int:
        """Return the number of the first trading day at or after an ordinal."""
        return int(np.searchsorted(self.days, day))

    def block(self, name: str, stock: int) -> np.ndarray | None:
        """Return a column of a stock from its first day to its last, without a gap; None where there is none."""
        column = self.arrays.get(f'stock/{name}')
        return None if column is None else column[self._start[stock]:self._start[stock + 1]]

    def vector(self, name: str, day: int) -> np.ndarray:
        """Return a column of all stocks on a day.

        Parameters
        ----------
        name : str
        day : int
            Number of the day.

        Returns
        -------
        ndarray of float, shape (stocks,)
            NaN where the stock has no row on that day.

        Raises
        ------
        KeyError
            The store has no such column.
        """
        if name not in self.columns and name in OPTIONAL:  # what a table may lack is not known; a misspelt name is an error
            return self._nothing
        column = self.arrays.get(f'day/{name}')
        self._asked += 1 if column is not None else 8  # a day's values lie beside each other, a stock's far apart
        if self._asked >= OFTEN:
            self._asked = 0
            if not touched_bytes() - self._touched <= MOST_TOUCHED:  # also where the system does not tell
                self.release_pages()
        rows = slice(self._day_start[day], self._day_start[day + 1])
        stocks = self._day_stock[rows]
        out = np.full(len(self.codes), np.nan)
        if column is not None:
            out[stocks] = column[rows]
        elif name in self.columns:  # kept by stock only: one page a stock is touched
            out[stocks] = self.arrays[f'stock/{name}'][self._start[stocks] + (day - self.first[stocks])]
        else:
            raise KeyError(f'the store has no column {name!r}; it has {", ".join(self.columns)}')
        return out

    def values(self, name: str, stocks: np.ndarray, days: np.ndarray | int) -> np.ndarray:
        """Return a column of some stocks on some days, as their blocks have it.

        Parameters
        ----------
        name : str
            A column that the store has.
        stocks : ndarray of int, shape (n,)
            Numbers of stocks.
        days : ndarray of int, shape (n,), or int
            Number of the day of each, or of all.

        Returns
        -------
        ndarray of float, shape (n,)
            NaN before a stock's first day and after its last.
        """
        first, last = self.first[stocks], self.last[stocks]
        at = self._start[stocks] + (np.minimum(np.maximum(days, first), last) - first)
        out = self.arrays[f'stock/{name}'][at].astype(float)
        out[(days < first) | (days > last)] = np.nan
        return out

    def release_pages(self) -> None:
        """Let go of mapped pages: a run walks through the days and rarely comes back; the system keeps them cached."""
        for mapped in self.maps:
            mapped.madvise(mmap.MADV_DONTNEED)

    def index(self) -> dict[str, np.ndarray]:
        """Return the market's index, equal weight: open, high, low, close (points), volume (shares)."""
        return self.benchmark('market')

    def benchmark(self, spec: str, phase: int = 0) -> dict[str, np.ndarray]:
        """Return an index on all days of the market.

        Parameters
        ----------
        spec : str
            ``market``, ``microcap``, one of the two with options, such as ``microcap:100:renew=5:weight=float_cap:new=60``,
            or six digits of an index that the store has; see `benchmarks.Benchmark` and `indices`.
        phase : int
            An index renewed every k days is renewed on the days whose number leaves the same rest over k as this.

        Returns
        -------
        dict of str to ndarray, shape (days,)
            Open, high, low, close (points), volume (shares). Read-only.

        Raises
        ------
        DataError
            There is no such index.
        """
        if self._benchmarks is None:
            self._benchmarks = {}
        with contextlib.suppress(DataError):  # which `benchmark` says
            phase %= parse(spec).renew  # so that runs from other days on share it
        if (spec, phase) not in self._benchmarks:
            self._benchmarks[spec, phase] = dict(zip(INDEX_LINES, benchmark(self, spec, phase), strict=True))
        return self._benchmarks[spec, phase]

    @property
    def reference_names(self) -> list[str]:
        """The tables beside the market that the store has, of `columns.REFERENCE_TABLES`."""
        return [name for name in self._tables if name != FINDINGS]

    def add_reference_table(self, name: str, table: pd.DataFrame) -> None:
        """Put a table beside the market in memory, of `columns.REFERENCE_TABLES`; a store's folder stays as it is."""
        self._tables[name], self._reference_data, self._benchmarks = table, None, None

    @property
    def has_findings(self) -> bool:
        """Whether rows of the source were mended or left out."""
        return bool(self._found) or FINDINGS in self._tables

    def findings(self) -> pd.DataFrame:
        """Return which rows of the source were mended or left out, with the columns of `quarantine.COLUMNS`."""
        import pandas as pd

        from ..quarantine import COLUMNS

        if self._found is not None:
            return self._found.table()
        found = self._tables.get(FINDINGS)
        return pd.DataFrame(columns=list(COLUMNS)) if found is None else pd.read_parquet(found)

    def reference_table(self, name: str) -> pd.DataFrame:
        """Return a table beside the market: names, listings, industries, constituents or benchmarks.

        Parameters
        ----------
        name : str
            Of `columns.REFERENCE_TABLES`, which says its columns.

        Returns
        -------
        DataFrame
            Without rows where the store has no such table.
        """
        import pandas as pd

        found = self._tables.get(name)
        if found is None:
            return pd.DataFrame(columns=list(REFERENCE_TABLES[name]))
        if isinstance(found, Path):
            found = self._tables[name] = pd.read_parquet(found)
        return found

    def listing_days(self, column: str) -> dict[str, int]:
        """Return the ordinals of ``listed`` or ``delisted`` by code, where the store tells them; without listings none.

        pandas is only needed where there are listings.
        """
        if 'listings' not in self.reference_names:
            return {}
        known = self.reference_table('listings').dropna(subset=column)
        return dict(zip(known['code'], ordinals(known[column]).tolist(), strict=True))

    @property
    def reference_data(self) -> ReferenceData:
        """Looks things up in the tables beside the market."""
        if self._reference_data is None:
            self._reference_data = ReferenceData(
                self.codes, self.days, self.first, self.reference_table, str(self.path or self.about.get('source', 'the market')),
                self.reference_names)
        return self._reference_data

    def table(self) -> pd.DataFrame:
        """Return the canonical table, by date then code; for looking at, a whole market is large."""
        import pandas as pd

        stock = np.asarray(self._day_stock)
        day = np.repeat(np.arange(len(self.days)), np.diff(self._day_start))
        at = self._start[stock] + (day - self.first[stock])
        columns = {
            'date': dates_of(self.days[day]),
            'code': self.codes[stock].astype(object),
        }
        columns.update({name: self.arrays[f'stock/{name}'][at] for name in self.columns})
        return pd.DataFrame(columns)


@lru_cache(maxsize=4)
def _opened(path: Path, text: str) -> MarketStore:
    manifest = json.loads(text)
    arrays, maps = {}, []
    try:
        for name, entry in manifest['arrays'].items():
            file = path / manifest['version'] / entry['file']
            arrays[name] = map_array(of_written_size(file, entry), entry, maps)  # all: a writer may remove them under a reader
        tables = {name: of_written_size(path / manifest['version'] / entry['file'], entry)
                  for name, entry in manifest['sides'].items()}
        return MarketStore(arrays, manifest['columns'], manifest['about'], path, maps, tables, path / manifest['version'])
    except (KeyError, TypeError) as error:
        raise DataError(f'{path / MANIFEST}: found no entry {error}, expected the manifest of a store; '
                        f'make the store anew with {command("ingest")}') from None


def check(path: str | Path) -> int:
    """Read a whole store and compare every file with the manifest.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    int
        Number of files that were read.

    Raises
    ------
    DataError
        The first file that is not what was written, by name.
    """
    path = Path(path)
    manifest = read_manifest(path)
    MarketStore.open(path)
    entries = [*manifest['arrays'].values(), *manifest['sides'].values()]
    for entry in entries:
        file = path / manifest['version'] / entry['file']
        found = file_checksum(file)
        if found != entry['crc32']:
            raise DataError(f'{file}: found the checksum {found:08x}, expected {entry["crc32"]:08x}: the content is not what '
                            f'was written; make the store anew with {command("ingest")}')
    return len(entries)
