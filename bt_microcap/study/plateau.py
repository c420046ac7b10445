"""Two dimensions of a grid of runs: its cells, the best of them, and whether what is around the best is good as well.

The best of many runs is partly luck. A best cell whose neighbours do badly is a spike, which another year would not have again;
one on a plateau has neighbours nearly as good.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..record.param_texts import as_text

DIGITS = 12  # of means that are compared: what differs beyond them are errors of the arithmetic, not of the market


@dataclass(frozen=True)
class Plane:
    """Which dimensions of a grid are looked at, and what becomes of the others.

    Parameters
    ----------
    across : str
        The dimension whose values are the columns.
    down : str, optional
        That whose values are the rows; None: a single row.
    fixed : dict of str to any
        Dimension -> the one value of it that is looked at.
    averaged : tuple of str
        Dimensions of several values over which each cell is the mean.
    """

    across: str
    down: str | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    averaged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cells:
    """A figure over two dimensions of a grid.

    Parameters
    ----------
    across, down : list
        The values of the two dimensions in the order of columns and rows; ``down`` is ``[None]`` for a single row.
    values : ndarray of float, shape (down, across)
        In the figure's unit; NaN where no run has the figure.
    counts : ndarray of int, shape (down, across)
        Of how many runs each is the mean.
    """

    across: list[Any]
    down: list[Any]
    values: np.ndarray
    counts: np.ndarray


class Peak(NamedTuple):
    """A cell and what is around it.

    Parameters
    ----------
    place : tuple of int
        Row and column.
    value : float
        Of the cell, in the figure's unit.
    neighbours : int
        How many of the up to 8 cells around it have a value.
    mean : float
        Of these neighbours, NaN without any.
    plateau : float
        Mean of the cell and its neighbours together, NaN without any neighbour: a cell alone is no plateau.
    """

    place: tuple[int, int]
    value: float
    neighbours: int
    mean: float
    plateau: float


def in_order(values: Iterable[Any]) -> list[Any]:
    """Return each value of a dimension once: numbers ascending, others in the order of the grid."""
    once = list(dict.fromkeys(values))
    return sorted(once) if all(isinstance(value, (int, float)) for value in once) else once


def plane_of(
    rows: Sequence[tuple], columns: Sequence[str], dimensions: int, *, x: str | None = None, y: str | None = None,
    at: Mapping[str, Any] | None = None,
) -> Plane:
    """Return which two dimensions are looked at: those that are asked for, else the first ones with more than one value.

    Parameters
    ----------
    rows : sequence of tuple
        Rows of `columns`, one or more.
    columns : sequence of str
        What a row holds: the dimensions first, then the figures.
    dimensions : int
        How many there are.
    x, y : str, optional
        The dimension across, and down. With one only the other is the first that is left; with none at all left it is a
        single row.
    at : mapping of str to any, optional
        Dimension -> the value at which it is fixed.

    Returns
    -------
    Plane

    Raises
    ------
    ValueError
        There is no such dimension, one is asked for twice, or all of them are fixed.
    """
    names, fixed = list(columns[:dimensions]), dict(at or {})
    asked = [name for name in (x, y) if name is not None] + list(fixed)
    for name in asked:
        if name not in names:
            raise ValueError(f'found no dimension {name!r}, expected one of {", ".join(names)}')
        if asked.count(name) > 1:
            raise ValueError(f'{name} is asked for twice: across, down or fixed')
    if len(fixed) == len(names):
        raise ValueError('every dimension is fixed, and none is left to look at')
    several = [name for number, name in enumerate(names) if len({as_text(row[number]) for row in rows}) > 1]
    left = [name for name in several if name not in asked]
    if x is None and y is None:
        # of two the first goes down, as its values are the outer ones of the grid
        y = left.pop(0) if len(left) > 1 else None
        x = left.pop(0) if left else next(name for name in reversed(names) if name not in fixed)
    elif x is None:
        x, y = (left.pop(0), y) if left else (y, None)
    elif y is None and left:
        y = left.pop(0)
    return Plane(str(x), y, fixed, tuple(left))


def cells_of(rows: Sequence[tuple], columns: Sequence[str], figure: str, plane: Plane) -> Cells:
    """Return a figure over two dimensions.

    Parameters
    ----------
    rows : sequence of tuple
        Rows of `columns`.
    columns : sequence of str
        What a row holds.
    figure : str
        One of them.
    plane : Plane
        The axes have all values that are anywhere in the grid, also where the fixed ones leave none of their runs.

    Returns
    -------
    Cells
        A run whose figure is not known is left out of the mean.

    Raises
    ------
    ValueError
        A name of the plane, or the figure, is no column.
    """
    across, at = columns.index(plane.across), columns.index(figure)
    down = None if plane.down is None else columns.index(plane.down)
    fixed = [(columns.index(name), as_text(value)) for name, value in plane.fixed.items()]
    wide = in_order(row[across] for row in rows)
    high = [None] if down is None else in_order(row[down] for row in rows)
    columns_at, rows_at = ({value: place for place, value in enumerate(values)} for values in (wide, high))
    found: dict[tuple[int, int], list[float]] = {}
    for row in rows:
        value = row[at]
        if value is not None and math.isfinite(value) and all(as_text(row[number]) == text for number, text in fixed):
            place = rows_at[None if down is None else row[down]], columns_at[row[across]]
            found.setdefault(place, []).append(float(value))
    values, counts = np.full((len(high), len(wide)), np.nan), np.zeros((len(high), len(wide)), 'int64')
    for place, several in found.items():
        values[place], counts[place] = _mean(several), len(several)
    return Cells(wide, high, values, counts)


def peak_at(values: np.ndarray, place: tuple[int, int]) -> Peak:
    """Return a cell with what is around it.

    Parameters
    ----------
    values : ndarray of float, shape (down, across)
        NaN where there is none.
    place : tuple of int
        Row and column of a cell with a value.

    Returns
    -------
    Peak
        Its neighbours are the up to 8 cells next to it in the order of the axes, also across a corner, without those of NaN.
    """
    row, column = place
    around = [float(value) for (down, across), value in np.ndenumerate(
        values[max(row - 1, 0):row + 2, max(column - 1, 0):column + 2])
        if value == value and (down + max(row - 1, 0), across + max(column - 1, 0)) != (row, column)]
    own = float(values[place])
    if not around:
        return Peak((row, column), own, 0, math.nan, math.nan)
    return Peak((row, column), own, len(around), _mean(around), _mean([own, *around]))


def best_of(values: np.ndarray, less_is_better: bool = False) -> Peak | None:
    """Return the best cell.

    Parameters
    ----------
    values : ndarray of float, shape (down, across)
        NaN where there is none.
    less_is_better : bool
        The best is the smallest.

    Returns
    -------
    Peak or None
        Of several as good that with the best plateau, of these the first by rows; None where no cell has a value.
    """
    sign = -1 if less_is_better else 1
    return max(_peaks(values), default=None,
               key=lambda peak: (_compared(sign * peak.value), _compared(sign * peak.plateau), *_first(peak)))


def best_plateau(values: np.ndarray, less_is_better: bool = False) -> Peak | None:
    """Return the cell that is best together with its neighbours.

    Parameters
    ----------
    values : ndarray of float, shape (down, across)
        NaN where there is none.
    less_is_better : bool
        The best is the smallest.

    Returns
    -------
    Peak or None
        That of the best mean of the cell and its neighbours; of several as good `best_of` where it is among them, else the
        best cell, of these the first by rows. None where no cell has a neighbour.
    """
    sign, best = -1 if less_is_better else 1, best_of(values, less_is_better)
    return max((peak for peak in _peaks(values) if peak.neighbours), default=None,
               key=lambda peak: (_compared(sign * peak.plateau), peak == best, _compared(sign * peak.value), *_first(peak)))


def _peaks(values: np.ndarray) -> list[Peak]:
    return [peak_at(values, (int(row), int(column))) for row, column in np.argwhere(~np.isnan(values))]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _compared(value: float) -> float:
    """Return a value as it is compared with others; what is not known is the worst."""
    return float(f'{value:.{DIGITS}g}') if value == value else -math.inf


def _first(peak: Peak) -> tuple[int, int]:
    return -peak.place[0], -peak.place[1]
