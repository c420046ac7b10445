"""Stock codes in the forms that people write them in."""

import pytest

from bt_microcap.feeds.codes import canonical_code, find_code
from bt_microcap.feeds.sources import saved


@pytest.mark.parametrize(('text', 'code'), [
    ('600000.XSHG', '600000.XSHG'), ('000001.XSHE', '000001.XSHE'), ('835508.BJSE', '835508.BJSE'),
    ('600000.xshg', '600000.XSHG'),
    ('600000.SH', '600000.XSHG'), ('600000.sh', '600000.XSHG'), ('600000.SS', '600000.XSHG'), ('600000.ss', '600000.XSHG'),
    ('000001.SZ', '000001.XSHE'), ('835508.BJ', '835508.BJSE'), ('920002.bj', '920002.BJSE'),
    ('sh600000', '600000.XSHG'), ('SH600000', '600000.XSHG'), ('sh.600000', '600000.XSHG'), ('Sz.000001', '000001.XSHE'),
    ('bj835508', '835508.BJSE'),
    (' 600000.SH\n', '600000.XSHG'),
])
def test_a_code_with_its_exchange(text, code):
    assert canonical_code(text) == code


@pytest.mark.parametrize(('text', 'code'), [
    ('510300.XSHG', '510300.XSHG'), ('000300.SH', '000300.XSHG'), ('sh.000001', '000001.XSHG'), ('399001.SZ', '399001.XSHE'),
    ('900901.SH', '900901.XSHG'), ('SZ200002', '200002.XSHE'), ('899050.BJ', '899050.BJSE'),
])
def test_an_exchange_is_taken_as_given_also_of_what_is_no_stock(text, code):
    assert canonical_code(text) == code


@pytest.mark.parametrize(('text', 'code'), [
    ('600000', '600000.XSHG'), ('688981', '688981.XSHG'), ('000001', '000001.XSHE'), ('002594', '002594.XSHE'),
    ('300750', '300750.XSHE'), ('430047', '430047.BJSE'), ('835508', '835508.BJSE'), ('873169', '873169.BJSE'),
    ('920002', '920002.BJSE'),
    ('1', '000001.XSHE'), ('63', '000063.XSHE'), ('858', '000858.XSHE'), ('2594', '002594.XSHE'), ('00858', '000858.XSHE'),
    ('1.0', '000001.XSHE'), ('600000.0', '600000.XSHG'), (' 2 ', '000002.XSHE'),
])
def test_plain_digits_go_by_the_first_and_may_have_lost_their_zeros(text, code):
    assert canonical_code(text) == code


@pytest.mark.parametrize('text', [
    '', ' ', 'nan', 'None', 'close', '900901', '510300', '200002', '159915', '899050', '400001', '399001', '700000', '610000',
    '0', '000000', '0.0', '1.5', '-1', '+1', '1e5', '20240102', '2024-01-02', '1234567', '600000.', '.SH', '60000.SH', 'sh60000',
    '600000.NYSE', '600000 XSHG', 'x600000', '600000x', 'daily_600000', 'SH600000.csv', '600000.SH,000001.SZ', '600000.HK',
    '６０００００', 'sh..600000', '600000.XSHG.XSHG',
])  # fmt: skip
def test_no_code_as_a_whole(text):
    assert canonical_code(text) is None


@pytest.mark.parametrize(('text', 'code'), [
    ('000858', '000858.XSHE'), ('akshare_stock_zh_a_hist_000858', '000858.XSHE'), ('600000_daily', '600000.XSHG'),
    ('baostock_sz.002021_adjustflag2', '002021.XSHE'), ('tushare_daily_002021.SZ', '002021.XSHE'),
    ('sh.000300', None), ('900901', None), ('20240229', None), ('T00018.SH', None), ('858', None), ('', None),
])
def test_a_code_in_a_text(text, code):
    assert find_code(text) == code


def test_the_downloads_search_a_text():
    assert saved.canonical_code is find_code


def test_a_code_is_worked_out_once():
    canonical_code.cache_clear()
    assert [canonical_code('sz000002'), canonical_code('sz000002')] == ['000002.XSHE'] * 2
    assert canonical_code.cache_info().hits == 1
