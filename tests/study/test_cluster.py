"""Studies on a Dask cluster: real processes of a scheduler and two workers on this machine, one of which is killed."""

import csv
import json
import os
import pickle
import signal
import subprocess
import sys
import time

import pytest

from bt_microcap import MarketStore, MicroCapStrategy
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.errors import DataError
from bt_microcap.study import cluster, grid
from bt_microcap.study.ledger import Ledger
from bt_microcap.study.own_code import checksum
from bt_microcap.study.runs import run_all
from tests.support.script_calls import call, one_error_line
from tests.support.studying import command, setting_over

pytest.importorskip('distributed')

GRID = {'stocknum': [1, 2, 3, 4], 'refresh_rate': [1, 2, 3, 5, 8]}
FILES = 'results.csv', 'returns.parquet', 'settings.json'


def start(folder, *arguments):
    return subprocess.Popen([sys.executable, '-m', 'dask', *arguments], cwd=folder, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def worker(folder, address):
    """Start a worker without a nanny, which would start it anew when it is killed."""
    return start(folder, 'worker', address, '--nthreads', '1', '--no-nanny', '--no-dashboard')


@pytest.fixture(scope='module')
def scheduler(tmp_path_factory):
    folder = tmp_path_factory.mktemp('cluster')
    file = folder / 'scheduler.json'
    process = start(folder, 'scheduler', '--host', '127.0.0.1', '--port', '0', '--no-dashboard', '--scheduler-file', file)
    deadline = time.monotonic() + 60
    while not file.exists() or not file.read_text():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    yield json.loads(file.read_text())['address']
    process.kill()
    process.wait()


@pytest.fixture(scope='module')
def workers(scheduler, tmp_path_factory):
    """Two workers, of which a test may kill one: it starts another in its place."""
    folder = tmp_path_factory.mktemp('workers')
    found = [worker(folder, scheduler) for _ in range(2)]
    yield found
    for process in found:
        process.kill()
        process.wait()


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp('market') / 'store'
    MarketStore.from_table(demo_market(60, years=1, seed=3)).save(path)
    return path


def swept(setting, folder, **options):
    folder.mkdir()
    return grid.sweep(setting, GRID, folder, {'data': 'x'}, **options)


def same_files(one, other):
    for name in FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_cluster_gives_the_rows_of_this_machine(scheduler, workers, store, tmp_path):
    setting = setting_over(MarketStore.open(store))
    swept(setting, tmp_path / 'here', processes=1)
    swept(setting, tmp_path / 'there', dask=scheduler)
    same_files(tmp_path / 'here', tmp_path / 'there')


def test_a_killed_worker_loses_no_result(scheduler, workers, store, tmp_path):
    setting = setting_over(MarketStore.open(store))
    swept(setting, tmp_path / 'here', processes=1)
    count = []

    def kill_in_the_middle(done):
        count.append(done)
        if sum(count) == 4:
            os.kill(workers[0].pid, signal.SIGKILL)

    try:
        swept(setting, tmp_path / 'there', dask=scheduler, progress=kill_in_the_middle)
    finally:
        workers[0].wait()
        workers[0] = worker(tmp_path, scheduler)
    assert sum(count) == 20 and workers[0].poll() is None
    same_files(tmp_path / 'here', tmp_path / 'there')


def test_a_study_goes_on_across_both(scheduler, workers, store, tmp_path):
    setting = setting_over(MarketStore.open(store))
    swept(setting, tmp_path / 'here', processes=1)
    (tmp_path / 'both').mkdir()
    trials = grid.trials_of(GRID, setting)

    def some(part, **options):
        asked = []
        with Ledger(tmp_path / 'both', tuple(GRID), {'dimensions': list(GRID), 'data': 'x'}, [one.key for one in trials]) as book:
            run_all(setting, part, book, progress=asked.append, **options)
        return asked[0]

    assert some(trials[:7], processes=1) == 0
    assert some(trials[:15], dask=scheduler) == 7
    assert some(trials, processes=2) == 15
    same_files(tmp_path / 'here', tmp_path / 'both')


def test_the_commands(scheduler, workers, store, tmp_path):
    mine = tmp_path / 'code'
    mine.mkdir()
    (mine / 'my_few.py').write_text('from bt_microcap import MicroCapStrategy\n\n\nclass Few(MicroCapStrategy):\n'
                                    "    params = (('stocknum', 2),)\n")
    given = '--data', store, '--strategy', f'{mine}/my_few.py:Few', '--no-plot'
    for out, where in (('here', ['--maxcpus', 1]), ('there', ['--dask', scheduler])):
        assert command('optimize', *given, '--grid', 'refresh_rate=3,5', *where, '--out', tmp_path / out).status == 0
        assert command('study', 'phases', *given, *where, '--out', tmp_path / out).status == 0
    same_files(tmp_path / 'here', tmp_path / 'there')
    same_files(tmp_path / 'here' / 'phases', tmp_path / 'there' / 'phases')


SCRIPT = '''
def initialize(context):
    g.stocknum = 2
    run_weekly(trade, 1, time='9:30')


def trade(context):
    for code in list(context.portfolio.positions):
        order_target(code, 0)
    table = get_fundamentals(query(valuation.code).order_by(valuation.market_cap.asc()).limit(g.stocknum))
    for code in table['code']:
        order_value(code, context.portfolio.available_cash / g.stocknum)
'''


def test_a_joinquant_script_by_a_relative_path(scheduler, workers, store, tmp_path, monkeypatch):
    (tmp_path / 'script.py').write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    for out, where in (('here', ['--maxcpus', 1]), ('there', ['--dask', scheduler])):
        outcome = call('optimize', '--data', store, '--joinquant', 'script.py', '--grid', 'g.stocknum=1:3', '--no-plot', *where,
                       '--out', out)
        assert outcome.status == 0, outcome.err
    same_files(tmp_path / 'here', tmp_path / 'there')


def test_a_run_that_fails_is_named(scheduler, workers, store, tmp_path):
    mine = tmp_path / 'code'
    mine.mkdir()
    (mine / 'my_fault.py').write_text('from bt_microcap import MicroCapStrategy\n\n\nclass Fault(MicroCapStrategy):\n'
                                      "    params = (('last', 0),)\n\n    def trade(self, day):\n"
                                      "        if day == self.p.last:\n            raise KeyError('mine')\n")
    line = one_error_line(call('optimize', '--data', store, '--strategy', f'{mine}/my_fault.py:Fault', '--grid', 'last=5000,7',
                               '--no-plot', '--dask', scheduler, '--out', tmp_path / 'out'))
    assert line == "error: last=7: KeyError: 'mine'"


def test_what_travels_is_kilobytes(store):
    setting = setting_over(MarketStore.open(store))
    assert len(pickle.dumps(cluster.parcel_of(setting))) < 5_000
    assert len(pickle.dumps(grid.trials_of(GRID, setting)[0])) < 1_000


# -- refusals ----------------------------------------------------------------------------------------------


def refused(parcel, **changes):
    return cluster._prepared(pickle.dumps(parcel._replace(**changes)))


def test_what_a_worker_refuses(store, tmp_path):
    parcel = cluster.parcel_of(setting_over(MarketStore.open(store)))
    assert cluster._prepared(pickle.dumps(parcel)) == ''
    assert refused(parcel, version='0.0.1').startswith('has version ') and 'expected 0.0.1' in refused(parcel, version='0.0.1')
    said = refused(parcel, mark=0x1234)
    assert f'{store}: found a store with the mark {parcel.mark:08x}, expected 00001234' in said and 'copy the store anew' in said
    assert str(tmp_path / 'nowhere') in refused(parcel, store=str(tmp_path / 'nowhere'))
    mine = tmp_path / 'mine.py'
    assert f'{mine}: there is no such file here' in refused(parcel, files={str(mine): 1})
    mine.write_text('x = 1\n')
    assert f'{mine}: is another file here' in refused(parcel, files={str(mine): 1})
    assert refused(parcel, files={str(mine): checksum([mine])}) == ''
    mine.write_text('x = 2\n')
    assert f'{mine}: was changed since this worker has read it; restart the worker' in refused(
        parcel, files={str(mine): checksum([mine])})


def test_a_market_in_memory_cannot_travel(tmp_path):
    setting = setting_over(demo_market(20, days=30))
    with pytest.raises(DataError, match='the market is in the memory of this process; make a store'):
        cluster.parcel_of(setting)
    pickle.dumps(setting.store)  # now it has a folder, but one of this process alone
    with pytest.raises(DataError, match='the market is in the memory of this process'):
        cluster.parcel_of(setting)


def test_a_class_in_no_file_cannot_travel(store):
    class Local(MicroCapStrategy):
        pass

    with pytest.raises(DataError, match='Local is in no module that a worker could import; put it into a file of its own'):
        cluster.parcel_of(setting_over(MarketStore.open(store), Local))


def test_no_scheduler_and_no_worker(store, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, 'PATIENCE', 1)
    given = ['--data', store, '--stocknum', 1, '--refresh-rate', 5, '--no-plot', '--out', tmp_path / 'out']
    line = one_error_line(call('optimize', *given, '--dask', 'tcp://127.0.0.1:9'))
    assert line.startswith('error: --dask tcp://127.0.0.1:9: found no scheduler there (')
    for text in ('nonsense://x', 'nonsense', 'tcp://127.0.0.1', 'host:port'):
        assert one_error_line(call('optimize', *given, '--dask', text)) == (
            f'error: --dask {text}: found no address of a scheduler, expected such as tcp://host:8786')
    file = tmp_path / 'scheduler.json'
    process = start(tmp_path, 'scheduler', '--host', '127.0.0.1', '--port', '0', '--no-dashboard', '--scheduler-file', file)
    try:
        while not file.exists() or not file.read_text():
            time.sleep(0.1)
        address = json.loads(file.read_text())['address']
        monkeypatch.setattr(cluster, 'PATIENCE', 3)
        assert one_error_line(call('optimize', *given, '--dask', address)).startswith(
            f'error: --dask {address}: the scheduler has no worker; start one on each machine with: dask worker {address}')
    finally:
        process.kill()
        process.wait()


def test_without_distributed(store, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'distributed', None)
    line = one_error_line(call('optimize', '--data', store, '--no-plot', '--dask', 'tcp://x:1', '--out', tmp_path / 'out'))
    assert line == ('error: --dask needs distributed: pip install "bt-microcap[dask]", in a checkout pip install -e ".[dask]"')


def test_both_places_at_once_are_refused(store, tmp_path):
    line = one_error_line(call('optimize', '--data', store, '--dask', 'tcp://x:1', '--maxcpus', 2, '--out', tmp_path / 'out'))
    assert 'not allowed with argument' in line


def test_a_search_on_the_cluster(scheduler, workers, store, tmp_path):
    """The workers ask Optuna's journal themselves: each trial is there once, and its row is the run of its params."""
    pytest.importorskip('optuna')
    given = ['--data', store, '--space', 'stocknum=1:6', '--space', 'slippage=0,0.002', '--no-plot', '--out', tmp_path / 'found']
    outcome = command('search', *given, '--trials', 8, '--dask', scheduler)
    assert outcome.status == 0, outcome.err
    assert command('search', *given, '--trials', 12, '--maxcpus', 1).status == 0
    with open(tmp_path / 'found' / 'trials.csv', newline='', encoding='utf-8') as stream:
        trials = list(csv.DictReader(stream))
    assert [int(row['number']) for row in trials] == list(range(12))
    with open(tmp_path / 'found' / 'results.csv', newline='', encoding='utf-8') as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == sum(row['state'] == 'complete' for row in trials)
    row = rows[3]
    params = '--stocknum', row['stocknum'], '--slippage', row['slippage']
    assert command('backtest', '--data', store, *params, '--no-plot', '--out', tmp_path / 'one').status == 0
    single = json.loads((tmp_path / 'one' / 'summary.json').read_text('utf-8'))
    assert float(row['end_value']) == single['end_value']
    # a worker that does not see the folder says so
    parcel = cluster.parcel_of(setting_over(MarketStore.open(store)), None, [tmp_path / 'elsewhere' / 'search.journal'])
    assert '--out has to be a folder that all machines share' in cluster._prepared(pickle.dumps(parcel))
