"""``g``, what a script keeps between its functions; the user may have other values than ``initialize`` gives."""

from __future__ import annotations

import ast
import difflib
from pathlib import Path
from typing import Any

from .api.errors import ScriptError


class G:
    """The platform's ``g``.

    Parameters
    ----------
    instead : dict of str to object
        Name -> what it is to be until the script has begun; a text is read by the type of what the script gives.
    """

    def __init__(self, instead: dict[str, Any] | None = None) -> None:
        self.__dict__['_left'] = dict(instead or {})
        self.__dict__['_used'] = set()

    def __setattr__(self, name: str, value: Any) -> None:
        left = self.__dict__['_left']
        if name in left:
            self.__dict__['_used'].add(name)
            value = typed(left[name], value, f'g.{name}={left[name]}')
        self.__dict__[name] = value

    def settled(self, path: Path) -> None:
        """End the beginning: from now on the script changes what it likes.

        Raises
        ------
        ScriptError
            Something that the user gave is nothing the script has.
        """
        unused = [name for name in self._left if name not in self._used]
        if unused:
            names = [name for name in self.__dict__ if not name.startswith('_')]
            near = difflib.get_close_matches(unused[0], names, n=1)
            raise ScriptError(f'g.{unused[0]}={self._left[unused[0]]}: {path} puts no {unused[0]} into g when it begins' + (
                f'; did you mean g.{near[0]}?' if near else f'; it has {", ".join(names)}' if names else '; it has nothing'))
        self.__dict__['_left'] = {}

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"g has no {name!r}: the script has not put it there yet")

    def __getstate__(self) -> dict[str, Any]:
        import pickle

        kept = {}
        for name, value in self.__dict__.items():
            try:
                pickle.dumps(value)
            except Exception:  # noqa: BLE001 - a function of the script, or a module: it stays here
                continue
            kept[name] = value
        return kept

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({'_left': {}, '_used': set(), **state})


def typed(value: Any, like: Any, said: str) -> Any:
    """Return a value that was typed as a text, by the type of what it stands for.

    Raises
    ------
    ScriptError
        It cannot be read so.
    """
    if isinstance(like, str):
        return str(value)
    if not isinstance(value, str):
        return float(value) if isinstance(like, float) and isinstance(value, int) else value
    if isinstance(like, bool):
        words = {'yes': True, 'true': True, 'no': False, 'false': False}
        if value.lower() not in words:
            raise ScriptError(f'{said}: expected yes or no')
        return words[value.lower()]
    if isinstance(like, (list, tuple)):
        parts = [] if value.lower() in ('', 'none') else [part.strip() for part in value.strip('[]()').split(',') if part.strip()]
        texts = bool(like) and all(isinstance(each, str) for each in like)
        return type(like)(part if texts else _literal(part) for part in parts)
    found = _literal(value)
    if isinstance(like, int) and not isinstance(found, int) or isinstance(like, float) and not isinstance(found, (int, float)):
        raise ScriptError(f'{said}: expected {"a whole number" if isinstance(like, int) else "a number"}, such as {like}')
    return float(found) if isinstance(like, float) else found


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
