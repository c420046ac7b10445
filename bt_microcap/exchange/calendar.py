"""The trading days and the lives of the stocks, as the feeds of a run tell them."""

from __future__ import annotations

from typing import Any

import numpy as np


class Calendar:
    """The market's trading days and each stock's life, read off the feeds.

    Parameters
    ----------
    datas : iterable of data feeds
        Registered feeds; those with ``days`` (ordinals of all their rows, not only those in the run) count.
    """

    def __init__(self, datas: Any) -> None:
        days = [data.days for data in datas if hasattr(data, 'days')]
        self.days = np.unique(np.concatenate(days)) if days else np.empty(0, 'int64')
        self.first = int(self.days[0]) if len(self.days) else 0
        self.last = int(self.days[-1]) if len(self.days) else 0

    def listed_day(self, data: Any, day: int) -> int:
        """Return the number of the trading day since the stock's listing, 1 on the first.

        0 after a month, and where the stock was there from the data's first day on: its listing day is not known.
        """
        first = getattr(data, 'first_day', 0)
        if first <= self.first:
            return 0
        number = int(np.searchsorted(self.days, day) - np.searchsorted(self.days, first)) + 1
        return number if number <= 30 else 0  # no rule asks for more than the first few days

    def is_trading_day(self, day: int) -> bool:
        """Return whether the market trades on a day; True where no feed tells its days."""
        at = int(np.searchsorted(self.days, day))
        return not len(self.days) or (at < len(self.days) and int(self.days[at]) == day)

    def has_ended(self, data: Any, day: int) -> bool:
        """Return whether the stock's last row lies before the day and before the market's last day."""
        last = getattr(data, 'last_day', self.last)
        return last < day and last < self.last
