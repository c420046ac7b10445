"""A run held against the independent model of `oracle`."""

import pytest

from tests.support.oracle import run_oracle


def net_actions(actions):
    """Add up what happened to each holding on a day; what changed nothing is left out."""
    found = {}
    for day, code, before, after, cash in actions:
        first = found.get((day, code), (before,))[0]
        found[day, code] = first, after, found.get((day, code), (0, 0, 0.0))[2] + cash
    return {key: value for key, value in found.items() if value[0] != value[1] or value[2]}


def compare(table, options, blotter):
    """Hold a run against the model: the same trades, refusals, corporate actions and account, to a millionth of a yuan."""
    expected = run_oracle(table, **options)
    # binary numbers hold sixteen digits: a millionth of a yuan of a hundred million
    tolerance = 1e-6 * max(1.0, options.get('cash', 1e6) / 1e8)
    got = [(f.datetime, f.code, f.side, f.quantity, f.price) for f in blotter.fills]
    want = [(t['date'], t['code'], t['side'], t['quantity'], t['price']) for t in expected.trades]
    assert got == want
    for fill, trade in zip(blotter.fills, expected.trades, strict=True):
        assert (fill.commission, fill.tax, fill.transfer_fee) == pytest.approx(
            (trade['commission'], trade['tax'], trade['transfer_fee']), abs=tolerance)
    key = ('date', 'code', 'side', 'reason')
    assert [tuple(r) for r in blotter.rejections] == [tuple(r[name] for name in key) for r in expected.rejections]
    assert [row.date for row in blotter.equity] == [row['date'] for row in expected.equity]
    for row, day in zip(blotter.equity, expected.equity, strict=True):
        assert (row.cash, row.market_value, row.total_value) == pytest.approx(
            (day['cash'], day['market_value'], day['total_value']), abs=tolerance), row.date
    told = net_actions((a.date, a.code, a.shares_before, a.shares_after, a.cash) for a in blotter.corporate_actions)
    wanted = net_actions((a['date'], a['code'], a['before'], a['after'], a['cash']) for a in expected.actions)
    assert told.keys() == wanted.keys()
    for key, action in wanted.items():
        assert told[key] == pytest.approx(action, abs=tolerance), key
