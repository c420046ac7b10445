"""Reading from tushare.pro: conversions by hand, real answers where there are some, and downloads from a stand-in."""

import inspect
import shutil
from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.sources import delisting, retries, tushare, tushare_tables
from tests.support.stand_ins import (
    DAYS,
    FORMATS,
    NO_NETWORK,
    FakeClient,
    assert_one_line,
    needs_formats,
    read_source,
    rows,
    weekdays,
)

DAILY = [  # newest first, and no row of a suspended day; 手 and 1,000 yuan
    ["600111.SH", "20240229", 9.8, 9.95, 9.75, 9.9, 9.8, 12000.5, 11880.495],
    ["600111.SH", "20240227", 10.0, 10.5, 9.9, 10.2, 10.0, 20000.0, 20400.0],
    ["600111.SH", "20240226", 10.0, 10.1, 9.9, 10.0, 9.9, 10000.01, 10000.01],
]
BASIC = [["600111.SH", "20240229", 10000.0, 99000.0], ["600111.SH", "20240227", 10000.0, 102000.0],
         ["600111.SH", "20240226", 10000.0, 100000.0001]]  # fmt: skip
LIMITS = [["600111.SH", "20240226", 10.89, 8.91], ["600111.SH", "20240227", 0.0, None]]
SUSPENDED = [["600111.SH", "20240228", None, "S"], ["600111.SH", "20240227", "09:30-10:00", "S"],
             ["600111.SH", "20240229", None, "R"]]  # fmt: skip
NAMES = [["600111.SH", "甲股份", "20100104", None], ["600111.SH", "*ST甲", "20240227", None],
         ["600111.SH", "*ST甲", "20240227", "20240228"], ["600111.SH", "甲股份", "20240229", None]]  # fmt: skip
HAND = [  # date, open, high, low, close, preclose, volume, amount, paused, cap, limits, ST
    (DAYS[0], 10.0, 10.1, 9.9, 10.0, 9.9, 1000001.0, 10000010.0, 0, 1000000001.0, 10.89, 8.91, 0),
    (DAYS[1], 10.0, 10.5, 9.9, 10.2, 10.0, 2000000.0, 20400000.0, 0, 1020000000.0, None, None, 1),
    (DAYS[2], 10.2, 10.2, 10.2, 10.2, 10.2, 0.0, 0.0, 1, 1020000000.0, None, None, 1),
    (DAYS[3], 9.8, 9.95, 9.75, 9.9, 9.8, 1200050.0, 11880495.0, 0, 990000000.0, None, None, 0),
]
COLUMNS = ["date", "open", "high", "low", "close", "preclose", "volume", "amount", "paused", "market_cap", "high_limit",
           "low_limit", "is_st"]  # fmt: skip
OTHER = [["000444.SZ", f"202402{day}", 5.0, 5.1, 4.9, 5.0, 5.0, 1000.0, 500.0] for day in (29, 28, 27, 26)]  # trades on all days
OTHER_BASIC = [["000444.SZ", row[1], 20000.0, 100000.0] for row in OTHER]
STOCKS = [
    ["600111.SH", "甲股份", "20100104", None, "L"], ["920555.BJ", "北交戊", "20230104", None, "L"],
    ["000222.SZ", "退市乙", "20000104", "20240227", "D"], ["T00018.SH", "旧代码", "20000104", "20061020", "D"],
]  # fmt: skip


def frame(call, values):
    return pd.DataFrame(values, columns=tushare_tables.FIELDS[call].split(","))


def answers_of(**other):
    found = {
        "daily": frame("daily", DAILY), "daily_basic": frame("daily_basic", BASIC), "stk_limit": frame("stk_limit", LIMITS),
        "suspend_d": frame("suspend_d", SUSPENDED)} | other  # fmt: skip
    return lambda call: found.get(call, pd.DataFrame())


def found_rows(table, code="600111.XSHG"):
    table = table[table["code"] == code]
    return [tuple(None if isinstance(value, float) and np.isnan(value) else value for value in row)
            for row in rows(table, *COLUMNS)]  # fmt: skip


