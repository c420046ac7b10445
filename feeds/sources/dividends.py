"""What shares pay out, by ex-date: explicit events, laid upon the rows of the market.

On a day without an event both columns are empty, so that what else a reference price tells, such as a rights issue, still counts.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from bt_microcap.exchange import rules

from .last_values import LastValues

COLUMNS = ('date', 'code', 'cash_dividend', 'share_ratio')


def events(date: pd.Series, code: pd.Series, cash: pd.Series, new_shares: pd.Series) -> pd.DataFrame:
    """Return events as a table: one row a stock and ex-date.

    Parameters
    ----------
    date : Series of datetime64
        Ex-dates; without one nothing was decided.
    code : Series
        Canonical codes.
    cash : Series of float
        Yuan a share before tax.
    new_shares : Series of float
        Bonus shares and transfers of reserves, per old share.

    Returns
    -------
    DataFrame
        Columns as in `COLUMNS`; of several events of a day the sums.
    """
    table = pd.DataFrame({'date': date, 'code': code, 'cash_dividend': cash.fillna(0.0), 'share_ratio': new_shares.fillna(0.0)})
    table = table.dropna(subset=['date', 'code'])
    table = table[(table['cash_dividend'] > 0) | (table['share_ratio'] > 0)]
    table = table.groupby(['date', 'code'], as_index=False)[['cash_dividend', 'share_ratio']].sum()
    table['cash_dividend'] = table['cash_dividend'].round(10)  # 0.1 + 0.2: the noise of the sum
    table['share_ratio'] = (1.0 + table['share_ratio']).round(10)
    return table.astype({'date': 'datetime64[s]'})


class Dividends:
    """Lays events upon tables that come one after the other, the days of each stock ascending.

    An event on a day on which the stock has no row, as it is suspended, is that of its next row. So it is where the row of a
    suspended day repeats the last close: the price of the next day that trades tells of it, and must not tell it again.

    Parameters
    ----------
    start : date
        First day that is asked for: what was before it is no part of the market.
    """

    def __init__(self, start: date) -> None:
        self._start = np.datetime64(start, 's')
        self._closes = LastValues()
        self._waiting = pd.DataFrame({'date': np.empty(0, 'datetime64[s]'), 'code': [], 'cash_dividend': [], 'share_ratio': []})

    def add(self, found: pd.DataFrame) -> None:
        """Take further events, of `events`."""
        found = found[found['date'] >= self._start]
        if len(found):
            both = pd.concat([self._waiting, found], ignore_index=True) if len(self._waiting) else found
            self._waiting = both.sort_values('date', kind='stable', ignore_index=True)

    def lay(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table with cash_dividend and share_ratio; empty where there is no event."""
        cash, ratio = np.full(len(table), np.nan), np.full(len(table), np.nan)
        takes = self._takes(table) if len(table) else None
        if len(self._waiting) and len(table):
            days = pd.to_datetime(table['date'], errors='coerce').astype('datetime64[s]')
            due = self._waiting[(self._waiting['date'] <= days.max()) & self._waiting['code'].isin(table['code'])]
            if len(due):
                rows = pd.DataFrame({'date': days, 'code': table['code'].astype(object), 'row': np.arange(len(table))})
                rows = rows[takes].dropna()
                due = due.astype({'code': object}).reset_index().sort_values('date', kind='stable')
                joined = pd.merge_asof(due, rows.sort_values('date', kind='stable'), on='date', by='code', direction='forward')
                joined = joined.dropna(subset=['row'])
                for row, paid, parts in joined[['row', 'cash_dividend', 'share_ratio']].to_numpy(float).tolist():
                    row = int(row)
                    first = ratio[row] != ratio[row]
                    shares = 1.0 if first else ratio[row]  # those that a later event of a suspension is paid on
                    cash[row] = round((0.0 if first else cash[row]) + shares * paid, 10)
                    ratio[row] = round(shares * parts, 10)
                self._waiting = self._waiting.drop(index=joined['index']).reset_index(drop=True)
        return table.assign(cash_dividend=cash, share_ratio=ratio)

    def _takes(self, table: pd.DataFrame) -> np.ndarray:
        """Tell which rows an event may be laid upon: not on a suspended one that repeats the last close."""
        if 'close' not in table or 'paused' not in table:
            return np.ones(len(table), bool)
        close = pd.to_numeric(table['close'], errors='coerce')
        before = self._closes.before(table['code'], close)
        return (~table['paused'].eq(1) | before.isna() | ((close - before).abs() > rules.HALF_TICK)).to_numpy()
