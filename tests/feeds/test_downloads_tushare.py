"""Downloads from tushare.pro with the real client package, from a server on this machine to a store and a run on it."""

import contextlib
import io
import json
from datetime import date, datetime, time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bt_microcap.commands.backtest import main as backtest
from bt_microcap.commands.ingest import main as ingest
from bt_microcap.feeds.sources import clock, tushare
from bt_microcap.feeds.store import MarketStore
from tests.support.little_market import LittleMarket, trading_days
from tests.support.tushare_server import NO_PERMISSION, TOKEN, TushareServer, index_members

pytest.importorskip('tushare')
pytestmark = pytest.mark.filterwarnings('ignore:The inplace keyword', 'ignore:Parsing integer or float values')

DIVIDEND, SPLIT, RIGHTS, SUSPENDED, LEAVING = '600111.XSHG', '600112.XSHG', '300115.XSHE', '000113.XSHE', '600116.XSHG'
OLD_CODES = {'920122.BJSE': '835122.BJSE'}  # in 2024
FIRST, LAST = date(2024, 2, 21), date(2024, 4, 12)
LIMIT = '抱歉，您访问接口({})频率超限(1次/{})，具体频次详情：https://tushare.pro/document/1?doc_id=108。'
DAY_CALLS = ['daily', 'daily_basic', 'stk_limit', 'suspend_d', 'stock_st', 'dividend']


@contextlib.contextmanager
def serving(patch, points=5000):
    with TushareServer(LittleMarket(), points=points) as server:
        server.patch(patch)
        server.waits = []
        patch.setenv('TUSHARE_TOKEN', TOKEN)
        patch.setattr(clock, 'sleep', server.waits.append)
        patch.setattr(clock, 'now', lambda: datetime.combine(server.today, time(12)))
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
        status = ingest(['tushare', '--start', str(first), '--end', str(last), '--store', str(store), *options])
    return SimpleNamespace(status=status, out=out.getvalue(), err=err.getvalue(), waits=[wait for wait in server.waits if wait],
                           calls=[name for name, *_ in server.calls], asked=[(name, asked) for name, asked, _ in server.calls])


def table_of(store):
    return MarketStore.open(store).table().set_index(['code', 'date']).sort_index()


