"""An order from its prices on the tick to its end: brackets, expiry, cancellation, and what its fills say."""

import backtrader as bt
import pandas as pd
import pytest

from bt_microcap import AShareBroker, AShareCommission
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import add_stocks
from tests.support.markets import bar, tiny_market
from tests.support.scripted import Result, Scripted, buy, close, play, sell, steps

A = '600001.XSHG'
MARKET, LIMIT, STOP = bt.Order.Market, bt.Order.Limit, bt.Order.Stop
STOP_LIMIT = bt.Order.StopLimit


def free():
    return AShareCommission(commission=0.0, min_commission=0.0, stamp_duty=0.0)


def trade(days, script, **params):
    return play(tiny_market({A: days}), script, **params)


# ------------------------------------------------------------------------------------------ prices on the tick


@pytest.mark.parametrize(('asked', 'low', 'filled'), [
    (9.876, 9.87, 9.87),  # a buy's limit is rounded down
    (9.876, 9.88, None),
    (9.88, 9.88, 9.88),
    (9.889999, 9.88, 9.88),
])
def test_a_buy_limit_off_the_tick_is_rounded_down(asked, low, filled):
    run = trade([10.0, (10.0, low)], {1: buy(A, 100, exectype=LIMIT, price=asked)})
    assert run.fills == ([] if filled is None else [(1, A, 100, filled)])


@pytest.mark.parametrize(('asked', 'high', 'filled'), [
    (10.123, 10.13, 10.13),  # a sale's limit is rounded up
    (10.123, 10.12, None),
    (10.12, 10.12, 10.12),
    (10.110001, 10.12, 10.12),
])
def test_a_sale_limit_off_the_tick_is_rounded_up(asked, high, filled):
    run = trade([10.0, 10.0, (10.0, high)], {1: buy(A, 100), 2: sell(A, 100, exectype=LIMIT, price=asked)})
    assert run.fills[1:] == ([] if filled is None else [(2, A, -100, filled)])


def test_a_limit_on_the_tick_is_not_moved_by_its_binary_rounding():
    # 0.29 / 0.01 is 28.999999999999996 in binary, 0.07 / 0.01 is 7.000000000000001
    run = trade([0.3, (0.3, 0.29)], {1: buy(A, 100, exectype=LIMIT, price=0.29)})
    assert run.fills == [(1, A, 100, 0.29)]
    run = trade([0.06, 0.06, (0.06, 0.07)], {1: buy(A, 100), 2: sell(A, 100, exectype=LIMIT, price=0.07)})
    assert run.fills[1:] == [(2, A, -100, 0.07)]


def test_the_limit_of_a_stop_limit_is_put_on_the_tick_its_stop_is_not():
    # triggered at 10.2 within the day; bought at 10.20 or better than 10.24
    def order(strategy):
        return strategy.buy(data=strategy.feed(A), size=100, exectype=STOP_LIMIT, price=10.196, plimit=10.247)

    run = trade([10.0, (10.0, 10.5), (10.24, 10.24)], {1: order})
    assert (run.orders[0].created.price, run.orders[0].created.pricelimit) == (10.196, 10.24)
    assert run.fills == [(1, A, 100, 10.2)]


def test_a_limit_order_slips_up_to_its_limit():
    # 9.80 x 1.01 = 9.898, but no more than 9.85; sold at 10.30 x 0.99 = 10.197, but no less than 10.25
    days = [10.0, 9.8, 10.3]
    script = {1: buy(A, 100, exectype=LIMIT, price=9.85), 2: sell(A, 100, exectype=LIMIT, price=10.25)}
    assert trade(days, script, slippage=0.02).fills == [(1, A, 100, 9.85), (2, A, -100, 10.25)]
    # with more room, the slippage alone
    script = {1: buy(A, 100, exectype=LIMIT, price=9.95), 2: sell(A, 100, exectype=LIMIT, price=10.1)}
    assert trade(days, script, slippage=0.02).fills == [(1, A, 100, 9.9), (2, A, -100, 10.2)]


