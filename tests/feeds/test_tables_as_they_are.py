"""Tables as people have them, end to end: the store and the run are those of the canonical table; one line says what was read."""

import pandas as pd
import pytest

from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.store import MarketStore, check
from tests.support.script_calls import call, one_error_line
from tests.support.stores import same_store

STOCKS, DAYS = 40, 60


@pytest.fixture(scope='module')
def market():
    table = demo_market(stocks=STOCKS, days=DAYS, seed=6).astype({'code': str})
    return table.assign(market_cap=(table['market_cap'] / 100).round() * 100)  # whole cents in 万: no noise when they come back


@pytest.fixture(scope='module')
def canonical(market, tmp_path_factory):
    """The market's store, and the files of a run on it."""
    place = tmp_path_factory.mktemp('canonical')
    market.to_parquet(place / 'm.parquet', index=False)
    assert call('ingest', 'parquet', place / 'm.parquet', '--store', place / 'store').status == 0
    assert call('backtest', '--data', place / 'm.parquet', '--out', place / 'out', '--no-plot').status == 0
    return MarketStore.open(place / 'store'), place / 'out'


def plain(code):
    return code[:6]


def sina(code):
    return {'XSHG': 'sh', 'XSHE': 'sz', 'BJSE': 'bj'}[code[7:]] + code[:6]


def wind(code):
    return code[:6] + {'XSHG': '.SH', 'XSHE': '.SZ', 'BJSE': '.BJ'}[code[7:]]


def baostock(code):
    return {'XSHG': 'sh.', 'XSHE': 'sz.', 'BJSE': 'bj.'}[code[7:]] + code[:6]


CHINESE = {'date': '交易日期', 'code': '股票代码', 'open': '开盘价', 'high': '最高价', 'low': '最低价', 'close': '收盘价',
           'preclose': '前收盘价', 'volume': '成交量', 'amount': '成交额', 'market_cap': '总市值', 'is_st': '是否ST',
           'paused': '停牌'}
OURS = tuple(CHINESE)


def chinese(table, code=plain):
    return table.assign(code=table['code'].map(code))[list(OURS)].rename(columns=CHINESE)


def with_units(table):
    table = chinese(table).rename(columns={'成交量': '成交量（手）', '成交额': '成交额(千元)', '总市值': '总市值(亿元)'})
    return table.assign(**{'成交量（手）': table['成交量（手）'] / 100, '成交额(千元)': table['成交额(千元)'] / 1e3,
                           '总市值(亿元)': table['总市值(亿元)'] / 1e8})


def tushare(table):
    return pd.DataFrame({
        'ts_code': table['code'].map(wind), 'trade_date': table['date'].dt.strftime('%Y%m%d').astype(int), 'open': table['open'],
        'high': table['high'], 'low': table['low'], 'close': table['close'], 'pre_close': table['preclose'],
        'vol': table['volume'] / 100, 'amount': table['amount'] / 1000, 'total_mv': table['market_cap'] / 1e4,
        'is_st': table['is_st'], 'suspended': table['paused']})


def from_baostock(table):
    return pd.DataFrame({
        'date': table['date'].dt.strftime('%Y-%m-%d'), 'code': table['code'].map(baostock), 'open': table['open'],
        'high': table['high'], 'low': table['low'], 'close': table['close'], 'preclose': table['preclose'],
        'volume': table['volume'], 'amount': table['amount'], 'tradestatus': 1 - table['paused'], 'isST': table['is_st'],
        'total_market_cap': table['market_cap']})


def utf8(table, path):
    table.to_csv(path, index=False)


def gbk(table, path):
    path.write_bytes(table.to_csv(index=False).encode('gbk'))


def banner(table, path):
    path.write_bytes(('数据由某人整理，仅供学习\n' + table.to_csv(index=False)).encode('gb18030'))


def separated(by):
    return lambda table, path: table.to_csv(path, index=False, sep=by)


