"""A grid of parameters through Backtrader's optimizer, kept row by row so that it can go on after an interruption."""

from __future__ import annotations

import csv
import json
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import backtrader as bt

from ..feeds.errors import DataError
from ..feeds.store.folder import lock_file
from ..record import files, statistics
from ..record.blotter import Blotter
from ..rotation.strategy import MicroCapStrategy

FIGURES = ('total_return', 'annual_return', 'sharpe', 'max_drawdown', 'turnover', 'fees', 'trades', 'rejections')
COLUMNS = ('stocknum', 'refresh_rate', *FIGURES)


class Figures(Blotter):
    """The figures of a run alone: what an optimizer's worker sends back instead of every order.

    ``get_analysis()`` is what `statistics.statistics` returns.

    Params:

      - ``cash``: yuan before the first day.
      - ``conventions``: keyword arguments of `statistics.statistics`.
    """

    params = (('cash', 1e6), ('conventions', {}))

    def stop(self) -> None:
        """Compute the figures and let go of the books."""
        super().stop()
        self._figures = statistics.statistics(self, self.p.cash, **self.p.conventions)
        self.fills, self.rejections, self.equity, self.orders, self.corporate_actions = [], [], [], [], []

    def get_analysis(self) -> dict[str, Any]:
        """Return the figures."""
        return self._figures


class GridStrategy(MicroCapStrategy):
    """`MicroCapStrategy` with ``stocknum`` and ``refresh_rate`` in one param, so that any set of pairs is a grid.

    Params (beside those of `MicroCapStrategy`):

      - ``pair``: (stocknum, refresh_rate).
    """

    params = (('pair', (3, 5)),)

    def __init__(self) -> None:
        self.p.stocknum, self.p.refresh_rate = self.p.pair
        if multiprocessing.parent_process() is not None:  # Ctrl-C is for the parent, which ends its workers
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        super().__init__()

    def stop(self) -> None:
        """Say nothing of a run without a fill: whoever asks for the grid sees it in the figure ``trades``."""


def sweep(
    cerebro: bt.Cerebro, pairs: Sequence[tuple[int, int]], folder: Path, settings: dict[str, Any], cash: float,
    progress: Callable[[int], Any] = int, conventions: dict[str, Any] | None = None, **params: Any,
) -> list[tuple]:
    """Run every pair of ``stocknum`` and ``refresh_rate`` that has no result yet.

    Parameters
    ----------
    cerebro : bt.Cerebro
        With data and broker in place.
    pairs : sequence of (int, int)
        The grid.
    folder : Path
        Gets ``results.csv``, one row a pair, after each pair; and ``settings.json``.
    settings : dict
        What the results depend on. Results of other settings in the folder are not mixed in.
    cash : float
        Yuan to start with.
    progress : callable
        Called with 1 after each pair, and first with the number of those that were there.
    conventions : dict, optional
        How the figures are counted: keyword arguments of `statistics.statistics`.
    **params
        Further params of the strategy.

    Returns
    -------
    list of tuple
        Rows of `COLUMNS`, in the order of the grid.

    Raises
    ------
    DataError
        The folder holds results of other settings.
    """
    with open(folder / '.lock', 'a+') as lock:
        if not lock_file(lock.fileno()):
            raise DataError(f'{folder}: another sweep is at work there; wait until it is done, or give another --out')
        return _sweep(cerebro, pairs, folder, settings, cash, progress, conventions or {}, params)


def _sweep(
    cerebro: bt.Cerebro, pairs: Sequence[tuple[int, int]], folder: Path, settings: dict[str, Any], cash: float,
    progress: Callable[[int], Any], conventions: dict[str, Any], params: dict[str, Any],
) -> list[tuple]:
    rows = _earlier(folder, settings)
    files.write_json(folder / 'settings.json', settings)
    left = [pair for pair in pairs if pair not in rows]
    progress(len(pairs) - len(left))
    if left:
        cerebro.optstrategy(GridStrategy, pair=left, **{name: [value] for name, value in params.items()})
        cerebro.addanalyzer(Figures, _name='figures', cash=cash, conventions=conventions)

        cerebro.optcallback(_ResultsWriter(rows, folder, progress))
        cerebro.run()
    done = [rows[pair] for pair in pairs]
    _write(folder, done + [row for pair, row in rows.items() if pair not in set(pairs)])
    return done


class _ResultsWriter:
    """Takes each result as it comes. Cerebro travels to the workers with its callbacks: there this one is nothing."""

    def __init__(self, rows: dict[tuple[int, int], tuple], folder: Path, progress: Callable[[int], Any]) -> None:
        self.rows, self.folder, self.progress = rows, folder, progress

    def __call__(self, result: list) -> None:
        figures = result[0].analyzers.figures.get_analysis()
        pair = tuple(result[0].params.pair)
        self.rows[pair] = (*pair, *(figures[name] for name in FIGURES))
        _write(self.folder, self.rows.values())
        self.progress(1)

    def __reduce__(self) -> tuple:
        return int, ()


def _write(folder: Path, rows: Any) -> None:
    files.write_csv(folder / 'results.csv', COLUMNS, rows)


def _earlier(folder: Path, settings: dict[str, Any]) -> dict[tuple[int, int], tuple]:
    """Return the results that an earlier sweep has left."""
    file, about = folder / 'results.csv', folder / 'settings.json'
    if not file.exists() and not about.exists():
        return {}
    try:
        before = json.loads(about.read_text(encoding='utf-8'))
        before.get('data')
    except (OSError, ValueError, AttributeError):
        raise DataError(f'{about}: cannot be read, so it is not known what {file.name} was made of; give another --out') from None
    same = json.loads(json.dumps(settings))
    other = [name for name in same if before.get(name) != same[name]]
    if other:
        raise DataError(f'{about}: the folder has results with {other[0]} {before.get(other[0])!r}, found {same[other[0]]!r} '
                        'now; give another --out, or remove the folder')
    if not file.exists():
        return {}
    rows = {}
    with open(file, newline='', encoding='utf-8', errors='replace') as stream:
        reader = csv.reader(stream)
        if tuple(next(reader, ())) != COLUMNS:
            raise DataError(f'{file}, line 1: found other columns than {", ".join(COLUMNS)}; give another --out')
        for row in reader:
            try:
                pair = int(row[0]), int(row[1])
                values = [float(text) for text in row[2:]]
                rows[pair] = (*pair, *values[:-2], int(values[-2]), int(values[-1]))
            except (ValueError, IndexError):
                raise DataError(f'{file}, line {reader.line_num}: found {",".join(row)!r}, expected {len(COLUMNS)} numbers; '
                                'remove the line and the pair is run again') from None
    return rows
