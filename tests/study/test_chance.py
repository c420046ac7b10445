"""The same run with random picks: they are random, the same for the same seed, and all else is the strategy's own."""

import math
import multiprocessing
import os
import signal
import subprocess
import sys

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.profiles import CONVENTIONS
from bt_microcap.record.statistics import statistics
from bt_microcap.rotation.strategy import MicroCapStrategy
from bt_microcap.study import chance
from bt_microcap.study.again import CannotRepeat, proved
from bt_microcap.study.chance import Chance, random_picks, with_random_picks
from tests.support.preset_runs import SMALL, params_of, run_plugin
from tests.support.rotating import rotate
from tests.support.script_calls import ROOT

FREE = {'min_slippage_ticks': 0.0, 'star_protection': 0.0}  # beside what `rotate` makes free
RICH = 1e9  # yuan: a lot is nothing of it
STEPS = (-0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03, 0.04)  # return a day, of each stock
EVERY, PERIODS = 3, 4  # trading days of a period; the last one ends on the last day


def growing(steps=STEPS, days=2 + EVERY * PERIODS):
    """Make a market in which each stock's return is the same every day, from open to open; the first has the smallest cap."""
    dates = pd.bdate_range('2024-01-02', periods=days)
    rows = []
    for number, step in enumerate(steps):
        for day, when in enumerate(dates):
            price = 100 * (1 + step) ** day
            rows.append({'date': when, 'code': f'60{number:04d}.XSHG', 'open': price, 'high': price, 'low': price, 'close': price,
                         'preclose': 100 * (1 + step) ** max(day - 1, 0), 'volume': 1e9, 'market_cap': (number + 1) * 1e9,
                         'is_st': 0, 'paused': 0})
    return pd.DataFrame(rows).sort_values(['date', 'code'], kind='stable').reset_index(drop=True)


def run(**params):
    """Run the rotation over that market without any cost."""
    return rotate(growing(), **{'stocknum': 1, 'refresh_rate': EVERY, 'cash': RICH, 'options': FREE, **params})


def returns_of(found):
    """Return the returns of all days on which something is held from open to open: shape (runs, days)."""
    return found.levels[:, 2:] / found.levels[:, 1:-1] - 1


def picks_of(found, steps=STEPS):
    """Return which stock each run held on each day, told by its return."""
    returns = returns_of(found)
    numbers = np.abs(returns[:, :, None] - np.array(steps)).argmin(axis=2)
    # one stock alone, but for fills on the tick, of prices near 100 yuan
    assert np.abs(returns - np.array(steps)[numbers]).max() < 2e-4
    return numbers


def chi_square(numbers):
    """Return Pearson's statistic of some numbers against all being alike."""
    seen, expected = np.bincount(numbers, minlength=len(STEPS)), len(numbers) / len(STEPS)
    return float(((seen - expected) ** 2).sum() / expected)


CRITICAL = 24.32  # of chi square with 7 degrees of freedom: exceeded in 0.1 % of all samples (tables of the distribution)


# -------------------------------------------------------------------------------------------------- the draw


@pytest.fixture(scope='module')
def drawn():
    return random_picks(run(), 200, processes=1)


def test_all_candidates_alike_at_each_rebalance(drawn):
    picks = picks_of(drawn)
    assert picks.shape == (200, EVERY * PERIODS)
    periods = picks.reshape(200, PERIODS, EVERY)
    assert (periods == periods[:, :, :1]).all()  # changed at a rebalance alone
    first = periods[:, :, 0]
    assert chi_square(first.ravel()) < CRITICAL
    for period in range(PERIODS):
        assert chi_square(first[:, period]) < CRITICAL
    # each rebalance is a new draw: the same stock again in one of eight
    again = (first[:, 1:] == first[:, :-1]).mean()
    assert abs(again - 1 / 8) < 4 * math.sqrt(1 / 8 * 7 / 8 / (200 * 3))


def test_the_mean_is_what_the_draw_promises(drawn):
    # a period's growth is that of one of the eight, all alike; the periods are independent
    periods = [(1 + step) ** EVERY for step in STEPS]
    mean = np.mean(periods) ** PERIODS
    deviation = math.sqrt(np.mean(np.square(periods)) ** PERIODS - mean ** 2)
    found = drawn.figures['total_return']
    assert abs(found.mean() - (mean - 1)) < 4 * deviation / math.sqrt(200)
    assert found.std() == pytest.approx(deviation, rel=0.2)


