"""Downloads of baostock from end to end: the real client asks a server on this machine, and the command makes a store of it."""

import json
import math
import re
from collections import Counter
from datetime import date, datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bt_microcap.feeds.sources import baostock_client, clock
from bt_microcap.feeds.sources.baostock_tables import FIELDS
from tests.support.downloading import Downloads, compare_rows
from tests.support.little_market import Event, LittleMarket, Stock
from tests.support.script_calls import call
from tests.support.socket_services import BaostockServer, symbol

BARS, DAY, DIVIDENDS = 'query_history_k_data_plus', 'query_daily_history_k_AStock', 'query_dividend_data'
NOON = datetime(2024, 6, 3, 12)  # a Monday
OLD = date(2010, 1, 4)
FIRST, LAST = date(2024, 5, 13), date(2024, 5, 31)  # 15 days, on which the big market is open
UNFIT = 'unfit for ranking by market cap'

LITTLE = LittleMarket()
SHANGHAI_AND_SHENZHEN = [code for code in LITTLE.stocks if not code.endswith('BJSE')]


def big_market(*more, first=FIRST, last=LAST, stocks=60):
    """A market of so many stocks that it is fewer calls by day."""
    plain = [Stock(f'{600200 + number}.XSHG', [(OLD, f'股{number}')], 4.2e8 + 2e6 * number, 10.0) for number in range(stocks)]
    return LittleMarket([*plain, *more], first, last)


SPLIT = Stock('000101.XSHE', [(OLD, '甲')], 1e8, 10.0, events=[Event(date(2024, 5, 23), 0.1, 2.0)])
RIGHTS = Stock('300102.XSHE', [(OLD, '乙')], 1e8, 10.0, events=[Event(date(2024, 5, 22), ratio=1.1, rights=True)])
HALTED = Stock('000103.XSHE', [(OLD, '丙')], 1e8, 10.0, suspended=(date(2024, 5, 20), date(2024, 5, 24)))
ENDED = Stock('600104.XSHG', [(OLD, '丁'), (date(2024, 5, 1), '退市丁')], 1e8, 2.0, delisted=date(2024, 5, 30),
              last_row=date(2024, 5, 24))
NEW = Stock('600105.XSHG', [(date(2024, 5, 27), '戊')], 1e8, 10.0, listed=date(2024, 5, 27))
BIG = big_market(SPLIT, RIGHTS, HALTED, ENDED, NEW)


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Return a function that lets a server tell a market."""
    pytest.importorskip('baostock')
    servers = []

    def start(market, now=NOON, **options):
        server = BaostockServer(market, **options).__enter__()
        servers.append(server)
        server.patch(monkeypatch)
        return Downloads(monkeypatch, tmp_path, 'baostock', server, now)

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def counts(downloads):
    return Counter(name for name, _ in downloads.made)


def days_asked(downloads):
    return [arguments[0] for name, arguments in downloads.made if name == DAY]


def answer(server, method, change):
    """Let all rows of a method's answers pass through a function, that is given the arguments, too."""
    plain = getattr(server, f'_{method}')
    server.answers[method] = lambda arguments: change(plain(arguments), arguments)


# ------------------------------------------------------------------------------ the whole way


def test_the_little_market_becomes_a_store_that_a_backtest_runs_on(serve):
    downloads = serve(LITTLE)
    downloads.download('2023-12-20', '2024-05-31', '--benchmark', '000300')
    found = downloads.rows()
    compare_rows(found, LITTLE, SHANGHAI_AND_SHENZHEN, ('open', 'high', 'low', 'close', 'preclose', 'volume', 'amount', 'is_st',
                                                        'paused'))
    events = {key: (row.cash_dividend, row.share_ratio) for key, row in found.items() if not math.isnan(row.share_ratio)}
    assert events == {('600111.XSHG', date(2024, 3, 13)): (0.5, 1.0), ('600112.XSHG', date(2024, 4, 10)): (0.1, 2.0)}
    store = downloads.store()
    assert set(store.reference_table('constituents')['index']) == {'000300'}
    listings = store.reference_table('listings').set_index('code')
    assert listings['delisted'].dropna().dt.date.to_dict() == {'600116.XSHG': date(2024, 3, 26)}
    assert store.about['stocks'] == 'those of Beijing are not given by the source'
    printed, summary = downloads.backtest('--start', '2024-01-05', '--benchmark', '000300')
    assert int(re.search(r'^trades +(\d+)$', printed, re.MULTILINE)[1]) > 0
    assert json.loads(summary)['data_about']['source'] == 'baostock'


