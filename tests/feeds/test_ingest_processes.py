"""Writers of a store beside each other, and writers that are killed."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.store import MarketStore, check, writer
from tests.support.bad_tables import good
from tests.support.ingesting import contents, expected, ingest, later, named, refuse, restated, write
from tests.support.script_calls import ROOT, Outcome, call, one_error_line
from tests.support.stores import market, same_store

UNIX = pytest.mark.skipif(os.name != 'posix', reason='signals and limits of POSIX')


@pytest.fixture(scope='module')
def table():
    return market()


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    place = tmp_path_factory.mktemp('small')
    return ingest(place / 'store', write(good(), place / 'm.parquet')).path


@pytest.fixture
def store(small, tmp_path):
    """A store of eight rows: two stocks, four days."""
    return shutil.copytree(small, tmp_path / 'store')


# ------------------------------------------------------------------------------- more than one process at a time
HOLD = """
import sys
from pathlib import Path
from bt_microcap.feeds.store.writer import writing
with writing(Path(sys.argv[1])):
    print('held', flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize('end', ['done', 'killed'])
def test_one_writer_at_a_time(tmp_path, store, end):
    path = write(restated(good()), tmp_path / 'm.parquet')
    with subprocess.Popen([sys.executable, '-c', HOLD, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout.readline().strip() == b'held'
            line = refuse(store, path, append=True)
            assert line == f'error: {store}: another writer is at work on this store; wait until it is done'
            assert call('ingest', '--check', store).status == 0  # readers need not wait
            same_store(MarketStore.open(store), expected(good()))
        finally:
            holder.kill() if end == 'killed' else holder.stdin.close()
    same_store(ingest(store, path, append=True), expected(restated(good())))


def test_a_store_that_another_writer_has_made_meanwhile(tmp_path, monkeypatch):
    """Two users make the same new store: the second one looks, waits for his turn to write, and finds the first one's."""
    mine, other = write(good(), tmp_path / 'mine.parquet'), write(restated(good()), tmp_path / 'other.parquet')
    store, writing = tmp_path / 'store', writer.writing

    def late(path):
        monkeypatch.setattr(writer, 'writing', writing)
        assert call('ingest', 'parquet', other, '--store', store).status == 0
        return writing(path)

    monkeypatch.setattr(writer, 'writing', late)
    assert 'there is a store already' in one_error_line(call('ingest', 'parquet', mine, '--store', store))
    same_store(MarketStore.open(store), expected(restated(good())))


def test_readers_keep_the_version_that_they_opened(tmp_path, table):
    store = tmp_path / 'store'
    ingest(store, write(table, tmp_path / 'old.parquet'))
    old = MarketStore.open(store)
    first_use = old.vector('close', 50)
    new = ingest(store, write(restated(table)[::2], tmp_path / 'new.parquet'), append=True)
    np.testing.assert_array_equal(old.vector('close', 50), first_use)
    same_store(old, MarketStore.from_table(table))  # most of it is read only now
    same_store(new, expected(table, restated(table)[::2]))
    same_store(MarketStore.open(store), new)


# ----------------------------------------------------------------------------------------- writers that are killed


@pytest.fixture(scope='module')
def versions(tmp_path_factory):
    """A store of some size, the rows to be appended to it, and the content before and after."""
    place = tmp_path_factory.mktemp('killed')
    whole = demo_market(stocks=400, days=300, seed=5)
    days = np.sort(whole['date'].unique())
    old, new = whole[whole['date'] < days[200]], restated(whole[whole['date'] >= days[150]])
    ingest(place / 'store', write(old, place / 'old.parquet'))
    write(new, place / 'new.parquet')
    yield place, {'old': MarketStore.from_table(old.reset_index(drop=True)), 'new': expected(old, new)}
    shutil.rmtree(place)


def version_of(store, contents):
    """Say which of two versions a store is, whole."""
    check(store)
    found = MarketStore.open(store)
    name = next(name for name, version in contents.items() if version.rows == found.rows)
    same_store(found, contents[name])
    return name


def append(store, file):
    """The command of a writer."""
    return [sys.executable, str(ROOT / 'scripts' / 'ingest.py'), 'parquet', str(file), '--store', str(store), '--append']


@UNIX
def test_killed_at_any_moment(tmp_path, versions):
    """Twelve writers, killed at moments spread over the time from their first trace in the folder to past their end."""
    place, contents = versions
    chance = random.Random(8)
    moments = [(number + chance.random()) / 11 for number in range(12)]

    def run(store, moment):
        """Run a writer on a store of its own; kill it at a moment; return how long it was at work."""
        shutil.copytree(place / 'store', store)
        before = {entry.name for entry in store.iterdir()}
        with subprocess.Popen(append(store, place / 'new.parquet'), stdout=subprocess.DEVNULL) as writer:
            while {entry.name for entry in store.iterdir()} == before and writer.poll() is None:
                time.sleep(0.003)
            began = time.monotonic()
            if moment is not None:
                time.sleep(moment)
                writer.send_signal(signal.SIGKILL)
            assert writer.wait() == 0 or moment is not None
            return time.monotonic() - began

    took = run(tmp_path / 'whole', None)
    assert version_of(tmp_path / 'whole', contents) == 'new'
    stores = [tmp_path / f'{number}' for number in range(12)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, stores, [took * moment for moment in moments]))
    for number, store in enumerate(stores):
        assert version_of(store, contents) in ('old', 'new')
        if number % 4 == 0:
            same_store(ingest(store, place / 'new.parquet', append=True), contents['new'])
        else:  # a small one cleans up as well
            ingest(store, write(good(), tmp_path / 'm.parquet'), append=True)
        shutil.rmtree(store)


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from bt_microcap.feeds.store import writer
name, call, when, store, file, append = sys.argv[1:]
module = {'replace': os, 'fsync': os, 'rmtree': shutil}[name]
calls, real = [], getattr(module, name)
def deadly(*args, **kwargs):
    calls.append(args)
    if len(calls) == int(call) and when == 'before':
        os.kill(os.getpid(), signal.SIGKILL)
    real(*args, **kwargs)
    if len(calls) == int(call):
        os.kill(os.getpid(), signal.SIGKILL)
setattr(module, name, deadly)
writer.ingest([Path(file)], Path(store), append=append == 'append')
"""


@UNIX
@pytest.mark.parametrize(('name', 'number', 'when', 'left'), [
    ('fsync', 1, 'after', 'old'), ('fsync', 12, 'before', 'old'), ('replace', 1, 'before', 'old'),
    ('replace', 1, 'after', 'new'), ('rmtree', 2, 'before', 'new')])
def test_killed_at_one_moment(tmp_path, store, name, number, when, left):
    """At the points that matter: amid the arrays, around the change of manifests, before the old version is removed."""
    contents = {'old': expected(good()), 'new': expected(good(), later())}
    command = [sys.executable, '-c', KILLED, name, str(number), when, str(store)]
    path = write(later(), tmp_path / 'm.parquet')
    assert subprocess.run([*command, str(path), 'append'], check=False).returncode == -signal.SIGKILL
    assert version_of(store, contents) == left
    same_store(ingest(store, path, append=True), contents['new'])


@UNIX
@pytest.mark.parametrize('name', [
    'fsync', named('a first writer killed before its rename leaves manifest.json.part: a folder with other files', 'replace')])
def test_killed_before_there_was_a_store(tmp_path, name):
    path, store = write(good(), tmp_path / 'm.parquet'), tmp_path / 'store'
    command = [sys.executable, '-c', KILLED, name, '1', 'before', str(store), str(path), 'new']
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    with pytest.raises(DataError, match=r'found no manifest\.json'):
        MarketStore.open(store)
    assert 'found no store to append to' in refuse(store, path, append=True)
    same_store(ingest(store, path), expected(good()))


KILLED_COMMAND = """
import os, runpy, signal, sys
name, call, when, *sys.argv = sys.argv[1:]
calls, real = [], getattr(os, name)
def deadly(*args, **kwargs):
    calls.append(args)
    if len(calls) == int(call) and when == 'before':
        os.kill(os.getpid(), signal.SIGKILL)
    real(*args, **kwargs)
    if len(calls) == int(call):
        os.kill(os.getpid(), signal.SIGKILL)
setattr(os, name, deadly)
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@UNIX
@pytest.mark.parametrize(('name', 'number', 'when', 'left'), [
    ('fsync', 12, 'before', 'old'), ('replace', 1, 'before', 'old'), ('replace', 1, 'after', 'new'),
    ('replace', 2, 'before', 'new'), ('replace', 2, 'after', 'new'), ('replace', 3, 'before', 'new')])
def test_killed_with_findings(tmp_path, name, number, when, left):
    """The store, its findings and its report are those of before or of afterwards, each whole; the same command mends the rest.

    What is renamed: the manifest, the list of the findings, the report.
    """
    first, second = good(), later()
    first.loc[3, 'preclose'], second.loc[5, 'preclose'] = 0.0, 0.0
    one, two, store = write(first, tmp_path / 'one.csv'), write(second, tmp_path / 'two.parquet'), tmp_path / 'store'
    first.loc[3, 'preclose'] = second.loc[5, 'preclose'] = np.nan
    rows = {'old': expected(first), 'new': expected(first, second)}
    beside = [tmp_path / 'store.quarantine.csv', tmp_path / 'store.report.txt']
    ingest(store, one)
    before = [path.read_bytes() for path in beside]
    command = [sys.executable, '-c', KILLED_COMMAND, name, str(number), when, *append(store, two)[1:]]
    assert subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == -signal.SIGKILL
    killed = [path.read_bytes() for path in beside]
    assert version_of(store, rows) == left
    assert MarketStore.open(store).findings()['line'].tolist() == {'old': [5], 'new': [5, 5]}[left]

    same_store(ingest(store, two, append=True), rows['new'])
    after = [path.read_bytes() for path in beside]
    assert after[0].decode().splitlines()[1:] == [
        f'{one},5,2024-01-03,000002.XSHE,preclose,0,not above 0,taken as not known',
        f'{two},5,2024-04-11,000002.XSHE,preclose,0,not above 0,taken as not known']
    replaced = max(0, number - 2 + (when == 'after')) if name == 'replace' else 0
    assert killed == after[:replaced] + before[replaced:]


@UNIX
def test_no_room(tmp_path, versions):
    """No file may grow beyond 100 kB: as on a full disk, the writer says so, and leaves the store as it was."""
    place, contents_before = versions[0], contents(versions[0] / 'store')
    command = 'import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); ' \
        'del sys.argv[0]; runpy.run_path(sys.argv[0], run_name="__main__")'
    program, *arguments = append(place / 'store', place / 'new.parquet')
    done = subprocess.run([program, '-c', command, *arguments], capture_output=True, text=True, check=False)
    line = one_error_line(Outcome(done.returncode, done.stdout, done.stderr))
    assert line.startswith('error: ') and 'large' in line.lower()
    assert contents(place / 'store') == contents_before
