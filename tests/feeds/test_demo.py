"""The synthetic market keeps the exchange's rules and holds every case that a run must survive."""

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.demo import demo_market

BASE = ["date", "code", "open", "high", "low", "close", "preclose", "volume", "amount", "market_cap", "is_st"]
BASE += ["paused"]


@pytest.fixture(scope="module")
def market():
    """The default market with explicit corporate actions, and what the tests derive from it per row."""
    frame = demo_market(corporate_actions=True)
    by_code = frame.groupby("code", observed=True)
    days = np.sort(frame["date"].unique())
    day = np.searchsorted(days, frame["date"])
    frame["last_close"] = by_code["close"].shift()
    frame["gap"] = pd.Series(day).groupby(frame["code"], observed=True).diff()
    frame["board"] = frame["code"].astype(str).map(board_of)
    high, low = limits(frame)
    frame["up"], frame["down"] = high, low
    frame.attrs["days"] = days
    return frame


def board_of(code):
    if code.endswith("BJSE"):
        return "bse"
    return {"68": "star", "30": "chinext"}.get(code[:2], "main")


def limits(frame):
    """The day's limits in fen, worked out in integers apart from the code under test."""
    percent = np.where(frame["is_st"] == 1, 5, 10)
    wide = frame["date"] >= "2020-08-24"
    percent = np.where((frame["board"] == "chinext") & wide, 20, percent)
    percent = np.where(frame["board"] == "star", 20, percent)
    percent = np.where(frame["board"] == "bse", 30, percent)
    preclose = fen(frame["preclose"])
    high = (preclose * (100 + percent) + 50) // 100
    low = (preclose * (100 - percent) + 50) // 100
    return np.maximum(high, preclose + 1), np.minimum(low, preclose - 1)


def fen(price):
    return np.rint(np.asarray(price) * 100).astype(np.int64)


def lives(frame):
    return frame.groupby("code", observed=True)["date"].agg(["min", "max"])


# ---- the table ----


def test_columns_and_types():
    frame = demo_market(stocks=40, days=60)
    assert list(frame.columns) == BASE
    assert frame["date"].dtype.kind == "M"
    assert frame["volume"].dtype == np.int64
    assert all(frame[name].dtype == np.float64 for name in ("open", "close", "preclose", "market_cap"))
    assert not frame.isna().any().any()
    assert frame["date"].nunique() == 60
    assert frame["code"].nunique() == 40


def test_sorted_by_date_then_code_without_duplicates(market):
    assert not market.duplicated(["date", "code"]).any()
    keys = pd.MultiIndex.from_arrays([market["date"], market["code"].astype(str)])
    assert keys.is_monotonic_increasing


def test_trading_days_are_weekdays_outside_the_long_holidays(market):
    days = pd.DatetimeIndex(market.attrs["days"])
    assert (days.day_of_week < 5).all()
    assert days[0] == pd.Timestamp("2019-01-02")
    assert days[-1] < pd.Timestamp("2023-01-02")
    assert not ((days.month == 10) & (days.day <= 7)).any()
    assert not days.isin(pd.date_range("2021-02-11", "2021-02-17")).any()
    assert 235 < len(days) / 4 < 255


def test_same_arguments_same_market():
    pd.testing.assert_frame_equal(demo_market(60, days=200, seed=5), demo_market(60, days=200, seed=5))


def test_another_seed_is_another_market():
    one, two = demo_market(60, days=200, seed=5), demo_market(60, days=200, seed=6)
    assert one["code"].astype(str).unique().tolist() != two["code"].astype(str).unique().tolist()
    assert len(one) != len(two) or not np.allclose(one["close"], two["close"])


def test_global_random_state_is_left_alone():
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    demo_market(20, days=30)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_optional_columns_leave_the_market_as_it_is():
    plain = demo_market(60, days=200)
    full = demo_market(60, days=200, corporate_actions=True, fundamentals=True)
    assert list(full.columns) == [*BASE, "cash_dividend", "share_ratio", "roe", "net_profit"]
    pd.testing.assert_frame_equal(plain, full[BASE])
    assert (full.loc[full["is_st"] == 1, "roe"] < 0).all()
    assert ((full["net_profit"] > 0) == (full["roe"] > 0)).mean() > 0.99
    assert np.isfinite(full[["roe", "net_profit"]]).all().all()


