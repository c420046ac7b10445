"""How many shares an order gets where cash, volume, impact and lots meet at an edge."""

import pytest

from bt_microcap import AShareCommission
from tests.support.markets import bar, tiny_market
from tests.support.scripted import buy, close, play, sell, steps

A, STAR = '600001.XSHG', '688001.XSHG'


def free():
    return AShareCommission(commission=0.0, min_commission=0.0, stamp_duty=0.0)


def trade(days, script, **params):
    return play(tiny_market({A: days}), script, **params)


# ------------------------------------------------------------------------------------------ cash


@pytest.mark.parametrize(('price', 'bought', 'cash'), [
    (3.6, 277, -2.2),  # 1,000 / 3.60 = 277.78; 997.20 + 5
    (3.3, 303, -4.9),  # 303.03; 999.90 + 5
    (4.0, 250, -5.0),  # met exactly
])
def test_a_size_cut_to_the_cash_is_rounded_down(price, bought, cash):
    table = tiny_market({STAR: [price] * 3})
    run = play(table, {1: buy(STAR, 5000)}, cash=1000.0, size_with_fees=False)
    assert run.fills == [(1, STAR, bought, price)]
    assert run.orders[0].info.cash_limited_to == bought
    assert run.cash[1] == pytest.approx(cash, abs=1e-9)


def test_a_size_that_the_cash_pays_is_not_cut():
    run = play(tiny_market({STAR: [4.0] * 3}), {1: buy(STAR, 250)}, cash=1000.0, size_with_fees=False)
    assert run.fills == [(1, STAR, 250, 4.0)]
    assert 'cash_limited_to' not in run.orders[0].info


def test_a_lot_step_of_one_share_stops_at_the_last_that_fees_allow():
    # 1,000 less 5 of fees: 995 / 3.60 = 276.39
    run = play(tiny_market({STAR: [3.6] * 3}), {1: buy(STAR, 5000)}, cash=1000.0)
    assert run.fills == [(1, STAR, 276, 3.6)]
    assert run.cash[1] == pytest.approx(1.4, abs=1e-9)  # 993.60 + 5


# ------------------------------------------------------------------------------------------ volume


@pytest.mark.parametrize(('part', 'volume', 'bought'), [
    (0.57, 10_000.0, 5_700),  # 0.57 x 10,000 is 5699.999999999999 in binary
    (0.29, 50_000.0, 14_500),  # 14499.999999999998
    (0.57, 9_999.0, 5_600),  # 5,699.43
])
def test_a_volume_limit_a_hair_below_a_whole_lot_lets_the_lot_through(part, volume, bought):
    days = [2.0, bar(2.0, volume=volume), bar(2.0, volume=volume)]
    run = trade(days, {1: buy(A, 20_000), 2: close(A)}, volume_limit=part)
    assert run.fills == [(1, A, bought, 2.0), (2, A, -bought, 2.0)]


def test_a_volume_limit_a_hair_below_a_whole_share_on_star():
    # 0.57 x 700 = 398.99999999999994
    run = play(tiny_market({STAR: [2.0, bar(2.0, volume=700.0)]}), {1: buy(STAR, 1000)}, volume_limit=0.57)
    assert run.fills == [(1, STAR, 399, 2.0)]


@pytest.mark.parametrize(('volume', 'sold'), [
    (1_000.0, 250),  # the allowance is 250: all of it, the odd 50 too
    (1_004.0, 250),  # 251
    (996.0, 200),  # 249: what cannot go whole goes in lots
])
def test_odd_shares_go_when_the_allowance_is_exactly_theirs(volume, sold):
    # 200 shares become 250 on the ex-date
    days = [10.0, 10.0, bar(8.0, preclose=8.0, share_ratio=1.25), bar(8.0, volume=volume)]
    run = trade(days, {1: buy(A, 200), 3: close(A)}, volume_limit=0.25)
    assert run.fills[1:] == [(3, A, -sold, 8.0)]
    assert run.shares[3] == ({} if sold == 250 else {A: 50})
    assert run.orders[1].info.get('reason') == (None if sold == 250 else 'volume limit')


