"""Run the micro-cap rotation over a market and write what it did.

Without --data it runs on a built-in synthetic market. It writes trades.csv, equity.csv, rejections.csv,
orders.csv, corporate_actions.csv, summary.json and equity.png into --out and prints a summary. The strategy is the
original; --preset, --set and --strategy choose another.
"""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

import backtrader as bt
import numpy as np

from ..feeds.errors import DataError
from ..feeds.invocation import command
from ..feeds.market import MarketFeed
from ..feeds.store.benchmarks import FORMS, parse
from ..profiles import setup
from ..record.blotter import Blotter
from ..views.results import ORIGINAL, save_run
from .command_line import (
    Parser,
    Progress,
    add_market_arguments,
    add_profile_arguments,
    add_statistics_arguments,
    check_market_arguments,
    check_output_folder,
    conventions,
    one_line_errors,
    overrides,
)
from .market_data import open_feed
from .strategy_arguments import add_strategy_arguments, check_data, check_params, choose, run_one


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser('backtest', description=__doc__.splitlines()[0])
    add_market_arguments(parser)
    parser.add_argument('--benchmark', default='market', metavar='INDEX',
                        help=f'what the return is compared with: {FORMS} (default: market, all A shares, equal weight)')
    parser.add_argument('--out', type=Path, default=Path('out'), help='folder for the results (default: out)')
    parser.add_argument('--no-plot', action='store_true', help='write no picture')
    add_strategy_arguments(parser)
    add_profile_arguments(parser)
    add_statistics_arguments(parser)
    args = parser.parse_args(pargs)
    check_market_arguments(parser, args)
    return args


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
    chosen = choose(args)
    check_params(chosen)
    check_output_folder(args.out)
    if args.data is None and parse(args.benchmark).of_store:
        raise DataError(f'the demo market: has no benchmark {args.benchmark}, as it is made up; give --benchmark market or '
                        'microcap, or --data with a store that has the index')
    feed, source = open_feed(args.data, args.start, args.end, args.benchmark, args)
    check_benchmark(feed, source)
    check_data(chosen, feed.universe())  # here, before anything is written

    cerebro = bt.Cerebro(stdstats=False)  # observers are for cerebro.plot(), which this script does not call
    cerebro.adddata(feed, name='market')
    cerebro.addstrategy(chosen.strategy, **chosen.params)
    setup(cerebro, args.profile, cash=args.cash, **overrides(args))
    cerebro.addanalyzer(Blotter, _name='blotter')
    cerebro.addanalyzer(Progress, total=feed.end - feed.offset)
    strategy = run_one(cerebro, chosen)
    # else the title tells the params that differ from the class's own
    name = chosen.label if chosen.preset and set(chosen.params) - set(ORIGINAL) else ''
    save_run(strategy, args.out, not args.no_plot, name=name, source=source, conventions=conventions(args), about=chosen.about())
    return 0
