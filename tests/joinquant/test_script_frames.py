"""pandas of 2018, which JoinQuant scripts were written for, on frames they get or make; the installed one stays as it is."""

import sys

import numpy as np
import pandas as pd
import pytest

from bt_microcap.joinquant.api.errors import ScriptError

from .looking import look
from .scripts import market

A, B = '600001.XSHG', '000002.XSHE'
NAN = float('nan')
DATES = pd.to_datetime(['2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05', '2024-01-08'])
CLOSES = {A: [10.0, 11.0, 12.0, 13.0, 14.0], B: [20.0, 19.0, 18.0, 17.0, 16.0]}
CLOSE = f"history(3, '1d', 'close', ['{A}', '{B}'])"  # 11 12 13 and 19 18 17
FRAME = "pd.DataFrame({'code': ['c', 'a', 'b'], 'cap': [3.0, 1.0, 2.0]})"
PANEL = f"get_price(['{A}', '{B}'], count=2, end_date=context.previous_date, fields=['open', 'close'])"
IMPORTED = 'import pandas as pd\nimport pandas'


def seen(asked, tmp_path, head=IMPORTED, **more):
    return look(asked, market(CLOSES, open={A: [9.5, 10.5, 11.5, 12.5, 13.5]}, **more), tmp_path, 4, head=head)


