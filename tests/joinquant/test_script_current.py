"""get_current_data() of a JoinQuant script: what is known of a stock at the moment."""

import pandas as pd
import pytest

from bt_microcap.joinquant.api.errors import ScriptError

from .looking import look
from .scripts import market, store

A, B, C, NEW = '600001.XSHG', '000002.XSHE', '300003.XSHE', '688004.XSHG'
# A opens at 10.5 after a close of 10, and closes at 11; on day 2 it is ex a dividend of 1 yuan. B is suspended on day 1, C is ST,
# and has no row after day 1, NEW is listed on day 2, without limits on its first days.
TABLE = {
    'closes': {A: [10.0, 11.0, 10.2], B: [20.0, 20.0, 21.0], C: [5.0, 5.0, None], NEW: [None, None, 30.0]},
    'open': {A: {1: 10.5}, B: {2: 20.5}, NEW: {2: 25.0}}, 'preclose': {A: {2: 10.0}, NEW: {2: 15.0}},
    'paused': {B: {1: 1}}, 'is_st': {C: 1}, 'high_limit': {NEW: {2: float('nan')}}, 'low_limit': {NEW: {2: float('nan')}},
}


def now(what, tmp_path, day=1, at='9:30', codes=(A, B, C)):
    """Return an attribute of stocks."""
    return look(f'[get_current_data()[code].{what} for code in {list(codes)}]', market(**TABLE), tmp_path, day, at)


@pytest.mark.parametrize(('at', 'expected'), [
    ('9:00', [10.0, 20.0, 5.0]), ('9:30', [10.5, 20.0, 5.0]), ('14:50', [11.0, 20.0, 5.0]), ('15:30', [11.0, 20.0, 5.0])])
def test_the_last_price(tmp_path, at, expected):
    assert now('last_price', tmp_path, at=at) == expected


def test_the_last_price_on_an_ex_date_is_restated(tmp_path):
    assert now('last_price', tmp_path, 2, '9:00', [A, B]) == [10.0, 20.0]
    assert now('last_price', tmp_path, 2, '9:30', [A, B, NEW]) == [10.2, 20.5, 25.0]
    assert now('last_price', tmp_path, 2, '14:50', [A, B, NEW]) == [10.2, 21.0, 30.0]


def test_the_open_is_known_from_the_open_on(tmp_path):
    assert all(value != value for value in now('day_open', tmp_path, at='9:00'))
    for at in ('9:30', '14:50'):
        assert now('day_open', tmp_path, at=at, codes=[A]) == [10.5]


@pytest.mark.parametrize('at', ['9:00', '9:30', '14:50'])
def test_limits_suspension_and_st_are_known_before_the_open(tmp_path, at):
    assert now('high_limit', tmp_path, at=at) == [11.0, 22.0, 5.5]
    assert now('low_limit', tmp_path, at=at) == [9.0, 18.0, 4.5]
    assert now('paused', tmp_path, at=at) == [False, True, False]
    assert now('is_st', tmp_path, at=at) == [False, False, True]
    assert now('high_limit', tmp_path, 2, at, [A]) == [11.0]  # of the reference price of the ex-date


def test_a_stock_without_a_row_today_is_suspended(tmp_path):
    # C has had its last day; NEW is not listed before day 2.
    assert now('paused', tmp_path, 2) == [False, False, True]
    assert now('paused', tmp_path, 1, codes=[NEW]) == [True]
    assert now('is_st', tmp_path, 2, codes=[C]) == [True]


def test_the_delisting_period_counts_as_st(tmp_path):
    told = market({A: [10.0, 10.0], B: [20.0, 20.0]}, delisting_period={A: [0, 1], B: 0})
    assert look(f'[get_current_data()[code].is_st for code in ("{A}", "{B}")]', told, tmp_path) == [True, False]


def test_a_day_without_limits_has_none_that_binds(tmp_path):
    asked = f"""
        stock = get_current_data()['{NEW}']
        return stock.last_price < stock.high_limit, stock.last_price > stock.low_limit
    """
    told = market(**TABLE)
    # A STAR share has no limit on its first five days.
    assert look(asked, told, tmp_path, 2) == (True, True)


def test_the_platforms_idioms(tmp_path):
    asked = f"""
        data = get_current_data()
        return [code for code in {[A, B, C]} if not (
            data[code].paused or data[code].is_st or 'ST' in data[code].name or '*' in data[code].name or '退' in data[code].name
            or data[code].day_open == data[code].high_limit or data[code].last_price == data[code].low_limit)]
    """
    assert look(asked, market(**TABLE), tmp_path) == [A]


def test_names_are_those_of_the_day(tmp_path):
    names = pd.DataFrame({'code': [A, A, B], 'date': pd.to_datetime(['2020-01-01', '2024-01-04', '2020-01-01']),
                          'name': ['甲股份', '*ST甲', '乙股份']})
    told = store(market({A: [10.0] * 4, B: [20.0] * 4}), tmp_path / 'market', names=names)
    asked = f"[get_current_data()[code].name for code in ('{A}', '{B}')]"

    assert look(asked, told, tmp_path, 1, '9:00') == ['甲股份', '乙股份']
    assert look(asked, told, tmp_path, 2, '9:00') == ['*ST甲', '乙股份']


def test_it_holds_what_was_looked_up_and_knows_all_codes(tmp_path):
    # Otherwise it would tell which stocks will be listed.
    asked = f"""
        data = get_current_data()
        before = len(data)
        prices = data['{B}'].last_price, data['{A}'].last_price
        return before, sorted(data.keys()), len(data), sorted(data), '{A}' in data, '{C}' in data, '600999.XSHG' in data
    """
    assert look(asked, market(**TABLE), tmp_path) == (0, [B, A], 2, [B, A], True, True, False)


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(ScriptError, match=r"script\.py, line \d+.*has no stock '600999.XSHG'"):
        now('last_price', tmp_path, codes=['600999.XSHG'])
    with pytest.raises(ScriptError, match=r"has no 'volume'; it has last_price, day_open"):
        now('volume', tmp_path)


def test_values_are_plain_numbers(tmp_path):
    found = now('last_price', tmp_path) + now('high_limit', tmp_path)
    assert {type(value) for value in found} == {float}
    assert {type(value) for value in now('paused', tmp_path) + now('is_st', tmp_path)} == {bool}
