"""Raw answers as columns: what cannot be read in a row is NaN, with its text beside, and goes on to the writer's checks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..codes import find_code as canonical_code
from ..columns import CODE_PATTERN, dates_of
from ..errors import DataError
from ..parsing import day_of
from . import Request

TEXT = ' as written'  # behind a column's name: what stands there instead of a number or a day
_EMPTY = dict.fromkeys(('', '-', '--', 'None', 'nan', 'NaT', '<NA>'), pd.NA)
_FIRST_DAY, _LAST_DAY = np.datetime64('1990-01-01', 's'), np.datetime64('2199-12-31', 's')
_LONGEST_CODE = 16  # letters; a longer text is something else, with digits in it
_COUNTED = {'is_st': 'not known, taken as 0, in {:,} rows',
            'market_cap': 'estimated in {:,} traded rows that have none: last known total shares x close'}


class Asked:
    """Which rows are asked for, and what is not known of them.

    Parameters
    ----------
    request : Request, optional
        Its days and stocks; without it all.
    """

    def __init__(self, request: Request | None = None) -> None:
        request = request or Request()
        self._first = np.datetime64(request.start or _FIRST_DAY, 's')
        self._last = np.datetime64(request.end or _LAST_DAY, 's')
        self._codes = None if request.codes is None else set(request.codes)
        self._counts: Counter[str] = Counter()

    def rows(self, table: pd.DataFrame) -> np.ndarray:
        """Return which rows of a table are asked for; those whose day or code cannot be read are, to be told."""
        days = parse_dates(table, 'date').to_numpy()
        wanted = np.isnat(days) | (days >= self._first) & (days <= self._last)
        if self._codes is not None:
            kinds = {code: code in self._codes or not re.fullmatch(CODE_PATTERN, str(code)) for code in table['code'].unique()}
            wanted &= table['code'].map(kinds).fillna(True).to_numpy(bool)
        return wanted

    def count(self, column: str, table: pd.DataFrame, rows: pd.Series | np.ndarray) -> None:
        """Count rows of a table of which a column is not known, or estimated."""
        if rows.any():
            self._counts[column] += int((np.asarray(rows, bool) & self.rows(table)).sum())

    def tell(self, about: dict[str, Any]) -> None:
        """Say what was counted."""
        for column, text in _COUNTED.items():
            if self._counts[column]:
                said = text.format(self._counts[column])
                about[column] = f'{about[column]}; {said}' if column in about else said


def concat_frames(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Return frames as one; those without rows do not count."""
    filled = [frame for frame in frames if len(frame)] or frames[:1] or [pd.DataFrame()]
    return pd.concat(filled, ignore_index=True) if len(filled) > 1 else filled[0]


def require_columns(frame: pd.DataFrame, columns: Iterable[str], source: str) -> pd.DataFrame:
    """Return a raw frame that has some columns, with a fresh index; an empty answer need not have them."""
    if not len(frame):
        return pd.DataFrame(columns=list(columns), dtype=object)
    if missing := [name for name in columns if name not in frame]:
        has = ', '.join(map(str, list(frame.columns)[:8])) or 'no column'
        raise DataError(f'{source}: found {has}, expected also {", ".join(missing)}; ask for all columns of the call')
    return frame.reset_index(drop=True)


# -- columns of any answer ----------------------------------------------------------------------------------


def parse_numbers(frame: pd.DataFrame, column: str, scale: float = 1.0) -> pd.Series:
    """Return a raw column as float64 in our unit; nothing, ``-`` and any other text are NaN."""
    raw = frame[column]
    if not pd.api.types.is_numeric_dtype(raw):
        raw = raw.astype('string').str.strip()
    values = pd.to_numeric(raw, errors='coerce').astype('float64')
    return values if scale == 1.0 else (values * scale).round(2)  # 0.01: the noise of the product, below any unit


def parse_dates(frame: pd.DataFrame, column: str) -> pd.Series:
    """Return a raw column of days, as text with or without dashes, dates or times, as datetime64; what is none is NaT."""
    raw = frame[column]
    if not pd.api.types.is_datetime64_any_dtype(raw):
        text = raw.astype('string').str.strip()
        text = text.str.replace(r'\.0$', '', regex=True).str.slice(0, 10).str.replace('-', '')
        late = text.str.replace(r'^(22[7-9]|2[3-9]\d|[3-9]\d\d)\d{5}$', '22610101', regex=True)  # such as 9999, beyond pandas
        raw = pd.to_datetime(late, format='%Y%m%d', errors='coerce').astype('datetime64[s]')
        lost = raw.isna() & text.notna()
        if lost.any():  # written in one of the further ways that the writer understands
            days = frame[column][lost].map(day_of)
            raw = raw.mask(lost, pd.Series(dates_of(days), days.index)[days > 0])
    return raw.dt.normalize().astype('datetime64[s]')


