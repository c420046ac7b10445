"""The command line: ``bt-microcap COMMAND ...``, or ``python -m bt_microcap COMMAND ...``."""

from __future__ import annotations

import difflib
import gc
import importlib
import os
import sys
from collections.abc import Callable

from .commands import COMMANDS
from .feeds.invocation import program

SELDOM = 10_000, 20, 20  # objects and rounds after which Python looks for cyclic garbage; 700, 10, 10 by default


def command_main(name: str) -> Callable[..., int]:
    """Return the main function of a command, whose module is imported when it is called.

    Called without arguments it is what this process is for, and takes those of the terminal.

    Parameters
    ----------
    name : str
        Of `commands.COMMANDS`.
    """

    def main(arguments: list[str] | None = None) -> int:
        if arguments is not None:
            return _module(name).main(arguments)
        return _as_process(name, sys.argv[1:])

    return main


def _module(name: str) -> object:
    return importlib.import_module(f'.commands.{name}', __package__)


def _as_process(name: str, arguments: list[str]) -> int:
    """Call a command in a process of its own, without what it does not need."""
    if name == 'bench':  # which measures what a script of the user's costs
        return _module(name).main(arguments)
    if not any(argument.startswith('--strategy') for argument in arguments):  # no code of the user's, which may want them
        os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')  # NumPy would start a thread a core, for algebra that nobody does
    try:
        module = _module(name)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return 130
    # What is imported stays until the end, and need not be looked at for garbage again and again; of the rest nearly all goes
    # as it came, without being looked for.
    gc.freeze()
    gc.set_threshold(*SELDOM)
    try:
        return module.main(arguments)
    finally:
        gc.freeze()  # nor what is left at the end


def main(arguments: list[str] | None = None) -> int:
    """Call a command with the rest of the arguments.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the terminal.

    Returns
    -------
    int
        Exit status: 0, or 2 on bad input.
    """
    terminal, arguments = arguments is None, sys.argv[1:] if arguments is None else arguments
    name = arguments[0] if arguments else ''
    if name in COMMANDS:
        return _as_process(name, arguments[1:]) if terminal else _module(name).main(arguments[1:])
    if name in ('-h', '--help'):
        print(usage())
        return 0
    if name == '--version':
        from . import __version__

        print(__version__)
        return 0
    if not name:
        print(usage(), file=sys.stderr)
        return 2
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    print(f'{program()}: found no command {name!r}, expected one of {", ".join(COMMANDS)}'
          + (f'; did you mean {near[0]}?' if near else ''), file=sys.stderr)
    return 2


def usage() -> str:
    """Return what ``--help`` prints."""
    lines = [f'usage: {program()} COMMAND ...', '', 'A-share micro-cap rotation strategies in Backtrader.', '']
    lines += [f'  {name:<12}{what}' for name, what in COMMANDS.items()]
    return '\n'.join([*lines, '', f'{program()} COMMAND --help tells the options of a command.'])


if __name__ == '__main__':
    sys.exit(main())
