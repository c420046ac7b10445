"""Reading from tushare.pro: an account with points, its token in ``TUSHARE_TOKEN``.

Asked for day by day, or stock by stock where that is fewer calls. What its answers hold: `tushare_tables`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, time, timedelta
from typing import Any

import pandas as pd

from bt_microcap.exchange import rules

from ..errors import DataError
from . import Request, bse_codes, clock, download, tushare_files
from .answers import Asked, concat_frames, parse_codes, parse_dates, reference_table, require_columns
from .cache import Needed
from .dividends import Dividends
from .last_values import LastValues
from .retries import (
    ACCOUNT_LIMIT,
    BusyError,
    EmptyAnswerError,
    RefusalError,
    RefusedError,
    Throttle,
    UnansweredError,
    import_client,
)
from .saved import canonical_code
from .tushare_files import FIRST_DAY
from .tushare_tables import (
    CALENDAR,
    CONSTITUENTS,
    DAILY,
    DAILY_BASIC,
    DIVIDENDS,
    FIELDS,
    INDEX_DAILY,
    INDUSTRY,
    NAME_CHANGES,
    NEW_CODES,
    PRICE_LIMITS,
    ST_STOCKS,
    STOCK_BASIC,
    SUSPENSIONS,
    USER,
    TableBuilder,
    benchmark,
    dividend_events,
    listings,
    name_changes,
    new_codes,
)

ST_STOCKS_SINCE = date(2016, 1, 1)  # first day of stock_st
COMPLETE = time(17)  # o'clock: daily_basic, with the market caps, comes from 15 to 17
# points -> calls in a minute, a tenth below what they allow: https://tushare.pro/document/1?doc_id=290
RATES = {5000: 450, 2000: 180, 0: 45}
MINUTE = 60.0  # seconds
PAGE_SIZE_MULTIPLE = 100  # a page of so many rows or a multiple may have been cut: the next one is asked for
# points that a call needs, where it is not 2,000: https://tushare.pro/document/1?doc_id=108
POINTS = {DAILY: 120, SUSPENSIONS: 120, NAME_CHANGES: 120, NEW_CODES: 120, ST_STOCKS: 3000}
USUAL_POINTS = 2000
ABOUT = {DIVIDENDS: 'dividends'}
OPTIONAL = (PRICE_LIMITS, SUSPENSIONS, ST_STOCKS, DIVIDENDS)  # of a day or stock, what a run can do without
LONGEST_HOLIDAY = 15  # days without a trading day, about


def symbol(code: str) -> str:
    """Return a canonical code as tushare writes it."""
    digits, _, exchange = code.partition('.')
    return digits + {'XSHG': '.SH', 'XSHE': '.SZ', 'BJSE': '.BJ'}[exchange]


def index_symbol(index: str) -> str:
    """Return six digits of an index as tushare writes them: of 中证, Beijing, Shenzhen, else of Shanghai."""
    ends = {'93': '.CSI', '95': '.CSI', '899': '.BJ', '399': '.SZ', '98': '.SZ'}
    return index + next((end for start, end in ends.items() if index.startswith(start)), '.SH')


def members_symbol(index: str) -> str:
    """Return six digits of an index as ``index_weight`` knows it: the CSI 300 under its number of Shenzhen."""
    return '399300.SZ' if index == '000300' else index_symbol(index)


class Client:
    """The calls, as they are made."""

    def __init__(self) -> None:
        self._token = os.environ.get('TUSHARE_TOKEN')
        if not self._token:
            raise DataError('tushare: found no token, expected it in the environment: export TUSHARE_TOKEN=...')
        self.pro: Any = import_client('tushare', 'tushare').pro_api(self._token)

    def query(self, call: str, **parameters: str) -> pd.DataFrame:
        """Make a call and walk all pages of its answer."""
        pages: list[pd.DataFrame] = []
        while True:
            page = {'offset': sum(map(len, pages)), 'limit': len(pages[0])} if pages else {}
            try:
                frame = self.pro.query(call, fields=FIELDS[call], **parameters, **page)
            except Exception as error:  # the client raises nothing else where the service refuses
                raise explained(call, error) from error
            if frame is None or not len(frame.columns):  # what the client makes of an HTTP error
                raise BusyError('an empty page instead of an answer')
            pages.append(frame)
            if not len(frame) or len(frame) % PAGE_SIZE_MULTIPLE:
                return concat_frames(pages).drop_duplicates(ignore_index=True)

    def points(self) -> float | None:
        """Return the points of the account; None where it does not tell."""
        try:
            points = pd.to_numeric(self.query(USER, token=self._token)['points'], errors='coerce').sum()
        except Exception:  # noqa: BLE001  nothing depends on it
            return None
        return float(points) or None


def explained(call: str, error: Exception) -> Exception:
    """Return an error of the service with what to do about it: a limit by the minute passes, one by the hour or day does not."""
    text = str(error)
    needs = f'{call} needs an account with {POINTS.get(call, USUAL_POINTS):,} points, see https://tushare.pro/document/1?doc_id=108'
    if ACCOUNT_LIMIT.search(text):
        return RefusalError(text, f'this is a limit of the account, which waiting some minutes does not lift; {needs}')
    if '分钟' in text:
        return BusyError(text, wait=MINUTE)
    if '权限' in text or '积分' in text:
        return RefusalError(text, needs)
    if 'token' in text.lower():
        return RefusalError(text, 'check TUSHARE_TOKEN, it stands on your page at tushare.pro')
    return error


def read(request: Request) -> Iterator[pd.DataFrame]:
    """Yield a canonical table per day, or per stock where a few are asked for.

    Parameters
    ----------
    request : Request
        With ``folder``, answers saved as ``daily_<day or stock>.csv`` and the like; else tushare.pro is asked.
        Its reference data are
        names, listings, industries, members of the benchmark and its prices.

    Raises
    ------
    DataError
        No token or a bad one, no network, too few points, or an answer that is not as expected.
    """
    request.about['market_cap'] = 'total market cap as given; suspended days: total shares x last close'
    request.about['is_st'] = f'by stock_st since {ST_STOCKS_SINCE}, else by the name of the day'
    request.about['dividends'] = 'explicit, by ex-date; rights issues by preclose'
    yield from tushare_files.read_saved_files(request) if request.folder is not None else _Reader(request).tables()


class _Reader:
    """A download."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.start, self.end = download.download_range(request, COMPLETE)
        download.check_days(request, self.start, self.end, COMPLETE)
        self.client = Client()
        self.answers = download.Download('tushare', request, Throttle(RATES[USUAL_POINTS], MINUTE), wait=5.0, last=self.end)
        self.codes_now: dict[str, str] = {}  # tushare's old codes of Beijing -> the new ones
        self.refused: dict[str, str] = {}  # optional call -> why
        self.without: dict[str, int] = {}  # optional call -> days or stocks of which it is not known
        self.last_count = 0  # rows of the day before
        self.closes = LastValues()

    def tables(self) -> Iterator[pd.DataFrame]:
        """Yield the tables."""
        request = self.request
        stocks = self._stocks()
        changes = name_changes(self._names())
        tushare_files.tell_delisting_period(request, changes)
        tushare_files.add_listings_and_names(request, stocks, changes)
        days = self._days()
        self.by_stock = request.codes is not None and len(request.codes) < len(days)
        life = stocks.drop_duplicates('code').set_index('code')
        self.listed, self.delisted = ({code: day.date() for code, day in life[name].dropna().items()}
                                      for name in ('listed', 'delisted'))
        if self.by_stock:
            self.end = days[-1]
            known = download.known_codes(request, 'tushare', life.index)
            keys = [code for code in known if self.listed.get(code, FIRST_DAY) <= self.end]
        else:
            keys = [str(day) for day in days]
        self._announce(keys)
        self._add_industries_and_benchmark()
        asked = Asked(request)
        self.builder, self.dividends = TableBuilder(changes, asked), Dividends(self.start)
        tables = download.iter_tables(request, keys, self._table, by_day=not self.by_stock)
        yield from download.whole_last_day(request, tables, self.end) if self.by_stock else tables
        for call, count in self.without.items():
            why, total = self.refused[call], len(keys)
            if call == ST_STOCKS and len(changes):
                request.about[call] = f'not known of {count:,} of {total:,} lists, for which the names by date tell ST: {why}'
            elif self.by_stock:
                request.about[ABOUT.get(call, call)] = f'not known of {count:,} of {total:,} stocks: {why}'
            else:
                request.about[ABOUT.get(call, call)] = f'not known of {count:,} of {total:,} days: {why}'
        asked.tell(request.about)

    def _stocks(self) -> pd.DataFrame:
        """Return all stocks, those that ended too, in one call; a stock of Beijing once, under its code of today."""
        def ask() -> pd.DataFrame:
            frame = self.client.query(STOCK_BASIC, list_status='L,D,P')
            if len(frame) and 'list_status' in frame and not frame['list_status'].eq('D').any():  # it took the first alone
                frame = concat_frames([frame, *(self.client.query(STOCK_BASIC, list_status=status) for status in 'DP')])
            return frame

        frame = self.answers.get_snapshot(STOCK_BASIC, ask)
        stocks = listings(frame)
        if clock.today() >= bse_codes.RENAMED:
            try:
                self.codes_now = new_codes(self.answers.get_snapshot(
                    NEW_CODES, lambda: self.client.query(NEW_CODES), needed=False, optional=True))
            except DataError as error:
                self.request.about[NEW_CODES] = f'not read ({error}); old codes of Beijing are told by name and number'
                self.codes_now = {symbol(old): symbol(new) for old, new in bse_codes.pairs(stocks).items()}
        codes = {old: new for old, new in ((canonical_code(old), canonical_code(new)) for old, new in self.codes_now.items())
                 if old and new}
        self.request.renamed |= codes
        if self.request.codes is not None:
            self.request.codes = list(dict.fromkeys(codes.get(code, code) for code in self.request.codes))
        return bse_codes.renamed(stocks, codes)

    def _names(self) -> pd.DataFrame:
        """Return the names by date; nothing where they come empty, which is said and not kept."""
        try:
            return self._renamed(self.answers.get_snapshot(NAME_CHANGES, lambda: self.client.query(NAME_CHANGES)))
        except UnansweredError as error:
            if not error.empty:
                raise
            return pd.DataFrame()

    def _renamed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return an answer with the codes of today."""
        if not self.codes_now or 'ts_code' not in frame:
            return frame
        return frame.assign(ts_code=frame['ts_code'].replace(self.codes_now)).drop_duplicates(ignore_index=True)

    def _days(self) -> list[date]:
        first, last = self.start, self.end
        calendar = self.answers.get(
            CALENDAR, f'{first} {last}', lambda: self.client.query(
                CALENDAR, exchange='SSE', start_date=f'{first:%Y%m%d}', end_date=f'{last:%Y%m%d}', is_open='1'),
            until=last, needed=(last - first).days > LONGEST_HOLIDAY)
        days = parse_dates(require_columns(calendar, ('cal_date',), CALENDAR), 'cal_date')
        if days.isna().any():
            self.request.about['trading_days'] = (
                f'not known of {days.isna().sum()} rows of {CALENDAR}: those days were not asked for')
        return sorted(days.dropna().dt.date.unique())

    def _calls(self, key: str) -> list[str]:
        late = not self.by_stock and date.fromisoformat(key) < ST_STOCKS_SINCE
        return [call for call in (DAILY, DAILY_BASIC, *OPTIONAL) if not (late and call == ST_STOCKS)]

    def _announce(self, keys: list[str]) -> None:
        cache, every = self.answers.cache, [(call, key) for key in keys for call in self._calls(key)]
        held = sum(cache.covers('tushare', call, key, start=self.start, end=min(self.end, clock.today() - timedelta(days=1)))
                   if self.by_stock else cache.has('tushare', call, key, until=date.fromisoformat(key)) for call, key in every)
        points = self.client.points() if held < len(every) else None
        if points is not None:
            self.answers.throttle = Throttle(next(calls for least, calls in RATES.items() if points >= least), MINUTE)
        level = '' if points is None else f'the account has {points:,.0f} points' + (
            '' if points >= USUAL_POINTS else f', and {DAILY_BASIC}, which has the market caps, needs {USUAL_POINTS:,}')
        calls = len(every) - held
        if points is not None and points < POINTS[ST_STOCKS]:  # it is refused once
            calls -= sum(call == ST_STOCKS for call, _ in every)
        self.answers.announce(max(calls, 0), held, level)

    # -- the table of a day or a stock ---------------------------------------------------------------------------

    def _answer(self, call: str, key: str, least: int = 0, likely: bool = False) -> pd.DataFrame:
        if not self.by_stock:
            if call == ST_STOCKS and date.fromisoformat(key) < ST_STOCKS_SINCE:
                return pd.DataFrame()
            asked = {'ex_date' if call == DIVIDENDS else 'trade_date': key.replace('-', '')}
            day = date.fromisoformat(key)

            def ask() -> pd.DataFrame:
                frame = self.client.query(call, **asked)
                if likely and not len(frame):  # a rights issue has none: once more, to be sure
                    self.answers.throttle()
                    frame = self.client.query(call, **asked)
                return self._enough(frame, least)

            return self.answers.get(call, key, ask, day, needed=least > 0,
                                    empty_attempts=1 if least and day >= clock.today() else None)
        if call == DIVIDENDS:
            return self.answers.get_range(call, key, self.start, self.end, lambda first, last: self._between(
                self._of_stock(call, key), 'ex_date', first, last), 'ex_date')
        needed: bool | Needed = call == DAILY
        if call == DAILY_BASIC:
            traded = parse_dates(self.bars, 'trade_date') if len(self.bars) else pd.Series(dtype='datetime64[s]')

            def needed(first: date, last: date) -> bool:
                return bool(traded.between(pd.Timestamp(first), pd.Timestamp(last)).any())

        return self.answers.get_range(
            call, key, self.start, self.end, lambda first, last: self._of_stock(
                call, key, start_date=f'{first:%Y%m%d}', end_date=f'{last:%Y%m%d}'), 'trade_date', needed,
            self.listed.get(key, FIRST_DAY))

    def _of_stock(self, call: str, key: str, **days: str) -> pd.DataFrame:
        """Return a stock's answer; of Beijing also what is told under its old code."""
        codes = [symbol(key), *(old for old, new in self.codes_now.items() if new == symbol(key))]
        return concat_frames([self.client.query(call, ts_code=code, **days) for code in codes])

    @staticmethod
    def _between(frame: pd.DataFrame, column: str, first: date, last: date) -> pd.DataFrame:
        return frame[parse_dates(frame, column).between(pd.Timestamp(first), pd.Timestamp(last))] if len(frame) else frame

    @staticmethod
    def _enough(frame: pd.DataFrame, least: int) -> pd.DataFrame:
        if 0 < len(frame) < least:
            raise EmptyAnswerError(f'{len(frame):,} rows, expected some {least:,} or more')
        return frame

    def _table(self, key: str) -> pd.DataFrame:
        least = 1
        if not self.by_stock:
            day = date.fromisoformat(key)
            least = download.least_rows(self.last_count, day >= clock.today()) if self.last_count else self._least_of_first(day)
        try:
            self.bars = self._renamed(self._answer(DAILY, key, least))
            caps = self._renamed(self._answer(DAILY_BASIC, key, max(1, len(self.bars) // 2)))
        except UnansweredError as error:
            if self.by_stock or not error.empty or date.fromisoformat(key) < clock.today():
                raise
            self.request.about['last_day'] = f'{key} is not complete at the source yet, and was left out'
            return pd.DataFrame()
        self.last_count = len(self.bars)
        jumps = self._jumps()
        found = {DAILY: self.bars, DAILY_BASIC: caps, **{
            call: self._optional(call, key, call == DIVIDENDS and jumps) for call in OPTIONAL}}
        if DIVIDENDS not in self.without or len(found[DIVIDENDS]):
            self.dividends.add(dividend_events(found[DIVIDENDS]))
        table = self.builder.build(lambda call: found[call], self.answers.label(DAILY, key))
        source = table.attrs.get('source', '')
        table = self.dividends.lay(table)
        table.attrs['source'] = source
        return table

    def _least_of_first(self, day: date) -> int:
        """Return how many rows the first day must have: a quarter of the stocks that were listed."""
        listed = sum(first <= day <= self.delisted.get(code, day) for code, first in self.listed.items())
        return max(1, listed // 4) if self.request.codes is None else 1

    def _jumps(self) -> bool:
        """Tell whether a reference price is not the last close: there should be a dividend."""
        bars = require_columns(self.bars, ('ts_code', 'trade_date', 'close', 'pre_close'), DAILY)
        bars = bars.sort_values('trade_date', kind='stable')
        before = self.closes.before(bars['ts_code'], bars['close'])
        return bool(((pd.to_numeric(bars['pre_close'], errors='coerce') - before).abs() > rules.HALF_TICK).any())

    def _optional(self, call: str, key: str, likely: bool) -> pd.DataFrame:
        """Return what can be done without; once the account may not ask for it, what the cache has.

        Where rows are `likely`, nothing is asked for once more.
        """
        frame: pd.DataFrame | None
        if call in self.refused:
            frame = self._kept(call, key)
        else:
            try:
                return self._renamed(self._answer(call, key, likely=likely))
            except RefusedError as error:
                self.refused[call], frame = str(error), self._kept(call, key)
        if frame is None:
            self.without[call] = self.without.get(call, 0) + 1
            return pd.DataFrame()
        return self._renamed(frame)

    def _kept(self, call: str, key: str) -> pd.DataFrame | None:
        """Return what the cache has of a call, be it to be refreshed."""
        if not self.by_stock:
            return self.answers.cache.held('tushare', call, key)
        held = self.answers.cache.held_range('tushare', call, key)
        return None if held is None else held[0]

    # -- beside the market ---------------------------------------------------------------------------------------

    def _add_industries_and_benchmark(self) -> None:
        request, answers, client = self.request, self.answers, self.client
        with download.skip_on_error(request, 'industries'):
            frame = concat_frames([answers.get_snapshot(f'{INDUSTRY} {new}', lambda new=new: client.query(INDUSTRY, is_new=new),
                                                        needed=False) for new in 'YN'])
            frame = require_columns(self._renamed(frame), ('ts_code', 'l1_name', 'in_date'), INDUSTRY)
            rows = pd.DataFrame({'code': parse_codes(frame, 'ts_code'), 'date': parse_dates(frame, 'in_date'),
                                 'industry': frame['l1_name']})
            if request.codes is not None:
                rows = rows[rows['code'].isin(request.codes)]
            request.reference_data['industries'] = reference_table(rows, ('code', 'date', 'industry'))
        index = request.benchmark
        if index is None:
            return
        frame = answers.get_index(INDEX_DAILY, index, index, self.start, self.end, lambda first, last: client.query(
            INDEX_DAILY, ts_code=index_symbol(index), start_date=f'{first:%Y%m%d}', end_date=f'{last:%Y%m%d}'), 'trade_date')
        request.reference_data['benchmarks'] = benchmark(frame, index)
        if not len(request.reference_data['benchmarks']):
            raise DataError(f'{answers.label(INDEX_DAILY, index)}: found no rows of this index, expected some; check --benchmark')
        with download.skip_on_error(request, 'constituents'):
            # from the month before on: those of it hold on the first days
            since = (self.start.replace(day=1) - timedelta(days=1)).replace(day=1)
            frame = concat_frames([self._members(index, first, last) for first, last in months(since, self.end)])
            frame = require_columns(frame, FIELDS[CONSTITUENTS].split(','), CONSTITUENTS)
            rows = pd.DataFrame({'index': index, 'date': parse_dates(frame, 'trade_date'),
                                 'code': parse_codes(frame, 'con_code')})
            rows['code'] = rows['code'].replace(request.renamed)
            request.reference_data['constituents'] = reference_table(rows, ('index', 'date', 'code'))

    def _members(self, index: str, first: date, last: date) -> pd.DataFrame:
        """Return the members of an index in a month: an answer holds no more of one with thousands."""
        return self.answers.get(CONSTITUENTS, f'{index} {first} {last}', lambda: self.client.query(
            CONSTITUENTS, index_code=members_symbol(index), start_date=f'{first:%Y%m%d}', end_date=f'{last:%Y%m%d}'), until=last,
            keep_empty=False)


def months(start: date, end: date) -> list[tuple[date, date]]:
    """Return the first and last day of each month of a span, cut to it."""
    firsts = sorted({start, *pd.date_range(start, end, freq='MS').date})
    return [(first, min(end, (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1))) for first in firsts]
