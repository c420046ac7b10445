"""Reading from tushare.pro: an account with points, its token in ``TUSHARE_TOKEN``.

Asked for day by day, or stock by stock where that is fewer calls. A suspended day has no row: `TableBuilder` repeats the
last one. Volume is in 手 (100 shares), amount in 1,000 yuan, market cap in 万 (10,000) yuan.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError
from . import Request, download
from .answers import (
    TEXT,
    Asked,
    check_unadjusted,
    concat_frames,
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
CONSTITUENTS, INDUSTRY = 'index_weight', 'index_member_all'
FILE_PREFIXES = {name: name for name in (
    DAILY, DAILY_BASIC, PRICE_LIMITS, SUSPENSIONS, ST_STOCKS, STOCK_BASIC, NAME_CHANGES, INDEX_DAILY, CONSTITUENTS, INDUSTRY
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
}
ST_STOCKS_SINCE = date(2016, 1, 1)  # first day of stock_st
RATE_LIMIT = (180, 60.0)  # calls in seconds
PAGE_SIZE_MULTIPLE = 100  # a page of so many rows or a multiple may have been cut: the next one is asked for
NO_PERMISSION = 'not known: the account may not ask for it; '


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


def symbol(code: str) -> str:
    """Return a canonical code as tushare writes it."""
    digits, _, exchange = code.partition('.')
    return digits + {'XSHG': '.SH', 'XSHE': '.SZ', 'BJSE': '.BJ'}[exchange]


def index_symbol(index: str) -> str:
    """Return six digits of an index as tushare writes them."""
    return index + ('.SZ' if index.startswith('399') else '.SH')


class Client:
    """The calls, as they are made."""

    def __init__(self) -> None:
        token = os.environ.get('TUSHARE_TOKEN')
        if not token:
            raise DataError('tushare: found no token, expected it in the environment: export TUSHARE_TOKEN=...')
        self.pro: Any = download.import_client('tushare', 'tushare').pro_api(token)

    def query(self, call: str, **parameters: str) -> pd.DataFrame:
        """Make a call and walk all pages of its answer."""
        pages: list[pd.DataFrame] = []
        while True:
            page = {'offset': sum(map(len, pages)), 'limit': len(pages[0])} if pages else {}
            frame = self.pro.query(call, fields=FIELDS[call], **parameters, **page)
            if frame is None or not len(frame.columns):  # what the client makes of an HTTP error
                raise download.BusyError('an empty page instead of an answer')
            pages.append(frame)
            if not len(frame) or len(frame) % PAGE_SIZE_MULTIPLE:
                return concat_frames(pages).drop_duplicates(ignore_index=True)


def read(request: Request) -> Iterator[pd.DataFrame]:
    """Yield a canonical table per day, or per stock where a few are asked for.

    Parameters
    ----------
    request : Request
        With ``folder``, answers saved as ``daily_<day or stock>.csv`` and the like; else tushare.pro is asked.
        Its reference data are
        names, listings, industries, members of the benchmark and its prices.

    Raises
    ------
    DataError
        No token or a bad one, no network, too few points, or an answer that is not as expected.
    """
    request.about['market_cap'] = 'total market cap as given; suspended days: total shares x last close'
    request.about['is_st'] = f'by stock_st since {ST_STOCKS_SINCE}, else by the name of the day'
    asked = Asked(request)
    if request.folder is not None:
        yield from _read_saved_files(request, download.SavedAnswers('tushare', request.folder, DAILY, FILE_PREFIXES), asked)
        asked.tell(request.about)
        return
    start, end = download.download_range(request)
    client = Client()
    answers = download.Download('tushare', request, download.Throttle(*RATE_LIMIT), wait=5.0)
    stocks = listings(concat_frames([
        answers.get_snapshot(f'{STOCK_BASIC} {status}', lambda status=status: client.query(STOCK_BASIC, list_status=status))
        for status in 'LDP']))
    changes = name_changes(answers.get_snapshot(NAME_CHANGES, lambda: client.query(NAME_CHANGES)))
    _tell_delisting_period(request, changes)
    _add_listings_and_names(request, stocks, changes)
    _add_industries_and_benchmark(request, answers, client, start, end)
    calendar = answers.get(CALENDAR, f'{start} {end}', lambda: client.query(
        CALENDAR, exchange='SSE', start_date=f'{start:%Y%m%d}', end_date=f'{end:%Y%m%d}', is_open='1'), until=end)
    days = parse_dates(require_columns(calendar, ('cal_date',), CALENDAR), 'cal_date')
    if days.isna().any():
        request.about['trading_days'] = f'not known of {days.isna().sum()} rows of {CALENDAR}: those days were not asked for'
    days = sorted(days.dropna().dt.date.unique())
    by_stock = request.codes is not None and len(request.codes) < len(days)
    builder = TableBuilder(changes, asked)

    def answer(call: str, key: str) -> pd.DataFrame:
        if by_stock:
            return answers.get_range(call, key, start, end, lambda first, last: client.query(
                call, ts_code=symbol(key), start_date=f'{first:%Y%m%d}', end_date=f'{last:%Y%m%d}'), 'trade_date')
        if call == ST_STOCKS and date.fromisoformat(key) < ST_STOCKS_SINCE:
            return pd.DataFrame()
        return answers.get(call, key, lambda: client.query(call, trade_date=key.replace('-', '')), date.fromisoformat(key))

    def read_table(key: str) -> pd.DataFrame:
        def one(call: str) -> pd.DataFrame:
            if call in (PRICE_LIMITS, SUSPENSIONS, ST_STOCKS) and call in request.about:
                return pd.DataFrame()
            try:
                return answer(call, key)
            except download.RefusedError as error:
                if call in (DAILY, DAILY_BASIC):
                    raise
                request.about[call] = f'{NO_PERMISSION}{error}'
                return pd.DataFrame()

        return builder.build(one, answers.label(DAILY, key))

    yield from download.iter_tables(request, list(request.codes) if by_stock else [str(day) for day in days], read_table)
    asked.tell(request.about)


def _read_saved_files(request: Request, saved: download.SavedAnswers, asked: Asked) -> Iterator[pd.DataFrame]:
    request.about['from_files'] = str(request.folder)
    if not saved.keys(DAILY_BASIC):
        request.about['market_cap'] = 'not known: no files of daily_basic'
    if not saved.keys(ST_STOCKS) and not saved.keys(NAME_CHANGES):
        request.about['is_st'] = 'not known, 0 on all days: no files of stock_st or namechange'
    for call, what in ((SUSPENSIONS, 'suspended days, which have no rows'), (PRICE_LIMITS, 'high_limit and low_limit')):
        if not saved.keys(call):
            request.about[call] = f'not known: {what}; no files of {call}'
    changes, basic = saved.get_all(NAME_CHANGES), saved.get_all(STOCK_BASIC)
    _tell_delisting_period(request, changes)
    builder = TableBuilder(name_changes(changes) if len(changes) else None, asked)
    if len(basic) or len(changes):
        _add_listings_and_names(request, listings(basic), name_changes(changes))
    if request.benchmark:
        request.reference_data['benchmarks'] = benchmark(saved.get_all(INDEX_DAILY), request.benchmark)

    def read_table(key: str) -> pd.DataFrame:
        def one(call: str) -> pd.DataFrame:
            if call == DAILY:
                return saved.get(call, key)
            frame = saved.get_companion(call, key)
            return _of_the_file(frame, key, saved.get(DAILY, key)) if call == SUSPENSIONS and len(frame) else frame

        return builder.build(one, saved.label(DAILY, key))

    last = f'{request.end or date.max:%Y%m%d}'
    keys = [key for key in saved.keys(DAILY) if not (re.fullmatch(r'\d{8}', key) and key > last)]  # files of later days
    yield from download.iter_tables(request, keys, read_table)


def _of_the_file(frame: pd.DataFrame, key: str, prices: pd.DataFrame) -> pd.DataFrame:
    """Return the suspensions of the stock or the days of a file of prices, so that none is told again by another file."""
    frame = require_columns(frame, FIELDS[SUSPENSIONS].split(','), SUSPENSIONS)
    if code := download.canonical_code(key):
        return frame[parse_codes(frame, 'ts_code') == code]
    days = parse_dates(require_columns(prices, ('trade_date',), DAILY), 'trade_date')
    return frame[parse_dates(frame, 'trade_date').between(days.min(), days.max())]


def _tell_delisting_period(request: Request, changes: pd.DataFrame) -> None:
    request.about['delisting_period'] = 'by the name of the day' if len(changes) else f'not known, no column: no {NAME_CHANGES}'


def _add_listings_and_names(request: Request, stocks: pd.DataFrame, changes: pd.DataFrame) -> None:
    if request.codes is not None:
        stocks, changes = (table[table['code'].isin(request.codes)] for table in (stocks, changes))
    if len(stocks):
        request.reference_data['listings'] = reference_table(stocks, ('code', 'listed', 'delisted'))
    request.reference_data['names'] = reference_table(changes, ('code', 'date', 'name'))


def _add_industries_and_benchmark(request: Request, answers: download.Download, client: Client, start: date, end: date) -> None:
    with download.skip_on_error(request, 'industries'):
        frame = concat_frames([
            answers.get_snapshot(f'{INDUSTRY} {new}', lambda new=new: client.query(INDUSTRY, is_new=new)) for new in 'YN'])
        frame = require_columns(frame, ('ts_code', 'l1_name', 'in_date'), INDUSTRY)
        rows = pd.DataFrame({'code': parse_codes(frame, 'ts_code'), 'date': parse_dates(frame, 'in_date'),
                             'industry': frame['l1_name']})
        if request.codes is not None:
            rows = rows[rows['code'].isin(request.codes)]
        request.reference_data['industries'] = reference_table(rows, ('code', 'date', 'industry'))
    index = request.benchmark
    if index is None:
        return

    def ask(call: str, **code: str) -> pd.DataFrame:
        return answers.get_range(call, index, start, end, lambda first, last: client.query(
            call, **code, start_date=f'{first:%Y%m%d}', end_date=f'{last:%Y%m%d}'), 'trade_date')

    request.reference_data['benchmarks'] = benchmark(ask(INDEX_DAILY, ts_code=index_symbol(index)), index)
    if not len(request.reference_data['benchmarks']):
        raise DataError(f'{answers.label(INDEX_DAILY, index)}: found no rows of this index, expected some; check --benchmark')
    with download.skip_on_error(request, 'constituents'):
        frame = require_columns(ask(CONSTITUENTS, index_code=index_symbol(index)), FIELDS[CONSTITUENTS].split(','), CONSTITUENTS)
        rows = pd.DataFrame({'index': index, 'date': parse_dates(frame, 'trade_date'),
                             'code': parse_codes(frame, 'con_code')})
        request.reference_data['constituents'] = reference_table(rows, ('index', 'date', 'code'))
