"""A market with every kind of column, and stores held against each other."""

import numpy as np
import pandas as pd

from bt_microcap.feeds.columns import FLAGS
from bt_microcap.feeds.demo import demo_market


def market(stocks=40, days=90, seed=3):
    """A demo market with every kind of column: two more of numbers, one of float32, one of whole numbers, one of text."""
    table = demo_market(stocks=stocks, days=days, seed=seed, corporate_actions=True, fundamentals=True)
    rng = np.random.default_rng(seed)
    table['turnover'] = rng.random(len(table)).astype('float32')
    table.loc[rng.random(len(table)) < 0.1, 'turnover'] = np.nan
    table['holders'] = rng.integers(1000, 100_000, len(table))
    table['name'] = 'stock ' + table['code'].astype(str).str[:3]
    table.loc[rng.random(len(table)) < 0.1, 'preclose'] = np.nan
    return table


def canonical(table):
    """The rows of a table by date then code, in the types that a store gives back."""
    table = table.drop(columns='name', errors='ignore').assign(code=table['code'].astype(str))
    table = table.sort_values(['date', 'code']).reset_index(drop=True)
    kinds = {name: 'uint8' if name in FLAGS else 'float32' if table[name].dtype == 'float32' else 'float64'
             for name in table.columns if name not in ('date', 'code')}
    return table.astype({'date': 'datetime64[s]', 'code': str, **kinds})


def same_rows(found, expected):
    pd.testing.assert_frame_equal(found.astype({'code': str}), canonical(expected), check_like=True)


INDICES = {'index': 'market', 'index/microcap': 'microcap'}  # arrays that a folder has, and a table in memory makes when asked


def same_store(found, expected):
    """Hold a store against another, array by array; of the indices the last bits may differ."""
    assert set(found.columns) == set(expected.columns)
    assert set(found.arrays) - set(INDICES) == set(expected.arrays) - set(INDICES)
    for store in (found, expected):
        assert set(INDICES) & set(store.arrays) in (set(), set(INDICES))
    for name, values in expected.arrays.items():
        if name not in INDICES:
            assert found.arrays[name].dtype == values.dtype, name
            np.testing.assert_array_equal(found.arrays[name], values, name)
    for name, spec in INDICES.items():
        lines = [store.arrays[name] if name in store.arrays else np.array(list(store.benchmark(spec).values()))
                 for store in (found, expected)]
        np.testing.assert_allclose(*lines, rtol=1e-12, err_msg=name)
