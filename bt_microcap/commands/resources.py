"""What a process has used: processor time, memory, and of that the mapped files."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    import resource
except ImportError:  # Windows
    resource = None

Figures = dict[str, float]


def used(children: bool = False) -> tuple[float, float]:
    """Return processor seconds, user and system, and peak memory in MB, of this process or of its children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF)
    # A process counts what its parent held when it began: the parent of all holds only what all of them import.
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * (1 if sys.platform == 'darwin' else 1024) / 1e6


def timed(work: Callable[..., Any], *arguments: Any) -> tuple[Any, Figures]:
    """Call a function; return its result, and the processor and wall seconds that it took."""
    cpu, wall = used()[0], time.perf_counter()
    result = work(*arguments)
    return result, {'cpu': used()[0] - cpu, 'wall': time.perf_counter() - wall}


def mapped_bytes(folder: Path) -> float:
    """Return the bytes of a folder's mapped files that are in this process's memory; NaN where the system does not tell."""
    found, ours = 0, False
    try:
        with open('/proc/self/smaps', encoding='utf-8') as told:
            for line in told:
                if line[0] in '0123456789abcdef':  # a mapping begins, its file at the end; its figures begin in capitals
                    ours = str(folder) in line
                elif ours and line.startswith('Rss:'):
                    found += 1024 * int(line.split()[1])
    except OSError:
        return math.nan
    return float(found)
