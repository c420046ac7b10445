"""Reading a canonical table from a file, whole or in parts."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from .errors import DataError
from .schema import check_table

# money is exact: no digit is lost on the way in; pandas does so by itself from 3 on
_EXACT = {'float_precision': 'round_trip'} if int(pd.__version__.split('.')[0]) < 3 else {}
ENDINGS = ('.parquet', '.csv', '.csv.gz')


def load_table(path: str | Path) -> pd.DataFrame:
    """Read a canonical table from a Parquet or CSV file, and check it.

    Parameters
    ----------
    path : str or Path
        ``.parquet``, ``.csv`` or ``.csv.gz`` (UTF-8).

    Returns
    -------
    DataFrame
        See `schema.check_table`.

    Raises
    ------
    DataError
        No such file, not readable as what its name says, or wrong content.
    """
    table, lines, first_row = next(parts(path))
    return check_table(table, str(path), lines=lines, first_row=first_row)


def parts(path: str | Path, rows: int | None = None) -> Iterator[tuple[pd.DataFrame, np.ndarray | None, int]]:
    """Read a table from a file part by part, unchecked.

    Parameters
    ----------
    path : str or Path
        ``.parquet``, ``.csv`` or ``.csv.gz`` (UTF-8).
    rows : int, optional
        Rows of a part, about; without it the whole file is one part.

    Yields
    ------
    tuple
        The rows; their lines in a CSV, else None; the number of the first row.

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
    parquet = name.endswith('.parquet')
    try:
        yield from _parquet(path, rows) if parquet else _csv(path, rows)
    except UnicodeDecodeError:
        raise DataError(f'{path}, line {_line_not_utf8(path)}: found bytes that are not UTF-8, expected UTF-8 text; '
                        'convert it (a GBK file: open(path, encoding="gb18030"))') from None
    except pd.errors.EmptyDataError:
        raise DataError(f'{path}: found an empty file, expected a header line and rows') from None
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zlib.error) as error:  # pyarrow's and the parser's are ValueErrors or OSErrors
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        kind = 'Parquet' if parquet else 'CSV'
        raise DataError(f'{path}: not readable as {kind} ({reason}); write the file again') from None


def _parquet(path: Path, rows: int | None) -> Iterator[tuple[pd.DataFrame, None, int]]:
    if rows is None:
        yield pd.read_parquet(path), None, 0
        return
    import pyarrow.parquet as pq

    first = 0
    text = ['code'] if 'code' in pq.read_schema(path).names else None  # as categories: a tenth of the memory
    with pq.ParquetFile(path, read_dictionary=text) as file:
        for group in range(file.num_row_groups):
            if file.metadata.row_group(group).num_rows <= 2 * rows:  # half the memory of a batch out of it
                tables = [file.read_row_group(group, use_threads=False)]
            else:
                tables = file.iter_batches(batch_size=rows, row_groups=[group], use_threads=False)
            for table in tables:
                if len(table):
                    yield table.to_pandas(), None, first
                    first += len(table)
        if not first:
            yield file.schema_arrow.empty_table().to_pandas(), None, 0


def parquet_column(path: Path, name: str) -> pd.Series:
    """Return one column of a Parquet file."""
    return pd.read_parquet(path, columns=[name])[name]


def _csv(path: Path, rows: int | None) -> Iterator[tuple[pd.DataFrame, np.ndarray, int]]:
    with _open(path) as stream:
        reader = csv.reader(stream)
        header, first = next(reader, []), next((row for row in reader if row), [])
    doubled = [name for number, name in enumerate(header) if name in header[:number]]
    if doubled:  # pandas would rename the second one
        raise DataError(f'{path}: the column {doubled[0]!r} is there twice; keep one')
    if len(first) > len(header) > 0:  # pandas would shift or drop a column
        raise DataError(f'{path}: found rows of {len(first)} fields under a header of {len(header)}; '
                        'name each column in the first line')
    # blank lines are kept until here, so that a row's number tells its line
    reader = pd.read_csv(path, dtype={'code': str, 'date': str}, encoding='utf-8-sig', low_memory=False,
                         skip_blank_lines=False, chunksize=rows or None, index_col=False, **_EXACT)
    seen = False
    for table in (reader if rows else [reader]):
        blank = table.isna().all(axis=1).to_numpy()
        table = table[~blank] if blank.any() else table
        if not len(table) and rows and seen:
            continue  # a part of blank lines after the last row
        seen = True
        yield table, table.index.to_numpy() + 2, int(table.index[0]) if len(table) else 0


def _open(path: Path) -> IO[str]:
    opener = gzip.open if path.name.lower().endswith('.gz') else open
    return opener(path, 'rt', encoding='utf-8-sig', newline='')


def _line_not_utf8(path: Path) -> int:
    opener = gzip.open if path.name.lower().endswith('.gz') else open
    with opener(path, 'rb') as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode('utf-8')
            except UnicodeDecodeError:
                return number
    return 0
