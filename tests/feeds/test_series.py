"""All rows of a feed, and what brings them to the level of the last one: by hand, and held against `section.history`."""

import datetime as dt

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.series import adjustment, rows_of
from tests.support.history import NAN, WAYS, A, Asker, B, C, cerebro_of
from tests.support.markets import Shape, bar, build, paused, tiny_market

DAYS = [dt.date(2024, 1, day).toordinal() for day in (2, 3, 4, 5, 8, 9)]


def ran(table, market, each=lambda section, bar: None, **limits):
    """Run, and return a function that gives the feed of a code."""
    cerebro = cerebro_of(table, market, **limits)
    cerebro.addstrategy(Asker, each=each)
    strategy = cerebro.run()[0]
    return strategy.data.stock if market else strategy.getdatabyname


# --------------------------------------------------------------------------------------------------- by hand


@WAYS
def test_the_rows_by_hand(market):
    """All rows, also those before the run; of a market a day without one repeats the close."""
    table = tiny_market({A: [bar(10.0, 10.5, cap=1e9, turnover=0.1)] + [(11.0, 11.5)] * 5,
                         B: [None, (20.0, 21.0), None, (22.0, 23.0), paused()]})
    feed = ran(check_table(table), market, fromdate=dt.datetime(2024, 1, 4))
    days, columns = rows_of(feed(A), ('open', 'close', 'market_cap', 'turnover', 'cash_dividend'))
    assert days.tolist() == DAYS
    assert (columns['open'].tolist(), columns['close'].tolist()) == ([10.0] + [11.0] * 5, [10.5] + [11.5] * 5)
    assert columns['market_cap'].tolist() == [1e9] * 6
    np.testing.assert_array_equal(columns['turnover'], [0.1] + [NAN] * 5)
    np.testing.assert_array_equal(columns['cash_dividend'], [NAN] * 6)
    assert all(column.dtype == float for column in columns.values())
    days, columns = rows_of(feed(B), ('close', 'open'))
    gap = market  # the feed of one stock has no row there
    assert days.tolist() == [DAYS[1], *[DAYS[2]] * gap, DAYS[3], DAYS[4]]
    assert columns['close'].tolist() == [21.0, *[21.0] * gap, 23.0, 23.0]
    assert columns['open'].tolist() == [20.0, *[21.0] * gap, 22.0, 23.0]


@WAYS
@pytest.mark.parametrize(('code', 'stock', 'factors'), [
    ('600001.XSHG', [10.0, bar(5.0, preclose=5.0), 5.0, bar(4.5, preclose=4.5)], [0.45, 0.9, 0.9, 1.0]),  # by preclose
    ('600001.XSHG', [10.0, bar(10.0, preclose=10.004), 10.0], [1.0, 1.0, 1.0]),  # within half a tick it is rounding
    # 1 yuan and two shares for one: (10 - 1) / 2 of 10; told, so that the preclose is not asked
    ('600001.XSHG', [10.0, bar(4.5, preclose=4.4, cash_dividend=1.0, share_ratio=2.0), 4.5], [0.45, 1.0, 1.0]),
    ('600001.XSHG', [10.0, bar(4.5, preclose=4.4, cash_dividend=0.0, share_ratio=1.0), 4.5], [1.0, 1.0, 1.0]),
    ('600001.XSHG', [10.0, 10.0, bar(9.0, preclose=9.0, cash_dividend=10.0), 9.0], [NAN, NAN, 1.0, 1.0]),  # no price is left
    ('600001.XSHG', [10.0, None, bar(5.0, preclose=5.0)], [0.5, 0.5, 1.0]),  # the last close is that before the gap
    ('511880.XSHG', [100.0, bar(99.998, preclose=99.998), 99.998], [0.99998, 1.0, 1.0]),  # a fund's tick is a tenth of it
])
def test_the_factors_by_hand(code, stock, factors, market):
    table = check_table(tiny_market({B: [10.0] * len(stock), code: stock} if code != B else {code: stock}))
    days, found = adjustment(ran(table, market)(code))
    if not market:  # without the days that have no row
        there = [day is not None for day in stock]
        factors = [factor for factor, known in zip(factors, there, strict=True) if known]
    np.testing.assert_allclose(found, factors, rtol=1e-14)
    assert len(days) == len(found)


def test_a_feed_of_backtraders_own():
    """What is in memory after the run, in whole days; what it does not know is not there."""
    stamps = pd.DatetimeIndex(['2024-01-02 10:00', '2024-01-02 15:00', '2024-01-03 15:00'])
    table = pd.DataFrame({name: [10.0, 11.0, 5.0] for name in ('open', 'high', 'low', 'close')}, index=stamps).assign(volume=1.0)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=table, timeframe=bt.TimeFrame.Minutes), name='gold')
    cerebro.addstrategy(bt.Strategy)
    data = cerebro.run()[0].data
    days, columns = rows_of(data, ('close', 'preclose', 'market_cap'))
    assert days.tolist() == [DAYS[0], DAYS[0], DAYS[1]]
    assert columns['close'].tolist() == [10.0, 11.0, 5.0]
    assert np.isnan(columns['preclose']).all() and np.isnan(columns['market_cap']).all()
    assert adjustment(data)[1].tolist() == [1.0, 1.0, 1.0]


# --------------------------------------------------------------------------- held against the history of a section


@WAYS
@pytest.mark.parametrize('seed', range(4))
def test_adjusted_closes_are_those_of_the_section(seed, market):
    """On each day of a market with dividends, bonus shares, gaps and late listings."""
    if seed:
        shape = Shape(seed, 9, 40, dt.date(2021, 11, 1), dividends=seed != 2, ratios=seed != 2, wild=True)
        table = check_table(build(shape))
    else:
        table = check_table(demo_market(20, '2021-03-01', days=60, seed=5, corporate_actions=True))
    told = []  # each day: the codes, and the adjusted closes up to the day before

    def each(section, bar):
        if bar >= 1:
            told.append((list(section.codes), section.history('close', bar, True)))

    feed = ran(table, market, each)
    days = sorted({stamp.toordinal() for stamp in table['date']})
    series = {}
    for code in told[0][0]:
        known, factors = adjustment(feed(code))
        closes = rows_of(feed(code), ('close',))[1]['close']
        series[code] = dict(zip(known.tolist(), zip(closes, factors, strict=True), strict=True))
    compared = moved = 0
    for number, (codes, history) in enumerate(told):
        for place, code in enumerate(codes):
            rows = [(row, *series[code][day]) for row, day in enumerate(days[:number + 1]) if day in series[code]]
            if not rows:
                assert np.isnan(history[:, place]).all()
                continue
            level = rows[-1][2]  # of the last row up to the day before
            for row, close, factor in rows:
                if history[row, place] == history[row, place]:  # a day with a row
                    assert history[row, place] == pytest.approx(close * factor / level, rel=1e-12)
                    compared += 1
                    moved += factor != level
    assert compared > 1000
    assert moved > 100


def test_no_rows_are_no_factors():
    class Nothing:
        _name = C
        days = np.array([], dtype=int)

        def column(self, name):
            return np.array([])

    days, factors = adjustment(Nothing())
    assert (len(days), len(factors)) == (0, 0)
