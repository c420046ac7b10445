"""Reading from tushare.pro: an account with points, its token in ``TUSHARE_TOKEN``.

Asked for day by day, or stock by stock where that is fewer calls. A suspended day has no row: `Days` repeats the last one.
Volume is in 手 (100 shares), amount in 1,000 yuan, market cap in 万 (10,000) yuan.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError
from . import Request
from . import download as raw

DAILY, BASIC, LIMITS, SUSPENDED, SPECIAL = 'daily', 'daily_basic', 'stk_limit', 'suspend_d', 'stock_st'
STOCKS, NAMES, CALENDAR, INDEX = 'stock_basic', 'namechange', 'trade_cal', 'index_daily'
MEMBERS, INDUSTRY = 'index_weight', 'index_member_all'
FILES = {name: name for name in (DAILY, BASIC, LIMITS, SUSPENDED, SPECIAL, STOCKS, NAMES, INDEX, MEMBERS, INDUSTRY)} | {
    'pro_bar': DAILY}
FIELDS = {
    DAILY: 'ts_code,trade_date,open,high,low,close,pre_close,vol,amount',
    BASIC: 'ts_code,trade_date,total_share,total_mv',
    LIMITS: 'ts_code,trade_date,up_limit,down_limit',
    SUSPENDED: 'ts_code,trade_date,suspend_timing,suspend_type',
    SPECIAL: 'ts_code,trade_date,name,type',
    STOCKS: 'ts_code,name,list_date,delist_date,list_status',
    NAMES: 'ts_code,name,start_date,end_date',
    CALENDAR: 'cal_date,is_open',
    INDEX: 'ts_code,trade_date,open,high,low,close',
    MEMBERS: 'index_code,con_code,trade_date',
    INDUSTRY: 'ts_code,l1_name,in_date,out_date',
}
SPECIAL_SINCE = date(2016, 1, 1)  # first day of stock_st
THROTTLE = (180, 60.0)  # calls in seconds
ROUND = 100  # a page of so many rows or a multiple may have been cut: the next one is asked for
FEW_POINTS = 'not read: the account may not; '


def daily(frame: pd.DataFrame, source: str = 'tushare daily') -> pd.DataFrame:
    """Return an answer of ``daily`` in our units, by code and day."""
    names = {'open': 'open', 'high': 'high', 'low': 'low', 'close': 'close', 'pre_close': 'preclose'}
    frame = raw.need(frame, ('ts_code', 'trade_date', *names, 'vol', 'amount'), source)
    table = pd.DataFrame({
        **_keys(frame, source), **{ours: raw.number(frame, theirs, source) for theirs, ours in names.items()},
        'volume': raw.number(frame, 'vol', source, 100).round(), 'amount': raw.number(frame, 'amount', source, 1000)})
    table = table[table['code'].notna()].sort_values(['code', 'date'], ignore_index=True)
    raw.check_raw(table, source)
    return table


def market_caps(frame: pd.DataFrame, source: str = 'tushare daily_basic') -> pd.DataFrame:
    """Return an answer of ``daily_basic`` as date, code, market_cap (yuan) and shares."""
    frame = raw.need(frame, FIELDS[BASIC].split(','), source)
    return pd.DataFrame({**_keys(frame, source), 'market_cap': raw.number(frame, 'total_mv', source, 1e4),
                         'shares': raw.number(frame, 'total_share', source, 1e4)})


def limits(frame: pd.DataFrame, source: str = 'tushare stk_limit') -> pd.DataFrame:
    """Return an answer of ``stk_limit`` as date, code, high_limit, low_limit; 0 is not known."""
    frame = raw.need(frame, FIELDS[LIMITS].split(','), source)
    high, low = (raw.number(frame, name, source) for name in ('up_limit', 'down_limit'))
    return pd.DataFrame({**_keys(frame, source), 'high_limit': high.where(high > 0), 'low_limit': low.where(low > 0)})


def suspended(frame: pd.DataFrame, source: str = 'tushare suspend_d') -> pd.DataFrame:
    """Return an answer of ``suspend_d`` as date and code of suspensions for the whole day."""
    frame = raw.need(frame, FIELDS[SUSPENDED].split(','), source)
    timing = frame['suspend_timing'].astype('string').str.strip().fillna('')
    return pd.DataFrame(_keys(frame, source))[timing.isin(['', 'None', 'nan']) & (frame['suspend_type'].astype(str) == 'S')]


def special(frame: pd.DataFrame, source: str = 'tushare stock_st') -> pd.DataFrame:
    """Return an answer of ``stock_st`` as date and code."""
    return pd.DataFrame(_keys(raw.need(frame, ('ts_code', 'trade_date'), source), source))


def names(frame: pd.DataFrame, source: str = 'tushare namechange') -> pd.DataFrame:
    """Return an answer of ``namechange`` as code, date, name; of a row that is there twice the one with an end counts."""
    frame = raw.need(frame, FIELDS[NAMES].split(','), source)
    table = pd.DataFrame({'code': raw.codes(frame, 'ts_code'), 'date': raw.days(frame, 'start_date', source),
                          'name': frame['name'], 'end': raw.days(frame, 'end_date', source)})
    # on one day two names: the one that holds longer, so that a name of that day alone does not hide it
    table = table.sort_values(['code', 'date', 'name', 'end'], na_position='last').drop_duplicates(['code', 'date', 'name'])
    return raw.reference_table(table.sort_values(['code', 'date', 'end'], na_position='last'), ('code', 'date', 'name'))


def listings(frame: pd.DataFrame, source: str = 'tushare stock_basic') -> pd.DataFrame:
    """Return an answer of ``stock_basic`` as code, name, listed, delisted."""
    frame = raw.need(frame, ('ts_code', 'name', 'list_date', 'delist_date'), source)
    table = pd.DataFrame({'code': raw.codes(frame, 'ts_code'), 'name': frame['name'],
                          'listed': raw.days(frame, 'list_date', source), 'delisted': raw.days(frame, 'delist_date', source)})
    return table[table['code'].notna()].drop_duplicates('code').sort_values('code', ignore_index=True)


def benchmark(frame: pd.DataFrame, index: str, source: str = 'tushare index_daily') -> pd.DataFrame:
    """Return the rows of one index in an answer of ``index_daily``, with the columns of a benchmark."""
    frame = raw.need(frame, FIELDS[INDEX].split(','), source)
    frame = frame[frame['ts_code'].astype(str).str[:6] == index]
    prices = {name: raw.number(frame, name, source) for name in ('open', 'high', 'low', 'close')}
    return raw.reference_table(pd.DataFrame({'index': index, 'date': raw.days(frame, 'trade_date', source), **prices}),
                    ('index', 'date', *prices))


def _keys(frame: pd.DataFrame, source: str) -> dict[str, pd.Series]:
    return {'date': raw.days(frame, 'trade_date', source), 'code': raw.codes(frame, 'ts_code')}


class Days:
    """Makes canonical tables out of answers, one after the other; keeps the last row of each stock for suspended days."""

    def __init__(self, name_changes: pd.DataFrame | None = None) -> None:
        changes = pd.DataFrame({'code': [], 'date': [], 'name': []}) if name_changes is None else name_changes
        self.changes = changes.sort_values('date')
        self.last: pd.DataFrame | None = None

    def table(self, answer: Callable[[str], pd.DataFrame], source: str) -> pd.DataFrame:
        """Return the canonical table of one day or one stock.

        Parameters
        ----------
        answer : callable
            Gives the raw answer of a call, such as ``daily``.
        source : str
            What messages call it.
        """
        table = daily(answer(DAILY), source).assign(paused=np.uint8(0))
        there = pd.MultiIndex.from_frame(table[['date', 'code']])
        for part in (market_caps(answer(BASIC)), limits(answer(LIMITS))):
            part = part.drop_duplicates(['date', 'code'])
            table = table.merge(part.astype({'date': table['date'].dtype}), on=['date', 'code'], how='left')
        halted = suspended(answer(SUSPENDED)).drop_duplicates()
        halted = halted[~pd.MultiIndex.from_frame(halted).isin(there) & halted['code'].notna()]
        rows = [part for part in (self.last, table, halted.assign(paused=np.uint8(1))) if part is not None and len(part)]
        if not rows:
            return table
        table = pd.concat(rows, ignore_index=True).sort_values(['code', 'date'], ignore_index=True)
        by_code = table.groupby('code')
        table['close'] = by_code['close'].ffill()
        shares = table['shares'].fillna(table['market_cap'] / table['close']).groupby(table['code']).ffill()
        table['shares'], quiet = shares, table['paused'] == 1
        table['market_cap'] = table['market_cap'].fillna((shares * table['close']).round(2))
        for name in ('open', 'high', 'low', 'preclose'):
            table[name] = table[name].mask(quiet, table['close'])
        table[['volume', 'amount']] = table[['volume', 'amount']].mask(quiet, 0.0)
        table = table[table['close'].notna()]
        old = pd.MultiIndex.from_frame(table[['date', 'code']]).isin(
            pd.MultiIndex.from_frame(self.last[['date', 'code']])) if self.last is not None else np.zeros(len(table), bool)
        self.last = table.groupby('code').tail(1)
        table = table[~old].drop(columns='shares').reset_index(drop=True)
        table['is_st'] = self._special(table, answer)
        table.attrs['source'] = source
        return table

    def _special(self, table: pd.DataFrame, answer: Callable[[str], pd.DataFrame]) -> np.ndarray:
        """Tell which rows are ST: by the day's list, on days without one by the name of the day."""
        listed = special(answer(SPECIAL))
        marked = pd.MultiIndex.from_frame(table[['date', 'code']]).isin(pd.MultiIndex.from_frame(listed))
        by_list = table['date'].isin(listed['date']).to_numpy()
        if not len(self.changes) or by_list.all():
            return marked.astype('uint8')
        order = table[['date', 'code']].reset_index().sort_values('date')
        named = pd.merge_asof(order, self.changes.astype({'date': order['date'].dtype}), on='date', by='code').set_index('index')
        by_name = named['name'].astype('string').str.contains('ST').fillna(False).reindex(table.index).to_numpy(bool)
        return np.where(by_list, marked, by_name).astype('uint8')


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
        self.pro: Any = raw.client('tushare', 'tushare').pro_api(token)

    def ask(self, call: str, **parameters: str) -> pd.DataFrame:
        """Make a call and walk all pages of its answer."""
        pages: list[pd.DataFrame] = []
        while True:
            page = {'offset': sum(map(len, pages)), 'limit': len(pages[0])} if pages else {}
            frame = self.pro.query(call, fields=FIELDS[call], **parameters, **page)
            if frame is None or not len(frame.columns):  # what the client makes of an HTTP error
                raise raw.Busy('an empty page instead of an answer')
            pages.append(frame)
            if not len(frame) or len(frame) % ROUND:
                return raw.joined(pages).drop_duplicates(ignore_index=True)


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
    request.about['is_st'] = f'by stock_st since {SPECIAL_SINCE}, else by the name of the day'
    if request.folder is not None:
        yield from _saved(request, raw.Saved('tushare', request.folder, DAILY, FILES))
        return
    start, end = raw.span_of(request)
    client = Client()
    answers = raw.Download('tushare', request, raw.Throttle(*THROTTLE), wait=5.0)
    stocks = listings(raw.joined([
        answers.listing(f'{STOCKS} {status}', lambda status=status: client.ask(STOCKS, list_status=status)) for status in 'LDP']))
    changes = names(answers.listing(NAMES, lambda: client.ask(NAMES)))
    _reference_data(request, stocks, changes)
    _more_reference_data(request, answers, client, start, end)
    calendar = answers.once(CALENDAR, f'{start} {end}', lambda: client.ask(
        CALENDAR, exchange='SSE', start_date=f'{start:%Y%m%d}', end_date=f'{end:%Y%m%d}', is_open='1'), until=end)
    days = sorted(raw.days(raw.need(calendar, ('cal_date',), CALENDAR), 'cal_date', CALENDAR).dt.date)
    by_stock = request.codes is not None and len(request.codes) < len(days)
    rows = Days(changes)

    def answer(call: str, key: str) -> pd.DataFrame:
        if by_stock:
            return answers.span(call, key, start, end, lambda first, last: client.ask(
                call, ts_code=symbol(key), start_date=f'{first:%Y%m%d}', end_date=f'{last:%Y%m%d}'), 'trade_date')
        if call == SPECIAL and date.fromisoformat(key) < SPECIAL_SINCE:
            return pd.DataFrame()
        return answers.once(call, key, lambda: client.ask(call, trade_date=key.replace('-', '')), date.fromisoformat(key))

    def make(key: str) -> pd.DataFrame:
        def one(call: str) -> pd.DataFrame:
            if call in (LIMITS, SUSPENDED, SPECIAL) and call in request.about:
                return pd.DataFrame()
            try:
                return answer(call, key)
            except raw.Refused as error:
                if call in (DAILY, BASIC):
                    raise
                request.about[call] = f'{FEW_POINTS}{error}'
                return pd.DataFrame()

        return rows.table(one, answers.label(DAILY, key))

    yield from raw.tables(request, list(request.codes) if by_stock else [str(day) for day in days], make)


