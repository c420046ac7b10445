"""A strategy class of the user's own, out of a Python file: for --strategy FILE.py:CLASS."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
import traceback
import zlib
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import ModuleType
from typing import Any

import backtrader as bt

from ..feeds.errors import DataError


def load_strategy(spec: str) -> type[bt.Strategy]:
    """Return a strategy class of a file; other processes find it too.

    Parameters
    ----------
    spec : str
        ``FILE.py:CLASS``.

    Raises
    ------
    DataError
        No such file or class, no strategy, or the file cannot be imported: where, and why.
    """
    path, name = parted(spec)
    module = load_module(path)
    found = getattr(module, name, None)
    own = [key for key, value in vars(module).items()
           if is_strategy(value) and value.__module__ == module.__name__ and not key.startswith('_')]
    if found is None:
        near = difflib.get_close_matches(name, own, n=1)
        raise DataError(f'--strategy {spec}: {path} has no class {name}' + (
            f'; did you mean {near[0]}?' if near else f'; it has {", ".join(own)}' if own else '; it has no strategy at all'))
    if not is_strategy(found):
        raise DataError(f'--strategy {spec}: {name} is {found!r}, expected a class made of MicroCapStrategy or bt.Strategy')
    return found


def parted(spec: str) -> tuple[Path, str]:
    """Return the file and the class that ``FILE.py:CLASS`` names.

    Raises
    ------
    DataError
        It has another form, or there is no such file.
    """
    file, _, name = spec.rpartition(':')
    if not file.endswith('.py') or not name.isidentifier():
        raise DataError(f'--strategy {spec}: expected FILE.py:CLASS, such as mine.py:Mine')
    path = Path(file)
    if not path.is_file():
        raise DataError(f'--strategy {spec}: {path} is no file')
    return path, name


def is_strategy(value: Any) -> bool:
    """Return whether something is a strategy class."""
    return isinstance(value, type) and issubclass(value, bt.Strategy)


def load_module(path: Path) -> ModuleType:
    """Import a file, by its stem where no other module has that name, so that any process can find it again.

    Its folder is put on ``sys.path``, at the end: modules beside it are found, and none of others' is hidden.

    Raises
    ------
    DataError
        The import failed: the file and line, and why.
    """
    path = path.resolve()
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)
        importlib.invalidate_caches()
    stem = path.stem
    try:
        if stem.isidentifier() and _is_home_of(stem, path):
            return importlib.import_module(stem)
        return _import_apart(path)
    except KeyboardInterrupt:
        raise
    except SyntaxError as error:  # of the file itself, or of one that it imports
        raise DataError(f'{error.filename or path}, line {error.lineno}: {error.msg}') from None
    except BaseException as error:
        what = (f'ended the program ({error!r}); put what the file is to do as a program under if __name__ == \'__main__\''
                if isinstance(error, SystemExit) else _first_line(error))
        raise DataError(f'{path}{place(error, path)}: {what}') from None


def _is_home_of(stem: str, path: Path) -> bool:
    """Return whether a module of this name is, or would be, that file."""
    known = sys.modules.get(stem)
    if known is not None:
        origin = getattr(known, '__file__', None)
    else:
        try:
            spec = importlib.util.find_spec(stem)
        except (ImportError, ValueError):
            return False
        origin = spec.origin if spec else None
    return origin is not None and Path(origin).resolve() == path


def _import_apart(path: Path) -> ModuleType:
    """Import a file whose stem is the name of another module, under a name of its own."""
    name = f'strategy_of_{path.stem}_{zlib.crc32(str(path).encode()):08x}'
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: Backtrader looks up the module of a class that is being made
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    for kind in {type(value) for value in vars(module).values() if is_strategy(value)}:
        # no other process can import this name: send the file along
        ForkingPickler.register(kind, _by_file)
    return module


def _by_file(cls: type) -> Any:
    module = sys.modules.get(cls.__module__)
    if module is None or not cls.__module__.startswith('strategy_of_'):
        return cls.__qualname__  # as any class: by its module and name
    return _from_file, (module.__file__, cls.__qualname__)


def _from_file(file: str, name: str) -> type:
    found: Any = load_module(Path(file))
    for part in name.split('.'):
        found = getattr(found, part)
    return found


def _first_line(error: BaseException) -> str:
    return ''.join(traceback.format_exception_only(type(error), error)).strip().splitlines()[0]


def place(error: BaseException, path: Path) -> str:
    """Return ``, line N``, the last line of a file that led to an error; empty where none did."""
    lines = [number for frame, number in traceback.walk_tb(error.__traceback__)
             if Path(frame.f_code.co_filename).resolve() == path]
    return f', line {lines[-1]}' if lines else ''
