"""What cerebro.plot() draws, read back from the figure: market, account, and some of the stocks held."""

import math
import os
import subprocess
import sys

import backtrader as bt
import matplotlib
import pytest

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # before the first plot(): without a screen Backtrader's own choice fails
from backtrader.plot import PlotScheme

from bt_microcap import Blotter, MicroCapStrategy, setup
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import add_stocks
from bt_microcap.rotation.strategy import NothingTradedWarning

OTHERS = {'market', 'Account', 'Drawdown', 'Relative', 'Exposure', 'Holdings'}  # charts beside those of stocks
PARAMS = {'min_cap': 4e8, 'max_cap': 6e9, 'stocknum': 8, 'refresh_rate': 3}


@pytest.fixture(scope='module')
def table():
    """Sixty stocks, some of them listed late, suspended without rows or delisted in the forty days."""
    return check_table(demo_market(60, '2021-03-01', days=40, seed=13))


@pytest.fixture(scope='module')
def whole(table):
    """A run with every stock held drawn: strategy, charts."""
    cerebro, strategy = run(table, plot_stocks=60)
    return strategy, charts(cerebro)


@pytest.fixture(scope='module')
def default(table):
    cerebro, strategy = run(table)
    return strategy, charts(cerebro)


@pytest.fixture(autouse=True)
def close_figures():
    plt.close('all')  # Backtrader draws on the first figure, also where another test has left one
    yield
    plt.close('all')


def run(table, cerebro=None, strategy=MicroCapStrategy, **params):
    cerebro = cerebro or bt.Cerebro()
    add_stocks(cerebro, table, checked=True)
    cerebro.addstrategy(strategy, **{**PARAMS, **params})
    setup(cerebro, 'realistic', delist_wait=0)  # forty days: with the default of 60 none is delisted
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro, cerebro.run()[0]


def charts(cerebro):
    """Plot without a screen: first word of a chart's label -> its lines, by the last word of theirs."""
    # a scheme of its own: Backtrader keeps the options of one plot for the next
    ((figure,),) = cerebro.plot(scheme=PlotScheme())
    found = {}
    for axes in figure.axes:
        lines = [line for line in axes.lines if not line.get_label().startswith('_')]
        if lines:
            found[lines[0].get_label().split()[0]] = {
                line.get_label().split('\n')[-1].split(' ')[0]: line for line in lines
            }
    return found


def points(line):
    """The drawn points of a line: (bar, value), without the bars at which there is none."""
    return [
        (int(x), float(y))
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
        if not math.isnan(y)
    ]


def executions(strategy, table):
    """Code -> (day, side, price) of what was done; a delisting is a sale at the last close."""
    done = {}
    blotter = strategy.analyzers.blotter
    for fill in blotter.fills:
        done.setdefault(fill.code, []).append((fill.datetime, fill.side, fill.price))
    for refusal in blotter.rejections:
        if refusal.reason == 'delisted':
            last = table[table['code'] == refusal.code].iloc[-1]
            assert last['date'].date() == refusal.date
            done[refusal.code].append((refusal.date, 'SELL', last['close']))
    return done


def by_bar(done, side, days):
    """Bar -> price; the first one at a bar is what stands there."""
    return {days.index(day): price for day, which, price in reversed(done) if which == side}


def most_traded(done, count):
    return sorted(sorted(done, key=lambda code: (-len(done[code]), code))[:count])


def stocks_of(found):
    return sorted(name for name in found if name.endswith(('XSHG', 'XSHE', 'BJSE')))


def check_stocks(found, strategy, table, limit):
    done = executions(strategy, table)
    assert 10 < len(done) < 30  # many were never held
    assert stocks_of(found) == most_traded(done, limit)
    assert set(found) - set(stocks_of(found)) == OTHERS


@pytest.mark.parametrize('limit', [0, 1])
def test_only_stocks_that_were_held(limit, table):
    cerebro, strategy = run(table, plot_stocks=limit)
    check_stocks(charts(cerebro), strategy, table, limit)


def test_all_stocks_that_were_held(table, whole):
    check_stocks(whole[1], whole[0], table, 60)


def test_four_stocks_by_default(table, default):
    strategy, found = default
    assert stocks_of(found) == most_traded(executions(strategy, table), 4)


def test_negative_limit_is_none(table):
    cerebro, _ = run(table, plot_stocks=-3)
    assert stocks_of(charts(cerebro)) == []


def test_nothing_held(table):
    with pytest.warns(NothingTradedWarning, match='no stock was picked on any of 13 rebalance days'):
        cerebro, strategy = run(table.assign(is_st=1))
    assert executions(strategy, table) == {}
    assert set(charts(cerebro)) == OTHERS


def test_each_fill_at_its_own_bar_and_price(table, whole):
    """The arrays that are drawn from: a stock's own bars, which are fewer where it has no rows."""
    strategy, _ = whole
    done = executions(strategy, table)
    observers = drawn_observers(strategy)
    assert set(observers) == set(done)
    short = 0
    for code, observer in observers.items():
        days = [stamp.date() for stamp in table.loc[table['code'] == code, 'date']]
        short += len(days) < 40
        for name, side in (('buy', 'BUY'), ('sell', 'SELL')):
            wanted = by_bar(done[code], side, days)
            line = getattr(observer.lines, name)
            values = line.plotrange(0, len(days))
            assert {bar: value for bar, value in enumerate(values) if not math.isnan(value)} == wanted, (
                code,
                name,
            )
    assert short >= 2


