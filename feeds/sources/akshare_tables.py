"""Answers of akshare, which reads public web pages, as canonical tables.

A stock has no row on a suspended day. Total shares are those of ``stock_value_em``, which begins in 2018, before that of the
share history ``stock_zh_a_gbjg_em``; times the close they are the market cap. Dividends are told by 10 shares.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from . import dividends
from .answers import (
    Asked,
    check_unadjusted,
    key_columns,
    number_columns,
    parse_codes,
    parse_dates,
    parse_numbers,
    require_columns,
    restore_texts,
)

DAILY, MARKET_VALUE, ST_STOCKS, INDEX_DAILY = 'stock_zh_a_hist', 'stock_value_em', 'stock_zh_a_st_em', 'index_zh_a_hist'
INDUSTRY, CONSTITUENTS, DIVIDENDS = 'stock_industry_clf_hist_sw', 'index_stock_cons_csindex', 'stock_fhps_em'
SHARE_HISTORY = 'stock_zh_a_gbjg_em'
# call, its symbol, and its columns: code, name, first day, last day
STOCK_LISTS = (
    ('stock_info_sh_name_code', '主板A股', '证券代码', '证券简称', '上市日期', None),
    ('stock_info_sh_name_code', '科创板', '证券代码', '证券简称', '上市日期', None),
    ('stock_info_sz_name_code', 'A股列表', 'A股代码', 'A股简称', 'A股上市日期', None),
    ('stock_info_bj_name_code', None, '证券代码', '证券简称', '上市日期', None),
    ('stock_info_sh_delist', '全部', '公司代码', '公司简称', '上市日期', '暂停上市日期'),
    ('stock_info_sz_delist', '终止上市公司', '证券代码', '证券简称', '上市日期', '终止上市日期'),
)
FILE_PREFIXES = {name: name for name in (
    DAILY, MARKET_VALUE, ST_STOCKS, INDEX_DAILY, INDUSTRY, CONSTITUENTS, DIVIDENDS, SHARE_HISTORY,
    *(call for call, *_ in STOCK_LISTS))}
LOT_SIZE = 100  # shares in a 手
TOTAL_SHARES = '总股本'


def daily_bars(
    frame: pd.DataFrame, value: pd.DataFrame, code: str, source: str = 'akshare', asked: Asked | None = None,
    history: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return an answer of ``stock_zh_a_hist`` (adjust='') as a canonical table.

    Parameters
    ----------
    frame : DataFrame
        日期 开盘 收盘 最高 最低 成交量 (手) 成交额 (yuan) and more.
    value : DataFrame
        The stock's answer of ``stock_value_em``: 数据日期, 总股本 (shares). The shares of a day hold until the next
        one that is known; before the first those of `history`.
    code : str
        Canonical code, where the answer has no 股票代码.
    source : str
        What messages call it.
    asked : Asked, optional
        Which rows must not be of adjusted prices; without it all.
    history : DataFrame, optional
        The stock's answer of ``stock_zh_a_gbjg_em``: 变更日期, 总股本. Days before its first row have no market cap.

    Returns
    -------
    DataFrame
        Text where a number or a day is expected is left as it is.

    Raises
    ------
    DataError
        A column that lacks, or adjusted prices.
    """
    names = {'开盘': 'open', '最高': 'high', '最低': 'low', '收盘': 'close'}
    frame = require_columns(frame, ('日期', *names, '成交量', '成交额'), source)
    if '股票代码' not in frame:
        frame = frame.assign(股票代码=code)
    table = pd.DataFrame({
        **key_columns(frame, '日期', '股票代码'), **number_columns(frame, {ours: theirs for theirs, ours in names.items()}),
        **number_columns(frame, {'volume': '成交量'}, LOT_SIZE), **number_columns(frame, {'amount': '成交额'})})
    table = table[table['code'].notna()].sort_values('date', ignore_index=True)
    check_unadjusted(table[(asked or Asked()).rows(table)], source)
    known = total_shares(value, source.replace(DAILY, MARKET_VALUE))
    if history is not None and len(history):
        before = total_shares(history.rename(columns={'变更日期': '数据日期'}), source.replace(DAILY, SHARE_HISTORY))
        known = pd.concat([before[before['date'] < known['date'].min()] if len(known) else before, known], ignore_index=True)
    shares = pd.merge_asof(table[['date']].dropna(), known, on='date')['shares']  # those without a day come last
    table['market_cap'] = (shares.reindex(table.index) * table['close']).round(2)
    table['is_st'] = table['paused'] = np.zeros(len(table), 'uint8')
    table = restore_texts(table)
    table.attrs['source'] = source
    return table


