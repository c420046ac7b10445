"""Reading from baostock.com: free, no account, Shanghai and Shenzhen, one call per stock.

Every value is text. A suspended day is a row whose prices are the reference price. There is no total market cap: float
shares = volume / (turnover / 100), of the last day that traded, times the close.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from datetime import date
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError
from . import Request, download
from .answers import (
    TEXT,
    Asked,
    as_flag,
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

DAILY, STOCK_BASIC, INDUSTRY = 'query_history_k_data_plus', 'query_stock_basic', 'query_stock_industry'
FIELDS = 'date,code,open,high,low,close,preclose,volume,amount,adjustflag,turn,tradestatus,isST'
INDEX_FIELDS = 'date,code,open,high,low,close'
CONSTITUENT_CALLS = {'000300': 'query_hs300_stocks', '000016': 'query_sz50_stocks', '000905': 'query_zz500_stocks'}
FILE_PREFIXES = {name: name for name in (DAILY, STOCK_BASIC, INDUSTRY, *CONSTITUENT_CALLS.values())} | {
    'full_fields': DAILY, '': DAILY}
NOT_LOGGED_IN, NETWORK_ERROR_PREFIX = '10001001', '10002'  # an error's number, and the beginning of those of the network
RATE_LIMIT = (10, 1.0)  # calls in seconds
SOCKET_TIMEOUT = 60.0  # seconds


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
        Text where a number or a day is expected is left as it is.

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
    shares = (table['volume'] / (table['turn'] / 100)).where(known).groupby(codes).ffill()
    table['market_cap'] = shares * table['close']
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


def benchmark(frame: pd.DataFrame, index: str, source: str) -> pd.DataFrame:
    """Return an index' daily answer with the columns of a benchmark."""
    frame = require_columns(frame, INDEX_FIELDS.split(','), source)
    prices = {name: parse_numbers(frame, name) for name in ('open', 'high', 'low', 'close')}
    return pd.DataFrame({'index': index, 'date': parse_dates(frame, 'date'), **prices})


def symbol(code: str) -> str:
    """Return a canonical code as baostock writes it."""
    digits, _, exchange = code.partition('.')
    return {'XSHG': 'sh.', 'XSHE': 'sz.', 'BJSE': 'bj.'}[exchange] + digits


def index_symbol(index: str) -> str:
    """Return six digits of an index as baostock writes them."""
    return ('sz.' if index.startswith('399') else 'sh.') + index


