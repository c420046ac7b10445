"""The one error of bad input."""

from __future__ import annotations


class DataError(ValueError):
    """Bad input, said in one line: which file, row and column, what was found, what was expected, the mend."""
