"""Orders that are made and copied quickly are to everybody what Backtrader's own are."""

import copy
import datetime as dt
import itertools
import math
import pickle

import backtrader as bt
import pytest

from bt_microcap.exchange import orders
from tests.support.markets import tiny_market
from tests.support.scripted import buy, close, play, sell, steps

A, B = '600001.XSHG', '000002.XSHE'
PRICE, CLOSE = 9.5, 9.9


class Line(list):
    def datetime(self, ago=0):
        return bt.num2date(self[ago])


class Data:
    """As much of a feed as an order looks at."""

    class p:  # noqa: N801 - as of a feed
        sessionend = dt.time(23, 59, 59, 999990)

    num2date = staticmethod(bt.num2date)
    date2num = staticmethod(bt.date2num)
    _name = A

    def __init__(self, stamp=738000.0):
        self.datetime, self.close, self.open = Line([stamp]), [CLOSE], [PRICE]

    def __len__(self):
        return 7


def facts(order):
    """Return all that can be asked of an order but its number."""
    asked = {name: getattr(order, name) for name in (
        *bt.Order.params._getkeys(), 'broker', 'comminfo', 'triggered', 'status', 'plimit', 'position', '_active', '_limitoffset',
        'ordtype', 'dteos')}
    answers = (order.isbuy(), order.issell(), order.alive(), order.active(), order.getstatusname(), order.getordername(),
               order.ordtypename(), order.brokerstatus(), dict(order.info), order.p._getkwargs(), len(order.created),
               len(order.executed), list(order.executed.exbits), order.executed.getpending())
    names = [name for name in vars(bt.order.OrderData()) if name != 'exbits']
    return asked, answers, *({name: getattr(part, name) for name in names} for part in (order.created, order.executed))


KINDS = [(orders.BuyOrder, bt.BuyOrder), (orders.SellOrder, bt.SellOrder)]


@pytest.mark.parametrize('kinds', KINDS, ids=['buy', 'sale'])
@pytest.mark.parametrize('exectype', [None, bt.Order.Market, bt.Order.Close])
@pytest.mark.parametrize('price', [None, 0, 8.25, math.inf])
@pytest.mark.parametrize(('tradeid', 'histnotify'), [(0, False), (3, True)])
def test_one_that_asks_for_no_price_is_as_backtraders(kinds, exectype, price, tradeid, histnotify):
    ours, theirs = kinds
    data = Data()
    made = orders.at_one_price(ours, None, data, 300, price, exectype, tradeid, histnotify)
    orders.refer_to(made, None)
    own = theirs(owner=None, data=data, size=300, price=price, exectype=exectype, tradeid=tradeid, histnotify=histnotify)
    assert facts(made) == facts(own)
    assert type(made) is ours
    assert type(made).__name__ == theirs.__name__
    assert isinstance(made, theirs)
    assert isinstance(made, bt.Order)
    assert str(made).splitlines()[1:] == str(own).splitlines()[1:]  # the first has the number
    assert own.ref == made.ref + 1


@pytest.mark.parametrize('kinds', KINDS, ids=['buy', 'sale'])
@pytest.mark.parametrize('given', [
    {'exectype': bt.Order.Limit, 'price': 9.0}, {'exectype': bt.Order.StopLimit, 'price': 9.0, 'pricelimit': 9.2},
    {'exectype': bt.Order.StopTrail, 'trailpercent': 0.02}, {'exectype': bt.Order.Stop, 'price': 9.0, 'valid': 738010.0},
    {'valid': dt.date(2021, 8, 3)}, {'transmit': False}], ids=str)
def test_any_other_one_too(kinds, given):
    ours, theirs = kinds
    data = Data()
    assert facts(ours(owner=None, data=data, size=300, **given)) == facts(theirs(owner=None, data=data, size=300, **given))


@pytest.mark.parametrize(('price', 'expected'), [(None, (9.5, 9.5, 9.5)), (0, (9.5, 9.5, 9.5)), (8.25, (9.5, 8.25, 8.25))])
def test_at_the_open_it_refers_to_the_open(price, expected):
    order = orders.at_one_price(orders.BuyOrder, None, Data(), 300, price, None)
    orders.refer_to(order, PRICE)
    assert (order.created.pclose, order.created.price, order.created.pricelimit) == expected


