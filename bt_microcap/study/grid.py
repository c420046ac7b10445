"""A grid of params: every combination of some params' values."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import backtrader as bt

from ..profiles import REALISTIC
from ..record.param_texts import as_text
from .ledger import FIGURES, Ledger
from .runs import run_all
from .trials import Setting, Trial


def combinations(dimensions: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination of some params' values, the last one changing fastest."""
    return [dict(zip(dimensions, values, strict=True)) for values in itertools.product(*dimensions.values())]


def columns_of(dimensions: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
    """Return the columns of the results: the dimensions, then the figures."""
    return *dimensions, *FIGURES


def key_of(combination: Mapping[str, Any]) -> tuple[str, ...]:
    """Return how a combination is written in the results, by which it is known again."""
    return tuple(map(as_text, combination.values()))


def trials_of(dimensions: Mapping[str, Sequence[Any]], setting: Setting) -> list[Trial]:
    """Return a trial for each combination; a name that is no param of the strategy is a key of the profile."""
    rules = {name for name in dimensions if is_rule(name, setting.strategy)}
    return [Trial(key_of(combination), {name: value for name, value in combination.items() if name not in rules},
                  {name: value for name, value in combination.items() if name in rules})
            for combination in combinations(dimensions)]


def is_rule(name: str, strategy: type[bt.Strategy]) -> bool:
    """Return whether a name is a key of the profile, and no param of the strategy."""
    return name in REALISTIC and name not in strategy.params._getkeys()


def sweep(
    setting: Setting, dimensions: Mapping[str, Sequence[Any]], folder: Path, settings: dict[str, Any], *,
    processes: int | None = None, dask: str = '', progress: Callable[[int], Any] = int,
) -> tuple[list[tuple], Ledger]:
    """Run every combination of some params' values that has no result yet.

    Parameters
    ----------
    setting : Setting
        What all runs have in common.
    dimensions : mapping of str to sequence
        Param -> its values, each once.
    folder : Path
        Gets ``results.csv``, one row a combination, ``returns.parquet``, one column a combination, and ``settings.json``.
    settings : dict
        What the results depend on beside. Results of other settings in the folder are not mixed in.
    processes, dask, progress
        See `runs.run_all`.

    Returns
    -------
    rows : list of tuple
        Rows of `columns_of`, in the order of the grid. A combination that the strategy skips (``StrategySkipError``) has none.
    ledger : Ledger
        Of all results in the folder, after it was closed.

    Raises
    ------
    DataError
        The folder holds results of other settings or dimensions, another sweep is at work there, or a run fails.
    """
    trials = trials_of(dimensions, setting)
    with Ledger(folder, tuple(dimensions), {'dimensions': list(dimensions), **settings}, [one.key for one in trials]) as ledger:
        run_all(setting, trials, ledger, processes=processes, dask=dask, progress=progress)
    rows = [(*combination.values(), *ledger.row(key)) for combination in combinations(dimensions)
            if (key := key_of(combination)) in ledger]
    return rows, ledger
