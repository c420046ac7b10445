"""What `search` may choose from: --space NAME=SPEC, and the figures it goes by."""

from __future__ import annotations

import argparse
from typing import Any

from ..feeds.errors import DataError
from ..profiles import PROFILES
from ..record.param_texts import as_text
from ..study.space import Dimension
from .command_line import RULES
from .grid_arguments import is_rule, once, rule_value, whole_numbers
from .strategy_arguments import Chosen, assignment, check_name, is_of_g, near, read_value

WHOLE = 'whole numbers as 1:20, 1:20:2 (a step), 1:20:log or 1,5,10'
RANGE = 'numbers as 0.0:0.2, 0.0:0.2:0.05 (a step), 1e8:1e10:log or 0,0.05,0.1'


def add_space_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is searched."""
    group = parser.add_argument_group('space')
    group.add_argument('--space', type=assignment, action='append', default=[], metavar='NAME=SPEC',
                       help='what a param of the strategy or of the profile may be, any number of times: a range of whole '
                            'numbers --space stocknum=1:20 or 1:20:2 (a step), of others --space stop_loss=0.0:0.2 or '
                            '0.0:0.2:0.05, with :log for small and large ones alike --space max_cap=1e9:1e11:log, or values '
                            "--space keep=yes,no --space rank=market_cap,float_cap --space 'empty_months=none;4;1,4' (with ; "
                            'between lists)')


def space_of(args: argparse.Namespace, chosen: Chosen) -> list[Dimension]:
    """Return what is searched.

    Raises
    ------
    DataError
        No such param, a range or value that cannot be read, one value alone, or a param that is given twice.
    """
    found: dict[str, Dimension] = {}
    for name, text in args.space:
        said = f'--space {name}={text}'
        of_profile = is_rule(name, chosen)
        if not of_profile:
            _check_name(name, chosen, said)
        if name in found:
            raise DataError(f'{said}: {name} is given twice')
        option = f'--{name.replace("_", "-")}'
        if of_profile and getattr(args, name, None) is not None:
            raise DataError(f'{said}: {name} is also given as {option}; give it once')
        if name in chosen.given:
            raise DataError(f'{said}: {name} is also given as {as_text(chosen.given[name])}; give it once')
        read = _of_profile(name, text, said) if of_profile else _of_strategy(name, text, chosen, said)
        if len({as_text(value) for value in read.ends()}) < 2:
            value = as_text(read.ends()[0])
            one = f'{option} {value}' if of_profile else f'--set {name}={value}'
            raise DataError(f'{said}: found one value alone, expected two or more; what is not to vary is given as {one}')
        found[name] = read
    if not found:
        raise DataError('found nothing to search; give --space NAME=SPEC any number of times, such as --space stocknum=1:20')
    return list(found.values())


def _check_name(name: str, chosen: Chosen, said: str) -> None:
    """Refuse what is neither a param of the strategy nor a key of the profile."""
    names = list(chosen.defaults)
    if name in names or is_of_g(name, chosen.strategy) or near(name, names) or hasattr(chosen.strategy.params, 'script'):
        return check_name(name, chosen.strategy, said)
    if near(name, RULES):
        raise DataError(f'{said}: neither {chosen.strategy.__name__} nor the profile has a param {name}{near(name, RULES)}')
    return check_name(name, chosen.strategy, said)


def _of_profile(name: str, text: str, said: str) -> Dimension:
    """Return what a key of the profile may be."""
    if ':' not in text:
        return Dimension(name, choices=_values(text, ',', lambda part: rule_value(part, name, said), said), of_profile=True)
    defaults = [profile[name] for profile in PROFILES.values()]
    whole = all(isinstance(default, int) and not isinstance(default, bool) for default in defaults)
    found = _range(name, text, whole, said)
    for end in found.ends():
        rule_value(as_text(end), name, said)
    return Dimension(name, found.low, found.high, found.step, found.log, of_profile=True)


def _of_strategy(name: str, text: str, chosen: Chosen, said: str) -> Dimension:
    """Return what a param of the strategy may be, by the type of its default."""
    default = chosen.defaults.get(name)
    if is_of_g(name, chosen.strategy):  # the script tells the type of a text, when it runs
        if ':' in text and ',' not in text:
            try:
                return _range(name, text, all(part.strip().lstrip('-').isdigit() for part in text.split(':')[:2]), said)
            except DataError:
                pass  # a time of the day and the like
        return Dimension(name, choices=_values(text, ';' if ';' in text else ',', str, said))
    number = isinstance(default, (int, float)) and not isinstance(default, bool)
    if number and ':' in text and ',' not in text:
        return _range(name, text, isinstance(default, int), said)
    if number and isinstance(default, int):
        try:
            return Dimension(name, choices=tuple(once(whole_numbers(text), said)))
        except ValueError:
            raise DataError(f'{said}: found {text!r}, expected {WHOLE}') from None
    between = ';' if isinstance(default, tuple) or ';' in text else ','
    return Dimension(name, choices=_values(text, between, lambda part: read_value(part, name, default, said), said))


def _values(text: str, between: str, read: Any, said: str) -> tuple[Any, ...]:
    return tuple(once([read(part.strip()) for part in text.split(between)], said))


def _range(name: str, text: str, whole: bool, said: str) -> Dimension:
    """Return a range: LOW:HIGH, LOW:HIGH:STEP or LOW:HIGH:log."""
    parts = [part.strip() for part in text.split(':')]
    log = len(parts) == 3 and parts[2].lower() == 'log'
    try:
        numbers: list[Any] = [int(part) if whole else float(part) for part in parts[:2 if log else None]]
        if len(parts) not in (2, 3) or not all(abs(number) < float('inf') for number in numbers):
            raise ValueError
    except ValueError:
        raise DataError(f'{said}: found {text!r}, expected {WHOLE if whole else RANGE}') from None
    low, high, step = (*numbers, None)[:3]
    if low > high:
        raise DataError(f'{said}: the low end {as_text(low)} is above the high end {as_text(high)}')
    if log and low <= 0:
        raise DataError(f'{said}: the low end of a range with :log is {as_text(low)}, expected one above 0')
    if step is not None and not 0 < step <= max(high - low, 0):
        raise DataError(f'{said}: the step is {as_text(step)}, expected one above 0 and at most {as_text(high - low)}')
    return Dimension(name, low, high, step, log)
