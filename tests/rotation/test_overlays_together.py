"""The hold at the upper limit, several overlays at once, overlays of one's own, and what they remember."""

import backtrader as bt
import pytest

from bt_microcap import Blotter, MicroCapStrategy, setup
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.rotation.overlays import DrawdownBrake, LimitUpHold, Overlay, StopLoss, TrailingStop
from tests.support.looking import FREE
from tests.support.markets import bar, paused, tiny_market
from tests.support.rotating import ANY_CAP, buys_of, cerebro_of, orders_of, rotate, sales_of

A, B, C = '600001.XSHG', '600002.XSHG', '600003.XSHG'
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])


def told(run, code=A):
    """Return (month-day, side, why, reason) of each order in a stock."""
    return [(day, side, why, reason) for day, stock, side, why, _, reason in orders_of(run) if stock == code]


# ------------------------------------------------------------------------------------------ held at the upper limit


def at_limit(*days, **columns):
    """A is bought at 10.00 on 01-03 and closes somewhere; B is the smaller one from then on: the rebalance of 01-05 wants it."""
    small = [bar(10.0, cap=2e9, **columns)]
    return tiny_market({A: [*small, *days], B: [bar(5.0, cap=3e9), bar(5.0, cap=1.9e9)] + [5.0] * (len(days) - 1)})


HOLD = {'limit_up_hold': True, 'refresh_rate': 2}


@WAYS
@pytest.mark.parametrize('keep', [False, True])
@pytest.mark.parametrize(('close', 'expected'), [
    # 11.00 is the limit of 01-04. Held through 01-05, when it closes below 12.10; sold at the open of 01-08
    (11.0, [('01-08', 'SELL', 'limit opened', '')]),
    (10.99, [('01-05', 'SELL', 'rebalance', '')]),
])
def test_held_through_a_rebalance(market, keep, close, expected):
    run = rotate(at_limit(10.0, (10.0, close), 11.5, 11.5, 11.5), market=market, keep=keep, **HOLD)
    assert told(run)[1:] == expected
    # its place is not free on 01-05; after the sale of 01-08 the rebalance of 01-09 fills it
    assert next(day for day, code, _ in buys_of(run) if code == B) == ('01-05' if close < 11 else '01-09')


@WAYS
def test_held_while_it_closes_at_its_limit(market):
    run = rotate(at_limit(10.0, (10.0, 11.0), (11.0, 12.1), (13.0, 13.31), (13.5, 13.6), 13.0, 13.0), market=market, **HOLD)
    # limits of 11.00, 12.10, 13.31 and 14.64: opened on 01-09, sold on 01-10
    assert told(run)[1:] == [('01-10', 'SELL', 'limit opened', '')]


@WAYS
def test_without_the_param_it_is_sold(market):
    run = rotate(at_limit(10.0, (10.0, 11.0), 11.5, 11.5), market=market, refresh_rate=2)
    assert told(run)[1:] == [('01-05', 'SELL', 'rebalance', '')]


@WAYS
@pytest.mark.parametrize('gone', [paused(), None], ids=['with a row', 'without'])
def test_suspended_while_held(market, gone):
    # suspended on 01-05 and 01-08; on 01-09 it trades below its limit, and is sold on 01-10
    run = rotate(at_limit(10.0, (10.0, 11.0), gone, gone, 11.5, 11.5, 11.5), market=market, **HOLD)
    assert told(run)[1:] == [('01-10', 'SELL', 'limit opened', '')]


@WAYS
def test_what_was_never_held_back_is_not_sold(market):
    # bought on 01-03, it never closed at its limit: no rebalance, no sale
    run = rotate(at_limit(10.0, (10.0, 10.9), 10.0, 10.0), market=market, limit_up_hold=True)
    assert told(run)[1:] == []


@WAYS
def test_a_sale_that_was_refused_is_not_repeated(market):
    """Opened on 01-05, at the lower limit on 01-08: the reason was that of a day; the rebalance of 01-09 sells it."""
    run = rotate(at_limit(10.0, (10.0, 11.0), (11.0, 11.0), (9.9, 10.0), 10.0, 10.0), market=market, **HOLD)
    assert told(run)[1:] == [('01-08', 'SELL', 'limit opened', 'limit down'), ('01-09', 'SELL', 'rebalance', '')]


