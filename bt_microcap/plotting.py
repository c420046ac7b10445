"""What ``cerebro.plot()`` draws: the market, the account, and a few of the stocks held with their buys and sells."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import backtrader as bt

if TYPE_CHECKING:
    from .strategy import MicroCapStrategy


class Fills(bt.observers.BuySell):
    """Buys and sells of one stock, drawn over its chart from the fills of the run."""

    params = (('barplot', True),)

    def _plotlabel(self) -> list:
        return []  # the legend says buy and sell; the params would only puzzle


def choose(strategy: MicroCapStrategy, limit: int) -> None:
    """Leave in the plot the feeds that are no stocks and the most traded stocks.

    Called when the run is over: which stocks will be held is not known before.

    Parameters
    ----------
    strategy : MicroCapStrategy
    limit : int
        Charts of stocks at the most.
    """
    for data in strategy.datas:
        if hasattr(data.lines, 'market_cap'):
            data.plotinfo.plot = False
    ranked = sorted(strategy.fills, key=lambda data: (-len(strategy.fills[data]), data._name))
    drawn = [data for data in ranked if len(data)][: max(0, limit)]
    for data in drawn:
        data.plotinfo.plot = True
        data.plotinfo.plotname = f'{data._name} ({len(strategy.fills[data])} fills)'
        _draw_fills(strategy, data)


def _draw_fills(strategy: MicroCapStrategy, data: Any) -> None:
    """Fill a `Fills` observer with the stock's executions, each at its own bar and price."""
    bars = data.buflen()
    stamps = data.lines.datetime.array
    at = {stamps[bar]: bar for bar in range(bars)}
    values = {'buy': array('d', [float('nan')]) * bars, 'sell': array('d', [float('nan')]) * bars}
    for stamp, size, price in strategy.fills[data]:
        if stamp in at:
            values['buy' if size > 0 else 'sell'][at[stamp]] = price
    observer = Fills(data)
    for name, column in values.items():
        getattr(observer.lines, name).array = column
        getattr(observer.lines, name).lencount = bars
