"""The contract of scripts/backtest.py: its files, every number worked out again from fills and data."""

import csv
import datetime as dt
import json
import math
import re
import statistics
import subprocess
import sys
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pandas as pd
import pytest

from bt_microcap import MicroCapStrategy
from bt_microcap.feeds.demo import demo_market
from tests.support.recompute import recompute
from tests.support.running import run_feeds
from tests.support.script_calls import ROOT, call, one_error_line, shell

PANEL = ROOT.parent / 'shared' / 'data' / 'panels' / 'sample280_2018_2022.parquet'
# seventy days: with the default wait of 60 days nothing that was held would be taken for delisted
BAND = ('--min-cap', '4e8', '--max-cap', '5e9', '--stocknum', '8', '--refresh-rate', '4', '--delist-wait', '0')
SLIPPAGE = {'realistic': '0.002', 'joinquant': '0.00246'}
LEAST = {'realistic': '0.01', 'joinquant': '0'}  # yuan each way
CONVENTIONS = {'realistic': (252, 0.0), 'joinquant': (250, 0.04)}  # days a year, risk-free rate
COLUMNS = {
    'trades.csv': ['datetime', 'code', 'side', 'quantity', 'price', 'commission', 'tax', 'transfer_fee'],
    'equity.csv': ['date', 'cash', 'market_value', 'total_value', 'benchmark'],
    'rejections.csv': ['date', 'code', 'side', 'reason'],
    'orders.csv': ['date', 'code', 'side', 'why', 'wanted', 'quantity', 'price', 'commission', 'stamp_duty', 'transfer_fee',
                   'dividend_tax', 'slippage', 'status', 'reason', 'volume_share'],
    'corporate_actions.csv': ['date', 'code', 'action', 'shares_before', 'shares_after', 'cash'],
}


def market():
    """Seventy days around 2023-08-28, when the stamp duty was halved."""
    table = demo_market(50, '2023-07-17', days=70, seed=6, corporate_actions=True)
    table['code'] = table['code'].astype(str)
    return table


@pytest.fixture(scope='module')
def table():
    return market().drop(columns=['cash_dividend', 'share_ratio'])


@pytest.fixture(scope='module')
def path(table, tmp_path_factory):
    path = tmp_path_factory.mktemp('market') / 'market.parquet'
    table.to_parquet(path, index=False)
    return path


@pytest.fixture(scope='module')
def runs(path, tmp_path_factory):
    """Give a function that runs the script with some options, each combination once."""
    done = {}

    def run(*options, data=path):
        key = options, data
        if key not in done:
            out = tmp_path_factory.mktemp('run')
            outcome = call('backtest', '--data', data, *BAND, '--no-plot', '--out', out, *options)
            assert (outcome.status, outcome.err) == (0, '')
            done[key] = out, outcome
        return done[key]

    return run


def read(folder, name):
    with open(folder / name, encoding='utf-8', newline='') as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        assert reader.fieldnames == COLUMNS[name]
    return rows


def days_of(table):
    return sorted({stamp.date() for stamp in table['date']})


def column(table, name):
    cells = zip(table['date'], table['code'], table[name], strict=True)
    return {(str(day.date()), code): value for day, code, value in cells}


def check_account(table, folder):
    """Hold equity.csv against the account worked out from trades.csv; give the events of the account."""
    difference, events = recompute(table, folder)
    # a millionth of a yuan, and of a large account what binary numbers can hold
    most = max(float(row['total_value']) for row in read(folder, 'equity.csv'))
    assert difference < 1e-6 * max(1.0, most / 1e7)
    rejections = read(folder, 'rejections.csv')
    told = [(row['date'], row['code']) for row in rejections if row['reason'] == 'delisted']
    assert told == [(str(day), code) for kind, day, code in events if kind == 'delisted']
    check_orders(table, folder)
    return events


