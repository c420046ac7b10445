"""The rules of a run, written out slowly and plainly: the referee that the plugin is compared with.

It shares no code with the plugin. It walks the canonical table day by day with dictionaries and counts
money in exact fractions, so a tie at half a cent, or a purchase that costs the budget to the last cent,
is decided by arithmetic and never by the binary error of a float. Only the results are floats. (The
square root of the market impact is exact where it is rational, and right to forty digits elsewhere.)
"""

from dataclasses import dataclass, field
from fractions import Fraction

import pandas as pd

from tests.support.oracle_orders import Orders
from tests.support.oracle_rules import (  # noqa: F401 - the tests take the rules from here too
    CHINEXT,
    HALF_TICK,
    MAIN,
    STAR,
    Lot,
    Position,
    board_of,
    dividend_tax_rate,
    exact,
    known,
    legal_buy,
    limit_rates,
    months_later,
    price_limits,
    round_half_up,
    square_root,
)


@dataclass
class OracleResult:
    """What a run did: one dict per fill, per day, per refusal and per corporate action."""

    trades: list = field(default_factory=list)
    equity: list = field(default_factory=list)
    rejections: list = field(default_factory=list)
    actions: list = field(default_factory=list)


# ---------------------------------------------------------------------------------- limits at the open


def limits_at_open(row, code, date, listed_day, delisting_day=0):
    """Give (high, low) of the day as `price_limits`, but none computed where the open proves that it does not hold."""
    computed = price_limits({**row, "high_limit": None, "low_limit": None}, code, date, listed_day, delisting_day)
    opening = exact(row["open"])
    high, low = computed
    if high is not None and not low - HALF_TICK <= opening <= high + HALF_TICK:
        row = {**row, "preclose": None}  # only what the data itself says counts
    return price_limits(row, code, date, listed_day, delisting_day)


# ------------------------------------------------------------------------------------------- one run


