"""Bad input: one line that names the file, the place, what was found and what to do; exit status 2; nothing written.

Single bad rows are left out or mended and listed, unless ``--strict`` asks for the same line.
"""

import gzip

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.store import MarketStore
from tests.support.bad_tables import CODES, ENDINGS, add, good, put, refuse, rows_of, swap, take, times, write
from tests.support.script_calls import call

A, B = CODES
OUT, UNKNOWN = 'row left out', 'taken as not known'
NOT_PICKED = 'taken as not known, not picked on the next day'

# Single rows: name, change of the good table, row, what the line must say with --strict, what is found without: column, finding,
# what was done
ROWS = [
    ('date and code twice', lambda t: pd.concat([t.iloc[:5], t.iloc[4:]]).reset_index(drop=True), 5,
     [f'(2024-01-04 {A}), column code: found {A} a second time', 'one row per date and code', 'drop one of the two rows'],
     ('code', 'the same row twice', 'one of them left out')),
    ('date and code twice, far apart', lambda t: pd.concat([t, t.iloc[[2]]]).reset_index(drop=True), 8,
     [f'(2024-01-03 {A}), column code: found {A} a second time', 'drop one of the two rows'],
     ('code', 'the same row twice', 'one of them left out')),
    ('no price in a traded row', put('close', 3, np.nan), 3,
     ['(2024-01-03 000002.XSHE)', 'column close: found nothing (NaN)', 'a price above 0 in a traded row',
      'drop the row if the stock did not trade'], ('close', 'no price', OUT)),
    ('no open in a suspended row', lambda t: put('open', 2, np.nan)(put('paused', 2, 1.0)(t)), 2,
     ['column open: found nothing (NaN)', 'a price above 0 in a suspended row', 'repeat the last close there'],
     ('open', 'no price on a suspended day', 'given the close')),
    ('price of zero', put('open', 2, 0.0), 2, ['column open: found 0,', 'a price above 0'], ('open', 'no price', OUT)),
    ('negative price', put('low', 6, -10.5), 6, ['column low: found -10.5,', 'a price above 0'], ('low', 'no price', OUT)),
    ('infinite price', put('high', 4, np.inf), 4, ['column high: found inf,', 'a price above 0 in a traded row'],
     ('high', 'no price', OUT)),
    ('high below close', put('high', 5, 17.05), 5,
     ['column high: found 17.05,', 'at least the close 17.1', 'check the order of the price columns'],
     ('high', 'high below open or close', 'high widened')),
    ('low above open', put('low', 0, 10.05), 0,
     ['column low: found 10.05,', 'at most the open 10', 'check the order of the price columns'],
     ('low', 'low above open or close', 'low widened')),
    ('high below low', put('high', 3, 15.2), 3,
     ['column high: found 15.2,', 'at least the low 15.5', 'check the order of the price columns'], ('high', 'high below low', OUT)),
    ('text in a number column', put('close', 3, 'n/k'), 3,
     ["column close: found 'n/k'", 'a price above 0 in a traded row', 'drop the row'], ('close', 'no price', OUT)),
    ('a dash for a number', put('close', 3, '--'), 3,
     ['column close: found nothing (NaN)', 'a price above 0 in a traded row', 'drop the row'], ('close', 'no price', OUT)),
    ('a number with its unit', put('volume', 1, '1000000股'), 1,
     ["column volume: found '1000000股'", '0 or more shares'], ('volume', 'no volume', OUT)),
    ('market cap of zero', put('market_cap', 4, 0.0), 4,
     ['column market_cap: found 0,', 'yuan between 7e+06 and 3.3e+13', 'check the row'],
     ('market_cap', 'no market cap', 'not picked on the next day')),
    ('negative market cap', put('market_cap', 4, -2.1e9), 4, ['column market_cap: found -2100000000,', 'check the row'],
     ('market_cap', 'absurd market cap', NOT_PICKED)),
    ('market cap in words', put('market_cap', 4, 'large'), 4, ["column market_cap: found 'large'", 'a number (yuan, total shares'],
     ('market_cap', 'no number', UNKNOWN)),
    ('no code', put('code', 3, None), 3, ['column code: found nothing (NaN)', 'six digits'], ('code', 'no code of a stock', OUT)),
    ('a code of no stock', put('code', 3, 'XAUUSD'), 3,
     ["column code: found 'XAUUSD'", 'six digits and .XSHG, .XSHE or .BJSE', 'write codes as 600000.XSHG'],
     ('code', 'no code of a stock', OUT)),
    ('is_st of 2', put('is_st', 7, 2.0), 7, ['column is_st: found 2,', 'expected 0 or 1'], ('is_st', 'neither 0 nor 1', OUT)),
    ('is_st as text', put('is_st', 7, 'maybe'), 7, ["column is_st: found 'maybe'", '1 when ST or *ST on that day, else 0'],
     ('is_st', 'neither 0 nor 1', OUT)),
    ('paused unknown', put('paused', 2, np.nan), 2, ['column paused: found nothing (NaN)', 'expected 0 or 1'],
     ('paused', 'neither 0 nor 1', OUT)),
    ('negative volume', put('volume', 1, -100.0), 1, ['column volume: found -100,', '0 or more shares'],
     ('volume', 'no volume', OUT)),
    ('volume unknown', put('volume', 1, np.nan), 1,
     ['column volume: found nothing (NaN)', '0 or more shares', 'write 0 where nothing was traded'], ('volume', 'no volume', OUT)),
    ('preclose of zero', put('preclose', 2, 0.0), 2,
     ['column preclose: found 0,', 'a price above 0', 'leave it empty where it is not known'],
     ('preclose', 'not above 0', UNKNOWN)),
    ('limits swapped', lambda t: put('high_limit', 1, 9.0)(t.assign(high_limit=99.0, low_limit=11.0)), 1,
     ['column high_limit: found 9,', 'at least the low_limit 11', 'the two limits are swapped'],
     ('high_limit', 'upper limit below the lower one', UNKNOWN)),
    ('share ratio of zero', lambda t: put('share_ratio', 1, 0.0)(t.assign(share_ratio=1.0)), 1,
     ['column share_ratio: found 0,', 'a ratio above 0', 'leave it empty where it is not known'],
     ('share_ratio', 'not above 0', UNKNOWN)),
    ('negative dividend', lambda t: put('cash_dividend', 1, -0.1)(t.assign(cash_dividend=0.0)), 1,
     ['column cash_dividend: found -0.1,', '0 or more yuan a share'], ('cash_dividend', 'below 0', UNKNOWN)),
]

