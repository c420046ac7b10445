"""The order rules of the broker, on small markets by hand: sizes, prices and cash to the cent."""

import math
from datetime import date

import backtrader as bt
import pandas as pd
import pytest

from bt_microcap import AShareBroker, AShareCommission, MicroCapStrategy
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import add_stocks
from tests.support.markets import bar, paused, tiny_market
from tests.support.running import fills_of, run_feeds
from tests.support.scripted import buy, close, play, sell, steps

A, B = '600001.XSHG', '000002.XSHE'
CHINEXT, STAR, BSE = '300001.XSHE', '688001.XSHG', '835001.BJSE'
LIMIT, STOP = bt.Order.Limit, bt.Order.Stop
FREE = {'commission': 0.0, 'min_commission': 0.0, 'stamp_duty': 0.0}


def free():
    return AShareCommission(**FREE)


def trade(days, script, **params):
    return play(tiny_market({A: days}), script, **params)


# ------------------------------------------------------------------------------------------ refusals

# At a preclose of 10.00 the limits of the main board are 9.00 and 11.00.
REFUSED_BUYS = {
    'row marked as suspended': (paused(), 'suspended', {}),
    'no row': (None, 'suspended', {}),
    'suspended with a volume': (paused(volume=100.0), 'suspended', {}),
    'no volume': (bar(10.0, volume=0.0), 'no volume', {}),
    'open at the limit': (bar(11.0), 'limit up', {}),
    'open beyond the limit given': (bar(11.5, high_limit=11.0, low_limit=9.0), 'limit up', {}),
    'open half a tick beyond the limit': (bar(11.004), 'limit up', {}),  # the rounding of a source
    'ST': (bar(10.5, st=1), 'limit up', {}),  # 5 % in 2024
    'within half a tick of a limit given': (bar(10.4, high_limit=10.404, low_limit=9.6), 'limit up', {}),
    'only the upper limit given': (bar(10.4, high_limit=10.4), 'limit up', {}),
    'ex-rights reference price': (bar(8.8, preclose=8.0), 'limit up', {}),  # 8.00 x 1.1
    'slipped': (bar(10.99), 'slipped past the limit', {'slippage': 0.02}),  # 10.99 x 1.01 = 11.0999
    'volume limit': (bar(10.0, volume=900.0), 'volume limit', {'volume_limit': 0.11}),  # 99 shares: no lot
}


@pytest.mark.parametrize(('day', 'reason', 'params'), REFUSED_BUYS.values(), ids=REFUSED_BUYS.keys())
def test_refused_buys(day, reason, params):
    run = play(tiny_market({A: [10.0, day, 10.0], B: [10.0] * 3}), {1: buy(A, 1000)}, **params)
    assert run.refusals == [(1, A, reason)]
    assert run.fills == []
    assert run.cash == [100_000.0] * 3
    assert run.statuses(run.orders[0]) == ['Accepted', 'Rejected']
    assert (run.orders[0].info.reason, run.orders[0].info.wanted) == (reason, 1000)


BOUGHT_BUYS = {
    'a tick below the limit': (bar(10.99), 10.99),
    'more than half a tick below a limit given': (bar(10.4, high_limit=10.406, low_limit=9.6), 10.4),
    'a limit given is believed': (bar(13.0, high_limit=14.0, low_limit=6.0), 13.0),
    'limit down': (bar(9.0), 9.0),
    'ST a tick below its limit': (bar(10.49, st=1), 10.49),
    'an open beyond the computed limit proves that there is none': (bar(11.5), 11.5),
    'by a tick': (bar(11.01), 11.01),
    'by a tick downwards, where a limit is given upwards': (bar(8.99, high_limit=11.0), 8.99),
}


@pytest.mark.parametrize(('day', 'price'), BOUGHT_BUYS.values(), ids=BOUGHT_BUYS.keys())
def test_what_may_just_be_bought(day, price):
    run = trade([10.0, day, 10.0], {1: buy(A, 1000)})
    assert run.fills == [(1, A, 1000, price)]
    assert run.cash[1] == pytest.approx(100_000 - 1000 * price - 5)


