"""What a download of baostock.com and its saved answers share: tables are finished by what only the rows before tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import numpy as np
import pandas as pd

from bt_microcap.exchange import rules

from . import Request, clock
from .answers import parse_dates, reference_table
from .baostock_tables import DAILY, benchmark
from .delisting import DerivedPeriods
from .dividends import Dividends
from .download import Download
from .last_values import LastValues
from .saved import SavedAnswers
from .shares import ShareHistory

FIRST = np.datetime64('1990-01-01', 's')


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
        Gives the events of a stock and year, up to a day; asked where a reference price is not the last close.
    """

    def __init__(
        self, request: Request, start: date, shares: ShareHistory | None, periods: DerivedPeriods | None,
        dividends_of: Callable[[str, int, date], pd.DataFrame] | None = None,
    ) -> None:
        self._float, self._closes, self._traded, self._shares, self._periods = (
            LastValues(), LastValues(), LastValues(), shares, periods)
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
        days = parse_dates(table, 'date')
        number = pd.Series((days - FIRST).dt.days.to_numpy(float), table.index).where(table['paused'].eq(0).to_numpy())
        traded = self._traded.fill_before(table['code'], number)  # the last day before on which the stock traded
        if self._dividends_of is None:
            return
        preclose = pd.to_numeric(table['preclose'], errors='coerce')
        jumps = (preclose - before).abs() > rules.HALF_TICK
        if not jumps.any():
            return
        rows = pd.DataFrame({'code': table['code'], 'date': days, 'since': FIRST + pd.to_timedelta(traded, unit='D')})
        rows = rows[jumps.to_numpy()].dropna(subset=['date'])
        rows['since'] = rows['since'].fillna(rows['date'] - np.timedelta64(1, 'D'))
        asked: set[tuple[str, int]] = set()
        for code, part in rows.groupby('code'):
            found = []
            for year in range(int(part['since'].dt.year.min()), int(part['date'].dt.year.max()) + 1):
                inside = part[(part['since'].dt.year <= year) & (part['date'].dt.year >= year)]
                if len(inside) and (code, year) not in asked:
                    asked.add((code, year))
                    last = min(inside['date'].max().date(), date(year, 12, 31))
                    found.append(self._dividends_of(code, year, last))
            for events in found:  # of the days since the last one that traded: the price of a suspended day may not tell it
                wanted = [bool(((part['since'] < day) & (day <= part['date'])).any()) for day in events['date']]
                self._dividends.add(events[np.array(wanted, bool)])


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