@pytest.mark.parametrize(('asked', 'expected'), [
    # A number is a position where labels are none.
    (f"{CLOSE}['{A}'][-1]", 13.0),
    (f"{CLOSE}['{A}'][0]", 11.0),
    (f"attribute_history('{A}', 3, '1d', ['close'])['close'][-1]", 13.0),
    (f"attribute_history('{A}', 3, '1d', ['close']).close[-2]", 12.0),
    (f"list({CLOSE}['{A}'][-2:])", [12.0, 13.0]),
    ("pd.Series([1.0, 2.0], index=['a', 'b'])[-1]", 2.0),
    ("pd.Series([1.0, 2.0], index=[5, 6])[6]", 2.0),  # labels are numbers: a label
    (f"{CLOSE}.mean()[0]", 12.0),
    (f"{CLOSE}.iloc[-1][1]", 17.0),
    # ix: labels, else positions
    (f"{CLOSE}.ix[-1]['{B}']", 17.0),
    (f"{CLOSE}.ix[0, '{A}']", 11.0),
    (f"{CLOSE}.ix[-1, 0]", 13.0),
    (f"{CLOSE}['{A}'].ix[-1]", 13.0),
    (f"{CLOSE}.ix[datetime.datetime(2024, 1, 4), '{A}']", 12.0),
    (f"list({CLOSE}.ix[:, '{B}'])", [19.0, 18.0, 17.0]),
    (f"list({CLOSE}.ix[1:, 0])", [12.0, 13.0]),
    (f"list({FRAME}.ix[0:1, 'code'])", ['c', 'a']),  # labels are numbers: both ends are in
    # sort, order
    (f"list({FRAME}.sort('cap')['code'])", ['a', 'b', 'c']),
    (f"list({FRAME}.sort(['cap'], ascending=False)['code'])", ['c', 'b', 'a']),
    (f"list({FRAME}.sort(columns='cap', ascending=[True])['code'])", ['a', 'b', 'c']),
    (f"list({FRAME}.sort_index(by='cap')['code'])", ['a', 'b', 'c']),
    (f"list({FRAME}.sort_values('cap').code)", ['a', 'b', 'c']),
    (f"list({FRAME}.set_index('code').sort().index)", ['a', 'b', 'c']),
    ("list(pd.Series([3, 1, 2]).order())", [1, 2, 3]),
    ("list(pd.Series([3, 1, 2], index=list('abc')).order(ascending=False).index)", ['a', 'c', 'b']),
    # append
    ("list(pd.Series([1, 2]).append(pd.Series([3])))", [1, 2, 3]),
    (f"list({FRAME}.append({FRAME})['cap'])", [3.0, 1.0, 2.0, 3.0, 1.0, 2.0]),
    (f"list({FRAME}.append({FRAME}, ignore_index=True).index)", [0, 1, 2, 3, 4, 5]),
    (f"list({FRAME}.append({{'code': 'd', 'cap': 9.0}}, ignore_index=True)['code'])", ['c', 'a', 'b', 'd']),
    (f"list(pd.DataFrame().append({FRAME})['code'])", ['c', 'a', 'b']),
    # what else is gone
    (f"[name for name, column in {FRAME}.iteritems()]", ['code', 'cap']),
    ("dict(pd.Series([1, 2], index=['a', 'b']).iteritems())", {'a': 1, 'b': 2}),
    (f"{CLOSE}.as_matrix().tolist()", [[11.0, 19.0], [12.0, 18.0], [13.0, 17.0]]),
    (f"{CLOSE}.get_value(datetime.datetime(2024, 1, 4), '{A}')", 12.0),
    (f"list({CLOSE}.loc[:, {{'{A}'}}].columns)", [A]),
    (f"list({FRAME}.fillna(method='ffill')['cap'])", [3.0, 1.0, 2.0]),
    ("list(pd.Series([1.0, np.nan, 3.0]).fillna(method='pad'))", [1.0, 1.0, 3.0]),
    ("list(pd.Series([np.nan, 2.0]).fillna(method='bfill'))", [2.0, 2.0]),
    ("list(pd.DataFrame({'a': [1, 1, 2], 'b': [1, 2, 3]}).drop_duplicates('a', take_last=True)['b'])", [2, 3]),
    # figures leave out what is no number
    (f"{FRAME}.mean().to_dict()", {'cap': 2.0}),
    (f"{FRAME}.groupby('code').sum()['cap'].to_dict()", {'a': 1.0, 'b': 2.0, 'c': 3.0}),
    ("list(pd.DataFrame({'k': [1, 1, 2], 't': list('xyz'), 'v': [1.0, 2.0, 5.0]}).groupby('k').sum().columns)", ['v']),
    ("pd.DataFrame({'k': [1, 1, 2], 't': list('xyz'), 'v': [1.0, 2.0, 5.0]}).groupby('k').mean()['v'].to_dict()",
     {1: 1.5, 2: 5.0}),
    # module functions
    ("list(pd.rolling_mean(pd.Series([1.0, 2.0, 4.0]), 2)[1:])", [1.5, 3.0]),
    ("pd.rolling_mean(np.array([1.0, 2.0, 4.0]), 2)[-1]", 3.0),
    (f"list(pd.rolling_max({CLOSE}, 2)['{B}'])[1:]", [19.0, 18.0]),
    ("list(pd.rolling_sum(pd.Series([1.0, 2.0, 4.0]), 3, min_periods=1))", [1.0, 3.0, 7.0]),
    ("pd.rolling_std(pd.Series([1.0, 3.0]), 2)[1]", 2 ** 0.5),
    ("list(pd.ewma(pd.Series([1.0, 3.0]), span=3, adjust=False))", [1.0, 2.0]),
    ("list(pd.concat([pd.Series([1]), pd.Series([2])])[:2])", [1, 2]),
    ("pd.merge(pd.DataFrame({'a': [1, 2]}), pd.DataFrame({'a': [2], 'b': [5]}), on='a').ix[0, 'b']", 5),
    ("pandas.isnull(np.nan)", True),
])
def test_what_worked_then(tmp_path, asked, expected):
    assert seen(asked, tmp_path) == expected


