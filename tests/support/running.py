"""Running the plugin in tests: a table in, the blotter out."""

import backtrader as bt
import pandas as pd

from bt_microcap import Blotter, MicroCapStrategy, StockCharts, setup
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import add_stocks

STRATEGY = ('stocknum', 'refresh_rate', 'min_cap', 'max_cap', 'boards')


def run_feeds(table, *, profile='realistic', cash=1e6, start=None, end=None, strategy=MicroCapStrategy,
              analyzers=(), observers=(), cerebro=None, market=False, strict=False, **options):
    """Run the plugin and return the strategy; its blotter is ``.analyzers.blotter``.

    One feed per stock, or with ``market=True`` one `MarketFeed`.
    """
    cerebro = cerebro or bt.Cerebro(stdstats=False)
    table = check_table(table, strict=strict)
    days = sorted(set(table['date']))
    if start is not None:
        start = pd.Timestamp(start)
        # the bar before the first day gives the day before
        before = [day for day in days if day < start]
        start = before[-1] if before else start
    if market:
        cerebro.adddata(MarketFeed(dataname=table, fromdate=start, todate=end), name='market')
    else:
        add_stocks(cerebro, table, checked=True, fromdate=start, todate=end)
    cerebro.addstrategy(strategy, **{name: options.pop(name) for name in STRATEGY if name in options})
    setup(cerebro, profile, cash=cash, **{name: value for name, value in options.items() if value is not None})
    cerebro.addanalyzer(Blotter, _name='blotter')
    for analyzer in analyzers:
        cerebro.addanalyzer(analyzer)
    for observer in observers:
        cerebro.addobserver(observer)
    return cerebro.run()[0]


def run_market(table, **options):
    """Run the plugin over one `MarketFeed`; see `run_feeds`."""
    return run_feeds(table, market=True, **options)


def fills_of(strategy):
    """Return data -> (datetime, size, price) of each fill, as the charts of ``cerebro.plot()`` know them."""
    return next(analyzer for analyzer in strategy._slave_analyzers if isinstance(analyzer, StockCharts)).fills
