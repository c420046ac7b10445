"""Each param of the rotation in a run on a tiny market: which orders it makes, on both sides of its bound."""

import math

import numpy as np
import pytest

from bt_microcap import MicroCapStrategy
from bt_microcap.feeds.errors import DataError
from bt_microcap.rotation import screens
from bt_microcap.rotation.values import price
from tests.support.markets import bar, frame, paused, tiny_market
from tests.support.rotating import buys_of, orders_of, rotate, sales_of

A, B, C, D = '600001.XSHG', '600002.XSHG', '600003.XSHG', '600004.XSHG'
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])


def two(a, b=5.0, days=3):
    """A is the first pick, B the second."""
    return tiny_market({A: [bar(10.0, cap=2e9), a] + [10.0] * (days - 2), B: [bar(5.0, cap=3e9), b] + [5.0] * (days - 2)})


def bought(table, **params):
    return [code for _, code, _ in buys_of(rotate(table, **params))]


def told(run):
    """Return (month-day, code, side, why) of each order."""
    return [order[:4] for order in orders_of(run)]


# ------------------------------------------------------------------------------------------ which stocks


@WAYS
@pytest.mark.parametrize(('opening', 'expected'), [(11.0, [B]), (10.99, [A]), (9.0, [B]), (9.01, [A])])
def test_skip_limits(market, opening, expected):
    assert bought(two(opening), market=market, skip_limits=True) == expected


@WAYS
def test_without_skip_limits_a_pick_at_its_limit_is_refused_and_not_replaced(market):
    run = rotate(two(11.0), market=market)
    assert orders_of(run) == [('01-03', A, 'BUY', 'rebalance', 0, 'limit up')]
    assert bought(two(9.0), market=market) == [A]  # at its lower limit anybody may buy


@WAYS
@pytest.mark.parametrize(('keep', 'expected'), [
    (True, []),  # what is held stays a pick
    (False, [('01-05', A, 'SELL', 'rebalance'), ('01-05', B, 'BUY', 'rebalance')]),
])
def test_skip_limits_and_what_is_held(market, keep, expected):
    table = tiny_market({A: [bar(10.0, cap=2e9), 10.0, 10.0, 11.0], B: [bar(5.0, cap=3e9)] + [5.0] * 3})
    assert told(rotate(table, market=market, skip_limits=True, refresh_rate=2, keep=keep))[1:] == expected


@WAYS
def test_skip_limits_where_there_is_no_limit(market):
    # an open far beyond the limits, as at a relisting: none holds
    assert bought(two(bar(30.0, preclose=10.0)), market=market, skip_limits=True) == [A]


@WAYS
@pytest.mark.parametrize(('ban', 'again'), [(0, '01-05'), (1, '01-05'), (2, '01-08'), (3, '01-09'), (4, None)])
def test_a_rebuy_ban_with_keep(market, ban, again):
    """A, the first pick but on 01-04, is sold on that day; a weekend between is no day."""
    table = tiny_market({A: [bar(10.0, cap=2e9), bar(10.0, cap=9e9), bar(10.0, cap=2e9), 10.0, 10.0, 10.0],
                         B: [bar(10.0, cap=3e9)] + [10.0] * 5})
    found = buys_of(rotate(table.loc[table['date'] < '2024-01-10'], market=market, keep=True, refresh_rate=1, rebuy_ban=ban))
    assert [day for day, code, _ in found if code == A] == ['01-03', *([again] if again else [])]
    assert [day for day, code, _ in found if code == B] == ['01-04']


@WAYS
def test_a_rebuy_ban_of_one_day_with_keep_leaves_what_is_picked_again(market):
    table = tiny_market({A: [bar(10.0, cap=2e9)] + [10.0] * 4, B: [bar(10.0, cap=3e9)] + [10.0] * 4})
    assert told(rotate(table, market=market, keep=True, refresh_rate=1, rebuy_ban=9)) == [('01-03', A, 'BUY', 'rebalance')]


