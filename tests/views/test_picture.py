"""The picture of a run: what is drawn where, that all of it can be read, and what is left alone."""

import itertools
import logging
import warnings
from datetime import date, timedelta

import matplotlib
import matplotlib.figure
import numpy as np
import pytest
from matplotlib.text import Text

from bt_microcap.views import fonts
from bt_microcap.views.picture import bins_of, picture, round_values, yearly_returns

DAYS = [date(2020, 12, 30), date(2020, 12, 31), date(2021, 1, 4), date(2021, 12, 31), date(2022, 1, 4)]
GROWTH = [1.0, 1.1, 1.2, 0.9, 1.5, 1.2]
BENCHMARK = [1.0, 1.0, 0.8, 0.8, 1.0, 1.1]
COSTS = {'commission': 1234.5, 'stamp_duty': 2000.0, 'transfer_fee': 10.0, 'slippage': 30_000.0}
WHOLE = {'title': 'a title', 'benchmark': BENCHMARK, 'benchmark_name': 'an index', 'microcap': [1.0, 1.0, 1.0, 1.0, 2.0, 3.0],
         'holdings': [3, 2, 3, 0, 1], 'costs': COSTS, 'trades': [0.1, -0.05, 0.0, 0.031]}


@pytest.fixture(autouse=True)
def silence(caplog):
    """Nothing may be warned or logged."""
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter('error')
        yield
    assert caplog.records == []


@pytest.fixture
def draw(monkeypatch, tmp_path):
    """Draw, check by geometry while the fonts are those of the picture, and return the figure."""
    save, figures = matplotlib.figure.Figure.savefig, []

    def checked(figure, path, **kwargs):
        save(figure, path, **kwargs)
        figure.draw_without_rendering()
        figures.append(figure)
        check(figure)

    monkeypatch.setattr(matplotlib.figure.Figure, 'savefig', checked)

    def call(days=DAYS, growth=GROWTH, **options):
        picture(tmp_path / 'run.png', days, growth, **{'title': 'a title', **options})
        assert [path.name for path in tmp_path.iterdir()] == ['run.png']
        assert (tmp_path / 'run.png').read_bytes().startswith(b'\x89PNG')
        return figures[-1]

    return call


def check(figure):
    """Assert that no text is over another, none is cut, and no legend over a line."""
    found = []
    for axes in figure.axes:
        scales = {*axes.get_xticklabels(), *axes.get_yticklabels()}
        edge = axes.bbox
        for text in axes.findobj(Text):
            box = text.get_window_extent()
            middle = (box.min + box.max) / 2
            if text in scales and not (edge.x0 - 1 <= middle[0] <= edge.x1 + 1 or edge.y0 - 1 <= middle[1] <= edge.y1 + 1):
                continue
            if text in axes.get_xticklabels() and not edge.x0 - 1 <= middle[0] <= edge.x1 + 1:
                continue  # beyond what is shown
            if text in axes.get_yticklabels() and not edge.y0 - 1 <= middle[1] <= edge.y1 + 1:
                continue
            if text.get_visible() and text.get_text().strip() and (text not in scales or axes.axison):
                found.append((text.get_text(), box))
        legend = axes.get_legend()
        if legend is not None:
            box = legend.get_window_extent()
            for line in axes.lines[:-1]:
                x = axes.convert_xunits(line.get_xdata())
                points = axes.transData.transform(np.column_stack([x, line.get_ydata()]).astype(float))
                assert not ((points > box.min) & (points < box.max)).all(axis=1).any()
    assert [(one, other) for (one, a), (other, b) in itertools.combinations(found, 2) if
            min(a.x1, b.x1) - max(a.x0, b.x0) > 0.5 and min(a.y1, b.y1) - max(a.y0, b.y0) > 0.5] == []
    whole = figure.bbox
    assert [text for text, box in found if (box.min < whole.min - 0.5).any() or (box.max > whole.max + 0.5).any()] == []


def texts(axes):
    return [text.get_text() for text in axes.texts]


def legend_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def heights(axes):
    """The heights of the area that a chart shows."""
    return {round(float(height), 9) + 0.0 for path in axes.collections[0].get_paths() for height in path.vertices[:, 1]}


