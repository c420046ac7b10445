"""What a report runs beside the run: without costs, and with random picks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import backtrader as bt

from ...record.files import write_csv
from ...record.statistics import growth_of
from ...study.again import CannotRepeat, proved, without_costs
from ...study.chance import NAMES, random_picks
from .reading import RANDOM_EQUITY, RANDOM_PICKS, WITHOUT_COSTS
from .tables import COMPARED


def run_beside(
    strategy: bt.Strategy, folder: Path, summary: dict[str, Any], count: int, seed: int,
    progress: Callable[[int], Any] = int,
) -> dict[str, Any]:
    """Run a finished run again without costs, and ``count`` times with random picks; write what came of it.

    Parameters
    ----------
    strategy : bt.Strategy
        After its run.
    folder : Path
        Of the run: gets without_costs.csv, and with ``count`` random_picks.csv and random_equity.csv.
    summary : dict
        Of the run: its own figures, and how they are counted.
    count, seed : int
    progress : callable
        Called with 1 after each random run.

    Returns
    -------
    dict
        What summary.json says beside: ``random_picks``, ``random_seed``, ``percentiles`` of the run among them by figure,
        ``not_again`` and ``no_chance``, why something was not run.
    """
    said: dict[str, Any] = {'random_picks': 0, 'random_seed': seed, 'percentiles': {}, 'not_again': '', 'no_chance': ''}
    try:
        recipe = proved(strategy)
    except CannotRepeat as error:
        return {**said, 'not_again': str(error), 'no_chance': str(error)}
    try:
        books = without_costs(strategy, recipe)
    except CannotRepeat as error:
        said['not_again'] = str(error)
    else:
        growth = growth_of(books, strategy.broker.startingcash)[1:].tolist()
        write_csv(folder / WITHOUT_COSTS, ('date', 'growth'), zip((row.date for row in books.equity), growth, strict=True))
    if not count:
        return said
    try:
        chance = random_picks(strategy, count, seed, progress=progress, conventions=summary['conventions'], recipe=recipe)
    except CannotRepeat as error:
        return {**said, 'no_chance': str(error)}
    seeds = [seed + number for number in range(count)]
    write_csv(folder / RANDOM_PICKS, ('seed', *NAMES),
              zip(seeds, *(chance.figures[name].tolist() for name in NAMES), strict=True))
    write_csv(folder / RANDOM_EQUITY, ('date', *(f'seed_{number}' for number in seeds)),
              [(day, *levels) for day, levels in zip(chance.days, chance.levels[:, 1:].T.tolist(), strict=True)])
    percentiles = {name: chance.percentile(name, summary[name]) for name in COMPARED}
    return {**said, 'random_picks': count, 'percentiles': percentiles}