def parquet(table, path):
    table.to_parquet(path, index=False)


def indexed(table, path):
    table.to_parquet(path)


CHINESE_LINE = ', '.join(f'{theirs} -> {ours}' for ours, theirs in CHINESE.items())
TUSHARE_LINE = ('ts_code -> code, trade_date -> date, pre_close -> preclose, vol -> volume, total_mv -> market_cap, '
                'suspended -> paused')
SCALES = ('--scale', 'volume=100', '--scale', 'amount=1000', '--scale', 'market_cap=10000')
# name, the table, how it is written, the file's name, options, what was taken for what
TABLES = [
    ('GBK, Chinese, 000001', chinese, gbk, 'm.csv', (), CHINESE_LINE),
    ('UTF-8, Chinese, sz000001', lambda t: chinese(t, sina), utf8, 'm.csv.gz', (), CHINESE_LINE),
    ('Chinese, 000001.SZ, Parquet', lambda t: chinese(t, wind), parquet, 'm.parquet', (), CHINESE_LINE),
    ('codes as numbers', lambda t: chinese(t, lambda code: int(code[:6])), parquet, 'm.parquet', (), CHINESE_LINE),
    ('codes as numbers in text', lambda t: chinese(t, lambda code: int(code[:6])), utf8, 'm.csv', (), CHINESE_LINE),
    ('banner', chinese, banner, 'm.csv', (), CHINESE_LINE),
    ('semicolons', chinese, separated(';'), 'm.csv', (), CHINESE_LINE),
    ('tabs', lambda t: chinese(t, sina), separated('\t'), 'm.csv', (), CHINESE_LINE),
    ('unsorted', lambda t: t.sample(frac=1, random_state=2)[list(OURS)], parquet, 'm.parquet', (), ''),
    ('by code, latest first', lambda t: t.sort_values(['code', 'date'], ascending=[True, False]), utf8, 'm.csv', (), ''),
    ('units in the headings', with_units, gbk, 'm.csv', (),
     CHINESE_LINE.replace('成交量 ->', '成交量（手） x 100 ->').replace('成交额 ->', '成交额(千元) x 1000 ->')
     .replace('总市值 ->', '总市值(亿元) x 1e8 ->')),
    ('tushare, Parquet', tushare, parquet, 'm.parquet', SCALES, TUSHARE_LINE),
    ('tushare, csv', tushare, utf8, 'm.csv', SCALES, TUSHARE_LINE),
    ('baostock', from_baostock, utf8, 'm.csv', (),
     'tradestatus (1 = traded) -> paused, isST -> is_st, total_market_cap -> market_cap'),
    ('renamed', lambda t: t.rename(columns={'market_cap': 'worth', 'close': 'shut'})[['worth', *OURS[:5], 'shut', *OURS[6:9],
                                                                                  'is_st', 'paused']], utf8, 'm.csv',
     ('--rename', 'worth=market_cap', '--rename', 'shut=close'), 'worth -> market_cap, shut -> close'),
    ('an index of dates and codes, named', lambda t: t[list(OURS)].set_index(['date', 'code']), indexed, 'm.parquet', (), ''),
    ('an index of codes and dates, other names', lambda t: t[list(OURS)].rename(columns={'date': 'day', 'code': 'symbol'})
     .set_index(['symbol', 'day']), indexed, 'm.parquet', (), 'symbol -> code, day -> date'),
    ('an index of dates and codes without names', lambda t: t[list(OURS)].set_index(['date', 'code']).rename_axis([None, None]),
     indexed, 'm.parquet', (), ''),
    ('dates as the index', lambda t: t[list(OURS)].set_index('date'), indexed, 'm.parquet', (), ''),
    ('two levels of columns', lambda t: t[list(OURS)].pivot(index='date', columns='code'), indexed, 'm.parquet', (), ''),
    ('a counted column before all', lambda t: t[list(OURS)].reset_index(), utf8, 'm.csv', (), ''),
]


