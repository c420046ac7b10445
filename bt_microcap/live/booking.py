"""What a statement changes of an account: booked once, and compared with the list that was made of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from ..feeds.errors import DataError
from .account import Account
from .books import OF_CASH, EventRow, FillRow, add_up
from .statement import Statement


class Compared(NamedTuple):
    """What became of one order of a list."""

    order_id: str
    code: str
    side: str
    ordered: int  # shares; 0 for what was not on the list
    filled: int


def book(account: Account, statement: Statement, source: str) -> None:
    """Add a statement to an account; whether all of it adds up, `Account.save` tells.

    Raises
    ------
    DataError
        A fill or an event is booked already, or stands in the statement twice; or an event is of something that is not held.
    """
    for number, fill in enumerate(statement.fills):
        if fill.datetime < account.begun:
            raise DataError(f'{source}: found a fill of {fill.datetime}, expected {account.begun}, the first day of '
                            f'{account.path}, or later')
        for where, rows in ((f'{account.journal_path} has it', account.fills), ('it is there twice', statement.fills[:number])):
            if any(_may_be_same(fill, row) for row in rows):
                raise DataError(f'{source}: {fill.datetime} {fill.code} {fill.side} {fill.quantity:,} at {fill.price:g} is '
                                f'booked once: {where}; two fills that differ in nothing want their number (成交编号, fill_id) '
                                'or time in a column')
    for event in statement.events:
        if event.date < account.begun:
            raise DataError(f'{source}: found {event.action} of {event.date}, expected {account.begun}, the first day of '
                            f'{account.path}, or later')
    known = {_issued_key(each): each for each in account.issued}
    account.fills += [_with_reference(fill, known) for fill in statement.fills]
    for event in sorted(statement.events, key=lambda event: event.date):
        complete = _completed(account, event, source)
        if any(_same_event(complete, row) for row in account.events):
            raise DataError(f'{source}: {event.date} {event.code} {event.action} of {event.cash:,.2f} yuan is booked once: '
                            f'{account.events_path} has it')
        account.events.append(complete)


def _may_be_same(one: FillRow, other: FillRow) -> bool:
    """Return whether two rows may be the same fill: alike, and nothing that both of them say tells them apart."""
    if one[:5] != other[:5]:
        return False
    return all(not mine or not theirs or mine == theirs for mine, theirs in (
        (one.fill_id, other.fill_id), (one.time, other.time), (one.order_id, other.order_id)))


def _same_event(one: EventRow, other: EventRow) -> bool:
    alike = one[:3] == other[:3] and one.cash == other.cash and one.shares_after == other.shares_after
    return alike and (not one.event_id or not other.event_id or one.event_id == other.event_id)


def _completed(account: Account, event: EventRow, source: str) -> EventRow:
    """Return an event of a statement with what the broker's row does not say: how many shares there were."""
    if event.action in OF_CASH:
        return event
    earlier = [row for row in account.events if row.date <= event.date]
    fills = [row for row in account.fills if row.datetime < event.date]
    position = add_up(account.cash, account.holdings, earlier, fills, source, True).positions.get(event.code)
    if position is None:
        raise DataError(f'{source}: found {event.action} of {event.code} on {event.date}, which {account.path} does not hold '
                        'before it')
    held = position.shares
    if event.shares_before >= 0:
        after = event.shares_after
    else:
        after = {'bonus': held + event.shares_after, 'delisted': 0}.get(event.action, event.shares_after or held)
    ratio = event.ratio if event.ratio == event.ratio else after / held
    dividend = event.dividend
    if dividend != dividend:
        dividend = event.cash / held if event.action == 'dividend' or not after else 0.0
    return event._replace(shares_before=event.shares_before if event.shares_before >= 0 else held, shares_after=after,
    ratio=ratio,
                          dividend=dividend)


def _issued_key(each: dict) -> tuple[str, str, str]:
    return each['date'], each['code'], each['side']


def _with_reference(fill: FillRow, known: dict) -> FillRow:
    each = known.get((fill.datetime.isoformat(), fill.code, fill.side))
    if each is None or fill.reference_price == fill.reference_price:
        return fill
    return fill._replace(reference_price=each['reference_price'])


def compared(account: Account, fills: Iterable[FillRow], day: date) -> list[Compared]:
    """Return what became of the orders of the account's last list, where it was of a day, and what was filled beside it."""
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


def last_fills(account: Account, rows: Sequence[FillRow]) -> tuple[date | None, list[FillRow]]:
    """Return the last day of some fills, and all fills of the account on it."""
    day = max((row.datetime for row in rows), default=None)
    return day, [row for row in account.fills if row.datetime == day]
