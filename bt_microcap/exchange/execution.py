"""Whether, how much and at what price an order fills on a bar."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from backtrader.order import Order

from . import rules
from .account import NOTHING, AccountBroker
from .bars import OpeningBar, current, opening_bar
from .commission import AShareCommission
from .fills import affordable, on_tick, slipped

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
WITHDRAWN = 'condition not met'  # an order that carries ``only_if``: no refusal, it stands in orders.csv alone

# Which price of an order is a limit that its fill keeps to.
LIMIT_PRICES = {Order.Limit: ('price',), Order.StopLimit: ('pricelimit',), Order.StopTrailLimit: ('pricelimit',)}


class ExecutionBroker(AccountBroker):
    """The account with the rules by which an order fills; `AShareBroker` adds how orders are taken and wait.

    Params: ``slippage`` to ``star_protection``, as `AShareBroker` describes them.
    """

    params = (
        ('slippage', 0.0),  # fraction of the open, both ways together
        ('slippage_ticks', 0.0),  # price steps each way: of 0.01 yuan, of a fund 0.001
        ('min_slippage_ticks', 0.0),  # price steps each way that slippage is at least; of a fund that it is
        ('impact', 0.0),  # fraction of the open for an order as large as the day's volume
        ('volume_limit', 0.0),  # fraction of the day's volume, 0: none
        ('size_with_fees', True),  # a buy's budget covers slippage and fees
        ('star_market_orders', True),  # STAR takes market orders
        ('star_protection', 0.0),  # fraction of the open
    )

    _slips_in_yuan = False  # slippage_ticks is so many yuan over 0.01, also for a fund: see set_slippage_fixed
    fund_slip: tuple[float, float, bool] | None = None  # of funds, where another: slippage, ticks, whether these are in yuan

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

    def _closed(self, data: Any, bar: OpeningBar) -> str:
        """Return why a stock does not trade on this bar; empty where it does."""
        if self.calendar.is_ours(data) and int(bar.stamp) != self.day or bar.paused == 1.0 or not bar.open > 0:
            return SUSPENDED
        return NO_VOLUME if current(data, 'volume') == 0 else ''

    def _try_exec(self, order: Order) -> None:
        data, kind = order.data, order.exectype
        bar = opening_bar(data) if len(data) else None
        closed = SUSPENDED if bar is None else self._closed(data, bar)
        only_if = order.info.get('only_if')
        if only_if is not None and not closed and not only_if(data, self._limits(data)[1]):
            order.addinfo(withdrawn=WITHDRAWN)
            order.cancel()
            self.notify(order)
            self._ococheck(order)
        elif kind != Order.Market and kind != Order.Close:
            if not closed:
                super()._try_exec(order)  # comes back in _execute with the price that was reached
        elif closed:
            self._refuse(order, closed)
        else:
            self._fill_at(order, bar.open if kind == Order.Market else current(data, 'close'), bar)

    def _fill_at(self, order: Order, price: float, bar: OpeningBar) -> None:
        """Fill an order at the open or at the close, or refuse it."""
        data, buy, info, code = order.data, order.isbuy(), order.info, order.data._name
        info['open'] = price  # what the fill is compared with
        low, high = self._limits(data, bar)
        half = rules.half_tick(code)
        star = rules.board(code) == rules.STAR if self.p.star_protection or not self.p.star_market_orders else False
        if buy:
            if star and not self.p.star_market_orders and not info.get('protection'):
                return self._refuse(order, STAR_MARKET_ORDER)
            if price >= high - half:
                return self._refuse(order, LIMIT_UP)
            fill = self._fill_price(data, price, True)
            size = self._buy_size(order, price, fill)
        else:
            if (reason := self._unsellable(order)) is not None:
                return self._refuse(order, reason)
            if star and not self.p.star_market_orders and info.get('needs_protection'):
                return self._refuse(order, STAR_MARKET_ORDER)
            if price <= low + half:
                return self._refuse(order, LIMIT_DOWN)
            fill = self._fill_price(data, price, False)
            size = self._sell_size(order)
        if not size:
            return self._refuse(order, BELOW_ONE_LOT)
        allowed = self._allowed(order, size, price)
        fill = fill(allowed) if callable(fill) else fill
        protection = info.get('protection')  # its price, of a STAR market order
        beyond = bool(protection) and (fill > protection + half if buy else fill < protection - half)
        if star and self.p.star_protection:
            beyond = beyond or abs(fill - price) > self.p.star_protection * price + half + 1e-9
        if beyond or fill > high + half or fill < low - half:
            return self._refuse(order, SLIPPED)
        return self._fill_allowed(order, size, allowed, fill)

    def _fill_price(self, data: Any, price: float, buy: bool, limit: float | None = None) -> float | Callable[[int], float]:
        """Return what an order fills at; with impact it depends on the size. A limit order slips up to its limit."""
        slip = self._slip_of(data._name)
        worst = (min if buy else max) if limit is not None else None
        volume = current(data, 'volume') if self.p.impact else 0.0
        if not volume > 0:
            fill = slipped(price, buy, **slip)
            return fill if worst is None else worst(fill, limit)
        most = self.p.volume_limit * volume if self.p.volume_limit else math.inf

        def at(size: int) -> float:
            fill = slipped(price, buy, min(size, most) / volume, **slip)
            return fill if worst is None else worst(fill, limit)

        return at

    def sale_cost(self, data: Any) -> float:
        """Return what it would cost to sell a holding whole at its last close, yuan: one order's fees, and its slippage.

        Without impact, as no volume is known, and without the tax on dividends that a sale may make due.
        """
        size = self.getposition(data).size
        price = self.marks.get(data, math.nan)
        if not size > 0 or not price > 0:
            return 0.0
        fill = slipped(price, False, **{**self._slip_of(data._name), 'impact': 0.0})
        comminfo = self.getcommissioninfo(data)
        if isinstance(comminfo, AShareCommission):
            fees = comminfo.fees(-size, fill, self.day, data._name).total
        else:
            fees = comminfo.getcommission(size, fill)
        return size * (price - fill) + fees

    def _slip_of(self, code: str) -> dict[str, float]:
        """Return how far an order of a stock or fund slips: keyword arguments of `fills.slipped`."""
        slip = {'slippage': self.p.slippage, 'ticks': self.p.slippage_ticks, 'least': self.p.min_slippage_ticks,
                'impact': self.p.impact, 'per_yuan': rules.steps(code)}
        in_yuan = self._slips_in_yuan
        if self.fund_slip is not None and rules.is_fund(code):
            slip['slippage'], slip['ticks'], in_yuan = self.fund_slip
        if in_yuan:
            slip['ticks'] *= slip['per_yuan'] / rules.STEPS
        if slip['slippage'] and self.p.min_slippage_ticks and rules.is_fund(code):
            # the percentage is that of micro-caps; a listed fund is quoted a price step apart
            slip.update(slippage=0.0, ticks=slip['ticks'] + self.p.min_slippage_ticks)
        return slip

    def _execute(
        self, order: Order, ago: int | None = None, price: float | None = None, cash: Any = None,
        position: Any = None, dtcoc: Any = None,
    ) -> None:
        """Fill a resting order at the price that Backtrader found; wait where the rules forbid it today."""
        if ago is None or price is None:
            return
        data, buy = order.data, order.isbuy()
        if order.exectype == Order.Historical:
            self._resize(order, abs(order.size))
            self._fill(order, abs(order.size), price)
            return
        low, high = self._limits(data)
        limits, half, per_yuan = LIMIT_PRICES.get(order.exectype), rules.half_tick(data._name), rules.steps(data._name)
        # a trailing one is off the tick
        limit = on_tick(getattr(order.created, limits[0]), up=not buy, per_yuan=per_yuan) if limits else None
        price = rules.round_half_up(price, per_yuan)
        reached = self._fill_price(data, price, buy, limit)
        if buy:
            size = self._buy_size(order, price, reached)
        else:
            size = 0 if self._unsellable(order) is not None else self._sell_size(order)
        if not size:
            return
        allowed = self._allowed(order, size, price)
        fill = reached(allowed) if callable(reached) else reached
        # at the limit itself nobody is on the other side; a slippage may end there
        if (price >= high - half) if buy else (price <= low + half):
            return
        if allowed and not (fill > high + half or fill < low - half):
            order.info['open'] = price
            self._fill_allowed(order, size, allowed, fill)

    def _unsellable(self, order: Order) -> str | None:
        data = order.data
        if not self.getposition(data).size:
            return NOT_HELD
        return None if self.sellable(data) > 0 else BOUGHT_TODAY

    def _allowed(self, order: Order, size: int, price: float) -> int:
        """Return how much of a legal size the day's volume, and a filler, let through."""
        data, most = order.data, math.inf
        if self.p.volume_limit and (volume := current(data, 'volume')) == volume:
            day, traded = self._traded.get(data, NOTHING)  # by earlier orders of the day
            most = math.floor(self.p.volume_limit * volume + 1e-9) - (traded if day == self.day else 0)
        if self.p.filler is not None:
            most = min(most, self.p.filler(order, price, 0))
        if most >= size:
            return size
        most = max(0, int(most))
        # a sale was a legal order already: its fill only keeps to the steps of the board
        step = rules.LOTS[rules.board(data._name)].step
        return rules.legal_buy(data._name, most) if order.isbuy() else most // step * step

    def _fill_allowed(self, order: Order, size: int, allowed: int, fill: float) -> None:
        """Fill what the volume limit lets through; what it cuts is cancelled and reported."""
        at_once = order.exectype in (Order.Market, Order.Close)
        if not allowed:
            if at_once:
                self._refuse(order, VOLUME_LIMIT)
            return
        self._resize(order, size)
        self._fill(order, allowed, fill)
        if allowed < size and at_once:
            self._cancel_rest(order, VOLUME_LIMIT)
        elif allowed < size:
            self._resize_sibling(order)

    def _resize_sibling(self, order: Order) -> None:
        """Leave the other child of a bracket what is left of the one that filled in part."""
        if order.parent is None:
            return
        for other in self._pchildren.get(order.parent.ref, ()):
            if other is not order and other.alive():
                self._resize(other, abs(int(order.executed.remsize)))

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

    def _limits(self, data: Any, bar: OpeningBar | None = None) -> tuple[float, float]:
        """Return today's (low, high) limit; the data's own win, NaN where there is none; `bar`: today's, where it is at hand."""
        bar = opening_bar(data) if bar is None else bar
        low, high, preclose = bar.low_limit, bar.high_limit, bar.preclose
        if low == low and high == high:
            return low, high
        if preclose == preclose:
            code = data._name
            computed = rules.price_limits(code, self.day, preclose, bar.is_st == 1.0,
                                          self.calendar.listed_day(data, self.day), self._delisting_day(data, bar))
            # an open beyond it proves that no such limit holds on the day, as at a relisting; of a fund, whose code may not tell
            # whether it has 10 or 20 %, so does any price of the day
            least = most = bar.open
            if rules.is_fund(code):
                least, most = data.low[0], data.high[0]
            half = rules.half_tick(code)
            if not (most > computed[1] + half or least < computed[0] - half):
                low, high = (low if low == low else computed[0]), (high if high == high else computed[1])
        return low, high

    @staticmethod
    def _delisting_day(data: Any, bar: OpeningBar) -> int:
        """Return 1 on the first day of the delisting period, else 0."""
        if bar.delisting_period != 1.0 or not getattr(data, 'has_delisting_period', False):
            return 0
        return int(len(data) > 1 and data.delisting_period[-1] == 0.0)
