"""The rules of a run, written out slowly and plainly: the referee that the plugin is compared with.

It shares no code with the plugin. It walks the canonical table day by day with dictionaries and counts
money in exact fractions, so a tie at half a cent, or a purchase that costs the budget to the last cent,
is decided by arithmetic and never by the binary error of a float. Only the results are floats. (The
square root of the market impact is exact where it is rational, and right to forty digits elsewhere.)
"""

import calendar
import datetime as dt
import math
from dataclasses import dataclass, field
from fractions import Fraction

import pandas as pd

CENT = Fraction(1, 100)
HALF_TICK = Fraction(1, 200)  # the tick is 0.01 yuan
TINY = Fraction(1, 10**9)  # tolerance of every "fits" and "floor" that the rules give one

MAIN, CHINEXT, STAR, BSE = "main", "ChiNext", "STAR", "BSE"

CHINEXT_REFORM = dt.date(2020, 8, 24)  # ChiNext: 20 %, and five free days
MAIN_REFORM = dt.date(2023, 4, 10)  # main board: five free days
ST_REFORM = dt.date(2026, 7, 6)  # main board, ST: 10 % instead of 5 %
FREE_DAYS = 5

# Dividend tax by the day of the dividend: (first ex-date, up to a month, up to a year, longer).
DIVIDEND_TAX = (
    (dt.date(2015, 9, 8), Fraction(20, 100), Fraction(10, 100), Fraction(0)),
    (dt.date(2013, 1, 1), Fraction(20, 100), Fraction(10, 100), Fraction(5, 100)),
    (dt.date(2005, 6, 13), Fraction(10, 100), Fraction(10, 100), Fraction(10, 100)),
)


@dataclass
class OracleResult:
    """What a run did: one dict per fill, per day, per refusal and per corporate action."""

    trades: list = field(default_factory=list)
    equity: list = field(default_factory=list)
    rejections: list = field(default_factory=list)
    actions: list = field(default_factory=list)


@dataclass
class Lot:
    """Shares bought in one fill, as long as they are held."""

    bought_on: dt.date
    shares: int
    dividends: list = field(default_factory=list)  # (ex-date, yuan received on the shares still here)


@dataclass
class Position:
    """Shares held of one stock."""

    code: str
    lots: list  # oldest first

    @property
    def shares(self):
        """Count the shares of all lots."""
        return sum(lot.shares for lot in self.lots)

    @property
    def bought_on(self):
        """Give the day of the last purchase: T+1 counts from it."""
        return self.lots[-1].bought_on

    def pay_dividend(self, date, per_share):
        """Note what each lot receives; give the sum."""
        for lot in self.lots:
            lot.dividends.append((date, lot.shares * per_share))
        return self.shares * per_share

    def scale(self, factor):
        """Multiply the shares, whole shares only; a lot gets what the floors of the running sums leave it."""
        before = after = 0
        for lot in self.lots:
            before += lot.shares
            reached = math.floor(before * factor + TINY)
            lot.shares = reached - after
            after = reached

    def take(self, shares, date):
        """Take shares out, first in first out; give the tax on the dividends that they had received."""
        tax = Fraction(0)
        while shares > 0:
            lot = self.lots[0]
            taken = min(shares, lot.shares)
            part = Fraction(taken, lot.shares) if lot.shares else Fraction(1)
            kept = []
            for ex_date, amount in lot.dividends:
                tax += dividend_tax_rate(ex_date, lot.bought_on, date) * amount * part
                kept.append((ex_date, amount * (1 - part)))
            lot.dividends = kept
            lot.shares -= taken
            shares -= taken
            if lot.shares == 0:
                self.lots.pop(0)
        return tax


# ---------------------------------------------------------------------------------------------- numbers


def exact(number):
    """Give the number that a person reads: 10.03 is 1003/100, not the nearest binary fraction."""
    if isinstance(number, Fraction):
        return number
    return Fraction(repr(float(number)))


def known(number):
    """Tell whether there is a value at all (absent column: None; empty cell: NaN)."""
    return number is not None and number == number


def round_half_up(money):
    """Round to the cent, a tie upwards."""
    return Fraction(math.floor(exact(money) * 100 + Fraction(1, 2)), 100)


