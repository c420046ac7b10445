"""Ranks, the choice of the smallest, random orders, and the parts of the money, by hand."""

import math

import numpy as np
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.rotation import ranks, weights
from bt_microcap.rotation.values import column, market_cap, price
from tests.support.markets import bar, frame, tiny_market
from tests.support.rotating import buys_of, rotate, section_of, seen_by

A, B, C, D, E, F = (f'60000{number}.XSHG' for number in range(1, 7))
SIX = [A, B, C, D, E, F]
CODES = np.array(SIX)
NAN = math.nan
ALL = np.ones(6, bool)


# ------------------------------------------------------------------------------------------ ranks


@pytest.mark.parametrize(('numbers', 'expected'), [
    ([30.0, 10.0, 20.0], [3.0, 1.0, 2.0]),
    ([10.0, 10.0, 20.0], [1.5, 1.5, 3.0]),
    ([20.0, 10.0, 20.0, 20.0], [3.0, 1.0, 3.0, 3.0]),
    ([5.0, 5.0, 5.0], [2.0, 2.0, 2.0]),
    ([NAN, 10.0, NAN, 5.0], [NAN, 2.0, NAN, 1.0]),
    ([math.inf, -math.inf, 0.0], [3.0, 1.0, 2.0]),
    ([NAN, NAN], [NAN, NAN]),
    ([], []),
    ([True, False, True], [2.5, 1.0, 2.5]),
])
def test_ranks(numbers, expected):
    np.testing.assert_array_equal(ranks.ranked(np.array(numbers)), expected)


SECTION = section_of(SIX, market_cap=[1.0, 2.0, 3.0, 4.0, 5.0, NAN], close=[60.0, 50.0, 40.0, 40.0, 20.0, 10.0])


@pytest.mark.parametrize(('rank', 'among', 'expected'), [
    # caps rank 1 2 3 4 5 -, prices 6 5 3.5 3.5 2 1
    (ranks.weighted_ranks((market_cap, 1.0)), None, [1, 2, 3, 4, 5, NAN]),
    (ranks.weighted_ranks((market_cap, 2.0), (price, 1.0)), None, [8, 9, 9.5, 11.5, 12, NAN]),
    (ranks.weighted_ranks((market_cap, 1.0), (price, -1.0)), None, [-5, -3, -0.5, 0.5, 3, NAN]),
    (ranks.weighted_ranks((market_cap, -1.0)), None, [-1, -2, -3, -4, -5, NAN]),
    (ranks.weighted_ranks((market_cap, 0.0), (price, 1.0)), None, [6, 5, 3.5, 3.5, 2, NAN]),
    # among the middle four the caps rank 1 2 3 4, the prices 4 2.5 2.5 1
    (ranks.weighted_ranks((market_cap, 1.0)), [0, 1, 1, 1, 1, 0], [NAN, 1, 2, 3, 4, NAN]),
    (ranks.weighted_ranks((market_cap, 0.5), (price, 2.0)), [0, 1, 1, 1, 1, 0], [NAN, 8.5, 6, 6.5, 4, NAN]),
    (ranks.weighted_ranks((-market_cap, 1.0)), [1, 0, 0, 1, 0, 0], [2, NAN, NAN, 1, NAN, NAN]),
    (ranks.weighted_ranks((lambda section: section.previous('close'), 1.0)), [0, 0, 1, 1, 1, 1], [NAN, NAN, 3.5, 3.5, 2, 1]),
    (2 * ranks.weighted_ranks((market_cap, 1.0)) + 1, [0, 0, 1, 1, 0, 0], [NAN, NAN, 3, 5, NAN, NAN]),
    # ranks of ranks: of 8 9 9.5 11.5 12 among the first three
    (ranks.weighted_ranks((ranks.weighted_ranks((market_cap, 2.0), (price, 1.0)), 10.0)), [1, 1, 1, 0, 0, 0],
     [10, 20, 30, NAN, NAN, NAN]),
    (ranks.weighted_ranks((market_cap, 1.0)), [0] * 6, [NAN] * 6),
])
def test_weighted_ranks(rank, among, expected):
    np.testing.assert_allclose(rank(SECTION, None if among is None else np.array(among, bool)), expected, rtol=1e-14)


