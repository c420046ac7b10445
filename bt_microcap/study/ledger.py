"""The results of many runs in a folder, kept run by run: an interruption loses what is in work, nothing else.

``results.csv`` has the figures, ``returns.parquet`` the return of each day, a column a run. A Parquet file cannot grow, so each
run is first a line of ``runs.journal``; the two files are written anew as often as that costs little, and at the end, after which
the journal is gone.
"""

from __future__ import annotations

import base64
import csv
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from ..feeds.errors import DataError
from ..feeds.store.folder import lock_file
from ..record import files
from .trials import Outcome

FIGURES = (
    'total_return', 'annual_return', 'sharpe', 'max_drawdown', 'turnover', 'fees', 'cagr', 'volatility', 'sortino', 'calmar',
    'skew', 'kurtosis', 'value_at_risk', 'conditional_value_at_risk', 'best_day', 'worst_day', 'positive_days', 'alpha',
    'beta', 'tracking_error', 'information_ratio', 'information_ratio_annual', 'excess_return', 'longest_drawdown',
    'closed_trades', 'win_rate', 'payoff', 'expectancy', 'expectancy_rate', 'profit_factor', 'mean_days_held',
    'time_in_market', 'commission_yuan', 'tax_yuan', 'transfer_fee_yuan', 'slippage_yuan', 'delisted', 'delisted_cash',
    'median_volume_share', 'volume_share_95', 'volume_share_max', 'filled_share', 'traded_value', 'end_holdings_value',
    'end_sale_cost', 'start_value', 'end_value', 'days', 'first_day', 'last_day', 'trades', 'rejections')
COUNTS = ('trades', 'rejections', 'longest_drawdown', 'closed_trades', 'delisted', 'days')  # of them the whole numbers
DATES = ('first_day', 'last_day')  # and those that are no numbers
# a smaller one is better; of all others a larger one
LESS_IS_BETTER = (
    'max_drawdown', 'turnover', 'fees', 'rejections', 'volatility', 'longest_drawdown', 'commission_yuan', 'tax_yuan',
    'transfer_fee_yuan', 'slippage_yuan', 'delisted', 'tracking_error', 'median_volume_share', 'volume_share_95',
    'volume_share_max')
RESULTS, RETURNS, JOURNAL, SETTINGS, LOCK = 'results.csv', 'returns.parquet', 'runs.journal', 'settings.json', '.lock'
SELDOM = 20.0  # times what it took before a file is written anew, while the runs go on
Key = tuple[str, ...]


