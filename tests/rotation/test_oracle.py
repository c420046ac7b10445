"""The referee against figures worked out by hand: every expected number here is a literal."""

import datetime as dt
from fractions import Fraction

import pytest

from tests.support.markets import bar, paused, tiny_market
from tests.support.oracle import (
    limit_rates,
    price_limits,
    round_half_up,
    run_oracle,
)

JAN3, JAN4, JAN5, JAN8, JAN9 = (dt.date(2024, 1, day) for day in (3, 4, 5, 8, 9))

A, B, C = "600001.XSHG", "600002.XSHG", "600003.XSHG"
FREE = {"slippage": 0.0, "commission": 0.0, "min_commission": 0.0, "stamp_duty": 0.0, "transfer_fee": 0.0}


def fills(result):
    """Give the trades without their fees."""
    return [(t["date"], t["side"], t["code"], t["quantity"], t["price"]) for t in result.trades]


def refusals(result):
    return [(r["date"], r["side"], r["code"], r["reason"]) for r in result.rejections]


def test_a_rebalance_to_the_last_cent():
    table = tiny_market(
        {
            A: [bar(10.0, cap=2.1e9), (10.0, 10.5), 10.5, 11.0],
            "300001.XSHE": [bar(20.0, cap=2.2e9), (20.0, 19.0), (19.0, 18.5), 18.0],
        }
    )
    result = run_oracle(table, stocknum=2, refresh_rate=2, cash=100_000.0)
    # Day 0: half of 100,000 each. 4,900 x 10.01 = 49,049; 2,400 x 20.02 = 48,048; one lot more is too dear.
    # Day 2: the sales bring cash to 99,797.3275, half of it 49,898.66375.
    assert fills(result) == [
        (JAN3, "BUY", A, 4900, 10.01),
        (JAN3, "BUY", "300001.XSHE", 2400, 20.02),
        (JAN5, "SELL", A, 4900, 10.99),
        (JAN5, "SELL", "300001.XSHE", 2400, 17.98),
        (JAN5, "BUY", A, 4500, 11.01),
        (JAN5, "BUY", "300001.XSHE", 2700, 18.02),
    ]
    assert [(t["commission"], t["tax"], t["transfer_fee"]) for t in result.trades] == [
        (14.7147, 0.0, 0.49049),
        (14.4144, 0.0, 0.48048),
        (16.1553, 26.9255, 0.53851),
        (12.9456, 21.576, 0.43152),
        (14.8635, 0.0, 0.49545),
        (14.5962, 0.0, 0.48654),
    ]
    assert result.equity == [
        {"date": JAN3, "cash": 2872.89993, "market_value": 97050.0, "total_value": 99922.89993},
        {"date": JAN4, "cash": 2872.89993, "market_value": 95850.0, "total_value": 98722.89993},
        {"date": JAN5, "cash": 1567.88581, "market_value": 98100.0, "total_value": 99667.88581},
    ]
    assert result.rejections == []


def test_joinquant_orders_of_the_original_log():
    """The opens, sizes, fees and cash of the original's first two rebalances, from its public log."""
    dates = ["2024-10-31", "2024-11-01", "2024-11-08"]
    big = 9e9
    table = tiny_market(
        {
            "300980.XSHE": [bar(18.35, cap=2.0e9), bar(18.35, cap=big), 19.68],
            "603359.XSHG": [bar(4.51, cap=2.1e9), bar(4.51, 4.7, cap=big), 5.17],
            "688557.XSHG": [bar(9.0, cap=2.2e9), bar(9.0, cap=big), 9.0],
            "003036.XSHE": [bar(9.31, cap=big), bar(9.31, cap=2.0e9), 9.31],
            "603041.XSHG": [bar(10.99, cap=big), bar(10.99, cap=2.1e9), 10.99],
            "300949.XSHE": [bar(33.64, cap=big), bar(33.64, cap=2.2e9), 33.64],
        },
        dates=dates,
    )
    result = run_oracle(table, profile="joinquant", refresh_rate=1)
    first, second = dt.date(2024, 11, 1), dt.date(2024, 11, 8)
    assert fills(result) == [
        (first, "BUY", "300980.XSHE", 18100, 18.37),
        (first, "BUY", "603359.XSHG", 73900, 4.52),
        (second, "SELL", "300980.XSHE", 18100, 19.66),
        (second, "SELL", "603359.XSHG", 73900, 5.16),
        (second, "BUY", "003036.XSHE", 38200, 9.32),
        (second, "BUY", "603041.XSHG", 32400, 11.0),
        (second, "BUY", "300949.XSHE", 10500, 33.68),
    ]
    assert [day["cash"] for day in result.equity] == [333275.0425, 3102.9023]
    assert refusals(result) == [(first, "BUY", "688557.XSHG", "star market order")]


