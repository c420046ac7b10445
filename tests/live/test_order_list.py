"""The list of a day, on hand-made markets: lots, money, limits, what is blocked, ex-dates."""

from datetime import date

import backtrader as bt
import pytest

from bt_microcap import MicroCapStrategy
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.store.coming import facts_before
from bt_microcap.live.booking import without_fills
from bt_microcap.live.books import EventRow, FillRow, Holding
from bt_microcap.live.day import check_day, check_unchanged, orders_of, seen_of
from bt_microcap.live.facts import with_facts
from bt_microcap.live.order_list import Pricing, as_issued, check_size
from tests.support.hand_market import CHEAP, DAYS, MONDAY, TUESDAY, WEDNESDAY, A, B, C, D, market
from tests.support.living import CAGE, evening, new_account, one_day, run


def test_a_first_list(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=90_000.0, slippage=0.0, **CHEAP)
    made = evening(market(), account, MONDAY)
    assert not made.published
    assert (made.cash, made.holdings, made.days_left) == (90_000.0, 0, 0)
    # 30,000 each at the limit price: 10.20 (2 %), 20.40, 5.10 (2 % and ten steps are the same)
    assert [(order.order_id, order.code, order.side, order.shares, order.reference_price, order.limit_price, order.needs_sale)
            for order in made.orders] == [
        ('20240304B000001', A, 'BUY', 2900, 10.0, 10.2, False), ('20240304B300001', B, 'BUY', 1400, 20.0, 20.4, False),
        ('20240304B600000', C, 'BUY', 5800, 5.0, 5.1, False)]
    assert [(order.low_limit, order.high_limit) for order in made.orders] == [(9.0, 11.0), (16.0, 24.0), (4.5, 5.5)]
    # fees at the expected price: 8.7, 8.4, 8.7
    assert [order.fees for order in made.orders] == pytest.approx([8.7, 8.4, 8.7])
    assert [order.cash_after for order in made.orders] == pytest.approx([60_991.3, 32_982.9, 3_974.2])
    assert made.value() == pytest.approx(29_580 + 28_560 + 29_580)


def test_sales_come_first_and_pay(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=20_000.0, slippage=0.0, **CHEAP,
                          holdings=[Holding(D, 1033, 1033, 40.0), Holding(C, 50, 50, 9.0)])
    made = evening(market(), account, MONDAY, pricing=Pricing('auction', 0.05))
    assert [(order.code, order.side, order.shares, order.limit_price, order.needs_sale) for order in made.orders] == [
        (D, 'SELL', 1033, 47.5, False), (C, 'SELL', 50, 4.75, False),  # odd lots whole
        (A, 'BUY', 2300, 10.2, True),  # in the cage: it is given in the session
        (B, 'BUY', 1100, 20.4, True), (C, 'BUY', 4600, 5.1, True)]
    # 20,000 + 51,650 - 15.495 - 25.825 + 250 - 5.125: a third is 23,951.2
    assert made.orders[1].cash_after == pytest.approx(71_853.555)
    assert made.orders[2].cash_after == pytest.approx(71_853.555 - 23_000 - 6.9)


def test_what_the_cash_pays_for_needs_no_sale(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=60_000.0, slippage=0.0, **CHEAP, holdings=[Holding(D, 200, 200, 40.0)])
    made = evening(market(), account, MONDAY)
    assert [(order.code, order.needs_sale) for order in made.orders] == [(D, False), (A, False), (B, False), (C, True)]


def test_blocked(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=4_000.0, holdings=[Holding(D, 200, 200, 40.0)])
    store = market()
    coming = facts_before(store, MONDAY.toordinal())
    path = tmp_path / 'facts.csv'
    path.write_text('代码,停牌\n688001,是\n', encoding='gbk')
    with_facts(coming, store, path)
    made = orders_of(store, account, MONDAY, MicroCapStrategy, {}, CAGE, coming, run)
    assert [(each.code, each.side, each.reason) for each in made.blocked] == [
        (D, 'SELL', 'suspended'), (B, 'BUY', 'below one lot')]
    assert [(order.code, order.shares) for order in made.orders] == [(A, 100), (C, 300)]  # 2,000 for each of two


