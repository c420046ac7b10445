"""Benchmarks by their names: kept in a store, shown by the feed, asked by a strategy, compared with on the command line."""

import csv
import json
import pickle
import shutil

import backtrader as bt
import numpy as np
import pytest

from bt_microcap import MicroCapStrategy, setup
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.stock import add_stocks
from bt_microcap.feeds.store import MarketStore
from bt_microcap.feeds.store import benchmarks as module
from bt_microcap.feeds.store.benchmarks import Benchmark, parse
from bt_microcap.feeds.store.indices import market_index, microcap_index
from bt_microcap.feeds.store.writer import ingest_tables
from tests.support.markets import frame, tiny_market
from tests.support.script_calls import call, one_error_line

A, B, C = '000002.XSHE', '600001.XSHG', '600003.XSHG'
DATES = ['2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05', '2024-01-08', '2024-01-09']


def by_hand():
    """A doubles, B rises by a tenth every day, C stands."""
    return tiny_market({
        A: [10.0, 20.0, 20.0, 20.0, 20.0, 20.0], B: [10.0, 11.0, 12.1, 13.31, 14.641, 16.1051], C: [10.0] * 6}, dates=DATES)


@pytest.fixture(scope='module')
def table():
    table = demo_market(30, '2023-07-17', days=40, seed=3)
    table['code'] = table['code'].astype(str)
    return table


@pytest.fixture
def store(table, tmp_path):
    days = sorted(set(table['date']))
    rows = frame(index=['000300'] * 3, date=[days[0], days[1], days[-1]], open=[1.0, 2.0, 3.0], high=[1.0, 2.0, 3.0],
                 low=[1.0, 2.0, 3.0], close=[1.0, 2.0, 3.0])
    return ingest_tables([table], tmp_path / 'store', reference_data={'benchmarks': rows})


# ----------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(('spec', 'wanted'), [
    ('market', Benchmark('market')),
    ('market:new=60', Benchmark('market', new_share_days=60)),
    ('microcap', Benchmark('microcap', 400, 1, 'equal', 20)),
    ('microcap:100', Benchmark('microcap', 100)),
    ('microcap:renew=5', Benchmark('microcap', 400, 5)),
    ('microcap:100:new=0:weight=float_cap:renew=5', Benchmark('microcap', 100, 5, 'float_cap', 0)),
    ('000300', Benchmark('000300')),
])
def test_names(spec, wanted):
    assert parse(spec) == wanted


@pytest.mark.parametrize(('spec', 'found', 'expected'), [
    ('', '', 'market, microcap or six digits'),
    ('Market', 'Market', 'market, microcap or six digits'),
    ('300', '300', 'market, microcap or six digits'),
    ('000300:new=5', 'new=5', 'nothing after the six digits'),
    ('market:100', '100', 'new=DAYS'),
    ('market:renew=5', 'renew=5', 'new=DAYS'),
    ('market:new=60:new=60', 'new=60', 'each option once'),
    ('microcap:0', '0', 'a whole number of 1 or more'),
    ('microcap:-5', '-5', 'a whole number of 1 or more'),
    ('microcap:renew=5:100', '100', 'a number of stocks first, then renew=DAYS, '),
    ('microcap:count=5', 'count=5', 'a number of stocks first, then renew=DAYS, '),
    ('microcap:renew', 'renew', 'a whole number of 1 or more'),
    ('microcap:renew=0', 'renew=0', 'a whole number of 1 or more'),
    ('microcap:new=1.5', 'new=1.5', 'a whole number of 0 or more'),
    ('microcap:weight=cap', 'weight=cap', 'weight=equal or weight=float_cap'),
    ('microcap:', '', 'a whole number of 1 or more'),
    (400, '400', 'text'),
])
def test_wrong_names(spec, found, expected):
    with pytest.raises(DataError) as error:
        parse(spec)
    assert str(error.value).startswith(f'benchmark {spec!r}: found {found!r}, expected {expected}' if isinstance(spec, str) else
                                       'benchmark 400: found 400, expected text')
    assert 'the forms are market, market:new=60, microcap, microcap:100, ' in str(error.value)


