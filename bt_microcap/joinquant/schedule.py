"""When a script's functions run: ``run_daily``, ``run_weekly``, ``run_monthly``, and the functions with a name of their own.

The order at one time is the platform's: monthly, weekly, daily, then ``before_trading_start``, ``handle_data`` and
``after_trading_end``; of one kind, in the order in which they were given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

from .api.errors import Unsupported
from .api.session import AFTER, BEFORE, CLOSE, OPEN

MONTHLY, WEEKLY, DAILY, NAMED = range(4)
SESSION_OPEN, SESSION_CLOSE = time(9, 30), time(15)
WORDS = {'before_open': time(9), 'open': SESSION_OPEN, 'every_bar': SESSION_OPEN, 'close': SESSION_CLOSE,
         'after_close': time(15, 30), 'before_trading_start': time(9), 'handle_data': SESSION_OPEN,
         'after_trading_end': time(15, 30)}
SHIFTED = re.compile(r'(open|close)\s*([+-])\s*(\d+)\s*m(?:in)?')
CLOCK = re.compile(r'(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?')


class Job(NamedTuple):
    """One function and when it runs."""

    kind: int
    function: Callable[..., Any]
    at: time
    day: int  # n-th trading day of the week or month, negative from its end
    said: str  # the time as the script gave it


def time_of(text: Any) -> time:
    """Return the time that a script means.

    Raises
    ------
    Unsupported
        It is none.
    """
    if isinstance(text, time):
        return text
    said = str(text).strip()
    if said in WORDS:
        return WORDS[said]
    if found := SHIFTED.fullmatch(said):
        base = SESSION_OPEN if found[1] == 'open' else SESSION_CLOSE
        shift = timedelta(minutes=int(found[3]) * (1 if found[2] == '+' else -1))
        return (datetime.combine(date.min.replace(year=2000), base) + shift).time()
    if found := CLOCK.fullmatch(said):
        try:
            return time(int(found[1]), int(found[2]), int(found[3] or 0))
        except ValueError:
            pass
    raise Unsupported(f'the time {text!r} is not known: expected 9:30, open, every_bar, before_open, close, after_close, or '
                      'open+10m')


def part_of(at: time) -> int:
    """Return the part of the day that stands for a time of daily bars."""
    if at < SESSION_OPEN:
        return BEFORE
    if at < time(9, 31):
        return OPEN
    return CLOSE if at <= SESSION_CLOSE else AFTER


class Schedule:
    """What runs when.

    Parameters
    ----------
    days : sequence of int
        Ordinals of the trading days, ascending; those to come are public beforehand.
    """

    def __init__(self, days: Sequence[int]) -> None:
        self._days = [date.fromordinal(int(day)) for day in days]
        self._trading = set(self._days)
        self.first: date | None = None  # of the run: the first week and month count from it
        self.jobs: list[Job] = []
        self._periods: dict[Any, list[date]] = {}

    def add(self, kind: int, function: Callable[..., Any], at: Any, day: int = 0) -> Job:
        """Add a function."""
        if not callable(function):
            raise Unsupported(f'found {function!r}, expected a function of the script')
        job = Job(kind, function, time_of(at), int(day), str(at))
        self.jobs.append(job)
        return job

    def clear(self) -> None:
        """Forget what was given by ``run_daily`` and its like."""
        self.jobs = [job for job in self.jobs if job.kind == NAMED]

    def due(self, today: date) -> list[Job]:
        """Return what runs on a day, in its order."""
        return sorted((job for job in self.jobs if self._is_due(job, today)), key=lambda job: (job.at, job.kind))

    def _is_due(self, job: Job, today: date) -> bool:
        if job.kind in (DAILY, NAMED):
            return True
        days = self._period(job.kind, today)
        count = len(days)
        place = min(job.day, count) - 1 if job.day > 0 else max(count + job.day, 0)
        return days[max(place, 0)] == today

    def _period(self, kind: int, today: date) -> list[date]:
        """Return the trading days of the week or month of a day; beyond the data every weekday counts as one."""
        key = (kind, today.isocalendar()[:2] if kind == WEEKLY else (today.year, today.month))
        if key not in self._periods:
            if kind == WEEKLY:
                begin = today - timedelta(days=today.weekday())
                end = begin + timedelta(days=6)
            else:
                begin = today.replace(day=1)
                end = (begin + timedelta(days=31)).replace(day=1) - timedelta(days=1)
            begin = max(begin, self.first or begin)
            found = [day for day in (begin + timedelta(days=number) for number in range((end - begin).days + 1))
                     if day in self._trading or day > self._days[-1] and day.weekday() < 5]
            self._periods[key] = found
        return self._periods[key]
