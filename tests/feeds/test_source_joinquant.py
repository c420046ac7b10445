"""Reading from jqdatasdk: conversions by hand, the real answer where there is one, and downloads from a stand-in."""

import shutil
from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.sources import clock, joinquant, joinquant_tables, retries
from tests.support.stand_ins import (
    DAYS,
    FORMATS,
    NO_NETWORK,
    FakeClient,
    FakeDatabase,
    FakeQuery,
    assert_one_line,
    check_signatures,
    needs_formats,
    read_source,
    rows,
    weekdays,
)

HEADER = ["time", "code", *joinquant_tables.FIELDS]  # open, CLOSE, high, low
NOTHING = [np.nan] * len(joinquant_tables.FIELDS)
PRICES = [
    ["2024-02-26", "600111.XSHG", 10.0, 10.2, 10.5, 9.9, 2000000.0, 20400000.0, 11.0, 9.0, 10.0, 0.0],
    ["2024-02-27", "600111.XSHG", 10.2, 10.2, 10.2, 10.2, 0.0, 0.0, 10.2, 10.2, 10.2, 1.0],  # suspended
    ["2024-02-28", "600111.XSHG", 5.0, 4.9, 5.05, 4.85, 1100000.0, 5445000.0, 5.61, 4.59, 10.2, 0.0],  # an ex-date
    ["2024-02-29", "600111.XSHG", *NOTHING],  # delisted
]
VALUES = [["600111.XSHG", "2024-02-26", 10000.0, 10.2], ["600111.XSHG", "2024-02-28", 20000.0, 9.8]]
HAND = [  # ... preclose, limits, market cap (10.2 亿), ST
    (DAYS[0], "600111.XSHG", 10.0, 10.2, 10.5, 9.9, 2e6, 2.04e7, 11.0, 9.0, 10.0, 0, 1.02e9, 0),
    (DAYS[1], "600111.XSHG", 10.2, 10.2, 10.2, 10.2, 0.0, 0.0, 10.2, 10.2, 10.2, 1, 1.02e9, 1),
    (DAYS[2], "600111.XSHG", 5.0, 4.9, 5.05, 4.85, 1.1e6, 5.445e6, 5.61, 4.59, 5.1, 0, 9.8e8, 0),
]
COLUMNS = ["date", "code", "open", "close", "high", "low", "volume", "amount", "high_limit", "low_limit", "preclose", "paused",
           "market_cap", "is_st"]  # fmt: skip
SECURITIES = {  # display_name, name, start_date, end_date, type
    "600111.XSHG": ("甲股份", "JGF", date(2010, 1, 4), date(2200, 1, 1), "stock"),
    "000222.XSHE": ("退市乙", "TSY", date(2000, 1, 4), date(2024, 2, 27), "stock"),
    "000333.XSHE": ("退市丙", "TSB", date(2000, 1, 4), date(2020, 2, 27), "stock"),
}
NAMES = [  # id, code, new_name, start_date; the delisting period of 乙 begins on the second day
    [1, "000222.XSHE", "乙股份", date(2000, 1, 4)],
    [2, "900901.XSHG", "退市Ｂ股", date(2000, 1, 4)],
    [5, "000222.XSHE", "退市乙", date(2024, 2, 27)],
    [9, "600111.XSHG", "甲股份", date(2010, 1, 4)],
]


def names_of(values=NAMES):
    return pd.DataFrame(values, columns=["id", "code", "new_name", "start_date"]).assign(company_id=1, reason=None)


def prices_of(values=PRICES):
    return pd.DataFrame(values, columns=HEADER)


def values_of(values=VALUES):
    return pd.DataFrame(values, columns=["code", "day", "capitalization", "market_cap"])


def special_of():
    frame = pd.DataFrame({"600111.XSHG": [False, True, False]}, index=pd.to_datetime(DAYS[:3]))
    return frame.rename_axis("date").reset_index()


