"""What all downloads share: a cache of raw answers, politeness, retries, saved files."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import json
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..codes import STOCK_CODE
from ..codes import find_code as canonical_code
from ..errors import DataError
from . import Request
from .answers import Asked, concat_frames, parse_dates

Fetch = Callable[[], pd.DataFrame]
FetchRange = Callable[[date, date], pd.DataFrame]
DEFAULT_START = date(2005, 1, 1)  # asked for where the user gives no start
DATA_READY_HOUR = 16  # o'clock in Shanghai, from when on a day's prices are there
SECRET_VARIABLES = ('TUSHARE_TOKEN', 'TS_TOKEN', 'JQDATA_PASSWORD', 'JQDATA_USER')
TEMPORARY_ERROR_WORDS = ('每分钟', '频繁', '频率', '稍后', '连接被关闭', '超时', 'too many requests', 'timed out', 'timeout')
NETWORK_MODULES = ('requests', 'urllib3', 'thriftpy2', 'http', 'socket', 'jqdatasdk')  # modules of errors that may pass

sleep = time.sleep


def now() -> datetime:
    """Return the time in Shanghai."""
    return datetime.now(timezone(timedelta(hours=8)))


def today() -> date:
    """Return the day in Shanghai."""
    return now().date()


def download_range(request: Request) -> tuple[date, date]:
    """Return the first and last day to ask for; a day has no prices before its close."""
    last = today() if now().hour >= DATA_READY_HOUR else today() - timedelta(days=1)
    return request.start or DEFAULT_START, min(request.end or last, last)


class BusyError(Exception):
    """The source answered that it cannot answer now."""


class RefusedError(DataError):
    """The source answered that it will not: asking again does not help."""


def import_client(package: str, extra: str) -> ModuleType:
    """Import a source's client package; a `DataError` names the command that installs it."""
    try:
        with suppress_output():
            return importlib.import_module(package)
    except ImportError as error:
        reason = _one_line_message(error)
        raise DataError(f'{extra}: cannot import {package} ({reason}); pip install "bt-microcap[{extra}]"') from None


@contextlib.contextmanager
def suppress_output() -> Iterator[None]:
    """Keep what the clients print, such as ``login success!`` and bars, off the screen."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _one_line_message(error: BaseException) -> str:
    """Return an error as one line, without the user's secrets."""
    text = ' '.join(str(error).split()) or type(error).__name__
    for name in SECRET_VARIABLES:
        if os.environ.get(name):
            text = text.replace(os.environ[name], '***')
    return re.sub(r'//[^/@\s]+@', '//***@', text)[:200]


def is_temporary(error: Exception) -> bool:
    """Tell whether an error is the network's, or a busy source's: one that asking again may mend."""
    modules = {base.__module__.split('.')[0] for base in type(error).__mro__}
    kind = isinstance(error, (OSError, BusyError, json.JSONDecodeError)) or bool(modules & set(NETWORK_MODULES))
    return kind or any(word in str(error).lower() for word in TEMPORARY_ERROR_WORDS)


def with_retries(call: Fetch, attempts: int = 5, wait: float = 2.0, what: str = 'the source') -> pd.DataFrame:
    """Make a call, and again after temporary errors, each time after twice the wait, else raise `RefusedError`."""
    reason = ''
    for attempt in range(attempts):
        if attempt:
            sleep(wait * 2 ** (attempt - 1))
        try:
            with suppress_output():
                return call()
        except DataError:
            raise
        except Exception as error:  # noqa: BLE001  clients raise bare Exceptions
            reason = _one_line_message(error)
            if not is_temporary(error):
                raise RefusedError(f'{what}: the source refuses: {reason}') from None
    raise DataError(f'{what}: no answer in {attempts} attempts ({reason}); no network, or the source is down: start again later')


class Throttle:
    """Let through a number of calls in a number of seconds; the next one waits."""

    def __init__(self, calls: int, seconds: float) -> None:
        self.seconds = seconds
        self._times: deque[float] = deque(maxlen=calls)

    def __call__(self) -> None:
        """Wait until a call may be made."""
        if len(self._times) == self._times.maxlen:
            sleep(max(0.0, self._times[0] + self.seconds - time.monotonic()))
        self._times.append(time.monotonic())


