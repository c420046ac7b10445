"""T+1 over several buys of a day, limits of which the data tells one alone, and fills at the edge of what is allowed."""

import backtrader as bt
import pytest

from bt_microcap import AShareCommission
from tests.support.markets import bar, tiny_market
from tests.support.scripted import buy, close, play, sell, steps

A, B = '600001.XSHG', '000002.XSHE'
STAR = '688001.XSHG'
STOP = bt.Order.Stop


def trade(days, script, **params):
    return play(tiny_market({A: days}), script, **params)


# ------------------------------------------------------------------------------------------ T+1


def test_nothing_of_two_buys_of_today_can_be_sold_today():
    run = trade([10.0] * 3, {1: steps(buy(A, 300), buy(A, 100), sell(A, 100)), 2: close(A)})
    assert run.refusals == [(1, A, 'bought today')]
    assert run.fills == [(1, A, 300, 10.0), (1, A, 100, 10.0), (2, A, -400, 10.0)]
    # 3,000 + 5 and 1,000 + 5 out; 4,000 - 5 - 4 in
    assert run.cash[1:] == pytest.approx([95_990.0, 99_981.0])


def test_only_what_was_held_before_two_buys_of_today_is_sold_today():
    run = trade([10.0] * 4, {1: buy(A, 300), 2: steps(buy(A, 200), buy(A, 400), sell(A, 900)), 3: close(A)})
    assert run.fills == [(1, A, 300, 10.0), (2, A, 200, 10.0), (2, A, 400, 10.0), (2, A, -300, 10.0), (3, A, -600, 10.0)]
    assert run.orders[3].info.reason == 'bought today'
    assert run.shares == [{}, {A: 300}, {A: 600}, {}]


def test_a_sale_between_two_buys_of_a_day_does_not_free_either():
    script = {1: buy(A, 300), 2: steps(buy(A, 200), sell(A, 100), buy(A, 100), sell(A, 500), sell(A, 100))}
    run = trade([10.0] * 3, script)
    assert run.fills[1:] == [(2, A, 200, 10.0), (2, A, -100, 10.0), (2, A, 100, 10.0), (2, A, -200, 10.0)]
    assert run.refusals == [(2, A, 'bought today')]
    assert run.shares[2] == {A: 300}


def test_sellable_counts_all_buys_of_today():
    def look(strategy):
        return strategy.broker.sellable(strategy.feed(A))

    run = trade([10.0] * 4, {1: steps(buy(A, 300), buy(A, 100), look), 2: steps(buy(A, 100), look), 3: look})
    assert [run.orders[at] for at in (2, 4, 5)] == [0, 400, 500]


def test_what_was_bought_of_one_stock_today_does_not_bind_another():
    table = tiny_market({A: [10.0] * 3, B: [10.0] * 3})
    run = play(table, {1: buy(A, 300), 2: steps(buy(B, 300), close(A))})
    assert run.refusals == []
    assert run.shares[2] == {B: 300}


# ------------------------------------------------------------------------------------------ limits

# the limits of a preclose of 10.00 are 9.00 and 11.00
ONE_LIMIT = {
    'upper given, at the lower computed': (bar(9.0, high_limit=11.0), 'limit down'),
    'upper given, within half a tick of the lower computed': (bar(9.004, high_limit=11.0), 'limit down'),
    'upper given, a tick above the lower computed': (bar(9.01, high_limit=11.0), ''),
    'lower given above the computed, at it': (bar(9.5, low_limit=9.5), 'limit down'),
    'lower given above the computed, a tick above it': (bar(9.51, low_limit=9.5), ''),
    'lower given below the computed, at the computed': (bar(9.0, low_limit=8.0), ''),
}


@pytest.mark.parametrize(('day', 'reason'), ONE_LIMIT.values(), ids=ONE_LIMIT.keys())
def test_sales_where_the_data_gives_one_limit_alone(day, reason):
    run = trade([10.0, 10.0, day, 10.0], {1: buy(A, 1000), 2: sell(A, 1000)})
    assert run.refusals == ([(2, A, reason)] if reason else [])
    assert run.shares[2] == ({A: 1000} if reason else {})


ONE_LIMIT_BUYS = {
    'lower given, at the upper computed': (bar(11.0, low_limit=9.0), 'limit up'),
    'lower given, a tick below the upper computed': (bar(10.99, low_limit=9.0), ''),
    'upper given below the computed': (bar(10.5, high_limit=10.5), 'limit up'),
    'upper given below the computed, a tick below it': (bar(10.49, high_limit=10.5), ''),
    'upper given above the computed, at the computed': (bar(11.0, high_limit=12.0), ''),
}


