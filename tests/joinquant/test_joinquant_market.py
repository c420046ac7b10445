"""The market that a JoinQuant export implies: running the rules over it must give the log again."""

import csv
from datetime import date
from functools import partial

import pytest

from bt_microcap.feeds.schema import check_table
from bt_microcap.joinquant.log import ExportError, parse_log, parse_positions, starting_cash
from bt_microcap.joinquant.market import fill_price, implied_market, implied_opens
from tests.support.joinquant_exports import (
    EXPORT_FOLDER,
    HEADER,
    STAR_REFUSAL,
    assert_one_line,
    buy,
    held,
    needs_export,
    refuse,
    save,
    sell,
    suspended,
)
from tests.support.oracle import run_oracle


@pytest.fixture
def write(tmp_path):
    return partial(save, tmp_path)


def test_opens_behind_a_fill():
    assert implied_opens(10.01, "BUY") == [10.0]
    assert implied_opens(4.06, "SELL") == [4.06, 4.07]
    assert implied_opens(4.07, "BUY") == []  # 4.06 is filled at 4.06, 4.07 at 4.08
    assert (fill_price(4.06, "BUY", 0.00246), fill_price(4.07, "BUY", 0.00246)) == (4.06, 4.08)
    assert implied_opens(10.0, "SELL", slippage=0.0) == [10.0]


def replay(market, **options):
    """Run the rules over an implied market; give the orders as the log would."""
    done = run_oracle(check_table(market.table), profile="joinquant", **options)
    fills = [(t["date"], t["code"], t["side"], t["quantity"], t["price"]) for t in done.trades]
    refusals = [(r["date"], r["code"], r["side"], r["reason"]) for r in done.rejections]
    return fills, refusals, done


def logged_outcome(orders):
    fills = [(o.date, o.code, o.side, o.quantity, o.price) for o in orders if o.quantity]
    return fills, [(o.date, o.code, o.side, o.reason) for o in orders if not o.quantity]


# Mon 2030-01-07 to Fri 01-11, then Mon 01-14: two slots, 100,000 yuan.
WEEK = ["2030-01-07", "2030-01-08", "2030-01-09", "2030-01-10", "2030-01-11"]


def two_slots():
    """600111 bought at 10, its sale refused (suspended); a STAR refusal; 000333 bought instead."""
    lines = [
        *buy(WEEK[0], "600111.XSHG", 50000.0, [(10.01, 5000, 15.015)], 1),
        *refuse(WEEK[0], "688444.XSHG", 50000.0, 2, STAR_REFUSAL),
        *suspended("2030-01-14", "600111.XSHG", 3),
        *buy("2030-01-14", "000333.XSHE", 49934.985, [(20.02, 2400, 14.4144)], 4),
    ]
    rows = [
        held(WEEK[0], "600111.XSHG", 5000, 10.5, 10.01, 2450, 5000),
        held(WEEK[1], "600111.XSHG", 5000, 11.0, 10.01, 2500),
        *(held(day, "600111.XSHG", 5000, 11.0, 10.01, 0) for day in [*WEEK[2:], "2030-01-14"]),
        held("2030-01-14", "000333.XSHE", 2400, 20.5, 20.02, 1152, 2400),
    ]
    return lines, rows


def load(write, lines, rows):
    return parse_log(write(lines)).orders, parse_positions(write([HEADER, *rows], "p.csv"))


def test_replaying_the_implied_market_gives_the_log(write):
    orders, positions = load(write, *two_slots())
    market = implied_market(orders, positions, stocknum=2)
    assert market.picks == {
        date(2030, 1, 7): ["600111.XSHG", "688444.XSHG"],
        date(2030, 1, 14): ["000333.XSHE"],
    }
    assert (market.stale_marks, market.notes) == ([], [])
    fills, refusals, done = replay(market, stocknum=2, cash=100_000.0)
    assert (fills, refusals) == logged_outcome(orders)
    assert [day["market_value"] for day in done.equity] == [52500, 55000, 55000, 55000, 55000, 104200]
    rows = market.table.set_index(["date", "code"])
    assert rows.loc[("2030-01-04", "600111.XSHG"), ["open", "volume", "paused", "market_cap"]].tolist() == [
        10.0, 0.0, 1, 2.001e9]  # fmt: skip
    assert rows.loc[("2030-01-14", "600111.XSHG"), ["close", "volume", "paused"]].tolist() == [11.0, 0.0, 1]
    assert (date(2030, 1, 7), "688444.XSHG", "the price") in market.placeholders


