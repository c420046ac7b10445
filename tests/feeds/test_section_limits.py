"""Price limits in the cross-section: what the table lacks is computed as the broker does, from what is known at the open."""

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

import bt_microcap
from bt_microcap.exchange import rules
from bt_microcap.feeds.market import MarketFeed, StoreDays
from bt_microcap.feeds.store import MarketStore
from tests.support.history import WAYS, ask
from tests.support.markets import bar, markets, tiny_market
from tests.support.running import run_feeds

NAN = np.nan
OLD = '600000.XSHG'  # there from the first day on, and on every day


def limits(table, market, code, at_open=True, **kwargs):
    """Return (low, high) of a stock at every bar of a run."""
    seen = []

    def each(section, _):
        at = int(np.flatnonzero(section.codes == code)[0])
        seen.append((float(section.today('low_limit')[at]), float(section.today('high_limit')[at])))

    ask(table, market, each, at_open, **kwargs)
    return seen


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-14)


# code, day, what the row says, (low, high)
BY_HAND = {
    'main board': ('600001.XSHG', '2024-01-02', bar(10.03), (9.03, 11.03)),  # 9.027, 11.033
    'half a cent up': ('600001.XSHG', '2024-01-02', bar(10.05), (9.05, 11.06)),  # 9.045, 11.055
    'ST': ('600001.XSHG', '2024-01-02', bar(10.0, st=1), (9.5, 10.5)),
    'ST of 2026': ('600001.XSHG', '2026-07-06', bar(10.0, st=1), (9.0, 11.0)),
    'ChiNext': ('300001.XSHE', '2024-01-02', bar(10.0, st=1), (8.0, 12.0)),
    'ChiNext before its reform': ('300001.XSHE', '2020-08-21', bar(10.0), (9.0, 11.0)),
    'STAR': ('688001.XSHG', '2024-01-02', bar(10.0), (8.0, 12.0)),
    'Beijing is cut': ('830001.BJSE', '2024-01-02', bar(20.06), (14.05, 26.07)),  # 14.042 up, 26.078 down
    'a stock of cents': ('600001.XSHG', '2024-01-02', bar(0.03), (0.02, 0.04)),
    'both given': ('600001.XSHG', '2024-01-02', bar(10.0, high_limit=10.6, low_limit=9.4), (9.4, 10.6)),
    'one given': ('600001.XSHG', '2024-01-02', bar(10.0, high_limit=10.6), (9.0, 10.6)),
    'relisting': ('600001.XSHG', '2024-01-02', bar(25.0, preclose=10.0), (NAN, NAN)),
    'relisting, one given': ('600001.XSHG', '2024-01-02', bar(25.0, preclose=10.0, low_limit=5.0), (5.0, NAN)),
    'below all limits': ('600001.XSHG', '2024-01-02', bar(8.99, preclose=10.0), (NAN, NAN)),
    'at the limit': ('600001.XSHG', '2024-01-02', bar(11.0, preclose=10.0), (9.0, 11.0)),
    'no preclose': ('600001.XSHG', '2024-01-02', bar(10.0, preclose=NAN), (NAN, NAN)),
    'a suspended row': ('600001.XSHG', '2024-01-02', bar(10.0, volume=0, paused=1), (9.0, 11.0)),
    'no A share': ('900901.XSHG', '2024-01-02', bar(10.0), (NAN, NAN)),
    'before the rules': ('600001.XSHG', '1996-12-13', bar(10.0), (NAN, NAN)),
    'the first day of the rules': ('600001.XSHG', '1996-12-16', bar(10.0), (9.0, 11.0)),
}


@WAYS
@pytest.mark.parametrize('at_open', [True, False])
@pytest.mark.parametrize('name', BY_HAND)
def test_by_hand(name, at_open, market):
    code, day, row, expected = BY_HAND[name]
    table = tiny_market({OLD: [10.0], code: [row]}, start=day)
    same(limits(table, market, code, at_open), [expected])
    if name != 'before the rules':
        same(limits(table, market, OLD, at_open), [(9.0, 11.0)])


@WAYS
@pytest.mark.parametrize(('code', 'day', 'free', 'then'), [
    ('688001.XSHG', '2024-01-02', 5, (8.0, 12.0)),
    ('600001.XSHG', '2024-01-02', 5, (9.0, 11.0)),
    ('300001.XSHE', '2019-01-02', 0, (9.0, 11.0)),
    ('830001.BJSE', '2024-01-02', 1, (7.0, 13.0)),
])
def test_the_first_listed_days(code, day, free, then, market):
    table = tiny_market({OLD: [10.0] * 9, code: [None, *[10.0] * 8]}, start=day)
    found = limits(table, market, code)
    expected = [(NAN, NAN)] * (1 + free) + [then] * (8 - free)
    if not free:
        expected[1] = (6.4, 14.4)  # 36 % down and 44 % up on the listing day
    same(found, expected)
    # the run begins later than the data: the listing day is still known
    same(limits(table, market, code, fromdate=sorted(set(table['date']))[3]), expected[3:])


