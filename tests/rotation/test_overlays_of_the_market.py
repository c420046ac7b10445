"""Overlays that look at the market, the account or the calendar, in runs on tiny markets: how much may be in stocks."""

import datetime as dt
import math
from types import SimpleNamespace

import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.rotation.overlays import DrawdownBrake, EmptyMonths, IndexTrend, MarketStop, Overlay, VolatilityTarget
from bt_microcap.rotation.strategy import NothingTradedWarning
from tests.support.markets import bar, paused, tiny_market
from tests.support.rotating import Index, buys_of, index_of, orders_of, rotate, sales_of

A, B, C, D, E = (f'60000{number}.XSHG' for number in range(1, 6))
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
DAYS = ['01-02', '01-03', '01-04', '01-05', '01-08', '01-09', '01-10', '01-11', '01-12', '01-15', '01-16']


def flat(days=8, **more):
    """A market in which A is bought at 10.00 on 01-03 and stays there."""
    return tiny_market({A: [bar(10.0, cap=2e9)] + [10.0] * (days - 1), **more})


def told(run):
    """Return (month-day, side, why, shares) of each order."""
    return [(day, side, why, got) for day, _, side, why, got, _ in orders_of(run)]


class Allows(Overlay):
    """Allows a part of the account by the day: month-day -> part, from that day on."""

    why = 'a plan'

    def __init__(self, **parts):
        self.parts = {day[1:].replace('_', '-'): part for day, part in parts.items()}

    def exposure(self, known):
        past = [part for day, part in sorted(self.parts.items()) if day <= f'{known.today:%m-%d}']
        return past[-1] if past else 1.0


# ------------------------------------------------------------------------------------------ market stop


@pytest.mark.parametrize(('closes', 'expected'), [
    ([100.0, 100.0, 97.01, 97.01, 97.01], []),
    ([100.0, 100.0, 97.0, 97.0, 97.0], [('01-05', 'market stop')]),
    ([100.0, 100.0, 96.99, 97.0, 97.0], [('01-05', 'market stop')]),
    ([100.0, 97.0, 97.0, 97.0, 97.0], [('01-04', 'market stop')]),
    ([100.0, 98.0, 96.0, 94.0, 92.0], []),  # of a day, not of several
    ([100.0, 97.0, 94.09, 94.09, 94.09], [('01-04', 'market stop')]),  # nothing is left to be sold on the second day
])
def test_a_fall_of_the_index(closes, expected):
    table = flat()
    index = index_of(table, closes + [closes[-1]] * 3)
    run = rotate(table, market_fall=0.03, market_index='000300', tables={'benchmarks': index})
    assert [(day, why) for day, _, why, _ in sales_of(run)] == expected


@WAYS
def test_a_fall_of_the_market(market):
    # the index of all: two of three stocks fall by 5 %, A rises by 1 %: -3 % on 01-04
    table = tiny_market({
        A: [bar(10.0, cap=2e9), 10.0, (10.0, 10.1), 10.1, 10.1, 10.1],
        B: [bar(20.0, cap=5e9), 20.0, (20.0, 19.0), 19.0, 19.0, 19.0],
        C: [bar(40.0, cap=5e9), 40.0, (40.0, 38.0), 38.0, 38.0, 38.0]})
    assert sales_of(rotate(table, market=market, market_fall=0.03)) == [('01-05', A, 'market stop', '')]
    assert sales_of(rotate(table, market=market, market_fall=0.0301)) == []


def test_the_next_rebalance_buys_again():
    table = flat(9)
    run = rotate(table, refresh_rate=2, keep=True, market_fall=0.03, market_index='000300',
                 tables={'benchmarks': index_of(table, [100.0, 100.0, 97.0] + [94.0] * 6)})
    # rebalance days are 01-03, 05, 09, 11: the one on 01-05 is shut, and 01-08 is allowed again but no rebalance day
    assert told(run) == [('01-03', 'BUY', 'rebalance', 10_000), ('01-05', 'SELL', 'market stop', 10_000),
                         ('01-09', 'BUY', 'rebalance', 10_000)]


