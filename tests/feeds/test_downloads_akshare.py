"""Downloads of akshare from end to end: the real package asks pages on this machine, and the command makes a store of it."""

import math
import re
from collections import Counter
from datetime import date, datetime

import pandas as pd
import pytest

from bt_microcap.feeds.sources import Request, clock
from bt_microcap.feeds.sources.download import whole_last_day
from tests.support.downloading import PRICES, Downloads, compare_rows
from tests.support.eastmoney_server import EastmoneyServer
from tests.support.little_market import Event, LittleMarket, Stock

NOON = datetime(2024, 6, 3, 12)  # a Monday
FIRST, LAST = date(2024, 5, 13), date(2024, 5, 31)
OLD = date(2010, 1, 4)
BONUS, VALUES, HISTORY, BARS = 'RPT_SHAREBONUS_DET', 'RPT_VALUEANALYSIS_DET', 'RPT_F10_EH_EQUITY', '/kline/'
EX_DATE = date(2024, 5, 22)
# a payer of every year, so that the reports by the ends of the years are never empty
PAYER = Stock('600111.XSHG', [(OLD, '甲股份')], 2.5e8, 10.0, events=[
    *(Event(date(year, 6, 12), 0.2) for year in (2016, 2017, 2022, 2023)), Event(EX_DATE, 0.5)])
SPLIT = Stock('000118.XSHE', [(OLD, '辛股份')], 2.8e8, 8.0, events=[Event(EX_DATE, 0.1, 2.0)])
HALTED = Stock('000113.XSHE', [(OLD, '丙股份')], 2.1e8, 11.0, suspended=(date(2024, 5, 27), date(2024, 5, 29)))
ST = Stock('000114.XSHE', [(OLD, '丁股份'), (date(2024, 3, 4), '*ST丁')], 3.0e8, 7.5)
STAR = Stock('688120.XSHG', [(date(2020, 1, 6), '癸股份')], 1.1e8, 21.0, listed=date(2020, 1, 6))
BEIJING = Stock('835122.BJSE', [(date(2022, 1, 4), '丑股份')], 1.0e8, 12.0, listed=date(2022, 1, 4))
ENDED = Stock('600116.XSHG', [(OLD, '己股份'), (date(2024, 5, 6), '退市己')], 1.0e8, 2.0, delisted=date(2024, 5, 29),
              last_row=date(2024, 5, 24))
ENDED_TOO = Stock('000104.XSHE', [(OLD, '寅股份'), (date(2024, 5, 6), '寅退')], 1.0e8, 2.0, delisted=date(2024, 5, 28),
                  last_row=date(2024, 5, 23))
STOCKS = [PAYER, SPLIT, HALTED, ST, STAR, BEIJING, ENDED, ENDED_TOO]
MARKET = LittleMarket(STOCKS, FIRST, LAST)
LISTS = {  # what is in the request of a list -> its name, and the stocks that are in no other
    'STOCK_TYPE=1&': ('stock_info_sh_name_code 主板A股', ['600111.XSHG']),
    'STOCK_TYPE=8&': ('stock_info_sh_name_code 科创板', ['688120.XSHG']),
    'CATALOGID=1110': ('stock_info_sz_name_code A股列表', ['000113.XSHE', '000114.XSHE', '000118.XSHE']),
    'nqxxCnzq': ('stock_info_bj_name_code', ['835122.BJSE']),
    'COMPANY_STATUS=3': ('stock_info_sh_delist 全部', ['600116.XSHG']),
    '1793_ssgs': ('stock_info_sz_delist 终止上市公司', ['000104.XSHE']),
}
EXCHANGES = ('query.sse.com.cn', 'www.szse.cn', 'www.bse.cn')
BARRED = 'eastmoney bars an address that asks for much: start again after some hours or from another network'


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Return a function that lets the pages tell a market."""
    pytest.importorskip('akshare')
    pytest.importorskip('openpyxl')
    servers = []

    def start(market=MARKET, now=NOON):
        server = EastmoneyServer(market).__enter__()
        servers.append(server)
        server.patch(monkeypatch)
        downloads = Downloads(monkeypatch, tmp_path, 'akshare', server, now)
        server.today = min(now.date(), market.days[-1])
        return downloads

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def traded(market, codes=None):
    """Return a market without its suspended days, of which the source has no rows."""
    found = LittleMarket([], FIRST, FIRST)
    found.rows = {key: row for key, row in market.rows.items() if not row.paused and (codes is None or key[0] in codes)}
    return found


def compare(downloads, market=MARKET, codes=None, store='store'):
    """Hold rows and market caps against the market's."""
    found, wanted = downloads.rows(store), traded(market, codes)
    compare_rows(found, wanted, market.stocks, PRICES)
    for key, row in wanted.rows.items():
        assert found[key].market_cap == pytest.approx(row.total_shares * row.close, abs=0.01), key


