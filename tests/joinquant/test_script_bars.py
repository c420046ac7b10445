"""get_bars, and the bar of one minute that stands for the last price."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from bt_microcap.joinquant.api.errors import ScriptError
from bt_microcap.joinquant.api.session import ScriptWarning

from .looking import look
from .scripts import market

A, B = '600001.XSHG', '000002.XSHE'
# Tuesday to Friday of one week, Monday to Wednesday of the next; every day opens half a yuan below its close.
DATES = pd.to_datetime(['2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05', '2024-01-08', '2024-01-09', '2024-01-10'])
DAYS = [day.date() for day in DATES]
CLOSES = {A: [10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0], B: [20.0, 21.0, 21.0, 22.0, 23.0, 24.0, 25.0]}
OPENS = {A: [9.5, 10.5, 11.5, 12.5, 13.5, 14.5, 15.5], B: {2: 21.0}}


def table():
    """Return a market in which B is suspended on Thursday, the third day."""
    return market(CLOSES, open=OPENS, paused={B: {2: 1}})


def seen(asked, tmp_path, day=4, at='9:30', **more):
    return look(asked, table(), tmp_path, day, at, **more)


def closes(asked, tmp_path, day=4, at='9:30'):
    return seen(f'get_bars({asked}, fields=["close"])["close"].tolist()', tmp_path, day, at)


# ------------------------------------------------------------------------------------------------- get_bars


def test_one_stock_is_a_structured_array(tmp_path):
    answer = seen(f"get_bars('{A}', 2)", tmp_path)

    assert isinstance(answer, np.ndarray)
    assert answer.dtype.names == ('date', 'open', 'high', 'low', 'close')
    assert answer['date'].tolist() == [DAYS[2], DAYS[3]]
    assert all(type(day) is dt.date for day in answer['date'])
    assert answer['close'].tolist() == [12.0, 13.0] and answer['open'].tolist() == [11.5, 12.5]
    assert answer[-1]['high'] == 13.0 and answer[0][3] == 11.5


def test_several_stocks_are_a_dict_of_arrays(tmp_path):
    answer = seen(f"get_bars(['{A}', '{B}'], 2, '1d', ['close', 'volume'])", tmp_path)

    assert list(answer) == [A, B]
    assert answer[B].dtype.names == ('close', 'volume')
    assert answer[B].tolist() == [(21.0, 1e7), (22.0, 1e7)]  # without the suspended day


def test_one_stock_as_a_frame(tmp_path):
    answer = seen(f"get_bars('{B}', 3, '1d', ['date', 'close'], df=True)", tmp_path)

    assert answer.index.tolist() == [0, 1, 2]
    assert answer.columns.tolist() == ['date', 'close']
    assert answer['close'].tolist() == [20.0, 21.0, 22.0]
    assert pd.to_datetime(answer['date']).tolist() == [DATES[0], DATES[1], DATES[3]]


def test_several_stocks_as_a_frame_by_code_and_number(tmp_path):
    answer = seen(f"get_bars(['{A}', '{B}'], 2, '1d', ['date', 'close'], df=True)", tmp_path)

    assert answer.index.tolist() == [(A, 0), (A, 1), (B, 0), (B, 1)]
    assert answer.columns.tolist() == ['date', 'close']
    assert answer.loc[B]['close'].tolist() == [21.0, 22.0]


def test_there_are_no_more_bars_than_there_are(tmp_path):
    assert closes(f"'{B}', 99", tmp_path) == [20.0, 21.0, 22.0]


@pytest.mark.parametrize(('at', 'now', 'expected'), [
    ('9:30', False, [12.0, 13.0]), ('14:50', False, [12.0, 13.0]), ('9:00', True, [12.0, 13.0]), ('14:50', True, [13.0, 14.0]),
    ('15:30', True, [13.0, 14.0])])
def test_todays_bar_is_there_with_include_now_once_it_is_known(tmp_path, at, now, expected):
    assert closes(f"'{A}', 2, include_now={now}", tmp_path, at=at) == expected
    assert closes(f"'{A}', 2, include_now={now}, end_dt=context.current_dt", tmp_path, at=at) == expected


def test_at_the_open_todays_bar_is_the_open_without_volume(tmp_path):
    # "get_bars 开盘时取的bar高开低收都是当天的开盘价，成交量成交额为0"
    asked = f"get_bars('{A}', 2, '1d', ['date', 'open', 'high', 'low', 'close', 'volume', 'money'], include_now=True)"
    assert seen(asked, tmp_path).tolist() == [
        (DAYS[3], 12.5, 13.0, 12.5, 13.0, 1e7, 13e7), (DAYS[4], 13.5, 13.5, 13.5, 13.5, 0.0, 0.0)]


def test_a_time_ends_the_bars(tmp_path):
    assert closes(f"'{A}', 2, end_dt='2024-01-04 15:30:00', include_now=True", tmp_path) == [11.0, 12.0]
    assert closes(f"'{A}', 2, end_dt=datetime.datetime(2024, 1, 4, 16), include_now=True", tmp_path) == [11.0, 12.0]


def test_a_day_as_the_end_is_its_midnight(tmp_path):
    # "end_dt如果输入2019-03-04，默认2019-03-04 00:00:00"
    assert closes(f"'{A}', 2, end_dt='2024-01-04'", tmp_path) == [10.0, 11.0]
    assert closes(f"'{A}', 2, end_dt=context.previous_date", tmp_path) == [11.0, 12.0]


def test_bars_after_now_are_not_given(tmp_path):
    assert closes(f"'{A}', 2, end_dt='2024-01-10 15:30:00', include_now=True", tmp_path, at='9:00') == [12.0, 13.0]


@pytest.mark.parametrize(('unit', 'expected'), [
    ('1d', [(DAYS[3], 12.5, 13.0, 12.5, 13.0, 1e7), (DAYS[4], 13.5, 14.0, 13.5, 14.0, 1e7)]),
    ('2d', [(DAYS[2], 10.5, 12.0, 10.5, 12.0, 2e7), (DAYS[4], 12.5, 14.0, 12.5, 14.0, 2e7)]),
])
def test_bars_of_days(tmp_path, unit, expected):
    asked = f"get_bars('{A}', 2, '{unit}', ['date', 'open', 'high', 'low', 'close', 'volume'])"
    assert seen(asked, tmp_path, 5).tolist() == expected


def test_a_week_is_there_when_it_is_over(tmp_path):
    asked = f"get_bars('{A}', 3, '1w', ['date', 'open', 'high', 'low', 'close', 'volume'])"
    first = (DAYS[3], 9.5, 13.0, 9.5, 13.0, 4e7)

    assert seen(asked, tmp_path, 4).tolist() == [first]
    assert seen(asked, tmp_path, 6).tolist() == [first]  # "不包括这一周的"
    assert seen(asked.replace(')', ', include_now=True)'), tmp_path, 5, '15:30').tolist() == [
        first, (DAYS[5], 13.5, 15.0, 13.5, 15.0, 2e7)]


def test_minutes_are_refused_but_for_the_last_price(tmp_path):
    with pytest.raises(ScriptError, match=r'minute bars.*last price alone.*count=1'):
        closes(f"'{A}', 5, unit='1m'", tmp_path)
    assert closes(f"'{A}', 1, unit='1m'", tmp_path) == [13.5]


# ------------------------------------------------------------------------------------------------- the last price

LAST = [('9:05', 13.0), ('9:30', 13.5), ('14:50', 14.0), ('15:30', 14.0)]  # yesterday's close, the open, the close
FORMS = ["history(1, unit='1m', field='close', security_list=['{A}'])['{A}'][-1]",
         "history(1, '1m', 'close', '{A}').iloc[-1, 0]",
         "history(1, '1m', 'close', ['{A}'], df=False)['{A}'][0]",
         "attribute_history('{A}', 1, '1m', ['close'])['close'][-1]",
         "attribute_history('{A}', 1, '1m', ['close'], df=False)['close'][0]",
         "get_price('{A}', end_date=context.current_dt, frequency='1m', fields=['close'], count=1)['close'].iloc[0]",
         "get_price('{A}', end_date=context.current_dt, frequency='minute', fields='close', count=1).iloc[0, 0]",
         "get_price(['{A}'], end_date=context.current_dt, frequency='1m', fields=['close'], count=1, panel=False)['close'][0]",
         "get_bars('{A}', 1, '1m', ['close'])['close'][0]"]


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize(('at', 'expected'), LAST)
def test_a_minute_bar_is_the_last_price(tmp_path, form, at, expected):
    assert seen(form.format(A=A), tmp_path, at=at) == expected


def test_the_minute_bar_is_said_to_be_a_stand_in(tmp_path):
    with pytest.warns(ScriptWarning, match='a bar of 1 minute stands for the last price known from daily bars'):
        seen(FORMS[0].format(A=A), tmp_path)


def test_the_minute_bar_of_a_suspended_stock_is_its_last_close(tmp_path):
    for at in ('9:05', '9:30', '14:50'):
        assert seen(f"history(1, '1m', 'close', ['{B}'])['{B}'][-1]", tmp_path, 2, at) == 21.0


def test_the_minute_bar_has_todays_limits_and_state(tmp_path):
    asked = f"attribute_history('{A}', 1, '1m', ['close', 'high_limit', 'low_limit', 'paused'])"
    answer = seen(asked, tmp_path)

    assert answer.iloc[0].tolist() == [13.5, 14.3, 11.7, 0.0]  # of the close before, 13
    assert answer.index.tolist() == [pd.Timestamp('2024-01-08 09:30')]


def test_the_minute_bar_at_the_end_of_an_earlier_day_is_its_close(tmp_path):
    asked = f"get_price('{A}', end_date='2024-01-03 15:00:00', frequency='1m', fields=['close'], count=1)['close'].tolist()"
    assert seen(asked, tmp_path) == [11.0]


@pytest.mark.parametrize('form', ["history(5, '1m', 'close', ['{A}'])", "attribute_history('{A}', 240, '1m', ['close'])",
                                  "get_price('{A}', count=2, end_date=context.current_dt, frequency='1m')",
                                  "history(1, '5m', 'volume', ['{A}'])"])
def test_other_minutes_are_refused(tmp_path, form):
    with pytest.raises(ScriptError, match=r'script\.py, line \d+.*minute'):
        seen(form.format(A=A), tmp_path)
