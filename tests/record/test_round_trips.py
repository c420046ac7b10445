"""Round trips and what each stock brought: by hand, and against the account and Backtrader's own trades."""

from datetime import date

import backtrader as bt
import pytest

from bt_microcap import AShareBroker, AShareCommission, Blotter, MicroCapStrategy
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import add_stocks
from bt_microcap.record.round_trips import RoundTrip, openings, profits_by_stock, round_trips
from bt_microcap.record.rows import CorporateAction, Fill, FillDetail
from tests.support.markets import Shape, bar, build, tiny_market
from tests.support.running import run_feeds, run_market
from tests.support.scripted import Result, Scripted, buy, sell, steps

A, B, C = '600001.XSHG', '000002.XSHE', '300003.XSHE'
DAYS = [date(2024, 1, day) for day in (2, 3, 4, 5, 8, 9)]

# ------------------------------------------------------------------------------------------ by hand


def test_buys_and_sales_of_one_round_trip():
    fills = [
        Fill(DAYS[0], A, 'BUY', 1000, 10.0, 5.0, 0.0, 1.0), Fill(DAYS[1], A, 'BUY', 500, 12.0, 6.0, 0.0, 2.0),
        Fill(DAYS[2], A, 'SELL', 700, 11.0, 7.0, 7.7, 3.0), Fill(DAYS[4], A, 'SELL', 800, 9.0, 8.0, 7.2, 4.0)]
    details = [FillDetail(10.0, 'choice'), FillDetail(2.5, 'more'), FillDetail(-1.0, 'less'), FillDetail(4.0, 'stop')]
    # bought for 16,000, sold for 7,700 + 7,200; fees 26 + 14.9 + 10; the buys cost 16,014
    assert round_trips(fills, [], DAYS, details) == [RoundTrip(
        A, DAYS[0], DAYS[4], 4, 1500, 16_000.0, 14_900.0, 0.0, 26.0, pytest.approx(14.9), 10.0, 15.5, pytest.approx(-1_150.9),
        pytest.approx(-1_150.9 / 16_014), 'stop')]
    assert [(trip.slippage, trip.why) for trip in round_trips(fills, [], DAYS)] == [(0.0, '')]
    assert profits_by_stock(fills, [], {}) == {A: pytest.approx(-1_150.9)}


def test_several_stocks_in_the_order_of_their_closing():
    fills = [
        Fill(DAYS[0], A, 'BUY', 100, 10.0, 0.0, 0.0, 0.0), Fill(DAYS[0], B, 'BUY', 100, 20.0, 0.0, 0.0, 0.0),
        Fill(DAYS[1], B, 'SELL', 100, 21.0, 0.0, 0.0, 0.0), Fill(DAYS[1], B, 'BUY', 100, 21.0, 0.0, 0.0, 0.0),
        Fill(DAYS[2], A, 'SELL', 100, 9.0, 0.0, 0.0, 0.0), Fill(DAYS[3], B, 'SELL', 100, 24.0, 0.0, 0.0, 0.0),
        Fill(DAYS[3], C, 'BUY', 200, 5.0, 0.0, 0.0, 0.0)]
    assert [(trip.code, trip.opened, trip.closed, trip.days_held, trip.profit, trip.rate_of_return)
            for trip in round_trips(fills, [], DAYS)] == [
        (B, DAYS[0], DAYS[1], 1, 100.0, 0.05), (A, DAYS[0], DAYS[2], 2, -100.0, -0.1),
        (B, DAYS[1], DAYS[3], 2, 300.0, pytest.approx(1 / 7))]
    assert openings(fills, []) == {A: [DAYS[0]], B: [DAYS[0], DAYS[1]], C: [DAYS[3]]}
    # what is held counts at its last value
    assert profits_by_stock(fills, [], {C: 1_150.0}) == {A: -100.0, B: 400.0, C: 150.0}


def test_ex_rights_come_before_the_fills_of_their_day():
    fills = [Fill(DAYS[0], A, 'BUY', 1000, 10.0, 0.0, 0.0, 0.0), Fill(DAYS[2], A, 'SELL', 1300, 8.0, 0.0, 0.0, 0.0)]
    actions = [CorporateAction(DAYS[1], A, 'dividend', 1000, 1000, 160.0),
               CorporateAction(DAYS[2], A, 'dividend', 1000, 1300, 40.5),
               CorporateAction(DAYS[3], B, 'dividend', 100, 100, 7.0)]
    trip, = round_trips(fills, actions, DAYS)
    assert (trip.shares, trip.sell_value, trip.received, trip.profit) == (1000, 10_400.0, 200.5, 600.5)
    assert (trip.closed, trip.rate_of_return) == (DAYS[2], pytest.approx(0.06005))
    assert profits_by_stock(fills, actions[:2], {}) == {A: 600.5}


