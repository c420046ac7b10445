"""The stand-ins of tushare.pro and of the web pages, asked by the real packages: what comes back is what the market says."""

import time
from datetime import date

import pandas as pd
import pytest

from tests.support.eastmoney_server import EastmoneyServer
from tests.support.little_market import LittleMarket
from tests.support.tushare_server import NO_PERMISSION, TOKEN, WRONG_TOKEN, TushareServer, index_bars, index_members

pytestmark = pytest.mark.filterwarnings('ignore:The inplace keyword', 'ignore:Parsing integer or float values')

FIRST, LAST = date(2023, 12, 20), date(2024, 5, 31)
MARKET = LittleMarket()
TRADED = {key: row for key, row in MARKET.rows.items() if not row.paused}
SUFFIXES = {'XSHG': '.SH', 'XSHE': '.SZ', 'BJSE': '.BJ'}
CODES = {stock.code: (stock.old_code or code)[:6] for code, stock in MARKET.stocks.items()}  # as of 2024


def ts_code(code):
    return CODES[code] + SUFFIXES[code[7:]]


def compact(day):
    return f'{day:%Y%m%d}'


def of(code):
    return [row for row in MARKET.of_stock(code, FIRST, LAST) if not row.paused]


# -- tushare.pro --------------------------------------------------------------------------------------------


@pytest.fixture
def tushare(monkeypatch):
    pytest.importorskip('tushare')
    with TushareServer(MARKET) as server:
        server.patch(monkeypatch)
        yield server


def pro(token=TOKEN):
    import tushare

    return tushare.pro_api(token)


def records(frame):
    return frame.astype(object).where(frame.notna(), None).to_dict('records')


def test_tushare_prices_of_a_stock_and_of_a_day(tushare):
    row = MARKET.row('600111.XSHG', date(2024, 3, 13))
    frame = pro().daily(ts_code='600111.SH', start_date='20240101', end_date='20240430')
    days = [compact(row.day) for row in of('600111.XSHG')]
    assert list(frame['trade_date']) == [day for day in days[::-1] if '20240101' <= day <= '20240430']
    found = frame[frame['trade_date'] == '20240313'].iloc[0]
    assert (found['open'], found['close'], found['pre_close']) == (row.open, row.close, row.preclose)
    assert found['vol'] * 100 == row.volume
    assert found['amount'] * 1000 == pytest.approx(row.amount, abs=0.001)
    frame = pro().daily(trade_date='20240227')
    assert set(frame['ts_code']) == {ts_code(code) for code, day in TRADED if day == date(2024, 2, 27)}
    assert '000113.SZ' not in set(frame['ts_code'])  # suspended
    assert list(pro().query('daily', fields='trade_date,ts_code,no_such', trade_date='20240227')) == ['trade_date', 'ts_code']


def test_tushare_pages(tushare):
    everything = pro().daily()
    assert len(everything) == len(TRADED)
    parts = [pro().daily(offset=offset, limit=500) for offset in range(0, len(TRADED), 500)]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), everything)
    tushare.page_rows = 300
    assert len(pro().daily()) == 300


def test_tushare_caps_limits_and_suspensions(tushare):
    row = MARKET.row('600112.XSHG', date(2024, 4, 10))  # its shares doubled
    found = pro().daily_basic(ts_code='600112.SH', trade_date='20240410').iloc[0]
    assert found['total_share'] * 1e4 == row.total_shares == 2.4e8
    assert found['float_share'] * 1e4 == row.float_shares
    assert found['total_mv'] * 1e4 == pytest.approx(row.market_cap)
    assert found['circ_mv'] * 1e4 == pytest.approx(row.float_shares * row.close)
    limits = pro().stk_limit(trade_date='20240304').set_index('ts_code')
    for code, rate in (('600111.XSHG', 0.1), ('000114.XSHE', 0.05), ('300115.XSHE', 0.2), ('920122.BJSE', 0.3)):
        preclose = MARKET.row(code, date(2024, 3, 4)).preclose
        assert limits['up_limit'][ts_code(code)] == pytest.approx(preclose * (1 + rate), abs=0.0101)
        assert limits['down_limit'][ts_code(code)] == pytest.approx(preclose * (1 - rate), abs=0.0101)
    assert len(limits) == len(MARKET.of_day(date(2024, 3, 4)))  # suspended stocks too
    assert list(pro().stk_limit(ts_code='600117.SH')['up_limit'] == 0)[-6:] == [False] + [True] * 5  # newly listed
    assert list(pro().stk_limit(ts_code='600116.SH', trade_date='20240301')['up_limit']) == [0]  # the delisting period begins
    halted = pro().suspend_d(start_date='20231201', end_date='20240531')
    assert records(halted) == [
        {'ts_code': '000113.SZ', 'trade_date': compact(day), 'suspend_timing': None, 'suspend_type': 'S'}
        for day in reversed(MARKET.days) if MARKET.row('000113.XSHE', day).paused]
    assert len(halted) == 8