def test_held_stock_without_rows_is_taken_for_suspended(write):
    lines, rows = two_slots()
    orders, positions = load(write, lines, [row for row in rows if not row.startswith(WEEK[3])])
    market = implied_market(orders, positions, stocknum=2)
    assert market.notes == [
        "2030-01-07 to 2030-01-14: no rows for 1 trading day(s), taken to be 2030-01-10",
        "2030-01-10 600111.XSHG: held, but not in the positions; taken for suspended",
    ]
    assert replay(market, stocknum=2, cash=100_000.0)[:2] == logged_outcome(orders)


def test_days_with_nothing_held(write):
    lines = refuse("2030-01-07", "688444.XSHG", 50000.0, 1, STAR_REFUSAL)
    lines += refuse("2030-01-21", "688555.XSHG", 50000.0, 2, STAR_REFUSAL)
    orders, positions = load(write, lines, [])
    market = implied_market(orders, positions, stocknum=2)
    days = "2030-01-09, 2030-01-11, 2030-01-15, 2030-01-17"
    assert market.notes == [f"2030-01-07 to 2030-01-21: no rows for 4 trading day(s), taken to be {days}"]
    assert (date(2030, 1, 15), "688444.XSHG", "the row: keeps the day in the calendar") in market.placeholders
    assert replay(market, stocknum=2, cash=100_000.0)[:2] == logged_outcome(orders)


def test_limit_refusals(write):
    lines = [
        *buy(WEEK[0], "600111.XSHG", 50000.0, [(10.01, 5000, 15.015)], 1),
        *refuse(WEEK[0], "000333.XSHE", 50000.0, 2, "标的已涨停，市价单不能成交"),
        *refuse("2030-01-14", "600111.XSHG", 0.0, 3, "标的已跌停，市价单不能成交"),
    ]
    lines[-1] = lines[-1].replace("OrderValue", "OrderTargetValue").replace("action=open", "action=close")
    lines += refuse("2030-01-14", "000444.XSHE", 49934.985, 4, "考虑滑点后的成交价超过涨停价")
    rows = [held(WEEK[0], "600111.XSHG", 5000, 10.01, 10.01, 0, 5000)]
    rows += [held(day, "600111.XSHG", 5000, 10.01, 10.01, 0) for day in [*WEEK[1:], "2030-01-14"]]
    orders, positions = load(write, lines, rows)
    market = implied_market(orders, positions, stocknum=2)
    assert replay(market, stocknum=2, cash=100_000.0)[:2] == logged_outcome(orders)


def test_stale_marks(write):
    lines, rows = two_slots()
    rows[2] = held(WEEK[2], "600111.XSHG", 5000, 11.0, 10.01, 0)
    rows[3] = held(WEEK[3], "600111.XSHG", 5000, 11.4, 10.01, 500)  # from 11.3: the copied 11.0 is stale
    rows[4] = held(WEEK[4], "600111.XSHG", 5000, 11.0, 10.01, -2000, value=55999)
    orders, positions = load(write, lines, rows)
    market = implied_market(orders, positions, stocknum=2)
    assert [str(mark) for mark in market.stale_marks] == [
        "line 4: 2030-01-09 600111.XSHG: mark 11, but 当日盈亏 of 2030-01-10 implies 11.3",
        "line 6: 2030-01-11 600111.XSHG: mark 11, but 市值 of 2030-01-11 implies 11.2",
    ]
    closes = market.table.set_index(["date", "code"])["close"]
    assert closes[("2030-01-09", "600111.XSHG")] == 11.0


def test_stale_mark_of_the_day_itself(write):
    lines, rows = two_slots()
    rows[0] = held(WEEK[0], "600111.XSHG", 5000, 10.01, 10.01, 2450, 5000)
    rows[2] = held(WEEK[2], "600111.XSHG", 5000, 11.0, 10.01, 1000)
    rows[3] = held(WEEK[3], "600111.XSHG", 5000, 11.0, 10.01, -1000)
    market = implied_market(*load(write, lines, rows), stocknum=2)
    assert [(mark.date, mark.printed, mark.implied) for mark in market.stale_marks] == [
        (date(2030, 1, 7), 10.01, 10.5),
        (date(2030, 1, 9), 11.0, 11.2),
    ]


