"""The exchange's rules for the independent model, written out slowly and plainly: see `oracle`.

They share no code with the plugin. Money is counted in exact fractions.
"""

import calendar
import datetime as dt
import math
from dataclasses import dataclass, field
from fractions import Fraction

CENT = Fraction(1, 100)
HALF_TICK = Fraction(1, 200)  # the tick is 0.01 yuan
TINY = Fraction(1, 10**9)  # tolerance of every "fits" and "floor" that the rules give one

MAIN, CHINEXT, STAR, BSE = "main", "ChiNext", "STAR", "BSE"

FIRST_DAY = dt.date(1996, 12, 16)  # of the price limits: before it no rule is known
BOARD_BEGINS = {CHINEXT: dt.date(2009, 10, 30), STAR: dt.date(2019, 7, 22), BSE: dt.date(2021, 11, 15)}  # earlier: no limit known
ST_BEGINS = dt.date(1998, 4, 22)  # main board, ST: 5 %
FIRST_DAY_LIMITS = {"XSHG": dt.date(2013, 12, 13), "XSHE": dt.date(2014, 6, 13)}  # before: none on the first day
CHINEXT_REFORM = dt.date(2020, 8, 24)  # ChiNext: 20 %, and five free days
DELISTING_REFORM = dt.date(2022, 1, 1)  # no limit on the first day of a delisting period; in Beijing at all times
MAIN_REFORM = dt.date(2023, 4, 10)  # main board: five free days
ST_REFORM = dt.date(2026, 7, 6)  # main board, ST: 10 % instead of 5 %
FREE_DAYS = 5

# Stamp duty by day: (first day, of buys, of sales).
STAMP_DUTY = (
    (dt.date(2023, 8, 28), "0", "0.0005"),
    (dt.date(2008, 9, 19), "0", "0.001"),
    (dt.date(2008, 4, 24), "0.001", "0.001"),
    (dt.date(2007, 5, 30), "0.003", "0.003"),
    (dt.date(2005, 1, 24), "0.001", "0.001"),
    (dt.date(2001, 11, 16), "0.002", "0.002"),
    (dt.date(1998, 6, 12), "0.004", "0.004"),
    (dt.date(1997, 5, 12), "0.005", "0.005"),
    (FIRST_DAY, "0.003", "0.003"),
)

# Dividend tax by the day of the dividend: (first ex-date, up to a month, up to a year, longer).
DIVIDEND_TAX = (
    (dt.date(2015, 9, 8), Fraction(20, 100), Fraction(10, 100), Fraction(0)),
    (dt.date(2013, 1, 1), Fraction(20, 100), Fraction(10, 100), Fraction(5, 100)),
    (dt.date(2005, 6, 13), Fraction(10, 100), Fraction(10, 100), Fraction(10, 100)),
    (FIRST_DAY, Fraction(20, 100), Fraction(20, 100), Fraction(20, 100)),
)


# ---------------------------------------------------------------------------------------------- numbers


def exact(number):
    """Give the number that a person reads: 10.03 is 1003/100, not the nearest binary fraction."""
    if isinstance(number, Fraction):
        return number
    return Fraction(repr(float(number)))


def known(number):
    """Tell whether there is a value at all (absent column: None; empty cell: NaN)."""
    return number is not None and number == number


def round_half_up(money):
    """Round to the cent, a tie upwards."""
    return Fraction(math.floor(exact(money) * 100 + Fraction(1, 2)), 100)


