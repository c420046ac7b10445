"""The exchange's rules as dated literal tables: value, since when, source.

It knows nothing of orders or feeds. A rule is looked up by board and day. Before the declared range of validity
the answer is an error, not a guess; after it the last rule, and a warning. The fees' tables are in `fee_rates`, the codes of
funds in `funds`, the price steps in `ticks`, the range in `validity`; all are reached through here.

Sources, cited beside the rows by these short names:

- ``SSE``: 上海证券交易所交易规则 (Shanghai Stock Exchange Trading Rules), editions of 2001, 2006, 2018, 2020, 2023.
- ``SZSE``: 深圳证券交易所交易规则 (Shenzhen Stock Exchange Trading Rules), same years.
- ``STAR``: 上海证券交易所科创板股票交易特别规定, 上证发〔2019〕23号.
- ``CHINEXT``: 深圳证券交易所创业板交易特别规定, 深证上〔2020〕515号.
- ``BSE``: 北京证券交易所交易规则（试行）, 北证公告〔2021〕15号.
"""

from __future__ import annotations

import contextlib
import math
from bisect import bisect_right
from datetime import date
from functools import cache
from typing import NamedTuple

import numpy as np

from .fee_rates import (  # noqa: F401 - a rule is asked for here, whichever table it is in
    DIVIDEND_TAX,
    FACE_VALUE,
    MAX_COMMISSION,
    MIN_COMMISSION,
    STAMP_DUTY,
    TRANSFER_FEE,
    TRANSFER_FEE_BSE,
    TRANSFER_FEE_SHANGHAI,
    TRANSFER_FEE_SHENZHEN,
    DividendTax,
    Duty,
    FaceFee,
    dividend_tax,
    stamp_duty,
    transfer_fee,
)
from .funds import FUND_CODES, SAME_DAY, STEPS_FUND, TICK_FUND, WIDE_FUNDS, SameDay, is_fund, sold_same_day  # noqa: F401
from .ticks import HALF_TICK, STEPS, TICK, cut, half_tick, round_half_up, steps, tick  # noqa: F401
from .validity import VALID_FROM, VALID_UNTIL, RuleError, check_day  # noqa: F401

MAIN, CHINEXT, STAR, BSE = 'main', 'chinext', 'star', 'bse'
BOARDS = (MAIN, CHINEXT, STAR, BSE)
FUND = 'fund'  # listed funds: they are traded, but no A shares, and no board to pick stocks from


class PriceLimit(NamedTuple):
    """The daily price limit of a board from a day on.

    Rates are fractions of the reference price (``preclose``). ``free_days`` counts the first listed days
    without any limit; ``first_up`` and ``first_down`` are the rates of the first listed day where it has
    limits of its own (of the issue price, which is that day's ``preclose``).
    """

    since: date
    rate: float
    st_rate: float
    free_days: int
    first_up: float = math.nan
    first_down: float = math.nan


# Boards of one name at two exchanges differ only in the start of the first-day limits, so the key is (board, exchange).
PRICE_LIMITS: dict[tuple[str, str], tuple[PriceLimit, ...]] = {
    (MAIN, 'XSHG'): (
        PriceLimit(date(1996, 12, 16), 0.10, 0.10, 1),  # CSRC notice of 1996-12-13
        PriceLimit(date(1998, 4, 22), 0.10, 0.05, 1),  # SSE 1998: special treatment (ST)
        PriceLimit(date(2013, 12, 13), 0.10, 0.05, 0, 0.44, 0.36),  # 上证发〔2013〕20号
        PriceLimit(date(2023, 4, 10), 0.10, 0.05, 5),  # SSE 2023
        PriceLimit(date(2026, 7, 6), 0.10, 0.10, 5),  # 上证发〔2026〕41号
    ),
    (MAIN, 'XSHE'): (
        PriceLimit(date(1996, 12, 16), 0.10, 0.10, 1),  # CSRC notice of 1996-12-13
        PriceLimit(date(1998, 4, 22), 0.10, 0.05, 1),  # SZSE 1998: special treatment (ST)
        PriceLimit(date(2014, 6, 13), 0.10, 0.05, 0, 0.44, 0.36),  # 深证会〔2014〕54号
        PriceLimit(date(2023, 4, 10), 0.10, 0.05, 5),  # SZSE 2023
        PriceLimit(date(2026, 7, 6), 0.10, 0.10, 5),  # 深证上〔2026〕551号
    ),
    (CHINEXT, 'XSHE'): (
        PriceLimit(date(2009, 10, 30), 0.10, 0.05, 1),  # SZSE 2006, the board's first day
        PriceLimit(date(2014, 6, 13), 0.10, 0.05, 0, 0.44, 0.36),  # 深证会〔2014〕54号
        PriceLimit(date(2020, 8, 24), 0.20, 0.20, 5),  # CHINEXT
    ),
    (STAR, 'XSHG'): (PriceLimit(date(2019, 7, 22), 0.20, 0.20, 5),),  # STAR
    (BSE, 'BJSE'): (PriceLimit(date(2021, 11, 15), 0.30, 0.30, 1),),  # BSE
}

