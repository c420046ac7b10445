"""Look for good params by Optuna: a guided search, on several cores, that can be interrupted and goes on.

Writes results.csv (one row a complete trial), returns.parquet (its daily returns, one column a trial), trials.csv (every
trial, also those that were ended early), search.journal (Optuna's own record), overfitting.json and search.png into --out.
Started again with the same arguments, it goes on until --trials are done. Needs the extra: pip install "bt-microcap[search]".
"""

from __future__ import annotations

import argparse
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..feeds.errors import DataError
from ..feeds.market import MarketFeed
from ..record.files import write_json
from ..record.param_texts import as_text
from ..record.run import findings_of, unknown_of
from ..study.ledger import FIGURES, Ledger
from ..study.optuna_study import COMPLETE, FAILED, INTERRUPTED, PRUNED, needed
from ..study.search import REFUSED, Found, Tried, search
from ..study.space import Dimension
from ..views.results import notes
from .command_line import (
    Parser,
    add_market_arguments,
    add_process_arguments,
    add_profile_arguments,
    add_statistics_arguments,
    check_market_arguments,
    check_output_folder,
    number,
    one_line_errors,
    output_folder,
    progress,
)
from .grid_arguments import add_blocks_argument, figure, of_strategy, one_by_one
from .optimize import BEST, OVERFITTING, SHOWN, luck_of, open_for, said_of, setting_of, settings_of, table, try_out
from .space_arguments import add_space_arguments, space_of
from .strategy_arguments import Chosen, add_strategy_arguments, check_data, check_params, choose

PICTURE = 'search.png'
MOST_SHOWN = 30  # of a Pareto front
DIGITS = '.5g'  # of numbers in the printed table; results.csv has all


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser('search', description=__doc__.splitlines()[0])
    add_market_arguments(parser)
    add_process_arguments(parser)
    parser.add_argument('--out', type=Path, default=Path('search'), help='folder for the results (default: search)')
    parser.add_argument('--by', type=figure, action='append', metavar='FIGURE',
                        help='the figure that is to be good, a column of results.csv such as sharpe, calmar or max_drawdown; '
                             'given several times, as --by annual_return --by max_drawdown, the Pareto front is looked for: the '
                             'trials than which no other is better in one and no worse in the rest (default: annual_return)')
    parser.add_argument('--trials', type=number(int, 1, 100_000), default=100, metavar='N',
                        help='trials in all, those of an interrupted search in --out among them (default: 100)')
    parser.add_argument('--seed', type=number(int, 0, 2**32 - 1), default=0, metavar='N',
                        help='the same one gives the same trials with --maxcpus 1 (default: 0)')
    parser.add_argument('--no-prune', action='store_true',
                        help='run every trial to its end. Else one ends after a calendar year if its figure so far is worse '
                             'than the median of the complete ones then, as soon as there are 5; with several --by none does, '
                             'as Optuna has nothing of the kind for them')
    parser.add_argument('--no-plot', action='store_true', help='write no picture')
    add_blocks_argument(parser)
    add_space_arguments(parser)
    add_strategy_arguments(parser)
    add_profile_arguments(parser)
    add_statistics_arguments(parser)
    args = parser.parse_args(pargs)
    check_market_arguments(parser, args)
    args.by = args.by or ['annual_return']
    twice = next((name for name in args.by if args.by.count(name) > 1), None)
    if twice:
        parser.error(f'argument --by: found {twice} twice, expected each figure once')
    return args


def check_ends(chosen: Chosen, feed: MarketFeed, args: argparse.Namespace, space: Sequence[Dimension]) -> None:
    """Say before anything is run what the strategy has against all of the space: it is no matter of the params that vary.

    Raises
    ------
    DataError
        It says the same of every end of every range, and of every value of every list.
    """
    universe = feed.universe()
    said = set()
    for combination in one_by_one({one.name: one.ends() for one in space}):
        params = of_strategy(combination, chosen)
        try:
            check_params(chosen, **params)
            check_data(chosen, universe, **params)
            try_out(chosen, feed, args, combination)
        except DataError as error:
            said.add(str(error))
        else:
            return
    if len(said) == 1:
        raise DataError(said.pop())


