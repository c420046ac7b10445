"""The rotation: when to trade and how much."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from typing import Any

import backtrader as bt
import numpy as np

from ..exchange.broker import AShareBroker
from ..exchange.calendar import Calendar
from ..exchange.commission import AShareCommission
from ..exchange.fills import affordable
from ..feeds.universe import CrossSection, StockUniverse, Universe
from ..record.stock_charts import StockCharts
from . import ranks, screens


class NothingTradedWarning(UserWarning):
    """A run is over in which nothing was picked, or no order was filled."""


class MicroCapStrategy(bt.Strategy):
    """Every few days sell all, then buy the smallest companies of a market-cap band, equal cash each.

    With cheat-on-open (see `bt_microcap.setup`) it decides and trades at the open, from the day before and
    what is known before the open. Under a plain ``Cerebro()`` it decides at the close of the day before and
    its orders fill at the next open: the same days, but today's ST and suspension stand in for tomorrow's,
    sizes come from today's close, and the buys count on all sales going through.

    Day 0 is the second bar of the data, the first that has a day before it. At the open today is
    ``self.data.datetime.date(0)``: Backtrader moves the strategy's own ``self.datetime`` only after ``next_open``.

    To change the strategy override one of its steps: `is_rebalance_day` (timer), `screen`, `rank` and
    `select` (selection), `budget` and `size` (sizing), `sell_all`, `buy_picks` and `buy_stock` (orders).

    Params:

      - ``stocknum`` (default: ``3``): largest number of stocks held, 1 or more.
      - ``refresh_rate`` (default: ``5``): trading days from one rebalance to the next, 1 or more.
      - ``min_cap``, ``max_cap`` (default: ``2e9``, ``3e9``): the band of the market cap, yuan, both ends in.
      - ``boards`` (default: ``('main', 'chinext', 'star')``): where to buy, of `rules.BOARDS`.
      - ``plot_stocks`` (default: ``4``): how many of the stocks held ``cerebro.plot()`` draws, the most traded
        first; the others are left out (see `record.stock_charts`).
    """

    params = (
        ('stocknum', 3),  # holdings
        ('refresh_rate', 5),  # trading days
        ('min_cap', 2e9),  # yuan
        ('max_cap', 3e9),  # yuan
        ('boards', ('main', 'chinext', 'star')),  # BSE is off
        ('plot_stocks', 4),  # charts of stocks in cerebro.plot()
    )

    def __init__(self) -> None:
        for name in ('stocknum', 'refresh_rate'):
            value = getattr(self.p, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f'{name} is {value!r}: expected a whole number of 1 or more')
        if not self.p.min_cap <= self.p.max_cap:
            raise ValueError(f'min_cap is {self.p.min_cap!r} and max_cap {self.p.max_cap!r}: expected min_cap <= max_cap')
        self.universe = self.make_universe()
        self._bars = 0  # bars whose decisions are made
        self._day = 0  # ordinal of the last of them, and the market's calendar, where the broker is not ours
        self._calendar: Calendar | None = None
        self._rebalances = self._picks = self._notices = self._fills = 0  # what `nothing_traded` tells
        self._refusals: Counter[str] = Counter()
        self._band_days: int | None = None  # rebalance days on which a stock lay in the band; None: not looked at
        self._band_checked = False
        self._addanalyzer_slave(StockCharts)  # what cerebro.plot() draws; not among the user's own analyzers

    def start(self) -> None:
        """Refuse what would print wrong money."""
        if any(hasattr(data, 'universe') for data in self.datas) and not isinstance(self.broker, AShareBroker):
            raise ValueError(
                'a MarketFeed needs AShareBroker: on a day without a row its stocks have a bar, on which another broker would '
                'trade; use setup(cerebro), cerebro.setbroker(AShareBroker()), or one feed per stock (add_stocks)')
        if len(self.env.runningstrats) > 1:
            raise ValueError(
                f'found {len(self.env.runningstrats)} strategies in one Cerebro, which share one account: each would sell what '
                'the others hold; run one Cerebro a strategy, or cerebro.optstrategy')

    def make_universe(self) -> Universe:
        """Return what is asked for cross-sections and feeds; hook."""
        makers = [data.universe for data in self.datas if hasattr(data, 'universe')]
        if len(makers) > 1:
            raise ValueError(f'found {len(makers)} MarketFeeds in one Cerebro: expected one, with all stocks; make one store of '
                             'both')
        return makers[0]() if makers else StockUniverse(self.datas)

    def stop(self) -> None:
        """Say it where the run has done nothing."""
        found = self.nothing_traded()
        if found:
            warnings.warn(found, NothingTradedWarning, stacklevel=2)

    def nothing_traded(self) -> str:
        """Return why the run has picked no stock, or filled no order; empty where it has."""
        if self._fills or not self._rebalances:
            return ''
        if not self._picks:
            if self._band_days is None:
                why = 'screen and select let none through'
            elif not self._band_days:
                why = (f'no market cap lay between min_cap {screens.typed(self.p.min_cap)} and max_cap '
                       f'{screens.typed(self.p.max_cap)} yuan on any of them')
            else:
                why = (f'on {self._band_days} of them a market cap lay in the band, but of a stock that is suspended, ST, in the '
                       f'delisting period or not on the boards {", ".join(self.p.boards)}, or that select did not take')
            return f'no stock was picked on any of {self._rebalances} rebalance days: {why}'
        refused = self._refusals.total()
        if refused:
            why = f'{refused} refused, most often {self._refusals.most_common(1)[0][0]!r}'
        elif self._notices:
            why = 'none was refused, they were still open at the end or withdrawn'
        else:
            why = 'no order was given'
        return f'{self._picks} picks, but not one order was filled: {why}'

    def _addnotification(self, order: bt.Order, quicknotify: bool = False) -> None:
        # counted here: a subclass with its own notify_order rarely calls the one of its base
        self._notices += 1
        self._fills += bool(order.executed.size)
        if order.status in (order.Rejected, order.Margin):
            self._refusals[order.info.get('reason') or order.getstatusname().lower()] += 1
        super()._addnotification(order, quicknotify)

    # -- when ---------------------------------------------------------------------------------------------

    @property
    def at_open(self) -> bool:
        """Whether decisions are made at the open (cheat-on-open), else at the close before."""
        return bool(self.cerebro.p.cheat_on_open)

    def next_open(self) -> None:
        """Decide at the open; Backtrader calls it only with cheat-on-open."""
        if not self._is_market_bar():
            return  # a bar of some other feed: on a day without trading, or at another time of the day
        day, self._bars = self._bars - 1, self._bars + 1  # the first bar only gives the day before
        if day >= 0:
            self.trade(day)

    def next(self) -> None:
        """Decide at the close for the next open, where there is no cheat-on-open."""
        if not self.at_open and self._is_market_bar():
            day, self._bars = self._bars, self._bars + 1
            self.trade(day)

    def _is_market_bar(self) -> bool:
        if isinstance(self.broker, AShareBroker):
            return self.broker.is_market_bar
        if self._calendar is None:
            self._calendar = Calendar(self.datas)
        now = max(data.datetime[0] for data in self.datas if len(data))
        if not self._calendar.is_market_bar(now, self._day):
            return False
        self._day = int(now)
        return True

    # A stock that is listed late keeps Backtrader in prenext until all feeds have bars: trade there too.
    def prenext_open(self) -> None:
        """Trade as in `next_open`."""
        self.next_open()

    def nextstart_open(self) -> None:
        """Trade as in `next_open`."""
        self.next_open()

    def prenext(self) -> None:
        """Trade as in `next`."""
        self.next()

    def trade(self, day: int) -> None:
        """Do the day's work; hook for what must happen every day.

        Parameters
        ----------
        day : int
            Trading days since day 0, the day on which the orders fill.
        """
        if self.is_rebalance_day(day):
            self.rebalance()

    def is_rebalance_day(self, day: int) -> bool:
        """Return whether to rebalance on a day; hook. Day 0 is one."""
        return day % self.p.refresh_rate == 0

    def rebalance(self) -> None:
        """Sell all, then buy the picks."""
        picks = self.select(self.universe.section(self.at_open))
        self._rebalances += 1
        self._picks += len(picks)
        kept = self.sell_all()
        self.buy_picks(picks, kept)

    # -- which --------------------------------------------------------------------------------------------

    def select(self, section: CrossSection) -> list[str]:
        """Return the codes to buy, the first choice first; hook.

        Parameters
        ----------
        section : CrossSection
            What is known of every stock.
        """
        return ranks.smallest(section.codes, self.screen(section), self.rank(section), self.p.stocknum)

    def screen(self, section: CrossSection) -> np.ndarray:
        """Return the mask of the stocks that may be bought; hook."""
        in_band = screens.cap_between(section, self.p.min_cap, self.p.max_cap)
        if in_band.any():
            self._band_days, self._band_checked = (self._band_days or 0) + 1, True
        else:
            self._band_days = self._band_days or 0
            if not self._band_checked:  # once: where any stock ever lies in it, some days without are no fault
                self._band_checked = True
                screens.check_band(self.universe, self.p.min_cap, self.p.max_cap)
        return in_band & screens.tradable(section) & screens.on_boards(section.codes, self.p.boards)

    def rank(self, section: CrossSection) -> np.ndarray:
        """Return one number per stock, the smallest is bought first; hook. The market cap by default."""
        return section.previous('market_cap')

    # -- how much -----------------------------------------------------------------------------------------

    def budget(self, cash: float, free: int) -> float:
        """Return the yuan for each buy; hook.

        Parameters
        ----------
        cash : float
            Yuan after the sales.
        free : int
            Holdings still to be filled, 1 or more.
        """
        return cash / free

    def size(self, data: Any, budget: float) -> int:
        """Return the shares to ask for with a budget; hook.

        `AShareBroker` cuts the order to legal lots, fees and cash when it fills. For a plain broker, which
        would refuse an order that it cannot pay, the size is cut here, at the price known now.

        Parameters
        ----------
        data : data feed
        budget : float
            Yuan.
        """
        price = self.price(data)
        if not price > 0:  # not listed yet, or no longer: let the broker say so
            return 1
        if isinstance(self.broker, AShareBroker):
            return max(1, math.floor(budget / price + 1e-9))  # less than one share: let the broker say so
        fees = self.broker.getcommissioninfo(data).getcommission
        return affordable(data._name, math.inf, price, budget, fees)

    def price(self, data: Any) -> float:
        """Return the price known when deciding, yuan: today's open at the open, else the close."""
        return data.open[0] if self.at_open else data.close[0]

    # -- orders -------------------------------------------------------------------------------------------

    def order_target_value(self, data: Any = None, target: float = 0.0, price: float | None = None, **kwargs: Any) -> Any:
        """Order up or down to a value, yuan, as Backtrader's; at the open by today's open, not by the close to come.

        ``order_target_percent`` comes here too.
        """
        data = self.getdatabyname(data) if isinstance(data, str) else self.data if data is None else data
        return super().order_target_value(data, target, price=self.price(data) if price is None else price, **kwargs)

    def held(self) -> list[Any]:
        """Return the feeds with a position, in the order in which the positions were opened."""
        return [data for data, position in self.broker.positions.items() if position.size]

    def sell_all(self) -> list[Any]:
        """Sell every position whole; hook.

        Returns
        -------
        list of data feeds
            Those that stay: their sale was refused, or is bound to be.
        """
        for data in self.held():
            self.close(data=data, price=self.price(data), whole=True, why='rebalance')
        if self._fills_now():
            return self.held()
        now = self.datetime[0] if not self.at_open else max(data.datetime[0] for data in self.datas if len(data))
        return [data for data in self.held()
                if int(data.datetime[0]) != int(now) or getattr(data, 'paused', (0,))[0] == 1 or not self.price(data) > 0]

    def cash_after_sales(self, kept: list[Any]) -> float:
        """Return the cash for the buys, yuan; what queued sales will bring is estimated at the price known now."""
        cash = self.broker.getcash()
        if self._fills_now():
            return cash
        stay = {id(data) for data in kept}  # by identity: == of two feeds compares their closes
        for data in self.held():
            if id(data) not in stay:
                price, size = self.price(data), self.broker.getposition(data).size
                cash += size * price - self._sale_fees(data, size, price)
        return cash

    def _sale_fees(self, data: Any, size: int, price: float) -> float:
        comminfo = self.broker.getcommissioninfo(data)
        if isinstance(comminfo, AShareCommission):
            return comminfo.fees(-size, price, int(data.datetime[0]), data._name).total
        return comminfo.getcommission(-size, price)

    def buy_picks(self, picks: list[str], kept: list[Any]) -> None:
        """Buy down the picks while fewer than ``stocknum`` stocks are held; hook.

        A pick that cannot be bought is not replaced. One that is still held is topped up.

        Parameters
        ----------
        picks : list of str
            Codes.
        kept : list of data feeds
            What is held after the sales.
        """
        free = self.p.stocknum - len(kept)
        if free <= 0:
            return
        budget = self.budget(self.cash_after_sales(kept), free)
        taken = set(kept)  # of hashes, which go by identity
        for code in picks:
            if len(taken) >= self.p.stocknum:
                break
            data = self.universe.feed(code)
            order = self.buy_stock(data, budget)
            if order is not None and order.status != order.Rejected:
                taken.add(data)

    def buy_stock(self, data: Any, budget: float) -> bt.Order | None:
        """Order one stock; hook.

        Parameters
        ----------
        data : data feed
        budget : float
            Yuan.
        """
        return self.buy(data=data, size=self.size(data, budget), price=self.price(data), value=budget, why='rebalance')

    def _fills_now(self) -> bool:
        return isinstance(self.broker, AShareBroker) and self.broker.fills_at_open
