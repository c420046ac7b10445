"""Which event of an account came of which ex-date: it may be booked on it, some days before it, or weeks after."""

from __future__ import annotations

from collections.abc import Sequence
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
    shares: bool  # whether it brings new shares
    cash: bool  # whether it brings a dividend
    ratio: float  # shares after per share before, at most: last close over the reference price where that alone is known


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
            out.append(ExDate(day, share != 1.0, dividend[at] > 0, float(share)))
        else:
            share = float(last[at] / reference[at])
            out.append(ExDate(day, share > SURELY_SHARES, share <= SURELY_SHARES, share))
    return out


class Matched(NamedTuple):
    """What of an account's events came of ex-dates."""

    days: dict[int, int]  # number of an event -> ordinal of its ex-date
    doubled: dict[int, int]  # number of an event -> that of one of the same kind, which came of the only ex-date near


def match(events: Sequence[EventRow], ex_dates: dict[str, list[ExDate]]) -> Matched:
    """Return which event came of which ex-date: of several the nearest, that before it first.

    Parameters
    ----------
    events : sequence of EventRow
    ex_dates : dict
        Code -> its ex-dates.
    """
    days: dict[int, int] = {}
    doubled: dict[int, int] = {}
    taken: dict[tuple[str, int, str], int] = {}  # (code, day, kind) -> number of the event

    def kinds(event: EventRow) -> tuple[str, ...]:
        if event.action == 'reinvest':
            return 'shares', 'cash'
        return (*(('shares',) if event.shares_after != event.shares_before else ()), *(('cash',) if event.cash else ()))

    for number in sorted(range(len(events)), key=lambda each: events[each].date):
        event = events[number]
        if event.action in OF_CASH or event.action in ('delisted', 'consolidated') or not kinds(event):
            continue
        on, wanted = event.date.toordinal(), kinds(event)
        near = [each for each in ex_dates.get(event.code, ()) if each.day - EARLY <= on <= each.day + LATE
                and ('shares' not in wanted or each.shares or event.action == 'reinvest')]
        near.sort(key=lambda each: (each.day > on, abs(on - each.day)))
        free = [each for each in near if not any((event.code, each.day, kind) in taken for kind in wanted)]
        if free:
            days[number] = free[0].day
            for kind in wanted:
                taken[event.code, free[0].day, kind] = number
        elif near:
            doubled[number] = next(taken[event.code, near[0].day, kind] for kind in wanted
                                   if (event.code, near[0].day, kind) in taken)
    return Matched(days, doubled)


def new_shares_allowed(event: EventRow, ex_date: ExDate) -> bool:
    """Return whether the new shares of an event are no more than its ex-date allows; not where some were sold between."""
    return event.shares_after <= event.shares_before * ex_date.ratio * NEAR + 1 or event.date.toordinal() != ex_date.day


