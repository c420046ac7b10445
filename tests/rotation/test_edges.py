"""Where two parts meet: other calendars beside the market, sources that differ, files that change, ruin."""

import backtrader as bt
import pandas as pd
import pytest

from bt_microcap import Blotter, MicroCapStrategy, setup
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import add_stocks
from bt_microcap.feeds.store import MarketStore
from bt_microcap.feeds.store.writer import ingest_tables
from bt_microcap.record import statistics
from bt_microcap.record.blotter import Equity
from tests.support.markets import bar, frame, tiny_market
from tests.support.running import run_feeds, run_market
from tests.support.script_calls import call, one_error_line

A, B, STAR = '600001.XSHG', '600002.XSHG', '688001.XSHG'
DATES = ['2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05', '2024-01-08']


@pytest.fixture(scope='module')
def table():
    return demo_market(40, '2021-03-01', days=60, seed=2)


def books(strategy):
    blotter = strategy.analyzers.blotter
    return blotter.fills, blotter.rejections, blotter.equity


def calendar_days(table, before=3, after=5):
    days = pd.date_range(table['date'].min() - pd.Timedelta(days=before), table['date'].max() + pd.Timedelta(days=after))
    return pd.DataFrame({'date': days, **dict.fromkeys(('open', 'high', 'low', 'close'), 100.0)})


def test_a_benchmark_with_days_of_its_own_changes_nothing(table):
    cerebro = bt.Cerebro(stdstats=False)
    add_stocks(cerebro, table, benchmark=calendar_days(table))
    cerebro.addstrategy(MicroCapStrategy)
    setup(cerebro, delist_wait=0)
    cerebro.addanalyzer(Blotter, _name='blotter')
    assert books(cerebro.run()[0]) == books(run_feeds(table, delist_wait=0))


def test_another_feed_with_days_of_its_own_changes_nothing(table):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=table), name='market')
    cerebro.adddata(bt.feeds.PandasData(dataname=calendar_days(table, 0, 0).set_index('date').assign(volume=1.0)))
    cerebro.addstrategy(MicroCapStrategy)
    setup(cerebro, delist_wait=0)
    cerebro.addanalyzer(Blotter, _name='blotter')
    assert books(cerebro.run()[0]) == books(run_market(table, delist_wait=0))


@pytest.mark.parametrize('market', [False, True])
def test_the_default_profile_can_decide_at_the_close(market):
    table = tiny_market({A: [bar(10.0, cap=2.1e9)] + [10.0] * 4, B: [bar(10.0, cap=2.2e9)] + [10.0] * 4}, dates=DATES)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=table)) if market else add_stocks(cerebro, table)
    cerebro.addstrategy(MicroCapStrategy, stocknum=1, refresh_rate=1)
    setup(cerebro, cash=10_000, slippage=0.0, volume_limit=0.0)
    cerebro.addanalyzer(Blotter, _name='blotter')
    fills = cerebro.run(cheat_on_open=False)[0].analyzers.blotter.fills
    # 900 x 10 = 9,000 + 5 + 0.09; 1,000 would cost 10,005.10
    assert [(fill.side, fill.quantity, fill.price) for fill in fills[:2]] == [('BUY', 900, 10.0), ('SELL', 900, 10.0)]


@pytest.mark.parametrize(('listed', 'bought'), [('2024-01-03', 1), ('2019-07-22', 0)])
def test_a_listing_day_that_is_known_counts(tmp_path, listed, bought):
    """STAR: no limit for five days from the listing; a stock that was only suspended has its 20 %."""
    table = tiny_market({STAR: [None, bar(10.0, cap=2.1e9), 12.0, 12.0, 12.0], A: [bar(5.0, cap=9e9)] + [5.0] * 4}, dates=DATES)
    jump = (table['code'] == STAR) & (table['date'] == '2024-01-04')
    table.loc[jump, ['open', 'high', 'low', 'preclose']] = [12.0, 12.0, 12.0, 10.0]
    store = ingest_tables([check_table(table)], tmp_path / 'store',
                          reference_data={'listings': frame(code=[STAR], listed=[listed], delisted=[None])})
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=store, todate=pd.Timestamp('2024-01-04')))
    cerebro.addstrategy(MicroCapStrategy, refresh_rate=1)
    setup(cerebro, slippage=0.0)
    cerebro.addanalyzer(Blotter, _name='blotter')
    blotter = cerebro.run()[0].analyzers.blotter
    assert len(blotter.fills) == bought
    assert [row.reason for row in blotter.rejections] == ['limit up'] * (1 - bought)


def test_what_is_no_a_share_is_never_bought():
    table = tiny_market({'900901.XSHG': [bar(1.0, cap=2.0e9)] + [1.0] * 4, A: [bar(5.0, cap=2.5e9)] + [5.0] * 4}, dates=DATES)
    for run in (run_feeds, run_market):
        assert {fill.code for fill in run(table).analyzers.blotter.fills} == {A}


def test_sources_do_not_mix(tmp_path):
    table = check_table(tiny_market({A: [10.0] * 5}, dates=DATES))
    ingest_tables([table], tmp_path / 'store', about={'source': 'baostock', 'market_cap': 'estimated: float shares x close'})
    with pytest.raises(DataError, match='made from baostock, expected one from tushare'):
        ingest_tables([table], tmp_path / 'store', append=True, about={'source': 'tushare'})
    later = {'append': True, 'about': {'source': 'mine.csv', 'market_cap': 'as given'}}
    again = ingest_tables([table.iloc[:3]], tmp_path / 'store', **later)
    assert again.about['market_cap'].startswith('estimated')  # true of the rows that stay
    again = ingest_tables([table], tmp_path / 'store', **later)
    assert again.about['market_cap'] == 'as given'  # none stays


