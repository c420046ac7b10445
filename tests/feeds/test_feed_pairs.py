"""A second feed beside the market changes nothing of what the market does: weekly bars, an index, another calendar."""

import datetime as dt

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bt_microcap import AShareBroker, AShareCommission, Blotter, MicroCapStrategy, setup
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from tests.support.looking import add_market, look
from tests.support.markets import tiny_market

PARAMS = {'min_cap': 4e8, 'max_cap': 6e9, 'stocknum': 4, 'refresh_rate': 2}
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
TIMES = pytest.mark.parametrize('at_open', [True, False], ids=['at the open', 'at the close'])
A = '600001.XSHG'


@pytest.fixture(scope='module')
def table():
    """Late listings, suspensions and ex-dates in forty days, with the holidays of May."""
    return check_table(demo_market(12, '2021-04-12', days=40, seed=13, corporate_actions=True))


def books(table, market, at_open, beside=None, first=False):
    """Run the rotation; ``beside`` adds feeds after the market, or with ``first`` before it."""
    cerebro = bt.Cerebro(stdstats=False)
    if beside is not None and first:
        beside(cerebro)
    add_market(cerebro, table, market)
    if beside is not None and not first:
        beside(cerebro)
    cerebro.addstrategy(MicroCapStrategy, **PARAMS)
    if at_open:
        setup(cerebro, 'realistic')
    else:
        cerebro.setbroker(AShareBroker(cash=1e6, slippage=0.002, volume_limit=0.1))
        cerebro.broker.addcommissioninfo(AShareCommission())
    cerebro.addanalyzer(Blotter, _name='blotter')
    blotter = cerebro.run()[0].analyzers.blotter
    return {'fills': blotter.fills, 'rejections': blotter.rejections, 'equity': blotter.equity, 'orders': blotter.orders,
            'actions': blotter.corporate_actions}


@pytest.fixture(scope='module')
def alone(table):
    found = {(market, at_open): books(table, market, at_open) for market in (False, True) for at_open in (False, True)}
    assert all(len(told['fills']) > 60 and told['rejections'] and told['actions'] for told in found.values())
    assert found[False, True] == found[True, True]
    assert found[False, False] == found[True, False]
    return found


def index(stamps, name='index', **options):
    """Return what adds a feed of Backtrader's own with these bars."""
    stamps = pd.DatetimeIndex(stamps)
    level = 1000 + np.arange(len(stamps), dtype=float)
    frame = pd.DataFrame({'open': level, 'high': level + 3, 'low': level - 3, 'close': level + 1, 'volume': 1.0}, index=stamps)
    return lambda cerebro: cerebro.adddata(bt.feeds.PandasData(dataname=frame, **options), name=name)


def resampled(timeframe, **options):
    """Return what adds weeks or months of the market itself."""
    return lambda cerebro: cerebro.resampledata(cerebro.datas[0], timeframe=timeframe, name='clone', **options)


def days_of(table):
    return pd.DatetimeIndex(sorted(set(table['date'])))


def late(days, hour=23, minute=59, second=59):
    return days + pd.Timedelta(hours=hour, minutes=minute, seconds=second)


OTHERS = {
    'the same days': lambda days: index(days),
    'at the end of the day': lambda days: index(late(days)),
    'at half past nine': lambda days: index(late(days, 9, 30, 0)),
    'every day of the year': lambda days: index(pd.date_range(days[0], days[-1])),
    'every day, at its end': lambda days: index(late(pd.date_range(days[0], days[-1]))),
    'every weekday': lambda days: index(pd.bdate_range(days[0], days[-1])),
    'fewer days': lambda days: index(days[::3]),
    'fewer days, at their end': lambda days: index(late(days[1::4])),
    'days before and after': lambda days: index(pd.bdate_range(
        days[0] - pd.Timedelta(days=40), days[-1] + pd.Timedelta(days=40))),
    'from the middle on': lambda days: index(days[17:]),
    'up to the middle': lambda days: index(days[:17]),
    'one bar alone': lambda days: index(days[20:21]),
    'a Saturday alone': lambda days: index([next(day for day in pd.date_range(days[10], days[-1]) if day.weekday() == 5)]),
    'Fridays of weeks': lambda days: index(pd.date_range(days[0], days[-1], freq='W-FRI')),
    'weeks of the market': lambda days: resampled(bt.TimeFrame.Weeks),
    'months of the market': lambda days: resampled(bt.TimeFrame.Months),
    'pairs of days of the market': lambda days: resampled(bt.TimeFrame.Days, compression=2),
    'two others': lambda days: lambda cerebro: (index(late(days), 'one')(cerebro), index(pd.date_range(
        days[0], days[-1]), 'two')(cerebro)),
}


