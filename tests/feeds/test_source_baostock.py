"""Reading from baostock: conversions by hand, the real answer where there is one, and downloads from a stand-in."""

import shutil
import socket
import threading
from datetime import date

import pandas as pd
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.sources import Request, baostock_finish, baostock_tables, clock, retries
from bt_microcap.feeds.sources.answers import Asked
from tests.support.stand_ins import (
    DAYS,
    FORMATS,
    NO_NETWORK,
    FakeClient,
    PagedResult,
    assert_one_line,
    check_signatures,
    needs_formats,
    read_source,
    rows,
    weekdays,
)

FIELDS = baostock_tables.FIELDS.split(",")
ANSWER = [  # as it is recorded: all text, nothing in turn and volume on a suspended day
    ["2024-02-26", "sh.600111", "10.0000", "10.5000", "9.9000", "10.2000", "10.0000", "2000000", "20400000.0000", "3",
     "2.000000", "1", "0"],
    ["2024-02-27", "sh.600111", "10.2000", "10.2000", "10.2000", "10.2000", "10.2000", "", "", "3", "", "0", "0"],
    ["2024-02-28", "sh.600111", "9.9000", "10.0000", "9.6900", "9.8000", "10.2000", "1100000", "10780000.0000", "3",
     "1.100000", "1", "1"],
    ["2024-02-29", "sh.600111", "", "", "", "", "9.8000", "0", "0.0000", "3", "", "0", "1"],
]  # fmt: skip
BY_HAND = [  # 2,000,000 / 2 % = 1,100,000 / 1.1 % = 100,000,000 shares
    (DAYS[0], "600111.XSHG", 10.0, 10.5, 9.9, 10.2, 10.0, 2e6, 2.04e7, pytest.approx(1.02e9), 0, 0),
    (DAYS[1], "600111.XSHG", 10.2, 10.2, 10.2, 10.2, 10.2, 0.0, 0.0, pytest.approx(1.02e9), 0, 1),
    (DAYS[2], "600111.XSHG", 9.9, 10.0, 9.69, 9.8, 10.2, 1.1e6, 1.078e7, pytest.approx(9.8e8), 1, 0),
    (DAYS[3], "600111.XSHG", 9.8, 9.8, 9.8, 9.8, 9.8, 0.0, 0.0, pytest.approx(9.8e8), 1, 1),
]
COLUMNS = ["date", "code", "open", "high", "low", "close", "preclose", "volume", "amount", "market_cap", "is_st", "paused"]
FURTHER = ["cash_dividend", "share_ratio", "circ_market_cap"]
BASIC = [  # code, code_name, ipoDate, outDate, type, status
    ["sh.600111", "甲股份", "2010-01-04", "", "1", "1"],
    ["sz.000222", "退市乙", "2000-01-04", "2024-02-27", "1", "0"],
    ["sz.000333", "退市丙", "2000-01-04", "2023-12-29", "1", "0"],
    ["sh.600444", "新股丁", "2024-03-01", "", "1", "1"],
    ["sh.000300", "沪深300", "2005-04-08", "", "2", "1"],
]


def frame_of(answer=ANSWER):
    return pd.DataFrame(answer, columns=FIELDS, dtype=object)


def finished(frame, source="baostock"):
    return baostock_finish.Finish(Request(), date(2000, 1, 1), None, None)(baostock_tables.daily_bars(frame, source))


def by_hand(table):
    return rows(table, *COLUMNS)


def answered(code, fields, start_date, end_date, frequency, adjustflag):
    assert (frequency, adjustflag) == ("d", "3")
    names = fields.split(",")
    found = []
    for day in weekdays(date.fromisoformat(start_date), date.fromisoformat(end_date)):
        row = dict(zip(FIELDS, ANSWER[0], strict=True)) | {"date": str(day), "code": code, "preclose": "10.2000"}
        found.append([row[name] for name in names])
    return PagedResult(names, found, page=2)


