"""Stand-ins of the services that speak over a socket: the real client packages ask them on this machine.

Each is a context manager, answers out of a `LittleMarket` and knows nothing of what comes after its `today`.
"""

import contextlib
import json
import socket
import socketserver
import struct
import sys
import threading
import zlib
from datetime import date, datetime, timedelta

import numpy as np
import pytest

from tests.support.little_market import Row

SPLIT = '\1'
MARKETS = {'XSHE': 0, 'XSHG': 1, 'BJSE': 2}  # as TDX numbers them
INDEX = ['sh.000300', '沪深300', '2005-04-08', '', '2', '1']  # the only one in the list; of all others there are prices
INDUSTRIES = ('C26化学原料和化学制品制造业', 'J66货币金融服务', 'K70房地产业')
BAR_FIELDS = ('date,code,open,high,low,close,preclose,volume,amount,adjustflag,turn,tradestatus,pctChg,peTTM,pbMRQ,psTTM,'
              'pcfNcfTTM,isST')
CONSTITUENT_FIELDS = 'updateDate, code, code_name'
FIELDS = {  # written with the blanks and tabs with which they come
    'query_history_k_data_plus': BAR_FIELDS,  # those asked for
    'query_daily_history_k_AStock': BAR_FIELDS,
    'query_stock_basic': 'code, code_name, ipoDate, outDate, type, status',
    'query_dividend_data': (
        'code, dividPreNoticeDate, dividAgmPumDate, dividPlanAnnounceDate, dividPlanDate, \tdividRegistDate, dividOperateDate, '
        'dividPayDate, dividStockMarketDate, dividCashPsBeforeTax, dividCashPsAfterTax, dividStocksPs, \tdividCashStock, '
        'dividReserveToStockPs'),
    'query_profit_data': 'code,pubDate,statDate,roeAvg,npMargin,gpMargin,netProfit,epsTTM,MBRevenue,totalShare,liqaShare',
    'query_stock_industry': 'updateDate, code, code_name, industry, industryClassification',
    'query_hs300_stocks': CONSTITUENT_FIELDS,
    'query_sz50_stocks': CONSTITUENT_FIELDS,
    'query_zz500_stocks': CONSTITUENT_FIELDS,
    'query_trade_dates': 'calendar_date, is_trading_day',
}
QUARTERS = {1: ((3, 31), (4, 28)), 2: ((6, 30), (8, 28)), 3: ((9, 30), (10, 28)), 4: ((12, 31), (4, 20))}  # end, published
PER_SHARE = {'peTTM': 0.4, 'pbMRQ': 5.0, 'psTTM': 3.0, 'pcfNcfTTM': 0.7}  # earnings, book value ..., of all stocks
UNKNOWN_CALL, BAD_MESSAGE = ('10004020', '错误的消息类型'), ('10004019', '消息格式不正确')
BAD_FIELD, BAD_ARGUMENT, BAD_DATE = ('10004012', '无效的指标'), ('10004006', '参数错误'), ('10004010', '日期格式不正确')
NOT_LOGGED_IN, SYSTEM_ERROR = ('10001001', '用户未登录'), ('10005001', '系统级别错误')


class _Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.service.serve(self.rfile, self.connection)


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads, allow_reuse_address = True, True

    def handle_error(self, request, client_address):
        """A client that leaves is nothing to tell; what else goes wrong is kept, and raised at the end."""
        self.service.failed()


