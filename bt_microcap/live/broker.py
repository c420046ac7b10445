"""A broker whose past is an account's journal: it fills what was filled, and on the day of the list what a backtest would."""

from __future__ import annotations

from collections import deque
from typing import Any

from backtrader.order import BuyOrder, Order, SellOrder

from ..exchange import rules
from ..exchange.commission import Fees
from ..exchange.execution import LIMIT_PRICES, WITHDRAWN
from .books import BUY, SELL, FillRow, order_stem
from .past import PastBroker

NOT_FILLED = 'not filled'  # why an order of a past day is refused: the journal has no fill of it
NEARLY = 0.9  # of what an order could have had: a real fill of so much is all that was ordered, at a limit price
AT_ONCE = (Order.Market, Order.Close)


class JournalBroker(PastBroker):
    """Runs a strategy over the days of an account, so that it remembers what it would remember.

    On every day before the list's, an order of the strategy is filled by the journal's fills of its code and side on that day,
    be they more or fewer than it asked for, and refused where there are none; an order that waits goes on waiting. What was
    filled without an order is booked at the end of the day; what happened without one, before the open. On the day of the list
    the rules
    of `AShareBroker` say what can be filled.

    Attributes
    ----------
    listed : list of Order
        Given for the list's day, those that wait among them.
    """

    def init(self) -> None:
        """Start with cash and nothing else; called by Cerebro before a run."""
        super().init()
        self.listed: list[Order] = []
        self._waiting: dict[tuple[str, str], deque[list[FillRow]]] = {}

    def start_run(self) -> None:
        """Sort the journal by days; the opening calls it."""
        super().start_run()
        self._fills: dict[int, list[FillRow]] = {}
        for row in self.account.fills:
            self._fills.setdefault(row.datetime.toordinal(), []).append(row)

    def _settle_delisted(self) -> None:
        self._waiting = _grouped(self._fills.get(self.day, ()))
        super()._settle_delisted()

    # -- orders ---------------------------------------------------------------------------------------------

    def transmit(self, order: Order, check: bool = True) -> Order:
        """Take an order; one for the list's day is noted."""
        if self.day == self.list_day and self.fills_at_open:
            self.listed.append(order)
        return super().transmit(order, check)

    def _refuse_unlisted(self, kind: type[Order], args: tuple, kwargs: dict[str, Any]) -> Order:
        order = super()._refuse_unlisted(kind, args, kwargs)
        if self.day == self.list_day:
            self.listed.append(order)
        return order

    def _try_exec(self, order: Order) -> None:
        if self.day >= self.list_day:
            if self._open and not any(order is each for each in self.listed):  # given on an earlier day
                self.listed.append(order)
            super()._try_exec(order)
        elif order.exectype not in AT_ONCE:
            super()._try_exec(order)  # a stop trails, or is triggered; what reaches its price comes back in _execute
        elif rows := self._take(order):
            self._fill_from(order, rows)
        elif order.info.get('only_if') is not None:
            order.addinfo(withdrawn=WITHDRAWN)
            order.cancel()
            self.notify(order)
            self._ococheck(order)
        else:
            self._refuse(order, NOT_FILLED)

    def _execute(
        self, order: Order, ago: int | None = None, price: float | None = None, cash: Any = None,
        position: Any = None, dtcoc: Any = None,
    ) -> None:
        """Fill an order that waited, when its price is reached; on past days only where the journal has it."""
        if self.day >= self.list_day:
            super()._execute(order, ago, price, cash, position, dtcoc)
        elif ago is not None and price is not None and (rows := self._take(order)):
            self._fill_from(order, rows)

    def _take(self, order: Order) -> list[FillRow]:
        """Return fills of the day that may be an order's, and take them off the journal's; nothing where there are none."""
        groups = self._waiting.get((order.data._name, BUY if order.isbuy() else SELL), ())
        mine = next((group for group in groups if _may_be_of(order, group)), [])
        if mine:
            groups.remove(mine)
        return mine

    def _fill_from(self, order: Order, rows: list[FillRow]) -> None:
        """Fill an order by rows of the journal; what it lacks waits on, or is cancelled."""
        filled = sum(row.quantity for row in rows)
        whole = max(filled, self._could_fill(order, rows))
        at_once = order.exectype in AT_ONCE
        if at_once and not _is_ours(rows) and filled >= NEARLY * whole:
            whole = filled
        self._resize(order, whole)
        for row in rows:
            order.info['open'] = row.open if row.open == row.open else row.price
            if row.side == SELL and self.tax_lots is not None:
                self.tax_lots.sell(order.data, self.day, row.quantity)
            self._fill(order, row.quantity, row.price, Fees(row.commission, row.tax, row.transfer_fee))
        if filled < whole and at_once:
            self._cancel_rest(order, NOT_FILLED)
        elif filled < whole and order.parent is not None:  # the other child of a bracket is for what is left, too
            for other in self._pchildren.get(order.parent.ref, ()):
                if other is not order and other.alive():
                    self._resize(other, abs(int(order.executed.remsize)))

    def _could_fill(self, order: Order, rows: list[FillRow]) -> int:
        """Return the legal size that an order could have had, by what it asked for and what there was."""
        if not order.isbuy():
            return self._sell_size(order)
        price = rows[0].open if rows[0].open > 0 else rows[0].price
        return self._buy_size(order, price, rows[0].price)

    def next(self) -> None:
        """Fill what is pending, book what nobody ordered, and value the account; called by Cerebro once a bar."""
        super().next()
        if not self.is_market_bar or self.day >= self.list_day or not any(self._waiting.values()):
            return
        for order in list(self.pending):  # the day's bar did not reach its price, but the journal has a fill
            if order.alive() and order.active() and order.exectype not in AT_ONCE and (rows := self._take(order)):
                self.pending.remove(order)  # first: what is filled takes its own kind off the pending
                self._fill_from(order, rows)
                if order.alive():
                    self.pending.append(order)
                else:
                    self._end(order)
        left = [(key, group) for key, groups in self._waiting.items() for group in groups]
        for (code, side), group in sorted(left, key=lambda each: each[0][1] == BUY):  # sales first
            data = self.cerebro.datasbyname[code]
            if side == SELL and self.tax_lots is not None:
                self.tax_lots.sell(data, self.day, sum(row.quantity for row in group))
            self._book_order(BuyOrder if side == BUY else SellOrder, data, [
                (row.quantity, row.price, Fees(row.commission, row.tax, row.transfer_fee)) for row in group])
        self._waiting = {}
        self._get_value()


def _may_be_of(order: Order, rows: list[FillRow]) -> bool:
    """Return whether fills may be those of an order: its limit price allows them."""
    names = LIMIT_PRICES.get(order.exectype)
    if not names:
        return True
    limit, half = getattr(order.created, names[0]), rules.half_tick(order.data._name)
    return all(row.price <= limit + half if order.isbuy() else row.price >= limit - half for row in rows)


def _is_ours(rows: list[FillRow]) -> bool:
    """Return whether fills are those of a replay, which a backtest would have made."""
    return all(row.order_id.startswith(order_stem(row.datetime, row.code, row.side)) for row in rows)


def _grouped(rows: Any) -> dict[tuple[str, str], deque[list[FillRow]]]:
    """Return a day's fills by code and side; of each those of one of our orders together, in the order of the journal.

    What the broker's own numbers tell apart is one order of the strategy's all the same.
    """
    found: dict[tuple[str, str], dict[str, list[FillRow]]] = {}
    for row in rows:
        ours = row.order_id if _is_ours([row]) else ''
        found.setdefault((row.code, row.side), {}).setdefault(ours, []).append(row)
    return {key: deque(groups.values()) for key, groups in found.items()}
