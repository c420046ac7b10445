"""One day's cross-section over all stocks, and the universe that a strategy asks for it.

A decision at the open of day t may use day t-1 and the facts of t that are known before its open. The
cross-section is made so that it cannot hand out anything else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from .columns import OPTIONAL, PRE_OPEN
from .errors import DataError


class LookAheadError(ValueError):
    """Something was asked of a day before it is known."""


class CrossSection:
    """What may be known of every stock when orders for one day are decided.

    Parameters
    ----------
    codes : ndarray of str, shape (stocks,)
        Canonical codes, ascending; every vector is in this order.
    source : object
        Gives vectors: ``source.vector(name, previous)``.
    """

    def __init__(self, codes: np.ndarray, source: Any) -> None:
        self.codes = codes
        self._source = source

    def __len__(self) -> int:
        return len(self.codes)

    def previous(self, name: str) -> np.ndarray:
        """Return a column of the previous trading day.

        Parameters
        ----------
        name : str
            Any column, such as ``market_cap``, ``close`` or ``volume``.

        Returns
        -------
        ndarray of float, shape (stocks,)
            NaN where the stock has no row on that day.
        """
        return self._source.vector(name, True)

    def today(self, name: str) -> np.ndarray:
        """Return a fact of the coming session that is known before its open.

        Parameters
        ----------
        name : str
            One of `columns.PRE_OPEN`, such as ``paused``, ``is_st`` or ``preclose``.

        Returns
        -------
        ndarray of float, shape (stocks,)
            NaN where the stock has no row on that day.

        Raises
        ------
        LookAheadError
            The column is only known after the open.
        """
        if name not in PRE_OPEN:
            raise LookAheadError(
                f'{name} of today is not known at the open: use previous({name!r}); today() gives {", ".join(PRE_OPEN)}')
        return self._source.vector(name, False)

    def members(self, index: str) -> np.ndarray:
        """Return which stocks were in an index, as known the day before; see `store.reference_data.ReferenceData.members`.

        Raises
        ------
        DataError
            The market does not tell.
        """
        return self._reference_data().members(index, self._source.before)

    def names(self) -> np.ndarray:
        """Return the stocks' names, as known the day before."""
        return self._reference_data().latest('names', self._source.before)

    def industries(self) -> np.ndarray:
        """Return the stocks' industries, as known the day before."""
        return self._reference_data().latest('industries', self._source.before)

    def listed_days(self) -> np.ndarray:
        """Return for how many calendar days each stock had been listed the day before; NaN where it is not known."""
        return self._reference_data().listed_days(self._source.before)

    def _reference_data(self) -> Any:
        if not hasattr(self._source, 'reference_data'):
            raise DataError('feeds of one stock each do not tell names, industries or members: use a MarketFeed over a store')
        return self._source.reference_data


class Universe(Protocol):
    """What a strategy asks: today's cross-section, and the feed of a pick."""

    codes: np.ndarray

    def section(self, at_open: bool) -> CrossSection:
        """Return the cross-section for decisions at the open of the bar, or after its close for the next."""

    def feed(self, code: str) -> Any:
        """Return the stock's feed."""


class _FeedValues:
    """Reads vectors from one feed per stock; `ago` is 0, -1 or None (no such row) for each."""

    def __init__(self, feeds: list, previous: list, today: list) -> None:
        self._feeds, self._ago, self._cache = feeds, {True: previous, False: today}, {}

    def vector(self, name: str, previous: bool) -> np.ndarray:
        key = name, previous
        if key not in self._cache:
            self._cache[key] = np.array([
                np.nan if ago is None else _value(feed, name, ago)
                for feed, ago in zip(self._feeds, self._ago[previous], strict=True)
            ])
        return self._cache[key]


def _value(feed: Any, name: str, ago: int) -> float:
    if hasattr(feed, 'value'):
        return feed.value(name, ago)
    line = getattr(feed.lines, name, None)  # a feed of another kind
    if line is None and name not in OPTIONAL:
        raise KeyError(f'{feed._name} has no line {name!r}')
    return np.nan if line is None else line[ago]


class StockUniverse:
    """The universe of one feed per stock.

    Parameters
    ----------
    datas : iterable of data feeds
        The feeds of the strategy; those with the line ``market_cap`` are the stocks. Each is named by its code.
    """

    def __init__(self, datas: Iterable) -> None:
        self._feeds = sorted((data for data in datas if hasattr(data.lines, 'market_cap')), key=lambda data: data._name)
        self.codes = np.array([data._name for data in self._feeds], dtype=str)
        self._by_code = {data._name: data for data in self._feeds}

    def feed(self, code: str) -> Any:
        """Return the feed of a stock.

        Raises
        ------
        KeyError
            No feed has this code.
        """
        return self._by_code[code]

    def section(self, at_open: bool) -> CrossSection:
        """Return the cross-section of the current bar.

        Parameters
        ----------
        at_open : bool
            True at the open of the bar: the previous day is the bar before. False after its close: the bar
            itself is the previous day, and its flags stand in for those of the next day, not known yet.
        """
        stamps = [feed.datetime[0] if len(feed) else -1.0 for feed in self._feeds]
        now = max(stamps, default=-1.0)
        current = [0 if stamp == now else None for stamp in stamps]
        if not at_open:
            return CrossSection(self.codes, _FeedValues(self._feeds, current, current))
        # the last bar before today: one back where today has a bar, else the bar that still stands at 0
        before = [feed.datetime[-1] if here == 0 and len(feed) > 1 else (-1.0 if here == 0 else stamp)
                  for feed, here, stamp in zip(self._feeds, current, stamps, strict=True)]
        last = max(before, default=-1.0)
        previous = [(-1 if here == 0 else 0) if stamp == last and stamp > 0 else None
                    for here, stamp in zip(current, before, strict=True)]
        return CrossSection(self.codes, _FeedValues(self._feeds, previous, current))