def counted(found: Found) -> str:
    """Return how many trials there are of each kind."""
    failed = Counter(one.why.partition(':')[0] for one in found.of(FAILED))
    again = sum(one.same >= 0 for one in found.tried)
    complete, pruned = len(found.of(COMPLETE)), len(found.of(PRUNED))
    lines = f'{complete + pruned + failed.total()} trials: {complete} complete'
    if again:
        lines += f' ({again} of them with the params of an earlier one, not run again)'
    lines += f', {pruned} pruned, {failed.total()} failed'
    if failed:
        lines += f' ({", ".join(f"{count} {kind}" for kind, count in failed.items())})'
    gone = len(found.of(INTERRUPTED))
    return lines + (f'; {gone} more interrupted and made anew' if gone else '')


def rows_of(shown: Sequence[Tried], ledger: Ledger, by: Sequence[str]) -> list[str]:
    """Return the lines of the printed table: number, params, objectives and some figures."""
    more = [name for name in by if name not in SHOWN]
    names = [*ledger.names, *more]
    rows = [(one.number, *map(_short, one.values.values()), *(format(ledger.figures[one.key][name], DIGITS) for name in more),
             *ledger.row(one.key)) for one in shown]
    return table(rows, (*(name if name not in more else name.replace('_', ' ') for name in names), *FIGURES), len(names))


def _short(value: Any) -> Any:
    return float(format(value, DIGITS)) if isinstance(value, float) else value


def typed(one: Tried, space: Sequence[Dimension]) -> str:
    """Return the params of a trial as the options of `backtest`."""
    rules = {dimension.name for dimension in space if dimension.of_profile}
    texts = {name: as_text(value) for name, value in one.values.items()}
    return ' '.join(f'--{name.replace("_", "-")} {text}' if name in rules else f'--set {shlex.quote(f"{name}={text}")}'
                    for name, text in texts.items())


def said_of_doubt(found: Found, setting: Any, out: Path, args: argparse.Namespace) -> list[str]:
    """Write overfitting.json, and return in plain words how much of the best is luck."""
    keys = found.ledger.keys()
    best = found.best[0]
    known = luck_of(found.ledger, keys, best.key, setting, args.blocks)
    write_json(out / OVERFITTING, {'by': args.by, 'best': dict(zip(found.ledger.names, best.key, strict=True)), **known})
    return [*said_of(known), 'a guided search makes most of its trials where it is good, they are alike, and those that were '
            'ended early do not count: the deflated Sharpe ratio and the probability of overfitting tell the least doubt there '
            'has to be']


@one_line_errors
def main(pargs: list[str] | None = None) -> int:
    """Run the search."""
    args = parse_args(pargs)
    needed()
    chosen = choose(args)
    space = space_of(args, chosen)
    check_output_folder(args.out)
    feed, source = open_for(args, chosen)
    check_ends(chosen, feed, args, space)
    out = output_folder(args.out)
    setting = setting_of(args, chosen, feed)
    bar = progress(total=args.trials, label='trials')
    settings = settings_of(args, chosen, feed, source, [one.name for one in space])
    try:
        found = search(setting, space, out, settings, objectives=args.by, trials=args.trials, seed=args.seed,
                       prune=not args.no_prune, processes=args.maxcpus, dask=args.dask, progress=bar.update)
    finally:
        bar.close()
    several = len(args.by) > 1
    shown = found.best[:MOST_SHOWN if several else BEST]
    if shown:
        print('\n'.join(rows_of(shown, found.ledger, args.by)))
        print(f'params of the first one: {typed(shown[0], space)}')
    print(counted(found))
    refused = next((one for one in found.of(FAILED) if one.why.startswith(REFUSED)), None)
    if refused:
        print(f'trial {refused.number} was {refused.why}')
    written = 'results.csv, returns.parquet, trials.csv, search.journal, settings.json'
    (out / OVERFITTING).unlink(missing_ok=True)  # of a search before
    if len(found.ledger) > 1:
        print('\n'.join(said_of_doubt(found, setting, out, args)))
        written += f', {OVERFITTING}'
    if args.no_plot or not found.best:
        (out / PICTURE).unlink(missing_ok=True)
    else:
        from ..views.search_picture import search_picture

        title = ', '.join(filter(None, [chosen.label, source, args.profile]))
        search_picture(out / PICTURE, found, space, args.by, title)
        written += f', {PICTURE}'
    for text in notes(unknown_of(feed.store), *findings_of(feed.store), out):
        print(f'note: {text}')
    what = f'Pareto front ({len(shown)} of {len(found.best)} shown)' if several else f'best {len(shown)}'
    by = ' and '.join(args.by).replace('_', ' ')
    print(f'{what} of {len(found.ledger)} complete trials by {by}; written {out}/: {written}')
    return 0
