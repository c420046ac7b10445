"""Reading 邢不行 CSV files, one per stock, as they are downloaded: a folder, folders in it, or a zip of them.

A file is called ``sh600000.csv``; its first line is a banner (it may lack), the next one the header. The text is UTF-8,
with or without BOM, or GBK. Prices and amounts are yuan, volumes shares; a suspended day has no row. The name is that of
the day, and tells ST and the delisting period; see `names`.

B shares, funds and indices among the files are passed over, and so are further columns.
"""

from __future__ import annotations

import csv
import io
import math
import multiprocessing
import os
import re
import zipfile
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from bt_microcap.exchange import rules

from ..cleaning import trading_days
from ..columns import CODE_PATTERN, EPOCH, dates_of
from ..errors import DataError
from ..names import delisting_names, st_names
from ..parsing import day_of
from ..rows import Rows
from . import Request

CODE_COLUMN, NAME_COLUMN, DATE_COLUMN = '股票代码', '股票名称', '交易日期'
NUMBER_COLUMNS = {  # theirs -> ours
    '开盘价': 'open', '最高价': 'high', '最低价': 'low', '收盘价': 'close', '前收盘价': 'preclose', '成交量': 'volume',
    '成交额': 'amount', '总市值': 'market_cap', '流通市值': 'circ_market_cap',
}
COLUMNS = (CODE_COLUMN, NAME_COLUMN, DATE_COLUMN, *NUMBER_COLUMNS)
HEADINGS = {ours: theirs for theirs, ours in NUMBER_COLUMNS.items()} | {
    'date': DATE_COLUMN, 'code': CODE_COLUMN, 'is_st': NAME_COLUMN}
FILE_NAME = re.compile(r'(sh|sz|bj)(\d{6})\.csv', re.IGNORECASE)
EXCHANGES = {'sh': 'XSHG', 'sz': 'XSHE', 'bj': 'BJSE'}
DATE_FORMATS = [pa_csv.ISO8601, '%Y/%m/%d', '%Y%m%d']
WORKERS = 2
MIN_FILES_FOR_WORKERS = 20  # files that are read sooner than processes are started
CHUNK_SIZE = 32  # files that a process reads at a time
_HEADER_BYTES = 1 << 14  # bytes that hold the banner and the header


class _File(NamedTuple):
    """A file of one stock."""

    path: str  # as messages show it
    code: str
    archive: str = ''  # the zip that it is in
    member: str = ''

    def read(self) -> bytes:
        """Return its bytes."""
        try:
            if not self.archive:
                return Path(self.path).read_bytes()
            with zipfile.ZipFile(self.archive) as archive:
                return archive.read(self.member)
        except OSError as error:
            raise DataError(f'{self.path}: cannot be read ({error.strerror})') from None
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise DataError(f'{self.path}: cannot be read ({error}); download the archive again') from None


@dataclass
class _Parsed:
    """The rows of one file, in its order."""

    day: np.ndarray
    columns: dict[str, np.ndarray]  # canonical, without the flags
    number: np.ndarray  # line of each row
    name: np.ndarray  # number of each row's name
    names: list[str]
    other: np.ndarray  # rows whose code is another one than the file's
    written: dict[tuple[str, int], Any] = field(default_factory=dict)


class _Life(NamedTuple):
    """What a whole file tells of its stock, whatever days are asked for."""

    code: str
    first: int  # ordinal
    last: int
    ended: bool  # the last row is in the delisting period
    inside: bool  # it has a row in the days that are asked for


class _Chunk(NamedTuple):
    """What some files hold."""

    rows: Rows | None
    lives: list[_Life]
    errors: list[tuple[str, str]]  # path, what is wrong


