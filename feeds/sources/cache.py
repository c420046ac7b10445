"""Raw answers of a service on disk, so that nothing is asked for twice, and an interruption costs nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import DataError
from . import clock
from .answers import concat_frames, parse_dates

Fetch = Callable[[], pd.DataFrame]
FetchRange = Callable[[date, date], pd.DataFrame]
Needed = Callable[[date, date], bool]
_PROVED = 'proved'  # in a file's metadata: days without rows at its end were seen to be such


@dataclass
class Held:
    """An answer of the cache.

    Parameters
    ----------
    frame : DataFrame
    days : tuple of date, optional
        First and last day that it tells of.
    proved : bool
        That there are no rows on its last days is known, not only that none came.
    """

    frame: pd.DataFrame
    days: tuple[date, date] | None = None
    proved: bool = False


class Cache:
    """Raw answers on disk, a Parquet file each; without a folder nothing is kept.

    A file is written beside and renamed; one that cannot be read is fetched again. A day that is not over is never kept, and
    nothing is never kept as an answer where there must be something.

    Parameters
    ----------
    folder : Path, optional
    refresh_from : date, optional
        From this day on answers are asked for anew, as their rows may have been restated.
    """

    def __init__(self, folder: Path | None, refresh_from: date | None = None) -> None:
        self.folder, self.refresh_from = folder, refresh_from or date.max
        self._fresh: set[tuple[str, ...]] = set()  # what was asked for since: it need not be refreshed again

    def get(
        self, *parts: str, fetch: Fetch, until: date | None = None, needed: bool = False, keep_empty: bool = True,
    ) -> pd.DataFrame:
        """Return an answer by its key: source, call, what was asked for.

        Parameters
        ----------
        parts : str
        fetch : callable
            Asks; raises where `needed` and nothing comes.
        until : date, optional
            The last day that it tells of.
        needed : bool
            There must be rows: an empty answer of the cache is none.
        keep_empty : bool
            Whether nothing is kept as an answer: not where nobody knows whether there must be rows.
        """
        if (held := self.held(*parts, until=until, needed=needed or not keep_empty)) is not None:
            return held
        frame = fetch()
        self._fresh.add(parts)
        if (until is None or until < clock.today()) and (keep_empty or len(frame)):
            self._write(parts, frame)
        return frame

    def held(self, *parts: str, until: date | None = None, needed: bool = False) -> pd.DataFrame | None:
        """Return an answer that is there; None where it must be asked for. Without `until` it may be one to be refreshed."""
        if until is not None and until >= self.refresh_from and parts not in self._fresh:
            return None
        held = self._read(parts)
        return None if held is None or (needed and not len(held.frame)) else held.frame

    def held_range(self, *parts: str) -> tuple[pd.DataFrame, date] | None:
        """Return an answer about some days that is there, and the last of them."""
        held = self._read(parts)
        return None if held is None or held.days is None else (held.frame, held.days[1])

    def keep(self, *parts: str, frame: pd.DataFrame, days: tuple[date, date]) -> None:
        """Keep an answer about some days, in place of the one that is there."""
        self._write(parts, frame, days, proved=True)

    def has(self, *parts: str, until: date | None = None) -> bool:
        """Tell whether an answer is there, without reading it."""
        path = self._path(parts)
        stale = until is not None and until >= self.refresh_from and parts not in self._fresh
        return path is not None and path.exists() and not stale

    def keys(self, *parts: str) -> list[str]:
        """Return for what a call's answers are there."""
        path = self._path((*parts, ''))
        return [] if path is None or not path.parent.is_dir() else [unquote(file.stem) for file in path.parent.glob('*.parquet')]

    def days(self, *parts: str) -> tuple[date, date] | None:
        """Return the first and last day that an answer tells of, without reading it; None where there is none."""
        if (path := self._path(parts)) is None or not path.exists():
            return None
        try:
            return _days(pq.read_schema(path).metadata)
        except (OSError, ValueError, pa.ArrowException):
            return None

    def covers(self, *parts: str, start: date, end: date) -> bool:
        """Tell whether an answer tells of some days, without reading it."""
        days = self.days(*parts)
        return days is not None and days[0] <= start and min(days[1], self.refresh_from - timedelta(days=1)) >= end

    def get_range(
        self, *parts: str, start: date, end: date, fetch: FetchRange, date_column: str, needed: bool = False,
        proved: bool | None = None, keep_empty: bool = True,
    ) -> pd.DataFrame:
        """Return the rows of some days, asking only for those that the cache has not.

        Parameters
        ----------
        parts : str
        start, end : date
        fetch : callable
            Asks for the rows from one day to another; raises where `needed` and none come though there must be.
        date_column : str
            The column with the answer's days.
        needed : bool
            An answer of the cache without rows is none, nor are days without rows at its end, unless they are proved.
        proved : bool, optional
            Whether `fetch` proves that days without rows have none; by default where they are `needed`.
        keep_empty : bool
            Whether nothing at all is kept as an answer.
        """
        if start > end:
            return pd.DataFrame()
        there = self._read(parts)
        held = self._trusted(parts, there, date_column, needed)
        fresh_is_proved = needed if proved is None else proved
        proved = fresh_is_proved
        if held is None:
            known, frames = None, [fetch(start, end)]
        else:
            known, frames, proved = held.days, [held.frame], fresh_is_proved or held.proved
            if start < known[0]:
                frames.insert(0, fetch(start, known[0] - timedelta(days=1)))
            if end > known[1]:
                frames.append(fetch(known[1] + timedelta(days=1), end))
            if held is not there and known[1] < end < there.days[1]:  # refreshed up to an earlier day: the later ones stay
                frames.append(_after(there.frame, date_column, end))
                start, end, known = min(start, known[0]), there.days[1], None
            else:
                start, end = min(start, known[0]), max(end, known[1])
        frame = concat_frames(frames)
        covered = start, min(end, clock.today() - timedelta(days=1))
        self._fresh.add(parts)
        if covered != known and covered[1] >= start and (keep_empty or len(frame)):
            self._write(parts, _until(frame, date_column, covered[1]), covered, proved)
        return frame

    def _trusted(self, parts: tuple[str, ...], held: Held | None, date_column: str, needed: bool) -> Held | None:
        """Return the part of an answer of the cache that need not be asked for again."""
        if held is None or held.days is None:
            return None
        first, last = held.days
        if needed and not held.proved:
            if not len(held.frame):
                return None
            rows = parse_dates(held.frame, date_column).max()
            last = last if pd.isna(rows) else min(last, rows.date())
        if parts not in self._fresh:
            last = min(last, self.refresh_from - timedelta(days=1))
        if last < first:
            return None
        return held if last == held.days[1] else Held(_until(held.frame, date_column, last), (first, last), held.proved)

    def _path(self, parts: tuple[str, ...]) -> Path | None:
        return None if self.folder is None else Path(self.folder, '/'.join(quote(part, safe='') for part in parts) + '.parquet')

    def _read(self, parts: tuple[str, ...]) -> Held | None:
        if (path := self._path(parts)) is None or not path.exists():
            return None
        try:
            table = pq.read_table(path)
            return Held(table.to_pandas(), _days(table.schema.metadata), _PROVED.encode() in (table.schema.metadata or {}))
        except (OSError, ValueError, TypeError, pa.ArrowException):
            return None

    def _write(
        self, parts: tuple[str, ...], frame: pd.DataFrame, days: tuple[date, date] | None = None, proved: bool = False,
    ) -> None:
        if (path := self._path(parts)) is None:
            return
        try:
            table = pa.Table.from_pandas(frame, preserve_index=False)
        except (pa.ArrowException, ValueError, TypeError):  # numbers and text in one column
            table = pa.Table.from_pandas(frame.astype('string'), preserve_index=False)
        if days:
            more = {'days': f'{days[0]} {days[1]}', **({_PROVED: '1'} if proved else {})}
            table = table.replace_schema_metadata({**(table.schema.metadata or {}), **more})
        part = path.with_name(f'{path.name}.part{os.getpid()}')
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, part)
            os.replace(part, path)
        except OSError as error:
            raise DataError(f'{path}: the cache cannot be written ({error.strerror or error}); give another --cache') from None


def _days(metadata: dict[bytes, bytes] | None) -> tuple[date, date] | None:
    days = (metadata or {}).get(b'days', b'').decode().split()
    return tuple(map(date.fromisoformat, days)) if days else None


def _until(frame: pd.DataFrame, date_column: str, last: date) -> pd.DataFrame:
    """Return the rows up to a day, and those whose day cannot be read."""
    if not len(frame):
        return frame
    return frame[~(parse_dates(frame, date_column) > np.datetime64(last, 's')).to_numpy()]


def _after(frame: pd.DataFrame, date_column: str, last: date) -> pd.DataFrame:
    """Return the rows after a day."""
    return frame[(parse_dates(frame, date_column) > np.datetime64(last, 's')).to_numpy()] if len(frame) else frame
