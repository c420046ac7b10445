"""Reading tables from files: Parquet and CSV, whole or in parts, as people have them."""

from __future__ import annotations

import codecs
import csv
import gzip
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import DataError
from .headings import Headings, recognise
from .parsing import KNOWN, arrow_fits, check_headings, is_number, rows_of_arrow, rows_of_frame
from .rows import Rows

if TYPE_CHECKING:
    import pandas as pd

    from .quarantine import Quarantine

ENDINGS = ('.parquet', '.csv', '.csv.gz')
BATCH = 500_000  # rows of a part, about
_PART = 1 << 22  # bytes
_HEADER_LINES = 3  # of which one is the header; before it there may be a banner


@dataclass
class TableFile:
    """A file with a table.

    Parameters
    ----------
    path : Path
    names : list of str
        The columns, as the file calls them.
    encoding : str
        Of a text file.
    header : int
        Lines before the header.
    separator : str
    """

    path: Path
    names: list[Any]
    encoding: str = ''
    header: int = 0
    separator: str = ','
    whole: bool = False  # Parquet with an index that only pandas understands
    rows: int = 0  # of a Parquet file

    @property
    def parquet(self) -> bool:
        """Whether it is a Parquet file."""
        return not self.encoding


def load_table(
    path: str | Path, *, strict: bool = False, quarantine: Quarantine | None = None, rename: Mapping[str, str] | None = None,
    start: date | None = None, end: date | None = None, need_cap: bool = True,
) -> pd.DataFrame:
    """Read a canonical table from a Parquet or CSV file, and check it.

    Parameters
    ----------
    path : str or Path
        ``.parquet``, ``.csv`` or ``.csv.gz`` (UTF-8 or GBK).
    strict, quarantine, rename, start, end, need_cap
        See `schema.check_table`.

    Returns
    -------
    DataFrame
        See `schema.check_table`.

    Raises
    ------
    DataError
        No such file, not readable as what its name says, or wrong content.
    """
    from .schema import check_table

    file = open_table(path)
    frame, lines = load_frame(file)
    with warnings.catch_warnings(record=True) as caught:
        table = check_table(frame, str(path), lines=lines, strict=strict, quarantine=quarantine, rename=rename, start=start,
                            end=end, need_cap=need_cap)
    for warning in caught:
        warnings.warn(warning.message, stacklevel=2)
    return table


