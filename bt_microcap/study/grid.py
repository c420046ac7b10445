"""A grid of params through Backtrader's optimizer, kept row by row so that it can go on after an interruption."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import backtrader as bt

from ..feeds.errors import DataError
from ..feeds.store.folder import lock_file
from ..record import files
from ..record.analyzers import Figures
from ..record.param_texts import as_text

FIGURES = ('total_return', 'annual_return', 'sharpe', 'max_drawdown', 'turnover', 'fees', 'trades', 'rejections')
COUNTS = ('trades', 'rejections')  # of them the whole numbers
COMBINATION = 'combination'  # the param by which `MicroCapStrategy` is told that it is one run of a grid


def combinations(dimensions: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination of some params' values, the last one changing fastest."""
    return [dict(zip(dimensions, values, strict=True)) for values in itertools.product(*dimensions.values())]


def columns_of(dimensions: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
    """Return the columns of the results: the dimensions, then the figures."""
    return *dimensions, *FIGURES


def sweep(
    cerebro: bt.Cerebro, strategy: type[bt.Strategy], dimensions: Mapping[str, Sequence[Any]], folder: Path,
    settings: dict[str, Any], cash: float, progress: Callable[[int], Any] = int, conventions: dict[str, Any] | None = None,
    **params: Any,
) -> list[tuple]:
    """Run every combination of some params' values that has no result yet.

    Parameters
    ----------
    cerebro : bt.Cerebro
        With data and broker in place.
    strategy : type
        A strategy class that has the params. One that can be imported by name, or is pickled otherwise, where there are
        several processes.
    dimensions : mapping of str to sequence
        Param -> its values, each once.
    folder : Path
        Gets ``results.csv``, one row a combination, after each run; and ``settings.json``.
    settings : dict
        What the results depend on beside. Results of other settings in the folder are not mixed in.
    cash : float
        Yuan to start with.
    progress : callable
        Called with 1 after each run, and first with the number of those that were there.
    conventions : dict, optional
        How the figures are counted: keyword arguments of `statistics.statistics`.
    **params
        Further params of the strategy.

    Returns
    -------
    list of tuple
        Rows of `columns_of`, in the order of the grid. A combination that the strategy skips (``StrategySkipError``) has none.

    Raises
    ------
    DataError
        The folder holds results of other settings or dimensions, or another sweep is at work there.
    """
    with open(folder / '.lock', 'a+') as lock:
        if not lock_file(lock.fileno()):
            raise DataError(f'{folder}: another sweep is at work there; wait until it is done, or give another --out')
        return _sweep(cerebro, strategy, dimensions, folder, settings, cash, progress, conventions or {}, params)


def _sweep(
    cerebro: bt.Cerebro, strategy: type[bt.Strategy], dimensions: Mapping[str, Sequence[Any]], folder: Path,
    settings: dict[str, Any], cash: float, progress: Callable[[int], Any], conventions: dict[str, Any], params: dict[str, Any],
) -> list[tuple]:
    names = columns_of(dimensions)
    settings = {'dimensions': list(dimensions), **settings}
    rows = _earlier(folder, settings, names, len(dimensions))
    files.write_json(folder / 'settings.json', settings)
    asked = {_key(combination): combination for combination in combinations(dimensions)}
    left = [key for key in asked if key not in rows]
    progress(len(asked) - len(left))
    if left:
        silent = COMBINATION in strategy.params._getkeys()
        cerebro.optstrategy(strategy)
        # any set of combinations, where optstrategy() only knows all of some values with all of others; an iterator, which is
        # used up when Cerebro travels to the workers
        cerebro.strats[-1] = iter([
            (strategy, (), {**params, **asked[key], **({COMBINATION: tuple(asked[key].items())} if silent else {})})
            for key in left])
        cerebro.addanalyzer(Figures, _name='figures', cash=cash, conventions=conventions)
        cerebro.optcallback(_ResultsWriter(rows, names, iter(left), folder, progress))
        cerebro.run()
    done = {key: (*combination.values(), *rows[key]) for key, combination in asked.items() if key in rows}
    _write(folder, names, {**{key: rows[key] for key in done}, **rows})
    return list(done.values())


def _key(combination: Mapping[str, Any]) -> tuple[str, ...]:
    """Return how a combination is written in the results, by which it is known again."""
    return tuple(map(as_text, combination.values()))


class _ResultsWriter:
    """Takes each result as it comes, in the order of the runs.

    Cerebro travels to the workers with its callbacks: there this one is nothing.
    """

    def __init__(
        self, rows: dict[tuple[str, ...], tuple], names: Sequence[str], runs: Iterator[tuple[str, ...]], folder: Path,
        progress: Callable[[int], Any],
    ) -> None:
        self.rows, self.names, self.runs, self.folder, self.progress = rows, names, runs, folder, progress

    def __call__(self, result: list) -> None:
        key = next(self.runs)
        if result:  # else the strategy skips this combination
            figures = result[0].analyzers.figures.get_analysis()
            self.rows[key] = tuple(figures[name] for name in FIGURES)
            _write(self.folder, self.names, self.rows)
        self.progress(1)

    def __reduce__(self) -> tuple:
        return int, ()


def _write(folder: Path, names: Sequence[str], rows: Mapping[tuple[str, ...], tuple]) -> None:
    files.write_csv(folder / 'results.csv', names, [(*key, *figures) for key, figures in rows.items()])


def _earlier(
    folder: Path, settings: dict[str, Any], names: Sequence[str], dimensions: int
) -> dict[tuple[str, ...], tuple]:
    """Return the results that an earlier sweep has left: a combination as it is written -> its figures."""
    file, about = folder / 'results.csv', folder / 'settings.json'
    if not file.exists() and not about.exists():
        return {}
    try:
        before = json.loads(about.read_text(encoding='utf-8'))
        before.get('data')
    except (OSError, ValueError, AttributeError):
        raise DataError(f'{about}: cannot be read, so it is not known what {file.name} was made of; give another --out') from None
    name, was, now = _difference(before, json.loads(json.dumps(settings)))
    if name:
        raise DataError(f'{about}: the folder has results with {name} {was!r}, found {now!r} now; give another --out, or remove '
                        'the folder')
    if not file.exists():
        return {}
    rows = {}
    with open(file, newline='', encoding='utf-8', errors='replace') as stream:
        reader = csv.reader(stream)
        if tuple(next(reader, ())) != tuple(names):
            raise DataError(f'{file}, line 1: found other columns than {", ".join(names)}; give another --out')
        for row in reader:
            try:
                if len(row) != len(names):
                    raise ValueError
                figures = dict(zip(FIGURES, row[dimensions:], strict=True))
                rows[tuple(row[:dimensions])] = tuple(
                    int(text) if name in COUNTS else float(text) for name, text in figures.items())
            except ValueError:
                raise DataError(f'{file}, line {reader.line_num}: found {",".join(row)!r}, expected {len(names)} numbers or '
                                'params; remove the line and the combination is run again') from None
    return rows


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
