"""Targets and orders around ex-dates, orders at the close, brackets, slippage, fillers and the volume of a day, by hand."""

import backtrader as bt
import pytest

from bt_microcap import AShareCommission
from tests.support.markets import bar, tiny_market
from tests.support.scripted import buy, close, play, sell, steps

A, B = '600001.XSHG', '000002.XSHE'
MARKET, CLOSE, LIMIT, STOP = bt.Order.Market, bt.Order.Close, bt.Order.Limit, bt.Order.Stop
STOP_LIMIT, TRAIL, TRAIL_LIMIT = bt.Order.StopLimit, bt.Order.StopTrail, bt.Order.StopTrailLimit
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])


def trade(days, script, *, other=None, **params):
    """Play a script free of charge over stock A, beside B which stands at 10.00 on every day."""
    table = tiny_market({A: days, B: other or [10.0] * max(len(days), 3)})
    params.setdefault('commission', AShareCommission(commission=0.0, min_commission=0.0, stamp_duty=0.0))
    return play(table, script, **params)


def target(kind, code, amount, at=0.0):
    """Make a step with one of Backtrader's order_target methods, priced at today's open (or at a price)."""
    def step(strategy):
        feed = strategy.feed(code)
        price = {} if kind == 'size' else {'price': at or feed.open[0]}
        return getattr(strategy, f'order_target_{kind}')(feed, target=amount, **price)
    return step


def ended(run):
    return [run.statuses(order)[-1] for order in run.orders]


# ------------------------------------------------------------------------------- shares from nothing (point 3)


@WAYS
@pytest.mark.parametrize('asked', [
    lambda strategy: strategy.broker.getvalue([strategy.feed(A)]),
    lambda strategy: strategy.broker.getvalue(),
    lambda strategy: strategy.getposition(strategy.feed(A)).size,
    target('value', A, 50_000.0), target('percent', A, 0.5), target('size', A, 5000),
    target('value', B, 0.0), buy(B, 100), lambda strategy: None,
], ids=['value of one', 'value', 'position', 'target value', 'target percent', 'target size', 'another target', 'buy', 'none'])
def test_a_move_of_the_day_is_no_ex_right(asked, market):
    """Preclose 10, close 10.90, no ex-date: whatever is asked first at the open, 5,000 shares stay 5,000."""
    run = trade([10.0, 10.0, bar(10.0, 10.9, preclose=10.0), bar(10.9, preclose=10.9)], {1: buy(A, 5000), 2: asked},
                market=market)
    assert [shares.get(A) for shares in run.shares] == [None, 5000, 5000, 5000]
    assert run.broker.events == []
    assert run.value == [100_000.0, 100_000.0, 104_500.0, 104_500.0]


@WAYS
def test_targets_count_what_is_held_at_the_open(market):
    """5,000 shares at an open of 10.50 are 52,500 of 102,500 yuan; the close of 10.90 does not matter."""
    def shares_after(step):
        return trade([10.0, 10.0, (10.5, 10.9)], {1: buy(A, 5000), 2: step}, market=market).shares[2].get(A, 0)

    assert shares_after(target('value', A, 42_000.0)) == 4000  # 10,500 less
    assert shares_after(target('value', A, 63_000.0)) == 6000
    assert shares_after(target('value', A, 52_500.0)) == 5000
    assert shares_after(target('percent', A, 0.4)) == 4000  # 41,000 yuan: 1,095 shares too many, of which 1,000 are lots
    assert shares_after(target('percent', A, 0.0)) == 0


# ------------------------------------------------------------------------------------------ ex-dates (point 4)

TWO_FOR_ONE = {'share_ratio': bar(5.0, 5.2, preclose=5.0, share_ratio=2.0), 'preclose': bar(5.0, 5.2, preclose=5.0)}
RATIOS = pytest.mark.parametrize('ratio', TWO_FOR_ONE)


@WAYS
@RATIOS
@pytest.mark.parametrize(('step', 'sold'), [
    (close(A), 2000), (target('size', A, 0), 2000), (target('value', A, 0.0), 2000), (target('percent', A, 0.0), 2000),
    (target('size', A, 1500), 500), (sell(A, 1000), 1000), (close(A, whole=True), 2000), (target('value', A, 7_500.0), 500),
], ids=['close', 'size 0', 'value 0', 'percent 0', 'size 1500', 'sell', 'whole', 'value 7500'])
def test_the_first_order_on_an_ex_date_knows_the_new_shares(step, sold, ratio, market):
    run = trade([10.0, 10.0, TWO_FOR_ONE[ratio], 5.2], {1: buy(A, 1000), 2: step}, market=market)
    assert run.fills == [(1, A, 1000, 10.0), (2, A, -sold, 5.0)]
    assert run.shares[2].get(A, 0) == 2000 - sold
    assert run.value[2] == pytest.approx(100_000 + 0.2 * (2000 - sold))
    assert [(code, before, after) for _, code, _, before, after, _ in run.broker.events] == [(A, 1000, 2000)]


