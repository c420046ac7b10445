"""Orders by hand in tests: what to do on which day in, what the broker did out."""

from typing import Any, NamedTuple

import backtrader as bt

from bt_microcap import AShareBroker, AShareCommission
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import add_stocks


class Note(NamedTuple):
    """What notify_order saw."""

    day: int  # 0 is the first day of the market
    code: str
    side: str
    status: str
    reason: Any


class Fill(NamedTuple):
    day: int
    code: str
    size: int
    price: float


class Result:
    """The run's notes, fills and account; `orders` are those that the script returned."""

    def __init__(self, broker):
        self.broker = broker
        self.orders, self.notes, self.fills = [], [], []
        self.cash, self.value, self.shares = [], [], []  # one entry a day, after its close
        self.trades = self.strategy = None
        self._statuses = []

    @property
    def refusals(self):
        """(day, code, reason) of every order rejected."""
        return [(note.day, note.code, note.reason) for note in self.notes if note.status == 'Rejected']

    def statuses(self, order):
        return [status for ref, status in self._statuses if ref == order.ref]


class Scripted(bt.Strategy):
    """Does what a script says: day -> function of the strategy, called at that day's open or after its close."""

    params = (('script', None), ('result', None), ('at_open', True))

    def today(self):
        return len(self.data) - 1  # the first feed is the market's index: it has every day

    def feed(self, code):
        return self.data.stock(code) if hasattr(self.data, 'stock') else self.getdatabyname(code)

    def _act(self):
        step = self.p.script.get(self.today())
        if step is not None:
            done = step(self)
            self.p.result.orders.extend(done if isinstance(done, (list, tuple)) else [done])

    def next_open(self):
        if self.p.at_open:
            self._act()

    def prenext_open(self):
        self.next_open()

    def nextstart_open(self):
        self.next_open()

    def next(self):
        result, broker = self.p.result, self.broker
        result.cash.append(broker.getcash())
        result.value.append(broker.getvalue())
        result.shares.append({data._name: position.size for data, position in broker.positions.items()})
        if not self.p.at_open:
            self._act()

    def prenext(self):
        self.next()

    def notify_order(self, order):
        result, day = self.p.result, self.today()
        side = 'BUY' if order.isbuy() else 'SELL'
        result.notes.append(Note(day, order.data._name, side, order.getstatusname(), order.info.get('reason')))
        result._statuses.append((order.ref, order.getstatusname()))
        for bit in order.executed.iterpending():
            result.fills.append(Fill(day, order.data._name, bit.size, bit.price))


def play(table, script, *, at_open=True, cash=100_000.0, broker=None, commission=None, cheat=None, market=False,
         cerebro=None, beside=None, analyzers=(), **params):
    """Run a script over one feed per stock, or with ``market=True`` over one `MarketFeed`.

    ``script`` maps a day (0 is the first of the market) to a function of the strategy; it acts at that day's
    open, or with ``at_open=False`` after its close. ``params`` are the broker's. The fees are those of
    ``AShareCommission()`` unless given: 0.03 %, at least 5 yuan, and 0.1 % on sales. ``cerebro`` are further
    switches of Cerebro; ``beside`` is called with it and adds feeds beside the market; ``analyzers`` are added
    under the names of their classes.
    """
    switches = {'stdstats': False, 'cheat_on_open': at_open if cheat is None else cheat, **(cerebro or {})}
    cerebro = bt.Cerebro(**switches)
    if market:
        cerebro.adddata(MarketFeed(dataname=check_table(table)), name='market')
    else:
        add_stocks(cerebro, check_table(table), checked=True)
    if beside is not None:
        beside(cerebro)
    broker = broker or AShareBroker(cash=cash, **params)
    broker.addcommissioninfo(commission or AShareCommission())
    cerebro.setbroker(broker)
    result = Result(broker)
    cerebro.addstrategy(Scripted, script=script, result=result, at_open=at_open)
    cerebro.addanalyzer(bt.analyzers.TradeAnalyzer, _name='trades')
    for analyzer in analyzers:
        cerebro.addanalyzer(analyzer, _name=analyzer.__name__.lower())
    strategy = cerebro.run()[0]
    result.trades = strategy.analyzers.trades.get_analysis()
    result.strategy = strategy
    return result


def buy(code, size, **kwargs):
    """Make a step that buys."""
    return lambda strategy: strategy.buy(data=strategy.feed(code), size=size, **kwargs)


def sell(code, size, **kwargs):
    """Make a step that sells."""
    return lambda strategy: strategy.sell(data=strategy.feed(code), size=size, **kwargs)


def close(code, **kwargs):
    """Make a step that sells the whole position."""
    return lambda strategy: strategy.close(data=strategy.feed(code), **kwargs)


def steps(*parts):
    """Make one step of several, in order."""
    return lambda strategy: [part(strategy) for part in parts]
