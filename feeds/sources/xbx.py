"""Reading a folder of 邢不行 CSV files, one per stock, as they are downloaded.

A file is called ``sh600000.csv``; its first line is a banner (it may lack), the next one the header. The text is UTF-8,
with or without BOM, or GBK. Prices and amounts are yuan, volumes shares; a suspended day has no row. The name is that of
the day: a stock is ST while its name contains ``ST`` (``XD*ST`` too; full-width letters count), and in its delisting
period while it contains 退. No ordinary name of an A share contains these letters.

B shares, funds and indices among the files are passed over, and so are further columns.
"""

from __future__ import annotations

import csv
import io
import math
import multiprocessing
import os
import re
import unicodedata
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from bt_microcap.exchange import rules

from ..columns import CODE_PATTERN
from ..errors import DataError
from ..schema import check_table
from . import Request

CODE_COLUMN, NAME_COLUMN, DATE_COLUMN = '股票代码', '股票名称', '交易日期'
NUMBER_COLUMNS = {  # theirs -> ours
    '开盘价': 'open', '最高价': 'high', '最低价': 'low', '收盘价': 'close', '前收盘价': 'preclose', '成交量': 'volume',
    '成交额': 'amount', '总市值': 'market_cap', '流通市值': 'circ_market_cap',
}
COLUMNS = (CODE_COLUMN, NAME_COLUMN, DATE_COLUMN, *NUMBER_COLUMNS)
FILE_NAME = re.compile(r'(sh|sz|bj)(\d{6})\.csv', re.IGNORECASE)
EXCHANGES = {'sh': 'XSHG', 'sz': 'XSHE', 'bj': 'BJSE'}
DATE_FORMATS = [pa_csv.ISO8601, '%Y/%m/%d', '%Y%m%d']
WORKERS = 2
MIN_FILES_FOR_WORKERS = 20  # files that are read sooner than processes are started
CHUNK_SIZE = 16  # files that a process reads at a time
_HEADER_BYTES = 1 << 14  # bytes that hold the banner and the header


class _ParsedFile(NamedTuple):
    """The rows of one file."""

    path: str
    code: str
    columns: dict[str, np.ndarray]  # canonical, but for the code
    lines: np.ndarray  # of each row in the file
    name_index: np.ndarray  # number of each row's name
    names: list[str]


class _FileResult(NamedTuple):
    """What is asked for of one file, or what is wrong with it."""

    path: str
    code: str
    table: pd.DataFrame | None = None
    names: tuple[np.ndarray, list[str]] | None = None  # first day of each name, and the name
    first: np.datetime64 | None = None  # of the whole file, whatever days are asked for
    last: np.datetime64 | None = None
    ended: bool = False  # the last row of the whole file is in the delisting period
    error: str = ''


def read(request: Request) -> Iterator[pd.DataFrame]:
    """Return an iterator over the tables of a folder, one per stock that has a row in the days asked for.

    Parameters
    ----------
    request : Request
        Its ``reference_data`` are complete when the iterator is at its end: ``names``, with the marks of a day such as XD as they
        are, and ``listings``: a stock is delisted after its last row where that is in the delisting period (a name with 退) and
        the folder's last day is later. Of any other stock whose rows end before the folder's the day is not known (NaT): it may
        be suspended, and a later folder may go on with it. The broker waits for such a stock (its param ``delist_wait``).

    Returns
    -------
    iterator of DataFrame
        Canonical tables, by code, with ``circ_market_cap`` (yuan) as a further column.

    Raises
    ------
    DataError
        A wrong folder, at once; a bad file, when it is its turn.
    """
    return _read_tables(request, _find_files(request))


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
    try:
        rules.board(code)
    except rules.RuleError:
        return None
    return code


def _find_files(request: Request) -> list[tuple[str, str]]:
    """Return path and code of each file to read, by code."""
    folder = request.folder
    expected = 'expected a folder of 邢不行 CSV files such as sh600000.csv'
    if folder is None:
        raise DataError(f'found no folder, {expected}')
    folder = Path(folder)
    if not folder.exists():
        raise DataError(f'{folder}: there is no such folder; {expected}')
    if not folder.is_dir():
        raise DataError(f'{folder}: found a file, {expected}; give the folder that it is in')
    try:
        paths = sorted([*folder.glob('*.[cC][sS][vV]'), *folder.glob('*/*.[cC][sS][vV]')])
    except OSError as error:
        raise DataError(f'{folder}: cannot be read ({error.strerror})') from None
    found: dict[str, Path] = {}
    for path in paths:
        code = code_from_file_name(path.name)
        if code is None:
            continue
        if code in found:
            raise DataError(f'{path}: found a second file of {code} beside {found[code]}, expected one; remove one of the two')
        found[code] = path
    if not found:
        other = f'; {paths[0].name} is no such file' if paths else ' and no CSV file at all'
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
    return [(str(found[code]), code) for code in sorted(found)]