@WAYS
@pytest.mark.parametrize(('share', 'stops'), [(0.5, True), (0.49, True), (0.51, False), (1.0, False)])
def test_the_share_that_fell(market, share, stops):
    # on 01-04 B and C fall, A stays, D rises; E is suspended
    table = flat(5, **{B: [bar(10.0, cap=5e9), 10.0, 9.99, 9.99, 9.99], C: [bar(10.0, cap=5e9), 10.0, 9.0, 9.0, 9.0],
                       D: [bar(10.0, cap=5e9), 10.0, 10.01, 10.01, 10.01],
                       E: [bar(10.0, cap=5e9), 10.0, paused(), paused(), 10.0]})
    found = sales_of(rotate(table, market=market, falling_share=share))
    assert found == ([('01-05', A, 'market stop', '')] if stops else [])


@WAYS
@pytest.mark.parametrize(('third', 'stops'), [
    (bar(9.0, preclose=9.0, cash_dividend=1.0), False),  # an ex-date is no fall
    (bar(5.0, preclose=5.0, share_ratio=2.0), False),
    (bar(9.0, 8.99, preclose=9.0, cash_dividend=1.0), True),
    (None, False),  # no row on both days: not counted
    (9.99, True),
])
def test_a_fall_is_counted_adjusted(market, third, stops):
    # of A, B and one more: B falls, and with the third two of three
    table = flat(5, **{B: [bar(10.0, cap=5e9), 10.0, 9.99, 9.99, 9.99], C: [bar(10.0, cap=5e9), 10.0, third, 9.0, 9.0]})
    assert bool(sales_of(rotate(table, market=market, falling_share=0.6))[:1]) == stops


@WAYS
def test_b_shares_are_not_counted(market):
    fallen = [bar(1.0, cap=5e9), 1.0, 0.9, 0.9, 0.9]
    table = flat(5, **{'900901.XSHG': fallen, '900902.XSHG': fallen, B: [bar(10.0, cap=5e9), 10.0, 9.99, 9.99, 9.99]})
    assert sales_of(rotate(table, market=market, falling_share=0.5)) == [('01-05', A, 'market stop', '')]
    assert sales_of(rotate(table, market=market, falling_share=0.6)) == []


# ------------------------------------------------------------------------------------------ index trend


@pytest.mark.parametrize(('closes', 'expected'), [
    # three closes: 100, 100, 97 has its last one below the mean of 99
    ([100.0, 100.0, 97.0, 97.0, 97.0], [('01-05', 'index trend')]),
    ([100.0, 100.0, 100.0, 100.0, 100.0], []),
    ([100.0, 100.0, 99.99, 100.0, 100.0], [('01-05', 'index trend')]),
    ([100.0, 101.0, 102.0, 103.0, 102.0], []),  # 102 of 102, 103, 102: not below 102.33 until the last day is over
    ([90.0, 100.0, 95.0, 94.99, 100.0], [('01-08', 'index trend')]),  # 95 is the mean of 90, 100 and 95
    ([100.0, 90.0, 97.0, 97.0, 97.0], []),  # two closes are no three
])
def test_an_index_below_its_mean(closes, expected):
    table = flat(5)
    run = rotate(table, trend_days=3, market_index='000300', tables={'benchmarks': index_of(table, closes)})
    assert [(day, why) for day, _, why, _ in sales_of(run)] == expected


def test_an_index_that_stands_still_is_not_below_its_mean():
    for level in (0.1, 0.7, 1000.1, 1033.7, 2847.93):
        for days in (2, 3, 5, 7, 20):
            assert IndexTrend(days).exposure(SimpleNamespace(section=Index([level] * 30))) == 1.0


# ------------------------------------------------------------------------------------------ drawdown brake