class Service:
    """The stand-in's side of pro_api(): everything is one call, query()."""

    def __init__(self, **other):
        self.other = other
        self.module = FakeClient("tushare", pro_api=self.pro_api, query=self.query)

    def pro_api(self, token):
        self.token = token
        return self.module

    def query(self, call, fields="", offset=0, limit=0, **asked):
        assert fields == tushare_tables.FIELDS[call]
        answer = self.other.get(call, getattr(self, call, lambda **_: None))(**asked)
        if isinstance(answer, pd.DataFrame):
            return answer
        values = answer or []
        return frame(call, values[offset : offset + limit] if limit else values)

    def stock_basic(self, list_status):
        return [row for row in STOCKS if row[-1] in list_status.split(",")]

    def namechange(self):
        return NAMES

    def trade_cal(self, exchange, start_date, end_date, is_open):
        first, last = (datetime.strptime(text, "%Y%m%d").date() for text in (start_date, end_date))
        return [[f"{day:%Y%m%d}", 1] for day in weekdays(first, last)][::-1]

    def index_daily(self, ts_code, start_date, end_date):
        return [[ts_code, f"{day:%Y%m%d}", 3500.5, 3510.0, 3490.0, 3505.0] for day in DAYS[::-1]]

    def index_weight(self, index_code, start_date, end_date):
        return [[index_code, "600111.SH", "20240229"]]

    def index_member_all(self, is_new):
        return [["600111.SH", "汽车", "20210730", None]] if is_new == "Y" else [["600111.SH", "采掘", "20150105", "20210729"]]

    @staticmethod
    def pick(values, trade_date=None, ts_code=None, start_date="0", end_date="9"):
        return [row for row in values if (trade_date is None or row[1] == trade_date) and start_date <= row[1] <= end_date
                and ts_code in (None, row[0])]  # fmt: skip

    def daily(self, **asked):
        return self.pick(DAILY + OTHER, **asked)

    def daily_basic(self, **asked):
        return self.pick(BASIC + OTHER_BASIC, **asked)

    def stk_limit(self, **asked):
        return self.pick(LIMITS, **asked)

    def suspend_d(self, **asked):
        return self.pick(SUSPENDED, **asked)

    def stock_st(self, **asked):
        return self.pick([["600111.SH", day, "*ST甲", "ST"] for day in ("20240227", "20240228")], **asked)


@pytest.fixture
def service(monkeypatch):
    def make(token="0123abc", waits=None, **other):
        made = Service(**other)
        made.module.install(monkeypatch, waits)
        monkeypatch.setenv("TUSHARE_TOKEN", token)
        return made

    return make


def asked(service, *calls):
    names = [arguments[0] for name, arguments, _ in service.module.calls if name == "query"]
    return [name for name in names if not calls or name in calls]


# ---------------------------------------------------------------------------------- conversions


def test_rows_by_hand():
    table = tushare_tables.TableBuilder(tushare_tables.name_changes(frame("namechange", NAMES))).build(answers_of(), "a")
    assert found_rows(table) == HAND
    assert table["date"].dtype == "datetime64[s]"
    assert set(table["code"]) == {"600111.XSHG"}


def test_day_by_day_gives_the_same():
    builder = tushare_tables.TableBuilder(tushare_tables.name_changes(frame("namechange", NAMES)))
    tables = []
    for day in ("20240226", "20240227", "20240228", "20240229"):
        parts = {call: [row for row in values if row[1] == day] for call, values in
                 (("daily", DAILY), ("daily_basic", BASIC), ("stk_limit", LIMITS), ("suspend_d", SUSPENDED))}  # fmt: skip
        tables.append(builder.build(answers_of(**{call: frame(call, values) for call, values in parts.items()}), "a"))
    assert found_rows(pd.concat(tables)) == HAND
    assert all(list(table.columns) == list(tables[0].columns) for table in tables)


def test_the_days_own_list_says_who_is_st():
    listed = frame("stock_st", [["600111.SH", "20240226", "ST甲", "ST"], ["000001.SZ", "20240227", "ST", "ST"]])
    builder = tushare_tables.TableBuilder(tushare_tables.name_changes(frame("namechange", NAMES)))
    table = builder.build(answers_of(stock_st=listed), "a")
    assert table["is_st"].tolist() == [1, 0, 1, 0]  # the 28th and 29th have no list: by name


