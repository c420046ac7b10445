"""Small random markets in the canonical layout, and a hand-made one, for the tests.

`markets()` draws a table, `run_options()` the keyword arguments of a run, `cases()` both. Only the shape of a
market is drawn by hypothesis; its numbers come from NumPy generators, one per stock, seeded with the
market's seed and the stock's number. So a table of forty days costs a few milliseconds, and when hypothesis
takes away a stock or the last days, the rest of the market stays as it was.

Prices are counted in cents (integers) until the table is built: no price has a third decimal.
"""

import datetime as dt
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from hypothesis import strategies as st

MAX_DAYS = 40

# First days of a market: most of them a few days before a rule changes.
STARTS = (
    dt.date(2015, 8, 3),  # the dated transfer fee begins on 2015-08-01
    dt.date(2015, 8, 24),  # dividends tax-free after a year from 2015-09-08
    dt.date(2018, 3, 1),
    dt.date(2019, 9, 2),
    dt.date(2020, 8, 10),  # ChiNext 20 % from 2020-08-24
    dt.date(2021, 11, 1),
    dt.date(2022, 4, 15),  # transfer fee halved on 2022-04-29
    dt.date(2023, 3, 27),  # main board: five free days from 2023-04-10
    dt.date(2023, 8, 14),  # stamp duty halved on 2023-08-28
    dt.date(2024, 11, 1),
    dt.date(2026, 6, 22),  # ST 10 % from 2026-07-06
    dt.date(2026, 8, 20),
)

# prefix, exchange, first day on which such a stock can exist, weight
BOARDS = (
    ("600", "XSHG", dt.date(1990, 1, 1), 4),
    ("603", "XSHG", dt.date(1990, 1, 1), 2),
    ("000", "XSHE", dt.date(1990, 1, 1), 3),
    ("002", "XSHE", dt.date(1990, 1, 1), 3),
    ("300", "XSHE", dt.date(1990, 1, 1), 4),
    ("301", "XSHE", dt.date(2020, 8, 24), 1),
    ("688", "XSHG", dt.date(2019, 7, 22), 4),
    ("689", "XSHG", dt.date(2020, 10, 29), 1),
    ("430", "BJSE", dt.date(2021, 11, 15), 1),
    ("920", "BJSE", dt.date(2024, 4, 22), 1),
)


@dataclass(frozen=True)
class Shape:
    """What is drawn about a market as a whole."""

    seed: int
    stocks: int
    days: int
    start: dt.date
    preclose: bool = True  # has the column
    dividends: bool = False  # has the column cash_dividend
    ratios: bool = False  # has the column share_ratio
    limits: bool = False  # has the columns high_limit and low_limit
    amount: bool = False  # has the column amount
    cap_step: float = 0.0  # market caps are multiples of it: ties, and values on the bounds
    nan_caps: bool = False  # a market cap is missing now and then
    wild: bool = False  # everything rare is frequent
    delisting: bool = False  # has the column delisting_period
    gap: int = 0  # calendar days that are left out once in the middle: holdings of more than a month or a year


@st.composite
def markets(draw, min_stocks=3, max_stocks=12, min_days=8, max_days=MAX_DAYS):
    """Draw a canonical table."""
    start = draw(st.sampled_from(STARTS))
    return build(
        Shape(
            seed=draw(st.integers(0, 2**32 - 1)),
            stocks=draw(st.integers(min_stocks, max_stocks)),
            days=draw(st.integers(min_days, max_days)),
            start=start,
            preclose=draw(st.sampled_from((True,) * 9 + (False,))),
            dividends=draw(st.booleans()),
            ratios=draw(st.booleans()),
            limits=draw(st.booleans()),
            amount=draw(st.booleans()),
            cap_step=draw(st.sampled_from((0.0, 5e7, 2.5e8, 5e8))),
            nan_caps=draw(st.booleans()),
            wild=draw(st.booleans()),
            delisting=draw(st.sampled_from((False, False, True))),
            # No rule is known beyond 2026.
            gap=draw(st.sampled_from((0, 0, 0, 0, 25, 340))) if start.year < 2025 else 0,
        )
    )


