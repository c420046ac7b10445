"""The command report: where it writes, how it makes a run again for the random picks, and which folders it refuses."""

import contextlib
import csv
import io
import json
import shutil
import sys

import pytest

from bt_microcap.__main__ import main
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.store.writer import ingest_tables
from tests.support.script_calls import Outcome, call, one_error_line

pytest.importorskip('bokeh')
pytest.importorskip('jinja2')
pytestmark = [pytest.mark.usefixtures('own_modules'), pytest.mark.filterwarnings('ignore')]

MINE = '''import backtrader as bt

from bt_microcap import MicroCapStrategy


class Cheap(MicroCapStrategy):
    params = (('most', 10.0), ('stocknum', 2))

    def screen(self, section):
        return super().screen(section) & (section.previous('close') < self.p.most)


class Half(MicroCapStrategy):
    params = (('cash', 0.5), ('min_cap', 1e9), ('max_cap', 4e9))

    def budget(self, cash, free):
        return self.p.cash * super().budget(cash, free)


class AtOnce(bt.Strategy):
    bought = False

    def prenext_open(self):
        if not self.bought:
            self.bought = True
            self.buy(data=self.data.stock(self.data.universe().section(True).codes[5]), size=100)

    nextstart_open = next_open = prenext_open
'''
FREE = ['--commission', 0, '--min-commission', 0, '--stamp-duty', 0, '--transfer-fee', 0, '--slippage', 0, '--slippage-ticks', 0,
        '--min-slippage-ticks', 0, '--impact', 0]
RANDOM = ['random_equity.csv', 'random_picks.csv', 'without_costs.csv']
BAND = ['--min-cap', '1e9', '--max-cap', '4e9']
JOINQUANT = ['--profile', 'joinquant', '--volume-limit', '0.3', '--dividend-tax', '0.1', '--delist', 'zero', '--delist-wait', '7',
             '--star-market-orders', 'no', '--size-with-fees', 'yes', '--ex-rights', 'reinvest', '--star-protection', '0.01']
COSTS = ['--commission', '0.0005', '--min-commission', '1.5', '--stamp-duty', '0.002', '--slippage', '0.004', '--impact', '0.05']
# what backtest is given; {data}, {store} and {mine} are made for the tests
CASES = {
    'the original': ['--data', '{data}', *BAND],
    'the demo market': ['--end', '2019-04-01'],
    'a preset, set otherwise': ['--data', '{data}', '--preset', 'ten_weekly', '--set', 'min_listed_days=20', '--set',
                                'stop_loss=0.07', '--set', 'empty_months=5,12', '--set', 'boards=main', '--set', 'weekday=3'],
    'without a bound': ['--data', '{data}', '--preset', 'microcap400', '--set', 'stocknum=15', '--set', 'min_listed_days=0'],
    'other rules': ['--data', '{data}', *BAND, *JOINQUANT, *COSTS, '--days-a-year', '244', '--risk-free=-1e-05'],
    'a file': ['--data', '{data}', '--strategy', '{mine}:Cheap', '--set', 'most=12.5', *BAND],
    'a store': ['--data', '{store}', *BAND, '--benchmark', 'microcap:20', '--cash', '123456.78'],
    'some days': ['--data', '{data}', *BAND, '--start', '2021-04-03', '--end', '2021-05-22', '--set', 'phase=2'],
}
WITH_PICKS = [*CASES]
CASES |= {
    'a param called cash': ['--data', '{data}', '--strategy', '{mine}:Half'],
    'on the first bar': ['--data', '{data}', '--strategy', '{mine}:AtOnce', '--start', '2021-04-03'],
}


