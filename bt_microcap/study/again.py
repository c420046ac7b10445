"""A finished run, made again: as it was, by other rules, or with another strategy in its place."""

from __future__ import annotations

import contextlib
import copy
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import backtrader as bt

from ..exchange.broker import AShareBroker
from ..exchange.commission import AShareCommission
from ..feeds.market import MarketFeed
from ..profiles import FEES, REALISTIC
from ..record.blotter import Blotter

# What trading costs, all of it off. The tax on dividends is none of it: whoever holds the shares pays it, traded or not.
NO_COSTS = dict.fromkeys(('commission', 'min_commission', 'stamp_duty', 'transfer_fee', 'slippage', 'slippage_ticks',
                          'min_slippage_ticks', 'impact'), 0.0)
BLOTTER = 'blotter'  # what a run's blotter is called among its analyzers
# Params of Cerebro that change nothing of the orders, but would draw, write or start processes.
_NOT_AGAIN = ('stdstats', 'writer', 'maxcpus', 'optdatas', 'optreturn')
_CHAINED = (bt.feed.DataClone, bt.feeds.Chainer, bt.feeds.RollOver)  # read other feeds instead of data


class CannotRepeat(ValueError):  # noqa: N818 - reads as what is said: it cannot be repeated
    """A run cannot be made again; in one line, why."""


class FeedRecipe(NamedTuple):
    """How a data feed is made."""

    kind: type[bt.feed.AbstractDataBase]
    params: dict[str, Any]
    name: str

    def make(self) -> bt.feed.AbstractDataBase:
        """Return the feed, as new."""
        return self.kind(**self.params)


@dataclass(frozen=True)
class Recipe:
    """How a run is made again, in this process or another. Made by `recipe_of`.

    Parameters
    ----------
    strategy : type
    args, params : tuple, dict
        What the strategy is made with.
    feeds : tuple of FeedRecipe
    broker : type
    rules : dict
        Params of the broker; the cash at the start is one of them.
    fees : dict
        Name of a feed, None for all others -> its commission.
    told : dict
        What the broker was told beside its params, by attribute.
    cerebro : dict
        Params of Cerebro.
    sizers, indicators : dict, tuple
        As Cerebro keeps them.
    calendar : object
        Of ``cerebro.addcalendar``, else None.
    """

    strategy: type[bt.Strategy]
    args: tuple
    params: dict[str, Any]
    feeds: tuple[FeedRecipe, ...]
    broker: type[bt.brokers.BackBroker]
    rules: dict[str, Any]
    fees: dict[str | None, bt.CommInfoBase]
    told: dict[str, Any]
    cerebro: dict[str, Any]
    sizers: dict[int | None, tuple]
    indicators: tuple[tuple, ...]
    calendar: Any

    def run(
        self, analyzers: Sequence[tuple[type[bt.Analyzer], Mapping[str, Any]]] = ((Blotter, {'_name': BLOTTER}),), *,
        strategy: type[bt.Strategy] | None = None, params: Mapping[str, Any] | None = None,
        rules: Mapping[str, Any] | None = None,
    ) -> bt.Strategy:
        """Make the run again, in silence: what it prints and warns of has been said the first time.

        Parameters
        ----------
        analyzers : sequence of tuple of (type, mapping)
            Analyzers, each with its keyword arguments; by default a `Blotter`, ``.analyzers.blotter`` of the strategy. There are
            no others, and no observers.
        strategy : type, optional
            Another strategy, which is given the same params.
        params : mapping, optional
            Params of the strategy that are to be others.
        rules : mapping, optional
            Keys of a profile that are to be others; needs `AShareBroker`, and `AShareCommission` where they are rates.

        Returns
        -------
        bt.Strategy
            After its run.

        Raises
        ------
        CannotRepeat
            The broker or the commission has no such rules, or the strategy skips the run.
        """
        broker = self._make_broker(rules or {})
        with _silence():
            cerebro = bt.Cerebro(**self.cerebro, stdstats=False)
            for feed in self.feeds:
                cerebro.adddata(feed.make(), name=feed.name)
            cerebro.setbroker(broker)
            if self.calendar is not None:
                cerebro.addcalendar(self.calendar)
            cerebro.sizers.update(self.sizers)
            cerebro.indicators.extend(self.indicators)
            cerebro.addstrategy(strategy or self.strategy, *self.args, **{**self.params, **(params or {})})
            for kind, given in analyzers:
                cerebro.addanalyzer(kind, **given)
            found = cerebro.run()
        if not found:
            raise CannotRepeat('the strategy skips the run')
        return found[0]

    def _make_broker(self, rules: Mapping[str, Any]) -> bt.brokers.BackBroker:
        unknown = [name for name in rules if name not in REALISTIC]
        if unknown:
            raise ValueError(f'there is no rule {unknown[0]!r}: expected one of {", ".join(REALISTIC)}')
        rates = {name: value for name, value in rules.items() if name in FEES}
        others = {name: value for name, value in rules.items() if name not in FEES}
        if rules and not issubclass(self.broker, AShareBroker):
            raise CannotRepeat(f'the broker is a {self.broker.__name__}, expected AShareBroker: another has no such rules')
        broker = self.broker(**{**self.rules, **others})
        for name, fees in self.fees.items():
            broker.addcommissioninfo(_with_rates(fees, rates) if rates else fees, name)
        for name, value in self.told.items():
            setattr(broker, name, copy.copy(value))
        if rules:  # a JoinQuant script does not set what is to be another
            broker.given = (*getattr(broker, 'given', ()), *rules)
        return broker


