"""What a guided search may choose from: ranges of numbers, and lists of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..record.param_texts import as_text


@dataclass(frozen=True)
class Dimension:
    """One param of the strategy, or key of the profile, and what it may be.

    Parameters
    ----------
    name : str
    low, high : int or float
        Ends of a range, both in it; whole numbers where both are.
    step : int or float, optional
        Between the values of a range, counted from `low`; by default 1 for whole numbers, any value in between for others.
    log : bool
        A range's small values are looked at as closely as its large ones. `low` is above 0 then, and there is no step.
    choices : tuple
        The values, where it is no range.
    of_profile : bool
        It is a key of the profile.
    """

    name: str
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    of_profile: bool = False

    def suggest(self, trial: Any) -> Any:
        """Return the value that an Optuna trial is to have; the same one, where it is asked again."""
        if self.choices:
            # as texts: Optuna keeps no tuples
            found: Any = trial.suggest_categorical(self.name, [as_text(value) for value in self.choices])
        elif isinstance(self.low, int) and isinstance(self.high, int):
            found = trial.suggest_int(self.name, self.low, self.high, step=self.step or 1, log=self.log)
        else:
            found = trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)
        return self.value_of(found)

    def value_of(self, kept: Any) -> Any:
        """Return the value that Optuna keeps in its own form."""
        if self.choices:
            return next(value for value in self.choices if as_text(value) == kept)
        # three steps of 0.05 are 0.15000000000000002 by its arithmetic
        return float(f'{kept:.12g}') if self.step is not None and isinstance(kept, float) else kept

    def ends(self) -> list[Any]:
        """Return the ends of a range, or all values of a list."""
        return list(self.choices) or [self.low, self.high]

    @property
    def spec(self) -> str:
        """How it is typed."""
        if self.choices:
            between = ';' if any(isinstance(value, tuple) for value in self.choices) else ','
            return between.join(map(as_text, self.choices))
        rest = [as_text(self.step)] if self.step is not None else ['log'] if self.log else []
        return ':'.join([as_text(self.low), as_text(self.high), *rest])


def key_of(number: int, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return how a trial is written in results.csv, by which it is known again: its number and its params."""
    return str(number), *map(as_text, values.values())


def parted(space: Sequence[Dimension], values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return which of some values are params of the strategy, and which are keys of the profile."""
    rules = {one.name for one in space if one.of_profile}
    return ({name: value for name, value in values.items() if name not in rules},
            {name: value for name, value in values.items() if name in rules})
