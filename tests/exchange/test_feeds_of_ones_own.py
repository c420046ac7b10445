"""The broker over feeds of Backtrader's own, orders before a listing, and indicators that tell nothing of later bars."""

import math

import backtrader as bt
import pytest

from bt_microcap import AShareBroker, AShareCommission
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.universe import LookAheadError
from tests.support.looking import add_market
from tests.support.markets import bar, tiny_market

A, B = '600001.XSHG', '600002.XSHG'
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])


class WithPreclose(bt.feeds.PandasData):
    lines = ('preclose',)
    params = (('preclose', -1),)


def cerebro_with(strategy, fill, **params):
    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=True)
    fill(cerebro)
    cerebro.setbroker(AShareBroker(cash=100_000.0))
    cerebro.broker.addcommissioninfo(AShareCommission())
    cerebro.addstrategy(strategy, **params)
    return cerebro


@pytest.mark.parametrize(('price', 'told'), [(10.99, (100, 10.99)), (11.0, 'limit up')])
def test_the_limits_of_a_plain_feed_with_preclose(price, told):
    rows = tiny_market({A: [10.0, bar(price), 11.0]}).drop(columns='code').set_index('date')
    found = []

    class Buyer(bt.Strategy):
        def next_open(self):
            if len(self.data) == 2:
                self.buy(size=100)

        nextstart_open = next_open

        def notify_order(self, order):
            if not order.alive():
                found.append(order.info.get('reason') or (order.executed.size, order.executed.price))

    cerebro_with(Buyer, lambda cerebro: cerebro.adddata(WithPreclose(dataname=rows), name=A)).run()
    assert found == [told]


@pytest.mark.parametrize('at_open', [True, False])
def test_an_order_for_a_stock_not_listed_yet_keeps_what_it_was_given(at_open):
    table = check_table(tiny_market({A: [10.0] * 4, B: [None, None, 10.0, 10.0]}))
    given = []

    class Early(bt.Strategy):
        def act(self):
            if len(self.datas[0]) == 2:
                given.append(self.buy(self.getdatabyname(B), size=300, price=10.0, why='early', value=3_000.0))

        def next_open(self):
            if at_open:
                self.act()

        def next(self):
            if not at_open:
                self.act()

        prenext, prenext_open, nextstart_open = next, next_open, next_open

    cerebro_with(Early, lambda cerebro: add_market(cerebro, table, False)).run()
    (order,) = given
    assert (order.status, order.isbuy(), order.size) == (bt.Order.Rejected, True, 300)
    assert {name: order.info[name] for name in order.info} == {
        'why': 'early', 'value': 3_000.0, 'wanted': 300, 'day': order.info.day, 'at_open': at_open, 'reason': 'suspended'}


@WAYS
@pytest.mark.parametrize('runonce', [True, False])
def test_an_indicator_tells_nothing_of_later_bars_nor_of_bars_before_the_first(runonce, market):
    table = check_table(tiny_market({A: [10.0, 11.0, 12.0, 13.0, 12.0]}))
    seen = []

    class Looking(bt.Strategy):
        def __init__(self):
            self.mean = bt.ind.SMA(self.data.close, period=2)
            self.twice = bt.ind.SMA(self.mean, period=1)

        def next(self):
            for line in (self.mean, self.twice):
                with pytest.raises(LookAheadError, match='is of a later day'):
                    line[1]
            seen.append((self.mean[0] == pytest.approx((self.data.close[0] + self.data.close[-1]) / 2),
                         self.twice[0] == self.mean[0], math.isnan(self.mean[-10]), math.isnan(self.twice[-10])))

    cerebro_with(Looking, lambda cerebro: add_market(cerebro, table, market)).run(runonce=runonce)
    assert seen == [(True,) * 4] * 4
