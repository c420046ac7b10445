"""The floor that a rotation stands on: the clock of the market's days, the stocks that are asked for, and orders."""

from __future__ import annotations

import math
from typing import Any

import backtrader as bt
import numpy as np

from ..exchange import rules
from ..exchange.bars import opening_price
from ..exchange.broker import AShareBroker
from ..exchange.commission import AShareCommission
from ..exchange.fills import affordable
from ..exchange.trades import update_trades
from ..feeds.universe import StockUniverse, Universe
from ..record.stock_charts import StockCharts
from .known import Known, placed

MANY = 20  # holdings whose values are asked for together


class MarketStrategy(bt.Strategy):
    """Calls `trade` once on every trading day of the market, and orders at the price that is known then.

    ``self.known`` tells what is known when a day's decisions are made, see `known.Known`.

    With cheat-on-open (see `bt_microcap.setup`) it decides and trades at the open, from the day before and
    what is known before the open. Under a plain ``Cerebro()`` it decides at the close of the day before and
    its orders fill at the next open: the same days, but today's ST and suspension stand in for tomorrow's,
    and sizes come from today's close.

    Day 0 is the second bar of the data, the first that has a day before it. At the open today is
    ``self.data.datetime.date(0)``: Backtrader moves the strategy's own ``self.datetime`` only after ``next_open``.
    """

    def __init__(self) -> None:
        self.universe = self.make_universe()
        self.known = Known(self)
        self._bars = 0  # bars whose decisions are made
        self._addanalyzer_slave(StockCharts)  # what cerebro.plot() draws; not among the user's own analyzers

    def start(self) -> None:
        """Refuse what would print wrong money."""
        if any(hasattr(data, 'universe') for data in self.datas) and not isinstance(self.broker, AShareBroker):
            raise ValueError(
                'a MarketFeed needs AShareBroker: on a day without a row its stocks have a bar, on which another broker would '
                'trade; use setup(cerebro), cerebro.setbroker(AShareBroker()), or one feed per stock (add_stocks)')
        if len(self.env.runningstrats) > 1:
            raise ValueError(
                f'found {len(self.env.runningstrats)} strategies in one Cerebro, which share one account: each would sell what '
                'the others hold; run one Cerebro a strategy, or cerebro.optstrategy')

    def make_universe(self) -> Universe:
        """Return what is asked for cross-sections and feeds; hook."""
        makers = [data.universe for data in self.datas if hasattr(data, 'universe')]
        if len(makers) > 1:
            raise ValueError(f'found {len(makers)} MarketFeeds in one Cerebro: expected one, with all stocks; make one store of '
                             'both')
        return makers[0]() if makers else StockUniverse(self.datas)

    def _addnotification(self, order: bt.Order, quicknotify: bool = False) -> None:
        # looked at here: a subclass with its own notify_order rarely calls the one of its base
        self.known.note_fills(order)
        if quicknotify or order.data._compensate is not None:
            super()._addnotification(order, quicknotify)
            return
        if not order.p.simulated:
            self._orderspending.append(order)
        if order.executed.size:
            update_trades(self, order)

    def clear(self) -> None:
        """Forget what was notified on the bar; Backtrader would keep all orders of a run, and looks at them nowhere."""
        self._orderspending, self._tradespending = [], []

    def getwriterinfo(self) -> dict[str, Any]:
        """Return what writers write; Backtrader also asks where there is none, and then every analyzer for all that it has."""
        return super().getwriterinfo() if self.env.runwriters else {}

    # -- when ---------------------------------------------------------------------------------------------

    @property
    def at_open(self) -> bool:
        """Whether decisions are made at the open (cheat-on-open), else at the close before."""
        return bool(self.cerebro.p.cheat_on_open)

    def next_open(self) -> None:
        """Decide at the open; Backtrader calls it only with cheat-on-open."""
        if not self._is_market_bar():
            return  # a bar of some other feed: on a day without trading, or at another time of the day
        day, self._bars = self._bars - 1, self._bars + 1  # the first bar only gives the day before
        if day >= 0:
            self._begin(day)

    def next(self) -> None:
        """Decide at the close for the next open, where there is no cheat-on-open."""
        if self.at_open:
            self.known.end_day()
        elif self._is_market_bar():
            day, self._bars = self._bars, self._bars + 1
            self.known.end_day()
            self._begin(day)

    def _begin(self, day: int) -> None:
        self.known.begin_day(day)
        self.trade(day)

    def _is_market_bar(self) -> bool:
        if isinstance(self.broker, AShareBroker):
            return self.broker.is_market_bar
        return self.known.move(max(data.datetime[0] for data in self.datas if len(data)))

    # A stock that is listed late keeps Backtrader in prenext until all feeds have bars: trade there too.
    def prenext_open(self) -> None:
        """Trade as in `next_open`."""
        self.next_open()

    def nextstart_open(self) -> None:
        """Trade as in `next_open`."""
        self.next_open()

    def prenext(self) -> None:
        """Trade as in `next`."""
        self.next()

    def trade(self, day: int) -> None:
        """Do the day's work; hook for what must happen every day.

        Parameters
        ----------
        day : int
            Trading days since day 0, the day on which the orders fill.
        """
        raise NotImplementedError

    # -- how much -----------------------------------------------------------------------------------------

    def size(self, data: Any, budget: float) -> int:
        """Return the shares to ask for with a budget; hook.

        `AShareBroker` cuts the order to legal lots, fees and cash when it fills. For a plain broker, which
        would refuse an order that it cannot pay, the size is cut here, at the price known now.

        Parameters
        ----------
        data : data feed
        budget : float
            Yuan.
        """
        price = self.price(data)
        if not price > 0:  # not listed yet, or no longer: let the broker say so
            return 1
        if isinstance(self.broker, AShareBroker):
            return max(1, math.floor(budget / price + 1e-9))  # less than one share: let the broker say so
        fees = self.broker.getcommissioninfo(data).getcommission
        return affordable(data._name, math.inf, price, budget, fees)

    def price(self, data: Any) -> float:
        """Return the price known when deciding, yuan: today's open at the open, else the close."""
        return opening_price(data) if self.cerebro.p.cheat_on_open else data.close[0]

    def value_of(self, data: Any) -> float:
        """Return what a holding is worth when deciding, yuan: at `price`, where it does not trade at its last close."""
        if isinstance(self.broker, AShareBroker):
            return self.broker.get_value([data])
        return self.broker.getposition(data).size * self.price(data)

    def values_of(self, datas: list[Any]) -> list[float]:
        """Return `value_of` some holdings; of many at the open by the section, which is quicker."""
        if len(datas) < MANY or not (self.at_open and isinstance(self.broker, AShareBroker)):
            return [self.value_of(data) for data in datas]
        section = self.known.section
        places, ours = placed(self.universe, section.codes, datas)
        if len(ours) < len(datas):  # a feed beside the market
            return [self.value_of(data) for data in datas]
        positions = list(map(self.broker.positions.__getitem__, datas))
        marks = list(map(self.broker.marks.get, datas))
        if None in marks:  # not marked yet: at its cost
            marks = [position.price if mark is None else mark for mark, position in zip(marks, positions, strict=True)]
        opens = section.today('open')[places]
        trades = (section.today('paused')[places] == 0) & (opens > 0)
        return (np.array([position.size for position in positions]) * np.where(trades, opens, marks)).tolist()

    # -- orders -------------------------------------------------------------------------------------------

    def order_target_value(self, data: Any = None, target: float = 0.0, price: float | None = None, **kwargs: Any) -> Any:
        """Order up or down to a value, yuan, as Backtrader's; at the open by today's open, not by the close to come.

        ``order_target_percent`` comes here too.
        """
        data = self.getdatabyname(data) if isinstance(data, str) else self.data if data is None else data
        return super().order_target_value(data, target, price=self.price(data) if price is None else price, **kwargs)

    def held(self) -> list[Any]:
        """Return the feeds with a position, in the order in which the positions were opened."""
        broker = self.broker
        if isinstance(broker, AShareBroker):
            return broker.held()
        return [data for data, position in broker.positions.items() if position.size]

    def sell_whole(self, data: Any, why: str, **info: Any) -> bt.Order | None:
        """Order the sale of a whole position at the open; `why` stands in orders.csv, `info` is noted in the order."""
        return self.close(data=data, price=self.price(data), whole=True, why=why, **info)

    def sell_at_close_if(self, code: str, condition: Any, why: str) -> bt.Order | None:
        """Order the sale of a whole position at today's close, where a condition holds then; needs `AShareBroker` at the open.

        Parameters
        ----------
        code : str
        condition : callable
            Called with the feed and its upper limit of the day, yuan, when today is known; where it says no the order is
            withdrawn.
        why : str
        """
        data = self.universe.feed(code)
        return self.close(data=data, exectype=bt.Order.Close, whole=True, only_if=condition, why=why)

    def sell_part(self, data: Any, value: float, why: str) -> None:
        """Order the sale of shares worth at most a value, yuan, in legal sizes; nothing below one of them."""
        price = self.price(data)
        if price > 0:
            position = self.broker.getposition(data).size
            size = rules.legal_sell(data._name, math.floor(value / price + 1e-9), position)
            if size:
                self.sell(data=data, size=size, price=price, why=why)

    def stuck(self, data: Any) -> bool:
        """Return whether a sale of a holding is bound to be refused, as far as is known when deciding at the close."""
        now = self.datetime[0] if not self.at_open else max(data.datetime[0] for data in self.datas if len(data))
        return int(data.datetime[0]) != int(now) or getattr(data, 'paused', (0,))[0] == 1 or not self.price(data) > 0

    def cash_after_sales(self, kept: list[Any]) -> float:
        """Return the cash for the buys, yuan; what queued sales will bring is estimated at the price known now."""
        cash = self.broker.getcash()
        if self._fills_now():
            return cash
        stay = {id(data) for data in kept}  # by identity: == of two feeds compares their closes
        for data in self.held():
            if id(data) not in stay:
                price, size = self.price(data), self.broker.getposition(data).size
                cash += size * price - self._sale_fees(data, size, price)
        return cash

    def _sale_fees(self, data: Any, size: int, price: float) -> float:
        comminfo = self.broker.getcommissioninfo(data)
        if isinstance(comminfo, AShareCommission):
            return comminfo.fees(-size, price, int(data.datetime[0]), data._name).total
        return comminfo.getcommission(-size, price)

    def _fills_now(self) -> bool:
        return isinstance(self.broker, AShareBroker) and self.broker.fills_at_open
