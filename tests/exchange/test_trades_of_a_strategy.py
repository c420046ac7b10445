"""The trades of a rotation are those that Backtrader itself would keep."""

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


def test_they_are_a_sequence():
    trades = Trades('feed')
    assert not trades
    with pytest.raises(IndexError):
        trades[0]
    for number in range(4):
        trades.append(a_trade(number))
    assert [trade.ref for trade in trades] == [0, 1, 2, 3]
    assert (len(trades), trades[-1].ref, trades[0].ref, trades[-2].ref, trades[0].data, trades[0].history) == (
        4, 3, 0, 2, 'feed', [])
    assert [trade.ref for trade in trades[-1:]] == [3]
    assert [trade.ref for trade in trades[1:3]] == [1, 2]
    assert trades[-1] is trades[3]
    for at in (4, -5):
        with pytest.raises(IndexError):
            trades[at]
