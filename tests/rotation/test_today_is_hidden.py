"""While a strategy decides at the open, what is only known after it cannot be read: today's close, volume and the rest."""

import contextlib
import math
from functools import partial

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from bt_microcap import AShareBroker, MicroCapStrategy
from bt_microcap.exchange.opening import PRE_OPEN
from bt_microcap.feeds.universe import LookAheadError
from tests.support.looking import add_market, look
from tests.support.markets import bar, paused, tiny_market
from tests.support.running import run_feeds

A, B = '600001.XSHG', '600002.XSHG'
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
HIDDEN = ('close', 'high', 'low', 'volume', 'market_cap')
OPENS = [10.0, 10.2, 10.1, 10.3, 10.4, 10.5, 10.2]
CLOSES = [10.5, 10.4, 10.6, 10.2, 10.7, 10.8, 10.0]


def table():
    """Seven days from a Tuesday on: the fourth is a Friday. B has no row on the third, and a suspended one on the fourth."""
    facts = {'high_limit': 13.0, 'low_limit': 8.0, 'share_ratio': 1.0, 'cash_dividend': 0.0}
    return tiny_market({
        A: [bar(*pair, **facts) for pair in zip(OPENS, CLOSES, strict=True)],
        B: [(20.0, 20.5), (20.2, 20.4), None, paused(), (20.4, 20.7), (20.5, 21.0), (20.5, 21.0)],
    }).assign(delisting_period=0)


def refused(read):
    """Hold that reading is refused and that the message says what to do."""
    with pytest.raises(LookAheadError) as told:
        read()
    for hint in ('[-1]', 'section.previous', 'section.history'):
        assert hint in str(told.value)
    return str(told.value)


def assert_hidden(feed, names=HIDDEN):
    for name in names:
        line = getattr(feed, name)
        for read in (lambda line=line: line[0], line.get, lambda line=line: line.get(size=1),
                     lambda line=line: line.get(0, 2), lambda name=name: getattr(feed.lines, name)[0],
                     lambda line=line: line > 5.0, lambda line=line: line < 5.0, lambda line=line: line - 1.0,
                     lambda line=line: line + feed.open, lambda line=line: 2.0 * line):
            assert name in refused(read)


# --------------------------------------------------------------------------------------------- the lines


@WAYS
def test_lines_of_today_at_the_open_and_after_it(market):
    opened, closed = [], []

    def opening(strategy):
        stock, day = strategy.feed(A), strategy.today()
        assert_hidden(stock)
        assert_hidden(strategy.data, HIDDEN[:4])
        for read in (lambda: stock[0], lambda: stock > 5.0, lambda: stock.lines[0][0], lambda: stock.line[0],
                     lambda: stock.get(size=1)):
            refused(read)  # a feed's first line is its close
        opened.append((day, stock.open[0], stock.close[-1] if day else None, stock.preclose[0], stock.high_limit[0],
                       stock.low_limit[0], stock.is_st[0], stock.paused[0], stock.share_ratio[0], stock.cash_dividend[0],
                       stock.delisting_period[0], stock.open > 10.15, stock.datetime.date(0).day))

    def closing(strategy):
        stock, index = strategy.feed(A), strategy.data
        closed.append((stock.close[0], stock.high[0], stock.low[0], stock.volume[0], stock.market_cap[0], stock.close > 10.45,
                       list(stock.close.get(size=1)), index.close[0] > 0, index.volume[0]))

    look(table(), market=market, opening=opening, closing=closing)
    before = [OPENS[0], *CLOSES]  # the first preclose is the open
    assert opened == [
        (day, OPENS[day], CLOSES[day - 1] if day else None, before[day], 13.0, 8.0, 0.0, 0.0, 1.0, 0.0, 0.0,
         OPENS[day] > 10.15, [2, 3, 4, 5, 8, 9, 10][day]) for day in range(7)]
    volumes = [2e6, 2e6, 1e6, 1e6, 2e6, 2e6, 2e6]  # B does not trade on two days
    assert closed == [
        (close, max(start, close), min(start, close), 1e6, 2.5e9, close > 10.45, [close], True, volume)
        for start, close, volume in zip(OPENS, CLOSES, volumes, strict=True)]


