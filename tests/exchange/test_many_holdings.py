"""From some number of holdings on all are looked at together: that changes no figure."""

from datetime import date

import numpy as np
import pytest

from bt_microcap.exchange import account
from bt_microcap.exchange.calendar import Calendar
from bt_microcap.feeds.demo import demo_market
from bt_microcap.rotation import trading
from tests.support.markets import Shape, build
from tests.support.running import run_market

WIDE = {'stocknum': 40, 'refresh_rate': 3, 'min_cap': 0.0, 'max_cap': 1e15, 'boards': ('main', 'chinext', 'star', 'bse')}
MARKETS = {
    'demo': lambda: demo_market(80, days=150),
    'everything rare': lambda: build(Shape(seed=11, stocks=60, days=40, start=date(2024, 11, 1), wild=True, delisting=True)),
    'dividends': lambda: build(Shape(seed=3, stocks=60, days=40, start=date(2023, 8, 14), dividends=True, ratios=True)),
}


def books(monkeypatch, table, many, **options):
    """Run with another number of holdings from which on they are many; return all that is booked."""
    for module in (account, trading):
        monkeypatch.setattr(module, 'MANY', many)
    strategy = run_market(table, **WIDE, **options)
    blotter = strategy.analyzers.blotter
    broker = strategy.broker
    return (blotter.get_analysis(), blotter.cash_difference(), broker._unrealized, broker.get_fundvalue(),
            {data._name: price for data, price in broker.marks.items()})


@pytest.mark.parametrize('market', MARKETS)
@pytest.mark.parametrize('options', [{}, {'ex_rights': 'reinvest'}, {'delist_wait': 2}], ids=str)
def test_many_holdings_are_booked_as_few(market, options, monkeypatch):
    table = MARKETS[market]()
    together, alone = (books(monkeypatch, table, many, cash=1e8, **options) for many in (0, 10**6))
    assert together == alone
    assert len(together[0]['positions']) > 20 * len(together[0]['equity']) / 2
    assert together[0]['corporate_actions']


def test_a_sum_is_added_up_one_by_one():
    """Two ways of adding the same numbers differ in the last digits; the books are those of a loop."""
    values = np.random.default_rng(1).lognormal(10, 3, 1000)
    total = 0.0
    for value in values.tolist():
        total += value
    assert account.sum_in_order(values) == total
    assert float(values.sum()) != total


class Feed:
    def __init__(self, last_day, delisted_day=0):
        self.last_day, self.delisted_day = last_day, delisted_day


class Market:
    def __init__(self, days):
        self.days = np.array(days)


@pytest.mark.parametrize('wait', [0, 1, 2.5, 60])
@pytest.mark.parametrize('delisted', [0, 1012, 1025])
def test_a_stock_lives_until_the_day_before_it_has_ended(wait, delisted):
    days = [day for day in range(1000, 1060) if day % 7 not in (0, 6)]
    calendar = Calendar([Market(days)], wait)
    for last in (1003, 1010, days[-2], days[-1]):
        feed = Feed(last, delisted)
        ended = [day for day in days if calendar.has_ended(feed, day)]
        until = calendar.lives_until(feed)
        assert [day for day in days if day > until] == ended