REFUSED_SALES = {
    'row marked as suspended': (paused(), 'suspended', {}),
    'no row': (None, 'suspended', {}),
    'no volume': (bar(10.0, volume=0.0), 'no volume', {}),
    'open at the limit': (bar(9.0), 'limit down', {}),
    'open beyond the limit given': (bar(8.5, high_limit=11.0, low_limit=9.0), 'limit down', {}),
    'open half a tick beyond the limit': (bar(8.996), 'limit down', {}),
    'open at the lower limit given alone': (bar(8.5, low_limit=8.5), 'limit down', {}),
    'ST': (bar(9.5, st=1), 'limit down', {}),
    'within half a tick of a limit given': (bar(9.6, high_limit=10.4, low_limit=9.596), 'limit down', {}),
    'slipped': (bar(9.01), 'slipped past the limit', {'slippage': 0.02}),  # 9.01 x 0.99 = 8.9199
    'volume limit': (bar(10.0, volume=900.0), 'volume limit', {'volume_limit': 0.11}),
}


@pytest.mark.parametrize(('day', 'reason', 'params'), REFUSED_SALES.values(), ids=REFUSED_SALES.keys())
def test_refused_sales(day, reason, params):
    table = tiny_market({A: [10.0, 10.0, day, 10.0], B: [10.0] * 4})
    run = play(table, {1: buy(A, 1000), 2: sell(A, 1000)}, **params)
    assert run.refusals == [(2, A, reason)]
    assert run.cash[2] == run.cash[1]
    assert run.shares[2] == {A: 1000}


@pytest.mark.parametrize(('day', 'price'), [
    (bar(8.99), 8.99),  # the computed limit is 9.00: an open beyond it proves that it does not hold
    (bar(5.0), 5.0),
    (bar(8.5, low_limit=8.4), 8.5),
    (bar(11.5, 11.5), 11.5),
    (bar(11.5, 11.5, low_limit=9.0), 11.5),
])
def test_an_open_beyond_the_computed_limits_is_sold(day, price):
    run = trade([10.0, 10.0, day], {1: buy(A, 1000), 2: sell(A, 1000)})
    assert run.fills[1:] == [(2, A, -1000, price)]


def test_a_sale_at_the_upper_limit_goes_through():
    run = trade([10.0, 10.0, 11.0], {1: buy(A, 1000), 2: close(A)})
    # 10,000 + 5 out; 11,000 - 5 - 11 in
    assert run.cash[1:] == pytest.approx([89_995.0, 100_979.0])


def test_what_is_not_held_is_not_sold():
    run = trade([10.0] * 3, {1: sell(A, 100)})
    assert run.refusals == [(1, A, 'not held')]
    assert run.cash == [100_000.0] * 3


def test_a_sale_of_more_than_is_held_sells_what_is_held():
    run = trade([10.0] * 3, {1: buy(A, 300), 2: sell(A, 500)})
    assert run.fills[1:] == [(2, A, -300, 10.0)]
    assert run.shares[2] == {}


def test_a_sale_of_more_than_is_held_does_not_blame_t_plus_1():
    run = trade([10.0] * 3, {1: buy(A, 300), 2: sell(A, 500)})
    assert run.orders[1].info.get('reason') != 'bought today'


def test_star_market_orders_can_be_refused():
    table = tiny_market({STAR: [10.0] * 4, A: [10.0] * 4})
    run = play(table, {1: steps(buy(STAR, 300), buy(A, 300))}, star_market_orders=False)
    assert run.refusals == [(1, STAR, 'star market order')]
    assert run.fills == [(1, A, 300, 10.0)]
    # a limit order carries its own protection
    run = play(table, {1: buy(STAR, 300, exectype=LIMIT, price=10.0)}, star_market_orders=False)
    assert run.fills == [(1, STAR, 300, 10.0)]


