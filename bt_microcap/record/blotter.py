"""The blotter: every order, fill, refusal and corporate action of a run, and the account after every day."""

from __future__ import annotations

import math
from datetime import date
from typing import Any, NamedTuple

import backtrader as bt

from ..exchange.account import DELISTED
from ..exchange.broker import AShareBroker
from ..exchange.commission import NO_FEES, Fees


class Fill(NamedTuple):
    """One fill: a row of trades.csv."""

    datetime: date  # the trading day; fills are at its open
    code: str
    side: str  # BUY or SELL
    quantity: int  # shares
    price: float  # yuan
    commission: float  # yuan
    tax: float  # stamp duty and dividend tax, yuan
    transfer_fee: float  # yuan


class Rejection(NamedTuple):
    """One order refused, cut short, or a delisting: a row of rejections.csv."""

    date: date
    code: str
    side: str
    reason: str


class Equity(NamedTuple):
    """The account after one trading day: a row of equity.csv."""

    date: date
    cash: float  # yuan
    market_value: float  # yuan, at the close
    total_value: float  # yuan


class OrderRecord(NamedTuple):
    """One order, from its decision to its end: a row of orders.csv."""

    date: date  # of the decision
    code: str
    side: str
    why: str  # what the strategy gave as ``why=``
    wanted: int  # shares asked for; a buy asks for what its budget pays at the open, without fees
    quantity: int  # shares got
    price: float  # mean of the fills, yuan; 0 without one
    commission: float  # yuan
    stamp_duty: float  # yuan
    transfer_fee: float  # yuan
    dividend_tax: float  # yuan, withheld at the sale
    slippage: float  # yuan: what the fills cost beyond the open
    status: str  # Backtrader's: Completed, Rejected, Canceled, ...
    reason: str  # why it was refused or cut
    volume_share: float = 0.0  # the largest part of a day's volume that it took


class CorporateAction(NamedTuple):
    """What happened to a holding without an order: a row of corporate_actions.csv."""

    date: date
    code: str
    action: str  # dividend, reinvest, delisted, consolidated
    shares_before: int
    shares_after: int
    cash: float  # yuan that came in


class CashFlow(NamedTuple):
    """Money that came in or went out by ``broker.add_cash``: a row of cash_flows.csv."""

    date: date  # at the end of this day
    amount: float  # yuan, negative where it went out


class Blotter(bt.Analyzer):
    """Every order with its fees and its refusal, and the account after every day.

    ``get_analysis()`` has the lists ``fills``, ``rejections``, ``equity``, ``orders``, ``corporate_actions`` and
    ``cash_flows``. The cash at the start, less what the fills cost, plus what the corporate actions and the cash flows
    brought, is the broker's cash:
    `cash_difference` tells by how much it is not. The account is followed from the first day on which `MicroCapStrategy`
    can trade, the second bar, or from the first bar where an order is filled or refused on it.
    """

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
        self.fills: list[Fill] = []
        self.rejections: list[Rejection] = []
        self.equity: list[Equity] = []
        self.orders: list[OrderRecord] = []
        self.corporate_actions: list[CorporateAction] = []
        # reference of an order -> its fills so far, as (Fees, size, price, slippage, part of the volume)
        self._open: dict[int, list] = {}
        self._days = self._day = 0  # trading days so far; ordinal of the last
        self.cash_flows: list[CashFlow] = []
        self._fund = self._shares_and_value()
        self._start_cash = self.strategy.broker.startingcash

    def notify_order(self, order: bt.Order) -> None:
        """Book the fills and the refusal that an order's notification brings."""
        side = 'BUY' if order.isbuy() else 'SELL'
        reason = order.info.get('reason')
        done = order.executed
        code = order.data._name
        if order.info.get('booked_out'):  # no order of the strategy's: the position became cash
            if done.size and reason == DELISTED:
                # it became cash after the close of the trading day before
                day = self.strategy.broker.calendar.previous(int(done.dt))
                self.rejections.append(Rejection(date.fromordinal(day), code, side, reason))
            return
        fills = self._open.setdefault(order.ref, [])
        for number, bit in enumerate(done.iterpending(), done.p1):
            fees, size = self._fees(order, number, bit), abs(int(bit.size))
            self.fills.append(Fill(date.fromordinal(int(bit.dt)), code, side, size, bit.price, fees.commission,
                                   fees.stamp_duty + fees.dividend_tax, fees.transfer_fee))
            opening = order.info.get('open', bit.price)
            volume = order.data.volume[0]
            fills.append((fees, size, bit.price, size * (bit.price - opening) * (1 if side == 'BUY' else -1),
                          size / volume if volume > 0 else 0.0))
        if order.status in (order.Rejected, order.Margin, order.Canceled) and (reason or order.status != order.Canceled):
            day = date.fromordinal(self._today())
            self.rejections.append(Rejection(day, code, side, reason or order.getstatusname().lower()))
        if not order.alive():
            self._close(order, side, fills, reason)

    def _today(self) -> int:
        """Return the ordinal of the day; with quicknotify the strategy has not moved to its bar when orders are told."""
        broker = self.strategy.broker
        return broker.day if isinstance(broker, AShareBroker) else int(self.strategy.datetime[0])

    def _close(self, order: bt.Order, side: str, fills: list, reason: str | None) -> None:
        """Write the record of an order that has ended."""
        quantity = sum(size for _, size, *_ in fills)
        value = sum(size * price for _, size, price, *_ in fills)
        self.orders.append(OrderRecord(
            date.fromordinal(int(order.info.get('day') or order.created.dt or self._today())), order.data._name, side,
            order.info.get('why') or '',
            int(order.info.get('wanted') or abs(order.created.size)), quantity, value / quantity if quantity else 0.0,
            *(sum(getattr(fees, name) for fees, *_ in fills) for name in Fees._fields),
            sum(slippage for _, _, _, slippage, _ in fills), order.getstatusname(), reason or order.info.get('withdrawn') or '',
            max((share for *_, share in fills), default=0.0)))
        del self._open[order.ref]

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
        if self._days > 1 or self.fills or self.rejections:  # from the second bar on, or the first where something happened
            cash, total = broker.getcash(), broker.getvalue()
            if again and self.equity:  # a later bar of the same day, of a feed beside the market: the last one counts
                self.equity.pop()
            self.equity.append(Equity(date.fromordinal(day), cash, total - cash, total))
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
        """Return the lists by name."""
        return {'fills': self.fills, 'rejections': self.rejections, 'equity': self.equity, 'orders': self.orders,
                'corporate_actions': self.corporate_actions, 'cash_flows': self.cash_flows}
