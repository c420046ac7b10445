"""--strategy FILE.py:CLASS: a class of the user's own, in this process and in others, and what is wrong with a file."""

import json
import subprocess
import sys

import pytest

from bt_microcap.feeds.demo import demo_market
from tests.support.script_calls import call, one_error_line

MINE = '''import backtrader as bt
from bt_microcap import MicroCapStrategy


class Cheap(MicroCapStrategy):
    params = (('most', 10.0), ('stocknum', 2))

    def __init__(self):
        if self.p.most <= 0:
            raise ValueError(f'most is {self.p.most}: expected above 0')
        super().__init__()

    def screen(self, section):
        return super().screen(section) & (section.previous('close') < self.p.most)


class Skipping(Cheap):
    def __init__(self):
        if self.p.most == 7:
            raise bt.errors.StrategySkipError
        super().__init__()


class Plain(bt.Strategy):
    """Buys a stock at the open of the third day, 100 shares a lot."""

    params = (('number', 0), ('lots', 1))

    def next_open(self):
        if len(self.data) == 3:
            codes = self.data.store.codes.tolist()
            self.buy(data=self.data.stock(codes[self.p.number]), size=100 * self.p.lots)


class Failing(bt.Strategy):
    def next(self):
        if len(self) == 3:
            int('x')


NOTHING = 3
'''
pytestmark = pytest.mark.usefixtures('own_modules')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp('market') / 'market.parquet'
    demo_market(40, '2021-03-01', days=30, seed=3).to_parquet(path, index=False)
    return path


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(MINE, encoding='utf-8')
    return path


def refuse(tmp_path, data, spec, *arguments, command='backtest'):
    line = one_error_line(call(command, '--data', data, '--strategy', spec, '--no-plot', '--out', tmp_path / 'out', *arguments))
    assert not (tmp_path / 'out').exists()
    return line


def summary(folder):
    return json.loads((folder / 'summary.json').read_text('utf-8'))


def test_a_subclass_of_the_strategy(tmp_path, data, mine):
    outcome = call('backtest', '--data', data, '--strategy', f'{mine}:Cheap', '--set', 'most=8', '--out', tmp_path / 'out')
    assert (outcome.status, outcome.err) == (0, '')
    found = summary(tmp_path / 'out')
    assert (found['params']['most'], found['params']['stocknum'], found['params']['refresh_rate']) == (8.0, 2, 5)
    assert found['strategy'] == f'{mine}:Cheap'
    rows = [line.split(',') for line in (tmp_path / 'out' / 'trades.csv').read_text('utf-8').splitlines()[1:]]
    assert rows
    closes = demo_market(40, '2021-03-01', days=30, seed=3).set_index(['code', 'date'])['close']
    for day, code, side, *_ in rows:
        if side == 'BUY':
            assert closes[code][:day].iloc[-2] < 8  # the close of the day before


def test_a_plain_strategy(tmp_path, data, mine):
    outcome = call('backtest', '--data', data, '--strategy', f'{mine}:Plain', '--set', 'lots=3', '--out', tmp_path / 'out')
    assert (outcome.status, outcome.err) == (0, '')
    table = demo_market(40, '2021-03-01', days=30, seed=3)
    days = sorted({str(day.date()) for day in table['date']})
    trades = (tmp_path / 'out' / 'trades.csv').read_text('utf-8').splitlines()
    first = sorted(table['code'].astype(str).unique())[0]
    assert len(trades) == 2 and trades[1].startswith(f'{days[2]},{first},BUY,300,')
    assert summary(tmp_path / 'out')['params'] == {'number': 0, 'lots': 3, 'cash': 1e6}
    equity = (tmp_path / 'out' / 'equity.csv').read_text('utf-8').splitlines()
    assert equity[0] == 'date,cash,market_value,total_value,benchmark' and len(equity) == 30
    assert (tmp_path / 'out' / 'equity.png').exists()


