"""Single bad rows of every download source, from saved answers to the store: listed, and the rest of the stock is there."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.sources import Request, baostock, joinquant, read, tushare
from bt_microcap.feeds.store.data_report import shortcomings
from bt_microcap.feeds.store.writer import ingest_tables
from tests.support.stand_ins import weekdays

DAYS = weekdays(date(2024, 1, 2), date(2024, 2, 9))  # 29 days
CODE, OTHER = "600111.XSHG", "000222.XSHE"
BAD = 6  # number of the bad row: 2024-01-10
FILES = {"baostock": baostock.DAILY, "akshare": "stock_zh_a_hist", "joinquant": joinquant.DAILY, "tushare": tushare.DAILY}
SOURCES = list(FILES)
# our column -> the source's
NAMES = {
    "baostock": {"date": "date", "code": "code", "volume": "volume", "amount": "amount"},
    "akshare": {"date": "日期", "code": "股票代码", "open": "开盘", "high": "最高", "low": "最低", "close": "收盘",
                "volume": "成交量", "amount": "成交额"},
    "joinquant": {"date": "time", "code": "code", "volume": "volume", "amount": "money"},
    "tushare": {"date": "trade_date", "code": "ts_code", "volume": "vol", "amount": "amount"},
}  # fmt: skip


def theirs(source, ours):
    return NAMES[source].get(ours, ours)


def prices(source, code=CODE):
    """Return the rows of a stock as text: 10 10.2 9.9 10.1, a million shares for 10.1 million yuan, 100 million shares in all."""
    volume, amount = {"akshare": (1e4, 1.01e7), "tushare": (1e4, 1.01e4)}.get(source, (1e6, 1.01e7))
    frame = pd.DataFrame({theirs(source, "date"): [str(day) for day in DAYS], theirs(source, "code"): code})
    values = {"open": 10.0, "high": 10.2, "low": 9.9, "close": 10.1, "volume": volume, "amount": amount}
    further = {
        "baostock": {"preclose": 10.1, "adjustflag": 3, "turn": 1.0, "tradestatus": 1, "isST": 0},
        "akshare": {}, "joinquant": {"high_limit": 11.11, "low_limit": 9.09, "pre_close": 10.1, "paused": 0.0},
        "tushare": {"pre_close": 10.1}}  # fmt: skip
    for name, value in (values | further[source]).items():
        frame[theirs(source, name)] = str(value)
    return frame


def caps(source, code=CODE):
    """Return the answer that tells the market cap, 1.01 bn yuan: what it is saved as, and its column."""
    days = [str(day) for day in DAYS]
    if source == "akshare":
        return "stock_value_em", "总股本", pd.DataFrame({"数据日期": days, "总股本": "100000000"})
    if source == "joinquant":
        return joinquant.VALUATION, "market_cap", pd.DataFrame({"code": code, "day": days, "market_cap": "10.1"})
    return tushare.DAILY_BASIC, "total_mv", pd.DataFrame(
        {"ts_code": code, "trade_date": days, "total_share": "", "total_mv": "101000"})


def save(folder, source, frame, cap=None):
    """Save a market of two stocks as answers; one of them as it is given."""
    for code, rows in ((CODE, frame), (OTHER, prices(source, OTHER))):
        rows.to_csv(folder / f"{FILES[source]}_{code}.csv", index=False)
        if source != "baostock":
            call, _, values = caps(source, code)
            (cap if code == CODE and cap is not None else values).to_csv(folder / f"{call}_{code}.csv", index=False)


def make(folder, store, source, **fields):
    strict = fields.pop("strict", False)
    request = Request(folder=folder, **fields)
    return ingest_tables(read(source, request), store, about=request.about, reference_data=request.reference_data, strict=strict)


def found(store):
    columns = ["date", "code", "column", "found", "finding", "done"]
    return [tuple(row) for row in store.findings()[columns].itertuples(index=False)]


def closes(store, code=CODE):
    """Return day -> close of the rows of a stock."""
    number = store.codes.tolist().index(code)
    days = [date.fromordinal(day) for day in store.days.tolist()]
    there = [number in store.arrays["day_stock"][slice(*store.arrays["day_start"][day : day + 2])] for day in range(len(days))]
    return {day: float(store.vector("close", at)[number]) for at, day in enumerate(days) if there[at]}


def check(tmp_path, source, frame, expected, missing=(), cap=None, strict=True):
    """Make the store; hold what is listed and what is left against what is expected; and see it refused."""
    save(tmp_path, source, frame, cap)
    store = make(tmp_path, tmp_path / "store", source)
    assert found(store) == expected
    assert closes(store) == {day: 10.1 for day in DAYS if day not in missing}
    assert closes(store, OTHER) == dict.fromkeys(DAYS, 10.1)
    if strict:
        with pytest.raises(DataError) as error:
            make(tmp_path, tmp_path / "strict", source, strict=True)
        assert "\n" not in str(error.value) and not (tmp_path / "strict").exists()
    else:
        make(tmp_path, tmp_path / "strict", source, strict=True)
    return store


def changed(source, **values):
    frame = prices(source)
    for ours, value in values.items():
        frame.loc[BAD, theirs(source, ours)] = value
    return frame


@pytest.mark.parametrize("source", SOURCES)
def test_nothing_is_found_where_nothing_is_wrong(tmp_path, source):
    store = check(tmp_path, source, prices(source), [], strict=False)
    assert store.rows == 58
    values = {name: {float(value) for value in store.vector(name, 0)} for name in ("open", "high", "low", "volume", "amount")}
    assert values == {"open": {10.0}, "high": {10.2}, "low": {9.9}, "volume": {1e6}, "amount": {1.01e7}}
    assert store.vector("market_cap", 0).tolist() == pytest.approx([1.01e9, 1.01e9])


@pytest.mark.parametrize("source", SOURCES)
def test_a_price_that_lacks(tmp_path, source):
    row = ("2024-01-10", CODE, "close", "nothing (NaN)", "no price", "row left out")
    check(tmp_path, source, changed(source, close=""), [row], [DAYS[BAD]])


@pytest.mark.parametrize("source", SOURCES)
def test_text_in_a_column_of_numbers(tmp_path, source):
    row = ("2024-01-10", CODE, "volume", "'系统繁忙'", "no volume", "row left out")
    check(tmp_path, source, changed(source, volume="系统繁忙"), [row], [DAYS[BAD]])


@pytest.mark.parametrize("source", SOURCES)
def test_text_instead_of_an_amount_leaves_the_row(tmp_path, source):
    row = ("2024-01-10", CODE, "amount", "'无'", "no number", "taken as not known")
    store = check(tmp_path, source, changed(source, amount="无"), [row])
    assert np.isnan(store.vector("amount", BAD)).tolist() == [False, True]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("text", "shown"), [("2024-02-31", "'2024-02-31'"), ("", "nothing (NaN)"), ("9999-12-31", "'day 9999-12-31'")])
def test_a_day_that_is_none(tmp_path, source, text, shown):
    row = ("", CODE, "date", shown, "no day", "row left out")
    check(tmp_path, source, changed(source, date=text), [row], [DAYS[BAD]])


@pytest.mark.parametrize("source", SOURCES)
def test_a_code_that_is_none(tmp_path, source):
    row = ("2024-01-10", "无", "code", "'无'", "no code of a stock", "row left out")
    check(tmp_path, source, changed(source, code="无"), [row], [DAYS[BAD]])


@pytest.mark.parametrize("source", SOURCES)
def test_the_same_row_twice(tmp_path, source):
    frame = prices(source)
    row = ("2024-01-10", CODE, "code", f"{CODE} a second time", "the same row twice", "one of them left out")
    check(tmp_path, source, pd.concat([frame, frame.iloc[[BAD]]]), [row])


@pytest.mark.parametrize("source", SOURCES)
def test_two_rows_of_a_day_that_differ(tmp_path, source):
    row = ("2024-01-10", CODE, "code", f"{CODE} a second time", "a second row of the day with other content",
           "all of them left out")  # fmt: skip
    frame = pd.concat([prices(source), changed(source, close="10.15").iloc[[BAD]]])
    check(tmp_path, source, frame, [row, row], [DAYS[BAD]])


@pytest.mark.parametrize("source", SOURCES)
def test_high_below_low(tmp_path, source):
    row = ("2024-01-10", CODE, "high", "9.9", "high below low", "row left out")
    check(tmp_path, source, changed(source, high="9.9", low="10.2"), [row], [DAYS[BAD]])


@pytest.mark.parametrize("source", SOURCES)
def test_a_market_cap_that_lacks(tmp_path, source):
    first = source in ("baostock", "akshare")  # later on the last known shares count
    frame, cap, at = prices(source), None, 0 if first else BAD
    if source == "baostock":
        frame.loc[0, "turn"] = ""
    else:
        _, column, cap = caps(source)
        cap.loc[at, column] = ""
    row = (str(DAYS[at]), CODE, "market_cap", "nothing (NaN)", "no market cap", "not picked on the next day")
    store = check(tmp_path, source, frame, [row], cap=cap, strict=False)
    assert np.isnan(store.vector("market_cap", at)).tolist() == [False, True]
    assert store.vector("market_cap", at + 1).tolist() == pytest.approx([1.01e9, 1.01e9])


@pytest.mark.parametrize("source", ["joinquant", "tushare"])
def test_text_instead_of_a_market_cap(tmp_path, source):
    _, column, cap = caps(source)
    cap.loc[BAD, column] = "无"
    row = ("2024-01-10", CODE, "market_cap", "'无'", "no number", "taken as not known")
    store = check(tmp_path, source, prices(source), [row], cap=cap)
    assert np.isnan(store.vector("market_cap", BAD)).tolist() == [False, True]


@pytest.mark.parametrize("source", ["akshare", "joinquant", "tushare"])
def test_two_market_caps_of_a_day_multiply_no_rows(tmp_path, source):
    _, column, cap = caps(source)
    other = cap.iloc[[BAD]].assign(**{column: "77"})
    twice = pd.concat([cap, cap.iloc[[BAD + 1]], other])
    row = ("2024-01-10", CODE, "market_cap", "nothing (NaN)", "no market cap", "not picked on the next day")
    store = check(tmp_path, source, prices(source), [] if source == "akshare" else [row], cap=twice, strict=False)
    assert store.rows == 58
    assert store.vector("market_cap", BAD + 1).tolist() == pytest.approx([1.01e9, 1.01e9])


@pytest.mark.parametrize("source", ["akshare", "joinquant", "tushare"])
def test_a_valuation_whose_day_cannot_be_read_is_ignored(tmp_path, source):
    _, _, cap = caps(source)
    day = {"akshare": "数据日期", "joinquant": "day", "tushare": "trade_date"}[source]
    cap.loc[BAD, day] = "昨天"
    store = check(tmp_path, source, prices(source), [], cap=cap, strict=False)
    assert store.vector("market_cap", BAD).tolist() == pytest.approx([1.01e9, 1.01e9])  # the shares of the day before
    if source != "akshare":
        assert store.about["market_cap"].endswith(
            "; estimated in 1 traded rows that have none: last known total shares x close")


@pytest.mark.parametrize("source", SOURCES)
def test_a_line_with_too_many_fields(tmp_path, source):
    save(tmp_path, source, prices(source))
    path = tmp_path / f"{FILES[source]}_{CODE}.csv"
    lines = path.read_text().splitlines()
    lines[BAD + 1] += ",1,2"
    path.write_text("\n".join(lines))
    store = make(tmp_path, tmp_path / "store", source)
    assert [row[2:] for row in found(store)] == [("date", repr(f"too many fields: {lines[BAD + 1]}"), "no day", "row left out")]
    assert closes(store) == {day: 10.1 for day in DAYS if day != DAYS[BAD]}


@pytest.mark.parametrize("source", SOURCES)
def test_days_that_are_not_asked_for_are_not_checked(tmp_path, source):
    frame = prices(source)
    for row in range(BAD + 1):
        frame.loc[row, theirs(source, "close")] = "无"
        frame.loc[row, theirs(source, "amount")] = "77"
        if source == "baostock":
            frame.loc[row, "adjustflag"] = "1"
    if source == "joinquant":
        frame["factor"] = ["0.5"] * (BAD + 1) + ["1.0"] * (len(DAYS) - BAD - 1)
    save(tmp_path, source, frame)
    store = make(tmp_path, tmp_path / "store", source, start=DAYS[BAD + 1], strict=True)
    assert found(store) == []
    assert closes(store) == dict.fromkeys(DAYS[BAD + 1 :], 10.1)
    with pytest.raises(DataError):
        make(tmp_path, tmp_path / "whole", source)


@pytest.mark.parametrize("source", SOURCES)
def test_too_many_bad_rows_are_refused(tmp_path, source):
    frame = prices(source)
    frame.loc[: len(DAYS) // 2, theirs(source, "close")] = "系统繁忙"
    save(tmp_path, source, frame)
    with pytest.raises(DataError) as error:
        make(tmp_path, tmp_path / "store", source)
    assert "found '系统繁忙'" in str(error.value) and "the table is wrong, not the row" in str(error.value)


@pytest.mark.parametrize("source", SOURCES)
def test_what_a_source_does_not_know_is_said(tmp_path, source):
    save(tmp_path, source, prices(source))
    store = make(tmp_path, tmp_path / "store", source)
    said = {line.partition(":")[0] for line in shortcomings(store.about)}
    assert said == {
        "baostock": {"market_cap", "delisting_period", "dividends", "stocks", "listings"},
        "akshare": {"market_cap", "delisting_period", "dividends", "preclose", "is_st", "listings"},
        "joinquant": {"delisting_period", "dividends", "preclose", "is_st", "listings"},
        "tushare": {"delisting_period", "dividends", "is_st", "listings", "suspend_d", "stk_limit"},
    }[source]


# ------------------------------------------------------------------------- answers of the side


def test_flags_of_baostock_that_cannot_be_read(tmp_path):
    for name, text, row in (
        ("isST", "无", ("2024-01-10", CODE, "is_st", "'无'", "neither 0 nor 1", "row left out")),
        ("tradestatus", "", ("2024-01-10", CODE, "paused", "nothing (NaN)", "neither 0 nor 1", "row left out")),
        ("tradestatus", "是", ("2024-01-10", CODE, "paused", "'tradestatus 是'", "neither 0 nor 1", "row left out")),
    ):
        folder = tmp_path / (name + text)
        folder.mkdir()
        check(folder, "baostock", changed("baostock", **{name: text}), [row], [DAYS[BAD]])


def test_lists_with_a_bad_row(tmp_path):
    pd.DataFrame({"code": ["sh.600111", "sz.000222", "无"], "code_name": ["甲", "", "丙"], "ipoDate": ["昨天", "2000-01-04", ""],
                  "outDate": "", "type": "1"}).to_csv(tmp_path / "query_stock_basic.csv", index=False)  # fmt: skip
    store = check(tmp_path, "baostock", prices("baostock"), [], strict=False)
    listings = store.reference_table("listings")
    assert listings["code"].tolist() == [OTHER, CODE] and listings["listed"].isna().tolist() == [False, True]
    assert store.reference_table("names")["name"].tolist() == ["甲"]


def test_saved_lists_of_akshare(tmp_path):
    pd.DataFrame({"证券代码": ["600111"], "证券简称": ["甲"], "上市日期": ["20100104"]}).to_csv(
        tmp_path / "stock_info_sh_name_code_主板A股.csv", index=False)
    pd.DataFrame({"证券代码": ["000222"], "证券简称": ["退市乙"], "上市日期": ["2000-01-04"],
                  "终止上市日期": ["2024-02-20"]}).to_csv(tmp_path / "stock_info_sz_delist.csv", index=False)  # fmt: skip
    store = check(tmp_path, "akshare", prices("akshare"), [], strict=False)
    listings = store.reference_table("listings")
    assert listings["listed"].dt.date.tolist() == [date(2000, 1, 4), date(2010, 1, 4)]
    assert listings["delisted"].isna().tolist() == [False, True]
    assert store.about["listings"] == "the day of delisting is not given for Beijing"


def test_flags_of_joinquant_that_cannot_be_read_are_not_known(tmp_path):
    flags = pd.DataFrame({"date": [str(day) for day in DAYS], CODE: "True", OTHER: "False"})
    flags.loc[BAD, CODE] = "无"
    flags.loc[BAD + 1, "date"] = "昨天"
    flags = pd.concat([flags, flags.iloc[[0]].assign(**{CODE: "False"})])  # a day with both
    flags.to_csv(tmp_path / "get_extras_is_st.csv", index=False)
    store = check(tmp_path, "joinquant", prices("joinquant"), [], strict=False)
    at = store.codes.tolist().index(CODE)
    assert [day for day in range(len(DAYS)) if not store.vector("is_st", day)[at]] == [0, BAD, BAD + 1]
    assert store.about["is_st"] == "as given for each day; not known, taken as 0, in 4 rows"


def test_rows_of_the_side_of_tushare_that_cannot_be_read_are_ignored(tmp_path):
    frame = prices("tushare").drop(index=[3, 4])  # suspended; of the second day the list cannot be read
    pd.DataFrame({"ts_code": "600111.SH", "trade_date": [str(DAYS[3]), "昨天", str(DAYS[3])], "suspend_timing": "",
                  "suspend_type": "S"}).to_csv(tmp_path / "suspend_d_2024.csv", index=False)  # fmt: skip
    pd.DataFrame({"ts_code": ["600111.SH", "600111.SH", "000222.SZ", "无"], "name": ["甲股份", "*ST甲", "乙", "丙"],
                  "start_date": ["20100104", "昨天", "20000104", "20240101"], "end_date": ["", "", "明天", ""]}).to_csv(
        tmp_path / "namechange.csv", index=False)  # fmt: skip
    limits = pd.DataFrame({"ts_code": "600111.SH", "trade_date": [str(day) for day in DAYS], "up_limit": "11.11",
                           "down_limit": "9.09"})  # fmt: skip
    limits.loc[BAD, "up_limit"] = "无"
    limits.loc[BAD + 1, ["up_limit", "down_limit"]] = ["9.09", "11.11"]
    limits.to_csv(tmp_path / "stk_limit_2024.csv", index=False)
    store = check(tmp_path, "tushare", frame, [
        ("2024-01-10", CODE, "high_limit", "'无'", "no number", "taken as not known"),
        ("2024-01-11", CODE, "high_limit", "9.09", "upper limit below the lower one", "taken as not known"),
    ], [DAYS[4]])  # fmt: skip
    at = store.codes.tolist().index(CODE)
    assert [day for day in range(len(DAYS)) if store.vector("paused", day)[at] == 1] == [3]
    assert store.rows == 57
    assert store.reference_table("names")["name"].tolist() == ["乙", "甲股份"]


def test_suspensions_in_one_file_are_told_once_by_the_files_of_stocks(tmp_path):
    frame = prices("tushare").iloc[:-2]  # suspended at the end
    pd.DataFrame({"ts_code": "600111.SH", "trade_date": [str(DAYS[-2]), str(DAYS[-1])], "suspend_timing": "",
                  "suspend_type": "S"}).to_csv(tmp_path / "suspend_d_2024.csv", index=False)  # fmt: skip
    store = check(tmp_path, "tushare", frame, [], strict=False)
    assert store.rows == 58


def test_the_last_close_of_a_suspended_stock_is_one_that_was_known(tmp_path):
    for number, day in enumerate(DAYS[:4]):
        rows = pd.concat([prices("tushare", code).iloc[[number]] for code in (CODE, OTHER)])
        if number == 1:
            rows["close"] = ["无", "10.1"]
        rows[slice(None) if number < 2 else rows["ts_code"] == OTHER].to_csv(tmp_path / f"daily_{day:%Y%m%d}.csv", index=False)
        caps("tushare")[2].iloc[[number]].to_csv(tmp_path / f"daily_basic_{day:%Y%m%d}.csv", index=False)
        if number > 1:
            pd.DataFrame({"ts_code": ["600111.SH"], "trade_date": [str(day)], "suspend_timing": [""],
                          "suspend_type": ["S"]}).to_csv(tmp_path / f"suspend_d_{day:%Y%m%d}.csv", index=False)  # fmt: skip
    store = make(tmp_path, tmp_path / "store", "tushare", codes=[CODE])
    assert found(store) == [("2024-01-03", CODE, "close", "'无'", "no price", "row left out")]
    assert closes(store) == {DAYS[0]: 10.1, DAYS[2]: 10.1, DAYS[3]: 10.1}
    assert store.vector("market_cap", 2).tolist() == [1.01e9]
