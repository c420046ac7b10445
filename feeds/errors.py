"""The one error of bad input, and a check that all rooms make."""

from __future__ import annotations

from numbers import Integral
from typing import Any


class DataError(ValueError):
    """Bad input, said in one line: which file, row and column, what was found, what was expected, the mend."""


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """Return a whole number, or say what is wrong with it.

    Raises
    ------
    ValueError
        It is none, or below the least.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:  # NumPy's own count, but for its bool
        raise ValueError(f'{name} is {value!r}: expected a whole number of {least} or more')
    return int(value)