@pytest.mark.parametrize('action', ['delisted', 'consolidated'])
def test_a_stock_that_becomes_cash(action):
    fills = [Fill(DAYS[0], A, 'BUY', 1000, 10.0, 5.0, 0.0, 0.0), Fill(DAYS[5], B, 'BUY', 100, 1.0, 0.0, 0.0, 0.0)]
    actions = [CorporateAction(DAYS[1], A, 'reinvest', 1000, 1100, 0.5), CorporateAction(DAYS[3], A, action, 1100, 0, 4_400.0)]
    details = [FillDetail(0.0, 'choice'), FillDetail(0.0, 'choice')]
    assert round_trips(fills, actions, DAYS, details) == [RoundTrip(
        A, DAYS[0], DAYS[3], 3, 1000, 10_000.0, 4_400.0, 0.5, 5.0, 0.0, 0.0, 0.0, -5_604.5,
        pytest.approx(-5_604.5 / 10_005), action)]
    # also where nothing is traded after it, and bought again on the day after it
    assert [trip.why for trip in round_trips(fills[:1], actions, DAYS)] == [action]
    again = [fills[0], Fill(DAYS[3], A, 'BUY', 100, 4.0, 0.0, 0.0, 0.0)]
    assert len(round_trips(again, actions, DAYS)) == 1
    assert openings(again, actions) == {A: [DAYS[0], DAYS[3]]}


def test_what_is_still_held_needs_a_value():
    fills = [Fill(DAYS[0], code, 'BUY', 100, 10.0, 0.0, 0.0, 0.0) for code in (A, B, C)]
    with pytest.raises(ValueError, match=f'{B}, {C}: still held at the end'):
        profits_by_stock(fills, [], {A: 1_000.0, C[:5]: 1.0})
    with pytest.raises(ValueError, match='found 1 details, expected one for each of the 3 fills'):
        round_trips(fills, [], DAYS, [FillDetail(0.0, '')])


def test_nothing():
    assert round_trips([], [], []) == []
    assert profits_by_stock([], [], {}) == openings([], []) == {}


def test_a_short_sale_is_a_round_trip_as_well():
    fills = [Fill(DAYS[0], A, 'SELL', 100, 10.0, 0.0, 0.0, 0.0), Fill(DAYS[1], A, 'BUY', 100, 8.0, 0.0, 0.0, 0.0)]
    assert [(trip.profit, trip.rate_of_return, trip.days_held) for trip in round_trips(fills, [], DAYS)] == [(200.0, 0.25, 1)]


# ------------------------------------------------------------------------------------------ what the blotter knows of a fill


def books(stocks, script, **params):
    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=True)
    add_stocks(cerebro, check_table(tiny_market(stocks)), checked=True)
    broker = AShareBroker(cash=100_000.0, **params)
    broker.addcommissioninfo(AShareCommission())
    cerebro.setbroker(broker)
    cerebro.addstrategy(Scripted, script=script, result=Result(broker))
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro.run()[0].analyzers.blotter


def test_slippage_and_reason_of_each_fill():
    # at 10.10 and 9.90 for 10.00; half of B's order of 800 on either day, at 20.20 and 20.30 for 20.00 and 20.10
    stocks = {A: [10.0] * 5, B: [20.0, bar(20.0, volume=4_000.0), bar(20.1, volume=4_000.0), 20.1, 20.1]}
    script = {1: steps(buy(A, 1000, why='choice'), buy(B, 800, why='dip', exectype=bt.Order.Limit, price=20.5)), 3: sell(A, 1000)}
    blotter = books(stocks, script, slippage=0.02, volume_limit=0.1)
    found = [(fill.datetime, fill.code, fill.quantity, *detail)
             for fill, detail in zip(blotter.fills, blotter.details, strict=True)]
    assert found == [
        (DAYS[1], A, 1000, pytest.approx(100.0), 'choice'), (DAYS[1], B, 400, pytest.approx(80.0), 'dip'),
        (DAYS[2], B, 400, pytest.approx(80.0), 'dip'), (DAYS[3], A, 1000, pytest.approx(100.0), '')]
    trip, = round_trips(blotter.fills, blotter.corporate_actions, [row.date for row in blotter.equity], blotter.details)
    assert (trip.code, trip.days_held, trip.slippage, trip.why) == (A, 2, pytest.approx(200.0), '')


def test_trades_csv_has_the_columns_of_old():
    assert Fill._fields == ('datetime', 'code', 'side', 'quantity', 'price', 'commission', 'tax', 'transfer_fee')


# ------------------------------------------------------------------------------------------ against the account


class Paying(MicroCapStrategy):
    """Gets money twice, and pays some out."""

    def next(self):
        super().next()
        if (amount := {8: 200_000.0, 20: -50_000.0, 21: 1_234.5}.get(len(self))) is not None:
            self.broker.add_cash(amount)


def last_values(broker):
    return {data._name: broker.getvalue([data]) for data, position in broker.positions.items() if position.size}


