"""What is in a market, and what looks wrong in it: read this before trusting a backtest on it.

The store is walked by chunks of stocks, so that a whole market takes some seconds and little memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np

from bt_microcap.exchange import rules
from bt_microcap.exchange.calendar import Calendar

from .layout import chunks, real_rows
from .market_store import MarketStore
from .shortcomings import shortcomings

EXAMPLES = 3
CHUNK = 1 << 19  # stock-days at a time
YEAR = 365  # days
NEIGHBOURS = 5  # days on each side
LONG_BREAK = 20  # calendar days; the exchanges' longest holidays were 17
CAP_JUMP = 10.0  # times
SLACK = 1e-3  # of a cap: sources round
# no board's limit is nearer than this: what moved less need not be looked up
_LEAST = min(min(row.rate, row.st_rate) for table in rules.PRICE_LIMITS.values() for row in table) - 1e-6
_FREE = max(row.free_days for table in rules.PRICE_LIMITS.values() for row in table)
# amount / (volume x close) is about ten to this power -> what it looks like
_UNITS = {2: 'volume in lots of 100 shares', -3: 'amount in thousands of yuan', -4: 'amount in 万 yuan',
          -1: 'volume in lots of 100 shares and amount in thousands of yuan', 3: 'volume in thousands of shares',
          4: 'volume in 万 shares', -2: 'volume or amount in hundredths'}


@dataclass
class Year:
    """The coverage of a year."""

    year: int
    stocks: int
    rows: int
    share: float  # of the days between each stock's first and last row


@dataclass
class Finding:
    """Something that looks wrong."""

    what: str
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, count: int, examples: list[str]) -> None:
        """Count more of it; the first examples are kept."""
        self.count += count
        self.examples += examples[:EXAMPLES - len(self.examples)]

    def line(self) -> str:
        """Return it as a line."""
        return f'WARNING: {self.what}: {self.count:,} ({"; ".join(self.examples)}{"; ..." if self.count > EXAMPLES else ""})'


@dataclass
class Report:
    """What is in a market.

    Parameters
    ----------
    stocks, days, rows : int
    first, last : date
    years : list of Year
    ended : int
        Stocks whose last row is before the last day.
    st, suspended : float
        Share of the rows that are ST; share of the stock-days (from each stock's first row to its last) that are suspended,
        with or without a row.
    findings : list of Finding
    unchecked : list of str
        What could not be checked, with the reason.
    notes : list of str
        What the source did not know; see `shortcomings`.
    """

    stocks: int
    days: int
    rows: int
    first: date
    last: date
    years: list[Year]
    ended: int
    st: float
    suspended: float
    findings: list[Finding]
    unchecked: list[str]
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the report as text, to print."""
        out = [f'{self.stocks:,} stocks, {self.days:,} days from {self.first} to {self.last}, {self.rows:,} rows']
        out += [f'{year.year}: {year.stocks:,} stock{"" if year.stocks == 1 else "s"}, {year.rows:,} rows, '
                f"{_percent(year.share)} of the days between each stock's first and last row" for year in self.years]
        out.append(f'{self.ended:,} of {self.stocks:,} stocks ended before the last day (delisted, or suspended at the end)')
        only_survivors = not self.ended and (self.last - self.first).days > YEAR
        if only_survivors:
            out.append('WARNING: no stock ended before the last day: the delisted ones are missing, so that any backtest looks '
                       'too good (survivorship bias)')
        out.append(f'ST: {_percent(self.st)} of the rows; suspended: {_percent(self.suspended)} of the stock-days')
        out += [finding.line() for finding in self.findings]
        out += [f'not checked: {what}' for what in self.unchecked]
        out += [f'note: {text}' for text in self.notes]
        return out if self.findings or only_survivors else [*out, 'nothing that looks wrong was found']


def _percent(share: float) -> str:
    return f'{100 * share:.2f} %'


def save(lines: list[str], path: str | Path) -> None:
    """Write the lines of a report: beside the file first, then renamed."""
    path = Path(path)
    part = path.with_name(path.name + '.part')
    part.write_text('\n'.join(lines) + '\n', encoding='utf-8')
    os.replace(part, path)


# -- walking a store --------------------------------------------------------------------------------------


@dataclass
class _Chunk:
    """The rows of some stocks, one stock after the other, days ascending."""

    store: MarketStore
    stock: np.ndarray  # number of each row's stock
    day: np.ndarray  # number of its day
    places: slice
    real: np.ndarray

    def column(self, name: str) -> np.ndarray | None:
        """Return a column of the rows."""
        column = self.store.arrays.get(f'stock/{name}')
        return None if column is None else column[self.places][self.real]

    def where(self, row: int) -> str:
        """Return code and day of a row."""
        return f'{self.store.codes[self.stock[row]]} {_day(self.store, self.day[row])}'


def _day(store: MarketStore, number: int) -> date:
    return date.fromordinal(int(store.days[number]))


def _chunks(store: MarketStore, real: np.ndarray) -> Iterator[_Chunk]:
    start = np.asarray(store.arrays['start'])
    for low, high, places in chunks(start, CHUNK):
        mine = real[places]
        stock = np.repeat(np.arange(low, high, dtype='int32'), np.diff(start[low:high + 1]))
        day = np.arange(places.start, places.stop) - (start[:-1] - store.first)[stock]
        yield _Chunk(store, stock[mine], day[mine].astype('int32'), places, mine)
        store.release_pages()


# -- the report -------------------------------------------------------------------------------------------


def describe(store: MarketStore) -> Report:
    """Return what is in a market and what looks wrong in it."""
    real = real_rows(store)
    checks = [check(store) for check in (_Limits, _CapJumps, _Amounts, _FloatCaps, _Silences)]
    st = paused = 0
    for chunk in _chunks(store, real):
        st += int(chunk.column('is_st').sum(dtype='int64'))
        paused += int(chunk.column('paused').sum(dtype='int64'))
        for check in checks:
            check.take(chunk)
    first, last = store.span()
    findings = _days(store)
    unchecked = []
    for check in checks:
        findings += check.findings()
        unchecked += check.unchecked
    places, ended = len(real), int((store.last < len(store.days) - 1).sum())
    return Report(
        stocks=len(store), days=len(store.days), rows=store.rows, first=first, last=last, years=_years(store), ended=ended,
        st=st / store.rows, suspended=(paused + places - store.rows) / places, findings=[
            finding for finding in findings if finding.count], unchecked=unchecked, notes=shortcomings(store.about))


def _years(store: MarketStore) -> list[Year]:
    day_start, stocks = store.arrays['day_start'], store.arrays['day_stock']
    rows = np.diff(day_start)
    days = len(store.days)
    living = np.cumsum(np.bincount(store.first, minlength=days + 1) - np.bincount(store.last + 1, minlength=days + 1))[:days]
    years = np.array([date.fromordinal(day).year for day in store.days.tolist()])
    out = []
    for year in np.unique(years):
        low, high = np.searchsorted(years, [year, year + 1])
        seen = np.zeros(len(store), bool)
        seen[stocks[day_start[low]:day_start[high]]] = True
        count = int(rows[low:high].sum())
        out.append(Year(int(year), int(seen.sum()), count, count / int(living[low:high].sum())))
    return out


def _days(store: MarketStore) -> list[Finding]:
    """Look for days with too few rows, and for days that are missing."""
    rows = np.diff(store.arrays['day_start']).astype(float)
    padded = np.pad(rows, NEIGHBOURS, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1).copy()
    around[:, NEIGHBOURS] = np.nan
    few = Finding(f'days with fewer than half of the rows of the {2 * NEIGHBOURS} days around')
    if len(rows) > 1:
        typical = np.nanmedian(around, axis=1)
        bad = np.flatnonzero(rows < typical / 2)
        few.add(len(bad), [f'{_day(store, day)} {rows[day]:,.0f} rows of {typical[day]:,.0f}' for day in bad[:EXAMPLES]])
    breaks = Finding(f'more than {LONG_BREAK} days without any row')
    bad = np.flatnonzero(np.diff(store.days) > LONG_BREAK)
    breaks.add(len(bad), [f'{_day(store, day)} to {_day(store, day + 1)}' for day in bad[:EXAMPLES]])
    return [few, breaks]


class _Check:
    """One kind of finding, made up chunk by chunk."""

    what = ''
    needs: tuple[str, ...] = ()

    def __init__(self, store: MarketStore) -> None:
        self.store, self.finding = store, Finding(self.what)
        missing = [name for name in self.needs if f'stock/{name}' not in store.arrays]
        self.unchecked = [f'{self.what} (no column {missing[0]})'] if missing else []
        self._possible = not missing

    def take(self, chunk: _Chunk) -> None:
        """Look at some stocks."""
        if self._possible:
            self.look(chunk, *(chunk.column(name) for name in self.needs))

    def look(self, chunk: _Chunk, *columns: np.ndarray) -> None:
        """Look at the columns of some stocks."""

    def findings(self) -> list[Finding]:
        """Return what was found."""
        return [self.finding]


class _Limits(_Check):
    """Moves beyond the day's price limit, where the rules know code and day.

    A few real ones are among them: a resumed listing and the first day of a delisting period have no limit.
    """

    what = "moves beyond the day's price limit, the first listed days apart"
    needs = ('close', 'preclose', 'is_st', 'paused')

    def __init__(self, store: MarketStore) -> None:
        super().__init__(store)
        self._large: list[tuple[np.ndarray, ...]] = []
        self._strange = Finding('codes that are no A shares')
        self._known = np.zeros(len(store), bool)
        self._calendar = Calendar([store])
        for places in rules.board_places(store.codes).values():
            self._known[places] = True
        for code in store.codes[~self._known].tolist():
            if not rules.is_fund(code):  # which may stand among stocks; not every code tells its limits
                self._strange.add(1, [code])
        self._ruled = store.days >= rules.VALID_FROM.toordinal()
        if self._possible and not self._ruled.all():
            days = int((~self._ruled).sum())
            self.unchecked = [f'{self.what}: {days:,} days before {rules.VALID_FROM}, for which there are no rules']

    def look(self, chunk: _Chunk, close: np.ndarray, preclose: np.ndarray, is_st: np.ndarray, paused: np.ndarray) -> None:
        move = close / preclose - 1  # NaN where the reference is not known
        looked = (paused == 0) & self._known[chunk.stock] & self._ruled[chunk.day]
        large = np.flatnonzero((np.abs(move) > _LEAST) & looked)
        # a stock with a row on the market's first day may have been listed then, or long before
        large = large[(self.store.first[chunk.stock[large]] > 0) | (chunk.day[large] >= _FREE)]
        stock, day = chunk.stock[large], chunk.day[large]
        self._large.append((day, stock, close[large], preclose[large], is_st[large] != 0))

    def findings(self) -> list[Finding]:
        if self._large:
            columns = [np.concatenate(parts) for parts in zip(*self._large, strict=True)]
            order = np.argsort(columns[0], kind='stable')
            columns = [column[order] for column in columns]
            bounds = np.flatnonzero(np.diff(columns[0], prepend=-1, append=-1))
            for low, high in zip(bounds[:-1], bounds[1:], strict=True):
                self._one_day(*(column[low:high] for column in columns))
        return [self._strange, self.finding]

    def _one_day(self, days: np.ndarray, stock: np.ndarray, close: np.ndarray, preclose: np.ndarray, is_st: np.ndarray) -> None:
        day = int(self.store.days[days[0]])
        listed = self._calendar.listed_days(self.store.days[self.store.first[stock]], day)
        low, high = rules.price_limits_of_day(self.store.codes[stock], day, preclose, is_st, listed)
        bad = np.flatnonzero((close > high + rules.HALF_TICK) | (close < low - rules.HALF_TICK))
        self.finding.add(len(bad), [
            f'{self.store.codes[stock[row]]} {date.fromordinal(day)} {100 * (close[row] / preclose[row] - 1):+.1f} %'
            for row in bad[:EXAMPLES]])


class _CapJumps(_Check):
    """Jumps in the number of shares that the cap stands for."""

    what = f'market_cap / close more than {CAP_JUMP:g} times or less than 1/{CAP_JUMP:g} of the row before'
    needs = ('market_cap', 'close')

    def look(self, chunk: _Chunk, cap: np.ndarray, close: np.ndarray) -> None:
        funds = np.array([rules.is_fund(code) for code in self.store.codes.tolist()], bool)  # whose units come and go
        known = np.flatnonzero((cap > 0) & ~funds[chunk.stock])
        shares = cap[known] / close[known]
        times = shares[1:] / shares[:-1]
        stock = chunk.stock[known]
        bad = np.flatnonzero((stock[1:] == stock[:-1]) & ((times > CAP_JUMP) | (times < 1 / CAP_JUMP)))
        self.finding.add(len(bad), [f'{chunk.where(known[row + 1])} {times[row]:.3g} times' for row in bad[:EXAMPLES]])


class _Amounts(_Check):
    """Units of volume and amount: an amount is about volume x price."""

    what = 'amount far from volume x close'
    needs = ('amount', 'volume', 'close')

    def __init__(self, store: MarketStore) -> None:
        super().__init__(store)
        self._powers = np.zeros(41, 'int64')

    def look(self, chunk: _Chunk, amount: np.ndarray, volume: np.ndarray, close: np.ndarray) -> None:
        known = np.flatnonzero((amount > 0) & (volume > 0))
        times = amount[known] / (volume[known] * close[known])
        power = np.rint(np.log10(times)).clip(-20, 20).astype(int)
        bad = np.flatnonzero(power)
        self._powers += np.bincount(power[bad] + 20, minlength=41)
        self.finding.add(len(bad), [f'{chunk.where(known[row])} {times[row]:.3g} times' for row in bad[:EXAMPLES]])

    def findings(self) -> list[Finding]:
        if self.finding.count:
            looks = _UNITS.get(int(self._powers.argmax()) - 20)
            self.finding.what += f', which looks like {looks}' if looks else ''
        return [self.finding]


class _FloatCaps(_Check):
    """Caps below the cap of the floating shares."""

    what = 'market_cap below circ_market_cap'
    needs = ('market_cap', 'circ_market_cap')

    def look(self, chunk: _Chunk, cap: np.ndarray, floating: np.ndarray) -> None:
        bad = np.flatnonzero(cap < floating * (1 - SLACK))
        self.finding.add(len(bad), [f'{chunk.where(row)} {cap[row]:.6g} below {floating[row]:.6g}' for row in bad[:EXAMPLES]])


class _Silences(_Check):
    """Stocks that have no row for long."""

    what = 'more than a year without a row of a stock that goes on'

    def look(self, chunk: _Chunk) -> None:
        days = self.store.days[chunk.day]
        bad = np.flatnonzero((np.diff(days) > YEAR) & (chunk.stock[1:] == chunk.stock[:-1]))
        self.finding.add(len(bad), [f'{chunk.where(row)} to {_day(self.store, chunk.day[row + 1])}' for row in bad[:EXAMPLES]])
