"""What the downloads share: cache, retries, politeness, saved files, raw columns."""

import json
import socket
from datetime import date, datetime, time

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.sources import Request, answers, clock, download, retries
from bt_microcap.feeds.sources import cache as cache_module
from bt_microcap.feeds.sources.cache import Cache
from bt_microcap.feeds.sources.delisting import DerivedPeriods
from bt_microcap.feeds.sources.retries import (
    BusyError,
    EmptyAnswerError,
    Pauses,
    RefusalError,
    RefusedError,
    Throttle,
    UnansweredError,
    with_retries,
)
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


def test_an_empty_answer_is_remembered_where_there_need_not_be_rows(tmp_path):
    calls = []
    for _ in range(2):
        assert not len(Cache(tmp_path).get("s", "k", fetch=lambda: calls.append(1) or pd.DataFrame()))
    for _ in range(2):
        found = Cache(tmp_path).get("s", "columns", fetch=lambda: calls.append(2) or FRAME.head(0))
        assert list(found.columns) == list(FRAME.columns)
    assert calls == [1, 2]


def test_where_there_must_be_rows_an_empty_answer_of_the_cache_is_none(tmp_path):
    calls = []

    def fetch():
        calls.append(1)
        return FRAME

    Cache(tmp_path).get("s", "k", fetch=lambda: FRAME.head(0))
    for _ in range(2):
        assert Cache(tmp_path).get("s", "k", fetch=fetch, needed=True).equals(FRAME)
    assert len(calls) == 1


def test_an_answer_that_is_refused_is_not_kept(tmp_path):
    def refuse():
        raise EmptyAnswerError("an empty answer")

    with pytest.raises(EmptyAnswerError):
        Cache(tmp_path).get("s", "k", fetch=refuse, needed=True)
    with pytest.raises(EmptyAnswerError):
        Cache(tmp_path).get_range("s", "r", start=date(2024, 1, 1), end=date(2024, 1, 2), fetch=lambda *_: refuse(),
                                  date_column="date", needed=True)
    assert not list(tmp_path.rglob("*"))


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


def few(fetch, last):
    """Ask for days of which those after the last one have no rows."""
    def ask(first, until):
        frame = fetch(first, until)
        return frame[frame["date"] <= str(last)]

    return ask


def test_days_without_rows_at_the_end_of_an_answer_are_asked_for_again_where_there_must_be_rows(tmp_path):
    def ask(fetch, needed):
        return list(Cache(tmp_path).get_range(
            "s", "k", start=date(2024, 2, 10), end=date(2024, 2, 14), fetch=fetch, date_column="date", needed=needed)["close"])

    early, late, last = Fetch(), Fetch(), Fetch()
    assert ask(few(early, "2024-02-12"), needed=False) == ["10", "11", "12"]  # an earlier time kept it: nothing was proved
    assert ask(late, needed=False) == ["10", "11", "12"]
    assert late.asked == []
    assert ask(few(late, "2024-02-13"), needed=True) == ["10", "11", "12", "13"]
    assert late.asked == [(13, 14)]
    assert ask(last, needed=True) == ["10", "11", "12", "13"]  # what was asked so is proved
    assert last.asked == []


def test_an_answer_about_days_without_any_row_is_asked_for_again_where_there_must_be_rows(tmp_path):
    def ask(fetch, needed):
        return len(Cache(tmp_path).get_range("s", "k", start=date(2024, 2, 10), end=date(2024, 2, 14), fetch=fetch,
                                             date_column="date", needed=needed))

    fetch = Fetch()
    assert ask(lambda *_: FRAME.head(0), needed=False) == 0
    assert ask(fetch, needed=False) == 0
    assert ask(fetch, needed=True) == 5
    assert fetch.asked == [(10, 14)]


def test_from_a_day_on_answers_are_asked_for_anew(tmp_path):
    def ask(fetch, refresh_from=None):
        found = Cache(tmp_path, refresh_from).get_range(
            "s", "k", start=date(2024, 2, 10), end=date(2024, 2, 14), fetch=fetch, date_column="date")
        return list(found["close"])

    ask(Fetch())
    fetch, again = Fetch(), Fetch()
    assert ask(lambda *days: fetch(*days).assign(close="new"), date(2024, 2, 13)) == ["10", "11", "12", "new", "new"]
    assert fetch.asked == [(13, 14)]
    assert ask(again) == ["10", "11", "12", "new", "new"]
    assert ask(again, date(2024, 2, 15)) == ["10", "11", "12", "new", "new"]
    assert again.asked == []
    assert ask(again, date(2024, 2, 1)) == ["10", "11", "12", "13", "14"]
    assert again.asked == [(10, 14)]


