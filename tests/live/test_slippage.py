"""What real fills cost beyond the open, and the slippage that says so."""

from datetime import date

import pytest

from bt_microcap.live.books import FillRow
from bt_microcap.live.slippage import broker_of, cost_of, matching
from bt_microcap.profiles import PROFILES

DAY = date(2024, 3, 4)


def fill(code, side, shares, price, opening):
    return FillRow(DAY, code, side, shares, price, 5.0, 0.0, 0.0, opening)


def broker(**values):
    return broker_of({**PROFILES['realistic'], **values})


def test_what_fills_cost():
    fills = [fill('600000.XSHG', 'BUY', 1000, 50.10, 50.0), fill('600000.XSHG', 'SELL', 1000, 49.80, 50.0),
             fill('000001.XSHE', 'BUY', 100, 9.0, float('nan'))]
    cost = cost_of(fills, broker())
    assert (cost.fills, cost.value) == (2, 100_000.0)
    assert cost.real == pytest.approx(100 + 200)
    assert cost.assumed == pytest.approx(50 + 50)  # 0.1 % of 50 yuan each way
    assert (cost.real_share, cost.assumed_share) == pytest.approx((0.003, 0.001))


def test_the_slippage_of_dear_stocks():
    # 0.3 % of the value in all: 0.6 % both ways together; at 500 yuan a step is nothing
    fills = [fill('600000.XSHG', 'BUY', 1000, 501.50, 500.0), fill('600000.XSHG', 'SELL', 1000, 498.50, 500.0)]
    found = matching(fills, broker())
    assert found.slippage == pytest.approx(0.006, abs=3e-5)
    assert found.assumed == pytest.approx(3000.0)
    assert found.keeps_ticks


def test_fills_as_assumed_give_the_slippage_back():
    fills = [fill('600000.XSHG', 'BUY', 1000, 5.01, 5.0), fill('000001.XSHE', 'SELL', 300, 29.97, 30.0)]
    assert matching(fills, broker()).slippage == 0.002
    assert matching(fills, broker(slippage=0.0)).slippage > 0  # by another profile it is looked for


def test_cheap_stocks_whose_step_is_more_than_was_paid():
    # half of 1,000 shares cost a step of 0.01, the others nothing: less than the profile's least step each way
    fills = [fill('600000.XSHG', 'BUY', 500, 3.01, 3.0), fill('600000.XSHG', 'BUY', 500, 3.0, 3.0),
             fill('000001.XSHE', 'BUY', 100, 200.0, 200.0)]
    found = matching(fills, broker())
    assert not found.keeps_ticks
    assert found.assumed == pytest.approx(5.0)  # 0.05 % of 200 yuan, and of 3 yuan nothing
    assert found.slippage == pytest.approx(0.0005, abs=5e-5)
    # two steps on average: more than the least, so it stays
    dear = [fill('600000.XSHG', 'BUY', 500, 3.02, 3.0), fill('000001.XSHE', 'BUY', 500, 4.02, 4.0)]
    found = matching(dear, broker())
    assert found.keeps_ticks
    assert found.assumed == pytest.approx(20.0, abs=5.0)


def test_better_than_the_open():
    found = matching([fill('600000.XSHG', 'BUY', 1000, 49.90, 50.0)], broker())
    assert (found.slippage, found.assumed) == (0.0, 0.0)
