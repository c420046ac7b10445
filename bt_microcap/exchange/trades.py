"""A strategy's trades, as Backtrader keeps them: the same steps, with copies that are those of a dictionary."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from backtrader.trade import Trade

_APART = ('data', 'history')  # of a trade: its feed, and the steps that it has where Cerebro asks for a history


class Trades(list):
    """The trades of a feed, in the order in which they were opened: a list in which closed ones are plain until it is looked at.

    A run may close a hundred thousand, which Backtrader keeps all; Python's collector of cyclic garbage need not walk tuples.

    Parameters
    ----------
    data : data feed
    """

    _names: tuple[str, ...] = ()  # what a trade is beside `_APART`, learnt from the first one
    _values: Callable[[Trade], tuple]

    def __init__(self, data: Any) -> None:
        super().__init__()
        self._data = data
        self._is_plain = self._is_known = False  # whether tuples stand in the list; whether somebody has the last trade

    @property
    def last(self) -> Trade | None:
        """The last trade, for the books; None without any."""
        return list.__getitem__(self, -1) if len(self) else None

    def append(self, trade: Trade) -> None:
        """Add a trade; the one before is closed, and becomes plain where nobody has it, or has put something into it."""
        if len(self) and not self._is_known:
            before = list.__getitem__(self, -1)
            cls = type(self)
            if not cls._names:
                cls._names = tuple(name for name in vars(before) if name not in _APART)
                cls._values = staticmethod(attrgetter(*cls._names))
            if len(before.__dict__) == len(cls._names) + len(_APART):
                list.__setitem__(self, -1, cls._values(before))
                self._is_plain = True
        list.append(self, trade)
        self._is_known = False

    def _show(self) -> None:
        """Put trades in the place of the plain ones: somebody looks."""
        self._is_known = True
        if self._is_plain:
            self._is_plain = False
            for place, each in enumerate(list.__iter__(self)):
                if type(each) is tuple:
                    trade = object.__new__(Trade)
                    trade.__dict__.update(zip(self._names, each, strict=True), data=self._data, history=[])
                    list.__setitem__(self, place, trade)

    def __radd__(self, other: list[Any]) -> list[Any]:
        return other + list(self)

    def __reduce_ex__(self, protocol: int) -> tuple:
        self._show()
        return _list_of, (list(self),)


def _list_of(trades: list[Trade]) -> list[Trade]:
    return trades


def _shown(name: str) -> Callable[..., Any]:
    method = getattr(list, name)

    def looked_at(self: Trades, *arguments: Any, **options: Any) -> Any:
        self._show()
        return method(self, *arguments, **options)

    looked_at.__name__, looked_at.__doc__ = name, method.__doc__
    return looked_at


for _name in ('__getitem__', '__setitem__', '__delitem__', '__iter__', '__reversed__', '__contains__', '__eq__', '__ne__',
              '__lt__', '__le__', '__gt__', '__ge__', '__add__', '__iadd__', '__mul__', '__rmul__', '__imul__', '__repr__',
              'clear', 'copy', 'count', 'extend', 'index', 'insert', 'pop', 'remove', 'reverse', 'sort'):
    setattr(Trades, _name, _shown(_name))


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
        trade = trades[-1] if history else trades.last
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
