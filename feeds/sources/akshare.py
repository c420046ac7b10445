"""Reading from akshare, which reads public web pages: free, no account, one stock at a time.

A stock has no row on a suspended day. The one historical market cap is that of ``stock_value_em``, whose total shares
times the close is taken; it begins in 2018, and earlier days have none. There is neither a reference price (the change of
a day is against the last close, also on an ex-date) nor a history of ST.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from types import ModuleType

import numpy as np
import pandas as pd

from ..errors import DataError
from . import Request
from . import download as raw

DAILY, VALUE, ST, INDEX = 'stock_zh_a_hist', 'stock_value_em', 'stock_zh_a_st_em', 'index_zh_a_hist'
INDUSTRY, MEMBERS = 'stock_industry_clf_hist_sw', 'index_stock_cons_csindex'
# call, its symbol, and its columns: code, name, first day, last day
LISTS = (
    ('stock_info_sh_name_code', '主板A股', '证券代码', '证券简称', '上市日期', None),
    ('stock_info_sh_name_code', '科创板', '证券代码', '证券简称', '上市日期', None),
    ('stock_info_sz_name_code', 'A股列表', 'A股代码', 'A股简称', 'A股上市日期', None),
    ('stock_info_bj_name_code', None, '证券代码', '证券简称', '上市日期', None),
    ('stock_info_sh_delist', '全部', '公司代码', '公司简称', '上市日期', '暂停上市日期'),
    ('stock_info_sz_delist', '终止上市公司', '证券代码', '证券简称', '上市日期', '终止上市日期'),
)
FILES = {name: name for name in (DAILY, VALUE, ST, INDEX, INDUSTRY, MEMBERS)}
THROTTLE = (2, 1.0)  # calls in seconds
LOT = 100  # shares in a 手
SEEN = '总股本'


def daily(frame: pd.DataFrame, value: pd.DataFrame, code: str, source: str = 'akshare') -> pd.DataFrame:
    """Return an answer of ``stock_zh_a_hist`` (adjust='') as a canonical table.

    Parameters
    ----------
    frame : DataFrame
        日期 开盘 收盘 最高 最低 成交量 (手) 成交额 (yuan) and more.
    value : DataFrame
        The stock's answer of ``stock_value_em``: 数据日期, 总股本 (shares). The shares of a day hold until the next
        one that is known; days before the first have no market cap.
    code : str
        Canonical code, where the answer has no 股票代码.
    source : str
        What messages call it.

    Raises
    ------
    DataError
        A column that lacks, text where a number is expected, or adjusted prices.
    """
    names = {'开盘': 'open', '最高': 'high', '最低': 'low', '收盘': 'close'}
    frame = raw.need(frame, ('日期', *names, '成交量', '成交额'), source)
    table = pd.DataFrame({
        'date': raw.days(frame, '日期', source), 'code': raw.codes(frame, '股票代码') if '股票代码' in frame else code,
        **{ours: raw.number(frame, theirs, source) for theirs, ours in names.items()},
        'volume': raw.number(frame, '成交量', source, LOT), 'amount': raw.number(frame, '成交额', source)})
    table = table[table['code'].notna()].sort_values('date', ignore_index=True)
    raw.check_raw(table, source)
    known = total_shares(value, source.replace(DAILY, VALUE))
    shares = pd.merge_asof(table[['date']], known, on='date')['shares'] if len(table) else pd.Series(dtype='float64')
    table['market_cap'] = (shares * table['close']).round(2)
    table['is_st'] = table['paused'] = np.zeros(len(table), 'uint8')
    table.attrs['source'] = source
    return table


def total_shares(frame: pd.DataFrame, source: str = 'akshare stock_value_em') -> pd.DataFrame:
    """Return an answer of ``stock_value_em`` as date and shares, days in order."""
    frame = raw.need(frame, ('数据日期', SEEN), source)
    table = pd.DataFrame({'date': raw.days(frame, '数据日期', source), 'shares': raw.number(frame, SEEN, source)})
    return table[table['shares'] > 0].sort_values('date').drop_duplicates('date', keep='last').reset_index(drop=True)


def listed(frame: pd.DataFrame, columns: tuple[str, str, str, str | None], source: str) -> pd.DataFrame:
    """Return a list of an exchange as code, name, listed, delisted."""
    code, name, first, last = columns
    frame = raw.need(frame, [column for column in columns if column], source)
    table = pd.DataFrame({'code': raw.codes(frame, code), 'name': frame[name], 'listed': raw.days(frame, first, source)})
    table['delisted'] = raw.days(frame, last, source) if last else np.datetime64('NaT', 's')
    return table[table['code'].notna()]


def benchmark(frame: pd.DataFrame, index: str, source: str) -> pd.DataFrame:
    """Return an answer of ``index_zh_a_hist`` with the columns of a benchmark."""
    names = {'开盘': 'open', '最高': 'high', '最低': 'low', '收盘': 'close'}
    frame = raw.need(frame, ('日期', *names), source)
    prices = {ours: raw.number(frame, theirs, source) for theirs, ours in names.items()}
    return pd.DataFrame({'index': index, 'date': raw.days(frame, '日期', source), **prices})


def industries(frame: pd.DataFrame, source: str = 'akshare stock_industry_clf_hist_sw') -> pd.DataFrame:
    """Return an answer of ``stock_industry_clf_hist_sw``: number of the 申万 industry from a day on."""
    frame = raw.need(frame, ('symbol', 'start_date', 'industry_code'), source)
    return pd.DataFrame({'code': raw.codes(frame, 'symbol'), 'date': raw.days(frame, 'start_date', source),
                         'industry': frame['industry_code'].astype(str)})


def constituents(frame: pd.DataFrame, source: str = 'akshare index_stock_cons_csindex') -> pd.DataFrame:
    """Return an answer of ``index_stock_cons_csindex``: the members of an index on the day that it names."""
    frame = raw.need(frame, ('日期', '指数代码', '成分券代码'), source)
    return pd.DataFrame({'index': frame['指数代码'].astype(str).str.zfill(6), 'date': raw.days(frame, '日期', source),
                         'code': raw.codes(frame, '成分券代码')})


def mark_st(table: pd.DataFrame, codes: set[str], day: date) -> pd.DataFrame:
    """Mark the stocks of today's ST list on the rows of that day; earlier days are not known."""
    table.loc[(table['date'] >= np.datetime64(day, 's')) & table['code'].isin(codes), 'is_st'] = 1
    return table


