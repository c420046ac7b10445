"""Downloads from JoinQuant with the real client package, from a server on this machine to a store and a run on it."""

import contextlib
import io
import json
from datetime import date, datetime
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bt_microcap.commands.backtest import main as backtest
from bt_microcap.commands.ingest import main as ingest
from bt_microcap.feeds.sources import clock, joinquant
from bt_microcap.feeds.store import MarketStore
from tests.support.jqdata_server import DROP, OUTSIDE, PASSWORD, QUOTA, USER, JqdataServer
from tests.support.little_market import LittleMarket, Stock, trading_days

pytest.importorskip('jqdatasdk')

DIVIDEND, SPLIT, RIGHTS, SUSPENDED, LEAVING = '600111.XSHG', '600112.XSHG', '300115.XSHE', '000113.XSHE', '600116.XSHG'
FIRST, LAST = date(2024, 2, 21), date(2024, 4, 12)
NOW = datetime(2024, 6, 3, 12)


@contextlib.contextmanager
def serving(patch, market=None):
    with JqdataServer(market) as server:
        server.patch(patch)
        server.waits, server.now = [], NOW
        patch.setattr(clock, 'sleep', server.waits.append)
        patch.setattr(clock, 'now', lambda: server.now)
        yield server


@pytest.fixture
def server(monkeypatch):
    with serving(monkeypatch) as server:
        yield server


def download(server, store, first, last, *options):
    """Run the command; return its status, what it printed, the calls and the waits."""
    server.calls.clear()
    server.waits.clear()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = ingest(['joinquant', '--start', str(first), '--end', str(last), '--store', str(store), *options])
    return SimpleNamespace(status=status, out=out.getvalue(), err=err.getvalue(), calls=[name for name, _ in server.calls],
                           waits=[wait for wait in server.waits if wait >= 1])


def table_of(store):
    return MarketStore.open(store).table().set_index(['code', 'date']).sort_index()


def days_of(store):
    return sorted({day.date() for _, day in table_of(store).index})


def error_line(done):
    """The one line that a download ended with, after its plan."""
    assert done.status == 2
    assert 'Traceback' not in done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith('error: ')]
    return line


