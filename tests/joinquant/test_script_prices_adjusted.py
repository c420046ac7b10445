"""Bars of a JoinQuant script at the level of its own day: dividends and bonus shares, told or seen in the preclose alone."""

import numpy as np
import pandas as pd
import pytest

from .looking import look
from .scripts import market

A, B = '600001.XSHG', '000002.XSHE'
NAN = float('nan')
# On day 2 A pays 1 yuan and gives 5 shares for 10: a close of 10 yuan becomes (10 - 1) / 1.5 = 6 yuan, 0.6 of it.
CLOSES = {A: [10.0, 10.0, 6.3, 6.6, 6.9], B: [20.0] * 5}
RAW = {A: [10.0, 10.0, 6.3, 6.6, 6.9]}
VOLUME = {A: [3e6, 6e6, 9e6, 9e6, 9e6]}
TOLD = {'preclose': {A: {2: 6.0}}, 'cash_dividend': {A: {2: 1.0}}, 'share_ratio': {A: {2: 1.5}}}
SEEN = {'preclose': {A: {2: 6.0}}}  # the same without columns of its own
WAYS = pytest.mark.parametrize('columns', [TOLD, SEEN], ids=['told', 'seen in the preclose'])


def table(columns, closes=None, **more):
    return market(closes or CLOSES, **{'volume': VOLUME, **columns, **more})


def same(found, expected):
    """Return whether values are equal, NaN being equal to NaN."""
    np.testing.assert_array_equal(np.asarray(found, float), np.asarray(expected, float))
    return True


@WAYS
@pytest.mark.parametrize(('day', 'expected'), [
    (1, [10.0]),  # nothing has happened yet: what comes later does not show
    (2, [6.0, 6.0]),  # the ex-date is today: known before the open
    (3, [6.0, 6.0, 6.3]),
    (4, [6.0, 6.0, 6.3, 6.6]),
])
def test_history_is_at_the_level_of_today(tmp_path, columns, day, expected):
    for at in ('9:00', '9:30', '14:50'):
        assert look(f"history({day}, '1d', 'close', ['{A}'])['{A}'].tolist()", table(columns), tmp_path, day, at) == expected


@WAYS
@pytest.mark.parametrize(('fq', 'expected'), [
    ("'pre'", [6.0, 6.0, 6.3, 6.6]), ('None', [10.0, 10.0, 6.3, 6.6]),
    ("'post'", [10.0, 10.0, 10.5, 11.0])])  # 6.3 / 0.6 and 6.6 / 0.6: at the level of the first day
def test_the_three_levels(tmp_path, columns, fq, expected):
    told = table(columns)

    assert look(f"history(4, '1d', 'close', ['{A}', '{B}'], fq={fq})['{A}'].tolist()", told, tmp_path, 4) == expected
    assert look(f"history(4, '1d', 'close', ['{A}', '{B}'], fq={fq})['{B}'].tolist()", told, tmp_path, 4) == [20.0] * 4
    assert look(f"attribute_history('{A}', 4, '1d', ['close'], fq={fq})['close'].tolist()", told, tmp_path, 4) == expected
    for form in (f"'{A}'", f"['{A}'], panel=False", f"'{A}', skip_paused=True"):
        asked = f"get_price({form}, fields=['close'], count=4, end_date=context.previous_date, fq={fq})['close'].tolist()"
        assert look(asked, told, tmp_path, 4) == expected
    # Bars that end before the ex-date are at the level of today all the same, and of post at that of the first day.
    asked = f"get_price('{A}', count=2, end_date='2024-01-03', fields=['close'], fq={fq})['close'].tolist()"
    assert look(asked, told, tmp_path, 4) == expected[:2]


@WAYS
@pytest.mark.parametrize(('field', 'fq', 'expected'), [
    ('open', 'pre', [6.0, 6.3]), ('high', 'pre', [6.0, 6.3]), ('low', 'pre', [6.0, 6.3]), ('avg', 'pre', [6.0, 6.3]),
    ('pre_close', 'pre', [6.0, 6.0]),  # of the day before the ex-date 10, restated; of the ex-date the reference price
    ('high_limit', 'pre', [6.6, 6.6]), ('low_limit', 'pre', [5.4, 5.4]),  # 11 x 0.6 and 6 x 1.1; 9 x 0.6 and 6 x 0.9
    ('volume', 'pre', [10e6, 9e6]),  # 6e6 / 0.6: prices down, shares up
    ('money', 'pre', [60e6, 56.7e6]),  # yuan are yuan
    ('factor', 'pre', [0.6, 1.0]), ('paused', 'pre', [0.0, 0.0]),
    ('volume', 'post', [6e6, 5.4e6]), ('factor', 'post', [1.0, 1 / 0.6]), ('high_limit', 'post', [11.0, 11.0]),
    ('volume', None, [6e6, 9e6]), ('factor', None, [1.0, 1.0]), ('high_limit', None, [11.0, 6.6]), ('avg', None, [10.0, 6.3]),
])
def test_what_is_adjusted_and_what_is_not(tmp_path, columns, field, fq, expected):
    asked = f"get_price('{A}', count=2, end_date='2024-01-04', fields=['{field}'], fq={fq!r})['{field}'].tolist()"
    assert look(asked, table(columns), tmp_path, 4) == pytest.approx(expected, rel=1e-12)


def test_the_average_is_money_over_volume(tmp_path):
    told = table(TOLD, open={A: {1: 9.0}}, amount={A: {1: 57e6}})  # 6e6 shares at 9.5 yuan; 9.5 x 0.6 = 5.7
    asked = "get_price('{A}', count=1, end_date='2024-01-03', fields=['avg'], fq={fq})['avg'][0]"
    assert look(asked.format(A=A, fq=None), told, tmp_path, 4) == 9.5
    assert look(asked.format(A=A, fq="'pre'"), told, tmp_path, 4) == 5.7


