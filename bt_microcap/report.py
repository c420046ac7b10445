"""The files, the figures and the picture of a run."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .blotter import Blotter, CorporateAction, Equity, Fill, OrderRecord, Rejection

DAYS_A_YEAR = 252  # trading days, the convention of JoinQuant's and empyrical's annual figures


def statistics(blotter: Blotter, start_cash: float) -> dict[str, Any]:
    """Return the figures of a run, all of them recomputable from equity.csv and trades.csv.

    Parameters
    ----------
    blotter : Blotter
        After the run.
    start_cash : float
        Yuan before the first day.

    Returns
    -------
    dict
        ``total_return``; ``annual_return`` = (1 + total_return) ** (252 / days) - 1; ``sharpe`` = mean / standard
        deviation (n - 1) of daily returns x sqrt(252), without a risk-free rate; ``max_drawdown`` (a fraction,
        0 or more); ``turnover`` = half of the traded value over the mean total value, a year; ``fees`` (yuan)
        and its three parts; ``trades`` (fills), ``rejections``, ``days``, ``start_value``, ``end_value``.
    """
    values = np.array([start_cash] + [row.total_value for row in blotter.equity])
    days = len(values) - 1
    returns = np.diff(values) / values[:-1] if days else np.zeros(0)
    growth = values[-1] / values[0]
    deviation = returns.std(ddof=1) if days > 1 else 0.0
    traded = math.fsum(fill.quantity * fill.price for fill in blotter.fills)
    commission = math.fsum(fill.commission for fill in blotter.fills)
    tax = math.fsum(fill.tax for fill in blotter.fills)
    transfer = math.fsum(fill.transfer_fee for fill in blotter.fills)
    mean_value = values[1:].mean() if days else start_cash
    return {
        'start_value': float(start_cash),
        'end_value': float(values[-1]),
        'total_return': float(growth - 1),
        'annual_return': (float(growth ** (DAYS_A_YEAR / days) - 1) if growth > 0 else -1.0) if days else 0.0,
        'sharpe': float(returns.mean() / deviation * math.sqrt(DAYS_A_YEAR)) if deviation > 0 else 0.0,
        'max_drawdown': float((1 - values / np.maximum.accumulate(values)).max()),
        'turnover': float(traded / 2 / mean_value / (days / DAYS_A_YEAR)) if days else 0.0,
        'fees': math.fsum((commission, tax, transfer)),
        'commission': commission,
        'tax': tax,
        'transfer_fee': transfer,
        'trades': len(blotter.fills),
        'rejections': len(blotter.rejections),
        'days': days,
        'first_day': str(blotter.equity[0].date) if days else None,
        'last_day': str(blotter.equity[-1].date) if days else None,
    }


def summary_table(figures: dict[str, Any], benchmark: float | None = None) -> str:
    """Return the short summary that a run prints.

    Parameters
    ----------
    figures : dict
        From `statistics`.
    benchmark : float, optional
        Total return of the benchmark or market over the same days.
    """
    rows = [
        ('period', f"{figures['first_day']} .. {figures['last_day']} ({figures['days']} trading days)"),
        ('value', f"{figures['start_value']:,.2f} -> {figures['end_value']:,.2f} yuan"),
        ('return', f"{figures['total_return']:.2%}" + ('' if benchmark is None else f' (market {benchmark:.2%})')),
        ('annual return', f"{figures['annual_return']:.2%}"),
        ('Sharpe', f"{figures['sharpe']:.2f}"),
        ('max drawdown', f"{figures['max_drawdown']:.2%}"),
        ('turnover', f"{figures['turnover']:.1f} times a year"),
        ('total fees', f"{figures['fees']:,.2f} yuan (commission {figures['commission']:,.2f}, "
                       f"tax {figures['tax']:,.2f}, transfer fee {figures['transfer_fee']:,.2f})"),
        ('trades', f"{figures['trades']}"),
        ('rejections', f"{figures['rejections']}"),
    ]
    return '\n'.join(f'{name:<14} {value}' for name, value in rows)


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


def write_run(folder: Path, blotter: Blotter, summary: dict[str, Any]) -> None:
    """Write trades.csv, equity.csv, rejections.csv, orders.csv, corporate_actions.csv and summary.json.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    blotter : Blotter
        After the run.
    summary : dict
        What summary.json says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / 'trades.csv', Fill._fields, blotter.fills)
    write_csv(folder / 'equity.csv', Equity._fields, blotter.equity)
    write_csv(folder / 'rejections.csv', Rejection._fields, blotter.rejections)
    write_csv(folder / 'orders.csv', OrderRecord._fields, blotter.orders)
    write_csv(folder / 'corporate_actions.csv', CorporateAction._fields, blotter.corporate_actions)
    write_json(folder / 'summary.json', summary)


def picture(path: Path, blotter: Blotter, start_cash: float, market: Sequence[float], title: str, market_name: str) -> None:
    """Draw the run: value against the market, drawdown, holdings' share and the year's returns.

    Parameters
    ----------
    path : Path
        A PNG file.
    blotter : Blotter
        After the run.
    start_cash : float
        Yuan before the first day.
    market : sequence of float
        Level of the market before the first day and after each day.
    title : str
    market_name : str
    """
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    from matplotlib.ticker import PercentFormatter

    days = [row.date for row in blotter.equity]
    value = np.array([row.total_value for row in blotter.equity]) / start_cash
    level = np.asarray(market[1:], dtype='float64') / market[0]
    with_start = np.concatenate(([1.0], value))
    drawdown = (value / np.maximum.accumulate(with_start)[1:]) - 1
    invested = np.array([row.market_value / row.total_value if row.total_value else 0.0 for row in blotter.equity])
    figure, axes = plt.subplots(3, 1, figsize=(11, 8), sharex=True, height_ratios=[4, 1.5, 1], constrained_layout=True)
    axes[0].plot(days, value - 1, color='#c0392b', linewidth=1.6, label=f'strategy {value[-1] - 1:+.1%}')
    axes[0].plot(days, level - 1, color='#7f8c8d', linewidth=1.2, label=f'{market_name} {level[-1] - 1:+.1%}')
    axes[0].axhline(0, color='black', linewidth=0.6)
    axes[0].set_ylabel('return')
    axes[0].set_title(title)
    axes[0].legend(loc='best', frameon=False)
    axes[1].fill_between(days, drawdown, 0, color='#c0392b', alpha=0.35, linewidth=0)
    axes[1].set_ylabel('drawdown')
    axes[2].fill_between(days, invested, 0, step='post', color='#2980b9', alpha=0.35, linewidth=0)
    axes[2].set_ylabel('invested')
    axes[2].set_ylim(0, 1.05)
    for axis in axes:
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axis.grid(alpha=0.25)
        axis.margins(x=0.01)
    part = path.with_name(path.name + '.part')
    figure.savefig(part, dpi=110, format='png')
    plt.close(figure)
    os.replace(part, path)