def asked(downloads, what):
    return [params for host, path, params in downloads.made if what in f'{host}{path}?{params.get("reportName", "")}']


def kept(downloads, code):
    return sorted(path.parent.name for path in (downloads.folder / 'store.cache').glob(f'akshare/*/{code}.parquet'))


def events(downloads):
    return {key: (row.cash_dividend, row.share_ratio) for key, row in downloads.rows().items()
            if not math.isnan(row.cash_dividend)}


# ---------------------------------------------------------------------------------- the whole way


def test_the_market_becomes_a_store_that_a_backtest_runs_on(serve):
    market = LittleMarket([PAYER, HALTED, ST, *LittleMarket().stocks.values()], date(2023, 12, 20), LAST)
    market = LittleMarket([stock for stock in market.stocks.values() if not stock.old_code], date(2023, 12, 20), LAST)
    downloads = serve(market)
    downloads.download('2023-12-20', '2024-05-31', '--benchmark', '000300')
    compare(downloads, market)
    printed, summary = downloads.backtest('--start', '2024-01-05', '--benchmark', '000300')
    assert int(re.search(r'^trades +(\d+)$', printed, re.MULTILINE)[1]) > 20
    assert 'not given by the source: ex-rights are those of dividends, rights issues are not known' in printed
    assert '"source": "akshare"' in summary


def test_prices_caps_and_the_delisting_period_of_every_stock_are_right(serve):
    downloads = serve()
    outcome = downloads.download(FIRST, LAST)
    compare(downloads)
    ended = Counter(code for (code, _), row in downloads.rows().items() if row.delisting_period)
    assert ended == {'600116.XSHG': 10, '000104.XSHE': 9}  # all there are: the period began before
    listings = downloads.store().reference_table('listings').set_index('code')
    assert listings['delisted'].dropna().dt.date.to_dict() == {'600116.XSHG': date(2024, 5, 29), '000104.XSHE': date(2024, 5, 28)}
    assert '2 of 8 stocks ended before the last day' in outcome.out
    assert 'stocks' not in downloads.store().about


def test_dividends_by_ten_shares_become_those_of_a_share(serve):
    downloads = serve()
    downloads.download(FIRST, LAST)
    assert events(downloads) == {('600111.XSHG', EX_DATE): (0.5, 1.0), ('000118.XSHE', EX_DATE): (0.1, 2.0)}


def test_dividends_of_a_half_year_are_asked_for_too(serve):
    downloads = serve()
    plain = downloads.server._bonuses

    def bonuses(report):
        if report != '2023-06-30':
            return plain(report)
        row = next(row for row in plain('2023-12-31') if row['SECURITY_CODE'] == '000118')
        return [row | {'REPORT_DATE': '2023-06-30 00:00:00', 'EX_DIVIDEND_DATE': '2024-05-16 00:00:00', 'PRETAX_BONUS_RMB': 3.0,
                       'BONUS_IT_RATIO': 4.0, 'IT_RATIO': None}]

    downloads.server._bonuses = bonuses
    downloads.download(FIRST, LAST)
    assert events(downloads) == {('600111.XSHG', EX_DATE): (0.5, 1.0), ('000118.XSHE', EX_DATE): (0.1, 2.0),
                                 ('000118.XSHE', date(2024, 5, 16)): (0.3, 1.4)}


def test_what_is_only_planned_is_no_dividend(serve):
    downloads = serve(now=datetime(2024, 5, 14, 18))  # told of on 05-15
    downloads.download(FIRST, '2024-05-14')
    assert events(downloads) == {}
    downloads.now, downloads.server.today = NOON, LAST
    downloads.download(FIRST, LAST)  # what was planned then is asked for again
    assert events(downloads) == {('600111.XSHG', EX_DATE): (0.5, 1.0), ('000118.XSHE', EX_DATE): (0.1, 2.0)}