# The whole table, whatever is asked for: name, change, row of the place (None: the file), what the line must say
TABLES = [
    ('missing column', lambda t: t.drop(columns='market_cap'), None,
     ['missing column market_cap', 'found date, code, open', 'add it (yuan, total shares x close)']),
    ('misspelt column', lambda t: t.rename(columns={'market_cap': 'market_kap'}), None,
     ['missing column market_cap', "did you mean 'market_kap'? Rename it (--rename market_kap=market_cap)"]),
    ('two columns missing', lambda t: t.drop(columns=['is_st', 'paused']), None,
     ['missing columns is_st, paused', '1 when ST or *ST on that day, else 0']),
    ('all columns missing', lambda t: pd.DataFrame({'a': [1.0], 'b': [2.0]}), None,
     ['missing columns date, code, open, high, low, close, volume, market_cap, is_st, paused', 'found a, b']),
    ('open, close, high, low under the wrong names',
     lambda t: t.rename(columns={'high': 'close', 'low': 'high', 'close': 'low'}), 0,
     ['some sources write open, close, high, low']),
    ('market cap in 亿 yuan', times('market_cap', 1e-8), 0,
     ['column market_cap: found 21,', 'looks like 亿 yuan: multiply the column by 1e+08 (--scale market_cap=1e+08)']),
    ('market cap in 万 yuan', times('market_cap', 1e-4), 0,
     ['column market_cap: found 210000,', 'looks like 万 yuan: multiply the column by 10000 (--scale market_cap=10000)']),
    ('market cap in 分', times('market_cap', 1e5), 0, ['column market_cap: found 210000000000000,', 'looks like 分']),
    ('no market cap', add(market_cap=np.nan), None,
     ['column market_cap: found nothing in 8 of 8 traded rows', 'expected yuan, total shares x close']),
    ('volume in lots', lambda t: t.assign(amount=t['volume'] * t['close'], volume=t['volume'] / 100), None,
     ['amount is about 100 times volume x close in 2024', 'volume in lots of 100 shares: multiply by --scale volume=100']),
    ('amount in 万 yuan', lambda t: t.assign(amount=t['volume'] * t['close'] / 1e4), None,
     ['amount is about 0.0001 times volume x close in 2024', 'multiply by --scale amount=10000']),
    ('adjusted prices', lambda t: t.assign(amount=t['volume'] * t['close'] * 1.5), 0,
     ['found prices from 9.5 to 10.5, but amount / volume is 15.15: adjusted prices', '不复权']),
    ('is_st as text', add(is_st='maybe'), 0, ["column is_st: found 'maybe'", '1 when ST or *ST on that day, else 0']),
    ('limits swapped', add(high_limit=9.0, low_limit=11.0), 0,
     ['column high_limit: found 9,', 'at least the low_limit 11', 'the two limits are swapped']),
    ('share ratio of zero', add(share_ratio=0.0), 0,
     ['column share_ratio: found 0,', 'a ratio above 0', 'leave it empty where it is not known']),
    ('negative dividend', add(cash_dividend=-0.1), 0, ['column cash_dividend: found -0.1,', '0 or more yuan a share']),
    ('codes of no stock', rows_of(('EURUSD', 'XAUUSD')), 0, ["column code: found 'EURUSD'", 'six digits and .XSHG, .XSHE or .BJSE']),
    ('no rows', lambda t: t.iloc[:0], None, ['found no rows', 'one row per stock and trading day']),
]

