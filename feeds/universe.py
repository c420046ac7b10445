"""One day's cross-section over all stocks, and the universe that a strategy asks for it.

A decision at the open of day t may use day t-1 and the facts of t that are known before its open. The
cross-section is made so that it cannot hand out anything else.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

import numpy as np

from bt_microcap.exchange.opening import PRE_OPEN, opening_of
from bt_microcap.exchange.opening import LookAheadError as LookAheadError

from .days import FeedDays, value_of
from .errors import DataError, whole_number
from .history import LIMITS, History


class CrossSection:
    """What may be known of every stock when orders for one day are decided.

    Parameters
    ----------
    codes : ndarray of str, shape (stocks,)
        Canonical codes, ascending; every vector is in this order.
    source : object
        Gives vectors: ``source.vector(name, previous)``, and the days before: ``source.history(name, n, adjusted, filled)``.
    """

    def __init__(self, codes: np.ndarray, source: Any) -> None:
        self.codes = codes
        self._source = source
        self.memo: dict[Any, np.ndarray] = {}  # what screens and ranks have worked out of it; see `rotation.pieces`

    @property
    def shared(self) -> tuple[Any, Any]:
        """What other runs of this process have worked out, a `shared.SharedVectors`, and what stands for this section there.

        (None, None) where nothing is shared: only a study's runs over a store share, and only sections as the store gives them.
        """
        if type(self) is not CrossSection or vars(self).keys() - {'codes', '_source', 'memo'}:
            return None, None
        if {'vector', 'history', 'benchmark'} & getattr(self._source, '__dict__', {}).keys():  # put in place of the class's own
            return None, None
        return getattr(self._source, 'shared', (None, None))

    @property
    def before(self) -> int:
        """The ordinal of the previous trading day, whose columns `previous` gives; 0 before the first of the data."""
        return self._source.before

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
            NaN where the stock has no row on that day. Of ``high_limit`` and ``low_limit`` what the data lacks is computed, as
            the broker does: NaN where the day has no limit, or it is not known.
        """
        return self._source.vector(name, True)

    def history(self, name: str, n: int, adjusted: bool = False, filled: bool = False) -> np.ndarray:
        """Return a column of the last trading days before today; the last row is `previous`.

        It may reach back before the run's ``fromdate``, where the data has rows there (feeds that are not ours: only the bars of
        the run). Days are those on which any stock has a row. Asked every day it costs about one `previous`, however long it is:
        what was read stays in a buffer of 2 n days. Adjusted it also costs a pass over the n days.

        Parameters
        ----------
        name : str
            Any column, such as ``close``.
        n : int
            Trading days, 1 or more.
        adjusted : bool
            For prices (``open``, ``high``, ``low``, ``close``, ``preclose``, ``high_limit``, ``low_limit``): restated to the
            level of the last row (forward-adjusted, 前复权, as of the day before). Each price is multiplied by the factors of
            all later days up to the last row. The factor of a day is (last_close - cash_dividend) / share_ratio / last_close
            where the row has one of the two values, else preclose / last_close where they differ by more than half a tick,
            else 1; last_close is the close of the stock's last row before that day, however long ago. An ex-date of today is
            not in it: ``today('preclose') / previous('close')`` tells that one, for a stock that was not suspended without
            a row.

        filled : bool
            Of ``close`` alone: a day without a row repeats the close of the stock's last row before it, however long ago.

        Returns
        -------
        ndarray of float, shape (n, stocks)
            The oldest day first, in the unit of the column; NaN where the stock has no row on that day, and for days before
            the first of the data. Read-only, and never changed later.

        Raises
        ------
        KeyError
            There is no such column.
        ValueError
            `n` is not a whole number of 1 or more, or the column cannot be adjusted.

        Notes
        -----
        The factors are the exchanges' ex-rights reference price (SSE and SZSE trading rules, 除权（息）参考价) over the last
        close, recognised as the broker does with ``ex_rights='auto'``; see `exchange.corporate_actions`. Where a dividend is
        not below the last close, the factor is not known: earlier prices are NaN.
        """
        return self._source.history(name, n, adjusted, filled)

    def benchmark(self, spec: str, n: int = 1) -> np.ndarray:
        """Return the closes of an index on the last trading days before today.

        Parameters
        ----------
        spec : str
            ``market``, ``microcap``, one of the two with options, such as ``microcap:100:renew=5``, or six digits of an index
            that the store has; see `store.MarketStore.benchmark`. One renewed every k days is renewed on the run's day 0.
        n : int
            Trading days, 1 or more.

        Returns
        -------
        ndarray of float, shape (n,)
            Points, the oldest day first; NaN before the data, or the index, begins. Read-only.

        Raises
        ------
        DataError
            The market has no such index. With one feed per stock only ``market`` is known, as the index' own feed shows it,
            such as the one that `stock.add_stocks` puts first.
        ValueError
            `n` is not a whole number of 1 or more.
        """
        closes = self._source.benchmark(spec, whole_number('n', n))
        closes.flags.writeable = False
        return closes

    def today(self, name: str) -> np.ndarray:
        """Return a fact of the coming session that is known before its open.

        Parameters
        ----------
        name : str
            One of `exchange.opening.PRE_OPEN`, such as ``paused``, ``is_st`` or ``preclose``.

        Returns
        -------
        ndarray of float, shape (stocks,)
            NaN where the stock has no row on that day; ``high_limit`` and ``low_limit`` as in `previous`.

        Raises
        ------
        LookAheadError
            The column is only known after the open.
        """
        if name not in PRE_OPEN:
            near = difflib.get_close_matches(name, PRE_OPEN, 1, 0.8)
            if near:
                raise KeyError(f'today() gives no {name!r}: did you mean {near[0]!r}?')
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
        """Return for how many calendar days each stock had been listed the day before; NaN where it is not known.

        Without listings, as with one feed per stock, a stock counts as listed on its first row, unless that is on the first day
        of all.
        """
        if hasattr(self._source, 'listed_days'):
            age = self._source.listed_days()
        else:
            age = self._reference_data().listed_days(self._source.before)
        return np.where(age > 0, age, np.nan)  # a listing to come is not known

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

    def ever_between(self, name: str, low: float, high: float) -> bool:
        """Return whether any value of a column, also of later days, lies in a range, both ends in: no basis of a decision."""

    def extremes(self, name: str) -> tuple[float, float]:
        """Return the least and the largest value of a column, also of later days; NaN where none is known."""


