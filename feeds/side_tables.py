"""Tables beside one's own market, from files: listings, names, industries, members of indices, benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .codes import canonical_code
from .columns import ALWAYS, REFERENCE_TABLES, SHARES_TABLE, dates_of
from .errors import DataError
from .files import load_frame, open_table
from .headings import recognise, shares_unit, side_columns
from .parsing import day_of
from .rows import shown

if TYPE_CHECKING:
    import pandas as pd

NEEDED = {  # what a file must have; the rest follows from it
    'names': ('code', 'name'), 'listings': ('code', 'listed'), 'industries': ('code', 'industry'), 'constituents': ('code',),
    'benchmarks': ('date', 'close'), 'shares': ('code', 'date', 'shares'),
}
COLUMNS = {**REFERENCE_TABLES, **SHARES_TABLE}


def read_side_table(table: str, path: Path, index: str = '') -> pd.DataFrame:
    """Read a table beside the market from a Parquet or CSV file.

    Parameters
    ----------
    table : str
        Of `columns.REFERENCE_TABLES`, or ``shares``: total shares from a day on.
    path : Path
        The columns may have other names, see `headings.side_columns`. ``names`` and ``industries`` without a date hold on
        all days. ``constituents`` are lists by date, or rows with the days on which a stock came and went; without a date they
        hold on all days. ``benchmarks`` need ``date`` and ``close``.
    index : str
        Six digits of the index, of constituents and benchmarks.

    Returns
    -------
    DataFrame
        With the columns of the table.

    Raises
    ------
    DataError
        Not readable, a column that lacks, a code or a day that is none.
    """
    import pandas as pd

    file = open_table(path)
    frame, lines = load_frame(file)
    if 'date' not in side_columns(list(frame.columns), table) and isinstance(frame.index, pd.DatetimeIndex):
        frame = frame.rename_axis('date').reset_index()
    theirs = side_columns(list(frame.columns), table, str(path))
    missing = [name for name in NEEDED[table] if name not in theirs]
    if missing:
        raise DataError(f'{path}: missing column{"s" if len(missing) > 1 else ""} {", ".join(missing)}: found '
                        f'{", ".join(map(str, list(frame.columns)[:12]))}; expected {", ".join(COLUMNS[table])}')
    if not len(frame):
        raise DataError(f'{path}: found no rows, expected some')
    where = frame.index.to_numpy() if lines is None else lines
    out = pd.DataFrame({name: frame[column].to_numpy() for name, column in theirs.items()})
    if 'code' in out:
        out['code'] = _codes(out['code'], path, where, str(theirs['code']))
    for name in ('date', 'listed', 'delisted', 'in', 'out'):
        if name in out:
            out[name] = _days(out[name], path, where, str(theirs[name]), empty=name in ('listed', 'delisted', 'out'))
    if table == 'benchmarks' and 'code' in (other := recognise(list(frame.columns)).columns):
        out, where = _of_index(out, where, frame[other['code']], index, path)
    out['index'] = index
    if table == 'benchmarks':
        return _benchmark(out, path, where)
    if table == 'constituents' and 'in' in out and 'date' not in out:
        return _lists_of_intervals(out)
    if table == 'listings' and 'delisted' not in out:
        out['delisted'] = np.datetime64('NaT', 's')
    if 'date' in COLUMNS[table] and 'date' not in out:
        out['date'] = ALWAYS
    if table == 'shares':
        out['shares'] = pd.to_numeric(out['shares'], errors='coerce') * shares_unit(theirs['shares'])
        if (bad := ~(out['shares'] > 0).to_numpy()).any():
            row = int(bad.argmax())
            raise DataError(f'{_place(path, where, row)}, column {theirs["shares"]}: found '
                            f'{shown(frame[theirs["shares"]].iloc[row])}, expected total shares above 0; mend or drop the row')
    return out[list(COLUMNS[table])]


def _place(path: Path, where: np.ndarray, row: int) -> str:
    return f'{path}, {"row" if path.name.lower().endswith(".parquet") else "line"} {where[row]}'


def _codes(column: pd.Series, path: Path, where: np.ndarray, name: str) -> list[str]:
    codes = [canonical_code(str(text)) for text in column]
    if None in codes:
        row = codes.index(None)
        raise DataError(f'{_place(path, where, row)}, column {name}: found {column.iloc[row]!r}, '
                        'expected a code such as 600000.XSHG')
    return codes


def _days(column: pd.Series, path: Path, where: np.ndarray, name: str, *, empty: bool) -> np.ndarray:
    days = np.array([day_of(value) for value in column.tolist()], 'int64')
    silent = column.isna().to_numpy() | column.astype(str).str.strip().isin(['', 'NaT', 'None', 'nan']).to_numpy()
    bad = (days <= 0) & ~(silent & empty)
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f'{_place(path, where, row)}, column {name}: found {column.iloc[row]!r}, '
                        'expected a day such as 2024-11-01')
    out = dates_of(np.where(days > 0, days, 1)).astype('datetime64[s]')
    out[days <= 0] = np.datetime64('NaT', 's')
    return out


def _benchmark(rows: pd.DataFrame, path: Path, where: np.ndarray) -> pd.DataFrame:
    """Return an index: what lacks of open, high and low is the close."""
    import pandas as pd

    for name in ('open', 'high', 'low', 'close'):
        values: Any = pd.to_numeric(rows[name], errors='coerce') if name in rows else rows['close']
        if name == 'close':
            bad = ~(values > 0).to_numpy()
            if bad.any():
                row = int(bad.argmax())
                raise DataError(f'{_place(path, where, row)}, column close: found {shown(rows["close"].iloc[row])}, '
                                'expected points above 0; mend or drop the row')
        rows[name] = values
    return rows[list(REFERENCE_TABLES['benchmarks'])].sort_values('date', ignore_index=True)


def _of_index(out: pd.DataFrame, where: np.ndarray, codes: pd.Series, index: str, path: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows of one index, from a file that says which index each row is of."""
    digits = codes.astype(str).str.extract(r'(\d{6})', expand=False)
    mine = (digits == index).to_numpy()
    if not mine.any():
        raise DataError(f'{path}: found the index {digits.dropna().iloc[0] if digits.notna().any() else codes.iloc[0]}, expected '
                        f'{index}; give --benchmark the index that the file is of')
    return out[mine].reset_index(drop=True), where[mine]


def _lists_of_intervals(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the list of an index' members on every day on which one came or went."""
    import pandas as pd

    changes = sorted({*rows['in'], *rows['out'].dropna()} if 'out' in rows else set(rows['in']))
    gone = rows['out'] if 'out' in rows else pd.Series(pd.NaT, rows.index)
    lists = [rows[(rows['in'] <= day) & ~(gone <= day)].assign(date=day) for day in changes]
    return pd.concat(lists, ignore_index=True)[list(REFERENCE_TABLES['constituents'])]
