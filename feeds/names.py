"""What the name of a stock on a day tells: ST, and the delisting period."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import numpy as np


def st_names(names: Iterable[str]) -> np.ndarray:
    """Return which names are those of ST stocks: they contain ``ST`` (``*ST``, ``XD*ST`` too; full-width letters count).

    No ordinary name of an A share contains these letters.
    """
    return np.array(['ST' in unicodedata.normalize('NFKC', name).upper() for name in names], 'uint8')


def delisting_names(names: Iterable[str]) -> np.ndarray:
    """Return which names are those of the delisting period: they contain 退."""
    return np.array(['退' in name for name in names], 'uint8')
