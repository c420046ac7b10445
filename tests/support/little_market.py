"""A made-up market that the stand-ins of the data services tell, each in its own words."""

from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np

HOLIDAYS = {date(2024, 1, 1), *(date(2024, 2, day) for day in range(9, 18)), date(2024, 4, 4), date(2024, 4, 5)}
FIRST, LAST = date(2023, 12, 20), date(2024, 5, 31)


@dataclass
class Event:
    """What happens on an ex-date: yuan a share before tax, shares afterwards per share before, or a rights issue."""

    day: date
    cash: float = 0.0
    ratio: float = 1.0
    rights: bool = False  # a rights issue: the preclose alone tells it


@dataclass
class Row:
    """A stock's day: yuan and shares."""

    day: date
    code: str
    open: float
    high: float
    low: float
    close: float
    preclose: float
    volume: float  # 0 on a suspended day, whose prices are the preclose
    amount: float
    total_shares: float
    float_shares: float
    is_st: bool
    paused: bool

    @property
    def market_cap(self) -> float:
        """Yuan."""
        return self.total_shares * self.close


@dataclass
class Stock:
    """A share, its names and what happens to it."""

    code: str
    names: list[tuple[date, str]]
    shares: float  # total, on its first day
    price: float  # yuan, on its first day
    listed: date = date(2010, 1, 4)
    delisted: date | None = None  # its last row is some days before
    last_row: date | None = None
    events: list[Event] = field(default_factory=list)
    suspended: tuple[date, date] | None = None  # first and last day
    float_part: float = 0.5  # of the total shares
    old_code: str | None = None  # of Beijing, until 2025-10-09


def trading_days(first: date = FIRST, last: date = LAST) -> list[date]:
    """Return the days on which the market is open."""
    every = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [day for day in every if day.weekday() < 5 and day not in HOLIDAYS]


STOCKS = [
    Stock('600111.XSHG', [(date(2010, 1, 4), '甲股份')], 2.5e8, 10.0, events=[Event(date(2024, 3, 13), cash=0.5)]),
    Stock('600112.XSHG', [(date(2010, 1, 4), '乙股份')], 1.2e8, 18.0, events=[Event(date(2024, 4, 10), 0.1, 2.0)],
          float_part=0.2),
    Stock('000113.XSHE', [(date(2010, 1, 4), '丙股份')], 2.1e8, 11.0, suspended=(date(2024, 2, 26), date(2024, 3, 6))),
    Stock('000114.XSHE', [(date(2010, 1, 4), '丁股份'), (date(2024, 3, 4), '*ST丁')], 3.0e8, 7.5),
    Stock('300115.XSHE', [(date(2010, 1, 4), '戊股份')], 2.4e8, 9.0, events=[Event(date(2024, 3, 20), ratio=1.1, rights=True)]),
    Stock('600116.XSHG', [(date(2010, 1, 4), '己股份'), (date(2023, 12, 1), '*ST己'), (date(2024, 3, 1), '退市己')], 1.0e8, 2.0,
          delisted=date(2024, 3, 26), last_row=date(2024, 3, 21)),  # 15 trading days from 2024-03-01
    Stock('600117.XSHG', [(date(2024, 2, 20), '庚股份')], 1.6e8, 14.0, listed=date(2024, 2, 20)),
    Stock('000118.XSHE', [(date(2010, 1, 4), '辛股份')], 2.8e8, 8.0, float_part=0.9),
    Stock('301119.XSHE', [(date(2020, 9, 1), '壬股份')], 1.9e8, 13.0, listed=date(2020, 9, 1)),
    Stock('688120.XSHG', [(date(2020, 1, 6), '癸股份')], 1.1e8, 21.0, listed=date(2020, 1, 6), float_part=0.3),
    Stock('600121.XSHG', [(date(2010, 1, 4), '子股份')], 9.0e8, 6.0, float_part=0.35),
    Stock('920122.BJSE', [(date(2022, 1, 4), '丑股份')], 1.0e8, 12.0, listed=date(2022, 1, 4), old_code='835122.BJSE'),
]


class LittleMarket:
    """Some stocks over some days, the same whenever it is made.

    `rows` are all there are, by code then day; a suspended day is one of them, with the prices of the preclose.
    """

    def __init__(self, stocks: list[Stock] | None = None, first: date = FIRST, last: date = LAST) -> None:
        self.stocks = {stock.code: stock for stock in (STOCKS if stocks is None else stocks)}
        self.days = trading_days(first, last)
        self.rows: dict[tuple[str, date], Row] = {}
        for number, stock in enumerate(self.stocks.values()):
            self._make(stock, np.random.default_rng(number))

    def _make(self, stock: Stock, random: np.random.Generator) -> None:
        close, shares = stock.price, stock.shares
        events = {event.day: event for event in stock.events}
        for day in self.days:
            if day < stock.listed or (stock.last_row or stock.delisted or day) < day:
                continue
            preclose = close
            if day in events:
                event = events[day]
                preclose = round((close - event.cash) / event.ratio, 2)
                shares = round(shares * event.ratio)
            moves = (1 + random.uniform(-0.03, 0.03, 4)).tolist()
            paused = stock.suspended is not None and stock.suspended[0] <= day <= stock.suspended[1]
            prices = [preclose] * 4 if paused else [round(preclose * move, 2) for move in moves]
            opened, close = prices[0], prices[3]
            volume = 0.0 if paused else 100.0 * int(random.integers(20_000, 90_000))
            name = [text for since, text in stock.names if since <= day][-1:]
            self.rows[stock.code, day] = Row(
                day, stock.code, opened, max(prices), min(prices), close, preclose, volume,
                round(volume * (max(prices) + min(prices)) / 2, 2), float(shares), float(round(shares * stock.float_part)),
                bool(name) and 'ST' in name[0], paused)

    def row(self, code: str, day: date) -> Row | None:
        """Return a stock's row of a day, suspended or not; None where it is not listed."""
        return self.rows.get((code, day))

    def of_stock(self, code: str, first: date, last: date) -> list[Row]:
        """Return a stock's rows, suspended days too."""
        return [row for day in self.days if first <= day <= last and (row := self.row(code, day)) is not None]

    def of_day(self, day: date) -> list[Row]:
        """Return all rows of a day, suspended ones too."""
        return [row for code in self.stocks if (row := self.row(code, day)) is not None]

    def share_changes(self, code: str) -> list[tuple[date, float]]:
        """Return the days from which on each number of total shares holds, the first one that of the listing."""
        found = [(self.stocks[code].listed, self.stocks[code].shares)]
        for event in self.stocks[code].events:
            if event.ratio != 1:
                found.append((event.day, float(round(found[-1][1] * event.ratio))))
        return found
