"""--joinquant SCRIPT.py: what backtest and optimize make of a JoinQuant script, and a cerebro script with a grid of its g."""

import csv
import json

import backtrader as bt
import pytest

from bt_microcap import Blotter, save_run, setup
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.store import MarketStore
from bt_microcap.joinquant.strategy import JoinQuantStrategy
from tests.support.script_calls import call, one_error_line

SCRIPT = """
from jqdata import *


def initialize(context):
    set_option('use_real_price', True)
    set_benchmark('000300.XSHG')
    g.stocknum = 3
    g.share = 0.9
    g.boards = ['60', '00']
    g.loud = True
    g.title = 'small'
    run_weekly(rotate, 1, '9:30')
    run_daily(evening, '15:30')


def rotate(context):
    stocks = [s for s in get_fundamentals(query(valuation.code).order_by(valuation.market_cap.asc()))['code']
              if s[:2] in g.boards][:g.stocknum]
    for s in context.portfolio.positions:
        if s not in stocks:
            order_target(s, 0)
    for s in stocks:
        order_target_value(s, context.portfolio.total_value * g.share / g.stocknum)
    if g.loud:
        log.info(g.title, len(stocks))


def evening(context):
    record(holdings=len(context.portfolio.positions), cash=context.portfolio.cash)
"""
COSTLY = SCRIPT.replace('    g.stocknum = 3\n', """    g.stocknum = 3
    set_order_cost(OrderCost(open_commission=0.001, close_commission=0.001, close_tax=0.001, min_commission=7), type='stock')
    set_slippage(FixedSlippage(0.02))
""")
FILES = {'trades.csv', 'equity.csv', 'rejections.csv', 'orders.csv', 'corporate_actions.csv', 'positions.csv', 'round_trips.csv',
         'picks.csv', 'missed.csv', 'prices.csv', 'summary.json', 'indices.csv', 'record.csv', 'log.txt'}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp('market') / 'market.parquet'
    demo_market(40, '2021-03-01', days=40, seed=3).to_parquet(path, index=False)
    return path


@pytest.fixture
def script(tmp_path):
    path = tmp_path / 'small_caps.py'
    path.write_text(SCRIPT, encoding='utf-8')
    return path


@pytest.fixture
def run(data, script, tmp_path):
    """Run the command, and return summary.json and the folder."""

    def call_it(*arguments, out='out'):
        outcome = call('backtest', '--data', data, '--no-plot', '--out', tmp_path / out, '--joinquant', script, *arguments)
        assert outcome.status == 0, outcome.err
        return json.loads((tmp_path / out / 'summary.json').read_text('utf-8')), tmp_path / out

    return call_it


@pytest.fixture
def refused(data, script, tmp_path):
    """Hold a refusal against the contract, and return its line."""

    def call_it(*arguments, command='backtest', file=script, table=data):
        line = one_error_line(call(command, '--data', table, '--no-plot', '--out', tmp_path / 'refused', '--joinquant', file,
                                   *arguments))
        assert not (tmp_path / 'refused').exists()
        return line

    return call_it


def rows(path):
    with open(path, encoding='utf-8', newline='') as stream:
        return list(csv.DictReader(stream))


def logged(folder):
    """Return what the script itself has logged."""
    return [line.split(' - ')[2] for line in (folder / 'log.txt').read_text('utf-8').splitlines() if 'Order(' not in line]


# -------------------------------------------------------------------------------------------------- backtest


def test_the_files_of_a_run(run, script):
    summary, folder = run()
    assert {path.name for path in folder.iterdir()} == FILES
    assert (summary['strategy'], summary['profile'], summary['preset']) == (str(script), 'joinquant', None)
    assert summary['title'] == 'small_caps.py (joinquant)'
    assert summary['strategy_content']  # a checksum of the script
    assert (summary['conventions']['days_a_year'], summary['rules']['slippage']) == (250, 0.00246)
    days = len(rows(folder / 'equity.csv'))
    assert days == 39  # the first of 40 is the day before
    assert len(rows(folder / 'record.csv')) == 2 * days  # two names
    # the run begins on Tuesday the 2nd of March, and then there are seven more weeks
    assert logged(folder) == ['small 3'] * 8
    assert {row['why'] for row in rows(folder / 'orders.csv')} == {'rotate'}


