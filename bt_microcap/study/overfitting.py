"""How much of the best of many runs is luck of the choice: by ffn and arch, which compute it as the papers do."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from ..feeds.errors import DataError
from ..record.statistics import FEW_DAYS
from . import extras

BLOCKS = 10  # of the cross-validation
REPETITIONS = 1_000  # of the bootstrap
FEWEST_REPETITIONS, WORK = 200, 5e8  # of very many runs: returns that all repetitions together may look at
MOST_RETURNS = 5e7  # of all runs together, above which memory and minutes would be gone
NOTHING = 1e-9  # weight of a lag below which it is left out
needed = partial(extras.needed, extra='doubt')


def sharpe_ratios(returns: np.ndarray, days_a_year: float, risk_free: float = 0.0) -> np.ndarray:
    """Return the annual Sharpe ratio of each column of daily returns, NaN where all its days are the same.

    Parameters
    ----------
    returns : ndarray of float, shape (days, runs)
        NaN where a run has none.
    days_a_year : float
    risk_free : float
        Return a year.
    """
    excess = returns - risk_free / days_a_year
    with np.errstate(invalid='ignore', divide='ignore'):
        deviation = np.nanstd(excess, axis=0, ddof=1)
        return np.where(deviation > 1e-12, np.nanmean(excess, axis=0) / deviation, np.nan) * math.sqrt(days_a_year)


def deflated_sharpe_ratio(best: np.ndarray, ratios: np.ndarray, days_a_year: float, risk_free: float = 0.0) -> float:
    """Return the probability that the best run's true Sharpe ratio is above 0, given how many were tried.

    Bailey, Lopez de Prado: The Deflated Sharpe Ratio, Journal of Portfolio Management 40(5), 2014; by ``ffn``.

    Parameters
    ----------
    best : ndarray of float, shape (days,)
        Its daily returns.
    ratios : ndarray of float, shape (runs,)
        Annual Sharpe ratios of all runs that were tried, the best among them.
    days_a_year, risk_free : float

    Returns
    -------
    float
        0 to 1; NaN where it is not defined.

    Raises
    ------
    DataError
        ffn is not installed.
    """
    import pandas as pd

    ffn = needed('ffn', 'the deflated Sharpe ratio')
    # a day's rate is the year's over the days, as in all figures here; ffn would take the root of a compound year
    excess = pd.Series(best - risk_free / days_a_year)
    return float(ffn.calc_deflated_sharpe_ratio(excess, ratios, nperiods=days_a_year))


def probability_of_overfitting(returns: np.ndarray, blocks: int = BLOCKS) -> float:
    """Return how often the best run of one half of the time is at or below the median in the other half.

    Combinatorially symmetric cross-validation: Bailey, Borwein, Lopez de Prado, Zhu: The Probability of Backtest Overfitting,
    Journal of Computational Finance 20(4), 2017; by ``ffn``.

    Parameters
    ----------
    returns : ndarray of float, shape (days, runs)
        Of all runs that were tried, less the risk-free one. Runs that move in half of the blocks or fewer are left out.
    blocks : int
        Even, 2 or more.

    Returns
    -------
    float
        0 to 1; NaN where fewer than two runs hold anything in more than half of the blocks.

    Raises
    ------
    DataError
        ffn is not installed.
    """
    import pandas as pd

    ffn = needed('ffn', 'the probability of overfitting')
    # a run that holds nothing for half of the time has no Sharpe ratio there, which would leave all without an answer
    long = len(returns) // blocks
    moving = sum(np.ptp(returns[number * long:(number + 1) * long], axis=0) > 0 for number in range(blocks))
    returns = returns[:, moving > blocks // 2]
    if returns.shape[1] < 2:
        return math.nan
    return float(ffn.calc_prob_backtest_overfitting(pd.DataFrame(returns), n_blocks=blocks))


def reality_check(
    returns: np.ndarray, benchmark: np.ndarray, repetitions: int = REPETITIONS, seed: int = 0,
) -> dict[str, float]:
    """Return the p-values that no run is better than a benchmark, given how many were tried.

    White: A Reality Check for Data Snooping, Econometrica 68(5), 2000: ``reality_check``, the upper p-value of the test of plain
    means. Hansen: A Test for Superior Predictive Ability, Journal of Business & Economic Statistics 23(4), 2005: ``spa``,
    the consistent p-value of the test of means over their deviations. Both by the stationary bootstrap of ``arch``, in blocks of
    sqrt(days); a loss is a return with its sign turned.

    Parameters
    ----------
    returns : ndarray of float, shape (days, runs)
    benchmark : ndarray of float, shape (days,)
        0 for cash.
    repetitions : int
        Of the bootstrap.
    seed : int

    Raises
    ------
    DataError
        arch is not installed.
    """
    bootstrap = needed('arch.bootstrap', "White's reality check")
    better = returns - benchmark[:, None]
    # the maximum of plain means, as arch takes it whatever its `studentize` says, and that of means over their deviations
    deviations = long_run_deviations(better, math.sqrt(len(better)))
    found = {}
    for name, gains, which in (('reality_check', better, 'upper'), ('spa', better / deviations, 'consistent')):
        test = bootstrap.SPA(np.zeros(len(gains)), -gains, reps=repetitions, studentize=False, seed=seed)
        test.compute()
        found[name] = float(test.pvalues[which])
    return found


def long_run_deviations(gains: np.ndarray, block: float) -> np.ndarray:
    """Return the deviation of the mean of each column, times sqrt(days), as the stationary bootstrap has it.

    ``sum over lags i of k(i) x autocovariance(i)``, ``k(i) = (1 - i / T)(1 - p)^i + i / T (1 - p)^(T - i)``, ``p = 1 / block``:
    Politis, Romano: The Stationary Bootstrap, Journal of the American Statistical Association 89, 1994; Hansen 2005, section 3.1.

    Parameters
    ----------
    gains : ndarray of float, shape (days, runs)
    block : float
        Mean length of a block, days.

    Returns
    -------
    ndarray of float, shape (runs,)
        Above 0: a column that never moves has 1, as it has no best.
    """
    days, rest = len(gains), 1 - 1 / block
    centred = gains - gains.mean(axis=0)
    found = np.square(centred).sum(axis=0) / days
    lags = np.arange(1, days)
    weights = (1 - lags / days) * rest ** lags + lags / days * rest ** (days - lags)
    for lag in lags[weights > NOTHING]:
        found = found + 2 * weights[lag - 1] * (centred[:-lag] * centred[lag:]).sum(axis=0) / days
    return np.where(found > 0, np.sqrt(np.maximum(found, 0)), 1.0)


def doubts(
    days: np.ndarray, returns: np.ndarray, best: int, *, days_a_year: float, risk_free: float = 0.0,
    benchmark: np.ndarray | None = None, blocks: int = BLOCKS, seed: int = 0,
) -> dict[str, Any]:
    """Return all of it for the runs of a study, as far as it is defined and its libraries are there.

    Parameters
    ----------
    days : ndarray of int, shape (days,)
    returns : ndarray of float, shape (days, runs)
        A run that has no return on a day counts as cash on it.
    best : int
        Number of the run that was chosen.
    days_a_year, risk_free : float
        How the Sharpe ratio is counted.
    benchmark : ndarray of float, shape (days,), optional
        Its daily returns; by default cash.
    blocks, seed : int

    Returns
    -------
    dict
        ``runs``, ``different_runs`` (that move and have returns of their own: the same run under two names is one trial),
        ``days``, ``best_sharpe``, ``expected_sharpe`` (of the best of as many without any merit), ``deflated_sharpe_ratio``,
        ``probability_of_overfitting``, ``blocks``, ``repetitions`` of the bootstrap, ``reality_check`` and ``spa`` (against the
        benchmark); None where it is not known, and ``why`` says why.
    """
    known = np.where(returns == returns, returns, 0.0)
    # first column of each group of equal runs: a grid over what is of no effect is no search
    _, first = np.unique(known, axis=1, return_index=True)
    first = np.sort(first)
    ratios = sharpe_ratios(known[:, first], days_a_year, risk_free)
    alive = first[ratios == ratios]
    own = sharpe_ratios(known[:, [best]], days_a_year, risk_free)[0]
    said: dict[str, Any] = {
        'runs': returns.shape[1], 'different_runs': len(alive), 'days': len(days), 'best_sharpe': _known(own),
        'expected_sharpe': None, 'deflated_sharpe_ratio': None, 'probability_of_overfitting': None, 'blocks': blocks,
        'repetitions': 0, 'reality_check': None, 'spa': None, 'why': ''}
    if len(alive) < 2:
        return {**said, 'why': 'fewer than two runs differ'}
    if len(days) < max(FEW_DAYS, 2 * blocks):
        return {**said, 'why': f'only {len(days)} trading days'}
    if len(days) * len(alive) > MOST_RETURNS:
        return {**said, 'why': f'{len(alive):,} runs of {len(days):,} days are too many to be compared'}
    ratios = ratios[ratios == ratios]
    try:
        ffn = needed('ffn', 'the deflated Sharpe ratio')
        said['expected_sharpe'] = _known(float(ffn.calc_expected_max_sharpe(len(ratios), ratios.std(ddof=1))))
        said['deflated_sharpe_ratio'] = _known(deflated_sharpe_ratio(known[:, best], ratios, days_a_year, risk_free))
        said['probability_of_overfitting'] = _known(probability_of_overfitting(
            known[:, alive] - risk_free / days_a_year, blocks))
        against = np.zeros(len(days)) if benchmark is None else benchmark
        repetitions = min(REPETITIONS, max(FEWEST_REPETITIONS, int(WORK / len(days) / len(alive))))
        said |= {'repetitions': repetitions, **reality_check(known[:, alive], against, repetitions, seed)}
    except DataError as error:
        said['why'] = str(error)
    return said


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
