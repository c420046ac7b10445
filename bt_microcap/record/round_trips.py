"""Round trips: what each purchase of a stock came to when it was sold again, with all that happened to it in between."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from ..exchange.account import CONSOLIDATED, DELISTED
from .rows import CorporateAction, Fill, FillDetail

NO_DETAIL = FillDetail(0.0, '')
PARKING = 'parking'  # why an order was given


class RoundTrip(NamedTuple):
    """A stock from the first share bought until none was left."""

    code: str
    opened: date
    closed: date
    days_held: int  # trading days from the one to the other
    shares: int  # bought in all, as they were on the days they were bought
    buy_value: float  # yuan paid for shares, without fees
    sell_value: float  # yuan that sales brought, or a delisting or a consolidation
    received: float  # yuan of dividends and fractions of shares while held
    commission: float  # yuan
    tax: float  # stamp duty and the dividend tax withheld at sales, yuan
    transfer_fee: float  # yuan
    slippage: float  # yuan that the fills cost beyond the open: inside the two values already
    profit: float  # yuan, after all fees and taxes
    rate_of_return: float  # profit over what the buys cost with their fees
    why: str  # of the fill that closed it: the ``why=`` of its order, or delisted, consolidated


class _Open:
    """What is known of a round trip that is not closed."""

    __slots__ = ('bought', 'commission', 'held', 'opened', 'paid', 'received', 'shares', 'slippage', 'sold', 'tax',
                 'transfer_fee')

    def __init__(self, opened: date) -> None:
        self.opened = opened
        self.held = self.shares = 0
        self.bought = self.sold = self.received = self.commission = self.tax = self.transfer_fee = self.slippage = 0.0
        self.paid = 0.0  # for the buys with their fees

    def fill(self, fill: Fill, slippage: float) -> None:
        value = fill.quantity * fill.price
        self.held += _signed(fill)
        if fill.side == 'BUY':
            self.shares += fill.quantity
            self.bought += value
            self.paid += value + fill.commission + fill.tax + fill.transfer_fee
        else:
            self.sold += value
        self.commission += fill.commission
        self.tax += fill.tax
        self.transfer_fee += fill.transfer_fee
        self.slippage += slippage

    def happen(self, action: CorporateAction) -> None:
        self.held += _change(action)
        if action.action in (DELISTED, CONSOLIDATED):
            self.sold += action.cash
        else:
            self.received += action.cash

    def close(self, code: str, closed: date, days: Sequence[date], why: str) -> RoundTrip:
        profit = self.sold + self.received - self.bought - self.commission - self.tax - self.transfer_fee
        return RoundTrip(
            code, self.opened, closed, bisect_left(days, closed) - bisect_left(days, self.opened), self.shares, self.bought,
            self.sold, self.received, self.commission, self.tax, self.transfer_fee, self.slippage, profit,
            profit / self.paid if self.paid else 0.0, why)


def round_trips(
    fills: Sequence[Fill], corporate_actions: Sequence[CorporateAction], days: Sequence[date],
    details: Sequence[FillDetail] | None = None,
) -> list[RoundTrip]:
    """Return the round trips of a run, in the order in which they were closed.

    One lasts from flat to flat of one stock, as a ``Trade`` of Backtrader: buys and partial sales in between belong to it.
    What is held at the end is none; `profits_by_stock` counts it. A broker other than ours that sells short makes round trips
    as well, which a sale opens and a buy closes.

    Parameters
    ----------
    fills : sequence of Fill
    corporate_actions : sequence of CorporateAction
        In the order in which they happened. Those of a day come before its fills: ex-rights before the open, and a delisting
        is booked at the start of the day after it.
    days : sequence of date
        Trading days of the run, ascending.
    details : sequence of FillDetail, optional
        One for each fill; without them there is no slippage, and no reason of a sale.

    Returns
    -------
    list of RoundTrip

    Raises
    ------
    ValueError
        There are not as many details as fills.
    """
    if details is not None and len(details) != len(fills):
        raise ValueError(f'found {len(details)} details, expected one for each of the {len(fills)} fills')
    trips: list[RoundTrip] = []
    open_trips: dict[str, _Open] = {}

    def settle(day: date, code: str, why: str) -> None:
        if not open_trips[code].held:
            trips.append(open_trips.pop(code).close(code, day, days, why))

    for what, detail in _in_order(fills, corporate_actions, details):
        trip = open_trips.get(what.code)
        if detail is None:
            if trip is not None:
                trip.happen(what)
                settle(what.date, what.code, what.action)
            continue
        if trip is None:
            trip = open_trips[what.code] = _Open(what.datetime)
        trip.fill(what, detail.slippage)
        settle(what.datetime, what.code, detail.why)
    return trips


def _in_order(
    fills: Sequence[Fill], corporate_actions: Sequence[CorporateAction], details: Sequence[FillDetail] | None,
) -> Iterator[tuple[CorporateAction, None] | tuple[Fill, FillDetail]]:
    """Yield what happened day by day: its corporate actions, then its fills."""
    actions = iter(corporate_actions)
    action = next(actions, None)
    for number, fill in enumerate(fills):
        while action is not None and action.date <= fill.datetime:
            yield action, None
            action = next(actions, None)
        yield fill, details[number] if details is not None else NO_DETAIL
    if action is not None:
        yield action, None
        yield from ((action, None) for action in actions)


def trip_flows(
    fills: Sequence[Fill], corporate_actions: Sequence[CorporateAction],
) -> Iterator[tuple[str, int, date, float, bool]]:
    """Give the money of each fill and corporate action, by round trip.

    Parameters
    ----------
    fills : sequence of Fill
    corporate_actions : sequence of CorporateAction
        As of `round_trips`.

    Yields
    ------
    tuple
        Code; the number of the stock's round trip, from 0; day; yuan that came in, fees and taxes taken off, negative where it
        was paid; whether the trip is over with it.
    """
    held: dict[str, int] = {}
    number: dict[str, int] = {}
    for what, detail in _in_order(fills, corporate_actions, None):
        before, trip = held.get(what.code, 0), number.setdefault(what.code, 0)
        if detail is None:
            if not before:
                continue  # of nothing that is held
            left, money, day = before + _change(what), what.cash, what.date
        else:
            left, day = before + _signed(what), what.datetime
            money = -_signed(what) * what.price - what.commission - what.tax - what.transfer_fee
        held[what.code] = left
        number[what.code] = trip + (not left)
        yield what.code, trip, day, money, not left


def parked_codes(fills: Sequence[Fill], details: Sequence[FillDetail]) -> set[str]:
    """Return the codes that were only bought and sold to park idle cash: they are no stocks that a strategy has chosen."""
    why: dict[str, set[str]] = {}
    for fill, detail in zip(fills, details, strict=True):
        why.setdefault(fill.code, set()).add(detail.why)
    return {code for code, reasons in why.items() if reasons == {PARKING}}


def days_in_stocks(
    fills: Sequence[Fill], corporate_actions: Sequence[CorporateAction], days: Sequence[date], without: Collection[str] = (),
) -> int:
    """Return after how many days something was held, but for some codes."""
    held: dict[str, int] = {}
    codes = 0  # that are held
    steps: dict[int, int] = {}  # place of a day -> codes held after it
    for what, detail in _in_order(fills, corporate_actions, None):
        if what.code in without:
            continue
        before = held.get(what.code, 0)
        if detail is not None or before:
            held[what.code] = after = before + (_change(what) if detail is None else _signed(what))
            codes += bool(after) - bool(before)
        steps[bisect_left(days, what.date if detail is None else what.datetime)] = codes
    count = now = 0
    for place in range(len(days)):
        now = steps.get(place, now)
        count += now > 0
    return count


def openings(fills: Sequence[Fill], corporate_actions: Sequence[CorporateAction]) -> dict[str, list[date]]:
    """Return the days on which positions were opened from flat, of what is still held as well.

    Parameters
    ----------
    fills : sequence of Fill
    corporate_actions : sequence of CorporateAction
        As of `round_trips`.

    Returns
    -------
    dict of str to list of date
        Code -> days, ascending; the same day twice where the stock was sold and bought again on it.
    """
    found: dict[str, list[date]] = {}
    held: dict[str, int] = {}
    for what, detail in _in_order(fills, corporate_actions, None):
        before = held.get(what.code, 0)
        if detail is None:
            held[what.code] = before + _change(what) if before else 0
            continue
        if not before:
            found.setdefault(what.code, []).append(what.datetime)
        held[what.code] = before + _signed(what)
    return found


def _signed(fill: Fill) -> int:
    """Return by how many shares a fill changes a position."""
    return fill.quantity if fill.side == 'BUY' else -fill.quantity


def _change(action: CorporateAction) -> int:
    """Return by how many shares a corporate action changes a position."""
    return action.shares_after - action.shares_before


def profits_by_stock(
    fills: Sequence[Fill], corporate_actions: Sequence[CorporateAction], last_values: Mapping[str, float],
) -> dict[str, float]:
    """Return what each stock that was ever held has earned, after fees and taxes; what is still held counts at its last value.

    Their sum is the value of the account at the end, less the cash at its start and what came in by ``add_cash``.

    Parameters
    ----------
    fills : sequence of Fill
    corporate_actions : sequence of CorporateAction
    last_values : mapping of str to float
        Code -> market value at the end, yuan, of each stock that is still held.

    Returns
    -------
    dict of str to float
        Code -> yuan, by code.

    Raises
    ------
    ValueError
        A stock is still held, and has no last value.
    """
    profits: dict[str, float] = dict(last_values)
    held: dict[str, int] = {}
    for fill in fills:
        held[fill.code] = held.get(fill.code, 0) + _signed(fill)
        earned = -_signed(fill) * fill.price - fill.commission - fill.tax - fill.transfer_fee
        profits[fill.code] = profits.get(fill.code, 0.0) + earned
    for action in corporate_actions:
        held[action.code] = held.get(action.code, 0) + _change(action)
        profits[action.code] = profits.get(action.code, 0.0) + action.cash
    unknown = sorted(code for code, shares in held.items() if shares and code not in last_values)
    if unknown:
        raise ValueError(f'{", ".join(unknown)}: still held at the end, expected its market value in last_values')
    return dict(sorted(profits.items()))