def report(*arguments):
    """Run the command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(['report', *map(str, arguments)])
        except SystemExit as end:
            status = end.code
    return Outcome(status, out.getvalue(), err.getvalue())


def rows(path):
    with open(path, encoding='utf-8', newline='') as stream:
        return list(csv.DictReader(stream))


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def summary(folder):
    return json.loads((folder / 'summary.json').read_text('utf-8'))


@pytest.fixture(scope='module')
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp('market')
    table = check_table(demo_market(50, '2021-03-01', days=90, seed=3, corporate_actions=True))
    table.to_parquet(folder / 'market.parquet', index=False)
    ingest_tables([table], folder / 'store')
    (folder / 'mine.py').write_text(MINE, encoding='utf-8')
    return {'data': folder / 'market.parquet', 'store': folder / 'store', 'mine': folder / 'mine.py'}


def backtest(paths, out, case, *more):
    outcome = call('backtest', *(str(part).format(**paths) for part in CASES[case]), '--no-plot', '--out', out, *more)
    assert (outcome.status, outcome.err) == (0, '')
    return out


@pytest.fixture(scope='module')
def finished(paths, tmp_path_factory):
    return backtest(paths, tmp_path_factory.mktemp('run') / 'out', 'the original')


@pytest.fixture
def run(finished, tmp_path):
    """A folder of a run, to be spoilt."""
    return shutil.copytree(finished, tmp_path / 'run')


# ------------------------------------------------------------------------------------------------- where it goes


def test_the_file(run, tmp_path):
    before = content(run)
    outcome = report(run, '--random-picks', 0)
    assert (outcome.status, outcome.out, outcome.err) == (0, f'report: {run / "report.html"}\n', '')
    text = (run / 'report.html').read_text('utf-8')
    assert f'{summary(run)["total_return"]:.2%}' in text
    assert content(run) == {**before, 'report.html': text.encode('utf-8')}
    other = tmp_path / 'else.html'
    assert report(run, '--random-picks', 0, '--out', other).out == f'report: {other}\n'
    assert f'{summary(run)["total_return"]:.2%}' in other.read_text('utf-8')


def test_several_side_by_side(run, paths, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    two = backtest(paths, tmp_path / 'two', 'some days')
    before = content(run), content(two)
    outcome = report(run, two, '--random-picks', 3)  # not made for several
    assert (outcome.status, outcome.out, outcome.err) == (0, 'report: comparison.html\n', '')
    text = (tmp_path / 'comparison.html').read_text('utf-8')
    for folder in (run, two):
        assert f'{summary(folder)["total_return"]:.2%}' in text
    assert (content(run), content(two)) == before
    assert report(run, two, '--out', tmp_path / 'x.html').status == 0
    assert (tmp_path / 'x.html').exists()


def test_a_run_of_save_run_is_reported_without_random_picks(run):
    told = summary(run)
    del told['preset']  # what the command alone says
    (run / 'summary.json').write_text(json.dumps(told), encoding='utf-8')
    outcome = report(run, '--random-picks', 3)
    assert outcome.out.splitlines() == ['no new random picks, the run cannot be made again: only one of the command can, from '
                                        'its folder; in a script call report(strategy, path)',
                                        f'report: {run / "report.html"}']
    assert not set(RANDOM) & set(content(run))


# ------------------------------------------------------------------------------------------------- random picks


@pytest.mark.parametrize('case', WITH_PICKS)
def test_random_picks_from_the_summary_alone(case, paths, tmp_path):
    """What a report adds afterwards is what backtest --report makes at once; without costs it is the run at no cost."""
    at_once = backtest(paths, tmp_path / 'one', case, '--report', '--random-picks', 3)
    later = backtest(paths, tmp_path / 'two', case)
    before = content(later)
    place, last = report(later, '--random-picks', 3).out.splitlines()
    assert last == f'report: {later / "report.html"}'
    worse = sum(float(row['total_return']) < summary(later)['total_return'] for row in rows(later / 'random_picks.csv'))
    assert place.startswith(f'random picks   percentile {100 * worse / 3:.1f} of 3 in total return, ')
    after = content(later)
    assert set(after) - set(before) == {*RANDOM, 'report.html'}
    assert {name for name in before if after[name] != before[name]} == {'summary.json'}
    assert {name: after[name] for name in [*RANDOM, 'summary.json']} == {
        name: content(at_once)[name] for name in [*RANDOM, 'summary.json']}
    told = summary(later)
    assert told.pop('percentiles')['total_return'] == pytest.approx(100 * worse / 3)
    assert {name: told.pop(name) for name in ('random_picks', 'random_seed', 'not_again', 'no_chance')} == {
        'random_picks': 3, 'random_seed': 0, 'not_again': '', 'no_chance': ''}
    assert told == json.loads(before['summary.json'])

    days = [row['date'] for row in rows(later / 'equity.csv')]
    assert [row['seed'] for row in rows(later / 'random_picks.csv')] == ['0', '1', '2']
    equity = rows(later / 'random_equity.csv')
    assert [row['date'] for row in equity] == days
    for row in rows(later / 'random_picks.csv'):
        assert float(equity[-1][f'seed_{row["seed"]}']) == pytest.approx(1 + float(row['total_return']), rel=1e-12)
    free = backtest(paths, tmp_path / 'free', case if case != 'other rules' else 'the original', *(
        FREE if case != 'other rules' else ['--days-a-year', '244', *JOINQUANT, *FREE]))
    cash = summary(later)['params']['cash']
    growth = [(row['date'], pytest.approx(float(row['total_value']) / cash, rel=1e-12)) for row in rows(free / 'equity.csv')]
    assert [(row['date'], float(row['growth'])) for row in rows(later / 'without_costs.csv')] == growth


def test_a_param_called_cash_is_no_cash(paths, tmp_path):
    run = backtest(paths, tmp_path / 'run', 'a param called cash')
    assert (summary(run)['params']['cash'], summary(run)['start_value']) == (0.5, 1e6)
    assert report(run, '--random-picks', 2).status == 0
    assert len(rows(run / 'random_picks.csv')) == 2
    assert summary(run)['params']['cash'] == 0.5


def test_a_strategy_that_trades_on_its_first_bar(paths, tmp_path):
    run = backtest(paths, tmp_path / 'run', 'on the first bar')
    # the bar of the day before --start, a Saturday, is the first
    told = summary(run)
    assert (rows(run / 'trades.csv')[0]['datetime'], told['first_day'], told['market']['first_bar']) == ('2021-04-02',) * 3
    outcome = report(run, '--random-picks', 2)  # made again it ends at the same value, else there is an error
    assert (outcome.status, outcome.err) == (0, '')
    assert 'random picks need a MicroCapStrategy' in outcome.out
    assert len(rows(run / 'without_costs.csv')) == len(rows(run / 'equity.csv'))


def test_a_joinquant_script_is_not_run_again(paths, tmp_path):
    script = tmp_path / 'one.py'
    script.write_text('def initialize(context):\n    g.lots = 1\n    run_monthly(buy, 1)\n\n\n'
                      'def buy(context):\n    order(get_all_securities().index[0], 100 * g.lots)\n', encoding='utf-8')
    run = tmp_path / 'run'
    made = call('backtest', '--data', paths['data'], '--joinquant', script, '--set', 'g.lots=3', '--no-plot', '--out', run)
    assert (made.status, rows(run / 'trades.csv')[0]['quantity']) == (0, '300')
    before = content(run)
    outcome = report(run, '--random-picks', 2)
    assert (outcome.status, outcome.err) == (0, '')
    assert outcome.lines == ['no new random picks, the run cannot be made again: random picks need a MicroCapStrategy: it is not '
                             'known how a JoinQuantStrategy picks', f'report: {run / "report.html"}']
    assert {**content(run), 'report.html': b''} == {**before, 'report.html': b''}


def test_they_are_made_once_and_anew_for_another_seed_or_number(run):
    assert report(run, '--random-picks', 2).status == 0
    made = content(run)
    assert report(run, '--random-picks', 0).status == 0  # shows what is there
    assert {name: text for name, text in content(run).items() if name != 'report.html'} == {
        name: text for name, text in made.items() if name != 'report.html'}
    (run / 'random_picks.csv').rename(run / 'kept')
    shutil.copy(run / 'kept', run / 'random_picks.csv')
    assert report(run, '--random-picks', 2, '--seed', 1).status == 0
    assert [row['seed'] for row in rows(run / 'random_picks.csv')] == ['1', '2']
    second = rows(run / 'kept')[1]
    assert rows(run / 'random_picks.csv')[0] == second  # the same seed is the same run


def test_data_that_are_others_now(paths, tmp_path):
    data = tmp_path / 'market.parquet'
    shutil.copy(paths['data'], data)
    run = backtest({**paths, 'data': data}, tmp_path / 'run', 'the original')
    table = check_table(demo_market(50, '2021-03-01', days=90, seed=4, corporate_actions=True))
    table.to_parquet(data, index=False)
    before = content(run)
    line = one_error_line(report(run, '--random-picks', 2))
    assert line.startswith(f'error: {run}: made again the run ends at ') and 'give --random-picks 0' in line
    assert f'summary.json says {summary(run)["end_value"]!r}' in line
    assert content(run) == before
    data.unlink()  # the report can be made all the same
    outcome = report(run, '--random-picks', 2)
    assert (outcome.status, outcome.err) == (0, '')
    assert outcome.out.startswith(f'no new random picks, the run cannot be made again: {data}: there is no such file')
    assert set(content(run)) == {*before, 'report.html'}


# ------------------------------------------------------------------------------------------------- what is refused


def refuse(folders, *arguments):
    """The one line by which folders are refused; nothing in them has changed."""
    parent = folders[0].parent
    before = content(parent)
    line = one_error_line(report(*folders, *arguments))
    assert content(parent) == before
    return line


@pytest.mark.parametrize('picks', [0, 2])
@pytest.mark.parametrize(('spoil', 'said'), [
    (lambda run: shutil.rmtree(run), 'summary.json: there is no such file, expected the folder of a run'),
    (lambda run: [path.unlink() for path in run.iterdir()], 'summary.json: there is no such file, expected the folder of a run'),
    (lambda run: (shutil.rmtree(run), run.write_text('a file')), 'summary.json: cannot be read as the summary of a run'),
    (lambda run: (run / 'summary.json').write_text('{"params":'), 'summary.json: cannot be read as the summary of a run'),
    (lambda run: (run / 'summary.json').write_text('[]'), 'summary.json, start_value: found another kind of content'),
    (lambda run: (run / 'summary.json').write_text('"preset"'), 'summary.json, start_value: found another kind of content'),
    (lambda run: (run / 'summary.json').write_bytes(b'\x93\xff'), 'summary.json: cannot be read as the summary of a run'),
    (lambda run: (run / 'equity.csv').unlink(), 'equity.csv: there is no such file'),
    (lambda run: (run / 'equity.csv').write_text(''), 'equity.csv: cannot be read as a table of a run'),
    (lambda run: (run / 'equity.csv').write_bytes(b'\x93\xff\x00'), 'equity.csv: cannot be read as a table of a run'),
    (lambda run: (run / 'equity.csv').write_bytes((run / 'equity.csv').read_bytes()[:333]), 'equity.csv'),
    (lambda run: replace(run / 'equity.csv', 'total_value', 'total'), 'equity.csv: found no column total_value'),
    (lambda run: replace(run / 'equity.csv', '2021-03-04,', '2021-03-04,abc'), 'equity.csv, column cash'),
    (lambda run: replace(run / 'equity.csv', '2021-03-04,', 'yesterday,'), 'equity.csv, column date'),
    (lambda run: (run / 'equity.csv').write_text('date,cash,market_value,total_value\n'), 'equity.csv: found no day'),
    (lambda run: replace(run / 'positions.csv', 'days_held', 'held'), 'positions.csv: found no column days_held'),
    (lambda run: (run / 'round_trips.csv').unlink(), 'round_trips.csv: there is no such file'),
], ids=range(17))
def test_bad_folders(spoil, said, picks, run):
    spoil(run)
    line = refuse([run], '--random-picks', picks)
    assert line.startswith(f'error: {run}') and said in line


def replace(path, old, new):
    text = path.read_text('utf-8')
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding='utf-8')


@pytest.mark.parametrize('name', ['end_value', 'start_value', 'params', 'rules', 'days_a_year', 'conventions', 'total_return',
                                  'sharpe', 'market', 'notes'])
@pytest.mark.parametrize('value', [None, 'text', 'gone'])
def test_a_summary_with_a_hole(name, value, run):
    told = summary(run)
    if value == 'gone':
        del told[name]
    else:
        told[name] = value
    (run / 'summary.json').write_text(json.dumps(told), encoding='utf-8')
    line = refuse([run], '--random-picks', 2)
    assert line.startswith(f'error: {run / "summary.json"}') and 'make the run again' in line


@pytest.mark.parametrize(('name', 'value', 'why'), [
    ('profile', 'of a later version', "invalid choice: 'of a later version'"),
    ('preset', 'gone', '--preset gone: found no such preset, expected one of original, '),
    ('strategy', 'gone.py:Gone', '--strategy gone.py:Gone: gone.py is no file'),
    ('data', '/nowhere', '/nowhere: there is no such file or folder'),
    ('benchmark', '000300', 'has no benchmark 000300'),
])
def test_a_run_that_cannot_be_made_again(name, value, why, run):
    (run / 'summary.json').write_text(json.dumps({**summary(run), name: value}), encoding='utf-8')
    before = content(run)
    outcome = report(run, '--random-picks', 2)
    assert (outcome.status, outcome.err) == (0, '')
    note, last = outcome.out.splitlines()
    assert note.startswith('no new random picks, the run cannot be made again: ') and why in note
    assert last == f'report: {run / "report.html"}'
    assert {**content(run), 'report.html': b''} == {**before, 'report.html': b''}


def test_files_of_two_runs(run, paths, tmp_path):
    other = backtest(paths, tmp_path / 'other', 'some days')
    shutil.copy(other / 'equity.csv', run / 'equity.csv')
    line = refuse([run], '--random-picks', 2)
    assert line == (f'error: {run / "equity.csv"}: is of another run than summary.json, or a part of it is missing; make the run '
                    'again')


@pytest.mark.parametrize('name', ['trades.csv', 'positions.csv', 'prices.csv', 'indices.csv'])
@pytest.mark.parametrize('how', ['of another run', 'cut short', 'empty'])
def test_one_file_of_another_run(name, how, run, paths, tmp_path):
    if how == 'of another run':
        shutil.copy(backtest(paths, tmp_path / 'other', 'some days') / name, run / name)
    else:
        lines = (run / name).read_text('utf-8').splitlines(keepends=True)
        (run / name).write_text(''.join(lines[:7 if how == 'cut short' else 1]), encoding='utf-8')
    if name == 'prices.csv' and how != 'of another run':  # fewer charts
        assert report(run, '--random-picks', 0).status == 0
    else:
        assert refuse([run], '--random-picks', 0) == (
            f'error: {run / name}: is of another run than summary.json, or a part of it is missing; make the run again')


def test_one_of_several_is_bad(run, tmp_path):
    line = refuse([run, tmp_path / 'nothing'])
    assert line.startswith(f'error: {tmp_path / "nothing" / "summary.json"}: there is no such file')


def test_a_file_that_cannot_be_written(run, tmp_path):
    line = refuse([run], '--random-picks', 0, '--out', tmp_path)
    assert line == f'error: {tmp_path}: found a folder, expected a file to write; give another --out'


@pytest.mark.parametrize('arguments', [(), ('x', '--random-picks', '-1'), ('x', '--random-picks', 'all'), ('x', '--lang', 'fr')])
def test_bad_arguments(arguments):
    assert 'report' in one_error_line(report(*arguments))


@pytest.mark.parametrize('module', ['bokeh', 'jinja2'])
def test_without_the_extra(module, run, paths, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)  # as where it is not installed
    line = refuse([run])
    assert line == (f'error: a report needs bokeh and jinja2, found no {module}: pip install "bt-microcap[report]", in a '
                    'checkout pip install -e ".[report]"')
    data = str(paths['data'])
    line = one_error_line(call('backtest', '--data', data, '--report', '--out', tmp_path / 'new'))
    assert line.startswith(f'error: --report needs bokeh and jinja2, found no {module}: pip install "bt-microcap[report]"')
    assert not (tmp_path / 'new').exists()
    assert call('backtest', '--data', data, *BAND, '--no-plot', '--out', tmp_path / 'new').status == 0  # without a report
