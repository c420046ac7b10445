"""What the kinds of studies share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ...feeds.errors import DataError
from ...record.figures import annual_return
from ...record.statistics import FEW_DAYS
from ..ledger import Key, Ledger
from ..trials import Setting, Trial


class Plan(NamedTuple):
    """The runs of a study.

    Parameters
    ----------
    names : tuple of str
        What their keys say: the first columns of results.csv.
    trials : list of Trial
        In the order of the table.
    own : tuple of str or None
        Key of the run that is the user's own, where one is.
    """

    names: tuple[str, ...]
    trials: list[Trial]
    own: Key | None = None


@dataclass(frozen=True)
class Kind:
    """A kind of study; its fields are its options.

    A subclass says which runs there are, and what is found in their results.
    """

    name: ClassVar[str] = ''

    def plan(self, setting: Setting) -> Plan:
        """Return the runs.

        Raises
        ------
        DataError
            The market or the strategy does not allow it.
        """
        raise NotImplementedError

    def facts(self, setting: Setting, plan: Plan, ledger: Ledger) -> dict[str, Any]:
        """Return the numbers that its sentence, its table and its picture say, all of JSON's kinds.

        Parameters
        ----------
        setting : Setting
        plan : Plan
        ledger : Ledger
            With the results of all runs but those that the strategy skipped.
        """
        raise NotImplementedError


def done(plan: Plan, ledger: Ledger) -> list[Key]:
    """Return the keys of the runs that have a result.

    Raises
    ------
    DataError
        There is none: the strategy has skipped all of them.
    """
    keys = [trial.key for trial in plan.trials if trial.key in ledger]
    if not keys:
        raise DataError('the strategy skipped every run (StrategySkipError): there is nothing to tell')
    return keys


def check_length(setting: Setting, fewest: int = FEW_DAYS) -> np.ndarray:
    """Return the days of the setting.

    Raises
    ------
    DataError
        They are too few to tell anything.
    """
    days = setting.days()
    if len(days) < fewest:
        raise DataError(f'found {len(days)} trading days, expected {fewest} or more: in fewer a study tells nothing; give a '
                        'longer period with --start and --end')
    return days


def market_return(setting: Setting, days: np.ndarray) -> float | None:
    """Return what the market, all A shares at equal weight, made a year over some days; None where it is not known."""
    store = setting.store
    close = store.index()['close']
    places = np.searchsorted(store.days, days)
    growth = close[places[-1]] / close[places[0] - 1]
    return annual_return(float(growth), len(days), setting.days_a_year) if growth == growth else None


def as_date(day: int | np.integer) -> date:
    """Return a day of an ordinal."""
    return date.fromordinal(int(day))


def value_of(setting: Setting, name: str) -> Any:
    """Return a param of the strategy, be it its default; None where it has no such param."""
    defaults: Mapping[str, Any] = dict(setting.strategy.params._getpairs())
    return setting.params.get(name, defaults.get(name))


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Return the least, the middle and the largest of some numbers."""
    return {'low': float(min(values)), 'median': float(np.median(values)), 'high': float(max(values))}