@pytest.mark.parametrize(('statement', 'expected'), [
    ("frame['cap'][1] = 9.0", [3.0, 9.0, 2.0]),
    ("frame.cap[1] = 9.0", [3.0, 9.0, 2.0]),
    ("frame['cap'][frame['cap'] > 1.5] = 0.0", [0.0, 1.0, 0.0]),
    ("frame['cap'].loc[2] = 9.0", [3.0, 1.0, 9.0]),
    ("frame['cap'].iloc[-1] = 9.0", [3.0, 1.0, 9.0]),
    ("frame.ix[0, 'cap'] = 9.0", [9.0, 1.0, 2.0]),
    ("frame.loc[frame.code == 'b', 'cap'] = 9.0", [3.0, 1.0, 9.0]),
    ("frame.set_value(1, 'cap', 9.0)", [3.0, 9.0, 2.0]),
    ("frame.sort('cap', inplace=True)", [1.0, 2.0, 3.0]),
    ("frame['cap'].fillna(0, inplace=True)", [3.0, 1.0, 2.0]),
    ("column = frame['cap'] * 2; column[0] = 99.0", [3.0, 1.0, 2.0]),  # what is made of a column is none of the frame
    ("column = frame['cap'].copy(); column[0] = 99.0", [3.0, 1.0, 2.0]),
])
def test_what_is_set_in_a_column_is_set_in_the_frame(tmp_path, statement, expected):
    asked = f'frame = {FRAME}\n{statement}\nreturn list(frame["cap"])'
    assert seen(asked, tmp_path) == expected


def test_what_is_filled_in_a_column_is_filled_in_the_frame(tmp_path):
    asked = """
        frame = pd.DataFrame({'a': [1.0, np.nan]})
        frame['a'].fillna(0.0, inplace=True)
        return list(frame['a'])
    """
    assert seen(asked, tmp_path) == [1.0, 0.0]


def test_what_is_set_in_a_column_by_date(tmp_path):
    asked = f"""
        frame = {CLOSE}
        frame['{A}'][-1] = 99.0
        frame['{B}'][datetime.datetime(2024, 1, 3)] = 1.0
        return frame.values.tolist()
    """
    assert seen(asked, tmp_path) == [[11.0, 1.0], [12.0, 18.0], [99.0, 17.0]]


@pytest.mark.parametrize(('asked', 'expected'), [
    (f"{PANEL}['close']['{A}'][-1]", 13.0),
    (f"{PANEL}.close['{B}'].tolist()", [18.0, 17.0]),
    (f"list({PANEL}.items)", ['open', 'close']),
    (f"list({PANEL}.minor_axis)", [A, B]),
    (f"[str(day.date()) for day in {PANEL}.major_axis]", ['2024-01-04', '2024-01-05']),
    (f"{PANEL}.shape", (2, 2, 2)),
    (f"{PANEL}.values[1].tolist()", [[12.0, 18.0], [13.0, 17.0]]),
    (f"{PANEL}.iloc[:, -1, :].loc['{A}', 'close']", 13.0),
    (f"{PANEL}.iloc[:, 0, :]['close'].to_dict()", {A: 12.0, B: 18.0}),
    (f"{PANEL}.iloc[:, :, 0]['close'].tolist()", [12.0, 13.0]),
    (f"{PANEL}.iloc[1, -1, 0]", 13.0),
    (f"{PANEL}.loc['close', :, '{B}'].tolist()", [18.0, 17.0]),
    (f"{PANEL}[:, :, '{A}']['open'].tolist()", [11.5, 12.5]),
    (f"{PANEL}['close', :, '{A}'].tolist()", [12.0, 13.0]),
    (f"{PANEL}.ix['close', -1, '{A}']", 13.0),
    (f"{PANEL}.minor_xs('{A}')['close'].tolist()", [12.0, 13.0]),
    (f"{PANEL}.major_xs(datetime.datetime(2024, 1, 5))['close'].to_dict()", {A: 13.0, B: 17.0}),
    (f"{PANEL}.transpose(2, 1, 0)['{A}']['open'].tolist()", [11.5, 12.5]),
    (f"{PANEL}.swapaxes('items', 'minor_axis')['{B}']['close'].tolist()", [18.0, 17.0]),
    (f"{PANEL}.to_frame()['close'].tolist()", [12.0, 18.0, 13.0, 17.0]),
    (f"'close' in {PANEL}, len({PANEL}), list({PANEL})", (True, 2, ['open', 'close'])),
    (f"{PANEL}.empty", False),
])
def test_a_panel(tmp_path, asked, expected):
    assert seen(asked, tmp_path) == expected


