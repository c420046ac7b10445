"""Reading from akshare, which reads public web pages: free, no account, one stock at a time, for some dozens of stocks.

The pages bar an address that asks for much: there are seconds between two calls and minutes after a refusal. There is neither
a reference price (ex-rights are those of explicit dividends) nor a history of ST. What its answers hold: `akshare_tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError
from . import Request, bse_codes, clock, download
from .akshare_tables import (
    CONSTITUENTS,
    DAILY,
    DIVIDENDS,
    FILE_PREFIXES,
    INDEX_DAILY,
    INDUSTRY,
    MARKET_VALUE,
    SHARE_HISTORY,
    ST_STOCKS,
    STOCK_LISTS,
    benchmark,
    constituents,
    daily_bars,
    dividend_events,
    industries,
    listings,
    mark_st,
)
from .answers import Asked, concat_frames, parse_codes, parse_dates, reference_table, require_columns
from .delisting import DerivedPeriods
from .dividends import Dividends
from .retries import EmptyAnswerError, Pauses, RefusedError, UnansweredError, http_timeout, import_client
from .saved import SavedAnswers
from .share_services import eastmoney_history

PAUSES = (3.0, 5.0)  # seconds between two calls
WAIT = 60.0  # seconds after a refusal, then twice as many
TIMEOUT = 30.0  # seconds
VALUES_SINCE = date(2018, 1, 2)  # first day of stock_value_em
FIRST_DAY = date(1990, 12, 19)  # of the market
QUARTERLY_SINCE = 2023  # year from which on dividends by the first and third quarter are usual
LATEST_EX_DATE = timedelta(days=730)  # after a report
SOON = timedelta(days=75)  # after a report's day: from then on companies have told what they plan to pay
ADVICE = ('eastmoney bars an address that asks for much: start again after some hours or from another network; akshare is for '
          'some dozens of stocks, not for the market; or there is no such stock')


class Client:
    """The calls, as they are made; each with a time-out, and nothing as an answer told from a table without rows."""

    def __init__(self) -> None:
        self.client: ModuleType = import_client('akshare', 'akshare')

    def _ask(self, call: str, **named: Any) -> pd.DataFrame:
        function = getattr(self.client, call)
        getattr(function, 'cache_clear', int)()  # the package keeps the first answer of some calls, also an empty one
        with http_timeout(TIMEOUT):
            try:
                return function(**named)
            except (TypeError, KeyError) as error:  # what the package makes of an answer without data
                raise EmptyAnswerError(f'an answer without data, {type(error).__name__}: {error}') from error

    def daily(self, code: str, first: date, last: date) -> pd.DataFrame:
        """Return raw prices."""
        return self._ask(DAILY, symbol=code[:6], period='daily', start_date=f'{first:%Y%m%d}', end_date=f'{last:%Y%m%d}',
                         adjust='', timeout=TIMEOUT)

    def market_value(self, code: str, first: date, last: date) -> pd.DataFrame:
        """Return market caps; the call gives all days, the others are cut off here."""
        frame = self._ask(MARKET_VALUE, symbol=code[:6])
        if not len(frame):
            raise EmptyAnswerError('an empty answer')
        return frame[parse_dates(frame, '数据日期').between(pd.Timestamp(first), pd.Timestamp(last))]

    def share_history(self, code: str) -> pd.DataFrame:
        """Return the changes of a stock's total shares."""
        with http_timeout(TIMEOUT):
            return eastmoney_history(self.client, code)

    def dividends(self, report: date) -> pd.DataFrame:
        """Return the dividends by a report."""
        return self._ask(DIVIDENDS, date=f'{report:%Y%m%d}').assign(报告期=str(report))

    def index_daily(self, index: str, first: date, last: date) -> pd.DataFrame:
        """Return an index' prices."""
        return self._ask(INDEX_DAILY, symbol=index, period='daily', start_date=f'{first:%Y%m%d}', end_date=f'{last:%Y%m%d}')

    def snapshot(self, call: str, symbol: str | None = None) -> pd.DataFrame:
        """Return a list as of today."""
        return self._ask(call, **({} if symbol is None else {'symbol': symbol}))


def read(request: Request) -> Iterator[pd.DataFrame]:
    """Yield the canonical table of each stock.

    Parameters
    ----------
    request : Request
        With ``folder``, answers saved as ``stock_zh_a_hist_000001.csv`` and ``stock_value_em_000001.csv``; else the web
        pages are asked. Its reference data are names (as of today), listings, industries (from their days on), members of the
        benchmark (as of today) and its prices.

    Raises
    ------
    DataError
        No network, no answer, or one that is not as expected.
    """
    request.about['preclose'] = 'not given by the source: ex-rights are those of dividends, rights issues are not known'
    request.about['dividends'] = 'explicit, by ex-date'
    yield from _Saved(request).tables() if request.folder is not None else _Reader(request).tables()


