"""Rows are booked as plain tuples and shown as what they are."""

import pickle
from datetime import date

import pytest

from bt_microcap.feeds.demo import demo_market
from bt_microcap.record.rows import FillDetail, Rejection, Rows, RowsOf, packed
from tests.support.running import run_market

DAY = date(2024, 3, 1)


def test_rows_come_as_named_tuples_always_in_one_list():
    rows = Rows(FillDetail)
    assert not rows
    rows.book((1.5, 'rebalance'))
    shown = rows.rows()
    assert shown == [FillDetail(1.5, 'rebalance')]
    assert shown[0].why == 'rebalance'
    rows.book((2.5, ''))
    assert len(rows) == 2
    assert rows.rows() is shown
    assert shown == [FillDetail(1.5, 'rebalance'), FillDetail(2.5, '')]
    there = pickle.loads(pickle.dumps(rows))
    there.book((3.5, ''))
    assert [row.slippage for row in there.rows()] == [1.5, 2.5, 3.5]
    assert len(rows) == 2


class Book:
    rows = RowsOf(Rejection)


def test_an_attribute_shows_them_as_a_list():
    book = Book()
    book.rows = []
    book._rows.book((DAY, '600000.XSHG', 'BUY', 'suspended'))
    assert book.rows == [Rejection(DAY, '600000.XSHG', 'BUY', 'suspended')]
    book.rows = [Rejection(DAY, '000001.XSHE', 'SELL', 'limit down')]
    assert [row.code for row in book.rows] == ['000001.XSHE']
    assert Book.rows.__class__ is RowsOf


@pytest.fixture(scope='module')
def blotter():
    return run_market(demo_market(30, days=60)).analyzers.blotter


def test_a_blotter_shows_lists_that_can_be_set(blotter):
    assert all(isinstance(getattr(blotter, name), list) for name in ('fills', 'details', 'orders', 'unfilled', 'rejections'))
    assert len(blotter.fills) == len(blotter.details) > 10
    assert blotter.get_analysis()['fills'] is blotter.fills
    before = blotter.fills
    blotter.fills = before[:2]
    assert blotter.fills == before[:2]
    blotter.fills = before


def test_rows_can_be_looked_at_during_a_run():
    import backtrader as bt

    from bt_microcap import Blotter, MarketFeed, MicroCapStrategy, setup

    seen = []

    class Looking(MicroCapStrategy):
        def next(self):
            super().next()
            blotter = self.analyzers.blotter
            seen.append((len(blotter.fills), blotter.fills[-1].code if blotter.fills else None))

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=demo_market(30, days=40)), name='market')
    cerebro.addstrategy(Looking)
    setup(cerebro)
    cerebro.addanalyzer(Blotter, _name='blotter')
    fills = cerebro.run()[0].analyzers.blotter.fills
    counts = [count for count, _ in seen]
    assert counts == sorted(counts)
    assert counts[-1] == len(fills) > 10
    assert all(code == fills[count - 1].code for count, code in seen if count)


def test_a_run_travels_as_it_is(blotter):
    from bt_microcap.record.run import gather

    run = gather(blotter.strategy, blotter)
    there = pickle.loads(pickle.dumps(run))
    assert run.holdings
    assert run.prices
    for name, value in vars(run).items():
        if name not in ('level', 'microcap', 'findings'):
            assert getattr(there, name) == value, name
    assert type(there.holdings[0]) is type(run.holdings[0])


def test_only_rows_of_one_kind_are_packed():
    mixed = [FillDetail(1.0, ''), Rejection(DAY, '', '', '')]
    assert packed(mixed) is mixed
    assert packed([]) == []
    assert packed([(1, 2)]) == [(1, 2)]
    assert packed(mixed[:1]).rows() == mixed[:1]


def test_an_order_with_several_fills_adds_up_as_sum_does():
    """From Python 3.12 on ``sum`` is more exact than adding one by one; the files are the same on all."""
    from bt_microcap.record.blotter import _OrderBooks

    books = _OrderBooks()
    assert books.sums() == (0,) * 7
    books.fills.append((100, 1000.0, 5.0, 0.0, 0.0, 0.0, -0.0))  # a sale at the open has no slippage
    assert str(books.sums()) == '(100, 1000.0, 5.0, 0.0, 0.0, 0.0, 0.0)'
    books.fills.clear()
    columns = [[100, 200, 300]] + [[0.1, 0.2, 0.3 + number] for number in range(6)]
    books.fills.append(tuple(column[0] for column in columns))
    assert books.sums() == (100, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
    books.fills.extend(zip(*(column[1:] for column in columns), strict=True))
    assert books.sums() == tuple(map(sum, columns))