def get_price(security, start_date, end_date, frequency, fields, skip_paused, fq, panel):
    assert (frequency, skip_paused, fq, panel) == ("daily", False, None, False)
    row = dict(zip(HEADER, PRICES[0], strict=True))
    found = [[pd.Timestamp(day), code, *(row[name] for name in fields)] for code in security
             for day in weekdays(date.fromisoformat(start_date), date.fromisoformat(end_date))]  # fmt: skip
    return pd.DataFrame(found, columns=["time", "code", *fields])


def get_valuation(security_list, start_date, end_date, fields):
    days = weekdays(date.fromisoformat(start_date), date.fromisoformat(end_date))
    return values_of([[code, str(day), 10000.0, 10.2] for code in security_list for day in days])


def get_extras(info, security_list, start_date, end_date, df):
    assert (info, df) == ("is_st", True)
    days = pd.to_datetime(weekdays(date.fromisoformat(start_date), date.fromisoformat(end_date)))
    return pd.DataFrame({code: code == "000222.XSHE" for code in security_list}, index=days)


def get_all_securities(types, date):
    assert (types, date) == (["stock"], None)
    return pd.DataFrame.from_dict(SECURITIES, orient="index", columns=["display_name", "name", "start_date", "end_date", "type"])


@pytest.fixture
def service(monkeypatch):
    def make(waits=None, names=NAMES, **other):
        monkeypatch.setenv("JQDATA_USER", "13800000000")
        monkeypatch.setenv("JQDATA_PASSWORD", "word")
        answers = {
            "auth": lambda username, password: None, "get_price": get_price, "get_valuation": get_valuation,
            "get_extras": get_extras, "get_all_securities": get_all_securities,
            "get_industry": lambda security, date: {
                code: {"sw_l1": {"industry_code": "801880", "industry_name": "汽车I"}} if code == "600111.XSHG" else {}
                for code in security},
            "get_trade_days": lambda start_date, end_date: weekdays(date.fromisoformat(start_date), date.fromisoformat(end_date)),
            "get_index_stocks": lambda index_symbol, date: ["600111.XSHG"],
        }  # fmt: skip
        client = FakeClient("jqdatasdk", **(answers | other)).install(monkeypatch, waits)
        client.query = FakeQuery
        client.finance = FakeDatabase(client, "finance", **({} if names is None else {"STK_NAME_HISTORY": names_of(names)}))
        return client

    return make


# ---------------------------------------------------------------------------------- conversions


def test_rows_by_hand():
    table = joinquant_tables.daily_bars(prices_of(), values_of(), special_of(), "a")
    assert rows(table, *COLUMNS) == HAND
    assert list(table.columns) == COLUMNS
    assert table["date"].dtype == "datetime64[s]"
    assert {table[name].dtype for name in ("is_st", "paused")} == {np.dtype("uint8")}


def test_without_capitalization_and_without_anything():
    table = joinquant_tables.daily_bars(prices_of(), values_of().drop(columns="capitalization"), pd.DataFrame(), "a")
    assert table["market_cap"].tolist() == [1.02e9, 1.02e9, 9.8e8]
    assert not table["is_st"].any()
    table = joinquant_tables.daily_bars(prices_of(), pd.DataFrame(), pd.DataFrame(), "a")
    assert table["market_cap"].isna().all()
    assert not len(joinquant_tables.daily_bars(pd.DataFrame(), pd.DataFrame(), pd.DataFrame()))


def test_text_as_of_a_saved_file_gives_the_same():
    texts = [frame.astype(object).apply(lambda column: column.map(str)) for frame in (prices_of(), values_of(), special_of())]
    assert rows(joinquant_tables.daily_bars(*texts), *COLUMNS) == HAND


def test_a_stock_alone_has_its_days_in_the_index():
    frame = prices_of().drop(columns="code").rename(columns={"time": "Unnamed: 0"})
    assert rows(joinquant_tables.daily_bars(frame, values_of(), special_of(), "a", "600111.XSHG"), *COLUMNS) == HAND


