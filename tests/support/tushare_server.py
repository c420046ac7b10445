"""A stand-in for tushare.pro on this machine, asked by the real client package; and what other web stand-ins share.

It tells a `LittleMarket` as of `TushareServer.today`: in the service's units and codes, newest day first.
"""

import json
import threading
import traceback
from contextlib import suppress
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support import oracle_rules
from tests.support.little_market import Event, LittleMarket, Row, Stock, trading_days

TODAY = date(2024, 6, 3)
BEIJING_SWITCH = date(2025, 10, 9)  # its new codes from then on, for all days
INDICES = {'000001': ('上证指数', 3000.0), '000300': ('沪深300', 3400.0), '000852': ('中证1000', 5800.0),
           '000905': ('中证500', 5400.0)}
INDUSTRIES = [('汽车', '280101'), ('银行', '480301'), ('电子', '270104')]
TOKEN = 'a-token-that-is-right'


# -- what the web stand-ins share ---------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        found = self.server.owner.respond(self.path, body)
        if found is None:  # the connection is closed without a word
            return
        status, content, kind = found
        with suppress(ConnectionError):  # the client may not have waited
            self.send_response(status)
            self.send_header('Content-Type', kind)
            self.send_header('Content-Length', str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *_):
        pass


class LocalServer:
    """A server on a free port of this machine, within `with`; a mistake of its own is raised at the end."""

    def __init__(self, market: LittleMarket) -> None:
        self.market, self.today = market, TODAY
        self.closing, self.failures = threading.Event(), []

    def __enter__(self):
        self._server = ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
        self._server.owner = self
        self.url = f'http://127.0.0.1:{self._server.server_port}'
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind, *_):
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        assert kind is not None or not self.failures, self.failures[0]

    def respond(self, path, body):
        try:
            return self.answer(path, body)
        except Exception:
            self.failures.append(traceback.format_exc())
            return 500, self.failures[-1].encode(), 'text/plain'

    def answer(self, path, body):
        """Return status, content and its type, or None."""
        raise NotImplementedError

    # -- the market as of today

    def digits(self, stock: Stock) -> str:
        return stock.old_code[:6] if stock.old_code and self.today < BEIJING_SWITCH else stock.code[:6]

    def listed(self) -> list[Stock]:
        return [stock for stock in self.market.stocks.values()
                if stock.listed <= self.today and (stock.delisted is None or stock.delisted > self.today)]

    def delisted(self) -> list[Stock]:
        return [stock for stock in self.market.stocks.values() if stock.delisted is not None and stock.delisted <= self.today]

    def name(self, stock: Stock, day: date | None = None) -> str:
        return ([name for since, name in stock.names if since <= (day or self.today)] or [stock.names[0][1]])[-1]

    def shares(self, stock: Stock) -> float:
        return [shares for day, shares in self.market.share_changes(stock.code) if day <= self.today][-1]

    def payouts(self) -> list[tuple[Stock, Event]]:
        """Return dividends and splits, rights issues left out."""
        return [(stock, event) for stock in self.market.stocks.values() for event in stock.events if not event.rights]


def day_before(day: date) -> date:
    """Return the last trading day before."""
    return trading_days(day - timedelta(20), day - timedelta(1))[-1]


def day_after(day: date) -> date:
    """Return the next trading day."""
    return trading_days(day + timedelta(1), day + timedelta(20))[0]


def index_bars(market: LittleMarket, index: str) -> list[dict]:
    """Return an index' days: its level moves with the mean of the stocks that trade."""
    bars, level = [], INDICES[index][1]
    for day in market.days:
        rows = [row for row in market.of_day(day) if not row.paused]
        opened, close = (round(level * sum(getattr(row, name) / row.preclose for row in rows) / len(rows), 2)
                         for name in ('open', 'close'))
        bars.append({
            'day': day, 'open': opened, 'high': round(max(opened, close) + 5, 2), 'low': round(min(opened, close) - 5, 2),
            'close': close, 'preclose': level, 'volume': sum(row.volume for row in rows),
            'amount': round(sum(row.amount for row in rows), 2)})
        level = close
    return bars


def index_members(market: LittleMarket, index: str, day: date) -> list[Stock]:
    """Return an index' members of a day: of CSI 300 every other stock, of CSI 500 the rest, of the others all."""
    listed = {row.code for row in market.of_day(day)}
    part = {'000300': slice(0, None, 2), '000905': slice(1, None, 2)}.get(index, slice(None))
    return [stock for stock in list(market.stocks.values())[part] if stock.code in listed]


# -- tushare.pro --------------------------------------------------------------------------------------------

