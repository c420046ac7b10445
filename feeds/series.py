"""All rows of one feed as arrays: for what looks at a stock when a run is over, such as a chart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from bt_microcap.exchange import rules

from .history import ex_rights_factor

ACTIONS = ('preclose', 'cash_dividend', 'share_ratio')


def rows_of(data: Any, names: Iterable[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return all rows of a feed, also those outside the run; it is no basis of a decision.

    Parameters
    ----------
    data : data feed
        A stock of a `MarketFeed`, a feed of a table, or any feed of Backtrader with bars in memory.
    names : iterable of str
        Columns.

    Returns
    -------
    days : ndarray of int, shape (rows,)
        Ordinals, ascending. Of a stock of a `MarketFeed` each day from its first to its last row; on one without a row prices
        repeat the last close.
    columns : dict of str to ndarray of float, shape (rows,)
        NaN where the feed has no such column, or the row no value.
    """
    market = getattr(data, 'market', None)
    if market is not None:
        store = market.store
        number = store.stock_number(data._name)
        days = store.days[store.first[number]:store.last[number] + 1]
        read = {name: store.block(name, number) for name in names}
    elif hasattr(data, 'days') and hasattr(data, 'column'):
        days = data.days
        read = {name: data.column(name) for name in names}
    else:
        lines = data.getlinealiases()
        days = np.asarray(data.lines.datetime.array, float)[:data.buflen()].astype(int)
        read = {name: np.asarray(getattr(data.lines, name).array, float)[:len(days)] if name in lines else None for name in names}
    return np.asarray(days), {
        name: np.full(len(days), np.nan) if column is None else np.asarray(column, float) for name, column in read.items()}


def adjustment(data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return what brings each row's prices to the level of the feed's last row (forward-adjusted, 前复权).

    Parameters
    ----------
    data : data feed
        As for `rows_of`.

    Returns
    -------
    days : ndarray of int, shape (rows,)
        Ordinals.
    factors : ndarray of float, shape (rows,)
        The product of the factors of all later rows, each by `history.ex_rights_factor`; NaN before a row whose factor is not
        known.
    """
    days, columns = rows_of(data, ('close', *ACTIONS))
    return days, adjustment_of(data._name, columns)


def adjustment_of(code: str, columns: dict[str, np.ndarray]) -> np.ndarray:
    """Return the factors of `adjustment` for rows at hand: close and `ACTIONS`, each of shape (rows,)."""
    close = columns['close']
    if not len(close):
        return np.ones(0)
    row = np.where(close == close, np.arange(len(close)), 0)
    last = close[np.maximum.accumulate(row)]
    last = np.concatenate([[np.nan], last[:-1]])  # the close before each row
    factors = ex_rights_factor(last, *(columns[name] for name in ACTIONS), rules.half_tick(code))
    return np.concatenate([np.cumprod(factors[:0:-1])[::-1], [1.0]])
