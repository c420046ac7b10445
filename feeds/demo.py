"""A synthetic A-share market in the canonical layout: what a run uses when no data is given.

It is made, not recorded: the codes lie in the exchanges' ranges so that a board can be told from them, and
say nothing about the companies that really bear them. It holds every awkward thing a rotation strategy has
to survive: late listings, delistings, ST spells, suspensions with and without rows, limit days, opens at
the limit, locked days and ex-dates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["demo_market"]

# numbers from, to, exchange, share of the market, first day of the board; in the order of the codes' text
_BOARDS = (
    (1, 4_000, "XSHE", 0.30, "1990-12-01"),
    (300_001, 302_000, "XSHE", 0.24, "2009-10-30"),
    (600_000, 606_000, "XSHG", 0.32, "1990-12-01"),
    (688_001, 690_000, "XSHG", 0.10, "2019-07-22"),
    (830_000, 840_000, "BJSE", 0.04, "2021-11-15"),
)
_SZSE, _CHINEXT, _SSE, _STAR, _BSE = range(5)
_MAX_STOCKS = 6_000  # the real market has about 5,400; the code ranges above hold somewhat more
_YEAR = 243  # trading days
# Lunar new year as days after 1 January; the dates repeat, within a day, every 19 years. 2014 comes first.
_NEW_YEAR = (30, 49, 38, 27, 46, 35, 24, 42, 31, 21, 40, 28, 47, 36, 25, 43, 33, 22, 41)

_PULL = 0.46 / _YEAR  # a stock's cap returns to its own level with a half-life of about 1.5 years
_SPREAD = 0.40  # standing spread of log caps around that level: about daily noise / sqrt(2 * pull)
_DRIFT = 0.01 / _YEAR  # of the MEDIAN cap; an equal-weight index also earns half the variance and dividends
_RUN_UP, _RUN_DOWN, _RUN_ON = 0.0065, 0.0045, 0.45  # runs of limit days: begin up, begin down, go on
_FLOOR = 20.0  # fen; no price falls below
_FUND, _FUND_YIELD = "511880.XSHG", 0.022  # a money-market fund and what it earns a year; nothing is paid out


def demo_market(
    stocks: int = 300,
    start: str = "2019-01-02",
    years: float = 4,
    seed: int = 1,
    *,
    days: int | None = None,
    corporate_actions: bool = False,
    fundamentals: bool = False,
    fund: bool = False,
) -> pd.DataFrame:
    """Make a synthetic A-share market, the same for the same arguments.

    Listings, delistings and ST spells are placed relative to the length of the market, so that a short one
    has them too. A board that opens after (or just before) the market's end gives its share to the SZSE.
    New listings get the board's ordinary limits from their first day: real ones have wider ones or none.

    Parameters
    ----------
    stocks : int
        How many stocks are ever listed, 1 to 6,000.
    start : str
        First calendar day; the first trading day is this one or the next.
    years : float
        Length in calendar years; whole months are kept of a fraction.
    seed : int
        Seed of the random numbers.
    days : int, optional
        Length in trading days, instead of `years`.
    corporate_actions : bool
        Add `cash_dividend` (yuan per share before tax, 0 on other days) and `share_ratio` (new shares per
        old one, 1 on other days) on the ex-dates. `preclose` shows the ex-dates either way.
    fundamentals : bool
        Add `roe` (percent a year) and `net_profit` (yuan a quarter), new every 61 trading days.
    fund : bool
        Add one listed money-market fund, 511880.XSHG, on every day: about 100 yuan, to 0.001, rising by 2.2 % a year, without
        market cap or fundamentals. The stocks' rows stay as they are.

    Returns
    -------
    pandas.DataFrame
        One row per stock and trading day, by date then code: date (datetime64[ns]), code (categorical);
        open, high, low, close, preclose in yuan, raw, to 0.01; volume in shares, a multiple of 100; amount
        and market_cap in yuan; is_st and paused 0/1. The same prices come with and without what is optional.
        Every stock trades on the last day of its life, which is the market's last day for all but the delisted:
        a missing row is always a suspension.

    Raises
    ------
    ValueError
        When `stocks` or the length is out of range.
    """
    if not 1 <= stocks <= _MAX_STOCKS:
        raise ValueError(f"stocks must be 1 to {_MAX_STOCKS:,}, not {stocks}")
    dates = _trading_days(start, years, days)
    rng = np.random.default_rng(seed)
    plan = _make_plan(rng, stocks, dates)
    names = ["open", "high", "low", "close", "preclose", "volume", "amount", "market_cap", "is_st", "paused"]
    names += ["cash_dividend", "share_ratio"] if corporate_actions else []
    kinds = {"volume": np.int64, "is_st": np.uint8, "paused": np.uint8}
    room = int((plan.last - plan.first + 1).sum())  # less the rows that suspensions will leave out
    table = {name: np.empty(room, kinds.get(name, np.float64)) for name in names}
    code = np.empty(room, np.int16)
    counts = _simulate(rng, plan, dates, table, code)
    used = int(counts.sum())
    columns = {
        "date": np.repeat(dates.astype("datetime64[ns]"), counts),
        "code": pd.Categorical.from_codes(code[:used], categories=plan.codes),
        **{name: values[:used] for name, values in table.items()},
    }
    if fundamentals:
        columns.update(_fundamentals(seed, plan, counts, code[:used], columns["is_st"]))
    if fund:
        columns = _with_fund(seed, dates, counts, columns)
    # copy=False: pandas would otherwise gather the columns into one block, at twice the memory
    return pd.DataFrame(columns, copy=False)


def _trading_days(start: str, years: float, days: int | None) -> np.ndarray:
    """Weekdays less New Year's Day, a week from the eve of the lunar new year, and 1-7 October.

    An approximation: the real calendar moves some days about and has further holidays of a day or three.
    """
    first = pd.Timestamp(start)
    end = first + pd.DateOffset(months=round(12 * years))
    last_year = end.year if days is None else first.year + days // 230 + 1
    closed: list[np.datetime64] = []
    for year in range(first.year, last_year + 1):
        january, october = np.datetime64(f"{year}-01-01"), np.datetime64(f"{year}-10-01")
        eve = january + _NEW_YEAR[(year - 2014) % 19] - 1
        closed += [january, *(eve + np.arange(7)), *(october + np.arange(7))]
    begin = np.datetime64(first, "D")
    if days is None:
        days = int(np.busday_count(begin, np.datetime64(end, "D"), holidays=closed))
    if days < 2:
        raise ValueError(f"the market must have at least 2 trading days, not {days}")
    return np.busday_offset(begin, np.arange(days), roll="forward", holidays=closed)


@dataclass
class _Plan:
    """What is decided about each stock before the first day; day numbers count from 0."""

    codes: np.ndarray  # text, ascending
    board: np.ndarray  # index into _BOARDS
    first: np.ndarray  # day number of the first row
    last: np.ndarray  # day number of the last row
    st_from: np.ndarray  # first ST day
    st_to: np.ndarray  # the day after the last ST day
    st_fall: np.ndarray  # drift while ST, a day
    wind_up: np.ndarray  # length of the delisting period in days, 0 for stocks without one
    level: np.ndarray  # log yuan: the cap that the stock's own noise returns to
    price: np.ndarray  # fen: the close before the first row
    beta: np.ndarray  # weight of the market's return
    tilt: np.ndarray  # weight of the size factor, +1 small to -1 large
    noise: np.ndarray  # own volatility a day
    turnover: np.ndarray  # usual share of the stock traded in a day
    next_ex: np.ndarray  # day number from which the next ex-date is due


def _make_plan(rng: np.random.Generator, stocks: int, dates: np.ndarray) -> _Plan:
    """Draw boards, caps, lives and ST spells; quotas instead of chances, so that a small market has all."""
    n = len(dates)
    opens = np.array([np.searchsorted(dates, np.datetime64(b[4])) for b in _BOARDS])
    share = np.array([b[3] for b in _BOARDS])
    closed = opens > 0.9 * n
    share[_SZSE] += share[closed].sum()
    share[closed] = 0
    quota = np.floor(stocks * share).astype(int)
    if stocks >= 20:
        quota[~closed & (quota == 0)] = 1
    quota[_SZSE] += stocks - quota.sum()
    board = np.repeat(np.arange(len(_BOARDS)), quota)
    codes = [
        f"{number:06d}.{exchange}"
        for (low, high, exchange, _, _), count in zip(_BOARDS, quota, strict=True)
        for number in np.sort(rng.choice(np.arange(low, high), count, replace=False))
    ]

    # Nearly half are micro-caps whose levels straddle 2-3 billion yuan; centred on mid-run, since they drift.
    small = rng.random(stocks) < 0.60
    level = np.where(small, rng.normal(np.log(2.5e9), 0.25, stocks), rng.normal(np.log(8e9), 0.95, stocks))
    level -= _DRIFT * n / 2
    tilt = np.clip((np.log(6e9) - level) / 1.2, -1, 1)

    # Lives. A board that opens during the run brings its stocks then: many at the start, fewer later.
    years = n / _YEAR
    opened = opens[board]
    first = opened + (rng.random(stocks) ** 2 * (0.95 * n - opened) * (opened > 0)).astype(int)
    old = np.flatnonzero(first == 0)
    late = rng.choice(old, int(len(old) * np.clip(0.04 * years, 0.08, 0.4)), replace=False)
    first[late] = rng.integers(max(1, n // 20), max(2, int(0.9 * n)), len(late))
    old = np.flatnonzero(first == 0)
    many = min(max(2, int(stocks * np.clip(0.012 * years, 0.04, 0.2))), len(old) // 3)
    chance = np.where(small[old], 3.0, 1.0)
    doomed = rng.choice(old, many, replace=False, p=chance / chance.sum())
    last = np.full(stocks, n - 1)
    last[doomed] = np.clip((rng.uniform(0.3, 0.95, many) * n).astype(int), 0, n - 2)

    # One delisting in five is a merger, which comes without a warning; the others fall through an ST spell.
    failed = doomed[many // 5 :]
    wind_up = np.zeros(stocks, int)
    wind_up[failed] = np.minimum(15, last[failed] // 4)
    st_from, st_to, st_fall = np.full(stocks, n), np.full(stocks, n), np.zeros(stocks)
    st_to[failed] = last[failed] + 1 - wind_up[failed]
    st_from[failed] = np.maximum(2, st_to[failed] - rng.integers(60, 250, len(failed)))
    st_fall[failed] = -1.3 / np.maximum(60, st_to[failed] - st_from[failed])
    fine = np.setdiff1d(np.flatnonzero((last == n - 1) & (first < 0.7 * n)), failed)
    shaky = rng.choice(fine, min(len(fine), max(2, int(0.08 * stocks))), replace=False)
    length = np.minimum(rng.integers(80, 500, len(shaky)), max(2, int(0.4 * n)))
    st_from[shaky] = first[shaky] + (rng.random(len(shaky)) * (n - first[shaky] - 1)).astype(int)
    st_to[shaky] = st_from[shaky] + length
    st_fall[shaky] = -0.35 / np.maximum(60, length)

    # Most ex-dates fall between May and July; the rest are spread so that a short market has some as well.
    # A new listing has its first one after 60 days.
    summer = rng.random(stocks) < 0.7
    season = np.where(summer, rng.integers(85, 145, stocks), rng.integers(0, _YEAR, stocks))
    today = int((dates[0] - dates[0].astype("datetime64[Y]")).astype(int) * _YEAR / 365)
    next_ex = (season - today) % _YEAR
    next_ex += _YEAR * np.maximum(0, -((next_ex - first - 60) // _YEAR)) * (first > 0)
    return _Plan(
        codes=np.array(codes), board=board, first=first, last=last, st_from=st_from, st_to=st_to,
        st_fall=st_fall, wind_up=wind_up, level=level, tilt=tilt, next_ex=next_ex,
        price=np.rint(np.clip(100 * np.exp(rng.normal(np.log(12), 0.65, stocks)), 300, 12_000)),
        beta=rng.normal(1, 0.15, stocks),
        noise=rng.uniform(0.016, 0.024, stocks) + 0.002 * tilt,
        turnover=0.012 * np.exp(0.4 * rng.standard_normal(stocks) + 0.5 * tilt),
    )  # fmt: skip


def _make_path(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Market log return, that of small stocks over large ones, and volatility relative to its usual level.

    The market is a GARCH(1,1), so that calm and wild months follow one another.
    """
    shocks = rng.standard_t(6, n) / np.sqrt(1.5)
    usual = 0.0115**2
    now, market, activity = usual, np.empty(n), np.empty(n)
    for day, shock in enumerate(shocks):
        market[day] = np.sqrt(now) * shock
        activity[day] = np.sqrt(now / usual)
        now = 0.03 * usual + 0.89 * now + 0.08 * market[day] ** 2
    size = 0.005 * rng.standard_normal(n)
    # Most of the sampled trend is taken out: a demo that triples or dies by its seed would teach nothing.
    market += _DRIFT - 0.85 * market.mean()
    return market, size - size.mean(), np.sqrt(activity)


