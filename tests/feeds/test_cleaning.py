"""Every kind of finding, by everything that reads tables: the rows in the end, what is listed, told and refused."""

import gzip

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds import files
from bt_microcap.feeds.store import MarketStore
from tests.support import bad_tables
from tests.support.dirty_tables import CASES, CHINESE, COLUMNS, DAY, READERS, ROW, A, good, listed, read
from tests.support.script_calls import call, one_error_line

pytestmark = pytest.mark.filterwarnings('error::RuntimeWarning')
WITH_COLUMN = ('not above 0', 'below 0', 'no number', 'neither 0 nor 1')  # the finding does not say of what
ALONE = ('StockPandas', 'StockCSV')  # one stock: row 200 of the table is its row 100


def rows_as(table):
    """Rows by date and code, in one type."""
    table = table.assign(date=pd.to_datetime(table['date']).astype('datetime64[s]'), code=table['code'].astype(str))
    table = table.sort_values(['date', 'code'], ignore_index=True)
    return table[['date', 'code', *COLUMNS]].astype(dict.fromkeys(COLUMNS, 'float64'))


def place(reader, row):
    """How a row of the table is told."""
    if reader in ALONE:
        row = row // 2 if row < len(good()) else row - len(good()) // 2
    return f'line {row + 2}' if READERS[reader][2] else f'row {row}'


@pytest.mark.parametrize('reader', READERS)
@pytest.mark.parametrize('case', CASES, ids=[case.name for case in CASES])
def test_what_becomes_of_a_row(tmp_path, case, reader):
    names = CHINESE if 'Chinese' in reader else {}
    file = str(tmp_path / READERS[reader][1]) if READERS[reader][1] else 'the table'
    taken = read(reader, case.table(), tmp_path)
    if case.market and reader in ALONE:
        assert taken.refused.endswith('(3 of 263 rows of 2024 are bad, more than 1%: the table is wrong, not the row)')
        return
    assert taken.refused == ''
    if taken.rows is not None:
        expected = rows_as(case.rows())
        if reader in ALONE:
            expected = expected[expected['code'] == A].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows_as(taken.rows), expected, check_exact=True)
    if taken.findings is not None:
        lines = [item.line + 2 if READERS[reader][2] else item.line for item in case.findings]
        assert taken.findings.astype(str).to_dict('records') == [
            {**item._asdict(), 'file': file, 'line': str(line), 'column': names.get(item.column, item.column)}
            for item, line in zip(case.findings, lines, strict=True)]
    said = [f'{names.get(item.column, item.column)} {item.finding}' if item.finding in WITH_COLUMN else item.finding
            for item in case.findings]
    kinds = [f'{finding} ({item.done})' for finding, item in zip(said, case.findings, strict=True)]
    rows = len({item.line for item in case.findings})
    summary = f'{rows} row{"s" if rows > 1 else ""} not as they should be: ' + ', '.join(
        f'{kinds.count(kind)} {kind}' for kind in dict.fromkeys(kinds))
    if reader.startswith('ingest'):
        assert taken.told[-1] == f'{summary}; each is in store.quarantine.csv'
        year = case.findings[0].date[:4] or 'no date'
        for finding, item in zip(said, case.findings, strict=True):
            assert f'{finding}, {item.done}: {said.count(finding)} ({year} {said.count(finding)})' in taken.told
    elif reader.startswith('backtest'):
        assert f'note           {summary}; each is in quarantine.csv' in taken.told
    elif reader in ('MarketFeed', *ALONE):
        source = str(tmp_path / 'm.csv') if reader == 'StockCSV' else 'the table'
        assert taken.told == [f'{source}: {summary}']
    else:
        assert taken.told == [summary]


@pytest.mark.parametrize('reader', [name for name in READERS if name != 'MarketFeed'])
@pytest.mark.parametrize('case', CASES, ids=[case.name for case in CASES])
def test_what_strict_refuses(tmp_path, case, reader):
    names = CHINESE if 'Chinese' in reader else {}
    taken = read(reader, case.table(), tmp_path, strict=True)
    if case.strict is None:
        assert taken.refused == ''
        return
    first = case.findings[0]
    file = str(tmp_path / READERS[reader][1]) if READERS[reader][1] else 'the table'
    where = f'{file}, {place(reader, first.line)}'
    if first.column != 'date':
        where += f' ({first.date}{" " + first.code if first.code else ""})'
    text = first.found
    if text == 'no price':  # at once, as the row is read, its first column
        text, first = '0', first._replace(column='open')
    assert taken.refused == f'{where}, column {names.get(first.column, first.column)}: found {text}, expected {case.strict}'


