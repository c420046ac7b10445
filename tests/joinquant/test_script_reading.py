"""What is told of a JoinQuant script before it runs, each in one line."""

import pandas as pd
import pytest

from bt_microcap.joinquant.api.errors import ScriptError

from .scripts import cerebro_of, market, run, store

pytestmark = pytest.mark.filterwarnings('ignore::bt_microcap.rotation.tally.NothingTradedWarning')
CODE = '600001.XSHG'
HEAD = """from jqdata import *

def initialize(context):
    run_daily(trade, 'open')

def trade(context):
"""  # what is added to it stands on line 7


def flat(**columns):
    return market({CODE: [10.0] * 4}, **columns)


def refusal(text, tmp_path):
    """The one line by which a script is refused, without the folder; nothing of it has run."""
    with pytest.raises(ScriptError) as error:
        run(f'open({str(tmp_path / "ran")!r}, "w").close()\n{text}', flat(), tmp_path)
    assert not (tmp_path / 'ran').exists()
    said = str(error.value)
    assert '\n' not in said
    return said.replace(f'{tmp_path}/', '')


def line(body, tmp_path):
    """The refusal of a script whose seventh line is given; one line more stands above it."""
    return refusal(f'{HEAD}    {body}\n', tmp_path).removeprefix('script.py, line 8: ')


# ----------------------------------------------------------------------------------------------- what is not supported


@pytest.mark.parametrize(('body', 'expected'), [
    ("get_ticks('x', None)", 'get_ticks() is not supported: there are no minute bars or ticks; daily bars know the open and the '
                             'close'),
    ("get_money_flow(['x'])", 'get_money_flow() is not supported: it asks the platform for data that no store has'),
    ("get_concept_stocks('x')", 'get_concept_stocks() is not supported: it asks the platform for data that no store has'),
    ("set_subportfolios([SubPortfolioConfig(1, 'stock')])",
     'SubPortfolioConfig() is not supported: there is one account; leave it out (and 1 more: line 8: set_subportfolios() is not '
     'supported: there is one account; leave it out)'),
    ("margincash_open('x', 1)", 'margincash_open() is not supported: margin trading is not simulated'),
    ("write_file('x', 'y')", 'write_file() is not supported: the files of the platform are not here; read them in the script '
                             'with open()'),
    ("calc_factors([], [])", 'calc_factors() is not supported: use get_factor_values() over columns factor.NAME of the store, '
                             'or work it out with history()'),
    ("buy_them(context)", 'buy_them is not known: the script does not define it, and it is no function that is supported here'),
    ("query(valuation.no_such_field)", 'valuation has no field no_such_field'),
    ("finance.run_query(query(finance.STK_LIST))", "finance.STK_LIST is not supported: of the platform's finance tables there "
                                                   'are STK_XR_XD'),
    ("get_fundamentals(query(valuation), statDate='2023q1')",
     'get_fundamentals(statDate=...) is not supported: it asks for statements by quarter, and the store has values by day; give '
     'date'),
    ("import kuanke.wizard", 'kuanke.wizard is not supported: its functions are made by the page of the platform that writes '
                             'strategies; take the script as code'),
])
def test_what_is_not_supported_is_told_with_its_line_and_what_to_do(body, expected, tmp_path):
    assert line(body, tmp_path) == expected


@pytest.mark.parametrize(('body', 'begin'), [
    ("get_price('x', count=5, frequency='1m')", "get_price() of 5 bars of '1m' is not supported: there are no minute bars"),
    ("get_price('x', None, None, 'minute', count=240)", "get_price() of 240 bars of 'minute' is not supported"),
    ("history(30, '1m', 'close', ['x'])", "history() of 30 bars of '1m' is not supported"),
    ("history(count=2, unit='minute')", "history() of 2 bars of 'minute' is not supported"),
    ("attribute_history('x', 10, '1m')", "attribute_history() of 10 bars of '1m' is not supported"),
    ("get_bars('x', 8, unit='1m')", "get_bars() of 8 bars of '1m' is not supported"),
    ("get_bars('x', 1, unit='30m')", "get_bars() of bars of '30m' is not supported: there are no minute bars"),
    ("history(1, '5m', 'close', ['x'])", "history() of bars of '5m' is not supported: there are no minute bars"),
    ("history(1, 'hour', 'close', ['x'])", "history(): a bar of 'hour' is not known"),
])
def test_a_minute_series_is_told_beforehand(body, begin, tmp_path):
    assert line(body, tmp_path).startswith(begin)


