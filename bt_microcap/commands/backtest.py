"""Run the micro-cap rotation over a market and write what it did.

Without --data it runs on a built-in synthetic market. It writes trades.csv, equity.csv, positions.csv, round_trips.csv
and more, summary.json and equity.png into --out and prints a summary; with --report also report.html, with random picks
to compare with. The strategy is the original; --preset, --set and --strategy choose another.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from datetime import date
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np

from ..feeds.errors import DataError
from ..feeds.invocation import command
from ..feeds.market import MarketFeed
from ..feeds.store.benchmarks import FORMS, parse
from ..profiles import setup
from ..record.blotter import Blotter
from ..record.param_texts import as_json
from ..record.run import unknown_of
from ..study import COUNT
from ..views.language import ENGLISH, LANGUAGES, say
from ..views.results import ORIGINAL, REPORT, save_run, table_of
from .command_line import (
    Parser,
    Progress,
    add_market_arguments,
    add_profile_arguments,
    add_statistics_arguments,
    check_market_arguments,
    check_output_folder,
    conventions,
    number,
    one_line_errors,
    overrides,
    progress,
)
from .market_data import open_feed
from .strategy_arguments import Chosen, add_strategy_arguments, check_data, check_params, choose, run_one

MARKET = 'market'  # the benchmark by default
CHANCE = ('percentile {total_return} of {count} in total return, {sharpe} in Sharpe ratio, {max_drawdown} in drawdown; 50 is '
          'chance')


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser('backtest', description=__doc__.splitlines()[0])
    add_market_arguments(parser)
    parser.add_argument('--benchmark', metavar='INDEX',
                        help=f'what the return is compared with: {FORMS} (default: market, all A shares, equal weight; of a '
                             'JoinQuant script the index that it sets, where the store has it)')
    parser.add_argument('--out', type=Path, default=Path('out'), help='folder for the results (default: out)')
    parser.add_argument('--no-plot', action='store_true', help='write no picture')
    parser.add_argument('--report', action='store_true', help='write report.html, too; needs the extra report')
    add_report_arguments(parser)
    add_strategy_arguments(parser)
    add_profile_arguments(parser)
    add_statistics_arguments(parser)
    args = parser.parse_args(pargs)
    check_market_arguments(parser, args)
    return args


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the language, and how many random runs a report compares with."""
    parser.add_argument('--lang', choices=LANGUAGES, default=ENGLISH,
                        help='of the summary, the picture and the report (default: en)')
    parser.add_argument('--random-picks', type=number(int, 0), default=COUNT, metavar='N',
                        help=f'report: runs with random picks to compare with, on all cores (default: {COUNT}); 0: no new ones')
    parser.add_argument('--seed', type=number(int, 0), default=0, metavar='N',
                        help='report: of the first random run (default: 0)')


def with_benchmark_of(chosen: Chosen, feed: MarketFeed) -> MarketFeed:
    """Return a feed that shows the index which a JoinQuant script sets as its benchmark; say it where the store has none."""
    from ..joinquant.loading import parsed
    from ..joinquant.reading import Reading

    index = Reading(chosen.path, *parsed(chosen.path)).benchmark
    if not index:
        return feed
    try:
        found = MarketFeed(dataname=feed.store, fromdate=feed.p.fromdate, todate=feed.p.todate, benchmark=index)
        check_benchmark(found, chosen.name)
    except DataError:
        warnings.warn(f'the benchmark of the script, {index}, is not among the data of the run: all A shares, equal weight, '
                      f'stand for it; {command("ingest")} --benchmark {index}=FILE adds it', stacklevel=2)
        return feed
    return found


def check_benchmark(feed: MarketFeed, source: str) -> None:
    """Refuse a benchmark whose level is not known from the day before the run to its end.

    Raises
    ------
    DataError
        It is not; from when on it would be, or until when.
    """
    level = feed.level['close'][feed.offset:feed.end]
    if level[0] != level[0]:
        known = np.flatnonzero(feed.level['close'] == feed.level['close'])
        start = ''
        if len(known) and known[0] + 1 < feed.end:
            start = f'--start {date.fromordinal(int(feed.days[known[0] + 1]))} or later, or '
        raise DataError(f'{source}: the benchmark {feed.p.benchmark} has nothing on the day before the run; '
                        f'give {start}another --benchmark, such as market')
    if level[-1] != level[-1]:
        ends = date.fromordinal(int(feed.days[feed.offset:feed.end][level == level][-1]))
        raise DataError(f'{source}: the benchmark {feed.p.benchmark} ends on {ends}, before the run does; add its later days '
                        f'with {command("ingest")}, or give --end {ends}, or another --benchmark, such as market')