@pytest.mark.parametrize('reader', READERS)
def test_a_good_table(tmp_path, reader):
    """Nothing is found, no list is written, and rows in any order are the same rows."""
    table = good().sample(frac=1, random_state=3).reset_index(drop=True)
    taken = read(reader, table, tmp_path)
    assert taken.refused == ''
    assert taken.findings is None or not len(taken.findings)
    assert not any('not as they should be' in line for line in taken.told)
    if taken.rows is None:
        return
    expected = rows_as(good())
    if reader in ALONE:
        expected = expected[expected['code'] == A].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows_as(taken.rows), expected, check_exact=True)


@pytest.mark.parametrize('reader', ['check_table', 'ingest parquet'])
def test_a_suspended_row_may_repeat_any_prices(tmp_path, reader):
    """Nothing is traded at them; a row with a price of 0 is found, to show that the other one was looked at."""
    table = good()
    table.loc[ROW, ['paused', 'volume', 'high', 'low']] = 1.0, 0.0, 9.0, 11.0
    expected = rows_as(table.drop(index=10))
    table.loc[10, 'close'] = 0.0
    taken = read(reader, table, tmp_path)
    assert taken.findings['line'].astype(int).tolist() == [10]
    pd.testing.assert_frame_equal(rows_as(taken.rows), expected, check_exact=True)


@pytest.mark.parametrize('reader', [name for name in READERS if name.startswith(('ingest', 'check', 'load', 'MarketStore'))])
def test_several_bad_rows(tmp_path, reader):
    """Listed by their place in the file; told by kind, with the rows of each year."""
    table = good()
    table['date'] = table['date'].dt.strftime('%Y-%m-%d').astype(object)
    table.loc[[3, 41, 560], 'close'] = 0.0  # 2024, 2024, 2025
    table.loc[40, ['market_cap', 'preclose']] = np.nan, -1.0
    table.loc[30, 'date'] = 'soon'
    table.loc[20, 'cash_dividend'] = -1.0
    taken = read(reader, table, tmp_path)
    assert taken.refused == ''
    first = 2 if READERS[reader][2] else 0
    assert taken.findings['line'].astype(int).tolist() == [first + row for row in (3, 20, 30, 40, 40, 41, 560)]
    assert len(taken.rows) == 600 - 4
    if reader.startswith('ingest'):
        names = CHINESE if 'Chinese' in reader else {name: name for name in CHINESE}
        lines = {'no price, row left out: 3 (2024 2, 2025 1)', 'no day, row left out: 1 (no date 1)',
                 'no market cap, not picked on the next day: 1 (2024 1)',
                 f'{names["preclose"]} not above 0, taken as not known: 1 (2024 1)',
                 f'{names["cash_dividend"]} below 0, taken as not known: 1 (2024 1)'}
        assert lines <= set(taken.told)
    assert taken.told[-1].startswith('6 rows not as they should be: 3 no price (row left out), 1 ')


# ------------------------------------------------------------------------------------------ rows with too few or too many fields


@pytest.mark.parametrize('batch', [500_000, 7])
@pytest.mark.parametrize('reader', ['load_table, csv', 'MarketStore.from_file, csv.gz', 'ingest csv', 'ingest csv.gz',
                                    'backtest, csv'])
def test_lines_of_another_length(tmp_path, monkeypatch, reader, batch):
    """A blank line, one with a comma in a number, one that is cut off amid its numbers; places are those of an editor."""
    text = good().to_csv(index=False).splitlines()
    text[101] = text[101].replace('200000.0', '200,000.0', 1)  # row 100
    text[201] = ','.join(text[201].split(',')[:5])  # row 200: date, code, open, high, low
    text.insert(50, '')

    def write(table, path):
        data = ('\n'.join(text) + '\n').encode()
        path.write_bytes(gzip.compress(data) if path.suffix == '.gz' else data)
        return path

    monkeypatch.setattr(files, 'BATCH', batch)
    monkeypatch.setattr(bad_tables, 'write', write)
    taken = read(reader, good(), tmp_path)
    assert taken.refused == ''
    found = taken.findings.astype(str)[['line', 'date', 'column', 'found', 'finding', 'done']].to_numpy().tolist()
    assert found == [
        ['103', '', 'row', '18 fields instead of 17', 'fields that lack, or too many', 'row left out'],
        ['203', DAY, 'is_st', 'nothing (NaN)', 'neither 0 nor 1', 'row left out']]
    if taken.rows is not None:
        pd.testing.assert_frame_equal(rows_as(taken.rows), rows_as(good().drop(index=[100, ROW])), check_exact=True)


# ------------------------------------------------------------------------------------------- xbx: a file for each stock

HEADER = ['股票代码', '股票名称', '交易日期', '开盘价', '最高价', '最低价', '收盘价', '前收盘价', '成交量', '成交额', '流通市值',
          '总市值']
