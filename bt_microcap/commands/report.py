"""Make the HTML report of a run, or of several side by side, from the folders that backtest or save_run has written.

Of one run of the command backtest the random picks are made first, where there are none yet: the run is made again from what
summary.json says, and must come to the same result.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from ..feeds.errors import DataError
from ..record.param_texts import as_json, as_text
from ..study.chance import unknown_picks
from ..views.html_report import check_extra, default_path, of_folders
from ..views.language import say
from . import backtest
from .command_line import Parser, one_line_errors
from .market_data import DEMO
from .strategy_arguments import choose

ONLY_OF_THE_COMMAND = 'only one of the command can, from its folder; in a script call report(strategy, path)'


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser('report', description=__doc__.splitlines()[0])
    parser.add_argument('folders', type=Path, nargs='+', metavar='OUT_DIR', help='that backtest or save_run has written')
    parser.add_argument('--out', type=Path, metavar='FILE',
                        help='the report (default: report.html in the folder; of several comparison.html, here)')
    backtest.add_report_arguments(parser)
    return parser.parse_args(pargs)


def add_random_picks(folder: Path, args: argparse.Namespace) -> str:
    """Make the random picks of a run of the command backtest; return why not, empty where they are there.

    Raises
    ------
    DataError
        The run made again comes to another result.
    """
    from ..views.report.reading import read_run

    summary = read_run(folder).summary
    if summary.get('random_picks') == args.random_picks and summary.get('random_seed') == args.seed or not args.random_picks:
        return ''
    if 'preset' not in summary:
        return ONLY_OF_THE_COMMAND
    if summary['strategy'].endswith('.py'):  # a JoinQuant script, which a random run could not follow either
        return str(unknown_picks('JoinQuantStrategy'))
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # of an argument that is none, such as a profile of a later version
            given = backtest.parse_args(arguments_of(summary))
        strategy, *_ = backtest.run(given, check_folder=False)
    except DataError as error:
        return str(error)
    except SystemExit:
        return said.getvalue().strip()
    value = strategy.analyzers.blotter.equity[-1].total_value
    if value != summary['end_value']:
        raise DataError(f'{folder}: made again the run ends at {value!r} yuan, summary.json says {summary["end_value"]!r}: data, '
                        'strategy or version are others now; make the run again, or give --random-picks 0')
    backtest.compare_with_chance(strategy, folder, summary, args)
    return ''


def arguments_of(summary: dict[str, Any]) -> list[str]:
    """Return the arguments of the command backtest that make a run again, from its summary.json.

    Raises
    ------
    DataError
        There is no such strategy or preset any more.
    """
    # the bar before the first day is a bar of the run, too
    start = date.fromisoformat(summary['market']['first_bar']) + timedelta(days=1)
    settings = {
        'profile': summary['profile'], 'start': str(start), 'end': summary['market']['last_bar'],
        'benchmark': summary.get('benchmark') or 'market', 'cash': repr(summary['start_value']),
        'days-a-year': repr(summary['days_a_year']), 'risk-free': repr(summary['risk_free']),
        'data': '' if summary['data'] == DEMO else summary['data'], 'preset': summary['preset'],
        'strategy': summary['strategy'] if '.py:' in summary['strategy'] else ''}
    given = [f'--{name}={value}' for name, value in settings.items() if value]
    params = choose(backtest.parse_args(given)).all_params()
    for name, value in summary['params'].items():
        if name in params and as_json(params[name]) != value:
            given.append(f'--set={name}={as_text(value)}')
    return given + [f'--{name.replace("_", "-")}={as_text(value)}' for name, value in summary['rules'].items()]


@one_line_errors
def main(pargs: list[str] | None = None) -> int:
    """Make the report."""
    args = parse_args(pargs)
    check_extra()
    path = args.out or default_path(args.folders)
    if path.is_dir():
        raise DataError(f'{path}: found a folder, expected a file to write; give another --out')
    why = add_random_picks(args.folders[0], args) if len(args.folders) == 1 else ''
    if why:
        print(say(args.lang, 'no new random picks, the run cannot be made again: {why}', why=why))
    of_folders(args.folders, path, args.lang, why)
    print(say(args.lang, 'report: {path}', path=path))
    return 0