class Service:
    """A server on a free port of this machine."""

    host = '127.0.0.1'

    def __init__(self, market):
        self.market, self.today = market, market.days[-1]
        self.calls = []
        self.connections = 0  # that were made until now
        self.hang = False  # accept and read, but never answer
        self._answers_left = None
        self._open, self._lock, self._failures = set(), threading.Lock(), []

    def __enter__(self):
        self._listener = _Listener((self.host, 0), _Handler)
        self._listener.service, self.port = self, self._listener.server_address[1]
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind, error, trace):
        self.stop()
        if error is None and self._failures:
            raise self._failures[0]

    def stop(self):
        """End it before its time: connections are closed, new ones refused."""
        self._listener.shutdown()
        self._listener.server_close()
        self.drop()

    def drop(self):
        """Close the connections there are, as a server does that has waited for long; new ones are welcome."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def close_after(self, number):
        """Close the connection in the middle of an answer: 1 is the next one. Only once."""
        self._answers_left = number

    def call_names(self):
        return [name for name, _ in self.calls]

    def serve(self, reader, connection):
        with self._lock:
            self._open.add(connection)
            self.connections += 1
        try:
            self.talk(reader, connection)
        finally:
            with self._lock:
                self._open.discard(connection)

    def failed(self):
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self._failures.append(error)

    def note(self, name, arguments):
        with self._lock:
            self.calls.append((name, arguments))

    def send(self, connection, message):
        """Return whether the connection goes on."""
        with self._lock:
            cut = self._answers_left == 1
            if self._answers_left is not None:
                self._answers_left = None if cut else self._answers_left - 1
        connection.sendall(message[:len(message) // 2] if cut else message)
        return not cut


class BaostockServer(Service):
    """The server of baostock 0.9: `calls` holds (method, arguments), all text, without the user.

    The arguments of a paged call begin with the page and the rows a page. `answers[method]` is called with them and
    returns all rows, or an error's code and message; `errors` are such errors for the next requests, or None for a good
    answer. `constituents` are the market's codes by call.
    """

    def __init__(self, market, *, page=2000, start_of_life=date(1990, 12, 19)):
        super().__init__(market)
        self.page, self.start_of_life = page, start_of_life  # no bars before that day
        self.answers, self.errors, self.close_at_login = {}, [], False
        self.stocks = {symbol(stock.code): stock for stock in market.stocks.values() if not stock.code.endswith('BJSE')}
        codes = [stock.code for stock in self.stocks.values()]
        self.constituents = {'query_hs300_stocks': codes[::2], 'query_zz500_stocks': codes[1::2],
                             'query_sz50_stocks': [code for code in codes if code.endswith('XSHG')][:3]}

    def patch(self, monkeypatch):
        """Point the package at it, as nobody who has logged in; without the package the test is skipped."""
        constants = pytest.importorskip('baostock.common.contants')
        context = pytest.importorskip('baostock.common.context')
        for name, value in {'SERVER_IP': self.host, 'VIP_SERVER_IP': self.host, 'SERVER_PORT': self.port,
                            'PER_PAGE_COUNT': self.page}.items():
            monkeypatch.setattr(constants, f'BAOSTOCK_{name}', value)
        for name in ('user_id', 'default_socket', 'apiKey'):
            monkeypatch.setattr(context, name, None, raising=False)  # so that it is gone again after the test
            monkeypatch.delattr(context, name)

    def talk(self, reader, connection):
        logged_in = False
        for line in reader:
            text, _, check = line.decode().removesuffix('\n').rpartition(SPLIT)
            (_, kind, length), body = text[:21].split(SPLIT), text[21:]
            method, user, *arguments = body.split(SPLIT)
            self.note(method, [user, *arguments] if method in ('login', 'logout') else arguments)
            if method == 'login' and self.close_at_login:
                return
            if self.hang:
                continue
            if (int(check), int(length)) != (zlib.crc32(text.encode()), len(body)):
                answer = BAD_MESSAGE
            elif (error := self._next_error()) is not None:
                answer = error
            elif method in ('login', 'logout'):
                answer = self._session(method, user, arguments)
                logged_in = method == 'login' and isinstance(answer, list)
            else:
                answer = self._try_query(method, user, arguments) if logged_in else NOT_LOGGED_IN
            if not self.send(connection, frame(kind, answer)):
                return

    def _next_error(self):
        with self._lock:
            return self.errors.pop(0) if self.errors else None

    def _session(self, method, user, arguments):
        found = self.answers[method]([user, *arguments]) if method in self.answers else []
        return found if isinstance(found, tuple) else [method, user, f'{datetime.now():%Y%m%d%H%M%S%f}'[:17]]

    def _try_query(self, method, user, arguments):
        try:
            return self._query(method, user, arguments)
        except Exception:  # a mistake in here: were the connection closed, the client would spin
            self.failed()
            return SYSTEM_ERROR

    def _query(self, method, user, arguments):
        """Return the parts of a good answer's body, or an error's code and message."""
        if method not in FIELDS:
            return UNKNOWN_CALL
        found = self.answers.get(method, getattr(self, f'_{method}'))(arguments)
        if isinstance(found, tuple):
            return found
        if method == 'query_daily_history_k_AStock':
            return [method, user, records(found), FIELDS[method]]
        page, rows = int(arguments[0]), min(int(arguments[1]), self.page)
        end = [] if method == 'query_history_k_data_plus' else [FIELDS[method]]
        return [method, user, *arguments[:2], records(found[(page - 1) * rows:page * rows]), *arguments[2:], *end]

    def _query_history_k_data_plus(self, arguments):
        code, fields, first, last, frequency, adjusted = arguments[2:]
        names = [name.strip() for name in fields.split(',')]
        if not {*names} <= {*BAR_FIELDS.split(',')}:
            return BAD_FIELD
        if (frequency, adjusted) != ('d', '3'):
            return BAD_ARGUMENT  # it has nothing else
        first, last = max(date.fromisoformat(first), self.start_of_life), min(date.fromisoformat(last), self.today)
        if code in self.stocks:
            rows = self.market.of_stock(self.stocks[code].code, first, last)
        else:
            rows = [row for row in self.index_rows(code) if first <= row.day <= last]
        return [[bar[name] for name in names] for bar in (bar_of(row, code) for row in rows)]

    def index_rows(self, code):
        """Return the made-up prices of an index, none for what is not one."""
        if not code.startswith(('sh.000', 'sz.399')):
            return []
        random, close, rows = np.random.default_rng(int(code[3:])), 3000.0, []
        for day in self.market.days:
            preclose = close
            prices = [round(float(preclose * move), 2) for move in 1 + random.uniform(-0.02, 0.02, 4)]
            volume, close = float(random.integers(10**9, 10**10)), prices[3]
            rows.append(Row(day, code, prices[0], max(prices), min(prices), close, preclose, volume, volume * 12, 0.0, 0.0,
                            False, False))
        return rows

    def _query_daily_history_k_AStock(self, arguments):
        try:
            day = date.fromisoformat(arguments[0])
        except ValueError:
            return BAD_DATE  # the package asks for the day '2' where a day has just as many stocks as a page has rows
        if not self.start_of_life <= day <= self.today:
            return []
        rows = [(code, self.market.row(stock.code, day)) for code, stock in sorted(self.stocks.items())]
        return [list(bar_of(row, code).values()) for code, row in rows if row is not None]

    def _query_stock_basic(self, arguments):
        code, name = arguments[2:]
        rows = [INDEX]
        for symbol, stock in self.stocks.items():
            if stock.listed <= self.today:
                gone = stock.delisted is not None and stock.delisted <= self.today
                rows.append([symbol, name_of(stock, self.today), str(stock.listed), str(stock.delisted) if gone else '', '1',
                             '0' if gone else '1'])
        return [row for row in sorted(rows) if row[0] == (code or row[0]) and name in row[1]]

    def _query_dividend_data(self, arguments):
        code, year, kind = arguments[2:]
        stock, rows = self.stocks.get(code), []
        for event in stock.events if stock else []:
            planned, announced = event.day - timedelta(60), event.day - timedelta(7)
            if event.rights or announced > self.today or int(year) != (event.day if kind == 'operate' else planned).year:
                continue
            record = max((day for day in self.market.days if day < event.day), default=event.day - timedelta(1))
            shares, text = event.ratio - 1, '10'
            if shares:
                text += f'转{shares * 10:.6g}'
            if event.cash:
                text += f'派{event.cash * 10:.6g}元（含税，扣税后{event.cash * 9:.6g}或{event.cash * 10:.6g}元）'
            rows.append([
                code, '', str(event.day - timedelta(30)), str(planned), str(announced), str(record), str(event.day),
                str(event.day) if event.cash else '', str(event.day) if shares else '',
                f'{event.cash:.6g}' if event.cash else '', f'{event.cash * 0.9:.6g}或{event.cash:.6g}' if event.cash else '',
                '0.000000', text, f'{shares:.6f}' if shares else ''])
        return rows

    def _query_profit_data(self, arguments):
        code, year, quarter = arguments[2:]
        end, published = QUARTERS[int(quarter)]
        day, told = date(int(year), *end), date(int(year) + (quarter == '4'), *published)
        stock = self.stocks.get(code)
        changes = [] if stock is None else [shares for since, shares in self.market.share_changes(stock.code) if since <= day]
        if not changes or told > self.today or (stock.delisted or told) < told:
            return []
        shares = changes[-1]
        return [[code, str(told), str(day), '0.032797', '0.258851', '', f'{shares * 0.1 * int(quarter):.6f}', '0.400000',
                 f'{shares * int(quarter):.6f}' if quarter in '24' else '', f'{shares:.2f}',
                 f'{round(shares * stock.float_part):.2f}']]

    def _query_stock_industry(self, arguments):
        code, day = arguments[2], self._day(arguments[3])
        return [[str(monday(day)), symbol, name_of(stock, day), INDUSTRIES[number % len(INDUSTRIES)], '证监会行业分类']
                for number, (symbol, stock) in enumerate(self.stocks.items())
                if symbol == (code or symbol) and is_listed(stock, day)]

    def _constituents(self, call, arguments):
        day = self._day(arguments[2])
        stocks = [self.market.stocks[code] for code in self.constituents[call]]
        return [[str(monday(day)), symbol(stock.code), name_of(stock, day)] for stock in stocks if is_listed(stock, day)]

    def _query_hs300_stocks(self, arguments):
        return self._constituents('query_hs300_stocks', arguments)

    def _query_sz50_stocks(self, arguments):
        return self._constituents('query_sz50_stocks', arguments)

    def _query_zz500_stocks(self, arguments):
        return self._constituents('query_zz500_stocks', arguments)

    def _query_trade_dates(self, arguments):
        first, last = (date.fromisoformat(text) for text in arguments[2:])
        first, last = max(first, self.market.days[0]), min(last, self.market.days[-1])
        days = [first + timedelta(number) for number in range((last - first).days + 1)]
        return [[str(day), str(int(day in self.market.days))] for day in days]

    def _day(self, text):
        return min(date.fromisoformat(text), self.today) if text else self.today


def symbol(code):
    """Return a canonical code as baostock writes it."""
    return {'XSHG': 'sh.', 'XSHE': 'sz.', 'BJSE': 'bj.'}[code[-4:]] + code[:6]


def name_of(stock, day):
    return [name for since, name in stock.names if since <= day or since == stock.names[0][0]][-1]


def is_listed(stock, day):
    return stock.listed <= day and not (stock.delisted is not None and stock.delisted <= day)


def monday(day):
    """Return the day on which such a list was last brought up to date."""
    return day - timedelta(day.weekday())


def bar_of(row, code):
    """Return all there is of a day, as text, by field."""
    stock = row.float_shares > 0  # and no index
    bar = {'date': str(row.day), 'code': code}
    bar |= {name: f'{getattr(row, name):.4f}' for name in ('open', 'high', 'low', 'close', 'preclose')}
    bar |= {
        'volume': '' if row.paused else f'{row.volume:.0f}', 'amount': '' if row.paused else f'{row.amount:.4f}',
        'adjustflag': '3', 'turn': f'{row.volume / row.float_shares * 100:.6f}' if stock and not row.paused else '',
        'tradestatus': str(int(not row.paused)), 'pctChg': f'{(row.close / row.preclose - 1) * 100:.6f}'}
    bar |= {name: f'{row.close / part:.6f}' if stock else '' for name, part in PER_SHARE.items()}
    return bar | {'isST': str(int(row.is_st))}


def records(rows):
    return json.dumps({'record': rows}, ensure_ascii=False, separators=(',', ':'))


def frame(kind, answer):
    """Return a message: the parts of a body, compressed where the client expects it, or an error's code and message."""
    if isinstance(answer, tuple):
        kind, parts = '04', answer
    else:
        kind, parts = f'{int(kind) + 1:02d}', ('0', 'success', *answer)
    text = SPLIT.join(parts)
    head = SPLIT.join(('00.9.00', kind, ''))
    if kind in ('96', '99'):
        packed = zlib.compress(text.encode())
        head = f'{head}{len(packed):010d}'.encode()
        return head + packed + f'{SPLIT}{zlib.crc32(head + packed)}\n<![CDATA[]]>\n'.encode()
    message = f'{head}{len(text):010d}{text}'.encode()  # the length is that in characters
    return message + f'{SPLIT}{zlib.crc32(message)}<![CDATA[]]>\n'.encode()