@WAYS
@TIMES
@pytest.mark.parametrize('name', OTHERS)
def test_another_feed_beside_the_market(name, at_open, market, table, alone):
    other = OTHERS[name](days_of(table))
    found = books(table, market, at_open, other)
    for what, rows in alone[market, at_open].items():
        assert found[what] == rows, what


@WAYS
@TIMES
@pytest.mark.parametrize('name', [name for name in OTHERS if 'of the market' not in name])
def test_another_feed_before_the_market(name, at_open, market, table, alone):
    found = books(table, market, at_open, OTHERS[name](days_of(table)), first=True)
    for what, rows in alone[market, at_open].items():
        assert found[what] == rows, what


@WAYS
@TIMES
@pytest.mark.parametrize('how', ['resampledata', 'replaydata'])
def test_weeks_of_another_feed(how, at_open, market, table, alone):
    def beside(cerebro):
        index(late(pd.date_range(days_of(table)[0], days_of(table)[-1])))(cerebro)
        getattr(cerebro, how)(cerebro.datas[-1], timeframe=bt.TimeFrame.Weeks, name='weeks')

    assert books(table, market, at_open, beside) == alone[market, at_open]


@TIMES
def test_weeks_of_one_stock_beside_the_days(at_open, table, alone):
    """Where a stock is a feed of its own; one of a `MarketFeed` is not, see test_backtraders_own."""
    def beside(cerebro):
        cerebro.resampledata(cerebro.datas[3], timeframe=bt.TimeFrame.Weeks, name='weeks')

    assert books(table, False, at_open, beside) == alone[False, at_open]


@WAYS
@pytest.mark.parametrize('stdstats', [True, False])
@pytest.mark.parametrize('mode', [{'runonce': False}, {'preload': False}, {'exactbars': 1}], ids=str)
def test_in_other_modes(mode, stdstats, market, table, alone):
    days = days_of(table)
    cerebro = bt.Cerebro(stdstats=stdstats, **mode)
    add_market(cerebro, table, market)
    index(late(pd.date_range(days[0], days[-1])))(cerebro)
    cerebro.addstrategy(MicroCapStrategy, **PARAMS)
    setup(cerebro, 'realistic')
    cerebro.addanalyzer(Blotter, _name='blotter')
    blotter = cerebro.run()[0].analyzers.blotter
    assert blotter.fills == alone[market, True]['fills']
    assert blotter.equity == alone[market, True]['equity']


# ------------------------------------------------------------------------------------------ what weeks show


@pytest.mark.parametrize('mode', [{}, {'runonce': False}], ids=str)
def test_a_week_shows_its_own_days(mode):
    """Monday 8th to Friday 12th and the days around: the week's open is Monday's, its close Friday's, known on Monday 15th."""
    seen = []

    class Weekly(MicroCapStrategy):
        def trade(self, day):
            week = self.getdatabyname('week')
            if len(week):
                seen.append((self.data.datetime.date(0).day, week.datetime.date(0).day, round(week.open[0], 6), week.close[0],
                             week.high[0], week.low[0]))

    days = [(10.0 + number, 10.5 + number) for number in range(11)]  # from Tuesday, 2 January 2024 on
    table = tiny_market({A: days})
    cerebro = bt.Cerebro(stdstats=False, **mode)
    add_market(cerebro, table, True)
    cerebro.resampledata(cerebro.datas[0], timeframe=bt.TimeFrame.Weeks, name='week')
    cerebro.addstrategy(Weekly)
    setup(cerebro)
    strategy = cerebro.run()[0]
    daily = {bt.num2date(stamp).day: tuple(getattr(strategy.data, name).array[at] for name in ('open', 'high', 'low', 'close'))
             for at, stamp in enumerate(strategy.data.datetime.array)}
    first = [daily[day] for day in (2, 3, 4, 5)]
    second = [daily[day] for day in (8, 9, 10, 11, 12)]

    def week(rows):
        return round(rows[0][0], 6), rows[-1][3], max(row[1] for row in rows), min(row[2] for row in rows)

    assert seen == [(day, 5, *week(first)) for day in (8, 9, 10, 11, 12)] + [(day, 12, *week(second)) for day in (15, 16)]


