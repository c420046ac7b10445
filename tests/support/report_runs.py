"""Runs of the demo market that leave a folder each, for the tests of the report."""

import datetime as dt
import math
from functools import cache

import backtrader as bt

from bt_microcap import Blotter, MicroCapStrategy, setup
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.views.html_report import run_beside
from bt_microcap.views.results import save_run

FUND = '511880.XSHG'
WIDE = {'min_cap': 0.0, 'max_cap': math.inf}


class WithCashFlows(MicroCapStrategy):
    """Money comes in on its 20th and 41st day, and goes out on its 60th."""

    flows = {20: 150_000.0, 41: 30_000.5, 60: -220_000.0}

    def next(self):
        super().next()
        if len(self) in self.flows:
            self.broker.add_cash(self.flows[len(self)])


class WithLimits(MicroCapStrategy):
    """Besides, orders with a limit that wait for days: every ninth day for a stock, and for what is held."""

    def next(self):
        super().next()
        if len(self) % 9 == 4:
            codes = self.universe.codes
            self.wait(self.buy, self.universe.feed(codes[len(self) * 7 % len(codes)]), 0.97, 60_000)
            for data in self.held()[:3]:
                self.wait(self.sell, data, 1.04, self.broker.getposition(data).size)

    def wait(self, order, data, part, shares):
        """Give an order with a limit that is valid for ten trading days or more, where the stock has a close."""
        if len(data) and shares:
            order(data=data, size=shares, exectype=bt.Order.Limit, price=round(data.close[0] * part, 2), why='limit',
                  valid=self.datetime.date() + dt.timedelta(days=16))


class SameDay(MicroCapStrategy):
    """Besides, it buys a money-market fund at an open and sells a part of it at the close, which is allowed of such a fund."""

    def next_open(self):
        super().next_open()
        if len(self) == 130:
            fund = self.universe.feed(FUND)
            self.buy(data=fund, size=1_000)
            self.sell(data=fund, size=300, exectype=bt.Order.Close)


@cache
def market(stocks, days, seed, explicit=True, fund=False):
    """Return a demo market, with or without what happened on its ex-dates, or with a fund: a checked table."""
    return check_table(demo_market(stocks, '2019-10-08', days=days, seed=seed, corporate_actions=explicit, fund=fund))


def run(folder, table, strategy=MicroCapStrategy, profile='realistic', picks=0, cash=1e6, start=None, end=None, name='',
        source='', rules=(), **params):
    """Run a strategy over a table, without costs and ``picks`` times with random picks as well; leave its files in a folder."""
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=table, fromdate=start, todate=end), name='market')
    cerebro.addstrategy(strategy, **params)
    setup(cerebro, profile, cash=cash, **dict(rules))
    cerebro.addanalyzer(Blotter, _name='blotter')
    done = cerebro.run()[0]
    summary = save_run(done, folder, False, show=False, name=name, source=source)
    run_beside(done, folder, summary, picks, 0)
    return folder
