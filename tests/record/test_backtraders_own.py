"""Backtrader's own analyzers, observers, indicators and plot beside the plugin: right in both ways of feeding."""

import math
from datetime import date, datetime

import backtrader as bt
import pandas as pd
import pytest

from bt_microcap import Blotter, MicroCapStrategy, add_stocks, save_plot, setup
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.record.statistics import statistics
from tests.support.looking import FREE, add_market, look
from tests.support.markets import bar, tiny_market

A, B = '600001.XSHG', '600002.XSHG'
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
DAYS = ['2023-12-27', '2023-12-28', '2023-12-29', '2024-01-02', '2024-01-03', '2024-01-04']


def turn_of_the_year():
    """A is bought at 10.00, closes the year at 11.00, is sold at 12.10 on 3 January; then B at 20.00 goes to 19.00."""
    return tiny_market({A: [10.0, (10.0, 10.5), (10.5, 11.0), (11.0, 11.5), (12.1, 12.2), 12.2],
                        B: [20.0, 20.0, 20.0, 20.0, 20.0, (20.0, 19.0)]}, dates=DAYS)


def trades(strategy):
    if strategy.today() == 1:
        strategy.buy(strategy.feed(A), size=5_000)
    if strategy.today() == 4:
        strategy.close(strategy.feed(A))
        strategy.buy(strategy.feed(B), size=1_000)


def run(market, *analyzers, observers=(), stdstats=False, **options):
    def arrange(cerebro):
        for analyzer, params in analyzers:
            cerebro.addanalyzer(analyzer, _name=analyzer.__name__.lower(), **params)
        for observer in observers:
            cerebro.addobserver(observer)

    return look(turn_of_the_year(), market=market, opening=trades, arrange=arrange,
                cerebro=bt.Cerebro(stdstats=stdstats, **options))


# ----------------------------------------------------------------------------------------------- analyzers


@WAYS
def test_annual_return(market):
    """100,000 -> 105,000 at the end of the year -> 50,000 + 60,500 - 1,000."""
    found = run(market, (bt.analyzers.AnnualReturn, {}), stdstats=True).analyzers.annualreturn.get_analysis()
    assert dict(found) == pytest.approx({2023: 0.05, 2024: 109_500 / 105_000 - 1})


@WAYS
def test_returns_by_period(market):
    found = run(market, (bt.analyzers.TimeReturn, {'timeframe': bt.TimeFrame.Years})).analyzers.timereturn.get_analysis()
    assert [(day.year, value) for day, value in found.items()] == [
        (2023, pytest.approx(0.05)), (2024, pytest.approx(109_500 / 105_000 - 1))]


@WAYS
def test_transactions(market):
    found = run(market, (bt.analyzers.Transactions, {})).analyzers.transactions.get_analysis()
    assert {day: [(amount, price, symbol, value) for amount, price, _, symbol, value in entries]
            for day, entries in found.items()} == {
        datetime(2023, 12, 28): [(5_000, 10.0, A, -50_000.0)],
        datetime(2024, 1, 3): [(-5_000, 12.1, A, 60_500.0), (1_000, 20.0, B, -20_000.0)]}
    assert {entry[3]: entry[2] for entries in found.values() for entry in entries} == {A: 1, B: 2}  # the clock is 0


@WAYS
def test_positions_value(market):
    found = run(market, (bt.analyzers.PositionsValue, {'headers': True, 'cash': True})).analyzers.positionsvalue.get_analysis()
    names = found['Datetime']
    rows = {day: dict(zip(names, values, strict=True)) for day, values in found.items() if day != 'Datetime'}
    wanted = {
        date(2023, 12, 28): {A: 52_500.0, B: 0.0, 'cash': 50_000.0},
        date(2023, 12, 29): {A: 55_000.0, B: 0.0, 'cash': 50_000.0},
        date(2024, 1, 2): {A: 57_500.0, B: 0.0, 'cash': 50_000.0},
        date(2024, 1, 3): {A: 0.0, B: 20_000.0, 'cash': 90_500.0},
        date(2024, 1, 4): {A: 0.0, B: 19_000.0, 'cash': 90_500.0},
    }
    assert {day: {name: row[name] for name in (A, B, 'cash')} for day, row in rows.items() if day in wanted} == wanted


