"""What the checks found in single rows, what was done about it, and whether the table is to be trusted at all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .columns import years_of
from .errors import DataError
from .rows import Rows

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ('file', 'line', 'date', 'code', 'column', 'found', 'finding', 'done')
OF_ANY_COLUMN = ('not above 0', 'below 0', 'no number', 'neither 0 nor 1')  # findings that do not say what of
LEFT_OUT, UNKNOWN = 'row left out', 'taken as not known'
YEARS = 10  # the last ones of the data, in which the table is judged
SHARE = 0.01  # of the rows of a year that may be bad
FEW = 2  # bad rows of a year that never condemn a table: a small one would be refused for a single row
MANY = 200_000  # bad rows after which a table is judged before it is read to its end


class Kind(NamedTuple):
    """A kind of finding.

    Parameters
    ----------
    finding, done : str
        What was found, and what was done.
    bad : bool
        Whether the row counts as bad: more than `SHARE` of them in a year, and the table is refused.
    """

    finding: str
    done: str
    bad: bool = True


class Quarantine:
    """Gathers the findings of a table, or of the tables of one market.

    Parameters
    ----------
    strict : bool
        Refuse the first row that is not as it should be, instead of mending it or leaving it out.
    since, until : date, optional
        First and last day that is run; what is wrong on other days is mended or left out, and condemns nothing.
    """

    def __init__(self, strict: bool = False, since: date | None = None, until: date | None = None) -> None:
        self.strict = strict
        self.since, self.until = since.toordinal() if since else 0, until.toordinal() if until else date.max.toordinal()
        self.counts: Counter[tuple[Kind, int]] = Counter()  # by kind and year; 0 where the day is not known
        self._parts: list[dict[str, Any]] = []
        self._rows: Counter[int] = Counter()  # of each year
        self._bad: Counter[int] = Counter()
        self._first: dict[tuple[Kind, int], DataError] = {}
        self._seen: Rows | None = None  # the rows that are being checked, and which of them are bad
        self._seen_bad = np.empty(0, bool)

    def __len__(self) -> int:
        return self.counts.total()

    def see(self, rows: Rows) -> None:
        """Count rows that are about to be checked."""
        self._count_seen()
        self._seen, self._seen_bad = rows, np.zeros(len(rows), bool)
        for year, count in _by_year(rows.day).items():
            self._rows[year] += count

    def _count_seen(self) -> None:
        """Count the bad ones of the rows seen last: each once, whatever was found in it."""
        if self._seen is not None and self._seen_bad.any():
            for year, count in _by_year(self._seen.day[self._seen_bad]).items():
                self._bad[year] += count
        self._seen = None

    def add(self, kind: Kind, rows: Rows, at: np.ndarray, column: str, expected: str | Sequence[str], mend: str,
            found: str | Sequence[str] | None = None, *, lenient: bool = False) -> None:
        """Keep a finding.

        Parameters
        ----------
        kind : Kind
        rows : Rows
            As they were found.
        at : ndarray of int
            Numbers of the rows in `rows`.
        column : str
            Our name of it.
        expected : str or sequence of str
            What the error of a refusal says, of all rows or of each.
        mend : str
            What it tells the user to do.
        found : str or sequence of str, optional
            What stands there; without it the column's values.
        lenient : bool
            Not refused by `strict` either.

        Raises
        ------
        DataError
            The quarantine is strict.
        """
        if not len(at):
            return
        if found is None:
            found = [rows.found(column, row) for row in at.tolist()]

        def error(number: int) -> DataError:
            said = found if isinstance(found, str) else found[number]
            wanted = expected if isinstance(expected, str) else expected[number]
            return rows.error(int(at[number]), column, said, wanted, mend)

        judged = (rows.day[at] <= 0) | (rows.day[at] >= self.since) & (rows.day[at] <= self.until)
        if self.strict and not lenient and judged.any():
            raise error(int(judged.argmax()))
        self._parts.append({
            'file': rows.source if rows.files is None else [rows.file(row) for row in at.tolist()],
            'line': rows.number[at], 'day': rows.day[at],
            'code': [rows.code(row) for row in at.tolist()], 'column': rows.headings.get(column, column), 'found': found,
            'finding': kind.finding, 'done': kind.done})
        years = years_of(rows.day[at])
        for year, count in zip(*np.unique(years, return_counts=True), strict=True):
            key = kind, int(year)
            self.counts[key] += int(count)
            if key not in self._first:
                self._first[key] = error(int((years == year).argmax()))
            if kind.bad and rows is not self._seen:
                self._bad[int(year)] += int((judged & (years == year)).sum())
        if kind.bad and rows is self._seen:
            self._seen_bad[at[judged]] = True
        if kind.bad and self._bad.total() + self._seen_bad.sum() > max(MANY, 0.05 * self._rows.total()):
            self.judge()

    def judge(self) -> None:
        """Refuse a table of which too many rows are bad: then the table is wrong, not the row.

        Raises
        ------
        DataError
            More than `SHARE` of the rows of one of the last `YEARS` years are bad, or of those without a day.
        """
        self._count_seen()
        last = last_year(self._rows)
        for year in sorted(self._bad):
            rows = self._rows[year] if year else self._rows.total()
            if (year and not last - YEARS < year <= last) or self._bad[year] <= max(FEW, SHARE * rows):
                continue
            worst = max((key for key in self.counts if key[1] == year and key[0].bad), key=self.counts.get)
            raise DataError(f'{self._first[worst]} ({self._bad[year]:,} of {rows:,} rows'
                            f'{f" of {year}" if year else ""} are bad, more than {SHARE:.0%}: the table is wrong, not the row)')

    # -- what is told -------------------------------------------------------------------------------------

    def table(self) -> pd.DataFrame:
        """Return the findings, one row each, with the columns of `COLUMNS`."""
        import pandas as pd

        parts = [pd.DataFrame(part) for part in self._parts]
        table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=['day', *COLUMNS])
        table['date'] = ['' if day <= 0 else date.fromordinal(day).isoformat() for day in table['day'].tolist()]
        table = table[list(COLUMNS)].astype({'line': 'int64'})
        return table.sort_values(['file', 'line'], kind='stable', ignore_index=True)

    def line(self) -> str:
        """Return the findings in one line; empty where there are none."""
        return summary_line(self.table()) if self.counts else ''


def last_year(rows: Mapping[int, int]) -> int:
    """Return the last year of a table, by the number of rows of each; a few rows in a later one are somebody's slip."""
    enough = SHARE * max(rows.values(), default=0)
    return max((year for year, count in rows.items() if count >= enough), default=0)


