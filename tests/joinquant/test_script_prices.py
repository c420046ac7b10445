"""Daily bars of a JoinQuant script: layouts, days, suspensions, stocks that are not listed yet or no longer, indices."""

import numpy as np
import pandas as pd
import pytest

from bt_microcap.joinquant.api.errors import ScriptError
from bt_microcap.joinquant.api.session import ScriptWarning

from .looking import look
from .scripts import market, store

NAN = float('nan')
A, B, NEW, GONE = '600001.XSHG', '000002.XSHE', '300003.XSHE', '600004.XSHG'
DATES = pd.to_datetime(['2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05', '2024-01-08'])
# B is suspended on Thursday, 01-04; NEW is listed on that day, and it is the last one of GONE.
CLOSES = {A: [10.0, 11.0, 12.0, 13.0, 14.0], B: [20.0, 21.0, 21.0, 22.0, 23.0], NEW: [None, None, 5.0, 5.5, 6.0],
          GONE: [3.0, 2.9, 2.8, None, None]}


def table(**columns):
    return market(CLOSES, **{'paused': {B: {2: 1}}, 'high': {A: [10.5, 11.5, 12.5, 13.5, 14.5]},
                             'volume': {A: [1e6, 2e6, 3e6, 4e6, 5e6], B: [1e6, 1e6, 0.0, 1e6, 1e6]}, **columns})


def seen(asked, tmp_path, day=4, at='9:30', **more):
    return look(asked, table(), tmp_path, day, at, **more)


def same(found, expected):
    """Return whether values are equal, NaN being equal to NaN."""
    np.testing.assert_array_equal(np.asarray(found, float), np.asarray(expected, float))
    return True


# ------------------------------------------------------------------------------------------------- history


def test_history_is_days_by_codes_without_today(tmp_path):
    answer = seen(f"history(2, '1d', 'close', ['{B}', '{A}'])", tmp_path)

    assert answer.columns.tolist() == [B, A]
    assert isinstance(answer.index, pd.DatetimeIndex)
    assert answer.index.tolist() == list(DATES[2:4])
    assert answer.dtypes.tolist() == [np.dtype(float)] * 2
    assert same(answer, [[21.0, 12.0], [22.0, 13.0]])


@pytest.mark.parametrize('at', ['9:00', '9:30', '14:50', '15:30'])
def test_history_never_has_today(tmp_path, at):
    assert seen(f"history(1, '1d', 'close', ['{A}'])['{A}'].tolist()", tmp_path, 2, at) == [11.0]


def test_history_of_one_stock_and_of_the_universe(tmp_path):
    assert same(seen(f"history(2, field='close', security_list='{A}')", tmp_path), [[12.0], [13.0]])
    asked = "history(1, field='close')"
    assert seen(asked, tmp_path, setup=f"set_universe(['{B}', '{A}'])").to_dict('list') == {B: [22.0], A: [13.0]}


def test_history_as_arrays(tmp_path):
    answer = seen(f"history(3, '1d', 'close', ['{A}', '{B}'], df=False)", tmp_path)

    assert list(answer) == [A, B]
    assert isinstance(answer[A], np.ndarray)
    assert same(answer[A], [11.0, 12.0, 13.0]) and same(answer[B], [21.0, 21.0, 22.0])


def test_history_gives_the_average_price_by_default(tmp_path):
    told = table(amount={A: [10e6, 22.5e6, 37.5e6, 52e6, 70e6]})  # of 1e6, 2e6, 3e6, 4e6, 5e6 shares
    assert look(f"history(2, security_list=['{A}'])['{A}'].tolist()", told, tmp_path, 3) == [11.25, 12.5]


@pytest.mark.parametrize(('field', 'expected'), [
    ('open', [11.0, 12.0]), ('close', [11.0, 12.0]), ('high', [11.5, 12.5]), ('low', [11.0, 12.0]),
    ('volume', [2e6, 3e6]), ('money', [22e6, 36e6]), ('avg', [11.0, 12.0]), ('pre_close', [10.0, 11.0]),
    ('high_limit', [11.0, 12.1]), ('low_limit', [9.0, 9.9]), ('paused', [0.0, 0.0]), ('factor', [1.0, 1.0]),
])
def test_fields(tmp_path, field, expected):
    assert seen(f"history(2, '1d', '{field}', ['{A}'])['{A}'].tolist()", tmp_path, 3) == expected
    assert seen(f"get_price('{A}', count=2, end_date=context.previous_date, fields=['{field}'])['{field}'].tolist()",
                tmp_path, 3) == expected