def test_of_single_days_those_from_a_day_on_are_asked_for_anew(tmp_path):
    for day in (12, 13):
        Cache(tmp_path).get("s", str(day), fetch=lambda: FRAME, until=date(2024, 2, day))
    cache = Cache(tmp_path, date(2024, 2, 13))
    assert [cache.has("s", str(day), until=date(2024, 2, day)) for day in (12, 13)] == [True, False]
    assert cache.held("s", "12", until=date(2024, 2, 12)).equals(FRAME)
    assert cache.held("s", "13", until=date(2024, 2, 13)) is None
    assert cache.held("s", "13").equals(FRAME)  # what it has nevertheless
    assert cache.get("s", "13", fetch=lambda: FRAME.head(1), until=date(2024, 2, 13)).equals(FRAME.head(1))
    assert Cache(tmp_path).held("s", "13").equals(FRAME.head(1))


def test_what_an_answer_tells_of_is_known_without_reading_it(tmp_path):
    cache = Cache(tmp_path)
    first, last = date(2024, 2, 10), date(2024, 2, 14)
    assert (cache.days("s", "k"), cache.has("s", "k"), cache.covers("s", "k", start=first, end=first)) == (None, False, False)
    cache.get_range("s", "k", start=first, end=last, fetch=Fetch(), date_column="date")
    assert cache.days("s", "k") == (first, last)
    assert cache.has("s", "k")
    assert cache.covers("s", "k", start=first, end=last)
    assert not cache.covers("s", "k", start=date(2024, 2, 9), end=last)
    assert not cache.covers("s", "k", start=first, end=date(2024, 2, 15))
    assert not Cache(tmp_path, last).covers("s", "k", start=first, end=last)
    assert Cache(tmp_path, last).covers("s", "k", start=first, end=date(2024, 2, 13))
    (path,) = tmp_path.rglob("*.parquet")
    path.write_bytes(b"PAR1")
    assert cache.days("s", "k") is None
    assert Cache(None).days("s", "k") is None


def test_an_answer_that_was_put_together_is_kept_in_place_of_the_one_that_is_there(tmp_path):
    cache, days = Cache(tmp_path), (date(2024, 2, 10), date(2024, 2, 14))
    assert cache.held_range("s", "k") is None
    for frame in (FRAME, FRAME.head(1)):
        cache.keep("s", "k", frame=frame, days=days)
        found, last = cache.held_range("s", "k")
        assert found.equals(frame) and last == days[1]
    cache.get("s", "other", fetch=lambda: FRAME)
    assert cache.held_range("s", "other") is None  # of no days


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


@pytest.mark.parametrize(("text", "passes"), [
    ("抱歉，您每分钟最多访问该接口200次", True), ("频率超限(200次/分钟)", True), ("访问频繁，请稍后再试", True),
    ("每日指标接口超时，请稍后再试", True), ("Read timed out.", True), ("频率超限(1次/小时)", False), ("频率超限(5次/天)", False),
    ("抱歉，您每小时最多访问该接口1次", False), ("抱歉，您每天最多访问该接口5次", False),
    ("超过了每日最大查询限制：100万条", False), ("频率超限(1次/ 日)", False), ("您没有权限", False)])  # fmt: skip
def test_a_limit_of_the_account_does_not_pass(waits, text, passes):
    def refuse():
        raise Exception(text)

    with pytest.raises(UnansweredError if passes else RefusedError) as error:
        with_retries(refuse, attempts=3, wait=1.0)
    assert_one_line(error, text)
    assert waits == ([1.0, 2.0] if passes else [])


def test_a_busy_source_that_says_how_long_is_given_that_long(waits):
    troubles = [BusyError("no", wait=60.0), BusyError("no", wait=3.0), BusyError("no")]

    def call():
        if troubles:
            raise troubles.pop(0)
        return FRAME

    assert with_retries(call, attempts=4, wait=2.0) is FRAME
    assert waits == [60.0, 4.0, 8.0]


