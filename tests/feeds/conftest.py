"""Small markets that several tests of the feeds use."""

import pytest

from tests.support.history import A, B, C
from tests.support.markets import bar, paused, tiny_market


@pytest.fixture
def tiny():
    """A is suspended with a row, then without one; B is listed late."""
    return tiny_market({
        A: [bar(10.0, cap=2.1e9), (10.0, 11.0), paused(), 12.0, None, 13.0],
        B: [None, None, bar(20.0, cap=2.2e9, volume=300.0), 21.0, 22.0, bar(23.0, volume=700.0)],
    })


@pytest.fixture
def ex_dates():
    """Ex-dates of all kinds; the last day has none.

    The factors: A 0.6 on day 1, (10 - 1) / 1.5 of 10, and 0.5 on day 3 by its preclose; B 0.95 on day 1 and 0.5 on
    day 2, on day 3 the row tells that nothing happened; C none on day 1, less than half a tick, 29.99 / 30 on day 2.
    """
    return tiny_market({
        A: [
            10.0,
            bar(6.1, 6.3, preclose=6.0, cash_dividend=1.0, share_ratio=1.5),
            6.6,
            bar(3.4, preclose=3.3),
            3.4,
        ],
        B: [
            20.0,
            bar(19.0, preclose=19.0, cash_dividend=1.0),
            bar(9.5, preclose=9.5, share_ratio=2.0),
            bar(9.6, preclose=9.4, cash_dividend=0.0, share_ratio=1.0),
            9.6,
        ],
        C: [30.0, bar(30.0, preclose=30.004), bar(28.0, preclose=29.99), 28.0, 28.0],
    })