def test_the_delisting_period_is_in_the_name_of_the_day():
    names = joinquant_tables.name_changes(names_of([
        [3, "600111.XSHG", "退市甲", "2024-02-28"],
        [1, "600111.XSHG", "甲股份", "2010-01-04"],
        [2, "600111.XSHG", "甲股", "2024-02-28"],  # entered before the other name of that day
        [4, "000222.XSHE", "退市乙", "2010-01-04"],
        [5, "600111.XSHG", None, "2024-02-29"],
    ]))  # fmt: skip
    assert rows(names) == [("000222.XSHE", date(2010, 1, 4), "退市乙"), ("600111.XSHG", date(2010, 1, 4), "甲股份"),
                           ("600111.XSHG", DAYS[2], "退市甲")]  # fmt: skip
    table = joinquant_tables.daily_bars(prices_of(), values_of(), special_of(), "a", names=names)
    assert table["delisting_period"].tolist() == [0, 0, 1]
    assert table["delisting_period"].dtype == "uint8"
    assert rows(table, *COLUMNS) == HAND
    early = names[names["date"] == DAYS[2].isoformat()]  # no name before it
    table = joinquant_tables.daily_bars(prices_of(), values_of(), special_of(), "a", names=early)
    assert table["delisting_period"].tolist() == [0, 0, 1]


def test_damaged_answers():
    frame = prices_of().astype(object)
    frame.loc[1, "close"] = "停牌"
    assert joinquant_tables.daily_bars(frame, values_of(), special_of(), "a")["close"].tolist() == [10.2, "停牌", 4.9]
    with pytest.raises(DataError) as error:
        joinquant_tables.daily_bars(prices_of().assign(factor=0.5), values_of(), special_of(), "a")
    assert_one_line(error, "a, column factor: found 0.5, adjusted prices", "fq=None")
    with pytest.raises(DataError) as error:
        joinquant_tables.daily_bars(prices_of(), values_of().drop(columns="market_cap"), special_of(), "a")
    assert_one_line(error, "expected also market_cap")
    with pytest.raises(DataError) as error:
        joinquant_tables.name_changes(names_of().drop(columns="start_date"))
    assert_one_line(error, "joinquant STK_NAME_HISTORY: found id, code, new_name", "expected also start_date")


@needs_formats
def test_the_real_answer():
    frame = pd.read_csv(FORMATS / "joinquant_get_price_000001.XSHE.csv", dtype=str)
    with pytest.raises(DataError) as error:
        joinquant_tables.daily_bars(frame, pd.DataFrame(), pd.DataFrame(), "a file", "000001.XSHE")
    assert_one_line(error, "a file, column factor: found 0.214624, adjusted prices")
    # its text as it stands, as if it were raw: a suspended day, and the last ones
    value = values_of([["000001.XSHE", "2022-12-29", 1940591.8198, 2468.4327],
                       ["000001.XSHE", "2005-01-10", 194582.2149, 27.4361]])  # fmt: skip
    table = joinquant_tables.daily_bars(frame.drop(columns="factor"), value, pd.DataFrame(), "a", "000001.XSHE")
    assert len(table) == 4374
    code = "000001.XSHE"
    assert rows(table.iloc[[5, -2, -1]], *COLUMNS) == [
        (date(2005, 1, 11), code, 1.41, 1.41, 1.41, 1.41, 0.0, 0.0, 1.41, 1.41, 1.41, 1, 2743609230.09, 0),
        (date(2022, 12, 29), code, 12.76, 12.72, 12.82, 12.54, 68314154.0, 865144967.0, 14.11, 11.55, 12.83, 0,
         246843270000.0, 0),
        (date(2022, 12, 30), code, 12.73, 12.85, 12.96, 12.65, 83797071.0, 1074756754.0, 13.99, 11.45, 12.72, 0,
         pytest.approx(19405918198 * 12.85), 0),
    ]  # fmt: skip


# ---------------------------------------------------------------------------------- saved files


