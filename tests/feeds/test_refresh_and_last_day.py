"""Days that are asked for anew, and a last day that is not complete yet: with the real client packages and servers here."""

import contextlib
import io
from datetime import date, datetime
from types import SimpleNamespace

import pandas as pd
import pytest

from bt_microcap.commands.ingest import main as ingest
from bt_microcap.feeds.sources import Request, clock, download
from bt_microcap.feeds.store import MarketStore
from tests.support.jqdata_server import JqdataServer
from tests.support.little_market import LittleMarket, trading_days
from tests.support.tushare_server import NO_PERMISSION, TOKEN, TushareServer

pytestmark = pytest.mark.filterwarnings('ignore:The inplace keyword', 'ignore:Parsing integer or float values')

CODES = ['600111.XSHG', '600112.XSHG', '000118.XSHE', '600121.XSHG']  # always traded
FIRST, LAST = date(2024, 3, 7), date(2024, 3, 14)
DAYS = trading_days(FIRST, LAST)  # a Thursday to a Thursday
STOCK, SPLIT = CODES[:2]
PAYS = date(2024, 3, 13)  # of STOCK


class Ingested(SimpleNamespace):
    """What a run of the command gave."""

    @property
    def table(self):
        return MarketStore.open(self.store).table().set_index(['code', 'date']).sort_index()

    @property
    def days(self):
        return sorted({day.date() for _, day in self.table.index})

    @property
    def about(self):
        return MarketStore.open(self.store).about


class Ingest:
    """The command, on a server."""

    def __init__(self, source, server, store):
        self.source, self.server, self.store, self.now, self.waits = source, server, store, datetime(2024, 6, 3, 12), []

    def __call__(self, *options, start=FIRST, end=LAST):
        self.server.calls.clear()
        self.waits.clear()
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = ingest([self.source, '--start', str(start), '--end', str(end), '--store', str(self.store), *options])
        return Ingested(status=status, out=out.getvalue(), err=err.getvalue(), store=self.store,
                        waits=[wait for wait in self.waits if wait >= 1],
                        calls=[call[0] for call in self.server.calls], asked=[call[:2] for call in self.server.calls])

    def at(self, *moment):
        self.now = datetime(*moment)
        if hasattr(self.server, 'today'):
            self.server.today = self.now.date()
        return self


@contextlib.contextmanager
def served(source, server, folder, monkeypatch):
    with server:
        server.patch(monkeypatch)
        monkeypatch.setenv('TUSHARE_TOKEN', TOKEN)
        made = Ingest(source, server, folder / 'store')
        monkeypatch.setattr(clock, 'sleep', made.waits.append)
        monkeypatch.setattr(clock, 'now', lambda: made.now)
        yield made


def market():
    stocks = LittleMarket().stocks
    return LittleMarket([stocks[code] for code in CODES])


