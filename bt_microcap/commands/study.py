"""Doubt a strategy: run it many times, each kind of study with a question of its own.

    study phases         on every shift of its rebalance day
    study walk-forward   its params chosen on the past alone, again and again
    study costs          under other slippage, commission and volume limits
    study capacity       with more and more cash
    study starts         begun in every month
    study all            all of these

Each writes a table, a picture and what it found into a folder of its own in --out, and says in one sentence what that is. The
command report shows the studies of a run in its report, where --out is the folder of that run. Interrupted and started again, a
study goes on where it was.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..feeds.errors import DataError
from ..feeds.invocation import command, title
from ..profiles import PROFILES
from ..record.param_texts import as_json
from ..record.run import findings_of, unknown_of
from ..study import studies
from ..study.kinds import KINDS, Capacity, Costs, Kind, Phases, Starts, WalkForward
from ..study.kinds.base import as_date
from ..study.trials import Setting, Trial, run_trial
from ..views.language import ENGLISH, LANGUAGES, say
from ..views.results import notes
from ..views.study_texts import TITLES, aligned, sentence, table
from .command_line import (
    RULES,
    Parser,
    add_market_arguments,
    add_process_arguments,
    add_profile_arguments,
    add_statistics_arguments,
    check_market_arguments,
    check_output_folder,
    conventions,
    number,
    one_line_errors,
    output_folder,
    overrides,
    progress,
)
from .grid_arguments import (
    add_figure_argument,
    add_grid_arguments,
    check_each,
    dimensions_of,
    of_strategy,
    one_by_one,
    rule_value,
)
from .optimize import open_for, setting_of, settings_of, try_out
from .strategy_arguments import Chosen, add_strategy_arguments, assignment, check_data, check_params, choose

ALL = 'all'


def parse_args(pargs: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    pargs = list(sys.argv[1:] if pargs is None else pargs)
    kind = pargs[0] if pargs else ''
    if kind not in (*KINDS, ALL):
        parser = Parser('study', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument('kind', choices=(*KINDS, ALL), help=f'{title("study")} KIND --help tells the options of a kind')
        parser.parse_args(pargs[:1])
        parser.error('give the kind of the study first')
    what = ' '.join(__doc__.split('all of these')[1].split())
    parser = Parser(f'study {kind}', description=f'{TITLES.get(kind, "All kinds of studies")}. {what}')
    parser.set_defaults(kind=kind)
    parser.add_argument('--of', type=Path, metavar='OUT_DIR',
                        help='the folder of a run of backtest: its data, strategy and rules, and --out')
    add_market_arguments(parser)
    add_process_arguments(parser)
    parser.add_argument('--out', type=Path, default=None, help='folder for the results, one in it a kind (default: out)')
    parser.add_argument('--no-plot', action='store_true', help='write no picture')
    parser.add_argument('--lang', choices=LANGUAGES, default=ENGLISH, help='of what is printed and drawn (default: en)')
    _add_options(parser, kind)
    if kind in (WalkForward.name, ALL):
        add_grid_arguments(parser)
        add_strategy_arguments(parser, ('min_cap', 'max_cap'))
    else:
        add_strategy_arguments(parser)
    add_profile_arguments(parser)
    add_statistics_arguments(parser)
    pargs = pargs[1:]
    if of := _of(pargs):
        pargs = [*_arguments_of(of), *pargs]
    args = parser.parse_args(pargs)
    args.out = args.out or args.of or Path('out')
    check_market_arguments(parser, args)
    return args


def _add_options(parser: argparse.ArgumentParser, kind: str) -> None:
    """Add what a kind alone asks."""
    group = parser.add_argument_group('study')
    if kind in (Phases.name, ALL):
        group.add_argument('--shifts', type=number(int, 2, 250), default=0, metavar='N',
                           help='phases: how many shifts (default: as many as its rhythm has)')
    if kind in (Starts.name, ALL):
        group.add_argument('--least-days', type=number(int, 20), default=Starts.least_days, metavar='DAYS',
                           help=f'starts: trading days that are left to the last one (default: {Starts.least_days})')
    if kind in (Costs.name, ALL):
        group.add_argument('--vary', type=assignment, action='append', default=[], metavar='NAME=V1,V2,...',
                           help='costs: values of a key of the profile, any number of times (default: slippage, commission and '
                                'volume_limit)')
    if kind in (Capacity.name, ALL):
        group.add_argument('--sums', type=_sums, default=Capacity.cash, metavar='C1,C2,...',
                           help='capacity: cash of each run, yuan (default: 1e5 to 1e9)')
    if kind in (WalkForward.name, ALL):
        group.add_argument('--train', type=number(int, 1), default=WalkForward.train, metavar='MONTHS',
                           help=f'walk-forward: of the past on which is chosen (default: {WalkForward.train})')
        group.add_argument('--test', type=number(int, 1), default=WalkForward.test, metavar='MONTHS',
                           help=f'walk-forward: that the choice is run (default: {WalkForward.test})')
        group.add_argument('--anchored', action='store_true', help='walk-forward: the past always begins with the first day')
        add_figure_argument(group, 'is chosen by in walk-forward')


def _sums(text: str) -> tuple[float, ...]:
    """Argument type: sums of money, two or more, each once."""
    found = [number(float, 0, 1e15, open_low=True)(part) for part in text.split(',')]
    if len(found) < 2 or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f'found {text!r}, expected two sums or more, each once, such as 1e5,1e6,1e7')
    return tuple(found)


def _of(pargs: Sequence[str]) -> Path | None:
    """Return the folder that --of names, before the other arguments are read."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument('--of', type=Path)
    try:
        return parser.parse_known_args(list(pargs))[0].of
    except argparse.ArgumentError:
        return None  # which the command's own parser says


