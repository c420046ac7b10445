"""How much of a result is chance: the same run many times, with random picks among the stocks that passed the screens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import backtrader as bt
import numpy as np

from ..feeds.errors import DataError, whole_number
from ..feeds.universe import CrossSection
from ..profiles import CONVENTIONS
from ..record.blotter import Blotter
from ..record.statistics import growth_of, statistics
from ..rotation import ranks
from ..rotation.strategy import MicroCapStrategy
from . import COUNT
from .again import BLOTTER, CannotRepeat, Recipe, one_line, proved
from .processes import cores as _cores
from .processes import outcomes as _outcomes
from .processes import start_method as _start_method

NAMES = ('total_return', 'annual_return', 'sharpe', 'max_drawdown', 'turnover', 'fees', 'end_value')
LESS_IS_BETTER = ('max_drawdown', 'turnover', 'fees')
TIE = 1e-9  # relative: the same holdings, bought in another order, differ in the last digits


@dataclass(frozen=True)
class Chance:
    """What random picks have brought.

    Attributes
    ----------
    days : list of date
        Of all runs.
    levels : ndarray of float, shape (runs, days + 1)
        The account of each run: 1 before the first day, then after each. Money that came in or went out is no return.
    figures : dict of str to ndarray of float, shape (runs,)
        ``total_return``, ``annual_return``, ``sharpe``, ``max_drawdown``, ``turnover``, ``fees``, ``end_value`` of each run, as
        `statistics.statistics` counts them.
    seed : int
        Of the first run; each further one has one more.
    """

    days: list[date]
    levels: np.ndarray
    figures: dict[str, np.ndarray]
    seed: int = 0

    def __len__(self) -> int:
        return len(self.levels)

    @property
    def median_turnover(self) -> float:
        """The median of the runs' turnover; where it is far from the strategy's own, they paid other costs than it did."""
        return float(np.median(self.figures['turnover']))

    def percentile(self, name: str, value: float) -> float:
        """Return the share of the random runs that are worse than a value, ties half, in percent.

        Parameters
        ----------
        name : str
            One of `figures`. Of ``max_drawdown``, ``turnover`` and ``fees`` less is better, of the others more.
        value : float
            The strategy's own.
        """
        return percentile(name, value, self.figures[name])

    def band(self, quantiles: Sequence[float]) -> np.ndarray:
        """Return quantiles of the runs' levels before the first day and after each, shape (quantiles, days + 1).

        Parameters
        ----------
        quantiles : sequence of float
            Each 0 to 1: ``(0.05, 0.5, 0.95)``.
        """
        return np.quantile(self.levels, quantiles, axis=0)


def percentile(name: str, value: float, found: np.ndarray) -> float:
    """Return the share of some runs that are worse than a value, ties half, in percent; see `Chance.percentile`."""
    ties = np.isclose(found, value, rtol=TIE, atol=TIE)
    worse = (found > value if name in LESS_IS_BETTER else found < value) & ~ties
    return 100.0 * float(worse.sum() + ties.sum() / 2) / len(found)


class Books(Blotter):
    """A blotter without what was held at each close, which is not asked for."""

    follows_holdings = False


class _Day:
    """All that a random number asks of a section."""

    def __init__(self, before: int) -> None:
        self.before = before


def with_random_picks(strategy: type[MicroCapStrategy], seed: int) -> type[MicroCapStrategy]:
    """Return a strategy class whose picks are random among the stocks that pass its screen.

    Everything else is the class's own: when it trades, what passes, how much is bought, the risk. `rank` draws a number a stock;
    `select` is that of `MicroCapStrategy`, which takes the smallest of those that passed, at most ``max_per_industry`` of an
    industry. What a class does in a `select` of its own besides is not done.

    Without ``keep`` all is sold at each rebalance, and each stock and day has a number of its own. With ``keep`` each stock has
    one number for the whole run: what is held is picked again as long as it passes, but for one with a smaller number that passes
    anew. New numbers each day would turn over the whole portfolio at each rebalance, and pay costs that the strategy does not
    have; so they trade less than it does, rather than more.

    Parameters
    ----------
    strategy : type
        Any subclass of `MicroCapStrategy`.
    seed : int
        0 or more.
    """
    order = ranks.random_order(seed)

    class _RandomPicks(strategy):  # type: ignore[valid-type, misc]
        draws = 0  # how often numbers were drawn

        select = MicroCapStrategy.select

        def rank(self, section: CrossSection) -> np.ndarray:
            """Draw a number for each stock that passed, and whose own rank is known: the strategy never takes another.

            The others get none, as the draw costs more than the rest of the day.
            """
            own = super().rank(section)
            known = own == own
            places = np.flatnonzero(known if self._passed is None else known & self._passed)
            numbers = np.full(len(section), np.nan)
            day = _Day(0 if self.p.keep else section.before)
            numbers[places] = order(CrossSection(section.codes[places], day))
            self.draws += 1
            return numbers

    return _RandomPicks


class _Outcome(NamedTuple):
    """What a worker sends back of a run."""

    days: list[int]  # ordinals
    levels: np.ndarray
    figures: tuple[float, ...]
    draws: int
    fills: int


class _Job(NamedTuple):
    """All that a worker needs."""

    recipe: Recipe
    seed: int
    conventions: dict[str, Any]

    def run(self, number: int) -> _Outcome:
        """Make one of the random runs.

        Raises
        ------
        DataError
            It fails; in one line, why.
        """
        seed = self.seed + number
        try:
            strategy = self.recipe.run(((Books, {'_name': BLOTTER}),), strategy=with_random_picks(self.recipe.strategy, seed))
        except Exception as error:
            raise DataError(f'random picks with the seed {seed}: {one_line(error)}') from error
        books, cash = strategy.analyzers.blotter, strategy.broker.startingcash
        figures = statistics(books, cash, **self.conventions)
        return _Outcome([row.date.toordinal() for row in books.equity], growth_of(books, cash),
                        tuple(float(figures[name]) for name in NAMES), strategy.draws, len(books.fills))


def random_picks(
    strategy: bt.Strategy, count: int = COUNT, seed: int = 0, processes: int | None = None,
    progress: Callable[[int], Any] = int, *, conventions: dict[str, Any] | None = None, recipe: Recipe | None = None,
) -> Chance:
    """Run a strategy many times with random picks: the same days, screens, costs and number of names.

    See `with_random_picks` for what is random; with ``keep`` each stock has one number for the whole run. What is known when
    the picks are drawn is what the strategy knows. Whether the random runs turn over as much as the strategy tells
    `Chance.median_turnover`.

    Parameters
    ----------
    strategy : bt.Strategy
        A `MicroCapStrategy`, or of a subclass, after its run.
    count : int
        Random runs, 1 or more.
    seed : int
        0 or more. Run k depends on ``seed + k`` alone, whatever the number of processes.
    processes : int, optional
        By default one a core; 1: this one. Where processes are begun anew (everywhere but on Linux) a program needs
        ``if __name__ == '__main__':``, and a strategy that cannot be pickled is run in this process.
    progress : callable
        Called with 1 after each run.
    conventions : dict, optional
        How the figures are counted: keyword arguments of `statistics.statistics`, beside those of the profile.
    recipe : Recipe, optional
        From `again.proved`, where it is at hand; by default the run is proved to be repeatable first.

    Returns
    -------
    Chance

    Raises
    ------
    CannotRepeat
        The run cannot be made again, or its picks are not those of `MicroCapStrategy`.
    DataError
        A run fails, or a process ends before its time.
    """
    count, seed = whole_number('count', count), whole_number('seed', seed, 0)
    processes = whole_number('processes', _cores() if processes is None else processes)
    if not isinstance(strategy, MicroCapStrategy):
        raise unknown_picks(type(strategy).__name__)
    profile = getattr(strategy.broker, 'profile', 'realistic')
    recipe = recipe or proved(strategy)
    _check_picks(strategy, recipe)
    job = _Job(recipe, seed,
               {**CONVENTIONS.get(profile, CONVENTIONS['realistic']), **(conventions or {})})
    found: dict[int, _Outcome] = {}
    with closing(_outcomes(job, range(count), processes, _start_method(), 'the random runs')) as runs:
        for number, outcome in runs:
            found[number] = outcome
            progress(1)
    outcomes = [found[number] for number in range(count)]
    if not any(outcome.draws for outcome in outcomes) and any(outcome.fills for outcome in outcomes):
        raise CannotRepeat(f'{type(strategy).__name__} buys without asking select() for its picks: there is nothing to draw')
    days = sorted({day for outcome in outcomes for day in outcome.days})
    return Chance(
        [date.fromordinal(day) for day in days],
        np.array([outcome.levels[np.searchsorted(outcome.days, [0, *days], side='right')] for outcome in outcomes]),
        {name: np.array(column) for name, column in
         zip(NAMES, zip(*(outcome.figures for outcome in outcomes), strict=True), strict=True)}, seed)


def unknown_picks(kind: str) -> CannotRepeat:
    """Return why a strategy of a class has no random picks, where it is no `MicroCapStrategy`."""
    return CannotRepeat(f'random picks need a MicroCapStrategy: it is not known how a {kind} picks')


def _check_picks(strategy: MicroCapStrategy, recipe: Recipe) -> None:
    """Refuse a strategy whose own ``select`` takes what its ``screen`` does not let through; costs a run where it has one."""
    kind = type(strategy)
    if kind.select is MicroCapStrategy.select:
        return
    outside: set[str] = set()

    class _Checked(kind):  # type: ignore[valid-type, misc]
        def select(self, section: CrossSection) -> list[str]:
            picks = super().select(section)
            outside.update(set(picks) - set(section.codes[self.screen(section)].tolist()))
            return picks

    recipe.run(strategy=_Checked)
    if outside:
        raise CannotRepeat(f'{kind.__name__}.select() takes stocks that its screen() does not let through, such as '
                           f'{min(outside)}: it is not known among which to draw')
