"""The exchange's rules as dated literal tables: value, since when, source.

This module imports nothing of ours and knows nothing of orders or feeds. A rule is looked up by board and
day; outside the declared range of validity the answer is an error, not a guess.

Sources, cited beside the rows by these short names:

- ``SSE``: 上海证券交易所交易规则 (Shanghai Stock Exchange Trading Rules), editions of 2001, 2006, 2018, 2020, 2023.
- ``SZSE``: 深圳证券交易所交易规则 (Shenzhen Stock Exchange Trading Rules), same years.
- ``STAR``: 上海证券交易所科创板股票交易特别规定, 上证发〔2019〕23号.
- ``CHINEXT``: 深圳证券交易所创业板交易特别规定, 深证上〔2020〕515号.
- ``BSE``: 北京证券交易所交易规则（试行）, 北证公告〔2021〕15号.
- ``MOF``: Ministry of Finance and State Taxation Administration notices on the securities transaction stamp duty.
- ``CHINACLEAR``: China Securities Depository and Clearing notices on the transfer fee.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from datetime import date
from functools import cache
from typing import NamedTuple

import numpy as np

VALID_FROM = date(1996, 12, 16)  # the first day of the daily price limit; earlier days are not covered
VALID_UNTIL = date(2026, 12, 31)  # rules announced by the end of 2026 are in the tables

TICK = 0.01  # yuan, the price step of every A share
HALF_TICK = TICK / 2

MAIN, CHINEXT, STAR, BSE = 'main', 'chinext', 'star', 'bse'
BOARDS = (MAIN, CHINEXT, STAR, BSE)


class RuleError(ValueError):
    """A rule was asked for outside its range of validity, or for something that is no A share."""


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


class Lot(NamedTuple):
    """Sizes in which a buy order may be placed: at least ``minimum`` shares, then in steps of ``step``."""

    minimum: int
    step: int


LOTS: dict[str, Lot] = {
    MAIN: Lot(100, 100),  # SSE 3.3.8, SZSE 3.3.8
    CHINEXT: Lot(100, 100),  # SZSE 3.3.8
    STAR: Lot(200, 1),  # STAR, article 12
    BSE: Lot(100, 1),  # BSE 3.2.8
}


class Duty(NamedTuple):
    """A rate of the traded value from a day on: of buys and of sales."""

    since: date
    buy: float
    sell: float


STAMP_DUTY: tuple[Duty, ...] = (
    Duty(date(2007, 5, 30), 0.003, 0.003),  # MOF 财税〔2007〕84号
    Duty(date(2008, 4, 24), 0.001, 0.001),  # MOF notice of 2008-04-23
    Duty(date(2008, 9, 19), 0.0, 0.001),  # MOF notice of 2008-09-18: sales only
    Duty(date(2023, 8, 28), 0.0, 0.0005),  # MOF 2023 No. 39: halved
)
TRANSFER_FEE: tuple[Duty, ...] = (
    Duty(date(2015, 8, 1), 0.00002, 0.00002),  # CHINACLEAR 2015-07: 0.002 % of the value
    Duty(date(2022, 4, 29), 0.00001, 0.00001),  # CHINACLEAR 2022-04: halved, one rate for the three exchanges
)
TRANSFER_FEE_BSE: tuple[Duty, ...] = (
    Duty(date(2021, 11, 15), 0.000025, 0.000025),  # CHINACLEAR 2022-04 names 0.0025 % as the rate until then
    Duty(date(2022, 4, 29), 0.00001, 0.00001),  # CHINACLEAR 2022-04
)
class DividendTax(NamedTuple):
    """Tax on cash dividends of natural persons, by the time held, for ex-dates from a day on."""

    since: date
    month: float  # held up to one month
    year: float  # up to one year
    longer: float


DIVIDEND_TAX: tuple[DividendTax, ...] = (
    DividendTax(date(2005, 6, 13), 0.10, 0.10, 0.10),  # MOF 财税〔2005〕102号: half of the dividend at 20 %
    DividendTax(date(2013, 1, 1), 0.20, 0.10, 0.05),  # MOF 财税〔2012〕85号
    DividendTax(date(2015, 9, 8), 0.20, 0.10, 0.00),  # MOF 财税〔2015〕101号
)
MAX_COMMISSION = 0.003  # of the value, since 2002-05-01, 证监发〔2002〕21号
MIN_COMMISSION = 5.0  # yuan an order, same notice


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
        One of `BOARDS`.

    Raises
    ------
    RuleError
        The code is no A share.
    """
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
        f'{code!r} is not the code of an A share: expected 60xxxx.XSHG, 688xxx.XSHG, 00xxxx.XSHE, 30xxxx.XSHE '
        'or 43/83/87/88/92xxxx.BJSE; name each feed by its canonical code'
    )


