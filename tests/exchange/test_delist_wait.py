"""When a stock that has no more rows is taken for delisted: after sixty trading days, or when the listings say so."""

import backtrader as bt
import pytest

from bt_microcap import AShareBroker, AShareCommission, Blotter, MicroCapStrategy, setup
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.store.writer import ingest_tables
from tests.support.invariants import check
from tests.support.markets import bar, frame, tiny_market
from tests.support.running import run_feeds, run_market
from tests.support.scripted import buy, close, play, steps

A, B = '600001.XSHG', '000002.XSHE'
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
BOTH = pytest.mark.parametrize('run', [run_feeds, run_market])
FREE = {'slippage': 0.0, 'commission': 0.0, 'min_commission': 0.0, 'stamp_duty': 0.0, 'transfer_fee': 0.0, 'volume_limit': 0.0}
LAST = 2  # day of A's last row: the days without one are 3, 4, ...


def gone(days, last=LAST):
    """A trades until day `last`, which closes at 9.50; B trades on all days."""
    rows = [bar(10.0, cap=2.1e9)] + [10.0] * (last - 1) + [(10.0, 9.5)]
    return tiny_market({A: rows, B: [bar(5.0, cap=9e9)] + [5.0] * (days - 1)})


def away(days, back, last=LAST):
    """As `gone`, but A trades again from day `back` on, at 9.60."""
    rows = [bar(10.0, cap=2.1e9)] + [10.0] * (last - 1) + [(10.0, 9.5)] + [None] * (back - last - 1) + [9.6] * (days - back)
    return tiny_market({A: rows, B: [bar(5.0, cap=9e9)] + [5.0] * (days - 1)})


def held(table, script=None, **params):
    """Buy 1,000 of A at 10.00 on day 1."""
    free = AShareCommission(commission=0.0, min_commission=0.0, stamp_duty=0.0)
    return play(table, {1: buy(A, 1000), **(script or {})}, commission=free, **params)


def days_of(table):
    return [stamp.date() for stamp in sorted(set(table['date']))]


# --------------------------------------------------------------------------------------- sixty days without a row


@WAYS
def test_it_becomes_cash_on_the_morning_after_the_sixtieth_day_without_a_row(market):
    run = held(gone(70), market=market)
    # day 61 is the 59th, day 62 the 60th, day 63 the 61st without a row
    assert [run.shares[day] for day in (3, 61, 62, 63, 64)] == [{A: 1000}] * 3 + [{}] * 2
    assert [run.cash[day] for day in (3, 61, 62, 63, 64)] == pytest.approx([90_000.0] * 3 + [99_500.0] * 2)
    assert run.value[2:] == pytest.approx([99_500.0] * 68)  # at its last close all the time
    assert run.notes[-1] == (63, A, 'SELL', 'Completed', 'delisted')
    assert [note.day for note in run.notes if note.reason == 'delisted'] == [63]


@pytest.mark.parametrize(('wait', 'day'), [(0, 3), (1, 4), (2, 5), (59, 62), (60, 63), (61, 64)])
@WAYS
def test_the_wait_counts_trading_days_without_a_row(market, wait, day):
    run = held(gone(70), market=market, delist_wait=wait)
    assert run.shares[day - 1:day + 1] == [{A: 1000}, {}]
    assert run.cash[day - 1:day + 1] == pytest.approx([90_000.0, 99_500.0])


@pytest.mark.parametrize(('delist', 'cash'), [('zero', 90_000.0), (0.5, 94_750.0)])
@WAYS
def test_what_it_is_worth_then(market, delist, cash):
    run = held(gone(70), market=market, delist=delist)
    assert run.value[61:64] == pytest.approx([99_500.0, 99_500.0, cash])


@WAYS
def test_its_cash_is_there_at_that_open_and_not_before(market):
    # 1,000 x 5 was spent, 9,500 comes in
    script = {62: buy(B, 1000), 63: buy(B, 1000)}
    run = held(gone(70), script, market=market, cash=10_000.0)
    assert run.refusals == [(62, B, 'below one lot')]
    assert run.fills[1:] == [(63, A, -1000, 9.5), (63, B, 1000, 5.0)]


@WAYS
def test_orders_are_refused_as_those_for_a_suspended_stock(market):
    run = held(gone(70), {30: steps(close(A), buy(A, 100)), 65: buy(A, 100)}, market=market)
    assert run.refusals == [(30, A, 'suspended'), (30, A, 'suspended'), (65, A, 'suspended')]


def test_the_books_say_the_day_after_whose_close_it_became_cash():
    table = gone(70)
    days = days_of(table)
    blotter = check(table, stocknum=1, refresh_rate=100, cash=100_000.0, **FREE)
    assert [(fill.datetime, fill.code, fill.quantity) for fill in blotter.fills] == [(days[1], A, 10_000)]
    assert [tuple(row) for row in blotter.rejections] == [(days[62], A, 'SELL', 'delisted')]
    assert [tuple(row) for row in blotter.corporate_actions] == [(days[63], A, 'delisted', 10_000, 0, 95_000.0)]
    at_once = check(table, stocknum=1, refresh_rate=100, cash=100_000.0, delist_wait=0, **FREE)
    assert [tuple(row) for row in at_once.rejections] == [(days[2], A, 'SELL', 'delisted')]
    assert [row.date for row in at_once.corporate_actions] == [days[3]]


@BOTH
def test_the_days_before_the_run_begins_and_after_its_end_count(run):
    """The whole table tells when the last row was, not the part that is run."""
    table = gone(70)
    days = days_of(table)
    options = {'stocknum': 1, 'refresh_rate': 100, 'cash': 100_000.0, **FREE}
    until = run(table, end=days[62], **options).analyzers.blotter
    assert (until.rejections, until.equity[-1].market_value) == ([], 95_000.0)
    after = run(table, start=days[2], end=days[63], **options).analyzers.blotter
    assert [(row.date, row.reason) for row in after.rejections] == [(days[62], 'delisted')]


