"""The command heatmap: what it reads, says, draws and refuses."""

import json
import re

import pytest

from bt_microcap.__main__ import main
from bt_microcap.commands import optimize
from bt_microcap.commands.heatmap import values_of
from bt_microcap.feeds.demo import demo_market
from bt_microcap.study.ledger import JOURNAL
from tests.support.sweeping import rows as rows_of

SETTINGS = {'dimensions': ['stocknum', 'refresh_rate', 'stop_loss'], 'data': 'the demo market', 'strategy': 'MicroCapStrategy',
            'preset': None, 'profile': 'realistic'}
# the combination stocknum 10, refresh_rate 5, stop_loss 0.09 was skipped, and has no row
TABLE = """\
stocknum,refresh_rate,stop_loss,annual_return,sharpe,max_drawdown,payoff
2,5,0,0.10,1.00,0.30,
2,5,0.09,0.30,3.00,0.40,
2,20,0,0.60,2.00,0.20,
2,20,0.09,0.20,2.00,0.50,
10,5,0,-0.10,-1.00,0.90,
10,20,0,0.00,0.00,0.60,
10,20,0.09,0.20,1.00,0.70,
"""


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / 'sweep'
    path.mkdir()
    (path / 'settings.json').write_text(json.dumps(SETTINGS), encoding='utf-8')
    (path / 'results.csv').write_text(TABLE, encoding='utf-8')
    return path


@pytest.fixture
def said(capsys):
    def call(*arguments):
        assert main(['heatmap', *map(str, arguments)]) == 0
        got = capsys.readouterr()
        assert got.err == ''
        return got.out.splitlines()

    return call


@pytest.fixture
def refused(capsys):
    def call(*arguments):
        assert main(['heatmap', *map(str, arguments)]) == 2
        got = capsys.readouterr()
        assert got.out == '' and got.err.startswith('error: ') and got.err.count('\n') == 1
        return got.err.removeprefix('error: ').rstrip('\n')

    return call


def is_picture(path):
    return path.read_bytes().startswith(b'\x89PNG')


# -- what it says -----------------------------------------------------------------------------------------------------------


def test_the_first_two_params_and_the_mean_over_the_third(folder, said):
    # annual return 0.2 and 0.4 of stocknum 2, -0.1 and 0.1 of 10; Sharpe 2 and 2, -1 and 0.5
    assert said(folder) == [
        'mean over stop_loss',
        'annual return',
        '  best: 40.0% at stocknum=2 refresh_rate=20; mean of its 3 neighbours 6.7%',
        '  best plateau: around the best, mean of 4 cells 15.0%',
        '  note: 1 of 4 cells are the mean of fewer than 2 runs',
        'Sharpe ratio',
        '  best: 2.00 at stocknum=2 refresh_rate=5; mean of its 3 neighbours 0.50',
        '  best plateau: around the best, mean of 4 cells 0.88',
        '  note: 1 of 4 cells are the mean of fewer than 2 runs',
        f'written {folder}/heatmap_refresh_rate_stocknum.png',
    ]
    assert is_picture(folder / 'heatmap_refresh_rate_stocknum.png')
    assert sorted(path.name for path in folder.iterdir()) == ['heatmap_refresh_rate_stocknum.png', 'results.csv', 'settings.json']


def test_two_others_with_the_third_fixed(folder, said, tmp_path):
    out = tmp_path / 'mine.PNG'
    assert said(folder, '--x', 'stop-loss', '--y', 'refresh_rate', '--at', 'stocknum=10', '--figure', 'max-drawdown', 'sharpe',
                '--out', out) == [
        'fixed at stocknum=10',
        'max drawdown',
        '  best: 60.0% at refresh_rate=20 stop_loss=0; mean of its 2 neighbours 80.0%',
        '  best plateau: around the best, mean of 3 cells 73.3%',
        '  note: 1 of 4 cells are blank',
        'Sharpe ratio',
        '  best: 1.00 at refresh_rate=20 stop_loss=0.09; mean of its 2 neighbours -0.50',
        '  best plateau: around the best, mean of 3 cells 0.00',
        '  note: 1 of 4 cells are blank',
        f'written {out}',
    ]
    assert is_picture(out)


def test_one_row_whose_best_plateau_is_elsewhere(folder, said):
    table = ['stocknum,annual_return', *(f'{number},{value}' for number, value in enumerate((1, 8, 0, 5, 6)))]
    (folder / 'results.csv').write_text('\n'.join(table) + '\n', encoding='utf-8')
    (folder / 'settings.json').write_text(json.dumps({**SETTINGS, 'dimensions': ['stocknum']}), encoding='utf-8')
    assert said(folder, '--figure', 'annual_return') == [
        'annual return',
        '  best: 800.0% at stocknum=1; mean of its 2 neighbours 50.0%',
        '  best plateau: around stocknum=4, mean of 2 cells 550.0%; around the best 300.0%',
        f'written {folder}/heatmap_stocknum.png',
    ]


