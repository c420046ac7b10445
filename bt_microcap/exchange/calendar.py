"""The trading days and the lives of the stocks, as the feeds of a run tell them."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

MONTH = 30  # trading days: from then on a stock is no longer newly listed


class Calendar:
    """The market's trading days and each stock's life, read off the feeds.

    Parameters
    ----------
    datas : iterable of data feeds
        Registered feeds; those with ``days`` (ordinals of all their rows, not only those in the run) are the market.
    delist_wait : int
        Trading days without a row after which a stock is taken for delisted, where its delisting day is not known.
    """

    def __init__(self, datas: Any, delist_wait: int = 60) -> None:
        self._feeds = [data for data in datas if hasattr(data, 'days')]
        self._wait = delist_wait
        days = [data.days for data in self._feeds]
        # a feed's own days ascend, each once
        self.days = np.unique(np.concatenate(days)) if len(days) > 1 else days[0] if days else np.empty(0, 'int64')
        self.first = int(self.days[0]) if len(self.days) else 0
        self.last = int(self.days[-1]) if len(self.days) else 0
        self._ends: dict[int, int] = {}  # last row -> the day up to which its stock counts as listed
        self._trading = -1, False  # the day that `is_trading_day` was last asked for, and the answer
        self._asked = self._lately = 0  # the day that `listed_day` was last asked for; no stock listed before counts on it

    def listed_day(self, data: Any, day: int) -> int:
        """Return the number of the trading day since the stock's listing, 1 on the first.

        0 after a month, and where the stock was there from the data's first day on: its listing day is not known.
        """
        first = getattr(data, 'first_day', 0)
        if day != self._asked:
            self._asked, self._lately = day, self._lately_on(day)
        return 0 if first <= self._lately else int(self.listed_days(np.array([first]), day)[0])

    def _lately_on(self, day: int) -> int:
        """Return the ordinal up to which a stock is no longer newly listed on a day."""
        at = int(np.searchsorted(self.days, day))
        # no rule asks for more than the first few days
        return int(self.days[at - MONTH]) if at >= MONTH else self.first

    def listed_days(self, first_days: np.ndarray, day: int) -> np.ndarray:
        """Return `listed_day` of many stocks.

        Parameters
        ----------
        first_days : ndarray of int, shape (stocks,)
            Ordinals of the listing days; 0 where they are not known.
        day : int
            Ordinal.

        Returns
        -------
        ndarray of int, shape (stocks,)
        """
        at = int(np.searchsorted(self.days, day))
        lately = (first_days > self._lately_on(day)) & (first_days > self.first) & (first_days <= day)
        out = np.zeros(len(first_days), 'int64')
        if lately.any():
            out[lately] = at - np.searchsorted(self.days, first_days[lately]) + 1
        return out

    def is_market_bar(self, now: float, begun: int) -> bool:
        """Return whether a bar is the market's: of one of its feeds, and the first on its day.

        A feed of another kind beside the market, such as an index stamped with the end of the session or with days
        of its own, makes bars on which nothing of the market happens.

        Parameters
        ----------
        now : float
            Backtrader's number of the bar.
        begun : int
            Ordinal of the day that has begun already.
        """
        if int(now) == begun:
            return False
        for data in self._feeds:  # the first one as a rule: the market, or its index
            if len(data) and data.datetime[0] == now:
                return True
        return not self._feeds

    def is_trading_day(self, day: int) -> bool:
        """Return whether the market trades on a day; True where no feed tells its days."""
        if day != self._trading[0]:
            at = int(np.searchsorted(self.days, day))
            self._trading = day, not len(self.days) or (at < len(self.days) and int(self.days[at]) == day)
        return self._trading[1]

    def previous(self, day: int) -> int:
        """Return the trading day before a day; the day itself where no feed tells the days."""
        at = int(np.searchsorted(self.days, day))
        return int(self.days[at - 1]) if 0 < at <= len(self.days) else day

    def is_ours(self, data: Any) -> bool:
        """Return whether a feed belongs to the market; True where no feed tells its days."""
        return not self._feeds or hasattr(data, 'first_day') or hasattr(data, 'days')

    def lives_until(self, data: Any) -> int:
        """Return the last trading day on which `has_ended` does not take a stock for delisted; beyond all days for never."""
        last = getattr(data, 'last_day', self.last)
        if last >= self.last:
            return sys.maxsize
        delisted = getattr(data, 'delisted_day', 0)
        if delisted:
            return max(delisted, last)
        if last not in self._ends:
            at = int(np.searchsorted(self.days, last)) + math.floor(self._wait)
            self._ends[last] = int(self.days[at]) if at < len(self.days) else sys.maxsize
        return self._ends[last]

    def has_ended(self, data: Any, day: int) -> bool:
        """Return whether the stock is taken for delisted before a day.

        After its delisting day where that is known; else after ``delist_wait`` trading days without a row.
        """
        last = getattr(data, 'last_day', self.last)
        if last >= day or last >= self.last:
            return False
        delisted = getattr(data, 'delisted_day', 0)
        if delisted:
            return day > max(delisted, last)
        return int(np.searchsorted(self.days, day) - np.searchsorted(self.days, last)) > self._wait
