"""Measure what a run costs, beside plain Backtrader in the same minutes.

    bench.py [--quick] [--full] [--rounds N] [--work DIR] [--out DIR]

Every measurement is made in a process of its own, several rounds of all of them one after the other, so that
whatever else is going on hits all alike; the table shows the medians. Processor time counts, except where two
cores are compared with one. Linux and macOS only.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import multiprocessing
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import backtrader as bt
import numpy as np

from ..feeds.errors import DataError
from ..feeds.market import MarketFeed
from ..feeds.store import MANIFEST
from ..profiles import setup
from ..record.blotter import Blotter
from ..rotation.strategy import MicroCapStrategy
from .command_line import Parser, number, one_line_errors, output_folder, progress

try:
    import resource
except ImportError:  # Windows
    resource = None

START = '2016-01-04'  # the dated transfer fee begins in August 2015
STOCKS, DAYS, ROUNDS = FULL = (100, 500, 1_000, 5_000), 2_430, 3  # ten years
QUICK = (50, 200), 250, 1  # the same for a small try
PLAIN_STOCKS, PLAIN_STOCKS_FULL = 100, 500  # plain Backtrader takes a second for every few stocks
GRID = {'stocknum': (1, 2, 3, 4, 5), 'refresh_rate': (1, 5, 10, 20)}  # of the optimizer
Figures = dict[str, float]


class Row(NamedTuple):
    """A row of the table."""

    measurement: str
    seconds: float | None = None  # of the processor
    memory: float | None = None  # MB, the peak of one process
    ratio: float | None = None
    unit: str = ''  # what the ratio is of
    target: float | None = None
    at_least: bool = False  # else at most

    @property
    def met(self) -> bool | None:
        """Whether the ratio is on the right side of the target; None where there is none."""
        return None if self.target is None else self.ratio >= self.target if self.at_least else self.ratio <= self.target


# -- measuring: each in a process of its own ----------------------------------------------------------------


def used(children: bool = False) -> tuple[float, float]:
    """Return processor seconds, user and system, and peak memory in MB, of this process or of its children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF)
    # A process counts what its parent held when it began: the parent of all holds only what all of them import.
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * (1 if sys.platform == 'darwin' else 1024) / 1e6


def timed(work: Callable[..., Any], *arguments: Any) -> tuple[Any, Figures]:
    """Call a function; return its result, and the processor and wall seconds that it took."""
    cpu, wall = used()[0], time.perf_counter()
    result = work(*arguments)
    return result, {'cpu': used()[0] - cpu, 'wall': time.perf_counter() - wall}


def measure_floor(days: str, orders: str) -> Figures:
    """Measure plain Backtrader over one feed, with some number of market orders spread over the days."""
    bars, wanted = int(days), int(orders)

    class Orders(bt.Strategy):
        def __init__(self) -> None:
            self.made = 0

        def next(self) -> None:
            while self.made < wanted * len(self) // bars:
                (self.sell if self.made % 2 else self.buy)(size=100)
                self.made += 1

    import pandas as pd  # of the plain engine's measurements alone

    names = ['open', 'high', 'low', 'close', 'volume']
    prices = pd.DataFrame(np.linspace([10] * 5, 11, bars), pd.bdate_range(START, periods=bars), names)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=prices))
    cerebro.addstrategy(Orders)
    cerebro.broker.setcash(1e6)
    return timed(cerebro.run)[1]


def make_cerebro(store: str, **options: Any) -> bt.Cerebro:
    """Return a cerebro with a store's market, the realistic profile and the blotter, but no strategy."""
    cerebro = bt.Cerebro(stdstats=False, **options)
    cerebro.adddata(MarketFeed(dataname=store), name='market')
    setup(cerebro, 'realistic')
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro


def measure_run(store: str) -> Figures:
    """Measure our run from a store, opening and running apart."""
    cerebro, opening = timed(make_cerebro, store)
    cerebro.addstrategy(MicroCapStrategy)
    (strategy,), figures = timed(cerebro.run)
    # Backtrader numbers the orders of a process from 1; those that book out a delisted stock are the broker's own
    delisted = sum(refusal.reason == 'delisted' for refusal in strategy.analyzers.blotter.rejections)
    return figures | {'open': opening['cpu'], 'orders': next(bt.Order.refbasis) - 1 - delisted}


class StockData(bt.feeds.PandasData):
    """A stock in plain Backtrader."""

    lines = ('market_cap', 'is_st', 'paused')
    params = (('openinterest', None), ('market_cap', -1), ('is_st', -1), ('paused', -1))