def assert_is_the_market(table, market, first, last):
    """Hold all rows against the market's; of a stock suspended since before the first day the total shares are not known."""
    expected = {(code, pd.Timestamp(day)): row for (code, day), row in market.rows.items() if first <= day <= last}
    assert sorted(expected) == table.index.tolist()
    for key, row in expected.items():
        found = table.loc[key]
        assert [found[name] for name in ('open', 'high', 'low', 'close', 'volume', 'amount', 'is_st', 'paused')] == [
            row.open, row.high, row.low, row.close, row.volume, row.amount, row.is_st, row.paused], key
        assert found['preclose'] == row.preclose, key
        valued = any(not other.paused for other in market.of_stock(row.code, first, row.day))
        cap = row.market_cap if valued else np.nan
        assert found['market_cap'] == pytest.approx(cap, abs=10_000, nan_ok=True), key  # 亿 with four digits


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Two months of the market, with an index."""
    folder = tmp_path_factory.mktemp('whole')
    with pytest.MonkeyPatch.context() as patch, serving(patch) as server:
        done = download(server, folder / 'store', FIRST, LAST, '--benchmark', '000300')
    assert done.status == 0, done.err
    done.market, done.folder, done.store = server.market, folder, MarketStore.open(folder / 'store')
    done.table = table_of(folder / 'store')
    return done


# ----------------------------------------------------------------------------------- end to end


def test_the_store_is_the_market(whole):
    assert_is_the_market(whole.table, whole.market, FIRST, LAST)
    assert len(whole.store.reference_table('benchmarks')) == 36


def test_the_delisting_period_is_known_by_the_names(whole):
    leaving = whole.table[whole.table['delisting_period'] == 1]
    assert leaving.index.tolist() == [(LEAVING, pd.Timestamp(day)) for day in trading_days(date(2024, 3, 1), date(2024, 3, 21))]
    assert whole.store.about['delisting_period'] == 'by the name of the day'


def test_dividends_stand_on_their_ex_dates_alone(whole):
    events = whole.table[['cash_dividend', 'share_ratio']].dropna(how='all')
    assert {(code, day.date()): tuple(row) for (code, day), row in events.T.items()} == {
        (DIVIDEND, date(2024, 3, 13)): (0.5, 1.0), (SPLIT, date(2024, 4, 10)): (0.1, 2.0)}
    rights = whole.table.loc[(RIGHTS, pd.Timestamp(2024, 3, 20))]
    assert np.isnan(rights['cash_dividend']) and np.isnan(rights['share_ratio'])
    assert rights['preclose'] == round(whole.table.loc[(RIGHTS, pd.Timestamp(2024, 3, 19)), 'close'] / 1.1, 2)


def test_a_run_buys_and_dividend_tax_is_charged(server, tmp_path, capsys):
    assert download(server, tmp_path / 'store', FIRST, LAST, '--codes', DIVIDEND).status == 0
    status = backtest(['--data', str(tmp_path / 'store'), '--out', str(tmp_path / 'out'), '--no-plot', '--stocknum', '1',
                       '--start', '2024-03-01'])
    assert status == 0
    actions = pd.read_csv(tmp_path / 'out' / 'corporate_actions.csv')
    (shares,) = actions['shares_before']
    assert actions['cash'].tolist() == [pytest.approx(0.5 * shares)]
    trades = pd.read_csv(tmp_path / 'out' / 'trades.csv')
    (sale,) = trades[(trades['side'] == 'SELL') & (trades['datetime'] == '2024-03-15')].itertuples()
    # held for less than a month: 20 % of the dividend; and 0.05 % stamp duty
    assert sale.tax == pytest.approx(0.5 * shares * 0.2 + 0.0005 * sale.quantity * sale.price)
    capsys.readouterr()


def test_a_run_on_the_whole_market(whole, tmp_path, capsys):
    assert backtest(['--data', str(whole.folder / 'store'), '--out', str(tmp_path), '--no-plot', '--start', '2024-03-01']) == 0
    summary = json.loads((tmp_path / 'summary.json').read_text(encoding='utf-8'))
    assert (summary['days'], summary['market']['stocks']) == (29, 12)
    assert summary['trades'] > 0
    capsys.readouterr()


def test_the_reference_price_of_an_ex_date_is_seen_in_its_limits(tmp_path, monkeypatch):
    with serving(monkeypatch) as server:
        server.last_close_as_pre_close = True
        assert download(server, tmp_path / 'store', date(2024, 3, 8), date(2024, 4, 12)).status == 0
    table = table_of(tmp_path / 'store')
    for code, day in ((DIVIDEND, date(2024, 3, 13)), (SPLIT, date(2024, 4, 10)), (RIGHTS, date(2024, 3, 20))):
        assert table.loc[(code, pd.Timestamp(day)), 'preclose'] == pytest.approx(server.market.row(code, day).preclose, abs=0.011)


def test_the_same_command_asks_for_nothing_again_and_later_days_alone(server, tmp_path, monkeypatch):
    monkeypatch.setattr(joinquant, 'BATCH_SIZE', 5)
    download(server, tmp_path / 'store', FIRST, date(2024, 3, 29))
    again = download(server, tmp_path / 'store', FIRST, date(2024, 3, 29))
    assert (again.status, again.calls) == (0, [])
    later = download(server, tmp_path / 'store', FIRST, LAST)
    assert later.status == 0
    assert {params['start_date'][:10] for params in server.asked('get_price')} == {'2024-03-30'}
    assert_is_the_market(table_of(tmp_path / 'store'), server.market, FIRST, LAST)


# --------------------------------------------------------------------------- what the account may


def test_before_a_download_it_says_what_it_will_cost_and_what_is_left(server, tmp_path):
    server.spare = 765_432
    done = download(server, tmp_path / 'store', FIRST, LAST)
    plan = done.err.splitlines()[0]
    assert plan.startswith('joinquant: about 3 calls, 5 calls in 1 s: about 1 s; about ')
    assert plan.endswith('; 765,420 of 1,000,000 rows of today are left')  # the list of stocks has 12


@pytest.mark.parametrize('window', [(date(2024, 3, 4), date(2024, 3, 29)), (date(2023, 1, 4), date(2024, 3, 29)),
                                    (date(2024, 3, 4), date(2024, 12, 31))])
def test_the_days_are_cut_to_those_that_the_account_may_read(server, tmp_path, window):
    server.window = window
    done = download(server, tmp_path / 'store', FIRST, LAST, '--benchmark', '000300')
    assert done.status == 0, done.err
    first, last = max(FIRST, window[0]), min(LAST, window[1])
    assert_is_the_market(table_of(tmp_path / 'store'), server.market, first, last)
    assert f'the account may read {window[0]} to {window[1]} alone: {first} to {last} are asked for' in done.err
    about = MarketStore.open(tmp_path / 'store').about
    assert about['window'] == f'the account may read {window[0]} to {window[1]} alone: other days are not known'
    assert f'window: {about["window"]}' in done.out


def test_a_window_that_holds_all_days_is_not_spoken_of(server, tmp_path):
    server.window = (date(2024, 1, 2), date(2024, 12, 31))
    done = download(server, tmp_path / 'store', FIRST, LAST)
    assert done.status == 0
    assert 'may read' not in done.err
    assert 'window' not in MarketStore.open(tmp_path / 'store').about


def test_days_outside_of_the_window_are_refused_with_what_to_do(server, tmp_path):
    server.window = (date(2023, 3, 4), date(2023, 12, 29))
    line = error_line(done := download(server, tmp_path / 'store', FIRST, LAST))
    assert 'the account may read 2023-03-04 to 2023-12-29 alone' in line
    assert '--start and --end' in line
    assert not {'get_price', 'get_valuation', 'get_extras'} & {*done.calls}


def test_a_window_that_the_account_does_not_tell_is_read_from_the_refusal(server, tmp_path):
    server.errors['get_price'] = [OUTSIDE.format('2024-03-04', '2024-03-29')]
    line = error_line(done := download(server, tmp_path / 'store', FIRST, LAST))
    assert 'give --start 2024-03-04 and --end 2024-03-29 or days between' in line
    assert done.calls.count('get_price') == 1
    assert done.waits == []


def test_a_window_that_moves_on_goes_on(server, tmp_path):
    server.window = (date(2024, 3, 4), date(2024, 3, 20))
    download(server, tmp_path / 'store', FIRST, LAST)
    server.window = (date(2024, 3, 11), date(2024, 3, 29))
    done = download(server, tmp_path / 'store', FIRST, LAST)
    assert done.status == 0, done.err
    assert {params['start_date'][:10] for params in server.asked('get_price')} == {'2024-03-21'}
    assert_is_the_market(table_of(tmp_path / 'store'), server.market, date(2024, 3, 4), date(2024, 3, 29))


@pytest.mark.parametrize('call', ['get_price', 'get_valuation', 'get_extras', 'STK_NAME_HISTORY', 'STK_XR_XD'])
def test_when_the_days_rows_are_used_up_it_says_go_on_tomorrow_and_nothing_is_lost(server, tmp_path, monkeypatch, call):
    monkeypatch.setattr(joinquant, 'BATCH_SIZE', 5)
    server.errors[call] = [*([None] if call.startswith('get') else []), QUOTA]
    done = download(server, tmp_path / 'store', date(2024, 3, 4), date(2024, 3, 20))
    line = error_line(done)
    assert '超过了每日最大查询限制' in line
    assert 'go on tomorrow with the same command, what was read is kept' in line
    assert done.waits == []
    made = {name: done.calls.count(name) for name in ('get_price', 'get_valuation', 'get_extras')}
    server.now = datetime(2024, 6, 4, 12)
    done = download(server, tmp_path / 'store', date(2024, 3, 4), date(2024, 3, 20))
    assert done.status == 0
    for name, count in made.items():
        assert done.calls.count(name) == 3 - count + (name == call)
    assert_is_the_market(table_of(tmp_path / 'store'), server.market, date(2024, 3, 4), date(2024, 3, 20))


# ------------------------------------------------------------------------------- nothing is no answer


@pytest.mark.parametrize('call', ['get_price', 'get_valuation', 'get_extras'])
def test_an_empty_answer_is_asked_for_again_though_the_package_remembers_it(server, tmp_path, call):
    server.empty[call] = 2
    done = download(server, tmp_path / 'store', date(2024, 3, 4), date(2024, 3, 20))
    assert (done.status, done.calls.count(call), done.waits) == (0, 3, [2.0, 4.0])
    assert_is_the_market(table_of(tmp_path / 'store'), server.market, date(2024, 3, 4), date(2024, 3, 20))


@pytest.mark.parametrize('call', ['get_price', 'get_valuation', 'get_extras'])
def test_an_answer_that_stays_empty_is_reported_and_not_kept(server, tmp_path, call):
    server.empty[call] = 5
    line = error_line(download(server, tmp_path / 'store', date(2024, 3, 4), date(2024, 3, 20)))
    assert f'joinquant {call} ' in line
    assert '5 answers without rows, where there must be some' in line
    done = download(server, tmp_path / 'store', date(2024, 3, 4), date(2024, 3, 20))
    assert (done.status, done.calls.count(call)) == (0, 1)


def test_an_index_that_comes_empty_is_asked_for_again(server, tmp_path, monkeypatch):
    tell, troubles = server._tell_get_price, [1]

    def empty_once(**asked):
        index = asked['security'] in ('000300.XSHG', ['000300.XSHG'])
        return tell(**asked).first(0) if index and troubles and troubles.pop() else tell(**asked)

    monkeypatch.setattr(server, '_tell_get_price', empty_once)
    done = download(server, tmp_path / 'store', date(2024, 3, 7), date(2024, 3, 20), '--benchmark', '000300')
    assert done.status == 0, done.err
    assert len(MarketStore.open(tmp_path / 'store').reference_table('benchmarks')) == 10


def test_trading_days_that_come_empty_are_not_kept(server, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(server, '_tell_get_trade_days', lambda **_: np.array([], dtype=object))
        download(server, tmp_path / 'store', date(2024, 3, 7), date(2024, 3, 20))
    done = download(server, tmp_path / 'store', date(2024, 3, 7), date(2024, 3, 20))
    assert done.status == 0, done.err
    assert_is_the_market(table_of(tmp_path / 'store'), server.market, date(2024, 3, 7), date(2024, 3, 20))


def test_a_valuation_cut_at_the_limit_of_rows_is_whole(server, tmp_path):
    server.row_limit = 1000
    done = download(server, tmp_path / 'store', date(2023, 12, 20), date(2024, 5, 31))
    assert done.status == 0
    assert_is_the_market(table_of(tmp_path / 'store'), server.market, date(2023, 12, 20), date(2024, 5, 31))


def test_a_lost_connection_is_made_again(server, tmp_path):
    server.errors['get_valuation'] = [DROP]
    done = download(server, tmp_path / 'store', date(2024, 3, 4), date(2024, 3, 20))
    assert done.status == 0
    assert_is_the_market(table_of(tmp_path / 'store'), server.market, date(2024, 3, 4), date(2024, 3, 20))


# ------------------------------------------------------------------------------------- dividends


def test_a_plan_that_was_given_up_does_not_count(server, tmp_path):
    day = date(2024, 3, 12)
    plan = {'id': 100, 'code': SPLIT, 'report_date': date(2022, 12, 31), 'a_xr_date': day, 'bonus_ratio_rmb': 3.0}
    server.tables['STK_XR_XD'] += [{**plan, 'bonus_cancel_pub_date': date(2024, 3, 8)},
                                   {**plan, 'id': 101, 'code': RIGHTS, 'a_xr_date': None},
                                   {**plan, 'id': 102, 'code': DIVIDEND, 'bonus_ratio_rmb': None}]
    assert download(server, tmp_path / 'store', date(2024, 3, 4), date(2024, 3, 20)).status == 0
    assert table_of(tmp_path / 'store')['cash_dividend'].dropna().to_dict() == {(DIVIDEND, pd.Timestamp(2024, 3, 13)): 0.5}


def test_two_payments_of_a_day_are_one(server, tmp_path):
    day = date(2024, 3, 13)
    server.tables['STK_XR_XD'] += [
        {'id': 100, 'code': DIVIDEND, 'report_date': date(2023, 9, 30), 'a_xr_date': day, 'bonus_ratio_rmb': 1.25,
         'dividend_ratio': 1.0, 'transfer_ratio': 2.0}]
    assert download(server, tmp_path / 'store', date(2024, 3, 4), date(2024, 3, 20)).status == 0
    row = table_of(tmp_path / 'store').loc[(DIVIDEND, pd.Timestamp(day))]
    assert (row['cash_dividend'], row['share_ratio']) == (0.625, 1.3)


def test_an_account_without_the_tables_does_without_and_says_so(server, tmp_path):
    for name in ('STK_NAME_HISTORY', 'STK_XR_XD'):
        server.errors[name] = ['您没有权限查询该表'] * 9
    done = download(server, tmp_path / 'store', date(2024, 3, 4), date(2024, 3, 20))
    assert done.status == 0
    table, about = table_of(tmp_path / 'store'), MarketStore.open(tmp_path / 'store').about
    refused = 'the source refuses: 您没有权限'
    assert about['dividends'].startswith(f'not known as such, by preclose: joinquant STK_XR_XD all: {refused}')
    assert about['delisting_period'].startswith(f'not known, no column: joinquant STK_NAME_HISTORY: {refused}')
    assert {'cash_dividend', 'delisting_period'} & {*table.columns} == set()
    assert table.loc[(DIVIDEND, pd.Timestamp(2024, 3, 13)), 'preclose'] == server.market.row(DIVIDEND, date(2024, 3, 13)).preclose


# ------------------------------------------------------------------------------ the last day, codes


@pytest.mark.parametrize(('hour', 'minute', 'last'), [(16, 29, date(2024, 4, 11)), (16, 30, date(2024, 4, 12))])
def test_a_day_is_complete_at_half_past_four(server, tmp_path, hour, minute, last):
    server.now = datetime(2024, 4, 12, hour, minute)
    assert download(server, tmp_path / 'store', date(2024, 4, 8), date(2024, 12, 31)).status == 0
    assert {params['end_date'][:10] for params in server.asked('get_price')} == {str(last)}
    assert days_of(tmp_path / 'store') == trading_days(date(2024, 4, 8), last)


def test_on_a_weekend_nothing_is_missing(server, tmp_path):
    server.now = datetime(2024, 4, 13, 18)  # a Saturday
    assert download(server, tmp_path / 'store', date(2024, 4, 8), date(2024, 12, 31)).status == 0
    assert days_of(tmp_path / 'store') == trading_days(date(2024, 4, 8), date(2024, 4, 12))
    assert 'last_day' not in MarketStore.open(tmp_path / 'store').about


@pytest.mark.parametrize('last', [date(2025, 10, 24), date(2025, 10, 8)])  # also of days that are all before the new codes
def test_codes_of_beijing_are_one_stock(tmp_path, monkeypatch, last):
    first = date(2025, 9, 22)
    stocks = [Stock('600111.XSHG', [(date(2010, 1, 4), '甲股份')], 2.5e8, 10.0),
              Stock('835122.BJSE', [(date(2022, 1, 4), '丑股份')], 1e8, 12.0, listed=date(2022, 1, 4),
                    delisted=date(2025, 10, 9), last_row=date(2025, 10, 8)),
              Stock('920122.BJSE', [(date(2025, 10, 9), '丑股份')], 1e8, 12.0, listed=date(2025, 10, 9))]
    with serving(monkeypatch, LittleMarket(stocks, first, date(2025, 10, 24))) as server:
        server.now = datetime(2025, 11, 3, 12)
        assert download(server, tmp_path / 'store', first, last).status == 0
        store, table = MarketStore.open(tmp_path / 'store'), table_of(tmp_path / 'store')
        days = [day for day in server.market.days if day <= last]
        assert sorted(set(table.index.get_level_values('code'))) == ['600111.XSHG', '920122.BJSE']
        assert [day.date() for day in table.loc['920122.BJSE'].index] == days
        listings = store.reference_table('listings').set_index('code')
        assert listings.loc['920122.BJSE', 'listed'] == pd.Timestamp(2022, 1, 4)
        assert listings['delisted'].isna().all()
        for name in ('names', 'industries'):
            assert '835122.BJSE' not in set(store.reference_table(name)['code'])
        assert download(server, tmp_path / 'one', first, last, '--codes', '835122.BJSE').status == 0
    one = table_of(tmp_path / 'one')
    assert sorted(set(one.index.get_level_values('code'))) == ['920122.BJSE']
    assert len(one) == len(days)


# -------------------------------------------------------------------- interruptions, secrets


def test_after_an_interruption_the_same_command_asks_for_the_rest(server, tmp_path, monkeypatch):
    monkeypatch.setattr(joinquant, 'BATCH_SIZE', 5)
    ask, made = joinquant.Client._valuation, []

    def interrupted(self, *arguments):
        made.append(arguments)
        if len(made) == 2:
            raise KeyboardInterrupt
        return ask(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(joinquant.Client, '_valuation', interrupted)
        done = download(server, tmp_path / 'store', date(2024, 3, 4), date(2024, 3, 20))
    assert done.status == 130
    assert done.err.splitlines()[-1] == 'interrupted: the same command goes on'
    done = download(server, tmp_path / 'store', date(2024, 3, 4), date(2024, 3, 20))
    assert done.status == 0
    assert [done.calls.count(name) for name in ('get_price', 'get_valuation', 'get_extras')] == [1, 2, 2]
    assert_is_the_market(table_of(tmp_path / 'store'), server.market, date(2024, 3, 4), date(2024, 3, 20))


def test_the_account_is_in_no_file_and_no_message(server, tmp_path, monkeypatch):
    assert PASSWORD == 'word'
    monkeypatch.setenv('JQDATA_PASSWORD', 'a-pass-phrase')
    server.password = 'a-pass-phrase'
    server.errors['STK_XR_XD'] = [f'{USER} a-pass-phrase 没有权限'] * 2
    done = download(server, tmp_path / 'store', date(2024, 3, 4), date(2024, 3, 20))
    assert done.status == 0
    texts = [done.out, done.err, *(path.read_bytes().decode('latin1') for path in tmp_path.rglob('*') if path.is_file())]
    assert len(texts) > 10
    assert not [text for text in texts if USER in text or 'a-pass-phrase' in text]


def test_a_wrong_password_is_said_at_once(server, tmp_path):
    server.password = 'another'
    done = download(server, tmp_path / 'store', date(2024, 3, 4), date(2024, 3, 20))
    assert '用户不存在或密码错误' in (line := error_line(done))
    assert USER not in line
    assert done.calls == ['auth']
    assert done.waits == []
