"""Tax on dividends by the time held: what was bought when, first in first out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from . import rules
from .corporate_actions import whole_shares

HOLDING = 'holding'  # as ``dividend_tax``: by the time held, withheld at the sale


class TaxLots:
    """What was bought when, and the dividends on it whose tax is still due: first in first out."""

    def __init__(self) -> None:
        self._lots: dict[Any, list[_Lot]] = {}

    def buy(self, data: Any, day: int, shares: int) -> None:
        """Add a lot."""
        self._lots.setdefault(data, []).append(_Lot(day, shares, []))

    def dividend(self, data: Any, day: int, per_share: float) -> None:
        """Note a dividend, yuan a share before tax, on all that is held on its ex-date."""
        for lot in self._lots.get(data, ()):
            lot.due.append((day, per_share * lot.shares))

    def restate(self, data: Any, ratio: float) -> None:
        """Multiply the lots by a ratio: their running sums are floored, so that whole shares add up to the position."""
        so_far = given = 0
        for lot in self._lots.get(data, ()):
            so_far += lot.shares
            upto = whole_shares(so_far * ratio)
            lot.shares, given = upto - given, upto

    def sell(self, data: Any, day: int, shares: int) -> float:
        """Take shares off the oldest lots and return the tax that is withheld, yuan."""
        tax, lots = 0.0, self._lots.get(data, [])
        while shares > 0 and lots:
            lot = lots[0]
            sold = min(shares, lot.shares)
            part = sold / lot.shares if lot.shares else 1.0
            tax += math.fsum(rules.dividend_tax(on, lot.day, day) * amount * part for on, amount in lot.due)
            lot.due = [(on, amount * (1 - part)) for on, amount in lot.due]
            lot.shares -= sold
            shares -= sold
            if not lot.shares:
                lots.pop(0)
        return tax

    def forget(self, data: Any) -> None:
        """Drop what is no longer held."""
        self._lots.pop(data, None)


@dataclass
class _Lot:
    day: int  # ordinal
    shares: int
    due: list[tuple[int, float]]  # ex-date, yuan before tax