def read(request: Request) -> Iterator[Rows]:
    """Return an iterator over the rows of a folder, by code, some files at a time.

    Parameters
    ----------
    request : Request
        Its ``reference_data`` are complete when the iterator is at its end: ``listings``: a stock is delisted after its last row
        where that is in the delisting period (a name with 退) and the folder's last day is later. Of any other stock whose rows
        end before the folder's the day is not known (NaT): it may be suspended, and a later folder may go on with it. The broker
        waits for such a stock (its param ``delist_wait``).

    Returns
    -------
    iterator of Rows
        Canonical, unchecked, with ``circ_market_cap`` (yuan) as a further column, and the names of the days, with the marks of a
        day such as XD as they are.

    Raises
    ------
    DataError
        A wrong folder, at once; a bad file, when it is its turn.
    """
    return _read_chunks(request, _find_files(request))


# -- the folder -------------------------------------------------------------------------------------------


def code_from_file_name(name: str) -> str | None:
    """Return the code of a file of an A share; None for any other file.

    Parameters
    ----------
    name : str
        Such as ``sh600000.csv``.
    """
    match = FILE_NAME.fullmatch(name)
    if match is None:
        return None
    exchange = EXCHANGES[match[1].lower()]
    if exchange == 'BJSE' and match[2].startswith('899'):  # Beijing's indices
        return None
    code = f'{match[2]}.{exchange}'
    return code if rules.is_share(code) else None


def _find_files(request: Request) -> list[_File]:
    """Return the files to read, by code."""
    folder = request.folder
    expected = 'expected a folder or a zip of 邢不行 CSV files such as sh600000.csv'
    if folder is None:
        raise DataError(f'found no folder, {expected}')
    folder = Path(folder)
    if not folder.exists():
        raise DataError(f'{folder}: there is no such folder; {expected}')
    if folder.is_file() and folder.suffix.lower() != '.zip':
        raise DataError(f'{folder}: found a file, {expected}; give the folder that it is in')
    try:
        paths = [folder] if folder.is_file() else sorted(
            path for path in folder.rglob('*') if path.suffix.lower() in ('.csv', '.zip') and path.is_file())
        files = [file for path in paths for file in (_members(path) if path.suffix.lower() == '.zip' else [_file(path)])]
    except OSError as error:
        raise DataError(f'{folder}: cannot be read ({error.strerror})') from None
    found: dict[str, _File] = {}
    for file in files:
        if not file.code:
            continue
        if file.code in found:
            raise DataError(f'{file.path}: found a second file of {file.code} beside {found[file.code].path}, expected one; '
                            'remove one of the two')
        found[file.code] = file
    if not found:
        other = f'; {PurePosixPath(files[0].path).name} is no such file' if files else ' and no CSV file at all'
        raise DataError(f'{folder}: found no file of an A share{other}; {expected}')
    if request.codes is not None:
        for code in request.codes:
            if not re.fullmatch(CODE_PATTERN, code):
                raise DataError(f'found the code {code!r}, expected one such as 600000.XSHG')
            if code not in found:
                reason = f'found no file of {code}, expected one'
                if not request.skip_bad:
                    raise DataError(f'{folder}: {reason}; leave that code out')
                request.skipped.append(f'{folder}: {reason}')
        found = {code: found[code] for code in set(request.codes) & set(found)}
    return [found[code] for code in sorted(found)]


def _file(path: Path) -> _File:
    return _File(str(path), code_from_file_name(path.name) or '')


