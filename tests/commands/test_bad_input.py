"""Bad input: one line that names the file, the place, what was found and what to do; exit status 2; nothing written."""

import gzip

import numpy as np
import pandas as pd
import pytest

from tests.support.bad_tables import ENDINGS, add, good, put, refuse, rows_of, swap, times, write
from tests.support.script_calls import call

# name, change of the good table, row of the place (None: the whole file), what else the line must say
CONTENT = [
    ('missing column', lambda t: t.drop(columns='market_cap'), None,
     ['missing column market_cap', 'found date, code, open', 'add it (yuan, total shares x close)']),
    ('misspelt column', lambda t: t.rename(columns={'market_cap': 'marketcap'}), None,
     ['missing column market_cap', "did you mean 'marketcap'? Rename it"]),
    ('column in capitals', lambda t: t.rename(columns={'volume': ' Volume'}), None,
     ['missing column volume', "rename ' Volume' to 'volume'"]),
    ('two columns missing', lambda t: t.drop(columns=['is_st', 'paused']), None,
     ['missing columns is_st, paused', '1 when ST or *ST on that day, else 0']),
    ('all columns missing', lambda t: pd.DataFrame({'a': [1.0], 'b': [2.0]}), None,
     ['missing columns date, code, open, high, low, close, volume, market_cap, is_st, paused', 'found a, b']),
    ('date and code twice', lambda t: pd.concat([t.iloc[:5], t.iloc[4:]]).reset_index(drop=True), 5,
     ['600001.XSHG on 2024-01-04 a second time', 'one row per date and code', 'drop one of the two rows']),
    ('date and code twice, far apart', lambda t: pd.concat([t, t.iloc[[2]]]).reset_index(drop=True), 8,
     ['600001.XSHG on 2024-01-03 a second time', 'drop one of the two rows']),
    ('no price in a traded row', put('close', 3, np.nan), 3,
     ['(2024-01-03 000002.XSHE)', 'column close: found nothing (NaN)', 'a price above 0 in a traded row',
      'drop the row if the stock did not trade']),
    ('no open in a suspended row', lambda t: put('open', 2, np.nan)(put('paused', 2, 1.0)(t)), 2,
     ['column open: found nothing (NaN)', 'a price above 0 in a suspended row', 'repeat the last close there']),
    ('price of zero', put('open', 2, 0.0), 2, ['column open: found 0,', 'a price above 0']),
    ('negative price', put('low', 6, -10.5), 6, ['column low: found -10.5,', 'a price above 0']),
    ('infinite price', put('high', 4, np.inf), 4, ['column high: found inf,', 'a finite number (yuan, raw)']),
    ('high below close', put('high', 5, 17.05), 5,
     ['column high: found 17.05,', 'at least the close 17.1', 'check the order of the price columns']),
    ('low above open', put('low', 0, 10.05), 0,
     ['column low: found 10.05,', 'at most the open 10', 'check the order of the price columns']),
    ('open, close, high, low under the wrong names',
     lambda t: t.rename(columns={'high': 'close', 'low': 'high', 'close': 'low'}), 0,
     ['some sources write open, close, high, low']),
    ('text in a number column', put('close', 3, '--'), 3, ["column close: found '--'", 'a number (yuan, raw)', 'mend or drop the row']),
    ('a number with separators', put('volume', 1, '1,000,000'), 1, ["column volume: found '1,000,000'", 'a number (shares)']),
    ('market cap in 亿 yuan', times('market_cap', 1e-8), 0,
     ['column market_cap: found 21,', 'looks like 亿 yuan: multiply the column by 1e+08']),
    ('market cap in 万 yuan', times('market_cap', 1e-4), 0,
     ['column market_cap: found 210000,', 'looks like 万 yuan: multiply the column by 10000']),
    ('market cap in 分', times('market_cap', 1e5), 0, ['column market_cap: found 210000000000000,', 'looks like 分']),
    ('market cap of zero', put('market_cap', 4, 0.0), 4, ['column market_cap: found 0,', 'yuan between 7e+06 and 3.3e+13', 'check the row']),
    ('negative market cap', put('market_cap', 4, -2.1e9), 4, ['column market_cap: found -2100000000,', 'check the row']),
    ('dates not ascending', swap((2, 4)), 4,
     ['column date: found 2024-01-03 after a later day of the same stock', 'ascending order', "sort the table by ['date', 'code']"]),
    ('codes without an exchange', rows_of(('600001', '000002')), 0,
     ["column code: found '600001'", 'six digits and .XSHG, .XSHE or .BJSE', 'write codes as 600000.XSHG']),
    ('codes of another style', rows_of(('600001.SH', '000002.SZ')), 0, ["column code: found '600001.SH'", 'write codes as 600000.XSHG']),
    ('mixed code styles', rows_of(('600001.XSHG', 'sz000002')), 1,
     ["column code: found 'sz000002'", 'the file mixes code styles (600001.XSHG is right)']),
    ('no code', put('code', 3, None), 3, ['column code: found nothing (NaN)', 'six digits']),
    ('is_st of 2', put('is_st', 7, 2.0), 7, ['column is_st: found 2,', 'expected 0 or 1']),
    ('is_st as text', add(is_st='否'), 0, ["column is_st: found '否'", 'a number (1 when ST or *ST on that day, else 0)']),
    ('paused unknown', put('paused', 2, np.nan), 2, ['column paused: found nothing (NaN)', 'expected 0 or 1']),
    ('negative volume', put('volume', 1, -100.0), 1, ['column volume: found -100,', '0 or more shares']),
    ('volume unknown', put('volume', 1, np.nan), 1,
     ['column volume: found nothing (NaN)', '0 or more shares', 'write 0 where nothing was traded']),
    ('preclose of zero', put('preclose', 2, 0.0), 2,
     ['column preclose: found 0,', 'a price above 0', 'leave it empty where it is not known']),
    ('limits swapped', add(high_limit=9.0, low_limit=11.0), 0,
     ['column high_limit: found 9,', 'at least the low_limit 11', 'the two limits are swapped']),
    ('share ratio of zero', add(share_ratio=0.0), 0,
     ['column share_ratio: found 0,', 'a ratio above 0', 'leave it empty where it is not known']),
    ('negative dividend', add(cash_dividend=-0.1), 0, ['column cash_dividend: found -0.1,', '0 or more yuan a share']),
    ('no rows', lambda t: t.iloc[:0], None, ['found no rows', 'one row per stock and trading day']),
]


