"""Which limit price an order is given: a choice between what surely fills and what may not be paid."""

from __future__ import annotations

import math

from ..exchange import rules
from ..exchange.order_limits import cage
from ..feeds.errors import DataError

AUCTION, CLOSE, CAGE = 'auction', 'close', 'cage'
CHOICES = (CAGE, AUCTION, CLOSE)
AWAY = {AUCTION: 1.0, CLOSE: 0.01, CAGE: 0.02}  # fractions of the reference price, where none is given; 1: no cap
DEFAULT_CAGE = 0.02  # of a day or a code without a cage, such as a fund


def limit_price(
    code: str, day: int, buy: bool, reference: float, low: float, high: float, choice: str, away: float | None = None,
    in_session: bool = False,
) -> float:
    """Return the limit price of an order, on the price step and within the day's limits.

    Parameters
    ----------
    code : str
        Canonical code.
    day : int
        Ordinal.
    buy : bool
    reference : float
        Yuan: the day's reference price.
    low, high : float
        The day's price limits, yuan; NaN where there is none.
    choice : str
        ``auction``: the day's limit itself, at most a fraction `away` from the reference price (the cap): in the opening auction
        all that trades trades at one price, so it costs no more to ask for more. ``close``: a fraction `away` from the reference
        price. ``cage``: as far from it as the exchange takes an order in continuous trading, see `order_limits`.
    away : float, optional
        Fraction; of ``cage`` none.
    in_session : bool
        Whether the order is given when continuous trading has begun, so that the cage holds, whatever was chosen.
    """
    if choice not in CHOICES:
        raise DataError(f'price is {choice!r}: expected one of {", ".join(CHOICES)}')
    bound = _in_cage(code, day, buy, reference)
    if choice == CAGE:
        price = bound
    else:
        share = AWAY[choice] if away is None else away
        price = reference * (1 + share) if buy else reference * (1 - share)
        if in_session:
            price = min(price, bound) if buy else max(price, bound)
    if buy:
        price = price if high != high else min(price, high)
    else:
        price = price if low != low else max(price, low)
    per_yuan = rules.steps(code)
    steps = price * per_yuan
    return max((math.floor(steps + 1e-6) if buy else math.ceil(steps - 1e-6)) / per_yuan, rules.tick(code))


def _in_cage(code: str, day: int, buy: bool, reference: float) -> float:
    row, tick = cage(code, day), rules.tick(code)
    fraction, ticks = (DEFAULT_CAGE, 0) if row is None else (row.fraction, row.ticks)
    away = max(reference * fraction, ticks * tick)
    return reference + away if buy else reference - away
