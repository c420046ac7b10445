"""The stand-ins that speak over a socket, asked by the real client packages: they tell what the market says."""

import importlib
import threading
from datetime import date

import pytest

from tests.support.little_market import LittleMarket
from tests.support.socket_services import BAR_FIELDS, BaostockServer, TdxServer, pack_volume

MARKET = LittleMarket()
WHOLE = ('2023-12-01', '2024-05-31')
NETWORK_ERROR = '10002007'


@pytest.fixture
def baostock(monkeypatch):
    with BaostockServer(MARKET, page=20) as server:
        server.patch(monkeypatch)
        yield server


@pytest.fixture
def bs(baostock):
    """The package, logged in."""
    package = importlib.import_module('baostock')
    assert package.login().error_code == '0'
    yield package
    context = importlib.import_module('baostock.common.context')
    if getattr(context, 'default_socket', None) is not None:
        context.default_socket.close()


@pytest.fixture
def tdx(monkeypatch, tmp_path):
    with TdxServer(MARKET) as server:
        server.patch(monkeypatch, tmp_path)
        yield server


@pytest.fixture
def quotes(tdx):
    """Make a client of mootdx."""
    factory = importlib.import_module('mootdx.quotes').Quotes.factory
    return lambda **options: factory(market='std', server=(tdx.host, tdx.port), **options)


def walk(result):
    """Return all rows by field, as they come page by page."""
    assert (result.error_code, result.error_msg) == ('0', 'success')
    rows = []
    while result.error_code == '0' and result.next():
        rows.append(dict(zip(result.fields, result.get_row_data(), strict=True)))
    assert result.error_code == '0'
    return rows


def column(rows, name):
    return [row[name] for row in rows]


def connection():
    return importlib.import_module('baostock.common.context').default_socket


def let_spin(call):
    """Return whether a call went on for a while, and what it returned when its socket was closed in its hands."""
    results = []
    thread = threading.Thread(target=lambda: results.append(call()), daemon=True)
    thread.start()
    thread.join(0.3)
    spun = thread.is_alive()
    for _ in range(100):
        connection().close()
        thread.join(0.1)
        if results:
            break
    return spun, results[0].error_code