class _Connection:
    """A connection that tells of its end: the client itself would wait for ever."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        connection.settimeout(SOCKET_TIMEOUT)

    def recv(self, size: int) -> bytes:
        received = self._connection.recv(size)
        if not received:
            raise ConnectionError('the connection was closed')
        return received

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class Client:
    """A session: logs in when it is first needed, and again when the session or the connection is lost."""

    def __init__(self) -> None:
        self.client: ModuleType = download.import_client('baostock', 'baostock')
        self._logged_in = False

    def query(self, call: str, *arguments: str, **named: str) -> pd.DataFrame:
        """Make a call and walk all pages of its answer."""
        if not self._logged_in:
            self._check(self.client.login())
            self._logged_in = True
            with contextlib.suppress(ImportError, AttributeError):
                context = importlib.import_module('baostock.common.context')
                context.default_socket = _Connection(context.default_socket)
        result = getattr(self.client, call)(*arguments, **named)
        rows = []
        while result.error_code == '0' and result.next():  # get_data() breaks on a second page
            rows.append(result.get_row_data())
        self._check(result)
        if rows and len(result.data) == int(result.per_page_count):  # after the last page data is empty or shorter
            self._logged_in = False
            raise download.BusyError(f'the page after row {len(rows)} did not arrive')
        return pd.DataFrame(rows, columns=result.fields or None, dtype=object)

    def _check(self, result: Any) -> None:
        if result.error_code == '0':
            return
        message = f'{result.error_code} {result.error_msg}'
        if result.error_code == NOT_LOGGED_IN or result.error_code.startswith(NETWORK_ERROR_PREFIX):
            self._logged_in = False
            raise download.BusyError(message)
        raise ValueError(message)

    def close(self) -> None:
        """Log out."""
        if self._logged_in:
            with contextlib.suppress(Exception), download.suppress_output():
                self.client.logout()


def read(request: Request) -> Iterator[pd.DataFrame]:
    """Yield the canonical table of each stock.

    Parameters
    ----------
    request : Request
        With ``folder``, answers saved as ``query_history_k_data_plus_sh.600000.csv``; else baostock.com is asked.
        Its reference data
        are names (as of today), listings, industries (of each January), constituents and prices of the benchmark.

    Raises
    ------
    DataError
        No network, no answer, or one that is not as expected.
    """
    request.about['market_cap'] = 'estimated: float shares (volume / turnover) x close'
    request.about['is_st'] = 'as given for each day'
    request.about['delisting_period'] = 'not known, no column: the source has names as of today alone'
    request.about['stocks'] = 'those of Beijing are not given by the source'
    asked = Asked(request)
    start, end = download.download_range(request)
    if request.folder is not None:
        saved = download.SavedAnswers('baostock', request.folder, DAILY, FILE_PREFIXES)
        request.about['from_files'] = str(request.folder)
        stocks = [key for key in saved.keys(DAILY) if download.canonical_code(key)]
        yield from download.iter_tables(
            request, stocks, lambda key: daily_bars(saved.get(DAILY, key), saved.label(DAILY, key), asked))
        basic = saved.get_all(STOCK_BASIC)
        if len(basic):
            _add_listings_and_names(request, listings(basic))
        if request.benchmark and len(saved.get(DAILY, index_symbol(request.benchmark))):
            _add_benchmark(request, saved, saved.get(DAILY, index_symbol(request.benchmark)))
        return
    client = Client()
    answers = download.Download('baostock', request, download.Throttle(*RATE_LIMIT))
    try:
        basic = listings(answers.get_snapshot(STOCK_BASIC, lambda: client.query(STOCK_BASIC)))
        _add_listings_and_names(request, basic)
        _add_industries_and_benchmark(request, answers, client.query, start, end)
        life = basic.set_index('code')
        wanted = ~(basic['listed'] > np.datetime64(end, 's')) & ~(basic['delisted'] < np.datetime64(start, 's'))
        codes = list(basic['code'][wanted]) if request.codes is None else [code for code in request.codes if code in life.index]

        def read_stock(code: str) -> pd.DataFrame:
            listed, delisted = life.loc[code, 'listed'], life.loc[code, 'delisted']
            first = start if pd.isna(listed) else max(start, listed.date())
            last = end if pd.isna(delisted) else min(end, delisted.date())
            bars = answers.get_range(DAILY, code, first, last, _range_query(client.query, symbol(code), FIELDS), 'date')
            return daily_bars(bars, answers.label(DAILY, code), asked)

        yield from download.iter_tables(request, codes, read_stock)
    finally:
        client.close()


def _range_query(query: Callable[..., pd.DataFrame], code: str, fields: str) -> download.FetchRange:
    return lambda first, last: query(
        DAILY, code, fields, start_date=str(first), end_date=str(last), frequency='d', adjustflag='3')


def _add_benchmark(request: Request, answers: download.Download | download.SavedAnswers, frame: pd.DataFrame) -> None:
    rows = benchmark(frame, request.benchmark, answers.label(DAILY, index_symbol(request.benchmark)))
    request.reference_data['benchmarks'] = reference_table(rows, ('index', 'date', 'open', 'high', 'low', 'close'))


def _add_listings_and_names(request: Request, basic: pd.DataFrame) -> None:
    wanted = basic if request.codes is None else basic[basic['code'].isin(request.codes)]
    request.reference_data['listings'] = reference_table(wanted, ('code', 'listed', 'delisted'))
    request.reference_data['names'] = reference_table(
        wanted.assign(date=pd.Timestamp(download.today()).as_unit('s')), ('code', 'date', 'name'))


def _add_industries_and_benchmark(
    request: Request, answers: download.Download, query: Callable[..., pd.DataFrame], start: date, end: date
) -> None:
    def rows(call: str, what: str, months: int) -> pd.DataFrame:
        return concat_frames([
            snapshot_rows(answers.get(call, str(day), lambda day=day: query(call, date=str(day)), until=day), what,
                          answers.label(call, str(day)), day) for day in download.snapshot_dates(start, end, months)])

    with download.skip_on_error(request, 'industries'):
        found = rows(INDUSTRY, 'industry', 12)
        found = found if request.codes is None else found[found['code'].isin(request.codes)]
        request.reference_data['industries'] = reference_table(found, ('code', 'date', 'industry'))
    index = request.benchmark
    if index is None:
        return
    frame = answers.get_range(DAILY, f'index {index}', start, end, _range_query(query, index_symbol(index), INDEX_FIELDS), 'date')
    if not len(frame):
        raise DataError(f'{answers.label(DAILY, index)}: found no rows of this index, expected some; check --benchmark')
    _add_benchmark(request, answers, frame)
    if index in CONSTITUENT_CALLS:
        with download.skip_on_error(request, 'constituents'):
            found = rows(CONSTITUENT_CALLS[index], 'code_name', 1).assign(index=index)
            request.reference_data['constituents'] = reference_table(found, ('index', 'date', 'code'))
