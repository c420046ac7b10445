"""No look-ahead of every piece of the rotation: what is changed after an open changes no order that was given up to it."""

import math
from functools import partial

import numpy as np
import pandas as pd
import pytest

from bt_microcap import MicroCapStrategy
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.store import MarketStore
from bt_microcap.rotation import ranks, screens, values
from bt_microcap.rotation.overlays import Overlay
from bt_microcap.rotation.presets import PRESETS
from tests.rotation.test_no_look_ahead import KNOWN, scramble
from tests.support.markets import bar, tiny_market
from tests.support.preset_runs import SMALL, params_of, run_plugin

DAYS = 150  # a refresh rate that follows the volatility looks at 120 days
AFTER = 22  # days that are left after a change: random prices make an account explode
LATER = ('high', 'low', 'close', 'volume', 'amount', 'market_cap', 'circ_market_cap', 'price_1430', 'roe')  # than the open
# no volume limit: how much of an order the day's liquidity takes is a model of the fill, and decides nothing
BASE = {'stocknum': 5, 'refresh_rate': 2, 'min_cap': 0.0, 'max_cap': math.inf}
pytestmark = pytest.mark.filterwarnings('ignore:the data', 'ignore::bt_microcap.rotation.tally.NothingTradedWarning')


class Diary(MicroCapStrategy):
    """Writes down each order as it is given."""

    def __init__(self):
        super().__init__()
        self.diary = []

    def note(self, side, data, size, price, more):
        condition = more.get('only_if') is not None
        told = (more.get(name) for name in ('value', 'why', 'exectype'))
        self.diary.append((self.known.today, side, data._name, size, None if price is None else float(price), *told, condition))

    def buy(self, data=None, size=None, price=None, **more):
        self.note('buy', data, size, price, more)
        return super().buy(data=data, size=size, price=price, **more)

    def sell(self, data=None, size=None, price=None, **more):
        self.note('sell', data, size, price, more)
        return super().sell(data=data, size=size, price=price, **more)


def market(afternoon=False):
    """A lively market with every column that a piece looks at, and two more that are none of them."""
    table = demo_market(40, '2021-01-04', days=DAYS, seed=8, corporate_actions=True).astype({'code': str, 'volume': float})
    rng = np.random.default_rng(8)
    table['circ_market_cap'] = table['market_cap'] * rng.uniform(0.3, 0.9, len(table))
    table['roe'] = rng.normal(8, 5, len(table))
    if afternoon:
        guess = np.round(table['close'] * rng.choice([0.98, 1.0, 1.02], len(table)), 2)
        table['price_1430'] = np.clip(guess, table['low'], table['high'])
    return table


