"""Tables as brokers' programs export them: CSV, or text with tabs called .xls, in UTF-8 or GBK, with lines around them."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ..exchange import rules
from ..feeds.codes import canonical_code
from ..feeds.errors import DataError
from ..feeds.headings import columns_by

HEADER_LINES = 10  # of which one is the header; before it there may be a banner
NOTHING = ('', '--', '-', 'nan', 'none', 'null')
_DAYS = ('%Y-%m-%d', '%Y%m%d', '%Y/%m/%d', '%Y.%m.%d')


@dataclass
class Row:
    """One row of such a table, with where it stands."""

    source: str  # the file, and the line
    cells: dict[str, str]  # ours -> text
    names: Mapping[str, str] = field(default_factory=dict)  # ours -> theirs
    factors: Mapping[str, float] = field(default_factory=dict)  # ours -> what its numbers are multiplied by

    def where(self, name: str) -> str:
        """Return where a cell stands, by what its file calls the column."""
        return f'{self.source}, column {self.names.get(name, name)}'

    def text(self, name: str) -> str:
        """Return a cell's text; empty where there is none."""
        found = self.cells.get(name, '')
        return '' if found.lower() in NOTHING else found

    def number(self, name: str, default: float = math.nan) -> float:
        """Return a cell's number; the default where it is empty.

        Raises
        ------
        DataError
            It is none.
        """
        found = self.text(name)
        if not found:
            return default
        try:
            value = float(found.replace(',', ''))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise DataError(f'{self.where(name)}: found {found!r}, expected a number')
        return value * self.factors.get(self.names.get(name, name), self.factors.get(name, 1.0))

    def mark(self, name: str) -> str:
        """Return a broker's number, such as of a fill, without what a spreadsheet does to it: zeros in front, ``.0`` behind."""
        found = self.text(name)
        if re.fullmatch(r'\d(\.\d+)?[eE]\+?\d+', found):
            return ''  # 1.02E+15: the digits are lost
        return re.sub(r'^0+(?=.)|\.0+$', '', found) if re.fullmatch(r'\d+(\.0+)?', found) else found

    def time(self, name: str) -> str:
        """Return a cell's time of the day as HH:MM:SS, whatever form it has."""
        found = self.text(name).upper()
        clock = re.search(r'(\d{1,2}):(\d{2})(?::(\d{2}))?', found)
        if clock:
            hour = int(clock[1])
            if re.search('[AP]M|[上下]午', found):
                hour = hour % 12 + 12 * ('PM' in found or '下午' in found)
            parts = hour, int(clock[2]), int(clock[3] or 0)
        elif re.fullmatch(r'0?\.\d+', found):  # a spreadsheet's: part of a day
            seconds = round(float(found) * 86400)
            parts = seconds // 3600, seconds // 60 % 60, seconds % 60
        elif re.fullmatch(r'\d{5,6}|\d{8}', found):  # with hundredths
            digits = found.zfill(6)[:6]
            parts = int(digits[:2]), int(digits[2:4]), int(digits[4:])
        else:
            return ''
        return '' if not any(parts) else '{:02d}:{:02d}:{:02d}'.format(*parts)  # midnight is no time of a fill

    def day(self, name: str) -> date | None:
        """Return a cell's day; None where it is empty.

        Raises
        ------
        DataError
            It is none.
        """
        found = self.text(name).partition(' ')[0].partition('T')[0].removesuffix('.0')
        if not found:
            return None
        for form in _DAYS:
            if form == '%Y%m%d' and not re.fullmatch(r'\d{8}', found):
                continue  # 2024034 would be the fourth
            try:
                return datetime.strptime(found, form).date()
            except ValueError:
                continue
        raise DataError(f'{self.where(name)}: found {found!r}, expected a day as YYYY-MM-DD or YYYYMMDD')

    def code(self, name: str = 'code') -> str:
        """Return a cell's canonical code; a fund's too.

        Raises
        ------
        DataError
            It is none.
        """
        found = self.text(name)
        code = None if re.fullmatch(r'\d{5}', found) else canonical_code(found)  # five digits are a share of Hong Kong
        if code is None and re.fullmatch(r'\d{6}', found):
            code = next((each for each in (f'{found}.XSHG', f'{found}.XSHE') if rules.is_fund(each)), None)
        if code is None:
            raise DataError(f'{self.where(name)}: found {found!r}, expected the code of an A share or a listed fund, such as '
                            '600000 or 600000.SH')
        return code