# What was refused, and is taken as it is meant: the same run as the good table
TAKEN = [
    ('column in capitals', lambda t: t.rename(columns={'volume': ' Volume'})),
    ('another word', lambda t: t.rename(columns={'market_cap': 'marketcap'})),
    ('dates not ascending', swap((2, 4))),
    ('upside down', lambda t: t[::-1].reset_index(drop=True)),
    ('codes without an exchange', rows_of(('600001', '000002'))),
    ('codes as numbers', rows_of((600001, 2))),
    ('codes of another style', rows_of(('600001.SH', '000002.SZ'))),
    ('mixed code styles', rows_of(('600001.XSHG', 'sz000002'))),
    ('is_st in Chinese', add(is_st='否')),
    ('paused as truth', add(paused=False)),
    ('numbers with separators', add(volume='1,000,000')),
    ('a number with separators', put('volume', 1, '1,000,000')),
    ('trade status', lambda t: t.drop(columns='paused').assign(trade_status=1)),
    ('a name instead of is_st', lambda t: t.drop(columns='is_st').assign(股票名称='甲公司')),
]


def named(path, row):
    """How messages call a row."""
    return f'{path}, {"row" if path.suffix == ".parquet" else "line"} {row + (0 if path.suffix == ".parquet" else 2)}'


@pytest.mark.parametrize('ending', ENDINGS)
@pytest.mark.parametrize(('change', 'row', 'fragments', 'found'), [case[1:] for case in ROWS], ids=[case[0] for case in ROWS])
def test_wrong_content(tmp_path, change, row, fragments, found, ending):
    """A row that is not as it should be is refused where that is asked for, else it is left out or mended, and listed."""
    table = change(good())
    path = write(table.copy(), tmp_path / f'market{ending}')
    line = refuse(tmp_path, '--data', path, '--strict')
    assert line.startswith((f'error: {named(path, row)} ', f'error: {named(path, row)}, '))
    for fragment in fragments:
        assert fragment in line
    code = '' if pd.isna(table['code'][row]) else table['code'][row]
    number = row + (0 if ending == '.parquet' else 2)
    assert take(tmp_path, path) == [(number, f'{table["date"][row]:%Y-%m-%d}', code, *found)]


@pytest.mark.parametrize('strict', [[], ['--strict']], ids=['', 'strict'])
@pytest.mark.parametrize('ending', ENDINGS)
@pytest.mark.parametrize(('change', 'row', 'fragments'), [case[1:] for case in TABLES], ids=[case[0] for case in TABLES])
def test_a_wrong_table(tmp_path, change, row, fragments, ending, strict):
    path = write(change(good()), tmp_path / f'market{ending}')
    line = refuse(tmp_path, '--data', path, *strict)
    assert line.startswith(f'error: {path}')
    if row is not None:
        assert line.startswith((f'error: {named(path, row)} ', f'error: {named(path, row)}, '))
    for fragment in fragments:
        assert fragment in line