class TdxServer(Service):
    """A server of TDX that greets and tells `xdxr`: `calls` holds ('setup', [number]) and ('xdxr', [market, digits])."""

    def patch(self, monkeypatch, folder):
        """Make `folder` the home of mootdx, with a list of servers in it: without, it would look for the fastest.

        Without the package the test is skipped.
        """
        monkeypatch.setenv('HOME', str(folder))
        monkeypatch.setenv('USERPROFILE', str(folder))
        here = {'HQ': [self.host, self.port], 'EX': '', 'GP': ''}
        path = folder / '.mootdx' / 'config.json'
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({'SERVER': {'HQ': [['here', self.host, self.port]]}, 'BESTIP': here}), encoding='utf-8')
        config = pytest.importorskip('mootdx.config')  # which makes a folder in the home as it is imported
        monkeypatch.setattr(config, 'CONF', str(path))
        monkeypatch.setattr(config, 'settings', config.clone())

    def talk(self, reader, connection):
        while len(head := reader.read(10)) == 10:
            body = reader.read(struct.unpack_from('<H', head, 6)[0])
            command, = struct.unpack_from('<H', body)
            if command in (0x0d, 0xfdb):
                self.note('setup', [body[2] if command == 0x0d else 3])
                answer = bytes(body)
            elif command == 0x0f:
                market, digits = body[4], body[5:11].decode()
                self.note('xdxr', [market, digits])
                answer = self._xdxr(market, digits)
            else:
                raise AssertionError(f'command {command:#06x}')
            if self.hang:
                continue
            packed = min(answer, zlib.compress(answer), key=len)
            flag = 0x1c if len(packed) < len(answer) else 0x0c
            message = struct.pack('<IB4sBHHH', 0x0074cbb1, flag, head[1:5], 0, command, len(packed), len(answer)) + packed
            if not self.send(connection, message):
                return

    def _xdxr(self, market, digits):
        stock = next((stock for code, stock in self.market.stocks.items() if (code[:6], MARKETS[code[-4:]]) == (digits, market)),
                     None)
        rows, shares = [], 0.0
        for event in stock.events if stock else []:
            bonus, rights = (0.0, event.ratio - 1) if event.rights else (event.ratio - 1, 0.0)
            rows.append((event.day, 1, struct.pack('<ffff', event.cash * 10, 0.0, bonus * 10, rights * 10)))
        for day, total in self.market.share_changes(stock.code) if stock else []:
            numbers = [round(shares * stock.float_part), shares, round(total * stock.float_part), total]
            rows.append((day, 5, struct.pack('<IIII', *(pack_volume(number / 1e4) for number in numbers))))
            shares = total
        rows = sorted(row for row in rows if row[0] <= self.today)
        name = digits.encode()
        told = [struct.pack('<B6sBIB', market, name, 0, int(f'{day:%Y%m%d}'), kind) + data for day, kind, data in rows]
        return struct.pack('<HB6sH', 1, market, name, len(told)) + b''.join(told)


def pack_volume(number):
    """Return a number as the 32 bits that `tdxpy.helper.get_volume` reads, those of a float; it misreads any below 128."""
    return struct.unpack('<I', struct.pack('<f', number))[0]