class Rotation(bt.Strategy):
    """The same rules in plain Backtrader, as one would write them without us."""

    params = (('stocknum', 3), ('refresh_rate', 5), ('min_cap', 2e9), ('max_cap', 3e9))

    def __init__(self) -> None:
        self.day = -1

    def next(self) -> None:
        """Sell all, buy the smallest."""
        self.day += 1
        if self.day % self.p.refresh_rate:
            return
        now = max(data.datetime[0] for data in self.datas if len(data))
        picks = [data for data in self.datas if len(data) and data.datetime[0] == now
                 and self.p.min_cap <= data.market_cap[0] <= self.p.max_cap
                 and not data.is_st[0] and not data.paused[0] and not data._name.endswith('.BJSE')]
        picks.sort(key=lambda data: data.market_cap[0])
        for data in self.datas:
            if self.getposition(data).size:
                self.close(data=data)
        budget = 0.95 * self.broker.getvalue() / self.p.stocknum  # the next open is not known: leave some room
        for data in picks[:self.p.stocknum]:
            self.buy(data=data, size=int(budget / data.close[0] / 100) * 100)

    prenext = next  # until the last stock is listed

def measure_plain(file: str) -> Figures:
    """Measure plain Backtrader with one feed per stock; the reading of the table is not counted."""
    import pandas as pd

    cerebro = bt.Cerebro(stdstats=False)
    for code, rows in pd.read_parquet(file).groupby('code', observed=True):
        cerebro.adddata(StockData(dataname=rows.drop(columns='code').set_index('date')), name=code)
    cerebro.addstrategy(Rotation)
    cerebro.broker.setcash(1e6)
    cerebro.broker.setcommission(commission=0.0003)
    cerebro.broker.set_slippage_perc(0.001)
    return timed(cerebro.run)[1] | {'orders': next(bt.Order.refbasis) - 1}


def measure_read(file: str) -> Figures:
    """Measure pyarrow's read of a Parquet file."""
    import pyarrow.parquet as pq  # the others do without it: it would raise their peak memory

    return timed(pq.read_table, file)[1]


def measure_ingest(file: str, folder: str) -> Figures:
    """Measure the making of a store; ``disk`` is its size over that of its columns, each in its smallest type."""
    from ..feeds.store import writer

    with tempfile.TemporaryDirectory(prefix='ingest-', dir=folder) as path:
        store, figures = timed(writer.ingest, [Path(file)], Path(path))
        disk = sum(entry.stat().st_size for entry in Path(path).rglob('*') if entry.is_file())
        row = 4 + 2 + sum(store.arrays[f'stock/{name}'].dtype.itemsize for name in store.columns)  # date and code: 4, 2
        return figures | {'disk': disk / (store.rows * row)}


def measure_grid(store: str, cores: str) -> Figures:
    """Measure an optimization; ``pickled`` is what goes to another process for each combination, kB."""
    cerebro = make_cerebro(store, maxcpus=int(cores))
    cerebro.optstrategy(MicroCapStrategy, **GRID)
    _, figures = timed(cerebro.run)
    if int(cores) > 1:
        for child in multiprocessing.active_children():
            child.join()  # its processor time is known when it has ended
        figures['cpu'] += used(children=True)[0]
        figures['pickled'] = len(pickle.dumps(cerebro)) / 1e3  # its feeds are loaded, as when it travels
    return figures


def measure_program(*arguments: str) -> Figures:
    """Measure a program of its own."""
    command = functools.partial(subprocess.run, stdout=subprocess.DEVNULL, check=True)
    _, figures = timed(command, [sys.executable, *arguments])
    return figures | dict(zip(('cpu', 'peak'), used(children=True), strict=True))


def make_market(stocks: str, days: str, file: str, store: str) -> Figures:
    """Make a synthetic market as a Parquet file and as a store, where they are not there already."""
    from ..feeds.demo import demo_market
    from ..feeds.store import writer

    table = Path(file)
    if not table.exists():
        part = table.with_suffix('.part')
        demo_market(int(stocks), start=START, days=int(days)).to_parquet(part, index=False)
        part.replace(table)
    if not (Path(store) / MANIFEST).exists():
        writer.ingest([table], Path(store))
    return {}


MEASURES: dict[str, Callable[..., Figures]] = {
    'floor': measure_floor, 'run': measure_run, 'plain': measure_plain, 'read': measure_read, 'ingest': measure_ingest,
    'grid': measure_grid, 'program': measure_program, 'market': make_market,
}


