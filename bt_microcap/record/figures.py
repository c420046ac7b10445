"""The figures of a series of daily returns: pure functions of arrays, for a whole run or a rolling part of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

DAYS_A_CALENDAR_YEAR = 365.25
TAIL = 0.05  # the part of the days that the value at risk leaves out
ROUNDING = 1e-12  # returns of a day that spread by less are all the same: prices have no such steps


def percentile(values: Sequence[float] | np.ndarray, percent: float) -> float:
    """Return the value below which a part of some values lies, between two of them in proportion, as ``numpy.percentile``.

    NumPy's own imports its masked arrays for it.
    """
    ordered = np.sort(values)
    if ordered[-1] != ordered[-1]:  # NaN is sorted to the end
        return math.nan
    at = (len(ordered) - 1) * (percent / 100)
    low = math.floor(at)
    first, last, part = ordered[low], ordered[min(low + 1, len(ordered) - 1)], at - low
    # as NumPy, from the nearer end
    return float(first + (last - first) * part if part < 0.5 else last - (last - first) * (1 - part))


def median(values: Sequence[float] | np.ndarray) -> float:
    """Return the median, as ``numpy.median``; see `percentile`."""
    ordered = np.sort(values)
    if ordered[-1] != ordered[-1]:  # NaN is sorted to the end
        return math.nan
    middle = len(ordered) // 2
    return float(0.0 + (ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2))


def figures_of(
    returns: np.ndarray, benchmark_returns: np.ndarray | None = None, *, days_a_year: float, risk_free: float = 0.0,
) -> dict[str, float | None]:
    """Return the figures of daily returns, and those against a benchmark.

    Parameters
    ----------
    returns : ndarray of float, shape (days,)
        Of each day, 0.01 for 1 %.
    benchmark_returns : ndarray of float, shape (days,), optional
        Of the same days.
    days_a_year : float
        Trading days of the annual figures.
    risk_free : float
        Return a year of money without risk; a day it is ``risk_free / days_a_year``.

    Returns
    -------
    dict
        Each a float, or None where it is not defined (too few days, nothing to divide by) or not finite.

        - ``volatility``: standard deviation (n - 1) x sqrt(days_a_year), as ``empyrical.annual_volatility``.
        - ``sortino``: mean of the returns less the risk-free one x days_a_year, over sqrt(mean of the squares of those below
          it x days_a_year), as ``empyrical.sortino_ratio``.
        - ``calmar``: annual return / largest drawdown, as ``empyrical.calmar_ratio``.
        - ``skew``, ``kurtosis`` (excess, 0 for the normal distribution): without bias, as ``pandas.Series.skew`` and ``kurt``.
        - ``value_at_risk``, ``conditional_value_at_risk``: return of a day below which 5 % of the days are, and the mean of
          those days, as ``empyrical.value_at_risk`` and ``empyrical.conditional_value_at_risk``; negative is a loss.
        - ``best_day``, ``worst_day``; ``positive_days``: part of the days with a return above 0.
        - ``alpha``: (1 + mean of (return - risk-free - beta x (benchmark - risk-free))) ** days_a_year - 1, as
          ``empyrical.alpha``; ``beta``: covariance with the benchmark over its variance, as ``empyrical.beta``.
        - ``tracking_error``: standard deviation (n - 1) of the daily differences to the benchmark x sqrt(days_a_year).
        - ``information_ratio``: mean of these differences over their standard deviation, of a day and not annual, as
          ``ffn.calc_information_ratio`` and ``empyrical.excess_sharpe``; ``information_ratio_annual``: x sqrt(days_a_year).
        - ``excess_return``: total return less that of the benchmark.

    Raises
    ------
    ValueError
        The benchmark has not as many days.
    """
    if benchmark_returns is not None and len(benchmark_returns) != len(returns):
        raise ValueError(f'found {len(benchmark_returns)} returns of a benchmark, expected one for each of {len(returns)} days')
    of_itself = _of_itself(returns, days_a_year, risk_free / days_a_year)
    compared = (NOT_COMPARED if benchmark_returns is None
                else _compared(returns, benchmark_returns, days_a_year, risk_free / days_a_year))
    return {name: _finite(value) for name, value in (*of_itself.items(), *compared.items())}


def _of_itself(returns: np.ndarray, year: float, free: float) -> dict[str, float | None]:
    """Return the figures without a benchmark; ``free`` is the risk-free return of a day."""
    days = len(returns)
    if not days:
        return dict.fromkeys(('volatility', 'sortino', 'calmar', 'skew', 'kurtosis', 'value_at_risk',
                              'conditional_value_at_risk', 'best_day', 'worst_day', 'positive_days'))
    growth = grown(returns)
    depth = max_drawdown(growth)
    downside = math.sqrt(np.square(np.minimum(returns - free, 0)).mean())
    mean = returns.mean()
    squares = np.square(returns - mean)
    variance = squares.mean()
    spread = math.sqrt(variance) > ROUNDING
    last = int((days - 1) * TAIL)  # of the sorted days, the last that counts to the tail
    return {
        'volatility': returns.std(ddof=1) * math.sqrt(year) if days > 1 else None,
        'sortino': (mean - free) * math.sqrt(year) / downside if days > 1 and downside > ROUNDING else None,
        'calmar': annual_return(growth[-1], days, year) / depth if depth > ROUNDING else None,
        'skew': _skew(days, (squares * (returns - mean)).mean() / variance ** 1.5) if spread and days > 2 else None,
        'kurtosis': _kurtosis(days, np.square(squares).mean() / variance ** 2) if spread and days > 3 else None,
        'value_at_risk': percentile(returns, 100 * TAIL),
        'conditional_value_at_risk': np.partition(returns, last)[:last + 1].mean(),
        'best_day': returns.max(),
        'worst_day': returns.min(),
        'positive_days': np.count_nonzero(returns > 0) / days,
    }


def _skew(days: int, biased: float) -> float:
    """Return the skewness of a population from that of a sample (Joanes, Gill: Comparing measures of sample skewness, 1998)."""
    return biased * math.sqrt(days * (days - 1)) / (days - 2)


def _kurtosis(days: int, biased: float) -> float:
    """Return the excess kurtosis of a population from the fourth moment of a sample in units of its variance; see `_skew`."""
    return (days - 1) / ((days - 2) * (days - 3)) * ((days + 1) * (biased - 3) + 6)


NOT_COMPARED: dict[str, float | None] = dict.fromkeys((
    'alpha', 'beta', 'tracking_error', 'information_ratio', 'information_ratio_annual', 'excess_return'))


def _compared(returns: np.ndarray, benchmark: np.ndarray, year: float, free: float) -> dict[str, float | None]:
    """Return the figures against a benchmark; ``free`` is the risk-free return of a day."""
    if not len(returns):
        return NOT_COMPARED
    found = {**NOT_COMPARED, 'excess_return': grown(returns)[-1] - grown(benchmark)[-1]}
    if len(returns) == 1:
        return found
    centred = benchmark - benchmark.mean()
    variance = np.square(centred).mean()
    if math.sqrt(variance) > ROUNDING:
        beta = (centred * returns).mean() / variance
        alpha = 1 + (returns - free - beta * (benchmark - free)).mean()
        found.update(alpha=_power(alpha, year) - 1 if alpha > 0 else None, beta=beta)
    difference = returns - benchmark
    deviation = difference.std(ddof=1)
    found['tracking_error'] = deviation * math.sqrt(year)
    if deviation > ROUNDING:
        ratio = difference.mean() / deviation
        found.update(information_ratio=ratio, information_ratio_annual=ratio * math.sqrt(year))
    return found


def grown(returns: np.ndarray) -> np.ndarray:
    """Return what 1 has become before the first day and after each."""
    return np.concatenate([[1.0], np.cumprod(1 + returns)])


def max_drawdown(levels: np.ndarray) -> float:
    """Return the largest fall from a peak, as a fraction of it, 0 or more."""
    return float((1 - levels / np.maximum.accumulate(levels)).max())


def annual_return(growth: float, days: int, days_a_year: float) -> float:
    """Return the return a year by trading days, as ``empyrical.annual_return``: -1 where nothing is left."""
    return float(growth ** (days_a_year / days) - 1) if growth > 0 else -1.0


def cagr(growth: float, first: date, last: date) -> float | None:
    """Return the return a year by the calendar, as ``ffn.calc_cagr``: of 365.25 days each.

    Parameters
    ----------
    growth : float
        What 1 has become.
    first, last : date
        Days of the run: 1 is what it was before the first, and counts as the value of the calendar day before it.

    Returns
    -------
    float or None
        -1 where nothing is left; None where it is beyond all numbers.
    """
    years = (last - eve(first)).days / DAYS_A_CALENDAR_YEAR
    return _finite(_power(growth, 1 / years) - 1) if growth > 0 else -1.0


def eve(first: date) -> date:
    """Return the date of what was before the first day: the trading day before it is in no file of a run."""
    return first - timedelta(days=1)


def _power(base: float, exponent: float) -> float:
    """Return a power; infinity where it is too large for a number."""
    try:
        return float(base) ** exponent
    except OverflowError:
        return math.inf


def _finite(value: float | None) -> float | None:
    """Return a plain float, or None for what JSON has no number for."""
    return float(value) if value is not None and math.isfinite(value) else None