@pytest.mark.parametrize(('field', 'expected'), [
    ('open', 21.0), ('close', 21.0), ('volume', 0.0), ('money', 0.0), ('avg', 21.0), ('pre_close', 21.0), ('paused', 1.0)])
def test_a_suspended_day_has_the_last_close_and_no_volume(tmp_path, field, expected):
    assert seen(f"history(1, '1d', '{field}', ['{B}'])['{B}'].tolist()", tmp_path, 3) == [expected]


def test_a_day_without_a_row_between_rows_is_a_suspended_one(tmp_path):
    told = market({A: [10.0, 11.0, None, 12.0, 12.0], B: [20.0] * 5})
    asked = f"get_price('{A}', count=3, end_date=context.previous_date, fields=['close', 'volume', 'paused'])"
    assert same(look(asked, told, tmp_path, 4), [[11.0, 1e7, 0.0], [11.0, 0.0, 1.0], [12.0, 1e7, 0.0]])


def test_history_over_a_suspension(tmp_path):
    assert seen(f"history(3, '1d', 'close', ['{B}'])['{B}'].tolist()", tmp_path) == [21.0, 21.0, 22.0]
    assert seen(f"history(3, '1d', 'close', ['{B}'], skip_paused=True, df=False)", tmp_path)[B].tolist() == [20.0, 21.0, 22.0]
    # Each stock has days of its own then: rows are numbered, and end with the last day.
    answer = seen(f"history(3, '1d', 'close', ['{A}', '{B}', '{NEW}'], skip_paused=True)", tmp_path)
    assert answer.index.tolist() == [0, 1, 2]
    assert same(answer, [[11.0, 20.0, NAN], [12.0, 21.0, 5.0], [13.0, 22.0, 5.5]])


def test_history_before_the_listing_is_not_known_and_after_the_last_row_it_stands(tmp_path):
    # whether a stock without a row comes back is not known: it is a suspended one
    answer = seen(f"history(4, '1d', 'close', ['{NEW}', '{GONE}'])", tmp_path)
    assert same(answer, [[NAN, 3.0], [NAN, 2.9], [5.0, 2.8], [5.5, 2.8]])
    assert same(seen(f"history(2, '1d', 'volume', ['{GONE}'])", tmp_path), [[1e7], [0.0]])
    assert same(seen(f"history(2, '1d', 'paused', ['{GONE}'])", tmp_path), [[0.0], [1.0]])
    assert same(seen(f"history(4, '1d', 'volume', ['{NEW}'])", tmp_path), [[NAN], [NAN], [1e7], [1e7]])


def test_history_before_the_first_day_of_the_store_is_not_known_and_said(tmp_path):
    with pytest.warns(ScriptWarning, match='the script asks for bars before 2024-01-02, the first day of .*: they are NaN'):
        answer = seen(f"history(4, '1d', 'close', ['{A}'])", tmp_path, 2)

    assert same(answer, [[NAN], [NAN], [10.0], [11.0]])
    assert answer.index.tolist() == [*pd.to_datetime(['2023-12-29', '2024-01-01']), *DATES[:2]]  # weekdays


def test_a_stock_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ScriptError, match=r"line \d+.*neither a stock nor an index '000300.XSHG'.*--benchmark 000300"):
        seen("history(1, '1d', 'close', ['000300.XSHG'])", tmp_path)


@pytest.mark.parametrize('unit', ['1w', '30m', '1h', 'day1'])
def test_bars_of_other_lengths_are_refused(tmp_path, unit):
    with pytest.raises(ScriptError, match='1d|minute bars'):
        seen(f"history(2, '{unit}', 'close', ['{A}'])", tmp_path)


@pytest.mark.parametrize(('field', 'expected'), [
    ('open', [10.0, 12.0]), ('close', [11.0, 13.0]), ('high', [11.5, 13.5]), ('low', [10.0, 12.0]), ('volume', [3e6, 7e6]),
    ('money', [32e6, 88e6])])
