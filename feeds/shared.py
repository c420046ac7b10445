"""What is worked out of a day's cross-section, kept for the next run over the same market in the same process."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np


class SharedVectors:
    """Vectors over all stocks, each worked out by the first run that asks for it.

    What is handed out is a copy: a strategy may change it without another run seeing that. When it is full, nothing more is
    taken: runs walk through the same days in the same order, so that letting go of the oldest would never find anything again.

    Parameters
    ----------
    most : float
        Bytes that it may hold.
    """

    def __init__(self, most: float) -> None:
        self._left = most
        self._found: dict[Hashable, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: Hashable) -> np.ndarray | None:
        """Return a copy of a vector; None where it is not there."""
        found = self._found.get(key)
        return None if found is None else found.copy()

    def put(self, key: Hashable, vector: np.ndarray) -> None:
        """Take a copy of a vector, where there is room."""
        if isinstance(vector, np.ndarray) and vector.nbytes <= self._left:
            self._left -= vector.nbytes
            self._found[key] = vector.copy()
