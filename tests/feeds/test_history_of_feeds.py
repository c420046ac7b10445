"""section.history over runs and feeds of every kind, and against a slow model."""

import datetime as dt
import math
import pickle

import backtrader as bt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bt_microcap import MicroCapStrategy
from bt_microcap.feeds.days import FeedDays, StoreDays
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.history import History
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import StockPandas
from bt_microcap.feeds.store import MarketStore
from bt_microcap.feeds.universe import StockUniverse
from tests.support.history import NAN, PRICE_COLUMNS, WAYS, A, Asker, B, ask, asked, cerebro_of, same
from tests.support.markets import markets, tiny_market
from tests.support.oracle import Run
from tests.support.running import run_feeds

# --------------------------------------------------------------------------------------- runs and feeds


@WAYS
def test_run_again_and_many_runs(market, ex_dates):
    """The same cerebro twice, an optimizer's runs, and one universe for two runs."""
    found = []

    def each(section, bar):
        found.append(section.history('close', 2, True))

    wanted = [asked(ex_dates, market, 'close', 2, True, at_open=at_open) for at_open in (True, False)]
    cerebro = cerebro_of(ex_dates, market)
    cerebro.addstrategy(Asker, each=each)
    cerebro.run()
    cerebro.run()
    same(found, wanted[0] * 2)

    found.clear()
    cerebro = cerebro_of(ex_dates, market)
    cerebro.optstrategy(Asker, each=[each], at_open=[True, False])
    cerebro.run(maxcpus=1)
    same(found, wanted[0] + wanted[1])

    found.clear()
    cerebro = cerebro_of(ex_dates, market)
    universe = cerebro.datas[0].universe() if market else StockUniverse(cerebro.datas)
    cerebro.addstrategy(Asker, each=each, universe=universe)
    cerebro.run()
    cerebro.run()
    same(found, wanted[0] * 2)


@WAYS
@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
def test_in_a_strategy(profile, market):
    """A screen at the open, every third day of a real run."""
    table = check_table(demo_market(32, '2021-03-01', days=40, seed=13, corporate_actions=True))
    wide = table.pivot(index='date', columns='code', values='close').sort_index(axis=1)
    seen = []

    class Trend(MicroCapStrategy):
        def screen(self, section):
            rows = section.history('close', 5)
            today = wide.index.searchsorted(np.datetime64(self.data.datetime.date()))
            np.testing.assert_array_equal(rows[-min(5, today):], wide.iloc[max(0, today - 5):today])
            seen.append(today)
            return super().screen(section) & (rows[-1] > np.nanmean(rows, axis=0))

    with np.errstate(all='ignore'), pytest.warns(RuntimeWarning, match='empty slice'):
        strategy = run_feeds(table, market=market, profile=profile, strategy=Trend, min_cap=4e8, max_cap=6e9, refresh_rate=3)
    assert seen == list(range(1, 40, 3))
    assert strategy.analyzers.blotter.fills


@pytest.mark.parametrize('actions', [True, False], ids=['actions', 'preclose'])
def test_both_ways_give_equal_arrays(actions):
    table = check_table(demo_market(32, '2021-03-01', days=40, seed=13, corporate_actions=True, fundamentals=True))
    if not actions:
        table = table.drop(columns=['cash_dividend', 'share_ratio'])
    changed = 0
    for args in (('close', 20, True), ('open', 3, True), ('close', 20), ('roe', 4), ('is_st', 40), ('amount', 1)):
        feeds, store = (np.array(asked(table, market, *args)) for market in (False, True))
        np.testing.assert_array_equal(feeds, store)
        if args[1:] == (20, True):
            changed = (feeds[-1] != asked(table, True, 'close', 20)[-1]).sum() - np.isnan(feeds[-1]).sum()
    assert changed > 20


class Plain(bt.feeds.PandasData):
    """A feed that is not ours: nothing but its lines."""

    lines = ('market_cap',)
    params = (('market_cap', -1),)


def plain(rows):
    return Plain(dataname=rows.set_index('date')[['open', 'high', 'low', 'close', 'volume', 'market_cap']])


def ours(rows):
    return StockPandas(dataname=rows)


def without_twelve(data):
    if data.close[0] != 12.0:
        return False
    data.backwards()
    return True


