"""What the downloads share: retries, politeness, tables."""

import json
import socket
from datetime import date, datetime, time

import pandas as pd
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.sources import Request, answers, clock, download, retries
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
from tests.support.stand_ins import NO_NETWORK, NOW, assert_one_line, rows

FRAME = pd.DataFrame({"date": ["2024-02-28", "2024-02-29"], "close": ["1.5", ""]})


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    found = []
    monkeypatch.setattr(clock, "sleep", found.append)
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return found


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
    (60, 0, "", "a: about 60 calls, 60 calls in 60 s: about 60 s"),
    (12_200, 1_000, "2,000 points", "a: about 12,200 calls, 60 calls in 60 s: about 3.4 hours; 1,000 answers are in the cache; "
     "2,000 points; an interruption costs nothing, the same command goes on")])  # fmt: skip
def test_what_a_download_will_cost_is_said(calls, held, note, text):
    said = []
    download.Download("a", Request(say=said.append), Throttle(60, 60.0)).announce(calls, held, note)
    assert said == [text]


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
