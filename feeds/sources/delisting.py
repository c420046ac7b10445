"""The delisting period, as the names of stocks by date tell it, or the last name and the day of the delisting."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pandas as pd

from .answers import parse_dates

# Names of the delisting period, such as 退市海润 and 烯碳退. tushare writes (退) behind the name of any stock that was
# delisted since, also of one that had no such period: that is no name of a day.
_DELISTING_NAME = re.compile('(?<![(（])退')
_DAYS, _DAYS_BEFORE = 15, 30  # trading days of the period
_FIRST_OF_15 = date(2022, 1, 1)  # of delistings
_IDLE = 8  # weekdays of a holiday, and between the last day of the period and the delisting, about
_LONGEST = 120  # calendar days that the period, and what lies between it and the delisting, never was longer than


def delisting_changes(names: pd.DataFrame) -> pd.DataFrame:
    """Return the names of stocks that had a delisting period, as date, code, delisting_period (0 or 1 from that day on).

    Parameters
    ----------
    names : DataFrame
        code, date, name: the name from that day on, as in the reference table ``names``.
    """
    ended = [bool(_DELISTING_NAME.search(str(name))) for name in names['name']]
    changes = pd.DataFrame({'date': names['date'], 'code': names['code'], 'delisting_period': np.array(ended, 'uint8')})
    return changes[changes['code'].isin(names['code'][ended])].sort_values('date', ignore_index=True)


def delisting_flags(table: pd.DataFrame, changes: pd.DataFrame) -> np.ndarray:
    """Tell which rows of a table are in the delisting period, by the name of the day; `changes` of `delisting_changes`."""
    flags = np.zeros(len(table), 'uint8')
    there = np.flatnonzero(table['code'].isin(changes['code']) & table['date'].notna())
    if len(there):
        rows = table[['date', 'code']].iloc[there].assign(at=there).sort_values('date')
        rows = pd.merge_asof(rows, changes.astype({'date': rows['date'].dtype}), on='date', by='code')
        flags[rows['at']] = rows['delisting_period'] == 1
    return flags


class DerivedPeriods:
    """Marks the delisting period of a source that has only the last names of stocks, and the days of their delisting.

    A stock whose last name has 退 was in it on its last 15 trading days, by the exchanges' delisting rules of 2020-12-31; before
    it were 30. By the transitional rules all that were delisted in 2021 still had 30: measured on the market, whose names by
    date tell 30 traded days of each of 13. A day on which the stock was suspended does not count.

    Parameters
    ----------
    stocks : DataFrame
        code, name (the last one), delisted.
    end : date
        Last day that is asked for.
    """

    def __init__(self, stocks: pd.DataFrame, end: date) -> None:
        ended = np.array([bool(_DELISTING_NAME.search(str(name))) for name in stocks['name']], bool)
        known = stocks[ended & stocks['delisted'].notna().to_numpy()]
        self._ends = dict(zip(known['code'], pd.to_datetime(known['delisted']).dt.date, strict=True))
        self._end = end
        self._held: dict[str, list[pd.DataFrame]] = {}

    def about(self) -> str:
        """Return what is to be said of the column."""
        return ('derived: the last 15 trading days (30 of stocks delisted before 2022) before the delisting of stocks whose last '
                'name has 退')

    def mark(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table with the column delisting_period, 0, less the rows that `rest` gives."""
        table['delisting_period'] = np.zeros(len(table), 'uint8')
        ending = table['code'].isin(self._ends)
        if not ending.any():
            return table
        ends = pd.to_datetime(table['code'].map(self._ends)).astype('datetime64[s]')
        days = parse_dates(table, 'date')
        near = (ending & (days >= ends - np.timedelta64(_LONGEST, 'D'))).to_numpy()
        for code, rows in table[near].groupby('code', sort=False):
            self._held.setdefault(code, []).append(rows)
        left = table[~near].reset_index(drop=True)
        left.attrs.update(table.attrs)
        return left

    def rest(self) -> Iterator[pd.DataFrame]:
        """Yield the last rows of the stocks that were delisted, marked; after all others."""
        for code, parts in sorted(self._held.items()):
            table = pd.concat(parts, ignore_index=True)
            table = table.iloc[np.argsort(parse_dates(table, 'date').to_numpy(), kind='stable')].reset_index(drop=True)
            table.attrs['source'] = parts[0].attrs.get('source', code)
            delisted = self._ends[code]
            count = _DAYS if delisted >= _FIRST_OF_15 else _DAYS_BEFORE
            if delisted > self._end and parse_dates(table, 'date').max() >= np.datetime64(self._end, 's'):
                # further ones are beyond those asked for; rather too many days than too few, for nobody buys before it either
                count -= max(0, int(np.busday_count(self._end + timedelta(days=1), delisted)) - _IDLE)
            traded = np.flatnonzero(table['paused'].eq(0) & (parse_dates(table, 'date') < np.datetime64(delisted, 's')))
            if count > 0 and len(traded):
                first = int(traded[max(0, len(traded) - count)])
                table.loc[first:, 'delisting_period'] = 1
                table['delisting_period'] = table['delisting_period'].astype('uint8')
            yield table
        self._held.clear()
