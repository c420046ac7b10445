"""At what price an order fills, and how many shares a budget pays for."""

from __future__ import annotations

import math
from collections.abc import Callable

from . import rules


def slipped(
    price: float, buy: bool, share: float = 0.0, *, slippage: float = 0.0, ticks: float = 0.0, impact: float = 0.0,
    least: float = 0.0, per_yuan: int = rules.STEPS,
) -> float:
    """Return the price at which an order fills.

    ::

        price x (1 +- (slippage / 2 + impact x sqrt(share))) +- ticks x 0.01     rounded half-up to 0.01 (of a fund: 0.001)

    - ``slippage`` is JoinQuant's PriceRelatedSlippage: a spread in all, half of it each way; where there is one, half of
      it is at least ``least`` price steps, for below 5 yuan 0.2 % would round to nothing.
    - ``ticks`` is a fixed number of price steps each way, as Backtrader's ``slip_fixed``.
    - ``impact`` is the square-root law of market impact (Almgren, Thum, Hauptmann, Li: Direct Estimation of Equity
      Market Impact, 2005; Toth et al.: Anomalous price impact, 2011): the price moves by Y x volatility x
      sqrt(size / volume). Here Y x volatility is one number: with Y near 1, about the stock's daily volatility;
      0.03 moves an order of a tenth of the day's volume by 0.95 %.

    Parameters
    ----------
    price : float
        Yuan, the open.
    buy : bool
    share : float
        The order's part of the day's volume.
    slippage : float
        Fraction of the price, both ways together.
    ticks : float
        Price steps each way.
    impact : float
        Fraction of the price for an order as large as the day's volume.
    least : float
        Price steps that half of a slippage above 0 is at least.
    per_yuan : int
        Price steps a yuan: `rules.steps` of the code.

    Returns
    -------
    float
        Yuan, at least one price step.
    """
    away = slippage / 2 + (impact * math.sqrt(share) if impact and share > 0 else 0.0)
    tick = 1 / per_yuan
    fixed = ticks * tick
    if slippage and least * tick > price * slippage / 2:
        fixed, away = fixed + least * tick, away - slippage / 2
    if buy:
        return rules.round_half_up(price * (1 + away) + fixed, per_yuan)
    return max(tick, rules.round_half_up(price * (1 - away) - fixed, per_yuan))


def on_tick(price: float, *, up: bool, per_yuan: int = rules.STEPS) -> float:
    """Return a limit price on the price step: a sale's rounded up, a buy's down, so that neither gets worse than asked."""
    if not price or not math.isfinite(price):
        return price
    steps = price / (1 / per_yuan)
    return (math.ceil(steps - 1e-6) if up else math.floor(steps + 1e-6)) / per_yuan

STEPS_BY_ONE = 100  # lots by which a size is settled one by one


def affordable(
    code: str, most: float, price: float | Callable[[int], float], limit: float, fees: Callable[[int, float], float]
) -> int:
    """Return the largest legal size whose value and fees stay within a limit.

    Parameters
    ----------
    code : str
        Canonical code: lots go by board.
    most : float
        Shares, not to be exceeded.
    price : float or callable
        Yuan a share as it will be filled, or a function of the size, not falling with it.
    limit : float
        Yuan for shares and fees together.
    fees : callable
        Size in shares, price -> all fees in yuan, not falling with the size.

    Returns
    -------
    int
        Shares; 0 where not even the smallest lot fits.
    """
    fits = limit + 1e-9  # yuan: a budget met exactly must not fail by a binary rounding
    if callable(price):
        return _search(code, most, price, fits, fees)

    def cost(size: int) -> float:
        return size * price + fees(size, price)

    size = rules.legal_buy(code, min(most, fits / price))
    if not size or cost(size) <= fits:
        return size
    # fees are nearly proportional: take what they add off the budget, then settle the last steps exactly
    lot = rules.LOTS[rules.board(code)]
    size = rules.legal_buy(code, min(most, (limit - fees(size, price)) / price))
    for _ in range(STEPS_BY_ONE):
        if not size or cost(size) <= fits:
            break
        size = rules.legal_buy(code, size - lot.step)
    for _ in range(STEPS_BY_ONE):
        larger = rules.legal_buy(code, (size or lot.minimum - lot.step) + lot.step)
        if larger <= size or larger > most or cost(larger) > fits:
            return size
        size = larger
    return _search(code, most, lambda size: price, fits, fees)  # an absurd size, whose steps are far below a float's


def _search(code: str, most: float, price: Callable[[int], float], fits: float, fees: Callable[[int, float], float]) -> int:
    """Halve the range of lots until the largest that fits is found: the cost rises with the size."""
    lot = rules.LOTS[rules.board(code)]
    low, high = -1, (rules.legal_buy(code, min(most, fits / price(lot.minimum))) - lot.minimum) // lot.step
    while low < high:
        middle = (low + high + 1) // 2
        size = lot.minimum + middle * lot.step
        if size * price(size) + fees(size, price(size)) <= fits:
            low = middle
        else:
            high = middle - 1
    return 0 if low < 0 else lot.minimum + low * lot.step