@WAYS
def test_a_further_column_of_today(market):
    """`amount` is no line: it is asked of the feed by `value`."""
    seen = []

    def opening(strategy):
        stock = strategy.feed(A)
        if strategy.today():
            refused(lambda: stock.value('amount', 0))
            seen.append(stock.value('amount', -1))

    rows = table()
    look(rows.assign(amount=rows['volume'] * rows['open']), market=market, opening=opening)
    assert seen == [1.0e7, 1.02e7, 1.01e7, 1.03e7, 1.04e7, 1.05e7]


@WAYS
def test_all_columns_that_a_section_calls_known_are_known_lines(market):
    def opening(strategy):
        for name in PRE_OPEN:
            assert np.isfinite(getattr(strategy.feed(A), name)[0]), name

    look(table(), market=market, opening=opening)


@WAYS
def test_a_later_bar_is_never_read(market):
    for when in ('opening', 'closing'):
        def ask(strategy):
            if strategy.today() < 3:
                for feed in (strategy.feed(A), strategy.data):
                    with pytest.raises(LookAheadError, match='later day'):
                        _ = feed.close[1]

        look(table(), market=market, **{when: ask})


def nothing(read):
    """Hold that there is nothing to read: no value, or none that could be one."""
    with contextlib.suppress(IndexError):
        assert np.isnan(read())


@WAYS
@pytest.mark.parametrize('when', ['opening', 'closing'])
@pytest.mark.parametrize('mode', [{}, {'runonce': False}, {'preload': False}], ids=str)
def test_before_the_first_bar_there_is_nothing(mode, when, market):
    """Not the end of the data, which Python would count to: `close[-1] / close[-6]` must not see it in the first days."""
    def ask(strategy):
        day = strategy.today()
        for feed in (strategy.feed(A), strategy.data, strategy.getdatabyname('own')):
            for name in ('close', 'open', 'volume'):
                for ago in (-1, -2, -5):
                    if day + ago < 0:
                        nothing(partial(getattr(feed, name).__getitem__, ago))
        if day:
            assert strategy.feed(A).close[-day] == CLOSES[0]

    look(table(), market=market, beside=plain, cerebro=bt.Cerebro(stdstats=False, **mode), **{when: ask})


@pytest.mark.parametrize('mode', [{'runonce': False}, {'preload': False}, {'exactbars': 1}, {'exactbars': -2}], ids=str)
@WAYS
def test_in_every_mode(mode, market):
    days = []

    def opening(strategy):
        assert_hidden(strategy.feed(A))
        days.append(strategy.today())

    look(table(), market=market, opening=opening, cerebro=bt.Cerebro(stdstats=False, **mode))
    assert days == list(range(7))


def test_the_bar_that_still_stands_of_a_suspended_stock_is_known():
    """With one feed per stock, B's bar of the second day stands on the third, on which it has no row."""
    seen = []

    def opening(strategy):
        if strategy.today() == 2:
            stock = strategy.feed(B)
            seen.append((stock.close[0], stock.volume[0], stock.close > 20.0, stock.datetime.date(0).day))
        elif strategy.today() == 3:
            assert_hidden(strategy.feed(B))  # a row, be it a suspended one

    look(table(), opening=opening)
    assert seen == [(20.4, 1e6, True, 3)]


# ------------------------------------------------------------------------------------- feeds beside the market


def plain(cerebro, days=None, name='own'):
    """Add Backtrader's own feed, whose close is its open + 0.2; weekly where the days are Fridays."""
    days = sorted(set(table()['date'])) if days is None else days
    opens = np.arange(1.0, len(days) + 1)
    frame = pd.DataFrame({'open': opens, 'high': opens + 0.5, 'low': opens - 0.5, 'close': opens + 0.2, 'volume': 9.0},
                         index=pd.DatetimeIndex(days))
    cerebro.adddata(bt.feeds.PandasData(dataname=frame), name=name)