def filtered(rows):
    """A feed of ours from which Backtrader takes a bar away, so that its bars are not its rows."""
    feed = StockPandas(dataname=rows)
    feed.addfilter(without_twelve)
    return feed


@pytest.mark.parametrize('makes', [(plain, plain), (plain, ours), (ours, plain), (filtered, filtered), (filtered, ours)])
@pytest.mark.parametrize('mode', [{}, {'preload': False}, {'runonce': False}, {'exactbars': 1}], ids=str)
@pytest.mark.parametrize('at_open', [True, False])
def test_feeds_of_another_kind(at_open, mode, makes, tiny):
    """Plain feeds, filtered ones, and such ones beside ours: the bars of the run."""
    if mode.get('exactbars') and plain in makes:
        pytest.skip('Backtrader loses the place in bounded lines where feeds are not equally long')
    tiny['preclose'] = np.nan  # plain feeds have no such line
    bars = tiny if makes[0] is not filtered else tiny[tiny['close'] != 12.0].reset_index(drop=True)  # a day of A
    for args in (('close', 3), ('market_cap', 2), ('amount', 2), ('close', 3, True)):
        found = []
        cerebro = bt.Cerebro(stdstats=False, **mode)
        for make, (code, rows) in zip(makes, tiny.groupby('code'), strict=True):
            cerebro.adddata(make(rows), name=code)

        def each(section, bar, args=args, found=found):
            found.append(section.history(*args))
            np.testing.assert_array_equal(found[-1][-1], section.previous(args[0]))

        cerebro.addstrategy(Asker, each=each, at_open=at_open)
        cerebro.run()
        same(found, asked(bars, True, *args, at_open=at_open))


def test_filtered_feeds_adjusted(ex_dates):
    found = []
    cerebro = bt.Cerebro(stdstats=False)
    for code, rows in ex_dates.groupby('code'):
        cerebro.adddata(filtered(rows), name=code)

    def each(section, bar):
        found.append(section.history('close', 4, True))
        if not bar:  # nothing before the first bar, where the end of a loaded line must not be taken for it
            days = FeedDays(cerebro.datas)
            day = days.find(cerebro.datas[0].datetime[0], None)
            assert np.isnan(days.last('close', day)).all()

    cerebro.addstrategy(Asker, each=each)
    cerebro.run()
    same(found, asked(ex_dates, True, 'close', 4, True))


def test_a_plain_feed_that_begins_earlier_in_its_second_run(tiny):
    """One universe for both runs: its days have other numbers in the second one."""
    found = []
    cerebro = bt.Cerebro(stdstats=False, preload=False)
    feeds = [plain(rows) for _, rows in tiny.groupby('code')]
    for code, feed in zip((A, B), feeds, strict=True):
        cerebro.adddata(feed, name=code)
    universe = StockUniverse(feeds)
    cerebro.addstrategy(Asker, each=lambda section, bar: found.append(section.history('close', 2)), universe=universe)
    for feed in feeds:
        feed.p.fromdate = tiny['date'].iloc[0].to_pydatetime() + dt.timedelta(days=2)
    cerebro.run()
    for feed in feeds:
        feed.fromdate = -math.inf
    cerebro.run()
    wanted = asked(tiny, True, 'close', 2)
    same(found[:4], [[[NAN, NAN], [NAN, NAN]], [[NAN, NAN], [11.0, 20.0]], *wanted[4:]])
    same(found[4:], wanted)


def test_the_buffers_do_not_travel():
    history = History(StoreDays(MarketStore.from_table(tiny_market({A: [10.0, 11.0, 12.0]}))))
    rows = history.rows('close', 2, 2)
    sent = pickle.loads(pickle.dumps(history))
    np.testing.assert_array_equal(sent.rows('close', 2, 2), rows)
    assert len(pickle.dumps(history)) == len(pickle.dumps(sent)) < len(pickle.dumps(rows)) + 1000


def test_plain_feeds_with_bounded_lines():
    """What was asked every day is kept, although the lines have forgotten it."""
    table = tiny_market({A: [10.0 + day for day in range(6)], B: [20.0] * 6})
    found = []
    cerebro = bt.Cerebro(stdstats=False, exactbars=1)
    for code, rows in table.groupby('code'):
        cerebro.adddata(plain(rows), name=code)
    cerebro.addstrategy(Asker, each=lambda section, bar: found.append(section.history('close', 3)), at_open=False)
    cerebro.run()
    same(found, asked(table, True, 'close', 3, at_open=False))