def test_limits_of_size(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=30e6, slippage=0.0, **CHEAP)
    made = evening(market(closes={A: 10.0, B: 20.0, C: 5.0}), account, MONDAY)
    assert [(order.order_id, order.shares) for order in made.orders] == [
        ('20240304B000001', 980_000), ('20240304B300001', 300_000), ('20240304B300001p2', 190_000),
        ('20240304B600000', 1_000_000), ('20240304B600000p2', 960_100)]
    check_size(made, 31e6, 5)
    message = r'2024-03-04 are worth [\d,.]+ yuan at their limit prices, --max-order-value allows 1,000,000\.00; nothing'
    with pytest.raises(DataError, match=message):
        check_size(made, 1e6, None)
    with pytest.raises(DataError, match='2024-03-04 has 5 orders, --max-orders allows 4; nothing is written'):
        check_size(made, None, 4)


# -- fills that nobody ordered, and others --------------------------------------------------------------------------------------


def test_what_was_really_filled_counts(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=90_000.0, slippage=0.0, **CHEAP)
    store = market(DAYS)
    # of three orders one was filled, in two parts, one not, and one that nobody asked for
    account.fills = [FillRow(MONDAY, A, 'BUY', 1000, 10.1, 5.0, 0.0, 0.0, fill_id='1'),
                     FillRow(MONDAY, A, 'BUY', 500, 10.2, 0.0, 0.0, 0.0, fill_id='2'),
                     FillRow(MONDAY, D, 'BUY', 300, 51.0, 5.0, 0.0, 0.0, fill_id='3')]
    params = {'refresh_rate': 2}
    made = evening(store, account, TUESDAY, params=params)
    assert made.unfilled == [(B, 'BUY'), (C, 'BUY')]
    assert made.cash == pytest.approx(90_000 - 10_105 - 5_100 - 15_305)
    assert (made.holdings, made.days_left, made.orders) == (2, 1, [])
    made = evening(store, account, WEDNESDAY, params=params)
    assert [(order.code, order.side, order.shares) for order in made.orders[:2]] == [(A, 'SELL', 1500), (D, 'SELL', 300)]


# -- safety ----------------------------------------------------------------------------------------------------------------


def test_days_that_cannot_be(tmp_path):
    store, account = market(DAYS), new_account(tmp_path, TUESDAY, cash=1e5)
    with pytest.raises(DataError, match='--date 2024-03-04: .*account.json begins on 2024-03-05'):
        check_day(store, account, MONDAY, 'the data')
    account.fills = [FillRow(WEDNESDAY, A, 'BUY', 100, 10.0, 5.0, 0.0, 0.0)]
    with pytest.raises(DataError, match='has booked fills or events of 2024-03-06; give a later day'):
        check_day(store, account, WEDNESDAY, 'the data')
    account.fills = [FillRow(TUESDAY, '600001.XSHG', 'BUY', 100, 10.0, 5.0, 0.0, 0.0)]
    with pytest.raises(DataError, match=r'has traded 600001\.XSHG, which the data does not have'):
        check_day(store, account, WEDNESDAY, 'the data')


def test_past_days_that_changed(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=1e5)
    account.seen = seen_of(market(DAYS[:2]), account, TUESDAY)
    assert (account.seen['first'], account.seen['until']) == ('2024-03-01', '2024-03-04')
    check_unchanged(market(DAYS), account, 'the data', False)  # it only grew
    other = market(DAYS, market_cap=(2.2e9, {}))
    with pytest.raises(DataError, match='rows of the days up to 2024-03-04 have changed since the last list'):
        check_unchanged(other, account, 'the data', False)
    check_unchanged(other, account, 'the data', True)


# -- orders of other strategies ---------------------------------------------------------------------------------------------


class Plain(bt.Strategy):
    """Gives its orders at the open of the first day."""

    def next_open(self):
        if len(self.data) == 2:
            self.give({code: self.data.stock(code) for code in (A, C, D)})

    nextstart_open = prenext_open = next_open


