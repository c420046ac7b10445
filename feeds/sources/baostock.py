"""Reading from baostock.com: free, no account, Shanghai and Shenzhen.

The whole market is asked for day by day, one call each; a few stocks one by one. It has no total market cap: total shares are
joined from another service or a file by ``request.shares``, see `share_services`; without, the cap is that of the float shares.
What its answers hold: `baostock_tables`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DataError
from . import Request, clock, download
from .answers import Asked, concat_frames, parse_dates, reference_table, require_columns
from .baostock_client import CALLS_A_DAY, Client
from .baostock_files import COMPLETE, read_saved_files
from .baostock_finish import Finish, add_benchmark, add_listings_and_names, index_symbol
from .baostock_tables import (
    CALENDAR,
    CONSTITUENT_CALLS,
    DAILY,
    DIVIDENDS,
    FIELDS,
    INDEX_FIELDS,
    INDUSTRY,
    STOCK_BASIC,
    WHOLE_DAY,
    daily_bars,
    dividend_events,
    listings,
    snapshot_rows,
    symbol,
)
from .delisting import DerivedPeriods
from .retries import EmptyAnswerError, RefusedError, StopError, Throttle, UnansweredError
from .share_services import ShareService, check_shares
from .shares import SOURCES, UNFIT, ShareHistory, check_enough, of_file

RATE_LIMIT = (10, 1.0)  # calls in seconds
BEFORE = timedelta(days=15)  # in which there is a trading day, so that the last close before a span is known
EXACT = 20  # rows from which on a day must have nearly as many as the one before: suspended stocks have rows, too
ROWS_A_CALL = 2000  # of a stock's bars: about eight years
EX_RIGHTS_A_YEAR = 0.7  # of a stock, about
FIRST_DAY = date(1990, 12, 19)  # of the market
INDICES = ('000', '399')  # the first digits of those that it has


def read(request: Request) -> Iterator[pd.DataFrame]:
    """Yield the canonical table of each day, or of each stock where a few are asked for.

    Parameters
    ----------
    request : Request
        With ``folder``, answers saved as ``query_history_k_data_plus_sh.600000.csv``; else baostock.com is asked.
        Its reference data
        are names (as of today), listings, industries (of each January), constituents and prices of the benchmark.

    Raises
    ------
    DataError
        No network, no answer, or one that is not as expected.
    """
    check_shares(request.shares)
    if request.shares is not None and str(request.shares) not in SOURCES:
        of_file(Path(request.shares))  # wrong, it is refused before anything is asked for
    request.about['is_st'] = 'as given for each day'
    request.about['stocks'] = 'those of Beijing are not given by the source'
    request.about['dividends'] = 'explicit, by ex-date; rights issues by preclose'
    yield from read_saved_files(request) if request.folder is not None else _Reader(request).tables()


class _Reader:
    """A download."""

    def __init__(self, request: Request) -> None:
        self.request, self.asked = request, Asked(request)
        self.start, self.end = download.download_range(request, COMPLETE)
        download.check_days(request, self.start, self.end, COMPLETE)
        if request.since is not None and request.since < self.start:  # of a later span: its first day may be an ex-date
            self.start -= BEFORE
        self.client = Client(request.cache)
        self.answers = download.Download('baostock', request, Throttle(*RATE_LIMIT), last=self.end)
        self.last_count = 0
        self.seen: set[str] = set()

    def tables(self) -> Iterator[pd.DataFrame]:
        """Yield the tables, and log out."""
        service = None
        try:
            basic = listings(self.answers.get_snapshot(STOCK_BASIC, lambda: self.client.query(STOCK_BASIC)))
            add_listings_and_names(self.request, basic)
            days = self._days()
            self._add_industries_and_benchmark()
            if not days:
                return
            self.start, self.end = days[0], days[-1]
            self.life = basic.drop_duplicates('code').set_index('code')
            codes = self._codes(basic)
            stocks_first, until, by_day = self._plan(codes, days)
            periods = DerivedPeriods(basic, self.end)
            self.request.about['delisting_period'] = periods.about()
            history = None
            if self.request.shares is None:
                self.request.about['market_cap'] = UNFIT
            else:
                service = ShareService(self.request, self.start, self.end, self.client.query)
                records = service.records({code: self._life(code) for code in codes}, self.request.progress)
                check_enough(self.request.shares, records, codes)
                history = ShareHistory(records)
                self._split_before(history, codes)
            self.finish = Finish(self.request, self.start, history, periods, self._dividends_of)
            yield from self._all_tables(codes, stocks_first, until, by_day)
            if service is not None:
                service.without += sorted(history.unknown.difference(service.without))
                self.request.about['market_cap'] = service.about()
        finally:
            self.client.close()
            if service is not None:
                service.close()

    def _all_tables(self, codes: list[str], stocks: list[str], until: date | None, days: list[date]) -> Iterator[pd.DataFrame]:
        wanted, total = set(codes), len(stocks) + len(days)
        request, done = self.request, 0

        def told(
            keys: list[str], read_table: Callable[[str], pd.DataFrame], by_day: bool = False,
        ) -> Iterator[pd.DataFrame]:
            nonlocal done
            part, before = request.progress, done
            request.progress = lambda now, _: part(before + now, total)
            try:
                yield from download.iter_tables(request, keys, read_table, by_day)
            finally:
                request.progress = part
            done += len(keys)

        one_by_one = told(stocks, lambda code: self._stock(code, until))
        yield from one_by_one if days else download.whole_last_day(request, one_by_one, self.end)
        yield from told([str(day) for day in days], lambda day: self._day(day, wanted), True)
        if days:  # what the days did not tell of, such as stocks that ended, is asked for stock by stock
            end = self.end if 'last_day' not in request.about else max((day for day in days if day < self.end), default=date.min)
            there = self.seen.union(stocks)
            lacking = [code for code in codes if code not in there and self._span(code, end)[0] <= self._span(code, end)[1]]
            total += len(lacking)
            yield from told(lacking, lambda code: self._stock(code, end))
        for table in self.finish.rest():
            source = table.attrs['source']
            if len(table := table[self.asked.rows(table)].reset_index(drop=True)):
                table.attrs['source'] = source
                yield table

    # -- what to ask for -----------------------------------------------------------------------------------------

    def _days(self) -> list[date]:
        """Return the days on which the market was open."""
        first, last = self.start, self.end
        if first > last:
            return []
        try:
            frame = self.answers.get(CALENDAR, f'{first} {last}', lambda: self.client.query(
                CALENDAR, start_date=str(first), end_date=str(last)), until=last, needed=True)
            frame = require_columns(frame, ('calendar_date', 'is_trading_day'), CALENDAR)
            days = parse_dates(frame, 'calendar_date')[frame['is_trading_day'].astype(str).str.strip() == '1']
        except StopError:
            raise
        except RefusedError:  # those on which the index of Shanghai has a row
            days = parse_dates(self._index_bars('000001', first, last), 'date')
        return sorted(days.dropna().dt.date.unique())

    def _index_bars(self, index: str, first: date, last: date) -> pd.DataFrame:
        return self.answers.get_index(
            DAILY, index, f'index {index}', first, last,
            _range_query(self.client.query, index_symbol(index), INDEX_FIELDS), 'date')

    def _codes(self, basic: pd.DataFrame) -> list[str]:
        wanted = ~(basic['listed'] > np.datetime64(self.end, 's')) & ~(basic['delisted'] < np.datetime64(self.start, 's'))
        if self.request.codes is None:
            return list(basic['code'][wanted])
        return download.known_codes(self.request, 'baostock', self.life.index, '; it has none of Beijing')

    def _life(self, code: str) -> tuple[date | None, date | None]:
        """Return the first and last day of a stock, where they are known."""
        listed, delisted = self.life.loc[code, 'listed'], self.life.loc[code, 'delisted']
        return (None if pd.isna(listed) else listed.date()), (None if pd.isna(delisted) else delisted.date())

    def _span(self, code: str, until: date) -> tuple[date, date]:
        listed, delisted = self._life(code)
        return max(self.start, listed or self.start), min(until, delisted or until)

    def _plan(self, codes: list[str], days: list[date]) -> tuple[list[str], date | None, list[date]]:
        """Decide what is fewer calls, and say it.

        Returns
        -------
        tuple
            Stocks to ask for one by one, up to which day, and the days of the whole market after it.
        """
        cache = self.answers.cache
        lacking = [day for day in days if not cache.has('baostock', WHOLE_DAY, str(day), until=day)]
        # stocks of an earlier download, one by one, whose answers end on the same day
        ends = Counter(end for code in codes if (end := self._held_until(code)) is not None)
        until, several = ends.most_common(1)[0] if ends else (None, 0)
        until = min(until, self.end, cache.refresh_from - timedelta(days=1)) if until is not None else None
        choices = {}
        if self._whole_days(days, lacking):
            choices[len(lacking)] = ([], None, days)
            if until is not None and 2 * several > len(codes):
                later = [day for day in days if day > until]
                calls = len(set(lacking) & set(later)) + self._stock_calls(codes, until)
                choices.setdefault(calls, (codes, until, later))
        choices.setdefault(self._stock_calls(codes, self.end), (codes, self.end, []))
        calls = min(choices)
        events = round(len(codes) * len(days) / 245 * EX_RIGHTS_A_YEAR) - len(cache.keys('baostock', DIVIDENDS)) if calls else 0
        notes = [f'some {events:,} of them for the dividends of stocks and years with an ex-right'] if events > 0 else []
        if calls:
            notes.append(f'{self.client.count.calls:,} of the {CALLS_A_DAY:,} calls that an address may make today are made')
        self.answers.announce(calls + max(events, 0), len(days) - len(lacking), note='; '.join(notes))
        return choices[calls]

    def _stock_calls(self, codes: list[str], until: date) -> int:
        calls = 0
        for code in codes:
            first, last = self._span(code, until)
            if first <= last and not self.answers.cache.covers(
                    'baostock', DAILY, code, start=first, end=min(last, clock.today() - timedelta(days=1))):
                calls += 1 + (last - first).days * 245 // 365 // ROWS_A_CALL
        return calls

    def _held_until(self, code: str) -> date | None:
        """Return until when the cache has a stock's own answer; None where it does not begin with the download."""
        days = self.answers.cache.days('baostock', DAILY, code)
        first, _ = self._span(code, self.end)
        return days[1] if days is not None and days[0] <= first else None

    def _whole_days(self, days: list[date], lacking: list[date]) -> bool:
        """Tell whether the market can be asked for by day, and as far back."""
        if not hasattr(self.client.client, WHOLE_DAY):
            return False
        if len(lacking) < 2 or self.request.codes is not None and len(self.request.codes) < len(lacking):
            return self.request.codes is None or len(self.request.codes) >= len(lacking)
        try:
            self._whole_day(lacking[0], 2)
        except UnansweredError as error:
            if not error.empty:
                raise
            self._whole_day(lacking[-1], 2)  # where this has nothing either, the source is busy
            return False
        return True

    def _split_before(self, history: ShareHistory, codes: list[str]) -> None:
        """Tell a history the bonus shares between what its records are as of and the first day, which no row tells."""
        known_of = {code: known for code in codes
                    if (known := history.known_as_of(code, self.start)) is not None and known < self.start}
        years = [(code, year) for code, known in known_of.items() for year in range(known.year, self.start.year + 1)]
        calls = sum(not self.answers.cache.covers(
            'baostock', DIVIDENDS, f'{code} {year}', start=date(year, 1, 1), end=min(date(year, 12, 31), self.start))
            for code, year in years)
        if calls:
            self.answers.announce(calls, note='for bonus shares between what is known of the shares and the first day')
        for code, year in years:
            events = self._dividends_of(code, year, min(date(year, 12, 31), self.start), jumped=False)
            for day, ratio in zip(events['date'].dt.date, events['share_ratio'], strict=True):
                if known_of[code] < day <= self.start and ratio != 1:
                    history.split(code, day, ratio)

    # -- the table of a stock or a day ---------------------------------------------------------------------------

    def _stock(self, code: str, until: date) -> pd.DataFrame:
        first, last = self._span(code, until)
        try:
            bars = self.answers.get_range(
                DAILY, code, first, last, _range_query(self.client.query, symbol(code), FIELDS), 'date', needed=True,
                since=FIRST_DAY, empty_attempts=None if self._life(code)[1] is None else 2)
        except UnansweredError as error:
            if not error.empty or self._life(code)[1] is None:
                raise
            self.request.skipped.append(str(error))  # of a stock that ended the source may have nothing; it is asked for again
            return pd.DataFrame()
        if len(bars):  # the cache may hold later ones, which the days of the whole market tell, too
            bars = bars[~(parse_dates(bars, 'date') > np.datetime64(until, 's')).to_numpy()]
        return self._finished(daily_bars(bars, self.answers.label(DAILY, code), self.asked))

    def _whole_day(self, day: date, empty_attempts: int | None = None, least: int = 1) -> pd.DataFrame:
        def ask() -> pd.DataFrame:
            frame = self.client.query(WHOLE_DAY, str(day))
            if 0 < len(frame) < least:
                raise EmptyAnswerError(f'{len(frame):,} rows, expected some {least:,} or more')
            return frame

        return self.answers.get(WHOLE_DAY, str(day), ask, day, needed=True, empty_attempts=empty_attempts)

    def _day(self, key: str, wanted: set[str]) -> pd.DataFrame:
        day = date.fromisoformat(key)
        today = day >= clock.today()
        try:
            least = download.least_rows(self.last_count, True, EXACT) if self.last_count else max(1, len(wanted) // 2)
            frame = self._whole_day(day, 1 if today else None, least)
        except UnansweredError as error:
            if not today or not error.empty:
                raise
            self.request.about['last_day'] = f'{key} is not complete at the source yet, and was left out'
            return pd.DataFrame()
        self.last_count = len(frame)
        table = daily_bars(frame, self.answers.label(WHOLE_DAY, key), self.asked)
        source = table.attrs['source']
        table = table[table['code'].isin(wanted)].reset_index(drop=True)
        table.attrs['source'] = source
        self.seen.update(table['code'])
        return self._finished(table)

    def _finished(self, table: pd.DataFrame) -> pd.DataFrame:
        return self.finish(table) if len(table) else table

    def _dividends_of(self, code: str, year: int, day: date, jumped: bool = True) -> pd.DataFrame:
        """Return the events of a stock and year, of which its price tells one where it `jumped`."""
        def ask(first: date, last: date) -> pd.DataFrame:
            frame = self.client.query(DIVIDENDS, code=symbol(code), year=str(year), yearType='operate')
            if not len(frame) and jumped:  # a rights issue has none: once more, to be sure
                self.answers.throttle()
                frame = self.client.query(DIVIDENDS, code=symbol(code), year=str(year), yearType='operate')
            if not len(frame):
                return frame
            return frame[parse_dates(frame, 'dividOperateDate').between(pd.Timestamp(first), pd.Timestamp(last))]

        key = f'{code} {year}'
        held = self.answers.cache.days('baostock', DIVIDENDS, key)  # asked for, it is asked for the whole year
        last = day if held is not None and held[1] >= day else max(day, min(date(year, 12, 31), self.end))
        return dividend_events(self.answers.get_range(
            DIVIDENDS, key, date(year, 1, 1), last, ask, 'dividOperateDate'))

    # -- beside the market ---------------------------------------------------------------------------------------

    def _add_industries_and_benchmark(self) -> None:
        request, answers, query = self.request, self.answers, self.client.query

        def rows(call: str, what: str, months: int) -> pd.DataFrame:
            def ask(day: date) -> pd.DataFrame:
                return answers.get(call, str(day), lambda: query(call, date=str(day)), until=day, keep_empty=False)

            return concat_frames([snapshot_rows(ask(day), what, answers.label(call, str(day)), day)
                                  for day in download.snapshot_dates(self.start, self.end, months)])

        with download.skip_on_error(request, 'industries'):
            found = rows(INDUSTRY, 'industry', 12)
            found = found if request.codes is None else found[found['code'].isin(request.codes)]
            request.reference_data['industries'] = reference_table(found, ('code', 'date', 'industry'))
        index = request.benchmark
        if index is None:
            return
        if not index.startswith(INDICES):
            raise DataError(f'baostock has no index {index}, expected one of Shanghai (000...) or Shenzhen (399...); tushare has '
                            f'those of 中证 and Beijing, and --benchmark {index}=FILE takes a file')
        frame = self._index_bars(index, self.start, self.end)
        if not len(frame):
            raise DataError(f'{answers.label(DAILY, index)}: found no rows of this index, expected some; check --benchmark')
        add_benchmark(request, answers, frame)
        if index in CONSTITUENT_CALLS:
            with download.skip_on_error(request, 'constituents'):
                found = rows(CONSTITUENT_CALLS[index], 'code_name', 1).assign(index=index)
                request.reference_data['constituents'] = reference_table(found, ('index', 'date', 'code'))


def _range_query(query: Callable[..., pd.DataFrame], code: str, fields: str) -> Callable[[date, date], pd.DataFrame]:
    return lambda first, last: query(
        DAILY, code, fields, start_date=str(first), end_date=str(last), frequency='d', adjustflag='3')