def service(**other):
    answers = {
        "login": lambda: PagedResult([], []),
        "logout": lambda: PagedResult([], []),
        "query_stock_basic": lambda: PagedResult(["code", "code_name", "ipoDate", "outDate", "type", "status"], BASIC, page=2),
        "query_stock_industry": lambda date: PagedResult(
            ["updateDate", "code", "code_name", "industry", "industryClassification"],
            [[date, "sh.600111", "甲股份", "C36汽车制造业", "证监会行业分类"]]),
        "query_hs300_stocks": lambda date: PagedResult(["updateDate", "code", "code_name"], [[date, "sh.600111", "甲股份"]]),
        "query_history_k_data_plus": answered,
        "query_trade_dates": lambda start_date, end_date: PagedResult(["calendar_date", "is_trading_day"], [
            [str(day), "1"] for day in weekdays(date.fromisoformat(start_date), date.fromisoformat(end_date))]),
        "query_dividend_data": lambda code, year, yearType: PagedResult([], []),
    }  # fmt: skip
    return FakeClient("baostock", **(answers | other))


def prices(client):
    return [arguments[0] for name, arguments, _ in client.calls if name == baostock_tables.DAILY]


# ---------------------------------------------------------------------------------- conversions


def test_rows_by_hand():
    table = finished(frame_of(), "a")
    assert sorted(table.columns) == sorted(COLUMNS + FURTHER)
    assert by_hand(table) == BY_HAND
    assert table["circ_market_cap"].tolist() == table["market_cap"].tolist()
    assert table[COLUMNS].dtypes.astype(str).tolist() == ["datetime64[s]", "object"] + ["float64"] * 8 + ["uint8"] * 2
    assert by_hand(finished(frame_of(ANSWER[::-1]))) == BY_HAND  # in whatever order


def test_day_by_day_gives_the_same():
    finish = baostock_finish.Finish(Request(), date(2000, 1, 1), None, None)
    tables = [finish(baostock_tables.daily_bars(frame_of([row]))) for row in ANSWER]
    assert by_hand(pd.concat(tables)) == BY_HAND


def test_days_before_the_first_trade_have_no_market_cap():
    table = finished(frame_of(ANSWER[1:3]))
    assert table["market_cap"].isna().tolist() == [True, False]


def test_an_empty_answer_is_a_table_without_rows():
    for frame in (pd.DataFrame(), frame_of([])):
        assert not len(baostock_tables.daily_bars(frame))


def test_damaged_answers():
    frame = frame_of()
    frame.loc[1, "adjustflag"] = "2"
    with pytest.raises(DataError) as error:
        baostock_tables.daily_bars(frame, "a")
    assert_one_line(error, "a, column adjustflag: found '2', adjusted prices", "expected 3")
    asked = Asked(Request(start=DAYS[2]))
    assert len(baostock_tables.daily_bars(frame, "a", asked)) == 4  # of a day that is not asked for
    with pytest.raises(DataError) as error:
        baostock_tables.daily_bars(frame_of().drop(columns="turn"), "a")
    assert_one_line(error, "expected also turn")


def test_a_row_that_cannot_be_read_is_handed_on():
    frame = frame_of()
    frame.loc[2, ["close", "tradestatus", "turn"]] = ["无", "未知", "无"]
    found = by_hand(finished(frame, "a"))
    assert found[:2] == BY_HAND[:2]
    assert found[2][3:6] == (10.0, 9.69, "无") and found[2][11] == "tradestatus 未知"
    assert found[3][:10] == (DAYS[3], "600111.XSHG", 9.8, 9.8, 9.8, 9.8, 9.8, 0.0, 0.0, pytest.approx(9.8e8))