def round_half_up(price: float) -> float:
    """Round a price to the tick, ties up, as the exchanges do.

    A product such as 5.00 x 1.001 lies a hair below its true value 5.005 in binary; 1e-6 of a tick puts true
    ties right and is far less than the 1e-5 of a tick by which such products can differ from a tie.
    """
    return math.floor(price * 100 + 0.500001) / 100


def _row_at(rows: tuple, days: tuple[int, ...], day: int) -> int:
    return bisect_right(days, day) - 1


_LIMIT_DAYS = {key: tuple(row.since.toordinal() for row in rows) for key, rows in PRICE_LIMITS.items()}
_STAMP_DAYS = tuple(row.since.toordinal() for row in STAMP_DUTY)
_TRANSFER_DAYS = tuple(row.since.toordinal() for row in TRANSFER_FEE)
_TRANSFER_DAYS_BSE = tuple(row.since.toordinal() for row in TRANSFER_FEE_BSE)
_DIVIDEND_DAYS = tuple(row.since.toordinal() for row in DIVIDEND_TAX)
_FIRST, _LAST = VALID_FROM.toordinal(), VALID_UNTIL.toordinal()


def _check_day(day: int) -> None:
    if not _FIRST <= day <= _LAST:
        raise RuleError(
            f'the exchange rules here hold from {VALID_FROM} to {VALID_UNTIL}; {date.fromordinal(day)} is outside: '
            'give the data explicit high_limit and low_limit columns and the fees as rates'
        )


def _duty(rows: tuple[Duty, ...], days: tuple[int, ...], name: str, option: str, day: int) -> Duty:
    _check_day(day)
    if day < days[0]:
        raise RuleError(
            f'the {name} is known from {rows[0].since} on, not on {date.fromordinal(day)}: give it as a rate ({option}=RATE)'
        )
    return rows[_row_at(rows, days, day)]


def stamp_duty(day: int) -> Duty:
    """Return the stamp duty in force on a day.

    Parameters
    ----------
    day : int
        Proleptic ordinal of the day (``date.toordinal()``), which is the whole part of a Backtrader datetime.

    Raises
    ------
    RuleError
        The day is before the table begins or after the range of validity.
    """
    return _duty(STAMP_DUTY, _STAMP_DAYS, 'stamp duty', 'stamp_duty', day)


def transfer_fee(day: int, code: str = '') -> Duty:
    """Return the transfer fee in force on a day.

    Parameters
    ----------
    day : int
        Ordinal of the day.
    code : str
        Canonical code: Beijing's fee was another until 2022-04-28. Without it Shanghai's and Shenzhen's.

    Raises
    ------
    RuleError
        As `stamp_duty`.
    """
    if code.endswith('.BJSE'):
        return _duty(TRANSFER_FEE_BSE, _TRANSFER_DAYS_BSE, 'transfer fee', 'transfer_fee', day)
    return _duty(TRANSFER_FEE, _TRANSFER_DAYS, 'transfer fee', 'transfer_fee', day)


