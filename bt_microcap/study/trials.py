"""One run of a study: what all have in common, what a trial changes, and what comes of it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

import backtrader as bt
import numpy as np

from ..feeds.errors import DataError
from ..feeds.market import MarketFeed
from ..feeds.shared import SharedVectors
from ..feeds.store import MarketStore
from ..profiles import setup
from ..record.analyzers import Figures
from ..record.statistics import DAYS_A_YEAR, returns_of
from ..rotation.tally import NothingTradedWarning
from .again import one_line

SHARED = 256e6  # bytes of cross-sections that a process keeps for its next run
MARKET = 'market'  # the name of the feed


@dataclass(frozen=True)
class Setting:
    """What all runs of a study have in common; it can travel to another process.

    Parameters
    ----------
    store : MarketStore
    strategy : type
        One that can be imported by name, or is pickled otherwise, where there are several processes.
    params : dict
        Of the strategy.
    profile : str
        See `profiles.setup`.
    rules : dict
        Keys of the profile that are others.
    cash : float
        Yuan.
    start, end : date, optional
        First and last day on which it may trade; by default the data's second and last one.
    conventions : dict
        How the figures are counted: keyword arguments of `statistics.statistics`.
    benchmark : str
        What the figures are compared with, see `MarketFeed`; empty for the market.
    """

    store: MarketStore
    strategy: type[bt.Strategy]
    params: dict[str, Any] = field(default_factory=dict)
    profile: str = 'realistic'
    rules: dict[str, Any] = field(default_factory=dict)
    cash: float = 1e6
    start: date | None = None
    end: date | None = None
    conventions: dict[str, Any] = field(default_factory=dict)
    benchmark: str = ''

    @property
    def days_a_year(self) -> float:
        """Trading days of the annual figures."""
        return self.conventions.get('days_a_year', DAYS_A_YEAR)

    def days(self, start: date | None = None, end: date | None = None) -> np.ndarray:
        """Return the days, as ordinals, on which a run from `start` to `end` may trade; by default one of the setting's."""
        first, last = start or self.start, end or self.end
        days = self.store.days[1:]  # the first one of all has none before it
        low = 0 if first is None else int(np.searchsorted(days, first.toordinal()))
        high = len(days) if last is None else int(np.searchsorted(days, last.toordinal(), side='right'))
        return days[low:high]


