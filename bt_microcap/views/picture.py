"""The picture of a run, for those who only want a picture."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .fonts import chinese_font, families, without_missing
from .language import CHINESE, ENGLISH, say, translate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# as in the HTML report: the strategy, the benchmark, the index of the micro-caps, losses
BLUE, GREY, AMBER, RED = '#3577d4', '#8a929e', '#c98a1b', '#d0493a'
MANY_YEARS = 8  # from then on the numbers of the yearly returns stand upright
WORDS = {  # in English; `language.say` has the Chinese
    'strategy': 'strategy', 'benchmark': 'benchmark', 'microcap': 'micro-cap index', 'value': 'value, start = 1',
    'log_value': 'value, start = 1, log scale', 'drawdown': 'drawdown', 'holdings': 'holdings', 'years': 'return of the year',
    'costs': 'costs, yuan', 'all_costs': 'costs, yuan: {total}', 'no_costs': 'no costs',
    'trades': 'closed trades: {count}, won {percent}, mean {own}', 'number': 'trades', 'return': 'return of a closed trade',
    'no_trades': 'no closed trades', 'commission': 'commission', 'stamp_duty': 'stamp duty', 'transfer_fee': 'transfer fee',
    'slippage': 'slippage', 'dividend_tax': 'dividend tax', 'deepest': 'largest drawdown', 'recorded': 'recorded',
}


def picture(
    path: Path, days: Sequence[date], growth: Sequence[float], *, title: str, benchmark: Sequence[float] | None = None,
    benchmark_name: str = '', microcap: Sequence[float] | None = None, holdings: Sequence[int] = (),
    costs: Mapping[str, float] | None = None, trades: Sequence[float] = (),
    recorded: Mapping[str, Sequence[tuple[date, float]]] | None = None, language: str = 'en',
) -> None:
    """Draw a run: its value against the indices, drawdown, holdings, the returns of the years, costs and closed trades.

    No window and no other figure of the process is touched, and matplotlib's settings are as before.

    Parameters
    ----------
    path : Path
        A PNG file.
    days : sequence of date
        The days of the run, ascending, one at least.
    growth : sequence of float, shape (days + 1,)
        Level of the account before the first day, 1, and after each; money that came in is no return. It is drawn on a log
        scale where all of it is above 0.
    title : str
    benchmark : sequence of float, shape (days + 1,), optional
        Level of the benchmark, 1 before the first day; NaN where it is not known.
    benchmark_name : str
        What the legend calls it.
    microcap : sequence of float, shape (days + 1,), optional
        Level of the micro-cap index.
    holdings : sequence of int, shape (days,)
        Stocks held after each day; empty: not drawn.
    costs : mapping of str to float, optional
        Yuan paid, by kind: ``commission``, ``stamp_duty``, ``transfer_fee``, ``slippage``, ``dividend_tax``, or any other name.
    trades : sequence of float
        Rate of return of each closed trade.
    recorded : mapping of str to sequence of (date, float), optional
        What a JoinQuant script recorded, by name.
    language : str
        ``'en'`` or ``'zh'``; without a font with Chinese characters English.

    Raises
    ------
    ValueError
        There is no day, or no such language.
    """
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot, which would ask for a window

    if language not in (ENGLISH, CHINESE):
        raise ValueError(f"language is {language!r}: expected 'en' or 'zh'")
    if not len(days):
        raise ValueError('found no day to draw')
    if language == CHINESE and chinese_font() is None:
        language = ENGLISH
    words = {name: say(language, text) for name, text in WORDS.items()}
    lines = [(words['strategy'], np.asarray(growth, 'float64'), BLUE, 1.6)]
    if benchmark is not None:
        name = without_missing(translate(benchmark_name, language)) or words['benchmark']
        lines.append((name, np.asarray(benchmark, 'float64'), GREY, 1.2))
    if microcap is not None:
        lines.append((words['microcap'], np.asarray(microcap, 'float64'), AMBER, 1.2))
    stamps = [days[0] - timedelta(1), *days]
    # the settings are read when a text is made, some only when it is drawn
    with matplotlib.rc_context({'font.family': families(), 'axes.unicode_minus': False, 'font.size': 10.0}):
        figure = Figure(figsize=(12, 13 if len(holdings) else 12), layout='constrained')
        figure.get_layout_engine().set(h_pad=0.08, w_pad=0.08)
        rows = [['value', 'value'], ['drawdown', 'drawdown'], ['holdings', 'holdings'], ['years', 'years'], ['costs', 'trades']]
        heights = [4.0, 1.4, 1.0, 2.0, 2.0]
        if not len(holdings):
            del rows[2], heights[2]
        if recorded:
            rows.insert(len(rows) - 2, ['recorded', 'recorded'])
            heights.insert(len(heights) - 2, 1.4)
            figure.set_figheight(figure.get_figheight() + 1.6)
        axes = figure.subplot_mosaic(rows, height_ratios=heights)
        _draw_value(axes['value'], stamps, lines, words)
        _draw_drawdown(axes['drawdown'], stamps, lines[0][1], words)
        over_time = [axes['value'], axes['drawdown']]
        if len(holdings):
            _draw_holdings(axes['holdings'], stamps, holdings, words)
            over_time.append(axes['holdings'])
        if recorded:
            _draw_recorded(axes['recorded'], recorded, words)
            over_time.append(axes['recorded'])
        _date_scale(over_time, stamps)
        _draw_years(axes['years'], days, lines[:2] if benchmark is not None else lines[:1], words)
        _draw_costs(axes['costs'], costs or {}, words)
        _draw_trades(axes['trades'], trades, words)
        said = without_missing(translate(title, language))
        axes['value'].set_title(textwrap.fill(said, 100), pad=26, fontsize=13, parse_math=False)
        part = path.with_name(path.name + '.part')
        figure.savefig(part, dpi=110, format='png')
    os.replace(part, path)


def _draw_value(axes: Axes, stamps: Sequence[date], lines: Sequence[tuple], words: Mapping[str, str]) -> None:
    for name, level, color, width in lines:
        last = level[np.isfinite(level)][-1:]
        said = f'{name} {last[0] - 1:+,.1%}' if len(last) else name
        axes.plot(stamps, level, color=color, linewidth=width, label=without_math(said), zorder=3 if color == BLUE else 2)
    values = np.concatenate([level[np.isfinite(level)] for _, level, _, _ in lines])
    logarithmic = bool((values > 0).all())
    if logarithmic:
        _log_scale(axes, float(values.min()), float(values.max()))
    else:  # nothing is left, or less: no log of that
        _number_format(axes.yaxis)
    axes.axhline(1.0, color='black', linewidth=0.6, zorder=1)
    axes.set_ylabel(words['log_value' if logarithmic else 'value'])
    axes.grid(alpha=0.25)
    axes.legend(loc='lower left', bbox_to_anchor=(0.0, 1.0), ncols=len(lines), frameon=False, borderaxespad=0.2)


def _draw_recorded(axes: Axes, recorded: Mapping[str, Sequence[tuple[date, float]]], words: Mapping[str, str]) -> None:
    for name, values in recorded.items():
        days, levels = zip(*values, strict=True)
        axes.plot(days, levels, linewidth=1.2, label=without_math(without_missing(name)))
    axes.set_ylabel(words['recorded'])
    axes.grid(alpha=0.25)
    axes.legend(loc='lower left', bbox_to_anchor=(0.0, 1.0), ncols=min(8, len(recorded)), frameon=False, borderaxespad=0.2)


def _log_scale(axes: Axes, low: float, high: float) -> None:
    """Put a log scale with labels in plain numbers on the values."""
    from matplotlib.ticker import FixedLocator, NullLocator

    room = max((high / low) ** 0.04, 1.01)
    axes.set_yscale('log')
    axes.set_ylim(low / room, high * room)
    axes.yaxis.set_major_locator(FixedLocator(round_values(low / room, high * room)))
    axes.yaxis.set_minor_locator(NullLocator())
    _number_format(axes.yaxis)


def round_values(low: float, high: float) -> list[float]:
    """Return round numbers in a range, both above 0, for a log scale: neither crowded nor fewer than two if possible."""
    from matplotlib.ticker import MaxNLocator

    if high / low < 4:
        found = MaxNLocator(nbins=7, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    else:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        span = math.log10(high / low)
        digits = (1, 1.5, 2, 3, 4, 5, 7) if span < 1.1 else (1, 2, 5) if span < 3.5 else (1,)
        every = max(1, math.ceil(span / 10))
        found = [digit * 10.0 ** decade for decade in decades if decade % every == 0 for digit in digits]
    return [float(value) for value in found if low <= value <= high]


def _draw_drawdown(axes: Axes, stamps: Sequence[date], level: np.ndarray, words: Mapping[str, str]) -> None:
    fall = level / np.maximum.accumulate(level) - 1
    axes.fill_between(stamps, fall, 0, color=RED, alpha=0.35, linewidth=0)
    deepest = float(np.nanmin(fall))
    axes.set_ylim(min(deepest * 1.08, -0.01), 0)
    _percent_format(axes.yaxis)
    axes.set_ylabel(words['drawdown'])
    axes.set_title(f'{words["deepest"]} {deepest:.1%}', loc='right', fontsize=9, color=RED, pad=3)
    axes.grid(alpha=0.25)


def _draw_holdings(axes: Axes, stamps: Sequence[date], holdings: Sequence[int], words: Mapping[str, str]) -> None:
    from matplotlib.ticker import MaxNLocator

    # what is held after a day is held from its close to that of the next
    axes.fill_between(stamps, [0, *holdings], 0, step='post', color=BLUE, alpha=0.35, linewidth=0)
    axes.set_ylim(0, max(1, *holdings) * 1.1)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.set_ylabel(words['holdings'])
    axes.grid(alpha=0.25)


def _date_scale(axes: Sequence[Axes], stamps: Sequence[date]) -> None:
    """Give charts one scale of dates, its labels below the last."""
    from matplotlib.dates import AutoDateLocator, DateFormatter, date2num
    from matplotlib.ticker import FixedLocator

    span = (stamps[-1] - stamps[0]).days
    room = timedelta(max(1, round(span * 0.01)))
    for one in axes:
        one.set_xlim(stamps[0] - room, stamps[-1] + room)
        if span < 9:  # each day; the hours between are nobody's
            one.xaxis.set_major_locator(FixedLocator(date2num(stamps)))
        else:
            one.xaxis.set_major_locator(AutoDateLocator(minticks=4, maxticks=12))
        one.xaxis.set_major_formatter(DateFormatter('%Y' if span > 5 * 366 else '%Y-%m' if span > 200 else '%Y-%m-%d'))
        one.tick_params(axis='x', labelbottom=one is axes[-1])


def yearly_returns(days: Sequence[date], level: np.ndarray) -> dict[int, float]:
    """Return year -> return from the last level before the year to its last one; NaN where one is not known or not above 0."""
    found, before = {}, float(level[0])
    last = {day.year: at for at, day in enumerate(days, 1)}
    for year, at in last.items():
        now = float(level[at])
        found[year] = now / before - 1 if before > 0 else math.nan
        before = now
    return found


def _draw_years(axes: Axes, days: Sequence[date], lines: Sequence[tuple], words: Mapping[str, str]) -> None:
    parts = [(color, yearly_returns(days, level)) for _, level, color, _ in lines]
    years = list(parts[0][1])
    wide = 0.8 / len(parts) if len(years) > 2 else 0.3 / len(parts)
    upright = len(years) > MANY_YEARS
    for number, (color, returns) in enumerate(parts):
        for at, year in enumerate(years):
            value = returns[year]
            if value == value:
                place = at + (number - (len(parts) - 1) / 2) * wide
                axes.bar(place, value, width=wide * 0.94, color=color)
                up = value >= 0
                axes.annotate(f'{value:+.0%}' if upright else f'{value:+.1%}', (place, value), (0, 3 if up else -3), ha='center',
                              va='bottom' if up else 'top', textcoords='offset points', rotation=90 * upright, fontsize=8,
                              color=color)
    axes.axhline(0, color='black', linewidth=0.6)
    axes.set_xlim(-0.6, len(years) - 0.4)
    every = math.ceil(len(years) / 30)
    axes.set_xticks(range(0, len(years), every), [str(year) for year in years[::every]])
    known = [value for _, returns in parts for value in returns.values() if value == value]
    low, high = min([0.0, *known]), max([0.0, *known])
    room = max((high - low) * (0.6 if upright else 0.2), 0.01)  # for the numbers
    axes.set_ylim(low - room * (low < 0), high + room * any(value >= 0 for value in known) + 0.01 * (not known))
    _percent_format(axes.yaxis)
    axes.set_title(words['years'], fontsize=10)
    axes.grid(axis='y', alpha=0.25)


def _draw_costs(axes: Axes, costs: Mapping[str, float], words: Mapping[str, str]) -> None:
    axes.set_title(words['all_costs'].format(total=f'{sum(costs.values()):,.0f}') if costs else words['costs'], fontsize=10)
    if not costs:
        _say(axes, words['no_costs'])
        return
    places = range(len(costs))
    axes.barh(places, list(costs.values()), color=GREY, height=0.6)
    for place, value in zip(places, costs.values(), strict=True):
        axes.annotate(f'{value:,.0f}', (value, place), (4 if value >= 0 else -4, 0), textcoords='offset points', va='center',
                      ha='left' if value >= 0 else 'right', fontsize=9)
    axes.set_yticks(places, [words.get(name, without_missing(name.replace('_', ' '))) for name in costs])
    axes.set_ylim(len(costs) - 0.4, -0.6)  # the first on top
    low, high = min(0.0, *costs.values()), max(0.0, *costs.values())
    room = max((high - low) * 0.25, 1.0)
    axes.set_xlim(low - room * (low < 0), high + room)
    axes.set_xticks([])
    axes.axvline(0, color='black', linewidth=0.6)
    axes.spines[['top', 'right', 'bottom', 'left']].set_visible(False)
    axes.tick_params(axis='y', length=0)


def _draw_trades(axes: Axes, trades: Sequence[float], words: Mapping[str, str]) -> None:
    known = np.asarray([value for value in trades if math.isfinite(value)], 'float64')
    if not len(known):
        axes.set_title(words['return'], fontsize=10)
        _say(axes, words['no_trades'])
        return
    edges = bins_of(known)
    shown = np.clip(known, np.nextafter(edges[0], math.inf), edges[-1])  # a few far away stand in the last bins
    counts = np.histogram(-shown, -edges[::-1])[0][::-1]  # a bin's upper edge is in it: a return of 0 is no gain
    middles, wide = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    axes.bar(middles, counts, width=wide * 0.94, color=[RED if middle > 0 else GREY for middle in middles])
    axes.axvline(0, color='black', linewidth=0.6)
    axes.set_xlim(edges[0] - wide / 2, edges[-1] + wide / 2)
    axes.set_ylim(0, counts.max() * 1.08)
    said = words['trades'].format(count=f'{len(known):,}', percent=f'{(known > 0).mean():.1%}', own=f'{known.mean():+.2%}')
    axes.set_title(said, fontsize=10)
    axes.set_xlabel(words['return'])
    axes.set_ylabel(words['number'])
    _percent_format(axes.xaxis)
    _whole_numbers(axes.yaxis)
    axes.grid(axis='y', alpha=0.25)


def bins_of(values: np.ndarray) -> np.ndarray:
    """Return the edges of a histogram's bins: of a round width, one edge at 0, so that a bin is of gains or of losses."""
    low, high = np.quantile(values, [0.005, 0.995]) if len(values) > 200 else (values.min(), values.max())
    span = max(float(high - low), abs(float(high)), abs(float(low)), 0.001)
    rough = span / min(40, max(8, 2 * math.sqrt(len(values))))
    unit = 10.0 ** math.floor(math.log10(rough))
    width = next(step * unit for step in (1, 2, 5, 10) if step * unit >= rough)
    first, last = min(math.ceil(low / width) - 1, -1), max(math.ceil(high / width), 1)
    return np.arange(first, last + 1) * width


def _say(axes: Axes, text: str) -> None:
    """Write a text where there is nothing to draw."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha='center', va='center', color=GREY)
    axes.set_axis_off()


def without_math(text: str) -> str:
    """Return a text in which a dollar is a dollar, where matplotlib reads formulas."""
    return text.replace('$', r'\$')


def _percent_format(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f'{100 * value:,.6g}%'))


def _number_format(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:,.6g}'))


def _whole_numbers(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:,.0f}'))
