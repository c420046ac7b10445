"""The command search: what it prints and writes, going on after a kill, and what it refuses."""

import csv
import json
import re
import shlex
import subprocess
import sys

import pytest

from bt_microcap.commands.search import parse_args
from bt_microcap.commands.space_arguments import space_of
from bt_microcap.commands.strategy_arguments import choose
from bt_microcap.feeds.demo import demo_market
from bt_microcap.study.space import Dimension
from tests.support.script_calls import ROOT, call, one_error_line
from tests.support.searching import killed, look, tried
from tests.support.studying import command
from tests.support.sweeping import figures, rows

pytest.importorskip('optuna')
GONE_ON = re.compile(r'^\d+ trials: \d+ complete')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp('market') / 'market.parquet'
    demo_market(60, years=1, seed=3).to_parquet(path, index=False)
    return path


def space(*arguments):
    args = parse_args(list(arguments))
    return space_of(args, choose(args))


# -------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(('spec', 'dimension'), [
    ('stocknum=1:20', Dimension('stocknum', 1, 20)),
    ('stocknum=1:20:2', Dimension('stocknum', 1, 20, 2)),
    ('stocknum=1:64:log', Dimension('stocknum', 1, 64, log=True)),
    ('stocknum=1,5,10', Dimension('stocknum', choices=(1, 5, 10))),
    ('stocknum=1:3,10', Dimension('stocknum', choices=(1, 2, 3, 10))),
    ('stop_loss=0:0.2', Dimension('stop_loss', 0.0, 0.2)),
    ('stop-loss = 0.0 : 0.2 : 0.05', Dimension('stop_loss', 0.0, 0.2, 0.05)),
    ('stop_loss=0,0.1', Dimension('stop_loss', choices=(0.0, 0.1))),
    ('max_cap=1e9:1e11:log', Dimension('max_cap', 1e9, 1e11, log=True)),
    ('keep=yes,no', Dimension('keep', choices=(True, False))),
    ('rank=market_cap,float_cap', Dimension('rank', choices=('market_cap', 'float_cap'))),
    ('empty_months=none;4;1,4', Dimension('empty_months', choices=((), (4,), (1, 4)))),
    ('slippage=0:0.01', Dimension('slippage', 0.0, 0.01, of_profile=True)),
    ('slippage=0.001:0.01:log', Dimension('slippage', 0.001, 0.01, log=True, of_profile=True)),
    ('stamp_duty=dated,0.001', Dimension('stamp_duty', choices=('dated', 0.001), of_profile=True)),
    ('stamp_duty=0:0.001', Dimension('stamp_duty', 0.0, 0.001, of_profile=True)),
    ('delist_wait=10:90:10', Dimension('delist_wait', 10, 90, 10, of_profile=True)),
    ('size_with_fees=yes,no', Dimension('size_with_fees', choices=(True, False), of_profile=True)),
])
def test_reading(spec, dimension):
    found, = space('--space', spec)
    assert found == dimension
    assert {type(value) for value in found.ends()} == {type(value) for value in dimension.ends()}


def test_params_of_a_script(tmp_path):
    script = tmp_path / 'script.py'
    script.write_text('def initialize(context):\n    g.n = 3\n', encoding='utf-8')
    found = space('--joinquant', str(script), '--space', 'g.n=1:9', '--space', 'g.x=0.5:1', '--space', 'g.at=9:30,14:50',
                  '--space', 'slippage=0,0.002')
    assert found == [Dimension('g.n', 1, 9), Dimension('g.x', 0.5, 1.0), Dimension('g.at', choices=('9:30', '14:50')),
                     Dimension('slippage', choices=(0.0, 0.002), of_profile=True)]


