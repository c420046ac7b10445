"""The last value of each stock, over tables that come one after the other."""

from __future__ import annotations

import pandas as pd


class LastValues:
    """Fills a column of tables that come one after the other, the days of each stock ascending, with the last value known."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def fill(self, codes: pd.Series, values: pd.Series) -> pd.Series:
        """Return values, each that lacks the last one before of its stock; those of text do not count."""
        numbers = pd.to_numeric(values, errors='coerce').astype('float64')
        found = numbers.groupby(codes).ffill().fillna(codes.map(self._last).astype('float64'))
        self._remember(codes, found)
        return found

    def before(self, codes: pd.Series, values: pd.Series) -> pd.Series:
        """Return the value of the row before of each row's stock."""
        numbers = pd.to_numeric(values, errors='coerce').astype('float64')
        found = numbers.groupby(codes).shift().fillna(codes.map(self._last).astype('float64'))
        self._remember(codes, numbers)
        return found

    def fill_before(self, codes: pd.Series, values: pd.Series) -> pd.Series:
        """Return the last value that is known of each row's stock before it; NaN where there is none."""
        numbers = values.astype('float64')
        found = numbers.groupby(codes).ffill().groupby(codes).shift().fillna(codes.map(self._last).astype('float64'))
        self._remember(codes, numbers)
        return found

    def _remember(self, codes: pd.Series, values: pd.Series) -> None:
        last = values.groupby(codes).last().dropna()
        self._last.update(zip(last.index, last.tolist(), strict=True))
