"""Analyzers, observers and csv writer over one MarketFeed, against one feed per stock and by hand."""

import copy
import csv
import itertools
import math
import statistics
from datetime import datetime

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from bt_microcap import MicroCapStrategy, PositionsValue, PyFolio, Trades, Transactions, setup
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.rotation.strategy import NothingTradedWarning
from tests.support.markets import bar, paused, tiny_market
from tests.support.running import run_feeds

# forty days: with the default wait of 60 none is delisted
PARAMS = {'min_cap': 4e8, 'max_cap': 6e9, 'stocknum': 5, 'refresh_rate': 3, 'delist_wait': 0}
FREE = {'slippage': 0.0, 'commission': 0.0, 'min_commission': 0.0, 'stamp_duty': 0.0, 'transfer_fee': 0.0}
A, B, C = '600001.XSHG', '600002.XSHG', '600003.XSHG'
THEIRS = bt.analyzers


class Positions(PositionsValue):
    params = (('headers', True), ('cash', True))


class TheirPositions(THEIRS.PositionsValue):
    params = (('headers', True), ('cash', True))


class TheirTransactions(THEIRS.Transactions):
    params = (('headers', True),)


class Gross(Trades):
    params = {'pnlcomm': False}


class TheirGross(bt.observers.Trades):
    params = {'pnlcomm': False}


class Daily(THEIRS.SharpeRatio):
    params = (('timeframe', bt.TimeFrame.Days), ('factor', 252), ('riskfreerate', 0.0), ('annualize', True))


PARTS = (
    Positions, PositionsValue, Transactions, PyFolio, TheirPositions, TheirTransactions, THEIRS.PyFolio,
    THEIRS.TradeAnalyzer, THEIRS.TimeReturn, THEIRS.DrawDown, Daily, THEIRS.GrossLeverage,
)
WATCHERS = (bt.observers.Broker, Trades, Gross, bt.observers.Trades, TheirGross)


@pytest.fixture(scope='module')
def table():
    """Late listings, delistings, suspensions with and without rows in forty days."""
    return check_table(demo_market(32, '2021-03-01', days=40, seed=13))


def run(table, **options):
    return run_feeds(table, analyzers=PARTS, observers=WATCHERS, **{**PARAMS, **options})


@pytest.fixture(scope='module', params=[0, 5], ids=['delisted at once', 'after 5 days'])
def ways(request, table):
    """The run with one feed per stock, and the run with the market."""
    return run(table, delist_wait=request.param), run(table, market=True, delist_wait=request.param)


def waiting(ways):
    return {**PARAMS, 'delist_wait': ways[1].broker.p.delist_wait}


def only(items, part, twice):
    """Give what is of a class: one, or two where ours stands in Backtrader's place too."""
    found = [item for item in items if type(item) is part]
    assert len(found) == 1 + twice
    return found


def over_a_market(strategy):
    return hasattr(strategy.data, 'stocks')


def analysis(strategy, part):
    found = only(strategy.analyzers, part, over_a_market(strategy) and part is PyFolio)
    assert found[0].get_analysis() == found[-1].get_analysis()
    return found[0].get_analysis()


def shown(strategy, part):
    found = only(strategy.observers, part, over_a_market(strategy) and part is Trades)
    values, again = ({name: np.array(getattr(item.lines, name).array) for name in item.getlinealiases()}
                     for item in (found[0], found[-1]))
    np.testing.assert_equal(values, again)
    return values


def held_at_closes(strategy):
    """Day -> codes held at its close, from the fills and the delistings alone; a sale is always a whole one."""
    blotter, held, out = strategy.analyzers.blotter, set(), {}
    gone = {(row.date, row.code) for row in blotter.rejections if row.reason == 'delisted'}
    for row in blotter.equity:
        held -= {code for when, code in gone if when < row.date}
        for fill in (fill for fill in blotter.fills if fill.datetime == row.date):
            (held.add if fill.side == 'BUY' else held.discard)(fill.code)
        out[row.date] = set(held)
    return out


