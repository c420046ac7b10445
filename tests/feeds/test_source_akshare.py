"""Reading from akshare: conversions by hand, the real answer where there is one, and downloads from a stand-in."""

import shutil
import sys
from datetime import date, datetime

import pandas as pd
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.sources import akshare_tables, retries
from tests.support.stand_ins import (
    DAYS,
    FORMATS,
    NO_NETWORK,
    FakeClient,
    assert_one_line,
    check_signatures,
    needs_formats,
    read_source,
    rows,
    weekdays,
)

HEADER = ["日期", "股票代码", "开盘", "收盘", "最高", "最低", "成交量", "成交额", "振幅", "涨跌幅", "涨跌额", "换手率"]
ANSWER = [  # open, CLOSE, high, low; 手; no row on the 27th, suspended
    [DAYS[0], "600111", 10.0, 10.2, 10.5, 9.9, 20000, 20400000.0, 6.0, 2.0, 0.2, 2.0],
    [DAYS[2], "600111", 9.9, 9.8, 10.0, 9.69, 11000, 10780000.0, 3.04, -3.92, -0.4, 1.1],
    [DAYS[3], "600111", 9.8, 9.9, 9.95, 9.75, 12000, 11880000.0, 2.04, 1.02, 0.1, 1.2],
]
VALUES = [[DAYS[2], 9.8, 980000000.0, 1e8], [DAYS[0], 10.2, 1071000000.0, 1.05e8]]  # the 29th lacks
BY_HAND = [
    (DAYS[0], "600111.XSHG", 10.0, 10.5, 9.9, 10.2, 2e6, 2.04e7, 1.071e9, 0, 0),
    (DAYS[2], "600111.XSHG", 9.9, 10.0, 9.69, 9.8, 1.1e6, 1.078e7, 9.8e8, 0, 0),
    (DAYS[3], "600111.XSHG", 9.8, 9.95, 9.75, 9.9, 1.2e6, 1.188e7, 9.9e8, 0, 0),
]
COLUMNS = ["date", "code", "open", "high", "low", "close", "volume", "amount", "market_cap", "is_st", "paused"]


def frame_of(answer=ANSWER):
    return pd.DataFrame(answer, columns=HEADER)


def value_of(values=VALUES):
    return pd.DataFrame(values, columns=["数据日期", "当日收盘价", "总市值", "总股本"])


def prices(symbol, start_date, end_date, **_):
    days = weekdays(datetime.strptime(start_date, "%Y%m%d").date(), datetime.strptime(end_date, "%Y%m%d").date())
    return frame_of([[day, symbol, *ANSWER[0][2:]] for day in days])


def values(symbol):
    if symbol == "000222":  # as the client does where there is no answer
        raise TypeError("'NoneType' object is not subscriptable")
    return value_of([[day, 10.2, 1.02e9, 1e8] for day in weekdays(date(2024, 1, 1), date(2024, 3, 1))])


def listed(code, name, day):
    def answer(symbol=None):
        rows_of = {"主板A股": [("600111", "甲股份", date(2010, 1, 4)), ("900901", "某B股", date(2000, 1, 4))],
                   "科创板": [("688444", "新股丁", date(2024, 3, 1))], "A股列表": [("000333", "*ST丙", "2000-01-04")],
                   None: [("920555", "北交戊", date(2023, 1, 4))]}[symbol]  # fmt: skip
        return pd.DataFrame(rows_of, columns=[code, name, day])

    return answer


def service(**other):
    answers = {
        "stock_info_sh_name_code": listed("证券代码", "证券简称", "上市日期"),
        "stock_info_sz_name_code": listed("A股代码", "A股简称", "A股上市日期"),
        "stock_info_bj_name_code": listed("证券代码", "证券简称", "上市日期"),
        "stock_info_sh_delist": lambda symbol: pd.DataFrame(
            {"公司代码": ["600666"], "公司简称": ["退市己"], "上市日期": [date(1999, 1, 4)], "暂停上市日期": [date(2020, 1, 6)]}),
        "stock_info_sz_delist": lambda symbol: pd.DataFrame(
            {"证券代码": ["000222"], "证券简称": ["退市乙"], "上市日期": [date(2000, 1, 4)], "终止上市日期": [DAYS[1]]}),
        "stock_zh_a_st_em": lambda: pd.DataFrame({"代码": ["000333"], "名称": ["*ST丙"]}),
        "stock_industry_clf_hist_sw": lambda: pd.DataFrame(
            {"symbol": ["600111", "600111"], "start_date": [date(2015, 1, 5), date(2021, 7, 30)],
             "industry_code": ["240301", "450401"], "update_time": [date(2021, 7, 31)] * 2}),
        "index_stock_cons_csindex": lambda symbol: pd.DataFrame(
            {"日期": [date(2024, 2, 29)], "指数代码": [symbol], "成分券代码": ["600111"]}),
        "index_zh_a_hist": lambda symbol, period, start_date, end_date: prices(symbol, start_date, end_date),
        "stock_zh_a_hist": prices,
        "stock_value_em": values,
        "stock_zh_a_gbjg_em": lambda symbol: pd.DataFrame({"变更日期": [date(2010, 1, 4)], "总股本": [9e7]}),
        "stock_fhps_em": lambda date: pd.DataFrame(
            [["600111", "20240228", 1.0, 2.0, "实施分配"] if date == "20231231" else
             ["000333", None, 1.0, 0.0, "董事会决议通过"]],
            columns=["代码", "除权除息日", "现金分红-现金分红比例", "送转股份-送转总比例", "方案进度"]),
    }  # fmt: skip
    return FakeClient("akshare", **(answers | other))


