"""Which days the exchange trades on, where the data does not tell: by the extra ``calendar``."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

from ..feeds.errors import DataError
from ..feeds.invocation import command
from ..feeds.store import MarketStore
from ..study.extras import needed

SHANGHAI = timezone(timedelta(hours=8))
OPENS = 9, 15  # o'clock in Shanghai: the opening auction begins, and with it the day's orders


def _calendar(said: str) -> Any:
    return needed('exchange_calendars', said, 'calendar').get_calendar('XSHG')


def is_session(day: date, said: str = 'a day after the data') -> bool:
    """Return whether the exchange trades on a day.

    Raises
    ------
    DataError
        The extra is not there, or its holidays are not known as far as that.
    """
    calendar = _calendar(said)
    if not calendar.bound_min().date() <= day <= _known_until(calendar):
        raise DataError(f'{day}: the package exchange_calendars knows the holidays of Shanghai until {_known_until(calendar)}; '
                        'a newer one may know more: pip install -U exchange_calendars')
    # its sessions begin some twenty years ago
    return bool(calendar.is_session(day)) if day >= calendar.first_session.date() else day.weekday() < 5


def _known_until(calendar: Any) -> date:
    bound = calendar.bound_max()
    return date(9999, 12, 31) if bound is None else bound.date()


def today() -> date:
    """Return the day in Shanghai by the clock."""
    return datetime.now(timezone.utc).astimezone(SHANGHAI).date()


def session_before(day: date) -> date:
    """Return the last trading day before a day."""
    day -= timedelta(days=1)
    while not is_session(day):
        day -= timedelta(days=1)
    return day


def session_from(day: date) -> date:
    """Return the first trading day from a day on."""
    while not is_session(day):
        day += timedelta(days=1)
    return day


def next_open(now: datetime) -> date:
    """Return the day of the next open, seen from a moment.

    Parameters
    ----------
    now : datetime
        With its time zone.
    """
    here = now.astimezone(SHANGHAI)
    passed = (here.hour, here.minute) >= OPENS
    return session_from(here.date() + timedelta(days=int(passed)))


def check_fresh(store: MarketStore, day: date, source: str, option: str = '--date') -> None:
    """Refuse data that does not end with the trading day before the one that orders are made for.

    What the data has of that day, and of later ones, is no fault: a past day is looked at then, and its own days tell. `option`
    is how messages call what gave the day.

    Raises
    ------
    DataError
        The day is none on which the exchange trades, or the data is stale.
    """
    number = store.day_number(day.toordinal())
    first, last = store.span()
    if number < len(store.days):
        if int(store.days[number]) != day.toordinal():
            raise DataError(f'{option} {day}: the exchange does not trade on it, as {source} tells; the next trading day is '
                            f'{date.fromordinal(int(store.days[number]))}')
        if not number:
            raise DataError(f'{option} {day}: {source} begins on that day, expected rows of the trading day before it; give '
                            f'{date.fromordinal(int(store.days[min(1, len(store.days) - 1)]))} or a later day')
        return
    if not is_session(day, f'{option} {day}, which is after the last day of the data,'):
        raise DataError(f'{option} {day}: the exchange does not trade on it; the next trading day is {session_from(day)}')
    before = session_before(day)
    if before != last:
        raise DataError(f'{source}: ends on {last}, expected {before}, the trading day before {day}: the data is stale; bring '
                        f'it up to date with {command("ingest")}, or give {option} {session_from(last + timedelta(days=1))}')
