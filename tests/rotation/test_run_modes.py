"""The same run whichever way Backtrader is told to make it, and the ways in which a user changes the run."""

import itertools
from datetime import date, datetime

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from bt_microcap import AShareBroker, AShareCommission, Blotter, MicroCapStrategy, setup
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import StockPandas, add_stocks
from tests.support.markets import bar, tiny_market
from tests.support.running import run_feeds

PARAMS = {'min_cap': 4e8, 'max_cap': 6e9, 'stocknum': 5, 'refresh_rate': 3}

def modes():
    """Every combination; `exactbars` of 1 forgoes preload, any other forgoes runonce."""
    for preload, runonce, exactbars in itertools.product((True, False), (True, False), (False, 1, -1, -2)):
        mode = {'preload': preload, 'runonce': runonce, 'exactbars': exactbars}
        yield pytest.param(mode, id=f'{preload}-{runonce}-{exactbars}')


MODES = list(modes())
FREE = {'slippage': 0.0, 'commission': 0.0, 'min_commission': 0.0, 'stamp_duty': 0.0, 'transfer_fee': 0.0}
A, B, C, D = '600001.XSHG', '600002.XSHG', '600003.XSHG', '600004.XSHG'


@pytest.fixture(scope='module')
def table():
    """Late listings, delistings, suspensions and ex-dates in forty days."""
    return check_table(demo_market(32, '2021-03-01', days=40, seed=13, corporate_actions=True))


def books(strategy):
    blotter = strategy.analyzers.blotter
    return blotter.fills, blotter.rejections, blotter.equity


def run(table, profile='realistic', strategy=MicroCapStrategy, cerebro=None, **feed_options):
    cerebro = cerebro or bt.Cerebro()
    add_stocks(cerebro, table, checked=True, **feed_options)
    cerebro.addstrategy(strategy, **PARAMS)
    setup(cerebro, profile, delist_wait=0)  # forty days: with the default of 60 nothing would be delisted
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro.run()[0]


@pytest.fixture(scope='module')
def expected(table):
    done = {profile: books(run(table, profile)) for profile in ('realistic', 'joinquant')}
    for fills, rejections, equity in done.values():
        reasons = {refusal.reason for refusal in rejections}
        assert {'delisted', 'suspended'} <= reasons  # the market is not a tame one
        assert (len(fills) > 80, len(equity)) == (True, 39)
    return done


@pytest.mark.parametrize('mode', MODES)
def test_any_mode_gives_the_same_run(mode, table, expected):
    assert books(run(table, cerebro=bt.Cerebro(**mode))) == expected['realistic']


@pytest.mark.parametrize('mode', MODES[1::3])
def test_any_mode_gives_the_same_run_in_the_other_profile(mode, table, expected):
    assert books(run(table, 'joinquant', cerebro=bt.Cerebro(**mode))) == expected['joinquant']


@pytest.mark.parametrize('mode', MODES[1::3])
def test_any_mode_on_a_plain_cerebro(mode, table):
    """No setup(): decisions at the close, Backtrader's own broker."""

    def plain(**arguments):
        cerebro = bt.Cerebro(**arguments)
        add_stocks(cerebro, table[table['code'].isin(whole_lives(table))], checked=True)
        cerebro.addstrategy(MicroCapStrategy, **PARAMS)
        cerebro.broker.setcash(1e6)
        cerebro.addanalyzer(Blotter, _name='blotter')
        return books(cerebro.run()[0])

    wanted = plain()
    assert len(wanted[0]) > 50
    assert plain(**mode) == wanted


@pytest.mark.parametrize(
    'options', [{'cheat_on_open': True}, {'stdstats': False}, {'oldsync': False}, {'tradehistory': True}]
)
def test_other_switches_change_nothing(options, table, expected):
    assert books(run(table, cerebro=bt.Cerebro(**options))) == expected['realistic']


def test_a_cerebro_can_be_run_again(table, expected):
    cerebro = bt.Cerebro()
    assert books(run(table, cerebro=cerebro)) == expected['realistic']
    for preload in (True, False, False, True):
        assert books(cerebro.run(preload=preload)[0]) == expected['realistic']


# ---------------------------------------------------------------------------------------- optimisation


OPTIMISERS = [
    {'maxcpus': 1},
    {'maxcpus': 2},
    {'maxcpus': 2, 'optdatas': False},
    {'maxcpus': 1, 'optreturn': False},
]