def test_saved_files(tmp_path):
    prices_of().drop(columns="code").set_index("time").rename_axis(None).to_csv(tmp_path / "joinquant_get_price_600111.XSHG.csv")
    prices_of().assign(code="000222.XSHE").to_parquet(tmp_path / "get_price_list1.parquet")
    values_of().to_csv(tmp_path / "get_valuation_2024.csv")
    special_of().set_index("date").rename_axis(None).to_csv(tmp_path / "get_extras_is_st_2024.csv")
    index = prices_of(PRICES[:1]).drop(columns="code")
    index.to_csv(tmp_path / "get_price_000300.XSHG.csv", index=False)
    get_all_securities(["stock"], None).to_csv(tmp_path / "get_all_securities_all.csv")
    request, (table, other) = read_source("joinquant", folder=tmp_path, benchmark="000300")
    assert rows(table, *COLUMNS) == HAND
    assert set(other["code"]) == {"000222.XSHE"}
    assert rows(request.reference_data["benchmarks"]) == [("000300", DAYS[0], 10.0, 10.5, 9.9, 10.2)]
    assert len(request.reference_data["listings"]) == 3
    assert "delisting_period" not in table
    assert request.about["delisting_period"] == "not known, no column: no files of STK_NAME_HISTORY"
    names = request.reference_data["names"]
    assert len(names) == 3 and set(names["date"].dt.date) == {clock.today()}


@pytest.mark.parametrize("name", ["STK_NAME_HISTORY.csv", "joinquant_STK_NAME_HISTORY_2024.csv"])
def test_saved_names(tmp_path, name):
    prices_of().assign(code="000222.XSHE").to_csv(tmp_path / "get_price_000222.XSHE.csv", index=False)
    names_of().to_csv(tmp_path / name)
    request, (table,) = read_source("joinquant", folder=tmp_path)
    assert rows(table, "date", "delisting_period") == [(DAYS[0], 0), (DAYS[1], 1), (DAYS[2], 1)]
    assert request.about["delisting_period"] == "by the name of the day"
    assert rows(request.reference_data["names"]) == [
        ("000222.XSHE", date(2000, 1, 4), "乙股份"), ("000222.XSHE", DAYS[1], "退市乙"),
        ("600111.XSHG", date(2010, 1, 4), "甲股份")]  # fmt: skip
    assert "listings" not in request.reference_data
    get_all_securities(["stock"], None).to_csv(tmp_path / "get_all_securities.csv")
    request, _ = read_source("joinquant", folder=tmp_path, codes=["000222.XSHE", "000333.XSHE"])
    assert request.about["delisting_period"] == "by the name of the day; 0 for 1 stocks that have no names by date"
    assert rows(request.reference_data["names"], "code", "name") == [
        ("000222.XSHE", "乙股份"), ("000222.XSHE", "退市乙"), ("000333.XSHE", "退市丙")]  # fmt: skip
    assert request.reference_data["listings"]["code"].tolist() == ["000222.XSHE", "000333.XSHE"]


@needs_formats
def test_the_real_file(tmp_path):
    shutil.copy(FORMATS / "joinquant_get_price_000001.XSHE.csv", tmp_path)
    request, tables = read_source("joinquant", folder=tmp_path, skip_bad=True)
    assert tables == [] and request.skipped == []  # its days are not those asked for
    request, tables = read_source("joinquant", folder=tmp_path, skip_bad=True, start=date(2022, 12, 29), end=date(2022, 12, 30))
    assert tables == []
    assert "joinquant_get_price_000001.XSHE.csv, column factor" in request.skipped[0]
    assert request.about["market_cap"] == "not known: no files of get_valuation"


# ------------------------------------------------------------------------------------ downloads