def test_what_is_recorded_is_the_account(run):
    _, folder = run()
    recorded = [row for row in rows(folder / 'record.csv') if row['name'] == 'cash']
    equity = rows(folder / 'equity.csv')
    assert [row['date'] for row in recorded] == [row['date'] for row in equity]
    assert [float(row['value']) for row in recorded] == [float(row['cash']) for row in equity]


def test_the_benchmark_of_the_script_is_missed_in_one_warning(data, script, tmp_path):
    outcome = call('backtest', '--data', data, '--no-plot', '--out', tmp_path / 'out', '--joinquant', script)
    said = [line for line in outcome.err.splitlines() if 'benchmark' in line]
    assert len(said) == 1
    assert '000300' in said[0]
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text('utf-8'))
    assert any('000300' in note for note in summary['notes'])


def test_no_log_and_no_record_are_left_of_a_run_before(data, run, tmp_path):
    _, folder = run()
    assert call('backtest', '--data', data, '--no-plot', '--out', folder, '--min-cap', 0, '--max-cap', 1e12).status == 0
    assert not {'log.txt', 'record.csv'} & {path.name for path in folder.iterdir()}


def test_a_script_that_records_nothing_has_no_record(run, script):
    script.write_text(SCRIPT.replace('    record(', '    dict('), 'utf-8')
    _, folder = run()
    assert {path.name for path in folder.iterdir()} == FILES - {'record.csv'}


def test_the_profile_realistic(run):
    summary, folder = run('--profile', 'realistic')
    assert (summary['profile'], summary['conventions']['days_a_year']) == ('realistic', 252)
    assert summary['rules']['transfer_fee'] == 'dated'
    # of buys, too: 0.002 % of the value, the exchanges' fee of 2021
    first = rows(folder / 'trades.csv')[0]
    assert float(first['transfer_fee']) == pytest.approx(2e-5 * int(first['quantity']) * float(first['price']))


def test_of_the_rules_what_the_command_line_says_counts(run, script):
    script.write_text(COSTLY, 'utf-8')
    summary, folder = run()
    first = rows(folder / 'trades.csv')[0]
    assert float(first['commission']) == pytest.approx(max(7.0, 0.001 * int(first['quantity']) * float(first['price'])))
    assert (summary['rules']['commission'], summary['rules']['slippage'], summary['rules']['slippage_ticks']) == (0.001, 0.0, 1.0)
    summary, folder = run('--commission', '0.0002', out='own')
    first = rows(folder / 'trades.csv')[0]
    assert float(first['commission']) == pytest.approx(max(7.0, 0.0002 * int(first['quantity']) * float(first['price'])))


@pytest.mark.parametrize(('given', 'said'), [
    (['g.stocknum=5'], 'small 5'), (['g.title=1'], '1 3'), (['g.boards=00'], 'small 3'), (['g.boards=none'], 'small 0'),
    (['g.stocknum=2', 'g.title=two of them'], 'two of them 2'),
])
def test_set_changes_what_initialize_puts_into_g(run, given, said):
    summary, folder = run(*(part for each in given for part in ('--set', each)))
    assert set(logged(folder)) == {said}
    assert summary['title'] == f'small_caps.py, {", ".join(given)} (joinquant)'


def test_set_of_other_types(run):
    _, folder = run('--set', 'g.loud=no', '--set', 'g.share=0')
    assert not (folder / 'log.txt').exists() or not logged(folder)
    assert rows(folder / 'trades.csv') == []
    codes = {row['code'][:2] for row in rows(run('--set', 'g.boards=30,68', out='other')[1] / 'orders.csv')}
    assert codes <= {'30', '68'}
    assert codes


@pytest.mark.parametrize(('arguments', 'text'), [
    (('--set', 'g.stocknumm=5'), 'did you mean g.stocknum?'),
    (('--set', 'g.xyz=5'), 'puts no xyz into g when it begins; it has stocknum, share, boards, loud, title'),
    (('--set', 'stocknum=5'), 'g.stocknum'),
    (('--set', 'g.stocknum=many'), 'g.stocknum=many: expected a whole number, such as 3'),
    (('--set', 'g.stocknum=2.5'), 'g.stocknum=2.5: expected a whole number, such as 3'),
    (('--set', 'g.share=half'), 'g.share=half: expected a number, such as 0.9'),
    (('--set', 'g.loud=perhaps'), 'g.loud=perhaps: expected yes or no'),
    (('--set', 'g.stocknum=2', '--set', 'g.stocknum=3'), 'is given twice'),
    (('--preset', 'ten_weekly'), 'are two strategies; give one'),
    (('--strategy', 'mine.py:Mine'), 'are two strategies; give one'),
    (('--stocknum', '5'), 'stocknum'),
    (('--min-cap', '1e9'), 'min_cap'),
])
def test_what_is_refused(refused, arguments, text):
    assert text in refused(*arguments)