def _members(path: Path) -> list[_File]:
    """Return the CSV files in a zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith('.csv')]
    except zipfile.BadZipFile:
        raise DataError(f'{path}: not readable as a zip; download it again') from None
    return [_File(f'{path}/{name}', code_from_file_name(PurePosixPath(name).name) or '', str(path), name) for name in names]


def _read_chunks(request: Request, files: list[_File]) -> Iterator[Rows]:
    request.about['market_cap'] = 'total market cap as given'
    lives: list[_Life] = []
    done = 0
    for chunk in _read_files(files, request.start, request.end):
        for path, error in chunk.errors:
            if not request.skip_bad:
                raise DataError(error)
            request.skipped.append(f'{path}: {error.removeprefix(path).lstrip(":, ")}')
        lives += chunk.lives
        done += len(chunk.lives) + len(chunk.errors)
        request.progress(done, len(files))
        if chunk.rows is not None:
            yield chunk.rows
    if not lives:
        raise DataError(f'{request.folder}: found no file that can be read, expected some; the first: {request.skipped[0]}')
    first = min(life.first for life in lives)
    lasts = sorted((life.last for life in lives), reverse=True)
    last = lasts[len(lasts) // 100]  # a later day of hardly any file is somebody's slip
    inside = [life for life in lives if life.inside]
    if not inside:
        days = f'{request.start or "the first day"} to {request.end or "the last day"}'
        raise DataError(f'{request.folder}: found no rows from {days}, expected some; '
                        f'the files have {date.fromordinal(first)} to {date.fromordinal(last)}')
    request.reference_data['listings'] = _listings(inside, first, last, request.end)


def _listings(lives: list[_Life], first: int, last: int, end: date | None) -> pd.DataFrame:
    """Return when each stock was listed and delisted, as far as the files tell.

    Rows that end early do not tell: a suspended day has no row either. The name of the delisting period does.
    """
    last = last if end is None else min(last, end.toordinal())
    unknown = np.datetime64('NaT', 's')
    return pd.DataFrame({
        'code': [life.code for life in lives],
        'listed': np.array([unknown if life.first == first else dates_of(life.first) for life in lives], 'datetime64[s]'),
        'delisted': np.array(
            [dates_of(life.last) if life.ended and life.last < last else unknown for life in lives], 'datetime64[s]'),
    })


def _read_files(files: list[_File], start: date | None, end: date | None) -> Iterator[_Chunk]:
    """Yield the content of the files in order, read by a few processes when they are many."""
    chunks, done = [files[at:at + CHUNK_SIZE] for at in range(0, len(files), CHUNK_SIZE)], 0
    if len(files) >= MIN_FILES_FOR_WORKERS and (os.cpu_count() or 1) > 1 and not multiprocessing.current_process().daemon:
        # spawned, not forked: the caller may have threads
        pool = ProcessPoolExecutor(WORKERS, multiprocessing.get_context('spawn'))
        waiting: deque = deque()
        try:
            for chunk in chunks:
                waiting.append(pool.submit(_read_chunk, chunk, start, end))
                if len(waiting) > 2 * WORKERS:  # no more in memory than that
                    yield waiting.popleft().result()
                    done += 1
            while waiting:
                yield waiting.popleft().result()
                done += 1
        except BrokenProcessPool:  # a script without the guard of __main__, say: the rest is read here
            pass
        finally:
            pool.shutdown(cancel_futures=True)
    for chunk in chunks[done:]:
        yield _read_chunk(chunk, start, end)


# -- some files -------------------------------------------------------------------------------------------


def _read_chunk(files: Sequence[_File], start: date | None, end: date | None) -> _Chunk:
    """Read some files; what is wrong with one is said in its place."""
    lives, errors, parts = [], [], []
    low, high = start.toordinal() if start else 0, end.toordinal() if end else date.max.toordinal()
    for file in files:
        try:
            rows = _parse_file(file)
        except DataError as error:
            errors.append((file.path, str(error)))
            continue
        known = np.flatnonzero(trading_days(rows.day))
        if not len(known):
            errors.append((file.path, f'{file.path}: found no row with a day, expected one per trading day; download it again'))
            continue
        newest = known[rows.day[known].argmax()]
        inside = (rows.day >= low) & (rows.day <= high)
        lives.append(_Life(file.code, int(rows.day[known].min()), int(rows.day[newest]),
                           bool(delisting_names([*rows.names, ''])[rows.name[newest]]), bool(inside.any())))
        if inside.any():
            parts.append((file, rows, inside | (rows.day <= 0)))
    return _Chunk(_joined(parts) if parts else None, lives, errors)


def _joined(parts: list[tuple[_File, _Parsed, np.ndarray]]) -> Rows:
    """Return the rows of some files that lie in the days asked for as one."""
    names: dict[str, int] = {}
    written: dict[tuple[str, int], Any] = {}
    count = 0
    for _, rows, inside in parts:
        place = np.cumsum(inside) - 1 + count
        written.update({(column, int(place[row])): text for (column, row), text in rows.written.items() if inside[row]})
        count += int(inside.sum())
    numbers = [np.array([*(names.setdefault(name, len(names)) for name in rows.names), -1], 'int32')[rows.name[inside]]
               for _, rows, inside in parts]
    stock = [np.where(rows.other[inside], -1, number).astype('int32') for number, (_, rows, inside) in enumerate(parts)]
    columns = {name: np.concatenate([rows.columns[name][inside] for _, rows, inside in parts]) for name in parts[0][1].columns}
    name = np.concatenate(numbers)
    texts = list(names)
    columns['is_st'] = np.append(st_names(texts).astype(float), np.nan)[name]
    columns['delisting_period'] = np.append(delisting_names(texts).astype(float), 0.0)[name]
    columns['paused'] = np.zeros(count)
    return Rows(
        'the files', np.concatenate([rows.day[inside] for _, rows, inside in parts]), np.concatenate(stock),
        [file.code for file, _, _ in parts], columns, np.concatenate([rows.number[inside] for _, rows, inside in parts]), True,
        written, names=(name, texts), headings=HEADINGS, by_name={'is_st', 'delisting_period'},
        files=[file.path for file, _, _ in parts])


# -- one file ---------------------------------------------------------------------------------------------


def _parse_file(file: _File) -> _Parsed:
    path = file.path
    header, line, body = _split_header(path, file.read())
    if not body.strip():
        raise DataError(f'{path}: found no rows under the header, expected one per trading day; download the file again')
    try:
        read = pa_csv.read_csv(
            io.BytesIO(body), read_options=pa_csv.ReadOptions(column_names=header, use_threads=False),
            convert_options=pa_csv.ConvertOptions(
                include_columns=list(COLUMNS), timestamp_parsers=DATE_FORMATS,
                column_types={CODE_COLUMN: pa.dictionary(pa.int32(), pa.string()),
                              NAME_COLUMN: pa.dictionary(pa.int32(), pa.string()),
                              DATE_COLUMN: pa.timestamp('s'), **dict.fromkeys(NUMBER_COLUMNS, pa.float64())}))
    except pa.ArrowInvalid:
        return _parse_slowly(file, header, line, body)
    read = read.unify_dictionaries().combine_chunks()
    lines = np.arange(line + 1, line + 1 + read.num_rows)
    if b'\n\n' in body or b'\n\r' in body or body[:1] in b'\r\n':  # blank lines count in an editor
        filled = [number for number, text in enumerate(body.splitlines(), line + 1) if text]
        lines = np.array(filled) if len(filled) == len(lines) else lines
    days = read[DATE_COLUMN].to_numpy()
    day = np.where(np.isnat(days), 0, days.astype('datetime64[D]').astype('int64') + EPOCH).astype('int32')
    day[days.astype('datetime64[D]') != days] = 0  # a time beside the day
    code_of, codes = _categories(read[CODE_COLUMN])
    name, names = _categories(read[NAME_COLUMN])
    columns = {ours: read[theirs].to_numpy().copy() for theirs, ours in NUMBER_COLUMNS.items()}
    written = {('date', row): str(days[row]).replace('T', ' ') for row in np.flatnonzero(day <= 0).tolist()}
    for column, values in columns.items():
        for row in np.flatnonzero(np.isinf(values)).tolist():
            written[column, row] = float(values[row])
            values[row] = np.nan
    return _with_codes(file, _Parsed(day, columns, lines, name, names, code_of, written), codes)


def _with_codes(file: _File, rows: _Parsed, codes: list[str]) -> _Parsed:
    """Tell the rows of another stock; `other` comes as the number of each row's code in `codes`, -1 for none."""
    stem = PurePosixPath(file.path.replace('\\', '/')).stem.lower()
    numbers = rows.other
    rows.other = np.array([*(text.strip().lower() != stem for text in codes), True])[numbers]
    for row in np.flatnonzero(rows.other).tolist():
        rows.written['code', row] = codes[numbers[row]] if numbers[row] >= 0 else None
    blank = np.array([*(not name.strip() for name in rows.names), True])[rows.name]
    rows.name = np.where(blank, -1, rows.name).astype('int32')
    return rows