def test_a_purchase_may_cost_the_cash_to_the_last_cent():
    table = tiny_market({A: [10.0, 10.0]})
    free = {**FREE, "min_commission": 5.0, "commission": 0.0003}
    # 1,000 x 10.00 = 10,000 and the least commission of 5.
    assert run_oracle(table, stocknum=1, cash=10_005.0, **free).trades[0]["quantity"] == 1000
    assert run_oracle(table, stocknum=1, cash=10_005.0, **free).equity[0]["cash"] == 0.0
    assert run_oracle(table, stocknum=1, cash=10_004.99, **free).trades[0]["quantity"] == 900
    poor = run_oracle(table, stocknum=1, cash=1_004.99, **free)
    assert refusals(poor) == [(JAN3, "BUY", A, "below one lot")]


def test_ties_at_half_a_cent_go_up():
    # As binary floats 5.005 and 1.005 lie below the tie, so a careless rounding takes them down.
    assert round_half_up(5.005) == Fraction(501, 100)
    assert round_half_up(1.005) == Fraction(101, 100)
    assert round_half_up(Fraction(4995, 1000)) == 5
    table = tiny_market({A: [5.0, 5.0, 5.0]})
    options = {"stocknum": 1, "refresh_rate": 1, "cash": 10_000.0}
    result = run_oracle(table, min_slippage_ticks=0.0, **options)
    # 5 x 1.001 = 5.005 -> 5.01; 5 x 0.999 = 4.995 -> 5.00: the seller's tie goes up too.
    assert [price for *_, price in fills(result)] == [5.01, 5.0, 5.01]
    # Half a cent each way is less than the one price step that it is at least.
    assert [price for *_, price in fills(run_oracle(table, **options))] == [5.01, 4.99, 5.01]


def test_half_of_the_slippage_is_at_least_a_price_step():
    table = tiny_market({A: [4.0, 4.0, 4.0]})
    options = {"stocknum": 1, "refresh_rate": 1, "cash": 10_000.0}
    # 4 x 1.001 = 4.004 would be 4.00.
    assert [price for *_, price in fills(run_oracle(table, **options))] == [4.01, 3.99, 4.01]
    # 4 + 0.025 and 4 - 0.025: the ties go up.
    more = run_oracle(table, min_slippage_ticks=2.5, **options)
    assert [price for *_, price in fills(more)] == [4.03, 3.98, 4.03]
    # JoinQuant knows of no such least: 4 x 1.00123 = 4.00492. And without a slippage there is none.
    assert [price for *_, price in fills(run_oracle(table, profile="joinquant", **options))] == [4.0, 4.0, 4.0]
    assert [price for *_, price in fills(run_oracle(table, slippage=0.0, **options))] == [4.0, 4.0, 4.0]
    # Above 10 yuan half of 0.2 % is more: 20.02 and 19.98.
    assert [price for *_, price in fills(run_oracle(tiny_market({A: [20.0] * 3}), **options))] == [20.02, 19.98, 20.02]
    # Ticks and impact come on top of it: 1 + 2 steps.
    assert [price for *_, price in fills(run_oracle(table, slippage_ticks=2.0, **options))] == [4.03, 3.97, 4.03]


def test_an_open_beyond_the_computed_limit_proves_that_there_is_none():
    options = {"stocknum": 1, "cash": 10_000.0, **FREE}
    # 11.00 is the limit of 10.00; 11.01 is beyond it by a whole tick.
    assert refusals(run_oracle(tiny_market({A: [10.0, (11.0, 10.0)]}), **options)) == [(JAN3, "BUY", A, "limit up")]
    assert fills(run_oracle(tiny_market({A: [10.0, (11.01, 10.0)]}), **options)) == [(JAN3, "BUY", A, 900, 11.01)]
    # Then none holds on either side, unless the data gives one: the upper is given here, 12.00.
    given = [10.0, bar(11.01, high_limit=12.0)]
    assert fills(run_oracle(tiny_market({A: given}), **options)) == [(JAN3, "BUY", A, 900, 11.01)]
    given = [10.0, bar(12.0, high_limit=12.0)]
    assert refusals(run_oracle(tiny_market({A: given}), **options)) == [(JAN3, "BUY", A, "limit up")]
    # Below the lower one, 9.00, a holding is sold: 8.99 is free, 9.00 is not.
    for opening, sides in ((9.0, ["BUY"]), (8.99, ["BUY", "SELL", "BUY"])):
        table = tiny_market({A: [10.0, 10.0, (opening, 9.5)]})
        assert [t["side"] for t in run_oracle(table, refresh_rate=1, **options).trades] == sides


