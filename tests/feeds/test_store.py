"""MarketStore: what goes in comes out, in every question that it answers; and a damaged folder is named."""

import gc
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.columns import PRICES
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.quarantine import Quarantine
from bt_microcap.feeds.store import MarketStore
from tests.support.script_calls import call
from tests.support.slow_index import slow_market_index
from tests.support.stores import canonical, market, same_rows, same_store


@pytest.fixture(scope='module')
def table():
    return market()


@pytest.fixture(scope='module')
def folder(table, tmp_path_factory):
    place = tmp_path_factory.mktemp('store')
    table.to_parquet(place / 'market.parquet', index=False)
    assert call('ingest', 'parquet', place / 'market.parquet', '--store', place / 'market').status == 0
    return place / 'market'


@pytest.fixture(scope='module', params=['in memory', 'opened'])
def store(request, table, folder):
    return MarketStore.from_table(table) if request.param == 'in memory' else MarketStore.open(folder)


def test_the_market_has_what_the_tests_are_for(table):
    rows = table.groupby(table['code'].astype(str))['date'].agg(['min', 'max', 'size'])
    days = table['date'].drop_duplicates()
    life = [int(days.between(first, last).sum()) for first, last in zip(rows['min'], rows['max'], strict=True)]
    assert (rows['size'] < life).any()  # suspensions without rows
    assert (rows['min'] > days.min()).any() and (rows['max'] < days.max()).any()
    assert table['paused'].any() and table['preclose'].isna().any()


# --------------------------------------------------------------------------------------------------- content


def test_table_is_the_input(store, table):
    same_rows(store.table(), table)
    assert store.table().columns.tolist() == canonical(table).columns.tolist()


def test_rows_in_another_order(table):
    """By code then date: each stock's dates ascend, which is all that a table in memory must keep."""
    other = table.assign(code=table['code'].astype(str)).sort_values(['code', 'date'], ascending=[False, True])
    same_store(MarketStore.from_table(other), MarketStore.from_table(table))


def test_codes_days_and_lives(store, table):
    codes = sorted(table['code'].astype(str).unique())
    days = sorted(table['date'].unique())
    assert store.codes.tolist() == codes and len(store) == len(codes)
    assert store.days.tolist() == [pd.Timestamp(day).toordinal() for day in days]
    assert store.rows == len(table)
    assert store.span() == (days[0].date(), days[-1].date())
    lives = table.groupby(table['code'].astype(str))['date'].agg(['min', 'max'])
    for number, code in enumerate(codes):
        assert store.stock_number(code) == number
        assert (days[store.first[number]], days[store.last[number]]) == tuple(lives.loc[code])


def test_text_columns_are_left_out(store):
    assert 'name' not in store.columns
    assert {'roe', 'net_profit', 'turnover', 'holders'} <= set(store.columns)


def test_units_of_the_columns(store):
    assert store.columns['volume'] == 'shares'
    assert store.columns['close'] == 'yuan, raw'
    assert store.columns['turnover'] == 'as in the source'


@pytest.mark.parametrize('name', ['market_cap', 'is_st', 'paused', 'close', 'volume', 'amount', 'turnover', 'holders', 'roe',
                                  'open', 'high', 'low', 'preclose', 'cash_dividend', 'share_ratio'])
def test_vector_of_every_day(store, table, name):
    kept_by_day = name not in ('high', 'low', 'cash_dividend', 'share_ratio')
    assert (f'day/{name}' in store.arrays) == kept_by_day
    plain = table.assign(code=table['code'].astype(str)).pivot(index='date', columns='code', values=name).sort_index(axis=1)
    assert plain.isna().to_numpy().any()
    for day, (_, expected) in enumerate(plain.iterrows()):
        found = store.vector(name, day)
        assert found.dtype == 'float64'
        np.testing.assert_array_equal(found, expected.to_numpy('float64'))


def test_vectors_of_many_days_again(store, table):
    """More questions than the pages of a mapped store are held for."""
    first = [store.vector('close', day) for day in range(90)]
    for _ in range(4):
        for day in range(90):
            np.testing.assert_array_equal(store.vector('close', day), first[day])


