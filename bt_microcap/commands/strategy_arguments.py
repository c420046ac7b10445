"""Which strategy a command runs, and with which params: --preset, --set, --strategy and the options of the original."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import backtrader as bt

from ..feeds.errors import DataError
from ..record.param_texts import as_text
from ..rotation.screens import check_band
from ..rotation.strategy import MicroCapStrategy
from ..rotation.tally import NothingTradedWarning
from ..study.own_code import checksum, own_files
from .command_line import number
from .strategy_file import load_strategy, parted, place

# Params that have an option of their own: option, type, what the help says.
EXPLICIT = {
    'stocknum': (number(int, 1), 'stocks held'),
    'refresh_rate': (number(int, 1), 'trading days between rebalances'),
    'min_cap': (number(float, 0), 'yuan'),
    'max_cap': (number(float, 0), 'yuan'),
}
PIECES = ('overlays', 'combination')  # tuples, but not of what can be typed


@dataclass(frozen=True)
class Chosen:
    """The strategy of a command.

    Parameters
    ----------
    strategy : type
        A class made of ``bt.Strategy``.
    params : dict
        Those that were chosen, by a preset or an option: what Cerebro is given.
    preset, file : str
        What the user gave; empty where nothing was.
    given : dict
        Those of `params` that options gave, not the preset.
    """

    strategy: type[bt.Strategy]
    params: dict[str, Any]
    preset: str = ''
    file: str = ''
    given: dict[str, Any] = field(default_factory=dict)

    @property
    def defaults(self) -> dict[str, Any]:
        """The class's own params."""
        return dict(self.strategy.params._getpairs())

    @property
    def path(self) -> Path:
        """The user's own file."""
        return Path(self.file) if self.file.endswith('.py') else parted(self.file)[0]

    @property
    def name(self) -> str:
        """What the class is called."""
        return self.file or self.strategy.__name__

    def all_params(self, **more: Any) -> dict[str, Any]:
        """Return every param with its value."""
        return {**self.defaults, **self.params, **more}

    @property
    def label(self) -> str:
        """What titles call it: class, preset and params, where they are not the original's; may be empty."""
        own = Path(self.file).name if self.file.endswith('.py') else self.strategy.__name__
        return ', '.join([*([own] if self.file else []), *([self.preset] if self.preset else []),
                          *(f'{name}={as_text(value)}' for name, value in self.given.items())])

    def about(self) -> dict[str, Any]:
        """Return what files say of it: its name, its preset, and of a file of the user's own a checksum."""
        about: dict[str, Any] = {'strategy': self.name, 'preset': self.preset or None}
        if self.file:
            about['strategy_content'] = checksum(own_files(self.strategy, self.path))
        return about


def assignment(text: str) -> tuple[str, str]:
    """Argument type: a param and its value, as NAME=VALUE."""
    name, equals, value = text.partition('=')
    name = name.strip().replace('-', '_')
    if not equals or not name:
        raise argparse.ArgumentTypeError(f'found {text!r}, expected NAME=VALUE, such as stop_loss=0.09')
    return name, value.strip()


def add_strategy_arguments(parser: argparse.ArgumentParser, explicit: Iterable[str] = tuple(EXPLICIT)) -> None:
    """Add what says which strategy is run.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    explicit : iterable of str
        Params that get an option of their own, of `EXPLICIT`.
    """
    from ..rotation.presets import PRESETS

    group = parser.add_argument_group('strategy')
    group.add_argument('--preset', metavar='NAME',
                       help=f'params that go together: {", ".join(PRESETS)}; the command presets shows them (default: original)')
    group.add_argument('--set', type=assignment, action='append', default=[], metavar='NAME=VALUE',
                       help='a param of the strategy, any number of times, such as --set stop_loss=0.09 --set empty_months=1,4; '
                            'yes or no, numbers, text, lists with commas, none for an empty list')
    group.add_argument('--strategy', metavar='FILE.py:CLASS',
                       help='a strategy of your own, a subclass of MicroCapStrategy or bt.Strategy')
    group.add_argument('--joinquant', metavar='SCRIPT.py',
                       help='a JoinQuant script, run as it is; --set g.stocknum=5 changes what its initialize puts into g')
    defaults = MicroCapStrategy.params._getpairs()
    for name in explicit:
        kind, what = EXPLICIT[name]
        group.add_argument(f'--{name.replace("_", "-")}', type=kind, help=f'{what} (default: {as_text(defaults[name])})')


