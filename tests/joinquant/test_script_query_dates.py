"""Queries of a JoinQuant script by day: what was known when, and fundamentals of several days."""

import datetime as dt

import pytest

from bt_microcap.joinquant.api.errors import ScriptError
from bt_microcap.joinquant.api.session import ScriptWarning

from .looking import look
from .scripts import market

NAN = float('nan')
A, B, C = '000001.XSHE', '300002.XSHE', '600003.XSHG'
# Tuesday 01-02 to Friday 01-05, then Monday 01-08. The caps of the days are 20, 21, 22, 23, 24 yi. B is listed on Thursday, C has
# its last day on Thursday. The return on equity of A is published on Friday, of B never.
CAPS = [20e8, 21e8, 22e8, 23e8, 24e8]
DAYS = [dt.date(2024, 1, day) for day in (2, 3, 4, 5, 8)]


def table(**columns):
    return market({A: [10.0] * 5, B: [None, None, 10.0, 10.0, 10.0], C: [10.0, 10.0, 10.0, None, None]},
                  **{'market_cap': {A: CAPS, B: CAPS, C: CAPS}, 'circ_market_cap': 10e8,
                     'indicator.roe': {A: [NAN, NAN, NAN, 8.0, 8.0], B: NAN, C: 3.0}, **columns})


def caps(tmp_path, day, at='9:30', date='', **more):
    """Return the codes and caps that a query finds on a day at a time."""
    asked = f'get_fundamentals(query(valuation.code, valuation.market_cap){date}).values.tolist()'
    return look(asked, table(), tmp_path, day, at, **more)


@pytest.mark.parametrize('at', ['9:00', '9:30', '14:50', '15:30'])
def test_without_a_date_it_is_the_day_before(tmp_path, at):
    assert caps(tmp_path, 2, at) == [[A, 21.0], [C, 21.0]]
    assert caps(tmp_path, 3, at) == [[A, 22.0], [B, 22.0], [C, 22.0]]


def test_a_stock_is_found_on_its_days_alone(tmp_path):
    assert caps(tmp_path, 4) == [[A, 23.0], [B, 23.0]]


@pytest.mark.parametrize(('date', 'expected'), [
    ("'2024-01-03'", [[A, 21.0], [C, 21.0]]),
    ("date='2024-01-03'", [[A, 21.0], [C, 21.0]]),
    ("'20240103'", [[A, 21.0], [C, 21.0]]),
    ("'2024-01-03 10:00:00'", [[A, 21.0], [C, 21.0]]),
    ('datetime.date(2024, 1, 3)', [[A, 21.0], [C, 21.0]]),
    ('datetime.datetime(2024, 1, 3, 14, 30)', [[A, 21.0], [C, 21.0]]),
    ("pd.Timestamp('2024-01-03')", [[A, 21.0], [C, 21.0]]),
    ("np.datetime64('2024-01-03')", [[A, 21.0], [C, 21.0]]),
    ("'2024-01-06'", [[A, 23.0], [B, 23.0]]),  # a Saturday: Friday's
    ("'2024-01-07'", [[A, 23.0], [B, 23.0]]),
    ('context.previous_date', [[A, 23.0], [B, 23.0]]),
    ('context.current_dt - datetime.timedelta(days=1)', [[A, 23.0], [B, 23.0]]),  # Sunday
    ('get_trade_days(end_date=context.previous_date, count=3)[0]', [[A, 21.0], [C, 21.0]]),
    ("'2024-01-02'", [[A, 20.0], [C, 20.0]]),
    ('None', [[A, 23.0], [B, 23.0]]),
])
def test_a_date_in_any_form(tmp_path, date, expected):
    assert caps(tmp_path, 4, date=f', {date}') == expected


@pytest.mark.parametrize('at', ['9:00', '9:30', '14:50'])
def test_todays_valuation_is_not_known_before_the_close(tmp_path, at):
    with pytest.warns(ScriptWarning, match=r'script\.py, line \d+: the valuation of 2024-01-04 is not known at '):
        assert caps(tmp_path, 2, at, ', context.current_dt') == [[A, 21.0], [C, 21.0]]

    with pytest.raises(ScriptError, match=r'the valuation of 2024-01-04 is not known at .*the script sets avoid_future_data'):
        caps(tmp_path, 2, at, ', context.current_dt', setup="set_option('avoid_future_data', True)")


def test_todays_valuation_is_known_after_the_close(tmp_path):
    answer = caps(tmp_path, 2, '15:30', ', context.current_dt', setup="set_option('avoid_future_data', True)")
    assert answer == [[A, 22.0], [B, 22.0], [C, 22.0]]