ORDER = 'check the order of the price columns: some sources write open, close, high, low'
ONE = 'one row per date and code; drop one of the two rows'
SAME = ('股票代码', '600001.XSHG a second time', 'the same row twice', 'one of them left out')
OTHER = SAME[:2] + ('a second row of the day with other content', 'all of them left out')
CAP = 'yuan between 7e+06 and 3.3e+13; check the row'
NOT_PICKED = 'taken as not known, not picked on the next day'
# name, the fields of A's row of day 100 (or the whole row), what is left of the row, findings, what strict says
XBX = [
    ('fields lack', lambda row: row[:9], None, ('row', '9 fields', 'fields that lack, or too many', 'row left out'),
     'as many fields as in the header; mend or drop the row'),
    ('too many fields', lambda row: [*row, '1'], None, ('row', '13 fields', 'fields that lack, or too many', 'row left out'),
     'as many fields as in the header; mend or drop the row'),
    ('no day', {'交易日期': 'soon'}, None, ('交易日期', "'soon'", 'no day', 'row left out'),
     'a day without a time such as 2024-11-01; write each date as YYYY-MM-DD'),
    ('a slip in the year', {'交易日期': '2204-05-21'}, None,
     ('交易日期', '2204-05-21', 'a day on which no A share was traded', 'row left out'),
     'a trading day from 1990-12-01 on; mend or drop the row'),
    ('another code', {'股票代码': 'sh600009'}, None, ('股票代码', "'sh600009'", 'no code of a stock', 'row left out'),
     "'sh600001' as the file is called; one file per stock; mend or drop the row"),
    ('no name', {'股票名称': ''}, None, ('股票名称', 'nothing (NaN)', 'neither 0 nor 1', 'row left out'),
     "the day's name: it tells whether the stock is ST; mend or drop the row"),
    ('no volume', {'成交量': ''}, None, ('成交量', 'nothing (NaN)', 'no volume', 'row left out'),
     '0 or more shares; write 0 where nothing was traded'),
    ('no close', {'收盘价': '0.0'}, None, ('收盘价', '0', 'no price', 'row left out'),
     'a price above 0 in a traded row; drop the row if the stock did not trade'),
    ('text for a close', {'收盘价': '--'}, None, ('收盘价', "'--'", 'no price', 'row left out'),
     'a price above 0 in a traded row; drop the row if the stock did not trade'),
    ('high below low', {'最高价': '9.5'}, None, ('最高价', '9.5', 'high below low', 'row left out'),
     f'at least the low 9.7; {ORDER}'),
    ('high below close', {'最高价': '10.25'}, {'high': 10.3}, ('最高价', '10.25', 'high below open or close', 'high widened'),
     f'at least the close 10.3; {ORDER}'),
    ('low above open', {'最低价': '10.25'}, {'low': 10.2}, ('最低价', '10.25', 'low above open or close', 'low widened'),
     f'at most the open 10.2; {ORDER}'),
    ('no cap', {'总市值': ''}, {'market_cap': np.nan},
     ('总市值', 'nothing (NaN)', 'no market cap', 'not picked on the next day'), None),
    ('a cap of 0', {'总市值': '0'}, {'market_cap': np.nan}, ('总市值', '0', 'no market cap', 'not picked on the next day'), CAP),
    ('an absurd cap', {'总市值': '21'}, {'market_cap': np.nan}, ('总市值', '21', 'absurd market cap', NOT_PICKED), CAP),
    ('text for a cap', {'总市值': '--'}, {'market_cap': np.nan}, ('总市值', "'--'", 'no number', 'taken as not known'),
     'a number (yuan, total shares x close); mend or drop the row'),
    ('preclose of 0', {'前收盘价': '0'}, {'preclose': np.nan}, ('前收盘价', '0', 'not above 0', 'taken as not known'),
     'a price above 0; leave it empty where it is not known'),
    ('negative amount', {'成交额': '-1'}, {'amount': np.nan}, ('成交额', '-1', 'below 0', 'taken as not known'),
     '0 or more yuan; leave it empty where it is not known'),
    ('text for a preclose', {'前收盘价': '无'}, {'preclose': np.nan}, ('前收盘价', "'无'", 'no number', 'taken as not known'),
     "a number (yuan, the exchange's ex-rights reference price); mend or drop the row"),
    ('infinite amount', {'成交额': 'inf'}, {'amount': np.nan}, ('成交额', 'inf', 'no number', 'taken as not known'),
     'a number (yuan); mend or drop the row'),
    ('the same row twice', [{}], {}, SAME, ONE),
    ('a second row', [{'收盘价': '10.4'}], None, OTHER, ONE),
]


