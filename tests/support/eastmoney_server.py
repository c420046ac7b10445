"""A stand-in for the web pages that the akshare package reads: Eastmoney's, the exchanges' and those of two index makers.

It tells a `LittleMarket` as of `EastmoneyServer.today`. The real package asks it: its requests are sent here.
"""

import functools
import importlib
import io
import json
import re
from datetime import date, timedelta
from types import SimpleNamespace
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from tests.support.little_market import LittleMarket, Row, Stock
from tests.support.tushare_server import INDICES, INDUSTRIES, LocalServer, day_before, index_bars, index_members

VALUES_SINCE = date(2018, 1, 2)
NOTHING = {'rc': 0, 'version': None, 'data': None, 'result': None, 'success': False, 'message': '返回数据为空', 'code': 9201}
SUFFIXES = {'XSHG': '.SH', 'XSHE': '.SZ', 'BJSE': '.BJ'}
# akshare names columns by their place: these stand where it looks, the others only count
BONUS_COLUMNS = {0: 'SECUCODE', 1: 'SECURITY_NAME_ABBR', 4: 'SECURITY_CODE', 5: 'BONUS_IT_RATIO', 6: 'BONUS_RATIO',
                 7: 'IT_RATIO', 8: 'PRETAX_BONUS_RMB', 9: 'PLAN_NOTICE_DATE', 10: 'EQUITY_RECORD_DATE', 11: 'EX_DIVIDEND_DATE',
                 12: 'REPORT_DATE', 13: 'ASSIGN_PROGRESS', 14: 'IMPL_PLAN_PROFILE', 15: 'NOTICE_DATE', 19: 'BASIC_EPS',
                 20: 'BVPS', 21: 'PER_CAPITAL_RESERVE', 22: 'PER_UNASSIGN_PROFIT', 23: 'PNP_YOY_RATIO', 24: 'TOTAL_SHARES',
                 25: 'PUBLISH_DATE', 26: 'DIVIDENT_RATIO'}
BEIJING_COLUMNS = {0: 'fxssrq', 11: 'xxfxsgb', 17: 'xxhyzl', 22: 'xxjsrq', 29: 'xxssdq', 35: 'xxzbqs', 36: 'xxzgb', 38: 'xxzqdm',
                   40: 'xxzqjc'}
BEIJING_PAGE = 20
SHENZHEN_LEAST = 11  # of a shorter list akshare gives codes without their zeros
SHENZHEN_COLUMNS = ('板块', '公司全称', 'A股代码', 'A股简称', 'A股上市日期', 'A股总股本', 'A股流通股本', 'B股代码', 'B股简称',
                    '所属行业')
ROUTES = {  # the end of the host and the path, and what answers
    'push2his.eastmoney.com/api/qt/stock/kline/get': '_kline',
    'push2.eastmoney.com/api/qt/clist/get': '_clist',
    'datacenter-web.eastmoney.com/api/data/v1/get': '_report',
    'datacenter.eastmoney.com/securities/api/data/v1/get': '_report',
    'query.sse.com.cn/sseQuery/commonQuery.do': '_shanghai',
    'query.sse.com.cn/commonQuery.do': '_shanghai',
    'www.szse.cn/api/report/ShowReport': '_shenzhen',
    'www.bse.cn/nqxxController/nqxxCnzq.do': '_beijing',
    'www.swsresearch.com/swindex/pdf/SwClass2021/StockClassifyUse_stock.xls': '_industries',
}


def midnight(day: date | None) -> str | None:
    """Return a day as Eastmoney's reports write it."""
    return None if day is None else f'{day} 00:00:00'


def placed(values: dict, columns: dict[int, str], count: int) -> dict:
    """Return a record whose values stand at their places."""
    return {columns.get(number, f'other{number}'): values.get(columns.get(number)) for number in range(count)}


def workbook(rows) -> bytes | None:
    """Return rows as a workbook; None where it cannot be written."""
    try:
        from openpyxl import Workbook
    except ImportError:
        return None
    book, content = Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(content)
    return content.getvalue()


