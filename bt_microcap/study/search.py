"""Guided search: Optuna proposes params, a run tells how good they are, and the next proposal goes by all runs so far.

Optuna's own record is ``search.journal``, in its format of a journal file: other tools of Optuna can open it. Each run that
was made to its end is a row of results.csv and a column of returns.parquet, too, see `ledger`. A run is told to Optuna first
and then put into the ledger; where the search is killed in between, the run is made again for the ledger when it goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..feeds.errors import DataError
from ..record import files
from ..record.param_texts import as_text
from .ledger import LESS_IS_BETTER, Ledger
from .optuna_study import (
    COMPLETE,
    FAILED,
    INTERRUPTED,
    JOURNAL,
    PRUNED,
    RUNNING,
    WHY,
    interrupted,
    needed,
    open_study,
    quiet,
    states,
)
from .processes import cores, outcomes
from .pruning import Watch, Years, ends_of, years_of
from .runs import run_all, warning_once
from .space import Dimension, key_of, parted
from .trials import Outcome, Setting, Trial, run_trial

TRIALS = 'trials.csv'
TRIAL = 'trial'  # first column of results.csv: the number
SAME = 'same'  # attribute: number of an earlier trial with the same params, which is not run again
REFUSED, SKIPPED, UNDEFINED = 'refused', 'skipped', 'no figure'  # why a trial failed
REFUSALS = 10  # trials after which the search ends, where all of them were refused


class Tried(NamedTuple):
    """One trial of a search.

    Parameters
    ----------
    number : int
        Optuna's, from 0 on.
    state : str
        ``complete``, ``pruned``, ``failed``, or ``interrupted`` (tried again under another number).
    values : dict
        Param -> value; of an interrupted one some may be missing.
    objectives : tuple of float
        One for each objective; of a pruned trial what it was after its last year; empty for the others.
    years : int
        Calendar years that it ran, the last one of a complete one in part, too.
    why : str
        Of a failed one, ``refused: ...``, ``skipped: ...`` or ``no figure: ...``.
    same : int
        Number of the earlier trial with the same params, which was not run again; -1: none.
    """

    number: int
    state: str
    values: dict[str, Any]
    objectives: tuple[float, ...] = ()
    years: int = 0
    why: str = ''
    same: int = -1

    @property
    def key(self) -> tuple[str, ...]:
        """How it is written in results.csv."""
        return key_of(self.number, self.values)


class Found(NamedTuple):
    """What a search has found.

    Parameters
    ----------
    tried : list of Tried
        By their numbers.
    best : list of Tried
        Best first, none with the params of another one: with one objective all complete ones, with several the Pareto front,
        than which no other trial is better in one and no worse in the rest, by the first objective.
    ledger : Ledger
        Of all complete ones, after it was closed.
    """

    tried: list[Tried]
    best: list[Tried]
    ledger: Ledger

    def of(self, state: str) -> list[Tried]:
        """Return the trials of a state."""
        return [one for one in self.tried if one.state == state]


class Told(NamedTuple):
    """What a process sends of a trial."""

    number: int
    key: tuple[str, ...]
    state: str
    outcome: Outcome | None = None  # of a complete one that was run
    why: str = ''
    same: int = -1
    warned: tuple[str, ...] = ()


@dataclass
class SearchJob:
    """Asks Optuna for a trial, runs it and tells Optuna what came of it; see `processes.Job`."""

    setting: Setting
    space: tuple[Dimension, ...]
    objectives: tuple[str, ...]
    folder: Path
    seed: int
    ends: dict[int, int]  # days after which a run may be ended, see `pruning.ends_of`
    _opened: tuple[int, Any] = field(default=(0, None), init=False, repr=False, compare=False)  # process, study

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_opened': (0, None)}

    def run(self, number: int) -> Told:
        """Make the next trial, whichever it is.

        Raises
        ------
        DataError
            The run fails, otherwise than by refusing its params or the data for them.
        """
        study = self._study()
        with quiet():
            trial = study.ask()
            values = {one.name: one.suggest(trial) for one in self.space}
        told, objectives = self._repeated(study, trial, values) or self._run(trial, values)
        with quiet(), suppress(RuntimeError):  # it is told already, if this process has outlived the search that began it
            if told.why:
                trial.set_user_attr(WHY, told.why)
            if told.same >= 0:
                trial.set_user_attr(SAME, told.same)
            study.tell(trial, objectives or None, state=states()[told.state])
        return told

    def _study(self) -> Any:
        if self._opened[0] != os.getpid():  # a copied process needs its own: Optuna goes by who has written what
            self._opened = os.getpid(), open_study(self.folder, directions_of(self.objectives), self.seed)
        return self._opened[1]

    def _repeated(self, study: Any, trial: Any, values: dict[str, Any]) -> tuple[Told, list[float]] | None:
        """Return what came of an earlier trial with the same params; None where there is none."""
        for earlier in study.get_trials(deepcopy=False, states=(states()[COMPLETE],)):
            if earlier.params == trial.params:
                with quiet(), suppress(RuntimeError):
                    for year, value in earlier.intermediate_values.items():
                        trial.report(value, year)
                key = key_of(trial.number, values)
                return Told(trial.number, key, COMPLETE, same=earlier.number), list(earlier.values)
        return None

    def _run(self, trial: Any, values: dict[str, Any]) -> tuple[Told, list[float]]:
        def worse(year: int, value: float) -> bool:
            with quiet(), suppress(RuntimeError):
                trial.report(value, year)
                return trial.should_prune()
            return False

        def failed(why: str, said: str) -> tuple[Told, list[float]]:
            return Told(trial.number, key, FAILED, why=f'{why}: {said}', warned=outcome.warned), []

        key = key_of(trial.number, values)
        outcome = Outcome({}, np.zeros(0, 'int32'), np.zeros(0))
        watch = Watch(dict(self.ends), self.objectives[0], worse)
        said = f'trial {trial.number}', *(f'{name}={as_text(value)}' for name, value in values.items())
        try:
            outcome = run_trial(self.setting, Trial(said, *parted(self.space, values)), [(Years, {'watch': watch})])
        except DataError as error:
            cause = error.__cause__
            # a matter of its params: what it says before its first bar, and what the data has not, such as any stock in a band
            if not (isinstance(cause, DataError) or isinstance(cause, ValueError) and not watch.begun):
                raise
            return failed(REFUSED, ' '.join(str(cause).split()))
        if not outcome.figures:
            return failed(SKIPPED, 'the strategy skips these params (StrategySkipError)')
        if watch.stopped:
            return Told(trial.number, key, PRUNED, warned=outcome.warned), []
        found = [outcome.figures[name] for name in self.objectives]
        unknown = [name for name, value in zip(self.objectives, found, strict=True) if value is None or not np.isfinite(value)]
        if unknown:
            return failed(UNDEFINED, f'{", ".join(unknown)} is not defined')
        return Told(trial.number, key, COMPLETE, outcome, warned=outcome.warned), [float(value) for value in found]


def directions_of(objectives: Sequence[str]) -> list[str]:
    """Return whether Optuna is to minimize or to maximize each of some figures."""
    return ['minimize' if name in LESS_IS_BETTER else 'maximize' for name in objectives]


def search(
    setting: Setting, space: Sequence[Dimension], folder: Path, settings: Mapping[str, Any], *,
    objectives: Sequence[str] = ('annual_return',), trials: int = 100, seed: int = 0, prune: bool = True,
    processes: int | None = None, dask: str = '', progress: Callable[[int], Any] = int,
) -> Found:
    """Look for good params until so many trials are done, those of an interrupted search in the folder among them.

    Parameters
    ----------
    setting : Setting
        What all runs have in common.
    space : sequence of Dimension
    folder : Path
        Gets ``search.journal``, ``trials.csv``, ``results.csv``, ``returns.parquet`` and ``settings.json``.
    settings : mapping
        What the results depend on beside; see `Ledger`.
    objectives : sequence of str
        Figures, of `ledger.FIGURES`.
    trials : int
        Complete, pruned and failed ones, all in all.
    seed : int
        The same one gives the same trials, if one process makes them all.
    prune : bool
        Whether a run ends after a calendar year in which its figure so far is below the median of the runs before, at least 5;
        only with one objective: for several Optuna has nothing of the kind.
    processes : int, optional
        By default one a core; 1: this one.
    dask : str
        Address of a Dask scheduler, whose workers do it instead; they need the folder under the same path.
    progress : callable
        Called with 1 after each trial, and first with the number of those that were there.

    Raises
    ------
    DataError
        Optuna is not installed, the folder has a search with other settings or one that cannot be read, another one is at work
        there, each of the first `REFUSALS` trials is refused, or a run fails. What is done is kept.
    """
    needed()
    names = tuple(one.name for one in space)
    prune = prune and len(objectives) == 1
    about = {'dimensions': list(names), 'space': {one.name: one.spec for one in space}, 'by': list(objectives), 'seed': seed,
             'prune': prune, **settings}
    days = setting.days()
    job = SearchJob(setting, tuple(space), tuple(objectives), folder, seed, ends_of(days) if prune else {})
    years = len(set(years_of(days)))
    with Ledger(folder, (TRIAL, *names), about) as ledger:
        if len(ledger) and not (folder / JOURNAL).exists():
            raise DataError(f'{folder / JOURNAL}: there is no such file, but results of a search are; give another --out, or '
                            'remove the folder')
        study = open_study(folder, directions_of(objectives), seed, new=True)
        try:
            _take_up(study)
            _fill(setting, space, study, ledger, processes, dask)
            done = _done(study)
            progress(len(done))
            refused = [one.user_attrs.get(WHY, '').startswith(REFUSED) for one in done]
            for told in _made(job, trials - len(done), processes, dask, refused, min(trials, REFUSALS)):
                if told.outcome is not None:
                    ledger.add(told.key, told.outcome)
                elif told.same >= 0:
                    _copy(ledger, told.key, told.same)
                progress(1)
            _fill(setting, space, study, ledger, processes, dask)
        finally:
            setting.store.shared = None  # of the runs that this process made
            ledger.order = sorted(ledger.figures, key=lambda key: int(key[0]))
            tried = [_tried(one, space, years) for one in study.get_trials(deepcopy=False) if one.state.is_finished()]
            _write_trials(folder / TRIALS, tried, names, objectives)
        best = {one.number for one in study.best_trials} if len(objectives) > 1 else {one.number for one in tried}
    return Found(tried, _ranked([one for one in tried if one.number in best], objectives), ledger)


def _made(
    job: SearchJob, count: int, processes: int | None, dask: str, refused: list[bool], fewest: int,
) -> Iterator[Told]:
    """Give what comes of so many trials; end the search where all of the first ones are refused."""
    job.setting.store.index()  # here once: processes that are copies of this one have it
    why = ''
    with closing(_outcomes(job, range(max(0, count)), processes, dask)) as found:
        for _, told in warning_once(found):
            refused.append(told.why.startswith(REFUSED))
            why = told.why or why
            yield told
            if len(refused) >= fewest and all(refused):
                raise DataError(f'each of the first {len(refused)} trials was {why}')


def _outcomes(job: SearchJob, numbers: range, processes: int | None, dask: str) -> Iterator[tuple[int, Told]]:
    if dask:
        from .cluster import outcomes_on

        return outcomes_on(dask, job.setting, numbers, replace(job, folder=job.folder.resolve()), [job.folder / JOURNAL])
    return outcomes(job, numbers, processes or cores(), what='the search')


def _done(study: Any) -> list[Any]:
    """Return Optuna's trials that count: those that are over and were not interrupted."""
    return [one for one in study.get_trials(deepcopy=False) if one.state.is_finished() and not interrupted(one)]


