"""What a run leaves for its user: the files, the picture, and a summary on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np

from ..feeds.store import MarketStore
from ..feeds.store.benchmarks import parse
from ..profiles import CONVENTIONS, FEES, REALISTIC
from ..record.blotter import Blotter
from ..record.files import write_run
from ..record.param_texts import as_json, as_text, changed
from ..record.statistics import statistics, summary_table
from ..rotation.strategy import MicroCapStrategy

BY_HAND = 'by hand'  # the profile of a broker that setup() has not made
MOST = 5  # params in a title
ORIGINAL = ('stocknum', 'refresh_rate', 'min_cap', 'max_cap')  # params that the original's title tells


def save_run(
    strategy: bt.Strategy, folder: str | Path, plot: bool = True, *, name: str = '', show: bool = True, source: str = '',
    conventions: dict[str, Any] | None = None, about: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the files of a run and its picture, and print its summary, as the command ``backtest`` does.

    ::

        cerebro.addanalyzer(Blotter, _name='blotter')
        strategy = cerebro.run()[0]
        save_run(strategy, 'out')

    It writes trades.csv, equity.csv, rejections.csv, orders.csv, corporate_actions.csv, summary.json and equity.png;
    cash_flows.csv where money came in or went out, quarantine.csv where rows of a table were mended or left out. Of these it
    removes what another run has left in the folder and this one does not have.

    The return is compared with the benchmark of the run's `MarketFeed`, or with the index that `add_stocks` puts first;
    without either there is no benchmark.

    Parameters
    ----------
    strategy : bt.Strategy
        After its run, under a `Blotter`. Any strategy, with any broker.
    folder : str or Path
        Made where it does not exist.
    plot : bool
        Whether to draw equity.png.
    name : str
        Of the run, in the picture's title; by default the original's params, else the class and the params that it changes.
    show : bool
        Whether to print.
    source : str
        What the market is called in summary.json; by default the store's folder.
    conventions : dict, optional
        How the figures are counted, keyword arguments of `statistics.statistics`, beside those of the profile.
    about : dict, optional
        What summary.json is to say beside.

    Returns
    -------
    dict
        What summary.json says.

    Raises
    ------
    ValueError
        There is no `Blotter`, or what was given is no strategy after its run.
    """
    blotter = blotter_of(strategy)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    profile, rules = rules_of(strategy.broker)
    start_cash = strategy.broker.startingcash
    figures = statistics(blotter, start_cash, **{**CONVENTIONS.get(profile, CONVENTIONS['realistic']), **(conventions or {})})
    market = next((data for data in strategy.datas if hasattr(data, 'universe')), None)
    store = market.store if market is not None else None
    benchmark, level = benchmark_of(strategy, blotter)
    summary = {
        **figures,
        'benchmark': benchmark or None,
        'benchmark_return': float(level[-1] - 1) if level is not None else None,
        'benchmark_about': parse(market.p.benchmark or 'market').about() if market is not None else None,
        'data': source or source_of(store),
        'data_about': store.about if store is not None else {},
        'profile': profile,
        'strategy': type(strategy).__name__,
        **(about or {}),
        'params': {**as_json(dict(strategy.p._getkwargs())), 'cash': start_cash},
        'rules': rules,
    }
    write_run(folder, blotter, summary, None if level is None else level[1:])
    written = ['trades.csv', 'equity.csv', 'rejections.csv', 'orders.csv', 'corporate_actions.csv', 'summary.json']
    said = [summary_table(figures, summary['benchmark_return'], benchmark)]
    nothing_traded = getattr(strategy, 'nothing_traded', None)
    if nothing_traded is not None and (nothing := nothing_traded()):
        said.append(f'{"warning":<14} {nothing}')
    said += [f'{"note":<14} {text}' for text in [*notes(store, folder), *_missing(store, level, benchmark)]]
    if blotter.cash_flows:
        written.append('cash_flows.csv')
    else:
        (folder / 'cash_flows.csv').unlink(missing_ok=True)  # of a run before
    if plot and blotter.equity:
        from .picture import picture

        picture(folder / 'equity.png', blotter, start_cash, level, title_of(strategy, profile, name), benchmark)
        written.append('equity.png')
    else:
        (folder / 'equity.png').unlink(missing_ok=True)  # of a run before
    if show:
        print('\n'.join([*said, f'{"written":<14} {folder}/: {", ".join(written)}']))
    return summary