@pytest.mark.parametrize(('imported', 'body', 'begin'), [
    ('import jqdata', "jqdata.get_mtss('x')", 'get_mtss() is not supported: margin trading is not simulated'),
    ('import jqdata as jq', "jq.get_mtss('x')", 'get_mtss() is not supported: margin trading is not simulated'),
    ('import jqdata', "jqdata.get_price('x', count=5, frequency='1m')", "get_price() of 5 bars of '1m' is not supported"),
])
def test_what_is_called_through_the_module_is_told_beforehand_too(imported, body, begin, tmp_path):
    said = refusal(f'{imported}\n{HEAD}    {body}\n', tmp_path)
    assert said.removeprefix('script.py, line 9: ').removeprefix('jqdata.').removeprefix('jq.').startswith(begin)


def test_all_faults_are_counted_and_the_first_three_told_by_their_lines(tmp_path):
    assert refusal(f"""{HEAD}    get_mtss('x')
    get_ticks('x', None)
    unknown_name
    read_file('x')
""", tmp_path) == (
        'script.py, line 8: get_mtss() is not supported: margin trading is not simulated (and 3 more: line 9: get_ticks() is not '
        'supported: there are no minute bars or ticks; daily bars know the open and the close; line 10: unknown_name is not '
        'known: the script does not define it, and it is no function that is supported here)')


def test_a_function_that_nothing_calls_may_ask_for_anything(tmp_path):
    run(f"""{HEAD}    g.ran = True

def never(context):
    get_ticks('x', None)
    history(30, '1m', 'close', ['x'])
    get_fundamentals(query(indicator.roe, balance.total_assets))
    nobody_knows(context)
    import a_package_that_nobody_has
""", flat(), tmp_path)


@pytest.mark.parametrize('way', ['run_daily(second, "9:05")', 'g.how = second', 'map(second, [])', 'getattr(g, "second", None)'])
def test_a_function_that_is_reached_by_any_way_is_read(way, tmp_path):
    text = f"""
def initialize(context):
    {way}
    run_daily(print, 'open')

def second(context):
    third(context)

def third(context):
    get_mtss('x')
"""
    assert refusal(text, tmp_path) == 'script.py, line 11: get_mtss() is not supported: margin trading is not simulated'


def test_a_name_of_the_platform_that_the_script_defines_is_the_scripts(tmp_path):
    assert run(f"""{HEAD}    g.found = get_mtss('x'), history(30, '1m')

def get_mtss(code):
    return code + '!'

def history(count, unit):
    return count
""", flat(), tmp_path).g.found == ('x!', 30)


def test_handle_tick_is_told(tmp_path):
    assert refusal('\ndef handle_tick(context, tick):\n    pass\n', tmp_path).startswith(
        'script.py, line 3: handle_tick() is not supported: there are no minute bars or ticks')


def test_what_could_not_be_read_is_told_when_it_is_called(tmp_path):
    with pytest.raises(ScriptError) as error:
        run(f"{HEAD}    unit, many = '1m', 30\n    history(many, unit, 'close', ['{CODE}'])\n", flat(), tmp_path)
    assert str(error.value).endswith('script.py, line 8, in trade(): minute bars are not there: daily bars know the last price '
                                     'alone, with count=1')


# -------------------------------------------------------------------------------------------------------- what is lacking


def test_columns_that_the_store_lacks_are_listed_with_lines_and_sources(tmp_path):
    said = refusal(f"""{HEAD}    q = query(valuation.code, indicator.roe).filter(
        valuation.pe_ratio > 0,
        balance.total_assets > 0)
    get_fundamentals(q.order_by(indicator.roe.desc()))
    get_factor_values(['x'], ['own_factor', 'market_cap'], count=1)
""", tmp_path)

    assert said.startswith('script.py needs columns: balance.total_assets (line 10), factor.own_factor (line 12), indicator.roe '
                           '(line 8), valuation.pe_ratio (line 9). ')
    assert 'lacks balance.total_assets, factor.own_factor, indicator.roe, valuation.pe_ratio: add columns' in said
    for source in ('tushare balancesheet by f_ann_date', 'jqdatasdk get_factor_values', 'tushare fina_indicator by ann_date',
                   'tushare daily_basic'):
        assert source in said


@pytest.mark.parametrize('given', ["names = ['own_factor']", "names = ('own_factor', 'market_cap')", "names = 'own_factor'"])
def test_factors_in_a_variable_that_is_given_once_are_read(given, tmp_path):
    body = f'{given}\n    get_factor_values([], names, count=1)'
    assert 'needs columns: factor.own_factor (line ' in line(body, tmp_path)