def parse_codes(frame: pd.DataFrame, column: str) -> pd.Series:
    """Return a raw column of codes as canonical ones; None where it is no A share's."""
    kinds = {kind: canonical_code(str(kind)) if len(str(kind)) <= _LONGEST_CODE else None for kind in frame[column].unique()}
    return frame[column].map(kinds).astype(object)


# -- columns of the rows that make the market ---------------------------------------------------------------


def key_columns(frame: pd.DataFrame, date: str, code: str) -> dict[str, pd.Series]:
    """Return the days and codes of rows that make the market.

    A code is None for what is no A share, such as an index or a B share; what is no code at all stays as it is written.
    """
    days = parse_dates(frame, date)
    written, absurd = frame[date], ~days.between(_FIRST_DAY, _LAST_DAY) & days.notna()
    if absurd.any():  # with a word before, so that nobody takes it for a day
        days = days.mask(absurd)
        written = written.astype(object).mask(absurd, 'day ' + written.astype('string'))
    codes = parse_codes(frame, code)
    other = [kind for kind in frame[code][codes.isna()].unique() if _is_no_code(kind)]
    if other:
        codes = codes.mask(codes.isna() & frame[code].isin(other), frame[code].fillna('').astype(object))
    return {'date': days, **_written('date', days, written), 'code': codes}


def _is_no_code(kind: Any) -> bool:
    return len(str(kind)) > _LONGEST_CODE or not re.search(r'\d{5}', str(kind))


def number_columns(frame: pd.DataFrame, columns: Mapping[str, str], scale: float = 1.0) -> dict[str, pd.Series]:
    """Return raw columns as `parse_numbers` does, by our name; where one holds text, a column of it is beside.

    Parameters
    ----------
    frame : DataFrame
    columns : mapping of str to str
        Our name -> theirs.
    scale : float
        What their unit is in ours.
    """
    found: dict[str, pd.Series] = {}
    for ours, theirs in columns.items():
        found[ours] = parse_numbers(frame, theirs, scale)
        found |= _written(ours, found[ours], frame[theirs])
    return found


def _written(name: str, values: pd.Series, raw: pd.Series) -> dict[str, pd.Series]:
    lost = values.isna() & raw.notna()
    if lost.any():
        lost &= raw.astype('string').str.strip().replace(_EMPTY).notna()
    return {name + TEXT: raw.astype(object).where(lost, None)} if lost.any() else {}


def has_text(table: pd.DataFrame, name: str) -> np.ndarray:
    """Return in which rows text stands instead of a number."""
    return table[name + TEXT].notna().to_numpy() if name + TEXT in table else np.zeros(len(table), bool)


def restore_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Put the text back where it is instead of a number or a day, so that the writer can say what it found."""
    texts = [name for name in table.columns if name.endswith(TEXT)]
    for text in texts:
        name, there = text.removesuffix(TEXT), table[text].notna()
        table[name] = table[name].astype(object).mask(there, table[text])
    return table.drop(columns=texts)


def as_flag(values: pd.Series) -> pd.Series:
    """Return a flag as uint8 where each row is 0 or 1, else as it is."""
    return values.astype('uint8') if values.isin([0, 1]).all() else values


def check_unadjusted(table: pd.DataFrame, source: str) -> None:
    """Refuse adjusted prices: amount / volume, the mean price of the day, must lie between low and high."""
    usable = (table['low'] > 0) & (table['low'] <= table['high']) & table['date'].notna()
    rows = table[usable & (table['volume'] >= 1e5) & (table['amount'] > 0)]
    mean, slack = rows['amount'] / rows['volume'], 0.01 + 0.002 * rows['high']
    off = (mean > rows['high'] + slack) | (mean < rows['low'] - slack)
    if off.sum() > max(2, 0.02 * len(rows)):
        row = rows[off].iloc[0]
        raise DataError(f"{source} ({row['date'].date()}): found prices from {row['low']:g} to {row['high']:g}, but amount / "
                        f"volume is {mean[off].iloc[0]:.4g}: adjusted prices; expected raw ones, without adjustment")


# -- tables beside the market -------------------------------------------------------------------------------


def one_a_day(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with one a stock and day, to be joined to those of the market.

    Of a day with two rows that differ, nothing is known; rows without a day or a code are ignored.
    """
    rows = rows.dropna(subset=['date', 'code']).drop_duplicates()
    doubled = rows.duplicated(['date', 'code'], keep=False)
    if not doubled.any():
        return rows
    known = rows.columns.difference(['date', 'code'], sort=False)
    rows[known] = rows[known].mask(doubled)
    return rows.drop_duplicates(['date', 'code'])


def reference_table(rows: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return a table beside the market: rows of A shares, each code's or index' days in order, none doubled."""
    keys = [name for name in columns if name in ('index', 'code', 'date')]
    needed = [name for name in columns if name in (*keys, 'name', 'industry')]
    rows = rows[list(columns)].dropna(subset=needed) if len(rows) else pd.DataFrame(columns=columns)
    return rows.drop_duplicates(keys, keep='last').sort_values(keys).reset_index(drop=True)
