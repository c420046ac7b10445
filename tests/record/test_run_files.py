"""positions.csv, picks.csv and indices.csv of a run, each row worked out again from the other files and the market alone."""

import csv
import json
import warnings

import backtrader as bt
import pandas as pd
import pytest

from bt_microcap import Blotter, MarketFeed, MicroCapStrategy, save_run, setup
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import StockPandas, add_stocks
from bt_microcap.feeds.store import MarketStore
from bt_microcap.feeds.store.writer import ingest_tables
from tests.support.markets import Shape, bar, build, frame, paused, tiny_market
from tests.support.preset_runs import SMALL, TINY, params_of, run_plugin

A, B, C = '600001.XSHG', '600002.XSHG', '000003.XSHE'
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])


def rows(folder, name):
    with open(folder / name, encoding='utf-8', newline='') as stream:
        return list(csv.DictReader(stream))


def saved(strategy, folder):
    save_run(strategy, folder, False, show=False)
    return folder


class Closes:
    """The closes and the caps of a table, day by day."""

    def __init__(self, table):
        self.rows = {}
        for stamp, code, close, cap in zip(table['date'], table['code'], table['close'], table['market_cap'], strict=True):
            self.rows[str(code), str(stamp.date())] = close, cap
        self.days = {}
        for code, day in sorted(self.rows):
            self.days.setdefault(code, []).append(day)

    def close(self, code, day):
        """The close of the day or, where it has none, of the last row before it."""
        return self.rows[code, max(known for known in self.days[code] if known <= day)][0]

    def cap(self, code, day):
        cap = self.rows.get((code, day), (None, None))[1]
        return None if cap is None or cap != cap else cap


def expected_positions(folder, closes):
    """(day, code) -> shares, close, cap, days held: from trades.csv and corporate_actions.csv, day by day."""
    happened = {}
    for action in rows(folder, 'corporate_actions.csv'):  # before the fills of its day
        change = int(action['shares_after']) - int(action['shares_before'])
        happened.setdefault(action['date'], []).append((action['code'], change))
    for fill in rows(folder, 'trades.csv'):
        change = int(fill['quantity']) * {'BUY': 1, 'SELL': -1}[fill['side']]
        happened.setdefault(fill['datetime'], []).append((fill['code'], change))
    held, since, found = {}, {}, {}
    for number, day in enumerate(row['date'] for row in rows(folder, 'equity.csv')):
        for code, change in happened.pop(day, ()):
            if not held.get(code):
                since[code] = number
            held[code] = held.get(code, 0) + change
        for code, shares in held.items():
            if shares:
                found[day, code] = shares, closes.close(code, day), closes.cap(code, day), number - since[code] + 1
    assert not happened
    return found


def check_positions(folder, closes):
    """Hold positions.csv against the other files; return how many rows it has."""
    expected = expected_positions(folder, closes)
    found, values = {}, {}
    for row in rows(folder, 'positions.csv'):
        cap = float(row['market_cap']) if row['market_cap'] else None
        key = row['date'], row['code']
        assert key not in found
        found[key] = int(row['shares']), float(row['price']), cap, int(row['days_held'])
        assert float(row['value']) == pytest.approx(found[key][0] * found[key][1], rel=1e-12)
        values[row['date']] = values.get(row['date'], 0.0) + float(row['value'])
    assert found == expected
    for day in rows(folder, 'equity.csv'):
        assert values.get(day['date'], 0.0) == pytest.approx(float(day['market_value']), abs=1e-6), day
    return len(found)


@pytest.fixture(scope='module')
def table():
    return check_table(demo_market(60, '2021-03-01', days=120, seed=3, corporate_actions=True, fund=True))


@WAYS
@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
@pytest.mark.parametrize('preset', ['original', 'ten_weekly', 'microcap400', 'parked'])
@pytest.mark.filterwarnings('ignore')
def test_positions_of_presets(table, preset, profile, market, tmp_path):
    strategy = run_plugin(table, params_of(preset, **SMALL[preset]), profile=profile, market=market)
    assert check_positions(saved(strategy, tmp_path), Closes(table)) > 100


