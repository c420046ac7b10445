"""Raw answers as columns, and answers that the user saved as files."""

from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.sources import answers
from bt_microcap.feeds.sources.saved import SavedAnswers, canonical_code
from tests.support.stand_ins import assert_one_line, rows

FRAME = pd.DataFrame({"date": ["2024-02-28", "2024-02-29"], "close": ["1.5", ""]})


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