def _saved(request: Request, saved: raw.Saved) -> Iterator[pd.DataFrame]:
    request.about['from_files'] = str(request.folder)
    if not saved.keys(BASIC):
        request.about['market_cap'] = 'not known: no files of daily_basic'
    if not saved.keys(SPECIAL) and not saved.keys(NAMES):
        request.about['is_st'] = 'not known, 0 on all days: no files of stock_st or namechange'
    changes, basic = saved.listing(NAMES), saved.listing(STOCKS)
    rows = Days(names(changes) if len(changes) else None)
    if len(basic):
        _reference_data(request, listings(basic), names(changes))
    if request.benchmark:
        request.reference_data['benchmarks'] = benchmark(saved.listing(INDEX), request.benchmark)

    def make(key: str) -> pd.DataFrame:
        def one(call: str) -> pd.DataFrame:
            return saved.once(call, key) if call == DAILY else saved.beside(call, key)

        return rows.table(one, saved.label(DAILY, key))

    yield from raw.tables(request, saved.keys(DAILY), make)


def _reference_data(request: Request, stocks: pd.DataFrame, changes: pd.DataFrame) -> None:
    if request.codes is not None:
        stocks, changes = (table[table['code'].isin(request.codes)] for table in (stocks, changes))
    request.reference_data['listings'] = raw.reference_table(stocks, ('code', 'listed', 'delisted'))
    request.reference_data['names'] = raw.reference_table(changes, ('code', 'date', 'name'))