def check_orders(table, folder):
    """Hold orders.csv against trades.csv, and the corporate actions against the cash of the last day."""
    volumes = column(table, 'volume')
    trades, orders = read(folder, 'trades.csv'), read(folder, 'orders.csv')
    got, wanted = {}, {}
    for order in orders:
        key = order['date'], order['code'], order['side']
        tax = float(order['stamp_duty']) + float(order['dividend_tax'])
        row = [int(order['quantity']), int(order['quantity']) * float(order['price']), float(order['commission']), tax,
               float(order['transfer_fee'])]
        assert (row[0] == 0) == (float(order['price']) == 0)
        assert int(order['wanted']) >= row[0]
        share = row[0] / volumes[key[:2]] if row[0] else 0.0  # the fill is on the day of the decision
        assert float(order['volume_share']) == pytest.approx(share, rel=1e-12)
        assert order['status'] in {'Completed', 'Canceled', 'Rejected'}
        assert (order['status'] == 'Rejected') == (row[0] == 0)
        if row[0]:
            got[key] = [a + b for a, b in zip(got.get(key, [0] * 5), row, strict=True)]
    for trade in trades:
        key = trade['datetime'], trade['code'], trade['side']
        row = [int(trade['quantity']), int(trade['quantity']) * float(trade['price'])]
        row += [float(trade[name]) for name in ('commission', 'tax', 'transfer_fee')]
        wanted[key] = [a + b for a, b in zip(wanted.get(key, [0] * 5), row, strict=True)]
    assert got.keys() == wanted.keys()
    for key, row in wanted.items():
        assert got[key] == pytest.approx(row, abs=1e-6), key
    refused = [(row['date'], row['code'], row['side'], row['reason']) for row in orders if row['reason']]
    told = [tuple(row.values()) for row in read(folder, 'rejections.csv') if row['reason'] != 'delisted']
    assert sorted(refused) == sorted(told)
    paid = sum(float(row['cash']) for row in read(folder, 'corporate_actions.csv'))
    spent = sum((-1 if trade['side'] == 'SELL' else 1) * int(trade['quantity']) * float(trade['price'])
                + sum(float(trade[name]) for name in ('commission', 'tax', 'transfer_fee')) for trade in trades)
    cash = json.loads((folder / 'summary.json').read_text('utf-8'))['params']['cash']
    assert float(read(folder, 'equity.csv')[-1]['cash']) == pytest.approx(cash - spent + paid, abs=1e-6 * max(1.0, cash / 1e7))


def check_fills(table, folder, profile, slippage=None):
    """Hold every fill's price and fees against the open of its day and the rates of the profile."""
    opens = column(table, 'open')
    trades = read(folder, 'trades.csv')
    assert {trade['side'] for trade in trades} == {'BUY', 'SELL'}
    for trade in trades:
        buy, day = trade['side'] == 'BUY', trade['datetime']
        opening = Decimal(repr(float(opens[day, trade['code']])))
        half = max(opening * Decimal(SLIPPAGE[profile] if slippage is None else slippage) / 2, Decimal(LEAST[profile]))
        moved = opening + half if buy else opening - half
        assert Decimal(trade['price']) == moved.quantize(Decimal('0.01'), ROUND_HALF_UP)
        value = int(trade['quantity']) * float(trade['price'])
        duty = 0.001 if profile == 'joinquant' or day < '2023-08-28' else 0.0005
        transfer = 0.0 if profile == 'joinquant' else 0.00002 if day < '2022-04-29' else 0.00001
        wanted = [max(5.0, 0.0003 * value), 0.0 if buy else duty * value, transfer * value]
        got = [float(trade[name]) for name in ('commission', 'tax', 'transfer_fee')]
        assert got == pytest.approx(wanted, abs=1e-9), trade


def figures(folder, profile='realistic', cash=1_000_000.0):
    """Work out the figures from the CSV files with nothing but the formulas."""
    year, free = CONVENTIONS[profile]
    equity, trades = read(folder, 'equity.csv'), read(folder, 'trades.csv')
    values = [cash] + [float(row['total_value']) for row in equity]
    returns = [after / before - 1 for before, after in zip(values, values[1:], strict=False)]
    peak = worst = 0.0
    for value in values:
        peak = max(peak, value)
        worst = max(worst, 1 - value / peak)
    sums = {name: sum(float(row[name]) for row in trades) for name in ('commission', 'tax', 'transfer_fee')}
    traded = sum(int(row['quantity']) * float(row['price']) for row in trades)
    deviation = statistics.stdev(returns) if len(returns) > 1 else 0.0
    annual = (values[-1] / cash) ** (year / len(returns)) - 1
    # of the daily returns; JoinQuant's is of the annual one
    excess = annual - free if profile == 'joinquant' else statistics.mean(returns) * year - free
    shares = [float(row['volume_share']) for row in read(folder, 'orders.csv') if int(row['quantity'])]
    delisted = [float(row['cash']) for row in read(folder, 'corporate_actions.csv') if row['action'] == 'delisted']
    return {
        'start_value': cash, 'end_value': values[-1], 'total_return': values[-1] / cash - 1,
        'annual_return': annual,
        'sharpe': excess / (deviation * math.sqrt(year)) if deviation else 0.0,
        'max_drawdown': worst, 'turnover': traded / 2 / statistics.mean(values[1:]) * year / len(returns),
        'median_volume_share': statistics.median(shares), 'delisted': len(delisted), 'delisted_cash': sum(delisted),
        'days_a_year': year, 'risk_free': free, 'cash_flows': 0.0,
        'fees': sum(sums.values()), **sums, 'trades': len(trades), 'days': len(equity),
        'rejections': len(read(folder, 'rejections.csv')),
        'first_day': equity[0]['date'], 'last_day': equity[-1]['date'],
    }


