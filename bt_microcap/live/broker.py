"""A broker whose past is an account's journal: it fills what was filled, and on the day of the list what a backtest would."""

from __future__ import annotations

from datetime import date
from typing import Any

from backtrader.order import Order

from ..exchange import rules
from ..exchange.commission import Fees
from ..exchange.execution import LIMIT_PRICES, WITHDRAWN
from ..exchange.orders import BuyOrder, SellOrder
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
    the rules of `AShareBroker` say what can be filled.

    Attributes
    ----------
    listed : list of Order
        Given for the list's day, those that wait among them.
    """

    def init(self) -> None:
        """Start with cash and nothing else; called by Cerebro before a run."""
        super().init()
        self.listed: list[Order] = []
        self._left: dict[tuple[str, str], list[FillRow]] = {}  # fills of the day that no order has had yet
        self._ids: dict[int, str] = {}  # reference of an order -> its id on the day

    def start_run(self) -> None:
        """Sort the journal by days; the opening calls it."""
        super().start_run()
        self._fills: dict[int, list[FillRow]] = {}
        for row in self.account.fills:
            self._fills.setdefault(row.datetime.toordinal(), []).append(row)

    def _settle_delisted(self) -> None:
        self._left, self._ids = {}, {}
        for row in self._fills.get(self.day, ()):
            self._left.setdefault((row.code, row.side), []).append(row)
        super()._settle_delisted()

    # -- orders ---------------------------------------------------------------------------------------------

    def id_of(self, order: Order) -> str:
        """Return the id of an order on the current day: the day, the side, the code, and a number from the second one on."""
        if order.ref not in self._ids:
            stem = order_stem(date.fromordinal(self.day), order.data._name, BUY if order.isbuy() else SELL)
            number = 1 + sum(name.partition('-')[0] == stem for name in self._ids.values())
            self._ids[order.ref] = stem if number == 1 else f'{stem}-{number}'
        return self._ids[order.ref]

    def transmit(self, order: Order, check: bool = True) -> Order:
        """Take an order; one for the list's day is noted."""
        if self.fills_at_open:
            self._see(order)
        return super().transmit(order, check)

    def _refuse_unlisted(self, *args: Any) -> Order:
        order = super()._refuse_unlisted(*args)
        self._see(order)
        return order

    def _see(self, order: Order) -> None:
        """Give an order its id of the day, and note it on the list's."""
        self.id_of(order)
        if self.day == self.list_day and not any(order is each for each in self.listed):
            self.listed.append(order)

    def _try_exec(self, order: Order) -> None:
        if self._open:  # else it is given at the close
            self._see(order)
        if self.day >= self.list_day:
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
        """Return fills of the day that are an order's, and take them off the journal's; nothing where there are none.

        Those of a replay are known by their id. Of others those at prices that the order allows, until it has what it asked for.
        """
        key = order.data._name, BUY if order.isbuy() else SELL
        rows, own = self._left.get(key, []), self.id_of(order)
        taken = [row for row in rows if row.order_id == own]
        if not taken:
            asked = abs(int(order.executed.remsize))
            if order.info.get('whole'):
                asked = self.getposition(order.data).size
            for row in rows:
                if not _is_ours(row) and _may_be_of(order, row) and sum(each.quantity for each in taken) < asked:
                    taken.append(row)
        self._left[key] = [row for row in rows if not any(row is each for each in taken)]
        return taken

    def _fill_from(self, order: Order, rows: list[FillRow]) -> None:
        """Fill an order by rows of the journal; what it lacks waits on, or is cancelled."""
        filled = sum(row.quantity for row in rows)
        whole = max(filled, self._could_fill(order, rows))
        at_once = order.exectype in AT_ONCE
        if at_once and not all(map(_is_ours, rows)) and filled >= NEARLY * whole:
            whole = filled
        self._resize(order, whole)
        for row in rows:
            order.info['open'] = row.open if row.open == row.open else row.price
            if row.side == SELL and self.tax_lots is not None:
                self.tax_lots.sell(order.data, self.day, row.quantity)
            self._fill(order, row.quantity, row.price, Fees(row.commission, row.tax, row.transfer_fee))
        if filled < whole and at_once:
            self._cancel_rest(order, NOT_FILLED)
        elif filled < whole:
            self._resize_sibling(order)

    def _could_fill(self, order: Order, rows: list[FillRow]) -> int:
        """Return the legal size that an order could have had, by what it asked for and what there was."""
        if not order.isbuy():
            return self._sell_size(order)
        price = rows[0].open if rows[0].open > 0 else rows[0].price
        return self._buy_size(order, price, rows[0].price)

    def next(self) -> None:
        """Fill what is pending, book what nobody ordered, and value the account; called by Cerebro once a bar."""
        super().next()
        if not self.is_market_bar or self.day >= self.list_day or not any(self._left.values()):
            return
        for order in list(self.pending):  # the day's bar did not reach its price, but the journal has a fill
            if order.alive() and order.active() and order.exectype not in AT_ONCE and (rows := self._take(order)):
                self.pending.remove(order)  # first: what is filled takes its own kind off the pending
                self._fill_from(order, rows)
                if order.alive():
                    self.pending.append(order)
                else:
                    self._end(order)
        for (code, side), rows in sorted(self._left.items(), key=lambda each: each[0][1] == BUY):  # sales first
            if rows:
                data = self.cerebro.datasbyname[code]
                if side == SELL and self.tax_lots is not None:
                    self.tax_lots.sell(data, self.day, sum(row.quantity for row in rows))
                self._book_order(BuyOrder if side == BUY else SellOrder, data, [
                    (row.quantity, row.price, Fees(row.commission, row.tax, row.transfer_fee)) for row in rows])
        self._left = {}
        self._get_value()


def _may_be_of(order: Order, row: FillRow) -> bool:
    """Return whether a fill may be that of an order: its limit price allows it."""
    names = LIMIT_PRICES.get(order.exectype)
    if not names:
        return True
    limit, half = getattr(order.created, names[0]), rules.half_tick(order.data._name)
    return row.price <= limit + half if order.isbuy() else row.price >= limit - half


def _is_ours(row: FillRow) -> bool:
    """Return whether a fill is that of a replay, which a backtest would have made."""
    return row.order_id.startswith(order_stem(row.datetime, row.code, row.side))
