"""What ``cerebro.plot()`` draws, as a figure or into a file; which stocks it draws is chosen by `record.stock_charts`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import backtrader as bt

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_of(cerebro: bt.Cerebro, width: float = 16, height: float = 10, dpi: int = 80, **kwargs: Any) -> Figure:
    """Return what ``cerebro.plot()`` draws; needs no screen, and opens no window.

    As the last line of a notebook's cell it is shown. Importing Backtrader's plotter asks matplotlib for a window, so that
    ``cerebro.plot()`` itself fails where there is none.

    Parameters
    ----------
    cerebro : bt.Cerebro
        After its run.
    width, height : float
        Inches.
    dpi : int
        Dots an inch.
    **kwargs
        As for ``cerebro.plot()``; by default no volume, and room for the market and the account.

    Returns
    -------
    matplotlib.figure.Figure
        The first one where ``numfigs`` asks for more; pyplot does not keep it.
    """
    import matplotlib
    import matplotlib.pyplot as plt
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    before = matplotlib.get_backend()
    if 'inline' in before:  # a notebook's: it sets up the display of figures when it is loaded, while it is the one in force
        plt.switch_backend(before)
    import backtrader.plot  # asks for a window here, not later

    matplotlib.use('Agg')
    try:
        from ..record.chart_layout import ChartLayout

        # Backtrader counts one row for an indicator's chart, whatever it then takes
        rows = (2, 1) if any(strategy.getindicators() for run in cerebro.runstrats for strategy in run) else (3, 2)
        options = {'volume': False, 'rowsmajor': rows[0], 'rowsminor': rows[1], 'fmt_x_ticks': '%Y-%m-%d'}
        options.update(kwargs)
        how = {name: options.pop(name) for name in ('numfigs', 'start', 'end') if name in options}
        # a scheme of its own: Backtrader's default one is shared by all plots of the process
        plotter = backtrader.plot.Plot(scheme=backtrader.plot.PlotScheme(), **options)
        # a figure of its own number: cerebro.plot() before this has drawn on the first ones
        number = max([0, *plt.get_fignums()]) + 1
        with matplotlib.rc_context({'figure.dpi': dpi}):  # a figure goes by that which it was made with
            figures = plotter.plot(cerebro.runstrats[0][0], figid=number, iplot=False, **how)
        figure = figures[0]
        if not isinstance(figure.get_layout_engine(), ChartLayout):  # without any of our observers
            figure.set_layout_engine(ChartLayout())
        figure.set_size_inches(width, height)
        for one in figures:
            plt.close(one)
        FigureCanvasAgg(figure)  # becomes the figure's: a closed one has none that draws
        return figure
    finally:
        with contextlib.suppress(ImportError):  # a window that was asked for where there is no screen
            matplotlib.use(before)


def save_plot(cerebro: bt.Cerebro, path: str | Path, width: float = 16, height: float = 10, dpi: int = 80, **kwargs: Any) -> None:
    """Write what ``cerebro.plot()`` draws into a file; needs no screen.

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
        As for `figure_of`.
    """
    path = Path(path)
    figure = figure_of(cerebro, width, height, dpi, **kwargs)
    part = path.with_name(path.name + '.part')
    figure.savefig(part, dpi=dpi, format=path.suffix.lstrip('.') or 'png')
    os.replace(part, path)
