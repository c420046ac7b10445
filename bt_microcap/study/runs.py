"""The runs of a study: those that have no result yet are made, on this machine or on a cluster."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

from .ledger import Ledger
from .processes import cores, outcomes
from .trials import Outcome, Setting, Trial, TrialsJob


def run_all(
    setting: Setting, trials: Sequence[Trial], ledger: Ledger, *, processes: int | None = None, dask: str = '',
    progress: Callable[[int], Any] = int,
) -> None:
    """Run the trials that a ledger does not have yet, and put what comes of them into it.

    Parameters
    ----------
    setting : Setting
    trials : sequence of Trial
    ledger : Ledger
        That is open.
    processes : int, optional
        By default one a core; 1: this one.
    dask : str
        Address of a Dask scheduler, whose workers do it instead.
    progress : callable
        Called with 1 after each run, and first with the number of those that were there.

    Raises
    ------
    DataError
        A run fails, a process ends before its time, or the cluster cannot run them. What is done is in the ledger.
    """
    left = tuple(trial._replace(names=ledger.names) for trial in trials if trial.key not in ledger)
    progress(len(trials) - len(left))
    if not left:
        return
    setting.store.index()  # here once: processes that are copies of this one have it
    try:
        with closing(_outcomes(setting, left, processes, dask)) as found:
            for number, outcome in warning_once(found):
                ledger.add(left[number].key, outcome)
                progress(1)
    finally:
        setting.store.shared = None  # of the runs that this process made


def warning_once(found: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    """Give what comes of runs, and warn here of what they have warned of elsewhere, each text once."""
    said: set[str] = set()
    for number, outcome in found:
        for text in outcome.warned:
            if text not in said:
                said.add(text)
                warnings.warn(text, stacklevel=2)
        yield number, outcome


def _outcomes(
    setting: Setting, trials: tuple[Trial, ...], processes: int | None, dask: str,
) -> Iterator[tuple[int, Outcome]]:
    if dask:
        from .cluster import outcomes_on

        return outcomes_on(dask, setting, trials)
    return outcomes(TrialsJob(setting, trials), range(len(trials)), processes or cores())