def test_the_first_day_of_the_delisting_period_has_no_computed_limit():
    b = {B: [bar(10.0, cap=9e9)] * 4}
    options = {"stocknum": 1, "refresh_rate": 1, "cash": 10_000.0, **FREE}
    # 9.00 is the lower limit of 10.00: nothing is sold there, but on the first day of the period it is no limit.
    days = [bar(10.0, delisting_period=0)] * 2
    first = tiny_market({A: [*days, bar(9.0, 10.0, delisting_period=1), bar(9.0, delisting_period=1)], **b})
    assert fills(run_oracle(first, **options)) == [(JAN3, "BUY", A, 1000, 10.0), (JAN4, "SELL", A, 1000, 9.0)]
    second = tiny_market({A: [*days, bar(10.0, delisting_period=0), bar(9.0, delisting_period=0)], **b})
    assert refusals(run_oracle(second, **options)) == [(JAN5, "SELL", A, "limit down")]
    # A day without a row between does not make it another day than the first.
    gap = tiny_market({A: [*days, None, bar(9.0, delisting_period=1)], **b})
    assert fills(run_oracle(gap, **options))[-1] == (JAN5, "SELL", A, 1000, 9.0)


def test_the_volume_limit_is_one_for_all_orders_of_a_day():
    table = tiny_market({A: [10.0, bar(10.0, volume=10_000), bar(10.0, volume=15_000)]})
    result = run_oracle(table, stocknum=1, refresh_rate=1, cash=10_000.0, volume_limit=0.1, **FREE)
    # A tenth of 15,000 shares: the 1,000 sold leave 500 to buy back, for which there is cash for 1,000.
    assert fills(result) == [(JAN3, "BUY", A, 1000, 10.0), (JAN4, "SELL", A, 1000, 10.0), (JAN4, "BUY", A, 500, 10.0)]
    assert refusals(result) == [(JAN4, "BUY", A, "volume limit")]


@pytest.mark.parametrize(
    ("code", "preclose", "is_st", "date", "listed_day", "high", "low"),
    [
        (A, 8.35, 0, "2024-01-03", None, "9.19", "7.52"),  # 9.185 and 7.515 are ties
        (A, 10.0, 1, "2026-07-03", None, "10.5", "9.5"),
        (A, 10.0, 1, "2026-07-06", None, "11", "9"),
        (A, 0.04, 0, "2024-01-03", None, "0.05", "0.03"),  # at least one tick
        (A, 10.0, 0, "2023-04-07", 1, "14.4", "6.4"),
        (A, 10.0, 0, "2023-04-07", 2, "11", "9"),
        (A, 10.0, 0, "2023-04-10", 5, None, None),
        (A, 10.0, 0, "2023-04-10", 6, "11", "9"),
        ("300001.XSHE", 10.0, 0, "2020-08-21", None, "11", "9"),
        ("300001.XSHE", 10.0, 1, "2020-08-21", None, "10.5", "9.5"),
        ("300001.XSHE", 10.0, 0, "2020-08-21", 1, "14.4", "6.4"),
        ("300001.XSHE", 10.0, 1, "2020-08-24", None, "12", "8"),
        ("301001.XSHE", 10.0, 0, "2020-08-24", 5, None, None),
        ("688001.XSHG", 10.0, 1, "2020-01-02", None, "12", "8"),
        ("688001.XSHG", 10.0, 0, "2020-01-02", 5, None, None),
        ("920001.BJSE", 10.0, 0, "2024-01-03", 1, None, None),
        ("920001.BJSE", 10.0, 0, "2024-01-03", 2, "13", "7"),
        (A, float("nan"), 0, "2024-01-03", None, None, None),
    ],
)
def test_limits_by_board_and_date(code, preclose, is_st, date, listed_day, high, low):
    row = {"preclose": preclose, "is_st": is_st}
    expected = tuple(None if limit is None else Fraction(limit) for limit in (high, low))
    assert price_limits(row, code, dt.date.fromisoformat(date), listed_day) == expected


def test_explicit_limits_count_first_each_for_itself():
    row = {"preclose": 10.0, "is_st": 0, "high_limit": 20.0, "low_limit": float("nan")}
    assert price_limits(row, A, JAN3, None) == (20, 9)
    assert limit_rates("main", False, JAN3, None) == (Fraction(1, 10), Fraction(1, 10))


