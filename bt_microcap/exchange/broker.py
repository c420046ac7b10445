"""The broker: Backtrader's own, with the exchange's order rules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from backtrader.order import Order

from . import rules
from .account import AccountBroker, line_value
from .fills import affordable, slipped
from .tax_lots import HOLDING

# Why an order was refused or cut; what notify_order finds in order.info.reason and rejections.csv shows.
SUSPENDED = 'suspended'
NO_VOLUME = 'no volume'
LIMIT_UP = 'limit up'
LIMIT_DOWN = 'limit down'
BOUGHT_TODAY = 'bought today'
BELOW_ONE_LOT = 'below one lot'
STAR_MARKET_ORDER = 'star market order'
SLIPPED = 'slipped past the limit'
VOLUME_LIMIT = 'volume limit'
NOT_HELD = 'not held'


class AShareBroker(AccountBroker):
    """Backtrader's broker with the order rules of the Chinese exchanges.

    - Market orders given in ``next_open`` (cheat-on-open) are filled at once at the open, so that the proceeds
      of a sale can be spent by the next order, and ``order.status`` tells the outcome. Given in ``next`` they
      fill at the next open.
    - An order is refused, never dropped silently: status ``Rejected`` and ``order.info.reason``, one of
      ``suspended``, ``no volume``, ``limit up``, ``limit down``, ``bought today`` (T+1), ``below one lot``,
      ``star market order``, ``slipped past the limit``, ``volume limit``, ``not held``.
    - A buy is cut to legal lots, to the cash and, where the order carries ``value=`` (yuan), to that budget;
      ``order.info.wanted`` keeps the size asked for. A sale with ``whole=True`` sells the position as it is
      when it fills, for example after bonus shares.
    - Resting orders (limit, stop) wait on days on which they cannot trade.
    - Corporate actions and delistings of what is held: see `corporate_actions`. ``events`` lists them: ordinal of the
      day, code, action, shares before and after, cash that came in.

    Feeds are named by the canonical code; lines that a feed lacks (``paused``, ``preclose``, ...) ask nothing.

    Params (beside those of ``BackBroker``):

      - ``slippage`` (default: ``0.0``), ``slippage_ticks`` (``0.0``), ``impact`` (``0.0``): how far from the open an
        order fills, see `fills.slipped`.
      - ``volume_limit`` (default: ``0.0``): largest part of the day's volume that one order may take; the rest
        is cancelled. 0: no limit.
      - ``size_with_fees`` (default: ``True``): a buy costs at most its budget, slippage and fees included.
        False, as JoinQuant: sized at the raw open without fees; cash may end slightly negative.
      - ``star_market_orders`` (default: ``True``): False refuses market orders on the STAR board, as JoinQuant
        does without a protective limit price.
      - ``star_protection`` (default: ``0.0``): the protective limit price that a STAR market order must carry, as a
        fraction of the open; a fill beyond it is refused. 0: none.
      - ``ex_rights`` (default: ``'auto'``), ``dividend_tax`` (default: ``0.2``), ``delist`` (default:
        ``'last_close'``): see `corporate_actions`.
    """

    params = (
        ('slippage', 0.0),  # fraction of the open, both ways together
        ('slippage_ticks', 0.0),  # price steps of 0.01 yuan each way
        ('impact', 0.0),  # fraction of the open for an order as large as the day's volume
        ('volume_limit', 0.0),  # fraction of the day's volume, 0: none
        ('size_with_fees', True),  # a buy's budget covers slippage and fees
        ('star_market_orders', True),  # STAR takes market orders
        ('star_protection', 0.0),  # fraction of the open
    )

    def __init__(self) -> None:
        super().__init__()
        if self.p.ex_rights not in ('auto', 'reinvest', 'off'):
            raise ValueError(f'ex_rights is {self.p.ex_rights!r}: expected one of auto, reinvest, off')
        words = {'delist': ('last_close', 'zero'), 'dividend_tax': (HOLDING,)}
        for name, below in (('slippage', 2.0), ('slippage_ticks', math.inf), ('impact', math.inf), ('volume_limit', math.inf),
                            ('star_protection', math.inf), ('dividend_tax', 1.0), ('delist', 1.0)):
            value = getattr(self.p, name)
            if value in words.get(name, ()):
                continue
            if isinstance(value, (str, bool)) or not (0 <= value < below or value == below == 1.0):
                also = ''.join(f' or {word!r}' for word in words.get(name, ()))
                raise ValueError(f'{name} is {value!r}: expected a number of 0 or more, at most {below:g}{also}')

    def init(self) -> None:
        """Start with cash and nothing else; called by Cerebro before a run."""
        super().init()
        self._coo = bool(self.p.coo)

    # -- the day ------------------------------------------------------------------------------------------

    @property
    def fills_at_open(self) -> bool:
        """Whether market orders given now are filled at once, at the open of the current bar."""
        return self._coo and (self._open or self.today() != self.day)

    # -- orders -------------------------------------------------------------------------------------------

    def submit(self, order: Order, check: bool = True) -> Order:
        """Take an order, or the last of a bracket and with it the whole bracket."""
        parent = self._take_children(order)
        if parent is None:
            return order
        family = self._pchildren[parent]
        family.append(order)
        if order.transmit:
            for member in list(family):  # a copy: a fill at once takes the member off the family
                if parent in self._pchildren:
                    self.transmit(member, check=check)
                else:  # the parent was refused
                    member.reject(self)
                    self.notify(member)
        return order

    def transmit(self, order: Order, check: bool = True) -> Order:
        """Take an order; a market order in the opening session is filled or refused right here."""
        self.start_day()
        # found at once instead of through the params, some forty times an order
        order.__dict__.update(data=order.data, owner=order.owner, exectype=order.exectype)
        order.addinfo(wanted=abs(order.size), day=self.day)
        self.submit_accept(order)
        if order.exectype == Order.Market and order.active() and self.fills_at_open:
            self.pending.remove(order)
            self._try_exec(order)
            if order.status == Order.Completed:
                self._bracketize(order)
        return order

    def next(self) -> None:
        """Fill what is pending and value the account; called by Cerebro once a bar, after ``next_open``."""
        self.start_day()
        while self._toactivate:
            self._toactivate.popleft().activate()
        self._process_order_history()
        for order in list(self.pending):
            if order not in self.pending:
                continue  # cancelled by one before it: the other of a pair, or a child
            self.pending.remove(order)
            if order.expire():
                self.notify(order)
                self._ococheck(order)
                self._bracketize(order, cancel=True)
                continue
            if order.active():
                self._try_exec(order)
            if order.alive():
                self.pending.append(order)
            elif order.status == Order.Completed:
                self._bracketize(order)
        self._open = False
        self._get_value()

    def _refuse(self, order: Order, reason: str) -> None:
        order.addinfo(reason=reason)
        order.reject(self)
        self.notify(order)
        self._ococheck(order)
        self._bracketize(order, cancel=True)

    def _cancel_rest(self, order: Order, reason: str) -> None:
        order.addinfo(reason=reason)
        order.cancel()
        self.notify(order)
        self._ococheck(order)
        self._bracketize(order, cancel=True)

    def _try_exec(self, order: Order) -> None:
        data = order.data
        market = order.exectype == Order.Market
        if not len(data) or int(data.datetime[0]) != self.day or line_value(data, 'paused', 0.0) or not data.open[0] > 0:
            closed = SUSPENDED
        elif data.volume[0] == 0:
            closed = NO_VOLUME
        else:
            closed = ''
        if not market:
            if not closed:
                super()._try_exec(order)  # comes back in _execute with the price that was reached
        elif closed:
            self._refuse(order, closed)
        elif not self.p.coo and order.created.dt >= data.datetime[0]:
            return  # given after the open of this very bar
        else:
            self._fill_at_open(order)

    def _fill_at_open(self, order: Order) -> None:
        data, buy = order.data, order.isbuy()
        price = order.info['open'] = data.open[0]
        low, high = self._limits(data)
        star = rules.board(data._name) == rules.STAR if self.p.star_protection or not self.p.star_market_orders else False
        if buy:
            if star and not self.p.star_market_orders:
                return self._refuse(order, STAR_MARKET_ORDER)
            if price >= high - rules.HALF_TICK:
                return self._refuse(order, LIMIT_UP)
            size = self._buy_size(order, price, self._fill_price(data, price, True))
        else:
            if (reason := self._unsellable(order)) is not None:
                return self._refuse(order, reason)
            if price <= low + rules.HALF_TICK:
                return self._refuse(order, LIMIT_DOWN)
            size = self._sell_size(order)
        if not size:
            return self._refuse(order, BELOW_ONE_LOT)
        allowed = self._allowed(order, size)
        fill = self._fill_price(data, price, buy)
        fill = fill(allowed) if callable(fill) else fill
        away = self.p.star_protection * price + rules.HALF_TICK + 1e-9 if star and self.p.star_protection else math.inf
        if fill > high + rules.HALF_TICK or fill < low - rules.HALF_TICK or abs(fill - price) > away:
            return self._refuse(order, SLIPPED)
        return self._fill_allowed(order, size, allowed, fill)

    def _fill_price(self, data: Any, price: float, buy: bool) -> float | Callable[[int], float]:
        """Return what an order fills at; with impact it depends on the size."""
        slip = {'slippage': self.p.slippage, 'ticks': self.p.slippage_ticks, 'impact': self.p.impact}
        volume = data.volume[0]
        if not self.p.impact or not volume > 0:
            return slipped(price, buy, **slip)
        most = self.p.volume_limit * volume if self.p.volume_limit else math.inf
        return lambda size: slipped(price, buy, min(size, most) / volume, **slip)

    def _execute(
        self, order: Order, ago: int | None = None, price: float | None = None, cash: Any = None,
        position: Any = None, dtcoc: Any = None,
    ) -> None:
        """Fill a resting order at the price that Backtrader found; wait where the rules forbid it today."""
        if ago is None or price is None:
            return
        low, high = self._limits(order.data)
        fill = rules.round_half_up(price)
        if order.exectype == Order.Historical:
            self._resize(order, abs(order.size))
            self._fill(order, abs(order.size), price)
            return
        if order.isbuy():
            size = 0 if order.data.open[0] >= high - rules.HALF_TICK else self._buy_size(order, fill, fill)
        elif self._unsellable(order) is not None or order.data.open[0] <= low + rules.HALF_TICK:
            size = 0
        else:
            size = self._sell_size(order)
        if size and not (fill > high + rules.HALF_TICK or fill < low - rules.HALF_TICK):
            self._fill_allowed(order, size, self._allowed(order, size), fill)

    def _unsellable(self, order: Order) -> str | None:
        if not self.getposition(order.data).size:
            return NOT_HELD
        return None if self.sellable(order.data) > 0 else BOUGHT_TODAY

    def _allowed(self, order: Order, size: int) -> int:
        """Return how much of a legal size the volume limit lets through."""
        if self.p.volume_limit and order.data.volume[0] == order.data.volume[0]:
            most = math.floor(self.p.volume_limit * order.data.volume[0] + 1e-9)
            if most < size:
                code = order.data._name
                # a sale was a legal order already: its fill only keeps to the steps of the board
                step = rules.LOTS[rules.board(code)].step
                return rules.legal_buy(code, most) if order.isbuy() else most // step * step
        return size

    def _fill_allowed(self, order: Order, size: int, allowed: int, fill: float) -> None:
        """Fill what the volume limit lets through; what it cuts is cancelled and reported."""
        if not allowed:
            if order.exectype == Order.Market:
                self._refuse(order, VOLUME_LIMIT)
            return
        self._resize(order, size)
        self._fill(order, allowed, fill)
        if allowed < size and order.exectype == Order.Market:
            self._cancel_rest(order, VOLUME_LIMIT)

    # -- sizes --------------------------------------------------------------------------------------------

    def _buy_size(self, order: Order, price: float, fill: float | Callable[[int], float]) -> int:
        """Return the legal size of a buy: at most what was asked for, the budget and the cash allow."""
        asked = order.executed.remsize
        code = order.data._name
        value = order.info.get('value')
        if not self.p.size_with_fees:  # JoinQuant: at the raw open, without slippage or fees
            size = asked
            if size * price > self.cash:
                size = math.floor(self.cash / price)
                order.addinfo(cash_limited_to=size)
            return rules.legal_buy(code, size)
        limit = self.cash if value is None else min(value, self.cash)
        return affordable(code, asked, fill, limit, lambda size, at: self._fees(order, size, at).total)

    def _sell_size(self, order: Order) -> int:
        position = self.getposition(order.data).size
        settled = self.sellable(order.data)
        asked = position if order.info.get('whole') else -order.executed.remsize
        size = min(asked, position)
        if settled < size:
            size = settled
            order.addinfo(reason=BOUGHT_TODAY)  # the settled part is sold, and the cut is told
        return rules.legal_sell(order.data._name, size, position)

    @staticmethod
    def _resize(order: Order, size: int) -> None:
        """Make a cut order whole at what it may still fill, so that this fill ends it ``Completed``."""
        signed = size if order.isbuy() else -size
        order.size = order.created.size = order.executed.size + signed
        order.executed.remsize = signed

    def _limits(self, data: Any) -> tuple[float, float]:
        """Return today's (low, high) limit; the data's own win, NaN where there is none."""
        low, high = line_value(data, 'low_limit'), line_value(data, 'high_limit')
        if low == low and high == high:
            return low, high
        preclose = line_value(data, 'preclose')
        if preclose == preclose:
            computed = rules.price_limits(data._name, self.day, preclose, bool(line_value(data, 'is_st', 0.0)),
                                          self.calendar.listed_day(data, self.day))
            low, high = (low if low == low else computed[0]), (high if high == high else computed[1])
        return low, high
