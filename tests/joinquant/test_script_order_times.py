"""When the orders of a JoinQuant script fill: before the open, at it, at the close, after it; limit orders through the day."""

import pytest

from bt_microcap.joinquant.api.session import ScriptWarning

from .scripts import fills, held
from .steps import A, B, flat, play, seen

# ------------------------------------------------------------------------------------- before, at and after the session


def test_an_order_before_the_open_is_new_and_fills_at_the_open(tmp_path):
    table = flat(A, open={A: {1: 10.4}})
    strategy = play({
        '3 9:00': 'g.order = order(A, 500); see(said(g.order)); see(len(get_open_orders())); see(len(portfolio.positions))',
        '3 9:30': 'see(said(g.order)); see(len(get_open_orders())); see(positions[A].total_amount); see(portfolio.cash)'},
        tmp_path, table)
    assert strategy.g.seen == [('new', 500, 0, 0.0), 1, 0, ('held', 500, 500, 10.4), 0, 500, 94_800.0]
    assert fills(strategy) == [('2024-01-03', A, 500, 10.4)]


def test_a_value_ordered_before_the_open_is_counted_at_the_open(tmp_path):
    table = flat(A, open={A: {1: 10.4}})
    strategy = play({'3 before_open': 'order_value(A, 10000)'}, tmp_path, table)
    assert fills(strategy) == [('2024-01-03', A, 900, 10.4)]  # 961 shares at 10.40


def test_a_target_ordered_before_the_open_may_turn_into_a_sale_at_it(tmp_path):
    table = flat(A, open={A: {2: 10.9}})
    strategy = play({
        '3 9:30': 'order(A, 2000)',
        '4 9:00': 'g.order = order_target_value(A, 20_500); see((g.order.is_buy, g.order.action, g.order.amount))',
        '4 9:30': 'see((g.order.is_buy, g.order.action)); see(said(g.order))'}, tmp_path, table)
    # 2000 x 10.90 = 21 800: 1300 yuan too much are 119 shares
    assert strategy.g.seen == [(True, 'open', 50), (False, 'close'), ('held', 100, 100, 10.9)]
    assert held(strategy) == {A: 1900}


def test_a_sale_before_the_open_pays_for_a_buy_before_the_open(tmp_path):
    strategy = play({'3 9:30': 'order(A, 1000)', '4 9:00': 'order_target(A, 0); order(B, 1000)'}, tmp_path, cash=10_000.0)
    assert held(strategy) == {B: 1000}


def test_an_order_before_the_open_that_the_open_refuses_ends_there(tmp_path):
    table = flat(A, B, open={A: {1: 11.0}}, paused={B: {1: 1}})
    strategy = play({'3 9:00': 'g.orders = [order(A, 500), order(B, 500)]; order(A, 100, LimitOrderStyle(9.8))',
                     '3 9:30': """
see([None if o is None else (str(o.status), o.filled) for o in g.orders])
see(len(get_open_orders()))""",
                     '4 9:30': 'order(A, 100)'}, tmp_path, table)
    first, second = strategy.g.seen[0]
    assert first == ('canceled', 0)
    assert second is None or second[0] in ('rejected', 'canceled')
    assert strategy.g.seen[1] == 1  # the limit order waits
    assert held(strategy) == {A: 100}


def test_orders_at_the_close_fill_at_the_close_of_the_same_day(tmp_path):
    table = flat(A, open={A: {1: 9.8, 2: 9.7}}, close={A: {1: 10.2, 2: 10.5}})
    with pytest.warns(ScriptWarning, match='acts at the close'):
        strategy = play({'3 14:50': 'see(said(order_value(A, 10_000))); see(portfolio.cash); see(portfolio.total_value)',
                         '4 close': 'see(said(order(A, -400)))',
                         '5 10:00': 'see(said(order(A, 100)))'}, tmp_path, table)
    # 10 000 / 10.20 = 980 shares
    assert strategy.g.seen == [('held', 900, 900, 10.2), 90_820.0, 100_000.0, ('held', 400, 400, 10.5), ('held', 100, 100, 10.0)]
    assert fills(strategy) == [('2024-01-03', A, 900, 10.2), ('2024-01-04', A, -400, 10.5), ('2024-01-05', A, 100, 10.0)]