@WAYS
@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
@pytest.mark.filterwarnings('ignore')
def test_positions_where_everything_rare_is_frequent(profile, market, tmp_path):
    """Suspensions with and without rows, delistings, ex-dates, caps that are missing."""
    seen = set()
    for seed in range(4):
        wild = check_table(build(Shape(seed, 12, 40, pd.Timestamp('2021-11-01').date(), dividends=True, ratios=True,
                                       nan_caps=True, wild=True, delisting=seed % 2 == 0)))
        for preset in ('original', 'ten_weekly', 'microcap400'):
            strategy = run_plugin(wild, params_of(preset, **TINY[preset]), profile=profile, market=market, delist_wait=2)
            assert check_positions(saved(strategy, tmp_path), Closes(wild)) > 10
            seen |= {row['action'] for row in rows(tmp_path, 'corporate_actions.csv')}
            seen |= {'no cap' for row in rows(tmp_path, 'positions.csv') if not row['market_cap']}
    assert {'no cap', 'delisted', 'dividend'} <= seen


@WAYS
def test_positions_by_hand(market, tmp_path):
    """Bought at 10.00; a gap, ten for ten, and a suspended row later."""
    table = check_table(tiny_market({
        A: [bar(10.0, cap=2.1e9), 10.0, bar(10.2, cap=2.2e9), None, bar(5.2, preclose=5.1, cap=2.3e9), paused(), 5.5],
        B: [bar(20.0, cap=9e9)] * 7}))
    strategy = run_plugin(table, {'stocknum': 1, 'refresh_rate': 50}, market=market, cash=10_100.0, slippage=0.0, impact=0.0,
                          volume_limit=0.0, slippage_ticks=0.0, min_slippage_ticks=0.0)
    found = [(row['date'][8:], row['shares'], row['price'], float(row['value']), row['market_cap'], row['days_held'])
             for row in rows(saved(strategy, tmp_path), 'positions.csv')]
    assert found == [
        ('03', '1000', '10.0', 10_000.0, '2100000000.0', '1'), ('04', '1000', '10.2', 10_200.0, '2200000000.0', '2'),
        ('05', '1000', '10.2', 10_200.0, '', '3'),
        ('08', '2000', '5.2', 10_400.0, '2300000000.0', '4'), ('09', '2000', '5.2', 10_400.0, '2300000000.0', '5'),
        ('10', '2000', '5.5', 11_000.0, '2300000000.0', '6')]


@pytest.mark.filterwarnings('ignore')
def test_industries_as_known_the_day_before(tmp_path):
    table = check_table(tiny_market({A: [bar(10.0, cap=2.1e9)] * 5, B: [bar(10.0, cap=2.2e9)] * 5}))
    told = frame(code=[A, A, A], date=['2023-01-01', '2024-01-04', '2024-01-08'], industry=['banks', 'steel', 'coal'])
    store = ingest_tables([table], tmp_path / 'store', reference_data={'industries': told})
    strategy = run_plugin(store, {'stocknum': 2, 'refresh_rate': 50})
    found = [(row['date'], row['code'], row['industry']) for row in rows(saved(strategy, tmp_path / 'out'), 'positions.csv')]
    assert sorted(found) == sorted(
        [(day, A, industry) for day, industry in zip(('2024-01-03', '2024-01-04', '2024-01-05', '2024-01-08'),
                                                     ('banks', 'banks', 'steel', 'steel'), strict=True)]
        + [(day, B, '') for day in ('2024-01-03', '2024-01-04', '2024-01-05', '2024-01-08')])


class Trades(bt.Strategy):
    """Buys and sells by a plan, bar -> feed and shares, at the close for the next open."""

    params = (('plan', None),)

    def next(self):
        for name, shares in self.p.plan.get(len(self), ()):
            data = self.getdatabyname(name)
            self.buy(data, size=shares) if shares > 0 else self.sell(data, size=-shares)


def test_positions_with_backtraders_own_broker(tmp_path):
    table = check_table(tiny_market({A: [10.0, 10.5, 11.0, 11.5, 12.0, 12.5, 13.0],
                                     B: [bar(20.0, cap=2.0e9), 21.0, None, None, 19.0, 18.0, 17.0]}))
    cerebro = bt.Cerebro(stdstats=False)
    for code in (A, B):
        cerebro.adddata(StockPandas(dataname=table[table['code'] == code], checked=True), name=code)
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(0.001)
    cerebro.addstrategy(Trades, plan={1: [(A, 300), (B, 200)], 3: [(A, -100)], 4: [(A, -200)], 5: [(A, 100)]})
    cerebro.addanalyzer(Blotter, _name='blotter')
    folder = saved(cerebro.run()[0], tmp_path)
    check_positions(folder, Closes(table))
    held = [(row['date'][8:], row['code'], int(row['shares']), int(row['days_held'])) for row in rows(folder, 'positions.csv')]
    assert [row for row in held if row[1] == A] == [
        ('03', A, 300, 1), ('04', A, 300, 2), ('05', A, 200, 3), ('09', A, 100, 1), ('10', A, 100, 2)]
    assert [row for row in held if row[1] == B] == [
        (day, B, 200, number) for number, day in enumerate(('03', '04', '05', '08', '09', '10'), 1)]


