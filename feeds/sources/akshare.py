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
from . import Request, download
from .answers import (
    Asked,
    check_unadjusted,
    concat_frames,
    key_columns,
    number_columns,
    parse_codes,
    parse_dates,
    parse_numbers,
    reference_table,
    require_columns,
    restore_texts,
)

DAILY, MARKET_VALUE, ST_STOCKS, INDEX_DAILY = 'stock_zh_a_hist', 'stock_value_em', 'stock_zh_a_st_em', 'index_zh_a_hist'
INDUSTRY, CONSTITUENTS = 'stock_industry_clf_hist_sw', 'index_stock_cons_csindex'
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
    DAILY, MARKET_VALUE, ST_STOCKS, INDEX_DAILY, INDUSTRY, CONSTITUENTS, *(call for call, *_ in STOCK_LISTS))}
RATE_LIMIT = (2, 1.0)  # calls in seconds
LOT_SIZE = 100  # shares in a 手
TOTAL_SHARES = '总股本'


def daily_bars(
    frame: pd.DataFrame, value: pd.DataFrame, code: str, source: str = 'akshare', asked: Asked | None = None
) -> pd.DataFrame:
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
    asked : Asked, optional
        Which rows must not be of adjusted prices; without it all.

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


def mark_st(table: pd.DataFrame, codes: set[str], day: date) -> pd.DataFrame:
    """Mark the stocks of today's ST list on the rows of that day; earlier days are not known."""
    table.loc[(parse_dates(table, 'date') >= np.datetime64(day, 's')) & table['code'].isin(codes), 'is_st'] = 1
    return table


class Client:
    """The calls, as they are made."""

    def __init__(self) -> None:
        self.client: ModuleType = download.import_client('akshare', 'akshare')

    def daily(self, code: str, first: date, last: date) -> pd.DataFrame:
        """Return raw prices."""
        return self.client.stock_zh_a_hist(symbol=code[:6], period='daily', start_date=f'{first:%Y%m%d}',
                                           end_date=f'{last:%Y%m%d}', adjust='', timeout=30)

    def market_value(self, code: str, first: date, last: date) -> pd.DataFrame:
        """Return market caps; the call gives all days, the others are cut off here."""
        try:
            frame = self.client.stock_value_em(symbol=code[:6])
        except TypeError:  # what the client makes of an answer without data
            return pd.DataFrame()
        if not len(frame):
            return frame
        return frame[parse_dates(frame, '数据日期').between(pd.Timestamp(first), pd.Timestamp(last))]

    def index_daily(self, index: str, first: date, last: date) -> pd.DataFrame:
        """Return an index' prices."""
        return self.client.index_zh_a_hist(symbol=index, period='daily', start_date=f'{first:%Y%m%d}', end_date=f'{last:%Y%m%d}')

    def snapshot(self, call: str, symbol: str | None = None) -> pd.DataFrame:
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
    request.about['delisting_period'] = 'not known, no column: the source has names as of today alone'
    asked = Asked(request)
    start, end = download.download_range(request)
    without_cap: list[str] = []
    if request.folder is not None:
        saved = download.SavedAnswers('akshare', request.folder, DAILY, FILE_PREFIXES)
        request.about['from_files'] = str(request.folder)
        request.about['is_st'] = 'not given by the source: 0 on all days'

        def read_table(key: str) -> pd.DataFrame:
            table = daily_bars(saved.get(DAILY, key), saved.get(MARKET_VALUE, key), key, saved.label(DAILY, key), asked)
            return _note_missing_cap(table, asked, without_cap)

        yield from download.iter_tables(request, saved.keys(DAILY), read_table)
        if len(stocks := _saved_stocks(saved)):
            _add_listings_and_names(request, stocks)
        if request.benchmark and len(saved.get(INDEX_DAILY, request.benchmark)):
            _add_benchmark(request, saved, saved.get(INDEX_DAILY, request.benchmark))
    else:
        client, day = Client(), download.today()
        answers = download.Download('akshare', request, download.Throttle(*RATE_LIMIT))
        request.about['is_st'] = f'the source has no history: the list of {day} on that day, 0 on all others'
        stocks = _download_stocks(answers, client)
        st_codes: set[str] = set()
        with download.skip_on_error(request, 'is_st'):  # then 0 on all days
            st_list = require_columns(answers.get_snapshot(ST_STOCKS, lambda: client.snapshot(ST_STOCKS)), ('代码',), ST_STOCKS)
            st_codes |= set(parse_codes(st_list, '代码'))
        _add_reference_data(request, answers, client, stocks, (start, end))
        life = stocks.set_index('code')
        wanted = ~(stocks['delisted'] < np.datetime64(start, 's')) & ~(stocks['listed'] > np.datetime64(end, 's'))

        def read_stock(code: str) -> pd.DataFrame:
            delisted = life['delisted'].get(code, pd.NaT)
            last = end if pd.isna(delisted) else min(end, delisted.date())
            prices = answers.get_range(DAILY, code, start, last, lambda low, high: client.daily(code, low, high), '日期')
            if not len(prices):
                return prices
            value = answers.get_range(MARKET_VALUE, code, start, last,
                                      lambda low, high: client.market_value(code, low, high), '数据日期')
            table = daily_bars(prices, value, code, answers.label(DAILY, code), asked)
            return mark_st(_note_missing_cap(table, asked, without_cap), st_codes, day)

        codes = list(stocks['code'][wanted]) if request.codes is None else request.codes
        yield from download.iter_tables(request, codes, read_stock)
    request.about['market_cap'] = (
        'total shares of the day, else of the last known one, x close; not known before the first known one') + (
        f'; none known of {len(without_cap)} stocks: {", ".join(without_cap[:5])}' if without_cap else '')


