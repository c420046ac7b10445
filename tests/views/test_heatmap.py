"""The picture of a grid: which dimensions it shows, and what is in its cells."""

import matplotlib.figure
import numpy as np
import pytest

from bt_microcap.study.ledger import DATES
from bt_microcap.study.ledger import FIGURES as ALL
from bt_microcap.study.plateau import Plane
from bt_microcap.views import fonts
from bt_microcap.views.chinese import TEXTS
from bt_microcap.views.figure_names import label_of, named, number_of
from bt_microcap.views.heatmap import heatmap

FIGURES = ('annual_return', 'sharpe')


@pytest.fixture
def draw(monkeypatch, tmp_path):
    figures = []
    monkeypatch.setattr(matplotlib.figure.Figure, 'savefig',
                        lambda figure, path, **kwargs: (figures.append(figure), path.write_bytes(b'')))

    def call(rows, names, columns=FIGURES, title='a title', **options):
        heatmap(tmp_path / 'grid.png', rows, (*names, *columns), title, len(names), **options)
        return figures[-1]

    return call


def cells(axis):
    return np.asarray(axis.images[0].get_array()).tolist()


def labels(axis):
    return [text.get_text() for text in axis.get_xticklabels()], [text.get_text() for text in axis.get_yticklabels()]


def frames(axis):
    """Return the cells that have a frame, as (row, column, whether it is dashed)."""
    black = [patch for patch in axis.patches if patch.get_edgecolor() == (0, 0, 0, 1)]
    return [(round(patch.get_y() + patch.get_height() / 2), round(patch.get_x() + patch.get_width() / 2),
             patch.get_linestyle() != '-') for patch in black]


def said(axis):
    return [] if axis.get_legend() is None else [text.get_text() for text in axis.get_legend().get_texts()]


def test_two_dimensions(draw):
    # given in another order than the axes show
    rows = [(10, 5, 0.1, 1.0), (10, 1, 0.2, 2.0), (2, 5, 0.3, 3.0), (2, 1, 0.4, 4.0)]
    figure = draw(rows, ('stocknum', 'refresh_rate'))
    annual, sharpe = figure.axes
    assert cells(annual) == [[0.4, 0.3], [0.2, 0.1]]
    assert cells(sharpe) == [[4.0, 3.0], [2.0, 1.0]]
    assert labels(annual) == (['1', '5'], ['2', '10'])
    assert (annual.get_xlabel(), annual.get_ylabel()) == ('refresh_rate', 'stocknum')
    assert [text.get_text() for text in annual.texts] == ['40.0%', '30.0%', '20.0%', '10.0%']
    assert [text.get_text() for text in sharpe.texts] == ['4.00', '3.00', '2.00', '1.00']
    assert figure.get_suptitle() == 'a title'


def test_of_further_dimensions_the_mean(draw):
    rows = [(3, keep, months, 0.1 * n, float(n)) for n, (keep, months) in enumerate(
        [(False, ()), (False, (1, 4)), (True, ()), (True, (1, 4))], 1)]
    rows += [(4, keep, months, 0.1 * n + 1, float(n + 10)) for _, keep, months, _, n in rows]
    figure = draw(rows, ('weekday', 'keep', 'empty_months'))
    assert cells(figure.axes[1]) == [[1.5, 3.5], [11.5, 13.5]]
    assert labels(figure.axes[1]) == (['no', 'yes'], ['3', '4'])
    assert figure.get_suptitle() == 'a title\nmean over empty_months'


def test_dimensions_of_one_value_are_passed_over(draw):
    figure = draw([(3, 0.1, 5, 0.1, 1.0), (3, 0.1, 6, 0.2, 2.0), (3, 0.2, 5, 0.3, 3.0)], ('stocknum', 'stop_loss', 'weekday'))
    annual = figure.axes[0]
    assert (annual.get_ylabel(), annual.get_xlabel()) == ('stop_loss', 'weekday')
    assert np.isnan(cells(annual)[1][1])  # a combination without a result
    assert len(annual.texts) == 3
    assert figure.get_suptitle() == 'a title'


def test_one_dimension_is_a_single_row(draw):
    figure = draw([(3, (1, 4), 0.1, 1.0), (3, (), 0.2, 2.0), (3, (4,), 0.3, 3.0)], ('stocknum', 'empty_months'))
    annual = figure.axes[0]
    assert cells(annual) == [[0.1, 0.2, 0.3]]  # no numbers: in the order of the grid
    assert labels(annual) == (['1,4', 'none', '4'], [])
    assert (annual.get_xlabel(), annual.get_ylabel()) == ('empty_months', '')


