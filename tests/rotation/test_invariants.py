"""What must hold of every run whatever the market, and markets with one thing wrong."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.schema import check_table
from tests.support.invariants import check, check_run
from tests.support.markets import bar, cases, markets, paused, tiny_market
from tests.support.running import run_feeds, run_market
from tests.support.script_calls import call, module, one_error_line

A, B, C = '600001.XSHG', '000002.XSHE', '300003.XSHE'
NAN = math.nan


# ------------------------------------------------------------------------------------------ any market


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_any_run(case):
    table, options = case
    check_run(table, options, run_market(table, **options).analyzers.blotter)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_both_ways_keep_the_same_books(case):
    table, options = case
    check(table, model=False, **options)


# ------------------------------------------------------------------------------------------ faults of the data

OPTIONAL = {'preclose': 10.0, 'amount': 1e7, 'high_limit': 11.0, 'low_limit': 9.0, 'cash_dividend': 0.0, 'share_ratio': 1.0,
            'delisting_period': 0}
REQUIRED = ('open', 'high', 'low', 'close', 'volume', 'is_st', 'paused')
MIXED = [bar(10.0, cap=2.1e9), 10.0, (10.1, 10.3), 10.2, (10.0, 9.9), 10.0, 10.1, 10.0]


def mixed(**columns):
    """Give three stocks over eight days, with further columns."""
    others = {B: [bar(20.0, cap=2.2e9), *[20.0, 20.2] * 3, 20.0], C: [bar(5.0, cap=2.3e9), *[5.0, 5.1] * 3, 5.0]}
    return tiny_market({A: MIXED, **others}).assign(**columns)


RUN = {'stocknum': 2, 'refresh_rate': 2, 'cash': 100_000.0}


@pytest.mark.parametrize('name', REQUIRED)
@pytest.mark.parametrize('at', [0, 10, 23])
@pytest.mark.parametrize('run', [run_feeds, run_market])
def test_nothing_where_there_must_be_a_number_is_one_clear_error(name, at, run):
    table = mixed().astype({name: 'float64'})
    table.loc[at, name] = NAN
    with pytest.raises(DataError, match=rf'row {at} .*column {name}: found nothing \(NaN\), expected .+; .+') as error:
        run(table, strict=True, **RUN)
    assert '\n' not in str(error.value)
    without_the_row(run, table, at)


def without_the_row(run, table, at):
    """A row that is of no use is left out: the run is that of a table that lacks it."""
    with pytest.warns(UserWarning, match=r'the table: 1 row not as they should be: 1 [a-z0-9_ ]+ \(row left out\)'):
        found = run(table, **RUN).analyzers.blotter
    same_books(found, run(table.drop(index=at), **RUN).analyzers.blotter)
    assert found.fills


def same_books(one, other):
    for name in ('fills', 'rejections', 'equity', 'orders', 'corporate_actions'):
        assert getattr(one, name) == getattr(other, name)


@pytest.mark.parametrize('name', [*(name for name in OPTIONAL if name != 'delisting_period'), 'market_cap'])
@pytest.mark.parametrize('where', ['one cell', 'one stock', 'everywhere'])
@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
def test_nothing_where_a_number_may_be_missing(name, where, profile):
    table = mixed(**{key: value for key, value in OPTIONAL.items() if key not in ('high_limit', 'low_limit', 'preclose')})
    table['amount'] = table['volume'] * table['close']
    if name in ('high_limit', 'low_limit'):
        table['high_limit'], table['low_limit'] = table['preclose'] * 1.1, table['preclose'] * 0.9
    mask = {'one cell': table.index == 7, 'one stock': table['code'] == A, 'everywhere': table['code'] != ''}[where]
    table.loc[mask, name] = NAN
    if (name, where) == ('market_cap', 'everywhere'):
        with pytest.raises(DataError, match='column market_cap: found nothing'):
            check(table, profile=profile, **RUN)
    else:
        if name == 'market_cap':
            with pytest.warns(UserWarning, match=rf'{mask.sum()} no market cap \(not picked on the next day\)'):
                assert check(table, profile=profile, **RUN).fills
        else:
            assert check(table, profile=profile, **RUN).fills


@pytest.mark.parametrize('run', [run_feeds, run_market])
def test_an_empty_flag_is_one_clear_error(run):
    table = mixed(delisting_period=0.0)
    table.loc[5, 'delisting_period'] = NAN
    with pytest.raises(DataError, match='row 5 .*column delisting_period: found nothing'):
        run(table, strict=True, **RUN)
    without_the_row(run, table, 5)


def test_a_stock_whose_rows_stop_in_the_middle():
    days = [bar(10.0, cap=2.1e9), 10.0, (10.0, 9.5)]
    table = tiny_market({A: days, B: [bar(20.0, cap=2.9e9)] + [20.0] * 7})
    for delist, end in (('last_close', 94_920), ('zero', 870), (0.5, 47_895)):
        blotter = check(table, stocknum=1, cash=100_000.0, refresh_rate=20, delist=delist, volume_limit=0.0,
                        delist_wait=0)
        assert [(fill.code, fill.side) for fill in blotter.fills] == [(A, 'BUY')]
        assert blotter.equity[-1].market_value == 0
        assert blotter.equity[-1].cash == pytest.approx(end, abs=1)
        assert [row.reason for row in blotter.rejections] == ['delisted']
        assert [(action.action, action.shares_after) for action in blotter.corporate_actions] == [('delisted', 0)]


@pytest.mark.parametrize('at', [0, 1, 3, 7])
def test_a_stock_with_a_single_row(at):
    days = [None] * at + [bar(10.0, cap=2.1e9)]
    table = tiny_market({A: days, B: [bar(20.0, cap=2.9e9)] + [20.0] * 7})
    blotter = check(table, **RUN)
    assert {fill.code for fill in blotter.fills} == {B}  # A has no row on the day after


@pytest.mark.parametrize('refresh_rate', [1, 2, 5])
def test_days_on_which_nothing_may_be_bought(refresh_rate):
    for nothing in (paused(), bar(10.0, st=1), bar(10.0, volume=0.0), bar(11.0)):
        table = tiny_market({code: [bar(10.0, cap=cap), nothing, nothing, 10.0, 10.0, 10.0]
                             for code, cap in ((A, 2.1e9), (B, 2.2e9))})
        blotter = check(table, stocknum=2, refresh_rate=refresh_rate, cash=100_000.0)
        assert len(blotter.equity) == 5


def test_a_day_without_any_row_is_no_trading_day():
    """A stock that is away on all days but its first and last, alone in its market: the days between do not exist."""
    dates = ['2024-01-02', '2024-01-03', '2024-01-08', '2024-01-09']
    blotter = check(tiny_market({A: [bar(10.0, cap=2.1e9), 10.0, 10.2, 10.3]}, dates=dates), stocknum=1, refresh_rate=1)
    assert [str(row.date) for row in blotter.equity] == dates[1:]


def test_a_day_with_rows_of_other_stocks_only():
    table = tiny_market({
        A: [bar(10.0, cap=2.1e9), 10.0, None, None, 10.0, 10.0],
        B: [bar(20.0, cap=2.2e9), 20.0, 20.0, None, 20.0, 20.0],
        '835003.BJSE': [bar(5.0, cap=2.0e9)] + [5.0] * 5,  # not bought: its board is off
    })
    blotter = check(table, **{**RUN, 'refresh_rate': 1})
    assert len(blotter.equity) == 5
    assert {fill.datetime for fill in blotter.fills} < {row.date for row in blotter.equity}


@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
@pytest.mark.parametrize('stocknum', [1, 3, 50])
def test_a_market_of_one_stock(stocknum, profile):
    table = tiny_market({A: MIXED})
    blotter = check(table, profile=profile, stocknum=stocknum, refresh_rate=2, cash=100_000.0)
    assert {fill.code for fill in blotter.fills} == {A}


@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
def test_a_hundred_yuan_buy_nothing_but_a_penny_stock(profile):
    blotter = check(mixed(), profile=profile, **{**RUN, 'cash': 100.0})
    assert blotter.fills == [] and {row.reason for row in blotter.rejections} == {'below one lot'}
    assert {row.total_value for row in blotter.equity} == {100.0}
    penny = tiny_market({A: [bar(0.5, cap=2.1e9)] + [0.5] * 5})
    blotter = check(penny, profile=profile, stocknum=1, refresh_rate=2, cash=100.0)
    assert len(blotter.fills) > 0


@pytest.mark.parametrize('options', [{}, {'impact': 0.1}, {'volume_limit': 0.0}, {'impact': 0.1, 'volume_limit': 0.0}])
def test_a_trillion_yuan(options):
    blotter = check(mixed(), **{**RUN, 'cash': 1e12}, **options)
    if not options:
        assert {fill.quantity for fill in blotter.fills} == {100_000}  # a tenth of a million shares
        assert {row.reason for row in blotter.rejections} == {'volume limit'}


@pytest.mark.parametrize('run', [run_feeds, run_market])
def test_limits_the_wrong_way_round_are_one_clear_error(run):
    table = mixed(high_limit=9.0, low_limit=11.0)
    said = r'row 0 .*column high_limit: found 9, expected at least the low_limit 11'
    for strict, end in ((True, ''), (False, r'.*24 of 24 rows of 2024 are bad, more than 1%: the table is wrong, not the row\)')):
        with pytest.raises(DataError, match=said + end) as error:
            run(table, strict=strict, **RUN)
        assert '\n' not in str(error.value)


@pytest.mark.parametrize('run', [run_feeds, run_market])
def test_limits_the_wrong_way_round_on_one_day_are_not_known(run):
    table = mixed(high_limit=11.0, low_limit=9.0, preclose=NAN)  # those of A, on every day
    table.loc[table['code'] != A, ['high_limit', 'low_limit']] = NAN
    unknown, swapped = table.copy(), table.copy()
    at = int(table.index[(table['code'] == A)][4])  # A opens at 10.00: within its limits, also swapped
    unknown.loc[at, ['high_limit', 'low_limit']] = NAN
    swapped.loc[at, ['high_limit', 'low_limit']] = 9.0, 11.0
    with pytest.raises(DataError, match=rf'row {at} .*column high_limit: found 9, expected at least the low_limit 11'):
        run(swapped, strict=True, **RUN)
    with pytest.warns(UserWarning, match=r'1 upper limit below the lower one \(taken as not known\)'):
        found = run(swapped, **RUN).analyzers.blotter
    same_books(found, run(unknown, **RUN).analyzers.blotter)
    assert A in {fill.code for fill in found.fills}


@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
def test_a_stock_of_one_cent(profile):
    days = [bar(0.01, cap=2.1e9, volume=1e8), 0.01, 0.01, (0.01, 0.02), 0.02, (0.02, 0.01), 0.01, 0.01]
    blotter = check(tiny_market({A: days}), profile=profile, stocknum=1, refresh_rate=1, cash=100_000.0)
    # 0.01 is the lower limit itself: bought, and sold only once it opens above
    assert [fill.side for fill in blotter.fills[:1]] == ['BUY']
    assert 'limit down' in {row.reason for row in blotter.rejections}
    assert min(fill.price for fill in blotter.fills) >= 0.01
    check(tiny_market({A: days}), profile=profile, stocknum=1, refresh_rate=1, cash=100_000.0, slippage=1.0, impact=1.0,
          slippage_ticks=3.0)


@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
def test_a_stock_of_five_thousand_yuan(profile):
    days = [bar(5000.0, cap=2.1e9), 5000.0, (5100.0, 5049.99), 5200.01, 5000.0, 4999.99]
    blotter = check(tiny_market({A: days}), profile=profile, stocknum=1, refresh_rate=1, cash=1e6)
    assert blotter.fills[0].quantity == (200 if profile == 'joinquant' else 100)
    assert check(tiny_market({A: days}), profile=profile, stocknum=1, refresh_rate=1, cash=499_000.0).fills == []


def test_an_order_has_the_date_of_its_decision():
    """A has no row on the day on which its sale is asked for and refused."""
    table = tiny_market({A: [bar(10.0, cap=2.1e9), 10.0, None, 10.0], B: [bar(20.0, cap=2.2e9)] + [20.0] * 3})
    orders = [[(str(order.date), order.code, order.reason) for order in run(table, stocknum=1, refresh_rate=1).analyzers
               .blotter.orders if order.reason == 'suspended'] for run in (run_market, run_feeds)]
    assert orders == [[('2024-01-04', A, 'suspended')]] * 2


def test_a_calendar_with_gaps():
    dates = ['2019-12-30', '2019-12-31', '2020-01-02', '2020-01-23', '2020-02-03', '2020-02-04', '2021-02-04', '2023-08-28']
    table = tiny_market({A: [*MIXED[:4], bar(9.3, preclose=9.3, cash_dividend=0.9), *MIXED[5:]],
                         B: [bar(20.0, cap=2.9e9), 20.0] + [None] * 3 + [20.0, 20.2, 20.0]}, dates=dates)
    for rate in (1, 2, 3, 6):
        blotter = check(table, stocknum=1, refresh_rate=rate, cash=100_000.0)
        assert [str(row.date) for row in blotter.equity] == dates[1:]


def test_the_first_days_of_a_listing_are_trading_days():
    """STAR, the third trading day since the listing, after a gap: without a limit still."""
    dates = ['2021-01-04', '2021-01-05', '2021-01-06', '2021-03-01', '2021-03-02']
    table = tiny_market({B: [bar(5.0, cap=9e9)] + [5.0] * 4,
                         '688001.XSHG': [None, bar(10.0, cap=2.1e9), 10.0, 13.0, 13.0]}, dates=dates)
    blotter = check(table, stocknum=1, refresh_rate=2, start=pd.Timestamp('2021-03-01').date())
    assert [fill.price for fill in blotter.fills] == [13.01]


def test_a_stock_that_turns_st_while_held_and_suspended():
    # held from day 1; suspended on days 2 to 4 and ST from day 3; trades again, ST, from day 5: sold, never bought back
    days = [bar(10.0, cap=2.1e9), 10.0, paused(), paused(st=1), paused(st=1), bar(9.6, st=1), bar(9.4, st=1), bar(9.3, st=1)]
    table = tiny_market({A: days, B: [bar(20.0, cap=2.9e9)] + [20.0] * 7})
    blotter = check(table, stocknum=1, refresh_rate=1, cash=100_000.0)
    got = [(str(fill.datetime), fill.code, fill.side) for fill in blotter.fills]
    assert got[:3] == [('2024-01-03', A, 'BUY'), ('2024-01-09', A, 'SELL'), ('2024-01-09', B, 'BUY')]
    assert {code for _, code, _ in got[3:]} == {B}
    reasons = [(str(row.date), row.reason) for row in blotter.rejections]
    assert reasons == [('2024-01-04', 'suspended'), ('2024-01-05', 'suspended'), ('2024-01-08', 'suspended')]
    # the limit of ST is 5 %: 9.50 is the lower limit of a stock at 10.00
    days[5:] = [bar(9.5, st=1), bar(9.4, st=1), bar(9.3, st=1)]
    blotter = check(tiny_market({A: days, B: [bar(20.0, cap=2.9e9)] + [20.0] * 7}), stocknum=1, refresh_rate=1, cash=1e5)
    assert ('2024-01-09', 'limit down') in [(str(row.date), row.reason) for row in blotter.rejections]


@pytest.mark.parametrize('limits', [True, False])
@pytest.mark.parametrize('held', [True, False])
def test_a_relisting_far_above_its_last_close(limits, held):
    """+986 % on one day, as 002506.XSHE on 2015-08-12: it trades without a limit, told by the data or proved by its open."""
    code = '002506.XSHE'
    dates = [f'2015-08-{day:02}' for day in (6, 7, 10, 11, 12, 13, 14)]
    jump = {'high_limit': 100.0, 'low_limit': 0.01} if limits else {}
    cap = 2.1e9 if held else 9e9
    days = [bar(1.4, cap=cap), 1.4, paused(), paused(cap=2.1e9), bar(15.2, preclose=1.4, volume=1e7, **jump), 15.2, 15.0]
    table = tiny_market({code: days, B: [bar(20.0, cap=2.9e9)] + [20.0] * 6}, dates=dates)
    blotter = check(table, stocknum=1, refresh_rate=1, cash=100_000.0)
    on_the_day = [(fill.code, fill.side) for fill in blotter.fills if str(fill.datetime) == '2015-08-12']
    refused = [(row.code, row.side, row.reason) for row in blotter.rejections if str(row.date) == '2015-08-12']
    if held:
        assert max(row.total_value for row in blotter.equity) > 7e5
    # the computed limit would be 1.54: an open at 15.20 proves that it does not hold
    assert on_the_day == [(code if held else B, 'SELL'), (code, 'BUY')]
    assert refused == []
    assert all(math.isfinite(row.total_value) for row in blotter.equity)


# ------------------------------------------------------------------------------------------ the checks check


def changed(rows, at, **values):
    return [*rows[:at], rows[at]._replace(**values), *rows[at + 1:]]


def test_the_checks_find_what_is_wrong():
    """A book with one figure changed does not pass."""
    blotter = run_market(mixed(), **RUN).analyzers.blotter
    check_run(mixed(), RUN, blotter)
    sale = next(at for at, fill in enumerate(blotter.fills) if fill.side == 'SELL')
    wrong = [
        ('fills', changed(blotter.fills, 0, quantity=blotter.fills[0].quantity + 1)),
        ('fills', changed(blotter.fills, 0, price=blotter.fills[0].price + 0.02)),
        ('fills', changed(blotter.fills, sale, quantity=blotter.fills[sale].quantity + 100)),
        ('fills', changed(blotter.fills, sale, tax=0.0)),
        ('fills', changed(blotter.fills, sale, datetime=blotter.fills[0].datetime)),
        ('equity', changed(blotter.equity, 3, cash=blotter.equity[3].cash + 0.01)),
        ('equity', changed(blotter.equity, 3, total_value=NAN)),
        ('orders', changed(blotter.orders, 0, commission=0.0)),
        ('orders', blotter.orders[1:]),
    ]
    for name, rows in wrong:
        right = getattr(blotter, name)
        setattr(blotter, name, rows)
        with pytest.raises((AssertionError, KeyError, ValueError)):
            check_run(mixed(), RUN, blotter)
        setattr(blotter, name, right)
    check_run(mixed(), RUN, blotter)


def test_the_soak_counts_its_runs_and_names_the_seed_that_fails(monkeypatch):
    seen = []

    def check_batch(seed, examples):
        seen.append((seed, examples))
        if seed == 9:
            raise AssertionError('made up')

    monkeypatch.setattr(module('soak'), 'check_batch', check_batch)
    outcome = call('soak', '--examples', 60, '--seed', 3)
    assert (outcome.status, outcome.lines[-1]) == (0, 'all of them hold')
    assert seen == [(3, 25), (4, 25), (5, 10)]
    outcome = call('soak', '--examples', 60, '--seed', 8)
    assert (outcome.status, outcome.lines[-1]) == (1, 'failed: --seed 9 --examples 25')
    assert 'made up' in outcome.err
    one_error_line(call('soak', '--examples', 0))


@settings(max_examples=15, deadline=None)
@given(markets())
def test_drawn_markets_are_canonical(table):
    check_table(table)
    assert np.isfinite(table['close']).all()
