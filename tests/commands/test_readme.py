"""What the READMEs show is what a user gets."""

import csv
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import backtrader as bt
import numpy as np
import pytest

from bt_microcap import Figures, MarketFeed, MicroCapStrategy, setup
from bt_microcap.__main__ import main
from bt_microcap.feeds.demo import demo_market
from bt_microcap.record.figures import figures_of

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = ROOT / 'README.md', ROOT / 'README.zh-CN.md'
OTHERS = ('pieces', 'porting', 'joinquant', 'doubt', 'orders', 'data')
PAGES = [(ENGLISH, CHINESE), *((ROOT / f'docs/{name}.md', ROOT / f'docs/{name}.zh-CN.md') for name in OTHERS)]


def blocks(path, language):
    return re.findall(rf'```{language}\n(.*?)```', path.read_text(encoding='utf-8'), re.DOTALL)


def test_the_script_prints_what_the_readme_shows(tmp_path):
    script = tmp_path / 'example.py'
    script.write_text(blocks(ENGLISH, 'python')[0], encoding='utf-8')
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == blocks(ENGLISH, 'text')[0]
    assert (tmp_path / 'plot.png').read_bytes().startswith(b'\x89PNG')


def of_the_report(path, language):
    """Return the block of a language in the section of the report."""
    (block,) = (text for text in blocks(path, language) if 'report' in text and '--out small' not in text)
    return block


def test_the_script_makes_the_report_that_the_readme_shows(tmp_path):
    pytest.importorskip('bokeh')
    pytest.importorskip('jinja2')
    script = tmp_path / 'example.py'
    more = of_the_report(ENGLISH, 'python').replace('random_picks=200', 'random_picks=2')
    script.write_text(f"{blocks(ENGLISH, 'python')[0]}\n{more}", encoding='utf-8')
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    page = (tmp_path / 'out.html').read_text(encoding='utf-8')
    assert '<html lang="zh-CN"' in page
    assert '在 2 次随机选股中的百分位' in page
    assert {path.name for path in tmp_path.iterdir()} == {'example.py', 'plot.png', 'out.html'}


@pytest.fixture(scope='module')
def reported(tmp_path_factory):
    """Run the commands of the section of the report, with two random runs each; return the folder."""
    pytest.importorskip('bokeh')
    pytest.importorskip('jinja2')
    folder = tmp_path_factory.mktemp('reported')
    install, *commands = of_the_report(ENGLISH, 'sh').replace('--random-picks 200', '').splitlines()
    assert install == '.venv/bin/python -m pip install -q -e ".[report]"'
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in commands:
            python, *rest = shlex.split(command)
            assert python == '.venv/bin/python'
            given = rest[2:] if rest[:2] == ['-m', 'bt_microcap'] else [Path(rest[0]).stem, *rest[1:]]
            assert main([*given, '--random-picks', '2']) == 0
    return folder


def test_the_commands_of_the_report(reported):
    assert {path.name for path in reported.iterdir()} == {'out', 'ten', 'comparison.html'}
    for name, language in (('out/report.html', 'en'), ('ten/report.html', 'zh-CN'), ('comparison.html', 'en')):
        page = (reported / name).read_text(encoding='utf-8')
        assert f'<html lang="{language}"' in page
    assert 1.5e6 < (reported / 'out/report.html').stat().st_size < 2.5e6  # "one file of 2 MB"
    page = (reported / 'comparison.html').read_text(encoding='utf-8')
    assert '<tr><th></th><th>A</th><th>B</th></tr>' in page  # letters stand for the runs, and only for these two
    assert [re.search(rf'<b>{letter}</b> (.*)', page)[1].split(' · ')[1] for letter in 'AB'] == ['out', 'ten']


@pytest.mark.parametrize('path', [ENGLISH, CHINESE], ids=['english', 'chinese'])
def test_the_table_of_files_names_every_column(path, reported):
    rows = re.findall(r'^\| `(\w+\.csv)` \| [^|]+ \| ([^|]+) \|$', path.read_text(encoding='utf-8'), re.MULTILINE)
    told = {name: re.findall(r'`(\w+)`', cell) for name, cell in rows}
    # the demo market's table has no bad row, and nobody adds money
    assert told.pop('cash_flows.csv') == ['date', 'amount']
    written = {}
    for file in (reported / 'out').glob('*.csv'):
        with file.open(encoding='utf-8', newline='') as lines:
            written[file.name] = next(csv.reader(lines))
    assert told == written


