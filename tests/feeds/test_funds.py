"""Listed funds among the stocks of a market: read without complaint, traded, and in no index, screen or finding."""

import warnings

import numpy as np
import pandas as pd
import pytest

from bt_microcap.exchange import rules
from bt_microcap.feeds.codes import canonical_code, find_code
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.files import load_table
from bt_microcap.feeds.history import ex_rights_factor
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.quarantine import Quarantine
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.sources.xbx import code_from_file_name
from bt_microcap.feeds.store import MarketStore
from bt_microcap.feeds.store.data_report import describe
from tests.support.history import WAYS, ask
from tests.support.ingesting import ingest, write
from tests.support.markets import bar, tiny_market
from tests.support.running import run_feeds
from tests.support.scripted import buy, close, play
from tests.support.stores import same_rows

MONEY, ETF, STOCK, OTHER = '511880.XSHG', '510300.XSHG', '600001.XSHG', '000002.XSHE'
NAN = float('nan')
PRICES = ['open', 'high', 'low', 'close', 'preclose']


@pytest.fixture(autouse=True)
def silence():
    """A warning is a complaint."""
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        yield


def without(table, code=MONEY):
    """The rows of the stocks."""
    return table[table['code'].astype(str) != code].reset_index(drop=True)


def plain(table):
    return table.assign(code=table['code'].astype(str))


def market(**kwargs):
    return plain(demo_market(40, days=90, seed=3, fund=True, **kwargs))


def of_money(table):
    return table[table['code'] == MONEY].reset_index(drop=True)


# ------------------------------------------------------------------------------------ the demo market


@pytest.mark.parametrize('kwargs', [
    {}, {'stocks': 60, 'days': 200, 'corporate_actions': True, 'fundamentals': True}, {'stocks': 1, 'days': 30, 'seed': 0}])
def test_the_stocks_of_the_demo_market_stay_as_they_are(kwargs):
    table = demo_market(**kwargs, fund=True)
    pd.testing.assert_frame_equal(without(plain(table)), plain(demo_market(**kwargs)), check_exact=True)
    pd.testing.assert_frame_equal(demo_market(**kwargs, fund=True), table)


def test_the_fund_of_the_demo_market():
    table = demo_market(60, years=4, corporate_actions=True, fundamentals=True, fund=True)
    fund = of_money(plain(table))
    assert fund['date'].tolist() == sorted(set(table['date']))
    assert table.sort_values(['date', 'code']).index.tolist() == table.index.tolist()
    thousandths = fund[PRICES].to_numpy() * 1000
    np.testing.assert_array_equal(fund[PRICES].to_numpy(), np.rint(thousandths) / 1000)
    assert (fund['high'] >= fund[['open', 'close']].max(axis=1)).all()
    assert (fund['low'] <= fund[['open', 'close']].min(axis=1)).all()
    assert fund['preclose'].tolist() == [100.0, *fund['close'][:-1]]  # nothing is paid out
    days = np.arange(1, len(fund) + 1)
    np.testing.assert_allclose(fund['close'], 100 * 1.022 ** (days / 243), atol=0.012)  # 0.002 of noise
    assert fund['volume'].min() > 1e6 and (fund['volume'] % 100 == 0).all()
    np.testing.assert_allclose(fund['amount'] / fund['volume'] / fund['close'], 1, atol=1e-3)
    assert fund[['market_cap', 'roe', 'net_profit']].isna().all(axis=None)
    assert (fund[['is_st', 'paused', 'cash_dividend']] == 0).all(axis=None) and (fund['share_ratio'] == 1).all()
    other = of_money(plain(demo_market(60, years=4, seed=2, fund=True)))
    assert (other['close'] != fund['close']).any()


# ------------------------------------------------------------------------------------------- reading


def test_a_table_with_a_fund_is_read_without_complaint():
    table = market(corporate_actions=True, fundamentals=True)
    for strict in (False, True):
        checked = check_table(table, strict=strict)
        pd.testing.assert_frame_equal(checked[table.columns], table, check_dtype=False, check_exact=True)
    store = MarketStore.from_table(table, quarantine=Quarantine(True))
    same_rows(store.table(), table)
    assert not store.has_findings


@pytest.mark.parametrize('ending', ['csv', 'csv.gz', 'parquet'])
def test_three_decimals_stay_in_every_file(tmp_path, ending):
    table = market()
    path = write(table, tmp_path / f'market.{ending}')
    for read in (load_table(path), MarketStore.from_file(path).table()):
        np.testing.assert_array_equal(of_money(read)[PRICES], of_money(table)[PRICES])


@pytest.mark.parametrize('ending', ['csv', 'parquet'])
def test_a_fund_is_ingested_and_appended(tmp_path, ending):
    table = market(corporate_actions=True)
    half = table['date'] < sorted(set(table['date']))[45]
    parts = {'first': table[half], 'second': table[~half]}
    first, second = (write(rows, tmp_path / f'{name}.{ending}') for name, rows in parts.items())
    ingest(tmp_path / 'store', first)
    store = ingest(tmp_path / 'store', second, append=True)
    same_rows(store.table(), table)
    assert not len(store.findings())


