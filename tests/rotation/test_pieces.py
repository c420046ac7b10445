"""Pieces: how values and screens combine, are written, travel, and are worked out once a day."""

import operator
import pickle

import numpy as np
import pytest

from bt_microcap.feeds.errors import whole_number
from bt_microcap.feeds.universe import CrossSection
from bt_microcap.rotation import ranks, screens, values
from bt_microcap.rotation.pieces import Piece, Screen, Value
from bt_microcap.rotation.values import column, market_cap, price
from tests.support.markets import tiny_market
from tests.support.rotating import section_of, seen_by

A, B, C = '600001.XSHG', '600002.XSHG', '600003.XSHG'
SECTION = section_of([A, B, C], market_cap=[1.0, 2.0, np.nan], close=[4.0, 5.0, 6.0], roe=[0.0, 10.0, 20.0])


def is_b(section):
    return section.codes == B


def ten(section):
    return np.full(len(section), 10.0)


def told(piece, section=SECTION):
    return piece(section).tolist()


# ------------------------------------------------------------------------------------------ combining


@pytest.mark.parametrize(('screen', 'expected'), [
    (market_cap > 1, [False, True, False]),
    (market_cap >= 1, [True, True, False]),
    (market_cap < 2, [True, False, False]),
    (market_cap <= 2, [True, True, False]),
    (market_cap == 2, [False, True, False]),
    (market_cap != 2, [True, False, True]),
    (1 < market_cap, [False, True, False]),  # noqa: SIM300 - the number first is what is tested
    (1 >= market_cap, [True, False, False]),  # noqa: SIM300
    (2 == market_cap, [False, True, False]),  # noqa: SIM300
    (~(market_cap > 1), [True, False, True]),  # not known is not above 1
    (~~(market_cap > 1), [False, True, False]),
    ((market_cap > 1) & (price > 4), [False, True, False]),
    ((market_cap > 1) | (price > 5), [False, True, True]),
    ((price > 4) & is_b, [False, True, False]),
    (is_b & (price > 5), [False, False, False]),
    ((price > 5) | is_b, [False, True, True]),
    (is_b | (price < 5), [True, True, False]),
    (~((price > 5) | is_b) & (price > 0), [True, False, False]),
    (price > column('roe'), [True, False, False]),
    (column('roe') >= ten, [False, True, True]),
    (ten <= column('roe'), [False, True, True]),
    (is_b & (price > 4) & (column('roe') > 9) & ~(price == 6), [False, True, False]),
])
def test_screens(screen, expected):
    assert isinstance(screen, Screen) and not isinstance(screen, Value)
    found = screen(SECTION)
    assert found.dtype == bool and found.tolist() == expected


@pytest.mark.parametrize(('value', 'expected'), [
    (price + 1, [5.0, 6.0, 7.0]),
    (1 + price, [5.0, 6.0, 7.0]),
    (price - 1, [3.0, 4.0, 5.0]),
    (1 - price, [-3.0, -4.0, -5.0]),
    (price * 2, [8.0, 10.0, 12.0]),
    (2 * price, [8.0, 10.0, 12.0]),
    (price / 2, [2.0, 2.5, 3.0]),
    (60 / price, [15.0, 12.0, 10.0]),
    (-price, [-4.0, -5.0, -6.0]),
    (-(-1 * price), [4.0, 5.0, 6.0]),
    (price + ten, [14.0, 15.0, 16.0]),
    (ten - price, [6.0, 5.0, 4.0]),
    (price * price - price / 2, [14.0, 22.5, 33.0]),
    (column('roe') / (column('roe') - 10), [0.0, np.inf, 2.0]),
    (column('roe') / column('roe'), [np.nan, 1.0, 1.0]),
    (price + market_cap, [5.0, 7.0, np.nan]),
    (np.float64(2) * price, [8.0, 10.0, 12.0]),
    (price + np.float64(1), [5.0, 6.0, 7.0]),
    (np.float64(1) - price, [-3.0, -4.0, -5.0]),
])
def test_values(value, expected):
    assert isinstance(value, Value) and not isinstance(value, Screen)
    np.testing.assert_array_equal(value(SECTION), expected)


