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
(`rules.DIVIDEND_TAX`). Bonus shares are not taxed: the data does not tell them from transfers of reserves.

Delisting, by ``delist``: a stock whose last row is before the market's last day is worth its last close
(``last_close``, optimistic), nothing (``zero``), or its last close less a part (a number from 0 to 1) after that day.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from backtrader.order import SellOrder

from . import rules
from .commission import NO_FEES

if TYPE_CHECKING:
    from .broker import AShareBroker


HOLDING = 'holding'


class Calendar:
    """The market's trading days and each stock's life, read off the feeds.

    Parameters
    ----------
    datas : iterable of data feeds
        Registered feeds; those with ``days`` (ordinals of all their rows, not only those in the run) count.
    """

    def __init__(self, datas: Any) -> None:
        days = [data.days for data in datas if hasattr(data, 'days')]
        self.days = np.unique(np.concatenate(days)) if days else np.empty(0, 'int64')
        self.first = int(self.days[0]) if len(self.days) else 0
        self.last = int(self.days[-1]) if len(self.days) else 0

    def listed_day(self, data: Any, day: int) -> int:
        """Return the number of the trading day since the stock's listing, 1 on the first.

        0 after a month, and where the stock was there from the data's first day on: its listing day is not known.
        """
        first = getattr(data, 'first_day', 0)
        if first <= self.first:
            return 0
        number = int(np.searchsorted(self.days, day) - np.searchsorted(self.days, first)) + 1
        return number if number <= 30 else 0  # no rule asks for more than the first few days

    def has(self, day: int) -> bool:
        """Return whether the market trades on a day; True where no feed tells its days."""
        at = int(np.searchsorted(self.days, day))
        return not len(self.days) or (at < len(self.days) and int(self.days[at]) == day)

    def gone(self, data: Any, day: int) -> bool:
        """Return whether the stock's last row lies before the day and before the market's last day."""
        last = getattr(data, 'last_day', self.last)
        return last < day and last < self.last


def settle_delisted(broker: AShareBroker) -> None:
    """Turn positions in stocks that were delisted after the close of the day before into cash."""
    for data in list(broker.positions):
        if broker.calendar.gone(data, broker.day):
            lost = {'last_close': 0.0, 'zero': 1.0}.get(broker.p.delist, broker.p.delist)
            price = broker.marks.get(data, 0.0) * (1 - lost)
            book_out(broker, data, price, 'delisted')


def apply_ex_rights(broker: AShareBroker) -> None:
    """Apply the ex-rights of the day to what is held, before any order."""
    if broker.p.ex_rights == 'off':
        return
    for data, position in list(broker.positions.items()):
        if int(data.datetime[0]) != broker.day or data not in broker.marks:
            continue
        if broker.p.ex_rights == 'auto' and getattr(data, 'explicit_actions', False) and _told(data):
            _explicit(broker, data, position.size)
        else:
            _reinvest(broker, data, position.size, broker.marks[data])


def _whole(shares: float) -> int:
    """Return whole shares; a product that is whole must not fall below it by its binary rounding."""
    return math.floor(shares + 1e-9 + shares * 1e-15)


def _told(data: Any) -> bool:
    """Return whether the row of the day tells of corporate actions, be it that there is none."""
    dividend, ratio = data.lines.cash_dividend[0], data.lines.share_ratio[0]
    return dividend == dividend or ratio == ratio


def _explicit(broker: AShareBroker, data: Any, shares: int) -> None:
    dividend, ratio = data.lines.cash_dividend[0], data.lines.share_ratio[0]
    cash = shares * dividend if dividend == dividend else 0.0
    if broker.tax_lots is None:
        cash *= 1 - broker.p.dividend_tax
    elif cash:
        broker.tax_lots.dividend(data, broker.day, dividend)
    new = _whole(shares * ratio) if ratio == ratio else shares
    if cash or new != shares:
        restate(broker, data, new, cash, 'dividend', ratio if ratio == ratio else 1.0)


def _reinvest(broker: AShareBroker, data: Any, shares: int, last_close: float) -> None:
    line = getattr(data.lines, 'preclose', None)
    preclose = math.nan if line is None else line[0]
    if not preclose > 0 or abs(preclose - last_close) <= rules.HALF_TICK:
        return
    exact = shares * last_close / preclose
    new = _whole(exact)
    restate(broker, data, new, max(0.0, exact - new) * preclose, 'reinvest', last_close / preclose)