class Client:
    """The calls, as they are made."""

    def __init__(self) -> None:
        self.client: ModuleType = raw.client('akshare', 'akshare')

    def daily(self, code: str, first: date, last: date) -> pd.DataFrame:
        """Return raw prices."""
        return self.client.stock_zh_a_hist(symbol=code[:6], period='daily', start_date=f'{first:%Y%m%d}',
                                           end_date=f'{last:%Y%m%d}', adjust='', timeout=30)

    def value(self, code: str, first: date, last: date) -> pd.DataFrame:
        """Return market caps; the call gives all days, the others are cut off here."""
        try:
            frame = self.client.stock_value_em(symbol=code[:6])
        except TypeError:  # what the client makes of an answer without data
            return pd.DataFrame()
        return frame[raw.days(frame, '数据日期', VALUE).between(pd.Timestamp(first), pd.Timestamp(last))] if len(frame) else frame

    def index(self, index: str, first: date, last: date) -> pd.DataFrame:
        """Return an index' prices."""
        return self.client.index_zh_a_hist(symbol=index, period='daily', start_date=f'{first:%Y%m%d}', end_date=f'{last:%Y%m%d}')

    def list(self, call: str, symbol: str | None = None) -> pd.DataFrame:
        """Return a list as of today."""
        return getattr(self.client, call)(**({} if symbol is None else {'symbol': symbol}))