class Ledger:
    """The results of the runs of a study; a context, in which no other process writes into the folder.

    Parameters
    ----------
    folder : Path
        That is there.
    names : sequence of str
        What a key says: the first columns of results.csv.
    settings : dict
        What the results depend on beside, for settings.json. Results of other settings in the folder are not mixed in.
    order : iterable of tuple of str, optional
        Keys in the order in which the files have them; others follow.

    Raises
    ------
    DataError
        The folder holds results of other settings, or files that cannot be read, or another study is at work there.
    """

    def __init__(self, folder: Path, names: Sequence[str], settings: Mapping[str, Any], order: Iterable[Key] = ()) -> None:
        self.folder, self.names, self.settings, self.order = folder, tuple(names), dict(settings), list(order)
        self.figures: dict[Key, dict[str, Any]] = {}
        self.days: dict[Key, np.ndarray] = {}  # ordinals
        self.returns: dict[Key, np.ndarray] = {}
        self._stack = ExitStack()
        self._written = {RESULTS: (-np.inf, 0.0), RETURNS: (-np.inf, 0.0)}  # when, and how long it took

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of results.csv."""
        return *self.names, *FIGURES

    def __enter__(self) -> Ledger:
        lock = self._stack.enter_context(open(self.folder / LOCK, 'a+'))
        if not lock_file(lock.fileno()):
            self._stack.close()
            raise DataError(f'{self.folder}: another sweep is at work there; wait until it is done, or give another --out')
        try:
            self._read()
            files.write_json(self.folder / SETTINGS, self.settings)
            self._journal = self._stack.enter_context(open(self.folder / JOURNAL, 'a', encoding='utf-8'))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: Any, *error: Any) -> None:
        with self._stack:
            if kind is None:
                self.write()
                self._journal.close()
                (self.folder / JOURNAL).unlink()
            elif kind is KeyboardInterrupt or issubclass(kind, DataError):
                self.write()  # what is there already; the journal stays, as it may know more than a full disk took

    def __contains__(self, key: Key) -> bool:
        return key in self.figures

    def __len__(self) -> int:
        return len(self.figures)

    def add(self, key: Key, outcome: Outcome) -> None:
        """Keep what came of a run; of one that was skipped nothing."""
        if not outcome.figures:
            return
        figures = {name: outcome.figures.get(name) for name in FIGURES}
        line = {'key': key, 'figures': figures, 'days': _packed(outcome.days, '<i4'), 'returns': _packed(outcome.returns, '<f8')}
        self._journal.write(json.dumps(line) + '\n')
        self._journal.flush()
        self._keep(key, figures, outcome.days, outcome.returns)
        for name, (last, cost) in self._written.items():
            if time.monotonic() - last >= SELDOM * cost:
                self._write(name)

    def write(self) -> None:
        """Write both files."""
        for name in self._written:
            self._write(name)

    def keys(self) -> list[Key]:
        """Return the keys of what is there, in the order of the files."""
        asked = dict.fromkeys(self.order)
        return [*(key for key in asked if key in self.figures), *(key for key in self.figures if key not in asked)]

    def row(self, key: Key) -> tuple[Any, ...]:
        """Return the figures of a run, in the order of `FIGURES`."""
        return tuple(self.figures[key][name] for name in FIGURES)

    def levels(self, key: Key) -> np.ndarray:
        """Return what 1 has become before the first day of a run and after each."""
        return np.concatenate([[1.0], np.cumprod(1 + self.returns[key])])

    def table(self, keys: Sequence[Key] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the daily returns side by side.

        Returns
        -------
        days : ndarray of int, shape (days,)
            Ordinals on which any run has a return.
        returns : ndarray of float, shape (days, runs)
            NaN where a run has none.
        """
        keys = self.keys() if keys is None else keys
        days = np.unique(np.concatenate([self.days[key] for key in keys])) if keys else np.zeros(0, 'int32')
        found = np.full((len(days), len(keys)), np.nan)
        for number, key in enumerate(keys):
            found[np.searchsorted(days, self.days[key]), number] = self.returns[key]
        return days, found

    def label(self, key: Key) -> str:
        """Return what a run's column of returns.parquet is called."""
        return label_of(self.names, key)

    @classmethod
    def read(cls, folder: Path, names: Sequence[str]) -> Ledger:
        """Return the results that a folder has, only to be looked at.

        Raises
        ------
        DataError
            A file cannot be read, or is of another study.
        """
        found = cls(folder, names, {})
        if not (folder / RESULTS).exists():
            raise DataError(f'{folder / RESULTS}: there is no such file, expected the results of a study; make it again')
        found._read_files()
        return found

    # -- files ----------------------------------------------------------------------------------------------

    def _keep(self, key: Key, figures: dict[str, Any], days: np.ndarray, returns: np.ndarray) -> None:
        self.figures[key], self.days[key], self.returns[key] = figures, days, returns

    def _write(self, name: str) -> None:
        begun = time.monotonic()
        (self._write_results if name == RESULTS else self._write_returns)()
        self._written[name] = time.monotonic(), time.monotonic() - begun

    def _write_results(self) -> None:
        files.write_csv(self.folder / RESULTS, self.columns, [(*key, *self.row(key)) for key in self.keys()])

    def _write_returns(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        keys = self.keys()
        days, found = self.table(keys)
        columns = {'date': pa.array((days - date(1970, 1, 1).toordinal()).astype('int32'), pa.date32())}
        columns |= {self.label(key): pa.array(found[:, number], from_pandas=True) for number, key in enumerate(keys)}
        part = self.folder / (RETURNS + '.part')
        pq.write_table(pa.table(columns), part)
        os.replace(part, self.folder / RETURNS)

    def _read(self) -> None:
        about = self.folder / SETTINGS
        results, returns, journal = (self.folder / name for name in (RESULTS, RETURNS, JOURNAL))
        if not about.exists() and not any(path.exists() for path in (results, returns, journal)):
            return
        check_settings(about, self.settings, results.name)
        self._read_files()
        if journal.exists():
            self._read_journal(journal)

    def _read_files(self) -> None:
        if (self.folder / RESULTS).exists():
            figures = self._read_results(self.folder / RESULTS)
            for key, (days, values) in self._read_returns(self.folder / RETURNS, list(figures)).items():
                self._keep(key, figures[key], days, values)

    def _read_results(self, path: Path) -> dict[Key, dict[str, Any]]:
        found = {}
        with open(path, newline='', encoding='utf-8', errors='replace') as stream:
            reader = csv.reader(stream)
            heads = tuple(next(reader, ()))
            if heads != self.columns:
                pairs = zip_longest(heads, self.columns, fillvalue='nothing')
                place, (was, wanted) = next((place, pair) for place, pair in enumerate(pairs, 1) if len(set(pair)) > 1)
                raise DataError(f'{path}, line 1, column {place}: found {was}, expected {wanted}: the results are of another '
                                'study, or of another version; give another --out')
            for row in reader:
                try:
                    if len(row) != len(self.columns):
                        raise ValueError
                    values = zip(FIGURES, row[len(self.names):], strict=True)
                    found[tuple(row[:len(self.names)])] = {name: _figure(name, text) for name, text in values}
                except ValueError:
                    raise DataError(f'{path}, line {reader.line_num}: found {",".join(row)!r}, expected {len(self.columns)} '
                                    'numbers or params; remove the line and the combination is run again') from None
        return found

    def _read_returns(self, path: Path, keys: list[Key]) -> dict[Key, tuple[np.ndarray, np.ndarray]]:
        """Return days and returns of the runs that have a column; the others are run again."""
        if not path.exists():
            return {}
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
            days = np.asarray(table['date'].cast(pa.int32())) + date(1970, 1, 1).toordinal()
        except (OSError, KeyError, pa.ArrowException) as error:
            raise DataError(f'{path}: cannot be read as the returns of a study ({str(error).splitlines()[0]}); remove it, and '
                            'the runs are made again') from None
        found = {}
        for key in keys:
            if self.label(key) in table.column_names:
                values = table[self.label(key)].to_numpy()
                there = values == values
                found[key] = days[there], values[there]
        return found

    def _read_journal(self, path: Path) -> None:
        """Take over what a study that was interrupted has written line by line; a last line without its end is lost."""
        whole = []
        with open(path, encoding='utf-8', errors='replace') as stream:
            for text in stream:
                try:
                    line = json.loads(text)
                    key = tuple(line['key'])
                    figures = {name: line['figures'][name] for name in FIGURES}
                    days, returns = _unpacked(line['days'], '<i4'), _unpacked(line['returns'], '<f8')
                except (ValueError, KeyError, TypeError):
                    continue  # cut off by the interruption
                self._keep(key, figures, days, returns)
                whole.append(text)
        part = path.with_name(path.name + '.part')  # else the next line would go on where the cut one ends
        part.write_text(''.join(whole), encoding='utf-8')
        os.replace(part, path)


def label_of(names: Sequence[str], key: Key) -> str:
    """Return a key as text: ``stocknum=3 refresh_rate=5``."""
    return ' '.join(f'{name}={text}' for name, text in zip(names, key, strict=True))


def _packed(values: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.asarray(values, kind).tobytes()).decode('ascii')


def _unpacked(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text, validate=True), kind).copy()


