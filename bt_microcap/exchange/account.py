"""The books of the account: cash, positions, T+1, marks, and what happens to a holding without an order."""

from __future__ import annotations

import math
from typing import Any

import backtrader as bt
from backtrader.order import Order, SellOrder
from backtrader.position import Position

from . import corporate_actions
from .calendar import Calendar
from .commission import NO_FEES, AShareCommission, Fees
from .tax_lots import HOLDING, TaxLots

NAN = math.nan
DELISTED = 'delisted'
CONSOLIDATED = 'consolidated'


def line_value(data: Any, name: str, default: float = NAN) -> float:
    """Return today's value of a feed's line, or the default where the feed has no such line."""
    line = getattr(data, name, None)
    return default if line is None else line[0]


class AccountBroker(bt.brokers.BackBroker):
    """Backtrader's broker with the books of an A-share account; `AShareBroker` adds the rules of orders.

    Params (beside those of ``BackBroker``):

      - ``ex_rights`` (default: ``'auto'``), ``dividend_tax`` (default: ``0.2``), ``delist`` (default:
        ``'last_close'``): see `corporate_actions`.
    """

    params = (
        ('ex_rights', 'auto'),  # auto | reinvest | off
        ('dividend_tax', 0.2),  # of a cash dividend, on the ex-date; or 'holding': by the time held, at the sale
        ('delist', 'last_close'),  # last_close | zero | part of the last close that is lost
    )

    def __init__(self) -> None:
        super().__init__()
        # a plain comminfo has no fees(); ours is the default, another can be set as with any broker
        self.comminfo[None] = AShareCommission()

    def init(self) -> None:
        """Start with cash and nothing else; called by Cerebro before a run."""
        super().init()
        self.day = 0  # ordinal of the day begun
        self._open = False  # from the start of a day until its orders are filled
        self._bought: dict[Any, tuple[int, int]] = {}  # data -> (day, shares bought on it)
        self._owners: dict[Any, list[Any]] = {}  # data -> the strategies that hold it
        self.marks: dict[Any, float] = {}  # data -> close of the last row while held
        self.events: list[tuple[int, str, str, int, int, float]] = []
        self.tax_lots = TaxLots() if self.p.dividend_tax == HOLDING else None
        self._calendar: Calendar | None = None

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
            self._settle_delisted()
            self._apply_ex_rights()

    @property
    def calendar(self) -> Calendar:
        """The trading days and the lives of the stocks, as the feeds tell them."""
        if self._calendar is None:
            self._calendar = Calendar(self.cerebro.datas)
        return self._calendar

    # -- positions ----------------------------------------------------------------------------------------

    def getposition(self, data: Any) -> Position:
        """Return the position in a feed; unlike the base class it makes no entry for what is not held."""
        return self.positions[data] if data in self.positions else Position()

    def sellable(self, data: Any) -> int:
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

    # -- what happens without an order ----------------------------------------------------------------------

    def _settle_delisted(self) -> None:
        """Turn positions in stocks that were delisted after the close of the day before into cash."""
        for data in list(self.positions):
            if self.calendar.has_ended(data, self.day):
                self._book_out(data, corporate_actions.delisting_price(self.marks.get(data, 0.0), self.p.delist), DELISTED)

    def _apply_ex_rights(self) -> None:
        """Apply the ex-rights of the day to what is held, before any order."""
        if self.p.ex_rights == 'off':
            return
        tax_rate = self.p.dividend_tax if self.tax_lots is None else 0.0
        for data, position in list(self.positions.items()):
            if int(data.datetime[0]) != self.day or data not in self.marks:
                continue
            explicit = self.p.ex_rights == 'auto' and getattr(data, 'explicit_actions', False)
            happened = corporate_actions.ex_rights(
                position.size, self.marks[data], line_value(data.lines, 'preclose'), tax_rate,
                line_value(data.lines, 'cash_dividend') if explicit else NAN,
                line_value(data.lines, 'share_ratio') if explicit else NAN)
            if happened is not None:
                if self.tax_lots is not None and happened.dividend:
                    self.tax_lots.dividend(data, self.day, happened.dividend)
                self._restate(data, happened)

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
        return [(owner, trade) for owner in self._owners[data] for trades in owner._trades[data].values()
                for trade in trades[-1:] if trade.isopen]

    # -- fills --------------------------------------------------------------------------------------------

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
            if signed < 0 and self.tax_lots is not None:
                fees = fees._replace(dividend_tax=self.tax_lots.sell(data, self.day, size))
        info = order.info
        info['filled_value'] = info.get('filled_value', 0.0) + size * price
        info['charged'] = info.get('charged', 0.0) + fees.commission
        info['fees'] = info.get('fees', ()) + (fees,)  # one entry a fill, beside order.executed.exbits
        position = self.positions[data]
        cost = position.price
        psize, pprice, opened, closed = position.update(signed, price, data.datetime.datetime())
        self.cash -= signed * price + fees.total
        if signed > 0:
            if self.tax_lots is not None:
                self.tax_lots.buy(data, self.day, size)
            day, bought = self._bought.get(data, (0, 0))
            self._bought[data] = self.day, size + (bought if day == self.day else 0)
            owners = self._owners.setdefault(data, [])
            if not any(owner is order.owner for owner in owners):  # == of two strategies compares their lines
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
        if self.tax_lots is not None:
            self.tax_lots.forget(data)
