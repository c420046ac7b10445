"""The CSV and JSON files of a run: written beside, then renamed, with numbers in full precision."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .blotter import Blotter
from .holdings import Holding
from .missed import Missed
from .round_trips import RoundTrip
from .rows import CashFlow, CorporateAction, Equity, Fill, OrderRecord, Rejection
from .run import Pick, Price, Run


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file with numbers in full precision: beside it first, then renamed."""
    part = path.with_name(path.name + '.part')
    with open(part, 'w', newline='', encoding='utf-8') as stream:
        writer = csv.writer(stream, lineterminator='\n')
        writer.writerow(header)
        writer.writerows(rows)
    os.replace(part, path)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file: beside it first, then renamed."""
    part = path.with_name(path.name + '.part')
    part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + '\n', encoding='utf-8')
    os.replace(part, path)


def write_run(folder: Path, blotter: Blotter, summary: dict[str, Any], benchmark: Sequence[float] | None = None) -> None:
    """Write trades.csv, equity.csv, rejections.csv, orders.csv, corporate_actions.csv and summary.json.

    And cash_flows.csv, where money came in or went out.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    blotter : Blotter
        After the run.
    summary : dict
        What summary.json says.
    benchmark : sequence of float, optional
        Level of the benchmark after each day of the run, 1 at the close before the first one: a further column of equity.csv.

    Raises
    ------
    ValueError
        The benchmark has not as many days as the run.
    """
    equity, rows = Equity._fields, blotter.equity
    if benchmark is not None:
        equity = *equity, 'benchmark'
        rows = [(*row, float(level)) for row, level in zip(rows, benchmark, strict=True)]
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / 'trades.csv', Fill._fields, blotter.fills)
    write_csv(folder / 'equity.csv', equity, rows)
    write_csv(folder / 'rejections.csv', Rejection._fields, blotter.rejections)
    write_csv(folder / 'orders.csv', OrderRecord._fields, blotter.orders)
    write_csv(folder / 'corporate_actions.csv', CorporateAction._fields, blotter.corporate_actions)
    if blotter.cash_flows:
        write_csv(folder / 'cash_flows.csv', CashFlow._fields, blotter.cash_flows)
    write_json(folder / 'summary.json', summary)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a text file: beside it first, then renamed."""
    part = path.with_name(path.name + '.part')
    with open(part, 'w', encoding='utf-8') as stream:
        stream.writelines(f'{line}\n' for line in lines)
    os.replace(part, path)


def write_details(folder: Path, run: Run) -> list[str]:
    """Write positions.csv, round_trips.csv, picks.csv, missed.csv and prices.csv.

    And indices.csv, where the index of the micro-caps is known: its level after each day, 1 at the close before the first one;
    record.csv and log.txt, where the strategy recorded or logged something.

    Parameters
    ----------
    folder : Path
    run : Run

    Returns
    -------
    list of str
        The names of the files.
    """
    tables: dict[str, tuple[Sequence[str], Sequence[Sequence[Any]]]] = {
        'positions.csv': (Holding._fields, run.holdings),
        'round_trips.csv': (RoundTrip._fields, run.trips),
        'picks.csv': (Pick._fields, run.picks),
        'missed.csv': (Missed._fields, run.missed),
        'prices.csv': (Price._fields, run.prices),
    }
    if run.microcap is not None:
        tables['indices.csv'] = ('date', 'microcap'), list(zip(run.days, run.microcap[1:].tolist(), strict=True))
    if run.recorded:
        tables['record.csv'] = ('date', 'name', 'value'), [
            (day, name, value) for name, values in run.recorded.items() for day, value in values]
    for name, (header, rows) in tables.items():
        write_csv(folder / name, header, rows)
    if run.log_lines:
        write_lines(folder / 'log.txt', run.log_lines)
    return [*tables, *(['log.txt'] if run.log_lines else [])]
