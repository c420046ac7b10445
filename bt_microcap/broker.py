"""The broker: Backtrader's own, with the exchange's order rules."""

from __future__ import annotations

import math
from typing import Any

import backtrader as bt
from backtrader.order import Order, SellOrder
from backtrader.position import Position

from . import corporate_actions, rules
from .commission import NO_FEES, AShareCommission, Fees

NAN = math.nan

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
DELISTED = 'delisted'


def line_value(data: Any, name: str, default: float = NAN) -> float:
    """Return today's value of a feed's line, or the default where the feed has no such line."""
    line = getattr(data, name, None)
    return default if line is None else line[0]


class AShareBroker(bt.brokers.BackBroker):
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
    - Corporate actions and delistings of what is held: see `corporate_actions`.

    Feeds are named by the canonical code; lines that a feed lacks (``paused``, ``preclose``, ...) ask nothing.

    Params (beside those of ``BackBroker``):

      - ``slippage`` (default: ``0.0``): in all, as a fraction of the open; half of it each way, then rounded
        half-up to 0.01.
      - ``volume_limit`` (default: ``0.0``): largest part of the day's volume that one order may take; the rest
        is cancelled. 0: no limit.
      - ``size_with_fees`` (default: ``True``): a buy costs at most its budget, slippage and fees included.
        False, as JoinQuant: sized at the raw open without fees; cash may end slightly negative.
      - ``star_market_orders`` (default: ``True``): False refuses market orders on the STAR board, as JoinQuant
        does without a protective limit price.
      - ``ex_rights`` (default: ``'auto'``), ``dividend_tax`` (default: ``0.2``), ``delist`` (default:
        ``'last_close'``): see `corporate_actions`.
    """

    params = (
        ('slippage', 0.0),  # fraction of the open, both ways together
        ('volume_limit', 0.0),  # fraction of the day's volume, 0: none
        ('size_with_fees', True),  # a buy's budget covers slippage and fees
        ('star_market_orders', True),  # STAR takes market orders
        ('ex_rights', 'auto'),  # auto | reinvest | off
        ('dividend_tax', 0.2),  # of a cash dividend, withheld on the ex-date
        ('delist', 'last_close'),  # last_close | zero
    )

    def __init__(self) -> None:
        super().__init__()
        for name, valid in (('ex_rights', ('auto', 'reinvest', 'off')), ('delist', ('last_close', 'zero'))):
            if getattr(self.p, name) not in valid:
                raise ValueError(f'{name} is {getattr(self.p, name)!r}: expected one of {", ".join(valid)}')
        for name, below in (('slippage', 2.0), ('volume_limit', math.inf), ('dividend_tax', 1.0)):
            value = getattr(self.p, name)
            if not 0 <= value < below:
                raise ValueError(f'{name} is {value!r}: expected a fraction of 0 or more, below {below}')
        # a plain comminfo has no fees(); ours is the default, another can be set as with any broker
        self.comminfo[None] = AShareCommission()

    def init(self) -> None:
        """Start with cash and nothing else; called by Cerebro before a run."""
        super().init()
        self.day = 0  # ordinal of the day begun
        self._open = False  # from the start of a day until its orders are filled
        self._coo = bool(self.p.coo)
        self._bought: dict[Any, tuple[int, int]] = {}  # data -> (day, shares bought on it)
        self._owners: dict[Any, list[Any]] = {}  # data -> the strategies that hold it
        self.marks: dict[Any, float] = {}  # data -> close of the last row while held
        self._calendar: corporate_actions.Calendar | None = None

    # -- the day ------------------------------------------------------------------------------------------

    def today(self) -> int:
        """Return the ordinal of the current bar's day."""
        return int(max((data.datetime[0] for data in self.cerebro.datas if len(data)), default=0))

    def start_day(self) -> None:
        """Do what happens before the open: delistings of the day before, then ex-rights.

        Orders and the end of the bar call it by themselves; call it at the start of ``next_open`` where
        positions or cash are read before the first order.
        """
        if self._open:
            return
        day = self.today()
        if day == self.day:
            return
        self.day, self._open = day, True
        if self.positions:
            corporate_actions.settle_delisted(self)
            corporate_actions.apply_ex_rights(self)

    @property
    def calendar(self) -> corporate_actions.Calendar:
        """The trading days and the lives of the stocks, as the feeds tell them."""
        if self._calendar is None:
            self._calendar = corporate_actions.Calendar(self.cerebro.datas)
        return self._calendar

    @property
    def fills_at_open(self) -> bool:
        """Whether market orders given now are filled at once, at the open of the current bar."""
        return self._coo and (self._open or self.today() != self.day)

    # -- positions ----------------------------------------------------------------------------------------

    def getposition(self, data: Any) -> Position:
        """Return the position in a feed; unlike the base class it makes no entry for what is not held."""
        return self.positions[data] if data in self.positions else Position()

    def settled(self, data: Any) -> int:
        """Return the shares that may be sold today: the position less what was bought today (T+1)."""
        size = self.getposition(data).size
        day, bought = self._bought.get(data, (0, 0))
        return size - bought if day == self.day else size

    def _get_value(self, datas: Any = None, lever: bool = False) -> float:
        if self._fundhist:
            return super()._get_value(datas, lever)
        while self._cash_addition:
            added = self._cash_addition.popleft()
            self._fundshares += added / self._fundval
            self.cash += added
        held = unrealized = 0.0
        for data in self.positions if datas is None else datas:
            position = self.positions.get(data)
            if position is None:
                continue
            close = data.close[0]
            if close == close:
                self.marks[data] = close
            else:  # NaN: a day without a row keeps the last close
                close = self.marks.get(data, position.price)
            held += position.size * close
            unrealized += position.size * (close - position.price)
        if datas is not None:
            return held
        self._valuemkt = self._valuemktlever = held
        self._value = self._valuelever = self.cash + held
        self._leverage, self._unrealized = 1.0, unrealized
        self._fundval = self._value / self._fundshares
        return self._value

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
        order.addinfo(wanted=abs(order.size))
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
        price = data.open[0]
        low, high = self._limits(data)
        if buy:
            if not self.p.star_market_orders and rules.board(data._name) == rules.STAR:
                return self._refuse(order, STAR_MARKET_ORDER)
            if price >= high - rules.HALF_TICK:
                return self._refuse(order, LIMIT_UP)
            fill = rules.round_half_up(price * (1 + self.p.slippage / 2))
            size = self._buy_size(order, price, fill)
            if not size:
                return self._refuse(order, BELOW_ONE_LOT)
        else:
            if (reason := self._unsellable(order)) is not None:
                return self._refuse(order, reason)
            if price <= low + rules.HALF_TICK:
                return self._refuse(order, LIMIT_DOWN)
            fill = max(rules.TICK, rules.round_half_up(price * (1 - self.p.slippage / 2)))
            size = self._sell_size(order)
            if not size:
                return self._refuse(order, BELOW_ONE_LOT)
        if fill > high + rules.HALF_TICK or fill < low - rules.HALF_TICK:
            return self._refuse(order, SLIPPED)
        return self._fill_size(order, size, fill)

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
            self._fill_size(order, size, fill)

    def _unsellable(self, order: Order) -> str | None:
        if not self.getposition(order.data).size:
            return NOT_HELD
        return None if self.settled(order.data) > 0 else BOUGHT_TODAY

    def _fill_size(self, order: Order, size: int, fill: float) -> None:
        """Fill a legal size as far as the volume limit lets it; what it cuts is cancelled and reported."""
        allowed = size
        if self.p.volume_limit and order.data.volume[0] == order.data.volume[0]:
            most = math.floor(self.p.volume_limit * order.data.volume[0] + 1e-9)
            if most < size:
                code = order.data._name
                # a sale was a legal order already: its fill only keeps to the steps of the board
                step = rules.LOTS[rules.board(code)].step
                allowed = rules.legal_buy(code, most) if order.isbuy() else most // step * step
        if not allowed:
            if order.exectype == Order.Market:
                self._refuse(order, VOLUME_LIMIT)
            return
        self._resize(order, size)
        self._fill(order, allowed, fill)
        if allowed < size and order.exectype == Order.Market:
            self._cancel_rest(order, VOLUME_LIMIT)

    # -- sizes --------------------------------------------------------------------------------------------

    def _buy_size(self, order: Order, price: float, fill: float) -> int:
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
        return affordable(code, asked, fill, limit, lambda size: self._fees(order, size, fill).total)

    def _sell_size(self, order: Order) -> int:
        position = self.getposition(order.data).size
        settled = self.settled(order.data)
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

    # -- money --------------------------------------------------------------------------------------------

    def _fees(self, order: Order, size: float, price: float) -> Fees:
        """Return the fees of a fill of this order, its commission's minimum paid once over all fills."""
        comminfo = self.getcommissioninfo(order.data)
        if not isinstance(comminfo, AShareCommission):
            return Fees(comminfo.getcommission(size, price), 0.0, 0.0)
        return comminfo.fees(size, price, self.day, order.data._name, value_before=order.info.get('filled_value', 0.0),
                             charged=order.info.get('charged', 0.0))

    def _fill(self, order: Order, size: int, price: float, fees: Fees | None = None) -> None:
        """Book a fill: cash, position, T+1, the order and its notification."""
        data = order.data
        signed = size if order.isbuy() else -size
        comminfo = self.getcommissioninfo(data)
        if fees is None:
            fees = self._fees(order, signed, price)
        info = order.info
        info['filled_value'] = info.get('filled_value', 0.0) + size * price
        info['charged'] = info.get('charged', 0.0) + fees.commission
        info['fees'] = info.get('fees', ()) + (fees,)  # one entry a fill, beside order.executed.exbits
        position = self.positions[data]
        cost = position.price
        psize, pprice, opened, closed = position.update(signed, price, data.datetime.datetime())
        self.cash -= signed * price + fees.total
        if signed > 0:
            day, bought = self._bought.get(data, (0, 0))
            self._bought[data] = self.day, size + (bought if day == self.day else 0)
            owners = self._owners.setdefault(data, [])
            if order.owner not in owners:
                owners.append(order.owner)
            opened_fees, closed_fees, pnl = fees.total, 0.0, 0.0
        else:
            opened_fees, closed_fees, pnl = 0.0, fees.total, size * (price - cost)
        if not psize:
            self._forget(data)
        info['cash'] = self.cash  # after this fill
        order.execute(data.datetime[0], signed, price, closed, -closed * cost, closed_fees,
                      opened, opened * price, opened_fees, comminfo.margin, pnl, psize, pprice)
        order.addcomminfo(comminfo)
        self.notify(order)
        self._ococheck(order)

    def _forget(self, data: Any) -> None:
        """Drop a flat position: the base class would value it on every bar for ever."""
        for book in (self.positions, self._bought, self._owners, self.marks):
            book.pop(data, None)

    def book_out(self, data: Any, price: float, reason: str) -> None:
        """Turn a whole position into cash at a price, free of charge, as a sale of the broker's own.

        Parameters
        ----------
        data : data feed
        price : float
            Yuan a share.
        reason : str
            Kept in ``order.info.reason``; ``notify_order`` sees the order like any other.
        """
        owners, size = self._owners[data], self.positions[data].size
        pieces = [(owner, trade.tradeid, trade.size) for owner, trade in self._open_trades(data)]
        if sum(piece[2] for piece in pieces) != size:  # trades that no strategy keeps book of
            pieces = [(owners[-1], 0, size)]
        for owner, tradeid, shares in pieces:
            order = SellOrder(owner=owner, data=data, size=shares, tradeid=tradeid)
            order.addinfo(wanted=shares, reason=reason)
            self._ocoize(order, None)
            order.submit(self)
            order.accept(self)
            self._fill(order, shares, price, NO_FEES)

    def _open_trades(self, data: Any) -> list[tuple[Any, Any]]:
        """Return the strategies' open trades in a feed, each with its owner."""
        return [(owner, trade) for owner in self._owners[data] for trades in owner._trades[data].values()
                for trade in trades[-1:] if trade.isopen]

    def restate(self, data: Any, shares: int, cash: float) -> None:
        """Restate a position after a corporate action; its cost and its open trade go with it.

        Parameters
        ----------
        data : data feed
        shares : int
            New number of shares.
        cash : float
            Yuan paid out; it lowers the cost of the position.
        """
        position = self.positions[data]
        if not shares:  # a consolidation below one share: the cash is all that is left
            self.book_out(data, cash / position.size, 'consolidated')
            return
        self.cash += cash
        trades = [trade for _, trade in self._open_trades(data)]
        left, before = shares, position.size
        for number, trade in enumerate(trades, 1):
            new = left if number == len(trades) else shares * trade.size // before  # whole shares, none lost
            left -= new
            paid = cash * trade.size / before
            if new:
                trade.price = (trade.size * trade.price - paid) / new
            trade.size, trade.value = new, trade.price * new
        position.price = position.price_orig = (position.size * position.price - cash) / shares
        position.size = shares


