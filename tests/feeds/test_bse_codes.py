"""What was 43, 83 or 87 at Beijing is 920 since 2025-10-09, and one stock: lists, downloads, and stores of before."""

from datetime import date, datetime, time

import numpy as np
import pandas as pd
import pytest

from bt_microcap.commands.ingest import main as ingest
from bt_microcap.feeds.sources import bse_codes, clock
from bt_microcap.feeds.store import MarketStore
from tests.support.little_market import LittleMarket, trading_days
from tests.support.stand_ins import rows
from tests.support.tushare_server import BEIJING_SWITCH, TOKEN, TushareServer

pytestmark = pytest.mark.filterwarnings('ignore:The inplace keyword', 'ignore:Parsing integer or float values')

OLD, NEW, OTHER = '835122.BJSE', '920122.BJSE', '600111.XSHG'
BEFORE, AFTER = date(2025, 9, 30), date(2025, 11, 3)
FIRST, LAST = date(2025, 9, 22), date(2025, 10, 24)
SPLIT = date(2025, 10, 9)  # the first day of the new codes


# ------------------------------------------------------------------------------------ lists


def stocks_of(*values):
    table = pd.DataFrame(values, columns=['code', 'name', 'listed', 'delisted'])
    return table.astype({'listed': 'datetime64[s]', 'delisted': 'datetime64[s]'})


def listing(code, name='丑股份', listed='2022-01-04', delisted=None):
    return (code, name, pd.Timestamp(listed), pd.Timestamp(delisted) if delisted else pd.NaT)


@pytest.mark.parametrize(('old', 'new'), [
    (listing(OLD, delisted='2025-10-09'), listing('920999.BJSE')),  # by its name: its digits were taken
    (listing(OLD, '旧名', delisted='2025-09-30'), listing(NEW, '新名')),  # by its last digits
    (listing(OLD), listing(NEW, '新名')),  # a list that does not say that it ended
    (listing('430122.BJSE', delisted='2025-10-09'), listing(NEW)),
    (listing('871122.BJSE', delisted='2025-10-09'), listing(NEW))])
def test_pairs_of_a_list(old, new):
    assert bse_codes.pairs(stocks_of(old, new, listing(OTHER))) == {old[0]: new[0]}


@pytest.mark.parametrize(('old', 'new'), [
    (listing(OLD, delisted='2024-03-01'), listing(NEW, '新名')),  # ended long before: another stock
    (listing(OLD, delisted='2024-03-01'), listing(NEW)),
    (listing(OLD, '旧名', delisted='2025-10-09'), listing('920999.BJSE', '新名')),
    (listing('600122.XSHG', delisted='2025-10-09'), listing(NEW))])
def test_what_is_no_pair(old, new):
    assert bse_codes.pairs(stocks_of(old, new)) == {}


def test_a_stock_that_a_list_has_twice_is_there_once():
    found = bse_codes.renamed(stocks_of(listing(OTHER), listing(OLD, '旧名', '2022-01-04', '2025-10-09'),
                                        listing(NEW, '新名', '2025-10-09')), {OLD: NEW})
    assert rows(found, 'code', 'name', 'listed') == [(OTHER, '丑股份', date(2022, 1, 4)), (NEW, '新名', date(2022, 1, 4))]
    assert found['delisted'].isna().all()


def test_a_stock_that_a_list_has_under_its_old_code_alone_did_not_end_then():
    found = bse_codes.renamed(stocks_of(listing(OLD, delisted='2025-10-09'), listing(OTHER)), {OLD: NEW, '430001.BJSE': 'x'})
    assert rows(found, 'code', 'listed') == [(OTHER, date(2022, 1, 4)), (NEW, date(2022, 1, 4))]
    assert found['delisted'].isna().all()


def test_the_end_of_a_stock_under_its_new_code_stays():
    found = bse_codes.renamed(stocks_of(listing(OLD, delisted='2025-10-09'), listing(NEW, delisted='2026-01-05')), {OLD: NEW})
    assert rows(found, 'code', 'delisted') == [(NEW, date(2026, 1, 5))]
    same = stocks_of(listing(OTHER))
    assert bse_codes.renamed(same, {}) is same


# -------------------------------------------------------------------------------- downloads


@pytest.fixture
def server(monkeypatch):
    pytest.importorskip('tushare')
    stocks = LittleMarket().stocks
    with TushareServer(LittleMarket([stocks[OTHER], stocks['600112.XSHG'], stocks[NEW]], FIRST, LAST), points=5000) as server:
        server.patch(monkeypatch)
        monkeypatch.setenv('TUSHARE_TOKEN', TOKEN)
        monkeypatch.setattr(clock, 'sleep', lambda seconds: None)
        monkeypatch.setattr(clock, 'now', lambda: datetime.combine(server.today, time(12)))
        server.today = AFTER
        yield server


