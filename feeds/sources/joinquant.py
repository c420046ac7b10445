"""Reading from JoinQuant's jqdatasdk: an account, in ``JQDATA_USER`` and ``JQDATA_PASSWORD``.

Asked for in lists of stocks, which stay the same from one run to the next: a new listing comes last. Names by date, and the
delisting period by them, and dividends come from tables, where the account may ask for them. A trial account may only read a
window of days, and each account so many rows a day. What its answers hold: `joinquant_tables`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, time, timedelta

import numpy as np
import pandas as pd

from ..errors import DataError
from . import Request, bse_codes, clock, download
from .answers import Asked, concat_frames, parse_codes, parse_dates, reference_table, require_columns
from .dividends import Dividends
from .joinquant_client import VALUATION_WINDOW, Client, index_symbol
from .joinquant_tables import (
    CALENDAR,
    CONSTITUENTS,
    DAILY,
    DIVIDENDS,
    FIELDS,
    FILE_PREFIXES,
    INDUSTRY,
    NAMES,
    ST_FLAGS,
    STOCKS,
    VALUATION,
    benchmark,
    daily_bars,
    dividend_events,
    listings,
    name_changes,
    suspended_caps,
)
from .retries import RefusedError, StopError, Throttle, UnansweredError, suppress_output
from .saved import SavedAnswers, canonical_code

COMPLETE = time(16, 30)  # o'clock, from when on the valuations of a day are there
BATCH_SIZE = 100  # stocks in a call
RATE_LIMIT = (5, 1.0)  # calls in seconds
FIRST_DAY = date(1990, 12, 19)  # of the market
LONGEST_HOLIDAY = 15  # days without a trading day, about
QUIET = 60  # days in which, of the whole market, some share always pays out


def read(request: Request) -> Iterator[pd.DataFrame]:
    """Yield a canonical table per list of stocks.

    Parameters
    ----------
    request : Request
        With ``folder``, answers saved as ``get_price_<code>.csv`` and the like, names as ``STK_NAME_HISTORY.csv``; else
        JoinQuant is asked. Its reference data are names (as of today for stocks that have none by date), listings, industries
        (of each January), members of the benchmark (of each month) and its prices.

    Raises
    ------
    DataError
        No account or a wrong one, no network, or an answer that is not as expected.
    """
    request.about['market_cap'] = 'total market cap as given; suspended days: total shares x last close'
    request.about['is_st'] = 'as given for each day'
    request.about['preclose'] = 'as given; estimated where the limits of the day tell otherwise, on an ex-date: their middle'
    request.about['dividends'] = 'explicit, by ex-date; rights issues by preclose'
    if request.folder is not None:
        yield from _read_saved_files(request, SavedAnswers('joinquant', request.folder, DAILY, FILE_PREFIXES))
    else:
        yield from _Reader(request).tables()


class _Reader:
    """A download."""

    def __init__(self, request: Request) -> None:
        self.request, self.client = request, Client()
        self.start, self.end = download.download_range(request, COMPLETE)
        download.check_days(request, self.start, self.end, COMPLETE)
        self.answers = download.Download('joinquant', request, Throttle(*RATE_LIMIT), last=self.end)
        self.client.pause = self.answers.throttle
        self.days: list[date] = []  # on which the market was open, where that is known

    def tables(self) -> Iterator[pd.DataFrame]:
        """Yield the tables."""
        request, answers, client = self.request, self.answers, self.client
        stocks = listings(answers.get_snapshot(STOCKS, client.stocks))
        if not self._open_days():
            return
        if clock.today() >= bse_codes.RENAMED:
            request.renamed |= bse_codes.pairs(stocks)
        if request.codes is not None:
            request.codes = list(dict.fromkeys(request.renamed.get(code, code) for code in request.codes))
            known = set(stocks['code']).union(request.renamed.values())
            request.codes = download.known_codes(request, 'joinquant', known)
            old = [code for code, new in request.renamed.items() if new in request.codes]
            stocks = stocks[stocks['code'].isin([*request.codes, *old])]
        if self._calls(self._lists(stocks))[0]:
            level = self._window()
            lists = self._lists(stocks)
            self._announce(lists, level)
        else:
            lists = self._lists(stocks)
        once = bse_codes.renamed(stocks, request.renamed)
        changes = self._names_by_date()
        _add_listings_and_names(request, once, changes)
        self._add_industries_and_benchmark(list(stocks['code']))
        dividends, asked = self._dividends(), Asked(request)

        def read_table(key: str) -> pd.DataFrame:
            table = self._table(key, lists[key], changes, asked)
            attrs = table.attrs
            if request.renamed and len(table):
                table['code'] = table['code'].replace(request.renamed)
                table = table.drop_duplicates(['date', 'code'], ignore_index=True)
            table = suspended_caps(table if dividends is None else dividends.lay(table))
            table.attrs = attrs
            return table

        yield from download.whole_last_day(request, download.iter_tables(request, list(lists), read_table), self.end)
        asked.tell(request.about)

    def _lists(self, stocks: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Return the lists that are asked for: of all stocks, so that they are the same whatever days are asked for."""
        alive = ~(stocks['delisted'] < np.datetime64(self.start, 's')) & ~(stocks['listed'] > np.datetime64(self.end, 's'))
        return {f'{part["code"].iloc[0]} to {part["code"].iloc[-1]}, {len(part)}': part
                for part in (stocks.iloc[first:first + BATCH_SIZE] for first in range(0, len(stocks), BATCH_SIZE))
                if alive[part.index].any()}

    def _window(self) -> str:
        """Cut the days to those that the account may read; return what is to be said of the account."""
        with suppress_output():
            account = self.client.account()
        first, last = account.get('first'), account.get('last')
        parts = []
        if (first and first > self.start) or (last and last < self.end):
            self.start, self.end = max(self.start, first or self.start), min(self.end, last or self.end)
            inside = [day for day in self.days if self.start <= day <= self.end]
            if inside:
                self.start, self.end = inside[0], inside[-1]
            window = f'the account may read {first or "the beginning"} to {last or "today"} alone'
            if self.start > self.end or (self.days and not inside):
                raise DataError(f'joinquant: {window}, and nothing of it was asked for; give other days by --start and --end, or '
                                'another account')
            self.request.about['window'] = f'{window}: other days are not known'
            parts.append(f'{window}: {self.start} to {self.end} are asked for')
        if 'left' in account:
            parts.append(f'{account["left"]:,} of {account["total"]:,} rows of today are left')
        return '; '.join(parts)

    def _open_days(self) -> bool:
        """Cut the days to those from the first to the last one on which the market was open; tell whether there is any."""
        first, last = self.start, self.end
        try:
            days = parse_dates(self.answers.get(
                CALENDAR, f'{first} {last}', lambda: self.client.trade_days(first, last), until=last,
                needed=(last - first).days > LONGEST_HOLIDAY, keep_empty=False), 'date').dt.date
        except StopError:
            raise
        except RefusedError:
            return first <= last
        self.days = sorted(days.dropna())
        if self.days:
            self.start, self.end = self.days[0], self.days[-1]
        return bool(self.days)

    def _calls(self, lists: dict[str, pd.DataFrame]) -> tuple[int, int, int]:
        """Return how many calls are to be made, how many answers are there, and about how many rows are asked for."""
        reach, calls, held, rows = min(self.end, clock.today() - timedelta(days=1)), 0, 0, 0
        windows = 1 + (self.end - self.start) // (VALUATION_WINDOW + timedelta(days=1))
        for key, part in lists.items():
            first, last = self._span(part)
            days = self.answers.cache.days('joinquant', DAILY, key)
            new = max(first, days[1]) if days is not None and days[0] <= first else first  # from when on rows are asked for
            for call, count in ((DAILY, 1), (VALUATION, windows), (ST_FLAGS, 1)):
                there = self.answers.cache.covers('joinquant', call, key, start=first, end=min(last, reach))
                if there and self.end < clock.today():
                    held += 1
                else:
                    calls += count
                    rows += len(part) * max(1, (last - new).days * 245 // 365)
        return calls, held, rows

    def _announce(self, lists: dict[str, pd.DataFrame], level: str) -> None:
        calls, held, rows = self._calls(lists)
        self.answers.announce(calls, held, '; '.join(part for part in (f'about {rows:,} rows' if rows else '', level) if part))

    def _span(self, part: pd.DataFrame) -> tuple[date, date]:
        delisted = part['delisted']
        first = self.start if part['listed'].isna().any() else max(self.start, part['listed'].min().date())
        return first, self.end if delisted.isna().any() else min(self.end, delisted.max().date())

    def _table(self, key: str, part: pd.DataFrame, changes: pd.DataFrame | None, asked: Asked) -> pd.DataFrame:
        codes, answers, client = list(part['code']), self.answers, self.client
        first, last = self._span(part)
        prices = answers.get_range(DAILY, key, first, last, lambda low, high: client.daily(codes, low, high, FIELDS), 'time',
                                   needed=True)
        traded = parse_dates(prices, 'time')[pd.to_numeric(prices['paused'], errors='coerce') == 0] if len(prices) else None

        def valued(low: date, high: date) -> bool:
            return traded is not None and bool(traded.between(pd.Timestamp(low), pd.Timestamp(high)).any())

        today = last >= clock.today()
        try:
            values = answers.get_range(VALUATION, key, first, last, lambda low, high: client.valuation(codes, low, high), 'day',
                                       valued, empty_attempts=1 if today else None)
        except UnansweredError as error:
            earlier = [day for day in self.days if day < clock.today()]
            if not error.empty or not today or not earlier:
                raise
            self.request.about['last_day'] = f'{last} is not complete at the source yet, and was left out'
            self.end = earlier[-1]
            return self._table(key, part, changes, asked)
        flags = answers.get_range(ST_FLAGS, key, first, last, lambda low, high: client.st_flags(codes, low, high), 'date', True)
        return daily_bars(prices, values, flags, answers.label(DAILY, key), names=changes, asked=asked)

    def _names_by_date(self) -> pd.DataFrame | None:
        """Return the names by date, or nothing where the account may not ask for them."""
        request = self.request
        try:
            changes = name_changes(self.answers.get_snapshot(NAMES, self.client.names))
        except StopError:  # tomorrow the same run would have them
            raise
        except (RefusedError, UnansweredError) as error:
            if not self.client.authenticated or (isinstance(error, UnansweredError) and not error.empty):
                raise
            request.about['names'] = f'as of today alone: {error}'
            request.about['delisting_period'] = f'not known, no column: {error}'
            return None
        old = changes.assign(code=changes['code'].replace(request.renamed))  # the rows of a list are told by the old codes, too
        return changes if not request.renamed else concat_frames([changes, old]).drop_duplicates(
            ['code', 'date'], keep='last').reset_index(drop=True)

    def _dividends(self) -> Dividends | None:
        """Return the dividends by ex-date, or nothing where the account may not ask for them."""
        try:
            found = dividend_events(self.answers.get_range(
                DIVIDENDS, 'all', self.start, self.end, self.client.dividends, 'a_xr_date',
                lambda first, last: (last - first).days > QUIET, proved=True))
        except StopError:
            raise
        except RefusedError as error:
            self.request.about['dividends'] = f'not known as such, by preclose: {error}'
            return None
        found['code'] = found['code'].replace(self.request.renamed)
        dividends = Dividends(self.start)
        dividends.add(found)
        return dividends

    def _add_industries_and_benchmark(self, codes: list[str]) -> None:
        request, answers, client = self.request, self.answers, self.client

        def rows(call: str, key: str, months: int, columns: tuple[str, ...]) -> pd.DataFrame:
            frames = []
            for day in download.snapshot_dates(self.start, self.end, months):
                frame = require_columns(
                    answers.get(call, f'{key} {day}', lambda day=day: (
                        client.industries(codes, day) if call == INDUSTRY else client.constituents(key, day)), until=day),
                    columns, call)
                frames.append(frame.assign(date=pd.Timestamp(day).as_unit('s'), index=key, code=parse_codes(frame, 'code')))
            found = concat_frames(frames)
            return found.assign(code=found['code'].replace(request.renamed)) if len(found) else found

        with download.skip_on_error(request, 'industries'):
            whole = 'all' if request.codes is None else ' '.join(codes)[:80]
            request.reference_data['industries'] = reference_table(
                rows(INDUSTRY, whole, 12, ('code', 'industry')), ('code', 'date', 'industry'))
        index = request.benchmark
        if index is None:
            return
        frame = answers.get_index(DAILY, index, f'index {index}', self.start, self.end, lambda first, last: client.daily(
            [index_symbol(index)], first, last, ['open', 'high', 'low', 'close']), 'time')
        request.reference_data['benchmarks'] = benchmark(frame, index, answers.label(DAILY, index))
        if not len(request.reference_data['benchmarks']):
            raise DataError(f'{answers.label(DAILY, index)}: found no rows of this index, expected some; check --benchmark')
        with download.skip_on_error(request, 'constituents'):
            request.reference_data['constituents'] = reference_table(
                rows(CONSTITUENTS, index, 1, ('code',)), ('index', 'date', 'code'))


def _read_saved_files(request: Request, saved: SavedAnswers) -> Iterator[pd.DataFrame]:
    asked = Asked(request)
    request.about['from_files'] = str(request.folder)
    if not saved.keys(VALUATION):
        request.about['market_cap'] = 'not known: no files of get_valuation'
    if not saved.keys(ST_FLAGS):
        request.about['is_st'] = 'not known, 0 on all days: no files of get_extras'
    stocks, names = saved.get_all(STOCKS), saved.get_all(NAMES)
    changes = name_changes(names) if len(names) else None
    if changes is None:
        request.about['delisting_period'] = f'not known, no column: no files of {NAMES}'
    if len(stocks) or changes is not None:
        _add_listings_and_names(request, listings(stocks), changes)
    dividends = None
    if saved.keys(DIVIDENDS):
        dividends = Dividends(request.start or FIRST_DAY)
        dividends.add(dividend_events(saved.get_all(DIVIDENDS)))
    else:
        request.about['dividends'] = f'not known as such, by preclose: no files of {DIVIDENDS}'
    index = index_symbol(request.benchmark) if request.benchmark else ''
    if index and len(saved.get(DAILY, index)):
        frame = saved.get(DAILY, index)
        request.reference_data['benchmarks'] = benchmark(
            frame.rename(columns={frame.columns[0]: 'time'} if 'time' not in frame else {}),
            request.benchmark, saved.label(DAILY, index))

    def read_table(key: str) -> pd.DataFrame:
        table = daily_bars(saved.get(DAILY, key), saved.get_companion(VALUATION, key), saved.get_companion(ST_FLAGS, key),
                           saved.label(DAILY, key), canonical_code(key), changes, asked)
        attrs = table.attrs
        table = table if dividends is None else dividends.lay(table)
        table.attrs = attrs
        return table

    yield from download.iter_tables(request, [key for key in saved.keys(DAILY) if key != index], read_table)
    asked.tell(request.about)


def _add_listings_and_names(request: Request, stocks: pd.DataFrame, changes: pd.DataFrame | None) -> None:
    if request.codes is not None:
        stocks = stocks[stocks['code'].isin(request.codes)]
    if len(stocks):
        request.reference_data['listings'] = reference_table(stocks, ('code', 'listed', 'delisted'))
    names = stocks.assign(date=pd.Timestamp(clock.today()).as_unit('s'))[['code', 'date', 'name']]
    if changes is not None:
        changes = changes[~changes['code'].isin(request.renamed)]
        if request.codes is not None:
            changes = changes[changes['code'].isin(request.codes)]
        names = names[~names['code'].isin(changes['code'])]
        unknown = f'; 0 for {len(names)} stocks that have no names by date' if len(names) else ''
        request.about['delisting_period'] = f'by the name of the day{unknown}'
        names = concat_frames([changes, names])
    request.reference_data['names'] = reference_table(names, ('code', 'date', 'name'))
