"""``context``: the time, the account and what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from .session import Session


class Position:
    """A holding, or none where nothing is held."""

    def __init__(self, portfolio: Portfolio, security: str, feed: Any = None) -> None:
        self._portfolio, self.security, self._feed = portfolio, security, feed
        self.side, self.pindex, self.locked_amount = 'long', 0, 0

    @property
    def _held(self) -> Any:
        return self._portfolio.broker.getposition(self._feed) if self._feed is not None else None

    @property
    def total_amount(self) -> int:
        """Shares held."""
        held = self._held
        return int(held.size) if held is not None else 0

    @property
    def closeable_amount(self) -> int:
        """Shares that may be sold today."""
        return int(self._portfolio.broker.sellable(self._feed)) if self.total_amount else 0

    amount = sellable_amount = closeable_amount

    @property
    def today_amount(self) -> int:
        """Shares bought today."""
        return self.total_amount - self.closeable_amount

    @property
    def avg_cost(self) -> float:
        """Mean price of the buys without fees, restated over ex-dates; yuan a share."""
        held = self._held
        return float(held.price) if held is not None and held.size else 0.0

    acc_avg_cost = avg_cost

    @property
    def hold_cost(self) -> float:
        """The close of the day before, or the cost of what was bought today."""
        return self.avg_cost if self.today_amount else self._portfolio.session.fact_of('last_close', self.security)

    @property
    def price(self) -> float:
        """The last price, yuan."""
        if self._feed is None:
            return 0.0
        return self._portfolio.price(self._feed)

    last_sale_price = price

    @property
    def value(self) -> float:
        """What it is worth, yuan."""
        return self.price * self.total_amount

    @property
    def init_time(self) -> datetime:
        """When the position was opened."""
        return self._portfolio.opened.get(self.security, self._portfolio.session.now)

    @property
    def transact_time(self) -> datetime:
        """When it was traded last."""
        return self._portfolio.traded.get(self.security, self.init_time)

    def __repr__(self) -> str:
        return (f"UserPosition({{'avg_cost': {self.avg_cost}, 'security': {self.security!r}, 'closeable_amount': "
                f"{self.closeable_amount}, 'price': {self.price}, 'total_amount': {self.total_amount}}})")


class Positions:
    """What is held, by code, in the order in which it was bought; what is looked up and not held is an empty position.

    It may be walked while it is sold from.
    """

    def __init__(self, portfolio: Portfolio) -> None:
        self._portfolio = portfolio

    def _feeds(self) -> dict[str, Any]:
        return {data._name: data for data, position in self._portfolio.broker.positions.items() if position.size}

    def _feed(self, security: Any) -> Any:
        """Return the feed of a stock that is held, else None; orders ask often, so the others are not walked."""
        feed = self._portfolio.session.strategy.env.datasbyname.get(security)  # get(), which makes none
        return feed if feed is not None and self._portfolio.broker.getposition(feed).size else None

    def __getitem__(self, security: str) -> Position:
        return Position(self._portfolio, security, self._feed(security))

    def get(self, security: str, default: Any = None) -> Any:
        """Return a holding, or the default where it is not held."""
        return self[security] if security in self else default  # noqa: SIM401 - this is get()

    def keys(self) -> list[str]:
        """Return the codes held."""
        return list(self._feeds())

    def values(self) -> list[Position]:
        """Return the holdings."""
        return [position for _, position in self.items()]

    def items(self) -> list[tuple[str, Position]]:
        """Return codes and holdings."""
        return [(code, Position(self._portfolio, code, feed)) for code, feed in self._feeds().items()]

    iteritems, itervalues, iterkeys = items, values, keys

    def has_key(self, security: str) -> bool:
        """Return whether a stock is held."""
        return security in self

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return sum(position.size != 0 for position in self._portfolio.broker.positions.values())

    def __contains__(self, security: object) -> bool:
        return self._feed(security) is not None

    def __repr__(self) -> str:
        return repr(dict(self.items()))


class Portfolio:
    """The account.

    Parameters
    ----------
    session : Session
    broker : AShareBroker
    """

    def __init__(self, session: Session, broker: Any) -> None:
        self.session, self.broker = session, broker
        self.positions = self.long_positions = Positions(self)
        self.short_positions: dict[str, Position] = {}
        self.opened: dict[str, datetime] = {}
        self.traded: dict[str, datetime] = {}
        self.closing_value = broker.startingcash  # of the day before
        self.margin = 0.0
        self.waiting: Callable[[], float] = float  # tells the yuan that orders which wait are for
        self.type, self.index = 'stock', 0

    def price(self, feed: Any) -> float:
        """Return the last price of a holding, yuan: never one that is not known yet."""
        number = self.session.number.get(feed._name, -1)
        if number >= 0:
            last = self.session.fact('last_price')[number]
            if last == last:
                return last
        return self.broker.marks.get(feed, self.broker.getposition(feed).price)

    @property
    def available_cash(self) -> float:
        """Yuan that can be spent: without what orders that wait are for."""
        return self.broker.getcash() - self.locked_cash

    cash = available_cash

    @property
    def locked_cash(self) -> float:
        """Yuan that orders which wait are for."""
        return self.waiting()

    @property
    def transferable_cash(self) -> float:
        """Yuan that can be taken out; the proceeds of today's sales count."""
        return self.broker.getcash()

    @property
    def positions_value(self) -> float:
        """What is held, yuan."""
        return sum(position.size * self.price(feed) for feed, position in self.broker.positions.items())

    @property
    def total_value(self) -> float:
        """Cash and holdings, yuan."""
        return self.broker.getcash() + self.positions_value

    portfolio_value = total_value

    @property
    def inout_cash(self) -> float:
        """Yuan paid in so far."""
        return self.broker.startingcash + sum(flow for _, flow in self.broker.cash_flows)

    starting_cash = capital_used = inout_cash

    @property
    def returns(self) -> float:
        """The return up to the close of the day before, a fraction."""
        return self.closing_value / self.inout_cash - 1

    @property
    def pnl(self) -> float:
        """Profit so far, yuan."""
        return self.total_value - self.inout_cash

    def note(self, code: str, left: int, bought: bool) -> None:
        """Note when a stock was traded."""
        now = self.session.now
        if bought:
            self.opened.setdefault(code, now)
        self.traded[code] = now
        if not left:
            self.opened.pop(code, None)


class Context:
    """What every function of a script is given.

    Parameters
    ----------
    session : Session
    portfolio : Portfolio
    start, end : date
        First and last day of the run.
    """

    def __init__(self, session: Session, portfolio: Portfolio, start: date, end: date) -> None:
        self._session, self.portfolio = session, portfolio
        self.subportfolios = [portfolio]
        self.run_params = SimpleNamespace(start_date=start, end_date=end, type='simple_backtest', frequency='day')

    @property
    def current_dt(self) -> datetime:
        """The day and the time of the function that runs."""
        return self._session.now

    @property
    def previous_date(self) -> date:
        """The trading day before."""
        return self._session.previous_date

    @property
    def universe(self) -> list[str]:
        """Codes of ``set_universe``."""
        return list(self._session.universe)

    is_alive = True

    @property
    def previous_dt(self) -> datetime:
        """The day before as a time."""
        return datetime.combine(self._session.previous_date, datetime.min.time()) + timedelta(hours=15)
