"""What our daily feeds share."""

from __future__ import annotations

import backtrader as bt

# What every feed of a stock has beside OHLCV: market_cap (yuan), is_st and paused (0 or 1), preclose, high_limit,
# low_limit (yuan), cash_dividend (yuan a share before tax), share_ratio (new shares per old one), delisting_period (0 or 1).
STOCK_LINES = ('market_cap', 'is_st', 'paused', 'preclose', 'high_limit', 'low_limit', 'cash_dividend', 'share_ratio',
               'delisting_period')


class DailyFeed(bt.feed.DataBase):
    """What our daily feeds share: they hold whole columns, in memory or mapped."""

    def _plain(self) -> bool:
        """Return whether nothing asks for a walk row by row."""
        return not (self._filters or self.resampling or self.replaying or self._tz or self.p.tzinput)

    def qbuffer(self, savemem: int = 0, replaying: bool = False) -> None:
        """Do nothing under ``exactbars``: the columns are there already, there is nothing to save.

        Backtrader's bounded buffers also lose their place when a feed of another length is rewound, and a
        `MarketFeed` must know how many bars have passed.
        """

    # Filling the tick_xxx attributes is half the cost of a bar, and daily bars have no ticks.
    def _tick_nullify(self) -> None:
        if self.replaying or self.resampling:
            super()._tick_nullify()

    def _tick_fill(self, force: bool = False) -> None:
        if self.replaying or self.resampling:
            super()._tick_fill(force)
