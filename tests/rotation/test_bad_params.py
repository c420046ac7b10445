"""Params that mean nothing are refused before the run, each with what was expected."""

import math

import pytest

from bt_microcap import MicroCapStrategy
from bt_microcap.rotation.overlays import Overlay, StopLoss
from bt_microcap.rotation.presets import PRESETS
from tests.support.markets import tiny_market
from tests.support.rotating import rotate

DEFAULTS = MicroCapStrategy.params()._getkwargs()
WHOLE = {
    'stocknum': 1, 'refresh_rate': 1, 'min_listed_days': 0, 'rebuy_ban': 0, 'max_per_industry': 0, 'weekday': 0, 'month_day': 0,
    'phase': 0, 'min_refresh_rate': 1, 'max_refresh_rate': 1, 'cooldown': 0, 'trend_days': 0, 'brake_days': 1,
    'volatility_days': 2}
NUMBERS = ('min_cap', 'max_cap', 'min_price', 'max_price', 'min_amount', 'band', 'max_weight', 'stop_loss', 'trailing_stop',
           'take_profit', 'market_fall', 'falling_share', 'drawdown_brake', 'target_volatility')
WEIGHTED = {'weights': 'equal'}


def refused(said, **params):
    with pytest.raises(ValueError, match=said) as error:
        MicroCapStrategy.check_params({**DEFAULTS, **params})
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('name', WHOLE)
@pytest.mark.parametrize('value', [-1, 1.5, 2.0, True, '5', None, math.nan, [5]])
def test_whole_numbers(name, value):
    refused(rf'{name} is .*: expected a whole number of {WHOLE[name]} or more', **{name: value})


@pytest.mark.parametrize(('name', 'least'), [item for item in WHOLE.items() if item[1]])
def test_whole_numbers_below_the_least(name, least):
    refused(f'{name} is {least - 1}: expected a whole number of {least} or more', **{name: least - 1})


@pytest.mark.parametrize('name', NUMBERS)
@pytest.mark.parametrize('value', [-0.01, math.nan, True, '0.09', None, [0.1]])
def test_numbers(name, value):
    refused(f'{name} is .*: expected a number of 0 or more', **WEIGHTED, **{name: value})


@pytest.mark.parametrize(('params', 'said'), [
    ({'stop_loss': 9}, 'stop_loss is 9: expected a fraction below 1, 0.09 for 9 %'),
    ({'stop_loss': 1.0}, 'stop_loss is 1.0'),
    ({'trailing_stop': 10}, 'trailing_stop is 10: expected a fraction below 1'),
    ({'market_fall': 3}, 'market_fall is 3: expected a fraction below 1'),
    ({'drawdown_brake': 1.0}, 'drawdown_brake is 1.0: expected a fraction below 1'),
    ({'falling_share': 1.01}, 'falling_share is 1.01: expected a fraction of at most 1'),
    ({'max_weight': 1.01, **WEIGHTED}, 'max_weight is 1.01: expected a fraction of at most 1'),
    ({'max_weight': 0.0, **WEIGHTED}, 'max_weight is 0.0: expected a fraction above 0'),
    ({'min_cap': 3e9, 'max_cap': 2e9}, 'min_cap is 3000000000.0 and max_cap 2000000000.0: expected min_cap <= max_cap'),
    ({'min_price': 5.0, 'max_price': 4.99}, 'min_price is 5.0 and max_price 4.99: expected min_price <= max_price'),
    ({'min_refresh_rate': 9, 'max_refresh_rate': 8}, 'min_refresh_rate is 9 and max_refresh_rate 8'),
    ({'skip_limits': 1}, 'skip_limits is 1: expected True or False'),
    ({'keep': 'yes'}, "keep is 'yes': expected True or False"),
    ({'limit_up_hold': None}, 'limit_up_hold is None: expected True or False'),
    ({'universe': 300}, 'universe is 300: expected text'),
    ({'universe': '300'}, "universe is '300': expected six digits of an index, such as 000300"),
    ({'universe': '000300.XSHG'}, 'universe is .*expected six digits'),
    ({'market_index': 1}, 'market_index is 1: expected text'),
    ({'refresh_by': None}, 'refresh_by is None: expected text'),
    ({'refresh_by': 'mood'}, "refresh_by is 'mood': expected volatility or trend"),
    ({'weekday': 6}, 'weekday is 6: expected 1 for Monday to 5 for Friday'),
    ({'month_day': 24}, 'month_day is 24: expected a trading day of a month, at most 23'),
    ({'weekday': 1, 'month_day': 1}, 'weekday, month_day and refresh_by each say when to rebalance: expected one of them'),
    ({'weekday': 1, 'refresh_by': 'trend'}, 'expected one of them'),
    ({'month_day': 1, 'refresh_by': 'trend'}, 'expected one of them'),
    ({'rank': 5}, 'rank is 5: expected market_cap, float_cap, a column of the data, -column for the largest first, or a func'),
    ({'rank': None}, 'rank is None'),
    ({'weights': 'heavy'}, "weights is 'heavy': expected cash, equal, market_cap, float_cap, inverse_volatility, or a function"),
    ({'weights': 0.5}, 'weights is 0.5'),
    ({'band': 0.1}, "band and max_weight are of weighted holdings: give weights='equal'"),
    ({'max_weight': 0.5}, 'band and max_weight are of weighted holdings'),
    ({'extra_screen': 'price > 3'}, "extra_screen is 'price > 3': expected a screen, or a function of a section"),
    ({'extra_screen': [1, 0]}, 'extra_screen is'),
    ({'overlays': StopLoss(0.1)}, 'overlays is .*: expected a tuple of rotation.overlays.Overlay'),
    ({'overlays': ('stop_loss',)}, 'overlays is'),
    ({'overlays': (Overlay,)}, 'overlays is'),
    ({'overlays': None}, 'overlays is None'),
    ({'empty_months': (0,)}, r'empty_months is \(0,\): expected months, 1 for January to 12'),
    ({'empty_months': (13,)}, 'empty_months is'),
    ({'empty_months': ('1',)}, 'empty_months is'),
    ({'boards': ('main', 'sz')}, "boards holds 'sz': expected names of main, chinext, star, bse"),
    ({'parking': '511880'}, "parking is '511880': expected the canonical code of a fund, such as 511880.XSHG"),
    ({'parking': '511880.SH'}, 'parking is'),
    ({'parking': 511880}, 'parking is 511880: expected text'),
    ({'trend_days': 1}, 'trend_days is 1: expected a whole number of 2 or more'),
], ids=lambda value: str(value)[:40] if isinstance(value, dict) else '')
def test_params_that_mean_nothing(params, said):
    refused(said, **params)


