"""--preset, --set and the options of the original: what the strategy gets, and what is said of wrong ones."""

import csv
import json
import math

import pytest

from bt_microcap import MicroCapStrategy
from bt_microcap.commands.strategy_arguments import read_value
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.errors import DataError
from bt_microcap.rotation.presets import PRESETS
from tests.support.script_calls import call, one_error_line

PARAMS = list(MicroCapStrategy.params._getkeys())


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp('market') / 'market.parquet'
    demo_market(40, '2021-03-01', days=50, seed=3).to_parquet(path, index=False)
    return path


@pytest.fixture
def run(data, tmp_path):
    def call_it(*arguments, out='out'):
        outcome = call('backtest', '--data', data, '--no-plot', '--out', tmp_path / out, *arguments)
        assert (outcome.status, outcome.err) == (0, '')
        return json.loads((tmp_path / out / 'summary.json').read_text('utf-8')), tmp_path / out

    return call_it


@pytest.fixture
def refused(data, tmp_path):
    def call_it(*arguments, command='backtest'):
        line = one_error_line(call(command, '--data', data, '--no-plot', '--out', tmp_path / 'refused', *arguments))
        assert not (tmp_path / 'refused').exists()
        return line

    return call_it


def days(folder, side):
    with open(folder / 'trades.csv', encoding='utf-8', newline='') as stream:
        return {row['datetime'] for row in csv.DictReader(stream) if row['side'] == side}


# ------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(('text', 'default', 'value'), [
    ('yes', False, True), ('true', False, True), ('no', True, False), ('False', True, False),
    ('7', 3, 7), ('-2', 3, -2),
    ('1e9', 2e9, 1e9), ('inf', 0.0, math.inf), ('0.09', 0.0, 0.09), ('3', 0.0, 3.0),
    ('1,4', (), (1, 4)), ('1, 4', (), (1, 4)), ('main,chinext', ('main',), ('main', 'chinext')), ('4', (), (4,)),
    ('none', (1,), ()), ('', (1,), ()),
    ('-roe', 'market_cap', '-roe'), ('', 'x', ''), ('1,4', '', '1,4'), ('none', 'x', 'none'),
    ('none', '', ''),
])
def test_values_are_read_by_the_type_of_the_default(text, default, value):
    found = read_value(text, 'anything', default, '--set')
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(('text', 'default', 'said'), [
    ('maybe', False, "--set x=maybe: found 'maybe', expected yes or no"),
    ('1', False, "--set x=1: found '1', expected yes or no"),
    ('2.5', 3, "--set x=2.5: found '2.5', expected a whole number, such as 3"),
    ('yes', 3, "--set x=yes: found 'yes', expected a whole number, such as 3"),
    ('nan', 0.5, "--set x=nan: found 'nan', expected a number, such as 0.5"),
    ('much', 2e9, "--set x=much: found 'much', expected a number, such as 2e9"),
])
def test_values_of_another_type(text, default, said):
    with pytest.raises(DataError) as error:
        read_value(text, 'x', default, f'--set x={text}')
    assert str(error.value) == said


@pytest.mark.parametrize('name', ['extra_screen', 'overlays', 'combination'])
def test_pieces_are_for_scripts(name, refused):
    assert refused('--set', f'{name}=x') == (
        f'error: --set {name}=x: {name} takes no text but pieces of a strategy; give it in a script, or as the default of a '
        'subclass with --strategy FILE.py:CLASS')


# --------------------------------------------------------------------------------------------- what is run


def test_set_does_what_the_options_of_the_original_do(run):
    one, folder = run('--stocknum', 2, '--refresh-rate', 4, '--min-cap', '1e9', '--max-cap', '5e9', out='one')
    texts = ('stocknum=2', 'refresh-rate=4', 'min_cap=1e9', 'max_cap=5e9')
    other, beside = run(*(argument for text in texts for argument in ('--set', text)), out='two')
    assert one == other
    assert {name: one['params'][name] for name in ('stocknum', 'refresh_rate', 'min_cap', 'max_cap')} == {
        'stocknum': 2, 'refresh_rate': 4, 'min_cap': 1e9, 'max_cap': 5e9}
    for name in ('trades.csv', 'equity.csv', 'orders.csv'):
        assert (folder / name).read_bytes() == (beside / name).read_bytes()


def test_a_param_that_is_set_is_at_work(run):
    assert '2021-04' in {day[:7] for day in days(run('--set', 'refresh_rate=1', out='all')[1], 'BUY')}
    summary, folder = run('--set', 'refresh_rate=1', '--set', 'empty_months=4')
    assert {day[:7] for day in days(folder, 'BUY')} == {'2021-03', '2021-05'}
    assert summary['params']['empty_months'] == [4]


def test_what_is_given_goes_over_the_preset(run):
    summary, _ = run('--preset', 'ten_weekly', '--stocknum', 4, '--set', 'weekday=3')
    assert summary['preset'] == 'ten_weekly'
    given = {**PRESETS['ten_weekly'].params, 'stocknum': 4, 'weekday': 3, 'max_cap': 'inf', 'boards': ['main', 'chinext']}
    assert {name: summary['params'][name] for name in given} == given
    rest = [name for name in PARAMS if name not in given]
    defaults = MicroCapStrategy.params._getpairs()
    assert {name: summary['params'][name] for name in rest} == {
        **{name: defaults[name] for name in rest}, 'max_price': 'inf', 'empty_months': [], 'overlays': [], 'combination': []}


