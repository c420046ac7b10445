"""What ``cerebro.plot()`` draws: the market, the account, and a few of the stocks held with their buys and sells."""

from __future__ import annotations

import os
from array import array
from pathlib import Path
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
    for data in list(strategy.datas):  # the stocks of a market are not among them, and only what is can be drawn
        strategy.datas.extend(sorted(getattr(data, 'stocks', ()), key=lambda stock: stock._name))
    for data in strategy.datas:
        if hasattr(data.lines, 'market_cap'):
            data.plotinfo.plot = False
    ranked = sorted(strategy.fills, key=lambda data: (-len(strategy.fills[data]), data._name))
    drawn = [data for data in ranked if len(data)][: max(0, limit)]
    for data in drawn:
        data.plotinfo.plot = True
        _draw_fills(strategy, data)
        if hasattr(data, 'market'):
            _hide_gaps(data)


def _hide_gaps(data: Any) -> None:
    """Spare Backtrader the NaN of a market's stock outside its life: it would draw the label nan, and fail on the volume."""
    last, volume = data.close.array[-1], data.volume
    data.plotinfo.plotlinevalues = data.plotinfo.plotvaluetags = last == last
    # of this line, for the plot only: its values stay as they are
    volume.plotrange = lambda start, end: [0.0 if value != value else value for value in volume.array[start:end]]


def _draw_fills(strategy: MicroCapStrategy, data: Any) -> None:
    """Fill a `Fills` observer with the stock's executions, each at its own bar and price."""
    bars = data.buflen()
    stamps = data.lines.datetime.array
    at = {stamps[bar]: bar for bar in range(bars)}
    values = {'buy': array('d', [float('nan')]) * bars, 'sell': array('d', [float('nan')]) * bars}
    for stamp, size, price in strategy.fills[data]:
        column = values['buy' if size > 0 else 'sell']
        if stamp in at and column[at[stamp]] != column[at[stamp]]:  # the first of a bar: a delisting comes after a sale
            column[at[stamp]] = price
    observer = Fills(data)
    for name, column in values.items():
        getattr(observer.lines, name).array = column
        getattr(observer.lines, name).lencount = bars


def save_plot(cerebro: bt.Cerebro, path: str | Path, width: float = 16, height: float = 10, dpi: int = 80, **kwargs: Any) -> None:
    """Write what ``cerebro.plot()`` draws into a file; needs no screen.

    Importing Backtrader's plotter asks matplotlib for a window, which fails where there is none.

    Parameters
    ----------
    cerebro : bt.Cerebro
        After its run.
    path : str or Path
        A file that matplotlib can write, such as ``.png``, ``.svg`` or ``.pdf``.
    width, height : float
        Inches.
    dpi : int
        Dots an inch.
    **kwargs
        For ``cerebro.plot()``; by default no volume, and room for the market and the account.
    """
    import matplotlib

    before = matplotlib.get_backend()
    import backtrader.plot  # noqa: F401  asks for a window here, not later

    matplotlib.use('Agg')
    try:
        import matplotlib.pyplot as plt

        path = Path(path)
        # Backtrader counts one row for an indicator's chart, whatever it then takes
        rows = (2, 1) if any(strategy.getindicators() for run in cerebro.runstrats for strategy in run) else (3, 2)
        options = {'volume': False, 'rowsmajor': rows[0], 'rowsminor': rows[1], 'fmt_x_ticks': '%Y-%m-%d'}
        figures = cerebro.plot(**{**options, **kwargs})
        figure = figures[0][0]
        figure.set_size_inches(width, height)
        lowest = min(axes.get_position().y0 for axes in figure.axes)
        for axes in figure.axes:  # Backtrader shows the dates under the last chart; a new size forgets it
            if axes.get_position().y0 == lowest:
                low, high = axes.get_xlim()
                axes.tick_params(axis='x', labelbottom=True)
                plt.setp(axes.get_xticklabels(), visible=True)
                axes.set_xlim(min(low, -0.04 * high), high * 1.01)  # room for the legends
        part = path.with_name(path.name + '.part')
        figure.savefig(part, dpi=dpi, format=path.suffix.lstrip('.') or 'png')
        os.replace(part, path)
        plt.close('all')
    finally:
        matplotlib.use(before)