def dividend_tax(ex_date: int, bought: int, sold: int) -> float:
    """Return the rate of the tax on a dividend, withheld at the sale.

    A month runs from a day to the day before the same day of the next month, a year likewise (MOF 财税〔2012〕85号,
    item 1): bought on 8 January and sold on 8 February is one month, sold on 9 February is more.

    Parameters
    ----------
    ex_date, bought, sold : int
        Ordinals.

    Raises
    ------
    RuleError
        The ex-date is before the table begins or after the range of validity.
    """
    _check_day(ex_date)
    index = _row_at(DIVIDEND_TAX, _DIVIDEND_DAYS, ex_date)
    if index < 0:
        raise RuleError(f'the dividend tax is known from {DIVIDEND_TAX[0].since} on, not on {date.fromordinal(ex_date)}: '
                        'give it as a rate (dividend_tax=RATE)')
    row = DIVIDEND_TAX[index]
    if sold <= _months_later(bought, 1):
        return row.month
    return row.year if sold <= _months_later(bought, 12) else row.longer


def _months_later(day: int, months: int) -> int:
    """Return the same day some months later, or the last of that month where it has no such day."""
    start = date.fromordinal(day)
    number = start.year * 12 + start.month - 1 + months
    year, month = divmod(number, 12)
    last = (date(year + (month == 11), (month + 1) % 12 + 1, 1) - date.resolution).day
    return date(year, month + 1, min(start.day, last)).toordinal()


def price_limits(
    code: str, day: int, preclose: float, is_st: bool = False, listed_day: int = 0
) -> tuple[float, float]:
    """Return the lower and upper price limit of a stock on a day.

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

    Returns
    -------
    tuple of float
        (low_limit, high_limit) in yuan; (nan, nan) where the day has no limit or the limits are unknown.

    Raises
    ------
    RuleError
        No A share, or a day outside the range of validity.
    """
    _check_day(day)
    key = (board(code), exchange(code))
    rows = PRICE_LIMITS[key]
    index = _row_at(rows, _LIMIT_DAYS[key], day)
    if index < 0 or not preclose > 0:  # before the board's first day nothing is known of it
        return math.nan, math.nan
    row = rows[index]
    up = down = row.st_rate if is_st else row.rate
    if listed_day:
        if listed_day <= row.free_days:
            return math.nan, math.nan
        if listed_day == 1 and row.first_up == row.first_up:
            up, down = row.first_up, row.first_down
    low = max(TICK, min(round_half_up(preclose * (1 - down)), round_half_up(preclose - TICK)))
    high = max(round_half_up(preclose * (1 + up)), round_half_up(preclose + TICK))
    return low, high


def price_limits_of_day(
    codes: np.ndarray, day: int, preclose: np.ndarray, is_st: np.ndarray, listed_day: np.ndarray
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

    Returns
    -------
    tuple of ndarray
        (low_limit, high_limit), NaN where there is none.
    """
    _check_day(day)
    up = np.full(len(codes), np.nan)
    down = np.full(len(codes), np.nan)
    keys = np.array([f'{board(code)} {exchange(code)}' for code in codes])
    for key, rows in PRICE_LIMITS.items():
        index = _row_at(rows, _LIMIT_DAYS[key], day)
        if index < 0:
            continue
        row = rows[index]
        mine = keys == ' '.join(key)
        rate = np.where(is_st, row.st_rate, row.rate)
        first = (listed_day == 1) & (row.first_up == row.first_up)
        free = (listed_day > 0) & (listed_day <= row.free_days)
        up[mine] = np.where(free, np.nan, np.where(first, row.first_up, rate))[mine]
        down[mine] = np.where(free, np.nan, np.where(first, row.first_down, rate))[mine]
    reference = np.where(preclose > 0, preclose, np.nan)

    def rounded(price: np.ndarray) -> np.ndarray:
        return np.floor(price * 100 + 0.500001) / 100

    low = np.minimum(rounded(reference * (1 - down)), rounded(reference - TICK))
    high = np.maximum(rounded(reference * (1 + up)), rounded(reference + TICK))
    return np.maximum(low, TICK), high


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
    size = min(size, position)
    if size == position:
        return size
    lot = LOTS[board(code)]
    if lot.step == 1:
        return size if size >= lot.minimum else 0
    odd = position % lot.step
    lots = size // lot.step * lot.step
    return lots + odd if odd and size - lots >= odd else lots