def test_without_shares_all_say_that_it_is_unfit_for_ranking_by_market_cap(serve):
    downloads = serve(LITTLE)
    outcome = downloads.download('2023-12-20', '2024-05-31')
    for key, row in downloads.rows().items():  # of 000118 nine tenths are float shares, of 600112 a fifth
        assert row.market_cap == row.circ_market_cap
        if not LITTLE.row(*key).paused:
            assert row.market_cap == pytest.approx(LITTLE.row(*key).float_shares * row.close, rel=1e-4), key
    assert UNFIT in downloads.store().about['market_cap']
    assert UNFIT in outcome.out
    assert UNFIT in downloads.report()
    printed, summary = downloads.backtest('--start', '2024-01-05')
    assert UNFIT in printed
    assert UNFIT in summary
    refused = call('backtest', '--data', downloads.folder / 'store', '--min-cap', '9e12', '--max-cap', '9.1e12',
                   '--out', downloads.folder / 'no')
    assert refused.status == 2
    assert 'no market cap of the data lies between' in refused.err and UNFIT in refused.err


def test_the_delisting_period_is_the_last_15_traded_days(serve):
    downloads = serve(LITTLE)
    downloads.download('2023-12-20', '2024-05-31')
    ended = sorted(key for key, row in downloads.rows().items() if row.delisting_period)
    assert {code for code, _ in ended} == {'600116.XSHG'}
    assert (ended[0][1], ended[-1][1], len(ended)) == (date(2024, 3, 1), date(2024, 3, 21), 15)
    assert 'last name has 退' in downloads.store().about['delisting_period']


def test_a_day_in_the_delisting_period_on_which_it_was_suspended_does_not_count(serve):
    stock = Stock('600116.XSHG', [(OLD, '己'), (date(2024, 4, 26), '退市己')], 1e8, 2.0, delisted=date(2024, 5, 29),
                  last_row=date(2024, 5, 24), suspended=(date(2024, 5, 13), date(2024, 5, 14)))
    downloads = serve(big_market(stock, first=date(2024, 4, 15), stocks=40))
    downloads.download('2024-04-15', '2024-05-31')
    assert counts(downloads)[DAY] == len(downloads.server.market.days)  # by day
    ended = sorted(key for key, row in downloads.rows().items() if row.delisting_period)
    # 17 weekdays from 2024-05-02 to 05-24 with two on which nothing was traded; this market is open on 05-02 and 05-03
    assert (ended[0][1], ended[-1][1], len(ended)) == (date(2024, 5, 2), date(2024, 5, 24), 17)


# ------------------------------------------------------------------------------------- by day


def test_the_whole_market_is_one_call_a_day_and_equals_the_market(serve):
    downloads = serve(BIG)
    downloads.download(FIRST, LAST)
    made = counts(downloads)
    assert days_asked(downloads) == [str(day) for day in BIG.days]
    assert BARS not in made
    found = downloads.rows()
    compare_rows(found, BIG, BIG.stocks, ('open', 'high', 'low', 'close', 'preclose', 'volume', 'amount', 'is_st', 'paused'))
    events = {key: (row.cash_dividend, row.share_ratio) for key, row in found.items() if not math.isnan(row.share_ratio)}
    assert events == {('000101.XSHE', date(2024, 5, 23)): (0.1, 2.0)}
    assert {code for (code, _), row in found.items() if row.delisting_period} == {'600104.XSHG'}
    downloads.backtest('--start', '2024-05-15')


