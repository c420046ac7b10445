"""The picture of a guided search: what its trials brought, and over which params."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..record.param_texts import as_text, typed
from ..study.ledger import LESS_IS_BETTER
from ..study.optuna_study import COMPLETE, PRUNED
from .figure_names import PERCENT, SMALL_PERCENT, named
from .fonts import families, without_missing

if TYPE_CHECKING:
    from ..study.search import Found, Tried
    from ..study.space import Dimension

MOST_PARAMS = 6  # that get a small picture
MOST_MARKS = 8  # values of a list that are named below it
GOOD, PLAIN, ENDED = '#b2182b', '#4d6f94', '#9a9a9a'
MARGIN = 0.05  # of a range, beside it
SCATTER = 0.16  # how far points over a list of values are moved apart


def search_picture(path: Path, found: Found, space: Sequence[Dimension], objectives: Sequence[str], title: str) -> None:
    """Draw what the trials of a search brought.

    With one objective the value of each trial by its number, and the best so far; with several each trial by the first two, the
    Pareto front marked. Below, the first objective over each of the first 6 params, later trials darker. No window and no other
    figure of the process is touched.

    Parameters
    ----------
    path : Path
        A PNG file.
    found : Found
        With one complete trial or more.
    space : sequence of Dimension
    objectives : sequence of str
    title : str
    """
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot, which would ask for a window

    shown = list(space[:MOST_PARAMS])
    with matplotlib.rc_context({'font.family': families(), 'axes.unicode_minus': False, 'font.size': 9.5}):
        figure = Figure(figsize=(max(9.0, 2.5 * len(shown)), 7.4), layout='constrained')
        upper, lower = figure.subfigures(2, 1, height_ratios=(1.5, 1))
        axes = upper.subplots()
        if len(objectives) > 1:
            _front(axes, found, objectives)
        else:
            _course(axes, found, objectives[0])
        axes.legend(loc='lower left', bbox_to_anchor=(0, 1), ncols=3, fontsize=8.5, frameon=False, borderpad=0.2)
        complete = found.of(COMPLETE)
        small = lower.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for axis, dimension in zip(small, shown, strict=True):
            _over(axis, dimension, complete, found.best[0])
        _name(small[0], 'y', objectives[0])
        if len(space) > len(shown):
            lower.supxlabel(f'the first {len(shown)} of {len(space)} params', fontsize=8.5)
        figure.suptitle(without_missing(title.replace('$', r'\$')), fontsize=11)
        part = path.with_name(path.name + '.part')
        figure.savefig(part, dpi=110, format='png')
        os.replace(part, path)


def _course(axes: Any, found: Found, objective: str) -> None:
    """Draw the value of each trial by its number, and the best so far."""
    complete, pruned = found.of(COMPLETE), [one for one in found.of(PRUNED) if one.objectives]
    numbers, values = np.array([one.number for one in complete]), np.array([one.objectives[0] for one in complete])
    axes.scatter(numbers, values, s=16, color=PLAIN, linewidths=0, alpha=0.85, label=f'complete ({len(complete)})', zorder=2)
    if pruned:
        axes.scatter([one.number for one in pruned], [one.objectives[0] for one in pruned], s=18, marker='x', linewidths=0.9,
                     color=ENDED, label=f'pruned ({len(pruned)}): when it was ended', zorder=1)
    best = (np.minimum if objective in LESS_IS_BETTER else np.maximum).accumulate(values)
    end = max(one.number for one in found.tried)
    axes.step([*numbers, end], [*best, best[-1]], where='post', color=GOOD, linewidth=1.3, label='best so far', zorder=3)
    axes.set_xlabel('trial')
    axes.xaxis.get_major_locator().set_params(integer=True)
    _name(axes, 'y', objective)
    axes.grid(alpha=0.25)


def _front(axes: Any, found: Found, objectives: Sequence[str]) -> None:
    """Draw each trial by the first two objectives, the Pareto front marked."""
    complete = found.of(COMPLETE)
    points = np.array([one.objectives[:2] for one in complete])
    front = np.array([one.objectives[:2] for one in found.best])
    axes.scatter(*points.T, s=16, c=_shades(complete), cmap='Blues', vmin=0, vmax=1, edgecolors=PLAIN, linewidths=0.4,
                 label=f'complete ({len(complete)}), later ones darker', zorder=2)
    among = '' if len(objectives) < 3 else f', by {len(objectives)} figures'
    axes.scatter(*front.T, s=34, facecolors='none', edgecolors=GOOD, linewidths=1.4, zorder=4,
                 label=f'Pareto front ({len(front)}{among})')
    if len(objectives) == 2:  # of more it is no line
        along = front[np.argsort(front[:, 0])]
        # a staircase: what is worse than a corner of it in one figure is no better in the other
        axes.step(*along.T, where='post' if objectives[0] in LESS_IS_BETTER else 'pre', color=GOOD, linewidth=0.9, alpha=0.7,
                  zorder=3)
    for which, name in zip('xy', objectives, strict=False):
        _name(axes, which, name)
    axes.grid(alpha=0.25)


def _over(axes: Any, dimension: Dimension, complete: Sequence[Tried], best: Tried) -> None:
    """Draw the first objective over one param."""
    places = _places(dimension, complete)
    axes.scatter(places, [one.objectives[0] for one in complete], s=12, c=_shades(complete), cmap='Blues', vmin=0, vmax=1,
                 edgecolors=PLAIN, linewidths=0.3, zorder=2)
    axes.scatter(places[complete.index(best)], best.objectives[0], s=40, facecolors='none', edgecolors=GOOD, linewidths=1.4,
                 zorder=3)
    axes.set_xlabel(without_missing(dimension.name.replace('$', r'\$')))
    axes.grid(alpha=0.25)
    if dimension.choices:
        texts = [without_missing(as_text(value).replace('$', r'\$')) for value in dimension.choices]
        step = -(-len(texts) // MOST_MARKS)
        long = max(map(len, texts)) * min(len(texts), MOST_MARKS) > 16
        axes.set_xticks(range(0, len(texts), step), texts[::step], rotation=35 if long else 0, ha='right' if long else 'center')
        axes.set_xlim(-0.6, len(texts) - 0.4)
        return
    low, high = dimension.low, dimension.high
    if dimension.log:
        axes.set_xscale('log')
        marks = np.geomspace(low, high, 4)
        axes.set_xticks(marks, [typed(mark, 2) for mark in marks])
        axes.set_xticks([], minor=True)
        axes.set_xlim(low * (low / high) ** MARGIN, high * (high / low) ** MARGIN)
    else:  # all of the range: one sees where the search has not been
        axes.set_xlim(low - MARGIN * (high - low), high + MARGIN * (high - low))
        axes.xaxis.get_major_locator().set_params(integer=isinstance(low, int), nbins=5)


def _places(dimension: Dimension, complete: Sequence[Tried]) -> np.ndarray:
    """Return where on the axis of a param each trial is."""
    values = [one.values[dimension.name] for one in complete]
    if not dimension.choices:
        return np.array(values, dtype=float)
    texts = [as_text(value) for value in dimension.choices]
    apart = np.random.default_rng(0).uniform(-SCATTER, SCATTER, len(values))  # the same in every picture
    return np.array([texts.index(as_text(value)) for value in values]) + apart


def _shades(complete: Sequence[Tried]) -> np.ndarray:
    """Return how dark each trial is: the later the darker."""
    return np.linspace(0.15, 0.95, len(complete))


def _name(axes: Any, which: str, figure: str) -> None:
    """Say on an axis which figure it shows; fractions are per cent."""
    from matplotlib.ticker import PercentFormatter

    getattr(axes, f'set_{which}label')(named(figure).label)
    if named(figure).form in (PERCENT, SMALL_PERCENT):
        getattr(axes, f'{which}axis').set_major_formatter(PercentFormatter(1.0))
