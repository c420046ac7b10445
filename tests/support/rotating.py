"""Rotations by hand in tests: a tiny market in, what a piece gives or which orders were given out."""

import math

import backtrader as bt
import numpy as np
import pandas as pd

from bt_microcap import Blotter, MicroCapStrategy, setup
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import add_stocks
from bt_microcap.feeds.store import MarketStore
from bt_microcap.feeds.universe import CrossSection
from tests.support.history import ask
from tests.support.looking import FREE
from tests.support.markets import frame

ANY_CAP = {'min_cap': 0.0, 'max_cap': math.inf}
NEVER = 10_000  # a refresh rate: day 0 alone


class Vectors:
    """The source of a section without a market: the columns as given, the same for both days."""

    def __init__(self, before=738_000, **columns):
        self.before = before
        self.columns = {name: np.asarray(values, dtype=float) for name, values in columns.items()}

    def vector(self, name, previous):
        return self.columns[name]


class Index:
    """A section of which only an index is asked."""

    def __init__(self, closes):
        self.closes, self.asked = np.array(closes, dtype=float), []

    def benchmark(self, spec, n):
        self.asked.append((spec, n))
        return np.concatenate([np.full(max(n - len(self.closes), 0), math.nan), self.closes])[-n:]


def section_of(codes, before=738_000, **columns):
    """Make a section without a market."""
    return CrossSection(np.array(codes), Vectors(before, **columns))


def store_of(table, **tables):
    """Make a store in memory, with tables beside the market."""
    store = MarketStore.from_table(check_table(table))
    for name, rows in tables.items():
        store.add_reference_table(name, rows)
    return store


def index_of(table, closes, index='000300'):
    """Make the table of an index: one close for each of the first days of a market."""
    days = sorted(set(table['date']))[:len(closes)]
    return frame(index=[index] * len(days), date=days, open=closes, high=closes, low=closes, close=closes)


def seen_by(piece, table, market=True, bar=-1, at_open=True, **tables):
    """Return what a piece gives at a bar, by default the table's last: code -> number."""
    out = []
    ask(store_of(table, **tables) if market else check_table(table), market,
        lambda section, _: out.append(dict(zip(section.codes.tolist(), piece(section).tolist(), strict=True))), at_open)
    return out[bar]


def kept_by(screen, table, market=True, bar=-1, **tables):
    """Return the codes that a screen keeps at a bar, by default the table's last."""
    return [code for code, kept in seen_by(screen, table, market, bar, **tables).items() if kept]


def cerebro_of(table, market=True, cash=100_000.0, options=None, tables=None):
    """Make a Cerebro with a market and ``setup()``, at no cost unless `options` say so."""
    cerebro = bt.Cerebro(stdstats=False)
    if market:
        cerebro.adddata(MarketFeed(dataname=store_of(table, **(tables or {}))), name='market')
    else:
        add_stocks(cerebro, check_table(table), checked=True)
    setup(cerebro, cash=cash, **{**FREE, **(options or {})})
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro


def rotate(table, *, market=True, cash=100_000.0, options=None, tables=None, strategy=MicroCapStrategy, cheat=True, **params):
    """Run a rotation over any market cap, one rebalance unless ``refresh_rate`` is given; return the strategy.

    ``options`` are those of ``setup()``, ``tables`` those beside the market, ``params`` those of the strategy.
    """
    cerebro = cerebro_of(table, market, cash, options, tables)
    cerebro.addstrategy(strategy, **{**ANY_CAP, 'stocknum': 1, 'refresh_rate': NEVER, **params})
    return cerebro.run(cheat_on_open=cheat)[0]


def orders_of(strategy):
    """Return the orders of a run: (month-day, code, side, why, shares got, reason)."""
    return [(f'{order.date:%m-%d}', order.code, order.side, order.why, order.quantity, order.reason)
            for order in strategy.analyzers.blotter.orders]


def sales_of(strategy):
    """Return the sales of a run: (month-day, code, why, reason)."""
    return [(day, code, why, reason) for day, code, side, why, _, reason in orders_of(strategy) if side == 'SELL']


def buys_of(strategy):
    """Return the buys of a run that were filled: (month-day, code, shares)."""
    return [(day, code, got) for day, code, side, _, got, _ in orders_of(strategy) if side == 'BUY' and got]


def rebalance_days(table, *, market=True, cheat=True, **params):
    """Return the days of the data on which a strategy rebalances, as month-day."""
    days = []

    class Noting(MicroCapStrategy):
        def rebalance(self):
            days.append(self.known.today)

    rotate(table, market=market, cheat=cheat, strategy=Noting, **params)
    last = pd.Timestamp(max(table['date'])).date()
    return [f'{day:%m-%d}' for day in days if day <= last]
