"""Answers of JoinQuant's jqdatasdk as canonical tables.

Suspended days are rows with the last close and the flag ``paused``; the valuation has no rows there. Dividends are told by 10
shares.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from bt_microcap.exchange import rules

from ..columns import PRICES
from ..errors import DataError
from . import dividends
from .answers import (
    Asked,
    as_flag,
    check_unadjusted,
    has_text,
    key_columns,
    number_columns,
    one_a_day,
    parse_codes,
    parse_dates,
    parse_numbers,
    reference_table,
    require_columns,
    restore_texts,
)
from .delisting import delisting_changes, delisting_flags

DAILY, VALUATION, ST_FLAGS = 'get_price', 'get_valuation', 'get_extras'
STOCKS, INDUSTRY, CONSTITUENTS, NAMES = 'get_all_securities', 'get_industry', 'get_index_stocks', 'STK_NAME_HISTORY'
DIVIDENDS, CALENDAR = 'STK_XR_XD', 'get_trade_days'
FILE_PREFIXES = {name: name for name in (DAILY, VALUATION, ST_FLAGS, STOCKS, NAMES, DIVIDENDS)} | {'get_extras_is_st': ST_FLAGS}
FIELDS = ['open', 'close', 'high', 'low', 'volume', 'money', 'high_limit', 'low_limit', 'pre_close', 'paused']
_BOOLEANS = {True: 1, False: 0, 'True': 1, 'False': 0}


def daily_bars(frame: pd.DataFrame, valuation: pd.DataFrame, extras: pd.DataFrame, source: str = 'joinquant',
               code: str | None = None, names: pd.DataFrame | None = None, asked: Asked | None = None) -> pd.DataFrame:
    """Return an answer of ``get_price`` (fq=None) as a canonical table.

    Parameters
    ----------
    frame : DataFrame
        time, code and the columns in `FIELDS`; volume in shares, money in yuan.
    valuation : DataFrame
        The answer of ``get_valuation``: code, day, market_cap (亿, 1e8 yuan) and capitalization (万, 10,000 shares). On
        days without a row the last total shares times the close; a row without a number is not known.
    extras : DataFrame
        The answer of ``get_extras('is_st')``: days, and a column per stock.
    source : str
        What messages call it.
    code : str, optional
        Canonical code, where the answer is of one stock and has no column code.
    names : DataFrame, optional
        Of `name_changes`, for the column delisting_period; without it there is none.
    asked : Asked, optional
        Which rows must not be of adjusted prices, and are counted where a market cap or a flag is not known; without it all.

    Returns
    -------
    DataFrame
        Text where a number or a day is expected is left as it is.

    Raises
    ------
    DataError
        A column that lacks, or adjusted prices.
    """
    if 'time' not in frame and len(frame.columns):  # a stock alone: its index
        frame = frame.rename(columns={frame.columns[0]: 'time'})
    if 'code' not in frame and code:
        frame = frame.assign(code=code)
    frame = require_columns(frame, ('time', 'code', *FIELDS), source)
    asked = asked or Asked()
    ours = {'pre_close': 'preclose', 'money': 'amount'}
    columns = {ours.get(name, name): name for name in FIELDS}
    table = pd.DataFrame({**key_columns(frame, 'time', 'code'), **number_columns(frame, columns)})
    if 'factor' in frame:
        factor = parse_numbers(frame, 'factor').fillna(1)
        if (adjusted := (factor != 1) & asked.rows(table)).any():
            raise DataError(f'{source}, column factor: found {factor[adjusted].iloc[0]:g}, adjusted prices; expected raw ones, '
                            'ask with fq=None')
    there = np.logical_or.reduce([table[name].notna() | has_text(table, name) for name in (*PRICES, 'volume')])
    table = table[table['code'].notna() & there].sort_values(['code', 'date'], ignore_index=True)  # else not listed on the day
    paused = table['paused'] == 1
    for name in ('volume', 'amount'):
        table[name] = table[name].mask(paused & table[name].isna(), 0.0)
    table['preclose'] = _reference_price(table)
    check_unadjusted(table[asked.rows(table)], source)
    caps = one_a_day(market_caps(valuation, source.replace(DAILY, VALUATION))).assign(valued=True)
    table = table.merge(caps, on=['date', 'code'], how='left')
    table['market_cap'] = _filled_caps(table, paused, asked)
    marks = one_a_day(st_flags(extras, source.replace(DAILY, ST_FLAGS)))
    table = table.drop(columns=['shares', 'valued']).merge(marks, on=['date', 'code'], how='left')
    if len(marks):
        asked.count('is_st', table, table['is_st'].isna())
    table['is_st'] = (table['is_st'] == 1).astype('uint8')
    if names is not None:
        table['delisting_period'] = delisting_flags(table, delisting_changes(names))
    table['paused'] = as_flag(table['paused'])
    table = restore_texts(table)
    table.attrs['source'] = source
    return table


def _filled_caps(table: pd.DataFrame, paused: pd.Series, asked: Asked) -> pd.Series:
    """Return the market caps with those of days that have no valuation: the last total shares times the close."""
    cap = table['market_cap']
    shares = table['shares'].fillna(cap / table['close'].where(table['close'] > 0))
    shares = shares.where(shares > 0).groupby(table['code']).ffill()
    missing = cap.isna() & (paused | table['valued'].isna() | table['shares'].gt(0)) & ~has_text(table, 'market_cap')
    cap = cap.mask(missing, (shares * table['close']).round(2))
    asked.count('market_cap', table, missing & table['valued'].isna() & ~paused & cap.notna())
    return cap


def suspended_caps(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table in which the caps of suspended days count the new shares of an ex-date on them.

    The last total shares times a close that is without them would be too small: by the explicit ratio, else, as of a rights
    issue, by that of the close before to the reference price.

    Parameters
    ----------
    table : DataFrame
        Canonical, of one list of stocks; by code, days ascending.
    """
    paused, close = table['paused'].eq(1), pd.to_numeric(table['close'], errors='coerce')
    if not paused.any():
        return table
    same = table['code'].eq(table['code'].shift())
    moved = paused & same & (close - close.shift()).abs().gt(rules.HALF_TICK)
    if not moved.any():
        return table
    told = table['share_ratio'] if 'share_ratio' in table else pd.Series(np.nan, table.index)
    cash = table['cash_dividend'] if 'cash_dividend' in table else pd.Series(np.nan, table.index)
    ratio = told.where(told.notna() | cash.notna(), close.shift() / close).fillna(1.0)
    factor = ratio.where(moved, 1.0).groupby([table['code'], (~paused).cumsum()]).cumprod()
    caps = pd.to_numeric(table['market_cap'], errors='coerce') * factor
    return table.assign(market_cap=table['market_cap'].mask(paused & factor.ne(1), caps.round(2)))


