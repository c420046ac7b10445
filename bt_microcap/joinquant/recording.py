"""What ``record()`` draws: an observer with a line a name."""

from __future__ import annotations

import math

import backtrader as bt


def observer_of(names: tuple[str, ...]) -> type[bt.Observer]:
    """Return an observer that draws what a script records under some names.

    Parameters
    ----------
    names : tuple of str
    """

    class Recorded(bt.Observer):
        """The values that the script records, each until the next one."""

        lines = names
        plotinfo = {'plot': True, 'subplot': True, 'plotname': 'record', 'plotlinelabels': True}  # noqa: RUF012 - Backtrader's

        def next(self) -> None:
            """Note what was recorded last."""
            recorded = self._owner.recorded
            for name in names:
                found = recorded.get(name)
                getattr(self.lines, name)[0] = found[-1][1] if found else math.nan

    return Recorded