@WAYS
@pytest.mark.parametrize('mode', [{}, {'runonce': False}, {'preload': False}, {'exactbars': 1}], ids=str)
def test_a_feed_of_backtraders_own(mode, market):
    opened, closed = [], []

    def opening(strategy):
        own = strategy.getdatabyname('own')
        assert_hidden(own, HIDDEN[:4])
        opened.append((own.open[0], own.close[-1] if strategy.today() else None))

    look(table(), market=market, opening=opening, beside=plain, cerebro=bt.Cerebro(stdstats=False, **mode),
         closing=lambda strategy: closed.append(strategy.getdatabyname('own').close[0]))
    if 'exactbars' in mode:  # one bar is kept: the day before is not known any more
        assert [start for start, _ in opened] == [day + 1.0 for day in range(7)]
        assert all(before != before for _, before in opened[1:])
    else:
        assert opened == [(day + 1.0, day + 0.2 if day else None) for day in range(7)]
    assert closed == [day + 1.2 for day in range(7)]


@WAYS
def test_a_week_stamped_with_its_last_day(market):
    """A weekly feed of Fridays: its bar comes on Friday and is known on Monday."""
    seen = []

    def opening(strategy):
        week, day = strategy.getdatabyname('week'), strategy.today()
        if day == 3:
            assert_hidden(week, HIDDEN[:4])
            seen.append((day, week.open[0]))
        elif day > 3:
            seen.append((day, week.close[0]))

    look(table(), market=market, opening=opening, beside=lambda cerebro: plain(cerebro, ['2024-01-05'], 'week'))
    assert seen == [(3, 1.0), (4, 1.2), (5, 1.2), (6, 1.2)]


@WAYS
def test_a_resampled_week(market):
    """Backtrader delivers a week with the first bar after it; the last one comes alone, on its last day: not over yet."""
    seen = []

    def opening(strategy):
        week = strategy.getdatabyname('week')
        if len(week) == 2:  # the week before still stands
            assert week.close.get(size=1)[0] == week.lines.close[0] == week.close[0] and math.isnan(week.close[-1])
            assert week.open[0] == week.lines.open.array[0]
        seen.append((strategy.today(), week.close[0] if len(week) else len(week)))

    def beside(cerebro):
        cerebro.resampledata(cerebro.datas[0] if market else cerebro.datas[1], timeframe=bt.TimeFrame.Weeks, name='week')

    strategy = look(table(), market=market, opening=opening, beside=beside)
    friday = strategy.data.close.array[3] if market else 10.2
    assert seen == [(0, 0), (1, 0), (2, 0), (3, 0), (4, friday), (5, friday), (6, friday), (6, friday)]


@WAYS
def test_a_replayed_week(market):
    """Today is part of the week that grows: only the weeks before are known, and this week's open."""
    seen = []

    def opening(strategy):
        week = strategy.getdatabyname('week')
        if len(week):
            assert_hidden(week, HIDDEN[:4])
            seen.append((strategy.today(), len(week), week.open[0], week.close[-1] if len(week) > 1 else None))

    def beside(cerebro):
        plain(cerebro)
        cerebro.replaydata(cerebro.datas[-1], timeframe=bt.TimeFrame.Weeks, name='week')

    look(table(), market=market, opening=opening, beside=beside)
    assert seen[:4] == [(day, 1, 1.0, None) for day in range(4)]
    assert seen[-1] == (6, 2, 5.0, 4.2)  # the week before closed on the fourth day


# --------------------------------------------------------------------------- indicators, timers, observers


@WAYS
@pytest.mark.parametrize('mode', [{}, {'runonce': False}, {'preload': False}], ids=str)
def test_indicators_show_yesterday_at_the_open_and_today_after_it(mode, market):
    made, opened, closed = [], [], []

    def first(strategy):
        close = strategy.data.close if market else strategy.feed(A).close
        made[:] = [bt.ind.SMA(close, period=1), close - 0.0, bt.ind.Highest(close, period=2)]

    def opening(strategy):
        if strategy.today() > 2:
            opened.append([indicator[0] for indicator in made])

    def closing(strategy):
        closed.append([indicator[0] for indicator in made])

    strategy = look(table(), market=market, first=first, opening=opening, closing=closing,
                    cerebro=bt.Cerebro(stdstats=False, **mode))
    closes = list(strategy.data.close.array) if market else CLOSES
    wanted = [[today, today, max(today, before)] for before, today in zip(closes, closes[1:], strict=False)]
    assert closed[-6:] == wanted
    assert opened == wanted[1:-1]  # from the fourth day on: each the day before


