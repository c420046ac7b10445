"""The rules of a run, in full, against an independent model on random markets."""

import pandas as pd
from hypothesis import HealthCheck, given, settings

from tests.support.markets import cases
from tests.support.model import compare
from tests.support.running import run_feeds, run_market


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_random_markets_match_the_model(case):
    table, options = case
    assert isinstance(table, pd.DataFrame)
    compare(table, options, run_feeds(table, **options).analyzers.blotter)
    compare(table, options, run_market(table, **options).analyzers.blotter)
