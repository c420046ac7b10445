"""What must hold of every run whatever the market, and markets with one thing wrong."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from markets import bar, cases, markets, paused, tiny_market
from oracle import board_of, legal_buy, price_limits
from recompute import Market, largest_difference, walk
from running import run_feeds, run_market
from script_calls import call, module, one_error_line
from test_rules_of_a_run import compare

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.schema import check_table
from bt_microcap.profiles import PROFILES

A, B, C = '600001.XSHG', '000002.XSHE', '300003.XSHE'
NAN = math.nan


def money(*amounts):
    """Give what sums of such amounts may differ by in binary: a millionth of a yuan up to ten million."""
    return 1e-6 * max([1.0, *(abs(amount) / 1e7 for amount in amounts)])


def check_run(table, options, blotter):
    """Hold a run against everything that is true of any run; the rules of the selection are not looked at."""
    options = {**PROFILES[options.get('profile', 'realistic')], 'profile': 'realistic', 'cash': 1e6, **options}
    rows = {(stamp.date(), row['code']): row for stamp, row in zip(table['date'], table.to_dict('records'), strict=True)}
    days = sorted({day for day, _ in rows})
    first_row = {}
    for day, code in sorted(rows):
        first_row.setdefault(code, day)
    number = {day: at for at, day in enumerate(days)}
    tolerance = money(options['cash'], *(row.total_value for row in blotter.equity))

    check_figures(blotter, tolerance)
    for fill in blotter.fills:
        row = rows[fill.datetime, fill.code]  # a fill on a day without a row is a KeyError
        listed = number[fill.datetime] - number[first_row[fill.code]] + 1 if first_row[fill.code] != days[0] else None
        check_fill(fill, row, options, price_limits(row, fill.code, fill.datetime, listed))
    check_books(rows, options, blotter, tolerance)
    check_orders(blotter, tolerance)

    told = [row._asdict() for row in blotter.equity]
    trades = [fill._asdict() for fill in blotter.fills]
    rules = {name: options[name] for name in ('cash', 'ex_rights', 'dividend_tax', 'delist')}
    book, events = walk(Market(table), trades, [row.date for row in blotter.equity], **rules)
    assert largest_difference(book, told) < tolerance
    assert len([kind for kind, _, _ in events if kind == 'delisted']) == len(
        [row for row in blotter.rejections if row.reason == 'delisted'])


def check_figures(blotter, tolerance):
    """Hold that every figure is a number, and that cash and value add up."""
    for rows in (blotter.fills, blotter.equity, blotter.orders, blotter.corporate_actions):
        for row in rows:
            assert all(math.isfinite(value) for value in row if isinstance(value, (int, float))), row
    for row in blotter.equity:
        assert row.total_value == pytest.approx(row.cash + row.market_value, abs=tolerance)
        assert row.market_value >= -tolerance
    assert abs(blotter.cash_difference()) < tolerance


def check_fill(fill, row, options, limits):
    """Hold one fill against the row of its day."""
    assert row['paused'] == 0 and row['volume'] > 0, fill
    buy, opening = fill.side == 'BUY', row['open']
    assert fill.quantity > 0 and fill.quantity == int(fill.quantity)
    assert min(fill.commission, fill.tax, fill.transfer_fee) >= 0
    assert fill.price >= 0.01 and round(fill.price, 2) == fill.price
    # not better than the open, not worse than the slippage says (an order can be larger than the volume: no limit)
    part = fill.quantity / row['volume']
    if options['volume_limit']:
        assert fill.quantity <= options['volume_limit'] * row['volume'] + 1e-6, fill
    move = opening * (options['slippage'] / 2 + options['impact'] * math.sqrt(part)) + options['slippage_ticks'] * 0.01
    away = fill.price - opening if buy else opening - fill.price
    assert -0.005 - 1e-9 <= away <= move + 0.005 + 1e-9, fill
    if not buy and opening - move > 0.02:
        assert away >= move - 0.005 - 1e-9 or options['impact'], fill
    high, low = (None if limit is None else float(limit) for limit in limits)
    # beyond the day's prices only by the slippage, and never beyond the limits
    assert fill.price <= row['high'] + move + 0.005 + 1e-9
    assert fill.price >= row['low'] - move - 0.005 - 1e-9
    if high is not None:
        assert fill.price <= high + 0.005 + 1e-9, fill
    if low is not None:
        assert fill.price >= low - 0.005 - 1e-9, fill
    if board_of(fill.code) == 'STAR' and options['star_protection']:
        assert abs(fill.price - opening) <= options['star_protection'] * opening + 0.005 + 1e-9, fill
    if buy:
        assert legal_buy(board_of(fill.code), fill.quantity) == fill.quantity, fill
        assert row['is_st'] == 0
        if 'delisting_period' in row:
            assert row['delisting_period'] != 1


def check_books(rows, options, blotter, tolerance):
    """Walk the account by the blotter's own books: nothing comes from nowhere, nothing is sold unsettled."""
    cash, held, marks = options['cash'], {}, {}
    fills, actions = {}, {}
    for fill in blotter.fills:
        fills.setdefault(fill.datetime, []).append(fill)
    for action in blotter.corporate_actions:
        actions.setdefault(action.date, []).append(action)
    before = options['cash']
    for day in blotter.equity:
        gain = 0.0  # what price moves, fees and corporate actions brought
        for action in actions.pop(day.date, []):
            assert held[action.code] == action.shares_before
            gain += action.cash + (action.shares_after - action.shares_before) * marks[action.code]
            cash += action.cash
            held[action.code] = action.shares_after
        settled = {code: shares for code, shares in held.items() if shares}
        held = dict(settled)
        for fill in fills.pop(day.date, []):
            value = fill.quantity * fill.price
            fees = fill.commission + fill.tax + fill.transfer_fee
            if fill.side == 'BUY':
                cash -= value + fees
                close = rows[day.date, fill.code]['close']
                gain += fill.quantity * (close - fill.price)
                held[fill.code] = held.get(fill.code, 0) + fill.quantity
            else:
                cash += value - fees
                gain += fill.quantity * (fill.price - marks[fill.code])
                assert fill.quantity <= settled.get(fill.code, 0), f'{fill}: not settled'
                settled[fill.code] -= fill.quantity
                if board_of(fill.code) in ('main', 'ChiNext') and fill.quantity != held[fill.code]:
                    assert fill.quantity % 100 == 0, fill
                held[fill.code] -= fill.quantity
            gain -= fees
            if options['profile'] == 'realistic':
                assert fill.side == 'SELL' or cash >= -tolerance, fill
        for code, shares in held.items():
            if (day.date, code) in rows:
                close = rows[day.date, code]['close']
                if code in settled:
                    gain += settled[code] * (close - marks[code])
                marks[code] = close
            elif shares:
                assert code in marks
        value = sum(shares * marks[code] for code, shares in held.items() if shares)
        assert day.cash == pytest.approx(cash, abs=tolerance), day
        assert day.market_value == pytest.approx(value, abs=tolerance), day
        assert day.total_value - before == pytest.approx(gain, abs=2 * tolerance), day
        before = day.total_value
    assert not fills and not actions  # none on a day that is not in the account