def test_one_combination(draw):
    assert cells(draw([(3, -0.1, -1.0)], ('stocknum',)).axes[1]) == [[-1.0]]


def test_very_many_values_bear_no_numbers(draw):
    annual = draw([(number, number / 100, 1.0) for number in range(90)], ('rebuy_ban',)).axes[0]
    assert annual.texts == [] or len(annual.texts) == 0
    assert labels(annual)[0] == [str(number) for number in range(0, 90, 3)]


def test_no_figure_of_the_user_is_touched(tmp_path):
    import matplotlib
    import matplotlib.pyplot as plt

    before = matplotlib.get_backend(), plt.get_fignums()
    heatmap(tmp_path / 'grid.png', [(3, 0.1, 1.0)], ('stocknum', *FIGURES), 'a title', 1)
    assert (tmp_path / 'grid.png').read_bytes().startswith(b'\x89PNG')
    assert (matplotlib.get_backend(), plt.get_fignums()) == before


# -- the best and its plateau -----------------------------------------------------------------------------------------------


def grid(values, figures=1):
    """Return rows of a figure over stocknum, down, and refresh_rate, across."""
    return [(down, across, *[value] * figures) for down, row in enumerate(values, 1) for across, value in enumerate(row, 1)]


def test_the_best_and_a_better_plateau(draw):
    # the best in a corner, around it 0; around the last 0, 5 and 5
    rows = grid([[9, 0, 0], [0, 0, 0], [0, 5, 5]])
    (axis,) = draw(rows, ('stocknum', 'refresh_rate'), ('sharpe',), figures=['sharpe']).axes
    assert frames(axis) == [(0, 0, False), (2, 2, True)]
    assert said(axis) == ['best 9.00, mean of its 3 neighbours 0.00',
                          'best plateau, mean of 4 cells 2.50 (around the best 2.25)']
    assert axis.get_title() == 'Sharpe ratio'


def test_the_smallest_is_the_best(draw):
    rows = grid([[0.5, 0.2], [0.3, 0.4]])
    (axis,) = draw(rows, ('stocknum', 'refresh_rate'), ('max_drawdown',), figures=['max_drawdown']).axes
    assert frames(axis) == [(0, 1, False)]  # all four cells are neighbours: no other plateau is better
    assert said(axis) == ['best 20.0%, mean of its 3 neighbours 40.0%']
    assert axis.get_title() == 'max drawdown'


def test_cells_of_runs_that_do_not_have_the_figure_are_blank(draw):
    rows = grid([[4.0, None, 1.0], [None, None, 2.0]])
    (axis,) = draw(rows, ('stocknum', 'refresh_rate'), ('payoff',), figures=['payoff']).axes
    assert np.isnan(cells(axis)).tolist() == [[False, True, False], [True, True, False]]
    assert [text.get_text() for text in axis.texts] == ['4.00', '1.00', '2.00']
    assert frames(axis) == [(0, 0, False), (1, 2, True)]
    assert said(axis) == ['best 4.00, no neighbours', 'best plateau, mean of 2 cells 1.50']


def test_no_run_has_the_figure(draw):
    (axis,) = draw(grid([[None, None]]), ('stocknum', 'refresh_rate'), ('payoff',), figures=['payoff']).axes
    assert [text.get_text() for text in axis.texts] == ['no run has this figure']
    assert (frames(axis), said(axis)) == ([], [])


def test_one_dimension_has_two_neighbours_at_most(draw):
    rows = [(number, value) for number, value in enumerate((1.0, 8.0, 0.0, 5.0, 6.0))]
    (axis,) = draw(rows, ('weekday',), ('sharpe',), figures=['sharpe']).axes
    assert frames(axis) == [(0, 1, False), (0, 4, True)]
    assert said(axis) == ['best 8.00, mean of its 2 neighbours 0.50',
                          'best plateau, mean of 2 cells 5.50 (around the best 3.00)']


def test_one_neighbour(draw):
    (axis,) = draw([(1, 0.5), (2, 0.25)], ('weekday',), ('sharpe',), figures=['sharpe']).axes
    assert said(axis) == ['best 0.50, its one neighbour 0.25']


# -- any two dimensions, any figures ----------------------------------------------------------------------------------------

NAMES = ('stocknum', 'refresh_rate', 'stop_loss')
ROWS = [(stocknum, rate, stop, 100.0 * stocknum + 10 * rate + stop, 0.1) for stocknum in (1, 2) for rate in (3, 4)
        for stop in (0, 5)]


