"""The cache of downloads: what is kept, what is asked for again."""

from datetime import date

import pandas as pd
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.sources import Request, clock, download
from bt_microcap.feeds.sources import cache as cache_module
from bt_microcap.feeds.sources.cache import Cache
from bt_microcap.feeds.sources.retries import EmptyAnswerError, Throttle, UnansweredError
from tests.support.stand_ins import NOW, assert_one_line

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
