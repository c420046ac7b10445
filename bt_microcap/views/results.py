"""What a run leaves for its user: the files, the picture, and a summary on the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import backtrader as bt

from ..feeds.store.benchmarks import parse
from ..profiles import CONVENTIONS
from ..record.blotter import Blotter
from ..record.files import write_details, write_run
from ..record.param_texts import as_json, as_text
from ..record.round_trips import parked_codes
from ..record.run import MICROCAP, Run, gather
from ..record.statistics import growth_of, statistics, summary_rows
from ..rotation.strategy import MicroCapStrategy
from .language import ENGLISH, columns_of, known_language, translate

MOST = 5  # params in a title
ORIGINAL = ('stocknum', 'refresh_rate', 'min_cap', 'max_cap')  # params that the original's title tells
WIDTH = 15  # columns of the names in the summary
REPORT = 'report.html'
# files that not every run has
OF_SOME_RUNS = ('cash_flows.csv', 'indices.csv', 'record.csv', 'log.txt', 'equity.png', 'random_picks.csv', 'random_equity.csv',
                'without_costs.csv', REPORT)


def version() -> str:
    """Return the version of the package."""
    from .. import __version__

    return __version__


def save_run(
    result: Any, folder: str | Path, plot: bool = True, *, name: str = '', show: bool = True, source: str = '',
    conventions: dict[str, Any] | None = None, about: dict[str, Any] | None = None, language: str = ENGLISH,
    warned: Sequence[str] = (),
) -> dict[str, Any]:
    """Write the files of a run and its picture, and print its summary, as the command ``backtest`` does.

    ::

        cerebro.addanalyzer(Blotter, _name='blotter')
        strategy = cerebro.run()[0]
        save_run(strategy, 'out')

    It writes trades.csv, equity.csv, rejections.csv, orders.csv, corporate_actions.csv, positions.csv, round_trips.csv,
    picks.csv, missed.csv, prices.csv, summary.json and equity.png; indices.csv where the index of the micro-caps is known,
    cash_flows.csv where money came in or went out, quarantine.csv where rows of a table were mended or left out. Of these it
    removes what another run has left in the folder and this one does not have, the files of random picks and the report too.

    The return is compared with the benchmark of the run's `MarketFeed`, or with the index that `add_stocks` puts first;
    without either there is no benchmark.

    Parameters
    ----------
    result : bt.Strategy or bt.OptReturn
        After its run, under a `Blotter`. Any strategy, with any broker; or one result of an optimizer.
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
    language : str
        Of what is printed and drawn: ``en`` or ``zh``. The files are the same.
    warned : sequence of str
        What was said of the run already, to stand among the notes of summary.json.

    Returns
    -------
    dict
        What summary.json says.

    Raises
    ------
    ValueError
        There is no `Blotter`, or what was given is no strategy after its run.
    """
    language = known_language(language)
    blotter = blotter_of(result)
    run = blotter.run if blotter.run is not None else gather(result, blotter)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    how = conventions_of(run, conventions)
    figures = statistics(blotter, run.start_cash, benchmark=run.level, trips=run.trips, **how)
    title = title_of(run, name)
    said = [*notes(run.shortcomings, run.findings, run.findings_line, folder)]
    summary = {
        **figures,
        'benchmark': run.benchmark or None,
        'benchmark_return': float(run.level[-1] - 1) if run.level is not None else None,
        'benchmark_about': run.benchmark_about,
        'microcap_return': float(run.microcap[-1] - 1) if run.microcap is not None else None,
        'microcap_about': parse(MICROCAP).about() if run.microcap is not None else None,
        'data': source or run.source,
        'data_about': run.about,
        'market': run.market,
        'notes': [*said, *warned],
        'profile': run.profile,
        'conventions': as_json(how),
        'strategy': run.strategy.__name__,
        'title': title,
        'version': version(),
        **(about or {}),
        'params': {**as_json(run.params), **({} if 'cash' in run.params else {'cash': run.start_cash})},
        'own_params': list(run.own_params),
        'names': run.names,
        'rules': run.rules,
        'nothing_traded': run.nothing_traded,
    }
    for left in OF_SOME_RUNS:  # of a run before
        (folder / left).unlink(missing_ok=True)
    write_run(folder, blotter, summary, None if run.level is None else run.level[1:])
    written = ['trades.csv', 'equity.csv', 'rejections.csv', 'orders.csv', 'corporate_actions.csv', *write_details(folder, run),
               'summary.json', *(['cash_flows.csv'] if blotter.cash_flows else [])]
    if plot and blotter.equity:
        draw(folder / 'equity.png', blotter, run, title, figures, language)
        written.append('equity.png')
    if show:
        lines = summary_rows(figures, summary['benchmark_return'], run.benchmark)
        lines += [('warning', run.nothing_traded)] if run.nothing_traded else []
        lines += [('note', text) for text in said]
        print(table_of([*lines, ('written', f'{folder}/: {", ".join(written)}')], language))
    return summary


def draw(path: Path, blotter: Blotter, run: Run, title: str, figures: dict[str, Any], language: str) -> None:
    """Draw equity.png."""
    from .picture import picture

    costs = {name: figures[name] for name in ('commission', 'transfer_fee', 'slippage')}
    costs['stamp_duty'] = math.fsum(order.stamp_duty for order in blotter.orders)
    costs['dividend_tax'] = math.fsum(order.dividend_tax for order in blotter.orders)
    parked = parked_codes(blotter.fills, blotter.details)
    picture(path, [row.date for row in blotter.equity], growth_of(blotter, run.start_cash), title=title, benchmark=run.level,
            benchmark_name=run.benchmark, microcap=run.microcap, holdings=blotter.held.counts(parked), costs=costs,
            trades=[trip.rate_of_return for trip in run.trips if trip.code not in parked], recorded=run.recorded,
            language=language)


def conventions_of(run: Run, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return how the figures of a run are counted, keyword arguments of `statistics.statistics`."""
    return {**CONVENTIONS.get(run.profile, CONVENTIONS['realistic']), **(more or {})}


