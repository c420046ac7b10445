"""Where the parts of a figure by Backtrader's plotter stand: legends above the charts, the last values beside the scales.

Backtrader puts legends over the lines and the tags of the last values over the scale. A layout engine is matplotlib's own place
to mend that: it is asked at each drawing, whatever the size, and whether for a file, a notebook or a window. Imported only when
something is drawn: with it comes matplotlib.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import LayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator, ScalarFormatter

# all in points, a 72nd of an inch
EDGE = 6.0  # around all
DATES = 26.0  # below the last chart
GAP = 19.0  # between two charts: half a tag of each
LOWEST = 30.0  # a chart
TAG = 17.0  # a tag's height
TICK = 14.0  # from one label of a scale to the next
LABEL = 9.0  # a label's font
TICK_LENGTH = 7.0  # from a chart's edge to its labels
WIDTH, HEIGHT, A_CHART = 16.0, 9.0, 0.95  # inches: what cerebro.plot() takes for its width and height and forgets


def arrange(strategy: Any) -> None:
    """Arrange the figure that Backtrader's plotter is drawing a strategy on; called from a label of one of its charts.

    A figure of matplotlib's default size gets a readable one, but for a window, whose size is the user's.
    """
    pyplot = sys.modules.get('matplotlib.pyplot')
    if pyplot is None or not pyplot.get_fignums():
        return  # another plotter asks
    figure = pyplot.gcf()
    if isinstance(figure.get_layout_engine(), ChartLayout) or not figure.axes:
        return
    if figure.gca().yaxis.get_ticks_position() != 'right':
        return  # a figure of the user's: Backtrader's scales are on the right
    figure.set_layout_engine(ChartLayout())
    default = [matplotlib.rcParamsDefault['figure.figsize'], list(figure.get_size_inches())]
    if np.allclose(*default) and getattr(type(figure.canvas), 'required_interactive_framework', None) is None:
        figure.set_size_inches(WIDTH, max(HEIGHT, A_CHART * _count(strategy)))


def _count(strategy: Any) -> int:
    """Return the number of charts of a strategy's plot, about."""
    parts = [*strategy.getobservers(), *(one for one in strategy.getindicators() if hasattr(one, 'plotinfo'))]
    return sum(bool(data.plotinfo.plot) for data in strategy.datas) + sum(
        bool(part.plotinfo.plot and part.plotinfo.subplot and not part.plotinfo.plotskip) for part in parts)