@pytest.fixture
def tushare(tmp_path, monkeypatch):
    pytest.importorskip('tushare')
    with served('tushare', TushareServer(market(), points=5000), tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def joinquant(tmp_path, monkeypatch):
    with served('joinquant', JqdataServer(market()), tmp_path, monkeypatch) as made:
        yield made


def restate(made, day, code=STOCK):
    """Change what the market says of a stock's day; return it."""
    row = made.server.market.row(code, day)
    row.volume, row.amount, row.total_shares = row.volume + 10_000, row.amount + row.close * 10_000, row.total_shares + 1e6
    return row


def assert_told(table, row, cap=1.0):
    found = table.loc[(row.code, pd.Timestamp(row.day))]
    assert (found['close'], found['volume']) == (row.close, row.volume)
    assert found['market_cap'] == pytest.approx(row.market_cap, abs=cap)


def days_asked(done, call='daily'):
    return [asked['trade_date'] for name, asked in done.asked if name == call]


# ------------------------------------------------------------------------------------- refresh


@pytest.mark.parametrize(('days', 'end', 'first'), [(1, 14, 14), (2, 14, 13), (5, 14, 8), (2, 18, 15), (1, 17, 15), (2, 16, 14)])
def test_weekdays_are_counted_back_from_the_last_day(days, end, first):
    assert download.refresh_from(Request(refresh=days), date(2024, 3, end)) == date(2024, 3, first)
    assert download.refresh_from(Request(), date(2024, 3, end)) is None


def test_restated_rows_of_the_last_days_come_into_the_store(tushare):
    tushare()
    late, early = restate(tushare, date(2024, 3, 13)), restate(tushare, date(2024, 3, 11))
    assert tushare().calls == []
    done = tushare('--refresh', '2')
    assert done.status == 0
    assert days_asked(done) == days_asked(done, 'daily_basic') == ['20240313', '20240314']
    assert_told(done.table, late)
    assert done.table.loc[(STOCK, pd.Timestamp(2024, 3, 11)), 'volume'] == early.volume - 10_000
    assert len(done.table) == 4 * len(DAYS)
    again = tushare()
    assert again.calls == []  # what was asked anew is kept
    assert_told(again.table, late)


def test_restated_rows_of_a_stock_come_into_the_store(tushare):
    codes = ['--codes', STOCK, SPLIT]
    tushare(*codes)
    late, early = restate(tushare, date(2024, 3, 13)), restate(tushare, date(2024, 3, 11))
    done = tushare(*codes, '--refresh', '2')
    assert [(asked['start_date'], asked['end_date']) for name, asked in done.asked if name == 'daily'] == [
        ('20240313', '20240314')] * 2
    assert_told(done.table, late)
    assert done.table.loc[(STOCK, pd.Timestamp(2024, 3, 11)), 'volume'] == early.volume - 10_000
    assert len(done.table) == 2 * len(DAYS)
    assert tushare(*codes).calls == []


def test_restated_rows_of_joinquant_come_into_the_store(joinquant):
    joinquant()
    late, early = restate(joinquant, date(2024, 3, 13)), restate(joinquant, date(2024, 3, 11))
    done = joinquant('--refresh', '2')
    assert [asked['start_date'][:10] for name, asked in done.asked if name in ('get_price', 'get_valuation', 'get_extras')] == [
        '2024-03-13'] * 3
    assert_told(done.table, late, cap=10_000)
    assert done.table.loc[(STOCK, pd.Timestamp(2024, 3, 11)), 'volume'] == early.volume - 10_000
    assert len(done.table) == 4 * len(DAYS)
    assert joinquant().calls == []


def test_dividends_of_the_last_days_are_asked_for_anew(tushare, monkeypatch):
    rows = tushare.server._dividend
    with monkeypatch.context() as patch:
        patch.setattr(tushare.server, '_dividend', lambda asked: [])
        assert tushare().table['cash_dividend'].isna().all()
    assert tushare.server._dividend == rows
    done = tushare('--refresh', '2')
    assert done.table['cash_dividend'].dropna().to_dict() == {(STOCK, pd.Timestamp(PAYS)): 0.5}


def test_a_refreshed_day_that_comes_empty_leaves_what_is_there(tushare):
    tushare()
    tushare.server.empty['daily'] = 5
    done = tushare('--refresh', '2')
    assert done.status == 2
    assert 'tushare daily 2024-03-13: 5 answers without rows' in done.err
    again = tushare()
    assert (again.status, again.calls) == (0, [])
    assert len(again.table) == 4 * len(DAYS)


def test_what_a_refresh_takes_back_is_gone(tushare, monkeypatch):
    assert tushare().table['cash_dividend'].count() == 1
    monkeypatch.setattr(tushare.server, '_dividend', lambda asked: [])  # the service took it back
    done = tushare('--refresh', '2')
    assert done.status == 0, done.err
    assert done.waits == []
    assert done.table['cash_dividend'].isna().all()


@pytest.mark.parametrize('options', [(), ('--codes', STOCK, SPLIT)])
def test_a_refresh_that_may_not_ask_for_limits_keeps_those_that_are_there(tushare, options):
    before = tushare(*options).table
    tushare.server.errors['stk_limit'] = [NO_PERMISSION.format('stk_limit')] * 99
    done = tushare(*options, '--refresh', '2')
    assert done.status == 0
    pd.testing.assert_series_equal(done.table['high_limit'], before['high_limit'])
    assert before['high_limit'].notna().all()


def test_a_refresh_up_to_an_earlier_day_keeps_the_later_answers(tushare):
    codes = ['--codes', STOCK, SPLIT]
    tushare(*codes)
    tushare(*codes, '--refresh', '1', end=date(2024, 3, 12))
    done = tushare(*codes)
    assert done.calls == []
    assert len(done.table) == 2 * len(DAYS)


def test_an_interrupted_refresh_loses_nothing(tushare, monkeypatch):
    tushare()
    late = restate(tushare, date(2024, 3, 14))
    rows = tushare.server._daily_basic
    with monkeypatch.context() as patch:
        patch.setattr(download.Download, 'get', interrupt_at(download.Download.get, 'daily_basic', '2024-03-14'))
        assert tushare('--refresh', '2').status == 130
    assert tushare.server._daily_basic == rows
    assert len(tushare().table) == 4 * len(DAYS)
    assert_told(tushare('--refresh', '2').table, late)


def interrupt_at(get, *at):
    def interrupted(self, call, key, *arguments, **named):
        if (call, key) == at:
            raise KeyboardInterrupt
        return get(self, call, key, *arguments, **named)

    return interrupted


# ------------------------------------------------------------------------------------ the last day


@pytest.mark.parametrize(('hour', 'minute', 'last'), [(16, 30, DAYS[-2]), (16, 59, DAYS[-2]), (17, 0, DAYS[-1])])
def test_the_day_itself_is_asked_for_from_five_o_clock_on(tushare, hour, minute, last):
    tushare.at(2024, 3, 14, hour, minute)
    done = tushare(end=date(2024, 12, 31))
    assert done.status == 0
    assert days_asked(done)[-1] == f'{last:%Y%m%d}'
    assert done.days == [day for day in DAYS if day <= last]
    assert 'last_day' not in done.about


def late_rows(server, monkeypatch, call, left):
    """Let a call tell of its last day only so many rows."""
    rows = getattr(server, f'_{call}')

    def told(asked):
        found = list(rows(asked))
        late = [row for row in found if row['trade_date'] == '20240314']
        return [row for row in found if row not in late[left:]]

    monkeypatch.setattr(server, f'_{call}', told)


@pytest.mark.parametrize(('call', 'left'), [('daily_basic', 0), ('daily_basic', 1), ('daily', 0), ('daily', 1)])
def test_a_last_day_that_is_not_complete_is_left_out_and_said(tushare, monkeypatch, call, left):
    tushare.at(2024, 3, 14, 17)
    with monkeypatch.context() as patch:
        late_rows(tushare.server, patch, call, left)
        done = tushare()
    assert done.status == 0
    assert done.days == DAYS[:-1]
    assert done.about['last_day'] == '2024-03-14 is not complete at the source yet, and was left out'
    assert '2024-03-14 is not complete at the source yet' in done.out
    assert '0 of 4 stocks ended before the last day' in done.out
    assert done.waits == []
    assert days_asked(done, call)[-1] == '20240314'
    assert days_asked(done, call).count('20240314') == 1
    evening = tushare.at(2024, 3, 14, 20)()
    assert evening.days == DAYS
    assert 'last_day' not in evening.about
    assert 'not complete' not in evening.out


@pytest.mark.parametrize('call', ['daily', 'daily_basic'])
def test_a_limit_by_the_minute_and_an_error_of_http_are_waited_for_on_the_day_itself_too(tushare, call):
    tushare.at(2024, 3, 14, 12)()
    tushare.at(2024, 3, 14, 17)
    tushare.server.errors[call] = ['抱歉，您访问接口频率超限(200次/分钟)']
    done = tushare()
    assert (done.status, done.waits) == (0, [60.0]), done.err
    assert done.days == DAYS
    tushare.server.status[call] = [502]
    done = tushare()
    assert done.status == 0, done.err
    assert done.days == DAYS


def test_the_rows_of_the_day_itself_are_asked_for_again_the_next_day(tushare):
    tushare.at(2024, 3, 14, 18)()
    row = restate(tushare, LAST)
    done = tushare.at(2024, 3, 15, 12)()
    assert days_asked(done) == ['20240314']
    assert_told(done.table, row)
    assert tushare().calls == []


def test_of_a_few_stocks_a_last_day_that_most_lack_is_left_out_and_said(tushare, monkeypatch):
    tushare.at(2024, 3, 14, 17)
    rows = tushare.server._daily
    monkeypatch.setattr(tushare.server, '_daily', lambda asked: [
        row for row in rows(asked) if row['trade_date'] != '20240314' or row['ts_code'] == '600111.SH'])
    done = tushare('--codes', *CODES)
    assert done.status == 0
    assert done.days == DAYS[:-1]
    assert 'not complete at the source yet' in done.about['last_day']


@pytest.mark.parametrize('options', [(), ('--codes', STOCK, SPLIT)])
def test_on_a_weekend_nothing_is_missing(tushare, options):
    done = tushare.at(2024, 3, 16, 18)(*options, end=date(2024, 12, 31))  # a Saturday
    assert done.status == 0
    assert done.days == trading_days(FIRST, date(2024, 3, 15))
    assert 'last_day' not in done.about


def not_there(server, monkeypatch, codes):
    """Let the prices of some stocks of the last day be there no more than those of a stock that is not listed."""
    values = server._stock_values
    monkeypatch.setattr(server, '_stock_values', lambda code, day: None if day == LAST and code in codes else values(code, day))


def test_a_last_day_that_joinquant_has_of_one_stock_is_left_out_and_said(joinquant, monkeypatch):
    joinquant.at(2024, 3, 14, 16, 30)
    with monkeypatch.context() as patch:
        not_there(joinquant.server, patch, CODES[1:])
        done = joinquant()
    assert done.status == 0
    assert done.days == DAYS[:-1]
    assert done.about['last_day'] == '2024-03-14 is not complete at the source yet (1 of 4 stocks), and was left out'
    evening = joinquant.at(2024, 3, 14, 20)()
    assert evening.days == DAYS
    assert 'last_day' not in evening.about


@pytest.mark.parametrize('before', [False, True])
def test_valuations_of_the_day_itself_that_are_late_do_not_end_the_run(joinquant, monkeypatch, before):
    if before:  # the days before are in the cache: nothing but the last one is asked for
        joinquant.at(2024, 3, 14, 12)()
    joinquant.at(2024, 3, 14, 16, 30)
    tell = joinquant.server._tell_get_valuation

    def late(**asked):
        answer = tell(**asked)
        return answer._replace(rows=[row for row in answer.rows if row[1] != LAST])

    monkeypatch.setattr(joinquant.server, '_tell_get_valuation', late)
    done = joinquant()
    assert done.status == 0, done.err
    assert done.days in (DAYS, DAYS[:-1])
    assert done.days == DAYS[:-1] or 'estimated' in done.about['market_cap'] or done.about['last_day']
    assert done.table['market_cap'].notna().all()


# ---------------------------------------------------------------------------- what is complete


@pytest.mark.parametrize(('before', 'today', 'least'), [
    (0, False, 1), (0, True, 1), (1, True, 1), (12, False, 6), (12, True, 6), (99, True, 49), (100, True, 90), (100, False, 50),
    (5000, True, 4500), (5000, False, 2500), (2800, False, 1400)])
def test_least_rows(before, today, least):
    assert download.least_rows(before, today) == least


def table_of(code, days):
    table = pd.DataFrame({'date': pd.to_datetime(days).astype('datetime64[s]'), 'code': code, 'close': 1.0})
    table.attrs['source'] = f'of {code}'
    return table


def passed(tables, last, now=None):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, 'now', lambda: now or datetime.combine(LAST, datetime.min.time()))
        request = Request()
        found = list(download.whole_last_day(request, iter(tables), last))
    for table in found:
        assert table.attrs['source']
    return request, {(code, day.date()) for table in found for code, day in zip(table['code'], table['date'], strict=True)}