def test_a_comparison_with_a_number_of_numpy():
    assert told(np.float64(4) < price) == [False, True, True]
    assert told(price <= np.int64(5)) == [True, True, False]


# ------------------------------------------------------------------------------------------ slips that are told

BRACKETS = 'comparisons need brackets'
ONE_PER_STOCK = 'one yes or no per stock: combine with & | ~ instead of and, or, not'


@pytest.mark.parametrize(('slip', 'said'), [
    (lambda: price > 1 & (market_cap < 2), BRACKETS),
    (lambda: (market_cap < 2) & price, BRACKETS),
    (lambda: price & (market_cap < 2), BRACKETS),
    (lambda: (market_cap < 2) | 1, BRACKETS),
    (lambda: (market_cap < 2) & True, BRACKETS),
    (lambda: (market_cap < 2) & np.array([True, True, False]), BRACKETS),
    (lambda: np.array([True, True, False]) & (market_cap < 2), BRACKETS),
    (lambda: None | (market_cap < 2), BRACKETS),
    (lambda: 2 < price < 3, ONE_PER_STOCK),
    (lambda: price > 2 and market_cap < 3, ONE_PER_STOCK),
    (lambda: price > 2 or market_cap < 3, ONE_PER_STOCK),
    (lambda: not price > 2, ONE_PER_STOCK),
    (lambda: 1 if price else 0, ONE_PER_STOCK),
    (lambda: bool(screens.is_st), ONE_PER_STOCK),
    (lambda: price in [market_cap], ONE_PER_STOCK),
])
def test_slips_of_writing_a_screen(slip, said):
    with pytest.raises(TypeError, match=said):
        slip()


@pytest.mark.parametrize('slip', [lambda: price > 4 & market_cap, lambda: price & market_cap, lambda: price > 4 | market_cap < 3,
                                  lambda: price & is_b])
def test_slips_with_a_value_beside_an_operator_of_screens(slip):
    with pytest.raises(TypeError, match=BRACKETS):
        slip()


def test_what_is_no_value_or_screen_has_no_such_operator():
    for slip in (lambda: (price > 1) + 1, lambda: ~price, lambda: (price > 1) < 2):
        with pytest.raises(TypeError):
            slip()


# ------------------------------------------------------------------------------------------ how they are written


@pytest.mark.parametrize(('piece', 'written'), [
    (market_cap, "column('market_cap')"),
    (values.momentum(20), 'momentum(20)'),
    (values.amount(), 'amount(1)'),
    (values.listed_days, 'listed_days'),
    (-price, "-column('close')"),
    (values.volatility(20) * 2 + 1, '(volatility(20) * 2) + 1'),
    (1 - values.drawdown(5), '1 - drawdown(5)'),
    (values.drawdown(5) / 2, 'drawdown(5) / 2'),
    (-(values.drawdown(5) + 1), '-(drawdown(5) + 1)'),
    (screens.closed_at_high_limit(2), 'closed_at_high_limit(2)'),
    (~screens.closed_at_high_limit(), '~closed_at_high_limit(1)'),
    (~(screens.members('000300') & screens.closed_at_high_limit()), "~(members('000300') & closed_at_high_limit(1))"),
    (screens.price_between(2, 3), "(column('close') >= 2) & (column('close') <= 3)"),
    (values.momentum(5) == 1, 'momentum(5) == 1'),
    ((values.momentum(5) != 1) | (values.momentum(5) > 2), '(momentum(5) != 1) | (momentum(5) > 2)'),
    (screens.one_of([A]), f'one_of([{A!r}])'),
    (ranks.weighted_ranks((market_cap, 0.7), (values.momentum(20), -0.3)),
     "weighted_ranks((column('market_cap'), 0.7), (momentum(20), -0.3))"),
    (ranks.random_order(3), 'random_order(3)'),
    (Screen(is_b), 'is_b'),
])
def test_how_a_piece_is_written(piece, written):
    assert repr(piece) == written