def test_bars_of_two_days_end_with_the_last_day(tmp_path, field, expected):
    assert seen(f"history(2, '2d', '{field}', ['{A}'])['{A}'].tolist()", tmp_path) == expected
    assert seen(f"history(1, '2d', '{field}', ['{A}'])['{A}'].tolist()", tmp_path) == expected[1:]
    assert seen(f"attribute_history('{A}', 2, '2d', ['{field}'])['{field}'].tolist()", tmp_path) == expected
    asked = f"get_price('{A}', count=2, end_date=context.previous_date, frequency='2d', fields=['{field}'])['{field}'].tolist()"
    assert seen(asked, tmp_path) == expected


# ------------------------------------------------------------------------------------------------- attribute_history


def test_attribute_history_is_days_by_fields(tmp_path):
    answer = seen(f"attribute_history('{A}', 2)", tmp_path)

    assert answer.columns.tolist() == ['open', 'close', 'high', 'low', 'volume', 'money']
    assert answer.index.tolist() == list(DATES[2:4])
    assert same(answer, [[12.0, 12.0, 12.5, 12.0, 3e6, 36e6], [13.0, 13.0, 13.5, 13.0, 4e6, 52e6]])


def test_attribute_history_skips_suspended_days(tmp_path):
    answer = seen(f"attribute_history('{B}', 3, '1d', ['close'])", tmp_path)
    assert answer.index.tolist() == [DATES[0], DATES[1], DATES[3]]
    assert answer['close'].tolist() == [20.0, 21.0, 22.0]

    answer = seen(f"attribute_history('{B}', 3, '1d', ['close'], skip_paused=False)", tmp_path)
    assert answer.index.tolist() == list(DATES[1:4])
    assert answer['close'].tolist() == [21.0, 21.0, 22.0]


def test_attribute_history_has_as_many_rows_as_were_asked_for(tmp_path):
    # a stock with two days: scripts count on the length, and on NaN before
    assert same(seen(f"attribute_history('{NEW}', 4, '1d', ['close'])", tmp_path), [[NAN], [NAN], [5.0], [5.5]])
    assert seen(f"len(attribute_history('{NEW}', 10, '1d', ['close']).dropna())", tmp_path, 1) == 0
    assert same(seen(f"attribute_history('{NEW}', 3, '1d', 'close', skip_paused=False)", tmp_path), [[NAN], [5.0], [5.5]])


def test_attribute_history_as_arrays(tmp_path):
    answer = seen(f"attribute_history('{A}', 2, '1d', ('close', 'volume'), df=False)", tmp_path)
    assert list(answer) == ['close', 'volume']
    assert answer['close'].tolist() == [12.0, 13.0] and answer['volume'].tolist() == [3e6, 4e6]


# ------------------------------------------------------------------------------------------------- get_price


def test_get_price_of_one_stock(tmp_path):
    answer = seen(f"get_price('{A}', start_date='2024-01-03', end_date='2024-01-04')", tmp_path)

    assert answer.columns.tolist() == ['open', 'close', 'high', 'low', 'volume', 'money']
    assert answer.index.tolist() == list(DATES[1:3])
    assert same(answer, [[11.0, 11.0, 11.5, 11.0, 2e6, 22e6], [12.0, 12.0, 12.5, 12.0, 3e6, 36e6]])


@pytest.mark.parametrize(('days', 'expected'), [
    ("count=2, end_date='2024-01-05'", [12.0, 13.0]),
    ("count=2, end_date='2024-01-07'", [12.0, 13.0]),  # a Sunday
    ("start_date='2024-01-06', end_date='2024-01-07'", []),
    ("start_date='2023-12-31', end_date='2024-01-03'", [10.0, 11.0]),
    ("start_date=datetime.date(2024, 1, 3), end_date=context.previous_date", [11.0, 12.0, 13.0]),
    ("start_date='2024-01-04 09:00:00', end_date=datetime.datetime(2024, 1, 5, 14)", [12.0, 13.0]),
    ("end_date='2024-01-03'", [10.0, 11.0]),
    ("count=1, end_date=context.current_dt - datetime.timedelta(1)", [13.0]),
])
def test_days_of_get_price(tmp_path, days, expected):
    assert seen(f"get_price('{A}', {days}, fields=['close'])['close'].tolist()", tmp_path) == expected


