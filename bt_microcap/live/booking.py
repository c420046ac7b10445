"""What a statement changes of an account: booked once, and compared with the list that was made of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from ..feeds.errors import DataError
from . import sessions
from .account import Account
from .books import OF_CASH, EventRow, FillRow, add_up
from .ex_dates import LATE
from .statement import Statement


class Compared(NamedTuple):
    """What became of one order of a list."""

    order_id: str
    code: str
    side: str
    ordered: int  # shares; 0 for what was not on the list
    filled: int


def book(account: Account, statement: Statement, source: str, today: date | None = None) -> None:
    """Add a statement to an account; whether all of it adds up, `Account.save` tells.

    Parameters
    ----------
    account : Account
    statement : Statement
    source : str
        What messages call it.
    today : date, optional
        In Shanghai, by the clock where none is given.

    Raises
    ------
    DataError
        A fill or an event is booked already, or may be, or stands in the statement twice; an event is of something that is not
        held; or a day cannot be.
    """
    today = today or sessions.today()
    for when in [fill.datetime for fill in statement.fills] + [event.date for event in statement.events]:
        if when < account.begun:
            raise DataError(f'{source}: found a row of {when}, expected {account.begun}, the first day of {account.path}, or '
                            'later')
        if when > today:
            raise DataError(f'{source}: found a row of {when}, which is to come; today is {today}')
    for day in {fill.datetime for fill in statement.fills}:
        if day.weekday() > 4:
            raise DataError(f'{source}: found a fill of {day}, a {day:%A}, on which the exchange does not trade; mend its date')
    for number, fill in enumerate(statement.fills):
        if any(_may_be_same(fill, row) for row in statement.fills[:number]):
            raise DataError(f'{source}: {_said(fill)} is there twice; two fills that differ in nothing want their number '
                            '(成交编号, fill_id) or time in a column')
        for row in account.fills:
            if row[:3] == fill[:3] and not _is_another(fill, row):
                raise DataError(f'{source}: {_said(fill)} may be booked already: {account.journal_path} has {_said(row)}; fills '
                                'of one stock on one day are told apart by their number (成交编号, fill_id) or time, in both '
                                'files; --skip-booked leaves out what has the number of a booked one, --undo takes a booking '
                                'back')
    if statement.fills or statement.events:
        account.bookings.append((len(account.fills), len(account.events)))
    known = {_issued_key(each): each for each in account.issued}
    account.fills += [_with_reference(fill, known) for fill in statement.fills]
    for event in sorted(statement.events, key=lambda event: event.date):
        complete = completed(account, event, source)
        if any(_same_event(complete, row) for row in account.events):
            raise DataError(f'{source}: {event.date} {event.code} {event.action} of {event.cash:,.2f} yuan is booked once: '
                            f'{account.events_path} has it')
        account.events.append(complete)


def _said(fill: FillRow) -> str:
    return f'{fill.datetime} {fill.code} {fill.side} {fill.quantity:,} at {fill.price:g}'


def _may_be_same(one: FillRow, other: FillRow) -> bool:
    """Return whether two rows of one file may be the same fill: alike, and nothing that both of them say tells them apart."""
    if one[:5] != other[:5]:
        return False
    return all(not mine or not theirs or mine == theirs for mine, theirs in (
        (one.fill_id, other.fill_id), (one.time, other.time), (one.order_id, other.order_id)))


def _is_another(one: FillRow, other: FillRow) -> bool:
    """Return whether a row is surely another fill than one of an earlier booking.

    One file may have two parts of what another one has as a whole: other sizes prove nothing.
    """
    if one.fill_id and other.fill_id:
        return one.fill_id != other.fill_id
    alike = one.quantity == other.quantity and one.price == other.price  # the times may be those of the order and of the fill
    return bool(one.time and other.time) and one.time[:5] != other.time[:5] and not alike


def _same_event(one: EventRow, other: EventRow) -> bool:
    """Return whether two events may be the same: alike in all, unless the broker's numbers tell them apart."""
    if one.event_id and other.event_id and one[:3] == other[:3]:
        return one.event_id == other.event_id
    return one[:3] == other[:3] and one.cash == other.cash and _new_shares(one) == _new_shares(other)


