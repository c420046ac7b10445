"""Reading JoinQuant's order log and positions: exports made up, and the real one where there is one."""

import csv
from datetime import date
from functools import partial

import pytest

from bt_microcap.joinquant.log import (
    NO_TRADE,
    ExportError,
    LogOrder,
    parse_log,
    parse_positions,
    starting_cash,
)
from tests.support.joinquant_exports import (
    EXPORT_FOLDER,
    HEADER,
    NOTICE,
    STAR_REFUSAL,
    assert_one_line,
    buy,
    held,
    needs_export,
    order_text,
    record_start,
    refuse,
    save,
    sell,
    suspended,
)


@pytest.fixture
def write(tmp_path):
    return partial(save, tmp_path)


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("ends", ["\r\n", "\n"])
def test_one_order_each_in_the_order_of_the_log(write, encoding, ends):
    lines = [
        *sell("2030-01-08", "600111.XSHG", [(9.99, 300, 7.997)], 7001),
        *suspended("2030-01-08", "600222.XSHG", 7002),
        *buy("2030-01-08", "000333.XSHE", 40000.5, [(8.01, 4900, 11.7747)], 7003, cash=4987),
        NOTICE,
        *refuse("2030-01-08", "688444.XSHG", 40000.5, 7004, STAR_REFUSAL),
    ]
    log = parse_log(write(lines, encoding=encoding, ends=ends))
    day = date(2030, 1, 8)
    assert log.orders == [
        LogOrder(day, "7001", "600111.XSHG", "SELL", 0.0, None, 300, 9.99, 7.997, None, 1),
        LogOrder(day, "7002", "600222.XSHG", "SELL", 0.0, None, 0, None, None, "suspended", 3),
        LogOrder(day, "7003", "000333.XSHE", "BUY", 40000.5, 4987, 4900, 8.01, 11.7747, None, 7),
        LogOrder(day, "7004", "688444.XSHG", "BUY", 40000.5, None, 0, None, None, "star market order", 12),
    ]
    assert [(notice.line, notice.text) for notice in log.notices] == [(11, NOTICE)]


def test_fills_of_one_order_are_summed(write):
    fills = [(10.0, 300, 5.0), (10.4, 100, 0.312)]
    (order,) = parse_log(write(buy("2030-01-08", "000333.XSHE", 4100.0, fills, 7003)))
    assert (order.quantity, order.fee, order.reason) == (400, 5.312, None)
    assert order.price == pytest.approx(10.1)


def test_cut_fill_is_said(write):
    lines = buy("2030-01-08", "000333.XSHE", 4100.0, [(10.0, 300, 5.0), (10.0, 100, 1.0)], 7003)
    del lines[3]  # the second fill
    log = parse_log(write(lines))
    assert log.orders[0].quantity == 300
    (notice,) = log.notices
    assert notice.text == "2030-01-08 000333.XSHE: 300 of 400 shares were traded"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (STAR_REFUSAL, "star market order"),
        ("证券今日停牌", "suspended"),
        ("标的已涨停，市价单不能成交", "limit up"),
        ("标的已跌停，市价单不能成交", "limit down"),
        ("考虑滑点后的成交价超过涨停价", "slipped past the limit"),
        ("标的成交量为 0", "no volume"),
        ("开仓数量不能小于 100", "below one lot"),
        ("可卖数量不足", "bought today"),
        ("账户已冻结", "账户已冻结"),
    ],
)
def test_reasons(write, error, reason):
    (order,) = parse_log(write(refuse("2030-01-08", "000333.XSHE", 4100.0, 7003, error)))
    assert (order.side, order.quantity, order.price, order.reason) == ("BUY", 0, None, reason)


def test_record_on_submission_may_call_a_buy_close(write):
    submitted = order_text("2030-01-08", "000333.XSHE", 7003, "OrderValue", 485.5, "close")
    lines = [f"{record_start('2030-01-08')}订单已提交：{submitted}"]
    lines += refuse("2030-01-08", "000333.XSHE", 485.5, 7003, "开仓数量不能小于 100")
    (order,) = parse_log(write(lines))
    assert (order.side, order.reason) == ("BUY", "below one lot")


def test_order_without_an_end(write):
    log = parse_log(write(buy("2030-01-08", "000333.XSHE", 4100.0, [(10.0, 400, 5.0)], 7003)[:2]))
    assert [(order.side, order.quantity, order.reason) for order in log] == [("BUY", 0, NO_TRADE)]
    assert len(log.notices) == 1


def test_announced_only(write):
    line = buy("2030-01-08", "000333.XSHE", 485.5, [(10.0, 0, 5.0)], 7003)[0]
    (order,) = parse_log(write([line]))
    assert (order.entrust_id, order.side, order.reason) == (None, "BUY", "below one lot")


def test_the_strategys_own_lines_are_notices(write):
    warning = f"{record_start('2030-01-08', 'WARNING')}Security(code=000333.XSHE) 在 positions 中不存在 ("
    lines = [warning, "", "第二行"]
    lines += sell("2030-01-08", "600111.XSHG", [(9.99, 300, 7.997)], 7001)
    log = parse_log(write(lines))
    assert (len(log), [notice.line for notice in log.notices]) == (1, [1, 3])


