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
from . import Request
from . import download as raw

DAILY, BASIC, INDUSTRY = 'query_history_k_data_plus', 'query_stock_basic', 'query_stock_industry'
FIELDS = 'date,code,open,high,low,close,preclose,volume,amount,adjustflag,turn,tradestatus,isST'
INDEX_FIELDS = 'date,code,open,high,low,close'
MEMBERS = {'000300': 'query_hs300_stocks', '000016': 'query_sz50_stocks', '000905': 'query_zz500_stocks'}
FILES = {name: name for name in (DAILY, BASIC, INDUSTRY, *MEMBERS.values())} | {'full_fields': DAILY, '': DAILY}
NOT_LOGGED_IN, NETWORK = '10001001', '10002'  # an error's number, and the beginning of those of the network
THROTTLE = (10, 1.0)  # calls in seconds
STALLED = 60.0  # seconds


def daily(frame: pd.DataFrame, source: str = 'baostock') -> pd.DataFrame:
    """Return an answer of ``query_history_k_data_plus`` as a canonical table.

    Parameters
    ----------
    frame : DataFrame
        Columns as in `FIELDS`, all text.
    source : str
        What messages call it.

    Raises
    ------
    DataError
        A column that lacks, text where a number is expected, or adjusted prices.
    """
    frame = raw.need(frame, FIELDS.replace('adjustflag,', '').split(','), source)
    if 'adjustflag' in frame and not (raw.number(frame, 'adjustflag', source) == 3).all():
        raise DataError(f'{source}, column adjustflag: found {frame["adjustflag"].iloc[0]!r}, adjusted prices; expected 3, '
                        'raw ones')
    numbers = {name: raw.number(frame, name, source) for name in
               ('open', 'high', 'low', 'close', 'preclose', 'volume', 'amount', 'turn', 'tradestatus', 'isST')}
    table = pd.DataFrame({'date': raw.days(frame, 'date', source), 'code': raw.codes(frame, 'code'), **numbers})
    table = table[table['code'].notna()].sort_values(['code', 'date'], ignore_index=True)
    paused = table['tradestatus'] == 0
    table['close'] = table['close'].fillna(table['preclose']).groupby(table['code']).ffill()
    for name in ('open', 'high', 'low'):
        table[name] = table[name].mask(paused, table['close'])
    table[['volume', 'amount']] = table[['volume', 'amount']].mask(paused, 0.0).fillna(0.0)
    known = (table['volume'] > 0) & (table['turn'] > 0)
    shares = (table['volume'] / (table['turn'] / 100)).where(known).groupby(table['code']).ffill()
    table['market_cap'] = shares * table['close']
    table['is_st'], table['paused'] = (table['isST'] == 1).astype('uint8'), paused.astype('uint8')
    table = table.drop(columns=['turn', 'tradestatus', 'isST']).dropna(subset=['close'])
    table.attrs['source'] = source
    return table


def listings(frame: pd.DataFrame, source: str = 'baostock query_stock_basic') -> pd.DataFrame:
    """Return an answer of ``query_stock_basic`` as code, name, listed, delisted: stocks alone, without indices and funds."""
    frame = raw.need(frame, ('code', 'code_name', 'ipoDate', 'outDate', 'type'), source)
    table = pd.DataFrame({
        'code': raw.codes(frame, 'code'), 'name': frame['code_name'], 'listed': raw.days(frame, 'ipoDate', source),
        'delisted': raw.days(frame, 'outDate', source)})
    return table[table['code'].notna() & (frame['type'].astype(str) == '1')].sort_values('code', ignore_index=True)


def dated(frame: pd.DataFrame, what: str, source: str, day: date) -> pd.DataFrame:
    """Return an answer with ``code`` and a further column as code, date, that column: as of the day asked for."""
    frame = raw.need(frame, ('code', what), source)
    return pd.DataFrame({'code': raw.codes(frame, 'code'), 'date': pd.Timestamp(day).as_unit('s'), what: frame[what]})


def benchmark(frame: pd.DataFrame, index: str, source: str) -> pd.DataFrame:
    """Return an index' daily answer with the columns of a benchmark."""
    frame = raw.need(frame, INDEX_FIELDS.split(','), source)
    prices = {name: raw.number(frame, name, source) for name in ('open', 'high', 'low', 'close')}
    return pd.DataFrame({'index': index, 'date': raw.days(frame, 'date', source), **prices})


def symbol(code: str) -> str:
    """Return a canonical code as baostock writes it."""
    digits, _, exchange = code.partition('.')
    return {'XSHG': 'sh.', 'XSHE': 'sz.', 'BJSE': 'bj.'}[exchange] + digits


def index_symbol(index: str) -> str:
    """Return six digits of an index as baostock writes them."""
    return ('sz.' if index.startswith('399') else 'sh.') + index


