"""The canonical daily table: its columns and their units, and days as Backtrader counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

# name -> what the column holds, with its unit
REQUIRED: dict[str, str] = {
    'date': 'the trading day',
    'code': 'canonical code such as 600000.XSHG',
    'open': 'yuan, raw',
    'high': 'yuan, raw',
    'low': 'yuan, raw',
    'close': 'yuan, raw',
    'volume': 'shares',
    'market_cap': 'yuan, total shares x close',
    'is_st': '1 when ST or *ST on that day, else 0',
    'paused': '1 when suspended that day, else 0',
}
OPTIONAL: dict[str, str] = {
    'preclose': "yuan, the exchange's ex-rights reference price",
    'amount': 'yuan',
    'high_limit': 'yuan, the upper price limit of the day',
    'low_limit': 'yuan, the lower price limit of the day',
    'cash_dividend': 'yuan a share before tax, on the ex-date',
    'share_ratio': 'new shares per old share on the ex-date, else 1',
    'delisting_period': '1 in the delisting period (names with 退), else 0',
}
PRICES = ('open', 'high', 'low', 'close')
FLAGS = ('is_st', 'paused', 'delisting_period')

# Tables beside the market, kept in the store as they are; each with the columns named here. Dates are days.
REFERENCE_TABLES = {
    'names': ('code', 'date', 'name'),  # the name from that day on
    'listings': ('code', 'listed', 'delisted'),  # delisted: NaT while listed
    'industries': ('code', 'date', 'industry'),  # the industry from that day on
    'constituents': ('index', 'date', 'code'),  # members of an index on that day, until its next date
    'benchmarks': ('index', 'date', 'open', 'high', 'low', 'close'),  # index points
}
SHARES_TABLE = {'shares': ('code', 'date', 'shares')}  # of a file for market caps: total shares from that day on; not kept

ALWAYS = np.datetime64('1900-01-01', 's')  # the date of what a file says without a date
EPOCH = 719163  # ordinal of 1970-01-01: Backtrader counts days as date.toordinal() does
CODE_PATTERN = r'\d{6}\.(?:XSHG|XSHE|BJSE)'
INDEX_LINES = ('open', 'high', 'low', 'close', 'volume')  # of an index: points and shares


def ordinals(dates: pd.Series | np.ndarray) -> np.ndarray:
    """Return days as ordinals, the whole part of Backtrader's datetimes.

    Parameters
    ----------
    dates : Series or ndarray of datetime64

    Returns
    -------
    ndarray of int64
    """
    return np.asarray(dates).astype('datetime64[D]').astype('int64') + EPOCH


def years_of(days: np.ndarray) -> np.ndarray:
    """Return the years of ordinals; 0 for 0, a day that is not known."""
    years = (np.asarray(days).astype('int64') - EPOCH).astype('datetime64[D]').astype('datetime64[Y]').astype('int64') + 1970
    return np.where(np.asarray(days) > 0, years, 0)


def dates_of(days: np.ndarray) -> np.ndarray:
    """Return ordinals as datetime64: the inverse of `ordinals`."""
    return (np.asarray(days).astype('int64') - EPOCH).astype('datetime64[D]').astype('datetime64[s]')