def test_a_preset_is_run_by_its_own_days(run):
    _, folder = run('--preset', 'ten_weekly', '--set', 'min_listed_days=0')
    import datetime as dt

    assert {dt.date.fromisoformat(day).isoweekday() for day in days(folder, 'BUY')} <= {1, 2, 3}  # a holiday moves a Monday


def test_the_original_by_name_is_the_original(run):
    one, folder = run(out='one')
    other, beside = run('--preset', 'original', out='two')
    assert one.pop('preset') is None and other.pop('preset') == 'original'
    assert one == other
    assert (folder / 'trades.csv').read_bytes() == (beside / 'trades.csv').read_bytes()


@pytest.mark.parametrize(('options', 'title'), [
    ([], '3 smallest stocks of 2-3 bn yuan, every 5 days (realistic)'),
    (['--stocknum', '4', '--max-cap', '5e9', '--profile', 'joinquant'],
     '4 smallest stocks of 2-5 bn yuan, every 5 days (joinquant)'),
    (['--preset', 'original', '--set', 'refresh_rate=2'], '3 smallest stocks of 2-3 bn yuan, every 2 days (realistic)'),
    (['--preset', 'ten_weekly', '--set', 'min_listed_days=0'], 'ten_weekly, min_listed_days=0 (realistic)'),
    (['--set', 'keep=yes', '--set', 'stop_loss=0.1'], 'MicroCapStrategy, stop_loss=0.1, keep=yes (realistic)'),
])
def test_the_title_of_the_picture(options, title, data, tmp_path, monkeypatch):
    import matplotlib.figure

    titles = []
    monkeypatch.setattr(matplotlib.figure.Figure, 'savefig',
                        lambda figure, path, **kwargs: (titles.append(figure.axes[0].get_title()), path.write_bytes(b'')))
    assert call('backtest', '--data', data, '--out', tmp_path, *options).status == 0
    if options[:1] == ['--set']:  # in the order of the class's params, whatever that is
        assert sorted(titles[0].split(', ')[1:-1] + [titles[0].split(', ')[-1].removesuffix(' (realistic)')]) == [
            'keep=yes', 'stop_loss=0.1']
    else:
        assert titles == [title]


# ---------------------------------------------------------------------------------------------- wrong names


@pytest.mark.parametrize('command', ['backtest', 'optimize'])
@pytest.mark.parametrize(('options', 'said'), [
    (['--set', 'stop_los=0.1'], 'error: --set stop_los=0.1: MicroCapStrategy has no param stop_los; did you mean stop_loss?'),
    (['--preset', 'parkd'], 'error: --preset parkd: found no such preset, expected one of original, small_board, ten_weekly, '
                            'microcap400, parked; did you mean parked?'),
    (['--set', 'keep=yes', '--set', 'keep=no'], 'error: --set keep=no: keep is given twice'),
    (['--min-cap', '1e9', '--set', 'min_cap=2e9'], 'error: --min-cap and --set min_cap=2e9: min_cap is given twice'),
    (['--set', 'boards=main,moon'], "boards holds 'moon': expected names of main, chinext, star, bse"),
    (['--set', 'max_cap=1e9'], 'error: --min-cap 2e+09 is above --max-cap 1e+09'),
])
def test_one_line_and_nothing_is_written(command, options, said, refused):
    assert refused(*options, command=command).endswith(said)


def test_a_name_that_is_near_to_none(refused):
    line = refused('--set', 'xyzzy=1')
    assert line.startswith('error: --set xyzzy=1: MicroCapStrategy has no param xyzzy; it has ')
    assert set(line.partition('it has ')[2].split(', ')) == set(PARAMS)


def test_no_assignment(refused):
    assert "argument --set: found 'stop_loss', expected NAME=VALUE, such as stop_loss=0.09" in refused('--set', 'stop_loss')


@pytest.mark.parametrize(('text', 'fragments'), [
    ('stop_loss=2', ('stop_loss is 2.0', 'fraction below 1')),
    ('weights=heavy', ("weights is 'heavy'", 'inverse_volatility')),
    ('stocknum=0', ('stocknum is 0', '1 or more')),
    ('weekday=9', ('weekday',)),
])
def test_what_the_strategy_refuses(text, fragments, refused):
    line = refused('--set', text)
    assert line.startswith('error: ') and all(fragment in line for fragment in fragments)


def test_the_help_says_the_defaults():
    said = ' '.join(call('backtest', '--help').out.split())
    for text in ('stocks held (default: 3)', 'trading days between rebalances (default: 5)', 'yuan (default: 2e9)',
                 'original, small_board, ten_weekly, microcap400, parked'):
        assert text in said


def test_a_folder_that_cannot_be_written_is_said_before_the_run(data, tmp_path, monkeypatch):
    import os

    monkeypatch.setattr(os, 'access', lambda path, how: False)
    line = one_error_line(call('backtest', '--data', data, '--out', tmp_path / 'out'))
    assert line == f'error: {tmp_path / "out"}: cannot be made (Permission denied); give another --out'