# ------------------------------------------------------------------------------------------ by hand


@pytest.fixture(scope='module')
def small():
    """Three stocks, two of them held: A, which is suspended without a row on day 3, and B, then C in place of B."""
    table = tiny_market({
        A: [bar(10.0, cap=2.1e9), (10.0, 11.0), (11.0, 12.0), None, (12.0, 12.0), (12.0, 12.5)],
        B: [bar(20.0, cap=2.2e9), (20.0, 21.0), bar(21.0, 20.0, cap=2.9e9), (20.0, 19.0), (19.0, 19.0), 19.0],
        C: [bar(40.0, cap=2.3e9), (40.0, 40.0), (40.0, 40.0), (40.0, 41.0), paused(), (39.0, 42.0)],
    })
    return table, [stamp.date() for stamp in sorted(set(table['date']))]


@pytest.fixture(params=[False, True], ids=['feeds', 'market'])
def hand(request, small):
    """Cash 100,000 without any cost: on day 1 A and B; on day 3 A cannot be sold and B makes way for C."""
    return run(small[0], market=request.param, stocknum=2, refresh_rate=2, min_cap=2e9, max_cap=3e9, cash=100_000.0,
               ex_rights='off', **FREE)


def test_positions_by_hand(hand, small):
    days = small[1]
    rows = analysis(hand, Positions)
    assert list(rows) == ['Datetime', *days]
    assert rows['Datetime'] == [A, B, C, 'cash']
    assert [rows[day] for day in days] == [
        [0.0, 0.0, 0.0, 100_000.0],
        [55_000.0, 52_500.0, 0.0, 0.0],  # 5,000 at 11 and 2,500 at 21
        [60_000.0, 50_000.0, 0.0, 0.0],
        [60_000.0, 0.0, 49_200.0, 2_000.0],  # A at its last close; B gave 50,000, of which 48,000 went into 1,200 of C
        [60_000.0, 0.0, 49_200.0, 2_000.0],
        [56_250.0, 0.0, 54_600.0, 4_100.0],  # all sold for 108,800: 4,500 of A at 12 and 1,300 of C at 39
    ]
    plain = analysis(hand, PositionsValue)
    assert dict(plain) == {day: values[:-1] for day, values in rows.items() if day != 'Datetime'}


def test_transactions_by_hand(hand, small):
    days = [datetime.combine(day, datetime.min.time()) for day in small[1]]
    assert dict(analysis(hand, Transactions)) == {
        days[1]: [[5_000, 10.0, 1, A, -50_000.0], [2_500, 20.0, 2, B, -50_000.0]],
        days[3]: [[-2_500, 20.0, 2, B, 50_000.0], [1_200, 40.0, 3, C, -48_000.0]],
        days[5]: [[-500, 12.0, 1, A, 6_000.0], [100, 39.0, 3, C, -3_900.0]],  # a sale and a buy, taken together
    }


def test_trades_by_hand(hand):
    """B broke even; A gained 2 yuan a share, C lost 1."""
    nan = math.nan
    lines = shown(hand, Trades)
    np.testing.assert_array_equal(lines['pnlplus'][:6], [nan, nan, nan, 0.0, nan, 10_000.0])
    np.testing.assert_array_equal(lines['pnlminus'][:6], [nan, nan, nan, nan, nan, -1_200.0])


def test_pyfolio_by_hand(hand, small):
    returns, positions, transactions, leverage = next(
        part for part in hand.analyzers if type(part) is PyFolio).get_pf_items()
    days = pd.DatetimeIndex(small[1], tz='UTC')
    for frame in (returns, positions, leverage):
        assert frame.index.equals(days)
    totals = [100_000.0, 107_500.0, 110_000.0, 111_200.0, 111_200.0, 114_950.0]
    assert list(positions.columns) == [A, B, C, 'cash']
    assert positions.sum(axis=1).tolist() == totals
    assert returns.tolist() == pytest.approx([0.0, 0.075, 11 / 10.75 - 1, 1.2 / 110, 0.0, 114.95 / 111.2 - 1])
    assert leverage.tolist() == pytest.approx([0.0, 1.0, 1.0, 1 - 2 / 111.2, 1 - 2 / 111.2, 1 - 4.1 / 114.95])
    assert list(transactions.columns) == ['amount', 'price', 'sid', 'symbol', 'value']
    assert transactions.index.equals(days[[1, 1, 3, 3, 5, 5]])
    assert transactions['amount'].tolist() == [5_000, 2_500, -2_500, 1_200, -500, 100]
    assert transactions['symbol'].tolist() == [A, B, B, C, A, C]
    assert transactions['amount'].dtype == transactions['sid'].dtype == 'int64'


@pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
def test_nothing_traded(market, small):
    with pytest.warns(NothingTradedWarning, match='no stock was picked on any of 2 rebalance days'):
        strategy = run(small[0].assign(is_st=1), market=market)
    assert analysis(strategy, Positions)['Datetime'] == ['cash']
    assert dict(analysis(strategy, Transactions)) == {}
    returns, positions, transactions, leverage = next(
        part for part in strategy.analyzers if type(part) is PyFolio).get_pf_items()
    assert positions['cash'].tolist() == [1e6] * 6
    assert (returns.tolist(), leverage.tolist(), len(transactions)) == ([0.0] * 6, [0.0] * 6, 0)
    assert transactions.index.tz is not None


# ------------------------------------------------------------------------- against Backtrader's own, one feed per stock


@pytest.mark.parametrize('part', [Positions, PositionsValue, Transactions, PyFolio], ids=lambda part: part.__name__)
def test_ours_are_the_same_in_both_ways(part, ways):
    feeds, market = (analysis(strategy, part) for strategy in ways)
    assert feeds == market
    assert list(feeds) == list(market)
    assert feeds


def test_positions_against_backtrader(ways):
    feeds, market = ways
    theirs, ours = dict(analysis(feeds, TheirPositions)), dict(analysis(market, Positions))
    their_names, names = theirs.pop('Datetime'), ours.pop('Datetime')
    assert list(theirs) == list(ours)
    assert len(their_names) == 34
    for day, values in theirs.items():
        found = dict(zip(names, ours[day], strict=True))
        assert dict(zip(their_names, values, strict=True)) == {**dict.fromkeys(their_names, 0.0), **found}
    assert dict(analysis(market, TheirPositions))['Datetime'] == ['market', 'cash']  # why ours exists


def test_columns_are_in_the_order_of_the_first_holding(ways):
    market = ways[1]
    order = []
    for codes in held_at_closes(market).values():
        order += sorted(codes - set(order))
    assert analysis(market, Positions)['Datetime'] == [*order, 'cash']
    assert len(order) > 5


def test_positions_add_up_to_the_account(ways):
    market = ways[1]
    rows, held = dict(analysis(market, Positions)), held_at_closes(market)
    names = rows.pop('Datetime')
    for row in market.analyzers.blotter.equity:
        *values, cash = rows[row.date]
        assert (sum(values), cash) == (pytest.approx(row.market_value, abs=1e-6), row.cash)
        assert {name for name, value in zip(names, values, strict=False) if value} == held[row.date]


def test_transactions_against_backtrader(ways):
    feeds, market = ways
    assert analysis(market, PyFolio)['transactions'] == analysis(feeds, TheirTransactions)
    assert dict(analysis(market, TheirTransactions)) == {'date': [['amount', 'price', 'sid', 'symbol', 'value']]}


def test_transactions_against_the_fills(ways):
    """Shares and money of each day and stock, delistings apart, which are no fills of the blotter."""
    market = ways[1]
    blotter, wanted = market.analyzers.blotter, {}
    for fill in blotter.fills:
        sign = 1 if fill.side == 'BUY' else -1
        wanted[fill.datetime, fill.code] = wanted.get((fill.datetime, fill.code), 0) + sign * fill.quantity
    gone = {row.code for row in blotter.rejections if row.reason == 'delisted'}
    assert gone
    found = {(when.date(), entry[3]): entry[0] for when, entries in analysis(market, Transactions).items() for entry in entries}
    extra = set(found) - set(wanted)
    assert {code for _, code in extra} == gone  # the last close is paid out on the next day
    assert {key: size for key, size in found.items() if key not in extra} == {key: s for key, s in wanted.items() if s}