def test_a_panel_without_days_that_lack_something(tmp_path):
    asked = f"get_price(['{A}', '{B}'], count=3, end_date=context.previous_date, fields=['close'], fill_paused=False)"
    paused = {'paused': {B: {2: 1}}}
    assert seen(f"{asked}.dropna()['close'].values.tolist()", tmp_path, **paused) == [[11.0, 19.0], [13.0, 17.0]]
    assert seen(f"{asked}.fillna(0.0)['close']['{B}'].tolist()", tmp_path, **paused) == [19.0, 0.0, 17.0]


def test_a_field_that_a_panel_does_not_have_is_said(tmp_path):
    with pytest.raises(ScriptError, match=r"a panel has no 'volume'; it has the fields open, close"):
        seen(f'{PANEL}.volume', tmp_path)


@pytest.mark.parametrize('head', ['', 'import pandas as pd', 'from pandas import DataFrame, Series\nimport pandas as pd'])
def test_old_methods_are_there_however_pandas_comes(tmp_path, head):
    assert seen(f"list({FRAME}.sort('cap')['code'])", tmp_path, head) == ['a', 'b', 'c']


def test_classes_are_those_of_the_frames(tmp_path):
    head = 'from pandas import DataFrame, Series, Panel\nimport pandas as pd'
    asked = f"""
        frame = {CLOSE}
        return [isinstance(frame, DataFrame), isinstance(frame, pd.DataFrame), isinstance(frame['{A}'], Series),
                isinstance({PANEL}, Panel), isinstance(DataFrame([1]).T, DataFrame)]
    """
    assert seen(asked, tmp_path, head) == [True] * 5


def test_a_frame_that_is_given_is_the_scripts_own(tmp_path):
    asked = f"""
        first = {CLOSE}
        first['{A}'] = 0.0
        values = history(3, '1d', 'close', ['{A}'], df=False)['{A}']
        values[:] = 0.0
        return {CLOSE}['{A}'].tolist()
    """
    assert seen(asked, tmp_path) == [11.0, 12.0, 13.0]


def test_the_installed_pandas_stays_as_it_is(tmp_path):
    before = set(dir(pd)), set(dir(pd.DataFrame)), set(dir(pd.Series)), pd.DataFrame, pd.Series, pd.concat
    assert seen(f"type({FRAME}.sort('cap')).__name__, hasattr(pd, 'rolling_mean')", tmp_path)[1]

    assert (set(dir(pd)), set(dir(pd.DataFrame)), set(dir(pd.Series)), pd.DataFrame, pd.Series, pd.concat) == before
    assert sys.modules['pandas'] is pd
    assert not hasattr(pd, 'rolling_mean') and not hasattr(pd, 'Panel')
    for name in ('ix', 'sort', 'append', 'iteritems'):
        assert not hasattr(pd.DataFrame({'a': [1]}), name)
    with pytest.raises(KeyError):
        pd.Series([1.0, 2.0], index=['a', 'b'])[-1]


def test_frames_can_leave_the_script(tmp_path):
    frame = seen(CLOSE, tmp_path)
    plain = pd.DataFrame(frame)

    assert type(plain) is pd.DataFrame
    assert plain.equals(pd.DataFrame({A: [11.0, 12.0, 13.0], B: [19.0, 18.0, 17.0]}, index=DATES[1:4]))
    assert np.asarray(frame).tolist() == [[11.0, 19.0], [12.0, 18.0], [13.0, 17.0]]