def test_ruin_is_not_nothing():
    books = {'fills': [], 'rejections': [], 'orders': [], 'corporate_actions': [], 'cash_flows': []}
    equity = [Equity(pd.Timestamp(day).date(), -1.0, 0.0, -1.0) for day in DATES[:3]]
    blotter = type('Books', (), {**books, 'equity': equity})
    assert statistics.statistics(blotter, 1e6)['annual_return'] == -1.0


def sweep(data, out):
    return call('optimize', '--data', data, '--stocknum', '1', '--refresh-rate', '5', '--no-plot', '--out', out)


def test_a_changed_market_is_not_served_from_old_results(tmp_path, table):
    data = tmp_path / 'm.parquet'
    table.to_parquet(data, index=False)
    assert sweep(data, tmp_path / 'out').status == 0
    table.assign(market_cap=table['market_cap'] * 1.3).to_parquet(data, index=False)
    assert 'content' in one_error_line(sweep(data, tmp_path / 'out'))


def test_two_sweeps_in_one_folder(tmp_path, table):
    fcntl = pytest.importorskip('fcntl')  # Windows locks in another way
    data = tmp_path / 'm.parquet'
    table.to_parquet(data, index=False)
    (tmp_path / 'out').mkdir()
    with open(tmp_path / 'out' / '.lock', 'w') as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert 'another sweep is at work there' in one_error_line(sweep(data, tmp_path / 'out'))


def test_a_benchmark_that_begins_later(tmp_path):
    table = check_table(tiny_market({A: [10.0] * 5}, dates=DATES))
    rows = frame(index=['000300'], date=['2024-01-05'], open=[1.0], high=[1.0], low=[1.0], close=[1.0])
    ingest_tables([table], tmp_path / 'store', reference_data={'benchmarks': rows})
    line = one_error_line(call('backtest', '--data', tmp_path / 'store', '--benchmark', '000300', '--out', tmp_path / 'out'))
    assert 'benchmark 000300 has nothing on the day before the run; give --start 2024-01-08 or later, or another' in line


def test_data_without_preclose_says_what_is_not_applied(tmp_path, table):
    table.drop(columns='preclose').to_parquet(tmp_path / 'm.parquet', index=False)
    outcome = call('backtest', '--data', tmp_path / 'm.parquet', '--out', tmp_path / 'out', '--no-plot')
    assert 'note           the data has no preclose: price limits and ex-rights are not applied' in outcome.lines


def test_nullable_columns_in_a_parquet(tmp_path, table):
    extra = table.assign(score=pd.array([None, 1] * (len(table) // 2) + [None] * (len(table) % 2), dtype='Int64'))
    assert MarketStore.from_table(extra).vector('score', 0).shape == (len(set(table['code'])),)


@pytest.mark.parametrize('arguments', [['--codes', A], ['--from-files', 'x'], ['--cache', 'x'], ['--skip-bad']])
def test_options_that_would_do_nothing(tmp_path, table, arguments):
    table.to_parquet(tmp_path / 'm.parquet', index=False)
    line = one_error_line(call('ingest', 'parquet', tmp_path / 'm.parquet', '--store', tmp_path / 'store', *arguments))
    assert f'{arguments[0]} does nothing with parquet' in line
    assert not (tmp_path / 'store').exists()


@pytest.mark.parametrize(('arguments', 'said'), [
    (['parquet', 'm.parquet', '--benchmark', '000300'], 'found no file, expected --benchmark 000300=FILE with date and close'),
    (['parquet', 'm.parquet', '--benchmark', '300'], "argument --benchmark: found '300', expected six digits"),
    (['parquet', 'm.parquet', '--members', '000300'], "argument --members: found '000300', expected six digits and a file"),
    (['parquet', 'm.parquet', '--start', '2024-01-03', '--end', '2024-01-02'], '--start 2024-01-03 is after --end 2024-01-02'),
    (['parquet', 'm.parquet', '--rename', 'cap'], "argument --rename: found 'cap', expected OLD=NEW"),
    (['parquet', 'm.parquet', '--scale', 'volume=0'], "argument --scale: found 'volume=0', expected COLUMN=FACTOR"),
    (['xbx', 'x', '--rename', 'a=b'], '--rename goes with parquet and csv: the columns of xbx are known'),
    (['xbx', 'x', '--scale', 'volume=100'], '--scale goes with parquet and csv: the columns of xbx are known'),
])
def test_options_that_are_not_complete(tmp_path, arguments, said):
    line = one_error_line(call('ingest', *arguments, '--store', tmp_path / 'store'))
    assert said in line and not (tmp_path / 'store').exists()


def test_days_of_files(tmp_path, table):
    """Rows outside are not even looked at."""
    days = sorted(set(table['date']))
    rows = table.assign(close=table['close'].where(table['date'].between(days[2], days[-3]), -1.0))
    rows.to_parquet(tmp_path / 'm.parquet', index=False)
    span = [f'{day:%Y-%m-%d}' for day in (days[2], days[-3])]
    outcome = call('ingest', 'parquet', tmp_path / 'm.parquet', '--store', tmp_path / 'store', '--start', span[0],
                   '--end', span[1], '--strict')
    assert (outcome.status, outcome.err) == (0, '')
    store = MarketStore.open(tmp_path / 'store')
    assert [str(day) for day in store.span()] == span and len(store.days) == len(days) - 4
    assert len(store.findings()) == 0