@pytest.mark.parametrize('ending', ENDINGS)
@pytest.mark.parametrize(('change', 'row', 'fragments'), [case[1:] for case in CONTENT], ids=[case[0] for case in CONTENT])
def test_wrong_content(tmp_path, change, row, fragments, ending):
    path = write(change(good()), tmp_path / f'market{ending}')
    line = refuse(tmp_path, '--data', path)
    assert line.startswith(f'error: {path}')
    if row is not None:
        assert f'{path}, {"row" if ending == ".parquet" else "line"} {row + (0 if ending == ".parquet" else 2)}' in line
    for fragment in fragments:
        assert fragment in line


@pytest.mark.parametrize('ending', ['.csv', '.parquet'])
def test_the_good_table_is_good(tmp_path, ending):
    path = write(good(), tmp_path / f'market{ending}')
    outcome = call('backtest', '--data', path, '--out', tmp_path / 'results', '--no-plot')
    assert (outcome.status, outcome.err) == (0, '')


@pytest.mark.parametrize(('text', 'fragments'), [
    ('2024-13-45', ["column date: found '2024-13-45'", 'a day such as 2024-11-01', 'write each date as YYYY-MM-DD']),
    ('yesterday', ["column date: found 'yesterday'", 'write each date as YYYY-MM-DD']),
    ('20241301', ["column date: found '20241301'", 'write each date as YYYY-MM-DD']),
    ('45294', ["column date: found '45294'", 'write each date as YYYY-MM-DD']),
    ('', ['column date: found nothing (NaN)', 'write each date as YYYY-MM-DD']),
    ('2024-01-03 15:00:00', ["column date: found '2024-01-03 15:00:00'", 'a day without a time', 'drop the time']),
])
def test_wrong_dates_in_text(tmp_path, text, fragments):
    table = good().astype({'date': 'str'})
    table.loc[2, 'date'] = text
    path = write(table, tmp_path / 'market.csv')
    line = refuse(tmp_path, '--data', path)
    assert f'{path}, line 4, ' in line
    for fragment in fragments:
        assert fragment in line


