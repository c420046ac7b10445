"""One strategy and one market an account: what would share it is refused, not run wrong."""

import backtrader as bt
import pandas as pd
import pytest

from bt_microcap import Blotter, MicroCapStrategy, setup
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.stock import StockPandas
from tests.support.looking import FREE, add_market
from tests.support.markets import bar, tiny_market

A, B = '600001.XSHG', '600002.XSHG'
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])


def table():
    return tiny_market({A: [bar(10.0, cap=2.1e9)] + [10.0] * 4, B: [bar(20.0, cap=2.2e9)] + [20.0] * 4})


def cerebro_of(market, *tables, plain=False, options=None):
    cerebro = bt.Cerebro(stdstats=False, **(options or {}))
    for rows in tables or (table(),):
        add_market(cerebro, rows, market)
    if not plain:
        setup(cerebro, cash=100_000.0, **FREE)
    return cerebro


class Buyer(bt.Strategy):
    """Buys 100 shares of a stock at the second day's open."""

    params = (('code', A),)

    def next_open(self):
        if len(self.data) == 2:
            self.buy(self.data.stock(self.p.code) if hasattr(self.data, 'stock') else self.getdatabyname(self.p.code), size=100)

    nextstart_open = next_open


class Mine(MicroCapStrategy):
    pass


@WAYS
@pytest.mark.parametrize('others', [
    [MicroCapStrategy], [Mine], [Buyer], [bt.Strategy], [MicroCapStrategy, Mine],
], ids=lambda others: ' and '.join(other.__name__ for other in others))
@pytest.mark.parametrize('first', [True, False])
def test_two_strategies_are_refused(others, first, market):
    cerebro = cerebro_of(market)
    for strategy in [MicroCapStrategy, *others] if first else [*others, MicroCapStrategy]:
        cerebro.addstrategy(strategy)
    with pytest.raises(ValueError, match=f'found {len(others) + 1} strategies in one Cerebro, which share one account'):
        cerebro.run()


def test_two_strategies_are_refused_with_backtraders_broker():
    cerebro = cerebro_of(False, plain=True)
    cerebro.addstrategy(MicroCapStrategy)
    cerebro.addstrategy(Buyer)
    with pytest.raises(ValueError, match='found 2 strategies in one Cerebro'):
        cerebro.run()


@WAYS
def test_two_optimized_strategies_are_refused(market):
    cerebro = cerebro_of(market, options={'maxcpus': 1})
    cerebro.optstrategy(MicroCapStrategy, stocknum=[1, 2])
    cerebro.optstrategy(MicroCapStrategy, stocknum=[1, 2])
    with pytest.raises(ValueError, match='found 2 strategies in one Cerebro'):
        cerebro.run()


@WAYS
def test_an_optimizer_has_one_strategy_a_run(market):
    cerebro = cerebro_of(market, options={'maxcpus': 1})
    cerebro.optstrategy(MicroCapStrategy, stocknum=[1, 2])
    cerebro.addanalyzer(Blotter, _name='blotter')
    found = {run.p.stocknum: [(fill.code, fill.quantity) for fill in run.analyzers.blotter.get_analysis()['fills']]
             for (run,) in cerebro.run()}
    assert found == {1: [(A, 10_000)], 2: [(A, 5_000), (B, 2_500)]}


@WAYS
def test_a_blotter_is_refused_where_the_account_is_shared(market):
    cerebro = cerebro_of(market)
    cerebro.addstrategy(Buyer, code=A)
    cerebro.addstrategy(Buyer, code=B)
    cerebro.addanalyzer(Blotter)
    with pytest.raises(ValueError, match='found 2 strategies.*a Blotter cannot tell whose it is'):
        cerebro.run()


@WAYS
def test_strategies_of_ones_own_share_the_account_as_in_backtrader(market):
    """Without a Blotter: each keeps its own orders and trades, cash and positions are the account's."""
    cerebro = cerebro_of(market)
    cerebro.addstrategy(Buyer, code=A)
    cerebro.addstrategy(Buyer, code=B)
    strategies = cerebro.run()
    assert cerebro.broker.getcash() == pytest.approx(100_000 - 1_000 - 2_000)
    held = {data._name: position.size for data, position in cerebro.broker.positions.items()}
    assert held == {A: 100, B: 100}
    assert [{data._name for data in strategy._trades} for strategy in strategies] == [{A}, {B}]


# ----------------------------------------------------------------------------------------------- two markets


@pytest.mark.parametrize('strategy', [MicroCapStrategy, Buyer, bt.Strategy])
def test_two_market_feeds_are_refused(strategy):
    other = tiny_market({'600003.XSHG': [30.0] * 5})
    cerebro = cerebro_of(True, table(), other)
    cerebro.addstrategy(strategy)
    with pytest.raises((DataError, ValueError), match='found two MarketFeeds in one Cerebro.*one store of both'):
        cerebro.run()


def test_two_tables_of_other_stocks_are_one_universe():
    """`add_stocks` twice: all stocks of both, as if they were one table."""
    whole = table()
    found = []
    for tables in ((whole,), (whole[whole['code'] == A], whole[whole['code'] == B])):
        cerebro = cerebro_of(False, *(rows.reset_index(drop=True) for rows in tables))
        cerebro.addstrategy(MicroCapStrategy, stocknum=2, refresh_rate=1)
        cerebro.addanalyzer(Blotter, _name='blotter')
        blotter = cerebro.run()[0].analyzers.blotter
        found.append((blotter.fills, blotter.rejections, blotter.equity))
    assert found[0] == found[1]
    assert len(found[0][0]) > 3


def test_one_stock_in_two_feeds_is_refused():
    """It would be picked twice, and its position looked for in one of the two."""
    cerebro = cerebro_of(False, table(), table())
    cerebro.addstrategy(MicroCapStrategy, stocknum=2)
    with pytest.raises((DataError, ValueError), match=A):
        cerebro.run()


def test_a_feed_of_one_stock_beside_the_market_changes_nothing():
    """A stock's own feed beside a `MarketFeed` gives weekly bars of it; the rotation trades the market's."""
    def fills(beside):
        cerebro = cerebro_of(True)
        if beside:
            rows = table()
            cerebro.adddata(StockPandas(dataname=rows[rows['code'] == A].reset_index(drop=True)), name='days of A')
            cerebro.resampledata(cerebro.datas[-1], timeframe=bt.TimeFrame.Weeks, name='weeks of A')
        cerebro.addstrategy(MicroCapStrategy, stocknum=2, refresh_rate=1)
        cerebro.addanalyzer(Blotter, _name='blotter')
        blotter = cerebro.run()[0].analyzers.blotter
        return blotter.fills, blotter.rejections, blotter.equity

    assert fills(True) == fills(False)


@WAYS
def test_runs_one_after_the_other_have_accounts_of_their_own(market):
    """The same feeds' table, two Cerebros: nothing of the first run is in the second."""
    found = []
    for _ in range(2):
        cerebro = cerebro_of(market)
        cerebro.addstrategy(MicroCapStrategy, stocknum=1, refresh_rate=2)
        cerebro.addanalyzer(Blotter, _name='blotter')
        for _ in range(2):
            blotter = cerebro.run()[0].analyzers.blotter
            found.append((blotter.fills, blotter.equity))
    assert found[1:] == found[:1] * 3
    assert pd.Series([row.total_value for row in found[0][1]]).eq(100_000.0).all()
