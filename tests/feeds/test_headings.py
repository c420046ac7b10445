"""Which column of a table is what."""

from collections import Counter

import pandas as pd
import pytest

from bt_microcap.feeds.columns import OPTIONAL, REQUIRED
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.headings import FIELDS, INVERTED, SYNONYMS, Headings, recognise, side_columns
from tests.support.stand_ins import FORMATS, needs_formats

NAMES = {
    'date': ['日期', '交易日期', '交易日', '时间', 'trade_date', 'trading_date', 'datetime', 'trade_day', 'day', 'time', 'dt',
             '数据日期', 'timestamp', 'trading_day', 'TRADE_DT', 'Trddt', 'DATES', 'tradeDate', 'Trade Date'],
    'code': ['股票代码', '代码', '证券代码', 'ts_code', 'order_book_id', 'stock_code', 'sec_code', 'wind_code', 'windcode',
             'WindCode', 'security', 'instrument', 'symbol', 'ticker', 'asset', 'secID', 'security_id', 'S_INFO_WINDCODE',
             'thscode', 'Stkcd', 'CODES'],
    'open': ['开盘', '开盘价', '今开', 'open_price', 'openPrice', '今开盘', 'S_DQ_OPEN', 'Opnprc', 'Open', 'OPEN'],
    'high': ['最高', '最高价', 'high_price', 'highestPrice', 'S_DQ_HIGH', 'Hiprc', 'High'],
    'low': ['最低', '最低价', 'low_price', 'lowestPrice', 'S_DQ_LOW', 'Loprc', 'Low'],
    'close': ['收盘', '收盘价', '当日收盘价', 'close_price', 'closing_price', 'S_DQ_CLOSE', 'Clsprc', 'Close'],
    'preclose': ['前收盘', '前收盘价', '昨收', '昨收价', '前收', 'pre_close', 'prev_close', 'prevclose', 'preClose',
                 'last_close', 'last_closed', '昨收盘', '昨收盘价', '前收价', 'preClosePrice', 'PrevClosePrice',
                 'previous_close', 'S_DQ_PRECLOSE'],
    'volume': ['成交量', 'vol', 'Volume', '总手', '成交股数', '成交数量', 'trade_volume', 'trading_volume', 'turnoverVol',
               'turnover_volume', 'S_DQ_VOLUME', 'Dnshrtrd'],
    'amount': ['成交额', '成交金额', 'money', 'total_turnover', 'turnover_value', 'turnoverValue', '金额', '总金额', 'AMT',
               'S_DQ_AMOUNT', 'Dnvaltrd'],
    'market_cap': ['总市值', '市值', 'total_mv', 'total_market_cap', 'mkt_cap', 'marketcap', 'MarketCap', 'total_cap',
                   'total_market_value', 'marketValue', 'total_mkt_cap', 'market_capitalization', 'MKT_CAP_ARD', 'S_VAL_MV',
                   'Dsmvtll'],
    'circ_market_cap': ['流通市值', 'circ_mv', 'float_market_cap', 'circulating_market_cap', 'float_mv', 'negotiable_mv',
                        'circ_market_value', 'float_market_value', 'negMarketValue', 'MKT_CAP_FLOAT', 'LIQMV', 'A股流通市值',
                        '流通A股市值', 'S_DQ_MV', 'Dsmvosd'],
    'is_st': ['isst', 'isST', 'st', '是否st', '是否ST', 'is_st_stock', '是否ST股', 'st_flag'],
    'paused': ['停牌', '是否停牌', 'is_paused', 'suspended', 'is_suspended'],
    'high_limit': ['涨停', '涨停价', 'up_limit', 'limit_up', 'upper_limit', '涨停价格', '涨停板价', 'LimitUpPrice',
                   'upLimitPrice', 'upper_limit_price', 'HIGHLIMIT'],
    'low_limit': ['跌停', '跌停价', 'down_limit', 'limit_down', 'lower_limit', '跌停价格', '跌停板价', 'LimitDownPrice',
                  'downLimitPrice', 'lower_limit_price', 'LOWLIMIT'],
    'name': ['股票名称', '名称', '证券简称', '证券名称', '股票简称', 'sec_name', 'display_name', 'stock_name', 'secShortName',
             'security_name', 'code_name', 'Name'],
    'delisting_period': ['退市整理期', '是否退市整理期'],
    'cash_dividend': ['每股派息', '每股红利', '每股现金红利', '每股派息(税前)', '每股派息（税前）', 'cash_div_tax'],
    'share_ratio': ['Share_Ratio'],
}
VENDOR_UNITS = {'总手': 100, 'S_DQ_VOLUME': 100, 'S_DQ_AMOUNT': 1e3, 'S_VAL_MV': 1e4, 'S_DQ_MV': 1e4, 'Dsmvtll': 1e3,
    'Dsmvosd': 1e3}