def test_a_relative_path_and_modules_beside(tmp_path, data, monkeypatch):
    (tmp_path / 'beside_mine.py').write_text('MOST = 4\n')
    (tmp_path / 'with_beside.py').write_text(
        'import beside_mine\nfrom bt_microcap import MicroCapStrategy\n\n\n'
        "class Few(MicroCapStrategy):\n    params = (('stocknum', beside_mine.MOST),)\n")
    monkeypatch.chdir(tmp_path)
    assert call('backtest', '--data', data, '--strategy', 'with_beside.py:Few', '--no-plot', '--out', 'out').status == 0
    assert summary(tmp_path / 'out')['params']['stocknum'] == 4


# -------------------------------------------------------------------------------------------- many processes


@pytest.mark.parametrize('name', ['my_own_strategy.py', 'random.py'])  # the second is the name of another module
@pytest.mark.parametrize('method', ['fork', 'spawn', 'forkserver'])
def test_other_processes_find_it(tmp_path, data, method, name):
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f'no {method} here')
    (tmp_path / 'own').mkdir()
    (tmp_path / 'own' / name).write_text(MINE, encoding='utf-8')
    script = tmp_path / 'main_script.py'
    script.write_text(
        'import multiprocessing, sys\n\nif __name__ == "__main__":\n'
        f'    multiprocessing.set_start_method({method!r})\n'
        '    from bt_microcap.__main__ import main\n    sys.exit(main(sys.argv[1:]))\n')
    done = subprocess.run(
        [sys.executable, script, 'optimize', '--data', data, '--strategy', f'own/{name}:Plain', '--grid', 'lots=1:3', '--maxcpus',
         '2', '--no-plot', '--out', 'out'], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    rows = [line.split(',') for line in (tmp_path / 'out' / 'results.csv').read_text('utf-8').splitlines()]
    assert rows[0][:2] == ['lots', 'total_return']
    assert [(row[0], row[-2]) for row in rows[1:]] == [('1', '1'), ('2', '1'), ('3', '1')]


def test_a_grid_of_a_subclass_in_two_processes(tmp_path, data, mine):
    outcome = call('optimize', '--data', data, '--strategy', f'{mine}:Cheap', '--grid', 'most=4,8,20', '--grid', 'stocknum=1:2',
                   '--maxcpus', 2, '--out', tmp_path / 'out')
    assert (outcome.status, outcome.err) == (0, '')
    single = call('backtest', '--data', data, '--strategy', f'{mine}:Cheap', '--set', 'most=8', '--set', 'stocknum=1',
                  '--no-plot', '--out', tmp_path / 'single')
    assert single.status == 0
    rows = [line.split(',') for line in (tmp_path / 'out' / 'results.csv').read_text('utf-8').splitlines()]
    assert [row[:2] for row in rows] == [['most', 'stocknum'], ['4', '1'], ['4', '2'], ['8', '1'], ['8', '2'], ['20', '1'],
                                         ['20', '2']]
    row = dict(zip(rows[0], rows[3], strict=True))
    figures = summary(tmp_path / 'single')
    for name in ('total_return', 'sharpe', 'fees', 'trades'):
        assert float(row[name]) == figures[name]


def test_a_combination_that_the_strategy_skips(tmp_path, data, mine):
    outcome = call('optimize', '--data', data, '--strategy', f'{mine}:Skipping', '--grid', 'most=6,7,8', '--maxcpus', 2,
                   '--no-plot', '--out', tmp_path / 'out')
    assert (outcome.status, outcome.err) == (0, '')
    lines = (tmp_path / 'out' / 'results.csv').read_text('utf-8').splitlines()
    assert [line.split(',')[0] for line in lines] == ['most', '6', '8']
    assert outcome.lines[-1] == '1 of 3 combinations were skipped by the strategy'
    line = one_error_line(call('backtest', '--data', data, '--strategy', f'{mine}:Skipping', '--set', 'most=7', '--out',
                               tmp_path / 'other'))
    assert line == f'error: {mine}:Skipping: the strategy skips these params (StrategySkipError)'


def test_results_of_another_text_of_the_file_are_not_mixed_in(tmp_path, data, mine):
    options = ['--data', data, '--strategy', f'{mine}:Plain', '--grid', 'lots=1', '--no-plot', '--out', tmp_path / 'out']
    assert call('optimize', *options).status == 0
    mine.write_text(MINE + '\n# changed\n', encoding='utf-8')
    assert 'the folder has results with strategy_content ' in one_error_line(call('optimize', *options))


# -------------------------------------------------------------------------------------------------- refusals


def test_what_the_class_says_of_its_params(tmp_path, data, mine):
    number = MINE.splitlines().index("            raise ValueError(f'most is {self.p.most}: expected above 0')") + 1
    said = f'{mine}, line {number}: most is -1.0: expected above 0'
    assert refuse(tmp_path, data, f'{mine}:Cheap', '--set', 'most=-1') == f'error: {said}'
    line = refuse(tmp_path, data, f'{mine}:Cheap', '--grid', 'most=5,-1,-2', command='optimize')
    assert line == f'error: most=-1: {said}'


def test_an_error_of_the_run_is_the_users_to_see(tmp_path, data, mine):
    with pytest.raises(ValueError, match='invalid literal'):
        call('backtest', '--data', data, '--strategy', f'{mine}:Failing', '--no-plot', '--out', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(('spec', 'said'), [
    ('{mine}', 'expected FILE.py:CLASS, such as mine.py:Mine'),
    ('{mine}:', 'expected FILE.py:CLASS, such as mine.py:Mine'),
    ('mine.txt:Cheap', 'expected FILE.py:CLASS, such as mine.py:Mine'),
    ('nowhere.py:Cheap', 'nowhere.py is no file'),
    ('{mine}:Cheep', '{mine} has no class Cheep; did you mean Cheap?'),
    ('{mine}:Xyzzy', '{mine} has no class Xyzzy; it has Cheap, Skipping, Plain, Failing'),
    ('{mine}:NOTHING', 'NOTHING is 3, expected a class made of MicroCapStrategy or bt.Strategy'),
])
def test_files_and_classes_that_are_not_there(spec, said, tmp_path, data, mine):
    spec = spec.format(mine=mine)
    assert refuse(tmp_path, data, spec) == f'error: --strategy {spec}: {said.format(mine=mine)}'


def test_params_that_the_class_does_not_have(tmp_path, data, mine):
    assert refuse(tmp_path, data, f'{mine}:Plain', '--stocknum', 3) == (
        'error: --stocknum: Plain has no param stocknum; it has number, lots')
    assert refuse(tmp_path, data, f'{mine}:Plain', '--set', 'lot=3').endswith('Plain has no param lot; did you mean lots?')
    assert refuse(tmp_path, data, f'{mine}:Plain', command='optimize') == (
        f'error: found no dimension, and {mine}:Plain has neither stocknum nor refresh_rate to vary; give --grid NAME=V1,V2,...')


@pytest.mark.parametrize(('text', 'said'), [
    ('import backtrader\n\nclass Cheap(:\n    pass\n', ', line 3: invalid syntax'),
    ('\nimport nothing_of_this_name\n', ", line 2: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
    ('def f():\n    return 1 / 0\n\n\nf()\n', ', line 2: ZeroDivisionError: division by zero'),
    ('import sys\nsys.exit(3)\n', ', line 2: ended the program (SystemExit(3)); put what the file is to do as a program under '
                                  "if __name__ == '__main__'"),
    ('', None),
])
@pytest.mark.parametrize('name', ['broken_file_of_mine.py', 'random.py'])
def test_files_that_cannot_be_imported(text, said, name, tmp_path, data):
    path = tmp_path / name
    path.write_text(text, encoding='utf-8')
    line = refuse(tmp_path, data, f'{path}:Cheap')
    assert line == (f'error: {path}{said}' if said else
                    f'error: --strategy {path}:Cheap: {path} has no class Cheap; it has no strategy at all')


def test_a_mistake_in_a_module_beside(tmp_path, data):
    (tmp_path / 'beside_it.py').write_text('x = (\n', encoding='utf-8')
    path = tmp_path / 'imports_beside.py'
    path.write_text('\nimport beside_it\n', encoding='utf-8')
    line = refuse(tmp_path, data, f'{path}:Cheap')
    assert line.startswith(f'error: {tmp_path / "beside_it.py"}, line 1: ')