def test_a_whole_download(tmp_path, service, capsys, monkeypatch):
    client = service()
    monkeypatch.setattr(joinquant, "BATCH_SIZE", 2)  # the first list: the two delisted ones
    request, tables = read_source("joinquant", cache=tmp_path, benchmark="000300")
    lists = [arguments[0] for name, arguments, _ in client.calls if name == "get_price"]
    assert lists == [["000300.XSHG"], ["000222.XSHE", "000333.XSHE"], ["600111.XSHG"]]
    table = pd.concat(tables)
    assert rows(table[table["code"] == "600111.XSHG"], "date", "market_cap", "is_st") == [(day, 1.02e9, 0) for day in DAYS]
    assert rows(table[table["code"] == "000222.XSHE"], "date", "is_st", "delisting_period") == [(DAYS[0], 1, 0), (DAYS[1], 1, 1)]
    assert not table.loc[table["code"] == "600111.XSHG", "delisting_period"].any()
    assert rows(request.reference_data["names"]) == [
        ("000222.XSHE", date(2000, 1, 4), "乙股份"), ("000222.XSHE", DAYS[1], "退市乙"),
        ("000333.XSHE", date(2024, 3, 1), "退市丙"),  # it has no name by date: as of today
        ("600111.XSHG", date(2010, 1, 4), "甲股份")]  # fmt: skip
    assert request.about["delisting_period"] == "by the name of the day; 0 for 1 stocks that have no names by date"
    assert client.calls[0] == ("auth", ("13800000000", "word"), {})
    assert client.call_names().count("auth") == 1
    reference_data = request.reference_data
    assert rows(reference_data["listings"], "code", "listed") == [
        ("000222.XSHE", date(2000, 1, 4)), ("000333.XSHE", date(2000, 1, 4)), ("600111.XSHG", date(2010, 1, 4))]  # fmt: skip
    assert reference_data["listings"]["delisted"].isna().tolist() == [False, False, True]
    assert rows(reference_data["industries"]) == [("600111.XSHG", DAYS[0], "汽车I")]
    assert rows(reference_data["constituents"]) == [("000300", DAYS[0], "600111.XSHG")]
    assert rows(reference_data["benchmarks"])[0] == ("000300", DAYS[0], 10.0, 10.5, 9.9, 10.2)
    assert capsys.readouterr() == ("", "")
    assert not any(b"13800000000" in path.read_bytes() for path in tmp_path.rglob("*.parquet"))


def test_calls_have_the_real_signatures(tmp_path, service, monkeypatch):
    real = pytest.importorskip("jqdatasdk", reason="needs the package jqdatasdk")
    client = service()
    read_source("joinquant", cache=tmp_path, benchmark="000300")
    check_signatures(client, real)


def test_the_query_of_the_names_as_the_real_client_writes_it(service, monkeypatch):
    real = pytest.importorskip("jqdatasdk", reason="needs the package jqdatasdk")
    asked, columns = [], {"id": "Integer, primary_key=True", "code": "String(12)", "new_name": "String(40)", "start_date": "Date"}

    class Server:
        def get_table_orm(self, db, table=None):
            described = [(name, f"Column({kind})") for name, kind in columns.items()]
            return {"name": "stk_name_history", "columns": described} if table else ["STK_NAME_HISTORY"]

        def db_query(self, db, sql):
            asked.append(" ".join(sql.split()))
            return names_of()[list(columns)].iloc[: 4 - 4 * (len(asked) - 1)]

    monkeypatch.setattr(real.JQDataClient, "instance", classmethod(lambda cls: Server()))
    service()
    client = joinquant.Client()
    client._client, client.authenticated = real, True
    assert len(client.names()) == 4
    text = ("SELECT stk_name_history.id, stk_name_history.code, stk_name_history.new_name, stk_name_history.start_date FROM "
            "stk_name_history WHERE stk_name_history.id > {} ORDER BY stk_name_history.id LIMIT 5000")  # fmt: skip
    assert asked == [text.format(0), text.format(9)]


