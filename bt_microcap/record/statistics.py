"""The figures of a run, and the short summary that shows them."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Any

import numpy as np

from ..exchange.account import DELISTED
from .blotter import Blotter

DAYS_A_YEAR = 252  # trading days, the convention of empyrical's annual figures
# JoinQuant's: 250 days and 4 % a year (its help page on the figures of a backtest)
JOINQUANT_DAYS_A_YEAR, JOINQUANT_RISK_FREE = 250, 0.04
LARGE_SHARE = 0.01  # of a day's volume: a median order above it would have moved the price


def statistics(
    blotter: Blotter, start_cash: float, *, days_a_year: float = DAYS_A_YEAR, risk_free: float = 0.0, sharpe: str = 'daily',
) -> dict[str, Any]:
    """Return the figures of a run, all of them recomputable from the files of the run.

    Parameters
    ----------
    blotter : Blotter
        After the run.
    start_cash : float
        Yuan before the first day.
    days_a_year : float
        Trading days of the annual figures.
    risk_free : float
        Return a year of money without risk, for the Sharpe ratio.
    sharpe : str
        ``'daily'``: mean of the daily returns less ``risk_free / days_a_year``, over their standard deviation, times
        sqrt(days_a_year). ``'annual'``, JoinQuant's: (annual return - risk_free) / (standard deviation x sqrt(days_a_year)).

    Returns
    -------
    dict
        ``total_return``; ``annual_return`` = (1 + total_return) ** (days_a_year / days) - 1; ``sharpe``; standard
        deviations are those of a sample (n - 1); ``max_drawdown`` (a fraction, 0 or more); ``turnover`` = half of the
        traded value over the mean total value, a year; ``fees`` (yuan) and its three parts; ``trades`` (fills),
        ``rejections``, ``days``, ``start_value``, ``end_value``; ``cash_flows`` (yuan that came in by ``add_cash``);
        ``delisted`` (holdings that became cash because their stock was delisted) and ``delisted_cash`` (that cash, yuan);
        ``median_volume_share`` of the orders that got something; ``days_a_year``, ``risk_free``.

        Money that came in or went out is no return: the return of its day is (value - flow) / value before - 1, and the
        total return is that of all days one after the other.
    """
    values = np.array([start_cash] + [row.total_value for row in blotter.equity])
    days = len(values) - 1
    flows = np.zeros(days)
    for flow in blotter.cash_flows if days else ():  # one before the first row is in its value
        flows[bisect_left(blotter.equity, flow.date, hi=days - 1, key=lambda row: row.date)] += flow.amount
    returns = (values[1:] - flows) / values[:-1] - 1 if days else np.zeros(0)
    # without flows the last value over the first, to the last digit
    levels = np.concatenate([[1.0], np.cumprod(1 + returns)]) if flows.any() else values / values[0]
    growth = levels[-1]
    deviation = returns.std(ddof=1) if days > 1 else 0.0
    annual = (float(growth ** (days_a_year / days) - 1) if growth > 0 else -1.0) if days else 0.0
    if sharpe == 'annual' or not days:
        excess = annual - risk_free
    else:
        excess = float(returns.mean()) * days_a_year - risk_free
    traded = math.fsum(fill.quantity * fill.price for fill in blotter.fills)
    commission = math.fsum(fill.commission for fill in blotter.fills)
    tax = math.fsum(fill.tax for fill in blotter.fills)
    transfer = math.fsum(fill.transfer_fee for fill in blotter.fills)
    mean_value = values[1:].mean() if days else start_cash
    delisted = [action.cash for action in blotter.corporate_actions if action.action == DELISTED]
    shares = [order.volume_share for order in blotter.orders if order.quantity]
    return {
        'start_value': float(start_cash),
        'end_value': float(values[-1]),
        'total_return': float(growth - 1),
        'annual_return': annual,
        'sharpe': float(excess / (deviation * math.sqrt(days_a_year))) if deviation > 0 else 0.0,
        'max_drawdown': float((1 - levels / np.maximum.accumulate(levels)).max()),
        'turnover': float(traded / 2 / mean_value / (days / days_a_year)) if days else 0.0,
        'fees': math.fsum((commission, tax, transfer)),
        'commission': commission,
        'tax': tax,
        'transfer_fee': transfer,
        'trades': len(blotter.fills),
        'rejections': len(blotter.rejections),
        'days': days,
        'first_day': str(blotter.equity[0].date) if days else None,
        'last_day': str(blotter.equity[-1].date) if days else None,
        'cash_flows': math.fsum(flow.amount for flow in blotter.cash_flows),
        'delisted': len(delisted),
        'delisted_cash': math.fsum(delisted),
        'median_volume_share': float(np.median(shares)) if shares else 0.0,
        'days_a_year': days_a_year,
        'risk_free': risk_free,
    }


def summary_table(figures: dict[str, Any], benchmark: float | None = None, benchmark_name: str = 'market') -> str:
    """Return the short summary that a run prints.

    Parameters
    ----------
    figures : dict
        From `statistics`.
    benchmark : float, optional
        Total return of the benchmark over the same days.
    benchmark_name : str
    """
    rows = [
        ('period', f"{figures['first_day']} .. {figures['last_day']} ({figures['days']} trading days)"),
        ('value', f"{figures['start_value']:,.2f} -> {figures['end_value']:,.2f} yuan"),
        ('return', f"{figures['total_return']:.2%}" + ('' if benchmark is None else f' ({benchmark_name} {benchmark:.2%})')),
        ('annual return', f"{figures['annual_return']:.2%} ({figures['days_a_year']:g} days a year)"),
        ('Sharpe', f"{figures['sharpe']:.2f} (risk-free {figures['risk_free']:.2%} a year)"),
        ('max drawdown', f"{figures['max_drawdown']:.2%}"),
        ('turnover', f"{figures['turnover']:.1f} times a year"),
        ('total fees', f"{figures['fees']:,.2f} yuan (commission {figures['commission']:,.2f}, "
                       f"tax {figures['tax']:,.2f}, transfer fee {figures['transfer_fee']:,.2f})"),
        ('trades', f"{figures['trades']}"),
        ('rejections', f"{figures['rejections']}"),
    ]
    if figures['cash_flows']:
        rows.append(('cash flows', f"{figures['cash_flows']:,.2f} yuan came in, which is no return"))
    if figures['delisted']:
        rows.append(('delisted', f"{figures['delisted']} holdings became {figures['delisted_cash']:,.2f} yuan "
                                 f"({figures['delisted_cash'] / figures['start_value']:.2%} of the value at the start)"))
    if figures['median_volume_share'] > LARGE_SHARE:
        rows.append(('warning', f"the median order took {figures['median_volume_share']:.1%} of its stock's volume of the day, "
                                'all of it at one price: with so much money the real fills are worse'))
    return '\n'.join(f'{name:<14} {value}' for name, value in rows)
