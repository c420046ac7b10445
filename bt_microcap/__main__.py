"""The command line: ``bt-microcap COMMAND ...``, or ``python -m bt_microcap COMMAND ...``."""

from __future__ import annotations

import difflib
import importlib
import sys

from .commands import COMMANDS
from .feeds.invocation import program


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
    arguments = sys.argv[1:] if arguments is None else arguments
    name = arguments[0] if arguments else ''
    if name in COMMANDS:
        return importlib.import_module(f'.commands.{name}', __package__).main(arguments[1:])
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
