"""scripts/reconcile_joinquant.py: an export that the rules explain, and some with one thing changed."""

import csv
import json
import re

import pytest

from tests.support.joinquant_exports import (
    EXPORT_FOLDER,
    HEADER,
    STAR_REFUSAL,
    buy,
    held,
    needs_export,
    refuse,
    save,
    sell,
    suspended,
)
from tests.support.script_calls import call, one_error_line, shell

A, B, S = '600111.XSHG', '000333.XSHE', '688444.XSHG'
FIRST, SECOND = '2030-01-07', '2030-01-14'  # Mondays, five trading days apart
WEEK = [FIRST, '2030-01-08', '2030-01-09', '2030-01-10', '2030-01-11']
COUNTS = ('fills', 'refusals', 'positions')


def account():
    """Two slots, 100,000 yuan: what was ordered and what was held, by hand.

    Day 0: 50,000 each. A opens at 10.00 and is filled at 10.01 (x 1.00123): 5,000 shares, fee 15.015 yuan;
    the STAR order is refused. Cash 100,000 - 50,050 - 15.015 = 49,934.985.
    Day 5: A opens at 11.00, 5,000 sold at 10.99 (x 0.99877 = 10.98647): 54,950 less 16.485 and the
    duty of 54.95, cash 104,813.55; half of it is 52,406.775. B opens at 20.00: 2,600 shares at 20.02
    (20.0246), 52,052, fee 15.6156; A is bought back at 11.01 (11.01353): 52,406.775 / 11 = 4,764.2,
    so 4,700: 51,747, fee 15.5241.
    """
    log = [
        buy(FIRST, A, 50000.0, [(10.01, 5000, 15.015)], 1),
        refuse(FIRST, S, 50000.0, 2, STAR_REFUSAL),
        sell(SECOND, A, [(10.99, 5000, 71.435)], 3),
        buy(SECOND, B, 52406.775, [(20.02, 2600, 15.6156)], 4),
        buy(SECOND, A, 52406.775, [(11.01, 4700, 15.5241)], 5),
    ]
    rows = [held(FIRST, A, 5000, 10.5, 10.01, 2450, 5000), held(WEEK[1], A, 5000, 11.0, 10.01, 2500)]
    rows += [held(day, A, 5000, 11.0, 10.01, 0) for day in WEEK[2:]]
    rows += [held(SECOND, A, 4700, 11.2, 11.01, 893, 4700), held(SECOND, B, 2600, 20.5, 20.02, 1248, 2600)]
    return log, rows


@pytest.fixture
def reconcile(tmp_path):
    def run(log, rows, *options):
        lines = [line for order in log for line in order]
        arguments = (
            '--log',
            save(tmp_path, lines),
            '--positions',
            save(tmp_path, [HEADER, *rows], 'positions.csv'),
        )
        return call('reconcile_joinquant', *arguments, '--stocknum', '2', *options)

    return run


def counts(outcome):
    """(matched, all) of fills, refusals and positions, as printed on the first three lines."""
    found = [
        re.fullmatch(rf'{name} matched (\d+)/(\d+)', line)
        for name, line in zip(COUNTS, outcome.lines, strict=False)
    ]
    return [(int(match[1]), int(match[2])) for match in found]


def differences(outcome):
    """The differences told; their number and the exit status must agree."""
    lines = [line.removeprefix('difference: ') for line in outcome.lines if line.startswith('difference: ')]
    assert (outcome.status, outcome.err) == (1, '')
    assert outcome.lines[-1] == f'{len(lines)} differences'
    assert lines
    return lines


def edit(order, old, new):
    """Change every record of an order that says something."""
    assert any(old in line for line in order)
    return [line.replace(old, new) for line in order]