def test_an_update_of_a_day_is_one_call_however_many_stocks_there_are(serve):
    downloads = serve(BIG, now=datetime(2024, 5, 30, 18))
    downloads.server.today = date(2024, 5, 30)
    downloads.download(FIRST, '2024-05-30')
    downloads.server.today, downloads.now = date(2024, 5, 31), datetime(2024, 5, 31, 18)
    downloads.download(FIRST, '2024-05-31')
    made = counts(downloads)
    assert days_asked(downloads) == ['2024-05-30', '2024-05-31']  # that which was not over is asked for again
    assert (made[BARS], made[DIVIDENDS]) == (0, 0)
    downloads.now = NOON
    downloads.download(FIRST, LAST)
    assert days_asked(downloads) == ['2024-05-31']
    downloads.download(FIRST, LAST)
    assert downloads.made == []
    compare_rows(downloads.rows(), BIG, BIG.stocks)


def test_an_older_client_without_the_call_is_asked_stock_by_stock_and_tells_the_same(serve, monkeypatch):
    downloads = serve(BIG)
    downloads.download(FIRST, LAST, store='by-day')
    package = pytest.importorskip('baostock')
    monkeypatch.delattr(package, DAY)
    downloads.download(FIRST, LAST, store='by-stock')
    made = counts(downloads)
    assert (made[DAY], made[BARS]) == (0, 65)
    one, other = (downloads.store(name).table() for name in ('by-day', 'by-stock'))
    pd.testing.assert_frame_equal(one[sorted(one)], other[sorted(other)])


@pytest.mark.parametrize('codes', [3, 65])
def test_named_stocks_are_asked_for_by_day_where_that_is_fewer_calls(serve, codes):
    downloads = serve(BIG)
    wanted = sorted(BIG.stocks)[:codes]
    downloads.download(FIRST, LAST, '--codes', *wanted)
    made = counts(downloads)
    assert (made[DAY], made[BARS]) == ((0, 3) if codes == 3 else (15, 0))
    compare_rows(downloads.rows(), BIG, wanted)


def earlier_download(downloads, until_of):
    """Write what a download stock by stock left in the cache: no word of whether its last days were proved to be empty."""
    folder = downloads.folder / 'store.cache' / 'baostock' / BARS
    folder.mkdir(parents=True)
    for code, until in until_of.items():
        bars = downloads.server._query_history_k_data_plus(['1', '2000', symbol(code), FIELDS, str(FIRST), str(until), 'd', '3'])
        table = pa.Table.from_pandas(pd.DataFrame(bars, columns=FIELDS.split(',')), preserve_index=False)
        days = {**table.schema.metadata, 'days': f'{FIRST} {until}'}
        pq.write_table(table.replace_schema_metadata(days), folder / f'{code}.parquet')


def test_a_download_stock_by_stock_is_gone_on_with_by_day(serve):
    downloads = serve(BIG)
    earlier_download(downloads, {code: date(2024, 5, 24) for code in BIG.stocks if code != '600105.XSHG'})
    downloads.download(FIRST, LAST)
    assert counts(downloads)[BARS] == 0
    after = ['2024-05-27', '2024-05-28', '2024-05-29', '2024-05-30', '2024-05-31']
    assert sorted(set(days_asked(downloads))) in (after, ['2024-05-13', *after])  # one day tells how far back days go
    compare_rows(downloads.rows(), BIG, BIG.stocks)


def test_an_update_stock_by_stock_that_was_interrupted_doubles_nothing(serve):
    market = big_market(SPLIT, Stock('600104.XSHG', [(OLD, '丁'), (date(2024, 5, 6), '退市丁')], 1e8, 2.0,
                                     delisted=date(2024, 6, 3), last_row=date(2024, 5, 29)))
    downloads = serve(market)
    held = {code: date(2024, 5, 22) for code in market.stocks} | dict.fromkeys(('000101.XSHE', '600104.XSHG'), date(2024, 5, 28))
    earlier_download(downloads, held)
    downloads.download(FIRST, LAST, '--shares', 'baostock')
    assert counts(downloads)[BARS] == 0
    found = downloads.rows()
    compare_rows(found, market, market.stocks)
    split = {day: row for (code, day), row in found.items() if code == '000101.XSHE'}
    assert {day: row.share_ratio for day, row in split.items() if not math.isnan(row.share_ratio)} == {date(2024, 5, 23): 2.0}
    shares = {day: round(row.market_cap / row.close) for day, row in split.items()}
    assert set(shares.values()) == {100_000_000, 200_000_000}
    assert min(day for day, number in shares.items() if number == 200_000_000) == date(2024, 5, 23)