class _Line:
    """A connection that tells of its end: the client itself would wait for ever."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        connection.settimeout(STALLED)

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
        self.client: ModuleType = raw.client('baostock', 'baostock')
        self._there = False

    def ask(self, call: str, *arguments: str, **named: str) -> pd.DataFrame:
        """Make a call and walk all pages of its answer."""
        if not self._there:
            self._check(self.client.login())
            self._there = True
            with contextlib.suppress(ImportError, AttributeError):
                context = importlib.import_module('baostock.common.context')
                context.default_socket = _Line(context.default_socket)
        result = getattr(self.client, call)(*arguments, **named)
        rows = []
        while result.error_code == '0' and result.next():  # get_data() breaks on a second page
            rows.append(result.get_row_data())
        self._check(result)
        if rows and len(result.data) == int(result.per_page_count):  # after the last page data is empty or shorter
            self._there = False
            raise raw.Busy(f'the page after row {len(rows)} did not arrive')
        return pd.DataFrame(rows, columns=result.fields or None, dtype=object)

    def _check(self, result: Any) -> None:
        if result.error_code == '0':
            return
        message = f'{result.error_code} {result.error_msg}'
        if result.error_code == NOT_LOGGED_IN or result.error_code.startswith(NETWORK):
            self._there = False
            raise raw.Busy(message)
        raise ValueError(message)

    def close(self) -> None:
        """Log out."""
        if self._there:
            with contextlib.suppress(Exception), raw.quiet():
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
    start, end = raw.span_of(request)
    if request.folder is not None:
        saved = raw.Saved('baostock', request.folder, DAILY, FILES)
        request.about['from_files'] = str(request.folder)
        stocks = [key for key in saved.keys(DAILY) if raw.canonical(key)]
        yield from raw.tables(request, stocks, lambda key: daily(saved.once(DAILY, key), saved.label(DAILY, key)))
        basic = saved.listing(BASIC)
        if len(basic):
            _names(request, listings(basic))
        if request.benchmark and len(saved.once(DAILY, index_symbol(request.benchmark))):
            _benchmark(request, saved, saved.once(DAILY, index_symbol(request.benchmark)))
        return
    client = Client()
    answers = raw.Download('baostock', request, raw.Throttle(*THROTTLE))
    try:
        basic = listings(answers.listing(BASIC, lambda: client.ask(BASIC)))
        _names(request, basic)
        _reference_data(request, answers, client.ask, start, end)
        life = basic.set_index('code')
        wanted = (basic['listed'] <= np.datetime64(end, 's')) & ~(basic['delisted'] < np.datetime64(start, 's'))
        codes = list(basic['code'][wanted]) if request.codes is None else [code for code in request.codes if code in life.index]

        def stock(code: str) -> pd.DataFrame:
            listed, delisted = life.loc[code, 'listed'], life.loc[code, 'delisted']
            first = start if pd.isna(listed) else max(start, listed.date())
            last = end if pd.isna(delisted) else min(end, delisted.date())
            return daily(answers.span(DAILY, code, first, last, _days(client.ask, symbol(code), FIELDS), 'date'),
                         answers.label(DAILY, code))

        yield from raw.tables(request, codes, stock)
    finally:
        client.close()


def _days(ask: Callable[..., pd.DataFrame], code: str, fields: str) -> raw.FetchDays:
    return lambda first, last: ask(
        DAILY, code, fields, start_date=str(first), end_date=str(last), frequency='d', adjustflag='3')


def _benchmark(request: Request, answers: raw.Download | raw.Saved, frame: pd.DataFrame) -> None:
    rows = benchmark(frame, request.benchmark, answers.label(DAILY, index_symbol(request.benchmark)))
    request.reference_data['benchmarks'] = raw.reference_table(rows, ('index', 'date', 'open', 'high', 'low', 'close'))


def _names(request: Request, basic: pd.DataFrame) -> None:
    wanted = basic if request.codes is None else basic[basic['code'].isin(request.codes)]
    request.reference_data['listings'] = raw.reference_table(wanted, ('code', 'listed', 'delisted'))
    request.reference_data['names'] = raw.reference_table(
        wanted.assign(date=pd.Timestamp(raw.today()).as_unit('s')), ('code', 'date', 'name'))


def _reference_data(request: Request, answers: raw.Download, ask: Callable[..., pd.DataFrame], start: date, end: date) -> None:
    def rows(call: str, what: str, months: int) -> pd.DataFrame:
        return raw.joined([dated(answers.once(call, str(day), lambda day=day: ask(call, date=str(day)), until=day), what,
                                 answers.label(call, str(day)), day) for day in raw.firsts(start, end, months)])

    with raw.optional(request, 'industries'):
        found = rows(INDUSTRY, 'industry', 12)
        found = found if request.codes is None else found[found['code'].isin(request.codes)]
        request.reference_data['industries'] = raw.reference_table(found, ('code', 'date', 'industry'))
    index = request.benchmark
    if index is None:
        return
    frame = answers.span(DAILY, f'index {index}', start, end, _days(ask, index_symbol(index), INDEX_FIELDS), 'date')
    if not len(frame):
        raise DataError(f'{answers.label(DAILY, index)}: found no rows of this index, expected some; check --benchmark')
    _benchmark(request, answers, frame)
    if index in MEMBERS:
        with raw.optional(request, 'constituents'):
            found = rows(MEMBERS[index], 'code_name', 1).assign(index=index)
            request.reference_data['constituents'] = raw.reference_table(found, ('index', 'date', 'code'))
