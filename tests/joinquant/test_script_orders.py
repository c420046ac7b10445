"""Orders of a JoinQuant script: how many shares are bought and sold, and what is refused, cancelled or cut."""

import pytest

from bt_microcap.joinquant.api.errors import ScriptError
from bt_microcap.joinquant.api.session import ScriptWarning

from .scripts import fills, held, market
from .steps import STAR, A, B, flat, play, seen

# ------------------------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize(('call', 'shares'), [
    ('order(A, 500)', 500),
    ('order(A, 599)', 500),  # whole lots of 100
    ('order(A, 250.9)', 200),
    ('order_target(A, 700)', 700),
    ('order_value(A, 3456)', 300),  # 345.6 shares at 10 yuan
    ('order_value(A, 3000)', 300),
    ('order_value(A, 2999.99)', 200),
    ('order_target_value(A, 5999)', 500),
    ('order_target_value(A, 1000)', 100),
])
def test_buys_are_cut_to_whole_lots(call, shares, tmp_path):
    strategy = play({'3 9:30': f'see(said({call}))'}, tmp_path)
    assert strategy.g.seen == [('held', shares, shares, 10.0)]
    assert fills(strategy) == [('2024-01-03', A, shares, 10.0)]


@pytest.mark.parametrize('call', ['order(A, 99)', 'order_target(A, 99)', 'order_value(A, 999)', 'order_target_value(A, 999)',
                                  'order(A, 0)', 'order_value(A, 0)', 'order_target(A, 0)', 'order_target_value(A, 0)',
                                  'order(A, -100)', 'order_value(A, -5000)', 'order_target(A, -5)', 'order_target_value(A, -5)'])
def test_nothing_to_trade_gives_none(call, tmp_path):
    with pytest.warns(UserWarning, match='no order was filled'):
        strategy = play({'3 9:30': f'see(said({call}))'}, tmp_path)
    assert strategy.g.seen == [None]
    assert fills(strategy) == []


@pytest.mark.parametrize(('call', 'left'), [
    ('order(A, -300)', 700),
    ('order(A, -350)', 700),  # a part of a holding is sold in whole lots, too
    ('order(A, -1000)', 0),
    ('order(A, -5000)', 0),  # no more than is held
    ('order_target(A, 400)', 400),
    ('order_target(A, 450)', 500),  # 550 too many: 500 of them
    ('order_target(A, 1150)', 1100),
    ('order_target(A, 0)', 0),
    ('order_value(A, -2500)', 800),
    ('order_target_value(A, 5000)', 500),
    ('order_target_value(A, 50)', 100),  # 9950 yuan too many: 995 shares, 900 of them
    ('order_target_value(A, 12500)', 1200),
    ('order_target_value(A, 0)', 0),
    ('order_target_value(A, -1)', 0),
])
def test_a_holding_of_1000_is_changed_by_the_difference(call, left, tmp_path):
    strategy = play({'3 9:30': 'order(A, 1000)', '4 9:30': f'see(said({call}))'}, tmp_path)
    status, amount, filled, _ = strategy.g.seen[0]
    assert (status, amount, filled) == ('held', abs(left - 1000), abs(left - 1000))
    assert held(strategy) == ({A: left} if left else {})


@pytest.mark.parametrize('call', ['order_target(A, 1000)', 'order_target(A, 999)', 'order(A, -99)',
                                  'order_target_value(A, 10000)', 'order_target_value(A, 9500)', 'order_target_value(A, 10999)'])
def test_a_difference_below_one_lot_gives_none(call, tmp_path):
    strategy = play({'3 9:30': 'order(A, 1000)', '4 9:30': f'see(said({call}))'}, tmp_path)
    assert strategy.g.seen == [None]
    assert held(strategy) == {A: 1000}