def test_the_first_five_days_of_a_listing_have_no_limit():
    table = tiny_market({A: [10.0] * 8, B: [None, 10.0, 20.0, 40.0, 80.0, 88.0, 96.8, 96.8]})
    run = play(table, {5: buy(B, 100), 6: buy(B, 100), 7: buy(B, 100)})
    assert run.refusals == [(6, B, 'limit up')]  # the sixth day: 88 x 1.1 = 96.80
    # the fifth opens where the limit would be, 80 x 1.1
    assert run.fills == [(5, B, 100, 88.0), (7, B, 100, 96.8)]
    # with rises that no limit would let through
    table = tiny_market({A: [10.0] * 8, B: [None, 10.0, 20.0, 40.0, 80.0, 160.0, 176.0, 320.0]})
    run = play(table, {5: buy(B, 100), 6: buy(B, 100)})
    assert run.refusals == [(6, B, 'limit up')]  # 160 x 1.1 = 176
    assert run.fills == [(5, B, 100, 160.0)]


@pytest.mark.parametrize(('delist', 'left'), [('last_close', 120_000.0), ('zero', 0.0)])
def test_a_delisted_holding_becomes_cash(delist, left):
    table = tiny_market({A: [bar(10.0, cap=2.9e9)] + [10.0] * 5, B: [bar(10.0, cap=2.1e9), 10.0, 11.0, 12.0]})
    fees = {**FREE, 'slippage': 0.0, 'transfer_fee': 0.0, 'delist_wait': 0}
    blotter = run_feeds(table, stocknum=1, cash=100_000.0, delist=delist, **fees).analyzers.blotter
    # day 0 is 2024-01-03: 10,000 shares at 10; the last row, 2024-01-05, closes at 12
    assert [tuple(fill)[1:5] for fill in blotter.fills] == [(B, 'BUY', 10_000, 10.0)]
    assert blotter.rejections == [(date(2024, 1, 5), B, 'SELL', 'delisted')]
    assert [row.total_value for row in blotter.equity] == [100_000.0, 110_000.0, 120_000.0, left, left]
    assert [row.cash for row in blotter.equity] == [0.0, 0.0, 0.0, left, left]


# ------------------------------------------------------------------------------------------ T+1


def test_what_was_bought_today_cannot_be_sold_today():
    run = trade([10.0] * 3, {1: steps(buy(A, 300), sell(A, 300)), 2: sell(A, 300)})
    assert run.refusals == [(1, A, 'bought today')]
    assert run.fills == [(1, A, 300, 10.0), (2, A, -300, 10.0)]


def test_yesterdays_part_is_sold_and_the_cut_is_told():
    run = trade([10.0] * 4, {1: buy(A, 300), 2: steps(buy(A, 200), sell(A, 500)), 3: close(A)})
    assert run.fills == [(1, A, 300, 10.0), (2, A, 200, 10.0), (2, A, -300, 10.0), (3, A, -200, 10.0)]
    assert run.statuses(run.orders[2]) == ['Accepted', 'Completed']
    assert (run.orders[2].info.reason, run.orders[2].info.wanted) == ('bought today', 500)
    # 96,995; - 2,000 - 5 + 3,000 - 5 - 3 = 97,982; + 2,000 - 5 - 2
    assert run.cash[1:] == pytest.approx([96_995.0, 97_982.0, 99_975.0])


def test_sold_today_may_be_bought_back_today_but_not_sold_again():
    run = trade([10.0] * 4, {1: buy(A, 300), 2: steps(close(A), buy(A, 200), close(A)), 3: close(A)})
    assert run.fills == [(1, A, 300, 10.0), (2, A, -300, 10.0), (2, A, 200, 10.0), (3, A, -200, 10.0)]
    assert run.refusals == [(2, A, 'bought today')]


def test_on_star_the_settled_part_below_200_cannot_go_alone():
    # 350 - 200 = 150 settled, 200 more today: 150 of 350 is neither 200 nor the whole
    script = {1: buy(STAR, 350), 2: sell(STAR, 200), 3: steps(buy(STAR, 200), close(STAR))}
    run = play(tiny_market({STAR: [10.0] * 5}), script)
    assert run.refusals == [(3, STAR, 'below one lot')]
    assert run.shares[3] == {STAR: 350}


# ------------------------------------------------------------------------------------------ sizes