@WAYS
@pytest.mark.parametrize(('ban', 'expected'), [
    (0, [A, A, A, A, A]), (1, [A, B, A, B, A]), (2, [A, B, C, A, B]), (3, [A, B, C, D, A])])
def test_a_rebuy_ban_without_keep(market, ban, expected):
    """What is held is sold first, and so is banned too."""
    table = tiny_market({code: [bar(10.0, cap=2e9 + number)] + [10.0] * 5 for number, code in enumerate((A, B, C, D))})
    assert bought(table, market=market, refresh_rate=1, rebuy_ban=ban) == expected


@WAYS
@pytest.mark.parametrize(('least', 'expected'), [(1e6, [A]), (1e6 + 0.01, [B])])
def test_min_amount_is_the_mean_of_20_days(market, least, expected):
    # A trades 20 million on one day of 20, on the first, and nothing on the others; B 2 million on each
    table = tiny_market({A: [bar(10.0, cap=2e9, volume=2e6, amount=2e7)] + [bar(10.0, volume=0.0, amount=0.0)] * 19 + [10.0],
                         B: [bar(10.0, cap=3e9, volume=2e5, amount=2e6)] + [bar(10.0, volume=2e5, amount=2e6)] * 19 + [10.0]})
    assert bought(table, market=market, min_amount=least, phase=19) == expected


@WAYS
@pytest.mark.parametrize(('params', 'expected'), [
    ({'min_price': 10.0}, [A]), ({'min_price': 10.01}, []), ({'max_price': 10.0}, [A]), ({'max_price': 9.99}, [B]),
    ({'min_price': 5.0, 'max_price': 5.0}, [B]), ({'min_cap': 2e9}, [A]), ({'min_cap': 2e9 + 1}, [B]),
    ({'boards': ('chinext', 'star')}, []), ({'boards': ('main',)}, [A]),
    ({'extra_screen': price < 10}, [B]), ({'extra_screen': lambda section: section.codes == B}, [B]),
    ({'extra_screen': ~screens.one_of({A})}, [B]),
])
def test_screens_by_params(market, params, expected):
    if expected:
        assert bought(two(10.0), market=market, **params) == expected
    else:
        with pytest.warns(UserWarning, match='no stock was picked'):
            assert bought(two(10.0), market=market, **params) == []


@pytest.mark.parametrize(('days', 'expected'), [(0, A), (375, A), (376, B)])
def test_min_listed_days(days, expected):
    # the day before the rebalance is 2024-01-02, 375 days after 2022-12-23
    told = frame(code=[A, B], listed=['2022-12-23', '2001-01-01'], delisted=[None, None])
    assert bought(two(10.0), min_listed_days=days, tables={'listings': told}) == [expected]


@pytest.mark.parametrize(('since', 'expected'), [('2024-01-02', [B, B]), ('2024-01-03', [A, B]), ('2024-01-04', [A, A])])
def test_the_universe_of_the_day_before(since, expected):
    # rebalances on 01-03 and 01-04: B becomes a member instead of A
    told = frame(index=['000300'] * 2, date=['2023-12-01', since], code=[A, B])
    assert bought(two(10.0), universe='000300', refresh_rate=1, tables={'constituents': told}) == expected


@pytest.mark.parametrize('params', [{'universe': '000300'}, {'max_per_industry': 1}])
def test_what_feeds_do_not_know(params):
    with pytest.raises(DataError, match='feeds of one stock each do not tell names, industries or members'):
        rotate(two(10.0), market=False, **params)
    with pytest.raises(DataError, match='has no (constituents|industries)'):
        rotate(two(10.0), **params)


# ------------------------------------------------------------------------------------------ how much


@WAYS
def test_keep(market):
    # the picks are A B, A B, B C: of the last rebalance A is sold and C bought for what it brought
    table = tiny_market({A: [bar(10.0, cap=2e9), 10.0, bar(10.0, cap=9e9), 10.0], B: [bar(5.0, cap=3e9), 5.0, 6.0, 6.0],
                         C: [bar(20.0, cap=4e9), 20.0, 20.0, 20.0]})
    run = rotate(table, market=market, stocknum=2, refresh_rate=1, keep=True)
    assert orders_of(run) == [
        ('01-03', A, 'BUY', 'rebalance', 5_000, ''), ('01-03', B, 'BUY', 'rebalance', 10_000, ''),
        ('01-05', A, 'SELL', 'rebalance', 5_000, ''), ('01-05', C, 'BUY', 'rebalance', 2_500, '')]