@pytest.fixture(scope='module')
def usual(tmp_path_factory):
    """What a run of the good table leaves behind."""
    folder = tmp_path_factory.mktemp('usual')
    return results(folder, write(good(), folder / 'market.parquet'))


def results(folder, path, *options):
    outcome = call('backtest', '--data', path, '--out', folder / 'results', '--no-plot', *options)
    assert (outcome.status, outcome.err) == (0, '')
    return {file.name: file.read_bytes() for file in (folder / 'results').glob('*.csv')}


@pytest.mark.parametrize('ending', ENDINGS)
@pytest.mark.parametrize('change', [case[1] for case in TAKEN], ids=[case[0] for case in TAKEN])
def test_tables_as_people_have_them(tmp_path, usual, change, ending):
    assert len(usual['trades.csv'].splitlines()) > 1
    assert results(tmp_path, write(change(good()), tmp_path / f'market{ending}')) == usual


def test_ascending_dates_are_asked_for_by_nobody_but_strict(tmp_path):
    """A table in memory is refused for its order where that is asked for; a run sorts it in any case."""
    with pytest.raises(DataError, match="row 4, column date: found 2024-01-03 after a later day of the same stock, expected each "
                                        r"stock's dates in ascending order; sort the table by \['date', 'code'\]"):
        check_table(swap((2, 4))(good()), strict=True)
    pd.testing.assert_frame_equal(check_table(swap((2, 4))(good())), check_table(good()).sort_values(
        ['date', 'code'], ignore_index=True))


def test_three_bad_rows_condemn_a_small_table(tmp_path):
    """Two bad rows never do; three are more than one in a hundred."""
    table = good()
    table.loc[[1, 3], 'open'] = 0.0
    assert [found[0] for found in take(tmp_path, write(table, tmp_path / 'two.csv'))] == [3, 5]
    table.loc[6, 'volume'] = -1.0
    path, out = write(table, tmp_path / 'three.csv'), tmp_path / 'other'
    out.mkdir()
    assert refuse(out, '--data', path) == (
        f'error: {path}, line 3 (2024-01-02 {B}), column open: found 0, expected a price above 0 in a traded row; drop the row '
        'if the stock did not trade (3 of 8 rows of 2024 are bad, more than 1%: the table is wrong, not the row)')


@pytest.mark.parametrize('ending', ['.csv', '.parquet'])
def test_the_good_table_is_good(tmp_path, ending):
    path = write(good(), tmp_path / f'market{ending}')
    outcome = call('backtest', '--data', path, '--out', tmp_path / 'results', '--no-plot')
    assert (outcome.status, outcome.err) == (0, '')


@pytest.mark.parametrize(('text', 'said'), [
    ('2024-13-45', "'2024-13-45'"), ('yesterday', "'yesterday'"), ('20241301', "'20241301'"), ('45294', "'45294'"),
    ('', 'nothing (NaN)'), ('2024-01-03 15:00:00', "'2024-01-03 15:00:00'"),
])
def test_wrong_dates_in_text(tmp_path, text, said):
    table = good().astype({'date': 'str'})
    table.loc[2, 'date'] = text
    path = write(table, tmp_path / 'market.csv')
    assert refuse(tmp_path, '--data', path, '--strict') == (
        f'error: {path}, line 4, column date: found {said}, expected a day without a time such as 2024-11-01; '
        'write each date as YYYY-MM-DD')
    assert take(tmp_path, path) == [(4, '', A, 'date', 'no day', OUT)]


@pytest.mark.parametrize('form', ['%Y%m%d', '%Y/%m/%d', '%Y.%m.%d', '%Y年%m月%d日', '%Y-%m-%d 00:00:00', '%Y-%m-%dT00:00:00.000'])
def test_dates_in_other_forms(tmp_path, usual, form):
    table = good()
    path = write(table.assign(date=table['date'].dt.strftime(form)), tmp_path / 'market.csv')
    assert results(tmp_path, path) == usual


def test_date_with_a_time_in_parquet(tmp_path):
    table = good()
    table.loc[3, 'date'] = pd.Timestamp('2024-01-03 15:00')
    path = write(table, tmp_path / 'market.parquet')
    line = refuse(tmp_path, '--data', path, '--strict')
    for fragment in ('row 3, column date: found 2024-01-03 15:00:00', 'a day without a time', 'write each date as YYYY-MM-DD'):
        assert fragment in line
    assert take(tmp_path, path) == [(3, '', B, 'date', 'no day', OUT)]


