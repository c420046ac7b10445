"""Tables beside one's own market, from files, end to end: what a screen then sees, and what is refused in one line."""

import pandas as pd
import pytest

from bt_microcap import MicroCapStrategy, setup
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.store import MarketStore
from tests.support.markets import tiny_market
from tests.support.script_calls import call, one_error_line

A, B, C = '000002.XSHE', '600001.XSHG', '600003.XSHG'
DAYS = ['2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05', '2024-01-08', '2024-01-09']


@pytest.fixture
def market(tmp_path):
    path = tmp_path / 'm.parquet'
    tiny_market({A: [10.0] * 6, B: [11.0] * 6, C: [12.0] * 6}, dates=DAYS).to_parquet(path, index=False)
    return path


def save(path, table):
    if path.suffix == '.parquet':
        table.to_parquet(path, index=False)
    else:
        path.write_bytes(table.to_csv(index=False).encode('gbk'))
    return path


def table(names, *rows):
    return pd.DataFrame([list(row) for row in rows], columns=names.split())


def ingest(market, *options, append=False):
    store = market.parent / 'store'
    outcome = call('ingest', 'parquet', market, '--store', store, *options, *(['--append'] if append else []))
    assert (outcome.status, outcome.err) == (0, '')
    return store


def seen(store, ask):
    """What a screen is told on the run's days: date -> answer."""
    import backtrader as bt

    found = {}

    class Asking(MicroCapStrategy):
        params = (('refresh_rate', 1),)

        def screen(self, section):
            found[str(self.data.datetime.date(0))] = ask(section)
            return super().screen(section)

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=store), name='market')
    cerebro.addstrategy(Asking)
    setup(cerebro, 'realistic', cash=1e6)
    cerebro.run()
    return found


def codes_in(section, mask):
    return [code for code, there in zip(section.codes, mask, strict=True) if there]


# option, tables of the same content in several forms
LISTS = [('code date', 'csv'), ('代码 日期', 'csv'), ('成分券代码 日期', 'parquet'), ('con_code trade_date', 'parquet')]


@pytest.mark.parametrize(('names', 'kind'), LISTS)
def test_members_by_list(tmp_path, market, names, kind):
    """A and B from before the first day on, B and C from the fourth day on."""
    rows = table(names, ('000002', '2023-12-29'), ('600001', '2023-12-29'), ('600001', '2024-01-05'), ('sh600003', '2024-01-05'))
    store = ingest(market, '--members', f'000300={save(tmp_path / f"members.{kind}", rows)}')
    assert seen(store, lambda section: codes_in(section, section.members('000300'))) == {
        **dict.fromkeys(DAYS[1:4], [A, B]), **dict.fromkeys(DAYS[4:], [B, C])}


@pytest.mark.parametrize(('names', 'kind'), [('code in out', 'csv'), ('代码 纳入日期 剔除日期', 'csv'),
                                             ('con_code in_date out_date', 'parquet')])
def test_members_by_the_days_they_came_and_went(tmp_path, market, names, kind):
    rows = table(names, (A, '2020-01-01', '2024-01-05'), (B, '2020-01-01', None), (C, '2024-01-05', None))
    other = table('code', (C,))
    store = ingest(market, '--members', f'000300={save(tmp_path / f"m300.{kind}", rows)}',
                   '--members', f'000852={save(tmp_path / "m852.csv", other)}')
    assert seen(store, lambda section: codes_in(section, section.members('000300'))) == {
        **dict.fromkeys(DAYS[1:4], [A, B]), **dict.fromkeys(DAYS[4:], [B, C])}
    assert seen(store, lambda section: codes_in(section, section.members('000852'))) == dict.fromkeys(DAYS[1:], [C])


@pytest.mark.parametrize(('names', 'kind'), [('code date name', 'csv'), ('证券代码 变更日期 证券简称', 'csv'),
                                             ('ts_code start_date name', 'parquet')])
def test_names(tmp_path, market, names, kind):
    """A section of the morning knows what was so on the day before."""
    first = '2020-01-01'
    rows = table(names, ('000002.SZ', first, '甲'), ('600001.SH', first, '乙'), ('600001.SH', '2024-01-08', '*ST乙'))
    store = ingest(market, '--names', save(tmp_path / f'names.{kind}', rows))
    assert seen(store, lambda section: list(section.names())) == {
        **dict.fromkeys(DAYS[1:5], ['甲', '乙', '']), DAYS[5]: ['甲', '*ST乙', '']}


@pytest.mark.parametrize(('names', 'kind'), [('code industry', 'csv'), ('股票代码 申万一级行业名称', 'csv'),
                                             ('ts_code l1_name', 'parquet')])
def test_industries_without_a_date_hold_on_all_days(tmp_path, market, names, kind):
    rows = table(names, ('000002', '银行'), ('600003', '钢铁'))
    store = ingest(market, '--industries', save(tmp_path / f'industries.{kind}', rows))
    assert seen(store, lambda section: list(section.industries())) == dict.fromkeys(DAYS[1:], ['银行', '', '钢铁'])


@pytest.mark.parametrize(('names', 'kind'), [('code listed delisted', 'csv'), ('代码 上市日期 退市日期', 'csv'),
                                             ('ts_code list_date delist_date', 'parquet')])
