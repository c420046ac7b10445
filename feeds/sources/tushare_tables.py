"""Answers of tushare.pro as canonical tables.

A suspended day has no row: `TableBuilder` repeats the last one. Volume is in 手 (100 shares), amount in 1,000 yuan, market cap in
万 (10,000) yuan, dividends a share.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from . import dividends
from .answers import (
    TEXT,
    Asked,
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

DAILY, DAILY_BASIC, PRICE_LIMITS, SUSPENSIONS, ST_STOCKS = 'daily', 'daily_basic', 'stk_limit', 'suspend_d', 'stock_st'
STOCK_BASIC, NAME_CHANGES, CALENDAR, INDEX_DAILY = 'stock_basic', 'namechange', 'trade_cal', 'index_daily'
USER, CONSTITUENTS, INDUSTRY, DIVIDENDS, NEW_CODES = 'user', 'index_weight', 'index_member_all', 'dividend', 'bse_mapping'
FILE_PREFIXES = {name: name for name in (
    DAILY, DAILY_BASIC, PRICE_LIMITS, SUSPENSIONS, ST_STOCKS, STOCK_BASIC, NAME_CHANGES, INDEX_DAILY, CONSTITUENTS, INDUSTRY,
    DIVIDENDS, NEW_CODES
)} | {'pro_bar': DAILY}
FIELDS = {
    DAILY: 'ts_code,trade_date,open,high,low,close,pre_close,vol,amount',
    DAILY_BASIC: 'ts_code,trade_date,total_share,total_mv',
    PRICE_LIMITS: 'ts_code,trade_date,up_limit,down_limit',
    SUSPENSIONS: 'ts_code,trade_date,suspend_timing,suspend_type',
    ST_STOCKS: 'ts_code,trade_date,name,type',
    STOCK_BASIC: 'ts_code,name,list_date,delist_date,list_status',
    NAME_CHANGES: 'ts_code,name,start_date,end_date',
    CALENDAR: 'cal_date,is_open',
    INDEX_DAILY: 'ts_code,trade_date,open,high,low,close',
    CONSTITUENTS: 'index_code,con_code,trade_date',
    INDUSTRY: 'ts_code,l1_name,in_date,out_date',
    DIVIDENDS: 'ts_code,end_date,ann_date,div_proc,stk_div,cash_div_tax,record_date,ex_date',
    NEW_CODES: 'name,o_code,n_code,list_date',
    USER: 'user_id,exp_date,points',
}


def daily_bars(frame: pd.DataFrame, source: str = 'tushare daily', asked: Asked | None = None) -> pd.DataFrame:
    """Return an answer of ``daily`` in our units, by code and day; text is in columns beside, see `answers.number_columns`."""
    names = {'open': 'open', 'high': 'high', 'low': 'low', 'close': 'close', 'pre_close': 'preclose'}
    frame = require_columns(frame, ('ts_code', 'trade_date', *names, 'vol', 'amount'), source)
    table = pd.DataFrame({
        **key_columns(frame, 'trade_date', 'ts_code'), **number_columns(frame, {ours: theirs for theirs, ours in names.items()}),
        **number_columns(frame, {'volume': 'vol'}, 100), **number_columns(frame, {'amount': 'amount'}, 1000)})
    table['volume'] = table['volume'].round()
    table = table[table['code'].notna()].sort_values(['code', 'date'], ignore_index=True)
    check_unadjusted(table[(asked or Asked()).rows(table)], source)
    return table


def market_caps(frame: pd.DataFrame, source: str = 'tushare daily_basic') -> pd.DataFrame:
    """Return an answer of ``daily_basic`` as date, code, market_cap (yuan) and shares."""
    frame = require_columns(frame, FIELDS[DAILY_BASIC].split(','), source)
    return pd.DataFrame({**_side_keys(frame), **number_columns(frame, {'market_cap': 'total_mv'}, 1e4),
                         'shares': parse_numbers(frame, 'total_share', 1e4)})


def price_limits(frame: pd.DataFrame, source: str = 'tushare stk_limit') -> pd.DataFrame:
    """Return an answer of ``stk_limit`` as date, code, high_limit, low_limit; 0 is not known."""
    frame = require_columns(frame, FIELDS[PRICE_LIMITS].split(','), source)
    limits = pd.DataFrame({**_side_keys(frame), **number_columns(frame, {'high_limit': 'up_limit', 'low_limit': 'down_limit'})})
    for name in ('high_limit', 'low_limit'):
        limits[name] = limits[name].mask(limits[name] == 0)
    return limits


def suspensions(frame: pd.DataFrame, source: str = 'tushare suspend_d') -> pd.DataFrame:
    """Return an answer of ``suspend_d`` as date and code of suspensions for the whole day."""
    frame = require_columns(frame, FIELDS[SUSPENSIONS].split(','), source)
    timing = frame['suspend_timing'].astype('string').str.strip().fillna('')
    whole_day = timing.isin(['', 'None', 'nan']) & (frame['suspend_type'].astype(str) == 'S')
    return pd.DataFrame(_side_keys(frame))[whole_day]


def st_stocks(frame: pd.DataFrame, source: str = 'tushare stock_st') -> pd.DataFrame:
    """Return an answer of ``stock_st`` as date and code."""
    return pd.DataFrame(_side_keys(require_columns(frame, ('ts_code', 'trade_date'), source)))


def name_changes(frame: pd.DataFrame, source: str = 'tushare namechange') -> pd.DataFrame:
    """Return an answer of ``namechange`` as code, date, name; of a row that is there twice the one with an end counts."""
    frame = require_columns(frame, FIELDS[NAME_CHANGES].split(','), source)
    table = pd.DataFrame({'code': parse_codes(frame, 'ts_code'), 'date': parse_dates(frame, 'start_date'),
                          'name': frame['name'], 'end': parse_dates(frame, 'end_date')})
    # on one day two names: the one that holds longer, so that a name of that day alone does not hide it
    table = table.sort_values(['code', 'date', 'name', 'end'], na_position='last').drop_duplicates(['code', 'date', 'name'])
    return reference_table(table.sort_values(['code', 'date', 'end'], na_position='last'), ('code', 'date', 'name'))


def listings(frame: pd.DataFrame, source: str = 'tushare stock_basic') -> pd.DataFrame:
    """Return an answer of ``stock_basic`` as code, name, listed, delisted."""
    frame = require_columns(frame, ('ts_code', 'name', 'list_date', 'delist_date'), source)
    table = pd.DataFrame({'code': parse_codes(frame, 'ts_code'), 'name': frame['name'],
                          'listed': parse_dates(frame, 'list_date'),
                          'delisted': parse_dates(frame, 'delist_date')})
    return table[table['code'].notna()].drop_duplicates('code').sort_values('code', ignore_index=True)


def benchmark(frame: pd.DataFrame, index: str, source: str = 'tushare index_daily') -> pd.DataFrame:
    """Return the rows of one index in an answer of ``index_daily``, with the columns of a benchmark."""
    frame = require_columns(frame, FIELDS[INDEX_DAILY].split(','), source)
    frame = frame[frame['ts_code'].astype(str).str[:6] == index]
    prices = {name: parse_numbers(frame, name) for name in ('open', 'high', 'low', 'close')}
    return reference_table(pd.DataFrame({'index': index, 'date': parse_dates(frame, 'trade_date'), **prices}),
                           ('index', 'date', *prices))


def dividend_events(frame: pd.DataFrame, source: str = 'tushare dividend') -> pd.DataFrame:
    """Return an answer of ``dividend`` as events, see `dividends.events`: of those that were carried out, each once.

    Parameters
    ----------
    frame : DataFrame
        ``ex_date``, ``cash_div_tax`` (yuan a share before tax), ``stk_div`` (bonus and transferred shares a share), ``div_proc``
        (实施: carried out) and ``end_date`` (of the report).
    source : str
        What messages call it.
    """
    frame = require_columns(frame, ('ts_code', 'ex_date', 'cash_div_tax', 'stk_div'), source)
    if 'div_proc' in frame:
        done = frame['div_proc'].astype('string').str.strip()
        frame = frame[done.isna() | done.isin(['', '实施'])].reset_index(drop=True)
    rows = pd.DataFrame({'date': parse_dates(frame, 'ex_date'), 'code': parse_codes(frame, 'ts_code'),
                         'end': frame['end_date'].astype(str) if 'end_date' in frame else '',
                         'told': parse_dates(frame, 'ann_date') if 'ann_date' in frame else np.datetime64('NaT', 's'),
                         'cash': parse_numbers(frame, 'cash_div_tax'), 'shares': parse_numbers(frame, 'stk_div')})
    # of one report's payment that is told twice, the later row counts
    rows = rows.sort_values('told', kind='stable', na_position='first').drop_duplicates(['date', 'code', 'end'], keep='last')
    return dividends.events(rows['date'], rows['code'], rows['cash'], rows['shares'])


def new_codes(frame: pd.DataFrame, source: str = 'tushare bse_mapping') -> dict[str, str]:
    """Return an answer of ``bse_mapping``: tushare's old code of a stock of Beijing -> its new one."""
    frame = require_columns(frame, ('o_code', 'n_code'), source)
    return dict(zip(frame['o_code'].astype(str), frame['n_code'].astype(str), strict=True))


