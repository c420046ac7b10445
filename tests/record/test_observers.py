"""Exposure and RelativeValue after each bar, by hand; both ways of feeding."""

import math

import backtrader as bt
import pandas as pd
import pytest

from bt_microcap import AShareBroker, AShareCommission, setup
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import IndexPandas, StockPandas
from bt_microcap.record.observers import Account, DrawDown, Exposure, Holdings, RelativeValue
from tests.support.markets import tiny_market
from tests.support.scripted import Result, Scripted, buy, play, steps

A, B = '600001.XSHG', '600002.XSHG'
TABLE = tiny_market({A: [10.0, (10.0, 11.0), (11.0, 12.1), 11.0], B: [20.0, 20.0, 22.0, 22.0]})
# of the equal-weight market: A +10 %, B 0; both +10 %; A -1/11, B 0
MARKET = [1.0, 1.05, 1.155, 1.155 * (1 - 1 / 22)]


def free():
    return AShareCommission(commission=0.0, min_commission=0.0, stamp_duty=0.0, transfer_fee=0.0)


def observed(script, market, beside=None, **options):
    """Run a script of 100,000 yuan without fees; the values of exposure and relative value on each bar."""
    def add(cerebro):
        if beside is not None:
            options['data'] = beside(cerebro)
        cerebro.addobserver(Exposure)
        cerebro.addobserver(RelativeValue, **options)

    strategy = play(TABLE, script, market=market, beside=add, commission=free()).strategy
    return values_of(strategy)


def values_of(strategy):
    observers = strategy.observers
    return [list(line.plot()) for line in (observers.exposure.lines.exposure, observers.relativevalue.lines.relative)]


@pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
class TestBothWays:
    def test_half_of_the_account_in_one_stock(self, market):
        # 5,000 shares at 10.00: 55,000, 60,500 and 55,000 yuan beside 50,000 of cash
        exposure, relative = observed({1: buy(A, 5_000)}, market)
        assert exposure == pytest.approx([0.0, 100 * 55 / 105, 100 * 60.5 / 110.5, 100 * 55 / 105])
        assert relative == pytest.approx([1.0, 1.05 / MARKET[1], 1.105 / MARKET[2], 1.05 / MARKET[3]])

    def test_money_that_comes_in_is_no_return(self, market):
        # 50,000 more at the close of day 2: 60,500 of 160,500 invested; 155,000 on day 3
        more = steps(lambda strategy: strategy.broker.add_cash(50_000.0))
        exposure, relative = observed({1: buy(A, 5_000), 2: more}, market)
        assert exposure == pytest.approx([0.0, 100 * 55 / 105, 100 * 60.5 / 160.5, 100 * 55 / 155])
        assert relative == pytest.approx([1.0, 1.0, 1.105 / MARKET[2], 1.105 * 155 / 160.5 / MARKET[3]])

    def test_nothing_held(self, market):
        exposure, relative = observed({}, market)
        assert exposure == [0.0] * 4
        assert relative == pytest.approx([1 / level for level in MARKET])

    def test_another_feed_that_begins_later(self, market):
        days = pd.bdate_range('2024-01-04', periods=2)  # the third and the fourth of the market
        table = pd.DataFrame({'date': days, **dict.fromkeys(('open', 'high', 'low', 'close'), [50.0, 60.0])})

        def beside(cerebro):
            feed = IndexPandas(dataname=table)
            cerebro.adddata(feed, name='other')
            return feed

        relative = observed({1: buy(A, 5_000)}, market, beside)[1]
        assert [math.isnan(value) for value in relative] == [True, True, False, False]
        assert relative[2:] == pytest.approx([1.0, 105 / 110.5 / 1.2])


def test_without_a_benchmark_nothing_is_drawn():
    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=True)
    cerebro.adddata(StockPandas(dataname=TABLE[TABLE['code'] == A]), name=A)
    broker = AShareBroker(cash=100_000.0)
    cerebro.setbroker(broker)
    cerebro.addstrategy(Scripted, script={}, result=Result(broker))
    cerebro.addobserver(RelativeValue)
    found = cerebro.run()[0].observers.relativevalue
    assert found.plotinfo.plot is False
    assert all(math.isnan(value) for value in found.lines.relative.plot())


def test_another_broker():
    """Backtrader's own, which fills at the next open, also values a share of the account; the index is that of B alone."""
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(IndexPandas(dataname=check_table(TABLE)[lambda table: table['code'] == B].drop(columns='code')), name='index')
    cerebro.adddata(StockPandas(dataname=TABLE[TABLE['code'] == A]), name=A)
    cerebro.broker.setcash(100_000.0)
    cerebro.addstrategy(Scripted, script={0: buy(A, 5_000)}, result=Result(cerebro.broker), at_open=False)
    cerebro.addobserver(Exposure)
    cerebro.addobserver(RelativeValue)
    exposure, relative = values_of(cerebro.run()[0])
    assert exposure == pytest.approx([0.0, 100 * 55 / 105, 100 * 60.5 / 110.5, 100 * 55 / 105])
    assert relative == pytest.approx([1.0, 1.05, 1.105 / 1.1, 1.05 / 1.1])


def test_more_is_taken_out_than_there_is():
    class Poor(bt.Strategy):
        def next(self):
            if len(self) == 2:
                self.broker.add_cash(-150_000.0)

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(StockPandas(dataname=TABLE[TABLE['code'] == A]), name=A)
    cerebro.broker.setcash(100_000.0)
    cerebro.addstrategy(Poor)
    cerebro.addobserver(Exposure)
    assert list(cerebro.run()[0].observers.exposure.lines.exposure.plot()) == [0.0] * 4


def test_what_setup_adds():
    cerebro = bt.Cerebro()
    cerebro.adddata(StockPandas(dataname=TABLE[TABLE['code'] == A]), name=A)
    cerebro.addstrategy(bt.Strategy)
    setup(cerebro)
    assert [type(one) for one in cerebro.run()[0].observers] == [Account, DrawDown, RelativeValue, Exposure, Holdings]
