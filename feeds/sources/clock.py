"""The time in Shanghai, and waiting: in one place, so that a stand-in can take them over."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta, timezone

sleep = time.sleep
monotonic = time.monotonic


def now() -> datetime:
    """Return the time in Shanghai."""
    return datetime.now(timezone(timedelta(hours=8)))


def today() -> date:
    """Return the day in Shanghai."""
    return now().date()
