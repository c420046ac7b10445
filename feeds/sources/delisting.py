"""The delisting period, as the names of stocks tell it."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

# Names of the delisting period, such as 退市海润 and 烯碳退. tushare writes (退) behind the name of any stock that was
# delisted since, also of one that had no such period: that is no name of a day.
_DELISTING_NAME = re.compile('(?<![(（])退')


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