def _more_reference_data(request: Request, answers: raw.Download, client: Client, start: date, end: date) -> None:
    with raw.optional(request, 'industries'):
        frame = raw.joined([
            answers.listing(f'{INDUSTRY} {new}', lambda new=new: client.ask(INDUSTRY, is_new=new)) for new in 'YN'])
        frame = raw.need(frame, ('ts_code', 'l1_name', 'in_date'), INDUSTRY)
        rows = pd.DataFrame({'code': raw.codes(frame, 'ts_code'), 'date': raw.days(frame, 'in_date', INDUSTRY),
                             'industry': frame['l1_name']})
        if request.codes is not None:
            rows = rows[rows['code'].isin(request.codes)]
        request.reference_data['industries'] = raw.reference_table(rows, ('code', 'date', 'industry'))
    index = request.benchmark
    if index is None:
        return

    def ask(call: str, **code: str) -> pd.DataFrame:
        return answers.span(call, index, start, end, lambda first, last: client.ask(
            call, **code, start_date=f'{first:%Y%m%d}', end_date=f'{last:%Y%m%d}'), 'trade_date')

    request.reference_data['benchmarks'] = benchmark(ask(INDEX, ts_code=index_symbol(index)), index)
    if not len(request.reference_data['benchmarks']):
        raise DataError(f'{answers.label(INDEX, index)}: found no rows of this index, expected some; check --benchmark')
    with raw.optional(request, 'constituents'):
        frame = raw.need(ask(MEMBERS, index_code=index_symbol(index)), FIELDS[MEMBERS].split(','), MEMBERS)
        rows = pd.DataFrame({'index': index, 'date': raw.days(frame, 'trade_date', MEMBERS),
                             'code': raw.codes(frame, 'con_code')})
        request.reference_data['constituents'] = raw.reference_table(rows, ('index', 'date', 'code'))
