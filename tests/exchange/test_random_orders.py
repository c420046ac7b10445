"""Random scripts of orders on random small markets: cash, positions, trades and blotter agree, in both ways of feeding."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.invariants import money
from tests.support.markets import markets
from tests.support.oracle import price_limits
from tests.support.random_orders import broker_options, run_script, scripts

CASH = 100_000.0


def rows_of(table):
    return {(stamp.date(), row['code']): row for stamp, row in zip(table['date'], table.to_dict('records'), strict=True)}


def check_account(strategy, table, tolerance):
    """Walk cash, shares and value from fills and corporate actions, with marks from the table."""
    blotter = strategy.analyzers.blotter
    days = [stamp.date() for stamp in sorted(set(table['date']))]
    wide = table.pivot(index='date', columns='code', values='close').ffill()
    closes = {code: dict(zip(days, wide[code], strict=True)) for code in wide.columns}
    assert len(strategy.held) == len(days)
    begun = any(fill.datetime == days[0] for fill in blotter.fills) or any(row.date == days[0] for row in blotter.rejections)
    assert [row.date for row in blotter.equity] == days[not begun:]  # the first bar only where something happened on it
    equity = {row.date: row for row in blotter.equity}
    cash, held = CASH, {}
    for day, positions in zip(days, strategy.held, strict=True):
        for action in (action for action in blotter.corporate_actions if action.date == day):
            assert held[action.code] == action.shares_before
            cash += action.cash
            held[action.code] = action.shares_after
        settled = dict(held)
        for fill in (fill for fill in blotter.fills if fill.datetime == day):
            fees = fill.commission + fill.tax + fill.transfer_fee
            sign = 1 if fill.side == 'BUY' else -1
            cash -= sign * fill.quantity * fill.price + fees
            held[fill.code] = held.get(fill.code, 0) + sign * fill.quantity
            if sign < 0:
                settled[fill.code] = settled.get(fill.code, 0) - fill.quantity
                assert settled[fill.code] >= 0, f'{fill}: not settled'
            else:
                assert cash >= -tolerance, fill
        held = {code: shares for code, shares in held.items() if shares}
        assert positions == held
        assert all(shares > 0 for shares in held.values())
        if day in equity:
            value = math.fsum(shares * closes[code][day] for code, shares in held.items())
            row = equity[day]
            assert (row.cash, row.market_value, row.total_value) == pytest.approx((cash, value, cash + value), abs=tolerance)
    assert strategy.broker.getcash() == pytest.approx(cash, abs=tolerance)
    assert abs(blotter.cash_difference()) < tolerance
    assert strategy.open_trades == strategy.held


def check_fills(strategy, table, options):
    """Hold every fill against the row of its day: traded, within the day's limits, its own limit and the volume."""
    rows, days = rows_of(table), [stamp.date() for stamp in sorted(set(table['date']))]
    first = table.groupby('code')['date'].min().dt.date.to_dict()
    stamps = sorted(set(table['date']))
    flags = table.assign(delisting_period=table.get('delisting_period', 0))
    delisting = {code: rows.set_index('date')['delisting_period'] for code, rows in flags.groupby('code')}
    slips = any(options[name] for name in ('slippage', 'slippage_ticks', 'impact'))
    taken = {}
    for day, code, size, price, own, kind, booked_out in strategy.log:
        if booked_out:
            continue
        row = rows[days[day], code]  # a fill on a day without a row is a KeyError
        assert row['paused'] == 0 and row['volume'] > 0
        listed = day - days.index(first[code]) + 1 if first[code] != days[0] else None
        fresh = day > 0 and row.get('delisting_period') == 1 and delisting[code].shift(1)[stamps[day]] == 0
        high, low = (None if limit is None else float(limit)
                     for limit in price_limits(row, code, days[day], listed, int(fresh)))
        told = row.get('high_limit', math.nan) == row.get('high_limit', math.nan)
        if not told and low is not None and not low - 0.005 <= row['open'] <= high + 0.005:
            high = low = None  # an open beyond a computed limit proves that it does not hold
        if high is not None:
            assert low - 0.005 - 1e-9 <= price <= high + 0.005 + 1e-9
            sealed = {'Market': row['open'], 'Close': row['close']}.get(kind, None if slips else price)
            if sealed is not None:  # nobody sells at the upper limit, or buys at the lower one
                assert sealed < high - 0.005 + 1e-9 if size > 0 else sealed > low + 0.005 - 1e-9
        if own is not None:
            assert price <= own + 1e-9 if size > 0 else price >= own - 1e-9
        if not slips:
            assert row['low'] - 1e-9 <= price <= row['high'] + 1e-9
        taken[day, code] = taken.get((day, code), 0) + abs(size)
    for (day, code), size in taken.items():
        if options['volume_limit']:
            assert size <= options['volume_limit'] * rows[days[day], code]['volume'] + 1e-6


def check_orders(strategy):
    """Hold that every order ends once, and that nothing is told after its end."""
    ended = set()
    for number, status in strategy.told:
        assert number < 0 or number not in ended, (number, status)
        if status in ('Completed', 'Canceled', 'Expired', 'Margin', 'Rejected'):
            ended.add(number)
    for number, order in enumerate(strategy.given):
        assert order.alive() == (number not in ended), (number, order)
        assert abs(order.executed.size) <= order.info.get('wanted', abs(order.size)), order
    alive = {order.ref for order in strategy.given if order.alive()}
    assert {order.ref for order in strategy.broker.pending} <= alive


@settings(max_examples=170, deadline=None, suppress_health_check=list(HealthCheck))
@given(table=markets(min_stocks=2, max_stocks=5, min_days=8, max_days=14), script=scripts(), options=broker_options(),
       cheat=st.sampled_from((True, True, True, False)))
def test_cash_positions_trades_and_blotter_agree(table, script, options, cheat):
    found = []
    for market in (False, True):
        strategy = run_script(table, script, options, market, CASH, cheat)
        check_account(strategy, table, money(CASH, *strategy.broker.marks.values()))
        check_fills(strategy, table, options)
        check_orders(strategy)
        blotter = strategy.analyzers.blotter
        found.append({'fills': blotter.fills, 'actions': blotter.corporate_actions, 'equity': blotter.equity,
                      'refusals': blotter.rejections, 'ends': sorted(strategy.told, key=lambda told: told[0])})
    for name in found[0]:
        assert found[0][name] == found[1][name], name
