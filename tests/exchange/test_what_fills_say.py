"""What an order and its fills tell: sizes, mean price, value, profit, fees; and open trades through corporate actions."""

import backtrader as bt
import pytest

from bt_microcap import AShareCommission
from tests.support.markets import bar, tiny_market
from tests.support.scripted import buy, close, play, sell, steps

A, STAR = '600001.XSHG', '688001.XSHG'
LIMIT = bt.Order.Limit


def free():
    return AShareCommission(commission=0.0, min_commission=0.0, stamp_duty=0.0)


def trade(days, script, **params):
    return play(tiny_market({A: days}), script, **params)


def told(order):
    """What each fill of an order says: size, opened, closed, value, fees, profit, position and its cost after it."""
    return [pytest.approx((bit.size, bit.opened, bit.closed, bit.value, bit.comm, bit.pnl, bit.psize, bit.pprice))
            for bit in order.executed.exbits]


def summed(order):
    done = order.executed
    return pytest.approx((done.size, done.remsize, done.price, done.value, done.comm, done.pnl))


@pytest.fixture(scope='module')
def several():
    # a quarter of 2,000 a day: 500 at 10.00, 500 at 9.90, together 9.95; sold 400 at 10.80 and 600 at 9.80
    days = [10.0, bar(10.0, volume=2_000.0), bar(9.9, volume=2_000.0), 10.8, 9.8]
    script = {1: buy(A, 1000, exectype=LIMIT, price=10.0), 3: sell(A, 400), 4: close(A)}
    return trade(days, script, volume_limit=0.25)


def test_a_buy_of_two_fills(several):
    order = several.orders[0]
    assert (order.size, order.created.size, order.info.wanted) == (1000, 1000, 1000)
    assert summed(order) == (1000, 0, 9.95, 9_950.0, 5.0, 0.0)  # 9,950 x 0.0003 is below the minimum of 5
    assert told(order) == [(500, 500, 0, 5_000.0, 5.0, 0.0, 500, 10.0), (500, 500, 0, 4_950.0, 0.0, 0.0, 1000, 9.95)]


def test_part_sales_of_a_position_of_two_fills(several):
    part, rest = several.orders[1:]
    # value is what the sold part cost: 400 x 9.95; the profit is without fees: 400 x (10.80 - 9.95)
    assert told(part) == [(-400, 0, -400, 3_980.0, 9.32, 340.0, 600, 9.95)]  # 5 + 4.32
    assert told(rest) == [(-600, 0, -600, 5_970.0, 10.88, -90.0, 0, 0.0)]  # 5 + 5.88
    assert (part.size, part.created.size, rest.size) == (-400, -400, -600)
    # 100,000 - 5,005 - 4,950 + 4,320 - 9.32 + 5,880 - 10.88
    assert several.cash[1:] == pytest.approx([94_995.0, 90_045.0, 94_355.68, 100_224.8])


def test_the_profit_of_the_trade_is_that_of_its_sales(several):
    assert several.trades['pnl']['gross']['total'] == pytest.approx(250.0)  # 340 - 90
    assert several.trades['pnl']['net']['total'] == pytest.approx(224.8)  # less 5 + 9.32 + 10.88


def test_a_sale_of_several_fills():
    # 400 a day at 10.50 or better: 400 at 10.50, 400 at 10.60, 200 at 10.50; bought at 10.00
    days = [10.0, 10.0, bar(10.5, volume=4_000.0), bar(10.6, volume=4_000.0), bar(10.5, volume=4_000.0)]
    run = trade(days, {1: buy(A, 1000), 2: sell(A, 1000, exectype=LIMIT, price=10.5)}, volume_limit=0.1)
    order = run.orders[1]
    # 5 + 4.20; 4.24; 2.10 alone, for 10,540 x 0.0003 = 3.162 stays below the minimum
    assert told(order) == [(-400, 0, -400, 4_000.0, 9.2, 200.0, 600, 10.0), (-400, 0, -400, 4_000.0, 4.24, 240.0, 200, 10.0),
            (-200, 0, -200, 2_000.0, 2.1, 100.0, 0, 0.0)]
    assert summed(order) == (-1000, 0, 10.54, 10_000.0, 15.54, 540.0)
    assert [fees[:3] for fees in order.info.fees] == [
        pytest.approx((5.0, 4.2, 0.0)), pytest.approx((0.0, 4.24, 0.0)), pytest.approx((0.0, 2.1, 0.0))]