def test_limit_up_is_refused_and_not_replaced():
    table = tiny_market(
        {
            A: [bar(10.0, cap=2.0e9), 11.0],
            B: [bar(10.0, cap=2.1e9), 10.9],
            C: [bar(10.0, cap=2.2e9), 10.0],
        }
    )
    result = run_oracle(table, stocknum=2, cash=20_000.0)
    # A's 10,000 stay idle. B: 10.9109 -> 10.91, inside the limit; 900 x 10.91 = 9,819.
    assert refusals(result) == [(JAN3, "BUY", A, "limit up")]
    assert fills(result) == [(JAN3, "BUY", B, 900, 10.91)]


def test_a_fill_beyond_the_limit_is_refused_both_ways():
    # Limits 66.00 and 54.00: 65.99 x 1.001 = 66.05599, and 54.01 x 0.999 = 53.95599.
    table = tiny_market({A: [60.0, (65.99, 60.0), 60.0, (54.01, 60.0), 60.0]})
    options = {"stocknum": 1, "cash": 100_000.0}
    assert refusals(run_oracle(table, **options)) == [(JAN3, "BUY", A, "slipped past the limit")]
    result = run_oracle(table, refresh_rate=1, **options)
    assert [t["side"] for t in result.trades] == ["BUY", "SELL", "BUY"]
    assert refusals(result)[1:] == [(JAN5, "SELL", A, "slipped past the limit")]


def test_what_cannot_be_sold_stays_and_is_topped_up():
    table = tiny_market(
        {
            # limit down, then paused, then a missing row, then no volume
            A: [bar(10.0, cap=2.0e9), 10.0, 9.0, paused(), None, bar(9.0, volume=0)],
            B: [bar(20.0, cap=2.1e9), 20.0, 20.0, 20.0, 20.0, 20.0],
        }
    )
    result = run_oracle(table, stocknum=2, refresh_rate=1, cash=20_000.0, **FREE)
    # On JAN4 B is sold and A is not: one place is free, its budget all the cash. A is the first pick and
    # takes 1,100 x 9.00 of the 10,000, which leaves 100: nothing for B, on this day and the next ones.
    # Later A is no pick: paused, no row, and then no market cap of the day before.
    assert fills(result) == [
        (JAN3, "BUY", A, 1000, 10.0),
        (JAN3, "BUY", B, 500, 20.0),
        (JAN4, "SELL", B, 500, 20.0),
        (JAN4, "BUY", A, 1100, 9.0),
    ]
    assert refusals(result) == [
        (JAN4, "SELL", A, "limit down"),
        (JAN4, "BUY", B, "below one lot"),
        (JAN5, "SELL", A, "suspended"),
        (JAN5, "BUY", B, "below one lot"),
        (JAN8, "SELL", A, "suspended"),
        (JAN8, "BUY", B, "below one lot"),
        (JAN9, "SELL", A, "no volume"),
        (JAN9, "BUY", B, "below one lot"),
    ]
    # 2,100 shares at 9.00, the day without a row at its last close.
    assert [day["total_value"] for day in result.equity] == [20000.0, 19000.0, 19000.0, 19000.0, 19000.0]


def test_screen_bounds_ties_and_previous_day():
    table = tiny_market(
        {
            "600009.XSHG": [bar(10.0, cap=2e9), bar(10.0, cap=9e9)],  # yesterday's cap counts
            "600008.XSHG": [bar(10.0, cap=3e9), 10.0],
            "600007.XSHG": [bar(10.0, cap=3e9), 10.0],  # the tie goes by code
            "600006.XSHG": [bar(10.0, cap=1.9999e9), 10.0],
            "600005.XSHG": [bar(10.0, cap=2.5e9), bar(10.0, st=1)],
            "600004.XSHG": [bar(10.0, cap=2.5e9, st=1), bar(10.0)],  # ST yesterday only
            "600003.XSHG": [bar(10.0, cap=2.5e9), paused()],
            "600002.XSHG": [bar(10.0, cap=float("nan")), 10.0],
            "600001.XSHG": [None, bar(10.0, cap=2.1e9)],
            "920001.BJSE": [bar(10.0, cap=2.1e9), 10.0],
        }
    )
    result = run_oracle(table, stocknum=3)
    assert [t["code"] for t in result.trades] == ["600009.XSHG", "600004.XSHG", "600007.XSHG"]


def test_star_lots():
    table = tiny_market({"688001.XSHG": [10.0, 10.0]})
    assert run_oracle(table, stocknum=1, cash=2_019.0, **FREE).trades[0]["quantity"] == 201
    assert refusals(run_oracle(table, stocknum=1, cash=1_999.0, **FREE)) == [
        (JAN3, "BUY", "688001.XSHG", "below one lot")
    ]