def test_a_wrong_name_says_what_the_store_has(store):
    for spec, text in (('mikro', "benchmark 'mikro': found 'mikro'"), ('000905', r'has no benchmark 000905 \(found 000300\)')):
        with pytest.raises(DataError, match=text + r'.*; the forms are market.*; indices of this market: 000300$'):
            store.benchmark(spec)
    with pytest.raises(DataError, match='indices of this market: none$'):
        MarketStore.from_table(by_hand()).benchmark('000300')


def test_what_is_said_of_an_index():
    assert parse('market').about() == (
        'all A shares, equal weight, renewed daily, new shares after 20 trading days, suspended ones at 0 %')
    assert parse('microcap:50:renew=5:weight=float_cap:new=60').about() == (
        "the 50 smallest A shares by the day before's market cap, without ST, suspended, delisting and Beijing ones, weighted "
        "by the day before's float market cap, renewed every 5 trading days, no costs, new shares after 60 trading days, "
        'members suspended later at 0 %')
    assert parse('000300').about() == 'the index 000300, as the source gives it'


# ---------------------------------------------------------------------------------------------------- in the store


def test_a_market_in_memory():
    """The market: means of 100 %, 10 % and 0 %, then of 0, 10 and 0. The old index beside it is not looked at."""
    store = MarketStore.from_table(by_hand())
    close = store.index()['close']
    np.testing.assert_allclose(close, 1000 * (1 + 1.1 / 3) * np.array([1 / (1 + 1.1 / 3), *(1 + 0.1 / 3) ** np.arange(5)]))
    assert store.index()['close'] is close
    assert list(store.index()) == ['open', 'high', 'low', 'close', 'volume']
    assert store.index()['volume'].tolist() == [3e6] * 6
    assert not close.flags.writeable
    np.testing.assert_allclose(store.benchmark('microcap:2')['close'][:3], [1000, 1550, 1550 * 1.05])  # A and B: all caps alike
    old = MarketStore({**store.arrays, 'index': np.zeros((5, 6))}, store.columns)
    np.testing.assert_array_equal(old.index()['close'], close)


def test_the_arrays_of_the_present_format_are_taken():
    store = MarketStore.from_table(by_hand())
    arrays = {**store.arrays, 'index': np.full((5, 6), 2.0), 'index/microcap': np.full((5, 6), 3.0)}
    store = MarketStore(arrays, store.columns)
    assert [store.benchmark(spec)['close'][0] for spec in ('market', 'market:new=20', 'microcap', 'microcap:400', 'microcap:9')
            ] == [2.0, 2.0, 3.0, 3.0, 1000.0]


def opened_again(store):
    from bt_microcap.feeds.store import market_store

    market_store._opened.cache_clear()
    return MarketStore.open(store.path)


def kept(store):
    return sorted(file.name for file in store.path.glob('version-*/benchmark*'))


def test_a_variant_is_kept_in_the_folder(store, monkeypatch):
    wanted = microcap_index(store, 10, 3, 4, 1)
    np.testing.assert_array_equal(list(store.benchmark('microcap:10:renew=4:new=3', 9).values()), wanted)  # 9 % 4 is 1
    name = 'benchmark1-microcap-10-renew=4-phase=1-weight=equal-new=3.bin'
    assert name in kept(store)
    assert not [file for file in kept(store) if file.endswith('.part')]
    monkeypatch.setattr(module, 'microcap_index', None)  # would fail if it were worked out again
    again = opened_again(store)
    assert again is not store
    np.testing.assert_array_equal(list(again.benchmark('microcap:10:renew=4:new=3', 1).values()), wanted)
    assert not again.benchmark('microcap:10:renew=4:new=3', 1)['close'].flags.writeable


def test_a_file_of_a_wrong_size_is_made_anew(store):
    wanted = store.benchmark('market:new=3')['close']
    file = next(store.path.glob('version-*/benchmark1-market-new=3.bin'))
    whole = file.read_bytes()
    file.write_bytes(whole[:-8])
    np.testing.assert_array_equal(opened_again(store).benchmark('market:new=3')['close'], wanted)
    assert file.read_bytes() == whole


def test_nothing_is_kept_where_nothing_can_be_written(store):
    shutil.rmtree(store.version)  # what is mapped stays
    np.testing.assert_array_equal(store.benchmark('market:new=3')['close'], market_index(store, 3)[3])
    assert kept(store) == []