def test_get_price_takes_a_first_day_or_a_count(tmp_path):
    with pytest.raises(ScriptError, match='start_date or count, not both'):
        seen(f"get_price('{A}', start_date='2024-01-02', end_date='2024-01-03', count=1)", tmp_path)


def test_get_price_has_today_from_the_close_on(tmp_path):
    asked = f"get_price('{A}', count=2, end_date=context.current_dt, fields=['close'])['close'].tolist()"
    safe = {'setup': "set_option('avoid_future_data', True)"}

    assert seen(asked, tmp_path, 3, '14:50', **safe) == [12.0, 13.0]
    assert seen(asked, tmp_path, 3, '15:30', **safe) == [12.0, 13.0]
    for at in ('9:00', '9:30'):
        with pytest.warns(ScriptWarning, match='the close of 2024-01-05 is not known at'):
            assert seen(asked, tmp_path, 3, at) == [11.0, 12.0]
        with pytest.raises(ScriptError, match='the close of 2024-01-05 is not known at .*avoid_future_data'):
            seen(asked, tmp_path, 3, at, **safe)


def test_what_is_told_before_the_open_can_be_asked_of_today(tmp_path):
    safe = {'setup': "set_option('avoid_future_data', True)"}
    asked = (f"get_price(['{A}', '{B}'], count=1, end_date=context.current_dt, fields=['pre_close', 'high_limit', 'low_limit', "
             "'paused'], panel=False).iloc[:, 1:].values.tolist()")
    assert seen(asked, tmp_path, 2, '9:00', **safe) == [[A, 11.0, 12.1, 9.9, 0.0], [B, 21.0, 23.1, 18.9, 1.0]]

    asked = f"get_price('{A}', count=1, end_date=context.current_dt, fields=['open'])['open'].tolist()"
    assert seen(asked, tmp_path, 2, '9:30', **safe) == [12.0]
    with pytest.raises(ScriptError, match='the open of 2024-01-04 is not known at 09:00'):
        seen(asked, tmp_path, 2, '9:00', **safe)


def test_get_price_of_several_stocks_below_each_other(tmp_path):
    answer = seen(f"get_price(['{B}', '{A}'], end_date=context.previous_date, count=2, fields=['close', 'volume'], panel=False)",
                  tmp_path)

    assert answer.columns.tolist() == ['time', 'code', 'close', 'volume']
    assert answer.index.tolist() == [0, 1, 2, 3]
    assert answer['time'].tolist() == [DATES[2], DATES[3]] * 2
    assert answer['code'].tolist() == [B, B, A, A]
    assert answer['close'].tolist() == [21.0, 22.0, 12.0, 13.0]
    assert seen(f"get_price(['{A}'], count=1, end_date=context.previous_date, panel=False)", tmp_path).shape == (1, 8)


def test_get_price_of_several_stocks_as_a_panel(tmp_path):
    answer = seen(f"get_price(['{A}', '{B}'], end_date=context.previous_date, count=2, fields=['close', 'high_limit'])", tmp_path)

    assert answer['close'].columns.tolist() == [A, B]
    assert answer['close'].index.tolist() == list(DATES[2:4])
    assert same(answer['close'], [[12.0, 21.0], [13.0, 22.0]])
    assert same(answer['high_limit'], [[12.1, 23.1], [13.2, 23.1]])


def test_get_price_skips_suspended_days(tmp_path):
    asked = 'get_price({}, end_date=context.previous_date, {}, fields=["close"], skip_paused=True, panel=False)'

    answer = seen(asked.format(f'"{B}"', 'count=3'), tmp_path)
    assert (answer.index.tolist(), answer['close'].tolist()) == ([DATES[0], DATES[1], DATES[3]], [20.0, 21.0, 22.0])
    answer = seen(asked.format(f'"{B}"', 'start_date="2024-01-03"'), tmp_path)
    assert (answer.index.tolist(), answer['close'].tolist()) == ([DATES[1], DATES[3]], [21.0, 22.0])
    answer = seen(asked.format(f'["{A}", "{B}"]', 'start_date="2024-01-04"'), tmp_path)
    assert answer.values.tolist() == [[DATES[2], A, 12.0], [DATES[3], A, 13.0], [DATES[3], B, 22.0]]


