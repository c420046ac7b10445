"""Frames and columns as JoinQuant scripts know them: pandas of 2018, with what later versions took away."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd


class Column(pd.Series):
    """A Series where a whole number as a key also means a position, and what is set in a frame's column is set in the frame."""

    _metadata = ['_of']  # noqa: RUF012 - as pandas wants it
    _of: tuple[pd.DataFrame, Any] | None = None

    @property
    def _constructor(self) -> type[Column]:
        return Column

    @property
    def _constructor_expanddim(self) -> type[Frame]:
        return Frame

    def __finalize__(self, other: Any, method: str | None = None, **kwargs: Any) -> Column:
        return self  # what is made of a column is none of its frame

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool) and not counts(self.index):
            return self.iloc[key]
        return super().__getitem__(list(key) if isinstance(key, (set, frozenset)) else key)

    def __setitem__(self, key: Any, value: Any) -> None:
        key = list(key) if isinstance(key, (set, frozenset)) else key
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool) and not counts(self.index):
            self.iloc[key] = value
        else:
            super().__setitem__(key, value)
        self._tell_frame()

    def _tell_frame(self) -> None:
        """Set the frame's column to what it is now."""
        if self._of is not None:
            frame, name = self._of
            pd.DataFrame.__setitem__(frame, name, pd.Series(self))

    @property
    def ix(self) -> Ix:
        """By label, else by position."""
        return Ix(self)

    @property
    def loc(self) -> _Loc:
        """By label; a set of them is a list."""
        return _Loc('loc', self)

    @property
    def iloc(self) -> _ILoc:
        """By position."""
        return _ILoc('iloc', self)

    def sort(self, ascending: bool = True, inplace: bool = True, **kwargs: Any) -> Any:
        """Sort the values, in place."""
        return self.sort_values(ascending=ascending, inplace=inplace)

    def fillna(self, value: Any = None, method: str | None = None, **kwargs: Any) -> Any:
        """Fill what is missing; ``method`` says from where."""
        found = _filled(self, super().fillna, value, method, kwargs)
        if kwargs.get('inplace'):
            self._tell_frame()
        return found

    def append(self, other: Any, ignore_index: bool = False, **kwargs: Any) -> Column:
        """Return the values with others behind them."""
        parts = [self, *(other if isinstance(other, (list, tuple)) else [other])]
        return Column(pd.concat(parts, ignore_index=ignore_index))

    def iteritems(self) -> Any:
        """Iterate over labels and values."""
        return self.items()

    def order(self, ascending: bool = True, **kwargs: Any) -> Column:
        """Return the values sorted."""
        return self.sort_values(ascending=ascending)

    def as_matrix(self) -> np.ndarray:
        """Return the values."""
        return self.to_numpy()

    def get_value(self, label: Any) -> Any:
        """Return a value by its label."""
        return self[label]


class Frame(pd.DataFrame):
    """A DataFrame with ``sort``, ``ix``, ``append`` and others of before."""

    @property
    def _constructor(self) -> type[Frame]:
        return Frame

    @property
    def _constructor_sliced(self) -> type[Column]:
        return Column

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(list(key) if isinstance(key, (set, frozenset)) else key)
        if isinstance(found, Column) and isinstance(key, (str, int)):
            object.__setattr__(found, '_of', (self, key))
        return found

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if isinstance(found, Column):
            object.__setattr__(found, '_of', (self, name))
        return found

    @property
    def ix(self) -> Ix:
        """By label, else by position."""
        return Ix(self)

    @property
    def loc(self) -> _Loc:
        """By label; a set of them is a list."""
        return _Loc('loc', self)

    def drop_duplicates(self, subset: Any = None, take_last: bool = False, **kwargs: Any) -> Any:
        """Return the rows without those that are there twice."""
        return super().drop_duplicates(subset, **({'keep': 'last'} if take_last else {}), **kwargs)

    def sort(self, columns: Any = None, axis: int = 0, ascending: Any = True, inplace: bool = False, **kwargs: Any) -> Any:
        """Sort by columns, or by the index."""
        if columns is None:
            return self.sort_index(axis=axis, ascending=ascending, inplace=inplace)
        return self.sort_values(columns, ascending=ascending, inplace=inplace)

    def sort_index(self, *args: Any, by: Any = None, **kwargs: Any) -> Any:
        """Sort by the index; with ``by`` by columns."""
        if by is not None:
            return self.sort_values(by, **{key: value for key, value in kwargs.items() if key in ('ascending', 'inplace')})
        return super().sort_index(*args, **kwargs)

    def append(self, other: Any, ignore_index: bool = False, **kwargs: Any) -> Frame:
        """Return the rows with others behind them."""
        others = list(other) if isinstance(other, (list, tuple)) else [other]
        parts = [pd.DataFrame(self)]
        for each in others:
            if isinstance(each, dict):
                each = pd.Series(each)
            parts.append(each.to_frame().T if isinstance(each, pd.Series) else each)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            return Frame(pd.concat([part for part in parts if len(part.columns)] or parts, ignore_index=ignore_index))

    def groupby(self, *args: Any, **kwargs: Any) -> _Groups:
        """Return the groups, whose sums and means leave out what is no number."""
        return _Groups(super().groupby(*args, **kwargs))

    def rolling(self, window: Any, min_periods: Any = None, axis: int = 0, **kwargs: Any) -> Any:
        """Return moving windows, also along the columns."""
        return _Turned(self.T.rolling(window, min_periods)) if axis in (1, 'columns') else super().rolling(
            window, min_periods=min_periods, **kwargs)

    def fillna(self, value: Any = None, method: str | None = None, **kwargs: Any) -> Any:
        """Fill what is missing; ``method`` says from where."""
        return _filled(self, super().fillna, value, method, kwargs)

    def sum(self, *args: Any, level: Any = None, **kwargs: Any) -> Any:
        """Return sums; ``level`` groups by a level of the index."""
        return _numbers(self, super().sum, args, kwargs) if level is None else self.groupby(level=level).sum()

    def mean(self, *args: Any, **kwargs: Any) -> Any:
        """Return means of the columns of numbers."""
        return _numbers(self, super().mean, args, kwargs)

    def std(self, *args: Any, **kwargs: Any) -> Any:
        """Return standard deviations of the columns of numbers."""
        return _numbers(self, super().std, args, kwargs)

    def median(self, *args: Any, **kwargs: Any) -> Any:
        """Return medians of the columns of numbers."""
        return _numbers(self, super().median, args, kwargs)

    def select(self, choose: Any, axis: int = 0) -> Frame:
        """Return the rows whose labels a function chooses."""
        return self.loc[[label for label in self.index if choose(label)]] if not axis else self[[
            label for label in self.columns if choose(label)]]

    def iteritems(self) -> Any:
        """Iterate over names and columns."""
        return self.items()

    def as_matrix(self, columns: Any = None) -> np.ndarray:
        """Return the values."""
        return (self if columns is None else self[columns]).to_numpy()

    def get_value(self, index: Any, col: Any) -> Any:
        """Return one value."""
        return self.at[index, col]

    def set_value(self, index: Any, col: Any, value: Any) -> Frame:
        """Set one value."""
        self.at[index, col] = value
        return self


