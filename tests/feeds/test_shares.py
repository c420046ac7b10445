"""Total shares for the market caps of baostock: histories of two services, quarterly reports, a file.

Prices that do not move tell the caps by hand: a stock that is suspended on all days keeps its price but for ex-dates.
"""

import math
import re
from datetime import date, datetime

import pytest

from tests.support.downloading import Downloads
from tests.support.eastmoney_server import EastmoneyServer
from tests.support.little_market import Event, LittleMarket, Stock
from tests.support.script_calls import call, one_error_line
from tests.support.socket_services import BaostockServer, TdxServer

NOON = datetime(2024, 6, 3, 12)
FIRST, LAST = date(2024, 4, 1), date(2024, 5, 31)
OLD = date(2010, 1, 4)
EX_DATE, NEW_SHARES = date(2024, 4, 10), date(2024, 4, 24)
REPORTS = 'query_profit_data'
UNFIT = 'unfit for ranking by market cap'
ALL_DAYS = (date(2023, 1, 1), date(2025, 1, 1))


def still(code, events=()):
    """A stock of 100,000,000 shares at 10 yuan that is never traded."""
    return Stock(code, [(OLD, '股')], 1e8, 10.0, suspended=ALL_DAYS, events=list(events))


# a stock that trades, as a market without any is none; bonus shares 10 for 10 with 0.1 yuan: (10.00 - 0.10) / 2 = 4.95;
# a rights issue that makes 11 of 10 shares: 10.00 / 1.1 = 9.09
STOCKS = [Stock('600111.XSHG', [(OLD, '甲股份')], 2.5e8, 10.0), still('600112.XSHG', [Event(EX_DATE, 0.1, 2.0)]),
          still('300115.XSHE', [Event(NEW_SHARES, ratio=1.1, rights=True)]), still('000118.XSHE')]
MARKET = LittleMarket(STOCKS, FIRST, LAST)
HISTORY = ['code,date,shares', '600111.XSHG,2010-01-04,250000000', '600112.XSHG,2010-01-04,100000000',
           '600112.XSHG,2024-04-10,200000000', '300115.XSHE,2010-01-04,100000000', '300115.XSHE,2024-04-24,110000000',
           '000118.XSHE,2010-01-04,100000000']
STEPS = {  # day from which on -> market cap
    '600112.XSHG': {date(2024, 1, 1): 1e9, EX_DATE: 9.9e8},  # 100,000,000 x 10.00, then 200,000,000 x 4.95
    '300115.XSHE': {date(2024, 1, 1): 1e9, NEW_SHARES: 9.999e8},  # then 110,000,000 x 9.09
    '000118.XSHE': {date(2024, 1, 1): 1e9},
}


class Services:
    """All that tell of shares, of one market."""

    def __init__(self, monkeypatch, folder, market, now, servers):
        self.monkeypatch, self.folder = monkeypatch, folder
        self.baostock, self.eastmoney, self.tdx = servers
        self.downloads = Downloads(monkeypatch, folder, 'baostock', self.baostock, now)

    def source(self, name):
        """Return what --shares is given."""
        if name == 'mootdx':
            pytest.importorskip('mootdx')
            home = self.folder / 'home'
            home.mkdir(exist_ok=True)
            self.tdx.patch(self.monkeypatch, home)
        if name == 'akshare':
            pytest.importorskip('akshare')
            self.eastmoney.patch(self.monkeypatch)
        if name != 'file':
            return name
        return self.file(*HISTORY)

    def file(self, *lines, name='shares.csv'):
        path = self.folder / name
        path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
        return path

    def at(self, now):
        """Let it be another day, of which all have heard."""
        self.downloads.now = now
        self.baostock.today = self.eastmoney.today = self.tdx.today = min(now.date(), self.baostock.market.days[-1])


