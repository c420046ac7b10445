"""Which stocks may be bought: screens over one day's cross-section.

Each is a `pieces.Screen`, or a function that makes one: called with a `CrossSection` it returns the mask of the stocks that it
keeps. They see the previous trading day and the facts known before the open, nothing else.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from ..exchange import rules
from ..feeds.codes import canonical_code
from ..feeds.errors import DataError, whole_number
from ..feeds.universe import CrossSection
from ..record.param_texts import typed
from .pieces import Screen
from .values import amount, listed_days, market_cap, price, today, turnover

_UNITS = ((1e8, '亿'), (1e4, '万'))  # in which caps are often told
INF = float('inf')


def cap_between(low: float, high: float) -> Screen:
    """Keep the stocks whose market cap at the previous close lies in [low, high], yuan, both ends in."""
    return (market_cap >= low) & (market_cap <= high)


def price_between(low: float, high: float = INF) -> Screen:
    """Keep the stocks whose previous close, as it was quoted, lies in [low, high], yuan, both ends in."""
    return (price >= low) & (price <= high)


def amount_between(low: float, high: float = INF, days: int = 1) -> Screen:
    """Keep the stocks of which on average [low, high] yuan a day were traded over the last trading days (`values.amount`)."""
    return (amount(days) >= low) & (amount(days) <= high)


def turnover_between(low: float, high: float = INF, days: int = 1) -> Screen:
    """Keep the stocks of which on average that part of the float cap was traded a day: 0.01 for 1 %; see `values.turnover`."""
    return (turnover(days) >= low) & (turnover(days) <= high)


def listed_for(days: int) -> Screen:
    """Keep the stocks whose listing lies at least so many calendar days before the previous trading day.

    It is the platforms' ``previous_date - start_date >= days``. Where the listing day is not known the stock is kept: it was
    there on the data's first day.

    Parameters
    ----------
    days : int
        Calendar days, 0 or more.
    """
    return Screen(_listed_for, whole_number('days', days, 0), name='listed_for')


def _listed_for(section: CrossSection, days: int) -> np.ndarray:
    age = listed_days(section)
    unknown = np.isnan(age)
    if not unknown.any():
        return age > days
    # without any row yet its day is today's, or to come
    return (age > days) | (unknown & ~np.isnan(section.history('close', 1, filled=True)[0]))


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


def on_boards(boards: Collection[str]) -> Screen:
    """Keep the A shares of some boards; a fund, a B share or an index is on none.

    Parameters
    ----------
    boards : collection of str
        Of `rules.BOARDS`: main, chinext, star, bse.

    Raises
    ------
    ValueError
        No such board.
    """
    boards = (boards,) if isinstance(boards, str) else tuple(boards)
    for name in boards:
        if name not in rules.BOARDS:
            raise ValueError(f'boards holds {name!r}: expected names of {", ".join(rules.BOARDS)}')
    return Screen(_on_boards, boards, name='on_boards')


def _on_boards(section: CrossSection, boards: tuple[str, ...]) -> np.ndarray:
    return _board_mask(section.codes, boards)


# Facts of the coming session, known before its open. A stock without a row today is suspended.
is_st = today('is_st') == 1
is_suspended = ~(today('paused') == 0)
in_delisting_period = today('delisting_period') == 1  # not in every table: where it is not known, no



def _tradable(section: CrossSection) -> np.ndarray:
    return (section.today('paused') == 0) & (section.today('is_st') == 0) & (section.today('delisting_period') != 1)


# Have a row today and are neither suspended, nor ST, nor in the delisting period.
tradable = Screen(_tradable)

# Open at their price limit: nobody can buy at the upper, or sell at the lower one. Where the day has no limit, no.
opens_at_high_limit = today('open') >= today('high_limit') - rules.HALF_TICK
opens_at_low_limit = today('open') <= today('low_limit') + rules.HALF_TICK


def closed_at_high_limit(days: int = 1) -> Screen:
    """Keep the stocks that closed at their upper price limit on one of the last trading days, and traded on it.

    The limits are the data's own, else computed as the broker does.

    Parameters
    ----------
    days : int
        Trading days, 1 or more.
    """
    return Screen(_closed_at_high_limit, whole_number('days', days), name='closed_at_high_limit')


def _closed_at_high_limit(section: CrossSection, days: int) -> np.ndarray:
    at_limit = section.history('close', days) >= section.history('high_limit', days) - rules.HALF_TICK
    return (at_limit & (section.history('paused', days) == 0)).any(axis=0)


def members(index: str) -> Screen:
    """Keep the members of an index, as known the day before; needs a store with its members.

    Parameters
    ----------
    index : str
        Six digits, such as ``000300``. Where the data has no members of 399101, the index of the former small and medium
        enterprise board, all of that board's codes count: that index held every share of the board (中小板综合指数编制方案).
    """
    return Screen(_members, str(index), name='members')


SMALL_BOARD = '399101'  # 中小综指
SMALL_BOARD_CODES = ('002', '003')  # numbers of the board that became a part of Shenzhen's main board on 2021-04-06


def _members(section: CrossSection, index: str) -> np.ndarray:
    try:
        return section.members(index)
    except DataError:
        if index != SMALL_BOARD:
            raise
        return _begins_with(section, *SMALL_BOARD_CODES) & _board_mask(section.codes, ('main',))


def code_begins_with(*digits: str) -> Screen:
    """Keep the stocks whose code begins with some digits: ``~code_begins_with('688', '3')``."""
    return Screen(_begins_with, *digits, name='code_begins_with')


def _begins_with(section: CrossSection, *digits: str) -> np.ndarray:
    mask = np.zeros(len(section), bool)
    for text in digits:
        mask |= np.strings.startswith(section.codes, text) if hasattr(np, 'strings') else np.char.startswith(section.codes, text)
    return mask


def in_industries(*industries: str) -> Screen:
    """Keep the stocks of some industries, as known the day before; needs a store with industries."""
    return Screen(_in_industries, *industries, name='in_industries')


def _in_industries(section: CrossSection, *industries: str) -> np.ndarray:
    return np.isin(section.industries(), industries)


class one_of(Screen):  # noqa: N801 - reads as the functions beside it
    """Keep the stocks of a collection of codes, as it is on the day: ``~one_of(self.my_blacklist)``.

    Parameters
    ----------
    codes : collection of str
        Such as ``600000.XSHG``, ``600000.SH`` or ``600000``. It is read anew each time, so that it may change during a run.

    Raises
    ------
    ValueError
        When it is read: one of them is no code.
    """

    def __init__(self, codes: Collection[str]) -> None:
        self.codes = codes  # no function of a section alone: what it reads may have changed since it was asked last

    def __call__(self, section: CrossSection, among: np.ndarray | None = None) -> np.ndarray:
        """Return the mask."""
        found = [canonical_code(str(code)) for code in self.codes]
        if None in found:
            raise ValueError(f'one_of holds {list(self.codes)[found.index(None)]!r}: expected a code such as 600000.XSHG')
        return mask_of(section.codes, found)

    def __repr__(self) -> str:
        return f'one_of({self.codes!r})'


def mask_of(codes: np.ndarray, chosen: Collection[str]) -> np.ndarray:
    """Return which of some codes are chosen.

    Parameters
    ----------
    codes : ndarray of str, shape (stocks,)
        Ascending.
    chosen : collection of str
        Those not among the codes are passed over.

    Returns
    -------
    ndarray of bool, shape (stocks,)
    """
    mask = np.zeros(len(codes), bool)
    if chosen:
        wanted = np.array(list(chosen), dtype=str)
        places = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
        mask[places[codes[places] == wanted]] = True
    return mask


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