@pytest.mark.parametrize(('name', 'ours'), [(name, ours) for ours, names in NAMES.items() for name in names])
def test_a_synonym(name, ours):
    factor = {ours: VENDOR_UNITS[name]} if name in VENDOR_UNITS else {}
    assert recognise([name]) == Headings({ours: name}, factor, frozenset(), ())


def plain(text):
    return text.replace('_', '').lower()


def test_every_synonym_is_tested_and_stands_for_one_column():
    known = [plain(word) for field in FIELDS for word in (SYNONYMS[field] + ' ' + INVERTED.get(field, '')).split()]
    assert [word for word, times in Counter(known).items() if times > 1] == []
    tested = {plain(name) for names in NAMES.values() for name in names} | {plain(name) for name in TRADED}
    assert set(known) - tested == set()


TRADED = ['tradestatus', 'trade_status', '交易状态', 'isOpen', 'is_open', '是否交易']


@pytest.mark.parametrize('name', TRADED)
def test_a_column_that_tells_the_opposite(name):
    found = recognise([name])
    assert found == Headings({'paused': name}, {}, frozenset({'paused'}), ())
    assert found.line() == f'{name} (1 = traded) -> paused'


def test_a_column_that_tells_it_straight_goes_before_the_opposite():
    for names in (['tradestatus', 'paused'], ['paused', 'tradestatus'], ['tradestatus', '停牌'], ['停牌', 'tradestatus']):
        found = recognise(names)
        assert found.inverted == frozenset()
        assert found.further == ('tradestatus',)


@pytest.mark.parametrize('name', [*REQUIRED, *OPTIONAL, 'name', 'circ_market_cap'])
def test_our_own_names(name):
    for text in (name, name.upper(), f' {name}', f'\ufeff{name}', name.replace('_', ' ').title()):
        assert recognise([text]).columns == {name: text}
    assert recognise([name]).line() == ''


@pytest.mark.parametrize('name', [
    'adj_close', 'Adj Close', '后复权价', '收盘价_复权', '收盘价(前复权)', '收盘价（后复权）', 'close_qfq', 'S_DQ_ADJCLOSE',
    '$close', '$volume', 'turnover', 'turnover_rate', '换手率', '换手率(%)', '成交额(%)', 'volume(%)', 'turn', 'avg', 'factor',
    'adj_factor', 'capitalization', 'total_share', '自由流通市值', 'close.1', '开盘价(手)', '成交量(元)', '总市值(股)',
    '日期(元)', '收盘价(亿元)', 'pctChg',
    '涨跌幅', '__index_level_0__', 'index', 'Unnamed: 0', '', 'level_0', '600000', 'roe',
])  # fmt: skip
def test_no_synonym(name):
    assert recognise([name]) == Headings({}, {}, frozenset(), (name,))