@pytest.fixture
def serve(monkeypatch, tmp_path):
    pytest.importorskip('baostock')
    running = []

    def start(market=MARKET, now=NOON):
        servers = [kind(market).__enter__() for kind in (BaostockServer, EastmoneyServer, TdxServer)]
        running.extend(servers)
        servers[0].patch(monkeypatch)
        services = Services(monkeypatch, tmp_path, market, now, servers)
        services.at(now)
        return services

    yield start
    for server in running:
        server.__exit__(None, None, None)


def caps(downloads, code, store='store'):
    return {day: row.market_cap for (one, day), row in downloads.rows(store).items() if one == code}


def by_steps(steps, days):
    return {day: steps[max(since for since in steps if since <= day)] for day in days}


def days_from(first):
    return [day for day in MARKET.days if day >= first]


# ------------------------------------------------------------------------------- each source


@pytest.mark.parametrize('name', ['akshare', 'mootdx', 'file'])
@pytest.mark.parametrize('start', [FIRST, EX_DATE, date(2024, 5, 6)])
def test_a_history_gives_the_caps_of_every_day(serve, name, start):
    services = serve()
    services.downloads.download(start, LAST, '--shares', services.source(name))
    for code, steps in STEPS.items():
        assert caps(services.downloads, code) == by_steps(steps, days_from(start)), code
    for day, cap in caps(services.downloads, '600111.XSHG').items():
        assert cap == round(2.5e8 * MARKET.row('600111.XSHG', day).close, 2)
    about = services.downloads.store().about['market_cap']
    assert UNFIT not in about
    assert about.startswith({'akshare': 'total shares of akshare stock_zh_a_gbjg_em x close',
                             'mootdx': 'total shares of mootdx xdxr x close',
                             'file': 'total shares of the file shares.csv x close'}[name])


# the report by 2023-12-31 is published on 2024-04-20, that by 2024-03-31 on 04-28: new shares of a rights issue on 04-24 are in
# no report before that by 2024-06-30
REPORTED = STEPS | {'300115.XSHE': {date(2024, 1, 1): 1e9, NEW_SHARES: 9.09e8}}


@pytest.mark.parametrize('start', [FIRST, date(2024, 4, 11), date(2024, 5, 6), date(2024, 5, 31),
                                   EX_DATE])
def test_reports_give_the_caps_with_bonus_shares_on_their_ex_date(serve, start):
    services = serve()
    services.downloads.download(start, LAST, '--shares', 'baostock')
    for code, steps in REPORTED.items():
        assert caps(services.downloads, code) == by_steps(steps, days_from(start)), code
    about = services.downloads.store().about['market_cap']
    assert about.startswith('total shares of baostock query_profit_data')
    for part in ('publication', 'bonus shares', 'ex-dates', 'next report'):
        assert part in about


def test_a_run_on_it_trades_and_does_not_say_unfit(serve):
    services = serve(LittleMarket())
    outcome = services.downloads.download('2023-12-20', '2024-05-31', '--shares', 'baostock')
    printed, summary = services.downloads.backtest('--start', '2024-01-05')
    assert int(re.search(r'^trades +(\d+)$', printed, re.MULTILINE)[1]) > 20
    assert not any(UNFIT in text for text in (outcome.out, services.downloads.report(), printed, summary))


def test_the_market_is_asked_for_by_day_with_shares_too(serve):
    market = LittleMarket([*STOCKS, *(Stock(f'{600200 + number}.XSHG', [(OLD, '股')], 2e8, 10.0) for number in range(60))],
                          date(2024, 4, 8), date(2024, 4, 19))
    services = serve(market, datetime(2024, 4, 22, 12))
    services.downloads.download('2024-04-08', '2024-04-19', '--shares', services.source('mootdx'))
    assert 'query_history_k_data_plus' not in [name for name, _ in services.downloads.made]
    assert caps(services.downloads, '600112.XSHG') == by_steps(STEPS['600112.XSHG'], market.days)
    assert len(services.tdx.calls) - services.tdx.call_names().count('setup') == 64


