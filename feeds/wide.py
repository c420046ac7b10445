"""Tables in other shapes, to one row per stock and day.

A wide table holds one column of the canonical table: a row per day, a column per stock. JoinQuant's ``get_extras``, Wind's WSD of
many codes and ``unstack`` make such ones. Dates and codes are found by what they hold, not by what they are called.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .codes import canonical_code
from .columns import PRICES
from .errors import DataError
from .headings import NAMELESS, codes_of, hold_codes, is_wide, recognise

_DAY = re.compile(
    r'((?:19|20|21)\d\d)(?:([01]\d)([0-3]\d)|([-/.年])(\d{1,2})(?:\4|月)(\d{1,2})日?)(?:[T ](\d\d:\d\d(?::\d\d)?)\S*)?')
_SAMPLE = 200  # values that tell what a column holds


class _Wide(NamedTuple):
    """A wide table: a row per day, a column per stock."""

    days: np.ndarray  # datetime64[s]
    codes: list[str]
    values: pd.DataFrame
    left_out: list[str]  # columns that are no stock's


def long_table(frame: pd.DataFrame, field: str | None = None, source: str = 'the table') -> pd.DataFrame:
    """Return a table of any shape as one row per stock and day.

    Parameters
    ----------
    frame : DataFrame
        With dates and codes, or one of them, in the index; with fields and codes as two levels of columns; or wide.
    field : str, optional
        The column of the canonical table that a wide one holds.
    source : str
        What messages call it.

    Returns
    -------
    DataFrame
        The same object where it is long already. Else with ``date`` and ``code`` as columns where the index held them, the other
        columns as they are called. From a wide one codes are canonical, and its ``attrs['left_out']`` tells the columns that are
        no stock's.

    Raises
    ------
    DataError
        The shape cannot be understood, or a wide table comes without `field`.
    """
    if isinstance(frame.columns, pd.MultiIndex):
        return _split_fields(frame, source)
    if not isinstance(frame.index, pd.MultiIndex) and is_wide(list(frame.columns)):
        if field is None:
            raise DataError(f'{source}: found a column per stock ({_some(frame.columns)}), expected to be told what they hold; '
                            'name the file after its column, such as close.parquet, or give several')
        return join_wide({field: frame}, source)
    return _name_keys(frame, source)


def join_wide(frames: Mapping[str, pd.DataFrame], source: str = 'the tables') -> pd.DataFrame:
    """Return several wide tables as one with one row per stock and day.

    Parameters
    ----------
    frames : mapping of str to DataFrame
        The column that each holds -> dates x codes, dates in the index or in the first column. Days and codes may differ, and so
        may the forms that they are written in.
    source : str
        What messages call them.

    Returns
    -------
    DataFrame
        By date and code, on the days when a stock has any of the prices, or, without a frame of prices, any value. Flags are 0
        and 1, and NaN where their frame is silent.
    """
    if not frames:
        raise DataError(f'{source}: found no table, expected one per column, such as close.parquet')
    tables = {name: _read_wide(frame, source if len(frames) == 1 else f'{source}, {name}') for name, frame in frames.items()}
    days = np.unique(np.concatenate([table.days for table in tables.values()]))
    codes = sorted({code for table in tables.values() for code in table.codes})
    column = {code: number for number, code in enumerate(codes)}
    places = {name: (np.searchsorted(days, table.days), np.array([column[code] for code in table.codes], 'int64'))
              for name, table in tables.items()}
    known = recognise(list(frames)).columns
    prices = [known[name] for name in PRICES if name in known] or list(frames)
    there = np.zeros((len(days), len(codes)), bool)
    for name in prices:
        there[np.ix_(*places[name])] |= tables[name].values.notna().to_numpy()
    day_of, code_of = np.nonzero(there)

    # One block of floats, filled column by column: a frame made of single columns would be copied as a whole.
    block, texts, held = np.empty((len(frames), len(day_of))), {}, []
    for name, table in tables.items():
        values = _numbers(table.values)
        if values is None:
            texts[name] = _on_grid(table.values.to_numpy(dtype=object), places[name], there)[day_of, code_of]
        else:
            np.compress(there.ravel(), _on_grid(values, places[name], there).ravel(), out=block[len(held)])
            held.append(name)
    out = pd.DataFrame(block[:len(held)].T, columns=held, copy=False)
    out.insert(0, 'date', days[day_of])
    out.insert(1, 'code', pd.Categorical.from_codes(code_of.astype('int32'), codes))
    for number, name in enumerate(frames):
        if name in texts:
            out.insert(2 + number, name, texts[name])
    out.attrs['left_out'] = sorted({label for table in tables.values() for label in table.left_out})
    return out


# -- shapes -----------------------------------------------------------------------------------------------


def _name_keys(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return a frame with the dates and codes of its index, or of nameless first columns, as columns."""
    known = recognise(list(frame.columns)).columns
    missing = {key for key in ('date', 'code') if key not in known}
    levels = range(frame.index.nlevels)
    several = len(levels) > 1
    found = {} if isinstance(frame.index, pd.RangeIndex) else {
        level: kind for level in levels if (kind := _kind(_level(frame.index, level), frame.index.names[level], several))}
    keys = {found[level]: level for level in reversed(found) if found[level] in missing}  # the first of two that could be it
    if several and missing - set(keys):
        shown = '; '.join(f'{frame.index.names[level] or level}: {_some(_level(frame.index, level))}' for level in levels)
        raise DataError(f'{source}: found rows named by {shown}; expected a level of dates and one of codes')
    if keys:
        values = {kind: frame.index.get_level_values(level) for kind, level in keys.items()}
        kept = {name: frame.index.get_level_values(level) for level, name in enumerate(frame.index.names)
                if several and level not in found and name is not None and name not in frame.columns}
        frame = frame.reset_index(drop=True)
        for number, (name, column) in enumerate([(key, values[key]) for key in ('date', 'code') if key in values]):
            frame.insert(number, name, column)
        for name, column in kept.items():
            frame[name] = column
        missing -= set(keys)
    nameless = [label for label in frame.columns[:4] if NAMELESS.fullmatch(str(label).strip())]
    for label in nameless if missing else ():
        kind = _kind(frame[label], None, False)
        if kind in missing:
            frame = frame.rename(columns={label: kind})
            missing.discard(kind)
    return frame


