"""The original's rules as a script of the platform give the same account as `MicroCapStrategy`, to the last digit."""

import backtrader as bt
import pandas as pd
import pytest

from bt_microcap import Blotter, MicroCapStrategy, setup
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.store import MarketStore
from tests.joinquant.scripts import run

ORIGINAL = """
# The smallest companies of 20 to 30 亿 yuan: all is sold and bought anew every few days.
from jqdata import *


def initialize(context):
    set_option('use_real_price', True)
    set_benchmark('000300.XSHG')
    set_order_cost(OrderCost(open_commission=0.0003, close_commission=0.0003, close_tax=0.001, min_commission=5), type='stock')
    g.stocknum = 3
    g.refresh_rate = 5
    g.days = 0
    run_daily(every_day, 'open')


def every_day(context):
    if g.days % g.refresh_rate == 0:
        for stock in context.portfolio.positions.keys():
            order_target_value(stock, 0)
        buy(context, candidates(context))
        g.days = 1
    else:
        g.days += 1


def candidates(context):
    caps = get_fundamentals(query(valuation.code, valuation.market_cap).filter(
        valuation.market_cap.between(20, 30)).order_by(valuation.market_cap.asc()))
    now = get_current_data()
    stocks = [code for code in caps['code'] if not now[code].paused and not now[code].is_st]
    return stocks[:g.stocknum]


def buy(context, stocks):
    free = g.stocknum - len(context.portfolio.positions)
    if free <= 0:
        return
    value = context.portfolio.cash / free
    for stock in stocks:
        if len(context.portfolio.positions) < g.stocknum:
            order_value(stock, value)
"""

# What is picked again is kept, and what is suspended is not tried; the cash goes to the others in equal parts.
KEEPING = ORIGINAL.replace("""        for stock in context.portfolio.positions.keys():
            order_target_value(stock, 0)
        buy(context, candidates(context))
""", """        chosen = candidates(context)
        for stock in context.portfolio.positions:
            if stock not in chosen and not get_current_data()[stock].paused:
                order_target_value(stock, 0)
        buy(context, [stock for stock in chosen if stock not in context.portfolio.positions])
""")


def rotate(data, cash=1e6, **params):
    """Run `MicroCapStrategy` as JoinQuant simulates."""
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=data), name='market')
    cerebro.addstrategy(MicroCapStrategy, **params)
    setup(cerebro, 'joinquant', cash=cash)
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro.run()[0]


def books(strategy):
    """Return all that was booked, and what is held at the end; without the reasons of orders, which each has in its own words."""
    kept = dict(strategy.analyzers.blotter.get_analysis())
    kept['orders'] = [order._replace(why='') for order in kept['orders']]
    kept['round_trips'] = len(kept['round_trips'])  # made of fills; they tell the reasons as well
    kept['held'] = {data._name: (position.size, position.price) for data, position in strategy.broker.positions.items()
                    if position.size}
    kept['cash'], kept['value'] = strategy.broker.getcash(), strategy.broker.getvalue()
    return kept


def same(script, rotation):
    """Hold one account against the other, book by book."""
    found, expected = books(script), books(rotation)
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        assert found[name] == rows, name
    return expected


@pytest.fixture(scope='module')
def demo():
    return MarketStore.from_table(demo_market(corporate_actions=True))


@pytest.fixture(scope='module', params=['sample280_2018_2022', 'whole_market_2021'])
def panel(request):
    path = request.config.rootpath.parent / 'shared' / 'data' / 'panels' / f'{request.param}.parquet'
    if not path.exists():
        pytest.skip(f'the panel {request.param} of real rows is not here: it may not be passed on')
    return MarketStore.from_table(pd.read_parquet(path))


@pytest.mark.parametrize(('stocknum', 'refresh_rate'), [(3, 5), (1, 1), (10, 3), (5, 20)])
def test_the_demo_market(demo, tmp_path, stocknum, refresh_rate):
    found = same(run(ORIGINAL, demo, tmp_path, cash=1e6, **{'g.stocknum': stocknum, 'g.refresh_rate': refresh_rate}),
                 rotate(demo, stocknum=stocknum, refresh_rate=refresh_rate))
    assert len(found['fills']) > 100
    assert found['corporate_actions']
    assert {'suspended', 'star market order'} & {row.reason for row in found['rejections']}


@pytest.mark.parametrize(('stocknum', 'refresh_rate'), [(3, 5), (10, 1), (6, 7)])
def test_real_rows(panel, tmp_path, stocknum, refresh_rate):
    found = same(run(ORIGINAL, panel, tmp_path, cash=1e6, **{'g.stocknum': stocknum, 'g.refresh_rate': refresh_rate}),
                 rotate(panel, stocknum=stocknum, refresh_rate=refresh_rate))
    assert found['rejections'] and len(found['fills']) > 100


@pytest.mark.parametrize(('stocknum', 'refresh_rate'), [(3, 5), (10, 1), (20, 5)])
def test_kept_where_picked_again(demo, tmp_path, stocknum, refresh_rate):
    found = same(run(KEEPING, demo, tmp_path, cash=1e6, **{'g.stocknum': stocknum, 'g.refresh_rate': refresh_rate}),
                 rotate(demo, stocknum=stocknum, refresh_rate=refresh_rate, keep=True))
    assert len(found['fills']) > 50


@pytest.mark.parametrize(('stocknum', 'refresh_rate'), [(3, 5), (20, 5)])
def test_kept_where_picked_again_over_real_rows(panel, tmp_path, stocknum, refresh_rate):
    same(run(KEEPING, panel, tmp_path, cash=1e6, **{'g.stocknum': stocknum, 'g.refresh_rate': refresh_rate}),
         rotate(panel, stocknum=stocknum, refresh_rate=refresh_rate, keep=True))


@pytest.mark.parametrize('cash', [1e4, 5e7])
def test_a_small_and_a_large_account(demo, tmp_path, cash):
    same(run(ORIGINAL, demo, tmp_path, cash=cash), rotate(demo, cash=cash))