def _take_up(study: Any) -> None:
    """Put the params of trials that were in work when a search was killed in front of the next ones."""
    found = study.get_trials(deepcopy=False)
    again = {one.user_attrs.get(INTERRUPTED) for one in found}
    for one in found:
        if one.state == states()[RUNNING]:
            with quiet():
                if one.number not in again and WHY not in one.user_attrs:
                    # first: killed in between, it is still running, and known
                    study.enqueue_trial(dict(one.params), user_attrs={INTERRUPTED: one.number})
                study.tell(one.number, state=states()[FAILED])


def _fill(
    setting: Setting, space: Sequence[Dimension], study: Any, ledger: Ledger, processes: int | None, dask: str,
) -> None:
    """Put complete trials into the ledger that it does not have: the search was killed in between, or rows were removed."""
    complete = [_tried(one, space, 0) for one in study.get_trials(deepcopy=False, states=(states()[COMPLETE],))]
    known = {key[1:]: int(key[0]) for key in ledger.figures}
    missing: dict[tuple[str, ...], Trial] = {}
    for one in complete:
        if one.key[1:] not in known:
            missing.setdefault(one.key[1:], Trial(one.key, *parted(space, one.values)))
    run_all(setting, list(missing.values()), ledger, processes=processes, dask=dask)
    known |= {params: int(trial.key[0]) for params, trial in missing.items()}
    for one in complete:
        if one.key not in ledger:
            _copy(ledger, one.key, known[one.key[1:]])


