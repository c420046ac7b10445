"""The checks of a canonical table on its way in; its columns are those of `columns`.

One row per stock and trading day, raw (unadjusted) prices, sorted so that each stock's dates ascend.
"""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np
import pandas as pd

from .columns import CODE_PATTERN, FLAGS, OPTIONAL, PRICES, REQUIRED
from .errors import DataError

# The smallest A share ever traded was worth some 0.07 bn yuan, the largest some 3,300 bn: a decade of slack each way.
MIN_MARKET_CAP, MAX_MARKET_CAP = 7e6, 3.3e13
_CAP_UNITS = ((1e-8, 1e5, '亿 yuan', 1e8), (1e5, MIN_MARKET_CAP, '万 yuan', 1e4), (MAX_MARKET_CAP, 1e18, '分 (0.01 yuan)', 0.01))


class _Where:
    """Says where a row is, in the user's own file: line of a CSV, row of a frame, with its date and code."""

    def __init__(self, table: pd.DataFrame, source: str, lines: np.ndarray | None, first_row: int) -> None:
        self.table, self.source, self.lines, self.first_row = table, source, lines, first_row

    def error(self, position: int, column: str, found: Any, expected: str, mend: str) -> DataError:
        row = self.table.iloc[position]
        number = f'row {position + self.first_row}' if self.lines is None else f'line {self.lines[position]}'
        stock = ''
        if column != 'date' and isinstance(row.get('date'), pd.Timestamp):
            stock = f" ({row['date'].date()}" + (f" {row['code']}" if 'code' in row and column != 'code' else '') + ')'
        return DataError(f'{self.source}, {number}{stock}, column {column}: found {found}, expected {expected}; {mend}')


def _first(mask: np.ndarray | pd.Series) -> int | None:
    mask = np.asarray(mask)
    return int(mask.argmax()) if mask.any() else None


def _show(value: Any) -> str:
    if value is None or value is pd.NA:
        return 'nothing (NaN)'
    if isinstance(value, (float, np.floating)):
        return 'nothing (NaN)' if np.isnan(value) else f'{float(value):.15g}'
    return repr(value) if isinstance(value, str) else str(value)


def _check_columns(table: pd.DataFrame, source: str) -> None:
    doubled = table.columns[table.columns.duplicated()]
    if len(doubled):
        raise DataError(f'{source}: the column {doubled[0]!r} is there twice; keep one')
    missing = [name for name in REQUIRED if name not in table.columns]
    if not missing:
        return
    name = missing[0]
    lower = {str(column).strip().lower(): column for column in table.columns}
    near = difflib.get_close_matches(name, [str(c) for c in table.columns], n=1, cutoff=0.6)
    hint = f"rename {lower[name]!r} to {name!r}" if name in lower else f'did you mean {near[0]!r}? Rename it' if near else (
        f'add it ({REQUIRED[name]})')
    has = ', '.join(str(column) for column in table.columns[:12]) + (', ...' if len(table.columns) > 12 else '')
    raise DataError(
        f"{source}: missing column{'s' if len(missing) > 1 else ''} {', '.join(missing)}: "
        f'found {has or "no column"}; {hint}')


def _dates(table: pd.DataFrame, where: _Where) -> pd.Series:
    column = table['date']
    expected = 'a day such as 2024-11-01'
    zone = 'drop the time zone with .dt.tz_localize(None)'
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        raise where.error(0, 'date', _show(column.iloc[0]), expected, zone)
    if pd.api.types.is_datetime64_any_dtype(column):
        dates = column
    else:  # a market has few days and many rows: each day's text is read once
        codes, kinds = pd.factorize(column.astype('string').str.strip())
        text = pd.Series(kinds, dtype='string')
        zones = text.str.contains(r'\d{2}:\d{2}.*(?:Z|[+-]\d{2}:?\d{2})$').fillna(False).to_numpy(bool)
        zoned = _first(np.append(zones, False)[codes])
        if zoned is not None:
            raise where.error(zoned, 'date', _show(column.iloc[zoned]), expected, 'write days alone, without time and time zone')
        compact = text.str.fullmatch(r'\d{8}').fillna(False).to_numpy(bool)
        days = pd.to_datetime(text.where(~compact), errors='coerce', format='ISO8601').astype('datetime64[s]')
        if compact.any():
            short = pd.to_datetime(text.where(compact), errors='coerce', format='%Y%m%d').astype('datetime64[s]')
            days = days.where(~compact, short)
        days = np.append(days.to_numpy(), np.datetime64('NaT'))
        dates = pd.Series(days[codes], index=column.index)  # -1, not known, is the last
    bad = _first(dates.isna())
    if bad is not None:
        raise where.error(bad, 'date', _show(column.iloc[bad]), expected, 'write each date as YYYY-MM-DD')
    bad = _first(dates != dates.dt.normalize())
    if bad is not None:
        raise where.error(bad, 'date', _show(column.iloc[bad]), 'a day without a time', 'this is daily data: drop the time')
    return dates.astype('datetime64[s]')