def test_a_missing_file(refused, tmp_path):
    assert 'missing.py' in refused(file=tmp_path / 'missing.py')


@pytest.mark.parametrize(('old', 'new', 'text'), [
    ('valuation.market_cap.asc()', 'indicator.roe.desc()', 'needs columns: indicator.roe (line 18)'),
    ('valuation.market_cap.asc()', 'valuation.pb_ratio.asc()', 'pb_ratio'),
    ('    for s in stocks:', '    for s in stocks', 'line 23'),
    ("record(", "get_ticks(", 'get_ticks() is not supported'),
    ("    run_weekly(rotate, 1, '9:30')\n    run_daily(evening, '15:30')\n", '', 'nothing is to run'),
    ('    g.stocknum = 3\n', '    g.stocknum = 1 // 0\n', 'line 8, in initialize(): ZeroDivisionError'),
])
def test_a_script_that_cannot_run_is_refused_in_one_line(refused, script, old, new, text):
    assert old in SCRIPT
    script.write_text(SCRIPT.replace(old, new), 'utf-8')
    line = refused()
    assert 'small_caps.py' in line
    assert text in line


def test_a_second_run_writes_the_same_files(run):
    first, again = run()[1], run(out='again')[1]
    assert {path.name for path in again.iterdir()} == FILES
    for name in FILES:
        assert (first / name).read_bytes() == (again / name).read_bytes(), name


def test_a_report(run, script):
    pytest.importorskip('bokeh')
    pytest.importorskip('jinja2')
    # with costs that the script sets itself: without them means without these, too
    script.write_text(COSTLY, 'utf-8')
    _, folder = run('--report', '--random-picks', '5')
    assert 'small_caps.py (joinquant)' in (folder / 'report.html').read_text('utf-8')
    script.write_text(COSTLY.replace('0.001', '0').replace('_commission=7', '_commission=0').replace('0.02', '0'), 'utf-8')
    _, free = run(out='free')
    assert [float(row['growth']) for row in rows(folder / 'without_costs.csv')] == pytest.approx(
        [float(row['total_value']) / 1e6 for row in rows(free / 'equity.csv')], abs=1e-6)
    assert float(rows(folder / 'equity.csv')[-1]['total_value']) < float(rows(free / 'equity.csv')[-1]['total_value']) - 1000


# ---------------------------------------------------------------------------------- a grid, and cerebro scripts


def test_optimize_over_g(data, script, tmp_path):
    out = tmp_path / 'sweep'
    outcome = call('optimize', '--data', data, '--joinquant', script, '--grid', 'g.stocknum=2:4', '--set', 'g.share=0.5',
                   '--maxcpus', 1, '--no-plot', '--out', out)
    assert outcome.status == 0, outcome.err
    found = rows(out / 'results.csv')
    assert [row['g.stocknum'] for row in found] == ['2', '3', '4']
    assert len({row['annual_return'] for row in found}) == 3
    assert all(int(row['trades']) > 0 for row in found)


def test_each_row_of_a_grid_is_its_backtest(data, script, run, tmp_path):
    out = tmp_path / 'sweep'
    assert call('optimize', '--data', data, '--joinquant', script, '--grid', 'g.stocknum=2,4', '--maxcpus', 2, '--no-plot',
                '--out', out).status == 0
    for row in rows(out / 'results.csv'):
        summary, _ = run('--set', f'g.stocknum={row["g.stocknum"]}', out=row['g.stocknum'])
        assert float(row['annual_return']) == pytest.approx(summary['annual_return'], rel=1e-9)
        assert int(row['trades']) == summary['trades']


@pytest.mark.parametrize(('grid', 'text'), [('g.stocknumm=2:4', 'g.stocknum'), ('g.stocknum=2,many', 'g.stocknum=many')])
def test_a_grid_of_what_the_script_does_not_have(refused, grid, text):
    assert text in refused('--grid', grid, command='optimize')