def fill(order, size, price=10.0, margin=None):
    order.execute(738001.0, size, price, 0, 0.0, 0.0, size, size * price, 5.0, margin, 0.0, size, price)


def test_a_copy_stays_as_it_was_told():
    """The order of a notification keeps its status and its fills; what is noted in ``info`` is one for all."""
    order = orders.at_one_price(orders.BuyOrder, None, Data(), 300, None, None)
    orders.refer_to(order, None)
    first = order.clone()
    fill(order, 100)
    second = order.clone()
    fill(order, 200, 11.0)
    third = order.clone()
    order.info['why'] = 'test'
    told = [(each.getstatusname(), each.executed.size, each.executed.remsize, each.executed.price,
             [bit.size for bit in each.executed.iterpending()], each.info.why) for each in (first, second, third)]
    assert told == [('Created', 0, 300, 0.0, [], 'test'), ('Partial', 100, 200, 10.0, [100], 'test'),
                    ('Completed', 300, 0, pytest.approx(32 / 3), [200], 'test')]
    assert {each.ref for each in (first, second, third)} == {order.ref}
    assert first == order
    assert type(first) is type(order)
    assert first.created is order.created


def test_a_fill_is_booked_as_backtraders():
    data = Data()
    ours = orders.at_one_price(orders.SellOrder, None, data, 300, None, None)
    orders.refer_to(ours, None)
    theirs = bt.SellOrder(owner=None, data=data, size=300)
    for order in (ours, theirs):
        fill(order, -100, 9.8, margin=1.0)
        fill(order, 0)  # nothing
        fill(order, -200, 9.7)
    assert [vars(bit) for bit in ours.executed.exbits] == [vars(bit) for bit in theirs.executed.exbits]
    names = [name for name in vars(theirs.executed) if name != 'exbits']
    assert [getattr(ours.executed, name) for name in names] == [getattr(theirs.executed, name) for name in names]
    assert ours.status == theirs.status == bt.Order.Completed


def test_orders_do_not_share_what_they_are():
    """What stands in the class is of nobody: an order that is changed leaves the next one as it would be."""
    data = Data()
    first, second = (orders.at_one_price(orders.BuyOrder, None, data, 100, None, None) for _ in range(2))
    for order in (first, second):
        orders.refer_to(order, None)
    before = facts(second)
    fill(first, 100)
    first.p.simulated, first.valid, first.position, first.created.trailamount = True, 1.0, 5, 2.0
    first.addinfo(note=1)
    assert facts(second) == before
    assert facts(orders.at_one_price(orders.BuyOrder, None, data, 100, None, None))[0] == before[0]


@pytest.mark.parametrize('travel', [lambda order: pickle.loads(pickle.dumps(order)), copy.copy, copy.deepcopy],
                         ids=['pickle', 'copy', 'deepcopy'])
def test_an_order_travels(travel):
    order = orders.at_one_price(orders.BuyOrder, None, Data(), 300, 8.0, None)
    orders.refer_to(order, PRICE)
    fill(order, 300)
    order.addinfo(why='test')
    there = travel(order)
    assert type(there) is type(order)
    assert there.ref == order.ref
    assert (there.getstatusname(), there.executed.price, there.created.price, there.info.why, there.p.price) == (
        'Completed', 10.0, 8.0, 'test', 8.0)


def test_the_broker_keeps_no_order_that_has_ended():
    """Backtrader keeps an entry for each order of a run, and so the order; most orders stand alone."""
    script = {day: steps(buy(A, 100), buy(B, 10**9), sell(B, 100)) if day % 2 else close(A) for day in range(1, 9)}
    run = play(tiny_market({A: [10.0] * 10, B: [10.0] * 10}), script)
    assert len(run.orders) == 16
    assert {note.status for note in run.notes} == {'Accepted', 'Completed', 'Rejected'}
    assert [dict(getattr(run.broker, book)) for book in ('_pchildren', '_ocos', '_ocol')] == [{}, {}, {}]


def waiting(strategy):
    return strategy.buy(data=strategy.feed(A), size=100, exectype=bt.Order.Limit, price=9.0)