def account(*closes, days=None):
    """A market in which A, bought at 10.00 on 01-03 with all money, closes somewhere; it opens at its last close."""
    opens = [10.0, *closes[:-1]]
    return tiny_market({A: [10.0, *zip(opens, closes, strict=True)]}, dates=days)


@WAYS
@pytest.mark.parametrize(('closes', 'expected'), [
    ([10.0, 9.01, 9.01, 9.01], []),
    ([10.0, 9.0, 9.0, 9.0], ['01-05']),  # just a tenth
    ([11.0, 9.91, 9.91, 9.91], []),
    ([11.0, 9.9, 9.9, 9.9], ['01-05']),  # of the highest close, 110,000
    ([9.5, 9.0, 9.0, 9.0], ['01-05']),  # the first peak is the money at the start
])
def test_a_fall_of_the_account(market, closes, expected):
    run = rotate(account(*closes), market=market, drawdown_brake=0.1)
    assert sales_of(run) == [(day, A, 'drawdown brake', '') for day in expected]


@WAYS
@pytest.mark.parametrize(('days', 'again'), [(1, '01-08'), (2, '01-09'), (3, '01-10'), (5, '01-12')])
def test_the_days_of_the_brake(market, days, again):
    # it holds from 01-05 on, for so many trading days; a rebalance is due on each
    run = rotate(account(*[10.0, 9.0] + [9.0] * 7), market=market, drawdown_brake=0.1, brake_days=days, refresh_rate=1, keep=True)
    assert [(day, side, why) for day, side, why, _ in told(run)] == [
        ('01-03', 'BUY', 'rebalance'), ('01-05', 'SELL', 'drawdown brake'), (again, 'BUY', 'rebalance')]


@WAYS
def test_after_the_brake_the_peak_begins_anew(market):
    # 90,000 are left; the next brake is at 81,000 of them: 10,000 shares at 9.00 which close at 8.10
    closes = [10.0, 9.0, 9.0, 9.0, 8.11, 8.1, 8.1, 8.1]
    run = rotate(account(*closes), market=market, drawdown_brake=0.1, brake_days=2, refresh_rate=1, keep=True)
    assert [(day, side) for day, side, *_ in told(run)] == [
        ('01-03', 'BUY'), ('01-05', 'SELL'), ('01-09', 'BUY'), ('01-11', 'SELL')]


# ------------------------------------------------------------------------------------------ empty months


@WAYS
def test_empty_months(market):
    dates = ['2024-01-29', '2024-01-30', '2024-01-31', '2024-02-01', '2024-02-02', '2024-03-01', '2024-03-04', '2024-03-05']
    table = tiny_market({A: [10.0] * 8}, dates=dates)
    run = rotate(table, market=market, empty_months=(2,), refresh_rate=2, keep=True)
    # rebalance days: 01-30, 02-01, 03-01, 03-05
    assert told(run) == [('01-30', 'BUY', 'rebalance', 10_000), ('02-01', 'SELL', 'empty month', 10_000),
                         ('03-01', 'BUY', 'rebalance', 10_000)]
    run = rotate(table, market=market, empty_months=(2,), refresh_rate=3, keep=True)
    # 01-30, 02-02, 03-05: sold on the first day of February all the same
    assert [(day, side) for day, side, *_ in told(run)] == [('01-30', 'BUY'), ('02-01', 'SELL'), ('03-05', 'BUY')]


@WAYS
def test_an_empty_month_that_could_not_be_sold_is_tried_again(market):
    dates = ['2024-01-30', '2024-01-31', '2024-02-01', '2024-02-02', '2024-02-05', '2024-02-06']
    table = tiny_market({A: [10.0, 10.0, 9.0, paused(), 9.0, 9.0], B: [bar(5.0, cap=9e9)] + [5.0] * 5}, dates=dates)
    assert sales_of(rotate(table, market=market, empty_months=(2,))) == [
        ('02-01', A, 'empty month', 'limit down'), ('02-05', A, 'empty month', '')]


