"""The figure of Backtrader's plotter by geometry: no text over another, no legend over a line; and adjusted prices."""

import itertools
import os
import subprocess
import sys
import warnings

import backtrader as bt
import matplotlib
import numpy as np
import pytest

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # before the first plot(): without a screen Backtrader's own choice fails
from backtrader.plot import PlotScheme

from bt_microcap import AShareBroker, MarketFeed, MicroCapStrategy, StockCharts, Trades, add_stocks
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.schema import check_table
from bt_microcap.rotation.strategy import NothingTradedWarning
from bt_microcap.views.cerebro_plot import figure_of, save_plot
from tests.support.markets import bar, tiny_market
from tests.support.running import run_feeds
from tests.support.scripted import Result, Scripted, buy, play, sell, steps

A, B = '600001.XSHG', '300002.XSHE'
PARAMS = {'min_cap': 4e8, 'max_cap': 6e9, 'stocknum': 5, 'refresh_rate': 3}


class Averaged(MicroCapStrategy):
    """With indicators over and below the charts of stocks, more of them than a row of a legend holds."""

    def __init__(self):
        super().__init__()
        for code in self.universe.codes:
            feed = self.universe.feed(code)
            for period in (2, 3, 5):
                bt.ind.BollingerBands(feed, period=period)
            bt.ind.RSI(feed, period=5, safediv=True)


@pytest.fixture(scope='module')
def table():
    return check_table(demo_market(32, '2021-03-01', days=60, seed=13))


@pytest.fixture(autouse=True)
def close_figures():
    plt.close('all')  # Backtrader draws on the first figure, also where another test has left one
    yield
    plt.close('all')


def run(table, market=True, strategy=MicroCapStrategy, observers=(Trades,), **options):
    cerebro = bt.Cerebro()
    run_feeds(table, market=market, strategy=strategy, cerebro=cerebro, observers=observers, **{**PARAMS, **options})
    return cerebro


def plot(cerebro, **options):
    """What a user of ``cerebro.plot()`` gets, the first figure."""
    return cerebro.plot(scheme=PlotScheme(), **options)[0][0]


# ------------------------------------------------------------------------------------------ where things stand


def boxes(figure):
    """(what, bounding box in pixels) of every text that is drawn: entries of legends, tags and labels of scales."""
    found = []
    for axes in figure.axes:
        if axes.get_legend() is not None:
            found += [(text.get_text(), text.get_window_extent()) for text in axes.get_legend().get_texts()]
        for tag in axes.texts:
            if tag.get_visible():
                found.append((tag.get_text(), tag.get_bbox_patch().get_window_extent()))
        inside = axes.bbox
        for label in axes.get_yticklabels():
            box = label.get_window_extent()
            if label.get_visible() and label.get_text() and inside.y0 - 1 <= (box.y0 + box.y1) / 2 <= inside.y1 + 1:
                found.append((label.get_text(), box))
        for label in axes.get_xticklabels():
            box = label.get_window_extent()
            if label.get_visible() and label.get_text() and inside.x0 - 1 <= (box.x0 + box.x1) / 2 <= inside.x1 + 1:
                found.append((label.get_text(), box))
    return found


def points_of(figure):
    """All points of lines, in pixels."""
    found = []
    for axes in figure.axes:
        for line in axes.lines:
            if line.get_transform() == axes.transData:
                points = axes.transData.transform(np.column_stack([line.get_xdata(), line.get_ydata()]).astype(float))
                inside = axes.bbox  # what an indicator draws beyond is cut off
                found.append(points[((points >= inside.min) & (points <= inside.max)).all(axis=1)])
    return np.concatenate(found)


def overlap(one, other):
    """Whether two boxes share more than a hair's breadth."""
    return min(one.x1, other.x1) - max(one.x0, other.x0) > 0.5 and min(one.y1, other.y1) - max(one.y0, other.y0) > 0.5


def check(figure):
    """Assert that everything in a figure can be read, and return its texts."""
    figure.canvas.draw()
    found = boxes(figure)
    assert [(one, other) for (one, a), (other, b) in itertools.combinations(found, 2) if overlap(a, b)] == []
    whole = figure.bbox
    assert [text for text, box in found
            if box.x0 < whole.x0 or box.x1 > whole.x1 or box.y0 < whole.y0 or box.y1 > whole.y1] == []
    points = points_of(figure)
    assert len(points) > 100
    for axes in figure.axes:
        covers = [] if axes.get_legend() is None else [axes.get_legend().get_window_extent()]
        covers += [tag.get_bbox_patch().get_window_extent() for tag in axes.texts if tag.get_visible()]
        for box in covers:
            assert not ((points > (box.x0, box.y0)) & (points < (box.x1, box.y1))).all(axis=1).any()
    return [text for text, _ in found]


