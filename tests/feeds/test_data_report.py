"""The report on a market: each thing that can look wrong, in a small market where it does."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.store import MarketStore, data_report
from bt_microcap.feeds.store.data_report import Year, describe, save

PANEL = Path(__file__).parents[3] / 'shared' / 'data' / 'panels' / 'whole_market_2021.parquet'
FINE = 'nothing that looks wrong was found'
GUESSED = 'note: listings: not known: guessed from the first row of each stock'


def market(codes=('600001.XSHG', '600002.XSHG'), start='2024-01-02', days=10):
    """Stocks that stand still at 10 yuan on each working day; a stock's rows are at [code, day number]."""
    dates = pd.bdate_range(start, periods=days)
    table = pd.DataFrame([(day, code) for code in codes for day in dates], columns=['date', 'code'])
    for name in ('open', 'high', 'low', 'close', 'preclose'):
        table[name] = 10.0
    table['volume'], table['amount'], table['market_cap'], table['circ_market_cap'] = 1000.0, 10_000.0, 1e9, 5e8
    table['is_st'] = table['paused'] = 0
    table.index = pd.MultiIndex.from_product([codes, range(days)])
    return table


def report(table):
    return describe(MarketStore.from_table(table.reset_index(drop=True)))


def lines(table):
    return report(table).lines()


def findings(table):
    """Return what a market's report adds to the coverage."""
    return [line for line in lines(table) if line.startswith(('WARNING', 'not checked', FINE))]


def test_a_market_without_anything_wrong():
    table = market()
    table.loc[('600002.XSHG', 3), ['is_st', 'paused', 'volume', 'amount']] = 1, 1, 0, 0
    table = table.drop([('600001.XSHG', 5), ('600002.XSHG', 9)])  # suspended without a row; delisted
    assert lines(table) == [
        '2 stocks, 10 days from 2024-01-02 to 2024-01-15, 18 rows',
        "2024: 2 stocks, 18 rows, 94.74 % of the days between each stock's first and last row",  # 18 of 19
        '1 of 2 stocks ended before the last day (delisted, or suspended at the end)',
        'ST: 5.56 % of the rows; suspended: 10.53 % of the stock-days',  # 1 of 18; 2 of 19
        GUESSED,
        FINE,
    ]


def test_coverage_by_year():
    table = market(start='2023-12-27', days=5)  # three days of 2023, two of 2024
    table = table.drop([('600001.XSHG', 1), ('600002.XSHG', 3), ('600002.XSHG', 4)])
    found = report(table)
    assert found.years == [Year(2023, 2, 5, 5 / 6), Year(2024, 1, 2, 1.0)]
    assert found.lines()[1:3] == ["2023: 2 stocks, 5 rows, 83.33 % of the days between each stock's first and last row",
                                  "2024: 1 stock, 2 rows, 100.00 % of the days between each stock's first and last row"]
    assert (found.stocks, found.days, found.rows, found.ended) == (2, 5, 7, 1)
    assert (found.first, found.last) == (date(2023, 12, 27), date(2024, 1, 2))


WARNING = ('WARNING: no stock ended before the last day: the delisted ones are missing, so that any backtest looks too good '
           '(survivorship bias)')


def test_only_survivors():
    assert WARNING not in lines(market(days=260))  # 2024-01-02 to 2024-12-30
    longer = lines(market(days=270))
    assert longer[4] == WARNING and longer[-1] == GUESSED and FINE not in longer
    assert WARNING not in lines(market(days=270).drop(('600001.XSHG', 269)))


# --------------------------------------------------------------------------------------------------- findings


LIMIT = "moves beyond the day's price limit, the first listed days apart"


def moved(close, code='600001.XSHG', day=7, **options):
    table = market((code, '600009.XSHG'), **options)
    table.loc[(code, day), ['high', 'low', 'close']] = max(10, close), min(10, close), close
    table.loc[(code, day), 'amount'] = 1000 * close
    return table


@pytest.mark.parametrize(('close', 'code', 'move'), [
    (11.00, '600001.XSHG', None), (11.01, '600001.XSHG', '+10.1 %'),
    (9.00, '600001.XSHG', None), (8.99, '600001.XSHG', '-10.1 %'),
    (12.00, '300001.XSHE', None), (12.01, '300001.XSHE', '+20.1 %'), (7.99, '688001.XSHG', '-20.1 %'),
    (13.00, '430001.BJSE', None), (13.01, '430001.BJSE', '+30.1 %'),
])
def test_moves_beyond_the_limit(close, code, move):
    expected = FINE if move is None else f'WARNING: {LIMIT}: 1 ({code} 2024-01-11 {move})'
    assert findings(moved(close, code)) == [expected]