SUFFIXES = {'XSHG': '.SH', 'XSHE': '.SZ', 'BJSE': '.BJ'}
COLUMNS = {api: columns.split() for api, columns in {
    'trade_cal': 'exchange cal_date is_open pretrade_date',
    'stock_basic': 'ts_code symbol name area industry market list_date fullname exchange list_status delist_date is_hs',
    'namechange': 'ts_code name start_date end_date ann_date change_reason',
    'daily': 'ts_code trade_date open high low close pre_close change pct_chg vol amount',
    'daily_basic': 'ts_code trade_date close turnover_rate total_share float_share free_share total_mv circ_mv',
    'stk_limit': 'trade_date ts_code pre_close up_limit down_limit',
    'suspend_d': 'ts_code trade_date suspend_timing suspend_type',
    'stock_st': 'ts_code name trade_date type type_name',
    'dividend': 'ts_code end_date ann_date div_proc stk_div stk_bo_rate stk_co_rate cash_div cash_div_tax record_date ex_date '
                'pay_date div_listdate imp_ann_date',
    'index_daily': 'ts_code trade_date close open high low pre_close change pct_chg vol amount',
    'index_weight': 'index_code con_code trade_date weight',
    'index_member_all': 'l1_code l1_name l2_code l2_name l3_code l3_name ts_code name in_date out_date is_new',
    'bse_mapping': 'name o_code n_code list_date',
    'user': 'user_id exp_date points',
}.items()}
DEFAULTS = {'stock_basic': COLUMNS['stock_basic'][:7]}  # the columns given where none are asked for, if not all
POINTS = {'stock_st': 3000, 'bse_mapping': 120, 'daily': 120, 'suspend_d': 120, 'namechange': 120, 'user': 0}  # the others 2000
NO_PERMISSION = ('抱歉，您没有接口({})访问权限，权限的具体详情访问：'
                 'https://tushare.pro/document/1?doc_id=108。')
WRONG_TOKEN = '您的token不对，请确认。'


def written(day: date | None) -> str | None:
    """Return a day as tushare writes it."""
    return None if day is None else f'{day:%Y%m%d}'


