"""Every type of order, bought and sold, on every kind of day; given at the open and after the close of the day before.

Stock A stands at 10.00 for two days; the third is the day in question, the fourth one on which what waited can trade.
The resting orders are all reached at the third day's open: limits are far on the good side, stops far on the bad one.
"""

import backtrader as bt
import pytest

from bt_microcap import AShareCommission
from tests.support.markets import bar, paused, tiny_market
from tests.support.scripted import play

A, B = '600001.XSHG', '000002.XSHE'

# kind -> what is given with a buy and with a sale; stops stand at 8.00 and 12.00, limits at 12.50 and 7.50
KINDS = {
    'Market': ({}, {}),
    'Close': ({}, {}),
    'Limit': ({'price': 12.5}, {'price': 7.5}),
    'Stop': ({'price': 8.0}, {'price': 12.0}),
    'StopLimit': ({'price': 8.0, 'plimit': 12.5}, {'price': 12.0, 'plimit': 7.5}),
    'StopTrail': ({'price': 7.5, 'trailamount': 0.5}, {'price': 12.5, 'trailamount': 0.5}),
    'StopTrailLimit': ({'price': 7.5, 'plimit': 12.0, 'trailamount': 0.5},
                       {'price': 12.5, 'plimit': 8.0, 'trailamount': 0.5}),
}


def refused(reason):
    return [], reason, ['Accepted', 'Rejected']


def filled(*fills):
    return list(fills), None, ['Accepted', 'Completed']


def cut(*fills):
    return list(fills), 'volume limit', ['Accepted', 'Partial', 'Canceled']


def in_parts(*fills):
    return list(fills), None, ['Accepted', 'Partial', 'Completed']


# Day 2 and day 3; then, of 1,000 shares bought and of 1,000 sold: what a market order, one at the close and a resting one get,
# as (day, shares, price) without the sign.
DAYS = {
    'limit up': ((11.0, 11.5),  # 10.00 x 1.1; the day after it is 12.10
                 (refused('limit up'), refused('limit up'), filled((3, 1000, 11.5))),
                 (filled((2, 1000, 11.0)), filled((2, 1000, 11.0)), filled((2, 1000, 11.0)))),
    'limit up at the close': (((10.5, 11.0), 11.5),
                              (filled((2, 1000, 10.5)), refused('limit up'), filled((2, 1000, 10.5))),
                              (filled((2, 1000, 10.5)), filled((2, 1000, 11.0)), filled((2, 1000, 10.5)))),
    'limit up at the open': (((11.0, 10.5), 10.6),
                             (refused('limit up'), filled((2, 1000, 10.5)), filled((3, 1000, 10.6))),
                             (filled((2, 1000, 11.0)), filled((2, 1000, 10.5)), filled((2, 1000, 11.0)))),
    'limit down': ((9.0, 8.5),
                   (filled((2, 1000, 9.0)), filled((2, 1000, 9.0)), filled((2, 1000, 9.0))),
                   (refused('limit down'), refused('limit down'), filled((3, 1000, 8.5)))),
    'limit down at the close': (((9.5, 9.0), 8.5),
                                (filled((2, 1000, 9.5)), filled((2, 1000, 9.0)), filled((2, 1000, 9.5))),
                                (filled((2, 1000, 9.5)), refused('limit down'), filled((2, 1000, 9.5)))),
    'suspended in a row': ((paused(), 10.1),
                           (refused('suspended'), refused('suspended'), filled((3, 1000, 10.1))),
                           (refused('suspended'), refused('suspended'), filled((3, 1000, 10.1)))),
    'without a row': ((None, 10.1),
                      (refused('suspended'), refused('suspended'), filled((3, 1000, 10.1))),
                      (refused('suspended'), refused('suspended'), filled((3, 1000, 10.1)))),
    'no volume': ((bar(10.0, 10.2, volume=0.0), 10.1),
                  (refused('no volume'), refused('no volume'), filled((3, 1000, 10.1))),
                  (refused('no volume'), refused('no volume'), filled((3, 1000, 10.1)))),
    'volume limit': ((bar(10.0, 10.4, volume=4_000.0), 10.3),  # a tenth: 400 shares
                     (cut((2, 400, 10.0)), cut((2, 400, 10.4)), in_parts((2, 400, 10.0), (3, 600, 10.3))),
                     (cut((2, 400, 10.0)), cut((2, 400, 10.4)), in_parts((2, 400, 10.0), (3, 600, 10.3)))),
    'volume below a lot': ((bar(10.0, 10.4, volume=990.0), 10.3),
                           (refused('volume limit'), refused('volume limit'), filled((3, 1000, 10.3))),
                           (refused('volume limit'), refused('volume limit'), filled((3, 1000, 10.3)))),
}
# Two new shares for one: prices of the day are half of those before, what is held twice as much.
EX_DATES = {
    'two for one, by share_ratio': bar(5.0, 5.2, preclose=5.0, share_ratio=2.0),
    'two for one, by preclose': bar(5.0, 5.2, preclose=5.0),
}
EX_PRICES = {'Market': 5.0, 'Close': 5.2}