@pytest.mark.parametrize('given', [(), (market_cap,), ((market_cap,),), ((1.0, market_cap),), ((market_cap, 1.0), price),
                                   ([market_cap, 1.0],), (('market_cap', 1.0),)])
def test_weighted_ranks_of_nothing(given):
    with pytest.raises(ValueError, match='weighted_ranks takes pairs of a value and its weight'):
        ranks.weighted_ranks(*given)


@pytest.mark.parametrize('market', [False, True])
def test_a_run_ranks_those_alone_that_passed_the_screen(market):
    # caps rank A B C, prices C B A: 2 x cap + price is 5 6 7. Among A and C alone it is 4 and 5; with E, which is cheaper and
    # larger than all and outside the band, A would have 2 x 1 + 4 and C 2 x 3 + 2
    table = tiny_market({A: [bar(30.0, cap=2.0e9), 30.0], B: [bar(20.0, cap=2.1e9, st=1), bar(20.0, st=1)],
                         C: [bar(5.0, cap=2.2e9), 5.0], E: [bar(1.0, cap=9.0e9), 1.0]})
    by_price = ranks.weighted_ranks((market_cap, 1.0), (price, 3.0))  # A 1 + 6, C 2 + 3
    assert buys_of(rotate(table, market=market, rank=by_price, max_cap=3e9)) == [('01-03', C, 20_000)]
    by_cap = ranks.weighted_ranks((market_cap, 3.0), (price, 1.0))  # A 3 + 2, C 6 + 1
    assert buys_of(rotate(table, market=market, rank=by_cap, max_cap=3e9)) == [('01-03', A, 3_300)]


@pytest.mark.parametrize('market', [False, True])
@pytest.mark.parametrize(('rank', 'bought'), [
    ('market_cap', A), ('-market_cap', C), ('price', C), ('-close', A), ('pb', B), ('-pb', A), (-column('pb'), A),
    (lambda section: section.previous('pb') * section.previous('close'), C)])
def test_the_param_rank(market, rank, bought):
    table = tiny_market({A: [bar(30.0, cap=2.0e9, pb=3.0), 30.0], B: [bar(20.0, cap=2.1e9, pb=1.0), 20.0],
                         C: [bar(5.0, cap=2.2e9, pb=2.0), 5.0]})
    assert [code for _, code, _ in buys_of(rotate(table, market=market, rank=rank))] == [bought]


# ------------------------------------------------------------------------------------------ the smallest, and groups

GROUPS = np.array(['x', 'x', 'x', 'y', '', ''])


@pytest.mark.parametrize(('most', 'count', 'expected'), [
    (0, 6, [A, B, C, D, E, F]), (1, 6, [A, D, E, F]), (2, 6, [A, B, D, E, F]), (3, 6, [A, B, C, D, E, F]),
    (1, 2, [A, D]), (2, 3, [A, B, D]), (1, 3, [A, D, E])])
def test_a_cap_of_an_industry(most, count, expected):
    """The unknown industry is none: it has no cap."""
    assert ranks.smallest(CODES, ALL, np.arange(6.0), count, GROUPS, most) == expected


def test_a_cap_counts_those_alone_that_may_be_taken():
    rank = np.array([NAN, 5.0, 4.0, 3.0, 2.0, 1.0])
    assert ranks.smallest(CODES, ALL, rank, 6, GROUPS, 1) == [F, E, D, C]
    assert ranks.smallest(CODES, ALL & (CODES != C), rank, 6, GROUPS, 1) == [F, E, D, B]
    assert ranks.smallest(CODES, ALL, np.ones(6), 6, GROUPS, 1) == [A, D, E, F]  # ties by code
    assert ranks.smallest(CODES, ~ALL, rank, 6, GROUPS, 1) == []
    assert ranks.smallest(CODES, ALL, rank, 6, None, 1) == [F, E, D, C, B]


@pytest.mark.parametrize(('most', 'bought'), [(0, [A, B, C]), (1, [A, C, D]), (2, [A, B, C])])
def test_the_param_max_per_industry(most, bought):
    table = tiny_market({code: [bar(10.0, cap=2e9 + number), 10.0] for number, code in enumerate(SIX)})
    told = frame(code=[A, B, C], date=['2024-01-01'] * 3, industry=['banks', 'banks', 'steel'])
    run = rotate(table, stocknum=3, max_per_industry=most, tables={'industries': told})
    assert [code for _, code, _ in buys_of(run)] == bought