def _arguments_of(folder: Path) -> list[str]:
    """Return the arguments of the run of a folder, but for its benchmark, which a study does not ask."""
    from ..views.report.reading import read_summary
    from .report import ONLY_OF_THE_COMMAND, arguments_of

    summary = read_summary(folder / 'summary.json')
    if 'preset' not in summary:
        raise DataError(f'--of {folder}: is of a run of a script: {ONLY_OF_THE_COMMAND.partition(";")[0]}; give --data, '
                        '--strategy and --set instead')
    if summary['strategy'].endswith('.py'):
        raise DataError(f'--of {folder}: is of a JoinQuant script; give --joinquant {summary["strategy"]} and --data instead')
    return [text for text in arguments_of(summary) if not text.startswith('--benchmark=')]


def kinds_of(args: argparse.Namespace, chosen: Chosen) -> list[Kind]:
    """Return the studies that the arguments mean.

    Raises
    ------
    DataError
        A value cannot be read.
    """
    found: list[Kind] = []
    for name in KINDS if args.kind == ALL else (args.kind,):
        if name == Phases.name:
            found.append(Phases(args.shifts))
        elif name == Starts.name:
            found.append(Starts(args.least_days))
        elif name == Capacity.name:
            found.append(Capacity((*args.sums, args.cash)))  # the user's own is among them
        elif name == Costs.name:
            found.append(Costs(_varied(args.vary)) if args.vary else Costs())
        else:
            found.append(WalkForward(dimensions_of(args, chosen), args.train, args.test, args.by, args.anchored))
    return found


def _varied(given: Sequence[tuple[str, str]]) -> dict[str, list[Any]]:
    """Return the rules that --vary names, each with its values."""
    found: dict[str, list[Any]] = {}
    for name, text in given:
        said = f'--vary {name}={text}'
        if name not in RULES:
            raise DataError(f'{said}: the profile has no {name}, expected one of {", ".join(RULES)}')
        if name in found:
            raise DataError(f'{said}: {name} is given twice')
        found[name] = [rule_value(part, name, said) for part in text.split(',')]
        if len(set(map(str, found[name]))) < len(found[name]):
            raise DataError(f'{said}: found a value twice, expected each once')
    return found


