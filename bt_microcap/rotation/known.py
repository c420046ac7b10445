"""What is known when a day's decisions are made: what timers and overlays go by."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any, NamedTuple

import backtrader as bt
import numpy as np

from ..exchange.broker import AShareBroker
from ..exchange.calendar import Calendar
from ..feeds.history import ex_rights_factor
from ..feeds.universe import CrossSection
from .values import EX_RIGHTS


class Held(NamedTuple):
    """The stocks of the universe that are held, in the order in which the positions were opened."""

    codes: np.ndarray  # of str, shape (holdings,)
    costs: np.ndarray  # yuan a share, average of the position without fees, restated over ex-dates
    prices: np.ndarray  # yuan, the close of the last row, restated for an ex-date of today
    factors: np.ndarray  # what an ex-date of today makes of earlier prices, 1 as a rule


def placed(universe: Any, codes: np.ndarray, datas: list[Any]) -> tuple[np.ndarray, list[Any]]:
    """Return where some feeds stand in an array of codes, and those feeds; without feeds beside the market.

    Parameters
    ----------
    universe : Universe
        Ours know where a code stands.
    codes : ndarray of str
        Ascending, of a section of the universe.
    datas : list of data feeds
    """
    numbers = getattr(universe, 'numbers', None)
    if numbers is not None and (found := numbers(codes, datas)) is not None:
        return found, datas
    places = places_of(universe, codes, [data._name for data in datas])
    ours = np.flatnonzero(places >= 0)
    return places[ours], [datas[number] for number in ours]


def places_of(universe: Any, codes: np.ndarray, names: list[str]) -> np.ndarray:
    """Return where some names stand in an array of codes; -1 for one that is none of them.

    Parameters
    ----------
    universe : Universe
        Ours know where a code stands.
    codes : ndarray of str
        Ascending, of a section of the universe.
    names : list of str
    """
    find = getattr(universe, 'places', None)
    if find is not None and (found := find(codes, names)) is not None:
        return found
    wanted = np.array(names, dtype=str)
    places = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
    return np.where(codes[places] == wanted, places, -1) if len(codes) else np.full(len(wanted), -1)


class Known:
    """What a strategy knows when it decides: of the stocks, of the days, and of its own account.

    Parameters
    ----------
    strategy : MarketStrategy

    Attributes
    ----------
    day : int
        Trading days since day 0, of the day on which orders given now fill.
    closing_value, closing_level : float
        The account at the close of the day before: its value, yuan; and the same without what came in or went out by
        ``add_cash``, as of a fund that began at 100. NaN where they are not followed (``follows_value``).
    sold_on, stopped_on : dict of str to int
        Code -> day of the last sale's fill, of all sales and of those of a stop.
    """

    def __init__(self, strategy: Any) -> None:
        self._strategy = strategy
        self.day = -1
        self.sold_on: dict[str, int] = {}
        self.stopped_on: dict[str, int] = {}
        self.closing_value = self.closing_level = math.nan
        self.follows_value = False
        self._opened: dict[str, int] = {}  # code -> day on which the position was opened
        self._section: CrossSection | None = None
        self._held: Held | None = None
        self._ordinal = 0  # of the current bar's day, and the market's calendar, where the broker is not ours
        self._calendar: Calendar | None = None

    # -- as the run goes on ---------------------------------------------------------------------------------

    def move(self, now: float) -> bool:
        """Return whether a bar is the first of the market on its day; for a broker that does not tell."""
        if not self.calendar.is_market_bar(now, self._ordinal):
            return False
        self._ordinal = int(now)
        return True

    def begin_day(self, day: int) -> None:
        """Begin a day's decisions."""
        self.day, self._section, self._held = day, None, None

    def end_day(self) -> None:
        """Note the value of the account at the close."""
        if self.follows_value:
            broker = self._strategy.broker
            self.closing_value = self.closing_level = broker.getvalue()
            if hasattr(broker, 'get_fundvalue'):
                self.closing_level = broker.get_fundvalue()

    def note_fills(self, order: bt.Order) -> None:
        """Note what an order's notification says of fills."""
        done = order.executed
        for bit in done.iterpending() if done.p1 < done.p2 else ():
            if bit.size < 0:
                self.sold_on[order.data._name] = self.day
                if order.info.get('stop'):
                    self.stopped_on[order.data._name] = self.day
            elif bit.psize == bit.size:
                self._opened[order.data._name] = self.day

    # -- the days -------------------------------------------------------------------------------------------

    @property
    def calendar(self) -> Calendar:
        """The market's trading days."""
        broker = self._strategy.broker
        if isinstance(broker, AShareBroker):
            return broker.calendar
        if self._calendar is None:
            self._calendar = Calendar(self._strategy.datas)
        return self._calendar

    @property
    def trading_days(self) -> np.ndarray:
        """The market's trading days as ordinals; those to come are public beforehand."""
        return self.calendar.days

    @property
    def _now(self) -> int:
        broker = self._strategy.broker
        return broker.day if isinstance(broker, AShareBroker) else self._ordinal

    @property
    def today(self) -> date:
        """The day on which orders given now fill: at the close that is the next trading day."""
        if self._strategy.at_open:
            return date.fromordinal(self._now)
        at = int(np.searchsorted(self.trading_days, self._now, side='right'))
        if at < len(self.trading_days):
            return date.fromordinal(int(self.trading_days[at]))
        after = date.fromordinal(self._now + 1)  # after the last day of the data: a weekday
        return after + timedelta(days=7 - after.weekday() if after.weekday() > 4 else 0)

    @property
    def yesterday(self) -> date:
        """The trading day before `today`."""
        return date.fromordinal(self.calendar.previous(self._now) if self._strategy.at_open else self._now)

    # -- the stocks -----------------------------------------------------------------------------------------

    @property
    def section(self) -> CrossSection:
        """What is known of every stock; made once a day."""
        if self._section is None:
            self._section = self._strategy.universe.section(self._strategy.at_open)
        return self._section

    @property
    def holdings(self) -> Held:
        """The stocks held before the day's orders; looked up once a day."""
        if self._held is None:
            strategy, section = self._strategy, self.section
            places, datas = placed(strategy.universe, section.codes, strategy.held())
            codes = section.codes[places]
            closes = section.previous('close')[places]
            for number in np.flatnonzero(closes != closes):  # no row yesterday: the close of the one before
                closes[number] = self._last_close(datas[number])
            factors = np.ones(len(codes))
            if strategy.at_open and isinstance(strategy.broker, AShareBroker) and strategy.broker.p.ex_rights != 'off':
                preclose, *explicit = (section.today(name)[places] for name in EX_RIGHTS)
                if strategy.broker.p.ex_rights == 'reinvest':  # by the preclose alone
                    explicit = [np.full(len(codes), np.nan)] * 2
                factors = ex_rights_factor(closes, preclose, *explicit)
            costs = np.array([strategy.broker.getposition(data).price for data in datas], dtype=float)
            self._held = Held(codes, costs, closes * factors, factors)
        return self._held

    def _last_close(self, data: Any) -> float:
        """Return the close of a stock's last row before the day that is decided; NaN where it is not known."""
        ago = -1 if self._strategy.at_open and int(data.datetime[0]) == self._now else 0
        close = data.close[ago]
        # after its last row a stock of a market shows nothing, but the broker still marks it
        return close if close == close else getattr(self._strategy.broker, 'marks', {}).get(data, math.nan)

    @property
    def fills_today(self) -> bool:
        """Whether the broker fills orders of the day that is decided on that day: at its open, or on a condition at its close."""
        return self._strategy.at_open and isinstance(self._strategy.broker, AShareBroker)

    def opened_on(self, code: str) -> int:
        """Return the day on which the position in a stock was opened, trading days since day 0; -1 where it is not known."""
        return self._opened.get(code, -1)
