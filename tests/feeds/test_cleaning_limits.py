"""When the table is wrong, not a row; what the days asked for leave out; what stays of a refused and of a former ingest."""

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import StockPandas
from bt_microcap.feeds.store import MarketStore, check
from tests.support.bad_tables import write
from tests.support.dirty_tables import A, B, good, listed, read
from tests.support.ingesting import contents
from tests.support.script_calls import call, one_error_line

WAYS = ('check_table', 'MarketStore.from_table', 'MarketStore.from_file, parquet', 'MarketStore.from_file, csv.gz',
        'ingest parquet', 'ingest csv', 'backtest, parquet')
CODES = ('600001.XSHG', '600002.XSHG', '000001.XSHE', '300001.XSHE')
WRONG = 'the table is wrong, not the row)'


def years(first=2013, last=2024):
    """400 rows of each year: four stocks on its first hundred weekdays; 2024 is in rows 4400 to 4799."""
    days = np.concatenate([pd.bdate_range(f'{year}-01-02', periods=100) for year in range(first, last + 1)])
    table = good()[:4].iloc[np.tile(range(4), len(days))].reset_index(drop=True)
    return table.assign(date=np.repeat(days, 4), code=list(CODES) * len(days))


def with_bad(table, year, count, column='close', value=0.0):
    at = table.index[table['date'].dt.year == year][:count]
    table.loc[at, column] = value
    return table


# ------------------------------------------------------------------------------------------------------------- one in a hundred

RULE = [
    ('four of 400', [(2024, 4)], None),
    ('five of 400', [(2024, 5)], '(5 of 400 rows of 2024 are bad, more than 1%: '),
    ('four in every year', [(year, 4) for year in range(2013, 2025)], None),
    ('the tenth year back', [(2015, 5)], '(5 of 400 rows of 2015 are bad, more than 1%: '),
    ('the eleventh year back', [(2014, 40)], None),
]


@pytest.mark.parametrize('reader', WAYS)
@pytest.mark.parametrize(('bad', 'said'), [case[1:] for case in RULE], ids=[case[0] for case in RULE])
def test_one_in_a_hundred(tmp_path, bad, said, reader):
    table = years()
    for year, count in bad:
        table = with_bad(table, year, count)
    taken = read(reader, table, tmp_path)
    if said is None:
        assert taken.refused == ''
        assert len(taken.findings) == sum(count for _, count in bad)
    else:
        assert taken.refused.endswith(said + WRONG)
        assert f'({bad[0][0]}-01-02 {CODES[0]}), column close: found 0, expected a price' in taken.refused


@pytest.mark.parametrize('reader', WAYS)
@pytest.mark.parametrize(('count', 'column', 'value', 'refused'), [
    (200, 'market_cap', np.nan, False), (5, 'market_cap', 1.0, True), (5, 'preclose', -1.0, True), (4, 'preclose', -1.0, False),
    (5, 'high', 10.05, True), (5, 'is_st', 3.0, True)])
def test_what_counts(tmp_path, count, column, value, refused, reader):
    """A market cap that is not known is no bad row; one that is absurd is, and so is all that is mended by its content."""
    taken = read(reader, with_bad(years(), 2020, count, column, value), tmp_path)
    assert (f'({count} of 400 rows of 2020 are bad, more than 1%: {WRONG}' in taken.refused) == refused
    assert (taken.refused == '') == (not refused)


@pytest.mark.parametrize('reader', WAYS)
def test_a_row_with_three_findings_is_one_bad_row(tmp_path, reader):
    table = years()
    for column, value in (('high', table['open']), ('market_cap', 1.0), ('preclose', -1.0)):
        with_bad(table, 2022, 4, column, value)
    taken = read(reader, table, tmp_path)
    assert taken.refused == ''
    assert len(taken.findings) == 12
    assert any('4 rows not as they should be: 4 high below' in line for line in taken.told)


@pytest.mark.parametrize('reader', WAYS)
def test_rows_twice_and_suspended_rows_do_not_count(tmp_path, reader):
    table = years()
    at = table.index[table['date'].dt.year == 2023]
    table.loc[at[100:160], 'paused'] = 1.0
    table.loc[at[100:160], ['open', 'high', 'low', 'close', 'volume']] = 0.0
    taken = read(reader, pd.concat([table, table.loc[at[:60]]], ignore_index=True), tmp_path)
    assert taken.refused == ''
    assert len(taken.findings) == 120


