"""What becomes of a market and of its stocks in another process: the same, with all their names."""

import pickle

import backtrader as bt
import pytest

from bt_microcap import MicroCapStrategy, PyFolio, setup
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from tests.support.looking import add_market
from tests.support.markets import bar, tiny_market

A, B = '600001.XSHG', '600002.XSHG'


@pytest.fixture(scope='module')
def run():
    """A market of four days after its run: B comes on the second."""
    table = tiny_market({A: [10.0, 10.1, 10.2, 10.3], B: [None, 20.0, 20.1, 20.2]})
    market = MarketFeed(dataname=check_table(table))
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(market, name='market')
    cerebro.addstrategy(bt.Strategy)
    setup(cerebro)
    cerebro.run()
    return market, market.stock(A), market.stock(B)


def closes(feed):
    return [feed.close[ago] for ago in range(1 - len(feed), 1)]


@pytest.mark.parametrize('order', [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_a_market_and_its_stocks_arrive_in_any_order(order, run):
    sent = pickle.loads(pickle.dumps([run[number] for number in order]))
    market, first, second = (sent[order.index(number)] for number in range(3))
    assert (len(market), len(first), len(second)) == (4, 4, 3)
    assert (closes(first), closes(second)) == ([10.0, 10.1, 10.2, 10.3], [20.0, 20.1, 20.2])
    assert (first.market, market.stock(A), market.stock(B)) == (market, first, second)
    assert closes(market) == pytest.approx(closes(run[0]))


def test_a_stock_alone_brings_its_market(run):
    stock = pickle.loads(pickle.dumps(run[2]))
    assert (stock._name, closes(stock)) == (B, [20.0, 20.1, 20.2])
    assert stock.market.stock(B) is stock
    assert closes(stock.market.stock(A)) == [10.0, 10.1, 10.2, 10.3]


def test_a_market_arrives_with_backtraders_short_names(run):
    market = pickle.loads(pickle.dumps(run[0]))
    for number, line in enumerate(market.lines):
        assert getattr(market, f'line{number}') is line
        assert getattr(market, f'line_{number}') is line
    assert market.line is market.lines[0]
    assert market.l is market.lines
    assert market.line4[0] == run[0].lines[4][0] == 1e6  # the shares of A: B is new


def test_a_market_of_which_nobody_has_asked_for_a_stock_arrives():
    table = check_table(tiny_market({A: [10.0, 10.1]}))
    assert pickle.loads(pickle.dumps(MarketFeed(dataname=table))).store.codes.tolist() == [A]


@pytest.mark.parametrize(('market', 'ours'), [(False, True), (True, True), (False, False)])
def test_our_pyfolio_leaves_the_strategy_behind(market, ours):
    table = check_table(tiny_market({A: [10.0, 10.1, 10.2, 10.3], B: [20.0, 20.0, 20.1, 20.2]}))
    cerebro = bt.Cerebro(stdstats=False)
    add_market(cerebro, table, market)
    if ours:
        setup(cerebro)
    cerebro.addanalyzer(PyFolio, _name='pyfolio')
    cerebro.optstrategy(MicroCapStrategy, stocknum=[1, 2])
    for (result,) in cerebro.run(maxcpus=1):
        text = pickle.dumps(result.analyzers.pyfolio)
        assert b'MicroCapStrategy' not in text
        assert list(pickle.loads(text).get_pf_items()[1].columns)[-1] == 'cash'


@pytest.mark.parametrize('market', [False, True])
def test_our_pyfolio_by_days_months_and_years(market):
    dates = ['2024-01-30', '2024-01-31', '2024-02-01', '2024-02-29', '2024-03-01']
    table = check_table(tiny_market({A: [bar(10.0, cap=2.1e9), 10.0, 10.5, 10.4, 11.0]}, dates=dates))
    for options, count in (({'timeframe': bt.TimeFrame.Months}, 3), ({'timeframe': bt.TimeFrame.Days}, 5), (
            {'timeframe': bt.TimeFrame.Years}, 1)):
        cerebro = bt.Cerebro(stdstats=False)
        add_market(cerebro, table, market)
        setup(cerebro, cash=100_000.0)
        cerebro.addanalyzer(PyFolio, _name='pyfolio', **options)
        cerebro.addstrategy(MicroCapStrategy, refresh_rate=100)
        returns, *_ = cerebro.run()[0].analyzers.pyfolio.get_pf_items()
        assert len(returns) == count