def _copy(ledger: Ledger, key: tuple[str, ...], number: int) -> None:
    """Put a trial into the ledger whose params are those of another one there; `_fill` does it, where that one is yet to come."""
    other = (str(number), *key[1:])
    if other in ledger:
        ledger.add(key, Outcome(ledger.figures[other], ledger.days[other], ledger.returns[other]))


def _tried(trial: Any, space: Sequence[Dimension], years: int) -> Tried:
    """Return a trial of Optuna's that is over."""
    values = {one.name: one.value_of(trial.params[one.name]) for one in space if one.name in trial.params}
    state = INTERRUPTED if interrupted(trial) else next(name for name, kind in states().items() if kind == trial.state)
    ran = years if state == COMPLETE else trial.last_step or 0
    return Tried(trial.number, state, values, tuple(trial.values or ()), ran, trial.user_attrs.get(WHY, ''),
                 trial.user_attrs.get(SAME, -1))


def _ranked(tried: Sequence[Tried], objectives: Sequence[str]) -> list[Tried]:
    """Return complete trials by the first objective, the best first, and each params once."""
    sign = 1 if objectives[0] in LESS_IS_BETTER else -1
    once = {one.key[1:]: one for one in reversed(tried) if one.state == COMPLETE}
    return sorted(once.values(), key=lambda one: (sign * one.objectives[0], one.number))


def _write_trials(path: Path, tried: Sequence[Tried], names: Sequence[str], objectives: Sequence[str]) -> None:
    files.write_csv(path, ('number', 'state', *names, *objectives, 'years', 'same_as', 'why'), [
        (one.number, one.state, *(as_text(one.values[name]) if name in one.values else '' for name in names),
         *(one.objectives or [''] * len(objectives)), one.years, '' if one.same < 0 else one.same, one.why) for one in tried])