def test_most_rows_may_be_of_funds_but_the_stocks_need_their_caps():
    fund, stock = [bar(100.003, cap=NAN)] * 4, [bar(10.0, cap=2e9)] * 4
    assert len(check_table(tiny_market({STOCK: stock, MONEY: fund, ETF: fund, '159915.XSHE': fund}), strict=True)) == 16
    assert len(check_table(tiny_market({MONEY: fund}), strict=True)) == 4
    lost = tiny_market({STOCK: [bar(10.0, cap=NAN)] * 4, MONEY: fund, OTHER: stock, '600003.XSHG': [bar(10.0, cap=NAN)] * 4})
    with pytest.raises(DataError, match='market_cap: found nothing in 8 of 12 traded rows'):
        check_table(lost)


@pytest.mark.parametrize('cap', [NAN, 0.0, 5e5, 1e9, 1e14])
def test_the_size_of_a_fund_is_nobodys_concern(cap):
    table = tiny_market({STOCK: [10.0] * 4, MONEY: [bar(100.003, cap=cap)] * 4})
    found = of_money(check_table(table, strict=True))['market_cap']
    assert found.tolist() == [1e9] * 4 if cap == 1e9 else found.isna().all()


def test_a_stock_without_a_cap_is_still_told():
    stock = [bar(10.0, cap=2e9), bar(10.0, cap=NAN), 10.0, bar(10.0, cap=2e9)]
    table = tiny_market({STOCK: stock, MONEY: [bar(100.0, cap=NAN)] * 4})
    with pytest.warns(UserWarning, match='2 rows not as they should be: 2 no market cap'):
        check_table(table)


def test_units_that_come_and_go_do_not_look_like_adjusted_prices():
    """The fund's number of units, market_cap / close, falls by 1 % a day; without amounts that would condemn the table."""
    table = plain(demo_market(2, days=900, fund=True)).drop(columns='amount')
    money = table['code'] == MONEY
    table.loc[money, 'market_cap'] = 1e11 * 0.99 ** (np.arange(money.sum()) % 50) * table.loc[money, 'close'] / 100
    # 20 stock-years and more, from which on falls are looked at
    many = pd.concat([table[money].assign(code=f'5110{number}.XSHG') for number in range(10, 20)] + [table])
    many = many.sort_values(['date', 'code'], ignore_index=True)
    check_table(many, strict=True)
    MarketStore.from_table(many)
    stock = many.assign(code=many['code'].str.replace('5110', '6000'))
    with pytest.raises(DataError, match='which look adjusted'):
        check_table(stock)


@pytest.mark.parametrize('text', ['510300', '159915', '511880', '510300.0', '184801'])
def test_six_digits_of_a_fund_are_no_stock(text):
    assert canonical_code(text) is None
    assert find_code(text) is None


def test_funds_and_the_files_of_stocks():
    assert canonical_code('sh511880') == canonical_code('511880.SH') == MONEY
    assert find_code('sh.510300') is None
    assert code_from_file_name('sh510300.csv') is None and code_from_file_name('sz159915.csv') is None
    assert code_from_file_name('sh600000.csv') == '600000.XSHG'


def test_a_report_says_nothing_of_a_fund():
    table = market()
    lines, plain_lines = (describe(MarketStore.from_table(rows)).lines() for rows in (table, without(table)))
    assert not [line for line in lines if 'no A shares' in line or '511880' in line]
    assert [line for line in lines if line.startswith('WARNING')] == [line for line in plain_lines if line.startswith('WARNING')]
    # an ETF that moves by 15 %, and what is neither a stock nor a fund
    odd = tiny_market({STOCK: [10.0] * 3, '159915.XSHE': [bar(1.0, cap=NAN), 1.15, 1.0], '000300.XSHG': [3000.0] * 3})
    assert [line for line in describe(MarketStore.from_table(odd)).lines() if line.startswith('WARNING')] == [
        'WARNING: codes that are no A shares: 1 (000300.XSHG)']


# --------------------------------------------------------------------------- indices, screens, sections


@pytest.mark.parametrize('spec', ['market', 'market:new=0', 'microcap', 'microcap:5:renew=5'])
def test_no_index_knows_the_fund(spec):
    table = plain(demo_market(40, days=90, seed=3, fund=True))
    table.loc[table['code'] == MONEY, 'market_cap'] = 1e8  # the smallest of all
    found, expected = (MarketStore.from_table(rows).benchmark(spec) for rows in (table, without(table)))
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, name)


