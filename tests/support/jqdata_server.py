"""A stand-in of JoinQuant's server: the real jqdatasdk asks it over its own protocol, a little market answers."""

import json
import os
import pickle
import random
import socket
import sqlite3
import threading
import traceback
import zlib
from contextlib import closing, suppress
from datetime import date, datetime, time, timedelta
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from tests.support.little_market import LittleMarket, Row

USER, PASSWORD = '13800000000', 'word'
DAILY_LIMIT = 1_000_000
OUTSIDE = '您的账号权限仅能获取{}至{}的数据，请调整时间参数后重试。'
WRONG_ACCOUNT = '用户不存在或密码错误'
UNKNOWN_CODE = '找不到标的{}'
QUOTA = '您当天的查询条数超过了每日最大查询限制：100万条'  # the service's words, for `errors`
DROP = object()  # in `errors`: the connection is closed without an answer
LISTED = date(2200, 1, 1)  # the end of a stock that is still listed

PRICE_FIELDS = ['open', 'close', 'high', 'low', 'volume', 'money', 'factor', 'high_limit', 'low_limit', 'avg', 'pre_close',
                'paused']
VALUE_FIELDS = ['capitalization', 'market_cap', 'circulating_cap', 'circulating_market_cap', 'turnover_ratio', 'pe_ratio',
                'pb_ratio', 'ps_ratio', 'pcf_ratio', 'pe_ratio_lyr']
INDUSTRIES = [('801880', '汽车I'), ('801150', '医药生物I'), ('801890', '机械设备I')]
COLUMNS = {
    'STK_NAME_HISTORY': 'id:key code:text company_id:int new_name:text new_spelling:text org_name:text org_spelling:text '
    'start_date:date pub_date:date reason:text',
    'STK_XR_XD': 'id:key code:text company_id:int company_name:text report_date:date bonus_type:text board_plan_pub_date:date '
    'board_plan_bonusnote:text distributed_share_base_board:number shareholders_plan_pub_date:date '
    'shareholders_plan_bonusnote:text distributed_share_base_shareholders:number implementation_pub_date:date '
    'implementation_bonusnote:text distributed_share_base_implement:number dividend_ratio:number transfer_ratio:number '
    'bonus_ratio_rmb:number bonus_ratio_usd:number bonus_ratio_hkd:number at_bonus_ratio_rmb:number exchange_rate:number '
    'dividend_number:number transfer_number:number bonus_amount_rmb:number a_registration_date:date '
    'b_registration_date:date a_xr_date:date b_xr_baseday:date b_final_trade_date:date a_bonus_date:date b_bonus_date:date '
    'dividend_arrival_date:date a_increment_listing_date:date b_increment_listing_date:date '
    'total_capital_before_transfer:number total_capital_after_transfer:number float_capital_before_transfer:number '
    'float_capital_after_transfer:number note:text a_transfer_arrival_date:date b_transfer_arrival_date:date '
    'b_dividend_arrival_date:date note_of_no_dividend:text plan_progress_code:int plan_progress:text '
    'bonus_cancel_pub_date:date',
}
TABLES = {name: dict(column.split(':') for column in columns.split()) for name, columns in COLUMNS.items()}
DEFINITIONS = {'key': 'Column(Integer, primary_key=True)', 'int': 'Column(Integer)', 'text': 'Column(String(500))',
               'date': 'Column(Date)', 'number': 'Column(DECIMAL(20, 4))'}  # the client evaluates them
SQL_TYPES = {'key': 'INTEGER', 'int': 'INTEGER', 'text': 'TEXT', 'date': 'TEXT', 'number': 'REAL'}
DTYPES = {'key': 'int64', 'int': 'int64', 'text': 'object', 'date': 'object', 'number': 'float64'}


class RefusalError(Exception):
    """What the server answers in place of data."""


class Frame(NamedTuple):
    """A table that is answered."""

    rows: list[list]
    dtypes: dict[str, str | None]  # by column; None is left to the client
    index: list | None = None

    def message(self) -> dict:
        columns = [list(column) for column in zip(*self.rows, strict=True)] or [[] for _ in self.dtypes]
        return {'data_type': 'pandas_dataframe', 'data_value': {
            'data': list(zip(self.dtypes, columns, strict=True)), 'index_type': 'Index',
            'index': list(range(len(self.rows))) if self.index is None else self.index,
            'dtypes': {name: dtype for name, dtype in self.dtypes.items() if dtype}}}

    def first(self, count: int) -> 'Frame':
        return self._replace(rows=self.rows[:count], index=None if self.index is None else self.index[:count])


