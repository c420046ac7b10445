"""The books of the account: cash, positions, T+1, marks, and what happens to a holding without an order."""

from __future__ import annotations

import math
import sys
from bisect import bisect_left
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import backtrader as bt
import numpy as np
from backtrader.order import Order
from backtrader.position import Position

from . import corporate_actions, rules
from .bars import NAN, current, opening_bar
from .calendar import Calendar
from .commission import NO_FEES, AShareCommission, Fees
from .opening import Opening
from .orders import SellOrder
from .tax_lots import HOLDING, TaxLots
from .trades import Trades

MANY = 20  # holdings from which on it pays to ask for all of them at once, and their feeds for all their ex-dates
NOTIONAL = 10_000_000  # shares: what an ex-date does to prices does not depend on how many are held
NOTHING = 0, 0  # no day, no shares
DELISTED = 'delisted'
CONSOLIDATED = 'consolidated'


class Closing(NamedTuple):
    """What is held at a close, in the order of the positions."""

    datas: list[Any]
    numbers: np.ndarray  # of the stocks in the market's store
    sizes: np.ndarray  # shares
    prices: np.ndarray  # yuan, the close; of the last row where the day has none
    costs: np.ndarray  # yuan a share


def sum_in_order(values: np.ndarray) -> float:
    """Return a sum that is added up one by one, as a loop does: NumPy's own adds in pairs, with other last digits."""
    return float(np.cumsum(values)[-1])