def book_out(broker: AShareBroker, data: Any, price: float, reason: str) -> None:
    """Turn a whole position into cash at a price, free of charge, as a sale of the broker's own.

    Parameters
    ----------
    data : data feed
    price : float
        Yuan a share.
    reason : str
        Kept in ``order.info.reason``; ``notify_order`` sees the order like any other.
    """
    owners, size = broker._owners[data], broker.positions[data].size
    broker.events.append((broker.day, data._name, reason, size, 0, size * price))
    pieces = [(owner, trade.tradeid, trade.size) for owner, trade in _open_trades(broker, data)]
    if sum(piece[2] for piece in pieces) != size:  # trades that no strategy keeps book of
        pieces = [(owners[-1], 0, size)]
    for owner, tradeid, shares in pieces:
        order = SellOrder(owner=owner, data=data, size=shares, tradeid=tradeid)
        order.addinfo(wanted=shares, reason=reason, booked_out=True)
        broker._ocoize(order, None)
        order.submit(broker)
        order.accept(broker)
        broker._fill(order, shares, price, NO_FEES)


def _open_trades(broker: AShareBroker, data: Any) -> list[tuple[Any, Any]]:
    """Return the strategies' open trades in a feed, each with its owner."""
    return [(owner, trade) for owner in broker._owners[data] for trades in owner._trades[data].values()
            for trade in trades[-1:] if trade.isopen]


def restate(broker: AShareBroker, data: Any, shares: int, cash: float, action: str, ratio: float) -> None:
    """Restate a position after a corporate action; its cost and its open trade go with it.

    Parameters
    ----------
    data : data feed
    shares : int
        New number of shares.
    cash : float
        Yuan paid out; it lowers the cost of the position.
    action : str
        What `events` calls it.
    ratio : float
        New shares per old one, before the total is floored.
    """
    position = broker.positions[data]
    if not shares:  # a consolidation below one share: the cash is all that is left
        book_out(broker, data, cash / position.size, 'consolidated')
        return
    broker.cash += cash
    broker.events.append((broker.day, data._name, action, position.size, shares, cash))
    if broker.tax_lots is not None:
        broker.tax_lots.restate(data, ratio)
    trades = [trade for _, trade in _open_trades(broker, data)]
    left, before = shares, position.size
    for number, trade in enumerate(trades, 1):
        new = left if number == len(trades) else shares * trade.size // before  # whole shares, none lost
        left -= new
        paid = cash * trade.size / before
        if new:
            trade.price = (trade.size * trade.price - paid) / new
        trade.size, trade.value = new, trade.price * new
    position.price = position.price_orig = (position.size * position.price - cash) / shares
    position.size = shares


class TaxLots:
    """What was bought when, and the dividends on it whose tax is still due: first in first out."""

    def __init__(self) -> None:
        self._lots: dict[Any, list[_Lot]] = {}

    def buy(self, data: Any, day: int, shares: int) -> None:
        """Add a lot."""
        self._lots.setdefault(data, []).append(_Lot(day, shares, []))

    def dividend(self, data: Any, day: int, per_share: float) -> None:
        """Note a dividend, yuan a share before tax, on all that is held on its ex-date."""
        for lot in self._lots.get(data, ()):
            lot.due.append((day, per_share * lot.shares))

    def restate(self, data: Any, ratio: float) -> None:
        """Multiply the lots by a ratio: their running sums are floored, so that whole shares add up to the position."""
        so_far = given = 0
        for lot in self._lots.get(data, ()):
            so_far += lot.shares
            upto = _whole(so_far * ratio)
            lot.shares, given = upto - given, upto

    def sell(self, data: Any, day: int, shares: int) -> float:
        """Take shares off the oldest lots and return the tax that is withheld, yuan."""
        tax, lots = 0.0, self._lots.get(data, [])
        while shares > 0 and lots:
            lot = lots[0]
            sold = min(shares, lot.shares)
            part = sold / lot.shares if lot.shares else 1.0
            tax += math.fsum(rules.dividend_tax(on, lot.day, day) * amount * part for on, amount in lot.due)
            lot.due = [(on, amount * (1 - part)) for on, amount in lot.due]
            lot.shares -= sold
            shares -= sold
            if not lot.shares:
                lots.pop(0)
        return tax

    def forget(self, data: Any) -> None:
        """Drop what is no longer held."""
        self._lots.pop(data, None)


@dataclass
class _Lot:
    day: int  # ordinal
    shares: int
    due: list[tuple[int, float]]  # ex-date, yuan before tax