@pytest.mark.parametrize(('code', 'asked', 'bought'), [
    (A, 99, 0), (A, 100, 100), (A, 199, 100), (A, 250, 200),
    (B, 99, 0), (B, 250, 200), (CHINEXT, 99, 0), (CHINEXT, 399, 300),
    (STAR, 199, 0), (STAR, 200, 200), (STAR, 201, 201), (STAR, 333, 333),
    (BSE, 99, 0), (BSE, 100, 100), (BSE, 101, 101), (BSE, 257, 257),
])
def test_lots_of_buys(code, asked, bought):
    run = play(tiny_market({code: [10.0] * 3}), {1: buy(code, asked)})
    assert run.shares[1] == ({code: bought} if bought else {})
    assert run.refusals == ([] if bought else [(1, code, 'below one lot')])
    assert run.orders[0].info.wanted == asked
    if bought:
        assert run.statuses(run.orders[0]) == ['Accepted', 'Completed']
        assert (run.orders[0].size, run.orders[0].executed.remsize) == (bought, 0)


@pytest.mark.parametrize(('asked', 'sold'), [
    (40, 0), (50, 50), (60, 50), (100, 100), (140, 100), (150, 150), (210, 200), (250, 250),
])
def test_an_odd_remainder_goes_in_one_piece(asked, sold):
    # 200 shares become 250 on the ex-date: two lots and an odd 50, which is sold whole or not at all
    table = tiny_market({A: [10.0, 10.0, bar(8.0, preclose=8.0, share_ratio=1.25), 8.0]})
    run = play(table, {1: buy(A, 200), 3: sell(A, asked)})
    assert run.shares[2] == {A: 250}
    assert run.shares[3].get(A, 0) == 250 - sold
    assert run.refusals == ([] if sold else [(3, A, 'below one lot')])


@pytest.mark.parametrize(('price', 'value', 'bought', 'cash'), [
    (10.0, None, 9_900, 970.30),  # 100,000 / 10.003 = 9,997; 99,000 + 29.70
    (10.0, 30_000.0, 2_900, 70_991.30),  # 30,000 / 10.003 = 2,999; 29,000 + 8.70
    (10.0, 1_005.0, 100, 98_995.0),  # 1,000 + 5, met exactly
    (10.0, 1_004.99, 0, 100_000.0),
    (10.0, 200_000.0, 9_900, 970.30),  # no more than the cash
])
def test_a_buy_is_cut_to_cash_and_budget(price, value, bought, cash):
    options = {} if value is None else {'value': value}
    run = trade([price] * 3, {1: buy(A, 50_000, **options)})
    assert run.shares[1].get(A, 0) == bought
    assert run.cash[1] == pytest.approx(cash, abs=1e-9)
    assert run.refusals == ([] if bought else [(1, A, 'below one lot')])


def test_the_size_counts_slippage_and_the_second_buy_sees_what_the_first_left():
    # fills at 10.01: 100,000 / (10.01 x 1.0003) = 9,987 -> 9,900 shares, 99,099 + 29.7297; 871.2703 left
    table = tiny_market({A: [10.0] * 3, B: [5.0] * 3})
    run = play(table, {1: steps(buy(A, 10_000), buy(B, 1000))}, slippage=0.002)
    # B fills at 5.005 -> 5.01: 100 shares, 501 + 5
    assert run.fills == [(1, A, 9_900, 10.01), (1, B, 100, 5.01)]
    assert run.cash[1] == pytest.approx(365.2703, abs=1e-9)


def test_sized_at_the_raw_open_cash_may_end_negative():
    run = trade([10.0] * 3, {1: buy(A, 50_000)}, size_with_fees=False, slippage=0.00246)
    # 100,000 / 10 = 10,000 shares at 10.0123 -> 10.01: 100,100 + 30.03
    assert run.fills == [(1, A, 10_000, 10.01)]
    assert run.orders[0].info.cash_limited_to == 10_000
    assert run.cash[1] == pytest.approx(-130.03, abs=1e-9)


def test_a_budget_met_exactly_without_fees():
    run = trade([0.07] * 3, {1: buy(A, 10_000)}, cash=35.0, commission=free())
    assert run.shares[1] == {A: 500}