def square_root(number):
    """Give the root of a fraction: exact where there is one, else to forty digits."""
    top, bottom = math.isqrt(number.numerator), math.isqrt(number.denominator)
    if top * top == number.numerator and bottom * bottom == number.denominator:
        return Fraction(top, bottom)
    scale = 10**40
    return Fraction(math.isqrt(number.numerator * scale * scale // number.denominator), scale)


def months_later(date, months):
    """Give the same day some months later; the last of the month where it has no such day."""
    year, month = divmod(date.year * 12 + date.month - 1 + months, 12)
    return dt.date(year, month + 1, min(date.day, calendar.monthrange(year, month + 1)[1]))


# ------------------------------------------------------------------------------- the exchange's rules


def board_of(code):
    """Name the board of a code; None for what is no A share we know (B shares, funds)."""
    number, _, exchange = code.partition(".")
    if exchange == "XSHG" and number.startswith(("688", "689")):
        return STAR
    if exchange == "XSHG" and number.startswith("60"):
        return MAIN
    if exchange == "XSHE" and number.startswith(("300", "301")):
        return CHINEXT
    if exchange == "XSHE" and number.startswith("00"):
        return MAIN
    if exchange == "BJSE":
        return BSE
    return None


def limit_rates(board, is_st, date, listed_day):
    """Give (up, down) as parts of preclose, or None on a day without a limit.

    `listed_day` is 1 on the day of listing and None for a stock that was there from the start.
    The rule that counts is the one in force on `date`.
    """
    if listed_day is not None:
        if board == BSE:
            free_days = 1
        elif (
            board == STAR
            or (board == CHINEXT and date >= CHINEXT_REFORM)
            or (board == MAIN and date >= MAIN_REFORM)
        ):
            free_days = FREE_DAYS
        else:
            free_days = 0
        if listed_day <= free_days:
            return None
        if free_days == 0 and listed_day == 1:
            return Fraction(44, 100), Fraction(36, 100)
    if board == BSE:
        rate = Fraction(30, 100)
    elif board == STAR or (board == CHINEXT and date >= CHINEXT_REFORM):
        rate = Fraction(20, 100)  # ST too
    elif board == CHINEXT:
        rate = Fraction(5, 100) if is_st else Fraction(10, 100)
    else:
        rate = Fraction(5, 100) if is_st and date < ST_REFORM else Fraction(10, 100)
    return rate, rate


def price_limits(row, code, date, listed_day):
    """Give (high, low) of the day; None where there is no limit.

    An explicit limit counts before a computed one, each side for itself.
    """
    high = low = None
    preclose = row.get("preclose")
    if known(preclose) and preclose > 0:
        rates = limit_rates(board_of(code), row["is_st"] == 1, date, listed_day)
        if rates is not None:
            reference = exact(preclose)
            # A limit is at least one tick away, or a stock of a few cents could never move.
            high = max(round_half_up(reference * (1 + rates[0])), reference + CENT)
            low = max(min(round_half_up(reference * (1 - rates[1])), reference - CENT), CENT)  # the lowest price there is
    if known(row.get("high_limit")):
        high = exact(row["high_limit"])
    if known(row.get("low_limit")):
        low = exact(row["low_limit"])
    return high, low


def stamp_duty_rate(date, side):
    """Give the stamp duty in force: before 2008-09-19 the buyer paid too."""
    if date >= dt.date(2023, 8, 28):
        return Fraction("0.0005") if side == "SELL" else Fraction(0)
    if date >= dt.date(2008, 9, 19):
        return Fraction("0.001") if side == "SELL" else Fraction(0)
    if date >= dt.date(2008, 4, 24):
        return Fraction("0.001")
    if date >= dt.date(2007, 5, 30):
        return Fraction("0.003")
    return Fraction(0)  # before the first record of the rules


def transfer_fee_rate(date, code):
    """Give the transfer fee in force, the same on both sides."""
    if code.endswith("BJSE") and date < dt.date(2022, 4, 29):
        return Fraction("0.000025")
    if date >= dt.date(2022, 4, 29):
        return Fraction("0.00001")
    if date >= dt.date(2015, 8, 1):
        return Fraction("0.00002")
    return Fraction(0)  # before the first record of the rules


def dividend_tax_rate(ex_date, bought_on, sold_on):
    """Give the tax on a dividend by the time that the shares were held."""
    for since, month, year, longer in DIVIDEND_TAX:
        if ex_date >= since:
            if sold_on <= months_later(bought_on, 1):
                return month
            return year if sold_on <= months_later(bought_on, 12) else longer
    raise LookupError(f"no dividend tax is known for {ex_date}")


def legal_buy(board, shares):
    """Round a number of shares down to one that may be bought."""
    if shares <= 0:
        return 0
    if board == STAR:
        return shares if shares >= 200 else 0
    if board == BSE:
        return shares if shares >= 100 else 0
    return shares // 100 * 100


def legal_sale(board, shares, held):
    """Round a number of shares down to one that may be sold out of `held`."""
    if shares >= held:
        return held  # the whole position, an odd lot included
    if board in (STAR, BSE):
        return max(shares, 0)
    return max(shares, 0) // 100 * 100


# ------------------------------------------------------------------------------------------- one run


class Run:
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
        """Turn the positions whose last row was yesterday into cash."""
        for position in list(self.positions):
            last = self.last_row[position.code]
            if last == yesterday and last < self.calendar[-1]:
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

    # -- orders

    def sell(self, today, position):
        """Sell a position whole, as far as the exchange lets us."""
        code = position.code
        row = self.row(today, code)
        if row is None or row["paused"] == 1:
            return self.reject(today, code, "SELL", "suspended")
        if not row["volume"] > 0:
            return self.reject(today, code, "SELL", "no volume")
        if position.bought_on == today:
            return self.reject(today, code, "SELL", "bought today")
        high, low = price_limits(row, code, today, self.listed_day(today, code))
        if low is not None and exact(row["open"]) <= low + HALF_TICK:
            return self.reject(today, code, "SELL", "limit down")
        quantity = position.shares
        at_most = self.volume_cap(row)
        if at_most is not None:
            quantity = legal_sale(board_of(code), at_most, position.shares)
        price = self.fill_price(row, "SELL", quantity)
        if self.slipped(code, row, price, high, low):
            return self.reject(today, code, "SELL", "slipped past the limit")
        if quantity < position.shares:
            self.reject(today, code, "SELL", "volume limit")
        if quantity > 0:
            dividend_tax = position.take(quantity, today)
            self.fill(today, code, "SELL", quantity, price, dividend_tax)
            if position.shares == 0:
                self.positions.remove(position)
        return None

    def buy(self, today, code, budget):
        """Buy a pick for the budget, as far as the exchange and the cash let us."""
        row = self.row(today, code)
        if row is None or row["paused"] == 1:
            return self.reject(today, code, "BUY", "suspended")
        if not row["volume"] > 0:
            return self.reject(today, code, "BUY", "no volume")
        if self.joinquant and code.startswith(("688", "689")):
            return self.reject(today, code, "BUY", "star market order")
        high, low = price_limits(row, code, today, self.listed_day(today, code))
        if high is not None and exact(row["open"]) >= high - HALF_TICK:
            return self.reject(today, code, "BUY", "limit up")
        if self.joinquant:
            wanted = self.joinquant_size(exact(row["open"]), budget)
        else:
            wanted = self.realistic_size(today, code, row, budget)
        if wanted <= 0:
            return self.reject(today, code, "BUY", "below one lot")
        quantity = wanted
        at_most = self.volume_cap(row)
        if at_most is not None and at_most < wanted:
            quantity = legal_buy(board_of(code), at_most)
        price = self.fill_price(row, "BUY", quantity)
        if self.slipped(code, row, price, high, low):
            return self.reject(today, code, "BUY", "slipped past the limit")
        if quantity < wanted:
            self.reject(today, code, "BUY", "volume limit")
        if quantity > 0:
            self.fill(today, code, "BUY", quantity, price)
            position = self.held(code)
            if position is None:
                self.positions.append(Position(code, [Lot(today, quantity)]))
            else:  # topped up: it keeps its place in the order
                position.lots.append(Lot(today, quantity))
        return None

    def joinquant_size(self, opening, budget):
        """Size by the raw open, without slippage and fee: cash may end below zero."""
        if budget <= 0:
            return 0
        shares = math.floor(budget / opening)
        if shares * opening > self.cash:
            shares = math.floor(self.cash / opening)
        return legal_buy(MAIN, shares)

    def realistic_size(self, today, code, row, budget):
        """Find the most shares that the money pays for, at the price of so many shares, fees and all."""
        money = min(budget, self.cash)
        board = board_of(code)

        def affordable(shares):
            value = shares * self.fill_price(row, "BUY", shares)
            return value + sum(self.fees(today, code, "BUY", value)) <= money + TINY

        # More shares never cost less: halve the range until one number is left.
        least, most = 0, max(0, math.floor((money + TINY) / self.fill_price(row, "BUY", 0)))
        while least < most:
            middle = (least + most + 1) // 2
            if affordable(middle):
                least = middle
            else:
                most = middle - 1
        return legal_buy(board, least)

    def fill_price(self, row, side, shares):
        """Move the open against us: half the slippage, the impact of so many shares, and the ticks."""
        volume, share = exact(row["volume"]), exact(shares)
        if self.options["volume_limit"]:
            share = min(share, exact(self.options["volume_limit"]) * volume)
        share /= volume
        move = exact(self.options["slippage"]) / 2 + exact(self.options["impact"]) * square_root(share)
        ticks = exact(self.options["slippage_ticks"]) * CENT
        opening = exact(row["open"])
        moved = opening * (1 + move) + ticks if side == "BUY" else opening * (1 - move) - ticks
        return max(round_half_up(moved), CENT)

    def slipped(self, code, row, price, high, low):
        """Tell whether a fill lies outside the day's limits, or past the protective price that STAR asks for."""
        if high is not None and price > high + HALF_TICK:
            return True
        if low is not None and price < low - HALF_TICK:
            return True
        protection = exact(self.options["star_protection"])
        if protection and board_of(code) == STAR:
            opening = exact(row["open"])
            return abs(price - opening) > protection * opening + HALF_TICK
        return False

    def volume_cap(self, row):
        """Give the most shares of an order that the day's volume allows; None for no such limit."""
        fraction = self.options["volume_limit"]
        if not fraction:
            return None
        return math.floor(exact(fraction) * exact(row["volume"]))

    def fees(self, today, code, side, value):
        """Give commission, tax and transfer fee of one order, none of them rounded."""
        commission = max(exact(self.options["min_commission"]), exact(self.options["commission"]) * value)
        duty = self.options["stamp_duty"]
        if duty == "dated":
            tax = stamp_duty_rate(today, side) * value
        else:
            tax = exact(duty) * value if side == "SELL" else Fraction(0)
        transfer = self.options["transfer_fee"]
        transfer_rate = transfer_fee_rate(today, code) if transfer == "dated" else exact(transfer)
        return commission, tax, transfer_rate * value

    def fill(self, today, code, side, quantity, price, dividend_tax=0):
        """Move the money and write the trade."""
        value = quantity * price
        commission, tax, transfer_fee = self.fees(today, code, side, value)
        tax += dividend_tax
        self.cash += value if side == "SELL" else -value
        self.cash -= commission + tax + transfer_fee
        self.result.trades.append(
            {
                "date": today,
                "code": code,
                "side": side,
                "quantity": int(quantity),
                "price": float(price),
                "commission": float(commission),
                "tax": float(tax),
                "transfer_fee": float(transfer_fee),
            }
        )

    def reject(self, date, code, side, reason):
        """Write a refusal, whole or in part."""
        self.result.rejections.append({"date": date, "code": code, "side": side, "reason": reason})

    def act(self, date, code, before, after, cash):
        """Write what happened to a holding without an order."""
        self.result.actions.append(
            {"date": date, "code": code, "before": before, "after": after, "cash": float(cash)}
        )


PROFILE_DEFAULTS = {
    "realistic": {
        "stamp_duty": "dated",
        "transfer_fee": "dated",
        "slippage": 0.002,
        "volume_limit": 0.1,
        "dividend_tax": "holding",
        "star_protection": 0.02,
    },
    "joinquant": {
        "stamp_duty": 0.001,
        "transfer_fee": 0.0,
        "slippage": 0.00246,
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
    impact=0.0,
    volume_limit=None,
    star_protection=None,
    delist="last_close",
    ex_rights="auto",
    dividend_tax=None,
    start=None,
    end=None,
):
    """Run the rules over a canonical table.

    None stands for the profile's own value. `stamp_duty` and `transfer_fee` are a rate or "dated"; a rate
    of stamp duty is for sales. `volume_limit` 0 means none, `star_protection` 0 too. `delist` is last_close,
    zero, or the part of the last close that is lost; `dividend_tax` is a rate on the ex-date, or "holding".
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
        "impact": impact,
        "volume_limit": volume_limit,
        "star_protection": star_protection,
        "delist": delist,
        "ex_rights": ex_rights,
        "dividend_tax": dividend_tax,
        "start": None if start is None else pd.Timestamp(start).date(),
        "end": None if end is None else pd.Timestamp(end).date(),
    }
    for name, value in defaults.items():
        if options[name] is None:
            options[name] = value
    return Run(table, options).walk()
