"""Ranks over one day's cross-section: one number per stock, the smallest is taken first."""

from __future__ import annotations

import numpy as np


def smallest(codes: np.ndarray, mask: np.ndarray, rank: np.ndarray, count: int) -> list[str]:
    """Return the codes with the smallest rank among those that passed, ties by code.

    Parameters
    ----------
    codes : ndarray of str, shape (stocks,)
        Ascending.
    mask : ndarray of bool, shape (stocks,)
    rank : ndarray of float, shape (stocks,)
        NaN is never taken.
    count : int

    Returns
    -------
    list of str
        At most ``count``, the smallest first.
    """
    passed = np.flatnonzero(mask & (rank == rank))
    order = np.argsort(rank[passed], kind='stable')[:count]  # stable: codes ascend, so ties fall by code
    return codes[passed[order]].tolist()
