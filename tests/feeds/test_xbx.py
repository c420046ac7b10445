"""Reading folders of 邢不行 CSV files: made up ones in every form, and the real sample where there is one."""

import zipfile
from concurrent.futures.process import BrokenProcessPool
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.columns import REFERENCE_TABLES, dates_of
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.sources import Request, read, xbx
from bt_microcap.feeds.store import MarketStore
from bt_microcap.feeds.store.compare import compare
from bt_microcap.feeds.store.writer import ingest_tables

SHARED = Path(__file__).parents[3] / 'shared' / 'data'
SAMPLE, PANEL = SHARED / 'xbx_raw', SHARED / 'panels' / 'sample280_2018_2022.parquet'
needs_sample = pytest.mark.skipif(not SAMPLE.is_dir(), reason='needs the sample in ../shared/data/xbx_raw')
needs_panel = pytest.mark.skipif(not (SAMPLE.is_dir() and PANEL.exists()),
                                 reason='needs ../shared/data/xbx_raw and ../shared/data/panels/sample280_2018_2022.parquet')

BANNER = '数据由邢不行整理'
HEADER = '股票代码,股票名称,交易日期,开盘价,最高价,最低价,收盘价,前收盘价,成交量,成交额,流通市值,总市值'
COLUMNS = ['date', 'code', 'open', 'high', 'low', 'close', 'preclose', 'volume', 'amount', 'market_cap', 'circ_market_cap',
           'is_st', 'paused', 'delisting_period']


def row(day, name='甲公司', code='sh600001', price='10.0', volume='1000.0', cap='800000000.0'):
    return f'{code},{name},{day},{price},{price},{price},{price},9.9,{volume},10000.0,500000000.0,{cap}'


def save(path, rows, *, banner=BANNER, header=HEADER, encoding='utf-8', ends='\n'):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [line for line in (banner, header, *rows) if line is not None]
    path.write_bytes((ends.join(lines) + ends).encode(encoding))
    return path


def load(folder, **options):
    """Return what is read, unchecked: a table for each stock, as they come; and the request."""
    request = Request(folder=folder, **options)
    return [table for rows in read('xbx', request) for table in tables_of(rows)], request


def tables_of(rows):
    """One table for each stock of some rows, with the file that it is from."""
    for number, code in enumerate(rows.codes):
        mine = rows.stock == number
        columns = {name: values[mine] for name, values in rows.columns.items()}
        table = pd.DataFrame({'date': dates_of(rows.day[mine]), 'code': code, **columns})[COLUMNS]
        table.attrs['source'] = rows.files[number]
        yield table.astype(dict.fromkeys(('is_st', 'paused', 'delisting_period'), 'uint8'))


def stored(folder, strict=False, **options):
    """Make a store of a folder, beside it; return it."""
    request = Request(folder=folder, **options)
    store = folder.parent / f'{folder.name}_{len(list(folder.parent.iterdir()))}'
    return ingest_tables(read('xbx', request), store, about=request.about, reference_data=request.reference_data, strict=strict)


def refused(folder, take=load, **options):
    """Return the message of a folder that is not taken; it is one line."""
    with pytest.raises(DataError) as raised:
        take(folder, **options)
    text = str(raised.value)
    assert '\n' not in text
    return text


# --------------------------------------------------------------------------------------------------- content


