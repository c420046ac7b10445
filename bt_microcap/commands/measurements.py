"""What `bench` measures, each in a process of its own."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

from ..feeds.store import MANIFEST, MarketStore
from ..rotation.strategy import MicroCapStrategy
from .resources import Figures, timed, used
from .run_measurements import (
    START,
    make_cerebro,
    measure_floor,
    measure_grid,
    measure_orders,
    measure_pages,
    measure_plain,
    measure_run,
)


def measure_read(file: str) -> Figures:
    """Measure pyarrow's read of a Parquet file."""
    import pyarrow.parquet as pq  # the others do without it: it would raise their peak memory

    return timed(pq.read_table, file)[1]


def make_xbx(file: str, folder: str) -> Figures:
    """Make a folder of CSV files, one per stock, as the source xbx reads them, from a Parquet file; where it is not there."""
    import pandas as pd

    from ..feeds.sources.xbx import CODE_COLUMN, COLUMNS, DATE_COLUMN, EXCHANGES, NAME_COLUMN, NUMBER_COLUMNS

    path = Path(folder)
    if path.exists():
        return {}
    part = Path(tempfile.mkdtemp(prefix='xbx-', dir=path.parent))
    table = pd.read_parquet(file)
    marks = {exchange: mark for mark, exchange in EXCHANGES.items()}
    for code, rows in table.groupby('code', observed=True):
        name = marks[code[7:]] + code[:6]
        columns = {theirs: rows[ours if ours in rows else 'market_cap'] for theirs, ours in NUMBER_COLUMNS.items()}
        out = pd.DataFrame(columns)
        out[CODE_COLUMN], out[DATE_COLUMN] = name, rows['date'].dt.strftime('%Y-%m-%d')
        out[NAME_COLUMN] = np.where(rows['is_st'] == 1, 'ST', '') + name
        out['成交额'] = (rows['volume'] * rows['close']).round(2)
        out = out[rows['paused'] == 0][list(COLUMNS)]
        if len(out):
            (part / f'{name}.csv').write_text('made up\n' + out.to_csv(index=False), encoding='gb18030')
    part.rename(path)
    return {}


def measure_read_xbx(folder: str) -> Figures:
    """Measure pyarrow's read of the CSV files of a folder, one after the other."""
    import pyarrow.csv as pa_csv

    def read() -> None:
        for path in sorted(Path(folder).iterdir()):
            pa_csv.read_csv(path, read_options=pa_csv.ReadOptions(skip_rows=1, encoding='gb18030'))

    return timed(read)[1]


def measure_xbx(folder: str, work: str) -> Figures:
    """Measure the making of a store from a folder of CSV files; its processes count."""
    from ..feeds.sources import Request, read
    from ..feeds.store import writer

    request = Request(folder=Path(folder))
    with tempfile.TemporaryDirectory(prefix='ingest-', dir=work) as path:
        _, figures = timed(lambda: writer.ingest_tables(
            read('xbx', request), Path(path), about=request.about, reference_data=request.reference_data))
    cpu, peak = used(children=True)
    return {**figures, 'cpu': figures['cpu'] + cpu, 'peak': used()[1] + 2 * peak}  # two of them read, and this one writes


def measure_ingest(file: str, folder: str) -> Figures:
    """Measure the making of a store; ``disk`` is its size over that of its columns, each in its smallest type."""
    from ..feeds.store import writer

    with tempfile.TemporaryDirectory(prefix='ingest-', dir=folder) as path:
        store, figures = timed(writer.ingest, [Path(file)], Path(path))
        disk = sum(entry.stat().st_size for entry in Path(path).rglob('*') if entry.is_file())
        row = 4 + 2 + sum(store.arrays[f'stock/{name}'].dtype.itemsize for name in store.columns)  # date and code: 4, 2
        return figures | {'disk': disk / (store.rows * row)}