def test_bars_over_pages(baostock, bs):
    rows = walk(bs.query_history_k_data_plus('sh.600111', BAR_FIELDS, *WHOLE))
    told = MARKET.of_stock('600111.XSHG', date(2023, 12, 1), date(2024, 5, 31))
    assert len(rows) > 80
    for row, bar in zip(rows, told, strict=True):
        assert (row['date'], row['code'], row['adjustflag']) == (str(bar.day), 'sh.600111', '3')
        assert [float(row[name]) for name in ('open', 'high', 'low', 'close', 'preclose', 'volume', 'amount')] == [
            bar.open, bar.high, bar.low, bar.close, bar.preclose, bar.volume, bar.amount]
        assert float(row['turn']) == pytest.approx(bar.volume / bar.float_shares * 100, abs=1e-6)
        assert float(row['pctChg']) == pytest.approx((bar.close / bar.preclose - 1) * 100, abs=1e-6)
        assert (row['tradestatus'], row['isST']) == ('1', '0')
    asked = [arguments for name, arguments in baostock.calls if name == 'query_history_k_data_plus']
    assert column(asked, 0) == [str(page) for page in range(1, len(rows) // 20 + 2)]
    assert asked[0][1:] == ['20', 'sh.600111', BAR_FIELDS, *WHOLE, 'd', '3']
    assert rows[0]['open'] == f'{told[0].open:.4f}'


def test_exactly_two_pages(baostock, bs):
    days = MARKET.days[:40]
    rows = walk(bs.query_history_k_data_plus('sz.000118', 'date', str(days[0]), str(days[-1])))
    assert column(rows, 'date') == [str(day) for day in days]
    assert [arguments[0] for name, arguments in baostock.calls[1:]] == ['1', '2', '3']  # the third is empty


def test_a_suspended_day_and_an_ex_date(bs):
    rows = {row['date']: row for row in walk(bs.query_history_k_data_plus('sz.000113', BAR_FIELDS, *WHOLE))}
    before, paused = rows['2024-02-23'], rows['2024-02-26']
    assert {paused[name] for name in ('open', 'high', 'low', 'close', 'preclose')} == {before['close']}
    assert [paused[name] for name in ('volume', 'amount', 'turn', 'tradestatus', 'pctChg')] == ['', '', '', '0', '0.000000']
    rows = {row['date']: row for row in walk(bs.query_history_k_data_plus('sh.600111', 'date,close,preclose', *WHOLE))}
    assert float(rows['2024-03-13']['preclose']) == round(float(rows['2024-03-12']['close']) - 0.5, 2)


def test_bars_of_st_indices_and_what_there_is_not(baostock, bs):
    rows = walk(bs.query_history_k_data_plus('sz.000114', 'date,isST', '2024-03-01', '2024-03-04'))
    assert [(row['date'], row['isST']) for row in rows] == [('2024-03-01', '0'), ('2024-03-04', '1')]
    rows = walk(bs.query_history_k_data_plus('sh.000300', 'date,close,turn,tradestatus', *WHOLE))
    assert column(rows, 'date') == [str(day) for day in MARKET.days]
    assert {(row['turn'], row['tradestatus']) for row in rows} == {('', '1')}
    assert walk(bs.query_history_k_data_plus('sh.000300', 'close', *WHOLE))[0]['close'] == rows[0]['close']
    assert walk(bs.query_history_k_data_plus('sh.600999', 'date', *WHOLE)) == []
    assert bs.query_history_k_data_plus('sh.600111', 'date,unheard', *WHOLE).error_code == '10004012'
    assert bs.query_history_k_data_plus('sh.600111', 'date', *WHOLE, adjustflag='2').error_code == '10004006'


def test_the_service_begins_late_and_does_not_know_the_future(baostock, bs):
    baostock.start_of_life, baostock.today = date(2024, 1, 3), date(2024, 1, 4)
    assert column(walk(bs.query_history_k_data_plus('sh.600111', 'date', *WHOLE)), 'date') == ['2024-01-03', '2024-01-04']
    assert [len(walk(bs.query_daily_history_k_AStock(f'2024-01-0{day}'))) for day in (2, 3, 4, 5)] == [0, 10, 10, 0]
    assert not {'sh.600117'} & {*column(walk(bs.query_stock_basic()), 'code')}


def test_all_stocks_of_a_day(baostock, bs):
    rows = walk(bs.query_daily_history_k_AStock('2024-03-01'))
    assert ','.join(rows[0]) == BAR_FIELDS
    told = {row.code: row for row in MARKET.of_day(date(2024, 3, 1)) if not row.code.endswith('BJSE')}
    assert len(rows) == len(told) == 11
    for row in rows:
        bar = told[row['code'][3:] + ('.XSHG' if row['code'].startswith('sh') else '.XSHE')]
        assert (float(row['close']), row['tradestatus']) == (bar.close, str(int(not bar.paused)))
    assert walk(bs.query_daily_history_k_AStock('2024-03-02')) == []  # a Saturday
    one = walk(bs.query_history_k_data_plus('sh.600112', BAR_FIELDS, '2024-03-01', '2024-03-01'))
    assert one[0] in rows
    assert baostock.calls[1] == ('query_daily_history_k_AStock', ['2024-03-01'])


def test_as_many_stocks_as_a_page_has_rows_confuse_the_package(baostock, bs, monkeypatch):
    """It asks for the next page where there are none, and puts the page in the place of the day."""
    monkeypatch.setattr('baostock.common.contants.BAOSTOCK_PER_PAGE_COUNT', 11)
    result = bs.query_daily_history_k_AStock('2024-03-01')
    while result.next():
        result.get_row_data()
    assert (result.error_code, baostock.calls[-1]) == ('10004010', ('query_daily_history_k_AStock', ['2']))


def test_the_list_of_stocks(baostock, bs):
    rows = {row['code']: [*row.values()][1:] for row in walk(bs.query_stock_basic())}
    assert len(rows) == 12
    assert rows['sh.000300'] == ['沪深300', '2005-04-08', '', '2', '1']
    assert rows['sz.000114'] == ['*ST丁', '2010-01-04', '', '1', '1']
    assert rows['sh.600116'] == ['退市己', '2010-01-04', '2024-03-26', '1', '0']
    assert rows['sh.600117'] == ['庚股份', '2024-02-20', '', '1', '1']
    assert column(walk(bs.query_stock_basic(code='sz.000118')), 'code') == ['sz.000118']
    assert column(walk(bs.query_stock_basic(code_name='退市')), 'code') == ['sh.600116']
    baostock.today = date(2024, 3, 1)
    rows = {row['code']: [*row.values()][1:] for row in walk(bs.query_stock_basic())}
    assert rows['sh.600116'] == ['退市己', '2010-01-04', '', '1', '1']
    assert rows['sz.000114'][0] == '丁股份'


def test_dividends(baostock, bs):
    row, = walk(bs.query_dividend_data('sh.600111', year='2024', yearType='operate'))
    assert len(row) == 14
    assert (row['dividRegistDate'], row['dividOperateDate'], row['dividPayDate']) == ('2024-03-12', '2024-03-13', '2024-03-13')
    assert (row['dividCashPsBeforeTax'], row['dividCashPsAfterTax']) == ('0.5', '0.45或0.5')
    assert (row['dividStocksPs'], row['dividReserveToStockPs']) == ('0.000000', '')
    row, = walk(bs.query_dividend_data('sh.600112', year='2024', yearType='operate'))
    assert (row['dividOperateDate'], row['dividCashPsBeforeTax']) == ('2024-04-10', '0.1')
    assert row['dividReserveToStockPs'] == '1.000000'
    assert row['dividCashStock'].startswith('10转10派1元')
    assert walk(bs.query_dividend_data('sz.300115', year='2024', yearType='operate')) == []  # a rights issue
    assert walk(bs.query_dividend_data('sh.600111', year='2023', yearType='operate')) == []
    assert len(walk(bs.query_dividend_data('sh.600111', year='2024', yearType='report'))) == 1
    baostock.today = date(2024, 3, 1)
    assert walk(bs.query_dividend_data('sh.600111', year='2024', yearType='operate')) == []  # not announced


def test_profit_tells_the_shares(baostock, bs):
    def told(code, year, quarter):
        rows = walk(bs.query_profit_data(code, year, quarter))
        return [(row['pubDate'], row['statDate'], float(row['totalShare']), float(row['liqaShare'])) for row in rows]

    assert told('sh.600112', 2023, 4) == [('2024-04-20', '2023-12-31', 1.2e8, 2.4e7)]
    assert told('sh.600112', 2024, 1) == [('2024-04-28', '2024-03-31', 1.2e8, 2.4e7)]
    assert told('sh.600112', 2024, 2) == []  # not yet published
    assert told('sh.600117', 2023, 4) == []  # not yet listed
    assert told('sh.600116', 2023, 4) == []  # no longer listed
    assert told('sh.600116', 2023, 3) == [('2023-10-28', '2023-09-30', 1e8, 5e7)]
    assert told('sz.300115', 2024, 1)[0][2] == 2.64e8  # the rights issue, too
    baostock.today = date(2024, 8, 28)
    assert told('sh.600112', 2024, 2) == [('2024-08-28', '2024-06-30', 2.4e8, 4.8e7)]


def test_industries_constituents_and_days(baostock, bs):
    rows = walk(bs.query_stock_industry(date='2024-01-05'))
    assert len(rows) == 10
    assert list(rows[0].values()) == ['2024-01-01', 'sh.600111', '甲股份', 'C26化学原料和化学制品制造业', '证监会行业分类']
    assert column(walk(bs.query_stock_industry(code='sh.600117')), 'code') == ['sh.600117']
    baostock.constituents['query_hs300_stocks'] = ['600111.XSHG', '600116.XSHG']
    assert column(walk(bs.query_hs300_stocks('2024-01-05')), 'code') == ['sh.600111', 'sh.600116']
    assert [list(row.values()) for row in walk(bs.query_hs300_stocks())] == [['2024-05-27', 'sh.600111', '甲股份']]
    assert column(walk(bs.query_sz50_stocks()), 'code') == ['sh.600111', 'sh.600112']
    assert walk(bs.query_zz500_stocks())[0]['code'] == 'sh.600112'
    rows = walk(bs.query_trade_dates('2024-01-01', '2024-03-01'))
    assert len(rows) == 61
    assert {row['calendar_date'] for row in rows if row['is_trading_day'] == '1'} == {
        str(day) for day in MARKET.days if date(2024, 1, 1) <= day <= date(2024, 3, 1)}


def test_other_answers_and_errors(baostock, bs):
    asked = []
    baostock.answers['query_hs300_stocks'] = lambda arguments: asked.append(arguments) or [['2024-05-27', 'sh.600000', 'a name']]
    assert walk(bs.query_hs300_stocks())[0]['code_name'] == 'aname'  # the package takes all blanks out
    assert asked == [['1', '20', '']]
    baostock.answers['query_hs300_stocks'] = lambda arguments: ('10001011', '黑名单用户')
    result = bs.query_hs300_stocks()
    assert (result.error_code, result.error_msg) == ('10001011', '黑名单用户')
    baostock.errors += [('10005001', '系统级别错误'), None, ('10001001', '用户未登录')]
    assert [bs.query_sz50_stocks().error_code for _ in range(4)] == ['10005001', '0', '10001001', '0']
    assert bs.query_all_stock('2024-03-01').error_code == '10004020'  # it does not know
    assert bs.logout().error_code == '0'
    assert baostock.calls[0] == ('login', ['anonymous', '123456', '0'])
    assert (baostock.call_names()[-1], baostock.connections) == ('logout', 1)


def test_who_is_not_logged_in(baostock, capsys):
    package = importlib.import_module('baostock')
    assert package.query_stock_basic().error_code == '10001001'
    assert (baostock.calls, capsys.readouterr().out) == ([], "you don't login.\n")
    baostock.answers['login'] = lambda arguments: ('10001005', '账号登陆数达到上限')
    assert package.login().error_code == '10001005'
    assert package.query_stock_basic().error_code == '10001001'  # this time the server says so
    connection().close()


def test_a_lost_connection_makes_the_package_spin(baostock, bs):
    baostock.close_after(2)
    assert bs.query_sz50_stocks().error_code == '0'
    assert let_spin(bs.query_stock_basic) == (True, NETWORK_ERROR)
    assert bs.query_stock_basic().error_code == NETWORK_ERROR  # until one logs in anew
    assert bs.login().error_code == '0'
    assert (len(walk(bs.query_stock_basic())), baostock.connections) == (12, 2)
    baostock.drop()
    assert let_spin(bs.query_stock_basic)[1] == NETWORK_ERROR
    baostock.close_at_login = True
    assert let_spin(bs.login) == (True, NETWORK_ERROR)


def test_a_server_that_does_not_answer(baostock, bs, capsys):
    baostock.hang = True
    connection().settimeout(0.2)  # the package has none
    assert bs.query_stock_basic().error_code == NETWORK_ERROR
    assert 'timed out' in capsys.readouterr().out
    assert baostock.call_names() == ['login', 'query_stock_basic']
    baostock.stop()
    assert bs.login().error_code == NETWORK_ERROR  # printed, not raised


def test_mistakes_in_an_answer_are_not_lost(monkeypatch):
    with pytest.raises(ZeroDivisionError), BaostockServer(MARKET) as server:
        server.patch(monkeypatch)
        package = importlib.import_module('baostock')
        package.login()
        server.answers['query_hs300_stocks'] = lambda arguments: 1 / 0
        assert package.query_hs300_stocks().error_code == '10005001'
        package.logout()


def test_xdxr_of_events_and_shares(tdx, quotes):
    client = quotes(timeout=2)
    table = client.xdxr(symbol='600111')
    assert list(table['category']) == [5, 1]
    assert list(table[['year', 'month', 'day']].iloc[1]) == [2024, 3, 13]
    assert (table['fenhong'][1], table['songzhuangu'][1], table['peigu'][1]) == (5.0, 0.0, 0.0)
    assert list(table[['panqianliutong', 'panhouliutong', 'qianzongguben', 'houzongguben']].iloc[0]) == [0, 12500, 0, 25000]
    table = client.xdxr(symbol='600112')
    assert list(table['category']) == [5, 1, 5]
    assert (table['fenhong'][1], table['songzhuangu'][1]) == (1.0, 10.0)
    assert list(table[['panqianliutong', 'panhouliutong', 'qianzongguben', 'houzongguben']].iloc[2]) == [2400, 4800, 12000, 24000]
    table = client.xdxr(symbol='300115')
    assert (table['peigu'][1], table['houzongguben'][2]) == (1.0, 26400.0)
    assert client.xdxr(symbol='600999').empty
    assert tdx.calls == [('setup', [1]), ('setup', [2]), ('setup', [3]), ('xdxr', [1, '600111']), ('xdxr', [1, '600112']),
                         ('xdxr', [0, '300115']), ('xdxr', [1, '600999'])]


def test_xdxr_knows_its_day_and_no_new_codes_of_beijing(tdx, quotes):
    client = quotes(timeout=2)
    tdx.today = date(2024, 3, 12)
    assert list(client.xdxr(symbol='600111')['category']) == [5]
    assert client.xdxr(symbol='920122').empty
    assert tdx.calls[-1] == ('xdxr', [1, '920122'])  # of Shanghai, thinks mootdx
    assert client.client.get_xdxr_info(2, '920122')[0]['houzongguben'] == 10000


def test_mootdx_calls_everything_that_goes_wrong_an_empty_table(tdx, quotes, tmp_path):
    client = quotes(timeout=2)
    tdx.close_after(1)
    assert len(client.xdxr(symbol='600111')) == 2  # connected anew
    assert tdx.connections == 2
    client = quotes(timeout=0.2, auto_retry=False)
    tdx.close_after(1)
    assert client.xdxr(symbol='600111').empty
    assert client.xdxr(symbol='600111').empty
    silent, loud = quotes(timeout=0.2, auto_retry=False), quotes(timeout=0.2, auto_retry=False, raise_exception=True)
    tdx.hang = True
    assert silent.xdxr(symbol='600111').empty
    with pytest.raises(importlib.import_module('tdxpy.exceptions').TdxFunctionCallError):
        loud.xdxr(symbol='600111')
    with pytest.raises(TimeoutError):
        quotes(timeout=0.2)
    tdx.stop()
    assert quotes(auto_retry=False).xdxr(symbol='600111').empty
    assert [path.name for path in tmp_path.rglob('*')] == ['.mootdx', 'config.json']


@pytest.mark.parametrize('number', [128.0, 1234.5, 2400.0, 25000.0, 26400.0, 1.2345678e6, 3.5e7])
def test_packed_numbers(number):
    helper = pytest.importorskip('tdxpy.helper')
    assert helper.get_volume(pack_volume(number)) == pytest.approx(number, rel=1e-7)
