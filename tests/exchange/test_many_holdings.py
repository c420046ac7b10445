"""From some number of holdings on all are looked at together: that changes no figure."""

from datetime import date

import backtrader as bt
import numpy as np
import pytest

from bt_microcap import Blotter, MarketFeed, setup
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


class LookingFirst(bt.Strategy):
    """Looks at positions in another order than the one in which it buys: Backtrader makes an entry for each."""

    def next_open(self):
        codes = [code for code in self.data.store.codes.tolist() if len(self.data.stock(code))][:25]
        if len(self) == 2:
            for code in reversed(codes):
                assert self.broker.positions[self.data.stock(code)].size == 0
            for number, code in enumerate(codes):
                data = self.data.stock(code)
                self.buy(data=data, size=100 * (number + 1), price=data.open[0])

    def next(self):
        if len(self) > 3:
            positions = self.broker.positions
            assert len(positions) > account.MANY
            closes = {data: data.close[0] if data.close[0] == data.close[0] else self.broker.marks[data] for data in positions}
            worth = sum(position.size * closes[data] for data, position in positions.items())
            assert self.broker.getvalue() - self.broker.getcash() == pytest.approx(worth, abs=1e-6)
            assert self.broker.held() == [data for data, position in positions.items() if position.size]


def test_who_looks_at_positions_before_he_buys_changes_nothing():
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=demo_market(40, days=12)), name='market')
    cerebro.addstrategy(LookingFirst)
    setup(cerebro, cash=1e8)
    cerebro.addanalyzer(Blotter, _name='blotter')
    blotter = cerebro.run()[0].analyzers.blotter
    closing = {code: price for day, code, shares, price in blotter.get_analysis()['positions'] if day == blotter.equity[-1].date}
    store = cerebro.datas[0].store
    for code, price in closing.items():  # also of one that has ended: its last
        assert price == store.block('close', store.stock_number(code))[-1], code
    assert len(closing) > 20


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