@WAYS
def test_pyfolio(market):
    found = run(market, (bt.analyzers.PyFolio, {})).analyzers.pyfolio.get_analysis()
    returns = [100_000, 100_000, 102_500, 105_000, 107_500, 110_500, 109_500]
    assert list(found['returns'].values()) == pytest.approx(
        [after / before - 1 for before, after in zip(returns, returns[1:], strict=False)])
    entries = [(amount, price, symbol) for day, rows in found['transactions'].items() for amount, price, _, symbol, _ in rows
               if day != 'date']
    assert entries == [(5_000, 10.0, A), (-5_000, 12.1, A), (1_000, 20.0, B)]
    leverage = [0.0, 52_500 / 102_500, 55_000 / 105_000, 57_500 / 107_500, 20_000 / 110_500, 19_000 / 109_500]
    assert list(found['gross_lev'].values()) == pytest.approx(leverage)


@WAYS
def test_trades_observer(market):
    strategy = run(market, observers=[bt.observers.Trades])
    observer = next(one for one in strategy.observers if isinstance(one, bt.observers.Trades))
    profits = [(at, value) for at, value in enumerate(list(observer.lines.pnlplus.array)[:6]) if value == value]
    assert profits == [(4, pytest.approx(10_500.0))]
    assert all(value != value for value in list(observer.lines.pnlminus.array)[:6])


@WAYS
def test_trade_analyzer_and_drawdown(market):
    strategy = run(market, (bt.analyzers.TradeAnalyzer, {}), (bt.analyzers.DrawDown, {}))
    told = strategy.analyzers.tradeanalyzer.get_analysis()
    assert (told.total.total, told.total.closed, told.total.open, told.pnl.net.total) == (2, 1, 1, pytest.approx(10_500.0))
    drawdown = strategy.analyzers.drawdown.get_analysis()
    assert (drawdown.max.moneydown, drawdown.max.len) == (pytest.approx(1_000.0), 1)


@pytest.mark.parametrize('name', ['DrawDown', 'TimeReturn', 'SQN', 'TradeAnalyzer', 'GrossLeverage', 'AnnualReturn', 'Returns',
                                  'PeriodStats', 'Calmar', 'VWR', 'LogReturnsRolling', 'TimeDrawDown', 'SharpeRatio'])
def test_the_same_in_both_ways(name):
    kind = getattr(bt.analyzers, name)
    found = [run(market, (kind, {}), stdstats=True).analyzers.getbyname(kind.__name__.lower()).get_analysis()
             for market in (False, True)]
    assert repr(found[0]) == repr(found[1])
    assert found[0]


# ------------------------------------------------------------------------------------------------ money that comes in


@WAYS
@pytest.mark.parametrize('amount', [50_000.0, -20_000.0])
def test_add_cash_is_no_return(amount, market):
    """Half of the money in A, which gains 5 % in a day, then nothing; money comes or goes on the third day."""
    table = tiny_market({A: [10.0, (10.0, 10.5), 10.5, 10.5, (10.5, 11.0)], B: [10.0] * 5})

    def closing(strategy):
        if strategy.today() == 2:
            strategy.broker.add_cash(amount)

    def opening(strategy):
        if strategy.today() == 1:
            strategy.buy(strategy.feed(A), size=5_000)

    strategy = look(table, market=market, opening=opening, closing=closing,
                    arrange=lambda cerebro: cerebro.addanalyzer(Blotter, _name='blotter'))
    blotter = strategy.analyzers.blotter
    assert [flow.amount for flow in blotter.cash_flows] == [amount]
    assert blotter.equity[-1].total_value == pytest.approx(100_000 + 5_000 + amount)
    assert blotter.cash_difference() == pytest.approx(0, abs=1e-9)
    figures = statistics(blotter, 100_000.0)
    # 102,500 / 100,000, then (105,000 + amount) / (102,500 + amount)
    assert figures['total_return'] == pytest.approx(1.025 * (105_000 + amount) / (102_500 + amount) - 1)
    assert figures['cash_flows'] == amount


