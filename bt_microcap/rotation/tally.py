"""Why a run has picked no stock, or filled no order: what it counts, and the words for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import backtrader as bt

from ..record.param_texts import typed


class NothingTradedWarning(UserWarning):
    """A run is over in which nothing was picked, or no order was filled."""


class Tally:
    """What a run has done so far."""

    def __init__(self) -> None:
        self.rebalances = self.picks = 0
        self.shut: Counter[str] = Counter()  # rebalance days on which an overlay allowed no stock, by its name
        self.band_days: int | None = None  # rebalance days on which a stock lay in the band; None: not looked at
        self.notices = self.fills = 0
        self.refusals: Counter[str] = Counter()

    def count_order(self, order: bt.Order) -> None:
        """Count what an order's notification brings."""
        self.notices += 1
        self.fills += bool(order.executed.size)
        if order.status in (order.Rejected, order.Margin):
            self.refusals[order.info.get('reason') or order.getstatusname().lower()] += 1

    def nothing_traded(self, low: float, high: float, screened: Callable[[], str]) -> str:
        """Return why the run has picked no stock, or filled no order; empty where it has.

        Parameters
        ----------
        low, high : float
            The band of the market cap, yuan.
        screened : callable
            Says what a stock in the band must be beside that.
        """
        shut = self.shut.total()
        if self.fills or not self.rebalances + shut:
            return ''
        if not self.rebalances:
            return f'no stock was picked: {", ".join(self.shut)} allowed none on any of {shut} rebalance days'
        if not self.picks:
            if self.band_days is None:
                why = 'screen and select let none through'
            elif not self.band_days:
                why = f'no market cap lay between min_cap {typed(low)} and max_cap {typed(high)} yuan on any of them'
            else:
                why = (f'on {self.band_days} of them a market cap lay in the band, but of a stock that is suspended, ST, in the '
                       f'delisting period or not {screened()}, or that select did not take')
            return f'no stock was picked on any of {self.rebalances} rebalance days: {why}'
        refused = self.refusals.total()
        if refused:
            why = f'{refused} refused, most often {self.refusals.most_common(1)[0][0]!r}'
        elif self.notices:
            why = 'none was refused, they were still open at the end or withdrawn'
        else:
            why = 'no order was given'
        return f'{self.picks} picks, but not one order was filled: {why}'
