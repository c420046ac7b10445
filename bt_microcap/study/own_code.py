"""Which files of a strategy are the user's own: they are what a result depends on beside the package."""

from __future__ import annotations

import ast
import sys
import sysconfig
import zlib
from collections.abc import Iterator
from pathlib import Path

PACKAGE = __name__.partition('.')[0]
NOT_THEIRS = ('site-packages', 'dist-packages')


def own_files(kind: type, file: Path | None = None) -> list[Path]:
    """Return the files of a strategy class that are the user's own, sorted.

    They are those of the class and of its bases, and what these import from beside them, wherever the import stands. It is read
    off the text, so that it does not matter what has been imported so far. What is installed, Python's own and this package are
    none of them; what is imported by a name that is put together while it runs is not known.

    Parameters
    ----------
    kind : type
    file : Path, optional
        Of the class, where it is known otherwise.
    """
    homes = [file, *(_file_of(base.__module__) for base in kind.__mro__)]
    waiting = [path.absolute() for path in homes if path is not None and not _installed(path)]
    found: set[Path] = set()
    folders = {path.parent for path in waiting}
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [each for each in _imported(path, folders) if not _installed(each)]
    return sorted(found)


def checksum(files: list[Path]) -> int:
    """Return a number that changes with the content of any of some files."""
    found = 0
    for path in files:
        found = zlib.crc32(path.read_bytes(), found)
    return found


def runs_script(kind: type) -> bool:
    """Return whether a strategy runs a JoinQuant script, its param ``script``."""
    return any(base.__module__ == f'{PACKAGE}.joinquant.strategy' for base in kind.__mro__)


def _imported(path: Path, folders: set[Path]) -> Iterator[Path]:
    """Give the files beside some that a file imports."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # a script of Python 2
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted = [(folder, alias.name) for alias in node.names for folder in folders]
        elif isinstance(node, ast.ImportFrom):
            roots = [path.parents[node.level - 1]] if node.level else folders
            base = f'{node.module}.' if node.module else ''
            names = [base.rstrip('.'), *(base + alias.name for alias in node.names)]
            wanted = [(folder, name) for folder in roots for name in names if name]
        else:
            continue
        for folder, name in wanted:
            place = folder
            for part in name.split('.'):
                place = place / part
                for each in (place / '__init__.py', place.with_name(part + '.py')):
                    if each.is_file():
                        yield each


def _file_of(name: str) -> Path | None:
    if name.partition('.')[0] in (PACKAGE, 'backtrader', 'builtins', '__main__'):
        return None
    file = getattr(sys.modules.get(name), '__file__', None)
    return Path(file) if file and file.endswith('.py') and Path(file).is_file() else None


def _installed(path: Path) -> bool:
    library = Path(sysconfig.get_paths()['stdlib']).resolve()
    return library in path.resolve().parents or any(part in NOT_THEIRS for part in path.parts)