@pytest.mark.parametrize('reader', WAYS)
@pytest.mark.parametrize(('count', 'refused'), [(48, False), (49, True)])
def test_rows_without_a_day_are_held_against_all_rows(tmp_path, count, refused, reader):
    table = years()
    table['date'] = table['date'].dt.strftime('%Y-%m-%d').astype(object)
    table.loc[100 * np.arange(48), 'date'] = 'soon'
    table.loc[4799, 'date'] = 'soon' if count == 49 else table.loc[4799, 'date']
    taken = read(reader, table, tmp_path)
    if refused:
        assert taken.refused.endswith(f'(49 of 4,800 rows are bad, more than 1%: {WRONG}')
    else:
        assert (taken.refused, len(taken.findings)) == ('', 48)


@pytest.mark.parametrize('reader', WAYS)
def test_two_bad_rows_never_condemn_a_table(tmp_path, reader):
    small = years(2024, 2024)[:20].copy()
    small.loc[[3, 4], 'close'] = 0.0
    assert read(reader, small, tmp_path / 'two').refused == ''
    small.loc[5, 'close'] = 0.0
    assert read(reader, small, tmp_path / 'three').refused.endswith(f'(3 of 20 rows of 2024 are bad, more than 1%: {WRONG}')


@pytest.mark.parametrize('day', ['2204-01-03', '2042-01-03', '0202-01-04', '1989-01-03'])
@pytest.mark.parametrize('reader', ['check_table', 'ingest csv', 'backtest, parquet'])
def test_a_slip_in_a_year_lets_nothing_pass(tmp_path, reader, day):
    """The last ten years are those of the table, not those up to a slip."""
    table = with_bad(years(), 2023, 5)
    table['date'] = table['date'].dt.strftime('%Y-%m-%d').astype(object)
    table.loc[0, 'date'] = day
    assert f'(5 of 400 rows of 2023 are bad, more than 1%: {WRONG}' in read(reader, table, tmp_path).refused


@pytest.mark.parametrize('reader', WAYS)
def test_slips_into_one_later_year(tmp_path, reader):
    """Three rows dated 2219 are left out; that all rows of that year are bad is no reason to refuse the others."""
    table = years()
    table['date'] = table['date'].dt.strftime('%Y-%m-%d').astype(object)
    table.loc[[8, 900, 4400], 'date'] = '2219-07-01'
    taken = read(reader, table, tmp_path)
    assert taken.refused == ''
    assert taken.findings['finding'].tolist() == ['a day on which no A share was traded'] * 3


# --------------------------------------------------------------------------------------------- units, adjusted prices, no caps

UNITS = [
    ('caps in 亿', {'market_cap': 1e-8}, 'looks like 亿 yuan: multiply the column by 1e+08 (--scale market_cap=1e+08)'),
    ('caps in 万', {'market_cap': 1e-4}, 'looks like 万 yuan: multiply the column by 10000 (--scale market_cap=10000)'),
    ('volume in lots', {'volume': 0.01},
     'amount is about 100 times volume x close in 2013, expected about 1: yuan, shares; that looks like volume in lots of 100 '
     'shares: multiply by --scale volume=100'),
    ('amount in thousands', {'amount': 0.001},
     'amount is about 0.001 times volume x close in 2013, expected about 1: yuan, shares; that looks like amount in thousands of '
     'yuan: multiply by --scale amount=1000'),
    ('amount in 万', {'amount': 1e-4}, 'that looks like amount in 万 yuan: multiply by --scale amount=10000'),
    ('lots and thousands', {'volume': 0.01, 'amount': 0.001}, 'multiply by --scale volume=100 --scale amount=1000'),
]


def scaled(table, factors, rows=slice(None)):
    for column, factor in factors.items():
        table.loc[rows, column] *= factor
    return table


@pytest.mark.parametrize('strict', [False, True])
@pytest.mark.parametrize('reader', WAYS)
@pytest.mark.parametrize(('factors', 'said'), [case[1:] for case in UNITS], ids=[case[0] for case in UNITS])
def test_units(tmp_path, factors, said, reader, strict):
    said = said.replace('2013', '2017')
    assert said in read(reader, scaled(years(2017), factors), tmp_path, strict).refused


