"""What luck of the choice is, by the numbers of the papers, and by markets made so that the answer is known."""

import math
import sys

import numpy as np
import pytest
from scipy.stats import kurtosis, skew

from bt_microcap.feeds.errors import DataError
from bt_microcap.study import overfitting
from bt_microcap.study.overfitting import (
    deflated_sharpe_ratio,
    doubts,
    probability_of_overfitting,
    reality_check,
    sharpe_ratios,
)

pytest.importorskip('ffn')
pytest.importorskip('arch')


def two_values(days, low, ratio):
    """Return days of two values, of which `low` are the lower one, with a deviation of 1 (n - 1) and this mean."""
    found = np.ones(days)
    found[np.linspace(0, days - 1, low).astype(int)] = -10.0
    found = (found - found.mean()) / found.std(ddof=1)
    return found + ratio


def test_the_example_of_the_deflated_sharpe_ratio():
    """Bailey, Lopez de Prado (2014), a numerical example: the annual Sharpe ratios of the trials have a variance of 1/2, the best
    one is 2.5 over 1,250 days (250 a year), skewness -3, kurtosis 10; of 100 trials DSR is 0.9004, of 46 it is 0.9505.

    A kurtosis of 10 is 1 + skewness ** 2, the least that there is: only two values have it, the lower one on 105 of the days.
    """
    returns = two_values(1250, 105, 2.5 / math.sqrt(250))
    assert (skew(returns), kurtosis(returns) + 3) == pytest.approx((-3, 10), abs=0.01)
    for trials, expected in ((100, 0.9004), (46, 0.9505)):
        ratios = np.linspace(-1, 1, trials)
        ratios *= math.sqrt(0.5) / ratios.std(ddof=1)  # the variance of the trials' ratios is 1/2
        assert deflated_sharpe_ratio(returns, ratios, 250) == pytest.approx(expected, abs=5e-4)


def test_the_risk_free_return_is_taken_off_each_day():
    returns = two_values(500, 30, 0.1)
    ratios = np.array([0.5, 1.0, 1.5])
    assert deflated_sharpe_ratio(returns + 0.04 / 250, ratios, 250, 0.04) == pytest.approx(
        deflated_sharpe_ratio(returns, ratios, 250), rel=1e-9)


def test_sharpe_ratios():
    returns = np.array([[0.01, 0.0], [0.03, 0.0], [np.nan, 0.0]])
    # mean 0.02, deviation 0.0141421...: ratio 1.41421... a day
    assert sharpe_ratios(returns, 250)[0] == pytest.approx(math.sqrt(2) * math.sqrt(250))
    assert math.isnan(sharpe_ratios(returns, 250)[1])


def test_the_probability_of_overfitting_by_hand():
    """Two blocks, two runs: the best of one half is the worst of the other in both splits; then it is the best in both."""
    good, bad = [0.02, 0.01, 0.02, 0.01], [-0.02, -0.01, -0.02, -0.01]
    turning = np.array([[*good, *bad], [*bad, *good]]).T
    assert probability_of_overfitting(turning, 2) == 1.0
    steady = np.array([[*good, *good], [*bad, *bad]]).T
    assert probability_of_overfitting(steady, 2) == 0.0


def test_noise_overfits_about_every_other_time_and_skill_does_not():
    """Bailey and others (2017): without any skill the probability is about 1/2 or above, with a strong one near 0."""
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.01, (1000, 50))
    found = np.mean([probability_of_overfitting(rng.normal(0, 0.01, (500, 20))) for _ in range(10)])
    assert 0.35 < found < 0.75
    noise[:, 7] += 0.003
    assert probability_of_overfitting(noise) < 0.02


def test_a_run_that_lies_idle_does_not_leave_all_without_an_answer():
    rng = np.random.default_rng(2)
    returns = rng.normal(0, 0.01, (400, 5))
    idle = returns.copy()
    idle[80:, 4] = 0.0  # moves in 2 of 10 blocks
    assert probability_of_overfitting(idle) == probability_of_overfitting(returns[:, :4])
    assert math.isnan(probability_of_overfitting(np.zeros((400, 3))))


def test_the_reality_check_by_a_bootstrap_of_its_own():
    """White (2000): the p-value is the part of bootstrapped maxima of the centred means at or above the best mean. With
    independent days the stationary bootstrap with its blocks and one of single days agree in the limit."""
    rng = np.random.default_rng(3)
    returns = rng.normal(0.0, 0.01, (300, 4))
    returns[:, 2] += 0.0009
    best = returns.mean(axis=0).max()
    centred = returns - returns.mean(axis=0)
    draws = np.array([centred[rng.integers(0, 300, 300)].mean(axis=0).max() for _ in range(4000)])
    own = float((draws >= best).mean())
    assert 0.03 < own < 0.6  # else it would be no test
    found = reality_check(returns, np.zeros(300), 2000)
    assert found['reality_check'] == pytest.approx(own, abs=0.08)


def stationary(days, block, rng):
    """Return one draw of the stationary bootstrap: places in blocks of random length, round the end."""
    places = [int(rng.integers(days))]
    while len(places) < days:
        places.append(int(rng.integers(days)) if rng.random() < 1 / block else (places[-1] + 1) % days)
    return np.array(places)