@needs_formats
def test_the_real_answer():
    frame = pd.read_csv(FORMATS / "baostock_full_fields_sh.600436.csv", dtype=str)
    table = finished(frame)
    assert len(table) == 1273
    code = "600436.XSHG"
    shares = [4624017 / 0.007664, 1355028 / 0.002246, 6053726 / 0.010034]
    assert by_hand(table.iloc[[0, -2, -1]]) == [
        (date(2020, 1, 2), code, 109.99, 110.61, 108.63, 109.22, 109.87, 4624017.0, 506134415.0,
         pytest.approx(shares[0] * 109.22), 0, 0),
        (date(2025, 4, 3), code, 202.5, 203.99, 202.0, 202.72, 203.15, 1355028.0, 274995958.16,
         pytest.approx(shares[1] * 202.72, rel=1e-3), 0, 0),
        (date(2025, 4, 7), code, 198.0, 201.77, 193.16, 199.51, 202.72, 6053726.0, 1194877354.35,
         pytest.approx(shares[2] * 199.51), 0, 0),
    ]  # fmt: skip
    ex_date = table[table["date"] == "2024-06-07"].iloc[0]
    assert (ex_date["preclose"], table["close"][ex_date.name - 1]) == (228.67, 230.99)  # ex-rights


# ---------------------------------------------------------------------------------- saved files


def test_saved_files(tmp_path):
    frame_of().to_csv(tmp_path / "query_history_k_data_plus_sh.600111.csv", index=False)
    frame_of([[*row[:9], "2", *row[10:]] for row in ANSWER]).to_csv(tmp_path / "baostock_sz.000222_adjustflag2.csv", index=False)
    pd.DataFrame(BASIC, columns=["code", "code_name", "ipoDate", "outDate", "type", "status"]).to_csv(
        tmp_path / "query_stock_basic_all.csv", index=False)
    index = frame_of().assign(code="sh.000300")[baostock_tables.INDEX_FIELDS.split(",")]
    index[["open", "high", "low", "close"]] = "3500.5"
    index.to_parquet(tmp_path / "query_history_k_data_plus_sh.000300.parquet")
    with pytest.raises(DataError) as error:
        read_source("baostock", folder=tmp_path)
    assert_one_line(error, "baostock_sz.000222_adjustflag2.csv, column adjustflag")
    request, (table,) = read_source("baostock", folder=tmp_path, skip_bad=True, benchmark="000300")
    assert by_hand(table) == BY_HAND
    assert table.attrs["source"] == str(tmp_path / "query_history_k_data_plus_sh.600111.csv")
    assert len(request.skipped) == 1
    assert request.about["market_cap"].startswith("unfit for ranking by market cap: float shares x close, estimated")
    assert rows(request.reference_data["benchmarks"])[0] == ("000300", DAYS[0], 3500.5, 3500.5, 3500.5, 3500.5)
    assert len(request.reference_data["listings"]) == 4


@needs_formats
def test_the_real_files(tmp_path):
    for name in ("baostock_full_fields_sh.600436.csv", "baostock_sz.002021_adjustflag2.csv"):
        shutil.copy(FORMATS / name, tmp_path / name)
    request, (table,) = read_source("baostock", folder=tmp_path, skip_bad=True, start=date(2020, 1, 3), end=date(2020, 1, 6))
    assert rows(table, "date", "close") == [(date(2020, 1, 3), 109.0), (date(2020, 1, 6), 108.64)]
    assert "002021" in request.skipped[0]


# ------------------------------------------------------------------------------------ downloads


def test_a_whole_download(tmp_path, monkeypatch, capsys):
    client = service().install(monkeypatch)
    told = []
    request, tables = read_source("baostock", cache=tmp_path, benchmark="000300", progress=lambda *done: told.append(done))
    found = {table["code"].iloc[0]: [day for day, in rows(table, "date")] for table in tables}
    assert found == {"000222.XSHE": DAYS[:2], "600111.XSHG": DAYS}  # the delisted one to its end
    assert prices(client) == ["sh.000300", "sz.000222", "sh.600111"]
    assert told == [(1, 2), (2, 2)]
    assert client.call_names()[0] == "login"
    assert client.call_names()[-1] == "logout"
    reference_data = request.reference_data
    assert rows(reference_data["listings"])[:2] == [("000222.XSHE", date(2000, 1, 4), date(2024, 2, 27)),
                                                    ("000333.XSHE", date(2000, 1, 4), date(2023, 12, 29))]  # fmt: skip
    assert reference_data["listings"]["delisted"].isna().tolist() == [False, False, True, True]
    assert ("600111.XSHG", date(2024, 3, 1), "甲股份") in rows(reference_data["names"])
    assert rows(reference_data["industries"]) == [("600111.XSHG", DAYS[0], "C36汽车制造业")]
    assert rows(reference_data["constituents"]) == [("000300", DAYS[0], "600111.XSHG")]
    assert rows(reference_data["benchmarks"], "index", "date", "close")[0] == ("000300", DAYS[0], 10.2)
    assert capsys.readouterr() == ("", "")