@pytest.mark.parametrize(('call', 'left'), [
    ('order_target(A, 0)', 0), ('order_target_value(A, 0)', 0), ('order(A, -1050)', 0), ('order(A, -9999)', 0),
    # a part in whole lots: the odd 50 go with the last of them
    ('order(A, -1000)', 50), ('order(A, -120)', 950), ('order_target(A, 500)', 550), ('order_target(A, 1000)', 1050),
    ('order(A, 130)', 1150),
])
def test_an_odd_lot_is_sold_with_the_whole_position(call, left, tmp_path):
    table = flat(A, share_ratio={A: {2: 1.05}}, preclose={A: {2: 10.0}})  # 1000 shares become 1050 on the 4th
    strategy = play({'3 9:30': 'order(A, 1000)', '4 9:30': f'see(positions[A].total_amount); {call}'}, tmp_path, table)
    assert strategy.g.seen == [1050]
    assert held(strategy) == ({A: left} if left else {})


def test_a_target_value_counts_what_is_held_at_the_last_price(tmp_path):
    # 800 shares are worth 9600 at the open of 12; 3000 yuan less are 250 shares
    table = flat(A, open={A: {2: 12.0}}, high_limit={A: {2: 13.0}})
    strategy = play({'3 9:30': 'order(A, 800)', '4 9:30': 'order_target_value(A, 6600)'}, tmp_path, table)
    assert fills(strategy) == [('2024-01-03', A, 800, 10.0), ('2024-01-04', A, -200, 12.0)]


# -------------------------------------------------------------------------------------------------------------- cash


def test_cash_limits_a_buy_and_its_lots(tmp_path):
    strategy = play({'3 9:30': 'see(said(order(A, 9000))); see(said(order(B, 9000))); see(portfolio.cash)'}, tmp_path,
                    cash=12_345.0)
    assert strategy.g.seen == [('held', 1200, 1200, 10.0), None, 345.0]


def test_size_leaves_fees_and_slippage_out_so_that_cash_may_end_below_zero(tmp_path):
    # 10.00 x 1.00123 = 10.0123 -> 10.01; 1000 x 10.01 + max(5, 3.003) = 10015
    strategy = play({'3 9:30': 'see(said(order_value(A, 10000))); see(round(portfolio.cash, 6)); see(said(order(B, 100)))'},
                    tmp_path, setting='pass', cash=10_000.0)
    assert strategy.g.seen == [('held', 1000, 1000, 10.01), -15.0, None]


def test_proceeds_of_a_sale_pay_for_the_next_order_of_the_same_function(tmp_path):
    strategy = play({'3 9:30': 'order(A, 1000)', '4 9:30': 'order_target(A, 0); order_value(B, portfolio.cash)'}, tmp_path,
                    cash=10_000.0)
    assert fills(strategy) == [('2024-01-03', A, 1000, 10.0), ('2024-01-04', A, -1000, 10.0), ('2024-01-04', B, 1000, 10.0)]


# -------------------------------------------------------------------------------------------------- refused, cancelled


def test_a_suspended_stock_gives_none_and_stays(tmp_path):
    table = flat(A, B, paused={A: {2: 1}})
    strategy = play({'3 9:30': 'order(A, 500)', '4 9:30': """
see(said(order_target_value(A, 0)))
see(said(order_value(A, 5000)))
see(said(order(A, 100, LimitOrderStyle(9.5))))
see(said(order(A, 100, LimitOrderStyle(10.5))))
see(len(get_orders()))"""}, tmp_path, table)
    assert strategy.g.seen == [None, None, None, None, 0]
    assert held(strategy) == {A: 500}


@pytest.mark.parametrize('call', ['order(B, 100)', 'order_value(B, 5000)', 'order_target(B, 100)', 'order_target_value(B, 5000)',
                                  'order(B, 100, LimitOrderStyle(12))'])