def test_a_refusal_says_what_to_do_about_it():
    def refuse():
        raise RefusalError("no", "buy points")

    with pytest.raises(RefusedError) as error:
        with_retries(refuse, what="a call")
    assert str(error.value) == "a call: the source refuses: no; buy points"


@pytest.mark.parametrize(("troubles", "empty"), [
    ([EmptyAnswerError("nothing")] * 3, True), ([EmptyAnswerError("nothing"), NO_NETWORK, EmptyAnswerError("nothing")], False),
    ([BusyError("an error page")] * 3, False)])  # fmt: skip
def test_nothing_but_empty_answers_is_told_from_no_answer(troubles, empty):
    troubles = troubles[:]

    def call():
        raise troubles.pop(0)

    with pytest.raises(UnansweredError) as error:
        with_retries(call, attempts=3, what="a call", advice="come back tomorrow")
    assert error.value.empty is empty
    assert_one_line(error, "a call: 3 answers without rows" if empty else "a call: no answer in 3 attempts", "come back tomorrow")


def test_what_is_wrong_as_a_whole_and_an_interruption_are_not_tried_again(waits, capsys):
    for trouble in (DataError("wrong columns"), KeyboardInterrupt()):
        def call(trouble=trouble):
            raise trouble

        with pytest.raises(type(trouble)):
            with_retries(call)
    assert waits == []
    print("seen")
    assert capsys.readouterr().out == "seen\n"  # the screen is there again


def test_a_server_that_is_silent_is_not_waited_for_for_ever():
    requests = pytest.importorskip("requests")
    send = requests.adapters.HTTPAdapter.send
    with socket.create_server(("127.0.0.1", 0)) as silent, requests.Session() as session:
        session.trust_env = False
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(requests.exceptions.ReadTimeout) as error, retries.http_timeout(0.05):
            session.get(url)
        assert retries.is_temporary(error.value)
        with pytest.raises(requests.exceptions.ReadTimeout, match="timeout=0.02"), retries.http_timeout(600):
            session.get(url, timeout=0.02)  # its own
    assert requests.adapters.HTTPAdapter.send is send


def test_pauses_are_as_long_as_a_readers(waits, monkeypatch):
    times = iter([0.0, 1.0, 1.0, 50.0, 50.0])
    monkeypatch.setattr(clock, "monotonic", lambda: next(times))
    monkeypatch.setattr(retries.random, "uniform", lambda least, most: (least + most) / 2)
    pause = Pauses(3.0, 5.0)
    for _ in range(3):
        pause()
    assert waits == [3.0, 0.0]  # a second of the four was over, then all
    assert (pause.seconds_per_call, pause.pace) == (4.0, "a call every 3 to 5 s")


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


@pytest.mark.parametrize(("now", "last"), [((17, 29), 29), ((17, 30), 1), ((23, 59), 1)])
def test_from_which_hour_on_a_day_is_complete_is_the_sources_own(monkeypatch, now, last):
    monkeypatch.setattr(clock, "now", lambda: datetime(2024, 3, 1, *now))
    assert download.download_range(Request(end=date(2024, 3, 9)), time(17, 30))[1].day == last


@pytest.mark.parametrize(("seconds", "text"), [
    (0.2, "1 s"), (89, "89 s"), (90, "2 minutes"), (4200, "70 minutes"), (5400, "1.5 hours")])  # fmt: skip
def test_durations(seconds, text):
    assert download.duration(seconds) == text


@pytest.mark.parametrize(("calls", "held", "note", "text"), [
    (0, 12, "", "a: nothing to ask for; 12 answers are in the cache"),
    (100, 0, "", "a: about 100 calls, 60 calls in 60 s: about 2 minutes"),
    (12_200, 1_000, "2,000 points", "a: about 12,200 calls, 60 calls in 60 s: about 3.4 hours; 1,000 answers are in the cache; "
     "2,000 points; an interruption costs nothing, the same command goes on")])  # fmt: skip
def test_what_a_download_will_cost_is_said(calls, held, note, text):
    said = []
    download.Download("a", Request(say=said.append), Throttle(60, 60.0)).announce(calls, held, note)
    assert said == [text]