def test_a_half_year_without_an_answer_is_asked_again_and_said(serve):
    downloads = serve()
    outcome = downloads.download(FIRST, LAST, '--codes', '600111.XSHG')
    reports = Counter(re.search(r"'(\d{4}-\d\d-\d\d)'", params['filter'])[1] for params in asked(downloads, BONUS))
    assert set(reports) >= {'2022-06-30', '2022-12-31', '2023-06-30', '2023-12-31'}
    assert reports['2022-06-30'] == reports['2023-06-30'] == 3
    assert 'not known are those by the reports of 2022-06-30, 2023-06-30: no answer' in outcome.out
    assert 'not known are those by the reports of' in downloads.store().about['dividends']


def test_an_annual_report_whose_dividends_are_paid_now_is_not_lost_to_an_empty_answer(serve):
    downloads = serve()
    plain, times = downloads.server._bonuses, []

    def bonuses(report):
        if report == '2023-12-31':
            times.append(report)
        return plain(report) if report != '2023-12-31' or len(times) > 1 else []  # busy once

    downloads.server._bonuses = bonuses
    downloads.download(FIRST, LAST)
    assert events(downloads) == {('600111.XSHG', EX_DATE): (0.5, 1.0), ('000118.XSHE', EX_DATE): (0.1, 2.0)}


def test_pages_that_have_no_dividends_at_all_end_the_download(serve):
    downloads = serve()
    downloads.server.empty = {BONUS}
    line = downloads.refused(FIRST, LAST, '--codes', '600111.XSHG')
    assert 'akshare stock_fhps_em 2022-06-30: 5 answers without rows' in line
    assert BARRED in line


# ------------------------------------------------------------------------------- caps before 2018


def test_caps_before_2018_are_those_of_the_share_history(serve):
    market = LittleMarket([Stock('600111.XSHG', [(OLD, '甲')], 1e8, 10.0, events=[
        *(Event(date(year, 6, 14), 0.2) for year in (2015, 2016)), Event(date(2017, 6, 14), 0.1, 2.0)])],
        date(2017, 5, 2), date(2018, 1, 31))
    downloads = serve(market, datetime(2018, 2, 5, 12))
    downloads.download('2017-05-02', '2018-01-31', '--codes', '600111.XSHG')
    compare(downloads, market)
    shares = {day: round(row.market_cap / row.close) for (_, day), row in downloads.rows().items()}
    assert (shares[date(2017, 6, 13)], shares[date(2017, 6, 14)]) == (100_000_000, 200_000_000)
    assert len(asked(downloads, HISTORY)) == 1
    downloads.download('2017-05-02', '2017-07-31', '--codes', '600111.XSHG', store='early')
    assert asked(downloads, VALUES) == []
    assert min(day for _, day in downloads.rows('early')) == date(2017, 5, 2)
    compare(downloads, LittleMarket(list(market.stocks.values()), date(2017, 5, 2), date(2017, 7, 31)), store='early')


def test_from_2018_on_no_share_history_is_asked_for(serve):
    downloads = serve()
    downloads.download(FIRST, LAST)
    assert asked(downloads, HISTORY) == []


def test_caps_that_come_some_days_late_are_asked_for_later(serve):
    downloads = serve(now=datetime(2024, 5, 24, 12))
    plain = downloads.server._values
    downloads.server._values = lambda code: [row for row in plain(code) if row['TRADE_DATE'] < '2024-05-22']
    downloads.download(FIRST, '2024-05-23')
    downloads.server._values = plain
    downloads.now, downloads.server.today = NOON, LAST
    downloads.download(FIRST, LAST)
    compare(downloads)


# ----------------------------------------------------------------------------------- how it asks


def test_there_are_seconds_between_two_calls_and_minutes_after_a_refusal(serve):
    downloads = serve()
    downloads.server.drop = {'000118'}
    downloads.refused(FIRST, LAST, '--codes', '600111.XSHG', '000118.XSHE')
    minutes = [wait for wait in downloads.waits if wait >= 60]
    assert minutes[-4:] == [60.0, 120.0, 240.0, 480.0]
    pauses = [wait for wait in downloads.waits if 0 < wait < 60 and wait != 5.0]  # 5 s before optional lists are asked again
    assert len(pauses) > 10
    assert all(3.0 <= wait <= 5.0 for wait in pauses)
    assert len({round(wait, 6) for wait in pauses}) == len(pauses)  # none is like the other


