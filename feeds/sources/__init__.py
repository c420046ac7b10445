"""The sources that a market can be read from: one module each, that yields the canonical table.

To add a source, write one module with a function ``read(request)`` and name it in `SOURCES`.

A single bad row stops nothing: a source hands it on as it is, with the text where a number or a day cannot be read, and the
store's writer leaves the row out, mends it or takes the value as not known, and lists it (see `cleaning`); days that are
not asked for are left out before. What is wrong as a whole, such as an answer without a column or adjusted prices, is a
`DataError`. What a source does not know it says in ``request.about``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# name -> what it is, for the help of the command ingest
SOURCES = {
    'xbx': 'a folder of 邢不行 CSV files, one per stock',
    'baostock': 'baostock.com, free, no account',
    'akshare': 'akshare, free, from public web pages',
    'tushare': 'tushare.pro, an account with points; TUSHARE_TOKEN',
    'joinquant': 'jqdatasdk, an account; JQDATA_USER and JQDATA_PASSWORD',
}


def _no_progress(done: int, total: int) -> None:
    return None


def _say_nothing(text: str) -> None:
    return None


@dataclass
class Request:
    """What is asked of a source, and what it tells beside the market.

    Parameters
    ----------
    folder : Path, optional
        Where the user's files are: a source's own folder, or saved frames (``--from-files``).
    start, end : date, optional
        First and last day.
    codes : list of str, optional
        Canonical codes; without it all stocks of the source, delisted ones too where it has them.
    cache : Path, optional
        Folder for the raw answers of a download, so that nothing is asked for twice.
    benchmark : str, optional
        Six digits of an index, such as 000300.
    skip_bad : bool
        Leave out whole files that cannot be read, or are wrong as a whole, and stocks that a service answers with nothing, and
        report them, instead of stopping.
    refresh : int
        So many weekdays up to the last one are asked for anew, for rows that were restated since.
    shares : str or Path, optional
        Where total shares come from, for a source that has none: of `shares.SOURCES`, or a file.
    progress : callable
        Called with what is done and what there is to do.
    say : callable
        Called with lines for the user, such as how long a download will take.
    reference_data : dict
        Tables beside the market that the source adds, see `columns.REFERENCE_TABLES`.
    about : dict
        What the manifest shall say, such as ``market_cap``: how it was found, where it is estimated or not known.
    skipped : list of str
        Whole files and stocks that were left out, each with the reason.
    before : list of str
        Codes of the store that is brought up to date.
    since : date, optional
        Its first day.
    renamed : dict of str to str
        Codes that stocks had before -> their code now; rows that a store has under the old one are the same stock's.
    """

    folder: Path | None = None
    start: date | None = None
    end: date | None = None
    codes: list[str] | None = None
    cache: Path | None = None
    benchmark: str | None = None
    skip_bad: bool = False
    refresh: int = 0
    shares: str | Path | None = None
    progress: Callable[[int, int], Any] = _no_progress
    say: Callable[[str], Any] = _say_nothing
    reference_data: dict[str, pd.DataFrame] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    since: date | None = None
    renamed: dict[str, str] = field(default_factory=dict)


def source_module(name: str) -> ModuleType:
    """Return the module of a source; its ``read(request)`` yields tables in the canonical layout.

    Each table has ``attrs['source']``, what messages call it. Tables of one source have the same columns.
    """
    return importlib.import_module(f'{__name__}.{name}')


def read(name: str, request: Request) -> Iterator[pd.DataFrame]:
    """Yield the tables of a source."""
    return source_module(name).read(request)