# ------------------------------------------------------------------------------------------ coo


def run_with(table, script, **options):
    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=True, **options)
    add_stocks(cerebro, check_table(table), checked=True)
    broker = AShareBroker(cash=100_000.0)
    broker.addcommissioninfo(free())
    cerebro.setbroker(broker)
    result = Result(broker)
    cerebro.addstrategy(Scripted, script=script, result=result)
    cerebro.run()
    return result


def test_without_broker_coo_orders_at_the_open_fill_at_the_next_open():
    table = tiny_market({A: [10.0, 10.1, 10.2, 10.3, 10.4]})

    def fills_now(strategy):
        return strategy.broker.fills_at_open

    script = {1: steps(buy(A, 100), fills_now), 3: close(A)}
    run = run_with(table, script, broker_coo=False)
    assert run.fills == [(2, A, 100, 10.2), (4, A, -100, 10.4)]
    assert run.orders[1] is False
    run = run_with(table, script)
    assert run.fills == [(1, A, 100, 10.1), (3, A, -100, 10.3)]
    assert run.orders[1] is True


def test_fills_at_open_before_the_first_order():
    def ask(strategy):
        return strategy.broker.fills_at_open

    days = [10.0] * 3
    assert trade(days, {0: ask, 1: ask, 2: ask}).orders == [True] * 3
    assert trade(days, {0: ask, 1: ask, 2: ask}, at_open=False).orders == [False] * 3
    assert trade(days, {0: ask, 1: ask, 2: ask}, at_open=False, cheat=True).orders == [False] * 3  # the open is over


# ------------------------------------------------------------------------------------------ brackets


def bracket(parent, stop, limit, size=1000):
    def give(strategy):
        data = strategy.feed(A)
        first = strategy.buy(data=data, size=size, transmit=False, **parent)
        return [first, strategy.sell(data=data, size=size, parent=first, transmit=False, **stop),
                strategy.sell(data=data, size=size, parent=first, transmit=True, **limit)]

    return give


WAITING = {'exectype': LIMIT, 'price': 9.8}
PROFIT = {'exectype': LIMIT, 'price': 10.5}


def last_statuses(run, orders):
    return [run.statuses(order)[-1] for order in orders]


@pytest.mark.parametrize('held', [0, 1000])
def test_a_market_child_does_not_trade_before_its_parent(held):
    # the parent waits for 9.80 until the third day, its child sells at the open after
    days = [10.0, 10.0, 10.1, (10.0, 9.7), 10.2, 10.3]
    before = [buy(A, held)] if held else []
    run = trade(days, {1: steps(*before, bracket(WAITING, {'exectype': MARKET}, PROFIT))}, commission=free())
    first = [(1, A, held, 10.0)] if held else []
    assert run.fills == [*first, (3, A, 1000, 9.8), (4, A, -1000, 10.2)]
    assert last_statuses(run, run.orders[-1]) == ['Completed', 'Completed', 'Canceled']
    assert run.refusals == []


@pytest.mark.parametrize('held', [0, 1000])
def test_an_expired_parent_takes_its_children_along(held):
    # it ends with 2024-01-04, the third day; 9.80 and the stop of 9.50 come later
    days = [10.0, 10.0, 10.0, 10.0, (9.9, 9.4), (10.0, 10.9)]
    parent = {**WAITING, 'valid': pd.Timestamp('2024-01-04')}
    before = [buy(A, held)] if held else []
    run = trade(days, {1: steps(*before, bracket(parent, {'exectype': STOP, 'price': 9.5}, PROFIT))}, commission=free())
    assert run.fills == ([(1, A, held, 10.0)] if held else [])
    assert last_statuses(run, run.orders[-1]) == ['Expired', 'Canceled', 'Canceled']
    assert [(note.day, note.status) for note in run.notes if note.status in ('Expired', 'Canceled')] == [
        (3, 'Expired'), (3, 'Canceled'), (3, 'Canceled')]
    assert len(run.broker.pending) == 0