# ------------------------------------------------------------------------------------------- what is no delisting


@WAYS
def test_a_suspension_of_a_hundred_days_stays_held(market):
    run = held(away(110, back=103), {104: close(A)}, market=market)
    assert run.shares[1:104] == [{A: 1000}] * 103
    assert run.value[2:104] == pytest.approx([99_500.0] * 101 + [99_600.0])
    assert run.fills[1:] == [(104, A, -1000, 9.6)]
    assert [note for note in run.notes if note.reason] == []


def test_a_suspension_of_a_hundred_days_in_the_books():
    blotter = check(away(110, back=103), stocknum=1, refresh_rate=200, cash=100_000.0, **FREE)
    assert (blotter.rejections, blotter.corporate_actions) == ([], [])
    assert [row.market_value for row in blotter.equity[-8:]] == [95_000.0] + [96_000.0] * 7


@pytest.mark.parametrize('days', [4, 30, 63])
@WAYS
def test_the_end_of_the_data_within_the_wait_is_no_delisting(market, days):
    """The last row is one, 27 or 60 trading days before the end: suspended, for all that is known."""
    run = held(gone(days), market=market)
    assert (run.shares[-1], run.value[-1]) == ({A: 1000}, pytest.approx(99_500.0))
    assert [note.reason for note in run.notes] == [None, None]


@pytest.mark.parametrize('make', [lambda days: gone(days), lambda days: away(days, back=53)], ids=['gone', 'back after 50 days'])
@BOTH
def test_more_days_of_data_do_not_change_the_past(run, make):
    options = {'stocknum': 1, 'refresh_rate': 7, 'cash': 100_000.0, **FREE}
    whole = run(make(75), **options).analyzers.blotter
    for days in (5, 30, 52, 60, 62, 63, 64, 65, 70):
        table = make(75)
        table = table[table['date'] <= sorted(set(table['date']))[days - 1]]
        part, last = run(table, **options).analyzers.blotter, days_of(table)[-1]
        assert part.equity == whole.equity[:days - 1]
        assert part.fills == [fill for fill in whole.fills if fill.datetime <= last]
        assert part.corporate_actions == [action for action in whole.corporate_actions if action.date <= last]
        # a delisting is told with the day before its money, which comes with the next day of data
        assert part.rejections == [row for row in whole.rejections
                                   if row.date < last or row.date == last and row.reason != 'delisted']


# ------------------------------------------------------------------------------------------------ listings


def run_store(tmp_path, table, delisted, **options):
    """Run over a store whose listings tell when A was delisted; hold one stock."""
    listings = frame(code=[A, B], listed=['2020-01-02', '2020-01-02'], delisted=[delisted, None])
    store = ingest_tables([check_table(table)], tmp_path / 'store', reference_data={'listings': listings})
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=store))
    cerebro.addstrategy(MicroCapStrategy, stocknum=1, refresh_rate=100)
    setup(cerebro, cash=100_000.0, **FREE, **options)
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro.run()[0].analyzers.blotter


# 2024-01-02 is a Tuesday and day 0; the last row of A is of Thursday, 2024-01-04
@pytest.mark.parametrize(('delisted', 'told', 'paid'), [
    ('2024-01-04', '2024-01-04', '2024-01-05'),  # the day of the last row
    ('2024-01-05', '2024-01-05', '2024-01-08'),
    ('2024-01-10', '2024-01-10', '2024-01-11'),
    ('2024-01-06', '2024-01-05', '2024-01-08'),  # a Saturday
    ('2024-01-03', '2024-01-04', '2024-01-05'),  # before its last row, which was a trade all the same
    (None, '2024-03-28', '2024-03-29'),  # not known: the sixtieth day without a row
])
def test_the_delisting_day_of_the_listings_counts(tmp_path, delisted, told, paid):
    blotter = run_store(tmp_path, gone(70), delisted)
    assert [(str(row.date), row.reason) for row in blotter.rejections] == [(told, 'delisted')]
    assert [(str(row.date), row.action, row.cash) for row in blotter.corporate_actions] == [(paid, 'delisted', 95_000.0)]
    cash = {str(row.date): row.cash for row in blotter.equity}
    assert (cash[told], cash[paid]) == (0.0, 95_000.0)


def test_the_listings_are_believed_before_the_wait(tmp_path):
    # known to be listed until December: suspended, though sixty days without a row have passed
    blotter = run_store(tmp_path, gone(70), '2024-12-02')
    assert (blotter.rejections, blotter.equity[-1].market_value) == ([], 95_000.0)


def test_the_wait_counts_for_a_stock_of_which_the_listings_say_nothing(tmp_path):
    blotter = run_store(tmp_path, gone(70), None, delist_wait=5)
    assert [str(row.date) for row in blotter.rejections] == ['2024-01-11']  # the 5th: 5, 8, 9, 10 and 11 January


# ------------------------------------------------------------------------------------------------ the option


@pytest.mark.parametrize('wrong', [-1, '60', True, float('nan'), float('inf')])
def test_a_wait_that_is_no_number_of_days(wrong):
    with pytest.raises(ValueError, match='delist_wait is .*: expected a number of 0 or more'):
        AShareBroker(delist_wait=wrong)


def test_the_profiles_wait_sixty_days():
    for profile in ('realistic', 'joinquant'):
        assert setup(bt.Cerebro(), profile).p.delist_wait == 60
        assert setup(bt.Cerebro(), profile, delist_wait=0).p.delist_wait == 0
    assert AShareBroker().p.delist_wait == 60
