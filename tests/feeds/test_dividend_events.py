"""Explicit dividends: what the tables of the services say, and how it is laid upon the rows of the market."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.sources import dividends, joinquant_tables, tushare_tables
from bt_microcap.feeds.sources.dividends import Dividends
from tests.support.stand_ins import assert_one_line, rows

A, B = '600111.XSHG', '000222.XSHE'
DAYS = [date(2024, 3, day) for day in (11, 12, 13, 14, 15)]  # Monday to Friday
START = DAYS[0]


def events(*values):
    """Day, code, yuan and new shares per share."""
    table = pd.DataFrame(values, columns=['date', 'code', 'cash', 'new'])
    return dividends.events(pd.to_datetime(table['date']).astype('datetime64[s]'), table['code'], table['cash'].astype(float),
                            table['new'].astype(float))


def table_of(*keys):
    table = pd.DataFrame(keys, columns=['date', 'code'])
    return table.assign(date=pd.to_datetime(table['date']).astype('datetime64[s]'), close=1.0)


def laid(table):
    """What is laid upon the rows of a table: by code and day."""
    told = table.dropna(subset=['cash_dividend', 'share_ratio'], how='all')
    return {(code, day.date()): values for code, day, *values in
            told[['code', 'date', 'cash_dividend', 'share_ratio']].itertuples(index=False)}


# -------------------------------------------------------------------------------------- events


def test_events_are_by_stock_and_day():
    found = events((DAYS[2], A, 0.5, np.nan), (DAYS[1], B, np.nan, 0.3), (DAYS[1], A, 0.0, 0.0), (None, A, 1.0, 1.0),
                   (DAYS[3], None, 1.0, 0.0))
    assert rows(found) == [(DAYS[1], B, 0.0, 1.3), (DAYS[2], A, 0.5, 1.0)]
    assert list(found.columns) == list(dividends.COLUMNS)
    assert found['date'].dtype == 'datetime64[s]'


def test_two_events_of_a_day_are_one():
    assert rows(events((DAYS[2], A, 0.1, 0.2), (DAYS[2], A, 0.2, 0.1))) == [(DAYS[2], A, 0.3, 1.3)]


def test_no_events():
    found = events()
    assert list(found.columns) == list(dividends.COLUMNS)
    assert not len(found)


# ---------------------------------------------------------------------------- tables of services

TUSHARE = tushare_tables.FIELDS['dividend'].split(',')


def tushare_row(done='实施', ex_date='20240313', cash=0.5, shares=0.0, end='20231231', told='20240301', code='600111.SH'):
    return [code, end, told, done, shares, cash, None, ex_date]


@pytest.mark.parametrize('as_text', [False, True])
def test_tushare_tells_per_share_and_plans_beside(as_text):
    frame = pd.DataFrame([
        tushare_row(),
        tushare_row(),  # told twice
        tushare_row('预案', None, 0.7),
        tushare_row('股东大会通过', '20240314', 0.7),  # not carried out yet
        tushare_row('不分配', '20240315', 0.7),
        tushare_row(ex_date='20240314', cash=0.0, shares=0.0),
        tushare_row(code='000222.SZ', cash=0.1, shares=1.0),
        tushare_row(code='900901.SH'),  # a B share
    ], columns=TUSHARE)
    if as_text:
        frame = frame.astype(object).map(lambda value: None if value is None else str(value))
    assert rows(tushare_tables.dividend_events(frame)) == [(DAYS[2], B, 0.1, 2.0), (DAYS[2], A, 0.5, 1.0)]


def test_of_a_payment_of_tushare_that_was_corrected_the_later_row_counts():
    rows_of = [tushare_row(cash=0.6, told='20240310'), tushare_row(cash=0.5, told='20240301')]
    for values in (rows_of, rows_of[::-1]):
        assert rows(tushare_tables.dividend_events(pd.DataFrame(values, columns=TUSHARE))) == [(DAYS[2], A, 0.6, 1.0)]


def test_payments_of_two_reports_on_one_day_are_both_paid():
    frame = pd.DataFrame([tushare_row(cash=0.5), tushare_row(cash=0.25, end='20230930')], columns=TUSHARE)
    assert rows(tushare_tables.dividend_events(frame)) == [(DAYS[2], A, 0.75, 1.0)]


def test_a_table_of_tushare_that_lacks_a_column_is_said():
    assert not len(tushare_tables.dividend_events(pd.DataFrame()))
    with pytest.raises(DataError) as error:
        tushare_tables.dividend_events(pd.DataFrame([tushare_row()], columns=TUSHARE).drop(columns='cash_div_tax'))
    assert_one_line(error, 'tushare dividend: found', 'expected also', 'cash_div_tax')


def test_joinquant_tells_per_ten_shares_and_plans_that_were_given_up():
    columns = ['code', 'report_date', 'a_xr_date', 'bonus_ratio_rmb', 'dividend_ratio', 'transfer_ratio', 'bonus_cancel_pub_date']
    frame = pd.DataFrame([
        [A, date(2023, 12, 31), DAYS[2], 5.0, None, None, None],
        [A, date(2023, 12, 31), DAYS[2], 5.0, None, None, None],  # told twice
        [A, date(2023, 9, 30), DAYS[2], 1.0, None, None, None],
        [B, date(2023, 12, 31), DAYS[3], 1.0, 3.0, 7.0, None],
        [B, date(2022, 12, 31), DAYS[1], 9.0, None, None, DAYS[0]],
        [B, date(2023, 12, 31), None, 1.0, None, None, None],
    ], columns=columns)
    expected = [(DAYS[2], A, 0.6, 1.0), (DAYS[3], B, 0.1, 2.0)]
    assert rows(joinquant_tables.dividend_events(frame)) == expected
    assert rows(joinquant_tables.dividend_events(frame.astype(object).map(lambda value: None if value is None else str(value)))
                ) == expected
    assert not len(joinquant_tables.dividend_events(pd.DataFrame()))


# -------------------------------------------------------------------- laid upon the market's rows


def test_an_event_stands_on_its_day_and_all_other_rows_are_empty():
    found = Dividends(START)
    found.add(events((DAYS[2], A, 0.5, 0.0), (DAYS[2], B, 0.0, 1.0)))
    table = found.lay(table_of(*((day, code) for code in (A, B) for day in DAYS)))
    assert laid(table) == {(A, DAYS[2]): [0.5, 1.0], (B, DAYS[2]): [0.0, 2.0]}
    assert len(table) == 10
    again = found.lay(table_of(*((day, A) for day in DAYS)))
    assert laid(again) == {}  # once is enough


def test_without_events_both_columns_are_there_and_empty():
    table = Dividends(START).lay(table_of((DAYS[0], A)))
    assert table[['cash_dividend', 'share_ratio']].isna().all(axis=None)
    assert {table[name].dtype for name in ('cash_dividend', 'share_ratio')} == {np.dtype('float64')}
    assert list(Dividends(START).lay(table_of()).columns)[-2:] == ['cash_dividend', 'share_ratio']


def test_an_event_of_a_day_without_a_row_is_that_of_the_next_row():
    keys = [(day, A) for day in (DAYS[0], DAYS[1], DAYS[4])]
    found = Dividends(START)
    found.add(events((DAYS[2], A, 0.5, 0.0)))
    assert laid(found.lay(table_of(*keys))) == {(A, DAYS[4]): [0.5, 1.0]}
    by_day = Dividends(START)
    by_day.add(events((DAYS[2], A, 0.5, 0.0)))
    assert [laid(by_day.lay(table_of(key))) for key in keys] == [{}, {}, {(A, DAYS[4]): [0.5, 1.0]}]


def test_two_events_before_the_next_row_are_paid_one_after_the_other():
    found = Dividends(START)
    found.add(events((DAYS[1], A, 0.5, 1.0), (DAYS[2], A, 0.1, 0.0)))
    # of one share: 0.5 yuan, then two shares, 0.1 yuan each
    (cash, ratio), = laid(found.lay(table_of((DAYS[0], A), (DAYS[4], A)))).values()
    assert (cash, ratio) == (pytest.approx(0.7), 2.0)


def test_an_event_before_the_first_day_is_no_part_of_the_market():
    found = Dividends(START)
    found.add(events((date(2024, 3, 8), A, 0.5, 0.0)))
    assert laid(found.lay(table_of((DAYS[0], A)))) == {}


def test_an_event_after_the_last_row_waits():
    found = Dividends(START)
    found.add(events((DAYS[4], A, 0.5, 0.0), (DAYS[4], B, 0.2, 0.0)))
    assert laid(found.lay(table_of((DAYS[3], A), (DAYS[4], B)))) == {(B, DAYS[4]): [0.2, 1.0]}
    assert laid(found.lay(table_of((DAYS[4], A)))) == {(A, DAYS[4]): [0.5, 1.0]}


def test_a_row_whose_day_cannot_be_read_has_none():
    table = table_of((DAYS[1], A), (DAYS[2], A), (DAYS[3], A))
    table['date'] = table['date'].astype(object)
    table.loc[1, 'date'] = '昨天'
    found = Dividends(START)
    found.add(events((DAYS[2], A, 0.5, 0.0)))
    table = found.lay(table)
    assert table['cash_dividend'].tolist() == pytest.approx([np.nan, np.nan, 0.5], nan_ok=True)


def test_the_index_of_a_table_does_not_matter():
    table = table_of(*((day, A) for day in DAYS))
    table.index = [7, 7, 3, 1, 0]
    found = Dividends(START)
    found.add(events((DAYS[3], A, 0.5, 0.0)))
    assert laid(found.lay(table)) == {(A, DAYS[3]): [0.5, 1.0]}


@pytest.mark.parametrize('seed', range(20))
def test_day_by_day_stock_by_stock_and_at_once_are_the_same(seed):
    random = np.random.default_rng(seed)
    days = [day.date() for day in pd.bdate_range('2024-03-11', periods=15)]
    codes = [f'60000{number}.XSHG' for number in range(5)]
    keys = [(day, code) for day in days for code in codes if random.random() < 0.7]
    told = [(day, code, round(random.uniform(0, 1), 3), random.choice([0.0, 0.0, 0.5])) for day in days for code in codes
            if random.random() < 0.15]
    whole, by_day, by_stock = Dividends(START), Dividends(START), Dividends(START)
    whole.add(events(*told))
    at_once = laid(whole.lay(table_of(*sorted(keys, key=lambda key: (key[1], key[0])))))
    found = {}
    for day in days:  # an ex-date is told on its day
        by_day.add(events(*(event for event in told if event[0] == day)))
        found |= laid(by_day.lay(table_of(*(key for key in keys if key[0] == day))))
    assert found == at_once
    found = {}
    for code in codes:
        by_stock.add(events(*(event for event in told if event[1] == code)))
        found |= laid(by_stock.lay(table_of(*(key for key in keys if key[1] == code))))
    assert found == at_once
    for key, (cash, ratio) in at_once.items():  # by hand: what happened since the row before
        rows_before = [day for day, code in keys if code == key[0] and day < key[1]]
        mine = [event for event in told if event[1] == key[0] and (not rows_before or event[0] > rows_before[-1])
                and event[0] <= key[1]]
        assert mine
        if len(mine) == 1:
            assert (cash, ratio) == (pytest.approx(mine[0][2]), 1 + mine[0][3])


def test_an_event_of_a_suspended_row_that_repeats_the_last_close_is_that_of_the_next_day_that_trades():
    days = [date(2024, 4, day) for day in (8, 9, 10, 11, 12)]
    events = pd.DataFrame({'date': pd.to_datetime([days[2]]).astype('datetime64[s]'), 'code': ['600111.XSHG'],
                           'cash_dividend': [0.0], 'share_ratio': [2.0]})
    for closes, expected in (([10.0, 10.0, 10.0, 10.0, 5.1], days[4]), ([10.0, 10.0, 5.0, 5.0, 5.1], days[2])):
        table = pd.DataFrame({'date': pd.to_datetime(days).astype('datetime64[s]'), 'code': '600111.XSHG', 'close': closes,
                              'paused': [0, 1, 1, 1, 0]})
        for parts in ([table], [table[table['date'].dt.date == day].reset_index(drop=True) for day in days]):
            dividends = Dividends(days[0])
            dividends.add(events)
            found = pd.concat([dividends.lay(part) for part in parts])
            assert found['date'][found['share_ratio'].notna()].dt.date.tolist() == [expected]