@pytest.mark.parametrize(('asked', 'sold'), [(149, 100), (150, 150), (151, 150), (249, 200)])
def test_odd_shares_go_with_whole_lots_or_stay(asked, sold):
    days = [10.0, 10.0, bar(8.0, preclose=8.0, share_ratio=1.25), 8.0]
    run = trade(days, {1: buy(A, 200), 3: sell(A, asked)})
    assert run.fills[1:] == [(3, A, -sold, 8.0)]


def test_without_a_volume_limit_an_order_may_be_larger_than_the_volume():
    days = [10.0, bar(10.0, volume=100.0), bar(10.0, volume=100.0)]
    run = trade(days, {1: buy(A, 1000), 2: close(A)})
    assert run.fills == [(1, A, 1000, 10.0), (2, A, -1000, 10.0)]


def test_orders_of_a_day_share_its_volume():
    days = [10.0, bar(10.0, volume=4_000.0), bar(10.0, volume=4_000.0)]
    run = trade(days, {1: steps(buy(A, 300), buy(A, 300), buy(A, 300), buy(A, 300)), 2: close(A)}, volume_limit=0.2)
    # 800 a day: 300, 300, 200, none; on the next day 800 again
    assert run.fills == [(1, A, 300, 10.0), (1, A, 300, 10.0), (1, A, 200, 10.0), (2, A, -800, 10.0)]
    assert run.refusals == [(1, A, 'volume limit')]
    assert run.statuses(run.orders[2]) == ['Accepted', 'Partial', 'Canceled']


# ------------------------------------------------------------------------------------------ impact

# 0.1 x sqrt(part of the volume of 10,000): 400 shares move the price by 2 %, 200 by 1.4142 %, 900 by 3 %, 1,000 by 3.1623 %.
DAYS = [10.0] + [bar(10.0, volume=10_000.0)] * 2


def test_a_buy_with_impact_and_volume_limit_is_sized_at_what_may_fill():
    # 400 shares may fill, at 10.20: the budget pays 1,000 of them (10,200 + 5), at 10.32 only 900
    run = trade(DAYS, {1: buy(A, 1000, value=10_240.0)}, impact=0.1, volume_limit=0.04)
    assert run.fills == [(1, A, 400, 10.2)]
    order = run.orders[0]
    assert (order.created.size, order.executed.size, order.executed.remsize) == (1000, 400, 600)
    assert run.cash[1] == pytest.approx(95_915.0)  # 4,080 + 5
    assert run.statuses(order) == ['Accepted', 'Partial', 'Canceled']


def test_a_budget_for_less_than_the_volume_limit_pays_its_own_impact():
    # 200 at 10.14 = 2,028; 300 at 10.17 would be 3,051
    run = trade(DAYS, {1: buy(A, 1000, value=3_000.0)}, impact=0.1, volume_limit=0.04, commission=free())
    assert run.fills == [(1, A, 200, 10.14)]


def test_a_budget_met_exactly_with_impact():
    # 300 at 10 x 1.0173205 = 10.17: 3,051 + 5
    for value, bought in ((3_056.0, 300), (3_055.99, 200)):
        run = trade(DAYS, {1: buy(A, 1000, value=value)}, impact=0.1)
        assert [fill.size for fill in run.fills] == [bought]


def test_a_sale_with_impact_and_volume_limit_fills_at_the_price_of_what_may_fill():
    days = [10.0, bar(10.0, volume=1e6), bar(10.0, volume=10_000.0), bar(10.0, volume=10_000.0)]
    run = trade(days, {1: buy(A, 1000), 2: close(A), 3: sell(A, 200)}, impact=0.1, volume_limit=0.04)
    # bought 0.1 x sqrt(0.001) = 0.316 % above: 10.03; sold 2 % below, then 1.4142 %
    assert run.fills == [(1, A, 1000, 10.03), (2, A, -400, 9.8), (3, A, -200, 9.86)]


def test_impact_without_a_volume_limit_counts_the_whole_order():
    run = trade(DAYS, {1: buy(A, 900)}, impact=0.1)
    assert run.fills == [(1, A, 900, 10.3)]