@WAYS
def test_no_board_has_the_fund(market):
    """In the band, the smallest of all, and never picked; the run is the one without it."""
    table = plain(demo_market(40, days=60, seed=3, fund=True))
    table.loc[table['code'] == MONEY, 'market_cap'] = 2.0e9
    runs = [run_feeds(rows, market=market, stocknum=3, refresh_rate=5, min_cap=2e9, max_cap=9e9, boards=rules.BOARDS)
            for rows in (table, without(table))]
    fills = [[(fill.datetime, fill.code, fill.side, fill.quantity, fill.price) for fill in run.analyzers.blotter.fills]
             for run in runs]
    assert fills[0] == fills[1] and len(fills[0]) > 20
    assert runs[0].broker.getvalue() == runs[1].broker.getvalue()


@WAYS
def test_a_section_has_the_fund(market):
    table = tiny_market({STOCK: [10.03] * 3, MONEY: [bar(100.004, cap=NAN), 100.005, bar(120.0, preclose=100.006)]})
    seen = []

    def each(section, number):
        seen.append([section.codes.tolist(), section.previous('close').tolist(), section.previous('market_cap').tolist(),
                     *(section.today(name).tolist() for name in ('low_limit', 'high_limit', 'paused'))])

    ask(table, market, each)
    assert [day[0] for day in seen] == [[MONEY, STOCK]] * 3
    assert seen[1][1] == [100.004, 10.03]
    np.testing.assert_equal(seen[1][2], [NAN, 2.5e9])
    # preclose 100.004 -> 90.0036 and 110.0044; 10.03 -> 9.027 and 11.033
    np.testing.assert_allclose(seen[1][3:], [[90.004, 9.03], [110.004, 11.03], [0, 0]], rtol=1e-14)
    np.testing.assert_allclose(seen[2][3:5], [[NAN, 9.03], [NAN, 11.03]], rtol=1e-14)  # an open beyond: none holds


@WAYS
def test_adjusted_closes_see_a_distribution_of_a_few_steps(market):
    fund = [bar(100.004, cap=NAN), bar(100.0, preclose=100.0, cap=NAN), 100.0]
    seen = []
    ask(tiny_market({STOCK: [10.0, bar(10.0, preclose=10.004), 10.0], MONEY: fund}), market,
        lambda section, number: seen.append(section.history('close', 2, True)[0].tolist() if number == 2 else None))
    np.testing.assert_allclose(seen[2], [100.0, 10.0], rtol=1e-14)  # 100.004 x 100 / 100.004; for a stock it is noise


def test_factors_by_the_step_of_each_code():
    close, preclose, none = np.array([10.004, 100.004, 100.0]), np.array([10.0, 100.0, 100.0004]), np.full(3, NAN)
    assert ex_rights_factor(close, preclose, none, none).tolist() == [1, 1, 1]
    half = rules.half_ticks(np.array([STOCK, MONEY, ETF]))
    np.testing.assert_allclose(ex_rights_factor(close, preclose, none, none, half), [1, 100 / 100.004, 1], rtol=1e-15)


def test_days_after_a_lost_row_of_a_fund():
    """A row that cannot be used is left out: the next preclose tells the lost day's return, and nothing was paid out."""
    fund = [bar(1.0, cap=NAN), bar(1.1, cap=NAN), bar(1.1, preclose=1.15, cap=NAN), 1.1]
    table = tiny_market({STOCK: [10.0] * 4, '159915.XSHE': fund})
    table.loc[(table['code'] == '159915.XSHE') & (table['date'] == sorted(set(table['date']))[1]), 'close'] = -1.0
    with pytest.warns(UserWarning, match='no price'):
        checked = check_table(table)
    row = checked[(checked['code'] == '159915.XSHE') & (checked['preclose'] == 1.15)].iloc[0]
    assert (row['cash_dividend'], row['share_ratio']) == (0.0, 1.0)  # 15 % lie within the 20 % that some funds have


# ------------------------------------------------------------------------------------------- trading


@WAYS
def test_a_stock_feed_of_the_fund_is_traded(market, tmp_path):
    """10,000 units at the open of the second day, out at that of the tenth; by the figures of the table."""
    table = plain(demo_market(20, days=12, fund=True))
    opens = of_money(table)['open'].tolist()
    run = play(table, {1: buy(MONEY, 10_000), 9: close(MONEY)}, market=market, cash=2e6)
    assert run.fills == [(1, MONEY, 10_000, opens[1]), (9, MONEY, -10_000, opens[9])]
    fees = 0.0003 * 10_000 * (opens[1] + opens[9])
    assert run.cash[-1] == pytest.approx(2e6 + 10_000 * (opens[9] - opens[1]) - fees)


def test_a_feed_of_a_store_on_disk(tmp_path):
    import backtrader as bt

    table = plain(demo_market(20, days=8, fund=True))
    MarketStore.from_table(table).save(tmp_path / 'store')
    seen = []

    class Look(bt.Strategy):
        def next(self):
            stock = self.data.stock(MONEY)
            seen.append((stock.close[0], stock.market_cap[0], stock._name))

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=str(tmp_path / 'store')), name='market')
    cerebro.addstrategy(Look)
    cerebro.run()
    np.testing.assert_equal(seen, [(price, NAN, MONEY) for price in of_money(table)['close']])