@st.composite
def run_options(draw):
    """Draw the keyword arguments of a run, without start and end; what is left out keeps its default."""
    options = {
        "profile": draw(st.sampled_from(("realistic", "joinquant"))),
        "stocknum": draw(st.integers(1, 5)),
        "refresh_rate": draw(st.integers(1, 6)),
        "cash": draw(st.sampled_from((1_000_000.0, 100_000.0, 12_345.67, 30_000.0, 3_000.0, 400.0, 5e7))),
        # A market has forty days: with the default of 60 nothing is ever booked out.
        "delist_wait": draw(st.sampled_from((0, 0, 1, 2, 5, 60))),
    }
    rare = {
        "min_cap": st.sampled_from((0.0, 1.5e9, 2.25e9)),
        "max_cap": st.sampled_from((2.5e9, 4e9, 1e12)),
        "commission": st.sampled_from((0.0, 0.00025, 0.003)),
        "min_commission": st.sampled_from((0.0, 0.1, 25.0)),
        "stamp_duty": st.sampled_from(("dated", 0.0, 0.001, 0.0005)),
        "transfer_fee": st.sampled_from(("dated", 0.0, 0.00002)),
        "slippage": st.sampled_from((0.0, 0.002, 0.00246, 0.02, 0.0003)),
        "slippage_ticks": st.sampled_from((1.0, 0.5, 3.0)),
        "min_slippage_ticks": st.sampled_from((0.0, 1.0, 2.0, 0.5)),
        "impact": st.sampled_from((0.1, 0.03, 1.0, 0.5)),
        "volume_limit": st.sampled_from((0.25, 0.0, 0.1, 0.01, 0.0005, 1.0)),
        "star_protection": st.sampled_from((0.0, 0.005, 0.02, 0.001)),
        "delist": st.sampled_from(("zero", 0.3, 0.0, 0.77)),
        "ex_rights": st.sampled_from(("reinvest", "off", "auto")),
        "dividend_tax": st.sampled_from((0.0, 0.1, "holding", "holding")),
    }
    for name, values in rare.items():
        if draw(st.integers(0, 3)) == 3:
            options[name] = draw(values)
    return options


