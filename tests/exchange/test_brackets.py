"""Brackets whose parent gets less than it asked for, orders that run out, and orders for stocks that have no row."""

from datetime import date

import backtrader as bt
import pandas as pd
import pytest

from bt_microcap import AShareCommission, Blotter
from tests.support.markets import bar, paused, tiny_market
from tests.support.scripted import buy, close, play, sell, steps

A, B = '600001.XSHG', '000002.XSHE'
MARKET, CLOSE, LIMIT, STOP = bt.Order.Market, bt.Order.Close, bt.Order.Limit, bt.Order.Stop
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
TIMES = pytest.mark.parametrize('at_open', [True, False], ids=['at the open', 'on the eve'])


def trade(days, script, **params):
    """Play a script free of charge over stock A, beside B which stands at 10.00 on every day."""
    table = tiny_market({A: days, B: [10.0] * len(days)})
    params.setdefault('commission', AShareCommission(commission=0.0, min_commission=0.0, stamp_duty=0.0))
    return play(table, script, **params)


def bracket(size=1000, exectype=MARKET, stopprice=9.5, limitprice=10.5, **options):
    return lambda strategy: strategy.buy_bracket(
        data=strategy.feed(A), size=size, exectype=exectype, stopprice=stopprice, limitprice=limitprice, **options)


def ended(run):
    """The last status of parent, stop and limit."""
    return [run.statuses(order)[-1] for order in run.orders]


THIN = bar(10.0, volume=4_000.0)  # a tenth of it: 400 shares


# ------------------------------------------------------------------------------------------------ brackets


@WAYS
@TIMES
def test_a_bracket_cut_by_the_volume_keeps_its_stop(at_open, market):
    run = trade([10.0, THIN, (10.0, 9.8), (9.7, 9.4), 9.4], {1 if at_open else 0: bracket()}, at_open=at_open,
                market=market, volume_limit=0.1)
    assert run.fills == [(1, A, 400, 10.0), (3, A, -400, 9.5)]
    assert ended(run) == ['Canceled', 'Completed', 'Canceled']
    assert [run.statuses(order) for order in run.orders[:2]] == [['Accepted', 'Partial', 'Canceled'], ['Accepted', 'Completed']]
    assert [abs(order.size) for order in run.orders[1:]] == [400, 400]
    assert run.shares[-1] == {}


@WAYS
@TIMES
def test_a_bracket_cut_by_the_volume_takes_its_profit(at_open, market):
    run = trade([10.0, THIN, 10.2, (10.3, 10.6), 10.6], {1 if at_open else 0: bracket()}, at_open=at_open,
                market=market, volume_limit=0.1)
    assert run.fills == [(1, A, 400, 10.0), (3, A, -400, 10.5)]
    assert ended(run) == ['Canceled', 'Canceled', 'Completed']


@WAYS
def test_a_bracket_cut_to_the_cash_and_to_lots(market):
    """3,050 yuan buy 300 shares at 10.00."""
    run = trade([10.0, 10.0, 10.0, (9.7, 9.4)], {1: bracket()}, market=market, cash=3_050.0)
    assert run.fills == [(1, A, 300, 10.0), (3, A, -300, 9.5)]
    assert ended(run) == ['Completed', 'Completed', 'Canceled']


@WAYS
def test_a_limit_parent_filled_in_parts_protects_all_of_it(market):
    """400 and 600 shares; the children live from the day after the last part on, for 1,000."""
    run = trade([10.0, THIN, 10.0, 10.0, (9.7, 9.4)], {1: bracket(exectype=LIMIT, price=10.0)}, market=market, volume_limit=0.1)
    assert run.fills == [(1, A, 400, 10.0), (2, A, 600, 10.0), (4, A, -1000, 9.5)]
    assert ended(run) == ['Completed', 'Completed', 'Canceled']