def asked(client, call):
    return [named["symbol"] for name, _, named in client.calls if name == call]


# ---------------------------------------------------------------------------------- conversions


def test_rows_by_hand():
    table = akshare_tables.daily_bars(frame_of(), value_of(), "600111.XSHG", "a")
    assert list(table.columns) == COLUMNS
    assert rows(table) == BY_HAND
    assert table.dtypes.astype(str).tolist() == ["datetime64[s]", "object"] + ["float64"] * 7 + ["uint8"] * 2
    assert rows(akshare_tables.daily_bars(frame_of(ANSWER[::-1]).drop(columns="股票代码"), value_of(), "600111.XSHG")) == BY_HAND


def test_no_market_cap_before_the_first_known_shares():
    table = akshare_tables.daily_bars(frame_of(), value_of(VALUES[:1]), "600111.XSHG")
    assert table["market_cap"].isna().tolist() == [True, False, False]  # the shares of a later day are not known yet
    assert akshare_tables.daily_bars(frame_of(), pd.DataFrame(), "600111.XSHG")["market_cap"].isna().all()


def test_text_as_of_a_saved_file_gives_the_same():
    table = akshare_tables.daily_bars(frame_of().astype(str), value_of().astype(str), "600111.XSHG")
    assert rows(table) == BY_HAND


def test_damaged_answers():
    frame, value = frame_of().astype(object), value_of().astype(object)
    frame.loc[2, ["收盘", "日期"]] = ["停牌", "昨天"]
    value.loc[0, "总股本"] = "无"
    table = akshare_tables.daily_bars(frame, value, "600111.XSHG", "a")
    assert rows(table)[0] == BY_HAND[0]
    assert rows(table)[1] == (*BY_HAND[1][:8], 1.029e9, 0, 0)  # the shares of the last day that is known
    assert rows(table, "date", "open", "close") == [(DAYS[0], 10.0, 10.2), (DAYS[2], 9.9, 9.8), ("昨天", 9.8, "停牌")]
    with pytest.raises(DataError) as error:
        akshare_tables.daily_bars(frame_of().drop(columns="成交量"), value_of(), "600111.XSHG", "a")
    assert_one_line(error, "expected also 成交量")


@needs_formats
def test_the_real_answer():
    frame = pd.read_csv(FORMATS / "akshare_stock_zh_a_hist_000858.csv", dtype=str)
    with pytest.raises(DataError) as error:  # its earlier days are adjusted: 6977115136 yuan / 23427800 shares = 297.81
        akshare_tables.daily_bars(frame, pd.DataFrame(), "000858.XSHE", "a file")
    assert_one_line(error, "a file (2021-01-04)", "269.61 to 277.62", "297.8", "adjusted")
    table = akshare_tables.daily_bars(frame.tail(2), value_of([["2026-05-06", 0, 0, "3881608005"]]), "000858.XSHE")
    assert rows(table) == [  # after the last ex-date
        (date(2026, 5, 6), "000858.XSHE", 90.78, 94.5, 90.1, 92.26, 87159900.0, 7989429629.23, 358117154541.3, 0, 0),
        (date(2026, 5, 7), "000858.XSHE", 92.43, 93.85, 92.43, 92.6, 53627800.0, 4986385438.04, 359436901263.0, 0, 0),
    ]


def test_lists():
    frame = pd.DataFrame({"公司代码": ["600666", "900901"], "公司简称": ["己", "B"], "上市日期": ["1999-01-04"] * 2,
                          "暂停上市日期": [date(2020, 1, 6), None]})  # fmt: skip
    table = akshare_tables.listings(frame, ("公司代码", "公司简称", "上市日期", "暂停上市日期"), "a")
    assert rows(table) == [("600666.XSHG", "己", date(1999, 1, 4), date(2020, 1, 6))]