def test_spa_by_a_bootstrap_of_its_own():
    """Hansen (2005): the maximum of t-values, centred where a run is not much worse than the benchmark."""
    rng = np.random.default_rng(9)
    returns = np.column_stack([rng.normal(0.00004, 0.0005, 300), rng.normal(0.0, 0.03, 300), rng.normal(-0.01, 0.01, 300)])
    means, block = returns.mean(axis=0), math.sqrt(300)
    draws = np.array([returns[stationary(300, block, rng)].mean(axis=0) for _ in range(1500)])
    deviations = draws.std(axis=0)
    worse = means < -deviations * math.sqrt(2 * math.log(math.log(300)))
    assert worse.tolist() == [False, False, True]
    centred = np.where(worse, draws, draws - means) / deviations
    own = float((centred.max(axis=1) >= (means / deviations).max()).mean())
    assert 0.05 < own < 0.5
    found = reality_check(returns, np.zeros(300), 1000)
    assert found['spa'] == pytest.approx(own, abs=0.06)


def test_a_steady_gain_is_seen_beside_a_wild_run():
    """The plain maximum looks at the wild one alone; over their deviations the steady one has a t-value above 10."""
    rng = np.random.default_rng(10)
    returns = np.column_stack([rng.normal(0.0003, 0.0005, 500), rng.normal(0.0, 0.05, 500)])
    found = reality_check(returns, np.zeros(500))
    assert found['spa'] < 0.01 < found['reality_check']


def test_the_reality_check_against_a_benchmark():
    rng = np.random.default_rng(4)
    market = rng.normal(0.001, 0.01, 500)
    better = market[:, None] + rng.normal(0.002, 0.004, (500, 3))
    assert reality_check(better, market)['spa'] < 0.01
    worse = market[:, None] + rng.normal(-0.002, 0.004, (500, 3))
    assert reality_check(worse, market)['reality_check'] > 0.5
    assert reality_check(better, market, seed=1) == reality_check(better, market, seed=1)


def test_equal_runs_are_one_trial():
    rng = np.random.default_rng(5)
    returns = rng.normal(0.0005, 0.01, (300, 4))
    days = np.arange(300)
    once = doubts(days, returns, 1, days_a_year=252)
    twice = doubts(days, np.hstack([returns, returns[:, :3]]), 1, days_a_year=252)
    assert (twice['runs'], twice['different_runs'], once['different_runs']) == (7, 4, 4)
    idle = doubts(days, np.hstack([returns, np.zeros((300, 1))]), 1, days_a_year=252)
    assert (idle['different_runs'], idle['expected_sharpe']) == (4, once['expected_sharpe'])  # what never moves is no try
    for name in ('best_sharpe', 'expected_sharpe', 'deflated_sharpe_ratio', 'probability_of_overfitting', 'spa'):
        assert once[name] == twice[name] is not None, name
    assert doubts(days, np.repeat(returns[:, :1], 3, axis=1), 0, days_a_year=252)['why'] == 'fewer than two runs differ'
    assert doubts(days[:59], returns[:59], 0, days_a_year=252)['why'] == 'only 59 trading days'


def test_more_trials_of_the_same_spread_deflate_more():
    rng = np.random.default_rng(6)
    best = rng.normal(0.001, 0.01, 1000)
    few, many = ([*np.linspace(0, 1.5, count)] for count in (5, 500))
    assert deflated_sharpe_ratio(best, np.array(few), 252) > deflated_sharpe_ratio(best, np.array(many), 252)


def test_without_the_extra_it_is_said_and_nothing_else_is_lost(monkeypatch):
    rng = np.random.default_rng(7)
    returns = rng.normal(0, 0.01, (300, 3))
    monkeypatch.setitem(sys.modules, 'ffn', None)
    with pytest.raises(DataError, match=r'the deflated Sharpe ratio needs ffn: pip install "bt-microcap\[doubt\]"'):
        overfitting.needed('ffn', 'the deflated Sharpe ratio')
    found = doubts(np.arange(300), returns, 0, days_a_year=252)
    assert found['best_sharpe'] is not None and found['deflated_sharpe_ratio'] is None and 'bt-microcap[doubt]' in found['why']


def test_very_many_runs(monkeypatch):
    rng = np.random.default_rng(8)
    returns = rng.normal(0, 0.01, (100, 6))
    days = np.arange(100)
    assert doubts(days, returns, 0, days_a_year=252)['repetitions'] == 1000
    monkeypatch.setattr(overfitting, 'WORK', 100 * 6 * 300)
    assert doubts(days, returns, 0, days_a_year=252)['repetitions'] == 300
    monkeypatch.setattr(overfitting, 'WORK', 1)
    assert doubts(days, returns, 0, days_a_year=252)['repetitions'] == 200
    monkeypatch.setattr(overfitting, 'MOST_RETURNS', 599)
    assert doubts(days, returns, 0, days_a_year=252)['why'] == '6 runs of 100 days are too many to be compared'
