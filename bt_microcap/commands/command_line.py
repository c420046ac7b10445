"""What the commands share: arguments, one clear line on bad input, and progress."""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import backtrader as bt

from ..exchange.rules import RuleError
from ..exchange.tax_lots import HOLDING
from ..feeds.errors import DataError
from ..feeds.invocation import title
from ..profiles import CONVENTIONS, PROFILES


class Parser(argparse.ArgumentParser):
    """The argument parser of a command, which says what is wrong in one line.

    Parameters
    ----------
    name : str
        Of the command.
    **kwargs
        As for ``argparse.ArgumentParser``.
    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(prog=title(name), **kwargs)

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2."""
        self.exit(2, f'{self.prog}: {message}; see {self.prog} --help\n')


def one_line_errors(main: Callable[..., int | None]) -> Callable[..., int]:
    """Turn the errors of bad input into one line and exit status 2."""

    @functools.wraps(main)
    def run(*args: Any, **kwargs: Any) -> int:
        warnings.formatwarning = lambda message, *rest, **more: f'warning: {message}\n'  # without the line of the code
        try:
            return main(*args, **kwargs) or 0
        except (DataError, RuleError) as error:
            print(f'error: {error}', file=sys.stderr)
        except BrokenPipeError:  # the reader of our output, such as head, has seen enough
            sys.stdout = None
            return 0
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


def fraction(text: str) -> float:
    """Argument type: a fraction; 10 for 10 % would be ten times the whole."""
    value = number(float, 0)(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f'found {text!r}, expected a fraction of at most 1: 0.1 for 10 %')
    return value


def word_or_number(words: tuple[str, ...], low: float, high: float) -> Callable[[str], Any]:
    """Return an argument type: one of some words, or a number within bounds."""

    def parse(text: str) -> str | float:
        if text in words:
            return text
        try:
            return number(float, low, high)(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f'{error}, or {" or ".join(words)}') from None

    return parse


def one_of(*words: str) -> Callable[[str], str]:
    """Return an argument type: one of some words."""

    def parse(text: str) -> str:
        if text not in words:
            raise argparse.ArgumentTypeError(f'found {text!r}, expected one of {", ".join(words)}')
        return text

    return parse


def yes_or_no(text: str) -> bool:
    """Argument type: yes or no."""
    if text not in ('yes', 'no'):
        raise argparse.ArgumentTypeError(f'found {text!r}, expected yes or no')
    return text == 'yes'


dated_or_rate = word_or_number(('dated',), 0.0, 1.0)


def day(text: str) -> date:
    """Argument type: a day as YYYY-MM-DD."""
    try:
        return datetime.strptime(text, '%Y-%m-%d').date()
    except ValueError:
        raise argparse.ArgumentTypeError(f'found {text!r}, expected a day as YYYY-MM-DD') from None


def renaming(text: str) -> tuple[str, str]:
    """Argument type: a column's name and what it is, as OLD=NEW."""
    old, equals, new = text.rpartition('=')
    if not equals or not old or not new:
        raise argparse.ArgumentTypeError(f'found {text!r}, expected OLD=NEW, such as cap=market_cap')
    return old, new


def scaling(text: str) -> tuple[str, float]:
    """Argument type: a column and a factor, as COLUMN=FACTOR."""
    name, _, factor = text.rpartition('=')
    try:
        value = float(factor)
    except ValueError:
        value = 0.0
    if not name or not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'found {text!r}, expected COLUMN=FACTOR, such as volume=100')
    return name, value


def add_table_arguments(parser: argparse.ArgumentParser, tables: str = 'a table') -> None:
    """Add how tables are read; `tables` says for what input this goes."""
    parser.add_argument('--rename', type=renaming, action='append', default=[], metavar='OLD=NEW',
                        help=f'{tables}: a column that is not recognised by its name')
    parser.add_argument('--scale', type=scaling, action='append', default=[], metavar='COLUMN=FACTOR',
                        help=f'{tables}: what a column is to be multiplied by, such as volume=100 where it is in lots')
    parser.add_argument('--strict', action='store_true', help='refuse the first row that is not as it should be')


def add_market_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which market is run, when, and with how much money."""
    parser.add_argument('--data', type=Path, help='store, or canonical table: .parquet, .csv, .csv.gz (default: the demo market)')
    add_table_arguments(parser)
    parser.add_argument('--profile', choices=sorted(PROFILES), help='(default: realistic; of a JoinQuant script joinquant)')
    parser.add_argument('--cash', type=number(float, 0, 1e15, open_low=True), default=1e6, help='yuan (default: 1e6)')
    parser.add_argument('--start', type=day, help='first day, YYYY-MM-DD')
    parser.add_argument('--end', type=day, help='last day, YYYY-MM-DD')


def add_process_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where the runs are made."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument('--maxcpus', type=number(int, 1), help='processes (default: one a core)')
    group.add_argument('--dask', default='', metavar='ADDRESS',
                       help="a Dask scheduler, such as tcp://host:8786, whose workers make the runs; needs the extra dask, and a "
                            'store under a path that is the same for all')


def check_market_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse what `add_market_arguments` cannot see in one argument alone, and settle what depends on another."""
    if args.profile is None:
        args.profile = 'joinquant' if args.joinquant else 'realistic'
    if args.start and args.end and args.start > args.end:
        parser.error(f'--start {args.start} is after --end {args.end}')


class Rule(NamedTuple):
    """How a key of the profile is typed: its argument type, what stands for the value in the help, and what it is."""

    kind: Callable[[str], Any]
    metavar: str | None
    about: str


