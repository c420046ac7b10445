"""Where the money of a rotation waits while it is not in stocks: in a fund of the data."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ..exchange import rules

LOT = rules.LOTS[rules.FUND].step  # shares
IDLE = 0.02  # part of the account that is not worth parking
MARGIN = 1.003  # more is sold than is needed, for slippage and fees


class Parking:
    """A fund, such as a money-market one, that is bought with idle cash and sold when stocks are bought.

    Parameters
    ----------
    strategy : MarketStrategy
    code : str
        Of the fund, such as ``511880.XSHG``. Where the data has none of that code the money waits as cash, with a warning.
    """

    def __init__(self, strategy: Any, code: str) -> None:
        self.strategy, self.code = strategy, code
        codes = strategy.universe.codes
        self._place = int(np.searchsorted(codes, code))
        self.known = self._place < len(codes) and codes[self._place] == code
        if not self.known:
            warnings.warn(f'the data has no {code}, the param parking: the money waits as cash', stacklevel=2)

    @property
    def _data(self) -> Any:
        return self.strategy.universe.feed(self.code)

    def value(self) -> float:
        """Return what is parked, yuan, at the price known now."""
        return self.strategy.value_of(self._data) if self.known and self._position() else 0.0

    def _position(self) -> int:
        return self.strategy.broker.getposition(self._data).size if self._data in self.strategy.broker.positions else 0

    def _trades_today(self) -> bool:
        return self.known and bool(self.strategy.known.section.today('paused')[self._place] == 0)

    def release(self, money: float) -> float:
        """Sell as much of the fund as is needed to have some yuan in cash; return the cash that there is then."""
        strategy = self.strategy
        cash = strategy.broker.getcash()
        if cash < money and self._trades_today() and (position := self._position()):
            price = strategy.price(self._data)
            lots = math.ceil((money - cash) * MARGIN / price / LOT)
            strategy.sell(data=self._data, size=min(position, lots * LOT), price=price, why='parking')
            cash = strategy.broker.getcash()
        return cash

    def put(self) -> None:
        """Buy the fund with idle cash."""
        strategy = self.strategy
        cash = strategy.broker.getcash()
        if cash > IDLE * strategy.broker.getvalue() and self._trades_today():
            price = strategy.price(self._data)
            if cash > LOT * price:
                strategy.buy(data=self._data, size=strategy.size(self._data, cash), price=price, value=cash, why='parking')