def test_bonus_shares_and_a_dividend(write):
    lines = [
        *buy(WEEK[0], "600111.XSHG", 100000.0, [(10.01, 10000, 30.03)], 1),
        *sell("2030-01-14", "600111.XSHG", [(7.99, 13000, 135.031)], 2),
        *buy("2030-01-14", "000333.XSHE", 107604.939, [(20.02, 5300, 31.8318)], 3, cash=5380),
    ]
    rows = [held(WEEK[0], "600111.XSHG", 10000, 10.2, 10.01, 1900, 10000)]
    rows += [held(WEEK[1], "600111.XSHG", 10000, 10.2, 10.01, 0)]
    rows += [held(WEEK[2], "600111.XSHG", 13000, 7.6, 7.32, 1820)]  # reference price (10.2 - 0.5) / 1.3
    rows += [held(day, "600111.XSHG", 13000, 7.6, 7.32, 0) for day in WEEK[3:]]
    rows += [held("2030-01-14", "000333.XSHE", 5300, 20.5, 20.02, 2544, 5300)]
    orders, positions = load(write, lines, rows)
    market = implied_market(orders, positions, stocknum=1)
    assert market.stale_marks == []
    assert market.notes == [
        "2030-01-09 600111.XSHG: 10000 shares x 1.3, dividend 0.5 yuan per share before tax: "
        "ex-rights during the holding"
    ]
    fills, refusals, done = replay(market, stocknum=1, cash=100_000.0)
    assert (fills, refusals) == logged_outcome(orders)
    assert done.equity[2]["cash"] == pytest.approx(-130.03 + 4000)


def test_sold_and_bought_on_one_day(write):
    lines = [
        *buy(WEEK[0], "600111.XSHG", 100000.0, [(10.01, 10000, 30.03)], 1),
        *sell("2030-01-14", "600111.XSHG", [(8.0, 10000, 104.0)], 2),
        *buy("2030-01-14", "600111.XSHG", 79765.97, [(8.02, 9900, 23.8194)], 3),
    ]
    rows = [held(WEEK[0], "600111.XSHG", 10000, 10.01, 10.01, 0, 10000)]
    rows += [held(day, "600111.XSHG", 10000, 10.01, 10.01, 0) for day in WEEK[1:]]
    rows += [held("2030-01-14", "600111.XSHG", 9900, 8.5, 8.02, 4752, 9900)]
    orders, positions = load(write, lines, rows)
    market = implied_market(orders, positions, stocknum=1)
    row = market.table.iloc[-1]
    assert (row["open"], row["close"], market.notes) == (8.01, 8.5, [])
    assert replay(market, stocknum=1, cash=100_000.0)[:2] == logged_outcome(orders)


def test_what_cannot_be_explained_is_said(write):
    lines = [
        *buy(WEEK[0], "600111.XSHG", 40600.0, [(4.07, 10000, 12.21)], 1),
        *sell("2030-01-16", "600111.XSHG", [(4.06, 10000, 52.78)], 2),
        *buy("2030-01-16", "000333.XSHE", 41000.0, [(20.02, 2000, 12.012)], 3),
    ]
    rows = [held(WEEK[0], "600111.XSHG", 10000, 4.07, 4.07, 0, 10000)]
    rows += [held(f"2030-01-{n:02}", "600111.XSHG", 10000, 4.07, 4.07, 0) for n in (8, 9, 10, 11, 14, 15)]
    market = implied_market(*load(write, lines, rows), stocknum=1)
    assert market.notes == [
        "2030-01-07 to 2030-01-16: 7 trading days between two days with orders, expected 5: the replay will "
        "rebalance on other days",
        "2030-01-16: the budget shows +564.99 yuan that no fill explains",
        "2030-01-07 600111.XSHG: no open gives the BUY at 4.07 with slippage 0.00246; took 4.07 (another "
        "slippage, or fills at several prices?)",
        "2030-01-16 600111.XSHG: opens 4.06, 4.07 fit; took 4.06",
    ]


def test_no_orders(write):
    with pytest.raises(ExportError) as error:
        implied_market([], parse_positions(write([HEADER], "p.csv")))
    assert_one_line(error, "no orders")


@needs_export
def test_replaying_the_real_export():
    log, positions = parse_log(EXPORT_FOLDER / "log.txt"), parse_positions(EXPORT_FOLDER / "Trade_Log.csv")
    assert ([notice.line for notice in log.notices], len(positions)) == ([255], 260)
    market = implied_market(log, positions)
    assert (market.stale_marks, market.notes) == ([], [])
    fills, refusals, done = replay(market, cash=starting_cash(log))
    assert (fills, refusals) == logged_outcome(log)
    cash = {str(day["date"]): day["cash"] for day in done.equity}
    opens = market.table.set_index(["date", "code"])["open"]
    with open(EXPORT_FOLDER / "golden_fills.csv", encoding="utf-8") as file:
        golden = list(csv.DictReader(file))
    last = {row["date"]: float(row["cash_after"]) for row in golden}
    assert {day: cash[day] for day in last} == pytest.approx(last, abs=1e-3)
    for row in golden:
        if row["open_ref"]:
            assert opens[(row["date"], row["security"])] == float(row["open_ref"])
    values = (positions["quantity"] * positions["price"]).groupby(positions["date"].dt.date).sum()
    assert {day["date"]: round(day["market_value"], 2) for day in done.equity} == values.round(2).to_dict()
