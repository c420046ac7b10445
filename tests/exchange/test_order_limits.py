"""The price cage and the largest order, by board and date."""

from datetime import date

import pytest

from bt_microcap.exchange import order_limits
from bt_microcap.exchange.order_limits import cage, parts_of


@pytest.mark.parametrize(('code', 'day', 'expected'), [
    ('600000.XSHG', date(2023, 4, 7), None),
    ('600000.XSHG', date(2023, 4, 10), (0.02, 10)),
    ('000001.XSHE', date(2026, 11, 30), (0.02, 10)),
    ('300001.XSHE', date(2020, 8, 21), None),
    ('300001.XSHE', date(2020, 8, 24), (0.02, 0)),
    ('300001.XSHE', date(2023, 4, 10), (0.02, 10)),
    ('688001.XSHG', date(2019, 7, 22), (0.02, 0)),
    ('688001.XSHG', date(2024, 1, 2), (0.02, 0)),
    ('920001.BJSE', date(2024, 5, 6), (0.05, 0)),
    ('511880.XSHG', date(2024, 5, 6), None),  # funds have none
])
def test_the_cage(code, day, expected):
    found = cage(code, day.toordinal())
    assert (None if found is None else (found.fraction, found.ticks)) == expected


@pytest.mark.parametrize(('code', 'shares', 'sale', 'parts'), [
    ('600000.XSHG', 1_000_000, False, [1_000_000]),
    ('600000.XSHG', 1_000_100, False, [1_000_000, 100]),
    ('600000.XSHG', 2_300_050, True, [1_000_000, 1_000_000, 300_050]),  # an odd lot goes with the last
    ('600000.XSHG', 1_000_050, True, [999_900, 150]),  # and not alone: it is more than the account's odd remainder
    ('300001.XSHE', 700_000, False, [300_000, 300_000, 100_000]),
    ('688001.XSHG', 100_001, False, [99_800, 201]),  # one share is no order on STAR
    ('688001.XSHG', 100_200, False, [100_000, 200]),
    ('920001.BJSE', 1_000_001, False, [999_900, 101]),
])
def test_a_large_order_is_split_into_legal_ones(code, shares, sale, parts):
    assert parts_of(code, shares, sale) == parts
    assert sum(parts) == shares


def test_every_board_is_known():
    assert set(order_limits.MAX_SHARES) == {'main', 'chinext', 'star', 'bse', 'fund'}
