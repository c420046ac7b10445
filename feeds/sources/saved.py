"""Answers of a source's client that the user saved as files."""

from __future__ import annotations

import contextlib
import functools
import re
from pathlib import Path

import pandas as pd

from ..codes import STOCK_CODE
from ..codes import find_code as canonical_code
from ..errors import DataError
from .answers import concat_frames
from .retries import one_line_message


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
        reason = one_line_message(error)
    raise DataError(f'{path}: cannot be read ({reason}); save it again')


def _read_csv(path: Path, encoding: str) -> pd.DataFrame:
    """Read a text file; a line with too many fields becomes a row that says so in each column."""
    try:
        return pd.read_csv(path, dtype=str, encoding=encoding)
    except pd.errors.ParserError:
        width = len(pd.read_csv(path, nrows=0, encoding=encoding).columns)
        return pd.read_csv(path, dtype=str, encoding=encoding, engine='python', on_bad_lines=(
            lambda fields: [f'too many fields: {",".join(fields)}'] * width))