def test_days_without_a_history_are_asked_for_stock_by_stock(serve):
    downloads = serve(BIG)
    answer(downloads.server, DAY, lambda rows, arguments: rows if arguments[0] >= '2024-05-20' else [])
    downloads.download(FIRST, LAST)
    assert counts(downloads)[BARS] == 65
    assert counts(downloads)[DAY] <= 4
    compare_rows(downloads.rows(), BIG, BIG.stocks)


def test_a_service_that_answers_no_day_at_all_is_busy_and_not_without_a_history(serve):
    downloads = serve(BIG)
    answer(downloads.server, DAY, lambda rows, arguments: [])
    line = downloads.refused(FIRST, LAST)
    assert f'baostock {DAY} 2024-05-31: 2 answers without rows, where there must be some' in line
    assert BARS not in counts(downloads)


def test_a_day_with_just_as_many_rows_as_a_page_is_not_asked_for_a_second_one(serve):
    market = big_market(stocks=60)
    downloads = serve(market, page=60)
    downloads.download(FIRST, LAST)
    assert days_asked(downloads) == [str(day) for day in market.days]
    compare_rows(downloads.rows(), market, market.stocks)


def test_the_last_days_are_asked_for_anew_for_rows_that_were_restated(serve):
    downloads = serve(BIG)
    downloads.download(FIRST, LAST)
    place = 8  # of the amount, between the volume and adjustflag

    def restated(rows, arguments):
        return [[*row[:place], '123.0000', *row[place + 1:]] if row[1] == 'sh.600200' else row for row in rows]

    answer(downloads.server, DAY, restated)
    downloads.download(FIRST, LAST, '--refresh', '3')
    assert set(days_asked(downloads)) == {'2024-05-29', '2024-05-30', '2024-05-31'}
    found = downloads.rows()
    assert [day.day for (code, day), row in found.items() if row.amount == 123.0 and code == '600200.XSHG'] == [29, 30, 31]


# ---------------------------------------------------------------------------------- dividends


def test_dividends_are_asked_for_where_the_reference_price_jumps_and_not_again(serve):
    downloads = serve(LITTLE)
    downloads.download('2023-12-20', '2024-05-31')
    asked = sorted(arguments[2:] for name, arguments in downloads.made if name == DIVIDENDS)
    assert asked == [['sh.600111', '2024', 'operate'], ['sh.600112', '2024', 'operate'],
                     *[['sz.300115', '2024', 'operate']] * 2]  # which has none: once more, to be sure
    rights = downloads.rows()['300115.XSHE', date(2024, 3, 20)]  # asked for, and found to be no dividend: the preclose tells it
    before = LITTLE.row('300115.XSHE', date(2024, 3, 19)).close
    assert rights.preclose == round(before / 1.1, 2)
    assert math.isnan(rights.cash_dividend) and math.isnan(rights.share_ratio)
    downloads.download('2023-12-20', '2024-05-31')
    assert DIVIDENDS not in counts(downloads)


def test_a_later_span_that_begins_on_an_ex_date_has_its_dividend(serve):
    downloads = serve(LITTLE)
    downloads.download('2024-02-20', '2024-03-12')
    downloads.download('2024-03-13', '2024-03-29')
    assert downloads.rows()['600111.XSHG', date(2024, 3, 13)].cash_dividend == 0.5
    assert min(day for _, day in downloads.rows()) == date(2024, 2, 20)


def test_dividends_by_day_are_asked_for_once_a_stock_and_year(serve):
    split = Stock('000101.XSHE', [(OLD, '甲')], 1e8, 10.0, events=[
        Event(date(2024, 5, 16), 0.2), Event(date(2024, 5, 23), 0.1, 2.0), Event(date(2024, 5, 30), 0.3)])
    downloads = serve(big_market(split))
    downloads.download(FIRST, LAST)
    assert [arguments[2:] for name, arguments in downloads.made if name == DIVIDENDS] == [['sz.000101', '2024', 'operate']]
    cash = {day: row.cash_dividend for (code, day), row in downloads.rows().items() if not math.isnan(row.cash_dividend)}
    assert cash == {date(2024, 5, 16): 0.2, date(2024, 5, 23): 0.1, date(2024, 5, 30): 0.3}


