"""Price steps: how far apart two prices of a code are at least, and how a price is put on a step.

`rules` gives these on; ask there.
"""

from __future__ import annotations

import math
from functools import cache

from .funds import STEPS_FUND, TICK_FUND, is_fund

TICK = 0.01  # yuan, the price step of every A share
HALF_TICK = TICK / 2
STEPS = 100  # of it a yuan


@cache
def tick(code: str) -> float:
    """Return the price step of a code, yuan: of a listed fund its own, else that of A shares, also for what is no code."""
    return TICK_FUND if is_fund(code) else TICK


@cache
def half_tick(code: str) -> float:
    """Return half the price step of a code, yuan: prices that differ by less are the same."""
    return tick(code) / 2


@cache
def steps(code: str) -> int:
    """Return the price steps a yuan of a code; see `tick`."""
    return STEPS_FUND if is_fund(code) else STEPS


def round_half_up(price: float, per_yuan: int = STEPS) -> float:
    """Round a price to the tick, ties up, as the exchanges do; `per_yuan` are the `steps` of its code.

    A product such as 5.00 x 1.001 lies a hair below its true value 5.005 in binary; 1e-6 of a tick puts true
    ties right and is far less than the 1e-5 of a tick by which such products can differ from a tie.
    """
    return math.floor(price * per_yuan + 0.500001) / per_yuan


def cut(price: float, up: bool) -> float:
    """Cut a price to the tick of A shares; 1e-6 of a tick leaves a price alone that is on one but for its binary error."""
    return math.ceil(price * STEPS - 0.000001) / STEPS if up else math.floor(price * STEPS + 0.000001) / STEPS
