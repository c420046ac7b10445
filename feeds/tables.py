"""Tables in files, of whatever shape and with whatever headings, as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from . import files
from .errors import DataError
from .headings import Headings, is_wide, recognise
from .parsing import check_headings, rows_of_frame
from .rows import Rows, no_rows

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Reading:
    """How tables are read, and what was taken for what.

    Parameters
    ----------
    rename : mapping of str to str
        Their name -> ours, for columns that are not recognised.
    scale : mapping of str to float
        Our name -> what its values are multiplied by.
    start, end : date, optional
        First and last day; nothing else is read or checked.
    further : bool
        Also read columns that are none of ours.
    lines : list of str
        What was taken for what, a line for each kind of table.
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    scale: Mapping[str, float] = field(default_factory=dict)
    start: date | None = None
    end: date | None = None
    further: bool = True
    lines: list[str] = field(default_factory=list)

    def headings(self, names: Sequence, source: str) -> Headings:
        """Return what columns are, with the units that the user gives."""
        headings = recognise(names, self.rename, source)
        for name in self.scale:
            if name not in headings.columns:
                raise DataError(f'{source}: found no column {name} to multiply; found {", ".join(headings.columns)}')
        line = headings.line()
        if line and line not in self.lines:
            self.lines.append(line)
        return replace(headings, factors={
            **headings.factors, **{name: factor * headings.factors.get(name, 1.0) for name, factor in self.scale.items()}})


def rows_of_files(
    paths: Sequence[Path], reading: Reading, progress: Callable[[int, int], object] | None = None
) -> Iterator[Rows]:
    """Read tables part by part, unchecked.

    Parameters
    ----------
    paths : sequence of Path
        Parquet or CSV; wide ones (dates x codes) hold one column each, named by the file.
    reading : Reading
    progress : callable, optional
        Called with the bytes that are read, and those there are.

    Raises
    ------
    DataError
        A file that is not there, is not readable, or lacks columns.
    """
    opened = [files.open_table(path) for path in paths]
    sizes = [path.stat().st_size for path in paths]
    tell = progress or (lambda done, size: None)
    done, wide = 0, []
    for file, size in zip(opened, sizes, strict=True):
        if is_wide(file.names):
            wide.append(file)
            continue
        read = count = 0
        for rows in _rows_of_file(file, reading):
            read += sum(values.nbytes for values in rows.columns.values())
            tell(done + min(size, read // 3), sum(sizes))  # files are packed
            count += len(rows)
            yield rows
        if not count and not reading.start and not reading.end:
            raise no_rows(str(file.path))
        done += size
    if wide:
        yield from _rows_of_wide(wide, reading)
    tell(sum(sizes), sum(sizes))


def _rows_of_file(file: files.TableFile, reading: Reading) -> Iterator[Rows]:
    source = str(file.path)
    if not file.whole:
        headings = reading.headings(file.names, source)
        if 'date' in headings.columns and 'code' in headings.columns:  # else pandas may find them in an index
            yield from files.parts(file, headings, start=reading.start, end=reading.end, further=reading.further)
            return
    frame, lines = files.load_frame(file)
    yield rows_of_table(frame, reading, source, lines=lines)


def _rows_of_wide(opened: list[files.TableFile], reading: Reading) -> Iterator[Rows]:
    frames = dict(zip(files.stems([file.path for file in opened]), (files.load_frame(file)[0] for file in opened), strict=True))
    from .wide import join_wide  # with it comes pandas, which a long Parquet file does without

    source = ', '.join(str(file.path) for file in opened)
    table = join_wide(frames, source)
    left_out = table.attrs.get('left_out')
    if left_out:
        reading.lines.append(f'not read, as they are no stocks: {", ".join(map(str, left_out))}')
    yield rows_of_table(table, reading, source)


def rows_of_table(table: pd.DataFrame, reading: Reading, source: str, *, lines: object = None) -> Rows:
    """Return the rows of a frame of any shape, unchecked; see `rows_of_files`."""
    from .wide import long_table

    table = long_table(table, source=source)
    headings = reading.headings(list(table.columns), source)
    check_headings(headings, list(table.columns), source)
    return rows_of_frame(table, headings, source, lines=lines, start=reading.start, end=reading.end)
