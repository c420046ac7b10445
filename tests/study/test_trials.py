"""One run of a study is the run that a script would make, also when another one has filled what they share."""

import datetime as dt
import functools

import backtrader as bt
import numpy as np
import pytest

from bt_microcap import MarketStore, MicroCapStrategy
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.shared import SharedVectors
from bt_microcap.feeds.universe import CrossSection
from bt_microcap.record.statistics import statistics
from bt_microcap.rotation import ranks, screens, values
from bt_microcap.rotation.pieces import Screen, Value
from bt_microcap.rotation.presets import PRESETS
from bt_microcap.study.processes import outcomes
from bt_microcap.study.trials import Trial, TrialsJob, run_trial
from tests.support.running import run_market
from tests.support.studying import setting_over


@pytest.fixture(scope='module')
def table():
    return demo_market(80, years=2, seed=5, corporate_actions=True, fund=True)


def same(found, single, cash=1e6):
    """Hold a trial against a run of its own, to the last digit."""
    books = single.analyzers.blotter
    expected = statistics(books, cash)
    for name in ('total_return', 'sharpe', 'max_drawdown', 'fees', 'trades', 'rejections', 'end_value', 'turnover'):
        assert found.figures[name] == expected[name], name
    for name in ('commission', 'tax', 'transfer_fee', 'slippage'):
        assert found.figures[f'{name}_yuan'] == expected[name], name
    assert found.days.tolist() == [row.date.toordinal() for row in books.equity]
    value, levels = cash, []
    for row in books.equity:
        levels.append(row.total_value / value - 1)
        value = row.total_value
    assert found.returns.tolist() == pytest.approx(levels, rel=1e-12, abs=1e-15)


def test_params_rules_cash_and_days_of_a_trial(table):
    setting = setting_over(table, stocknum=2)
    days = sorted(set(table['date'].dt.date))
    found = run_trial(setting, Trial(('x',), {'refresh_rate': 7}, {'slippage': 0.01}, 5e5, days[100], days[300]))
    same(found, run_market(table, stocknum=2, refresh_rate=7, slippage=0.01, cash=5e5, start=days[100], end=days[300]), 5e5)
    assert found.days[0] == days[100].toordinal() and found.days[-1] == days[300].toordinal()
    assert setting.cash == 1e6  # the setting stays as it was


@pytest.mark.parametrize('preset', [name for name in PRESETS if name != 'microcap400'])
def test_what_runs_share_changes_none_of_them(table, preset):
    """The same runs with empty and with filled vectors, in any order, from several days on."""
    params = PRESETS[preset].params
    store = MarketStore.from_table(table)
    days = setting_over(store).days()
    later = dt.date.fromordinal(int(days[61]))
    trials = [Trial(('a',)), Trial(('b',), {'stocknum': 4}), Trial(('c',), start=later), Trial(('d',))]
    setting = setting_over(store, **params)
    alone = []
    for trial in trials:
        store.shared = None
        alone.append(run_trial(setting, trial))
    store.shared = None
    together = [run_trial(setting, trial) for trial in trials]
    assert len(store.shared) > 20
    for one, other in zip(alone, together, strict=True):
        assert one.figures == other.figures
        assert one.returns.tolist() == other.returns.tolist()


def test_a_strategy_that_changes_its_vectors_disturbs_no_other(table):
    class Spoils(MicroCapStrategy):
        def rank(self, section):
            found = super().rank(section)
            found[:] = -found
            return found

    store = MarketStore.from_table(table)
    first = run_trial(setting_over(store), Trial(('a',)))
    spoilt = run_trial(setting_over(store, Spoils), Trial(('a',)))
    again = run_trial(setting_over(store), Trial(('a',)))
    assert first.figures == again.figures != spoilt.figures


def test_what_a_function_of_the_users_says_is_asked_in_every_run(table):
    turned = []

    def mood(section):
        return section.previous('market_cap') * (-1 if turned else 1)

    store = MarketStore.from_table(table)
    setting = setting_over(store, rank=Value(mood))
    first = run_trial(setting, Trial(('a',)))
    turned.append(True)
    assert run_trial(setting, Trial(('a',))).figures['total_return'] != first.figures['total_return']


LIMIT = [0.0]