def measure(name: str, *arguments: Any) -> Figures:
    """Make one of the `MEASURES` in a new process.

    Raises
    ------
    DataError
        The process failed; what it wrote is shown before.
    """
    command = [sys.executable, '-m', 'bt_microcap', 'bench', '--measure', name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, encoding='utf-8', check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise DataError(f'{name} {" ".join(map(str, arguments))}: could not be measured')
    return json.loads(done.stdout.splitlines()[-1])


# -- all of them, and the table -----------------------------------------------------------------------------


def measure_all(stocks: list[int], days: int, rounds: int, full: bool, work: Path) -> dict[str, list[Figures]]:
    """Make the markets in a folder, then measure everything in rounds.

    Parameters
    ----------
    stocks : list of int
        Sizes of the markets, ascending.
    days, rounds : int
    full : bool
        Also plain Backtrader's slow sizes.
    work : Path

    Returns
    -------
    dict
        Measurement -> its figures, one entry a round.
    """
    files = {count: work / f'market-{count}-{days}.parquet' for count in stocks}
    stores = {count: work / f'store-{count}-{days}' for count in stocks}
    table, store, out = files[stocks[-1]], stores[stocks[-1]], tempfile.TemporaryDirectory(prefix='out-', dir=work)
    steps: dict[str, tuple] = {'floor': ('floor', days, 0), 'floor with orders': ()}
    steps |= {f'run {count}': ('run', stores[count]) for count in stocks}
    steps |= {f'plain {count}': ('plain', files[count]) for count in stocks
              if count <= (PLAIN_STOCKS_FULL if full else PLAIN_STOCKS)}
    steps |= {'read': ('read', table), 'ingest': ('ingest', table, work)}
    steps |= {'grid 1': ('grid', store, 1), 'grid 2': ('grid', store, 2)}
    steps['imports'] = 'program', '-c', 'import backtrader, pandas'
    steps['process'] = 'program', '-m', 'bt_microcap', 'backtest', '--data', store, '--no-plot', '--out', out.name
    bar = progress(total=len(stocks) + 1 + rounds * len(steps), label='measurements')

    def step(text: str, *what: Any) -> Figures:
        if not sys.stderr.isatty():  # no bar there
            print(text, file=sys.stderr, flush=True)
        figures = measure(*what)
        bar.update(1)
        return figures

    with out:
        for count in stocks:
            step(f'the market of {count:,} stocks', 'market', count, days, files[count], stores[count])
        steps['floor with orders'] = 'floor', days, int(step('the number of orders', 'run', store)['orders'])
        results: dict[str, list[Figures]] = {name: [] for name in steps}
        for turn in range(rounds):
            for name, what in steps.items():
                results[name].append(step(f'round {turn + 1} of {rounds}: {name}', *what))
    bar.close()
    return results


def compare(results: dict[str, list[Figures]], stocks: list[int]) -> list[Row]:
    """Return the table: the medians, and how they stand to each other and to the targets."""
    middle = {name: {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]}
              for name, rounds in results.items()}
    cpu = {name: figures['cpu'] for name, figures in middle.items()}
    first, last = stocks[0], stocks[-1]
    floor = cpu['floor with orders']

    def row(name: str, text: str, *comparison: Any) -> Row:
        return Row(text, cpu[name], middle[name]['peak'], *comparison)

    return [
        row('floor', 'plain Backtrader, one feed, no orders'),
        row('floor with orders', f'plain Backtrader, one feed, {middle[f"run {last}"]["orders"]:,.0f} market orders'),
        *(row(f'run {count}', f'our run, {count:,} stocks', cpu[f'run {count}'] / floor, 'x the floor with orders',
              1.8 if count == last else None) for count in stocks),
        Row(f'our run, {last:,} stocks against {first:,}', ratio=cpu[f'run {last}'] / cpu[f'run {first}'],
            unit=f'x {first:,} stocks', target=1.4),
        *(row(f'plain {count}', f'plain Backtrader, one feed a stock, {count:,} stocks',
              cpu[f'plain {count}'] / cpu[f'run {count}'], 'x our run', {100: 30, 500: 120}.get(count), True)
          for count in stocks if f'plain {count}' in cpu),
        Row(f'opening the store, {last:,} stocks', middle[f'run {last}']['open']),
        row('read', f'pyarrow reads the table, {last:,} stocks'),
        row('ingest', f'making the store, {last:,} stocks', cpu['ingest'] / cpu['read'], "x pyarrow's read", 4),
        Row('size of the store', ratio=middle['ingest']['disk'], unit='x its columns', target=2.2),
        row('grid 1', 'optimizer, 20 combinations, 1 core'),
        row('grid 2', 'optimizer, 20 combinations, 2 cores', middle['grid 1']['wall'] / middle['grid 2']['wall'],
            'x faster by the clock', 1.7, True),
        Row('cerebro, pickled', ratio=middle['grid 2']['pickled'], unit='kB', target=100),
        Row('a process that imports backtrader and pandas', cpu['imports']),
        row('process', f'backtest.py, {last:,} stocks, no picture', cpu['process'] / (cpu['imports'] + floor),
            'x these imports + the floor with orders', 2.5),
        Row('backtest.py, peak memory', ratio=middle['process']['peak'], unit='MB', target=400),
    ]