class TushareServer(LocalServer):
    """The service; `errors`, `empty` and `status` by the name of the API: messages, number of empty answers, HTTP errors."""

    def __init__(self, market: LittleMarket, *, points: int = 2000) -> None:
        super().__init__(market)
        self.points, self.token = points, TOKEN
        self.page_rows = 6000  # of an answer at most
        self.errors: dict[str, list[str]] = {}
        self.empty: dict[str, int] = {}
        self.status: dict[str, list[int]] = {}
        self.calls: list[tuple[str, dict, str]] = []

    def patch(self, monkeypatch) -> None:
        """Point the real client at this server."""
        from tushare.pro.client import DataApi

        monkeypatch.setattr(DataApi, '_DataApi__http_url', f'{self.url}/dataapi')
        for name in ('no_proxy', 'NO_PROXY'):
            monkeypatch.setenv(name, '127.0.0.1')

    def answer(self, path, body):
        request = json.loads(body)
        api, fields = path.rsplit('/', 1)[-1], request['fields']
        params = {name: value for name, value in request['params'].items() if name != 'ts_type_name'}
        self.calls.append((api, params, fields))
        if self.status.get(api):
            return self.status[api].pop(0), b'', 'text/html'
        code, message, data = self._data(api, {name: value for name, value in params.items() if value not in ('', None)},
                                         fields, request['token'])
        text = json.dumps({'request_id': 'a', 'code': code, 'msg': message, 'data': data}, ensure_ascii=False)
        return 200, text.encode(), 'application/json'

    def _data(self, api, asked, fields, token):
        if token != self.token:
            return 40101, WRONG_TOKEN, None
        if self.errors.get(api):
            return -2002, self.errors[api].pop(0), None
        if api not in COLUMNS:
            return 40101, '请指定正确的接口名', None
        if self.points < POINTS.get(api, 2000):
            return 40203, NO_PERMISSION.format(api), None
        if api == 'dividend' and not {'ts_code', 'ann_date', 'record_date', 'ex_date', 'imp_ann_date'} & set(asked):
            return 50101, '必填参数，至少输入一个参数', None
        columns = [name for name in fields.split(',') if name in COLUMNS[api]] if fields else DEFAULTS.get(api, COLUMNS[api])
        rows = list(getattr(self, f'_{api}')(asked))
        if self.empty.get(api, 0) > 0:
            self.empty[api] -= 1
            rows = []
        offset = int(asked.get('offset', 0))
        rows = rows[offset:offset + min(int(asked.get('limit', self.page_rows)), self.page_rows)]
        return 0, '', {'fields': columns, 'items': [[row[name] for name in columns] for row in rows], 'has_more': False}

    def symbol(self, stock: Stock) -> str:
        """Return the code of a stock as it is today."""
        return self.digits(stock) + SUFFIXES[stock.code[7:]]

    def _asked_rows(self, asked) -> list[tuple[Stock, dict, Row]]:
        codes = set(asked['ts_code'].split(',')) if 'ts_code' in asked else None
        found = []
        for day in reversed(self.market.days):
            if day <= self.today and self._within(written(day), asked):
                for row in self.market.of_day(day):
                    stock = self.market.stocks[row.code]
                    if codes is None or self.symbol(stock) in codes:
                        found.append((stock, {'ts_code': self.symbol(stock), 'trade_date': written(day)}, row))
        return found

    @staticmethod
    def _within(day: str, asked) -> bool:
        return asked.get('trade_date', day) == day and asked.get('start_date', '0') <= day <= asked.get('end_date', '9')

    # -- the APIs

    def _trade_cal(self, asked):
        first, last = self.market.days[0], date(self.market.days[-1].year, 12, 31)
        days = [*self.market.days, *trading_days(self.market.days[-1] + timedelta(1), last)]
        before, every = None, []
        for number in range((last - first).days + 1):
            day = first + timedelta(number)
            every.append({'exchange': asked.get('exchange', 'SSE'), 'cal_date': written(day), 'is_open': int(day in days),
                          'pretrade_date': written(before)})
            before = day if day in days else before
        return [row for row in every[::-1] if asked.get('start_date', '0') <= row['cal_date'] <= asked.get('end_date', '9')
                and str(asked.get('is_open', row['is_open'])) == str(row['is_open'])]

    def _stock_basic(self, asked):
        for number, stock in enumerate(self.market.stocks.values()):
            gone = stock in self.delisted()
            status = 'D' if gone else 'L'
            if not (gone or stock in self.listed()) or status not in asked.get('list_status', 'L').split(','):
                continue
            place = {'XSHG': 'SSE', 'XSHE': 'SZSE', 'BJSE': 'BSE'}[stock.code[7:]]
            if asked.get('exchange', place) != place or self.symbol(stock) not in asked.get('ts_code', self.symbol(stock)):
                continue
            board = {'688': '科创板', '300': '创业板', '301': '创业板', '920': '北交所'}
            yield {'ts_code': self.symbol(stock), 'symbol': self.digits(stock), 'name': self.name(stock) + '(退)' * gone,
                   'area': '深圳', 'industry': INDUSTRIES[number % 3][0], 'market': board.get(stock.code[:3], '主板'),
                   'list_date': written(stock.listed), 'fullname': f'{self.name(stock)}有限公司', 'exchange': place,
                   'list_status': status, 'delist_date': written(stock.delisted) if gone else None, 'is_hs': 'N'}

    def _namechange(self, asked):
        found = []
        for stock in self.market.stocks.values():
            known = [(since, name) for since, name in stock.names if since <= self.today]
            for (since, name), (until, _) in zip(known, [*known[1:], (None, None)], strict=True):
                found.append({
                    'ts_code': self.symbol(stock), 'name': name, 'start_date': written(since),
                    'end_date': until and written(until - timedelta(1)),
                    'ann_date': None if since == stock.listed else written(since),
                    'change_reason': '*ST' if 'ST' in name else '其他'})
        ended = [row for row in found if row['end_date']]
        found += [{**row, 'end_date': None} for row in ended[-1:]]  # once without its end
        return sorted((row for row in found if asked.get('ts_code', row['ts_code']) == row['ts_code']),
                      key=lambda row: row['start_date'], reverse=True)

    def _daily(self, asked):
        for _, keys, row in self._asked_rows(asked):
            if not row.paused:
                yield {**keys, **_prices(row.open, row.high, row.low, row.close, row.preclose),
                       'vol': round(row.volume / 100, 2), 'amount': round(row.amount / 1000, 5)}

    def _daily_basic(self, asked):
        for _, keys, row in self._asked_rows(asked):
            if not row.paused:
                yield {**keys, 'close': row.close, 'turnover_rate': round(row.volume / row.float_shares * 100, 4),
                       'total_share': round(row.total_shares / 1e4, 4), 'float_share': round(row.float_shares / 1e4, 4),
                       'free_share': round(row.float_shares / 1e4, 4), 'total_mv': round(row.market_cap / 1e4, 4),
                       'circ_mv': round(row.float_shares * row.close / 1e4, 4)}

    def _stk_limit(self, asked):
        for stock, keys, row in self._asked_rows(asked):
            days = [day for day in self.market.days if stock.listed <= day <= row.day]
            leaving = [since for since, name in stock.names if '退' in name and since <= row.day]
            high, low = oracle_rules.price_limits(
                {'preclose': row.preclose, 'is_st': int(row.is_st)}, stock.code, row.day,
                len(days) if stock.listed >= self.market.days[0] else None,
                len([day for day in days if day >= leaving[0]]) if leaving else 0)
            yield {**keys, 'pre_close': row.preclose, 'up_limit': float(high or 0), 'down_limit': float(low or 0)}

    def _suspend_d(self, asked):
        if asked.get('suspend_type', 'S') == 'S':
            for _, keys, row in self._asked_rows(asked):
                if row.paused:
                    yield {**keys, 'suspend_timing': None, 'suspend_type': 'S'}

    def _stock_st(self, asked):
        for stock, keys, row in self._asked_rows(asked):
            if row.is_st:
                yield {**keys, 'name': self.name(stock, row.day), 'type': 'ST', 'type_name': '风险警示板'}

    def _dividend(self, asked):
        found = []
        for number, (stock, event) in enumerate(self.payouts()):
            bonus = round(event.ratio - 1, 6)
            plan = {'ts_code': self.symbol(stock), 'end_date': f'{event.day.year - 1}1231',
                    'ann_date': written(event.day - timedelta(60)), 'div_proc': '预案', 'stk_div': bonus,
                    'stk_bo_rate': bonus / 2 or None, 'stk_co_rate': bonus / 2 or None,
                    'cash_div': round(event.cash * 0.9, 6), 'cash_div_tax': event.cash, 'record_date': None, 'ex_date': None,
                    'pay_date': None, 'div_listdate': None, 'imp_ann_date': None}
            told = event.day - timedelta(7)
            done = {**plan, 'div_proc': '实施', 'record_date': written(day_before(event.day)),
                    'ex_date': written(event.day), 'pay_date': written(event.day) if event.cash else None,
                    'div_listdate': written(event.day) if bonus else None, 'imp_ann_date': written(told)}
            found += [done] * (1 + (number == 0)) * (told <= self.today)  # of one stock twice
            found += [plan] * (plan['ann_date'] <= written(self.today))
        keys = ('ts_code', 'ann_date', 'record_date', 'ex_date', 'imp_ann_date')
        return [row for row in found if all(row[key] == asked[key] for key in keys if key in asked)]

    def _index_daily(self, asked):
        symbol = asked.get('ts_code', '')
        index = '000300' if symbol == '399300.SZ' else symbol[:6]
        for bar in reversed(index_bars(self.market, index) if index in INDICES else []):
            if bar['day'] <= self.today and self._within(written(bar['day']), asked):
                yield {'ts_code': symbol, 'trade_date': written(bar['day']),
                       **_prices(*(bar[name] for name in ('open', 'high', 'low', 'close', 'preclose'))),
                       'vol': bar['volume'] / 100, 'amount': round(bar['amount'] / 1000, 5)}

    def _index_weight(self, asked):
        symbol = asked.get('index_code', '')
        index = {'399300.SZ': '000300', '000300.SH': None}.get(symbol, symbol[:6])
        ends = [day for day in self.market.days
                if day_after(day).month != day.month and day <= self.today and self._within(written(day), asked)]
        for day in ends[-1:] if index in INDICES else []:  # one month's rows at most
            members = index_members(self.market, index, day)
            for stock in members:
                yield {'index_code': symbol, 'con_code': self.symbol(stock), 'trade_date': written(day),
                       'weight': round(100 / len(members), 4)}

    def _index_member_all(self, asked):
        for number, stock in enumerate(self.market.stocks.values()):
            spans = [(INDUSTRIES[number % 3], stock.listed, None)]
            if number == 0:  # one that changed
                since = date(2021, 7, 30)
                spans = [(INDUSTRIES[1], stock.listed, since - timedelta(1)), (INDUSTRIES[0], since, None)]
            for (name, code), since, until in spans:
                new = 'N' if until else 'Y'
                if asked.get('is_new', 'Y') == new and asked.get('ts_code', self.symbol(stock)) == self.symbol(stock):
                    yield {'l1_code': f'{code[:2]}0000.SI', 'l1_name': name, 'l2_code': f'{code[:4]}00.SI', 'l2_name': name,
                           'l3_code': f'{code}.SI', 'l3_name': name, 'ts_code': self.symbol(stock), 'name': self.name(stock),
                           'in_date': written(since), 'out_date': written(until), 'is_new': new}

    def _bse_mapping(self, asked):
        for stock in self.market.stocks.values():
            codes = {'o_code': f'{stock.old_code[:6]}.BJ', 'n_code': f'{stock.code[:6]}.BJ'} if stock.old_code else {}
            if codes and all(asked.get(key, code) == code for key, code in codes.items()):
                yield {'name': self.name(stock), **codes, 'list_date': written(stock.listed)}

    def _user(self, asked):
        return [{'user_id': 123456, 'exp_date': '2030-12-31', 'points': self.points}]


def _prices(opened, high, low, close, preclose) -> dict:
    return {'open': opened, 'high': high, 'low': low, 'close': close, 'pre_close': preclose,
            'change': round(close - preclose, 4), 'pct_chg': round((close / preclose - 1) * 100, 4)}