# ---------------------------------------------------------------------------------- saved files


def test_saved_files(tmp_path):
    frame_of().to_csv(tmp_path / "akshare_stock_zh_a_hist_600111.csv", index=False, encoding="gbk")
    value_of().to_parquet(tmp_path / "stock_value_em_600111.parquet")
    frame_of().assign(股票代码="000333").to_csv(tmp_path / "stock_zh_a_hist_000333.csv", index=False)
    frame_of().drop(columns="股票代码").to_csv(tmp_path / "index_zh_a_hist_000300.csv", index=False)
    request, (other, table) = read_source("akshare", folder=tmp_path, benchmark="000300")
    assert rows(table) == BY_HAND
    assert other["market_cap"].isna().all()
    assert request.about["market_cap"].endswith("; none known of 1 stocks: 000333.XSHE")
    assert request.about["is_st"] == "not given by the source: 0 on all days"
    assert rows(request.reference_data["benchmarks"])[0] == ("000300", DAYS[0], 10.0, 10.5, 9.9, 10.2)


@needs_formats
def test_the_real_file(tmp_path):
    shutil.copy(FORMATS / "akshare_stock_zh_a_hist_000858.csv", tmp_path)
    request, tables = read_source("akshare", folder=tmp_path, skip_bad=True)
    assert tables == []
    assert "adjusted prices" in request.skipped[0]


# ------------------------------------------------------------------------------------ downloads


def test_a_whole_download(tmp_path, monkeypatch, capsys):
    client = service().install(monkeypatch)
    request, tables = read_source("akshare", cache=tmp_path, benchmark="000300")
    found = {table["code"].iloc[0]: table for table in tables}
    assert {code: len(table) for code, table in found.items()} == {
        "000222.XSHE": 2, "000333.XSHE": 4, "600111.XSHG": 4, "920555.BJSE": 4}  # fmt: skip
    assert asked(client, akshare_tables.DAILY) == ["000222", "000333", "600111", "920555"]
    assert set(found["000222.XSHE"]["market_cap"]) == {9.18e8}  # without values: 90,000,000 shares of the share history x 10.2
    assert set(found["600111.XSHG"]["market_cap"]) == {1.02e9}
    assert asked(client, akshare_tables.SHARE_HISTORY) == ["000222.SZ"]  # of no other
    assert len(request.skipped) == 1 and "akshare stock_value_em 000222.XSHE: 1 answers without rows" in request.skipped[0]
    assert found["000222.XSHE"]["delisting_period"].tolist() == [1, 1]
    assert not any(table["delisting_period"].any() for code, table in found.items() if code != "000222.XSHE")
    events = pd.concat(tables).dropna(subset=["share_ratio"])  # 1 yuan and 2 shares by 10; what is only planned is no event
    assert rows(events, "date", "code", "cash_dividend", "share_ratio") == [(date(2024, 2, 28), "600111.XSHG", 0.1, 1.2)]
    assert not any(table["is_st"].any() for table in tables)  # today's list says nothing of earlier days
    assert request.about["is_st"].startswith("the source has no history: the list of 2024-03-01")
    assert request.about["market_cap"] == (
        "total shares of the day, else of the last known one, x close; not known before the first known one")
    assert "dividends" in request.about["preclose"]
    assert request.about["dividends"] == "explicit, by ex-date"
    assert "last name has 退" in request.about["delisting_period"]
    reference_data = request.reference_data
    assert ("600666.XSHG", date(1999, 1, 4), date(2020, 1, 6)) in rows(reference_data["listings"])
    assert ("000333.XSHE", date(2024, 3, 1), "*ST丙") in rows(reference_data["names"])
    assert rows(reference_data["industries"]) == [
        ("600111.XSHG", date(2015, 1, 5), "240301"), ("600111.XSHG", date(2021, 7, 30), "450401")]  # fmt: skip
    assert rows(reference_data["constituents"]) == [("000300", date(2024, 2, 29), "600111.XSHG")]
    assert len(reference_data["benchmarks"]) == 4
    assert capsys.readouterr() == ("", "")


def test_st_is_marked_on_the_day_of_the_list(tmp_path, monkeypatch):
    service().install(monkeypatch, now=datetime(2024, 3, 1, 17))
    _, tables = read_source("akshare", end=date(2024, 3, 1), codes=["000333.XSHE"])
    assert rows(pd.concat(tables), "date", "is_st")[-2:] == [(DAYS[3], 0), (date(2024, 3, 1), 1)]