def test_tushare_calendar(tushare):
    frame = pro().trade_cal(exchange='SSE', start_date='20231220', end_date='20240531', is_open='1')
    assert list(frame['cal_date']) == [compact(day) for day in MARKET.days[::-1]]
    frame = pro().trade_cal(start_date='20240208', end_date='20240219')
    assert list(frame['is_open']) == [1] + [0] * 10 + [1]
    assert list(frame['pretrade_date'])[0] == '20240208'
    assert list(pro().trade_cal(start_date='20240601', end_date='20240604', is_open=1)['cal_date']) == ['20240604', '20240603']


def test_tushare_lists(tushare):
    fields = 'ts_code,name,list_date,delist_date,list_status'
    listed = pro().stock_basic(list_status='L', fields=fields)
    assert set(listed['ts_code']) == {ts_code(code) for code in CODES} - {'600116.SH'}
    assert '835122.BJ' in set(listed['ts_code'])
    assert records(pro().query('stock_basic', fields=fields, list_status='D')) == [
        {'ts_code': '600116.SH', 'name': '退市己(退)', 'list_date': '20100104', 'delist_date': '20240326', 'list_status': 'D'}]
    assert len(pro().stock_basic(list_status='L,D,P')) == len(MARKET.stocks)
    assert len(pro().stock_basic(list_status='P')) == 0
    assert 'delist_date' not in pro().stock_basic()
    tushare.today = date(2025, 10, 9)
    assert '920122.BJ' in set(pro().stock_basic()['ts_code'])
    assert len(pro().daily(ts_code='920122.BJ')) == len(of('920122.BJSE'))
    assert not len(pro().daily(ts_code='835122.BJ'))
    tushare.today = date(2024, 2, 1)
    assert {'600116.SH', '600117.SH'} & set(pro().stock_basic()['ts_code']) == {'600116.SH'}
    assert pro().daily()['trade_date'].max() == '20240201'


def test_tushare_names_and_st(tushare):
    frame = pro().namechange()
    names = sorted((ts_code(code), name, compact(since)) for code, stock in MARKET.stocks.items() for since, name in stock.names)
    found = frame[['ts_code', 'name', 'start_date']]
    assert sorted(found.drop_duplicates().itertuples(index=False, name=None)) == names
    twice = frame[found.duplicated(keep=False)]
    assert sorted(twice['end_date'].isna()) == [False, True]
    assert set(twice['name']) == {'*ST己'}
    tushare.points = 3000
    for day in (date(2024, 2, 28), date(2024, 3, 4)):
        frame = pro().stock_st(trade_date=compact(day))
        assert set(frame['ts_code']) == {ts_code(row.code) for row in MARKET.of_day(day) if row.is_st}


def test_tushare_dividends(tushare):
    frame = pro().dividend(ex_date='20240410')
    (found,) = records(frame)
    assert (found['ts_code'], found['cash_div_tax'], found['stk_div'], found['div_proc']) == ('600112.SH', 0.1, 1.0, '实施')
    assert (found['record_date'], found['end_date']) == ('20240409', '20231231')
    assert found['stk_bo_rate'] + found['stk_co_rate'] == found['stk_div']
    frame = pro().dividend(ts_code='600111.SH')
    assert list(frame['div_proc']) == ['实施', '实施', '预案']
    assert frame.duplicated().sum() == 1
    assert list(frame['cash_div_tax']) == [0.5] * 3
    assert records(frame)[2]['ex_date'] is None
    assert not len(pro().dividend(ts_code='300115.SZ'))  # a rights issue
    with pytest.raises(Exception, match='至少'):
        pro().dividend()