def test_an_order_valid_until_a_day_still_fills_on_it():
    days = [10.0, 10.0, (10.0, 9.7), 9.7]
    run = trade(days, {1: buy(A, 100, exectype=LIMIT, price=9.8, valid=pd.Timestamp('2024-01-04'))})
    assert run.fills == [(2, A, 100, 9.8)]


def test_an_expired_order_takes_its_pair_along():
    def pair(strategy):
        first = buy(A, 100, exectype=LIMIT, price=9.0, valid=pd.Timestamp('2024-01-03'))(strategy)
        return [first, buy(A, 100, exectype=LIMIT, price=9.5, oco=first)(strategy)]

    run = trade([10.0, 10.0, 10.0, (9.6, 9.4)], {1: pair})
    assert run.fills == []
    assert last_statuses(run, run.orders) == ['Expired', 'Canceled']


def test_the_children_of_a_cut_parent_live_for_what_it_got():
    days = [10.0, bar(10.0, volume=4_000.0), (10.0, 10.6), 10.6]
    run = trade(days, {1: bracket({'exectype': MARKET}, {'exectype': STOP, 'price': 9.5}, PROFIT)}, volume_limit=0.1,
                commission=free())
    assert run.fills == [(1, A, 400, 10.0), (2, A, -400, 10.5)]
    assert last_statuses(run, run.orders) == ['Canceled', 'Canceled', 'Completed']


def test_a_market_child_goes_before_a_limit_that_rests_longer():
    # 100 shares bought within the third day; on the fourth the child sells at the open, nothing is left for 10.50
    days = [10.0, 10.0, (10.0, 9.7), (10.2, 10.6), 10.3]
    rests = sell(A, 100, exectype=LIMIT, price=10.5)
    parent = bracket(WAITING, {'exectype': MARKET}, {'exectype': LIMIT, 'price': 11.0}, size=100)
    run = trade(days, {1: steps(rests, parent)}, commission=free())
    assert run.fills == [(2, A, 100, 9.8), (3, A, -100, 10.2)]
    assert run.refusals == []


def test_the_other_child_is_for_what_the_first_has_left():
    # 1,000 beside the bracket's 1,000; 400 take their profit, then the stop sells the other 600
    days = [10.0, 10.0, bar(10.0, 10.5, volume=4_000.0), (10.0, 9.46), 9.46]
    script = {1: steps(buy(A, 1000), bracket({'exectype': MARKET}, {'exectype': STOP, 'price': 9.5}, PROFIT))}
    run = trade(days, script, volume_limit=0.1, commission=free())
    assert run.fills == [(1, A, 1000, 10.0), (1, A, 1000, 10.0), (2, A, -400, 10.5), (3, A, -600, 9.5)]
    assert run.shares[-1] == {A: 1000}


# ------------------------------------------------------------------------------------------ cancelled by the user


def cancel(number):
    return lambda strategy: strategy.cancel(strategy.p.result.orders[number])


def test_an_order_that_the_user_cancels_takes_its_children_along():
    days = [10.0, 10.0, 10.0, (9.9, 9.4), (10.0, 10.9)]
    script = {1: bracket(WAITING, {'exectype': STOP, 'price': 9.5}, PROFIT), 2: cancel(0)}
    run = trade(days, script)
    assert run.fills == []
    assert last_statuses(run, run.orders[:3]) == ['Canceled'] * 3


def test_an_order_that_the_user_cancels_after_a_fill_keeps_it():
    days = [10.0] + [bar(10.0, volume=4_000.0)] * 4
    run = trade(days, {1: buy(A, 1000, exectype=LIMIT, price=10.0), 3: cancel(0)}, volume_limit=0.1)
    assert run.fills == [(1, A, 400, 10.0), (2, A, 400, 10.0)]
    assert run.statuses(run.orders[0]) == ['Accepted', 'Partial', 'Partial', 'Canceled']
    assert run.orders[0].info.get('reason') is None
    assert run.cash[-1] == pytest.approx(91_995.0)  # 8,000 + 5