@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
def test_every_row_follows_from_the_fills_and_the_closes(profile, runs, table):
    folder, _ = runs('--profile', profile)
    assert sorted(item.name for item in folder.iterdir()) == [
        'corporate_actions.csv', 'equity.csv', 'indices.csv', 'missed.csv', 'orders.csv', 'picks.csv', 'positions.csv',
        'prices.csv', 'rejections.csv', 'round_trips.csv', 'summary.json', 'trades.csv']
    events = check_account(table, folder)
    assert {kind for kind, _, _ in events} == {'ex-rights', 'delisted'}  # both happen to what is held
    check_fills(table, folder, profile)
    days = [str(day) for day in days_of(table)]
    assert [row['date'] for row in read(folder, 'equity.csv')] == days[1:]
    traded = {row['datetime'] for row in read(folder, 'trades.csv')}
    assert days[1] in traded
    assert traded <= set(days[1::4])


def test_ex_rights_off(runs, table):
    folder, _ = runs('--ex-rights', 'off')
    events = check_account(table, folder)
    assert 'ex-rights' not in {kind for kind, _, _ in events}
    assert read(folder, 'equity.csv') != read(runs('--ex-rights', 'reinvest')[0], 'equity.csv')


def test_explicit_ex_rights(runs, tmp_path_factory):
    table = market()
    path = tmp_path_factory.mktemp('explicit') / 'market.parquet'
    table.to_parquet(path, index=False)
    for tax in ('holding', '0.2', '0'):
        folder, _ = runs('--dividend-tax', tax, data=path)
        events = check_account(table, folder)
        assert 'ex-rights' in {kind for kind, _, _ in events}
        actions = read(folder, 'corporate_actions.csv')
        assert 'dividend' in {row['action'] for row in actions}
        withheld = sum(float(row['dividend_tax']) for row in read(folder, 'orders.csv'))
        assert (withheld > 0) == (tax == 'holding')
    check_account(table, runs('--ex-rights', 'reinvest', data=path)[0])
    check_account(table, runs('--profile', 'joinquant', data=path)[0])


def test_worthless_when_delisted(runs, table):
    folder, _ = runs('--delist', '0.4')
    assert 'delisted' in {kind for kind, _, _ in check_account(table, folder)}
    folder, _ = runs('--delist', 'zero')
    assert 'delisted' in {kind for kind, _, _ in check_account(table, folder)}
    assert json.loads((folder / 'summary.json').read_text('utf-8'))['rules']['delist'] == 'zero'


def test_delisted_after_some_days_without_a_row(runs, table):
    days = [str(day) for day in days_of(table)]
    last = {code: str(day.date()) for code, day in table.groupby('code')['date'].max().items()}
    seen = {}
    for wait in (0, 3, 60):
        folder, _ = runs('--delist-wait', wait)
        seen[wait] = [(day, code) for kind, day, code in check_account(table, folder) if kind == 'delisted']
        assert [days.index(str(day)) - days.index(last[code]) for day, code in seen[wait]] == [wait] * len(seen[wait])
        assert json.loads((folder / 'summary.json').read_text('utf-8'))['rules']['delist_wait'] == wait
    assert (len(seen[0]) > 0, len(seen[3]) > 0) == (True, True)
    assert seen[60] == []  # none of them has been gone for so long
    folder, _ = runs('--delist-wait', 60)
    assert any(row['reason'] == 'suspended' for row in read(folder, 'rejections.csv'))