def test_a_store_with_more_days_has_an_index_of_its_own(store, table):
    before = store.benchmark('microcap:10')['close']
    day = table[table['date'] == table['date'].max()]
    later = ingest_tables([day.assign(date=day['date'] + np.timedelta64(7, 'D'))], store.path, append=True)
    after = later.benchmark('microcap:10')['close']
    assert len(after) == len(before) + 1
    np.testing.assert_allclose(after[:-1], before)


# ------------------------------------------------------------------------------------------------------ in the feed


@pytest.mark.parametrize('offset', [0, 4, 6])
def test_a_feed_shows_it_renewed_on_day_zero(store, offset):
    """Every third day from the second bar on."""
    feed = MarketFeed(dataname=store, benchmark='microcap:5:new=0:renew=3', fromdate=bt.num2date(store.days[offset]))
    np.testing.assert_array_equal(feed.level['close'], microcap_index(store, 5, 0, 3, (offset + 1) % 3)[3])
    np.testing.assert_array_equal(MarketFeed(dataname=store).level['close'], market_index(store)[3])
    again = pickle.loads(pickle.dumps(feed))
    np.testing.assert_array_equal(again.level['close'], feed.level['close'])


def test_a_strategy_asks_for_any_of_them(store):
    seen = []

    class Asking(MicroCapStrategy):
        def trade(self, day):
            section = self.universe.section(self.at_open)
            asked = {spec: section.benchmark(spec, 4) for spec in ('market', 'microcap:5:renew=3', '000300')}
            assert section.benchmark('market').tolist() == asked['market'][-1:].tolist()
            with pytest.raises(ValueError, match='read-only'):
                asked['market'][0] = 1.0
            for wrong in (0, True, 1.5):
                with pytest.raises(ValueError, match='expected a whole number of 1 or more'):
                    section.benchmark('market', wrong)
            with pytest.raises(DataError, match='the forms are'):
                section.benchmark('nothing')
            seen.append((int(self.data0.datetime[0]), asked))

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=store, fromdate=bt.num2date(store.days[1])))
    cerebro.addstrategy(Asking)
    setup(cerebro)
    cerebro.run()
    assert [day for day, _ in seen] == store.days[2:].tolist()
    for day, asked in seen:
        number = store.days.tolist().index(day)
        for spec, index in (('market', market_index(store)), ('microcap:5:renew=3', microcap_index(store, 5, 20, 3, 2))):
            wanted = [np.nan] * (4 - min(number, 4)) + index[3][max(number - 4, 0):number].tolist()
            np.testing.assert_array_equal(asked[spec], wanted)
    assert seen[0][1]['000300'][2:].tolist() == [1.0, 2.0]
    assert np.isnan(seen[0][1]['000300'][:2]).all()


def test_feeds_of_one_stock_each_tell_the_market_alone():
    said, closes = [], []

    class Asking(MicroCapStrategy):
        def trade(self, day):
            section = self.universe.section(self.at_open)
            closes.append(section.benchmark('market', 2).tolist())
            with pytest.raises(DataError) as error:
                section.benchmark('microcap')
            said.append(str(error.value))

    cerebro = bt.Cerebro(stdstats=False)
    add_stocks(cerebro, by_hand())
    cerebro.addstrategy(Asking)
    setup(cerebro)
    cerebro.run()
    assert set(said) == {"feeds of one stock each do not tell the benchmark 'microcap': use a MarketFeed, or read the index' own "
                         'feed; known is market, where the run has the feed of that name that add_stocks puts first'}
    index = MarketStore.from_table(by_hand()).index()['close'].tolist()
    assert closes[1:] == [index[day:day + 2] for day in range(len(closes) - 1)]
    assert str(closes[0]) == str([float('nan'), index[0]])


# ----------------------------------------------------------------------------------------------- on the command line


