"""Run a grid of parameters over a market, on several cores.

Writes results.csv (one row a combination) and heatmap.png into --out. Interrupted and started again with the
same arguments, it goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import backtrader as bt

from .. import __version__
from ..profiles import PROFILES, setup
from ..rotation.screens import check_band
from ..study import grid
from ..views.heatmap import heatmap
from .command_line import (
    Parser,
    add_market_arguments,
    add_profile_arguments,
    add_statistics_arguments,
    check_market_arguments,
    conventions,
    number,
    one_line_errors,
    output_folder,
    overrides,
    progress,
)
from .market_data import notes, open_feed


def values(text: str) -> list[int]:
    """Argument type: whole numbers as 1,5,10 or a range 1:10 or 1:10:3, both ends in."""
    try:
        found: list[int] = []
        for part in text.split(','):
            ends = [int(piece) for piece in part.split(':')]
            if len(ends) > 3 or len(ends) == 3 and ends[2] < 1:
                raise ValueError
            found += range(ends[0], ends[1] + 1, *ends[2:]) if len(ends) > 1 else ends
        if not found or min(found) < 1 or len(set(found)) != len(found):
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'found {text!r}, expected whole numbers of 1 or more, each once, as 1,5,10 or 1:10 or 1:10:3') from None
    return found


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser('optimize', description=__doc__.splitlines()[0])
    add_market_arguments(parser)
    parser.add_argument('--stocknum', type=values, default=[1, 2, 3, 5, 10], metavar='1:10', help='stocks held')
    parser.add_argument('--refresh-rate', type=values, default=[1, 5, 10, 20], metavar='1,5,10', help='trading days')
    parser.add_argument('--maxcpus', type=number(int, 1), help='processes (default: one a core)')
    parser.add_argument('--out', type=Path, default=Path('sweep'), help='folder for the results (default: sweep)')
    parser.add_argument('--no-plot', action='store_true', help='write no picture')
    add_profile_arguments(parser)
    add_statistics_arguments(parser)
    args = parser.parse_args(pargs)
    check_market_arguments(parser, args)
    return args


@one_line_errors
def main(pargs: list[str] | None = None) -> int:
    """Run the grid."""
    args = parse_args(pargs)
    feed, source = open_feed(args.data, args.start, args.end, args=args)
    rules = overrides(args)
    check_band(feed.universe(), args.min_cap, args.max_cap)  # here, before anything is written
    out = output_folder(args.out)
    settings = {
        'data': source,
        'content': feed.store.checksum(),  # another market under the same name
        'version': __version__,
        'start': str(args.start), 'end': str(args.end), 'cash': args.cash, 'min_cap': args.min_cap, 'max_cap': args.max_cap,
        'profile': args.profile, **PROFILES[args.profile], **rules, **conventions(args),
    }
    cerebro = bt.Cerebro(stdstats=False, maxcpus=args.maxcpus)
    cerebro.adddata(feed, name='market')
    setup(cerebro, args.profile, cash=args.cash, **rules)
    pairs = [(stocknum, rate) for stocknum in args.stocknum for rate in args.refresh_rate]
    bar = progress(total=len(pairs), label='runs')
    rows = grid.sweep(cerebro, pairs, out, settings, args.cash, bar.update, conventions(args), min_cap=args.min_cap,
                      max_cap=args.max_cap)
    bar.close()
    best = sorted(rows, key=lambda row: -row[grid.COLUMNS.index('annual_return')])[:5]
    print('stocknum  refresh_rate  annual return  Sharpe  max drawdown  turnover  trades')
    for row in best:
        figures = dict(zip(grid.COLUMNS, row, strict=True))
        print(f'{row[0]:>8}  {row[1]:>12}  {figures["annual_return"]:>13.2%}  {figures["sharpe"]:>6.2f}  '
              f'{figures["max_drawdown"]:>12.2%}  {figures["turnover"]:>8.1f}  {figures["trades"]:>6}')
    written = 'results.csv, settings.json'
    if not args.no_plot:
        heatmap(out / 'heatmap.png', rows, grid.COLUMNS, f'{source}, {args.profile}')
        written += ', heatmap.png'
    for text in notes(feed.store, out):
        print(f'note: {text}')
    print(f'best {len(best)} of {len(rows)} by annual return; written {out}/: {written}')
    idle = sum(not row[grid.COLUMNS.index('trades')] for row in rows)
    if idle:
        print(f'{idle} of {len(rows)} combinations filled no order')
    return 0
