"""Limit and stop orders, brackets and pairs."""


import backtrader as bt
import pandas as pd
import pytest

from bt_microcap import AShareCommission
from tests.support.markets import bar, paused, tiny_market
from tests.support.scripted import buy, play, sell, steps

A, B = '600001.XSHG', '000002.XSHE'
CHINEXT, STAR, BSE = '300001.XSHE', '688001.XSHG', '835001.BJSE'
LIMIT, STOP = bt.Order.Limit, bt.Order.Stop
FREE = {'commission': 0.0, 'min_commission': 0.0, 'stamp_duty': 0.0}


def free():
    return AShareCommission(**FREE)


def trade(days, script, **params):
    return play(tiny_market({A: days}), script, **params)


# -------------------------------------------------------------------------------------- resting orders


def test_a_limit_buy_waits_over_days_that_cannot_trade():
    cheap = {'open': 9.7, 'close': 9.7}  # with the preclose of the last close: no ex-date
    days = [10.0, 10.0, paused(**cheap), None, bar(9.7, volume=0.0), 9.7, 9.7]
    run = play(tiny_market({A: days, B: [10.0] * 7}), {1: buy(A, 1000, exectype=LIMIT, price=9.8)})
    assert run.fills == [(5, A, 1000, 9.7)]  # the open is better than the limit
    assert run.statuses(run.orders[0]) == ['Accepted', 'Completed']


def test_a_limit_buy_waits_at_the_upper_limit_and_a_stop_sale_at_the_lower():
    run = trade([10.0, 11.0, 11.5], {1: buy(A, 100, exectype=LIMIT, price=12.0)})
    assert run.fills == [(2, A, 100, 11.5)]
    run = trade([10.0, 10.0, 9.0, 8.9], {1: buy(A, 100), 2: sell(A, 100, exectype=STOP, price=9.5)})
    assert run.fills == [(1, A, 100, 10.0), (3, A, -100, 8.9)]


def test_a_resting_sale_waits_for_t_plus_1():
    run = trade([10.0] * 3, {1: steps(buy(A, 100), sell(A, 100, exectype=LIMIT, price=9.9))})
    assert run.fills == [(1, A, 100, 10.0), (2, A, -100, 10.0)]


def test_a_stop_fills_at_its_price_within_the_day_and_at_the_open_behind_a_gap():
    script = {1: buy(A, 100), 2: sell(A, 100, exectype=STOP, price=9.5)}
    assert trade([10.0, 10.0, 10.0, (9.9, 9.4)], script).fills[1:] == [(3, A, -100, 9.5)]
    assert trade([10.0, 10.0, 10.0, (9.3, 9.6)], script).fills[1:] == [(3, A, -100, 9.3)]


def bracket(strategy):
    return strategy.buy_bracket(
        data=strategy.feed(A), size=1000, exectype=bt.Order.Market, stopprice=9.5, limitprice=10.5)


def test_a_bracket_takes_its_profit_after_t_plus_1_and_over_a_suspension():
    table = tiny_market({A: [10.0, (10.0, 10.6), paused(), (10.4, 10.6), 9.6], B: [10.0] * 5})
    run = play(table, {1: bracket})
    assert run.fills == [(1, A, 1000, 10.0), (3, A, -1000, 10.5)]
    assert [run.statuses(order)[-1] for order in run.orders] == ['Completed', 'Canceled', 'Completed']



def test_a_bracket_stops_its_loss():
    run = trade([10.0, 10.0, (10.0, 9.4), 9.4], {1: bracket})
    assert run.fills == [(1, A, 1000, 10.0), (2, A, -1000, 9.5)]
    assert [run.statuses(order)[-1] for order in run.orders] == ['Completed', 'Completed', 'Canceled']


def test_one_of_two_oco_orders_cancels_the_other():
    def either(strategy):
        first = buy(A, 100, exectype=LIMIT, price=9.8)(strategy)
        return [first, buy(A, 100, exectype=LIMIT, price=9.6, oco=first)(strategy)]

    run = trade([10.0, 10.0, 9.7, 9.5], {1: either})
    assert run.fills == [(2, A, 100, 9.7)]
    assert run.statuses(run.orders[1])[-1] == 'Canceled'


@pytest.mark.parametrize('at_open', [
    True, False])
def test_a_bracket_whose_parent_is_refused_leaves_nothing(at_open):
    run = trade([10.0, 11.0, 10.0, 10.6], {1 if at_open else 0: bracket}, at_open=at_open)
    assert run.fills == []
    assert run.statuses(run.orders[0])[-1] == 'Rejected'
    assert {run.statuses(order)[-1] for order in run.orders[1:]} <= {'Rejected', 'Canceled'}


def test_orders_expire_and_can_be_cancelled():
    valid = pd.Timestamp('2024-01-04')  # the third day
    dated = buy(A, 100, exectype=LIMIT, price=9.0, valid=valid)
    script = {1: steps(dated, buy(A, 100, exectype=LIMIT, price=8.0)),
              2: lambda strategy: strategy.cancel(strategy.p.result.orders[1])}
    run = trade([10.0] * 6, script)
    assert run.statuses(run.orders[0]) == ['Accepted', 'Expired']
    assert run.statuses(run.orders[1]) == ['Accepted', 'Canceled']
    assert run.cash == [100_000.0] * 6