def choose(args: argparse.Namespace) -> Chosen:
    """Return the strategy that the arguments mean: the class's defaults, over them the preset, over that the options.

    Raises
    ------
    DataError
        No such file, class, preset or param, a value that cannot be read, or a param that is given twice.
    """
    strategy = strategy_of(args)
    defaults = dict(strategy.params._getpairs())
    params: dict[str, Any] = {'script': args.joinquant, 'quiet': True} if args.joinquant else {}
    if args.preset is not None:
        for name, value in preset(args.preset).items():
            check_name(name, strategy, f'--preset {args.preset}')
            params[name] = value
    given: dict[str, Any] = {}
    for name, text in args.set:
        said = f'--set {name}={text}'
        check_name(name, strategy, said)
        if name in given:
            raise DataError(f'{said}: {name} is given twice')
        given[name] = text if is_of_g(name, strategy) else read_value(text, name, defaults[name], said)
    for name in EXPLICIT:
        value = getattr(args, name, None)
        if value is None or isinstance(value, list):
            continue
        option = f'--{name.replace("_", "-")}'
        check_name(name, strategy, option)
        if name in given:
            raise DataError(f'{option} and --set {name}={as_text(given[name])}: {name} is given twice')
        given[name] = value
    return Chosen(strategy, {**params, **given}, args.preset or '', args.strategy or args.joinquant or '', given)


def strategy_of(args: argparse.Namespace) -> type[bt.Strategy]:
    """Return the class that the arguments mean.

    Raises
    ------
    DataError
        There is no such file or class, or more than one is meant.
    """
    if not args.joinquant:
        return load_strategy(args.strategy) if args.strategy else MicroCapStrategy
    for option, value in (('--strategy', args.strategy), ('--preset', args.preset)):
        if value:
            raise DataError(f'--joinquant {args.joinquant} and {option} {value} are two strategies; give one')
    from ..joinquant.strategy import JoinQuantStrategy

    return JoinQuantStrategy


def is_of_g(name: str, strategy: type[bt.Strategy]) -> bool:
    """Return whether a name is one of a JoinQuant script's ``g``, such as g.stocknum."""
    return name.startswith('g.') and hasattr(strategy.params, 'script')


def preset(name: str) -> Mapping[str, Any]:
    """Return the params of a preset.

    Raises
    ------
    DataError
        There is no such preset.
    """
    from ..rotation.presets import PRESETS

    if name not in PRESETS:
        raise DataError(f'--preset {name}: found no such preset, expected one of {", ".join(PRESETS)}{near(name, PRESETS)}')
    return PRESETS[name].params


def check_name(name: str, strategy: type[bt.Strategy], said: str) -> None:
    """Refuse a param that a strategy does not have.

    Raises
    ------
    DataError
        What was said, and which param may be meant.
    """
    names = list(strategy.params._getkeys())
    if is_of_g(name, strategy):
        return
    if hasattr(strategy.params, 'script'):
        raise DataError(f'{said}: a JoinQuant script has no param {name}; what it keeps in g is given as --set g.{name}=...')
    if name not in names:
        raise DataError(f'{said}: {strategy.__name__} has no param {name}'
                        + (near(name, names) or (f'; it has {", ".join(names)}' if names else '; it has none')))


def near(name: str, names: Iterable[str]) -> str:
    """Return ``; did you mean ...?``, empty where nothing is near."""
    found = difflib.get_close_matches(name, list(names), n=1)
    return f'; did you mean {found[0]}?' if found else ''


