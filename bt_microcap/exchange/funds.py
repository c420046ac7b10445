"""Funds listed at an exchange (ETFs, money-market funds, LOFs, closed-end funds, REITs), told by their codes.

`rules` gives these on; ask there. A fund may be bought and sold, but it is no A share: it is on none of `rules.BOARDS`.

Sources, cited beside the rows by these short names:

- ``CODES``: 上海证券交易所证券交易业务指南第4号——证券代码段分配指南, 上证函〔2024〕1724号: which digits are what.
- ``SSE``, ``SZSE``: the trading rules of the two exchanges, as in `rules`.
"""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import NamedTuple

from .validity import VALID_FROM

# First digits of the codes of funds that are traded. Not among them: 519 (open-ended funds, subscribed and redeemed), 521-524
# (business around them) and 580, 582 (warrants), all CODES.
FUND_CODES: dict[str, tuple[str, ...]] = {
    'XSHG': (
        '50',  # CODES: closed-end 500, LOF 501 and 502, closed-end 505, LOF of the STAR board 506, REITs 508
        '510', '511', '512', '513', '514', '515', '516', '517', '518',  # CODES: ETFs and exchange-traded money-market funds
        '520',  # CODES: cross-border ETFs
        '53',  # CODES: 530, ETFs on stocks of Shanghai
        '55', '56',  # CODES: 560 to 563, ETFs; the others are kept for funds
        '588', '589',  # CODES: ETFs of the STAR board
    ),
    'XSHE': (
        '15',  # SZSE: ETFs 159, graded funds 150
        '16',  # SZSE 开放式基金代码及简称编制规则: LOF, 16 and four more digits
        '18',  # SZSE: closed-end 184, REITs 180
    ),
}
# Funds of Shanghai with a limit of 20 %, as their code proves. In Shenzhen the digits tell nothing: 159915 (ChiNext) has 20 %,
# 159919 has 10 %.
WIDE_FUNDS = ('588', '589')

# Yuan, the price step of a fund: SSE 3.3.10, SZSE 3.3.9. The closed-end funds of the 1990s had 0.01, as stocks: no date here.
TICK_FUND = 0.001
STEPS_FUND = 1000  # of it a yuan


class SameDay(NamedTuple):
    """Codes of funds that may be sold on the day on which they were bought, and since when."""

    since: date
    exchange: str
    codes: tuple[str, ...]  # first digits


# SSE 3.1.5, SZSE 3.1.4, worded by the notices of 2015-01-09 on either article, which added the cross-border funds to those of
# bonds and gold and to the money-market funds. Where the code does not tell what a fund holds, as in Shenzhen, T+1 stays.
SAME_DAY: tuple[SameDay, ...] = (
    SameDay(VALID_FROM, 'XSHG', ('511', '518')),  # CODES: bonds and money market; gold. From their listing on, the first in 2013
    SameDay(VALID_FROM, 'XSHE', ('159001', '159002', '159003', '159004', '159005')),  # money market
    SameDay(date(2015, 1, 19), 'XSHG', ('513', '520')),  # CODES: cross-border
    SameDay(date(2015, 1, 19), 'XSHG', ('510900',)),  # named by the notice of 2015-01-09: of Hong Kong's market
)


@cache
def is_fund(code: str) -> bool:
    """Return whether a canonical code such as ``511880.XSHG`` is that of a listed fund; False for any other text."""
    digits, _, market = code.partition('.')
    return len(digits) == 6 and digits.isdigit() and market in FUND_CODES and digits.startswith(FUND_CODES[market])


@cache
def _same_day_since(code: str) -> int:
    """Return the ordinal of the day since when a code may be sold on the day of its purchase; beyond all days for never."""
    digits, _, market = code.partition('.')
    found = (row.since for row in SAME_DAY if row.exchange == market and digits.startswith(row.codes) and is_fund(code))
    return min(found, default=date.max).toordinal()


def sold_same_day(code: str, day: int) -> bool:
    """Return whether what was bought on a day may be sold on it (T+0).

    Parameters
    ----------
    code : str
        Canonical code; never that of an A share.
    day : int
        Ordinal.
    """
    return day >= _same_day_since(code)
