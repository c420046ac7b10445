"""The list of a day's orders: what the strategy asked for, as orders that a broker takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from backtrader.order import Order

from ..exchange import rules
from ..exchange.execution import BELOW_ONE_LOT, LIMIT_PRICES, NOT_HELD
from ..exchange.fills import affordable
from ..exchange.order_limits import parts_of
from ..feeds.errors import DataError
from .books import BUY, SELL, EventRow, FillRow
from .broker import JournalBroker
from .prices import limit_price

# What a row is to be given as.
AT_OPEN = 'open'  # before the open, or at it
RESTING = 'resting'  # a limit order that waits for its price during the day
WATCH = 'watch'  # no order yet: a price, or the close, decides


# What is noted of orders that wait.
A_LIMIT_ORDER = 'a limit order of the strategy, good for the day'
OUTSIDE = 'a limit order of the strategy, outside the limits of the day: the exchange does not take it'
AT_CLOSE, AT_CLOSE_IF = 'at the close', 'at the close, if its condition holds then'
REACHED = 'give it when the price has reached {price}'
MARGIN = 'margin'  # why a limit order is blocked that no cash is left for
NOT_ENOUGH = 'as much as the cash pays for at the limit prices'
AFTER_PARENT = 'give it when the order that it belongs to is filled'


class ListedOrder(NamedTuple):
    """One order to give: a row of orders.csv."""

    order_id: str  # the same whenever the same list is made
    date: date
    code: str
    name: str
    side: str  # BUY or SELL
    shares: int
    reference_price: float  # yuan: the last close, less what an ex-date takes off it
    low_limit: float  # yuan, of the day; NaN where there is none
    high_limit: float
    limit_price: float  # yuan: what to give
    expected_price: float  # yuan: what the profile's slippage makes of the reference price
    value: float  # shares x limit price, yuan: what is blocked, or at least comes in; of a replay at what was filled
    fees: float  # yuan, at the expected price
    cash_after: float  # yuan, after this and all rows above at their expected prices
    needs_sale: bool  # a buy whose money comes from a sale of the same list
    kind: str  # AT_OPEN, RESTING or WATCH
    why: str  # the strategy's reason
    note: str


class Blocked(NamedTuple):
    """What the strategy asked for, and cannot be done: a row of blocked.csv."""

    date: date
    code: str
    name: str
    side: str
    why: str
    reason: str


@dataclass
class OrderList:
    """Everything about the orders of a day.

    Parameters
    ----------
    day : date
    orders : list of ListedOrder
        Sales first, those that are given at the open before the others.
    blocked : list of Blocked
    cash : float
        Yuan before the first order.
    holdings : int
        Stocks held before it.
    published : bool
        Whether what is known of the day before its open was in the data; else the day before stands in for it.
    replay : bool
    fills, events : list
        Of a replay, what a backtest fills on the day, and what happens on it without an order.
    unfilled_on, unfilled : date or None, list of tuple
        The last day whose orders the journal has no fill of, where nothing was filled since; and these as (code, side).
    ex_dates : list of tuple
        (code, whether most likely new shares come that the list does not have) of holdings that go ex-rights on the day.
    without_fills : dict of str to int
        Days of earlier lists of which nothing is booked, with the number of their orders.
    facts : Facts or None
        What a file told of the day.
    unbooked : list of tuple
        (code, day) of ex-dates of holdings of which nothing is booked yet.
    days_left : int or None
        Trading days until the next rebalance, 0 on such a day; None where only the strategy knows.
    exact_days : bool
        Whether `days_left` is counted on the exchange's calendar; else on weekdays.
    unfit : str
        For what the data is not fit, as its source says.
    """

    day: date
    orders: list[ListedOrder]
    blocked: list[Blocked]
    cash: float
    holdings: int
    published: bool
    replay: bool
    fills: list[FillRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    unfilled_on: date | None = None
    unfilled: list[tuple[str, str]] = field(default_factory=list)
    unbooked: list[tuple[str, date]] = field(default_factory=list)
    ex_dates: list[tuple[str, bool]] = field(default_factory=list)
    without_fills: dict[str, int] = field(default_factory=dict)
    facts: Any = None
    days_left: int | None = None
    exact_days: bool = True
    unfit: str = ''

    def value(self) -> float:
        """Return what all orders are worth at their limit prices, yuan."""
        return math.fsum(order.value for order in self.orders if order.kind != WATCH)

    def value_of(self, side: str) -> float:
        """Return what the orders of a side are worth, without those that are only watched, yuan."""
        return math.fsum(order.value for order in self.orders if order.kind != WATCH and order.side == side)


@dataclass(frozen=True)
class Pricing:
    """How limit prices are chosen; see `prices.limit_price`."""

    choice: str
    away: float | None = None


def listed(broker: JournalBroker, day: date, names: dict[str, str], pricing: Pricing) -> tuple[list[ListedOrder], list[Blocked]]:
    """Return the orders of the list's day and what is blocked, after the run.

    Parameters
    ----------
    broker : JournalBroker
    day : date
    names : dict of str to str
        Code -> name, of those that are known.
    pricing : Pricing
    """
    making = _Making(broker, day, names, pricing)
    # sales first, those at the open before those that wait; each in the order of the strategy
    for order in sorted(broker.listed, key=lambda order: (order.isbuy(), not order.isbuy() and order.exectype != Order.Market)):
        making.add(order)
    return making.orders, making.blocked


class _Making:
    """Makes rows, one order after the other, and follows the money."""

    def __init__(self, broker: JournalBroker, day: date, names: dict[str, str], pricing: Pricing) -> None:
        self._broker, self._day, self._names, self._pricing = broker, day, names, pricing
        self.orders: list[ListedOrder] = []
        self.blocked: list[Blocked] = []
        # cash as it is expected; as it is blocked at limit prices; and without any sale
        self._cash = self._blocked_cash = self._there = broker.opening_cash
        self._sells = any(not order.isbuy() and order.exectype == Order.Market and order.executed.size for order in broker.listed)
        self._held = dict(broker.opening_shares)  # shares that may still be sold

    def add(self, order: Order) -> None:
        """Add what an order becomes."""
        data = order.data
        code, side = data._name, BUY if order.isbuy() else SELL
        why, reason = order.info.get('why') or '', order.info.get('reason') or ''
        filled = abs(int(order.executed.size))
        if order.exectype != Order.Market:
            self._add_waiting(order, code, side, why)
        elif not filled:
            self._block(code, side, why, reason or order.getstatusname().lower())
        else:
            self._add_filled(order, code, side, filled, why, reason)

    def _add_filled(self, order: Order, code: str, side: str, shares: int, why: str, reason: str) -> None:
        buy, broker = side == BUY, self._broker
        reference, low, high = self._prices(order)
        expected, limit = order.executed.price, self._limit(code, buy, reference, low, high, False)
        if buy and not broker.replay:
            budget = order.info.get('value')
            budget = self._blocked_cash if budget is None else min(budget, self._blocked_cash)
            fees = self._fees_of(order, code)
            cut = affordable(code, shares, max(limit, expected), budget, fees)
            if self._sells and self._there < cut * limit + fees(cut, limit):  # given when the sales are filled: in the session
                limit = self._limit(code, buy, reference, low, high, True)
                cut = affordable(code, shares, max(limit, expected), budget, fees)
            if not cut:
                self._block(code, side, why, BELOW_ONE_LOT)
                return
            if cut < shares and budget == self._blocked_cash and budget < shares * expected:
                reason = NOT_ENOUGH
            shares = cut
        # what it is expected to fill at lies on this side of what is given
        expected = expected if broker.replay else min(expected, limit) if buy else max(expected, limit)
        for number, part in enumerate(parts_of(code, shares, not buy), 1):
            self._add_row(order, code, side, part, number, (reference, low, high), limit, expected, AT_OPEN, why, reason)

    def _block(self, code: str, side: str, why: str, reason: str) -> None:
        self.blocked.append(Blocked(self._day, code, self._names.get(code, ''), side, why, reason))

    def _add_waiting(self, order: Order, code: str, side: str, why: str) -> None:
        """Add what waits for a price, or for the close."""
        reference, low, high = self._prices(order)
        before = sum(abs(int(bit.size)) for bit in order.executed.exbits if int(bit.dt) < self._day.toordinal())
        shares = abs(int(order.created.size)) - before  # what is left of it
        per_yuan = rules.steps(code)
        if order.exectype == Order.Limit:
            limit, kind, note = order.created.price, RESTING, A_LIMIT_ORDER
            if side == BUY:
                shares = rules.legal_buy(code, shares)
            if limit > high + rules.half_tick(code) or limit < low - rules.half_tick(code):
                kind, note = WATCH, OUTSIDE
        elif order.exectype == Order.Close:
            limit, kind, note = self._limit(code, side == BUY, reference, low, high, True), WATCH, AT_CLOSE
            if order.info.get('only_if') is not None:
                note = AT_CLOSE_IF
        else:
            name = LIMIT_PRICES.get(order.exectype, ('price',))[0]  # what a stop becomes when its price is reached
            limit, kind = rules.round_half_up(getattr(order.created, name), per_yuan), WATCH
            note = REACHED.format(price=f'{order.created.price:g}')
        parent = order.parent
        if parent is not None and any(parent is each for each in self._broker.listed):
            kind, note = WATCH, AFTER_PARENT
        if side == SELL and kind == RESTING:
            shares = rules.legal_sell(code, shares, self._held.get(code, 0)) if self._held.get(code, 0) else 0
            if not shares:
                self._block(code, side, why, NOT_HELD)
                return
        if side == BUY and kind == RESTING:  # a broker blocks its money for the day
            fees = self._fees_of(order, code)
            cut = affordable(code, shares, limit, max(0.0, self._blocked_cash), fees)
            if cut < shares:
                note = NOT_ENOUGH
            if not cut:
                self._block(code, side, why, MARGIN)
                return
            shares = cut
        for number, part in enumerate(parts_of(code, shares, side == SELL) if shares else (), 1):
            self._add_row(order, code, side, part, number, (reference, low, high), limit, limit, kind, why, note)

    def _add_row(self, order: Order, code: str, side: str, shares: int, part: int, known: tuple[float, float, float],
                 limit: float, expected: float, kind: str, why: str, note: str) -> None:
        fees = self._fees(order, code, shares if side == BUY else -shares, expected)
        needs = False
        paid = expected if self._broker.replay else limit  # what is blocked for a buy until it is filled
        if side == SELL and kind != WATCH:
            self._held[code] = self._held.get(code, 0) - shares
        if kind == RESTING and side == BUY:
            self._there -= shares * paid + fees
            self._blocked_cash -= shares * paid + fees
        if kind == AT_OPEN:
            if side == BUY:
                needs = self._sells and self._there < shares * paid + fees
                self._there -= shares * paid + fees
                self._blocked_cash -= shares * paid + fees
                self._cash -= shares * expected + fees
            else:
                self._cash += shares * expected - fees
                self._blocked_cash += shares * expected - fees
        own = self._broker.id_of(order) + (f'p{part}' if part > 1 else '')
        self.orders.append(ListedOrder(
            own, self._day, code, self._names.get(code, ''), side, shares, *known, round(limit, 6), expected,
            round(shares * paid, 6), round(fees, 6), round(self._cash, 6), needs, kind, why, note))

    def _limit(self, code: str, buy: bool, reference: float, low: float, high: float, in_session: bool) -> float:
        return limit_price(code, self._day.toordinal(), buy, reference, low, high, self._pricing.choice, self._pricing.away,
                           in_session)

    def _prices(self, order: Order) -> tuple[float, float, float]:
        """Return the reference price and the day's limits."""
        broker, data = self._broker, order.data
        low, high = broker._limits(data)
        if broker.coming is not None:
            return float(broker.coming.reference[data._number]), low, high
        preclose = float(data.preclose[0]) if len(data) else math.nan
        return preclose if preclose > 0 else float(data.close[-1]) if len(data) > 1 else math.nan, low, high

    def _fees_of(self, order: Order, code: str) -> Callable[[int, float], float]:
        return lambda size, at: self._fees(order, code, size, at)

    def _fees(self, order: Order, code: str, size: int, price: float) -> float:
        comminfo = self._broker.getcommissioninfo(order.data)
        if hasattr(comminfo, 'fees'):
            return comminfo.fees(size, price, self._day.toordinal(), code).total
        return comminfo.getcommission(size, price)


def check_size(made: OrderList, max_value: float | None, max_orders: int | None) -> None:
    """Refuse a list that is larger than its user allows.

    Raises
    ------
    DataError
        It is.
    """
    if max_value is not None and made.value() > max_value:
        raise DataError(f'the orders of {made.day} are worth {made.value():,.2f} yuan at their limit prices, --max-order-value '
                        f'allows {max_value:,.2f}; nothing is written')
    if max_orders is not None and len(made.orders) > max_orders:
        raise DataError(f'{made.day} has {len(made.orders)} orders, --max-orders allows {max_orders}; nothing is written')


def as_issued(orders: Sequence[ListedOrder]) -> list[dict[str, Any]]:
    """Return what an account keeps of a list, to know its fills by."""
    return [{'order_id': order.order_id, 'date': order.date.isoformat(), 'code': order.code, 'side': order.side,
             'shares': order.shares, 'limit_price': order.limit_price, 'reference_price': order.reference_price}
            for order in orders]