def test_text_and_further_columns_of_saved_files_give_the_same():
    raw = {}
    for call, values in (("daily", DAILY), ("daily_basic", BASIC), ("stk_limit", LIMITS), ("suspend_d", SUSPENDED)):
        texts = [[None if value is None else str(value) for value in row] for row in values]
        raw[call] = frame(call, texts).assign(more="1")
    table = tushare_tables.TableBuilder(tushare_tables.name_changes(frame("namechange", NAMES))).build(answers_of(**raw), "a")
    assert found_rows(table) == HAND


def test_of_a_name_that_is_there_twice_the_one_with_an_end_counts():
    table = tushare_tables.name_changes(frame("namechange", NAMES[::-1]))
    assert rows(table, "date", "name") == [(date(2010, 1, 4), "甲股份"), (DAYS[1], "*ST甲"), (DAYS[3], "甲股份")]


def test_the_delisting_period_is_in_the_name_of_the_day():
    values = [["600111.SH", "甲股份", "20100104", "20240226"], ["600111.SH", "退市甲", "20240227", None],
              ["600111.SH", "退市甲", "20240227", "20240228"], ["600111.SH", "甲股份", "20240229", None],
              ["000222.SZ", "退市乙", "20100104", None]]  # fmt: skip
    table = tushare_tables.TableBuilder(tushare_tables.name_changes(frame("namechange", values))).build(answers_of(), "a")
    assert table["delisting_period"].tolist() == [0, 1, 1, 0]  # the 28th is suspended
    assert table["delisting_period"].dtype == "uint8"
    table = tushare_tables.TableBuilder(tushare_tables.name_changes(frame("namechange", values[1:2]))).build(answers_of(), "a")
    assert table["delisting_period"].tolist() == [0, 1, 1, 1]  # before its first name it is not known to be in it
    table = tushare_tables.TableBuilder(tushare_tables.name_changes(frame("namechange", NAMES))).build(answers_of(), "a")
    assert table["delisting_period"].tolist() == [0, 0, 0, 0]
    assert "delisting_period" not in tushare_tables.TableBuilder().build(answers_of(), "a")


@pytest.mark.parametrize(("name", "flag"), [
    ("退市甲", 1), ("甲股退", 1), ("*ST甲退", 1), ("退市甲(退)", 1), ("甲股份(退)", 0), ("甲股份（退）", 0), ("*ST甲", 0),
    ("甲股份", 0), (None, 0)])  # fmt: skip
def test_names_of_the_delisting_period(name, flag):
    names = pd.DataFrame({"code": ["600111.XSHG"] * 2, "date": pd.to_datetime([DAYS[0], DAYS[1]]), "name": ["退", name]})
    changes = delisting.delisting_changes(names)
    assert changes["delisting_period"].tolist() == [1, flag]
    table = pd.DataFrame({"date": pd.to_datetime(DAYS[:3][::-1]).astype("datetime64[s]"), "code": "600111.XSHG"})
    assert delisting.delisting_flags(table, changes).tolist() == [flag, flag, 1]


def test_damaged_answers():
    table = tushare_tables.TableBuilder().build(answers_of(daily=frame("daily", [[*DAILY[0][:7], "无", 1.0]])), "a")
    assert rows(table, "date", "close", "volume", "amount") == [(DAYS[3], 9.9, "无", 1000.0)]
    with pytest.raises(DataError) as error:
        tushare_tables.market_caps(frame("daily_basic", BASIC).drop(columns="total_mv"))
    assert_one_line(error, "tushare daily_basic: found", "expected also total_mv")


