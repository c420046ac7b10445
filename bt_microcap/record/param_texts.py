"""The values of params as text and as JSON, as tables, titles and files show them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np


def as_text(value: Any) -> str:
    """Return a value as the command line takes it: ``2e9``, ``yes``, ``1,4``, ``none`` for an empty tuple.

    Parameters
    ----------
    value : any
        Numbers lose no digit. A piece of a strategy is shown by its repr, a function or class by its name.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None:
        return 'none'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, float):
        short = typed(value)
        return short if float(short) == value or value != value else repr(value).removesuffix('.0')
    if isinstance(value, (tuple, list)):
        return ','.join(map(as_text, value)) or 'none'
    if not isinstance(value, (str, int)) and type(value).__repr__ is object.__repr__:
        return type(value).__qualname__  # without the address in memory, which is another in every run
    if callable(value) and hasattr(value, '__qualname__'):
        return value.__qualname__
    # without addresses in memory, as of functools.partial
    return str(value) if isinstance(value, (str, int)) else re.sub(r' at 0x[0-9a-fA-F]+', '', repr(value))


def typed(value: float, digits: int = 6) -> str:
    """Return a number as it is typed: 2e9, not 2e+09."""
    return f'{value:.{digits}g}'.replace('e+0', 'e').replace('e+', 'e')


def as_json(value: Any) -> Any:
    """Return a value as JSON can hold it: tuples as lists, inf and nan as text, pieces as in `as_text`."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (tuple, list)):
        return [as_json(part) for part in value]
    if isinstance(value, dict):
        return {str(name): as_json(part) for name, part in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (str, bool, int, float)) else as_text(value)


def changed(params: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the params that differ from their defaults; those without one as well."""
    # by text: == of two pieces of a strategy makes a third
    return {name: value for name, value in params.items()
            if name not in defaults or value is not defaults[name] and as_text(value) != as_text(defaults[name])}