@WAYS
def test_a_limit_parent_that_runs_out_after_a_part_leaves_its_children(market):
    """400 of 1,000 shares, then it is dear and the order expires: the stop lives for the 400."""
    children = {'stopargs': {'valid': None}, 'limitargs': {'valid': None}}  # Backtrader gives them the parent's
    run = trade([10.0, THIN, 10.3, 10.3, 10.3, (9.7, 9.4)], {1: bracket(
        exectype=LIMIT, price=10.0, valid=pd.Timestamp('2024-01-04'), **children)}, market=market, volume_limit=0.1)
    assert run.statuses(run.orders[0]) == ['Accepted', 'Partial', 'Expired']
    assert run.fills == [(1, A, 400, 10.0), (5, A, -400, 9.5)]
    assert ended(run)[1:] == ['Completed', 'Canceled']


@WAYS
def test_a_parent_that_runs_out_with_nothing_takes_its_children_along(market):
    run = trade([10.0, 10.3, 10.3, 10.3, 9.4], {1: bracket(exectype=LIMIT, price=10.0, valid=pd.Timestamp('2024-01-04'))},
                market=market)
    assert run.fills == []
    assert ended(run) == ['Expired', 'Canceled', 'Canceled']


@WAYS
def test_a_parent_that_is_cancelled_takes_its_children_along(market):
    def cancel(strategy):
        strategy.cancel(strategy.p.result.orders[0])
        return []

    run = trade([10.0, 10.3, 10.3, 9.4], {1: bracket(exectype=LIMIT, price=10.0), 2: cancel}, market=market)
    assert run.fills == []
    assert ended(run) == ['Canceled'] * 3


@WAYS
@pytest.mark.parametrize('day', [bar(11.0), paused(), None, bar(10.0, volume=0.0)], ids=['limit', 'suspended', 'no row', 'empty'])
@TIMES
def test_a_market_bracket_that_is_refused_leaves_nothing(at_open, day, market):
    run = trade([10.0, day, 9.9, 9.4], {1 if at_open else 0: bracket()}, at_open=at_open, market=market)
    assert run.fills == []
    assert ended(run)[0] == 'Rejected'
    assert set(ended(run)[1:]) <= {'Rejected', 'Canceled'}
    assert not run.broker.pending


@WAYS
def test_a_stop_and_a_profit_on_one_day_sell_once(market):
    """The day reaches both 9.50 and 10.50: the stop comes first, the other of the pair is cancelled."""
    table = tiny_market({A: [10.0, 10.0, 10.0, 10.0], B: [10.0] * 4})
    wide = (table['code'] == A) & (table['date'] == '2024-01-04')
    table.loc[wide, ['high', 'low']] = 10.8, 9.2
    run = play(table, {1: bracket()}, market=market)
    assert run.fills == [(1, A, 1000, 10.0), (2, A, -1000, 9.5)]
    assert ended(run) == ['Completed', 'Completed', 'Canceled']


@WAYS
@pytest.mark.parametrize('ratio', [{'share_ratio': 2.0}, {}], ids=['share_ratio', 'preclose'])
def test_the_children_are_restated_over_an_ex_date(ratio, market):
    run = trade([10.0, 10.0, bar(5.0, preclose=5.0, **ratio), (4.9, 4.7), 4.7], {1: bracket()}, market=market)
    assert run.fills == [(1, A, 1000, 10.0), (3, A, -2000, 4.75)]
    assert run.shares[-1] == {}


@WAYS
def test_a_stop_of_more_than_is_left_sells_what_is_left(market):
    run = trade([10.0, 10.0, 10.0, (9.7, 9.4)], {1: bracket(), 2: sell(A, 700)}, market=market)
    assert run.fills == [(1, A, 1000, 10.0), (2, A, -700, 10.0), (3, A, -300, 9.5)]


@WAYS
def test_children_of_a_sold_position_sell_nothing(market):
    run = trade([10.0, 10.0, 10.0, (9.7, 9.4), 10.6], {1: bracket(), 2: close(A)}, market=market)
    assert run.fills == [(1, A, 1000, 10.0), (2, A, -1000, 10.0)]
    assert run.shares[-1] == {}


