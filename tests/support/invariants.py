"""What must hold of every run, whatever the market."""

import math

import pytest

from bt_microcap.profiles import PROFILES
from tests.support.model import compare
from tests.support.oracle import board_of, legal_buy, limits_at_open
from tests.support.recompute import Market, largest_difference, walk
from tests.support.running import run_feeds, run_market


def money(*amounts):
    """Give what sums of such amounts may differ by in binary: a millionth of a yuan up to ten million."""
    return 1e-6 * max([1.0, *(abs(amount) / 1e7 for amount in amounts)])


def check_run(table, options, blotter):
    """Hold a run against everything that is true of any run; the rules of the selection are not looked at."""
    options = {**PROFILES[options.get('profile', 'realistic')], 'profile': 'realistic', 'cash': 1e6, **options}
    rows = {(stamp.date(), row['code']): row for stamp, row in zip(table['date'], table.to_dict('records'), strict=True)}
    days = sorted({day for day, _ in rows})
    first_row, row_before, last = {}, {}, {}
    for day, code in sorted(rows):
        first_row.setdefault(code, day)
        row_before[day, code] = last.get(code)
        last[code] = rows[day, code]
    number = {day: at for at, day in enumerate(days)}
    tolerance = money(options['cash'], *(row.total_value for row in blotter.equity))

    check_figures(blotter, tolerance)
    traded = {}
    for fill in blotter.fills:
        row = rows[fill.datetime, fill.code]  # a fill on a day without a row is a KeyError
        listed = number[fill.datetime] - number[first_row[fill.code]] + 1 if first_row[fill.code] != days[0] else None
        before = row_before[fill.datetime, fill.code] or {}
        delisting = int(row.get('delisting_period') == 1 and before.get('delisting_period') == 0)
        check_fill(fill, row, options, limits_at_open(row, fill.code, fill.datetime, listed, delisting))
        key = fill.datetime, fill.code
        traded[key] = traded.get(key, 0) + fill.quantity
        if options['volume_limit']:  # one for all orders of the day
            assert traded[key] <= options['volume_limit'] * row['volume'] + 1e-6, fill
    check_books(rows, options, blotter, tolerance)
    check_orders(blotter, tolerance)

    told = [row._asdict() for row in blotter.equity]
    trades = [fill._asdict() for fill in blotter.fills]
    rules = {name: options[name] for name in ('cash', 'ex_rights', 'dividend_tax', 'delist', 'delist_wait')}
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
    spread = max(opening * options['slippage'] / 2, options['min_slippage_ticks'] * 0.01 if options['slippage'] else 0.0)
    move = spread + opening * options['impact'] * math.sqrt(part) + options['slippage_ticks'] * 0.01
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
