"""Holding one market against another: small markets that differ in one thing each."""

import numpy as np
import pandas as pd

from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.store import MarketStore
from bt_microcap.feeds.store import compare as module
from bt_microcap.feeds.store.compare import compare

CODES = ('600001.XSHG', '600002.XSHG')
COLUMNS = ('open', 'high', 'low', 'close', 'volume', 'market_cap', 'is_st', 'paused')
ALIKE = [
    'stocks: 2 in both, 0 only in A, 0 only in B',
    'days: 5 in both, 0 only in A, 0 only in B',
    'rows of these stocks and days: 10 in both, 0 only in A, 0 only in B',
    *(f'{name}: 10 of 10 equal (100.00 %)' for name in COLUMNS),
]


def market(codes=CODES, start='2024-01-02', days=5):
    dates = pd.bdate_range(start, periods=days)
    table = pd.DataFrame([(day, code) for code in codes for day in dates], columns=['date', 'code'])
    for name in ('open', 'high', 'low', 'close'):
        table[name] = 10.0
    table['volume'], table['market_cap'] = 1000.0, 1e9
    table['is_st'] = table['paused'] = 0
    table.index = pd.MultiIndex.from_product([codes, range(days)])
    return table


def compared(a, b, **options):
    return compare(*(MarketStore.from_table(table.reset_index(drop=True)) for table in (a, b)), **options)


def other_lines(found, expected=ALIKE):
    return [line for line in found if line not in expected]


def test_a_market_and_itself():
    assert compared(market(), market()) == ALIKE


def test_values_and_names():
    table = market()
    table.loc[('600002.XSHG', 3), 'market_cap'] = 1.25e9
    table.loc[('600001.XSHG', 1), 'market_cap'] = 1.1e9
    table.loc[('600001.XSHG', 2), 'is_st'] = 1
    table.loc[('600001.XSHG', 4), 'volume'] = 1000.0005  # equal enough
    assert other_lines(compared(market(), table)) == [
        'market_cap: 8 of 10 equal (80.00 %), largest difference 20 %: 600002.XSHG 2024-01-05 A 1000000000, B 1250000000',
        'is_st: 9 of 10 equal (90.00 %), largest difference 100 %: 600001.XSHG 2024-01-04 A 0, B 1']
    assert compared(table, market(), names=('tushare', 'files'))[8] == (
        'market_cap: 8 of 10 equal (80.00 %), largest difference 20 %: 600002.XSHG 2024-01-05 tushare 1250000000, '
        'files 1000000000')


def test_a_share_is_never_rounded_up_to_all():
    a, b = market(days=6000), market(days=6000)
    b.loc[('600001.XSHG', 0), 'volume'] = 999.0
    assert 'volume: 11,999 of 12,000 equal (99.99 %), largest difference 0.1 %: 600001.XSHG 2024-01-02 A 1000, B 999' in (
        compared(a, b))


def test_values_that_one_does_not_know():
    a, b = market(), market()
    a.loc[('600001.XSHG', slice(0, 2)), 'market_cap'] = np.nan
    b.loc[('600001.XSHG', slice(2, 3)), 'market_cap'] = np.nan
    assert other_lines(compared(a, b)) == [
        'market_cap: 7 of 10 equal (70.00 %), 1 known in A only, 2 known in B only']


def test_stocks_of_one_only():
    a, b = market((*CODES, '000001.XSHE')), market((*CODES, '600003.XSHG', '600004.XSHG', '600005.XSHG', '600006.XSHG'))
    assert other_lines(compared(a, b)) == [
        'stocks: 2 in both, 1 only in A (000001.XSHE), 4 only in B (600003.XSHG, 600004.XSHG, 600005.XSHG, ...)']


def test_days_and_rows_of_one_only():
    a, b = market(days=7), market(start='2024-01-03', days=5).drop([('600002.XSHG', 1), ('600002.XSHG', 2)])
    a = a.drop([('600001.XSHG', day) for day in (0, 4)])  # listed a day later; suspended without a row
    rows = [f'{name}: 7 of 7 equal (100.00 %)' for name in COLUMNS]
    assert compared(a, b) == [
        ALIKE[0],
        'days: 5 in both, 2 only in A (2024-01-02, 2024-01-10), 0 only in B',
        'rows of these stocks and days: 7 in both, 2 only in A (600002.XSHG 2024-01-04, 600002.XSHG 2024-01-05), '
        '1 only in B (600001.XSHG 2024-01-08)',
        *rows,
    ]


def test_columns_of_one_only():
    a, b = market(), market()
    a['roe'], b['preclose'], b['amount'] = 0.1, 10.0, 10_000.0
    assert other_lines(compared(a, b)) == ['columns only in A: roe', 'columns only in B: preclose, amount']


def test_further_columns_may_hold_anything():
    a, b = market(), market()
    a['growth'], b['growth'] = [np.inf, np.inf, np.nan, 0.0, -1.0] * 2, [np.inf, 1.0, np.nan, 0.0, 1.0] * 2
    assert other_lines(compared(a, b)) == [
        'growth: 6 of 10 equal (60.00 %), largest difference 200 %: 600001.XSHG 2024-01-08 A -1, B 1']


def test_nothing_in_common():
    assert compared(market(CODES[:1], days=1), market(CODES[1:], start='2024-02-01', days=1)) == [
        'stocks: 0 in both, 1 only in A (600001.XSHG), 1 only in B (600002.XSHG)',
        'days: 0 in both, 1 only in A (2024-01-02), 1 only in B (2024-02-01)',
        'rows of these stocks and days: 0 in both, 0 only in A, 0 only in B',
    ]


def test_random_markets_against_a_plain_join(tmp_path, monkeypatch):
    """Counts as a join of the two tables has them; one of the two opened from a folder."""
    monkeypatch.setattr(module, 'PAUSE', 7)
    table = demo_market(stocks=50, days=80, seed=4)
    rng = np.random.default_rng(0)
    a, b = (table[rng.random(len(table)) < 0.9].copy() for _ in range(2))
    b.loc[rng.random(len(b)) < 0.2, 'volume'] += 100
    MarketStore.from_table(a).save(tmp_path / 'a')
    lines = compare(MarketStore.open(tmp_path / 'a'), MarketStore.from_table(b), ('one', 'two'))
    both = a.merge(b, on=['date', 'code'])
    codes, days = set(a['code']) & set(b['code']), set(a['date']) & set(b['date'])
    counts = [int((one['code'].isin(codes) & one['date'].isin(days)).sum()) - len(both) for one in (a, b)]
    assert lines[2].startswith(f'rows of these stocks and days: {len(both):,} in both, {counts[0]:,} only in one (')
    assert f', {counts[1]:,} only in two (' in lines[2]
    gap = (both['volume_x'] - both['volume_y']).abs() / both[['volume_x', 'volume_y']].max(axis=1)
    equal = int((gap.fillna(0) <= 1e-6).sum())
    (volume,) = (line for line in lines if line.startswith('volume: '))
    assert volume.startswith(f'volume: {equal:,} of {len(both):,} equal (')
    assert f'largest difference {100 * gap.max():.3g} %' in volume
