"""Risk overlays: small pieces that act every day, not only on rebalance days, and see past data only.

An overlay may do four things, each by a method that a subclass gives: say which holdings are sold at today's open
(`Overlay.exits`) or, on a condition, at its close (`Overlay.exits_at_close`), which part of the account may be in stocks
(`Overlay.exposure`), and which holdings a rebalance does not sell (`Overlay.holds`). The strategy asks them at the open of every
trading day, before it rebalances, and tells them what is known then, as a `Known`: ``today``, ``section`` (all stocks),
``holdings`` (codes, costs and known prices of what is held), ``closing_value`` (the account at yesterday's close).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from ..exchange import rules
from ..feeds.errors import DataError, whole_number
from .known import Known
from .screens import closed_at_high_limit, mask_of, on_boards
from .values import yearly_volatility

AFTERNOON = 'price_1430'  # column of the data: yuan at 14:30
a_shares = on_boards(rules.BOARDS)
_HAIR = 1e-9  # a loss of just the stop's size is one, whatever its last binary digit


class Overlay:
    """Does nothing; subclasses give one or more of the four methods.

    An instance keeps what it remembers of a run in itself; a strategy works on a copy of its own.
    """

    why = ''  # of the orders that it causes, in orders.csv
    is_stop = False  # whether the param cooldown runs after its exits

    def start(self, known: Known) -> None:
        """Forget an earlier run; called before the first day."""

    def exits(self, known: Known) -> Mapping[str, str]:
        """Return which holdings are sold whole at today's open: code -> why.

        It is asked on every day anew, so that what could not be sold is tried again while the reason holds.
        """
        return {}

    def exits_at_close(self, known: Known) -> Mapping[str, Callable[[Any, float], bool]]:
        """Return which holdings are sold whole at today's close, each with the condition that must hold then.

        The condition is called with the stock's feed and its upper limit of the day (NaN: none) when today is known.
        """
        return {}

    def exposure(self, known: Known) -> float:
        """Return the largest part of the account that may be in stocks today, 0 to 1."""
        return 1.0

    def holds(self, known: Known) -> Collection[str]:
        """Return the codes that a rebalance of today does not sell."""
        return ()


def _fraction(name: str, value: float, below: float = 1.0) -> float:
    if isinstance(value, (bool, str)) or not 0 < value < below:
        raise ValueError(f'{name} is {value!r}: expected a fraction above 0' + (f' and below {below:g}' if below < 1e9 else '')
                         + ': 0.09 for 9 %')
    return float(value)


class StopLoss(Overlay):
    """Sells a stock whose last close lies a fraction or more below its cost.

    The cost is the position's average price, without fees, restated over ex-dates as the broker does; the last close is restated
    for an ex-date of today.

    Parameters
    ----------
    loss : float
        Fraction of the cost: 0.09 for 9 %.
    """

    why, is_stop = 'stop loss', True

    def __init__(self, loss: float) -> None:
        self.loss = _fraction('stop_loss', loss)

    def exits(self, known: Known) -> Mapping[str, str]:
        """Return what has fallen that far."""
        held = known.holdings
        return dict.fromkeys(held.codes[held.prices <= held.costs * (1 - self.loss) * (1 + _HAIR)].tolist(), self.why)


class TakeProfit(Overlay):
    """Sells a stock whose last close lies a fraction or more above its cost; prices as `StopLoss`.

    Parameters
    ----------
    gain : float
        Fraction of the cost: 0.5 for 50 %.
    """

    why, is_stop = 'take profit', True

    def __init__(self, gain: float) -> None:
        self.gain = _fraction('take_profit', gain, 1e9)

    def exits(self, known: Known) -> Mapping[str, str]:
        """Return what has risen that far."""
        held = known.holdings
        return dict.fromkeys(held.codes[held.prices >= held.costs * (1 + self.gain) * (1 - _HAIR)].tolist(), self.why)


class TrailingStop(Overlay):
    """Sells a stock whose last close lies a fraction or more below its highest close since it was bought, or its first cost.

    Parameters
    ----------
    fall : float
        Fraction of the highest close, which is restated over ex-dates.
    """

    why, is_stop = 'trailing stop', True

    def __init__(self, fall: float) -> None:
        self.fall = _fraction('trailing_stop', fall)

    def start(self, known: Known) -> None:
        """Forget all peaks."""
        self.peaks: dict[str, tuple[int, float]] = {}  # code -> (day of the purchase, highest close at today's level)

    def exits(self, known: Known) -> Mapping[str, str]:
        """Return what has fallen that far from its peak."""
        held = known.holdings
        peaks: dict[str, tuple[int, float]] = {}
        out: dict[str, str] = {}
        for code, cost, price, factor in zip(held.codes.tolist(), held.costs.tolist(), held.prices.tolist(),
                                             held.factors.tolist(), strict=True):
            opened = known.opened_on(code)
            day, peak = self.peaks.get(code, (None, cost))
            peak = max(peak * factor if day == opened else cost, price if price == price else 0.0)
            peaks[code] = opened, peak
            if price <= peak * (1 - self.fall) * (1 + _HAIR):
                out[code] = self.why
        self.peaks = peaks
        return out


class LimitUpHold(Overlay):
    """Keeps what closed at its upper limit yesterday through a rebalance, and sells it when its limit opens.

    The platforms' scripts look at 14:00 or 14:30 whether the price still stands at the limit. On daily bars that is approximated:

    - where the data has a column ``price_1430`` (yuan, the price at 14:30 of the day), a stock that stands below its limit then
      is sold at that day's close;
    - else, and where the column is empty, one that closed below its limit is sold at the next open.

    Parameters
    ----------
    afternoon : str
        Column of the price at which it is looked.
    """

    why = 'limit opened'

    def __init__(self, afternoon: str = AFTERNOON) -> None:
        self.afternoon = afternoon

    def start(self, known: Known) -> None:
        """Forget what was held."""
        self.watched: set[str] = set()  # held because they closed at their upper limit
        self.looks: bool | None = None  # whether the data has the afternoon's price

    def exits(self, known: Known) -> Mapping[str, str]:
        """Return what did not close at its limit again."""
        section, held = known.section, known.holdings
        if self.looks is None:
            try:
                section.previous(self.afternoon)
                self.looks = known.fills_today
            except KeyError:
                self.looks = False
        codes = set(held.codes.tolist())
        at_limit = codes & set(section.codes[closed_at_high_limit()(section) & mask_of(section.codes, codes)].tolist())
        traded = set(section.codes[(section.previous('paused') == 0) & mask_of(section.codes, codes)].tolist())
        opened = (self.watched & codes & traded) - at_limit
        if self.looks:  # what is not known of yesterday afternoon was not looked at
            opened &= set(section.codes[np.isnan(section.previous(self.afternoon))].tolist())
        # suspended since: still at its limit as far as anybody knows
        self.watched = at_limit | (self.watched & codes - traded)
        return dict.fromkeys(sorted(opened), self.why)

    def exits_at_close(self, known: Known) -> Mapping[str, Callable[[Any, float], bool]]:
        """Return what is looked at in the afternoon."""
        return dict.fromkeys(sorted(self.watched), self.is_open) if self.looks else {}

    def is_open(self, data: Any, high_limit: float) -> bool:
        """Return whether a stock stood below its upper limit in the afternoon; asked after that."""
        return data.value(self.afternoon, 0) < high_limit - rules.HALF_TICK

    def holds(self, known: Known) -> Collection[str]:
        """Return what closed at its upper limit yesterday."""
        return self.watched


class EmptyMonths(Overlay):
    """Holds no stock in some months: sells on the first trading day of one; the next rebalance after it buys again.

    Parameters
    ----------
    months : collection of int
        1 for January to 12.
    """

    why = 'empty month'

    def __init__(self, months: Collection[int]) -> None:
        if not all(month in range(1, 13) for month in months):
            raise ValueError(f'empty_months is {tuple(months)!r}: expected months, 1 for January to 12')
        self.months = frozenset(months)

    def exposure(self, known: Known) -> float:
        """Return 0 in those months."""
        return 0.0 if known.today.month in self.months else 1.0


class MarketStop(Overlay):
    """Sells all when the market fell yesterday: by an index' fall, or by the share of stocks that fell.

    Parameters
    ----------
    fall : float
        Fraction by which the index closed below its close before; 0: not looked at.
    share : float
        Part of all A shares that traded on both days and closed below the close before, adjusted; 0: not looked at.
    index : str
        See `CrossSection.benchmark`.
    """

    why = 'market stop'

    def __init__(self, fall: float = 0.0, share: float = 0.0, index: str = 'market') -> None:
        self.fall = _fraction('market_fall', fall) if fall else 0.0
        self.share = _fraction('falling_share', share, 1 + 1e-12) if share else 0.0
        self.index = index

    def exposure(self, known: Known) -> float:
        """Return 0 on the day after such a fall."""
        section = known.section
        if self.fall:
            closes = section.benchmark(self.index, 2)
            if closes[1] <= closes[0] * (1 - self.fall) * (1 + _HAIR):
                return 0.0
        if self.share:
            closes = section.history('close', 2, adjusted=True)
            counted = (closes == closes).all(axis=0) & (section.history('paused', 2) == 0).all(axis=0) & a_shares(section)
            if counted.any() and (closes[1] < closes[0])[counted].mean() >= self.share - _HAIR:
                return 0.0
        return 1.0


class IndexTrend(Overlay):
    """Holds stocks only while an index closed at or above the mean of its last closes.

    Parameters
    ----------
    days : int
        Closes, the last one among them. While the index has fewer, stocks are held.
    index : str
        See `CrossSection.benchmark`.
    """

    why = 'index trend'

    def __init__(self, days: int, index: str = 'market') -> None:
        self.days, self.index = whole_number('trend_days', days, 2), index

    def exposure(self, known: Known) -> float:
        """Return 0 below the mean."""
        closes = known.section.benchmark(self.index, self.days)
        return 0.0 if closes[-1] < closes.mean() * (1 - _HAIR) else 1.0


class DrawdownBrake(Overlay):
    """Holds no stock for some days after the account fell a fraction below its highest close; then the peak begins anew.

    Parameters
    ----------
    fall : float
        Fraction of the highest value of the account at a close. Money that came in or went out by ``add_cash`` is no rise or
        fall.
    days : int
        Trading days without stocks.
    """

    why = 'drawdown brake'

    def __init__(self, fall: float, days: int = 20) -> None:
        self.fall, self.days = _fraction('drawdown_brake', fall), whole_number('brake_days', days)

    def start(self, known: Known) -> None:
        """Begin without a peak."""
        self.peak, self.left = 0.0, 0  # level of the account; days of the brake to come

    def exposure(self, known: Known) -> float:
        """Return 0 while the brake holds."""
        value = known.closing_level
        if self.left:
            self.left -= 1
            if self.left:
                return 0.0
            self.peak = value
        self.peak = max(self.peak, value)
        if value <= self.peak * (1 - self.fall) * (1 + _HAIR):
            self.left = self.days
            return 0.0
        return 1.0


class VolatilityTarget(Overlay):
    """Holds so much in stocks that the market's volatility on that part is a target: target / volatility, at most 1.

    Parameters
    ----------
    target : float
        Fraction a year: 0.2 for 20 %.
    days : int
        Daily returns of the index of which the volatility is taken (standard deviation, n - 1, times the root of 252). While the
        index has fewer, all may be in stocks.
    index : str
        See `CrossSection.benchmark`.
    """

    why = 'volatility target'

    def __init__(self, target: float, days: int = 20, index: str = 'market') -> None:
        self.target, self.days = _fraction('target_volatility', target, 1e9), whole_number('volatility_days', days, 2)
        self.index = index

    def exposure(self, known: Known) -> float:
        """Return the part."""
        found = yearly_volatility(known.section.benchmark(self.index, self.days + 1))
        return min(1.0, self.target / found) if found > 0 else 1.0


def checked_exposure(overlay: Overlay, value: Any) -> float:
    """Return an exposure, or say which overlay gave no number from 0 to 1.

    Raises
    ------
    DataError
        It is none.
    """
    if not isinstance(value, (int, float, np.number)) or not 0 <= value <= 1:
        raise DataError(f'{type(overlay).__name__}.exposure gave {value!r}: expected a number from 0 to 1')
    return float(value)