# Of funds, by what their code proves. 20 % have those on stocks that all have 20 %, but the code tells it of Shanghai's alone:
# any other fund without limits of its own in the data is held to 10 %, until a price beyond them proves that they do not hold.
# No limit on the first listed day: so it is for closed-end funds (SSE 2006 3.4.13), REITs have 30 %, and which of them a fund
# is not every code tells.
FUND_LIMITS: dict[tuple[str, str], tuple[PriceLimit, ...]] = {
    (FUND, 'narrow'): (PriceLimit(date(1996, 12, 16), 0.10, 0.10, 1),),  # CSRC notice of 1996-12-13: stocks and funds
    (FUND, 'wide'): (PriceLimit(date(2020, 11, 16), 0.20, 0.20, 1),),  # SSE; the first day of the ETFs on the STAR board
}

# Since when the first trading day of the delisting period has no limit. The texts say so from 2020-12-31 on
# (上证发〔2020〕103号 article 8; SZSE 2020-12-31; now SSE 3.3.13 and SZSE 3.3.15 of 2026). But the real data shows that
# delistings under way by the older rules kept those: all 13 periods that began in 2021, the last on 2021-07-19 (300362),
# took 30 days instead of the new 15 and opened at the usual limit. None other began until 2022-01-14, where that data ends.
DELISTING_FREE: dict[str, date] = {
    MAIN: date(2022, 1, 1),
    CHINEXT: date(2022, 1, 1),
    STAR: date(2022, 1, 1),
    BSE: date(2021, 11, 15),  # BSE 3.3.12 (2)
}


class Lot(NamedTuple):
    """Sizes in which a buy order may be placed: at least ``minimum`` shares, then in steps of ``step``."""

    minimum: int
    step: int


LOTS: dict[str, Lot] = {
    MAIN: Lot(100, 100),  # SSE 3.3.8, SZSE 3.3.8
    CHINEXT: Lot(100, 100),  # SZSE 3.3.8
    STAR: Lot(200, 1),  # STAR, article 12
    BSE: Lot(100, 1),  # BSE 3.2.8
    FUND: Lot(100, 100),  # SSE 3.3.8, SZSE 3.3.8: 100 units
}


@cache
def exchange(code: str) -> str:
    """Return the exchange of a code: ``XSHG``, ``XSHE`` or ``BJSE``."""
    return code[7:]


@cache
def board(code: str) -> str:
    """Return the board of a canonical code, by its digits.

    Parameters
    ----------
    code : str
        Such as ``600000.XSHG``.

    Returns
    -------
    str
        One of `BOARDS`, or `FUND`.

    Raises
    ------
    RuleError
        The code is neither an A share nor a listed fund.
    """
    if is_fund(code):
        return FUND
    digits, _, market = code.partition('.')
    if len(digits) == 6 and digits.isdigit():
        if market == 'XSHG':
            if digits.startswith(('688', '689')):
                return STAR
            if digits.startswith('60'):
                return MAIN
        elif market == 'XSHE':
            if digits.startswith('00'):
                return MAIN
            if digits.startswith('30'):
                return CHINEXT
        elif market == 'BJSE' and digits.startswith(('43', '83', '87', '88', '92')):  # 400, 420: another market; 899: indices
            return BSE
    raise RuleError(
        f'{code!r} is not the code of an A share: expected 60xxxx.XSHG, 688xxx.XSHG, 00xxxx.XSHE, 30xxxx.XSHE, '
        '43/83/87/88/92xxxx.BJSE, or a listed fund such as 511880.XSHG; name each feed by its canonical code'
    )


@cache
def is_share(code: str) -> bool:
    """Return whether a canonical code is that of an A share: neither a fund, an index nor anything else."""
    try:
        return board(code) in BOARDS
    except RuleError:
        return False