# ---------------------------------------------------------------------------- what was known when


def report(code, published, by, shares):
    return [code, published, by, '0.03', '0.2', '', '1.0', '0.4', '', f'{shares:.2f}', f'{shares:.2f}']


def tell_reports(services, code, reports):
    """Let a stock have these reports and no other: (year, quarter) -> published, by, shares."""
    plain = services.baostock._query_profit_data

    def answer(arguments):
        if arguments[2] != code:
            return plain(arguments)
        found = reports.get((int(arguments[3]), int(arguments[4])))
        return [] if found is None else [report(code, *found)]

    services.baostock.answers[REPORTS] = answer


def test_a_report_counts_from_the_day_of_its_publication_on(serve):
    services = serve()
    tell_reports(services, 'sz.000118', {(2023, 3): ('2023-10-28', '2023-09-30', 1.0e8),
                                         (2024, 1): ('2024-04-26', '2024-03-31', 1.3e8)})
    services.downloads.download(FIRST, LAST, '--shares', 'baostock')
    found = caps(services.downloads, '000118.XSHE')
    assert found == by_steps({FIRST: 1.0e9, date(2024, 4, 26): 1.3e9}, MARKET.days)
    assert found[date(2024, 4, 25)] == 1.0e9


def test_a_report_after_the_last_day_changes_nothing(serve):
    services = serve()
    tell_reports(services, 'sz.000118', {(2023, 3): ('2023-10-28', '2023-09-30', 1.0e8),
                                         (2024, 1): ('2024-06-01', '2024-03-31', 7.0e8)})
    services.downloads.download(FIRST, LAST, '--shares', 'baostock')
    assert set(caps(services.downloads, '000118.XSHE').values()) == {1.0e9}


def test_of_two_reports_of_a_day_the_newer_counts_and_an_older_one_that_comes_later_does_not(serve):
    services = serve()
    tell_reports(services, 'sz.000118', {(2023, 3): ('2023-10-28', '2023-09-30', 1.0e8),
                                         (2023, 4): ('2024-04-26', '2023-12-31', 1.1e8),
                                         (2024, 1): ('2024-04-26', '2024-03-31', 1.2e8)})
    services.downloads.download(FIRST, LAST, '--shares', 'baostock')
    assert caps(services.downloads, '000118.XSHE') == by_steps({FIRST: 1.0e9, date(2024, 4, 26): 1.2e9}, MARKET.days)
    tell_reports(services, 'sz.000118', {(2023, 3): ('2023-10-28', '2023-09-30', 1.0e8),
                                         (2023, 4): ('2024-05-20', '2023-12-31', 1.1e8),
                                         (2024, 1): ('2024-04-26', '2024-03-31', 1.2e8)})
    services.downloads.download(FIRST, LAST, '--shares', 'baostock', store='other')
    assert caps(services.downloads, '000118.XSHE', 'other') == by_steps({FIRST: 1.0e9, date(2024, 4, 26): 1.2e9}, MARKET.days)


def test_before_the_first_report_of_a_new_stock_its_cap_is_not_known(serve):
    services = serve()
    tell_reports(services, 'sz.000118', {(2024, 1): ('2024-04-26', '2024-03-31', 1.2e8)})
    services.downloads.download(FIRST, LAST, '--shares', 'baostock')
    found = caps(services.downloads, '000118.XSHE')
    assert {day for day, cap in found.items() if math.isnan(cap)} == {day for day in MARKET.days if day < date(2024, 4, 26)}
    assert {found[day] for day in days_from(date(2024, 4, 26))} == {1.2e9}


def test_a_report_that_has_the_bonus_shares_is_not_multiplied_by_them(serve):
    services = serve()
    tell_reports(services, 'sh.600112', {(2023, 3): ('2023-10-28', '2023-09-30', 1.0e8),
                                         (2024, 1): ('2024-04-26', '2024-04-15', 2.0e8)})  # by a day after the ex-date
    services.downloads.download(FIRST, LAST, '--shares', 'baostock')
    assert caps(services.downloads, '600112.XSHG') == by_steps(STEPS['600112.XSHG'], MARKET.days)


