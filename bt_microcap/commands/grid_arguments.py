"""Which combinations of params `optimize` runs: --stocknum, --refresh-rate and --grid."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from ..feeds.errors import DataError
from ..record.param_texts import as_text
from ..study import grid
from ..study.ledger import DATES, FIGURES
from ..study.overfitting import BLOCKS
from .command_line import RULES
from .strategy_arguments import Chosen, assignment, check_name, near, read_value

# The grid where no dimension is given, and of these two each that is not given beside the other.
DEFAULT = {'stocknum': [1, 2, 3, 5, 10], 'refresh_rate': [1, 5, 10, 20]}
CALENDAR = ('weekday', 'month_day')  # params that say when to rebalance instead of refresh_rate
MOST = 100_000  # combinations: more are a slip of the pen


def whole_numbers(text: str) -> list[int]:
    """Return whole numbers out of 1,5,10 or a range 1:10 or 1:10:3, both ends in.

    Raises
    ------
    ValueError
        It is not of this form, or has none at all.
    """
    found: list[int] = []
    for part in text.split(','):
        ends = [int(piece) for piece in part.split(':')]
        if len(ends) > 3 or len(ends) == 3 and ends[2] < 1:
            raise ValueError
        if len(ends) > 1 and (ends[1] - ends[0]) // (ends[2] if len(ends) > 2 else 1) > MOST:
            raise ValueError
        found += range(ends[0], ends[1] + 1, *ends[2:]) if len(ends) > 1 else ends
    if not found:
        raise ValueError
    return found


def values(text: str) -> list[int]:
    """Argument type: whole numbers of 1 or more, each once; see `whole_numbers`."""
    try:
        found = whole_numbers(text)
        if min(found) < 1 or len(set(found)) != len(found):
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'found {text!r}, expected whole numbers of 1 or more, each once, as 1,5,10 or 1:10 or 1:10:3') from None
    return found


def add_grid_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which combinations are run."""
    group = parser.add_argument_group('grid')
    group.add_argument('--stocknum', type=values, metavar='1:10',
                       help=f'stocks held (default without --grid: {as_text(DEFAULT["stocknum"])})')
    group.add_argument('--refresh-rate', type=values, metavar='1,5,10',
                       help=f'trading days between rebalances (default without --grid: {as_text(DEFAULT["refresh_rate"])})')
    group.add_argument('--grid', type=assignment, action='append', default=[], metavar='NAME=V1,V2,...',
                       help='values of any param of the strategy or of the profile, any number of times: --grid '
                            'stop_loss=0,0.05,0.1 --grid weekday=1:5 --grid keep=no,yes --grid slippage=0,0.002 --grid '
                            "'empty_months=none;4;1,4' (with ; between lists)")


def add_figure_argument(parser: argparse.ArgumentParser, what: str, option: str = '--by', default: str = 'annual_return') -> None:
    """Add the choice of a figure; `what` is done by it."""
    parser.add_argument(option, type=figure, metavar='FIGURE', default=default,
                        help=f'the figure that {what}, a column of results.csv such as sharpe, calmar or max_drawdown (default: '
                             f'{default})')


def add_blocks_argument(parser: argparse.ArgumentParser) -> None:
    """Add how finely the time is cut for the probability of overfitting."""
    parser.add_argument('--blocks', type=even, default=BLOCKS, metavar='N',
                        help=f'blocks of the time for the probability of overfitting, an even number (default: {BLOCKS})')


def even(text: str) -> int:
    """Argument type: an even number from 2 to 20."""
    if not (text.isascii() and text.isdigit() and 2 <= int(text) <= 20 and not int(text) % 2):
        raise argparse.ArgumentTypeError(f'found {text!r}, expected an even number from 2 to 20')
    return int(text)


def figure(text: str) -> str:
    """Argument type: a figure of a run that is a number."""
    name = text.strip().replace('-', '_')
    known = [one for one in FIGURES if one not in DATES]
    if name not in known:
        raise argparse.ArgumentTypeError(f'found {text!r}, expected one of {", ".join(known)}{near(name, known)}')
    return name