def minutes(days):
    """A feed of three bars a day, each a yuan higher than the one before: 100, 101, 102 on the first day."""
    stamps = [day + pd.Timedelta(hours=hour) for day in days for hour in (10, 11, 15)]
    bars = {name: [100.0 + number for number in range(len(stamps))] for name in ('open', 'high', 'low', 'close')}
    table = pd.DataFrame(bars, index=pd.DatetimeIndex(stamps)).assign(volume=1e6)
    return bt.feeds.PandasData(dataname=table, timeframe=bt.TimeFrame.Minutes)


@WAYS
@pytest.mark.filterwarnings('ignore')
def test_several_bars_a_day_of_a_feed_beside_the_market(table, market, tmp_path):
    """The last bar of a day counts: each holding once a day, as without the other feed."""
    days = sorted(set(table['date']))[:30]
    table = table[table['date'] <= days[-1]]
    for beside in (True, False):
        cerebro = bt.Cerebro(stdstats=False)
        if market:
            cerebro.adddata(MarketFeed(dataname=table), name='market')
        else:
            add_stocks(cerebro, table, checked=True)
        if beside:
            cerebro.adddata(minutes(days), name='gold')
        cerebro.addstrategy(MicroCapStrategy, min_cap=1e9, max_cap=4e9)
        setup(cerebro)
        cerebro.addanalyzer(Blotter, _name='blotter')
        assert check_positions(saved(cerebro.run()[0], tmp_path / str(beside)), Closes(table)) > 60
    for name in ('positions.csv', 'picks.csv', 'missed.csv', 'prices.csv'):
        assert (tmp_path / 'True' / name).read_bytes() == (tmp_path / 'False' / name).read_bytes(), name


def test_several_bars_a_day_of_what_is_held(tmp_path):
    days = pd.bdate_range('2024-01-02', periods=4)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(minutes(days), name='gold')
    cerebro.addstrategy(Trades, plan={2: [('gold', 10)], 7: [('gold', -4)]})
    cerebro.addanalyzer(Blotter, _name='blotter')
    folder = saved(cerebro.run()[0], tmp_path)
    # bought at 15:00 of the first day, four sold at 11:00 of the third; the closes are those of 15:00
    assert [tuple(row.values()) for row in rows(folder, 'positions.csv')] == [
        ('2024-01-02', 'gold', '10', '102.0', '1020.0', '', '1', ''),
        ('2024-01-03', 'gold', '10', '105.0', '1050.0', '', '2', ''),
        ('2024-01-04', 'gold', '6', '108.0', '648.0', '', '3', ''),
        ('2024-01-05', 'gold', '6', '111.0', '666.0', '', '4', '')]
    assert [tuple(row.values()) for row in rows(folder, 'prices.csv')] == [
        (day, 'gold', close, close) for day, close in zip(('2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05'),
                                                          ('102.0', '105.0', '108.0', '111.0'), strict=True)]


# ------------------------------------------------------------------------------------------------- picks.csv


class Recording(MicroCapStrategy):
    """Notes what `select` returned, with the day whose close or open it was."""

    chosen = []

    def select(self, section):
        found = super().select(section)
        self.chosen.append((str((self.data if self.at_open else self).datetime.date(0)), list(found)))
        return found


