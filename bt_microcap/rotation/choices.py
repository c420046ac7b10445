"""The params of `MicroCapStrategy`: their checks, and the pieces that they stand for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..exchange import rules
from ..feeds.errors import whole_number
from . import overlays, screens, timing, values, weights
from .pieces import Screen

CASH = 'cash'  # equal parts of the cash for what is bought, as the original: no weight
AMOUNT_DAYS = 20  # trading days of the param min_amount

_WHOLE = {'stocknum': 1, 'refresh_rate': 1, 'min_listed_days': 0, 'rebuy_ban': 0, 'max_per_industry': 0, 'weekday': 0,
          'month_day': 0, 'phase': 0, 'min_refresh_rate': 1, 'max_refresh_rate': 1, 'cooldown': 0, 'trend_days': 0,
          'brake_days': 1, 'volatility_days': 2}
_NUMBERS = ('min_cap', 'max_cap', 'min_price', 'max_price', 'min_amount', 'band', 'max_weight', 'stop_loss', 'trailing_stop',
            'take_profit', 'market_fall', 'falling_share', 'drawdown_brake', 'target_volatility')
_SWITCHES = ('skip_limits', 'keep', 'limit_up_hold')
_TEXTS = ('universe', 'refresh_by', 'market_index', 'parking')
_BELOW_ONE = ('stop_loss', 'trailing_stop', 'market_fall', 'drawdown_brake')
_UP_TO_ONE = ('max_weight', 'falling_share')


def check_params(given: Mapping[str, Any]) -> None:
    """Refuse params that mean nothing.

    Parameters
    ----------
    given : mapping
        Every param of `MicroCapStrategy` with its value.

    Raises
    ------
    ValueError
        One is wrong, or two do not go together.
    """
    for name, least in _WHOLE.items():
        whole_number(name, given[name], least)
    for name in _NUMBERS:
        value = given[name]
        if isinstance(value, (bool, str)) or not isinstance(value, (int, float, np.number)) or not value >= 0:
            raise ValueError(f'{name} is {value!r}: expected a number of 0 or more')
        if name in _BELOW_ONE and not value < 1 or name in _UP_TO_ONE and not value <= 1:
            bound = 'below' if name in _BELOW_ONE else 'of at most'
            raise ValueError(f'{name} is {value!r}: expected a fraction {bound} 1, 0.09 for 9 %')
    for name in _SWITCHES:
        if not isinstance(given[name], (bool, np.bool_)):
            raise ValueError(f'{name} is {given[name]!r}: expected True or False')
    for name in _TEXTS:
        if not isinstance(given[name], str):
            raise ValueError(f'{name} is {given[name]!r}: expected text')
    for name in ('boards', 'empty_months'):
        if not isinstance(given[name], (tuple, list, set, frozenset, str)):
            raise ValueError(f'{name} is {given[name]!r}: expected a tuple, such as '
                             f'{"(1, 4)" if name == "empty_months" else rules.BOARDS[:2]}')
    for low, high in (('min_cap', 'max_cap'), ('min_price', 'max_price'), ('min_refresh_rate', 'max_refresh_rate')):
        if not given[low] <= given[high]:
            raise ValueError(f'{low} is {given[low]!r} and {high} {given[high]!r}: expected {low} <= {high}')
    if not given['max_weight'] > 0:
        raise ValueError(f'max_weight is {given["max_weight"]!r}: expected a fraction above 0')
    if given['universe'] and not (len(given['universe']) == 6 and given['universe'].isdigit()):
        raise ValueError(f'universe is {given["universe"]!r}: expected six digits of an index, such as 000300')
    if given['parking']:
        _check_parking(given['parking'])
    if sum(bool(given[name]) for name in ('weekday', 'month_day', 'refresh_by')) > 1:
        raise ValueError('weekday, month_day and refresh_by each say when to rebalance: expected one of them')
    for name, known in (('rank', None), ('weights', (CASH, *weights.WEIGHTS))):
        value = given[name]
        if not callable(value) and not (isinstance(value, str) and (known is None or value in known)):
            raise ValueError(f'{name} is {value!r}: expected ' + (
                'market_cap, float_cap, a column of the data, -column for the largest first, or a function of a section'
                if known is None else f'{", ".join(known)}, or a function of a section and the places of the picks'))
    if given['weights'] == CASH and (given['band'] or given['max_weight'] < 1):
        raise ValueError("band and max_weight are of weighted holdings: give weights='equal', or another of "
                         f'{", ".join(weights.WEIGHTS)}')
    if given['extra_screen'] is not None and not callable(given['extra_screen']):
        raise ValueError(f'extra_screen is {given["extra_screen"]!r}: expected a screen, or a function of a section')
    more = given['overlays']
    if not isinstance(more, (tuple, list)) or not all(isinstance(overlay, overlays.Overlay) for overlay in more):
        raise ValueError(f'overlays is {more!r}: expected a tuple of rotation.overlays.Overlay')
    for make in (timer, risk_overlays, rank):  # they look at their own
        make(given)
    if not given['boards']:
        raise ValueError(f'boards is {given["boards"]!r}: expected some of {", ".join(rules.BOARDS)}')
    screens.on_boards(given['boards'])


def _check_parking(code: str) -> None:
    if not rules.is_fund(code):
        raise ValueError(f'parking is {code!r}: expected the canonical code of a fund, such as 511880.XSHG')


def timer(given: Mapping[str, Any]) -> timing.Timer:
    """Return the timer that some params mean."""
    if given['weekday']:
        return timing.Weekly(given['weekday'])
    if given['month_day']:
        return timing.Monthly(given['month_day'])
    if given['refresh_by']:
        return timing.RefreshByMarket(given['refresh_by'], given['min_refresh_rate'], given['max_refresh_rate'],
                                      given['refresh_rate'], given['market_index'])
    return timing.EveryDays(given['refresh_rate'])


def extra_screens(given: Mapping[str, Any]) -> list[Callable]:
    """Return the screens that some params mean, beside the original's: none by default."""
    found: list[Screen | Callable] = []
    if given['universe']:
        found.append(screens.members(given['universe']))
    if given['min_listed_days']:
        found.append(screens.listed_for(given['min_listed_days']))
    if given['min_price'] > 0 or given['max_price'] < math.inf:
        found.append(screens.price_between(given['min_price'], given['max_price']))
    if given['min_amount']:
        found.append(screens.amount_between(given['min_amount'], days=AMOUNT_DAYS))
    if given['extra_screen'] is not None:
        found.append(given['extra_screen'])
    return found