@pytest.mark.parametrize('fields', [['close'], ['close', 'paused']])
def test_get_price_leaves_suspended_days_empty(tmp_path, fields):
    asked = f'get_price({{}}, count=2, end_date=context.previous_date, fields={fields}, fill_paused=False{{}})'

    assert same(seen(asked.format(f'["{A}", "{B}"]', ', panel=False'), tmp_path)['close'], [12.0, 13.0, NAN, 22.0])
    assert same(seen(asked.format(f'["{A}", "{B}"]', ''), tmp_path)['close'], [[12.0, NAN], [13.0, 22.0]])
    answer = seen(asked.format(f'"{B}"', ''), tmp_path)
    assert same(answer['close'], [NAN, 22.0])
    assert 'paused' not in fields or same(answer['paused'], [1.0, 0.0])


def test_get_price_before_the_listing_and_after_the_delisting(tmp_path):
    asked = f"get_price(['{NEW}', '{GONE}'], count=3, end_date=context.previous_date, fields=['close'], panel=False)"
    assert same(seen(asked, tmp_path)['close'], [NAN, 5.0, 5.5, 2.9, 2.8, 2.8])
    days = {'listed': pd.to_datetime(['2020-01-02']), 'delisted': pd.to_datetime(['2024-01-04'])}
    listings = pd.DataFrame({'code': [GONE], **days})
    known = look(asked, store(table(), tmp_path / 'known', listings=listings), tmp_path, 4, '9:30')
    assert same(known['close'], [NAN, 5.0, 5.5, 2.9, 2.8, NAN])


@pytest.mark.parametrize('asked', [
    "get_current_data()['{}'].last_price", "history(3, '1d', 'close', ['{}']).values.tolist()",
    "get_price('{}', end_date=context.previous_date, count=2, fields=['close', 'volume']).values.tolist()",
    "get_extras('is_st', ['{}'], count=2).values.tolist()", "get_bars('{}', 3, fields=['close'])['close'].tolist()"])
def test_whether_a_suspended_stock_comes_back_is_not_told(asked, tmp_path):
    came, did_not = (market({A: [10.0] * 7, B: [20.0, 20.5, 21.0, None, None, *rest]}) for rest in ([None, None], [22.0, 22.0]))
    assert look(asked.format(B), came, tmp_path, 4, '9:30') == look(asked.format(B), did_not, tmp_path, 4, '9:30')


def test_a_field_that_bars_do_not_have_is_said(tmp_path):
    with pytest.raises(ScriptError, match="bars have no field 'pe_ratio'"):
        seen(f"get_price('{A}', count=1, end_date=context.previous_date, fields=['pe_ratio'])", tmp_path)


# ------------------------------------------------------------------------------------------------- an index


def test_an_index_of_the_store(tmp_path):
    levels = pd.DataFrame({'index': '000300', 'date': DATES, 'open': [99.0, 100.0, 101.0, 102.0, 103.0], 'high': 110.0,
                           'low': 90.0, 'close': [100.0, 101.0, 102.0, 103.0, 104.0]})
    told = store(table(), tmp_path / 'market', benchmarks=levels)
    index = '000300.XSHG'

    def of_index(asked, at='9:30'):
        return look(asked, told, tmp_path, 4, at)

    assert of_index(f"history(2, '1d', 'close', ['{index}', '{A}'])").values.tolist() == [[102.0, 12.0], [103.0, 13.0]]
    asked = f"attribute_history('{index}', 2, '1d', ['close', 'high']).values.tolist()"
    assert of_index(asked) == [[102.0, 110.0], [103.0, 110.0]]
    asked = f"get_price('{index}', count=1, end_date=context.previous_date, fields=['open', 'close']).values.tolist()"
    assert of_index(asked) == [[102.0, 103.0]]
    assert of_index(f"get_bars('{index}', 2, '1d', ['close'])")['close'].tolist() == [102.0, 103.0]
    for at, expected in (('9:00', 103.0), ('9:30', 103.0), ('14:50', 104.0)):  # today's open is 103 as well
        assert of_index(f"history(1, '1m', 'close', ['{index}'])['{index}'][-1]", at) == expected
