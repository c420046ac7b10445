"""No look-ahead: what is changed after an open changes nothing that was decided up to it."""

import numpy as np
import pandas as pd
import pytest

from bt_microcap import MicroCapStrategy
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.universe import CrossSection, LookAheadError
from tests.support.running import run_feeds

# no volume limit: how much of an order the day's liquidity takes is a model of the fill, and decides nothing
OPTIONS = {'min_cap': 4e8, 'max_cap': 6e9, 'stocknum': 5, 'refresh_rate': 2, 'cash': 1e6, 'volume_limit': 0.0,
           'delist_wait': 0}  # thirty days: with the default of 60 nothing would be delisted
LATER = ('high', 'low', 'close', 'volume', 'amount', 'market_cap')  # of a day, not known at its open
KNOWN = ('open', 'preclose', 'paused', 'is_st', 'cash_dividend', 'share_ratio')


class Diary(MicroCapStrategy):
    """Writes down each order as it is given, and whatever becomes of it."""

    def __init__(self):
        super().__init__()
        self.diary = []

    def day(self):
        return max(data.datetime.date(0) for data in self.datas if len(data))

    def note(self, *what):
        self.diary.append((self.day(), *what))

    def select(self, section):
        picks = super().select(section)
        self.note('picks', *picks)
        return picks

    def buy(self, data=None, size=None, price=None, **kwargs):
        self.note('buy', data._name, size, price, kwargs.get('value'))
        return super().buy(data=data, size=size, price=price, **kwargs)

    def close(self, data=None, size=None, **kwargs):
        self.note('close', data._name, self.getposition(data).size, kwargs.get('price'))
        return super().close(data=data, size=size, **kwargs)

    def notify_order(self, order):
        super().notify_order(order)
        if order.status == order.Completed:
            bits = [(bit.size, bit.price, bit.comm) for bit in order.executed.exbits]
            self.note('filled', order.data._name, bits, order.info.get('cash'))
        elif order.status in (order.Rejected, order.Canceled, order.Margin):
            self.note('refused', order.data._name, order.isbuy(), order.info.get('reason'))


def market(seed):
    """A lively market of 32 days with explicit corporate actions; codes and flags as plain columns."""
    table = demo_market(32, '2021-03-01', days=32, seed=seed, corporate_actions=True)
    return table.astype({'code': str, 'volume': float})


def scramble(table, day, seed, known=False):
    """Change all that is not known at the open of a day: the rest of that day, and everything on later days.

    With `known`, change what is known at that open instead: the day before. The table stays a valid one, and
    a stock that trades on the day still trades.
    """
    rng = np.random.default_rng(seed)
    table = table.copy()
    if known:
        before = table['date'][table['date'] < day].max()
        table.loc[table['date'] == before, 'market_cap'] *= rng.uniform(
            0.3, 3, (table['date'] == before).sum()
        )
        return table
    same, after = (table['date'] == day).to_numpy(), (table['date'] > day).to_numpy()
    for mask in (same, after):
        count = mask.sum()
        if mask is after:
            table.loc[mask, 'open'] = np.round(
                table.loc[mask, 'open'] * rng.uniform(0.6, 1.6, count) + 0.01, 2
            )
            table.loc[mask, 'preclose'] = np.round(
                table.loc[mask, 'preclose'] * rng.uniform(0.8, 1.3, count) + 0.01, 2
            )
            for flag in ('paused', 'is_st'):
                table.loc[mask, flag] = (rng.random(count) < 0.2).astype('uint8')
            table.loc[mask, 'cash_dividend'] = np.where(rng.random(count) < 0.2, 0.3, 0.0)
            table.loc[mask, 'share_ratio'] = np.where(rng.random(count) < 0.2, 1.5, 1.0)
        opens = table.loc[mask, 'open'].to_numpy()
        closes = np.maximum(0.01, np.round(opens * rng.uniform(0.5, 1.8, count), 2))
        table.loc[mask, 'close'] = closes
        table.loc[mask, 'high'] = np.round(np.maximum(opens, closes) * rng.uniform(1, 1.2, count) + 0.005, 2)
        table.loc[mask, 'low'] = np.maximum(
            0.01, np.round(np.minimum(opens, closes) * rng.uniform(0.8, 1, count) - 0.005, 2)
        )
        volume = table.loc[mask, 'volume'].to_numpy()
        table.loc[mask, 'volume'] = np.where(volume > 0, rng.integers(1, 500, count) * 100.0, volume)
        table.loc[mask, 'amount'] = rng.uniform(1e3, 1e9, count)
        table.loc[mask, 'market_cap'] = rng.uniform(3e8, 9e9, count)
    return table


def run(table, profile, **options):
    return run_feeds(table, profile=profile, strategy=Diary, **OPTIONS, **options)


def until(strategy, day):
    """All that was ordered, filled and refused up to and at the open of a day, and the account before it."""
    day = day.date()
    blotter = strategy.analyzers.blotter
    return {
        'diary': [note for note in strategy.diary if note[0] <= day],
        'fills': [fill for fill in blotter.fills if fill.datetime <= day],
        # a delisting is told with the day of its last close, and decided by the open of the day after
        'rejections': [
            refusal for refusal in blotter.rejections if refusal.date <= day and refusal.reason != 'delisted'
        ],
        'delisted': [
            refusal for refusal in blotter.rejections if refusal.date < day and refusal.reason == 'delisted'
        ],
        'equity': [row for row in blotter.equity if row.date < day],
        'cash': [row.cash for row in blotter.equity if row.date <= day],
    }