def test_the_best_is_above_all_the_worst_below(drawn):
    best = run(rank='-market_cap')
    found = statistics(best.analyzers.blotter, RICH, **CONVENTIONS['realistic'])
    assert found['total_return'] == pytest.approx(1.04 ** 12 - 1, abs=1e-3)
    for name in ('total_return', 'annual_return', 'sharpe', 'end_value', 'max_drawdown'):
        assert drawn.percentile(name, found[name]) > 95
    assert drawn.percentile('total_return', found['total_return']) == 100
    worst = statistics(run().analyzers.blotter, RICH, **CONVENTIONS['realistic'])
    assert worst['total_return'] == pytest.approx(0.97 ** 12 - 1, abs=1e-3)
    assert drawn.percentile('total_return', worst['total_return']) == 0
    assert drawn.percentile('max_drawdown', worst['max_drawdown']) == 0


@pytest.mark.parametrize('market', [True, False])
def test_where_all_are_picked_there_is_no_chance(market):
    strategy = run(market=market, stocknum=len(STEPS))
    found = random_picks(strategy, 12, processes=1)
    own = statistics(strategy.analyzers.blotter, RICH, **CONVENTIONS['realistic'])
    for name, values in found.figures.items():
        assert values == pytest.approx(own[name], rel=1e-9)
        assert found.percentile(name, own[name]) == 50
    assert found.levels == pytest.approx(np.tile([1.0, *(row.total_value / RICH for row in strategy.analyzers.blotter.equity)],
                                                 (12, 1)))


def test_kept_picks_stay():
    strategy = run(keep=True)
    found = random_picks(strategy, 200, processes=1)
    picks = picks_of(found)
    assert (picks == picks[:, :1]).all()
    assert chi_square(picks[:, 0]) < CRITICAL
    # one buy, no sale: half of the account traded once, over the mean account, in thirteen days
    own = statistics(strategy.analyzers.blotter, RICH, **CONVENTIONS['realistic'])
    assert found.figures['turnover'].max() == pytest.approx(own['turnover'])  # of the smallest account, which fell by 3 % a day
    assert found.median_turnover == pytest.approx(0.5 * 252 / 13, rel=0.1)
    assert random_picks(run(), 20, processes=1).median_turnover > 5 * found.median_turnover


def test_one_feed_a_stock_draws_the_same(drawn):
    found = random_picks(run(market=False), 10, processes=1)
    assert (found.levels == drawn.levels[:10]).all()
    assert found.days == drawn.days


def test_only_what_passes_the_screens_is_drawn():
    found = random_picks(run(min_cap=2e9, max_cap=5e9), 60, processes=1)
    assert set(picks_of(found).ravel()) == {1, 2, 3, 4}


class Choosy(MicroCapStrategy):
    """A screen, a rank and a selection of its own."""

    def screen(self, section):
        return super().screen(section) & (section.previous('market_cap') != 3e9)

    def rank(self, section):
        return -section.previous('market_cap')

    def select(self, section):
        return [code for code in super().select(section) if code == '600007.XSHG']


def test_a_class_with_a_rank_and_selection_of_its_own(drawn):
    strategy = run(strategy=Choosy)
    assert {fill.code for fill in strategy.analyzers.blotter.fills} == {'600007.XSHG'}
    picks = picks_of(random_picks(strategy, 100, processes=1))
    assert set(picks.ravel()) == {0, 1, 3, 4, 5, 6, 7}
    before = picks_of(drawn)[:100]
    assert (picks == before)[before != 2].mean() == 1.0  # the numbers do not depend on which others pass


def test_what_is_known_is_what_the_strategy_knows():
    strategy, seen = run(), []

    class Noting(MicroCapStrategy):
        def screen(self, section):
            with pytest.raises(ValueError, match='not known at the open'):
                section.today('close')
            seen.append(type(self).__mro__[1])
            return super().screen(section)

    recipe = proved(strategy)
    again = recipe.run(strategy=with_random_picks(Noting, 3))
    assert set(seen) == {Noting}
    assert again.draws == len(seen) == PERIODS + 1


# -------------------------------------------------------------------------------------------------- the figures


def test_percentiles_ties_half():
    found = Chance([], np.ones((4, 1)), {'total_return': np.array([0.1, 0.2, 0.2 + 1e-13, 0.4]),
                                         'max_drawdown': np.array([0.1, 0.2, 0.3, 0.4])})
    assert [found.percentile('total_return', value) for value in (0.0, 0.1, 0.2, 0.3, 0.5)] == [0, 12.5, 50, 75, 100]
    assert [found.percentile('max_drawdown', value) for value in (0.05, 0.1, 0.35, 0.5)] == [100, 87.5, 25, 0]
    assert len(found) == 4


def test_bands():
    found = Chance([], np.array([[1, 1.1], [1, 1.2], [1, 1.3], [1, 1.4], [1, 1.5]]), {})
    assert found.band((0.0, 0.25, 0.5, 1.0)) == pytest.approx(np.array([[1, 1.1], [1, 1.2], [1, 1.3], [1, 1.5]]))