@pytest.mark.parametrize('ends', ['\n', '\r\n'])
@pytest.mark.parametrize('banner', [BANNER, None])
@pytest.mark.parametrize('encoding', ['gbk', 'gb18030', 'utf-8', 'utf-8-sig'])
def test_rows_in_each_encoding(tmp_path, encoding, banner, ends):
    path = save(tmp_path / 'sh600001.csv', [
        'sh600001,甲公司,2024-01-02,10.1,10.6,9.9,10.5,10.0,123400.0,1290000.5,525000000.0,1050000000.0',
        'sh600001,*ST甲,2024-01-04,10.0,10.2,9.98,10.0,10.5,5600.0,56100.0,500000000.0,1000000000.0',
    ], banner=banner, encoding=encoding, ends=ends)
    (table,), _ = load(tmp_path)
    expected = pd.DataFrame([
        (pd.Timestamp('2024-01-02'), '600001.XSHG', 10.1, 10.6, 9.9, 10.5, 10.0, 123400.0, 1290000.5, 1.05e9, 5.25e8, 0, 0, 0),
        (pd.Timestamp('2024-01-04'), '600001.XSHG', 10.0, 10.2, 9.98, 10.0, 10.5, 5600.0, 56100.0, 1e9, 5e8, 1, 0, 0),
    ], columns=COLUMNS).astype({'date': 'datetime64[s]', 'is_st': 'uint8', 'paused': 'uint8', 'delisting_period': 'uint8'})
    pd.testing.assert_frame_equal(table, expected)
    assert table.attrs == {'source': str(path)}


def test_st_and_delisting_period_are_in_the_name(tmp_path):
    names = {'甲公司': (0, 0), 'ST甲': (1, 0), '*ST甲': (1, 0), 'SST甲': (1, 0), 'S*ST甲': (1, 0), 'XD*ST甲': (1, 0),
             '*ST 甲': (1, 0), 'ＳＴ甲': (1, 0), 'S甲': (0, 0), 'TCL甲': (0, 0), '甲公退': (0, 1), '退市甲': (0, 1),
             '*ST甲退': (1, 1)}
    days = pd.bdate_range('2024-01-02', periods=len(names)).strftime('%Y-%m-%d')
    save(tmp_path / 'sh600001.csv', [row(day, name) for day, name in zip(days, names, strict=True)])
    (table,), _ = load(tmp_path)
    assert list(zip(table['is_st'], table['delisting_period'], strict=True)) == list(names.values())


def test_codes_of_the_exchanges_and_what_is_no_a_share(tmp_path):
    for name in ('sh600001', 'sh688001', 'sz000001', 'sz300001', 'bj430001', 'bj920001',
                 'sh900901', 'sz200011', 'sh000001', 'sz399001', 'bj899050', 'sh510300', 'sz159915'):
        save(tmp_path / f'{name}.csv', [row('2024-01-02', code=name)])
    (tmp_path / 'readme.csv').write_text('hello')
    tables, _ = load(tmp_path)
    assert [table['code'].unique().tolist() for table in tables] == [
        ['000001.XSHE'], ['300001.XSHE'], ['430001.BJSE'], ['600001.XSHG'], ['688001.XSHG'], ['920001.BJSE']]


def test_nested_folders_and_capital_letters(tmp_path):
    save(tmp_path / 'stock' / 'sh600001.csv', [row('2024-01-02')])
    save(tmp_path / 'SZ000002.CSV', [row('2024-01-02', code='sz000002')])
    save(tmp_path / 'a' / 'deep' / 'sh600003.csv', [row('2024-01-02', code='sh600003')])
    tables, _ = load(tmp_path)
    assert [table['code'].iloc[0] for table in tables] == ['000002.XSHE', '600001.XSHG', '600003.XSHG']  # at any depth


def test_further_columns_and_their_order_do_not_matter(tmp_path):
    save(tmp_path / 'sh600001.csv', ['乙,300.0,' + row('2024/1/2'), '乙,,' + row('20240103')], header='行业,净利润,' + HEADER)
    (table,), _ = load(tmp_path)
    assert table.columns.tolist() == COLUMNS
    assert table['date'].dt.strftime('%Y-%m-%d').tolist() == ['2024-01-02', '2024-01-03']


def test_caps_that_are_not_known(tmp_path):
    save(tmp_path / 'sh600001.csv', [row('2024-01-02', cap=''), row('2024-01-03')])
    (table,), _ = load(tmp_path)
    np.testing.assert_array_equal(table['market_cap'], [np.nan, 8e8])


