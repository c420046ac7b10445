"""What a store says that its source did not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# words by which `about` says that something is not known
_UNKNOWN = ('not known', 'estimated', 'not given', 'no history', 'today', 'derived', 'left out', 'unfit')
_ORIGINS = ('source', 'from_files')  # names of files, whatever words are in them


def shortcomings(about: Mapping[str, Any]) -> list[str]:
    """Return what a store says of columns that its source did not know, or knew only in part, each once.

    Parameters
    ----------
    about : mapping
        `MarketStore.about`; names of columns and tables beside what is told of the source and its files.
    """
    return list(dict.fromkeys(
        f'{name}: {text}' for name, text in about.items()
        if name not in _ORIGINS and isinstance(text, str) and any(word in text for word in _UNKNOWN)))