class EastmoneyServer(LocalServer):
    """The pages. The switches hold for every request whose host, path, query or form has the text in it.

    `empty`: an answer without data, as Eastmoney gives to who asks too often. `status`: an HTTP error, or a list of those
    of the next requests. `drop`: no answer. `hang`: nothing for 30 s.
    """

    def __init__(self, market: LittleMarket) -> None:
        super().__init__(market)
        self.empty: set[str] = set()
        self.status: dict[str, int | list[int]] = {}
        self.drop: set[str] = set()
        self.hang: set[str] = set()
        self.calls: list[tuple[str, str, dict]] = []  # host, path, parameters
        self.timeouts: list[tuple[str, object]] = []  # path, time-out
        self.waits: list[float] = []  # seconds that the package would have slept

    def patch(self, monkeypatch) -> None:
        """Send all that `requests` is asked to this server, and let the package neither sleep nor remember."""
        import requests

        send = requests.adapters.HTTPAdapter.send

        def rerouted(adapter, request, stream=False, timeout=None, verify=True, cert=None, proxies=None):
            asked = urlsplit(request.url)
            if asked.hostname == '127.0.0.1':
                return send(adapter, request, stream, timeout, verify, cert, proxies)
            self.timeouts.append((asked.path, timeout))
            local = request.copy()
            local.url = f'{self.url}/{asked.netloc}{asked.path}' + f'?{asked.query}' * bool(asked.query)
            response = send(adapter, local, stream, timeout, verify, cert, {})
            response.url = request.url
            return response

        monkeypatch.setattr(requests.adapters.HTTPAdapter, 'send', rerouted)
        for name in ('akshare.request', 'akshare.utils.request', 'akshare.utils.func'):
            monkeypatch.setattr(importlib.import_module(name), 'time', SimpleNamespace(sleep=self.waits.append))
        self.forget()
        self._patched = True

    def __exit__(self, *error):
        super().__exit__(*error)
        if getattr(self, '_patched', False):
            self.forget()

    @staticmethod
    def forget() -> None:
        """Clear what the package keeps of earlier answers."""
        for call in list(vars(importlib.import_module('akshare')).values()):
            if isinstance(call, functools._lru_cache_wrapper):
                call.cache_clear()

    def answer(self, path, body):
        host, _, rest = path.lstrip('/').partition('/')
        asked = urlsplit(f'//{host}/{rest}')
        params = dict(parse_qsl(asked.query, keep_blank_values=True) + parse_qsl(body.decode(), keep_blank_values=True))
        self.calls.append((host, asked.path, params))
        where = unquote_plus(f'{host}{asked.path}?{asked.query}&{body.decode()}')
        if any(text in where for text in self.hang):
            self.closing.wait(30)
            return None
        if any(text in where for text in self.drop):
            return None
        for text, status in self.status.items():
            if text in where and status:
                return status if isinstance(status, int) else status.pop(0), '<html>错误</html>'.encode(), 'text/html'
        if any(text in where for text in self.empty):
            found = NOTHING
        else:
            found = self._page(host + asked.path, params)
        if found is None:
            return 404, b'<html>404</html>', 'text/html'
        content = found if isinstance(found, bytes) else json.dumps(found, ensure_ascii=False).encode()
        return 200, content, 'application/octet-stream' if isinstance(found, bytes) else 'application/json; charset=utf-8'

    def _page(self, place, params):
        if members := re.fullmatch(r'oss-ch\.csindex\.com\.cn/.*/(\d{6})cons\.xls', place):
            return self._members(members[1])
        return next((getattr(self, call)(params) for end, call in ROUTES.items() if re.sub(r'^\d+\.', '', place) == end), None)

    # -- the stocks

    def secucode(self, stock: Stock) -> str:
        """Return the code of a stock with its exchange."""
        return self.digits(stock) + SUFFIXES[stock.code[7:]]

    def _rows(self, stock: Stock) -> list[Row]:
        """Return the days on which it traded."""
        return [row for row in self.market.of_stock(stock.code, date.min, self.today) if not row.paused]

    def _find(self, code: str) -> Stock | None:
        """Return the stock of a code, with or without its exchange, once it is listed."""
        return next((stock for stock in (*self.listed(), *self.delisted())
                     if code in (self.digits(stock), self.secucode(stock))), None)

    # -- Eastmoney

    def _kline(self, params):
        if (params['klt'], params['fqt']) != ('101', '0'):
            return None  # not told here
        market, _, code = params['secid'].partition('.')
        if code in INDICES and market == '1':
            name = INDICES[code][0]
            days = [(bar['day'], bar['open'], bar['close'], bar['high'], bar['low'], bar['volume'], bar['amount'], None)
                    for bar in index_bars(self.market, code) if bar['day'] <= self.today]
        else:
            stock = self._find(code)
            if stock is None or market != ('1' if stock.code.endswith('XSHG') else '0'):
                return NOTHING
            name = self.name(stock)
            days = [(row.day, row.open, row.close, row.high, row.low, row.volume, row.amount, row.float_shares)
                    for row in self._rows(stock)]
        lines, before = [], None
        for day, opened, close, high, low, volume, amount, shares in days:
            last = opened if before is None else before  # the last close, on an ex-date too
            before = close
            if params['beg'] <= f'{day:%Y%m%d}' <= params['end']:
                lines.append(f'{day},{opened:.2f},{close:.2f},{high:.2f},{low:.2f},{volume / 100:.0f},{amount:.2f},'
                             f'{(high - low) / last * 100:.2f},{(close / last - 1) * 100:.2f},{close - last:.2f},'
                             f'{volume / shares * 100 if shares else 0:.2f}')
        if not lines:
            return NOTHING
        return {'rc': 0, 'rt': 17, 'data': {'code': code, 'market': int(market), 'name': name, 'decimal': 2,
                                            'dktotal': len(days), 'klines': lines}}

    def _clist(self, params):
        if params['fs'] == 'm:0 f:4,m:1 f:4':
            found = [self._quote(stock) for stock in self.listed() if 'ST' in self.name(stock)]
        else:
            found = [{'f3': 0.5, 'f12': index, 'f13': 1} for index in INDICES]
        size, page = int(params['pz']), int(params['pn'])
        rows = found[(page - 1) * size:page * size]
        return {'rc': 0, 'rt': 6, 'data': {'total': len(found), 'diff': rows}} if rows else NOTHING

    def _quote(self, stock: Stock) -> dict:
        row = self.market.of_stock(stock.code, date.min, self.today)[-1]
        change = row.close - row.preclose
        told = {'f2': row.close, 'f3': round(change / row.preclose * 100, 2), 'f4': round(change, 2),
                'f5': int(row.volume / 100), 'f6': row.amount, 'f7': round((row.high - row.low) / row.preclose * 100, 2),
                'f8': round(row.volume / row.float_shares * 100, 2), 'f15': row.high, 'f16': row.low, 'f17': row.open}
        if row.paused:
            told = dict.fromkeys(told, '-')
        told |= {'f12': self.digits(stock), 'f13': int(stock.code.endswith('XSHG')), 'f14': self.name(stock), 'f18': row.preclose,
                 'f20': row.market_cap, 'f21': row.float_shares * row.close}
        names = [*range(2, 19), 20, 21, 22, 23, 24, 25, 62, 115, 128, 140, 141, 136, 152]  # their order counts
        return {f'f{name}': told.get(f'f{name}', '-') for name in names}

    def _report(self, params):
        asked = re.search(r'''=["']([^"']+)["']''', params['filter'])[1]
        rows = {'RPT_VALUEANALYSIS_DET': self._values, 'RPT_F10_EH_EQUITY': self._equity,
                'RPT_SHAREBONUS_DET': self._bonuses}[params['reportName']](asked)
        size, page = int(params['pageSize']), int(params['pageNumber'])
        some = rows[(page - 1) * size:page * size]
        if not some:
            return NOTHING
        return {'version': 'a', 'result': {'pages': -(-len(rows) // size), 'data': some, 'count': len(rows)}, 'success': True,
                'message': 'ok', 'code': 0}

    def _keys(self, stock: Stock) -> dict:
        return {'SECUCODE': self.secucode(stock), 'SECURITY_CODE': self.digits(stock), 'SECURITY_NAME_ABBR': self.name(stock)}

    def _values(self, code):
        if (stock := self._find(code)) is None:
            return []
        return [{**self._keys(stock), 'TRADE_DATE': midnight(row.day), 'CLOSE_PRICE': row.close,
                 'CHANGE_RATE': round((row.close / row.preclose - 1) * 100, 4), 'TOTAL_MARKET_CAP': round(row.market_cap, 2),
                 'NOTLIMITED_MARKETCAP_A': round(row.float_shares * row.close, 2), 'TOTAL_SHARES': int(row.total_shares),
                 'FREE_SHARES_A': int(row.float_shares), 'PE_TTM': 20.5, 'PE_LAR': 21.5, 'PB_MRQ': 2.5, 'PEG_CAR': None,
                 'PCF_OCF_TTM': 12.5, 'PS_TTM': 3.5}
                for row in self._rows(stock)[::-1] if row.day >= VALUES_SINCE]

    def _equity(self, code):
        if (stock := self._find(code)) is None or code != self.secucode(stock):
            return []
        rights = {event.day for event in stock.events if event.rights}
        rows = []
        for day, shares in self.market.share_changes(stock.code):
            loose = int(round(shares * stock.float_part))
            reason = '首发上市' if day == stock.listed else '配股上市' if day in rights else '送、转股'
            if day <= self.today:
                rows.append({**self._keys(stock), 'END_DATE': midnight(day), 'TOTAL_SHARES': int(shares),
                             'LIMITED_A_SHARES': int(shares) - loose, 'LIMITED_OTHARS': int(shares) - loose,
                             'LIMITED_DOMESTIC_NOSTATE': None, 'LIMITED_DOMESTIC_NATURAL': None, 'FREE_SHARES': loose,
                             'LISTED_A_SHARES': loose, 'CHANGE_REASON': reason})
        return rows[::-1]

    def _bonuses(self, report):
        rows = []
        for stock, event in self.payouts():
            planned, told = event.day - timedelta(60), event.day - timedelta(7)
            if report != f'{event.day.year - 1}-12-31' or planned > self.today:
                continue
            done, bonus = told <= self.today, round((event.ratio - 1) * 10, 6)  # all is per 10 shares
            rows.append(placed({
                **self._keys(stock), 'BONUS_IT_RATIO': bonus or None, 'BONUS_RATIO': None, 'IT_RATIO': bonus or None,
                'PRETAX_BONUS_RMB': round(event.cash * 10, 6) or None, 'PLAN_NOTICE_DATE': midnight(planned),
                'EQUITY_RECORD_DATE': midnight(day_before(event.day)) if done else None,
                'EX_DIVIDEND_DATE': midnight(event.day) if done else None, 'REPORT_DATE': f'{report} 00:00:00',
                'ASSIGN_PROGRESS': '实施分配' if done else '董事会决议通过', 'NOTICE_DATE': midnight(told if done else planned),
                'IMPL_PLAN_PROFILE': f'10转{bonus:g}派{event.cash * 10:g}元(含税)', 'BASIC_EPS': 0.5, 'BVPS': 4.5,
                'TOTAL_SHARES': int(self.shares(stock)), 'PUBLISH_DATE': midnight(planned),
            }, BONUS_COLUMNS, 30))
        return sorted(rows, key=lambda row: row['PLAN_NOTICE_DATE'], reverse=True)

    # -- the exchanges

    def _shanghai(self, params):
        gone = params['COMPANY_STATUS'] == '3'
        kinds, rows = params['STOCK_TYPE'].split(','), []
        for stock in self.delisted() if gone else self.listed():
            if stock.code.endswith('XSHG') and ('8' if stock.code.startswith('688') else '1') in kinds:
                rows.append({
                    'A_STOCK_CODE': stock.code[:6], 'B_STOCK_CODE': '-', 'COMPANY_CODE': stock.code[:6],
                    'SEC_NAME_CN': self.name(stock), 'SEC_NAME_FULL': self.name(stock), 'COMPANY_ABBR': self.name(stock),
                    'FULL_NAME': f'{self.name(stock)}有限公司', 'LIST_DATE': f'{stock.listed:%Y%m%d}',
                    'DELIST_DATE': f'{stock.delisted:%Y%m%d}' if gone else '-'})
        return {'result': rows, 'pageHelp': {'total': len(rows), 'pageNo': 1}, 'success': 'true'}

    def _shenzhen(self, params):
        if params['CATALOGID'] == '1793_ssgs':
            gone = [stock for stock in self.delisted() if stock.code.endswith('XSHE')]
            rows = [] if params['TABKEY'] == 'tab1' else [
                (stock.code[:6], self.name(stock), str(stock.listed), str(stock.delisted)) for stock in gone]
            return workbook([('证券代码', '证券简称', '上市日期', '终止上市日期'), *rows])
        rows = []
        for number, stock in enumerate(self.listed()):
            if stock.code.endswith('XSHE') and params['TABKEY'] == 'tab1':
                shares = self.shares(stock)
                rows.append(('创业板' if stock.code.startswith('30') else '主板', f'{self.name(stock)}有限公司', stock.code[:6],
                             self.name(stock), str(stock.listed), f'{shares:,.0f}', f'{round(shares * stock.float_part):,}', None,
                             None, INDUSTRIES[number % 3][0]))
        rows += [('主板', '深有限公司', None, None, None, None, None, f'2000{number:02d}', f'深{number:02d}B', INDUSTRIES[0][0])
                 for number in range(SHENZHEN_LEAST - len(rows))]  # companies of B shares alone
        return workbook([SHENZHEN_COLUMNS, *rows])

    def _beijing(self, params):
        found = [placed({
            'fxssrq': f'{stock.listed:%Y%m%d}', 'xxfxsgb': round(self.shares(stock) * stock.float_part), 'xxhyzl': '汽车制造业',
            'xxjsrq': f'{self.today:%Y%m%d}', 'xxssdq': '北京市', 'xxzbqs': '某证券', 'xxzgb': int(self.shares(stock)),
            'xxzqdm': self.digits(stock), 'xxzqjc': self.name(stock),
        }, BEIJING_COLUMNS, 48) for stock in self.listed() if stock.code.endswith('BJSE')]
        first = int(params['page']) * BEIJING_PAGE
        page = [{'content': found[first:first + BEIJING_PAGE], 'number': int(params['page']), 'size': BEIJING_PAGE,
                 'totalElements': len(found), 'totalPages': -(-len(found) // BEIJING_PAGE)}]
        return f'null({json.dumps(page, ensure_ascii=False)})'.encode()

    # -- the index makers

    def _members(self, index):
        if index not in INDICES:
            return None
        names = {'XSHG': ('上海证券交易所', 'Shanghai Stock Exchange'), 'XSHE': ('深圳证券交易所', 'Shenzhen Stock Exchange'),
                 'BJSE': ('北京证券交易所', 'Beijing Stock Exchange')}
        day = [day for day in self.market.days if day <= self.today][-1]
        return workbook([
            ('日期Date', '指数代码Index Code', '指数名称Index Name', '指数英文名称Index Name(Eng)',
             '成份券代码Constituent Code', '成份券名称Constituent Name', '成份券英文名称Constituent Name(Eng)',
             '交易所Exchange', '交易所英文名称Exchange(Eng)'),
            *((f'{day:%Y%m%d}', index, INDICES[index][0], 'Index', self.digits(stock), self.name(stock), 'Company',
               *names[stock.code[7:]]) for stock in index_members(self.market, index, day))])

    def _industries(self, params):
        stocks = [stock for stock in self.market.stocks.values() if stock.listed <= self.today]
        return workbook([('股票代码', '计入日期', '行业代码', '更新日期'), *(
            (self.digits(stock), str(stock.listed), INDUSTRIES[number % 3][1], str(stock.listed))
            for number, stock in enumerate(stocks))])