def _numbers(frame: Frame, how: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Return a figure of the columns, or where that fails of those that hold numbers."""
    try:
        return how(*args, **kwargs)
    except TypeError:
        return how(*args, **{**kwargs, 'numeric_only': True})


def _filled(data: Any, how: Any, value: Any, method: str | None, kwargs: dict[str, Any]) -> Any:
    if method is None:
        return how(value, **kwargs)
    inplace = bool(kwargs.get('inplace'))
    found = data.ffill(inplace=inplace) if method in ('ffill', 'pad') else data.bfill(inplace=inplace)
    return None if inplace else found


class _Groups:
    """Groups, whose figures leave out what is no number."""

    def __init__(self, groups: Any) -> None:
        self._groups = groups

    def __getitem__(self, key: Any) -> Any:
        return self._groups[key]

    def __iter__(self) -> Any:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._groups, name)
        if name not in ('sum', 'mean', 'median', 'std', 'var', 'prod'):
            return found

        def figure(*args: Any, **kwargs: Any) -> Any:
            return found(*args, **{'numeric_only': True, **kwargs})

        return figure


class _Turned:
    """Moving windows along the columns."""

    def __init__(self, windows: Any) -> None:
        self._windows = windows

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: getattr(self._windows, name)(*args, **kwargs).T


def counts(index: pd.Index) -> bool:
    """Return whether the labels are numbers, so that a number is a label."""
    return index.dtype.kind in 'iuf' or index.inferred_type in ('integer', 'mixed-integer')


class _Loc(pd.DataFrame.loc.fget(pd.DataFrame()).__class__):  # type: ignore[misc]
    """``loc``, which also takes sets, as it did."""

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            key = tuple(list(part) if isinstance(part, (set, frozenset)) else part for part in key)
        return super().__getitem__(list(key) if isinstance(key, (set, frozenset)) else key)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(list(key) if isinstance(key, (set, frozenset)) else key, value)
        if isinstance(self.obj, Column):
            self.obj._tell_frame()


class _ILoc(pd.DataFrame.iloc.fget(pd.DataFrame()).__class__):  # type: ignore[misc]
    """``iloc`` of a column, which also sets its frame."""

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self.obj._tell_frame()


class Ix:
    """``ix``: labels where they are there, else positions."""

    def __init__(self, of: Any) -> None:
        self._of = of

    def _key(self, part: Any, axis: int) -> Any:
        index = self._of.axes[axis]
        if isinstance(part, (int, np.integer)) and not counts(index):
            return index[part]
        if isinstance(part, slice) and not counts(index) and all(
                end is None or isinstance(end, (int, np.integer)) for end in (part.start, part.stop)):
            return index[part]
        if isinstance(part, list) and part and all(isinstance(each, (int, np.integer)) for each in part) and not counts(index):
            return index[part]
        return part

    def _keys(self, key: Any) -> Any:
        if isinstance(key, tuple):
            return tuple(self._key(part, axis) for axis, part in enumerate(key))
        return self._key(key, 0)

    def __getitem__(self, key: Any) -> Any:
        return self._of.loc[self._keys(key)]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._of.loc[self._keys(key)] = value
