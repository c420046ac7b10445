"""pandas as JoinQuant scripts know it.

The platform runs pandas of 2018. A script's ``import pandas`` gives `old_pandas`: the installed pandas, whose ``DataFrame`` and
``Series`` are those of `frames`; and while a script runs, pandas behaves as before in what other packages make, too.
"""

from __future__ import annotations

import contextlib
import types
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from .frames import Column, Frame, counts
from .panel import Panel

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
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool) and not counts(series.index):
        return series.iloc[key]
    return _by_label(series, key)


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
