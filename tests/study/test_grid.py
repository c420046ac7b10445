"""A grid over any params: its dimensions, its files, going on after an interruption, and what is refused."""

import json

import pytest

import bt_microcap.study.grid as grid
from tests.support.script_calls import call, one_error_line
from tests.support.sweeping import figures, killed, rows, sweep


def test_every_combination_the_last_one_fastest():
    assert grid.combinations({'a': [1, 2], 'b': ['x', 'y'], 'c': [()]}) == [
        {'a': 1, 'b': 'x', 'c': ()}, {'a': 1, 'b': 'y', 'c': ()}, {'a': 2, 'b': 'x', 'c': ()}, {'a': 2, 'b': 'y', 'c': ()}]


@pytest.mark.parametrize('cpus', [1, 2])
def test_dimensions_of_every_type(tmp_path, data, cpus):
    outcome = sweep(data, tmp_path / 'out', '--maxcpus', cpus, '--stocknum', '2', '--grid', 'keep=no,yes', '--grid',
                    'empty_months=none;4;1,4', '--grid', 'rank=market_cap', '--grid', 'max_cap=3e9,inf')
    assert (outcome.status, outcome.err) == (0, '')
    found = rows(tmp_path / 'out')
    assert list(found[0])[:6] == ['stocknum', 'keep', 'empty_months', 'rank', 'max_cap', 'total_return']
    assert [tuple(row.values())[:5] for row in found] == [
        ('2', keep, months, 'market_cap', cap) for keep in ('no', 'yes') for months in ('none', '4', '1,4')
        for cap in ('3e9', 'inf')]
    # each is the run of that very combination
    single = call('backtest', '--data', data, '--no-plot', '--out', tmp_path / 'single', '--stocknum', 2, '--set', 'keep=yes',
                  '--set', 'empty_months=1,4', '--set', 'max_cap=inf')
    assert single.status == 0
    expected = json.loads((tmp_path / 'single' / 'summary.json').read_text('utf-8'))
    assert {name: value for name, value in figures(found[-1]).items() if name in expected} == {
        name: expected[name] for name in grid.FIGURES if name in expected}
    assert len({row['total_return'] for row in found}) == 6  # the smallest are the same whatever the upper end of the band
    heads = outcome.lines[0].split()
    assert heads[:5] == ['stocknum', 'keep', 'empty_months', 'rank', 'max_cap']
    assert outcome.lines[-1] == (f'best 5 of 12 by annual return; written {tmp_path / "out"}/: results.csv, returns.parquet, '
                                 'settings.json, overfitting.json')
    best = max(found, key=lambda row: float(row['annual_return']))
    assert outcome.lines[1].split()[:5] == list(best.values())[:5]


@pytest.mark.parametrize(('arguments', 'count', 'names'), [
    ([], 20, ['stocknum', 'refresh_rate']),
    (['--stocknum', '1:2'], 8, ['stocknum', 'refresh_rate']),
    (['--refresh-rate', '5'], 5, ['stocknum', 'refresh_rate']),
    (['--set', 'stocknum=2'], 4, ['refresh_rate']),
    (['--set', 'weekday=2'], 5, ['stocknum']),  # the refresh rate is of no effect then
    (['--set', 'weekday=2', '--refresh-rate', '5'], 5, ['stocknum', 'refresh_rate']),
    (['--grid', 'weekday=1:5'], 5, ['weekday']),
    (['--grid', 'weekday=1:5:2', '--stocknum', '3'], 3, ['stocknum', 'weekday']),
])
def test_which_dimensions_there_are(arguments, count, names, tmp_path, data, monkeypatch):
    asked = []

    def instead(setting, dimensions, *rest, **more):
        asked.append((dimensions, setting.params))
        return [], None

    monkeypatch.setattr(grid, 'sweep', instead)
    assert sweep(data, tmp_path, *arguments).status == 0
    (dimensions, params), = asked
    assert list(dimensions) == names
    assert len(grid.combinations(dimensions)) == count
    assert params == ({arguments[1].split('=')[0]: 2} if '--set' in arguments else {})


def test_what_is_fixed_is_in_every_run(tmp_path, data):
    fixed = '--preset', 'ten_weekly', '--set', 'min_listed_days=0'
    assert sweep(data, tmp_path / 'one', *fixed, '--grid', 'stocknum=4').status == 0
    single = call('backtest', '--data', data, '--no-plot', '--out', tmp_path / 'two', *fixed, '--stocknum', 4)
    assert single.status == 0
    expected = json.loads((tmp_path / 'two' / 'summary.json').read_text('utf-8'))
    row, = rows(tmp_path / 'one')
    assert {name: value for name, value in figures(row).items() if name in expected} == {
        name: expected[name] for name in grid.FIGURES if name in expected}
    assert set(grid.FIGURES) - set(expected) == {
        'filled_share', 'traded_value', 'end_holdings_value', 'end_sale_cost', 'commission_yuan', 'tax_yuan', 'transfer_fee_yuan',
        'slippage_yuan'}
    assert expected['trades'] > 10
    settings = json.loads((tmp_path / 'one' / 'settings.json').read_text('utf-8'))
    assert (settings['preset'], settings['strategy'], settings['dimensions']) == ('ten_weekly', 'MicroCapStrategy', ['stocknum'])
    assert 'stocknum' not in settings['params']
    assert (settings['params']['weekday'], settings['params']['max_cap']) == (1, 'inf')


