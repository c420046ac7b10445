"""Where histories of total shares are asked for: eastmoney by akshare, the TDX servers by mootdx, reports by baostock."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import DataError
from . import Request, clock
from .answers import parse_codes, parse_dates, parse_numbers, require_columns
from .baostock_tables import symbol
from .download import Download
from .retries import BusyError, EmptyAnswerError, Pauses, Throttle, UnansweredError, import_client
from .shares import SOURCES, of_file, of_history, share_table

Life = tuple[date | None, date | None]  # first and last day of a stock, where they are known
SHARE_HISTORY, REPORTS, EX_RIGHTS = 'stock_zh_a_gbjg_em', 'query_profit_data', 'xdxr'
REPORT_FIELDS = ('code', 'pubDate', 'statDate', 'totalShare')
STALE = timedelta(days=30)  # a history is asked for again when it is older; until then bonus shares on ex-dates are followed
LATEST_REPORT = timedelta(days=200)  # after the end of its quarter
FIRST_QUARTER = 2007  # year of the first reports that baostock has
TDX_TIMEOUT = 15  # seconds
CAPS = {  # what is said of the market caps
    'akshare': f'total shares of akshare {SHARE_HISTORY} x close',
    'mootdx': f'total shares of mootdx {EX_RIGHTS} x close',
    'baostock': f'total shares of baostock {REPORTS} x close, each from its day of publication on; bonus shares follow on their '
                'ex-dates; other new shares are not known before the next report',
}
CAPITAL_CHANGES = (2, 3, 4, 5, 6, 7, 8, 9, 10)  # categories of xdxr that tell total shares, in 万
_EASTMONEY = {'XSHG': 'SH', 'XSHE': 'SZ', 'BJSE': 'BJ'}


def eastmoney_history(client: Any, code: str) -> pd.DataFrame:
    """Return a stock's share history: with the exchange, as plain digits of Beijing would be taken for Shanghai's."""
    frame = client.stock_zh_a_gbjg_em(symbol=f'{code[:6]}.{_EASTMONEY[code[7:]]}')
    if not len(frame):
        raise EmptyAnswerError('an empty share history')
    return frame


class ShareService:
    """Asks for the total shares of stocks.

    Parameters
    ----------
    request : Request
        Its ``shares`` is one of `shares.SOURCES`, or a file.
    start, end : date
        Of the market.
    baostock : callable, optional
        Makes a call of baostock, where that is the source of the market.
    """

    def __init__(self, request: Request, start: date, end: date, baostock: Callable[..., pd.DataFrame] | None = None) -> None:
        self.name, self._request, self._start, self._end, self._query = str(request.shares), request, start, end, baostock
        self.without: list[str] = []
        self.silent = 0  # reports that should be there and came empty
        if self.name not in SOURCES:
            return
        throttle = {'akshare': Pauses(3, 5), 'mootdx': Throttle(20, 1.0), 'baostock': Throttle(10, 1.0)}[self.name]
        self.answers = Download(self.name, request, throttle, wait=60.0 if self.name == 'akshare' else 2.0, last=end)
        if self.name == 'akshare':
            self._client = import_client('akshare', 'akshare')
        if self.name == 'mootdx':
            self._client = None  # made when it is needed: it looks for a server

    def about(self) -> str:
        """Return where the market caps come from."""
        if self.name in SOURCES:
            told = CAPS[self.name]
        else:
            told = f'total shares of the file {Path(self.name).name} x close'
        if self.silent:
            told += f'; not known are {self.silent:,} reports that came empty, the next run asks for them again'
        none = f'; none known of {len(self.without)} stocks: {", ".join(self.without[:5])}' if self.without else ''
        return f'{told}; not known before the first record{none}'

    def records(self, lives: dict[str, Life], tell: Callable[[int, int], Any]) -> pd.DataFrame:
        """Return the records of stocks, of `shares.share_table`.

        Parameters
        ----------
        lives : dict
            Code -> first and last day.
        tell : callable
            Called with what is done and what there is to do.
        """
        if self.name not in SOURCES:
            return of_file(Path(self.name))
        ask = {'akshare': self._of_akshare, 'mootdx': self._of_mootdx, 'baostock': self._of_baostock}[self.name]
        calls = sum(self._open_calls(code, life) for code, life in lives.items())
        self.answers.announce(calls, note=f'total shares, of {len(lives):,} stocks')
        parts = []
        for done, (code, life) in enumerate(lives.items(), 1):
            parts.append(ask(code, life))
            tell(done, len(lives))
        return share_table(parts)

    def close(self) -> None:
        """Let go of a connection."""
        if self.name == 'mootdx' and self._client is not None:
            self._client.close()

    def _asked(self, life: Life) -> date:
        """Return up to which day a history must reach: not much behind the last one, as it seldom changes."""
        last = min(life[1] or self._end, self._end)
        return last if life[1] else max(last - STALE, self._start)

    def _open_calls(self, code: str, life: Life) -> int:
        cache = self.answers.cache
        if self.name == 'baostock':
            return sum(not cache.has('baostock', REPORTS, f'{code} {year}Q{quarter}') for year, quarter in self._quarters(life))
        call = SHARE_HISTORY if self.name == 'akshare' else EX_RIGHTS
        return not cache.covers(self.name, call, code, start=self._start, end=self._asked(life))

    # -- histories -----------------------------------------------------------------------------------------------

    def _of_akshare(self, code: str, life: Life) -> pd.DataFrame:
        def ask() -> pd.DataFrame:
            return eastmoney_history(self._client, code)

        frame, asked = self._history(SHARE_HISTORY, code, life, ask)
        return of_history(frame, code, '变更日期', '总股本', asked, self.answers.label(SHARE_HISTORY, code))

    def _of_mootdx(self, code: str, life: Life) -> pd.DataFrame:
        def ask() -> pd.DataFrame:
            quotes = import_client('mootdx.quotes', 'mootdx').Quotes
            try:
                if self._client is None:
                    self._client = quotes.factory(market='std', timeout=TDX_TIMEOUT, auto_retry=False, raise_exception=True)
                frame = self._client.xdxr(symbol=code[:6])
            except Exception as error:
                self._client = None  # connects again
                raise BusyError(f'{type(error).__name__} {error}') from error
            if frame is None or not len(frame):
                raise EmptyAnswerError('an empty share history')
            day = pd.to_datetime(frame[['year', 'month', 'day']].astype(int), errors='coerce')
            changes = frame.assign(date=day)[frame['category'].isin(CAPITAL_CHANGES)]
            return changes[['date', 'category', 'houzongguben']].reset_index(drop=True)

        frame, asked = self._history(EX_RIGHTS, code, life, ask)
        return of_history(frame, code, 'date', 'houzongguben', asked, self.answers.label(EX_RIGHTS, code), 1e4)

    def _history(self, call: str, code: str, life: Life, ask: Callable[[], pd.DataFrame]) -> tuple[pd.DataFrame, date]:
        """Return a stock's whole history from the cache, where it is not old, or asked for; and up to when it tells."""
        answers, ended = self.answers, life[1] is not None and life[1] < clock.today()
        wanted = self._asked(life)
        held = answers.cache.held_range(self.name, call, code)
        if held is not None and len(held[0]) and min(held[1], answers.cache.refresh_from - timedelta(days=1)) >= wanted:
            return held
        try:
            frame = answers.fetch_with_retries(call, code, ask, empty_attempts=1 if ended else None)
        except UnansweredError as error:
            if not ended or not error.empty:  # the services have lost some stocks that ended long ago
                raise
            self.without.append(code)
            return pd.DataFrame(), self._end
        asked = clock.today() - timedelta(days=1)
        answers.cache.keep(self.name, call, code, frame=frame, days=(date(1990, 1, 1), asked))
        return frame, asked

    # -- reports -------------------------------------------------------------------------------------------------

    def _quarters(self, life: Life) -> list[tuple[int, int]]:
        """Return the quarters whose reports may tell of the market's days: from a year before them on."""
        first = max(self._start, life[0] or self._start).year - 1
        last = min(self._end, life[1] or self._end)
        every = [(year, quarter) for year in range(max(first, FIRST_QUARTER), last.year + 1) for quarter in (1, 2, 3, 4)]
        return [(year, quarter) for year, quarter in every if _quarter_end(year, quarter) < last]

    def _of_baostock(self, code: str, life: Life) -> pd.DataFrame:
        rows = []
        for year, quarter in self._quarters(life):
            # the report of a quarter is published within some months; until there is one it is asked for again
            late = clock.today() - _quarter_end(year, quarter) > LATEST_REPORT
            key = f'{code} {year}Q{quarter}'
            end, (listed, delisted) = _quarter_end(year, quarter), life
            # a listed company has published; one that ended may not have, and of the time before a listing there may be none
            public = late and listed is not None and end >= listed and (delisted is None or end + LATEST_REPORT < delisted)
            try:
                frame = self.answers.get(REPORTS, key, lambda year=year, quarter=quarter: self._query(
                    REPORTS, code=symbol(code), year=year, quarter=quarter), needed=public, empty_attempts=2, keep_empty=late)
            except UnansweredError as error:
                if not error.empty:
                    raise
                self.silent, frame = self.silent + 1, pd.DataFrame()
            rows.append(require_columns(frame, REPORT_FIELDS, self.answers.label(REPORTS, code)))
        frame = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=list(REPORT_FIELDS))
        table = pd.DataFrame({'code': parse_codes(frame, 'code'), 'date': parse_dates(frame, 'pubDate'),
                              'shares': parse_numbers(frame, 'totalShare'), 'until': parse_dates(frame, 'statDate')})
        table = table.dropna(subset=['date', 'shares', 'until']).sort_values(['date', 'until'], kind='stable')
        # of a report that came late, after a newer one, nothing is to be learned
        return table[table['until'].cummax() == table['until']].reset_index(drop=True)


def _quarter_end(year: int, quarter: int) -> date:
    return date(year + quarter // 4, quarter * 3 % 12 + 1, 1) - timedelta(days=1)


def check_shares(shares: str | Path | None) -> None:
    """Refuse shares that are neither a service nor a file.

    Raises
    ------
    DataError
        What there is.
    """
    if shares is not None and str(shares) not in SOURCES and not os.path.isfile(shares):
        raise DataError(f'--shares {shares}: found no such file, expected one of {", ".join(SOURCES)}, or a table with code, '
                        'date and shares')
