"""What the pages of the pieces and for JoinQuant's users show runs, and names what there is."""

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import backtrader as bt
import pytest

from bt_microcap import Blotter, MarketFeed, MicroCapStrategy, setup
from bt_microcap.commands import backtest
from bt_microcap.feeds.demo import demo_market
from bt_microcap.rotation.presets import PRESETS
from tests.commands.test_readme import ROOT, blocks

PIECES, PORTING = ROOT / 'docs/pieces.md', ROOT / 'docs/porting.md'


def run(strategy, **params):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=demo_market(120, '2019-01-02', days=300, fundamentals=True)), name='market')
    cerebro.addstrategy(strategy, **params)
    setup(cerebro)
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro.run()[0]


def classes_of(code):
    names = {}
    exec(compile(code, 'a page', 'exec'), names)
    return names


def test_a_screen_and_a_rank_of_ones_own():
    quiet = classes_of(blocks(PIECES, 'python')[0])['Quiet']
    strategy = run(quiet)
    fills = strategy.analyzers.blotter.fills
    assert len(fills) > 50
    days = Counter(day.isoweekday() for day in {fill.datetime for fill in fills})
    assert days[1] > 0.85 * days.total()  # Mondays, and the next trading day where one is a holiday
    opens = [order.price for order in strategy.analyzers.blotter.orders if order.side == 'BUY' and order.quantity]
    assert max(opens) * 100 < 2000 * 1.01  # no lot above 2,000 yuan, but for the slippage


def test_an_overlay_of_ones_own():
    careful = classes_of(blocks(PIECES, 'python')[1])['Careful']
    orders = run(careful).analyzers.blotter.orders
    weekends = [order for order in orders if order.why == 'weekend' and order.side == 'SELL']
    assert weekends
    assert all(order.date.isoweekday() == 5 for order in weekends)


@pytest.mark.parametrize('path', [PIECES, ROOT / 'docs/pieces.zh-CN.md'], ids=['english', 'chinese'])
def test_the_page_names_what_there_is(path):
    text = path.read_text(encoding='utf-8')
    sections = dict(re.findall(r'`bt_microcap\.rotation\.(\w+)`[)）]\n(.*?)\n## ', text, re.DOTALL))
    assert set(sections) == {'values', 'screens', 'ranks'}
    for module, section in sections.items():
        found = importlib.import_module(f'bt_microcap.rotation.{module}')
        names = set(re.findall(r'^\| (.*?) \|', section, re.MULTILINE)) - {'piece', '---', '积木'}
        for cell in names:
            for name in re.findall(r'`(\w+)', cell):
                assert hasattr(found, name) or name in MicroCapStrategy.params._getkeys(), (module, name)
    params = set(re.findall(r'`(\w+)=', text)) - {'extra_screen', 'rank', 'overlays'}
    assert params <= set(MicroCapStrategy.params._getkeys())
    # every param of the strategy is named by the page
    own = set(MicroCapStrategy.params._getkeys())
    told = set(re.findall(r'`?(\w+)`?=', text)) | set(re.findall(r'`(\w+)`', text))
    assert own - told == {'plot_stocks', 'combination'}


def test_every_public_piece_has_a_docstring():
    for module in ('values', 'screens', 'ranks', 'timing', 'weights', 'overlays'):
        found = importlib.import_module(f'bt_microcap.rotation.{module}')
        own = [value for value in vars(found).values()
               if inspect.isroutine(value) or inspect.isclass(value) if value.__module__ == found.__name__]
        assert all(value.__doc__ for value in own if not value.__name__.startswith('_'))


def test_the_script_for_joinquant_is_python_and_calls_what_is_there():
    platform, ours = blocks(PORTING, 'python')
    tree = ast.parse(platform)
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    asked = {node.args[0].id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
             and node.func.id.startswith('run_')}
    assert asked <= functions
    assert functions == {'initialize', 'is_empty', 'prepare', 'choose', 'rebalance', 'check_risk', 'sell_opened'}
    assert len(ours.strip().splitlines()) <= 20


def test_the_script_of_the_porting_page_runs(tmp_path):
    script = tmp_path / 'ported.py'
    script.write_text(blocks(PORTING, 'python')[1], encoding='utf-8')
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    assert 'annual return' in done.stdout
    names = {path.name for path in (tmp_path / 'out').iterdir()}
    assert names >= {'trades.csv', 'equity.csv', 'rejections.csv', 'orders.csv', 'summary.json', 'equity.png'}
    orders = (tmp_path / 'out/orders.csv').read_text(encoding='utf-8').splitlines()
    why = {line.split(',')[3] for line in orders[1:]}
    assert why == {'rebalance', 'stop loss', 'limit opened', 'empty month'}
    held = [line.split(',') for line in (tmp_path / 'out/trades.csv').read_text(encoding='utf-8').splitlines()[1:]]
    assert not [row for row in held if row[2] == 'BUY' and row[0][5:7] in ('01', '04')]


def test_the_command_of_the_porting_page_is_the_same_strategy(tmp_path):
    (command,) = (block.split() for block in blocks(PORTING, 'sh'))
    assert command[:2] == ['.venv/bin/python', 'scripts/backtest.py']
    done = subprocess.run([sys.executable, ROOT / 'scripts/backtest.py', *command[2:], '--no-plot', '--out', tmp_path / 'out'],
                          capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, '')
    script = Path(tmp_path / 'ported.py')
    script.write_text(blocks(PORTING, 'python')[1].replace("'out'", "'ours', plot=False"), encoding='utf-8')
    subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, check=True)
    assert (tmp_path / 'out/trades.csv').read_bytes() == (tmp_path / 'ours/trades.csv').read_bytes()


def test_the_readme_shows_what_the_presets_do(tmp_path):
    """Row by row; the last column is a time."""
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    rows = {name: [cell.strip() for cell in cells.split('|')[:-1]]
            for name, cells in re.findall(r'^\| `(\w+)` \| (-?[\d.]+% .*?) \|$', text, re.MULTILINE)}
    assert list(rows) == list(PRESETS)
    for name, cells in rows.items():
        out = tmp_path / name
        cash = ['--cash', '1e7'] if name == 'microcap400' else []
        assert backtest.main(['--preset', name, *cash, '--no-plot', '--out', str(out)]) == 0
        found = json.loads((out / 'summary.json').read_text(encoding='utf-8'))
        assert cells == [f'{found["total_return"]:.1%}', f'{found["annual_return"]:.1%}', f'{found["max_drawdown"]:.1%}',
                         f'{found["turnover"]:.1f}', f'{found["fees"]:,.0f}', f'{found["trades"]:,}']