def read_value(text: str, name: str, default: Any, said: str) -> Any:
    """Return the value of a param that was typed, by the type of the param's default.

    Parameters
    ----------
    text : str
    name : str
        Of the param.
    default : any
        bool: yes, no, true or false. int and float: a number. tuple: parts with commas between, whole numbers where they are
        digits, ``none`` or nothing for an empty one. str: the text as it is, ``none`` for none where the default is none.
    said : str
        What messages begin with.

    Raises
    ------
    DataError
        It is none of these, or a param that cannot be typed.
    """
    if isinstance(default, bool):
        words = {'yes': True, 'true': True, 'no': False, 'false': False}
        if text.lower() not in words:
            raise DataError(f'{said}: found {text!r}, expected yes or no')
        return words[text.lower()]
    if isinstance(default, (int, float)):
        kind, what = (int, 'a whole number') if isinstance(default, int) else (float, 'a number')
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if value != value:
            raise DataError(f'{said}: found {text!r}, expected {what}, such as {as_text(default)}')
        return value
    if isinstance(default, tuple) and name not in PIECES:
        if text.lower() in ('', 'none'):
            return ()
        return tuple(int(part) if part.isascii() and part.isdigit() else part
                     for part in (piece.strip() for piece in text.split(',')))
    if isinstance(default, str):
        return '' if not default and text.lower() == 'none' else text
    raise DataError(f'{said}: {name} takes no text but pieces of a strategy; give it in a script, or as the default of a '
                    'subclass with --strategy FILE.py:CLASS')


def check_params(chosen: Chosen, **more: Any) -> None:
    """Let the strategy say what is wrong with its params, before there is any data.

    Raises
    ------
    DataError
        One of them is wrong.
    """
    params = chosen.all_params(**more)
    if issubclass(chosen.strategy, MicroCapStrategy) and params['min_cap'] > params['max_cap']:
        raise DataError(f'--min-cap {params["min_cap"]:g} is above --max-cap {params["max_cap"]:g}')
    if hasattr(chosen.strategy, 'check_params'):
        try:
            chosen.strategy.check_params(params)
        except DataError:
            raise
        except ValueError as error:
            raise wrong_params(error, chosen) from error


def wrong_params(error: ValueError, chosen: Chosen) -> DataError:
    """Return in one line what a strategy said of its params when it was made; in a file of the user's own also where."""
    if not chosen.file:
        return DataError(str(error))
    path = chosen.path
    return DataError(f'{path}{place(error, path.resolve())}: {error}')


def run_one(cerebro: bt.Cerebro, chosen: Chosen) -> bt.Strategy:
    """Run the one strategy of a Cerebro and return it; say in one line what it refuses of its params before the first bar.

    Raises
    ------
    DataError
        The strategy cannot be made.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NothingTradedWarning)  # the summary says it
        try:
            return cerebro.run()[0]
        except DataError:
            raise
        except ValueError as error:
            if any(len(data) for data in cerebro.datas):  # it has begun: this is no matter of its params
                raise
            raise wrong_params(error, chosen) from error
        except IndexError:
            if cerebro.runningstrats:
                raise
            raise Skipped(f'{chosen.name}: the strategy skips these params (StrategySkipError)') from None


class Skipped(DataError):
    """The strategy skips its params: ``StrategySkipError``."""


class _Made(Exception):
    """The strategy was made and has started."""


class _Stop(bt.WriterBase):
    """Ends a run before its first bar: a writer starts when all else has."""

    params = (('csv', False),)

    def start(self) -> None:
        """End the run."""
        raise _Made

    def writedict(self, content: dict[str, Any]) -> None:
        """Write nothing, where the strategy skips its params."""

    def stop(self) -> None:
        """Have nothing to end."""


def rehearse(cerebro: bt.Cerebro, chosen: Chosen) -> None:
    """Make and start the one strategy of a Cerebro, and run nothing.

    Raises
    ------
    DataError
        The strategy refuses its params.
    """
    cerebro.addwriter(_Stop)
    with contextlib.suppress(_Made), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the run will warn
        run_one(cerebro, chosen)


def check_data(chosen: Chosen, universe: Any, **more: Any) -> None:
    """Refuse a band of the market cap in which no stock of the data ever lies, where the strategy goes by the band.

    A subclass with a screen or selection of its own need not: it says so in the run where it does.
    """
    strategy = chosen.strategy
    if issubclass(strategy, MicroCapStrategy) and all(
            getattr(strategy, name) is getattr(MicroCapStrategy, name) for name in ('screen', 'select', 'make_universe')):
        params = chosen.all_params(**more)
        check_band(universe, params['min_cap'], params['max_cap'])