@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
def test_numbers_are_written_in_full(profile, runs, table):
    folder, _ = runs('--profile', profile)
    strategy = run_feeds(table, profile=profile, min_cap=4e8, max_cap=5e9, stocknum=8, refresh_rate=4,
                         delist_wait=0)
    blotter = strategy.analyzers.blotter
    books = blotter.fills, blotter.equity, blotter.rejections, blotter.orders, blotter.corporate_actions
    for name, rows in zip(COLUMNS, books, strict=True):
        written = [list(row.values()) for row in read(folder, name)]
        if name == 'equity.csv':  # its last column is no book: see test_benchmarks
            levels = [row.pop() for row in written]
            assert levels == [repr(float(level)) for level in levels]
        assert written == [[repr(v) if isinstance(v, float) else str(v) for v in row] for row in rows]
    for row in read(folder, 'trades.csv'):
        assert re.fullmatch(r'[1-9]\d*', row['quantity'])
    assert any(len(row['cash'].partition('.')[2]) > 4 for row in read(folder, 'equity.csv'))


@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
def test_summary_follows_from_the_files(profile, runs, path):
    folder, outcome = runs('--profile', profile)
    summary = json.loads((folder / 'summary.json').read_text('utf-8'))
    wanted = figures(folder, profile)
    for name, value in wanted.items():
        close = value if isinstance(value, (str, int)) else pytest.approx(value, rel=1e-9, abs=1e-9)
        assert summary[name] == close, name
    assert wanted['max_drawdown'] > 0
    assert wanted['fees'] > 0
    assert (summary['data'], summary['profile']) == (str(path), profile)
    given = {'stocknum': 8, 'refresh_rate': 4, 'min_cap': 4e8, 'max_cap': 5e9, 'cash': 1e6}
    assert given.items() <= summary['params'].items()
    # every other param of the strategy with its default
    assert summary['params'].keys() == {*MicroCapStrategy.params._getkeys(), 'cash'}
    assert (summary['params']['boards'], summary['params']['plot_stocks']) == (['main', 'chinext', 'star'], 4)
    assert (summary['strategy'], summary['preset']) == ('MicroCapStrategy', None)
    said = {line[:14].strip(): line[15:] for line in outcome.lines}
    assert said['period'] == f"{wanted['first_day']} .. {wanted['last_day']} (69 trading days)"
    assert said['value'] == f"1,000,000.00 -> {wanted['end_value']:,.2f} yuan"
    assert said['return'].startswith(f"{wanted['total_return']:.2%} (market ")
    year, free = {'realistic': ('252', '0.00%'), 'joinquant': ('250', '4.00%')}[profile]
    assert said['annual return'] == f"{wanted['annual_return']:.2%} ({year} days a year)"
    assert said['Sharpe'] == f"{wanted['sharpe']:.2f} (risk-free {free} a year)"
    assert said['max drawdown'] == f"{wanted['max_drawdown']:.2%}"
    assert said['turnover'].startswith(f"{wanted['turnover']:.1f}")
    fees = f"{wanted['fees']:,.2f} yuan (commission {wanted['commission']:,.2f}, "
    assert said['total fees'].startswith(fees)
    assert (said['trades'], said['rejections']) == (str(wanted['trades']), str(wanted['rejections']))
    assert wanted['delisted'] > 0
    assert said['delisted'] == (f"{wanted['delisted']} holdings became {wanted['delisted_cash']:,.2f} yuan "
                                f"({wanted['delisted_cash'] / 1e6:.2%} of the value at the start)")


@pytest.mark.parametrize('ending', ['.csv', '.csv.gz'])
def test_any_format_gives_the_same_files(ending, runs, table, tmp_path):
    data = tmp_path / f'market{ending}'
    table.to_csv(data, index=False)
    for profile in ('realistic', 'joinquant'):
        here, _ = runs('--profile', profile)
        there, _ = runs('--profile', profile, data=data)
        for name in COLUMNS:
            assert (there / name).read_bytes() == (here / name).read_bytes()
        one, other = (json.loads((folder / 'summary.json').read_text('utf-8')) for folder in (here, there))
        for summary, path in ((one, here), (other, data)):
            name = summary.pop('data')
            assert Path(name).suffix == ('.parquet' if path == here else data.suffix)
            assert summary['data_about'].pop('source') == name
        assert one == other