def test_a_stock_without_a_row_yet_or_no_longer_gives_none(call, tmp_path):
    table = market({A: [10.0] * 6, B: [None, None, 10.0, 10.0, None, None]})
    strategy = play({'3 9:30': f'order(A, 100); see(said({call}))', '4 9:30': f'see(said({call}))',
                     '8 9:30': f'see(said({call}))'}, tmp_path, table)
    assert strategy.g.seen[0] is strategy.g.seen[2] is None
    assert strategy.g.seen[1][0] == 'held'


def test_an_unknown_code_is_refused_and_said_once(tmp_path):
    steps = {'3 9:30': """
code = '6000' + '09.XSHG'
order(A, 100)
see([order(code, 100), order_value(code, 100), order_target_value(code, 0), order_target(code, 100, LimitOrderStyle(9))])"""}
    with pytest.warns(ScriptWarning) as caught:
        assert seen(steps, tmp_path) == [[None, None, None, None]]
    assert sum("no stock '600009.XSHG'" in str(warning.message) for warning in caught) == 1


@pytest.mark.parametrize('call', ['order(A, nan)', 'order_target(A, nan)', 'order_value(A, nan)', 'order_target_value(A, nan)',
                                  "order_value(A, float('inf'))"])
def test_what_is_no_number_is_said_in_one_line(call, tmp_path):
    with pytest.raises(ScriptError, match=r'line \d+.*found (nan|inf), expected a number') as caught:
        play({'3 9:30': call}, tmp_path)
    assert '\n' not in str(caught.value)


def test_short_sales_are_said_in_one_line(tmp_path):
    with pytest.raises(ScriptError, match="side='short'"):
        play({'3 9:30': "order(A, 100, side='short')"}, tmp_path)


@pytest.mark.parametrize('call', ['order(A, 1000)', 'order_target(A, 1000)', 'order_value(A, 9000)',
                                  'order_target_value(A, 9000)'])
def test_a_buy_at_the_upper_limit_gives_a_cancelled_order(call, tmp_path):
    table = flat(A, B, open={A: {1: 11.0}})  # 10 % above 10
    strategy = play({'3 9:30': f"""
o = {call}
see((str(o.status), o.filled, o.price, o.commission, o.status == OrderStatus.canceled, o.is_buy))
see(list(get_orders()) == [o.order_id])
see(len(get_open_orders()) + len(get_trades()))
order(B, 100)"""}, tmp_path, table)
    assert strategy.g.seen == [('canceled', 0, 0.0, 0.0, True, True), True, 0]
    assert held(strategy) == {B: 100}


def test_less_than_a_lot_at_the_upper_limit_gives_none(tmp_path):
    table = flat(A, B, open={A: {1: 11.0}})
    # no lot asked for; no money for one
    assert seen({'3 9:30': 'see(said(order(A, 50))); order(B, 900); see(said(order(A, 100)))'}, tmp_path, table,
                cash=10_000.0) == [None, None]


def test_a_sale_at_the_lower_limit_gives_a_cancelled_order_and_a_buy_is_filled(tmp_path):
    table = flat(A, open={A: {2: 9.0}})
    strategy = play({'3 9:30': 'order(A, 1000)', '4 9:30': 'see(said(order_target(A, 0))); see(said(order(A, 200)))'},
                    tmp_path, table)
    assert strategy.g.seen == [('canceled', 1000, 0, 0.0), ('held', 200, 200, 9.0)]
    assert held(strategy) == {A: 1200}


def test_slippage_beyond_the_limit_cancels(tmp_path):
    # 10.99 + 0.02 is above the limit of 11.00
    table = flat(A, B, open={A: {1: 10.99}})
    strategy = play({'3 9:30': 'see(said(order(A, 1000))); order(B, 100)'}, tmp_path, table,
                    setting='set_order_cost(OrderCost(), type="stock"); set_slippage(FixedSlippage(0.04))')
    assert strategy.g.seen == [('canceled', 1000, 0, 0.0)]


def test_a_day_without_volume_cancels(tmp_path):
    table = flat(A, B, volume={A: {1: 0.0}})
    assert seen({'3 9:30': 'see(said(order(A, 1000))); order(B, 100)'}, tmp_path, table) == [('canceled', 1000, 0, 0.0)]