def test_the_listing_day_that_the_store_knows():
    table = tiny_market({OLD: [10.0] * 9, '688001.XSHG': [None, None, None, *[10.0] * 6]})
    store = MarketStore.from_table(table)
    days = sorted(set(table['date']))
    listings = pd.DataFrame({'code': ['688001.XSHG'], 'listed': [days[1]], 'delisted': [pd.NaT]})
    store = MarketStore(store.arrays, store.columns, store.about)
    store._tables['listings'] = listings
    # suspended on the second and third listed day: only three free ones are left
    same(limits(store, True, '688001.XSHG'), [(NAN, NAN)] * 6 + [(8.0, 12.0)] * 3)


@WAYS
def test_the_first_day_of_the_delisting_period(market):
    rows = [bar(10.0, delisting_period=0), None, *[bar(10.0, delisting_period=1)] * 2]
    table = tiny_market({OLD: [bar(10.0, delisting_period=0)] * 4, '600001.XSHG': rows, '600002.XSHG': [rows[2]] * 4})
    same(limits(table, market, '600001.XSHG'), [(9.0, 11.0), (NAN, NAN), (NAN, NAN), (9.0, 11.0)])
    same(limits(table, market, '600002.XSHG'), [(9.0, 11.0)] * 4)  # the data begins inside it


@WAYS
def test_the_day_before_and_the_history(market):
    table = tiny_market({OLD: [10.0, 11.0, 12.0, bar(13.0, high_limit=50.0)]})
    seen = []

    def each(section, _):
        for name in ('high_limit', 'low_limit'):
            np.testing.assert_array_equal(section.history(name, 3)[-1], section.previous(name))
        seen.append((section.previous('high_limit')[0], section.today('high_limit')[0]))
        section.today('high_limit')[:] = 0.0  # a copy of the section's own

    ask(table, market, each)
    same(seen, [(NAN, 11.0), (11.0, 11.0), (11.0, 12.1), (12.1, 50.0)])


def test_the_columns_of_the_store_stay_as_they_are():
    store = MarketStore.from_table(tiny_market({OLD: [10.0] * 3}))
    assert np.isnan(store.vector('high_limit', 1)).all()
    assert StoreDays(store).listed_days(1).tolist() == [0]


@settings(max_examples=25, deadline=None)
@given(markets())
def test_both_universes_say_what_the_broker_does(table):
    found = {}

    class Asking(bt_microcap.MicroCapStrategy):
        def trade(self, day):
            section = self.universe.section(self.at_open)
            today = np.transpose([section.today('low_limit'), section.today('high_limit')])
            there = section.today('open') == section.today('open')
            assert np.isnan(today[~there]).all()
            codes = section.codes[there].tolist()
            np.testing.assert_array_equal(today[there], [self.broker._limits(self.universe.feed(code)) for code in codes])
            found[way].append(dict(zip(codes, today[there].tolist(), strict=True)))

    for way in (False, True):
        found[way] = []
        run_feeds(table, market=way, strategy=Asking)
    np.testing.assert_equal(found[False], found[True])
    assert len(found[True]) == table['date'].nunique() - 1


@WAYS
@settings(max_examples=10, deadline=None)
@given(table=markets())
def test_nothing_of_today_after_the_open_is_in_it(market, table):
    day = sorted(set(table['date']))[-1]
    later = table.copy()
    mine = later['date'] == day
    later.loc[mine, 'high'] = later.loc[mine, ['open', 'high']].max(axis=1) * 2
    later.loc[mine, 'low'] = later.loc[mine, 'open'] / 2
    later.loc[mine, 'close'] = later.loc[mine, 'open']
    later.loc[mine, 'market_cap'] *= 1.5
    later.loc[mine & (later['paused'] == 0), 'volume'] += 300.0
    seen = []
    for rows in (table, later):
        ask(rows, market, lambda section, _: seen.append([section.today(name) for name in ('low_limit', 'high_limit')]))
    half = len(seen) // 2
    np.testing.assert_array_equal(seen[half - 1], seen[-1])


def test_boards_are_told_once(monkeypatch):
    """Asked every day, the boards of the codes are not looked up every day."""
    told = []
    limit_key = rules.limit_key
    monkeypatch.setattr(rules, 'limit_key', lambda code: told.append(code) or limit_key(code))
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=tiny_market({OLD: [10.0] * 9, '300001.XSHE': [20.0] * 9})), name='market')
    seen = []

    class Asking(bt.Strategy):
        def next(self):
            if not seen:
                told.clear()  # what checked the table,
                rules._PLACES.clear()  # and what the index of the market keeps
            seen.append(self.data.universe().section(True).today('high_limit').tolist())

    cerebro.addstrategy(Asking)
    cerebro.run()
    assert seen == [[24.0, 11.0]] * 9
    assert len(told) == 2