_LIMITS = {**PRICE_LIMITS, **FUND_LIMITS}
_LIMIT_DAYS = {key: tuple(row.since.toordinal() for row in rows) for key, rows in _LIMITS.items()}
_DELISTING_FREE_DAYS = {place: since.toordinal() for place, since in DELISTING_FREE.items()}
_DELISTING_FREE_DAYS[FUND] = date.max.toordinal()  # funds have no such period
_NO_LIMITS = 'give the data high_limit and low_limit columns, or begin later (--start 1996-12-16)'


@cache
def limit_key(code: str) -> tuple[str, str]:
    """Return the key of a code in `PRICE_LIMITS`, or of a fund in `FUND_LIMITS`."""
    place = board(code)
    if place == FUND:
        return FUND, 'wide' if code.endswith('.XSHG') and code.startswith(WIDE_FUNDS) else 'narrow'
    return place, exchange(code)


def price_limits(
    code: str, day: int, preclose: float, is_st: bool = False, listed_day: int = 0, delisting_day: int = 0
) -> tuple[float, float]:
    """Return the lower and upper price limit of a stock on a day.

    They are rounded half-up to the tick; Beijing's are cut to it, the upper one down and the lower one up (seen in the
    data: 30 % over 20.06 was 26.07). One tick they are away at least.

    Parameters
    ----------
    code : str
        Canonical code.
    day : int
        Ordinal of the day.
    preclose : float
        The exchange's ex-rights reference price of the day, yuan. NaN: the limits are unknown.
    is_st : bool
        Whether the stock is ST or *ST on that day.
    listed_day : int
        Number of the trading day since the listing, 1 on the first; 0 when long listed or unknown.
    delisting_day : int
        Number of the trading day in the delisting period, 1 on the first; 0 when not in it or unknown.

    Returns
    -------
    tuple of float
        (low_limit, high_limit) in yuan; (nan, nan) where the day has no limit or the limits are unknown.

    Raises
    ------
    RuleError
        Neither an A share nor a fund, or a day before the range of validity.
    """
    check_day(day, _NO_LIMITS)
    key = limit_key(code)
    place, rows = key[0], _LIMITS[key]
    index = bisect_right(_LIMIT_DAYS[key], day) - 1
    if index < 0 or not preclose > 0:  # before the board's first day nothing is known of it
        return math.nan, math.nan
    if delisting_day == 1 and day >= _DELISTING_FREE_DAYS[place]:
        return math.nan, math.nan
    row = rows[index]
    up = down = row.st_rate if is_st else row.rate
    if listed_day:
        if listed_day <= row.free_days:
            return math.nan, math.nan
        if listed_day == 1 and row.first_up == row.first_up:
            up, down = row.first_up, row.first_down
    low, high = preclose * (1 - down), preclose * (1 + up)
    step, fine = tick(code), steps(code)
    if place == BSE:
        low, high = cut(low, True), cut(high, False)
    else:
        low, high = round_half_up(low, fine), round_half_up(high, fine)
    if low < preclose - 2 * step and high > preclose + 2 * step:  # as a rule: more than a tick away
        return (low if low > step else step), high
    return max(step, min(low, round_half_up(preclose - step, fine))), max(high, round_half_up(preclose + step, fine))


class _Places(NamedTuple):
    """Where the stocks of each row of limits stand in some codes, those of `BOARDS` alone, and each code's price steps a yuan."""

    limits: dict[tuple[str, str], np.ndarray]
    boards: dict[tuple[str, str], np.ndarray]
    steps: np.ndarray


# Where the stocks of each board stand in a market's codes is the same every day. Kept by the identity of the codes array,
# which the entry keeps alive: telling the boards of thousands of codes would cost ten times the rest.
_PLACES: dict[int, tuple[np.ndarray, _Places]] = {}


