"""The runs that `bench` measures, ours and those of plain Backtrader, each in a process of its own."""

from __future__ import annotations

import math
import multiprocessing
import pickle
from datetime import date
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np

from ..feeds.market import MarketFeed
from ..feeds.store import market_store
from ..profiles import setup
from ..record.blotter import Blotter
from ..rotation.presets import PRESETS
from ..rotation.strategy import MicroCapStrategy
from ..rotation.trading import MarketStrategy
from .resources import Figures, mapped_bytes, timed, used

START = '2016-01-04'
GRID = {'stocknum': (1, 2, 3, 4, 5), 'refresh_rate': (1, 5, 10, 20)}  # of the optimizer
# What is measured beside the presets: params of `MicroCapStrategy`.
VARIANTS = {'twenty daily': {'stocknum': 20, 'refresh_rate': 1}}


def measure_floor(days: str, orders: str) -> Figures:
    """Measure plain Backtrader over one feed, with some number of market orders spread over the days."""
    bars, wanted = int(days), int(orders)

    class Orders(bt.Strategy):
        def __init__(self) -> None:
            self.made = 0

        def next(self) -> None:
            while self.made < wanted * len(self) // bars:
                (self.sell if self.made % 2 else self.buy)(size=100)
                self.made += 1

    import pandas as pd  # of the plain engine's measurements alone

    names = ['open', 'high', 'low', 'close', 'volume']
    prices = pd.DataFrame(np.linspace([10] * 5, 11, bars), pd.bdate_range(START, periods=bars), names)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=prices))
    cerebro.addstrategy(Orders)
    cerebro.broker.setcash(1e6)
    return timed(cerebro.run)[1]


def make_cerebro(store: str, todate: date | None = None, **options: Any) -> bt.Cerebro:
    """Return a cerebro with a store's market, the realistic profile and the blotter, but no strategy."""
    cerebro = bt.Cerebro(stdstats=False, **options)
    cerebro.adddata(MarketFeed(dataname=store, todate=todate), name='market')
    setup(cerebro, 'realistic')
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro


def measure_run(store: str, name: str = 'original', cash: str = '1e6') -> Figures:
    """Measure our run of a preset, or of one of the `VARIANTS`, from a store, opening and running apart."""
    cerebro, opening = timed(make_cerebro, store)
    cerebro.broker.setcash(float(cash))
    cerebro.addstrategy(MicroCapStrategy, **(VARIANTS[name] if name in VARIANTS else PRESETS[name].params))
    (strategy,), figures = timed(cerebro.run)
    # Backtrader numbers the orders of a process from 1; those that book out a delisted stock are the broker's own
    delisted = sum(refusal.reason == 'delisted' for refusal in strategy.analyzers.blotter.rejections)
    return figures | {'open': opening['cpu'], 'orders': next(bt.Order.refbasis) - 1 - delisted}


class RoundTrips(MarketStrategy):
    """Buys a few stocks on one day and sells them on the next, over and over: little but orders.

    Params:

      - ``stocks`` (default: ``0``): how many, those first in the order of the codes that trade on the second bar.
    """

    params = (('stocks', 0),)

    def __init__(self) -> None:
        super().__init__()
        self.codes: list[str] = []

    def trade(self, day: int) -> None:
        """Sell, or buy."""
        if not day:
            section = self.known.section
            self.codes = section.codes[section.today('paused') == 0][:self.p.stocks].tolist()
        if day % 2:
            for data in self.held():
                self.sell_whole(data, 'bench')
        else:
            for data in map(self.universe.feed, self.codes):
                self.buy(data=data, size=1000, price=self.price(data), why='bench')


def measure_orders(store: str, stocks: str) -> Figures:
    """Measure a run that does little but order, told to the strategy and to the blotter."""
    cerebro = make_cerebro(store)
    cerebro.broker.setcash(1e9)
    cerebro.addstrategy(RoundTrips, stocks=int(stocks))
    _, figures = timed(cerebro.run)
    return figures | {'orders': next(bt.Order.refbasis) - 1}


def measure_pages(store: str) -> Figures:
    """Measure how much of a store's files a run of the original looks at, MB; NaN where the system does not tell."""
    market_store.MOST_TOUCHED = math.inf  # else they are let go of meanwhile
    cerebro = make_cerebro(store)
    cerebro.addstrategy(MicroCapStrategy)
    _, figures = timed(cerebro.run)
    size = sum(file.stat().st_size for file in Path(store).rglob('*.bin'))
    return figures | {'touched': mapped_bytes(Path(store).resolve()) / 1e6, 'size': size / 1e6}


class StockData(bt.feeds.PandasData):
    """A stock in plain Backtrader."""

    lines = ('market_cap', 'is_st', 'paused')
    params = (('openinterest', None), ('market_cap', -1), ('is_st', -1), ('paused', -1))


class Rotation(bt.Strategy):
    """The same rules in plain Backtrader, as one would write them without us."""

    params = (('stocknum', 3), ('refresh_rate', 5), ('min_cap', 2e9), ('max_cap', 3e9))

    def __init__(self) -> None:
        self.day = -1

    def next(self) -> None:
        """Sell all, buy the smallest."""
        self.day += 1
        if self.day % self.p.refresh_rate:
            return
        now = max(data.datetime[0] for data in self.datas if len(data))
        picks = [data for data in self.datas if len(data) and data.datetime[0] == now
                 and self.p.min_cap <= data.market_cap[0] <= self.p.max_cap
                 and not data.is_st[0] and not data.paused[0] and not data._name.endswith('.BJSE')]
        picks.sort(key=lambda data: data.market_cap[0])
        for data in self.datas:
            if self.getposition(data).size:
                self.close(data=data)
        budget = 0.95 * self.broker.getvalue() / self.p.stocknum  # the next open is not known: leave some room
        for data in picks[:self.p.stocknum]:
            self.buy(data=data, size=int(budget / data.close[0] / 100) * 100)

    prenext = next  # until the last stock is listed

def measure_plain(file: str) -> Figures:
    """Measure plain Backtrader with one feed per stock; the reading of the table is not counted."""
    import pandas as pd

    cerebro = bt.Cerebro(stdstats=False)
    for code, rows in pd.read_parquet(file).groupby('code', observed=True):
        cerebro.adddata(StockData(dataname=rows.drop(columns='code').set_index('date')), name=code)
    cerebro.addstrategy(Rotation)
    cerebro.broker.setcash(1e6)
    cerebro.broker.setcommission(commission=0.0003)
    cerebro.broker.set_slippage_perc(0.001)
    return timed(cerebro.run)[1] | {'orders': next(bt.Order.refbasis) - 1}


def measure_grid(store: str, cores: str) -> Figures:
    """Measure an optimization; ``pickled`` is what goes to another process for each combination, kB."""
    cerebro = make_cerebro(store, maxcpus=int(cores))
    cerebro.optstrategy(MicroCapStrategy, **GRID)
    _, figures = timed(cerebro.run)
    if int(cores) > 1:
        for child in multiprocessing.active_children():
            child.join()  # its processor time is known when it has ended
        figures['cpu'] += used(children=True)[0]
        figures['pickled'] = len(pickle.dumps(cerebro)) / 1e3  # its feeds are loaded, as when it travels
    return figures
