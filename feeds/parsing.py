"""From a table as somebody has it, a pandas frame or Arrow columns, to `rows.Rows`: days, codes and numbers as arrays."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .codes import canonical_code
from .columns import EPOCH, FLAGS, OPTIONAL, REQUIRED
from .errors import DataError
from .headings import Headings
from .names import delisting_names, st_names
from .rows import Rows

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

KNOWN = (*REQUIRED, *OPTIONAL, 'circ_market_cap')  # numbers, beside date and code, whose text is an error
_WORDS = {'true': 1.0, 'false': 0.0, 'yes': 1.0, 'no': 0.0, 'y': 1.0, 'n': 0.0, '是': 1.0, '否': 0.0}
_ZONE = re.compile(r'\d{2}:\d{2}.*(?:Z|[+-]\d{2}:?\d{2})$')


def check_headings(headings: Headings, names: Sequence[Any], source: str) -> None:
    """Refuse a table that lacks a column, or has one twice.

    A ``name`` tells ``is_st`` where there is no such column.
    """
    doubled = [name for number, name in enumerate(names) if name in names[:number]]
    if doubled:
        raise DataError(f'{source}: the column {doubled[0]!r} is there twice; keep one')
    missing = [name for name in REQUIRED if name not in headings.columns and not (name == 'is_st' and 'name' in headings.columns)]
    if not missing:
        return
    texts = [str(name) for name in names]
    taken = set(map(str, headings.columns.values()))  # what is something else is no slip of the pen
    near = difflib.get_close_matches(missing[0], [text for text in texts if text not in taken], n=1, cutoff=0.75)
    hint = f'did you mean {near[0]!r}? Rename it (--rename {near[0]}={missing[0]})' if near else (
        f'add it ({REQUIRED[missing[0]]}), or rename the one that holds it (--rename OLD={missing[0]})')
    has = ', '.join(texts[:12]) + (', ...' if len(texts) > 12 else '')
    raise DataError(f"{source}: missing column{'s' if len(missing) > 1 else ''} {', '.join(missing)}: "
                    f'found {has or "no column"}; {hint}')


# -- days ---------------------------------------------------------------------------------------------------


def day_of(text: Any) -> int:
    """Return the ordinal of a day as somebody writes it; 0 where it is no day, or has a time or a time zone."""
    if text is None or text != text:
        return 0
    if isinstance(text, datetime):
        return 0 if text.tzinfo or text != datetime(text.year, text.month, text.day) else text.toordinal()
    if isinstance(text, date):
        return text.toordinal()
    return _day_of_text(str(text).strip())


@lru_cache(maxsize=50_000)
def _day_of_text(text: str) -> int:
    if _ZONE.search(text):
        return 0
    text = re.sub(r'[T ]00:00(?::00(?:\.0+)?)?$', '', text).removesuffix('.0')
    match = re.fullmatch(r'(\d{4})(?:(\d{2})(\d{2})|([-/.年])(\d{1,2})(?:\4|月)(\d{1,2})日?)', text)
    if not match:
        return 0
    try:
        return date(int(match[1]), int(match[2] or match[5]), int(match[3] or match[6])).toordinal()
    except ValueError:
        return 0


def _days_of_stamps(values: np.ndarray) -> np.ndarray:
    """Return ordinals of datetime64; 0 where there is none, or a time beside the day."""
    days = values.astype('datetime64[D]')
    out = (days.astype('int64') + EPOCH).astype('int32')
    out[np.isnat(values) | (days != values)] = 0
    return out


# -- a pandas frame -----------------------------------------------------------------------------------------


def rows_of_frame(
    frame: pd.DataFrame, headings: Headings, source: str, *, lines: np.ndarray | None = None, first_row: int = 0,
    start: date | None = None, end: date | None = None,
) -> Rows:
    """Return a frame's rows, of some days.

    Parameters
    ----------
    frame : DataFrame
        Long: one row per stock and day.
    headings : Headings
        What its columns are.
    source : str
        What messages call it.
    lines : ndarray of int, shape (rows,), optional
        Line of each row in the user's file.
    first_row : int
        Number of the first row, where there are no lines.
    start, end : date, optional
        First and last day; a row whose day cannot be read stays, to be told.
    """
    import pandas as pd

    theirs = headings.columns
    number = np.arange(first_row, first_row + len(frame)) if lines is None else np.asarray(lines)
    stamps = frame[theirs['date']]
    written: dict[tuple[str, int], Any] = {}
    if isinstance(stamps.dtype, pd.DatetimeTZDtype):
        raise DataError(f'{source}, row {first_row}, column {theirs["date"]}: found {stamps.iloc[0]}, expected a day such as '
                        '2024-11-01; drop the time zone with .dt.tz_localize(None)')
    if pd.api.types.is_datetime64_any_dtype(stamps):
        day = _days_of_stamps(stamps.to_numpy())
        kinds = None
    else:
        numbers, kinds = pd.factorize(stamps)
        day = np.array([*(day_of(kind) for kind in kinds), 0], 'int32')[numbers]
    inside = _inside(day, start, end)
    if inside is not None:
        frame, day, number = frame[inside], day[inside], number[inside]
        stamps = stamps[inside]
    for row in np.flatnonzero(day <= 0).tolist():
        written['date', row] = stamps.iloc[row]
    numbers, kinds = pd.factorize(frame[theirs['code']])
    columns: dict[str, np.ndarray] = {}
    text: set[str] = set()
    for name, column in theirs.items():
        if name not in ('date', 'code', 'name'):
            columns[name] = _numbers(frame[column], name, written)
    for column in headings.further:
        if column not in frame.columns:  # read later
            continue
        if pd.api.types.is_numeric_dtype(frame[column].dtype):
            columns[str(column)] = _further(frame[column])
        else:
            text.add(str(column))
    stock, codes = _stocks(numbers.astype('int32'), list(kinds))
    rows = Rows(
        source, day, stock, codes, columns, number, lines is not None, written, list(kinds), headings=_renamed(theirs), text=text)
    if 'name' in theirs:
        which, names = pd.factorize(frame[theirs['name']])
        rows.names = which.astype('int32'), [str(name) for name in names]
    return _finish(rows, headings)


def _renamed(theirs: dict[str, str]) -> dict[str, str]:
    """Return our names with theirs, where they differ."""
    return {ours: column for ours, column in theirs.items() if ours != column}


def _stocks(numbers: np.ndarray, kinds: list[Any]) -> tuple[np.ndarray, list[str | None]]:
    """Return the number of each row's stock and the canonical codes, each once: a table may write one code in two forms."""
    codes = [canonical_code(str(kind)) for kind in kinds]
    first: dict[str | None, int] = {}
    one = [number if code is None else first.setdefault(code, number) for number, code in enumerate(codes)]
    if one != list(range(len(codes))):
        numbers = np.array([*one, -1], 'int32')[numbers]
    return numbers, codes