@pytest.mark.parametrize('source', ['csv', 'parquet'])
@pytest.mark.parametrize('factors', [case[1] for case in UNITS], ids=[case[0] for case in UNITS])
def test_scale_as_told(tmp_path, factors, source):
    """What the refusal says makes the right market of it."""
    path, right = write(scaled(years(2022), factors), tmp_path / f'm.{source}'), MarketStore.from_table(years(2022)).table()
    options = [part for name, factor in factors.items() for part in ('--scale', f'{name}={1 / factor:g}')]
    outcome = call('ingest', source, path, '--store', tmp_path / 'store', *options)
    assert (outcome.status, outcome.err) == (0, '')
    pd.testing.assert_frame_equal(MarketStore.open(tmp_path / 'store').table(), right, rtol=1e-12)
    outcome = call('backtest', '--data', path, '--out', tmp_path / 'out', '--no-plot', *options)
    assert (outcome.status, outcome.err) == (0, '')


@pytest.mark.parametrize('reader', WAYS)
@pytest.mark.parametrize(('year', 'refused'), [(2014, False), (2015, True)])
def test_a_unit_that_changes(tmp_path, year, refused, reader):
    """In the last ten years it matters, before that it does not."""
    table = years()
    taken = read(reader, scaled(table, {'volume': 0.01}, table['date'].dt.year == year), tmp_path)
    if refused:
        assert f'amount is about 100 times volume x close in {year}' in taken.refused
    else:
        assert taken.refused == ''


@pytest.mark.parametrize('reader', WAYS)
@pytest.mark.parametrize('strict', [False, True])
def test_adjusted_prices_told_by_amounts(tmp_path, reader, strict):
    table = years(2022)
    early = table['date'] < '2023-01-01'
    table.loc[early, ['open', 'high', 'low', 'close', 'preclose']] *= 0.9  # before an ex-date
    refused = read(reader, table, tmp_path, strict).refused
    assert 'found prices from 8.55 to 9.45, but amount / volume is 10: adjusted prices (33% of the rows are so)' in refused
    assert 'expected raw ones, without adjustment: take the unadjusted prices from your source (不复权)' in refused


def market(adjusted):
    """Sixty stocks with their ex-dates; adjusted prices, as 前复权 gives them: divided by the factors of all later ex-dates."""
    table = demo_market(stocks=60, days=500, seed=4).drop(columns='amount').astype({'code': str})
    if adjusted:
        last = table.groupby('code')['close'].shift()
        factor = (table['preclose'] / last).where(table['paused'] == 0).fillna(1.0)
        later = factor[::-1].groupby(table['code'][::-1]).cumprod()[::-1] / factor
        for name in ('open', 'high', 'low', 'close', 'preclose'):
            table[name] *= later
    return table


@pytest.mark.parametrize('reader', WAYS)
def test_adjusted_prices_told_by_market_caps(tmp_path, reader):
    """Without amounts: the caps do not follow the prices."""
    refused = read(reader, market(adjusted=True), tmp_path).refused
    assert 'the caps do not follow the prices, which look adjusted; expected raw ones' in refused
    assert read(reader, market(adjusted=False), tmp_path / 'raw').refused == ''


@pytest.mark.parametrize('reader', WAYS)
@pytest.mark.parametrize('strict', [False, True])
def test_caps_that_are_mostly_not_known(tmp_path, reader, strict):
    table = good()
    table.loc[:299, 'market_cap'] = np.nan
    assert read(reader, table, tmp_path / 'half', strict).refused == ''
    table.loc[300, 'market_cap'] = 0.0
    refused = read(reader, table, tmp_path / 'more').refused
    assert 'column market_cap: found nothing in 301 of 600 traded rows, expected yuan, total shares x close; ' in refused
    assert 'without it no stock can be picked' in refused


def test_a_stock_alone_needs_no_caps():
    """A feed of one stock may be that of an index fund, say; and of a suspended stock no cap is needed at all."""
    table = good()[good()['code'] == A].assign(market_cap=np.nan)
    with pytest.warns(UserWarning, match=r'300 rows not as they should be: 300 no market cap \(not picked on the next day\)'):
        assert len(StockPandas(dataname=table).days) == 300
    with pytest.raises(DataError, match='without it no stock can be picked'):
        check_table(table)


# ---------------------------------------------------------------------------------------------------------- --start and --end


def spoilt():
    """Good from 2016 to 2018 only: before, volume is in lots and a tenth of the rows have no close; later, caps are in 亿."""
    table = years(2014, 2020)
    early, late = table['date'].dt.year < 2016, table['date'].dt.year > 2018
    table.loc[early, 'volume'] /= 100
    table.loc[early & (table.index % 10 == 0), 'close'] = 0.0
    table.loc[late, 'market_cap'] /= 1e8
    return table