class Waiting(Plain):
    def give(self, stocks):
        self.buy(data=stocks[A], size=1000, price=9.8, exectype=bt.Order.Limit)
        self.buy(data=stocks[A], size=1000, price=8.5, exectype=bt.Order.Limit)  # below the limit of the day
        self.buy(data=stocks[C], size=2_500_000, price=4.9, exectype=bt.Order.Limit)
        self.buy_bracket(data=stocks[D], size=200, exectype=bt.Order.Market, stopprice=45.0, limitprice=55.0)
        self.sell(data=stocks[A], size=100, exectype=bt.Order.StopTrail, trailpercent=0.1)


def test_orders_that_wait(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=7_000_000.0, slippage=0.0, **CHEAP)
    made = evening(market(), account, MONDAY, Waiting)
    found = [(order.code, order.side, order.shares, order.limit_price, order.kind) for order in made.orders]
    assert found == [
        (D, 'SELL', 200, 45.0, 'watch'), (D, 'SELL', 200, 55.0, 'watch'),  # of the bracket
        (A, 'SELL', 100, 9.0, 'watch'),  # 10 less 10 %
        (A, 'BUY', 1000, 9.8, 'resting'), (A, 'BUY', 1000, 8.5, 'watch'),
        (C, 'BUY', 1_000_000, 4.9, 'resting'), (C, 'BUY', 426_100, 4.9, 'resting'),  # 6,990,195 yuan over 4.9 x 1.0003
    ]
    assert [(each.code, each.reason) for each in made.blocked] == [(D, 'below one lot')]  # no cash is left
    assert made.orders[1].note == 'give it when the order that it belongs to is filled'
    assert made.orders[4].note.startswith('a limit order of the strategy, outside the limits of the day')


class Two(Plain):
    def give(self, stocks):
        self.buy(data=stocks[A], size=5000)
        self.buy(data=stocks[C], size=10_000)


def test_all_buys_together_cost_no_more_than_there_is(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=100_000.0, slippage=0.0, **CHEAP)
    made = evening(market(), account, MONDAY, Two)
    assert [(order.shares, order.limit_price, order.needs_sale) for order in made.orders] == [
        (5000, 10.2, False), (9600, 5.1, False)]  # 51,000 + 15, and 48,960 + 14.4
    assert made.orders[1].note == 'as much as the cash pays for at the limit prices'


# -- money and days -----------------------------------------------------------------------------------------------------------


def test_money_that_came_on_a_weekend(tmp_path):
    account = new_account(tmp_path, TUESDAY, cash=10_000.0)
    account.events = [EventRow(date(2024, 3, 3), '', 'cash', 0, 0, 500.0), EventRow(TUESDAY, '', 'interest', 0, 0, 1.5)]
    account.begun = MONDAY
    made = evening(market(DAYS), account, WEDNESDAY)
    assert made.cash == 10_501.5


def test_a_fill_on_a_day_without_trading(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=1e5)
    account.fills = [FillRow(date(2024, 3, 7), A, 'BUY', 100, 10.0, 5.0, 0.0, 0.0)]
    with pytest.raises(DataError, match='has fills of 2024-03-07, on which the exchange does not trade, as the data tells'):
        check_day(market([*DAYS, '2024-03-08']), account, date(2024, 3, 11), 'the data')


def test_a_replay_of_the_first_day_of_an_account_that_holds(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=1000.0, holdings=[Holding(A, 1000, 1000, 9.0)])
    made = one_day(market(DAYS), account, MONDAY)
    assert [(fill.code, fill.side, fill.quantity) for fill in made.fills[:1]] == [(A, 'SELL', 1000)]
    assert all(fill.code != A or fill.side == 'SELL' or fill.quantity != 1000 for fill in made.fills)


def test_lists_of_which_nothing_is_booked(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=1e5)
    made = evening(market(DAYS), account, MONDAY)
    account.issue(MONDAY, as_issued(made.orders))
    account.issue(TUESDAY, [])  # a list without orders does not hide it
    assert without_fills(account, WEDNESDAY) == {'2024-03-04': 3}
    account.fills = [FillRow(MONDAY, A, 'BUY', 100, 10.0, 5.0, 0.0, 0.0)]
    assert without_fills(account, WEDNESDAY) == {}
    account.issue(WEDNESDAY, [])
    assert account.issued == []


