"""One MarketFeed in place of one feed per stock: the same run, in every mode, range and process."""

import math

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from bt_microcap import AShareBroker, AShareCommission, Blotter, MicroCapStrategy
from bt_microcap.exchange.opening import PRE_OPEN
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import StockPandas, add_stocks
from bt_microcap.feeds.universe import LookAheadError
from tests.support.markets import bar, paused, tiny_market
from tests.support.running import run_feeds, run_market
from tests.support.script_calls import ROOT

PARAMS = {'min_cap': 4e8, 'max_cap': 6e9, 'stocknum': 5, 'refresh_rate': 3}
RUN = {**PARAMS, 'delist_wait': 0}  # forty days: with the default of 60 nothing would be delisted
PANEL = ROOT.parent / 'shared' / 'data' / 'panels' / 'sample280_2018_2022.parquet'
PROFILES = ['realistic', 'joinquant']
FREE = {'slippage': 0.0, 'commission': 0.0, 'min_commission': 0.0, 'stamp_duty': 0.0, 'transfer_fee': 0.0}
A, B, C = '600001.XSHG', '600002.XSHG', '600003.XSHG'


@pytest.fixture(scope='module')
def table():
    """Late listings, delistings, suspensions and ex-dates in forty days."""
    return check_table(demo_market(32, '2021-03-01', days=40, seed=13, corporate_actions=True, fundamentals=True))


@pytest.fixture(scope='module')
def days(table):
    return sorted(set(table['date']))


@pytest.fixture(scope='module')
def expected(table):
    done = books(run_feeds(table, **RUN))
    assert {'delisted', 'suspended'} <= {row.reason for row in done[1]}
    assert len(done[0]) > 80
    return done


def books(strategy):
    blotter = strategy.analyzers.blotter
    return blotter.fills, blotter.rejections, blotter.equity


def both(table, **options):
    """The books of the two ways, which must be the same; not a run in which nothing happens."""
    feeds, market = (books(run_feeds(table, market=market, **options)) for market in (False, True))
    assert market == feeds
    assert len(market[0]) > 20
    return market


def whole(table):
    """The rows of the stocks that have one on every day."""
    counts = table['code'].value_counts()
    return table[table['code'].isin(counts.index[counts == table['date'].nunique()])].reset_index(drop=True)


# ---------------------------------------------------------------------------------------- the two ways


@pytest.mark.parametrize('profile', PROFILES)
@pytest.mark.parametrize('start, end', [(None, None), (12, None), (None, 25), (9, 30)])
@pytest.mark.parametrize('actions', [True, False], ids=['actions', 'preclose'])
def test_two_ways(profile, start, end, actions, table, days):
    if not actions:
        table = table.drop(columns=['cash_dividend', 'share_ratio'])
    start, end = (None if day is None else days[day] for day in (start, end))
    equity = both(table, profile=profile, start=start, end=end, **RUN)[2]
    assert equity[-1].date == (end or days[-1]).date()
    assert equity[0].date == (start or days[1]).date()


def test_range_between_trading_days(table, days):
    gaps = [at for at in range(len(days) - 1) if (days[at + 1] - days[at]).days > 1]
    start, end = (days[gaps[at]] + pd.Timedelta(days=1) for at in (1, 5))  # Saturdays
    equity = both(table, start=start, end=end, **RUN)[2]
    assert [row.date for row in equity] == [day.date() for day in days[gaps[1] + 1:gaps[5] + 1]]


@pytest.mark.skipif(not PANEL.exists(), reason=f'{PANEL.name} is not there: real prices cannot be shipped')
@pytest.mark.parametrize('profile', PROFILES)
def test_two_ways_on_a_real_market(profile):
    span = [('date', '>=', pd.Timestamp('2019-05-06')), ('date', '<=', pd.Timestamp('2019-07-31'))]
    table = pd.read_parquet(PANEL, filters=span)
    assert table['code'].nunique() > 200
    fills, rejections, _ = both(table, profile=profile, min_cap=0.0, max_cap=3e9, stocknum=10, refresh_rate=2)
    assert len(fills) > 300
    assert rejections


