"""A strategy's trades, as Backtrader keeps them: the same steps, with copies that are those of a dictionary."""

from __future__ import annotations

from typing import Any

from backtrader.trade import Trade


def update_trades(strategy: Any, order: Any) -> None:
    """Take the fills that an order's notification brings into the trades of its owner; see Backtrader's ``_addnotification``.

    Parameters
    ----------
    strategy : bt.Strategy
    order : bt.Order
        As notified, of a feed that stands for no other (``compensate``).
    """
    data, tradeid = order.data, order.tradeid
    trades, told = strategy._trades[data][tradeid], strategy._tradespending
    history = strategy._tradehistoryon
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
