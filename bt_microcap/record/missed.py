"""What refused and cut orders cost, against filling at that open: the rows of missed.csv."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from ..exchange.corporate_actions import delisting_price
from ..exchange.execution import NOT_HELD, SUSPENDED, WITHDRAWN
from ..feeds.series import ACTIONS, adjustment_of, rows_of
from .rows import Unfilled

REBALANCE = 'rebalance'
# refused whatever the open was: there is nothing that it could have brought
WITHOUT_A_PRICE = (SUSPENDED, NOT_HELD)


class Missed(NamedTuple):
    """An order, or the part of one, that was refused: a row of missed.csv."""

    date: date  # on which it was refused
    code: str
    side: str
    reason: str
    shares: int  # that were not traded, though cash or holding were there
    open: float  # yuan: the price that it met, the day's open; the close where it was to fill there
    until: date  # the day on which it was decided anew, or the last day of the run
    price: float  # yuan: the open of that day (the last close where the run or the stock ends), restated to the shares of `date`
    cost: float  # yuan: shares x (price - open) of a buy, shares x (open - price) of a sale; negative: it was lucky


def missed(
    orders: Sequence[Any], rejections: Sequence[Any], days: Sequence[date], feeds: Mapping[str, Any],
    unfilled: Sequence[Unfilled], decided: Collection[date] = (), delist: str | float = 'last_close',
) -> list[Missed]:
    """Return what each refused or cut order would have brought, filled at the price that it met without costs.

    An order is followed to the open of the day on which it was decided anew: of the next order for the same stock, or of the next
    rebalance, whichever is first. Where there is no rebalance, every day with an order is such a day. Prices of that day are
    restated for ex-rights in between; a stock that has ended by then counts as the broker books it out. What stays cash
    meanwhile earns nothing, as in the run. Orders that are decided at a close meet the open of the next trading day: it is both
    where they were refused, and where they are decided anew.

    Parameters
    ----------
    orders : sequence of OrderRecord
    rejections : sequence of Rejection
        Of the same run: the days on which the orders were refused.
    days : sequence of date
        Of the run, ascending.
    feeds : mapping of str to data feed
        Of the stocks, by code.
    unfilled : sequence of Unfilled
        One for each of the orders.
    decided : collection of date
        Days of rebalances, also of those that gave no order.
    delist : str or float
        What a delisted stock is worth, the broker's param.

    Returns
    -------
    list of Missed
        In the order of the orders. Left out are those for a suspended stock, or one that is not held: there was nothing to fill;
        and those whose open is not known. An order that a condition withdrew was not refused.
    """
    decisions = sorted({*decided, *(order.date for order in orders if order.why == REBALANCE)}
                       or {order.date for order in orders})
    tries: dict[str, list[date]] = {}
    for order in sorted(orders, key=lambda order: order.date):  # they are in the order in which they ended
        tries.setdefault(order.code, []).append(order.date)
    refused: dict[tuple[str, str, str], deque[date]] = {}
    for rejection in rejections:
        refused.setdefault((rejection.code, rejection.side, rejection.reason), deque()).append(rejection.date)
    rows: dict[str, tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]] = {}
    found = []
    for order, left in zip(orders, unfilled, strict=True):
        shares = left.shares
        told = refused.get((order.code, order.side, order.reason))
        day = told.popleft() if told else order.date  # also of those that are left out: the days go in pairs with the orders
        if order.reason in ('', WITHDRAWN, *WITHOUT_A_PRICE) or order.status == 'Completed':
            continue
        if shares <= 0 or order.code not in feeds:
            continue
        if order.code not in rows:
            known, columns = rows_of(feeds[order.code], ('open', 'close', *ACTIONS))
            rows[order.code] = known, columns, adjustment_of(order.code, columns)
        known, columns, factors = rows[order.code]
        waited = day > order.date  # decided at a close, it met the next open; so do the decisions after it
        first = bisect_left if waited else bisect_right
        later = [dates[at] for dates in (decisions, tries[order.code]) if (at := first(dates, day)) < len(dates)]
        until = min(later, default=days[-1])
        if later and waited:
            until = days[min(bisect_right(days, until), len(days) - 1)]
        at, then = np.searchsorted(known, [day.toordinal(), until.toordinal()])
        if at == len(known) or known[at] != day.toordinal():
            continue
        start = left.met if left.met == left.met else columns['open'][at]
        traded = then < len(known) and known[then] == until.toordinal()
        then -= not traded  # the last row before
        price = columns['open' if later and traded else 'close'][then]
        if known[-1] < until.toordinal():  # it has ended
            price = delisting_price(price, delist)
        # a price of `then` in terms of the shares of `at`
        price *= factors[then] / factors[at]
        if not start > 0 or price != price:
            continue
        cost = shares * (price - start) * (1 if order.side == 'BUY' else -1)
        found.append(Missed(day, order.code, order.side, order.reason, shares, float(start), until, float(price), float(cost)))
    return found