def dimensions_of(args: argparse.Namespace, chosen: Chosen) -> dict[str, list[Any]]:
    """Return the dimensions of the grid: param -> its values.

    Raises
    ------
    DataError
        No such param, a value that cannot be read or is there twice, or a param that is given twice.
    """
    plain = {name: getattr(args, name) for name in DEFAULT}
    defaults, fixed = chosen.defaults, set(chosen.given)
    if any(chosen.all_params().get(name) for name in CALENDAR):
        fixed.add('refresh_rate')  # of no effect: every run of a default grid over it would be the same
    if not args.grid:
        plain = {name: found or ([] if name in fixed or name not in defaults else DEFAULT[name])
                 for name, found in plain.items()}
    found: dict[str, list[Any]] = {}
    for name, listed in plain.items():
        if listed:
            check_name(name, chosen.strategy, f'--{name.replace("_", "-")}')
            found[name] = listed
    for name, text in args.grid:
        said = f'--grid {name}={text}'
        of_profile = is_rule(name, chosen)
        if not of_profile:
            check_name(name, chosen.strategy, said)
        if name in found:
            raise DataError(f'{said}: {name} is given twice')
        if of_profile and getattr(args, name, None) is not None:
            raise DataError(f'{said}: {name} is also given as --{name.replace("_", "-")}; give it once')
        listed = ([rule_value(part, name, said) for part in text.split(',')] if of_profile
                  else _listed(text, name, defaults.get(name), said))
        found[name] = list(once(listed, said))
    if not found:
        raise DataError(f'found no dimension, and {chosen.name} has neither stocknum nor refresh_rate to vary; give '
                        '--grid NAME=V1,V2,...')
    for name in found:
        if name in chosen.given:
            raise DataError(f'{name} is one of the grid and also given as {as_text(chosen.given[name])}; give it once')
    count = 1
    for listed in found.values():
        count *= len(listed)
    if count > MOST:
        raise DataError(f'found {count:,} combinations, expected at most {MOST:,}; give fewer values')
    return found


def _listed(text: str, name: str, default: Any, said: str) -> list[Any]:
    """Return the values of a dimension, by the type of the param's default."""
    if default is None:  # of a JoinQuant script's g, whose types the script tells: 3:10 for whole numbers, else texts
        try:
            found: list[Any] = whole_numbers(text)
        except ValueError:
            found = [part.strip() for part in text.split(';' if ';' in text else ',')]
    elif isinstance(default, int) and not isinstance(default, bool):
        try:
            found = whole_numbers(text)
        except ValueError:
            raise DataError(f'{said}: found {text!r}, expected whole numbers as 1,5,10 or 1:10 or 1:10:3') from None
    else:
        parts = text.split(';' if isinstance(default, tuple) else ',')
        found = [read_value(part.strip(), name, default, said) for part in parts]
    return found


def is_rule(name: str, chosen: Chosen) -> bool:
    """Return whether a name is a key of the profile, and no param of the strategy."""
    return grid.is_rule(name, chosen.strategy)


def of_strategy(combination: dict[str, Any], chosen: Chosen) -> dict[str, Any]:
    """Return what of a combination are params of the strategy."""
    return {name: value for name, value in combination.items() if not is_rule(name, chosen)}


def rule_value(text: str, name: str, said: str) -> Any:
    """Return a value of a key of the profile.

    Raises
    ------
    DataError
        It cannot be read; begins with what was said.
    """
    try:
        return RULES[name].kind(text.strip())
    except argparse.ArgumentTypeError as error:
        raise DataError(f'{said}: {error}') from None


def once(values: Sequence[Any], said: str) -> Sequence[Any]:
    """Return values; refuse one that is there twice."""
    texts = [as_text(value) for value in values]
    twice = next((text for text in texts if texts.count(text) > 1), None)
    if twice is not None:
        raise DataError(f'{said}: found {twice} twice, expected each value once')
    return values


def check_each(combinations: list[dict[str, Any]], check: Callable[[dict[str, Any]], Any], few: list[dict[str, Any]]) -> None:
    """Say which combination is wrong, before any is run.

    Parameters
    ----------
    combinations : list of dict
    check : callable
        Called with each of them, raises `DataError`.
    few : list of dict
        Where it says the same of all of these, it is no matter of the combination.

    Raises
    ------
    DataError
        One of them is wrong: which one, and why.
    """
    for combination in combinations:
        said = _said(check, combination)
        if said and all(_said(check, other) == said for other in few):
            raise DataError(said)
        if said:
            raise DataError(f'{described(combination)}: {said}')


def _said(check: Callable[[dict[str, Any]], Any], combination: dict[str, Any]) -> str:
    try:
        check(combination)
    except DataError as error:
        return str(error)
    return ''


def described(combination: dict[str, Any]) -> str:
    """Return a combination as it is typed."""
    return ' '.join(f'{name}={as_text(value)}' for name, value in combination.items())


def one_by_one(dimensions: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Return few combinations in which every value of every dimension is once, the others being at their first value."""
    first = {name: listed[0] for name, listed in dimensions.items()}
    return [first, *({**first, name: value} for name, listed in dimensions.items() for value in listed[1:])]