# -------------------------------------------------------------------------------- orders that run out, or never begin


@WAYS
@pytest.mark.parametrize('hole', [None, paused()], ids=['no row', 'suspended'])
def test_an_order_expires_though_the_stock_is_suspended(hole, market):
    """Valid until the third day; suspended on the third to fifth: told on the fourth, and dead when trading goes on."""
    order = buy(A, 1000, exectype=LIMIT, price=9.9, valid=pd.Timestamp('2024-01-04'))
    run = trade([10.0, 10.0, hole, hole, hole, bar(9.8, preclose=10.0)], {1: order}, market=market)
    assert run.fills == []
    assert [(note.day, note.status) for note in run.notes] == [(1, 'Accepted'), (3, 'Expired')]


@WAYS
def test_the_other_of_a_pair_dies_with_the_one_that_expires(market):
    def pair(strategy):
        first = buy(A, 100, exectype=LIMIT, price=9.0, valid=pd.Timestamp('2024-01-04'))(strategy)
        return [first, buy(B, 100, exectype=LIMIT, price=9.9, oco=first)(strategy)]

    run = trade([10.0, 10.0, 10.0, None, 10.0, 10.0], {1: pair}, market=market)
    assert [(note.day, note.code, note.status) for note in run.notes if note.status != 'Accepted'] == [
        (3, A, 'Expired'), (3, B, 'Canceled')]


@WAYS
@pytest.mark.parametrize('options', [{}, {'exectype': CLOSE}, {'exectype': LIMIT, 'price': 10.5},
                                     {'exectype': STOP, 'price': 9.5}], ids=['market', 'close', 'limit', 'stop'])
@TIMES
def test_an_order_for_a_stock_not_listed_yet(options, at_open, market):
    """Refused at once, as one for a suspended stock, and told on the day."""
    run = trade([None, None, None, 10.0, 10.0], {1 if at_open else 0: buy(A, 100, **options)}, at_open=at_open, market=market,
                analyzers=[Blotter])
    assert run.refusals == [(1, A, 'suspended')]
    assert run.fills == []
    assert [(refusal.code, refusal.reason) for refusal in run.strategy.analyzers.blotter.rejections] == [(A, 'suspended')]


@WAYS
def test_an_order_for_a_stock_whose_rows_have_ended(market):
    table = tiny_market({A: [10.0, 10.0, 10.0], B: [10.0] * 6})
    run = play(table, {1: buy(A, 100), 4: steps(buy(A, 100), close(A))}, market=market)
    assert run.refusals == [(4, A, 'suspended'), (4, A, 'suspended')]
    assert run.shares[-1] == {A: 100}  # sixty days have not passed


@WAYS
@pytest.mark.parametrize(('wait', 'day'), [(0, 3), (1, 4), (2, 5)])
def test_the_day_of_a_delisting(wait, day, market):
    """The last row is on the third day (2024-01-04); the position is cash at the start of the first day on which it is given up.

    The refusal bears the trading day before, after whose close it became cash.
    """
    table = tiny_market({A: [10.0, 10.0, 11.0], B: [10.0] * 7})
    run = play(table, {1: buy(A, 100)}, market=market, delist_wait=wait, analyzers=[Blotter])
    assert [len(shares) for shares in run.shares] == [0] + [1] * (day - 1) + [0] * (7 - day)
    days = [date(2024, 1, number) for number in (2, 3, 4, 5, 8, 9, 10)]
    blotter = run.strategy.analyzers.blotter
    assert blotter.rejections == [(days[day - 1], A, 'SELL', 'delisted')]
    assert [tuple(action) for action in blotter.corporate_actions] == [(days[day], A, 'delisted', 100, 0, 1_100.0)]
    assert run.cash[-1] == pytest.approx(100_000 - 1_000 - 5 + 1_100)