@pytest.mark.parametrize(('day', 'reason'), ONE_LIMIT_BUYS.values(), ids=ONE_LIMIT_BUYS.keys())
def test_buys_where_the_data_gives_one_limit_alone(day, reason):
    run = trade([10.0, day, 10.0], {1: buy(A, 1000)})
    assert run.refusals == ([(1, A, reason)] if reason else [])
    assert run.shares[1] == ({} if reason else {A: 1000})


def test_a_stop_does_not_fill_below_the_lower_limit():
    # the stop is reached at 9.00, the lower limit of 10.00; it would slip to 9.00 x 0.99 = 8.91, so it waits
    days = [10.0, 10.0, (9.5, 9.0), (9.0, 9.2)]
    run = trade(days, {1: buy(A, 100), 2: sell(A, 100, exectype=STOP, price=9.0)}, slippage=0.02)
    # bought at 10.10; on the next day at the open of 9.00 less 1 %
    assert run.fills == [(1, A, 100, 10.1), (3, A, -100, 8.91)]
    assert run.statuses(run.orders[1]) == ['Accepted', 'Completed']


def test_a_stop_may_slip_to_the_lower_limit_itself():
    # 9.09 x 0.99 = 8.9991 -> 9.00
    run = trade([10.0, 10.0, (9.5, 9.0)], {1: buy(A, 100), 2: sell(A, 100, exectype=STOP, price=9.09)}, slippage=0.02)
    assert run.fills[1:] == [(2, A, -100, 9.0)]


def test_a_stop_below_a_limit_that_the_data_gives_waits():
    days = [10.0, 10.0, bar(9.5, 9.0, low_limit=9.2, high_limit=10.8), (9.15, 9.1)]
    run = trade(days, {1: buy(A, 100), 2: sell(A, 100, exectype=STOP, price=9.1)})
    assert run.fills[1:] == [(3, A, -100, 9.1)]


def test_a_stop_buy_does_not_fill_above_the_upper_limit():
    # 10.95 x 1.01 = 11.0595 is above 11.00; on the next day it opens at 11.20: x 1.01 = 11.312
    run = trade([10.0, (10.5, 11.0), (11.2, 11.2)], {1: buy(A, 100, exectype=STOP, price=10.95)}, slippage=0.02)
    assert run.fills == [(2, A, 100, 11.31)]


# STAR asks a market order for a protective limit price, here 2 % from the open: a fill may be half a tick and
# a binary rounding beyond it. 10.25: 0.205 + 0.005 let 0.21 through; 10.24: 0.2048 + 0.005 do not.
@pytest.mark.parametrize(('price', 'bought_at', 'sold_at'), [
    (10.25, 10.46, 10.04),  # x 1.0205 = 10.460125, x 0.9795 = 10.039875
    (10.24, None, None),  # x 1.0205 = 10.44992 -> 10.45, x 0.9795 = 10.03008 -> 10.03
])
def test_the_slack_of_stars_protection_is_half_a_tick(price, bought_at, sold_at):
    table = tiny_market({STAR: [price] * 4})
    free = AShareCommission(commission=0.0, min_commission=0.0, stamp_duty=0.0)
    run = play(table, {1: buy(STAR, 200)}, slippage=0.041, star_protection=0.02, commission=free)
    assert run.fills == ([] if bought_at is None else [(1, STAR, 200, bought_at)])
    assert run.refusals == ([] if bought_at else [(1, STAR, 'slipped past the limit')])

    def unprotected(strategy):
        strategy.broker.p.star_protection = 0.0
        order = buy(STAR, 200)(strategy)
        strategy.broker.p.star_protection = 0.02
        return order

    run = play(table, {1: unprotected, 2: close(STAR)}, slippage=0.041, star_protection=0.02, commission=free)
    assert run.fills[1:] == ([] if sold_at is None else [(2, STAR, -200, sold_at)])
    assert run.refusals == ([] if sold_at else [(2, STAR, 'slipped past the limit')])


def test_stars_protection_asks_nothing_of_other_boards():
    run = trade([10.24] * 3, {1: buy(A, 200)}, slippage=0.041, star_protection=0.02)
    assert run.fills == [(1, A, 200, 10.45)]
