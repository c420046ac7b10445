"""What the blotter books: the rows of the files of a run."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple


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


class FillDetail(NamedTuple):
    """What trades.csv does not say of a fill."""

    slippage: float  # yuan: what it cost beyond the open
    why: str  # the order's


class Unfilled(NamedTuple):
    """What orders.csv does not say of an order."""

    met: float  # yuan: the price that it was refused at, NaN where it met none
    shares: int  # that were left to trade when it ended: no more than cash or holding allowed


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


class Rows:
    """Rows of one kind, as they are booked.

    A run may book a hundred thousand. They are held as plain tuples, which Python's collector of cyclic garbage soon no longer
    looks at, and are made what they are when somebody asks.

    Parameters
    ----------
    kind : type
        A named tuple.
    rows : list, optional
        Those that are there already.
    """

    def __init__(self, kind: Any, rows: list[Any] | None = None) -> None:
        self._kind = kind
        self._made: list[Any] = [] if rows is None else rows
        self._booked: list[tuple] = []
        self.book = self._booked.append  # a plain tuple of the kind's fields

    def __len__(self) -> int:
        return len(self._made) + len(self._booked)

    def rows(self) -> list[Any]:
        """Return all rows so far, always in the same list."""
        if self._booked:
            self._made.extend(map(self._kind._make, self._booked))
            self._booked.clear()
        return self._made

    def __getstate__(self) -> tuple:
        return self._kind, [*map(tuple, self._made), *self._booked]  # plain: a third of the time to another process

    def __setstate__(self, state: tuple) -> None:
        self.__init__(state[0])
        self._booked.extend(state[1])


def packed(rows: Any) -> Any:
    """Return a list of named tuples of one kind as `Rows`, which travel quicker; anything else as it is."""
    if isinstance(rows, list) and rows and hasattr(rows[0], '_fields') and {type(row) for row in rows} == {type(rows[0])}:
        return Rows(type(rows[0]), rows)
    return rows


class RowsOf:
    """An attribute that shows `Rows` as a list; they are held under its name with an underscore, to be booked in.

    Parameters
    ----------
    kind : type
        A named tuple.
    """

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f'_{name}'

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return self if owner is None else getattr(owner, self._name).rows()

    def __set__(self, owner: Any, rows: list[Any]) -> None:
        setattr(owner, self._name, Rows(self._kind, rows))
