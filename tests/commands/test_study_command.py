"""The command study: what it prints, writes and refuses, and what a report shows of it."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from bt_microcap import MarketStore
from bt_microcap.feeds.demo import demo_market
from bt_microcap.study.kinds import KINDS
from bt_microcap.study.ledger import FIGURES
from tests.support.script_calls import one_error_line
from tests.support.studying import command

FAST = ['--train', 6, '--test', 4, '--sums', '1e5,1e6', '--vary', 'slippage=0,0.02', '--grid', 'stocknum=2,3']
PARAMS = ['--set', 'keep=yes', '--set', 'refresh_rate=4']


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp('market') / 'store'
    MarketStore.from_table(demo_market(60, years=2, seed=3)).save(path)
    return path


@pytest.fixture(scope='module')
def folder(tmp_path_factory, data):
    """The folder of a run, and all studies of it."""
    out = tmp_path_factory.mktemp('run') / 'out'
    assert command('backtest', '--data', data, *PARAMS, '--cash', 5e5, '--slippage', 0.003, '--no-plot', '--out', out).status == 0
    outcome = command('study', 'all', '--of', out, *FAST)
    assert (outcome.status, outcome.err) == (0, '')
    return out, outcome


def rows(path):
    with open(path, newline='', encoding='utf-8') as stream:
        return list(csv.DictReader(stream))


def summary(out):
    return json.loads((out / 'summary.json').read_text('utf-8'))


def test_all_of_them_are_made_with_the_settings_of_the_run(folder):
    out, outcome = folder
    assert {path.name for path in out.iterdir() if path.is_dir()} == set(KINDS)
    run = summary(out)
    for kind in KINDS:
        made = {path.name for path in (out / kind).iterdir()} - {'.lock'}
        expected = {'results.csv', 'returns.parquet', 'settings.json', 'study.json', f'{kind}.png'}
        assert made == expected | ({'windows.csv', 'stitched.csv'} if kind == 'walk-forward' else set())
        assert (out / kind / f'{kind}.png').read_bytes().startswith(b'\x89PNG')
        assert f'written {out / kind}/: ' in outcome.out
    # the user's own run is among the runs of three of them, to the last digit
    for kind, place in (('phases', 0), ('costs', 0), ('starts', 0)):
        own = rows(out / kind / 'results.csv')[place]
        for name in ('total_return', 'sharpe', 'max_drawdown', 'end_value', 'fees'):
            assert float(own[name]) == run[name], (kind, name)


def test_the_table_and_the_sentence(folder):
    out, outcome = folder
    shown = outcome.out.split('written ')[0].splitlines()
    assert shown[0] == 'Luck of the rebalance day'
    assert shown[2].split() == ['phase', 'annual', 'return', 'Sharpe', 'max', 'drawdown', 'turnover', 'trades']
    found = rows(out / 'phases' / 'results.csv')
    assert [row['phase'] for row in found] == ['0', '1', '2', '3'] and list(found[0]) == ['phase', *FIGURES]
    for line, row in zip(shown[3:7], found, strict=True):
        assert line.split() == [row['phase'], f'{float(row["annual_return"]):.1%}', f'{float(row["sharpe"]):.2f}',
                                f'{float(row["max_drawdown"]):.1%}', f'{float(row["turnover"]):.1f}', row['trades']]
    annual = sorted(float(row['annual_return']) for row in found)
    own = float(found[0]['annual_return'])
    assert shown[8] == (
        f'On the 4 shifts of its rebalance day the same strategy made between {annual[0]:.1%} and {annual[3]:.1%} a year, '
        f'{(annual[1] + annual[2]) / 2:.1%} in the middle: {100 * (annual[3] - annual[0]):.1f} percentage points are luck of the '
        f'day; yours, phase 0, made {own:.1%} and is number {4 - annual.index(own)} of 4.')


def test_chinese_throughout(data, tmp_path):
    outcome = command('study', 'all', '--data', data, *FAST, '--lang', 'zh', '--out', tmp_path / 'out', '--no-plot')
    assert (outcome.status, outcome.err) == (0, '')
    known = {'stocknum', 'phase', 'own'}
    left = re.sub(r'(/\S+|[\w-]+\.(csv|json|parquet|png)|bt-microcap \w+|listings)', '', outcome.out)
    assert set(re.findall('[A-Za-z]{2,}', left)) <= known
    assert not (tmp_path / 'out' / 'phases' / 'phases.png').exists()


@pytest.mark.parametrize('language', ['en', 'zh'])
def test_the_report_shows_them(folder, tmp_path, language):
    pytest.importorskip('bokeh')
    out, outcome = folder
    assert command('report', out, '--random-picks', 0, '--lang', language, '--out', tmp_path / 'page.html').status == 0
    page = (tmp_path / 'page.html').read_text('utf-8')
    assert page.count('src="data:image/png;base64,') == len(KINDS)
    for kind in KINDS:
        assert f'data-table="study_{kind}"' in page
    if language == 'en':
        begun = 'On the 4', 'Begun in', 'Each further', 'Chosen by'
        said = [line for line in outcome.out.splitlines() if line.startswith(begun)]
        assert len(said) == 4 and all(f'<p>{line}</p>' in page for line in said)
    else:
        assert '稳健性研究' in page and 'Luck of' not in page


def test_a_report_leaves_out_the_studies_of_another_run(folder, data, tmp_path):
    pytest.importorskip('bokeh')
    out, _ = folder
    other, usual = tmp_path / 'other', {'--cash': 5e5, '--slippage': 0.003}
    for changes in ({'--cash': 6e5}, {'--slippage': 0.004}, {'--stocknum': 4}, {'--start': '2019-06-03'},
                    {'--days-a-year': 365}):
        given = [*PARAMS, *(part for pair in {**usual, **changes}.items() for part in pair)]
        assert command('backtest', '--data', data, *given, '--no-plot', '--out', other).status == 0
        for kind in ('phases', 'costs'):
            (other / kind).mkdir(exist_ok=True)
            for path in (out / kind).iterdir():
                (other / kind / path.name).write_bytes(path.read_bytes())
        assert command('report', other, '--random-picks', 0, '--out', tmp_path / 'page.html').status == 0
        page = (tmp_path / 'page.html').read_text('utf-8')
        assert 'src="data:image/png' not in page, changes
        assert "not shown, as it is of another run than this folder&#39;s: phases, costs" in page


SCRIPT = '''
def initialize(context):
    g.n = 2
    set_slippage(FixedSlippage(0.04))
    set_order_cost(OrderCost(open_commission=0.002, close_commission=0.002, close_tax=0.001, min_commission=5), type='stock')
    run_weekly(trade, 1, time='9:30')


def trade(context):
    for code in list(context.portfolio.positions):
        order_target(code, 0)
    table = get_fundamentals(query(valuation.code).order_by(valuation.market_cap.asc()).limit(g.n))
    for code in table['code']:
        order_value(code, context.portfolio.available_cash / g.n)
'''


def test_studies_of_a_joinquant_script(data, tmp_path, monkeypatch):
    pytest.importorskip('bokeh')
    script, out, other = tmp_path / 'script.py', tmp_path / 'out', tmp_path / 'other'
    script.write_text(SCRIPT)
    given = '--joinquant', script, '--data', data
    assert command('backtest', *given, '--no-plot', '--out', out).status == 0
    outcome = command('study', 'all', *given, '--grid', 'g.n=2,3', '--train', 6, '--test', 4, '--sums', '1e5,1e6', '--out', out)
    assert outcome.status == 0, outcome.err
    assert 'Begun on each of 5 days, one after the other, the same strategy made between' in outcome.out
    assert float(rows(out / 'costs' / 'results.csv')[0]['end_value']) == summary(out)['end_value']
    facts = json.loads((out / 'costs' / 'study.json').read_text('utf-8'))['facts']
    assert facts['own'] == {}  # the script sets its own slippage and fees: none of the table is its
    # what a window's holdings cost to sell goes by the script's commission
    costs = [float(row['sale_cost']) for row in rows(out / 'walk-forward' / 'windows.csv')]
    assert max(costs) > 0.0035
    assert command('report', out, '--random-picks', 0).status == 0
    assert (out / 'report.html').read_text('utf-8').count('src="data:image/png') == len(KINDS)
    # by an absolute or a relative path it is the same script; with another number of stocks none is shown
    monkeypatch.chdir(tmp_path)
    assert command('backtest', '--joinquant', 'script.py', '--data', data, '--no-plot', '--out', out).status == 0
    assert command('report', out, '--random-picks', 0).status == 0
    assert (out / 'report.html').read_text('utf-8').count('src="data:image/png') == len(KINDS)
    assert command('backtest', *given, '--set', 'g.n=4', '--no-plot', '--out', other).status == 0
    for kind in KINDS:
        (other / kind).mkdir()
        for path in (out / kind).iterdir():
            (other / kind / path.name).write_bytes(path.read_bytes())
    assert command('report', other, '--random-picks', 0).status == 0
    assert 'src="data:image/png' not in (other / 'report.html').read_text('utf-8')


@pytest.mark.parametrize('kind', ['starts', 'walk-forward'])
def test_a_killed_study_resumes_to_the_same_files(data, tmp_path, kind):
    given = ['study', kind, '--data', data, *(['--train', 6, '--test', 4] if kind == 'walk-forward' else []), '--no-plot']
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    assert command(*given, '--out', whole).status == 0
    killed = subprocess.Popen([sys.executable, '-m', 'bt_microcap', *map(str, given), '--maxcpus', '2', '--out', cut],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (cut / kind / 'runs.journal').exists() or (cut / kind / 'runs.journal').read_text().count('\n') < 3:
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (cut / kind / 'study.json').exists()
    done = (cut / kind / 'runs.journal').read_text().count('\n')
    assert 3 <= done < len(rows(whole / kind / 'results.csv'))
    assert command(*given, '--out', cut).status == 0
    assert sorted(path.name for path in (cut / kind).iterdir()) == sorted(path.name for path in (whole / kind).iterdir())
    for path in (whole / kind).iterdir():
        assert (cut / kind / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_study_of_fewer_runs_is_gone_on_with(data, tmp_path):
    assert command('study', 'capacity', '--data', data, '--sums', '1e5,1e6', '--out', tmp_path / 'one').status == 0
    assert command('study', 'capacity', '--data', data, '--sums', '1e5,1e6,1e7', '--out', tmp_path / 'one').status == 0
    assert command('study', 'capacity', '--data', data, '--sums', '1e5,1e6,1e7', '--out', tmp_path / 'two').status == 0
    for name in ('results.csv', 'returns.parquet', 'study.json', 'capacity.png'):
        assert (tmp_path / 'one' / 'capacity' / name).read_bytes() == (tmp_path / 'two' / 'capacity' / name).read_bytes(), name


@pytest.mark.parametrize('kind', [*KINDS, 'all'])
def test_help_of_a_kind(kind):
    outcome = command('study', kind, '--help')
    assert outcome.status == 0 and f'study {kind}' in outcome.out and '--dask' in outcome.out


def test_help_of_all():
    outcome = command('study', '--help')
    assert outcome.status == 0 and all(f'study {kind} ' in outcome.out for kind in KINDS)


@pytest.mark.parametrize(('arguments', 'said'), [
    ([], "the following arguments are required: kind"),
    (['phase'], "argument kind: invalid choice: 'phase'"),
    (['phases', '--shifts', '1'], "argument --shifts: found '1', expected a whole number of 2 or more"),
    (['capacity', '--sums', '1e5'], "argument --sums: found '1e5', expected two sums or more"),
    (['capacity', '--sums', '1e5,-3'], "argument --sums: found '-3', expected a number above 0"),
    (['costs', '--vary', 'slipage=1'], '--vary slipage=1: the profile has no slipage, expected one of commission'),
    (['costs', '--vary', 'slippage=0,x'], "--vary slippage=0,x: found 'x', expected a number of 0 or more"),
    (['costs', '--vary', 'slippage=0,0'], '--vary slippage=0,0: found a value twice, expected each once'),
    (['walk-forward', '--train', '24'], 'windows of 24 months to choose on and 6 to run, expected two or more'),
    (['walk-forward', '--by', 'sharp'], "argument --by: found 'sharp', expected one of total_return"),
    (['walk-forward', '--grid', 'stop_loss=0,2', '--train', '6'], 'stop_loss is 2.0: expected a fraction below 1'),
    (['phases', '--of', 'nowhere'], 'nowhere/summary.json: there is no such file, expected the folder of a run'),
    (['phases', '--refresh-rate', '1'], 'the strategy rebalances every day: there is no day to shift'),
    (['starts', '--least-days', '5000'], 'found 0 month that has 5000 trading days after its start'),
])
def test_it_is_said_before_anything_is_run(arguments, said, data, tmp_path):
    given = [*arguments[:1], *(['--data', data] if arguments else []), *arguments[1:], '--out', tmp_path / 'out']
    assert said in one_error_line(command('study', *(given if arguments else [])))
    assert not (tmp_path / 'out').exists()


def test_of_a_run_of_a_script_is_refused(tmp_path):
    import backtrader as bt

    from bt_microcap import Blotter, MarketFeed, MicroCapStrategy, save_run, setup

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=demo_market(20, days=80)), name='market')
    cerebro.addstrategy(MicroCapStrategy)
    setup(cerebro)
    cerebro.addanalyzer(Blotter, _name='blotter')
    save_run(cerebro.run()[0], tmp_path / 'mine', False, show=False)
    line = one_error_line(command('study', 'phases', '--of', tmp_path / 'mine'))
    assert line.startswith(f'error: --of {tmp_path / "mine"}: is of a run of a script: only one of the command can, from '
                           'its folder; give --data')
