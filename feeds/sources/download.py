"""What all downloads share: the days to ask for, answers from the cache or asked for politely, how long it will take."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Container, Iterator
from datetime import date, time, timedelta

import numpy as np
import pandas as pd

from ..errors import DataError
from . import Request, clock
from .answers import Asked, parse_dates
from .cache import Cache, FetchRange, Needed
from .retries import EmptyAnswerError, Fetch, Pauses, StopError, Throttle, UnansweredError, with_retries

DEFAULT_START = date(2005, 1, 1)  # asked for where the user gives no start
MARKET_CLOSED = time(16)  # o'clock in Shanghai, from when on a day is complete, where a source is not later
OPTIONAL_ATTEMPTS, OPTIONAL_WAIT = 2, 5.0  # for what can be done without; seconds between
WHOLE, WHOLE_OF_MANY, MANY = 0.5, 0.9, 100  # of the rows of the day before: with fewer a day is not complete; of so many, exactly


def download_range(request: Request, complete: time = MARKET_CLOSED) -> tuple[date, date]:
    """Return the first and last day to ask for.

    Parameters
    ----------
    request : Request
    complete : time
        O'clock in Shanghai, from when on the source has all of a day.
    """
    now = clock.now()
    last = now.date() if now.time() >= complete else now.date() - timedelta(days=1)
    return request.start or DEFAULT_START, min(request.end or last, last)


def check_days(request: Request, start: date, end: date, complete: time = MARKET_CLOSED) -> None:
    """Refuse days that are not over yet.

    Raises
    ------
    DataError
        The first day is after the last one that is complete.
    """
    if start > end:
        raise DataError(
            f'--start {start} is after {end}, the last day that is complete; today is from {complete:%H:%M} on, in Shanghai')


def known_codes(request: Request, source: str, known: Container[str], hint: str = '') -> list[str]:
    """Return the stocks asked for that a source has; with ``request.skip_bad`` the others are left out and reported.

    Raises
    ------
    DataError
        It has not all of them.
    """
    found = []
    for code in request.codes or ():
        if code in known:
            found.append(code)
            continue
        text = f'--codes {code}: found no such stock at {source}, expected one that its list of stocks has{hint}'
        if not request.skip_bad:
            raise DataError(text)
        request.skipped.append(text)
    return found


def refresh_from(request: Request, last: date) -> date | None:
    """Return the day from which on answers are asked for anew: so many weekdays back from the last one, that one counted."""
    if not request.refresh:
        return None
    return np.busday_offset(np.datetime64(last), 1 - request.refresh, roll='backward').astype(object)


def duration(seconds: float) -> str:
    """Return a time in words."""
    if seconds < 90:
        return f'{max(1, round(seconds))} s'
    return f'{seconds / 60:.0f} minutes' if seconds < 5400 else f'{seconds / 3600:.1f} hours'


class Download:
    """The answers of a source's client: from the cache, else asked for politely and again after errors.

    Parameters
    ----------
    name : str
        The source.
    request : Request
    throttle : Throttle or Pauses
    attempts : int
        How often an answer is asked for.
    wait : float
        Seconds before the second attempt; before each further one twice as many.
    last : date, optional
        Last day that is asked for; with ``request.refresh`` days up to it are asked for anew.
    advice : str
        What to do where there is no answer.
    """

    def __init__(
        self, name: str, request: Request, throttle: Throttle | Pauses, attempts: int = 5, wait: float = 2.0,
        last: date | None = None, advice: str = '',
    ) -> None:
        self.name, self.throttle, self.attempts, self.wait, self.advice = name, throttle, attempts, wait, advice
        self.cache = Cache(request.cache, refresh_from(request, last or clock.today()))
        self._say = request.say

    def label(self, call: str, key: str = '') -> str:
        """Return what messages call an answer."""
        return f'{self.name} {call} {key}'.strip()

    def announce(self, calls: int, held: int = 0, note: str = '') -> None:
        """Say before a download how many calls it will make, and about how long that takes.

        Parameters
        ----------
        calls : int
            Still to be made, about.
        held : int
            Answers that the cache has.
        note : str
            What the account's level allows, and the like.
        """
        if calls:
            seconds = calls * self.throttle.seconds_per_call
            text = f'{self.name}: about {calls:,} calls, {self.throttle.pace}: about {duration(seconds)}'
        else:
            text = f'{self.name}: nothing to ask for'
        parts = [text, f'{held:,} answers are in the cache' if held else '', note,
                 'an interruption costs nothing, the same command goes on' if calls * self.throttle.seconds_per_call > 60 else '']
        self._say('; '.join(part for part in parts if part))

    def fetch_with_retries(
        self, call: str, key: str, fetch: Fetch, needed: bool = False, attempts: int | None = None, wait: float | None = None,
        advice: str | None = None, empty_attempts: int | None = None,
    ) -> pd.DataFrame:
        """Ask now; where rows are `needed`, nothing is no answer, however often it comes or `empty_attempts` times."""
        advice = self.advice if advice is None else advice

        def one() -> pd.DataFrame:
            self.throttle()
            frame = fetch()
            if needed and not len(frame):
                raise EmptyAnswerError('an empty answer')
            return frame

        wait = self.wait if wait is None else wait
        return with_retries(one, attempts or self.attempts, wait, self.label(call, key), advice, empty_attempts)

    def get_snapshot(self, call: str, fetch: Fetch, needed: bool = True, optional: bool = False) -> pd.DataFrame:
        """Return a list as of today, such as that of all stocks; one that is `optional` is not asked for as long."""
        return self.cache.get(
            self.name, call, clock.today().isoformat(), needed=needed, fetch=lambda: self.fetch_with_retries(
                call, '', fetch, needed, *((OPTIONAL_ATTEMPTS, OPTIONAL_WAIT, '') if optional else ())))

    def last_snapshot(self, call: str) -> pd.DataFrame | None:
        """Return the newest list that an earlier day left; None where there is none."""
        days = self.cache.keys(self.name, call)
        return self.cache.held(self.name, call, max(days), needed=True) if days else None

    def get(
        self, call: str, key: str, fetch: Fetch, until: date | None = None, needed: bool = False,
        empty_attempts: int | None = None, keep_empty: bool = True,
    ) -> pd.DataFrame:
        """Return the answer about one day, or about something that does not change; see `Cache.get`."""
        def ask() -> pd.DataFrame:
            frame = self.fetch_with_retries(call, key, fetch, needed, empty_attempts=empty_attempts)
            if not len(frame) and self.cache.held(self.name, call, key, needed=True) is not None:
                frame = self.fetch_with_retries(call, key, fetch)  # asked for anew, what had rows has none: once more, to be sure
            return frame

        return self.cache.get(self.name, call, key, until=until, needed=needed, keep_empty=keep_empty, fetch=ask)

    def get_range(
        self, call: str, key: str, start: date, end: date, fetch: FetchRange, date_column: str, needed: bool | Needed = False,
        since: date | None = None, empty_attempts: int | None = None, keep_empty: bool = True,
        proved: bool | None = None,
    ) -> pd.DataFrame:
        """Return the answer about some days.

        Parameters
        ----------
        call, key : str
        start, end : date
        fetch : callable
            Asks for the rows from one day to another.
        date_column : str
            The column with the answer's days.
        needed : bool or callable
            There must be rows; or a function of a first and last day that tells whether there must be.
        since : date, optional
            Nothing may be right where a stock is suspended on all the days: then the rows since this day are asked for, and
            where there are such, that none are of the days is known.
        empty_attempts : int, optional
            How often nothing is taken for no answer, where that is less than of other errors.
        keep_empty : bool
            Whether nothing at all is kept as an answer.
        proved : bool, optional
            That days without rows at the end have none is known; by default where `needed` is true, not by a function.
        """
        must = needed if callable(needed) else lambda first, last: bool(needed)

        def between(first: date, last: date) -> pd.DataFrame:
            frame = fetch(first, last)
            if len(frame) or not must(first, last):
                return frame
            if since is not None and since < first:
                self.throttle()
                frame = fetch(since, last)
            if not len(frame):
                raise EmptyAnswerError('an empty answer')
            return frame[parse_dates(frame, date_column) >= np.datetime64(first, 's')].reset_index(drop=True)

        return self.cache.get_range(
            self.name, call, key, start=start, end=end, date_column=date_column, needed=needed is not False,
            proved=needed is True if proved is None else proved, keep_empty=keep_empty,
            fetch=lambda first, last: self.fetch_with_retries(
                call, key, lambda: between(first, last), empty_attempts=empty_attempts))

    def get_index(
        self, call: str, index: str, key: str, start: date, end: date, fetch: FetchRange, date_column: str,
    ) -> pd.DataFrame:
        """Return the prices of an index, which has some on the last day.

        Raises
        ------
        DataError
            It has none.
        """
        try:
            return self.get_range(call, key, start, end, fetch, date_column, lambda first, last: last >= end,
                                  empty_attempts=OPTIONAL_ATTEMPTS)
        except UnansweredError as error:
            if not error.empty:
                raise
            raise DataError(f'{self.label(call, index)}: found no rows of this index, expected some; check --benchmark, or start '
                            'again later') from None


def iter_tables(
    request: Request, keys: list[str], read_table: Callable[[str], pd.DataFrame], by_day: bool = False,
) -> Iterator[pd.DataFrame]:
    """Yield the table of each key: the stocks and days asked for.

    With ``request.skip_bad`` a file that is bad, and a stock of a download that is answered with nothing, is left out and
    reported; a day of the whole market never is (`by_day`).
    """
    asked = Asked(request)
    for done, key in enumerate(keys, 1):
        try:
            if len(table := read_table(key)):
                source = table.attrs['source']
                if len(table := table[asked.rows(table)].reset_index(drop=True)):
                    table.attrs['source'] = source
                    yield table
        except DataError as error:
            if not request.skip_bad or (request.folder is None and (by_day or not getattr(error, 'empty', False))):
                raise
            request.skipped.append(str(error))
        request.progress(done, len(keys))


def least_rows(before: int, exact: bool, many: int = MANY) -> int:
    """Return how many rows a day must have to be complete, after one with so many.

    Parameters
    ----------
    before : int
        Rows of the day before.
    exact : bool
        Nearly as many, as of today; else half of them, to be sure: on the day in 2015 on which most stocks were suspended at
        once there were 0.7 of those of the day before.
    many : int
        Rows from which on it is exact.
    """
    return max(1, int(before * (WHOLE_OF_MANY if exact and before >= many else WHOLE)))


def whole_last_day(request: Request, tables: Iterator[pd.DataFrame], last: date) -> Iterator[pd.DataFrame]:
    """Yield tables of stocks, those of today last and only when they are complete.

    Asked for stock by stock on the day itself a source may have some of them only: the others would look as if they had ended.
    """
    if last < clock.today():
        yield from tables
        return
    held, rows = [], Counter()
    for table in tables:
        days = parse_dates(table, 'date')
        now = (days == np.datetime64(last, 's')).to_numpy()
        rows[days[~now].max()] += int((days[~now] == days[~now].max()).sum())
        held.append(table[now].reset_index(drop=True))
        if len(rest := table[~now].reset_index(drop=True)):
            rest.attrs = table.attrs
            yield rest
    found = sum(map(len, held))
    before = rows[max((day for day in rows if not pd.isna(day)), default=pd.NaT)]  # stocks that ended before do not count
    if not found or 'last_day' in request.about:  # the market is not open, or a source has said so
        return
    if found < least_rows(before, exact=True):
        request.about['last_day'] = f'{last} is not complete at the source yet ({found:,} of {before:,} stocks), and was left out'
        return
    for table in held:
        if len(table):
            table.attrs.setdefault('source', f'the rows of {last}')
            yield table


@contextlib.contextmanager
def skip_on_error(request: Request, what: str) -> Iterator[None]:
    """Do without something beside the market that cannot be read, and say so."""
    try:
        yield
    except StopError:
        raise
    except DataError as error:
        request.about[what] = f'not known, as not read: {error}'


def snapshot_dates(start: date, end: date, months: int) -> list[date]:
    """Return the first day, and the first of each so many months, on which a list that changes is asked for."""
    return sorted({start, *(day for day in pd.date_range(start, end, freq='MS').date if (day.month - 1) % months == 0)})