def test_backtraders_own_make_way_for_ours_over_a_market(table, ways):
    """Those that would see nothing of a MarketFeed's stocks, under their names; subclasses of them stay."""
    theirs = [THEIRS.PositionsValue, THEIRS.Transactions, THEIRS.PyFolio]
    ours = [PositionsValue, Transactions, PyFolio]
    done = [run_feeds(table, market=market, analyzers=theirs, observers=[bt.observers.Trades], **waiting(ways))
            for market in (False, True)]
    for strategy, wanted, seen in ((done[0], theirs, bt.observers.Trades), (done[1], ours, Trades)):
        assert [type(part) for part in strategy.analyzers][1:] == wanted
        assert strategy.analyzers.getnames()[1:] == ['positionsvalue', 'transactions', 'pyfolio']
        assert [type(part) for part in strategy.observers].count(seen) == 1
    assert done[1].analyzers.positionsvalue.get_analysis() == analysis(ways[1], PositionsValue)
    assert done[1].analyzers.transactions.get_analysis() == analysis(ways[1], Transactions)
    assert done[1].analyzers.pyfolio.get_analysis() == analysis(ways[1], PyFolio)
    # a subclass is left as it is, and sees nothing
    assert len(only(ways[1].analyzers, TheirTransactions, False)[0].get_analysis()) == 1


def test_pyfolio_against_backtrader(ways):
    feeds, market = ways
    theirs, ours = analysis(feeds, THEIRS.PyFolio), analysis(market, PyFolio)
    for name in ('returns', 'transactions', 'gross_lev'):
        assert ours[name] == theirs[name]
    assert ours['positions'] == analysis(market, Positions)
    part = next(part for part in market.analyzers if type(part) is PyFolio)
    positions = part.get_pf_items()[1]
    totals = {row.date: row.total_value for row in market.analyzers.blotter.equity}
    assert [day.date() for day in positions.index[1:]] == list(totals)
    assert positions.sum(axis=1).tolist()[1:] == pytest.approx(list(totals.values()))
    assert positions.shape[1] == 1 + len(set().union(*held_at_closes(market).values()))


def test_trades_observer(ways):
    feeds, market = ways
    for ours, theirs in ((Trades, bt.observers.Trades), (Gross, TheirGross)):
        wanted = shown(feeds, theirs)
        for strategy in ways:
            for name, values in shown(strategy, ours).items():
                np.testing.assert_array_equal(values, wanted[name])
                assert np.isfinite(values).sum() > 5
    assert not any(np.isfinite(values).any() for values in shown(market, TheirGross).values())  # why ours exists
    assert not np.array_equal(shown(market, Trades)['pnlplus'], shown(market, Gross)['pnlplus'], equal_nan=True)


def test_trade_analyzer(ways):
    """The same but for the lengths: a bar of a stock's own feed is a row, a bar of the market is a day."""
    feeds, market = (copy.deepcopy(dict(analysis(strategy, THEIRS.TradeAnalyzer))) for strategy in ways)
    assert feeds.pop('len') != market.pop('len')
    assert feeds == market
    assert market['total']['closed'] > 40


def test_trade_analyzer_where_every_stock_has_every_row(table):
    counts = table['code'].value_counts()
    table = table[table['code'].isin(counts.index[counts == 40])]
    feeds, market = (dict(analysis(run(table, market=market), THEIRS.TradeAnalyzer)) for market in (False, True))
    assert feeds == market
    assert market['len']['total'] > 100


@pytest.mark.parametrize(
    'part', [THEIRS.TimeReturn, THEIRS.DrawDown, Daily, THEIRS.GrossLeverage], ids=lambda part: part.__name__)