class Partly(Plain):
    def give(self, stocks):
        self.buy(data=stocks[A], size=1000, price=9.9, exectype=bt.Order.Limit)


def test_what_is_left_of_an_order_that_waits(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=1e5, slippage=0.0, **CHEAP)
    account.fills = [FillRow(MONDAY, A, 'BUY', 400, 9.9, 5.0, 0.0, 0.0, fill_id='1')]
    made = evening(market(DAYS), account, TUESDAY, Partly)
    assert [(order.order_id, order.shares, order.limit_price, order.kind) for order in made.orders] == [
        ('20240305B000001', 600, 9.9, 'resting')]
    account.fills.append(FillRow(TUESDAY, A, 'BUY', 600, 9.88, 5.0, 0.0, 0.0, fill_id='2'))
    assert evening(market(DAYS), account, WEDNESDAY, Partly).orders == []


class Ladder(Plain):
    def give(self, stocks):
        for price in (9.9, 9.8):
            self.buy(data=stocks[A], size=1000, price=price, exectype=bt.Order.Limit)


def test_two_orders_of_one_stock_have_their_own_fills(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=1e5, slippage=0.0, **CHEAP)
    account.fills = [FillRow(MONDAY, A, 'BUY', 1000, 9.9, 5.0, 0.0, 0.0, order_id='77', fill_id='1'),
                     FillRow(MONDAY, A, 'BUY', 400, 9.8, 5.0, 0.0, 0.0, order_id='78', fill_id='2')]
    made = evening(market(DAYS), account, TUESDAY, Ladder)
    assert [(order.order_id, order.shares, order.limit_price) for order in made.orders] == [('20240305B000001', 600, 9.8)]
    account.fills.append(FillRow(MONDAY, A, 'BUY', 600, 9.8, 0.0, 0.0, 0.0, order_id='78', fill_id='3'))
    assert evening(market(DAYS), account, TUESDAY, Ladder).orders == []


class Seller(Plain):
    def give(self, stocks):
        self.sell(data=stocks[A], size=1000, price=10.2, exectype=bt.Order.Limit)
        self.sell(data=stocks[A], size=300)


def test_no_more_is_sold_than_is_held(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=0.0, holdings=[Holding(A, 800, 800, 9.0)])
    made = evening(market(DAYS), account, MONDAY, Seller)
    assert [(order.shares, order.kind) for order in made.orders] == [(300, 'open'), (500, 'resting')]
    account.fills = [FillRow(MONDAY, A, 'SELL', 800, 10.0, 5.0, 0.0, 0.0)]
    made = evening(market(DAYS), account, TUESDAY, Seller)
    assert (made.orders, [each.reason for each in made.blocked]) == ([], ['not held'])


class Stopped(Plain):
    def give(self, stocks):
        one = self.sell(data=stocks[A], size=1000, price=9.5, exectype=bt.Order.Stop)
        self.sell(data=stocks[A], size=1000, price=10.5, exectype=bt.Order.Limit, oco=one)


def test_a_fill_that_the_days_bar_did_not_reach(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=0.0, holdings=[Holding(A, 1000, 1000, 9.0)])
    account.fills = [FillRow(MONDAY, A, 'SELL', 1000, 9.9, 5.0, 0.0, 0.0)]
    made = evening(market(DAYS), account, TUESDAY, Stopped)
    assert (made.orders, made.holdings, made.cash) == ([], 0, 9895.0)


def test_a_missed_rebalance_is_told_until_something_is_filled(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=1e5)
    store = market([*DAYS, '2024-03-07'])
    for day in (TUESDAY, WEDNESDAY, date(2024, 3, 7)):
        made = evening(store, account, day)
        assert (made.unfilled_on, len(made.unfilled)) == (MONDAY, 3)
    account.settled = '2024-03-04'
    assert evening(store, account, WEDNESDAY).unfilled == []