@pytest.mark.parametrize("arguments", [{"stocks": 0}, {"stocks": 10**6}, {"days": 1}, {"years": 0}])
def test_sizes_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match="must"):
        demo_market(**arguments)


@pytest.mark.parametrize(("stocks", "days"), [(1, 2), (1, 50), (3, 5), (10, 10), (25, 30)])
def test_tiny_markets_are_whole(stocks, days):
    frame = demo_market(stocks, days=days)
    assert frame["date"].nunique() == days
    assert (frame["low"] <= frame["close"]).all()


# ---- prices and volumes ----


def test_open_and_close_lie_between_low_and_high(market):
    for price in ("open", "close"):
        assert (market["low"] <= market[price]).all()
        assert (market[price] <= market["high"]).all()
    assert (market["low"] > 0).all()


def test_prices_are_whole_fen(market):
    for price in ("open", "high", "low", "close", "preclose"):
        assert np.array_equal(market[price], np.round(market[price], 2))
    assert market["close"].between(1, 200).mean() > 0.97


def test_prices_stay_within_the_limits(market):
    for price in ("open", "high", "low", "close"):
        assert (fen(market[price]) <= market["up"]).all()
        assert (fen(market[price]) >= market["down"]).all()


@pytest.mark.parametrize("start", ["2010-01-04", "2026-01-05"])
def test_prices_stay_within_the_widest_limits_of_other_years(start):
    frame = demo_market(80, start, days=240)
    wide = frame["code"].astype(str).map(board_of).map({"main": 0.1, "chinext": 0.2, "star": 0.2, "bse": 0.3})
    room = frame["preclose"] * wide + 0.011
    assert ((frame["high"] - frame["preclose"]) <= room).all()
    assert ((frame["preclose"] - frame["low"]) <= room).all()


def test_volumes_and_amounts_agree(market):
    assert (market["volume"] % 100 == 0).all()
    traded = market[market["volume"] > 0]
    average = traded["amount"] / traded["volume"]
    assert (average >= traded["low"] - 0.01).all()
    assert (average <= traded["high"] + 0.01).all()
    assert (traded["volume"] * traded["close"] <= 0.51 * traded["market_cap"]).all()


def test_preclose_is_the_last_close_or_the_ex_rights_price(market):
    rows = market.dropna(subset="last_close")
    expected = (rows["last_close"] - rows["cash_dividend"]) / rows["share_ratio"]
    assert (abs(rows["preclose"] - expected) <= 0.005 + 1e-9).all()
    ordinary = (rows["cash_dividend"] == 0) & (rows["share_ratio"] == 1)
    assert (rows.loc[ordinary, "preclose"] == rows.loc[ordinary, "last_close"]).all()


def test_share_bonuses_keep_the_market_cap_whole(market):
    before = market.groupby("code", observed=True)["market_cap"].shift() / market["last_close"]
    after = market["market_cap"] / market["close"]
    known = before.notna()
    assert np.allclose((after / before)[known], market.loc[known, "share_ratio"], rtol=1e-6)


# ---- every awkward case is there ----


def test_all_boards_are_there(market):
    stocks = market.drop_duplicates("code")["board"].value_counts()
    assert set(stocks.index) == {"main", "chinext", "star", "bse"}
    assert stocks["main"] > 100
    first = market.groupby("board")["date"].min()
    assert first["star"] >= pd.Timestamp("2019-07-22")
    assert first["bse"] >= pd.Timestamp("2021-11-15")


def test_boards_that_are_not_open_yet_have_no_stocks():
    codes = demo_market(100, "2012-01-04", days=100)["code"].astype(str).unique()
    assert {board_of(code) for code in codes} == {"main", "chinext"}
    assert len(codes) == 100


def test_late_listings(market):
    assert (lives(market)["min"] > market.attrs["days"][0]).sum() >= 20


def test_delisted_stocks_stop_before_the_end(market):
    assert (lives(market)["max"] < market.attrs["days"][-1]).sum() >= 5


def test_most_delistings_follow_a_fall_and_an_st_spell(market):
    end = lives(market)["max"]
    gone = market[market["code"].isin(end.index[end < market.attrs["days"][-1]])]
    stories = gone.groupby("code", observed=True).agg(st=("is_st", "max"), last_st=("is_st", "last"))
    assert 0.5 < stories["st"].mean() < 1  # the others are mergers, which come without a warning
    assert (stories["last_st"] == 0).all()  # the delisting period is no ST spell
    codes = stories.index[stories["st"] == 1]
    cap = gone.pivot(index="date", columns="code", values="market_cap")[codes].ffill()
    assert (cap.iloc[-1] / cap.max() < 0.6).all()


