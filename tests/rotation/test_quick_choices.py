"""The quick ways of a rotation choose what the slow ones do."""

from types import SimpleNamespace

import numpy as np
import pytest

from bt_microcap import MarketFeed
from bt_microcap.exchange import rules
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.store import MarketStore
from bt_microcap.record.figures import median, percentile
from bt_microcap.rotation.known import placed, places_of
from bt_microcap.rotation.ranks import smallest

CODES = np.array([f'{number:06d}.XSHE' for number in range(1, 401)])


@pytest.mark.parametrize('count', [0, 1, 3, 50, 99, 100, 101, 400, 500])
@pytest.mark.parametrize('kinds', [2, 5, 10**6])  # of ranks: few make many ties
def test_the_smallest_come_in_order_ties_by_code(count, kinds):
    numbers = np.random.default_rng(count + kinds)
    rank = numbers.integers(-kinds, kinds, len(CODES)).astype(float)
    rank[numbers.random(len(CODES)) < 0.1] = np.nan
    mask = numbers.random(len(CODES)) < 0.9
    able = [(rank[at], CODES[at]) for at in range(len(CODES)) if mask[at] and rank[at] == rank[at]]
    assert smallest(CODES, mask, rank, count) == [code for _, code in sorted(able)[:count]]


def test_the_board_of_each_code():
    codes = ['600000.XSHG', '601398.XSHG', '688001.XSHG', '689009.XSHG', '000001.XSHE', '002001.XSHE', '300001.XSHE',
             '301001.XSHE', '430047.BJSE', '835001.BJSE', '920001.BJSE', '510300.XSHG', '588000.XSHG', '511880.XSHG',
             '159915.XSHE', '900901.XSHG', '200002.XSHE', '399001.XSHE', '000300.XSHG', 'index', '60000.XSHG', '6000001.XSHG',
             '60000x.XSHG', '600000.XXXX', '688x01.XSHG']
    expected = dict.fromkeys(codes)
    for code in codes:
        try:
            expected[code] = rules.limit_key(code)
        except rules.RuleError:
            expected[code] = None
    keys = list(rules._LIMITS)
    found = rules._keys_of(codes)
    assert {code: None if key < 0 else keys[key] for code, key in zip(codes, found.tolist(), strict=True)} == expected
    assert expected['600000.XSHG'] == ('main', 'XSHG')
    assert expected['60000x.XSHG'] is expected['index'] is None


@pytest.mark.parametrize('count', [1, 2, 3, 4, 5, 19, 20, 21, 1000])
@pytest.mark.parametrize('percent', [0, 5, 33.3, 50, 95, 100])
def test_median_and_percentiles_are_numpys(count, percent):
    values = np.random.default_rng(count).normal(size=count)
    assert median(values) == float(np.median(values))
    assert percentile(values, percent) == float(np.percentile(values, percent))
    assert (median([3.0, 1.0, 2.0]), percentile([1.0, 2.0, 3.0], 75)) == (2.0, 2.5)
    unknown = [*values.tolist(), np.nan]
    assert np.isnan([median(unknown), percentile(unknown, percent)]).all()


def test_values_of_some_stocks_on_some_days():
    store = MarketStore.from_table(demo_market(12, days=40), checked=True)
    stocks, days = np.meshgrid(np.arange(len(store)), np.arange(-1, len(store.days) + 1))
    found = store.values('close', stocks.ravel(), days.ravel())
    expected = []
    for stock, day in zip(stocks.ravel().tolist(), days.ravel().tolist(), strict=True):
        inside = store.first[stock] <= day <= store.last[stock]
        expected.append(store.block('close', stock)[day - store.first[stock]] if inside else np.nan)
    np.testing.assert_array_equal(found, expected)
    assert np.isnan(found).any()
    assert not np.isnan(found).all()
    np.testing.assert_array_equal(store.values('close', np.arange(len(store)), 5), found.reshape(stocks.shape)[6])


def test_where_codes_stand():
    store = MarketStore.from_table(demo_market(5, days=5), checked=True)
    assert store.find([*store.codes[::-1].tolist(), 'market']).tolist() == [4, 3, 2, 1, 0, -1]
    assert store.find(store.codes[1:3].tolist()).tolist() == [1, 2]


def test_a_universe_of_ones_own_shows_a_part_of_the_market():
    """It passes on what it does not change; where its codes stand is asked of its own."""
    class Part:
        def __init__(self, whole, codes):
            self._whole, self.codes = whole, codes

        def __getattr__(self, name):
            return getattr(self._whole, name)

    store = MarketStore.from_table(demo_market(20, days=5), checked=True)
    whole = MarketFeed(dataname=store).universe()
    part = Part(whole, store.codes[10:15].copy())
    names = store.codes[[3, 11, 14]].tolist()
    assert places_of(whole, whole.codes, names).tolist() == [3, 11, 14]
    assert places_of(part, part.codes, names).tolist() == [-1, 1, 4]
    feeds = [SimpleNamespace(_name=name, _number=number) for name, number in zip(names, (3, 11, 14), strict=True)]
    assert placed(whole, whole.codes, feeds)[0].tolist() == [3, 11, 14]
    found, ours = placed(part, part.codes, feeds)
    assert found.tolist() == [1, 4]
    assert [feed._name for feed in ours] == names[1:]