def test_a_dividend_of_a_day_on_which_a_stock_is_suspended_counts_once(serve):
    stock = Stock('000103.XSHE', [(OLD, '丙')], 1e8, 10.0, suspended=(date(2024, 5, 20), date(2024, 5, 24)),
                  events=[Event(date(2024, 5, 22), 0.2, 1.5)])
    for stocks in (2, 60):  # stock by stock, and by day
        downloads = serve(big_market(stock, stocks=stocks))
        downloads.download(FIRST, LAST, store=f'of-{stocks}')
        found = {day: (row.cash_dividend, row.share_ratio) for (code, day), row in downloads.rows(f'of-{stocks}').items()
                 if not math.isnan(row.cash_dividend)}
        assert found == {date(2024, 5, 22): (0.2, 1.5)}


# --------------------------------------------------------------------- nothing is no answer


def test_an_open_day_without_rows_is_asked_again_and_never_kept(serve):
    downloads = serve(BIG)
    answer(downloads.server, DAY, lambda rows, arguments: [] if arguments[0] == '2024-05-22' else rows)
    line = downloads.refused(FIRST, LAST)
    assert f'baostock {DAY} 2024-05-22: 5 answers without rows, where there must be some (an empty answer)' in line
    assert 'nothing of them is kept' in line
    assert days_asked(downloads) == [*(f'2024-05-{day}' for day in (13, 14, 15, 16, 17, 20, 21)), *['2024-05-22'] * 5]
    assert [wait for wait in downloads.waits if wait >= 2] == [2.0, 4.0, 8.0, 16.0]
    kept = sorted(path.stem for path in (downloads.folder / 'store.cache' / 'baostock' / DAY).iterdir())
    assert kept == [f'2024-05-{day}' for day in (13, 14, 15, 16, 17, 20, 21)]
    del downloads.server.answers[DAY]
    downloads.download(FIRST, LAST)
    assert days_asked(downloads) == [f'2024-05-{day}' for day in (22, 23, 24, 27, 28, 29, 30, 31)]
    compare_rows(downloads.rows(), BIG, BIG.stocks)


def test_an_open_day_is_never_skipped(serve):
    downloads = serve(BIG)
    answer(downloads.server, DAY, lambda rows, arguments: [] if arguments[0] == '2024-05-22' else rows)
    assert f'baostock {DAY} 2024-05-22: 5 answers without rows' in downloads.refused(FIRST, LAST, '--skip-bad')


@pytest.mark.parametrize('there', [20, 40])
def test_a_day_that_is_cut_off_is_asked_again(serve, there):
    downloads, seen = serve(BIG), []

    def broken_once(rows, arguments):
        if arguments[0] == '2024-05-22' and not seen:
            seen.append(arguments)
            return rows[:there]
        return rows

    answer(downloads.server, DAY, broken_once)
    downloads.download(FIRST, LAST)
    assert days_asked(downloads).count('2024-05-22') == 2
    compare_rows(downloads.rows(), BIG, BIG.stocks)


@pytest.mark.parametrize('by_day', [True, False])
def test_answers_that_are_empty_once_lose_no_row(serve, by_day):
    market = BIG if by_day else LITTLE
    downloads, seen = serve(market), set()

    def once_empty(rows, arguments):
        key, known = tuple(arguments), tuple(arguments) in seen
        seen.add(key)
        return rows if known else []

    answer(downloads.server, DAY, once_empty)
    answer(downloads.server, BARS, once_empty)
    downloads.download(market.days[0], LAST)
    compare_rows(downloads.rows(), market, [code for code in market.stocks if not code.endswith('BJSE')])


