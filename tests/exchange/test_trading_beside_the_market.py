"""Orders for a feed that is not of the market: it trades on its own bars, at the open of the day where it has one."""

import backtrader as bt
import pandas as pd
import pytest

from bt_microcap import AShareBroker, AShareCommission
from bt_microcap.feeds.schema import check_table
from tests.support.looking import add_market
from tests.support.markets import tiny_market

A, OTHER = '600001.XSHG', '000300.XSHE'
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
MONDAY_TO_FRIDAY = pd.bdate_range('2024-01-01', periods=5)


def traded(days, script, market, at_open=True, first=False):
    """Run a script, day of the month -> step, beside a market of A at 10; ``days`` of the other feed open at their number."""
    level = [float(day.day) for day in days]
    rows = pd.DataFrame({'open': level, 'high': level, 'low': level, 'close': [price + 0.5 for price in level], 'volume': 1e6},
                        index=days)
    rows['high'] += 1
    fills = []

    class Trader(bt.Strategy):
        def act(self):
            day = max(data.datetime.date(0) for data in self.datas if len(data)).day
            if (step := script.get(day)) is not None:
                step(self, self.getdatabyname(OTHER))

        def next_open(self):
            if at_open:
                self.act()

        def next(self):
            if not at_open:
                self.act()

        prenext_open = nextstart_open = next_open
        prenext = next

        def notify_order(self, order):
            now = max(data.datetime.date(0) for data in self.datas if len(data)).day
            fills.extend((now, bit.size, bit.price) for bit in order.executed.iterpending())
            if order.status == order.Rejected:
                fills.append((now, order.info.reason))

    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=at_open)
    feed = bt.feeds.PandasData(dataname=rows)
    if first:
        cerebro.adddata(feed, name=OTHER)
    add_market(cerebro, check_table(tiny_market({A: [10.0] * 5}, dates=MONDAY_TO_FRIDAY)), market)
    if not first:
        cerebro.adddata(feed, name=OTHER)
    cerebro.setbroker(AShareBroker(cash=100_000.0))
    cerebro.broker.addcommissioninfo(AShareCommission())
    cerebro.addstrategy(Trader)
    cerebro.run()
    return fills


def buy(strategy, feed):
    strategy.buy(feed, size=100)


def close(strategy, feed):
    strategy.close(feed)


@WAYS
@pytest.mark.parametrize('first', [False, True])
def test_at_the_open_of_a_day_on_which_it_has_a_bar(first, market):
    assert traded(MONDAY_TO_FRIDAY, {2: buy, 4: close}, market, first=first) == [(2, 100, 2.0), (4, -100, 4.0)]


@WAYS
def test_on_a_day_without_a_bar_it_waits_for_the_next(market):
    days = MONDAY_TO_FRIDAY[[0, 1, 3, 4]]
    assert traded(days, {3: buy, 5: close}, market) == [(4, 100, 4.0), (5, -100, 5.0)]


@WAYS
def test_given_after_the_close_it_fills_on_the_next_bar(market):
    assert traded(MONDAY_TO_FRIDAY, {2: buy, 3: close}, market, at_open=False) == [(3, 100, 3.0), (4, -100, 4.0)]


@WAYS
def test_on_a_day_of_its_own_it_fills_on_its_next_bar(market):
    # Saturday and Sunday are no days of the market: no open at which an order fills at once
    days = pd.date_range('2024-01-01', periods=9)
    assert traded(days, {6: buy, 8: close}, market)[:1] == [(7, 100, 7.0)]


@WAYS
def test_what_was_bought_today_is_not_sold_today_there_either(market):
    def both(strategy, feed):
        buy(strategy, feed)
        close(strategy, feed)

    assert traded(MONDAY_TO_FRIDAY, {2: both}, market) == [(2, 100, 2.0), (2, 'bought today')]
