"""Rows of a table on their way in: their days, codes and columns as arrays, whatever the table was."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from bt_microcap.exchange import rules

from .errors import DataError


@dataclass
class Rows:
    """Some rows of one table.

    Parameters
    ----------
    source : str
        What messages call the table, such as the file's name.
    day : ndarray of int32, shape (rows,)
        Ordinals; 0 where the date cannot be read.
    stock : ndarray of int32, shape (rows,)
        Number of each row's code in `codes`.
    codes : list of str or None
        Canonical; None for what is no code.
    columns : dict of str to ndarray
        Our name -> values of all rows: float64, or what the table has for further columns.
    number : ndarray of int, shape (rows,)
        Where each row is in the user's table: the line of a text file, else the number of the row, from 0.
    in_lines : bool
        Whether `number` is a line.
    written : dict
        (column, row) -> what stands there, where it is not what the arrays say: text that is no number or day.
    codes_as_written : list
        The codes as the table has them.
    names : tuple of (ndarray of int, list of str), optional
        Number of each row's name, and the names of stocks.
    headings : dict of str to str
        Our name -> the table's, where they differ.
    text : set of str
        Further columns that hold text; they are not in `columns`.
    by_name : set of str
        Columns that were made of the names.
    files : list of str, optional
        The file of each stock, as `codes`, where they are several.
    """

    source: str
    day: np.ndarray
    stock: np.ndarray
    codes: list[str | None]
    columns: dict[str, np.ndarray]
    number: np.ndarray
    in_lines: bool = False
    written: dict[tuple[str, int], Any] = field(default_factory=dict)
    codes_as_written: list[Any] = field(default_factory=list)
    names: tuple[np.ndarray, list[str]] | None = None
    headings: dict[str, str] = field(default_factory=dict)
    text: set[str] = field(default_factory=set)
    by_name: set[str] = field(default_factory=set)
    files: list[str] | None = None

    def __len__(self) -> int:
        return len(self.day)

    def of_funds(self) -> np.ndarray:
        """Return which rows are of listed funds, which stand among stocks without a market cap."""
        kinds = np.array([code is not None and rules.is_fund(code) for code in self.codes] + [False])  # the last: -1, no code
        return kinds[self.stock] if kinds.any() else np.zeros(len(self), bool)

    def take(self, keep: np.ndarray) -> Rows:
        """Return some of the rows, by a mask or by numbers; what was written there is left behind."""
        return replace(
            self, day=self.day[keep], stock=self.stock[keep], number=self.number[keep], written={},
            columns={name: values[keep] for name, values in self.columns.items()},
            names=None if self.names is None else (self.names[0][keep], self.names[1]))

    def place(self, row: int, *, stock: bool = True) -> str:
        """Return where a row is, in the user's own table, with its day and code."""
        text = f'{self.file(row)}, {"line" if self.in_lines else "row"} {self.number[row]}'
        if not stock or self.day[row] <= 0:
            return text
        code = self.code(row)
        return f'{text} ({date.fromordinal(int(self.day[row]))}{" " + code if code else ""})'

    def file(self, row: int) -> str:
        """Return the file that a row is from."""
        if self.files is None:
            return self.source
        at = int(self.stock[row])
        if at < 0:  # of no stock: the file of the rows around it
            near = np.flatnonzero(self.stock >= 0)
            at = int(self.stock[near[np.abs(near - row).argmin()]]) if len(near) else 0
        return self.files[at]

    def stem(self, row: int) -> str:
        """Return what the file of a row is called, without its ending."""
        return PurePosixPath(self.file(row).replace('\\', '/')).stem.lower()

    def code(self, row: int) -> str:
        """Return a row's code, or what stands there."""
        number = int(self.stock[row])
        if number < 0:
            return str(self.written.get(('code', row), '') or '')
        code = self.codes[number]
        return code if code is not None else str(self.codes_as_written[number]) if self.codes_as_written else ''

    def found(self, column: str, row: int) -> str:
        """Return what a message says of a value."""
        return shown(self.written.get((column, row), self.columns[column][row] if column in self.columns else None))

    def error(self, row: int, column: str, found: str, expected: str, mend: str) -> DataError:
        """Return the error of one value."""
        place = self.place(row, stock=column != 'date')
        return DataError(f'{place}, column {self.headings.get(column, column)}: found {found}, expected {expected}; {mend}')


def no_rows(source: str, start: date | None = None, end: date | None = None) -> DataError:
    """Return the error of a table without rows."""
    if start or end:
        return DataError(f'{source}: found no rows from {start or "the first day"} to {end or "the last day"}, expected some; '
                         'give another --start or --end')
    return DataError(f'{source}: found no rows, expected one row per stock and trading day; check how it was made')


def shown(value: Any) -> str:
    """Return a value as messages show it."""
    if value is None or type(value).__name__ in ('NAType', 'NaTType'):
        return 'nothing (NaN)'
    if isinstance(value, (float, np.floating)):
        return 'nothing (NaN)' if np.isnan(value) else f'{float(value):.15g}'
    return repr(value) if isinstance(value, str) else str(value)