def check(strategy, start_cash):
    """Hold what each stock brought and the round trips against the account; return the blotter."""
    blotter, broker = strategy.analyzers.blotter, strategy.broker
    values = last_values(broker)
    profits = profits_by_stock(blotter.fills, blotter.corporate_actions, values)
    came_in = sum(flow.amount for flow in blotter.cash_flows)
    assert sum(profits.values()) == pytest.approx(broker.getvalue() - start_cash - came_in, abs=1e-6)
    days = [row.date for row in blotter.equity]
    trips = round_trips(blotter.fills, blotter.corporate_actions, days, blotter.details)
    for code in set(profits) - set(values):
        assert profits[code] == pytest.approx(sum(trip.profit for trip in trips if trip.code == code), abs=1e-6)
    opened = openings(blotter.fills, blotter.corporate_actions)
    closed = {code: sorted(trip.opened for trip in trips if trip.code == code) for code in opened}
    assert opened == {code: closed[code] + opened[code][-1:] * (code in values) for code in opened}
    assert all(trip.days_held == days.index(trip.closed) - days.index(trip.opened) for trip in trips)
    assert sum(detail.slippage for detail in blotter.details) == pytest.approx(sum(order.slippage for order in blotter.orders))
    # Backtrader's own book of trades
    theirs = strategy.analyzers.tradeanalyzer.get_analysis()
    assert (len(trips), len(values)) == (theirs.total.get('closed', 0), theirs.total.get('open', 0))
    return blotter, trips, theirs


RUNS = pytest.mark.parametrize('run', [run_feeds, run_market])


@RUNS
@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
@pytest.mark.parametrize('strategy', [MicroCapStrategy, Paying])
def test_on_the_demo_market(run, profile, strategy):
    done = run(demo_market(60, years=1, seed=3, corporate_actions=True), profile=profile, strategy=strategy, stocknum=6,
               refresh_rate=5, min_cap=0.0, max_cap=1e12, analyzers=(bt.analyzers.TradeAnalyzer,))
    blotter, trips, theirs = check(done, 1e6)
    assert len(trips) > 10
    assert len(blotter.cash_flows) == (3 if strategy is Paying else 0)
    # a dividend lowers the cost of Backtrader's trade: the profits are the same
    assert sum(trip.profit for trip in trips) == pytest.approx(theirs.pnl.net.total, abs=1e-4)


@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
@pytest.mark.parametrize('seed', range(4))
def test_with_ex_rights_and_delistings(profile, seed):
    table = build(Shape(seed=seed, stocks=10, days=40, start=date(2018, 3, 1), dividends=True, ratios=True, wild=True))
    done = run_feeds(table, profile=profile, stocknum=4, refresh_rate=3, min_cap=0.0, max_cap=1e12, delist_wait=0,
                     analyzers=(bt.analyzers.TradeAnalyzer,))
    blotter, trips, _ = check(done, 1e6)
    assert {action.action for action in blotter.corporate_actions} >= {'dividend', 'delisted'}
    became_cash = [(action.date, action.code) for action in blotter.corporate_actions if action.action == 'delisted']
    assert [(trip.closed, trip.code) for trip in trips if trip.why == 'delisted'] == became_cash


def test_a_run_with_a_bonus_a_delisting_and_a_consolidation():
    # A: 0.1 yuan a share and 13 for 10 on the third day; B is gone after its third day;
    # of C's thousand shares one is left, which only preclose tells
    stocks = {
        A: [10.0, 10.0, bar(7.62, preclose=7.62, cash_dividend=0.1, share_ratio=1.3), 8.0, 8.0, 8.0],
        B: [20.0, 20.0, 18.0, None, None, None],
        C: [5.0, 5.0, 5.0, bar(5000.0, preclose=5000.0), 5000.0, 5000.0],
    }
    script = {1: steps(buy(A, 1000), buy(B, 500), buy(C, 100)), 4: sell(A, 1300)}
    blotter = books(stocks, script, delist_wait=0, dividend_tax=0.2)
    trips = round_trips(blotter.fills, blotter.corporate_actions, [row.date for row in blotter.equity], blotter.details)
    # C: a tenth of a share of 5,000 yuan is cash. A: 80 yuan after tax; 10,400 less 10,000, twice 5 and 10.4
    assert [(trip.code, trip.closed, trip.sell_value, trip.received, trip.profit, trip.why) for trip in sorted(trips)] == [
        (B, DAYS[3], 9_000.0, 0.0, pytest.approx(-1_005.0), 'delisted'),
        (C, DAYS[3], pytest.approx(500.0), 0.0, pytest.approx(-5.0), 'consolidated'),
        (A, DAYS[4], 10_400.0, pytest.approx(80.0), pytest.approx(459.6), ''),
    ]
    profits = profits_by_stock(blotter.fills, blotter.corporate_actions, {})
    assert sum(profits.values()) == pytest.approx(blotter.equity[-1].total_value - 100_000.0, abs=1e-6)
