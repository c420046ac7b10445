"""The limit price of an order: by choice, on the price step, within the day's limits."""

import math
from datetime import date

import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.live.prices import limit_price

NEW, OLD = date(2024, 3, 4).toordinal(), date(2021, 3, 4).toordinal()
NAN = math.nan


@pytest.mark.parametrize(('code', 'day', 'buy', 'reference', 'low', 'high', 'choice', 'away', 'expected'), [
    # 2 % of 20.00, on the step: a buy down, a sale up
    ('600000.XSHG', NEW, True, 20.00, 18.00, 22.00, 'cage', None, 20.40),
    ('600000.XSHG', NEW, True, 20.03, 18.03, 22.03, 'cage', None, 20.43),  # 20.4306
    ('600000.XSHG', NEW, False, 20.03, 18.03, 22.03, 'cage', None, 19.63),  # 19.6294
    # ten steps where these are more: 3.00 x 1.02 is 3.06
    ('600000.XSHG', NEW, True, 3.00, 2.70, 3.30, 'cage', None, 3.10),
    ('600000.XSHG', OLD, True, 3.00, 2.70, 3.30, 'cage', None, 3.06),  # none yet: 2 % all the same
    ('688001.XSHG', NEW, True, 3.00, 2.40, 3.60, 'cage', None, 3.06),
    ('920001.BJSE', NEW, False, 10.00, 7.00, 13.00, 'cage', None, 9.50),
    ('511880.XSHG', NEW, True, 100.001, 90.001, 110.001, 'cage', None, 102.001),  # a fund's step is 0.001
    # the day's limits bind: a stock that may move 5 %, one whose ten steps are more than its limit
    ('600000.XSHG', NEW, True, 0.80, 0.72, 0.88, 'cage', None, 0.88),
    ('600000.XSHG', NEW, False, 0.80, 0.72, 0.88, 'cage', None, 0.72),
    # at the limit, with and without a cap
    ('600000.XSHG', NEW, True, 10.00, 9.00, 11.00, 'auction', None, 11.00),
    ('600000.XSHG', NEW, False, 10.00, 9.00, 11.00, 'auction', None, 9.00),
    ('600000.XSHG', NEW, True, 10.00, 9.00, 11.00, 'auction', 0.03, 10.30),
    ('600000.XSHG', NEW, False, 10.00, 9.00, 11.00, 'auction', 0.03, 9.70),
    ('600000.XSHG', NEW, True, 10.00, 9.50, 10.50, 'auction', 0.08, 10.50),
    # so much from the last close
    ('600000.XSHG', NEW, True, 10.00, 9.00, 11.00, 'close', None, 10.10),
    ('600000.XSHG', NEW, False, 10.00, 9.00, 11.00, 'close', 0.005, 9.95),
    ('600000.XSHG', NEW, False, 10.00, NAN, NAN, 'close', 0.5, 5.00),  # a day without limits
])
def test_the_price(code, day, buy, reference, low, high, choice, away, expected):
    assert limit_price(code, day, buy, reference, low, high, choice, away) == expected


def test_an_order_for_the_session_stays_in_the_cage():
    assert limit_price('600000.XSHG', NEW, True, 10.0, 9.0, 11.0, 'auction', None, in_session=True) == 10.20
    assert limit_price('600000.XSHG', NEW, True, 10.0, 9.0, 11.0, 'close', 0.01, in_session=True) == 10.10


def test_an_unknown_choice():
    with pytest.raises(DataError, match="price is 'market': expected one of cage, auction, close"):
        limit_price('600000.XSHG', NEW, True, 10.0, 9.0, 11.0, 'market')
