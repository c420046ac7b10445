"""Which stocks: screens and ranks over one day's cross-section.

A screen takes a `CrossSection` and returns a mask, a rank returns one number per stock (the smallest is taken
first). Both see the previous trading day and the facts known before the open, nothing else.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from ..exchange import rules
from ..feeds.errors import DataError
from ..feeds.universe import CrossSection

_UNITS = ((1e8, '亿'), (1e4, '万'))  # in which caps are often told


def cap_between(section: CrossSection, low: float, high: float) -> np.ndarray:
    """Return the stocks whose market cap at the previous close lies in [low, high], yuan, both ends in."""
    cap = section.previous('market_cap')
    return (cap >= low) & (cap <= high)


def check_band(universe: Any, low: float, high: float) -> None:
    """Refuse a band of the market cap in which no stock ever lies: a run over it would do nothing, and not say why.

    It looks over the whole data, also later days, and decides nothing but whether to stop.

    Parameters
    ----------
    universe : Universe
    low, high : float
        Yuan, both ends in.

    Raises
    ------
    DataError
        No market cap of the data lies in the band, or none is known.
    """
    # a universe of the user's own need not tell
    if not hasattr(universe, 'ever_between') or universe.ever_between('market_cap', low, high):
        return
    least, most = universe.extremes('market_cap')
    if least != least:
        raise DataError('no market cap of the data is known: market_cap is empty in all rows, so that no stock is ever picked; '
                        'make the data with market caps, or override screen and rank')
    hint = next((f'; did you mean {low:g} and {high:g} {name}, {typed(low * unit)} and {typed(high * unit)}?'
                 for unit, name in _UNITS if least <= low * unit and high * unit <= most), '')
    raise DataError(f'no market cap of the data lies between min_cap {typed(low)} and max_cap {typed(high)} yuan: they go from '
                    f'{typed(least, 3)} to {typed(most, 3)} yuan{hint}')


def typed(value: float, digits: int = 6) -> str:
    """Return a number as it is typed: 2e9, not 2e+09."""
    return f'{value:.{digits}g}'.replace('e+0', 'e').replace('e+', 'e')


def tradable(section: CrossSection) -> np.ndarray:
    """Return the stocks that have a row today and are neither suspended, nor ST, nor in the delisting period."""
    # the delisting period is not in every table: NaN passes
    return (section.today('paused') == 0) & (section.today('is_st') == 0) & (section.today('delisting_period') != 1)


# The mask of a market's codes is the same every day. Kept by the identity of the codes array, which the entry
# keeps alive: hashing thousands of codes a day would cost more than the rest of the screen.
_MASKS: dict[tuple[int, tuple[str, ...]], tuple[np.ndarray, np.ndarray]] = {}


def _board_mask(codes: np.ndarray, boards: tuple[str, ...]) -> np.ndarray:
    key = id(codes), boards
    if key not in _MASKS:
        if len(_MASKS) >= 8:
            _MASKS.clear()
        mask = np.zeros(len(codes), bool)  # no A share, such as a B share or a fund, is on any board
        for (board, _), places in rules.board_places(codes).items():
            mask[places] = board in boards
        mask.setflags(write=False)
        _MASKS[key] = codes, mask
    return _MASKS[key][1]


def on_boards(codes: np.ndarray, boards: Collection[str]) -> np.ndarray:
    """Return the stocks of some boards.

    Parameters
    ----------
    codes : ndarray of str, shape (stocks,)
    boards : collection of str
        Of `rules.BOARDS`.

    Returns
    -------
    ndarray of bool, shape (stocks,)

    Raises
    ------
    ValueError
        No such board.
    """
    for name in boards:
        if name not in rules.BOARDS:
            raise ValueError(f'boards holds {name!r}: expected names of {", ".join(rules.BOARDS)}')
    return _board_mask(codes, tuple(boards))
