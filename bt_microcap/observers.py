"""What `cerebro.plot()` shows beside Backtrader's own observers."""

from __future__ import annotations

import backtrader as bt


class Account(bt.observers.Broker):
    """Cash and value, yuan: Backtrader's own, without its params in the label."""

    plotinfo = {'plotname': 'Account'}

    def _plotlabel(self) -> list:
        return []


class DrawDown(bt.observers.DrawDown):
    """Percent below the highest value so far: Backtrader's own, without its params in the label."""

    plotinfo = {'plotname': 'Drawdown %'}

    def _plotlabel(self) -> list:
        return []


class Holdings(bt.Observer):
    """The number of stocks held after each bar."""

    lines = ('holdings',)
    plotinfo = {'plot': True, 'subplot': True, 'plotname': 'Holdings', 'plotymargin': 0.1}
    plotlines = {'holdings': {'ls': '-', 'drawstyle': 'steps-post'}}

    def next(self) -> None:
        """Count the positions."""
        self.lines.holdings[0] = sum(1 for position in self._owner.broker.positions.values() if position.size)
