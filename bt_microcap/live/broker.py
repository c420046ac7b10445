"""A broker whose past is an account's journal: it fills what was filled, and on the day of the list what a backtest would."""

from __future__ import annotations

from collections import deque
from datetime import date
from typing import Any

from backtrader.order import BuyOrder, Order, SellOrder

from ..exchange import corporate_actions, rules
from ..exchange.account import CONSOLIDATED, DELISTED
from ..exchange.broker import AShareBroker
from ..exchange.commission import NO_FEES, Fees
from ..exchange.corporate_actions import ExRights
from ..exchange.execution import LIMIT_PRICES, WITHDRAWN
from .account import Account
from .books import BUY, CASH, OF_CASH, SELL, EventRow, FillRow, order_stem

NOT_FILLED = 'not filled'  # why an order of a past day is refused: the journal has no fill of it
LATE = 90  # days within which what comes of an ex-date is booked
NOT_ORDERED = 'not ordered'  # of a fill that the strategy did not order


class JournalBroker(AShareBroker):
    """Runs a strategy over the days of an account, so that it remembers what it would remember.

    On every day before the list's, an order of the strategy is filled by the journal's fills of its code and side on that day,
    be they more or fewer than it asked for, and refused where there are none. What was filled without an order is booked at the
    end of the day; what happened without one, before the open. On the day of the list the rules of `AShareBroker` say what can
    be
    filled, and ``listed`` has the orders.

    Attributes
    ----------
    account : Account
    list_day : int
        Ordinal of the day for which orders are made.
    replay : bool
        Whether that day is over, and the data knows it: corporate actions then happen as in a backtest. Else the account is
        restated for an ex-date by what is published, and cash that is not there yet does not come in.
    coming : ComingDay, optional
        What is known of the day, where it is not over.
    listed : list of Order
        Given for the list's day, those that wait among them.
    happened : list of EventRow
        What happened on the list's day without an order.
    books_ex_rights : bool
        Whether ex-dates of holdings that the account knows nothing of are booked where the data says what came of them; else the
        cost is restated, and what comes in waits for its row.
    unbooked : list of EventRow
        These ex-dates, as a backtest would book them.
    """

    account: Account
    list_day = 0
    replay = False
    books_ex_rights = False
    coming: Any = None

    def init(self) -> None:
        """Start with cash and nothing else; called by Cerebro before a run."""
        super().init()
        self.listed: list[Order] = []
        self.opening_cash, self.opening_holdings = self.cash, 0  # before the list's orders
        self.happened: list[EventRow] = []
        self.unbooked: list[EventRow] = []
        self._placed = False
        self._late: dict[str, int] = {}  # code -> ordinal of an ex-date of which nothing was booked on the day
        self._waiting: dict[tuple[str, str], deque[list[FillRow]]] = {}

    def start_run(self) -> None:
        """Sort the journal by days; the opening calls it."""
        super().start_run()
        self._fills: dict[int, list[FillRow]] = {}
        for row in self.account.fills:
            self._fills.setdefault(row.datetime.toordinal(), []).append(row)
        self._events: dict[int, list[EventRow]] = {}
        for event in self.account.events:
            self._events.setdefault(event.date.toordinal(), []).append(event)

    # -- without an order -----------------------------------------------------------------------------------

    def _settle_delisted(self) -> None:
        """Book what the account has of the day; the day of a replay is the backtest's."""
        if not self._placed and self.day >= self.account.begun.toordinal():
            self._placed = True
            for each in self.account.holdings:
                self._place(each.code, each.shares, each.cost, each.bought)
            if self.account.holdings:  # as a fund the account begins with what it holds, too
                held = sum(position.size * self.marks[data] for data, position in self.positions.items())
                self._fundshares = (self.cash + held) / self.p.fundstartval
        self._waiting = _grouped(self._fills.get(self.day, ()))
        for event in self._events.get(self.day, ()):
            self._book_event(event)
        if self.day == self.list_day and self.replay:
            super()._settle_delisted()

    def _place(self, code: str, shares: int, cost: float, bought: date | None) -> None:
        """Put what was held at the start into the account, as a purchase that costs nothing now."""
        data, cash = self.cerebro.datasbyname[code], self.cash
        self._book_order(BuyOrder, data, [(shares, cost, NO_FEES)])
        self.cash = cash
        self._bought.pop(data, None)  # it may be sold today
        self.marks[data] = data.close[-1]
        if self.tax_lots is not None:
            self.tax_lots.forget(data)
            before = self.calendar.previous(self.day)
            self.tax_lots.buy(data, before if bought is None else min(bought.toordinal(), before), shares)

    def _book_event(self, event: EventRow) -> None:
        if event.action in OF_CASH:
            self.cash += event.cash
            if event.action == CASH:  # no return: as many shares of the fund more
                self._fundshares += event.cash / (self._fundval or self.p.fundstartval)
                self.cash_flows.append((self.day, event.cash))
            return
        data = self.cerebro.datasbyname[event.code]
        if not event.shares_after:
            self._book_out(data, event.dividend or event.cash / event.shares_before, event.action)
            return
        if self.tax_lots is not None and event.dividend and not rules.is_fund(event.code):
            self.tax_lots.dividend(data, self.day, event.dividend)
        cost = self.positions[data].price
        self._restate(data, ExRights(event.action, event.shares_after, event.cash, event.ratio, event.dividend))
        if self.day - self._late.get(event.code, 0) <= LATE:
            self.positions[data].price = self.positions[data].price_orig = cost

    def _apply_ex_rights(self) -> None:
        """Apply the ex-rights of the list's day; those of earlier days are booked, or missing."""
        if self.p.ex_rights != 'off':
            self._look_at_ex_rights()
        if self.day == self.list_day:
            self.opening_cash, self.opening_holdings = self.cash, len(self.positions)

    def _look_at_ex_rights(self) -> None:
        booked = {event.code for event in self._events.get(self.day, ())}
        if self.day == self.list_day and self.replay:
            super()._apply_ex_rights()
            return
        for data in list(self.positions):
            if data._name in booked or data not in self.marks:
                continue
            if self.day == self.list_day:
                self._restate_for_list(data)
            elif (happened := self._ex_rights(data, self.positions[data].size, self.marks[data])) is not None:
                row = self._row_of(data, happened)
                self.unbooked.append(row)
                if self.books_ex_rights and row.action != 'reinvest':
                    self._book_event(row)
                elif row.shares_after:  # what came of it is booked later: the cost, by which stops go, falls now
                    position = self.positions[data]
                    position.price = position.price_orig = (row.shares_before * position.price - row.cash) / row.shares_after
                    self._late[row.code] = self.day
        self._restate_orders()

    def _restate_for_list(self, data: Any) -> None:
        """Restate a holding for an ex-date of the day to come: its cost, and the new shares that are published, but no cash."""
        position, last_close, cash = self.positions[data], self.marks[data], self.cash
        dividend, ratio, preclose = (float(self.coming.facts[name][data._number]) for name in ('cash_dividend', 'share_ratio',
                                                                                               'preclose'))
        told = corporate_actions.ex_rights(position.size, last_close, preclose, 0.0, dividend, ratio, rules.half_tick(data._name))
        if told is None:
            return
        if told.action == 'dividend' and told.shares:
            self._restate(data, told)
            self.cash = cash
        else:  # the reference price alone does not say what comes in as shares, and what as cash
            position.price = position.price_orig = position.price * preclose / last_close
        self.marks[data] = preclose

    def _restate(self, data: Any, happened: ExRights) -> None:
        """Restate a position, and note it on the list's day."""
        if self.day == self.list_day:
            self.happened.append(self._row_of(data, happened))
        super()._restate(data, happened)

    def _row_of(self, data: Any, happened: ExRights) -> EventRow:
        """Return a corporate action of the day as the account books it."""
        held, cash, shares = self.positions[data].size, happened.cash, happened.shares
        return EventRow(date.fromordinal(self.day), data._name, happened.action if shares else CONSOLIDATED, held, shares, cash,
                        happened.ratio, happened.dividend if shares else cash / held)

    def _book_out(self, data: Any, price: float, reason: str) -> None:
        """Turn a position into cash, and note it on the list's day; a consolidation is noted already."""
        size = self.positions[data].size
        if self.day == self.list_day and reason == DELISTED:
            self.happened.append(EventRow(date.fromordinal(self.day), data._name, reason, size, 0, size * price, 0.0, price))
        super()._book_out(data, price, reason)

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
            return
        groups = self._waiting.get((order.data._name, BUY if order.isbuy() else SELL), ())
        mine = next((group for group in groups if _may_be_of(order, group)), None)
        if mine is not None:
            groups.remove(mine)
            self._fill_from(order, mine)
        elif order.exectype not in (Order.Market, Order.Close):
            return  # it waits
        elif order.info.get('only_if') is not None:
            order.addinfo(withdrawn=WITHDRAWN)
            order.cancel()
            self.notify(order)
            self._ococheck(order)
        else:
            self._refuse(order, NOT_FILLED)

    def _fill_from(self, order: Order, rows: list[FillRow]) -> None:
        """Fill an order by rows of the journal: what it lacks of a sale is cancelled."""
        filled = sum(row.quantity for row in rows)
        whole = filled
        if not order.isbuy():
            position = self.getposition(order.data).size
            asked = position if order.info.get('whole') else abs(int(order.executed.remsize))
            whole = max(filled, min(asked, position))
        self._resize(order, whole)
        for row in rows:
            order.info['open'] = row.open if row.open == row.open else row.price
            if row.side == SELL and self.tax_lots is not None:
                self.tax_lots.sell(order.data, self.day, row.quantity)
            self._fill(order, row.quantity, row.price, Fees(row.commission, row.tax, row.transfer_fee))
        if filled < whole:
            self._cancel_rest(order, NOT_FILLED)

    def next(self) -> None:
        """Fill what is pending, book what nobody ordered, and value the account; called by Cerebro once a bar."""
        super().next()
        if not self.is_market_bar or self.day >= self.list_day:
            return
        left = [(key, group) for key, groups in self._waiting.items() for group in groups]
        for (code, side), group in sorted(left, key=lambda each: each[0][1] == BUY):  # sales first
            data = self.cerebro.datasbyname[code]
            if side == SELL and self.tax_lots is not None:
                self.tax_lots.sell(data, self.day, sum(row.quantity for row in group))
            self._book_order(BuyOrder if side == BUY else SellOrder, data, [
                (row.quantity, row.price, Fees(row.commission, row.tax, row.transfer_fee)) for row in group])
        self._waiting = {}
        if left:
            self._get_value()

    def _book_order(self, kind: type[Order], data: Any, fills: list[tuple[int, float, Fees]]) -> None:
        """Book fills that no strategy ordered as an order of its."""
        size = sum(each[0] for each in fills)
        order = kind(owner=self.cerebro.runningstrats[0], data=data, size=size, simulated=True)
        order.p.simulated = False  # a simulated order is not told to the strategy
        order.addinfo(wanted=size, day=self.day, at_open=False, reason=NOT_ORDERED)
        self._ocoize(order, None)
        order.submit(self)
        order.accept(self)
        for shares, price, fees in fills:
            self._fill(order, shares, price, fees)


def _may_be_of(order: Order, rows: list[FillRow]) -> bool:
    """Return whether fills may be those of an order: its limit price allows them."""
    names = LIMIT_PRICES.get(order.exectype)
    if not names:
        return True
    limit, half = getattr(order.created, names[0]), rules.half_tick(order.data._name)
    return all(row.price <= limit + half if order.isbuy() else row.price >= limit - half for row in rows)


def _grouped(rows: Any) -> dict[tuple[str, str], deque[list[FillRow]]]:
    """Return a day's fills by code and side; of each those of one of our orders together, in the order of the journal.

    What the broker's own numbers tell apart is one order of the strategy's all the same.
    """
    found: dict[tuple[str, str], dict[str, list[FillRow]]] = {}
    for row in rows:
        ours = row.order_id if row.order_id.startswith(order_stem(row.datetime, row.code, row.side)) else ''
        found.setdefault((row.code, row.side), {}).setdefault(ours, []).append(row)
    return {key: deque(groups.values()) for key, groups in found.items()}