def any_between(pieces: Iterable[np.ndarray], low: float, high: float) -> bool:
    """Return whether any value of the pieces of a column lies in a range, both ends in; no more is read than needed."""
    return any(bool(((piece >= low) & (piece <= high)).any()) for piece in pieces)


def extremes_of(pieces: Iterable[np.ndarray]) -> tuple[float, float]:
    """Return the least and the largest value of the pieces of a column; NaN where none is known."""
    known = [piece[piece == piece] for piece in pieces]
    known = [piece for piece in known if len(piece)]
    if not known:
        return np.nan, np.nan
    return float(min(piece.min() for piece in known)), float(max(piece.max() for piece in known))


class _FeedValues:
    """Reads vectors from one feed per stock.

    `ago` is 0, -1 or None (no such row) for each; None for all of them before the run's second bar. `past` gives the history,
    `limits` the price limits by name and whether of the day before, `benchmark` an index' closes before a stamp. `before` is the
    ordinal of the previous day, `first_day` that of the first of all.
    """

    def __init__(self, feeds: list, previous: list | None, today: list, past: Callable[..., np.ndarray],
                 limits: Callable[[str, bool], np.ndarray], benchmark: Callable[[str, int], np.ndarray], before: float,
                 first_day: int) -> None:
        self._feeds, self._ago, self._cache, self.history = feeds, {True: previous, False: today}, {}, past
        self._limits, self.benchmark, self.before, self._first_day = limits, benchmark, max(0, int(before)), first_day

    def listed_days(self) -> np.ndarray:
        first = np.array([getattr(feed, 'first_day', 0) for feed in self._feeds], dtype=float)
        return np.where(first > self._first_day, self.before - first + 1, np.nan)

    def vector(self, name: str, previous: bool) -> np.ndarray:
        key = name, previous
        if key not in self._cache:
            agos = self._ago[previous]
            if agos is None:
                self._cache[key] = self.history(name, 1, False)[0].copy()
            elif name in LIMITS:
                missing = np.array([ago is None for ago in agos], dtype=bool)
                self._cache[key] = np.full(len(agos), np.nan) if missing.all() else np.where(
                    missing, np.nan, self._limits(name, previous))
            else:
                self._cache[key] = np.array([
                    np.nan if ago is None else value_of(feed, name, ago) for feed, ago in zip(self._feeds, agos, strict=True)])
        return self._cache[key]


def check_close(at_open: bool, cerebro: Any) -> None:
    """Refuse a cross-section of the close of a day while orders at its open are decided."""
    opening = None if at_open or cerebro is None else opening_of(cerebro)
    if opening is not None and opening.deciding:
        raise LookAheadError('section(at_open=False) is the close of today, which is not known at the open: use '
                             'section(at_open=True)')


