"""The broker: Backtrader's own, with the exchange's order rules."""

from __future__ import annotations

import math
from collections import deque
from datetime import timedelta
from typing import Any

import backtrader as bt
from backtrader.order import Order

from . import orders, rules
from .bars import opening_price
from .execution import LIMIT_PRICES, SUSPENDED, ExecutionBroker
from .fills import on_tick
from .tax_lots import HOLDING

# Kinds of orders by the time of the day at which they trade; the others during the day.
_TIME_OF_DAY = {Order.Market: 0, Order.Historical: 0, Order.Close: 2}
# Switches of BackBroker that mean nothing here: their default, and what to do instead.
_WITHOUT_EFFECT = {
    'coc': (False, 'give exectype=bt.Order.Close in next_open: it fills at the close of the same day'),
    'shortcash': (True, 'nothing is sold short'),
    'int2pnl': (True, 'no interest is charged'),
    'eosbar': (False, 'a daily bar is the whole session'),
}


class AShareBroker(ExecutionBroker):
    """Backtrader's broker with the order rules of the Chinese exchanges.

    - Market orders given in ``next_open`` (cheat-on-open) are filled at once at the open, so that the proceeds
      of a sale can be spent by the next order, and ``order.status`` tells the outcome. Given in ``next`` they
      fill at the next open. ``exectype=Close`` fills at the close, of the same day when given in ``next_open``.
    - An order is refused, never dropped silently: status ``Rejected`` and ``order.info.reason``, one of
      ``suspended``, ``no volume``, ``limit up``, ``limit down``, ``bought today`` (T+1), ``below one lot``,
      ``star market order``, ``slipped past the limit``, ``volume limit``, ``not held``.
    - Who is to decide at the close, and not for the next open, puts a function into ``at_close``, a list: it is called once a day
      of the market, when the day's bar is known. ``exectype=Close`` orders that it gives are filled or refused at once, at
      the close.
    - A market order for STAR that carries ``protection=`` (yuan) is taken also where ``star_market_orders`` is off; a fill beyond
      that price is refused. With it off, a sale that carries ``needs_protection=`` is refused as a buy is.
    - An order that carries ``only_if=`` (a function of the feed and its upper limit, asked when the order would fill) is
      withdrawn where it says no.
    - A buy is cut to legal lots, to the cash and, where the order carries ``value=`` (yuan), to that budget;
      ``order.info.wanted`` keeps the size asked for. A sale with ``whole=True`` sells the position as it is
      when it fills, for example after bonus shares. The children of a bracket live for what its parent got.
    - Resting orders (limit, stop) wait on days on which they cannot trade. Over an ex-date an order is restated as the
      position is: as many shares more, at prices as much lower.
    - Corporate actions and delistings of what is held: see `corporate_actions`. ``events`` lists them: ordinal of the
      day, code, action, shares before and after, cash that came in.

    Feeds are named by the canonical code; lines that a feed lacks (``paused``, ``preclose``, ...) ask nothing.
    A feed of another kind beside the market may have bars and days of its own: the market's orders fill on the market's
    days alone.

    Of ``BackBroker``'s own switches ``set_slippage_perc``, ``set_slippage_fixed`` and ``set_filler`` set what is named
    below or are asked beside it; ``set_coc``, and ``set_shortcash``, ``set_int2pnl`` and ``set_eosbar`` with other than
    their default, are an error: there is nothing that they could do. Orders are not checked for margin when they are
    given: a buy is cut to the cash when it fills.

    Params (beside those of ``BackBroker``):

      - ``slippage`` (default: ``0.0``), ``slippage_ticks`` (``0.0``), ``min_slippage_ticks`` (``0.0``), ``impact``
        (``0.0``): how far from the open (the close, the stop price) an order fills, see `fills.slipped`. A limit order
        slips up to its limit. A listed fund slips by ``min_slippage_ticks`` alone, where they are above 0: the percentage is that
        of stocks.
      - ``volume_limit`` (default: ``0.0``): largest part of a stock's volume of the day that all orders together may
        take; the rest is cancelled. 0: no limit. All of it fills at one price, though the volume is that of the whole
        day: keep orders small against it.
      - ``size_with_fees`` (default: ``True``): a buy costs at most its budget, slippage and fees included.
        False, as JoinQuant: sized at the raw open without fees; cash may end slightly negative.
      - ``star_market_orders`` (default: ``True``): False refuses market orders on the STAR board, as JoinQuant
        does without a protective limit price.
      - ``star_protection`` (default: ``0.0``): the protective limit price that a STAR market order must carry, as a
        fraction of the open; a fill beyond it is refused. 0: none.
      - ``ex_rights`` (default: ``'auto'``), ``dividend_tax`` (default: ``0.2``), ``delist`` (default:
        ``'last_close'``), ``delist_wait`` (default: ``60``): see `corporate_actions`.
    """

    def __init__(self) -> None:
        super().__init__()
        if self.p.ex_rights not in ('auto', 'reinvest', 'off'):
            raise ValueError(f'ex_rights is {self.p.ex_rights!r}: expected one of auto, reinvest, off')
        words = {'delist': ('last_close', 'zero'), 'dividend_tax': (HOLDING,)}
        for name, below in (('slippage', 2.0), ('dividend_tax', 1.0), ('delist', 1.0), ('slippage_ticks', math.inf),
                            ('min_slippage_ticks', math.inf), ('impact', math.inf), ('volume_limit', math.inf),
                            ('star_protection', math.inf), ('delist_wait', math.inf)):
            value = getattr(self.p, name)
            if value in words.get(name, ()):
                continue
            if isinstance(value, (str, bool)) or not (0 <= value < below or value == below == 1.0):
                also = ''.join(f' or {word!r}' for word in words.get(name, ()))
                raise ValueError(f'{name} is {value!r}: expected a number of 0 or more, at most {below:g}{also}')
        if self.p.slip_perc or self.p.slip_fixed:
            take = self.set_slippage_perc if self.p.slip_perc else self.set_slippage_fixed
            take(self.p.slip_perc or self.p.slip_fixed, self.p.slip_open, self.p.slip_limit, self.p.slip_match, self.p.slip_out)
        for name in _WITHOUT_EFFECT:
            self._refuse_switch(name, getattr(self.p, name))

    def init(self) -> None:
        """Start without an order; called by Cerebro before a run."""
        super().init()
        self._parents: set[int] = set()  # references of orders that have had a child

    # -- switches of BackBroker -------------------------------------------------------------------------------

    def set_slippage_perc(
        self, perc: float, slip_open: bool = True, slip_limit: bool = True, slip_match: bool = True, slip_out: bool = False
    ) -> None:
        """Set ``slippage`` to twice a rate: the same fraction of the price each way."""
        self._check_slips(slip_open, slip_limit, slip_match, slip_out)
        self.p.slippage, self.p.slippage_ticks, self.p.slip_perc, self.p.slip_fixed = 2 * perc, 0.0, 0.0, 0.0
        self._slips_in_yuan = False

    def set_slippage_fixed(
        self, fixed: float, slip_open: bool = True, slip_limit: bool = True, slip_match: bool = True, slip_out: bool = False
    ) -> None:
        """Set ``slippage_ticks`` to some yuan each way."""
        self._check_slips(slip_open, slip_limit, slip_match, slip_out)
        self.p.slippage, self.p.slippage_ticks, self.p.slip_perc, self.p.slip_fixed = 0.0, fixed / rules.TICK, 0.0, 0.0
        self._slips_in_yuan = True

    @staticmethod
    def _check_slips(slip_open: bool, slip_limit: bool, slip_match: bool, slip_out: bool) -> None:
        if (slip_limit, slip_match, slip_out) != (True, True, False):
            raise ValueError('AShareBroker slips market and stop orders, and limit orders up to their limit, never past the '
                             "day's limits: leave slip_limit, slip_match and slip_out as they are")

    def set_coc(self, coc: bool) -> None:
        """Refuse cheat-on-close."""
        self._refuse_switch('coc', coc)

    def set_shortcash(self, shortcash: bool) -> None:
        """Refuse another accounting of short sales: there are none."""
        self._refuse_switch('shortcash', shortcash)

    def set_int2pnl(self, int2pnl: bool) -> None:
        """Refuse another accounting of interest: there is none."""
        self._refuse_switch('int2pnl', int2pnl)

    def set_eosbar(self, eosbar: bool) -> None:
        """Refuse the switch: a daily bar is the whole session."""
        self._refuse_switch('eosbar', eosbar)

    seteosbar = set_eosbar

    @staticmethod
    def _refuse_switch(name: str, value: bool) -> None:
        default, instead = _WITHOUT_EFFECT[name]
        if bool(value) != default:
            raise ValueError(f'AShareBroker has no {name}: {instead}')

    # -- orders -------------------------------------------------------------------------------------------

    @property
    def fills_at_open(self) -> bool:
        """Whether market orders given now are filled at once, at the open of the current bar."""
        return bool(self.p.coo) and self._open

    def buy(self, *args: Any, **kwargs: Any) -> Order:
        """Take a buy; what an order reads of today's bar is the broker's to see, not the strategy's."""
        return self._give(orders.BuyOrder, *args, **kwargs)

    def sell(self, *args: Any, **kwargs: Any) -> Order:
        """Take a sale; see `buy`."""
        return self._give(orders.SellOrder, *args, **kwargs)

    def _give(
        self, kind: type[Order], owner: Any, data: Any, size: float, price: float | None = None, plimit: float | None = None,
        exectype: int | None = None, valid: Any = None, tradeid: int = 0, oco: Order | None = None,
        trailamount: float | None = None, trailpercent: float | None = None, parent: Order | None = None, transmit: bool = True,
        histnotify: bool = False, _checksubmit: bool = True, **info: Any,
    ) -> Order:
        opening = self.opening
        before, opening.deciding = opening.deciding, False
        try:
            self._check_daily(data)
            if not len(data):
                return self._refuse_unlisted(kind, owner, data, size, price, exectype, tradeid, oco, info)
            if (exectype in orders.AT_ONE_PRICE and transmit
                    and parent is valid is plimit is trailamount is trailpercent is None):
                order = orders.at_one_price(kind, owner, data, size, price, exectype, tradeid, histnotify)
            else:
                order = kind(
                    owner=owner, data=data, size=size, price=price, pricelimit=plimit, exectype=exectype, valid=valid,
                    tradeid=tradeid, trailamount=trailamount, trailpercent=trailpercent, parent=parent, transmit=transmit,
                    histnotify=histnotify)
            order.info.update(info)
            if oco is not None:
                self._ocoize(order, oco)
            return self.submit(order, check=_checksubmit)
        finally:
            opening.deciding = before

    @staticmethod
    def _check_daily(data: Any) -> None:
        if 'first_day' in data.__dict__:
            return  # a stock of ours
        if hasattr(data, 'universe'):
            raise ValueError(f'{data._name}: an order for the whole market, expected one for a stock: '
                             "self.buy(data=self.data.stock('600000.XSHG'), ...)")
        if data._timeframe != bt.TimeFrame.Days or len(data) > 1 and int(data.datetime[0]) == int(data.datetime[-1]):
            raise ValueError(f'{data._name}: an order for bars that are not daily, which AShareBroker cannot fill; order the '
                             'daily feed, and let the other give signals beside it')

    def _refuse_unlisted(
        self, kind: type[Order], owner: Any, data: Any, size: float, price: float | None, exectype: int | None, tradeid: int,
        oco: Order | None, info: dict[str, Any],
    ) -> Order:
        """Refuse an order for a stock without a first row yet, at whose bars Backtrader would look: there are none."""
        size = abs(size)
        order = kind(owner=owner, data=data, size=size, price=price or 0.0, exectype=exectype, tradeid=tradeid, simulated=True)
        order.p.simulated = False  # a simulated order is not told to the strategy
        order.info.update(info, wanted=size, day=self.day, at_open=self.fills_at_open, reason=SUSPENDED)
        self._ocoize(order, oco)
        order.submit(self)
        order.reject(self)
        order.executed.dt = self._now
        self.notify(order)
        return order

    def submit(self, order: Order, check: bool = True) -> Order:
        """Take an order, or the last of a bracket and with it the whole bracket."""
        if order.parent is None and order.transmit:
            self.transmit(order, check=check)
            if order.alive():
                self._pchildren[order.ref].append(order)  # a child may still join it
            return order
        parent = self._take_children(order)
        if parent is None:
            return order
        family = self._pchildren[parent]
        family.append(order)
        if order.transmit:
            for member in list(family):  # a copy: a fill at once takes the member off the family
                if member.status != Order.Created:
                    continue  # it was sent already: this one joins it
                if parent in self._pchildren:
                    self.transmit(member, check=check)
                else:  # the parent was refused
                    member.reject(self)
                    self.notify(member)
        return order

    def transmit(self, order: Order, check: bool = True) -> Order:
        """Take an order; a market order in the opening session is filled or refused right here."""
        data, kind, info = order.data, order.exectype, order.info
        at_open = self.fills_at_open and (self.calendar.is_ours(data) or self._moved(data))
        info['wanted'], info['day'], info['at_open'] = abs(order.size), self.day, at_open
        orders.refer_to(order, opening_price(data) if at_open else None)
        if isinstance(order.p.valid, timedelta) and order.p.valid:  # from today on, not from a suspended stock's last bar
            order.valid = max(self._now, float(self.day)) + order.p.valid / timedelta(days=1)
        if kind in LIMIT_PRICES:  # the exchange takes prices on the tick alone
            created = order.created
            for name in LIMIT_PRICES[kind]:
                setattr(created, name, on_tick(getattr(created, name), up=not order.isbuy(), per_yuan=rules.steps(data._name)))
        # as submit_accept, but what is tried at once never waits
        order.pannotated = order.broker = None
        order.plen, order.status = len(data), Order.Accepted
        at_once = order.active() and (kind == Order.Market and at_open or kind == Order.Close and self._closing)
        if not at_once:
            self.pending.append(order)
        self.notify(order)
        if at_once:
            self._try_exec(order)
            if not order.alive():
                self._end(order)
        return order

    # Of groups and families Backtrader keeps an entry for each order of a run, and so the orders themselves. Most are alone.

    def _ocoize(self, order: Order, oco: Order | None) -> None:
        """Note of which group an order is; the first of a group is noted when the second one joins it."""
        if oco is None:
            return
        if oco.ref not in self._ocos:
            first = next((each for each in self.pending if each.ref == oco.ref), oco)
            self._ocos[oco.ref] = oco.ref
            self._ocol[oco.ref] = [] if first.executed.size else [oco.ref]  # one that has a fill is no longer cancelled
        super()._ocoize(order, oco)

    def _ococheck(self, order: Order) -> None:
        if order.ref in self._ocos:
            super()._ococheck(order)

    def _take_children(self, order: Order) -> int | None:
        parent = order.parent
        if parent is not None:
            # alone it has got what it wanted, and is taken for one that still may have children
            if (parent.ref not in self._parents and parent.executed.size and not parent.alive()
                    and (parent.status != Order.Canceled or parent.exectype in (Order.Market, Order.Close))):
                _ = self._pchildren[parent.ref]
            self._parents.add(parent.ref)
        return super()._take_children(order)

    def _bracketize(self, order: Order, cancel: bool = False) -> None:
        reference = order.ref if order.parent is None else order.parent.ref
        if reference in self._pchildren:
            super()._bracketize(order, cancel)
            if not self._pchildren.get(reference, True):  # nobody is left
                del self._pchildren[reference]

    def next(self) -> None:
        """Fill what is pending and value the account; called by Cerebro once a bar, after ``next_open``."""
        self.opening.deciding = False
        while self._toactivate:
            self._toactivate.popleft().activate()
        self._process_order_history()
        if self.pending:
            self._fill_pending()
        self._open = False
        self._get_value()
        if self.is_market_bar and self.at_close:
            self._closing = True
            for call in self.at_close:
                call()
            self._closing = False
            self._get_value()

    def start_bar(self, now: float) -> None:
        """Begin a bar; at the open first what was ordered on an earlier day, so that its money is there for the next orders."""
        super().start_bar(now)
        if self._open and any(order.exectype == Order.Market for order in self.pending):
            self._fill_pending(opening=True)

    def _fill_pending(self, *, opening: bool = False) -> None:
        """Try what is pending: at the open, during the day, at the close; or only market orders, at the opening."""
        self.pending = deque(sorted(self.pending, key=lambda order: _TIME_OF_DAY.get(order.exectype, 1)))
        for order in list(self.pending):
            if not order.alive():
                continue  # cancelled by one before it: the other of a pair, or a child
            self.pending.popleft()
            if self._is_due(order) and (not opening or order.exectype == Order.Market):
                if self._expires(order):
                    self.notify(order)
                    self._ococheck(order)
                    self._end(order)
                elif order.active():
                    self._try_exec(order)
                    if not order.alive():
                        self._end(order)
            if order.alive():
                self.pending.append(order)

    def _expires(self, order: Order) -> bool:
        """Let an order end whose time is over; Backtrader's own would ask the bar of a stock that has none today."""
        if order.exectype == Order.Market or not order.valid or self._now <= order.valid:
            return False
        order.status, order.executed.dt = Order.Expired, self._now
        return True

    def _is_due(self, order: Order) -> bool:
        """Return whether an order can trade on this bar: given at its open, or on a day before."""
        data = order.data
        if order.exectype == Order.Historical:
            return True
        if not self.calendar.is_ours(data):
            return self._moved(data) and (order.info['at_open'] or data.datetime[0] > order.created.dt)
        return self._open and (order.info['at_open'] or order.info['day'] < self.day)

    def _moved(self, data: Any) -> bool:
        """Return whether the current bar is one of a feed's."""
        return bool(len(data)) and data.datetime[0] == self._now

    def _end(self, order: Order) -> None:
        """Let the children of a bracket live for what their parent got, or die with it."""
        if order.status == Order.Expired and (order.parent is not None or not order.executed.size):
            self._bracketize(order, cancel=True)
        elif order.status != Order.Rejected and order.executed.size:
            for child in self._pchildren.get(order.ref, ()):
                if child is not order:
                    self._resize(child, abs(int(order.executed.size)))
            self._bracketize(order)