@pytest.fixture(scope='module')
def table():
    return check_table(demo_market(60, '2021-03-01', days=90, seed=3, corporate_actions=True, fund=True))


@pytest.mark.parametrize('profile', ['joinquant', 'realistic'])
def test_each_run_is_that_of_its_seed_counted_as_the_profile_says(table, profile):
    strategy = run_plugin(table, SMALL['original'], profile=profile)
    found = random_picks(strategy, 3, seed=7, processes=1)
    for number in range(3):
        single = run_plugin(table, SMALL['original'], profile=profile, strategy=with_random_picks(MicroCapStrategy, 7 + number))
        books = single.analyzers.blotter
        assert len(books.fills) > 20
        assert found.levels[number].tolist() == [1.0, *(row.total_value / 1e6 for row in books.equity)]
        figures = statistics(books, 1e6, **CONVENTIONS[profile])
        assert {name: values[number] for name, values in found.figures.items()} == {name: figures[name] for name in found.figures}
    assert found.days == [row.date for row in strategy.analyzers.blotter.equity]
    other = random_picks(strategy, 1, seed=7, processes=1, conventions={'days_a_year': 100, 'sharpe': 'daily', 'risk_free': 0.0})
    assert other.figures['annual_return'][0] == pytest.approx(
        (1 + found.figures['total_return'][0]) ** (100 / len(found.days)) - 1)


class Fed(MicroCapStrategy):
    """Money comes in."""

    def next(self):
        super().next()
        if len(self) == 6:
            self.broker.add_cash(RICH)


def test_money_that_comes_in_is_no_return(drawn):
    found = random_picks(run(strategy=Fed), 5, processes=1)
    # until the next rebalance half of the account is cash; from then on every day is that of the run without
    assert found.levels[:, :7] == pytest.approx(drawn.levels[:5, :7], rel=1e-6)
    assert returns_of(found)[:, 6:] == pytest.approx(returns_of(drawn)[:5, 6:], abs=1e-5)
    assert found.figures['total_return'] == pytest.approx(found.levels[:, -1] - 1, rel=1e-12)


@pytest.mark.parametrize('preset', ['small_board', 'ten_weekly', 'microcap400', 'parked'])
def test_presets(table, preset):
    strategy = run_plugin(table, params_of(preset, **SMALL[preset]), cash=2e6)
    found = random_picks(strategy, 4, processes=1)
    assert (found.figures['fees'] > 0).all()
    assert len(set(found.figures['end_value'])) > 1


# -------------------------------------------------------------------------------------------------- seeds and processes


@pytest.fixture(scope='module')
def strategy(table):
    return run_plugin(table, SMALL['original'])


def same(one, other):
    assert one.days == other.days
    assert (one.levels == other.levels).all()
    assert all((one.figures[name] == other.figures[name]).all() for name in one.figures)


def test_the_same_whatever_the_number_of_processes(strategy):
    told = []
    alone = random_picks(strategy, 7, processes=1, progress=told.append)
    assert told == [1] * 7
    for processes in (2, 3, 50):
        told.clear()
        same(alone, random_picks(strategy, 7, processes=processes, progress=told.append))
        assert told == [1] * 7
    assert len({tuple(level) for level in alone.levels.tolist()}) == 7


def test_a_run_depends_on_its_own_seed_alone(strategy):
    all_six, last = random_picks(strategy, 6, seed=10, processes=1), random_picks(strategy, 1, seed=15, processes=1)
    assert (all_six.levels[5] == last.levels[0]).all()
    assert (all_six.seed, last.seed) == (10, 15)
    assert not (all_six.levels[0] == last.levels[0]).all()


def test_processes_that_begin_anew(monkeypatch, strategy):
    monkeypatch.setattr(chance, '_start_method', lambda: 'spawn')
    same(random_picks(strategy, 3, processes=1), random_picks(strategy, 3, processes=2))


@pytest.mark.parametrize(('method', 'elsewhere'), [('spawn', False), ('fork', True)])
def test_what_cannot_be_pickled(monkeypatch, table, method, elsewhere):
    if method == 'fork' and sys.platform != 'linux':
        pytest.skip('processes are begun anew here')
    monkeypatch.setattr(chance, '_start_method', lambda: method)

    class Local(MicroCapStrategy):
        def stop(self):
            pids.append(os.getpid())

    pids = []
    own = run_plugin(table, SMALL['original'], strategy=Local)
    found = random_picks(own, 3, processes=2)
    assert set(pids) == {os.getpid()}
    assert len(pids) == (2 if elsewhere else 5)  # the run, its proof, and the three where they are made here
    assert len(found) == 3


