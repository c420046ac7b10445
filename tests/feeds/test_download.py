"""What the downloads share: cache, retries, politeness, saved files, raw columns."""

import json
from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.sources import Request, answers, clock, download, retries
from bt_microcap.feeds.sources import cache as cache_module
from bt_microcap.feeds.sources.cache import Cache
from bt_microcap.feeds.sources.retries import BusyError, RefusedError, Throttle, with_retries
from bt_microcap.feeds.sources.saved import SavedAnswers, canonical_code
from tests.support.stand_ins import NO_NETWORK, NOW, assert_one_line, rows

FRAME = pd.DataFrame({"date": ["2024-02-28", "2024-02-29"], "close": ["1.5", ""]})


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    found = []
    monkeypatch.setattr(clock, "sleep", found.append)
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return found


class Fetch:
    """Gives a row for each day that is asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, first, last):
        self.asked.append((first.day, last.day))
        days = pd.date_range(first, last)
        return pd.DataFrame({"date": days.strftime("%Y-%m-%d"), "close": [f"{day.day}" for day in days]})


# ------------------------------------------------------------------------------------ the cache


def test_an_answer_is_fetched_once(tmp_path):
    calls = []

    def fetch():
        calls.append(1)
        return FRAME

    for _ in range(2):
        found = Cache(tmp_path).get("source", "call", "a/b c", fetch=fetch, until=date(2024, 2, 29))
        assert found.equals(FRAME)
    assert len(calls) == 1


def test_an_empty_answer_is_remembered(tmp_path):
    calls = []
    for _ in range(2):
        assert not len(Cache(tmp_path).get("s", "k", fetch=lambda: calls.append(1) or pd.DataFrame()))
    for _ in range(2):
        found = Cache(tmp_path).get("s", "columns", fetch=lambda: calls.append(2) or FRAME.head(0))
        assert list(found.columns) == list(FRAME.columns)
    assert calls == [1, 2]


def test_a_day_that_is_not_over_is_asked_for_again(tmp_path):
    calls = []
    for _ in range(2):
        Cache(tmp_path).get("s", "k", fetch=lambda: calls.append(1) or FRAME, until=NOW.date())
    assert len(calls) == 2
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize("content", [b"", b"PAR1 half of a file"])
def test_an_unreadable_file_is_fetched_again(tmp_path, content):
    calls = []
    cache = Cache(tmp_path)
    for _ in range(3):
        found = cache.get("s", "k", fetch=lambda: calls.append(1) or FRAME)
        if len(calls) == 1:
            (path,) = tmp_path.rglob("*.parquet")
            path.write_bytes(content)
    assert len(calls) == 2
    assert found.equals(FRAME)


def test_a_writer_killed_before_the_rename_breaks_nothing(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    cache.get_range("s", "k", start=date(2024, 1, 1), end=date(2024, 1, 2), fetch=Fetch(), date_column="date")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache_module.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            cache.get_range("s", "k", start=date(2024, 1, 1), end=date(2024, 1, 4), fetch=Fetch(), date_column="date")
    again = Fetch()
    found = Cache(tmp_path).get_range("s", "k", start=date(2024, 1, 1), end=date(2024, 1, 4), fetch=again, date_column="date")
    assert again.asked == [(3, 4)]
    assert list(found["close"]) == ["1", "2", "3", "4"]


def test_only_missing_days_are_asked_for(tmp_path):
    cache, fetch = Cache(tmp_path), Fetch()

    def ask(first, last):
        found = cache.get_range("s", "k", start=date(2024, 2, first), end=date(2024, 2, last), fetch=fetch, date_column="date")
        return [int(close) for close in found["close"]]

    assert ask(10, 12) == [10, 11, 12]
    assert ask(10, 12) == ask(11, 11) == [10, 11, 12]  # what is there is given whole
    assert ask(12, 14) == [10, 11, 12, 13, 14]
    assert ask(9, 10) == [9, 10, 11, 12, 13, 14]
    assert ask(20, 20)[-1] == 20
    assert fetch.asked == [(10, 12), (13, 14), (9, 9), (15, 20)]


def test_the_rows_of_today_are_given_and_not_kept(tmp_path):
    cache, fetch = Cache(tmp_path), Fetch()
    for _ in range(2):
        found = cache.get_range("s", "k", start=date(2024, 2, 29), end=date(2024, 3, 1), fetch=fetch, date_column="date")
        assert list(found["date"]) == ["2024-02-29", "2024-03-01"]
    assert fetch.asked == [(29, 1), (1, 1)]


def test_a_row_whose_day_cannot_be_read_is_kept_too(tmp_path):
    answer = pd.DataFrame({"date": ["2024-01-01", "昨天", "2024-03-01"], "close": ["1", "2", "3"]})
    for end, kept in ((date(2024, 3, 1), ["1", "2", "3"]), (date(2024, 2, 29), ["1", "2"])):
        found = Cache(tmp_path).get_range("s", "k", start=date(2024, 1, 1), end=end, fetch=lambda *_: answer, date_column="date")
        assert list(found["close"]) == kept


def test_numbers_and_text_in_one_column_are_kept_as_text(tmp_path):
    mixed = pd.DataFrame({"close": [1.5, "-"]})
    for _ in range(2):
        found = Cache(tmp_path).get("s", "k", fetch=lambda: mixed)
    assert list(found["close"]) == ["1.5", "-"]


def test_a_cache_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError) as error:
        Cache(tmp_path / "file").get("s", "k", fetch=lambda: FRAME)
    assert_one_line(error, "the cache cannot be written", "--cache")


def test_without_a_folder_nothing_is_kept():
    fetch = Fetch()
    for _ in range(2):
        Cache(None).get_range("s", "k", start=date(2024, 1, 1), end=date(2024, 1, 2), fetch=fetch, date_column="date")
    assert len(fetch.asked) == 2


# -------------------------------------------------------------------------- retries, politeness


class ReadTimeout(Exception):
    """Of no known base."""


ReadTimeout.__module__ = "requests.exceptions"


@pytest.mark.parametrize(
    "trouble", [NO_NETWORK, ConnectionResetError("reset"), BusyError("wait"), ReadTimeout("x"),
                json.JSONDecodeError("<html>", "", 0), Exception("抱歉，您每分钟最多访问该接口200次"),
                Exception("请求频率过高，请稍后再试")])  # fmt: skip
def test_errors_that_pass_are_tried_again(waits, trouble):
    troubles = [trouble] * 3

    def call():
        if troubles:
            raise troubles.pop()
        return FRAME

    assert with_retries(call, attempts=4, wait=1.0) is FRAME
    assert waits == [1.0, 2.0, 4.0]


def test_no_network_is_one_clear_line(waits):
    def call():
        raise NO_NETWORK

    with pytest.raises(DataError) as error:
        with_retries(call, attempts=3, wait=1.0, what="source call key")
    assert_one_line(error, "source call key: no answer in 3 attempts", "unreachable", "no network")
    assert len(waits) == 2


def test_a_refusal_is_not_tried_again_and_tells_no_secret(waits, monkeypatch):
    monkeypatch.setenv("TUSHARE_TOKEN", "abc123")

    def call():
        raise Exception("您的token不对:\nabc123 http://me:word@proxy/")

    with pytest.raises(RefusedError) as error:
        with_retries(call, what="tushare daily")
    text = assert_one_line(error, "tushare daily: the source refuses", "您的token不对")
    assert "abc123" not in text
    assert "word" not in text
    assert waits == []


def test_what_a_client_prints_is_kept_off_the_screen(capsys):
    with_retries(lambda: print("login success!"))
    assert capsys.readouterr() == ("", "")


def test_throttle(waits, monkeypatch):
    times = iter([0.0, 0.1, 0.5, 0.5, 1.2, 1.2])
    monkeypatch.setattr(clock, "monotonic", lambda: next(times))
    throttle = Throttle(2, 1.0)
    for _ in range(4):
        throttle()
    assert waits == pytest.approx([0.5, 0.0])


def test_a_missing_package_is_named():
    with pytest.raises(DataError) as error:
        retries.import_client("no_such_package_at_all", "akshare")
    assert_one_line(error, 'pip install "bt-microcap[akshare]"')


@pytest.mark.parametrize(("hour", "last"), [(15, 29), (16, 1)])
def test_a_day_has_no_prices_before_its_close(monkeypatch, hour, last):
    monkeypatch.setattr(clock, "now", lambda: datetime(2024, 3, 1, hour))
    assert download.download_range(Request(end=date(2024, 3, 9)))[1].day == last
    assert download.download_range(Request(start=date(2024, 1, 2), end=date(2024, 2, 3))) == (date(2024, 1, 2), date(2024, 2, 3))


# ---------------------------------------------------------------------------------- raw columns


@pytest.mark.parametrize(
    ("text", "code"),
    [("sh.600000", "600000.XSHG"), ("sz000001", "000001.XSHE"), ("835508.BJ", "835508.BJSE"), ("600000.SH", "600000.XSHG"),
     ("000001.XSHE", "000001.XSHE"), ("688981", "688981.XSHG"), ("300750", "300750.XSHE"), ("920002", "920002.BJSE"),
     ("sh.000300", None), ("900901", None), ("200002.SZ", None), ("20240229", None), ("T00018.SH", None)])  # fmt: skip
def test_codes(text, code):
    assert canonical_code(text) == code


def test_numbers():
    frame = pd.DataFrame({"text": [" 1.5", "", "-", None], "vol": [34076.09, 1.0, 2.0, np.nan], "bad": ["1", "停牌", "", ""]})
    assert answers.parse_numbers(frame, "text").tolist() == pytest.approx([1.5, np.nan, np.nan, np.nan], nan_ok=True)
    assert answers.parse_numbers(frame, "vol", 100).tolist()[0] == 3407609.0
    assert answers.parse_numbers(frame, "bad").tolist() == pytest.approx([1.0, np.nan, np.nan, np.nan], nan_ok=True)


def test_text_instead_of_a_number_or_a_day_is_kept_beside_and_put_back():
    frame = pd.DataFrame({"day": ["20240226", "昨天", ""], "code": ["600111.SH", "", "T00018.SH"], "vol": ["1", "停牌", "-"],
                          "amount": ["1", "", None]})  # fmt: skip
    table = pd.DataFrame({
        **answers.key_columns(frame, "day", "code"), **answers.number_columns(frame, {"volume": "vol", "amount": "amount"}, 100)})
    assert table["volume"].tolist() == pytest.approx([100.0, np.nan, np.nan], nan_ok=True)
    assert list(table.columns) == ["date", "date as written", "code", "volume", "volume as written", "amount"]
    assert answers.has_text(table, "volume").tolist() == [False, True, False]
    assert answers.has_text(table, "amount").tolist() == [False, False, False]
    back = answers.restore_texts(table)
    assert back["volume"].tolist()[:2] == [100.0, "停牌"] and back["volume"].isna().tolist() == [False, False, True]
    assert back["date"].tolist()[:2] == [pd.Timestamp(2024, 2, 26), "昨天"]
    assert back["date"].isna().tolist() == [False, False, True]
    assert list(back.columns) == ["date", "code", "volume", "amount"]
    assert back["amount"].dtype == "float64"


def test_what_is_no_code_stays_and_what_is_no_share_goes():
    frame = pd.DataFrame({"day": "2024-02-26", "code": ["sh.600000", "900901.SH", "sh.000300", "T00018.SH", "无", None, ""]})
    codes = answers.key_columns(frame, "day", "code")["code"]
    assert codes.tolist()[0] == "600000.XSHG" and codes.isna().tolist() == [False, True, True, True, False, False, False]
    assert codes.tolist()[4:] == ["无", "", ""]


@pytest.mark.parametrize("text", ["99991231", "1900-01-01"])
def test_a_day_that_no_a_share_ever_traded_on_is_no_day(text):
    frame = pd.DataFrame({"day": ["2024-02-26", text], "code": "600000"})
    found = answers.key_columns(frame, "day", "code")
    assert found["date"].isna().tolist() == [False, True]
    assert found["date as written"].tolist() == [None, f"day {text}"]


def test_of_two_rows_of_a_day_that_differ_nothing_is_known():
    day, other = pd.Timestamp("2024-02-26"), pd.Timestamp("2024-02-27")
    table = pd.DataFrame({"date": [day, day, other, other, pd.NaT, day], "code": ["a", "a", "a", "a", "a", None],
                          "cap": [1.0, 1.0, 2.0, 3.0, 4.0, 5.0]})  # fmt: skip
    found = answers.one_a_day(table)
    assert found["date"].tolist() == [day, other]
    assert found["cap"].tolist() == pytest.approx([1.0, np.nan], nan_ok=True)


@pytest.mark.parametrize(
    "values", [["20240229"], ["2024-02-29"], ["2024-02-29 00:00:00"], [20240229], [date(2024, 2, 29)],
               [pd.Timestamp("2024-02-29 15:00")], [datetime(2024, 2, 29)], [20240229.0], ["2024/2/29"],
               ["2024年2月29日"]])  # fmt: skip
def test_days(values):
    found = answers.parse_dates(pd.DataFrame({"day": values}), "day")
    assert found.dtype == "datetime64[s]"
    assert found.dt.date.tolist() == [date(2024, 2, 29)]


def test_days_that_are_none():
    found = answers.parse_dates(pd.DataFrame({"day": ["", None, "2200-01-01", "99991231", "2024-02-31"]}), "day")
    assert found.isna().tolist() == [True, True, False, False, True]


def test_adjusted_prices_are_refused():
    table = pd.DataFrame({"date": pd.date_range("2024-01-01", periods=10), "low": 9.9, "high": 10.1, "volume": 1e6,
                          "amount": 1e7})  # fmt: skip
    answers.check_unadjusted(table, "s")
    answers.check_unadjusted(table.assign(high=0.0), "s")  # rows that the writer leaves out anyway
    table.loc[:4, "amount"] *= 1.1
    with pytest.raises(DataError) as error:
        answers.check_unadjusted(table, "a file")
    assert_one_line(error, "a file (2024-01-01)", "adjusted", "is 11")


def test_a_missing_column_is_named():
    with pytest.raises(DataError) as error:
        answers.require_columns(FRAME, ("date", "turn"), "a file")
    assert_one_line(error, "a file: found date, close, expected also turn")
    assert list(answers.require_columns(pd.DataFrame(), ("date", "turn"), "s").columns) == ["date", "turn"]


# ---------------------------------------------------------------------------------- saved files

CALLS = {"daily": "daily", "daily_basic": "daily_basic", "": "daily"}


def test_files_are_found_by_call_and_key(tmp_path):
    for name in ("src_daily_000001.SZ.csv", "daily_20240229.parquet", "src_sh.600000_flag3.csv", "daily_basic_20240229.csv",
                 "daily_basic_2023.csv", "notes.csv", "readme.txt"):  # fmt: skip
        frame = pd.DataFrame({"名": [name]})
        frame.to_parquet(tmp_path / name) if name.endswith("parquet") else frame.to_csv(
            tmp_path / name, index=False, encoding="gbk" if "SZ" in name else "utf-8-sig")
    saved = SavedAnswers("src", tmp_path, "daily", CALLS)
    assert sorted(saved.keys("daily")) == ["000001.XSHE", "20240229", "600000.XSHG"]
    assert saved.get("daily", "000001.XSHE")["名"].tolist() == ["src_daily_000001.SZ.csv"]
    assert not len(saved.get("daily", "000002.XSHE"))
    assert saved.get_companion("daily_basic", "20240229")["名"].tolist() == ["daily_basic_20240229.csv"]
    assert saved.get_companion("daily_basic", "000001.XSHE")["名"].tolist() == ["daily_basic_2023.csv"]
    assert len(saved.get_all("daily")) == 3
    assert saved.label("daily", "20240229") == str(tmp_path / "daily_20240229.parquet")


def test_wrong_folders_and_files(tmp_path):
    with pytest.raises(DataError) as error:
        SavedAnswers("src", tmp_path / "none", "daily", CALLS)
    assert_one_line(error, "there is no such folder", "daily_<code>.csv")
    with pytest.raises(DataError) as error:
        SavedAnswers("src", tmp_path, "daily", CALLS)
    assert_one_line(error, "found no file of src prices")
    (tmp_path / "daily_000001.parquet").write_bytes(b"no")
    with pytest.raises(DataError) as error:
        SavedAnswers("src", tmp_path, "daily", CALLS).get("daily", "000001.XSHE")
    assert_one_line(error, "daily_000001.parquet: cannot be read")


def test_a_line_with_too_many_fields_is_a_row_that_says_so(tmp_path):
    (tmp_path / "daily_000001.csv").write_text("day,close\n2024-02-26,1\n2024-02-27,2,3\n2024-02-28,4\n")
    found = SavedAnswers("src", tmp_path, "daily", CALLS).get("daily", "000001.XSHE")
    assert rows(found) == [("2024-02-26", "1"), ("too many fields: 2024-02-27,2,3",) * 2, ("2024-02-28", "4")]


# --------------------------------------------------------------------------------------- tables


def table_of(key):
    if key == "bad":
        raise DataError("bad: what is wrong")
    table = pd.DataFrame({"date": pd.date_range("2024-02-26", periods=4), "code": key})
    table.attrs["source"] = f"src {key}"
    return table


def test_tables_have_the_days_and_stocks_asked_for(tmp_path):
    told = []
    request = Request(start=date(2024, 2, 27), end=date(2024, 2, 28), codes=["000001.XSHE"], folder=tmp_path, skip_bad=True,
                      progress=lambda done, total: told.append((done, total)))  # fmt: skip
    (table,) = download.iter_tables(request, ["000001.XSHE", "bad", "000002.XSHE"], table_of)
    assert rows(table) == [(date(2024, 2, 27), "000001.XSHE"), (date(2024, 2, 28), "000001.XSHE")]
    assert table.attrs["source"] == "src 000001.XSHE"
    assert request.skipped == ["bad: what is wrong"]
    assert told == [(1, 3), (2, 3), (3, 3)]
    for strict in (Request(folder=tmp_path), Request(skip_bad=True)):  # a download leaves nothing out
        with pytest.raises(DataError):
            list(download.iter_tables(strict, ["bad"], table_of))


def test_lists_that_change_are_asked_for_at_the_start_of_months():
    assert download.snapshot_dates(date(2023, 11, 15), date(2024, 2, 10), 1) == [
        date(2023, 11, 15), date(2023, 12, 1), date(2024, 1, 1), date(2024, 2, 1)]  # fmt: skip
    assert download.snapshot_dates(date(2023, 11, 15), date(2024, 2, 10), 12) == [date(2023, 11, 15), date(2024, 1, 1)]


def test_what_is_optional_is_done_without():
    request = Request()
    with download.skip_on_error(request, "industries"):
        raise DataError("no")
    assert request.about == {"industries": "not known, as not read: no"}


def test_a_reference_table_has_no_doubled_rows():
    day = pd.Timestamp("2024-02-29")
    table = pd.DataFrame({"code": ["b", "a", "a", None], "date": day, "name": ["x", "y", "z", "w"]})
    assert rows(answers.reference_table(table, ("code", "date", "name")), "code", "name") == [("a", "z"), ("b", "x")]
    assert list(answers.reference_table(pd.DataFrame(), ("code", "date")).columns) == ["code", "date"]
