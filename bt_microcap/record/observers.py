"""What `cerebro.plot()` shows beside Backtrader's own observers."""

from __future__ import annotations

import math
from typing import Any

import backtrader as bt


def label_of(observer: bt.Observer) -> list:
    """Return what stands in the label of a chart beside its name: nothing. Called while the chart is drawn.

    It is the one moment of Backtrader's plotter at which a chart can have the whole figure arranged: no legend over a line, no
    label over another, whoever calls ``cerebro.plot()``.
    """
    from .chart_layout import arrange  # with it comes matplotlib, which is there by now

    arrange(observer._owner)
    return []


class Account(bt.observers.Broker):
    """Cash and value, yuan: Backtrader's own, without its params in the label."""

    plotinfo = {'plotname': 'Account'}

    def _plotlabel(self) -> list:
        return label_of(self)


class DrawDown(bt.observers.DrawDown):
    """Percent below the highest value so far: Backtrader's own, without its params in the label."""

    plotinfo = {'plotname': 'Drawdown %'}

    def _plotlabel(self) -> list:
        return label_of(self)


class Holdings(bt.Observer):
    """The number of stocks held after each bar."""

    lines = ('holdings',)
    plotinfo = {'plot': True, 'subplot': True, 'plotname': 'Holdings', 'plotymargin': 0.1}
    plotlines = {'holdings': {'ls': '-', 'drawstyle': 'steps-post'}}

    def next(self) -> None:
        """Count the positions."""
        self.lines.holdings[0] = sum(1 for position in self._owner.broker.positions.values() if position.size)

    def _plotlabel(self) -> list:
        return label_of(self)


class Exposure(bt.Observer):
    """The invested part of the account after each bar, percent: its value less its cash, over its value.

    A fund in which money is parked is invested. More than 100 where the cash is negative; 0 where nothing is left.
    """

    lines = ('exposure',)
    plotinfo = {'plot': True, 'subplot': True, 'plotname': 'Exposure %', 'plotymargin': 0.1}
    plotlines = {'exposure': {'ls': '-', 'drawstyle': 'steps-post'}}

    def next(self) -> None:
        """Compare the holdings' value with the account's."""
        broker = self._owner.broker
        value = broker.getvalue()
        self.lines.exposure[0] = 100 * (value - broker.getcash()) / value if value > 0 else 0.0

    def _plotlabel(self) -> list:
        return label_of(self)


class RelativeValue(bt.Observer):
    """The account against a benchmark: the growth of the one over the growth of the other, 1 at the start.

    Above 1 the account has done better. Both count from the run's first bar, after which the books begin; where the benchmark is
    not known yet, from the first bar on which it is, NaN before. Money that came in is no return where the broker counts
    the value of a share of the account (``get_fundvalue``, as Backtrader's and `AShareBroker` do).

    Params:

      - ``data`` (default: ``None``): the benchmark's feed. By default the `MarketFeed`, which shows the benchmark of the run, or
        the index that `add_stocks` puts first; without either the line is NaN, and nothing is drawn.
    """

    lines = ('relative',)
    params = (('data', None),)
    plotinfo = {'plot': True, 'subplot': True, 'plotname': 'Relative value', 'plothlines': [1.0], 'plotymargin': 0.1}

    def start(self) -> None:
        """Find the benchmark, and note what the account is worth before the first bar."""
        self._benchmark = self.p.data if self.p.data is not None else benchmark_feed(self._owner.datas)
        self.plotinfo.plot = self.plotinfo.plot and self._benchmark is not None
        self._account_then, self._benchmark_then = self._level(), math.nan

    def next(self) -> None:
        """Compare what has grown."""
        # before its first bar a feed would show its last one
        close = self._benchmark.close[0] if self._benchmark is not None and len(self._benchmark) else math.nan
        if self._benchmark_then != self._benchmark_then and close > 0:
            self._benchmark_then = close
            if len(self) > 1:
                self._account_then = self._level()
        growth = self._level() / self._account_then
        self.lines.relative[0] = growth / (close / self._benchmark_then) if close > 0 else math.nan

    def _level(self) -> float:
        broker = self._owner.broker
        return broker.get_fundvalue() if hasattr(broker, 'get_fundvalue') else broker.getvalue()

    def _plotlabel(self) -> list:
        return label_of(self)


def benchmark_feed(datas: list) -> Any:
    """Return the feed with which the account of a run is compared: the market's, else the index before the stocks, else None."""
    market = next((data for data in datas if hasattr(data, 'universe')), None)
    if market is not None:
        return market
    # a feed of ours that is no stock is an index
    return next((data for data in datas if hasattr(data, 'column') and not hasattr(data.lines, 'market_cap')), None)


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

    def _plotlabel(self) -> list:
        return label_of(self)
