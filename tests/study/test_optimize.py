"""The grid: scripts/optimize.py, its results, and going on after an interruption."""

import json

import pytest

from bt_microcap.commands.grid_arguments import values
from bt_microcap.feeds.demo import demo_market
from bt_microcap.record import statistics
from tests.support.running import run_market
from tests.support.script_calls import call, one_error_line
from tests.support.sweeping import figures, killed, rows, sweep

# against the market, which the single run here is not compared with
AGAINST = 'alpha', 'beta', 'tracking_error', 'information_ratio', 'information_ratio_annual', 'excess_return'
GRID = ['--stocknum', '1:3', '--refresh-rate', '5,10', '--no-plot']


@pytest.mark.parametrize('cpus', ['1', '2'])
def test_each_row_is_a_run_of_its_own(tmp_path, data, cpus):
    outcome = call('optimize', '--data', data, *GRID, '--maxcpus', cpus, '--out', tmp_path)
    assert (outcome.status, outcome.err) == (0, '')
    found = rows(tmp_path)
    assert [(row['stocknum'], row['refresh_rate']) for row in found] == [
        ('1', '5'), ('1', '10'), ('2', '5'), ('2', '10'), ('3', '5'), ('3', '10')]
    table = demo_market(60, years=1, seed=3)
    for row in (found[0], found[5]):
        single = run_market(table, stocknum=int(row['stocknum']), refresh_rate=int(row['refresh_rate'])).analyzers.blotter
        expected = statistics.statistics(single, 1e6)
        same = [name for name in expected if name in row and expected[name] is not None and name not in AGAINST]
        assert {name: figures(row)[name] for name in same} == {name: expected[name] for name in same}
        assert len(same) > 34
    names = 'stocknum,refresh_rate,total_return,annual_return,sharpe,max_drawdown,turnover,fees,cagr,volatility,sortino'
    assert list(found[0])[:11] == names.split(',')
    assert list(found[0])[-2:] == ['trades', 'rejections']
    assert 'best 5 of 6' in outcome.out


def test_what_is_there_is_not_run_again(tmp_path, data):
    assert call('optimize', '--data', data, *GRID, '--out', tmp_path).status == 0
    before = (tmp_path / 'results.csv').read_text()
    marked = before.replace(before.splitlines()[1].split(',')[2], '0.125', 1)
    (tmp_path / 'results.csv').write_text(marked)
    assert sweep(data, tmp_path, '--stocknum', '1:4', '--refresh-rate', '5,10').status == 0
    found = rows(tmp_path)
    assert len(found) == 8
    assert found[0]['total_return'] == '0.125'  # taken over, not computed anew


def test_interrupted_it_goes_on(tmp_path, data):
    out = tmp_path / 'sweep'
    first = killed(data, out, '--stocknum', '1:40', '--refresh-rate', '1')
    assert 1 <= len(first) < 40
    outcome = sweep(data, out, '--stocknum', f'1:{len(first) + 1}', '--refresh-rate', '1')
    assert (outcome.status, outcome.err) == (0, '')
    assert rows(out)[:len(first)] == first
    assert len(rows(out)) == len(first) + 1


def test_results_of_another_market_are_not_mixed_in(tmp_path, data):
    assert sweep(data, tmp_path, '--stocknum', '1', '--refresh-rate', '5').status == 0
    before = (tmp_path / 'results.csv').read_bytes()
    line = one_error_line(call('optimize', '--data', data, '--stocknum', '1', '--refresh-rate', '5', '--cash', '5e5', '--no-plot',
                               '--out', tmp_path))
    for text in (str(tmp_path / 'settings.json'), 'cash 1000000.0', 'found 500000.0', '--out'):
        assert text in line
    other = tmp_path / 'market.parquet'
    demo_market(60, years=1, seed=4).to_parquet(other, index=False)
    settings = json.loads((tmp_path / 'settings.json').read_text())
    (tmp_path / 'settings.json').write_text(json.dumps({**settings, 'data': str(other)}))
    line = one_error_line(sweep(other, tmp_path, '--stocknum', '1', '--refresh-rate', '5'))
    assert 'content' in line
    assert (tmp_path / 'results.csv').read_bytes() == before


def test_a_broken_row_is_named(tmp_path, data):
    assert sweep(data, tmp_path, '--stocknum', '1', '--refresh-rate', '5').status == 0
    with open(tmp_path / 'results.csv', 'a') as stream:
        stream.write('2,5,0.1\n')
    line = one_error_line(sweep(data, tmp_path, '--stocknum', '2', '--refresh-rate', '5'))
    for text in ('results.csv, line 3', "'2,5,0.1'", 'expected 54 numbers', 'remove the line'):
        assert text in line


def test_the_heatmap_is_drawn(tmp_path, data):
    assert call('optimize', '--data', data, '--stocknum', '1:2', '--refresh-rate', '5,10', '--out', tmp_path).status == 0
    assert (tmp_path / 'heatmap.png').read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize('text', ['0', '1:', 'three', '5:1', '1,1', '1:9:0', '-1'])
def test_wrong_ranges(tmp_path, data, text):
    line = one_error_line(call('optimize', '--data', data, f'--stocknum={text}', '--out', tmp_path / 'out'))
    assert f'found {text!r}' in line
    assert '1:10' in line
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(('text', 'numbers'), [
    ('1:4', [1, 2, 3, 4]), ('1:10:3', [1, 4, 7, 10]), ('5,1', [5, 1]), ('1:2,10', [1, 2, 10]), ('7', [7])])
def test_ranges(text, numbers):

    assert values(text) == numbers


def test_the_luck_of_the_choice_is_said_and_written(tmp_path, data):
    pytest.importorskip('ffn')
    given = '--stocknum', '1:3', '--refresh-rate', '3,5'
    outcome = sweep(data, tmp_path / 'out', *given, '--by', 'sharpe', '--blocks', 4)
    assert (outcome.status, outcome.err) == (0, '')
    said = json.loads((tmp_path / 'out' / 'overfitting.json').read_text('utf-8'))
    best = max(rows(tmp_path / 'out'), key=lambda row: float(row['sharpe']))
    assert (said['by'], said['best']) == ('sharpe', {'stocknum': best['stocknum'], 'refresh_rate': best['refresh_rate']})
    assert (said['runs'], said['different_runs'], said['blocks']) == (6, 6, 4)
    assert said['best_sharpe'] == pytest.approx(float(best['sharpe']), rel=1e-9)
    assert any(line.startswith(f'deflated Sharpe ratio {said["deflated_sharpe_ratio"]:.2f}: ') for line in outcome.lines)
    assert any(f'probability of overfitting {said["probability_of_overfitting"]:.0%}: ' in line and '(4 blocks)' in line
               for line in outcome.lines)
    # of one run alone there is no choice
    assert sweep(data, tmp_path / 'out', '--stocknum', 3, '--refresh-rate', 5, '--by', 'sharpe').status == 0
    assert not (tmp_path / 'out' / 'overfitting.json').exists()


@pytest.mark.parametrize('text', ['3', '0', '22', 'ten'])
def test_blocks_that_are_none(tmp_path, data, text):
    line = one_error_line(call('optimize', '--data', data, '--blocks', text, '--out', tmp_path / 'out'))
    assert f'argument --blocks: found {text!r}, expected an even number from 2 to 20' in line