class AccountBroker(bt.brokers.BackBroker):
    """Backtrader's broker with the books of an A-share account; `AShareBroker` adds the rules of orders.

    Params (beside those of ``BackBroker``):

      - ``ex_rights`` (default: ``'auto'``), ``dividend_tax`` (default: ``0.2``), ``delist`` (default:
        ``'last_close'``), ``delist_wait`` (default: ``60``): see `corporate_actions`.
    """

    params = (
        ('ex_rights', 'auto'),  # auto | reinvest | off
        ('dividend_tax', 0.2),  # of a cash dividend, on the ex-date; or 'holding': by the time held, at the sale
        ('delist', 'last_close'),  # last_close | zero | part of the last close that is lost
        ('delist_wait', 60),  # trading days without a row, where the day of the delisting is not known
    )

    def __init__(self) -> None:
        super().__init__()
        self._running = False  # from the start of a run to its end
        self.before_run: list[Callable[[bt.Cerebro], Any]] = []  # called with Cerebro at the start of a run
        self.at_close: list[Callable[[], Any]] = []  # called at the close of every day of the market
        # a plain comminfo has no fees(); ours is the default, another can be set as with any broker
        self.comminfo[None] = AShareCommission()

    def init(self) -> None:
        """Start with cash and nothing else; called by Cerebro before a run."""
        super().init()
        self.day = 0  # ordinal of the trading day begun
        self.is_market_bar = False  # whether the current bar is one of the market, not of some other feed beside it
        self._open = False  # from the start of a day until its orders are filled
        self._closing = False  # while those are called who decide at the close
        self._now = 0.0  # Backtrader's number of the current bar
        self._bought: dict[Any, tuple[int, int]] = {}  # data -> (day, shares bought on it)
        self._traded: dict[Any, tuple[int, int]] = {}  # data -> (day, shares bought and sold on it)
        self._dated: tuple[Any, Any] = (None, None)  # number and zone of a bar, and its datetime
        self._numbers: dict[Any, int] = {}  # data -> the stock's number in its market's store, of what is held; -1: of no market
        self._is_in_order = True  # whether these come as the positions do: nobody has made an entry there by looking
        self.closing: Closing | None = None  # of many holdings of one market, at the last close; None: of others
        self._next_ex_days: dict[Any, int] = {}  # data -> the first day from which on ex-rights may be
        self._first_end = 0  # a day up to which nothing that is held can have ended
        self._owners: dict[Any, list[Any]] = {}  # data -> the strategies that hold it
        self.marks: dict[Any, float] = {}  # data -> close of the last row while held
        self.events: list[tuple[int, str, str, int, int, float]] = []
        self.cash_flows: list[tuple[int, float]] = []  # (ordinal of the day, yuan) of every `add_cash`
        self.tax_lots = TaxLots() if self.p.dividend_tax == HOLDING else None
        self.calendar = Calendar(())

    def start(self) -> None:
        """Hang the bell that begins every bar among Cerebro's timers; called by Cerebro before a run."""
        if self.cerebro.p.oldsync:
            raise ValueError('oldsync=True: its loop knows neither next_open nor timers, which AShareBroker needs; leave it out')
        super().start()
        self._running = True
        for hook in self.before_run:
            hook(self.cerebro)
        timers = self.cerebro._pretimers
        self.opening = Opening(self)
        timers[:] = [self.opening, *(timer for timer in timers if not isinstance(timer, Opening))]

    def stop(self) -> None:
        """Let go of what an optimizer's worker would send back beside the results; called by Cerebro after a run."""
        super().stop()
        self._running = False
        if getattr(self.cerebro, '_dooptimize', False) and self.cerebro.p.optreturn:
            for strategy in self.cerebro.runningstrats:
                for analyzer in strategy.analyzers:
                    _release_children(analyzer)

    # -- the day ------------------------------------------------------------------------------------------

    def start_run(self) -> None:
        """Learn the trading days from the feeds, when all of them are loaded; the opening calls it."""
        for data in self.cerebro.datas:
            if hasattr(data, 'first_day') and (data.resampling or data.replaying or data.p.tzinput):
                raise ValueError(
                    f'{data._name}: found a stock that is resampled, replayed or read from another time zone, expected its daily '
                    'bars, which AShareBroker trades; cerebro.adddata(stock) as it is, then cerebro.resampledata(stock, ...) '
                    'makes a second feed beside it')
        self.calendar = Calendar(self.cerebro.datas, self.p.delist_wait)

    def start_bar(self, now: float) -> None:
        """Begin a bar, and with the first one of the market on a day the day; the opening calls it.

        What happens before the open happens here, before anybody can ask for a position or give an order:
        delistings of the day before, then ex-rights.

        Parameters
        ----------
        now : float
            Backtrader's number of the bar.
        """
        self._now = now
        self.is_market_bar = self.calendar.is_market_bar(now, self.day)
        if self.is_market_bar:
            self.day, self._open = int(now), True
            self._settle_delisted()
            self._apply_ex_rights()

    # -- positions ----------------------------------------------------------------------------------------

    def getposition(self, data: Any) -> Position:
        """Return the position in a feed; unlike the base class it makes no entry for what is not held."""
        position = self.positions.get(data)
        return Position() if position is None else position

    def held(self) -> list[Any]:
        """Return the feeds of what is held, in the order in which the positions were opened."""
        if self._is_in_order and len(self._numbers) == len(self.positions):
            return list(self._numbers)
        return [data for data, position in self.positions.items() if position.size]

    def sellable(self, data: Any) -> int:
        """Return the shares that may be sold today: the position less what was bought today (T+1), but for `rules.SAME_DAY`."""
        position = self.positions.get(data)
        size = 0 if position is None else position.size
        day, bought = self._bought.get(data, NOTHING)
        return size - bought if day == self.day and not rules.sold_same_day(data._name, day) else size

    def get_value(self, datas: Any = None, mkt: bool = False, lever: bool = False) -> float:
        """Return the value of the account, or of some positions, yuan (alias: ``getvalue``).

        At the open what is held counts at today's open, or at its last close where it does not trade; after the
        close at the close.
        """
        if datas is None and not self._open:
            return super().get_value(None, mkt, lever)
        held = 0.0
        for data in self.positions if datas is None else datas:
            position = self.positions.get(data)
            if position is not None:
                held += position.size * self._price(data, position.price)
        return held if datas is not None or mkt else self.cash + held

    getvalue = get_value

    def _price(self, data: Any, cost: float) -> float:
        """Return the price at which a holding counts now: never one that is not known yet."""
        if self._open:
            price = opening_bar(data).open if self._trades_today(data) else math.nan
        else:
            price = current(data, 'close')
        return price if price == price else self.marks.get(data, cost)

    def _trades_today(self, data: Any) -> bool:
        if not len(data):
            return False
        bar = opening_bar(data)
        return int(bar.stamp) == self.day and bar.paused != 1.0 and bar.open > 0

    def add_cash(self, cash: float) -> None:
        """Bring in money, or take it out, at the end of the current bar; it is no return, see `cash_flows`."""
        if not self._running:
            raise ValueError('add_cash() before the run would be forgotten: use setcash(), or add_cash() in the strategy')
        super().add_cash(cash)

    def setcommission(self, *args: Any, **kwargs: Any) -> None:
        """Set a plain commission, as Backtrader's; what asks for futures, margin or interest is an error."""
        for name, default in (('margin', None), ('mult', 1.0), ('leverage', 1.0), ('interest', 0.0), ('interest_long', False)):
            if kwargs.get(name, default) != default:
                raise ValueError(f'AShareBroker has no {name}: shares are paid in full, and nothing is lent')
        super().setcommission(*args, **kwargs)

    def _get_value(self, datas: Any = None, lever: bool = False) -> float:
        """Mark the holdings and value the account, at the end of a bar."""
        if self._fundhist:
            return super()._get_value(datas, lever)
        held, unrealized = self._mark()
        if self._fundshares:
            self._fundval = (self.cash + held) / self._fundshares
        while self._cash_addition:  # after the close, and no return of the day: at its value a share of the fund
            added = self._cash_addition.popleft()
            # a fund that is worth nothing begins anew, as at the start
            self._fundshares += added / (self._fundval or self.p.fundstartval)
            self.cash += added
            self.cash_flows.append((self.day or int(self._now), added))
        self._valuemkt = self._valuemktlever = held
        self._value = self._valuelever = self.cash + held
        self._leverage, self._unrealized = 1.0, unrealized
        return self._value

    def _mark(self) -> tuple[float, float]:
        """Mark the holdings at the close; return what they are worth, and by how much more than they cost, yuan."""
        held = unrealized = 0.0
        self.closing = self._closing_of_many() if len(self.positions) > MANY else None
        if self.closing is not None:
            values = self.closing.sizes * self.closing.prices
            gains = self.closing.sizes * (self.closing.prices - self.closing.costs)
            return sum_in_order(values), sum_in_order(gains)
        marks = self.marks
        for data, position in self.positions.items():
            price, size = current(data, 'close'), position.size
            if price == price:
                marks[data] = price
            else:  # NaN: a day without a row keeps the last close
                price = marks.get(data, position.price)
            held += size * price
            unrealized += size * (price - position.price)
        return held, unrealized

    def _closing_of_many(self) -> Closing | None:
        """Mark many holdings of one market together; None where they are not all of one."""
        if not self._is_in_order or len(self._numbers) != len(self.positions):
            return None
        datas, numbers = list(self.positions), np.array(list(self._numbers.values()))
        market = getattr(datas[0], 'market', None)  # two of them cannot be in one run
        if market is None or (numbers < 0).any() or (prices := market.closes(numbers)) is None:
            return None
        positions = self.positions.values()
        sizes = np.array([position.size for position in positions], dtype=float)
        costs = np.array([position.price for position in positions])
        marks = self.marks
        for place in np.flatnonzero(prices != prices).tolist():
            prices[place] = marks.get(datas[place], costs[place])
            if datas[place] not in marks:  # never marked: by its cost, until there is a close
                return None
        marks.update(zip(datas, prices.tolist(), strict=True))
        return Closing(datas, numbers, sizes, prices, costs)

    # -- what happens without an order ----------------------------------------------------------------------

    def _settle_delisted(self) -> None:
        """Turn positions in stocks that were delisted after the close of the day before into cash."""
        if self.day <= self._first_end:
            return
        for data in list(self.positions):
            if self.calendar.has_ended(data, self.day):
                self._book_out(data, corporate_actions.delisting_price(self.marks.get(data, 0.0), self.p.delist), DELISTED)
        self._first_end = min(map(self.calendar.lives_until, self.positions), default=0)

    def _apply_ex_rights(self) -> None:
        """Apply the ex-rights of the day to what is held and to what is ordered, before any new order."""
        if self.p.ex_rights == 'off':
            return
        held = list(self.positions.items())
        if len(held) > MANY:
            # only those are looked at whose feed does not tell that nothing can happen on the day
            known, day = self._next_ex_days, self.day
            held = [pair for pair in held if known.get(pair[0], 0) <= day and self._may_be_ex(pair[0])]
        for data, position in held:
            if data in self.marks and (happened := self._ex_rights(data, position.size, self.marks[data])) is not None:
                if self.tax_lots is not None and happened.dividend and not rules.is_fund(data._name):
                    self.tax_lots.dividend(data, self.day, happened.dividend)
                self._restate(data, happened)
        self._restate_orders()

    def _may_be_ex(self, data: Any) -> bool:
        """Return whether a feed does not exclude that today is an ex-date of its stock, and note when to ask next."""
        days = getattr(data, 'ex_days', None)
        if days is None:
            return True
        at = bisect_left(days, self.day)
        if at < len(days) and days[at] == self.day:
            return True
        self._next_ex_days[data] = days[at] if at < len(days) else sys.maxsize
        return False

    def _restate_orders(self) -> None:
        """Apply the ex-rights of the day to what waits."""
        for order in self.pending:
            data = order.data
            if len(data) > 1 and (happened := self._ex_rights(data, NOTIONAL, data.close[-1])) is not None:
                restate_order(order, happened)

    def _ex_rights(self, data: Any, shares: int, last_close: float) -> corporate_actions.ExRights | None:
        """Return what today's ex-rights make of some shares of a stock."""
        if not len(data) or int(data.datetime[0]) != self.day:
            return None
        explicit = self.p.ex_rights == 'auto' and getattr(data, 'explicit_actions', False)
        preclose = current(data, 'preclose')
        if not explicit and preclose == last_close:
            return None  # as a rule
        untaxed = self.tax_lots is not None or rules.is_fund(data._name)
        return corporate_actions.ex_rights(
            shares, last_close, preclose, 0.0 if untaxed else self.p.dividend_tax,
            current(data, 'cash_dividend') if explicit else NAN, current(data, 'share_ratio') if explicit else NAN,
            rules.half_tick(data._name))

    def _restate(self, data: Any, happened: corporate_actions.ExRights) -> None:
        """Restate a position after a corporate action; its cost and its open trades go with it."""
        position, shares, cash = self.positions[data], happened.shares, happened.cash
        if not shares:  # a consolidation below one share: the cash is all that is left
            self._book_out(data, cash / position.size, CONSOLIDATED)
            return
        self.cash += cash
        self.events.append((self.day, data._name, happened.action, position.size, shares, cash))
        if self.tax_lots is not None:
            self.tax_lots.restate(data, happened.ratio)
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

    def _book_out(self, data: Any, price: float, reason: str) -> None:
        """Turn a whole position into cash at a price, free of charge, as a sale of the broker's own.

        ``notify_order`` sees it like any other order; ``order.info.reason`` says why.
        """
        owners, size = self._owners[data], self.positions[data].size
        self.events.append((self.day, data._name, reason, size, 0, size * price))
        pieces = [(owner, trade.tradeid, trade.size) for owner, trade in self._open_trades(data)]
        if sum(piece[2] for piece in pieces) != size:  # trades that no strategy keeps book of
            pieces = [(owners[-1], 0, size)]
        for owner, tradeid, shares in pieces:
            order = SellOrder(owner=owner, data=data, size=shares, tradeid=tradeid)
            order.addinfo(wanted=shares, reason=reason, booked_out=True)
            self._ocoize(order, None)
            order.submit(self)
            order.accept(self)
            self._fill(order, shares, price, NO_FEES)

    def _open_trades(self, data: Any) -> list[tuple[Any, Any]]:
        """Return the strategies' open trades in a feed, each with its owner."""
        return [(owner, trade) for owner in self._owners[data] for trades in owner._trades[data].values() if len(trades)
                for trade in (trades.last if isinstance(trades, Trades) else trades[-1],) if trade.isopen]

    # -- fills --------------------------------------------------------------------------------------------

    def _fees(self, order: Order, size: float, price: float) -> Fees:
        """Return the fees of a fill of this order, its commission's minimum paid once over all fills."""
        data = order.data
        comminfo = self.getcommissioninfo(data)
        if not isinstance(comminfo, AShareCommission):
            return Fees(comminfo.getcommission(size, price), 0.0, 0.0)
        if not order.executed.size:
            return comminfo.fees(size, price, self.day, data._name)
        info = order.info
        return comminfo.fees(size, price, self.day, data._name, value_before=info.get('filled_value', 0.0),
                             charged=info.get('charged', 0.0), shares_before=abs(order.executed.size),
                             transfer_charged=info.get('transfer_charged', 0.0))

    def _fill(self, order: Order, size: int, price: float, fees: Fees | None = None) -> None:
        """Book a fill: cash, position, T+1, the order and its notification."""
        data, day = order.data, self.day
        signed = size if order.isbuy() else -size
        buy = signed > 0  # also a sale of fewer than none: see `_book_out`
        comminfo = self.getcommissioninfo(data)
        if fees is None:
            fees = self._fees(order, signed, price)
            if signed < 0 and self.tax_lots is not None:
                fees = fees._replace(dividend_tax=self.tax_lots.sell(data, day, size))
        info = order.info
        if order.executed.exbits:
            info['filled_value'] += size * price
            info['charged'] += fees.commission
            info['transfer_charged'] += fees.transfer_fee
            info['fees'] += (fees,)
        else:
            info['filled_value'] = 0.0 + size * price
            info['charged'], info['transfer_charged'] = 0.0 + fees.commission, 0.0 + fees.transfer_fee
            info['fees'] = (fees,)  # one entry a fill, beside order.executed.exbits
        looked_at = data in self.positions
        position, costs = self.positions[data], fees.total
        cost = position.price
        psize, pprice, opened, closed = position.update(signed, price, self._datetime_of(data))
        self.cash -= signed * price + costs
        if buy:
            if self.tax_lots is not None:
                self.tax_lots.buy(data, day, size)
            on, bought = self._bought.get(data, NOTHING)
            self._bought[data] = day, size + (bought if on == day else 0)
            owner, owners = order.owner, self._owners.get(data)
            if owners is None:
                self._owners[data] = [owner]
            elif owners[-1] is not owner and not any(each is owner for each in owners):  # == of two compares their lines
                owners.append(owner)
            if psize == signed:  # a new holding
                self._is_in_order &= not looked_at
                self._numbers[data] = getattr(data, '_number', -1)
                self._first_end = min(self._first_end, self.calendar.lives_until(data))
            opened_fees, closed_fees, pnl = costs, 0.0, 0.0
        else:
            opened_fees, closed_fees, pnl = 0.0, costs, size * (price - cost)
        if not psize:
            self._forget(data)
        on, traded = self._traded.get(data, NOTHING)
        self._traded[data] = day, size + (traded if on == day else 0)
        info['cash'] = self.cash  # after this fill
        # a stock that is booked out may have no bar today
        stamp = float(day) if info.get('booked_out') else data.datetime[0]
        order.execute(stamp, signed, price, closed, -closed * cost, closed_fees,
                      opened, opened * price, opened_fees, comminfo.margin, pnl, psize, pprice)
        order.addcomminfo(comminfo)
        self.notify(order)
        self._ococheck(order)

    def _datetime_of(self, data: Any) -> datetime:
        """Return a feed's ``datetime.datetime()``, as a position notes it; worked out once a bar."""
        line = data.datetime
        key = line.array[line.idx], line._tz
        if key != self._dated[0]:
            self._dated = key, line.datetime()
        return self._dated[1]

    def _forget(self, data: Any) -> None:
        """Drop a flat position: the base class would value it on every bar for ever."""
        for book in (self.positions, self._bought, self._owners, self.marks, self._numbers, self._next_ex_days):
            book.pop(data, None)
        if self.tax_lots is not None:
            self.tax_lots.forget(data)


