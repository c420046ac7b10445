"""The stand-in of JoinQuant's server, asked by the real package: what it answers is what the market says."""

import threading
import time
from datetime import date

import numpy as np
import pandas as pd
import pytest

from tests.support.jqdata_server import DROP, PASSWORD, PRICE_FIELDS, QUOTA, TABLES, USER, JqdataServer
from tests.support.little_market import LAST

jqdatasdk = pytest.importorskip('jqdatasdk')

SUSPENDED, DELISTED, NEW, SPECIAL, SPLIT, DIVIDEND = (
    '000113.XSHE', '600116.XSHG', '600117.XSHG', '000114.XSHE', '600112.XSHG', '600111.XSHG')


@pytest.fixture
def server(monkeypatch):
    with JqdataServer() as server:
        server.patch(monkeypatch)
        yield server


def get_price(codes, first, last, fields=PRICE_FIELDS, **other):
    return jqdatasdk.get_price(codes, start_date=str(first), end_date=str(last), frequency='daily', fields=fields,
                               skip_paused=False, fq=None, panel=False, **other)


def table(name):
    return getattr(jqdatasdk.finance, name)


def run(name, *conditions):
    columns = table(name)
    return jqdatasdk.finance.run_query(jqdatasdk.query(columns).filter(*conditions).order_by(columns.id))


# ---------------------------------------------------------------------------------- the account


def test_the_account(server, capsys):
    jqdatasdk.auth(USER, PASSWORD)
    assert jqdatasdk.is_auth()
    assert 'auth success' in capsys.readouterr().out
    assert server.calls == [('auth', {'username': USER, 'password': PASSWORD, 'version': jqdatasdk.__version__})]


def test_without_auth_the_environment_is_used(server):
    assert jqdatasdk.get_query_count() == {'total': 1_000_000, 'spare': 1_000_000}
    assert [name for name, _ in server.calls] == ['auth', 'get_query_count']


def test_a_wrong_password_is_refused(server):
    with pytest.raises(Exception, match='用户不存在或密码错误'):
        jqdatasdk.auth(USER, 'other')


def test_account_info_and_what_is_left(server):
    info = jqdatasdk.get_account_info()
    assert (info['mob'], info['query_count_limit'], info['date_range_start']) == (USER, 1_000_000, None)
    server.window = (date(2023, 8, 30), date(2024, 8, 30))
    server.account = {'license': False}
    info = jqdatasdk.get_account_info()
    assert (info['date_range_start'], info['date_range_end'], info['license']) == ('2023-08-30', '2024-08-30', False)
    get_price([DIVIDEND], '2024-03-04', '2024-03-08')
    assert jqdatasdk.get_query_count('spare') == 1_000_000 - 5


def test_the_token_is_answered_without_a_network(server):
    assert jqdatasdk.JQDataClient.instance().get_http_token() == 'token'
    with pytest.raises(Exception, match='不支持的方法'):
        jqdatasdk.get_current_tick(DIVIDEND)
    assert [name for name, _ in server.calls] == ['http get_current_token', 'http get_current_ticks2']


# ---------------------------------------------------------------------------------- prices


def test_prices_of_all_stocks_on_all_days(server):
    market = server.market
    frame = get_price(list(market.stocks), market.days[0], market.days[-1])
    assert list(frame.columns) == ['time', 'code', *PRICE_FIELDS]
    assert frame['time'].dtype == 'datetime64[ns]'
    assert set(frame[PRICE_FIELDS].dtypes) == {np.dtype('float64')}
    assert len(frame) == len(market.stocks) * len(market.days)
    for told in frame.to_dict('records'):
        row = market.row(told['code'], told['time'].date())
        if row is None:
            assert all(np.isnan(told[name]) for name in PRICE_FIELDS)
            continue
        assert [told[name] for name in ('open', 'high', 'low', 'close', 'pre_close', 'volume', 'money', 'paused')] == [
            row.open, row.high, row.low, row.close, row.preclose, row.volume, row.amount, row.paused]
        assert told['low_limit'] <= row.low
        assert row.high <= told['high_limit']