@one_line_errors
def main(pargs: list[str] | None = None) -> int:
    """Run the backtest."""
    args = parse_args(pargs)
    if args.report:
        from ..views.html_report import check_extra, of_folder  # with what makes runs again: a run alone does without

        check_extra('--report')
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('default')
        strategy, chosen, source = run(args)
    warned = [str(warning.message) for warning in caught]
    for text in warned:
        print(say(args.lang, 'warning: {text}', text=text), file=sys.stderr)
    # else the title tells the params that differ from the class's own
    name = chosen.label if args.joinquant or chosen.preset and set(chosen.params) - set(ORIGINAL) else ''
    summary = save_run(strategy, args.out, not args.no_plot, name=name, source=source, conventions=conventions(args),
                       about={**chosen.about(), **content_of(strategy), **given_of(args)}, language=args.lang, warned=warned)
    if args.report:
        compare_with_chance(strategy, args.out, summary, args)
        path = of_folder(args.out, args.out / REPORT, args.lang)
        print(say(args.lang, 'report: {path}', path=path))
    return 0


def given_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the rules that options gave: of a JoinQuant script, which sets others, its studies are told by them."""
    return {'given_rules': as_json(overrides(args))} if args.joinquant and overrides(args) else {}


def content_of(strategy: bt.Strategy) -> dict[str, int]:
    """Return the checksum of the store of a run, by which its studies are told from those of other data; of a folder alone."""
    store = strategy.datas[0].store
    return {'content': store.checksum()} if store.path is not None and not store.is_temporary else {}


def compare_with_chance(strategy: bt.Strategy, folder: Path, summary: dict[str, Any], args: argparse.Namespace) -> None:
    """Run a run again without costs and with random picks, and say where it stands among them."""
    from ..views.html_report import run_beside

    bar = progress(total=args.random_picks, label='random picks') if args.random_picks else None
    said = run_beside(strategy, folder, summary, args.random_picks, args.seed, bar.update if bar is not None else int)
    if bar is not None:
        bar.close()
    if said['percentiles']:
        shown = {name: f'{value:.1f}' for name, value in said['percentiles'].items()}
        print(table_of([('random picks', CHANCE.format(count=args.random_picks, **shown))], args.lang))
    elif args.random_picks:
        print(table_of([('random picks', f'none: {said["no_chance"]}')], args.lang))


def run(args: argparse.Namespace, check_folder: bool = True) -> tuple[bt.Strategy, Chosen, str]:
    """Run what the arguments say; return the strategy after it, which was chosen, and what the market is called."""
    chosen = choose(args)
    check_params(chosen)
    if check_folder:
        check_output_folder(args.out)
    if args.data is None and parse(args.benchmark or MARKET).of_store:
        raise DataError(f'the demo market: has no benchmark {args.benchmark}, as it is made up; give --benchmark market or '
                        'microcap, or --data with a store that has the index')
    feed, source = open_feed(args.data, args.start, args.end, args.benchmark or MARKET, args)
    if args.joinquant and args.benchmark is None:
        feed = with_benchmark_of(chosen, feed)
    check_benchmark(feed, source)
    try:
        check_data(chosen, feed.universe())  # here, before anything is written
    except DataError as error:
        unfit = [text for text in unknown_of(feed.store) if 'unfit' in text]  # then it is no wonder
        raise DataError('; '.join([str(error), *unfit])) from None

    cerebro = bt.Cerebro(stdstats=False)  # observers are for cerebro.plot(), which this script does not call
    cerebro.adddata(feed, name='market')
    cerebro.addstrategy(chosen.strategy, **chosen.params)
    setup(cerebro, args.profile, cash=args.cash, **overrides(args))
    cerebro.addanalyzer(Blotter, _name='blotter')
    if sys.stderr.isatty():
        cerebro.addanalyzer(Progress, total=feed.end - feed.offset)
    return run_one(cerebro, chosen), chosen, source