def drawn_observers(strategy):
    return {
        item.data._name: item
        for items in strategy._lineiterators.values()
        for item in items
        if type(item).__name__ == 'Fills'
    }


def test_each_fill_in_the_picture(table, whole):
    """The markers on the axes: at the day of the fill on the common time axis, at the price of the fill."""
    strategy, found = whole
    days = sorted({stamp.date() for stamp in table['date']})
    done = executions(strategy, table)
    for code, wanted in done.items():
        for name, side in (('buy', 'BUY'), ('sell', 'SELL')):
            assert dict(points(found[code][name])) == by_bar(wanted, side, days), (code, name)


def test_a_sale_is_drawn_though_the_stock_is_delisted_at_the_close(table, whole):
    strategy, _ = whole
    done, both = executions(strategy, table), 0
    for refusal in strategy.analyzers.blotter.rejections:
        days = [stamp.date() for stamp in table.loc[table['code'] == refusal.code, 'date']]
        sales = [price for day, side, price in done[refusal.code] if (day, side) == (refusal.date, 'SELL')]
        if refusal.reason == 'delisted' and len(sales) == 2:
            drawn = drawn_observers(strategy)[refusal.code].lines.sell.plotrange(0, len(days))[-1]
            both += 1
            assert drawn in (sales[0], sum(sales) / 2)  # the sale, or as Backtrader does, the mean
    assert both


def test_holdings_and_account(table, default):
    strategy, found = default
    blotter = strategy.analyzers.blotter
    days = sorted({stamp.date() for stamp in table['date']})
    held, counts = {}, [0]
    gone = {(refusal.date, refusal.code) for refusal in blotter.rejections if refusal.reason == 'delisted'}
    for before, day in zip(days, days[1:], strict=False):
        for fill in [fill for fill in blotter.fills if fill.datetime == day]:
            held[fill.code] = held.get(fill.code, 0) + (
                fill.quantity if fill.side == 'BUY' else -fill.quantity
            )
        for code in [code for when, code in gone if when <= before]:
            held.pop(code, None)
        counts.append(sum(shares > 0 for shares in held.values()))
    assert {0, 8} <= set(counts)
    assert len(set(counts)) > 2
    values = [1e6] + [row.total_value for row in blotter.equity]
    cash = [1e6] + [row.cash for row in blotter.equity]
    falls = [100 * (1 - value / max(values[: at + 1])) for at, value in enumerate(values)]
    bars = range(len(days))
    assert points(found['Holdings']['holdings']) == list(zip(bars, counts, strict=True))
    assert points(found['Account']['value']) == list(zip(bars, values, strict=True))
    assert points(found['Account']['cash']) == list(zip(bars, cash, strict=True))
    drawn = points(found['Drawdown']['drawdown'])
    assert [bar for bar, _ in drawn] == list(bars)
    assert [value for _, value in drawn] == pytest.approx(falls, abs=1e-9)
    assert max(falls) > 1


@pytest.mark.parametrize(
    'mode', [{'preload': False}, {'stdstats': False}, {'preload': False, 'exactbars': -1}], ids=str
)
def test_other_modes_can_be_plotted(mode, table):
    cerebro, strategy = run(table, cerebro=bt.Cerebro(**mode))
    assert stocks_of(charts(cerebro)) == most_traded(executions(strategy, table), 4)


def test_run_twice_and_plotted(table):
    """Each picture shows its own run only."""
    cerebro, strategy = run(table)
    first = charts(cerebro)
    plt.close('all')
    strategy = cerebro.run()[0]
    again = charts(cerebro)
    assert stocks_of(first) == stocks_of(again) == most_traded(executions(strategy, table), 4)
    for code in stocks_of(again):
        assert set(again[code]) == set(first[code])
        assert points(again[code]['buy']) == points(first[code]['buy'])


def test_without_a_screen(table, tmp_path):
    """As a program of its own, with nothing in the environment that could open a window."""
    few = sorted(set(table['code']))[:20]
    table[table['code'].isin(few)].to_parquet(tmp_path / 'market.parquet', index=False)
    script = """
import matplotlib
matplotlib.use('Agg')
import matplotlib.pyplot
import backtrader as bt
import pandas as pd
from bt_microcap import MicroCapStrategy, setup
from bt_microcap.feeds.stock import add_stocks
from bt_microcap.rotation.strategy import NothingTradedWarning
cerebro = bt.Cerebro()
add_stocks(cerebro, pd.read_parquet('market.parquet'))
cerebro.addstrategy(MicroCapStrategy, min_cap=4e8, max_cap=6e9)
setup(cerebro)
cerebro.run()
(figure,), = cerebro.plot()
figure.savefig('plot.png')
"""
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ('DISPLAY', 'WAYLAND_DISPLAY', 'MPLBACKEND')
    }
    done = subprocess.run(
        [sys.executable, '-c', script], cwd=tmp_path, env=clean, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, '')
    picture = (tmp_path / 'plot.png').read_bytes()
    assert picture.startswith(b'\x89PNG\r\n\x1a\n')
    assert len(picture) > 10_000