@needs_formats
def test_the_real_answers():
    frames = {"daily": pd.read_csv(FORMATS / "tushare_daily_002021.SZ.csv", dtype=str),
              "daily_basic": pd.read_csv(FORMATS / "tushare_daily_basic_20191025.csv", dtype=str)}  # fmt: skip
    table = tushare_tables.TableBuilder().build(lambda call: frames.get(call, pd.DataFrame()), "a")
    assert len(table) == 330
    day = table[table["date"] == "2019-10-25"]
    assert found_rows(pd.concat([day, table.tail(1)]), "002021.XSHE") == [
        (date(2019, 10, 25), 1.64, 1.72, 1.61, 1.71, 1.64, 9054893.0, 15230550.0, 0, 1176163718.0, None, None, 0),
        # 687,815,040 shares of the last day that is known x 2.19
        (date(2020, 4, 10), 2.17, 2.2, 2.15, 2.19, 2.18, 3407609.0, 7405716.0, 0, 1506314937.6, None, None, 0),
    ]
    caps = tushare_tables.market_caps(frames["daily_basic"])
    assert rows(caps.iloc[[0]]) == [(date(2019, 10, 25), "300360.XSHE", 4042941011.0, 409619150.0)]
    index = tushare_tables.benchmark(pd.read_csv(FORMATS / "tushare_index_daily.csv"), "000852")
    assert rows(index.head(1)) == [("000852", date(2018, 1, 2), 7027.6346, 7092.2206, 7022.2315, 7092.0947)]
    assert len(index) == 992
    with pytest.raises(DataError) as error:
        tushare_tables.daily_bars(pd.read_csv(FORMATS / "tushare_pro_bar_qfq_002021.SZ.csv", dtype=str), "a file")
    assert_one_line(error, "a file (2004-07-15)", "adjusted prices")


# ---------------------------------------------------------------------------------- saved files


def test_saved_files(tmp_path):
    for call, values in (("daily", DAILY), ("suspend_d", SUSPENDED)):
        frame(call, values).to_csv(tmp_path / f"tushare_{call}_600111.SH.csv")
    frame("daily_basic", BASIC).to_csv(tmp_path / "daily_basic_202402.csv", index=False)
    frame("stk_limit", LIMITS).to_parquet(tmp_path / "stk_limit_20240226.parquet")
    frame("namechange", NAMES).to_csv(tmp_path / "namechange_all.csv", index=False)
    frame("stock_basic", STOCKS[:2]).to_csv(tmp_path / "stock_basic_L.csv", index=False)
    frame("index_daily", [["000300.SH", "20240229", 1.5, 2, 1, 1.7]]).to_csv(tmp_path / "index_daily.csv", index=False)
    request, (table,) = read_source("tushare", folder=tmp_path, benchmark="000300")
    assert found_rows(table) == HAND
    assert rows(request.reference_data["benchmarks"]) == [("000300", DAYS[3], 1.5, 2.0, 1.0, 1.7)]
    assert len(request.reference_data["names"]) == 3
    assert len(request.reference_data["listings"]) == 2
    assert table["delisting_period"].tolist() == [0, 0, 0, 0]
    assert request.about["delisting_period"] == "by the name of the day"


@needs_formats
def test_the_real_files(tmp_path):
    for name in ("tushare_daily_002021.SZ.csv", "tushare_daily_basic_20191025.csv", "tushare_index_daily.csv"):
        shutil.copy(FORMATS / name, tmp_path)
    request, (table,) = read_source(
        "tushare", folder=tmp_path, start=date(2019, 10, 24), end=date(2019, 10, 28), benchmark="000300")
    assert rows(table, "date", "close") == [(date(2019, 10, 24), 1.64), (date(2019, 10, 25), 1.71), (date(2019, 10, 28), 1.64)]
    assert rows(request.reference_data["benchmarks"].head(1), "date", "close") == [(date(2018, 1, 2), 4087.4012)]
    assert request.about["is_st"].startswith("not known, 0 on all days")
    assert request.about["delisting_period"] == "not known, no column: no namechange"
    assert "delisting_period" not in table


# ------------------------------------------------------------------------------------ downloads


def test_a_whole_download_day_by_day(tmp_path, service, capsys):
    made = service()
    told = []
    request, tables = read_source("tushare", cache=tmp_path, benchmark="000300", progress=lambda *done: told.append(done))
    assert found_rows(pd.concat(tables)) == HAND
    assert [table.attrs["source"] for table in tables][0] == "tushare daily 2024-02-26"
    assert told[-1] == (4, 4)
    assert asked(made, "daily") == ["daily"] * 4
    reference_data = request.reference_data
    assert rows(reference_data["listings"], "code", "listed") == [
        ("000222.XSHE", date(2000, 1, 4)), ("600111.XSHG", date(2010, 1, 4)), ("920555.BJSE", date(2023, 1, 4))]  # fmt: skip
    assert rows(reference_data["industries"], "date", "industry") == [(date(2015, 1, 5), "采掘"), (date(2021, 7, 30), "汽车")]
    assert rows(reference_data["constituents"]) == [("000300", DAYS[3], "600111.XSHG")]
    assert rows(reference_data["benchmarks"])[0] == ("000300", DAYS[0], 3500.5, 3510.0, 3490.0, 3505.0)
    assert capsys.readouterr() == ("", "")
    assert all("0123abc" not in path.read_bytes().decode("latin1") for path in tmp_path.rglob("*.parquet"))