def test_start_end_and_codes(tmp_path):
    for code in ('sh600001', 'sh600002', 'sh600003'):
        save(tmp_path / f'{code}.csv', [row(f'2024-01-{day:02}', code=code) for day in (2, 3, 4, 5)])
    save(tmp_path / 'sh600004.csv', [row('2024-01-05', code='sh600004')])
    codes = ['600004.XSHG', '600003.XSHG', '600001.XSHG']
    tables, request = load(tmp_path, start=date(2024, 1, 3), end=date(2024, 1, 4), codes=codes)
    assert [(table['code'].iloc[0], table['date'].dt.day.tolist()) for table in tables] == [
        ('600001.XSHG', [3, 4]), ('600003.XSHG', [3, 4])]
    assert request.reference_data['listings']['code'].tolist() == ['600001.XSHG', '600003.XSHG']


def test_reference_data_progress_and_about(tmp_path, monkeypatch):
    monkeypatch.setattr(xbx, 'CHUNK_SIZE', 1)
    tmp_path = tmp_path / 'folder'
    save(tmp_path / 'sh600001.csv', [row('2024-01-02', '甲公司'), row('2024-01-03', 'XD甲公司'), row('2024-01-04', '甲公司'),
                                     row('2024-01-05', 'ST甲'), row('2024-01-08', 'ST甲')])
    save(tmp_path / 'sh600002.csv', [row('2024-01-03', '乙', 'sh600002'), row('2024-01-05', '乙退', 'sh600002')])
    seen = []
    tables, request = load(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert len(tables) == 2 and seen == [(1, 2), (2, 2)]
    assert request.about == {'market_cap': 'total market cap as given'} and request.skipped == []
    day = pd.Timestamp
    assert list(request.reference_data) == ['listings']
    names, listings = stored(tmp_path).reference_table('names'), request.reference_data['listings']
    assert tuple(names) == REFERENCE_TABLES['names'] and tuple(listings) == REFERENCE_TABLES['listings']
    assert list(names.itertuples(index=False, name=None)) == [
        ('600001.XSHG', day('2024-01-02'), '甲公司'), ('600001.XSHG', day('2024-01-03'), 'XD甲公司'),
        ('600001.XSHG', day('2024-01-04'), '甲公司'), ('600001.XSHG', day('2024-01-05'), 'ST甲'),
        ('600002.XSHG', day('2024-01-03'), '乙'), ('600002.XSHG', day('2024-01-05'), '乙退')]
    assert list(listings.itertuples(index=False, name=None)) == [
        ('600001.XSHG', pd.NaT, pd.NaT), ('600002.XSHG', day('2024-01-03'), day('2024-01-05'))]
    # of a part, the day of the listing stays; a stock that is delisted after the part is not delisted yet
    _, request = load(tmp_path, start=date(2024, 1, 4), end=date(2024, 1, 5))
    assert list(request.reference_data['listings'].itertuples(index=False, name=None)) == [
        ('600001.XSHG', pd.NaT, pd.NaT), ('600002.XSHG', day('2024-01-03'), pd.NaT)]
    names = stored(tmp_path, start=date(2024, 1, 4), end=date(2024, 1, 5)).reference_table('names')
    assert names['name'].tolist() == ['甲公司', 'ST甲', '乙退']


def test_only_the_name_of_the_delisting_period_says_that_a_stock_is_delisted(tmp_path):
    days = pd.bdate_range('2024-01-02', periods=30).strftime('%Y-%m-%d')  # to 2024-02-12
    lives = {
        'sh600001': [(days, '甲公司')],
        'sh600002': [(days[:20], '乙公司')],  # suspended for the folder's last 10 days
        'sh600003': [(days[:10], '*ST丙'), (days[10:20], '退市丙')],  # to 2024-01-29
        'sh600004': [(days[:2], '丁公司')],  # ended long ago, and nothing says why
        'sh600005': [(days[:5], '戊退'), (days[5:20], '戊公司')],  # not in it on its last day
        'sh600006': [(days, '退市己')],  # in it on the folder's last day: not ended yet
        'sh600007': [(days[:25], '庚退')],  # to 2024-02-05
    }
    for code, names in lives.items():
        save(tmp_path / f'{code}.csv', [row(day, name, code) for part, name in names for day in part])

    def delisted(**options):
        listings = load(tmp_path, **options)[1].reference_data['listings']
        return {row.code[:6]: str(row.delisted)[:10] for row in listings.itertuples() if not pd.isna(row.delisted)}

    assert delisted() == {'600003': '2024-01-29', '600007': '2024-02-05'}
    assert delisted(end=date(2024, 1, 30)) == {'600003': '2024-01-29'}
    assert delisted(end=date(2024, 1, 29)) == {}
    assert delisted(end=date(2024, 1, 10)) == {}  # before its delisting period
    assert delisted(start=date(2024, 1, 29)) == {'600003': '2024-01-29', '600007': '2024-02-05'}


@pytest.fixture
def many(tmp_path):
    for number in range(40):
        code = f'sh600{number:03}'
        save(tmp_path / f'{code}.csv', [row('2024-01-02', code=code), row('2024-01-03', code=code, volume=f'{100 + number}')])
    return tmp_path


def test_many_files_are_read_by_processes_in_the_same_order(many, monkeypatch):
    (many / 'sh600021.csv').write_text('')
    apart, one = load(many, skip_bad=True)
    monkeypatch.setattr(xbx, 'MIN_FILES_FOR_WORKERS', 1000)
    here, other = load(many, skip_bad=True)
    assert len(apart) == 39 and one.skipped == other.skipped and len(one.skipped) == 1
    for table, expected in zip(apart, here, strict=True):
        pd.testing.assert_frame_equal(table, expected)
        assert table.attrs == expected.attrs
    for name in one.reference_data:
        pd.testing.assert_frame_equal(one.reference_data[name], other.reference_data[name])


def test_processes_that_cannot_be_started(many, monkeypatch):
    class Broken:
        def __init__(self, *_):
            pass

        def submit(self, *_):
            raise BrokenProcessPool

        def shutdown(self, **_):
            pass

    monkeypatch.setattr(xbx, 'ProcessPoolExecutor', Broken)
    assert len(load(many)[0]) == 40


# ----------------------------------------------------------------------------------------------- what is wrong


GOOD = [row('2024-01-02'), row('2024-01-03')]
A, OUT = '600001.XSHG', 'row left out'
# the rows, what is said of them with strict, what is found else: line, date, column, found, finding, done; the days that stay
BAD = {
    'no number': (
        [*GOOD, row('2024-01-04', price='10.x')],
        "line 5 (2024-01-04 600001.XSHG), column 开盘价: found '10.x', expected a price above 0 in a traded row; drop the row if "
        'the stock did not trade', (5, '2024-01-04', '开盘价', "'10.x'", 'no price', OUT), [2, 3]),
    'no day': (
        [*GOOD, row('2024-13-04')],
        "line 5, column 交易日期: found '2024-13-04', expected a day without a time such as 2024-11-01; write each date as "
        'YYYY-MM-DD', (5, '', '交易日期', "'2024-13-04'", 'no day', OUT), [2, 3]),
    'a time': (
        [*GOOD, row('2024-01-04 15:00:00')], ['line 5, column 交易日期: found ', '15:00:00', 'a day without a time'],
        (5, '', '交易日期', None, 'no day', OUT), [2, 3]),
    'cut': (
        [*GOOD, row('2024-01-04')[:40]], ['line 5', 'found 7 fields, expected as many fields as in the header'],
        (5, '2024-01-04', 'row', '7 fields', 'fields that lack, or too many', OUT), [2, 3]),
    'a comma too many': (
        [GOOD[0] + ',1', GOOD[1]], ['line 3', 'found 13 fields, expected as many fields as in the header'],
        (3, '2024-01-02', 'row', '13 fields', 'fields that lack, or too many', OUT), [3]),
    'blank lines': (
        [GOOD[0], '', '', row('2024-01-03', price='0')],
        'line 6 (2024-01-03 600001.XSHG), column 开盘价: found 0, expected a price above 0 in a traded row; drop the row if the '
        'stock did not trade', (6, '2024-01-03', '开盘价', '0', 'no price', OUT), [2]),
    'no volume': (
        [row('2024-01-02', volume=''), GOOD[1]],
        'line 3 (2024-01-02 600001.XSHG), column 成交量: found nothing (NaN), expected 0 or more shares; write 0 where nothing '
        'was traded', (3, '2024-01-02', '成交量', 'nothing (NaN)', 'no volume', OUT), [3]),
    'cap in 亿': (
        [row('2024-01-02', cap='8.0'), GOOD[1]],
        'line 3 (2024-01-02 600001.XSHG), column 总市值: found 8, expected yuan between 7e+06 and 3.3e+13; check the row',
        (3, '2024-01-02', '总市值', '8', 'absurd market cap', 'taken as not known, not picked on the next day'), [2, 3]),
    'twice': (
        [*GOOD, GOOD[1]],
        'line 5 (2024-01-03 600001.XSHG), column 股票代码: found 600001.XSHG a second time, expected one row per date and code; '
        'drop one of the two rows',
        (5, '2024-01-03', '股票代码', '600001.XSHG a second time', 'the same row twice', 'one of them left out'), [2, 3]),
    'another stock': (
        [*GOOD, row('2024-01-04', code='sh600002')],
        ['line 5 (2024-01-04 sh600002), column 股票代码: ', "found 'sh600002', expected ", 'sh600001'],
        (5, '2024-01-04', '股票代码', "'sh600002'", 'no code of a stock', OUT), [2, 3]),
    'no name': (
        [*GOOD, row('2024-01-04', name='')], ['line 5 (2024-01-04 600001.XSHG), column 股票名称: found nothing', 'name'],
        (5, '2024-01-04', '股票名称', 'nothing (NaN)', 'neither 0 nor 1', OUT), [2, 3]),
    'float cap': (
        [GOOD[0].replace('500000000.0', '-5'), GOOD[1]],
        'line 3 (2024-01-02 600001.XSHG), column 流通市值: found -5, expected 0 or more yuan; leave it empty where it is not '
        'known',
        (3, '2024-01-02', '流通市值', '-5', 'below 0', 'taken as not known'), [2, 3]),
}


@pytest.mark.parametrize('case', BAD)
@pytest.mark.parametrize('encoding', ['utf-8', 'gbk'])
def test_bad_content_is_named_by_line(tmp_path, case, encoding):
    """Refused where that is asked for; else left out or mended and listed, and the other rows and files stay."""
    rows, reason, found, days = BAD[case]
    folder = tmp_path / 'folder'
    path = save(folder / 'sh600001.csv', rows, encoding=encoding)
    save(folder / 'sh600002.csv', [row('2024-01-02', code='sh600002')])
    said = refused(folder, stored, strict=True)
    if isinstance(reason, str):
        assert said == f'{path}, {reason}'
    else:
        assert said.startswith(f'{path}, {reason[0]}')
        for fragment in reason[1:]:
            assert fragment in said.removeprefix(str(path))
    store = stored(folder)
    line, day, column, text, finding, done = found
    (listed,) = store.findings().to_dict('records')
    code = 'sh600002' if case == 'another stock' else A
    assert {**listed, 'found': listed['found'] if text else None} == {
        'file': str(path), 'line': line, 'date': day, 'code': code, 'column': column, 'found': text, 'finding': finding,
        'done': done}
    table = store.table()
    assert [(row.code, row.date.day) for row in table.itertuples()] == sorted(
        [(A, number) for number in days] + [('600002.XSHG', 2)], key=lambda row: (row[1], row[0]))
    unknown = {'总市值': 'market_cap', '流通市值': 'circ_market_cap'}.get(column, '')
    assert table.columns[table.isna().any()].tolist() == ([unknown] if unknown else [])
    # a bad row is no bad file: with skip_bad the file stays, too
    request = Request(folder=folder, skip_bad=True)
    assert sum(len(set(part.codes)) for part in read('xbx', request)) == 2 and request.skipped == []


def test_rows_in_any_order(tmp_path):
    """A file that goes backwards is sorted; there is nothing to be said of it."""
    folder = tmp_path / 'folder'
    save(folder / 'sh600001.csv', [row('2024-01-03', 'ST甲', price='11.0'), row('2024-01-02', '甲公司')])
    for strict in (True, False):
        store = stored(folder, strict)
        assert store.table()[['close', 'is_st']].values.tolist() == [[10.0, 0.0], [11.0, 1.0]] and not store.has_findings
        assert store.reference_table('names')['name'].tolist() == ['甲公司', 'ST甲']
    _, request = load(folder)
    assert request.reference_data['listings']['delisted'].isna().all()


def test_too_many_bad_rows(tmp_path):
    """Three of a hundred: the files are wrong, not the rows."""
    folder = tmp_path / 'folder'
    for number in range(50):
        code = f'sh6000{number:02}'
        rows = [row(f'2024-01-0{day}', code=code, price='0' if number < 3 and day == 3 else '10.0') for day in (2, 3)]
        save(folder / f'{code}.csv', rows)
    assert refused(folder, stored) == (
        f'{folder}/sh600000.csv, line 4 (2024-01-03 600000.XSHG), column 开盘价: found 0, expected a price above 0 in a traded '
        'row; drop the row if the stock did not trade (3 of 100 rows of 2024 are bad, more than 1%: the table is wrong, not the '
        'row)')


def test_units_and_adjusted_prices(tmp_path):
    folder = tmp_path / 'folder'
    save(folder / 'sh600001.csv', [row(f'2024-01-0{day}', cap='8.0') for day in (2, 3)])
    assert 'looks like 亿 yuan: multiply the column by 1e+08' in refused(folder, stored)
    save(folder / 'sh600001.csv', [row(f'2024-01-0{day}', volume='10.0') for day in (2, 3, 4)])
    assert 'amount is about 100 times volume x close in 2024' in refused(folder, stored)
    rows = [row(f'2024-01-0{day}', volume='100000.0').replace(',10000.0,', ',1500000.0,') for day in (2, 3, 4)]
    save(folder / 'sh600001.csv', rows)
    assert 'amount / volume is 15: adjusted prices (100% of the rows are so)' in refused(folder, stored)


def test_a_zip(tmp_path):
    """Of the folder, or in it; in what it has, messages name the file."""
    folder = tmp_path / 'folder'
    for code in ('sh600001', 'sz000002'):
        save(folder / 'daily' / f'{code}.csv', [row('2024-01-02', code=code), row('2024-01-03', code=code)], encoding='gbk')
    tables, _ = load(folder)
    for number, inside in enumerate(('stocks.zip', 'deep/stocks.zip')):
        path = tmp_path / str(number) / inside
        path.parent.mkdir(parents=True)
        with zipfile.ZipFile(path, 'w') as archive:
            for file in sorted((folder / 'daily').iterdir()):
                archive.write(file, f'daily/{file.name}')
        for given in (path, tmp_path / str(number)):
            found, _ = load(given)
            for table, expected in zip(found, tables, strict=True):
                pd.testing.assert_frame_equal(table, expected)
                assert table.attrs == {'source': f'{path}/daily/{Path(expected.attrs["source"]).name}'}
    path.write_bytes(path.read_bytes()[:-30])
    assert refused(path) == f'{path}: not readable as a zip; download it again'


@pytest.mark.parametrize(('content', 'reason'), [
    (b'', ': found an empty file, expected a header line and rows; download the file again'),
    (b'\n \n', ': found an empty file, expected a header line and rows; download the file again'),
    (b'hello\nworld\n', ': found no header in the first lines, expected 股票代码,股票名称,交易日期,开盘价,... in UTF-8 or GBK; '
                        'download the file again'),
    (f'{BANNER}\n{HEADER.replace(",收盘价", "").replace(",总市值", "")}\n'.encode('gbk'),
     ', line 2: missing columns 收盘价, 总市值: found 股票代码, 股票名称, 交易日期, 开盘价, 最高价, 最低价, '
     '前收盘价, 成交量, 成交额, 流通市值; download the file again'),
    (f'{HEADER},总市值\n{GOOD[0]},1\n'.encode(), ', line 1: the column 总市值 is there twice; keep one'),
    (f'{BANNER}\n{HEADER}\n{GOOD[0]}\n'.encode() + GOOD[1].encode('gbk'),
     ', line 4: found bytes that are not UTF-8, expected the text that the header is in; download the file again'),
    (f'{BANNER}\n{HEADER}\n'.encode(), ': found no rows under the header, expected one per trading day; download the file again'),
    (f'{HEADER}'.encode(), ': found no rows under the header, expected one per trading day; download the file again'),
])
def test_bad_files(tmp_path, content, reason):
    path = tmp_path / 'sh600001.csv'
    path.write_bytes(content)
    assert refused(tmp_path) == f'{path}{reason}'
    save(tmp_path / 'sh600002.csv', [row('2024-01-02', code='sh600002')])
    assert refused(tmp_path) == f'{path}{reason}'
    tables, request = load(tmp_path, skip_bad=True)
    assert [table['code'].iloc[0] for table in tables] == ['600002.XSHG']
    assert request.skipped == [f'{path}: {reason.lstrip(":, ")}']


def test_no_file_can_be_read(tmp_path):
    path = tmp_path / 'sh600001.csv'
    path.write_text('')
    assert refused(tmp_path, skip_bad=True) == (
        f'{tmp_path}: found no file that can be read, expected some; the first: {path}: found an empty file, expected a header '
        'line and rows; download the file again')


def test_wrong_folders(tmp_path):
    expected = 'expected a folder or a zip of 邢不行 CSV files such as sh600000.csv'
    assert refused(None) == f'found no folder, {expected}'
    assert refused(tmp_path / 'none') == f'{tmp_path / "none"}: there is no such folder; {expected}'
    assert refused(tmp_path) == f'{tmp_path}: found no file of an A share and no CSV file at all; {expected}'
    path = save(tmp_path / 'sh900901.csv', [])
    assert refused(path) == f'{path}: found a file, {expected}; give the folder that it is in'
    assert refused(tmp_path) == f'{tmp_path}: found no file of an A share; sh900901.csv is no such file; {expected}'


def test_the_wrong_folder_is_said_before_the_first_table(tmp_path):
    with pytest.raises(DataError):
        read('xbx', Request(folder=tmp_path))


def test_two_files_of_a_stock(tmp_path):
    one, two = (save(tmp_path / place / 'sh600001.csv', GOOD) for place in ('a', 'b'))
    assert refused(tmp_path) == f'{two}: found a second file of 600001.XSHG beside {one}, expected one; remove one of the two'


def test_codes_and_days_that_are_not_there(tmp_path):
    save(tmp_path / 'sh600001.csv', GOOD)
    assert refused(tmp_path, codes=['600001.SH']) == "found the code '600001.SH', expected one such as 600000.XSHG"
    missing = f'{tmp_path}: found no file of 600002.XSHG, expected one'
    assert refused(tmp_path, codes=['600001.XSHG', '600002.XSHG']) == f'{missing}; leave that code out'
    tables, request = load(tmp_path, codes=['600001.XSHG', '600002.XSHG'], skip_bad=True)
    assert len(tables) == 1 and request.skipped == [missing]
    assert refused(tmp_path, start=date(2025, 1, 1)) == (
        f'{tmp_path}: found no rows from 2025-01-01 to the last day, expected some; the files have 2024-01-02 to 2024-01-03')


# ------------------------------------------------------------------------------------------------ the real ones


@pytest.fixture(scope='module')
def sample():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xbx, 'MIN_FILES_FOR_WORKERS', 1000)
        tables, request = load(SAMPLE)
    return pd.concat(tables, ignore_index=True), request