def _split_fields(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return a frame whose columns have two levels, fields and codes in any order."""
    if frame.columns.nlevels != 2:
        raise DataError(f'{source}: found columns of {frame.columns.nlevels} levels, expected two at most: fields and codes')
    frame = _dates_to_index(frame, source)
    shares = [sum(code is not None for code in codes_of(level)) / max(len(level), 1)
              for level in (frame.columns.unique(0), frame.columns.unique(1))]
    if max(shares) < 0.5:
        raise DataError(f'{source}: found columns of two levels, such as {frame.columns[0] if len(frame.columns) else "none"}; '
                        'expected fields in one and codes in the other')
    fields = 1 if shares[0] >= shares[1] else 0
    return join_wide({str(name): frame.xs(name, axis=1, level=fields) for name in frame.columns.unique(fields)}, source)


def _dates_to_index(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return a wide frame with its dates, which may be in a column, as index."""
    if not isinstance(frame.index, (pd.MultiIndex, pd.RangeIndex)) and (_hold_dates(frame.index) or not len(frame)):
        return frame
    labels = [label[0] if isinstance(label, tuple) else label for label in frame.columns]
    known = recognise(labels).columns.get('date')
    first = [] if known is None else [labels.index(known)]
    for number in [*first, *range(min(2, len(labels)))]:
        if canonical_code(str(labels[number])) is None and (_hold_dates(frame.iloc[:, number]) or not len(frame)):
            return frame.drop(columns=frame.columns[number]).set_axis(pd.Index(frame.iloc[:, number]), axis=0)
    raise DataError(f'{source}: found a column per stock ({_some(labels)}), but no dates in the index or in the first column')


def _read_wide(frame: pd.DataFrame, source: str) -> _Wide:
    """Return what a wide frame holds."""
    frame = _dates_to_index(frame, source)
    found = codes_of(frame.columns)
    places = [number for number, code in enumerate(found) if code is not None]
    if not hold_codes([label for label in frame.columns if not NAMELESS.fullmatch(str(label).strip())]):
        raise DataError(f'{source}: found the columns {_some(frame.columns)}, expected a column per stock, such as 600000.XSHG')
    codes = [found[number] for number in places]
    if len(set(codes)) < len(codes):
        code = next(code for number, code in enumerate(codes) if code in codes[:number])
        same = [str(frame.columns[number]) for number in places if found[number] == code]
        raise DataError(f'{source}: found the stock {code} in two columns, {same[0]} and {same[1]}; keep one')
    days = _days(frame.index, source)
    order = np.argsort(days, kind='stable')
    doubled = np.flatnonzero(days[order][1:] == days[order][:-1])
    if len(doubled):
        raise DataError(f'{source}: found the day {str(days[order][doubled[0]])[:10]} in two rows; keep one')
    left_out = [str(label) for label, code in zip(frame.columns, found, strict=True)
                if code is None and not NAMELESS.fullmatch(str(label).strip())]
    return _Wide(days, codes, frame if len(places) == len(found) else frame.iloc[:, places], left_out)


def _on_grid(values: np.ndarray, places: tuple[np.ndarray, np.ndarray], there: np.ndarray) -> np.ndarray:
    """Return values at their places among all days and codes."""
    rows, columns = places
    if values.shape == there.shape and (np.diff(rows) == 1).all() and (np.diff(columns) == 1).all():
        return values
    grid = np.full(there.shape, np.nan, values.dtype)
    grid[np.ix_(rows, columns)] = values
    return grid


def _numbers(frame: pd.DataFrame) -> np.ndarray | None:
    """Return a wide frame as floats, flags as 0 and 1; None where it holds other text."""
    try:
        return frame.to_numpy(dtype='float64', na_value=np.nan)
    except (TypeError, ValueError):
        pass
    try:
        return frame.astype(object).where(frame.notna(), np.nan).to_numpy(dtype='float64')
    except (TypeError, ValueError):
        return None


# -- what labels and columns hold -------------------------------------------------------------------------


def _kind(values: Any, name: Any, sure: bool) -> str | None:
    """Return ``date`` or ``code``, by content, else by name; unless it is `sure`, numbers may be those of rows, not codes."""
    if _hold_dates(values):
        return 'date'
    values = _sample(values)
    if hold_codes(values) and (sure or all(isinstance(value, str) and len(value) >= 6 for value in values)):
        return 'code'
    kinds = recognise([name]).columns if name is not None else {}
    return next((kind for kind in ('date', 'code') if kind in kinds), None)


def _level(index: pd.Index, level: int) -> pd.Index:
    return index.levels[level] if isinstance(index, pd.MultiIndex) else index


def _sample(values: Any) -> list[Any]:
    if isinstance(getattr(values, 'dtype', None), pd.CategoricalDtype):
        values = values.categories if isinstance(values, pd.CategoricalIndex) else values.cat.categories
    return list(pd.Series(values).head(_SAMPLE).dropna())


def _hold_dates(values: pd.Series | pd.Index) -> bool:
    dtype = values.dtype
    if isinstance(dtype, (pd.DatetimeTZDtype, pd.PeriodDtype)) or pd.api.types.is_datetime64_dtype(dtype):
        return True
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_float_dtype(dtype):
        return False
    sample = _sample(values)
    return bool(sample) and all(isinstance(value, date) or _DAY.fullmatch(str(value).strip()) for value in sample)


def _days(labels: pd.Index, source: str) -> np.ndarray:
    """Return days in any form as datetime64[s]; a time stays, for the checks of a table to refuse."""
    if isinstance(labels.dtype, pd.DatetimeTZDtype):
        raise DataError(f'{source}: found dates with a time zone, expected days; drop it with .tz_localize(None)')
    if isinstance(labels, pd.PeriodIndex):
        labels = labels.to_timestamp()
    if isinstance(labels, pd.DatetimeIndex) and not labels.hasnans:
        return labels.to_numpy().astype('datetime64[s]')
    days = np.empty(len(labels), 'datetime64[s]')
    for number, label in enumerate(labels):
        match = None if label is pd.NaT else _DAY.fullmatch(str(label).strip())
        try:
            year, month, day = match[1], match[2] or match[5], match[3] or match[6]
            days[number] = np.datetime64(f'{year}-{int(month):02}-{int(day):02}' + (f'T{match[7]}' if match[7] else ''))
        except (TypeError, ValueError):
            raise DataError(f'{source}, row {number}: found the date {label!r}, expected a day such as 2024-11-01') from None
    return days


def _some(labels: Iterable[Any]) -> str:
    texts = [str(label) for label in labels]
    return ', '.join(texts[:4]) + (', ...' if len(texts) > 4 else '') or 'none'