@pytest.mark.parametrize('path', [ENGLISH, CHINESE], ids=['english', 'chinese'])
def test_the_table_of_figures_names_what_the_summary_has(path, reported):
    summary = json.loads((reported / 'out/summary.json').read_text(encoding='utf-8'))
    text = path.read_text(encoding='utf-8')
    table = text[text.index('| `cagr` |'):].split('\n\n')[0]
    told = {name for cells in table.splitlines() for name in re.findall(r'`(\w+)`', cells.split('|')[1])}
    assert told <= set(summary)
    of_trades = {'closed_trades', 'win_rate', 'payoff', 'profit_factor', 'expectancy', 'expectancy_rate', 'mean_days_held'}
    of_days = figures_of(np.array([0.01, -0.01]), np.array([0.0, 0.01]), days_a_year=252)
    assert told == {*of_days, *of_trades, 'cagr', 'longest_drawdown', 'time_in_market', 'slippage', 'volume_share_95',
                    'volume_share_max'}


@pytest.mark.parametrize('path', [ENGLISH, CHINESE], ids=['english', 'chinese'])
def test_the_summary_has_what_is_named_beside_the_figures(path, reported):
    summary = json.loads((reported / 'out/summary.json').read_text(encoding='utf-8'))
    (line,) = re.findall(r'`equity\.png`[^`]*`summary\.json`.*?`no_chance`', path.read_text(encoding='utf-8'), re.DOTALL)
    told = set(re.findall(r'`(\w+)`', line))
    assert told == {'microcap_return', 'own_params', 'names', 'random_picks', 'random_seed', 'percentiles', 'not_again',
                    'no_chance'}
    assert told <= set(summary)
    assert (summary['random_picks'], summary['own_params'], summary['not_again']) == (2, [], '')


@pytest.mark.parametrize('path', [ENGLISH, CHINESE], ids=['english', 'chinese'])
def test_the_analyzer_of_an_optimizer_that_is_named(path):
    (call,) = re.findall(r'`(result\.analyzers\.figures\.[^`]+)`', path.read_text(encoding='utf-8'))
    cerebro = bt.Cerebro(maxcpus=1)
    cerebro.adddata(MarketFeed(dataname=demo_market(60, days=60)), name='market')
    cerebro.optstrategy(MicroCapStrategy, stocknum=[2, 3], refresh_rate=5)
    setup(cerebro, cash=1_000_000)
    cerebro.addanalyzer(Figures, _name='figures')
    for (result,) in cerebro.run():
        figures = eval(call, {'result': result})
        assert figures['start_value'] == 1_000_000
        assert figures['end_value'] == pytest.approx(1_000_000 * (1 + figures['total_return']))
        assert figures['trades'] > 20


@pytest.mark.parametrize('language', ['sh', 'python'])
@pytest.mark.parametrize(('english', 'chinese'), PAGES, ids=['readme', *OTHERS])
def test_both_languages_say_the_same(english, chinese, language):
    assert blocks(chinese, language) == blocks(english, language)
    rows = [path.read_text(encoding='utf-8').count('\n|') for path in (english, chinese)]
    assert rows[0] == rows[1]


def test_the_pictures_are_there():
    for path in (ENGLISH, CHINESE):
        shown = re.findall(r'!\[[^]]*\]\(([^)]+)\)', path.read_text(encoding='utf-8'))
        assert f'docs/report{".zh-CN" if path == CHINESE else ""}.png' in shown
        assert all(10_000 < (ROOT / name).stat().st_size < 300_000 for name in shown)


def test_the_commands_are_one_line_each():
    first, second = (block.strip() for block in blocks(ENGLISH, 'sh')[:2])
    assert first.endswith('scripts/backtest.py --out out')
    assert second.endswith('-m pytest')
    assert '\n' not in first + second
