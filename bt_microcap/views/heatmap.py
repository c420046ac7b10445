"""The picture of a grid of runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def heatmap(path: Path, rows: Sequence[tuple], columns: Sequence[str], title: str) -> None:
    """Draw annual return and Sharpe ratio over the grid.

    Parameters
    ----------
    path : Path
        A PNG file.
    rows : sequence of tuple
        Rows of `columns`.
    columns : sequence of str
        What a row holds; ``stocknum`` and ``refresh_rate`` come first.
    title : str
    """
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    stocknums, rates = sorted({row[0] for row in rows}), sorted({row[1] for row in rows})
    height = max(3.2, 1.6 + 0.42 * len(stocknums))
    figure, axes = plt.subplots(1, 2, figsize=(max(9.0, 4 + 1.5 * len(rates)), height), layout='constrained')
    for axis, name, label, text in zip(
        axes, ('annual_return', 'sharpe'), ('annual return', 'Sharpe ratio'), ('{:.1%}', '{:.2f}'), strict=True
    ):
        grid = np.full((len(stocknums), len(rates)), np.nan)
        for row in rows:
            grid[stocknums.index(row[0]), rates.index(row[1])] = row[columns.index(name)]
        reach = max(float(np.nanmax(np.abs(grid))), 1e-9)
        axis.imshow(grid, cmap='BrBG', vmin=-reach, vmax=reach, aspect='auto')
        for (row, column), value in np.ndenumerate(grid):
            if value == value:
                axis.text(column, row, text.format(value), ha='center', va='center', fontsize=9,
                          color='white' if abs(value) > 0.8 * reach else 'black')
        axis.set_xticks(range(len(rates)), rates)
        axis.set_yticks(range(len(stocknums)), stocknums)
        axis.set_xlabel('refresh_rate (trading days)')
        axis.set_ylabel('stocknum')
        axis.set_title(label)
    figure.suptitle(title)
    part = path.with_name(path.name + '.part')
    figure.savefig(part, dpi=110, format='png')
    os.replace(part, path)
    plt.close(figure)
