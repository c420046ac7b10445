"""What a store knows beside the market: kept, extended, and used by screens without the future."""

import numpy as np
import pandas as pd
import pytest

from bt_microcap import MicroCapStrategy, setup
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.store import MarketStore, check
from bt_microcap.feeds.store.writer import ingest_tables
from tests.support.markets import frame, tiny_market

A, B, C = '000002.XSHE', '600001.XSHG', '600003.XSHG'
DAYS = ['2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05', '2024-01-08', '2024-01-09']


def market():
    return check_table(tiny_market({A: [10.0] * 6, B: [11.0] * 6, C: [12.0] * 6}, dates=DAYS))


TABLES = {
    'names': frame(code=[A, B, B], date=['2020-01-01', '2020-01-01', '2024-01-04'], name=['甲', '乙', '*ST乙']),
    'industries': frame(code=[A], date=['2020-01-01'], industry=['banks']),
    'listings': frame(code=[A, B], listed=['2024-01-02', None], delisted=[None, None]),
    'constituents': frame(index=['000300'] * 3, date=['2024-01-02', '2024-01-02', '2024-01-05'], code=[A, B, C]),
    'benchmarks': frame(index=['000300'] * 5, date=DAYS[:2] + DAYS[3:], open=[100.0, 102.0, 104.0, 105.0, 106.0],
                        high=[101.0, 103.0, 105.0, 106.0, 107.0], low=[99.0, 101.0, 103.0, 104.0, 105.0],
                        close=[100.5, 102.5, 104.5, 105.5, 106.5]),
}


@pytest.fixture
def store(tmp_path):
    return ingest_tables([market()], tmp_path / 'store', about={'source': 'a test'}, reference_data=dict(TABLES))


def test_kept_and_read_again(store):
    again = MarketStore.open(store.path)
    assert sorted(again.reference_names) == sorted(TABLES)
    assert again.reference_table('industries').to_dict('list') == {
        'code': [A], 'date': [pd.Timestamp('2020-01-01')], 'industry': ['banks']}
    assert again.about == {'source': 'a test'}
    assert check(store.path) > len(TABLES)


def test_a_damaged_side_is_found(store):
    file = next(store.path.glob('version-*/side-names.parquet'))
    file.write_bytes(file.read_bytes()[:-1] + b'?')
    with pytest.raises(DataError, match=r'side-names\.parquet'):
        check(store.path)


def test_extended(store):
    more = {'names': frame(code=[B, C], date=['2024-01-04', '2024-01-08'], name=['ST乙', '丙'])}
    later = check_table(tiny_market({A: [9.0]}, dates=['2024-01-10']))
    again = ingest_tables([later], store.path, append=True, reference_data=more)
    # the restated one replaced, by code and date
    assert again.reference_table('names')['name'].tolist() == ['甲', '乙', 'ST乙', '丙']
    assert len(again.reference_table('constituents')) == 3
    assert again.rows == 19


def test_screens_see_what_was_known_the_day_before(store):
    seen = {}

    class Screen(MicroCapStrategy):
        def trade(self, day):
            section = self.universe.section(self.at_open)
            seen[self.data0.datetime.date(0).isoformat()] = (
                section.members('000300').tolist(), section.names().tolist(), section.industries().tolist(),
                section.listed_days().tolist())

    import backtrader as bt

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=store.path))
    cerebro.addstrategy(Screen)
    setup(cerebro)
    cerebro.run()
    # the list of the 5th and the name of the 4th count from the day after
    assert seen['2024-01-05'][0] == [True, True, False]
    assert seen['2024-01-08'][0] == [False, False, True]
    assert seen['2024-01-04'][1] == ['甲', '乙', '']
    assert seen['2024-01-05'][1] == ['甲', '*ST乙', '']
    assert seen['2024-01-05'][2] == ['banks', '', '']
    listed = seen['2024-01-05'][3]  # on the 4th: listed on the 2nd, so for three days
    assert listed[0] == 3.0
    assert np.isnan(listed[1:]).all()


def test_a_benchmark_is_the_clock(store):
    level = MarketFeed(dataname=store.path, benchmark='000300').level
    assert level['close'].tolist() == [100.5, 102.5, 102.5, 104.5, 105.5, 106.5]  # the 4th is not there: the last close
    assert level['open'].tolist() == [100.0, 102.0, 102.5, 104.0, 105.0, 106.0]


@pytest.mark.parametrize(('question', 'text'), [
    (lambda sides: sides.members('000905', 738885), 'has no members of 000905'),
    (lambda sides: sides.members('000300', 738000), 'has no members of 000300 on or before 2021-07-29'),
    (lambda sides: sides.benchmark('000905'), r'has no benchmark 000905 \(found 000300\)'),
])
def test_what_is_not_there_is_said(store, question, text):
    with pytest.raises(DataError, match=text):
        question(store.reference_data)


def test_a_market_without_sides():
    store = MarketStore.from_table(market(), checked=True)
    assert store.reference_table('names').columns.tolist() == ['code', 'date', 'name']
    with pytest.raises(DataError, match='has no industries'):
        store.reference_data.latest('industries', 738885)
