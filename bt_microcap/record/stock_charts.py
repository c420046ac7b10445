"""Which stocks ``cerebro.plot()`` draws: a few of those held, with their buys and sells."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from functools import partial
from typing import Any

import backtrader as bt


class Fills(bt.observers.BuySell):
    """Buys and sells of one stock, drawn over its chart from the fills of the run."""

    params = (('barplot', True),)

    def _plotlabel(self) -> list:
        return []  # the legend says buy and sell; the params would only puzzle


class StockCharts(bt.Analyzer):
    """Leaves in the plot the feeds that are no stocks and the most traded stocks, with their buys and sells.

    `MicroCapStrategy` adds it to itself: which stocks will be held is not known before the run is over. Without it
    ``cerebro.plot()`` draws every registered feed and no stock of a `MarketFeed`. An optimizer draws nothing.

    Params:

      - ``stocks`` (default: ``4``): charts of stocks at the most; a strategy's param ``plot_stocks`` goes before it.
    """

    params = (('stocks', 4),)  # charts

    def start(self) -> None:
        """Begin without a fill."""
        self.fills: dict[Any, list[tuple[float, int, float]]] = {}  # data -> (datetime, size, price) of each fill

    def notify_order(self, order: bt.Order) -> None:
        """Remember the fills of each stock."""
        for bit in order.executed.iterpending():
            self.fills.setdefault(order.data, []).append((bit.dt, bit.size, bit.price))

    def stop(self) -> None:
        """Choose what is drawn."""
        if not getattr(self.strategy.env, '_dooptimize', False):
            self._choose(getattr(self.strategy.p, 'plot_stocks', self.p.stocks))

    def _choose(self, limit: int) -> None:
        strategy = self.strategy
        for data in list(strategy.datas):  # the stocks of a market are not among them, and only what is can be drawn
            strategy.datas.extend(sorted(getattr(data, 'stocks', ()), key=lambda stock: stock._name))
        for data in strategy.datas:
            if hasattr(data.lines, 'market_cap'):
                data.plotinfo.plot = False
        ranked = sorted(self.fills, key=lambda data: (-len(self.fills[data]), data._name))
        for data in [data for data in ranked if len(data)][: max(0, limit)]:
            data.plotinfo.plot = True
            _draw_fills(data, self.fills[data])
            if hasattr(data, 'market'):
                _hide_gaps(data)


def _hide_gaps(data: Any) -> None:
    """Spare Backtrader the NaN of a market's stock outside its life: it would draw the label nan, and fail on the volume."""
    last, volume = data.close.array[-1], data.volume
    data.plotinfo.plotlinevalues = data.plotinfo.plotvaluetags = last == last
    # of this line, for the plot only: its values stay as they are
    volume.plotrange = partial(_without_nan, volume)


def _without_nan(line: Any, start: int, end: int) -> list[float]:
    return [0.0 if value != value else value for value in line.array[start:end]]


def _draw_fills(data: Any, fills: list[tuple[float, int, float]]) -> None:
    """Fill a `Fills` observer with the stock's executions, each at its own bar and price."""
    bars = data.buflen()
    stamps = data.lines.datetime.array[:bars]
    values = {'buy': array('d', [float('nan')]) * bars, 'sell': array('d', [float('nan')]) * bars}
    for stamp, size, price in fills:
        column = values['buy' if size > 0 else 'sell']
        bar = bisect_right(stamps, stamp) - 1  # the last one, of a stock that is booked out later
        if bar >= 0 and column[bar] != column[bar]:  # the first of a bar: a delisting comes after a sale
            column[bar] = price
    observer = Fills(data)
    for name, column in values.items():
        getattr(observer.lines, name).array = column
        getattr(observer.lines, name).lencount = bars