@pytest.mark.parametrize(('arguments', 'said'), [
    ([], 'found nothing to search; give --space NAME=SPEC any number of times, such as --space stocknum=1:20'),
    (['--space', 'stocknum'], "argument --space: found 'stocknum', expected NAME=VALUE"),
    (['--space', 'stocknum=5:1'], '--space stocknum=5:1: the low end 5 is above the high end 1'),
    (['--space', 'stocknum=3:3'], 'one value alone, expected two or more; what is not to vary is given as --set stocknum=3'),
    (['--space', 'slippage=0.1'], 'what is not to vary is given as --slippage 0.1'),
    (['--space', 'stocknum=1:2.5'], "found '1:2.5', expected whole numbers as 1:20, 1:20:2 (a step), 1:20:log or 1,5,10"),
    (['--space', 'stocknum=1:5:9'], 'the step is 9, expected one above 0 and at most 4'),
    (['--space', 'stocknum=1:5:0'], 'the step is 0, expected one above 0 and at most 4'),
    (['--space', 'stocknum=0:5:log'], 'the low end of a range with :log is 0, expected one above 0'),
    (['--space', 'stop_loss=0:0.1:log'], 'the low end of a range with :log is 0, expected one above 0'),
    (['--space', 'stop_loss=0:0.1:0.05:log'], "found '0:0.1:0.05:log', expected numbers as 0.0:0.2"),
    (['--space', 'stop_loss=0:inf'], "found '0:inf', expected numbers"),
    (['--space', 'stop_loss=nan:1'], "found 'nan:1', expected numbers"),
    (['--space', 'stop_loss=0,much'], "found 'much', expected a number, such as 0"),
    (['--space', 'stop_loss=0.1,0.10'], 'found 0.1 twice, expected each value once'),
    (['--space', 'keep=1:2'], "found '1:2', expected yes or no"),
    (['--space', 'stoknum=1:3'], 'MicroCapStrategy has no param stoknum; did you mean stocknum?'),
    (['--space', 'slippag=0:0.1'], 'neither MicroCapStrategy nor the profile has a param slippag; did you mean slippage?'),
    (['--space', 'slippage=0:2'], "--space slippage=0:2: found '2', expected a number of 0 or more, at most 1"),
    (['--space', 'keep=yes,no', '--space', 'keep=no,yes'], '--space keep=no,yes: keep is given twice'),
    (['--space', 'keep=yes,no', '--set', 'keep=yes'], '--space keep=yes,no: keep is also given as yes; give it once'),
    (['--space', 'stocknum=1:3', '--stocknum', '2'], '--space stocknum=1:3: stocknum is also given as 2; give it once'),
    (['--space', 'slippage=0:0.1', '--slippage', '0.1'], 'slippage is also given as --slippage; give it once'),
    (['--space', 'overlays=a,b'], 'overlays takes no text but pieces of a strategy'),
    (['--space', 'stocknum=1:3', '--set', 'stop_loss=2'], 'stop_loss is 2.0: expected a fraction below 1'),
    (['--space', 'stocknum=1:3', '--min-cap', '20', '--max-cap', '40'], 'no market cap of the data lies between min_cap 20'),
    (['--space', 'stocknum=1:3', '--by', 'sharp'], "argument --by: found 'sharp', expected one of"),
    (['--space', 'stocknum=1:3', '--by', 'first_day'], "argument --by: found 'first_day', expected one of"),
    (['--space', 'stocknum=1:3', '--by', 'sharpe', '--by', 'sharpe'], 'argument --by: found sharpe twice'),
    (['--space', 'stocknum=1:3', '--trials', '0'], "argument --trials: found '0', expected a whole number of 1 or more"),
])
def test_it_is_said_before_anything_is_run(arguments, said, tmp_path, data):
    line = one_error_line(look(data, tmp_path / 'out', *arguments))
    assert said in line
    assert not (tmp_path / 'out').exists()


def test_without_optuna(tmp_path, data, monkeypatch):
    from bt_microcap.study.optuna_study import needed

    needed.cache_clear()
    monkeypatch.setitem(sys.modules, 'optuna', None)
    line = one_error_line(look(data, tmp_path / 'out', '--space', 'stocknum=1:3'))
    needed.cache_clear()
    assert line == ('error: the search needs optuna: pip install "bt-microcap[search]", in a checkout pip install -e ".[search]"')
    assert not (tmp_path / 'out').exists()


