"""Analyzers: the blotter that trades.csv, equity.csv and rejections.csv are written from."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

import backtrader as bt

from .commission import NO_FEES, Fees


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


class Blotter(bt.Analyzer):
    """Every fill with its fees, every refusal with its reason, and the account after every day.

    ``get_analysis()`` has the lists ``fills``, ``rejections`` and ``equity`` of `Fill`, `Rejection` and
    `Equity`. The account is followed from the first day on which the strategy can trade, the second bar.
    """

    def start(self) -> None:
        """Begin with empty books."""
        self.fills: list[Fill] = []
        self.rejections: list[Rejection] = []
        self.equity: list[Equity] = []
        self._days = 0

    def notify_order(self, order: bt.Order) -> None:
        """Book the fills and the refusal that an order's notification brings."""
        side = 'BUY' if order.isbuy() else 'SELL'
        reason = order.info.get('reason')
        done = order.executed
        if reason == 'delisted':
            last = getattr(order.data, 'last_day', int(order.data.datetime[0]))
            if done.size:
                self.rejections.append(Rejection(date.fromordinal(last), order.data._name, side, reason))
            return
        for number, bit in enumerate(done.iterpending(), done.p1):
            fees = self._fees(order, number, bit)
            self.fills.append(Fill(date.fromordinal(int(bit.dt)), order.data._name, side, abs(int(bit.size)), bit.price, *fees))
        if order.status in (order.Rejected, order.Margin, order.Canceled) and (reason or order.status != order.Canceled):
            day = date.fromordinal(int(self.strategy.datetime[0]))
            self.rejections.append(Rejection(day, order.data._name, side, reason or order.getstatusname().lower()))

    @staticmethod
    def _fees(order: bt.Order, number: int, bit: Any) -> Fees:
        booked = order.info.get('fees', ())
        if number < len(booked):
            return booked[number]
        return Fees(bit.comm, 0.0, 0.0) if bit.comm else NO_FEES  # a plain broker tells only the sum

    def next(self) -> None:
        """Book the account at the close."""
        self._days += 1
        if self._days > 1:
            broker = self.strategy.broker
            cash, total = broker.getcash(), broker.getvalue()
            day = date.fromordinal(int(self.strategy.datetime[0]))
            self.equity.append(Equity(day, cash, total - cash, total))

    def prenext(self) -> None:
        """Book the account while late listings keep Backtrader in prenext."""
        self.next()

    def get_analysis(self) -> dict[str, list]:
        """Return the three lists by name."""
        return {'fills': self.fills, 'rejections': self.rejections, 'equity': self.equity}