def affordable(code: str, most: float, price: float, limit: float, fees: Any) -> int:
    """Return the largest legal size whose value and fees stay within a limit.

    Parameters
    ----------
    code : str
        Canonical code: lots go by board.
    most : float
        Shares, not to be exceeded.
    price : float
        Yuan a share, as it will be filled.
    limit : float
        Yuan for shares and fees together.
    fees : callable
        Size in shares -> all fees in yuan, not falling with the size.

    Returns
    -------
    int
        Shares; 0 where not even the smallest lot fits.
    """
    fits = limit + 1e-9  # yuan: a budget met exactly must not fail by a binary rounding

    def cost(size: int) -> float:
        return size * price + fees(size)

    size = rules.legal_buy(code, min(most, fits / price))
    if not size or cost(size) <= fits:
        return size
    # fees are nearly proportional: take what they add off the budget, then settle the last steps exactly
    step = rules.LOTS[rules.board(code)].step
    size = rules.legal_buy(code, min(most, (limit - fees(size)) / price))
    while size and cost(size) > fits:
        size = rules.legal_buy(code, size - step)
    while True:
        larger = rules.legal_buy(code, (size or rules.LOTS[rules.board(code)].minimum - step) + step)
        if larger <= size or larger > most or cost(larger) > fits:
            return size
        size = larger
