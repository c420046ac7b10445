"""Which stocks: screens and ranks over one day's cross-section.

A screen takes a `CrossSection` and returns a mask, a rank returns one number per stock (the smallest is taken
first). Both see the previous trading day and the facts known before the open, nothing else.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from ..exchange import rules
from ..feeds.universe import CrossSection


def cap_between(section: CrossSection, low: float, high: float) -> np.ndarray:
    """Return the stocks whose market cap at the previous close lies in [low, high], yuan, both ends in."""
    cap = section.previous('market_cap')
    return (cap >= low) & (cap <= high)


def tradable(section: CrossSection) -> np.ndarray:
    """Return the stocks that have a row today and are neither suspended, nor ST, nor in the delisting period."""
    # the delisting period is not in every table: NaN passes
    return (section.today('paused') == 0) & (section.today('is_st') == 0) & (section.today('delisting_period') != 1)


# The mask of a market's codes is the same every day. Kept by the identity of the codes array, which the entry
# keeps alive: hashing thousands of codes a day would cost more than the rest of the screen.
_MASKS: dict[tuple[int, tuple[str, ...]], tuple[np.ndarray, np.ndarray]] = {}


def _board(code: str) -> str:
    try:
        return rules.board(code)
    except rules.RuleError:
        return ''  # no A share, such as a B share or a fund: never bought


def _board_mask(codes: np.ndarray, boards: tuple[str, ...]) -> np.ndarray:
    key = id(codes), boards
    if key not in _MASKS:
        if len(_MASKS) >= 8:
            _MASKS.clear()
        mask = np.array([_board(code) in boards for code in codes.tolist()], dtype=bool)
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