def _parse_slowly(file: _File, header: list[str], line: int, body: bytes) -> _Parsed:
    """Read a file with something in it that is no number or no day, or a row that is cut off."""
    columns: dict[str, list[float]] = {ours: [] for ours in NUMBER_COLUMNS.values()}
    day, number, names, codes = [], [], [], []
    written: dict[tuple[str, int], Any] = {}
    reader = csv.reader(io.StringIO(body.decode(), newline=''))
    for row in reader:
        if not row:
            continue
        at = len(day)
        number.append(line + reader.line_num)
        fields = dict(zip(header, row, strict=False))
        day.append(day_of(fields.get(DATE_COLUMN, '')))
        if day[-1] <= 0:
            written['date', at] = fields.get(DATE_COLUMN)
        names.append(fields.get(NAME_COLUMN, '').strip())
        codes.append(fields.get(CODE_COLUMN, '').strip())
        for theirs, ours in NUMBER_COLUMNS.items():
            text = fields.get(theirs, '').strip()
            value = _number(text)
            if text and math.isnan(value):
                written[ours, at] = text
            columns[ours].append(value)
        if len(row) != len(header):
            written['row', at] = f'{len(row)} fields'
    name, kinds = pd.factorize(np.array(names, object))
    code, texts = pd.factorize(np.array(codes, object))
    parsed = _Parsed(np.array(day, 'int32'), {ours: np.array(values) for ours, values in columns.items()}, np.array(number),
                     name.astype('int32'), list(kinds), code.astype('int32'), written)
    return _with_codes(file, parsed, list(texts))


