"""scripts/ingest.py: the same store from every kind of file; refusals that leave no trace; writers that are killed."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds import files
from bt_microcap.feeds.store import MarketStore
from tests.support.bad_tables import good
from tests.support.ingesting import (
    expected,
    findings,
    ingest,
    kind_of,
    later,
    named,
    refuse,
    restated,
    shuffled,
    write,
)
from tests.support.script_calls import call, one_error_line, shell
from tests.support.stores import market, same_rows, same_store


@pytest.fixture(scope='module')
def table():
    return market()


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    place = tmp_path_factory.mktemp('small')
    return ingest(place / 'store', write(good(), place / 'm.parquet')).path


@pytest.fixture
def store(small, tmp_path):
    """A store of eight rows: two stocks, four days."""
    return shutil.copytree(small, tmp_path / 'store')


# --------------------------------------------------------------------------------------------- kinds of files
FILES = [['m.parquet'], ['m.csv'], ['m.csv.gz'], ['a.parquet', 'b.parquet', 'c.parquet'], ['a.csv', 'b.csv.gz', 'c.csv']]


@pytest.mark.parametrize('batch', [None, 257])
@pytest.mark.parametrize('names', FILES, ids=' '.join)
def test_files_give_what_the_table_gives(tmp_path, monkeypatch, table, names, batch):
    """Rows in no order at all; 257 rows a part make fourteen parts of them."""
    if not names[0].endswith('.parquet'):
        table = table.astype({'turnover': 'float64'})  # a CSV has no float32
    plain = MarketStore.from_table(table)
    if batch:
        monkeypatch.setattr(files, 'BATCH', batch)
    rows = shuffled(table)
    cuts = [round(len(rows) * number / len(names)) for number in range(len(names) + 1)]
    paths = [write(rows[low:high], tmp_path / name) for name, low, high in zip(names, cuts, cuts[1:], strict=False)]
    found = ingest(tmp_path / 'store', *paths)
    same_store(found, plain)
    assert found.columns == plain.columns
    same_rows(found.table(), table)


def test_as_a_program(tmp_path, table):
    write(table, tmp_path / 'm.parquet')
    done = shell('ingest', 'parquet', 'm.parquet', '--store', 'deep/in/store', cwd=tmp_path)
    assert (done.status, done.err) == (0, '')
    assert done.lines[0].startswith(f'{tmp_path}/deep/in/store: 40 stocks, 90 days from 2019-01-02 to 2019-05-14, 3,455 rows, ')
    same_store(MarketStore.open(tmp_path / 'deep/in/store'), MarketStore.from_table(table))
    line = one_error_line(shell('ingest', '--check', 'deep', cwd=tmp_path))
    assert line == 'error: deep: found no manifest.json, expected a store; make one with scripts/ingest.py'


def test_empty_folder_is_taken(tmp_path):
    (tmp_path / 'store').mkdir()
    same_store(ingest(tmp_path / 'store', write(good(), tmp_path / 'm.csv')), expected(good()))


def test_a_parquet_file_of_many_row_groups(tmp_path, monkeypatch, table):
    """Groups smaller and larger than a part."""
    monkeypatch.setattr(files, 'BATCH', 257)
    for number, size in enumerate((100, 400, 1500)):
        shuffled(table).to_parquet(tmp_path / 'm.parquet', index=False, row_group_size=size)
        same_store(ingest(tmp_path / f'{number}', tmp_path / 'm.parquet'), MarketStore.from_table(table))


def first(**columns):
    return good()[:4].assign(**columns)


def second(**columns):
    return good()[4:].assign(**columns)


FLOAT32 = 'float32 in one file takes the digits from float64 in another'
HALF, WIDE = {'pe': np.float32(0.1)}, {'pe': 0.1}
ODD = [  # the files, their tables
    (['2023/day.csv', '2024/day.csv'], [first(), second()]),
    (['2023/day.parquet', '2024/day.parquet'], [first(), second()]),
    (['a.csv', 'b.csv'], [first().drop(columns='preclose'), second(pe=8.5)]),
    (['a.parquet', 'b.parquet'], [first(pe=8.5), second().drop(columns='preclose')]),
    (['m.csv'], [good().assign(holders=[1, 2, 3, 4, 5.5, None, 7, 8])]),
    (['m.parquet'], [good().assign(holders=pd.array([1, 2, 3, 4, None, 6, 7, 8], dtype='Int64'))]),
    (['m.parquet'], [good().assign(volume=good()['volume'].astype(str), paused=False, is_st=[True, False] * 4)]),
    (['a.parquet', 'b.parquet'], [first(**HALF), second(**HALF)]),
    (['m.parquet'], [good().assign(**{'../x': 1.0, 'a/b': 2.0, 'PE (TTM), %': 3.0, '市盈率': 4.0})]),
    named(FLOAT32, ['a.parquet', 'b.parquet'], [first(**HALF), second(**WIDE)]),
    named('two columns whose names differ in / and - share a file', ['m.csv'], [good().assign(**{'a/b': 1.0, 'a-b': 2.0})]),
]


@pytest.mark.parametrize(('names', 'tables'), ODD)
def test_odd_files(tmp_path, monkeypatch, names, tables):
    monkeypatch.setattr(files, 'BATCH', 3)
    paths = [write(table, tmp_path / name) for name, table in zip(names, tables, strict=True)]
    same_store(ingest(tmp_path / 'store', *paths), expected(*tables))


def test_nullable_truth_values(tmp_path):
    path = write(good().assign(margin=pd.array([True, None] * 4, dtype='boolean')), tmp_path / 'm.parquet')
    found = ingest(tmp_path / 'store', path)
    np.testing.assert_array_equal(found.table()['margin'], [np.nan, 1.0] * 4)  # by code: the second stock comes first


@pytest.mark.parametrize('values', [[1, 2, 3, 4, 'a', 'b', 'c', 'd'], [None, None, None, None, 'a', 'b', 'c', 'd']])
@pytest.mark.parametrize('names', [['m.csv'], ['a.csv', 'b.csv'], ['a.parquet', 'b.parquet']], ids=' '.join)
def test_further_column_that_turns_to_text(tmp_path, monkeypatch, values, names):
    """It is refused by its name, or what is text in it is not known."""
    monkeypatch.setattr(files, 'BATCH', 4)
    rows = good().assign(industry=values)
    tables = [rows] if len(names) == 1 else [rows[:4].astype({'industry': float}), rows[4:]]
    paths = [write(part, tmp_path / name) for part, name in zip(tables, names, strict=True)]
    outcome = call('ingest', kind_of(paths[0]), *paths, '--store', tmp_path / 'store')
    if outcome.status:
        assert 'industry' in one_error_line(outcome)
    else:
        assert np.isnan(MarketStore.open(tmp_path / 'store').vector('industry', 3)).all()


def test_date_as_the_index(tmp_path):
    good().set_index('date').to_parquet(tmp_path / 'm.parquet')
    same_store(ingest(tmp_path / 'store', tmp_path / 'm.parquet'), expected(good()))


def test_blank_line_at_the_end_of_a_full_part(tmp_path, monkeypatch):
    path = write(good(), tmp_path / 'm.csv')
    path.write_text(path.read_text() + '\n')
    monkeypatch.setattr(files, 'BATCH', 4)
    same_store(ingest(tmp_path / 'store', path), expected(good()))


# ------------------------------------------------------------------------------------------------------ append


@pytest.mark.parametrize('batch', [None, 257])
@pytest.mark.parametrize('ending', ['csv', 'parquet'])
def test_append(tmp_path, monkeypatch, table, ending, batch):
    """New days at both ends and in the middle, new stocks, rows stated anew, in one file."""
    table = table.drop(columns='name').astype({'turnover': 'float64'})
    days, codes = sorted(table['date'].unique()), sorted(table['code'].astype(str).unique())
    new_day = table['date'].isin([*days[:3], *days[30:35], *days[60:]])
    new_stock = table['code'].astype(str).isin([codes[0], codes[17], codes[-1]])
    again = ~new_day & ~new_stock & (table.index % 5 == 0)
    old, new = table[~new_day & ~new_stock], restated(table[new_day | new_stock | again])
    assert again.sum() > 100
    whole = expected(old, new)
    if batch:
        monkeypatch.setattr(files, 'BATCH', batch)
    ingest(tmp_path / 'store', write(shuffled(old), tmp_path / f'old.{ending}'))
    found = ingest(tmp_path / 'store', write(shuffled(new), tmp_path / f'new.{ending}'), append=True)
    same_store(found, whole)


def test_append_many_times(tmp_path, table):
    """Day by day, as a user who keeps his store up to date."""
    days = sorted(table['date'].unique())
    found = ingest(tmp_path / 'store', write(table[table['date'] < days[-6]], tmp_path / 'm.parquet'))
    for day in days[-6:]:
        found = ingest(tmp_path / 'store', write(table[table['date'] == day], tmp_path / 'm.parquet'), append=True)
    same_store(found, MarketStore.from_table(table))


def test_append_a_column_that_the_store_lacks(tmp_path, table):
    """And one of the store that the new rows lack: neither is made up where it was not given."""
    half = sorted(table['date'].unique())[45]
    old = table[table['date'] <= half].drop(columns=['roe', 'turnover'])
    new = restated(table[table['date'] >= half].drop(columns=['net_profit', 'preclose']))
    ingest(tmp_path / 'store', write(old, tmp_path / 'old.parquet'))
    found = ingest(tmp_path / 'store', write(new, tmp_path / 'new.parquet'), append=True)
    same_store(found, expected(old, new))
    assert np.isnan(found.vector('roe', 44)).all() and np.isnan(found.vector('net_profit', 45)).all()
    assert found.arrays['stock/turnover'].dtype == 'float32'


def test_append_float32_to_float64(tmp_path):
    ingest(tmp_path / 'store', write(first(**WIDE), tmp_path / 'a.parquet'))
    found = ingest(tmp_path / 'store', write(second(**HALF), tmp_path / 'b.parquet'), append=True)
    same_store(found, expected(first(**WIDE), second(**HALF)))


# ---------------------------------------------------------------------------------------------------- refusals


def test_a_store_is_there_already(tmp_path, store):
    line = refuse(store, write(good(), tmp_path / 'again.parquet'))
    assert line == f'error: {store}: there is a store already; add --append to extend it, or remove the folder'


def test_append_to_nothing(tmp_path):
    path = write(good(), tmp_path / 'm.parquet')
    line = refuse(tmp_path / 'store', path, append=True)
    assert line == f"error: {tmp_path / 'store'}: found no store to append to; leave out --append to make one"


def test_a_folder_with_other_files(tmp_path):
    path = write(good(), tmp_path / 'thesis' / 'm.parquet')
    line = refuse(path.parent, path)
    for fragment in (str(path.parent), 'a folder with other files (m.parquet)', 'give another --store'):
        assert fragment in line


def test_a_folder_with_versions_of_something_else(tmp_path):
    write(good(), tmp_path / 'thesis' / 'version-1' / 'm.parquet')
    refuse(tmp_path / 'thesis', write(good(), tmp_path / 'm.parquet'))


@pytest.mark.parametrize('below', ['', 'store'])
def test_a_file_as_store(tmp_path, below):
    path = write(good(), tmp_path / 'm.parquet')
    line = refuse(path / below, path)
    assert str(path / below) in line and 'give another --store' in line
    assert path.read_bytes()[:4] == b'PAR1'


DOUBLED = [  # the row again in the second file, what is said of it
    (['a.csv', 'b.csv'], 1, 'b.csv, line 3'), (['a.parquet', 'b.parquet'], 1, 'b.parquet, row 1'),
    (['a.csv', 'b.csv.gz'], 0, 'b.csv.gz, line 2'), (['m.csv'], 9, 'm.csv, line 11'), (['m.parquet'], 9, 'm.parquet, row 9')]


@pytest.mark.parametrize(('append', 'batch'), [(False, 3), (True, None)])
@pytest.mark.parametrize(('names', 'row', 'place'), DOUBLED, ids=[' '.join(case[0]) for case in DOUBLED])
def test_a_row_twice(tmp_path, monkeypatch, store, names, row, place, append, batch):
    """Row 4 of the first eight again, behind others; a row of the store again is none of that."""
    if batch:
        monkeypatch.setattr(files, 'BATCH', batch)
    rest = pd.concat([later(105)[:row % 8], later()[4:5], later(105)[row % 8:]])
    tables = [later(), rest] if len(names) == 2 else [pd.concat([later(), rest])]
    paths = [write(part, tmp_path / name) for part, name in zip(tables, names, strict=True)]
    where = store if append else tmp_path / 'other'
    line = refuse(where, *paths, append=append, options=['--strict'])
    file, number = place.rsplit(', ', 1)
    assert line == (f'error: {tmp_path}/{file}, {number} (2024-04-11 600001.XSHG), column code: found 600001.XSHG a second time, '
                    'expected one row per date and code; drop one of the two rows')
    found = ingest(where, *paths, append=append)
    assert findings(found) == [
        (int(number.split()[1]), '2024-04-11', '600001.XSHG', 'code', 'the same row twice', 'one of them left out')]
    assert found.findings()['file'].tolist() == [f'{tmp_path}/{file}']
    same_store(found, expected(*([good()] if append else []), later(), later(105)))


@pytest.mark.parametrize('append', [False, True])
def test_a_row_twice_with_other_content(tmp_path, store, append):
    """Neither of the two is known to be right: both are left out; of a store the row that it has stays."""
    other = later()[4:5].assign(volume=2e6)
    paths = [write(part, tmp_path / name) for name, part in (('a.csv', later()), ('b.parquet.csv', other))]
    where = store if append else tmp_path / 'other'
    line = refuse(where, *paths, append=append, options=['--strict'])
    assert line == (f'error: {paths[0]}, line 6 (2024-04-11 600001.XSHG), column code: found 600001.XSHG a second time, '
                    'expected one row per date and code; drop one of the two rows')
    found = ingest(where, *paths, append=append)
    said = '2024-04-11', '600001.XSHG', 'code', 'a second row of the day with other content', 'all of them left out'
    assert findings(found) == [(6, *said), (2, *said)]
    same_store(found, expected(*([good()] if append else []), later().drop(index=4)))


def wrong(name, row, value):
    def change(table):
        table[name] = table[name].astype(object if isinstance(value, str) else table[name].dtype)
        table.loc[row, name] = value
        return table
    return change


UNREADABLE, LEFT_OUT = '', 'row left out'
A, LAST = '600001.XSHG', '2024-01-05'
WRONG = [  # what is wrong with the last of three parts, its row, what the line must say, the finding without --strict
    ('close', wrong('close', 6, 0.0), 6, 'column close: found 0,', (LAST, A, 'close', 'no price', LEFT_OUT)),
    ('cap', wrong('market_cap', 7, 21.0), 7, 'column market_cap: found 21,', (
        LAST, '000002.XSHE', 'market_cap', 'absurd market cap', 'taken as not known, not picked on the next day')),
    ('code', wrong('code', 6, '60001'), 6, "column code: found '60001'", (LAST, '60001', 'code', 'no code of a stock', LEFT_OUT)),
    ('date', lambda t: wrong('date', 7, 'soon')(t.astype({'date': str})), 7, "column date: found 'soon'", (
        UNREADABLE, '000002.XSHE', 'date', 'no day', LEFT_OUT)),
    ('flag', wrong('paused', 6, 2.0), 6, 'column paused: found 2, expected 0 or 1', (
        LAST, A, 'paused', 'neither 0 nor 1', LEFT_OUT)),
]
NEVER = [  # a file that is of no use, whatever is asked for
    ('no close', lambda t: t.drop(columns='close'), 'missing column close'),
    ('no date', lambda t: t.drop(columns='date'), 'missing column date: found code, open'),
    ('no rows', lambda t: t[:0], 'found no rows'),
    ('lots', lambda t: t.assign(amount=100 * t['volume'] * t['close']), 'that looks like volume in lots of 100 shares'),
    ('亿 yuan', lambda t: t.assign(market_cap=t['market_cap'] / 1e8), 'looks like 亿 yuan: multiply the column by 1e+08'),
]
NO_CODE = 'parquet'
WAYS = [('csv', True), ('parquet', True), ('parquet', False)]


def good_and(bad, folder, ending):
    """A good file, and one that is good but for something."""
    return write(later(), folder / f'good.{ending}'), write(bad, folder / f'wrong.{ending}')


@pytest.mark.parametrize(('ending', 'append'), WAYS)
@pytest.mark.parametrize(('what', 'change', 'row', 'said', 'finding'), WRONG, ids=[case[0] for case in WRONG])
def test_wrong_content(tmp_path, monkeypatch, store, what, change, row, said, finding, ending, append):
    """The first file is good, and so are the first parts of the second."""
    monkeypatch.setattr(files, 'BATCH', 3)
    fine, bad = good_and(change(good()), tmp_path, ending)
    where, number = store if append else tmp_path / 'other', row + 2 * (ending == 'csv')
    line = refuse(where, fine, bad, append=append, options=['--strict'])
    assert line.startswith(f'error: {bad}, {"line" if ending == "csv" else "row"} {number}') and said in line
    assert f'{number} ' in line or f'{number},' in line
    found = ingest(where, fine, bad, append=append)
    assert findings(found) == [(number, *finding)]
    right = good().assign(market_cap=good()['market_cap'].where(good().index != row)) if what == 'cap' else good().drop(index=row)
    same_store(found, expected(*([good()] if append else []), later(), right))


@pytest.mark.parametrize('strict', [(), ('--strict',)])
@pytest.mark.parametrize(('ending', 'append'), WAYS)
@pytest.mark.parametrize(('what', 'change', 'said'), NEVER, ids=[case[0] for case in NEVER])
def test_a_wrong_table(tmp_path, monkeypatch, store, what, change, said, ending, append, strict):
    monkeypatch.setattr(files, 'BATCH', 3)
    fine, bad = good_and(change(good()), tmp_path, ending)
    files_given = (bad,) if what == '亿 yuan' else (fine, bad)  # beside as many good rows neither is the rule
    line = refuse(store if append else tmp_path / 'other', *files_given, append=append, options=strict)
    assert line.startswith('error: ') and bad.name in line and said in line


@pytest.mark.parametrize('append', [False, True])
def test_too_many_bad_rows(tmp_path, store, append):
    """Three of 400 rows are left out; five are more than one in a hundred, and the table is wrong, not the rows."""
    codes = [f'6{number:05}.XSHG' for number in range(100)]
    table = pd.concat([good()[::2].assign(code=code) for code in codes], ignore_index=True)
    where = store if append else tmp_path / 'other'
    for rows in ([7, 8, 9, 10, 11], [7, 8, 9]):
        path = write(table.assign(close=table['close'].where(~table.index.isin(rows), 0.0)), tmp_path / 'm.parquet')
        if len(rows) == 5:
            assert refuse(where, path, append=append) == (
                f'error: {path}, row 7 (2024-01-05 600001.XSHG), column close: found 0, expected a price above 0 in a traded '
                'row; drop the row if the stock did not trade (5 of 400 rows of 2024 are bad, more than 1%: the table is wrong, '
                'not the row)')
    found = ingest(where, path, append=append)
    assert [finding[0] for finding in findings(found)] == [7, 8, 9]


def test_findings_of_former_times_stay(tmp_path, store):
    first = write(wrong('close', 6, 0.0)(good()), tmp_path / 'first.csv')
    ingest(tmp_path / 'new', first)
    found = ingest(tmp_path / 'new', write(wrong('volume', 1, -1.0)(later()), tmp_path / 'second.csv'), append=True)
    assert findings(found) == [(8, LAST, A, 'close', 'no price', LEFT_OUT),
                               (3, '2024-04-09', '000002.XSHE', 'volume', 'no volume', LEFT_OUT)]
    assert found.findings()['file'].tolist() == [str(first), f'{tmp_path}/second.csv']


@pytest.mark.parametrize('ending', ['csv', NO_CODE])
def test_no_codes(tmp_path, store, ending):
    line = refuse(store, write(good().drop(columns='code'), tmp_path / f'wrong.{ending}'), append=True)
    assert 'missing column code: found date, open' in line


@pytest.mark.parametrize('append', [False, True])
@pytest.mark.parametrize('ending', ['csv', 'csv.gz', 'parquet'])
def test_files_that_cannot_be_read(tmp_path, store, ending, append):
    where = store if append else tmp_path / 'other'
    path = tmp_path / f'm.{ending}'
    assert refuse(where, path, append=append) == f'error: {path}: there is no such file; expected a canonical table ' \
        '(.parquet, .csv or .csv.gz)'
    path.write_bytes(b'')
    assert str(path) in refuse(where, path, append=append)
    path.write_bytes(os.urandom(3000))
    assert str(path) in refuse(where, path, append=append)
    write(pd.concat([good().assign(date=good()['date'] + pd.Timedelta(days=7 * number)) for number in range(50)]), path)
    path.write_bytes(path.read_bytes()[:-60])
    options = ['--strict'] if ending == 'csv' else []  # text that ends in a row: see below
    assert str(path) in refuse(where, path, append=append, options=options)


def test_a_csv_that_is_cut_off(tmp_path):
    """Its last row lacks fields; whether further ones lack nobody can tell."""
    path = write(good(), tmp_path / 'm.csv')
    path.write_bytes(path.read_bytes()[:-40])  # in the last row, amid its high
    line = refuse(tmp_path / 'store', path, options=['--strict'])
    assert line.startswith(f'error: {path}, line 9 ')
    found = ingest(tmp_path / 'store', path)
    assert [finding[0] for finding in findings(found)] == [9] and found.findings()['done'].tolist() == [LEFT_OUT]
    same_store(found, expected(good()[:-1]))


@pytest.mark.parametrize(('arguments', 'said'), [
    ([], 'found no source, expected one of parquet, csv, xbx'),
    (['parquet', 'm.parquet'], 'found no --store, expected the folder to make or extend'),
    (['parquet', '--store', 's'], 'found no files, expected canonical tables'),
    (['parquet', 'm.csv', '--store', 's'], 'm.csv: found no parquet file, expected .parquet'),
    (['csv', 'm.parquet', '--store', 's'], 'm.parquet: found no csv file, expected .csv or .csv.gz'),
    (['excel', 'm.xlsx', '--store', 's'], 'excel'),
    (['--check', 's', '--append'], '--check goes alone'), (['--check', 's', '--store', 's'], '--check goes alone'),
    (['csv', 'm.csv', '--check', 's'], '--check goes alone'), (['--check'], 'expected one argument')])
def test_wrong_arguments(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    line = one_error_line(call('ingest', *arguments))
    assert line.startswith('ingest.py: ') and said in line and line.endswith('; see ingest.py --help')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('manifest', ['{"format": 3}', '{"format": 2}', '', '{"format": 1}'])
def test_append_to_a_store_that_cannot_be_read(tmp_path, store, manifest):
    (store / 'manifest.json').write_text(manifest)
    assert str(store / 'manifest.json') in refuse(store, write(good(), tmp_path / 'm.parquet'), append=True)