def test_moves_of_st_stocks():
    table = moved(10.51)
    assert findings(table) == [FINE]
    table['is_st'] = 1
    assert findings(table) == [f'WARNING: {LIMIT}: 1 (600001.XSHG 2024-01-11 +5.1 %)']


def test_moves_count_from_the_reference_price_of_the_day():
    table = moved(5.0)
    table.loc[('600001.XSHG', 7), 'preclose'] = 5.0  # ten new shares for ten
    assert findings(table) == [FINE]
    table.loc[('600001.XSHG', 7), 'preclose'] = np.nan
    assert findings(table) == [FINE]


def test_first_listed_days_and_suspended_days_have_no_limit():
    listed = moved(25.0, day=3).drop([('600001.XSHG', 0), ('600001.XSHG', 1)])  # its second day of five
    assert findings(listed) == [FINE]
    listed = moved(25.0, day=7).drop([('600001.XSHG', 0), ('600001.XSHG', 1)])  # its sixth
    assert findings(listed) == [f'WARNING: {LIMIT}: 1 (600001.XSHG 2024-01-11 +150.0 %)']
    assert findings(moved(25.0, day=4)) == [FINE]  # it may be listed on the market's first day
    paused = moved(25.0)
    paused.loc[('600001.XSHG', 7), ['paused', 'volume']] = 1, 0
    assert findings(paused) == [FINE]


def test_moves_are_by_day_and_three_are_shown():
    table = market(('600001.XSHG', '600002.XSHG'), days=12)
    for key in (('600001.XSHG', 11), ('600001.XSHG', 9), ('600002.XSHG', 8), ('600002.XSHG', 9)):
        table.loc[key, ['high', 'close', 'amount']] = 12.0, 12.0, 12_000.0
    assert findings(table) == [f'WARNING: {LIMIT}: 4 (600002.XSHG 2024-01-12 +20.0 %; 600001.XSHG 2024-01-15 +20.0 %; '
                               '600002.XSHG 2024-01-15 +20.0 %; ...)']


def test_what_the_rules_do_not_know():
    table = moved(25.0, '600001.XSHG', start='1996-12-09', days=8).drop(('600009.XSHG', 7))
    table.loc[('600001.XSHG', 1), ['high', 'close', 'amount']] = 25.0, 25.0, 25_000.0  # before 1996-12-16
    assert findings(table) == [
        f'WARNING: {LIMIT}: 1 (600001.XSHG 1996-12-18 +150.0 %)',
        f'not checked: {LIMIT}: 5 days before 1996-12-16, for which there are no rules']
    assert findings(moved(25.0, '900901.XSHG')) == ['WARNING: codes that are no A shares: 1 (900901.XSHG)']


def test_jumps_of_the_cap():
    table = market()
    table.loc[('600001.XSHG', 4), 'market_cap'] = np.nan
    table.loc[('600001.XSHG', slice(5, None)), 'market_cap'] = 2e10  # from the 9th on
    table.loc[('600002.XSHG', 9), ['market_cap', 'circ_market_cap']] = 9e7, 5e7
    table.loc[('600002.XSHG', slice(3, 7)), 'market_cap'] = 9.9e9  # less than ten times
    assert findings(table) == ['WARNING: market_cap / close more than 10 times or less than 1/10 of the row before: 2 '
                               '(600001.XSHG 2024-01-09 20 times; 600002.XSHG 2024-01-15 0.09 times)']


@pytest.mark.parametrize(('volume', 'amount', 'times', 'unit'), [
    (10.0, 10_000.0, '100', 'volume in lots of 100 shares'), (1000.0, 10.0, '0.001', 'amount in thousands of yuan'),
    (10.0, 10.0, '0.1', 'volume in lots of 100 shares and amount in thousands of yuan'),
    (1000.0, 1.0, '0.0001', 'amount in 万 yuan'),
])
def test_units_of_volume_and_amount(volume, amount, times, unit):
    table = market(('600001.XSHG',), days=2)
    table['volume'], table['amount'] = volume, amount
    assert findings(table) == [f'WARNING: amount far from volume x close, which looks like {unit}: 2 '
                               f'(600001.XSHG 2024-01-02 {times} times; 600001.XSHG 2024-01-03 {times} times)']


def test_an_amount_may_be_somewhat_off():
    table = market()
    table['amount'] *= 1.1
    table.loc[('600001.XSHG', 3), 'amount'] = 10_000_000_000.0
    assert findings(table) == ['WARNING: amount far from volume x close: 1 (600001.XSHG 2024-01-05 1e+06 times)']


def test_cap_below_the_float_cap():
    table = market()
    table.loc[('600002.XSHG', 2), 'circ_market_cap'] = 1.2e9
    table.loc[('600002.XSHG', 3), 'circ_market_cap'] = 1.0005e9  # rounded
    assert findings(table) == ['WARNING: market_cap below circ_market_cap: 1 (600002.XSHG 2024-01-04 1e+09 below 1.2e+09)']


