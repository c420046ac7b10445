"""The picture of a grid: which dimensions it shows, and what is in its cells."""

import matplotlib.figure
import numpy as np
import pytest

from bt_microcap.views.heatmap import heatmap

FIGURES = ('annual_return', 'sharpe')


@pytest.fixture
def draw(monkeypatch, tmp_path):
    figures = []
    monkeypatch.setattr(matplotlib.figure.Figure, 'savefig',
                        lambda figure, path, **kwargs: (figures.append(figure), path.write_bytes(b'')))

    def call(rows, names):
        heatmap(tmp_path / 'grid.png', rows, (*names, *FIGURES), 'a title', len(names))
        return figures[-1]

    return call


def cells(axis):
    return np.asarray(axis.images[0].get_array()).tolist()


def labels(axis):
    return [text.get_text() for text in axis.get_xticklabels()], [text.get_text() for text in axis.get_yticklabels()]


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
