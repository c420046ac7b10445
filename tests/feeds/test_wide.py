"""Tables in other shapes, to one row per stock and day."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.wide import is_wide, join_wide, long_table

A, B, C = '000001.XSHE', '600000.XSHG', '835508.BJSE'
DAYS = pd.to_datetime(['2024-01-02', '2024-01-03', '2024-01-04']).astype('datetime64[s]')
# B has no row on the second day, C is listed on it
LONG = pd.DataFrame({
    'date': DAYS[[0, 0, 1, 1, 2, 2, 2]], 'code': [A, B, A, C, A, B, C],
    'open': [10.0, 20.0, 10.1, 30.0, 10.2, 20.2, 30.2], 'close': [10.5, 20.5, 10.6, 30.5, 10.7, 20.7, 30.7],
    'volume': [100.0, 200.0, 101.0, 300.0, 0.0, 202.0, 302.0],
})
CLOSE = pd.DataFrame({A: [10.5, 10.6, 10.7], B: [20.5, np.nan, 20.7], C: [np.nan, 30.5, 30.7]}, index=DAYS)
CLOSE_ROWS = LONG[['date', 'code', 'close']]


def rows(table):
    """The table with plain columns, as the expectations are written down."""
    return table.assign(code=table['code'].astype(str)).reset_index(drop=True)


def assert_rows(table, expected):
    pd.testing.assert_frame_equal(rows(table), rows(expected), check_dtype=False, check_names=False)


def wide(field):
    return LONG.pivot(index='date', columns='code', values=field)


def raises(call, message):
    with pytest.raises(DataError) as error:
        call()
    assert str(error.value) == message


# -- long tables with keys in the index -------------------------------------------------------------------


def test_a_long_table_stays_the_object_that_it_is():
    for table in (LONG, LONG.rename(columns={'date': '日期', 'code': '股票代码'}), LONG.set_index(DAYS[[0, 0, 1, 1, 2, 2, 2]]),
                  LONG.iloc[[0, 3]], pd.DataFrame({'close': [1.0], 'x': [2]}), LONG.iloc[:0], pd.DataFrame()):
        assert long_table(table) is table


@pytest.mark.parametrize('names', [['date', 'code'], [None, None], ['时间', '代码'], ['datetime', 'instrument'], ['level', 'x'],
                                   ['code', 'date']])
@pytest.mark.parametrize('order', [['date', 'code'], ['code', 'date']])
@pytest.mark.parametrize('day', [
    lambda day: day, lambda day: day.date(), lambda day: f'{day:%Y-%m-%d}', lambda day: f'{day:%Y%m%d}',
        lambda day: int(f'{day:%Y%m%d}'),
    lambda day: f'{day.year}/{day.month}/{day.day}', lambda day: f'{day.year}年{day.month}月{day.day}日',
])  # fmt: skip
def test_dates_and_codes_in_the_index(names, order, day):
    table = LONG.assign(date=pd.Series([day(stamp) for stamp in LONG['date']], dtype=object))
    assert_rows(long_table(table.set_index(order).rename_axis(names)), table)


@pytest.mark.parametrize('code', [lambda code: code, lambda code: code[:6], lambda code: int(code[:6]),
    lambda code: f'SH{code[:6]}'])
def test_codes_in_the_index_are_left_as_they_are(code):
    table = LONG.assign(code=LONG['code'].map(code))
    assert_rows(long_table(table.set_index(['code', 'date']).rename_axis([None, None])), table)


def test_an_index_of_categories():
    table = LONG.assign(code=LONG['code'].astype('category')).set_index(['code', 'date']).rename_axis([None, None])
    assert_rows(long_table(table), LONG)


def test_what_a_group_leaves_in_the_index():
    table = LONG.sort_values('code', kind='stable')
    grouped = table.drop(columns='code').set_index([table['code'].to_numpy(), np.arange(len(table))])
    assert_rows(long_table(grouped)[list(LONG.columns)], table)
    for key in ('date', 'code'):
        assert_rows(long_table(LONG.set_index(key))[LONG.columns], LONG)
        assert_rows(long_table(LONG.set_index(key, append=True))[LONG.columns], LONG)


def test_a_further_level_with_a_name_is_kept():
    table = LONG.assign(board=['main', 'main', 'main', 'bse', 'main', 'main', 'bse'])
    found = long_table(table.set_index(['board', 'date', 'code']))
    assert_rows(found[table.columns], table)


@pytest.mark.parametrize('name', [None, 'date', 'trade_date', 'whatever', '日期'])
def test_a_single_stock_by_its_dates(name):
    stock = LONG[LONG['code'] == A].drop(columns='code')
    found = long_table(stock.set_index('date').rename_axis(name))
    pd.testing.assert_frame_equal(found, stock.reset_index(drop=True), check_dtype=False)


@pytest.mark.parametrize('name', ['', 'Unnamed: 0', 'index', '__index_level_0__', 'level_0'])
def test_a_first_column_without_a_name_that_holds_the_dates(name):
    stock = LONG[LONG['code'] == A].drop(columns='code').assign(date=['20240102', '20240103', '20240104'])
    assert list(long_table(stock.rename(columns={'date': name})).columns) == ['date', 'open', 'close', 'volume']
    numbered = LONG.rename(columns={'code': name})
    assert list(long_table(numbered).columns) == list(LONG.columns)


def test_numbers_of_rows_are_no_codes():
    numbered = pd.DataFrame({'Unnamed: 0': [1, 2, 3], 'date': DAYS, 'close': [1.0, 2.0, 3.0]})
    assert long_table(numbered) is numbered
    filtered = LONG.drop(columns='code').set_axis(range(600000, 600007), axis=0).iloc[[1, 2, 5]]
    assert long_table(filtered) is filtered


def test_an_index_that_holds_something_else():
    table = LONG.set_index(pd.MultiIndex.from_product([['x'], list('abcdefg')], names=['a', None])).drop(columns=['date'])
    raises(lambda: long_table(table, source='t.parquet'),
           't.parquet: found rows named by a: x; 1: a, b, c, d, ...; expected a level of dates and one of codes')


# -- fields and codes as columns --------------------------------------------------------------------------


@pytest.mark.parametrize('order', [(0, 1), (1, 0)])
@pytest.mark.parametrize('names', [('field', 'code'), (None, None)])
def test_two_levels_of_columns(order, names):
    table = LONG.pivot(index='date', columns='code').rename_axis(columns=names)
    table = table if order == (0, 1) else table.swaplevel(axis=1).sort_index(axis=1)
    found = long_table(table)
    assert_rows(found[LONG.columns], LONG)


def test_two_levels_with_the_names_of_a_vendor():
    table = LONG.rename(columns={'open': '开盘价', 'close': '收盘价', 'volume': '成交量(手)'})
    spread = table.pivot(index='date', columns='code')
    spread.loc[DAYS[1], ('成交量(手)', B)] = 7.0  # no price, no row
    assert_rows(long_table(spread)[table.columns], table)


@pytest.mark.parametrize('label', [('date', ''), ('日期', ''), ('Unnamed: 0_level_0', 'Unnamed: 0_level_1')])
def test_two_levels_with_the_dates_in_a_column(label):
    table = LONG.pivot(index='date', columns='code')
    days = table.index
    table = table.reset_index(drop=True)
    table.insert(0, label, days)
    assert_rows(long_table(table)[LONG.columns], LONG)


def test_levels_that_cannot_be_understood():
    table = pd.DataFrame([[1.0]], index=DAYS[:1], columns=pd.MultiIndex.from_tuples([('a', 'b')]))
    raises(lambda: long_table(table),
        "the table: found columns of two levels, such as ('a', 'b'); expected fields in one and codes in the other")
    table.columns = pd.MultiIndex.from_tuples([('a', 'b', A)])
    raises(lambda: long_table(table), 'the table: found columns of 3 levels, expected two at most: fields and codes')


# -- a column per stock -----------------------------------------------------------------------------------


FORMS = {
    'canonical': [A, B, C], 'tushare': ['000001.SZ', '600000.SH', '835508.BJ'], 'plain': ['000001', '600000', '835508'],
    'numbers': [1, 600000, 835508], 'numpy': [np.int64(1), np.int64(600000), np.int64(835508)],
    'lost zeros': ['1', '600000', '835508'], 'baostock': ['sz.000001', 'sh.600000', 'bj.835508'],
    'qlib': ['SZ000001', 'SH600000', 'BJ835508'], 'yahoo': ['000001.sz', '600000.ss', '835508.bj'],
}


@pytest.mark.parametrize('form', FORMS)
def test_a_column_per_stock(form):
    table = CLOSE.set_axis(FORMS[form], axis=1)
    assert is_wide(list(table.columns))
    assert_rows(long_table(table, 'close'), CLOSE_ROWS)


@pytest.mark.parametrize('name', [None, 'date', '日期', 'x'])
def test_wide_with_dates_in_the_index(name):
    found = long_table(CLOSE.rename_axis(name), 'close')
    assert list(found.columns) == ['date', 'code', 'close']
    assert found['date'].dtype == 'datetime64[s]'
    assert_rows(found, CLOSE_ROWS)


@pytest.mark.parametrize('name', ['date', '日期', 'Unnamed: 0', '', 'index', '__index_level_0__', 'my days'])
@pytest.mark.parametrize('days', [
    list(DAYS), ['2024-01-02', '2024-01-03', '2024-01-04'], ['20240102', '20240103', '20240104'], [20240102, 20240103, 20240104],
    ['2024/1/2', '2024/1/3', '2024/1/4'], ['2024.01.02', '2024.01.03', '2024.01.04'], ['2024年1月2日', '2024年1月3日',
        '2024年1月4日'],
    ['2024-01-02 00:00:00', '2024-01-03 00:00:00', '2024-01-04 00:00:00'], [dt.date(2024, 1, 2), dt.date(2024, 1, 3),
        dt.date(2024, 1, 4)],
])  # fmt: skip
def test_wide_with_dates_in_the_first_column(name, days):
    table = CLOSE.reset_index(drop=True)
    table.insert(0, name, days)
    assert is_wide(list(table.columns))
    assert_rows(long_table(table, 'close'), CLOSE_ROWS)


def test_wide_with_numbered_rows_before_the_dates():
    table = CLOSE.reset_index(drop=True)
    table.insert(0, '日期', ['2024-01-02', '2024-01-03', '2024-01-04'])
    table.insert(0, 'Unnamed: 0', [0, 1, 2])
    assert_rows(long_table(table, 'close'), CLOSE_ROWS)


def test_wide_with_periods():
    assert_rows(long_table(CLOSE.set_axis(CLOSE.index.to_period('D'), axis=0), 'close'), CLOSE_ROWS)


def test_wide_in_any_order():
    assert_rows(long_table(CLOSE.iloc[::-1, [2, 0, 1]], 'close'), CLOSE_ROWS)


def test_columns_of_no_stock_are_told():
    found = long_table(CLOSE.assign(**{'900901': 1.0, 'mean': 2.0}), 'close')
    assert_rows(found, CLOSE_ROWS)
    assert found.attrs['left_out'] == ['900901', 'mean']
    assert long_table(CLOSE, 'close').attrs['left_out'] == []


@pytest.mark.parametrize(('names', 'expected'), [
    ([A], True), (['date', A, B], True), (['__index_level_0__', '600000', '000001'], True), ([A, 'mean'], True), ([1, 2, 600000],
    True),
    (['Unnamed: 0', 'sh600000'], True), (['日期', A], True), (['time', A, B, 'x'], True),
    ([], False), (['date'], False), (['date', 'code', 'close'], False), ([A, 'mean', 'x'], False), ([A, B, 'close'], False),
    ([A, B, '收盘价'], False), (['date', 'code', A, B], False), ([0, 1, 2, 3], False), (['0', '1', '2'], False),
    (['a', 'b'], False), (['2024-01-02', '20240103'], False),
])  # fmt: skip
def test_wide_by_names_alone(names, expected):
    assert is_wide(names) is expected


def test_a_wide_table_needs_to_be_told_what_it_holds():
    raises(lambda: long_table(CLOSE, source='prices.parquet'),
           f'prices.parquet: found a column per stock ({A}, {B}, {C}), expected to be told what they hold; '
           'name the file after its column, such as close.parquet, or give several')


@pytest.mark.parametrize(('table', 'message'), [
    (CLOSE.reset_index(drop=True),
    f'x: found a column per stock ({A}, {B}, {C}), but no dates in the index or in the first column'),
    (CLOSE.set_axis([A, '000001', C], axis=1), f'x: found the stock {A} in two columns, {A} and 000001; keep one'),
    (CLOSE.set_axis(DAYS[[0, 1, 0]], axis=0), 'x: found the day 2024-01-02 in two rows; keep one'),
    (CLOSE.tz_localize('Asia/Shanghai'), 'x: found dates with a time zone, expected days; drop it with .tz_localize(None)'),
    (CLOSE.set_axis(['20240102', '20240103', '20240132'], axis=0),
     "x, row 2: found the date '20240132', expected a day such as 2024-11-01"),
    (CLOSE.set_axis(pd.DatetimeIndex([*DAYS[:2], pd.NaT]), axis=0),
    'x, row 2: found the date NaT, expected a day such as 2024-11-01'),
])  # fmt: skip
def test_a_wide_table_that_cannot_be_understood(table, message):
    raises(lambda: long_table(table, 'close', 'x'), message)


def test_a_time_is_kept_for_the_checks_to_refuse():
    found = long_table(CLOSE.set_axis(CLOSE.index + pd.Timedelta(hours=15), axis=0), 'close')
    assert found['date'].iloc[0] == pd.Timestamp('2024-01-02 15:00')


# -- several wide tables ----------------------------------------------------------------------------------


def test_a_table_taken_apart_and_put_together():
    found = join_wide({name: wide(name) for name in ('open', 'close', 'volume')})
    assert list(found.columns) == list(LONG.columns)
    assert_rows(found, LONG)


def test_days_and_codes_of_all_in_any_form():
    opening = pd.DataFrame({'000001.SZ': [1.0]}, index=['20240102'])
    closing = pd.DataFrame({'sh600000': [3.0, 2.0]}, index=pd.to_datetime(['2024-01-04', '2024-01-03']))
    found = join_wide({'open': opening, 'close': closing})
    assert_rows(found, pd.DataFrame({
        'date': DAYS, 'code': [A, B, B], 'open': [1.0, np.nan, np.nan], 'close': [np.nan, 2.0, 3.0]}))


@pytest.mark.parametrize('price', ['open', 'high', 'low', 'close', '收盘价', 'Close', '最低(元)'])
def test_a_row_is_where_a_price_is(price):
    caps = CLOSE.fillna(1.0) * 100
    found = join_wide({'market_cap': caps, price: CLOSE})
    assert_rows(found, pd.DataFrame({
        'date': LONG['date'], 'code': LONG['code'], 'market_cap': [1050, 2050, 1060, 3050, 1070, 2070, 3070],
        price: LONG['close']}))


def test_a_row_is_where_anything_is_without_prices():
    caps = pd.DataFrame({A: [5.0, np.nan]}, index=DAYS[:2])
    roe = pd.DataFrame({A: [np.nan, np.nan, 7.0], B: [8.0, np.nan, np.nan]}, index=DAYS)
    assert_rows(join_wide({'market_cap': caps, 'roe': roe}), pd.DataFrame({
        'date': DAYS[[0, 0, 2]], 'code': [A, B, A], 'market_cap': [5.0, np.nan, np.nan], 'roe': [np.nan, 8.0, 7.0]}))


@pytest.mark.parametrize('dtype', [bool, 'boolean', object, 'int64', 'Int8', 'float64'])
def test_flags_are_0_and_1_and_nothing_where_they_are_silent(dtype):
    flags = pd.DataFrame({A: [True, False], B: [False, True]}, index=DAYS[:2]).astype(dtype)
    found = join_wide({'close': CLOSE, 'is_st': flags})
    assert found['is_st'].dtype == 'float64'
    nothing = np.nan
    assert_rows(found, CLOSE_ROWS.assign(is_st=[1, 0, 0, nothing, nothing, nothing, nothing]))


def test_flags_with_holes():
    for hole in (None, np.nan, pd.NA):
        flags = pd.DataFrame({A: [True, hole, False], B: [hole, False, True], C: [False, False, hole]}, index=DAYS, dtype=object)
        assert_rows(join_wide({'close': CLOSE, 'paused': flags}), CLOSE_ROWS.assign(paused=[1, np.nan, np.nan, 0, 0, 1, np.nan]))


def test_numbers_as_text_and_names():
    names = pd.DataFrame({A: ['平安', '平安', '*ST平安'], B: ['浦发', None, '浦发'], C: [None, '殷图', '殷图']}, index=DAYS)
    text = CLOSE.astype(str).where(CLOSE.notna(), None)
    found = join_wide({'name': names, 'close': text, 'volume': wide('volume')})
    assert list(found.columns) == ['date', 'code', 'name', 'close', 'volume']
    assert found['close'].dtype == 'float64'
    assert_rows(found, CLOSE_ROWS.assign(volume=LONG['volume'])[['date', 'code', 'close', 'volume']].assign(
        name=['平安', '浦发', '平安', '殷图', '*ST平安', '浦发', '殷图'])[['date', 'code', 'name', 'close', 'volume']])


def test_a_price_that_is_no_number_is_left_for_the_checks():
    text = CLOSE.astype(object)
    text.loc[DAYS[0], A] = '停牌'
    assert join_wide({'close': text})['close'].tolist()[:2] == ['停牌', 20.5]


def test_tables_without_rows():
    found = join_wide({'close': CLOSE.iloc[:0], 'open': CLOSE.iloc[:0]})
    assert found.shape == (0, 4)
    assert_rows(join_wide({'close': CLOSE, 'open': CLOSE.iloc[:0]}), CLOSE_ROWS.assign(open=np.nan))


@pytest.mark.parametrize(('tables', 'message'), [
    ({}, 'folder: found no table, expected one per column, such as close.parquet'),
    ({'close': CLOSE, 'open': LONG},
     'folder, open: found the columns code, open, close, volume, expected a column per stock, such as 600000.XSHG'),
    ({'close': CLOSE, 'open': CLOSE.set_axis(list('abc'), axis=1)},
     'folder, open: found the columns a, b, c, expected a column per stock, such as 600000.XSHG'),
    ({'close': CLOSE, 'open': CLOSE.reset_index(drop=True)},
     f'folder, open: found a column per stock ({A}, {B}, {C}), but no dates in the index or in the first column'),
    ({'close': CLOSE, 'open': CLOSE.set_axis([A, '1', C], axis=1)},
     f'folder, open: found the stock {A} in two columns, {A} and 1; keep one'),
])
def test_tables_that_cannot_be_joined(tables, message):
    raises(lambda: join_wide(tables, 'folder'), message)


def test_many_stocks_and_days():
    random = np.random.default_rng(7)
    days = pd.bdate_range('2020-01-01', periods=60)
    codes = [f'{number:06d}.XSHE' for number in range(1, 301)]
    close = pd.DataFrame(random.random((60, 300)).round(4), index=days, columns=codes).where(random.random((60, 300)) > 0.3)
    flags = pd.DataFrame(random.random((50, 200)) > 0.5, index=days[5:55], columns=codes[50:250])
    shuffled = close.iloc[random.permutation(60), random.permutation(300)]
    found = rows(join_wide({'close': shuffled, 'is_st': flags}))
    expected = close.stack().rename('close').dropna().rename_axis(['date', 'code']).reset_index()
    expected = expected.merge(flags.stack().rename('is_st').astype(float).rename_axis(['date', 'code']).reset_index(), how='left')
    assert len(found) == int(close.notna().to_numpy().sum())
    assert_rows(found, expected)


def test_the_tables_that_are_given_stay_as_they_are():
    before = CLOSE.copy()
    found = join_wide({'close': CLOSE, 'open': CLOSE.iloc[::-1]})
    found['close'] += 1
    pd.testing.assert_frame_equal(CLOSE, before)