@pytest.mark.parametrize('exactbars', [False, 1, -1, -2])
@pytest.mark.parametrize('runonce', [True, False])
@pytest.mark.parametrize('preload', [True, False])
def test_modes(preload, runonce, exactbars, table, expected):
    cerebro = bt.Cerebro(preload=preload, runonce=runonce, exactbars=exactbars)
    assert books(run_market(table, cerebro=cerebro, **RUN)) == expected


@pytest.mark.parametrize('options', [{'oldsync': False}, {'tradehistory': True}, {'stdstats': True}], ids=str)
def test_other_switches(options, table, expected):
    assert books(run_market(table, cerebro=bt.Cerebro(**options), **RUN)) == expected


def test_run_again(table, expected):
    cerebro = bt.Cerebro()
    assert books(run_market(table, cerebro=cerebro, **RUN)) == expected
    for preload in (True, False, True):
        assert books(cerebro.run(preload=preload)[0]) == expected


def plain(table, market, broker=None, **kwargs):
    """No setup(): decisions at the close."""
    cerebro = bt.Cerebro(**kwargs)
    if market:
        cerebro.adddata(MarketFeed(dataname=table), name='market')
    else:
        add_stocks(cerebro, table, checked=True)
    if broker is not None:
        cerebro.setbroker(broker)
    cerebro.broker.setcash(1e6)
    cerebro.broker.addcommissioninfo(AShareCommission())
    cerebro.addstrategy(MicroCapStrategy, **PARAMS)
    cerebro.addanalyzer(Blotter, _name='blotter')
    return books(cerebro.run()[0])


@pytest.mark.parametrize('mode', [{}, {'preload': False}, {'runonce': False}], ids=str)
def test_without_cheat_on_open(mode, table):
    feeds, market = (plain(table, market, AShareBroker(delist_wait=0), **mode) for market in (False, True))
    assert market == feeds
    assert len(market[0]) > 80


def test_backtraders_own_broker_is_refused(table):
    """It would trade on days without a row, and its account would be NaN after a delisting."""
    with pytest.raises(ValueError, match='a MarketFeed needs AShareBroker'):
        plain(table, True)


def test_sale_proceeds_are_told_by_stock_not_by_price():
    """Two holdings at the same price, of which one is suspended: the other's proceeds pay the next buy."""
    def bought(close):
        table = tiny_market({
            A: [bar(10.0, cap=2.1e9), 10.0, 10.0, paused(), 10.0, 10.0],
            B: [bar(10.0, cap=2.2e9), 10.0, 10.0, bar(10.0, close, cap=2.9e9), close, close],
            C: [bar(10.0, cap=2.5e9)] + [10.0] * 5,
        })
        cerebro = bt.Cerebro()
        cerebro.adddata(MarketFeed(dataname=table), name='market')
        cerebro.setbroker(AShareBroker(cash=1e5))
        cerebro.broker.addcommissioninfo(AShareCommission(**{name: FREE[name] for name in FREE if name != 'slippage'}))
        cerebro.addstrategy(MicroCapStrategy, stocknum=2, refresh_rate=3)
        cerebro.addanalyzer(Blotter, _name='blotter')
        fills = books(cerebro.run()[0])[0]
        return [(fill.code, fill.quantity) for fill in fills if fill.side == 'BUY']

    assert bought(9.99) == [(A, 5000), (B, 5000), (C, 4900)]  # 49,950 yuan
    assert bought(10.0) == [(A, 5000), (B, 5000), (C, 5000)]


def test_market_of_one_stock():
    table = tiny_market({A: [bar(10.0, cap=2.5e9), 10.0, 11.0, 12.0]})
    feeds, market = (run_feeds(table, market=market, stocknum=1, refresh_rate=2, cash=1e5, **FREE) for market in (False, True))
    assert books(market) == books(feeds)
    assert [(fill.side, fill.quantity, fill.price) for fill in books(market)[0]] == [
        ('BUY', 10_000, 10.0), ('SELL', 10_000, 12.0), ('BUY', 10_000, 12.0)]
    assert [row.total_value for row in books(market)[2]] == [1e5, 1.1e5, 1.2e5]


@pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
def test_a_further_column(market, table, days):
    class Profitable(MicroCapStrategy):
        def screen(self, section):
            roe = section.previous('roe')
            seen.append(roe)
            return super().screen(section) & (roe > 5)

    seen = []
    fills = books(run_feeds(table, market=market, strategy=Profitable, **PARAMS))[0]
    wide = table.pivot(index='date', columns='code', values='roe').sort_index(axis=1)
    assert len(seen) == 13
    for number, roe in enumerate(seen):
        np.testing.assert_array_equal(roe, wide.loc[days[number * PARAMS['refresh_rate']]].to_numpy())
    before = {day.date(): previous for previous, day in zip(days, days[1:], strict=False)}
    bought = [fill for fill in fills if fill.side == 'BUY']
    assert len(bought) > 20
    assert all(wide.loc[before[fill.datetime], fill.code] > 5 for fill in bought)
    assert fills != books(run_feeds(table, market=market, **PARAMS))[0]


# ------------------------------------------------------------------------------------ the feed of a stock


class Looker(bt.Strategy):
    """Runs a function at every bar, and one in __init__."""

    params = (('each', None), ('first', None))

    def __init__(self):
        if self.p.first:
            self.p.first(self)

    def next(self):
        if self.p.each:
            self.p.each(self)


def look(table, each=None, first=None, cerebro=None, **limits):
    cerebro = cerebro or bt.Cerebro()
    cerebro.adddata(MarketFeed(dataname=table, **limits), name='market')
    cerebro.addstrategy(Looker, each=each, first=first)
    return cerebro.run()[0]


def test_a_stock_is_a_feed_with_all_lines(table, days):
    """Every line at every bar, against the table; a day without a row has the last close and flags, and nothing more.

    The feed begins with the stock's first row: before it there is no bar, and after its last row nothing but the day.
    """
    codes = sorted(set(table['code']))
    begins = {code: days.index(day) for code, day in table.groupby('code', observed=True)['date'].min().items()}
    assert len(set(begins.values())) > 2
    seen = {code: [] for code in codes}
    names = StockPandas(dataname=table[table['code'] == codes[0]]).getlinealiases()

    def each(strategy):
        for code in codes:
            feed = strategy.data.stock(code)
            assert feed is strategy.data.stock(code)
            bars = max(0, len(strategy) - begins[code])
            assert (isinstance(feed, bt.feed.DataBase), feed._name, len(feed)) == (True, code, bars)
            assert [len(getattr(feed, name)) for name in names] == [bars] * len(names)
            seen[code].append([getattr(feed, name)[0] for name in names])

    look(table, each)
    for code in codes:
        rows = table[table['code'] == code].set_index('date')
        full = rows.reindex([day for day in days if rows.index[0] <= day <= rows.index[-1]])
        missing = full['close'].isna()
        full[['close', 'is_st']] = full[['close', 'is_st']].ffill()
        for name in ('open', 'high', 'low'):
            full.loc[missing, name] = full.loc[missing, 'close']
        full.loc[missing, 'volume'], full.loc[missing, 'paused'] = 0.0, 1.0
        stamps = [float(day.toordinal()) if day >= rows.index[0] else np.nan for day in days]
        full = full.reindex(days).assign(openinterest=np.nan, datetime=stamps)
        wanted = full.reindex(columns=names).to_numpy('float64')  # high_limit and low_limit are not in the table
        np.testing.assert_array_equal(np.array(seen[code]), wanted)


