"""Looking at feeds in tests: functions of the strategy, called at the open, after the close and when orders are told."""

import backtrader as bt

from bt_microcap import setup
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import add_stocks

FREE = {'slippage': 0.0, 'commission': 0.0, 'min_commission': 0.0, 'stamp_duty': 0.0, 'transfer_fee': 0.0, 'volume_limit': 0.0}


class Looker(bt.Strategy):
    """Calls ``opening``, ``closing``, ``told`` (of each order), ``rung`` (of each timer) and ``first`` (in __init__)."""

    params = (('opening', None), ('closing', None), ('told', None), ('rung', None), ('first', None))

    def __init__(self):
        self._call(self.p.first)

    def today(self):
        return len(self.data) - 1

    def feed(self, code):
        return self.data.stock(code) if hasattr(self.data, 'stock') else self.getdatabyname(code)

    def _call(self, function, *arguments):
        if function is not None:
            function(self, *arguments)

    def next_open(self):
        self._call(self.p.opening)

    def next(self):
        self._call(self.p.closing)

    def notify_order(self, order):
        self._call(self.p.told, order)

    def notify_timer(self, timer, when, *args, **kwargs):
        self._call(self.p.rung, kwargs)

    prenext_open = nextstart_open = lambda self: self.next_open()
    prenext = lambda self: self.next()  # noqa: E731


def look(table, *, market=False, strategy=Looker, beside=None, cerebro=None, arrange=None, options=None, **params):
    """Run a strategy, a `Looker` unless given, with ``setup()`` at no cost; return it.

    ``beside`` is called with Cerebro and adds feeds beside the market, ``arrange`` after ``setup()``;
    ``options`` are those of setup, ``params`` those of the strategy.
    """
    cerebro = cerebro or bt.Cerebro(stdstats=False)
    add_market(cerebro, table, market)
    if beside is not None:
        beside(cerebro)
    cerebro.addstrategy(strategy, **params)
    setup(cerebro, **{'cash': 100_000.0, **FREE, **(options or {})})
    if arrange is not None:
        arrange(cerebro)
    return cerebro.run()[0]


def add_market(cerebro, table, market):
    """Add a table as one `MarketFeed` or as one feed per stock."""
    if market:
        cerebro.adddata(MarketFeed(dataname=check_table(table)), name='market')
    else:
        add_stocks(cerebro, check_table(table), checked=True)