def test_block_of_every_stock(store, table):
    days = sorted(table['date'].unique())
    stocks = table.assign(code=table['code'].astype(str)).groupby('code', observed=True)
    for number, (_, rows) in enumerate(stocks):
        life = [day for day in days if rows['date'].min() <= day <= rows['date'].max()]
        rows = rows.set_index('date').reindex(life)
        gap = rows['close'].isna()
        close = rows['close'].ffill()
        for name in PRICES:
            np.testing.assert_array_equal(store.block(name, number), rows[name].where(~gap, close))
        np.testing.assert_array_equal(store.block('volume', number), rows['volume'].fillna(0))
        np.testing.assert_array_equal(store.block('paused', number), rows['paused'].fillna(1))
        np.testing.assert_array_equal(store.block('is_st', number), rows['is_st'].ffill())
        for name in ('market_cap', 'amount', 'preclose', 'roe', 'turnover', 'cash_dividend', 'share_ratio'):
            np.testing.assert_array_equal(store.block(name, number), rows[name].to_numpy('float64'))


def test_day_number(store, table):
    days = sorted(table['date'].unique())
    assert store.day_number(days[0].toordinal()) == 0
    assert store.day_number(days[-1].toordinal()) == len(days) - 1
    assert store.day_number(days[-1].toordinal() + 1) == len(days)
    saturday = next(day for day in days if day.weekday() == 4) + pd.Timedelta(days=1)
    assert days[store.day_number(saturday.toordinal())] == min(day for day in days if day > saturday)


# ------------------------------------------------------------------------------------- six days worked out by hand
DAYS = pd.to_datetime(['2024-03-01', '2024-03-04', '2024-03-05', '2024-03-06', '2024-03-07', '2024-03-08'])
A, B = '000002.XSHE', '600001.XSHG'
BY_HAND = [  # day, code, open, high, low, close, volume, paused, is_st
    (0, A, 10.0, 10.0, 10.0, 10.0, 100, 0, 1), (0, B, 20.0, 20.0, 20.0, 20.0, 200, 0, 0),
    (1, A, 10.0, 12.0, 9.0, 11.0, 100, 0, 1), (1, B, 20.0, 22.0, 18.0, 18.0, 200, 0, 0),
    (2, A, 11.0, 13.2, 11.0, 13.2, 100, 0, 1), (2, B, 18.0, 18.0, 18.0, 18.0, 0, 1, 0),
    (3, B, 18.0, 19.8, 17.1, 19.8, 300, 0, 0),
    (4, A, 13.2, 13.86, 13.2, 13.86, 400, 0, 0), (4, B, 19.8, 19.8, 19.8, 19.8, 0, 1, 0),
    (5, A, 13.86, 13.86, 13.86, 13.86, 0, 1, 0), (5, B, 19.8, 19.8, 19.8, 19.8, 0, 1, 0),
]


def by_hand():
    table = pd.DataFrame(BY_HAND, columns=['date', 'code', *PRICES, 'volume', 'paused', 'is_st'])
    return table.assign(date=DAYS[table['date']], market_cap=2e9, amount=table['volume'] * table['close'], pe=7.5)


def test_filling_by_hand():
    store = MarketStore.from_table(by_hand())
    assert store.block('close', 0).tolist() == [10.0, 11.0, 13.2, 13.2, 13.86, 13.86]
    assert store.block('open', 0).tolist() == [10.0, 10.0, 11.0, 13.2, 13.2, 13.86]
    assert store.block('low', 0).tolist() == [10.0, 9.0, 11.0, 13.2, 13.2, 13.86]
    assert store.block('volume', 0).tolist() == [100, 100, 100, 0, 400, 0]
    assert store.block('paused', 0).tolist() == [0, 0, 0, 1, 0, 1]
    assert store.block('is_st', 0).tolist() == [1, 1, 1, 1, 0, 0]
    for name, value in (('market_cap', 2e9), ('pe', 7.5)):
        np.testing.assert_array_equal(store.block(name, 0), [value, value, value, np.nan, value, value])
    assert store.block('volume', 1).tolist() == [200, 200, 0, 300, 0, 0]
    assert np.isnan(store.vector('close', 3)).tolist() == [True, False]
    assert np.isnan(store.vector('open', 3)).tolist() == [True, False]


def test_index_by_hand():
    """Day 1: the means of 1.1 and 0.9 (close), 1.2 and 1.1 (high), 0.9 twice (low); then A, B, A, the other one at 0 %."""
    index = MarketStore.from_table(by_hand()).index()
    np.testing.assert_allclose(index['close'], [1000, 1000, 1100, 1155, 1183.875, 1183.875])
    np.testing.assert_allclose(index['open'], [1000, 1000, 1000, 1100, 1155, 1183.875])
    np.testing.assert_allclose(index['high'], [1000, 1150, 1100, 1155, 1183.875, 1183.875])
    np.testing.assert_allclose(index['low'], [1000, 900, 1000, 1072.5, 1155, 1183.875])
    assert index['volume'].tolist() == [300, 300, 100, 300, 400, 0]