def test_what_is_drawn_where(draw):
    value, drawdown, holdings, years, costs, trades = draw(**WHOLE).axes
    assert value.get_title() == 'a title'
    assert value.get_yscale() == 'log'
    run, index, small, one = value.lines
    for line, level in ((run, GROWTH), (index, BENCHMARK), (small, WHOLE['microcap'])):
        assert list(line.get_xdata()) == [date(2020, 12, 29), *DAYS]
        assert list(line.get_ydata()) == level
    assert set(one.get_ydata()) == {1.0}
    assert legend_of(value) == ['strategy +20.0%', 'an index +10.0%', 'micro-cap index +200.0%']
    assert [label.get_text() for label in value.get_yticklabels()] == ['1', '1.5', '2', '3']  # of 0.8 to 3
    assert heights(drawdown) == {0.0, -0.25, -0.2}  # from the highest so far: 0, 0, 0, -25 %, 0, -20 %
    assert drawdown.get_title(loc='right') == 'largest drawdown -25.0%'
    assert heights(holdings) == {0.0, 1.0, 2.0, 3.0}
    # 1.2; 1.5 / 1.2; 1.2 / 1.5; the index 0.8; 1 / 0.8; 1.1 / 1
    assert [bar.get_height() for bar in years.patches] == pytest.approx([0.2, 0.25, -0.2, -0.2, 0.25, 0.1])
    assert texts(years) == ['+20.0%', '+25.0%', '-20.0%', '-20.0%', '+25.0%', '+10.0%']
    assert [label.get_text() for label in years.get_xticklabels()] == ['2020', '2021', '2022']
    assert [bar.get_width() for bar in costs.patches] == [1234.5, 2000.0, 10.0, 30_000.0]
    assert texts(costs) == ['1,234', '2,000', '10', '30,000']
    assert [label.get_text() for label in costs.get_yticklabels()] == ['commission', 'stamp duty', 'transfer fee', 'slippage']
    assert costs.get_title() == 'costs, yuan: 33,244'
    assert trades.get_title() == 'closed trades: 4, won 50.0%, mean +2.02%'
    assert sum(bar.get_height() for bar in trades.patches) == 4
    gains = [bar for bar in trades.patches if bar.get_x() > 0]
    assert sum(bar.get_height() for bar in gains) == 2
    assert {bar.get_facecolor() for bar in gains}.isdisjoint({bar.get_facecolor() for bar in trades.patches if bar.get_x() < 0})


def test_what_is_not_given_is_not_drawn(draw):
    value, drawdown, years, costs, trades = draw().axes
    assert legend_of(value) == ['strategy +20.0%']
    assert drawdown.get_ylabel() == 'drawdown'
    assert texts(years) == ['+20.0%', '+25.0%', '-20.0%']
    assert texts(costs) == ['no costs']
    assert texts(trades) == ['no closed trades']


def weekdays(count, start=date(2003, 3, 5)):
    days = (start + timedelta(number) for number in itertools.count())
    return list(itertools.islice((day for day in days if day.weekday() < 5), count))


def grown(count, seed, mean=0.001):
    return [1.0, *np.cumprod(1 + np.random.default_rng(seed).normal(mean, 0.02, count))]


@pytest.mark.parametrize('language', ['en', 'zh'])
@pytest.mark.parametrize('count', [1, 2, 5, 20, 60, 250, 700, 2000, 5200])
def test_any_length_can_be_read(count, language, draw):
    options = {'benchmark': grown(count, 2, 0.0003), 'benchmark_name': 'market', 'microcap': grown(count, 3),
               'holdings': [number % 11 for number in range(count)], 'trades': grown(count, 4)[1:], 'language': language,
               'costs': {name: value * count for name, value in COSTS.items()}}
    figure = draw(weekdays(count), grown(count, 1), **options)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) >= 2
    assert not [label for label in labels if '^' in label or 'e' in label]


def test_the_years_of_a_long_run(draw):
    years = draw(weekdays(5200), grown(5200, 1), benchmark=grown(5200, 2)).axes[2]
    assert len(years.patches) == len(years.texts) == 2 * 21
    assert [label.get_text() for label in years.get_xticklabels()] == [str(year) for year in range(2003, 2024)]


@pytest.mark.parametrize('growth', [
    [1.0, 0.5, 0.1, 0.0, 0.0, 0.0], [1.0, 0.5, -0.1, -0.2, 0.1, -0.3], [1.0, 0.0, 1.0, 1.0, 0.0, 2.0], [1.0] * 6,
    [1.0, 1e-4, 1e-3, 1e-9, 1e5, 1e7], [1.0, *[float('nan')] * 5],
], ids=['ruin', 'debt', 'back', 'flat', 'wide', 'unknown'])
def test_any_values_can_be_drawn(growth, draw):
    unknown = float('nan')
    figure = draw(growth=growth, benchmark=[unknown, unknown, 1.0, 1.1, 1.2, unknown], holdings=[0] * 5, trades=[0.0],
                  costs={'commission': 0.0, 'slippage': -12.0, 'dividend_tax': 0.5})
    assert figure.axes[0].get_yscale() == ('log' if min(growth) > 0 or growth[1] != growth[1] else 'linear')


def test_one_value_of_everything(draw):
    for trade in (0.0, 1e-9, -1e-9, 5.0, -1.0, float('nan')):
        trades = draw(DAYS[:1], [1.0, 1.0], holdings=[1], trades=[trade], costs={'commission': 5.0}).axes[-1]
        if trade == trade:
            (only,) = [bar for bar in trades.patches if bar.get_height()]
            assert bool(only.get_x() >= 0) is (trade > 0)


