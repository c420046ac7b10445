"""The trades of a rotation are those that Backtrader itself would keep."""

import copy
import pickle
import subprocess
import sys
from datetime import date

import backtrader as bt
import pytest

from bt_microcap import MicroCapStrategy
from bt_microcap.exchange.trades import Trades
from tests.support.markets import Shape, build
from tests.support.running import run_feeds

FIELDS = ('tradeid', 'size', 'price', 'value', 'commission', 'pnl', 'pnlcomm', 'justopened', 'isopen', 'isclosed', 'baropen',
          'dtopen', 'barclose', 'dtclose', 'barlen', 'historyon', 'status', 'long')
TABLE = build(Shape(seed=5, stocks=10, days=40, start=date(2024, 11, 1), dividends=True, wild=True))
WIDE = {'stocknum': 4, 'refresh_rate': 2, 'min_cap': 0.0, 'max_cap': 1e15, 'boards': ('main', 'chinext', 'star', 'bse')}


def state(trade):
    return (trade.data._name, *(getattr(trade, name) for name in FIELDS))


class Ours(MicroCapStrategy):
    """Notes what it is told of trades."""

    def __init__(self):
        super().__init__()
        self.told = []

    def notify_trade(self, trade):
        self.told.append(state(trade))


class Backtraders(Ours):
    """The same by Backtrader's own books."""

    def _addnotification(self, order, quicknotify=False):
        self._tally.count_order(order)
        self.known.note_fills(order)
        bt.Strategy._addnotification(self, order, quicknotify)


def kept(strategy):
    """Return the trades by stock and tradeid."""
    return {(data._name, tradeid): list(map(state, trades))
            for data, books in strategy._trades.items() for tradeid, trades in books.items()}


@pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
def test_they_are_told_and_kept_as_by_backtrader(market):
    ours, theirs = (run_feeds(TABLE, strategy=kind, market=market, cash=1e6, **WIDE) for kind in (Ours, Backtraders))
    assert len(ours.told) > 40
    assert ours.told == theirs.told
    assert kept(ours) == kept(theirs)
    assert sum(len(trades) > 2 for trades in kept(ours).values()) > 2  # some were traded again and again


def test_with_a_history_too():
    """``Cerebro(tradehistory=True)``: each trade has its steps."""
    cerebro = bt.Cerebro(stdstats=False, tradehistory=True)
    ours = run_feeds(TABLE, strategy=Ours, cerebro=cerebro, market=True, cash=1e6, **WIDE)
    trades = [trade for books in ours._trades.values() for kept in books.values() for trade in kept]
    assert all(trade.history and trade.history[0].event.size == trade.history[0].status.size for trade in trades)


def a_trade(ref):
    trade = bt.Trade(data='feed')
    trade.ref, trade.long = ref, True
    return trade


def filled(count=4):
    trades = Trades('feed')
    for number in range(count):
        trades.append(a_trade(number))
    return trades


def test_they_are_a_list():
    trades = Trades('feed')
    assert isinstance(trades, list)
    assert not trades
    assert trades.last is None
    with pytest.raises(IndexError):
        trades[0]
    trades = filled()
    assert trades.last.ref == 3
    assert len(trades) == 4
    assert [trade.ref for trade in trades] == [0, 1, 2, 3]
    assert (trades[-1].ref, trades[0].ref, trades[-2].ref, trades[0].data, trades[0].history) == (3, 0, 2, 'feed', [])
    assert [trade.ref for trade in trades[1:3]] == [1, 2]
    for at in (4, -5):
        with pytest.raises(IndexError):
            trades[at]


LOOKS = {
    'item': lambda trades: [trades[place] for place in range(len(trades))], 'slice': lambda trades: trades[:],
    'copy': lambda trades: trades.copy(), 'sum': lambda trades: trades + [], 'other side': lambda trades: [] + trades,
    'sum of lists': lambda trades: sum([trades], []),
    'in a list': lambda trades: [*trades], 'unpickled': lambda trades: pickle.loads(pickle.dumps(trades)),
    'reversed twice': lambda trades: list(reversed(list(reversed(trades)))), 'extended': lambda trades: extended([], trades),
    'sorted': lambda trades: sorted(trades, key=lambda trade: trade.ref), 'deep copy': copy.deepcopy,
}


def extended(made, trades):
    made.extend(trades)
    return made


@pytest.mark.parametrize('look', LOOKS.values(), ids=LOOKS)
def test_whoever_looks_finds_trades(look):
    found = look(filled())
    assert type(found) is list
    assert [type(trade) for trade in found] == [bt.Trade] * 4
    assert [trade.ref for trade in found] == [0, 1, 2, 3]


def test_a_trade_that_was_seen_stays_the_same_one():
    trades = filled()
    seen = list(trades)
    assert all(trade is trades[place] for place, trade in enumerate(seen))
    assert trades.index(seen[2]) == 2
    assert trades.count(seen[1]) == 1
    assert seen[0] in trades
    trades.append(a_trade(4))
    trades.append(a_trade(5))
    assert all(trade is trades[place] for place, trade in enumerate(seen))
    assert 'Trade object' in repr(filled())
    assert '(' not in repr(filled())


def test_what_somebody_has_put_into_a_trade_is_kept():
    trades = filled(1)
    trades.last.note = 'mine'
    for number in (1, 2):
        trades.append(a_trade(number))
    assert trades[0].note == 'mine'
    assert not hasattr(trades[1], 'note')


def test_importing_takes_no_number():
    """The first trade of a process is number 1, as is the first order."""
    code = ('import backtrader as bt; import bt_microcap.exchange.trades, bt_microcap.rotation.strategy; '
            'print(next(bt.Trade.refbasis), next(bt.Order.refbasis))')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ['1', '1']