def change_after_open(table, day, seed):
    """Change all that is not known at the open of a day, as `scramble`.

    After that day some stocks vanish, also before they were listed, and the data ends soon.
    """
    days = sorted(set(table['date']))
    last = days[min(days.index(day) + AFTER, len(days) - 1)]
    changed = scramble(table[table['date'] <= last], day, seed)
    rng = np.random.default_rng([*np.atleast_1d(seed), 1])
    unknown = (changed['date'] >= day).to_numpy()
    for name, least, most in (('circ_market_cap', 3e8, 9e9), ('roe', -30, 30), ('price_1430', 0.5, 60)):
        if name in changed:
            drawn = rng.uniform(least, most, unknown.sum())
            changed.loc[unknown, name] = np.round(drawn, 2)
    if 'price_1430' in changed:
        changed['price_1430'] = np.clip(changed['price_1430'], changed['low'], changed['high'])
    codes = np.unique(changed['code'])
    gone = rng.choice(codes, len(codes) // 8, replace=False)
    return changed[~(changed['code'].isin(gone) & (changed['date'] > day))].reset_index(drop=True)


@pytest.fixture(scope='module')
def markets():
    """The market as it is, and as it is changed after two opens, each held in memory once."""
    made = {}

    def get(afternoon=False):
        if afternoon not in made:
            table = market(afternoon)
            days = sorted(set(table['date']))
            opens = [days[at] for at in (51, 131)]  # days 50 and 130: rebalances
            tables = [table, *(change_after_open(table, day, number) for number, day in enumerate(opens))]
            made[afternoon] = [(day and day.date(), MarketStore.from_table(table), table)
                               for day, table in zip([None, *opens], tables, strict=True)]
        return made[afternoon]
    return get


def diary_of(store, params, strategy=Diary, **options):
    return run_plugin(store, {**BASE, **params}, strategy=strategy, volume_limit=0.0, delist_wait=0, **options).diary


def changed_before(markets, params, peek=None, **options):
    """Count the opens up to which an order differs, and tell whether any does after one: so the change matters.

    `peek` makes a strategy that has seen the table of its market.
    """
    def diary(store, table):
        return diary_of(store, params, **({'strategy': peek(table)} if peek else {}), **options)

    (_, *plain), *others = markets
    orders = diary(*plain)
    assert len({order[0] for order in orders}) >= 5, 'hardly anything was ordered'
    early = later = 0
    for day, *other in others:
        found = diary(*other)
        early += [order for order in found if order[0] <= day] != [order for order in orders if order[0] <= day]
        last = other[1]['date'].max().date()
        later += found != [order for order in orders if order[0] <= last]
    return early, later > 0


def test_what_is_changed_is_what_is_not_known():
    table = market(afternoon=True)
    day = sorted(set(table['date']))[90]
    changed = change_after_open(table, day, 3)
    check_table(changed)
    pd.testing.assert_frame_equal(table[table['date'] < day], changed[changed['date'] < day])
    was, now = (rows[rows['date'] == day].reset_index(drop=True) for rows in (table, changed))
    pd.testing.assert_frame_equal(was[['code', *KNOWN]], now[['code', *KNOWN]])
    for name in LATER:
        assert (was[name] != now[name]).mean() > 0.7, name
    assert set(table['code']) > set(changed.loc[changed['date'] > day, 'code'])


# ------------------------------------------------------------------------------------------- presets


@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
@pytest.mark.parametrize('name', PRESETS)
def test_a_preset_sees_nothing_of_the_day(markets, name, profile):
    assert changed_before(markets(), params_of(name, **SMALL[name]), profile=profile) == (0, True)


# ------------------------------------------------------------------------------------------- overlays

OVERLAYS = {
    'stop_loss': {'stop_loss': 0.04}, 'stop_loss and cooldown': {'stop_loss': 0.04, 'cooldown': 5},
    'trailing_stop': {'trailing_stop': 0.06}, 'take_profit': {'take_profit': 0.05},
    'limit_up_hold': {'limit_up_hold': True}, 'empty_months': {'empty_months': (2, 5)}, 'market_fall': {'market_fall': 0.01},
    'falling_share': {'falling_share': 0.6}, 'trend_days': {'trend_days': 10}, 'brake': {'drawdown_brake': 0.05, 'brake_days': 5},
    'target_volatility': {'target_volatility': 0.15, 'volatility_days': 10},
    'market_index': {'trend_days': 10, 'market_fall': 0.01, 'market_index': 'microcap:10'},
}


@pytest.mark.parametrize('keep', [False, True])
@pytest.mark.parametrize('name', OVERLAYS)
def test_an_overlay_sees_nothing_of_the_day(markets, name, keep):
    assert changed_before(markets(), {**OVERLAYS[name], 'keep': keep, 'refresh_rate': 5}) == (0, True)


def test_the_afternoon_is_looked_at_by_an_order_for_the_close(markets):
    """The order is given at the open, whatever the afternoon will be."""
    params = {'limit_up_hold': True, 'keep': True, 'stocknum': 12, 'refresh_rate': 5}
    assert [order for order in diary_of(markets(True)[0][1], params) if order[-1]]
    assert changed_before(markets(True), params) == (0, True)


# --------------------------------------------------------------------------- screens, ranks, weights

column, today = values.column, values.today
VALUES = {
    'market_cap': values.market_cap, 'float_cap': values.float_cap, 'price': values.price, 'roe': column('roe'),
    'amount': values.amount(5), 'turnover': values.turnover(5), 'momentum': values.momentum(20),
    'volatility': values.volatility(20), 'moving_average': values.moving_average(20), 'drawdown': values.drawdown(20),
    'listed_days': values.listed_days, 'last_price': values.last_price, 'today': today('open') / today('preclose'),
    'low': column('low'), 'high': column('high'), 'volume': column('volume'),
    'made of two': values.price / values.moving_average(5) - values.momentum(3),
}
SCREENS = {
    'cap_between': screens.cap_between(1e9, 6e9), 'price_between': screens.price_between(5, 30),
    'amount_between': screens.amount_between(1e6, 5e8, days=3), 'turnover_between': screens.turnover_between(0.001, 0.05, days=3),
    'listed_for': screens.listed_for(40), 'on_boards': screens.on_boards(('main', 'star')),
    'tradable': screens.tradable, 'is_st': ~screens.is_st, 'is_suspended': ~screens.is_suspended,
    'in_delisting_period': ~screens.in_delisting_period, 'opens_at_high_limit': ~screens.opens_at_high_limit,
    'opens_at_low_limit': ~screens.opens_at_low_limit, 'closed_at_high_limit': ~screens.closed_at_high_limit(3),
    'members': screens.members('399101') | screens.on_boards(('chinext',)),
    'code_begins_with': ~screens.code_begins_with('300', '688'),
    'one_of': ~screens.one_of(('600000.XSHG',)),
}
RANKS = {
    'weighted_ranks': ranks.weighted_ranks((values.market_cap, 0.7), (values.momentum(10), -0.3)),
    'random_order': ranks.random_order(4), 'a column': '-roe', 'a name': 'float_cap',
    'a function': lambda section: section.previous('low'),
}


@pytest.mark.parametrize('name', VALUES)
def test_a_value_sees_nothing_of_the_day(markets, name):
    value = VALUES[name]

    def not_small(section):
        numbers, there = value(section), section.previous('close') > 0
        known = numbers[there & ~np.isnan(numbers)]
        return np.isnan(numbers) | (numbers >= np.quantile(known, 0.3) if len(known) else True)

    assert changed_before(markets(), {'rank': value}) == (0, True)
    assert changed_before(markets(), {'extra_screen': not_small}) == (0, True)


def test_a_stock_to_be_listed_later_shows_no_value():
    """How many they will be is not known: over all of the section they must not count."""
    table = market()
    first = table.groupby('code')['date'].min()
    found = []

    class Looking(MicroCapStrategy):
        def screen(self, section):
            to_come = np.isin(section.codes, first.index[first > pd.Timestamp(self.known.yesterday)])
            found.extend((name, number) for name, value in VALUES.items() if name != 'today'
                         for number in value(section)[to_come] if not math.isnan(number))
            return super().screen(section)

    run_plugin(table, BASE, strategy=Looking)
    assert not found


@pytest.mark.parametrize('name', SCREENS)
def test_a_screen_sees_nothing_of_the_day(markets, name):
    assert changed_before(markets(), {'extra_screen': SCREENS[name]}) == (0, True)


@pytest.mark.parametrize('name', RANKS)
def test_a_rank_sees_nothing_of_the_day(markets, name):
    assert changed_before(markets(), {'rank': RANKS[name], 'keep': True}) == (0, True)


WEIGHTS = {**{name: name for name in ('equal', 'market_cap', 'float_cap', 'inverse_volatility')},
           'a function': lambda section, picks: section.previous('amount')[picks]}


@pytest.mark.parametrize('keep', [False, True])
@pytest.mark.parametrize('name', WEIGHTS)
def test_a_weight_sees_nothing_of_the_day(markets, name, keep):
    params = {'weights': WEIGHTS[name], 'keep': keep, 'max_weight': 0.4, 'band': 0.1}
    assert changed_before(markets(), params) == (0, True)


OTHERS = {
    'volatility': {'refresh_by': 'volatility'}, 'trend': {'refresh_by': 'trend'}, 'weekday': {'weekday': 3},
    'month_day': {'month_day': 4}, 'phase': {'phase': 3, 'refresh_rate': 4}, 'skip_limits': {'skip_limits': True},
    'rebuy_ban': {'rebuy_ban': 6, 'keep': True}, 'min_price': {'min_price': 4.0, 'max_price': 20.0},
    'min_amount': {'min_amount': 2e7},
    'min_listed_days': {'min_listed_days': 60}, 'universe': {'universe': '399101'},
}


@pytest.mark.parametrize('name', OTHERS)
def test_other_params_see_nothing_of_the_day(markets, name):
    assert changed_before(markets(), OTHERS[name]) == (0, True)


# --------------------------------------------------------------------------------- the harness has teeth


def by_day(table, name):
    return {day.date(): dict(zip(rows['code'], rows[name], strict=True)) for day, rows in table.groupby('date')}


def ranks_by_today(table, name):
    numbers = by_day(table, name)

    class Peeking(Diary):
        def rank(self, section):
            return np.array([numbers[self.known.today].get(code, math.nan) for code in section.codes.tolist()])
    return Peeking


@pytest.mark.parametrize('name', LATER)
def test_a_rank_that_peeks_is_caught(markets, name):
    assert changed_before(markets(True), {}, peek=partial(ranks_by_today, name=name))[0] > 0
    assert changed_before(markets(True), {}, peek=partial(ranks_by_today, name='preclose')) == (0, True)


def exits_by_today(table):
    opens, closes = by_day(table, 'open'), by_day(table, 'close')

    class Falling(Overlay):
        why = 'will fall'

        def exits(self, known):
            held, today = set(known.holdings.codes.tolist()), known.today
            return {code: self.why for code in held & opens[today].keys() if closes[today][code] < opens[today][code]}

    class Peeking(Diary):
        def make_overlays(self):
            return [Falling()]
    return Peeking


def weighs_by_today(table):
    closes = by_day(table, 'close')

    class Peeking(Diary):
        def weigh(self, section, picks):
            chosen = {code: closes[self.known.today][code] for code in picks}
            return {code: close / sum(chosen.values()) for code, close in chosen.items()}
    return Peeking


def times_by_tomorrow(table):
    tomorrow = table.groupby('date')['open'].sum().shift(-1).fillna(0)
    chosen = {day.date(): round(100 * opening) % 2 == 0 for day, opening in tomorrow.items()}

    class Peeking(Diary):
        def is_rebalance_day(self, day):
            return chosen[self.known.today]
    return Peeking


@pytest.mark.parametrize('peek', [exits_by_today, weighs_by_today, times_by_tomorrow])
def test_other_pieces_that_peek_are_caught(markets, peek):
    params = {exits_by_today: {'keep': True}, weighs_by_today: {'weights': 'equal'}, times_by_tomorrow: {}}[peek]
    assert changed_before(markets(), params, peek=peek)[0] > 0


# --------------------------------------------------------------------- the afternoon, and not the close

A, B = '600001.XSHG', '600002.XSHG'


def afternoon_market(price_1430, close, volume=1e6):
    """A is bought on 3 January at 10 and closes at its limit of 11; on the 4th the limit is 12.1."""
    days = [bar(10.0, price_1430=10.0), bar(10.0, 11.0, price_1430=11.0, cap=2.1e9),
            bar(11.5, close, price_1430=price_1430, volume=volume), bar(close), bar(close)]
    return tiny_market({A: days, B: [bar(10.0, cap=9e9, price_1430=10.0), *[bar(10.0)] * 4]})


def sales(table, market=True, **options):
    params = {'stocknum': 1, 'refresh_rate': 100, 'limit_up_hold': True, 'min_cap': 0.0, 'max_cap': 5e9}
    blotter = run_plugin(table, params, market=market, slippage=0.0, **options).analyzers.blotter
    return [(str(fill.datetime), fill.price) for fill in blotter.fills if fill.side == 'SELL']


@pytest.mark.parametrize('market', [True, False])
@pytest.mark.parametrize('close', [11.0, 11.8, 12.0, 12.1])
def test_whether_it_is_sold_is_said_by_the_afternoon_alone(market, close):
    """Below its limit at 14:30 it is sold at the close, whatever that is; else it is not, though its limit opened later."""
    assert sales(afternoon_market(12.09, close), market) == [('2024-01-04', close)]
    assert sales(afternoon_market(10.5, close), market) == [('2024-01-04', close)]
    assert '2024-01-04' not in dict(sales(afternoon_market(12.1, close), market))


@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
def test_the_close_of_a_random_day_does_not_say_whether_it_is_sold(profile):
    """Everything of a day but price_1430 is changed: the same stocks are sold at its close, at other prices."""
    table = market(True)
    params = {**BASE, 'limit_up_hold': True, 'keep': True, 'stocknum': 15, 'refresh_rate': 5}

    def sold(changed, day):
        blotter = run_plugin(changed, params, profile=profile, volume_limit=0.0, slippage=0.0).analyzers.blotter
        return sorted((order.code, order.price) for order in blotter.orders
                      if order.date == day.date() and order.why == 'limit opened' and order.reason == '' and order.quantity)

    blotter = run_plugin(table, params, profile=profile, volume_limit=0.0, slippage=0.0).analyzers.blotter
    days = [order.date for order in blotter.orders if order.why == 'limit opened' and order.quantity]
    assert len(days) >= 3
    other = 0
    for day in map(pd.Timestamp, sorted(set(days))[:4]):
        changed = table.copy()
        on = (changed['date'] == day).to_numpy()
        least = changed.loc[on, ['open', 'price_1430']].min(axis=1)
        changed.loc[on, 'close'] = np.round((changed.loc[on, 'open'] + changed.loc[on, 'price_1430']) / 2, 2)
        changed.loc[on, 'low'] = np.minimum(least, changed.loc[on, 'close'])
        changed.loc[on, 'high'] = changed.loc[on, ['open', 'price_1430', 'close']].max(axis=1)
        changed.loc[on, ['market_cap', 'circ_market_cap', 'amount']] *= 1.1
        was, now = sold(table, day), sold(changed, day)
        assert [code for code, _ in was] == [code for code, _ in now] and was
        other += was != now
        changed.loc[on, 'price_1430'] = 1e6  # it never stands below its limit
        assert sold(changed, day) == []
    assert other
