"""The independent model by hand: taxes, lots, impact, protection, fees by date."""

import datetime as dt
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from tests.support.markets import bar, cases, tiny_market
from tests.support.oracle import (
    Lot,
    Position,
    dividend_tax_rate,
    months_later,
    run_oracle,
    square_root,
)

A, B, C = "600001.XSHG", "600002.XSHG", "600003.XSHG"


JAN3, JAN4, JAN5, JAN8 = (dt.date(2024, 1, day) for day in (3, 4, 5, 8))
FREE = {"slippage": 0.0, "commission": 0.0, "min_commission": 0.0, "stamp_duty": 0.0, "transfer_fee": 0.0}


def fills(result):
    """Give the trades without their fees."""
    return [(t["date"], t["side"], t["code"], t["quantity"], t["price"]) for t in result.trades]


def refusals(result):
    return [(r["date"], r["side"], r["code"], r["reason"]) for r in result.rejections]


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

    assert fees(["2015-07-28", "2015-07-29", "2015-07-31"]) == (9.0, 0.27)  # 0.03 % of the face value of 900 shares
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