def _percent(board: np.ndarray, st: np.ndarray, date: np.datetime64) -> np.ndarray:
    """Daily limit in percent. It only shapes this synthetic market: the rules of a run are not kept here."""
    narrow = 10 if date >= np.datetime64("2026-07-06") else 5
    percent = np.where(st, narrow, 10)
    percent[board == _STAR] = 20
    percent[board == _BSE] = 30
    if date >= np.datetime64("2020-08-24"):
        percent[board == _CHINEXT] = 20
    return percent


def _simulate(
    rng: np.random.Generator, plan: _Plan, dates: np.ndarray, table: dict[str, np.ndarray], code: np.ndarray
) -> np.ndarray:
    """Walk through the days, all stocks at once; fill `table` and `code` and return the rows of each day.

    Prices are whole numbers of fen in float64 until they are stored, so that limits round half-up exactly.
    """
    stocks = len(plan.codes)
    counts = np.zeros(len(dates), int)
    close, shares = plan.price.copy(), np.ones(stocks)
    next_ex = plan.next_ex.copy()
    resume, hidden = np.full(stocks, -1), np.zeros(stocks, bool)
    run = np.zeros(stocks)  # +1, -1 while a run of limit days lasts
    market, size, activity = _make_path(rng, len(dates))
    market_level, size_level = np.cumsum(market) - market, np.cumsum(size) - size
    # Limit runs begin upwards more often: take out what that adds, else every stock would drift up.
    lift = (_RUN_UP - _RUN_DOWN) / (1 - _RUN_ON) * 0.1 * 0.85
    wind_down = plan.last + 1 - plan.wind_up
    row = 0
    for day, date in enumerate(dates):
        level = plan.level + plan.beta * market_level[day] + plan.tilt * size_level[day]
        new = np.flatnonzero(plan.first == day)
        if new.size:
            shares[new] = np.rint(np.exp(level[new] + rng.normal(0, _SPREAD, new.size)) / close[new] * 100)
        alive = (plan.first <= day) & (day <= plan.last)
        z, u = rng.standard_normal((5, stocks)), rng.random((2, stocks))

        # Suspensions; half of them leave no rows. They end by the last day, or would look like a delisting.
        notice = (plan.wind_up > 0) & (day == wind_down - 8)
        begins = ((u[0] < 0.0015) | notice) & (resume < day) & (plan.first < day) & (day < plan.last)
        if begins.any():
            at = np.flatnonzero(begins)
            length = np.where(notice[at], 8, 1 + np.minimum(rng.exponential(6, at.size), 60)).astype(int)
            resume[at] = np.minimum(day + length, plan.last[at])
            hidden[at] = rng.random(at.size) < 0.5
        trading = alive & (day >= resume)
        present = alive & (trading | ~hidden)
        st = (plan.st_from <= day) & (day < plan.st_to)

        # Ex-dates, once a year on a day that trades. ST and penny stocks pay nothing.
        preclose, cash, ratio = close.copy(), np.zeros(stocks), np.ones(stocks)
        due = trading & (next_ex <= day)
        if due.any():
            next_ex[due] += _YEAR
            at = np.flatnonzero(due & ~st & (close >= 300) & (day < wind_down))
            bonus = (close[at] >= 1500) & (rng.random(at.size) < 0.35)
            ratio[at] = np.where(bonus, rng.choice([1.2, 1.3, 1.4, 1.5, 2.0], at.size), 1.0)
            cash[at] = np.maximum(2, np.rint(2 * close[at] * rng.uniform(0.003, 0.03, at.size))) / 2
            preclose[at] = np.floor((close[at] - cash[at]) / ratio[at] + 0.5)
            shares[at] = np.rint(shares[at] * ratio[at])
        percent = _percent(plan.board, st, date)
        # at least one fen each way, and never below the floor
        high_limit = np.maximum(np.floor((preclose * (100 + percent) + 50) / 100), preclose + 1)
        low_limit = np.minimum(np.floor((preclose * (100 - percent) + 50) / 100), preclose - 1)
        low_limit = np.maximum(low_limit, _FLOOR)

        # An ordinary day: market, size, own noise, and the pull to the stock's own level.
        spread = plan.noise * activity[day] * np.where(day == resume, 2.5, 1.0)
        pull = _PULL * (level - np.log(shares * preclose / 100))
        move = plan.beta * market[day] + plan.tilt * size[day] - lift + spread * z[0]
        move += np.where(st, plan.st_fall, pull)
        move[(day >= wind_down) & (plan.wind_up > 0)] -= 0.02
        new_close = np.clip(np.rint(preclose * np.exp(move)), low_limit, high_limit)
        gap = 0.35 * move + 0.3 * spread * z[1]
        new_open = np.clip(np.rint(preclose * np.exp(gap)), low_limit, high_limit)

        # Runs of limit days, rarer where the limit is wide; a new ST stock and a delisting period start with
        # one. Some open at the limit, some of these break open again, some are locked all day.
        run *= u[1] < _RUN_ON
        chance = 10 / percent
        run[u[1] > 1 - (_RUN_UP + _RUN_DOWN) * chance] = -1
        run[u[1] > 1 - _RUN_UP * chance] = 1
        run[(day == plan.st_from) | ((day == wind_down) & (plan.wind_up > 0))] = -1
        at = np.flatnonzero((run != 0) & trading)
        kind, limit = rng.random(at.size), np.where(run > 0, high_limit, low_limit)[at]
        shut, opens, locked = kind < 0.85, (kind < 0.3) | (kind > 0.93), kind < 0.15
        new_close[at[shut]] = limit[shut]
        new_open[at[opens]] = limit[opens]
        high = np.maximum(new_open, new_close) * np.exp(0.6 * spread * np.abs(z[2]))
        low = np.minimum(new_open, new_close) * np.exp(-0.6 * spread * np.abs(z[3]))
        high = np.minimum(np.rint(high), high_limit)
        low = np.maximum(np.rint(low), low_limit)
        high[at[locked]] = low[at[locked]] = limit[locked]

        turnover = plan.turnover * activity[day] * np.exp(0.45 * z[4] + 8 * np.abs(move))
        turnover[at[locked]] *= 0.05
        volume = np.maximum(np.rint(shares * np.minimum(turnover, 0.5) / 100), 1) * 100
        amount = np.rint(volume * (new_open + high + low + new_close) / 4) / 100
        quiet = np.flatnonzero(present & ~trading)
        for price in (new_open, high, low):
            price[quiet] = close[quiet]
        volume[quiet] = amount[quiet] = 0
        close = np.where(trading, new_close, close)

        rows = np.flatnonzero(present)
        span = slice(row, row + rows.size)
        code[span] = rows
        today = {
            "open": new_open / 100, "high": high / 100, "low": low / 100, "close": close / 100,
            "preclose": preclose / 100, "volume": volume, "amount": amount, "is_st": st, "paused": ~trading,
            "market_cap": shares * close / 100, "cash_dividend": cash / 100, "share_ratio": ratio,
        }  # fmt: skip
        for name, column in table.items():
            column[span] = today[name][rows]
        counts[day] = rows.size
        row += rows.size
    return counts


