"""Answers of baostock.com as canonical tables.

Every value is text. A suspended day is a row whose prices are the reference price. There is no total market cap: float
shares = volume / (turnover / 100), of the last day that traded.
"""

from __future__ import annotations

from datetime import date

import pandas as pd

from ..errors import DataError
from . import dividends
from .answers import (
    TEXT,
    Asked,
    as_flag,
    key_columns,
    number_columns,
    parse_codes,
    parse_dates,
    parse_numbers,
    require_columns,
    restore_texts,
)

DAILY, STOCK_BASIC, INDUSTRY = 'query_history_k_data_plus', 'query_stock_basic', 'query_stock_industry'
WHOLE_DAY, CALENDAR, DIVIDENDS = 'query_daily_history_k_AStock', 'query_trade_dates', 'query_dividend_data'
FIELDS = 'date,code,open,high,low,close,preclose,volume,amount,adjustflag,turn,tradestatus,isST'
INDEX_FIELDS = 'date,code,open,high,low,close'
CONSTITUENT_CALLS = {'000300': 'query_hs300_stocks', '000016': 'query_sz50_stocks', '000905': 'query_zz500_stocks'}
FILE_PREFIXES = {name: name for name in (DAILY, STOCK_BASIC, INDUSTRY, DIVIDENDS, *CONSTITUENT_CALLS.values())} | {
    WHOLE_DAY: DAILY, 'full_fields': DAILY, '': DAILY}


def daily_bars(frame: pd.DataFrame, source: str = 'baostock', asked: Asked | None = None) -> pd.DataFrame:
    """Return an answer of ``query_history_k_data_plus`` as a canonical table.

    Parameters
    ----------
    frame : DataFrame
        Columns as in `FIELDS`, all text.
    source : str
        What messages call it.
    asked : Asked, optional
        Which rows must not be of adjusted prices; without it all.

    Returns
    -------
    DataFrame
        With ``float_shares`` of days that traded, for `FloatShares`. Text where a number or a day is expected is left as it is.

    Raises
    ------
    DataError
        A column that lacks, or adjusted prices.
    """
    asked = asked or Asked()
    frame = require_columns(frame, FIELDS.replace('adjustflag,', '').split(','), source)
    numbers = ('open', 'high', 'low', 'close', 'preclose', 'volume', 'amount', 'turn', 'isST')
    table = pd.DataFrame({**key_columns(frame, 'date', 'code'), **number_columns(frame, {name: name for name in numbers}),
                          **_paused(frame)})
    if 'adjustflag' in frame:
        adjusted = parse_numbers(frame, 'adjustflag').fillna(3).ne(3) & asked.rows(table)
        if adjusted.any():
            raise DataError(f'{source}, column adjustflag: found {frame["adjustflag"][adjusted].iloc[0]!r}, adjusted prices; '
                            'expected 3, raw ones')
    table = table[table['code'].notna()].sort_values(['code', 'date'], ignore_index=True)
    paused, codes = table['paused'] == 1, table['code']
    given = table['close'].fillna(table['preclose'].where(paused))
    table['close'] = given.mask(paused, given.groupby(codes).ffill())
    for name in ('open', 'high', 'low'):
        table[name] = table[name].mask(paused, table['close'])
    table[['volume', 'amount']] = table[['volume', 'amount']].mask(paused, 0.0)
    known = (table['volume'] > 0) & (table['turn'] > 0)
    table['float_shares'] = (table['volume'] / (table['turn'] / 100)).where(known)
    table = table.rename(columns={'isST' + TEXT: 'is_st' + TEXT}).drop(columns=['turn', 'turn' + TEXT], errors='ignore')
    flags = {'is_st': as_flag(table.pop('isST')), 'paused': as_flag(table.pop('paused'))}
    table = restore_texts(table.assign(**flags))
    table.attrs['source'] = source
    return table


def _paused(frame: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the flag paused, which is tradestatus the other way round; what is neither 0 nor 1 is kept as text."""
    status = parse_numbers(frame, 'tradestatus')
    paused = (1.0 - status).where(status.isin([0, 1]))
    strange = paused.isna() & frame['tradestatus'].notna()
    text = ('tradestatus ' + frame['tradestatus'].astype('string')).astype(object).where(strange, None)
    return {'paused': paused, **({'paused' + TEXT: text} if strange.any() else {})}


def listings(frame: pd.DataFrame, source: str = 'baostock query_stock_basic') -> pd.DataFrame:
    """Return an answer of ``query_stock_basic`` as code, name, listed, delisted: stocks alone, without indices and funds."""
    frame = require_columns(frame, ('code', 'code_name', 'ipoDate', 'outDate', 'type'), source)
    table = pd.DataFrame({
        'code': parse_codes(frame, 'code'), 'name': frame['code_name'], 'listed': parse_dates(frame, 'ipoDate'),
        'delisted': parse_dates(frame, 'outDate')})
    return table[table['code'].notna() & (frame['type'].astype(str) == '1')].sort_values('code', ignore_index=True)


def snapshot_rows(frame: pd.DataFrame, what: str, source: str, day: date) -> pd.DataFrame:
    """Return an answer with ``code`` and a further column as code, date, that column: as of the day asked for."""
    frame = require_columns(frame, ('code', what), source)
    return pd.DataFrame({'code': parse_codes(frame, 'code'), 'date': pd.Timestamp(day).as_unit('s'), what: frame[what]})


def dividend_events(frame: pd.DataFrame, source: str = f'baostock {DIVIDENDS}') -> pd.DataFrame:
    """Return an answer of ``query_dividend_data`` as events, see `dividends.events`; all is a share, before tax."""
    columns = ('code', 'dividOperateDate', 'dividCashPsBeforeTax', 'dividStocksPs', 'dividReserveToStockPs')
    frame = require_columns(frame, columns, source).drop_duplicates()
    new = parse_numbers(frame, 'dividStocksPs').fillna(0.0) + parse_numbers(frame, 'dividReserveToStockPs').fillna(0.0)
    return dividends.events(parse_dates(frame, 'dividOperateDate'), parse_codes(frame, 'code'),
                            parse_numbers(frame, 'dividCashPsBeforeTax'), new)


def benchmark(frame: pd.DataFrame, index: str, source: str) -> pd.DataFrame:
    """Return an index' daily answer with the columns of a benchmark."""
    frame = require_columns(frame, INDEX_FIELDS.split(','), source)
    prices = {name: parse_numbers(frame, name) for name in ('open', 'high', 'low', 'close')}
    return pd.DataFrame({'index': index, 'date': parse_dates(frame, 'date'), **prices})


def symbol(code: str) -> str:
    """Return a canonical code as baostock writes it."""
    digits, _, exchange = code.partition('.')
    return {'XSHG': 'sh.', 'XSHE': 'sz.', 'BJSE': 'bj.'}[exchange] + digits