def test_days_with_too_few_rows():
    codes = [f'60000{number}.XSHG' for number in range(5)]
    table = market(codes)
    assert findings(table.drop([(code, 4) for code in codes[:2]])) == [FINE]
    assert findings(table.drop([(code, day) for code in codes[:3] for day in (4, 9)])) == [
        'WARNING: days with fewer than half of the rows of the 10 days around: 2 (2024-01-08 2 rows of 5; '
        '2024-01-15 2 rows of 5)']


def test_days_that_are_missing():
    table = market(days=30)
    assert findings(table[~table['date'].between('2024-01-09', '2024-01-28')]) == [
        'WARNING: more than 20 days without any row: 1 (2024-01-08 to 2024-01-29)']
    assert findings(table[~table['date'].between('2024-01-09', '2024-01-26')][:-1]) != [FINE]  # 21 days
    assert findings(table[~table['date'].between('2024-01-09', '2024-01-25')]) == [FINE]  # 18 days: a long holiday


def test_stocks_that_are_silent_for_long():
    table = market(days=300).drop([('600002.XSHG', day) for day in range(10, 280)])
    assert findings(table) == [
        WARNING, 'WARNING: more than a year without a row of a stock that goes on: 1 (600002.XSHG 2024-01-15 to 2025-01-28)']


def test_columns_that_are_not_there():
    table = market().drop(columns=['preclose', 'amount', 'circ_market_cap'])
    assert findings(table) == [f'not checked: {LIMIT} (no column preclose)',
                               'not checked: amount far from volume x close (no column amount)',
                               'not checked: market_cap below circ_market_cap (no column circ_market_cap)', FINE]


# -------------------------------------------------------------------------------------------------------- walk


def test_chunks_make_no_difference(monkeypatch, tmp_path):
    table = demo_market(stocks=60, days=120, seed=5)
    table.loc[table.sample(40, random_state=1).index, 'market_cap'] *= 30
    table.loc[table.sample(40, random_state=2).index, 'preclose'] *= 2
    store = MarketStore.from_table(table)
    whole = describe(store)
    assert len(whole.findings) == 2
    store.save(tmp_path / 'market')
    monkeypatch.setattr(data_report, 'CHUNK', 300)
    assert describe(store) == whole
    assert describe(MarketStore.open(tmp_path / 'market')) == whole


def test_one_row():
    assert lines(market(('600001.XSHG',), days=1))[-1] == FINE


def test_save(tmp_path):
    found = report(market())
    save(found.lines(), tmp_path / 'report.txt')
    save(found.lines(), tmp_path / 'report.txt')
    assert (tmp_path / 'report.txt').read_text(encoding='utf-8').splitlines() == found.lines()
    assert [path.name for path in tmp_path.iterdir()] == ['report.txt']


@pytest.mark.skipif(not PANEL.exists(), reason='needs ../shared/data/panels/whole_market_2021.parquet')
def test_the_real_market():
    store = MarketStore.from_table(pd.read_parquet(PANEL))
    found = describe(store)
    assert found.lines() == [
        '4,710 stocks, 252 days from 2021-01-04 to 2022-01-14, 1,106,508 rows',
        "2021: 4,698 stocks, 1,064,351 rows, 100.00 % of the days between each stock's first and last row",
        "2022: 4,690 stocks, 42,157 rows, 100.00 % of the days between each stock's first and last row",
        '20 of 4,710 stocks ended before the last day (delisted, or suspended at the end)',
        'ST: 4.38 % of the rows; suspended: 0.26 % of the stock-days',
        # a resumed listing, which has no limit, and a first day beyond 44 %
        f'WARNING: {LIMIT}: 2 (000792.XSHE 2021-08-10 +306.1 %; 001267.XSHE 2021-11-17 +54.0 %)',
        GUESSED,
    ]


def test_what_the_source_did_not_know():
    store = MarketStore.from_table(market().reset_index(drop=True))
    store.about = {
        'source': 'estimated.csv', 'from_files': '/data/today', 'rows': 3, 'is_st': 'not known, 0 on all days: no files',
        'market_cap': 'estimated: float shares x close', 'preclose': 'not given by the source', 'volume': 'as given',
        'names': 'as of today alone', 'delisting_period': 'the source has no history',
    }
    assert [line for line in describe(store).lines() if line.startswith('note')] == [
        'note: is_st: not known, 0 on all days: no files',
        'note: market_cap: estimated: float shares x close',
        'note: preclose: not given by the source',
        'note: names: as of today alone',
        'note: delisting_period: the source has no history',
    ]