@pytest.mark.skipif(sys.platform != 'linux', reason='the classes travel by a copy of the process')
@pytest.mark.parametrize('processes', [1, 2])
def test_an_error_of_a_run_is_one_line(table, processes):
    class Breaking(MicroCapStrategy):
        def stop(self):
            if hasattr(self, 'draws'):
                raise RuntimeError('all is\nlost')

    own = run_plugin(table, SMALL['original'], strategy=Breaking)
    with pytest.raises(DataError) as caught:
        random_picks(own, 1 if processes == 1 else 2, seed=4, processes=processes)
    assert str(caught.value) in {f'random picks with the seed {seed}: RuntimeError: all is lost' for seed in (4, 5)}


def test_no_process_is_left_behind(strategy):
    def stopped(_):
        raise RuntimeError('seen enough')

    try:
        random_picks(strategy, 5, processes=2, progress=stopped)
    except RuntimeError as error:
        assert (str(error), multiprocessing.active_children()) == ('seen enough', [])
    else:
        pytest.fail('it was not stopped')


@pytest.mark.skipif(sys.platform != 'linux', reason='the classes travel by a copy of the process')
def test_a_process_that_dies_is_an_error(table):
    class Dying(MicroCapStrategy):
        def stop(self):
            if hasattr(self, 'draws'):
                os._exit(7)

    own = run_plugin(table, SMALL['original'], strategy=Dying)
    with pytest.raises(DataError, match='a process of the random runs ended before its time, with the exit code 7;') as caught:
        random_picks(own, 5, processes=2)
    assert '\n' not in str(caught.value)


PROGRAM = '''
import multiprocessing, sys, time
import backtrader as bt
from bt_microcap import MarketFeed, MicroCapStrategy, setup
from bt_microcap.feeds.demo import demo_market
from bt_microcap.study.chance import random_picks

def say(text):  # past the silence of the random runs
    sys.__stdout__.write(text + '\\n')
    sys.__stdout__.flush()

class Slow(MicroCapStrategy):
    def stop(self):
        if getattr(self, 'draws', 0):
            say('at work')
            time.sleep({sleep})

if __name__ == '__main__':
    multiprocessing.set_start_method({method!r})
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=demo_market(30, days=30)), name='market')
    cerebro.addstrategy(Slow, min_cap=0, max_cap=1e13)
    setup(cerebro)
    try:
        say(f'{{len(random_picks(cerebro.run()[0], 3, processes=2))}} runs')
    except KeyboardInterrupt:
        say('interrupted')
'''


@pytest.mark.skipif(sys.platform == 'win32', reason='no groups of processes')
@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_ctrl_c_ends_all_processes(tmp_path, method):
    program = tmp_path / 'program.py'
    program.write_text(PROGRAM.format(method=method, sleep=1000), encoding='utf-8')
    process = subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True, cwd=ROOT)
    assert process.stdout.readline() == 'at work\n'
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)  # ends when the last process that could write has ended
    assert (out.splitlines()[-1], err, process.returncode) == ('interrupted', '', 0)


def test_a_program_through_a_pipe_has_no_file_to_begin_anew():
    done = subprocess.run([sys.executable, '-'], input=PROGRAM.format(method='spawn', sleep=0), capture_output=True, text=True,
                          cwd=ROOT, check=False)
    assert (done.stdout.splitlines(), done.stderr) == (['at work'] * 3 + ['3 runs'], '')


# -------------------------------------------------------------------------------------------------- refusals


class Plain(bt.Strategy):
    """Picks nothing."""


class Fixed(MicroCapStrategy):
    """Asks nobody what to buy."""

    def rebalance(self):
        self.sell_all()
        self.buy_picks(['600000.XSHG'], [])


def test_a_plain_strategy_has_no_picks(table):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=table), name='market')
    cerebro.addstrategy(Plain)
    with pytest.raises(CannotRepeat, match='random picks need a MicroCapStrategy: it is not known how a Plain picks'):
        random_picks(cerebro.run()[0], 2)


def test_picks_that_are_not_asked_for():
    with pytest.raises(CannotRepeat, match=r'Fixed buys without asking select\(\) for its picks'):
        random_picks(run(strategy=Fixed), 2, processes=1)


@pytest.mark.parametrize(('given', 'said'), [
    ({'count': 0}, 'count is 0: expected a whole number of 1 or more'),
    ({'count': 2.5}, 'count is 2.5'),
    ({'seed': -1}, 'seed is -1: expected a whole number of 0 or more'),
    ({'processes': 0}, 'processes is 0: expected a whole number of 1 or more'),
])
def test_numbers_that_mean_nothing(strategy, given, said):
    with pytest.raises(ValueError, match=said):
        random_picks(strategy, **given)