@pytest.mark.parametrize(('price', 'slippage', 'bought_at', 'sold_at'), [
    (10.0, 0.0, 10.0, 10.0),
    (10.0, 0.00246, 10.01, 9.99),  # 10.0123, 9.9877
    (5.0, 0.002, 5.01, 5.0),  # 5.005 and 4.995, both up
    (10.05, 0.002, 10.06, 10.04),  # 10.06005, 10.03995
    (1.15, 0.01, 1.16, 1.14),  # 1.15575, 1.14425
    (1.0, 0.002, 1.0, 1.0),  # 1.001, 0.999
    (3.0, 0.01, 3.02, 2.99),  # 3.015 and 2.985, both up; in binary both lie below
])
def test_slippage_is_half_each_way_rounded_half_up(price, slippage, bought_at, sold_at):
    run = trade([price] * 4, {1: buy(A, 100), 2: close(A)}, slippage=slippage)
    assert run.fills == [(1, A, 100, bought_at), (2, A, -100, sold_at)]


def test_slippage_may_end_on_the_limit_itself():
    # 10.99 x 1.001 = 11.00099 -> 11.00
    run = trade([10.0, 10.99, 10.99], {1: buy(A, 100)}, slippage=0.002)
    assert run.fills == [(1, A, 100, 11.0)]


def test_the_volume_limit_cuts_and_cancels_the_rest():
    days = [10.0, bar(10.0, volume=2_390.0), bar(10.0, volume=1_190.0), 10.0]
    run = trade(days, {1: buy(A, 5000), 2: sell(A, 500)}, volume_limit=0.25)
    # 597 -> 500 shares; 297 -> 200
    assert run.fills == [(1, A, 500, 10.0), (2, A, -200, 10.0)]
    assert [run.statuses(order) for order in run.orders] == [['Accepted', 'Partial', 'Canceled']] * 2
    assert [order.info.reason for order in run.orders] == ['volume limit'] * 2
    # 5,000 + 5; 2,000 - 5 - 2
    assert run.cash[1:3] == pytest.approx([94_995.0, 96_988.0])


def test_the_volume_limit_on_star():
    days = [10.0, bar(10.0, volume=796.0), bar(10.0, volume=900.0), bar(10.0, volume=700.0)]
    script = {1: buy(STAR, 1000), 2: buy(STAR, 1000), 3: sell(STAR, 225)}
    run = play(tiny_market({STAR: days}), script, volume_limit=0.25)
    assert run.refusals == [(1, STAR, 'volume limit')]  # 199 shares are no order
    assert run.fills == [(2, STAR, 225, 10.0), (3, STAR, -175, 10.0)]  # the fill of a legal sale may be any


# -------------------------------------------------------------------------------- decided at the close


@pytest.mark.parametrize('cheat', [False, True])
def test_what_is_ordered_after_the_close_fills_at_the_next_open(cheat):
    table = tiny_market({A: [10.0, (10.1, 10.2), (10.3, 10.4), None, (10.5, 10.6)], B: [10.0] * 5})
    script = {0: buy(A, 1000), 1: close(A), 2: buy(A, 100), 3: buy(A, 100)}
    run = play(table, script, at_open=False, cheat=cheat)
    assert run.fills == [(1, A, 1000, 10.1), (2, A, -1000, 10.3), (4, A, 100, 10.5)]
    assert run.refusals == [(3, A, 'suspended')]  # no row on the morning after: refused, not kept
    # 10,100 + 5; 10,300 - 5 - 10.30
    assert run.cash[:3] == pytest.approx([100_000.0, 89_895.0, 100_179.70])


def rotation(plain):
    """Run MicroCapStrategy at the close: A has the smallest market cap at first, B from the third day on."""
    table = tiny_market({
        A: [bar(10.0, cap=2.1e9), (10.05, 10.1), bar(10.1, cap=2.9e9), 10.0, 10.0],
        B: [bar(20.0, cap=2.5e9), 20.0, 20.0, 19.8, 19.8],
    })
    cerebro = bt.Cerebro(stdstats=False)
    add_stocks(cerebro, check_table(table), checked=True)
    cerebro.setbroker(bt.brokers.BackBroker(cash=100_000.0) if plain else AShareBroker(cash=100_000.0))
    cerebro.broker.addcommissioninfo(AShareCommission())
    cerebro.addstrategy(MicroCapStrategy, stocknum=1, refresh_rate=2)
    strategy = cerebro.run()[0]
    fills = {data._name: [(size, price) for _, size, price in done] for data, done in fills_of(strategy).items()}
    return fills, cerebro.broker.getcash()


