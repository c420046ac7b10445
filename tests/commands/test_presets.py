"""The command presets: the table of what differs, and a sentence each."""

from bt_microcap import MicroCapStrategy
from bt_microcap.__main__ import main
from bt_microcap.commands.presets import table
from bt_microcap.rotation.presets import PRESETS
from bt_microcap.rotation.values import momentum

DEFAULTS = {'stocknum': 3, 'keep': False, 'rank': 'market_cap', 'months': (), 'most': 3e9, 'unused': 1, 'code': ''}


def test_a_row_for_each_param_that_differs():
    assert table({'first': {}, 'second': {'stocknum': 3, 'keep': True, 'months': (1, 4)}, 'third': {
        'stocknum': 10, 'most': float('inf'), 'code': '511880.XSHG'}}, DEFAULTS) == [
        'param     first  second  third',
        'stocknum  3      -       10',
        'keep      no     yes     -',
        'months    none   1,4     -',
        'most      3e9    -       inf',
        'code      none   -       511880.XSHG',
    ]


def test_without_one_that_is_the_default():
    assert table({'second': {'keep': True}}, DEFAULTS) == ['param  default  second', 'keep   no       yes']


def test_long_values_go_on_in_the_next_line():
    lines = table({'first': {}, 'second': {'rank': momentum(20) + 2 * momentum(60) - 3 * momentum(120)}}, DEFAULTS, 40)
    assert max(map(len, lines)) <= 40
    assert len(lines) > 2
    column = lines[0].index('second')
    assert ''.join(''.join(line[column:].split()) for line in lines[1:]) == ''.join(
        repr(momentum(20) + 2 * momentum(60) - 3 * momentum(120)).split())


def test_the_presets(capsys):
    assert main(['presets']) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert max(map(len, lines)) <= 120
    assert lines[0].split() == ['param', *PRESETS]
    names = [line.split()[0] for line in lines[1:lines.index('')]]
    defaults = MicroCapStrategy.params._getpairs()
    assert set(names) == {name for preset in PRESETS.values() for name, value in preset.params.items() if value != defaults[name]}
    row = next(line.split() for line in lines if line.startswith('weekday '))
    assert row == ['weekday', '0', '2', '1', '-', '1']
    assert all(' '.join(preset.about.split()) in ' '.join(out.split()) for preset in PRESETS.values())
    assert '--preset NAME --set NAME=VALUE' in lines[-1]


def test_every_preset_is_one_that_the_strategy_takes():
    defaults = dict(MicroCapStrategy.params._getpairs())
    for preset in PRESETS.values():
        assert set(preset.params) <= set(defaults)
        MicroCapStrategy.check_params({**defaults, **preset.params})