def test_volume_limit_cuts_and_cancels_the_rest():
    table = tiny_market({A: [10.0, bar(10.0, volume=3500), bar(10.0, volume=1999), bar(10.0, volume=999)]})
    result = run_oracle(table, stocknum=1, refresh_rate=1, cash=10_000.0, volume_limit=0.1, **FREE)
    # 350 -> 300 bought; of 199 one lot sold, and one bought again; of 99 nothing.
    assert fills(result) == [(JAN3, "BUY", A, 300, 10.0), (JAN4, "SELL", A, 100, 10.0)]
    assert refusals(result) == [
        (JAN3, "BUY", A, "volume limit"),
        (JAN4, "SELL", A, "volume limit"),
        (JAN5, "SELL", A, "volume limit"),
    ]


def test_delisting_pays_the_last_close_or_nothing():
    table = tiny_market({A: [bar(10.0, cap=2e9), 10.0, (10.0, 9.5)], B: [bar(10.0, cap=9e9)] + [10.0] * 4})
    options = {**FREE, "stocknum": 1, "cash": 10_000.0, "delist_wait": 0}
    result = run_oracle(table, **options)
    assert refusals(result) == [(JAN4, "SELL", A, "delisted")]
    assert [(day["cash"], day["market_value"]) for day in result.equity] == [
        (0.0, 10000.0),
        (0.0, 9500.0),
        (9500.0, 0.0),
        (9500.0, 0.0),
    ]
    assert result.actions == [{"date": JAN5, "code": A, "before": 1000, "after": 0, "cash": 9500.0}]
    part = run_oracle(table, delist=0.25, **options)
    assert [day["total_value"] for day in part.equity] == [10000.0, 9500.0, 7125.0, 7125.0]
    nothing = run_oracle(table, delist="zero", **options)
    assert [day["total_value"] for day in nothing.equity] == [10000.0, 9500.0, 0.0, 0.0]
    ended = run_oracle(table, end="2024-01-04", **options)
    assert ended.rejections == []
    assert ended.equity[-1]["market_value"] == 9500.0


def test_a_delisting_is_believed_after_some_days_without_a_row():
    table = tiny_market({A: [bar(10.0, cap=2e9), 10.0, (10.0, 9.5)], B: [bar(10.0, cap=9e9)] + [10.0] * 6})
    options = {**FREE, "stocknum": 1, "cash": 10_000.0}
    # The last row is of 4 January; 5 and 8 January are the two days without one, 9 January brings the money.
    result = run_oracle(table, delist_wait=2, **options)
    assert refusals(result) == [(JAN8, "SELL", A, "delisted")]
    assert [day["cash"] for day in result.equity] == [0.0, 0.0, 0.0, 0.0, 9500.0, 9500.0]
    assert [day["total_value"] for day in result.equity] == [10000.0] + [9500.0] * 5
    assert [action["date"] for action in result.actions] == [JAN9]
    held = run_oracle(table, **options)  # 60 days
    # The rebalance of 10 January finds it held, without a row.
    assert refusals(held) == [(dt.date(2024, 1, 10), "SELL", A, "suspended")]
    assert (held.actions, held.equity[-1]["market_value"]) == ([], 9500.0)


def test_ex_rights_with_columns():
    table = tiny_market({A: [10.0, 10.0, bar(7.1, preclose=7.08, cash_dividend=0.8, share_ratio=1.3), 7.1]})
    result = run_oracle(table, stocknum=1, cash=1_000.0, dividend_tax=0.2, **FREE)
    # 100 shares: 80 yuan less a fifth; 130 shares at 7.10.
    assert result.actions == [{"date": JAN4, "code": A, "before": 100, "after": 130, "cash": 64.0}]
    assert result.equity[1] == {"date": JAN4, "cash": 64.0, "market_value": 923.0, "total_value": 987.0}
    off = run_oracle(table, stocknum=1, cash=1_000.0, ex_rights="off", **FREE)
    assert off.equity[1]["total_value"] == 710.0


def test_ex_rights_by_preclose_alone():
    table = tiny_market({A: [10.0, 10.0, bar(7.5, preclose=7.5), bar(7.5, preclose=7.5)]})
    result = run_oracle(table, stocknum=1, cash=1_000.0, **FREE)
    # 100 x 10 / 7.5 = 133 and a third: 133 shares, and 2.50 for the third.
    assert result.equity[1] == {"date": JAN4, "cash": 2.5, "market_value": 997.5, "total_value": 1000.0}
    assert result.equity[2]["total_value"] == 1000.0