def test_index_from_preclose_by_hand():
    """A's ex-date on day 1: 11 over 8.8; B's is not known there and stays its last close; on day 0 A over preclose, B 0 %."""
    table = by_hand().assign(preclose=np.nan)
    table.loc[[0, 2], 'preclose'] = [8.0, 8.8]
    index = MarketStore.from_table(table).index()
    np.testing.assert_allclose(index['close'][:3], [1125, 1125 * 1.075, 1125 * 1.075 * 1.1])


def test_index_of_a_market(store, table):
    np.testing.assert_allclose(list(store.index().values()), slow_market_index(table), rtol=1e-12)
    assert list(store.index()) == ['open', 'high', 'low', 'close', 'volume']


def test_index_without_preclose(table):
    bare = table.drop(columns='preclose')
    np.testing.assert_allclose(list(MarketStore.from_table(bare).index().values()), slow_market_index(bare), rtol=1e-12)


# ---------------------------------------------------------------------------------------------------- errors


def test_unknown_stock(store):
    with pytest.raises(KeyError, match=r"no stock '999999\.XSHG'; it has 40 from 00\d{4}\.XSHE to 60\d{4}\.XSHG"):
        store.stock_number('999999.XSHG')


@pytest.mark.parametrize('name', ['pb', 'date', 'name', 'turnover '])
def test_unknown_column(store, name):
    with pytest.raises(KeyError, match=f"no column '{name}'; it has open, .*market_cap.*turnover"):
        store.vector(name, 0)


def test_lines_that_a_feed_always_has():
    store = MarketStore.from_table(by_hand().drop(columns='amount'))
    for name in ('preclose', 'high_limit', 'low_limit', 'cash_dividend', 'share_ratio', 'amount'):
        assert np.isnan(store.vector(name, 0)).all()
        assert store.block(name, 0) is None
    assert not store.explicit_actions
    assert MarketStore.from_table(by_hand().assign(share_ratio=1.0)).explicit_actions


def test_wrong_content(table):
    wrong = table.assign(close=table['close'].where(table.index != 7, 0.0))
    with pytest.raises(DataError, match='my table, row 7 .*column close: found 0,'):
        MarketStore.from_table(wrong, source='my table', quarantine=Quarantine(strict=True))
    with pytest.warns(UserWarning, match=r'my table: 1 row not as they should be: 1 no price \(row left out\)$') as told:
        store = MarketStore.from_table(wrong, source='my table')
    assert [one.filename for one in told] == [__file__]
    same_rows(store.table(), table.drop(index=7))
    row = table.loc[7]
    assert store.findings().to_dict('records') == [{
        'file': 'my table', 'line': 7, 'date': f'{row["date"]:%Y-%m-%d}', 'code': row['code'], 'column': 'close', 'found': '0',
        'finding': 'no price', 'done': 'row left out'}]
    quarantine = Quarantine()
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # who asks for the findings is not warned
        same_store(MarketStore.from_table(wrong, quarantine=quarantine), store)
    assert len(quarantine) == 1 and not MarketStore.from_table(table).has_findings


# --------------------------------------------------------------------------------------------------- pickling


def test_pickle_of_an_opened_store(folder, table):
    data = pickle.dumps(MarketStore.open(folder))
    assert len(data) < 1000
    code = 'import pickle, sys; print(pickle.load(sys.stdin.buffer).vector("close", 89).tolist())'
    done = subprocess.run([sys.executable, '-c', code], input=data, capture_output=True, check=True)
    expected = MarketStore.from_table(table).vector('close', 89)
    np.testing.assert_array_equal(eval(done.stdout, {'nan': np.nan}), expected)


def test_pickle_of_a_store_in_memory(table):
    store = MarketStore.from_table(table)
    data = pickle.dumps(store)
    assert len(data) < 1000
    kept = store.path
    assert kept.is_dir() and pickle.dumps(store) == data
    again = pickle.loads(data)
    same_store(again, store)
    same_rows(again.table(), table)
    del store
    gc.collect()
    assert not kept.exists()  # the folder lasts as long as the store that it was made for,
    same_rows(again.table(), table)  # and who has opened it keeps what he has