def about_of(args: argparse.Namespace, chosen: Chosen, setting: Setting, source: str) -> dict[str, Any]:
    """Return what a study says of what was run, by which a report tells whether it is of its run.

    The user's own run is made, and its end is what tells most: it depends on all that a run depends on.
    """
    days = setting.days()
    own: dict[str, Any] = {}
    with contextlib.suppress(DataError):  # its params alone may not go; those of a walk-forward's grid may
        own = run_trial(setting, Trial(('the run itself',))).figures
    return {
        'title': ', '.join(filter(None, [chosen.label, source, args.profile])), 'data': source,
        'content': setting.store.checksum(), **chosen.about(), 'params': as_json(chosen.all_params()),
        'profile': args.profile, 'rules': as_json({**PROFILES[args.profile], **overrides(args)}), 'cash': args.cash,
        'first_day': str(as_date(days[0])), 'last_day': str(as_date(days[-1])), 'conventions': as_json(conventions(args)),
        'end_value': own.get('end_value'), 'trades': own.get('trades'), 'given_rules': as_json(overrides(args))}


def make(kind: Kind, args: argparse.Namespace, setting: Setting, settings: dict[str, Any], about: dict[str, Any]) -> None:
    """Make a study, and print what it found."""
    folder = output_folder(args.out / kind.name)
    bars: list[Any] = []

    def bar(total: int) -> Any:
        bars.append(progress(total=total, label=kind.name))
        return bars[0].update

    study = studies.make(kind, setting, folder, settings, about, processes=args.maxcpus, dask=args.dask, progress=bar)
    bars[0].close()
    picture = folder / f'{kind.name}.png'
    picture.unlink(missing_ok=True)  # of a study before
    if not args.no_plot:
        from ..views.study_picture import save

        save(picture, study, args.lang)
    print(f'{say(args.lang, TITLES[kind.name])}\n')
    print(aligned(*table(study, args.lang)))
    print(f'\n{sentence(study, args.lang)}')
    if study.facts.get('left_out'):
        print(say(args.lang, 'The last {days} trading days are in no window.', days=study.facts['left_out']))
    written = sorted(path.name for path in folder.iterdir() if not path.name.startswith('.'))
    print(say(args.lang, 'written {folder}/: {files}', folder=folder, files=', '.join(written)) + '\n')


def possible(kinds: list[Kind], setting: Setting, args: argparse.Namespace) -> list[Kind]:
    """Return the studies that the market and the strategy allow, before anything is written; of all kinds say which are not.

    Raises
    ------
    DataError
        None is, or the one that was asked for.
    """
    found, said = [], []
    for kind in kinds:
        try:
            kind.plan(setting)
        except DataError as error:
            said.append((kind.name, error))
        else:
            found.append(kind)
    if not found:
        raise said[0][1]
    for name, error in said:
        print(say(args.lang, 'not made: {title}: {why}', title=say(args.lang, TITLES[name]), why=error) + '\n')
    return found


@one_line_errors
def main(pargs: Sequence[str] | None = None) -> int:
    """Make the studies."""
    args = parse_args(pargs)
    chosen = choose(args)
    check_params(chosen)
    kinds = kinds_of(args, chosen)
    check_output_folder(args.out)
    feed, source = open_for(args, chosen)
    setting = setting_of(args, chosen, feed)
    check_data(chosen, feed.universe())
    for kind in kinds:
        if isinstance(kind, WalkForward):
            few = one_by_one(kind.dimensions)
            check_each(few, lambda combination: check_params(chosen, **of_strategy(combination, chosen)), few)
            check_each(few, lambda combination: try_out(chosen, feed, args, combination), few)
    planned = possible(kinds, setting, args)
    settings, about = settings_of(args, chosen, feed, source), about_of(args, chosen, setting, source)
    for kind in planned:
        make(kind, args, setting, settings, about)
    for text in notes(unknown_of(feed.store), *findings_of(feed.store), args.out):
        print(say(args.lang, 'note: {text}', text=text))
    if (args.out / 'summary.json').exists():
        print(say(args.lang, '{command} shows it in the report of the run', command=f'{command("report")} {args.out}'))
    return 0
