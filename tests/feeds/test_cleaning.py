"""Every kind of finding, by everything that reads tables: the rows in the end, what is listed, told and refused."""

import pandas as pd
import pytest

from tests.support.dirty_tables import CASES, CHINESE, COLUMNS, READERS, A, good, read

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
    if reader.startswith(('ingest', 'backtest')):
        with pytest.raises(FileNotFoundError, match=r'quarantine\.csv'):
            read(reader, table, tmp_path)
        return
    taken = read(reader, table, tmp_path)
    assert taken.refused == ''
    assert taken.told in ([], [''])
    expected = rows_as(good())
    if reader in ALONE:
        expected = expected[expected['code'] == A].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows_as(taken.rows), expected, check_exact=True)