def _fundamentals(
    seed: int, plan: _Plan, counts: np.ndarray, code: np.ndarray, is_st: np.ndarray
) -> dict[str, np.ndarray]:
    """`roe` in percent a year and `net_profit` in yuan a quarter; ST stocks make a loss."""
    # a stream of its own, so that asking for these columns leaves the prices as they are
    rng = np.random.default_rng([seed, 61])
    quarter = np.repeat(np.arange(len(counts)) // 61, counts)
    usual = rng.normal(7, 7, len(plan.codes))
    roe = (usual + rng.normal(0, 3, (quarter[-1] + 1, len(usual))))[quarter, code]
    roe = np.round(np.where(is_st == 1, -np.abs(roe) - 0.01, roe), 2)
    book = np.exp(plan.level) / rng.uniform(1.2, 5, len(usual))
    return {"roe": roe, "net_profit": np.round(book[code] * roe / 400, 2)}


def _with_fund(seed: int, dates: np.ndarray, counts: np.ndarray, columns: dict[str, Any]) -> dict[str, Any]:
    """Put the rows of the fund among those of the stocks, by date then code."""
    rng, n = np.random.default_rng([seed, 62]), len(dates)  # a stream of its own, as that of the fundamentals
    level = np.rint(1e5 * (1 + _FUND_YIELD) ** (np.arange(n + 1) / _YEAR) + np.append(0, rng.normal(0, 2, n)))  # 0.001 yuan
    before, close, opens = level[:-1], level[1:], np.rint((level[:-1] + level[1:]) / 2)
    high, low = (np.maximum(opens, close), np.minimum(opens, close)) + rng.integers(0, 3, n) * [[1], [-1]]
    volume = 100 * np.rint(np.exp(rng.normal(np.log(4e4), 0.25, n)))
    rows = {"open": opens / 1000, "high": high / 1000, "low": low / 1000, "close": close / 1000, "preclose": before / 1000,
            "volume": volume, "amount": np.rint(volume * (opens + high + low + close) / 40) / 100,
            "is_st": 0, "paused": 0, "cash_dividend": 0, "share_ratio": 1, "date": dates}  # fmt: skip
    code, end = columns["code"], np.cumsum(counts)
    number = int(np.searchsorted(code.categories, _FUND))
    at = end - np.diff(np.append(0, np.cumsum(code.codes >= number))[np.append(0, end)])  # before the later codes of the day
    codes = np.insert(code.codes + (code.codes >= number), at, number)
    columns["code"] = pd.Categorical.from_codes(codes, categories=code.categories.insert(number, _FUND))
    return {name: values if name == "code" else np.insert(values, at, rows.get(name, np.nan)) for name, values in columns.items()}
