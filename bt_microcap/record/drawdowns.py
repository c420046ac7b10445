"""The drawdowns of a run: from which peak, how deep, how long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np


class Drawdown(NamedTuple):
    """One drawdown, from a peak until its level is reached again."""

    start: date  # of the peak: the last day on which its level held
    bottom: date  # the first day of the lowest level
    end: date | None  # the first day at the peak's level or above; None where there is none yet
    depth: float  # fraction of the peak's level that was lost at the bottom
    days: int  # calendar days from start to end, or to the last day of all


def drawdowns(days: Sequence[date], levels: Sequence[float], count: int | None = 10) -> list[Drawdown]:
    """Return the deepest drawdowns of a series of levels.

    ``ffn.drawdown_details`` finds the same ones. There ``Start`` is the first day below the peak, here it is the day of the
    peak, so that ``Length`` there is shorter by the days between the two; ``End`` is the last day of the series where the peak
    is not reached again, here None (``days`` counts to the last day in both); depth is a negative ``drawdown`` there; and they
    come in the order of time.

    Parameters
    ----------
    days : sequence of date
        Ascending.
    levels : sequence of float, shape (len(days),)
        Above 0 at first, of any unit; with money that came in taken out.
    count : int, optional
        At most so many; None for all.

    Returns
    -------
    list of Drawdown
        The deepest first, of equal ones the earlier.

    Raises
    ------
    ValueError
        There are not as many levels as days.
    """
    if len(days) != len(levels):
        raise ValueError(f'found {len(levels)} levels, expected one for each of the {len(days)} days')
    level = np.asarray(levels, dtype=float)
    peak = np.maximum.accumulate(level)
    below = np.concatenate([[False], level < peak, [False]])
    turns = np.flatnonzero(below[1:] != below[:-1])
    found = []
    for first, after in zip(turns[::2].tolist(), turns[1::2].tolist(), strict=True):  # days first .. after - 1 are below
        bottom = first + int(level[first:after].argmin())
        end = days[after] if after < len(days) else None
        start = days[first - 1]
        found.append(Drawdown(start, days[bottom], end, float(1 - level[bottom] / peak[bottom]),
                              ((end or days[-1]) - start).days))
    return sorted(found, key=lambda drawdown: -drawdown.depth)[:count]