def below_the_limit(section):
    return section.previous('close') < LIMIT[0]


def cap_of_the_limit(section):
    return section.previous('market_cap') * (1 if LIMIT[0] > 8 else -1)


@functools.wraps(values._previous)
def wrapped(section, name):
    return section.previous(name) * (1 if LIMIT[0] > 8 else -1)


class Noisy(CrossSection):
    def previous(self, name):
        found = super().previous(name)
        return found if LIMIT[0] > 8 or name != 'market_cap' else 1e20 / found


class OwnUniverse:
    def __init__(self, theirs):
        self.theirs = theirs

    def section(self, at_open):
        given = self.theirs.section(at_open)
        return Noisy(given.codes, given._source)

    def __getattr__(self, name):
        return getattr(self.theirs, name)


class OfOwnUniverse(MicroCapStrategy):
    params = (('min_cap', 0.0), ('max_cap', 1e20))

    def make_universe(self):
        return OwnUniverse(super().make_universe())


@pytest.mark.parametrize('params', [
    {'extra_screen': Screen(Screen(below_the_limit) & screens.on_boards(('main',)), name='cheap')},
    {'extra_screen': Screen(~Screen(below_the_limit), name='dear')},
    {'rank': Value(ranks.weighted_ranks((values.market_cap, 0.1), (cap_of_the_limit, 0.9)), name='score')},
    {'rank': Value(wrapped, 'market_cap')},
    {},
], ids=['screen in a screen', 'negated', 'weighted', 'wrapped', 'universe'])
def test_what_a_piece_hides_is_asked_in_every_run(table, params):
    """A function of the user's inside a piece of ours, or sections of his own: what they go by may be another in each run."""
    store = MarketStore.from_table(table)
    setting = setting_over(store, **params) if params else setting_over(store, OfOwnUniverse)
    found = {}
    for limit in (12.0, 6.0):
        LIMIT[0], store.shared = limit, None
        found[limit] = run_trial(setting, Trial(('alone',))).figures
    assert found[12.0] != found[6.0]
    for limit in (12.0, 6.0, 12.0):  # and now one after the other
        LIMIT[0] = limit
        assert run_trial(setting, Trial(('after another',))).figures == found[limit]


def test_shared_vectors_hold_what_they_may_and_hand_out_copies():
    vectors = SharedVectors(100)
    given = np.arange(10.0)
    vectors.put('a', given)
    vectors.put('b', np.arange(3.0))  # 24 of the 20 bytes that are left
    given[0] = 99
    assert vectors.get('b') is None and len(vectors) == 1
    vectors.get('a')[1] = 77
    assert vectors.get('a').tolist() == list(range(10))


def test_more_figures(table):
    found = run_trial(setting_over(table), Trial(('x',)))
    books = run_market(table).analyzers.blotter
    assert found.figures['traded_value'] == pytest.approx(sum(fill.quantity * fill.price for fill in books.fills), rel=1e-12)
    assert found.figures['end_holdings_value'] == books.equity[-1].market_value
    assert found.figures['filled_share'] == sum(one.quantity for one in books.orders) / sum(one.wanted for one in books.orders)


class Skips(bt.Strategy):
    def __init__(self):
        raise bt.errors.StrategySkipError


class Fails(bt.Strategy):
    params = (('number', 1),)

    def next(self):
        if len(self) == self.p.number:
            raise KeyError('what is not there')


def test_a_strategy_that_skips_or_fails(table):
    assert run_trial(setting_over(table, Skips), Trial(('x',))).figures == {}
    with pytest.raises(DataError, match="^3 two: KeyError: 'what is not there'$"):
        run_trial(setting_over(table, Fails), Trial(('3', 'two')))
    # in processes of their own: said once, of the run that failed
    trials = tuple(Trial((str(number),), {'number': number}) for number in (1000, 5, 1000))
    with pytest.raises(DataError, match="^5: KeyError: 'what is not there'$"):
        list(outcomes(TrialsJob(setting_over(table, Fails), trials), range(3), 2))


def test_no_day_to_trade(table):
    with pytest.raises(DataError, match='no trading day with a day before it from 2031-01-01 to the end'):
        run_trial(setting_over(table), Trial(('x',), start=dt.date(2031, 1, 1)))
