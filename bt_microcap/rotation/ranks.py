"""Ranks over one day's cross-section: one number per stock, the smallest is taken first.

Any `pieces.Value` is a rank: ``market_cap``, ``float_cap``, ``column('pb')``, ``-momentum(20)`` for the largest first.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np

from ..feeds.errors import whole_number
from ..feeds.universe import CrossSection
from .pieces import Value

FEW = 4  # of so many stocks one is taken at most, where it pays to look for them before they are put in order


def smallest(
    codes: np.ndarray, mask: np.ndarray, rank: np.ndarray, count: int, groups: np.ndarray | None = None, most: int = 0,
) -> list[str]:
    """Return the codes with the smallest rank among those that passed, ties by code.

    Parameters
    ----------
    codes : ndarray of str, shape (stocks,)
        Ascending.
    mask : ndarray of bool, shape (stocks,)
    rank : ndarray of float, shape (stocks,)
        NaN is never taken.
    count : int
    groups : ndarray of str, shape (stocks,), optional
        Such as the industry of each stock; empty where it is not known, which is no group.
    most : int
        How many of a group are taken; 0: any number.

    Returns
    -------
    list of str
        At most ``count``, the smallest first.
    """
    passed = np.flatnonzero(mask & (rank == rank))
    if not most and 0 < count < len(passed) // FEW:  # the others need no order
        ranks = rank[passed]
        passed = passed[ranks <= np.partition(ranks, count - 1)[count - 1]]
    order = passed[np.argsort(rank[passed], kind='stable')]  # stable: codes ascend, so ties fall by code
    if groups is not None and most:
        _, number = np.unique(groups[order], return_inverse=True)
        by_group = np.argsort(number, kind='stable')
        first = np.searchsorted(number[by_group], number[by_group])  # where each one's group begins
        place = np.empty(len(order), int)  # which of its group each one is, from 0
        place[by_group] = np.arange(len(order)) - first
        order = order[(place < most) | (groups[order] == '')]
    return codes[order[:count]].tolist()


class weighted_ranks(Value):  # noqa: N801 - reads as the functions beside it
    """A weighted sum of ranks: each value's rank among the stocks that passed the screen, 1 for the smallest, times its weight.

    ::

        rank=weighted_ranks((market_cap, 0.7), (momentum(20), 0.3))

    Equal values get the mean of their ranks. A stock of which one value is not known (NaN) is never taken.

    Parameters
    ----------
    *values : tuple of (Value, float)
        Each value, or function of a section, with its weight; a weight below 0 takes the largest first.
    """

    def __init__(self, *values: tuple[Any, float]) -> None:
        if not values or not all(isinstance(pair, tuple) and len(pair) == 2 and callable(pair[0]) for pair in values):
            raise ValueError('weighted_ranks takes pairs of a value and its weight: weighted_ranks((market_cap, 0.7), '
                             '(momentum(20), 0.3))')
        self.name, self.args = 'weighted_ranks', values  # no function of a section alone: it goes by the stocks that passed

    def __call__(self, section: CrossSection, among: np.ndarray | None = None) -> np.ndarray:
        """Return the sum; without ``among`` the ranks are those among all stocks."""
        total = np.zeros(len(section))
        for value, weight in self.args:
            numbers = value(section, among) if isinstance(value, Value) else value(section)
            total += weight * ranked(numbers if among is None else np.where(among, numbers, np.nan))
        return total


def ranked(numbers: np.ndarray) -> np.ndarray:
    """Return the ranks of some numbers, 1 for the smallest, the mean rank for equal ones; NaN for NaN."""
    numbers = np.asarray(numbers, dtype=float)
    out = np.full(len(numbers), np.nan)
    known = numbers == numbers
    _, number, counts = np.unique(numbers[known], return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    out[known] = ((last - counts + 1 + last) / 2)[number]
    return out


def random_order(seed: int) -> Value:
    """Draw a random number per stock and day, the same for the same seed, code and day: how much of a result is chance.

    It does not depend on which other stocks there are.

    Parameters
    ----------
    seed : int
        0 or more.
    """
    return Value(_random_order, whole_number('seed', seed, 0), name='random_order')


def _random_order(section: CrossSection, seed: int) -> np.ndarray:
    # SplitMix64's finalizer (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)
    state = np.array([crc32(code.encode()) for code in section.codes.tolist()], dtype='uint64')
    state += np.uint64((seed * 0x9E3779B97F4A7C15 + section.before * 0xD1B54A32D192ED03) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return (state ^ (state >> np.uint64(31))) / 2.0**64
