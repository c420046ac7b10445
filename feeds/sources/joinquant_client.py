"""The calls of JoinQuant's jqdatasdk, with what the account allows."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from datetime import date, timedelta
from types import ModuleType
from typing import Any

import pandas as pd

from ..errors import DataError
from .answers import concat_frames
from .joinquant_tables import CALENDAR, CONSTITUENTS, DAILY, DIVIDENDS, INDUSTRY, NAMES, ST_FLAGS, STOCKS, VALUATION
from .retries import RefusalError, import_client

INDUSTRY_BATCH_SIZE = 1000  # stocks in a call
VALUATION_WINDOW = timedelta(days=60)  # of a valuation: with 100 stocks below the 5,000 rows that an answer surely holds
ROW_LIMIT_MULTIPLE = 1000  # an answer of so many rows or a multiple may have been cut
QUOTA_WORDS = '最大查询'  # in a refusal for today alone
_WINDOW = re.compile(r'(\d{4}-\d{2}-\d{2})\D{1,20}?(\d{4}-\d{2}-\d{2})')  # in the refusal of days that the account may not read
_DAY = re.compile(r'\d{4}-\d{2}-\d{2}')


def index_symbol(index: str) -> str:
    """Return six digits of an index as JoinQuant writes them: of 中证, Beijing, Shenzhen, else of Shanghai."""
    ends = {'93': '.CSI', '95': '.CSI', '899': '.BJSE', '399': '.XSHE'}
    return index + next((end for start, end in ends.items() if index.startswith(start)), '.XSHG')


class Client:
    """The calls, as they are made; the account is checked at the first."""

    def __init__(self) -> None:
        self._user, self._password = os.environ.get('JQDATA_USER'), os.environ.get('JQDATA_PASSWORD')
        if not self._user or not self._password:
            raise DataError('joinquant: found no account, expected it in the environment: export JQDATA_USER=... '
                            'JQDATA_PASSWORD=...')
        self._client: ModuleType = import_client('jqdatasdk', 'joinquant')
        self.authenticated = False
        self.pause: Callable[[], Any] = int  # called before each further call of an answer that takes several

    @property
    def client(self) -> ModuleType:
        """The package, with the account checked."""
        if not self.authenticated:
            self._told(lambda: self._client.auth(self._user, self._password))
            self.authenticated = True
        return self._client

    def _ask(self, call: str, *arguments: Any, **named: Any) -> Any:
        """Make a call; the package keeps some last answers, also empty ones: they are forgotten first."""
        function = getattr(self.client, call)
        getattr(function, 'cache_clear', int)()
        return self._told(lambda: function(*arguments, **named))

    @staticmethod
    def _told(ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except Exception as error:  # the package raises nothing else where the service refuses
            if QUOTA_WORDS in str(error):
                raise RefusalError(
                    str(error), 'go on tomorrow with the same command, what was read is kept', stop=True) from error
            if (window := _WINDOW.search(str(error))) and '权限' in str(error):
                raise RefusalError(str(error), f'give --start {window[1]} and --end {window[2]} or days between') from error
            raise

    def account(self) -> dict[str, Any]:
        """Return what is told of the account: ``first`` and ``last`` day that it may read, today's rows ``left`` of ``total``."""
        found: dict[str, Any] = {}
        with contextlib.suppress(Exception):
            told = self._ask('get_account_info')
            for name, key in (('first', 'date_range_start'), ('last', 'date_range_end')):
                if day := _DAY.search(str(told.get(key) or '')):
                    found[name] = date.fromisoformat(day[0])
        with contextlib.suppress(Exception):
            count = self._ask('get_query_count')
            found |= {'left': int(count['spare']), 'total': int(count['total'])}
        return found

    def trade_days(self, first: date, last: date) -> pd.DataFrame:
        """Return the days on which the market was open."""
        days = self._ask(CALENDAR, start_date=str(first), end_date=str(last))
        return pd.DataFrame({'date': [str(day)[:10] for day in days]}, dtype=object)

    def daily(self, codes: list[str], first: date, last: date, fields: list[str]) -> pd.DataFrame:
        """Return raw prices."""
        return self._ask(DAILY, codes, start_date=str(first), end_date=str(last), frequency='daily', fields=fields,
                         skip_paused=False, fq=None, panel=False)

    def valuation(self, codes: list[str], first: date, last: date) -> pd.DataFrame:
        """Return market caps, in several calls: an answer has a limited number of rows."""
        frames = []
        while first <= last:
            if frames:
                self.pause()
            frames.append(self._valuation(codes, first, min(last, first + VALUATION_WINDOW)))
            first += VALUATION_WINDOW + timedelta(days=1)
        return concat_frames(frames)

    def _valuation(self, codes: list[str], first: date, last: date) -> pd.DataFrame:
        frame = self._ask(VALUATION, codes, start_date=str(first), end_date=str(last), fields=['capitalization', 'market_cap'])
        if not len(frame) or len(frame) % ROW_LIMIT_MULTIPLE or first == last:
            return frame
        middle = first + (last - first) // 2
        self.pause()
        return concat_frames([self._valuation(codes, first, middle), self._valuation(codes, middle + timedelta(days=1), last)])

    def st_flags(self, codes: list[str], first: date, last: date) -> pd.DataFrame:
        """Return who is ST."""
        return self._ask(ST_FLAGS, 'is_st', codes, start_date=str(first), end_date=str(last), df=True).rename_axis(
            'date').reset_index()

    def stocks(self) -> pd.DataFrame:
        """Return all stocks, delisted ones too."""
        return self._ask(STOCKS, types=['stock'], date=None).rename_axis('code').reset_index()

    def names(self) -> pd.DataFrame:
        """Return all names that stocks had."""
        return self._walk(NAMES, ('id', 'code', 'new_name', 'start_date'))

    def dividends(self, first: date, last: date) -> pd.DataFrame:
        """Return what shares paid out on ex-dates from one day to another."""
        return self._walk(
            DIVIDENDS, ('id', 'code', 'report_date', 'a_xr_date', 'bonus_ratio_rmb', 'dividend_ratio', 'transfer_ratio',
                        'bonus_cancel_pub_date'),
            lambda table: (table.a_xr_date >= str(first), table.a_xr_date <= str(last)))

    def _walk(self, name: str, columns: tuple[str, ...], conditions: Callable[[Any], tuple] = lambda table: ()) -> pd.DataFrame:
        """Return the rows of a table, walked by their numbers: an answer has 5,000 rows at most."""
        finance, frames, last = self.client.finance, [], 0
        table = getattr(finance, name)
        while True:
            query = self.client.query(*(getattr(table, column) for column in columns)).filter(
                table.id > last, *conditions(table)).order_by(table.id)
            if frames:
                self.pause()
            frames.append(self._told(lambda query=query: finance.run_query(query)))
            if not len(frames[-1]):  # the server may cut sooner: only an empty answer is the end
                return concat_frames(frames)
            last = int(frames[-1]['id'].max())  # the client does not take NumPy's integers

    def industries(self, codes: list[str], day: date) -> pd.DataFrame:
        """Return the 申万 industry of stocks."""
        answer: dict[str, dict] = {}
        for first in range(0, len(codes), INDUSTRY_BATCH_SIZE):
            answer |= self._ask(INDUSTRY, codes[first:first + INDUSTRY_BATCH_SIZE], date=str(day))
        rows = [(code, kinds['sw_l1']['industry_name']) for code, kinds in answer.items() if 'sw_l1' in kinds]
        return pd.DataFrame(rows, columns=['code', 'industry'], dtype=object)

    def constituents(self, index: str, day: date) -> pd.DataFrame:
        """Return the members of an index."""
        return pd.DataFrame({'code': self._ask(CONSTITUENTS, index_symbol(index), date=str(day))}, dtype=object)