def test_the_equity_of_a_day_has_the_orders_at_its_close(tmp_path):
    table = flat(A, open={A: {1: 9.8}}, close={A: {1: 10.2, 2: 10.5, 3: 10.0}})
    strategy = play({'3 15:00': 'order(A, 1000)', '4 14:30': 'order_target(A, 0)'}, tmp_path, table,
                    setting="set_slippage(FixedSlippage(0.2)); set_order_cost(OrderCost(min_commission=5), type='stock')")
    # bought at 10.20 + 0.10 and 5 yuan, worth 10.20 at the close; sold at 10.50 - 0.10 and 5 yuan
    assert [(str(row.date), round(row.cash, 6), row.market_value, round(row.total_value, 6))
            for row in strategy.analyzers.blotter.equity] == [
        ('2024-01-03', 89_695.0, 10_200.0, 99_895.0), ('2024-01-04', 100_090.0, 0.0, 100_090.0),
        ('2024-01-05', 100_090.0, 0.0, 100_090.0)]


def test_limits_and_suspension_count_at_the_close(tmp_path):
    # at the upper limit at the open, off it at the close; and the other way round
    table = flat(A, B, '000003.XSHE', open={A: {1: 11.0}, B: {1: 10.0}}, close={A: {1: 10.5}, B: {1: 11.0}},
                 paused={'000003.XSHE': {1: 1}})
    assert seen({'3 9:30': 'see(said(order(A, 100))); see(said(order(B, 100)))',
                 '3 14:50': "see(said(order(A, 100))); see(said(order(B, 100))); see(order('0000' + '03.XSHE', 100))"},
                tmp_path, table) == [
        ('canceled', 100, 0, 0.0), ('held', 100, 100, 10.0), ('held', 100, 100, 10.5), ('canceled', 100, 0, 0.0), None]


def test_orders_after_the_close_are_refused_and_it_is_said_once(tmp_path):
    with pytest.warns(ScriptWarning, match='orders after the close are refused') as caught:
        strategy = play({'3 9:30': 'order(A, 500)',
                         '3 15:30': 'see(order(B, 100)); see(order_target(A, 0)); see(order(A, 100, LimitOrderStyle(9)))',
                         '4 after_close': 'see(order_value(B, 1000)); see(len(get_orders()))'}, tmp_path)
    assert strategy.g.seen == [None, None, None, None, 0]
    assert held(strategy) == {A: 500}
    assert sum('after the close' in str(warning.message) for warning in caught) == 1


# ------------------------------------------------------------------------------------------------------- limit orders

FALLS = {'open': {A: {1: 10.0}}, 'close': {A: {1: 9.6}}, 'low': {A: {1: 9.5}}, 'high': {A: {1: 10.2}}}
LIMITED = 'order(A, {}, LimitOrderStyle({}))'


def test_a_limit_order_that_is_reached_fills_at_the_open(tmp_path):
    strategy = play({'3 9:30': 'see(said(order(A, 550, LimitOrderStyle(10.3)))); see(said(order(A, 100, 10.0)))'},
                    tmp_path, flat(A, **FALLS))
    assert strategy.g.seen == [('held', 500, 500, 10.0), ('held', 100, 100, 10.0)]


def test_a_limit_order_waits_and_fills_at_its_price_during_the_day(tmp_path):
    strategy = play({'3 9:30': """
g.order = order(A, 500, LimitOrderStyle(9.7))
see((said(g.order), list(get_open_orders()) == [g.order.order_id], len(get_trades()), positions[A].total_amount))""",
                     '3 14:50': """
see(said(g.order))  # what an order has become is seen without asking for it anew
see((said(get_orders()[g.order.order_id]), len(get_open_orders()), positions[A].total_amount, positions[A].closeable_amount))
see([(t.security, t.amount, round(t.price, 6), t.order_id == g.order.order_id) for t in get_trades().values()])"""},
                    tmp_path, flat(A, **FALLS))
    assert strategy.g.seen == [(('open', 500, 0, 0.0), True, 0, 0), ('held', 500, 500, 9.7), (('held', 500, 500, 9.7), 0, 500, 0),
                               [(A, 500, 9.7, True)]]
    assert fills(strategy) == [('2024-01-03', A, 500, 9.7)]


def test_a_limited_sale_waits_for_its_price(tmp_path):
    table = flat(A, high={A: {2: 10.4, 3: 10.6}}, close={A: {2: 10.3, 3: 10.3}})
    strategy = play({'3 9:30': 'order(A, 1000)', '4 9:30': 'order_target(A, 0, LimitOrderStyle(10.5))',
                     '5 9:30': 'see(positions[A].total_amount); order_target(A, 400, LimitOrderStyle(10.5))'}, tmp_path, table)
    assert strategy.g.seen == [1000]
    assert fills(strategy) == [('2024-01-03', A, 1000, 10.0), ('2024-01-05', A, -600, 10.5)]