@WAYS
def test_a_limit_after_an_ex_date(market):
    # on 01-05 1 yuan is paid: the limit is 11.00 again, and 11.00 is at it
    day = bar(10.5, 11.0, preclose=10.0, cash_dividend=1.0)
    run = rotate(at_limit(10.0, (10.0, 11.0), day, 11.5, 11.5), market=market, **HOLD)
    assert told(run)[1:] == [('01-09', 'SELL', 'limit opened', '')]


@WAYS
@pytest.mark.parametrize(('afternoon', 'expected'), [
    # closed at 11.00 on 01-04; on 01-05 the limit is 12.10, and it closes at 11.60
    (12.1, [('01-05', 'SELL', 'limit opened', 'condition not met')]),
    (12.096, [('01-05', 'SELL', 'limit opened', 'condition not met')]),
    (12.09, [('01-05', 'SELL', 'limit opened', '')]),
    (11.0, [('01-05', 'SELL', 'limit opened', '')]),
])
def test_looked_at_in_the_afternoon(market, afternoon, expected):
    table = at_limit(bar(10.0, price_1430=10.0), bar(10.0, 11.0, price_1430=10.5), bar(12.1, 11.6, price_1430=afternoon),
                     bar(11.5, price_1430=11.5), price_1430=10.0)
    run = rotate(table, market=market, limit_up_hold=True)
    blotter = run.analyzers.blotter
    assert told(run)[1:] == expected
    assert [(f'{fill.datetime:%m-%d}', fill.price) for fill in blotter.fills[1:]] == ([] if expected[0][3] else [('01-05', 11.6)])
    # an order that was given and withdrawn is no refusal
    statuses = [order.status for order in blotter.orders[1:]]
    assert statuses == (['Canceled'] if expected[0][3] else ['Completed']) and blotter.rejections == []


@WAYS
def test_the_place_of_what_is_sold_at_the_close_is_filled_later(market):
    table = at_limit(bar(10.0, price_1430=10.0), bar(10.0, 11.0, price_1430=10.5), bar(12.1, 11.6, price_1430=11.0),
                     bar(11.5, price_1430=11.5), bar(11.5, price_1430=11.5), price_1430=10.0)
    run = rotate(table, market=market, **HOLD)
    assert told(run)[1:] == [('01-05', 'SELL', 'limit opened', '')]
    assert [day for day, code, _ in buys_of(run) if code == B] == ['01-09']


@WAYS
def test_in_the_afternoon_still_at_its_limit_and_below_it_at_the_close(market):
    """Nobody looks after that: it is held no longer, and the next rebalance sells it."""
    table = at_limit(bar(10.0, price_1430=10.0), bar(10.0, 11.0, price_1430=10.5), bar(12.1, 11.6, price_1430=12.1),
                     bar(11.5, price_1430=11.5), bar(11.5, price_1430=11.5), price_1430=10.0)
    found = [order for order in told(rotate(table, market=market, **HOLD))[1:] if order[2] == 'rebalance']
    assert found == [('01-09', 'SELL', 'rebalance', '')]


def test_at_the_close_nothing_is_sold_without_cheat_on_open():
    """The orders fill at the next open: what closed below its limit is sold there, also where the data has the column."""
    table = at_limit(bar(10.0, price_1430=10.0), bar(10.0, 11.0, price_1430=10.5), bar(11.5, price_1430=11.5),
                     bar(11.4, price_1430=11.5), bar(11.5, price_1430=11.5), price_1430=10.0)
    run = rotate(table, cheat=False, **HOLD)
    assert [(f'{fill.datetime:%m-%d}', fill.price) for fill in run.analyzers.blotter.fills if fill.side == 'SELL'][:1] == [
        ('01-08', 11.4)]


# ------------------------------------------------------------------------------------------ two at once