def test_help_does_without_optuna():
    code = """import sys
from bt_microcap.__main__ import main
try:
    main(['search', '--help'])
except SystemExit as end:
    assert end.code == 0
print('optuna' in sys.modules)"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == 'False'


# -------------------------------------------------------------------------------------------------- searches


def test_the_best_is_that_of_the_full_grid(tmp_path, data):
    assert call('optimize', '--data', data, '--stocknum', '1:3', '--refresh-rate', '5', '--grid', 'keep=yes,no', '--grid',
                'slippage=0,0.004', '--no-plot', '--out', tmp_path / 'grid').status == 0
    outcome = command('search', '--data', data, '--refresh-rate', 5, '--space', 'stocknum=1:3', '--space', 'keep=yes,no',
                      '--space', 'slippage=0,0.004', '--trials', 60, '--maxcpus', 1, '--out', tmp_path / 'out')
    assert (outcome.status, outcome.err) == (0, '')
    grid = {(row['stocknum'], row['keep'], row['annual_return']) for row in rows(tmp_path / 'grid')}
    found = {(row['stocknum'], row['keep'], row['annual_return']) for row in rows(tmp_path / 'out')}
    assert found <= grid
    best = max(grid, key=lambda row: float(row[2]))
    assert max(found, key=lambda row: float(row[2])) == best
    assert outcome.lines[0].split()[:4] == ['trial', 'stocknum', 'keep', 'slippage']
    assert tuple(outcome.lines[1].split()[1:5]) == (*best[:2], '0', f'{float(best[2]):.2%}')
    assert len({tuple(line.split()[1:4]) for line in outcome.lines[1:6]}) == 5  # each params once
    again = len(rows(tmp_path / 'out')) - len(found)
    assert f'60 trials: 60 complete ({again} of them with the params of an earlier one, not run again), 0 pruned, 0 failed' in (
        outcome.lines)
    assert outcome.lines[-1] == (f'best 5 of 60 complete trials by annual return; written {tmp_path / "out"}/: results.csv, '
                                 'returns.parquet, trials.csv, search.journal, settings.json, overfitting.json, search.png')
    assert (tmp_path / 'out' / 'search.png').read_bytes().startswith(b'\x89PNG')
    doubts = json.loads((tmp_path / 'out' / 'overfitting.json').read_text('utf-8'))
    assert (doubts['runs'], doubts['different_runs'], doubts['by']) == (60, len(found), ['annual_return'])
    assert any(line.startswith('a guided search makes most of its trials where it is good') for line in outcome.lines)


def test_a_row_is_a_backtest_with_those_params(tmp_path, data):
    outcome = look(data, tmp_path / 'out', '--preset', 'ten_weekly', '--space', 'stocknum=2:9', '--space',
                   'commission=0.0001:0.001:log', '--space', 'empty_months=none;4;1,4', '--trials', 4, '--by', 'sharpe', '--by',
                   'turnover', '--by', 'fees')
    assert (outcome.status, outcome.err) == (0, '')
    assert outcome.lines[0].split()[:5] == ['trial', 'stocknum', 'commission', 'empty_months', 'fees']
    line = next(line for line in outcome.lines if line.startswith('params of the first one: '))
    params = shlex.split(line.partition(': ')[2])
    single = call('backtest', '--data', data, '--no-plot', '--out', tmp_path / 'one', '--preset', 'ten_weekly', *params)
    assert single.status == 0
    expected = json.loads((tmp_path / 'one' / 'summary.json').read_text('utf-8'))
    number = outcome.lines[1].split()[0]
    with open(tmp_path / 'out' / 'results.csv', newline='', encoding='utf-8') as stream:
        _, *columns = next(iter(csv.reader(stream)))
    assert columns[:3] == ['stocknum', 'commission', 'empty_months']
    row = next(row for row in rows(tmp_path / 'out') if row['trial'] == number)
    found = {name: value for name, value in figures(row).items() if name in expected}
    assert len(found) > 40
    assert found == {name: expected[name] for name in found}
    last = outcome.lines[-1]
    assert last.startswith('Pareto front (') and 'of 4 complete trials by sharpe and turnover and fees; written' in last
    settings = json.loads((tmp_path / 'out' / 'settings.json').read_text('utf-8'))
    assert settings['space'] == {'stocknum': '2:9', 'commission': '0.0001:0.001:log', 'empty_months': 'none;4;1,4'}
    assert (settings['by'], settings['seed'], settings['preset']) == (['sharpe', 'turnover', 'fees'], 0, 'ten_weekly')
    assert 'stocknum' not in settings['params'] and 'commission' not in settings


@pytest.mark.parametrize('cpus', [1, 2])
def test_killed_it_goes_on(tmp_path, data, cpus):
    out = tmp_path / 'out'
    how = '--space', 'stocknum=1:30', '--space', 'stop_loss=0:0.2', '--set', 'refresh_rate=2', '--maxcpus', str(cpus)

    def some():
        journal = out / 'runs.journal'
        return journal.exists() and journal.read_bytes().count(b'\n') >= 3

    killed(data, out, *how, '--trials', 400, when=some)
    outcome = look(data, out, *how, '--trials', 9)
    assert (outcome.status, outcome.err) == (0, '')
    listed = tried(out)
    assert [int(row['number']) for row in listed] == list(range(len(listed)))
    complete = [row for row in listed if row['state'] == 'complete']
    gone = [row for row in listed if row['state'] == 'interrupted']
    assert len(complete) == 9
    assert len(gone) <= cpus and len(listed) == 9 + len(gone)
    assert [(row['trial'], row['stocknum'], row['stop_loss'], row['annual_return']) for row in rows(out)] == [
        (row['number'], row['stocknum'], row['stop_loss'], row['annual_return']) for row in complete]
    # what was in work is among the complete ones
    params = [(row['stocknum'], row['stop_loss']) for row in complete]
    assert all((row['stocknum'], row['stop_loss']) in params for row in gone if row['stop_loss'])
    assert sum(bool(GONE_ON.match(line)) for line in outcome.lines) == 1
    again = look(data, out, *how, '--trials', 9)
    assert again.out == outcome.out
    assert "the folder has results with space stocknum '1:30', found '1:31' now" in one_error_line(
        look(data, out, '--space', 'stocknum=1:31', *how[2:]))


def test_a_strategy_of_ones_own_in_processes_that_begin_anew(tmp_path, data):
    mine = tmp_path / 'own_search.py'
    mine.write_text('from bt_microcap import MicroCapStrategy\n\n\nclass Cheap(MicroCapStrategy):\n'
                    "    params = (('most', 10.0),)\n\n    def screen(self, section):\n"
                    "        return super().screen(section) & (section.previous('close') < self.p.most)\n", encoding='utf-8')
    code = f"""import multiprocessing, sys
