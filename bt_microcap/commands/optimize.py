"""Run a grid of parameters over a market, on several cores.

Writes results.csv (one row a combination) and heatmap.png into --out. Interrupted and started again with the
same arguments, it goes on where it was; further values of the same params are added.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import Any

import backtrader as bt

from .. import __version__
from ..feeds.market import MarketFeed
from ..profiles import PROFILES, setup
from ..record.param_texts import as_json, as_text
from ..record.run import findings_of, unknown_of
from ..study import grid
from ..views.heatmap import heatmap
from ..views.results import notes
from .command_line import (
    Parser,
    add_market_arguments,
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
from .grid_arguments import add_grid_arguments, check_each, dimensions_of, one_by_one
from .market_data import open_feed
from .strategy_arguments import Chosen, Skipped, add_strategy_arguments, check_data, check_params, choose, rehearse

BEST = 5  # rows that are printed
SHOWN = {'annual_return': ('annual return', '.2%'), 'sharpe': ('Sharpe', '.2f'), 'max_drawdown': ('max drawdown', '.2%'),
         'turnover': ('turnover', '.1f'), 'trades': ('trades', '')}


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser('optimize', description=__doc__.splitlines()[0])
    add_market_arguments(parser)
    parser.add_argument('--maxcpus', type=number(int, 1), help='processes (default: one a core)')
    parser.add_argument('--out', type=Path, default=Path('sweep'), help='folder for the results (default: sweep)')
    parser.add_argument('--no-plot', action='store_true', help='write no picture')
    add_grid_arguments(parser)
    add_strategy_arguments(parser, ('min_cap', 'max_cap'))
    add_profile_arguments(parser)
    add_statistics_arguments(parser)
    args = parser.parse_args(pargs)
    check_market_arguments(parser, args)
    return args


def try_out(chosen: Chosen, feed: MarketFeed, args: argparse.Namespace, combination: dict[str, Any]) -> None:
    """Make the strategy with a combination, and run nothing: what it refuses by itself is said here, not by a worker.

    Raises
    ------
    DataError
        The strategy refuses it.
    """
    cerebro = bt.Cerebro(stdstats=False)
    # a feed of its own over the same store: the other one stays as it is
    cerebro.adddata(MarketFeed(dataname=feed.store, fromdate=feed.p.fromdate, todate=feed.p.todate), name='market')
    setup(cerebro, args.profile, cash=args.cash)
    cerebro.addstrategy(chosen.strategy, **{**chosen.params, **combination})
    with contextlib.suppress(Skipped):
        rehearse(cerebro, chosen)


def table(rows: list[tuple], columns: tuple[str, ...], dimensions: int) -> list[str]:
    """Return the lines of the printed table."""
    heads = [*columns[:dimensions], *(head for head, _ in SHOWN.values())]
    lines = [[*map(as_text, row[:dimensions]),
              *(f'{row[columns.index(name)]:{form}}' for name, (_, form) in SHOWN.items())] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(heads, *lines, strict=True)]
    return ['  '.join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in (heads, *lines)]


@one_line_errors
def main(pargs: list[str] | None = None) -> int:
    """Run the grid."""
    args = parse_args(pargs)
    chosen = choose(args)
    dimensions = dimensions_of(args, chosen)
    combinations = grid.combinations(dimensions)
    few = one_by_one(dimensions)
    check_each(combinations, lambda combination: check_params(chosen, **combination), few)
    check_output_folder(args.out)
    feed, source = open_feed(args.data, args.start, args.end, args=args)
    universe = feed.universe()
    bands = grid.combinations({name: dimensions[name] for name in ('min_cap', 'max_cap') if name in dimensions})
    check_each(bands, lambda band: check_data(chosen, universe, **band), bands)
    check_each(few, lambda combination: try_out(chosen, feed, args, combination), few)
    rules = overrides(args)
    out = output_folder(args.out)
    settings = {
        'data': source,
        'content': feed.store.checksum(),  # another market under the same name
        'version': __version__,
        'start': str(args.start), 'end': str(args.end), 'cash': args.cash, **chosen.about(),
        'params': {name: as_json(value) for name, value in chosen.all_params().items() if name not in dimensions},
        'profile': args.profile, **PROFILES[args.profile], **rules, **conventions(args),
    }
    cerebro = bt.Cerebro(stdstats=False, maxcpus=args.maxcpus)
    cerebro.adddata(feed, name='market')
    setup(cerebro, args.profile, cash=args.cash, **rules)
    bar = progress(total=len(combinations), label='runs')
    rows = grid.sweep(cerebro, chosen.strategy, dimensions, out, settings, args.cash, bar.update, conventions(args),
                      **chosen.params)
    bar.close()
    columns = grid.columns_of(dimensions)
    best = sorted(rows, key=lambda row: -row[columns.index('annual_return')])[:BEST]
    print('\n'.join(table(best, columns, len(dimensions))))
    written = 'results.csv, settings.json'
    if args.no_plot or not rows:
        (out / 'heatmap.png').unlink(missing_ok=True)  # of a sweep before
    else:
        title = ', '.join(filter(None, [chosen.label, source, args.profile]))
        heatmap(out / 'heatmap.png', rows, columns, title, len(dimensions))
        written += ', heatmap.png'
    for text in notes(unknown_of(feed.store), *findings_of(feed.store), out):
        print(f'note: {text}')
    print(f'best {len(best)} of {len(rows)} by annual return; written {out}/: {written}')
    idle = sum(not row[columns.index('trades')] for row in rows)
    if idle:
        print(f'{idle} of {len(rows)} combinations filled no order')
    if len(rows) < len(combinations):
        print(f'{len(combinations) - len(rows)} of {len(combinations)} combinations were skipped by the strategy')
    return 0