@WAYS
@RATIOS
@pytest.mark.parametrize(('step', 'sold'), [
    (close(A), 2000), (target('size', A, 0), 2000), (target('size', A, 400), 1200), (sell(A, 300), 600),
    (close(A, whole=True), 2000), (close(A, exectype=CLOSE), 2000),
], ids=['close', 'size 0', 'size 400', 'sell', 'whole', 'at the close'])
def test_an_order_of_the_eve_is_restated(step, sold, ratio, market):
    run = trade([10.0, 10.0, TWO_FOR_ONE[ratio], 5.2], {0: buy(A, 1000), 1: step}, at_open=False, market=market)
    price = 5.2 if run.orders[1].exectype == CLOSE else 5.0
    assert run.fills == [(1, A, 1000, 10.0), (2, A, -sold, price)]
    assert run.shares[2].get(A, 0) == 2000 - sold
    assert run.statuses(run.orders[1]) == ['Accepted', 'Completed']


@WAYS
def test_without_ex_rights_nothing_is_restated(market):
    run = trade([10.0, 10.0, TWO_FOR_ONE['preclose'], 5.2], {1: buy(A, 1000), 2: close(A)}, ex_rights='off', market=market)
    assert run.fills == [(1, A, 1000, 10.0), (2, A, -1000, 5.0)]


@WAYS
@RATIOS
@pytest.mark.parametrize(('order', 'day', 'price', 'size'), [
    (sell(A, 1000, exectype=LIMIT, price=10.6), (5.0, 5.4), 5.3, -2000),
    (sell(A, 1000, exectype=STOP, price=9.8), (5.0, 4.8), 4.9, -2000),
    (buy(A, 1000, exectype=LIMIT, price=9.8), (5.0, 4.8), 4.9, 2000),
    (buy(A, 1000, exectype=STOP, price=10.6), (5.0, 5.4), 5.3, 2000),
    (sell(A, 1000, exectype=STOP_LIMIT, price=9.8, plimit=9.6), (5.0, 4.8), 4.9, -2000),
    (sell(A, 1000, exectype=TRAIL, trailamount=0.4, price=10.2), (5.0, 4.8), 4.9, -2000),
], ids=['limit sale', 'stop sale', 'limit buy', 'stop buy', 'stop limit', 'trail'])
def test_a_resting_order_is_restated(order, day, price, size, ratio, market):
    """Given two days before a 2 for 1; reached on the day after it."""
    extra = {'share_ratio': 2.0} if ratio == 'share_ratio' else {}
    run = trade([10.0, 10.0, 10.0, bar(5.0, preclose=5.0, **extra), day, 5.0], {1: buy(A, 1000), 2: order}, market=market)
    assert run.fills[1:] == [(4, A, size, price)]
    assert run.orders[1].info.wanted == 2000


@WAYS
def test_a_dividend_lowers_the_prices_of_a_resting_order(market):
    """0.30 yuan on 10.00: a stop at 9.50 stands at 9.20 afterwards, for as many shares."""
    days = [10.0, 10.0, 10.0, bar(9.7, 9.3, preclose=9.7, cash_dividend=0.3), (9.4, 9.1)]
    run = trade(days, {1: buy(A, 1000), 2: sell(A, 1000, exectype=STOP, price=9.5)}, market=market)
    assert run.fills[1:] == [(4, A, -1000, 9.2)]
    # at once 20 % tax: 240 yuan
    assert run.cash[-1] == pytest.approx(100_000 - 10_000 + 240 + 9_200)


@WAYS
def test_restated_prices_fall_on_the_tick(market):
    """3 for 2 in 1,000 shares: a limit of 10.70 becomes 7.1333, so 7.13."""
    days = [10.0, 10.0, bar(6.67, preclose=6.67, share_ratio=1.5), (6.8, 7.2)]
    run = trade(days, {0: buy(A, 1000), 1: sell(A, 1000, exectype=LIMIT, price=10.7)}, at_open=False, market=market)
    assert run.fills[1:] == [(3, A, -1500, 7.13)]


@WAYS
def test_what_is_left_of_an_order_is_restated(market):
    """400 of 1,000 bought, then 2 for 1: the 600 left are 1,200."""
    days = [10.0, bar(10.0, volume=4_000.0), bar(5.0, preclose=5.0, share_ratio=2.0), 5.0]
    run = trade(days, {1: buy(A, 1000, exectype=LIMIT, price=10.0)}, volume_limit=0.1, market=market)
    assert run.fills == [(1, A, 400, 10.0), (2, A, 1200, 5.0)]
    assert run.shares[2] == {A: 2000}
    order = run.orders[0]
    assert (order.size, order.executed.size, order.executed.remsize) == (1600, 1600, 0)


