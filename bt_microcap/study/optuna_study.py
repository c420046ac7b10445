"""Optuna's side of a search: its journal in the folder, and its sampler, which goes by the number of the trial."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..feeds.errors import DataError
from ..feeds.store.folder import lock_file
from . import extras

JOURNAL, LOCK, NAME = 'search.journal', '.search.lock', 'search'
COMPLETE, PRUNED, FAILED, RUNNING = 'complete', 'pruned', 'failed', 'running'
INTERRUPTED = 'interrupted'  # also the attribute of the trial that has the params of one
WHY = 'why'  # attribute of a failed trial: one without it was interrupted
STARTUP = 5  # complete trials before the first one is pruned


@cache
def needed() -> Any:
    """Return the module ``optuna``, made silent.

    Raises
    ------
    DataError
        It is not installed; how it is.
    """
    optuna = extras.needed('optuna', 'the search', 'search')
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def states() -> dict[str, Any]:
    """Return Optuna's states of a trial by our names."""
    kinds = needed().trial.TrialState
    return {COMPLETE: kinds.COMPLETE, PRUNED: kinds.PRUNED, FAILED: kinds.FAIL, RUNNING: kinds.RUNNING}


def interrupted(trial: Any) -> bool:
    """Return whether a trial of Optuna's was in work when its search was killed, and is over since that goes on."""
    return trial.state == states()[FAILED] and WHY not in trial.user_attrs


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back what Optuna warns of: that some of its parts are experimental, and the like."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield


def open_study(folder: Path, directions: Sequence[str], seed: int, *, new: bool = False) -> Any:
    """Return the study of a folder, for this process alone.

    Parameters
    ----------
    folder : Path
    directions : sequence of str
        ``minimize`` or ``maximize``, one for each objective.
    seed : int
        Of what is drawn.
    new : bool
        Make it where there is none; by the process that begins the search.

    Raises
    ------
    DataError
        Its journal cannot be read.
    """
    optuna = needed()
    path = folder / JOURNAL
    lock = _Lock(folder / LOCK)
    try:
        if new and path.exists():
            _mend(path, lock)
        with quiet():
            storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path), lock_obj=lock))
            how = {'storage': storage, 'study_name': NAME, 'sampler': _sampler()(seed),
                   'pruner': optuna.pruners.MedianPruner(n_startup_trials=STARTUP)}
            if new:
                return optuna.create_study(directions=list(directions), load_if_exists=True, **how)
            return optuna.load_study(**how)
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError):
        raise DataError(f'{path}: cannot be read as the journal of a search; give another --out, or remove the folder') from None


def _mend(path: Path, lock: _Lock) -> None:
    """Cut off a last line without its end, of a process that was killed while it wrote: Optuna would write on behind it."""
    lock.acquire()
    try:
        content = path.read_bytes()
        whole = content.rfind(b'\n') + 1
        if whole < len(content):
            os.truncate(path, whole)
    finally:
        lock.release()


class _Lock:
    """Lets one process at a time write into the journal.

    Unlike Optuna's own it goes with the process that has it, however that ends, so that nobody waits for the dead.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = -1

    def acquire(self) -> bool:
        """Wait until this process has it."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        pause = 0.001
        while not lock_file(handle):
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        self._handle = handle
        return True

    def release(self) -> None:
        """Let the next one have it."""
        os.close(self._handle)


@cache
def _sampler() -> type:
    """Return the class of the sampler; made when it is asked for, as its base is Optuna's."""
    optuna = needed()

    class ByNumber(optuna.samplers.BaseSampler):
        """Optuna's TPE, seeded anew for each trial by its number: it matters not which process asks, nor after what."""

        def __init__(self, seed: int) -> None:
            self._seed = seed
            self._tpe: Any = None

        def before_trial(self, study: Any, trial: Any) -> None:
            # one that was interrupted has left its number to its successor
            gone = sum(interrupted(one) and one.number < trial.number for one in study.get_trials(deepcopy=False))
            drawn = np.random.SeedSequence([self._seed, trial.number - gone]).generate_state(1)[0]
            with quiet():
                self._tpe = optuna.samplers.TPESampler(
                    seed=int(drawn), multivariate=True, constant_liar=True, warn_independent_sampling=False)
            self._tpe.before_trial(study, trial)

        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return self._tpe.infer_relative_search_space(study, trial)

        def sample_relative(self, study: Any, trial: Any, search_space: dict[str, Any]) -> dict[str, Any]:
            return self._tpe.sample_relative(study, trial, search_space)

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            return self._tpe.sample_independent(study, trial, param_name, param_distribution)

        def after_trial(self, study: Any, trial: Any, state: Any, values: Sequence[float] | None) -> None:
            if self._tpe is not None:  # a process that only tells has not asked
                self._tpe.after_trial(study, trial, state, values)

    return ByNumber
