"""The check of a canonical table in memory; its columns are those of `columns`.

One row per stock and trading day, raw (unadjusted) prices. What becomes of a single row that is not as it should be is in
`cleaning`, what only the whole table tells in `settling`, what makes the table itself wrong in `evidence`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd

from .columns import dates_of
from .errors import DataError
from .evidence import Evidence, Falls
from .grid import Layout
from .headings import recognise
from .mending import Mended, lost_rows
from .parsing import check_headings, rows_of_frame
from .quarantine import Quarantine
from .rows import Rows, no_rows
from .settling import NEVER, settle
from .wide import long_table


def check_table(
    table: pd.DataFrame, source: str = 'the table', *, lines: np.ndarray | None = None, first_row: int = 0, strict: bool = False,
    quarantine: Quarantine | None = None, rename: Mapping[str, str] | None = None, need_cap: bool = True,
    start: date | None = None, end: date | None = None,
) -> pd.DataFrame:
    """Check a canonical table and return it with proper types, mended where that needs no guess.

    Parameters
    ----------
    table : DataFrame
        Columns as in `columns.REQUIRED`, `columns.OPTIONAL` and any further ones, also under other names (see `headings`), as
        wide frames or with a MultiIndex (see `wide`); rows in any order. It is not changed.
    source : str
        What messages call the table, such as the file's name.
    lines : ndarray of int, shape (rows,), optional
        Line of each row in the user's file, for messages.
    first_row : int
        Number of the first row, for messages, where there are no lines.
    strict : bool
        Refuse the first row that is not as it should be.
    quarantine : Quarantine, optional
        Takes what is found in single rows, and says whether it is strict; without it one warning tells.
    rename : mapping of str to str, optional
        Their name -> ours, for columns that are not recognised.
    need_cap : bool
        Refuse a table whose market cap is not known in most rows.
    start, end : date, optional
        First and last day; nothing else is checked.

    Returns
    -------
    DataFrame
        A new frame with a fresh index: ``date`` as datetime64, ``code`` as text, numbers as float64, flags as
        uint8; further columns are kept as they are. By date then code, unless each stock's dates ascend already.

    Raises
    ------
    DataError
        A table that is wrong as a whole; with `strict` also a row that is not as it should be, and dates that do not ascend.
    """
    if not isinstance(table, pd.DataFrame):
        raise DataError(f'{source}: found {type(table).__name__}, expected a pandas DataFrame in the canonical layout')
    found = Quarantine(strict) if quarantine is None else quarantine  # an empty one is false
    table = long_table(table, source=source)
    headings = recognise(list(table.columns), rename, source)
    check_headings(headings, list(table.columns), source)
    table = table.reset_index(drop=True)
    rows = rows_of_frame(table, headings, source, lines=lines, first_row=first_row, start=start, end=end)
    if not len(rows):
        raise no_rows(source, start, end)
    evidence = Evidence(found.since, found.until)
    rows = _settled(evidence.clean(rows, found, need_cap=need_cap), found)
    evidence.judge(source, need_cap=need_cap)
    found.judge()
    if not len(rows):
        raise no_rows(f'{source}: no row can be used ({found.line()})')
    rows = _in_order(rows, found.strict)
    if not evidence.has_amounts:
        _judge_falls(rows, source)
    if quarantine is None and len(found):
        warnings.warn(f'{source}: {found.line()}', stacklevel=2)
    number = rows.number if lines is None else _positions(lines, rows.number)
    out = table.iloc[number - (first_row if lines is None else 0)].reset_index(drop=True)
    out = out.rename(columns={theirs: ours for ours, theirs in headings.columns.items()})
    codes = np.array(rows.codes, object)
    checked = {**{name: out[name] for name in out.columns}, 'date': dates_of(rows.day), 'code': codes[rows.stock], **rows.columns}
    return pd.DataFrame(checked)


def _positions(lines: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return where lines stand among those of a frame."""
    order = np.argsort(lines, kind='stable')
    return order[np.searchsorted(lines[order], wanted)]


def _settled(rows: Rows, quarantine: Quarantine) -> Rows:
    """Leave out rows that are there twice, give suspended ones the last close, and tell ex-rights from lost days."""
    stock, stocks = rows.stock, len(rows.codes)
    settled = settle(stock, rows.day, np.full(stocks, NEVER), rows.columns, rows.columns.__getitem__)
    settled.tell(quarantine, lambda at: [rows.take(at)])
    if not len(quarantine):
        return rows
    keep = np.ones(len(rows), bool)
    keep[settled.left_out()] = False
    without_close = np.cumsum(keep)[settled.last_close] - 1
    rows = rows.take(keep)
    if not len(rows):
        return rows
    there = np.unique(rows.stock)
    order = np.argsort(np.array([rows.codes[number] for number in there.tolist()]))
    number = np.zeros(stocks, 'int32')
    number[there[order]] = np.arange(len(there))
    days, day = np.unique(rows.day, return_inverse=True)
    codes = np.array([rows.codes[each] for each in there[order].tolist()], 'S11')
    mended = Mended(Layout(codes, days, number[rows.stock], day.astype('int32')), dict.fromkeys(rows.columns, '<f8'),
                    rows.columns.__getitem__, without_close, lost_rows(quarantine.table()))
    rows.columns = {name: mended.read(name) for name in mended.columns}
    return rows


def _in_order(rows: Rows, strict: bool) -> Rows:
    """Return rows so that each stock's dates ascend."""
    order = np.argsort(rows.stock, kind='stable')
    stock, day = rows.stock[order], rows.day[order]
    back = np.flatnonzero((stock[1:] == stock[:-1]) & (day[1:] < day[:-1]))
    if not len(back):
        return rows
    if strict:
        row = int(order[back[0] + 1])
        raise rows.error(row, 'date', f'{date.fromordinal(int(rows.day[row]))} after a later day of the same stock',
                         "each stock's dates in ascending order", "sort the table by ['date', 'code']")
    return rows.take(np.lexsort((np.array(rows.codes, 'U')[rows.stock], rows.day)))


def _judge_falls(rows: Rows, source: str) -> None:
    order = np.lexsort((rows.day, rows.stock))
    falls = Falls(int(rows.day.max()))
    falls.take(rows.columns['market_cap'][order], rows.columns['close'][order], rows.stock[order], rows.day[order],
               np.array(rows.codes, object))
    falls.judge(source)