class ChartLayout(LayoutEngine):
    """Arranges the charts of a figure by Backtrader's plotter, one below the other, at each drawing.

    Each chart has its legend above it, in a row; right of it the labels of its scale, and right of these the tags of the last
    values, moved apart where they would overlap. No scale has more labels than it has room for. The heights go by the
    rows that Backtrader gives (``rowsmajor``, ``rowsminor``), but none is too low to be read while there is room.
    """

    _adjust_compatible = True  # Backtrader calls subplots_adjust()
    _colorbar_gridspec = True

    def __init__(self) -> None:
        super().__init__()
        self._tags: dict[Text, float] = {}  # tag -> the value that it stands for
        self._legends: dict[Axes, Any] = {}  # those that are above their charts
        self._seen: set[Axes] = set()  # the first chart of what was drawn before

    def execute(self, fig: Figure) -> None:
        """Arrange a figure; called by matplotlib before it is drawn."""
        panels = _panels(fig)
        if not panels:
            return
        renderer = fig._get_renderer()  # as matplotlib's own engines do: a text keeps that of the drawing before, of another size
        point = fig.dpi / 72
        if panels[0][0] not in self._seen:
            self._seen.add(panels[0][0])
            _little_room_at_the_sides(panels)
        width, height = fig.bbox.width, fig.bbox.height
        tags = [self._tags_of(panel) for panel in panels]
        for panel in panels:
            _plain_scales(panel)
        column = width - EDGE * point - max([0.0, *(_tag_width(tag, renderer) for found in tags for tag in found)])
        lowest = [max(LOWEST, TAG * len(found)) * point for found in tags]
        for _ in range(2):  # how wide the labels are depends on how many there are, and that on the heights
            left = EDGE * point + max(_label_width(panel, renderer, right=False) for panel in panels)
            right = max(column - EDGE * point - max(_label_width(panel, renderer, right=True) for panel in panels), left + 1)
            strips = [max(GAP * point, self._lift_legends(panel, right - left, renderer)) for panel in panels]
            heights = _heights([_rows(panel) for panel in panels], lowest, height - (EDGE + DATES) * point - sum(strips))
            for panel, tall in zip(panels, heights, strict=True):
                _thin_out(panel, tall / point)
        top = height - EDGE * point
        for panel, strip, tall, found in zip(panels, strips, heights, tags, strict=True):
            top -= strip + tall
            for axes in panel:
                axes.set_position((left / width, top / height, (right - left) / width, tall / height))
            self._place_tags(fig, found, column, top, top + tall)
        _dates_below_the_last(panels, renderer)

    def _tags_of(self, panel: Sequence[Axes]) -> list[Text]:
        """Return the tags of a chart's last values."""
        found = []
        for axes in panel:
            for text in axes.texts:
                if text in self._tags:
                    found.append(text)
                elif text.get_bbox_patch() is not None and text.get_transform() == axes.transData:
                    self._tags[text] = text.get_position()[1]
                    found.append(text)
        return found

    def _place_tags(self, figure: Figure, tags: list[Text], left: float, bottom: float, top: float) -> None:
        """Put a chart's tags beside its scale, each at its value or next to it."""
        size = TAG * figure.dpi / 72
        heights = {}
        for tag in tags:
            high = float(tag.axes.transData.transform((0.0, self._tags[tag]))[1])
            tag.set_visible(bottom - size <= high <= top + size)  # not in a part that was zoomed away
            if tag.get_visible():
                heights[tag] = min(max(high, bottom), top)
        ordered = sorted(heights, key=heights.__getitem__)
        places = [heights[tag] for tag in ordered]
        for at in range(1, len(places)):
            places[at] = max(places[at], places[at - 1] + size)
        for at in reversed(range(len(places))):
            places[at] = min(places[at], top - size * (len(places) - 1 - at))
        for tag, place in zip(ordered, places, strict=True):
            tag.set_transform(figure.transFigure)
            arrow = 0.6 * tag.get_fontsize() * figure.dpi / 72  # of its box, to the left of the number
            tag.set_position(((left + arrow) / figure.bbox.width, place / figure.bbox.height))

    def _lift_legends(self, panel: Sequence[Axes], width: float, renderer: Any) -> float:
        """Put a chart's legend above it, in as many rows as its width asks for, and return the height that it takes, pixels."""
        tall = 0.0
        for axes in panel:
            legend = axes.get_legend()
            if legend is None or not legend.get_texts():
                continue
            if self._legends.get(axes) is not legend:
                legend = self._legends[axes] = _lifted(panel, legend, width, renderer)
            tall += legend.get_window_extent(renderer).height
        return tall


def _panels(figure: Figure) -> list[list[Axes]]:
    """Return the axes of each chart, from the top; those that share a place are one chart."""
    found: dict[int, list[Axes]] = {}
    for axes in figure.axes:
        spec = axes.get_subplotspec()
        if spec is not None:
            found.setdefault(spec.rowspan.start, []).append(axes)
    return [found[row] for row in sorted(found)]


def _little_room_at_the_sides(panels: Sequence[Sequence[Axes]]) -> None:
    """Let the lines begin near the left edge: no legend needs the room any more."""
    for axes in (axes for panel in panels for axes in panel):
        axes.set_xmargin(0.01)
    first = panels[0][0]  # the others share its dates
    if first.get_autoscalex_on():
        first.autoscale_view(scaley=False)


def _rows(panel: Sequence[Axes]) -> int:
    return len(panel[0].get_subplotspec().rowspan)


def _heights(weights: Sequence[float], lowest: Sequence[float], room: float) -> list[float]:
    """Share out a height by weights, none less than its lowest while there is room for all."""
    if sum(lowest) >= room:
        return [max(1.0, room * least / sum(lowest)) for least in lowest]
    raised: set[int] = set()
    while True:
        unit = (room - sum(lowest[at] for at in raised)) / sum(weight for at, weight in enumerate(weights) if at not in raised)
        low = {at for at, weight in enumerate(weights) if at not in raised and weight * unit < lowest[at]}
        if not low:
            return [lowest[at] if at in raised else weight * unit for at, weight in enumerate(weights)]
        raised |= low


def _plain_scales(panel: Sequence[Axes]) -> None:
    """Write the numbers of the scales in full: a power of ten above a chart would stand in its legend."""
    for axes in panel:
        axes.tick_params(labelsize=LABEL)
        if isinstance(axes.yaxis.get_major_formatter(), ScalarFormatter):
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:,.12g}'))