def test_dates_with_a_time_zone_in_parquet(tmp_path):
    table = good()
    table['date'] = table['date'].dt.tz_localize('Asia/Shanghai')
    line = refuse(tmp_path, '--data', write(table, tmp_path / 'market.parquet'))
    for fragment in ('row 0, column date: found 2024-01-02 00:00:00+08:00', 'drop the time zone with .dt.tz_localize(None)'):
        assert fragment in line


@pytest.mark.parametrize('strict', [[], ['--strict']], ids=['', 'strict'])
@pytest.mark.parametrize('zones', [['+08:00'], ['+08:00', 'Z']], ids=['one zone', 'mixed zones'])
def test_dates_with_a_time_zone_in_text(tmp_path, zones, strict):
    table = good().astype({'date': 'str'})
    table['date'] = [f'{day}T00:00:00{zones[number % len(zones)]}' for number, day in enumerate(table['date'])]
    line = refuse(tmp_path, '--data', write(table, tmp_path / 'market.csv'), *strict)
    for fragment in ("line 2, column date: found '2024-01-02T00:00:00+08:00'", 'a day without a time'):
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


def with_bytes(tmp_path, rows, name, encoding='gbk'):
    """A table of many rows, and a text in its last one."""
    table = good()[:1].assign(industry='plain').loc[[0] * rows]
    table['code'] = [f'60{number:04}.XSHG' for number in range(rows)]
    text = table.to_csv(index=False)
    path = tmp_path / 'market.csv'
    path.write_bytes(text[:text.rindex('plain')].encode() + (name if isinstance(name, bytes) else name.encode(encoding)) + b'\n')
    return path


@pytest.mark.parametrize('encoding', ['gbk', 'utf-8', 'utf-8-sig'])
def test_csv_in_gbk(tmp_path, usual, encoding):
    """What Chinese Excel writes is read as what it is, to its last row."""
    table = good().rename(columns={'date': '交易日期', 'code': '股票代码', 'open': '开盘价', 'volume': '成交量', 'market_cap': '总市值'})
    path = tmp_path / 'market.csv'
    table.assign(板块='主板').to_csv(path, index=False, encoding=encoding)
    assert results(tmp_path, path) == usual
    path = with_bytes(tmp_path, 9000, '虚构股份', encoding.removesuffix('-sig'))
    assert MarketStore.from_file(path).rows == 9000


def test_place_of_bytes_that_are_no_text(tmp_path):
    path = with_bytes(tmp_path, 9000, b'\xb0\xff\xfe')
    assert refuse(tmp_path, '--data', path) == (
        f'error: {path}, line 9001: found bytes that are neither UTF-8 nor GBK, expected text; save the file again')


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
    line = refuse(tmp_path, '--data', path, '--strict')
    for fragment in (f'error: {path}, line 4, ', '12 fields'):
        assert fragment in line
    assert [(found[0], found[-1]) for found in take(tmp_path, path)] == [(4, OUT)]


def test_line_number_after_a_blank_line(tmp_path):
    path = write(put('close', 3, 0.0)(good()), tmp_path / 'market.csv')
    lines = path.read_text().splitlines()
    lines.insert(2, '')
    path.write_text('\n'.join(lines) + '\n')
    assert 'line 6 ' in refuse(tmp_path, '--data', path, '--strict')
    assert take(tmp_path, path) == [(6, '2024-01-03', B, 'close', 'no price', OUT)]


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


@pytest.mark.parametrize('separator', [';', '\t', '|'], ids=['semicolons', 'tabs', 'bars'])
def test_separators(tmp_path, usual, separator):
    path = tmp_path / 'market.csv'
    good().to_csv(path, index=False, sep=separator)
    if separator == '|':
        line = refuse(tmp_path, '--data', path)
        for fragment in (str(path), 'missing columns date, code,', 'found date|code|open'):
            assert fragment in line
    else:
        assert results(tmp_path, path) == usual


def test_a_banner_before_the_header(tmp_path, usual):
    path = tmp_path / 'market.csv'
    path.write_text('made by hand\n' + good().to_csv(index=False))
    assert results(tmp_path, path) == usual
    path.write_text('made by hand\n' + put('close', 3, 0.0)(good()).to_csv(index=False))
    assert 'line 6 ' in refuse(tmp_path / 'other', '--data', path, '--strict')


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