from bt_microcap.__main__ import main
if __name__ == '__main__':
    multiprocessing.set_start_method('spawn')
    sys.exit(main(['search', '--data', {str(data)!r}, '--strategy', {f'{mine}:Cheap'!r}, '--space', 'most=4:20', '--trials',
                   '4', '--maxcpus', '2', '--no-plot', '--out', {str(tmp_path / 'out')!r}]))
"""
    program = tmp_path / 'program.py'
    program.write_text(code, encoding='utf-8')
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    assert len({row['most'] for row in rows(tmp_path / 'out')}) == 4


def test_trials_that_are_refused_are_counted(tmp_path, data):
    outcome = look(data, tmp_path, '--space', 'min_cap=1e9:6e9', '--space', 'max_cap=1e9:6e9', '--trials', 8, '--maxcpus', 1)
    assert (outcome.status, outcome.err) == (0, '')
    listed = tried(tmp_path)
    for row in listed:
        assert (row['state'] == 'failed') == (float(row['min_cap']) > float(row['max_cap']))
    failed = sum(row['state'] == 'failed' for row in listed)
    assert 0 < failed < 8
    assert f'8 trials: {8 - failed} complete, 0 pruned, {failed} failed ({failed} refused)' in outcome.lines
    assert any(re.match(r'trial \d was refused: min_cap is [\d.]+ and max_cap [\d.]+: expected min_cap <= max_cap', line)
               for line in outcome.lines)