def render(rows: list[Row], note: str, judged: bool) -> str:
    """Return the rows as a Markdown table and a note under it; `judged` says which targets are met."""
    lines = [('measurement', 'processor seconds', 'peak memory MB', 'ratio', 'target')]
    for row in rows:
        seconds, memory = '' if row.seconds is None else f'{row.seconds:.3f}', '' if row.memory is None else f'{row.memory:.0f}'
        ratio = '' if row.ratio is None else f'{row.ratio:.{2 if row.ratio < 10 else 0}f} {row.unit}'
        target = '' if row.target is None else f'{"at least" if row.at_least else "at most"} {row.target:g}'
        lines.append((row.measurement, seconds, memory, ratio,
                      target + (', met' if row.met else ', MISSED') * (judged and row.met is not None)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, tuple('-' * (width - 1) + (':' if number in (1, 2) else '-') for number, width in enumerate(widths)))
    text = [' | '.join(cell.rjust(width) if number in (1, 2) else cell.ljust(width)
                       for number, (cell, width) in enumerate(zip(line, widths, strict=True))) for line in lines]
    return '\n'.join([*(f'| {line} |' for line in text), '', note, ''])


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser('bench', description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=number(int, 1), help=f'of all measurements (default: {ROUNDS})')
    parser.add_argument('--days', type=number(int, 60, 10_000), help=f'trading days of the markets (default: {DAYS})')
    parser.add_argument('--stocks', type=number(int, 20, 6_000), nargs='+', metavar='N',
                        help=f'sizes of the markets (default: {" ".join(map(str, STOCKS))})')
    parser.add_argument('--full', action='store_true', help='plain Backtrader also with 500 stocks: a few minutes a round')
    parser.add_argument('--quick', action='store_true', help='a small try: one round, small and short markets')
    parser.add_argument('--work', type=Path, metavar='DIR',
                        help='keeps the markets, 2 GB, for the next time (default: a temporary folder)')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for bench.md and bench.json')
    parser.add_argument('--measure', nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    args = parser.parse_args(pargs)
    stocks, days, rounds = QUICK if args.quick else FULL
    args.stocks, args.days, args.rounds = sorted(set(args.stocks or stocks)), args.days or days, args.rounds or rounds
    return args


@one_line_errors
def main(pargs: list[str] | None = None) -> int:
    """Measure, print the table and write it."""
    args = parse_args(pargs)
    if resource is None:
        raise DataError('found no module resource, which tells processor time and memory; run it on Linux or macOS')
    if args.measure:
        name, *arguments = args.measure
        figures = MEASURES[name](*arguments)
        print(json.dumps({'peak': used()[1], **figures}))
        return 0
    out, work = (path and output_folder(path).resolve() for path in (args.out, args.work))
    with contextlib.nullcontext(work) if work else tempfile.TemporaryDirectory(prefix='bt_microcap_bench_') as folder:
        results = measure_all(args.stocks, args.days, args.rounds, args.full, Path(folder))
    rows = compare(results, args.stocks)
    judged = (args.stocks[0], args.stocks[-1], args.days) == (STOCKS[0], STOCKS[-1], DAYS)
    note = f'{args.days:,} trading days; rounds: {args.rounds}, medians are shown.'
    if not judged:
        note += f' The targets are for {STOCKS[0]:,} to {STOCKS[-1]:,} stocks over {DAYS:,} days.'
    table = render(rows, note, judged)
    print(table, end='')
    if out:
        summary = {'days': args.days, 'stocks': args.stocks, 'rounds': args.rounds,
                   'rows': [row._asdict() | {'met': row.met if judged else None} for row in rows], 'measured': results}
        for name, text in (('bench.md', table), ('bench.json', json.dumps(summary, indent=1) + '\n')):
            part = out / f'{name}.part'
            part.write_text(text, encoding='utf-8')
            part.replace(out / name)
    return 0
