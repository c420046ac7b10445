"""Analyzers: the figures of a run; and those of Backtrader's that only see registered feeds, made to see every stock.

`PositionsValue`, `Transactions` and `PyFolio` give the same with one feed per stock and with a `MarketFeed`, and
cost what was held and traded, not what the market lists.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import backtrader as bt

from . import statistics
from .blotter import Blotter
from .observers import Trades
from .run import benchmark_of

if TYPE_CHECKING:
    import pandas as pd


class PositionsValue(bt.analyzers.PositionsValue):
    """The value of each position at every close, yuan, also in stocks that no registered feed shows.

    Backtrader's own asks the broker for every registered feed on every bar: with one feed per stock that is the
    whole market, with a `MarketFeed` it is not one stock. Params and layout are the same, a list of values for
    each day, and with ``headers=True`` the names under ``'Datetime'``; but the columns are the feeds that were
    ever held at a close, in the order of their first such day, those of one day by name; with ``cash=True``
    the cash comes last. 0.0 where nothing was held. The result is complete when the run is over.
    """

    def start(self) -> None:
        """Begin with nothing held."""
        self._usedate = min(data._timeframe for data in self.datas) >= bt.TimeFrame.Days
        self._columns: dict[str, int] = {}  # name -> number of the column
        self._rows: list[tuple[Any, dict[str, float], float]] = []  # day, name -> value, cash

    def next(self) -> None:
        """Book the value of what is held at the close."""
        broker = self.strategy.broker
        held = sorted((data._name, broker.get_value([data])) for data, position in broker.positions.items() if position.size)
        for name, _ in held:
            self._columns.setdefault(name, len(self._columns))
        now = self.strategy.datetime
        self._rows.append((now.date() if self._usedate else now.datetime(), dict(held), broker.get_cash()))

    def stop(self) -> None:
        """Lay the values out in columns; before the end it is not known which."""
        if self.p.headers:
            self.rets['Datetime'] = [*self._columns, *['cash'] * self.p.cash]
        for day, held, cash in self._rows:
            values = [0.0] * len(self._columns)
            for name, value in held.items():
                values[self._columns[name]] = value
            self.rets[day] = [*values, *[cash] * self.p.cash]
        self._rows.clear()


class Transactions(bt.analyzers.Transactions):
    """What was bought and sold on each bar, also in stocks that no registered feed shows.

    Backtrader's own looks through the names of the registered feeds on every bar. Params and layout are the
    same, ``[amount, price, sid, symbol, value]`` for each stock traded, a bar's fills of one stock taken
    together. ``sid`` is the number of the feed; the stocks of a `MarketFeed` follow the registered feeds in the
    order of their codes, so that they bear the numbers that `add_stocks` would give them.
    """

    def start(self) -> None:
        """Give every registered feed its number."""
        super().start()
        self._sids = {data._name: number for number, data in enumerate(self.strategy.datas)}
        self._first, first = {}, len(self.strategy.datas)  # market -> sid of its first stock
        for data in self.strategy.datas:
            if hasattr(data, 'stocks'):
                self._first[data] = first
                first += len(data.store)

    def stop(self) -> None:
        """Let go of the feeds: results may travel to another process."""
        del self._sids, self._first, self._idnames

    def notify_order(self, order: bt.Order) -> None:
        """Take the fills that an order's notification brings."""
        super().notify_order(order)
        data = order.data
        if data._name not in self._sids:
            self._sids[data._name] = self._first[data.market] + data.market.store.stock_number(data._name)

    def next(self) -> None:
        """Book what was traded on the bar."""
        traded = ((self._sids[name], name, position) for name, position in self._positions.items() if position.size)
        entries = [[p.size, p.price, sid, name, -p.size * p.price] for sid, name, p in sorted(traded, key=lambda t: t[0])]
        if entries:
            self.rets[self.strategy.datetime.datetime()] = entries
        self._positions.clear()


