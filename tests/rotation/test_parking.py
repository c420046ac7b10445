"""Idle money in a fund: bought when it is left, sold when stocks need it, never a pick."""

import math

import pytest

from bt_microcap.rotation.overlays import Overlay
from tests.support.markets import bar, paused, tiny_market
from tests.support.rotating import orders_of, rotate

A, B, FUND = '600001.XSHG', '600002.XSHG', '511880.XSHG'
pytestmark = pytest.mark.filterwarnings('ignore:.*not as they should be')  # a market cap that lacks
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
PARKED = {'parking': FUND}


def fund(*days):
    """A fund of 100 yuan without a market cap, on the days of a market."""
    first, *rest = days
    return [bar(first, cap=math.nan), *rest]


def told(run):
    """Return (month-day, code, side, why, shares) of each order."""
    return [order[:5] for order in orders_of(run)]


def one(days=5, *, price=100.0, a=10.0):
    return tiny_market({A: [bar(a, cap=2e9)] + [a] * (days - 1), FUND: fund(*[price] * days)})


@WAYS
def test_what_is_left_is_parked(market):
    # two places and one pick: 50,000 wait in 500 shares of 100
    run = rotate(one(), market=market, stocknum=2, **PARKED)
    assert told(run) == [('01-03', A, 'BUY', 'rebalance', 5_000), ('01-03', FUND, 'BUY', 'parking', 500)]
    assert [row.total_value for row in run.analyzers.blotter.equity] == [100_000.0] * 4


@WAYS
@pytest.mark.parametrize(('price', 'parked'), [(49.0, None), (48.99, 2_000), (48.0, 4_000)])
def test_a_fiftieth_of_the_account_is_not_worth_it(market, price, parked):
    # 2,000 shares leave 2,000, 2,020 or 4,000 yuan; the fund costs 1 yuan
    run = rotate(one(price=1.0, a=price), market=market, **PARKED)
    assert told(run)[1:] == ([] if parked is None else [('01-03', FUND, 'BUY', 'parking', parked)])


@WAYS
def test_less_than_a_lot_of_the_fund_stays_cash(market):
    # 100 of the fund cost 10,000
    assert told(rotate(one(a=950.1), market=market, **PARKED)) == [('01-03', A, 'BUY', 'rebalance', 100)]  # 4,990 are left
    assert told(rotate(one(a=900.0), market=market, **PARKED)) == [('01-03', A, 'BUY', 'rebalance', 100)]  # just 10,000
    assert told(rotate(one(a=899.9), market=market, **PARKED))[1:] == [('01-03', FUND, 'BUY', 'parking', 100)]


@WAYS
def test_it_is_sold_when_stocks_need_the_money(market):
    # B has no market cap until 01-04: two places, one pick on 01-03 and two on 01-05
    table = tiny_market({A: [bar(10.0, cap=2e9)] + [10.0] * 4, B: [bar(5.0, cap=math.nan), 5.0, bar(5.0, cap=3e9), 5.0, 5.0],
                         FUND: fund(*[100.0] * 5)})
    run = rotate(table, market=market, stocknum=2, refresh_rate=2, keep=True, **PARKED)
    assert told(run)[2:] == [('01-05', FUND, 'SELL', 'parking', 500), ('01-05', B, 'BUY', 'rebalance', 10_000)]


@WAYS
def test_no_more_of_it_is_sold_than_is_needed(market):
    # with weights each of four places has a quarter: A on 01-03, A and B on 01-05
    table = tiny_market({A: [bar(10.0, cap=2e9)] + [10.0] * 4, B: [bar(5.0, cap=math.nan), 5.0, bar(5.0, cap=3e9), 5.0, 5.0],
                         FUND: fund(*[100.0] * 5)})
    run = rotate(table, market=market, stocknum=4, refresh_rate=2, keep=True, weights='equal', **PARKED)
    # 75,000 are parked as 700 shares; 25,000 are needed and 5,000 are there: with 0.3 % more 200.6 shares, in lots 300. The
    # 10,000 that are left then are not more than a lot
    assert told(run) == [('01-03', A, 'BUY', 'rebalance', 2_500), ('01-03', FUND, 'BUY', 'parking', 700),
                         ('01-05', FUND, 'SELL', 'parking', 300), ('01-05', B, 'BUY', 'rebalance', 5_000)]


class Shut(Overlay):
    """Allows no stock on two days."""

    why = 'shut'

    def exposure(self, known):
        return 0.0 if f'{known.today:%m-%d}' in ('01-04', '01-05') else 1.0