def board_places(codes: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """Return where the stocks of each board stand in an array of codes, which is not changed later.

    Parameters
    ----------
    codes : ndarray of str, shape (stocks,)

    Returns
    -------
    dict
        (board, exchange) -> ndarray of int, of `BOARDS`. A code that is no A share, such as a fund, is in none of them.
    """
    return _places(codes).boards


def half_ticks(codes: np.ndarray) -> np.ndarray:
    """Return half the price step of each code, yuan, shape (stocks,); see `half_tick`."""
    return 0.5 / _places(codes).steps


def _places(codes: np.ndarray) -> _Places:
    if id(codes) not in _PLACES:
        keys, kinds = _keys_of(codes.tolist()), list(_LIMITS)
        if len(_PLACES) >= 8:
            _PLACES.clear()
        places = {key: np.flatnonzero(keys == number) for number, key in enumerate(kinds)}
        per_yuan = np.full(len(codes), float(STEPS))
        per_yuan[np.concatenate([places[key] for key in FUND_LIMITS])] = STEPS_FUND
        _PLACES[id(codes)] = codes, _Places(places, {key: places[key] for key in PRICE_LIMITS}, per_yuan)
    return _PLACES[id(codes)][1]


def _keys_of(codes: list[str]) -> np.ndarray:
    """Return the place of each code's `limit_key` among those of `_LIMITS`, -1 for what has none."""
    numbers, known = {key: number for number, key in enumerate(_LIMITS)}, {}
    out = np.full(len(codes), -1)
    for place, code in enumerate(codes):
        # no rule asks for more than the first three of six digits
        kind = code[:3] + code[6:] if len(code) == 11 and code[:6].isdigit() else code
        number = known.get(kind)
        if number is None:
            number = -1
            with contextlib.suppress(RuleError):
                number = numbers[limit_key(code)]
            known[kind] = number
        out[place] = number
    return out


def price_limits_of_day(
    codes: np.ndarray, day: int, preclose: np.ndarray, is_st: np.ndarray, listed_day: np.ndarray,
    delisting_day: np.ndarray | None = None, *, skip_unknown: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of many stocks on one day: `price_limits` over vectors.

    Parameters
    ----------
    codes : ndarray of str, shape (stocks,)
    day : int
        Ordinal of the day.
    preclose : ndarray of float, shape (stocks,)
        Yuan.
    is_st : ndarray of bool, shape (stocks,)
    listed_day : ndarray of int, shape (stocks,)
    delisting_day : ndarray of int, shape (stocks,), optional
        Without it no stock is on the first day of its delisting period.
    skip_unknown : bool
        Whether a code that is neither an A share nor a fund has no limits, instead of being an error.

    Returns
    -------
    tuple of ndarray
        (low_limit, high_limit), NaN where there is none.
    """
    check_day(day, _NO_LIMITS)
    up = np.full(len(codes), np.nan)
    down = np.full(len(codes), np.nan)
    places, _, per_yuan = _places(codes)
    if not skip_unknown and sum(map(len, places.values())) < len(codes):
        for code in codes.tolist():
            board(code)  # says which is no A share
    for key, rows in _LIMITS.items():
        index, mine = bisect_right(_LIMIT_DAYS[key], day) - 1, places[key]
        if index < 0 or not len(mine):
            continue
        row = rows[index]
        rate, listed = np.where(is_st[mine], row.st_rate, row.rate), listed_day[mine]
        first = (listed == 1) & (row.first_up == row.first_up)
        free = (listed > 0) & (listed <= row.free_days)
        if delisting_day is not None and day >= _DELISTING_FREE_DAYS[key[0]]:
            free |= delisting_day[mine] == 1
        up[mine] = np.where(free, np.nan, np.where(first, row.first_up, rate))
        down[mine] = np.where(free, np.nan, np.where(first, row.first_down, rate))
    reference, step = np.where(preclose > 0, preclose, np.nan), 1 / per_yuan
    beijing = places[BSE, 'BJSE']

    def rounded(price: np.ndarray) -> np.ndarray:
        return np.floor(price * per_yuan + 0.500001) / per_yuan

    low, high = reference * (1 - down), reference * (1 + up)
    cut_low = np.ceil(low[beijing] * STEPS - 0.000001) / STEPS
    cut_high = np.floor(high[beijing] * STEPS + 0.000001) / STEPS
    low, high = rounded(low), rounded(high)
    low[beijing], high[beijing] = cut_low, cut_high
    low = np.minimum(low, rounded(reference - step))
    high = np.maximum(high, rounded(reference + step))
    return np.maximum(low, step), high


def legal_buy(code: str, size: float) -> int:
    """Return the largest size of a buy order that the board allows, at most ``size`` shares (0: none)."""
    lot = LOTS[board(code)]
    if not size >= lot.minimum:
        return 0
    return lot.minimum + (int(size) - lot.minimum) // lot.step * lot.step


def legal_sell(code: str, size: int, position: int) -> int:
    """Return the largest size of a sell order that the board allows, at most ``size`` of ``position`` shares.

    Whole lots; the remainder below one lot goes in one order, alone or with the rest (SSE and SZSE 3.3.8;
    on STAR and the BSE any size from the minimum on, less only as the whole remainder).
    """
    size = min(math.floor(size + 1e-9), position)  # whole shares
    if size == position:
        return size
    lot = LOTS[board(code)]
    if lot.step == 1:
        return size if size >= lot.minimum else 0
    odd = position % lot.step
    lots = size // lot.step * lot.step
    return lots + odd if odd and size - lots >= odd else lots
