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


class Trades(bt.observers.Trades):
    """Profit or loss of each closed trade, yuan, also in stocks that no registered feed shows.

    Backtrader's own leaves out trades in other than registered feeds, with a `MarketFeed` all of them. Params and
    lines are the same; of several trades closed on a bar each line shows the last.
    """

    def next(self) -> None:
        """Show the trades closed on the bar."""
        for trade in self._owner._tradespending:
            seen = trade.data in self.ddatas or getattr(trade.data, 'market', None) in self.ddatas
            if seen and trade.isclosed:
                profit = trade.pnlcomm if self.p.pnlcomm else trade.pnl
                line = self.lines.pnlplus if profit >= 0 else self.lines.pnlminus
                line[0] = profit