@st.composite
def cases(draw, **shape):
    """Draw a table and the keyword arguments of a run over it, sometimes with start and end."""
    table = draw(markets(**shape))
    options = draw(run_options())
    dates = [stamp.date() for stamp in table["date"].drop_duplicates()]
    if draw(st.integers(0, 3)) == 3:
        # The range need not begin on a trading day, nor inside the table.
        earlier = dt.timedelta(days=draw(st.integers(0, 2)))
        options["start"] = dates[draw(st.integers(0, len(dates) // 2))] - earlier
    if draw(st.integers(0, 3)) == 3:
        options["end"] = dates[draw(st.integers(len(dates) // 2, len(dates) - 1))]
    return table, options


# ------------------------------------------------------------------------------------ building a market


def build(shape):
    """Build the canonical table of a shape."""
    dates = _trading_days(shape)
    rows = []
    for number in range(shape.stocks):
        rows.extend(_stock_rows(shape, number, dates))
    table = pd.DataFrame(rows)
    table["date"] = pd.to_datetime(table["date"]).astype("datetime64[ns]")
    for column in ("is_st", "paused"):
        table[column] = table[column].astype("int64")
    return table.sort_values(["date", "code"], kind="stable").reset_index(drop=True)


def _trading_days(shape):
    """Give the trading days: weekdays with a holiday of some days once in a while."""
    rng = np.random.default_rng([shape.seed, 999_983])
    days, day, gap = [], shape.start, shape.gap
    while len(days) < MAX_DAYS:
        if gap and len(days) == shape.days // 2:
            day, gap = day + dt.timedelta(days=gap), 0
        if day.weekday() < 5:
            days.append(day)
            if rng.random() < 0.04:
                day += dt.timedelta(days=int(rng.integers(1, 8)))
        day += dt.timedelta(days=1)
    return days[: shape.days]


def _code(rng, number, start):
    """Give a code that no other stock has; codes do not sort like the stocks' numbers."""
    possible = [board for board in BOARDS if board[2] <= start]
    weights = np.array([board[3] for board in possible], dtype=float)
    prefix, exchange, _, _ = possible[rng.choice(len(possible), p=weights / weights.sum())]
    return f"{prefix}{(number * 37 + 11) % 100:02d}{rng.integers(10)}.{exchange}"


def _limit_percent(code, st_day, date):
    """Give the day's usual limit, for the prices only: the referee has its own."""
    if code.endswith("BJSE"):
        return 30
    if code.startswith("68") or (code.startswith("30") and date >= dt.date(2020, 8, 24)):
        return 20
    return 5 if st_day and date < dt.date(2026, 7, 6) else 10


def _cents(preclose, percent):
    """Round a percentage of a price in cents half-up, in integers."""
    return (preclose * percent + 50) // 100


def _stock_rows(shape, number, dates):
    """Give the rows of one stock.

    Stock 0 lives from the first day to the last without a gap, so every date is in the table whatever the
    others do.
    """
    rng = np.random.default_rng([shape.seed, number])
    often = 3.0 if shape.wild else 1.0
    code = _code(rng, number, shape.start)
    first, last = 0, MAX_DAYS
    if number > 0 and rng.random() < 0.12 * often:
        first = int(rng.integers(1, 15))
    if number > 0 and rng.random() < 0.15 * often:
        last = max(first, int(rng.integers(2, 30)))
    close = int(100 * math.exp(rng.uniform(math.log(1.5), math.log(60))))
    if rng.random() < 0.1:
        close = int(rng.integers(3, 60))  # a stock of some cents: one tick is a long way
    shares = rng.uniform(1.7e9, 3.3e9) / (close / 100)
    st_day = rng.random() < 0.15
    pause_left, pause_as_row = 0, True
    liquid = 10 ** rng.uniform(4, 7)

    rows = []
    for index in range(MAX_DAYS):
        # A fixed block of numbers a day: whatever happens on one day, the next days draw the same ones.
        draws = rng.random(24)
        if index < first or index > last or index >= len(dates):
            continue
        date = dates[index]
        if draws[0] < 0.04:
            st_day = not st_day
        if pause_left > 0:
            pause_left -= 1
        elif draws[1] < 0.03 * often and index > first:
            pause_left = 1 + int(draws[2] * 5)
            pause_as_row = number == 0 or draws[3] < 0.5
        paused = pause_left > 0
        if paused and not pause_as_row:
            continue

        # Ex-date: the reference price is not the last close. Rarely on a suspended day too.
        dividend, ratio = math.nan, math.nan
        preclose = close
        if index > first and draws[4] < (0.01 if paused else 0.04) * often:
            if draws[5] < 0.6:
                dividend = round(close / 100 * 0.06 * draws[6], int(2 + draws[7] * 3))
            if draws[5] > 0.4:
                ratio = (1.1, 1.3, 1.5, 2.0, 1.45, 1.0333, 0.5, 4 / 3)[int(draws[8] * 8)]
            whole = 100 * dividend if dividend == dividend else 0.0
            factor = ratio if ratio == ratio else 1.0
            preclose = max(1, round((close - whole) / factor))
            shares *= factor
        elif draws[9] < 0.15:
            dividend, ratio = (0.0, math.nan)[int(draws[10] * 2)], 1.0  # explicit, but nothing happens

        percent = _limit_percent(code, st_day, date)
        high_limit = max(_cents(preclose, 100 + percent), preclose + 1)
        low_limit = max(1, min(_cents(preclose, 100 - percent), preclose - 1))
        if first > 0 and index - first < 5:  # newly listed: often without a limit
            high_limit, low_limit = _cents(preclose, 144), max(1, _cents(preclose, 64))

        if paused:
            # The mark of a suspended stock: the last close, or the new reference price on an ex-date.
            opening = high = low = close = preclose
            volume = 0
        else:
            span, floor, ceiling = high_limit - low_limit, low_limit, high_limit
            opening = _near(preclose, (draws[11] - 0.5) * 0.04, low_limit, high_limit)
            kind = draws[12]
            if kind < 0.05 * often:
                opening = high_limit
            elif kind < 0.10 * often:
                opening = low_limit
            elif kind < 0.13 * often:  # inside the limit, but a fill slips past it
                opening = max(low_limit, high_limit - 1)
            elif kind < 0.16 * often:
                opening = min(high_limit, low_limit + 1)
            elif kind < 0.18 * often:
                opening = low_limit + int(draws[13] * span)
            elif kind < 0.19 * often:  # far beyond the limits, as at a relisting: none holds
                opening = max(1, int(preclose * (0.4 if draws[13] < 0.3 else 1 + 3 * draws[13])))
                floor, ceiling = 1, 2 * opening
            close = _near(opening, (draws[14] - 0.5) * 0.08, floor, ceiling)
            high = max(opening, close, min(ceiling, max(opening, close) + int(draws[15] * 20)))
            low = min(opening, close, max(floor, min(opening, close) - int(draws[16] * 20)))
            volume = int(liquid * (0.3 + draws[17])) // 100 * 100
            if draws[18] < 0.02 * often:
                volume = 0  # traded by the calendar, but nothing changed hands
            elif draws[18] < 0.08:
                volume = int(draws[19] * 3000)

        cap = shares * close / 100
        if shape.cap_step:
            cap = max(1, round(cap / shape.cap_step)) * shape.cap_step
        if shape.nan_caps and draws[20] < 0.02:
            cap = math.nan
        row = {
            "date": date,
            "code": code,
            "open": opening / 100,
            "high": high / 100,
            "low": low / 100,
            "close": close / 100,
        }
        if shape.preclose:
            # The source does not always know it.
            row["preclose"] = math.nan if draws[21] < 0.01 else preclose / 100
        row["volume"] = float(volume)
        if shape.amount:
            row["amount"] = round(volume * (opening + close) / 200, 2)
        row["market_cap"] = float(cap)
        row["is_st"] = int(st_day)
        row["paused"] = int(paused)
        if shape.limits:
            known = draws[22] >= 0.1
            loose = 5 if draws[23] < 0.1 else 1  # the exchange lifted the limit
            row["high_limit"] = high_limit * loose / 100 if known else math.nan
            row["low_limit"] = max(1, low_limit // loose) / 100 if known else math.nan
        if shape.dividends:
            row["cash_dividend"] = dividend
        if shape.ratios:
            row["share_ratio"] = ratio
        if shape.delisting:
            row["delisting_period"] = int(last - 10 < index <= last)
        rows.append(row)
    return rows


def _near(price, move, low, high):
    """Move a price in cents, kept between two others."""
    return int(min(max(round(price * (1 + move)), low, 1), high))


# -------------------------------------------------------------------------------- a market made by hand


def bar(opening, close=None, *, cap=None, preclose=None, volume=1e6, st=0, **extra):
    """Describe one day of `tiny_market`; what is left out follows from the day before."""
    said = {"open": opening, "close": close, "cap": cap, "preclose": preclose, "volume": volume, "st": st}
    return {**said, **extra}


def paused(**extra):
    """Describe a suspended day that is in the table as a row."""
    return {"paused": 1, "volume": 0.0, **extra}


def tiny_market(stocks, start="2024-01-02", dates=None):
    """Build a canonical table from a compact literal.

    ``stocks`` maps a code to its days, one entry a trading day:

    - a number: the stock opens and closes there;
    - a pair: open and close;
    - ``bar(...)``: the same with more said; any further keyword becomes a column, NaN elsewhere;
    - ``paused()``: a suspended row, at the last close with volume 0;
    - ``None``: no row.

    A market cap holds until another is given (2.5e9 at first), preclose is the last close (at first the
    open) unless given. ``dates`` are the trading days; weekdays from ``start`` where they are not given.

    ::

        tiny_market({
            "600001.XSHG": [bar(10.0, cap=2.1e9), (10.2, 10.4), None, 10.3],
            "300001.XSHE": [bar(20.0, cap=2.2e9), paused(), 21.0, bar(22.0, cap=2.0e9)],
        })
    """
    length = max(len(days) for days in stocks.values())
    if dates is None:
        dates = pd.bdate_range(start, periods=length)
    dates = pd.DatetimeIndex(dates)
    rows = []
    for code, days in stocks.items():
        last_close, cap = None, 2.5e9
        for date, day in zip(dates, days, strict=False):
            if day is None:
                continue
            if isinstance(day, tuple):
                day = bar(*day)
            elif not isinstance(day, dict):
                day = bar(day)
            day = dict(day)
            opening = day.pop("open", None)
            opening = last_close if opening is None else opening
            close = day.pop("close", None)
            close = opening if close is None else close
            preclose = day.pop("preclose", None)
            if preclose is None:
                preclose = opening if last_close is None else last_close
            given_cap = day.pop("cap", None)
            cap = cap if given_cap is None else given_cap
            rows.append(
                {
                    "date": date,
                    "code": code,
                    "open": float(opening),
                    "high": float(max(opening, close)),
                    "low": float(min(opening, close)),
                    "close": float(close),
                    "preclose": float(preclose),
                    "volume": float(day.pop("volume")),
                    "market_cap": float(cap),
                    "is_st": int(day.pop("st", 0)),
                    "paused": int(day.pop("paused", 0)),
                    **day,
                }
            )
            last_close = close
    table = pd.DataFrame(rows)
    table["date"] = table["date"].astype("datetime64[ns]")
    return table.sort_values(["date", "code"], kind="stable").reset_index(drop=True)


def frame(**columns):
    for name in ('date', 'listed', 'delisted'):
        if name in columns:
            columns[name] = pd.to_datetime(columns[name])
    return pd.DataFrame(columns)
