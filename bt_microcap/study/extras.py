"""Packages that only some studies need: imported when they are used, and asked for by name where they are not there."""

from __future__ import annotations

import importlib
from typing import Any

from ..feeds.errors import DataError


def needed(module: str, said: str, extra: str) -> Any:
    """Return a module of an extra of the package.

    Parameters
    ----------
    module : str
    said : str
        What needs it.
    extra : str
        Of setup.cfg.

    Raises
    ------
    DataError
        It is not installed; how it is.
    """
    package = module.partition('.')[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if error.name is not None and error.name.partition('.')[0] != package:
            raise
        raise DataError(f'{said} needs {package}: pip install "bt-microcap[{extra}]", in a checkout pip install -e ".[{extra}]"'
                        ) from None
