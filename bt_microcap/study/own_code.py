"""Which files of a strategy are the user's own: they are what a result depends on beside the package."""

from __future__ import annotations

import sys
import sysconfig
import zlib
from pathlib import Path

NOT_THEIRS = ('site-packages', 'dist-packages')


def own_files(kind: type, file: Path | None = None) -> list[Path]:
    """Return the files of a strategy class that are the user's own, sorted.

    They are those of the class and of its bases, and of all modules that are imported and lie in the folder of one of them or
    below; what is installed, Python's own and this package are none of them.

    Parameters
    ----------
    kind : type
    file : Path, optional
        Of the class, where it is known otherwise.
    """
    package = __name__.partition('.')[0]
    homes = {path.resolve() for path in (file, *(_file_of(base.__module__) for base in kind.__mro__ if _is_theirs(
        base.__module__, package))) if path is not None}
    homes = {path for path in homes if not _installed(path)}
    folders = {path.parent for path in homes}
    beside = (path for name in list(sys.modules) if _is_theirs(name, package) and (path := _file_of(name)) is not None)
    return sorted(homes | {path for path in map(Path.resolve, beside)
                           if not folders.isdisjoint(path.parents) and not _installed(path)})


def checksum(files: list[Path]) -> int:
    """Return a number that changes with the content of any of some files."""
    found = 0
    for path in files:
        found = zlib.crc32(path.read_bytes(), found)
    return found


def _is_theirs(name: str, package: str) -> bool:
    return name != '__main__' and name.partition('.')[0] not in (package, 'backtrader', 'builtins')


def _file_of(name: str) -> Path | None:
    file = getattr(sys.modules.get(name), '__file__', None)
    return Path(file) if file and file.endswith('.py') and Path(file).is_file() else None


def _installed(path: Path) -> bool:
    library = Path(sysconfig.get_paths()['stdlib']).resolve()
    return library in path.parents or any(part in NOT_THEIRS for part in path.parts)