class Cache:
    """Raw answers on disk, a Parquet file each, also empty ones; without a folder nothing is kept.

    A file is written beside and renamed; one that cannot be read is fetched again. A day that is not over is never kept.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def get(self, *parts: str, fetch: Fetch, until: date | None = None) -> pd.DataFrame:
        """Return an answer by its key: source, call, what was asked for. `until` is the last day that it tells of."""
        if (held := self._read(parts)) is not None:
            return held[0]
        frame = fetch()
        if until is None or until < today():
            self._write(parts, frame)
        return frame

    def get_range(self, *parts: str, start: date, end: date, fetch: FetchRange, date_column: str) -> pd.DataFrame:
        """Return the rows of some days, asking only for those that the cache has not; the answer's days are in `date_column`."""
        if start > end:
            return pd.DataFrame()
        held = self._read(parts)
        if held is None or held[1] is None:
            known, frames = None, [fetch(start, end)]
        else:
            known, frames = held[1], [held[0]]
            if start < known[0]:
                frames.insert(0, fetch(start, known[0] - timedelta(days=1)))
            if end > known[1]:
                frames.append(fetch(known[1] + timedelta(days=1), end))
            start, end = min(start, known[0]), max(end, known[1])
        frame = concat_frames(frames)
        covered = start, min(end, today() - timedelta(days=1))
        if covered != known and covered[1] >= start:
            kept = frame
            if len(frame):
                kept = frame[~(parse_dates(frame, date_column) > np.datetime64(covered[1], 's')).to_numpy()]
            self._write(parts, kept, covered)
        return frame

    def _path(self, parts: tuple[str, ...]) -> Path | None:
        return None if self.folder is None else Path(self.folder, '/'.join(quote(part, safe='') for part in parts) + '.parquet')

    def _read(self, parts: tuple[str, ...]) -> tuple[pd.DataFrame, tuple[date, date] | None] | None:
        if (path := self._path(parts)) is None or not path.exists():
            return None
        try:
            table = pq.read_table(path)
            days = (table.schema.metadata or {}).get(b'days', b'').decode().split()
            return table.to_pandas(), tuple(map(date.fromisoformat, days)) if days else None
        except (OSError, ValueError, TypeError, pa.ArrowException):
            return None

    def _write(self, parts: tuple[str, ...], frame: pd.DataFrame, days: tuple[date, date] | None = None) -> None:
        if (path := self._path(parts)) is None:
            return
        try:
            table = pa.Table.from_pandas(frame, preserve_index=False)
        except (pa.ArrowException, ValueError, TypeError):  # numbers and text in one column
            table = pa.Table.from_pandas(frame.astype('string'), preserve_index=False)
        if days:
            table = table.replace_schema_metadata({**(table.schema.metadata or {}), 'days': f'{days[0]} {days[1]}'})
        part = path.with_name(f'{path.name}.part{os.getpid()}')
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, part)
            os.replace(part, path)
        except OSError as error:
            raise DataError(f'{path}: the cache cannot be written ({error.strerror or error}); give another --cache') from None


class Download:
    """The answers of a source's client: from the cache, else asked for politely and again after errors."""

    def __init__(self, name: str, request: Request, throttle: Throttle, attempts: int = 5, wait: float = 2.0) -> None:
        self.name, self.cache, self.throttle, self.attempts, self.wait = name, Cache(request.cache), throttle, attempts, wait

    def label(self, call: str, key: str = '') -> str:
        """Return what messages call an answer."""
        return f'{self.name} {call} {key}'.strip()

    def fetch_with_retries(self, call: str, key: str, fetch: Fetch) -> pd.DataFrame:
        """Ask now."""
        return with_retries(lambda: (self.throttle(), fetch())[1], self.attempts, self.wait, self.label(call, key))

    def get_snapshot(self, call: str, fetch: Fetch) -> pd.DataFrame:
        """Return a list as of today, such as that of all stocks."""
        return self.cache.get(self.name, call, today().isoformat(), fetch=lambda: self.fetch_with_retries(call, '', fetch))

    def get(self, call: str, key: str, fetch: Fetch, until: date | None = None) -> pd.DataFrame:
        """Return the answer about one day, or about something that does not change."""
        return self.cache.get(self.name, call, key, fetch=lambda: self.fetch_with_retries(call, key, fetch), until=until)

    def get_range(self, call: str, key: str, start: date, end: date, fetch: FetchRange, date_column: str) -> pd.DataFrame:
        """Return the answer about some days."""
        return self.cache.get_range(self.name, call, key, start=start, end=end, date_column=date_column, fetch=(
            lambda first, last: self.fetch_with_retries(call, key, lambda: fetch(first, last))))


