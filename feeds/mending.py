"""What is mended once all rows of a market are there: last closes of suspended rows, and days after a row that was left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bt_microcap.exchange import rules

from .columns import PRICES, ordinals
from .grid import Layout

if TYPE_CHECKING:
    import pandas as pd

Lost = tuple[np.ndarray, np.ndarray]  # codes and ordinals of rows that were left out
ACTIONS = {'cash_dividend': 0.0, 'share_ratio': 1.0}  # of a day on which nothing happens
SLACK = 0.01  # beside a price limit: it is rounded to 0.01 yuan
WIDEST = 0.31  # the price limit of what no rule knows


def lost_rows(findings: pd.DataFrame) -> Lost:
    """Return the stocks and days of rows that were left out, of a table of findings; see `quarantine.COLUMNS`."""
    import pandas as pd

    done = findings['done']
    gone = findings[done.str.endswith('left out') & ~done.str.startswith('one of') & (findings['date'] != '')]
    gone = gone.drop_duplicates(['code', 'date'])
    return gone['code'].to_numpy(str), ordinals(pd.to_datetime(gone['date']).to_numpy())


class Mended:
    """The columns of a market's rows, with what was mended.

    - A suspended row without a price gets the stock's last close, less the row's own cash dividend, over its share ratio.
    - The preclose of the first row after one that was left out differs from the last close that is there by the return of the
      lost day. Where that is no more than price limits allow, it is no ex-rights: the row then says that nothing happened.

    Parameters
    ----------
    layout : Layout
    columns : dict of str to str
        Column -> dtype.
    read : callable
        Gives a column in the order of the layout's rows.
    without_close : ndarray of int
        Rows without a price.
    lost : Lost, optional
        Rows that were left out.

    Attributes
    ----------
    columns : dict of str to str
        Column -> dtype, with the explicit actions where any row has to say that nothing happened.
    """

    def __init__(
        self, layout: Layout, columns: dict[str, str], read: Callable[[str], np.ndarray], without_close: np.ndarray,
        lost: Lost | None = None,
    ) -> None:
        self.columns, self._read, self._have = dict(columns), read, set(columns)
        self._without, self._closes = without_close, np.empty(0)
        self._told = np.empty(0, 'int64')
        if not len(without_close) and (lost is None or not len(lost[0]) or 'preclose' not in columns):
            return
        row_of = np.full(layout.size, -1, 'int64')
        row_of[layout.by_stock] = np.arange(layout.rows)
        close = np.array(read('close'))
        if len(without_close):
            self._closes = self._last_closes(layout, row_of, close)
            close[without_close] = self._closes
        if lost is not None and len(lost[0]) and 'preclose' in columns:
            self._told = self._nothing_happened(layout, row_of, close, *lost)
        if len(self._told):
            self.columns.update(dict.fromkeys((name for name in ACTIONS if name not in columns), '<f8'))

    def read(self, name: str) -> np.ndarray:
        """Return a column in the order of the layout's rows."""
        if name in ACTIONS and len(self._told):
            dividend, ratio = (np.array(self._read(each)) if each in self._have else np.full(self._rows, np.nan)
                               for each in ACTIONS)
            silent = self._told[np.isnan(dividend[self._told]) & np.isnan(ratio[self._told])]
            values = dividend if name == 'cash_dividend' else ratio
            values[silent] = ACTIONS[name]
            return values
        values = self._read(name)
        if name in PRICES and len(self._without):
            values = np.array(values)
            values[self._without] = self._closes
        return values

    def _last_closes(self, layout: Layout, row_of: np.ndarray, close: np.ndarray) -> np.ndarray:
        """Return the closes of rows without a price, one after the other."""
        actions = {name: np.array(self._read(name)) if name in self._have else np.full(layout.rows, nothing)
                   for name, nothing in ACTIONS.items()}
        places = layout.by_stock[self._without]
        start = layout.start[np.searchsorted(layout.start, places, 'right') - 1]
        out = np.empty(len(places))
        for number in np.argsort(places).tolist():  # ascending: one may follow the other
            row, at = self._without[number], int(places[number]) - 1
            while at >= start[number] and (row_of[at] < 0 or close[row_of[at]] != close[row_of[at]]):
                at -= 1
            last = close[row_of[at]] if at >= start[number] else np.nan
            dividend, ratio = actions['cash_dividend'][row], actions['share_ratio'][row]
            price = (last - (dividend if dividend == dividend else 0.0)) / (ratio if ratio == ratio else 1.0)
            out[number] = close[row] = price
        return out

    def _nothing_happened(
        self, layout: Layout, row_of: np.ndarray, close: np.ndarray, codes: np.ndarray, days: np.ndarray
    ) -> np.ndarray:
        """Return the rows whose preclose tells the return of lost days, and no ex-rights."""
        self._rows = layout.rows
        known = layout.codes.astype(str)
        stock = np.minimum(np.searchsorted(known, codes), len(known) - 1)
        there = known[stock] == codes
        stock, days = stock[there], days[there]
        day = np.searchsorted(layout.days, days)
        inside = (day > layout.first[stock]) & (day <= layout.last[stock])
        stock, days, day = stock[inside], days[inside], day[inside]
        replaced = (layout.days[day] == days) & layout.exists[day, stock]  # a good row came later
        stock, day = stock[~replaced], day[~replaced]
        real = np.flatnonzero(row_of >= 0)
        place = layout.start[stock] + day - layout.first[stock]
        after = real[np.searchsorted(real, place)]
        before = real[np.searchsorted(real, place) - 1]
        last, preclose = close[row_of[before]], np.asarray(self._read('preclose'))[row_of[after]]
        rate = np.array([_limit(code) for code in known[stock].tolist()] or [0.0])[:len(stock)]
        lost = after - before - 1  # days between, at least the lost one
        moved = np.abs(preclose - last) > rules.half_ticks(known)[stock]
        small = np.abs(preclose / last - 1) <= (1 + rate) ** np.maximum(lost, 1) - 1
        return np.unique(row_of[after[moved & small]])


def _limit(code: str) -> float:
    """Return the widest price limit of a stock's board, and some slack."""
    if rules.is_fund(code):  # not every code tells which of them
        return max(row.rate for rows in rules.FUND_LIMITS.values() for row in rows) + SLACK
    try:
        place = rules.board(code), rules.exchange(code)
        return max(max(row.rate, row.st_rate) for row in rules.PRICE_LIMITS[place]) + SLACK
    except (rules.RuleError, KeyError):
        return WIDEST