def test_calls_have_the_real_signatures(tmp_path, monkeypatch):
    real = pytest.importorskip("baostock", reason="needs the package baostock")
    client = service().install(monkeypatch)
    read_source("baostock", cache=tmp_path, benchmark="000300")
    check_signatures(client, real)


def test_nothing_is_downloaded_twice(tmp_path, monkeypatch):
    def answer(code, *rest, **named):
        if code == "sh.600111" and troubles:
            raise troubles.pop()
        return answered(code, *rest, **named)

    troubles = [NO_NETWORK] * 5
    client = service(query_history_k_data_plus=answer).install(monkeypatch)
    with pytest.raises(DataError) as error:
        read_source("baostock", cache=tmp_path)
    assert_one_line(error, "baostock query_history_k_data_plus 600111.XSHG: no answer", "no network")
    assert prices(client) == ["sz.000222"] + ["sh.600111"] * 5
    client.calls.clear()
    _, first = read_source("baostock", cache=tmp_path)
    assert client.call_names() == ["login", "query_history_k_data_plus", "logout"]
    assert prices(client) == ["sh.600111"]
    client.calls.clear()
    _, second = read_source("baostock", cache=tmp_path)
    assert client.calls == []
    assert all(one.equals(other) for one, other in zip(first, second, strict=True))
    read_source("baostock", cache=tmp_path, start=date(2024, 2, 22))
    spans = [(named["start_date"], named["end_date"]) for name, _, named in client.calls if name == baostock_tables.DAILY]
    assert spans == [("2024-02-22", "2024-02-25")] * 2


def test_a_stock_whose_listing_day_cannot_be_read_is_asked_for(monkeypatch):
    names = ["code", "code_name", "ipoDate", "outDate", "type", "status"]
    rows_of = [[*BASIC[0][:2], "昨天", *BASIC[0][3:]], BASIC[1]]
    client = service(query_stock_basic=lambda: PagedResult(names, rows_of)).install(monkeypatch)
    request, tables = read_source("baostock")
    assert prices(client) == ["sz.000222", "sh.600111"]
    assert request.reference_data["listings"]["listed"].isna().tolist() == [False, True]


def test_nothing_for_a_live_stock_is_asked_again_and_never_kept(tmp_path, monkeypatch):
    waits = []
    client = service(query_history_k_data_plus=lambda code, fields, **_: PagedResult(fields.split(","), []))
    client.install(monkeypatch, waits)
    for _ in range(2):
        client.calls.clear()
        with pytest.raises(retries.UnansweredError) as error:
            read_source("baostock", cache=tmp_path, codes=["600111.XSHG"])
        assert_one_line(error, "baostock query_history_k_data_plus 600111.XSHG: 5 answers without rows, where there must be some",
                        "start again later", "nothing of them is kept")
        assert prices(client) == ["sh.600111"] * 10  # each time for the days asked for, and for those before them
        spans = [(named["start_date"], named["end_date"]) for name, _, named in client.calls if name == baostock_tables.DAILY]
        assert spans == [("2024-02-26", "2024-02-29"), ("1990-12-19", "2024-02-29")] * 5
    assert [wait for wait in waits if wait >= 2] == [2.0, 4.0, 8.0, 16.0] * 2
    request, tables = read_source("baostock", cache=tmp_path, codes=["600111.XSHG"], skip_bad=True)
    assert tables == []
    assert len(request.skipped) == 1 and "600111.XSHG: 5 answers without rows" in request.skipped[0]
    client.answers["query_history_k_data_plus"] = answered
    _, (table,) = read_source("baostock", cache=tmp_path, codes=["600111.XSHG"])
    assert len(table) == 4