class StockUniverse:
    """The universe of one feed per stock.

    Parameters
    ----------
    datas : iterable of data feeds
        The feeds of the strategy; those with the line ``market_cap`` are the stocks. Each is named by its code.
    """

    def __init__(self, datas: Iterable) -> None:
        datas = list(datas)
        self._feeds = sorted((data for data in datas if hasattr(data.lines, 'market_cap')), key=lambda data: data._name)
        self._index = next((data for data in datas if data._name == 'market' and hasattr(data, 'column')), None)
        self._first_day = min((data.first_day for data in [self._index, *self._feeds] if hasattr(data, 'first_day')), default=0)
        self.codes = np.array([data._name for data in self._feeds], dtype=str)
        self._own = self.codes
        again = self.codes[1:][self.codes[1:] == self.codes[:-1]]
        if len(again):
            raise DataError(f'{again[0]}: found in two feeds, expected one feed a stock; it would be picked twice')
        self._by_code = {data._name: data for data in self._feeds}
        self._places = {data._name: place for place, data in enumerate(self._feeds)}
        self._days = FeedDays(self._feeds)
        self._history = History(self._days)

    def feed(self, code: str) -> Any:
        """Return the feed of a stock.

        Raises
        ------
        KeyError
            No feed has this code.
        """
        return self._by_code[code]

    def places(self, among: np.ndarray, codes: list[str]) -> np.ndarray | None:
        """Return where some codes stand in an array, -1 for one that is none of them; None where it is not that of all codes."""
        return None if among is not self._own else np.array([self._places.get(code, -1) for code in codes], dtype=int)

    def ever_between(self, name: str, low: float, high: float) -> bool:
        """Return whether any row of a column lies in a range; see `Universe`."""
        return any_between(self._days.columns(name), low, high)

    def extremes(self, name: str) -> tuple[float, float]:
        """Return the least and the largest value of all rows of a column; see `Universe`."""
        return extremes_of(self._days.columns(name))

    def section(self, at_open: bool) -> CrossSection:
        """Return the cross-section of the current bar.

        Parameters
        ----------
        at_open : bool
            True at the open of the bar: the previous day is the bar before. False after its close: the bar
            itself is the previous day, and its flags stand in for those of the next day, not known yet.
        """
        check_close(at_open, self._feeds[0]._env if self._feeds else None)
        stamps = [feed.datetime[0] if len(feed) else -1.0 for feed in self._feeds]
        now = max(stamps, default=-1.0)
        current = [0 if stamp == now else None for stamp in stamps]
        if not at_open:
            end = np.nextafter(now, np.inf)
            return CrossSection(self.codes, _FeedValues(
                self._feeds, current, current, partial(self._past, end), partial(self._limits, now, 0),
                partial(self._benchmark, end), now, self._first_day))
        # the last bar before today: one back where today has a bar, else the bar that still stands at 0
        before = [feed.datetime[-1] if here == 0 and len(feed) > 1 else (-1.0 if here == 0 else stamp)
                  for feed, here, stamp in zip(self._feeds, current, stamps, strict=True)]
        last = max(before, default=-1.0)
        previous = [(-1 if here == 0 else 0) if stamp == last and stamp > 0 else None
                    for here, stamp in zip(current, before, strict=True)]
        past = partial(self._past, now)
        limits = partial(self._limits, now, 1)
        return CrossSection(self.codes, _FeedValues(
            self._feeds, previous if last > 0 else None, current, past, limits, partial(self._benchmark, now), last,
            self._first_day))

    def _benchmark(self, stamp: float, spec: str, n: int) -> np.ndarray:
        """Return the closes of the market's index before a stamp; see `CrossSection.benchmark`."""
        if spec != 'market' or self._index is None:
            raise DataError(f'feeds of one stock each do not tell the benchmark {spec!r}: use a MarketFeed, or read the index\' '
                            'own feed; known is market, where the run has the feed of that name that add_stocks puts first')
        end = int(np.searchsorted(self._index.days, stamp))
        known = self._index.column('close')[max(end - n, 0):end]
        return np.concatenate([np.full(n - len(known), np.nan), known])

    def _past(self, stamp: float, name: str, n: int, adjusted: bool, filled: bool = False) -> np.ndarray:
        """Return the days before a stamp; see `CrossSection.history`."""
        return self._history.rows(name, n, self._days.find(stamp, self._history.forget), adjusted, filled)

    def _limits(self, stamp: float, back: int, name: str, previous: bool) -> np.ndarray:
        """Return a price limit of a day, or of the one that is some days back."""
        return self._history.limit(name, self._days.find(stamp, self._history.forget) - (back if previous else 0))