def test_the_first_of_a_group_is_found_when_the_second_one_comes():
    """Nobody said that the first order would have another one beside it."""
    made = []

    def second(strategy):
        made.append(strategy.buy(data=strategy.feed(A), size=200, exectype=bt.Order.Limit, price=9.5, oco=made[0]))
        return made[1]

    def first(strategy):
        made.append(waiting(strategy))
        return made[0]

    run = play(tiny_market({A: [10.0, 10.0, 10.0, 9.5, 9.2]}), {1: first, 2: second})
    assert [(note.day, note.status) for note in run.notes] == [
        (1, 'Accepted'), (2, 'Accepted'), (3, 'Completed'), (3, 'Canceled')]
    assert run.shares[-1] == {A: 200}


def test_a_child_joins_a_bracket_that_was_sent():
    """It is taken alone: the others are not given once more."""
    bracket = []

    def give(strategy):
        bracket.extend(strategy.buy_bracket(data=strategy.feed(A), size=100, exectype=bt.Order.Limit, price=9.0, stopprice=8.0,
                                            limitprice=12.0))
        return []

    def join(strategy):
        bracket.append(strategy.sell(data=strategy.feed(A), size=100, exectype=bt.Order.Limit, price=11.0, parent=bracket[0]))
        return []

    run = play(tiny_market({A: [10.0, 10.0, 10.0, 9.0, 9.0, 9.9, 10.8, 11.5, 12.5]}), {1: give, 2: join})
    names = {order.ref: name for order, name in zip(bracket, ('parent', 'stop', 'limit', 'late'), strict=True)}
    told = [(day, names[ref], status) for (ref, status), day in zip(run._statuses, [note.day for note in run.notes], strict=True)]
    assert told == [(1, 'parent', 'Accepted'), (1, 'stop', 'Accepted'), (1, 'limit', 'Accepted'), (2, 'late', 'Accepted'),
                    (3, 'parent', 'Completed'), (7, 'late', 'Completed'), (7, 'stop', 'Canceled'), (7, 'limit', 'Canceled')]
    assert [(fill.day, fill.size) for fill in run.fills] == [(3, 100), (7, -100)]


def test_a_child_of_a_bracket_that_is_over_is_refused():
    """Nothing waits for ever: its parent is filled, and the others are gone."""
    bracket, late = [], []

    def give(strategy):
        bracket.extend(strategy.buy_bracket(data=strategy.feed(A), size=100, exectype=bt.Order.Market, stopprice=8.0,
                                            limitprice=12.0))
        return []

    def end(strategy):
        strategy.cancel(bracket[1])
        return []

    def join(strategy):
        late.append(strategy.sell(data=strategy.feed(A), size=100, exectype=bt.Order.Limit, price=11.0, parent=bracket[0]))
        return []

    run = play(tiny_market({A: [10.0] * 7}), {1: give, 3: end, 4: join})
    assert [order.getstatusname() for order in bracket] == ['Completed', 'Canceled', 'Canceled']
    assert late[0].getstatusname() == 'Rejected'
    assert list(run.broker.pending) == []


@pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
def test_a_piece_that_is_short_is_booked_out_without_a_profit(market):
    """Sold under one tradeid, held under another: what becomes cash of the first is a sale of fewer than none."""
    from tests.support.markets import bar

    days = [10.0, 10.0, bar(11.0, close=11.0), bar(11.0, close=11.0)]
    run = play(tiny_market({A: days, B: [10.0] * 8}), {
        1: steps(buy(A, 100, tradeid=2), buy(A, 1000)), 2: sell(A, 300, tradeid=2)}, market=market, delist_wait=1)
    booked = [(fill.size, fill.price) for fill in run.fills if fill.day > 4]
    assert sorted(booked) == [(-1000, 11.0), (200, 11.0)]
    assert run.shares[-1] == {}


@pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
def test_a_strategy_is_told_all_that_happens(market):
    """Each order is told when it is taken and when it ends, each trade when it opens and closes, also a filled one at once."""
    script = {1: steps(buy(A, 100), buy(B, 50)), 2: close(A), 3: sell(A, 100)}
    run = play(tiny_market({A: [10.0] * 5, B: [10.0] * 5}), script, market=market)
    assert [(note.day, note.side, note.status) for note in run.notes] == list(itertools.chain(
        [(1, 'BUY', 'Accepted'), (1, 'BUY', 'Completed'), (1, 'BUY', 'Accepted'), (1, 'BUY', 'Rejected')],
        [(2, 'SELL', 'Accepted'), (2, 'SELL', 'Completed'), (3, 'SELL', 'Accepted'), (3, 'SELL', 'Rejected')]))
    assert (run.trades.total.total, run.trades.total.closed) == (1, 1)