@pytest.mark.parametrize(('symbol', 'index'), [('000300.SH', '000300'), ('399300.SZ', '000300'), ('000852.SH', '000852')])
def test_tushare_indices(tushare, symbol, index):
    frame = pro().index_daily(ts_code=symbol, start_date='20240101', end_date='20240531')
    bars = [bar for bar in index_bars(MARKET, index) if bar['day'].year == 2024]
    assert list(frame['trade_date']) == [compact(bar['day']) for bar in bars[::-1]]
    assert list(frame['close']) == [bar['close'] for bar in bars[::-1]]
    frame = pro().index_weight(index_code=symbol, start_date='20240101', end_date='20240531')
    if symbol == '000300.SH':
        assert not len(frame)
        return
    assert set(frame['trade_date']) == {'20240531'}  # a month at most
    assert set(frame['con_code']) == {ts_code(stock.code) for stock in index_members(MARKET, index, LAST)}
    assert set(pro().index_weight(index_code=symbol, start_date='20240101', end_date='20240131')['trade_date']) == {'20240131'}


def test_tushare_industries_and_codes_of_beijing(tushare):
    now, before = pro().index_member_all(is_new='Y'), pro().index_member_all(is_new='N')
    assert sorted(now['ts_code']) == sorted(ts_code(code) for code in MARKET.stocks)
    assert list(before['out_date']) == ['20210729']
    assert records(pro().bse_mapping()) == [
        {'name': '丑股份', 'o_code': '835122.BJ', 'n_code': '920122.BJ', 'list_date': '20220104'}]


def test_tushare_points(tushare):
    assert records(pro().user(token=TOKEN)) == [{'user_id': 123456, 'exp_date': '2030-12-31', 'points': 2000}]
    with pytest.raises(Exception) as error:
        pro().stock_st(trade_date='20240304')
    assert str(error.value) == NO_PERMISSION.format('stock_st')
    tushare.points = 120
    assert len(pro().daily(trade_date='20240304'))
    with pytest.raises(Exception, match='daily_basic'):
        pro().daily_basic(trade_date='20240304')
    with pytest.raises(Exception, match=WRONG_TOKEN):
        pro('another').daily(trade_date='20240304')
    with pytest.raises(Exception, match='接口名'):
        pro().no_such_call()


def test_tushare_switches(tushare):
    tushare.errors['daily'] = ['抱歉，您每分钟最多访问该接口200次']
    tushare.empty['daily'] = 1
    tushare.status['daily'] = [502]
    asked = {'trade_date': '20240304'}
    frame = pro().daily(**asked)
    assert len(frame.columns) == 0  # what the client makes of an HTTP error
    with pytest.raises(Exception, match='每分钟'):
        pro().daily(**asked)
    frame = pro().daily(**asked)
    assert not len(frame)
    assert 'close' in frame
    assert len(pro().daily(**asked, fields='ts_code')) == 11  # one is suspended
    assert tushare.calls == [('daily', asked, '')] * 3 + [('daily', asked, 'ts_code')]


# -- the web pages ------------------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch):
    pytest.importorskip('akshare')
    with EastmoneyServer(MARKET) as server:
        server.patch(monkeypatch)
        yield server


@pytest.fixture
def ak(server):
    import akshare

    return akshare


@pytest.mark.parametrize('code', MARKET.stocks)
def test_akshare_prices(ak, server, code):
    frame = ak.stock_zh_a_hist(symbol=CODES[code], start_date='20240101', end_date='20240531', adjust='', timeout=7)
    rows = [row for row in of(code) if row.day.year == 2024]
    assert list(frame['日期']) == [row.day for row in rows]
    for column, name in (('开盘', 'open'), ('收盘', 'close'), ('最高', 'high'), ('最低', 'low'), ('成交额', 'amount')):
        assert list(frame[column]) == [getattr(row, name) for row in rows]
    assert list(frame['成交量'] * 100) == [row.volume for row in rows]
    assert set(frame['股票代码']) == {CODES[code]}
    assert server.timeouts == [('/api/qt/stock/kline/get', 7)]
    assert server.calls[0][:2] == ('push2his.eastmoney.com', '/api/qt/stock/kline/get')
    assert not len(ak.stock_zh_a_hist(symbol=CODES[code], start_date='20230101', end_date='20230110'))


