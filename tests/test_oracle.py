"""The referee against figures worked out by hand: every expected number here is a literal."""

import datetime as dt
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from markets import bar, cases, paused, tiny_market
from oracle import (
    Lot,
    Position,
    dividend_tax_rate,
    limit_rates,
    months_later,
    price_limits,
    round_half_up,
    run_oracle,
    square_root,
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
    result = run_oracle(table, stocknum=1, refresh_rate=1, cash=10_000.0)
    # 5 x 1.001 = 5.005 -> 5.01; 5 x 0.999 = 4.995 -> 5.00: the seller's tie goes up too.
    assert [price for *_, price in fills(result)] == [5.01, 5.0, 5.01]


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
    result = run_oracle(table, stocknum=1, cash=10_000.0, **FREE)
    assert refusals(result) == [(JAN4, "SELL", A, "delisted")]
    assert [(day["cash"], day["market_value"]) for day in result.equity] == [
        (0.0, 10000.0),
        (0.0, 9500.0),
        (9500.0, 0.0),
        (9500.0, 0.0),
    ]
    assert result.actions == [{"date": JAN5, "code": A, "before": 1000, "after": 0, "cash": 9500.0}]
    part = run_oracle(table, stocknum=1, cash=10_000.0, delist=0.25, **FREE)
    assert [day["total_value"] for day in part.equity] == [10000.0, 9500.0, 7125.0, 7125.0]
    nothing = run_oracle(table, stocknum=1, cash=10_000.0, delist="zero", **FREE)
    assert [day["total_value"] for day in nothing.equity] == [10000.0, 9500.0, 0.0, 0.0]
    ended = run_oracle(table, stocknum=1, cash=10_000.0, end="2024-01-04", **FREE)
    assert ended.rejections == []
    assert ended.equity[-1]["market_value"] == 9500.0


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


def test_dividend_tax_by_the_time_held_is_taken_at_the_sale():
    dates = ["2024-01-30", "2024-01-31", "2024-02-05", "2024-02-29", "2024-03-01"]
    days = [10.0, 10.0, bar(9.2, preclose=9.2, cash_dividend=0.8), 9.2, 9.2]
    table = tiny_market({A: days}, dates=dates)
    # Bought on 31 January: up to 29 February is up to a month, 1 March is not. 80 yuan of dividend.
    early = run_oracle(table, stocknum=1, refresh_rate=2, cash=1_000.0, **FREE)
    assert [(t["side"], t["quantity"], t["tax"]) for t in early.trades] == [
        ("BUY", 100, 0.0),
        ("SELL", 100, 16.0),
        ("BUY", 100, 0.0),
    ]
    assert early.equity[1]["cash"] == 80.0
    assert early.equity[2]["cash"] == 64.0  # 80 + 920 - 16 - 920
    late = run_oracle(table, stocknum=1, refresh_rate=3, cash=1_000.0, **FREE)
    assert [t["tax"] for t in late.trades] == [0.0, 8.0, 0.0]


@pytest.mark.parametrize(
    ("ex_date", "bought", "sold", "rate"),
    [
        ("2015-09-08", "2015-09-01", "2015-10-01", "0.2"),
        ("2015-09-08", "2015-09-01", "2015-10-02", "0.1"),
        ("2015-09-08", "2015-09-01", "2016-09-01", "0.1"),
        ("2015-09-08", "2015-09-01", "2016-09-02", "0"),
        ("2015-09-07", "2015-09-01", "2016-09-02", "0.05"),
        ("2013-01-01", "2012-12-20", "2013-01-20", "0.2"),
        ("2012-12-31", "2012-12-20", "2013-01-20", "0.1"),
        ("2005-06-13", "2005-06-01", "2009-01-20", "0.1"),
        ("2020-02-10", "2020-01-31", "2020-02-29", "0.2"),
        ("2020-02-10", "2020-01-31", "2020-03-01", "0.1"),
        ("2020-03-10", "2020-02-29", "2021-02-28", "0.1"),
        ("2020-03-10", "2020-02-29", "2021-03-01", "0"),
    ],
)
def test_rates_of_the_dividend_tax(ex_date, bought, sold, rate):
    days = [dt.date.fromisoformat(text) for text in (ex_date, bought, sold)]
    assert dividend_tax_rate(*days) == Fraction(rate)


def test_the_same_day_some_months_later():
    assert months_later(dt.date(2023, 12, 31), 1) == dt.date(2024, 1, 31)
    assert months_later(dt.date(2023, 1, 31), 1) == dt.date(2023, 2, 28)
    assert months_later(dt.date(2024, 2, 29), 12) == dt.date(2025, 2, 28)
    assert months_later(dt.date(2023, 11, 30), 1) == dt.date(2023, 12, 30)


def test_lots_are_sold_first_in_first_out():
    first, second, sold = dt.date(2024, 1, 2), dt.date(2024, 3, 1), dt.date(2024, 3, 20)
    position = Position(A, [Lot(first, 100), Lot(second, 300)])
    assert position.pay_dividend(dt.date(2024, 3, 5), Fraction(1, 2)) == 200
    # 100 of the first lot: 50 yuan at 10 %; 100 of the second: 50 yuan at 20 %.
    assert position.take(200, sold) == 15
    assert [(lot.shares, lot.dividends[0][1]) for lot in position.lots] == [(200, 100)]
    position.scale(Fraction("1.5"))  # 300 shares that had received 100 yuan
    assert position.take(150, sold) == 10
    assert position.take(150, dt.date(2024, 5, 1)) == 5


def test_whole_shares_of_the_lots_add_up_after_a_split():
    days = [dt.date(2024, 1, day) for day in (2, 3, 4)]
    position = Position(A, [Lot(day, shares) for day, shares in zip(days, (101, 101, 101), strict=True)])
    position.scale(Fraction("1.05"))  # 106.05, 212.1 and 318.15
    assert [lot.shares for lot in position.lots] == [106, 106, 106]
    position.scale(Fraction("1.005"))  # 106.53, 213.06 and 319.59
    assert [lot.shares for lot in position.lots] == [106, 107, 106]


def test_square_roots():
    assert square_root(Fraction(1, 4)) == Fraction(1, 2)
    assert square_root(Fraction(0)) == 0
    assert abs(square_root(Fraction(2)) ** 2 - 2) < Fraction(1, 10**39)


def test_impact_and_ticks_move_the_price():
    table = tiny_market({A: [bar(10.0), bar(10.0, volume=40_000), bar(10.0, volume=10_000)]})
    options = {**FREE, "stocknum": 1, "refresh_rate": 1, "volume_limit": 0.0}
    # 10,000 of 40,000 shares: half of 0.1 each way, 10.50; 10,000 x 10.50 = 105,000.
    result = run_oracle(table, impact=0.1, cash=105_000.0, **options)
    assert fills(result)[0] == (JAN3, "BUY", A, 10_000, 10.5)
    # One lot less where a yuan is missing: 9,900 / 40,000 is 0.2475, its root 0.497494: 10.497 -> 10.50.
    short = run_oracle(table, impact=0.1, cash=104_999.0, **options)
    assert fills(short)[0] == (JAN3, "BUY", A, 9_900, 10.5)
    # All of the day's volume would be a tenth less: 9.00, which is the limit, may be paid.
    assert fills(result)[1] == (JAN4, "SELL", A, 10_000, 9.0)
    ticks = run_oracle(table, slippage_ticks=2.0, cash=105_000.0, **options)
    assert [price for *_, price in fills(ticks)] == [10.02, 9.98, 10.02]


def test_a_cut_order_has_the_price_of_what_is_left():
    table = tiny_market({A: [10.0, bar(10.0, volume=10_000)]})
    result = run_oracle(table, stocknum=1, impact=0.1, cash=1e6, volume_limit=0.25, **FREE)
    # A quarter of the day: 10 x (1 + 0.1 x 0.5).
    assert fills(result) == [(JAN3, "BUY", A, 2500, 10.5)]
    assert refusals(result) == [(JAN3, "BUY", A, "volume limit")]
    # Nothing may be traded at the price of nothing, 10.99, which is inside the limit; 10.995 rounds to 11.00.
    table = tiny_market({A: [10.0, bar(10.99, volume=300)]})
    options = {**FREE, "stocknum": 1, "cash": 1e6, "volume_limit": 0.25, "impact": 0.1}
    assert refusals(run_oracle(table, **options)) == [(JAN3, "BUY", A, "volume limit")]
    options["slippage"] = 0.004  # 11.01
    assert refusals(run_oracle(table, **options)) == [(JAN3, "BUY", A, "slipped past the limit")]


def test_star_orders_are_protected_both_ways():
    star = "688001.XSHG"
    table = tiny_market({star: [10.0, 10.0, bar(10.0, volume=10_000), 10.0]})
    options = {**FREE, "stocknum": 1, "refresh_rate": 1, "cash": 100_000.0, "volume_limit": 0.0}
    # 2 % of 10.00 and half a tick: 10.20 may be paid, 10.21 may not.
    assert fills(run_oracle(table, slippage_ticks=20.0, **options))[0][4] == 10.2
    assert refusals(run_oracle(table, slippage_ticks=21.0, **options))[0] == (
        JAN3,
        "BUY",
        star,
        "slipped past the limit",
    )
    assert fills(run_oracle(table, slippage_ticks=21.0, star_protection=0.0, **options))[0][4] == 10.21
    sale = run_oracle(table, impact=0.03, **options)
    # 9,900 shares of a million on the first day; almost the whole day's volume on the second: 9.70.
    assert [(t["date"], t["side"]) for t in sale.trades] == [(JAN3, "BUY"), (JAN5, "SELL"), (JAN5, "BUY")]
    assert sale.trades[0]["price"] == 10.03
    assert refusals(sale)[0] == (JAN4, "SELL", star, "slipped past the limit")
    main = tiny_market({A: [10.0, 10.0, 10.0]})
    assert fills(run_oracle(main, slippage_ticks=21.0, **options))[0][4] == 10.21


def test_stocks_in_their_delisting_period_are_not_bought():
    table = tiny_market({A: [bar(10.0, cap=2.1e9), bar(10.0, delisting_period=1)], B: [bar(10.0, cap=2.2e9), 10.0]})
    assert [t["code"] for t in run_oracle(table, stocknum=1).trades] == [B]


def test_stamp_duty_and_transfer_fee_by_date():
    def fees(dates):
        # refresh_rate 1: bought on the second day, sold and bought again on the third
        result = run_oracle(
            tiny_market({A: [10.0] * 3}, dates=dates), stocknum=1, refresh_rate=1, cash=9_500.0, slippage=0.0
        )
        sale = result.trades[1]
        assert (sale["side"], sale["quantity"], sale["price"], sale["commission"]) == ("SELL", 900, 10.0, 5.0)
        return sale["tax"], sale["transfer_fee"]

    assert fees(["2015-07-28", "2015-07-29", "2015-07-31"]) == (9.0, 0.0)
    assert fees(["2015-07-30", "2015-07-31", "2015-08-03"]) == (9.0, 0.18)
    assert fees(["2022-04-26", "2022-04-27", "2022-04-28"]) == (9.0, 0.18)
    assert fees(["2022-04-27", "2022-04-28", "2022-04-29"]) == (9.0, 0.09)
    assert fees(["2023-08-23", "2023-08-24", "2023-08-25"]) == (9.0, 0.09)
    assert fees(["2023-08-24", "2023-08-25", "2023-08-28"]) == (4.5, 0.09)


def test_the_range_takes_its_history_from_the_whole_table():
    table = tiny_market({A: [bar(10.0, cap=2e9)] + [10.0] * 4})
    whole = run_oracle(table)
    assert [day["date"] for day in whole.equity] == [JAN3, JAN4, JAN5, JAN8]
    part = run_oracle(table, start="2024-01-04", end="2024-01-05")
    assert [day["date"] for day in part.equity] == [JAN4, JAN5]
    assert part.trades[0]["date"] == JAN4


@hypothesis_settings(max_examples=60, deadline=None)
@given(cases())
def test_the_books_balance(case):
    """Whatever the market: purchases in legal lots and paid for, and only trades move cash."""
    table, options = case
    result = run_oracle(table, **{**options, "ex_rights": "off", "delist": "zero", "dividend_tax": 0.0})
    cash = options["cash"]
    trades = {}
    for trade in result.trades:
        trades.setdefault(trade["date"], []).append(trade)
        assert trade["quantity"] > 0
    for day in result.equity:
        for trade in trades.get(day["date"], []):
            sign = 1 if trade["side"] == "SELL" else -1
            cash += sign * trade["quantity"] * trade["price"]
            cash -= trade["commission"] + trade["tax"] + trade["transfer_fee"]
            if trade["side"] == "BUY":
                if trade["code"].startswith("68"):
                    assert options["profile"] == "realistic" and trade["quantity"] >= 200
                else:
                    assert trade["quantity"] % 100 == 0
                if options["profile"] == "realistic":
                    assert cash >= -1e-6
        assert day["cash"] == pytest.approx(cash, abs=1e-6)
        assert day["total_value"] == pytest.approx(day["cash"] + day["market_value"], abs=1e-6)