@pytest.mark.parametrize('mode', [{}, {'runonce': False}, {'preload': False}, {'exactbars': 1}], ids=str)
@pytest.mark.parametrize('period', [1, 5, 20])
@pytest.mark.parametrize('line', ['', 'close', 'market_cap'])
def test_indicator_on_a_stock(line, mode, period, table, days):
    """On the feed itself, or on one of its lines."""
    code = whole(table)['code'].iloc[3]
    made, bars = [], []

    def first(strategy):
        feed = strategy.data.stock(code)
        made.append(bt.ind.SMA(getattr(feed, line) if line else feed, period=period))

    look(table, lambda strategy: bars.append((len(strategy), made[0][0])), first, bt.Cerebro(stdstats=False, **mode))
    wanted = table[table['code'] == code][line or 'close'].rolling(period).mean().to_numpy()[period - 1:]
    # next() begins when the indicator is ready, as with registered feeds
    assert [bar for bar, _ in bars] == list(range(period, len(days) + 1))
    np.testing.assert_allclose([value for _, value in bars], wanted, rtol=1e-12)


def test_operators_compare_in_next_and_make_lines_in_init(table):
    """As with registered feeds, also where the feed is first asked for in next()."""
    early, late = whole(table)['code'].iloc[[0, 1]]
    made, seen = [], []

    def first(strategy):
        feed = strategy.data.stock(early)
        made.append(bt.ind.SMA(feed.close - feed.open, period=1))

    def each(strategy):
        for code in (early, late):
            feed = strategy.data.stock(code)
            seen.append((feed.close > feed.open, feed.close - feed.open, feed > 5.0))
            assert seen[-1] == (feed.close[0] > feed.open[0], feed.close[0] - feed.open[0], feed.close[0] > 5.0)
        assert made[0][0] == seen[-2][1]

    look(table, each, first)
    assert {type(value) for row in seen for value in row} == {bool, float}


def test_by_name_after_first_use(table):
    code = table['code'].iloc[0]

    def each(strategy):
        if len(strategy) == 2:
            assert code not in strategy.getdatanames()
            assert strategy.getdatabyname(strategy.data.stock(code)._name) is strategy.data.stock(code)
            assert code in strategy.getdatanames()
            with pytest.raises(KeyError, match='no stock'):
                strategy.data.stock('000000.XSHE')

    look(table, each)


def test_a_section_cannot_hand_out_the_future(table, days):
    late = [name for name in table.columns if name not in ('date', 'code', *PRE_OPEN)]
    wide = {name: table.pivot(index='date', columns='code', values=name).sort_index(axis=1) for name in table.columns[2:]}
    checked = []

    class Curious(MicroCapStrategy):
        def screen(self, section):
            now = days.index(pd.Timestamp(self.data.datetime.date()))
            for name in late:
                with pytest.raises(LookAheadError, match=name):
                    section.today(name)
            for name, values in wide.items():
                np.testing.assert_array_equal(section.previous(name), values.iloc[now - 1])
                if name in PRE_OPEN:
                    np.testing.assert_array_equal(section.today(name), values.iloc[now])
            checked.append(now)
            return super().screen(section)

    run_market(table, strategy=Curious, **PARAMS)
    assert {'close', 'high', 'low', 'volume', 'market_cap', 'roe'} <= set(late)
    assert checked == list(range(1, 40, 3))


@pytest.mark.parametrize('mode', [{}, {'preload': False}], ids=str)
def test_no_day_after_the_last_bar(mode, table, days):
    """A line asked beyond the run's last bar, or whole, shows no day after todate."""
    codes, last = sorted(set(table['code'])), days[24]
    first = table.groupby('code', observed=True)['date'].min()

    def each(strategy):
        if len(strategy) < 25:
            return
        assert strategy.data.datetime.date() == last.date()
        for code in codes:
            feed = strategy.data.stock(code)
            for line in (feed.close, feed.datetime, feed.market_cap):
                for ahead in (1, 2, 10):
                    try:
                        assert math.isnan(line[ahead])
                    except IndexError:
                        asked.append(code)
                assert len(line.array) == sum(first[code] <= day <= last for day in days) or mode
        inside = table[table['date'] <= last].groupby('code', observed=True)['close'].last()
        for code, close in inside.items():
            values = np.array(strategy.data.stock(code).close.array)
            assert values[~np.isnan(values)][-1] == close

    asked = []
    look(table, each, cerebro=bt.Cerebro(**mode), todate=last)
    assert len(asked) > 32