# ------------------------------------------------------------------------------------ what cannot be right


def alone_as(add):
    def run(table):
        cerebro = bt.Cerebro(stdstats=False)
        add(cerebro, MarketFeed(dataname=table))
        cerebro.addstrategy(MicroCapStrategy, **PARAMS)
        setup(cerebro)
        cerebro.run()
    return run


def filtered(cerebro, market):
    market.addfilter(bt.filters.SessionFilter)
    cerebro.adddata(market)


def simply_filtered(cerebro, market):
    market.addfilter_simple(lambda data: data.datetime.date().weekday() == 4)
    cerebro.adddata(market)


REFUSED = {
    'resampled': alone_as(lambda cerebro, market: cerebro.resampledata(market, timeframe=bt.TimeFrame.Weeks)),
    'replayed': alone_as(lambda cerebro, market: cerebro.replaydata(market, timeframe=bt.TimeFrame.Weeks)),
    'filtered': alone_as(filtered),
    'simply filtered': alone_as(simply_filtered),
}


@pytest.mark.parametrize('name', REFUSED)
def test_a_market_that_is_no_daily_clock_is_refused(name, table):
    with pytest.raises(DataError, match='daily clock of its stocks.*beside it'):
        REFUSED[name](table)


@pytest.mark.parametrize('option', [{'tz': 'Asia/Shanghai'}, {'tzinput': 'Asia/Shanghai'}], ids=str)
def test_a_market_in_a_time_zone_is_refused(option, table):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=table, **option))
    cerebro.addstrategy(MicroCapStrategy, **PARAMS)
    setup(cerebro)
    with pytest.raises(DataError, match='daily clock of its stocks'):
        cerebro.run()


# ---------------------------------------------------------------------------------- orders of every bar, and a fuzz


class OfEveryBar(bt.Strategy):
    """Buys and sells by turns on every bar of any feed, at the open and after the close."""

    params = (('codes', ()),)

    def __init__(self):
        self.given, self.filled, self.turn = {}, [], 0
        self.clock = next(data for data in self.datas if data._name == 'market')

    def feed(self, code):
        return self.clock.stock(code) if hasattr(self.clock, 'stock') else self.getdatabyname(code)

    def order(self, when):
        self.turn += 1
        data = self.feed(self.p.codes[self.turn % len(self.p.codes)])
        if not len(data):
            return
        order = self.buy(data, size=100) if self.turn % 3 else self.close(data)
        if order is not None:
            self.given[order.ref] = when, bt.num2date(max(data.datetime[0] for data in self.datas if len(data)))

    def next_open(self):
        self.order('open')

    def next(self):
        self.order('close')

    prenext_open = nextstart_open = lambda self: self.next_open()
    prenext = lambda self: self.next()  # noqa: E731

    def notify_order(self, order):
        for bit in order.executed.iterpending():
            self.filled.append((order.ref, bt.num2date(bit.dt), order.data._name, bit.price))


def check_every_bar(table, market, cheat, beside, first):
    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=cheat)
    if first:
        beside(cerebro)
    add_market(cerebro, table, market)
    if not first:
        beside(cerebro)
    cerebro.setbroker(AShareBroker(cash=1e6))
    cerebro.addstrategy(OfEveryBar, codes=sorted(set(table['code']))[:4])
    strategy = cerebro.run()[0]
    opens = {(stamp.date(), code): price for stamp, code, price in zip(table['date'], table['code'], table['open'], strict=True)}
    trading = {day for day, _ in opens}
    assert strategy.filled
    for ref, stamp, code, price in strategy.filled:
        when, given = strategy.given[ref]
        assert price == opens[stamp.date(), code]  # a KeyError: no day of the market
        if when == 'close' or not cheat or given.date() not in trading or given.time() != dt.time(0):
            assert stamp.date() > given.date(), (when, given, stamp)
        else:
            assert stamp.date() == given.date()