class Run(Orders):
    """One run: the table as dictionaries, the account, and the days walked in order."""

    def __init__(self, table, options):
        self.options = options
        self.joinquant = options["profile"] == "joinquant"
        self.columns = set(table.columns)
        self.rows = {}  # date -> code -> row
        self.first_row = {}  # code -> date
        self.last_row = {}  # code -> date
        for record in table.to_dict("records"):
            date = pd.Timestamp(record["date"]).date()
            code = record["code"]
            day = self.rows.setdefault(date, {})
            if code in day:
                raise ValueError(f"{code} has two rows on {date}")
            day[code] = record
            self.first_row[code] = min(date, self.first_row.get(code, date))
            self.last_row[code] = max(date, self.last_row.get(code, date))
        self.calendar = sorted(self.rows)
        self.day_number = {date: number for number, date in enumerate(self.calendar)}
        self.cash = exact(options["cash"])
        self.positions = []  # in the order in which they were opened
        self.traded = {}  # (date, code) -> shares bought and sold on that day
        self.result = OracleResult()

    # -- looking things up

    def row(self, date, code):
        """Give the row of a stock on a day, or None."""
        return self.rows[date].get(code)

    def last_close(self, date, code, include_today):
        """Give the close of the stock's last row up to a day, or before it."""
        number = self.day_number[date] if include_today else self.day_number[date] - 1
        while number >= 0:
            row = self.row(self.calendar[number], code)
            if row is not None:
                return exact(row["close"])
            number -= 1
        raise LookupError(f"{code} has no row before {date}")

    def listed_day(self, date, code):
        """Number the days since the listing, from 1; None if it was listed before the table begins."""
        if self.first_row[code] == self.calendar[0]:
            return None
        return self.day_number[date] - self.day_number[self.first_row[code]] + 1

    def delisting_day(self, date, code):
        """Give 1 on the first day of the delisting period, told by the stock's row before; else 0."""
        if self.row(date, code).get("delisting_period") != 1:
            return 0
        for day in reversed(self.calendar[: self.day_number[date]]):
            before = self.row(day, code)
            if before is not None:
                return 1 if before["delisting_period"] == 0 else 0
        return 0  # the data begins inside the period

    def limits(self, date, code, row):
        """Give (high, low) of a stock on a day."""
        return limits_at_open(row, code, date, self.listed_day(date, code), self.delisting_day(date, code))

    def held(self, code):
        """Give the position in a stock, or None."""
        for position in self.positions:
            if position.code == code:
                return position
        return None

    # -- the days

    def walk(self):
        """Walk the days of the run in order."""
        start, end = self.options["start"], self.options["end"]
        days = [
            date
            for date in self.calendar[1:]  # the first day of the data has no previous day
            if (start is None or date >= start) and (end is None or date <= end)
        ]
        for n, today in enumerate(days):
            yesterday = self.calendar[self.day_number[today] - 1]
            if n > 0:
                self.pay_out_delisted(yesterday, today)
                self.apply_ex_rights(today)
            if n % self.options["refresh_rate"] == 0:
                self.rebalance(today, yesterday)
            self.mark(today)
        return self.result

    def pay_out_delisted(self, yesterday, today):
        """Turn the positions into cash whose stock has had its last row so many trading days ago."""
        for position in list(self.positions):
            last = self.last_row[position.code]
            without = self.day_number[yesterday] - self.day_number[last]  # days without a row until yesterday
            if without >= self.options["delist_wait"]:
                haircut = {"last_close": 0, "zero": 1}.get(self.options["delist"], self.options["delist"])
                close = self.last_close(yesterday, position.code, include_today=True)
                paid = position.shares * close * (1 - exact(haircut))
                self.cash += paid
                self.positions.remove(position)
                self.reject(yesterday, position.code, "SELL", "delisted")
                self.act(today, position.code, position.shares, 0, paid)  # the day on which the money is there

    def apply_ex_rights(self, today):
        """Credit dividends and new shares of the positions held over the last close."""
        mode = self.options["ex_rights"]
        if mode == "off":
            return
        explicit = mode == "auto" and ("cash_dividend" in self.columns or "share_ratio" in self.columns)
        for position in list(self.positions):
            row = self.row(today, position.code)
            if row is None:
                continue
            before, paid = position.shares, Fraction(0)
            if explicit and (known(row.get("cash_dividend")) or known(row.get("share_ratio"))):
                # The dividend is for the shares held before the split.
                if known(row.get("cash_dividend")):
                    paid = before * exact(row["cash_dividend"])
                    if self.options["dividend_tax"] == "holding":
                        position.pay_dividend(today, exact(row["cash_dividend"]))
                    else:
                        paid *= 1 - exact(self.options["dividend_tax"])
                if known(row.get("share_ratio")):
                    position.scale(exact(row["share_ratio"]))
            elif known(row.get("preclose")) and row["preclose"] > 0:
                preclose = exact(row["preclose"])
                last_close = self.last_close(today, position.code, include_today=False)
                if abs(preclose - last_close) > HALF_TICK:
                    position.scale(last_close / preclose)
                    fraction = max(before * last_close / preclose - position.shares, Fraction(0))
                    paid = fraction * preclose
            self.cash += paid
            if position.shares != before or paid:
                self.act(today, position.code, before, position.shares, paid)
            if position.shares == 0:
                self.positions.remove(position)

    def rebalance(self, today, yesterday):
        """Sell everything that can be sold, then buy the picks."""
        for position in list(self.positions):
            self.sell(today, position)
        stocknum = self.options["stocknum"]
        picks = self.picks(today, yesterday)
        free = stocknum - len(self.positions)
        if free <= 0:
            return
        budget = self.cash / free  # once: the same for every buy of the day
        for code in picks:
            if len(self.positions) >= stocknum:
                break
            self.buy(today, code, budget)

    def picks(self, today, yesterday):
        """Give the smallest companies inside the range that may be traded today."""
        candidates = []
        for code, row in self.rows[today].items():
            before = self.row(yesterday, code)
            if row["paused"] == 1 or row["is_st"] == 1 or before is None:
                continue
            if row.get("delisting_period") == 1:
                continue
            if board_of(code) not in (MAIN, CHINEXT, STAR):
                continue
            cap = before["market_cap"]
            # A NaN is in no range.
            if self.options["min_cap"] <= cap <= self.options["max_cap"]:
                candidates.append((cap, code))
        return [code for _, code in sorted(candidates)[: self.options["stocknum"]]]

    def mark(self, today):
        """Write the day's row of the equity."""
        value = Fraction(0)
        for position in self.positions:
            value += position.shares * self.last_close(today, position.code, include_today=True)
        self.result.equity.append(
            {
                "date": today,
                "cash": float(self.cash),
                "market_value": float(value),
                "total_value": float(self.cash + value),
            }
        )