def test_nothing_for_a_stock_that_ended_is_said_and_not_kept(tmp_path, monkeypatch):
    def answer(code, fields, **named):
        return PagedResult(fields.split(","), []) if code == "sz.000222" else answered(code, fields, **named)

    client = service(query_history_k_data_plus=answer).install(monkeypatch)
    request, (table,) = read_source("baostock", cache=tmp_path)
    assert set(table["code"]) == {"600111.XSHG"}
    assert len(request.skipped) == 1 and "000222.XSHE: 2 answers without rows" in request.skipped[0]
    client.answers["query_history_k_data_plus"] = answered
    request, tables = read_source("baostock", cache=tmp_path)
    assert sorted(table["code"].iloc[0] for table in tables) == ["000222.XSHE", "600111.XSHG"]
    assert request.skipped == []


def test_a_lost_session_and_a_lost_page_are_asked_for_again(tmp_path, monkeypatch):
    answers = [
        lambda code, fields, **_: PagedResult([], [], error=("10001001", "you don't login.")),
        lambda code, fields, **_: PagedResult(fields.split(","), ANSWER, page=2, lost_page=True),
        lambda code, fields, **_: PagedResult([], [], error=("10002007", "网络接收错误。")),
        lambda code, fields, **_: PagedResult(fields.split(","), ANSWER, page=2),
    ]
    client = service(query_history_k_data_plus=lambda *a, **k: answers.pop(0)(*a, **k)).install(monkeypatch)
    _, (table,) = read_source("baostock", cache=tmp_path, codes=["600111.XSHG"])
    assert by_hand(table) == BY_HAND
    assert client.call_names().count("login") == 4


def test_no_network_and_a_refusal(monkeypatch):
    waits = []
    client = service(login=lambda: PagedResult([], [], error=("10002007", "网络接收错误。"))).install(monkeypatch, waits)
    with pytest.raises(DataError) as error:
        read_source("baostock")
    assert_one_line(error, "baostock query_stock_basic: no answer in 5 attempts", "网络接收错误", "no network")
    assert client.call_names() == ["login"] * 5
    assert [wait for wait in waits if wait] == [2.0, 4.0, 8.0, 16.0]
    client = service(login=lambda: PagedResult([], [], error=("10001011", "黑名单用户"))).install(monkeypatch)
    with pytest.raises(retries.RefusedError) as error:
        read_source("baostock")
    assert_one_line(error, "the source refuses: 10001011 黑名单用户")
    assert client.call_names() == ["login"]


def test_an_index_without_rows_is_said(monkeypatch):
    service(query_history_k_data_plus=lambda code, fields, **_: PagedResult(fields.split(","), [])).install(monkeypatch)
    with pytest.raises(DataError) as error:
        read_source("baostock", benchmark="000999")
    assert_one_line(error, "found no rows of this index", "--benchmark")


def test_the_real_client_does_not_wait_for_ever_when_the_connection_is_closed(monkeypatch):
    real = pytest.importorskip("baostock", reason="needs the package baostock")
    from baostock.common import contants

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connection.recv(8192)
            body = "0\1success\1login\1anonymous<![CDATA[]]>\n"
            connection.sendall(f"00.9.40\1{'01'}\1{len(body):010d}{body}".encode())
            connection.recv(8192)
            connection.close()  # in the middle of the next answer

    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(contants, "BAOSTOCK_SERVER_IP", "127.0.0.1")
        monkeypatch.setattr(contants, "BAOSTOCK_SERVER_PORT", server.getsockname()[1])
        monkeypatch.setattr(clock, "sleep", lambda seconds: None)
        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(DataError) as error:
            read_source("baostock")
        server.shutdown(socket.SHUT_RDWR)
    assert_one_line(error, "no answer in 5 attempts", "10002007")
    assert real.login is not None