def _check_codes(table: pd.DataFrame, where: _Where) -> None:
    codes = table['code']
    kinds = pd.Series(codes.unique())  # a check per distinct code, not per row
    good = kinds.astype('string').str.fullmatch(CODE_PATTERN).fillna(False).to_numpy(bool)
    if good.all():
        return
    bad = kinds[~good].iloc[0]
    position = _first(codes.isna() if pd.isna(bad) else codes == bad)
    mend = 'write codes as 600000.XSHG, 000001.XSHE or 835508.BJSE'
    if good.any():
        mend = f'the file mixes code styles ({kinds[good].iloc[0]} is right): ' + mend
    raise where.error(position, 'code', _show(bad), 'six digits and .XSHG, .XSHE or .BJSE', mend)


def _number(table: pd.DataFrame, name: str, where: _Where) -> np.ndarray:
    column = table[name]
    if not pd.api.types.is_numeric_dtype(column) or isinstance(column.dtype, pd.CategoricalDtype):
        numbers = pd.to_numeric(column, errors='coerce')
        bad = _first(numbers.isna() & column.notna())
        if bad is not None:
            raise where.error(bad, name, _show(column.iloc[bad]), f'a number ({_unit(name)})', 'mend or drop the row')
        column = numbers
    values = column.to_numpy(dtype='float64', na_value=np.nan)
    bad = _first(np.isinf(values))
    if bad is not None:
        raise where.error(bad, name, _show(values[bad]), f'a finite number ({_unit(name)})', 'mend or drop the row')
    return values


def _unit(name: str) -> str:
    return REQUIRED.get(name) or OPTIONAL.get(name, '')


def _check_prices(table: pd.DataFrame, where: _Where) -> None:
    traded = (table['paused'] == 0).to_numpy()
    for name in PRICES:
        values = table[name].to_numpy()
        bad = _first(~(values > 0))
        if bad is not None:
            what = 'a traded row' if traded[bad] else 'a suspended row'
            mend = 'drop the row if the stock did not trade' if traded[bad] else 'repeat the last close there, or drop the row'
            raise where.error(bad, name, _show(values[bad]), f'a price above 0 in {what}', mend)
    high, low = table['high'].to_numpy(), table['low'].to_numpy()
    slack = 1e-6  # yuan: binary noise of adjusted or summed prices, far below the 0.01 tick
    for name in ('open', 'close', 'low'):
        values = table[name].to_numpy()
        bad = _first(traded & (values > high + slack))
        if bad is not None:
            raise where.error(bad, 'high', _show(high[bad]), f'at least the {name} {_show(values[bad])}',
                              'check the order of the price columns: some sources write open, close, high, low')
    for name in ('open', 'close'):
        values = table[name].to_numpy()
        bad = _first(traded & (values < low - slack))
        if bad is not None:
            raise where.error(bad, 'low', _show(low[bad]), f'at most the {name} {_show(values[bad])}',
                              'check the order of the price columns: some sources write open, close, high, low')


def _check_market_cap(table: pd.DataFrame, where: _Where) -> None:
    caps = table['market_cap'].to_numpy()
    known = caps[~np.isnan(caps)]
    if not len(known):
        return
    bad = _first((caps < MIN_MARKET_CAP) | (caps > MAX_MARKET_CAP))
    if bad is None:
        return
    # the unit shows in the middle of the column; one odd row among good ones is judged by itself
    middle = float(np.median(known))
    typical = middle if not MIN_MARKET_CAP <= middle <= MAX_MARKET_CAP else float(caps[bad])
    hint = 'check the row'
    for low, high, unit, factor in _CAP_UNITS:
        if low <= typical < high:
            hint = f'looks like {unit}: multiply the column by {factor:g}'
    raise where.error(bad, 'market_cap', _show(caps[bad]), f'yuan between {MIN_MARKET_CAP:g} and {MAX_MARKET_CAP:g}', hint)