def rank(given: Mapping[str, Any]) -> Callable:
    """Return the rank that the param means."""
    return values.named(given['rank']) if isinstance(given['rank'], str) else given['rank']


def risk_overlays(given: Mapping[str, Any]) -> list[overlays.Overlay]:
    """Return the overlays that some params mean, then those given: none by default."""
    index, found = given['market_index'], []
    for name, make in (('stop_loss', overlays.StopLoss), ('trailing_stop', overlays.TrailingStop),
                       ('take_profit', overlays.TakeProfit), ('empty_months', overlays.EmptyMonths)):
        if given[name]:
            found.append(make(given[name]))
    if given['limit_up_hold']:
        found.append(overlays.LimitUpHold())
    if given['market_fall'] or given['falling_share']:
        found.append(overlays.MarketStop(given['market_fall'], given['falling_share'], index))
    if given['trend_days']:
        found.append(overlays.IndexTrend(given['trend_days'], index))
    if given['drawdown_brake']:
        found.append(overlays.DrawdownBrake(given['drawdown_brake'], given['brake_days']))
    if given['target_volatility']:
        found.append(overlays.VolatilityTarget(given['target_volatility'], given['volatility_days'], index))
    return [*found, *given['overlays']]


def described(given: Mapping[str, Any]) -> str:
    """Return what kept stocks out beside the band, in words."""
    names = [name for name, on in (
        ('universe', given['universe']), ('min_listed_days', given['min_listed_days']), ('min_price', given['min_price']),
        ('max_price', given['max_price'] < math.inf), ('min_amount', given['min_amount']),
        ('extra_screen', given['extra_screen'] is not None), ('skip_limits', given['skip_limits']),
        ('rebuy_ban', given['rebuy_ban'])) if on]
    boards = given['boards']
    return f'on the boards {", ".join(boards)}' + (f', that {", ".join(names)} kept out' if names else '')

