"""The picture of a guided search."""

import sys

import matplotlib.figure
import pytest

from bt_microcap.study.search import Found, Tried
from bt_microcap.study.space import Dimension
from bt_microcap.views.search_picture import search_picture

VALUES = (0.1, -0.2, 0.3, 0.25, 0.4)
SPACE = [Dimension('stocknum', 1, 9), Dimension('cap', 1e8, 1e10, log=True), Dimension('rank', choices=('小市值', 'a$b$c')),
         Dimension('wide', choices=tuple(range(30)))]


def tried(number, state, *objectives):
    values = {'stocknum': number + 1, 'cap': 2e8 * (number + 1), 'rank': ('小市值', 'a$b$c')[number % 2], 'wide': number}
    return Tried(number, state, values, objectives, 1)


@pytest.fixture
def drawn(monkeypatch):
    kept = []
    real = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(matplotlib.figure.Figure, 'savefig',
                        lambda self, *args, **how: (kept.append(self), real(self, *args, **how)))
    return kept


@pytest.mark.filterwarnings('ignore:Glyph')
@pytest.mark.parametrize(('objective', 'best'), [
    ('annual_return', [0.1, 0.1, 0.3, 0.4, 0.4]), ('fees', [0.1, -0.2, -0.2, -0.2, -0.2])])
def test_one_objective(objective, best, tmp_path, drawn):
    complete = [tried(number, 'complete', value) for number, value in enumerate(VALUES) if number != 3]
    all_of_them = [*complete[:3], tried(3, 'pruned', 0.25), complete[3], tried(5, 'failed')]
    order = sorted(complete, key=lambda one: one.objectives[0], reverse=objective == 'annual_return')
    search_picture(tmp_path / 'search.png', Found(all_of_them, order, None), SPACE, [objective], '$5 小市值')
    assert (tmp_path / 'search.png').read_bytes().startswith(b'\x89PNG')
    assert [file.name for file in tmp_path.iterdir()] == ['search.png']
    figure, = drawn
    upper, *lower = figure.get_axes()
    assert upper.collections[0].get_offsets().tolist() == [[0, 0.1], [1, -0.2], [2, 0.3], [4, 0.4]]
    assert upper.collections[1].get_offsets().tolist() == [[3, 0.25]]
    line, = upper.get_lines()
    assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == ([0, 1, 2, 4, 5], best)
    assert [axes.get_xlabel() for axes in lower] == ['stocknum', 'cap', 'rank', 'wide']
    assert [place[0] for place in lower[0].collections[0].get_offsets().tolist()] == [1, 2, 3, 5]
    assert lower[1].get_xscale() == 'log'
    assert [text.get_text() for text in lower[1].get_xticklabels()] == ['1e8', '4.6e8', '2.2e9', '1e10']
    assert len(lower[3].get_xticks()) <= 8
    assert [text.get_text() for text in upper.get_legend().get_texts()] == [
        'complete (4)', 'pruned (1): when it was ended', 'best so far']


@pytest.mark.filterwarnings('ignore:Glyph')
@pytest.mark.parametrize('count', [2, 3])
def test_several_objectives(count, tmp_path, drawn):
    points = [(0.1, 0.2, 1.0), (0.3, 0.5, 2.0), (0.05, 0.3, 0.5)]
    complete = [tried(number, 'complete', *point[:count]) for number, point in enumerate(points)]
    many = [*SPACE, *(Dimension(f'more{number}', 0.0, 1.0) for number in range(4))]
    complete = [one._replace(values={**one.values, **{f'more{number}': 0.5 for number in range(4)}}) for one in complete]
    search_picture(tmp_path / 'search.png', Found(complete, [complete[1], complete[0]], None), many,
                   ['annual_return', 'max_drawdown', 'fees'][:count], '')
    figure, = drawn
    upper, *lower = figure.get_axes()
    assert upper.collections[0].get_offsets().tolist() == [list(point[:2]) for point in points]
    assert upper.collections[1].get_offsets().tolist() == [[0.3, 0.5], [0.1, 0.2]]
    assert len(upper.get_lines()) == (count == 2)
    assert (upper.get_xlabel(), upper.get_ylabel()) == ('annual return', 'max drawdown')
    assert [axes.get_xlabel() for axes in lower] == ['stocknum', 'cap', 'rank', 'wide', 'more0', 'more1']
    assert not sys.modules.get('matplotlib.pyplot') or not sys.modules['matplotlib.pyplot'].get_fignums()