class SavedAnswers:
    """The answers of a source's client, saved by the user: ``<call>_<stock or day>.csv`` or ``.parquet``.

    `main_call` is the call with the prices; `calls` tells what a file's name begins with, and the call that it then holds.
    """

    def __init__(self, name: str, folder: Path, main_call: str, calls: dict[str, str]) -> None:
        if not folder.is_dir():
            raise DataError(
                f'{folder}: there is no such folder; expected saved answers of {name}, such as {main_call}_<code>.csv')
        self.folder, self.main_call = folder, main_call
        self.paths: dict[tuple[str, str], Path] = {}
        for path in sorted(folder.iterdir()):
            stem, ending = re.match(r'(.*?)((?:\.csv|\.csv\.gz|\.parquet)?)$', path.name).groups()
            stem = stem.removeprefix(f'{name}_')
            call = max((start for start in calls if f'{stem}_'.startswith(start + '_' * bool(start))), key=len, default=None)
            rest = stem[len(call):].strip('_') if call is not None else ''
            if ending and call is not None and (call or STOCK_CODE.search(rest)):
                self.paths[calls[call], ('index' not in call and canonical_code(rest)) or rest] = path
        if not self.keys(main_call):
            raise DataError(f'{folder}: found no file of {name} prices, expected {main_call}_<stock>.csv or .parquet')

    def keys(self, call: str) -> list[str]:
        """Return the stocks, days or other names that there are files of."""
        return sorted(key for one, key in self.paths if one == call)

    def label(self, call: str, key: str = '') -> str:
        """Return what messages call an answer: its file."""
        return str(self.paths.get((call, key), self.folder / f'{call}_{key}.csv'))

    def get_all(self, call: str) -> pd.DataFrame:
        """Return all that was saved of a call."""
        return concat_frames([_read_saved_file(path) for (one, _), path in self.paths.items() if one == call])

    def get(self, call: str, key: str) -> pd.DataFrame:
        """Return what was saved of a call for a key; nothing where there is no file."""
        return _read_saved_file(self.paths[call, key]) if (call, key) in self.paths else pd.DataFrame()

    def get_companion(self, call: str, key: str) -> pd.DataFrame:
        """Return what was saved beside a file of the main call: by the same key, else in files by other keys."""
        return self.get(call, key) if (call, key) in self.paths else self._get_unmatched(call)

    @functools.cache  # noqa: B019  one object a run
    def _get_unmatched(self, call: str) -> pd.DataFrame:
        return concat_frames([self.get(call, key) for key in self.keys(call) if (self.main_call, key) not in self.paths])


def _read_saved_file(path: Path) -> pd.DataFrame:
    try:
        if path.name.endswith('.parquet'):
            return pd.read_parquet(path)
        for encoding in ('utf-8-sig', 'gb18030'):
            with contextlib.suppress(UnicodeDecodeError):
                return _read_csv(path, encoding)
        reason = 'neither UTF-8 nor GB18030'
    except (OSError, ValueError, EOFError) as error:
        reason = _one_line_message(error)
    raise DataError(f'{path}: cannot be read ({reason}); save it again')


def _read_csv(path: Path, encoding: str) -> pd.DataFrame:
    """Read a text file; a line with too many fields becomes a row that says so in each column."""
    try:
        return pd.read_csv(path, dtype=str, encoding=encoding)
    except pd.errors.ParserError:
        width = len(pd.read_csv(path, nrows=0, encoding=encoding).columns)
        return pd.read_csv(path, dtype=str, encoding=encoding, engine='python', on_bad_lines=(
            lambda fields: [f'too many fields: {",".join(fields)}'] * width))


def iter_tables(request: Request, keys: list[str], read_table: Callable[[str], pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yield the table of each key: the stocks and days asked for; a bad file is reported where the user says so."""
    asked = Asked(request)
    for done, key in enumerate(keys, 1):
        try:
            if len(table := read_table(key)):
                source = table.attrs['source']
                if len(table := table[asked.rows(table)].reset_index(drop=True)):
                    table.attrs['source'] = source
                    yield table
        except DataError as error:
            if request.folder is None or not request.skip_bad:
                raise
            request.skipped.append(str(error))
        request.progress(done, len(keys))


@contextlib.contextmanager
def skip_on_error(request: Request, what: str) -> Iterator[None]:
    """Do without something beside the market that cannot be read, and say so."""
    try:
        yield
    except DataError as error:
        request.about[what] = f'not known, as not read: {error}'


def snapshot_dates(start: date, end: date, months: int) -> list[date]:
    """Return the first day, and the first of each so many months, on which a list that changes is asked for."""
    return sorted({start, *(day for day in pd.date_range(start, end, freq='MS').date if (day.month - 1) % months == 0)})