def test_date_with_a_time_in_parquet(tmp_path):
    table = good()
    table.loc[3, 'date'] = pd.Timestamp('2024-01-03 15:00')
    line = refuse(tmp_path, '--data', write(table, tmp_path / 'market.parquet'))
    for fragment in ('row 3, column date: found 2024-01-03 15:00:00', 'a day without a time', 'drop the time'):
        assert fragment in line


def test_dates_with_a_time_zone_in_parquet(tmp_path):
    table = good()
    table['date'] = table['date'].dt.tz_localize('Asia/Shanghai')
    line = refuse(tmp_path, '--data', write(table, tmp_path / 'market.parquet'))
    for fragment in ('row 0, column date: found 2024-01-02 00:00:00+08:00', 'drop the time zone with .dt.tz_localize(None)'):
        assert fragment in line


@pytest.mark.parametrize('zones', [['+08:00'], ['+08:00', 'Z']], ids=['one zone', 'mixed zones'])
def test_dates_with_a_time_zone_in_text(tmp_path, zones):
    table = good().astype({'date': 'str'})
    table['date'] = [f'{day}T00:00:00{zones[number % len(zones)]}' for number, day in enumerate(table['date'])]
    line = refuse(tmp_path, '--data', write(table, tmp_path / 'market.csv'))
    for fragment in ('line 2, column date: found', '2024-01-02T00:00:00+08:00', 'time zone'):
        assert fragment in line


# ------------------------------------------------------------------------------------- files that are no tables


def test_empty_file(tmp_path):
    path = tmp_path / 'market.csv'
    path.write_bytes(b'')
    line = refuse(tmp_path, '--data', path)
    for fragment in (str(path), 'found an empty file', 'expected a header line and rows'):
        assert fragment in line


def test_empty_gzip(tmp_path):
    path = tmp_path / 'market.csv.gz'
    path.write_bytes(gzip.compress(b''))
    assert 'found an empty file' in refuse(tmp_path, '--data', path)


def gbk(tmp_path, rows_before):
    table = pd.concat([good()] * rows_before).reset_index(drop=True)
    table['name'] = 'plain'
    table.loc[len(table) - 1, 'name'] = '虚构股份'
    path = tmp_path / 'market.csv'
    path.write_bytes(table.to_csv(index=False).encode('gbk'))
    return path


def test_csv_in_gbk(tmp_path):
    path = gbk(tmp_path, 1)
    line = refuse(tmp_path, '--data', path)
    for fragment in (str(path), 'not UTF-8', 'expected UTF-8', 'gb18030'):
        assert fragment in line


def test_place_of_the_bytes_in_a_large_csv_in_gbk(tmp_path):
    path = gbk(tmp_path, 5000)
    assert f'{path}, line 40001: found bytes that are not UTF-8' in refuse(tmp_path, '--data', path)


def test_csv_under_the_name_of_parquet(tmp_path):
    path = tmp_path / 'market.parquet'
    path.write_text(good().to_csv(index=False), encoding='utf-8')
    line = refuse(tmp_path, '--data', path)
    for fragment in (str(path), 'not readable as Parquet', 'write the file again'):
        assert fragment in line


def test_parquet_under_the_name_of_csv(tmp_path):
    path = write(good(), tmp_path / 'market.parquet').rename(tmp_path / 'market.csv')
    assert str(path) in refuse(tmp_path, '--data', path)


