"""The text of a JoinQuant script: encodings, Python 2, files beside it, and how a fault of its own is told."""

import importlib.util

import pytest

from bt_microcap.joinquant.api.errors import ScriptError
from bt_microcap.joinquant.api.session import ScriptWarning

from .scripts import cerebro_of, market, run

pytestmark = pytest.mark.filterwarnings('ignore::bt_microcap.rotation.tally.NothingTradedWarning')
CODE = '600001.XSHG'
HEAD = """from jqdata import *

def initialize(context):
    run_daily(trade, 'open')

def trade(context):
"""  # what is added to it stands on line 7
translated = pytest.mark.skipif(not (importlib.util.find_spec('lib2to3') or importlib.util.find_spec('fissix')),
                                reason='needs a translator of Python 2: the extra python2')


def flat():
    return market({CODE: [10.0] * 4})


def run_bytes(content, tmp_path):
    """Run a script that is written as it is given."""
    cerebro = cerebro_of('', flat(), tmp_path)
    (tmp_path / 'script.py').write_bytes(content)
    return cerebro.run()[0]


def fault(text, tmp_path):
    """The one line by which a fault of the script is told, without the folder."""
    with pytest.raises(ScriptError) as error:
        run(text, flat(), tmp_path)
    assert '\n' not in str(error.value)
    return str(error.value).replace(f'{tmp_path}/', '')


# ------------------------------------------------------------------------------------------------------------ encodings

CHINESE = f"# -*- coding: {{}} -*-\n# 小市值策略\n{HEAD}    g.words = '涨停：停牌'\n    log.info('卖出', len(g.words))\n"


@pytest.mark.parametrize(('encoding', 'said'), [
    ('utf-8', 'utf-8'), ('utf-8-sig', 'utf-8'), ('gb18030', 'gb18030'), ('gb2312', 'gbk'), ('gb18030', 'utf-8')])
def test_chinese_is_read_in_its_encoding_whatever_the_first_line_says(encoding, said, tmp_path):
    strategy = run_bytes(CHINESE.format(said).encode(encoding), tmp_path)

    assert strategy.g.words == '涨停：停牌'
    assert strategy.log_lines[0] == '2024-01-03 09:30:00 - INFO  - 卖出 5'


@pytest.mark.parametrize('end', ['\r\n', '\r'])
def test_ends_of_lines_of_other_systems_are_read(end, tmp_path):
    text = f'{HEAD}    g.text = """one\ntwo"""\n'
    assert run_bytes(text.replace('\n', end).encode(), tmp_path).g.text == 'one\ntwo'


def test_blanks_that_a_browser_copies_along_are_read(tmp_path):
    assert run_bytes(f'{HEAD}\xa0\xa0\xa0\xa0g.x\xa0= 1\u200b\n'.encode(), tmp_path).g.x == 1


def test_tabs_among_blanks_are_read_and_said(tmp_path):
    with pytest.warns(ScriptWarning, match='tabs and blanks are mixed: a tab counts 8 columns'):
        assert run_bytes(f'{HEAD}    if True:\n\tg.x = 1\n'.encode(), tmp_path).g.x == 1


def test_what_is_no_text_is_refused(tmp_path):
    with pytest.raises(ScriptError, match='script.py: neither UTF-8 nor GB18030, expected the text of a script'):
        run_bytes(b'\xff\xff\xff\x00', tmp_path)


# ------------------------------------------------------------------------------------------------------------- Python 2

PYTHON_2 = """
def initialize(context):
    run_daily(trade, 'open')
    g.found = {}

def trade(context):
    print 'bought', 100, u'shares'
    try:
        raise ValueError, 'no'
    except ValueError, error:
        g.found['error'] = str(error)
    g.found['mark'] = 1 <> 2
    many = {'a': 1L, 'b': 2}
    g.found['has'] = many.has_key('a'), many.has_key('c')
    g.found['sum'] = sum(value for name, value in many.iteritems())
    g.found['keys'] = many.keys()[0]
    g.found['mapped'] = map(lambda each: each * 2, [1, 2])[1], filter(None, [0, 3])[0], zip('ab', [1, 2])[1]
    g.found['ranges'] = list(xrange(3)), range(3)[1:]
    g.found['texts'] = isinstance(u'x', basestring), unicode('y')
    g.found['octal'] = 0777
"""


@translated
def test_python_2_is_translated_and_it_is_said(tmp_path):
    with pytest.warns(ScriptWarning, match='Python 2: translated, whole numbers divide without a rest'):
        strategy = run(PYTHON_2, flat(), tmp_path)

    assert strategy.g.found == {
        'error': 'no', 'mark': True, 'has': (True, False), 'sum': 3, 'keys': 'a', 'mapped': (4, 3, ('b', 2)),
        'ranges': ([0, 1, 2], [1, 2]), 'texts': (True, 'y'), 'octal': 511}
    assert strategy.log_lines[0] == '2024-01-03 09:30:00 - INFO  - bought 100 shares'


@translated
@pytest.mark.filterwarnings('ignore::bt_microcap.joinquant.api.session.ScriptWarning')
@pytest.mark.parametrize(('division', 'result'), [
    ('7 / 2', 3), ('-7 / 2', -4), ('7 / 2.0', 3.5), ('7.0 / 2', 3.5), ('7 // 2', 3), ('float(7) / 2', 3.5), ('1 / 3 * 3', 0),
    ('len([1, 2, 3]) / 2', 1), ('100000 / 3 / 2', 16666), ('context.portfolio.cash / 3 * 3', 100_000.0)])
def test_whole_numbers_of_python_2_divide_without_a_rest(division, result, tmp_path):
    found = run(f"{HEAD}    g.found = {division}\n    print g.found\n", flat(), tmp_path).g.found

    assert found == pytest.approx(result)
    assert isinstance(found, type(result))


