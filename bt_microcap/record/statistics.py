"""The figures of a run, and the short summary that shows them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .blotter import Blotter

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