def test_truncated_parquet(tmp_path):
    path = write(good(), tmp_path / 'market.parquet')
    path.write_bytes(path.read_bytes()[:-100])
    line = refuse(tmp_path, '--data', path)
    for fragment in (str(path), 'not readable as Parquet', 'write the file again'):
        assert fragment in line


def test_truncated_gzip(tmp_path):
    path = write(good(), tmp_path / 'market.csv.gz')
    path.write_bytes(path.read_bytes()[:-40])
    line = refuse(tmp_path, '--data', path)
    for fragment in (str(path), 'not readable as CSV', 'end-of-stream', 'write the file again'):
        assert fragment in line


def test_damaged_gzip(tmp_path):
    path = write(good(), tmp_path / 'market.csv.gz')
    data = bytearray(path.read_bytes())
    data[40:60] = bytes(20)
    path.write_bytes(data)
    assert str(path) in refuse(tmp_path, '--data', path)


def test_plain_text_under_the_name_of_gzip(tmp_path):
    path = write(good(), tmp_path / 'market.csv').rename(tmp_path / 'market.csv.gz')
    line = refuse(tmp_path, '--data', path)
    for fragment in (str(path), 'not readable as CSV', 'Not a gzipped file'):
        assert fragment in line


def test_row_with_a_field_too_many(tmp_path):
    path = write(good(), tmp_path / 'market.csv')
    lines = path.read_text().splitlines()
    lines[3] += ',1'
    path.write_text('\n'.join(lines) + '\n')
    line = refuse(tmp_path, '--data', path)
    for fragment in (str(path), 'not readable as CSV', 'line 4, saw 12'):
        assert fragment in line


def test_line_number_after_a_blank_line(tmp_path):
    path = write(put('close', 3, 0.0)(good()), tmp_path / 'market.csv')
    lines = path.read_text().splitlines()
    lines.insert(2, '')
    path.write_text('\n'.join(lines) + '\n')
    assert 'line 6 ' in refuse(tmp_path, '--data', path)


def test_column_twice_in_a_csv(tmp_path):
    path = write(good(), tmp_path / 'market.csv')
    lines = path.read_text().splitlines()
    lines = [lines[0] + ',close', *(line + ',99.0' for line in lines[1:])]
    path.write_text('\n'.join(lines) + '\n')
    assert "the column 'close' is there twice" in refuse(tmp_path, '--data', path)


def test_header_short_of_a_name(tmp_path):
    """Every row has a field more than the header: which one is unnamed cannot be told."""
    path = write(good(), tmp_path / 'market.csv')
    lines = path.read_text().splitlines()
    lines[0] = lines[0].removesuffix(',paused')
    path.write_text('\n'.join(lines) + '\n')
    line = refuse(tmp_path, '--data', path)
    assert 'missing column paused' in line or 'fields' in line


def test_semicolons(tmp_path):
    path = tmp_path / 'market.csv'
    good().to_csv(path, index=False, sep=';')
    line = refuse(tmp_path, '--data', path)
    for fragment in (str(path), 'missing columns date, code,', 'found date;code;open'):
        assert fragment in line


def test_wrong_ending(tmp_path):
    path = tmp_path / 'market.xlsx'
    path.write_bytes(b'PK')
    line = refuse(tmp_path, '--data', path)
    for fragment in (str(path), 'found the ending .xlsx', 'expected .parquet, .csv or .csv.gz'):
        assert fragment in line


def test_missing_file(tmp_path):
    line = refuse(tmp_path, '--data', tmp_path / 'nowhere.parquet')
    for fragment in (str(tmp_path / 'nowhere.parquet'), 'there is no such file', '.parquet, .csv or .csv.gz'):
        assert fragment in line


def test_a_folder(tmp_path):
    folder = tmp_path / 'data'
    folder.mkdir()
    line = refuse(tmp_path, '--data', folder)
    for fragment in (str(folder), 'found no manifest.json', 'expected a store', 'scripts/ingest.py'):
        assert fragment in line