@pytest.mark.parametrize('params', [{'empty_months': 4}, {'boards': None}, {'boards': 5}, {'boards': ()}],
                         ids=['a month', 'none', 'a number', 'no board'])
def test_params_that_are_no_collection(params):
    refused(f'{next(iter(params))} ', **params)


def test_a_stock_for_a_fund():
    refused('parking is .*fund', parking='600001.XSHG')


@pytest.mark.parametrize('params', [
    {}, {'min_cap': 0, 'max_cap': math.inf}, {'min_cap': 2e9, 'max_cap': 2e9}, {'min_price': 3.0, 'max_price': 3.0},
    {'falling_share': 1.0}, {'falling_share': 1}, {'take_profit': 5.0}, {'target_volatility': 2.0}, {'boards': 'main'},
    {'boards': ['main', 'bse']}, {'empty_months': [1, 4]}, {'empty_months': {1, 4}},
    {'overlays': [StopLoss(0.1)]}, {'weights': 'equal', 'band': 3.0, 'max_weight': 0.01}, {'month_day': 23},
    {'weekday': 5, 'phase': 100},
    {'refresh_by': 'trend', 'min_refresh_rate': 5, 'max_refresh_rate': 5}, {'rank': '-anything'}, {'parking': '511880.XSHG'},
    *(preset.params for preset in PRESETS.values())])
def test_params_that_mean_something(params):
    MicroCapStrategy.check_params({**DEFAULTS, **params})


def test_a_run_refuses_before_it_begins():
    with pytest.raises(ValueError, match='stop_loss is 9: expected a fraction below 1, 0.09 for 9 %'):
        rotate(tiny_market({'600001.XSHG': [10.0] * 3}), stop_loss=9)


@pytest.mark.parametrize('rank', ['', '-'])
def test_a_rank_without_a_name(rank):
    with pytest.raises(ValueError, match=f"rank is '{rank}': expected market_cap, float_cap, a column of the data, or -column"):
        rotate(tiny_market({'600001.XSHG': [10.0] * 3}), rank=rank)


def test_parking_needs_orders_at_the_open():
    with pytest.raises(ValueError, match="parking is '511880.XSHG', which needs orders that fill at the open: use setup"):
        rotate(tiny_market({'600001.XSHG': [10.0] * 3}), parking='511880.XSHG', cheat=False)