def xbx_folder(folder, change=None):
    """The rows of `good`, less what xbx has not; day d of a stock is in line d + 3. Doubled rows are at the end."""
    table = good()
    folder.mkdir()
    for code, rows in table.groupby('code'):
        stem = {'XSHG': 'sh', 'XSHE': 'sz'}[code[7:]] + code[:6]
        lines = [[stem, '甲公司', str(row.date.date()), row.open, row.high, row.low, row.close, row.preclose, row.volume,
                  row.amount, row.circ_market_cap, row.market_cap] for row in rows.itertuples()]
        if code == A and change is not None:
            fields = dict(zip(HEADER, lines[100], strict=True))
            if callable(change):
                lines[100] = change(lines[100])
            elif isinstance(change, dict):
                lines[100] = list({**fields, **change}.values())
            else:
                lines += [list({**fields, **more}.values()) for more in change]
        text = '\n'.join(['数据由邢不行整理', ','.join(HEADER), *(','.join(map(str, line)) for line in lines)])
        (folder / f'{stem}.csv').write_bytes((text + '\n').encode('gbk'))
    return folder


@pytest.mark.parametrize(('change', 'after', 'finding', 'strict'), [case[1:] for case in XBX], ids=[case[0] for case in XBX])
def test_xbx(tmp_path, change, after, finding, strict):
    file = xbx_folder(tmp_path / 'data', change) / 'sh600001.csv'
    column, text, said, done = finding
    date = {'no day': '', 'a day on which no A share was traded': '2204-05-21'}.get(said, DAY)
    code = {'no code of a stock': 'sh600009'}.get(said, A)
    places = {'the same row twice': [303], OTHER[2]: [103, 303]}.get(said, [103])
    refused = call('ingest', 'xbx', tmp_path / 'data', '--store', tmp_path / 'strict', '--strict')
    if strict is None:
        assert refused.status == 0
    else:
        where = f' ({date} {code})' if column != '交易日期' else ''
        assert one_error_line(refused) == (
            f'error: {file}, line {places[0]}{where}, column {column}: found {text}, expected {strict}')
        assert not (tmp_path / 'strict').exists() and not (tmp_path / 'strict.quarantine.csv').exists()

    outcome = call('ingest', 'xbx', tmp_path / 'data', '--store', tmp_path / 'store')
    assert (outcome.status, outcome.err) == (0, '')
    assert listed(tmp_path / 'store.quarantine.csv').to_dict('records') == [
        {'file': str(file), 'line': str(place), 'date': date, 'code': code, 'column': column, 'found': text, 'finding': said,
         'done': done} for place in places]
    named = f'{column} {said}' if said in WITH_COLUMN else said
    assert f'{named}, {done}: {len(places)} ({date[:4] or "no date"} {len(places)})' in outcome.lines
    assert (f'{len(places)} row{"s" if len(places) > 1 else ""} not as they should be: {len(places)} {named} ({done}); '
            'each is in store.quarantine.csv') in outcome.lines
    expected = rows_as(good())
    if after is None:
        expected = expected[~((expected['date'] == DAY) & (expected['code'] == A))].reset_index(drop=True)
    else:
        for name, value in after.items():
            expected.loc[(expected['date'] == DAY) & (expected['code'] == A), name] = value
    found = MarketStore.open(tmp_path / 'store').table().astype({'date': 'datetime64[s]', 'code': str})
    names = ['date', 'code', *COLUMNS[:11]]
    found = found.astype(dict.fromkeys(names[2:], 'float64'))
    pd.testing.assert_frame_equal(found[names], expected[names].astype({'code': str}), check_exact=True)


@pytest.mark.parametrize('day', ['1989-05-22', '2204-05-21'])
def test_a_slip_in_a_date_says_nothing_of_listings(tmp_path, day):
    """The row is left out: neither is its day the folder's first or last one, from which listings are told."""
    listings = {}
    for name, change in (('good', None), ('slip', {'交易日期': day})):
        xbx_folder(tmp_path / name, change)
        text = (tmp_path / name / 'sz000002.csv').read_bytes().decode('gbk').splitlines()
        text[-1] = text[-1].replace('甲公司', '甲公退')  # in its delisting period on the last day of all
        (tmp_path / name / 'sz000002.csv').write_bytes('\n'.join(text).encode('gbk'))
        assert call('ingest', 'xbx', tmp_path / name, '--store', tmp_path / f'{name}.store').status == 0
        listings[name] = MarketStore.open(tmp_path / f'{name}.store').reference_table('listings')
    assert listings['good'][['listed', 'delisted']].isna().all(axis=None)
    pd.testing.assert_frame_equal(listings['slip'], listings['good'])