def test_a_suspended_day_has_the_last_close(server):
    days = ['2024-02-23', '2024-02-26', '2024-02-27']
    before, *suspended = get_price([SUSPENDED], days[0], days[-1]).to_dict('records')
    assert before['paused'] == 0
    assert before['volume'] > 0
    for told in suspended:
        assert {told[name] for name in ('open', 'high', 'low', 'close', 'high_limit', 'low_limit')} == {before['close']}
        assert (told['paused'], told['volume'], told['money']) == (1, 0, 0)
    frame = get_price([SUSPENDED], days[0], days[-1], ['close', 'paused'], fill_paused=False)
    assert frame['close'].isna().tolist() == [False, True, True]
    frame = jqdatasdk.get_price(SUSPENDED, end_date=days[-1], count=2, fields=['close'], skip_paused=True, fq=None)
    assert frame.index.tolist() == [pd.Timestamp('2024-02-22'), pd.Timestamp('2024-02-23')]


def test_days_on_which_a_stock_is_not_listed_have_no_numbers(server):
    frame = get_price([DELISTED, NEW], '2024-02-19', '2024-03-22')
    for code, there in ((DELISTED, frame['time'] <= '2024-03-21'), (NEW, frame['time'] >= '2024-02-20')):
        rows = frame[frame['code'] == code]
        assert rows[PRICE_FIELDS].notna().all(axis=1).tolist() == there[rows.index].tolist()
        assert rows[PRICE_FIELDS].isna().all(axis=1).sum() == 1


def test_limits_and_the_close_before_an_ex_date(server):
    def two_days(*fields):
        return get_price([SPLIT], '2024-04-09', '2024-04-10', list(fields))[list(fields)].to_numpy().tolist()

    (close, _), (_, pre_close) = two_days('close', 'pre_close')
    assert pre_close == round((close - 0.1) / 2, 2)
    limits = two_days('high_limit', 'low_limit')
    assert limits[1] == [pytest.approx(pre_close * 1.1, abs=0.0051), pytest.approx(pre_close * 0.9, abs=0.0051)]
    server.last_close_as_pre_close = True
    assert two_days('pre_close')[1] == [close]
    assert two_days('high_limit', 'low_limit') == limits


def test_an_index_has_made_up_prices(server):
    frame = get_price(['000300.XSHG', '399101.XSHE'], '2024-03-04', '2024-03-05', ['open', 'high', 'low', 'close'])
    assert [tuple(row) for row in frame[['open', 'high', 'low', 'close']].to_numpy()] == [
        server.index_prices(code)[day] for code in ('000300.XSHG', '399101.XSHE') for day in (date(2024, 3, 4), date(2024, 3, 5))]
    assert JqdataServer().index_prices('000300.XSHG') == server.index_prices('000300.XSHG')


def test_a_stock_that_is_not_known_is_refused(server):
    with pytest.raises(Exception, match='找不到标的600999.XSHG'):
        get_price(['600999.XSHG'], '2024-03-04', '2024-03-05')


# ---------------------------------------------------------------------------------- valuations and flags


def test_valuations(server):
    frame = jqdatasdk.get_valuation(list(server.market.stocks), start_date='2024-01-02', end_date=str(LAST),
                                    fields=['capitalization', 'market_cap'])
    assert list(frame.columns) == ['code', 'day', 'capitalization', 'market_cap']
    told = {(code, day): (shares * 1e4, cap * 1e8) for code, day, shares, cap in frame.itertuples(index=False)}
    rows = {key: row for key, row in server.market.rows.items() if row.day >= date(2024, 1, 2) and not row.paused}
    assert told.keys() == rows.keys()
    for key, row in rows.items():
        assert told[key] == (row.total_shares, pytest.approx(row.market_cap, abs=5000))


def test_an_answer_is_cut(server):
    server.row_limit = 7
    assert len(jqdatasdk.get_valuation(list(server.market.stocks), start_date='2024-01-02', end_date='2024-01-05')) == 7
    assert len(run('STK_NAME_HISTORY')) == 7


def test_st_flags(server):
    frame = jqdatasdk.get_extras('is_st', [SPECIAL, DIVIDEND], start_date='2024-03-01', end_date='2024-03-05', df=True)
    assert [day.date() for day in frame.index] == [date(2024, 3, day) for day in (1, 4, 5)]
    assert frame.to_dict('list') == {SPECIAL: [False, True, True], DIVIDEND: [False] * 3}


# ---------------------------------------------------------------------------------- stocks, industries, members, days


