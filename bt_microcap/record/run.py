"""All that is known of a run when it is over: what its files and its report are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

import backtrader as bt
import numpy as np

from ..exchange.broker import AShareBroker
from ..exchange.commission import FEES
from ..feeds.series import ACTIONS, adjustment_of, rows_of
from ..feeds.store import MarketStore
from ..feeds.store.benchmarks import parse
from .holdings import Holding, HoldingsBook
from .missed import Missed, missed
from .observers import benchmark_feed
from .param_texts import as_json, changed
from .round_trips import RoundTrip, openings, profits_by_stock, round_trips
from .rows import Rows, packed

BY_HAND = 'by hand'  # the profile of a broker that setup() has not made
MICROCAP = 'microcap'
CHARTS = 6  # stocks whose prices are kept: as many that brought most, and that cost most


class Pick(NamedTuple):
    """One choice of a rebalance: a row of picks.csv."""

    date: date
    place: int  # 1 for the first choice
    code: str


class Price(NamedTuple):
    """A close of a stock that is worth a chart: a row of prices.csv."""

    date: date
    code: str
    close: float  # yuan; of the last row where the day has none
    adjusted: float  # yuan, restated for ex-rights to the level of the run's last day


@dataclass
class Run:
    """A run that is over; it can travel to another process.

    Parameters
    ----------
    strategy : type
        Its class.
    params, own_params : dict
        All params of the strategy; those that differ from the defaults of its class.
    days : list of date
        Of the books.
    start_cash : float
        Yuan.
    profile : str
        That `setup` gave the broker, else `BY_HAND`.
    rules : dict
        What the broker goes by, of what it has.
    benchmark : str
        What the return is compared with; empty where there is nothing.
    level, microcap : ndarray of float or None, shape (days + 1,)
        The benchmark, and the index of the micro-caps, before the first day, 1, and after each day.
    benchmark_about : str or None
    source : str
        What the market is called.
    about : dict
        What the store says of its columns.
    market : dict
        ``stocks``, ``days``, ``first_day``, ``last_day`` of the market, and ``ended``: stocks whose last row is before its last
        day; ``first_bar``, ``last_bar`` of the run. Empty with one feed per stock.
    holdings : list of Holding
    trips : list of RoundTrip
    picks, missed, prices : list
        Rows of picks.csv, missed.csv and prices.csv.
    shortcomings : list of str
        What the data does not know.
    findings : DataFrame or None
        Which rows of a table in memory were mended or left out.
    findings_line : str
        What was found in rows of the source, and where it is listed; empty where nothing was.
    nothing_traded : str
        Why nothing was picked or filled; empty where something was.
    names : dict of str to str
        Code -> name, as known on the last day, of the stocks that were ordered; none where the data has no names.
    log_lines : list of str
        What a JoinQuant script has logged.
    recorded : dict of str to list of (date, float)
        What it has recorded.
    """

    strategy: type
    params: dict[str, Any]
    own_params: dict[str, Any]
    days: list[date]
    start_cash: float
    profile: str
    rules: dict[str, Any]
    benchmark: str
    level: np.ndarray | None
    microcap: np.ndarray | None
    benchmark_about: str | None
    source: str
    about: dict[str, Any]
    market: dict[str, Any]
    holdings: list[Holding]
    trips: list[RoundTrip]
    picks: list[Pick] = field(default_factory=list)
    missed: list[Missed] = field(default_factory=list)
    prices: list[Price] = field(default_factory=list)
    shortcomings: list[str] = field(default_factory=list)
    findings: Any = None
    findings_line: str = ''
    nothing_traded: str = ''
    names: dict[str, str] = field(default_factory=dict)
    log_lines: list[str] = field(default_factory=list)
    recorded: dict[str, list[tuple[date, float]]] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        return {name: packed(value) for name, value in self.__dict__.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: value.rows() if isinstance(value, Rows) else value for name, value in state.items()})


def gather(strategy: bt.Strategy, books: Any) -> Run:
    """Gather what is known of a run, from the strategy and its data.

    Parameters
    ----------
    strategy : bt.Strategy
        After its last bar.
    books : Blotter
        Of the strategy.
    """
    market = market_of(strategy)
    store = market.store if market is not None else None
    benchmark, level = benchmark_of(strategy, books)
    broker = strategy.broker
    days = [row.date for row in books.equity]
    feeds = feeds_of(strategy)
    profits = profits_by_stock(books.fills, books.corporate_actions, books.held.last_values())
    params = dict(strategy.p._getkwargs())
    nothing = getattr(strategy, 'nothing_traded', None)
    charted = charted_stocks(profits)
    picks = list(picks_of(strategy))
    findings, findings_line = findings_of(store)
    return Run(
        strategy=type(strategy), params=params, own_params=changed(params, strategy.p._getpairs()),
        days=days, start_cash=broker.startingcash, profile=getattr(broker, 'profile', BY_HAND), rules=rules_of(broker),
        benchmark=benchmark, level=level, microcap=microcap_of(market, days),
        benchmark_about=parse(market.p.benchmark or 'market').about() if market is not None else None,
        source=source_of(store), about=dict(store.about) if store is not None else {}, market=facts_of(market),
        holdings=list(holdings_of(books, days, store)),
        trips=round_trips(books.fills, books.corporate_actions, days, books.details), picks=picks,
        missed=missed(books.orders, books.rejections, days, feeds, books.unfilled, {pick.date for pick in picks},
                      getattr(broker.p, 'delist', 'last_close')), prices=list(prices_of(feeds, charted, days)),
        shortcomings=shortcomings_of(store, level, benchmark), findings=findings, findings_line=findings_line,
        nothing_traded=nothing() if nothing is not None else '', names=names_of(store, books.orders, days),
        log_lines=list(getattr(strategy, 'log_lines', ())), recorded=dict(getattr(strategy, 'recorded', {})))


def market_of(strategy: bt.Strategy) -> Any:
    """Return the `MarketFeed` of a run; None where the stocks have a feed each."""
    return next((data for data in strategy.datas if hasattr(data, 'universe')), None)


def feeds_of(strategy: bt.Strategy) -> dict[str, Any]:
    """Return the feeds of a run by name, of a market's stocks those that were asked for."""
    made = [*strategy.datas, *(stock for data in strategy.datas for stock in getattr(data, 'stocks', ()))]
    return {data._name: data for data in made}


