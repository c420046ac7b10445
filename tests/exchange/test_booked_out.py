"""A holding that becomes cash by itself: the order that tells of it, also where the strategies' trades do not add up to it."""

import backtrader as bt
import pytest

from bt_microcap import AShareBroker, AShareCommission
from bt_microcap.exchange.fills import slipped
from tests.support.looking import add_market
from tests.support.markets import tiny_market

A, B = '600001.XSHG', '600002.XSHG'
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])


class Trader(bt.Strategy):
    """Orders by the number of the day, and keeps what it is told: day, side, size, price, status, reason."""

    params = (('script', None),)

    def __init__(self):
        self.told = []

    def next_open(self):
        size = self.p.script.get(len(self.data) - 1)
        if size:
            feed = self.data.stock(B) if hasattr(self.data, 'stock') else self.getdatabyname(B)
            (self.buy if size > 0 else self.sell)(feed, size=abs(size))

    prenext_open = nextstart_open = next_open

    def notify_order(self, order):
        for bit in order.executed.iterpending():
            self.told.append((len(self.data) - 1, bit.size, bit.price, order.getstatusname(), order.info.get('reason')))


def run(scripts, market):
    """B trades on four of six days, closes at 11 and is delisted."""
    table = tiny_market({A: [10.0] * 6, B: [10.0, 10.0, 10.5, 11.0]})
    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=True)
    add_market(cerebro, table, market)
    cerebro.setbroker(AShareBroker(cash=100_000.0, delist_wait=0))
    cerebro.broker.addcommissioninfo(AShareCommission(commission=0.0, min_commission=0.0, stamp_duty=0.0))
    for script in scripts:
        cerebro.addstrategy(Trader, script=script)
    return cerebro.run()


@WAYS
def test_the_strategy_that_holds_it_is_told(market):
    (strategy,) = run([{1: 200}], market)
    assert strategy.told == [(1, 200, 10.0, 'Completed', None), (4, -200, 11.0, 'Completed', 'delisted')]
    assert strategy.broker.getcash() == 100_200.0


@WAYS
def test_each_of_two_strategies_is_told_of_its_own_part(market):
    first, second = run([{1: 200}, {2: 100}], market)
    assert first.told[1:] == [(4, -200, 11.0, 'Completed', 'delisted')]
    assert second.told[1:] == [(4, -100, 11.0, 'Completed', 'delisted')]
    assert first.broker.getcash() == 100_250.0
    assert [event[2:] for event in first.broker.events] == [('delisted', 300, 0, 3300.0)]


@WAYS
def test_what_another_strategy_has_sold_of_it_is_not_paid_again(market):
    # one buys 200, the other sells 100 of them: the books of neither say that 100 are left
    first, second = run([{1: 200}, {2: -100}], market)
    assert second.told == [(2, -100, 10.5, 'Completed', None)]
    assert first.told[1:] == [(4, -100, 11.0, 'Completed', 'delisted')]
    assert first.broker.getcash() == 100_150.0  # - 2,000 + 1,050 + 1,100
    assert dict(first.broker.positions) == {}


def test_impact_of_an_unknown_part_of_the_volume_is_none():
    assert slipped(10.0, True, impact=0.1) == 10.0
    assert slipped(10.0, False, impact=0.1) == 10.0
    assert slipped(10.0, True, 0.04, impact=0.1) == 10.2
    assert slipped(10.0, True, slippage=0.02) == 10.1
    assert slipped(10.0, False, ticks=2) == 9.98


def test_what_is_not_given_moves_no_price():
    assert slipped(10.0, True, 0.04) == slipped(10.0, False, 0.04) == 10.0
    assert slipped(10.0, True, slippage=0.0002) == 10.0  # no price step at least
    assert slipped(10.0, True, slippage=0.0002, least=1) == 10.01