def test_damaged_logs(write, tmp_path):
    whole = buy("2030-01-08", "000333.XSHE", 4100.0, [(10.0, 400, 5.0)], 7003, cash=450)
    path = write(["", " "])
    with pytest.raises(ExportError) as error:
        parse_log(path)
    assert_one_line(error, "log.txt: the file is empty", "order log")
    with pytest.raises(ExportError) as error:
        parse_log(write([HEADER, held("2030-01-08", "600111.XSHG", 300, 10, 9.9, 30, 300)], "p.csv"))
    assert_one_line(error, "p.csv: line 1", "expected a record", "not the positions")
    with pytest.raises(ExportError) as error:
        parse_log(write([*whole[:2], whole[2].split("\n")[0]]))
    assert_one_line(error, "line 4", "cut off", "closing parenthesis")
    with pytest.raises(ExportError) as error:
        parse_log(write([whole[0], whole[1][:90], *whole[2:]]))
    assert_one_line(error, "line 2", "cut off")
    with pytest.raises(ExportError) as error:
        parse_log(write([whole[2].replace(", amount:400, commission: 5.0", "")]))
    assert_one_line(error, "line 1", "trade price: 10.0", "expected 'trade price: 9.32")
    with pytest.raises(ExportError) as error:
        parse_log(write([line.replace("2030-01-08", "2030-02-31") for line in whole]))
    assert_one_line(error, "line 1", "2030-02-31", "calendar day")
    with pytest.raises(ExportError) as error:
        parse_log(tmp_path / "none.txt")
    assert_one_line(error, "none.txt", "cannot be read")
    path.write_bytes((NOTICE + "停").encode()[:-1])
    with pytest.raises(ExportError) as error:
        parse_log(path)
    assert_one_line(error, "line 1", "neither UTF-8 nor GB18030")


def test_starting_cash(write):
    lines = refuse("2030-01-08", "688444.XSHG", 333333.3333333333, 7004, STAR_REFUSAL)
    assert starting_cash(parse_log(write(lines))) == 1_000_000.0
    assert starting_cash(parse_log(write(lines)), stocknum=6) == 2_000_000.0
    with pytest.raises(ExportError):
        starting_cash([])


# -------------------------------------------------------------------------------- the positions


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("ends", ["\r\n", "\n"])
def test_positions(write, encoding, ends):
    row = held("2030-01-08", "600111.XSHG", 300, 10.25, 9.995, 76, 300)
    path = write([HEADER, row], "p.csv", encoding, ends)
    frame = parse_positions(path)
    assert frame["date"].dt.date.tolist() == [date(2030, 1, 8)]
    assert frame.drop(columns="date").to_dict("records") == [
        {"code": "600111.XSHG", "name": "虚构股份", "quantity": 300, "sellable": 0, "price": 10.25,
         "market_value": 3075.0, "cost": 9.995, "day_profit": 76.0, "bought_today": 300, "line": 2}
    ]  # fmt: skip


def test_columns_are_found_by_name(write):
    lines = [HEADER, held("2030-01-08", "600111.XSHG", 300, 10.25, 9.995, 76, 300)]
    turned = [",".join(reversed(line.split(","))) for line in lines]
    turned[1] = turned[1].replace("2030-01-08", "2030/1/8")  # as a spreadsheet saves it
    kept = parse_positions(write(lines, "a.csv"))
    assert parse_positions(write(turned, "b.csv")).equals(kept)


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        (",300股,33.3%,0.1%", "", ["found 13 fields, expected 16"]),
        (",10.25,", ",-,", ["column 现价: found '-', expected a number above 0"]),
        ("300股,0股", "三百股,0股", ["column 数量: found '三百股'", "whole number"]),
        ("2030-01-09", "星期三", ["column 日期: found '星期三'", "a day like 2024-11-01"]),
        ("(600111.XSHG)", "", ["column 标的: found '虚构股份'"]),
        (",多,", ",空,", ["column 多空"]),
        ("2030-01-09", "2030-01-08", ["column 标的", "second time", "on line 2"]),
    ],
)
def test_damaged_positions(write, old, new, parts):
    good, bad = (held(f"2030-01-0{n}", "600111.XSHG", 300, 10.25, 9.995, 76, 300) for n in (8, 9))
    assert old in bad
    with pytest.raises(ExportError) as error:
        parse_positions(write([HEADER, good, bad.replace(old, new)], "p.csv"))
    assert_one_line(error, "p.csv: line 3: ", *parts)


def test_no_positions_at_all(write):
    assert len(parse_positions(write([HEADER], "p.csv"))) == 0
    with pytest.raises(ExportError) as error:
        parse_positions(write(sell("2030-01-08", "600111.XSHG", [(9.99, 300, 7.997)], 7001), "p.csv"))
    assert_one_line(error, "line 1", "日期", "not the order log")
    with pytest.raises(ExportError) as error:
        parse_positions(write([""], "p.csv"))
    assert_one_line(error, "p.csv: the file is empty")


# ------------------------------------------------------------------------------ the real export


@needs_export
def test_every_order_of_the_real_log():
    actions = {"suspended": "REJECT_PAUSED", "star market order": "REJECT_STAR"}
    read = [
        {
            "date": str(o.date), "security": o.code, "action": actions.get(o.reason, o.side),
            "qty": str(o.quantity or ""), "order_value": str(o.value), "fill_price": str(o.price or ""),
            "fee": str(o.fee or ""), "cash_limited_to": str(o.cash_limited_to or ""),
            "entrust_id": o.entrust_id if o.quantity else "",
        }
        for o in parse_log(EXPORT_FOLDER / "log.txt")
    ]  # fmt: skip
    with open(EXPORT_FOLDER / "golden_fills.csv", encoding="utf-8") as file:
        golden = [
            {name: text for name, text in row.items() if name not in ("open_ref", "cash_after")}
            for row in csv.DictReader(file)
        ]
    assert len(read) == 110
    assert read == golden