def test_the_strategy_under_a_plain_cerebro_and_a_plain_broker():
    fills, cash = rotation(plain=True)
    # at the close of 10.00: 100,000 / 10.003 -> 9,900; filled at 10.05: 99,495 + 29.8485; 475.1515 left
    # at the closes of 10.10 and 20.00: 475.1515 + 99,990 - 129.987 = 100,335.1645; / 20.006 -> 5,000
    # A sold at 10.00: 99,000 - 29.70 - 99; B bought at 19.80: 99,000 + 29.70
    assert fills == {A: [(9_900, 10.05), (-9_900, 10.0)], B: [(5_000, 19.8)]}
    assert cash == pytest.approx(316.7515, abs=1e-9)


def test_the_strategy_under_a_plain_cerebro_and_our_broker():
    fills, cash = rotation(plain=False)
    # 10,000 asked for; at 10.05: 100,000 / (10.05 x 1.0003) = 9,947 -> 9,900, as above
    # estimate 100,335.1645 / 20 = 5,016 asked for -> 5,000 at 19.80; the cash would do for no more either
    assert fills == {A: [(9_900, 10.05), (-9_900, 10.0)], B: [(5_000, 19.8)]}
    assert cash == pytest.approx(316.7515, abs=1e-9)


# ------------------------------------------------------------------------------------------ books


def test_flat_positions_are_dropped_and_a_question_makes_none():
    def look(strategy):
        return [strategy.getposition(strategy.feed(B)).size, strategy.broker.sellable(strategy.feed(B))]

    run = play(tiny_market({A: [10.0] * 4, B: [10.0] * 4}), {1: steps(buy(A, 100)), 2: close(A), 3: look})
    assert run.shares == [{}, {A: 100}, {}, {}]
    assert run.orders[2:] == [0, 0]
    assert dict(run.broker.positions) == {}
    assert [vars(run.broker)[book] for book in ('_bought', '_owners', 'marks')] == [{}, {}, {}]


def test_a_nan_close_of_a_held_stock_does_not_reach_the_value():
    def feed(prices):
        frame = pd.DataFrame(dict.fromkeys(('open', 'high', 'low', 'close'), prices), dtype=float,
                             index=pd.bdate_range('2024-01-02', periods=len(prices)))
        return bt.feeds.PandasData(dataname=frame.assign(volume=1e6))

    class Trader(bt.Strategy):
        def __init__(self):
            self.values, self.reasons = [], []

        def next_open(self):
            if len(self.data) == 2:
                self.buy(size=1000)
            if len(self.data) == 4:
                self.close()

        def next(self):
            self.values.append(self.broker.getvalue())

        def notify_order(self, order):
            if order.status == order.Rejected:
                self.reasons.append((len(self.data), order.info.reason))

    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=True)
    cerebro.adddata(feed([10.0, 10.0, 10.5, math.nan, 10.8, 10.8]), name=A)
    cerebro.setbroker(AShareBroker(cash=100_000.0))
    cerebro.broker.addcommissioninfo(free())
    cerebro.addstrategy(Trader)
    strategy = cerebro.run()[0]
    assert strategy.values == pytest.approx([100_000, 100_000, 100_500, 100_500, 100_800, 100_800])
    assert strategy.reasons == [(4, 'suspended')]


def test_accepted_comes_before_the_fill_and_the_cash_after_it_is_kept():
    run = trade([10.0] * 3, {1: buy(A, 100)})
    assert [(note.side, note.status) for note in run.notes] == [('BUY', 'Accepted'), ('BUY', 'Completed')]
    assert run.orders[0].status == bt.Order.Completed
    assert run.orders[0].info.cash == pytest.approx(98_995.0)
    assert run.orders[0].executed.comm == pytest.approx(5.0)
