"""A study from its first run to its files, and back from these."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..feeds.errors import DataError
from ..feeds.invocation import command
from ..record import files
from .kinds import KINDS, Kind, WalkForward
from .ledger import Key, Ledger
from .runs import run_all
from .trials import Setting

STUDY, WINDOWS, STITCHED = 'study.json', 'windows.csv', 'stitched.csv'


@dataclass(frozen=True)
class Study:
    """What a study has found.

    Parameters
    ----------
    kind : str
        Of `kinds.KINDS`.
    names : tuple of str
        What the keys of its runs say.
    own : tuple of str or None
        Key of the run that is the user's own.
    facts : dict
        See the kind's ``facts``.
    about : dict
        What was run: ``title``, ``data``, ``content``, ``strategy``, ``params``, ``profile``, ``rules``, ``cash``, ``first_day``,
        ``last_day``.
    ledger : Ledger
        The results of its runs.
    """

    kind: str
    names: tuple[str, ...]
    own: Key | None
    facts: dict[str, Any]
    about: dict[str, Any]
    ledger: Ledger

    @property
    def keys(self) -> list[Key]:
        """The keys of the runs that were asked for, in the order of the table; an earlier study may have left more."""
        return [key for key in dict.fromkeys(self.ledger.order) if key in self.ledger]


def make(
    kind: Kind, setting: Setting, folder: Path, settings: Mapping[str, Any], about: Mapping[str, Any], *,
    processes: int | None = None, dask: str = '', progress: Callable[[int], Any] | None = None,
) -> Study:
    """Make the runs of a study that have no result yet, and write what is found.

    Parameters
    ----------
    kind : Kind
        With its options.
    setting : Setting
    folder : Path
        That is there: gets results.csv, returns.parquet, settings.json and study.json; of a walk-forward windows.csv and
        stitched.csv, too.
    settings : mapping
        What the results depend on, see `ledger.Ledger`.
    about : mapping
        See `Study`.
    processes, dask
        See `runs.run_all`.
    progress : callable, optional
        Called with the number of runs, returns what is called with 1 after each.

    Raises
    ------
    DataError
        See `runs.run_all` and the kind's ``plan``.
    """
    plan = kind.plan(setting)
    tick = int if progress is None else progress(len(plan.trials))
    with Ledger(folder, plan.names, {'study': kind.name, 'names': list(plan.names), **settings},
                [trial.key for trial in plan.trials]) as ledger:
        run_all(setting, plan.trials, ledger, processes=processes, dask=dask, progress=tick)
    study = Study(kind.name, plan.names, plan.own, kind.facts(setting, plan, ledger), dict(about), ledger)
    if isinstance(kind, WalkForward):
        _write_stitched(folder, study.facts)
    files.write_json(folder / STUDY, {
        'study': study.kind, 'names': list(study.names), 'own': study.own, 'about': study.about, 'facts': study.facts,
        'runs': [list(trial.key) for trial in plan.trials]})
    return study


def _write_stitched(folder: Path, facts: dict[str, Any]) -> None:
    windows = facts['windows']
    files.write_csv(folder / WINDOWS, list(windows[0]), [tuple(row.values()) for row in windows])
    files.write_csv(folder / STITCHED, ('date', 'level'), zip(facts.pop('days'), facts.pop('levels'), strict=True))


def read(folder: Path) -> Study:
    """Return a study as its folder tells it.

    Raises
    ------
    DataError
        It is none of a study, or a file of it is damaged.
    """
    path = folder / STUDY
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
        kind, names, own = found['study'], tuple(found['names']), found['own']
        facts, about, runs = dict(found['facts']), dict(found['about']), [tuple(key) for key in found['runs']]
        if kind not in KINDS:
            raise ValueError(kind)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f'{path}: cannot be read as a study ({type(error).__name__}: {str(error).splitlines()[0]}); make it '
                        f'again with {command("study")}') from None
    ledger = Ledger.read(folder, names)
    ledger.order = runs
    return Study(kind, names, None if own is None else tuple(own), facts, about, ledger)


def read_stitched(folder: Path) -> tuple[list[str], list[float]]:
    """Return the days and levels of a walk-forward's stitched run.

    Raises
    ------
    DataError
        stitched.csv is not there, or damaged.
    """
    path = folder / STITCHED
    try:
        rows = [line.split(',') for line in path.read_text(encoding='utf-8').splitlines()[1:]]
        return [day for day, _ in rows], [float(level) for _, level in rows]
    except (OSError, ValueError):
        raise DataError(f'{path}: cannot be read as the stitched run of a walk-forward; make the study again with '
                        f'{command("study")}') from None