def read_rows(
    path: Path, synonyms: Mapping[str, str], needed: tuple[str, ...], rename: Mapping[str, str] | None = None,
    scale: Mapping[str, float] | None = None,
) -> tuple[list[Row], dict[str, Any]]:
    """Return the rows of a table, and which column was taken for what; see `read_table`."""
    rows, columns, _ = read_table(path, synonyms, needed, rename)
    for row in rows:
        row.factors = scale or {}
    return rows, columns


def read_table(
    path: Path, synonyms: Mapping[str, str], needed: tuple[str, ...], rename: Mapping[str, str] | None = None
) -> tuple[list[Row], dict[str, Any], list[str]]:
    """Read a table of text.

    Parameters
    ----------
    path : Path
    synonyms : mapping of str to str
        Ours -> other names; see `headings.columns_by`.
    needed : tuple of str
        Ours that must be there.
    rename : mapping of str to str, optional
        Theirs -> ours, before all that is known.

    Returns
    -------
    tuple
        The rows, which column was taken for what, and all names.

    Raises
    ------
    DataError
        No such file, no text, or a column that is not there.
    """
    lines, separator = _lines(path)
    rows = [[_cell(cell) for cell in fields] for fields in csv.reader(lines, delimiter=separator)]
    heads = [(len(_columns(fields, synonyms, rename or {})), -number) for number, fields in enumerate(rows[:HEADER_LINES])]
    if not heads:
        raise DataError(f'{path}: found an empty file, expected a header line and rows')
    header = -max(heads)[1]
    names = rows[header]
    columns = _columns(names, synonyms, rename or {})
    missing = [name for name in needed if name not in columns]
    if missing:
        raise DataError(f'{path}: found no column for {missing[0]}, only {", ".join(filter(None, names)) or "an empty line"}; '
                        f'call it {missing[0]}, or one of {", ".join(synonyms[missing[0]].split()[:4])}, or give --rename')
    at = {ours: names.index(theirs) for ours, theirs in columns.items()}
    found = []
    for number, fields in enumerate(rows[header + 1:], header + 2):
        if not any(fields) or fields[0].startswith('#') or set(''.join(fields)) <= {'-', ' '}:
            continue  # a blank line, a note, a line drawn
        if len(fields) > len(names) and any(fields[len(names):]):
            raise DataError(f'{path}, line {number}: found {len(fields)} fields under a header of {len(names)}; a number with a '
                            'comma in it wants quotation marks')
        cells = {ours: fields[place] if place < len(fields) else '' for ours, place in at.items()}
        found.append(Row(f'{path}, line {number}', cells, columns))
    return found, columns, names


def _columns(names: list[str], synonyms: Mapping[str, str], rename: Mapping[str, str]) -> dict[str, Any]:
    given = {new: old for old, new in rename.items() if old in names and new in synonyms}
    left = [name for name in names if name and name not in given.values()]
    return {**{ours: theirs for ours, theirs in columns_by(left, synonyms).items() if ours not in given}, **given}


def _cell(text: str) -> str:
    """Return a cell without what Excel and terminals put around it, such as ``="000001"``."""
    text = text.strip().strip('\ufeff')
    if text.startswith('='):
        text = text[1:]
    return text.strip('"\'\t ').strip()


def _lines(path: Path) -> tuple[list[str], str]:
    if not path.exists():
        raise DataError(f'{path}: there is no such file')
    if path.is_dir():
        raise DataError(f'{path}: found a folder, expected a table (.csv, or text with tabs)')
    content = path.read_bytes()
    if content[:4] in (b'\xd0\xcf\x11\xe0', b'PK\x03\x04', b'PAR1'):
        raise DataError(f'{path}: found a workbook or another binary file, expected text; save it as CSV')
    for encoding in ('utf-8-sig', 'gb18030'):
        try:
            lines = content.decode(encoding).splitlines()
            break
        except UnicodeDecodeError:
            continue
    else:
        raise DataError(f'{path}: found bytes that are neither UTF-8 nor GBK, expected text; save the file again')
    head = [line for line in lines[:HEADER_LINES] if line.strip()]
    return lines, max(',\t;', key=lambda mark: max((line.count(mark) for line in head), default=0))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return rows of our own as CSV, numbers in full precision, NaN as nothing; without a header where it is empty."""
    stream = io.StringIO(newline='')
    writer = csv.writer(stream, lineterminator='\n')
    if header:
        writer.writerow(header)
    writer.writerows(['' if isinstance(value, float) and math.isnan(value) else value for value in row] for row in rows)
    return stream.getvalue()