def _inside(day: np.ndarray, start: date | None, end: date | None) -> np.ndarray | None:
    """Return which rows lie in some days, None for all; those without a day do."""
    if start is None and end is None:
        return None
    low, high = start.toordinal() if start else 0, end.toordinal() if end else date.max.toordinal()
    return (day <= 0) | (day >= low) & (day <= high)


def _numbers(column: pd.Series, name: str, written: dict[tuple[str, int], Any]) -> np.ndarray:
    """Return a known column as float64; what is no finite number is NaN, and noted as it is written."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column) and not isinstance(column.dtype, pd.CategoricalDtype):
        values = column.to_numpy(dtype='float64', na_value=np.nan, copy=True)
    else:
        raw = column.astype(object)
        values = pd.to_numeric(raw, errors='coerce').to_numpy('float64', copy=True)
        odd = np.flatnonzero(np.isnan(values) & column.notna().to_numpy())
        if len(odd):  # 1,234,567: the comma is no decimal one
            texts = raw.iloc[odd].astype(str).str.strip()
            grouped = texts.str.fullmatch(r'-?\d{1,3}(?:,\d{3})+(?:\.\d+)?').to_numpy(bool)
            values[odd[grouped]] = texts[grouped].str.replace(',', '').astype('float64')
            odd = odd[~grouped]
        for row in odd.tolist():
            word = str(raw.iloc[row]).strip().lower() if name in FLAGS else ''
            if word in _WORDS:
                values[row] = _WORDS[word]
            elif str(raw.iloc[row]).strip() not in ('', '-', '--', 'nan', 'None'):
                written[name, row] = raw.iloc[row]
    return _finite(values, name, written)


def _finite(values: np.ndarray, name: str, written: dict[tuple[str, int], Any]) -> np.ndarray:
    endless = np.isinf(values)
    if endless.any():
        written.update({(name, row): float(values[row]) for row in np.flatnonzero(endless).tolist()})
        values[endless] = np.nan
    return values


def _further(column: pd.Series) -> np.ndarray:
    dtype = 'float32' if column.dtype == np.float32 else 'float64'
    return column.to_numpy(dtype, na_value=np.nan)


def _finish(rows: Rows, headings: Headings) -> Rows:
    """Apply the units of the headings, and what names tell."""
    for name, factor in headings.factors.items():
        if factor != 1:
            rows.columns[name] = rows.columns[name] * factor
            if name == 'volume':  # whole shares: the product has noise
                rows.columns[name] = np.round(rows.columns[name], 2)
    for name in headings.inverted:
        rows.columns[name] = 1.0 - rows.columns[name]
    if rows.names is not None:
        which, names = rows.names
        blank = np.array([*(not name.strip() for name in names), True])[which]
        for flag, tell in (('is_st', st_names), ('delisting_period', delisting_names)):
            if flag not in rows.columns and (flag == 'is_st' or '退' in ''.join(names)):
                rows.by_name.add(flag)
                rows.columns[flag] = np.where(blank, np.nan if flag == 'is_st' else 0.0, np.append(tell(names), 0)[which])
    return rows


# -- Arrow --------------------------------------------------------------------------------------------------


def is_number(kind: pa.DataType) -> bool:
    """Tell whether an Arrow column of this type holds numbers, or truth."""
    import pyarrow.types as types

    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)


def arrow_fits(schema: pa.Schema, headings: Headings) -> bool:
    """Tell whether `rows_of_arrow` can read columns of such types; else pandas has to."""
    import pyarrow.types as types

    def text(kind: pa.DataType) -> bool:
        return types.is_string(kind) or types.is_large_string(kind) or (
            types.is_dictionary(kind) and (types.is_string(kind.value_type) or types.is_large_string(kind.value_type)))

    for name, column in headings.columns.items():
        kind = schema.field(column).type
        if name == 'date':
            fits = types.is_timestamp(kind) and kind.tz is None or types.is_date(kind) or text(kind) or types.is_integer(kind)
        else:
            fits = text(kind) if name in ('code', 'name') else is_number(kind)
        if not fits:
            return False
    return True


def rows_of_arrow(
    table: pa.RecordBatch | pa.Table, headings: Headings, source: str, *, first_row: int = 0, start: date | None = None,
    end: date | None = None,
) -> Rows:
    """Return the rows of Arrow columns, of some days; see `rows_of_frame`. pandas is not needed for it.

    Parameters
    ----------
    table : RecordBatch or Table
        Columns of types that `arrow_fits`.
    """
    import pyarrow.types as types

    theirs = headings.columns
    stamps = _chunk(table.column(theirs['date']))
    written: dict[tuple[str, int], Any] = {}
    if types.is_timestamp(stamps.type) or types.is_date(stamps.type):
        day = _days_of_stamps(stamps.to_numpy(zero_copy_only=False))
    else:
        numbers, kinds = _kinds(stamps)
        day = np.array([*(day_of(kind) for kind in kinds), 0], 'int32')[numbers]
    inside = _inside(day, start, end)
    keep = slice(None) if inside is None or inside.all() else inside
    for row in np.flatnonzero(day[keep] <= 0).tolist():
        written['date', row] = stamps[row if isinstance(keep, slice) else int(np.flatnonzero(keep)[row])].as_py()
    stock, kinds = _kinds(_chunk(table.column(theirs['code'])))
    columns: dict[str, np.ndarray] = {}
    names = None
    for name, column in theirs.items():
        if name in ('date', 'code') or column not in table.schema.names:
            continue
        values = _chunk(table.column(column))
        if name == 'name':
            which, texts = _kinds(values)
            names = which[keep], texts
        elif types.is_boolean(values.type):
            columns[name] = values.cast('int8').to_numpy(zero_copy_only=False)[keep].astype('float64')  # NaN for nothing
        else:
            found = values.to_numpy(zero_copy_only=False)[keep]
            columns[name] = _finite(found.astype('float64'), name, written)
    for column in headings.further:
        if column in table.schema.names:
            values = table.column(column)
            if is_number(values.type):
                found = _chunk(values).to_numpy(zero_copy_only=False)[keep]
                columns[column] = found.astype('float32' if found.dtype == np.float32 else 'float64')
    number = np.arange(first_row, first_row + len(day))
    stock, codes = _stocks(stock[keep], kinds)
    rows = Rows(source, day[keep], stock, codes, columns, number[keep], False, written, kinds, names, _renamed(theirs),
                {column for column in headings.further if column not in columns})
    return _finish(rows, headings)


def _chunk(column: Any) -> Any:
    """Return a column as one array."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        if pa.types.is_dictionary(column.type):
            column = column.unify_dictionaries()
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        if isinstance(column, pa.ChunkedArray):  # no chunk at all
            column = pa.array([], column.type) if not pa.types.is_dictionary(column.type) else pa.array(
                [], column.type.value_type).dictionary_encode()
    return column


def _kinds(column: Any) -> tuple[np.ndarray, list[Any]]:
    """Return the number of each row's value, -1 for nothing, and the values."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    numbers = column.indices.to_numpy(zero_copy_only=False)  # floats where there is nothing: fill_null would import pandas
    return np.where(numbers == numbers, numbers, -1).astype('int32'), column.dictionary.to_pylist()
