"""The picture of a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..record.blotter import Blotter


def picture(
    path: Path, blotter: Blotter, start_cash: float, benchmark: Sequence[float] | None, title: str, benchmark_name: str = '',
) -> None:
    """Draw the run: value against the benchmark, drawdown, and the part that is invested.

    No window and no other figure of the process is touched.

    Parameters
    ----------
    path : Path
        A PNG file.
    blotter : Blotter
        After the run.
    start_cash : float
        Yuan before the first day.
    benchmark : sequence of float or None
        Level of the benchmark before the first day and after each day; None: it is not drawn.
    title : str
    benchmark_name : str
        What the legend calls it.
    """
    from matplotlib.figure import Figure  # without pyplot, which would ask for a window
    from matplotlib.ticker import PercentFormatter

    days = [row.date for row in blotter.equity]
    value = np.array([row.total_value for row in blotter.equity]) / start_cash
    with_start = np.concatenate(([1.0], value))
    drawdown = (value / np.maximum.accumulate(with_start)[1:]) - 1
    invested = np.array([row.market_value / row.total_value if row.total_value else 0.0 for row in blotter.equity])
    figure = Figure(figsize=(11, 8), layout='constrained')
    axes = figure.subplots(3, 1, sharex=True, height_ratios=[4, 1.5, 1])
    axes[0].plot(days, value - 1, color='#c0392b', linewidth=1.6, label=f'strategy {value[-1] - 1:+.1%}')
    if benchmark is not None:
        level = np.asarray(benchmark[1:], dtype='float64') / benchmark[0]
        axes[0].plot(days, level - 1, color='#7f8c8d', linewidth=1.2, label=f'{benchmark_name} {level[-1] - 1:+.1%}')
    axes[0].axhline(0, color='black', linewidth=0.6)
    axes[0].set_ylabel('return')
    axes[0].set_title(title)
    axes[0].legend(loc='best', frameon=False)
    axes[1].fill_between(days, drawdown, 0, color='#c0392b', alpha=0.35, linewidth=0)
    axes[1].set_ylabel('drawdown')
    axes[2].fill_between(days, invested, 0, step='post', color='#2980b9', alpha=0.35, linewidth=0)
    axes[2].set_ylabel('invested')
    axes[2].set_ylim(0, 1.05)
    for axis in axes:
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axis.grid(alpha=0.25)
        axis.margins(x=0.01)
    part = path.with_name(path.name + '.part')
    figure.savefig(part, dpi=110, format='png')
    os.replace(part, path)
