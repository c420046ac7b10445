"""Cells of a grid, their best, and the plateau around it: numbers worked out by hand."""

import math

import numpy as np
import pytest

from bt_microcap.study.plateau import Plane, best_of, best_plateau, cells_of, in_order, peak_at, plane_of

NAN = math.nan
COLUMNS = ('stocknum', 'refresh_rate', 'stop_loss', 'annual_return', 'sharpe')
# in another order than the axes have; of the combination (2, 1, 0.09), which was skipped, there is no row
ROWS = [
    (10, 5, 0.0, 0.10, 1.0),
    (10, 5, 0.09, 0.30, None),
    (10, 1, 0.0, 0.20, 2.0),
    (10, 1, 0.09, 0.40, 4.0),
    (2, 5, 0.0, -0.10, None),
    (2, 5, 0.09, -0.30, None),
    (2, 1, 0.0, 0.50, 5.0),
]
FULL = np.array([[1.0, 2.0, 3.0],
                 [4.0, 9.0, 5.0],
                 [6.0, 7.0, 8.0]])


def plane(**asked):
    return plane_of(ROWS, COLUMNS, 3, **asked)


def cells(figure, **asked):
    return cells_of(ROWS, COLUMNS, figure, plane(**asked))


def same(values, expected):
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-15)


# -- which dimensions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('asked, expected', [
    ({}, Plane('refresh_rate', 'stocknum', {}, ('stop_loss',))),
    ({'x': 'stocknum'}, Plane('stocknum', 'refresh_rate', {}, ('stop_loss',))),
    ({'y': 'stop_loss'}, Plane('stocknum', 'stop_loss', {}, ('refresh_rate',))),
    ({'x': 'stocknum', 'y': 'stop_loss'}, Plane('stocknum', 'stop_loss', {}, ('refresh_rate',))),
    ({'at': {'stocknum': 2}}, Plane('stop_loss', 'refresh_rate', {'stocknum': 2}, ())),
    ({'at': {'stocknum': 2, 'stop_loss': 0.0}}, Plane('refresh_rate', None, {'stocknum': 2, 'stop_loss': 0.0}, ())),
    ({'x': 'stop_loss', 'at': {'stocknum': 2, 'refresh_rate': 5}},
     Plane('stop_loss', None, {'stocknum': 2, 'refresh_rate': 5}, ())),
    ({'y': 'stop_loss', 'at': {'stocknum': 2, 'refresh_rate': 5}},
     Plane('stop_loss', None, {'stocknum': 2, 'refresh_rate': 5}, ())),
])
def test_the_dimensions(asked, expected):
    assert plane(**asked) == expected


def test_dimensions_of_one_value_are_taken_only_when_asked_for():
    rows = [(3, 0.1, weekday, 0.2) for weekday in (5, 6)]
    columns = ('stocknum', 'stop_loss', 'weekday', 'sharpe')
    assert plane_of(rows, columns, 3) == Plane('weekday', None, {}, ())
    assert plane_of(rows, columns, 3, x='stop_loss') == Plane('stop_loss', 'weekday', {}, ())
    assert plane_of(rows[:1], columns, 3) == Plane('weekday', None, {}, ())
    assert plane_of(rows[:1], columns, 3, at={'weekday': 5}) == Plane('stop_loss', None, {'weekday': 5}, ())


@pytest.mark.parametrize('asked, said', [
    ({'x': 'sharpe'}, "found no dimension 'sharpe', expected one of stocknum, refresh_rate, stop_loss"),
    ({'x': 'stocknum', 'y': 'stocknum'}, 'stocknum is asked for twice'),
    ({'y': 'stocknum', 'at': {'stocknum': 2}}, 'stocknum is asked for twice'),
    ({'at': {'stocknum': 2, 'refresh_rate': 1, 'stop_loss': 0.0}}, 'every dimension is fixed'),
])
def test_dimensions_that_cannot_be_shown(asked, said):
    with pytest.raises(ValueError, match=said):
        plane(**asked)


def test_the_order_of_values():
    assert in_order([10, 2, 10, 5]) == [2, 5, 10]
    assert in_order([True, False]) == [False, True]
    assert in_order(['b', 'a', 'b']) == ['b', 'a']
    assert in_order([(1, 4), (), (4,)]) == [(1, 4), (), (4,)]


# -- cells ------------------------------------------------------------------------------------------------------------------


def test_others_are_averaged():
    found = cells('annual_return')
    assert (found.down, found.across) == ([2, 10], [1, 5])
    same(found.values, [[0.5, -0.2], [0.3, 0.2]])
    assert found.counts.tolist() == [[1, 2], [2, 2]]


def test_a_run_without_the_figure_is_left_out():
    found = cells('sharpe')
    same(found.values, [[5.0, NAN], [3.0, 1.0]])
    assert found.counts.tolist() == [[1, 0], [2, 1]]