class Trial(NamedTuple):
    """What one run of a study changes.

    Parameters
    ----------
    key : tuple of str
        How it is written in the results, by which it is known again.
    params, rules : dict
        Params of the strategy and keys of the profile that are others.
    cash : float, optional
        Yuan.
    start, end : date, optional
        First and last day on which it may trade.
    names : tuple of str
        What the parts of the key say.
    """

    key: tuple[str, ...]
    params: Mapping[str, Any] = {}
    rules: Mapping[str, Any] = {}
    cash: float | None = None
    start: date | None = None
    end: date | None = None
    names: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What messages call it: ``stocknum=3 refresh_rate=5``."""
        return ' '.join(map('='.join, zip(self.names, self.key, strict=True)) if self.names else self.key)


class Outcome(NamedTuple):
    """What comes of a run.

    Parameters
    ----------
    figures : dict
        Of `statistics.statistics`, and ``filled_share``, ``end_holdings_value``; see `Books`. Empty where the strategy skips
        the run (``StrategySkipError``).
    days : ndarray of int
        Ordinals.
    returns : ndarray of float
        Of each day, as a fraction; money that came in or went out is no return.
    warned : tuple of str
        What the run warned of, each text once.
    seconds : float
        That ``cerebro.run()`` took, by the clock.
    """

    figures: dict[str, Any]
    days: np.ndarray
    returns: np.ndarray
    warned: tuple[str, ...] = ()
    seconds: float = 0.0


class Books(Figures):
    """The figures of a run and the return of each day.

    Beside those of `Figures`: what was paid as ``commission_yuan``, ``tax_yuan``, ``transfer_fee_yuan`` and ``slippage_yuan``;
    ``filled_share``, part of the shares ordered that were filled, None without an order;
    ``traded_value``, yuan of all fills; ``end_holdings_value``, yuan in stocks after the last day, and ``end_sale_cost``,
    what selling them at their last close would cost.
    """

    def summarize(self, figures: dict[str, Any], cash: float) -> dict[str, Any]:
        """Return the figures and what a study asks for beside."""
        self.days = np.array([row.date.toordinal() for row in self.equity], dtype='int32')
        self.returns = returns_of(self, cash)
        broker = self.strategy.broker
        wanted = sum(order.wanted for order in self.orders)
        # yuan that were paid: results.csv may have the rates of the same names beside them
        paid = {f'{name}_yuan': figures[name] for name in ('commission', 'tax', 'transfer_fee', 'slippage')}
        return {**figures, **paid, 'filled_share': sum(order.quantity for order in self.orders) / wanted if wanted else None,
                'traded_value': sum(fill.quantity * fill.price for fill in self.fills),
                'end_holdings_value': self.equity[-1].market_value if self.equity else 0.0,
                'end_sale_cost': sum(map(broker.sale_cost, [data for data, held in broker.positions.items() if held.size]))}


def cerebro_of(setting: Setting, trial: Trial) -> bt.Cerebro:
    """Return a Cerebro in which a trial only has to be run: the same that a script would make.

    Raises
    ------
    DataError
        There is no day to trade on.
    """
    store = setting.store
    days = setting.days(trial.start, trial.end)
    if not len(days):
        raise DataError(f'no trading day with a day before it from {trial.start or setting.start or "the start"} to '
                        f'{trial.end or setting.end or "the end"}')
    before = store.days[int(np.searchsorted(store.days, days[0])) - 1]
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=store, fromdate=date.fromordinal(int(before)), todate=date.fromordinal(int(days[-1])),
                               benchmark=setting.benchmark), name=MARKET)
    setup(cerebro, setting.profile, cash=setting.cash if trial.cash is None else trial.cash,
          **{**setting.rules, **trial.rules})
    cerebro.addstrategy(setting.strategy, **{**setting.params, **trial.params})
    cerebro.addanalyzer(Books, _name='books', conventions=setting.conventions)
    return cerebro


def run_trial(setting: Setting, trial: Trial, analyzers: Iterable[tuple[type[bt.Analyzer], dict[str, Any]]] = ()) -> Outcome:
    """Run a trial.

    What screens and ranks work out of a day's cross-section is kept for the next run of this process over the same days.

    Parameters
    ----------
    setting : Setting
    trial : Trial
    analyzers : iterable of (type, dict)
        Further ones with their params, called after the books of each day.

    Raises
    ------
    DataError
        It fails; in one line, which one and why.
    """
    try:
        cerebro = cerebro_of(setting, trial)
        for analyzer, params in analyzers:
            cerebro.addanalyzer(analyzer, **params)
        if setting.store.shared is None:
            setting.store.shared = SharedVectors(SHARED)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            begun = time.perf_counter()
            found = cerebro.run()
            seconds = time.perf_counter() - begun
    except Exception as error:
        said = str(error) if isinstance(error, DataError) else one_line(error)
        raise DataError(f'{trial.label}: {said}') from error
    # that one of many has traded nothing is shown by its figures
    warned = tuple(dict.fromkeys(str(one.message) for one in caught if not issubclass(one.category, NothingTradedWarning)))
    if not found:
        return Outcome({}, np.zeros(0, 'int32'), np.zeros(0), warned, seconds)
    books = found[0].analyzers.books
    return Outcome(books.get_analysis(), books.days, books.returns, warned, seconds)


@dataclass(frozen=True)
class TrialsJob:
    """Runs the trials of a study by their numbers; see `processes.Job`."""

    setting: Setting
    trials: tuple[Trial, ...]

    def run(self, number: int) -> Outcome:
        """Run one of them."""
        return run_trial(self.setting, self.trials[number])