def _by_year(day: np.ndarray) -> dict[int, int]:
    """Return how many rows each year has; 0: those whose day is not known."""
    if not len(day):
        return {}
    low, high = int(day.min()), int(day.max())
    if low > 0 and high - low < 400_000:
        counts = np.bincount(day - low)
        years = years_of(np.flatnonzero(counts) + low)
        return dict(zip(*_sums(years, counts[counts > 0]), strict=True))
    years, counts = np.unique(years_of(day), return_counts=True)
    return dict(zip(years.tolist(), counts.tolist(), strict=True))


def _sums(years: np.ndarray, counts: np.ndarray) -> tuple[list[int], list[int]]:
    first = np.flatnonzero(np.diff(years, prepend=-1))
    return years[first].tolist(), np.add.reduceat(counts, first).tolist()


def _subject(table: pd.DataFrame) -> pd.Series:
    """Return what was found in each row, with the column where the finding does not name it."""
    return table['finding'].where(~table['finding'].isin(OF_ANY_COLUMN), table['column'] + ' ' + table['finding'])


def summary_line(table: pd.DataFrame) -> str:
    """Return a table of findings in one line."""
    if not len(table):
        return ''
    rows = len(table[['file', 'line', 'date', 'code']].drop_duplicates())
    kinds = (_subject(table) + ' (' + table['done'] + ')').value_counts()
    return f'{rows:,} row{"" if rows == 1 else "s"} not as they should be: ' + ', '.join(
        f'{count:,} {kind}' for kind, count in kinds.items())


def report_lines(table: pd.DataFrame) -> list[str]:
    """Return a table of findings as lines of a report: one a kind, with the years."""
    if not len(table):
        return []
    years = table['date'].str.slice(0, 4).replace('', 'no date')
    lines = []
    for (finding, done), rows in years.groupby([_subject(table), table['done']], sort=False):
        by_year = ', '.join(f'{year} {count:,}' for year, count in rows.value_counts().sort_index().items())
        lines.append(f'{finding}, {done}: {len(rows):,} ({by_year})')
    return lines


def save(table: pd.DataFrame, path: Path) -> None:
    """Write a table of findings as a CSV: beside the file first, then renamed."""
    part = path.with_name(path.name + '.part')
    table.to_csv(part, index=False, encoding='utf-8', lineterminator='\n')
    os.replace(part, path)
