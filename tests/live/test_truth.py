"""Fed day after day with its own fills a list makes the trades of the backtest, and on the evening before the same choice."""

from datetime import date
from pathlib import Path

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from bt_microcap import MarketStore, MicroCapStrategy
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.store.coming import facts_before
from bt_microcap.live.account import load
from bt_microcap.live.day import orders_of
from bt_microcap.live.facts import with_facts
from bt_microcap.rotation.presets import PRESETS
from tests.support.living import (
    CAGE,
    backtest,
    codes_and_sides,
    day_by_day,
    days_of,
    demo,
    evening,
    new_account,
    one_day,
    run,
    trades_of,
)

PANEL = Path(__file__).parents[3] / 'shared/data/panels/whole_market_2021.parquet'
needs_panel = pytest.mark.skipif(not PANEL.exists(), reason=f'needs ../shared/data/panels/{PANEL.name}')


@pytest.fixture(scope='session')
def whole():
    return MarketStore.from_file(PANEL)


def assert_same(account, blotter):
    assert trades_of(account) == [tuple(fill) for fill in blotter.fills]
    assert account.books().cash == pytest.approx(blotter.equity[-1].cash, abs=1e-6)
    assert [(row.date, row.code, row.action, row.shares_before, row.shares_after, row.cash) for row in account.events] == [
        tuple(row) for row in blotter.corporate_actions]


@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
@pytest.mark.parametrize('preset', PRESETS)
def test_every_preset_on_the_demo_market(preset, profile, tmp_path):
    days = days_of(demo(), '2020-01-02', 16 if preset == 'microcap400' else 40)
    params = dict(PRESETS[preset].params)
    blotter = backtest(demo(), days, params=params, profile=profile)
    assert len(blotter.fills) > 5
    assert_same(day_by_day(demo(), days, tmp_path, params=params, profile=profile), blotter)


@needs_panel
@pytest.mark.parametrize(('preset', 'profile'), [('original', 'joinquant'), *((preset, 'realistic') for preset in PRESETS)])
def test_every_preset_on_the_whole_market(preset, profile, whole, tmp_path):
    days = days_of(whole, '2021-05-24', 5 if preset == 'microcap400' else 20)  # ex-dates of holdings among them
    params = dict(PRESETS[preset].params)
    blotter = backtest(whole, days, params=params, profile=profile)
    assert len(blotter.fills) > 5
    assert_same(day_by_day(whole, days, tmp_path, params=params, profile=profile), blotter)


STATE = {
    'stops and cooldowns': {'stop_loss': 0.03, 'cooldown': 5, 'trailing_stop': 0.04, 'take_profit': 0.06, 'stocknum': 6,
                            'keep': True},
    'a brake and its days': {'refresh_by': 'volatility', 'stocknum': 5, 'drawdown_brake': 0.02, 'brake_days': 4, 'rebuy_ban': 3},
    'weights in a band': {'weights': 'inverse_volatility', 'keep': True, 'band': 0.1, 'stocknum': 8, 'target_volatility': 0.1},
    'limits, a month, a fund': {'limit_up_hold': True, 'month_day': 3, 'stocknum': 10, 'skip_limits': True, 'market_fall': 0.005,
                                'phase': 2, 'parking': '511880.XSHG'},
    'a trend': {'refresh_by': 'trend', 'trend_days': 10, 'weights': 'market_cap', 'max_weight': 0.4},
}


@pytest.mark.parametrize('name', STATE)
def test_what_a_strategy_remembers(name, tmp_path):
    days = days_of(demo(), '2020-03-02', 45)
    blotter = backtest(demo(), days, params=STATE[name])
    assert len(blotter.fills) > 10
    assert_same(day_by_day(demo(), days, tmp_path, params=STATE[name]), blotter)


class Own(MicroCapStrategy):
    """Remembers something of its own: it skips every second rebalance after a loss."""

    params = (('stocknum', 4), ('refresh_rate', 3))

    def __init__(self):
        super().__init__()
        self.last, self.skip = None, False

    def is_rebalance_day(self, day):
        if not super().is_rebalance_day(day):
            return False
        value = self.broker.getvalue()
        lost, self.last = self.last is not None and value < self.last, value
        self.skip = lost and not self.skip
        return not self.skip


