"""The table of measurements: what is set against what, and which targets are met."""

import math

import pytest

from bt_microcap.commands import bench, run_measurements
from bt_microcap.commands.resources import mapped_bytes
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.store import MarketStore
from bt_microcap.rotation.presets import PRESETS

STOCKS = [100, 5000]
USED = {'cpu': 1.0, 'wall': 1.0, 'peak': 100.0, 'open': 0.1, 'orders': 1000.0, 'disk': 2.0, 'pickled': 5.0, 'overhead': 10.0,
        'touched': 250.0, 'size': 1000.0}
# cpu of each measurement; the others take a second
CPU = {'floor': 0.1, 'floor orders': 1.1, 'orders 0': 0.05, 'orders 20': 0.45, 'floor run 100': 0.5, 'run 100': 0.25,
       'floor run 5000': 0.5, 'run 5000': 0.6, 'floor twenty daily': 10.0, 'twenty daily': 5.0, 'floor microcap400': 4.0,
       'microcap400': 5.0, 'imports': 0.5, 'process': 0.7}
PEAK = {'run 5000': 170.0, 'imports': 120.0}


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setattr(bench, 'has_report', lambda: True)
    names = [*CPU, 'pages', 'plain 100', 'read', 'ingest', 'grid 1', 'grid 2', 'sweep', 'optimize', 'import', 'help', 'bare',
             'table', 'read xbx', 'xbx', 'five years', 'report', 'chance', *(name for name in PRESETS if name != 'original')]
    results = {name: [USED | {'cpu': CPU.get(name, 1.0), 'peak': PEAK.get(name, 100.0)}] for name in names}
    return bench.compare(results, STOCKS, 2430)


def found(rows, beginning):
    return next(row for row in rows if row.measurement.startswith(beginning))


@pytest.mark.parametrize(('beginning', 'ratio', 'met'), [
    ('an order in plain Backtrader', 1000.0, None),  # (1.1 - 0.1) s over 1,000 orders, in us
    ('an order in our broker', 0.4, True),  # (0.45 - 0.05) s over 1,000 orders: 400 us
    ('our run, 100 stocks', 0.5, True),
    ('our run, 5,000 stocks', 1.2, False),
    ('our run, 5,000 stocks against 100', 2.4, False),
    ('our run, 5,000 stocks, peak memory', 50.0, True),
    ('pages of the store', 250.0, None),
    ('our run, 5,000 stocks, twenty daily', 0.5, True),
    ('our run, 5,000 stocks, microcap400', 1.25, False),
    ('backtest, 5,000 stocks, no picture', 1.4, True),
])
def test_what_is_set_against_what(rows, beginning, ratio, met):
    row = found(rows, beginning)
    assert row.ratio == pytest.approx(ratio)
    assert row.met is met


def test_the_table(rows):
    lines = bench.render(rows, 'a note', True).splitlines()
    cells = {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.strip('|').split('|')] for line in lines[:-2])}
    assert cells['measurement'] == ['processor seconds', 'peak memory MB', 'result', 'target']
    assert cells['an order in our broker, told to strategy and blotter'] == [
        '', '', "0.40 x plain Backtrader's (400 us)", 'at most 0.48, met']
    assert cells['our run, 5,000 stocks'] == ['0.600', '170', '1.20 x plain with as many orders', 'at most 1, MISSED']
    assert cells['pages of the store that it looks at'] == ['', '', '250 MB of 1,000 MB', '']
    assert lines[-1] == 'a note'
    assert not any('met' in line or 'MISSED' in line or 'at most' in line
                   for line in bench.render(rows, '', False).splitlines())


@pytest.mark.parametrize(('days', 'most', 'expected'), [(2430, 7, '7 years'), (243, 5, '1 year'), (60, 5, '0.2 years')])
def test_years(days, most, expected):
    assert bench.years(days, most) == expected


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp('bench') / 'store'
    MarketStore.from_table(demo_market(60, days=80), checked=True).save(path)
    return path


def test_runs_that_do_little_but_order(store):
    """20 stocks are bought on one day and sold on the next, from the second bar on."""
    figures = run_measurements.measure_orders(str(store), '20')
    assert figures['orders'] > 79 * 20 * 0.9  # a few are refused, and so not sold
    assert run_measurements.measure_run(str(store), 'twenty daily', '1e8')['orders'] > 0


def test_the_pages_that_a_run_looks_at(store, monkeypatch):
    monkeypatch.setattr(run_measurements.market_store, 'MOST_TOUCHED', 1.0)
    figures = run_measurements.measure_pages(str(store))
    assert math.inf == run_measurements.market_store.MOST_TOUCHED
    if figures['touched'] == figures['touched']:  # the system tells
        assert 0 < figures['touched'] <= 2 * figures['size']  # whole pages, of small files


def test_nothing_of_another_folder_is_counted(tmp_path):
    assert not mapped_bytes(tmp_path) > 0
