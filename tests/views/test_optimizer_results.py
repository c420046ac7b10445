"""Results of an optimizer: what save_run and report make of one is what they make of the same combination run alone."""

import json
import pickle

import backtrader as bt
import pytest

from bt_microcap import Blotter, MarketFeed, MicroCapStrategy, report, save_run, setup
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import add_stocks
from bt_microcap.feeds.store.writer import ingest_tables

GRID = [(2, 3), (2, 7), (4, 3), (4, 7)]  # stocknum, refresh_rate
TABLES = ['corporate_actions.csv', 'equity.csv', 'missed.csv', 'orders.csv', 'picks.csv', 'positions.csv', 'prices.csv',
          'rejections.csv', 'round_trips.csv', 'trades.csv']


@pytest.fixture(scope='module')
def table():
    return check_table(demo_market(50, '2021-03-01', days=70, seed=3, corporate_actions=True))


@pytest.fixture(scope='module')
def store(table, tmp_path_factory):
    return ingest_tables([table], tmp_path_factory.mktemp('market') / 'store')


def cerebro_of(data, market, profile='realistic', **options):
    cerebro = bt.Cerebro(stdstats=False, **options)
    if market:
        cerebro.adddata(MarketFeed(dataname=data), name='market')
    else:
        add_stocks(cerebro, data, checked=True)
    setup(cerebro, profile)
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro


def swept(data, market, profile='realistic', **options):
    """Give each result of the grid by its params."""
    cerebro = cerebro_of(data, market, profile, **options)
    cerebro.optstrategy(MicroCapStrategy, min_cap=1e9, max_cap=4e9, stocknum=(2, 4), refresh_rate=(3, 7))
    results = {(one.p.stocknum, one.p.refresh_rate): one for (one,) in cerebro.run()}
    assert sorted(results) == GRID
    return results


def alone(data, market, combination, profile='realistic'):
    cerebro = cerebro_of(data, market, profile)
    stocknum, refresh_rate = combination
    cerebro.addstrategy(MicroCapStrategy, min_cap=1e9, max_cap=4e9, stocknum=stocknum, refresh_rate=refresh_rate)
    return cerebro.run()[0]


def summary(folder):
    return json.loads((folder / 'summary.json').read_text('utf-8'))


def same_files(one, other, names):
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.parametrize('cpus', [1, 2])
@pytest.mark.parametrize('whole', [False, True], ids=['results', 'strategies'])
@pytest.mark.parametrize(('market', 'profile'), [(True, 'realistic'), (True, 'joinquant'), (False, 'realistic')])
def test_the_files_are_those_of_the_run_alone(table, store, market, profile, whole, cpus, tmp_path):
    data = store if market else table
    files = [*TABLES, 'summary.json', *(['indices.csv'] if market else [])]
    seen = set()
    for combination, result in swept(data, market, profile, maxcpus=cpus, optreturn=not whole).items():
        assert isinstance(result, bt.Strategy) is whole
        told = save_run(result, tmp_path / 'swept', False, show=False)
        save_run(alone(data, market, combination, profile), tmp_path / 'alone', False, show=False)
        assert sorted(path.name for path in (tmp_path / 'swept').iterdir()) == sorted(files)
        same_files(tmp_path / 'swept', tmp_path / 'alone', files)
        assert told == summary(tmp_path / 'alone') == json.loads(json.dumps(told))
        seen.add(told['end_value'])
    assert len(seen) == 4


@pytest.mark.parametrize('cpus', [1, 2])
def test_a_table_in_memory(table, cpus, tmp_path):
    """In another process it is read from a folder of its own, which is nothing to a user: it is not what the market is called."""
    for combination, result in swept(table, True, maxcpus=cpus).items():
        save_run(result, tmp_path / 'swept', False, show=False)
        save_run(alone(table, True, combination), tmp_path / 'alone', False, show=False)
        same_files(tmp_path / 'swept', tmp_path / 'alone', [*TABLES, 'indices.csv', 'summary.json'])
        assert summary(tmp_path / 'swept')['data'] == 'the table'


def test_what_is_printed_and_drawn(store, tmp_path, capsys):
    result = swept(store, True, maxcpus=1)[2, 3]
    save_run(result, tmp_path / 'swept')
    printed = capsys.readouterr().out
    save_run(alone(store, True, (2, 3)), tmp_path / 'alone')
    assert capsys.readouterr().out == printed.replace('swept/', 'alone/')
    same_files(tmp_path / 'swept', tmp_path / 'alone', ['equity.png'])


def test_a_result_keeps_its_files_when_it_has_travelled(store, tmp_path):
    result = swept(store, True, maxcpus=2)[4, 7]
    save_run(result, tmp_path / 'one', False, show=False)
    save_run(pickle.loads(pickle.dumps(result)), tmp_path / 'two', False, show=False)
    save_run(result, tmp_path / 'three', False, show=False)  # a second time
    for other in ('two', 'three'):
        same_files(tmp_path / 'one', tmp_path / other, [*TABLES, 'summary.json', 'indices.csv'])


@pytest.mark.parametrize('cpus', [1, 2])
def test_the_report_of_a_result(store, cpus, tmp_path):
    pytest.importorskip('bokeh')
    pytest.importorskip('jinja2')
    result = swept(store, True, maxcpus=cpus)[2, 7]
    path = report(result, tmp_path / 'swept.html', random_picks=0)
    assert path == tmp_path / 'swept.html'
    save_run(result, tmp_path / 'saved', False, show=False)
    report(tmp_path / 'saved', tmp_path / 'saved.html', random_picks=0)
    texts = [(tmp_path / name).read_text('utf-8') for name in ('swept.html', 'saved.html')]
    for text in texts:
        assert f'{summary(tmp_path / "saved")["total_return"]:.2%}' in text
        assert text.startswith('<!DOCTYPE html>')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['saved', 'saved.html', 'swept.html']
    # with random picks asked for: those of a result cannot be made, the report can
    assert report(result, tmp_path / 'again.html', random_picks=5).exists()


def test_what_of_an_optimizer_is_no_result(store, tmp_path):
    cerebro = cerebro_of(store, True, maxcpus=1)
    cerebro.optstrategy(MicroCapStrategy, stocknum=(2, 4))
    results = cerebro.run()
    for wrong in (results, results[0]):
        with pytest.raises(ValueError, match=r'found a list, expected a strategy after its run.*cerebro.run\(\)\[0\]\[0\]'):
            save_run(wrong, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