def test_tables_whose_last_day_is_over_pass_as_they_are():
    tables = [table_of('a', DAYS), table_of('b', DAYS[:2])]
    request, found = passed(tables, DAYS[-2])
    assert found == {*(('a', day) for day in DAYS), *(('b', day) for day in DAYS[:2])}
    assert request.about == {}


def test_a_last_day_that_half_of_the_stocks_have_passes_and_one_of_fewer_does_not():
    tables = [table_of(code, DAYS if code in 'ab' else DAYS[:-1]) for code in 'abcd']
    request, found = passed(tables, LAST)
    assert {code for code, day in found if day == LAST} == {'a', 'b'}
    assert request.about == {}
    tables = [table_of(code, DAYS if code == 'a' else DAYS[:-1]) for code in 'abcd']
    request, found = passed(tables, LAST)
    assert found == {(code, day) for code in 'abcd' for day in DAYS[:-1]}
    assert request.about['last_day'] == '2024-03-14 is not complete at the source yet (1 of 4 stocks), and was left out'


def test_stocks_that_ended_long_ago_do_not_make_the_last_day_look_incomplete():
    ended = [table_of(code, DAYS[:2]) for code in ('x', 'y', 'z')]
    request, found = passed([*ended, table_of('a', DAYS)], LAST)
    assert ('a', LAST) in found
    assert 'last_day' not in request.about


def test_a_stock_listed_on_the_last_day_itself_is_there():
    _, found = passed([table_of('a', DAYS), table_of('new', [LAST])], LAST)
    assert ('new', LAST) in found