def rules_of(broker: Any) -> dict[str, Any]:
    """Return the rules that a broker goes by, of what it has: its own params and those of its commission."""
    theirs = bt.brokers.BackBroker.params._getkeys()
    parts = {**dict.fromkeys(FEES, broker.comminfo[None].p),
             **{name: broker.p for name in AShareBroker.params._getkeys() if name not in theirs}}
    return {name: as_json(getattr(part, name)) for name, part in parts.items() if hasattr(part, name)}


def source_of(store: MarketStore | None) -> str:
    """Return what a market is called."""
    if store is None:
        return 'feeds of one stock each'
    return str(store.about.get('source', 'the table') if store.path is None or store.is_temporary else store.path)


def facts_of(market: Any) -> dict[str, Any]:
    """Return how large a market is, how many of its stocks ended (one without any has only survivors), and the run's bars."""
    if market is None:
        return {}
    store, bars = market.store, market.days[market.offset:market.end]
    first, last = store.span()
    return {'stocks': len(store), 'days': len(store.days), 'first_day': str(first), 'last_day': str(last),
            'ended': int((np.asarray(store.last) < len(store.days) - 1).sum()),
            'first_bar': str(date.fromordinal(int(bars[0]))), 'last_bar': str(date.fromordinal(int(bars[-1])))}


def benchmark_of(strategy: bt.Strategy, books: Any) -> tuple[str, np.ndarray | None]:
    """Return what a run is compared with.

    Returns
    -------
    name : str
        Empty where there is nothing to compare with.
    level : ndarray or None
        At the close before the first day of the books, 1, then at the close of each of them. Where no close is before it, as when
        something was traded on the first bar of the data, the first day's close stands for it. None where there is no
        benchmark, or its level before the first day or on the last is not known.
    """
    feed = benchmark_feed(strategy.datas)
    if feed is None:
        return '', None
    if hasattr(feed, 'universe'):
        name, close = feed.p.benchmark or 'market', feed.level['close']
    else:
        name, close = feed._name, feed.column('close')
    return (name, level_at([row.date for row in books.equity], feed.days, close)) if books.equity else ('', None)


