"""Orders and fills as a script sees them."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

import backtrader as bt


class OrderStatus(enum.Enum):
    """What became of an order."""

    open = 0
    filled = 1  # in part
    canceled = 2
    rejected = 3
    held = 4  # filled whole
    new = 8
    pending_cancel = 9

    def __str__(self) -> str:
        return self.name


class MarketOrderStyle:
    """An order at the price of the market; on the STAR board the protective limit price is asked for."""

    def __init__(self, limit_price: float | None = None) -> None:
        self.limit_price = limit_price

    def __repr__(self) -> str:
        return f'MarketOrderStyle: _limit_price={float(self.limit_price or 0.0)}'


class LimitOrderStyle:
    """An order at a price or better, for the day."""

    def __init__(self, limit_price: float) -> None:
        self.limit_price = limit_price

    def __repr__(self) -> str:
        return f'LimitOrderStyle: _limit_price={float(self.limit_price)}'


class Order:
    """An order as a script sees it."""

    def __init__(self, number: int, security: str, amount: int, mode: str, style: Any, buy: bool, now: datetime) -> None:
        self.order_id = self.entrust_id = number
        self.security, self.amount, self.mode, self.style, self.is_buy = security, amount, mode, style, buy
        self.status, self.filled, self.price, self.avg_cost, self.commission = OrderStatus.new, 0, 0.0, 0.0, 0.0
        self.add_time, self.finish_time = now, None
        self.side, self.action, self.pindex = 'long', 'open' if buy else 'close', 0
        self.comment = ''
        self.given: bt.Order | None = None  # Backtrader's
        self.whole, self.cost_before = False, 0.0  # whether it sells all that is held, and what that cost a share
        self.error = ''

    limit = property(lambda self: getattr(self.style, 'limit_price', None))

    def __repr__(self) -> str:
        return (f"UserOrder({{'order_id': {self.order_id}, 'security': {self.security!r}, 'status': {self.status}, 'amount': "
                f"{self.amount}, 'filled': {self.filled}, 'price': {self.price}, 'action': {self.action!r}, 'add_time': "
                f'{self.add_time!r}}})')

    def record(self, placed: bool = True) -> str:
        """Return how the platform's log writes it."""
        what = f'security={self.security} mode={self.mode} style={self.style!r} side=long'
        if not placed:
            return f'Order({what} margin=False entrust_time=None)'
        return (f'StockOrder(entrust_id={self.order_id} {what} action={self.action} margin=False entrust_time={self.add_time} '
                f'cancel_time=None finish_time={self.finish_time} comment= error={self.error})')


class Trade:
    """A fill as a script sees it."""

    def __init__(self, number: int, order: Order, amount: int, price: float, now: datetime) -> None:
        self.trade_id, self.order_id, self.security = number, order.order_id, order.security
        self.amount, self.price, self.time = amount, price, now

    def __repr__(self) -> str:
        return (f"UserTrade({{'trade_id': {self.trade_id}, 'order_id': {self.order_id}, 'time': {self.time!r}, 'amount': "
                f"{self.amount}, 'price': {self.price}}})")