def test_nothing_is_downloaded_twice(tmp_path, service, monkeypatch):
    client = service()
    monkeypatch.setattr(joinquant, "BATCH_SIZE", 2)
    monkeypatch.setattr(joinquant.Client, "dividends", lambda *_: pd.DataFrame(columns=["a_xr_date"], dtype=object))
    # auth, stocks, trading days, two pages of names, industries; three calls; a price; then valuations
    client.errors = [None] * 10 + [NO_NETWORK] * 5
    with pytest.raises(DataError) as error:
        read_source("joinquant", cache=tmp_path)
    assert_one_line(error, "joinquant get_valuation 600111.XSHG to 600111.XSHG, 1: no answer in 5 attempts", "no network")
    client.calls.clear()
    _, first = read_source("joinquant", cache=tmp_path)
    assert client.call_names() == ["auth", "get_valuation", "get_extras"]
    client.calls.clear()
    _, second = read_source("joinquant", cache=tmp_path)
    assert client.calls == []
    assert all(one.equals(other) for one, other in zip(first, second, strict=True))
    client.calls.clear()
    SECURITIES["688999.XSHG"] = ("新股", "XG", date(2024, 2, 29), date(2200, 1, 1), "stock")
    try:
        monkeypatch.setattr(clock, "now", lambda: datetime(2024, 3, 4, 12))  # the list of stocks is asked for again
        read_source("joinquant", cache=tmp_path)
    finally:
        del SECURITIES["688999.XSHG"]
    assert [arguments[0] for name, arguments, _ in client.calls if name == "get_price"] == [["600111.XSHG", "688999.XSHG"]]


def test_a_valuation_that_may_be_cut_is_asked_for_in_halves(service):
    asked = []

    def answer(security_list, start_date, end_date, fields):
        asked.append((start_date, end_date))
        days = weekdays(date.fromisoformat(start_date), date.fromisoformat(end_date))
        return values_of([["600111.XSHG", str(day), 1.0, 1.0] for day in days * 1000][: 1000 if len(days) > 2 else 4])

    service(get_valuation=answer)
    frame = joinquant.Client().valuation(["600111.XSHG"], DAYS[0], DAYS[3])
    assert asked == [("2024-02-26", "2024-02-29"), ("2024-02-26", "2024-02-27"), ("2024-02-28", "2024-02-29")]
    assert len(frame) == 8
    asked.clear()
    joinquant.Client().valuation(["600111.XSHG"], date(2024, 1, 1), date(2024, 3, 3))
    assert asked[-1] == ("2024-03-02", "2024-03-03")


def test_names_have_several_pages(service):
    values = [[2 * number, f"{600000 + number % 900}.XSHG", f"名{number}", date(2010, 1, 4)] for number in range(1, 12_002)]
    client = service(names=values[::-1])
    names = joinquant.Client().names()
    assert names["id"].tolist() == [row[0] for row in values]
    asked = [arguments[0].conditions[0][1] for name, arguments, _ in client.calls if name == "finance.run_query"]
    assert asked == [0, 10_000, 20_000, 24_002]


def test_an_account_that_may_not_ask_for_names(tmp_path, service):
    def refuse(*_):
        raise Exception("您没有权限查询该表")

    for names, reason in ((NAMES, "您没有权限查询该表"), (None, "has no table 'STK_NAME_HISTORY'")):
        made = service(names=names)
        made.answers["finance.run_query"] = refuse
        request, tables = read_source("joinquant", cache=tmp_path)
        assert all("delisting_period" not in table for table in tables)
        assert request.about["names"].startswith("as of today alone: joinquant STK_NAME_HISTORY: the source refuses: ")
        assert request.about["delisting_period"].startswith("not known, no column: joinquant STK_NAME_HISTORY: ")
        assert reason in request.about["names"] and reason in request.about["delisting_period"]
        assert rows(request.reference_data["names"], "date", "name") == [
            (date(2024, 3, 1), name) for name in ("退市乙", "退市丙", "甲股份")]  # fmt: skip
        assert made.call_names().count("finance.run_query") <= 1  # not asked again


def test_names_that_cannot_be_had_now_are_no_reason_to_do_without(tmp_path, service):
    client = service()
    client.errors = [None] * 3 + [NO_NETWORK] * 5  # auth, stocks, trading days; then names
    with pytest.raises(DataError) as error:
        read_source("joinquant", cache=tmp_path)
    assert_one_line(error, "joinquant STK_NAME_HISTORY: no answer in 5 attempts")

    def refuse(*_, **__):
        raise Exception("您当天的查询条数超过了每日最大查询限制：100万条")

    client.answers["finance.run_query"] = refuse
    with pytest.raises(DataError) as error:
        read_source("joinquant", cache=tmp_path)
    assert_one_line(error, "STK_NAME_HISTORY: the source refuses", "每日最大查询限制")
    client = service(auth=refuse)  # the list of stocks is in the cache
    with pytest.raises(DataError) as error:
        read_source("joinquant", cache=tmp_path)
    assert_one_line(error, "每日最大查询限制")
    assert set(client.call_names()) == {"auth"}