def _read_tables(request: Request, files: list[tuple[str, str]]) -> Iterator[pd.DataFrame]:
    request.about['market_cap'] = 'total market cap as given'
    names: list[pd.DataFrame] = []
    lives: list[_FileResult] = []
    first = last = None
    for done, stock in enumerate(_read_stocks(files, request.start, request.end), 1):
        request.progress(done, len(files))
        if stock.error:
            if not request.skip_bad:
                raise DataError(stock.error)
            request.skipped.append(f'{stock.path}: {stock.error.removeprefix(stock.path).lstrip(":, ")}')
            continue
        first = stock.first if first is None else min(first, stock.first)
        last = stock.last if last is None else max(last, stock.last)
        if stock.table is None:
            continue
        names.append(pd.DataFrame({'code': stock.code, 'date': stock.names[0], 'name': stock.names[1]}))
        lives.append(stock._replace(table=None, names=None))
        stock.table.attrs['source'] = stock.path
        yield stock.table
    if first is None:
        raise DataError(f'{request.folder}: found no file that can be read, expected some; the first: {request.skipped[0]}')
    if not lives:
        raise DataError(f'{request.folder}: found no rows from {request.start or "the first day"} to '
                        f'{request.end or "the last day"}, expected some; the files have {str(first)[:10]} to {str(last)[:10]}')
    request.reference_data['names'] = pd.concat(names, ignore_index=True)
    request.reference_data['listings'] = _listings(lives, first, last, request.end)


def _listings(lives: list[_FileResult], first: np.datetime64, last: np.datetime64, end: date | None) -> pd.DataFrame:
    """Return when each stock was listed and delisted, as far as the files tell.

    Rows that end early do not tell: a suspended day has no row either. The name of the delisting period does.
    """
    last = last if end is None else min(last, np.datetime64(end, 's'))
    unknown = np.datetime64('NaT', 's')
    return pd.DataFrame({
        'code': [stock.code for stock in lives],
        'listed': np.array([unknown if stock.first == first else stock.first for stock in lives], 'datetime64[s]'),
        'delisted': np.array(
            [stock.last if stock.ended and stock.last < last else unknown for stock in lives], 'datetime64[s]'),
    })


def _read_stocks(files: list[tuple[str, str]], start: date | None, end: date | None) -> Iterator[_FileResult]:
    """Yield the content of each file in order, read by a few processes when the files are many."""
    done = 0
    if len(files) >= MIN_FILES_FOR_WORKERS and (os.cpu_count() or 1) > 1 and not multiprocessing.current_process().daemon:
        # spawned, not forked: the caller may have threads
        pool = ProcessPoolExecutor(WORKERS, multiprocessing.get_context('spawn'))
        waiting: deque = deque()
        chunks = iter([files[at:at + CHUNK_SIZE] for at in range(0, len(files), CHUNK_SIZE)])
        try:
            for chunk in chunks:
                waiting.append(pool.submit(_read_files, chunk, start, end))
                if len(waiting) > 2 * WORKERS:  # no more in memory than that
                    for stock in waiting.popleft().result():
                        done += 1
                        yield stock
            while waiting:
                for stock in waiting.popleft().result():
                    done += 1
                    yield stock
        except BrokenProcessPool:  # a script without the guard of __main__, say: the rest is read here
            pass
        finally:
            pool.shutdown(cancel_futures=True)
    for path, code in files[done:]:
        yield from _read_files([(path, code)], start, end)


# -- one file ---------------------------------------------------------------------------------------------


def _read_files(files: list[tuple[str, str]], start: date | None, end: date | None) -> list[_FileResult]:
    """Read some files; what is wrong with one is said in its place."""
    read: list[_ParsedFile | _FileResult] = []
    for path, code in files:
        try:
            read.append(_parse_file(path, code))
        except DataError as error:
            read.append(_FileResult(path, code, error=str(error)))
    together = [rows for rows in read if isinstance(rows, _ParsedFile)]
    try:  # a check costs much the same for one file and for some
        if together:
            _check_rows(together)
        return [_select_days(rows, start, end) if isinstance(rows, _ParsedFile) else rows for rows in read]
    except DataError as error:
        if len(files) == 1:
            return [_FileResult(*files[0], error=str(error))]
    return [stock for file in files for stock in _read_files([file], start, end)]


def _select_days(rows: _ParsedFile, start: date | None, end: date | None) -> _FileResult:
    """Return what is asked for of a file's rows."""
    days = rows.columns['date']
    low = 0 if start is None else int(np.searchsorted(days, np.datetime64(start, 's')))
    high = len(days) if end is None else int(np.searchsorted(days, np.datetime64(end, 's'), 'right'))
    if low >= high:
        return _FileResult(rows.path, rows.code, first=days[0], last=days[-1])
    table = pd.DataFrame({name: values[low:high] for name, values in rows.columns.items()})
    table.insert(1, 'code', rows.code)
    name_index = rows.name_index[low:high]
    new = np.flatnonzero(np.diff(name_index, prepend=-1))
    names = days[low:high][new], [rows.names[number] for number in name_index[new]]
    ended = bool(rows.columns['delisting_period'][-1])
    return _FileResult(rows.path, rows.code, table, names, days[0], days[-1], ended)


