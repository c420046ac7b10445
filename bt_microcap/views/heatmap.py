"""The picture of a grid of runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..record.param_texts import as_text

MOST_NUMBERS = 30  # values of a dimension beyond which the cells bear no numbers, which would not fit


def heatmap(path: Path, rows: Sequence[tuple], columns: Sequence[str], title: str, dimensions: int = 2) -> None:
    """Draw annual return and Sharpe ratio over the grid, by the first two dimensions that have more than one value.

    Of each cell it shows the mean over the other dimensions, and the title says so. With one such dimension it is a
    single row. No window and no other figure of the process is touched.

    Parameters
    ----------
    path : Path
        A PNG file.
    rows : sequence of tuple
        Rows of `columns`, one or more.
    columns : sequence of str
        What a row holds: the dimensions first, then the figures.
    title : str
    dimensions : int
        How many there are.
    """
    from matplotlib.figure import Figure  # without pyplot, which would ask for a window

    values = [_in_order([row[number] for row in rows]) for number in range(dimensions)]
    several = [number for number in range(dimensions) if len(values[number]) > 1]
    across = several[1] if len(several) > 1 else several[0] if several else dimensions - 1
    down = several[0] if len(several) > 1 else None
    mean_over = [columns[number] for number in several[2:]]
    wide, high = len(values[across]), 1 if down is None else len(values[down])
    figure = Figure(figsize=(min(40.0, max(9.0, 4 + 1.5 * wide)), min(40.0, max(2.6 if high == 1 else 3.2, 1.6 + 0.42 * high))),
                    layout='constrained')
    axes = figure.subplots(1, 2)
    for axis, name, label, text in zip(
        axes, ('annual_return', 'sharpe'), ('annual return', 'Sharpe ratio'), ('{:.1%}', '{:.2f}'), strict=True
    ):
        cells: dict[tuple[int, int], list[float]] = {}
        for row in rows:
            place = 0 if down is None else values[down].index(row[down]), values[across].index(row[across])
            cells.setdefault(place, []).append(row[columns.index(name)])
        grid = np.full((high, wide), np.nan)
        for place, found in cells.items():
            grid[place] = np.mean(found)
        reach = max(float(np.nanmax(np.abs(grid))), 1e-9)
        axis.imshow(grid, cmap='BrBG', vmin=-reach, vmax=reach, aspect='auto')
        if max(wide, high) <= MOST_NUMBERS:
            for (row, column), value in np.ndenumerate(grid):
                if value == value:
                    axis.text(column, row, text.format(value), ha='center', va='center', fontsize=9,
                              color='white' if abs(value) > 0.6 * reach else 'black')
        _mark(axis.xaxis, values[across], columns[across])
        _mark(axis.yaxis, values[down] if down is not None else [], columns[down] if down is not None else '')
        axis.set_title(label)
    figure.suptitle(title + (f'\nmean over {", ".join(mean_over)}' if mean_over else ''))
    part = path.with_name(path.name + '.part')
    figure.savefig(part, dpi=110, format='png')
    os.replace(part, path)


def _in_order(found: Sequence[Any]) -> list[Any]:
    """Return each value once, numbers ascending, others in the order of the grid."""
    once = list(dict.fromkeys(found))
    return sorted(once) if all(isinstance(value, (int, float)) for value in once) else once


def _mark(axis: Any, values: Sequence[Any], name: str) -> None:
    step = -(-len(values) // MOST_NUMBERS) or 1  # not every one of very many
    axis.set_ticks(range(0, len(values), step), [as_text(value) for value in values[::step]])
    axis.set_label_text(name)
