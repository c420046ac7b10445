"""A strategy's trades, as Backtrader keeps them: the same steps, with copies that are those of a dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from backtrader.trade import Trade

# What a trade without a history is, beside its feed; `long` it has when it was opened.
_FIELDS = tuple(name for name in (*vars(Trade()), 'long') if name not in ('data', 'history'))
_values = attrgetter(*_FIELDS)


class Trades(Sequence):
    """The trades of a feed, in the order in which they were opened: those before the last as plain tuples, until asked for.

    A run may close a hundred thousand, which Backtrader keeps all; Python's collector of cyclic garbage need not walk them.

    Parameters
    ----------
    data : data feed
    """

    def __init__(self, data: Any) -> None:
        self._data = data
        self._closed: list[tuple] = []
        self._last: Trade | None = None

    def append(self, trade: Trade) -> None:
        """Add a trade; the one before is closed."""
        if self._last is not None:
            self._closed.append(_values(self._last))
        self._last = trade

    def __len__(self) -> int:
        return len(self._closed) + (self._last is not None)

    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(len(self)))]
        place = at if at >= 0 else at + len(self)
        if not 0 <= place < len(self):
            raise IndexError(at)
        return self._last if place == len(self._closed) else self._made(self._closed[place])

    def _made(self, values: tuple) -> Trade:
        trade = object.__new__(Trade)
        trade.__dict__.update(zip(_FIELDS, values, strict=True), data=self._data, history=[])
        return trade


def update_trades(strategy: Any, order: Any) -> None:
    """Take the fills that an order's notification brings into the trades of its owner; see Backtrader's ``_addnotification``.

    Parameters
    ----------
    strategy : bt.Strategy
    order : bt.Order
        As notified, of a feed that stands for no other (``compensate``).
    """
    data, tradeid = order.data, order.tradeid
    book, told, history = strategy._trades[data], strategy._tradespending, strategy._tradehistoryon
    trades = book.get(tradeid)
    if trades is None:
        trades = book[tradeid] = [] if history else Trades(data)
    if trades:
        trade = trades[-1]
    else:
        trade = Trade(data=data, tradeid=tradeid, historyon=history)
        trades.append(trade)
    comminfo = order.comminfo
    for bit in order.executed.iterpending():
        if bit.closed:
            trade.update(order, bit.closed, bit.price, bit.closedvalue, bit.closedcomm, bit.pnl, comminfo=comminfo)
            if trade.isclosed:
                told.append(_copy(trade))
        if bit.opened:
            if trade.isclosed:
                trade = Trade(data=data, tradeid=tradeid, historyon=history)
                trades.append(trade)
            trade.update(order, bit.opened, bit.price, bit.openedvalue, bit.openedcomm, bit.pnl, comminfo=comminfo)
            if trade.isclosed:  # of orders with another tradeid, which have left it nothing
                told.append(_copy(trade))
        if trade.justopened:
            told.append(_copy(trade))


def _copy(trade: Trade) -> Trade:
    twin = object.__new__(type(trade))
    twin.__dict__ = trade.__dict__.copy()
    return twin