@WAYS
def test_an_ex_date_while_suspended(tmp_path, columns):
    # Suspended on the ex-date and the day after: the exchange restates the last close, and nothing is traded.
    told = table(columns, {A: [10.0, 10.0, 6.0, 6.0, 6.6], B: [20.0] * 5}, paused={A: {2: 1, 3: 1}}, volume={
        A: [3e6, 6e6, 0.0, 0.0, 9e6]})
    asked = f"history({{}}, '1d', 'close', ['{A}'])['{A}'].tolist()"

    assert look(asked.format(2), told, tmp_path, 2) == [6.0, 6.0]
    assert look(asked.format(3), told, tmp_path, 3) == [6.0, 6.0, 6.0]
    assert look(asked.format(4), told, tmp_path, 4) == [6.0, 6.0, 6.0, 6.0]
    assert look(f"attribute_history('{A}', 2, '1d', ['close'])['close'].tolist()", told, tmp_path, 4) == [6.0, 6.0]
    assert look(f"attribute_history('{A}', 1, '1m', ['close'])['close'].tolist()", told, tmp_path, 3) == [6.0]


def test_an_ex_date_during_a_suspension_without_rows_shows_when_it_is_traded_again(tmp_path):
    told = market({A: [10.0, 10.0, None, 6.6, 6.9], B: [20.0] * 5}, preclose={A: {3: 6.0}})
    asked = f"history({{}}, '1d', 'close', ['{A}'])['{A}'].tolist()"

    assert look(asked.format(2), told, tmp_path, 2) == [10.0, 10.0]  # nobody has said so yet
    assert look(asked.format(3), told, tmp_path, 3) == [6.0, 6.0, 6.0]
    assert look(asked.format(4), told, tmp_path, 4) == [6.0, 6.0, 6.0, 6.6]


def test_two_ex_dates_multiply(tmp_path):
    # 10 becomes 9 on day 1, 0.9; 9 becomes 4.5 on day 3, 0.5.
    told = market({A: [10.0, 9.0, 9.0, 4.5, 4.5]}, preclose={A: {1: 9.0, 3: 4.5}})

    assert look(f"history(3, '1d', 'close', ['{A}'])['{A}'].tolist()", told, tmp_path, 3) == [4.5, 4.5, 4.5]
    assert look(f"history(3, '1d', 'factor', ['{A}'])['{A}'].tolist()", told, tmp_path, 3) == pytest.approx([0.45, 0.5, 0.5])
    assert look(f"history(3, '1d', 'close', ['{A}'], fq='post')['{A}'].tolist()", told, tmp_path, 3) == [10.0, 10.0, 10.0]
    assert look(f"history(4, '1d', 'close', ['{A}'], fq='post')['{A}'].tolist()", told, tmp_path, 4) == [10.0, 10.0, 10.0, 10.0]


def test_a_listing_after_the_first_day_is_the_level_of_post(tmp_path):
    told = market({A: [None, 10.0, 6.0, 6.0, 6.0], B: [20.0] * 5}, preclose={A: {2: 6.0}})
    asked = f"history(4, '1d', 'close', ['{A}'], fq='{{}}')['{A}']"

    assert same(look(asked.format('post'), told, tmp_path, 4), [NAN, 10.0, 10.0, 10.0])
    assert same(look(asked.format('pre'), told, tmp_path, 4), [NAN, 6.0, 6.0, 6.0])


def test_a_rounding_of_the_close_is_no_ex_date(tmp_path):
    told = market({A: [10.004, 10.0, 10.0]}, preclose={A: {1: 10.0}})  # within half a tick
    assert look(f"history(2, '1d', 'factor', ['{A}'])['{A}'].tolist()", told, tmp_path, 2) == [1.0, 1.0]


def test_get_bars_is_raw_without_a_day_of_reference(tmp_path):
    told = table(TOLD)
    assert look(f"get_bars('{A}', 3, fields=['close'])['close'].tolist()", told, tmp_path, 3) == [10.0, 10.0, 6.3]
    asked = f"get_bars('{A}', 3, fields=['close'], fq_ref_date=context.current_dt.date())['close'].tolist()"
    assert look(asked, told, tmp_path, 3) == [6.0, 6.0, 6.3]


def test_the_minute_bar_before_the_open_is_the_restated_close(tmp_path):
    told = table(TOLD)
    for form in (f"history(1, '1m', 'close', ['{A}'])['{A}'][-1]", f"get_current_data()['{A}'].last_price"):
        assert look(form, told, tmp_path, 2, '9:00') == 6.0
        assert look(form, told, tmp_path, 2, '9:30') == 6.3


def test_a_fund_has_prices_of_three_decimals(tmp_path):
    fund = '510300.XSHG'
    told = market({fund: [4.001, 3.9, 3.905], B: [20.0] * 3}, preclose={fund: {1: 3.901, 2: 3.9}},
                  high_limit={fund: 4.5}, low_limit={fund: 3.5})
    # 3.901 / 4.001 on day 1: the close of 4.001 is 3.901 at today's level.
    assert look(f"history(2, '1d', 'close', ['{fund}'])['{fund}'].tolist()", told, tmp_path, 2) == [3.901, 3.9]


def test_days_are_the_index_whatever_the_level(tmp_path):
    for fq in ("'pre'", "'post'", 'None'):
        answer = look(f"history(2, '1d', 'close', ['{A}'], fq={fq})", table(TOLD), tmp_path, 3)
        assert answer.index.tolist() == [pd.Timestamp('2024-01-03'), pd.Timestamp('2024-01-04')]
