"""What was held at the close of every day: the rows of positions.csv."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np


class Holding(NamedTuple):
    """One stock held at a close: a row of positions.csv."""

    date: date
    code: str
    shares: int
    price: float  # yuan, the close of the day; of the last row where the day has none
    value: float  # yuan
    market_cap: float | None  # yuan, at that close; None where the day has no row, or the data does not tell
    days_held: int  # trading days since the position was opened, this one included
    industry: str  # as known the day before; empty where it is not


class HoldingsBook:
    """Books the positions at the close of each day, in columns: a few bytes for each stock and day."""

    def __init__(self) -> None:
        self.datas: list[Any] = []  # each feed once, in the order in which they were first held
        self.codes: list[str] = []  # what they are called
        self._numbers: dict[int, int] = {}  # identity of a feed -> its place in `datas`
        self.ends: list[int] = []  # rows so far, after each day
        self.stocks, self.shares, self.prices = array('i'), array('d'), array('d')
        self._places = np.empty(0, 'int32')  # number of a stock in its market's store -> its place in `datas`, -1: none yet

    def book(self, broker: Any) -> None:
        """Book what a broker holds, after it has valued the account at the close."""
        closing = getattr(broker, 'closing', None)
        if closing is not None:
            self._book_many(closing)
            return
        marks = getattr(broker, 'marks', {})
        add_stock, add_size, add_price = self.stocks.append, self.shares.append, self.prices.append
        for data, position in broker.positions.items():
            size = position.size
            if size:
                number = self._number_of(data)
                price = marks.get(data)  # which ours has just set
                if price is None:
                    price = data.close[0] if len(data) else position.price
                add_stock(number)
                add_size(size)
                add_price(price)
        self.ends.append(len(self.stocks))

    def _book_many(self, closing: Any) -> None:
        """Book a `exchange.account.Closing`."""
        numbers = closing.numbers
        if int(numbers.max()) >= len(self._places):
            self._places = np.concatenate([self._places, np.full(int(numbers.max()) + 1, -1, 'int32')])
        places = self._places[numbers]
        for at in np.flatnonzero(places < 0).tolist():
            places[at] = self._places[numbers[at]] = self._number_of(closing.datas[at])
        sizes, prices, held = closing.sizes, closing.prices, closing.sizes != 0
        if not held.all():
            places, sizes, prices = places[held], sizes[held], prices[held]
        self.stocks.frombytes(places.tobytes())
        self.shares.frombytes(sizes.tobytes())
        self.prices.frombytes(prices.tobytes())
        self.ends.append(len(self.stocks))

    def _number_of(self, data: Any) -> int:
        number = self._numbers.get(id(data))  # by identity: == of two feeds compares their closes
        if number is None:
            number = self._numbers[id(data)] = len(self.datas)
            self.datas.append(data)
            self.codes.append(data._name)
        return number

    def unbook(self) -> None:
        """Forget the last day: it goes on with a later bar."""
        self.ends.pop()
        last = self.ends[-1] if self.ends else 0
        for column in (self.stocks, self.shares, self.prices):
            del column[last:]

    def last_values(self) -> dict[str, float]:
        """Return what each stock held at the last close is worth, yuan."""
        rows = range(self.ends[-2] if len(self.ends) > 1 else 0, self.ends[-1]) if self.ends else ()
        return {self.codes[self.stocks[row]]: self.shares[row] * self.prices[row] for row in rows}

    def release(self) -> None:
        """Let go of the feeds, which cannot leave the process."""
        self.datas, self._numbers = [], {}

    def days(self) -> Iterator[range]:
        """Give the rows of each day."""
        start = 0
        for end in self.ends:
            yield range(start, end)
            start = end

    def rows(self, days: Sequence[date]) -> Iterator[tuple[date, str, float, float]]:
        """Give day, code, shares and price (yuan) of each holding; ``days`` are those that were booked."""
        for day, rows in zip(days, self.days(), strict=True):
            for row in rows:
                yield day, self.codes[self.stocks[row]], self.shares[row], self.prices[row]

    def counts(self, without: Collection[str] = ()) -> list[int]:
        """Return how many stocks were held at each close, but for some codes."""
        counted = [code not in without for code in self.codes]
        return [sum(counted[self.stocks[row]] for row in rows) for rows in self.days()]
