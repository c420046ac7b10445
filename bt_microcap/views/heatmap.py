"""The picture of a grid of runs: figures over two of its dimensions, the best cell and its plateau."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..record.param_texts import as_text
from ..study.ledger import LESS_IS_BETTER
from ..study.plateau import Cells, Plane, best_of, best_plateau, cells_of, plane_of
from .figure_names import label_of, named, number_of
from .fonts import chinese_font, families, without_missing
from .language import CHINESE, ENGLISH, columns_of, known_language, say, translate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE_BY_SIDE = ('annual_return', 'sharpe')  # what is shown where nothing is asked for
MOST_NUMBERS = 30  # values of a dimension beyond which the cells bear no numbers, which would not fit
MOST_FIGURES = 12  # of one picture
WIDEST = 40.0  # inches of a panel, and its height
BESIDE = 24.0  # inches of panels side by side; the others are below
CHARACTER = 0.088  # inches of one on the axes and in the cells, with some room
BLANK = '#c9c9c9'  # cells without a value: no color of the scale, whose middle is nearly white
LONG = 12  # characters of a value on the axis across, from which on they stand askew


def heatmap(
    path: Path, rows: Sequence[tuple], columns: Sequence[str], title: str, dimensions: int = 2, *,
    figures: Sequence[str] = SIDE_BY_SIDE, plane: Plane | None = None, language: str = ENGLISH,
) -> None:
    """Draw figures over two dimensions of a grid side by side, of each the best cell framed, and how good its neighbours are.

    Where another cell is better together with its neighbours than the best is with its own, it has a dashed frame. Of each
    cell it shows the mean over the dimensions that are neither shown nor fixed, and the title says so. Cells without a run,
    or whose runs do not have the figure, are blank. No window and no other figure of the process is touched.

    Parameters
    ----------
    path : Path
        A PNG file.
    rows : sequence of tuple
        Rows of `columns`, one or more.
    columns : sequence of str
        What a row holds: the dimensions first, then the figures.
    title : str
    dimensions : int
        How many there are.
    figures : sequence of str
        Of the columns, one to `MOST_FIGURES`; of those of `ledger.LESS_IS_BETTER` the smallest is the best.
    plane : Plane, optional
        Which dimensions are shown and which are fixed; without it the first two that have more than one value. With one such
        dimension it is a single row.
    language : str
        ``'en'`` or ``'zh'``; without a font with Chinese characters English.

    Raises
    ------
    ValueError
        A figure or a name of the plane is no column, there are none or too many figures, or there is no such language.
    """
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot, which would ask for a window

    if known_language(language) == CHINESE and chinese_font() is None:
        language = ENGLISH
    if not 1 <= len(figures) <= MOST_FIGURES:
        raise ValueError(f'found {len(figures)} figures, expected 1 to {MOST_FIGURES}')
    plane = plane_of(rows, columns, dimensions) if plane is None else plane
    shown = [(name, cells_of(rows, columns, name, plane)) for name in figures]
    wide, high = _size(shown)
    beside = min(len(shown), 2 if len(shown) == 4 else 3, max(1, int(BESIDE / wide)))
    below = math.ceil(len(shown) / beside)
    # the settings are read when a text is made, some only when it is drawn
    with matplotlib.rc_context({'font.family': families(), 'axes.unicode_minus': False, 'font.size': 10.0}):
        figure = Figure(figsize=(beside * wide, below * high + 0.5), layout='constrained')
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08)
        places = list(figure.subplots(below, beside, squeeze=False).flat)
        lines = [_draw(figure, axes, name, cells, plane, language) for axes, (name, cells) in zip(places, shown, strict=False)]
        for axes, (name, _) in zip(places, shown, strict=False):  # above what is said of the frames, all at one height
            axes.set_title(label_of(name, language), pad=8 + 15 * max(lines), parse_math=False)
        for axes in places[len(shown):]:
            axes.remove()
        # part by part: what is known of it is in Chinese
        parts = [translate(part, language) for part in title.split(', ')]
        said = [('，' if language == CHINESE else ', ').join(parts), others_of(plane, language)]
        figure.suptitle('\n'.join(textwrap.fill(without_missing(text), int(beside * wide * 9)) for text in said if text),
                        fontsize=12, parse_math=False)
        part = path.with_name(path.name + '.part')
        figure.savefig(part, dpi=110, format='png')
    os.replace(part, path)


def others_of(plane: Plane, language: str) -> str:
    """Return what becomes of the dimensions that are not shown: ``fixed at stop_loss=0.09; mean over keep``; empty for none.

    Parameters
    ----------
    plane : Plane
    language : str
        Of `language.LANGUAGES`.
    """
    parts = []
    if plane.fixed:
        values = ' '.join(f'{name}={as_text(value)}' for name, value in plane.fixed.items())
        parts.append(say(language, 'fixed at {params}', params=values))
    if plane.averaged:
        parts.append(say(language, 'mean over {params}', params=', '.join(plane.averaged)))
    return ('；' if language == CHINESE else '; ').join(parts)


def _size(shown: Sequence[tuple[str, Cells]]) -> tuple[float, float]:
    """Return width and height of a panel, in inches."""
    _, cells = shown[0]
    rows, across = cells.values.shape
    if not _numbered(cells):
        return min(WIDEST / 2, max(7.0, 2 + 0.14 * across)), min(14.0, max(2.6, 2.2 + 0.14 * rows))
    texts = [number_of(name, float(value)) for name, one in shown for value in one.values.flat if value == value]
    longest = max([*map(len, texts), *(min(LONG, columns_of(as_text(value))) for value in cells.across), 1])
    side = min(30, max(columns_of(as_text(value)) for value in cells.down)) * CHARACTER if rows > 1 else 0.0
    return (min(WIDEST, max(5.6, 1 + side + across * max(0.75, longest * CHARACTER + 0.2))),
            min(WIDEST, max(2.4 if rows == 1 else 3.2, 1.7 + 0.42 * rows)))


def _numbered(cells: Cells) -> bool:
    return max(cells.values.shape) <= MOST_NUMBERS


def _draw(figure: Figure, axes: Axes, name: str, cells: Cells, plane: Plane, language: str) -> int:
    """Draw a figure without its title, and return in how many lines something is said above it."""
    known = cells.values[~np.isnan(cells.values)]
    low, high = _scale(known, named(name).around_zero)
    image = axes.imshow(cells.values, cmap='BrBG_r' if name in LESS_IS_BETTER else 'BrBG', vmin=low, vmax=high, aspect='auto')
    axes.set_facecolor(BLANK)
    if not len(known):
        axes.text(0.5, 0.5, say(language, 'no run has this figure'), transform=axes.transAxes, ha='center', va='center')
    elif _numbered(cells):
        for (row, column), value in np.ndenumerate(cells.values):
            if value == value:
                red, green, blue, _ = image.cmap(image.norm(value))
                dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
                axes.text(column, row, number_of(name, float(value)), ha='center', va='center', fontsize=9,
                          color='white' if dark else 'black')
    else:
        figure.colorbar(image, ax=axes, format=lambda value, _: number_of(name, value), pad=0.01)
    _mark(axes.xaxis, cells.across, plane.across)
    _mark(axes.yaxis, cells.down if plane.down is not None else [], plane.down or '')
    return _frames(axes, name, cells.values, language)


def _scale(known: np.ndarray, around_zero: bool) -> tuple[float, float]:
    """Return which values have the two ends of the colours."""
    if not len(known):
        return -1.0, 1.0
    if around_zero:
        reach = max(float(np.abs(known).max()), 1e-9)
        return -reach, reach
    low, high = float(known.min()), float(known.max())
    room = max(abs(low), abs(high), 1e-9) * 1e-6
    return (low, high) if high - low > room else (low - room, high + room)


def _frames(axes: Axes, name: str, values: np.ndarray, language: str) -> int:
    """Frame the best cell and the best plateau, say how good they are, and return in how many lines."""
    less = name in LESS_IS_BETTER
    best, plateau = best_of(values, less), best_plateau(values, less)
    if best is None or values.size == 1:
        return 0
    own, other = number_of(name, best.value), number_of(name, best.mean) if best.neighbours else ''
    if not best.neighbours:
        texts = [say(language, 'best {own}, no neighbours', own=own)]
    elif best.neighbours == 1:
        texts = [say(language, 'best {own}, its one neighbour {other}', own=own, other=other)]
    else:
        texts = [say(language, 'best {own}, mean of its {count} neighbours {other}', own=own, count=best.neighbours, other=other)]
    small = max(values.shape) > MOST_NUMBERS
    frames = [_frame(axes, best.place, '-', small)]
    if plateau is not None and plateau.place != best.place:
        own = number_of(name, plateau.plateau)
        if best.neighbours:
            texts.append(say(language, 'best plateau, mean of {count} cells {own} (around the best {other})', own=own,
                             count=plateau.neighbours + 1, other=number_of(name, best.plateau)))
        else:
            texts.append(say(language, 'best plateau, mean of {count} cells {own}', own=own, count=plateau.neighbours + 1))
        frames.append(_frame(axes, plateau.place, (0, (2.4, 1.6)), small))
    axes.legend(frames, texts, loc='lower left', bbox_to_anchor=(0.0, 1.0), frameon=False, borderaxespad=0.1, fontsize=9,
                handlelength=1.5, handleheight=0.9, borderpad=0.2, labelspacing=0.35)
    return len(texts)


def _frame(axes: Axes, place: tuple[int, int], line: Any, small: bool) -> Any:
    """Put a frame into a cell, black on white, so that it is seen on any colour; return the black one."""
    from matplotlib.patches import Rectangle

    (row, column), edge = place, -0.15 if small else 0.03  # around a small cell, which it would hide
    for color, width, style in (('white', 3.0 if small else 4.2, '-'), ('black', 1.3 if small else 1.8, line)):
        patch = Rectangle((column - 0.5 + edge, row - 0.5 + edge), 1 - 2 * edge, 1 - 2 * edge, fill=False, edgecolor=color,
                          linewidth=width, linestyle=style, clip_on=False, zorder=3)
        axes.add_patch(patch)
    return patch


def _mark(axis: Any, values: Sequence[Any], name: str) -> None:
    step = -(-len(values) // MOST_NUMBERS) or 1  # not every one of very many
    texts = [without_missing(as_text(value)) for value in values[::step]]
    axis.set_ticks(range(0, len(values), step), texts, parse_math=False)
    if axis.axis_name == 'x' and max(map(columns_of, texts), default=0) > LONG:
        axis.set_tick_params(rotation=30)
    axis.set_label_text(without_missing(name), parse_math=False)
    axis.labelpad = 6.0
