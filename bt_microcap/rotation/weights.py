"""How much of each pick: functions of the day's cross-section that return one weight per pick."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np

from ..feeds.errors import DataError
from ..feeds.universe import CrossSection
from . import values

VOLATILITY_DAYS = 60  # trading days of `inverse_volatility`


def equal(section: CrossSection, picks: np.ndarray) -> np.ndarray:
    """Give the same to each.

    Parameters
    ----------
    section : CrossSection
    picks : ndarray of int
        Where the picks stand in ``section.codes``.

    Returns
    -------
    ndarray of float
        In the order of the picks, each 0 or more; their scale does not matter.
    """
    return np.ones(len(picks))


def market_cap(section: CrossSection, picks: np.ndarray) -> np.ndarray:
    """Weigh by the market cap of the day before; parameters as `equal`."""
    return values.market_cap(section)[picks]


def float_cap(section: CrossSection, picks: np.ndarray) -> np.ndarray:
    """Weigh by the float cap of the day before (``circ_market_cap``); parameters as `equal`."""
    return values.float_cap(section)[picks]


def inverse_volatility(section: CrossSection, picks: np.ndarray) -> np.ndarray:
    """Weigh by 1 / volatility of the last 60 trading days; one that is not known, or 0, counts as the mean of the others'."""
    found = values.volatility(VOLATILITY_DAYS)(section)[picks]
    known = found > 0
    return 1 / np.where(known, found, found[known].mean() if known.any() else 1.0)


WEIGHTS: dict[str, Callable[[CrossSection, np.ndarray], np.ndarray]] = {
    'equal': equal, 'market_cap': market_cap, 'float_cap': float_cap, 'inverse_volatility': inverse_volatility}


def changes(
    targets: Mapping[str, float], values: Mapping[str, float], fixed: Collection[str], band: float, room: float, idle: float,
) -> dict[str, float]:
    """Return by how much each holding is changed to come to its target.

    A value that is off by more than ``band`` of its target is brought to it. What money is then left over, where it is more than
    ``idle``, goes to those below their targets, the one furthest below first, each up to its target.

    Parameters
    ----------
    targets : mapping of str to float
        Code -> yuan.
    values : mapping of str to float
        Code -> yuan held now; 0 where a code is not there.
    fixed : collection of str
        Codes that stay as they are.
    band : float
        Fraction of a target.
    room : float
        Yuan that all of these may have together.
    idle : float
        Yuan that are not worth an order.

    Returns
    -------
    dict of str to float
        Code -> yuan to buy, negative to sell; in the order of the targets, those for the money left over last.
    """
    now = [values.get(code, 0.0) for code in targets]
    out = {code: target - value for (code, target), value in zip(targets.items(), now, strict=True)
           if abs(value - target) > band * target and code not in fixed}
    spare = min(room, sum(targets.values())) - sum(
        [value + out[code] if code in out else value for code, value in zip(targets, now, strict=True)])
    if spare > idle:
        low = [code for code, target in targets.items()
               if code not in fixed and code not in out and 0 < values.get(code, 0.0) < target]
        # rounded: of two of the same value not the last binary digit decides, but the order of the targets
        for code in sorted(low, key=lambda code: round(values[code] / targets[code], 12)):
            out[code] = min(targets[code] - values[code], spare)
            spare -= out[code]
            if not spare > 0:
                break
    return out


def shares_of(weights: np.ndarray, most: float = 1.0, whole: float = 1.0) -> np.ndarray:
    """Return weights as parts of the money, none above a cap; what the cap cuts goes to the others by their weights.

    Parameters
    ----------
    weights : ndarray of float
        0 or more; NaN counts as 0.
    most : float
        Largest part of one.
    whole : float
        What the parts add up to, at most 1; less where all are at the cap.

    Returns
    -------
    ndarray of float

    Raises
    ------
    DataError
        A weight is infinite.
    """
    if not np.isfinite(weights[weights == weights]).all():
        raise DataError(f'weights are {weights.tolist()}: expected numbers of 0 or more for the picks')
    weights = np.where(weights > 0, weights, 0.0)
    out = np.zeros(len(weights))
    free = weights > 0
    left = whole
    while free.any() and left > 0:
        parts = left * weights[free] / weights[free].sum()
        places = np.flatnonzero(free)
        over = parts > most
        if not over.any():
            out[places] = parts
            break
        out[places[over]] = most
        left -= most * int(over.sum())
        free[places[over]] = False
    return out
