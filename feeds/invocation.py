"""How the user came, so that a message names a command that he has."""

from __future__ import annotations

import sys
from pathlib import Path

PROGRAM = 'bt-microcap'
SCRIPTS = {'reconcile': 'reconcile_joinquant.py'}  # command -> its file in scripts/, where it has another name


def program() -> str:
    """Return what stands before the name of a command: the console script where the user called it."""
    return PROGRAM if Path(sys.argv[0]).stem == PROGRAM else 'python -m bt_microcap'


def command(name: str) -> str:
    """Return how this user calls a command.

    Parameters
    ----------
    name : str
        Such as ``ingest``.

    Returns
    -------
    str
        ``scripts/ingest.py`` for somebody who called a script of a checkout;
        ``bt-microcap ingest`` after a call of the console script; else ``python -m bt_microcap ingest``.
    """
    script = Path(sys.argv[0]).with_name(SCRIPTS.get(name, f'{name}.py'))
    if script.parent.name == 'scripts' and script.is_file():
        return f'scripts/{script.name}'
    return f'{program()} {name}'


def title(name: str) -> str:
    """Return what a command calls itself: ``backtest.py`` as a script, else as `command`."""
    return command(name).removeprefix('scripts/')