def test_the_second_fill_of_an_order_pays_what_the_first_has_not():
    # 1,000 at 10: the minimum of 5 for 3; 4,000 at 10: 15 in all, 10 more
    days = [10.0, bar(10.0, volume=10_000.0), bar(10.0, volume=40_000.0), 10.0]
    run = trade(days, {1: buy(A, 5_000, exectype=LIMIT, price=10.0)}, volume_limit=0.1)
    assert [(fees.commission, fees.stamp_duty) for fees in run.orders[0].info.fees] == [
        pytest.approx((5.0, 0.0)), pytest.approx((10.0, 0.0))]
    assert run.cash[1:] == pytest.approx([89_995.0, 49_985.0, 49_985.0])


def test_the_size_of_an_order_is_what_it_may_still_become():
    # 2,000 asked for, the cash pays 1,200; 1,000 a day: 12,000 + 5 in all
    days = [10.0] + [bar(10.0, volume=10_000.0)] * 3
    run = trade(days, {1: buy(A, 2000, exectype=LIMIT, price=10.0)}, volume_limit=0.1, cash=12_005.0)
    order = run.orders[0]
    assert run.fills == [(1, A, 1000, 10.0), (2, A, 200, 10.0)]
    assert (order.size, order.created.size, order.executed.size, order.executed.remsize) == (1200, 1200, 1200, 0)
    assert order.info.wanted == 2000
    assert run.statuses(order) == ['Accepted', 'Partial', 'Completed']
    assert run.cash[-1] == pytest.approx(0.0, abs=1e-9)


def test_the_cash_after_each_fill_is_kept():
    days = [10.0] + [bar(10.0, volume=4_000.0)] * 2
    seen = []

    def watch(strategy):
        order = buy(A, 800, exectype=LIMIT, price=10.0)(strategy)
        seen.append(order)
        return order

    run = trade(days, {1: watch, 2: lambda strategy: seen.append(seen[0].info['cash'])}, volume_limit=0.1)
    assert seen[1] == pytest.approx(95_995.0)  # after 400, 5 of fees
    assert run.orders[0].info['cash'] == pytest.approx(91_995.0)


@pytest.mark.parametrize('duty', [0.001, 'dated'])
def test_one_share_bought_pays_no_duty_and_one_sold_does(duty):
    commission = AShareCommission(stamp_duty=duty)
    day = 738_000  # 2021-07-31
    assert tuple(commission.fees(1, 20.0, day, A)) == (5.0, 0.0, 0.0, 0.0)
    assert tuple(commission.fees(-1, 20.0, day, A)) == (5.0, pytest.approx(0.02), 0.0, 0.0)


# ------------------------------------------------------------------------------------------ open trades


def trades_of(run):
    """(profit without fees, fees) of each trade, by its number."""
    return {number: pytest.approx((trades[0].pnl, trades[0].commission))
            for number, trades in run.strategy._trades[run.orders[0].data].items()}


def test_three_open_trades_through_a_split_and_a_dividend():
    # 200 at 10.00, 400 at 10.50, 600 at 11.00: 1,200 for 12,800, less a dividend of 0.50 x 1,200 x 0.8 = 480
    days = [10.0, 10.0, 10.5, 11.0, bar(7.0, preclose=7.0, cash_dividend=0.5, share_ratio=1.5), 7.5]
    buys = {1: buy(A, 200, tradeid=1), 2: buy(A, 400, tradeid=2), 3: buy(A, 600, tradeid=3)}

    def look(strategy):
        trades, position = strategy._trades[strategy.feed(A)], strategy.getposition(strategy.feed(A))
        return [(position.size, position.price), *((trades[key][0].size, trades[key][0].price, trades[key][0].value)
                                                   for key in (1, 2, 3))]

    sales = steps(sell(A, 300, tradeid=1), sell(A, 600, tradeid=2), sell(A, 900, tradeid=3))
    run = trade(days, {**buys, 4: look, 5: sales}, commission=free())
    # the dividend by the shares: 80, 160, 240
    expected = [(1800, 12_320 / 1800), (300, 6.4, 1_920.0), (600, 4_040 / 600, 4_040.0), (900, 6_360 / 900, 6_360.0)]
    assert [pytest.approx(row) for row in run.orders[3:7]] == expected
    # sold at 7.50: 2,250 - 1,920, 4,500 - 4,040, 6,750 - 6,360
    assert trades_of(run) == {1: (330.0, 0.0), 2: (460.0, 0.0), 3: (390.0, 0.0)}
    assert run.value[-1] == pytest.approx(101_180.0)
    assert run.trades['total']['closed'] == 3