def cerebro_with(data, **options):
    cerebro = bt.Cerebro(stdstats=False, **options)
    cerebro.adddata(MarketFeed(dataname=MarketStore.from_table(demo_market(40, '2021-03-01', days=40, seed=3))), name='market')
    setup(cerebro, 'joinquant', cash=1e6)
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro


@pytest.mark.parametrize('processes', [1, 2])
def test_optstrategy_over_g(data, script, run, processes):
    cerebro = cerebro_with(data, maxcpus=processes)
    cerebro.optstrategy(JoinQuantStrategy, script=str(script), **{'g.stocknum': [2, 3]})
    results = [result for (result,) in cerebro.run()]
    assert [dict(result.params.g)['stocknum'] for result in results] == [2, 3]
    for result in results:
        count = dict(result.params.g)['stocknum']
        folder = run('--set', f'g.stocknum={count}', out=f'{count}')[1]
        # the same fills, one by one, as the command's
        assert [(str(fill.datetime), fill.code, fill.side, str(fill.quantity), str(fill.price))
                for fill in result.analyzers.blotter.fills] == [
            (row['datetime'], row['code'], row['side'], row['quantity'], row['price']) for row in rows(folder / 'trades.csv')]


def test_a_result_of_the_optimizer_is_saved_as_a_run(script, data, tmp_path):
    cerebro = cerebro_with(data, maxcpus=2)
    cerebro.optstrategy(JoinQuantStrategy, script=str(script), **{'g.stocknum': [2, 3]})
    result = cerebro.run()[1][0]
    summary = save_run(result, tmp_path / 'out', plot=False, show=False)
    assert (summary['strategy'], summary['profile']) == ('JoinQuantStrategy', 'joinquant')
    assert set(logged(tmp_path / 'out')) == {'small 3'}


def test_save_run_of_the_strategy(script, data, run, tmp_path):
    cerebro = cerebro_with(data)
    cerebro.addstrategy(JoinQuantStrategy, script=str(script), quiet=True)
    summary = save_run(cerebro.run()[0], tmp_path / 'own', plot=True, show=False)
    assert summary['strategy'] == 'JoinQuantStrategy'
    assert {path.name for path in (tmp_path / 'own').iterdir()} == FILES | {'equity.png'}
    folder = run()[1]
    for name in ('trades.csv', 'orders.csv', 'log.txt', 'record.csv', 'positions.csv', 'round_trips.csv'):
        assert (tmp_path / 'own' / name).read_bytes() == (folder / name).read_bytes(), name


def test_what_a_script_logs_is_printed_unless_quiet(script, data, capsys):
    for quiet in (False, True):
        cerebro = cerebro_with(data)
        cerebro.addstrategy(JoinQuantStrategy, script=str(script), quiet=quiet)
        strategy = cerebro.run()[0]
        assert ('INFO  - small 3' in capsys.readouterr().out) is not quiet
        assert any('INFO  - small 3' in line for line in strategy.log_lines)


def test_backtraders_own_analyzers_and_observers(script, data):
    cerebro = cerebro_with(data)
    for kind in (bt.analyzers.TimeReturn, bt.analyzers.DrawDown, bt.analyzers.Transactions, bt.analyzers.TradeAnalyzer,
                 bt.analyzers.SharpeRatio, bt.analyzers.PositionsValue):
        cerebro.addanalyzer(kind)
    cerebro.addobserver(bt.observers.Broker)
    cerebro.addstrategy(JoinQuantStrategy, script=str(script), quiet=True)
    strategy = cerebro.run()[0]
    analyzers, blotter = strategy.analyzers, strategy.analyzers.blotter
    growth = 1.0
    for change in analyzers.timereturn.get_analysis().values():
        growth *= 1 + change
    assert growth == pytest.approx(strategy.broker.getvalue() / 1e6)
    assert sum(map(len, analyzers.transactions.get_analysis().values())) == len(blotter.fills)
    assert analyzers.tradeanalyzer.get_analysis()['total']['closed'] == len(blotter.get_analysis()['round_trips'])
    assert 0 < analyzers.drawdown.get_analysis()['max']['drawdown'] < 100
    # what record() was given is drawn by an observer with a line a name
    recorded = next(each for each in strategy.observers if hasattr(each.lines, 'holdings'))
    assert recorded.lines.getlinealiases() == ('holdings', 'cash')
    assert (recorded.lines.holdings[0], recorded.lines.cash[0]) == (3.0, strategy.recorded['cash'][-1][1])
