"""pandas as JoinQuant scripts know it: what later versions took away, on frames that a script is given or makes.

The platform runs pandas of 2018. A script's ``import pandas`` gives `old_pandas`: the installed pandas, whose ``DataFrame`` and
``Series`` are the classes here.
"""

from __future__ import annotations

import contextlib
import types
import warnings
from collections.abc import Iterator
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
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool) and not _counts(self.index):
            return self.iloc[key]
        return super().__getitem__(list(key) if isinstance(key, (set, frozenset)) else key)

    def __setitem__(self, key: Any, value: Any) -> None:
        key = list(key) if isinstance(key, (set, frozenset)) else key
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool) and not _counts(self.index):
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
    def ix(self) -> _Ix:
        """By label, else by position."""
        return _Ix(self)

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

    _internal_names = [*pd.DataFrame._internal_names]  # noqa: RUF012 - as pandas wants it

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
    def ix(self) -> _Ix:
        """By label, else by position."""
        return _Ix(self)

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


_running = 0  # functions of scripts that are at work
INFERS_TEXTS = pd.Series(['text']).dtype != object


@contextlib.contextmanager
def as_before() -> Iterator[None]:
    """Let pandas behave as in 2018 while a script runs, also in what other packages make: positions as keys, texts as objects."""
    global _running
    _running += 1
    if _running == 1:
        pd.Series.__getitem__ = _at_place
        _infer_texts(False)
    try:
        yield
    finally:
        _running -= 1
        if not _running:
            pd.Series.__getitem__ = _by_label
            _infer_texts(True)


def _infer_texts(wanted: bool) -> None:
    """Set whether a column of texts is of pandas' own kind, as since 3.0, where it was so."""
    if INFERS_TEXTS:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            pd.set_option('future.infer_string', wanted)


_by_label = pd.Series.__getitem__


def _at_place(series: pd.Series, key: Any) -> Any:
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool) and not _counts(series.index):
        return series.iloc[key]
    return _by_label(series, key)