class Crossing(bt.Strategy):
    """A plain strategy with an indicator, that orders at the close for the next open, and a resting limit order."""

    def __init__(self):
        self.mean = bt.indicators.SimpleMovingAverage(self.data.close, period=5)
        self.count = 0

    def next(self):
        stock = self.data.stock('600533.XSHG')
        self.count += 1
        if not self.broker.getposition(stock).size and self.data.close[0] > self.mean[0]:
            self.buy(data=stock, size=1000)
        elif self.broker.getposition(stock).size and self.count % 4 == 0:
            self.sell(data=stock, size=1000, exectype=bt.Order.Limit, price=round(stock.close[0] * 1.01, 2))


class Resting(bt.Strategy):
    """Gives orders that wait, one kind at a time, and answers to what became of them."""

    kind = ''

    def __init__(self):
        self.days, self.again = 0, 0

    def notify_order(self, order):
        if order.status == order.Canceled and order.executed.size and self.again < 5:
            self.again += 1
            self.sell(data=order.data, size=100)

    def next(self):
        self.days += 1
        stock = self.data.stock('600533.XSHG')
        position = self.broker.getposition(stock).size
        waits = [order for order in self.broker.orders if order.alive()]
        if not position and not waits:
            close = stock.close[0]
            if self.kind == 'bracket':
                self.buy_bracket(data=stock, size=1000, exectype=bt.Order.Market, stopprice=round(close * 0.97, 2),
                                 limitprice=round(close * 1.03, 2))
            elif self.kind == 'large':  # more than the volume limit lets through in a day
                self.buy(data=stock, size=900_000, price=round(close * 1.01, 2), exectype=bt.Order.Limit)
            else:
                self.buy(data=stock, size=1000)
        elif position and not waits:
            if self.kind == 'trail':
                self.sell(data=stock, size=position, exectype=bt.Order.StopTrail, trailpercent=0.03)
            elif self.kind == 'stop limit':
                self.sell(data=stock, size=position, exectype=bt.Order.StopLimit, price=round(stock.close[0] * 0.98, 2),
                          plimit=round(stock.close[0] * 0.95, 2))
            elif self.kind == 'odd' and self.days % 3 == 0:
                self.sell(data=stock, size=150)
            elif self.kind == 'large' and self.days % 9 == 0:
                self.close(data=stock)