@pytest.mark.parametrize('options', OPTIMISERS, ids=str)
def test_optimisation(options, table):
    cerebro = bt.Cerebro(**options)
    add_stocks(cerebro, table, checked=True)
    band = {'min_cap': 4e8, 'max_cap': 6e9}
    cerebro.optstrategy(MicroCapStrategy, stocknum=[2, 5], refresh_rate=[1, 4], **band)
    setup(cerebro, 'realistic', delist_wait=0)
    cerebro.addanalyzer(Blotter, _name='blotter')
    called = []
    cerebro.optcallback(called.append)
    done = {}
    for (result,) in cerebro.run():
        key = result.p.stocknum, result.p.refresh_rate
        assert key not in done
        analysis = result.analyzers.blotter.get_analysis()
        done[key] = analysis['fills'], analysis['rejections'], analysis['equity']
    assert set(done) == {(2, 1), (2, 4), (5, 1), (5, 4)}
    assert len(called) == 4
    for (stocknum, refresh_rate), found in done.items():
        assert found == books(run_feeds(table, stocknum=stocknum, refresh_rate=refresh_rate, delist_wait=0, **band))
    assert len({str(found) for found in done.values()}) == 4


# ------------------------------------------------------------------------------------------- by hand


@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
def test_setup_by_hand(profile, table, expected):
    """What setup() puts in place, in three lines of ordinary Backtrader."""
    cerebro = bt.Cerebro(cheat_on_open=True)
    if profile == 'realistic':
        broker = AShareBroker(cash=1e6, slippage=0.002, min_slippage_ticks=1, volume_limit=0.1, star_protection=0.02,
                              dividend_tax='holding', delist_wait=0)
        fees = {'stamp_duty': 'dated', 'transfer_fee': 'dated'}
    else:
        broker = AShareBroker(slippage=0.00246, size_with_fees=False, star_market_orders=False, delist_wait=0)
        broker.setcash(1e6)
        fees = {'commission': 0.0003, 'min_commission': 5, 'stamp_duty': 0.001}
    cerebro.setbroker(broker)
    cerebro.broker.addcommissioninfo(AShareCommission(**fees))
    for code, rows in table.groupby('code', sort=False, observed=True):
        cerebro.adddata(StockPandas(dataname=rows), name=code)
    cerebro.addstrategy(MicroCapStrategy, **PARAMS)
    cerebro.addanalyzer(Blotter, _name='blotter')
    assert books(cerebro.run()[0]) == expected[profile]


# ---------------------------------------------------------------------------------------------- hooks


def four():
    """Four stocks that open and close at 10, ranked A, B, C, D by market cap, for seven days."""
    flat = [10.0] * 6
    return tiny_market(
        {
            A: [bar(10.0, cap=2.1e9, volume=4e6), *flat],
            B: [bar(10.0, cap=2.2e9, volume=3e6), *flat],
            C: [bar(10.0, cap=2.3e9, volume=2e6), *flat],
            D: [bar(10.0, cap=2.4e9), *flat],
        }
    )


def orders(strategy, **options):
    """What a strategy trades on the four: (trading day, side, code, shares)."""
    table = four()
    options = {'stocknum': 2, 'refresh_rate': 3, 'cash': 100_000.0, **FREE, **options}
    blotter = run_feeds(table, strategy=strategy, **options).analyzers.blotter
    days = [stamp.date() for stamp in sorted(set(table['date']))]
    return [(days.index(fill.datetime) - 1, fill.side, fill.code, fill.quantity) for fill in blotter.fills]


def rotation(day, *codes, shares):
    return [(day, 'SELL', code, shares) for code in codes] + [(day, 'BUY', code, shares) for code in codes]


def buys(*codes, shares=5000):
    return [(0, 'BUY', code, shares) for code in codes]


def test_without_overrides():
    assert orders(MicroCapStrategy) == buys(A, B) + rotation(3, A, B, shares=5000)


def test_override_screen():
    class Without(MicroCapStrategy):
        def screen(self, section):
            return super().screen(section) & (section.codes != A)

    class Liquid(MicroCapStrategy):
        def screen(self, section):
            return (
                section.previous('volume') < 2.5e6
                if section.previous('volume').max() > 3e6
                else super().screen(section)
            )

    assert orders(Without) == buys(B, C) + rotation(3, B, C, shares=5000)
    sales = [(3, 'SELL', C, 5000), (3, 'SELL', D, 5000)]
    assert orders(Liquid) == buys(C, D) + sales + [(3, 'BUY', A, 5000), (3, 'BUY', B, 5000)]