def _with_rates(fees: bt.CommInfoBase, rates: Mapping[str, float]) -> AShareCommission:
    """Return a commission with other rates."""
    if not isinstance(fees, AShareCommission):
        raise CannotRepeat(f'the commission is a {type(fees).__name__}, expected AShareCommission: of another it is not known '
                           'what makes it free')
    if type(fees).fees is not AShareCommission.fees:
        raise CannotRepeat(f'the commission {type(fees).__name__} has a fees() of its own: it is not known what makes it free')
    return type(fees)(**{**fees.p._getkwargs(), **rates})


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with open(os.devnull, 'w') as nowhere, contextlib.redirect_stdout(nowhere), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield


def recipe_of(strategy: bt.Strategy) -> Recipe:
    """Return how a finished run is made again.

    The data feeds are made anew of the same data, the market over the same store. The user's analyzers, observers and writers
    are no part of it. What a strategy does beside trading, such as writing a file, it does again.

    Parameters
    ----------
    strategy : bt.Strategy
        After its run: ``cerebro.run()[0]``.

    Raises
    ------
    CannotRepeat
        Something of the run cannot be made anew.
    """
    if not isinstance(strategy, bt.Strategy) or not hasattr(strategy.env, 'runningstrats'):
        raise CannotRepeat(f'found {strategy!r}, expected a strategy after its run: cerebro.run()[0]')
    cerebro, broker = strategy.env, strategy.broker
    for held, why in (
        (type(cerebro) is not bt.Cerebro, f'Cerebro is a {type(cerebro).__name__}: a class of its own may do anything'),
        (len(cerebro.runningstrats) > 1, 'several strategies share one account'),
        (cerebro.stores, 'it has a live store'),
        (cerebro._ohistory or cerebro._fhistory is not None, 'it has a history of orders or of a fund'),
        (any(timer.p.owner is cerebro for timer in cerebro._pretimers),
         "it has timers of Cerebro's; a strategy's own, self.add_timer(), are made again"),
        (not isinstance(broker, bt.brokers.BackBroker), f'the broker is a {type(broker).__name__}, which is no simulation'),
    ):
        if held:
            raise CannotRepeat(why)
    args, params = _given(strategy)
    rules, fees, told = dict(broker.p._getkwargs()), dict(broker.comminfo), _told(broker)
    if hasattr(broker, 'own_rules'):  # a JoinQuant script has set others since
        rules, fees, told['_slips_in_yuan'] = ({**rules, **broker.own_rules[0]}, *broker.own_rules[1:])
    return Recipe(
        type(strategy), args, params, tuple(map(_feed, cerebro.datas)), type(broker), rules, dict(fees), told,
        {name: value for name, value in cerebro.p._getkwargs().items() if name not in _NOT_AGAIN}, dict(cerebro.sizers),
        tuple(cerebro.indicators), cerebro._tradingcal)


