"""What the law and the depository take of a trade and of a dividend, as dated literal tables.

`rules` gives these on; ask there.

Sources, cited beside the rows by these short names:

- ``MOF``: Ministry of Finance and State Taxation Administration notices.
- ``CHINACLEAR``: China Securities Depository and Clearing notices on the transfer fee.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import date
from typing import NamedTuple

from .validity import VALID_FROM, RuleError, check_day


class Duty(NamedTuple):
    """A rate of the traded value from a day on: of buys and of sales."""

    since: date
    buy: float
    sell: float


class FaceFee(NamedTuple):
    """A rate of the face value of the shares from a day on, the same of buys and of sales."""

    since: date
    rate: float
    minimum: float  # yuan an order


STAMP_DUTY: tuple[Duty, ...] = (
    # The first five as listed in "印花税历次变动情况" (chinaacc.com, May 2007).
    Duty(date(1992, 6, 12), 0.003, 0.003),  # 国家税务总局, 国家体改委: 关于股份制试点企业有关税收问题的暂行规定
    Duty(date(1997, 5, 12), 0.005, 0.005),  # a Monday; other texts say 05-10, the Saturday before: no trade differs
    Duty(date(1998, 6, 12), 0.004, 0.004),  # State Taxation Administration
    Duty(date(2001, 11, 16), 0.002, 0.002),  # MOF
    Duty(date(2005, 1, 24), 0.001, 0.001),  # MOF notice of 2005-01-23
    Duty(date(2007, 5, 30), 0.003, 0.003),  # MOF 财税〔2007〕84号
    Duty(date(2008, 4, 24), 0.001, 0.001),  # MOF notice of 2008-04-23
    Duty(date(2008, 9, 19), 0.0, 0.001),  # MOF notice of 2008-09-18: sales only
    Duty(date(2023, 8, 28), 0.0, 0.0005),  # MOF 2023 No. 39: halved
)
TRANSFER_FEE: tuple[Duty, ...] = (
    Duty(date(2015, 8, 1), 0.00002, 0.00002),  # CHINACLEAR 2015-07-09: 0.002 % of the value, both exchanges
    Duty(date(2022, 4, 29), 0.00001, 0.00001),  # CHINACLEAR 2022-04: halved, one rate for the three exchanges
)
TRANSFER_FEE_BSE: tuple[Duty, ...] = (
    Duty(date(2021, 11, 15), 0.000025, 0.000025),  # CHINACLEAR 2022-04 names 0.0025 % as the rate until then
    Duty(date(2022, 4, 29), 0.00001, 0.00001),  # CHINACLEAR 2022-04
)
# Before 2015-08-01 the two exchanges differed. Shanghai's fee was of the face value. These are the rates of
# the depository, as the notice of 2015-07-09 names the last of them; a broker could show twice as much, his part
# included. What a broker takes is in the commission here. When the first rate began is not told.
TRANSFER_FEE_SHANGHAI: tuple[FaceFee, ...] = (
    FaceFee(VALID_FROM, 0.0005, 1.0),
    FaceFee(date(2012, 6, 1), 0.000375, 0.0),  # CHINACLEAR notice of 2012-04-30: a quarter less, no minimum
    FaceFee(date(2012, 9, 1), 0.0003, 0.0),  # CHINACLEAR notice of 2012-08-02; until the notice of 2015-07-09
)
# Shenzhen's was 0.00255 % of the value (CHINACLEAR 2015-07-09), but no line of its own on an investor's
# statement: it was mostly inside the broker's commission, so a run that charges a commission has paid it.
TRANSFER_FEE_SHENZHEN: tuple[Duty, ...] = (Duty(VALID_FROM, 0.0, 0.0),)
FACE_VALUE = 1.0  # yuan a share, as a rule; the data does not tell the few exceptions, such as 601899's 0.1


class DividendTax(NamedTuple):
    """Tax on cash dividends of natural persons, by the time held, for ex-dates from a day on."""

    since: date
    month: float  # held up to one month
    year: float  # up to one year
    longer: float


DIVIDEND_TAX: tuple[DividendTax, ...] = (
    # Individual Income Tax Law as amended on 1993-10-31, articles 2 (7) and 3 (5). That listed companies withheld
    # the full tax until the next row: MOF 财税〔2005〕107号.
    DividendTax(date(1994, 1, 1), 0.20, 0.20, 0.20),
    DividendTax(date(2005, 6, 13), 0.10, 0.10, 0.10),  # MOF 财税〔2005〕102号: half of the dividend at 20 %
    DividendTax(date(2013, 1, 1), 0.20, 0.10, 0.05),  # MOF 财税〔2012〕85号
    DividendTax(date(2015, 9, 8), 0.20, 0.10, 0.00),  # MOF 财税〔2015〕101号
)
MAX_COMMISSION = 0.003  # of the value, since 2002-05-01, 证监发〔2002〕21号
MIN_COMMISSION = 5.0  # yuan an order, same notice


_STAMP_DAYS = tuple(row.since.toordinal() for row in STAMP_DUTY)
_TRANSFER_DAYS = tuple(row.since.toordinal() for row in TRANSFER_FEE)
_TRANSFER_DAYS_BSE = tuple(row.since.toordinal() for row in TRANSFER_FEE_BSE)
_TRANSFER_DAYS_SHANGHAI = tuple(row.since.toordinal() for row in TRANSFER_FEE_SHANGHAI)
_DIVIDEND_DAYS = tuple(row.since.toordinal() for row in DIVIDEND_TAX)


def stamp_duty(day: int) -> Duty:
    """Return the stamp duty in force on a day.

    Parameters
    ----------
    day : int
        Proleptic ordinal of the day (``date.toordinal()``), which is the whole part of a Backtrader datetime.

    Raises
    ------
    RuleError
        The day is before the range of validity.
    """
    check_day(day, 'give the stamp duty as a rate, --stamp-duty RATE, such as 0.003')
    return STAMP_DUTY[bisect_right(_STAMP_DAYS, day) - 1]


def transfer_fee(day: int, code: str = '') -> Duty | FaceFee:
    """Return the transfer fee in force on a day.

    Parameters
    ----------
    day : int
        Ordinal of the day.
    code : str
        Canonical code: each exchange had its own fee before 2015-08-01, and Beijing until 2022-04-28. Without it
        that of Shanghai and Shenzhen from 2015-08-01 on.

    Returns
    -------
    Duty or FaceFee
        A rate of the value, or in Shanghai before 2015-08-01 of the face value.

    Raises
    ------
    RuleError
        The day is before the range of validity or before Beijing's exchange; or no code where there is no one fee.
    """
    check_day(day, 'give the transfer fee as a rate, --transfer-fee RATE, such as 0.00005')
    if code.endswith('.BJSE'):
        if day < _TRANSFER_DAYS_BSE[0]:
            raise RuleError(f"Beijing's transfer fee is known from {TRANSFER_FEE_BSE[0].since} on, not on "
                            f'{date.fromordinal(day)}: give it as a rate, --transfer-fee RATE, such as 0.000025')
        return TRANSFER_FEE_BSE[bisect_right(_TRANSFER_DAYS_BSE, day) - 1]
    if day >= _TRANSFER_DAYS[0]:
        return TRANSFER_FEE[bisect_right(_TRANSFER_DAYS, day) - 1]
    if code.endswith('.XSHG'):
        return TRANSFER_FEE_SHANGHAI[bisect_right(_TRANSFER_DAYS_SHANGHAI, day) - 1]
    if code.endswith('.XSHE'):
        return TRANSFER_FEE_SHENZHEN[0]
    raise RuleError(f'before {TRANSFER_FEE[0].since} each exchange had its own transfer fee: for {date.fromordinal(day)} '
                    'give the code of the stock, or the fee as a rate, --transfer-fee RATE, such as 0.00005')


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
        The ex-date is before the range of validity.
    """
    check_day(ex_date, 'give the dividend tax as a rate, --dividend-tax RATE, such as 0.2')
    row = DIVIDEND_TAX[bisect_right(_DIVIDEND_DAYS, ex_date) - 1]
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