def _new_shares(event: EventRow) -> int:
    return event.shares_after - event.shares_before


def completed(account: Account, event: EventRow, source: str) -> EventRow:
    """Return an event with what a broker's row does not say, where its ``shares_before`` is below 0: how many shares there were.

    Raises
    ------
    DataError
        It is of something that was not held.
    """
    if event.action in OF_CASH:
        return event
    earlier = [row for row in account.events if row.date <= event.date]
    fills = [row for row in account.fills if row.datetime < event.date]
    position = add_up(account.cash, account.holdings, earlier, fills, source, True).positions.get(event.code)
    if position is None:
        sold = any(row.code == event.code and 0 < (event.date - row.datetime).days <= LATE for row in account.fills)
        if event.action == 'dividend' and sold:
            return event._replace(shares_before=0, shares_after=0, ratio=1.0, dividend=0.0)
        if event.action == 'bonus' and sold and event.shares_after:  # all that was held before was sold on the ex-date
            return event._replace(shares_before=0, ratio=1.0, dividend=0.0)
        raise DataError(f'{source}: found {event.action} of {event.code} on {event.date}, which {account.path} does not hold '
                        'before it')
    held = position.shares
    if event.shares_before >= 0:
        return event
    after = {'bonus': held + event.shares_after, 'delisted': 0}.get(event.action, held)
    if event.action == 'bonus' and after == held:
        raise DataError(f'{source}: found {event.action} of {event.code} on {event.date} without shares, expected in the column '
                        'quantity how many are new')
    earned = event.shares_after or held  # of a dividend the shares that it was paid for, where the row says so
    dividend = event.cash / (earned if after else held) if event.action == 'dividend' or not after else 0.0
    return event._replace(shares_before=held, shares_after=after, ratio=after / held, dividend=dividend)


def _issued_key(each: dict) -> tuple[str, str, str]:
    return each['date'], each['code'], each['side']


def _with_reference(fill: FillRow, known: dict) -> FillRow:
    each = known.get((fill.datetime.isoformat(), fill.code, fill.side))
    if each is None or fill.reference_price == fill.reference_price:
        return fill
    return fill._replace(reference_price=each['reference_price'])


def compared(account: Account, fills: Iterable[FillRow], day: date) -> list[Compared]:
    """Return what became of the orders of the account's list of a day, and what was filled beside it."""
    got: dict[tuple[str, str], int] = {}
    for fill in fills:
        if fill.datetime == day:
            got[fill.code, fill.side] = got.get((fill.code, fill.side), 0) + fill.quantity
    rows = []
    for each in account.issued:
        if each['date'] == day.isoformat():
            filled = min(got.get((each['code'], each['side']), 0), each['shares'])
            got[each['code'], each['side']] = got.get((each['code'], each['side']), 0) - filled
            rows.append(Compared(each['order_id'], each['code'], each['side'], each['shares'], filled))
    return rows + [Compared('', code, side, 0, left) for (code, side), left in got.items() if left > 0]


def without_fills(account: Account, before: date) -> dict[str, int]:
    """Return the days of lists of which nothing is booked, each with its number of orders; those before a day."""
    filled = {row.datetime.isoformat() for row in account.fills}
    found: dict[str, int] = {}
    for each in account.issued:
        if account.settled < each['date'] < before.isoformat() and each['date'] not in filled:
            found[each['date']] = found.get(each['date'], 0) + 1
    return found


def last_fills(account: Account, rows: Sequence[FillRow]) -> tuple[date | None, list[FillRow]]:
    """Return the last day of some fills, and all fills of the account on it."""
    day = max((row.datetime for row in rows), default=None)
    return day, [row for row in account.fills if row.datetime == day]
