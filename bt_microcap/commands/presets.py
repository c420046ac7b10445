"""Show the presets side by side: the params of each that differ from the original's, and what it is.

Give one to a run as --preset NAME, and change its params by --set NAME=VALUE.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping
from typing import Any

from ..feeds.invocation import title
from ..record.param_texts import as_text, changed
from ..rotation.presets import PRESETS
from ..rotation.strategy import MicroCapStrategy
from .command_line import Parser, one_line_errors

WIDTH = 120  # columns of the terminal
SAME = '-'  # as the default


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    return Parser('presets', description=' '.join(__doc__.split())).parse_args(pargs)


def shown(value: Any) -> str:
    """Return a value as ``--set`` takes it; what is empty as none."""
    return as_text(value) or 'none'


def table(presets: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any], width: int = WIDTH) -> list[str]:
    """Return the lines of the table: a row for each param that differs anywhere, a column for each preset.

    Parameters
    ----------
    presets : mapping of str to mapping
        Name -> params.
    defaults : mapping of str to any
        Of all params.
    width : int
        Columns that the lines may fill; values that are too long go on in the next line.
    """
    own = {name: changed(params, defaults) for name, params in presets.items()}
    same = [name for name, params in own.items() if not params]
    names = [name for name in defaults if any(name in params for params in own.values())]
    columns = [['param', *names], [' = '.join(same) or 'default', *(shown(defaults[name]) for name in names)]]
    columns += [[preset, *(shown(params[name]) if name in params else SAME for name in names)]
                for preset, params in own.items() if params]
    widths = [max(map(len, column)) for column in columns]
    while sum(widths) + 2 * (len(widths) - 1) > width and max(widths[1:]) > 8:
        widths[widths.index(max(widths[1:]), 1)] -= 1  # the longest values are broken first
    lines = []
    for cells in zip(*columns, strict=True):
        parts = [textwrap.wrap(cell, wide, break_on_hyphens=False) or [''] for cell, wide in zip(cells, widths, strict=True)]
        for number in range(max(map(len, parts))):
            line = '  '.join((part[number] if number < len(part) else '').ljust(wide)
                             for part, wide in zip(parts, widths, strict=True))
            lines.append(line.rstrip())
    return lines


@one_line_errors
def main(pargs: list[str] | None = None) -> int:
    """Print the table and the sentences."""
    parse_args(pargs)
    defaults = dict(MicroCapStrategy.params._getpairs())
    print('\n'.join(table({name: preset.params for name, preset in PRESETS.items()}, defaults)))
    print()
    wide = max(map(len, PRESETS))
    for name, preset in PRESETS.items():
        print(textwrap.fill(f'{name:<{wide}}  {preset.about}', WIDTH, subsequent_indent=' ' * (wide + 2)))
    print(f'\n{SAME}: as the first column. {title("backtest")} --preset NAME --set NAME=VALUE ... runs one.')
    return 0