def kind_of(path):
    return 'parquet' if path.suffix == '.parquet' else 'csv'


def same_as_canonical(store, canonical):
    check(store)
    found = MarketStore.open(store)
    assert set(canonical.columns) <= set(found.columns)
    expected = canonical.table()
    # what was in other units comes back but for the last bit
    pd.testing.assert_frame_equal(found.table()[expected.columns], expected, rtol=1e-15)


@pytest.mark.parametrize(('shape', 'save', 'name', 'options', 'line'), [case[1:] for case in TABLES],
                         ids=[case[0] for case in TABLES])
def test_one_table(tmp_path, market, canonical, shape, save, name, options, line):
    store, out = canonical
    path = tmp_path / name
    save(shape(market), path)
    outcome = call('ingest', kind_of(path), path, '--store', tmp_path / 'store', *options)
    assert (outcome.status, outcome.err) == (0, '')
    same_as_canonical(tmp_path / 'store', store)
    assert [text for text in outcome.lines if text.startswith('columns: ')] == ([f'columns: {line}'] if line else [])
    assert not (tmp_path / 'store.quarantine.csv').exists()

    outcome = call('backtest', '--data', path, '--out', tmp_path / 'out', '--no-plot', *options)
    assert (outcome.status, outcome.err) == (0, '')
    assert (tmp_path / 'out' / 'trades.csv').read_bytes() == (out / 'trades.csv').read_bytes()
    assert [text for text in outcome.lines if 'columns: ' in text] == ([f'note           columns: {line}'] if line else [])


def test_an_english_table_needs_no_line(tmp_path, canonical):
    """The canonical table says nothing of columns; the store's manifest neither."""
    assert 'columns' not in canonical[0].about


# ------------------------------------------------------------------------------------------- wide frames: a file for each column


def wide(market, column, code):
    return market.pivot(index='date', columns='code', values=column).rename(columns=code).rename_axis(None, axis=1)


@pytest.mark.parametrize('code', [plain, sina, wind, str], ids=['000001', 'sz000001', '000001.SZ', 'canonical'])
@pytest.mark.parametrize('kind', ['csv', 'parquet'])
def test_wide_frames(tmp_path, market, canonical, kind, code):
    """Others' names for the files; flags silent or as words; one file's dates in another form, and its columns reversed."""
    names = {'preclose': 'pre_close', 'volume': 'vol', 'amount': 'money', 'market_cap': 'total_mv'}
    paths = []
    for column in OURS[2:]:
        frame = wide(market, column, code)
        if column == 'is_st':
            frame = frame.map(lambda value: {0: 'False', 1: 'True'}.get(value, ''))
        if column == 'open':
            frame = frame[frame.columns[::-1]].set_axis(frame.index.strftime('%Y%m%d'), axis=0)
        path = tmp_path / f'{names.get(column, column)}.{kind}'
        frame.to_csv(path) if kind == 'csv' else frame.to_parquet(path)
        paths.append(path)
    outcome = call('ingest', kind, *paths, '--store', tmp_path / 'store')
    assert (outcome.status, outcome.err) == (0, '')
    same_as_canonical(tmp_path / 'store', canonical[0])
    assert [text for text in outcome.lines if text.startswith('columns: ')] == [
        'columns: pre_close -> preclose, vol -> volume, money -> amount, total_mv -> market_cap']


def test_wide_frames_that_lack_one(tmp_path, market):
    path = tmp_path / 'close.parquet'
    wide(market, 'close', str).to_parquet(path)
    line = one_error_line(call('ingest', 'parquet', path, '--store', tmp_path / 'store'))
    assert line.startswith(f'error: {path}: missing columns open, high, low, volume, market_cap, is_st, paused')
    assert not (tmp_path / 'store').exists()