@pytest.mark.parametrize("since", [None, date(2024, 2, 1)])
def test_days_on_which_a_stock_is_suspended_are_told_from_an_answer_that_lacks(tmp_path, waits, since):
    rows_until, fetch = "2024-02-12", Fetch()
    source = download.Download("a", Request(cache=tmp_path), Throttle(60, 60.0), attempts=2)

    def ask():
        return source.get_range("bars", "x", date(2024, 2, 13), date(2024, 2, 14), few(fetch, rows_until), "date", True, since)

    if since is None:
        with pytest.raises(UnansweredError) as error:
            ask()
        assert error.value.empty
        assert fetch.asked == [(13, 14)] * 2
        return
    for _ in range(2):
        assert not len(ask())
    assert fetch.asked == [(13, 14), (1, 14)]  # there are rows before, so that none of these days is true; and it is kept


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


# -------------------------------------------------------------------------- the delisting period


def periods(delisted, days, end=date(2025, 12, 31), name="退市甲", paused=()):
    """Which days of a stock are marked, one table a day."""
    stocks = pd.DataFrame({"code": ["a", "b"], "name": [name, "乙"], "delisted": pd.to_datetime([delisted, None])})
    derived = DerivedPeriods(stocks.astype({"delisted": "datetime64[s]"}), end)
    tables = []
    for day in days:
        table = pd.DataFrame({"date": pd.to_datetime([day, day]).astype("datetime64[s]"), "code": ["a", "b"],
                              "paused": np.array([day in paused, False], "uint8")})  # fmt: skip
        table.attrs["source"] = str(day)
        tables.append(derived.mark(table))
    tables += derived.rest()
    found = pd.concat(tables)
    assert sorted(rows(found, "date", "code")) == sorted((day, code) for day in days for code in "ab")
    assert found["delisting_period"].dtype == "uint8"
    assert not found.loc[found["code"] == "b", "delisting_period"].any()
    assert all(table.attrs["source"] for table in tables)
    return [day.date() for day in found.loc[found["delisting_period"] == 1, "date"]]


def open_days(first, last):
    return [day.date() for day in pd.bdate_range(first, last)]


@pytest.mark.parametrize(("delisted", "count"), [
    (date(2024, 6, 28), 15), (date(2022, 1, 4), 15), (date(2021, 12, 31), 30), (date(2020, 6, 30), 30)])  # fmt: skip
def test_the_delisting_period_is_the_last_15_days_and_was_30(delisted, count):
    days = [day for day in open_days(delisted.replace(year=delisted.year - 1), delisted) if day < delisted]
    assert periods(delisted, days) == days[-count:]


@pytest.mark.parametrize("name", ["甲股份", "*ST甲", "甲股份(退)"])
def test_a_stock_whose_last_name_says_no_delisting_period_had_none(name):
    assert periods(date(2024, 6, 28), open_days("2024-05-01", "2024-06-27"), name=name) == []


def test_suspended_days_are_in_the_period_and_do_not_count():
    days = open_days("2024-05-01", "2024-06-27")
    paused = days[-10:-7]
    assert periods(date(2024, 6, 28), days, paused=paused) == days[-18:]
    assert periods(date(2024, 6, 28), days, paused=days[-3:]) == days[-18:]


def test_a_stock_that_ended_some_days_before_its_delisting():
    assert periods(date(2024, 6, 28), open_days("2024-05-01", "2024-06-21")) == open_days("2024-06-03", "2024-06-21")


def test_a_stock_with_fewer_days_than_the_period():
    days = open_days("2024-06-20", "2024-06-27")
    assert periods(date(2024, 6, 28), days) == days


@pytest.mark.parametrize(("end", "marked"), [
    ("2024-06-14", 6), ("2024-06-07", 1), ("2024-06-06", 0), ("2024-05-10", 0), ("2024-06-27", 15)])  # fmt: skip
def test_a_download_that_ends_before_the_delisting_has_the_days_until_then(end, marked):
    days = open_days("2024-05-01", end)
    found = periods(date(2024, 6, 28), days, end=date.fromisoformat(end))  # from the 7th of June on
    assert found == days[len(days) - marked:]


def test_a_download_that_ends_between_the_last_day_of_a_stock_and_its_delisting_has_the_whole_period():
    days = open_days("2024-05-01", "2024-06-21")
    assert periods(date(2024, 6, 28), days, end=date(2024, 6, 24)) == days[-15:]


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
