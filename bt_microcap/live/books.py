"""An account added up: what it began with, what happened without an order, and what was filled."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from ..exchange import rules
from ..feeds.errors import DataError

CENT = 0.01  # yuan: a cash balance below zero by less is a rounding
BUY, SELL = 'BUY', 'SELL'
# What happens to an account without an order: to a holding, and to the cash alone.
CASH, INTEREST, TAX = 'cash', 'interest', 'tax'
OF_HOLDINGS = ('dividend', 'reinvest', 'bonus', 'delisted', 'consolidated')
OF_CASH = (CASH, INTEREST, TAX)


def order_stem(day: date, code: str, side: str) -> str:
    """Return how the ids of our orders for a code and a side on a day begin: fifteen ASCII characters."""
    return f'{day:%Y%m%d}{side[0]}{code[:6]}'


class Holding(NamedTuple):
    """What is held of a stock."""

    code: str
    shares: int
    sellable: int  # shares that may be sold at the next open
    cost: float  # yuan a share, average without fees, restated over ex-dates
    bought: date | None = None  # of the oldest share, where it is known


class FillRow(NamedTuple):
    """One fill: a row of the journal, which begins as a row of trades.csv."""

    datetime: date  # the trading day
    code: str
    side: str  # BUY or SELL
    quantity: int  # shares
    price: float  # yuan
    commission: float  # yuan, with what else the broker charges
    tax: float  # stamp duty and dividend tax, yuan
    transfer_fee: float  # yuan
    open: float = math.nan  # yuan: the day's open, from which a backtest fills
    reference_price: float = math.nan  # yuan: of the list that it was ordered by
    order_id: str = ''
    time: str = ''
    fill_id: str = ''  # the broker's number of the fill


class EventRow(NamedTuple):
    """What changed the account without an order: a row of the events."""

    date: date  # before the open of this day
    code: str  # empty where the cash alone changed
    action: str  # of OF_HOLDINGS or OF_CASH
    shares_before: int
    shares_after: int
    cash: float  # yuan that came in; negative where it went out
    ratio: float = 1.0  # new shares per old one, before the total is floored
    dividend: float = 0.0  # yuan a share before tax; of what became cash, the yuan paid a share
    event_id: str = ''  # the broker's number


@dataclass
class _Position:
    shares: int
    cost: float
    bought: date | None
    day: date | None = None  # on which some were bought last
    today: int = 0  # shares bought on it


@dataclass
class Books:
    """Cash and holdings on some day.

    Parameters
    ----------
    cash : float
        Yuan.
    positions : dict
        By code, in the order in which they were opened.
    day : date or None
        Of the last change.
    costs : dict
        Code -> the cost of what was held last.
    """

    cash: float
    positions: dict[str, _Position] = field(default_factory=dict)
    day: date | None = None
    costs: dict[str, float] = field(default_factory=dict)

    def holdings(self) -> list[Holding]:
        """Return what is held; of shares that were bought on the last day none may be sold on it (T+1)."""
        return [Holding(code, each.shares, each.shares - (each.today if self._waits(code, each) else 0), each.cost, each.bought)
                for code, each in self.positions.items()]

    def _waits(self, code: str, position: _Position) -> bool:
        return self.day is not None and position.day == self.day and not rules.sold_same_day(code, self.day.toordinal())

    def fill(self, row: FillRow) -> None:
        """Book a fill; more may be sold than is held until the day is over, for statements are in any order."""
        sign = 1 if row.side == BUY else -1
        self.cash -= sign * row.quantity * row.price + (row.commission + row.tax + row.transfer_fee)
        position = self.positions.setdefault(row.code, _Position(0, row.price, row.datetime))
        if sign > 0:
            held = max(position.shares, 0)
            position.cost = (held * position.cost + row.quantity * row.price) / (held + row.quantity)
            position.today = row.quantity + (position.today if position.day == row.datetime else 0)
            position.day = row.datetime
        position.shares += sign * row.quantity

    def event(self, row: EventRow, source: str) -> None:
        """Book what happened without an order.

        Raises
        ------
        DataError
            The shares before it are not those that are held.
        """
        self.cash += row.cash
        if row.action in OF_CASH:
            return
        position = self.positions.get(row.code)
        held = 0 if position is None else position.shares
        if not row.shares_before and row.action == 'dividend':
            return  # of a holding that is sold meanwhile
        if not row.shares_before and row.action == 'bonus' and position is None:  # listed when all before it was sold
            self.positions[row.code] = _Position(row.shares_after, self.costs.get(row.code, 0.0), row.date)
            return
        if position is None or held != row.shares_before:
            raise DataError(f'{source}: {row.date} {row.code} {row.action}: found {row.shares_before:,} shares before it, '
                            f'expected {held:,}, which the account holds then')
        if row.shares_after:
            total = row.ratio * held
            whole = abs(row.dividend * held - row.cash) <= 0.01 + 0.3 * abs(row.cash)  # a tax may be off already
            if abs(total - row.shares_after) <= 1 + 0.001 * total and whole:
                position.cost = (held * position.cost - row.cash) / row.shares_after
            else:  # some was sold since the ex-date: by what it was a share
                position.cost = (position.cost - row.dividend) / row.ratio
        position.shares = row.shares_after
        if not position.shares:
            del self.positions[row.code]


def add_up(
    cash: float, holdings: Iterable[Holding], events: Sequence[EventRow], fills: Sequence[FillRow], source: str,
    may_owe: bool = False,
) -> Books:
    """Return an account after all that happened, day by day: events before the open, then fills.

    Parameters
    ----------
    cash : float
        Yuan at the start.
    holdings : iterable of Holding
        Held at the start.
    events, fills : sequence
        In the order in which they were booked; they are taken by their days.
    source : str
        What messages call the fills.
    may_owe : bool
        Whether the cash may end a day below zero: the sizes of JoinQuant leave out fees.

    Raises
    ------
    DataError
        More is sold than was held, or was bought on the same day, or more is paid than there was.
    """
    books = Books(cash, {each.code: _Position(each.shares, each.cost, each.bought) for each in holdings})
    by_day: dict[date, tuple[list[EventRow], list[FillRow]]] = {}
    for event in events:
        by_day.setdefault(event.date, ([], []))[0].append(event)
    for fill in fills:
        by_day.setdefault(fill.datetime, ([], []))[1].append(fill)
    for day in sorted(by_day):
        books.day = day
        for event in by_day[day][0]:
            books.event(event, source)
        before = {code: position.shares for code, position in books.positions.items()}
        for fill in by_day[day][1]:
            books.fill(fill)
        _check_day(books, day, before, by_day[day][1], source, may_owe)
        books.costs.update((code, position.cost) for code, position in books.positions.items())
        books.positions = {code: position for code, position in books.positions.items() if position.shares}
    return books


def _check_day(books: Books, day: date, before: dict[str, int], fills: Sequence[FillRow], source: str, may_owe: bool) -> None:
    for code in dict.fromkeys(fill.code for fill in fills):
        sold = sum(fill.quantity for fill in fills if fill.code == code and fill.side == SELL)
        bought = sum(fill.quantity for fill in fills if fill.code == code and fill.side == BUY)
        held, same_day = before.get(code, 0), rules.sold_same_day(code, day.toordinal())
        if sold > held + (bought if same_day else 0):
            more = f', and none of the {bought:,} that were bought on the day (T+1)' if bought and not same_day else ''
            raise DataError(f'{source}: found {sold:,} shares of {code} sold on {day}, expected at most {held:,}: so many the '
                            f'account holds before it{more}; book earlier fills and bonus shares first')
    if books.cash < -CENT and not may_owe:
        raise DataError(f'{source}: with the fills of {day} the account has {books.cash:,.2f} yuan, expected 0 or more; book '
                        'money that came in first, a row with the side CASH')


def differences(ours: Books, cash: float | None, theirs: dict[str, int] | None) -> list[str]:
    """Return in which an account is not what its broker shows.

    Parameters
    ----------
    ours : Books
    cash : float, optional
        The broker's, yuan.
    theirs : dict of str to int, optional
        Shares by code, all of them.
    """
    found = []
    if cash is not None and abs(cash - ours.cash) > CENT:
        found.append(f'cash {ours.cash:,.2f}, the broker shows {cash:,.2f}')
    if theirs is not None:
        mine: dict[str, Any] = {code: position.shares for code, position in ours.positions.items()}
        found += [f'{code} {mine.get(code, 0):,} shares, the broker shows {theirs.get(code, 0):,}'
                  for code in sorted(mine.keys() | theirs.keys()) if mine.get(code, 0) != theirs.get(code, 0)]
    return found
