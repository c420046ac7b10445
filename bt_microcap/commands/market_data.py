"""How the commands get at a market."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from ..feeds.errors import DataError
from ..feeds.market import MarketFeed, open_store
from ..feeds.store import MarketStore


def open_market(data: Path | None) -> tuple[MarketStore, str]:
    """Return a market and what it is called.

    Parameters
    ----------
    data : Path or None
        A store's folder, a canonical table's file, or nothing for the demo market.

    Raises
    ------
    DataError
        Neither a store nor a table, or one with wrong content.
    """
    if data is None:
        from ..feeds.demo import demo_market  # with it comes pandas, which a run from a store does without

        return MarketStore.from_table(demo_market(), checked=True), 'the demo market'
    return open_store(data), str(data)


def bars_of(days: np.ndarray, start: date | None, end: date | None, source: str) -> np.ndarray:
    """Return the days of the bars of a run: the day before its first, then every day up to its end.

    Parameters
    ----------
    days : ndarray of int
        All days of the market, ordinals.
    start, end : date, optional
    source : str
        What messages call the market.

    Raises
    ------
    DataError
        There is no such day.
    """
    first = int(np.searchsorted(days, start.toordinal())) if start else 0
    last = int(np.searchsorted(days, end.toordinal(), side='right')) if end else len(days)
    bars = days[max(first - 1, 0):last]
    if first >= last or len(bars) < 2:
        raise DataError(
            f'{source}: found no trading day with a day before it from {start or "its start"} to {end or "its end"}; '
            f'it has {len(days)} days from {date.fromordinal(int(days[0]))} to {date.fromordinal(int(days[-1]))}')
    return bars


def open_feed(data: Path | None, start: date | None, end: date | None, benchmark: str = '') -> tuple[MarketFeed, str]:
    """Return a feed over the bars of a run, and what the market is called; see `open_market` and `bars_of`."""
    store, source = open_market(data)
    bars = bars_of(store.days, start, end, source)
    return MarketFeed(dataname=store, fromdate=date.fromordinal(int(bars[0])), todate=end, benchmark=benchmark or ''), source