def test_only_empty_months_say_so():
    with pytest.warns(NothingTradedWarning, match='no stock was picked: empty month allowed none on any of 3 rebalance days'):
        rotate(flat(4), empty_months=(1,), refresh_rate=1)


# ------------------------------------------------------------------------------------------ a part in stocks


@WAYS
@pytest.mark.parametrize(('part', 'shares'), [(0.5, 5_000), (0.75, 7_500), (0.3333, 3_300), (1, 10_000), (0, None)])
def test_a_rebalance_spends_a_part(market, part, shares):
    run = rotate(flat(4), market=market, overlays=(Allows(_01_01=part),))
    assert buys_of(run) == ([] if shares is None else [('01-03', A, shares)])


@WAYS
@pytest.mark.parametrize(('part', 'sold'), [
    (0.95, None), (0.9, None),  # stocks may exceed the part by a tenth of the account
    (0.89, 1_100), (0.5, 5_000), (0.333, 6_600), (0.0, 10_000)])
def test_stocks_are_cut_where_they_exceed_the_part_by_a_tenth(market, part, sold):
    run = rotate(flat(6), market=market, overlays=(Allows(_01_05=part),))
    assert [(day, why, got) for day, side, why, got in told(run) if side == 'SELL'] == (
        [] if sold is None else [('01-05', 'a plan', sold)])


@WAYS
def test_each_holding_is_cut_by_the_same_part(market):
    # two of 50,000 each; of 100,000 a half may stay
    table = flat(6, **{B: [bar(20.0, cap=5e9)] + [20.0] * 5})
    run = rotate(table, market=market, stocknum=2, overlays=(Allows(_01_05=0.5),))
    assert [order[:5] for order in orders_of(run) if order[2] == 'SELL'] == [
        ('01-05', A, 'SELL', 'a plan', 2_500), ('01-05', B, 'SELL', 'a plan', 1_200)]  # of 1,250: whole lots


@WAYS
@pytest.mark.parametrize('gone', [paused(), None], ids=['with a row', 'without'])
def test_what_is_suspended_is_not_cut(market, gone):
    table = flat(5, **{B: [bar(20.0, cap=5e9), 20.0, (20.0, 19.9), gone, 20.0]})
    run = rotate(table, market=market, stocknum=2, overlays=(Allows(_01_05=0.5),))
    # 50,000 and 49,750 yuan: a half of each is too much, and that of B cannot be sold
    assert [order[:5] for order in orders_of(run) if order[0] == '01-05'] == [('01-05', A, 'SELL', 'a plan', 2_500)]


@WAYS
def test_a_part_that_grows_waits_for_the_rebalance(market):
    run = rotate(flat(9), market=market, refresh_rate=4, keep=True, overlays=(Allows(_01_01=0.5, _01_05=1.0),))
    # the next one is on 01-09: what was cut is brought back to its part
    assert told(run) == [('01-03', 'BUY', 'rebalance', 5_000), ('01-09', 'BUY', 'rebalance', 5_000)]
    run = rotate(flat(9), market=market, refresh_rate=4, overlays=(Allows(_01_01=0.5, _01_05=1.0),))
    assert told(run)[1:] == [('01-09', 'SELL', 'rebalance', 5_000), ('01-09', 'BUY', 'rebalance', 10_000)]


@WAYS
def test_weights_within_a_part(market):
    table = flat(9, **{B: [bar(20.0, cap=5e9)] + [20.0] * 8})
    run = rotate(table, market=market, stocknum=2, refresh_rate=4, keep=True, weights='equal',
                 overlays=(Allows(_01_01=0.4, _01_09=0.8),))
    # 20,000 each, from 01-09 on 40,000
    assert [(day, code, got) for day, code, side, _, got, _ in orders_of(run)] == [
        ('01-03', A, 2_000), ('01-03', B, 1_000), ('01-09', A, 2_000), ('01-09', B, 1_000)]