def test_bonus_shares_between_the_last_report_and_the_first_day_are_asked_for_where_there_may_be_some(serve):
    services = serve()
    services.downloads.download('2024-05-27', LAST, '--shares', 'baostock', '--codes', '600112.XSHG')
    assert set(caps(services.downloads, '600112.XSHG').values()) == {9.9e8}
    assert [arguments[2:] for name, arguments in services.downloads.made if name == 'query_dividend_data'] == [
        ['sh.600112', '2024', 'operate']]


def test_reports_are_asked_for_once_and_late_ones_again(serve):
    services = serve()
    services.downloads.download(FIRST, LAST, '--shares', 'baostock')
    asked = [tuple(arguments[2:]) for name, arguments in services.downloads.made if name == REPORTS]
    assert sorted(asked) == sorted((code, '2023' if quarter else '2024', str(quarter or 1)) for quarter in (0, 1, 2, 3, 4)
                                   for code in ('sh.600111', 'sh.600112', 'sz.300115', 'sz.000118'))
    services.downloads.download(FIRST, LAST, '--shares', 'baostock')
    assert REPORTS not in [name for name, _ in services.downloads.made]


@pytest.mark.parametrize('runs', [1, 2])
def test_a_report_that_a_busy_service_did_not_tell_once_is_not_taken_for_missing(serve, runs):
    services, seen = serve(), []
    reports = {(2023, 2): ('2023-08-28', '2023-06-30', 1.0e8), (2023, 3): ('2023-10-28', '2023-09-30', 1.5e8)}
    tell_reports(services, 'sz.000118', reports)
    told = services.baostock.answers[REPORTS]

    def busy_once(arguments):
        if runs == 2 and arguments[2:] == ['sz.000118', '2023', '3'] and not seen:
            seen.append(arguments)
            return []
        return told(arguments)

    services.baostock.answers[REPORTS] = busy_once
    for _ in range(runs):
        services.downloads.download(FIRST, LAST, '--shares', 'baostock')
    assert set(caps(services.downloads, '000118.XSHE').values()) == {1.5e9}


# ----------------------------------------------------------------------- histories and ex-dates


@pytest.mark.parametrize('name', ['akshare', 'mootdx'])
def test_a_history_that_is_asked_for_on_an_ex_date_counts_its_bonus_shares_once(serve, name):
    services = serve(now=datetime(2024, 4, 10, 18))
    source = services.source(name)
    services.downloads.download(FIRST, '2024-04-10', '--shares', source, '--codes', '600111.XSHG', '600112.XSHG')
    assert caps(services.downloads, '600112.XSHG')[EX_DATE] == 9.9e8
    services.at(datetime(2024, 4, 15, 18))
    services.downloads.download(FIRST, '2024-04-15', '--shares', source, '--codes', '600111.XSHG', '600112.XSHG')
    found = caps(services.downloads, '600112.XSHG')
    assert found == by_steps(STEPS['600112.XSHG'], [day for day in MARKET.days if day <= date(2024, 4, 15)])


@pytest.mark.parametrize('name', ['akshare', 'mootdx'])
def test_bonus_shares_after_a_history_was_asked_for_are_followed_without_asking_again(serve, name):
    services = serve(now=datetime(2024, 4, 9, 18))
    source = services.source(name)
    services.downloads.download(FIRST, '2024-04-09', '--shares', source, '--codes', '600111.XSHG', '600112.XSHG')
    services.at(datetime(2024, 4, 15, 18))
    asked = len(services.eastmoney.calls) + len(services.tdx.calls)
    services.downloads.download(FIRST, '2024-04-15', '--shares', source, '--codes', '600111.XSHG', '600112.XSHG')
    assert len(services.eastmoney.calls) + len(services.tdx.calls) == asked
    found = caps(services.downloads, '600112.XSHG')
    assert found == by_steps(STEPS['600112.XSHG'], [day for day in MARKET.days if day <= date(2024, 4, 15)])
    services.at(datetime(2024, 5, 20, 18))  # a month later it is asked for anew
    services.downloads.download(FIRST, '2024-05-20', '--shares', source, '--codes', '600111.XSHG', '600112.XSHG')
    assert len(services.eastmoney.calls) + len(services.tdx.calls) > asked
    found = caps(services.downloads, '600112.XSHG')
    assert found == by_steps(STEPS['600112.XSHG'], [day for day in MARKET.days if day <= date(2024, 5, 20)])