@pytest.mark.parametrize(('name', 'ours', 'factor'), [
    ('成交量(手)', 'volume', 100), ('成交量（手）', 'volume', 100), ('成交量 (手)', 'volume', 100),
    ('成交量( 手 )', 'volume', 100), ('volume(手)', 'volume', 100), ('VOL(手)', 'volume', 100), ('成交量(股)', 'volume', 1),
    ('成交量(万股)', 'volume', 1e4),
    ('成交量(万)', 'volume', 1e4), ('成交量(万手)', 'volume', 1e6), ('成交量(亿股)', 'volume', 1e8),
    ('成交量(千股)', 'volume', 1e3), ('成交量(百万股)', 'volume', 1e6), ('成交量(亿)', 'volume', 1e8), ('Volume (shares)',
    'volume', 1), ('总手(股)', 'volume', 1),
    ('成交额(元)', 'amount', 1), ('成交额(千元)', 'amount', 1e3), ('成交额(万元)', 'amount', 1e4),
    ('成交额（万）', 'amount', 1e4), ('成交额(百万)', 'amount', 1e6), ('成交额(百万元)', 'amount', 1e6), ('amount(CNY)', 'amount',
    1),
    ('总市值(亿元)', 'market_cap', 1e8), ('总市值(亿)', 'market_cap', 1e8), ('总市值（元）', 'market_cap', 1),
    ('market_cap(亿)', 'market_cap', 1e8), ('流通市值(万元)', 'circ_market_cap', 1e4),
    ('开盘价(元)', 'open', 1), ('close(yuan)', 'close', 1), ('每股派息(元)', 'cash_dividend', 1),
    ('每股派息(元/股)', 'cash_dividend', 1),
    ('涨停价（元）', 'high_limit', 1), ('前收盘价(元)', 'preclose', 1),
])
def test_a_unit_in_brackets(name, ours, factor):
    assert recognise([name]) == Headings({ours: name}, {ours: factor}, frozenset(), ())


@pytest.mark.parametrize(('names', 'ours', 'taken'), [
    (['close', '收盘价'], 'close', 'close'), (['收盘价', 'close'], 'close', 'close'),  # our own name
    (['Close', '收盘价'], 'close', 'Close'), (['收盘价', ' CLOSE '], 'close', ' CLOSE '), (['Close', 'close'], 'close', 'close'),
    (['symbol', 'ts_code'], 'code', 'ts_code'), (['ts_code', 'symbol'], 'code', 'ts_code'),
    (['ticker', 'secID'], 'code', 'secID'), (['symbol', '股票代码'], 'code', '股票代码'),
    (['time', 'trade_date'], 'date', 'trade_date'), (['时间', '日期'], 'date', '日期'), (['time', 'date'], 'date', 'date'),
    (['market_cap', '总市值(亿元)'], 'market_cap', 'market_cap'), (['volume(手)', '成交量'], 'volume', 'volume(手)'),
    (['收盘', '收盘价'], 'close', '收盘'), (['收盘价', '收盘'], 'close', '收盘'), (['市值', '总市值'], 'market_cap', '总市值'),
])
def test_which_of_two_wins(names, ours, taken):
    found = recognise(names)
    assert found.columns == {ours: taken}
    assert found.further == tuple(name for name in names if name != taken)


def test_the_line():
    found = recognise(['\ufeff日期', '股票代码', 'open', ' High', '成交量(手)', '成交额(元)', '总市值(亿元)', '流通市值（万元）',
        'roe'])
    assert found.line() == ('日期 -> date, 股票代码 -> code, High -> high, 成交量(手) x 100 -> volume, 成交额(元) -> amount, '
                            '总市值(亿元) x 1e8 -> market_cap, 流通市值（万元） x 10000 -> circ_market_cap')
    assert found.further == ('roe',)
    assert recognise([*REQUIRED, 'roe', 'anything']).line() == ''
    assert recognise([]) == Headings({}, {}, frozenset(), ())


