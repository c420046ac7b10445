"""What the exchanges ask of a limit order beside its lot: how far its price may be from the market's, and how large it may be.

Sources, cited beside the rows by the short names of `rules`, and:

- ``MAIN2023``: 上证发〔2023〕32号 and 深证上〔2023〕98号, in force since 2023-04-10: the price cage (有效申报价格范围) of the
  main boards, and the ten price steps of ChiNext.

The cage holds for limit orders in continuous trading, not in call auctions. It is counted from the best price on the other side
at that moment (failing that the best on the own side, the last price, the close before), which nobody knows on the evening
before: a price within it of the reference price alone is near enough where the open is near that.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import date
from typing import NamedTuple

from . import rules


class Cage(NamedTuple):
    """How far a limit price may be from the market's in continuous trading, from a day on."""

    since: date
    fraction: float  # a buy at most so much above, a sale at most so much below
    ticks: int  # price steps that are allowed at least


# Of STAR the texts disagree whether the ten price steps hold: without them a price is inside either way. So it is at the BSE.
CAGES: dict[str, tuple[Cage, ...]] = {
    rules.MAIN: (Cage(date(2023, 4, 10), 0.02, 10),),  # MAIN2023
    rules.CHINEXT: (Cage(date(2020, 8, 24), 0.02, 0), Cage(date(2023, 4, 10), 0.02, 10)),  # CHINEXT; MAIN2023
    rules.STAR: (Cage(date(2019, 7, 22), 0.02, 0),),  # STAR
    rules.BSE: (Cage(date(2021, 11, 15), 0.05, 0),),  # BSE: 5 %, or ten price steps
}

# Shares of one limit order at most.
MAX_SHARES: dict[str, int] = {
    rules.MAIN: 1_000_000,  # SSE 3.3.9, SZSE 3.3.9
    rules.CHINEXT: 300_000,  # CHINEXT
    rules.STAR: 100_000,  # STAR, article 13
    rules.BSE: 1_000_000,  # BSE 3.2.8
    rules.FUND: 1_000_000,  # SSE 3.3.9, SZSE 3.3.9
}


def cage(code: str, day: int) -> Cage | None:
    """Return the price cage of a code on a day; None where there is none, as of a fund.

    Parameters
    ----------
    code : str
        Canonical code.
    day : int
        Ordinal.
    """
    rows = CAGES.get(rules.board(code), ())
    at = bisect_right([row.since.toordinal() for row in rows], day) - 1
    return rows[at] if at >= 0 else None


def parts_of(code: str, shares: int, sale: bool) -> list[int]:
    """Return the sizes of the orders that some shares are traded in: no more at once than the exchange takes.

    Parameters
    ----------
    code : str
        Canonical code.
    shares : int
        A legal size.
    sale : bool
        What is below a lot is sold with the last order.
    """
    lot, most = rules.LOTS[rules.board(code)], MAX_SHARES[rules.board(code)]
    parts = []
    while shares > most:
        part = most if shares - most >= lot.minimum else most - lot.minimum  # the rest must be a legal order, too
        parts.append(part if sale else rules.legal_buy(code, part))
        shares -= parts[-1]
    return [*parts, shares]