def test_a_figure_that_no_run_has(folder, said):
    assert said(folder, '--figure', 'payoff', '--at', 'stop_loss=0')[:3] == [
        'fixed at stop_loss=0', 'payoff', '  no run has this figure']


def test_a_value_that_is_typed_otherwise(folder, said):
    assert said(folder, '--at', 'stop_loss=9e-2', '--figure', 'annual_return')[:3] == [
        'fixed at stop_loss=0.09', 'annual return',
        '  best: 30.0% at stocknum=2 refresh_rate=5; mean of its 2 neighbours 20.0%']


def test_figures_with_commas_each_once(folder, said):
    lines = said(folder, '--figure', 'sharpe,payoff', '--figure', 'sharpe')
    assert [line for line in lines if not line.startswith(' ')] == [
        'mean over stop_loss', 'Sharpe ratio', 'payoff', f'written {folder}/heatmap_refresh_rate_stocknum.png']


def test_in_chinese(folder, said):
    assert said(folder, '--figure', 'annual_return', '--lang', 'zh') == [
        '对 stop_loss 取平均',
        '年化收益',
        '  最优：40.0%（stocknum=2 refresh_rate=20）；相邻 3 格平均 6.7%',
        '  最佳平台：就在最优格周围，共 4 格平均 15.0%',
        '  提示：4 格中有 1 格由不足 2 次回测平均得出',
        f'已写入 {folder}/heatmap_refresh_rate_stocknum.png',
    ]


def test_a_sweep_that_is_not_done(folder, said):
    (folder / JOURNAL).touch()
    assert 'note: the sweep was interrupted or is still at work; 7 runs are in results.csv' in said(folder)


def test_the_picture_of_optimize_stays(folder, said):
    (folder / 'heatmap.png').write_bytes(b'of optimize')
    said(folder)
    assert (folder / 'heatmap.png').read_bytes() == b'of optimize'


@pytest.mark.parametrize('texts, expected', [
    (['2', '10', '2e9', '0.09', 'inf'], [2, 10, 2e9, 0.09, float('inf')]),
    (['no', 'yes'], [False, True]),
    (['yes', '1'], ['yes', '1']),
    (['000300', '000905'], ['000300', '000905']),  # codes
    (['none', '4', '1,4'], ['none', '4', '1,4']),
    (['nan', '1'], ['nan', '1']),
])
def test_values_as_they_were(texts, expected):
    found = values_of(texts)
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


# -- what it refuses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('arguments, expected', [
    (('--x', 'stocknumb'), "--x stocknumb: found no param 'stocknumb' in the grid, expected one of stocknum, refresh_rate, "
                           'stop_loss; did you mean stocknum?'),
    (('--y', 'weekday'), "--y weekday: found no param 'weekday' in the grid, expected one of stocknum, refresh_rate, stop_loss"),
    (('--x', 'stocknum', '--y', 'stocknum'), '--x and --y: found stocknum as both, expected two params; leave one of them out'),
    (('--at', 'stop_loss=0.1'), '--at stop_loss=0.1: found no run with stop_loss=0.1, expected one of 0, 0.09'),
    (('--at', 'stop_los=0'), "--at stop_los=0: found no param 'stop_los' in the grid, expected one of stocknum, refresh_rate, "
                             'stop_loss; did you mean stop_loss?'),
    (('--at', 'stop_loss=0', 'stop_loss=0.09'), '--at stop_loss=0.09: stop_loss is given twice'),
    (('--x', 'stop_loss', '--at', 'stop_loss=0'), '--at stop_loss=0: stop_loss is also given as --x; give it once'),
    (('--at', 'stop_loss=0', 'stocknum=2', 'refresh_rate=5'),
     '--at: found every param of the grid (stocknum, refresh_rate, stop_loss), expected one that is left to draw'),
    (('--x', 'refresh_rate', '--at', 'stocknum=10', 'stop_loss=0.09', '--figure', 'calmar'),
     '{folder}/results.csv, line 1: found no column calmar, expected it among annual_return, sharpe, max_drawdown, payoff; it is '
     'of another version'),
    (('--out', '{folder}'), '{folder}: found a folder, expected a file to write; give another --out'),
    (('--out', '{folder}/results.csv'), '{folder}/results.csv: found a name that ends with .csv, expected one with .png; give '
                                        'another --out'),
    (('--out', '{folder}/a/b.png'), '{folder}/a/b.png: found no folder {folder}/a, expected one to write into; make it, or give '
                                    'another --out'),
])
def test_what_cannot_be_drawn(folder, refused, arguments, expected):
    before = sorted(folder.iterdir())
    given = [argument.replace('{folder}', str(folder)) for argument in arguments]
    assert refused(folder, *given) == expected.replace('{folder}', str(folder))
    assert sorted(folder.iterdir()) == before