@WAYS
def test_what_an_overlay_sells_is_parked_until_the_next_rebalance(market):
    run = rotate(one(7), market=market, refresh_rate=3, keep=True, overlays=(Shut(),), **PARKED)
    # rebalance days are 01-03, 01-08
    assert told(run) == [('01-03', A, 'BUY', 'rebalance', 10_000), ('01-04', A, 'SELL', 'shut', 10_000),
                         ('01-04', FUND, 'BUY', 'parking', 1_000), ('01-08', FUND, 'SELL', 'parking', 1_000),
                         ('01-08', A, 'BUY', 'rebalance', 10_000)]


@WAYS
@pytest.mark.parametrize('keep', [False, True])
def test_the_fund_is_no_holding_and_no_pick(market, keep):
    """It takes no place, no rebalance sells it, no stop either, and it is on no board."""
    table = tiny_market({A: [bar(10.0, cap=9e9)] + [10.0] * 5, FUND: [bar(100.0, cap=2e9), 100.0, 80.0, 80.0, 80.0, 80.0]})
    run = rotate(table, market=market, stocknum=2, refresh_rate=1, keep=keep, stop_loss=0.05, weights='equal', band=0.5, **PARKED)
    assert [order for order in told(run) if order[1] == FUND and order[3] != 'parking'] == []
    bought = [order for order in told(run) if order[1] == FUND and order[2] == 'BUY']
    assert bought[0] == ('01-03', FUND, 'BUY', 'parking', 500)


@WAYS
@pytest.mark.parametrize('gone', [paused(), None], ids=['with a row', 'without'])
def test_a_fund_that_does_not_trade(market, gone):
    # not on 01-03, the day of the rebalance; on 01-04 it does
    table = tiny_market({A: [bar(10.0, cap=2e9)] + [10.0] * 3, FUND: fund(100.0, gone, 100.0, 100.0)})
    run = rotate(table, market=market, stocknum=2, **PARKED)
    assert told(run) == [('01-03', A, 'BUY', 'rebalance', 5_000), ('01-04', FUND, 'BUY', 'parking', 500)]
    # parked on 01-03; on 01-05, when B becomes a pick, it does not trade: B is not paid for
    table = tiny_market({A: [bar(10.0, cap=2e9)] + [10.0] * 4, B: [bar(5.0, cap=math.nan), 5.0, bar(5.0, cap=3e9), 5.0, 5.0],
                         FUND: fund(100.0, 100.0, 100.0, gone, 100.0)})
    run = rotate(table, market=market, stocknum=2, refresh_rate=2, keep=True, **PARKED)
    assert [order for order in told(run)[2:] if order[4]] == []


@WAYS
def test_what_it_earned_is_there_for_stocks(market):
    # 1,000 shares of 100 become worth 110,000: 11,000 A at 10.00
    table = tiny_market({A: [bar(10.0, cap=math.nan), 10.0, bar(10.0, cap=2e9), 10.0, 10.0],
                         FUND: fund(100.0, 100.0, 105.0, 110.0, 110.0)})
    run = rotate(table, market=market, refresh_rate=2, keep=True, **PARKED)
    assert told(run) == [('01-03', FUND, 'BUY', 'parking', 1_000), ('01-05', FUND, 'SELL', 'parking', 1_000),
                         ('01-05', A, 'BUY', 'rebalance', 11_000)]


@WAYS
def test_a_part_of_the_account_counts_the_fund(market):
    class Half(Overlay):
        def exposure(self, known):
            return 0.5

    run = rotate(one(6), market=market, refresh_rate=2, keep=True, overlays=(Half(),), **PARKED)
    assert told(run) == [('01-03', A, 'BUY', 'rebalance', 5_000), ('01-03', FUND, 'BUY', 'parking', 500)]


@WAYS
def test_without_the_fund_the_money_waits_as_cash(market):
    table = tiny_market({A: [bar(10.0, cap=2e9)] + [10.0] * 4})
    with pytest.warns(UserWarning, match='the data has no 511880.XSHG, the param parking: the money waits as cash'):
        run = rotate(table, market=market, stocknum=2, **PARKED)
    assert told(run) == [('01-03', A, 'BUY', 'rebalance', 5_000)]


@WAYS
def test_a_fund_that_is_listed_later(market):
    table = tiny_market({A: [bar(10.0, cap=2e9)] + [10.0] * 4, FUND: [None, None, *fund(100.0, 100.0, 100.0)]})
    run = rotate(table, market=market, stocknum=2, **PARKED)
    assert told(run) == [('01-03', A, 'BUY', 'rebalance', 5_000), ('01-04', FUND, 'BUY', 'parking', 500)]