def square_root(number):
    """Give the root of a fraction: exact where there is one, else to forty digits."""
    top, bottom = math.isqrt(number.numerator), math.isqrt(number.denominator)
    if top * top == number.numerator and bottom * bottom == number.denominator:
        return Fraction(top, bottom)
    scale = 10**40
    return Fraction(math.isqrt(number.numerator * scale * scale // number.denominator), scale)


def months_later(date, months):
    """Give the same day some months later; the last of the month where it has no such day."""
    year, month = divmod(date.year * 12 + date.month - 1 + months, 12)
    return dt.date(year, month + 1, min(date.day, calendar.monthrange(year, month + 1)[1]))


# ------------------------------------------------------------------------------- the exchange's rules


def board_of(code):
    """Name the board of a code; None for what is no A share we know (B shares, funds)."""
    number, _, exchange = code.partition(".")
    if exchange == "XSHG" and number.startswith(("688", "689")):
        return STAR
    if exchange == "XSHG" and number.startswith("60"):
        return MAIN
    if exchange == "XSHE" and number.startswith(("300", "301")):
        return CHINEXT
    if exchange == "XSHE" and number.startswith("00"):
        return MAIN
    if exchange == "BJSE":
        return BSE
    return None


def limit_rates(board, is_st, date, listed_day, exchange="XSHG", delisting_day=0):
    """Give (up, down) as parts of preclose, or None on a day without a limit.

    `listed_day` is 1 on the day of listing and None for a stock that was there from the start; `delisting_day`
    is 1 on the first day of the delisting period, 0 where there is none or nobody knows.
    The rule that counts is the one in force on `date`.
    """
    if date < BOARD_BEGINS.get(board, FIRST_DAY):
        return None
    if delisting_day == 1 and (board == BSE or date >= DELISTING_REFORM):
        return None
    if listed_day is not None:
        if board == BSE:
            free_days = 1
        elif (
            board == STAR
            or (board == CHINEXT and date >= CHINEXT_REFORM)
            or (board == MAIN and date >= MAIN_REFORM)
        ):
            free_days = FREE_DAYS
        elif date < FIRST_DAY_LIMITS[exchange]:
            free_days = 1
        else:
            free_days = 0
        if listed_day <= free_days:
            return None
        if free_days == 0 and listed_day == 1:
            return Fraction(44, 100), Fraction(36, 100)
    if board == BSE:
        rate = Fraction(30, 100)
    elif board == STAR or (board == CHINEXT and date >= CHINEXT_REFORM):
        rate = Fraction(20, 100)  # ST too
    elif board == CHINEXT:
        rate = Fraction(5, 100) if is_st else Fraction(10, 100)
    else:
        rate = Fraction(5, 100) if is_st and ST_BEGINS <= date < ST_REFORM else Fraction(10, 100)
    return rate, rate


def price_limits(row, code, date, listed_day, delisting_day=0):
    """Give (high, low) of the day; None where there is no limit.

    An explicit limit counts before a computed one, each side for itself.
    """
    high = low = None
    preclose = row.get("preclose")
    if known(preclose) and preclose > 0:
        board = board_of(code)
        rates = limit_rates(board, row["is_st"] == 1, date, listed_day, code[7:], delisting_day)
        if rates is not None:
            reference = exact(preclose)
            high, low = reference * (1 + rates[0]), reference * (1 - rates[1])
            if board == BSE:  # cut, never past the rate
                high, low = Fraction(math.floor(high * 100), 100), Fraction(math.ceil(low * 100), 100)
            else:
                high, low = round_half_up(high), round_half_up(low)
            # A limit is at least one tick away, or a stock of a few cents could never move.
            high = max(high, reference + CENT)
            low = max(min(low, reference - CENT), CENT)  # the lowest price there is
    if known(row.get("high_limit")):
        high = exact(row["high_limit"])
    if known(row.get("low_limit")):
        low = exact(row["low_limit"])
    return high, low


def stamp_duty_rate(date, side):
    """Give the stamp duty in force: before 2008-09-19 the buyer paid too."""
    for since, of_buys, of_sales in STAMP_DUTY:
        if date >= since:
            return Fraction(of_sales if side == "SELL" else of_buys)
    raise LookupError(f"no stamp duty is known for {date}")


def transfer_fee(date, code, shares, value):
    """Give the transfer fee of an order of one fill, the same on both sides.

    Shanghai's went by the shares, a yuan of face value each, until the end of July 2015; Shenzhen's was inside
    the commission until then.
    """
    shares, value = exact(shares), exact(value)
    if date < FIRST_DAY:
        raise LookupError(f"no transfer fee is known for {date}")
    if date >= dt.date(2022, 4, 29):
        return value * Fraction(1, 100_000)
    if code.endswith("BJSE"):
        if date < dt.date(2021, 11, 15):
            raise LookupError(f"no transfer fee of Beijing's is known for {date}")
        return value * Fraction(25, 1_000_000)
    if date >= dt.date(2015, 8, 1):
        return value * Fraction(2, 100_000)
    if code.endswith("XSHE"):
        return Fraction(0)
    if date >= dt.date(2012, 9, 1):
        return shares * Fraction(3, 10_000)
    if date >= dt.date(2012, 6, 1):
        return shares * Fraction(375, 1_000_000)
    return max(Fraction(1), shares * Fraction(5, 10_000)) if shares else Fraction(0)


def dividend_tax_rate(ex_date, bought_on, sold_on):
    """Give the tax on a dividend by the time that the shares were held."""
    for since, month, year, longer in DIVIDEND_TAX:
        if ex_date >= since:
            if sold_on <= months_later(bought_on, 1):
                return month
            return year if sold_on <= months_later(bought_on, 12) else longer
    raise LookupError(f"no dividend tax is known for {ex_date}")


def legal_buy(board, shares):
    """Round a number of shares down to one that may be bought."""
    if shares <= 0:
        return 0
    if board == STAR:
        return shares if shares >= 200 else 0
    if board == BSE:
        return shares if shares >= 100 else 0
    return shares // 100 * 100


def legal_sale(board, shares, held):
    """Round a number of shares down to one that may be sold out of `held`."""
    if shares >= held:
        return held  # the whole position, an odd lot included
    if board in (STAR, BSE):
        return max(shares, 0)
    return max(shares, 0) // 100 * 100


# ------------------------------------------------------------------------- what a position remembers


@dataclass
class Lot:
    """Shares bought in one fill, as long as they are held."""

    bought_on: dt.date
    shares: int
    dividends: list = field(default_factory=list)  # (ex-date, yuan received on the shares still here)


@dataclass
class Position:
    """Shares held of one stock."""

    code: str
    lots: list  # oldest first

    @property
    def shares(self):
        """Count the shares of all lots."""
        return sum(lot.shares for lot in self.lots)

    @property
    def bought_on(self):
        """Give the day of the last purchase: T+1 counts from it."""
        return self.lots[-1].bought_on

    def pay_dividend(self, date, per_share):
        """Note what each lot receives; give the sum."""
        for lot in self.lots:
            lot.dividends.append((date, lot.shares * per_share))
        return self.shares * per_share

    def scale(self, factor):
        """Multiply the shares, whole shares only; a lot gets what the floors of the running sums leave it."""
        before = after = 0
        for lot in self.lots:
            before += lot.shares
            reached = math.floor(before * factor + TINY)
            lot.shares = reached - after
            after = reached

    def take(self, shares, date):
        """Take shares out, first in first out; give the tax on the dividends that they had received."""
        tax = Fraction(0)
        while shares > 0:
            lot = self.lots[0]
            taken = min(shares, lot.shares)
            part = Fraction(taken, lot.shares) if lot.shares else Fraction(1)
            kept = []
            for ex_date, amount in lot.dividends:
                tax += dividend_tax_rate(ex_date, lot.bought_on, date) * amount * part
                kept.append((ex_date, amount * (1 - part)))
            lot.dividends = kept
            lot.shares -= taken
            shares -= taken
            if lot.shares == 0:
                self.lots.pop(0)
        return tax