def _label_width(panel: Sequence[Axes], renderer: Any, right: bool) -> float:
    """Return the width that a chart's labels take on one side, with their ticks, pixels."""
    widths = [0.0]
    for axes in panel:
        if (axes.yaxis.get_ticks_position() == 'right') is right:
            found = [label.get_window_extent(renderer).width for label in axes.get_yticklabels() if label.get_text()]
            widths += [width + TICK_LENGTH * axes.figure.dpi / 72 for width in found]
    return max(widths)


def _tag_width(tag: Text, renderer: Any) -> float:
    """Return the width of a tag, its box included, pixels."""
    return tag.get_window_extent(renderer).width + 1.6 * tag.get_fontsize() * tag.figure.dpi / 72


def _thin_out(panel: Sequence[Axes], points: float) -> None:
    """Give a chart's scales no more labels than there is room for."""
    most = min(8, max(1, int(points / TICK)))
    for axes in panel:
        if axes.get_yscale() == 'linear' and isinstance(axes.yaxis.get_major_locator(), MaxNLocator):
            whole = all((values == np.round(values)).all() for values in (_known(line.get_ydata()) for line in axes.lines))
            axes.yaxis.set_major_locator(MaxNLocator(nbins=most, min_n_ticks=min(2, most), integer=whole and bool(axes.lines)))


def _known(values: Any) -> np.ndarray:
    found = np.asarray(values, 'float64')
    return found[np.isfinite(found)]


def _dates_below_the_last(panels: Sequence[Sequence[Axes]], renderer: Any) -> None:
    """Show the dates below the last chart alone, without a time of day where there is none, in one line."""
    for panel in panels:
        for axes in panel:
            last = axes is panels[-1][0]
            axes.tick_params(axis='x', labelbottom=last, labelrotation=0)
            for label in axes.get_xticklabels():
                label.set_visible(last)
    formatter = panels[-1][0].xaxis.get_major_formatter()
    stamps, pattern = getattr(formatter, 'dates', ()), getattr(formatter, 'fmt', '')  # Backtrader's
    if pattern.endswith(' %H:%M') and all(stamp == int(stamp) for stamp in stamps):
        formatter.fmt = pattern.removesuffix(' %H:%M')
    _hide_crowded(panels[-1][0], renderer)


def _hide_crowded(axes: Axes, renderer: Any) -> None:
    """Hide the dates that would stand over the one before: near the end of a month Backtrader's lie close together."""
    gap = EDGE * axes.figure.dpi / 72
    end = -np.inf
    for label in sorted(axes.get_xticklabels(), key=lambda label: label.get_position()[0]):
        box = label.get_window_extent(renderer)
        if not axes.bbox.x0 - 1 <= (box.x0 + box.x1) / 2 <= axes.bbox.x1 + 1:
            continue  # outside of what is shown
        label.set_visible(box.x0 > end + gap)
        if label.get_visible():
            end = box.x1


def _lifted(panel: Sequence[Axes], legend: Any, width: float, renderer: Any) -> Any:
    """Return a legend like one of Backtrader's, above the chart, with as many columns as fit."""
    known = {}
    for axes in panel:
        known.update({label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)})
    names = [text.get_text() for text in legend.get_texts()]
    handles = [known.get(name, handle) for name, handle in zip(names, legend.legend_handles, strict=True)]
    font = legend.get_texts()[0].get_fontproperties()
    for columns in range(len(names), 0, -1):
        made = legend.axes.legend(
            handles, _one_line_names(names), loc='lower left', bbox_to_anchor=(0.0, 1.0), ncols=columns, frameon=False, prop=font,
            borderaxespad=0.0, borderpad=0.25, handlelength=1.6, columnspacing=1.4, numpoints=1)
        if made.get_window_extent(renderer).width <= width:
            break
    return made


def _one_line_names(names: Sequence[str]) -> list[str]:
    """Return the entries of a legend in a line each.

    Backtrader writes the name of an observer or indicator above that of its first line. A name in parentheses says something of
    the whole chart; a line that is called as its chart need not be named twice.
    """
    found, notes = [], []
    for name in names:
        head, _, line = name.rpartition('\n')
        if head.startswith('(') and head.endswith(')'):
            notes.append(head)
            head = ''
        word, _, value = line.partition(' ')
        if head and head.lower().startswith(word.lower()):
            line = value
        found.append(' '.join(part for part in (f'{head}:' if head and line and line != value else head, line) if part))
    found[0] = ' '.join([found[0], *notes])
    return found