class _Finish:
    """What a download and saved answers share: dividends, delisting periods, and what is said of market caps."""

    def __init__(self, request: Request) -> None:
        self.request, self.asked = request, Asked(request)
        self.start, self.end = download.download_range(request)
        self.end -= timedelta(days=max(0, self.end.weekday() - 4))  # there is no calendar, but no market at weekends
        self.dividends: Dividends | None = None
        self.periods: DerivedPeriods | None = None
        self._without_cap: list[str] = []

    def use(self, events: pd.DataFrame) -> None:
        """Take dividends."""
        self.dividends = Dividends(self.start)
        self.dividends.add(events)

    def derive(self, stocks: pd.DataFrame) -> None:
        """Take the last names and the delistings of stocks."""
        self.periods = DerivedPeriods(stocks, self.end)
        self.request.about['delisting_period'] = self.periods.about()

    def finished(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the finished table of a stock, less what waits for the end."""
        rows = table[self.asked.rows(table)]
        if len(rows) and rows['market_cap'].isna().all():
            self._without_cap.append(rows['code'].iloc[0])
        attrs = table.attrs
        if self.dividends is not None:
            table = self.dividends.lay(table)
            table.attrs = attrs
        return table if self.periods is None else self.periods.mark(table)

    def rest(self) -> Iterator[pd.DataFrame]:
        """Yield what waited for the end, and tell of the market caps."""
        for table in self.periods.rest() if self.periods is not None else ():
            source = table.attrs['source']
            if len(table := table[self.asked.rows(table)].reset_index(drop=True)):
                table.attrs['source'] = source
                yield table
        without = self._without_cap
        self.request.about['market_cap'] = (
            'total shares of the day, else of the last known one, x close; not known before the first known one') + (
            f'; none known of {len(without)} stocks: {", ".join(without[:5])}' if without else '')


class _Saved(_Finish):
    """Answers that the user saved."""

    def tables(self) -> Iterator[pd.DataFrame]:
        """Yield the tables."""
        request = self.request
        saved = SavedAnswers('akshare', request.folder, DAILY, FILE_PREFIXES)
        request.about['from_files'] = str(request.folder)
        request.about['is_st'] = 'not given by the source: 0 on all days'
        request.about['delisting_period'] = 'not known, no column: no lists of the exchanges'
        if len(stocks := _saved_stocks(saved)):
            _add_listings_and_names(request, stocks)
            self.derive(stocks)
        if saved.keys(DIVIDENDS):
            self.use(dividend_events(saved.get_all(DIVIDENDS)))
        else:
            request.about['dividends'] = f'not known: no files of {DIVIDENDS}; on ex-dates nothing happens'

        def read_table(key: str) -> pd.DataFrame:
            return self.finished(daily_bars(saved.get(DAILY, key), saved.get(MARKET_VALUE, key), key, saved.label(DAILY, key),
                                            self.asked, saved.get(SHARE_HISTORY, key)))

        yield from download.iter_tables(request, saved.keys(DAILY), read_table)
        yield from self.rest()
        if request.benchmark and len(saved.get(INDEX_DAILY, request.benchmark)):
            _add_benchmark(request, saved, saved.get(INDEX_DAILY, request.benchmark))


class _Reader(_Finish):
    """A download."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        download.check_days(request, self.start, self.end)
        self.client = Client()
        self.answers = download.Download('akshare', request, Pauses(*PAUSES), wait=WAIT, last=self.end, advice=ADVICE)

    def tables(self) -> Iterator[pd.DataFrame]:
        """Yield the tables."""
        request, day = self.request, clock.today()
        # the pages know a stock of Beijing by its new code alone
        if request.codes is not None and clock.today() >= bse_codes.RENAMED:
            request.renamed |= {code: bse_codes.by_rule(code) for code in request.codes if bse_codes.by_rule(code) != code}
            request.codes = list(dict.fromkeys(map(bse_codes.by_rule, request.codes)))
            self.asked = Asked(request)
        request.about['is_st'] = f'the source has no history: the list of {day} on that day, 0 on all others'
        stocks = self._stocks()
        self.life = stocks.drop_duplicates('code').set_index('code')
        codes = request.codes
        if codes is None:
            alive = ~(stocks['delisted'] < np.datetime64(self.start, 's')) & ~(stocks['listed'] > np.datetime64(self.end, 's'))
            codes = list(stocks['code'][alive])
        self._announce(codes)
        st_codes: set[str] = set()
        with download.skip_on_error(request, 'is_st'):  # then 0 on all days
            st_list = self.answers.get_snapshot(ST_STOCKS, lambda: self.client.snapshot(ST_STOCKS), optional=True)
            st_codes |= set(parse_codes(require_columns(st_list, ('代码',), ST_STOCKS), '代码'))
        self._add_reference_data(stocks)
        self._add_dividends()

        def read_stock(code: str) -> pd.DataFrame:
            table = self._stock(code)
            return self.finished(mark_st(table, st_codes, day)) if len(table) else table

        def every() -> Iterator[pd.DataFrame]:
            yield from download.iter_tables(request, codes, read_stock)
            yield from self.rest()

        yield from download.whole_last_day(request, every(), self.end)

    def _announce(self, codes: list[str]) -> None:
        reach = min(self.end, clock.today() - timedelta(days=1))
        wanted = [DAILY, MARKET_VALUE, *((SHARE_HISTORY,) if self.start < VALUES_SINCE else ())]
        every = [(call, code) for code in codes for call in wanted]
        held = sum(self.answers.cache.has('akshare', call, code) if call == SHARE_HISTORY else
                   self.answers.cache.covers('akshare', call, code, start=self.start, end=reach) for call, code in every)
        many = f'that is {len(codes):,} stocks, and the pages bar an address long before' if len(codes) > 300 else ''
        self.answers.announce(len(every) - held + (len(self._reports()) + 8 if held < len(every) else 0), held, many)

    def _stocks(self) -> pd.DataFrame:
        """Return all stocks, of the lists of the exchanges that can be had; none where the user names the stocks."""
        if self.request.codes is not None:
            self.request.about['delisting_period'] = (
                'not known, no column: with --codes the lists of the exchanges are not asked for')
            return pd.DataFrame({'code': [], 'name': [], 'listed': [], 'delisted': []})
        frames, lacking, error = [], [], None
        for call, symbol, *columns in STOCK_LISTS:
            name = f'{call} {symbol}' if symbol else call
            try:
                frame = self.answers.get_snapshot(
                    name, lambda call=call, symbol=symbol: self.client.snapshot(call, symbol), optional=True)
                frames.append(listings(frame, tuple(columns), self.answers.label(name)))
            except DataError as raised:
                if (frame := self.answers.last_snapshot(name)) is not None:  # else its stocks would look as if they had ended
                    frames.append(listings(frame, tuple(columns), self.answers.label(name)))
                    continue
                lacking.append(name)
                error = error or raised
        if not any(len(frame) for frame in frames):
            raise DataError(f'{error}; without a list of an exchange give --codes')
        if lacking:
            self.request.about['stocks'] = (
                f'not known are those of the lists that were not read: {", ".join(lacking)} ({str(error)[:120]})')
        stocks = _each_once(frames)
        known = set(stocks['code'])
        self.request.renamed |= {code: new for code in self.request.before
                                 if (new := bse_codes.by_rule(code)) != code and new in known and code not in known}
        self.derive(stocks)
        return stocks

    def _reports(self) -> list[date]:
        """Return the days of the reports by which dividends of the asked days may have been paid."""
        ends = pd.date_range(self.start - LATEST_EX_DATE, self.end, freq='QE').date
        return [day for day in ends if day.month in (6, 12) or day.year >= QUARTERLY_SINCE]

    def _add_dividends(self) -> None:
        found, empty = [], []
        try:
            for report in self._reports():
                frame = self._dividends_by(report, 1)
                found.append(dividend_events(frame))
                if not len(frame) and report.month in (6, 12) and clock.today() - report > SOON:
                    empty.append(report)
            answered = any(map(len, found))
            for report in list(empty):  # by which companies always pay: once more, else for ever where none answers at all
                frame = self._dividends_by(report, None if not answered else download.OPTIONAL_ATTEMPTS, needed=not answered)
                found.append(dividend_events(frame))
                if len(frame):
                    empty.remove(report)
        except (RefusedError, UnansweredError) as error:  # without them ex-dates go by unseen: only where the user says so
            if not self.request.skip_bad or not getattr(error, 'empty', True):
                raise DataError(f'{error}; --skip-bad does without dividends: then on ex-dates nothing happens') from None
            self.request.about['dividends'] = f'not known, on ex-dates nothing happens: {error}'
            return
        if empty:
            self.request.about['dividends'] += f'; not known are those by the reports of {", ".join(map(str, empty))}: no answer'
        self.use(concat_frames(found))

    def _dividends_by(self, report: date, attempts: int | None, needed: bool = False) -> pd.DataFrame:
        """Return the dividends by a report; nothing is never kept."""
        def ask() -> pd.DataFrame:
            return self.client.dividends(report)

        try:
            if clock.today() - report > LATEST_EX_DATE:  # all are paid
                return self.answers.get(DIVIDENDS, str(report), ask, needed=True, empty_attempts=attempts)
            return self.answers.fetch_with_retries(DIVIDENDS, str(report), ask, True, empty_attempts=attempts)
        except UnansweredError as error:
            if not error.empty or needed:
                raise
            return pd.DataFrame()

    def _stock(self, code: str) -> pd.DataFrame:
        listed, delisted = (self.life[name].get(code, pd.NaT) for name in ('listed', 'delisted'))
        last = self.end if pd.isna(delisted) else min(self.end, delisted.date())
        ended = not pd.isna(delisted)
        empty_attempts = 1 if ended else None  # of stocks that ended long ago the pages have nothing
        since = FIRST_DAY if pd.isna(listed) else listed.date()
        prices = self._lenient(ended, lambda: self.answers.get_range(
            DAILY, code, self.start, last, lambda low, high: self.client.daily(code, low, high), '日期', needed=True,
            since=since, empty_attempts=empty_attempts))
        if not len(prices):
            return prices
        days = parse_dates(prices, '日期')
        value = history = pd.DataFrame()
        if last >= VALUES_SINCE:
            value = self._lenient(ended, lambda: self.answers.get_range(
                MARKET_VALUE, code, self.start, last, lambda low, high: self.client.market_value(code, low, high), '数据日期',
                needed=lambda low, high: False, empty_attempts=empty_attempts))
        first_known = parse_dates(value, '数据日期').min() if len(value) else pd.NaT
        if pd.isna(first_known) or days.min() < first_known:
            history = self._lenient(ended, lambda: self.answers.get(
                SHARE_HISTORY, code, lambda: self.client.share_history(code), needed=True, empty_attempts=empty_attempts))
        return daily_bars(prices, value, code, self.answers.label(DAILY, code), self.asked, history)

    def _lenient(self, ended: bool, ask: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """Return an answer; of a stock that was delisted the pages may have nothing, which is said and not kept."""
        try:
            return ask()
        except UnansweredError as error:
            if not ended or not error.empty:
                raise
            self.request.skipped.append(str(error))
            return pd.DataFrame()

    def _add_reference_data(self, stocks: pd.DataFrame) -> None:
        request, answers, client = self.request, self.answers, self.client
        if len(stocks):
            _add_listings_and_names(request, stocks)
        with download.skip_on_error(request, 'industries'):
            rows = industries(answers.get_snapshot(INDUSTRY, lambda: client.snapshot(INDUSTRY), optional=True))
            wanted = rows['code'].isin(stocks['code'] if request.codes is None else request.codes)
            request.reference_data['industries'] = reference_table(rows[wanted], ('code', 'date', 'industry'))
        index = request.benchmark
        if index is None:
            return
        prices = answers.get_index(INDEX_DAILY, index, index, self.start, self.end,
                                   lambda low, high: client.index_daily(index, low, high), '日期')
        _add_benchmark(request, answers, prices)
        with download.skip_on_error(request, 'constituents'):
            members = answers.get_snapshot(f'{CONSTITUENTS} {index}', lambda: client.snapshot(CONSTITUENTS, index), optional=True)
            request.reference_data['constituents'] = reference_table(constituents(members), ('index', 'date', 'code'))


def _saved_stocks(saved: SavedAnswers) -> pd.DataFrame:
    """Return what saved lists of the exchanges tell, as a download does."""
    lists = {call: tuple(columns) for call, _, *columns in STOCK_LISTS}
    found = [listings(frame, columns, call) for call, columns in lists.items() if len(frame := saved.get_all(call))]
    return _each_once(found) if found else pd.DataFrame()


def _each_once(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Return lists of stocks as one; a list that knows when a stock was delisted comes before one that does not."""
    stocks = concat_frames(frames).sort_values(['code', 'delisted'], na_position='first')
    return stocks.drop_duplicates('code', keep='last').reset_index(drop=True)


def _add_benchmark(request: Request, answers: download.Download | SavedAnswers, frame: pd.DataFrame) -> None:
    source = answers.label(INDEX_DAILY, request.benchmark)
    if not len(frame):
        raise DataError(f'{source}: found no rows of this index, expected some; check --benchmark')
    request.reference_data['benchmarks'] = reference_table(
        benchmark(frame, request.benchmark, source), ('index', 'date', 'open', 'high', 'low', 'close'))


def _add_listings_and_names(request: Request, stocks: pd.DataFrame) -> None:
    if request.codes is not None:
        stocks = stocks[stocks['code'].isin(request.codes)]
    request.about['listings'] = 'the day of delisting is not given for Beijing'
    request.reference_data['listings'] = reference_table(stocks, ('code', 'listed', 'delisted'))
    request.reference_data['names'] = reference_table(
        stocks.assign(date=pd.Timestamp(clock.today()).as_unit('s')), ('code', 'date', 'name'))