def test_of_the_account(part, ways):
    feeds, market = (analysis(strategy, part) for strategy in ways)
    assert dict(feeds) == dict(market)


def test_of_the_account_by_hand(ways):
    market = ways[1]
    values = [1e6] + [row.total_value for row in market.analyzers.blotter.equity]
    returns = [after / before - 1 for before, after in itertools.pairwise(values)]
    assert list(analysis(market, THEIRS.TimeReturn).values()) == pytest.approx([0.0, *returns])
    falls = [100 * (1 - value / max(values[: at + 1])) for at, value in enumerate(values)]
    assert analysis(market, THEIRS.DrawDown).max.drawdown == pytest.approx(max(falls))
    sharpe = statistics.fmean([0.0, *returns]) / statistics.pstdev([0.0, *returns]) * math.sqrt(252)
    assert analysis(market, Daily)['sharperatio'] == pytest.approx(sharpe)


# --------------------------------------------------------------------------------------- cost, processes, csv


def test_only_what_is_held_is_valued(table, monkeypatch):
    """Backtrader's own asks for every feed on every bar."""
    from bt_microcap import AShareBroker

    asked = []

    def get_value(broker, datas=None, *args, **kwargs):
        asked.extend(data._name for data in datas or ())
        return bt.brokers.BackBroker.get_value(broker, datas, *args, **kwargs)

    monkeypatch.setattr(AShareBroker, 'get_value', get_value)
    for market in (False, True):
        strategy = run_feeds(table, market=market, analyzers=[PositionsValue], **PARAMS)
        assert len(asked) == sum(map(len, held_at_closes(strategy).values()))
        asked.clear()


@pytest.mark.parametrize('maxcpus', [1, 2])
def test_results_come_back_from_another_process(maxcpus, table, ways):
    cerebro = bt.Cerebro(maxcpus=maxcpus)
    cerebro.adddata(MarketFeed(dataname=table), name='market')
    strategy = {name: value for name, value in PARAMS.items() if name != 'delist_wait'}
    cerebro.optstrategy(MicroCapStrategy, **{**strategy, 'refresh_rate': [3, 7]})
    setup(cerebro, delist_wait=waiting(ways)['delist_wait'])
    for part in (Positions, Transactions, PyFolio):
        cerebro.addanalyzer(part)
    first = next(result for (result,) in cerebro.run() if result.p.refresh_rate == 3)
    for found, part in zip(first.analyzers, (Positions, Transactions, PyFolio), strict=True):
        assert found.get_analysis() == analysis(ways[1], part)
    assert len(first.analyzers[2].get_pf_items()) == 4


def rows_of(path):
    """The csv part of a writer's file: a dict per bar, by feed or part and line."""
    with open(path, newline='') as file:
        lines = file.read().split('=' * 79 + '\n')[1].splitlines()
    header, *rows = csv.reader(lines)
    names, owner = [], ''
    for name, after in zip(header, [*header[1:], ''], strict=True):
        owner = name if after == 'len' else owner
        names.append((owner, name))
    assert len(set(names)) == len(names)
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_csv_writer(table, ways, tmp_path):
    done = {}
    for market in (False, True):
        cerebro = bt.Cerebro()
        cerebro.addwriter(bt.WriterFile, csv=True, out=str(tmp_path / f'{market}.csv'))
        strategy = run_feeds(table, market=market, cerebro=cerebro, analyzers=[PyFolio], observers=[Trades], **waiting(ways))
        assert strategy.analyzers.blotter.equity == ways[1].analyzers.blotter.equity
        done[market] = rows_of(tmp_path / f'{market}.csv')
    assert (len(done[False]), len(done[True])) == (40, 40)
    for feeds, market in zip(done[False], done[True], strict=True):
        assert market == {name: feeds[name] for name in market}
        assert len(feeds) > 32 * 10 > len(market)
    account = [float(row['Account', 'value']) for row in done[True]]
    assert account == [1e6] + [row.total_value for row in ways[1].analyzers.blotter.equity]