@WAYS
def test_a_trail_goes_on_at_the_new_level(market):
    """Half a yuan below 10.00; after 2 for 1 a quarter below, and it follows the close of 5.40 up to 5.15."""
    days = [10.0, 10.0, 10.0, bar(5.0, 5.4, preclose=5.0), (5.3, 5.2), (5.2, 5.1)]
    run = trade(days, {1: buy(A, 1000), 2: sell(A, 1000, exectype=TRAIL, trailamount=0.5, price=10.0)}, market=market)
    assert run.fills[1:] == [(5, A, -2000, 5.15)]


@WAYS
def test_the_limit_of_a_trail_keeps_its_distance_at_the_new_level(market):
    """Stop at 9.50 and limit at 9.30; after 2 for 1 at 4.75 and 4.65; the close of 5.40 takes them to 5.15 and 5.05."""
    days = [10.0, 10.0, 10.0, bar(5.0, 5.4, preclose=5.0), 5.3, (5.1, 5.0), 5.04, 5.06]
    order = sell(A, 1000, exectype=TRAIL_LIMIT, trailamount=0.5, price=10.0, plimit=9.8)
    run = trade(days[:5], {1: buy(A, 1000), 2: order}, market=market)
    assert run.fills[1:] == []
    assert (run.orders[1].created.price, run.orders[1].created.pricelimit) == pytest.approx((5.15, 5.05))
    assert trade(days, {1: buy(A, 1000), 2: order}, market=market).fills[1:] == [(5, A, -2000, 5.1)]


# ---------------------------------------------------------------------------------- orders at the close (point 9)


@WAYS
def test_an_order_at_the_close_comes_after_all_others(market):
    """The proceeds of a sale at the close are not there during the day: the limit buy waits for the next one."""
    script = {1: buy(A, 10_000), 2: steps(close(A, exectype=CLOSE), buy(B, 1000, exectype=LIMIT, price=10.0))}
    run = trade([10.0, 10.0, (10.0, 10.5), 10.5], script, market=market)
    assert run.fills[1:] == [(2, A, -10_000, 10.5), (3, B, 1000, 10.0)]


@WAYS
def test_sold_at_the_close_and_bought_at_the_close_with_the_money(market):
    run = trade([10.0, 10.0, (10.0, 10.5), 10.5],
                {1: buy(A, 10_000), 2: steps(close(A, exectype=CLOSE), buy(B, 20_000, exectype=CLOSE))}, market=market)
    assert run.fills[1:] == [(2, A, -10_000, 10.5), (2, B, 10_500, 10.0)]
    assert run.cash[2] == 0.0


@WAYS
def test_a_buy_at_the_close_is_sized_and_slipped_at_the_close(market):
    # 10.50 x 1.001 = 10.5105 -> 10.51; 50,000 / 10.51 = 4,757
    run = trade([10.0, (10.0, 10.5), 10.5], {1: buy(A, 9_000, exectype=CLOSE, value=50_000.0)}, slippage=0.002, market=market)
    assert run.fills == [(1, A, 4_700, 10.51)]
    assert run.cash[1] == pytest.approx(100_000 - 4_700 * 10.51)


# ------------------------------------------------------------------------------ days that open at a limit and leave it


@WAYS
def test_a_limit_buy_fills_on_a_day_that_opens_at_the_upper_limit_and_falls(market):
    """Open 11.00, sealed; later 10.40 is traded freely."""
    run = trade([10.0, (11.0, 10.3), 10.4], {1: buy(A, 1000, exectype=LIMIT, price=10.4)}, market=market)
    assert run.fills == [(1, A, 1000, 10.4)]


@WAYS
def test_a_limit_sale_fills_on_a_day_that_opens_at_the_lower_limit_and_rises(market):
    run = trade([10.0, 10.0, (9.0, 9.8), 9.8], {1: buy(A, 1000), 2: sell(A, 1000, exectype=LIMIT, price=9.6)}, market=market)
    assert run.fills[1:] == [(2, A, -1000, 9.6)]


@WAYS
def test_a_stop_that_is_only_reached_at_the_limit_of_the_day_waits(market):
    """A stop sale at 9.00 on a day that falls to the lower limit of 9.00: nobody buys there."""
    script = {1: buy(A, 1000), 2: sell(A, 1000, exectype=STOP, price=9.0)}
    run = trade([10.0, 10.0, (9.5, 9.0), (8.9, 8.8)], script, market=market)
    assert run.fills[1:] == [(3, A, -1000, 8.9)]