# --------------------------------------------------------------------------------------------------------- T+1, STAR


def test_what_was_bought_today_is_not_sold_today(tmp_path):
    strategy = play({'3 9:30': 'order(A, 500); see(said(order_target(A, 0)))', '3 14:50': 'see(said(order(A, -100)))',
                     '4 9:30': 'see(said(order_target(A, 0)))'}, tmp_path)
    assert strategy.g.seen == [None, None, ('held', 500, 500, 10.0)]
    assert fills(strategy) == [('2024-01-03', A, 500, 10.0), ('2024-01-04', A, -500, 10.0)]


def test_only_the_shares_of_the_days_before_are_sold(tmp_path):
    strategy = play({'3 9:30': 'order(A, 500)', '4 9:30': 'order(A, 300); see(said(order_target(A, 0)))',
                     '4 14:50': 'see(said(order_target(A, 0)))', '5 9:30': 'see(said(order_target(A, 0)))'}, tmp_path)
    assert strategy.g.seen == [('held', 500, 500, 10.0), None, ('held', 300, 300, 10.0)]
    assert held(strategy) == {}


def test_a_stock_sold_today_is_bought_back_today_and_then_not_sold(tmp_path):
    strategy = play({'3 9:30': 'order(A, 500)',
                     '4 9:30': 'order_target(A, 0); see(said(order(A, 200))); see(said(order_target(A, 0)))',
                     '4 close': 'see(said(order_target(A, 0)))'}, tmp_path)
    assert strategy.g.seen == [('held', 200, 200, 10.0), None, None]
    assert held(strategy) == {A: 200}


def test_star_takes_no_market_order_without_a_protective_limit_price(tmp_path):
    strategy = play({'3 9:30': """
see(said(order(STAR, 300)))
see(said(order_value(STAR, 5000, MarketOrderStyle())))
see(said(order(STAR, 300, MarketOrderStyle(10.5))))
see(said(order_value(STAR, 3450, style=MarketOrderStyle(10.0))))
see(said(order(STAR, 199, MarketOrderStyle(10.5))))
see(said(order(STAR, 201, MarketOrderStyle(9.99))))
order(A, 100)"""}, tmp_path)
    # from 200 shares on by one; the price itself is not beyond the protection, a higher one is cancelled
    assert strategy.g.seen == [None, None, ('held', 300, 300, 10.0), ('held', 345, 345, 10.0), None, ('canceled', 201, 0, 0.0)]
    assert held(strategy) == {STAR: 645, A: 100}


def test_a_sale_of_star_asks_for_a_protective_limit_price_too(tmp_path):
    strategy = play({'3 9:30': 'order(STAR, 300, MarketOrderStyle(11))', '4 9:30': """
see(said(order_target_value(STAR, 0)))
see(said(order_target_value(STAR, 0, MarketOrderStyle(10.01))))
see(said(order_target_value(STAR, 0, MarketOrderStyle(10.0))))"""}, tmp_path)
    # no price; 10.00 is below the lowest that is asked for
    assert strategy.g.seen == [None, ('canceled', 300, 0, 0.0), ('held', 300, 300, 10.0)]


def test_slippage_counts_against_the_protective_limit_price_of_star(tmp_path):
    assert seen({'3 9:30': """
see(said(order(STAR, 300, MarketOrderStyle(10.04))))
see(said(order(STAR, 300, MarketOrderStyle(10.05))))"""}, tmp_path, setting='set_slippage(FixedSlippage(0.1))') == [
        ('canceled', 300, 0, 0.0), ('held', 300, 300, 10.05)]


def test_a_protective_limit_price_means_nothing_beside_star(tmp_path):
    assert seen({'3 9:30': 'see(said(order(A, 300, MarketOrderStyle(1.0))))'}, tmp_path) == [('held', 300, 300, 10.0)]
