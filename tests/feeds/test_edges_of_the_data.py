"""Data at its edges: prices half a cent off, listing days that are not known, feeds that are not ours."""

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from bt_microcap import AShareBroker, MicroCapStrategy, setup
from bt_microcap.feeds.columns import ordinals
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.quarantine import Quarantine
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import StockPandas
from bt_microcap.feeds.store.writer import ingest_tables
from bt_microcap.feeds.universe import StockUniverse
from tests.support.markets import bar, frame, tiny_market

A, B, C = '600001.XSHG', '600002.XSHG', '600003.XSHG'
DAYS = ['2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05', '2024-01-08', '2024-01-09']


# ------------------------------------------------------------------------------------------ prices


def priced(**prices):
    """A table of two days whose second has the prices given; the others are 10.00, high 10.20 and low 9.80."""
    table = tiny_market({A: [10.0, 10.0]}, dates=DAYS[:2])
    table[['high', 'low']] = 10.2, 9.8
    for name, price in prices.items():
        table.loc[1, name] = price
    return table


def found_in(table):
    """Check a table; return it, and of each finding the row, the column, what stood there, what it is and what was done."""
    quarantine = Quarantine()
    checked = check_table(table, quarantine=quarantine)
    listed = quarantine.table()[['line', 'column', 'found', 'finding', 'done']]
    return checked, list(listed.itertuples(index=False, name=None))


WIDENED = {'high': ('high below open or close', 'high widened'), 'low': ('low above open or close', 'low widened')}


@pytest.mark.parametrize(('prices', 'column', 'found', 'expected', 'price'), [
    ({'close': 10.205}, 'high', '10.2', 'at least the close 10.205', 10.205),
    ({'close': 9.795}, 'low', '9.8', 'at most the close 9.795', 9.795),
    ({'open': 10.205}, 'high', '10.2', 'at least the open 10.205', 10.205),
    ({'open': 9.795}, 'low', '9.8', 'at most the open 9.795', 9.795),
    ({'close': 10.20001}, 'high', '10.2', 'at least the close 10.20001', 10.20001),
    ({'low': 10.205, 'high': 10.2, 'open': 10.2, 'close': 10.2}, 'high', '10.2', 'at least the low 10.205', None),
])
def test_a_price_half_a_cent_outside_high_and_low(prices, column, found, expected, price):
    """It is widened to the open or the close, and refused where that is asked for; high below low tells nothing."""
    checked, listed = found_in(priced(**prices))
    if price is None:
        assert len(checked) == 1 and listed == [(1, 'high', '10.2', 'high below low', 'row left out')]
    else:
        assert listed == [(1, column, found, *WIDENED[column])]
        assert checked[['open', 'close', 'high', 'low']].to_dict('list') == {
            name: [10.2 if name == 'high' else 9.8 if name == 'low' else 10.0, {**prices, column: price}.get(
                name, 10.2 if name == 'high' else 9.8 if name == 'low' else 10.0)] for name in ('open', 'close', 'high', 'low')}
    with pytest.raises(DataError) as error:
        check_table(priced(**prices), strict=True)
    assert str(error.value).startswith(f'the table, row 1 (2024-01-03 {A}), column {column}: found {found}, expected {expected};')


@pytest.mark.parametrize('prices', [
    {'close': 10.2}, {'close': 9.8}, {'open': 10.2 + 5e-7}, {'close': 9.8 - 5e-7}, {'close': 10.2 + 5e-7}, {'open': 9.8 - 5e-7},
])
def test_a_price_on_high_or_low_or_off_it_by_a_binary_rounding(prices):
    assert len(check_table(priced(**prices), strict=True)) == 2


def test_a_suspended_row_may_repeat_any_price():
    for prices in ({'close': 12.0}, {'close': 9.0}, {'high': 9.9, 'low': 10.3}):
        checked, listed = found_in(priced(**prices, paused=1))
        assert listed == [] and len(check_table(priced(**prices, paused=1), strict=True)) == 2
        assert checked.loc[1, list(prices)].tolist() == list(prices.values())


@pytest.mark.parametrize(('cap', 'good'), [(7e6, True), (6.99e6, False), (3.3e13, True), (3.31e13, False), (np.nan, True)])
def test_the_bounds_of_a_market_cap(cap, good):
    table = priced(market_cap=cap)
    if good:
        assert len(check_table(table, strict=True)) == 2
    else:
        with pytest.raises(DataError, match='row 1 .*, column market_cap: found .*, expected yuan between 7e.06 and 3.3e.13; '):
            check_table(table, strict=True)
        checked, listed = found_in(table)
        assert listed == [(1, 'market_cap', f'{cap:.15g}', 'absurd market cap', 'taken as not known, not picked on the next day')]
        np.testing.assert_array_equal(checked['market_cap'], [2.5e9, np.nan])


@pytest.mark.parametrize('factor, mend', [(1e-8, '1e.08'), (1e-4, '10000'), (1e5, '0.01')])
def test_the_unit_of_a_market_cap_shows_in_the_column(factor, mend):
    table = priced().assign(market_cap=2.5e9 * factor)
    with pytest.raises(DataError, match=f'looks like .* multiply the column by {mend}'):
        check_table(table)