def test_calls_have_the_real_signatures(tmp_path, monkeypatch):
    real = pytest.importorskip("akshare", reason="needs the package akshare")
    client = service().install(monkeypatch)
    read_source("akshare", cache=tmp_path, benchmark="000300")
    check_signatures(client, real)


def test_nothing_is_downloaded_twice(tmp_path, monkeypatch):
    def answer(symbol):
        if symbol == "000333" and troubles:
            raise troubles.pop()
        return values(symbol)

    def calls_of_stocks():
        wanted = (akshare_tables.DAILY, akshare_tables.MARKET_VALUE, akshare_tables.SHARE_HISTORY)
        return [(name, named["symbol"]) for name, _, named in client.calls if name in wanted]

    troubles = [NO_NETWORK] * 5
    client = service(stock_value_em=answer).install(monkeypatch)
    with pytest.raises(DataError) as error:
        read_source("akshare", cache=tmp_path)
    assert_one_line(error, "akshare stock_value_em 000333.XSHE: no answer in 5 attempts", "no network", "from another network")
    assert asked(client, akshare_tables.DAILY) == ["000222", "000333"]
    client.calls.clear()
    _, first = read_source("akshare", cache=tmp_path)
    daily, value = akshare_tables.DAILY, akshare_tables.MARKET_VALUE
    assert calls_of_stocks() == [(value, "000222"), (value, "000333"), (daily, "600111"), (value, "600111"),
                                 (daily, "920555"), (value, "920555")]  # fmt: skip
    client.calls.clear()
    _, second = read_source("akshare", cache=tmp_path)
    assert calls_of_stocks() == [(value, "000222")]  # nothing is no answer, so it is asked for again
    assert set(client.call_names()) == {value, akshare_tables.DIVIDENDS}  # of late reports more may have been paid since
    assert all(one.equals(other) for one, other in zip(first, second, strict=True))


def test_nothing_for_a_live_stock_is_asked_again_and_never_kept(tmp_path, monkeypatch):
    waits = []
    client = service(stock_zh_a_hist=lambda **_: pd.DataFrame())
    client.install(monkeypatch, waits)
    for _ in range(2):
        client.calls.clear()
        with pytest.raises(retries.UnansweredError) as error:
            read_source("akshare", cache=tmp_path, codes=["600111.XSHG"])
        assert_one_line(error, "akshare stock_zh_a_hist 600111.XSHG: 5 answers without rows", "nothing of them is kept",
                        "start again after some hours or from another network")
        assert asked(client, akshare_tables.DAILY) == ["600111"] * 10  # the days asked for, and those before them
    assert [wait for wait in waits if wait >= 60] == [60.0, 120.0, 240.0, 480.0] * 2
    client.answers["stock_zh_a_hist"] = prices
    _, (table,) = read_source("akshare", cache=tmp_path, codes=["600111.XSHG"])
    assert len(table) == 4


def test_text_where_a_number_is_expected(tmp_path, monkeypatch):
    service(stock_zh_a_hist=lambda **_: frame_of().astype(object).replace(10.2, "系统繁忙")).install(monkeypatch)
    with pytest.raises(DataError) as error:
        read_source("akshare", codes=["600111.XSHG"])
    assert_one_line(error, "akshare stock_zh_a_hist 600111.XSHG, row 0", "column close: found '系统繁忙'")


def test_no_network_and_what_is_optional(monkeypatch):
    client = service().install(monkeypatch)
    client.errors = [NO_NETWORK] * 99
    with pytest.raises(DataError) as error:
        read_source("akshare")
    assert_one_line(error, "akshare stock_info_sh_name_code 主板A股: no answer in 2 attempts", "no network", "give --codes")

    def broken(*_, **__):
        raise KeyError("symbol")  # a page has changed

    names = ("stock_zh_a_st_em", "stock_industry_clf_hist_sw", "index_stock_cons_csindex")
    service(**dict.fromkeys(names, broken)).install(monkeypatch)
    request, tables = read_source("akshare", codes=["600111.XSHG"], benchmark="000300")
    assert len(tables) == 1
    for what in ("is_st", "industries", "constituents"):
        assert request.about[what].startswith("not known, as not read: akshare"), request.about


def test_an_index_without_rows_is_said(monkeypatch):
    service(index_zh_a_hist=lambda **_: pd.DataFrame()).install(monkeypatch)
    with pytest.raises(DataError) as error:
        read_source("akshare", benchmark="000999")
    assert_one_line(error, "found no rows of this index", "--benchmark")


def test_the_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "akshare", None)
    with pytest.raises(DataError) as error:
        read_source("akshare")
    assert_one_line(error, 'pip install "bt-microcap[akshare]"')