def test_names_that_are_no_text():
    assert recognise([600000, ('close', 'x'), None, 'close']) == Headings(
        {'close': 'close'}, {}, frozenset(), (600000, ('close', 'x'), None))


def test_a_name_that_is_there_twice_is_left_to_the_caller():
    assert recognise(['close', 'close', 'x']).columns == {'close': 'close'}


# -- rename -----------------------------------------------------------------------------------------------


def test_rename_goes_first():
    found = recognise(['date', '价', '收盘价', 'PE(TTM)'], {'价': 'close', 'PE(TTM)': 'pe'})
    assert found == Headings({'date': 'date', 'close': '价', 'pe': 'PE(TTM)'}, {}, frozenset(), ('收盘价',))
    assert found.line() == '价 -> close, PE(TTM) -> pe'


def test_rename_takes_a_column_away_from_what_it_is_known_for():
    found = recognise(['收盘价', '收盘'], {'收盘': 'adjusted'})
    assert found == Headings({'close': '收盘价', 'adjusted': '收盘'}, {}, frozenset(), ())


def test_a_heading_tells_its_unit_also_when_it_is_renamed():
    assert recognise(['量(手)'], {'量(手)': 'volume'}).factors == {'volume': 100.0}
    assert recognise(['总市值(亿)'], {'总市值(亿)': 'circ_market_cap'}).factors == {'circ_market_cap': 1e8}
    assert recognise(['总手'], {'总手': 'volume'}).factors == {'volume': 100.0}
    assert recognise(['量(手)'], {'量(手)': 'lots'}).factors == {}
    assert recognise(['tradestatus'], {'tradestatus': 'paused'}).inverted == {'paused'}
    assert recognise(['tradestatus'], {'tradestatus': 'status'}).inverted == frozenset()


def test_rename_finds_a_column_by_case_and_spaces_too_but_the_exact_one_first():
    assert recognise([' Price '], {'price': 'close'}).columns == {'close': ' Price '}
    assert recognise(['Price', 'price'], {'price': 'close'}).columns == {'close': 'price'}


def test_two_columns_change_their_names():
    found = recognise(['close', 'close_raw'], {'close_raw': 'close', 'close': 'close_adjusted'})
    assert found.columns == {'close_adjusted': 'close', 'close': 'close_raw'}
    assert recognise(['close'], {'close': 'close'}).line() == ''


@pytest.mark.parametrize(('names', 'rename', 'message'), [
    (['日期', '价'], {'价格': 'close'}, "prices.csv: found no column '价格' to rename, only 日期, 价"),
    ([], {'x': 'close'}, "prices.csv: found no column 'x' to rename, only no column at all"),
    (list('abcdefghijklmn'), {'x': 'close'},
     "prices.csv: found no column 'x' to rename, only a, b, c, d, e, f, g, h, i, j, k, l, ..."),
    (['a', 'b'], {'a': 'close', 'b': 'close'}, 'prices.csv: found a and b both renamed to close; rename one'),
    (['close', 'raw'], {'raw': 'close'}, 'prices.csv: found the column close, and raw is renamed to it; rename close too'),
])
def test_what_cannot_be_renamed(names, rename, message):
    with pytest.raises(DataError) as error:
        recognise(names, rename, 'prices.csv')
    assert str(error.value) == message


# -- real headers -----------------------------------------------------------------------------------------

OHLC = {'open': 'open', 'high': 'high', 'low': 'low', 'close': 'close'}
TUSHARE = {'code': 'ts_code', 'date': 'trade_date', **OHLC, 'preclose': 'pre_close', 'volume': 'vol', 'amount': 'amount'}
BAOSTOCK = {'date': 'date', 'code': 'code', **OHLC, 'preclose': 'preclose', 'volume': 'volume', 'amount': 'amount',
            'paused': 'tradestatus', 'is_st': 'isST'}