def test_the_delisting_period_of_a_download(service):
    names = [["600111.SH", "甲股份", "20100104", None], ["600111.SH", "退市甲", "20240228", None]]
    service(namechange=lambda: names)
    for codes in (None, ["600111.XSHG"]):  # day by day, and stock by stock
        request, tables = read_source("tushare", codes=codes)
        table = pd.concat(tables)
        assert table[table["code"] == "600111.XSHG"]["delisting_period"].tolist() == [0, 0, 1, 1]
        assert request.about["delisting_period"] == "by the name of the day"
    service(namechange=list)
    request, tables = read_source("tushare")
    assert all("delisting_period" not in table for table in tables)
    assert request.about["delisting_period"] == "not known, no column: no namechange"


def test_a_row_of_the_calendar_that_cannot_be_read_is_said(service):
    service(trade_cal=lambda **_: [["昨天", 1], *([f"{day:%Y%m%d}", 1] for day in DAYS[1:])])
    request, tables = read_source("tushare")
    assert [table.attrs["source"][-2:] for table in tables] == ["27", "28", "29"]
    assert request.about["trading_days"] == "not known of 1 rows of trade_cal: those days were not asked for"


def test_a_few_stocks_are_asked_for_one_by_one(service):
    made = service()
    _, (table,) = read_source("tushare", codes=["600111.XSHG"])
    assert found_rows(table) == HAND
    assert asked(made, "daily", "suspend_d") == ["daily", "suspend_d"]


def test_calls_have_the_real_signatures(tmp_path, service, monkeypatch):
    real = pytest.importorskip("tushare", reason="needs the package tushare")
    query = real.pro_api("token").query
    made = service()
    read_source("tushare", cache=tmp_path, benchmark="000300")
    (token, *calls) = made.module.calls
    assert token == ("pro_api", ("0123abc",), {})
    inspect.signature(real.pro_api).bind(*token[1], **token[2])
    for _, arguments, named in calls:
        inspect.signature(query).bind(*arguments, **named)


def test_nothing_is_downloaded_twice(tmp_path, service):
    made = service()
    made.module.errors = [None] * (1 + 1 + 1 + 1 + 1 + 2) + [None] * 7 + [NO_NETWORK] * 5  # in the second day's answers
    with pytest.raises(DataError) as error:
        read_source("tushare", cache=tmp_path)
    assert_one_line(error, "tushare daily_basic 2024-02-27: no answer in 5 attempts", "no network")
    made.module.calls.clear()
    _, first = read_source("tushare", cache=tmp_path)
    assert asked(made) == ["user", "daily_basic", "stk_limit", "suspend_d", "stock_st", "dividend"] + [
        "daily", "daily_basic", "stk_limit", "suspend_d", "stock_st", "dividend"] * 2 + ["dividend"]  # fmt: skip  # see _jumps
    made.module.calls.clear()
    _, second = read_source("tushare", cache=tmp_path)
    assert asked(made) == []
    assert found_rows(pd.concat(first)) == found_rows(pd.concat(second)) == HAND


def test_an_answer_may_have_several_pages(service):
    values = [[f"{number:06d}.SZ", f"名{number}", "20000104", None, "L"] for number in range(1, 251)]
    service()
    client = tushare.Client()
    pages = []

    def query(call, fields, offset=0, limit=100, **asked):
        pages.append((offset, limit))
        return frame(call, values[offset : offset + 100])

    client.pro = FakeClient("pro", query=query)
    assert len(client.query("stock_basic", list_status="L")) == 250
    assert pages == [(0, 100), (100, 100), (200, 100)]


def test_an_http_error_looks_empty_and_is_asked_for_again(tmp_path, service):
    answers = [pd.DataFrame(), frame("daily", DAILY)]
    made = service(daily=lambda **_: answers.pop(0))
    _, (table,) = read_source("tushare", cache=tmp_path, codes=["600111.XSHG"])
    assert found_rows(table) == HAND
    assert asked(made, "daily") == ["daily"] * 2