def _given(strategy: bt.Strategy) -> tuple[tuple, dict[str, Any]]:
    """Return what a strategy was made with: what ``addstrategy`` was given, else, as of an optimizer's, its params."""
    added = [entry for entries in strategy.env.strats if isinstance(entries, list) for entry in entries]
    if len(added) == 1 and added[0][0] is type(strategy):
        return tuple(added[0][1]), dict(added[0][2])
    params = dict(strategy.p._getkwargs())
    if 'combination' in params:  # the values are among the params already
        params['combination'] = ()
    return (), params


def _feed(data: Any) -> FeedRecipe:
    """Return how a registered feed is made."""
    name, params = data._name, dict(data.p._getkwargs())
    source = params.get('dataname')
    for held, why in (
        (data.islive(), 'is live'),
        (data.resampling or data.replaying, 'is resampled or replayed'),
        (data._filters, 'is filtered'),
        (isinstance(data, _CHAINED) or isinstance(source, bt.feed.AbstractDataBase), 'reads another feed'),
        (callable(getattr(source, 'read', None)) or isinstance(source, Iterator), 'reads something that is read once'),
    ):
        if held:
            raise CannotRepeat(f'the data feed {name or type(data).__name__} {why}')
    if isinstance(data, MarketFeed):
        params['dataname'] = data.store
    return FeedRecipe(type(data), params, name)


def _told(broker: Any) -> dict[str, Any]:
    """Return what `setup` and the switches have told a broker beside its params."""
    told = {name: value for name, value in vars(broker).items() if name in ('profile', 'given', '_slips_in_yuan')}
    if hasattr(broker, 'before_run'):
        told['before_run'] = list(broker.before_run)
    return told


def proved(strategy: bt.Strategy) -> Recipe:
    """Return how a finished run is made again, once it has been made again and was the same to the last digit.

    Parameters
    ----------
    strategy : bt.Strategy
        After its run. Under a `Blotter` all fills, refusals and the account of every day are compared, else the account at the
        end.

    Raises
    ------
    CannotRepeat
        `recipe_of` cannot, or the second run failed, or was another: it depends on something beside data and params, such as
        random numbers without a seed.
    """
    recipe = recipe_of(strategy)
    try:
        again = recipe.run()
    except CannotRepeat:
        raise
    except Exception as error:
        raise CannotRepeat(f'run again, without analyzers and observers of its own, it fails: {one_line(error)}') from error
    blotter = next((analyzer for analyzer in strategy.analyzers if isinstance(analyzer, Blotter)), None)
    if blotter is not None:
        ends = [(books.fills, books.rejections, books.equity) for books in (blotter, again.analyzers.blotter)]
    else:
        ends = [(one.broker.getcash(), one.broker.getvalue()) for one in (strategy, again)]
    if ends[0] != ends[1]:
        raise CannotRepeat('run again it gives another result: it depends on something beside its data and params, such as '
                           'random numbers without a seed')
    return recipe


def one_line(error: BaseException) -> str:
    """Return an error as one line."""
    return f'{type(error).__name__}: {" ".join(str(error).split())}'


def without_costs(strategy: bt.Strategy, recipe: Recipe | None = None) -> Blotter:
    """Return the books of the same run at no cost of trading: no commission, stamp duty, transfer fee, slippage or impact.

    The rest is as it was, also the largest part of a day's volume and the tax on dividends, which is no cost of trading.
    Where more money is left, more is bought: it is the run that the strategy would have had, not the old one with the
    fees given back.

    Parameters
    ----------
    strategy : bt.Strategy
        After its run.
    recipe : Recipe, optional
        From `proved`, where it is at hand; by default the run is proved to be repeatable first, which costs one run more.

    Returns
    -------
    Blotter
        ``equity`` has a row a day, as in the original's.

    Raises
    ------
    CannotRepeat
        The run cannot be made again, or its costs are not those of `AShareBroker` and `AShareCommission`.
    """
    recipe = recipe or proved(strategy)
    return recipe.run(rules=NO_COSTS).analyzers.blotter