def test_what_a_script_recorded_has_a_chart_of_its_own(draw):
    recorded = {'cash $': [(DAYS[0], 2.0), (DAYS[3], 5.0)], 'held': [(DAYS[1], 1.0)]}
    figure = draw(**WHOLE, recorded=recorded, language='zh')
    (chart,) = (axes for axes in figure.axes if axes.get_ylabel() in ('recorded', '记录值'))
    assert [line.get_ydata().tolist() for line in chart.get_lines()] == [[2.0, 5.0], [1.0]]
    assert [text.get_text() for text in chart.get_legend().get_texts()] == ['cash \\$', 'held']
    assert len(draw(**WHOLE).axes) == len(figure.axes) - 1


def test_returns_of_years():
    assert yearly_returns(DAYS, np.array(GROWTH)) == pytest.approx({2020: 0.2, 2021: 0.25, 2022: -0.2})
    found = yearly_returns(DAYS, np.array([1.0, 1.0, 0.0, 0.0, 1.0, 2.0]))
    assert (found[2020], found[2022]) == (-1.0, 1.0)
    assert np.isnan(found[2021])  # of nothing


@pytest.mark.parametrize(('low', 'high', 'wanted'), [
    (0.98, 1.03, [0.98, 0.99, 1.0, 1.01, 1.02, 1.03]), (0.7, 65.0, [1, 2, 5, 10, 20, 50]),
    (0.9, 9.0, [1, 1.5, 2, 3, 4, 5, 7]), (0.001, 2e4, [0.001, 0.01, 0.1, 1, 10, 100, 1000, 10_000]),
])
def test_labels_of_a_log_scale(low, high, wanted):
    assert round_values(low, high) == pytest.approx(wanted)


def test_bins_of_trades():
    edges = bins_of(np.array([-0.05, 0.0, 0.031, 0.1]))
    assert edges == pytest.approx([-0.06, -0.04, -0.02, 0.0, 0.02, 0.04, 0.06, 0.08, 0.1])
    far = bins_of(np.array([*[0.01, -0.01] * 500, 80.0]))  # one far away does not squeeze the others
    assert far[-1] < 0.05


def test_a_bin_far_away_is_counted(draw):
    trades = draw(trades=[*[0.01, -0.01] * 500, 80.0, -1.0]).axes[-1]
    assert sum(bar.get_height() for bar in trades.patches) == 1002


# ------------------------------------------------------------------------------------------ words and fonts


def test_chinese_where_there_is_a_font(draw):
    figure = draw(**{**WHOLE, 'language': 'zh', 'title': '我的策略'})
    value, drawdown, holdings, years, costs, _ = figure.axes
    if fonts.chinese_font() is None:
        pytest.skip('no font with Chinese characters')
    assert value.get_title() == '我的策略'
    assert legend_of(value)[0] == '策略 +20.0%'
    assert (drawdown.get_ylabel(), holdings.get_ylabel(), years.get_title()) == ('回撤', '持股数', '年度收益率')
    assert [label.get_text() for label in costs.get_yticklabels()] == ['佣金', '印花税', '过户费', '滑点']


def test_english_where_there_is_none(draw, monkeypatch):
    monkeypatch.setattr(fonts, 'CHINESE', ('No such font',))
    assert fonts.chinese_font() is None
    figure = draw(**{**WHOLE, 'language': 'zh', 'title': '我的策略 A', 'benchmark_name': '指数 B', 'costs': {'过户': 1.0}})
    assert figure.axes[0].get_title() == '???? A'
    assert legend_of(figure.axes[0])[:2] == ['strategy +20.0%', '?? B +10.0%']
    assert [label.get_text() for label in figure.axes[4].get_yticklabels()] == ['??']


def test_a_title_of_any_kind(draw):
    assert draw(title='costs $5 of $6, x_1^2').axes[0].get_title() == 'costs $5 of $6, x_1^2'
    assert draw(title='word ' * 60).axes[0].get_title().count('\n') == 2
    draw(benchmark=BENCHMARK, benchmark_name='$a^2$ and $')


def test_what_it_refuses(tmp_path):
    with pytest.raises(ValueError, match="language is 'fr': expected 'en' or 'zh'"):
        picture(tmp_path / 'run.png', DAYS, GROWTH, title='', language='fr')
    with pytest.raises(ValueError, match='found no day to draw'):
        picture(tmp_path / 'run.png', [], [1.0], title='')
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_the_user_is_touched(tmp_path):
    import matplotlib.pyplot as plt

    before = matplotlib.get_backend(), plt.get_fignums(), dict(matplotlib.rcParams)
    picture(tmp_path / 'run.png', DAYS, GROWTH, **WHOLE, language='zh')
    assert (matplotlib.get_backend(), plt.get_fignums(), dict(matplotlib.rcParams)) == before