def test_how_long_it_takes_is_said_before(serve):
    downloads = serve()
    told = downloads.download(FIRST, LAST, '--codes', '600111.XSHG').err
    found = re.search(r'akshare: about (\d+) calls, a call every 3 to 5 s: about (\d+) s', told)
    assert int(found[2]) == 4 * int(found[1])


def test_every_request_has_a_time_out(serve):
    downloads = serve()
    downloads.download(FIRST, LAST, '--benchmark', '000300')
    assert len(downloads.server.timeouts) > 30
    assert [(path, limit) for path, limit in downloads.server.timeouts if not limit or limit > 60] == []


@pytest.mark.parametrize('trouble, name', [({'status': 429}, 'Rate limit exceeded'), ({'status': 502}, 'Status code: 502'),
                                           ({'drop': True}, 'Failed to connect')])
def test_the_packages_own_errors_are_the_networks(serve, trouble, name):
    downloads = serve()
    if 'status' in trouble:
        downloads.server.status = {VALUES: trouble['status']}
    else:
        downloads.server.drop = {VALUES}
    line = downloads.refused(FIRST, LAST, '--codes', '600111.XSHG')
    assert 'akshare stock_value_em 600111.XSHG: no answer in 5 attempts' in line
    assert name in line
    assert BARRED in line
    assert [wait for wait in downloads.waits if wait >= 60][-4:] == [60.0, 120.0, 240.0, 480.0]
    downloads.server.status, downloads.server.drop = {}, set()
    downloads.download(FIRST, LAST, '--codes', '600111.XSHG')
    assert asked(downloads, BARS) == []  # it goes on
    compare(downloads, codes=['600111.XSHG'])


@pytest.mark.parametrize('status', [429, 502, 503])
@pytest.mark.parametrize('page', [BARS, VALUES])
def test_an_error_that_passes_costs_some_minutes(serve, page, status):
    downloads = serve()
    downloads.server.status = {page: [status] * 4}
    downloads.download(FIRST, LAST, '--codes', '600111.XSHG')
    compare(downloads, codes=['600111.XSHG'])


@pytest.mark.parametrize('trouble', [502, 429])
def test_an_error_that_passes_while_dividends_are_asked_for_does_not_end_the_download(serve, trouble):
    downloads = serve()
    downloads.server.status = {'2022-12-31': [trouble]}
    downloads.download(FIRST, LAST, '--codes', '600111.XSHG')
    assert events(downloads) == {('600111.XSHG', EX_DATE): (0.5, 1.0)}


# --------------------------------------------------------------------------- nothing is no answer


@pytest.mark.parametrize('page, call', [(BARS, 'stock_zh_a_hist'), (VALUES, 'stock_value_em')])
def test_nothing_for_a_live_stock_is_asked_again_then_said_and_never_kept(serve, page, call):
    downloads = serve()
    downloads.server.empty = {'0.000118' if page == BARS else '(SECURITY_CODE="000118")'}
    line = downloads.refused(FIRST, LAST, '--codes', '600111.XSHG', '000118.XSHE')
    assert f'error: akshare {call} 000118.XSHE: 5 answers without rows, where there must be some' in line
    assert BARRED in line
    assert 'nothing of them is kept, what was read before is' in line
    assert [wait for wait in downloads.waits if wait >= 60][-4:] == [60.0, 120.0, 240.0, 480.0]
    assert kept(downloads, '000118.XSHE') == ([] if page == BARS else ['stock_zh_a_hist'])
    assert kept(downloads, '600111.XSHG') == ['stock_value_em', 'stock_zh_a_hist']
    outcome = downloads.download(FIRST, LAST, '--codes', '600111.XSHG', '000118.XSHE', '--skip-bad')
    assert f'left out: akshare {call} 000118.XSHE: 5 answers without rows' in outcome.out
    assert f'left out: akshare {call} 000118.XSHE' in downloads.report()
    compare(downloads, codes=['600111.XSHG'])
    downloads.server.empty = set()
    downloads.download(FIRST, LAST, '--codes', '600111.XSHG', '000118.XSHE')
    compare(downloads, codes=['600111.XSHG', '000118.XSHE'])