@WAYS
@pytest.mark.parametrize('at_open', [True, False])
@pytest.mark.parametrize('params', [{'stocknum': 4}, {'stocknum': 5, 'weekday': 2, 'keep': True, 'phase': 3}])
@pytest.mark.filterwarnings('ignore')
def test_picks_of_each_rebalance(table, params, at_open, market, tmp_path):
    class Noted(Recording):
        chosen = []

    cerebro = bt.Cerebro(stdstats=False)
    if market:
        cerebro.adddata(MarketFeed(dataname=table), name='market')
    else:
        add_stocks(cerebro, table, checked=True)
    cerebro.addstrategy(Noted, min_cap=1e9, max_cap=4e9, **params)
    setup(cerebro)
    cerebro.addanalyzer(Blotter, _name='blotter')
    folder = saved(cerebro.run(cheat_on_open=at_open)[0], tmp_path)
    expected = [(day, str(place), code) for day, codes in Noted.chosen for place, code in enumerate(codes, 1)]
    assert [tuple(row.values()) for row in rows(folder, 'picks.csv')] == expected
    assert len(Noted.chosen) > 10
    picked = {(day, code) for day, _, code in expected}
    bought = {(row['date'], row['code']) for row in rows(folder, 'orders.csv') if row['side'] == 'BUY'}
    assert bought and bought <= picked
    assert {row['date'] for row in rows(folder, 'orders.csv')} <= {day for day, _ in Noted.chosen}


@pytest.mark.parametrize('picks', [None, ['whatever'], {}])
def test_a_strategy_with_picks_of_another_kind(picks, tmp_path):
    """The name is free to a strategy of the user's own."""
    table = check_table(tiny_market({A: [10.0] * 4}))
    for base, params, picked in ((Trades, {'plan': {1: [(A, 100)]}}, 0), (MicroCapStrategy, {'stocknum': 1}, 1)):
        cerebro = bt.Cerebro(stdstats=False)
        add_stocks(cerebro, table)
        cerebro.addstrategy(type('Own', (base,), {'picks': picks, '__module__': __name__}), **params)
        setup(cerebro)
        cerebro.addanalyzer(Blotter, _name='blotter')
        folder = saved(cerebro.run()[0], tmp_path)
        assert len(rows(folder, 'picks.csv')) == picked
        assert len(rows(folder, 'positions.csv')) == 3


# ------------------------------------------------------------------------------------------------- indices.csv


@pytest.mark.parametrize('start', [0, 25])
@pytest.mark.parametrize('benchmark', ['', 'market'])
def test_the_index_of_the_micro_caps(table, start, benchmark, tmp_path):
    store = MarketStore.from_table(table)
    days = [str(pd.Timestamp.fromordinal(int(day)).date()) for day in store.days]
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=store, fromdate=pd.Timestamp(days[start]), benchmark=benchmark), name='market')
    cerebro.addstrategy(MicroCapStrategy)
    setup(cerebro)
    cerebro.addanalyzer(Blotter, _name='blotter')
    folder = saved(cerebro.run()[0], tmp_path)
    found = rows(folder, 'indices.csv')
    # the close of the run's first bar is the one before its first day; renewed in step with the run
    assert [row['date'] for row in found] == [row['date'] for row in rows(folder, 'equity.csv')] == days[start + 1:]
    close = store.benchmark('microcap', start + 1)['close']
    expected = (close[start + 1:] / close[start]).tolist()
    assert [float(row['microcap']) for row in found] == pytest.approx(expected, rel=1e-12)
    summary = json.loads((folder / 'summary.json').read_text('utf-8'))
    assert summary['microcap_return'] == pytest.approx(expected[-1] - 1, rel=1e-9)
    assert len({row['microcap'] for row in found}) > 20


def test_files_that_a_run_does_not_have(table, tmp_path):
    """No index beside one that is it, or with one feed a stock; and what a run before has left is removed."""
    for kind in ('microcap', 'microcap:20', 'feeds'):
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            saved(run_plugin(table, {}), tmp_path)
            assert (tmp_path / 'indices.csv').exists()
            for name in ('cash_flows.csv', 'quarantine.csv', 'random_picks.csv', 'random_equity.csv', 'without_costs.csv',
                         'report.html', 'equity.png'):
                (tmp_path / name).write_text('of a run before')
            cerebro = bt.Cerebro(stdstats=False)
            if kind == 'feeds':
                add_stocks(cerebro, table, checked=True)
            else:
                cerebro.adddata(MarketFeed(dataname=table, benchmark=kind), name='market')
            cerebro.addstrategy(MicroCapStrategy)
            setup(cerebro)
            cerebro.addanalyzer(Blotter, _name='blotter')
            summary = save_run(cerebro.run()[0], tmp_path, False, show=False)
        assert summary['microcap_return'] is None
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            'corporate_actions.csv', 'equity.csv', 'missed.csv', 'orders.csv', 'picks.csv', 'positions.csv', 'prices.csv',
            'rejections.csv', 'round_trips.csv', 'summary.json', 'trades.csv']