HEADERS = {
    'akshare_stock_zh_a_hist_000858.csv': {
        'date': '日期', 'code': '股票代码', 'open': '开盘', 'close': '收盘', 'high': '最高', 'low': '最低', 'volume': '成交量',
        'amount': '成交额'},
    'baostock_full_fields_sh.600436.csv': BAOSTOCK,
    'baostock_sz.002021_adjustflag2.csv': BAOSTOCK,
    'joinquant_get_price_000001.XSHE.csv': {
        **OHLC, 'volume': 'volume', 'amount': 'money', 'high_limit': 'high_limit', 'low_limit': 'low_limit',
        'preclose': 'pre_close', 'paused': 'paused'},
    'tushare_daily_002021.SZ.csv': TUSHARE,
    'tushare_daily_basic_20191025.csv': {
        'code': 'ts_code', 'date': 'trade_date', 'close': 'close', 'market_cap': 'total_mv', 'circ_market_cap': 'circ_mv'},
    'tushare_index_daily.csv': TUSHARE,
    'tushare_pro_bar_qfq_002021.SZ.csv': TUSHARE,
}


@needs_formats
def test_the_headers_of_the_sources():
    found = {path.name: recognise(list(pd.read_csv(path, nrows=0).columns)) for path in sorted(FORMATS.glob('*.csv'))}
    assert {name: headings.columns for name, headings in found.items()} == HEADERS
    assert {name for name, headings in found.items() if headings.inverted} == {name for name in HEADERS if 'baostock' in name}
    assert all(headings.factors == {} for headings in found.values())
    assert found['akshare_stock_zh_a_hist_000858.csv'].further == ('振幅', '涨跌幅', '涨跌额', '换手率')


def test_the_header_of_xbx():
    header = '股票代码,股票名称,交易日期,开盘价,最高价,最低价,收盘价,前收盘价,成交量,成交额,流通市值,总市值'
    assert list(recognise(header.split(',')).columns) == [
        'code', 'name', 'date', 'open', 'high', 'low', 'close', 'preclose', 'volume', 'amount', 'circ_market_cap', 'market_cap']


# -- tables beside the market -----------------------------------------------------------------------------


