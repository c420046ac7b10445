"""Real fills beside what a backtest assumes: what they cost beyond the open, and the slippage that would have said so."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..exchange.broker import AShareBroker
from ..exchange.commission import FEES
from ..exchange.fills import slipped
from .books import BUY, FillRow

MOST = 0.5  # the largest slippage that is tried
STEPS = 60  # halvings of the range


class Cost(NamedTuple):
    """What some fills cost beyond the open."""

    fills: int
    value: float  # yuan, at the open
    real: float  # yuan beyond it; below 0: better than the open
    assumed: float  # yuan, as the profile's slippage has it

    @property
    def real_share(self) -> float:
        """Part of the value."""
        return self.real / self.value if self.value else 0.0

    @property
    def assumed_share(self) -> float:
        """Part of the value."""
        return self.assumed / self.value if self.value else 0.0


class Matching(NamedTuple):
    """The slippage that would have cost as much."""

    slippage: float  # as the option --slippage takes it: both ways together
    assumed: float  # yuan that it assumes
    keeps_ticks: bool  # with the profile's least number of price steps; else without any


def broker_of(values: dict[str, Any]) -> AShareBroker:
    """Return a broker that slips by a profile's values."""
    return AShareBroker(**{name: value for name, value in values.items() if name not in FEES})


def cost_of(fills: Iterable[FillRow], broker: AShareBroker) -> Cost:
    """Return what fills cost beyond the opens of their days; those whose open is not known are left out.

    Impact is left out of what is assumed: it goes by the day's volume.
    """
    known = [fill for fill in fills if fill.open > 0]
    value = math.fsum(fill.quantity * fill.open for fill in known)
    real = math.fsum(_away(fill, fill.price) for fill in known)
    return Cost(len(known), value, real, _assumed(known, [broker._slip_of(fill.code) for fill in known]))


def _away(fill: FillRow, price: float) -> float:
    return fill.quantity * (price - fill.open) * (1 if fill.side == BUY else -1)


def _assumed(fills: Sequence[FillRow], slips: Sequence[dict[str, Any]]) -> float:
    return math.fsum(_away(fill, slipped(fill.open, fill.side == BUY, **{**slip, 'impact': 0.0}))
                     for fill, slip in zip(fills, slips, strict=True))


def matching(fills: Sequence[FillRow], broker: AShareBroker) -> Matching:
    """Return the slippage by which a backtest would have assumed what the fills cost; 0 where they cost nothing.

    What is assumed rises by steps, for every price is rounded: of the values that come nearest the middle is given. Where the
    profile's least number of price steps alone costs more than the fills did, it is left out.
    """
    known = [fill for fill in fills if fill.open > 0]
    real = math.fsum(_away(fill, fill.price) for fill in known)
    slips = [broker._slip_of(fill.code) for fill in known]
    if abs(_assumed(known, slips) - real) < 0.005:
        return Matching(broker.p.slippage, _assumed(known, slips), True)

    def assumed(slippage: float, keep: bool) -> float:
        return _assumed(known, [{**slip, 'slippage': slippage, **({} if keep else {'least': 0.0})} for slip in slips])

    if real <= assumed(0.0, True):
        return Matching(0.0, assumed(0.0, True), True)
    keep = real >= assumed(1e-9, True)
    below = _edge(lambda slippage: assumed(slippage, keep) >= real)
    beyond = _edge(lambda slippage: assumed(slippage, keep) > real + 0.005)
    middle = (below + beyond) / 2
    best = min((middle, below * (1 - 1e-9), below), key=lambda slippage: abs(assumed(slippage, keep) - real))
    found = float(f'{best:.6g}')
    if keep and abs(assumed(broker.p.slippage, True) - assumed(found, True)) < 0.005:
        found = broker.p.slippage  # nothing comes nearer than what it is
    return Matching(found, assumed(found, keep), keep)


def _edge(beyond: Any) -> float:
    """Return where something becomes true as the slippage rises."""
    low, high = 1e-9, MOST
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return high