@pytest.mark.parametrize(('piece', 'written'), [
    (screens.code_begins_with('688', '3'), "code_begins_with('688', '3')"),
    (screens.in_industries('banks'), "in_industries('banks')"),
])
def test_how_a_piece_of_several_texts_is_written(piece, written):
    assert repr(piece) == written


# ------------------------------------------------------------------------------------------ travelling

TRAVELLERS = [
    market_cap, -price + 2, price / column('roe'), ~(market_cap > 1) & is_b, screens.cap_between(1, 2), screens.tradable,
    screens.code_begins_with('600001'), screens.on_boards(('main',)), ranks.random_order(1), screens.one_of([A, C]),
    ranks.weighted_ranks((market_cap, 1.0), (price, -2.0)), Screen(is_b)]


@pytest.mark.parametrize('piece', TRAVELLERS, ids=range(len(TRAVELLERS)))
def test_a_piece_travels(piece):
    section = section_of([A, B, C], **{name: [1.0, 2.0, 0.0] for name in (
        'market_cap', 'close', 'roe', 'paused', 'is_st', 'delisting_period')})
    again = pickle.loads(pickle.dumps(piece))
    assert repr(again) == repr(piece) and type(again) is type(piece)
    np.testing.assert_array_equal(again(section), piece(section))


# ------------------------------------------------------------------------------------------ once a day


class Counting:
    """A function of a section that counts its calls."""

    __name__ = 'counting'

    def __init__(self):
        self.calls = []

    def __call__(self, section, *args):
        self.calls.append(args)
        return np.full(len(section), float(len(self.calls)))


def test_a_piece_is_worked_out_once_for_a_section():
    counting = Counting()
    one, other = Value(counting, 1), Value(counting, 2)
    assert told(one) == told(one) == [1.0] * 3
    assert told((one > 0) & (one < 2) & ~(one + 1 > 2)) == [True] * 3
    assert told(Value(counting, 1)) == [1.0] * 3  # another piece, but the same
    assert counting.calls == [(1,)]
    assert told(other) == [2.0] * 3 and counting.calls == [(1,), (2,)]


def test_a_piece_is_worked_out_anew_for_another_section():
    counting = Counting()
    piece = Value(counting)
    assert [told(piece, section_of([A, B, C])) for _ in range(3)] == [[1.0] * 3, [2.0] * 3, [3.0] * 3]


@pytest.mark.parametrize('market', [False, True])
def test_a_piece_is_not_stale_on_the_next_day(market):
    table = tiny_market({A: [10.0, 11.0, 13.2, 13.2]})
    piece = values.momentum(1)
    assert [seen_by(piece, table, market, bar)[A] for bar in (2, 3)] == [pytest.approx(0.1), pytest.approx(0.2)]


def test_two_functions_of_one_name_are_two_pieces():
    section = CrossSection(np.array([A]), None)
    pieces = [Piece(lambda section, number=number: np.array([number])) for number in (1, 2)]
    assert [piece(section).tolist() for piece in pieces] == [[1], [2]]


def test_pieces_can_be_kept_in_sets():
    assert len({price, market_cap, price > 1, price > 1}) == 4


@pytest.mark.parametrize('number', [0, -1, 1.0, 1.5, True, '1', None, np.bool_(1)])
def test_what_is_no_whole_number(number):
    with pytest.raises(ValueError, match=r'days is .*: expected a whole number of 1 or more'):
        whole_number('days', number)


def test_whole_numbers():
    assert whole_number('days', 1) == 1 and whole_number('days', np.int64(7)) == 7 and whole_number('days', 0, 0) == 0
    assert operator.index(whole_number('days', np.int32(3))) == 3