def blotter_of(strategy: Any) -> Blotter:
    """Return the blotter of a strategy after its run.

    Raises
    ------
    ValueError
        There is none, or what was given is no strategy after its run.
    """
    if isinstance(strategy, (list, tuple)):
        raise ValueError('found a list, expected a strategy after its run: save_run(cerebro.run()[0], folder)')
    if isinstance(strategy, bt.cerebro.OptReturn):
        raise ValueError('found an OptReturn, of which only params and analyzers are left; run bt.Cerebro(optreturn=False), '
                         'which gives whole strategies, or run the combination alone')
    if not isinstance(strategy, bt.Strategy):
        raise ValueError(f'found {strategy!r}, expected a strategy after its run: save_run(cerebro.run()[0], folder)')
    blotter = next((analyzer for analyzer in strategy.analyzers if isinstance(analyzer, Blotter)), None)
    if blotter is None:
        raise ValueError("found no Blotter among the strategy's analyzers: cerebro.addanalyzer(Blotter, _name='blotter') "
                         'before cerebro.run()')
    if not hasattr(blotter, '_end_cash'):  # its last word, after the strategy's own stop()
        raise ValueError('the run is not over: save_run is called after cerebro.run(), not by the strategy')
    return blotter


def rules_of(broker: Any) -> tuple[str, dict[str, Any]]:
    """Return the profile that `setup` gave a broker, else `BY_HAND`, and the rules that it goes by, of what it has."""
    fees = broker.comminfo[None].p
    parts = {name: fees if name in FEES else broker.p for name in REALISTIC}
    rules = {name: as_json(getattr(part, name)) for name, part in parts.items() if hasattr(part, name)}
    return getattr(broker, 'profile', BY_HAND), rules


def source_of(store: MarketStore | None) -> str:
    """Return what a market is called."""
    if store is None:
        return 'feeds of one stock each'
    return str(store.path or store.about.get('source', 'the table'))


def benchmark_of(strategy: bt.Strategy, blotter: Blotter) -> tuple[str, np.ndarray | None]:
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
    feed = next((data for data in strategy.datas if hasattr(data, 'universe')), None)
    if feed is not None:
        name, days, close = feed.p.benchmark or 'market', feed.days, feed.level['close']
    else:
        from ..feeds.stock import IndexPandas  # not for a run over a MarketFeed: with it comes pandas

        feed = next((data for data in strategy.datas if isinstance(data, IndexPandas)), None)
        if feed is None:
            return '', None
        name, days, close = feed._name, feed.days, feed.column('close')
    if not blotter.equity:
        return '', None
    bars = np.searchsorted(days, [row.date.toordinal() for row in blotter.equity], side='right') - 1
    bars = np.maximum(np.concatenate([bars[:1] - 1, bars]), 0)
    level = close[bars]
    return (name, level / level[0]) if level[0] == level[0] and level[-1] == level[-1] else (name, None)


def _missing(store: MarketStore | None, level: Sequence[float] | None, name: str) -> list[str]:
    """Return what the run did without."""
    found = []
    if name and level is None:
        found.append(f'the benchmark {name} is not known from the day before the run to its end: there is no comparison')
    if store is not None and 'preclose' not in store.columns and 'high_limit' not in store.columns:
        found.append('the data has no preclose: price limits' + (
            '' if store.explicit_actions else ' and ex-rights') + ' are not applied')
    return found


def title_of(strategy: bt.Strategy, profile: str, name: str = '') -> str:
    """Return what the picture of a run is called.

    Parameters
    ----------
    strategy : bt.Strategy
    profile : str
    name : str
        Of the run; by default the original's params, else the class and the params that differ from its defaults.
    """
    params = strategy.p._getkwargs()
    own = changed(params, strategy.p._getpairs())
    if name:
        return f'{name} ({profile})'
    if type(strategy) is MicroCapStrategy and not set(own) - set(ORIGINAL):
        return (f'{params["stocknum"]} smallest stocks of {params["min_cap"] / 1e9:g}-{params["max_cap"] / 1e9:g} bn yuan, '
                f'every {params["refresh_rate"]} days ({profile})')
    shown = [f'{key}={as_text(value)}' for key, value in own.items()]
    if len(shown) > MOST:
        shown[MOST - 1:] = [f'and {len(shown) - MOST + 1} more']
    return ', '.join([type(strategy).__name__, *shown]) + f' ({profile})'


def notes(store: MarketStore | None, out: Path) -> list[str]:
    """Return what is to be said of a market; rows of a table that were mended or left out are listed in ``quarantine.csv``.

    Parameters
    ----------
    store : MarketStore or None
        None where the stocks have a feed each.
    out : Path
        The folder for the results.
    """
    from ..feeds.quarantine import save, summary_line
    from ..feeds.store.data_report import shortcomings

    listed = out / 'quarantine.csv'
    if store is None:
        listed.unlink(missing_ok=True)  # of a run before
        return []
    lines = shortcomings(store.about)
    if 'columns' in store.about and store.path is None:
        lines.append(f'columns: {store.about["columns"]}')
    if store.path is None and store.has_findings:
        found = store.findings()
        save(found, listed)
        lines.append(f'{summary_line(found)}; each is in {listed.name}')
    else:
        listed.unlink(missing_ok=True)  # of a run before
        if store.has_findings:
            lines.append(f'{summary_line(store.findings())}; each is in {store.path}.quarantine.csv')
    return lines

