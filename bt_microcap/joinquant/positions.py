"""Read JoinQuant's (聚宽) export of the daily positions, and check that it agrees with itself."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pandas as pd

from bt_microcap.feeds.errors import DataError


class ExportError(DataError):
    """An export that cannot be read: one line that says where, what and how to mend it."""


def read_export(path: str | Path, what: str) -> str:
    """Read a text file that is GB18030 as the site writes it, or UTF-8 as an editor saves it.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.
    what : str
        What it should be, for the error message.

    Returns
    -------
    str
        The text, line ends as they are.
    """
    try:
        raw = Path(path).read_bytes()
    except OSError as exc:
        reason = exc.strerror or exc
        raise ExportError(f"{path}: cannot be read ({reason}); give the path of {what}") from None
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ExportError(f"{path}: found UTF-16, expected GB18030 or UTF-8; save {what} as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as utf8:
        try:
            # UTF-8 that breaks within its last character is UTF-8 cut off, though it may pass as GB18030.
            if utf8.start >= len(raw) - 3 and not raw[: utf8.start].isascii():
                raise utf8
            text = raw.decode("gb18030")
        except UnicodeDecodeError as gbk:
            # The encoding that got further is the likelier one: its position is the useful one.
            at = max(utf8.start, gbk.start)
            line = raw.count(b"\n", 0, at) + 1
            raise ExportError(
                f"{path}: line {line}: found byte 0x{raw[at]:02x} that is neither UTF-8 nor GB18030, "
                f"expected the text of {what}; the file is damaged or cut off, export it again"
            ) from None
    if not text.strip():
        raise ExportError(f"{path}: the file is empty, expected {what}; export it again")
    return text


# ----------------------------------------------------------------------------------- the positions
# Our column, the export's names for it, what it must be. The export's order of columns is not relied on.
_COLUMNS = (
    ("date", ("日期",), "a day"),
    ("code", ("标的",), "a stock"),
    ("quantity", ("数量",), "a whole number above 0"),
    ("sellable", ("可用数量",), "a whole number"),
    ("price", ("现价",), "a number above 0"),
    ("market_value", ("市值/价值", "市值"), "a number"),
    ("cost", ("开仓均价",), "a number"),
    ("day_profit", ("当日盈亏",), "a number"),
    ("bought_today", ("今手数",), "a whole number"),
)
_NUMBER = re.compile(r"(-?\d[\d,]*(?:\.\d*)?(?:[eE][+-]?\d+)?)(?:股|手|份|元)?(?:\(-?[\d.]+%\))?")
_STOCK = re.compile(r"(.*)\((\d{6}\.[A-Z]{4})\)")


def parse_positions(path: str | Path) -> pd.DataFrame:
    """Read the daily positions.

    Parameters
    ----------
    path : str or pathlib.Path
        The CSV as exported, GB18030 or UTF-8.

    Returns
    -------
    pandas.DataFrame
        One row per day and position, in the file's order: date (datetime64), code, name, quantity, sellable,
        price (现价), market_value, cost (开仓均价), day_profit (当日盈亏), bought_today (今手数) and `line`,
        the row's line in the file.

    Raises
    ------
    ExportError
        If the file is no positions export, or a row of it is cut off or cannot be understood.
    """
    reader = csv.reader(io.StringIO(read_export(path, "a positions export"), newline=""))

    def error(found: str, mend: str) -> ExportError:
        return ExportError(f"{path}: line {reader.line_num}: {found}; {mend}")

    rows: list[dict[str, object]] = []
    seen: dict[tuple[object, object], int] = {}
    try:
        header = [name.strip() for name in next(row for row in reader if row)]
        index = {}
        for ours, names, _ in _COLUMNS:
            found = [header.index(name) for name in names if name in header]
            if not found:
                raise error(
                    f"found the columns {','.join(header)[:60]!r}, expected one called {names[0]}",
                    "give the positions export with its header line, not the order log",
                )
            index[ours] = found[0]
        for fields in reader:
            if not any(text.strip() for text in fields):
                continue
            if len(fields) != len(header):
                raise error(
                    f"found {len(fields)} fields, expected {len(header)} as in the header",
                    "the row is cut off or edited, export the file again",
                )
            row = _parse_row(path, reader.line_num, fields, index, header)
            key = (row["date"], row["code"])
            if key in seen:
                raise error(
                    f"column {header[index['code']]}: found {row['code']} a second time on {row['date']} "
                    f"(first on line {seen[key]}), expected it once",
                    "remove one of the rows",
                )
            seen[key] = reader.line_num
            rows.append(row)
    except csv.Error as exc:
        raise error(f"found no readable CSV ({exc}), expected positions", "export it again") from None
    names = ["date", "code", "name", *(ours for ours, _, _ in _COLUMNS[2:]), "line"]
    frame = pd.DataFrame(rows, columns=names)
    frame["date"] = pd.to_datetime(frame["date"])
    return frame


def _parse_row(
    path: str | Path, line: int, fields: list[str], index: dict[str, int], header: list[str]
) -> dict[str, object]:
    row: dict[str, object] = {"line": line}
    for ours, _, expected in _COLUMNS:
        text = fields[index[ours]].strip()
        value: object = None
        if ours == "date":
            value = _parse_day(text)
        elif ours == "code":
            stock = _STOCK.fullmatch(text)
            if stock:
                row["name"], value = stock.group(1), stock.group(2)
        else:
            number = _NUMBER.fullmatch(text)
            if number:
                value = float(number.group(1).replace(",", ""))
                if "whole" in expected:
                    value = int(value) if value == int(value) else None
                if "above 0" in expected and value is not None and value <= 0:
                    value = None
        if value is None:
            example = {"date": " like 2024-11-01", "code": " like 名称(600000.XSHG)"}.get(ours, "")
            raise ExportError(
                f"{path}: line {line}: column {header[index[ours]]}: found {text!r}, "
                f"expected {expected}{example}; correct the value or export the file again"
            )
        row[ours] = value
    if "空" in (fields[header.index("多空")] if "多空" in header else ""):
        raise ExportError(
            f"{path}: line {line}: column 多空: found a short position, expected 多; "
            "only A-share accounts can be read"
        )
    return row


def _parse_day(text: str) -> date | None:
    # A spreadsheet that saves the file again writes 2024/11/1.
    for pattern in ("%Y-%m-%d", "%Y/%m/%d"):
        try:
            return datetime.strptime(text, pattern).date()
        except ValueError:
            continue
    return None


# ------------------------------------------------------------------------- does it agree with itself
@dataclass(frozen=True)
class StaleMark:
    """A printed mark that the export itself contradicts.

    Attributes
    ----------
    date, code, line
        Where the mark is printed: the day, the stock, the line of the file.
    printed, implied : float
        The mark as printed, and the one that the contradicting value implies.
    contradicted_on : datetime.date
        The day whose value contradicts it: `date` or the trading day after.
    column : str
        The contradicting column: 当日盈亏 or 市值.
    """

    date: date
    code: str
    line: int
    printed: float
    implied: float
    contradicted_on: date
    column: str

    def __str__(self) -> str:
        """Say it in one line."""
        return (
            f"line {self.line}: {self.date} {self.code}: mark {self.printed:g}, "
            f"but {self.column} of {self.contradicted_on} implies {self.implied:g}"
        )


@dataclass
class CorporateAction:
    """A change of a held position that no order explains: bonus shares, a split, a dividend."""

    date: date
    code: str
    quantity: int  # before
    share_ratio: float
    cash_dividend: float  # yuan per share before tax


@dataclass
class MarkCheck:
    """What `check_marks` found."""

    stale_marks: list[StaleMark]
    actions: list[CorporateAction]
    notes: list[str]


def share_ratio(before: int, after: int) -> float:
    """Give the roundest ratio that makes `after` of `before` once the product is floored."""
    for digits in range(1, 7):
        ratio = round(after / before, digits)
        if int(before * ratio) == after:
            return ratio
    return (after + 0.5) / before


def check_marks(
    positions: pd.DataFrame, fills: Mapping[tuple[date, str], Sequence[tuple[str, int, float]]]
) -> MarkCheck:
    """Compare each day's profit with the marks that it must come from.

    Parameters
    ----------
    positions : pandas.DataFrame
        As of `parse_positions`.
    fills : mapping
        (date, code) -> the day's fills as (side, quantity, price): a change that they explain is none.

    Returns
    -------
    MarkCheck
        Stale marks by day, corporate actions, and remarks on what could not be checked.
    """
    rows = list(positions.sort_values(["code", "date"], kind="stable").itertuples(index=False))
    days = {day: number for number, day in enumerate(sorted(set(positions["date"])))}
    stale: dict[tuple[date, str], StaleMark] = {}
    actions: list[CorporateAction] = []
    notes: list[str] = []

    def previous(at: int) -> int | None:
        """Row of the same holding on the trading day before; None where the holding begins."""
        if at == 0 or rows[at].bought_today >= rows[at].quantity or rows[at - 1].code != rows[at].code:
            return None
        return at - 1 if days[rows[at].date] - days[rows[at - 1].date] == 1 else None

    def gap(at: int) -> float | None:
        """Profit printed less profit from the marks; None where it cannot be said."""
        row, before = rows[at], previous(at)
        if row.bought_today >= row.quantity:
            return row.day_profit - row.quantity * (row.price - row.cost)
        if before is None:
            return None
        old = row.quantity - row.bought_today
        bought = [(n, p) for side, n, p in fills.get((row.date.date(), row.code), ()) if side == "BUY"]
        if sum(n for n, _ in bought) != row.bought_today:
            return None
        made = old * (row.price - rows[before].price) + sum(n * (row.price - p) for n, p in bought)
        return row.day_profit - made

    def wrong(at: int | None) -> bool | None:
        # Values are rounded to the yuan, the cost to the cent; a wrong mark is off by a cent a share or more.
        found = None if at is None else gap(at)
        return None if found is None else abs(found) > max(2.0, 0.006 * rows[at].quantity)

    def repeats(at: int) -> bool:
        """Tell a row that repeats the day before with no profit: a stock at rest, or a stale copy."""
        before = previous(at)
        return before is not None and rows[at].price == rows[before].price and rows[at].day_profit == 0

    def report(at: int, implied: float, seen: int, column: str) -> None:
        row = rows[at]
        key = (row.date.date(), row.code)
        mark = StaleMark(*key, row.line, row.price, round(implied, 3), rows[seen].date.date(), column)
        stale.setdefault(key, mark)

    for at, row in enumerate(rows):
        day, before = row.date.date(), previous(at)
        if abs(row.market_value - row.quantity * row.price) > 1.0:
            report(at, row.market_value / row.quantity, at, "市值")
        if before is None:
            if row.bought_today < row.quantity:
                notes.append(f"{day} {row.code}: held from before, yet no row the day before: not checked")
            elif wrong(at):
                report(at, row.cost + row.day_profit / row.quantity, at, "当日盈亏")
            continue
        last = rows[before]
        changed = row.quantity != last.quantity or abs(row.cost - last.cost) > 1e-9
        if changed and not fills.get((day, row.code)):
            ratio = share_ratio(last.quantity, row.quantity) if row.quantity != last.quantity else 1.0
            # The day's profit counts from the ex-rights reference price; the cost falls by the dividend.
            by_profit = last.price - (row.price - row.day_profit / row.quantity) * ratio
            by_cost = last.cost - row.cost * ratio
            dividend = next((round(d, 4) for d in (by_profit, by_cost) if d > 0.0051 * ratio), 0.0)
            actions.append(CorporateAction(day, row.code, last.quantity, ratio, dividend))
            continue
        if not wrong(at):
            continue
        # Either mark can be the stale one. A mark that merely repeats the day before is the suspect; else
        # the one that its own other neighbour does not confirm.
        after = at + 1 if at + 1 < len(rows) and previous(at + 1) == at else None
        implied_last = row.price - row.day_profit / row.quantity
        known = stale.get((last.date.date(), last.code))
        if known is not None and abs(known.implied - implied_last) < 0.006:
            continue
        if row.price == last.price:
            here = True
        elif repeats(before):
            here = False
        else:
            here = wrong(before) is False and wrong(after) is not False
            if wrong(before) is False and wrong(after) is False:
                notes.append(
                    f"{day} {row.code}: 当日盈亏 contradicts two marks that are confirmed otherwise: "
                    "a dividend may have been paid"
                )
        if here:
            report(at, last.price + row.day_profit / row.quantity, at, "当日盈亏")
        else:
            report(before, implied_last, at, "当日盈亏")
    by_day: dict[date, list[int]] = {}
    for at, row in enumerate(rows):
        by_day.setdefault(row.date.date(), []).append(at)
    for day in sorted(by_day):
        book = by_day[day]
        if len(book) > 1 and all(repeats(at) and (day, rows[at].code) not in stale for at in book):
            notes.append(f"{day}: every position repeats its mark with no profit: perhaps a stale copy")
    ordered = [stale[key] for key in sorted(stale)]
    return MarkCheck(ordered, sorted(actions, key=lambda action: (action.date, action.code)), notes)