def test_bonus_shares_after_the_last_day_of_a_file_are_followed(serve):
    services = serve()
    path = services.file('code,date,shares', '600111.XSHG,2010-01-04,250000000', '600112.XSHG,2010-01-04,100000000')
    services.downloads.download(FIRST, LAST, '--shares', path)
    assert caps(services.downloads, '600112.XSHG') == by_steps(STEPS['600112.XSHG'], MARKET.days)
    about = services.downloads.store().about['market_cap']
    assert about.endswith('; none known of 2 stocks: 000118.XSHE, 300115.XSHE')


def test_a_file_may_date_bonus_shares_some_days_before_their_ex_date(serve):
    services = serve()
    path = services.file(*[line.replace('2024-04-10', '2024-04-08') for line in HISTORY if '2024-04-24' not in line])
    services.downloads.download(EX_DATE, LAST, '--shares', path)
    assert caps(services.downloads, '600112.XSHG') == by_steps(STEPS['600112.XSHG'], days_from(EX_DATE))


# --------------------------------------------------------------------------- services that fail


def test_an_empty_share_history_of_a_live_stock_is_asked_again_and_not_kept(serve):
    services = serve()
    source = services.source('akshare')
    services.eastmoney.empty = {'000118.SZ'}
    line = services.downloads.refused(FIRST, LAST, '--shares', source)
    assert 'akshare stock_zh_a_gbjg_em 000118.XSHE: ' in line
    assert [wait for wait in services.downloads.waits if wait >= 60] == [60.0, 120.0, 240.0, 480.0]
    assert not list((services.folder / 'store.cache').glob('akshare/*/000118.XSHE*'))
    services.eastmoney.empty.clear()
    services.downloads.download(FIRST, LAST, '--shares', source)
    assert set(caps(services.downloads, '000118.XSHE').values()) == {1e9}


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')  # of mootdx, as it lets go
def test_a_tdx_server_that_is_down_is_tried_again_and_said_in_one_line(serve):
    services = serve()
    source = services.source('mootdx')
    services.tdx.stop()
    line = services.downloads.refused(FIRST, LAST, '--shares', source)
    assert 'mootdx xdxr ' in line and 'no answer in 5 attempts' in line


def test_a_connection_to_tdx_that_breaks_off_is_made_anew(serve):
    services = serve()
    source = services.source('mootdx')
    services.tdx.close_after(5)
    services.downloads.download(FIRST, LAST, '--shares', source)
    for code, steps in STEPS.items():
        assert caps(services.downloads, code) == by_steps(steps, MARKET.days), code


def test_shares_of_a_stock_that_ended_may_be_unknown_and_are_said(serve):
    gone = Stock('600116.XSHG', [(OLD, '己'), (date(2024, 4, 1), '退市己')], 1e8, 2.0, delisted=date(2024, 5, 10),
                 last_row=date(2024, 5, 6))
    services = serve(LittleMarket([*STOCKS, gone], FIRST, LAST))
    source = services.source('akshare')
    services.eastmoney.empty = {'600116.SH'}
    services.downloads.download(FIRST, LAST, '--shares', source)
    assert all(math.isnan(cap) for cap in caps(services.downloads, '600116.XSHG').values())
    assert services.downloads.store().about['market_cap'].endswith('; none known of 1 stocks: 600116.XSHG')
    assert set(caps(services.downloads, '000118.XSHE').values()) == {1e9}


