"""What a download of baostock.com and its saved answers share: tables are finished by what only the rows before tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import numpy as np
import pandas as pd

from bt_microcap.exchange import rules

from . import Request, clock
from .answers import parse_dates, reference_table
from .baostock_tables import DAILY, LastValues, benchmark
from .delisting import DerivedPeriods
from .dividends import Dividends
from .download import Download
from .saved import SavedAnswers
from .shares import ShareHistory

SPLIT = 0.85  # of the last close: no rights issue makes a reference price that is below it, as a rule


def index_symbol(index: str) -> str:
    """Return six digits of an index as baostock writes them."""
    return ('sz.' if index.startswith('399') else 'sh.') + index


class Finish:
    """Adds to tables that come one after the other what only the rows before tell: market caps, dividends, delisting periods.

    Parameters
    ----------
    request : Request
    shares : ShareHistory, optional
        Total shares; without it the float shares stand for them.
    periods : DerivedPeriods, optional
    dividends_of : callable, optional
        Gives the events of a stock and year, up to a day, and is told whether the price fell as by a split; asked where a
        reference price is not the last close.
    """

    def __init__(
        self, request: Request, start: date, shares: ShareHistory | None, periods: DerivedPeriods | None,
        dividends_of: Callable[[str, int, date, bool], pd.DataFrame] | None = None,
    ) -> None:
        self._float, self._closes, self._shares, self._periods = LastValues(), LastValues(), shares, periods
        self._dividends, self._dividends_of = Dividends(start), dividends_of

    def add(self, found: pd.DataFrame) -> None:
        """Take dividends that are known before."""
        self._dividends.add(found)

    def __call__(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table of `daily_bars`, finished; less what waits for the end."""
        attrs, codes = table.attrs, table['code']
        self._ask_for_dividends(table)
        table = self._dividends.lay(table)
        held = self._float.fill(codes, table.pop('float_shares'))
        close = pd.to_numeric(table['close'], errors='coerce')
        table['circ_market_cap'] = held * close
        total = held if self._shares is None else self._shares.total(table)
        table['market_cap'] = (total * close).round(2) if self._shares is not None else total * close
        table.attrs = attrs
        return table if self._periods is None else self._periods.mark(table)

    def rest(self) -> Iterator[pd.DataFrame]:
        """Yield what waited for the end."""
        if self._periods is not None:
            yield from self._periods.rest()

    def _ask_for_dividends(self, table: pd.DataFrame) -> None:
        """Ask for the dividends of the years in which a reference price is not the last close."""
        before = self._closes.before(table['code'], table['close'])
        if self._dividends_of is None:
            return
        preclose = pd.to_numeric(table['preclose'], errors='coerce')
        jumps = (preclose - before).abs() > rules.HALF_TICK
        if not jumps.any():
            return
        rows = pd.DataFrame({'code': table['code'], 'date': parse_dates(table, 'date'), 'split': preclose < before * SPLIT})
        rows = rows[jumps.to_numpy()].dropna()
        first = np.datetime64(parse_dates(table, 'date').min(), 's')
        for (code, year), part in rows.groupby(['code', rows['date'].dt.year]):
            days = part['date']
            events = self._dividends_of(code, int(year), days.max().date(), bool(part['split'].any()))
            self._dividends.add(events[events['date'].between(max(first, np.datetime64(days.min(), 's')), days.max())])


def add_benchmark(request: Request, answers: Download | SavedAnswers, frame: pd.DataFrame) -> None:
    """Put the prices of the benchmark beside the market."""
    rows = benchmark(frame, request.benchmark, answers.label(DAILY, index_symbol(request.benchmark)))
    request.reference_data['benchmarks'] = reference_table(rows, ('index', 'date', 'open', 'high', 'low', 'close'))


def add_listings_and_names(request: Request, basic: pd.DataFrame) -> None:
    """Put listings and names, as of today, beside the market."""
    wanted = basic if request.codes is None else basic[basic['code'].isin(request.codes)]
    request.reference_data['listings'] = reference_table(wanted, ('code', 'listed', 'delisted'))
    request.reference_data['names'] = reference_table(
        wanted.assign(date=pd.Timestamp(clock.today()).as_unit('s')), ('code', 'date', 'name'))
