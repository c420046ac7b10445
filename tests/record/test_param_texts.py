"""The values of params as text and as JSON."""

import json
import math

import numpy as np
import pytest

from bt_microcap.record.param_texts import as_json, as_text, changed
from bt_microcap.rotation.values import market_cap, momentum


class Nothing:
    """Without a repr of its own."""


@pytest.mark.parametrize(('value', 'text'), [
    (3, '3'), (True, 'yes'), (False, 'no'), (2e9, '2e9'), (0.1, '0.1'), (0.0, '0'), (1e-5, '1e-05'), (math.inf, 'inf'),
    (2345678901.5, '2345678901.5'), (2000000100.0, '2000000100'),
    (1 / 3, '0.3333333333333333'), ((), 'none'), ((1, 4), '1,4'), (('main', 'star'), 'main,star'),
    ('', ''), ('-roe', '-roe'), (None, 'none'), (np.int64(3), '3'), (np.float64(0.5), '0.5'), (np.bool_(True), 'yes'),
    (math.sqrt, 'sqrt'), (Nothing, 'Nothing'), (Nothing(), 'Nothing'), (momentum(20), 'momentum(20)'),
    (-momentum(20) / 2, repr(-momentum(20) / 2)),
])
def test_text(value, text):
    assert as_text(value) == text


@pytest.mark.parametrize(('value', 'content'), [
    ((1, 'a', (math.inf, -math.inf)), [1, 'a', ['inf', '-inf']]), ({'a': math.nan, 2: None}, {'a': 'nan', '2': None}),
    (np.float64(0.5), 0.5), (True, True), (momentum(20), 'momentum(20)'), ([np.int32(3)], [3]),
])
def test_json(value, content):
    assert as_json(value) == content
    json.dumps(as_json(value), allow_nan=False)


def test_pieces_are_compared_by_what_they_say():
    defaults = {'a': 1, 'b': market_cap, 'c': None, 'd': (1,)}
    assert changed({'a': 1.0, 'b': market_cap, 'c': None, 'd': (1,)}, defaults) == {}
    found = changed({'a': 2, 'b': momentum(5), 'c': 0, 'd': (), 'e': 1}, defaults)
    assert list(found) == ['a', 'b', 'c', 'd', 'e']
