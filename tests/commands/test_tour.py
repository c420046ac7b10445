"""The tour, from data to a report, runs, and what it says of what it shows is so."""

import contextlib
import csv
import inspect
import io
import json
import os
import re
import runpy
import socket

import pytest

from bt_microcap import report
from tests.commands.test_readme import ROOT

pytest.importorskip('bokeh')
pytest.importorskip('jinja2')

TOUR = ROOT / 'docs/tour.py'
FIRST_PICKS = {'600533.XSHG', '003851.XSHE', '300061.XSHE'}  # as the README shows them
FILES = {'trades.csv', 'equity.csv', 'rejections.csv', 'orders.csv', 'corporate_actions.csv', 'positions.csv', 'round_trips.csv',
         'picks.csv', 'missed.csv', 'prices.csv', 'indices.csv', 'summary.json', 'equity.png'}


@pytest.fixture(scope='module')
def tour(tmp_path_factory):
    """Run the tour in a folder of its own, without a network; return its names, what it printed, and the folder."""
    folder, printed = tmp_path_factory.mktemp('tour'), io.StringIO()

    def refuse(*args):
        raise AssertionError(f'the tour asks the network: {args}')

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.chdir(folder)
        patch.setenv('MPLBACKEND', 'Agg')
        patch.setattr(socket.socket, 'connect', refuse)
        names = runpy.run_path(str(TOUR), run_name='__main__')
    return names, printed.getvalue(), folder


def column(path, name):
    with path.open(encoding='utf-8', newline='') as file:
        return [row[name] for row in csv.DictReader(file)]


def cells(kind):
    """Return the cells of a kind: `` [markdown]``, or nothing for code."""
    found = re.split(r'^# %%(.*)\n', TOUR.read_text(encoding='utf-8'), flags=re.MULTILINE)
    assert found[0] == ''  # nothing stands outside of a cell
    return [text for head, text in zip(found[1::2], found[2::2], strict=True) if head == kind]


def test_it_is_a_notebook():
    told, code = cells(' [markdown]'), cells('')
    assert len(told) == len(code) == 9
    assert all(line.startswith('#') for text in told for line in text.strip().splitlines())
    assert all(text.startswith(('# # ', '# ## ')) for text in told)


def test_all_that_it_writes_is_in_one_folder(tour):
    *_, folder = tour
    assert os.listdir(folder) == ['tour_out']
    out = folder / 'tour_out'
    assert {path.name for path in out.iterdir()} == {'market', 'original', 'cheap', 'both.html', 'report.html'}
    for run in ('original', 'cheap'):
        assert {path.name for path in (out / run).iterdir()} == FILES
    assert (out / 'original/equity.png').read_bytes().startswith(b'\x89PNG')


def test_the_three_smallest_of_the_day_before_are_bought_first(tour):
    names, printed, folder = tour
    assert set(names['smallest'].index) == FIRST_PICKS
    assert len(names['section']) < len(names['store'])  # those listed later are not there yet
    assert names['band']['market_cap'].between(2e9, 3e9).all()
    trades = folder / 'tour_out/original/trades.csv'
    assert list(zip(column(trades, 'datetime'), column(trades, 'side'), strict=True))[:3] == [('2019-01-03', 'BUY')] * 3
    assert set(column(trades, 'code')[:3]) == FIRST_PICKS
    assert 'value          1,000,000.00 -> 788,745.71 yuan' in printed  # the README's run


def test_not_every_order_is_filled(tour):
    *_, folder = tour
    reasons = column(folder / 'tour_out/original/rejections.csv', 'reason')
    assert {'suspended', 'limit up', 'limit down'} <= set(reasons)


def test_the_own_strategy_is_five_lines_and_buys_below_ten_yuan(tour):
    names, _, folder = tour
    (cell,) = (text for text in cells('') if 'class Cheap' in text)
    assert len(cell[:cell.index('_, cheap')].strip().splitlines()) == 5
    orders = folder / 'tour_out/cheap/orders.csv'
    dear = [float(price) for side, price in zip(column(orders, 'side'), column(orders, 'price'), strict=True) if side == 'BUY']
    assert 9 < max(dear) < 10 * 1.21  # the screen asks the close before; a day moves by a fifth at most, and a step of slippage
    original, cheap = (json.loads((folder / f'tour_out/{name}/summary.json').read_text(encoding='utf-8'))
                       for name in ('original', 'cheap'))
    assert cheap['turnover'] < original['turnover'] / 2
    assert cheap['fees'] < original['fees'] / 2
    assert (original['params']['keep'], cheap['params']['keep'], cheap['params']['stocknum']) == (False, True, 10)


def test_the_plot_shows_the_market_the_account_and_stocks(tour):
    names, *_ = tour
    figure = names['figure_of'](names['cerebro'])
    labels = ' '.join(text.get_text() for axes in figure.axes for legend in [axes.get_legend()] if legend
                      for text in legend.get_texts())
    for word in ('market', 'Drawdown', 'Relative value'):
        assert word in labels, labels
    assert any(code in labels for code in names['store'].codes)


def test_the_percentile_is_the_part_that_did_worse(tour):
    names, printed, _ = tour
    chance, value = names['chance'], names['cerebro'].broker.getvalue()
    ends = chance.figures['end_value'].tolist()
    worse = 100 * sum(end < value for end in ends) / len(ends)
    assert len(ends) == 20
    assert f'percentile {worse}\n' in printed


def test_the_reports_open_from_disk(tour):
    *_, folder = tour
    for name in ('report.html', 'both.html'):
        page = (folder / 'tour_out' / name).read_text(encoding='utf-8')
        assert page.lstrip().lower().startswith('<!doctype html>')
        assert not re.findall(r'<(?:script|link|img|iframe)[^>]*\s(?:src|href)="(?!#|data:)[^"]*"', page)
    page = (folder / 'tour_out/report.html').read_text(encoding='utf-8')
    assert 'id="rebalances"' in page
    assert 'Reasons to doubt' in page
    assert 'percentile among 20 random picks' in page


def test_a_report_makes_200_random_runs_by_itself():
    assert inspect.signature(report).parameters['random_picks'].default == 200
    assert 'a report makes 200 by itself' in cells(' [markdown]')[-2]