def test_an_open_day_without_rows_is_asked_for_again_and_not_kept(tmp_path, service):
    empty = {"daily": 2, "daily_basic": 0}

    def answer(call, values):
        def pick(**asked):
            if asked["trade_date"] == "20240227" and empty[call]:
                empty[call] -= 1
                return []
            return Service.pick(values, **asked)

        return pick

    calls = {"daily": answer("daily", DAILY + OTHER), "daily_basic": answer("daily_basic", BASIC + OTHER_BASIC)}
    made = service(**calls)
    assert found_rows(pd.concat(read_source("tushare", cache=tmp_path)[1])) == HAND
    assert asked(made, "daily") == ["daily"] * 6
    empty["daily_basic"] = 5
    made = service(**calls)
    (tmp_path / "tushare" / "daily_basic" / "2024-02-27.parquet").unlink()
    with pytest.raises(DataError) as error:
        read_source("tushare", cache=tmp_path)
    assert_one_line(error, "tushare daily_basic 2024-02-27: 5 answers without rows, where there must be some",
                    "start again later")  # fmt: skip
    made = service(**calls)
    assert found_rows(pd.concat(read_source("tushare", cache=tmp_path)[1])) == HAND
    assert asked(made, "daily", "daily_basic") == ["daily_basic"]


def test_an_empty_answer_that_an_earlier_time_kept_is_none(tmp_path, service):
    service()
    read_source("tushare", cache=tmp_path)
    path = tmp_path / "tushare" / "daily" / "2024-02-27.parquet"
    pd.read_parquet(path).head(0).to_parquet(path)
    made = service()
    assert found_rows(pd.concat(read_source("tushare", cache=tmp_path)[1])) == HAND
    assert asked(made, "daily") == ["daily"]


def test_days_without_whole_day_suspensions_are_remembered(tmp_path, service):
    made = service()
    for _ in range(2):
        read_source("tushare", cache=tmp_path)
    assert asked(made, "suspend_d") == ["suspend_d"] * 4  # most of them empty, as there may be none


def test_a_bad_token_is_one_line_without_the_token(service):
    def refuse(**_):
        raise Exception("您的token不对，请确认。0123abc")

    made = service(stock_basic=refuse)
    with pytest.raises(retries.RefusedError) as error:
        read_source("tushare")
    text = assert_one_line(error, "tushare stock_basic: the source refuses: 您的token不对", "check TUSHARE_TOKEN")
    assert "0123abc" not in text
    assert asked(made) == ["stock_basic"]


def test_no_token(monkeypatch):
    monkeypatch.delenv("TUSHARE_TOKEN", raising=False)
    with pytest.raises(DataError) as error:
        read_source("tushare")
    assert_one_line(error, "tushare: found no token", "TUSHARE_TOKEN")


def test_too_few_points_for_what_is_optional(service):
    def refuse(**_):
        raise Exception("抱歉，您没有访问该接口的权限")

    made = service(stk_limit=refuse, stock_st=refuse, index_member_all=refuse, index_weight=refuse)
    request, tables = read_source("tushare", benchmark="000300")
    table = pd.concat(tables)
    assert table[table["code"] == "600111.XSHG"]["is_st"].tolist() == [0, 1, 1, 0]  # by name
    assert table["high_limit"].isna().all()
    assert asked(made, "stk_limit", "stock_st") == ["stk_limit", "stock_st"]  # asked for once
    assert {"stk_limit", "stock_st", "industries", "constituents"} <= set(request.about)
    service(daily_basic=refuse)
    with pytest.raises(DataError) as error:
        read_source("tushare")
    assert_one_line(error, "tushare daily_basic 2024-02-26: the source refuses: 抱歉")


def test_too_many_calls_a_minute_waits(service):
    waits = []
    busy = [Exception("抱歉，您每分钟最多访问该接口200次")] * 3

    def answer(**asked):
        if busy:
            raise busy.pop()
        return Service.pick(DAILY + OTHER, **asked)

    service(daily=answer, waits=waits)
    _, tables = read_source("tushare")
    assert found_rows(pd.concat(tables)) == HAND
    assert [wait for wait in waits if wait] == [60.0, 60.0, 60.0]
