"""Asking for the history of a market in tests."""

import math

import backtrader as bt
import numpy as np
import pytest

from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.stock import add_stocks
from bt_microcap.feeds.universe import StockUniverse

A, B, C = '600001.XSHG', '600002.XSHG', '600003.XSHG'


NAN = math.nan


PRICE_COLUMNS = ('open', 'high', 'low', 'close', 'preclose', 'high_limit', 'low_limit')


WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])


class Asker(bt.Strategy):
    """Calls a function with the section of every bar, from the first one."""

    params = (('each', None), ('at_open', True), ('universe', None))

    def __init__(self):
        self.bars = 0
        self.universe = self.p.universe or (
            self.data.universe() if hasattr(self.data, 'universe') else StockUniverse(self.datas)
        )

    def next(self):
        self.p.each(self.universe.section(self.p.at_open), self.bars)
        self.bars += 1

    prenext = next


def cerebro_of(table, market, **limits):
    cerebro = bt.Cerebro(stdstats=False)
    if market:
        cerebro.adddata(MarketFeed(dataname=table, **limits), name='market')
    else:
        add_stocks(cerebro, table, **limits)
    return cerebro


def ask(table, market, each, at_open=True, **limits):
    """Call `each(section, bar)` at every bar of a run."""
    cerebro = cerebro_of(table, market, **limits)
    cerebro.addstrategy(Asker, each=each, at_open=at_open)
    cerebro.run()


def asked(table, market, *args, at_open=True, **limits):
    """What ``history(*args)`` gives at each bar."""
    out = []
    ask(table, market, lambda section, bar: out.append(section.history(*args)), at_open, **limits)
    return out


def same(found, wanted):
    """Compare with literals, which are exact: no more than binary rounding of a product may differ."""
    assert len(found) == len(wanted)
    for rows, literal in zip(found, wanted, strict=True):
        np.testing.assert_allclose(rows, literal, rtol=1e-14)