def test_a_stock_whose_listing_day_cannot_be_read_is_asked_for(service, monkeypatch):
    client = service()
    monkeypatch.setitem(SECURITIES, "600111.XSHG", ("甲股份", "JGF", "昨天", date(2200, 1, 1), "stock"))
    request, tables = read_source("joinquant", codes=["600111.XSHG"])
    assert [arguments[0] for name, arguments, _ in client.calls if name == "get_price"] == [["600111.XSHG"]]
    assert len(tables[0]) == 4 and request.reference_data["listings"]["listed"].isna().all()


def test_prices_without_rows_are_asked_for_again_and_never_kept(tmp_path, service):
    empty = {"get_price": 2, "get_valuation": 1}

    def sometimes(call, answer):
        def tell(*arguments, **named):
            if empty.get(call):
                empty[call] -= 1
                return pd.DataFrame()
            return answer(*arguments, **named)

        return tell

    calls = {"get_price": sometimes("get_price", get_price), "get_valuation": sometimes("get_valuation", get_valuation)}
    client = service(**calls)
    table = pd.concat(read_source("joinquant", cache=tmp_path)[1])
    assert rows(table[table["code"] == "600111.XSHG"], "date", "market_cap") == [(day, 1.02e9) for day in DAYS]
    assert client.call_names().count("get_price") == 3
    assert client.call_names().count("get_valuation") == 2


def test_prices_that_stay_without_rows_end_the_run_and_the_next_one_asks_again(tmp_path, service):
    client = service(get_price=lambda *_, **__: pd.DataFrame())
    for _ in range(2):
        client.calls.clear()
        with pytest.raises(retries.UnansweredError) as error:
            read_source("joinquant", cache=tmp_path)
        assert_one_line(error, "joinquant get_price 000222.XSHE to 600111.XSHG", "5 answers without rows", "start again later")
        assert client.call_names().count("get_price") == 5
    service()
    assert len(pd.concat(read_source("joinquant", cache=tmp_path)[1])) > 0


def test_a_wrong_password_is_one_line_without_it(service):
    def refuse(username, password):
        raise Exception(f"账号或密码错误: {username} {password}")

    client = service(auth=refuse)
    with pytest.raises(retries.RefusedError) as error:
        read_source("joinquant")
    text = assert_one_line(error, "joinquant get_all_securities: the source refuses: 账号或密码错误: *** ***")
    assert "13800000000" not in text
    assert client.call_names() == ["auth"]


def test_no_account_and_no_network(service, monkeypatch):
    client = service()
    client.errors = [NO_NETWORK] * 9
    with pytest.raises(DataError) as error:
        read_source("joinquant")
    assert_one_line(error, "joinquant get_all_securities: no answer in 5 attempts", "no network")
    monkeypatch.delenv("JQDATA_PASSWORD")
    with pytest.raises(DataError) as error:
        read_source("joinquant")
    assert_one_line(error, "joinquant: found no account", "JQDATA_USER")


def test_a_days_limit_is_said_at_once(service):
    def refuse(*_, **__):
        raise Exception("您当天的查询条数超过了每日最大查询限制：100万条")

    client = service(get_valuation=refuse)
    with pytest.raises(retries.RefusedError) as error:
        read_source("joinquant")
    assert_one_line(error, "get_valuation", "每日最大查询限制")
    assert client.call_names().count("get_valuation") == 1


def test_an_index_without_rows_is_said(service):
    service(get_price=lambda security, fields, **_: pd.DataFrame(columns=["time", "code", *fields]))
    with pytest.raises(DataError) as error:
        read_source("joinquant", benchmark="000999")
    assert_one_line(error, "found no rows of this index", "--benchmark")