def test_listings(tmp_path, market, names, kind):
    rows = table(names, (A, '20231226', None), (B, '20240102', '20300101'))
    store = ingest(market, '--listings', save(tmp_path / f'listings.{kind}', rows))
    answers = seen(store, lambda section: section.listed_days().tolist())
    assert {day: answer[:2] for day, answer in answers.items()} == {
        DAYS[1]: [8.0, 1.0], DAYS[2]: [9.0, 2.0], DAYS[3]: [10.0, 3.0], DAYS[4]: [11.0, 4.0], DAYS[5]: [14.0, 7.0]}
    assert all(answer[2] != answer[2] for answer in answers.values())  # C is not in the table
    report = (tmp_path / 'store.report.txt').read_text(encoding='utf-8')
    assert 'listings: not known' not in report


@pytest.mark.parametrize(('names', 'kind'), [('date close', 'csv'), ('日期 收盘价', 'csv'), ('trade_date close', 'parquet'),
                                             ('日期 收盘', 'parquet')])
def test_a_benchmark(tmp_path, market, names, kind):
    """The day before the run has 100 points, its last day 106: 6 %."""
    rows = table(names, *zip(DAYS, (100.0, 101.0, 102.0, 104.0, 105.0, 106.0), strict=True))
    store = ingest(market, '--benchmark', f'000300={save(tmp_path / f"index.{kind}", rows)}')
    outcome = call('backtest', '--data', store, '--benchmark', '000300', '--out', tmp_path / 'out', '--no-plot')
    assert (outcome.status, outcome.err) == (0, '')
    equity = pd.read_csv(tmp_path / 'out' / 'equity.csv')
    assert equity['benchmark'].round(12).tolist() == [1.01, 1.02, 1.04, 1.05, 1.06]
    assert any(line.startswith('return') and '6.00%' in line for line in outcome.lines)
    line = one_error_line(call('backtest', '--data', store, '--benchmark', '000852', '--out', tmp_path / 'other', '--no-plot'))
    assert 'has no benchmark 000852 (found 000300)' in line and '--benchmark 000852=FILE' in line


def test_appended(tmp_path, market):
    """A later ingest adds to the tables, and its rows go before."""
    first = save(tmp_path / 'first.csv', table('code date name', (A, '2020-01-01', '甲'), (B, '2020-01-01', '乙')))
    second = save(tmp_path / 'second.csv', table('code date name', (B, '2020-01-01', '丙'), (C, '2020-01-01', '丁')))
    store = ingest(market, '--names', first)
    assert ingest(market, '--names', second, append=True) == store
    assert MarketStore.open(store).reference_table('names')['name'].tolist() == ['甲', '丙', '丁']


# ---------------------------------------------------------------------------------------------------------------- what is refused

BAD = [
    ('--names', table('code title', (A, '甲')), 'missing column name: found code, title; expected code, date, name'),
    ('--names', table('code name', ('none', '甲')), "line 2, column code: found 'none', expected a code such as 600000.XSHG"),
    ('--names', table('代码 日期 名称', (A, '2020-01-01', '甲'), (B, 'soon', '乙')),
     "line 3, column 日期: found 'soon', expected a day such as 2024-11-01"),
    ('--listings', table('code born', (A, '2020-01-01')), 'missing column listed: found code, born'),
    ('--listings', table('code listed', (A, '2020-13-01')), "line 2, column listed: found '2020-13-01', expected a day"),
    ('--industries', table('code', (A,)), 'missing column industry: found code'),
    ('--members', table('date', ('2020-01-01',)), 'missing column code: found date'),
    ('--members', table('code date', (A, None)), 'line 2, column date: found'),
    ('--benchmark', table('date open', ('2020-01-01', 1.0)), 'missing column close: found date, open'),
    ('--benchmark', table('date close', ('2020-01-01', 0.0)), 'line 2, column close: found 0, expected points above 0'),
    ('--benchmark', table('date close', ('2020-01-01', 1.0)).iloc[:0], 'found no rows'),
]


@pytest.mark.parametrize(('option', 'rows', 'said'), BAD)
def test_refused(tmp_path, market, option, rows, said):
    path = save(tmp_path / 'side.csv', rows)
    given = f'000300={path}' if option in ('--members', '--benchmark') else path
    line = one_error_line(call('ingest', 'parquet', market, '--store', tmp_path / 'store', option, given))
    assert line.startswith(f'error: {path}') and said in line
    assert not (tmp_path / 'store').exists()


@pytest.mark.parametrize('option', ['--names', '--listings', '--industries', '--members', '--benchmark'])
@pytest.mark.parametrize(('name', 'content', 'said'), [
    ('nowhere.csv', None, 'there is no such file'), ('empty.csv', b'', 'found an empty file'),
    ('side.txt', b'code\n', 'found the ending .txt, expected .parquet, .csv or .csv.gz'),
    ('side.parquet', b'PAR1', 'not readable as Parquet')])
def test_no_table(tmp_path, market, option, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    given = f'000300={path}' if option in ('--members', '--benchmark') else path
    line = one_error_line(call('ingest', 'parquet', market, '--store', tmp_path / 'store', option, given))
    assert str(path) in line and said in line
    assert not (tmp_path / 'store').exists()


@pytest.mark.parametrize(('option', 'given', 'said'), [
    ('--members', 'members.csv', "found 'members.csv', expected six digits and a file, as 000300=FILE"),
    ('--members', '300=members.csv', "found '300=members.csv', expected six digits and a file"),
    ('--benchmark', '000300', 'found no file, expected --benchmark 000300=FILE with date and close'),
    ('--benchmark', 'CSI300=index.csv', "found 'CSI300=index.csv', expected six digits")])
def test_arguments(tmp_path, market, option, given, said):
    line = one_error_line(call('ingest', 'parquet', market, '--store', tmp_path / 'store', option, given))
    assert said in line
