"""Run the micro-cap rotation over a market and write what it did.

Without --data it runs on a built-in synthetic market. It writes trades.csv, equity.csv, rejections.csv,
orders.csv, corporate_actions.csv, summary.json and equity.png into --out and prints a summary.
"""

from __future__ import annotations

import argparse
import warnings
from datetime import date
from pathlib import Path

import backtrader as bt
import numpy as np

from ..feeds.errors import DataError
from ..feeds.invocation import command
from ..feeds.market import MarketFeed
from ..feeds.store.benchmarks import FORMS, parse
from ..profiles import PROFILES, setup
from ..record.blotter import Blotter
from ..record.files import write_run
from ..record.statistics import statistics, summary_table
from ..rotation.screens import check_band
from ..rotation.strategy import MicroCapStrategy, NothingTradedWarning
from ..views.picture import picture
from .command_line import (
    Parser,
    Progress,
    add_market_arguments,
    add_profile_arguments,
    add_statistics_arguments,
    check_market_arguments,
    conventions,
    number,
    one_line_errors,
    output_folder,
    overrides,
)
from .market_data import notes, open_feed


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser('backtest', description=__doc__.splitlines()[0])
    add_market_arguments(parser)
    parser.add_argument('--benchmark', default='market', metavar='INDEX',
                        help=f'what the return is compared with: {FORMS} (default: market, all A shares, equal weight)')
    parser.add_argument('--stocknum', type=number(int, 1), default=3, help='stocks held (default: 3)')
    parser.add_argument('--refresh-rate', type=number(int, 1), default=5, help='trading days between rebalances (default: 5)')
    parser.add_argument('--out', type=Path, default=Path('out'), help='folder for the results (default: out)')
    parser.add_argument('--no-plot', action='store_true', help='write no picture')
    add_profile_arguments(parser)
    add_statistics_arguments(parser)
    args = parser.parse_args(pargs)
    check_market_arguments(parser, args)
    return args


def _level(feed: MarketFeed, source: str) -> np.ndarray:
    """Return the benchmark's level at the close of each bar, 1 at the first one, the day before the run."""
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
    return level / level[0]


@one_line_errors
def main(pargs: list[str] | None = None) -> int:
    """Run the backtest."""
    args = parse_args(pargs)
    if args.data is None and parse(args.benchmark).of_store:
        raise DataError(f'the demo market: has no benchmark {args.benchmark}, as it is made up; give --benchmark market or '
                        'microcap, or --data with a store that has the index')
    feed, source = open_feed(args.data, args.start, args.end, args.benchmark, args)
    level = _level(feed, source)
    check_band(feed.universe(), args.min_cap, args.max_cap)  # here, before anything is written
    out = output_folder(args.out)

    cerebro = bt.Cerebro(stdstats=False)  # observers are for cerebro.plot(), which this script does not call
    cerebro.adddata(feed, name='market')
    cerebro.addstrategy(MicroCapStrategy, stocknum=args.stocknum, refresh_rate=args.refresh_rate,
                        min_cap=args.min_cap, max_cap=args.max_cap)
    rules = overrides(args)
    setup(cerebro, args.profile, cash=args.cash, **rules)
    cerebro.addanalyzer(Blotter, _name='blotter')
    cerebro.addanalyzer(Progress, total=feed.end - feed.offset)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NothingTradedWarning)  # the summary says it
        strategy = cerebro.run()[0]
    blotter = strategy.analyzers.blotter

    figures = statistics(blotter, args.cash, **conventions(args))
    summary = {
        **figures,
        'benchmark': args.benchmark,
        'benchmark_return': float(level[-1] - 1),
        'benchmark_about': parse(args.benchmark).about(),
        'data': source,
        'data_about': feed.store.about,
        'profile': args.profile,
        'params': {name: getattr(args, name) for name in ('stocknum', 'refresh_rate', 'min_cap', 'max_cap', 'cash')},
        'rules': {**PROFILES[args.profile], **rules},
    }
    write_run(out, blotter, summary, level[1:])
    print(summary_table(figures, summary['benchmark_return'], args.benchmark))
    if nothing := strategy.nothing_traded():
        print(f'{"warning":<14} {nothing}')
    for text in notes(feed.store, out):
        print(f'{"note":<14} {text}')
    if 'preclose' not in feed.store.columns and 'high_limit' not in feed.store.columns:
        print(f'{"note":<14} the data has no preclose: price limits' + (
            '' if feed.store.explicit_actions else ' and ex-rights') + ' are not applied')
    written = 'trades.csv, equity.csv, rejections.csv, orders.csv, corporate_actions.csv, summary.json'
    if args.no_plot:
        (out / 'equity.png').unlink(missing_ok=True)  # of a run before
    else:
        title = f'{args.stocknum} smallest stocks of {args.min_cap / 1e9:g}-{args.max_cap / 1e9:g} bn yuan, ' \
                f'every {args.refresh_rate} days ({args.profile})'
        picture(out / 'equity.png', blotter, args.cash, level, title, args.benchmark)
        written += ', equity.png'
    print(f'{"written":<14} {out}/: {written}')
    return 0
