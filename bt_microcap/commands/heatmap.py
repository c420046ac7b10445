"""Draw figures of a grid over any two of its params, and say how good the neighbours of the best are.

Reads results.csv and settings.json in the folder that optimize has written. The other params are fixed (--at) or averaged.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..feeds.errors import DataError
from ..record.param_texts import as_text
from ..study.ledger import JOURNAL, LESS_IS_BETTER, RESULTS, SETTINGS
from ..study.plateau import Cells, Peak, Plane, best_of, best_plateau, cells_of, plane_of
from ..views.figure_names import label_of, number_of
from ..views.heatmap import MOST_FIGURES, SIDE_BY_SIDE, heatmap, others_of
from ..views.language import CHINESE, ENGLISH, LANGUAGES, say
from .command_line import Parser, one_line_errors
from .grid_arguments import figure
from .strategy_arguments import assignment, near


class Sweep(NamedTuple):
    """What a folder of `optimize` holds.

    Parameters
    ----------
    rows : list of tuple
        Of `columns`: the values of the dimensions, then the figures, of which those that are no numbers are None.
    columns : tuple of str
    dimensions : tuple of str
        The first of the columns.
    title : str
        What was run, over which market, by which profile; parts with ``, `` between.
    """

    rows: list[tuple]
    columns: tuple[str, ...]
    dimensions: tuple[str, ...]
    title: str


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser('heatmap', description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, metavar='FOLDER', help='that optimize has written')
    parser.add_argument('--x', metavar='NAME', help='the param across (default: the second of those with several values)')
    parser.add_argument('--y', metavar='NAME', help='the param down (default: the first of those with several values)')
    parser.add_argument('--figure', nargs='+', action='extend', default=[], metavar='FIGURE',
                        help='columns of results.csv, such as calmar or max_drawdown (default: annual_return sharpe)')
    parser.add_argument('--at', type=assignment, nargs='+', action='extend', default=[], metavar='NAME=VALUE',
                        help='show only the runs with this value of another param, instead of the mean over its values')
    parser.add_argument('--lang', choices=LANGUAGES, default=ENGLISH, help='of the picture and of what is printed (default: en)')
    parser.add_argument('--out', type=Path, metavar='FILE.png', help='the picture (default: heatmap_X_Y.png in the folder)')
    return parser.parse_args(pargs)


# -- reading ------------------------------------------------------------------------------------------------


def read_sweep(folder: Path, figures: Sequence[str]) -> Sweep:
    """Return what a folder of `optimize` holds.

    Parameters
    ----------
    folder : Path
    figures : sequence of str
        Those of results.csv that are read.

    Raises
    ------
    DataError
        It is no such folder, or a file of it is damaged.
    """
    if not folder.is_dir():
        raise DataError(f'{folder}: found {"a file" if folder.exists() else "nothing"}, expected the folder that optimize has '
                        'written')
    for name in (SETTINGS, RESULTS):
        if not (folder / name).is_file():
            raise DataError(f'{folder}: found no {name}, expected the folder that optimize has written')
    dimensions, title = _read_settings(folder / SETTINGS)
    columns, lines = _read_lines(folder / RESULTS, dimensions)
    for name in figures:
        if name not in columns:
            raise DataError(f'{folder / RESULTS}, line 1: found no column {name}, expected it among '
                            f'{", ".join(columns[len(dimensions):])}; it is of another version')
    values = [values_of([line[number] for _, line in lines]) for number in range(len(dimensions))]
    kept = [columns.index(name) for name in figures]
    rows = [(*(listed[place] for listed in values), *(_number(folder / RESULTS, number, columns[at], line[at]) for at in kept))
            for place, (number, line) in enumerate(lines)]
    return Sweep(rows, (*dimensions, *figures), dimensions, title)


def _read_settings(path: Path) -> tuple[tuple[str, ...], str]:
    """Return the dimensions of a study, and what its pictures are called."""
    try:
        settings = json.loads(path.read_text(encoding='utf-8'))
        other = 'a study' if 'study' in settings else 'a search' if 'space' in settings else ''
        if other:
            raise DataError(f'{path.parent}: is the folder of {other}, expected one of optimize: only a grid has neighbours')
        dimensions = tuple(settings['dimensions'])
        if not dimensions or not all(isinstance(name, str) for name in dimensions):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise DataError(f'{path}: found no list of dimensions, expected what optimize has written; run it again') from None
    strategy = str(settings.get('strategy') or '')
    parts = [Path(strategy).name if '.py' in strategy else '', settings.get('preset'), settings.get('data'),
             settings.get('profile')]
    return dimensions, ', '.join(str(part) for part in parts if part)


def _read_lines(path: Path, dimensions: tuple[str, ...]) -> tuple[tuple[str, ...], list[tuple[int, list[str]]]]:
    """Return the columns of results.csv, and its rows with the numbers of their lines."""
    lines, seen = [], {}
    try:
        with open(path, newline='', encoding='utf-8') as stream:
            reader = csv.reader(stream)
            columns = tuple(next(reader, ()))
            if columns[:len(dimensions)] != dimensions or len(set(columns)) != len(columns):
                raise DataError(f'{path}, line 1: found the columns {", ".join(columns) or "none"}, expected to begin with the '
                                f'dimensions of {SETTINGS}, {", ".join(dimensions)}, and each once')
            for line in reader:
                if len(line) != len(columns):
                    raise DataError(f'{path}, line {reader.line_num}: found {len(line)} values, expected {len(columns)}')
                key = tuple(line[:len(dimensions)])
                if key in seen:
                    raise DataError(f'{path}, line {reader.line_num}: found the combination of line {seen[key]} again, expected '
                                    'each once; remove one of them')
                seen[key] = reader.line_num
                lines.append((reader.line_num, line))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f'{path}: cannot be read as a table ({error}); run optimize again') from None
    if not lines:
        raise DataError(f'{path}: found no run, expected one row a combination; run optimize again')
    return columns, lines


def values_of(texts: Sequence[str]) -> list[Any]:
    """Return the values of a dimension as they were before they were written: all numbers, all yes and no, or all texts.

    Parameters
    ----------
    texts : sequence of str
        By `as_text`.
    """
    if set(texts) <= {'yes', 'no'}:
        return [text == 'yes' for text in texts]
    numbers = [_as_number(text) for text in texts]
    return list(texts) if None in numbers else numbers


def _as_number(text: str) -> int | float | None:
    """Return a number; None where it is none, or was no number before: 000300 is a code."""
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if as_text(value) == text and value == value else None
    return None


def _number(path: Path, line: int, name: str, text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise DataError(f'{path}, line {line}: found {text!r} as {name}, expected a number or nothing') from None


# -- what is asked for --------------------------------------------------------------------------------------


def figures_of(args: argparse.Namespace) -> list[str]:
    """Return the figures that are asked for, each once.

    Raises
    ------
    DataError
        There is no such figure, or there are too many.
    """
    found = []
    for text in (part for given in args.figure for part in given.split(',')):
        try:
            found.append(figure(text))
        except argparse.ArgumentTypeError as error:
            raise DataError(f'--figure: {error}') from None
    found = list(dict.fromkeys(found)) or list(SIDE_BY_SIDE)
    if len(found) > MOST_FIGURES:
        raise DataError(f'--figure: found {len(found)} figures, expected at most {MOST_FIGURES} in one picture')
    return found


def chosen_plane(args: argparse.Namespace, sweep: Sweep) -> Plane:
    """Return the plane that is asked for.

    Raises
    ------
    DataError
        There is no such param or value, or a param is there twice.
    """
    names = {}
    for option in ('x', 'y'):
        name = getattr(args, option)
        names[option] = None if name is None else _dimension(name, f'--{option} {name}', sweep)
    if names['x'] is not None and names['x'] == names['y']:
        raise DataError(f'--x and --y: found {names["x"]} as both, expected two params; leave one of them out')
    fixed: dict[str, Any] = {}
    for name, text in args.at:
        said = f'--at {name}={text}'
        name = _dimension(name, said, sweep)
        if name in fixed:
            raise DataError(f'{said}: {name} is given twice')
        if name in names.values():
            raise DataError(f'{said}: {name} is also given as --{"x" if name == names["x"] else "y"}; give it once')
        fixed[name] = _value(text, name, said, sweep)
    if len(fixed) == len(sweep.dimensions):
        raise DataError(f'--at: found every param of the grid ({", ".join(sweep.dimensions)}), expected one that is left to draw')
    if not any(all(row[sweep.columns.index(name)] == value for name, value in fixed.items()) for row in sweep.rows):
        both = ' '.join(f'{name}={as_text(value)}' for name, value in fixed.items())
        raise DataError(f'--at: found no run with {both}: the strategy skipped them, or optimize was interrupted')
    return plane_of(sweep.rows, sweep.columns, len(sweep.dimensions), **names, at=fixed)


def _dimension(name: str, said: str, sweep: Sweep) -> str:
    """Return a dimension by its name, also with - for _."""
    for one in (name, name.strip().replace('-', '_')):
        if one in sweep.dimensions:
            return one
    raise DataError(f'{said}: found no param {name!r} in the grid, expected one of {", ".join(sweep.dimensions)}'
                    f'{near(name, sweep.dimensions)}')


def _value(text: str, name: str, said: str, sweep: Sweep) -> Any:
    """Return the value of a dimension that is typed, as 0.09 or 9e-2."""
    at = sweep.columns.index(name)
    values = {as_text(row[at]): row[at] for row in sweep.rows}
    if text in values:
        return values[text]
    try:
        typed = float(text)
    except ValueError:
        typed = None
    for value in values.values():
        if typed is not None and isinstance(value, (int, float)) and not isinstance(value, bool) and value == typed:
            return value
    raise DataError(f'{said}: found no run with {name}={text}, expected one of {", ".join(values)}{near(text, values)}')


def picture_path(args: argparse.Namespace, plane: Plane) -> Path:
    """Return the file of the picture.

    Raises
    ------
    DataError
        It is a folder, lies in none, or is no PNG.
    """
    axes = [name for name in (plane.across, plane.down) if name is not None]
    path = args.out or args.folder / f'heatmap_{"_".join(axes)}.png'
    if path.is_dir():
        raise DataError(f'{path}: found a folder, expected a file to write; give another --out')
    if path.suffix.lower() != '.png':
        raise DataError(f'{path}: found a name that ends with {path.suffix or "nothing"}, expected one with .png; give another '
                        '--out')
    if not path.parent.is_dir():
        raise DataError(f'{path}: found no folder {path.parent}, expected one to write into; make it, or give another --out')
    return path


# -- what is printed ----------------------------------------------------------------------------------------


def said_of(name: str, cells: Cells, plane: Plane, language: str = ENGLISH) -> list[str]:
    """Return in plain words which cell of a figure is the best, how good its neighbours are, and where the best plateau is.

    Parameters
    ----------
    name : str
        Of the figure.
    cells : Cells
    plane : Plane
        Of the cells.
    language : str
        Of `language.LANGUAGES`.
    """
    less = name in LESS_IS_BETTER
    best, plateau = best_of(cells.values, less), best_plateau(cells.values, less)
    lines = [label_of(name, language)]
    if best is None:
        return [*lines, '  ' + say(language, 'no run has this figure')]
    comma = '；' if language == CHINESE else '; '
    parts = [say(language, 'best: {own} at {params}', own=number_of(name, best.value), params=_params(best, cells, plane))]
    if best.neighbours > 1:
        parts.append(say(language, 'mean of its {count} neighbours {other}', count=best.neighbours,
                         other=number_of(name, best.mean)))
    elif best.neighbours:
        parts.append(say(language, 'its one neighbour {other}', other=number_of(name, best.mean)))
    else:
        parts.append(say(language, 'no neighbours'))
    lines.append('  ' + comma.join(parts))
    if plateau is None:
        return [*lines, '  ' + say(language, 'no cell has a neighbour')] if cells.values.size > 1 else lines
    own = number_of(name, plateau.plateau)
    if plateau.place == best.place:
        return [*lines, '  ' + say(language, 'best plateau: around the best, mean of {count} cells {own}',
                                   count=plateau.neighbours + 1, own=own)]
    parts = [say(language, 'best plateau: around {params}, mean of {count} cells {own}',
                 params=_params(plateau, cells, plane), count=plateau.neighbours + 1, own=own)]
    if best.neighbours:
        parts.append(say(language, 'around the best {other}', other=number_of(name, best.plateau)))
    return [*lines, '  ' + comma.join(parts)]


def _params(peak: Peak, cells: Cells, plane: Plane) -> str:
    row, column = peak.place
    down = [] if plane.down is None else [f'{plane.down}={as_text(cells.down[row])}']
    return ' '.join([*down, f'{plane.across}={as_text(cells.across[column])}'])


def notes_of(cells: Cells, language: str = ENGLISH) -> list[str]:
    """Return what a reader should know of the cells: which are blank, and which are the mean of fewer runs.

    Parameters
    ----------
    cells : Cells
    language : str
        Of `language.LANGUAGES`.
    """
    blank = int((cells.counts == 0).sum())
    fewer = int((cells.counts < cells.counts.max()).sum()) - blank
    lines = []
    if blank and blank < cells.counts.size:
        lines.append(say(language, 'note: {count} of {total} cells are blank', count=blank, total=cells.counts.size))
    if fewer:
        lines.append(say(language, 'note: {count} of {total} cells are the mean of fewer than {high} runs', count=fewer,
                         total=cells.counts.size, high=int(cells.counts.max())))
    return lines


@one_line_errors
def main(pargs: list[str] | None = None) -> int:
    """Draw the picture and say what is in it."""
    args = parse_args(pargs)
    figures = figures_of(args)
    sweep = read_sweep(args.folder, figures)
    plane = chosen_plane(args, sweep)
    path = picture_path(args, plane)
    others = others_of(plane, args.lang)
    if others:
        print(others)
    for name in figures:
        cells = cells_of(sweep.rows, sweep.columns, name, plane)
        print('\n'.join([*said_of(name, cells, plane, args.lang), *(f'  {text}' for text in notes_of(cells, args.lang))]))
    if (args.folder / JOURNAL).exists():
        print(say(args.lang, 'note: the sweep was interrupted or is still at work; {count} runs are in {file}',
                  count=len(sweep.rows), file=RESULTS))
    heatmap(path, sweep.rows, sweep.columns, sweep.title, len(sweep.dimensions), figures=figures, plane=plane,
            language=args.lang)
    print(say(args.lang, 'written {path}', path=path))
    return 0