def test_nothing_for_the_share_history_of_a_live_stock_is_no_answer(serve):
    market = LittleMarket([PAYER, SPLIT], date(2017, 5, 2), date(2017, 6, 30))
    downloads = serve(market, datetime(2017, 7, 3, 12))
    downloads.server.empty = {'000118.SZ'}
    codes = ('--codes', '600111.XSHG', '000118.XSHE')
    line = downloads.refused('2017-05-02', '2017-06-30', *codes)
    assert 'error: akshare stock_zh_a_gbjg_em 000118.XSHE: 5 answers without rows' in line
    assert kept(downloads, '000118.XSHE') == ['stock_zh_a_hist']
    outcome = downloads.download('2017-05-02', '2017-06-30', *codes, '--skip-bad')
    assert 'left out: akshare stock_zh_a_gbjg_em 000118.XSHE' in outcome.out
    compare(downloads, market, codes=['600111.XSHG'])
    downloads.server.empty = set()
    downloads.download('2017-05-02', '2017-06-30', *codes)
    compare(downloads, market)


def test_pages_that_have_nothing_for_a_stock_that_ended_do_not_end_the_download(serve):
    downloads = serve()
    downloads.server.empty = {'1.600116'}
    outcome = downloads.download(FIRST, LAST)
    assert 'left out: akshare stock_zh_a_hist 600116.XSHG: 1 answers without rows' in outcome.out
    compare(downloads, codes=[code for code in MARKET.stocks if code != '600116.XSHG'])
    downloads.server.empty = set()
    downloads.download(FIRST, LAST)
    compare(downloads)


def test_an_update_of_a_suspended_stock_is_no_error_and_costs_one_call_more(serve):
    downloads = serve(now=datetime(2024, 5, 27, 12))
    codes = ('--codes', '600111.XSHG', '000113.XSHE')
    downloads.download(FIRST, '2024-05-24', *codes)
    downloads.now, downloads.server.today = datetime(2024, 5, 30, 12), date(2024, 5, 29)
    downloads.download(FIRST, '2024-05-29', *codes)
    spans = [(params['secid'], params['beg'], params['end']) for params in asked(downloads, BARS)]
    assert spans == [('1.600111', '20240525', '20240529'), ('0.000113', '20240525', '20240529'),
                     ('0.000113', '19901219', '20240529')]
    assert downloads.minutes()[-1:] != [480.0]
    downloads.download(FIRST, '2024-05-29', *codes)
    assert asked(downloads, BARS) == []  # proved by older rows
    downloads.now, downloads.server.today = NOON, LAST
    downloads.download(FIRST, LAST, *codes)
    assert [(params['secid'], params['beg']) for params in asked(downloads, BARS)] == [
        ('1.600111', '20240530'), ('0.000113', '20240530')]
    compare(downloads, codes=['600111.XSHG', '000113.XSHE'])


# ------------------------------------------------------------------------ the lists of the exchanges


@pytest.mark.parametrize('text', LISTS)
@pytest.mark.parametrize('trouble', ['drop', 'empty'])
def test_each_list_of_an_exchange_can_be_done_without(serve, text, trouble):
    downloads = serve()
    name, only = LISTS[text]
    if trouble == 'drop':
        downloads.server.drop = {text}
    else:
        plain = downloads.server._page
        downloads.server._page = lambda place, params: (
            None if text in f'{place}?' + ''.join(f'{key}={value}&' for key, value in params.items()) else plain(place, params))
    outcome = downloads.download(FIRST, LAST)
    told = downloads.store().about['stocks']
    assert told.startswith(f'not known are those of the lists that were not read: {name} (akshare {name}: ')
    assert told in outcome.out
    compare(downloads, codes=[code for code in MARKET.stocks if code not in only])
    del downloads.server.__dict__['_page' if trouble == 'empty' else 'drop']
    downloads.server.drop = set()
    downloads.download(FIRST, LAST)
    compare(downloads)
    assert 'stocks' not in downloads.store().about