@WAYS
@pytest.mark.parametrize('cheat', [True, False])
@pytest.mark.parametrize('first', [True, False])
@pytest.mark.parametrize('name', ['at the end of the day', 'every day, at its end', 'every day of the year', 'fewer days'])
def test_an_order_given_after_the_close_never_fills_on_the_same_day(name, first, cheat, market, table):
    check_every_bar(table, market, cheat, OTHERS[name](days_of(table)), first)


@st.composite
def calendars(draw, days):
    """Draw the stamps of another feed: any days around the market's, at any times of the day."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    span = pd.date_range(days[0] - pd.Timedelta(days=draw(st.integers(0, 20))), days[-1] + pd.Timedelta(
        days=draw(st.integers(0, 20))))
    some = span[rng.random(len(span)) < draw(st.sampled_from((0.1, 0.5, 0.9, 1.0)))]
    if not len(some):
        some = span[:1]
    clock = draw(st.sampled_from(((0, 0, 0), (23, 59, 59), (9, 30, 0), (15, 0, 0), None)))
    if clock is None:
        return some + pd.to_timedelta(rng.integers(0, 24 * 60, len(some)), unit='min')
    return late(some, *clock)


SMALL = check_table(demo_market(8, '2021-04-19', days=18, seed=5, corporate_actions=True))
ALONE = {}


@settings(max_examples=70, deadline=None, suppress_health_check=list(HealthCheck))
@given(stamps=calendars(days_of(SMALL)), market=st.booleans(), at_open=st.booleans(), first=st.booleans(),
       weekly=st.booleans(), every_bar=st.booleans())
def test_any_pair_of_feeds(stamps, market, at_open, first, weekly, every_bar):
    def beside(cerebro):
        index(stamps)(cerebro)
        if weekly:
            cerebro.resampledata(cerebro.datas[-1], timeframe=bt.TimeFrame.Weeks, name='weeks')

    key = market, at_open
    if key not in ALONE:
        ALONE[key] = books(SMALL, *key)
        assert len(ALONE[key]['fills']) > 20
    found = books(SMALL, market, at_open, beside, first)
    for what, rows in ALONE[key].items():
        assert found[what] == rows, what
    if every_bar:
        check_every_bar(SMALL, market, at_open, beside, first)


# ------------------------------------------------------------------------- what is known at a bar of another feed


@WAYS
@pytest.mark.parametrize(('name', 'bars', 'last'), [
    ('every day of the year', [6, 7], 'Friday'), ('at the end of the day', [4, 5, 8], 'the day'),
])
def test_the_account_at_a_bar_of_another_feed(name, bars, last, market):
    """100 shares, bought at 10.00 on Thursday the 4th; closes of 10.40, 10.60 and 10.90 follow, the last on Monday the 8th."""
    table = tiny_market({A: [10.0, (10.0, 10.4), (10.2, 10.6), (10.5, 10.9)]}, start='2024-01-03')
    asked = []

    def opening(strategy):
        now = bt.num2date(max(data.datetime[0] for data in strategy.datas if len(data)))
        stock, broker = strategy.feed(A), strategy.broker
        if strategy.today() == 1 and not broker.positions:
            strategy.buy(stock, size=100)
        if now.day in bars and not broker.is_market_bar:
            closed = stock.close[0] if last == 'Friday' else None
            asked.append((now.day, broker.getvalue([stock]), broker.getvalue(), broker.getvalue([stock, strategy.data]), closed))
            order = strategy.order_target_value(stock, target=2_000.0, price=10.0)
            strategy.cancel(order)

    look(table, market=market, opening=opening, beside=OTHERS[name](days_of(table)))
    closes = {4: 10.4, 5: 10.6, 6: 10.6, 7: 10.6, 8: 10.9}
    assert asked == [(day, pytest.approx(100 * closes[day]), pytest.approx(99_000 + 100 * closes[day]),
                      pytest.approx(100 * closes[day]), closes[day] if last == 'Friday' else None) for day in bars]