def test_the_scrambled_table_is_valid_and_keeps_what_is_known():
    table = market(1)
    days = sorted(set(table['date']))
    changed = scramble(table, days[20], 5)
    check_table(changed)
    before, same = table['date'] < days[20], table['date'] == days[20]
    pd.testing.assert_frame_equal(table[before], changed[before])
    pd.testing.assert_frame_equal(table.loc[same, KNOWN], changed.loc[same, KNOWN])
    for name in LATER:
        assert (changed.loc[same, name] != table.loc[same, name]).mean() > 0.8, name
    assert ((changed['volume'] > 0) == (table['volume'] > 0)).all()


@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
@pytest.mark.parametrize('seed', range(3))
def test_what_comes_after_an_open_changes_nothing_before(profile, seed):
    table = market(seed)
    days = sorted(set(table['date']))
    plain = run(table, profile)
    rng = np.random.default_rng([seed, 7])
    rebalances = rng.choice(np.arange(3, len(days) - 2, 2), 2, replace=False)
    later = 0
    for at in (*rebalances, *rng.choice(np.arange(2, len(days) - 3, 2), 1)):  # and a day without orders
        day = days[at]
        other = run(scramble(table, day, [seed, int(at)]), profile)
        assert until(other, day) == until(plain, day), f'scrambled after the open of {day.date()}'
        later += other.diary != plain.diary
        if at in rebalances:
            today = [note[1] for note in plain.diary if note[0] == day.date()]
            assert {'picks', 'buy', 'filled'} <= set(today)  # there was something that could have changed
    assert later >= 2  # the scrambled days do matter, afterwards


@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
def test_what_is_known_at_an_open_does_change_it(profile):
    """The same comparison fails when the day before is changed: it can fail."""
    table = market(2)
    days = sorted(set(table['date']))
    plain = run(table, profile)
    changed = 0
    for at in (9, 19, 25):
        other = run(scramble(table, days[at], at, known=True), profile)
        assert until(other, days[at - 2]) == until(plain, days[at - 2])
        changed += until(other, days[at])['fills'] != until(plain, days[at])['fills']
    assert changed == 3


def test_a_strategy_that_peeks_is_caught():
    """A strategy that ranks by today's close is refused; behind the lines' back, it does not pass the comparison."""

    class Asking(Diary):
        def close_of(self, feed):
            return feed.close[0]

        def rank(self, section):
            now = max(data.datetime[0] for data in self.datas if len(data))
            feeds = [self.universe.feed(code) for code in section.codes]
            return np.array(
                [
                    self.close_of(feed) / feed.open[0] if len(feed) and feed.datetime[0] == now else np.nan
                    for feed in feeds
                ]
            )

    class Peeking(Asking):
        def close_of(self, feed):
            return feed.close.array[feed.close.idx]  # Backtrader's buffer itself

    table = market(3)
    day = sorted(set(table['date']))[11]
    for market_feed in (False, True):
        with pytest.raises(LookAheadError, match=r'close\[0\] of today is not known at the open: use close\[-1\]'):
            run_feeds(table, strategy=Asking, market=market_feed, **OPTIONS)
    peeking = [
        run_feeds(changed, strategy=Peeking, **OPTIONS) for changed in (table, scramble(table, day, 1))
    ]
    assert until(peeking[0], day)['fills'] != until(peeking[1], day)['fills']
    honest = [run(changed, 'realistic') for changed in (table, scramble(table, day, 1))]
    assert until(honest[0], day) == until(honest[1], day)


class Recorder:
    """Stands in for the source of a cross-section: remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def vector(self, name, previous):
        self.asked.append((name, previous))
        return np.array([1.0])


@pytest.mark.parametrize('name', [*LATER, 'adj_factor', 'datetime', 'openinterest', '', 'CLOSE', 'close '])
def test_today_refuses_what_is_not_known(name):
    source = Recorder()
    section = CrossSection(np.array(['600001.XSHG']), source)
    with pytest.raises(LookAheadError, match='not known at the open'):
        section.today(name)
    assert source.asked == []
    assert issubclass(LookAheadError, ValueError)


@pytest.mark.parametrize('name', [*KNOWN, 'high_limit', 'low_limit'])
def test_today_gives_what_is_known(name):
    source = Recorder()
    section = CrossSection(np.array(['600001.XSHG']), source)
    assert section.today(name).tolist() == [1.0]
    assert section.previous(name).tolist() == [1.0]
    assert section.previous('close').tolist() == [1.0]
    assert source.asked == [(name, False), (name, True), ('close', True)]


@pytest.mark.parametrize('name', LATER[:4] + LATER[5:])
def test_a_screen_cannot_ask_for_today(name):
    """In a run: the error reaches the user, it does not become an empty screen."""

    class Asking(MicroCapStrategy):
        def screen(self, section):
            return section.today(name) > 0

    with pytest.raises(LookAheadError, match=name):
        run_feeds(market(1), strategy=Asking)


def test_the_cross_section_of_a_day_is_the_table_of_the_day():
    """previous() and today() against the table itself, on every rebalance of a run."""
    table = market(4)
    by_day = {day: rows.set_index('code') for day, rows in table.groupby('date')}
    days = sorted(by_day)
    seen = []

    class Looking(MicroCapStrategy):
        def screen(self, section):
            now = pd.Timestamp(max(data.datetime.date(0) for data in self.datas if len(data)))
            before = days[days.index(now) - 1]
            for name in ('market_cap', 'close', 'open', 'volume', 'paused'):
                wanted = by_day[before][name].reindex(section.codes).to_numpy('float64')
                np.testing.assert_array_equal(section.previous(name), wanted)
            for name in KNOWN:
                wanted = by_day[now][name].reindex(section.codes).to_numpy('float64')
                np.testing.assert_array_equal(section.today(name), wanted)
            seen.append(now)
            return super().screen(section)

    run_feeds(table, strategy=Looking, **OPTIONS)
    assert seen == days[1::2]