def read(request: Request) -> Iterator[pd.DataFrame]:
    """Yield the canonical table of each stock.

    Parameters
    ----------
    request : Request
        With ``folder``, answers saved as ``stock_zh_a_hist_000001.csv`` and ``stock_value_em_000001.csv``; else the web
        pages are asked. Its reference data are names (as of today), listings, industries (from their days on), members of the
        benchmark (as of today) and its prices.

    Raises
    ------
    DataError
        No network, no answer, or one that is not as expected.
    """
    request.about['preclose'] = 'not given by the source: on ex-dates nothing is known of dividends and splits'
    start, end = raw.span_of(request)
    without: list[str] = []
    if request.folder is not None:
        saved = raw.Saved('akshare', request.folder, DAILY, FILES)
        request.about['from_files'] = str(request.folder)
        request.about['is_st'] = 'not given by the source: 0 on all days'

        def make(key: str) -> pd.DataFrame:
            return _noted(daily(saved.once(DAILY, key), saved.once(VALUE, key), key, saved.label(DAILY, key)), without)

        yield from raw.tables(request, saved.keys(DAILY), make)
        if request.benchmark and len(saved.once(INDEX, request.benchmark)):
            _benchmark(request, saved, saved.once(INDEX, request.benchmark))
    else:
        client, day = Client(), raw.today()
        answers = raw.Download('akshare', request, raw.Throttle(*THROTTLE))
        request.about['is_st'] = f'the source has no history: the list of {day} on that day, 0 on all others'
        stocks = _stocks(answers, client)
        special: set[str] = set()
        with raw.optional(request, 'is_st'):
            special |= set(raw.codes(raw.need(answers.listing(ST, lambda: client.list(ST)), ('代码',), ST), '代码'))
        _reference_data(request, answers, client, stocks, (start, end))
        life = stocks.set_index('code')
        wanted = ~(stocks['delisted'] < np.datetime64(start, 's')) & ~(stocks['listed'] > np.datetime64(end, 's'))

        def stock(code: str) -> pd.DataFrame:
            delisted = life['delisted'].get(code, pd.NaT)
            last = end if pd.isna(delisted) else min(end, delisted.date())
            prices = answers.span(DAILY, code, start, last, lambda low, high: client.daily(code, low, high), '日期')
            if not len(prices):
                return prices
            value = answers.span(VALUE, code, start, last, lambda low, high: client.value(code, low, high), '数据日期')
            return mark_st(_noted(daily(prices, value, code, answers.label(DAILY, code)), without), special, day)

        yield from raw.tables(request, list(stocks['code'][wanted]) if request.codes is None else request.codes, stock)
    request.about['market_cap'] = 'total shares of the day, else of the last known one, x close' + (
        f'; none known of {len(without)} stocks: {", ".join(without[:5])}' if without else '')


def _noted(table: pd.DataFrame, without: list[str]) -> pd.DataFrame:
    if len(table) and table['market_cap'].isna().all():
        without.append(table['code'].iloc[0])
    return table


def _stocks(answers: raw.Download, client: Client) -> pd.DataFrame:
    frames = []
    for call, symbol, *columns in LISTS:
        name = f'{call} {symbol}' if symbol else call
        frame = answers.listing(name, lambda call=call, symbol=symbol: client.list(call, symbol))
        frames.append(listed(frame, tuple(columns), answers.label(name)))
    stocks = pd.concat(frames, ignore_index=True).sort_values(['code', 'delisted'], na_position='first')
    return stocks.drop_duplicates('code', keep='last').reset_index(drop=True)


def _benchmark(request: Request, answers: raw.Download | raw.Saved, frame: pd.DataFrame) -> None:
    source = answers.label(INDEX, request.benchmark)
    if not len(frame):
        raise DataError(f'{source}: found no rows of this index, expected some; check --benchmark')
    request.reference_data['benchmarks'] = raw.reference_table(benchmark(frame, request.benchmark, source),
                                           ('index', 'date', 'open', 'high', 'low', 'close'))


def _reference_data(
    request: Request, answers: raw.Download, client: Client, stocks: pd.DataFrame, span: tuple[date, date]
) -> None:
    if request.codes is not None:
        stocks = stocks[stocks['code'].isin(request.codes)]
    request.reference_data['listings'] = raw.reference_table(stocks, ('code', 'listed', 'delisted'))
    request.reference_data['names'] = raw.reference_table(
        stocks.assign(date=pd.Timestamp(raw.today()).as_unit('s')), ('code', 'date', 'name'))
    with raw.optional(request, 'industries'):
        rows = industries(answers.listing(INDUSTRY, lambda: client.list(INDUSTRY)))
        request.reference_data['industries'] = raw.reference_table(
            rows[rows['code'].isin(stocks['code'])], ('code', 'date', 'industry'))
    index = request.benchmark
    if index is None:
        return
    _benchmark(request, answers, answers.span(INDEX, index, *span, lambda low, high: client.index(index, low, high), '日期'))
    with raw.optional(request, 'constituents'):
        members = answers.listing(f'{MEMBERS} {index}', lambda: client.list(MEMBERS, index))
        request.reference_data['constituents'] = raw.reference_table(constituents(members), ('index', 'date', 'code'))