def _number(text: str) -> float:
    """Return a finite number, else NaN."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) and '_' not in text else math.nan


def _split_header(path: str, data: bytes) -> tuple[list[str], int, bytes]:
    """Return the names of a file's columns, the line that they are in, and what follows as UTF-8."""
    data = data.removeprefix(b'\xef\xbb\xbf')
    if not data.strip():
        raise DataError(f'{path}: found an empty file, expected a header line and rows; download the file again')
    best = (0, 0, '', [''])  # names known, -line, encoding, names
    head = data[:_HEADER_BYTES].splitlines(keepends=True)[:3]
    for encoding in ('utf-8', 'gb18030'):
        for number, text in enumerate(head, 1):
            names = [name.strip().strip('"') for name in text.decode(encoding, 'replace').split(',')]
            best = max(best, (len(set(names) & set(COLUMNS)), -number, encoding, names))
    known, number, encoding, names = best[0], -best[1], best[2], best[3]
    if known < 3:
        raise DataError(f'{path}: found no header in the first lines, expected {",".join(COLUMNS[:4])},... in UTF-8 or GBK; '
                        'download the file again')
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise DataError(f'{path}, line {number}: missing column{"s" if len(missing) > 1 else ""} {", ".join(missing)}: found '
                        f'{", ".join(names[:14])}; download the file again')
    doubled = [name for name in COLUMNS if names.count(name) > 1]
    if doubled:
        raise DataError(f'{path}, line {number}: the column {doubled[0]} is there twice; keep one')
    body = data[sum(len(text) for text in head[:number]):]
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        at = number + 1 + body.count(b'\n', 0, error.start)
        expected = 'UTF-8' if encoding == 'utf-8' else 'GBK'
        raise DataError(f'{path}, line {at}: found bytes that are not {expected}, expected the text that the header is in; '
                        'download the file again') from None
    return names, number, body if encoding == 'utf-8' else text.encode()


def _categories(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Return the number of each row's text, and the texts."""
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0)
    return column.indices.fill_null(-1).to_numpy(), column.dictionary.to_pylist()