def test_a_limit_order_that_is_not_reached_ends_with_the_day(tmp_path):
    table = flat(A, open={A: {1: 10.0, 2: 9.6}}, low={A: {1: 9.5, 2: 9.0}}, close={A: {1: 9.6, 2: 9.2}})
    strategy = play({'3 9:30': 'g.order = order(A, 500, LimitOrderStyle(9.3)); see(str(g.order.status))',
                     '3 14:50': 'see((str(g.order.status), len(get_open_orders())))',
                     '3 15:30': 'see((str(g.order.status), len(get_open_orders())))',
                     '4 9:00': 'see((str(g.order.status), len(get_orders())))',
                     '5 9:30': 'see(positions[A].total_amount); order(A, 100)'}, tmp_path, table)
    assert strategy.g.seen == ['open', ('open', 1), ('canceled', 0), ('canceled', 0), 0]
    assert [fill[0] for fill in fills(strategy)] == ['2024-01-05']


def test_a_limit_order_at_the_close_fills_or_is_cancelled_at_once(tmp_path):
    assert seen({'3 14:50': f'see(said({LIMITED.format(200, 9.7)})); see(said({LIMITED.format(200, 9.5)}))'},
                tmp_path, flat(A, **FALLS)) == [('held', 200, 200, 9.6), ('canceled', 200, 0, 0.0)]


def test_a_limit_order_whose_price_is_only_touched_does_not_fill(tmp_path):
    # manual: bought where the limit is above the low of a bar, not at it
    table = flat(low={A: {1: 9.5}, B: {1: 9.49}}, high=10.0)
    steps = {'3 9:30': 'see([order(code, 100, LimitOrderStyle(9.5)) for code in (A, B)])',
             '3 15:30': 'see([(str(o.status), o.filled) for o in g.seen[0]]); g.seen = g.seen[1:]'}
    assert seen(steps, tmp_path, table) == [[('canceled', 0), ('held', 100)]]


def test_a_limit_order_never_fills_beyond_its_price(tmp_path):
    # 10.00 + 0.10 of slippage is beyond 10.05: the order waits, and there is a price of 10.05 or less during the day
    strategy = play({'3 9:30': """
see(str(order(A, 500, LimitOrderStyle(10.05)).status))
see(said(order(A, 500, LimitOrderStyle(10.1))))"""}, tmp_path, flat(A, **FALLS), setting='set_slippage(FixedSlippage(0.2))')
    assert strategy.g.seen == ['open', ('held', 500, 500, 10.1)]
    assert [fill[3] <= 10.05 for fill in fills(strategy) if fill[3] != 10.1] == [True]


def test_a_limit_order_at_the_upper_limit_waits(tmp_path):
    table = flat(A, B, open={A: {1: 11.0}}, close={A: {1: 11.0}})
    strategy = play({'3 9:30': 'see(said(order(A, 500, LimitOrderStyle(11.0)))); order(B, 100)'}, tmp_path, table)
    assert strategy.g.seen == [('open', 500, 0, 0.0)]
    assert held(strategy) == {B: 100}


def test_a_waiting_limit_order_has_a_legal_size(tmp_path):
    strategy = play({'3 9:30': """
g.order = order(A, 550, LimitOrderStyle(9.7))
see(said(g.order))
see(said(order(A, 50, LimitOrderStyle(9.7))))""", '3 14:50': 'get_orders(); see(said(g.order))'}, tmp_path, flat(A, **FALLS))
    assert strategy.g.seen == [('open', 500, 0, 0.0), None, ('held', 500, 500, 9.7)]


def test_a_target_cancels_the_orders_of_the_stock_that_wait(tmp_path):
    strategy = play({'3 9:30': """
first = order(A, 500, LimitOrderStyle(9.7))
other = order(B, 500, LimitOrderStyle(9.7))
see(said(order_target(A, 300)))
get_orders()
see((str(first.status), str(other.status)))"""}, tmp_path, flat(A, B, **FALLS))
    assert strategy.g.seen == [('held', 300, 300, 10.0), ('canceled', 'open')]
    assert held(strategy) == {A: 300}


def test_cancel_order(tmp_path):
    strategy = play({
        '3 9:00': 'o = order(A, 100); see(cancel_order(o) is o); see(str(o.status))',
        '3 9:30': """
first, second, done = order(A, 500, LimitOrderStyle(9.7)), order(A, 300, LimitOrderStyle(9.7)), order(A, 200)
see(cancel_order(first) is first)
see(str(cancel_order(second.order_id).status))
see((str(first.status), first.filled, len(get_open_orders())))
see((cancel_order(first), cancel_order(done), cancel_order(12345)))"""}, tmp_path, flat(A, **FALLS))
    assert strategy.g.seen == [True, 'canceled', True, 'canceled', ('canceled', 0, 0), (None, None, None)]
    assert held(strategy) == {A: 200}