def test_more_values_of_the_same_dimensions(tmp_path, data):
    assert sweep(data, tmp_path, '--grid', 'stop_loss=0,0.1', '--grid', 'keep=yes').status == 0
    first = (tmp_path / 'results.csv').read_text()
    marked = first.replace(first.splitlines()[2].split(',')[2], '0.125', 1)  # taken over, not computed anew
    (tmp_path / 'results.csv').write_text(marked)
    assert sweep(data, tmp_path, '--grid', 'stop_loss=0.05,0.10', '--grid', 'keep=yes,no').status == 0
    assert [(row['stop_loss'], row['keep']) for row in rows(tmp_path)] == [
        ('0.05', 'yes'), ('0.05', 'no'), ('0.1', 'yes'), ('0.1', 'no'), ('0', 'yes')]
    assert rows(tmp_path)[2]['total_return'] == '0.125'


@pytest.mark.parametrize(('arguments', 'said'), [
    (['--grid', 'keep=yes'], "the folder has results with dimensions ['stop_loss'], found ['keep'] now"),
    (['--grid', 'stop_loss=0.1', '--set', 'keep=yes'], 'the folder has results with params keep False, found True now'),
    (['--grid', 'stop_loss=0.1', '--preset', 'ten_weekly'], "the folder has results with preset None, found 'ten_weekly' now"),
    (['--grid', 'stop_loss=0.1', '--profile', 'joinquant'], "results with profile 'realistic', found 'joinquant' now"),
])
def test_results_of_another_grid_are_not_mixed_in(arguments, said, tmp_path, data):
    assert sweep(data, tmp_path, '--grid', 'stop_loss=0.1').status == 0
    before = (tmp_path / 'results.csv').read_bytes()
    assert said in one_error_line(sweep(data, tmp_path, *arguments))
    assert (tmp_path / 'results.csv').read_bytes() == before


def test_killed_it_goes_on(tmp_path, data):
    out = tmp_path / 'sweep'
    fixed = ['--grid', 'keep=yes,no', '--no-plot', '--out', str(out)]
    first = killed(data, out, '--grid', 'rebuy_ban=0:20', '--grid', 'keep=yes,no')
    assert 1 <= len(first) < 42
    count = -(-(len(first) + 1) // 2)
    outcome = call('optimize', '--data', data, '--grid', f'rebuy_ban=0:{count - 1}', *fixed)
    assert (outcome.status, outcome.err) == (0, '')
    assert rows(out)[:len(first)] == first
    assert len(rows(out)) == 2 * count


# -------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(('arguments', 'said'), [
    (['--grid', 'stop_loss=0,2'], 'stop_loss=2: stop_loss is 2.0: expected a fraction below 1'),
    (['--grid', 'weekday=1:7'], 'weekday=6: '),
    (['--grid', 'stop_loss=0,much'], "--grid stop_loss=0,much: found 'much', expected a number, such as 0"),
    (['--grid', 'weekday=1:x'], "--grid weekday=1:x: found '1:x', expected whole numbers as 1,5,10 or 1:10 or 1:10:3"),
    (['--grid', 'weekday=5:1'], "found '5:1', expected whole numbers"),
    (['--grid', 'weekday=1:99999999999'], "found '1:99999999999', expected whole numbers"),
    (['--grid', 'stop_loss=0.1,0.10'], 'found 0.1 twice, expected each value once'),
    (['--grid', 'empty_months=1,4;1,4'], 'found 1,4 twice, expected each value once'),
    (['--grid', 'stop_los=0.1'], 'MicroCapStrategy has no param stop_los; did you mean stop_loss?'),
    (['--grid', 'stop_loss'], "argument --grid: found 'stop_loss', expected NAME=VALUE"),
    (['--grid', 'keep=yes', '--grid', 'keep=no'], '--grid keep=no: keep is given twice'),
    (['--stocknum', '1', '--grid', 'stocknum=2'], '--grid stocknum=2: stocknum is given twice'),
    (['--set', 'stop_loss=0.1', '--grid', 'stop_loss=0.2'], 'stop_loss is one of the grid and also given as 0.1; give it once'),
    (['--grid', 'overlays=none'], 'overlays takes no text but pieces of a strategy'),
    (['--grid', 'rebuy_ban=0:999', '--grid', 'cooldown=0:999'], 'found 1,000,000 combinations, expected at most 100,000'),
    (['--grid', 'min_cap=20,30', '--set', 'max_cap=40'], 'no market cap of the data lies between min_cap 20 and max_cap 40 yuan'),
])
def test_it_is_said_before_anything_is_run(arguments, said, tmp_path, data):
    line = one_error_line(sweep(data, tmp_path / 'out', *arguments))
    assert said in line
    assert not (tmp_path / 'out').exists()


def test_an_empty_band_is_named(tmp_path, data):
    line = one_error_line(sweep(data, tmp_path / 'out', '--grid', 'max_cap=3e9,2.0000001e9', '--grid', 'keep=yes,no'))
    assert line.startswith('error: max_cap=2000000100: no market cap of the data lies between min_cap 2e9 and max_cap 2e9 yuan')
    assert not (tmp_path / 'out').exists()