@pytest.mark.parametrize('spec', ['', 'microcap:5:renew=3', '000300'])
def test_a_run_is_compared_with_it(spec, store, tmp_path):
    options = ['--benchmark', spec] if spec else []
    outcome = call('backtest', '--data', store.path, '--out', tmp_path / 'out', '--no-plot', *options)
    assert outcome.status == 0, outcome.err
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text('utf-8'))
    with open(tmp_path / 'out' / 'equity.csv', encoding='utf-8') as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ['date', 'cash', 'market_value', 'total_value', 'benchmark']
    close = {'': lambda: market_index(store)[3], '000300': lambda: np.array([1.0] + [2.0] * 38 + [3.0]),
             'microcap:5:renew=3': lambda: microcap_index(store, 5, 20, 3, 1)[3]}[spec]()
    assert [float(row['benchmark']) for row in rows] == (close[1:] / close[0]).tolist()
    assert summary['benchmark'] == (spec or 'market')
    assert summary['benchmark_return'] == float(rows[-1]['benchmark']) - 1
    assert summary['benchmark_about'] == parse(spec or 'market').about()
    assert 'market_return' not in summary
    said = next(line for line in outcome.lines if line.startswith('return '))
    assert said.endswith(f"({spec or 'market'} {summary['benchmark_return']:.2%})")


def test_the_legend_names_it(store, tmp_path, monkeypatch):
    import matplotlib.figure

    legends = []
    save = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(matplotlib.figure.Figure, 'savefig', lambda self, *args, **kwargs: (
        legends.append([text.get_text() for text in self.axes[0].get_legend().get_texts()]), save(self, *args, **kwargs)))
    call('backtest', '--data', store.path, '--out', tmp_path / 'out', '--benchmark', '000300')
    assert legends[0][1] == '000300 +200.0%'


def test_errors_of_the_command(store, tmp_path):
    def line(*options):
        return one_error_line(call('backtest', '--out', tmp_path / 'out', '--no-plot', *options))

    assert line('--data', store.path, '--benchmark', 'mikro').startswith(
        "error: benchmark 'mikro': found 'mikro', expected market, microcap or six digits; the forms are market, ")
    assert line('--data', store.path, '--benchmark', '000905').endswith('indices of this market: 000300')
    assert line('--benchmark', '000300') == (
        'error: the demo market: has no benchmark 000300, as it is made up; give --benchmark market or microcap, or --data with '
        'a store that has the index')
    assert 'circ_market_cap' in line('--data', store.path, '--benchmark', 'microcap:weight=float_cap')
    assert not (tmp_path / 'out').exists()


def test_the_help_lists_the_forms():
    said = ' '.join(call('backtest', '--help').out.split())
    assert 'microcap:100:renew=5:weight=float_cap:new=60, or six digits of an index' in said


def test_a_benchmark_that_begins_too_late(tmp_path):
    days = ['2024-01-04', '2024-01-05', '2024-01-08', '2024-01-09']
    rows = frame(index=['000300'] * 4, date=days, **{name: [1.0] * 4 for name in ('open', 'high', 'low', 'close')})
    ingest_tables([by_hand()], tmp_path / 'store', reference_data={'benchmarks': rows})

    def run(*options):
        return call('backtest', '--data', tmp_path / 'store', '--benchmark', '000300', '--out', tmp_path / 'out', *options)

    assert one_error_line(run()) == (
        f'error: {tmp_path / "store"}: the benchmark 000300 has nothing on the day before the run; give --start 2024-01-05 or '
        'later, or another --benchmark, such as market')
    assert one_error_line(run('--end', '2024-01-04')).endswith('before the run; give another --benchmark, such as market')
    assert run('--start', '2024-01-05', '--no-plot').status == 0


def test_a_benchmark_that_ends_too_early(tmp_path):
    rows = frame(index=['000300'] * 3, date=['2024-01-03', '2024-01-04', '2024-01-05'],
                 **{name: [1.0] * 3 for name in ('open', 'high', 'low', 'close')})
    ingest_tables([by_hand()], tmp_path / 'store', reference_data={'benchmarks': rows})

    def run(*options):
        return call('backtest', '--data', tmp_path / 'store', '--benchmark', '000300', '--start', '2024-01-04', '--out',
                    tmp_path / 'out', *options)

    line = one_error_line(run())
    assert line.startswith(f'error: {tmp_path / "store"}: the benchmark 000300 ends on 2024-01-05, before the run does; ')
    assert 'or give --end 2024-01-05, or another --benchmark, such as market' in line
    assert run('--end', '2024-01-05', '--no-plot').status == 0