def _release_children(analyzer: bt.Analyzer) -> None:
    """Take strategy and feeds off an analyzer's children: Cerebro does so only for the analyzers themselves."""
    for child in analyzer._children:
        child.strategy = child._parent = None
        for name in [name for name in vars(child) if name.startswith('data')]:
            setattr(child, name, None)
        _release_children(child)


def restate_order(order: Order, happened: corporate_actions.ExRights) -> None:
    """Restate an order that waits over an ex-date: as many shares more, at prices as much lower.

    Parameters
    ----------
    order : Order
    happened : ExRights
    """
    ratio, created = happened.ratio, order.created
    if order.exectype not in (Order.Market, Order.Close):
        for name in ('price', 'pricelimit'):
            price = getattr(created, name)
            if price and math.isfinite(price):
                setattr(created, name, rules.round_half_up((price - happened.dividend) / ratio, rules.steps(order.data._name)))
        if order.trailamount:
            order.trailamount /= ratio
        order._limitoffset /= ratio  # of a trailing limit from its stop
    if ratio != 1.0:
        sign = 1 if order.isbuy() else -1
        left = sign * corporate_actions.whole_shares(abs(order.executed.remsize) * ratio)
        order.executed.remsize = left
        order.size = created.size = order.executed.size + left
        order.info['wanted'] = abs(created.size)