def microcap_of(market: Any, days: list[date]) -> np.ndarray | None:
    """Return the index of the micro-caps, as `benchmark_of` its own; None where the run is compared with it anyhow."""
    if market is None or not days or (market.p.benchmark or '').startswith(MICROCAP):
        return None
    return level_at(days, market.days, market.store.benchmark(MICROCAP, market.offset + 1)['close'])


def level_at(dates: list[date], days: np.ndarray, close: np.ndarray) -> np.ndarray | None:
    """Return an index at the close before some days, 1, and at theirs; None where it is not known there."""
    ordinals = [day.toordinal() for day in dates]
    eve = np.searchsorted(days, ordinals[:1], side='left') - 1  # an index may have no row on the first day itself
    bars = np.maximum(np.concatenate([eve, np.searchsorted(days, ordinals, side='right') - 1]), 0)
    level = close[bars]
    return level / level[0] if level[0] == level[0] and level[-1] == level[-1] else None


def findings_of(store: MarketStore | None) -> tuple[Any, str]:
    """Return which rows of a table in memory were mended or left out, and what is to be said of a market's rows."""
    if store is None or not store.has_findings:
        return None, ''
    from ..feeds.quarantine import summary_line

    found = store.findings()
    if store.path is None:
        return found, f'{summary_line(found)}; each is in quarantine.csv'
    return None, f'{summary_line(found)}; each is in {store.path}.quarantine.csv'


def shortcomings_of(store: MarketStore | None, level: np.ndarray | None, benchmark: str) -> list[str]:
    """Return what a run did without."""
    found = unknown_of(store)
    if benchmark and level is None:
        found.append(f'the benchmark {benchmark} is not known from the day before the run to its end: there is no comparison')
    if store is not None and 'preclose' not in store.columns and 'high_limit' not in store.columns:
        found.append('the data has no preclose: price limits' + (
            '' if store.explicit_actions else ' and ex-rights') + ' are not applied')
    return found


def unknown_of(store: MarketStore | None) -> list[str]:
    """Return what a market does not know, or only estimates."""
    if store is None:
        return []
    from ..feeds.store.shortcomings import shortcomings

    found = shortcomings(store.about)
    if 'columns' in store.about and store.path is None:
        found.append(f'columns: {store.about["columns"]}')
    return found


def holdings_of(books: Any, days: list[date], store: MarketStore | None) -> Iterator[Holding]:
    """Give the rows of positions.csv."""
    held: HoldingsBook = books.held
    ordinals = np.array([day.toordinal() for day in days])
    stocks = np.frombuffer(held.stocks, 'int32') if held.stocks else np.zeros(0, 'int32')
    places = np.repeat(np.arange(len(days)), np.diff([0, *held.ends]))  # the day of each row
    caps, ages = _caps_of(held, stocks, ordinals[places], store), np.ones(len(stocks), int)
    since = openings(books.fills, books.corporate_actions)
    by_stock = np.argsort(stocks, kind='stable')
    bounds = np.searchsorted(stocks[by_stock], np.arange(len(held.datas) + 1))
    for number, data in enumerate(held.datas):
        rows = by_stock[bounds[number]:bounds[number + 1]]
        opened = np.searchsorted(ordinals, [day.toordinal() for day in since.get(data._name, days[:1])])
        ages[rows] = places[rows] - opened[np.searchsorted(opened, places[rows], side='right') - 1] + 1
    industries = _industries(held, days, store)
    for row, (place, stock, size, price, cap, age) in enumerate(zip(
            places.tolist(), held.stocks, held.shares, held.prices, caps.tolist(), ages.tolist(), strict=True)):
        yield Holding(days[place], held.codes[stock], int(size) if size == int(size) else size, price, size * price,
                      cap if cap == cap else None, age, industries[row] if industries else '')