def measure_sweep(store: str, count: str, processes: str, last: str) -> Figures:
    """Measure runs of a grid around the original; ``overhead``: ms that each takes beside ``cerebro.run()``.

    That is the start of the processes, opening, what travels, the writing of results, and what a process waits at the end.
    """
    from ..profiles import CONVENTIONS
    from ..study import grid, ledger, trials
    from ..study import processes as workers

    dimensions = {'phase': range(5), 'max_cap': [3e9 + 1e7 * step for step in range(int(count) // 5)]}
    setting = trials.Setting(MarketStore.open(store), MicroCapStrategy, end=date.fromisoformat(last),
                             conventions=dict(CONVENTIONS['realistic']))
    planned = tuple(grid.trials_of(dimensions, setting))
    spent: list[float] = []

    def run(folder: str) -> None:
        with ledger.Ledger(Path(folder), tuple(dimensions), {}, [trial.key for trial in planned]) as book:
            job = trials.TrialsJob(setting, planned)
            for number, outcome in workers.outcomes(job, range(len(planned)), int(processes)):
                book.add(planned[number].key, outcome)
                spent.append(outcome.seconds)

    with tempfile.TemporaryDirectory(prefix='bt_microcap_bench_') as folder:
        _, figures = timed(run, folder)
    cpu, peak = used(children=True)
    return {'cpu': figures['cpu'] + cpu, 'wall': figures['wall'], 'peak': peak, 'run': sum(spent) / len(spent),
            'overhead': 1000 * (figures['wall'] * int(processes) - sum(spent)) / len(spent)}


def measure_chance(store: str, count: str, processes: str, days: str) -> Figures:
    """Measure runs with random picks over the first days of a market; the first run, and its proof, are not counted."""
    from ..study.again import proved
    from ..study.chance import random_picks

    market = MarketStore.open(store)
    last = date.fromordinal(int(market.days[:int(days)][-1]))
    cerebro = make_cerebro(store, todate=last)
    cerebro.addstrategy(MicroCapStrategy)
    strategy = cerebro.run()[0]
    recipe = proved(strategy)
    _, figures = timed(lambda: random_picks(strategy, int(count), processes=int(processes), recipe=recipe))
    return figures | dict(zip(('cpu', 'peak'), used(children=True), strict=True))


# The rules in bare NumPy over a Parquet file, without orders, records or files: what reading a table directly is compared with.
BARE = '''
import sys
import numpy as np
import pyarrow.parquet as pq

names = ['open', 'high', 'low', 'close', 'volume', 'market_cap', 'is_st', 'paused', 'preclose']
table = pq.read_table(sys.argv[1], columns=['date', 'code', *names], read_dictionary=['code']).unify_dictionaries()
code = table['code'].combine_chunks()
codes, stock = np.array(code.dictionary.to_pylist()), code.indices.to_numpy().astype('int32')
dates = table['date'].to_numpy().astype('datetime64[D]').astype('int64')
low = dates.min()
days = np.flatnonzero(np.bincount(dates - low))
day = np.searchsorted(days, dates - low).astype('int32')
grid = {}
for name in names:
    grid[name] = np.full((len(days), len(codes)), np.nan)
    grid[name][day, stock] = table[name].to_numpy()
boards = np.array([text[0] in '036' for text in codes])
cash, held = 1e6, {}
for today in range(1, len(days)):
    opens, closes = grid['open'][today], grid['close'][today]
    if (today - 1) % 5 == 0:
        cap = grid['market_cap'][today - 1]
        can = (cap >= 2e9) & (cap <= 3e9) & (grid['paused'][today] == 0) & (grid['is_st'][today] == 0) & boards
        can = np.flatnonzero(can)
        picks = can[np.argsort(cap[can], kind='stable')[:3]]
        limit = np.round(grid['preclose'][today] * 1.1 + 1e-9, 2)
        for number in [number for number in held if grid['volume'][today, number] > 0]:
            value = held.pop(number) * opens[number]
            cash += value - max(5, 0.0003 * value) - 0.001 * value
        budget = cash / max(1, 3 - len(held))
        for number in picks[:3 - len(held)].tolist():
            if grid['volume'][today, number] > 0 and opens[number] < limit[number]:
                size = budget // (opens[number] * 100 * 1.001) * 100
                held[number] = held.get(number, 0) + size
                cash -= size * opens[number] + max(5, 0.0003 * size * opens[number])
print(cash)
'''


def measure_program(*arguments: str) -> Figures:
    """Measure a program of its own."""
    command = functools.partial(subprocess.run, stdout=subprocess.DEVNULL, check=True)
    _, figures = timed(command, [sys.executable, *arguments])
    return figures | dict(zip(('cpu', 'peak'), used(children=True), strict=True))


def measure_optimize(store: str, count: str, processes: str, last: str) -> Figures:
    """Measure the command optimize over a grid around the original, in a folder of its own: it would go on in an old one."""
    values = ','.join(f'{3e9 + 1e7 * step:.0f}' for step in range(int(count) // 5))
    with tempfile.TemporaryDirectory(prefix='bt_microcap_bench_') as folder:
        return measure_program('-m', 'bt_microcap', 'optimize', '--data', store, '--end', last, '--no-plot', '--out', folder,
                               '--grid', 'phase=0:4', '--grid', f'max_cap={values}', '--maxcpus', processes)


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
    'floor': measure_floor, 'run': measure_run, 'orders': measure_orders, 'pages': measure_pages, 'plain': measure_plain,
    'read': measure_read, 'ingest': measure_ingest, 'xbx files': make_xbx, 'read xbx': measure_read_xbx, 'xbx': measure_xbx,
    'grid': measure_grid, 'sweep': measure_sweep, 'optimize': measure_optimize, 'chance': measure_chance,
    'program': measure_program, 'market': make_market,
}
