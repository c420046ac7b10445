"""What the scripts share: arguments, one clear line on bad input, and progress."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any, NoReturn

import backtrader as bt

from .feeds.errors import DataError
from .rules import RuleError


class Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2."""
        self.exit(2, f'{self.prog}: {message}; see {self.prog} --help\n')


def script(main: Callable[..., int | None]) -> Callable[..., int]:
    """Turn the errors of bad input into one line and exit status 2."""

    @functools.wraps(main)
    def run(*args: Any, **kwargs: Any) -> int:
        try:
            return main(*args, **kwargs) or 0
        except (DataError, RuleError) as error:
            print(f'error: {error}', file=sys.stderr)
        except OSError as error:  # a full disk, a folder that may not be written
            print(f'error: {error.filename or "output"}: {error.strerror or error}', file=sys.stderr)
        except KeyboardInterrupt:
            print('interrupted', file=sys.stderr)
            return 130
        return 2

    return run


def number(kind: type, low: float, high: float = float('inf'), *, open_low: bool = False) -> Callable[[str], Any]:
    """Return an argument type: a number within bounds."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high or value in (float('inf'),) or (open_low and value == low):
            what = 'a whole number' if kind is int else 'a number'
            bounds = f'above {low:g}' if open_low else f'of {low:g} or more'
            raise argparse.ArgumentTypeError(
                f'found {text!r}, expected {what} {bounds}' + ('' if high == float('inf') else f', at most {high:g}'))
        return value

    return parse


def dated_or_rate(text: str) -> str | float:
    """Argument type: ``dated`` or a rate."""
    if text == 'dated':
        return text
    try:
        return number(float, 0.0, 1.0)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f'{error}, or dated') from None


def day(text: str) -> date:
    """Argument type: a day as YYYY-MM-DD."""
    try:
        return datetime.strptime(text, '%Y-%m-%d').date()
    except ValueError:
        raise argparse.ArgumentTypeError(f'found {text!r}, expected a day as YYYY-MM-DD') from None


def output_folder(path: Path) -> Path:
    """Make an output folder, or say why it cannot be one.

    Raises
    ------
    DataError
        The path is a file, or cannot be made.
    """
    if path.exists() and not path.is_dir():
        raise DataError(f'{path}: found a file, expected a folder to write into; give another --out')
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f'{path}: cannot be made ({error.strerror}); give another --out') from None
    return path


def progress(steps: Iterable | None = None, *, total: int | None = None, label: str = '') -> Any:
    """Return a progress bar on the terminal: tqdm where it is installed, else one line that is written over.

    Parameters
    ----------
    steps : iterable, optional
        What to walk; without it call ``update(n)`` and ``close()``.
    total : int, optional
    label : str
    """
    try:
        from tqdm import tqdm
    except ImportError:
        return _Plain(steps, total, label)
    return tqdm(steps, total=total, desc=label, file=sys.stderr, disable=not sys.stderr.isatty(), leave=False)


class _Plain:
    """The progress line of a machine without tqdm."""

    def __init__(self, steps: Iterable | None, total: int | None, label: str) -> None:
        self._steps, self._label, self._done, self._shown = steps, label, 0, -1
        self._total = total if total is not None else len(steps) if hasattr(steps, '__len__') else 0

    def update(self, count: int = 1) -> None:
        self._done += count
        percent = 100 * self._done // self._total if self._total else 0
        if percent != self._shown and sys.stderr.isatty():
            self._shown = percent
            print(f'\r{self._label} {percent:3d} %', end='', file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._shown >= 0:
            print('\r' + ' ' * (len(self._label) + 6) + '\r', end='', file=sys.stderr, flush=True)

    def __iter__(self) -> Any:
        for step in self._steps or ():
            yield step
            self.update()
        self.close()


class Progress(bt.Analyzer):
    """Shows the days of a run as they pass.

    Params:

      - ``total``: bars of the run.
    """

    params = (('total', 0),)

    def start(self) -> None:
        """Open the bar."""
        self._bar = progress(total=self.p.total, label='days')

    def next(self) -> None:
        """Count a day."""
        self._bar.update(1)

    def prenext(self) -> None:
        """Count a day."""
        self._bar.update(1)

    def stop(self) -> None:
        """Close the bar."""
        self._bar.close()
        del self._bar
