"""Runs of the presets over small markets, and how they are held against the slow model."""

from collections import Counter

import backtrader as bt
import pytest

from bt_microcap import Blotter, MicroCapStrategy, setup
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.stock import add_stocks
from bt_microcap.rotation.presets import PRESETS
from tests.support.model import net_actions

# Small markets have no 400 companies, and none is listed for 375 days: what makes each preset trade there.
SMALL = {
    'original': {'min_cap': 1e9, 'max_cap': 4e9},
    'small_board': {'stocknum': 3, 'min_listed_days': 30},
    'ten_weekly': {'stocknum': 6, 'min_listed_days': 30},
    'microcap400': {'stocknum': 25},
    'parked': {'stocknum': 6, 'min_listed_days': 30, 'market_fall': 0.015, 'trend_days': 10},
}
# The tiny wild markets of `markets.build` last forty days and have a dozen stocks.
TINY = {
    'original': {'min_cap': 0.0, 'max_cap': 1e13},
    'small_board': {'stocknum': 2, 'min_listed_days': 5, 'stop_loss': 0.05, 'empty_months': (9,), 'universe': '',
                    'boards': ('main', 'chinext', 'star')},
    'ten_weekly': {'stocknum': 4, 'min_listed_days': 5},
    'microcap400': {'stocknum': 5, 'min_listed_days': 3, 'band': 0.1},
    'parked': {'stocknum': 4, 'min_listed_days': 5, 'market_fall': 0.01, 'trend_days': 4},
}


def params_of(name, **others):
    """Give the params of a preset, some of them changed."""
    return {**PRESETS[name].params, **others}


def run_plugin(data, params, *, profile='realistic', cash=1e6, market=True, strategy=MicroCapStrategy, **options):
    """Run the plugin over a table or a store and return the strategy; its blotter is ``.analyzers.blotter``."""
    cerebro = bt.Cerebro(stdstats=False)
    if market:
        cerebro.adddata(MarketFeed(dataname=data), name='market')
    else:
        add_stocks(cerebro, data)
    cerebro.addstrategy(strategy, **params)
    setup(cerebro, profile, cash=cash, **options)
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro.run()[0]


def hold_against(run, blotter):
    """Hold a run of the plugin against one of the slow model: orders and their reasons, fills, fees, refusals, the account."""
    model = run.result
    assert [(order.date, order.code, order.side, order.why) for order in blotter.orders] == run.orders
    assert [(fill.datetime, fill.code, fill.side, fill.quantity, fill.price) for fill in blotter.fills] == [
        (trade['date'], trade['code'], trade['side'], trade['quantity'], trade['price']) for trade in model.trades]
    for fill, trade in zip(blotter.fills, model.trades, strict=True):
        assert (fill.commission, fill.tax, fill.transfer_fee) == pytest.approx(
            (trade['commission'], trade['tax'], trade['transfer_fee']), abs=1e-6), fill
    assert [tuple(row) for row in blotter.rejections] == [
        (row['date'], row['code'], row['side'], row['reason']) for row in model.rejections]
    assert [row.date for row in blotter.equity] == [row['date'] for row in model.equity]
    for row, day in zip(blotter.equity, model.equity, strict=True):
        assert (row.cash, row.market_value, row.total_value) == pytest.approx(
            (day['cash'], day['market_value'], day['total_value']), abs=1e-6), row.date
    told = net_actions((one.date, one.code, one.shares_before, one.shares_after, one.cash) for one in blotter.corporate_actions)
    wanted = net_actions((one['date'], one['code'], one['before'], one['after'], one['cash']) for one in model.actions)
    assert told.keys() == wanted.keys()
    for key, action in wanted.items():
        assert told[key] == pytest.approx(action, abs=1e-6), key
    return run.seen + Counter({'fills': len(model.trades)}) + Counter(row['reason'] for row in model.rejections)
