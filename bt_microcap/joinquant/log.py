"""Read what JoinQuant (聚宽) exports of a simulated account: the order log and the daily positions.

The two files are taken as they come from the site: GB18030 or UTF-8 (with or without BOM), any line
ends, records broken over two lines, the site's own notices in between. What the account did is in
`parse_log`, what it held is in `parse_positions`; `implied_market` turns both into a market that a
strategy can be replayed over.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from .positions import ExportError, parse_positions, read_export

__all__ = ["ExportError", "LogOrder", "Notice", "ParsedLog", "parse_log", "parse_positions", "starting_cash"]

NO_TRADE = "no trade in the log"
"""Reason of an order that the log shows as placed, but neither as traded nor as refused."""


@dataclass(frozen=True)
class LogOrder:
    """One order of the log, whatever the number of its records.

    Attributes
    ----------
    date : datetime.date
        The trading day.
    entrust_id : str or None
        JoinQuant's number of the order, where the log has one.
    code : str
        ``600000.XSHG``.
    side : str
        ``"BUY"`` or ``"SELL"``.
    value : float or None
        The order's ``_value``: the budget of a buy in yuan, the target (0.0) of a sale.
    cash_limited_to : int or None
        Shares that the cash allowed, before rounding to lots, where the budget was too large.
    quantity : int
        Shares traded; 0 if refused.
    price : float or None
        Mean price of the fills, None if refused.
    fee : float or None
        Commission and duty together, as the log gives them, None if refused.
    reason : str or None
        None = filled, else why not.
    line : int
        Line of the record that decided it: the first fill or the refusal.
    """

    date: date
    entrust_id: str | None
    code: str
    side: str
    value: float | None
    cash_limited_to: int | None
    quantity: int
    price: float | None
    fee: float | None
    reason: str | None
    line: int


@dataclass(frozen=True)
class Notice:
    """A line of the log that belongs to no order, or a remark of the parser about one that does."""

    line: int
    text: str


@dataclass(frozen=True)
class ParsedLog:
    """The orders of a log in its order, and all that was not an order. Iterates over the orders."""

    orders: list[LogOrder]
    notices: list[Notice] = field(default_factory=list)

    def __iter__(self) -> Iterator[LogOrder]:
        """Iterate over the orders."""
        return iter(self.orders)

    def __len__(self) -> int:
        """Count the orders."""
        return len(self.orders)


# ----------------------------------------------------------------------------------------- the log
_RECORD_START = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:[.,]\d+)? - (\w+)\s*- ?(.*)", re.S)
_ORDER_RECORD = re.compile(r"\w*Order\((?:entrust_id|security)=|StockOrder: ")
_CODE = re.compile(r"(?:security|code)=(\d{6}\.[A-Z]{4})")
_ORDER_ID = re.compile(r"(?:entrust|_order)_id=(\d+)")
_VALUE = re.compile(r"(?<!\w)_value=(-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)")
_AMOUNT = re.compile(r"mode=\w+: _amount=(-?\d+)")
_ACTION = re.compile(r"(?:\b|_)action=(\w+)")
_MODE = re.compile(r"mode=(\w+)")
_CASH_LIMIT = re.compile(r"因为资金有限，下单数量调整为\s*(\d+)")
_LOT_ROUNDING = re.compile(r"整数倍，调整为\s*(\d+)")
_NUMBER = r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"
_FILL = re.compile(rf"\) trade price:\s*{_NUMBER}, amount:\s*(\d+), commission:\s*{_NUMBER}\s*$")
_ERROR = re.compile(r"error=(.*?)\)?\s*$", re.S)

# Only the first two wordings and the lot are known from real logs. The others are matched by the one word
# that any wording of them must contain, so that a variant is named rather than passed on raw.
_REFUSAL_REASONS = (
    ("suspended", re.compile(r"停牌")),
    ("star market order", re.compile(r"科创板|保护限价")),
    ("volume limit", re.compile(r"下单比例")),
    ("slipped past the limit", re.compile(r"滑点|超[出过].*[涨跌]停|涨跌停")),
    ("limit up", re.compile(r"涨停")),
    ("limit down", re.compile(r"跌停")),
    ("bought today", re.compile(r"T\+1|可卖|可平|可用数量|当[日天]买入|今[日天]买入")),
    ("no volume", re.compile(r"成交量")),
    ("below one lot", re.compile(r"不能小于\s*\d+|不足\s*(?:一手|1手|100)|调整为\s*0\s*$")),
)


@dataclass
class _OrderDraft:
    """An order while its records are being collected."""

    day: date
    code: str
    line: int
    entrust_id: str | None = None
    side: str | None = None
    value: float | None = None
    cash_limited_to: int | None = None
    requested: int | None = None
    refusal: str | None = None
    fills: list[tuple[float, int, float]] = field(default_factory=list)


def _records(lines: list[str], path: str | Path) -> Iterator[tuple[int, str, bool]]:
    """Yield (line number, text, is an order record); broken records are joined.

    A record is whole when its parentheses are closed: the line break inside one is a bare LF in the
    original export, but an editor or git turns all line ends into the same.
    """
    pending: tuple[int, str] | None = None
    for number, line in enumerate(lines, 1):
        stamped = _RECORD_START.match(line) is not None
        if pending is not None:
            if stamped:
                raise _truncated_error(path, pending)
            if not line.strip():
                continue
            pending = (pending[0], pending[1] + "\n" + line)
        elif not line.strip():
            continue
        elif stamped and _ORDER_RECORD.search(line):
            pending = (number, line)
        else:
            yield number, line, False
            continue
        if pending[1].count("(") <= pending[1].count(")"):
            yield pending[0], pending[1], True
            pending = None
    if pending is not None:
        raise _truncated_error(path, pending)


def _truncated_error(path: str | Path, record: tuple[int, str]) -> ExportError:
    tail = record[1].replace("\n", " ")[-40:]
    return ExportError(
        f"{path}: line {record[0]}: the order record ends at {tail!r}, expected a closing parenthesis; "
        "the log is cut off or edited, export it again"
    )


def _side_of(text: str) -> str | None:
    action = _ACTION.search(text)
    if action:
        return {"open": "BUY", "close": "SELL"}.get(action.group(1))
    # Records written before the order is placed have no action: the amount that is asked for tells.
    mode, value, amount = _MODE.search(text), _VALUE.search(text), _AMOUNT.search(text)
    number = float(value.group(1)) if value else float(amount.group(1)) if amount else None
    if mode is None or number is None:
        return None
    if "Target" in mode.group(1):
        return "SELL" if number == 0 else None
    return "BUY" if number > 0 else "SELL"


def _reason_of(prefix: str, error: str) -> str:
    for name, pattern in _REFUSAL_REASONS:
        if pattern.search(error) or pattern.search(prefix):
            return name
    return error or prefix


def parse_log(path: str | Path) -> ParsedLog:
    """Read an order log.

    Parameters
    ----------
    path : str or pathlib.Path
        The log as exported, GB18030 or UTF-8.

    Returns
    -------
    ParsedLog
        One `LogOrder` per order, in the log's order, and the lines that belong to none.

    Raises
    ------
    ExportError
        If the file is no order log, or a record in it is cut off or cannot be understood.
    """
    lines = re.split(r"\r\n|\n|\r", read_export(path, "an order log"))
    if not any(_RECORD_START.match(line) for line in lines):
        raise ExportError(
            f"{path}: line 1: found {lines[0][:40]!r}, expected a record like "
            "'2024-11-01 09:30:00 - INFO  - ...'; give the order log, not the positions"
        )
    drafts: list[_OrderDraft] = []
    by_id: dict[tuple[date, str], _OrderDraft] = {}
    waiting: dict[tuple[date, str], _OrderDraft] = {}  # announced, not yet numbered
    notices: list[Notice] = []
    for number, record, is_order in _records(lines, path):
        stamp = _RECORD_START.match(record)
        if not is_order:
            if stamp and re.match(r"order Stock|order S?$", stamp.group(4)):
                raise _truncated_error(path, (number, record))
            notices.append(Notice(number, record.strip()))
            continue
        assert stamp is not None  # order records are recognised by their stamp
        level, text = stamp.group(3), stamp.group(4)
        where = f"{path}: line {number}"
        try:
            day = datetime.strptime(stamp.group(1), "%Y-%m-%d").date()
        except ValueError:
            raise ExportError(
                f"{where}: found the date {stamp.group(1)}, expected a calendar day; export the log again"
            ) from None
        code = _CODE.search(text)
        if code is None:
            raise ExportError(
                f"{where}: found an order without a stock, expected security=600000.XSHG or the like; "
                "export the log again"
            )
        if re.search(r"side=short", text):
            raise ExportError(
                f"{where}: found side=short, expected side=long; only A-share accounts can be read"
            )
        entrust = _ORDER_ID.search(text)
        key = (day, code.group(1))
        draft = by_id.get((day, entrust.group(1))) if entrust else None
        if draft is None:
            draft = waiting.pop(key, None)
            if draft is None:
                draft = _OrderDraft(day, code.group(1), number)
                drafts.append(draft)
            if entrust:
                draft.entrust_id = entrust.group(1)
                by_id[day, draft.entrust_id] = draft
        # The latest record wins: the one written on submission can call a buy "close".
        draft.side = _side_of(text) or draft.side
        for name, pattern, kind in (
            ("value", _VALUE, float), ("cash_limited_to", _CASH_LIMIT, int), ("requested", _LOT_ROUNDING, int)
        ):  # fmt: skip
            found = pattern.search(text)
            if found:
                setattr(draft, name, kind(found.group(1)))
        prefix = text[: _ORDER_RECORD.search(text).start()].strip(" :：\n")
        if "trade price" in text:
            fill = _FILL.search(text)
            try:
                draft_fill = (float(fill.group(1)), int(fill.group(2)), float(fill.group(3)))
            except (AttributeError, ValueError):
                raise ExportError(
                    f"{where}: found {text[text.index('trade price'):][:60]!r}, expected 'trade price: 9.32, "
                    "amount:38200, commission: 106.8'; the log is cut off or edited, export it again"
                ) from None
            if not draft.fills:
                draft.line = number
            draft.fills.append(draft_fill)
        elif "失败" in prefix or "拒" in prefix or level in ("ERROR", "WARNING") or "撤" in prefix:
            error = _ERROR.search(text)
            draft.refusal = _reason_of(prefix, error.group(1).strip() if error else "")
            if not draft.fills:
                draft.line = number
        elif not entrust:
            waiting[key] = draft
    orders = [_finish_order(draft, path, notices) for draft in drafts]
    notices.sort(key=lambda notice: notice.line)
    return ParsedLog(orders, notices)


def _finish_order(draft: _OrderDraft, path: str | Path, notices: list[Notice]) -> LogOrder:
    if draft.side is None:
        raise ExportError(
            f"{path}: line {draft.line}: found an order of {draft.code} that is neither a buy nor a sale, "
            "expected action=open or action=close; export the log again"
        )
    quantity = sum(amount for _, amount, _ in draft.fills)
    price = fee = None
    reason = draft.refusal
    if quantity:
        reason = None
        prices = {price for price, _, _ in draft.fills}
        # A mean of equal prices would not be that price to the last bit.
        price = prices.pop() if len(prices) == 1 else sum(p * n for p, n, _ in draft.fills) / quantity
        fee = math.fsum(fee for _, _, fee in draft.fills)
        if draft.requested and quantity < draft.requested:
            remark = f"{draft.day} {draft.code}: {quantity} of {draft.requested} shares were traded"
            notices.append(Notice(draft.line, remark))
    elif reason is None:
        reason = "below one lot" if draft.requested == 0 else NO_TRADE
        notices.append(Notice(draft.line, f"{draft.day} {draft.code} {draft.side}: {reason}"))
    return LogOrder(
        draft.day, draft.entrust_id, draft.code, draft.side, draft.value, draft.cash_limited_to, quantity, price, fee,
        reason, draft.line,
    )  # fmt: skip


def starting_cash(orders: Iterable[LogOrder], stocknum: int = 3) -> float:
    """Cash of the account before its first order: the first buy's budget times the slots.

    Parameters
    ----------
    orders : iterable of LogOrder
        The orders, from the account's first day on.
    stocknum : int
        Number of positions that the strategy holds.

    Returns
    -------
    float
        Yuan, to the cent: a third of the cash times three is off by the last bit.
    """
    for order in orders:
        if order.side == "BUY" and order.value:
            return round(order.value * stocknum, 2)
    raise ExportError("the log has no buy with a budget (_value=...): the starting cash is unknown; give it")
