"""A market and its runs in other processes: what travels, what comes back, what is left behind."""

import gc
import json
import pickle
import subprocess
import sys
from pathlib import Path

import backtrader as bt
import pytest

from bt_microcap import Blotter, MicroCapStrategy, setup
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.store import MarketStore
from tests.support.running import run_feeds

PARAMS = {'min_cap': 4e8, 'max_cap': 6e9, 'stocknum': 5, 'refresh_rate': 3}


def books(strategy):
    blotter = strategy.analyzers.blotter
    return blotter.fills, blotter.rejections, blotter.equity


@pytest.fixture(scope='module')
def table():
    """Late listings, delistings, suspensions and ex-dates in forty days."""
    return check_table(demo_market(32, '2021-03-01', days=40, seed=13, corporate_actions=True))


@pytest.fixture(scope='module')
def expected(table):
    done = books(run_feeds(table, delist_wait=0, **PARAMS))
    assert 'delisted' in {row.reason for row in done[1]}
    return done


@pytest.fixture(scope='module')
def folder(table, tmp_path_factory):
    path = tmp_path_factory.mktemp('stores') / 'market'
    MarketStore.from_table(table, checked=True).save(path)
    return path


def cerebro_of(source, **options):
    cerebro = bt.Cerebro(**options)
    cerebro.adddata(MarketFeed(dataname=source), name='market')
    setup(cerebro, delist_wait=0)  # forty days: with the default of 60 nothing would be delisted
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro


def test_a_cerebro_travels_light(folder, expected):
    cerebro = cerebro_of(MarketStore.open(folder))
    cerebro.addstrategy(MicroCapStrategy, **PARAMS)
    text = pickle.dumps(cerebro)
    assert len(text) < 100_000
    assert books(pickle.loads(text).run()[0]) == expected


def test_the_folder_of_a_market_in_memory_is_removed(table, expected):
    def travel():  # a frame of its own: Backtrader looks through the callers' locals, which keeps them alive
        cerebro = cerebro_of(table)
        cerebro.addstrategy(MicroCapStrategy, **PARAMS)
        text, path = pickle.dumps(cerebro), cerebro.datas[0].store.path
        assert (len(text) < 100_000, path.is_dir()) == (True, True)
        assert pickle.dumps(cerebro) == text  # one folder for all that travels
        assert books(pickle.loads(text).run()[0]) == expected
        assert path.is_dir()
        return path

    path = travel()
    gc.collect()
    assert not path.exists()


SCRIPT = """
import json, multiprocessing, sys
import backtrader as bt
import pandas as pd
from bt_microcap import Blotter, MicroCapStrategy, setup
from bt_microcap.feeds.market import MarketFeed

def main(method, folder, file):
    multiprocessing.set_start_method(method)
    done, paths = {}, []
    for source in (folder, pd.read_parquet(file)):
        for maxcpus in (1, 2):
            cerebro = bt.Cerebro(maxcpus=maxcpus)
            cerebro.adddata(MarketFeed(dataname=source), name='market')
            cerebro.optstrategy(MicroCapStrategy, min_cap=4e8, max_cap=6e9, stocknum=[2, 5], refresh_rate=3)
            setup(cerebro, delist_wait=0)
            cerebro.addanalyzer(Blotter, _name='blotter')
            key = f'{type(source).__name__} {maxcpus}'
            for (result,) in cerebro.run():
                analysis = result.analyzers.blotter.get_analysis()
                done[f'{key} {result.p.stocknum}'] = str([analysis[name] for name in ('fills', 'rejections', 'equity')])
            paths.append(str(cerebro.datas[0].store.path))
    print(json.dumps([done, paths]))

if __name__ == '__main__':
    main(*sys.argv[1:])
"""


@pytest.mark.parametrize('method', ['fork', 'forkserver', 'spawn'])
def test_optimisation_in_processes(method, table, folder, tmp_path):
    """A store and a market in memory, in this process and in two others: the same as single runs."""
    if method == 'fork' and sys.platform == 'win32':
        pytest.skip('there is no fork here')
    (tmp_path / 'script.py').write_text(SCRIPT)
    table.to_parquet(tmp_path / 'market.parquet', index=False)
    call = [sys.executable, 'script.py', method, str(folder), 'market.parquet']
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    found, paths = json.loads(done.stdout)
    assert len(found) == 8
    for stocknum in (2, 5):
        wanted = str([*books(run_feeds(table, delist_wait=0, **{**PARAMS, 'stocknum': stocknum}))])
        assert {found[key] for key in found if key.endswith(str(stocknum))} == {wanted}
    assert paths[:3] == [str(folder), str(folder), 'None']
    assert not Path(paths[3]).exists()
    assert folder.is_dir()
