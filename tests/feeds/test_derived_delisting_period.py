"""The delisting period where the last name and the day of the delisting alone are known."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.sources.delisting import DerivedPeriods
from tests.support.stand_ins import rows


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


@pytest.mark.parametrize(("end", "begun"), [("2024-06-14", 6), ("2024-06-07", 1), ("2024-06-06", 0), ("2024-06-27", 15)])
def test_a_download_that_ends_before_the_delisting_marks_what_has_begun_and_some_days_before(end, begun):
    days = open_days("2024-05-01", end)
    found = periods(date(2024, 6, 28), days, end=date.fromisoformat(end))  # it begins on the 7th of June
    assert found == days[len(days) - len(found):]
    # a holiday, and the days between its last one and the delisting, are not known: rather some days too many
    assert begun <= len(found) <= min(15, begun + 8)


def test_a_download_that_ends_long_before_the_delisting_marks_nothing():
    assert periods(date(2024, 6, 28), open_days("2024-04-01", "2024-05-10"), end=date(2024, 5, 10)) == []


def test_a_download_that_ends_between_the_last_day_of_a_stock_and_its_delisting_has_the_whole_period():
    days = open_days("2024-05-01", "2024-06-21")
    assert periods(date(2024, 6, 28), days, end=date(2024, 6, 24)) == days[-15:]