def test_survivors_have_a_row_on_the_last_day(market):
    # a stock that is merely suspended on the last day must not look like a delisting
    last = market[market["date"] == market.attrs["days"][-1]]
    assert (last["volume"] > 0).all()


def test_st_spells_come_and_go(market):
    assert set(market["is_st"].unique()) == {0, 1}
    assert 0.005 < market["is_st"].mean() < 0.1
    turns = market.groupby("code", observed=True)["is_st"].diff()
    assert (turns == 1).sum() >= 5
    assert (turns == -1).sum() >= 5


def test_st_on_the_main_board_has_the_narrow_limit(market):
    rows = market[(market["is_st"] == 1) & (market["board"] == "main") & (market["volume"] > 0)]
    change = rows["close"] / rows["preclose"] - 1
    assert abs(change).max() < 0.06
    assert (fen(rows["close"]) == rows["down"]).sum() > 0


def test_suspensions_with_rows_repeat_the_last_close(market):
    rows = market[market["paused"] == 1]
    assert len(rows) > 100
    for price in ("open", "high", "low", "close", "preclose"):
        assert (rows[price] == rows["last_close"]).all()
    assert (rows["volume"] == 0).all()
    assert (rows["amount"] == 0).all()
    assert (market.loc[market["paused"] == 0, "volume"] > 0).all()


def test_suspensions_without_rows(market):
    assert (market["gap"] > 1).sum() > 50


def test_limit_days(market):
    traded = market[market["volume"] > 0]
    rises, falls = fen(traded["close"]) == traded["up"], fen(traded["close"]) == traded["down"]
    assert 0.002 < rises.mean() < 0.03
    assert 0.002 < falls.mean() < 0.03


@pytest.mark.parametrize("side", ["up", "down"])
def test_opens_at_the_limit_and_locked_days(market, side):
    traded = market[market["volume"] > 0]
    opens = traded[fen(traded["open"]) == traded[side]]
    locked = opens["high"] == opens["low"]
    broken = fen(opens["close"]) != opens[side]
    assert locked.sum() > 20
    assert broken.sum() > 20
    assert (~locked & ~broken).sum() > 20


def test_ex_dates_from_dividends_and_from_bonuses(market):
    assert ((market["cash_dividend"] > 0) & (market["share_ratio"] == 1)).sum() > 100
    assert (market["share_ratio"] > 1).sum() > 20
    rows = market.dropna(subset="last_close")
    assert (abs(rows["preclose"] - rows["last_close"]) > 0.005).sum() > 100
    assert (market.loc[market["paused"] == 1, "cash_dividend"] == 0).all()


def test_short_markets_hold_the_same_cases():
    frame = demo_market(120, days=120, corporate_actions=True)
    life, days = lives(frame), np.sort(frame["date"].unique())
    assert (life["min"] > days[0]).any()
    assert (life["max"] < days[-1]).any()
    assert (frame["is_st"] == 1).any()
    assert (frame["paused"] == 1).any()
    assert (frame["cash_dividend"] > 0).any()


# ---- plausible as a market ----


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_band_is_populated_and_its_smallest_stocks_change(seed):
    frame = demo_market(seed=seed)
    share = frame["market_cap"].between(2e9, 3e9).groupby(frame["date"]).mean()
    assert 0.15 < share.mean() < 0.30
    assert share.min() > 0.08
    assert share.max() < 0.40
    band = frame[frame["market_cap"].between(2e9, 3e9) & (frame["is_st"] == 0)]
    smallest = band.sort_values("market_cap").groupby("date").head(3)
    assert smallest["code"].nunique() > 50


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_market_neither_explodes_nor_dies(seed):
    frame = demo_market(seed=seed)
    daily = (frame["close"] / frame["preclose"] - 1).groupby(frame["date"]).mean()
    index = (1 + daily).cumprod()
    assert 0.6 < index.iloc[-1] < 3
    assert (index / index.cummax()).min() < 0.85
    assert 0.10 < daily.std() * np.sqrt(243) < 0.40
    # calm and wild times: absolute returns follow one another
    assert abs(daily).rolling(20).mean().max() > 2 * abs(daily).rolling(20).mean().min()