def _parse_file(path: str, code: str) -> _ParsedFile:
    header, line, body = _split_header(path)
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
    except pa.ArrowInvalid as error:
        raise _find_error(path, header, line, body, str(error)) from None
    read = read.unify_dictionaries().combine_chunks()
    lines = np.arange(line + 1, line + 1 + read.num_rows)
    if b'\n\n' in body or b'\n\r' in body or body[:1] in b'\r\n':  # blank lines count in an editor
        filled = [number for number, text in enumerate(body.splitlines(), line + 1) if text]
        lines = np.array(filled) if len(filled) == len(lines) else lines
    code_of, codes = _categories(read[CODE_COLUMN])
    stem = Path(path).stem.lower()
    wrong = np.array([text.strip().lower() != stem for text in codes])[code_of]
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(f'{path}, line {lines[at]}, column {CODE_COLUMN}: found {codes[code_of[at]]!r}, expected {stem!r} as the '
                        'file is called; one file per stock')
    name_index, names = _categories(read[NAME_COLUMN])
    blank = np.array([not name.strip() for name in names])[name_index]
    if blank.any():
        raise DataError(f"{path}, line {lines[blank.argmax()]}, column {NAME_COLUMN}: found nothing, expected the day's name: "
                        'it tells whether the stock is ST; mend or drop the row')
    wide = [unicodedata.normalize('NFKC', name).upper() for name in names]
    columns = {'date': read[DATE_COLUMN].to_numpy()} | {ours: read[theirs].to_numpy() for theirs, ours in NUMBER_COLUMNS.items()}
    columns['is_st'] = np.array(['ST' in name for name in wide], 'uint8')[name_index]
    columns['paused'] = np.zeros(read.num_rows, 'uint8')
    columns['delisting_period'] = np.array(['退' in name for name in wide], 'uint8')[name_index]
    return _ParsedFile(path, code, columns, lines, name_index, names)


def _split_header(path: str) -> tuple[list[str], int, bytes]:
    """Return the names of a file's columns, the line that they are in, and what follows as UTF-8."""
    try:
        data = Path(path).read_bytes().removeprefix(b'\xef\xbb\xbf')
    except OSError as error:
        raise DataError(f'{path}: cannot be read ({error.strerror})') from None
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
    return column.indices.to_numpy(), column.dictionary.to_pylist()


def _check_rows(files: list[_ParsedFile]) -> None:
    """Check the content of one file, or some; messages are right for one, and call the columns as the file does."""
    lines = np.concatenate([rows.lines for rows in files])
    table = {name: np.concatenate([rows.columns[name] for rows in files]) for name in files[0].columns}
    numbers = np.repeat(np.arange(len(files)), [len(rows.lines) for rows in files])
    table['code'] = pd.Categorical.from_codes(numbers, [rows.code for rows in files])
    try:
        check_table(pd.DataFrame(table), files[0].path, lines=lines, ordered=True)
    except DataError as error:
        theirs = {ours: name for name, ours in NUMBER_COLUMNS.items()} | {'date': DATE_COLUMN, 'code': CODE_COLUMN}
        raise DataError(re.sub(r'(?<=, column )\w+(?=: found )', lambda name: theirs.get(name[0], name[0]), str(error),
                               count=1)) from None
    cap = table['circ_market_cap']
    bad = np.isinf(cap) | (cap < 0)
    if bad.any():
        at = int(bad.argmax())
        raise DataError(f'{files[0].path}, line {lines[at]}, column 流通市值: found {cap[at]:.15g}, expected 0 or more yuan; '
                        'mend or drop the row')


def _find_error(path: str, header: list[str], line: int, body: bytes, reason: str) -> DataError:
    """Return what is wrong with a file that the fast parser does not take: the first place, by line."""
    reader = csv.reader(io.StringIO(body.decode(), newline=''))
    for row in reader:
        at = f'{path}, line {line + reader.line_num}'
        if not row:
            continue
        if len(row) != len(header):
            what = 'the row is cut off: download the file again' if len(row) < len(header) else 'mend or drop the row'
            return DataError(f'{at}: found {len(row)} fields, expected {len(header)} as in the header; {what}')
        for name, value in zip(header, row, strict=True):
            text = value.strip()
            if name in NUMBER_COLUMNS and text and not _is_number(text):
                return DataError(f'{at}, column {name}: found {value!r}, expected a number; mend or drop the row')
            if name == DATE_COLUMN and text and pd.isna(pd.to_datetime(text, errors='coerce')):
                return DataError(f'{at}, column {name}: found {value!r}, expected a day such as 2024-11-01; mend or drop the row')
    return DataError(f'{path}: not readable as CSV ({reason.splitlines()[0]}); download the file again')


def _is_number(text: str) -> bool:
    try:
        return not math.isinf(float(text)) and '_' not in text
    except ValueError:
        return False
