"""For which days the exchange's rules here are known, and what happens outside."""

from __future__ import annotations

import warnings
from datetime import date

VALID_FROM = date(1996, 12, 16)  # the first day of the daily price limit; earlier days are not covered
VALID_UNTIL = date(2026, 12, 31)  # rules announced by the end of 2026 are in the tables

_FIRST, _LAST = VALID_FROM.toordinal(), VALID_UNTIL.toordinal()
_told = False  # that the tables have ended: once a process, or every later day of a run would say it again


class RuleError(ValueError):
    """A rule was asked for outside its range of validity, or for something that is no A share."""


def check_day(day: int, remedy: str) -> None:
    """Refuse a day before the rules begin, and say once that a day after their end is run by the last of them.

    The past does not change: a day before the tables would be a guess. What comes after them is most likely as
    it was last, and whoever runs it every day must not be stopped by the turn of a year.

    Parameters
    ----------
    day : int
        Ordinal of the day.
    remedy : str
        What to do about a day that is too early.

    Raises
    ------
    RuleError
        The day is before `VALID_FROM`.
    """
    global _told
    if _FIRST <= day <= _LAST:
        return
    on = date.fromordinal(day)
    if day < _FIRST:
        raise RuleError(f'the exchange rules here hold from {VALID_FROM} to {VALID_UNTIL}; {on} is outside: {remedy}')
    if not _told:
        _told = True
        warnings.warn(f'the exchange rules here are known until {VALID_UNTIL}; {on} is run by the last of them', stacklevel=3)