@pytest.mark.parametrize('options', [
    {}, {'volume': False, 'rowsmajor': 3, 'rowsminor': 2}, {'style': 'candle', 'voloverlay': False}, {'start': 20, 'end': 45},
], ids=['plain', 'rows', 'candle', 'part'])
@pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
def test_nothing_overlaps(market, options, table):
    figure = plot(run(table, market), **options)
    texts = check(figure)
    assert {'buy', 'sell'} <= set(texts)
    assert sum(text.startswith('2021-') and len(text) == 10 for text in texts) >= 3
    assert sum('(adjusted for ex-rights)' in text for text in texts) == 4
    assert figure.get_size_inches().tolist() == [16.0, pytest.approx(0.95 * 11)]  # charts: 6 of the account, 5 of prices


@pytest.mark.parametrize('strategy', [MicroCapStrategy, Averaged], ids=['plain', 'indicators'])
def test_the_figure_for_a_notebook(strategy, table):
    texts = check(figure_of(run(table, strategy=strategy), height=10 if strategy is MicroCapStrategy else 24))
    assert 'Drawdown % ' in ''.join(texts)


def test_equal_values_have_tags_side_by_side(table):
    """Cash and value of an account that never traded."""
    with pytest.warns(NothingTradedWarning):
        cerebro = run(table.assign(is_st=1), observers=())
    texts = check(plot(cerebro))
    assert texts.count('1000000.00') == 2


def test_figures_of_a_part_each(table):
    figures = run(table, market=False).plot(scheme=PlotScheme(), numfigs=2)[0]
    assert len(figures) == 2
    for figure in figures:
        check(figure)


def test_drawn_again_at_another_size_and_zoomed(table):
    figure = plot(run(table))
    before = check(figure)
    figure.set_dpi(150)
    assert check(figure) == before
    figure.set_size_inches(24, 14)
    check(figure)
    tags = [axes.texts[0] for axes in figure.axes if axes.texts]
    axes = tags[-1].axes
    low, high = axes.get_ylim()
    axes.set_ylim(high * 2, high * 3)  # the last value is outside
    check(figure)
    assert not tags[-1].get_visible()
    axes.set_ylim(low, high)
    check(figure)
    assert tags[-1].get_visible()


def test_a_size_of_the_users_stays(table):
    with plt.rc_context({'figure.figsize': (20.0, 12.0)}):
        figure = plot(run(table))
    assert figure.get_size_inches().tolist() == [20.0, 12.0]
    check(figure)


def test_labels_asked_for_outside_a_plot_touch_no_figure(table):
    own, axes = plt.subplots()
    axes.plot([1, 2])
    strategy = run(table).runstrats[0][0]
    assert strategy.observers[0].plotlabel() == 'Account'
    assert own.get_layout_engine() is None
    assert own.get_size_inches().tolist() == matplotlib.rcParams['figure.figsize']


# ------------------------------------------------------------------------------------------ adjusted prices

# day 2: 1 yuan a share, and two shares for one: (10 - 1) / 2 = 4.50; day 3: 0.50 yuan by the preclose alone, 4.95 -> 4.45
EX = {A: [10.0, 10.0, bar(4.5, 4.95, preclose=4.5, cash_dividend=1.0, share_ratio=2.0), bar(4.45, 4.5, preclose=4.45), 4.6],
      B: [20.0] * 5}
LATER = 4.45 / 4.95
SCRIPT = {1: steps(buy(A, 1_000), buy(B, 100)), 3: sell(A, 500)}


def line_of(figure, code, name):
    """Points of a chart's line: bar -> value."""
    axes = next(axes for axes in figure.axes for line in axes.lines if str(line.get_label()).startswith(code))
    line = next(line for line in axes.lines if str(line.get_label()).split('\n')[-1].startswith(name))
    return {int(x): float(y) for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True) if y == y}


