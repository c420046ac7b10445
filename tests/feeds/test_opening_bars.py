"""What a market's stock tells the broker without its lines is what its lines show."""

import math
import warnings
from datetime import date

import backtrader as bt
import pytest

from bt_microcap import AShareBroker, MarketFeed, MarketStore, MicroCapStrategy, setup
from bt_microcap.exchange.bars import OpeningBar, current, opening_bar, opening_price
from bt_microcap.exchange.opening import PRE_OPEN, LookAheadError
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import add_stocks
from tests.support.markets import Shape, build

LINES = (*OpeningBar._fields[1:], 'close', 'volume', 'high', 'market_cap', 'cash_dividend')


def table():
    return check_table(build(Shape(seed=9, stocks=14, days=30, start=date(2024, 11, 1), dividends=True, limits=True, wild=True,
                                   delisting=True)))


def store_of(kind):
    store = MarketStore.from_table(table(), checked=True)
    if kind == 'without columns by day':  # as an older store has it
        store.arrays = {name: array for name, array in store.arrays.items() if name not in ('day/open', 'day/preclose')}
    return store


def shown(data, name):
    line = getattr(data, name, None)
    return math.nan if line is None else line[0]


def same(left, right):
    return left == right or left != left and right != right


class Looking(bt.Strategy):
    """Compares, at the close of each bar, and counts on what kinds of bars."""

    def __init__(self):
        self.seen = {'bars': 0, 'without a row': 0}

    def next(self):
        market = self.data
        for number, code in enumerate(market.store.codes.tolist()):
            data = market.stock(code)
            if not len(data):
                continue
            first = bool(len(self) % 2)
            if first:  # the broker asks for a line before or after the opening
                assert same(current(data, 'close'), shown(data, 'close'))
            bar = opening_bar(data)
            assert bar.stamp == data.datetime[0]
            assert all(same(value, shown(data, name)) for name, value in zip(OpeningBar._fields[1:], bar[1:], strict=True)), code
            assert all(same(current(data, name), shown(data, name)) for name in LINES), code
            assert same(opening_price(data), data.open[0])
            assert opening_bar(data) is bar
            day = market.offset + market.lines.datetime.idx
            start, end = market.store.arrays['day_start'][day:day + 2]
            self.seen['bars'] += 1
            self.seen['without a row'] += number not in market.store.arrays['day_stock'][start:end]

    prenext = next


@pytest.mark.parametrize('kind', ['a new store', 'without columns by day'])
@pytest.mark.parametrize('begin', [None, date(2024, 11, 18)])
def test_it_is_what_the_lines_show(kind, begin):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=store_of(kind), fromdate=begin), name='market')
    cerebro.setbroker(AShareBroker())
    cerebro.addstrategy(Looking)
    seen = cerebro.run()[0].seen
    assert seen['bars'] > 100
    assert seen['without a row'] > 5


def test_before_the_first_bar_nothing_is_known():
    asked = []

    class Early(MicroCapStrategy):
        def start(self):
            super().start()
            asked.extend(self.price(self.data.stock(code)) for code in self.data.store.codes[:3].tolist())

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=demo_market(5, days=10)), name='market')
    cerebro.addstrategy(Early)
    setup(cerebro)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # that nothing was picked
        cerebro.run()
    assert len(asked) == 3
    assert all(price != price for price in asked)


def test_feeds_of_one_stock_each_are_asked_by_their_lines():
    found = []

    class Asking(bt.Strategy):
        def next(self):
            for data in self.datas[1:]:
                if len(data):
                    bar = opening_bar(data)
                    assert same(bar.open, data.open[0])
                    assert same(bar.preclose, data.preclose[0])
                    assert same(current(data, 'volume'), data.volume[0])
                    assert math.isnan(current(data, 'no_such_line'))
                    found.append(bar.paused)

        prenext = next

    cerebro = bt.Cerebro(stdstats=False)
    add_stocks(cerebro, table(), checked=True)
    cerebro.addstrategy(Asking)
    cerebro.run()
    assert {0.0, 1.0} <= set(found)


def test_the_opening_shows_nothing_of_what_comes_after_it():
    """Its facts are those that are known before the open; the close stays shut while a strategy decides."""
    assert set(OpeningBar._fields[1:]) <= set(PRE_OPEN)
    refused = []

    class Deciding(bt.Strategy):
        def next_open(self):
            data = self.data.stock(self.data.store.codes[0])
            if len(data):
                opening_bar(data)
                for name in ('close', 'volume', 'high'):
                    with pytest.raises(LookAheadError):
                        getattr(data, name)[0]
                    refused.append(name)

    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=True)
    cerebro.adddata(MarketFeed(dataname=demo_market(5, days=10)), name='market')
    cerebro.setbroker(AShareBroker())
    cerebro.addstrategy(Deciding)
    cerebro.run()
    assert len(refused) >= 15