def _check_rest(table: pd.DataFrame, where: _Where) -> None:
    columns = set(table.columns)
    volume = table['volume'].to_numpy()
    bad = _first(~(volume >= 0))
    if bad is not None:
        raise where.error(bad, 'volume', _show(volume[bad]), '0 or more shares', 'write 0 where nothing was traded')
    for name, floor, what in (('preclose', 0.0, 'a price above 0'), ('high_limit', 0.0, 'a price above 0'),
                              ('low_limit', 0.0, 'a price above 0'), ('share_ratio', 0.0, 'a ratio above 0')):
        if name in columns:
            bad = _first(table[name].to_numpy() <= floor)
            if bad is not None:
                raise where.error(bad, name, _show(table[name].iloc[bad]), what, 'leave it empty where it is not known')
    if 'cash_dividend' in columns:
        bad = _first(table['cash_dividend'].to_numpy() < 0)
        if bad is not None:
            raise where.error(bad, 'cash_dividend', _show(table['cash_dividend'].iloc[bad]), '0 or more yuan a share',
                              'write 0 or nothing on a day without a dividend')
    if {'high_limit', 'low_limit'} <= columns:
        high, low = table['high_limit'].to_numpy(), table['low_limit'].to_numpy()
        bad = _first(high < low)
        if bad is not None:
            raise where.error(bad, 'high_limit', _show(high[bad]), f'at least the low_limit {_show(low[bad])}',
                              'the two limits are swapped')


def _check_order(table: pd.DataFrame, where: _Where) -> None:
    codes = pd.factorize(table['code'])[0]
    days = table['date'].to_numpy().astype('int64')
    order = np.argsort(codes, kind='stable')
    same = codes[order][1:] == codes[order][:-1]
    step = np.diff(days[order])
    doubled = _first(same & (step == 0))
    if doubled is None:  # equal dates need not be neighbours in an unsorted file
        full = np.lexsort((days, codes))
        twice = (np.diff(codes[full]) == 0) & (np.diff(days[full]) == 0)
        position = _first(twice)
        again = None if position is None else int(max(full[position], full[position + 1]))
    else:
        again = int(order[doubled + 1])
    if again is not None:
        row = table.iloc[again]
        raise where.error(again, 'code', f"{row['code']} on {row['date'].date()} a second time", 'one row per date and code',
                          'drop one of the two rows')
    back = _first(same & (step < 0))
    if back is not None:
        position = int(order[back + 1])
        raise where.error(position, 'date', f"{table['date'].iloc[position].date()} after a later day of the same stock",
                          "each stock's dates in ascending order", "sort the table by ['date', 'code']")


def _no_rows(source: str) -> DataError:
    return DataError(f'{source}: found no rows, expected one row per stock and trading day; check how it was made')


def check_table(
    table: pd.DataFrame, source: str = 'the table', *, lines: np.ndarray | None = None, first_row: int = 0, ordered: bool = True
) -> pd.DataFrame:
    """Check a canonical table and return it with proper types.

    Parameters
    ----------
    table : DataFrame
        Columns as in `REQUIRED`, `OPTIONAL` and any further ones. It is not changed.
    source : str
        What error messages call the table, such as the file's name.
    lines : ndarray of int, shape (rows,), optional
        Line of each row in the user's file, for messages.
    first_row : int
        Number of the first row, for messages, where there are no lines.
    ordered : bool
        Whether each stock's dates must ascend, and each be there once.

    Returns
    -------
    DataFrame
        A new frame with a fresh index: ``date`` as datetime64, ``code`` as text, numbers as float64, flags as
        uint8; further numeric columns are kept as they are.

    Raises
    ------
    DataError
        The first thing that is wrong, with its place, value and mend.
    """
    if not isinstance(table, pd.DataFrame):
        raise DataError(f'{source}: found {type(table).__name__}, expected a pandas DataFrame in the canonical layout')
    if 'date' not in table.columns and isinstance(table.index, pd.DatetimeIndex):
        table = table.rename_axis('date').reset_index()
    _check_columns(table, source)
    if not len(table):
        raise _no_rows(source)
    table = table.reset_index(drop=True)
    where = _Where(table, source, lines, first_row)
    checked = {name: table[name] for name in table.columns}
    checked['date'] = _dates(table, where)
    where.table = table = pd.DataFrame(checked)
    _check_codes(table, where)
    for name in table.columns:
        if name in ('date', 'code') or (name not in REQUIRED and name not in OPTIONAL):
            continue
        values = _number(table, name, where)
        if name in FLAGS:
            bad = _first((values != 0) & (values != 1))
            if bad is not None:
                raise where.error(bad, name, _show(table[name].iloc[bad]), '0 or 1', _unit(name))
            values = values.astype('uint8')
        checked[name] = values
    where.table = table = pd.DataFrame(checked)
    _check_prices(table, where)
    _check_market_cap(table, where)
    _check_rest(table, where)
    if ordered:
        _check_order(table, where)
    return table
