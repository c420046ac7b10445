"""One market held against another, such as the same stocks from two sources."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np

from .data_report import EXAMPLES
from .layout import real_rows
from .market_store import MarketStore

SAME = 1e-6  # of the larger value
PAUSE = 512  # stocks after which mapped pages are let go


@dataclass
class _Column:
    """How a column of one market agrees with the other's."""

    rows: int = 0
    equal: int = 0
    only: list[int] = field(default_factory=lambda: [0, 0])  # known in one, NaN in the other
    largest: float = 0.0
    where: str = ''

    def take(self, left: np.ndarray, right: np.ndarray, code: str, days: np.ndarray, names: tuple[str, str]) -> None:
        """Compare the rows of a stock."""
        unknown = np.isnan(left), np.isnan(right)
        size = np.maximum(np.abs(left), np.abs(right))
        with np.errstate(invalid='ignore'):
            apart = np.abs(left - right)
        equal = (left == right) | (apart <= SAME * size) & np.isfinite(size)
        self.rows += len(left)
        self.equal += int((equal | unknown[0] & unknown[1]).sum())
        self.only[0] += int((unknown[1] & ~unknown[0]).sum())
        self.only[1] += int((unknown[0] & ~unknown[1]).sum())
        relative = np.divide(apart, size, out=np.zeros(len(left)), where=~equal & np.isfinite(size))
        at = int(relative.argmax())
        if relative[at] > self.largest:
            self.largest = float(relative[at])
            self.where = f'{code} {date.fromordinal(int(days[at]))} {names[0]} {left[at]:.12g}, {names[1]} {right[at]:.12g}'

    def text(self, names: tuple[str, str]) -> str:
        """Return it in words."""
        out = f'{self.equal:,} of {self.rows:,} equal ({_percent(self.equal, self.rows)})'
        for name, count in zip(names, self.only, strict=True):
            if count:
                out += f', {count:,} known in {name} only'
        return out + (f', largest difference {100 * self.largest:.3g} %: {self.where}' if self.where else '')


def _percent(part: int, whole: int) -> str:
    """Return a share, rounded down: 100 % is all of them."""
    return f'{10000 * part // whole / 100:.2f} %'


def _examples(texts: list[str], count: int) -> str:
    return f' ({", ".join(texts[:EXAMPLES])}{", ..." if count > EXAMPLES else ""})' if count else ''


def _sets(what: str, left: np.ndarray, right: np.ndarray, names: tuple[str, str], both: int) -> str:
    """Return how many of the stocks or days are in both, and in one only."""
    parts = [f'{len(only):,} only in {name}{_examples([str(one) for one in only[:EXAMPLES]], len(only))}'
             for name, only in zip(names, (left, right), strict=True)]
    return f'{what}: {both:,} in both, {", ".join(parts)}'


def compare(a: MarketStore, b: MarketStore, names: tuple[str, str] = ('A', 'B')) -> list[str]:
    """Return in words how two markets agree.

    Parameters
    ----------
    a, b : MarketStore
    names : tuple of str
        What the lines call them.

    Returns
    -------
    list of str
        Lines on stocks, days and rows, then one per column of both; values are equal within 1e-6 of the larger one.
        Rows are those of the stocks and days of both.
    """
    names = (names[0], names[1])
    codes = np.intersect1d(a.codes, b.codes)
    days, day_a, day_b = np.intersect1d(a.days, b.days, assume_unique=True, return_indices=True)
    columns = {name: _Column() for name in a.columns if name in b.columns}
    reals = real_rows(a), real_rows(b)
    starts = a.arrays['start'], b.arrays['start']
    both, only, examples = 0, [0, 0], ([], [])
    for count, code in enumerate(codes.tolist(), 1):
        numbers = a.stock_number(code), b.stock_number(code)
        there, places = [], []
        for store, number, day, real, start in zip((a, b), numbers, (day_a, day_b), reals, starts, strict=True):
            inside = (day >= store.first[number]) & (day <= store.last[number])
            place = np.where(inside, day - store.first[number], 0)
            there.append(inside & real[start[number] + place])
            places.append(place)
        rows = np.flatnonzero(there[0] & there[1])
        both += len(rows)
        for side in (0, 1):
            alone = np.flatnonzero(there[side] & ~there[1 - side])
            only[side] += len(alone)
            examples[side].extend(f'{code} {date.fromordinal(int(days[row]))}' for row in alone[:EXAMPLES - len(examples[side])])
        if len(rows):
            for name, column in columns.items():
                left, right = a.block(name, numbers[0]), b.block(name, numbers[1])
                column.take(left[places[0][rows]].astype(float), right[places[1][rows]].astype(float), code, days[rows], names)
        if count % PAUSE == 0:
            a.release_pages()
            b.release_pages()
    lines = [
        _sets('stocks', np.setdiff1d(a.codes, codes), np.setdiff1d(b.codes, codes), names, len(codes)),
        _sets('days', *([date.fromordinal(int(day)) for day in np.setdiff1d(store.days, days)] for store in (a, b)), names,
              len(days)),
        f'rows of these stocks and days: {both:,} in both, '
        + ', '.join(f'{only[side]:,} only in {names[side]}{_examples(examples[side], only[side])}' for side in (0, 1)),
    ]
    for side, (store, other) in enumerate(((a, b), (b, a))):
        alone = [name for name in store.columns if name not in other.columns]
        if alone:
            lines.append(f'columns only in {names[side]}: {", ".join(alone)}')
    return lines + [f'{name}: {column.text(names)}' for name, column in columns.items() if column.rows]