def test_a_market_cap_on_the_bound_is_in_whatever_the_format(table, tmp_path):
    """A cap written with all its digits is read back as it was: the bound is that very number."""
    cap = 2100000000.0000002384  # one step of binary above 2.1e9
    changed = table.assign(market_cap=9e9)
    codes = ['600000.XSHG', '600001.XSHG']
    rows = changed[changed['code'] == table['code'].iloc[0]].head(6)
    caps = cap, math.nextafter(cap, 1e10)
    changed = pd.concat([rows.assign(code=code, market_cap=each, is_st=0, paused=0)
                         for code, each in zip(codes, caps, strict=True)]).sort_values(['date', 'code'])
    found = {}
    for ending in ('.parquet', '.csv'):
        data, out = tmp_path / f'm{ending}', tmp_path / ending[1:]
        changed.to_parquet(data, index=False) if ending == '.parquet' else changed.to_csv(data, index=False)
        bounds = '--min-cap', repr(cap), '--max-cap', repr(cap)
        assert call('backtest', '--data', data, *bounds, '--no-plot', '--out', out).status == 0
        found[ending] = {row['code'] for row in read(out, 'trades.csv')}
    assert found == {'.parquet': {codes[0]}, '.csv': {codes[0]}}


def test_the_days_of_a_run(runs, table):
    """Day 0 is the first trading day from the start on that has a day before it; the end is in."""
    days = [str(day) for day in days_of(table)]
    saturday = next(day for day in days_of(table)[20:] if day.weekday() == 4) + dt.timedelta(days=1)
    after = [day for day in days if day > str(saturday)]
    cases = [
        (['--start', days[0]], days[1:]),
        (['--start', days[2]], days[2:]),
        (['--start', saturday], after),
        (['--end', saturday], [day for day in days[1:] if day < str(saturday)]),
        (['--start', days[30], '--end', days[42]], days[30:43]),
        (['--start', days[30], '--end', days[30]], days[30:31]),
    ]
    for options, wanted in cases:
        folder, _ = runs(*map(str, options))
        assert [row['date'] for row in read(folder, 'equity.csv')] == wanted, options
        traded = [row['datetime'] for row in read(folder, 'trades.csv')]
        assert traded[0] == wanted[0]
        assert set(traded) <= set(wanted[::4])
        check_account(table, folder)


@pytest.mark.parametrize('options', [
    '--impact 0.05', '--slippage-ticks 2 --slippage 0', '--volume-limit 0', '--delist 0.25 --dividend-tax 0.1',
    '--stocknum 1 --cash 3000', '--refresh-rate 1 --impact 0.2 --volume-limit 0.01', '--profile joinquant --dividend-tax holding',
    '--ex-rights off --delist zero', '--cash 1e9 --stocknum 20',
])
@pytest.mark.parametrize('explicit', [False, True])
def test_every_kind_of_run_adds_up(options, explicit, runs, table, path, tmp_path_factory):
    if explicit:
        table = market()
        path = tmp_path_factory.mktemp('explicit') / 'market.parquet'
        table.to_parquet(path, index=False)
    folder, _ = runs(*options.split(), data=path)
    check_account(table, folder)


def test_recompute_as_a_program(runs, path, table, tmp_path):
    """It is a check of its own: it imports nothing of the project and finds what is wrong."""
    script = ROOT / 'tests' / 'support' / 'recompute.py'
    folder, _ = runs()
    good = subprocess.run([sys.executable, '-P' if sys.version_info >= (3, 11) else '-B', str(script), str(path), str(folder)],
                          cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stderr) == (0, '')
    assert float(re.search(r'largest difference (\S+) yuan', good.stdout)[1]) < 1e-6
    for name in ('equity.csv', 'trades.csv', 'summary.json'):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    rows = (tmp_path / 'trades.csv').read_text('utf-8').splitlines()
    (tmp_path / 'trades.csv').write_text('\n'.join(rows[:-1]) + '\n', 'utf-8')
    assert recompute(table, tmp_path)[0] > 1
    assert 'bt_microcap' not in script.read_text('utf-8')


def test_pictures(path, table, tmp_path):
    options = ('backtest', '--data', path, *BAND, '--end', days_of(table)[12], '--out')
    assert call(*options, tmp_path / 'with').status == 0
    picture = (tmp_path / 'with' / 'equity.png').read_bytes()
    assert picture.startswith(b'\x89PNG\r\n\x1a\n') and len(picture) > 5000
    assert call(*options, tmp_path / 'without', '--no-plot').status == 0
    assert not list((tmp_path / 'without').glob('*.png'))
    assert not list(tmp_path.rglob('*.part'))