def _caps_of(held: HoldingsBook, stocks: np.ndarray, days: np.ndarray, store: MarketStore | None) -> np.ndarray:
    """Return the market cap of each row of positions.csv, yuan; NaN where its day has no row, or the data does not tell.

    Parameters
    ----------
    held : HoldingsBook
    stocks : ndarray of int, shape (rows,)
        Places in ``held.datas``.
    days : ndarray of int, shape (rows,)
        Ordinals.
    store : MarketStore or None
    """
    if store is not None and store.coming is None and all(hasattr(data, 'market') for data in held.datas):
        numbers = np.array([data._number for data in held.datas], dtype=int)
        on = np.minimum(np.searchsorted(store.days, days), len(store.days) - 1)
        return np.where(store.days[on] == days, store.values('market_cap', numbers[stocks], on), np.nan)
    caps = np.full(len(stocks), np.nan)
    for place, data in enumerate(held.datas):
        known, columns = rows_of(data, ('market_cap',))
        if len(known):
            rows = np.flatnonzero(stocks == place)
            at = np.minimum(np.searchsorted(known, days[rows]), len(known) - 1)
            caps[rows] = np.where(known[at] == days[rows], columns['market_cap'][at], np.nan)
    return caps


def _industries(held: HoldingsBook, days: list[date], store: MarketStore | None) -> list[str]:
    """Return the industry of each row of positions.csv, as known the trading day before; empty where the data has none."""
    if store is None or 'industries' not in store.reference_names:
        return []
    numbers = [store.stock_number(data._name) if hasattr(data, 'market') else -1 for data in held.datas]
    found = []
    for place, rows in enumerate(held.days()):
        before = days[place - 1].toordinal() if place else days[0].toordinal() - 1
        known = store.reference_data.latest('industries', before)
        found += [str(known[numbers[held.stocks[row]]]) if numbers[held.stocks[row]] >= 0 else '' for row in rows]
    return found


def picks_of(strategy: bt.Strategy) -> Iterator[Pick]:
    """Give the rows of picks.csv; none where the strategy is no rotation."""
    for day, codes in getattr(strategy, 'rebalance_picks', ()):
        for place, code in enumerate(codes, 1):
            yield Pick(date.fromordinal(day), place, code)


def names_of(store: MarketStore | None, orders: list[Any], days: list[date]) -> dict[str, str]:
    """Return the names of the stocks that were ordered, as known on the last day."""
    if store is None or 'names' not in store.reference_names or not days:
        return {}
    names = store.reference_data.latest('names', days[-1].toordinal())
    known = set(store.codes.tolist())
    return {code: str(names[store.stock_number(code)]) for code in sorted({order.code for order in orders} & known)}


def charted_stocks(profits: Mapping[str, float]) -> list[str]:
    """Return the stocks that are worth a chart: those that brought most, then those that cost most, the largest first."""
    ranked = sorted(profits, key=lambda code: (-profits[code], code))
    return list(dict.fromkeys([*ranked[:CHARTS], *ranked[:-CHARTS - 1:-1]]))


def prices_of(feeds: Mapping[str, Any], codes: list[str], days: list[date]) -> Iterator[Price]:
    """Give the closes of some stocks on the days of a run, as they were and adjusted.

    From a stock's first row to its last; a day without one has the last close before it, as the account had.
    """
    ordinals = np.array([day.toordinal() for day in days])
    for code in codes:
        known, columns = rows_of(feeds[code], ('close', *ACTIONS))
        factors = adjustment_of(code, columns)
        first, end = np.searchsorted(ordinals, [known[0], known[-1] + 1]) if len(known) else (0, 0)
        # of several bars on a day, as of a feed beside the market, the last one
        rows = np.searchsorted(known, ordinals[first:end], side='right') - 1
        closes = columns['close'][rows]
        adjusted = closes * (factors[rows] / factors[rows[-1]]) if len(rows) else closes
        for day, close, level in zip(days[first:end], closes.tolist(), adjusted.tolist(), strict=True):
            if close == close:
                yield Price(day, code, close, level)