def test_a_live_stock_without_rows_is_an_error_or_left_out_and_said(serve):
    downloads = serve(LITTLE)
    answer(downloads.server, BARS, lambda rows, arguments: [] if arguments[2] == 'sz.000118' else rows)
    line = downloads.refused('2023-12-20', '2024-05-31')
    assert f'baostock {BARS} 000118.XSHE: 5 answers without rows' in line
    outcome = downloads.download('2023-12-20', '2024-05-31', '--skip-bad')
    assert f'left out: baostock {BARS} 000118.XSHE: 5 answers without rows' in outcome.out
    assert 'left out: ' in downloads.report()
    compare_rows(downloads.rows(), LITTLE, [code for code in SHANGHAI_AND_SHENZHEN if code != '000118.XSHE'])
    del downloads.server.answers[BARS]
    downloads.download('2023-12-20', '2024-05-31')
    assert {arguments[2] for name, arguments in downloads.made if name == BARS} == {'sz.000118'}
    compare_rows(downloads.rows(), LITTLE, SHANGHAI_AND_SHENZHEN)


# --------------------------------------------------------------------------- when a day is whole


@pytest.mark.parametrize('hour, last', [((17, 29), date(2024, 5, 30)), ((17, 30), date(2024, 5, 31))])
def test_a_day_is_asked_for_from_half_past_five_on(serve, hour, last):
    downloads = serve(BIG, now=datetime(2024, 5, 31, *hour))
    downloads.download(FIRST, '2024-05-31')
    assert days_asked(downloads)[-1] == str(last)
    assert downloads.store().span()[1] == last


@pytest.mark.parametrize('there', [0, 20, 57])  # of 64
def test_today_is_left_out_until_it_is_whole(serve, there):
    downloads = serve(BIG, now=datetime(2024, 5, 31, 18))
    answer(downloads.server, DAY, lambda rows, arguments: rows[:there] if arguments[0] == '2024-05-31' else rows)
    outcome = downloads.download(FIRST, '2024-05-31')
    if there == 57:  # so many were there on the day before, so few are not too few
        assert downloads.store().span()[1] == date(2024, 5, 31)
        return
    assert downloads.store().span()[1] == date(2024, 5, 30)
    assert '2024-05-31 is not complete at the source yet' in outcome.out
    assert '1 of 65 stocks ended before the last day' in outcome.out  # the one that was delisted
    del downloads.server.answers[DAY]
    outcome = downloads.download(FIRST, '2024-05-31')
    assert 'not complete' not in outcome.out
    compare_rows(downloads.rows(), BIG, BIG.stocks)


LISTED_TODAY = Stock('600901.XSHG', [(date(2024, 5, 31), '新股')], 1e8, 10.0, listed=date(2024, 5, 31))


@pytest.mark.parametrize('has_bars', [True, False])
def test_a_stock_that_is_listed_on_a_day_that_is_not_whole_waits_for_the_next_one(serve, has_bars):
    downloads = serve(big_market(LISTED_TODAY), now=datetime(2024, 5, 31, 18))
    answer(downloads.server, DAY, lambda rows, arguments: [] if arguments[0] == '2024-05-31' else rows)
    answer(downloads.server, BARS, lambda rows, arguments: rows if has_bars else [])
    outcome = downloads.download(FIRST, '2024-05-31')
    assert downloads.store().span()[1] == date(2024, 5, 30)
    assert '0 of 60 stocks ended before the last day' in outcome.out


def test_today_is_left_out_where_some_stocks_have_no_row_of_it_yet(serve):
    downloads = serve(big_market(stocks=6), now=datetime(2024, 5, 31, 18))
    answer(downloads.server, BARS, lambda rows, arguments: [row for row in rows if row[0] != '2024-05-31'
                                                            or arguments[2] == 'sh.600200'])
    downloads.download(FIRST, '2024-05-31', '--codes', *downloads.server.market.stocks)
    assert downloads.store().span()[1] == date(2024, 5, 30)


def test_a_single_day_that_is_not_whole_is_not_asked_for_stock_by_stock(serve):
    downloads = serve(BIG, now=datetime(2024, 5, 31, 18))
    answer(downloads.server, DAY, lambda rows, arguments: [])
    downloads.ingest('2024-05-31', '2024-05-31')
    assert counts(downloads)[BARS] == 0