def test_override_rank():
    class Largest(MicroCapStrategy):
        def rank(self, section):
            return -section.previous('market_cap')

    class Unknown(MicroCapStrategy):
        def rank(self, section):
            return np.where(section.codes == B, np.nan, super().rank(section))

    assert orders(Largest) == buys(D, C) + rotation(3, D, C, shares=5000)
    assert orders(Unknown) == buys(A, C) + rotation(3, A, C, shares=5000)


def test_override_select():
    class Fixed(MicroCapStrategy):
        def select(self, section):
            return [D, A]

    assert orders(Fixed) == buys(D, A) + rotation(3, D, A, shares=5000)


def test_override_budget():
    asked = []

    class Reserve(MicroCapStrategy):
        def budget(self, cash, free):
            asked.append((cash, free))
            return 0.8 * cash / free

    assert orders(Reserve) == buys(A, B, shares=4000) + rotation(3, A, B, shares=4000)
    assert asked == [(100_000.0, 2), (100_000.0, 2)]


def test_override_size():
    class Small(MicroCapStrategy):
        def size(self, data, budget):
            return 350

    assert orders(Small) == buys(A, B, shares=300) + rotation(3, A, B, shares=300)


def test_override_is_rebalance_day():
    class Once(MicroCapStrategy):
        def is_rebalance_day(self, day):
            days.append(day)
            return day in (1, 5)

    days = []
    once = [(1, *order[1:]) for order in buys(A, B)]
    assert orders(Once) == once + rotation(5, A, B, shares=5000)
    assert days == [0, 1, 2, 3, 4, 5]


def test_override_sell_all():
    class Holder(MicroCapStrategy):
        def sell_all(self):
            return self.held()

    assert orders(Holder) == buys(A, B)


# ---------------------------------------------------------------------------------- fromdate and todate


def whole_lives(table):
    count = table.groupby('code', observed=True)['date'].agg(['min', 'max'])
    return count.index[(count['min'] == table['date'].min()) & (count['max'] == table['date'].max())]


@pytest.mark.parametrize('kind', [pd.Timestamp, datetime.fromisoformat, date.fromisoformat])
@pytest.mark.parametrize('preload', [True, False])
def test_range_of_the_feeds(kind, preload, table):
    """A range given to the feeds is a run over the table of that range; both ends are in."""
    table = table[table['code'].isin(whole_lives(table))]
    days = sorted(set(table['date']))
    first, last = days[9], days[30]
    inside = table[(table['date'] >= first) & (table['date'] <= last)]
    wanted = books(run(inside))
    assert (wanted[2][0].date, wanted[2][-1].date) == (days[10].date(), last.date())
    limits = {'fromdate': kind(str(first.date())), 'todate': kind(str(last.date()))}
    assert books(run(table, cerebro=bt.Cerebro(preload=preload), **limits)) == wanted


@pytest.mark.parametrize('preload', [True, False])
def test_range_between_trading_days(preload, table):
    table = table[table['code'].isin(whole_lives(table))]
    days = sorted(set(table['date']))
    gaps = [at for at in range(len(days) - 1) if (days[at + 1] - days[at]).days > 1]
    begin, end = days[gaps[1]] + pd.Timedelta(days=1), days[gaps[4]] + pd.Timedelta(days=1)  # Saturdays
    equity = books(run(table, cerebro=bt.Cerebro(preload=preload), fromdate=begin, todate=end))[2]
    assert [row.date for row in equity] == [day.date() for day in days[gaps[1] + 2 : gaps[4] + 1]]


def test_only_todate_and_only_fromdate(table, expected):
    days = sorted(set(table['date']))
    fills, _, equity = books(run(table, todate=days[20]))
    assert fills == [fill for fill in expected['realistic'][0] if fill.datetime <= days[20].date()]
    assert equity == expected['realistic'][2][:20]
    assert books(run(table, fromdate=days[0]))[2] == expected['realistic'][2]
    assert books(run(table, fromdate=days[5]))[2][0].date == days[6].date()