def test_all_securities(server):
    frame = jqdatasdk.get_all_securities(types=['stock'])
    assert list(frame.columns) == ['display_name', 'name', 'start_date', 'end_date', 'type']
    assert list(frame.index) == list(server.market.stocks)
    assert frame.loc[DELISTED, ['display_name', 'end_date']].tolist() == ['退市己', pd.Timestamp('2024-03-26')]
    assert frame.loc[NEW, ['start_date', 'end_date']].tolist() == [pd.Timestamp('2024-02-20'), pd.Timestamp('2200-01-01')]
    assert set(server.market.stocks) - set(jqdatasdk.get_all_securities(['stock'], '2024-02-19').index) == {NEW}


def test_industries_members_and_days(server):
    answer = jqdatasdk.get_industry([DIVIDEND, NEW], date='2024-02-19')
    assert answer[DIVIDEND]['sw_l1'] == {'industry_code': '801880', 'industry_name': '汽车I'}
    assert answer[NEW] == {}
    members = jqdatasdk.get_index_stocks('000985.XSHG', date='2024-03-27')
    assert NEW in members
    assert not {DELISTED, '920122.BJSE'} & set(members)
    assert list(jqdatasdk.get_all_trade_days()) == server.market.days
    assert list(jqdatasdk.get_trade_days('2024-02-08', '2024-02-19')) == [date(2024, 2, 8), date(2024, 2, 19)]


# ---------------------------------------------------------------------------------- tables


def test_names(server):
    columns = table('STK_NAME_HISTORY')
    frame = run('STK_NAME_HISTORY', columns.code == DELISTED)
    assert list(frame.columns) == list(TABLES['STK_NAME_HISTORY'])
    assert list(zip(frame['start_date'], frame['new_name'], strict=True)) == server.market.stocks[DELISTED].names
    assert frame['org_name'].fillna('').tolist() == ['', '己股份', '*ST己']
    found, last = [], 0
    while True:  # walked by the numbers
        page = jqdatasdk.finance.run_query(jqdatasdk.query(columns.id, columns.new_name).filter(columns.id > last).order_by(
            columns.id).limit(4))
        if page.empty:
            break
        found += page['new_name'].tolist()
        last = int(page['id'].max())
    assert found == [name for stock in server.market.stocks.values() for _, name in stock.names]


def test_dividends(server):
    columns = table('STK_XR_XD')
    frame = run('STK_XR_XD', columns.a_xr_date >= date(2024, 3, 1), columns.plan_progress == '实施方案')
    assert list(frame.columns) == list(TABLES['STK_XR_XD'])
    assert frame[['code', 'a_registration_date', 'a_xr_date', 'report_date', 'plan_progress_code']].values.tolist() == [
        [DIVIDEND, date(2024, 3, 12), date(2024, 3, 13), date(2023, 12, 31), 313002],
        [SPLIT, date(2024, 4, 9), date(2024, 4, 10), date(2023, 12, 31), 313002]]  # a rights issue is none
    assert frame['bonus_ratio_rmb'].tolist() == [5.0, 1.0]  # per 10 shares
    assert frame['transfer_ratio'].fillna(0).tolist() == [0.0, 10.0]
    assert frame['dividend_ratio'].isna().all()
    assert frame['dividend_ratio'].dtype == 'float64'
    assert frame['bonus_cancel_pub_date'].isna().all()
    server.tables['STK_XR_XD'].append({'id': 99, 'code': DIVIDEND, 'a_xr_date': date(2024, 5, 6), 'plan_progress': '董事会预案'})
    assert run('STK_XR_XD', columns.code.in_([DIVIDEND, NEW]), columns.a_xr_date > '2024-03-13')['id'].tolist() == [99]
    assert run('STK_XR_XD', columns.a_xr_date == pd.Timestamp('2024-03-13').to_pydatetime())['code'].tolist() == [DIVIDEND]
    assert run('STK_XR_XD', columns.code == "o'x").empty


def test_a_table_that_is_not_there(server):
    with pytest.raises(AttributeError, match='STK_LIST'):
        table('STK_LIST')


# ---------------------------------------------------------------------------------- troubles