def error_line(done):
    """The one line that a download ended with, after its plan."""
    assert done.status == 2
    assert 'Traceback' not in done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith('error: ')]
    return line


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Two months of the market day by day, with an index."""
    folder = tmp_path_factory.mktemp('whole')
    with pytest.MonkeyPatch.context() as patch, serving(patch) as server:
        done = download(server, folder / 'store', FIRST, LAST, '--benchmark', '000300')
    assert done.status == 0, done.err
    done.market, done.folder, done.store = server.market, folder, MarketStore.open(folder / 'store')
    done.table = table_of(folder / 'store')
    return done


# ----------------------------------------------------------------------------------- end to end


def test_the_store_is_the_market(whole):
    expected = {(OLD_CODES.get(code, code), pd.Timestamp(day)): row for (code, day), row in whole.market.rows.items()
                if FIRST <= day <= LAST}
    assert sorted(expected) == whole.table.index.tolist()
    for key, row in expected.items():
        found = whole.table.loc[key]
        assert [found[name] for name in ('open', 'high', 'low', 'close', 'preclose', 'volume', 'is_st', 'paused')] == [
            row.open, row.high, row.low, row.close, row.preclose, row.volume, row.is_st, row.paused], key
        assert found['market_cap'] == pytest.approx(row.market_cap, abs=1), key
        assert found['amount'] == pytest.approx(row.amount, abs=0.01), key


def test_the_delisting_period_is_known_by_the_names(whole):
    leaving = whole.table[whole.table['delisting_period'] == 1]
    assert leaving.index.tolist() == [(LEAVING, pd.Timestamp(day)) for day in trading_days(date(2024, 3, 1), date(2024, 3, 21))]


def test_dividends_stand_on_their_ex_dates_alone(whole):
    events = whole.table[['cash_dividend', 'share_ratio']].dropna(how='all')
    assert {(code, day.date()): tuple(row) for (code, day), row in events.T.items()} == {
        (DIVIDEND, date(2024, 3, 13)): (0.5, 1.0), (SPLIT, date(2024, 4, 10)): (0.1, 2.0)}
    assert whole.store.about['dividends'] == 'explicit, by ex-date; rights issues by preclose'


def test_a_rights_issue_is_no_dividend_and_stays_with_its_preclose(whole):
    before, day = (whole.table.loc[(RIGHTS, pd.Timestamp(2024, 3, number))] for number in (19, 20))
    assert np.isnan(day['cash_dividend']) and np.isnan(day['share_ratio'])
    assert day['preclose'] == round(before['close'] / 1.1, 2)


def test_a_run_buys_and_is_paid_the_dividends_that_it_holds(whole, tmp_path, capsys):
    status = backtest(['--data', str(whole.folder / 'store'), '--out', str(tmp_path), '--no-plot', '--start', '2024-03-01'])
    assert status == 0, capsys.readouterr().err
    summary = json.loads((tmp_path / 'summary.json').read_text(encoding='utf-8'))
    assert (summary['days'], summary['market']['stocks']) == (29, 12)
    assert summary['trades'] > 0
    capsys.readouterr()


def test_dividend_tax_is_charged(server, tmp_path, capsys):
    done = download(server, tmp_path / 'store', FIRST, LAST, '--codes', DIVIDEND)
    assert done.status == 0
    assert backtest(['--data', str(tmp_path / 'store'), '--out', str(tmp_path / 'out'), '--no-plot', '--stocknum', '1',
                     '--start', '2024-03-01']) == 0
    actions = pd.read_csv(tmp_path / 'out' / 'corporate_actions.csv')
    (shares,) = actions['shares_before']
    assert actions[['date', 'code', 'action', 'cash']].to_numpy().tolist() == [
        ['2024-03-13', DIVIDEND, 'dividend', pytest.approx(0.5 * shares)]]
    trades = pd.read_csv(tmp_path / 'out' / 'trades.csv')
    (sale,) = trades[(trades['side'] == 'SELL') & (trades['datetime'] == '2024-03-15')].itertuples()
    assert sale.quantity == shares
    # held for less than a month: 20 % of the dividend; and 0.05 % stamp duty
    assert sale.tax == pytest.approx(0.5 * shares * 0.2 + 0.0005 * sale.quantity * sale.price)
    capsys.readouterr()


def test_bonus_shares_and_their_cash_come_on_the_ex_date(server, tmp_path, capsys):
    assert download(server, tmp_path / 'store', FIRST, LAST, '--codes', SPLIT).status == 0
    assert backtest(['--data', str(tmp_path / 'store'), '--out', str(tmp_path / 'out'), '--no-plot', '--stocknum', '1',
                     '--min-cap', '1e9', '--start', '2024-03-01']) == 0
    actions = pd.read_csv(tmp_path / 'out' / 'corporate_actions.csv')
    (before,) = actions['shares_before']
    assert actions[['date', 'code', 'shares_after', 'cash']].to_numpy().tolist() == [
        ['2024-04-10', SPLIT, 2 * before, pytest.approx(0.1 * before)]]
    capsys.readouterr()


def test_the_same_command_asks_for_nothing_again(server, tmp_path):
    first = download(server, tmp_path / 'store', date(2024, 3, 11), date(2024, 3, 14))
    before = table_of(tmp_path / 'store')
    again = download(server, tmp_path / 'store', date(2024, 3, 11), date(2024, 3, 14))
    assert (first.status, again.status, again.calls) == (0, 0, [])
    assert 'tushare: nothing to ask for; 24 answers are in the cache' in again.err
    pd.testing.assert_frame_equal(table_of(tmp_path / 'store'), before)


def test_stock_by_stock_gives_the_same_rows(whole, server, tmp_path):
    codes = [DIVIDEND, SUSPENDED, LEAVING, SPLIT, '835122.BJSE']
    done = download(server, tmp_path / 'store', FIRST, LAST, '--codes', *codes)
    assert done.calls.count('daily') == 5
    found, expected = table_of(tmp_path / 'store'), whole.table.loc[sorted(codes)]
    pd.testing.assert_frame_equal(found, expected, check_like=True)


def test_an_answer_in_pages_has_all_its_rows(server, tmp_path):
    server.page_rows = 100
    done = download(server, tmp_path / 'store', date(2023, 12, 20), date(2024, 5, 31), '--codes', DIVIDEND)
    assert done.calls.count('daily') == 2
    assert len(table_of(tmp_path / 'store')) == 109


# --------------------------------------------------------------------------- what is asked, and said before


def test_each_list_of_the_market_is_asked_once(whole):
    assert whole.calls.count('stock_basic') == whole.calls.count('namechange') == whole.calls.count('user') == 1
    assert dict(whole.asked)['stock_basic']['list_status'] == 'L,D,P'
    for call in DAY_CALLS:
        # of the rights issue's day, whose reference price tells an ex-right, dividends are asked for once more
        assert whole.calls.count(call) == 36 + (call == 'dividend')


def test_before_a_download_it_says_what_it_will_cost(whole, server, tmp_path):
    plan = 'tushare: about 216 calls, 450 calls in 60 s: about 29 s; the account has 5,000 points'
    assert whole.err.splitlines()[0] == plan
    server.points = 2000
    done = download(server, tmp_path / 'store', FIRST, LAST, '--codes', DIVIDEND)
    # stock_st needs 3,000 points
    assert done.err.splitlines()[0] == 'tushare: about 5 calls, 180 calls in 60 s: about 2 s; the account has 2,000 points'


def test_too_few_points_for_market_caps_are_said_before_the_download(server, tmp_path, monkeypatch):
    monkeypatch.setattr(server, '_user', lambda asked: [{'user_id': 1, 'exp_date': '2030-12-31', 'points': 120}])
    server.errors['daily_basic'] = [NO_PERMISSION.format('daily_basic')]
    line = error_line(done := download(server, tmp_path / 'store', FIRST, LAST, '--codes', DIVIDEND))
    assert 'the account has 120 points, and daily_basic, which has the market caps, needs 2,000' in done.err
    assert 'tushare daily_basic 600111.XSHG: the source refuses' in line
    assert 'daily_basic needs an account with 2,000 points' in line


def test_members_of_the_csi_300_are_asked_month_by_month_under_its_number_of_shenzhen(whole):
    asked = [tuple(asked[name] for name in ('index_code', 'start_date', 'end_date')) for call, asked in whole.asked
             if call == 'index_weight']
    assert asked == [  # from the month before on, whose members hold on the first days
        ('399300.SZ', '20240101', '20240131'), ('399300.SZ', '20240201', '20240229'), ('399300.SZ', '20240301', '20240331'),
        ('399300.SZ', '20240401', '20240412')]
    members = whole.store.reference_table('constituents')
    assert members.groupby(members['date'].dt.date)['code'].agg(set).to_dict() == {
        day: {stock.code for stock in index_members(whole.market, '000300', day)}
        for day in (date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 29))}  # lists of the ends of months
    prices = [asked['ts_code'] for name, asked in whole.asked if name == 'index_daily']
    assert prices == ['000300.SH']
    assert len(whole.store.reference_table('benchmarks')) == 36


@pytest.mark.parametrize(('index', 'symbol'), [
    ('932000', '932000.CSI'), ('899050', '899050.BJ'), ('399303', '399303.SZ'), ('399101', '399101.SZ'), ('000852', '000852.SH'),
    ('000300', '000300.SH'), ('980017', '980017.SZ'), ('950090', '950090.CSI')])
def test_symbols_of_the_indices(index, symbol):
    assert tushare.index_symbol(index) == symbol
    assert tushare.members_symbol(index) == ('399300.SZ' if index == '000300' else symbol)


@pytest.mark.parametrize(('index', 'symbol'), [('932000', '932000.CSI'), ('399101', '399101.SZ')])
def test_an_index_is_asked_for_by_its_symbol(server, tmp_path, index, symbol):
    done = download(server, tmp_path / 'store', FIRST, LAST, '--codes', DIVIDEND, '--benchmark', index)
    assert [asked['ts_code'] for name, asked in done.asked if name == 'index_daily'] == [symbol] * 2  # once more, to be sure
    assert f'tushare index_daily {index}: found no rows of this index' in error_line(done)  # the server does not know it


# --------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize('span', ['小时', '天'])
def test_a_limit_by_the_hour_or_day_ends_the_run_at_once_and_says_the_points(server, tmp_path, span):
    server.errors['daily_basic'] = [LIMIT.format('daily_basic', span)]
    done = download(server, tmp_path / 'store', date(2024, 3, 11), date(2024, 3, 14))
    line = error_line(done)
    for part in (f'频率超限(1次/{span})', 'a limit of the account', 'daily_basic needs an account with 2,000 points'):
        assert part in line
    assert done.calls.count('daily_basic') == 1
    assert done.waits == []
    assert not (tmp_path / 'store').exists()
    done = download(server, tmp_path / 'store', date(2024, 3, 11), date(2024, 3, 14))
    assert (done.status, done.calls.count('daily')) == (0, 3)  # the first day's was kept


def test_a_limit_by_the_minute_waits_a_minute(server, tmp_path):
    server.errors['daily'] = [LIMIT.format('daily', '分钟')] * 2
    done = download(server, tmp_path / 'store', date(2024, 3, 11), date(2024, 3, 12))
    assert (done.status, done.waits, done.calls.count('daily')) == (0, [60.0, 60.0], 4)


@pytest.mark.parametrize('span', ['小时', '天'])
def test_a_limit_of_what_can_be_done_without_is_said_and_does_not_end_the_run(server, tmp_path, span):
    server.errors['stk_limit'] = [LIMIT.format('stk_limit', span)] * 9
    done = download(server, tmp_path / 'store', date(2024, 3, 11), date(2024, 3, 14))
    assert (done.status, done.waits, done.calls.count('stk_limit')) == (0, [], 1)
    about = MarketStore.open(tmp_path / 'store').about['stk_limit']
    assert about.startswith('not known of 4 of 4 days: tushare stk_limit 2024-03-11: the source refuses: ')
    assert 'stk_limit needs an account with 2,000 points' in about


@pytest.mark.parametrize('call', ['stk_limit', 'stock_st', 'suspend_d', 'dividend'])
def test_a_refused_call_leaves_later_days_what_they_have(server, tmp_path, call):
    first, last = date(2024, 3, 6), date(2024, 3, 14)
    before = download(server, tmp_path / 'store', date(2024, 3, 11), last)
    server.errors[call] = [NO_PERMISSION.format(call)] * 99
    done = download(server, tmp_path / 'store', first, last)
    assert (before.status, done.status, done.calls.count(call)) == (0, 0, 1)
    table, about = table_of(tmp_path / 'store'), MarketStore.open(tmp_path / 'store').about
    said = about[{'dividend': 'dividends'}.get(call, call)]
    assert 'of 3 of 7 ' in said
    assert f'tushare {call} 2024-03-06: the source refuses' in said
    known = table.index.get_level_values('date') >= pd.Timestamp(2024, 3, 11)
    if call == 'stk_limit':
        assert table['high_limit'].notna().tolist() == known.tolist()
    elif call == 'stock_st':
        assert table['is_st'].groupby('code').sum()['000114.XSHE'] == 7  # by name where there is no list
    elif call == 'suspend_d':
        assert table['paused'].sum() == 0  # suspended until the 6th, which has no row then
    else:
        assert table['cash_dividend'].dropna().to_dict() == {(DIVIDEND, pd.Timestamp(2024, 3, 13)): 0.5}


# ------------------------------------------------------------------------------- nothing is no answer


def test_a_day_that_comes_empty_is_asked_for_again(server, tmp_path):
    server.empty['daily'] = 2
    done = download(server, tmp_path / 'store', date(2024, 3, 11), date(2024, 3, 12))
    assert (done.status, done.calls.count('daily'), done.waits) == (0, 4, [5.0, 10.0])
    assert len(table_of(tmp_path / 'store')) == 24


@pytest.mark.parametrize('call', ['daily', 'daily_basic'])
def test_a_day_that_stays_empty_is_reported_and_asked_for_by_the_next_run(server, tmp_path, call):
    server.empty[call] = 5
    done = download(server, tmp_path / 'store', date(2024, 3, 11), date(2024, 3, 12))
    assert f'tushare {call} 2024-03-11: 5 answers without rows, where there must be some' in error_line(done)
    assert not list((tmp_path / 'store.cache').rglob(f'{call}/*'))
    done = download(server, tmp_path / 'store', date(2024, 3, 11), date(2024, 3, 12))
    assert done.status == 0
    assert len(table_of(tmp_path / 'store')) == 24


def test_a_past_day_with_a_few_stocks_is_no_answer(server, tmp_path, monkeypatch):
    rows = server._daily

    def few(asked):
        found = list(rows(asked))
        return found[:3] if asked['trade_date'] == '20240312' else found

    monkeypatch.setattr(server, '_daily', few)
    done = download(server, tmp_path / 'store', date(2024, 3, 11), date(2024, 3, 12))
    assert 'tushare daily 2024-03-12: 5 answers without rows' in (line := error_line(done))
    assert '3 rows, expected some 6 or more' in line


def test_a_stock_that_comes_empty_is_asked_for_again(server, tmp_path):
    server.empty['daily'] = 1
    done = download(server, tmp_path / 'store', FIRST, LAST, '--codes', DIVIDEND)
    assert (done.status, done.calls.count('daily')) == (0, 2)
    assert len(table_of(tmp_path / 'store')) == 36


def test_a_stock_suspended_on_all_days_is_told_from_one_that_lacks(server, tmp_path):
    codes = ['--codes', DIVIDEND, SUSPENDED]
    done = download(server, tmp_path / 'store', date(2024, 2, 27), date(2024, 3, 5), *codes)
    assert done.status == 0
    assert done.waits == []
    assert [(asked['ts_code'], asked['start_date']) for name, asked in done.asked if name == 'daily'] == [
        ('600111.SH', '20240227'), ('000113.SZ', '20240227'), ('000113.SZ', '20100104')]


def test_a_stock_that_stays_empty_is_left_out_with_skip_bad_and_asked_for_by_the_next_run(server, tmp_path):
    server.empty['daily'] = 10  # each time the days before are asked for too
    done = download(server, tmp_path / 'store', FIRST, LAST, '--codes', SPLIT, DIVIDEND, '--skip-bad')
    assert done.status == 0, done.err
    assert f'left out: tushare daily {SPLIT}: 5 answers without rows' in done.out
    assert set(table_of(tmp_path / 'store').index.get_level_values('code')) == {DIVIDEND}
    done = download(server, tmp_path / 'store', FIRST, LAST, '--codes', SPLIT, DIVIDEND, '--skip-bad')
    assert [asked['ts_code'] for name, asked in done.asked if name == 'daily'] == ['600112.SH']
    assert len(table_of(tmp_path / 'store')) == 2 * 36


@pytest.mark.parametrize('call', ['namechange', 'index_daily'])
def test_a_list_of_the_whole_market_and_an_index_that_come_empty_are_asked_for_again(server, tmp_path, call):
    server.empty[call] = 1
    done = download(server, tmp_path / 'store', date(2024, 3, 11), date(2024, 3, 12), '--benchmark', '000300')
    assert (done.status, done.calls.count(call), done.waits) == (0, 2, [5.0])
    store = MarketStore.open(tmp_path / 'store')
    assert store.about['delisting_period'] == 'by the name of the day'
    assert len(store.reference_table('benchmarks')) == 2


def test_an_index_that_stays_empty_is_asked_for_by_the_next_run(server, tmp_path):
    server.empty['index_daily'] = 5
    done = download(server, tmp_path / 'store', date(2024, 3, 11), date(2024, 3, 12), '--benchmark', '000300')
    assert 'tushare index_daily 000300' in error_line(done)
    server.empty['index_daily'] = 0
    done = download(server, tmp_path / 'store', date(2024, 3, 11), date(2024, 3, 12), '--benchmark', '000300')
    assert done.status == 0, done.err
    assert len(MarketStore.open(tmp_path / 'store').reference_table('benchmarks')) == 2


def test_a_stock_that_was_not_listed_on_the_days_does_not_end_the_run(server, tmp_path):
    done = download(server, tmp_path / 'store', date(2024, 1, 2), date(2024, 1, 31), '--codes', DIVIDEND, '600117.XSHG')
    assert done.status == 0, done.err
    assert done.waits == []
    assert set(table_of(tmp_path / 'store').index.get_level_values('code')) == {DIVIDEND}


@pytest.mark.parametrize('status', [500, 502, 429])
def test_an_error_of_http_is_tried_again(server, tmp_path, status):
    server.status['daily'] = [status] * 2
    done = download(server, tmp_path / 'store', FIRST, LAST, '--codes', DIVIDEND)
    assert (done.status, done.calls.count('daily'), done.waits) == (0, 3, [5.0, 10.0])


# -------------------------------------------------------------------- interruptions, secrets


def test_after_an_interruption_the_same_command_asks_for_the_rest(server, tmp_path, monkeypatch):
    from tushare.pro.client import DataApi

    query, made = DataApi.query, []

    def interrupted(self, api_name, *arguments, **named):
        made.append(api_name)
        if made.count('daily_basic') == 3:
            raise KeyboardInterrupt
        return query(self, api_name, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(DataApi, 'query', interrupted)
        done = download(server, tmp_path / 'store', date(2024, 3, 11), date(2024, 3, 15))
    assert done.status == 130
    assert done.err.splitlines()[-1] == 'interrupted: the same command goes on'
    assert not (tmp_path / 'store' / 'manifest.json').exists()
    done = download(server, tmp_path / 'store', date(2024, 3, 11), date(2024, 3, 15))
    assert done.status == 0
    assert done.calls == ['user', 'daily_basic', 'stk_limit', 'suspend_d', 'stock_st', 'dividend', *DAY_CALLS, *DAY_CALLS]
    assert 'tushare: about 17 calls' in done.err
    assert '13 answers are in the cache' in done.err
    assert len(table_of(tmp_path / 'store')) == 60


def test_a_wrong_token_is_one_line_and_the_token_is_in_no_file_and_no_message(server, tmp_path, monkeypatch):
    done = download(server, tmp_path / 'store', date(2024, 3, 11), date(2024, 3, 12))
    texts = [done.out, done.err, *(path.read_bytes().decode('latin1') for path in tmp_path.rglob('*') if path.is_file())]
    assert len(texts) > 10
    assert not [text for text in texts if TOKEN in text]
    monkeypatch.setenv('TUSHARE_TOKEN', 'another-token')
    server.errors['stock_basic'] = ['您的token不对，请确认：another-token']
    server.token = 'another-token'
    line = error_line(done := download(server, tmp_path / 'other', date(2024, 3, 11), date(2024, 3, 12)))
    assert 'check TUSHARE_TOKEN' in line
    assert 'another-token' not in done.out + done.err
