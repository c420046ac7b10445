"""The pictures of studies."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..study.kinds.base import as_date
from ..study.kinds.walk_forward import Window, stitched
from ..study.studies import Study, read_stitched
from .fonts import chinese_font, families, without_missing
from .language import CHINESE, ENGLISH, say, translate
from .picture import AMBER, BLUE, GREY, RED
from .study_texts import HEADS, RULE_NAMES, TITLES, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALE = '#c5cad2'  # what is only there to be compared with
MANY = 14  # bars beyond which not each has its name and number


def save(path: Path, study: Study, language: str) -> None:
    """Draw a study into a PNG file: written beside, then renamed."""
    part = path.with_name(path.name + '.part')
    with open(part, 'wb') as stream:
        draw(stream, study, language)
    os.replace(part, path)


def draw(stream: Any, study: Study, language: str) -> None:
    """Draw a study as PNG. No window and no other figure of the process is touched.

    Parameters
    ----------
    stream : binary file
    study : Study
    language : str
        ``en`` or ``zh``; without a font with Chinese characters English.
    """
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot, which would ask for a window

    language = ENGLISH if language == CHINESE and chinese_font() is None else language
    with matplotlib.rc_context({'font.family': families(), 'axes.unicode_minus': False}):
        figure = Figure(figsize=(12, 4.8), layout='constrained')
        _DRAWN[study.kind](figure, study, lambda text, **values: say(language, text, **values))
        title = f'{say(language, TITLES[study.kind])}: {translate(study.about.get("title", ""), language)}'
        figure.suptitle(without_missing(title), fontsize=11)
        for axes in figure.axes:
            axes.spines[['top', 'right']].set_visible(False)
            axes.grid(axis='y', alpha=0.3)
            axes.set_axisbelow(True)
        figure.savefig(stream, dpi=110, format='png')


Say = Callable[..., str]


def _percent_axis(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:.4g}%' if abs(value) < 1e6 else f'{value:.0e}%'))


def _fan(axes: Axes, study: Study, _: Say, labels: bool) -> None:
    """Draw the value of each run, the user's own above all."""
    ledger, drawn = study.ledger, []
    for number, key in enumerate(study.keys):
        if key != study.own:
            shade = number / max(1, len(study.keys) - 1)
            days = list(map(as_date, ledger.days[key]))
            axes.plot(days, ledger.levels(key)[1:], color=(0.75 - 0.45 * shade, 0.6, 0.85 - 0.2 * shade), linewidth=0.9,
                      label=key[0] if labels and len(study.keys) <= 8 else None)
    if study.own in ledger:
        days = list(map(as_date, ledger.days[study.own]))
        drawn = axes.plot(days, ledger.levels(study.own)[1:], color=BLUE, linewidth=2.2,
                          label=_('yours: {own}', own=study.own[0]))
    _log(axes)
    axes.axhline(1, color=GREY, linewidth=0.8)
    axes.set_title(_('value, start = 1, log scale'), fontsize=10)
    if labels or drawn:
        axes.legend(fontsize=8, loc='best', frameon=False)
    _dates(axes)


