"""The HTML report: of a strategy after its run, or of the folder of a run, or of several."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import backtrader as bt

from ..feeds.errors import DataError, whole_number
from ..record.files import write_json
from ..study import COUNT
from .language import ENGLISH, known_language
from .results import REPORT, blotter_of, save_run

NEEDED = ('bokeh', 'jinja2')
SIDE_BY_SIDE = 'comparison.html'


def report(
    result: Any, path: str | Path, *, language: str = ENGLISH, random_picks: int = COUNT, seed: int = 0, name: str = '',
    source: str = '', conventions: dict[str, Any] | None = None, progress: Callable[[int], Any] = int,
) -> Path:
    """Write the report of a run: one HTML file that opens from disk and asks no network for anything.

    ::

        cerebro.addanalyzer(Blotter, _name='blotter')
        strategy = cerebro.run()[0]
        report(strategy, 'out.html')

    The files of the run are not kept; `save_run` writes them, and ``report('out', 'out/report.html')`` makes the report of them.

    Parameters
    ----------
    result : bt.Strategy, bt.OptReturn, str, Path, or a sequence of folders
        A strategy after its run, under a `Blotter`; one result of an optimizer that had one; the folder of a run; or several
        folders, whose runs are then set side by side.
    path : str or Path
        The file.
    language : str
        ``en`` or ``zh``.
    random_picks : int
        How many runs with random picks the strategy is compared with, see `study.chance`; 0: none. Of folders and of a result of
        an optimizer only those are shown that were made before.
    seed : int
        Of the first random run.
    name : str
        Of the run, in the title.
    source : str
        What the market is called; by default the store's folder.
    conventions : dict, optional
        How the figures are counted, see `save_run`.
    progress : callable
        Called with 1 after each random run.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        A folder is none of a run, or the extra ``report`` is not installed.
    ValueError
        There is no `Blotter`, or what was given is no strategy after its run.
    """
    check_extra()
    known_language(language)
    whole_number('random_picks', random_picks, 0)
    path = Path(path)
    if path.is_dir():
        raise DataError(f'{path}: found a folder, expected a file to write')
    if not isinstance(result, (str, Path)) and not _are_folders(result):
        blotter_of(result, 'report(cerebro.run()[0], path)')
    if isinstance(result, (str, Path)):
        return of_folder(Path(result), path, language)
    if _are_folders(result):
        return of_folders([Path(part) for part in result], path, language)
    with tempfile.TemporaryDirectory(prefix='bt_microcap_report_') as folder:
        summary = save_run(result, folder, False, name=name, show=False, source=source, conventions=conventions)
        if isinstance(result, bt.Strategy):
            run_beside(result, Path(folder), summary, random_picks, seed, progress)
        else:
            why = 'an optimizer sends back results without their data; run the combination alone'
            write_json(Path(folder) / 'summary.json', {**summary, 'not_again': why, 'no_chance': why if random_picks else ''})
        return of_folder(Path(folder), path, language)


def _are_folders(result: Any) -> bool:
    return isinstance(result, (list, tuple)) and bool(result) and all(isinstance(part, (str, Path)) for part in result)


def check_extra(said: str = 'a report') -> None:
    """Refuse what needs the extra ``report`` where it is not installed.

    Raises
    ------
    DataError
        What needs it, and how it is installed.
    """
    for module in NEEDED:
        try:
            importlib.import_module(module)
        except ImportError:
            raise DataError(f'{said} needs {" and ".join(NEEDED)}, found no {module}: pip install "bt-microcap[report]", in a '
                            'checkout pip install -e ".[report]"') from None


def run_beside(
    strategy: bt.Strategy, folder: Path, summary: dict[str, Any], random_picks: int, seed: int,
    progress: Callable[[int], Any] = int,
) -> dict[str, Any]:
    """Run a finished run again, without costs and with random picks, and write what came of it beside its files.

    Parameters
    ----------
    strategy : bt.Strategy
        After its run.
    folder : Path
        That `save_run` has written into.
    summary : dict
        That `save_run` has returned.
    random_picks, seed : int
    progress : callable
        Called with 1 after each random run.

    Returns
    -------
    dict
        What summary.json says now beside; see `report.again.run_beside`.
    """
    from .report.again import run_beside

    said = run_beside(strategy, folder, summary, random_picks, seed, progress)
    write_json(folder / 'summary.json', {**summary, **said})
    return said


def of_folder(folder: Path, path: Path, language: str, no_chance: str = '') -> Path:
    """Write the report of the folder of a run, see `report`; and why there are no random picks, where there are none."""
    from .report.page import page_of, write
    from .report.reading import read_run

    run = read_run(folder)
    if no_chance and run.random_picks is None:
        run.summary['no_chance'] = no_chance
    write(path, page_of(run, language))
    return path


def of_folders(folders: Sequence[Path], path: Path, language: str, no_chance: str = '') -> Path:
    """Write the report of several runs side by side; of one alone, its own."""
    from .report.page import compare_page_of, labels_of, write
    from .report.reading import read_run

    if len(folders) == 1:
        return of_folder(folders[0], path, language, no_chance)
    write(path, compare_page_of(labels_of([read_run(folder) for folder in folders]), language))
    return path


def default_path(folders: Sequence[Path]) -> Path:
    """Return where a report goes by default: into the folder of its run; of several into the working folder."""
    return folders[0] / REPORT if len(folders) == 1 else Path(SIDE_BY_SIDE)