@WAYS
def test_a_stop_wins_over_a_hold(market):
    # 8.91 on 01-05 is its limit after 8.10, and 10.9 % below the 10.00 that it cost; the rebalance is on 01-08
    table = at_limit((10.0, 9.1), (9.0, 8.1), (7.29, 8.91), 9.0, 9.0, 9.0)
    held = told(rotate(table, market=market, limit_up_hold=True, refresh_rate=3))
    sold = told(rotate(table, market=market, limit_up_hold=True, refresh_rate=3, overlays=(StopLoss(0.1),)))
    assert held[1:] == [('01-09', 'SELL', 'limit opened', '')]
    assert sold[1:] == [('01-05', 'SELL', 'stop loss', 'limit down'), ('01-08', 'SELL', 'stop loss', '')]


class Part(Overlay):
    def __init__(self, part, why=''):
        self.part, self.why = part, why

    def exposure(self, known):
        return self.part if f'{known.today:%m-%d}' >= '01-05' else 1.0


@WAYS
@pytest.mark.parametrize(('parts', 'sold', 'why'), [
    ((0.5, 0.3), 7_000, 'second'), ((0.3, 0.5), 7_000, 'first'), ((0.5, 0.5), 5_000, 'first'), ((1.0, 0.4), 6_000, 'second'),
    ((0.5, 0.0), 10_000, 'second'), ((0.0, 0.0), 10_000, 'first')])
def test_the_strictest_part_counts(market, parts, sold, why):
    table = tiny_market({A: [10.0] * 6})
    run = rotate(table, market=market, overlays=(Part(parts[0], 'first'), Part(parts[1], 'second')))
    assert [(day, why, got) for day, _, side, why, got, _ in orders_of(run) if side == 'SELL'] == [('01-05', why, sold)]


def test_an_overlay_without_a_word_is_called_by_its_class():
    assert sales_of(rotate(tiny_market({A: [10.0] * 6}), overlays=(Part(0.0),))) == [('01-05', A, 'Part', '')]


@WAYS
def test_the_first_reason_is_written(market):
    # 9 % lost, which is both a stop loss and a trailing stop; B, sold for the month, had lost nothing
    table = tiny_market({A: [bar(10.0, cap=2e9), (10.0, 9.1), 9.1, 9.1], B: [bar(5.0, cap=3e9), 5.0, 5.0, 5.0]},
                        dates=['2024-01-30', '2024-01-31', '2024-02-01', '2024-02-02'])
    both = {'trailing_stop': 0.08, 'stop_loss': 0.09}
    assert sales_of(rotate(table, market=market, **both)) == [('02-01', A, 'stop loss', '')]
    found = sales_of(rotate(table, market=market, stocknum=2, empty_months=(2,), **both))
    assert found == [('02-01', A, 'stop loss', ''), ('02-01', B, 'empty month', '')]


@WAYS
def test_a_shut_day_sells_what_is_held_at_its_limit_too(market):
    run = rotate(at_limit(10.0, (10.0, 11.0), 11.5, 11.5), market=market, limit_up_hold=True, overlays=(Part(0.0, 'shut'),))
    assert told(run)[1:] == [('01-05', 'SELL', 'shut', '')]


# ------------------------------------------------------------------------------------------ one's own


class OnFridays(Overlay):
    """Sells one stock on Fridays, holds another, and writes down what it is told."""

    why = 'friday'

    def __init__(self):
        self.told = []

    def start(self, known):
        self.told = []

    def exits(self, known):
        held = known.holdings
        self.told.append((f'{known.today:%m-%d}', f'{known.yesterday:%m-%d}', held.codes.tolist(), held.costs.tolist(),
                          held.prices.tolist(), known.closing_value))
        return {A: self.why} if known.today.isoweekday() == 5 else {}

    def holds(self, known):
        return [B]