def name_of(figure, code):
    """What the legend of a stock's chart calls it."""
    figure.canvas.draw()
    names = [text.get_text() for axes in figure.axes if axes.get_legend() for text in axes.get_legend().get_texts()]
    return [name for name in names if name.startswith(code)]


@pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
def test_an_ex_date_is_no_crash(market):
    result = play(tiny_market(EX), SCRIPT, market=market, analyzers=(StockCharts,))
    strategy = result.strategy
    figure = figure_of(strategy.cerebro)
    assert line_of(figure, A, A) == pytest.approx({0: 4.5 * LATER, 1: 4.5 * LATER, 2: 4.45, 3: 4.5, 4: 4.6})
    assert line_of(figure, B, B) == dict.fromkeys(range(5), 20.0)
    assert line_of(figure, A, 'buy') == pytest.approx({1: 4.5 * LATER})  # at 10.00
    assert line_of(figure, A, 'sell') == pytest.approx({3: 4.45})
    assert name_of(figure, A) == [f'{A} (1 Day) C:4.60 (adjusted for ex-rights)']
    data = strategy.feed(A)
    assert list(data.close.array) == [10.0, 10.0, 4.95, 4.5, 4.6]  # for everybody else
    assert [fill.price for fill in result.fills if fill.code == A] == [10.0, 4.45]


def test_a_fill_on_the_last_bar_has_no_tag():
    strategy = play(tiny_market({A: [10.0, 10.0, 10.5]}), {2: buy(A, 1_000)}, market=True, analyzers=(StockCharts,)).strategy
    figure = figure_of(strategy.cerebro)
    assert line_of(figure, A, 'buy') == {2: 10.5}
    figure.canvas.draw()
    assert [tag.get_text() for axes in figure.axes for tag in axes.texts][1:] == ['10.50']  # after that of the market


def test_a_fill_beyond_the_closes_is_inside_the_chart():
    days = [10.0, (9.5, 10.0), (10.6, 10.1), 10.0]
    strategy = play(tiny_market({A: days}), {1: buy(A, 1_000), 2: sell(A, 1_000)}, market=True, analyzers=(StockCharts,)).strategy
    figure = figure_of(strategy.cerebro)
    assert (line_of(figure, A, 'buy'), line_of(figure, A, 'sell')) == ({1: 9.5}, {2: 10.6})
    low, high = next(axes for axes in figure.axes for line in axes.lines if line.get_label() == 'sell').get_ylim()
    assert low < 9.5
    assert high > 10.6


def test_candles_are_adjusted_too():
    strategy = play(tiny_market(EX), SCRIPT, market=True, analyzers=(StockCharts,)).strategy
    data = strategy.feed(A)
    for line, wanted in ((data.open, [4.5 * LATER, 4.5 * LATER, 4.5 * LATER, 4.45, 4.6]),
                         (data.low, [4.5 * LATER, 4.5 * LATER, 4.5 * LATER, 4.45, 4.6]),
                         (data.high, [4.5 * LATER, 4.5 * LATER, 4.45, 4.5, 4.6])):
        assert line.plotrange(0, 5) == pytest.approx(wanted)
        assert line.plotrange(1, 3) == pytest.approx(wanted[1:3])
    assert list(data.volume.plotrange(0, 5)) == [1e6] * 5


@pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
def test_an_indicator_lies_on_the_prices(market):
    class Doubled(Scripted):
        """With the close itself as an indicator over the prices."""

        def __init__(self):
            super().__init__()
            bt.ind.SMA(self.feed(A).close, period=1, plotname='mean')
            bt.ind.RSI(self.feed(A).close, period=1, safediv=True, plotname='strength')

    broker = AShareBroker(cash=100_000.0)
    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=True)
    table = check_table(tiny_market(EX))
    if market:
        cerebro.adddata(MarketFeed(dataname=table), name='market')
    else:
        add_stocks(cerebro, table, checked=True)
    cerebro.setbroker(broker)
    cerebro.addstrategy(Doubled, script=SCRIPT, result=Result(broker))
    cerebro.addanalyzer(StockCharts)
    strategy = cerebro.run()[0]
    assert list(strategy.getindicators()[0].lines.sma.array) == [10.0, 10.0, 4.95, 4.5, 4.6]
    figure = figure_of(cerebro)
    assert line_of(figure, A, 'mean') == line_of(figure, A, A)


@pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
def test_prices_as_traded_where_nothing_is_known_of_ex_rights(market):
    table = tiny_market({A: [10.0, 10.0, 5.0, 5.0]}).drop(columns='preclose')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # a fall by half is told
        strategy = play(table, {1: buy(A, 1_000)}, market=market, analyzers=(StockCharts,)).strategy
    figure = figure_of(strategy.cerebro)
    drawn = line_of(figure, A, A)
    assert set(drawn.values()) == set(strategy.feed(A).close.array)
    assert name_of(figure, A) == [f'{A} (1 Day) C:5.00 (as traded)']


def test_a_run_again_over_the_same_feeds(table):
    """The factors of one run are not those of the next."""
    cerebro = run(table, market=False)
    first = drawn(figure_of(cerebro))
    cerebro.run()
    assert drawn(figure_of(cerebro)) == first


def drawn(figure):
    """Label -> the values of each line."""
    return {line.get_label(): [str(value) for value in line.get_ydata()] for axes in figure.axes for line in axes.lines}


# ------------------------------------------------------------------------------------------ the figure as a thing


def test_no_window_is_left(table, tmp_path):
    mine = plt.figure()
    before = matplotlib.get_backend(), plt.get_fignums()
    figure = figure_of(run(table), 12, 9, dpi=50)
    assert (matplotlib.get_backend(), plt.get_fignums()) == before
    assert plt.gcf() is mine
    assert (figure.get_size_inches().tolist(), figure.dpi) == ([12.0, 9.0], 50)
    figure.savefig(tmp_path / 'plot.png')
    # width and height of the PNG
    assert np.frombuffer((tmp_path / 'plot.png').read_bytes()[16:24], '>u4').tolist() == [600, 450]


@pytest.mark.parametrize('suffix', ['.png', '.svg', '.pdf', ''])
def test_save_plot_writes_what_the_name_says(suffix, table, tmp_path):
    path = tmp_path / f'plot{suffix}'
    save_plot(run(table), path)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    start = {'.png': b'\x89PNG', '.svg': b'<?xml', '.pdf': b'%PDF', '': b'\x89PNG'}[suffix]
    assert path.read_bytes().startswith(start)


PROGRAM = """
import warnings
warnings.simplefilter('error')
import backtrader as bt
from bt_microcap import MarketFeed, MicroCapStrategy, setup
from bt_microcap.feeds.demo import demo_market
from bt_microcap.views.cerebro_plot import figure_of
cerebro = bt.Cerebro()
cerebro.adddata(MarketFeed(dataname=demo_market(20, '2021-03-01', days=40)), name='market')
cerebro.addstrategy(MicroCapStrategy, min_cap=4e8, max_cap=6e9)
setup(cerebro)
cerebro.run()
figure_of(cerebro).savefig('plot.png')
"""


def in_a_program(folder, script, **variables):
    """Run a script without a screen, in which nothing of matplotlib is imported before."""
    clean = {name: value for name, value in os.environ.items() if name not in ('DISPLAY', 'WAYLAND_DISPLAY', 'MPLBACKEND')}
    done = subprocess.run([sys.executable, '-c', script], cwd=folder, env={**clean, **variables}, capture_output=True, text=True,
                          check=False)
    assert (done.returncode, done.stderr) == (0, '')
    assert (folder / 'plot.png').read_bytes().startswith(b'\x89PNG')
    return done.stdout


@pytest.mark.parametrize('variables', [{}, {'MPLBACKEND': 'TkAgg'}, {'MPLBACKEND': 'svg'}], ids=str)
def test_in_a_program_without_a_screen(variables, tmp_path):
    in_a_program(tmp_path, PROGRAM, **variables)


def test_a_notebook_shows_its_other_figures_as_before(tmp_path):
    """A notebook's backend sets up the display when it is loaded, if it is the one in force by then."""
    (tmp_path / 'my_inline.py').write_text("""
import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg as FigureCanvas
from matplotlib.backend_bases import FigureManagerBase as FigureManager
when_loaded = matplotlib.get_backend()
""", encoding='utf-8')
    said = in_a_program(tmp_path, PROGRAM + """
import sys, matplotlib
print(sys.modules['my_inline'].when_loaded, matplotlib.get_backend())
""", MPLBACKEND='module://my_inline')
    assert said.split() == ['module://my_inline'] * 2