def _note_missing_cap(table: pd.DataFrame, asked: Asked, without_cap: list[str]) -> pd.DataFrame:
    rows = table[asked.rows(table)]
    if len(rows) and rows['market_cap'].isna().all():
        without_cap.append(rows['code'].iloc[0])
    return table


def _saved_stocks(saved: download.SavedAnswers) -> pd.DataFrame:
    """Return what saved lists of the exchanges tell, as `_download_stocks` does."""
    lists = {call: tuple(columns) for call, _, *columns in STOCK_LISTS}
    found = [listings(frame, columns, call) for call, columns in lists.items() if len(frame := saved.get_all(call))]
    return _each_once(found) if found else pd.DataFrame()


def _download_stocks(answers: download.Download, client: Client) -> pd.DataFrame:
    frames = []
    for call, symbol, *columns in STOCK_LISTS:
        name = f'{call} {symbol}' if symbol else call
        frame = answers.get_snapshot(name, lambda call=call, symbol=symbol: client.snapshot(call, symbol))
        frames.append(listings(frame, tuple(columns), answers.label(name)))
    return _each_once(frames)


def _each_once(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Return lists of stocks as one; a list that knows when a stock was delisted comes before one that does not."""
    stocks = concat_frames(frames).sort_values(['code', 'delisted'], na_position='first')
    return stocks.drop_duplicates('code', keep='last').reset_index(drop=True)


def _add_benchmark(request: Request, answers: download.Download | download.SavedAnswers, frame: pd.DataFrame) -> None:
    source = answers.label(INDEX_DAILY, request.benchmark)
    if not len(frame):
        raise DataError(f'{source}: found no rows of this index, expected some; check --benchmark')
    request.reference_data['benchmarks'] = reference_table(
        benchmark(frame, request.benchmark, source), ('index', 'date', 'open', 'high', 'low', 'close'))


def _add_listings_and_names(request: Request, stocks: pd.DataFrame) -> None:
    if request.codes is not None:
        stocks = stocks[stocks['code'].isin(request.codes)]
    request.about['listings'] = 'the day of delisting is not given for Beijing'
    request.reference_data['listings'] = reference_table(stocks, ('code', 'listed', 'delisted'))
    request.reference_data['names'] = reference_table(
        stocks.assign(date=pd.Timestamp(download.today()).as_unit('s')), ('code', 'date', 'name'))


def _add_reference_data(
    request: Request, answers: download.Download, client: Client, stocks: pd.DataFrame, span: tuple[date, date]
) -> None:
    if request.codes is not None:
        stocks = stocks[stocks['code'].isin(request.codes)]
    _add_listings_and_names(request, stocks)
    with download.skip_on_error(request, 'industries'):
        rows = industries(answers.get_snapshot(INDUSTRY, lambda: client.snapshot(INDUSTRY)))
        request.reference_data['industries'] = reference_table(
            rows[rows['code'].isin(stocks['code'])], ('code', 'date', 'industry'))
    index = request.benchmark
    if index is None:
        return
    prices = answers.get_range(INDEX_DAILY, index, *span, lambda low, high: client.index_daily(index, low, high), '日期')
    _add_benchmark(request, answers, prices)
    with download.skip_on_error(request, 'constituents'):
        members = answers.get_snapshot(f'{CONSTITUENTS} {index}', lambda: client.snapshot(CONSTITUENTS, index))
        request.reference_data['constituents'] = reference_table(constituents(members), ('index', 'date', 'code'))