@WAYS
def test_an_overlay_of_ones_own(market):
    table = tiny_market({A: [bar(10.0, cap=2e9), (10.0, 10.2), 10.3, 10.4], B: [bar(20.0, cap=3e9), 20.0, (20.0, 19.0), 18.5]})
    mine = OnFridays()
    run = rotate(table, market=market, stocknum=2, refresh_rate=3, overlays=(mine,))
    assert sales_of(run) == [('01-05', A, 'friday', '')]
    assert mine.told == []  # the strategy works on a copy
    # 50,000 each: 5,000 at 10.00 and 2,500 at 20.00
    assert run._overlays[0].told == [
        ('01-03', '01-02', [], [], [], 100_000.0),
        ('01-04', '01-03', [A, B], [10.0, 20.0], [10.2, 20.0], 101_000.0),
        ('01-05', '01-04', [A, B], [10.0, 20.0], [10.3, 19.0], 99_000.0)]


@WAYS
def test_what_an_overlay_names_and_nobody_holds_is_passed_over(market):
    class Odd(Overlay):
        def exits(self, known):
            return {C: 'odd', 'nonsense': 'odd'}

        def holds(self, known):
            return {C, 'nonsense'}

    assert sales_of(rotate(tiny_market({A: [10.0] * 4}), market=market, overlays=(Odd(),))) == []


# ------------------------------------------------------------------------------------------ what they remember

STATE = {'trailing_stop': 0.1, 'drawdown_brake': 0.15, 'brake_days': 2, 'limit_up_hold': True, 'cooldown': 2, 'rebuy_ban': 1}
WALK = tiny_market({A: [bar(10.0, cap=2e9), 10.0, (10.0, 11.0), 12.0, 10.8, 10.8, 10.0, 9.5, 9.5, (9.5, 10.45), 10.0, 9.0, 9.0],
                    B: [bar(5.0, cap=3e9), 5.0, 5.2, 5.4, 4.9, 4.5, 4.6, 4.4, 4.0, 4.0, 4.2, 4.1, 4.0]})


@WAYS
def test_a_second_run_of_a_cerebro_begins_anew(market):
    cerebro = cerebro_of(WALK, market)
    given = (DrawdownBrake(0.12, 3), TrailingStop(0.07), LimitUpHold())
    cerebro.addstrategy(MicroCapStrategy, refresh_rate=2, stocknum=1, overlays=given, **STATE, **ANY_CAP)
    first, second = (orders_of(cerebro.run()[0]) for _ in range(2))
    assert first == second and {order[3] for order in first} >= {'trailing stop', 'rebalance'}
    assert [vars(overlay) for overlay in given] == [{'fall': 0.12, 'days': 3}, {'fall': 0.07}, {'afternoon': 'price_1430'}]


class Orders(bt.Analyzer):
    """What an optimizer's run ordered."""

    def start(self):
        self.found = []

    def notify_order(self, order):
        if not order.alive():
            self.found.append((order.data._name, order.executed.size, order.info.get('why')))

    def get_analysis(self):
        return {'orders': self.found}


def test_runs_of_an_optimizer_know_nothing_of_each_other():
    single = []
    for fall in (0.05, 0.2):
        cerebro = cerebro_of(WALK)
        cerebro.addstrategy(MicroCapStrategy, refresh_rate=2, stocknum=1, keep=True, overlays=(TrailingStop(fall),), **ANY_CAP)
        cerebro.addanalyzer(Orders)
        single.append(cerebro.run()[0].analyzers.orders.get_analysis()['orders'])
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=check_table(WALK)), name='market')
    setup(cerebro, cash=100_000.0, **FREE)
    cerebro.optstrategy(MicroCapStrategy, refresh_rate=2, stocknum=1, keep=True,
                        overlays=[(TrailingStop(0.05),), (TrailingStop(0.2),)], **ANY_CAP)
    cerebro.addanalyzer(Orders)
    found = [run[0].analyzers.orders.get_analysis()['orders'] for run in cerebro.run(maxcpus=1)]
    assert found == single and found[0] != found[1]


def test_a_blotter_beside_the_overlays_adds_up():
    run = rotate(WALK, refresh_rate=2, options={'commission': 0.0003, 'stamp_duty': 0.0005}, **STATE)
    assert isinstance(run.analyzers.blotter, Blotter)
    assert run.analyzers.blotter.cash_difference() == pytest.approx(0.0, abs=1e-6)
