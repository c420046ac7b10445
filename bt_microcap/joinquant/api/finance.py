"""``finance.run_query``: of the platform's finance tables the one of dividends, as far as the store tells it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .errors import ScriptError, Unsupported, needed_columns
from .frames import Frame
from .fundamentals import WAN
from .query import Query, Table, chosen, value_of
from .session import Session

# Dividends by their ex-dates. The registration day is the trading day before. What is only guessed is said once a run.
TABLES = {'STK_XR_XD': ('id', 'code', 'company_name', 'a_registration_date', 'a_xr_date', 'a_bonus_date', 'bonus_ratio_rmb',
                        'bonus_amount_rmb', 'plan_progress', 'report_date', 'board_plan_pub_date', 'shareholders_plan_pub_date',
                        'implementation_pub_date')}
GUESSED = frozenset(('report_date', 'board_plan_pub_date', 'shareholders_plan_pub_date', 'implementation_pub_date'))


class _Events:
    """Rows of one table: `query.Rows`."""

    def __init__(self, codes: np.ndarray, columns: dict[str, np.ndarray]) -> None:
        self.codes, self._columns = codes, columns

    def column(self, table: str, field: str) -> np.ndarray:
        return self._columns[field]

    def places(self, codes: Iterable[str]) -> np.ndarray:
        return np.isin(self.codes, list(codes))


class Finance:
    """``finance``.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.STK_XR_XD = Table('STK_XR_XD', TABLES['STK_XR_XD'])
        self._all: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith('_'):
            raise AttributeError(name)
        raise Unsupported(f'finance.{name} is not supported: of the finance tables there are {", ".join(TABLES)}')

    def run_query(self, asked: Query) -> Frame:
        """Return what a query finds among the dividends whose ex-date is known, today's at the latest."""
        if not isinstance(asked, Query):
            raise Unsupported(f'finance.run_query() takes a query(...), found {asked!r}')
        if guessed := sorted({field for _, field in asked.used} & GUESSED):
            self.session.say_once(f'of dividends {", ".join(guessed)} are not known: a report ends on 31 December or 30 June '
                                  'before the ex-date, and is made public by the registration day', 'dividends')
        rows = self._rows()
        places = chosen(asked, rows, np.ones(len(rows.codes), bool))
        columns = {}
        for column in asked.columns:
            values = np.asarray(value_of(column, rows))[places]
            columns[column.name] = values.astype(object) if values.dtype.kind in 'UM' else values
        return Frame(columns)

    def _rows(self) -> _Events:
        session = self.session
        stocks, days, cash, shares = self._dividends()
        known = days <= session.place
        stocks, days, cash, shares = stocks[known], days[known], cash[known], shares[known]
        ex = session.dates(days).astype('M8[D]')
        before = session.dates(np.maximum(days - 1, 0)).astype('M8[D]')
        # from March to August the dividend of the year before is paid, later that of the half year
        months, years = ex.astype('M8[M]').astype(int) % 12 + 1, ex.astype('M8[Y]')
        annual = (years.astype('M8[D]') - np.timedelta64(1, 'D'))
        half = np.where(months < 3, years - np.timedelta64(1, 'Y'), years).astype('M8[Y]').astype('M8[M]')
        half = half + np.timedelta64(6, 'M')
        report = np.where((months >= 3) & (months <= 8), annual, half.astype('M8[D]') - np.timedelta64(1, 'D'))
        return _Events(session.codes[stocks], {
            'company_name': session.codes[stocks], 'plan_progress': np.full(len(stocks), '实施方案'),
            'report_date': report,
            'board_plan_pub_date': before, 'shareholders_plan_pub_date': before, 'implementation_pub_date': before,
            'id': np.arange(len(stocks), dtype=float), 'code': session.codes[stocks], 'a_registration_date': before,
            'a_xr_date': ex, 'a_bonus_date': ex, 'bonus_ratio_rmb': cash * 10, 'bonus_amount_rmb': cash * shares / WAN})

    def _dividends(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return stock, number of the ex-date, yuan a share and total shares of every dividend."""
        if self._all is None:
            store = self.session.store
            if 'cash_dividend' not in store.columns:
                raise ScriptError(needed_columns(['cash_dividend'], self.session.source))
            cash = np.asarray(store.arrays['stock/cash_dividend'])
            at = np.flatnonzero(cash > 0)
            start = np.asarray(store.arrays['start'])
            stocks = np.searchsorted(start, at, side='right') - 1
            days = store.first[stocks] + at - start[stocks]
            eve = np.maximum(at - 1, start[stocks])
            cap, close = (np.asarray(store.arrays[f'stock/{name}'])[eve] for name in ('market_cap', 'close'))
            with np.errstate(all='ignore'):
                self._all = stocks, days, cash[at], cap / close
        return self._all