def _dates(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    # numbers: the names of months would be English ones
    axes.xaxis.set_major_formatter(ConciseDateFormatter(
        locator, formats=('%Y', '%Y-%m', '%m-%d', '%H:%M', '%H:%M', '%S'), zero_formats=('', '%Y', '%Y-%m', '', '', ''),
        show_offset=False))


def _log(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = axes.get_ylim()
    if low <= 0 and min((min(line.get_ydata()) for line in axes.lines if len(line.get_ydata())), default=1) <= 0:
        return
    axes.set_yscale('log')
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(MaxNLocator(6) if high / low < 4 else LogLocator(
        10, subs=(1, 1.5, 2, 3, 5, 7) if high / low < 20 else (1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:.3g}'))


def _bars(axes: Axes, names: list[str], values: list[float], own: str | None, title: str) -> None:
    places = np.arange(len(names))
    axes.bar(places, [100 * value for value in values], color=[BLUE if name == own else GREY for name in names], width=0.75)
    step = -(-len(names) // MANY)
    axes.set_xticks(places[::step], names[::step], fontsize=8, rotation=0 if max(map(len, names)) < 4 else 60)
    if len(names) <= MANY:
        for place, value in zip(places, values, strict=True):
            axes.annotate(percent(value), (place, 100 * value), (0, 3 if value >= 0 else -11), textcoords='offset points',
                          ha='center', fontsize=8)
        axes.margins(y=0.12)
    middle = 100 * float(np.median(values))
    axes.axhline(middle, color=AMBER, linewidth=1.4, linestyle='--')
    axes.axhline(0, color='black', linewidth=0.8)
    _percent_axis(axes.yaxis)
    axes.set_title(title, fontsize=10)


def _phases(figure: Figure, study: Study, _: Say) -> None:
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _fan(left, study, _, labels=True)
    keys = study.keys
    _bars(right, [key[0] for key in keys], [study.ledger.figures[key]['annual_return'] for key in keys],
          None if study.own is None else study.own[0],
          _('annual return by {param}; dashed: the median', param=_(HEADS[study.names[0]])))


def _starts(figure: Figure, study: Study, _: Say) -> None:
    left, right = figure.subplots(1, 2, width_ratios=(1, 1))
    _fan(left, study, _, labels=False)
    keys = study.keys
    _bars(right, [key[0] for key in keys], [study.ledger.figures[key]['annual_return'] for key in keys], study.own[0],
          _('annual return by month of the start; dashed: the median'))


def _costs(figure: Figure, study: Study, _: Say) -> None:
    facts = study.facts
    for axes, (rule, points) in zip(np.atleast_1d(figure.subplots(1, len(facts['curves']), sharey=True)), facts['curves'].items(),
                                    strict=True):
        names = [_('none') if rule == 'volume_limit' and name == '0' else name for name, _value in points]
        values = [100 * value for _name, value in points]
        places = np.arange(len(names))
        axes.plot(places, values, color=BLUE, marker='o', markersize=4)
        if rule in facts['own']:
            own = [name for name, _value in points].index(facts['own'][rule])
            axes.plot([own], [values[own]], color=BLUE, marker='o', markersize=10, fillstyle='none', linestyle='none',
                      label=_('yours'))
        axes.axhline(0, color='black', linewidth=0.8)
        if facts['market_return'] is not None:
            axes.axhline(100 * facts['market_return'], color=GREY, linestyle='--', linewidth=1.2, label=_('the market'))
        axes.set_xticks(places, names, fontsize=8)
        axes.set_title(_('annual return by {rule}', rule=_(RULE_NAMES.get(rule, rule.replace('_', ' ')))), fontsize=10)
        _percent_axis(axes.yaxis)
    figure.axes[0].legend(fontsize=8, frameon=False)


def _capacity(figure: Figure, study: Study, _: Say) -> None:
    rows = study.facts['rows']
    cash = [row['cash'] for row in rows]
    left, middle, right = figure.subplots(1, 3)
    for axes, name, title, factor in ((left, 'annual_return', 'annual return', 100), (middle, 'filled_share', 'part filled', 100),
                                      (right, 'cost_rate', 'costs of what was traded', 100)):
        values = [None if row[name] is None else factor * row[name] for row in rows]
        axes.plot(cash, [np.nan if value is None else value for value in values], color=BLUE, marker='o', markersize=4)
        axes.set_xscale('log')
        axes.set_xlabel(_('cash, yuan'), fontsize=9)
        axes.set_title(_(title), fontsize=10)
        _percent_axis(axes.yaxis)
    left.axhline(0, color='black', linewidth=0.8)
    middle.set_ylim(0, 105)
    if study.facts['half_cash']:
        left.axvline(study.facts['half_cash'], color=RED, linestyle='--', linewidth=1.2, label=_('half of the best is gone'))
        left.legend(fontsize=8, frameon=False)


def _walk_forward(figure: Figure, study: Study, _: Say) -> None:
    facts, ledger = study.facts, study.ledger
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    windows = facts['windows']
    spans = [Window(*(date.fromisoformat(row[name]) for name in Window._fields)) for row in windows]
    best = tuple(facts['best_key'] or ())
    for combination in dict.fromkeys(key[2:] for key in study.keys):
        if all((row['test_start'], row['test_end'], *combination) in ledger for row in windows):
            days, levels = stitched(ledger, spans, [combination] * len(spans))
            drawn = list(map(as_date, days))
            if combination == best:
                left.plot(drawn, levels, color=AMBER, linewidth=1.8, zorder=3,
                          label=_('best in hindsight: {best}', best=facts['best']))
            else:
                left.plot(drawn, levels, color=PALE, linewidth=0.7)
    left.plot([], [], color=PALE, label=_('every combination'))
    days, levels = read_stitched(ledger.folder)
    left.plot([date.fromisoformat(day) for day in days], levels, color=BLUE, linewidth=2.2, zorder=4,
              label=_('chosen on the past'))
    for window in windows[1:]:
        left.axvline(date.fromisoformat(window['test_start']), color=GREY, linewidth=0.6, linestyle=':')
    _log(left)
    _dates(left)
    left.legend(fontsize=8, frameon=False)
    left.set_title(_('value, start = 1, log scale'), fontsize=10)
    places = np.arange(len(windows))
    right.vlines(places, [100 * row['worst'] for row in windows], [100 * row['best'] for row in windows], color=PALE,
                 linewidth=6, label=_('worst to best of all'))
    right.plot(places, [100 * row['median'] for row in windows], color=AMBER, marker='_', markersize=11, markeredgewidth=2,
               linestyle='none', label=_('median of all'))
    right.plot(places, [100 * row['total_return'] for row in windows], color=BLUE, marker='o', linestyle='none',
               label=_('the choice'))
    right.axhline(0, color='black', linewidth=0.8)
    step = -(-len(windows) // MANY)
    right.set_xticks(places[::step], [row['test_start'][:7] for row in windows][::step], fontsize=8, rotation=60)
    right.set_title(_('total return of each window'), fontsize=10)
    right.legend(fontsize=8, frameon=False)
    _percent_axis(right.yaxis)


_DRAWN: dict[str, Callable[[Figure, Study, Say], None]] = {
    'phases': _phases, 'starts': _starts, 'costs': _costs, 'capacity': _capacity, 'walk-forward': _walk_forward}