@WAYS
def test_a_cheat_timer_rings_before_the_close_is_known(market):
    rung = []

    def timer(strategy, kwargs):
        assert_hidden(strategy.feed(A))
        rung.append((strategy.today(), strategy.feed(A).open[0]))

    look(table(), market=market, rung=timer,
         first=lambda strategy: strategy.add_timer(bt.timer.SESSION_START, cheat=True))
    assert rung == list(enumerate(OPENS))


@WAYS
def test_another_timer_rings_after_the_close(market):
    rung = []
    look(table(), market=market, rung=lambda strategy, kwargs: rung.append(strategy.feed(A).close[0]),
         first=lambda strategy: strategy.add_timer(bt.timer.SESSION_START))
    assert rung == CLOSES


@WAYS
@pytest.mark.parametrize('quick', [False, True])
def test_notifications_see_the_whole_bar(quick, market):
    """Also of an order filled at the open: it is told after the broker's turn."""
    told = []

    def opening(strategy):
        if strategy.today() == 3:
            order = strategy.buy(strategy.feed(A), size=100)
            assert order.executed.price == 10.3
            assert_hidden(strategy.feed(A))  # the fill opens nothing

    look(table(), market=market, opening=opening, cerebro=bt.Cerebro(stdstats=False, quicknotify=quick),
         told=lambda strategy, order: told.append((strategy.today(), order.getstatusname(), strategy.feed(A).close[0],
                                                   order.data.volume[0])))
    assert told == [(3, 'Accepted', 10.2, 1e6), (3, 'Completed', 10.2, 1e6)]


@WAYS
def test_analyzers_and_observers_see_the_whole_bar(market):
    class Closes(bt.Analyzer):
        def start(self):
            self.rets = []

        def next(self):
            self.rets.append(self.strategy.feed(A).close[0])

    class Volume(bt.Observer):
        lines = ('volume',)

        def next(self):
            self.lines.volume[0] = self._owner.feed(A).volume[0]

    def arrange(cerebro):
        cerebro.addanalyzer(Closes, _name='closes')
        cerebro.addobserver(Volume)

    strategy = look(table(), market=market, arrange=arrange, opening=lambda strategy: None)
    assert strategy.analyzers.closes.rets == CLOSES
    assert list(strategy.observers.volume.lines.volume.array)[:7] == [1e6] * 7


# ---------------------------------------------------------------------------------------------- the rotation


@WAYS
@pytest.mark.parametrize('hook', ['rank', 'select', 'trade', 'screen', 'is_rebalance_day'])
def test_a_hook_of_the_rotation_cannot_read_today(hook, market):
    """What made 548 million of one: a rank by today's move, read off the lines."""
    def replaced(self, *arguments):
        feed = self.universe.feed(A)
        return -feed.close[0] / feed.close[-1]

    curious = type('Curious', (MicroCapStrategy,), {hook: replaced})
    with pytest.raises(LookAheadError, match=r'close\[0\] of today.*close\[-1\]'):
        run_feeds(table(), market=market, strategy=curious)


@WAYS
def test_a_hook_of_the_rotation_reads_the_day_before(market):
    seen = []

    class Momentum(MicroCapStrategy):
        def rank(self, section):
            feed = self.universe.feed(A)
            seen.append((feed.close[-1], feed.open[0], section.previous('close')[0], section.history('close', 2)[-1, 0]))
            return super().rank(section)

    run_feeds(table(), market=market, strategy=Momentum, refresh_rate=1)
    assert seen == [(CLOSES[day - 1], OPENS[day], CLOSES[day - 1], CLOSES[day - 1]) for day in range(1, 7)]


@WAYS
def test_at_the_close_everything_of_the_day_is_known(market):
    """Without cheat-on-open the strategy decides after the close."""
    closes = []

    class AtTheClose(MicroCapStrategy):
        def trade(self, day):
            closes.append(self.universe.feed(A).close[0])

    cerebro = bt.Cerebro(stdstats=False)
    add_market(cerebro, table(), market)
    cerebro.setbroker(AShareBroker())
    cerebro.addstrategy(AtTheClose)
    cerebro.run()
    assert closes == CLOSES