@pytest.mark.parametrize(('table', 'names', 'columns'), [
    ('names', 'ts_code name start_date end_date ann_date change_reason',
     {'code': 'ts_code', 'date': 'start_date', 'name': 'name'}),
    ('names', 'code new_name start_date', {'code': 'code', 'date': 'start_date', 'name': 'new_name'}),
    ('names', '股票代码 变更日期 证券简称', {'code': '股票代码', 'date': '变更日期', 'name': '证券简称'}),
    ('names', 'code date start_date name new_name', {'code': 'code', 'date': 'date', 'name': 'name'}),
    ('names', 'code 生效日期 变更后名称', {'code': 'code', 'date': '生效日期', 'name': '变更后名称'}),
    ('listings', 'ts_code symbol name list_date delist_date',
     {'code': 'ts_code', 'listed': 'list_date', 'delisted': 'delist_date'}),
    ('listings', 'code code_name ipoDate outDate type', {'code': 'code', 'listed': 'ipoDate', 'delisted': 'outDate'}),
    ('listings', 'code display_name start_date end_date', {'code': 'code', 'listed': 'start_date', 'delisted': 'end_date'}),
    ('listings', 'order_book_id listed_date de_listed_date',
     {'code': 'order_book_id', 'listed': 'listed_date', 'delisted': 'de_listed_date'}),
    ('listings', '证券代码 上市日期 退市日期', {'code': '证券代码', 'listed': '上市日期', 'delisted': '退市日期'}),
    ('listings', '代码 上市时间 摘牌日期', {'code': '代码', 'listed': '上市时间', 'delisted': '摘牌日期'}),
    ('listings', 'code listing_date delisting_date', {'code': 'code', 'listed': 'listing_date', 'delisted': 'delisting_date'}),
    ('listings', 'code ipo_date out_date start_date end_date', {'code': 'code', 'listed': 'ipo_date', 'delisted': 'out_date'}),
    ('listings', 'code Listed delisted_date', {'code': 'code', 'listed': 'Listed', 'delisted': 'delisted_date'}),
    ('listings', '代码 终止上市日期', {'code': '代码', 'delisted': '终止上市日期'}),
    ('listings', '代码 退市时间', {'code': '代码', 'delisted': '退市时间'}),
    ('industries', 'updateDate code code_name industry industryClassification',
     {'code': 'code', 'date': 'updateDate', 'industry': 'industry'}),
    ('industries', 'l1_code l1_name ts_code name in_date out_date',
     {'code': 'ts_code', 'date': 'in_date', 'industry': 'l1_name'}),
    ('industries', '股票代码 交易日期 新版申万一级行业名称',
     {'code': '股票代码', 'date': '交易日期', 'industry': '新版申万一级行业名称'}),
    ('industries', 'code industry_code industry_name', {'code': 'code', 'industry': 'industry_name'}),
    ('constituents', 'index_code con_code trade_date weight', {'index': 'index_code', 'date': 'trade_date', 'code': 'con_code'}),
    ('constituents', '日期 指数代码 指数名称 成分券代码', {'index': '指数代码', 'date': '日期', 'code': '成分券代码'}),
    ('constituents', '品种代码 品种名称 纳入日期', {'code': '品种代码', 'in': '纳入日期'}),
    ('constituents', 'index code in out', {'index': 'index', 'code': 'code', 'in': 'in', 'out': 'out'}),
    ('constituents', 'index_code con_code in_date out_date',
     {'index': 'index_code', 'code': 'con_code', 'in': 'in_date', 'out': 'out_date'}),
    ('constituents', 'index code start_date end_date', {'index': 'index', 'code': 'code', 'in': 'start_date', 'out': 'end_date'}),
    ('constituents', '指数 成分股代码 入选日期 剔除日期',
     {'index': '指数', 'code': '成分股代码', 'in': '入选日期', 'out': '剔除日期'}),
    ('benchmarks', 'ts_code trade_date close open high low', {'index': 'ts_code', 'date': 'trade_date', **OHLC}),
    ('benchmarks', '指数代码 日期 开盘 最高 最低 收盘',
     {'index': '指数代码', 'date': '日期', 'open': '开盘', 'high': '最高', 'low': '最低', 'close': '收盘'}),
    ('benchmarks', 'index code date open high low close', {'index': 'index', 'date': 'date', **OHLC}),
    ('benchmarks', 'code date close', {'index': 'code', 'date': 'date', 'close': 'close'}),
    ('benchmarks', '日期 收盘(元) 开盘(亿元)', {'date': '日期', 'close': '收盘(元)'}),
])  # fmt: skip
def test_a_table_beside_the_market(table, names, columns):
    assert side_columns(names.split(), table) == columns


INDUSTRY = ('行业 所属行业 industry Industry industry_name sw_l1 sw_l1_name l1_name 申万一级 申万一级行业 申万一级行业名称 '
            '新版申万一级行业名称 一级行业 行业名称 first_industry_name industry_code')


@pytest.mark.parametrize('name', INDUSTRY.split())
def test_an_industry(name):
    assert side_columns([name], 'industries') == {'industry': name}


@pytest.mark.parametrize('name', ['index', '指数代码', 'index_code', '指数', 'index_symbol', 'IndexID'])
def test_an_index(name):
    for table in ('benchmarks', 'constituents'):
        assert side_columns([name, 'date'], table) == {'index': name, 'date': 'date'}


def test_an_unknown_table_beside_the_market():
    with pytest.raises(DataError) as error:
        side_columns(['code'], 'dividends', 'x.csv')
    assert str(error.value) == ("x.csv: found the kind of table 'dividends', expected one of names, listings, industries, "
                                'constituents, benchmarks, shares')