def open_table(path: str | Path) -> TableFile:
    """Find out what a file holds, without reading its rows.

    Raises
    ------
    DataError
        No such file, or not readable as what its name says.
    """
    path = Path(path)
    name = path.name.lower()
    if not path.exists():
        raise DataError(f'{path}: there is no such file; expected a canonical table (.parquet, .csv or .csv.gz)')
    if path.is_dir():
        raise DataError(f'{path}: found a folder, expected a canonical table (.parquet, .csv or .csv.gz)')
    if not name.endswith(ENDINGS):
        raise DataError(f'{path}: found the ending {path.suffix or "(none)"}, expected .parquet, .csv or .csv.gz; '
                        'save the table in one of these formats')
    with _readable(path):
        return _open_parquet(path) if name.endswith('.parquet') else _open_csv(path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what readers raise into one line."""
    try:
        yield
    except UnicodeDecodeError:
        raise DataError(f'{path}, line {_line_not_text(path)}: found bytes that are neither UTF-8 nor GBK, expected text; '
                        'save the file again') from None
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zlib.error) as error:  # pyarrow's and the parser's are ValueErrors or OSErrors
        if type(error).__name__ == 'EmptyDataError':
            raise DataError(f'{path}: found an empty file, expected a header line and rows') from None
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        kind = 'Parquet' if path.name.lower().endswith('.parquet') else 'CSV'
        raise DataError(f'{path}: not readable as {kind} ({reason}); write the file again') from None


def _open_parquet(path: Path) -> TableFile:
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(path)
    schema = metadata.schema.to_arrow_schema()
    pandas = schema.pandas_metadata or {}
    index = [name for name in pandas.get('index_columns', ()) if isinstance(name, str)]
    whole = len(pandas.get('column_indexes', ())) > 1 or any(name.startswith('__index_level_') for name in index)
    return TableFile(path, list(schema.names), whole=whole, rows=metadata.num_rows)


def _open_csv(path: Path) -> TableFile:
    encoding = _encoding(path)
    with _opener(path)(path, 'rt', encoding=encoding, newline='') as stream:
        lines = [line for line in (stream.readline() for _ in range(_HEADER_LINES + 2)) if line.strip()]
    if not lines:
        raise DataError(f'{path}: found an empty file, expected a header line and rows')

    def fields(line: str) -> tuple[list[str], str]:
        separator = max(',\t;', key=line.count)
        return next(csv.reader([line], delimiter=separator), []), separator

    heads = [fields(line) for line in lines[:_HEADER_LINES]]
    known = [len(recognise(list(dict.fromkeys(names))).columns) for names, _ in heads]
    header = known.index(max(known)) if max(known) > 1 else 0  # before it there may be a banner
    names, separator = heads[header]
    names = [name or f'Unnamed: {number}' for number, name in enumerate(names)]  # as pandas calls them
    fuller = [len(fields(line)[0]) > len(names) for line in lines[header + 1:]]
    if fuller and all(fuller):  # pandas would shift or drop a column
        raise DataError(f'{path}: found rows of {len(fields(lines[header + 1])[0])} fields under a header of {len(names)}; '
                        'name each column in the first line')
    doubled = [name for number, name in enumerate(names) if name in names[:number]]
    if doubled:  # pandas would rename the second one
        raise DataError(f'{path}: the column {doubled[0]!r} is there twice; keep one')
    return TableFile(path, names, encoding, header, separator)


def _encoding(path: Path) -> str:
    """Return how a text file is encoded: UTF-8, with or without a mark, else GBK in its widest form.

    Raises
    ------
    UnicodeDecodeError
        Neither.
    """
    for encoding in ('utf-8-sig', 'gb18030'):
        decoder = codecs.getincrementaldecoder(encoding)()
        with _opener(path)(path, 'rb') as stream:
            try:
                while part := stream.read(_PART):
                    decoder.decode(part)
                decoder.decode(b'', final=True)
                return encoding
            except UnicodeDecodeError as error:
                reason = error
    raise reason


def load_frame(file: TableFile) -> tuple[pd.DataFrame, Any]:
    """Return a whole table unchecked, and the lines of its rows in a text file, else None."""
    import pandas as pd

    with _readable(file.path):
        if file.parquet:
            return pd.read_parquet(file.path), None
        frames, lines = zip(*_csv_parts(file, None), strict=True)
        return (pd.concat(frames), np.concatenate(lines)) if len(frames) > 1 else (frames[0], lines[0])


def parts(
    file: TableFile, headings: Headings, *, start: date | None = None, end: date | None = None, further: bool = True
) -> Iterator[Rows]:
    """Read a long table part by part, unchecked.

    Parameters
    ----------
    file : TableFile
    headings : Headings
        What its columns are; they are all there.
    start, end : date, optional
        First and last day.
    further : bool
        Also read columns that are none of ours.

    Raises
    ------
    DataError
        Not readable as what its name says.
    """
    check_headings(headings, file.names, str(file.path))
    days = {'start': start, 'end': end}
    with _readable(file.path):
        if file.parquet:
            yield from _parquet_parts(file, headings, further, days)
            return
        for frame, lines in _csv_parts(file, BATCH, headings):
            yield rows_of_frame(frame, headings, str(file.path), lines=lines, **days)


def _parquet_parts(file: TableFile, headings: Headings, further: bool, days: dict[str, Any]) -> Iterator[Rows]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, theirs = pq.read_schema(file.path), headings.columns
    wanted = [theirs[name] for name in theirs if name in KNOWN or name in ('date', 'code', 'name')]
    wanted += [str(name) for name in headings.further] if further else []
    fits, first = arrow_fits(schema, headings), 0
    with pq.ParquetFile(file.path, read_dictionary=[theirs[name] for name in ('code', 'name') if name in theirs]) as reader:
        for group in range(reader.num_row_groups):
            if reader.metadata.row_group(group).num_rows <= 2 * BATCH:  # half the memory of a batch out of it
                tables: Any = [reader.read_row_group(group, columns=wanted)]
            else:
                tables = reader.iter_batches(batch_size=BATCH, row_groups=[group], columns=wanted)
            for table in tables:
                if not table.num_rows:
                    continue
                if fits:
                    yield rows_of_arrow(table, headings, str(file.path), first_row=first, **days)
                else:
                    yield rows_of_frame(table.to_pandas(ignore_metadata=True), headings, str(file.path), first_row=first, **days)
                first += table.num_rows
                del table
                pa.default_memory_pool().release_unused()  # its reader keeps what it had for later


def _csv_parts(file: TableFile, rows: int | None, headings: Headings | None = None) -> Iterator[tuple[pd.DataFrame, Any]]:
    import pandas as pd

    # money is exact: no digit is lost on the way in; pandas does so by itself from 3 on
    exact = {'float_precision': 'round_trip'} if int(pd.__version__.split('.')[0]) < 3 else {}
    headings = headings or recognise(file.names)
    text = {headings.columns[name]: str for name in ('date', 'code', 'name') if name in headings.columns}
    options = {'dtype': text, 'encoding': file.encoding, 'low_memory': False, 'skip_blank_lines': False, 'sep': file.separator,
               'chunksize': rows or None, 'index_col': False, **exact}
    done = 0
    try:
        for table in _frames(pd.read_csv(file.path, skiprows=file.header, **options)):
            yield _without_blank(table, table.index.to_numpy() + file.header + 2)
            done += len(table)
        return
    except pd.errors.ParserError as error:
        long = _long_lines(file)
        if not long:
            raise error from None
    # rows with more fields than the header has: they are told, and the others are read again
    lines = np.array([line for line, _ in long])
    shifted = lines - np.arange(len(lines)) - (file.header + 2)
    skipped = [*range(file.header), *(line - 1 for line in lines.tolist())]
    for table in _frames(pd.read_csv(file.path, skiprows=skipped, **options)):
        at = table.index.to_numpy()
        new = at >= done
        yield _without_blank(table[new], at[new] + file.header + 2 + np.searchsorted(shifted, at[new], 'right'))
    told = pd.DataFrame(columns=file.names, index=range(len(long)), dtype=object)
    if 'date' in headings.columns:
        told[headings.columns['date']] = [f'{len(row)} fields instead of {len(file.names)}' for _, row in long]
    if 'code' in headings.columns:
        told[headings.columns['code']] = [row[file.names.index(headings.columns['code'])] for _, row in long]
    yield told, lines


def _frames(read: Any) -> Any:
    """Return a frame, or those of a reader, one after the other."""
    return [read] if hasattr(read, 'columns') else read


def _without_blank(table: pd.DataFrame, lines: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a frame without blank lines, which were kept so that a row's number tells its line."""
    blank = table.isna().all(axis=1).to_numpy()
    return (table[~blank], lines[~blank]) if blank.any() else (table, lines)


def _long_lines(file: TableFile) -> list[tuple[int, list[str]]]:
    """Return the lines with more fields than the header has, and the fields."""
    with _opener(file.path)(file.path, 'rt', encoding=file.encoding, newline='') as stream:
        reader = csv.reader(stream, delimiter=file.separator)
        return [(reader.line_num, row) for row in reader if len(row) > len(file.names) and reader.line_num > file.header + 1]


def late_columns(file: TableFile, reading: Any) -> dict[str, Any]:
    """Return the further number columns of a long Parquet file, with their dtypes: they can be read one by one later."""
    if not file.parquet or file.whole:
        return {}
    import pyarrow.parquet as pq

    schema, headings = pq.read_schema(file.path), reading.headings(file.names, str(file.path))
    if not {'date', 'code'} <= set(headings.columns):
        return {}
    kinds = {name: schema.field(name).type for name in headings.further}
    return {name: np.dtype(kind.to_pandas_dtype()) for name, kind in kinds.items() if is_number(kind)}


def read_column(path: Path, name: str) -> np.ndarray:
    """Return a number column of a Parquet file as floats; NaN where there is nothing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _readable(path):
        values = pq.read_table(path, columns=[name])[name]
        values = (values.cast('int8') if pa.types.is_boolean(values.type) else values).to_numpy()  # NaN for nothing
        return values if values.dtype == np.float32 else values.astype('float64')


def _opener(path: Path) -> Any:
    return gzip.open if path.name.lower().endswith('.gz') else open


def _line_not_text(path: Path) -> int:
    with _opener(path)(path, 'rb') as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode('utf-8')
            except UnicodeDecodeError:
                try:
                    line.decode('gb18030')
                except UnicodeDecodeError:
                    return number
    return 0


def stems(paths: Sequence[Path]) -> list[str]:
    """Return the names of files without their endings: of a wide frame the column that it holds."""
    return [path.name[:-len(next(end for end in ('.csv.gz', '.csv', '.parquet') if path.name.lower().endswith(end)))]
            for path in paths]
