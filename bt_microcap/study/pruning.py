"""Ends a run that is not worth going on with, after a calendar year of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import backtrader as bt
import numpy as np

from ..record.statistics import FEW_DAYS


@dataclass
class Watch:
    """What is to be done after each year of a run, and what came of it.

    Parameters
    ----------
    ends : dict of int to int
        Last trading days of the years after which it is judged, ordinals -> number of the year.
    by : str
        The figure.
    worse : callable
        Called with the number of a year and the figure so far; returns whether the run is to end there.
    """

    ends: dict[int, int]
    by: str
    worse: Callable[[int, float], bool]
    bars: int = 0  # that are over
    stopped: bool = False
    data: Any = None  # the first feed of the run

    @property
    def begun(self) -> bool:
        """Whether the run has reached its first bar."""
        return self.data is not None and len(self.data) > 0


class Years(bt.Analyzer):
    """Follows a run for a `Watch`, which may end it.

    Params:

      - ``watch``
      - ``books`` (default: ``'books'``): name of the `Figures` of the run, which are added before.
    """

    params = (('watch', None), ('books', 'books'))

    def start(self) -> None:
        """Begin before the first bar."""
        self.p.watch.data = self.strategy.data

    def next(self) -> None:
        """Count a bar, and judge the run where a year ends."""
        watch = self.p.watch
        watch.bars += 1
        year = watch.ends.pop(int(self.strategy.datetime[0]), 0)  # once, where a day has several bars
        if year and not watch.stopped:
            value = so_far(self.strategy.analyzers.getbyname(self.p.books))[watch.by]
            if value is not None and np.isfinite(value) and watch.worse(year, value):
                watch.stopped = True
                self.strategy.env.runstop()  # which Backtrader looks at when this bar is over

    def prenext(self) -> None:
        """Do the same while late listings keep Backtrader in prenext."""
        self.next()

    def stop(self) -> None:
        """Let go of what cannot leave the process."""
        self.p.watch = None


def so_far(books: bt.Analyzer) -> dict[str, Any]:
    """Return the figures of a run as if it ended now; its books stay as they are.

    Parameters
    ----------
    books : Figures
        In a run.
    """
    copied = copy.copy(books)
    for name, value in vars(books).items():
        if isinstance(value, (list, dict)):
            setattr(copied, name, value.copy())
    copied.stop()
    return copied.get_analysis()


def ends_of(days: np.ndarray) -> dict[int, int]:
    """Return the days after which a run is judged: the last trading day of each calendar year but the run's last.

    Parameters
    ----------
    days : ndarray of int, shape (days,)
        On which the run may trade, ordinals.

    Returns
    -------
    dict of int to int
        Ordinal -> number of the year, 1 for the run's first. None of the first `FEW_DAYS` is there: annual figures of so few
        days mean nothing.
    """
    years = years_of(days)
    last = np.flatnonzero(np.diff(years))
    return {int(days[place]): number for number, place in enumerate(last, 1) if place + 1 >= FEW_DAYS}


def years_of(days: np.ndarray) -> np.ndarray:
    """Return the calendar years of some ordinals."""
    return np.array([date.fromordinal(int(day)).year for day in days], dtype=int)