def _side_keys(frame: pd.DataFrame) -> dict[str, pd.Series]:
    return {'date': parse_dates(frame, 'trade_date'), 'code': parse_codes(frame, 'ts_code')}


class TableBuilder:
    """Makes canonical tables out of answers, one after the other; keeps the last row of each stock for suspended days.

    Parameters
    ----------
    name_changes : DataFrame, optional
        Of `name_changes`.
    asked : Asked, optional
        Which rows must not be of adjusted prices, and are counted where a market cap or a flag is not known; without it all.
    """

    def __init__(self, name_changes: pd.DataFrame | None = None, asked: Asked | None = None) -> None:
        changes = pd.DataFrame({'code': [], 'date': [], 'name': []}) if name_changes is None else name_changes
        self.name_changes = changes.sort_values('date')
        self.delisting_changes = delisting_changes(changes) if len(changes) else None  # None: not known, no column
        self.last_rows: pd.DataFrame | None = None
        self.asked = asked or Asked()

    def build(self, answer: Callable[[str], pd.DataFrame], source: str) -> pd.DataFrame:
        """Return the canonical table of one day or one stock.

        Parameters
        ----------
        answer : callable
            Gives the raw answer of a call, such as ``daily``.
        source : str
            What messages call it.
        """
        table = daily_bars(answer(DAILY), source, self.asked).assign(paused=np.uint8(0))
        there = pd.MultiIndex.from_frame(table[['date', 'code']])
        caps, limits = one_a_day(market_caps(answer(DAILY_BASIC))), one_a_day(price_limits(answer(PRICE_LIMITS)))
        for part in (caps.assign(valued=True), limits):
            table = table.merge(part, on=['date', 'code'], how='left')
        halted = suspensions(answer(SUSPENSIONS)).dropna().drop_duplicates()
        halted = halted[~pd.MultiIndex.from_frame(halted).isin(there)]
        priced = [part for part in (self.last_rows, table) if part is not None and len(part)]
        if not priced:
            return table
        table = pd.concat([*priced, halted.assign(paused=np.uint8(1))], ignore_index=True)
        table = table.assign(**{name: None for name in ('old', 'valued') if name not in table})
        table = table.sort_values(['code', 'date'], ignore_index=True)
        old, suspended = table.pop('old').eq(True), table['paused'] == 1
        last_close = table.groupby('code')['close'].ffill()
        table['close'] = table['close'].mask(suspended, last_close)
        shares = self._fill_caps(table, suspended, old)
        for name in ('open', 'high', 'low', 'preclose'):
            table[name] = table[name].mask(suspended, table['close'])
        table[['volume', 'amount']] = table[['volume', 'amount']].mask(suspended, 0.0)
        dated = table['date'].notna() & last_close.notna()
        self.last_rows = table.assign(close=last_close, shares=shares, old=True)[dated].groupby('code').tail(1).drop(
            columns=[name for name in table if name.endswith(TEXT) or name == 'valued'])
        stays = ~old & ~(suspended & table['close'].isna())
        table = table[stays].drop(columns=['shares', 'valued']).reset_index(drop=True)
        table['is_st'] = self._st_flags(table, answer)
        if self.delisting_changes is not None:
            table['delisting_period'] = delisting_flags(table, self.delisting_changes)
        table = restore_texts(table)
        table.attrs['source'] = source
        return table

    def _fill_caps(self, table: pd.DataFrame, suspended: pd.Series, old: pd.Series) -> pd.Series:
        """Fill in market caps of days that have none: total shares times the close; return the last shares that are known."""
        cap, own = table['market_cap'], table['shares'].where(table['shares'] > 0)
        shares = own.fillna(cap / table['close'].where(table['close'] > 0))
        shares = shares.where(shares > 0).groupby(table['code']).ffill()
        missing = cap.isna() & (suspended | table['valued'].isna() | own.notna()) & ~has_text(table, 'market_cap')
        table['market_cap'] = cap.mask(missing, (shares * table['close']).round(2))
        self.asked.count('market_cap', table, missing & ~suspended & own.isna() & table['market_cap'].notna() & ~old)
        return shares

    def _st_flags(self, table: pd.DataFrame, answer: Callable[[str], pd.DataFrame]) -> np.ndarray:
        """Tell which rows are ST: by the day's list, on days without one by the name of the day."""
        listed = st_stocks(answer(ST_STOCKS)).dropna()
        marked = pd.MultiIndex.from_frame(table[['date', 'code']]).isin(pd.MultiIndex.from_frame(listed))
        by_list = table['date'].isin(listed['date']).to_numpy()
        if not len(self.name_changes) or by_list.all():
            if len(listed):  # else no day has a list, which is said elsewhere
                self.asked.count('is_st', table, ~by_list)
            return marked.astype('uint8')
        order = table[['date', 'code']].dropna().reset_index().sort_values('date')
        changes = self.name_changes.astype({'date': order['date'].dtype})
        named = pd.merge_asof(order, changes, on='date', by='code').set_index('index')
        by_name = named['name'].astype('string').str.contains('ST').reindex(table.index)
        self.asked.count('is_st', table, by_name.isna() & ~by_list)
        return np.where(by_list, marked, by_name.fillna(False).to_numpy(bool)).astype('uint8')