# --------------------------------------------------------------------------------- files


@pytest.mark.parametrize('lines, said', [
    (['code,date,shares', '600111.XSHG,2010-01-04,25000', '600112.XSHG,2010-01-04,10000'], [
        'column shares: found 17500 in the middle', 'multiply what is in 万股 by 10,000']),
    (['code,date,amount', '600111.XSHG,2010-01-04,250000000'], ['missing column shares: found code, date, amount']),
    (['code,shares', '600111.XSHG,250000000'], ['missing column date: found code, shares']),
    (['code,date,shares', '600111.XSHG,2010-01-04,250000000', '600112.XSHG,2010-01-04,许多'], [
        "line 3, column shares: found '许多', expected total shares above 0"]),
    (['code,date,shares', '600111.XSHG,2010-01-04,0'], ['line 2, column shares: found 0, expected total shares above 0']),
    (['code,date,shares', '600111.XSHG,2010-01-04,'], ['line 2, column shares: found nothing']),
    (['code,date,shares', '600111.XSHG,昨天,250000000'], ["line 2, column date: found '昨天', expected a day"]),
    (['code,date,shares', 'abc,2010-01-04,250000000'], ["line 2, column code: found 'abc', expected a code"]),
    (['code,date,shares'], ['found no rows']),
])
def test_a_file_that_is_wrong_is_one_line(serve, lines, said):
    services = serve()
    line = services.downloads.refused(FIRST, LAST, '--shares', services.file(*lines))
    assert 'shares.csv' in line
    for part in said:
        assert part in line


def test_a_file_may_have_chinese_headings(serve):
    services = serve()
    path = services.file(*[line.replace('code,date,shares', '代码,变更日期,总股本').replace('.XSHG', '').replace('.XSHE', '')
                           for line in HISTORY])
    services.downloads.download(FIRST, LAST, '--shares', path)
    for code, steps in STEPS.items():
        assert caps(services.downloads, code) == by_steps(steps, MARKET.days), code


def test_shares_that_are_no_service_and_no_file_are_refused_before_anything_is_asked(serve):
    services = serve()
    line = services.downloads.refused(FIRST, LAST, '--shares', 'wind')
    assert '--shares wind: found no such file, expected one of akshare, mootdx, baostock, or a table with code, date' in line
    assert services.downloads.made == []


@pytest.mark.parametrize('source', ['tushare', 'akshare', 'joinquant', 'xbx'])
def test_shares_go_with_baostock_alone(source, tmp_path):
    inputs = [tmp_path] if source == 'xbx' else []
    line = one_error_line(call('ingest', source, *inputs, '--start', '2024-01-02', '--store', tmp_path / 'store', '--shares',
                               'baostock'))
    assert f'--shares goes with baostock: {source} has market caps' in line


# ---------------------------------------------------------------------------- a store before


def test_a_store_that_was_unfit_is_made_fit_by_the_same_command_with_shares(serve):
    services = serve()
    services.downloads.download(FIRST, LAST)
    assert UNFIT in services.downloads.store().about['market_cap']
    outcome = services.downloads.download(FIRST, LAST, '--shares', services.source('file'))
    store = services.downloads.store()
    assert not any(UNFIT in str(text) for text in store.about.values())
    assert UNFIT not in outcome.out + services.downloads.report()
    for code, steps in STEPS.items():
        assert caps(services.downloads, code) == by_steps(steps, MARKET.days), code


def test_rows_that_stay_without_shares_keep_the_store_unfit(serve):
    services = serve()
    services.downloads.download(FIRST, LAST)
    outcome = services.downloads.download('2024-05-06', LAST, '--shares', services.source('file'))
    assert UNFIT in outcome.out
    assert UNFIT in services.downloads.store().about['market_cap']