def test_options_override_the_profile(runs, table):
    free = '--commission 0 --min-commission 0 --stamp-duty 0 --transfer-fee 0 --slippage 0'
    folder, _ = runs(*free.split())
    opens = column(table, 'open')
    for trade in read(folder, 'trades.csv'):
        assert [float(trade[name]) for name in ('commission', 'tax', 'transfer_fee')] == [0, 0, 0]
        assert float(trade['price']) == opens[trade['datetime'], trade['code']]
    assert figures(folder)['fees'] == 0
    dear = '--commission 0.001 --min-commission 125 --stamp-duty 0.002 --transfer-fee 0.0005'
    folder, _ = runs(*dear.split())
    floors = set()
    for trade in read(folder, 'trades.csv'):
        value, sale = int(trade['quantity']) * float(trade['price']), trade['side'] == 'SELL'
        floors.add(value < 125_000)
        assert float(trade['commission']) == pytest.approx(max(125, 0.001 * value))
        assert float(trade['tax']) == pytest.approx(0.002 * value * sale)
        assert float(trade['transfer_fee']) == pytest.approx(0.0005 * value)
    assert floors == {True, False}
    dated = '--profile joinquant --stamp-duty dated --transfer-fee dated --slippage 0.002 --min-slippage-ticks 1'
    folder, _ = runs(*dated.split())
    check_fills(table, folder, 'realistic')


def test_volume_limit_and_cash(runs, table):
    folder, outcome = runs('--volume-limit', '0.002', '--cash', '5e6')
    volumes = column(table, 'volume')
    for trade in read(folder, 'trades.csv'):
        assert int(trade['quantity']) <= 0.002 * volumes[trade['datetime'], trade['code']]
    assert 'volume limit' in {row['reason'] for row in read(folder, 'rejections.csv')}
    check_account(table, folder)
    assert '5,000,000.00 -> ' in outcome.out
    assert max(float(row['total_value']) for row in read(folder, 'equity.csv')) > 4e6


@pytest.mark.parametrize('options', [
    '--profile ideal', '--stocknum 0', '--cash 0', '--start 2023-13-01', '--delist half',
    '--start 2023-09-05 --end 2023-09-04', '--min-cap 9e9 --max-cap 1e9', '--stamp-duty legal',
    '--start 2030-01-01', '--ex-rights on', '--volume-limit -0.1', '--end 2023-07-17',
])
def test_exit_status_of_bad_options(options, path, tmp_path):
    one_error_line(call('backtest', '--data', path, *options.split(), '--out', tmp_path / 'out'))
    assert not list(tmp_path.rglob('*.csv'))


def test_as_a_program(runs, path, tmp_path):
    folder, outcome = runs()
    done = shell('backtest', '--data', path, *BAND, '--no-plot', '--out', 'here', cwd=tmp_path)
    assert (done.status, done.err) == (0, '')
    assert done.lines[:-1] == outcome.lines[:-1]
    for name in (*COLUMNS, 'summary.json'):
        assert (tmp_path / 'here' / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.skipif(not PANEL.exists(), reason=f'needs the panel ../shared/data/panels/{PANEL.name}')
@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
def test_real_prices(profile, runs):
    """Real stocks, in the weeks of the summer dividends."""
    folder, _ = runs('--profile', profile, '--start', '2021-05-31', '--end', '2021-07-02', data=PANEL)
    table = pd.read_parquet(PANEL, columns=['date', 'code', 'open', 'close', 'preclose', 'volume'])
    days, codes = days_of(table), {trade['code'] for trade in read(folder, 'trades.csv')}
    table = table[table['code'].isin(codes)].astype({'code': str})
    assert days_of(table)[-1] == days[-1]
    events = check_account(table, folder)
    assert 'ex-rights' in {kind for kind, _, _ in events}
    check_fills(table, folder, profile)
    wanted = [str(day) for day in days if dt.date(2021, 5, 31) <= day <= dt.date(2021, 7, 2)]
    assert [row['date'] for row in read(folder, 'equity.csv')] == wanted
    assert len(wanted) == 24  # 14 June 2021 was a holiday
