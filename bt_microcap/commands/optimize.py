"""Run a grid of parameters over a market, on several cores or on a Dask cluster, and say how much of the best is luck.

Writes results.csv (one row a combination), returns.parquet (its daily returns, one column a combination),
overfitting.json and heatmap.png into --out. Interrupted and started again with the same arguments, it goes on where
it was; further values of the same params are added.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np

from .. import __version__
from ..feeds.market import MarketFeed
from ..profiles import PROFILES, setup
from ..record.files import write_json
from ..record.param_texts import as_json, as_text
from ..record.run import findings_of, unknown_of
from ..study import grid
from ..study.ledger import LESS_IS_BETTER, Ledger
from ..study.overfitting import doubts
from ..study.trials import Setting
from ..views.heatmap import SIDE_BY_SIDE, heatmap
from ..views.results import notes
from .backtest import with_benchmark_of
from .command_line import (
    Parser,
    add_market_arguments,
    add_process_arguments,
    add_profile_arguments,
    add_statistics_arguments,
    check_market_arguments,
    check_output_folder,
    conventions,
    one_line_errors,
    output_folder,
    overrides,
    progress,
)
from .grid_arguments import (
    add_blocks_argument,
    add_figure_argument,
    add_grid_arguments,
    check_each,
    dimensions_of,
    of_strategy,
    one_by_one,
)
from .market_data import open_feed
from .strategy_arguments import Chosen, Skipped, add_strategy_arguments, check_data, check_params, choose, rehearse

BEST = 5  # rows that are printed
OVERFITTING = 'overfitting.json'
SHOWN = {'annual_return': ('annual return', '.2%'), 'sharpe': ('Sharpe', '.2f'), 'max_drawdown': ('max drawdown', '.2%'),
         'turnover': ('turnover', '.1f'), 'trades': ('trades', '')}


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser('optimize', description=__doc__.splitlines()[0])
    add_market_arguments(parser)
    add_process_arguments(parser)
    parser.add_argument('--out', type=Path, default=Path('sweep'), help='folder for the results (default: sweep)')
    add_figure_argument(parser, 'the best is chosen by')
    add_blocks_argument(parser)
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
    cerebro.addstrategy(chosen.strategy, **{**chosen.params, **of_strategy(combination, chosen)})
    with contextlib.suppress(Skipped):
        rehearse(cerebro, chosen)


def open_for(args: argparse.Namespace, chosen: Chosen) -> tuple[MarketFeed, str]:
    """Return a feed over the bars of a study, with the benchmark that a JoinQuant script sets; and what the market is called."""
    feed, source = open_feed(args.data, args.start, args.end, args=args)
    return (with_benchmark_of(chosen, feed) if args.joinquant else feed), source


def setting_of(args: argparse.Namespace, chosen: Chosen, feed: MarketFeed) -> Setting:
    """Return what all runs of a study have in common."""
    # a feed begins with the day before the first on which it may trade
    first = date.fromordinal(int(feed.days[feed.offset + 1]))
    last = date.fromordinal(int(feed.days[feed.end - 1]))
    return Setting(feed.store, chosen.strategy, chosen.params, args.profile, overrides(args), args.cash, first, last,
                   conventions(args), feed.p.benchmark)


def settings_of(args: argparse.Namespace, chosen: Chosen, feed: MarketFeed, source: str, varied: Iterable[str] = ()
                ) -> dict[str, Any]:
    """Return what settings.json says: all that the results depend on beside what is varied."""
    return {
        'data': source,
        'content': feed.store.checksum(),  # another market under the same name
        'version': __version__,
        'start': str(args.start), 'end': str(args.end), 'cash': args.cash, **chosen.about(),
        'params': {name: as_json(value) for name, value in chosen.all_params().items() if name not in varied},
        'profile': args.profile,
        **{name: value for name, value in {**PROFILES[args.profile], **overrides(args)}.items() if name not in varied},
        **conventions(args),
        **({'benchmark': feed.p.benchmark} if feed.p.benchmark else {}),
    }


def luck_of(
    ledger: Ledger, keys: list[tuple[str, ...]], best: tuple[str, ...], setting: Setting, blocks: int,
) -> dict[str, Any]:
    """Return how much of the best of some runs is luck; see `overfitting.doubts`."""
    days, returns = ledger.table(keys)
    level = setting.store.index()['close']
    places = np.searchsorted(setting.store.days, days)
    how = {name: setting.conventions[name] for name in ('days_a_year', 'risk_free')}
    return doubts(days, returns, keys.index(best), benchmark=level[places] / level[places - 1] - 1, blocks=blocks,
                  **how)


def said_of(found: dict[str, Any]) -> list[str]:
    """Return in plain words what `luck_of` found."""
    if found['deflated_sharpe_ratio'] is None and found['probability_of_overfitting'] is None:
        return [f'luck of the choice: not known, {found["why"]}']
    lines = []
    if found['deflated_sharpe_ratio'] is not None:
        lines.append(f'deflated Sharpe ratio {found["deflated_sharpe_ratio"]:.2f}: the probability that the Sharpe ratio of the '
                     f'best, {found["best_sharpe"]:.2f} by its daily returns, is above 0 once it is known that '
                     f'{found["different_runs"]} different runs were tried, the best of which would have '
                     f'{found["expected_sharpe"]:.2f} by luck alone')
    if found['probability_of_overfitting'] is not None:
        lines.append(f'probability of overfitting {found["probability_of_overfitting"]:.0%}: how often the best of one half of '
                     f'the time ({found["blocks"]} blocks) is in the worse half of all in the other')
    if found['reality_check'] is not None:
        lines.append(f"White's reality check p = {found['reality_check']:.2f}, SPA p = {found['spa']:.2f}: the probability of "
                     'so good a best if none beats the market, all A shares, equal weight')
    if found['why']:
        lines.append(f'not known: {found["why"]}')
    return lines


def table(rows: list[tuple], columns: tuple[str, ...], dimensions: int, by: str = '') -> list[str]:
    """Return the lines of the printed table; `by` is a further figure, by which they are sorted."""
    shown = SHOWN if by in SHOWN or not by else {by: (by.replace('_', ' '), '.4g'), **SHOWN}
    heads = [*columns[:dimensions], *(head for head, _ in shown.values())]
    lines = [[*map(as_text, row[:dimensions]),
              *(f'{row[columns.index(name)]:{form}}' for name, (_, form) in shown.items())] for row in rows]
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
    check_each(combinations, lambda combination: check_params(chosen, **of_strategy(combination, chosen)), few)
    check_output_folder(args.out)
    feed, source = open_for(args, chosen)
    universe = feed.universe()
    bands = grid.combinations({name: dimensions[name] for name in ('min_cap', 'max_cap') if name in dimensions})
    check_each(bands, lambda band: check_data(chosen, universe, **band), bands)
    check_each(few, lambda combination: try_out(chosen, feed, args, combination), few)
    out = output_folder(args.out)
    setting = setting_of(args, chosen, feed)
    bar = progress(total=len(combinations), label='runs')
    settings = settings_of(args, chosen, feed, source, dimensions)
    rows, ledger = grid.sweep(setting, dimensions, out, settings, processes=args.maxcpus, dask=args.dask, progress=bar.update)
    bar.close()
    columns = grid.columns_of(dimensions)
    place = columns.index(args.by)
    ranked = sorted((row for row in rows if row[place] is not None),
                    key=lambda row: row[place] if args.by in LESS_IS_BETTER else -row[place])
    best = ranked[:BEST]
    print('\n'.join(table(best, columns, len(dimensions), args.by)))
    written = 'results.csv, returns.parquet, settings.json'
    (out / OVERFITTING).unlink(missing_ok=True)  # of a sweep before
    if len(rows) > 1 and best:
        keys = [grid.key_of(dict(zip(dimensions, row, strict=False))) for row in rows]
        first = keys[rows.index(best[0])]
        found = luck_of(ledger, keys, first, setting, args.blocks)
        write_json(out / OVERFITTING, {'by': args.by, 'best': dict(zip(dimensions, first, strict=True)), **found})
        written += f', {OVERFITTING}'
        print('\n'.join(said_of(found)))
    if args.no_plot or not rows:
        (out / 'heatmap.png').unlink(missing_ok=True)  # of a sweep before
    else:
        title = ', '.join(filter(None, [chosen.label, source, args.profile]))
        heatmap(out / 'heatmap.png', rows, columns, title, len(dimensions),
                figures=list(dict.fromkeys((*SIDE_BY_SIDE, args.by))))  # what the best is chosen by is seen, too
        written += ', heatmap.png'
    for text in notes(unknown_of(feed.store), *findings_of(feed.store), out):
        print(f'note: {text}')
    print(f'best {len(best)} of {len(rows)} by {args.by.replace("_", " ")}; written {out}/: {written}')
    idle = sum(not row[columns.index('trades')] for row in rows)
    if idle:
        print(f'{idle} of {len(rows)} combinations filled no order')
    if len(rows) < len(combinations):
        print(f'{len(combinations) - len(rows)} of {len(combinations)} combinations were skipped by the strategy')
    return 0