# ------------------------------------------------------------------------------------------ chance

MANY = [f'{number:06d}.XSHE' for number in range(2_000)]


def drawn(codes=MANY, seed=1, before=738_000):
    return dict(zip(codes, ranks.random_order(seed)(section_of(codes, before)).tolist(), strict=True))


def test_a_random_order_is_the_same_for_the_same_seed_code_and_day():
    assert drawn() == drawn()
    few = MANY[1::7]
    assert drawn(few) == {code: drawn()[code] for code in few}  # whatever else there is


@pytest.mark.parametrize('other', [{'seed': 0}, {'seed': 2}, {'before': 738_001}, {'seed': 2**40}])
def test_a_random_order_of_another_seed_or_day(other):
    ours, others = np.array(list(drawn().values())), np.array(list(drawn(**other).values()))
    assert not (ours == others).any()
    assert abs(np.corrcoef(ours, others)[0, 1]) < 0.1  # of 2,000 independent draws: 4.5 standard deviations


def test_a_random_order_is_uniform():
    for seed in range(5):
        numbers = np.array(list(drawn(seed=seed).values()))
        assert numbers.min() >= 0 and numbers.max() < 1 and len(set(numbers.tolist())) == 2_000
        # 200 a tenth are expected, with a standard deviation of 13.4
        counts = np.histogram(numbers, 10, (0.0, 1.0))[0]
        assert counts.min() > 140 and counts.max() < 260


def test_a_random_order_treats_all_codes_alike_over_days():
    """Each of ten stocks is the first one on about a tenth of 1,000 days."""
    codes = MANY[:10]
    firsts = [min(drawn(codes, before=738_000 + day).items(), key=lambda item: item[1])[0] for day in range(1_000)]
    counts = [firsts.count(code) for code in codes]
    assert min(counts) > 60 and max(counts) < 140  # 100, with a standard deviation of 9.5


@pytest.mark.parametrize('market', [False, True])
def test_a_random_order_of_both_ways_of_feeding(market):
    table = tiny_market({code: [10.0] * 3 for code in (A, B)}, dates=['2024-01-02', '2024-01-03', '2024-01-04'])
    # 2024-01-03 is the ordinal 738,888
    assert seen_by(ranks.random_order(5), table, market) == drawn([A, B], 5, 738_888)


@pytest.mark.parametrize('seed', [-1, 1.0, None, True])
def test_no_seed(seed):
    with pytest.raises(ValueError, match='seed is .*: expected a whole number of 0 or more'):
        ranks.random_order(seed)


# ------------------------------------------------------------------------------------------ weights


@pytest.mark.parametrize(('given', 'most', 'whole', 'expected'), [
    ([1, 1, 2], 1.0, 1.0, [0.25, 0.25, 0.5]),
    ([1, 1, 2], 0.5, 1.0, [0.25, 0.25, 0.5]),
    ([1, 1, 2], 0.4, 1.0, [0.3, 0.3, 0.4]),  # what is cut goes to the others
    ([1, 3, 4], 0.4, 1.0, [0.2, 0.4, 0.4]),  # 0.6 in 1 : 3 is 0.15 and 0.45, which is cut too
    ([5, 3, 1, 1], 0.4, 1.0, [0.4, 0.36, 0.12, 0.12]),
    ([5, 3, 1, 1], 0.35, 1.0, [0.35, 0.35, 0.15, 0.15]),
    ([1, 1], 0.3, 1.0, [0.3, 0.3]),  # all are cut: the rest stays cash
    ([7, 2, 1], 0.2, 1.0, [0.2, 0.2, 0.2]),
    ([3, 1], 1.0, 0.5, [0.375, 0.125]),
    ([3, 1], 0.3, 0.5, [0.3, 0.2]),
    ([3, 1], 0.25, 0.5, [0.25, 0.25]),
    ([0, 1, 3], 1.0, 1.0, [0.0, 0.25, 0.75]),
    ([NAN, 1, 3], 1.0, 1.0, [0.0, 0.25, 0.75]),
    ([-5, 1, 3], 0.6, 1.0, [0.0, 0.4, 0.6]),
    ([0, 0], 1.0, 1.0, [0.0, 0.0]),
    ([NAN], 1.0, 1.0, [0.0]),
    ([], 1.0, 1.0, []),
    ([2], 1.0, 0.0, [0.0]),
    ([1e9, 2e9], 1.0, 1.0, [1 / 3, 2 / 3]),
])
def test_parts_of_the_money(given, most, whole, expected):
    np.testing.assert_allclose(weights.shares_of(np.array(given, dtype=float), most, whole), expected, rtol=1e-12, atol=1e-15)