def test_all_matched(reconcile, tmp_path):
    outcome = reconcile(*account(), '--out', tmp_path / 'out')
    assert (outcome.status, outcome.err) == (0, '')
    assert outcome.lines[:3] == ['fills matched 4/4', 'refusals matched 1/1', 'positions matched 7/7']
    assert float(re.fullmatch(r'largest cash difference (\S+) yuan', outcome.lines[3])[1]) < 1e-6
    assert outcome.lines[-1] == 'all matched'
    assert not [line for line in outcome.lines if line.startswith(('difference', 'stale mark'))]
    with open(tmp_path / 'out' / 'trades.csv', encoding='utf-8') as file:
        trades = [list(row.values())[:5] for row in csv.DictReader(file)]
    assert trades[:4] == [
        [FIRST, A, 'BUY', '5000', '10.01'],
        [SECOND, A, 'SELL', '5000', '10.99'],
        [SECOND, B, 'BUY', '2600', '20.02'],
        [SECOND, A, 'BUY', '4700', '11.01'],
    ]
    with open(tmp_path / 'out' / 'comparison.csv', encoding='utf-8') as file:
        orders = list(csv.DictReader(file))
    assert [row['matched'] for row in orders] == ['yes'] * 5
    # 104,813.55 - 52,052 - 15.6156 - 51,747 - 15.5241
    assert float(orders[-1]['plugin_cash']) == pytest.approx(983.4103, abs=1e-6)
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text('utf-8'))
    assert [summary[name] for name in COUNTS] == [[4, 4], [1, 1], [7, 7]]
    assert summary['differences'] == []
    assert sorted(item.name for item in (tmp_path / 'out').iterdir()) == [
        'comparison.csv',
        'corporate_actions.csv',
        'equity.csv',
        'orders.csv',
        'rejections.csv',
        'summary.json',
        'trades.csv',
    ]


def test_suspended_sale_matched(reconcile):
    log, rows = account()
    log[2:] = [suspended(SECOND, A, 3), buy(SECOND, B, 49934.985, [(20.02, 2400, 14.4144)], 4)]
    rows[-2:] = [held(SECOND, A, 5000, 11.0, 10.01, 0), held(SECOND, B, 2400, 20.5, 20.02, 1152, 2400)]
    outcome = reconcile(log, rows)
    assert (outcome.status, counts(outcome)) == (0, [(2, 2), (2, 2), (7, 7)])


def test_the_price_of_a_sale_altered(reconcile):
    """The open of 11.00 follows from that day's purchase, too: the price of the sale is the odd one."""
    log, rows = account()
    log[2] = edit(log[2], 'trade price: 10.99', 'trade price: 11.09')
    outcome = reconcile(log, rows)
    assert [
        line
        for line in differences(outcome)
        if f'{SECOND} {A} SELL' in line and 'price: log 11.09, plugin 10.99' in line
    ]
    assert outcome.lines[0] == 'fills matched 1/4'  # what follows has other cash
    assert outcome.lines[3] == 'largest cash difference 500 yuan'


def test_the_price_of_a_lone_sale_altered(reconcile):
    """Only the money gives it away: 5,000 x 0.10 yuan and its duty and fee."""
    log, rows = account()
    log, rows = log[:4], [row for row in rows if not row.startswith(f'{SECOND},股票,虚构股份({A})')]
    assert reconcile(log, rows).status == 0
    log[2] = edit(log[2], 'trade price: 10.99', 'trade price: 11.09')
    found = differences(reconcile(log, rows))
    # 5,000 x 11.09 x 0.0013 = 72.085
    assert [
        line for line in found if f'{SECOND} {A} SELL' in line and 'fee: log 71.435, plugin 72.085' in line
    ]
    assert [
        line for line in found if f'{SECOND} {B} BUY' in line and 'budget: log 52406.775, plugin ' in line
    ]


def test_the_price_of_a_buy_altered(reconcile):
    log, rows = account()
    log[3] = edit(log[3], 'trade price: 20.02', 'trade price: 20.12')
    outcome = reconcile(log, rows)
    # 2,600 x 20.12 x 0.0003 = 15.6936
    assert [
        line
        for line in differences(outcome)
        if f'{SECOND} {B} BUY' in line and 'fee: log 15.6156, plugin 15.69' in line
    ]
    assert outcome.lines[0] == 'fills matched 2/4'


