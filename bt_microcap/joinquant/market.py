"""Turn a JoinQuant (聚宽) account's own log and positions into the market that it must have seen.

A log names no opens, no suspensions and no market caps, but its fills, refusals and marks leave little
choice. `implied_market` writes out the canonical table that they imply, so that a strategy with the
same rules, run over it with an ordinary market-cap screen, must repeat the log order by order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pandas as pd

from .log import LogOrder, starting_cash
from .positions import CorporateAction, ExportError, StaleMark, check_marks, share_ratio

NOMINAL_PRICE = 10.0  # of a stock of which nothing but a refusal is known
NOMINAL_VOLUME = 1e8  # shares: no order is cut by it
PICK_MARKET_CAP, PICK_CAP_STEP = 2.0e9, 1.0e6  # yuan: the first pick's cap is a step above the screen's lower end
UNSELECTED_MARKET_CAP = 1.0e12  # outside any micro-cap screen, and unlike NaN never filled from the day before
DIVIDEND_TAX_RATE = 0.2  # what JoinQuant keeps of a dividend


@dataclass
class ImpliedMarket:
    """The market that an export implies.

    Attributes
    ----------
    table : pandas.DataFrame
        Canonical rows, sorted by date and code.
    picks : dict of datetime.date to list of str
        For every day with orders, the codes in the order of the buy attempts.
    stale_marks : list of StaleMark
        Marks that the export contradicts. The table has them as printed.
    placeholders : list of (datetime.date, str, str)
        Date, code and what in that row is made up because the export does not tell it.
    notes : list of str
        Whatever else had to be decided.
    """

    table: pd.DataFrame
    picks: dict[date, list[str]]
    stale_marks: list[StaleMark]
    placeholders: list[tuple[date, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def fill_price(opening: float, side: str, slippage: float) -> float:
    """Price of a market order at an open: half the slippage against it, rounded half up to the cent."""
    half = Decimal(str(slippage)) / 2
    factor = 1 + half if side == "BUY" else 1 - half
    return float((Decimal(str(opening)) * factor).quantize(Decimal("0.01"), ROUND_HALF_UP))


def implied_opens(price: float, side: str, slippage: float = 0.00246) -> list[float]:
    """Find the opens on the 0.01 grid that lead to a fill price.

    Parameters
    ----------
    price : float
        What was paid or received.
    side : str
        ``"BUY"`` or ``"SELL"``.
    slippage : float
        JoinQuant's PriceRelatedSlippage, both halves together.

    Returns
    -------
    list of float
        Ascending. A buy has one at most, as its prices lie further apart than a cent; a sale can have two.
    """
    half = slippage / 2 if side == "BUY" else -slippage / 2
    middle = round(price * 100 / (1 + half))
    near = (cents / 100 for cents in range(max(1, middle - 3), middle + 4))
    return [opening for opening in near if abs(fill_price(opening, side, slippage) - price) < 1e-6]


def implied_market(
    orders: Iterable[LogOrder],
    positions: pd.DataFrame,
    *,
    slippage: float = 0.00246,
    refresh_rate: int = 5,
    stocknum: int = 3,
) -> ImpliedMarket:
    """Build the market that a log and its positions imply.

    Parameters
    ----------
    orders : iterable of LogOrder
        As of `parse_log`, from the account's first day on.
    positions : pandas.DataFrame
        As of `parse_positions`; may be empty.
    slippage : float
        JoinQuant's PriceRelatedSlippage of the account.
    refresh_rate : int
        Trading days between two rebalances.
    stocknum : int
        Slots of the strategy; only used to see whether the budgets betray cash that no fill explains.

    Returns
    -------
    ImpliedMarket
        The table, and all that is to be said about it.

    Raises
    ------
    ExportError
        If there are no orders at all.
    """
    orders = list(orders)
    if not orders:
        raise ExportError("the log has no orders, expected at least one; give the log of a trading account")
    builder = _MarketBuilder(orders, positions, slippage)
    builder.build_calendar(refresh_rate)
    builder.check_marks_and_budgets(stocknum)
    builder.build_rows()
    builder.set_market_caps()
    return builder.result()


class _MarketBuilder:
    """The parts of an implied market while they are put together."""

    def __init__(self, orders: list[LogOrder], positions: pd.DataFrame, slippage: float) -> None:
        self.orders, self.positions, self.slippage = orders, positions, slippage
        self.notes: list[str] = []
        self.placeholders: list[tuple[date, str, str]] = []
        self.rows: dict[tuple[date, str], dict[str, Any]] = {}
        self.fills: dict[tuple[date, str], list[LogOrder]] = {}
        self.refusals: dict[tuple[date, str], list[LogOrder]] = {}
        self.picks: dict[date, list[str]] = {}
        for order in orders:
            book = self.fills if order.quantity else self.refusals
            book.setdefault((order.date, order.code), []).append(order)
            todays = self.picks.setdefault(order.date, [])
            if order.side == "BUY" and order.code not in todays:
                todays.append(order.code)
        first = min(self.picks)
        self.marks: dict[tuple[date, str], float] = {}
        self.quantities: dict[tuple[date, str], int] = {}
        early = set()
        for row in positions.itertuples(index=False):
            day = row.date.date()
            if day < first:
                early.add(day)
                continue
            self.marks[day, row.code] = row.price
            self.quantities[day, row.code] = row.quantity
        if early:
            self.notes.append(
                f"{len(early)} days of positions before the first order ({first}) are left out: "
                "what was held then came from orders that the log does not have"
            )

    # ------------------------------------------------------------------------------ the calendar
    def build_calendar(self, refresh_rate: int) -> None:
        """Put the trading days together, one before the first included."""
        known = sorted(set(self.picks) | {day for day, _ in self.marks})
        rebalances = sorted(self.picks)
        added: list[date] = []
        for start, end in zip(rebalances, rebalances[1:], strict=False):
            between = [day for day in known if start < day < end]
            short = -(len(between) + 1) % refresh_rate
            if len(between) >= refresh_rate:
                self.notes.append(
                    f"{start} to {end}: {len(between) + 1} trading days between two days with orders, "
                    f"expected {refresh_rate}: the replay will rebalance on other days"
                )
                continue
            if not short:
                continue
            # Days with nothing held leave no rows, and which of them were holidays the export cannot tell.
            span = [start + timedelta(days=n) for n in range(1, (end - start).days)]
            free = [day for day in span if day.weekday() < 5 and day not in between]
            if len(free) < short:
                self.notes.append(
                    f"{start} to {end}: {len(between) + len(free) + 1} trading days at most between two days "
                    f"with orders, expected {refresh_rate}: the replay will rebalance on other days"
                )
                continue
            chosen = [free[(2 * n + 1) * len(free) // (2 * short)] for n in range(short)]
            added += chosen
            listed = ", ".join(map(str, chosen))
            self.notes.append(f"{start} to {end}: no rows for {short} trading day(s), taken to be {listed}")
        beyond = sum(day > rebalances[-1] for day in known)
        if beyond >= refresh_rate:
            self.notes.append(
                f"the positions go on for {beyond} trading days after the last orders ({rebalances[-1]}): "
                "the replay will rebalance again; cut the positions or give the whole log"
            )
        before = min(known) - timedelta(days=1)
        while before.weekday() > 4:
            before -= timedelta(days=1)
        self.days = [before, *sorted(known + added)]
        self.day_number = {day: n for n, day in enumerate(self.days)}

    # ---------------------------------------------------------------------------- what is checked
    def check_marks_and_budgets(self, stocknum: int) -> None:
        """Compare the marks with the profits, and the budgets with the fills."""
        check = check_marks(
            self.positions,
            {key: [(o.side, o.quantity, o.price or 0.0) for o in book] for key, book in self.fills.items()},
        )
        self.stale_marks = check.stale_marks
        self.notes += check.notes
        self.actions: dict[tuple[date, str], CorporateAction] = {
            (action.date, action.code): action for action in check.actions if action.date in self.day_number
        }
        # On an ex-date that is also the day of the sale there is no row any more: only the quantity shows it.
        for (day, code), book in self.fills.items():
            sold = sum(order.quantity for order in book if order.side == "SELL")
            had = self.quantities.get((self.days[self.day_number[day] - 1], code), sold)
            if sold and sold > had:
                ratio = share_ratio(had, sold)
                self.actions[day, code] = CorporateAction(day, code, had, ratio, 0.0)
        since = min(self.picks)
        for day, gap in self._unexplained_cash(stocknum):
            paid = [a for a in self.actions.values() if since < a.date <= day and a.cash_dividend]
            if len(paid) == 1 and gap > 0:
                # To the cent, where marks and costs only give it to the nearest 0.01 yuan per share.
                paid[0].cash_dividend = round(gap / paid[0].quantity / (1 - DIVIDEND_TAX_RATE), 6)
            else:
                self.notes.append(f"{day}: the budget shows {gap:+.2f} yuan that no fill explains")
            since = day
        for (day, code), action in sorted(self.actions.items()):
            self.notes.append(
                f"{day} {code}: {action.quantity} shares x {action.share_ratio:g}, dividend "
                f"{action.cash_dividend:g} yuan per share before tax: ex-rights during the holding"
            )

    def _unexplained_cash(self, stocknum: int) -> list[tuple[date, float]]:
        """Days on which budget x free slots is not the cash that the fills leave, and by how much."""
        try:
            cash = starting_cash(self.orders, stocknum)
        except ExportError:
            return []
        gaps, asked = [], None
        for order in self.orders:
            if order.side == "BUY" and order.value and order.date != asked:
                asked, budget = order.date, order.value
                slots = min(range(1, stocknum + 1), key=lambda n: abs(n * budget - cash))
                gap = slots * budget - cash
                if abs(gap) > 0.05:
                    gaps.append((order.date, gap))
                    cash = slots * budget
            if order.quantity:
                sign = 1 if order.side == "SELL" else -1
                cash += sign * order.quantity * (order.price or 0.0) - (order.fee or 0.0)
        return gaps

    # --------------------------------------------------------------------------------- the rows
    def _opening_price(self, key: tuple[date, str]) -> float:
        """Give the open that a day's fills of a stock agree on."""
        where = f"{key[0]} {key[1]}"
        agreed: list[float] | None = None
        # Buys first: theirs is the only one, and the day's sale has to agree with it.
        for order in sorted(self.fills[key], key=lambda order: order.side):
            price = order.price or 0.0
            found = implied_opens(price, order.side, self.slippage)
            if not found:
                half = self.slippage / 2 if order.side == "BUY" else -self.slippage / 2
                found = [round(price / (1 + half), 2)]
                self.notes.append(
                    f"{where}: no open gives the {order.side} at {price:g} with slippage {self.slippage:g}; "
                    f"took {found[0]:g} (another slippage, or fills at several prices?)"
                )
            both = found if agreed is None else [opening for opening in agreed if opening in found]
            if not both:
                self.notes.append(f"{where}: sale and buy imply different opens; took {agreed[0]:g}")
            agreed = both or agreed
        assert agreed  # a key exists only with fills
        if len(agreed) > 1:
            self.notes.append(f"{where}: opens {', '.join(f'{p:g}' for p in agreed)} fit; took {agreed[0]:g}")
        return agreed[0]

    def build_rows(self) -> None:
        """Write every row that a fill, a refusal, a mark or a holding calls for."""
        eves: dict[str, set[int]] = {}
        events: dict[str, set[int]] = {}
        for key in [*self.fills, *self.refusals, *self.marks]:
            events.setdefault(key[1], set()).add(self.day_number[key[0]])
        for day, codes in self.picks.items():
            for code in codes:
                eves.setdefault(code, set()).add(self.day_number[day] - 1)
        for code, numbers in events.items():
            self._add_stock_rows(code, numbers)
        for code, numbers in eves.items():
            for number in sorted(numbers):
                day, next_day = self.days[number], self.days[number + 1]
                if (day, code) not in self.rows:
                    price = self.rows[next_day, code]["open"]
                    self._add_row(day, code, price, price, paused=1)
                    self.placeholders.append((day, code, "the row: the next day's open"))
        # A day is only a day of the table if some stock has a row: the first one stands in, suspended.
        code = self.orders[0].code
        own = sorted(day for day, stock in self.rows if stock == code)
        for day in sorted(set(self.days) - {day for day, _ in self.rows}):
            earlier = [at for at in own if at < day]
            price = self.rows[earlier[-1], code]["close"] if earlier else self.rows[own[0], code]["open"]
            self._add_row(day, code, price, price, paused=1)
            self.placeholders.append((day, code, "the row: keeps the day in the calendar"))

    def _add_stock_rows(self, code: str, numbers: set[int]) -> None:
        held, last = False, None
        for number in range(min(numbers), len(self.days)):
            if number not in numbers and not held:
                continue
            day = self.days[number]
            key = (day, code)
            mark = self.marks.get(key)
            refused = self.refusals.get(key, [])
            row = None
            if key in self.fills:
                opening = self._opening_price(key)
                bought = any(order.side == "BUY" for order in self.fills[key])
                held = bought or mark is not None
                row = self._add_row(day, code, opening, opening if mark is None else mark)
                if mark is None:
                    self.placeholders.append((day, code, "the close: the open"))
            elif mark is not None:
                held = True
                row = self._add_row(day, code, mark, mark)
            elif held:
                # Without a row a held stock would look delisted once the rows of all others go on.
                row = self._add_row(day, code, last or NOMINAL_PRICE, last or NOMINAL_PRICE, paused=1)
                self.placeholders.append((day, code, "the row: the last close"))
                self.notes.append(f"{day} {code}: held, but not in the positions; taken for suspended")
            elif refused:
                price = last or self._nominal_price(refused[0])
                row = self._add_row(day, code, price, price)
                self.placeholders.append((day, code, "the price"))
            if row is not None:
                for order in refused:
                    self._apply_refusal(row, order, last)
                last = row["close"]

    def _nominal_price(self, order: LogOrder) -> float:
        if order.reason == "below one lot" and order.value:
            return round(order.value / 90, 2)
        if order.reason == "slipped past the limit":
            return 5 * NOMINAL_PRICE  # dear enough for a limit between the open and the slipped price
        return NOMINAL_PRICE

    def _apply_refusal(self, row: dict[str, Any], order: LogOrder, last: float | None) -> None:
        """Make a row refuse an order for the reason that the log gives."""
        where, opening = f"{order.date} {order.code}", row["open"]
        filled = (order.date, order.code) in self.fills
        if order.reason == "suspended" and not filled:
            if (order.date, order.code) not in self.marks and last is not None:
                row.update(open=last, high=last, low=last, close=last)
            row.update(paused=1, volume=0.0)
        elif order.reason == "no volume" and not filled:
            row["volume"] = 0.0
        elif order.reason == "limit up" and order.side == "BUY":
            row["high_limit"] = opening
        elif order.reason == "limit down" and order.side == "SELL":
            row["low_limit"] = opening
        elif order.reason == "slipped past the limit":
            slipped = fill_price(opening, order.side, self.slippage)
            if abs(slipped - opening) > 0.015:
                row["high_limit" if order.side == "BUY" else "low_limit"] = round((opening + slipped) / 2, 2)
            else:
                self.notes.append(f"{where}: no limit between {opening:g} and {slipped:g}: not reproduced")
        elif order.reason not in ("star market order", "below one lot", "bought today"):
            self.notes.append(f"{where}: the refusal {order.reason!r} is not reproduced")
        if order.reason == "suspended" and order.side == "BUY":
            self.notes.append(f"{where}: a screen that drops suspended stocks will not try it")

    def _add_row(self, day: date, code: str, opening: float, close: float, paused: int = 0) -> dict[str, Any]:
        high, low = max(opening, close), min(opening, close)
        row = {
            "date": day, "code": code, "open": opening, "high": high, "low": low, "close": close,
            "volume": 0.0 if paused else NOMINAL_VOLUME, "market_cap": UNSELECTED_MARKET_CAP,
            "is_st": 0,  # the name may be a later one than the day's, and what was bought was not ST
            "paused": paused,
            # A fill proves that no limit stood in its way. Left open, limits would be computed from the last
            # close, which may be stale, made up, or before an ex-date, and refuse what was filled.
            "high_limit": round(2 * high, 2), "low_limit": min(0.01, low),
        }  # fmt: skip
        self.rows[day, code] = row
        return row

    def set_market_caps(self) -> None:
        """Give each rebalance's picks, the day before, caps that a screen finds in the order of the buys."""
        for day, codes in self.picks.items():
            eve = self.days[self.day_number[day] - 1]
            for place, code in enumerate(codes, 1):
                self.rows[eve, code]["market_cap"] = PICK_MARKET_CAP + place * PICK_CAP_STEP

    def result(self) -> ImpliedMarket:
        """Make the table."""
        if self.actions:
            for key, row in self.rows.items():
                action = self.actions.get(key)
                row["cash_dividend"] = action.cash_dividend if action else 0.0
                row["share_ratio"] = action.share_ratio if action else 1.0
        table = pd.DataFrame([self.rows[key] for key in sorted(self.rows)])
        table["date"] = pd.to_datetime(table["date"])
        return ImpliedMarket(table, self.picks, self.stale_marks, sorted(self.placeholders), self.notes)