def test_weights_of_the_picks():
    section = section_of([A, B, C], market_cap=[1.0, 2.0, 4.0], circ_market_cap=[8.0, 6.0, NAN])
    picks = np.array([2, 0])
    assert weights.equal(section, picks).tolist() == [1.0, 1.0]
    assert weights.market_cap(section, picks).tolist() == [4.0, 1.0]
    np.testing.assert_array_equal(weights.float_cap(section, picks), [NAN, 8.0])
    assert sorted(weights.WEIGHTS) == ['equal', 'float_cap', 'inverse_volatility', 'market_cap']


def waves(stocks):
    """A market of 62 days: each stock's close goes up and down by a fraction, 0: not at all; NaN: it came late."""
    return tiny_market({code: [bar(100.0, cap=2e9 + number)] + [bar(100.0, 100.0 * (1 + move) if day % 2 else 100.0)
                                                                for day in range(1, 62)]
                        for number, (code, move) in enumerate(stocks.items())})


@pytest.mark.parametrize('market', [False, True])
def test_inverse_volatility(market):
    # 60 returns, one half m, the other -m / (1 + m): their standard deviation is (m + m / (1 + m)) / 2, but for n - 1
    table = waves({A: 0.04, B: 0.01, C: 0.0})
    found = seen_by(lambda section: weights.inverse_volatility(section, np.arange(3)), table, market)
    a, b = 0.04 + 0.04 / 1.04, 0.01 + 0.01 / 1.01
    assert found[B] / found[A] == pytest.approx(a / b)
    assert found[C] / found[A] == pytest.approx(a / ((a + b) / 2))  # not known, or 0: as the mean of the others


def test_inverse_volatility_where_none_is_known():
    table = tiny_market({A: [10.0] * 5, B: [10.0] * 5})
    assert seen_by(lambda section: weights.inverse_volatility(section, np.arange(2)), table) == {A: 1.0, B: 1.0}


@pytest.mark.parametrize('market', [False, True])
@pytest.mark.parametrize(('params', 'bought'), [
    ({'weights': 'equal'}, {A: 5_000, B: 2_500}),
    ({'weights': 'market_cap'}, {A: 4_000, B: 3_000}),  # 2 : 3
    ({'weights': 'float_cap'}, {A: 8_000, B: 1_000}),  # 8 : 2
    ({'weights': 'float_cap', 'max_weight': 0.6}, {A: 6_000, B: 2_000}),
    ({'weights': 'float_cap', 'max_weight': 0.3}, {A: 3_000, B: 1_500}),
    ({'weights': 'equal', 'stocknum': 4}, {A: 2_500, B: 1_200}),  # each of four has its quarter: two picks leave half as cash
    ({'weights': lambda section, places: np.array([1.0, 9.0])}, {A: 1_000, B: 4_500}),
    ({'weights': lambda section, places: section.previous('close')[places]}, {A: 3_300, B: 3_300}),
    ({'weights': lambda section, places: [math.nan, 1.0]}, {B: 5_000}),
])
def test_the_param_weights(market, params, bought):
    table = tiny_market({A: [bar(10.0, cap=2e9, circ_market_cap=1.6e9), 10.0],
                         B: [bar(20.0, cap=3e9, circ_market_cap=4e8), 20.0]})
    run = rotate(table, market=market, **{'stocknum': 2, **params})
    assert {code: size for _, code, size in buys_of(run)} == bought


@pytest.mark.parametrize('market', [False, True])
def test_a_float_cap_that_the_data_lacks(market):
    with pytest.raises(DataError, match='circ_market_cap'):
        rotate(tiny_market({A: [10.0] * 2}), market=market, weights='float_cap')