RULES = {
    'commission': Rule(number(float, 0, 1), None, 'rate of the value, both sides'),
    'min_commission': Rule(number(float, 0), None, 'yuan an order'),
    'stamp_duty': Rule(dated_or_rate, 'dated|RATE', 'of sales'),
    'transfer_fee': Rule(dated_or_rate, 'dated|RATE', 'both sides'),
    'slippage': Rule(number(float, 0, 1), None, 'in all, half of it each way'),
    'volume_limit': Rule(fraction, 'FRACTION', "of a stock's volume of the whole day, for all orders together, filled at one "
                         'price; 0 = none'),
    'slippage_ticks': Rule(number(float, 0, 1e6), 'TICKS', 'price steps each way'),
    'min_slippage_ticks': Rule(number(float, 0, 1e6), 'TICKS', 'price steps each way that --slippage is at least, where it is '
                               'above 0'),
    'impact': Rule(number(float, 0, 10), 'FRACTION', "price move of an order as large as the day's volume; square-root law"),
    'delist': Rule(word_or_number(('last_close', 'zero'), 0.0, 1.0), 'last_close|zero|LOSS',
                   'worth of a delisted position; LOSS is the part of its last close that is lost'),
    'delist_wait': Rule(number(int, 0), 'DAYS', 'trading days without a row until a stock is taken for delisted (default: 60), '
                        'where the data does not say when it was'),
    'size_with_fees': Rule(yes_or_no, 'yes|no', "a buy's budget covers slippage and fees"),
    'star_market_orders': Rule(yes_or_no, 'yes|no', 'STAR takes market orders'),
    'star_protection': Rule(number(float, 0, 1), 'FRACTION', 'of the open: protective limit price of a STAR market order, 0 = '
                            'none'),
    'ex_rights': Rule(one_of('auto', 'reinvest', 'off'), '{auto,reinvest,off}', ''),
    'dividend_tax': Rule(word_or_number((HOLDING,), 0.0, 1.0), 'holding|RATE',
                         'by the time held, at the sale; or a flat rate on the ex-date'),
}


def add_profile_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what overrides the profile."""
    group = parser.add_argument_group('overriding the profile')
    for name, rule in RULES.items():
        group.add_argument(f'--{name.replace("_", "-")}', type=rule.kind, metavar=rule.metavar, help=rule.about or None)


def add_statistics_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how the figures are counted."""
    parser.add_argument('--days-a-year', type=number(float, 0, 366, open_low=True), metavar='DAYS',
                        help='trading days of the annual figures (default: 252; joinquant: 250)')
    parser.add_argument('--risk-free', type=number(float, -1, 1), metavar='RATE',
                        help='a year, for the Sharpe ratio (default: 0; joinquant: 0.04)')


def conventions(args: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments of `record.statistics.statistics`."""
    given = {name: getattr(args, name) for name in ('days_a_year', 'risk_free') if getattr(args, name) is not None}
    return {**CONVENTIONS[args.profile], **given}


def overrides(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the profile that were given."""
    return {name: getattr(args, name) for name in RULES if getattr(args, name) is not None}


def check_output_folder(path: Path) -> None:
    """Say before a run why its output folder cannot be made, and make nothing.

    Raises
    ------
    DataError
        The path is a file, or cannot be made or written into.
    """
    if path.exists() and not path.is_dir():
        raise DataError(f'{path}: found a file, expected a folder to write into; give another --out')
    there = next(part for part in (path, *path.absolute().parents) if part.exists())
    if not there.is_dir():
        raise DataError(f'{path}: cannot be made ({there} is a file); give another --out')
    if not os.access(there, os.W_OK):
        what = 'written into' if there == path else 'made'
        raise DataError(f'{path}: cannot be {what} (Permission denied); give another --out')


def output_folder(path: Path) -> Path:
    """Make an output folder, or say why it cannot be one.

    Raises
    ------
    DataError
        The path is a file, or cannot be made.
    """
    check_output_folder(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f'{path}: cannot be made ({error.strerror}); give another --out') from None
    return path


def progress(steps: Iterable | None = None, *, total: int | None = None, label: str = '') -> Any:
    """Return a progress bar on the terminal: tqdm where it is installed, else one line that is written over; elsewhere none.

    Parameters
    ----------
    steps : iterable, optional
        What to walk; without it call ``update(n)`` and ``close()``.
    total : int, optional
    label : str
    """
    if not sys.stderr.isatty():
        return _Plain(steps, total, label)
    try:
        from tqdm import tqdm
    except ImportError:
        return _Plain(steps, total, label)
    return tqdm(steps, total=total, desc=label, file=sys.stderr, leave=False)


class _Plain:
    """The progress line of a machine without tqdm; nothing where nobody is at a terminal."""

    def __init__(self, steps: Iterable | None, total: int | None, label: str) -> None:
        self._steps, self._label, self._done, self._shown, self._width = steps, label, 0, '', 0
        self._begin, self._is_shown = time.monotonic(), sys.stderr.isatty()
        self._total = total if total is not None else len(steps) if hasattr(steps, '__len__') else 0

    def update(self, count: int = 1) -> None:
        if not self._is_shown:
            return
        self._done += count
        percent = 100 * self._done // self._total if self._total else 0
        left = (time.monotonic() - self._begin) * (self._total - self._done) / self._done if self._done and self._total else 0.0
        shown = f'{self._label} {percent:3d} %' + (f', {left // 60:.0f}:{left % 60:02.0f} left' if left >= 1 else '')
        if shown != self._shown:
            print(f'\r{shown:<{self._width}}', end='', file=sys.stderr, flush=True)
            self._shown, self._width = shown, max(self._width, len(shown))

    def close(self) -> None:
        if self._shown:
            print('\r' + ' ' * self._width + '\r', end='', file=sys.stderr, flush=True)

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
