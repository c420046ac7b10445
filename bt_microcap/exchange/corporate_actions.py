"""What happens to a held stock without an order: ex-rights and delisting.

Everything here happens before the open of a day, in this order: positions whose stock was delisted after the
close of the day before become cash, then ex-rights are applied.

Ex-rights, by the broker's param ``ex_rights``:

- ``auto``: where the table has the columns ``cash_dividend`` or ``share_ratio``, these: cash of
  ``cash_dividend * shares``, then ``floor(shares * share_ratio)`` shares. Else, and in a row that has neither of the two
  values, as ``reinvest`` where it has ``preclose``. Else nothing.
- ``reinvest``: where ``preclose`` differs from the last close by more than half a tick, the shares become
  ``floor(shares * last_close / preclose)`` and the fraction is paid in cash at ``preclose``: the value of the
  position is kept, as by an investor who puts the dividend back without tax or fee.
- ``off``: nothing; prices then fall on ex-dates without any compensation.

Dividend tax, by ``dividend_tax``, on explicit dividends: a flat rate is taken off on the ex-date; ``holding`` credits
the dividend in full and withholds the tax at the sale, first in first out, at the rate of the time held
(`rules.DIVIDEND_TAX`). Bonus shares are not taxed: the data does not tell them from transfers of reserves. What a listed fund
pays out is not taxed by either (MOF 财税〔2002〕128号, item 2.3; 财税字〔1998〕55号): the fund's own income was.

Delisting: after its delisting day, where the market's listings tell it, a holding becomes cash; else when the stock has had
no row for ``delist_wait`` trading days and has none later (0: after the close of its last row). By ``delist`` it is then
worth its last close (``last_close``: the prices of the delisting period are in the data, but who could not sell in it gets
less), nothing (``zero``), or its last close less a part (a number from 0 to 1). Until then it is held, marked at that close.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from . import rules


class ExRights(NamedTuple):
    """What a corporate action makes of a holding."""

    action: str  # dividend, from explicit columns; reinvest, from preclose
    shares: int  # held afterwards
    cash: float  # yuan paid out; it lowers the cost of the position
    ratio: float  # new shares per old one, before the total is floored
    dividend: float = 0.0  # yuan a share before tax


def delisting_price(last_close: float, delist: str | float) -> float:
    """Return what a share of a delisted stock is worth, yuan; `delist` as the broker's param."""
    return last_close * (1 - {'last_close': 0.0, 'zero': 1.0}.get(delist, delist))


def ex_rights(
    shares: int, last_close: float, preclose: float, tax_rate: float, cash_dividend: float = math.nan,
    share_ratio: float = math.nan, half_tick: float = rules.HALF_TICK,
) -> ExRights | None:
    """Return what the ex-rights of a day make of a holding; None where nothing happens.

    Parameters
    ----------
    shares : int
        Held at the close before.
    last_close : float
        Yuan.
    preclose : float
        The exchange's ex-rights reference price of the day, yuan; NaN where it is not known.
    tax_rate : float
        Of a dividend, withheld at once.
    cash_dividend : float
        Yuan a share before tax; NaN where it is not known.
    share_ratio : float
        New shares per old one; NaN where it is not known.
    half_tick : float
        Yuan, `rules.half_tick` of the code.
    """
    if cash_dividend == cash_dividend or share_ratio == share_ratio:  # the row tells, be it that nothing happens
        dividend = cash_dividend if cash_dividend == cash_dividend else 0.0
        ratio = share_ratio if share_ratio == share_ratio else 1.0
        cash = shares * dividend * (1 - tax_rate)
        new = whole_shares(shares * share_ratio) if share_ratio == share_ratio else shares
        return ExRights('dividend', new, cash, ratio, dividend) if cash or new != shares else None
    if not preclose > 0 or abs(preclose - last_close) <= half_tick:
        return None
    exact = shares * last_close / preclose
    new = whole_shares(exact)
    return ExRights('reinvest', new, max(0.0, exact - new) * preclose, last_close / preclose)


def whole_shares(shares: float) -> int:
    """Return whole shares; a product that is whole must not fall below it by its binary rounding."""
    return math.floor(shares + 1e-9 + shares * 1e-15)