@needs_sample
def test_rows_of_the_sample(sample):
    """Worked out by hand from the text of the files."""
    table, request = sample
    assert len(table) == 56_815 and table['code'].nunique() == 20
    by_key = table.set_index(['code', 'date'])
    expected = {
        # sh605138,盛泰集团,2021-10-27,11.96,14.36,11.96,14.36,9.97,23033500.0,324008301.0,797841600.0,7977841600.0
        ('605138.XSHG', '2021-10-27'): (11.96, 14.36, 11.96, 14.36, 9.97, 23033500, 324008301, 7977841600, 797841600, 0, 0, 0),
        # sz000511,烯碳退,2018-07-17,0.64,0.68,0.6,0.61,0.64,81260723.0,51847630.98,704447526.71,704447526.71
        ('000511.XSHE', '2018-07-17'): (0.64, 0.68, 0.6, 0.61, 0.64, 81260723, 51847630.98, 704447526.71, 704447526.71, 0, 0, 1),
        # sz300178,*ST腾邦,2022-01-14,1.94,1.95,1.84,1.85,1.95,21352907.0,40426235.0,1086900308.0,1140540342.05
        ('300178.XSHE', '2022-01-14'): (1.94, 1.95, 1.84, 1.85, 1.95, 21352907, 40426235, 1140540342.05, 1086900308, 1, 0, 0),
    }
    for (code, day), values in expected.items():
        assert tuple(by_key.loc[(code, pd.Timestamp(day)), COLUMNS[2:]]) == values
    counts = table.groupby('code', observed=True)[['is_st', 'delisting_period']].sum()
    assert counts.loc['600301.XSHG'].tolist() == [1198 + 1383, 0]  # *ST南化, ST南化
    assert counts.loc['601558.XSHG'].tolist() == [459 + 488 + 1, 30]  # *ST锐电, ST锐电, XR*ST锐; 退市锐电
    listings = request.reference_data['listings'].set_index('code')
    assert listings['delisted'].dropna().dt.strftime('%Y-%m-%d').to_dict() == {
        '000511.XSHE': '2018-07-17', '000939.XSHE': '2020-12-16', '601558.XSHG': '2020-06-23'}
    assert pd.isna(listings.loc['000511.XSHE', 'listed'])  # the sample's first day
    assert listings.loc['605138.XSHG', 'listed'] == pd.Timestamp('2021-10-27')