def _numbers(frame: Frame, how: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Return a figure of the columns, or where that fails of those that hold numbers."""
    try:
        return how(*args, **kwargs)
    except TypeError:
        return how(*args, **{**kwargs, 'numeric_only': True})


def _filled(data: Any, how: Any, value: Any, method: str | None, kwargs: dict[str, Any]) -> Any:
    if method is None:
        return how(value, **kwargs)
    found = data.ffill() if method in ('ffill', 'pad') else data.bfill()
    if kwargs.get('inplace'):
        data.update(found)
        return None
    return found


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


def _counts(index: pd.Index) -> bool:
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


class _Ix:
    """``ix``: labels where they are there, else positions."""

    def __init__(self, of: Any) -> None:
        self._of = of

    def _key(self, part: Any, axis: int) -> Any:
        index = self._of.axes[axis]
        if isinstance(part, (int, np.integer)) and not _counts(index):
            return index[part]
        if isinstance(part, slice) and not _counts(index) and all(
                end is None or isinstance(end, (int, np.integer)) for end in (part.start, part.stop)):
            return index[part]
        if isinstance(part, list) and part and all(isinstance(each, (int, np.integer)) for each in part) and not _counts(index):
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


class Panel:
    """Three dimensions: fields, days and codes, as pandas had them.

    Parameters
    ----------
    fields : dict of str to Frame
        Field -> days x codes.
    """

    def __init__(self, fields: dict[str, Frame]) -> None:
        self._fields = fields
        first = next(iter(fields.values()))
        self.items = pd.Index(list(fields))
        self.major_axis, self.minor_axis = first.index, first.columns
        self.axes = [self.items, self.major_axis, self.minor_axis]
        self.shape = (len(self.items), *first.shape)
        self.empty = not all(self.shape)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            return self.loc[key]
        if isinstance(key, list):
            return Panel({name: self._fields[name] for name in key})
        return self._fields[key]

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name not in self.__dict__.get('_fields', ()):
            raise AttributeError(f'a panel has no {name!r}; it has the fields {", ".join(self.__dict__.get("_fields", ()))}')
        return self._fields[name]

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def __iter__(self) -> Any:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def _array(self) -> np.ndarray:
        return np.array([frame.to_numpy() for frame in self._fields.values()])

    @property
    def values(self) -> np.ndarray:
        """All values, shape (fields, days, codes)."""
        return self._array()

    @property
    def loc(self) -> _PanelAt:
        """By labels."""
        return _PanelAt(self, False)

    @property
    def iloc(self) -> _PanelAt:
        """By positions."""
        return _PanelAt(self, True)

    @property
    def ix(self) -> _PanelAt:
        """By labels, else positions."""
        return _PanelAt(self, False)

    def minor_xs(self, code: Any) -> Frame:
        """Return days x fields of a code."""
        return Frame({name: frame[code] for name, frame in self._fields.items()})

    def major_xs(self, day: Any) -> Frame:
        """Return codes x fields of a day."""
        return Frame({name: frame.loc[day] for name, frame in self._fields.items()})

    def transpose(self, *axes: Any) -> Any:
        """Return the panel by code: each days x fields."""
        wanted = axes[0] if len(axes) == 1 else axes
        if tuple(wanted) in ((2, 1, 0), ('minor_axis', 'major_axis', 'items')):
            return Panel({code: self.minor_xs(code) for code in self.minor_axis})
        raise AttributeError(f'a panel cannot be transposed to {wanted!r}; expected 2, 1, 0')

    def swapaxes(self, first: Any, second: Any) -> Any:
        """Return the panel by code."""
        return self.transpose(2, 1, 0)

    def to_frame(self, **kwargs: Any) -> Frame:
        """Return a long frame, by day and code."""
        return Frame({name: frame.stack() for name, frame in self._fields.items()})

    def dropna(self, *args: Any, **kwargs: Any) -> Panel:
        """Return the panel without days that lack any value."""
        keep = ~np.isnan(self._array().astype(float)).any(axis=(0, 2))
        return Panel({name: frame[keep] for name, frame in self._fields.items()})

    def fillna(self, *args: Any, **kwargs: Any) -> Panel:
        """Return the panel with values where there were none."""
        return Panel({name: Frame(frame.fillna(*args, **kwargs)) for name, frame in self._fields.items()})


class _PanelAt:
    def __init__(self, panel: Panel, by_place: bool) -> None:
        self._panel, self._by_place = panel, by_place

    def __getitem__(self, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        keys = (*keys, *(slice(None),) * (3 - len(keys)))
        panel, items = self._panel, list(self._panel._fields)
        first = keys[0]
        if isinstance(first, (int, np.integer)):
            names: Any = items[first]
        elif isinstance(first, slice):
            names = items if self._by_place is False and first == slice(None) else items[first]
        else:
            names = first
        rest = keys[1:]
        wanted = [names] if isinstance(names, str) else list(names)
        found = {name: (panel._fields[name].iloc[rest] if self._by_place else _Ix(panel._fields[name])[rest]) for name in wanted}
        if isinstance(names, str):
            return found[names]
        one = next(iter(found.values()))
        if isinstance(one, pd.DataFrame):
            return Panel(found)
        if isinstance(one, pd.Series):
            return Frame(found)
        return Column(found)


def _rolling(how: str) -> Any:
    def rolling(values: Any, window: int, min_periods: int | None = None, **kwargs: Any) -> Any:
        data = values if isinstance(values, (pd.Series, pd.DataFrame)) else Column(np.asarray(values))
        out = getattr(data.rolling(window, min_periods=min_periods), how)()
        return out if isinstance(values, (pd.Series, pd.DataFrame)) else out.to_numpy()

    return rolling


def _ewma(values: Any, com: float | None = None, span: float | None = None, halflife: float | None = None, adjust: bool = True,
          **kwargs: Any) -> Any:
    return Column(values).ewm(com=com, span=span, halflife=halflife, adjust=adjust).mean()


class _OldPandas(types.ModuleType):
    """The installed pandas, with the classes above and what was taken away."""

    def __getattr__(self, name: str) -> Any:
        return getattr(pd, name)


def _concat(parts: Any, *args: Any, **kwargs: Any) -> Any:
    kwargs.pop('join_axes', None)
    found = pd.concat(parts, *args, **kwargs)
    return Frame(found) if isinstance(found, pd.DataFrame) else Column(found)


def _reads_frame(name: str) -> Any:
    def read(*args: Any, **kwargs: Any) -> Any:
        found = getattr(pd, name)(*args, **kwargs)
        return Frame(found) if isinstance(found, pd.DataFrame) else Column(found) if isinstance(found, pd.Series) else found

    return read


old_pandas = _OldPandas('pandas')
old_pandas.__path__ = []  # type: ignore[attr-defined]
old_pandas.__dict__.update(
    DataFrame=Frame, Series=Column, Panel=Panel, concat=_concat, ewma=_ewma,
    **{f'rolling_{how}': _rolling(how) for how in ('mean', 'std', 'max', 'min', 'sum', 'median', 'var')},
    **{name: _reads_frame(name) for name in ('merge', 'read_csv', 'pivot_table', 'get_dummies', 'qcut', 'cut')})