def test_bad_cells_of_wide_frames(tmp_path, market, canonical):
    """A cell is a row: it is left out, mended and listed as in any other table."""
    code, day = market['code'].iloc[0], market['date'].iloc[-1]
    for column in OURS[2:]:
        frame = wide(market, column, str)
        if column == 'high':
            frame.loc[day, code] = 0.01
        frame.to_parquet(tmp_path / f'{column}.parquet')
    outcome = call('ingest', 'parquet', *(tmp_path / f'{column}.parquet' for column in OURS[2:]), '--store', tmp_path / 'store')
    assert (outcome.status, outcome.err) == (0, '')
    found = MarketStore.open(tmp_path / 'store').findings()
    assert found[['date', 'code', 'column', 'found', 'finding', 'done']].to_numpy().tolist() == [
        [str(day.date()), code, 'high', '0.01', 'high below low', 'row left out']]
    rows = canonical[0].table()
    expected = rows[~((rows['date'] == day) & (rows['code'] == code))].reset_index(drop=True)
    pd.testing.assert_frame_equal(MarketStore.open(tmp_path / 'store').table()[expected.columns], expected)


# ----------------------------------------------------------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(('change', 'options', 'said'), [
    (lambda t: t.rename(columns={'market_cap': 'worth'}), (), 'missing column market_cap: found date, code'),
    (lambda t: t, ('--rename', 'worth=market_cap'), "found no column 'worth' to rename"),
    (lambda t: t.assign(worth=1.0), ('--rename', 'worth=market_cap'), 'found the column market_cap, and worth is renamed to it'),
    (lambda t: t.drop(columns='amount'), ('--scale', 'amount=1000'), 'found no column amount to multiply'),
    (lambda t: t.assign(code='none'), (), "column code: found 'none', expected six digits and .XSHG"),
    (lambda t: t.assign(date='never'), (), "column date: found 'never', expected a day without a time such as 2024-11-01"),
    (lambda t: t.assign(market_cap=t['market_cap'] / 1e4), (), 'looks like 万 yuan: multiply the column by 10000'),
], ids=['no cap', 'nothing to rename', 'there already', 'nothing to multiply', 'no codes', 'no dates', 'a unit'])
@pytest.mark.parametrize('kind', ['csv', 'parquet'])
def test_refused_in_one_line(tmp_path, market, kind, change, options, said):
    path = tmp_path / f'm.{kind}'
    table = change(market)
    table.to_csv(path, index=False) if kind == 'csv' else table.to_parquet(path, index=False)
    line = one_error_line(call('ingest', kind, path, '--store', tmp_path / 'store', *options))
    assert line.startswith(f'error: {path}') and said in line
    assert not (tmp_path / 'store').exists()
    line = one_error_line(call('backtest', '--data', path, '--out', tmp_path / 'out', '--no-plot', *options))
    assert line.startswith(f'error: {path}') and said in line
    assert not (tmp_path / 'out').exists()


def test_a_store_of_two_forms(tmp_path, market, canonical):
    """A first half as tushare has it, a second one in Chinese, in two commands; codes and columns are the same stock's."""
    half = market['date'] < sorted(market['date'].unique())[DAYS // 2]
    parquet(tushare(market[half]), tmp_path / 'one.parquet')
    gbk(chinese(market[~half]), tmp_path / 'two.csv')
    for number, (kind, name, options) in enumerate((('parquet', 'one.parquet', SCALES), ('csv', 'two.csv', ()))):
        outcome = call('ingest', kind, tmp_path / name, '--store', tmp_path / 'store', *options, *(['--append'] * number))
        assert (outcome.status, outcome.err) == (0, '')
    same_as_canonical(tmp_path / 'store', canonical[0])


def test_the_very_arrays(tmp_path, market, canonical):
    """Not only the rows: of a table without other units the store is the same, array by array."""
    gbk(chinese(market.sample(frac=1, random_state=4), sina), tmp_path / 'm.csv')
    assert call('ingest', 'csv', tmp_path / 'm.csv', '--store', tmp_path / 'store').status == 0
    same_store(MarketStore.open(tmp_path / 'store'), canonical[0])