@needs_sample
def test_a_store_of_the_sample(tmp_path, sample):
    """All of its rows are as they should be, but for what is listed; the names are those of the days."""
    store = ingest_tables(read('xbx', Request(folder=SAMPLE)), tmp_path / 'store')
    found = store.findings()
    assert store.rows + (found['done'] == 'row left out').sum() == 56_815
    assert len(found) < 10
    names = store.reference_table('names')
    assert names.loc[names['code'] == '605138.XSHG', 'name'].tolist()[:1] == ['盛泰集团']


@needs_panel
def test_sample_equals_the_panel(sample):
    panel = pd.read_parquet(PANEL)
    panel = panel[panel['paused'] == 0]  # the files have no rows of suspended days
    table = sample[0]
    panel = panel[panel['code'].isin(table['code'].unique()) & (panel['date'] <= table['date'].max())]
    table = table[table['date'] >= panel['date'].min()]
    lines = compare(MarketStore.from_table(table), MarketStore.from_table(panel), ('files', 'panel'))
    assert lines == [
        'stocks: 20 in both, 0 only in files, 0 only in panel',
        'days: 982 in both, 0 only in files, 0 only in panel',
        'rows of these stocks and days: 15,509 in both, 0 only in files, 0 only in panel',
        'columns only in panel: adj_factor',
        *(f'{name}: 15,509 of 15,509 equal (100.00 %)' for name in COLUMNS[2:]),
    ]