def check_orders(blotter, tolerance):
    """Hold the orders against the fills and the refusals."""
    sums, wanted = {}, {}
    for order in blotter.orders:
        assert 0 <= order.quantity <= order.wanted, order
        assert order.slippage >= -0.005 * order.quantity - 1e-9, order
        assert (order.quantity == 0) == (order.status == 'Rejected') == (order.price == 0), order
        if order.status != 'Completed':
            assert order.reason, order
        tax = order.stamp_duty + order.dividend_tax
        row = order.quantity, order.quantity * order.price, order.commission, tax, order.transfer_fee
        key = order.date, order.code, order.side
        sums[key] = [a + b for a, b in zip(sums.get(key, [0.0] * 5), row, strict=True)]
    for fill in blotter.fills:
        row = fill.quantity, fill.quantity * fill.price, fill.commission, fill.tax, fill.transfer_fee
        key = fill.datetime, fill.code, fill.side
        wanted[key] = [a + b for a, b in zip(wanted.get(key, [0.0] * 5), row, strict=True)]
    assert {key for key, row in sums.items() if row[0]} == set(wanted)
    for key, row in wanted.items():
        assert sums[key] == pytest.approx(row, abs=tolerance), key
    refused = [(order.date, order.code, order.side, order.reason) for order in blotter.orders if order.reason]
    assert refused == [tuple(row) for row in blotter.rejections if row.reason != 'delisted']