def total_shares(frame: pd.DataFrame, source: str = 'akshare stock_value_em') -> pd.DataFrame:
    """Return an answer of ``stock_value_em`` as date and shares, days in order; of a day with two numbers none counts."""
    frame = require_columns(frame, ('数据日期', TOTAL_SHARES), source)
    table = pd.DataFrame({'date': parse_dates(frame, '数据日期'), 'shares': parse_numbers(frame, TOTAL_SHARES)})
    table = table[(table['shares'] > 0) & table['date'].notna()].drop_duplicates().drop_duplicates('date', keep=False)
    return table.sort_values('date', ignore_index=True)


def listings(frame: pd.DataFrame, columns: tuple[str, str, str, str | None], source: str) -> pd.DataFrame:
    """Return a list of an exchange as code, name, listed, delisted."""
    code, name, first, last = columns
    frame = require_columns(frame, [column for column in columns if column], source)
    if len(frame):
        frame = frame.assign(**{code: frame[code].astype('string').str.replace(r'\.0$', '', regex=True).str.zfill(6)})
    table = pd.DataFrame({'code': parse_codes(frame, code), 'name': frame[name], 'listed': parse_dates(frame, first)})
    table['delisted'] = parse_dates(frame, last) if last else np.datetime64('NaT', 's')
    return table[table['code'].notna()]


def benchmark(frame: pd.DataFrame, index: str, source: str) -> pd.DataFrame:
    """Return an answer of ``index_zh_a_hist`` with the columns of a benchmark."""
    names = {'开盘': 'open', '最高': 'high', '最低': 'low', '收盘': 'close'}
    frame = require_columns(frame, ('日期', *names), source)
    prices = {ours: parse_numbers(frame, theirs) for theirs, ours in names.items()}
    return pd.DataFrame({'index': index, 'date': parse_dates(frame, '日期'), **prices})


def industries(frame: pd.DataFrame, source: str = 'akshare stock_industry_clf_hist_sw') -> pd.DataFrame:
    """Return an answer of ``stock_industry_clf_hist_sw``: number of the 申万 industry from a day on."""
    frame = require_columns(frame, ('symbol', 'start_date', 'industry_code'), source)
    return pd.DataFrame({'code': parse_codes(frame, 'symbol'), 'date': parse_dates(frame, 'start_date'),
                         'industry': frame['industry_code'].astype(str)})


def constituents(frame: pd.DataFrame, source: str = 'akshare index_stock_cons_csindex') -> pd.DataFrame:
    """Return an answer of ``index_stock_cons_csindex``: the members of an index on the day that it names."""
    frame = require_columns(frame, ('日期', '指数代码', '成分券代码'), source)
    return pd.DataFrame({'index': frame['指数代码'].astype(str).str.zfill(6), 'date': parse_dates(frame, '日期'),
                         'code': parse_codes(frame, '成分券代码')})


def dividend_events(frame: pd.DataFrame, source: str = f'akshare {DIVIDENDS}') -> pd.DataFrame:
    """Return an answer of ``stock_fhps_em`` as events, see `dividends.events`: of those that were carried out, by 10 shares."""
    columns = ('代码', '除权除息日', '现金分红-现金分红比例', '送转股份-送转总比例')
    frame = require_columns(frame, columns, source)
    if '方案进度' in frame:
        frame = frame[frame['方案进度'].astype('string').str.contains('实施').fillna(True)].reset_index(drop=True)
    frame = frame.drop_duplicates([*columns, *(('报告期',) if '报告期' in frame else ())]).reset_index(drop=True)
    return dividends.events(parse_dates(frame, '除权除息日'), parse_codes(frame, '代码'),
                            parse_numbers(frame, '现金分红-现金分红比例') / 10, parse_numbers(frame, '送转股份-送转总比例') / 10)


def mark_st(table: pd.DataFrame, codes: set[str], day: date) -> pd.DataFrame:
    """Mark the stocks of today's ST list on the rows of that day; earlier days are not known."""
    table.loc[(parse_dates(table, 'date') >= np.datetime64(day, 's')) & table['code'].isin(codes), 'is_st'] = 1
    return table