@WAYS
@pytest.mark.parametrize('gone', [paused(), None], ids=['with a row', 'without'])
def test_keep_what_is_suspended(market, gone):
    # A is no pick any more on 01-05 and suspended: no order is given, and its place is not free
    table = tiny_market({A: [bar(10.0, cap=2e9), 10.0, bar(10.0, cap=9e9), gone, 10.0], B: [bar(5.0, cap=3e9)] + [5.0] * 4})
    run = rotate(table, market=market, refresh_rate=2, keep=True)
    assert told(run) == [('01-03', A, 'BUY', 'rebalance')]
    run = rotate(table, market=market, refresh_rate=2)
    assert orders_of(run)[1:] == [('01-05', A, 'SELL', 'rebalance', 0, 'suspended')]


@WAYS
@pytest.mark.parametrize(('band', 'opens', 'expected'), [
    # 5,000 A at 10.00 and 10,000 B at 5.00; then A opens somewhere: half of the account is to be in each
    (0.0, 10.0, []),
    (0.0, 10.8, [(A, 'SELL', 100), (B, 'BUY', 200)]),  # 52,000 each: 54,000 is 2,000 too much, 50,000 too little
    (0.0384, 10.8, [(A, 'SELL', 100), (B, 'BUY', 200)]),  # 2,000 of 52,000 are 3.846 %
    (0.0385, 10.8, []),
    (0.04, 10.8, []),
    (0.25, 10.8, []),
    (0.0, 9.2, [(B, 'SELL', 400), (A, 'BUY', 200)]),  # 48,000 each: 2,000 are 4.167 %; A for 2,000, 217 shares
    (0.041, 9.2, [(B, 'SELL', 400), (A, 'BUY', 200)]),
    (0.042, 9.2, []),
])
def test_weights_and_a_band(market, band, opens, expected):
    table = tiny_market({A: [bar(10.0, cap=2e9), 10.0, opens], B: [bar(5.0, cap=3e9), 5.0, 5.0]})
    run = rotate(table, market=market, stocknum=2, refresh_rate=1, keep=True, weights='equal', band=band)
    assert [order[1:3] + order[4:5] for order in orders_of(run)[2:]] == expected


@WAYS
def test_a_band_without_keep_means_nothing(market):
    table = tiny_market({A: [bar(10.0, cap=2e9), 10.0, 10.0], B: [bar(5.0, cap=3e9), 5.0, 5.0]})
    run = rotate(table, market=market, stocknum=2, refresh_rate=1, weights='equal', band=0.9)
    assert [f'{day} {side}' for day, _, side, _ in told(run)] == ['01-03 BUY'] * 2 + ['01-04 SELL'] * 2 + ['01-04 BUY'] * 2


@WAYS
def test_weights_sell_what_is_no_pick(market):
    table = tiny_market({A: [bar(10.0, cap=2e9), bar(10.0, cap=9e9), 10.0], B: [bar(5.0, cap=3e9), 5.0, 5.0],
                         C: [bar(20.0, cap=4e9), 20.0, 20.0]})
    run = rotate(table, market=market, stocknum=2, refresh_rate=1, keep=True, weights='market_cap')
    # of 100,000 A and B have 2 : 3, then B and C 3 : 4, 42,857 and 57,143
    assert [order[1:3] + order[4:5] for order in orders_of(run)] == [
        (A, 'BUY', 4_000), (B, 'BUY', 12_000), (A, 'SELL', 4_000), (B, 'SELL', 3_400), (C, 'BUY', 2_800)]


@WAYS
@pytest.mark.parametrize(('most', 'shares'), [(1.0, 10_000), (0.5, 5_000), (0.25, 2_500)])
def test_max_weight(market, most, shares):
    assert buys_of(rotate(two(10.0), market=market, weights='equal', max_weight=most)) == [('01-03', A, shares)]