def _reference_price(table: pd.DataFrame) -> pd.Series:
    """Return the reference price: pre_close, or the middle of the day's limits where it is off (an ex-date)."""
    high, low = table['high_limit'], table['low_limit']
    middle, width = (high + low) / 2, (high - low) / (high + low)
    off = ((middle - table['preclose']).abs() > 0.0151) & width.between(0.04, 0.32) & (table['preclose'] > 1)
    return table['preclose'].mask(off, middle.round(2)).where(table['preclose'] > 0)


def market_caps(frame: pd.DataFrame, source: str = 'joinquant get_valuation') -> pd.DataFrame:
    """Return an answer of ``get_valuation`` as date, code, market_cap (yuan) and shares."""
    frame = require_columns(frame, ('code', 'day', 'market_cap'), source)
    shares = parse_numbers(frame, 'capitalization', 1e4) if 'capitalization' in frame else np.nan
    caps = number_columns(frame, {'market_cap': 'market_cap'}, 1e8)
    return pd.DataFrame({'date': parse_dates(frame, 'day'), 'code': parse_codes(frame, 'code'), **caps, 'shares': shares})


def st_flags(frame: pd.DataFrame, source: str = 'joinquant get_extras') -> pd.DataFrame:
    """Return an answer of ``get_extras('is_st')``, days and a column per stock, as date, code, is_st (0, 1, or not known)."""
    if not len(frame):
        return pd.DataFrame({'date': [], 'code': [], 'is_st': []}).astype({'date': 'datetime64[s]', 'code': object})
    day = frame.columns[0]
    long = frame.astype(object).melt(day, var_name='code', value_name='is_st')
    long['is_st'] = long['is_st'].map(lambda value: _BOOLEANS.get(value, value))
    return pd.DataFrame({
        'date': parse_dates(long, day), 'code': parse_codes(long, 'code'), 'is_st': parse_numbers(long, 'is_st')})


