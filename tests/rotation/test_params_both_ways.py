"""Every param makes the same of a market, fed as one feed or as one feed per stock; and what feeds cannot know is an error."""

import warnings

import pytest

from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.schema import check_table
from bt_microcap.rotation.overlays import Overlay
from bt_microcap.rotation.ranks import random_order, weighted_ranks
from bt_microcap.rotation.screens import closed_at_high_limit, code_begins_with, in_industries, turnover_between
from bt_microcap.rotation.strategy import NothingTradedWarning
from bt_microcap.rotation.values import drawdown, market_cap, momentum, moving_average, price, volatility
from tests.support.rotating import ANY_CAP, rotate

# real costs: what a run does with its money shows in every size
COSTS = {'slippage': 0.002, 'commission': 0.0003, 'min_commission': 5.0, 'stamp_duty': 'dated', 'transfer_fee': 'dated',
         'volume_limit': 0.1}


@pytest.fixture(scope='module')
def table():
    return check_table(demo_market(60, '2021-01-04', days=120, seed=12, corporate_actions=True))


class Thirds(Overlay):
    """Allows a third more every week."""

    why = 'thirds'

    def exposure(self, known):
        return (known.today.isocalendar().week % 3 + 1) / 3


PARAMS = {
    'the original': {'min_cap': 2e9, 'max_cap': 3e9, 'stocknum': 3},
    'keep': {'keep': True, 'refresh_rate': 2},
    'skip_limits': {'skip_limits': True, 'refresh_rate': 1, 'boards': ('main', 'chinext', 'star', 'bse')},
    'skip_limits and keep': {'skip_limits': True, 'refresh_rate': 1, 'keep': True},
    'rebuy_ban': {'rebuy_ban': 3, 'refresh_rate': 1},
    'rebuy_ban and keep': {'rebuy_ban': 4, 'refresh_rate': 1, 'keep': True},
    'min_listed_days': {'min_listed_days': 20, 'keep': True},
    'prices': {'min_price': 4.0, 'max_price': 12.0},
    'min_amount': {'min_amount': 2e7, 'rank': '-market_cap'},
    'the small board': {'universe': '399101', 'weekday': 2},
    'momentum': {'rank': -momentum(20), 'extra_screen': price > moving_average(10), 'keep': True},
    'ranks': {'rank': weighted_ranks((market_cap, 0.6), (volatility(15), 0.3), (drawdown(20), -0.1)), 'keep': True},
    'chance': {'rank': random_order(7), 'keep': True},
    'screens': {'extra_screen': ~closed_at_high_limit(3) & turnover_between(0.0, 0.05, 5) & ~code_begins_with('30')},
    'weekday': {'weekday': 5, 'keep': True},
    'month_day': {'month_day': 3, 'phase': 7},
    'refresh_by volatility': {'refresh_by': 'volatility', 'refresh_rate': 4},
    'refresh_by trend': {'refresh_by': 'trend', 'keep': True},
    'equal weights': {'weights': 'equal', 'keep': True, 'band': 0.1, 'refresh_rate': 1},
    'weights by cap': {'weights': 'market_cap', 'max_weight': 0.15, 'stocknum': 8},
    'inverse volatility': {'weights': 'inverse_volatility', 'keep': True, 'band': 0.2},
    'stops': {'stop_loss': 0.06, 'trailing_stop': 0.08, 'take_profit': 0.12, 'cooldown': 4, 'keep': True, 'refresh_rate': 1},
    'a hold at the limit': {'limit_up_hold': True, 'refresh_rate': 1, 'rank': -momentum(1)},
    'empty months': {'empty_months': (2, 4), 'keep': True},
    'market stops': {'market_fall': 0.015, 'falling_share': 0.8, 'refresh_rate': 1},
    'a trend': {'trend_days': 8, 'keep': True},
    'a brake': {'drawdown_brake': 0.05, 'brake_days': 4, 'refresh_rate': 1, 'keep': True},
    'a target': {'target_volatility': 0.08, 'volatility_days': 5, 'refresh_rate': 4, 'keep': True},
    'a target and weights': {'target_volatility': 0.1, 'weights': 'equal', 'band': 0.05, 'keep': True, 'limit_up_hold': True},
    'an overlay of ones own': {'overlays': (Thirds(),), 'stop_loss': 0.1, 'refresh_rate': 3},
    'a combination': {'combination': (('stocknum', 7), ('keep', True), ('stop_loss', 0.05), ('weekday', 1))},
}


# a stock after its last row: one feed a stock orders a part of it, which is refused, and a MarketFeed does not
@pytest.mark.parametrize('name', list(PARAMS))
def test_both_ways_of_feeding_give_the_same_fills(table, name):
    params = {**ANY_CAP, 'stocknum': 5, 'refresh_rate': 5, **PARAMS[name]}
    runs = [rotate(table, market=market, cash=1e6, options=COSTS, **params) for market in (False, True)]
    ours, others = (run.analyzers.blotter for run in runs)
    assert len(ours.fills) > 10
    assert ours.orders == others.orders and ours.fills == others.fills
    assert ours.rejections == others.rejections and ours.equity == others.equity
    assert abs(others.cash_difference()) < 1e-6


@pytest.mark.parametrize('name', [
    'stops', 'a hold at the limit', 'empty months', 'market stops', 'a trend', 'a brake', 'a target', 'an overlay of ones own'])
def test_these_overlays_do_something_there(table, name):
    """Else the test above would compare nothing."""
    run = rotate(table, cash=1e6, options=COSTS, **{'stocknum': 5, 'refresh_rate': 5, **PARAMS[name]})
    whys = {order.why for order in run.analyzers.blotter.orders if order.quantity}
    assert whys & {'stop loss', 'limit opened', 'empty month', 'market stop', 'index trend', 'drawdown brake',
                   'volatility target', 'thirds'}


@pytest.mark.parametrize(('params', 'said'), [
    ({'universe': '000300'}, 'do not tell names, industries or members'),
    ({'max_per_industry': 2}, 'do not tell names, industries or members'),
    ({'extra_screen': in_industries('banks')}, 'do not tell names, industries or members'),
    ({'refresh_by': 'trend', 'market_index': 'microcap'}, "do not tell the benchmark 'microcap'"),
    ({'trend_days': 5, 'market_index': 'microcap'}, "do not tell the benchmark 'microcap'"),
    ({'market_fall': 0.02, 'market_index': '000300'}, "do not tell the benchmark '000300'"),
    ({'target_volatility': 0.2, 'market_index': 'microcap:100'}, "do not tell the benchmark 'microcap:100'"),
])
def test_what_feeds_cannot_know(table, params, said):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NothingTradedWarning)
        with pytest.raises(DataError, match=said):
            rotate(table, market=False, refresh_rate=5, **params)


@pytest.mark.parametrize('params', [
    {'refresh_by': 'trend', 'market_index': 'microcap'}, {'trend_days': 5, 'market_index': 'microcap:20'},
    {'market_fall': 0.02, 'market_index': 'microcap:20:renew=5'}])
def test_a_market_feed_knows_it(table, params):
    assert rotate(table, refresh_rate=5, stocknum=3, **params).analyzers.blotter.fills