EVERY = [
    pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market']),
    pytest.mark.parametrize('at_open', [True, False], ids=['at the open', 'on the eve']),
    pytest.mark.parametrize('buys', [True, False], ids=['buy', 'sale']),
    pytest.mark.parametrize('kind', KINDS),
]


def every(test):
    for mark in EVERY:
        test = mark(test)
    return test


def run(kind, buys, at_open, market, days, factor=1.0, **params):
    """Give one order for the third day; return the run and the order. Before a sale the shares are bought on the second."""
    options = {name: value * factor for name, value in KINDS[kind][not buys].items()}

    def give(strategy):
        side = strategy.buy if buys else strategy.sell
        return side(data=strategy.feed(A), size=1000, exectype=getattr(bt.Order, kind), **options)

    first = 1 if at_open else 0
    script = {first + 1: give}
    if not buys:
        script[first] = lambda strategy: strategy.buy(data=strategy.feed(A), size=1000)
    table = tiny_market({A: [10.0, 10.0, *days], B: [10.0] * 4})
    played = play(table, script, at_open=at_open, market=market, volume_limit=0.1,
                  commission=AShareCommission(commission=0.0, min_commission=0.0, stamp_duty=0.0), **params)
    return played, played.orders[-1]


@every
@pytest.mark.parametrize('name', DAYS)
def test_an_order(name, kind, buys, at_open, market):
    days, *wanted = DAYS[name]
    fills, reason, statuses = wanted[not buys][{'Market': 0, 'Close': 1}.get(kind, 2)]
    played, order = run(kind, buys, at_open, market, days)
    sign = 1 if buys else -1
    signed = [(day, A, sign * shares, price) for day, shares, price in fills]
    assert played.fills == ([] if buys else [(1, A, 1000, 10.0)]) + signed
    assert (played.statuses(order), order.info.get('reason')) == (statuses, reason)
    cash = 100_000.0 - (0 if buys else 10_000.0) - sum(size * price for _, _, size, price in signed)
    assert played.cash[-1] == pytest.approx(cash, abs=1e-9)
    left = (0 if buys else 1000) + sum(size for _, _, size, _ in signed)
    assert played.shares[-1] == ({A: left} if left else {})


@every
@pytest.mark.parametrize('name', EX_DATES)
def test_an_order_on_an_ex_date(name, kind, buys, at_open, market):
    """Given at the open it is of the new shares; given before, it is restated: twice the shares at half the price."""
    played, order = run(kind, buys, at_open, market, (EX_DATES[name], 5.2), factor=0.5 if at_open else 1.0)
    size, price = (1000 if at_open else 2000), EX_PRICES.get(kind, 5.0)
    assert played.fills == ([] if buys else [(1, A, 1000, 10.0)]) + [(2, A, size if buys else -size, price)]
    assert (played.statuses(order), order.info.wanted) == (['Accepted', 'Completed'], size)
    left = size if buys else 2000 - size
    assert played.shares[-2:] == [{A: left} if left else {}] * 2
    assert played.cash[-1] == pytest.approx(100_000 - size * price if buys else 90_000 + size * price, abs=1e-9)


@pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
@pytest.mark.parametrize('at_open', [True, False], ids=['at the open', 'on the eve'])
@pytest.mark.parametrize('kind', KINDS)
def test_a_sale_of_what_was_bought_on_the_day(kind, at_open, market):
    """T+1: refused at the open and at the close of the same day; what rests waits for the next one."""
    def both(strategy):
        strategy.buy(data=strategy.feed(A), size=1000)
        return strategy.sell(data=strategy.feed(A), size=1000, exectype=getattr(bt.Order, kind), **KINDS[kind][1])

    table = tiny_market({A: [10.0, 10.0, 10.1, 10.2], B: [10.0] * 4})
    played = play(table, {1 if at_open else 0: both}, at_open=at_open, market=market)
    if kind in ('Market', 'Close'):
        assert played.refusals == [(1, A, 'bought today')]
        assert played.fills == [(1, A, 1000, 10.0)]
    else:
        assert played.fills == [(1, A, 1000, 10.0), (2, A, -1000, 10.1)]