def test_a_price_that_no_open_gives(reconcile):
    """4.07 is no fill: an open of 4.06 is filled at 4.06, one of 4.07 at 4.08."""
    log = [buy(FIRST, A, 50000.0, [(4.07, 12200, 14.8962)], 1), refuse(FIRST, S, 50000.0, 2, STAR_REFUSAL)]
    rows = [held(FIRST, A, 12200, 4.1, 4.07, 366, 12200)]
    outcome = reconcile(log, rows)
    found = differences(outcome)
    assert [
        line
        for line in found
        if line.startswith(f'{FIRST} {A} BUY') and 'price: log 4.07, plugin 4.08' in line
    ]
    assert f'note: {FIRST} {A}: no open gives the BUY at 4.07' in outcome.out
    assert counts(outcome)[:2] == [(0, 1), (1, 1)]


def test_one_amount_altered(reconcile):
    log, rows = account()
    log[3] = edit(log[3], 'amount:2600', 'amount:2500')
    outcome = reconcile(log, rows)
    assert [
        line
        for line in differences(outcome)
        if f'{SECOND} {B} BUY' in line and 'size: log 2500, plugin 2600' in line
    ]
    assert counts(outcome)[0][0] < 4


def test_one_fee_altered(reconcile):
    log, rows = account()
    log[4] = edit(log[4], 'commission: 15.5241', 'commission: 15.53')
    outcome = reconcile(log, rows)
    found = differences(outcome)
    assert [line for line in found if f'{SECOND} {A} BUY' in line and 'fee: log 15.53, plugin 15.524' in line]
    assert all(f'{SECOND} {A} BUY' in line for line in found)
    assert (counts(outcome), '0.0059 yuan' in outcome.lines[3]) == ([(3, 4), (1, 1), (7, 7)], True)


def test_one_position_altered(reconcile):
    log, rows = account()
    rows[-1] = held(SECOND, B, 2500, 20.5, 20.02, 1200, 2500)
    outcome = reconcile(log, rows)
    assert differences(outcome) == [f'{SECOND} {B} position: shares: export 2500, plugin 2600']
    assert counts(outcome) == [(4, 4), (1, 1), (6, 7)]


def test_one_position_missing_or_made_up(reconcile):
    log, rows = account()
    outcome = reconcile(log, rows[:-1])
    assert f'{SECOND} {B} position: the plugin holds 2600 shares, the export none' in differences(outcome)
    made_up = held(SECOND, '600222.XSHG', 100, 5.0, 5.0, 0, 100)
    outcome = reconcile(log, [*rows, made_up])
    assert f'{SECOND} 600222.XSHG position: shares: export 100, plugin 0' in differences(outcome)
    assert counts(outcome)[2] == (7, 8)


@pytest.mark.parametrize('missing', [2, 3], ids=['the sale', 'a buy'])
def test_a_missing_fill(reconcile, missing):
    log, rows = account()
    code = (A, B)[missing - 2]
    outcome = reconcile(log[:missing] + log[missing + 1 :], rows)
    assert [line for line in differences(outcome) if SECOND in line and code in line]


def test_a_missing_refusal(reconcile):
    """A is held over the second Monday without a refusal of its sale: the plugin did try to sell it."""
    log, rows = account()
    log[2:] = [buy(SECOND, B, 49934.985, [(20.02, 2400, 14.4144)], 4)]
    rows[-2:] = [held(SECOND, A, 5000, 11.0, 10.01, 0), held(SECOND, B, 2400, 20.5, 20.02, 1152, 2400)]
    outcome = reconcile(log, rows)
    assert [
        line
        for line in differences(outcome)
        if line.startswith(f'{SECOND} {A} SELL: the plugin ordered')
        and line.endswith('the log has no such order')
    ]