PROFILE_DEFAULTS = {
    "realistic": {
        "stamp_duty": "dated",
        "transfer_fee": "dated",
        "slippage": 0.002,
        "min_slippage_ticks": 1.0,
        "volume_limit": 0.1,
        "dividend_tax": "holding",
        "star_protection": 0.02,
    },
    "joinquant": {
        "stamp_duty": 0.001,
        "transfer_fee": 0.0,
        "slippage": 0.00246,
        "min_slippage_ticks": 0.0,
        "volume_limit": 0.0,
        "dividend_tax": 0.2,
        "star_protection": 0.0,
    },
}


def run_oracle(
    table,
    *,
    profile="realistic",
    stocknum=3,
    refresh_rate=5,
    cash=1_000_000.0,
    min_cap=2e9,
    max_cap=3e9,
    commission=0.0003,
    min_commission=5.0,
    stamp_duty=None,
    transfer_fee=None,
    slippage=None,
    slippage_ticks=0.0,
    min_slippage_ticks=None,
    impact=0.0,
    volume_limit=None,
    star_protection=None,
    delist="last_close",
    delist_wait=60,
    ex_rights="auto",
    dividend_tax=None,
    start=None,
    end=None,
):
    """Run the rules over a canonical table.

    None stands for the profile's own value. `stamp_duty` and `transfer_fee` are a rate or "dated"; a rate
    of stamp duty is for sales. `volume_limit` 0 means none, `star_protection` 0 too. `delist` is last_close,
    zero, or the part of the last close that is lost, `delist_wait` trading days after the stock's last row;
    `dividend_tax` is a rate on the ex-date, or "holding".
    Dates may be text.
    """
    if profile not in PROFILE_DEFAULTS:
        raise ValueError(f"profile {profile!r}: expected one of {sorted(PROFILE_DEFAULTS)}")
    if delist not in ("last_close", "zero") and not 0 <= delist < 1:
        raise ValueError(f"delist {delist!r}: expected last_close, zero or a part of the last close")
    if ex_rights not in ("auto", "reinvest", "off"):
        raise ValueError(f"ex_rights {ex_rights!r}: expected auto, reinvest or off")
    defaults = PROFILE_DEFAULTS[profile]
    options = {
        "profile": profile,
        "stocknum": stocknum,
        "refresh_rate": refresh_rate,
        "cash": cash,
        "min_cap": min_cap,
        "max_cap": max_cap,
        "commission": commission,
        "min_commission": min_commission,
        "stamp_duty": stamp_duty,
        "transfer_fee": transfer_fee,
        "slippage": slippage,
        "slippage_ticks": slippage_ticks,
        "min_slippage_ticks": min_slippage_ticks,
        "impact": impact,
        "volume_limit": volume_limit,
        "star_protection": star_protection,
        "delist": delist,
        "delist_wait": delist_wait,
        "ex_rights": ex_rights,
        "dividend_tax": dividend_tax,
        "start": None if start is None else pd.Timestamp(start).date(),
        "end": None if end is None else pd.Timestamp(end).date(),
    }
    for name, value in defaults.items():
        if options[name] is None:
            options[name] = value
    return Run(table, options).walk()