def test_akshare_values(ak):
    for code in MARKET.stocks:
        frame, rows = ak.stock_value_em(symbol=CODES[code]), of(code)
        assert list(frame['数据日期']) == [row.day for row in rows]
        assert list(frame['总股本']) == [row.total_shares for row in rows]
        assert list(frame['流通股本']) == [row.float_shares for row in rows]
        assert list(frame['总市值']) == pytest.approx([row.market_cap for row in rows])
    with pytest.raises(TypeError):
        ak.stock_value_em(symbol='600999')


def test_akshare_values_since_2018(monkeypatch):
    ak = pytest.importorskip('akshare')
    with EastmoneyServer(LittleMarket(first=date(2017, 12, 28), last=date(2018, 1, 5))) as server:
        server.patch(monkeypatch)
        assert ak.stock_zh_a_hist(symbol='600111')['日期'].iloc[0] == date(2017, 12, 28)
        assert ak.stock_value_em(symbol='600111')['数据日期'].iloc[0] == date(2018, 1, 2)


def test_akshare_shares(ak):
    for code in MARKET.stocks:
        frame = ak.stock_zh_a_gbjg_em(symbol=ts_code(code))
        assert list(zip(frame['变更日期'], frame['总股本'], strict=True)) == MARKET.share_changes(code)[::-1]
    assert not len(ak.stock_zh_a_gbjg_em(symbol='600999.SH'))


def test_akshare_dividends(ak):
    frame = ak.stock_fhps_em(date='20231231').set_index('代码')
    assert set(frame.index) == {'600111', '600112'}
    assert frame['现金分红-现金分红比例'].to_dict() == {'600111': 5.0, '600112': 1.0}
    assert frame['送转股份-送转总比例']['600112'] == 10.0
    assert frame['除权除息日'].to_dict() == {'600111': date(2024, 3, 13), '600112': date(2024, 4, 10)}
    assert frame['股权登记日']['600112'] == date(2024, 4, 9)
    assert set(frame['方案进度']) == {'实施分配'}
    with pytest.raises(TypeError):
        ak.stock_fhps_em(date='20221231')


def test_akshare_st(ak, server):
    frame = ak.stock_zh_a_st_em()
    assert list(frame['代码']) == ['000114']
    assert list(frame['最新价']) == [MARKET.row('000114.XSHE', LAST).close]
    assert list(frame['昨收']) == [MARKET.row('000114.XSHE', LAST).preclose]
    server.today = date(2024, 2, 1)
    assert list(ak.stock_zh_a_st_em()['代码']) == ['600116']


@pytest.mark.parametrize('index', ['000300', '000852', '000905'])
def test_akshare_indices(ak, index):
    frame = ak.index_zh_a_hist(symbol=index, period='daily', start_date='20240101', end_date='20240531')
    bars = [bar for bar in index_bars(MARKET, index) if bar['day'].year == 2024]
    assert list(frame['日期']) == [str(bar['day']) for bar in bars]
    for column, name in (('开盘', 'open'), ('收盘', 'close'), ('最高', 'high'), ('最低', 'low')):
        assert list(frame[column]) == [bar[name] for bar in bars]
    pytest.importorskip('openpyxl')
    frame = ak.index_stock_cons_csindex(symbol=index)
    assert list(frame['成分券代码']) == [CODES[stock.code] for stock in index_members(MARKET, index, LAST)]
    assert set(frame['日期']) == {LAST}


