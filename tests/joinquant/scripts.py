"""A market made by hand, and JoinQuant scripts that run on it: what the tests of such scripts share."""

import backtrader as bt
import numpy as np
import pandas as pd

from bt_microcap import Blotter, setup
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.store.writer import ingest_tables
from bt_microcap.joinquant.strategy import JoinQuantStrategy

# Put at the head of a script, trades cost nothing and fill at the price itself, so that literals stay short.
FREE = """
from jqdata import *


def free_of_costs():
    set_order_cost(OrderCost(), type='stock')
    set_slippage(FixedSlippage(0))

"""


def cents(price):
    """Round a price of two decimals half-up, as the exchanges round their limits."""
    return np.floor(round(price * 100, 6) + 0.5) / 100


def market(closes, start='2024-01-02', dates=None, **columns):
    """Build a canonical table by hand: codes x days.

    ``closes`` maps a code to one entry a trading day: a price, at which the stock opens and closes, or None where it has no
    row. Any further keyword is a column: one value for all; or a dict of codes to one value, to a list of values a day, or to
    a dict of days (0 is the first) to values. What is not said:

    - open, high, low: the close (high and low hold open and close); preclose: the close of the last row, at first the open;
    - high_limit, low_limit: 10 % from preclose, rounded half-up;
    - volume 1e7, 0 while paused; amount: volume x close; market_cap 2.5e9; circ_market_cap: market_cap; is_st, paused 0.

    A value of a dict of days holds on its day alone. ``dates`` are the trading days; weekdays from ``start`` where not given.
    A run begins on day 1: day 0 is the day before.

    ::

        market({'600001.XSHG': [10.0, 10.0, 11.0], '000002.XSHE': [20.0, 20.0, None]},
               open={'600001.XSHG': {2: 10.5}}, market_cap={'600001.XSHG': 2.1e9}, paused={'000002.XSHE': {1: 1}})
    """
    count = max(map(len, closes.values()))
    dates = pd.DatetimeIndex(pd.bdate_range(start, periods=count) if dates is None else dates)
    rows = []
    for code, prices in closes.items():
        last = None
        for day, price in enumerate(prices):
            if price is None:
                continue
            said = {name: value for name in columns if (value := _said(columns[name], code, day)) is not None}
            close = said.get('close', price)
            opening = said.get('open', close)
            preclose = said.get('preclose', opening if last is None else last)
            paused = said.get('paused', 0)
            volume = said.get('volume', 0.0 if paused else 1e7)
            cap = said.get('market_cap', 2.5e9)
            rows.append({
                'date': dates[day], 'code': code, 'open': float(opening), 'high': float(max(opening, close)),
                'low': float(min(opening, close)), 'close': float(close), 'preclose': float(preclose), 'volume': float(volume),
                'amount': float(volume * close), 'market_cap': float(cap), 'circ_market_cap': float(cap), 'is_st': 0, 'paused': 0,
                'high_limit': cents(preclose * 1.1), 'low_limit': cents(preclose * 0.9), **said})
            last = close
    table = pd.DataFrame(rows)
    table['date'] = table['date'].astype('datetime64[ns]')
    return table.sort_values(['date', 'code'], kind='stable').reset_index(drop=True)


def _said(values, code, day):
    """Return what a keyword of `market` says of a stock on a day; None where nothing."""
    value = values.get(code) if isinstance(values, dict) else values
    if isinstance(value, dict):
        return value.get(day)
    return value[day] if isinstance(value, (list, tuple)) else value


def store(table, folder, **reference):
    """Write a table as a store, with reference tables: names(code, date, name), listings(code, listed, delisted), and so on."""
    return ingest_tables([check_table(table)], folder, about={'source': 'a test'}, reference_data=reference).path


def cerebro_of(text, table, tmp_path, profile='joinquant', cash=100_000.0, feed=(), **params):
    """Return a cerebro that is ready to run a script; see `run`."""
    script = tmp_path / 'script.py'
    script.write_text(text, encoding='utf-8')
    of_strategy = {name: params.pop(name) for name in list(params) if name in ('g', 'quiet') or name.startswith('g.')}
    cerebro = bt.Cerebro(stdstats=False)
    if not isinstance(table, MarketFeed):
        table = MarketFeed(dataname=check_table(table) if isinstance(table, pd.DataFrame) else table, **dict(feed))
    cerebro.adddata(table, name='market')
    cerebro.addstrategy(JoinQuantStrategy, script=str(script), **{'quiet': True, **of_strategy})
    setup(cerebro, profile, cash=cash, **params)
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro


def run(text, table, tmp_path, profile='joinquant', cash=100_000.0, feed=(), **params):
    """Run a script over a table, a store's folder or a `MarketFeed`, and return the strategy after it.

    Of ``params`` g, quiet and g.NAME go to the strategy, all others to `setup`; ``feed`` holds keywords of `MarketFeed`.
    """
    return cerebro_of(text, table, tmp_path, profile, cash, feed, **params).run()[0]


def fills(strategy):
    """Return what was filled: (date, code, shares, price), shares negative for sales."""
    return [(str(fill.datetime), fill.code, fill.quantity * (1 if fill.side == 'BUY' else -1), round(fill.price, 6))
            for fill in strategy.analyzers.blotter.fills]


def held(strategy):
    """Return what is held at the end: code -> shares."""
    return {data._name: int(position.size) for data, position in strategy.broker.positions.items() if position.size}