def table_of(rows: Sequence[tuple[str, str]], language: str) -> str:
    """Return rows of a name and a text, as the terminal shows them; a Chinese character is two columns wide."""
    shown = [(translate(name, language), translate(text, language)) for name, text in rows]
    return '\n'.join(name + ' ' * max(1, WIDTH - columns_of(name)) + text for name, text in shown)


def blotter_of(result: Any, call: str = 'save_run(cerebro.run()[0], folder)') -> Blotter:
    """Return the blotter of a strategy after its run, or of a result of an optimizer; `call` is how messages show it.

    Raises
    ------
    ValueError
        There is none, or what was given is no strategy after its run.
    """
    if isinstance(result, (list, tuple)):
        raise ValueError(f'found a list, expected a strategy after its run: {call}; of an optimizer each result is a list of its '
                         f'own: {call.replace("[0]", "[0][0]")}')
    if not isinstance(result, (bt.Strategy, bt.cerebro.OptReturn)):
        raise ValueError(f'found {result!r}, expected a strategy after its run: {call}')
    blotter = next((analyzer for analyzer in result.analyzers if isinstance(analyzer, Blotter)), None)
    if blotter is None or not blotter.follows_holdings:
        raise ValueError("found no Blotter among the strategy's analyzers: cerebro.addanalyzer(Blotter, _name='blotter') "
                         'before cerebro.run()')
    if not hasattr(blotter, '_end_cash'):  # its last word, after the strategy's own stop()
        raise ValueError(f'the run is not over: {call.partition("(")[0]} is called after cerebro.run(), not by the strategy')
    return blotter


def title_of(run: Run, name: str = '') -> str:
    """Return what a run is called.

    Parameters
    ----------
    run : Run
    name : str
        Of the run; by default the original's params, else the class and the params that differ from its defaults.
    """
    params, own = run.params, run.own_params
    if name:
        return f'{name} ({run.profile})'
    if run.strategy is MicroCapStrategy and not set(own) - set(ORIGINAL):
        low, high, days = params['min_cap'] / 1e9, params['max_cap'] / 1e9, params['refresh_rate']
        band = f' of {low:g}-{high:g} bn yuan' if high < math.inf else f' of {low:g} bn yuan or more' if low else ''
        return f'{params["stocknum"]} smallest stocks{band}, every {f"{days} days" if days > 1 else "day"} ({run.profile})'
    shown = [f'{key}={as_text(value)}' for key, value in own.items()]
    if len(shown) > MOST:
        shown[MOST - 1:] = [f'and {len(shown) - MOST + 1} more']
    return ', '.join([run.strategy.__name__, *shown]) + f' ({run.profile})'


def notes(shortcomings: Sequence[str], findings: Any, line: str, out: Path) -> list[str]:
    """Return what is to be said of a market; rows of a table in memory that were mended or left out go to ``quarantine.csv``.

    Parameters
    ----------
    shortcomings : sequence of str
        What the data does not know.
    findings : DataFrame or None
    line : str
        What is said of rows.
    out : Path
        The folder for the results.
    """
    listed = out / 'quarantine.csv'
    if findings is None:
        listed.unlink(missing_ok=True)  # of a run before
    else:
        from ..feeds.quarantine import save

        save(findings, listed)
    return [*shortcomings, *([line] if line else [])]