@pytest.mark.parametrize('amount', [5_000.0, -20_000.0])
def test_add_cash_is_no_return_under_backtraders_own_broker(amount):
    """1,000 shares of A at 10 gain 0.5 yuan each while the money comes or goes."""
    class Adding(bt.Strategy):
        def next(self):
            if len(self) == 2:
                self.buy(data=self.datas[1], size=1000)
            elif len(self) == 4:
                self.broker.add_cash(amount)

        prenext = next

    cerebro = bt.Cerebro(stdstats=False)
    add_stocks(cerebro, tiny_market({A: [10.0, 10.0, 10.0, 10.0, 10.5, 10.5, 10.5]}))
    cerebro.broker.setcash(100_000.0)
    cerebro.addstrategy(Adding)
    cerebro.addanalyzer(Blotter, _name='blotter')
    blotter = cerebro.run()[0].analyzers.blotter
    assert [(str(flow.date), flow.amount) for flow in blotter.cash_flows] == [('2024-01-08', amount)]
    assert blotter.cash_difference() == pytest.approx(0, abs=1e-5)
    assert statistics(blotter, 100_000.0)['total_return'] == pytest.approx(0.005)


# -------------------------------------------------------------------------------------------- a stock of a market


@pytest.mark.parametrize('how', ['resampledata', 'replaydata', 'adddata'])
def test_a_stock_of_a_market_is_no_feed_for_cerebro(how):
    market = MarketFeed(dataname=check_table(turn_of_the_year()))
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(market, name='market')
    options = {} if how == 'adddata' else {'timeframe': bt.TimeFrame.Weeks}
    with pytest.raises(DataError, match='add_stocks'):
        getattr(cerebro, how)(market.stock(A), **options)


def test_a_stock_of_a_market_asked_for_before_its_market_is_added():
    """Whatever is answered, it is no riddle: an error of ours, or the feed."""
    market = MarketFeed(dataname=check_table(turn_of_the_year()))
    cerebro = bt.Cerebro(stdstats=False)
    with pytest.raises(DataError):
        cerebro.resampledata(market.stock(A), timeframe=bt.TimeFrame.Weeks)


# ------------------------------------------------------------------------------------------- indicators (point 7)

LATE = [None] * 5 + [10.0, 11.0, 12.0, 13.0, 12.0, 12.5, 11.5, 13.5, 14.0, 13.0, 12.0, 12.6, 13.7, 14.2, 13.1, 12.9, 13.3, 13.8]
INDICATORS = {
    'SMA': lambda feed: bt.ind.SMA(feed, period=3), 'EMA': lambda feed: bt.ind.EMA(feed, period=3),
    'EMA of a line': lambda feed: bt.ind.EMA(feed.volume, period=3),
    'RSI': lambda feed: bt.ind.RSI(feed, period=4), 'MACD': lambda feed: bt.ind.MACD(feed, period_me1=2, period_me2=4,
                                                                                    period_signal=2),
    'ATR': lambda feed: bt.ind.ATR(feed, period=4), 'KAMA': lambda feed: bt.ind.KAMA(feed, period=3, fast=2, slow=5),
    'of an indicator': lambda feed: bt.ind.EMA(bt.ind.EMA(feed, period=2), period=2),
    'of a difference': lambda feed: bt.ind.EMA(feed.close - feed.open, period=2),
    'CrossOver': lambda feed: bt.ind.CrossOver(bt.ind.EMA(feed, period=2), bt.ind.EMA(feed, period=4)),
    'Stochastic': lambda feed: bt.ind.Stochastic(feed, period=4, period_dfast=2),
    'Momentum': lambda feed: bt.ind.Momentum(feed.close, period=2),
    'Bollinger': lambda feed: bt.ind.BollingerBands(feed, period=4),
}
MODES = pytest.mark.parametrize('mode', [{}, {'runonce': False}, {'preload': False}], ids=str)


