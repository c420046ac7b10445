"""When to rebalance: each timer is called once on every trading day, in order, and says whether that day is due.

A timer is told what is known, as a `Known`: ``today`` is the day on which the orders fill, ``yesterday`` the trading day before,
``section`` what is known of the stocks, ``trading_days`` the market's days as ordinals. The calendar is public beforehand,
prices are not.
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import numpy as np

from ..feeds.errors import whole_number
from .known import Known

SHORT, LONG = 20, 120  # trading days of the volatilities that `RefreshByMarket` compares
TREND = 60  # trading days of its moving average
TREND_WIDTH = 0.1  # how far from the average the trend counts in full


class Timer:
    """Says on which days to rebalance; a subclass gives `is_due`."""

    def start(self, known: Known) -> None:
        """Forget an earlier run; called before the first day."""

    def is_due(self, known: Known, day: int) -> bool:
        """Return whether to rebalance.

        Parameters
        ----------
        known : Known
        day : int
            Trading days since day 0.
        """
        raise NotImplementedError


class EveryDays(Timer):
    """Every so many trading days, the first time on day 0.

    Parameters
    ----------
    rate : int
        Trading days, 1 or more.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate

    def is_due(self, known: Known, day: int) -> bool:
        """Return whether a multiple of the rate has passed."""
        return day % self.rate == 0


class Weekly(Timer):
    """Once a week on a weekday; where the market is closed on it, on the next trading day, be that in the next week.

    After a whole week of holidays that is its first trading day, and the weekday itself comes again in the same week.

    Parameters
    ----------
    weekday : int
        1 for Monday to 5 for Friday.
    """

    def __init__(self, weekday: int) -> None:
        if weekday not in (1, 2, 3, 4, 5):
            raise ValueError(f'weekday is {weekday!r}: expected 1 for Monday to 5 for Friday')
        self.weekday = weekday

    def is_due(self, known: Known, day: int) -> bool:
        """Return whether the weekday has come since the trading day before."""
        ago = (known.today.isoweekday() - self.weekday) % 7  # days since the last such weekday
        return known.today - timedelta(days=ago) > known.yesterday


class Monthly(Timer):
    """On the n-th trading day of every month; where a month has fewer, on the first of the next.

    In the month in which the data begins its days are counted from the data's first one.

    Parameters
    ----------
    number : int
        1 or more.
    """

    def __init__(self, number: int) -> None:
        self.number = whole_number('month_day', number)
        if number > 23:
            raise ValueError(f'month_day is {number!r}: expected a trading day of a month, at most 23')

    def is_due(self, known: Known, day: int) -> bool:
        """Return whether it is the day."""
        today, days = known.today, known.trading_days
        number = _days_from(days, today.replace(day=1), today)
        if number == self.number:
            return True
        if number != 1:
            return False
        before = today.replace(day=1) - timedelta(days=1)
        # a month of which the data has only the end proves nothing
        return before.replace(day=1).toordinal() >= days[0] and _days_from(days, before.replace(day=1), before) < self.number


def _days_from(days: np.ndarray, first: date, last: date) -> int:
    """Return the number of trading days from one day to another, both in; the last may be a day not in the data yet."""
    low, high = np.searchsorted(days, (first.toordinal(), last.toordinal()))
    beyond = high == len(days) and (not len(days) or days[-1] < last.toordinal())
    return int(high - low + (beyond or days[high] == last.toordinal()))


class RefreshByMarket(Timer):
    """A refresh rate that follows the market: after each rebalance it says how many trading days pass until the next one.

    ``'volatility'``: the wilder the market, the sooner. With v = (standard deviation of the index' last 20 daily returns) /
    (that of its last 120)::

        rate = maximum - (maximum - minimum) x clip(v - 0.5, 0, 1)

    so half the usual volatility or less gives the maximum, one and a half times or more the minimum.

    ``'trend'``: the weaker the market, the sooner. With t = last close / mean of the last 60 closes - 1::

        rate = minimum + (maximum - minimum) x clip((t + 0.1) / 0.2, 0, 1)

    so 10 % below the average or more gives the minimum, 10 % above or more the maximum. Both are rounded half-up to a whole
    day. While the index is shorter than that, the plain ``refresh_rate`` holds, within minimum and maximum.

    Parameters
    ----------
    by : str
        ``'volatility'`` or ``'trend'``.
    least, most : int
        Trading days.
    otherwise : int
        The plain refresh rate.
    index : str
        See `CrossSection.benchmark`.
    """

    def __init__(self, by: str, least: int, most: int, otherwise: int, index: str = 'market') -> None:
        if by not in ('volatility', 'trend'):
            raise ValueError(f'refresh_by is {by!r}: expected volatility or trend')
        whole_number('min_refresh_rate', least)
        if whole_number('max_refresh_rate', most) < least:
            raise ValueError(f'min_refresh_rate is {least!r} and max_refresh_rate {most!r}: expected min_refresh_rate <= '
                             'max_refresh_rate')
        self.by, self.least, self.most, self.otherwise, self.index = by, least, most, otherwise, index

    def start(self, known: Known) -> None:
        """Begin with day 0."""
        self.next_day = 0

    def is_due(self, known: Known, day: int) -> bool:
        """Return whether the days have passed, and count the next ones."""
        if day < self.next_day:
            return False
        self.next_day = day + self.rate(known.section)
        return True

    def rate(self, section: Any) -> int:
        """Return the trading days until the next rebalance, from the index up to the day before."""
        if self.by == 'volatility':
            closes = section.benchmark(self.index, LONG + 1)
            returns = closes[1:] / closes[:-1] - 1
            usual = returns.std(ddof=1)
            part = 1 - min(max(returns[-SHORT:].std(ddof=1) / usual - 0.5, 0.0), 1.0) if usual > 0 else math.nan
        else:
            closes = section.benchmark(self.index, TREND)
            trend = closes[-1] / closes.mean() - 1
            part = min(max((trend + TREND_WIDTH) / (2 * TREND_WIDTH), 0.0), 1.0) if trend == trend else math.nan
        if part != part:
            return min(max(self.otherwise, self.least), self.most)
        return math.floor(self.least + (self.most - self.least) * part + 0.5 + 1e-9)
