"""Measure what a run costs, beside plain Backtrader in the same minutes.

    bench.py [--quick] [--full] [--rounds N] [--work DIR] [--out DIR]

Every measurement is made in a process of its own, several rounds of all of them one after the other, so that
whatever else is going on hits all alike; the table shows the medians. Processor time counts, except where two
cores are compared with one. Linux and macOS only.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from ..feeds.errors import DataError
from ..rotation.presets import PRESETS
from ..study import COUNT
from .command_line import Parser, number, one_line_errors, output_folder, progress
from .measurements import BARE, MEASURES
from .resources import Figures, resource, used
from .run_measurements import VARIANTS

STOCKS, DAYS, ROUNDS = FULL = (100, 500, 1_000, 5_000), 2_430, 3  # ten years
QUICK = (50, 200), 250, 1  # the same for a small try
MUCH = '1e8'  # yuan of the presets' runs: 400 holdings need some
A_DAY = 20  # stocks that are bought or sold a day where the cost of an order is measured
# run -> ratio to plain Backtrader with as many orders, at most
AGAINST_PLAIN = {'twenty daily': 0.6, 'microcap400': 0.6}
AN_ORDER = 0.48  # of what one costs in plain Backtrader: 100 us where that takes 210
MEMORY = 120  # MB of a run beyond what Backtrader and pandas take by themselves
RANDOM_RUNS = 20  # as many as cost what a round may
SWEEP, SEVENTH_YEAR = 100, '2022-12-30'  # runs of a grid, and the day that seven years end on
FIVE_YEARS, FIFTH_YEAR = 1_215, '2020-12-31'  # trading days, and the day that they end on, of the report and of the random picks
PLAIN_STOCKS, PLAIN_STOCKS_FULL = 100, 500  # plain Backtrader takes a second for every few stocks


def has_report() -> bool:
    """Return whether the extra report is installed, without which a report cannot be measured."""
    return all(importlib.util.find_spec(name) is not None for name in ('bokeh', 'jinja2'))


def years(days: int, most: float) -> str:
    """Return how many years some trading days are, at most as many as are measured."""
    count = min(most, round(days / 243, 1))
    return f'{count:g} year{"s" * (count != 1)}'


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


def measure(name: str, *arguments: Any) -> Figures:
    """Make one of the `MEASURES` in a new process.

    Raises
    ------
    DataError
        The process failed; what it wrote is shown before.
    """
    command = [sys.executable, '-m', 'bt_microcap', 'bench', '--measure', name, *map(str, arguments)]
    for _ in range(2):  # a library may die of its threads at the end of a process: not for that all is lost
        done = subprocess.run(command, capture_output=True, text=True, encoding='utf-8', check=False)
        if not done.returncode:
            break
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
    folder = work / f'xbx-{stocks[-1]}-{days}'
    table, store, out = files[stocks[-1]], stores[stocks[-1]], tempfile.TemporaryDirectory(prefix='out-', dir=work)
    runs: dict[str, tuple] = {f'run {count}': ('run', stores[count]) for count in stocks}
    runs |= {name: ('run', store, name, MUCH) for name in (*VARIANTS, *PRESETS) if name != 'original'}
    compared = [f'run {count}' for count in stocks] + list(AGAINST_PLAIN)
    steps: dict[str, tuple] = {'floor': ('floor', days, 0)}
    for name, run in runs.items():  # beside each other, so that the same minutes hit both
        steps |= {f'floor {name}': (), name: run} if name in compared else {name: run}
    steps |= {f'orders {count}': ('orders', store, count) for count in (0, A_DAY)}
    steps |= {'floor orders': (), 'pages': ('pages', store)}
    steps |= {f'plain {count}': ('plain', files[count]) for count in stocks
              if count <= (PLAIN_STOCKS_FULL if full else PLAIN_STOCKS)}
    steps |= {'read': ('read', table), 'ingest': ('ingest', table, work)}
    steps |= {'grid 1': ('grid', store, 1), 'grid 2': ('grid', store, 2)}
    steps['sweep'] = 'sweep', store, SWEEP, 2, SEVENTH_YEAR
    steps['optimize'] = 'optimize', store, SWEEP, 2, SEVENTH_YEAR
    steps['imports'] = 'program', '-c', 'import backtrader, pandas'
    steps['import'] = 'program', '-c', 'import bt_microcap'
    steps['help'] = 'program', '-m', 'bt_microcap', 'backtest', '--help'
    steps['bare'] = 'program', '-c', BARE, table
    steps['table'] = 'program', '-m', 'bt_microcap', 'backtest', '--data', table, '--no-plot', '--out', out.name
    steps |= {'read xbx': ('read xbx', folder), 'xbx': ('xbx', folder, work)}
    steps['process'] = 'program', '-m', 'bt_microcap', 'backtest', '--data', store, '--no-plot', '--out', out.name
    steps['five years'] = (*steps['process'], '--end', FIFTH_YEAR)
    if has_report():
        steps['report'] = (*steps['five years'], '--report', '--random-picks', '0')
    steps['chance'] = 'chance', store, RANDOM_RUNS, 2, FIVE_YEARS
    bar = progress(total=len(stocks) + 2 + len(compared) + rounds * len(steps), label='measurements')

    def step(text: str, *what: Any) -> Figures:
        if not sys.stderr.isatty():  # no bar there
            print(text, file=sys.stderr, flush=True)
        figures = measure(*what)
        bar.update(1)
        return figures

    with out:
        for count in stocks:
            step(f'the market of {count:,} stocks', 'market', count, days, files[count], stores[count])
        step('files of one stock each', 'xbx files', table, folder)
        for name, what in [(name, runs[name]) for name in compared] + [('orders', steps[f'orders {A_DAY}'])]:
            steps[f'floor {name}'] = 'floor', days, int(step(f'the number of orders: {name}', *what)['orders'])
        results: dict[str, list[Figures]] = {name: [] for name in steps}
        for turn in range(rounds):
            for name, what in steps.items():
                results[name].append(step(f'round {turn + 1} of {rounds}: {name}', *what))
    bar.close()
    return results


def compare(results: dict[str, list[Figures]], stocks: list[int], days: int) -> list[Row]:
    """Return the table: the medians, and how they stand to each other and to the targets."""
    middle = {name: {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]}
              for name, rounds in results.items()}
    cpu = {name: figures['cpu'] for name, figures in middle.items()}
    first, last = stocks[0], stocks[-1]

    def row(name: str, text: str, *comparison: Any) -> Row:
        return Row(text, cpu[name], middle[name]['peak'], *comparison)

    def compared(name: str, text: str, target: float | None) -> list[Row]:
        """Return plain Backtrader with as many orders, and our run."""
        orders = f'{middle[name]["orders"]:,.0f} orders'
        return [row(f'floor {name}', f'plain Backtrader, one feed, as many orders: {orders}'),
                row(name, f'our run, {text}', cpu[name] / cpu[f'floor {name}'], 'x plain with as many orders', target)]

    plain_order = (cpu['floor orders'] - cpu['floor']) / middle[f'orders {A_DAY}']['orders']
    our_order = (cpu[f'orders {A_DAY}'] - cpu['orders 0']) / middle[f'orders {A_DAY}']['orders']
    return [
        row('imports', 'a process that imports backtrader and pandas'),
        row('floor', 'plain Backtrader, one feed, no orders'),
        Row('an order in plain Backtrader', ratio=1e6 * plain_order, unit='us'),
        Row('an order in our broker, told to strategy and blotter', ratio=our_order / plain_order,
            unit=f"x plain Backtrader's ({1e6 * our_order:.0f} us)",
            target=AN_ORDER),
        *(each for count in stocks
          for each in compared(f'run {count}', f'{count:,} stocks', 1.0 if count in (first, last) else None)),
        Row(f'our run, {last:,} stocks against {first:,}', ratio=cpu[f'run {last}'] / cpu[f'run {first}'],
            unit=f'x {first:,} stocks', target=1.4),
        Row(f'our run, {last:,} stocks, peak memory beyond that of the imports',
            ratio=max(0.0, middle[f'run {last}']['peak'] - middle['imports']['peak']), unit='MB', target=MEMORY),
        Row('pages of the store that it looks at', ratio=middle['pages']['touched'],
            unit=f'MB of {middle["pages"]["size"]:,.{0 if middle["pages"]["size"] > 100 else 2}f} MB'),
        *(each for name, target in AGAINST_PLAIN.items() for each in compared(name, f'{last:,} stocks, {name}', target)),
        *(row(preset, f'our run, {last:,} stocks, preset {preset}, {middle[preset]["orders"]:,.0f} orders',
              cpu[preset] / cpu[f'run {last}'], 'x the original') for preset in PRESETS
          if preset in cpu and preset not in AGAINST_PLAIN),
        *(row(f'plain {count}', f'plain Backtrader, one feed a stock, {count:,} stocks',
              cpu[f'plain {count}'] / cpu[f'run {count}'], 'x our run', {100: 30, 500: 120}.get(count), True)
          for count in stocks if f'plain {count}' in cpu),
        Row(f'opening the store, {last:,} stocks', middle[f'run {last}']['open']),
        row('read', f'pyarrow reads the table, {last:,} stocks'),
        row('ingest', f'making the store, {last:,} stocks', cpu['ingest'] / cpu['read'], "x pyarrow's read", 4),
        row('read xbx', f'pyarrow reads {last:,} CSV files of one stock each'),
        row('xbx', 'making the store of them, two processes reading', cpu['xbx'] / cpu['read xbx'], "x pyarrow's read", 3),
        row('bare', 'bare NumPy: reading the table and the rules alone'),
        row('table', 'backtest on the table, no picture', cpu['table'] / cpu['bare'], 'x bare NumPy', 1.5),
        Row('backtest on the table, peak memory', ratio=middle['table']['peak'] / middle['bare']['peak'], unit='x bare NumPy',
            target=1.2),
        Row('size of the store', ratio=middle['ingest']['disk'], unit='x its columns', target=2.2),
        row('grid 1', 'optimizer, 20 combinations, 1 core'),
        row('grid 2', 'optimizer, 20 combinations, 2 cores', middle['grid 1']['wall'] / middle['grid 2']['wall'],
            'x faster by the clock', 1.7, True),
        Row(f'optimize, {SWEEP} runs around the original, {years(days, 7)}, 2 cores', cpu['optimize'], middle['optimize']['peak'],
            middle['optimize']['wall'], 's by the clock, start-up included', 60),
        Row('a run of it, beside cerebro.run() itself', ratio=middle['sweep']['overhead'], unit='ms', target=30),
        Row('cerebro, pickled', ratio=middle['grid 2']['pickled'], unit='kB', target=100),
        row('import', 'import bt_microcap', cpu['import'] / cpu['imports'], 'x the imports'),
        row('help', 'backtest --help', cpu['help'] / cpu['imports'], 'x the imports'),
        row('process', f'backtest, {last:,} stocks, no picture', cpu['process'] / cpu['imports'], 'x the imports', 1.4),
        Row('backtest, peak memory', ratio=middle['process']['peak'], unit='MB', target=400),
        row('five years', f'backtest, {last:,} stocks, {years(days, 5)}, no picture'),
        *([row('report', 'the same with a report', cpu['report'] - cpu['five years'], 's more than without', 5)]
          if 'report' in cpu else []),
        row('chance', f'{RANDOM_RUNS} runs with random picks, two processes, {years(days, 5)}',
            middle['chance']['wall'] * COUNT / RANDOM_RUNS, f's by the clock for {COUNT}', 60),
    ]


def render(rows: list[Row], note: str, judged: bool) -> str:
    """Return the rows as a Markdown table and a note under it; `judged` says which targets are met."""
    lines = [('measurement', 'processor seconds', 'peak memory MB', 'result', 'target')]
    for row in rows:
        seconds, memory = '' if row.seconds is None else f'{row.seconds:.3f}', '' if row.memory is None else f'{row.memory:.0f}'
        ratio = '' if row.ratio is None else f'{row.ratio:.{2 if row.ratio < 10 else 0}f} {row.unit}'
        target = f'{"at least" if row.at_least else "at most"} {row.target:g}, {"met" if row.met else "MISSED"}' if (
            judged and row.target is not None) else ''
        lines.append((row.measurement, seconds, memory, ratio, target))
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
    rows = compare(results, args.stocks, args.days)
    judged = (args.stocks[0], args.stocks[-1], args.days) == (STOCKS[0], STOCKS[-1], DAYS)
    note = f'{args.days:,} trading days; rounds: {args.rounds}, medians are shown.'
    if not judged:
        note += f' Targets are for {STOCKS[0]:,} to {STOCKS[-1]:,} stocks over {DAYS:,} days, and not shown.'
    if not has_report():
        note += ' No report was measured: it needs the extra report, pip install "bt-microcap[report]".'
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
