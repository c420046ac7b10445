"""Among which stocks random picks are drawn: only where it is known, and never one that the strategy would not take."""

import math

import numpy as np
import pytest

from bt_microcap import MicroCapStrategy
from bt_microcap.study.again import CannotRepeat, proved
from bt_microcap.study.chance import random_picks, with_random_picks
from tests.support.markets import bar, tiny_market
from tests.support.rotating import rotate

DAYS = 13
SMALL, MIDDLE, LARGE, HUGE = '600001.XSHG', '600002.XSHG', '600003.XSHG', '600004.XSHG'
CAPS = {SMALL: 1e9, MIDDLE: 2e9, LARGE: 3e9, HUGE: 9e9}
SEEDS = range(40)  # no stock of two is left out by all of them but once in 2 ** 40 / 2
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])


def table():
    return tiny_market({code: [bar(10.0, cap=cap)] + [10.0] * (DAYS - 1) for code, cap in CAPS.items()})


def run(market=True, **params):
    """Run the rotation at no cost; each rebalance picks one stock of those of at most 5 bn yuan."""
    return rotate(table(), market=market, options={'min_slippage_ticks': 0.0}, refresh_rate=3, max_cap=5e9, **params)


def drawn(strategy):
    """All stocks that random picks of a run have taken."""
    recipe = proved(strategy)
    return {code for seed in SEEDS
            for _, picks in recipe.run(strategy=with_random_picks(type(strategy), seed)).rebalance_picks for code in picks}


class Largest(MicroCapStrategy):
    """Asks no screen: the largest of all."""

    def select(self, section):
        return [section.codes[np.argmax(section.previous('market_cap'))]]


class Later(Largest):
    """As the plain strategy at first."""

    def select(self, section):
        return super().select(section) if len(self.rebalance_picks) == 3 else MicroCapStrategy.select(self, section)


class Filtering(MicroCapStrategy):
    """Leaves out some of those that passed."""

    def select(self, section):
        return [code for code in super().select(section) if code != SMALL]


class Reversed(MicroCapStrategy):
    """The largest of those that passed, by its own mask alone."""

    def select(self, section):
        passed = np.flatnonzero(self.screen(section))
        return [section.codes[passed[-1]]]


class Ranked(MicroCapStrategy):
    """Knows no rank of one stock that passes."""

    def rank(self, section):
        return np.where(section.codes == MIDDLE, math.nan, section.previous('market_cap'))


@WAYS
@pytest.mark.parametrize('kind', [Largest, Later])
def test_a_selection_past_the_screen_is_refused(kind, market):
    strategy = run(market, strategy=kind)
    with pytest.raises(CannotRepeat) as caught:
        random_picks(strategy, 2, processes=1)
    assert str(caught.value) == (f'{kind.__name__}.select() takes stocks that its screen() does not let through, such as {HUGE}: '
                                 'it is not known among which to draw')


@WAYS
@pytest.mark.parametrize(('kind', 'own'), [(Filtering, {MIDDLE}), (Reversed, {LARGE})])
def test_a_selection_among_those_that_passed_is_not(kind, own, market):
    strategy = run(market, strategy=kind, stocknum=2)
    assert {code for _, picks in strategy.rebalance_picks for code in picks} == own
    assert len(random_picks(strategy, 2, processes=1)) == 2
    assert drawn(strategy) == {SMALL, MIDDLE, LARGE}


@WAYS
@pytest.mark.parametrize('keep', [False, True])
def test_a_stock_without_a_rank_is_not_drawn(keep, market):
    strategy = run(market, strategy=Ranked, keep=keep)
    assert {code for _, picks in strategy.rebalance_picks for code in picks} == {SMALL}
    assert drawn(strategy) == {SMALL, LARGE}