# ----------------------------------------------------------------------- the calls of a day


def test_the_calls_of_a_day_are_counted_over_runs_and_stop_before_the_limit(serve, monkeypatch):
    monkeypatch.setattr(baostock_client, 'CALLS_A_DAY', 510)  # 500 of them are left alone
    downloads = serve(BIG)
    line = downloads.refused(FIRST, LAST)
    assert 'baostock: 10 calls were made today, of 510 that an address may make a day' in line
    assert 'go on tomorrow with the same command, what was read is kept' in line
    made = [name for name, _ in downloads.made if name != 'logout']
    assert len(made) == 10
    held = json.loads((downloads.folder / 'store.cache' / 'baostock' / 'calls of the day.json').read_text())
    assert held == {'day': '2024-06-03', 'calls': 10}
    assert '10 calls were made today' in downloads.refused(FIRST, LAST)
    assert downloads.made == []
    downloads.now = datetime(2024, 6, 4, 9)
    downloads.refused(FIRST, LAST)
    assert len([name for name, _ in downloads.made if name != 'logout']) == 10  # counted anew
    monkeypatch.setattr(baostock_client, 'CALLS_A_DAY', 50_000)
    downloads.download(FIRST, LAST)
    assert str(FIRST) not in days_asked(downloads)
    compare_rows(downloads.rows(), BIG, BIG.stocks)


def test_an_interrupted_download_goes_on(serve, monkeypatch):
    downloads, waited = serve(BIG), []

    def interrupt(seconds):
        waited.append(seconds)
        if len(waited) == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(clock, 'sleep', interrupt)
        outcome = downloads.ingest(FIRST, LAST)
    assert outcome.status == 130
    assert outcome.err.splitlines()[-1] == 'interrupted: the same command goes on'
    assert not (downloads.folder / 'store').exists()
    read = [day for day in days_asked(downloads) if day != str(LAST)]
    held = json.loads((downloads.folder / 'store.cache' / 'baostock' / 'calls of the day.json').read_text())
    assert held['calls'] == len([name for name, _ in downloads.made if name != 'logout'])
    downloads.download(FIRST, LAST)
    assert len(read) > 5
    assert not set(days_asked(downloads)) & set(read)
    compare_rows(downloads.rows(), BIG, BIG.stocks)


def test_pages_are_calls_too(serve, monkeypatch):
    market = LittleMarket([Stock('600200.XSHG', [(OLD, '股')], 1e8, 10.0)], date(2014, 1, 2), LAST)
    downloads = serve(market)
    assert len(market.days) > 2000
    downloads.download('2014-01-02', LAST)
    compare_rows(downloads.rows(), market, market.stocks)
    held = json.loads((downloads.folder / 'store.cache' / 'baostock' / 'calls of the day.json').read_text())
    made = [name for name, _ in downloads.made if name != 'logout']
    assert Counter(made)[BARS] >= 2
    assert held['calls'] == len(made)


def test_what_shares_of_reports_cost_is_said_before(serve):
    downloads = serve(BIG)
    told = downloads.download(FIRST, LAST, '--shares', 'baostock').err
    said = sum(int(number.replace(',', '')) for number in re.findall(r'about ([\d,]+) calls', told))
    assert 0.9 * len(downloads.made) <= said <= 1.1 * len(downloads.made)


@pytest.mark.parametrize('code', ['600999.XSHG', '920122.BJSE'])
def test_a_stock_that_the_source_has_not_is_said(serve, code):
    downloads = serve(LITTLE)
    outcome = downloads.ingest('2024-05-13', LAST, '--codes', '600111.XSHG', code)
    assert code in outcome.out + outcome.err


def test_what_a_download_will_cost_is_said_before(serve):
    downloads = serve(BIG)
    told = downloads.download(FIRST, LAST).err
    found = re.search(r'baostock: about (\d+) calls, 10 calls in 1 s: about (\d+) s', told)
    assert 14 <= int(found[1]) <= 15 + 3  # days, and some dividends
    assert int(found[2]) in (1, 2)
    assert '50,000' in told
    assert 'baostock: nothing to ask for' in downloads.download(FIRST, LAST).err
