"""Where each row of a market lies: by stock without a gap, and by day."""

from __future__ import annotations

import numpy as np


class Layout:
    """Where each row of a market lies in the two layouts.

    Parameters
    ----------
    codes : ndarray of bytes, shape (stocks,)
        Ascending.
    days : ndarray of int, shape (days,)
        Ordinals, ascending.
    stock, day : ndarray of int, shape (rows,)
        Numbers of each row's stock and day; no stock has two rows on a day.
    """

    def __init__(self, codes: np.ndarray, days: np.ndarray, stock: np.ndarray, day: np.ndarray) -> None:
        self.codes, self.days = codes, days
        self.rows = len(stock)
        self.exists = exists = np.zeros((len(days), len(codes)), bool)
        exists[day, stock] = True
        self.day_start = np.concatenate([[0], np.cumsum(exists.sum(axis=1))]).astype('int64')
        self.first = exists.argmax(axis=0).astype('int32')
        self.last = (len(days) - 1 - exists[::-1].argmax(axis=0)).astype('int32')
        self.start = np.concatenate([[0], np.cumsum(self.last - self.first + 1)]).astype('int64')
        self.size = int(self.start[-1])
        small = 'int32' if self.size < 2**31 else 'int64'
        base = (self.start[:-1] - self.first).astype(small)
        self.by_stock = base[stock] + day.astype(small)
        self.by_day: np.ndarray | None = None  # None: the rows come by day and code already
        ascending = (day[1:] > day[:-1]) | (day[1:] == day[:-1]) & (stock[1:] > stock[:-1])
        if not ascending.all():
            flat = day.astype('int64') * len(codes) + stock
            self.by_day = np.cumsum(exists.ravel(), dtype=small)[flat] - 1