@pytest.mark.parametrize(('column', 'value', 'good'), [
    ('cash_dividend', 0.0, True), ('cash_dividend', -0.01, False), ('share_ratio', 0.0, False), ('share_ratio', 0.001, True),
    ('preclose', 0.0, False), ('preclose', np.nan, True), ('high_limit', 0.0, False), ('low_limit', 0.0, False),
    ('volume', 0.0, True), ('volume', -1.0, False), ('delisting_period', 1.0, True), ('delisting_period', 2.0, False),
])
def test_the_bounds_of_the_other_columns(column, value, good):
    table = priced().assign(**{column: [1.0, value]})
    if good:
        assert check_table(table, strict=True)[column].tolist()[0] == 1.0
        return
    with pytest.raises(DataError, match=f'row 1 .*, column {column}: found {value:g}, expected '):
        check_table(table, strict=True)
    checked, listed = found_in(table)
    finding, done = {
        'volume': ('no volume', 'row left out'), 'delisting_period': ('neither 0 nor 1', 'row left out'),
        'cash_dividend': ('below 0', 'taken as not known')}.get(column, ('not above 0', 'taken as not known'))
    assert listed == [(1, column, f'{value:g}', finding, done)]
    np.testing.assert_array_equal(checked[column], [1.0] if done == 'row left out' else [1.0, np.nan])


def test_equal_limits_are_not_swapped():
    assert len(check_table(priced().assign(high_limit=10.0, low_limit=10.0), strict=True)) == 2
    table = priced().assign(high_limit=9.99, low_limit=10.0)
    with pytest.raises(DataError, match='found 9.99, expected at least the low_limit 10; the two limits are swapped'):
        check_table(table, strict=True)
    checked, listed = found_in(table)
    assert listed == [(row, 'high_limit', '9.99', 'upper limit below the lower one', 'taken as not known') for row in (0, 1)]
    assert checked[['high_limit', 'low_limit']].isna().all(axis=None)


@pytest.mark.parametrize(('count', 'told'), [(12, 'c11;'), (13, 'c11, ...;')])
def test_twelve_columns_are_named_and_no_more(count, told):
    with pytest.raises(DataError) as error:
        check_table(pd.DataFrame({f'c{number}': [1.0] for number in range(count)}))
    assert told in str(error.value)


def test_mixed_code_styles_are_one_style():
    """One stock in two forms is one stock; what is no code is left out, and says how codes are written."""
    table = pd.concat([priced(), priced(), priced()], ignore_index=True).assign(
        code=[A, 'SH600001', 'sh600002', '600002', '600003.SS', 'nobody'])
    checked, listed = found_in(table)
    assert sorted(checked['code']) == [A, A, B, B, C]
    assert listed == [(5, 'code', "'nobody'", 'no code of a stock', 'row left out')]
    with pytest.raises(DataError, match="row 5 .*found 'nobody', expected six digits .*write codes as 600000.XSHG, 000001.XSHE"):
        check_table(table, strict=True)


@pytest.mark.parametrize('codes', [[A, A, B, A], [A, A, A, B]])
def test_a_feed_of_one_stock_refuses_a_table_of_two(codes):
    table = pd.concat([priced(), priced()]).assign(code=codes, date=pd.to_datetime(DAYS[:4])).reset_index(drop=True)
    with pytest.raises(DataError, match=f'row {codes.index(B)}, column code: found {B} beside {A}, expected one stock'):
        StockPandas(dataname=table)
    assert StockPandas(dataname=table[table['code'] == A]).first_day == int(ordinals(DAYS[:1])[0])


# ------------------------------------------------------------------------------------------ listing days


def feeds_of(folder, listings):
    """The first and the delisting day of each stock of a store: A has all days, B comes on the third, C ends with it."""
    table = check_table(tiny_market({A: [10.0] * 6, B: [None, None] + [10.0] * 4, C: [10.0] * 3}, dates=DAYS))
    store = ingest_tables([table], folder, reference_data={'listings': frame(**listings)} if listings else None)
    cerebro = bt.Cerebro(stdstats=False)
    market = MarketFeed(dataname=store)
    cerebro.adddata(market)
    cerebro.addstrategy(MicroCapStrategy)
    setup(cerebro)
    cerebro.run()
    feeds = [market.stock(code) for code in (A, B, C)]
    return [str(pd.Timestamp.fromordinal(feed.first_day).date()) for feed in feeds], [feed.delisted_day for feed in feeds]


def test_an_empty_listing_date_is_that_of_the_first_row(tmp_path):
    first, delisted = feeds_of(tmp_path / 'store', {
        'code': [A, B, C], 'listed': ['2001-02-03', None, None], 'delisted': [None, None, '2024-01-05']})
    assert first == ['2001-02-03', '2024-01-04', '2024-01-02']
    assert delisted == [0, 0, int(ordinals(['2024-01-05'])[0])]