@WAYS
@pytest.mark.parametrize(('opening', 'expected'), [
    # 2,500 A at 20.00 and 10,000 B; A is short of half of the account by 500, 1,950 and 2,250, which pay 25, 97 and 112 shares
    (5.10, []), (5.39, [(B, 'SELL', 300)]), (5.45, [(B, 'SELL', 400), (A, 'BUY', 100)])])
def test_a_top_up_of_less_than_a_lot_is_no_order(market, opening, expected):
    table = tiny_market({A: [bar(20.0, cap=2e9), 20.0, 20.0], B: [bar(5.0, cap=3e9), 5.0, opening]})
    run = rotate(table, market=market, stocknum=2, refresh_rate=1, keep=True, weights='equal')
    assert [order[1:3] + order[4:5] for order in orders_of(run)[2:]] == expected


# ------------------------------------------------------------------------------------------ others


@WAYS
def test_a_combination_goes_before_all(market):
    table = two(10.0, days=4)
    plain = rotate(table, market=market, stocknum=2, refresh_rate=1, keep=True, max_price=7.0)
    given = rotate(table, market=market, combination=(('stocknum', 2), ('refresh_rate', 1), ('keep', True), ('max_price', 7.0)))
    assert orders_of(given) == orders_of(plain) and given.p.stocknum == 2


def test_a_combination_is_checked_too():
    with pytest.raises(ValueError, match='stocknum is 0: expected a whole number of 1 or more'):
        rotate(two(10.0), combination=(('stocknum', 0),))


@WAYS
def test_the_defaults_are_the_original(market):
    """Three of 2 to 3 billion, sold and bought every five days, with equal parts of the cash."""
    codes = (A, B, C, D)
    table = tiny_market({code: [bar(10.0, cap=cap)] + [10.0] * 7
                         for code, cap in zip(codes, (1.9e9, 2.0e9, 3.0e9, 2.5e9), strict=True)})
    run = rotate(table, market=market, min_cap=2e9, max_cap=3e9, stocknum=3, refresh_rate=5)
    first = [('01-03', B, 3_300), ('01-03', D, 3_300), ('01-03', C, 3_300)]  # of 33,333, 33,500 and 34,000
    assert buys_of(run)[:2] == first[:2] and buys_of(run)[2][1] == C
    assert [day for day, *_ in sales_of(run)] == ['01-10'] * 3
    defaults = MicroCapStrategy.params()._getkwargs()
    assert (defaults['stocknum'], defaults['refresh_rate'], defaults['min_cap'], defaults['max_cap']) == (3, 5, 2e9, 3e9)


@WAYS
@pytest.mark.parametrize('hook', ['weigh', 'budget', 'screen', 'rank', 'select'])
def test_steps_can_be_overridden_beside_params(market, hook):
    class Mine(MicroCapStrategy):
        pass

    mine = {
        'weigh': lambda self, section, picks: {B: 0.5},
        'budget': lambda self, cash, free: 50_000.0,
        'screen': lambda self, section: super(Mine, self).screen(section) & (section.codes == B),
        'rank': lambda self, section: -super(Mine, self).rank(section),
        'select': lambda self, section: super(Mine, self).select(section)[:0] or [B],
    }
    setattr(Mine, hook, mine[hook])
    params = {'weights': 'equal'} if hook == 'weigh' else {}
    found = buys_of(rotate(two(10.0), market=market, strategy=Mine, **params))
    assert found == {'weigh': [('01-03', B, 10_000)], 'budget': [('01-03', A, 5_000)]}.get(hook, [('01-03', B, 20_000)])


def test_numbers_of_numpy_are_numbers():
    run = rotate(two(10.0), stocknum=np.int64(1), max_price=np.float64(9.0), keep=np.bool_(True), min_cap=np.float32(0))
    assert buys_of(run) == [('01-03', B, 20_000)]
    assert math.isinf(run.p.max_cap)
