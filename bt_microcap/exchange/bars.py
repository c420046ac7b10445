"""What is known of a stock at its open: what the rules of an order read of its bar beside the volume."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

NAN = math.nan


class OpeningBar(NamedTuple):
    """The facts of a bar that are known at its open; NaN where the feed has no such line."""

    stamp: float  # Backtrader's number of the bar
    open: float  # yuan
    paused: float  # 1: suspended
    preclose: float  # yuan, the ex-rights reference price
    is_st: float  # 1: ST or *ST
    low_limit: float  # yuan
    high_limit: float  # yuan
    delisting_period: float  # 1: in it


def line_value(data: Any, name: str, default: float = NAN) -> float:
    """Return today's value of a feed's line, or the default where the feed has no such line."""
    line = getattr(data, name, None)
    return default if line is None else line[0]


def opening_bar(data: Any) -> OpeningBar:
    """Return the opening of a feed's current bar; the feed must have one.

    A stock of a `MarketFeed` tells it by itself, without its lines.
    """
    tell = getattr(type(data), 'opening_bar', None)
    if tell is not None:
        return tell(data)
    return OpeningBar(data.datetime[0], data.open[0], *(line_value(data, name) for name in OpeningBar._fields[2:]))


def current(data: Any, name: str) -> float:
    """Return the value of a line at the current bar, NaN where the feed has none: for the broker's eyes, or after the session.

    A stock of a `MarketFeed` tells it without making the line.
    """
    tell = getattr(type(data), '_current', None)
    return line_value(data, name) if tell is None else tell(data, name)


def opening_price(data: Any) -> float:
    """Return the open of a feed's current bar, yuan."""
    tell = getattr(type(data), 'opening_bar', None)
    return data.open[0] if tell is None else tell(data).open