def download(server, store, *options, start=FIRST, end=LAST, source='tushare'):
    server.calls.clear()
    status = ingest([source, '--start', str(start), '--end', str(end), '--store', str(store), *options])
    assert status == 0
    return MarketStore.open(store)


def assert_one_stock(store, market, days):
    """The new code has a row on each of the days, as the market has it; the old one is nowhere."""
    table = store.table()
    assert OLD not in set(table['code'])
    table = table[table['code'] == NEW]
    expected = [market.row(NEW, day) for day in days]
    assert rows(table, 'date', 'close', 'volume') == [(row.day, row.close, row.volume) for row in expected]
    assert table['market_cap'].tolist() == [pytest.approx(row.market_cap, abs=1) for row in expected]
    for name in {'listings', 'names', 'industries'} & {*store.reference_names}:
        assert OLD not in set(store.reference_table(name)['code']), name
    listings = store.reference_table('listings')
    assert rows(listings[listings['code'] == NEW], 'code', 'listed') == [(NEW, date(2022, 1, 4))]
    assert listings['delisted'].isna().all()


def test_after_the_day_of_the_new_codes_there_is_one_stock(server, tmp_path):
    store = download(server, tmp_path / 'store')
    assert 'bse_mapping' in [name for name, *_ in server.calls]
    assert_one_stock(store, server.market, server.market.days)


@pytest.mark.parametrize('codes', [(), (OLD, OTHER)])
def test_a_store_of_before_has_one_stock_after_its_update(server, tmp_path, codes):
    options = ['--codes', *codes] if codes else []
    server.today = BEFORE
    before = download(server, tmp_path / 'store', *options)
    assert set(before.table()['code']) >= {OLD, OTHER}
    assert NEW not in set(before.table()['code'])
    server.today = AFTER
    store = download(server, tmp_path / 'store', *options)
    assert_one_stock(store, server.market, server.market.days)
    other = store.table()
    assert rows(other[other['code'] == OTHER], 'date') == [(day,) for day in server.market.days]


def test_an_update_that_asks_for_later_days_alone_keeps_the_earlier_rows(server, tmp_path):
    server.today = BEFORE
    download(server, tmp_path / 'store')
    server.today = AFTER
    store = download(server, tmp_path / 'store', '--cache', str(tmp_path / 'empty'), start=SPLIT)
    held = trading_days(FIRST, date(2025, 9, 29))  # until the day before
    assert_one_stock(store, server.market, [*held, *trading_days(SPLIT, LAST)])


@pytest.mark.parametrize('code', [OLD, NEW])
def test_either_code_finds_the_stock(server, tmp_path, code):
    store = download(server, tmp_path / 'store', '--codes', code)
    assert_one_stock(store, server.market, server.market.days)
    assert store.table()['code'].unique().tolist() == [NEW]


def test_both_codes_are_one_stock(server, tmp_path):
    store = download(server, tmp_path / 'store', '--codes', OLD, NEW)
    assert_one_stock(store, server.market, server.market.days)


def test_without_the_table_of_the_codes_they_are_told_by_name_and_number(server, tmp_path, monkeypatch):
    server.errors['bse_mapping'] = ['抱歉，您没有接口(bse_mapping)访问权限'] * 9
    listed = server._stock_basic

    def both(asked):
        for row in listed(asked):
            if row['ts_code'] == '920122.BJ':
                yield {**row, 'ts_code': '835122.BJ', 'list_status': 'D', 'delist_date': '20251009'}
            yield row

    monkeypatch.setattr(server, '_stock_basic', both)
    store = download(server, tmp_path / 'store')
    assert_one_stock(store, server.market, server.market.days)
    assert 'told by name and number' in store.about['bse_mapping']


def test_the_codes_of_an_earlier_span_are_those_of_today_too(server, tmp_path):
    end = date(2025, 9, 26)
    server.today = BEFORE
    download(server, tmp_path / 'store', end=date(2025, 9, 24))
    server.today = AFTER
    assert server.today >= BEIJING_SWITCH
    store = download(server, tmp_path / 'store', end=end)  # all its days are before the new codes
    assert_one_stock(store, server.market, trading_days(FIRST, end))


def test_the_old_code_is_found_in_an_earlier_span(server, tmp_path):
    end = date(2025, 9, 26)
    store = download(server, tmp_path / 'store', '--codes', OLD, end=end)
    assert_one_stock(store, server.market, trading_days(FIRST, end))


def test_members_and_dividends_of_before_are_of_the_one_stock(server, tmp_path):
    server.today = BEFORE
    download(server, tmp_path / 'store', '--benchmark', '000905')
    server.today = AFTER
    store = download(server, tmp_path / 'store', '--benchmark', '000905')
    members = store.reference_table('constituents')
    assert OLD not in set(members['code'])
    assert not np.isin(OLD, store.table()['code'].unique())