class JqdataServer:
    """A server on this machine, up as long as its block; a test that asks what it cannot answer fails at the end.

    Attributes
    ----------
    calls : list of (str, dict)
        What was asked: the method and its parameters.
    errors : dict of str to list
        By method, or by table: what the next calls are answered, an error's text, None for an answer as usual, or `DROP`.
    empty : dict of str to int
        By method, or by table: so many of the next calls are answered without rows.
    window : tuple of date, optional
        First and last day of the account's data: prices, valuations and ST flags of others are refused.
    tables : dict of str to list of dict
        The rows behind ``finance.run_query``, to be changed at will.
    row_limit : int
        Of an answer of ``get_valuation`` and ``finance.run_query``.
    last_close_as_pre_close : bool
        On an ex-date pre_close is the last close, which the limits of the day contradict.
    account : dict
        Takes precedence in the answer of ``get_account_info``.
    spare : int
        What is left of the day's rows; nothing is refused when it is used up.
    user, password : str
        The account.
    """

    def __init__(self, market: LittleMarket | None = None) -> None:
        self._package = pytest.importorskip('jqdatasdk')
        self._thrift = self._package.thriftclient.thrift
        self.market = LittleMarket() if market is None else market
        self.calls: list[tuple[str, dict]] = []
        self.errors: dict[str, list] = {}
        self.empty: dict[str, int] = {}
        self.window: tuple[date, date] | None = None
        self.tables = {'STK_NAME_HISTORY': self._names(), 'STK_XR_XD': self._dividends()}
        self.row_limit = 5000
        self.last_close_as_pre_close = False
        self.account: dict = {}
        self.spare = DAILY_LIMIT
        self.user, self.password = USER, PASSWORD
        self.failures: list[str] = []
        self._indices: dict[str, dict[date, tuple]] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._open: list[tuple[threading.Thread, socket.socket]] = []

    # ------------------------------------------------------------------------------ the connection

    def __enter__(self) -> 'JqdataServer':
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.host, self.port = self._listener.getsockname()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind, *_) -> None:
        self.close()
        self._clear_caches()
        if kind is None:
            assert not self.failures, '\n'.join(self.failures)

    def close(self) -> None:
        """Be gone: connections end, and none can be made."""
        if self._closing:
            return
        self._closing = True
        socket.create_connection((self.host, self.port)).close()  # wakes the thread
        self._thread.join()
        self._listener.close()
        for thread, connection in self._open:
            with suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)
            thread.join()

    def patch(self, monkeypatch) -> None:
        """Let the package ask here, with this account in the environment, and forget what it knows."""
        package, client = self._package, self._package.client
        for name in [name for name in os.environ if name.startswith('JQDATA')]:
            monkeypatch.delenv(name)
        monkeypatch.setenv('JQDATA_USER', self.user)
        monkeypatch.setenv('JQDATA_PASSWORD', self.password)
        monkeypatch.setattr(client.JQDataClient, '_default_host', self.host)
        monkeypatch.setattr(client.JQDataClient, '_default_port', self.port)
        monkeypatch.setattr(client.JQDataClient, '_threading_local', threading.local())  # an instance per thread
        monkeypatch.setattr(client.JQDataClient, '_auth_params', {})
        monkeypatch.setattr(client, 'AUTH_API_URL', f'http://{self.host}:{self.port}/v2/apis')
        monkeypatch.setattr(client, 'requests', SimpleNamespace(post=self._post, exceptions=client.requests.exceptions))
        finance = package.table.DBTable('finance')  # it keeps its tables' columns
        monkeypatch.setattr(package, 'finance', finance)
        monkeypatch.setattr(package.table, 'finance', finance)
        self._clear_caches()

    def asked(self, method: str) -> list[dict]:
        """Return the parameters of a method's calls."""
        return [params for name, params in self.calls if name == method]

    def _clear_caches(self) -> None:
        for function in vars(self._package.api).values():
            if hasattr(function, 'cache_clear'):
                function.cache_clear()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closing:
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._open.append((thread, connection))
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        from thriftpy2.protocol import TBinaryProtocolFactory
        from thriftpy2.thrift import TProcessor
        from thriftpy2.transport import TBufferedTransportFactory, TSocket, TTransportException

        transport = TBufferedTransportFactory().get_transport(TSocket(sock=connection))
        protocol = TBinaryProtocolFactory().get_protocol(transport)
        processor = TProcessor(self._thrift.JqDataService, SimpleNamespace(auth=self._auth, query=self._query))
        with closing(transport), suppress(TTransportException, OSError):  # the other end is gone, or `DROP`
            while True:
                processor.process(protocol, protocol)

    def _post(self, url, data, headers, timeout) -> SimpleNamespace:
        """Answer what the client asks over HTTP: its token, which it needs for ticks alone."""
        params = json.loads(data)
        self.calls.append((f'http {params["method"]}', params))
        known = params['method'] == 'get_current_token'
        return SimpleNamespace(status_code=200, text='token' if known else 'error: 不支持的方法')

    def _auth(self, username, password, compress, mac, version, python_version):
        return self._respond('auth', {'username': username, 'password': password, 'version': version},
                             lambda nothing: nothing)

    def _query(self, request):
        import msgpack

        params = msgpack.unpackb(request.params)
        params.pop('timeout')
        number = params.pop('request_id')
        return self._respond(request.method_name, params, lambda msg: zlib.compress(
            pickle.dumps({'request_id': number, 'msg': msg}, protocol=2)))

    def _respond(self, method: str, params: dict, pack):
        reply = self._thrift.St_Query_Rsp
        with self._lock:
            self.calls.append((method, params))
            try:
                return reply(status=True, msg=pack(self._answer(method, params)))
            except RefusalError as refusal:
                return reply(status=False, error=str(refusal))
            except ConnectionAbortedError:
                raise
            except Exception:
                self.failures.append(f'{method} {params}: {traceback.format_exc()}')
                return reply(status=False, error=self.failures[-1])

    def _answer(self, method: str, params: dict):
        keys = [method, *(name for name in TABLES if method == 'db_query' and name in params['sql'])]
        for key in keys:
            trouble = self.errors[key].pop(0) if self.errors.get(key) else None
            if trouble is DROP:
                raise ConnectionAbortedError
            if trouble is not None:
                raise RefusalError(trouble)
        if self.window and method in ('get_price', 'get_valuation', 'get_extras'):
            days = [_day(params[name]) for name in ('start_date', 'end_date') if params[name]]
            if not all(self.window[0] <= day <= self.window[1] for day in days):
                raise RefusalError(OUTSIDE.format(*self.window))
        answer = getattr(self, f'_tell_{method}')(**params)
        for key in keys:
            if self.empty.get(key):
                self.empty[key] -= 1
                answer = answer.first(0) if isinstance(answer, Frame) else type(answer)()
        if isinstance(answer, Frame):
            self.spare -= len(answer.rows)
            return answer.message()
        return answer

    # ------------------------------------------------------------------------------ the answers

    def index_prices(self, code: str) -> dict[date, tuple[float, float, float, float]]:
        """Return an index' open, high, low and close by day; they are made up."""
        if code not in self._indices:
            chance, level, found = random.Random(code), 3000.0, {}
            for day in self.market.days:
                prices = [round(level * chance.uniform(0.98, 1.02), 2) for _ in range(4)]
                level = prices[3]
                found[day] = (prices[0], max(prices), min(prices), level)
            self._indices[code] = found
        return self._indices[code]

    def _tell_auth(self, username, password, version):
        if (username, password) != (self.user, self.password):
            raise RefusalError(WRONG_ACCOUNT)
        return ''

    def _tell_ping(self):
        return 'pong'

    def _tell_get_price(self, security, start_date, end_date, frequency, fields, skip_paused, fq, count, panel, fill_paused,
                        round):
        if frequency not in ('daily', '1d') or fq is not None or panel:
            raise NotImplementedError('daily prices with fq=None and panel=False alone')
        fields = [fields] if isinstance(fields, str) else fields or ['open', 'close', 'high', 'low', 'volume', 'money']
        if unknown := [name for name in fields if name not in PRICE_FIELDS]:
            raise RefusalError(f'不支持的字段: {unknown}')
        rows, index = [], []
        for code in self._known([security] if isinstance(security, str) else security):
            tell = self._index_values if _is_index(code) else self._stock_values
            told = [(day, tell(code, day)) for day in self._days(start_date, end_date, None if skip_paused else count)]
            if skip_paused:
                told = [(day, values) for day, values in told if values and not values['paused']][-(count or 0):]
            for day, values in told:
                if values and values['paused'] and not fill_paused:
                    values = {'paused': 1.0}
                rows.append([(values or {}).get(name, np.nan) for name in fields])
                index.append((datetime.combine(day, time()), code))
        numbers = dict.fromkeys(fields, 'float64')
        if isinstance(security, str):
            return Frame(rows, numbers, [moment for moment, _ in index])
        return Frame([[*key, *row] for key, row in zip(index, rows, strict=True)],
                     {'time': 'datetime64[ns]', 'code': 'object', **numbers})

    def _tell_get_valuation(self, security_list, start_date, end_date, fields, count):
        fields = [fields] if isinstance(fields, str) else fields or VALUE_FIELDS
        fields = [name for name in fields if name not in ('code', 'day')]
        rows = []
        for code in self._known([security_list] if isinstance(security_list, str) else security_list):
            for day in self._days(start_date, end_date, count):
                row = self.market.row(code, day)
                if row is not None and not row.paused:
                    values = {
                        'capitalization': row.total_shares / 1e4, 'market_cap': row.market_cap / 1e8,
                        'circulating_cap': row.float_shares / 1e4, 'circulating_market_cap': row.float_shares * row.close / 1e8,
                        'turnover_ratio': row.volume / row.float_shares * 100}
                    rows.append([code, day, *(round(values.get(name, np.nan), 4) for name in fields)])
        return Frame(rows, {'code': 'object', 'day': 'object', **dict.fromkeys(fields, 'float64')}).first(self.row_limit)

    def _tell_get_extras(self, info, security_list, start_date, end_date, df, count):
        if info != 'is_st' or not df:
            raise NotImplementedError('is_st as a frame alone')
        codes = self._known([security_list] if isinstance(security_list, str) else security_list)
        days = self._days(start_date, end_date, count)
        flags = [[bool((row := self.market.row(code, day)) and row.is_st) for code in codes] for day in days]
        return Frame(flags, dict.fromkeys(codes, 'bool'), [datetime.combine(day, time()) for day in days])

    def _tell_get_all_securities(self, types, date):
        if types not in ([], ['stock']):
            raise NotImplementedError('stocks alone')
        rows = {}
        for stock in self.market.stocks.values():
            last = stock.delisted or LISTED
            if date is None or stock.listed <= _day(date) <= last:
                days = [datetime.combine(day, time()) for day in (stock.listed, last)]
                rows[stock.code] = [stock.names[-1][1], f'S{stock.code[:6]}', *days, 'stock']
        dtypes = {'display_name': 'object', 'name': 'object', 'start_date': 'datetime64[ns]', 'end_date': 'datetime64[ns]',
                  'type': 'object'}
        return Frame(list(rows.values()), dtypes, list(rows))

    def _tell_get_industry(self, security, date, df):
        if df:
            raise NotImplementedError('a dict alone')
        answer = {}
        for code in self._known([security] if isinstance(security, str) else security):
            number, name = INDUSTRIES[list(self.market.stocks).index(code) % len(INDUSTRIES)]
            answer[code] = {kind: {'industry_code': number, 'industry_name': name} for kind in ('sw_l1', 'zjw')
                            } if code in self._listed(date) else {}
        return answer

    def _tell_get_index_stocks(self, index_symbol, date):
        """Tell all stocks of Shanghai and Shenzhen that are listed."""
        if not _is_index(index_symbol):
            raise RefusalError(UNKNOWN_CODE.format(index_symbol))
        return [code for code in self._listed(date) if not code.endswith('.BJSE')]

    def _tell_get_all_trade_days(self):
        return np.array(self.market.days, dtype=object)

    def _tell_get_trade_days(self, start_date, end_date, count):
        return np.array(self._days(start_date, end_date, count), dtype=object)

    def _tell_get_account_info(self):
        first, last = self.window or (None, None)
        return {'mob': self.user, 'expire_time': '2030-01-01 00:00:00', 'query_count_limit': DAILY_LIMIT, 'license': True,
                'date_range_start': first and str(first), 'date_range_end': last and str(last)} | self.account

    def _tell_get_query_count(self, field):
        counts = {'total': DAILY_LIMIT, 'spare': self.spare}
        return counts if field is None else counts[field]

    def _tell_get_table_orm(self, db, table=None):
        tables = TABLES if db == 'finance' else {}
        if table is None:
            return list(tables)
        return {'name': table, 'columns': [(name, DEFINITIONS[kind]) for name, kind in tables[table].items()]}

    def _tell_db_query(self, db, sql):
        if db != 'finance':
            raise NotImplementedError(db)
        (table,) = (name for name in TABLES if name in sql)
        kinds = TABLES[table]
        rows = [[str(value) if isinstance(value := row.get(name), date) else value for name in kinds]
                for row in self.tables[table]]
        with closing(sqlite3.connect(':memory:')) as base:
            base.create_function('concat', -1, lambda *texts: ''.join(texts))
            base.execute(f'CREATE TABLE {table} ({", ".join(f"{name} {SQL_TYPES[kind]}" for name, kind in kinds.items())})')
            base.executemany(f'INSERT INTO {table} VALUES ({", ".join("?" * len(kinds))})', rows)
            found = base.execute(sql.replace("\\'", "''").replace(" 00:00:00'", "'"))  # as MySQL reads them
            names = [name for name, *_ in found.description]
            rows = [[date.fromisoformat(value) if value and kinds.get(name) == 'date' else value
                     for name, value in zip(names, row, strict=True)] for row in found.fetchmany(self.row_limit)]
        return Frame(rows, {name: DTYPES.get(kinds.get(name)) for name in names})

    # ------------------------------------------------------------------------------ the market

    def _known(self, codes: list[str]) -> list[str]:
        for code in codes:
            if code not in self.market.stocks and not _is_index(code):
                raise RefusalError(UNKNOWN_CODE.format(code))
        return codes

    def _listed(self, day: str | None) -> list[str]:
        asked = _day(day) if day else self.market.days[-1]
        return [stock.code for stock in self.market.stocks.values() if stock.listed <= asked <= (stock.delisted or LISTED)]

    def _days(self, first: str | None, last: str | None, count: int | None) -> list[date]:
        days = [day for day in self.market.days if (not first or _day(first) <= day) and (not last or day <= _day(last))]
        return days[-count:] if count else days

    def _stock_values(self, code: str, day: date) -> dict[str, float] | None:
        row = self.market.row(code, day)
        if row is None:
            return None
        high, low = (row.close, row.close) if row.paused else _limits(row)
        pre_close = row.preclose
        if self.last_close_as_pre_close and (before := self.market.of_stock(code, self.market.days[0], day)[:-1]):
            pre_close = before[-1].close
        average = round(row.amount / row.volume, 2) if row.volume else row.close
        return {'open': row.open, 'close': row.close, 'high': row.high, 'low': row.low, 'volume': row.volume, 'money': row.amount,
                'factor': 1.0, 'high_limit': high, 'low_limit': low, 'avg': average, 'pre_close': pre_close,
                'paused': float(row.paused)}

    def _index_values(self, code: str, day: date) -> dict[str, float]:
        prices = self.index_prices(code)
        opened, high, low, close = prices[day]
        before = [other[3] for then, other in prices.items() if then < day]
        return {'open': opened, 'close': close, 'high': high, 'low': low, 'volume': 1e10, 'money': 1e11, 'factor': 1.0,
                'avg': 10.0, 'pre_close': before[-1] if before else opened, 'paused': 0.0}

    def _names(self) -> list[dict]:
        rows = []
        for stock in self.market.stocks.values():
            former = None
            for since, name in stock.names:
                rows.append({'id': 3 * len(rows) + 1, 'code': stock.code, 'company_id': _company(stock.code), 'new_name': name,
                             'org_name': former, 'start_date': since, 'pub_date': since})
                former = name
        return rows

    def _dividends(self) -> list[dict]:
        rows = []
        for stock in self.market.stocks.values():
            for event in stock.events:
                if event.rights:
                    continue
                before = max((day for day in self.market.days if day < event.day), default=event.day - timedelta(days=1))
                cash, shares = round(event.cash * 10, 4) or None, round((event.ratio - 1) * 10, 4) or None
                rows.append({
                    'id': 3 * len(rows) + 1, 'code': stock.code, 'company_id': _company(stock.code),
                    'report_date': date(event.day.year - 1, 12, 31), 'bonus_type': '年度分红', 'transfer_ratio': shares,
                    'bonus_ratio_rmb': cash, 'implementation_pub_date': before - timedelta(days=7),
                    'implementation_bonusnote': ''.join(
                        ['10', f'转增{shares:g}股' if shares else '', f'派{cash:g}元(含税)' if cash else '']),
                    'a_registration_date': before, 'a_xr_date': event.day, 'a_bonus_date': event.day if cash else None,
                    'plan_progress_code': 313002, 'plan_progress': '实施方案'})
        return rows


def _day(text: str) -> date:
    return date.fromisoformat(text[:10])


def _is_index(code: str) -> bool:
    return code.endswith('.CSI') or (code[:3], code[6:]) in {('000', '.XSHG'), ('399', '.XSHE')}


def _company(code: str) -> int:
    return 300_000_000 + int(code[:6])


def _limits(row: Row) -> tuple[float, float]:
    """Return the limits of a day, also where there are none in truth."""
    if row.code.endswith('.BJSE'):
        part = 0.3
    elif row.code.startswith(('30', '68')):
        part = 0.2
    else:
        part = 0.05 if row.is_st else 0.1
    high, low = (np.floor(row.preclose * (1 + sign * part) * 100 + 0.5 + 1e-6) / 100 for sign in (1, -1))
    return round(float(high), 2), round(float(low), 2)