def test_a_refusal_for_another_reason(reconcile):
    """Of a main-board stock: nothing makes the plugin refuse it as a STAR order."""
    log, rows = account()
    log[1] = edit(log[1], S, '600444.XSHG')
    outcome = reconcile(log, rows)
    assert [
        line
        for line in differences(outcome)
        if line.startswith(f'{FIRST} 600444.XSHG BUY') and 'log: star market order, plugin: ' in line
    ]
    assert counts(outcome)[1] == (0, 1)


def test_a_stale_mark_is_named(reconcile):
    """11.4 on the Thursday with a profit of 500 yuan: Wednesday's mark was 11.3, not 11. The fills match."""
    log, rows = account()
    rows[3] = held(WEEK[3], A, 5000, 11.4, 10.01, 500)
    rows[4] = held(WEEK[4], A, 5000, 11.0, 10.01, -2000)
    outcome = reconcile(log, rows)
    assert [line for line in outcome.lines if line.startswith('stale mark: ')] == [
        f'stale mark: line 4: {WEEK[2]} {A}: mark 11, but 当日盈亏 of {WEEK[3]} implies 11.3'
    ]
    assert counts(outcome)[:2] == [(4, 4), (1, 1)]
    assert outcome.err == ''


def test_a_market_value_that_contradicts_its_mark(reconcile):
    log, rows = account()
    rows[4] = held(WEEK[4], A, 5000, 11.0, 10.01, 0, value=55999)
    outcome = reconcile(log, rows)
    assert [
        line
        for line in differences(outcome)
        if line.startswith(f'{WEEK[4]} {A} position: market value: export 55999')
    ]
    assert f'stale mark: line 6: {WEEK[4]} {A}: mark 11' in outcome.out
    assert counts(outcome) == [(4, 4), (1, 1), (6, 7)]


@pytest.mark.parametrize(
    'options', [('--cash', '100001'), ('--refresh-rate', '4'), ('--stocknum', '3')], ids=str
)
def test_another_account_does_not_match(reconcile, options):
    outcome = reconcile(*account(), *options)
    assert differences(outcome)


def test_right_cash_given(reconcile):
    assert reconcile(*account(), '--cash', '100000').status == 0


def test_a_cut_record_is_bad_input(reconcile):
    log, rows = account()
    log[4] = [line[:-40] for line in log[4]]
    assert 'cut off' in one_error_line(reconcile(log, rows))


@needs_export
def test_the_real_account(tmp_path):
    done = shell(
        'reconcile_joinquant',
        '--log',
        EXPORT_FOLDER / 'log.txt',
        '--positions',
        EXPORT_FOLDER / 'Trade_Log.csv',
        cwd=tmp_path,
    )
    assert (done.status, done.err) == (0, '')
    assert done.lines[:3] == ['fills matched 101/101', 'refusals matched 9/9', 'positions matched 260/260']
    assert float(done.lines[3].split()[3]) < 1e-6
    assert list(tmp_path.iterdir()) == []


@needs_export
@pytest.mark.parametrize(
    ('old', 'new', 'told'),
    [
        (
            'trade price: 18.37, amount:18100',
            'trade price: 18.37, amount:18000',
            'size: log 18000, plugin 18100',
        ),
        ('commission: 99.74909999999998', 'commission: 99.7492', 'fee: log 99.7492, plugin 99.749'),
    ],
)
def test_the_real_account_altered(old, new, told, tmp_path):
    text = (EXPORT_FOLDER / 'log.txt').read_bytes().decode('gb18030')
    assert old in text
    (tmp_path / 'log.txt').write_bytes(text.replace(old, new).encode('gb18030'))
    outcome = call(
        'reconcile_joinquant', '--log', tmp_path / 'log.txt', '--positions', EXPORT_FOLDER / 'Trade_Log.csv'
    )
    assert [
        line
        for line in differences(outcome)
        if line.startswith('2024-11-01 300980.XSHE BUY') and told in line
    ]