def test_akshare_exchange_lists(ak, server):
    main, star = ak.stock_info_sh_name_code(symbol='主板A股'), ak.stock_info_sh_name_code(symbol='科创板')
    assert list(main['证券代码']) == ['600111', '600112', '600117', '600121']
    assert list(star['证券代码']) == ['688120']
    assert list(main['上市日期'])[2] == date(2024, 2, 20)
    gone = ak.stock_info_sh_delist(symbol='全部')
    assert gone.to_dict('records') == [
        {'公司代码': '600116', '公司简称': '退市己', '上市日期': date(2010, 1, 4), '暂停上市日期': date(2024, 3, 26)}]
    beijing = ak.stock_info_bj_name_code()
    assert beijing[['证券代码', '证券简称', '总股本', '上市日期']].to_numpy().tolist() == [
        ['835122', '丑股份', 100_000_000, date(2022, 1, 4)]]
    server.today = date(2025, 10, 9)
    assert list(ak.stock_info_bj_name_code()['证券代码']) == ['835122']  # the package remembers its answer
    server.forget()
    assert list(ak.stock_info_bj_name_code()['证券代码']) == ['920122']


def test_akshare_workbooks(ak):
    pytest.importorskip('openpyxl')
    frame = ak.stock_info_sz_name_code(symbol='A股列表')
    found = frame[frame['A股代码'].fillna('') != '']  # a company may have B shares alone
    assert list(found['A股代码']) == ['000113', '000114', '300115', '000118', '301119']
    assert list(found['A股简称']) == ['丙股份', '*ST丁', '戊股份', '辛股份', '壬股份']
    assert len(ak.stock_info_sz_delist(symbol='终止上市公司').columns) == 0  # none yet
    frame = ak.stock_industry_clf_hist_sw()
    assert list(frame['symbol']) == list(CODES.values())
    assert set(frame['industry_code']) == {'280101', '480301', '270104'}


def test_akshare_empty_answers(ak, server):
    server.empty |= {'kline', 'RPT_VALUEANALYSIS_DET', 'RPT_F10_EH_EQUITY', 'RPT_SHAREBONUS_DET', 'clist', 'sse.com.cn'}
    assert not len(ak.stock_zh_a_hist(symbol='600111'))
    assert not len(ak.stock_zh_a_gbjg_em(symbol='600111.SH'))
    for call in (ak.stock_value_em, ak.stock_fhps_em, ak.stock_zh_a_st_em, ak.index_zh_a_hist):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(KeyError):
        ak.stock_info_sh_name_code()
    server.empty.clear()
    assert len(ak.stock_value_em(symbol='600111'))


def test_akshare_http_errors(ak, server):
    import requests
    from akshare.exceptions import APIError, RateLimitError

    server.status.update({'RPT_VALUEANALYSIS_DET': 429, 'clist': 502, 'kline': [502]})
    with pytest.raises(RateLimitError):
        ak.stock_value_em(symbol='600111')
    with pytest.raises(requests.HTTPError, match='502'):
        ak.stock_zh_a_st_em()
    with pytest.raises(ValueError):  # of an error's page it reads the JSON
        ak.stock_zh_a_hist(symbol='600111')
    assert len(ak.stock_zh_a_hist(symbol='600111'))
    server.status['RPT_VALUEANALYSIS_DET'] = 502
    with pytest.raises(APIError):
        ak.stock_value_em(symbol='600111')
    assert len(server.calls) == 3 + 3 + 2 + 3
    assert len(server.waits) == 6


def test_akshare_without_an_answer(ak, server):
    import requests

    server.drop.add('secid=1.600111')
    server.hang.add('secid=0.000113')
    with pytest.raises(requests.ConnectionError):
        ak.stock_zh_a_hist(symbol='600111')
    started = time.monotonic()
    with pytest.raises(requests.Timeout):
        ak.stock_zh_a_hist(symbol='000113', timeout=0.2)
    assert time.monotonic() - started < 10
    assert len(ak.stock_zh_a_hist(symbol='600112'))


def test_akshare_calls_without_a_timeout(ak, server):
    ak.stock_value_em(symbol='600111')
    ak.stock_zh_a_gbjg_em(symbol='600111.SH')
    ak.stock_zh_a_st_em()
    ak.stock_fhps_em()
    ak.stock_info_sh_delist()
    assert [timeout for _, timeout in server.timeouts] == [None, 30, 15, None, None, None]
