"""The figures of a run, and the short summary that shows them."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..exchange.account import DELISTED
from .drawdowns import drawdowns
from .figures import annual_return, cagr, eve, figures_of, grown, max_drawdown, median, percentile
from .round_trips import RoundTrip, days_in_stocks, parked_codes, round_trips

if TYPE_CHECKING:
    from .blotter import Blotter

DAYS_A_YEAR = 252  # trading days, the convention of empyrical's annual figures
# JoinQuant's: 250 days and 4 % a year (its help page on the figures of a backtest)
JOINQUANT_DAYS_A_YEAR, JOINQUANT_RISK_FREE = 250, 0.04
FEW_DAYS = 60  # below which annual figures mean nothing
LARGE_SHARE = 0.01  # of a day's volume: a median order above it would have moved the price


def statistics(
    blotter: Blotter, start_cash: float, *, days_a_year: float = DAYS_A_YEAR, risk_free: float = 0.0, sharpe: str = 'daily',
    benchmark: Sequence[float] | None = None, trips: Sequence[RoundTrip] | None = None,
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
        Return a year of money without risk, for the Sharpe ratio and what is like it.
    sharpe : str
        ``'daily'``: mean of the daily returns less ``risk_free / days_a_year``, over their standard deviation, times
        sqrt(days_a_year). ``'annual'``, JoinQuant's: (annual return - risk_free) / (standard deviation x sqrt(days_a_year)).
    benchmark : sequence of float, shape (days + 1,), optional
        Level of the benchmark before the first day and after each.
    trips : sequence of RoundTrip, optional
        Of the run, where they are at hand.

    Returns
    -------
    dict
        ``total_return``; ``annual_return`` = (1 + total_return) ** (days_a_year / days) - 1; ``sharpe``; standard
        deviations are those of a sample (n - 1); ``max_drawdown`` (a fraction, 0 or more); ``turnover`` = half of the
        traded value over the mean total value, a year; ``fees`` (yuan) and its three parts; ``trades`` (fills),
        ``rejections``, ``days``, ``start_value``, ``end_value``; ``cash_flows`` (yuan that came in by ``add_cash``);
        ``delisted`` (holdings that became cash because their stock was delisted) and ``delisted_cash`` (that cash, yuan);
        ``median_volume_share`` of the orders that got something; ``days_a_year``, ``risk_free``.

        Then, each None where it is not defined:

        - ``cagr``: return a year of 365.25 days by the calendar, from the calendar day before ``first_day`` to ``last_day``:
          (1 + total_return) ** (365.25 / days between) - 1. The value at the start is that of the trading day before, which
          is in no file; so it takes the date of the day before the first.
        - the figures of the daily returns, and against the benchmark, of `figures.figures_of`;
        - ``longest_drawdown``: calendar days from a peak until it is reached again, or until the last day; a peak before
          the first day has the date that ``cagr`` counts from. See `drawdowns.drawdowns`;
        - ``closed_trades``: round trips, see `round_trips.round_trips`; ``win_rate``: part of them with a profit;
          ``payoff``: mean profit of these over the mean loss of those with a loss; ``expectancy`` (yuan) and
          ``expectancy_rate``: mean profit, and mean rate of return; ``profit_factor``: sum of the profits over that of the
          losses; ``mean_days_held`` (trading days);
        - ``time_in_market``: part of the days after which a stock was held; ``slippage`` (yuan, inside the prices): what
          the orders cost beyond the open; ``volume_share_95`` and ``volume_share_max``, beside the median.

        Money that came in or went out is no return: the return of its day is (value - flow) / value before - 1, and the
        total return is that of all days one after the other.

    Raises
    ------
    ValueError
        The benchmark has not one level more than there are days.
    """
    values, returns, levels = _days_of(blotter, start_cash)
    days = len(returns)
    growth = levels[-1]
    deviation = returns.std(ddof=1) if days > 1 else 0.0
    annual = annual_return(growth, days, days_a_year) if days else 0.0
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
    figures = {
        'start_value': float(start_cash),
        'end_value': float(values[-1]),
        'total_return': float(growth - 1),
        'annual_return': annual,
        'sharpe': float(excess / (deviation * math.sqrt(days_a_year))) if deviation > 0 else 0.0,
        'max_drawdown': max_drawdown(levels),
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
        'median_volume_share': median(shares) if shares else 0.0,
        'days_a_year': days_a_year,
        'risk_free': risk_free,
    }
    parked = parked_codes(blotter.fills, blotter.details) if getattr(blotter, 'details', None) else ()
    dates = [row.date for row in blotter.equity]
    trips = round_trips(blotter.fills, blotter.corporate_actions, dates) if trips is None else trips
    falls = drawdowns([eve(dates[0]), *dates], levels, None) if days else []
    return {
        **figures,
        'cagr': cagr(growth, dates[0], dates[-1]) if days else None,
        **figures_of(returns, _returns_of(benchmark, days), days_a_year=days_a_year, risk_free=risk_free),
        'longest_drawdown': max((fall.days for fall in falls), default=0),
        **_figures_of_trades([trip for trip in trips if trip.code not in parked]),
        'time_in_market': days_in_stocks(blotter.fills, blotter.corporate_actions, dates, parked) / days if days else None,
        'slippage': math.fsum(order.slippage for order in blotter.orders),
        'volume_share_95': percentile(shares, 95) if shares else None,
        'volume_share_max': float(max(shares)) if shares else None,
    }


def growth_of(blotter: Blotter, start_cash: float) -> np.ndarray:
    """Return the level of the account, 1 before the first day; money that came in or went out is no return.

    Parameters
    ----------
    blotter : Blotter
        After the run.
    start_cash : float
        Yuan before the first day.

    Returns
    -------
    ndarray of float, shape (days + 1,)
    """
    return _days_of(blotter, start_cash)[2]