def test_others_are_fixed(draw):
    figure = draw(ROWS, NAMES, plane=Plane('stocknum', 'refresh_rate', {'stop_loss': 5}), figures=['annual_return', 'sharpe'])
    assert cells(figure.axes[0]) == [[135.0, 235.0], [145.0, 245.0]]
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ('stocknum', 'refresh_rate')
    assert figure.get_suptitle() == 'a title\nfixed at stop_loss=5'


def test_others_are_averaged(draw):
    figure = draw(ROWS, NAMES, plane=Plane('stop_loss', 'refresh_rate', {}, ('stocknum',)))
    assert cells(figure.axes[0]) == [[180.0, 185.0], [190.0, 195.0]]
    assert figure.get_suptitle() == 'a title\nmean over stocknum'


def test_one_is_fixed_and_one_averaged(draw):
    figure = draw(ROWS, NAMES, plane=Plane('stop_loss', None, {'stocknum': 2}, ('refresh_rate',)))
    assert cells(figure.axes[0]) == [[235.0, 240.0]]
    assert figure.get_suptitle() == 'a title\nfixed at stocknum=2; mean over refresh_rate'


def test_several_figures(draw):
    names = ('turnover', 'fees', 'trades', 'max_drawdown', 'sharpe')
    rows = [(1, 12.34, 1234.5, 1445, 0.5, -0.001), (2, 15.0, 1234567.0, 12.5, 0.25, 1.0)]
    figure = draw(rows, ('stocknum',), names, figures=names)
    assert [axis.get_title() for axis in figure.axes] == ['turnover', 'fees, yuan', 'trades', 'max drawdown', 'Sharpe ratio']
    assert [[text.get_text() for text in axis.texts] for axis in figure.axes] == [
        ['12.3', '15.0'], ['1,234', '1.235e6'], ['1,445', '12.5'], ['50.0%', '25.0%'], ['0.00', '1.00']]
    assert [frames(axis) for axis in figure.axes] == [[(0, at, False)] for at in (0, 0, 0, 1, 1)]


@pytest.mark.parametrize('figures', [[], ['sharpe'] * 13])
def test_too_many_figures_or_none(draw, figures):
    with pytest.raises(ValueError, match=f'found {len(figures)} figures, expected 1 to 12'):
        draw([(3, 0.1, 1.0)], ('stocknum',), figures=figures)


def test_of_very_many_values_the_colors_are_explained(draw):
    figure = draw([(number, number / 100) for number in range(90)], ('rebuy_ban',), ('sharpe',), figures=['sharpe'])
    assert len(figure.axes) == 2  # the second one is the bar of the colors
    assert frames(figure.axes[0]) == [(0, 89, False)]


# -- languages --------------------------------------------------------------------------------------------------------------


def test_every_figure_has_a_name_and_its_chinese():
    for name in set(ALL) - set(DATES):
        assert named(name).form, name
        assert named(name).label in TEXTS, name
        assert label_of(name, 'zh') != label_of(name, 'en') == named(name).label


def test_a_figure_that_is_not_listed():
    assert (label_of('of_tomorrow', 'en'), number_of('of_tomorrow', 0.12345678)) == ('of tomorrow', '0.1235')


def test_in_chinese(draw):
    if fonts.chinese_font() is None:
        pytest.skip('no font with Chinese characters')
    rows = [(*row, 0) for row in grid([[9, 0, 0], [0, 0, 0], [0, 5, 5]])] + [(1, 1, 9, 1)]
    rows = [(down, across, stop, value) for down, across, value, stop in rows]
    figure = draw(rows, NAMES, ('sharpe',), title='Mine, the demo market, realistic', figures=['sharpe'], language='zh')
    (axis,) = figure.axes
    assert figure.get_suptitle() == 'Mine，演示行情（虚构），贴近实盘\n对 stop_loss 取平均'
    assert axis.get_title() == '夏普比率'
    assert said(axis) == ['最优 9.00，相邻 3 格平均 0.00', '最佳平台，共 4 格平均 2.50（最优格周围 2.25）']
    assert axis.get_xlabel() == 'refresh_rate'


def test_without_a_chinese_font(draw, monkeypatch):
    monkeypatch.setattr(fonts, 'CHINESE', ('No such font',))
    figure = draw([(1, 0.5), (2, 0.25)], ('weekday',), ('sharpe',), title='the demo market', figures=['sharpe'], language='zh')
    assert figure.get_suptitle() == 'the demo market'
    assert said(figure.axes[0]) == ['best 0.50, its one neighbour 0.25']


def test_a_dollar_is_a_dollar(draw):
    assert draw([('$a$', 0.5), ('$b$', 0.2)], ('g.x$',), ('sharpe',), title='$x$', figures=['sharpe']).get_suptitle() == '$x$'