@pytest.mark.parametrize('strict', [(), ('--strict',)])
@pytest.mark.parametrize('kind', ['csv', 'parquet'])
def test_days_asked_for_come_before_any_check(tmp_path, kind, strict):
    path, store = write(spoilt(), tmp_path / f'm.{kind}'), tmp_path / 'store'
    for days in ((), ('--start', '2016-01-01'), ('--end', '2018-12-31'), ('--start', '2015-12-01', '--end', '2019-01-03')):
        one_error_line(call('ingest', kind, path, '--store', store, *days, *strict))
    outcome = call('ingest', kind, path, '--store', store, '--start', '2016-01-01', '--end', '2018-12-31', *strict)
    assert (outcome.status, outcome.err) == (0, '')
    assert not (tmp_path / 'store.quarantine.csv').exists()
    right = MarketStore.from_table(years(2016, 2018)).table()
    pd.testing.assert_frame_equal(MarketStore.open(store).table(), right)
    found = check_table(spoilt(), strict=True, start=pd.Timestamp('2016-01-01').date(), end=pd.Timestamp('2018-12-31').date())
    assert len(found) == 1200


@pytest.mark.parametrize('strict', [(), ('--strict',)])
@pytest.mark.parametrize('kind', ['csv', 'parquet'])
def test_days_of_a_run(tmp_path, kind, strict):
    """A run sees the days before its first one: their bad rows are listed, but refuse nothing."""
    path, out = write(spoilt(), tmp_path / f'm.{kind}'), tmp_path / 'out'
    command = ['backtest', '--data', path, '--out', out, '--no-plot', *strict]
    assert 'error: ' in one_error_line(call(*command))
    outcome = call(*command, '--start', '2016-01-01', '--end', '2018-12-31')
    assert (outcome.status, outcome.err) == (0, '')
    found = listed(out / 'quarantine.csv')
    assert set(found['date'].str[:4]) <= {'2014', '2015', '2019', '2020'}
    assert (found['finding'] == 'no price').sum() == 80


# ----------------------------------------------------------------------------------------------------- one store after another