def returns_of(blotter: Blotter, start_cash: float) -> np.ndarray:
    """Return the return of each day, of which `growth_of` is made; shape (days,)."""
    return _days_of(blotter, start_cash)[1]


def _days_of(blotter: Blotter, start_cash: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the values of the account before the first day and after each, yuan; the returns of the days; the levels."""
    values = np.array([start_cash] + [row.total_value for row in blotter.equity])
    days = len(values) - 1
    flows = np.zeros(days)
    for flow in blotter.cash_flows if days else ():  # one before the first row is in its value
        flows[bisect_left(blotter.equity, flow.date, hi=days - 1, key=lambda row: row.date)] += flow.amount
    # of an account that holds nothing there is no return
    held = np.where(values[:-1] == 0, 1.0, values[:-1])
    returns = np.where(values[:-1] == 0, 0.0, (values[1:] - flows) / held - 1)
    # without flows the last value over the first, to the last digit
    return values, returns, grown(returns) if flows.any() else values / values[0]


def _returns_of(benchmark: Sequence[float] | None, days: int) -> np.ndarray | None:
    """Return the daily returns of a benchmark's levels."""
    if benchmark is None:
        return None
    level = np.asarray(benchmark, dtype=float)
    if len(level) != days + 1:
        raise ValueError(f'found {len(level)} levels of a benchmark, expected one before the {days} days and one after each')
    return level[1:] / level[:-1] - 1


def _figures_of_trades(trips: list[RoundTrip]) -> dict[str, Any]:
    """Return the figures of round trips."""
    won = [trip.profit for trip in trips if trip.profit > 0]
    lost = [-trip.profit for trip in trips if trip.profit < 0]
    return {
        'closed_trades': len(trips),
        'win_rate': len(won) / len(trips) if trips else None,
        'payoff': _mean(won) / _mean(lost) if won and lost else None,
        'expectancy': _mean([trip.profit for trip in trips]) if trips else None,
        'expectancy_rate': _mean([trip.rate_of_return for trip in trips]) if trips else None,
        'profit_factor': math.fsum(won) / math.fsum(lost) if lost else None,
        'mean_days_held': _mean([trip.days_held for trip in trips]) if trips else None,
    }


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def summary_rows(
    figures: dict[str, Any], benchmark: float | None = None, benchmark_name: str = 'market',
) -> list[tuple[str, str]]:
    """Return the short summary of a run, as rows of a name and what is said of it.

    Parameters
    ----------
    figures : dict
        From `statistics`. Without those that are None, or that a summary.json of an earlier version has not, rows are left out.
    benchmark : float, optional
        Total return of the benchmark over the same days.
    benchmark_name : str
    """
    rows = [
        ('period', f"{figures['first_day']} .. {figures['last_day']} ({figures['days']} trading days)"),
        ('value', f"{figures['start_value']:,.2f} -> {figures['end_value']:,.2f} yuan"),
        ('return', f"{figures['total_return']:.2%}" + ('' if benchmark is None else f' ({benchmark_name} {benchmark:.2%})')),
        ('annual return', f"{figures['annual_return']:.2%} ({figures['days_a_year']:g} days a year)"),
    ]
    known = {name for name, value in figures.items() if value is not None}
    if 'cagr' in known:
        rows.append(('CAGR', f"{figures['cagr']:.2%} (by the calendar)"))
    if 'volatility' in known:
        rows.append(('volatility', f"{figures['volatility']:.2%} a year"))
    rows += [
        ('Sharpe', f"{figures['sharpe']:.2f} (risk-free {figures['risk_free']:.2%} a year)"),
        ('max drawdown', f"{figures['max_drawdown']:.2%}"),
    ]
    if {'alpha', 'beta'} <= known:
        rows.append(('alpha, beta', f"{figures['alpha']:.2%} a year, {figures['beta']:.2f} (against {benchmark_name})"))
    rows += [
        ('turnover', f"{figures['turnover']:.1f} times a year"),
        ('total fees', f"{figures['fees']:,.2f} yuan (commission {figures['commission']:,.2f}, "
                       f"tax {figures['tax']:,.2f}, transfer fee {figures['transfer_fee']:,.2f})"),
    ]
    if 'slippage' in known:
        rows.append(('slippage', f"{figures['slippage']:,.2f} yuan (inside the prices)"))
    rows.append(('trades', f"{figures['trades']}"))
    if 'win_rate' in known:
        rows.append(('win rate', f"{figures['win_rate']:.2%} of {figures['closed_trades']} closed trades"))
    rows.append(('rejections', f"{figures['rejections']}"))
    if figures['cash_flows']:
        rows.append(('cash flows', f"{figures['cash_flows']:,.2f} yuan came in, which is no return"))
    if figures['delisted']:
        rows.append(('delisted', f"{figures['delisted']} holdings became {figures['delisted_cash']:,.2f} yuan "
                                 f"({figures['delisted_cash'] / figures['start_value']:.2%} of the value at the start)"))
    if figures['days'] < FEW_DAYS:
        rows.append(('warning', f"only {figures['days']} trading days: annual figures and ratios mean nothing"))
    if figures['median_volume_share'] > LARGE_SHARE:
        rows.append(('warning', f"the median order took {figures['median_volume_share']:.1%} of its stock's volume of the day, "
                                'all of it at one price: with so much money the real fills are worse'))
    return rows


def summary_table(figures: dict[str, Any], benchmark: float | None = None, benchmark_name: str = 'market') -> str:
    """Return the short summary that a run prints: `summary_rows`, one a line."""
    return '\n'.join(f'{name:<14} {value}' for name, value in summary_rows(figures, benchmark, benchmark_name))
