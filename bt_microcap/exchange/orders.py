"""Orders that cost little: Backtrader's own kinds, made and copied without its metaclass and without `copy`.

Backtrader copies an order for each notification, and makes one by way of its params. Here both are the copy of a dictionary;
what an order is, what it answers and what is in it stays the same.
"""

from __future__ import annotations

import math
from collections import deque
from datetime import timedelta
from typing import Any

from backtrader import order as theirs
from backtrader.utils import AutoOrderedDict

Order = theirs.Order

AT_ONE_PRICE = (None, Order.Market, Order.Close)  # kinds that ask for no price; None: a market order


class OrderData(theirs.OrderData):
    """What an order asks for, or has had: what has not happened yet stands in the class alone."""


for _name, _value in vars(theirs.OrderData()).items():
    setattr(OrderData, _name, _value)
OrderData.exbits = deque(maxlen=0)  # of what is asked for, which has no fills


class _QuickOrder:
    """What Backtrader's orders do, faster. What an order is as a rule stands in the class alone: see `at_one_price`."""

    def __init__(self) -> None:
        self.__dict__.update(vars(self.params))  # given to Backtrader's own way of making an order, they go before the class's
        super().__init__()

    def clone(self) -> Any:
        """Return the order as it stands, for a notification; its later fills are not in it."""
        executed = self.executed
        executed.p1, executed.p2 = executed.p2, len(executed.exbits)  # markpending()
        twin, done = object.__new__(type(self)), object.__new__(type(executed))
        done.__dict__ = executed.__dict__.copy()
        twin.__dict__ = state = self.__dict__.copy()
        state['executed'] = done
        return twin

    def alive(self) -> bool:
        """Return whether the order can still be executed: it was made, submitted, accepted, or filled in part."""
        return self.status < Order.Completed

    @property
    def dteos(self) -> float:
        """The end of the session in which the order was given, as Backtrader's number; only worked out when it is asked for."""
        if '_dteos' not in self.__dict__:
            data = self.data
            given = data.num2date(self.created.dt)
            end = data.p.sessionend
            stamp = given.replace(hour=end.hour, minute=end.minute, second=end.second, microsecond=end.microsecond)
            self._dteos = data.date2num(stamp + timedelta(days=1) if stamp < given else stamp)
        return self._dteos

    @dteos.setter
    def dteos(self, stamp: float) -> None:
        self._dteos = stamp

    def execute(
        self, dt: float, size: float, price: float, closed: float, closedvalue: float, closedcomm: float, opened: float,
        openedvalue: float, openedcomm: float, margin: float | None, pnl: float, psize: float, pprice: float,
    ) -> None:
        """Book a fill; see Backtrader's ``Order.execute``."""
        if not size:
            return
        executed = self.executed
        executed.addbit(theirs.OrderExecutionBit(
            dt, size, price, closed, closedvalue, closedcomm, opened, openedvalue, openedcomm, pnl, psize, pprice))
        executed.margin = margin
        self.status = Order.Partial if executed.remsize else Order.Completed


for _name, _value in theirs.OrderBase.params._getpairs().items():
    setattr(_QuickOrder, _name, _value)
# What Backtrader's __init__ sets beside, of an order that is neither trailing nor a child.
for _name, _value in (('broker', None), ('comminfo', None), ('triggered', False), ('_active', True), ('status', Order.Created),
                      ('_plimit', None), ('_limitoffset', 0.0), ('position', 0), ('exectype', Order.Market)):
    setattr(_QuickOrder, _name, _value)


class BuyOrder(_QuickOrder, theirs.BuyOrder):
    """A buy, a ``bt.BuyOrder``."""

    def isbuy(self) -> bool:
        """Return True."""
        return True


class SellOrder(_QuickOrder, theirs.SellOrder):
    """A sale, a ``bt.SellOrder``."""

    def isbuy(self) -> bool:
        """Return False."""
        return False


def at_one_price(
    kind: type[Order], owner: Any, data: Any, size: float, price: float | None, exectype: int | None, tradeid: int = 0,
    histnotify: bool = False,
) -> Order:
    """Return a new market order, or one for the close, that stands alone: neither a child nor a parent, without an end.

    It is not complete before `refer_to`.

    Parameters
    ----------
    kind : type
        `BuyOrder` or `SellOrder`.
    owner : bt.Strategy
    data : data feed
    size : float
        Shares, without a sign.
    price : float, optional
        Yuan, what the strategy knew when it gave the order.
    exectype : int, optional
        One of `AT_ONE_PRICE`.
    tradeid : int
        As in any order.
    histnotify : bool
        As in any order.
    """
    signed = size if kind is BuyOrder else -size
    order, params = object.__new__(kind), object.__new__(kind.params)
    params.__dict__ = given = {'owner': owner, 'data': data, 'size': size, 'price': price, 'exectype': exectype}
    created, executed = object.__new__(OrderData), object.__new__(OrderData)
    created.__dict__ = {'dt': data.datetime[0], 'size': signed, 'price': price, 'pricelimit': price, '_plimit': None,
                        'pclose': None, 'trailamount': None, 'trailpercent': None}
    executed.__dict__ = {'exbits': deque(), 'remsize': signed}
    order.__dict__ = state = {
        'owner': owner, 'data': data, 'size': signed, 'price': price, 'params': params, 'p': params, 'ref': next(kind.refbasis),
        'info': AutoOrderedDict(), 'created': created, 'executed': executed}
    if exectype is not None:
        state['exectype'] = exectype
    if tradeid:
        state['tradeid'] = given['tradeid'] = tradeid
    if histnotify:
        state['histnotify'] = given['histnotify'] = histnotify
    return order


def refer_to(order: Order, opening: float | None) -> None:
    """Note the price at the time of an order, from which it takes what it was not given.

    Parameters
    ----------
    order : Order
    opening : float, optional
        Yuan, today's open, where the order is given at it: Backtrader itself notes today's close, which nobody knows yet. None:
        the close, after the session.
    """
    created, asked = order.created, order.p
    if created.pclose is None:  # of `at_one_price`
        created.pclose = reference = order.data.close[0] if opening is None else opening
        if not asked.price:
            created.price = created.pricelimit = reference
    elif opening is not None:
        created.pclose = opening
        if not asked.price and not asked.pricelimit:
            if order.exectype in (Order.StopTrail, Order.StopTrailLimit):
                created.price = math.inf if order.isbuy() else -math.inf
                order.trailadjust(opening)
            else:
                created.price = opening
        if not asked.pricelimit and order.exectype != Order.StopTrailLimit:
            created.pricelimit = created.price