@pytest.mark.parametrize('kind', ['bracket', 'large', 'trail', 'stop limit', 'odd'])
def test_orders_that_wait(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(Resting, 'kind', kind)
    days = days_of(demo(), '2020-06-01', 60)
    blotter = backtest(demo(), days, Resting, cash=2e7)
    assert len(blotter.fills) > 5
    assert_same(day_by_day(demo(), days, tmp_path, Resting, cash=2e7), blotter)


@pytest.mark.parametrize('strategy', [Own, Crossing])
def test_a_strategy_of_the_users_own(strategy, tmp_path):
    days = days_of(demo(), '2020-06-01', 40)
    blotter = backtest(demo(), days, strategy)
    assert len(blotter.fills) > 5
    assert_same(day_by_day(demo(), days, tmp_path, strategy), blotter)


def dividends():
    """Return the demo market with dividends and bonus shares in columns of their own."""
    table = demo_market(fund=True)
    table = table[(table['date'] >= '2020-01-02') & (table['date'] <= '2020-06-30')].copy()
    table['cash_dividend'], table['share_ratio'] = 0.0, 1.0
    numbers = np.random.default_rng(7)
    ex = numbers.random(len(table)) < 0.05
    table.loc[ex, 'cash_dividend'] = numbers.integers(1, 30, ex.sum()) / 100
    table.loc[ex, 'share_ratio'] = numbers.choice([1.0, 1.3, 2.0], ex.sum())
    return table.reset_index(drop=True)


@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
def test_explicit_dividends_and_their_tax(profile, tmp_path):
    store = MarketStore.from_table(dividends(), checked=True)
    days = days_of(store, '2020-02-03', 30)
    params = {'keep': True, 'stocknum': 6}  # held over many ex-dates
    blotter = backtest(store, days, params=params, profile=profile)
    assert len(blotter.corporate_actions) > 3
    assert_same(day_by_day(store, days, tmp_path, params=params, profile=profile), blotter)


def test_from_data_that_ends_with_the_day_itself(tmp_path):
    table = demo_market(fund=True)
    days = days_of(demo(), '2021-03-01', 12)

    def cut(day):
        return MarketStore.from_table(table[table['date'] <= pd.Timestamp(day)].reset_index(drop=True), checked=True)

    assert_same(day_by_day(cut, days, tmp_path), backtest(demo(), days))


# -- on the evening before ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('preset', ['original', 'ten_weekly', 'parked'])
def test_the_evening_chooses_what_the_open_trades(preset, tmp_path):
    days, params = days_of(demo(), '2020-01-02', 25), dict(PRESETS[preset].params)
    new_account(tmp_path, days[0])
    seen = 0
    for day in days:
        account = load(tmp_path / 'account.json')
        before = evening(demo(), account, day, params=params)
        made = one_day(demo(), account, day, params=params)
        assert codes_and_sides(before) == codes_and_sides(made)
        assert before.days_left == made.days_left
        seen += len(codes_and_sides(made))
    assert seen > 10


def scrambled(table, day):
    """Return a table in which everything from a day on is another, but for what is published before its open."""
    numbers = np.random.default_rng(3)
    late = (table['date'] >= pd.Timestamp(day)).to_numpy()
    other = table.copy()
    for name in ('open', 'high', 'low', 'close', 'volume', 'amount', 'market_cap'):
        other[name] = other[name].astype(float)
        other.loc[late, name] = np.round(other.loc[late, name] * numbers.uniform(0.5, 2.0, late.sum()), 2)
    later = (table['date'] > pd.Timestamp(day)).to_numpy()
    for name in ('is_st', 'paused'):
        other.loc[later, name] = numbers.integers(0, 2, later.sum())
    return other


def test_the_evening_sees_nothing_of_the_day(tmp_path):
    table = demo_market(fund=True)
    days = days_of(demo(), '2020-01-02', 11)
    for number in (0, 5, 10):
        folder = tmp_path / str(number)
        folder.mkdir()
        account = day_by_day(demo(), days[:number], folder) if number else new_account(folder, days[0])
        day = days[number]
        made = evening(demo(), account, day)
        assert len(made.orders) >= 3
        other = MarketStore.from_table(scrambled(table, day), checked=True)
        assert evening(other, account, day) == made


def test_what_is_published_may_come_from_a_file(tmp_path):
    table, days = demo_market(fund=True), days_of(demo(), '2020-01-02', 6)
    account = day_by_day(demo(), days[:5], tmp_path)
    day = days[5]
    made = evening(demo(), account, day)
    published = table[table['date'] == pd.Timestamp(day)]
    path = tmp_path / 'facts.csv'
    published[['code', 'paused', 'is_st', 'preclose']].to_csv(path, index=False)
    rows = MarketStore.from_table(table[table['date'] < pd.Timestamp(day)].reset_index(drop=True), checked=True)
    coming = facts_before(rows, day.toordinal())
    assert not coming.published
    assert with_facts(coming, rows, path)[:2] == (len(published), len(published))
    assert orders_of(rows, account, day, MicroCapStrategy, {}, CAGE, coming, run).orders == made.orders
    assert len(made.orders) == 6


def test_days_until_the_next_rebalance(tmp_path):
    days = days_of(demo(), '2020-01-02', 12)
    new_account(tmp_path, days[0])
    left = []
    for day in days:
        left.append(one_day(demo(), load(tmp_path / 'account.json'), day).days_left)
    assert left == [0, 4, 3, 2, 1, 0, 4, 3, 2, 1, 0, 4]


def test_an_order_that_was_not_filled_is_told(tmp_path):
    days = days_of(demo(), '2020-01-02', 2)
    account = new_account(tmp_path, days[0])
    wanted = codes_and_sides(evening(demo(), account, days[0]))
    made = evening(demo(), account, days[1])  # nothing was filled on the first day
    assert made.orders == []
    assert made.days_left == 4
    assert sorted(made.unfilled) == wanted
    assert len(wanted) == 3


def test_the_calendar_day_of_the_account_counts(tmp_path):
    account = new_account(tmp_path, date(2020, 1, 2))
    assert account.begun == date(2020, 1, 2)
    assert evening(demo(), account, date(2020, 1, 9)).days_left == 0  # five trading days later