def test_a_list_that_is_not_read_in_an_update_does_not_end_its_stocks(serve):
    downloads = serve(now=datetime(2024, 5, 24, 18))
    downloads.download(FIRST, '2024-05-24')
    downloads.now, downloads.server.today, downloads.server.drop = NOON, LAST, {'www.szse.cn'}
    outcome = downloads.download(FIRST, LAST)
    assert '2 of 8 stocks ended before the last day' in outcome.out


def test_without_any_list_codes_must_be_given(serve):
    downloads = serve()
    downloads.server.drop = set(EXCHANGES)
    line = downloads.refused(FIRST, LAST)
    assert 'akshare stock_info_sh_name_code 主板A股: no answer in 2 attempts' in line
    assert 'without a list of an exchange give --codes' in line
    assert asked(downloads, 'eastmoney') == []


def test_with_codes_no_list_of_an_exchange_is_asked_for(serve):
    downloads = serve()
    downloads.server.drop = set(EXCHANGES)
    downloads.download(FIRST, LAST, '--codes', '600111.XSHG', '835122.BJSE')
    assert not any(host in EXCHANGES for host, _, _ in downloads.made)
    compare(downloads, codes=['600111.XSHG', '835122.BJSE'])
    assert downloads.store().about['delisting_period'].startswith('not known, no column: with --codes')


@pytest.mark.parametrize('text, what', [('m:0 f:4', 'is_st'), ('swsresearch', 'industries'), ('csindex', 'constituents')])
def test_what_is_beside_the_market_can_be_done_without(serve, text, what):
    downloads = serve()
    downloads.server.drop = {text}
    outcome = downloads.download(FIRST, LAST, '--codes', '600111.XSHG', '--benchmark', '000300')
    assert f'note: {what}: not known, as not read: akshare ' in outcome.out
    compare(downloads, codes=['600111.XSHG'])


# ------------------------------------------------------------------------------- the last day


def test_today_is_left_out_where_some_stocks_have_no_row_of_it_yet(serve):
    downloads = serve(now=datetime(2024, 5, 31, 16, 30))
    plain = downloads.server._rows
    downloads.server._rows = lambda stock: [row for row in plain(stock) if row.day < LAST or stock.code == '600111.XSHG']
    outcome = downloads.download(FIRST, LAST)
    assert downloads.store().span()[1] == date(2024, 5, 30)
    assert '2024-05-31 is not complete at the source yet (1 of 6 stocks), and was left out' in outcome.out
    assert '2 of 8 stocks ended before the last day' in outcome.out
    downloads.server._rows = plain
    downloads.now = datetime(2024, 5, 31, 20)
    downloads.download(FIRST, LAST)
    compare(downloads)


def test_stocks_that_ended_long_ago_do_not_make_today_look_incomplete(monkeypatch):
    monkeypatch.setattr(clock, 'now', lambda: datetime(2024, 5, 31, 18))

    def table(number):
        days = [date(2024, 2, 1), date(2024, 2, 2)] if number < 15 else [date(2024, 5, 30), LAST]
        found = pd.DataFrame({'date': pd.to_datetime(days).astype('datetime64[s]'), 'code': f'{600200 + number}.XSHG'})
        found.attrs['source'] = f'stock {number}'
        return found

    request = Request()
    found = pd.concat(whole_last_day(request, map(table, range(100)), LAST))
    assert 'last_day' not in request.about
    assert int((found['date'] == pd.Timestamp(LAST)).sum()) == 85


@pytest.mark.parametrize('hour, last', [((15, 59), date(2024, 5, 30)), ((16, 0), date(2024, 5, 31))])
def test_a_day_is_asked_for_from_four_oclock_on(serve, hour, last):
    downloads = serve(now=datetime(2024, 5, 31, *hour))
    downloads.download(FIRST, LAST, '--codes', '600111.XSHG')
    assert {params['end'] for params in asked(downloads, BARS)} == {f'{last:%Y%m%d}'}
    assert downloads.store().span()[1] == last


def test_the_last_days_are_asked_for_anew(serve):
    downloads = serve()
    downloads.download(FIRST, LAST, '--codes', '600111.XSHG')
    downloads.download(FIRST, LAST, '--codes', '600111.XSHG', '--refresh', '3')
    assert [(params['beg'], params['end']) for params in asked(downloads, BARS)] == [('20240529', '20240531')]
    compare(downloads, codes=['600111.XSHG'])