@pytest.mark.parametrize('value', [1.01, -0.1, math.nan, None, '1'])
def test_a_part_that_is_none(value):
    with pytest.raises(DataError, match='Allows.exposure gave .*: expected a number from 0 to 1'):
        rotate(flat(4), overlays=(Allows(_01_01=value),))


@pytest.mark.parametrize(('closes', 'expected'), [
    ([100.0, 110.0, 99.0], 0.5),  # a deviation of the root of 0.02 a day
    ([100.0, 100.0, 100.0], 1.0),  # no volatility
    ([100.0, 101.0, 100.0], 1.0),  # below the target
    ([110.0, 99.0], 1.0),  # too short
    ([1.0, 100.0, 110.0, 99.0], 0.5),  # the last two returns alone
])
def test_the_part_of_a_volatility_target(closes, expected):
    overlay, section = VolatilityTarget(math.sqrt(0.02 * 252) / 2, 2, 'microcap'), Index(closes)
    assert overlay.exposure(SimpleNamespace(section=section)) == pytest.approx(expected)
    assert section.asked == [('microcap', 3)]


def test_a_run_with_a_volatility_target():
    # up and down by a tenth until 01-08; from 01-10 on the last two returns are 0
    table = flat(11)
    index = index_of(table, [100.0, 110.0, 99.0, 108.9, 98.01] + [98.01] * 6)
    run = rotate(table, refresh_rate=2, target_volatility=math.sqrt(0.02 * 252) / 2 + 1e-9, volatility_days=2,
                 market_index='000300', tables={'benchmarks': index}, phase=2)
    # days 2, 4, 6, 8: 01-05, 01-09, 01-11, 01-15; on 01-09 the returns are 0.1 and -0.1, on 01-11 0 and 0
    assert [(day, side, got) for day, side, _, got in told(run)] == [
        ('01-05', 'BUY', 5_000), ('01-09', 'SELL', 5_000), ('01-09', 'BUY', 5_000), ('01-11', 'SELL', 5_000),
        ('01-11', 'BUY', 10_000), ('01-15', 'SELL', 10_000), ('01-15', 'BUY', 10_000)]


# ------------------------------------------------------------------------------------------ what feeds do not know, and bad ones


@pytest.mark.parametrize('params', [{'market_fall': 0.03}, {'trend_days': 20}, {'target_volatility': 0.2}])
def test_feeds_know_the_index_of_the_market_alone(params):
    with pytest.raises(DataError, match="do not tell the benchmark 'microcap'"):
        rotate(flat(4), market=False, market_index='microcap', **params)


@pytest.mark.parametrize(('make', 'said'), [
    (lambda: MarketStop(fall=1.0), 'market_fall is 1.0: expected a fraction above 0 and below 1'),
    (lambda: MarketStop(share=1.1), 'falling_share is 1.1'),
    (lambda: IndexTrend(1), 'trend_days is 1: expected a whole number of 2 or more'),
    (lambda: DrawdownBrake(0), 'drawdown_brake is 0'),
    (lambda: DrawdownBrake(0.1, 0), 'brake_days is 0: expected a whole number of 1 or more'),
    (lambda: VolatilityTarget(0), 'target_volatility is 0: expected a fraction above 0'),
    (lambda: VolatilityTarget(0.2, 1), 'volatility_days is 1: expected a whole number of 2 or more'),
    (lambda: EmptyMonths((0, 4)), r'empty_months is \(0, 4\): expected months, 1 for January to 12'),
])
def test_overlays_that_mean_nothing(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_months_by_hand():
    overlay = EmptyMonths([1, 4])
    found = [overlay.exposure(SimpleNamespace(today=dt.date(2024, month, 1))) for month in range(1, 13)]
    assert found == [0.0, 1.0, 1.0, 0.0, *[1.0] * 8]