def test_a_plain_feed_first_asked_late(tiny):
    """Its past bars are read, and no bar after today, which its lines have already."""
    found = []
    cerebro = bt.Cerebro(stdstats=False)
    for code, rows in tiny.groupby('code'):
        cerebro.adddata(plain(rows), name=code)

    def each(section, bar):
        if bar in (3, 5):
            found.append(section.history('close', 3))
            with pytest.raises(KeyError, match=f"{A} has no line 'roe'"):
                section.history('roe', 3)

    cerebro.addstrategy(Asker, each=each)
    cerebro.run()
    same(found, [
        [[10.0, NAN], [11.0, NAN], [11.0, 20.0]],
        [[11.0, 20.0], [12.0, 21.0], [NAN, 22.0]],
    ])


# ----------------------------------------------------------------------------------- against a slow model


def factor_of(row, last_close):
    """The ex-rights factor of a day, from the rule's words."""
    dividend, ratio, preclose = (row.get(name, NAN) for name in ('cash_dividend', 'share_ratio', 'preclose'))
    if not (math.isnan(dividend) and math.isnan(ratio)):
        dividend = 0 if math.isnan(dividend) else dividend
        ratio = 1 if math.isnan(ratio) else ratio
        return (last_close - dividend) / ratio / last_close
    if math.isnan(preclose) or abs(preclose - last_close) <= 0.005:
        return 1
    return preclose / last_close


def model(stocks, codes, name, n, end, adjusted):
    """Stock by stock, from the last row back."""
    out = np.full((n, len(codes)), NAN)
    for column, code in enumerate(codes):
        scale = 1.0
        rows = [row for row in stocks[code] if row['day'] < end]
        for number in reversed(range(len(rows))):
            row = rows[number]
            if row['day'] >= end - n:
                out[row['day'] - end + n, column] = row.get(name, NAN) * scale
            if adjusted and number:
                scale *= factor_of(row, rows[number - 1]['close'])
    return out


def with_limits(rows, referee):
    """The rows of a stock with the price limits that the referee of the runs finds for each."""
    found = [referee.limits(row['date'].date(), row['code'], row) for row in rows.to_dict('records')]
    return rows.assign(**{
        name: [NAN if values[side] is None else float(values[side]) for values in found]
        for side, name in enumerate(('high_limit', 'low_limit'))})


@settings(max_examples=40, deadline=None)
@given(markets(), st.integers(0, 2**32 - 1), st.booleans())
def test_against_a_slow_model(table, seed, at_open):
    table = check_table(table)
    days = sorted(set(table['date']))
    referee = Run(table, {'profile': 'realistic', 'cash': 0})
    stocks = {
        code: with_limits(rows, referee).assign(day=np.searchsorted(days, rows['date'])).to_dict('records')
        for code, rows in table.groupby('code')
    }
    start = int(np.random.default_rng(seed).integers(0, len(days) // 2))
    answers = {}
    for market in (False, True):
        rng = np.random.default_rng(seed)
        sections = []

        def each(section, bar, market=market, rng=rng, sections=sections):
            sections.append(section)
            if rng.random() < 0.4:
                return
            for ask_no in range(rng.integers(1, 5)):
                at = bar if rng.random() < 0.7 else int(rng.integers(0, bar + 1))
                name = str(rng.choice([*PRICE_COLUMNS, 'close', 'close', 'market_cap', 'volume', 'paused', 'amount']))
                n, adjusted = int(rng.integers(1, 15)), bool(rng.random() < 0.6) and name in PRICE_COLUMNS
                found = sections[at].history(name, n, adjusted)
                end = start + at + (not at_open)
                wanted = model(stocks, section.codes, name, n, end, adjusted)
                if adjusted:
                    np.testing.assert_allclose(found, wanted, rtol=1e-12)
                else:
                    np.testing.assert_array_equal(found, wanted)
                for code, values in zip(section.codes, found.T, strict=True):
                    first = answers.setdefault((bar, ask_no, code), values)
                    np.testing.assert_array_equal(values, first)  # to the last bit, both ways

        ask(table, market, each, at_open, fromdate=days[start])
        assert len(sections) == len(days) - start