def test_a_day_before_the_first_and_one_that_is_none_are_said(tmp_path):
    with pytest.raises(ScriptError, match=r'the valuation of 2023-12-29: .* begins on 2024-01-02'):
        caps(tmp_path, 2, date=", '2023-12-29'")
    with pytest.raises(ScriptError, match=r"date is 'yesterday': expected a day such as 2021-01-05"):
        caps(tmp_path, 2, date=", 'yesterday'")


def test_quarters_are_refused(tmp_path):
    with pytest.raises(ScriptError, match='statDate'):
        caps(tmp_path, 2, date=", statDate='2023q3'")


def test_a_figure_is_known_from_the_row_that_has_it(tmp_path):
    asked = 'get_fundamentals(query(indicator.code, indicator.roe)).values.tolist()'

    assert look(asked, table(), tmp_path, 3) == [[C, 3.0]]
    assert look(asked, table(), tmp_path, 4) == [[A, 8.0]]
    at_the_open = f"get_fundamentals(query(indicator.roe), date='{DAYS[3]}')"
    assert look(f'{at_the_open}.values.tolist()', table(), tmp_path, 4) == [[8.0]]


# ------------------------------------------------------------------------------------------------- several days


def test_get_valuation_of_the_last_days(tmp_path):
    asked = f"get_valuation(['{A}', '{C}'], end_date=context.previous_date, count=2, fields=['market_cap', 'capitalization'])"
    answer = look(asked, table(), tmp_path, 3)

    assert answer.columns.tolist() == ['code', 'day', 'market_cap', 'capitalization']
    assert answer.index.tolist() == [0, 1, 2, 3]
    assert answer.values.tolist() == [[A, DAYS[1], 21.0, 21_000.0], [A, DAYS[2], 22.0, 22_000.0],
                                      [C, DAYS[1], 21.0, 21_000.0], [C, DAYS[2], 22.0, 22_000.0]]


def test_get_valuation_of_one_stock_from_a_day_on(tmp_path):
    # From the Saturday before the first week to Sunday: the trading days between.
    asked = f"get_valuation('{B}', start_date='2023-12-30', end_date='2024-01-07', fields='market_cap')"
    assert look(asked, table(), tmp_path, 4).values.tolist() == [[B, DAYS[2], 22.0], [B, DAYS[3], 23.0]]

    asked = f"get_valuation('{A}', start_date='2024-01-04', end_date='2024-01-05', fields=['circulating_market_cap'])"
    assert look(asked, table(), tmp_path, 4)['day'].tolist() == [DAYS[2], DAYS[3]]


def test_get_valuation_without_fields_gives_what_there_is(tmp_path):
    answer = look(f"get_valuation('{A}', count=1)", table(pe_ratio=12.5), tmp_path, 2)

    assert set(answer.columns) == {'code', 'day', 'pe_ratio', 'turnover_ratio', 'capitalization', 'market_cap',
                                   'circulating_cap', 'circulating_market_cap'}
    assert (answer['day'].tolist(), answer['pe_ratio'].tolist()) == ([DAYS[1]], [12.5])


def test_get_valuation_does_not_look_ahead(tmp_path):
    asked = f"get_valuation('{A}', end_date=context.current_dt, count=1, fields=['market_cap'])['market_cap'].tolist()"
    with pytest.warns(ScriptWarning, match='the valuation of 2024-01-04 is not known at 09:30'):
        assert look(asked, table(), tmp_path, 2) == [21.0]
    assert look(asked, table(), tmp_path, 2, '15:30') == [22.0]


def test_get_fundamentals_continuously_gives_each_day(tmp_path):
    asked = f"""
        asked = query(valuation.code, valuation.market_cap).filter(valuation.code.in_(['{A}', '{B}']))
        return get_fundamentals_continuously(asked, end_date=context.previous_date, count=2, panel=False)
    """
    answer = look(asked, table(), tmp_path, 3)

    assert sorted(answer[['day', 'code', 'market_cap']].astype({'day': str}).values.tolist()) == [
        ['2024-01-03', A, 21.0], ['2024-01-04', A, 22.0], ['2024-01-04', B, 22.0]]


def test_get_fundamentals_continuously_with_a_panel_is_refused(tmp_path):
    with pytest.raises(ScriptError, match='give panel=False'):
        look('get_fundamentals_continuously(query(valuation.code), count=2)', table(), tmp_path, 3)
