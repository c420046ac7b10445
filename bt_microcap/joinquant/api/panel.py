"""A stand-in for pandas' Panel, which is gone: what ``get_price`` of several stocks gives without ``panel=False``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .frames import Column, Frame, Ix


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
        found = {name: (panel._fields[name].iloc[rest] if self._by_place else Ix(panel._fields[name])[rest]) for name in wanted}
        if isinstance(names, str):
            return found[names]
        one = next(iter(found.values()))
        if isinstance(one, pd.DataFrame):
            return Panel(found)
        if isinstance(one, pd.Series):
            return Frame(found)
        return Column(found)