def _figure(name: str, text: str) -> Any:
    if not text:
        return None
    return text if name in DATES else int(text) if name in COUNTS else float(text)


def check_settings(path: Path, settings: Mapping[str, Any], file: str) -> None:
    """Refuse a folder whose results are of other settings.

    Raises
    ------
    DataError
        They are, or it cannot be read of which.
    """
    try:
        before = json.loads(path.read_text(encoding='utf-8'))
        before.get('data')
    except (OSError, ValueError, AttributeError):
        raise DataError(f'{path}: cannot be read, so it is not known what {file} was made of; give another --out') from None
    name, was, now = _difference(before, json.loads(json.dumps(settings)))
    if name:
        raise DataError(f'{path}: the folder has results with {name} {was!r}, found {now!r} now; give another --out, or remove '
                        'the folder')


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, Any, Any]:
    """Return the first setting that was another: its name, then and now; an empty name where none was."""
    for name in now:
        was = before.get(name)
        if isinstance(now[name], dict) and isinstance(was, dict):
            inner = next((key for key in {**now[name], **was} if was.get(key) != now[name].get(key)), None)
            if inner is not None:
                return f'{name} {inner}', was.get(inner), now[name].get(inner)
        elif was != now[name]:
            return name, was, now[name]
    return '', None, None
