"""Whatever Cerebro is told, the same script of orders has the same fills, statuses and account."""

import itertools

import backtrader as bt
import pytest

from bt_microcap import Blotter
from tests.support.looking import look
from tests.support.markets import bar, paused, tiny_market
from tests.support.scripted import buy, close, play, sell, steps

A, B, C = '600001.XSHG', '000002.XSHE', '688001.XSHG'
LIMIT, STOP, CLOSE, TRAIL = bt.Order.Limit, bt.Order.Stop, bt.Order.Close, bt.Order.StopTrail
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
TIMES = pytest.mark.parametrize('at_open', [True, False], ids=['at the open', 'on the eve'])

SINGLE = [
    {'preload': False}, {'runonce': False}, {'live': True}, {'stdstats': True}, {'tradehistory': True}, {'quicknotify': True},
    {'exactbars': 1}, {'exactbars': -1}, {'exactbars': -2}, {'objcache': True}, {'lookahead': 3},
    {'optdatas': False, 'optreturn': False}, {'oldbuysell': True, 'stdstats': True}, {'oldtrades': True, 'stdstats': True},
    {'writer': True},
]
TOGETHER = [
    dict(zip(('preload', 'runonce', 'exactbars', 'live', 'stdstats', 'tradehistory', 'quicknotify'), values, strict=True))
    for values in itertools.product((True, False), (True, False), (False, 1, -2), (True, False), (True, False), (True, False),
                                    (True, False))
]


def table():
    """A goes its way, with a suspension and 2 for 1; B is listed on the third day; C is volatile."""
    return tiny_market({
        A: [10.0, (10.0, 10.4), (10.3, 10.1), paused(), None, (10.0, 9.6), bar(4.8, 5.0, preclose=4.8, share_ratio=2.0), 5.1,
            5.0],
        B: [None, None, 20.0, (20.5, 21.0), (21.0, 20.2), 20.0, (19.5, 19.0), bar(19.1, volume=4_000.0), 19.0],
        C: [30.0, (31.0, 30.5), (30.0, 32.0), (33.0, 31.0), (30.5, 30.0), (29.0, 29.5), 30.0, (30.2, 30.8), 31.0],
    })


def script(at_open):
    first = int(at_open)

    def pair(strategy):
        one = sell(C, 300, exectype=LIMIT, price=33.5)(strategy)
        return [one, sell(C, 300, exectype=STOP, price=29.4, oco=one)(strategy)]

    def bracket(strategy):
        return strategy.buy_bracket(data=strategy.feed(B), size=500, exectype=bt.Order.Market, stopprice=19.2, limitprice=22.0)

    return {
        first: steps(buy(A, 1000), buy(C, 300), buy(A, 500, exectype=LIMIT, price=9.7)),
        first + 1: lambda strategy: [*pair(strategy), sell(A, 300, exectype=TRAIL, trailamount=0.6, price=10.3)(strategy)],
        first + 2: bracket,
        first + 3: buy(A, 100),
        first + 5: steps(sell(A, 200), buy(C, 200, exectype=CLOSE)),
        first + 6: steps(close(A), buy(B, 1000)),
    }


def told(market, at_open, **switches):
    run = play(table(), script(at_open), at_open=at_open, market=market, cerebro=switches, volume_limit=0.1, slippage=0.002,
               analyzers=[Blotter])
    blotter = run.strategy.analyzers.blotter
    assert abs(blotter.cash_difference()) < 1e-6
    return {'fills': run.fills, 'refusals': run.refusals, 'cash': run.cash, 'value': run.value, 'shares': run.shares,
            'statuses': [run.statuses(order) for order in run.orders], 'books': blotter.get_analysis(),
            'trades': (run.trades.total.total, run.trades.pnl.net.total)}


@pytest.fixture(scope='module')
def expected():
    found = {(market, at_open): told(market, at_open) for market in (False, True) for at_open in (False, True)}
    for at_open in (False, True):
        assert found[False, at_open] == found[True, at_open]
        fills = found[True, at_open]['fills']
        assert {fill.code for fill in fills} == {A, B, C}
        assert len(fills) > 9
        assert {reason for _, _, reason in found[True, at_open]['refusals']} == {'suspended'}
    return found


@WAYS
@TIMES
@pytest.mark.parametrize('switches', SINGLE, ids=str)
def test_a_switch(switches, at_open, market, expected):
    found = told(market, at_open, **switches)
    for name, wanted in expected[market, at_open].items():
        assert found[name] == wanted, name


@WAYS
@TIMES
def test_all_switches_together(at_open, market, expected):
    for switches in TOGETHER[market::5]:
        found = told(market, at_open, **switches)
        for name, wanted in expected[market, at_open].items():
            assert found[name] == wanted, (name, switches)


@WAYS
def test_orders_after_the_close_fill_alike_with_and_without_cheat_on_open(market, expected):
    found = told(market, False, cheat_on_open=True)
    assert found == expected[market, False]
    found = told(market, False, cheat_on_open=True, broker_coo=False)
    assert found == expected[market, False]


@WAYS
@TIMES
def test_the_old_loop_is_refused(at_open, market):
    """Backtrader's loop of old calls neither next_open nor timers at the open: no order would ever fill."""
    with pytest.raises(ValueError, match='oldsync'):
        told(market, at_open, oldsync=True)


@WAYS
def test_run_says_it_as_well_as_cerebro(market):
    """Switches given to run(), and a second run of the same Cerebro."""
    fills = []

    def opening(strategy):
        if strategy.today() == 1:
            strategy.buy(strategy.feed(A), size=100)

    def arrange(cerebro):
        once = cerebro.run
        cerebro.run = lambda: [once(**switches)[0] for switches in (
            {}, {'preload': False}, {'runonce': False}, {'exactbars': 1}, {'live': True}, {'tradehistory': True})]

    look(table(), market=market, opening=opening, arrange=arrange, told=lambda strategy, order: fills.extend(
        (strategy.today(), bit.size, bit.price) for bit in order.executed.iterpending()))
    assert fills == [(1, 100, 10.0)] * 6