def test_a_combination_that_was_skipped(folder, refused):
    lines = [line for line in TABLE.splitlines() if not line.startswith('10,20,0.09')]
    (folder / 'results.csv').write_text('\n'.join(lines) + '\n', encoding='utf-8')
    assert refused(folder, '--at', 'stocknum=10', 'stop_loss=0.09') == (
        '--at: found no run with stocknum=10 stop_loss=0.09: the strategy skipped them, or optimize was interrupted')


def test_no_such_figure(folder, refused):
    found = refused(folder, '--figure', 'sharp')
    assert found.startswith("--figure: found 'sharp', expected one of total_return, annual_return, sharpe, ")
    assert found.endswith('; did you mean sharpe?')
    names = 'total_return,annual_return,sharpe,max_drawdown,turnover,fees,cagr,volatility,sortino,calmar,skew,kurtosis,alpha'
    assert refused(folder, '--figure', names) == '--figure: found 13 figures, expected at most 12 in one picture'


def test_no_folder_of_optimize(tmp_path, folder, refused):
    assert refused(tmp_path / 'none') == f'{tmp_path}/none: found nothing, expected the folder that optimize has written'
    assert refused(folder / 'results.csv') == f'{folder}/results.csv: found a file, expected the folder that optimize has written'
    (folder / 'results.csv').unlink()
    assert refused(folder) == f'{folder}: found no results.csv, expected the folder that optimize has written'
    (folder / 'settings.json').unlink()
    assert refused(folder) == f'{folder}: found no settings.json, expected the folder that optimize has written'


@pytest.mark.parametrize('content', [b'', b'{', b'[]', b'{}', b'{"dimensions": []}', b'{"dimensions": [1]}', b'\xff'])
def test_damaged_settings(folder, refused, content):
    (folder / 'settings.json').write_bytes(content)
    assert refused(folder) == (f'{folder}/settings.json: found no list of dimensions, expected what optimize has written; run it '
                               'again')


@pytest.mark.parametrize('content, expected', [
    (b'', 'line 1: found the columns none, expected to begin with the dimensions of settings.json, stocknum, refresh_rate, '
          'stop_loss, and each once'),
    (b'stocknum,sharpe\n', 'line 1: found the columns stocknum, sharpe, expected to begin with the dimensions of settings.json, '
                           'stocknum, refresh_rate, stop_loss, and each once'),
    (TABLE.encode().splitlines(keepends=True)[0], 'found no run, expected one row a combination; run optimize again'),
    (TABLE.encode() + b'10,5,0.09\n', 'line 9: found 3 values, expected 7'),
    (TABLE.encode() + b'2,20,0,1,1,1,1\n', 'line 9: found the combination of line 4 again, expected each once; remove one of '
                                           'them'),
    (TABLE.encode().replace(b'0.60,2.00', b'many,2.00'), "line 4: found 'many' as annual_return, expected a number or nothing"),
    (b'\xff' + TABLE.encode(), 'cannot be read as a table '),
])
def test_damaged_results(folder, refused, content, expected):
    (folder / 'results.csv').write_bytes(content)
    found = refused(folder)
    assert re.sub(r'^.*?results\.csv(: |, )', '', found).startswith(expected)
    assert found.startswith(f'{folder}/results.csv')


# -- with optimize ----------------------------------------------------------------------------------------------------------


def test_of_a_sweep(tmp_path, said, monkeypatch, capsys):
    demo_market(60, years=1, seed=3).to_parquet(tmp_path / 'market.parquet', index=False)
    drawn = []
    monkeypatch.setattr(optimize, 'heatmap', lambda path, *rest, figures: drawn.append(figures))
    out = tmp_path / 'sweep'
    given = ['optimize', '--data', tmp_path / 'market.parquet', '--out', out, '--maxcpus', 1, '--stocknum', '2,4',
             '--refresh-rate', '5,20', '--grid', 'keep=no,yes']
    assert main([*map(str, given), '--by', 'max_drawdown']) == 0
    assert main([*map(str, given), '--by', 'sharpe']) == 0  # what is there is only read
    assert drawn == [['annual_return', 'sharpe', 'max_drawdown'], ['annual_return', 'sharpe']]
    capsys.readouterr()
    lines = said(out, '--figure', 'max_drawdown', '--at', 'keep=yes')
    runs = {(row['stocknum'], row['refresh_rate']): float(row['max_drawdown']) for row in rows_of(out) if row['keep'] == 'yes'}
    (stocknum, rate), least = min(runs.items(), key=lambda item: item[1])
    others = (sum(runs.values()) - least) / 3
    assert lines[:3] == ['fixed at keep=yes', 'max drawdown',
                         f'  best: {least:.1%} at stocknum={stocknum} refresh_rate={rate}; mean of its 3 neighbours {others:.1%}']
    assert is_picture(out / 'heatmap_refresh_rate_stocknum.png')
