"""Which event of an account came of which ex-date: it may be booked on it, some days before it, or weeks after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..exchange import rules
from ..feeds.store import MarketStore
from .books import OF_CASH, EventRow

EARLY, LATE = 7, 90  # days before and after an ex-date within which what came of it is booked
SURELY_SHARES = 1.1  # last close over the reference price: no dividend alone is so large
NEAR = 1.02  # by how much more new shares than the reference price allows a rounding may tell


class ExDate(NamedTuple):
    """An ex-date of a stock, as the data tells it."""

    day: int  # ordinal
    ratio: float  # shares after per share before; where the reference price alone is known, at most so many
    dividend: float  # yuan a share before tax; where the reference price alone is known, at most so much
    known: bool  # whether columns of corporate actions tell it; else it may have brought shares, cash or both

    def brings(self, kind: str) -> bool:
        """Return whether it may have brought ``shares`` or ``cash``."""
        return not self.known or (self.ratio != 1 if kind == 'shares' else self.dividend > 0)


def ex_dates_of(store: MarketStore, code: str, explicit: bool) -> list[ExDate]:
    """Return the ex-dates of a stock, ascending.

    Parameters
    ----------
    store : MarketStore
    code : str
    explicit : bool
        Whether the columns of corporate actions count, by the profile's ``ex_rights``.
    """
    try:
        number = store.stock_number(code)
    except KeyError:
        return []
    close, preclose = (None if block is None else np.asarray(block, dtype=float)
                       for block in (store.block('close', number), store.block('preclose', number)))
    if close is None or len(close) < 2:
        return []
    last = np.append(np.nan, close[:-1])
    reference = np.full(len(close), np.nan) if preclose is None else preclose
    told = {name: store.block(name, number) if explicit else None for name in ('cash_dividend', 'share_ratio')}
    dividend, ratio = (np.full(len(close), np.nan) if told[name] is None else np.asarray(told[name], dtype=float)
                       for name in ('cash_dividend', 'share_ratio'))
    known = (dividend == dividend) | (ratio == ratio)
    moved = ~known & (reference > 0) & (np.abs(reference - last) > rules.half_tick(code))
    found = np.flatnonzero(moved | (dividend > 0) | ((ratio == ratio) & (ratio != 1)))
    first, out = int(store.first[number]), []
    for at in found.tolist():
        day = int(store.days[first + at])
        if known[at]:
            share = ratio[at] if ratio[at] == ratio[at] else 1.0
            out.append(ExDate(day, float(share), float(dividend[at]) if dividend[at] > 0 else 0.0, True))
        else:
            out.append(ExDate(day, float(last[at] / reference[at]), float(last[at] - reference[at]), False))
    return out


class Matched(NamedTuple):
    """What of an account's events came of ex-dates."""

    days: dict[int, int]  # number of an event -> ordinal of its ex-date
    doubled: dict[int, int]  # number of an event -> that of one of the same kind, which came of the only ex-date near


def match(events: Sequence[EventRow], ex_dates: dict[str, list[ExDate]], held: Callable[[str, int], int]) -> Matched:
    """Return which event came of which ex-date.

    It is one on which the stock was held, and which may have brought such a thing; of several one that fits its size, then the
    nearest, those before it first.

    Parameters
    ----------
    events : sequence of EventRow
    ex_dates : dict
        Code -> its ex-dates.
    held : callable
        (code, ordinal) -> the shares that were held before the open of a day.
    """
    days: dict[int, int] = {}
    doubled: dict[int, int] = {}
    taken: dict[tuple[str, int, str], int] = {}  # (code, day, kind) -> number of the event
    for number in sorted(range(len(events)), key=lambda each: events[each].date):
        event = events[number]
        wanted = kinds(event)
        if not wanted:
            continue
        on = event.date.toordinal()
        near = [each for each in ex_dates.get(event.code, ()) if each.day - EARLY <= on <= each.day + LATE
                and all(map(each.brings, wanted)) and held(event.code, each.day) > 0]
        near.sort(key=lambda each: (not _fits(event, each, held(event.code, each.day)), each.day > on, abs(on - each.day)))
        free = [each for each in near if not any((event.code, each.day, kind) in taken for kind in wanted)]
        if free:
            days[number] = free[0].day
            for kind in wanted:
                taken[event.code, free[0].day, kind] = number
        elif near:
            doubled[number] = next(taken[event.code, near[0].day, kind] for kind in wanted
                                   if (event.code, near[0].day, kind) in taken)
    return Matched(days, doubled)


def kinds(event: EventRow) -> tuple[str, ...]:
    """Return what an event of an ex-date has brought, of ``shares`` and ``cash``; nothing for other events."""
    if event.action in OF_CASH or event.action in ('delisted', 'consolidated'):
        return ()
    if event.action == 'reinvest':
        return 'shares', 'cash'
    return (*(('shares',) if event.shares_after != event.shares_before else ()), *(('cash',) if event.cash else ()))


def _fits(event: EventRow, ex_date: ExDate, held: int) -> bool:
    """Return whether an event is about as large as its ex-date tells; a tax may be off a dividend."""
    new, cash = event.shares_after - event.shares_before, event.cash
    told_new, told_cash = held * (ex_date.ratio - 1), held * ex_date.dividend
    if event.action == 'reinvest':
        return True
    if not ex_date.known:
        return new <= told_new * NEAR + 1 and cash <= told_cash * NEAR + 1
    return (not new or abs(new - told_new) <= 0.02 * abs(told_new) + 1) and (
        not cash or 0.75 * told_cash - 1 <= cash <= NEAR * told_cash + 1)


def new_shares_allowed(event: EventRow, ex_date: ExDate) -> bool:
    """Return whether the new shares of an event are no more than its ex-date allows; not where some were sold between."""
    return event.shares_after <= event.shares_before * ex_date.ratio * NEAR + 1 or event.date.toordinal() != ex_date.day


