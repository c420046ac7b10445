"""The rules of a run, in full, against an independent model on random markets."""

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from markets import cases
from oracle import run_oracle
from running import run_feeds, run_market


def compare(table, options, blotter):
    """Hold a run against the model: the same trades, refusals and account, to a millionth of a yuan."""
    expected = run_oracle(table, **options)
    got = [(f.datetime, f.code, f.side, f.quantity, f.price) for f in blotter.fills]
    want = [(t['date'], t['code'], t['side'], t['quantity'], t['price']) for t in expected.trades]
    assert got == want
    for fill, trade in zip(blotter.fills, expected.trades, strict=True):
        assert (fill.commission, fill.tax, fill.transfer_fee) == pytest.approx(
            (trade['commission'], trade['tax'], trade['transfer_fee']), abs=1e-6)
    key = ('date', 'code', 'side', 'reason')
    assert [tuple(r) for r in blotter.rejections] == [tuple(r[name] for name in key) for r in expected.rejections]
    assert [row.date for row in blotter.equity] == [row['date'] for row in expected.equity]
    for row, day in zip(blotter.equity, expected.equity, strict=True):
        assert (row.cash, row.market_value, row.total_value) == pytest.approx(
            (day['cash'], day['market_value'], day['total_value']), abs=1e-6), row.date


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_random_markets_match_the_model(case):
    table, options = case
    assert isinstance(table, pd.DataFrame)
    compare(table, options, run_feeds(table, **options).analyzers.blotter)
    compare(table, options, run_market(table, **options).analyzers.blotter)
