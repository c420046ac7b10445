"""Where a script stands in time, and what the market lets it see there: one place that keeps the future out.

A day has four parts. *Before* the open the day before is known, and of today what the exchanges tell beforehand: suspensions, ST,
price limits, the ex-rights reference price. At the *open* also today's open. At the *close*, which stands for every later time of
the session, today's bar. *After* it the same, and orders are refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from typing import Any

import numpy as np

from ...exchange import rules
from ...exchange.opening import PRE_OPEN
from ...feeds.columns import OPTIONAL, PRICES, dates_of
from ...feeds.days import StoreDays
from ...feeds.history import LIMITS, History
from .errors import FutureDataError, ScriptError, Unsupported

BEFORE, OPEN, CLOSE, AFTER = range(4)
KEPT_DAYS = 512  # limits of a day, of either side


class ScriptWarning(UserWarning):
    """Something of a script is done otherwise than on the platform; said once a run."""


class Session:
    """The market as a script may see it now.

    Parameters
    ----------
    strategy : JoinQuantStrategy
    market : MarketFeed
    """

    def __init__(self, strategy: Any, market: Any) -> None:
        self.strategy, self.market, self.store = strategy, market, market.store
        self.source = str(self.store.path or self.store.about.get('source', 'the market'))
        self.codes: np.ndarray = self.store.codes
        self.days: np.ndarray = self.store.days
        self.number = {code: place for place, code in enumerate(self.codes.tolist())}
        self.past = History(StoreDays(self.store, market))
        self.place = market.offset  # number of today in the store's days
        self.part = BEFORE
        self.now = datetime.combine(date.fromordinal(int(self.days[self.place])), time())
        self.options: dict[str, Any] = {}
        self.where: Callable[[], str] = str  # says which line of the script is at work
        self.log_lines: list[str] = []
        self.log: Any = None  # `namespace.Log`, which knows the levels
        self.universe: list[str] = []  # of `set_universe`
        self.echo = True  # whether to print what the script logs
        self._said: set[Any] = set()
        self._facts: dict[Any, list] = {}
        self._limits: dict[tuple[str, int, bool], np.ndarray] = {}
        self._shares: np.ndarray | None = None
        self._ends: np.ndarray | None = None

    # -- time -----------------------------------------------------------------------------------------------

    def begin_day(self) -> None:
        """Begin the clock's current day, before its open."""
        self.place = self.market.offset + self.market.lines.datetime.idx
        self.turn(BEFORE)

    def turn(self, part: int) -> None:
        """Go on to a part of the day."""
        self.part = part
        self._facts.clear()

    @property
    def today(self) -> date:
        """The day."""
        return date.fromordinal(int(self.days[self.place]))

    @property
    def previous_date(self) -> date:
        """The trading day before."""
        return date.fromordinal(int(self.days[max(self.place - 1, 0)]))

    def last_place(self) -> int:
        """Return the number of the last day whose whole bar is known."""
        return self.place if self.part >= CLOSE else self.place - 1

    def place_of(self, day: date) -> int:
        """Return the number of the last trading day up to a day; -1 before the first."""
        return int(np.searchsorted(self.days, day.toordinal(), side='right')) - 1

    def first_place(self, day: date) -> int:
        """Return the number of the first trading day from a day on."""
        return int(np.searchsorted(self.days, day.toordinal()))

    def date_of(self, place: int) -> date:
        """Return a trading day by its number."""
        return date.fromordinal(int(self.days[min(max(place, 0), len(self.days) - 1)]))

    def dates(self, places: np.ndarray | slice) -> np.ndarray:
        """Return trading days by their numbers, as datetime64."""
        return dates_of(self.days[places])

    # -- what is said ---------------------------------------------------------------------------------------

    def say_once(self, text: str, key: Any = None) -> None:
        """Warn of something once a run."""
        key = text if key is None else key
        if key not in self._said:
            self._said.add(key)
            warnings.warn(text, ScriptWarning, stacklevel=2)

    def looks_ahead(self, what: str, instead: str) -> None:
        """Refuse, or say, that a script asks for what is not known yet.

        Raises
        ------
        FutureDataError
            The script has set ``avoid_future_data``, with which the platform refuses it too.
        """
        where = self.where()
        text = f'{where}: {what} is not known at {self.now:%H:%M}'
        if self.options.get('avoid_future_data'):
            raise FutureDataError(f'FutureDataError: {what} is not known at {self.now:%H:%M}, and the script sets '
                                  f'avoid_future_data; ask for {instead.rstrip(",")}, such as with context.previous_date')
        # once a line of the script, not once a day
        self.say_once(f'{text}: {instead} is given; on JoinQuant this line looks into the future', ('ahead', where))

    def log_line(self, level: str, *words: Any) -> None:
        """Write a line of the log, as the platform does."""
        line = f'{self.now:%Y-%m-%d %H:%M:%S} - {level:<5} - {" ".join(map(str, words))}'
        self.log_lines.append(line)
        if self.echo:
            print(line)

    def write(self, level: str, text: str) -> None:
        """Write a line about an order, where the script has not turned them off."""
        if self.log is None or self.log.shows('order', level):
            self.log_line(level, text)

    # -- columns --------------------------------------------------------------------------------------------

    def has(self, column: str) -> bool:
        """Return whether the store has a column."""
        return column in self.store.columns

    def vector(self, name: str, place: int) -> np.ndarray:
        """Return a column of all stocks on a day that is known; NaN where it is not there."""
        if not 0 <= place < len(self.days):
            return np.full(len(self.codes), np.nan)
        if name not in self.store.columns and name not in OPTIONAL:
            raise ScriptError(f'{self.source} has no column {name}')
        if name in LIMITS:
            return self.limit(name, place)
        if place > self.last_place() and not (place == self.place and name in PRE_OPEN and (
                name != 'open' or self.part >= OPEN)):
            raise FutureDataError(f'{name} of {date.fromordinal(int(self.days[place]))} is not known at {self.now:%H:%M}')
        return self.store.vector(name, place)

    def limit(self, name: str, place: int) -> np.ndarray:
        """Return a price limit of all stocks on a day; kept, for scripts ask for the same days stock by stock."""
        opened = place != self.place or self.part >= OPEN
        found = self._limits.get((name, place, opened))
        if found is None:
            if len(self._limits) >= KEPT_DAYS:
                self._limits.clear()
            found = self._limits[name, place, opened] = self.past.limit(name, place, opened)
        return found

    def fact(self, name: str) -> list:
        """Return one value a stock of what is known of today, as a list; worked out once a part of the day."""
        found = self._facts.get(name)
        if found is None:
            found = self._facts[name] = np.asarray(getattr(self, f'_fact_{name}')()).tolist()
        return found

    def _fact_paused(self) -> np.ndarray:
        return self.vector('paused', self.place) != 0  # no row today: NaN

    def _fact_is_st(self) -> np.ndarray:
        """ST, or in the delisting period, whose names have 退 instead; a stock without a row today is as it was."""
        return self._carried_flag('is_st') | self._fact_delisting()

    def _carried_flag(self, name: str) -> np.ndarray:
        today = self.vector(name, self.place)
        gone = np.flatnonzero(today != today)
        if len(gone):
            today[gone] = self.gather(name, gone, self.place - 1, self.place)[:, 0]
        return today == 1

    def _fact_delisting(self) -> np.ndarray:
        return self._carried_flag('delisting_period') if self.has('delisting_period') else np.zeros(len(self.codes), bool)

    def _fact_high_limit(self) -> np.ndarray:
        limit = self.vector('high_limit', self.place)
        return np.where(limit == limit, limit, np.inf)  # a day without a limit

    def _fact_low_limit(self) -> np.ndarray:
        limit = self.vector('low_limit', self.place)
        return np.where(limit == limit, limit, 0.0)

    def _fact_last_close(self) -> np.ndarray:
        """Return the close of the last row before today, restated for an ex-date of today."""
        close = self.gather('close', np.arange(len(self.codes)), self.place - 1, self.place)[:, 0]
        preclose = self.vector('preclose', self.place)
        return np.where(preclose > 0, preclose, close)

    def _fact_day_open(self) -> np.ndarray:
        if self.part < OPEN:
            return np.full(len(self.codes), np.nan)
        opening = self.vector('open', self.place)
        trades = (opening > 0) & (self.vector('paused', self.place) == 0)
        return np.where(trades, opening, self._fact_last_close())

    def _fact_last_price(self) -> np.ndarray:
        if self.part == BEFORE:
            return self._fact_last_close()
        if self.part == OPEN:
            return self._fact_day_open()
        close = self.vector('close', self.place)
        return np.where(close == close, close, self._fact_last_close())

    def fact_of(self, name: str, code: str) -> Any:
        """Return what is known of one stock today.

        Raises
        ------
        ScriptError
            The store has no such stock.
        """
        return self.fact(name)[self.stock(code)]

    def stock(self, code: str) -> int:
        """Return the number of a stock.

        Raises
        ------
        ScriptError
            The store has no such stock.
        """
        try:
            return self.number[code]
        except (KeyError, TypeError):
            raise Unsupported(f'{self.source} has no stock {code!r}') from None

    def stocks(self, codes: Iterable[str]) -> np.ndarray:
        """Return the numbers of some stocks."""
        return np.array([self.stock(code) for code in codes], 'int64')

    @property
    def shares(self) -> np.ndarray:
        """Which codes are A shares of Shanghai and Shenzhen, as the platform's tables have them."""
        if self._shares is None:
            self._shares = np.array([rules.is_share(code) and not code.endswith('.BJSE') for code in self.codes.tolist()], bool)
        return self._shares

    def gather(self, name: str, stocks: np.ndarray, low: int, high: int) -> np.ndarray:
        """Return a column of some stocks on the days from one number up to, not with, another.

        Who asks must have made sure that all of it is known. On a day without a row prices are the last close, volume and amount
        are 0, flags are as before, and ``paused`` is 1: also after a stock's last row, for whether there will be another one is
        not known then; until its delisting, where the listings tell it.

        Returns
        -------
        ndarray of float, shape (stocks, days)
            NaN before a stock's first row and after its delisting.
        """
        column = self.store.arrays.get(f'stock/{name}')
        out = np.full((len(stocks), high - low), np.nan)
        if column is None or not len(stocks):
            return out
        first, last, start = self.store.first[stocks], self.store.last[stocks], self.store.arrays['start'][stocks]
        days = np.arange(low, high)
        there = (days >= first[:, None]) & (days <= last[:, None])
        at = (start - first)[:, None] + days
        out[there] = column[at[there]]
        if name == 'amount':  # the store's blocks do not fill it
            out[there & (out != out)] = 0.0
        after = np.flatnonzero(last < high - 1)
        if len(after):
            gone = (days > last[after, None]) & (days < self.ends[stocks[after], None])
            kept = self._after_last(name, (start + last - first)[after])
            out[after] = np.where(gone, kept[:, None], out[after])
        return out

    def _after_last(self, name: str, at: np.ndarray) -> np.ndarray:
        """Return what a column is after a stock's last row, which stands at some places of the store's columns."""
        if name in PRICES:
            return np.asarray(self.store.arrays['stock/close'][at], dtype=float)
        if name in ('is_st', 'delisting_period'):
            return np.asarray(self.store.arrays[f'stock/{name}'][at], dtype=float)
        return np.full(len(at), {'volume': 0.0, 'amount': 0.0, 'paused': 1.0}.get(name, np.nan))

    @property
    def ends(self) -> np.ndarray:
        """The number of the day after each stock's delisting; beyond all days where it is not known."""
        if self._ends is None:
            delisted = self.store.listing_days('delisted')
            day = np.array([delisted.get(code, 0) for code in self.codes.tolist()])
            self._ends = np.where(day > 0, np.searchsorted(self.days, day, side='right'), len(self.days) + 1)
        return self._ends
