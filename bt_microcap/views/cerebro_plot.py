"""What ``cerebro.plot()`` draws, into a file; which stocks it draws is chosen by `record.stock_charts`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import backtrader as bt


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
        As for ``cerebro.plot()``; by default no volume, and room for the market and the account.
    """
    import matplotlib

    before = matplotlib.get_backend()
    import backtrader.plot  # asks for a window here, not later

    matplotlib.use('Agg')
    try:
        import matplotlib.pyplot as plt

        path = Path(path)
        # Backtrader counts one row for an indicator's chart, whatever it then takes
        rows = (2, 1) if any(strategy.getindicators() for run in cerebro.runstrats for strategy in run) else (3, 2)
        options = {'volume': False, 'rowsmajor': rows[0], 'rowsminor': rows[1], 'fmt_x_ticks': '%Y-%m-%d'}
        options.update(kwargs)
        how = {name: options.pop(name) for name in ('numfigs', 'start', 'end') if name in options}
        # a scheme of its own: Backtrader's default one is shared by all plots of the process
        plotter = backtrader.plot.Plot(scheme=backtrader.plot.PlotScheme(), **options)
        # a figure of its own number: cerebro.plot() before this has drawn on the first ones
        number = max([0, *plt.get_fignums()]) + 1
        figures = plotter.plot(cerebro.runstrats[0][0], figid=number, iplot=False, **how)
        figure = figures[0]
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
        for figure in figures:
            plt.close(figure)
    finally:
        with contextlib.suppress(ImportError):  # a window that was asked for where there is no screen
            matplotlib.use(before)
