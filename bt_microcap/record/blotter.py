"""The blotter: every order, fill, refusal and corporate action of a run, and the account after every day."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import backtrader as bt
from backtrader.order import Order

from ..exchange import rules
from ..exchange.account import DELISTED
from ..exchange.bars import current
from ..exchange.broker import AShareBroker
from ..exchange.commission import NO_FEES, Fees
from . import run
from .holdings import HoldingsBook
from .round_trips import round_trips
from .rows import CashFlow, CorporateAction, Equity, Fill, FillDetail, OrderRecord, Rejection, RowsOf, Unfilled

_REFUSED = (Order.Rejected, Order.Margin, Order.Canceled)


class _OrderBooks:
    """What is known of an order that has not ended."""

    __slots__ = ('fills', 'order', 'volume_share')

    def __init__(self) -> None:
        self.order: bt.Order | None = None  # as it was last told
        # shares; yuan: value, commission, stamp duty, transfer fee, dividend tax, slippage
        self.fills: list[tuple[float, ...]] = []
        self.volume_share = 0.0  # the largest part of a day's volume

    def sums(self) -> tuple[float, ...]:
        """Return what the fills add up to; most orders have one."""
        if len(self.fills) == 1:
            return tuple([0 + value for value in self.fills[0]])  # as sum does: of -0.0 it makes 0.0
        return tuple(map(sum, zip(*self.fills, strict=True))) if self.fills else (0,) * 7


class Blotter(bt.Analyzer):
    """Every order with its fees and its refusal, and the account after every day.

    ``get_analysis()`` has the lists ``fills``, ``rejections``, ``equity``, ``orders``, ``corporate_actions``, ``cash_flows``,
    ``positions`` and ``round_trips``. The cash at the start, less what the fills cost, plus what the corporate actions and the
    cash flows brought, is the broker's cash: `cash_difference` tells by how much it is not. The account is followed from the
    first day on which `MicroCapStrategy` can trade, the second bar, or from the first bar where an order is filled or refused
    on it.

    What is held at each close is booked, too (``held``). Of an optimizer that sends back results instead of strategies
    (``optreturn=True``) each one's ``run`` has all that `save_run` and `report` ask for.
    """

    follows_holdings = True  # not for the figures alone

    fills = RowsOf(Fill)
    details = RowsOf(FillDetail)  # one for each fill
    rejections = RowsOf(Rejection)
    orders = RowsOf(OrderRecord)  # those that have ended
    unfilled = RowsOf(Unfilled)  # one for each of the orders

    def start(self) -> None:
        """Begin with empty books.

        Raises
        ------
        ValueError
            Several strategies share the account: its value belongs to none of them.
        """
        if len(self.strategy.env.runningstrats) > 1:
            raise ValueError(f'found {len(self.strategy.env.runningstrats)} strategies in one Cerebro, which share one account: '
                             'a Blotter cannot tell whose it is; run one Cerebro a strategy, or cerebro.optstrategy')
        self.fills, self.details = [], []
        self.held = HoldingsBook()
        self.run: run.Run | None = None
        self.equity: list[Equity] = []
        self.rejections, self.orders, self.unfilled = [], [], []
        self.corporate_actions: list[CorporateAction] = []
        self._open: dict[int, _OrderBooks] = {}  # reference of an order that has not ended -> what adds up of it
        self._dated = 0, date.min
        self._days = self._day = 0  # trading days so far; ordinal of the last
        self.cash_flows: list[CashFlow] = []
        self._fund = self._shares_and_value()
        self._start_cash = self.strategy.broker.startingcash

    def notify_order(self, order: bt.Order) -> None:
        """Book the fills and the refusal that an order's notification brings."""
        info, done, status = order.info, order.executed, order.status
        reason = info.get('reason')
        side = 'BUY' if order.isbuy() else 'SELL'
        if info.get('booked_out'):  # no order of the strategy's: the position became cash
            if done.size and reason == DELISTED:
                # it became cash after the close of the trading day before
                day = self.strategy.broker.calendar.previous(int(done.dt))
                self._rejections.book((date.fromordinal(day), order.data._name, side, reason))
            return
        books = self._open.get(order.ref)
        if books is None:
            books = self._open[order.ref] = _OrderBooks()
        books.order = order
        if done.p1 < done.p2:
            for number, bit in enumerate(done.iterpending(), done.p1):
                self._book_fill(order, side, books, bit, self._fees(order, number, bit))
        if status in _REFUSED and (reason or status != Order.Canceled):
            self._rejections.book((self._date(self._today()), order.data._name, side, reason or order.getstatusname().lower()))
        if status >= Order.Completed:
            self._close(order, side, books, reason)

    def _book_fill(self, order: bt.Order, side: str, books: _OrderBooks, bit: Any, fees: Fees) -> None:
        info, data, price, size = order.info, order.data, bit.price, abs(int(bit.size))
        commission, stamp_duty, transfer_fee, dividend_tax = fees
        self._fills.book((self._date(int(bit.dt)), data._name, side, size, price, commission, stamp_duty + dividend_tax,
                          transfer_fee))
        slippage = size * (price - info.get('open', price)) * (1 if side == 'BUY' else -1)
        self._details.book((slippage, info.get('why') or ''))
        volume = current(data, 'volume')
        books.fills.append((size, size * price, commission, stamp_duty, transfer_fee, dividend_tax, slippage))
        books.volume_share = max(books.volume_share, size / volume if volume > 0 else 0.0)

    def _date(self, day: int) -> date:
        """Return the date of an ordinal; the last one is kept, for a day asks for it many times."""
        if day != self._dated[0]:
            self._dated = day, date.fromordinal(day)
        return self._dated[1]

    def _today(self) -> int:
        """Return the ordinal of the day; with quicknotify the strategy has not moved to its bar when orders are told."""
        broker = self.strategy.broker
        return broker.day if isinstance(broker, AShareBroker) else int(self.strategy.datetime[0])

    def _close(self, order: bt.Order, side: str, books: _OrderBooks, reason: str | None) -> None:
        """Write the record of an order that has ended."""
        info = order.info
        quantity, value, commission, stamp_duty, transfer_fee, dividend_tax, slippage = books.sums()
        self._orders.book((
            self._date(int(info.get('day') or order.created.dt or self._today())), order.data._name, side,
            info.get('why') or '',
            int(info.get('wanted') or abs(order.created.size)), quantity, value / quantity if quantity else 0.0,
            commission, stamp_duty, transfer_fee, dividend_tax, slippage,
            order.getstatusname(), reason or info.get('withdrawn') or '', books.volume_share))
        self._unfilled.book((info.get('open', math.nan), self._left(order, quantity)))
        del self._open[order.ref]

    def _left(self, order: bt.Order, quantity: int) -> int:
        """Return how many more shares an order that has ended could have traded at the price it met."""
        if order.status == Order.Completed:
            return 0
        data, broker = order.data, self.strategy.broker
        left = int(order.info.get('wanted') or abs(order.created.size)) - quantity
        if left <= 0:
            return 0
        price = order.info.get('open') or (data.open[0] if len(data) else math.nan)
        held = max(0, int(broker.getposition(data).size))
        if not order.isbuy():
            left = min(left, held)
        elif price > 0:
            # yuan: cash that pays exactly must not fail by a binary rounding
            left = min(left, (max(0.0, broker.getcash()) + 1e-9) / price)
        try:
            return rules.legal_buy(data._name, left) if order.isbuy() else rules.legal_sell(data._name, left, held)
        except rules.RuleError:  # no code of a stock
            return int(left)

    @staticmethod
    def _fees(order: bt.Order, number: int, bit: Any) -> Fees:
        booked = order.info.get('fees') or ()
        if number < len(booked):
            return booked[number]
        return Fees(bit.comm, 0.0, 0.0) if bit.comm else NO_FEES  # a plain broker tells only the sum

    def next(self) -> None:
        """Book the account at the close."""
        broker = self.strategy.broker
        day = int(self.strategy.datetime[0])
        if isinstance(broker, AShareBroker) and not broker.calendar.is_trading_day(day):
            return  # a bar of some other feed, on a day without trading
        again, self._day = day == self._day, day
        self._days += not again
        if self._days > 1 or self._fills or self._rejections:  # from the second bar on, or the first where something happened
            cash, total = broker.getcash(), broker.getvalue()
            if again and self.equity:  # a later bar of the same day, of a feed beside the market: the last one counts
                self.equity.pop()
                if self.follows_holdings:
                    self.held.unbook()
            self.equity.append(Equity(date.fromordinal(day), cash, total - cash, total))
            if self.follows_holdings:
                self.held.book(broker)
        self._note_flow(day)

    def _shares_and_value(self) -> tuple[float, float]:
        """Return the account as a fund, for a broker that does not tell by itself what came in: shares, and yuan a share."""
        broker = self.strategy.broker
        if hasattr(broker, 'cash_flows') or not hasattr(broker, 'get_fundshares'):
            return 0.0, 0.0
        return broker.get_fundshares(), broker.get_fundvalue()

    def _note_flow(self, day: int) -> None:
        """Book the money that ``add_cash`` has brought to another broker, or taken from it, on a day.

        Backtrader's own gives shares for it, at the value a share of the bar before.
        """
        (before, value), self._fund = self._fund, self._shares_and_value()
        if self._fund[0] != before:
            self.cash_flows.append(CashFlow(date.fromordinal(day), round((self._fund[0] - before) * value, 6)))

    def prenext(self) -> None:
        """Book the account while late listings keep Backtrader in prenext."""
        self.next()

    def stop(self) -> None:
        """Take over what the broker did by itself."""
        self.corporate_actions = [CorporateAction(date.fromordinal(day), *rest)
                                  for day, *rest in getattr(self.strategy.broker, 'events', ())]
        self.cash_flows += [CashFlow(date.fromordinal(day), amount)
                            for day, amount in getattr(self.strategy.broker, 'cash_flows', ())]
        self._end_cash = self.strategy.broker.getcash()
        for books in list(self._open.values()):
            if books.fills:  # it still waits for the rest: its fills have had their costs
                self._close(books.order, 'BUY' if books.order.isbuy() else 'SELL', books, None)
        self._open.clear()
        environment = self.strategy.env
        if self.follows_holdings and getattr(environment, '_dooptimize', False) and environment.p.optreturn:
            self.run = run.gather(self.strategy, self)  # here: neither strategy nor data leave an optimizer's process
            self.held.release()

    def cash_difference(self) -> float:
        """Return how far the broker's cash is from what the books add up to, yuan."""
        cash = self._start_cash
        for fill in self.fills:
            value = fill.quantity * fill.price
            cash += -value if fill.side == 'BUY' else value
            cash -= fill.commission + fill.tax + fill.transfer_fee
        cash += math.fsum(action.cash for action in self.corporate_actions) + math.fsum(flow.amount for flow in self.cash_flows)
        return self._end_cash - cash

    def get_analysis(self) -> dict[str, list]:
        """Return the lists by name.

        ``positions`` has day, code, shares and price of what was held at each close; ``round_trips`` the closed trades, see
        `round_trips.round_trips`.
        """
        days = [row.date for row in self.equity]
        return {'fills': self.fills, 'rejections': self.rejections, 'equity': self.equity, 'orders': self.orders,
                'corporate_actions': self.corporate_actions, 'cash_flows': self.cash_flows,
                'positions': list(self.held.rows(days)) if self.follows_holdings else [],
                'round_trips': round_trips(self.fills, self.corporate_actions, days, self.details)}