def test_a_variable_that_is_given_twice_is_not_read(tmp_path):
    body = "names = ['own_factor']\n    names = ['market_cap']\n    g.found = get_factor_values([], names, count=1)"
    assert list(run(f'{HEAD}    {body}\n', flat(), tmp_path).g.found) == ['market_cap']  # it runs, and asks for what is there


def test_columns_that_are_there_under_one_of_their_names_are_not_lacking(tmp_path):
    columns = {'indicator.roe': 8.0, 'pe_ttm': 12.5, 'pb_ratio': 1.5, 'factor.own_factor': 0.25}
    assert run(f"""{HEAD}    asked = query(indicator.roe, valuation.pe_ratio, valuation.pb_ratio)
    g.found = get_fundamentals(asked).iloc[0].tolist()
    g.found.append(get_factor_values('{CODE}', ['own_factor'], count=1)['own_factor'].iloc[0, 0])
""", flat(**columns), tmp_path).g.found == [8.0, 12.5, 1.5, 0.25]


def test_a_whole_table_of_which_the_store_has_nothing_is_told_beforehand(tmp_path):
    assert refusal(f'{HEAD}    get_fundamentals(query(indicator))\n', tmp_path).startswith('script.py needs columns: indicator.')


def test_a_package_that_is_not_there_is_told_with_what_installs_it(tmp_path):
    assert line('import a_package_that_nobody_has.part', tmp_path) == (
        'the script needs the package a_package_that_nobody_has: pip install a_package_that_nobody_has')


def test_a_package_that_the_script_itself_can_do_without_is_not_needed(tmp_path):
    assert run(f"""try:
    import a_package_that_nobody_has as special
except ImportError:
    special = None
{HEAD}    g.special = special
""", flat(), tmp_path).g.special is None


def test_members_of_an_index_that_the_store_lacks_are_told(tmp_path):
    assert line("get_index_stocks('000905.XSHG')", tmp_path).endswith('has no members of 000905; give ingest --members '
                                                                      '000905=FILE')
    members = pd.DataFrame({'index': ['000905'], 'date': pd.to_datetime(['2024-01-02']), 'code': [CODE]})
    path = store(flat(), tmp_path / 'store', constituents=members)
    assert run(f"{HEAD}    g.found = get_index_stocks('000905.XSHG')\n", path, tmp_path).g.found == [CODE]


def test_a_board_stands_for_its_index(tmp_path):
    table = market({'002001.XSHE': [10.0] * 3, '000001.XSHE': [10.0] * 3, '300001.XSHE': [10.0] * 3})
    with pytest.warns(UserWarning, match='does not tell the members of 399101'):
        assert run(f"{HEAD}    g.found = get_index_stocks('399101.XSHE')\n", table, tmp_path).g.found == ['002001.XSHE']


def test_industries_that_the_store_lacks_are_told(tmp_path):
    assert line("get_industry_stocks('801010')", tmp_path).endswith('has no industries: give ingest --industries FILE')


# ------------------------------------------------------------------------------------------------------ what does nothing


@pytest.mark.parametrize('text', ['', 'x = 1\n', 'def initialize(context):\n    g.x = 1\n',
                                  'def market_open(context):\n    pass\n'])
def test_a_script_of_which_nothing_is_to_run_is_refused(text, tmp_path):
    with pytest.raises(ScriptError, match=r'script.py: nothing is to run: expected run_daily\(\), run_weekly\(\), run_monthly'):
        run(text, flat(), tmp_path)


def test_a_script_that_is_not_there_is_told(tmp_path):
    cerebro = cerebro_of(HEAD + '    pass\n', flat(), tmp_path)
    (tmp_path / 'script.py').unlink()
    with pytest.raises(ScriptError, match=r'script.py: there is no such file; give that of a JoinQuant script'):
        cerebro.run()


@pytest.mark.parametrize(('body', 'expected'), [
    ('    x = (1,\n', r"script.py, line 7: '\(' was never closed"),
    ('    x = = 1\n', r'script.py, line 7: invalid syntax'),
    ('   x = 1\n  y = 2\n', r'script.py, line 8: unindent does not match any outer indentation level'),
])
def test_what_is_no_python_is_told_with_its_line(body, expected, tmp_path):
    with pytest.raises(ScriptError, match=expected):
        run(HEAD + body, flat(), tmp_path)
