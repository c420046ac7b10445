"""Factors of a JoinQuant script, from columns of the store or worked out of bars; jqfactor's helpers; dividends by finance."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest

from bt_microcap.joinquant.api.errors import ScriptError
from bt_microcap.joinquant.api.session import ScriptWarning

from .looking import look
from .scripts import market

A, B = '600001.XSHG', '000002.XSHE'
NAN = float('nan')
HEAD = 'from jqfactor import *'
# Seven days up to the day before: 10 yuan, and then each of these. A float of 1e8 shares.
CLOSES = [10.0, 11.0, 12.0, 11.0, 12.0, 13.0, 12.0, 12.0]
VOLUMES = [1e6, 2e6, 3e6, 4e6, 5e6, 6e6, 7e6, 8e6]


def table(closes=CLOSES, volume=VOLUMES, **columns):
    closes = list(closes)
    return market({A: closes, B: [20.0] * len(closes)}, **{
        'volume': {A: list(volume), B: 1e6}, 'circ_market_cap': {A: [1e8 * price for price in closes], B: 2e9},
        'market_cap': {A: [2e8 * price for price in closes], B: 4e9}, **columns})


def factor(name, told, tmp_path, day=7, code=A):
    """Return a factor of the day before."""
    asked = f"get_factor_values(['{A}', '{B}'], ['{name}'], end_date=context.previous_date, count=1)['{name}']['{code}'].iloc[0]"
    return look(asked, told, tmp_path, day, head=HEAD)


# ------------------------------------------------------------------------------------------------- layout


def test_factors_are_frames_of_days_by_codes(tmp_path):
    asked = (f"get_factor_values(securities=['{B}', '{A}'], factors=['market_cap', 'ROC6'], end_date=context.previous_date, "
             'count=2)')
    answer = look(asked, table(), tmp_path, 7, head=HEAD)

    assert list(answer) == ['market_cap', 'ROC6']
    assert answer['market_cap'].columns.tolist() == [B, A]
    assert answer['market_cap'].index.tolist() == list(pd.to_datetime(['2024-01-09', '2024-01-10']))
    assert answer['market_cap'].values.tolist() == [[4e9, 2.6e9], [4e9, 2.4e9]]  # yuan, not yi


@pytest.mark.parametrize(('days', 'expected'), [
    ("start_date='2024-01-04', end_date='2024-01-08'", [2.4e9, 2.2e9, 2.4e9]),
    ("start_date='2024-01-06', end_date='2024-01-08'", [2.4e9]),
    ("end_date='2024-01-07', count=2", [2.4e9, 2.2e9]),  # a Sunday
    ("start_date=context.previous_date, end_date=context.previous_date", [2.4e9]),
])
def test_days_of_factors(tmp_path, days, expected):
    asked = f"get_factor_values('{A}', 'market_cap', {days})['market_cap']['{A}'].tolist()"
    assert look(asked, table(), tmp_path, 7, head=HEAD) == expected


def test_a_span_without_a_trading_day_is_empty(tmp_path):
    asked = f"get_factor_values('{A}', 'market_cap', start_date='2024-01-06', end_date='2024-01-07')['market_cap']"
    answer = look(asked, table(), tmp_path, 7, head=HEAD)
    assert (len(answer), answer.columns.tolist()) == (0, [A])


def test_a_factor_of_today_is_that_of_the_day_before(tmp_path):
    asked = f"get_factor_values('{A}', 'market_cap', end_date=context.current_dt, count=1)['market_cap']['{A}'].tolist()"
    for at in ('9:30', '14:50'):
        with pytest.warns(ScriptWarning, match='a factor of 2024-01-10 is not known'):
            assert look(asked, table(), tmp_path, 6, at, head=HEAD) == [2.6e9]
        with pytest.raises(ScriptError, match='a factor of 2024-01-10 is not known .*avoid_future_data'):
            look(asked, table(), tmp_path, 6, at, head=HEAD, setup="set_option('avoid_future_data', True)")


# ------------------------------------------------------------------------------------------------- columns of the store


@pytest.mark.parametrize('column', ['factor.roe_ttm', 'roe_ttm'])
def test_a_column_of_the_store_is_a_factor(tmp_path, column):
    told = table(**{column: {A: [0.1, 0.2, NAN, 0.4, 0.5, 0.6, 0.7, 0.8], B: NAN}})
    asked = f"get_factor_values(['{A}', '{B}'], 'roe_ttm', end_date=context.previous_date, count=5)['roe_ttm']"
    np.testing.assert_array_equal(look(asked, told, tmp_path, 7, head=HEAD),
                                  [[NAN, NAN], [0.4, NAN], [0.5, NAN], [0.6, NAN], [0.7, NAN]])


def test_a_column_goes_before_what_is_worked_out(tmp_path):
    assert factor('ROC6', table(**{'factor.ROC6': 42.0}), tmp_path) == 42.0


def test_a_factor_that_nobody_has_is_said_with_its_column(tmp_path):
    with pytest.raises(ScriptError, match=r'lacks factor\.net_profit_growth_rate: .*jqdatasdk get_factor_values'):
        factor('net_profit_growth_rate', table(), tmp_path)


# ------------------------------------------------------------------------------------------------- worked out by hand
# The days before day 7: closes 10 11 12 11 12 13 12, turnovers 1 2 3 4 5 6 7 % of the float.


@pytest.mark.parametrize(('name', 'expected'), [
    ('VOL5', 5.0),  # (3 + 4 + 5 + 6 + 7) / 5
    ('ROC6', 20.0),  # 12 over 10
    ('BIAS5', 0.0),  # 12 less 60 / 5
    ('MAC5', 1.0),
    ('TVMA6', (22 + 36 + 44 + 60 + 78 + 84) * 1e6 / 6),
    ('natural_log_of_market_cap', math.log(2.4e9)),
    ('market_cap', 2.4e9),
    ('circulating_market_cap', 1.2e9),
])
def test_factors_by_hand(tmp_path, name, expected):
    assert factor(name, table(), tmp_path) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_factors_over_a_suspension_by_hand(tmp_path):
    # Of five days one is suspended: no turnover, the close stays.
    told = table([10.0, 11.0, 12.0, 12.0, 13.0, 13.0], [1e6, 2e6, 3e6, 0.0, 5e6, 5e6], paused={A: {3: 1}})
    assert factor('BIAS5', told, tmp_path, 5) == pytest.approx((13 / 11.6 - 1) * 100)
    assert factor('VOL5', told, tmp_path, 5) == pytest.approx((1 + 2 + 3 + 0 + 5) / 5)


def test_factors_are_those_of_restated_prices(tmp_path):
    # 10 becomes 5 on day 2: no loss.
    told = table([10.0, 10.0, 5.0, 5.0, 5.0, 5.0, 5.5, 5.5], preclose={A: {2: 5.0}})
    assert factor('ROC6', told, tmp_path) == pytest.approx(10.0)
    assert factor('BIAS5', told, tmp_path, 5) == pytest.approx(0.0)


def test_a_factor_without_enough_days_is_not_known(tmp_path):
    assert math.isnan(factor('ROC12', table(), tmp_path))
    assert math.isnan(factor('ROC6', table(), tmp_path, 6))
    assert not math.isnan(factor('BIAS5', table(), tmp_path, 5))


LONG = 24  # days before the day of the look
UPS = [1.01, 1.02, 0.99, 1.0, 0.98, 1.03]  # what the closes are multiplied by, over and over


def long_closes():
    closes = [10.0]
    for day in range(LONG):
        closes.append(round(closes[-1] * UPS[day % 6], 2))
    return closes


@pytest.mark.parametrize(('name', 'work'), [
    ('ROC20', lambda close, turnover, volume: (close[-1] / close[-21] - 1) * 100),
    ('BIAS20', lambda close, turnover, volume: (close[-1] - sum(close[-20:]) / 20) / (sum(close[-20:]) / 20) * 100),
    ('VOL20', lambda close, turnover, volume: sum(turnover[-20:]) / 20),
    ('turnover_volatility', lambda close, turnover, volume: pd.Series(turnover[-20:]).std() / 100),
    ('Variance20', lambda close, turnover, volume: pd.Series(close).pct_change().iloc[-20:].var() * 250),
    ('VSTD10', lambda close, turnover, volume: pd.Series(volume[-10:]).std()),
    ('TVSTD6', lambda close, turnover, volume: pd.Series(np.multiply(close, volume)[-6:]).std()),
    ('Price1M', lambda close, turnover, volume: close[-1] / (sum(close[-21:-1]) / 20) - 1),
    ('PSY', lambda close, turnover, volume: sum(b > a for a, b in zip(close[-13:], close[-12:], strict=False)) / 12 * 100),
    ('sharpe_ratio_20', lambda close, turnover, volume: ((close[-1] / close[-21]) ** 12.5 - 1 - 0.04) / (
        pd.Series(close).pct_change().iloc[-20:].std() * 250 ** 0.5)),
])
def test_factors_of_a_month(tmp_path, name, work):
    close, volume = long_closes(), [1e6 + 1e5 * (day * 7 % 11) for day in range(LONG + 1)]
    expected = work(close[:-1], [shares / 1e8 * 100 for shares in volume[:-1]], volume[:-1])
    assert factor(name, table(close, volume), tmp_path, LONG) == pytest.approx(expected, rel=1e-9)


# ------------------------------------------------------------------------------------------------- helpers of jqfactor


def helper(asked, tmp_path):
    return look(asked, table(), tmp_path, 1, head=HEAD)


def test_winsorize_cuts(tmp_path):
    series = "pd.Series([1.0, 2.0, 3.0, 4.0, 90.0])"
    assert helper(f'winsorize({series}, range=[2, 5]).tolist()', tmp_path) == [2.0, 2.0, 3.0, 4.0, 5.0]
    assert helper(f'winsorize({series}, qrange=[0, 0.75]).tolist()', tmp_path) == [1.0, 2.0, 3.0, 4.0, 4.0]
    # The mean is 20, the variance (361 + 324 + 289 + 256 + 4900) / 4 = 1532.5.
    assert helper(f'winsorize({series}, scale=1).tolist()', tmp_path) == pytest.approx([1, 2, 3, 4, 20 + 1532.5 ** 0.5])
    np.testing.assert_array_equal(helper(f'winsorize({series}, range=[2, 5], inclusive=False)', tmp_path), [NAN, 2, 3, 4, NAN])


def test_winsorize_by_the_median(tmp_path):
    # The median is 3, the deviations 2 1 0 1 87, their median 1.
    series = "pd.Series([1.0, 2.0, 3.0, 4.0, 90.0])"
    assert helper(f'winsorize_med({series}, scale=1).tolist()', tmp_path) == [2.0, 2.0, 3.0, 4.0, 4.0]
    assert helper(f'winsorize_med({series}, scale=5).tolist()', tmp_path) == [1.0, 2.0, 3.0, 4.0, 8.0]


def test_standardlize_has_the_mean_0_and_the_deviation_1(tmp_path):
    assert helper('standardlize(pd.Series([1.0, 2.0, 3.0])).tolist()', tmp_path) == [-1.0, 0.0, 1.0]
    frame = "pd.DataFrame({'a': [1.0, 2.0, 3.0], 'b': [10.0, 10.0, 40.0]})"
    assert helper(f"standardlize({frame}, axis=0)['a'].tolist()", tmp_path) == [-1.0, 0.0, 1.0]
    assert helper(f'standardlize({frame}, axis=1).iloc[0].tolist()', tmp_path) == pytest.approx([-0.5 ** 0.5, 0.5 ** 0.5])
    np.testing.assert_array_equal(helper('standardlize(pd.Series([1.0, np.inf, 3.0]))', tmp_path), [
        -1 / 2 ** 0.5, NAN, 1 / 2 ** 0.5])


def test_neutralize_is_refused(tmp_path):
    with pytest.raises(ScriptError, match=r'neutralize\(\) is not supported: it needs the industries'):
        helper("neutralize(pd.Series([1.0]), how=['jq_l1'])", tmp_path)


# ------------------------------------------------------------------------------------------------- dividends

PAID = {'cash_dividend': {A: {2: 0.5, 5: 0.25, 7: 1.0}, B: {3: 1.0}}}
EX = {A: [dt.date(2024, 1, day) for day in (4, 9, 11)], B: [dt.date(2024, 1, 5)]}  # days 2, 5, 7 and 3


def dividends(asked, tmp_path, day=6, at='9:30', **more):
    return look(f'finance.run_query({asked})', table(**PAID), tmp_path, day, at, **more)


def test_dividends_are_rows_by_ex_date(tmp_path):
    answer = dividends('query(finance.STK_XR_XD.code, finance.STK_XR_XD.a_xr_date, finance.STK_XR_XD.bonus_ratio_rmb).order_by('
                       'finance.STK_XR_XD.a_xr_date)', tmp_path)

    assert answer.columns.tolist() == ['code', 'a_xr_date', 'bonus_ratio_rmb']
    # Yuan for 10 shares; that of day 7 is not known yet.
    assert answer.values.tolist() == [[A, EX[A][0], 5.0], [B, EX[B][0], 10.0], [A, EX[A][1], 2.5]]


@pytest.mark.parametrize(('conditions', 'expected'), [
    (f"finance.STK_XR_XD.code == '{B}'", [10.0]),
    (f"finance.STK_XR_XD.code.in_(['{A}'])", [5.0, 2.5]),
    ("finance.STK_XR_XD.a_xr_date >= '2024-01-05'", [2.5, 10.0]),
    ("finance.STK_XR_XD.a_registration_date >= datetime.date(2024, 1, 4)", [2.5, 10.0]),
    ("finance.STK_XR_XD.a_registration_date > '2024-01-04', finance.STK_XR_XD.a_xr_date <= context.current_dt", [2.5]),
    ("finance.STK_XR_XD.a_registration_date.between('2024-01-03', '2024-01-04')", [5.0, 10.0]),
    ("finance.STK_XR_XD.bonus_amount_rmb > 5000", [5.0, 10.0]),
])
def test_dividends_by_condition(tmp_path, conditions, expected):
    answer = dividends(f'query(finance.STK_XR_XD.code, finance.STK_XR_XD.bonus_ratio_rmb).filter({conditions})', tmp_path)
    assert sorted(answer['bonus_ratio_rmb']) == sorted(expected)


def test_the_amount_of_a_dividend_is_in_wan_of_all_shares(tmp_path):
    # 2e8 shares x 0.5 yuan are 1e8 yuan, 10,000 wan; of B 4e9 / 20 = 2e8 shares x 1 yuan.
    answer = dividends('query(finance.STK_XR_XD).filter(finance.STK_XR_XD.a_xr_date < "2024-01-08")', tmp_path)
    assert dict(zip(answer['code'], answer['bonus_amount_rmb'], strict=True)) == {A: 10_000.0, B: 20_000.0}


def test_a_dividend_of_today_is_known(tmp_path):
    asked = f"query(finance.STK_XR_XD.bonus_ratio_rmb).filter(finance.STK_XR_XD.code == '{A}')"
    assert dividends(asked, tmp_path, 4)['bonus_ratio_rmb'].tolist() == [5.0]
    assert dividends(asked, tmp_path, 5, '9:00')['bonus_ratio_rmb'].tolist() == [5.0, 2.5]


def test_groups_of_dividends_add_up(tmp_path):
    asked = """
        found = finance.run_query(query(finance.STK_XR_XD.code, finance.STK_XR_XD.a_xr_date, finance.STK_XR_XD.bonus_amount_rmb))
        return found.groupby('code').sum()['bonus_amount_rmb'].to_dict()
    """
    assert look(asked, table(**PAID), tmp_path, 6) == {A: 15_000.0, B: 20_000.0}  # 10,000 and 2e8 x 0.25


def test_dividends_without_their_column_and_other_tables_are_said(tmp_path):
    with pytest.raises(ScriptError, match='lacks cash_dividend'):
        look('finance.run_query(query(finance.STK_XR_XD))', table(), tmp_path, 6)
    with pytest.raises(ScriptError, match='finance.STK_HOLDER_NUM is not supported'):
        dividends('query(finance.STK_HOLDER_NUM)', tmp_path)
