"""A market in memory: the arrays of a table, or of a table's file, made as they are asked for."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..files import late_columns, open_table, read_column
from ..mending import ACTIONS, Mended, lost_rows
from ..quarantine import Quarantine
from ..rows import Rows
from ..tables import Reading, rows_of_files, rows_of_table
from .layout import GUESSED, Columns, dtype_of, in_days, units
from .staging import Staging, judge_falls

if TYPE_CHECKING:
    import pandas as pd


class InMemory(NamedTuple):
    """What `market_store.MarketStore` is made of."""

    arrays: Columns
    columns: dict[str, str]
    about: dict[str, Any]
    tables: dict[str, Any]
    quarantine: Quarantine


def of_table(table: pd.DataFrame, source: str, reading: Reading | None, quarantine: Quarantine | None, checked: bool) -> InMemory:
    """Return a table as a market; see `market_store.MarketStore.from_table`."""
    reading = reading or Reading()
    return _market([rows_of_table(table, reading, source)], source, reading, quarantine, checked)


def of_file(path: Path, reading: Reading | None, quarantine: Quarantine | None) -> InMemory:
    """Return a table's file as a market; further columns of a Parquet file are read when they are asked for."""
    reading = reading or Reading()
    file = open_table(path)
    late = late_columns(file, reading)
    reading = replace(reading, further=not late)
    return _market(rows_of_files([path], reading), str(path), reading, quarantine, False, path, late, file.rows)


def _market(
    parts: Iterable[Rows], source: str, reading: Reading, quarantine: Quarantine | None, checked: bool,
    path: Path | None = None, late: dict[str, np.dtype] | None = None, expected: int = 0,
) -> InMemory:
    found = Quarantine() if quarantine is None else quarantine  # an empty one is false
    staging = Staging(found, rows=expected)
    staging.late = {name: partial(read_column, path, name) for name in late or {}}
    for rows in parts:
        staging.add(rows, checked=checked)
    layout = staging.layout(source, judged=checked)
    if found.strict:
        staging.check_order()
    columns = {**staging.columns, **{name: dtype_of(name, kind) for name, kind in (late or {}).items()}}

    forget = False  # while it is looked for what is to be mended

    def read(name: str) -> np.ndarray:
        values = staging.column(name)
        if forget and not in_days(name) and name not in ACTIONS:
            staging.forget(name)  # it is kept by stock from now on
        return values

    if quarantine is None and len(found):
        warnings.warn(f'{source}: {found.line()}', stacklevel=4)
    names = staging.names()
    lost = lost_rows(found.table()) if len(found) else None
    mended = Mended(layout, columns, read, staging.without_close, lost)
    columns, forget = mended.columns, True
    arrays = Columns(layout, columns, mended.read)
    if not checked:
        judge_falls(staging, source, arrays)
    about = {'source': source, **({} if checked else {'listings': GUESSED}), **staging.about(names)}
    if reading.lines:
        about['columns'] = '; '.join(reading.lines)
    return InMemory(arrays, units(columns), about, {} if names is None else {'names': names}, found)