@translated
@pytest.mark.filterwarnings('ignore::bt_microcap.joinquant.api.session.ScriptWarning')
def test_whole_numbers_of_python_2_divide_without_a_rest_in_place_too(tmp_path):
    assert run(f"{HEAD}    x = 7\n    x /= 2\n    g.found = [9]\n    g.found[0] /= 2\n    g.found.append(x)\n    print x\n",
               flat(), tmp_path).g.found == [4, 3]


@translated
@pytest.mark.filterwarnings('ignore::bt_microcap.joinquant.api.session.ScriptWarning')
def test_python_2_with_true_division_asked_for_divides_so(tmp_path):
    text = f'from __future__ import division\n{HEAD}    g.found = 7 / 2\n    print g.found\n'
    assert run(text, flat(), tmp_path).g.found == 3.5


def test_a_script_of_python_3_divides_as_it_does(tmp_path):
    assert run(f"{HEAD}    g.found = 7 / 2\n", flat(), tmp_path).g.found == 3.5


def test_methods_that_dicts_had_are_there_in_python_3_too(tmp_path):
    assert run(f"{HEAD}    many = {{'a': 1}}\n    g.found = many.has_key('a'), list(many.iteritems()), list(many.itervalues())\n",
               flat(), tmp_path).g.found == (True, [('a', 1)], [1])


# ------------------------------------------------------------------------------------------------------ files beside it


def test_a_file_beside_the_script_is_its_module_and_finds_the_platform(tmp_path):
    (tmp_path / 'my_tools.py').write_text("""
from jqdata import *

LIMIT = 3

def price_of(code):
    return get_current_data()[code].last_price, LIMIT
""", encoding='utf-8')
    for ask in ('from my_tools import *', 'from my_tools import price_of', 'import my_tools; price_of = my_tools.price_of'):
        assert run(f"{ask}\n{HEAD}    g.found = price_of('{CODE}')\n", flat(), tmp_path).g.found == (10.0, 3)


def test_a_fault_in_a_file_beside_the_script_is_told_with_that_file(tmp_path):
    (tmp_path / 'my_tools.py').write_text('def divide(x):\n    return x / 0\n', encoding='utf-8')
    assert fault(f'import my_tools\n{HEAD}    my_tools.divide(1)\n', tmp_path) == (
        'my_tools.py, line 2, in trade(): ZeroDivisionError: division by zero')


def test_modules_of_the_platform_are_found_while_the_script_runs_and_no_longer(tmp_path):
    assert run(f"""import jqdata, jqfactor
from jqlib.technical_analysis import MA
from kuanke.user_space_api import *
from jqdata import finance
{HEAD}    import jqdata as again
    g.found = again is jqdata, callable(jqdata.get_price), callable(MA), callable(order_value)
""", flat(), tmp_path).g.found == (True, True, True, True)
    assert 'jqlib' not in __import__('sys').modules


# ------------------------------------------------------------------------------------------------------- its own faults


@pytest.mark.parametrize(('body', 'expected'), [
    ('1 / 0', 'ZeroDivisionError: division by zero'),
    ('[][1]', 'IndexError: list index out of range'),
    ("{}['600001']", 'KeyError: 600001'),
    ("raise ValueError('one\\n  two')", 'ValueError: one two'),
    ('raise SystemExit(3)', 'SystemExit: 3'),
    ('g.never_set', "AttributeError: g has no 'never_set': the script has not put it there yet"),
    ("get_current_data()['600009.XSHG']", "has no stock '600009.XSHG'"),
])
def test_a_fault_of_the_script_is_one_line_with_file_line_and_function(body, expected, tmp_path):
    said = fault(f'{HEAD}    {body}\n', tmp_path)

    assert said.startswith('script.py, line 7, in trade(): ')
    assert said.endswith(expected)


def test_the_line_is_that_of_the_fault_and_the_function_that_of_the_clock(tmp_path):
    assert fault(f'{HEAD}    helper(0)\n\ndef helper(x):\n    return 1 / x\n', tmp_path) == (
        'script.py, line 10, in trade(): ZeroDivisionError: division by zero')


@pytest.mark.parametrize(('text', 'begin'), [
    ('x = 1 / 0\n', 'script.py, line 1: ZeroDivisionError'),
    ('def initialize(context):\n    1 / 0\n', 'script.py, line 2, in initialize(): ZeroDivisionError'),
    ('def handle_data(context, data):\n    1 / 0\n', 'script.py, line 2, in handle_data(): ZeroDivisionError'),
    ('def after_trading_end(context):\n    1 / 0\n', 'script.py, line 2, in after_trading_end(): ZeroDivisionError'),
    (f'{HEAD}    trade(context)\n', 'script.py: a function of the script calls itself without end'),
    (f'{HEAD}    pass\n\ndef on_strategy_end(context):\n    1 / 0\n', 'script.py, line 10, in on_strategy_end(): ZeroDivision'),
    ('def initialize():\n    run_daily(print)\n', 'script.py, in initialize(): TypeError: initialize() takes 0 positional'),
    ("def initialize(context):\n    run_daily('trade')\n", "script.py, line 2, in initialize(): found 'trade', expected a"),
])
def test_a_fault_anywhere_is_told_so(text, begin, tmp_path):
    assert fault(text, tmp_path).startswith(begin)


def test_what_the_script_catches_itself_is_its_own(tmp_path):
    assert run(f"""{HEAD}    try:
        get_price('{CODE}', count=1, fields=['no_such_field'])
    except Exception as error:
        g.found = str(error)
""", flat(), tmp_path).g.found.startswith("bars have no field 'no_such_field'; they have open, close")