class PyFolio(bt.analyzers.PyFolio):
    """Returns, positions, transactions and gross leverage in the layouts that ``pyfolio`` reads.

    Backtrader's own only sees registered feeds, and its ``get_pf_items`` drops all positions but the last. Params
    and layout are the same, with the columns of `PositionsValue` and the numbers of `Transactions`.
    """

    def __init__(self) -> None:
        # not super().__init__(), which would make Backtrader's own children too
        self._returns = bt.analyzers.TimeReturn(timeframe=self.p.timeframe, compression=self.p.compression)
        self._positions = PositionsValue(headers=True, cash=True)
        self._transactions = Transactions(headers=True)
        self._gross_lev = bt.analyzers.GrossLeverage()

    def stop(self) -> None:
        """Gather the results, and let go of the children: they hold the strategy, which cannot leave its process."""
        super().stop()
        self._children.clear()
        del self._returns, self._positions, self._transactions, self._gross_lev

    def get_pf_items(self) -> tuple[pd.Series, pd.DataFrame, pd.DataFrame, pd.Series]:
        """Return what ``pyfolio.create_full_tear_sheet`` takes; all in UTC days.

        Returns
        -------
        returns : Series
            Return of each period, as a fraction.
        positions : DataFrame
            Yuan in each stock ever held, and ``cash``, at each close.
        transactions : DataFrame
            ``amount`` (shares, negative for a sale), ``price``, ``sid``, ``symbol``, ``value`` (yuan).
        gross_lev : Series
            Invested part of the account.
        """
        import pandas as pd

        (_, columns), *days = self.rets['positions'].items()
        positions = pd.DataFrame([values for _, values in days], _utc(day for day, _ in days), columns)
        (_, (columns,)), *days = self.rets['transactions'].items()
        entries = [(day, entry) for day, entries in days for entry in entries]
        transactions = pd.DataFrame([entry for _, entry in entries], _utc(day for day, _ in entries), columns)
        transactions.index.name = 'date'
        positions.index.name = 'Datetime'
        returns, gross_lev = (pd.Series(list(self.rets[name].values()), _utc(self.rets[name]), float, column)
                              for name, column in (('returns', 'return'), ('gross_lev', 'gross_lev')))
        returns.index.name = gross_lev.index.name = 'index'
        return returns, positions, transactions, gross_lev


class Figures(Blotter):
    """The figures of a run alone: what an optimizer's worker sends back instead of every order.

    ``get_analysis()`` is what `statistics.statistics` returns, those against the benchmark too.

    Params:

      - ``cash`` (default: ``None``): yuan before the first day; by default the broker's.
      - ``conventions`` (default: ``{}``): keyword arguments of `statistics.statistics`.
    """

    params = (('cash', None), ('conventions', {}))

    follows_holdings = False

    def start(self) -> None:
        """Begin with empty books; in a worker leave Ctrl-C to the parent, which ends its workers."""
        if multiprocessing.parent_process() is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        super().start()

    def stop(self) -> None:
        """Compute the figures and let go of the books."""
        super().stop()
        cash = self.strategy.broker.startingcash if self.p.cash is None else self.p.cash
        level = benchmark_of(self.strategy, self)[1]
        self._figures = self.summarize(statistics.statistics(self, cash, benchmark=level, **self.p.conventions), cash)
        self.fills, self.details, self.rejections, self.equity = [], [], [], []
        self.orders, self.unfilled, self.corporate_actions = [], [], []

    def summarize(self, figures: dict[str, Any], cash: float) -> dict[str, Any]:
        """Return what is kept of the run; hook, called while the books are still there.

        Parameters
        ----------
        figures : dict
            From `statistics.statistics`.
        cash : float
            Yuan before the first day.
        """
        return figures

    def get_analysis(self) -> dict[str, Any]:
        """Return the figures."""
        return self._figures


def use_ours(cerebro: bt.Cerebro) -> None:
    """Put our analyzers and observers in place of Backtrader's that would not see the stocks of a `MarketFeed`.

    Their names, params and layouts are the same. Subclasses of Backtrader's are left as they are.
    """
    if not any(hasattr(data, 'stocks') for data in cerebro.datas):
        return
    ours = {theirs: mine for mine in (PositionsValue, Transactions, PyFolio, Trades) for theirs in mine.__bases__}
    cerebro.analyzers[:] = [(ours.get(analyzer, analyzer), *rest) for analyzer, *rest in cerebro.analyzers]
    cerebro.observers[:] = [(multi, ours.get(observer, observer), *rest) for multi, observer, *rest in cerebro.observers]


def _utc(days: Iterable) -> pd.DatetimeIndex:
    import pandas as pd

    return pd.DatetimeIndex(pd.to_datetime(list(days)), tz='UTC')
