"""An account that is fed, day after day, with the fills of its own lists; and the backtest that it must equal."""

import warnings
from datetime import date
from functools import cache
from pathlib import Path

import backtrader as bt

from bt_microcap import Blotter, MarketFeed, MarketStore, MicroCapStrategy, setup
from bt_microcap.commands.orders import fills_of
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.store.coming import facts_before
from bt_microcap.live.account import Account, load
from bt_microcap.live.booking import book
from bt_microcap.live.day import check_day, orders_of
from bt_microcap.live.order_list import Pricing, as_issued
from bt_microcap.live.statement import read_statement
from bt_microcap.profiles import PROFILES

CAGE = Pricing('cage')


@cache
def demo():
    return MarketStore.from_table(demo_market(fund=True), checked=True)


def run(cerebro):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return cerebro.run()[0]


def days_of(store, start, count):
    first = store.day_number(date.fromisoformat(start).toordinal())
    return [date.fromordinal(int(day)) for day in store.days[first:first + count]]


def backtest(store, days, strategy=MicroCapStrategy, params=None, profile='realistic', cash=1e6, **rules):
    """Return the blotter of a backtest over some days."""
    before = date.fromordinal(int(store.days[store.day_number(days[0].toordinal()) - 1]))
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=store, fromdate=before, todate=days[-1]), name='market')
    cerebro.addstrategy(strategy, **(params or {}))
    setup(cerebro, profile, cash=cash, **rules)
    cerebro.addanalyzer(Blotter, _name='blotter')
    return run(cerebro).analyzers.blotter


def new_account(folder, begun, profile='realistic', cash=1e6, holdings=(), **rules):
    Path(folder).mkdir(exist_ok=True)
    account = Account(Path(folder) / 'account.json', begun, cash, list(holdings), {},
                      {'profile': profile, 'given': rules, 'values': {**PROFILES[profile], **rules}})
    account.save()
    return account


def evening(store, account, day, strategy=MicroCapStrategy, params=None, pricing=CAGE):
    """Return the list that is made on the evening before a day."""
    return orders_of(store, account, day, strategy, params or {}, pricing, facts_before(store, day.toordinal()), run)


def one_day(store, account, day, strategy=MicroCapStrategy, params=None):
    """Replay a day, write its fills as the command does, read them and book them."""
    check_day(store, account, day, 'the data')
    made = orders_of(store, account, day, strategy, params or {}, CAGE, None, run)
    account.issued = as_issued(made.orders)
    path = account.path.with_name('fills.csv')
    path.write_text(fills_of(made), encoding='utf-8')
    book(account, read_statement(path, account), str(path))
    account.save()
    return made


def day_by_day(store, days, folder, strategy=MicroCapStrategy, params=None, profile='realistic', cash=1e6, **rules):
    """Return the account that was fed with its own fills on every one of some days."""
    new_account(folder, days[0], profile, cash, **rules)
    for day in days:
        account = load(Path(folder) / 'account.json')  # from its files, as another process would
        one_day(store(day) if callable(store) else store, account, day, strategy, params)
    return load(Path(folder) / 'account.json')


def trades_of(account):
    """Return the fills of an account as the rows of trades.csv."""
    return [tuple(row[:8]) for row in account.fills]


def codes_and_sides(made):
    return sorted([(order.code, order.side) for order in made.orders] + [(each.code, each.side) for each in made.blocked])