def late_listing():
    """B is there from the first day on; A is listed on the sixth, and swings half a yuan round its open and close."""
    table = tiny_market({A: [None if day is None else (day - 0.2, day) for day in LATE],
                         B: [20.0 + (7 * n % 5) / 10 for n in range(23)]})
    rows = table['code'] == A
    table.loc[rows, 'high'] += 0.3
    table.loc[rows, 'low'] -= 0.1
    return table


def values(make, code, market, mode):
    """The values of an indicator's lines by day."""
    made, found = [], {}

    def first(strategy):
        made.append(make(strategy.feed(code)))

    def closing(strategy):
        indicator = made[0]
        if len(indicator) and len(strategy.feed(code)):
            row = tuple(line[0] for line in indicator.lines)
            if not all(math.isnan(value) for value in row):
                found[strategy.today()] = row

    look(late_listing(), market=market, first=first, closing=closing, cerebro=bt.Cerebro(stdstats=False, **mode))
    return found


@MODES
@pytest.mark.parametrize('name', INDICATORS)
@pytest.mark.parametrize('code', [A, B], ids=['late', 'early'])
def test_an_indicator_is_the_same_in_both_ways(code, name, mode):
    feeds, market = (values(INDICATORS[name], code, market, mode) for market in (False, True))
    assert set(market) == set(feeds)
    assert max(market) == 22
    for day, row in feeds.items():
        assert market[day] == pytest.approx(row, rel=1e-12, nan_ok=True), day


@WAYS
@MODES
def test_an_exponential_mean_of_a_late_listing_by_hand(mode, market):
    """It begins with the mean of its first three closes; then half of it and half of the close."""
    found = values(INDICATORS['EMA'], A, market, mode)
    wanted = {7: 11.0, 8: 12.0, 9: 12.0, 10: 12.25, 11: 11.875, 12: 12.6875}
    assert {day: row[0] for day, row in found.items() if day in range(5, 13)} == pytest.approx(wanted)


# ------------------------------------------------------------------------------------------------------- the plot


def picture(path):
    import matplotlib.image

    return matplotlib.image.imread(path)


@pytest.fixture
def no_screen(monkeypatch):
    """What cerebro.plot() needs where there is no screen."""
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, 'show', lambda *args, **kwargs: None)
    yield plt
    plt.close('all')


def finished(market):
    table = tiny_market({A: [bar(10.0, cap=2.1e9), (10.0, 10.5), 10.5, 10.8, 11.0, 10.2],
                         B: [bar(20.0, cap=2.2e9), 20.0, 20.5, 20.0, 19.0, 19.5]})
    cerebro = bt.Cerebro()
    add_market(cerebro, table, market)
    cerebro.addstrategy(MicroCapStrategy, stocknum=2, refresh_rate=2)
    setup(cerebro, cash=100_000.0, **FREE)
    cerebro.run()
    return cerebro


@WAYS
def test_the_picture_after_a_plot_of_ones_own_is_the_same(market, tmp_path, no_screen):
    save_plot(finished(market), tmp_path / 'alone.png')
    cerebro = finished(market)
    cerebro.plot(iplot=False)
    save_plot(cerebro, tmp_path / 'after.png')
    save_plot(cerebro, tmp_path / 'again.png')
    alone = picture(tmp_path / 'alone.png')
    for name in ('after', 'again'):
        assert picture(tmp_path / f'{name}.png').shape == alone.shape
        assert (picture(tmp_path / f'{name}.png') == alone).all(), name


@WAYS
def test_save_plot_leaves_the_figures_of_others_alone(market, tmp_path, no_screen):
    figure = no_screen.figure(77)
    figure.add_subplot().plot([1, 2, 3])
    save_plot(finished(market), tmp_path / 'one.png')
    assert 77 in no_screen.get_fignums()
    assert len(figure.axes) == 1
    assert pd.notna(figure.axes[0].get_lines()[0].get_ydata()).all()
