"""The market that the sweeps of this room run over."""

import pytest

from bt_microcap.feeds.demo import demo_market


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp('market') / 'market.parquet'
    demo_market(60, years=1, seed=3).to_parquet(path, index=False)
    return path