def test_open_trades_that_a_split_cannot_part_evenly_lose_no_share():
    # 100 each: 300 become 400; 133, 133 and the rest
    days = [10.0, 10.0, bar(7.5, preclose=7.5, share_ratio=4 / 3), 8.0]
    buys = steps(*(buy(A, 100, tradeid=number) for number in (1, 2, 3)))

    def sizes(strategy):
        return [strategy._trades[strategy.feed(A)][key][0].size for key in (1, 2, 3)]

    run = trade(days, {1: buys, 2: sizes, 3: close(A, tradeid=3)}, commission=free())
    assert run.orders[3:6] == [133, 133, 134]
    assert run.shares[3] == {}
    assert run.value[-1] == pytest.approx(100_200.0)


def test_a_split_and_then_a_dividend_and_part_sales_between():
    # 200 at 10.00 are 300 at 6.6667; 100 sold at 7.00; 200 with a dividend of 0.30 x 200 x 0.8 = 48; sold at 6.80
    days = [10.0, 10.0, bar(6.67, preclose=6.67, share_ratio=1.5), 7.0, bar(6.7, preclose=6.7, cash_dividend=0.3), 6.8]
    run = trade(days, {1: buy(A, 200), 3: sell(A, 100), 5: close(A)}, commission=free())
    first, last = (order.executed.exbits[0] for order in run.orders[1:])
    assert (first.pnl, first.value) == pytest.approx((100 / 3, 2_000 / 3))  # 700 - 666.67
    assert (last.pnl, last.value) == pytest.approx((1_360 - 4_000 / 3 + 48, 4_000 / 3 - 48))
    assert run.value[-1] == pytest.approx(100_108.0)  # 700 + 48 + 1,360 - 2,000
    assert run.trades['pnl']['gross']['total'] == pytest.approx(108.0)


def test_tax_lots_of_a_position_consolidated_to_nothing_are_not_those_of_a_new_one():
    # 500 with a dividend of 0.50, tax due; a thousand to one leaves nothing; 1,000 bought anew owe no tax
    days = [10.0, 10.0, bar(9.5, preclose=9.5, cash_dividend=0.5), bar(9.5, preclose=9.5, share_ratio=0.001), 10.0, 10.0]
    run = trade(days, {1: buy(A, 500), 4: buy(A, 1000), 5: close(A)}, dividend_tax='holding')
    # 5,000 + 5 out; 250 in; nothing; 10,000 + 5 out; 10,000 - 5 - 10 in
    assert run.cash == pytest.approx([100_000.0, 94_995.0, 95_245.0, 95_245.0, 85_240.0, 95_225.0])
    assert run.orders[2].info.fees[0].dividend_tax == 0.0


def test_tax_lots_of_a_position_sold_whole_are_not_those_of_a_new_one():
    # the first 500 pay 20 % of 250 at their sale, the next 500 that of their own dividend alone
    ex = {'preclose': 9.5, 'cash_dividend': 0.5}
    days = [10.0, 10.0, bar(9.5, **ex), 9.5, 10.0, bar(9.5, **ex), 9.5]
    run = trade(days, {1: buy(A, 500), 3: close(A), 4: buy(A, 500), 6: close(A)}, dividend_tax='holding', commission=free())
    assert [order.info.fees[0].dividend_tax for order in run.orders] == [0.0, 50.0, 0.0, 50.0]
    # - 5,000 + 250 + 4,750 - 50; the same again
    assert run.cash[-1] == pytest.approx(99_900.0)


def test_tax_of_part_sales_goes_by_the_oldest_lots():
    # 300 before the dividend of 0.40 and 200 after it: 120 taxable at 20 %, in parts of 100
    days = [10.0, 10.0, bar(9.6, preclose=9.6, cash_dividend=0.4), 9.6, 9.6, 9.6]
    script = {1: buy(A, 300), 2: buy(A, 200), 3: sell(A, 100), 4: sell(A, 300), 5: close(A)}
    run = trade(days, script, dividend_tax='holding', commission=free())
    taxes = [order.info.fees[0].dividend_tax for order in run.orders[2:]]
    assert taxes == pytest.approx([8.0, 16.0, 0.0])


def test_star_lots_of_one_share_keep_their_tax():
    # 250 with a dividend of 0.40: sold 201 and 49; 100 x 0.2 in parts
    days = [10.0, 10.0, bar(9.6, preclose=9.6, cash_dividend=0.4), 9.6, 9.6]
    run = play(tiny_market({STAR: days}), {1: buy(STAR, 250), 3: sell(STAR, 201), 4: close(STAR)}, dividend_tax='holding')
    assert [order.info.fees[0].dividend_tax for order in run.orders[1:]] == pytest.approx([16.08, 3.92])