def test_days_beyond_the_window_are_refused(server):
    server.window = (date(2024, 2, 1), date(2024, 3, 29))
    assert len(get_price([DIVIDEND], '2024-03-28', '2024-03-29')) == 2
    words = '您的账号权限仅能获取2024-02-01至2024-03-29的数据'
    with pytest.raises(Exception, match=words):
        get_price([DIVIDEND], '2024-03-28', '2024-04-01')
    with pytest.raises(Exception, match=words):
        jqdatasdk.get_valuation([DIVIDEND], '2024-01-31', '2024-02-01')
    with pytest.raises(Exception, match=words):
        jqdatasdk.get_extras('is_st', [DIVIDEND], '2024-01-31', '2024-02-01')
    assert len(run('STK_XR_XD')) == 2


def test_errors_are_given_in_turn(server):
    server.errors = {'get_price': [QUOTA, None, '系统繁忙'], 'STK_NAME_HISTORY': ['没有权限']}
    with pytest.raises(Exception, match='最大查询限制：100万条') as error:
        get_price([DIVIDEND], '2024-03-28', '2024-03-29')
    assert type(error.value) is Exception
    assert str(error.value) == QUOTA
    assert len(get_price([DIVIDEND], '2024-03-28', '2024-03-29')) == 2
    with pytest.raises(Exception, match='系统繁忙'):
        get_price([DIVIDEND], '2024-03-28', '2024-03-29')
    assert len(server.asked('get_price')) == 3  # an answer is an answer, it is not asked for again
    with pytest.raises(Exception, match='没有权限'):
        run('STK_NAME_HISTORY')
    assert len(run('STK_XR_XD')) == 2


def test_empty_answers_are_remembered_by_the_package(server):
    server.empty = {'get_price': 1, 'get_valuation': 1, 'db_query': 1, 'get_index_stocks': 1}
    empty = get_price([DIVIDEND], '2024-03-28', '2024-03-29', ['close'])
    assert (len(empty), list(empty.columns)) == (0, ['time', 'code', 'close'])
    assert len(get_price([DIVIDEND], '2024-03-28', '2024-03-29')) == 2
    assert run('STK_XR_XD').empty
    assert len(run('STK_XR_XD')) == 2
    assert jqdatasdk.get_index_stocks('000300.XSHG', '2024-03-28') == []
    for _ in range(2):  # the same arguments: it answers out of its memory
        assert jqdatasdk.get_valuation([DIVIDEND], '2024-03-28', '2024-03-29').empty
    assert len(server.asked('get_valuation')) == 1
    assert len(jqdatasdk.get_valuation([DIVIDEND], '2024-03-28', '2024-03-28')) == 1


def test_a_lost_connection_is_asked_for_again(server, monkeypatch):
    waits = []
    monkeypatch.setattr(jqdatasdk.client.time, 'sleep', waits.append)
    server.errors = {'get_price': [DROP]}
    assert len(get_price([DIVIDEND], '2024-03-28', '2024-03-29')) == 2
    assert waits == [0.6]
    server.errors = {'get_price': [DROP] * 3}
    with pytest.raises(Exception, match='连接被关闭'):
        get_price([DIVIDEND], '2024-03-28', '2024-03-29')
    assert len(server.asked('get_price')) == 5


def test_a_server_that_is_down(server, monkeypatch):
    waits = []
    monkeypatch.setattr(jqdatasdk.client.time, 'sleep', waits.append)
    server.close()
    with pytest.raises(Exception, match='Could not connect'):
        jqdatasdk.auth(USER, PASSWORD)
    assert waits == [0.5] * 3


def test_each_thread_has_a_connection_of_its_own(server):
    found = []
    jqdatasdk.auth(USER, PASSWORD)
    threads = [threading.Thread(target=lambda: found.append(len(get_price([DIVIDEND], '2024-03-28', '2024-03-29'))))
               for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2] * 3
    assert len(server.asked('auth')) == 4


def test_a_call_that_has_no_answer_fails_the_test(monkeypatch):
    start = time.monotonic()
    with pytest.raises(AssertionError, match='get_mtss'), JqdataServer() as server:
        server.patch(monkeypatch)
        with pytest.raises(Exception, match='_tell_get_mtss'):
            jqdatasdk.get_mtss([DIVIDEND], '2024-03-28', '2024-03-29')
    assert time.monotonic() - start < 5
    assert not server._thread.is_alive()