def listings(frame: pd.DataFrame, source: str = 'joinquant get_all_securities') -> pd.DataFrame:
    """Return an answer of ``get_all_securities`` as code, name, listed, delisted, by the day of the listing."""
    if 'code' not in frame and len(frame.columns):
        frame = frame.rename(columns={frame.columns[0]: 'code'})
    frame = require_columns(frame, ('code', 'display_name', 'start_date', 'end_date'), source)
    table = pd.DataFrame({'code': parse_codes(frame, 'code'), 'name': frame['display_name'],
                          'listed': parse_dates(frame, 'start_date'), 'delisted': parse_dates(frame, 'end_date')})
    table['delisted'] = table['delisted'].mask(table['delisted'] >= np.datetime64('2200-01-01'))
    return table[table['code'].notna()].sort_values(['listed', 'code'], ignore_index=True)


def name_changes(frame: pd.DataFrame, source: str = f'joinquant {NAMES}') -> pd.DataFrame:
    """Return an answer of ``STK_NAME_HISTORY`` as code, date, name; of two names of one day the one entered last counts."""
    frame = require_columns(frame, ('code', 'new_name', 'start_date'), source)
    table = pd.DataFrame({'code': parse_codes(frame, 'code'), 'date': parse_dates(frame, 'start_date'),
                          'name': frame['new_name']})
    if 'id' in frame:
        table = table.iloc[np.argsort(parse_numbers(frame, 'id'), kind='stable')]
    return reference_table(table[table['name'].notna()], ('code', 'date', 'name'))


def dividend_events(frame: pd.DataFrame, source: str = f'joinquant {DIVIDENDS}') -> pd.DataFrame:
    """Return an answer of ``STK_XR_XD`` as events, see `dividends.events`: of those that were not given up, by 10 shares.

    Parameters
    ----------
    frame : DataFrame
        code, a_xr_date, bonus_ratio_rmb (yuan before tax), dividend_ratio (bonus shares), transfer_ratio (of reserves), and
        bonus_cancel_pub_date where it was given up.
    source : str
        What messages call it.
    """
    columns = ('code', 'a_xr_date', 'bonus_ratio_rmb', 'dividend_ratio', 'transfer_ratio')
    frame = require_columns(frame, columns, source)
    if 'bonus_cancel_pub_date' in frame:
        frame = frame[parse_dates(frame, 'bonus_cancel_pub_date').isna()].reset_index(drop=True)
    frame = frame.drop_duplicates([*columns, *(('report_date',) if 'report_date' in frame else ())])
    new = parse_numbers(frame, 'dividend_ratio').fillna(0.0) + parse_numbers(frame, 'transfer_ratio').fillna(0.0)
    return dividends.events(parse_dates(frame, 'a_xr_date'), parse_codes(frame, 'code'),
                            parse_numbers(frame, 'bonus_ratio_rmb') / 10, new / 10)


def benchmark(frame: pd.DataFrame, index: str, source: str = 'joinquant get_price') -> pd.DataFrame:
    """Return an index' answer of ``get_price`` with the columns of a benchmark."""
    frame = require_columns(frame, ('time', 'open', 'high', 'low', 'close'), source)
    prices = {name: parse_numbers(frame, name) for name in ('open', 'high', 'low', 'close')}
    rows = pd.DataFrame({'index': index, 'date': parse_dates(frame, 'time'), **prices}).dropna()
    return reference_table(rows, ('index', 'date', *prices))