def check(table, *, model=True, **options):
    """Run a table both ways, hold both against all that is known, and return the blotter."""
    blotters = [run(table, **options).analyzers.blotter for run in (run_market, run_feeds)]
    for blotter in blotters:
        check_run(table, options, blotter)
        if model:
            compare(table, options, blotter)
    for name in ('fills', 'rejections', 'equity', 'orders', 'corporate_actions'):
        assert getattr(blotters[0], name) == getattr(blotters[1], name)
    return blotters[0]


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
        run(table, **RUN)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('name', [*(name for name in OPTIONAL if name != 'delisting_period'), 'market_cap'])
@pytest.mark.parametrize('where', ['one cell', 'one stock', 'everywhere'])
@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
def test_nothing_where_a_number_may_be_missing(name, where, profile):
    table = mixed(**{key: value for key, value in OPTIONAL.items() if key not in ('high_limit', 'low_limit', 'preclose')})
    if name in ('high_limit', 'low_limit'):
        table['high_limit'], table['low_limit'] = table['preclose'] * 1.1, table['preclose'] * 0.9
    mask = {'one cell': table.index == 7, 'one stock': table['code'] == A, 'everywhere': table['code'] != ''}[where]
    table.loc[mask, name] = NAN
    blotter = check(table, profile=profile, **RUN)
    assert blotter.fills or (name, where) == ('market_cap', 'everywhere')


@pytest.mark.parametrize('run', [run_feeds, run_market])
def test_an_empty_flag_is_one_clear_error(run):
    table = mixed(delisting_period=0.0)
    table.loc[5, 'delisting_period'] = NAN
    with pytest.raises(DataError, match='column delisting_period: found nothing'):
        run(table, **RUN)


def test_a_stock_whose_rows_stop_in_the_middle():
    days = [bar(10.0, cap=2.1e9), 10.0, (10.0, 9.5)]
    table = tiny_market({A: days, B: [bar(20.0, cap=2.9e9)] + [20.0] * 7})
    for delist, end in (('last_close', 94_920), ('zero', 870), (0.5, 47_895)):
        blotter = check(table, stocknum=1, cash=100_000.0, refresh_rate=20, delist=delist, volume_limit=0.0)
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
    with pytest.raises(DataError, match=r'row 0 .*column high_limit: found 9, expected at least the low_limit 11') as error:
        run(table, **RUN)
    assert '\n' not in str(error.value)


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
    """+986 % on one day, as 002506.XSHE on 2015-08-12: it trades without a limit, which only the data can tell."""
    code = '002506.XSHE'
    dates = [f'2015-08-{day:02}' for day in (6, 7, 10, 11, 12, 13, 14)]
    jump = {'high_limit': 100.0, 'low_limit': 0.01} if limits else {}
    cap = 2.1e9 if held else 9e9
    days = [bar(1.4, cap=cap), 1.4, paused(), paused(cap=2.1e9), bar(15.2, preclose=1.4, **jump), 15.2, 15.0]
    table = tiny_market({code: days, B: [bar(20.0, cap=2.9e9)] + [20.0] * 6}, dates=dates)
    blotter = check(table, stocknum=1, refresh_rate=1, cash=100_000.0)
    on_the_day = [(fill.code, fill.side) for fill in blotter.fills if str(fill.datetime) == '2015-08-12']
    refused = [(row.code, row.side, row.reason) for row in blotter.rejections if str(row.date) == '2015-08-12']
    if held:
        assert max(row.total_value for row in blotter.equity) > 7e5
    if limits:
        assert (code, 'BUY') in on_the_day and refused == []
        assert ((code, 'SELL') in on_the_day) == held
    else:  # the computed limit is 1.54: no fill beyond it, one way or the other
        assert on_the_day == [(B, 'SELL')] * (not held)
        assert refused == [(code, 'SELL', 'slipped past the limit')] if held else [(code, 'BUY', 'limit up')]
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