@pytest.mark.parametrize('listings', [None, {'code': [B], 'listed': ['2023-12-29'], 'delisted': [None]}])
def test_without_a_listing_the_first_row_counts(listings, tmp_path):
    first, delisted = feeds_of(tmp_path / 'store', listings)
    assert first == ['2024-01-02', '2023-12-29' if listings else '2024-01-04', '2024-01-02']
    assert delisted == [0, 0, 0]


def test_listed_days_of_an_empty_date(tmp_path):
    table = check_table(tiny_market({A: [10.0] * 3, B: [10.0] * 3, C: [10.0] * 3}, dates=DAYS[:3]))
    listings = frame(code=[A, B], listed=['2024-01-02', None], delisted=[None, None])
    store = ingest_tables([table], tmp_path / 'store', reference_data={'listings': listings})
    day = int(ordinals(['2024-01-04'])[0])
    np.testing.assert_array_equal(store.reference_data.listed_days(day), [3.0, np.nan, np.nan])


# ------------------------------------------------------------------------------------------ feeds that are not ours


class Plain(bt.feeds.PandasData):
    """A feed of Backtrader's own, with the lines that a stock needs."""

    lines = ('market_cap', 'paused')
    params = (('market_cap', -1), ('paused', -1))


class Looking(bt.Strategy):
    """Notes what a section says of each bar, at the open and at the close."""

    params = (('names', ()),)

    def __init__(self):
        self.universe = StockUniverse(self.datas)
        self.at_open, self.at_close = [], []

    def told(self, section):
        return [section.previous(name).tolist() for name in self.p.names] + [section.today('paused').tolist()]

    def next_open(self):
        self.at_open.append(self.told(self.universe.section(True)))

    def next(self):
        self.at_close.append(self.told(self.universe.section(False)))

    prenext, prenext_open, nextstart_open = next, next_open, next_open


def looked(broker):
    table = tiny_market({A: [(10.0, 11.0), (12.0, 13.0), (14.0, 15.0)], B: [(20.0, 21.0), (22.0, 23.0), (24.0, 25.0)]})
    table.loc[table['date'] == DAYS[1], 'paused'] = 1
    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=True)
    for code, rows in table.groupby('code'):
        cerebro.adddata(Plain(dataname=rows.drop(columns='code').set_index('date')), name=code)
    cerebro.setbroker(broker)
    cerebro.addstrategy(Looking, names=('close', 'open', 'market_cap'))
    return cerebro.run()[0]


@pytest.mark.parametrize('ours', [True, False])
def test_previous_of_a_feed_that_is_not_ours_is_the_day_before(ours):
    nan, cap = [None, None], [2.5e9, 2.5e9]
    strategy = looked(AShareBroker() if ours else bt.brokers.BackBroker())

    def plain(rows):
        return [[[None if value != value else value for value in vector] for vector in row] for row in rows]

    assert plain(strategy.at_open) == [
        [nan, nan, nan, [0.0, 0.0]], [[11.0, 21.0], [10.0, 20.0], cap, [1.0, 1.0]], [[13.0, 23.0], [12.0, 22.0], cap, [0.0, 0.0]]]
    # after the close the bar itself is the previous day
    assert plain(strategy.at_close) == [
        [[11.0, 21.0], [10.0, 20.0], cap, [0.0, 0.0]], [[13.0, 23.0], [12.0, 22.0], cap, [1.0, 1.0]],
        [[15.0, 25.0], [14.0, 24.0], cap, [0.0, 0.0]]]


def test_a_column_that_a_feed_lacks():
    """An optional one is not known; any other is a mistake."""
    table = tiny_market({A: [10.0] * 3})
    feed = Plain(dataname=table.drop(columns='code').set_index('date'))

    class Asking(Looking):
        def told(self, section):
            assert np.isnan(section.previous('preclose')).all()
            for name in ('roe', 'is_st'):
                with pytest.raises(KeyError, match=f'has no line .{name}'):
                    section.previous(name)

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(feed, name=A)
    cerebro.addstrategy(Asking)
    assert len(cerebro.run()[0].at_close) == 3


def test_a_buy_is_decided_by_the_day_before_whatever_the_feeds():
    """A is the smaller on the first day, B on the second; what is bought on the second is A."""
    table = tiny_market({A: [bar(10.0, cap=2.1e9), bar(10.0, cap=2.9e9), 10.0],
                         B: [bar(10.0, cap=2.5e9), bar(10.0, cap=2.2e9), 10.0]})

    class Whole(Plain):
        lines = ('is_st',)
        params = (('is_st', -1),)

    cerebro = bt.Cerebro(stdstats=False)
    for code, rows in table.groupby('code'):
        cerebro.adddata(Whole(dataname=rows.drop(columns='code').set_index('date')), name=code)
    cerebro.addstrategy(MicroCapStrategy, stocknum=1)
    setup(cerebro, cash=100_000.0)
    strategy = cerebro.run()[0]
    assert [data._name for data in strategy.broker.positions] == [A]
