"""Which stocks ``cerebro.plot()`` draws: a few of those held, with their buys and sells."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from functools import partial
from typing import Any

import backtrader as bt
import numpy as np

from ..feeds.series import ACTIONS, adjustment_of
from .observers import label_of

PRICES = ('open', 'high', 'low', 'close')  # what a chart draws of a stock
# In parentheses: it is said of the chart, see `chart_layout`.
ADJUSTED = '(adjusted for ex-rights)'
AS_TRADED = '(as traded)'


class Fills(bt.observers.BuySell):
    """Buys and sells of one stock, drawn over its chart from the fills of the run."""

    params = (('barplot', True),)
    # no value and no tag of the last bar, where it has a fill
    plotlines = {side: {'_plotvalue': False, '_plotvaluetag': False} for side in ('buy', 'sell')}

    def _plotlabel(self) -> list:
        return label_of(self)  # the legend says buy and sell; the params would only puzzle


class StockCharts(bt.Analyzer):
    """Leaves in the plot the feeds that are no stocks and the most traded stocks, with their buys and sells.

    `MicroCapStrategy` adds it to itself: which stocks will be held is not known before the run is over. Without it
    ``cerebro.plot()`` draws every registered feed and no stock of a `MarketFeed`. An optimizer draws nothing.

    Prices, fills and what an indicator draws over the prices are drawn adjusted for ex-rights, at the level of the run's last
    bar, so that an ex-date is no crash (前复权). It is done for the plot alone: the lines keep their values.

    Params:

      - ``stocks`` (default: ``4``): charts of stocks at the most; a strategy's param ``plot_stocks`` goes before it.
    """

    params = (('stocks', 4),)  # charts

    def start(self) -> None:
        """Begin without a fill."""
        self.fills: dict[Any, list[tuple[float, int, float]]] = {}  # data -> (datetime, size, price) of each fill

    def notify_order(self, order: bt.Order) -> None:
        """Remember the fills of each stock."""
        done = order.executed
        for bit in done.iterpending() if done.p1 < done.p2 else ():
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
            if 'market_cap' in data.getlinealiases():
                data.plotinfo.plot = False
        ranked = sorted(self.fills, key=lambda data: (-len(self.fills[data]), data._name))
        for data in [data for data in ranked if len(data)][: max(0, limit)]:
            data.plotinfo.plot = True
            observer = _draw_fills(data, self.fills[data])
            factors = adjustment(data)
            observer.plotinfo.plotname = AS_TRADED if factors is None else ADJUSTED
            over = [one for one in strategy.getindicators() if _is_over(one, data)]
            data.plotinfo.plotylimited = bool(over)  # a fill beyond the closes is inside the chart; what an indicator adds is not
            lines = [getattr(data.lines, name) for name in PRICES]
            for line in [*lines, *(line for one in [observer, *over] for line in one.lines)]:
                _draw_adjusted(line, factors)
            if hasattr(data, 'market'):
                _hide_gaps(data)


def adjustment(data: Any) -> np.ndarray | None:
    """Return by what each bar's prices of a stock are multiplied to be at the level of the run's last bar.

    See `feeds.series.adjustment`, which takes all rows of the feed, also those after the run.

    Parameters
    ----------
    data : data feed
        A stock's, after the run.

    Returns
    -------
    ndarray of float, shape (bars,), or None
        None where the data knows nothing of ex-rights.
    """
    bars = data.buflen()
    columns = {
        name: np.array(getattr(data.lines, name).array[:bars]) if hasattr(data.lines, name) else np.full(bars, np.nan)
        for name in ('close', *ACTIONS)
    }
    if all((columns[name] != columns[name]).all() for name in ACTIONS):
        return None
    return adjustment_of(data._name, columns)


def _is_over(indicator: Any, data: Any) -> bool:
    """Return whether an indicator is drawn over a stock's prices, as Backtrader's plotter tells it."""
    clock = getattr(indicator._clock, 'owner', indicator._clock)
    return hasattr(indicator, 'plotinfo') and not indicator.plotinfo.subplot and clock is data


def _draw_adjusted(line: Any, factors: np.ndarray | None) -> None:
    """Let a line be drawn times some factors, or as it is; for the plot only: its values stay as they are."""
    if factors is None or (factors == 1.0).all():
        line.__dict__.pop('plotrange', None)  # of a run before
    else:
        line.plotrange = partial(_times, line, factors)


def _times(line: Any, factors: np.ndarray, start: int, end: int) -> list[float]:
    return (np.array(line.array[start:end]) * factors[start:end]).tolist()


def _hide_gaps(data: Any) -> None:
    """Spare Backtrader the NaN of a market's stock outside its life: it would draw the label nan, and fail on the volume."""
    last, volume = data.close.array[-1], data.volume
    data.plotinfo.plotlinevalues = data.plotinfo.plotvaluetags = last == last
    # of this line, for the plot only: its values stay as they are
    volume.plotrange = partial(_without_nan, volume)


def _without_nan(line: Any, start: int, end: int) -> list[float]:
    return [0.0 if value != value else value for value in line.array[start:end]]


def _draw_fills(data: Any, fills: list[tuple[float, int, float]]) -> Fills:
    """Return a `Fills` observer with the stock's executions, each at its own bar and price."""
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
    return observer