def test_findings_of_a_store_that_grows_and_one_that_is_new(tmp_path):
    """--append keeps the former findings; a refused one changes nothing; of a new store in the same place nothing old is left."""
    store, listing = tmp_path / 'store', tmp_path / 'store.quarantine.csv'
    first, second = good(), good().assign(date=good()['date'] + pd.Timedelta(days=798))
    first.loc[7, 'close'], second.loc[9, 'preclose'] = 0.0, 0.0
    one, two = write(first, tmp_path / 'one.csv'), write(second, tmp_path / 'two.parquet')
    assert call('ingest', 'csv', one, '--store', store).status == 0
    former = listed(listing).to_dict('records')
    assert [(row['file'], row['line']) for row in former] == [(str(one), '9')]

    before, text = contents(store), listing.read_bytes()
    bad = write(second.assign(close=second['close'].where(second.index > 8, 0.0)), tmp_path / 'bad.parquet')
    assert '(10 of 426 rows of 2026 are bad, ' in one_error_line(call('ingest', 'parquet', bad, '--store', store, '--append'))
    assert 'column preclose: found 0' in one_error_line(call('ingest', 'parquet', two, '--store', store, '--append', '--strict'))
    assert (contents(store), listing.read_bytes()) == (before, text)

    outcome = call('ingest', 'parquet', two, '--store', store, '--append')
    assert (outcome.status, outcome.err) == (0, '')
    assert '2 rows not as they should be: ' in outcome.lines[-2]
    assert [(row['file'], row['line']) for row in listed(listing).to_dict('records')] == [(str(one), '9'), (str(two), '9')]
    assert len(MarketStore.open(store).findings()) == 2
    check(store)

    for path in sorted(store.rglob('*'), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert call('ingest', 'csv', write(good(), tmp_path / 'good.csv'), '--store', store).status == 0
    assert not listing.exists()


def test_findings_of_a_run_before_are_removed(tmp_path):
    table = good()
    table.loc[7, 'close'] = 0.0
    for path in (write(table, tmp_path / 'bad.csv'), write(good(), tmp_path / 'good.csv')):
        assert call('backtest', '--data', path, '--out', tmp_path / 'out', '--no-plot').status == 0
        assert (tmp_path / 'out' / 'quarantine.csv').exists() == (path.name == 'bad.csv')


# ----------------------------------------------------------------------------------------------- what only the whole table tells


@pytest.mark.parametrize('reader', WAYS[:-1])
def test_the_last_close_is_that_of_a_row_that_stays(tmp_path, reader):
    """Two rows of day 99 with other content are left out; day 100, suspended and priced 0, gets the close of day 98, 10.1."""
    table = pd.concat([good(), good().iloc[[198]].assign(close=10.6, high=10.7)], ignore_index=True)
    table.loc[200, ['paused', 'volume', 'open', 'high', 'low', 'close', 'preclose']] = 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, np.nan
    rows = read(reader, table, tmp_path).rows.astype({'code': str})
    rows = rows[(rows['code'] == A) & (pd.to_datetime(rows['date']) >= '2024-05-16')].sort_values('date').head(3)
    assert pd.to_datetime(rows['date']).dt.strftime('%m-%d').tolist() == ['05-16', '05-17', '05-21']
    assert rows['close'].tolist() == [10.7, 10.1, 10.1]


@pytest.mark.parametrize('reader', WAYS)
def test_rows_that_differ_in_a_further_column(tmp_path, reader):
    table = pd.concat([good(), good().iloc[[200]]], ignore_index=True).assign(roe=5.0)
    assert read(reader, table, tmp_path / 'a').findings['finding'].tolist() == ['the same row twice']
    table.loc[600, 'roe'] = 6.0
    assert read(reader, table, tmp_path / 'b').findings['finding'].tolist() == ['a second row of the day with other content'] * 2


@pytest.mark.parametrize('reader', WAYS[:-1])
def test_a_code_in_two_forms_is_one_stock(tmp_path, reader):
    table = good()
    table.loc[table['code'] == B, 'code'] = ['sz000002', '000002.SZ', '000002'] * 100
    rows = read(reader, pd.concat([table, table.iloc[[201]].assign(code='000002.XSHE')], ignore_index=True), tmp_path).rows
    assert rows['code'].astype(str).value_counts().to_dict() == {A: 300, B: 300}


@pytest.mark.parametrize('reader', WAYS)
def test_no_row_can_be_used(tmp_path, reader):
    refused = read(reader, good()[:2].assign(close=0.0), tmp_path).refused
    assert 'found no rows' in refused and '2 rows not as they should be: 2 no price (row left out)' in refused


NEW = '600999.XSHG'


def with_a_new_stock():
    """Sixty stocks, and one of which the first row is a Saturday's; its second one is suspended without a price."""
    table = demo_market(stocks=60, days=60, seed=1).astype({'code': str})
    day = table['date'].unique()
    row = table[table['code'] == table['code'].iloc[0]].iloc[[20]].assign(code=NEW)
    new = pd.concat([
        row.assign(date=pd.Timestamp('2019-02-02')),
        row.assign(date=day[30], paused=1, volume=0, open=0.0, high=0.0, low=0.0, close=0.0, preclose=np.nan, amount=0.0),
        row.assign(date=day[31])])
    return pd.concat([table, new], ignore_index=True), len(table)


@pytest.mark.parametrize('reader', WAYS)
def test_no_last_close_of_a_row_that_is_left_out(tmp_path, reader):
    table, first = with_a_new_stock()
    taken = read(reader, table, tmp_path)
    assert taken.refused == ''
    assert taken.findings['finding'].tolist() == [
        'a weekend, or a day on which hardly any stock has a row', 'no price on a suspended day, and none before']
    assert taken.findings['done'].tolist() == ['row left out'] * 2
    if taken.rows is not None:
        rows = taken.rows[taken.rows['code'].astype(str) == NEW]
        assert rows['close'].tolist() == [table['close'].iloc[-1]]


@pytest.mark.parametrize('reader', WAYS)
def test_a_day_on_which_hardly_any_stock_has_a_row(tmp_path, reader):
    """A holiday among the days: the rows of one or two stocks there are a slip; of ten of sixty they may be right."""
    table = demo_market(stocks=60, days=60, seed=1).astype({'code': str})
    holiday = pd.Timestamp('2019-02-05')
    assert holiday not in set(table['date'])
    day = table[table['date'] == table['date'].max()]
    taken = read(reader, pd.concat([table, day[:2].assign(date=holiday)], ignore_index=True), tmp_path / 'two')
    assert taken.findings[['date', 'finding', 'done']].to_numpy().tolist() == [
        ['2019-02-05', 'a weekend, or a day on which hardly any stock has a row', 'row left out']] * 2
    taken = read(reader, pd.concat([table, day[:10].assign(date=holiday)], ignore_index=True), tmp_path / 'ten')
    assert taken.refused == ''
    assert taken.findings is None or not len(taken.findings)