def test_another_is_fixed():
    found = cells('annual_return', at={'stop_loss': 0.09})
    assert (found.down, found.across) == ([2, 10], [1, 5])
    same(found.values, [[NAN, -0.3], [0.4, 0.3]])
    assert found.counts.tolist() == [[0, 1], [1, 1]]


def test_other_dimensions():
    found = cells('annual_return', x='stop_loss')
    assert (found.down, found.across) == ([2, 10], [0.0, 0.09])
    same(found.values, [[0.2, -0.3], [0.15, 0.35]])


def test_a_single_row():
    found = cells('annual_return', at={'stocknum': 2, 'stop_loss': 0.0})
    assert (found.down, found.across) == ([None], [1, 5])
    same(found.values, [[0.5, -0.1]])


def test_what_is_not_finite_is_not_known():
    rows = [(1, math.inf), (2, NAN), (3, 0.5)]
    same(cells_of(rows, ('stocknum', 'payoff'), 'payoff', Plane('stocknum')).values, [[NAN, NAN, 0.5]])


# -- the best and its plateau -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize('place, neighbours, mean, together', [
    ((1, 1), 8, 4.5, 5.0),  # 1 2 3 4 5 6 7 8
    ((0, 0), 3, 5.0, 4.0),  # 2 4 9
    ((2, 2), 3, 7.0, 7.25),  # 9 5 7
    ((0, 1), 5, 4.4, 4.0),  # 1 3 4 9 5
    ((1, 2), 5, 5.8, 34 / 6),  # 2 3 9 7 8
])
def test_neighbours(place, neighbours, mean, together):
    assert peak_at(FULL, place) == (place, FULL[place], neighbours, pytest.approx(mean), pytest.approx(together))


def test_the_best_and_the_best_plateau():
    assert best_of(FULL) == ((1, 1), 9.0, 8, 4.5, 5.0)
    assert best_plateau(FULL) == ((2, 2), 8.0, 3, 7.0, 7.25)


def test_less_is_better():
    assert best_of(FULL, less_is_better=True) == ((0, 0), 1.0, 3, 5.0, 4.0)
    # 4.0 around (0, 0) and around (0, 1): of those as good it is the best cell
    assert best_plateau(FULL, less_is_better=True).place == (0, 0)


def test_a_spike_in_the_corner():
    values = np.array([[9.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 5.0, 5.0]])
    assert best_of(values) == ((0, 0), 9.0, 3, 0.0, 2.25)
    assert best_plateau(values) == ((2, 2), 5.0, 3, pytest.approx(5 / 3), 2.5)


def test_holes():
    values = np.array([[NAN, 4.0], [NAN, NAN], [1.0, 2.0]])
    best = best_of(values)
    assert best[:3] == ((0, 1), 4.0, 0)
    assert math.isnan(best.mean) and math.isnan(best.plateau)
    # a cell alone is no plateau; of two as good it is the better cell
    assert best_plateau(values) == ((2, 1), 2.0, 1, 1.0, 1.5)
    assert best_plateau(values, less_is_better=True) == ((2, 0), 1.0, 1, 2.0, 1.5)


def test_a_hole_is_no_neighbour():
    values = FULL.copy()
    values[0, 1] = values[1, 0] = NAN
    assert peak_at(values, (1, 1)) == ((1, 1), 9.0, 6, 5.0, pytest.approx(39 / 7))  # 1 3 5 6 7 8
    assert peak_at(values, (0, 0)) == ((0, 0), 1.0, 1, 9.0, 5.0)


def test_ties():
    # of 3, 3 and 3 the last has the best neighbour
    assert best_of(np.array([[3.0, 1.0, 3.0, 3.0]])) == ((0, 3), 3.0, 1, 3.0, 3.0)
    assert best_of(np.array([[2.0, 2.0], [2.0, 2.0]])).place == (0, 0)
    # the sum of three tenths over 3 is another number than that of two over 2, by errors of the arithmetic alone
    assert best_plateau(np.full((1, 5), 0.1)).place == (0, 0)


def test_one_dimension():
    values = np.array([[1.0, 8.0, 0.0, 5.0, 6.0]])
    assert best_of(values) == ((0, 1), 8.0, 2, 0.5, 3.0)
    assert best_plateau(values) == ((0, 4), 6.0, 1, 5.0, 5.5)
    column = values.T
    assert best_of(column) == ((1, 0), 8.0, 2, 0.5, 3.0)
    assert best_plateau(column).place == (4, 0)


def test_one_cell_and_none():
    assert best_of(np.array([[-1.0]]))[:3] == ((0, 0), -1.0, 0)
    assert best_plateau(np.array([[-1.0]])) is None
    assert best_of(np.full((2, 2), NAN)) is None
    assert best_plateau(np.full((2, 2), NAN)) is None
