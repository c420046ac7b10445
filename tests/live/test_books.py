"""An account added up by hand."""

from datetime import date

import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.live.books import EventRow, FillRow, Holding, add_up, differences

MONDAY, TUESDAY, WEDNESDAY = date(2024, 3, 4), date(2024, 3, 5), date(2024, 3, 6)
A, B, FUND = '600000.XSHG', '000001.XSHE', '511880.XSHG'


def buy(day, code, shares, price, fees=5.0):
    return FillRow(day, code, 'BUY', shares, price, fees, 0.0, 0.0)


def sell(day, code, shares, price, fees=5.0, tax=0.0):
    return FillRow(day, code, 'SELL', shares, price, fees, tax, 0.0)


def test_fills_and_what_happens_without_one():
    fills = [buy(MONDAY, A, 1000, 10.0), buy(MONDAY, A, 500, 10.6), buy(MONDAY, B, 200, 50.0),
             sell(WEDNESDAY, A, 800, 9.0, tax=3.6)]
    events = [EventRow(TUESDAY, A, 'dividend', 1500, 1500, 300.0, 1.0, 0.2),
              EventRow(TUESDAY, B, 'bonus', 200, 300, 0.0, 1.5, 0.0),
              EventRow(WEDNESDAY, '', 'cash', 0, 0, 1000.0), EventRow(WEDNESDAY, '', 'tax', 0, 0, -12.5)]
    books = add_up(30_000.0, [], events, fills, 'fills')
    # 30,000 - 10,005 - 5,305 - 10,005 + 300 + 1,000 - 12.5 + 7,200 - 8.6
    assert books.cash == pytest.approx(13_163.9)
    assert [(each.code, each.shares, each.sellable) for each in books.holdings()] == [(A, 700, 700), (B, 300, 300)]
    # (10,000 + 5,300) / 1,500 = 10.2, less 0.2; 50 x 200 / 300
    assert [each.cost for each in books.holdings()] == pytest.approx([10.0, 33.333333333])


def test_what_was_bought_today_cannot_be_sold_yet():
    books = add_up(1e6, [Holding(A, 300, 300, 9.0)], [], [buy(MONDAY, A, 200, 10.0), buy(MONDAY, FUND, 100, 100.0)], 'fills')
    assert [(each.code, each.shares, each.sellable) for each in books.holdings()] == [(A, 500, 300), (FUND, 100, 100)]


@pytest.mark.parametrize(('fills', 'message'), [
    ([sell(MONDAY, A, 400, 9.0)], 'fills: found 400 shares of 600000.XSHG sold on 2024-03-04, expected at most 300: so many the '
                                  'account holds before it; book earlier fills and bonus shares first'),
    ([sell(MONDAY, A, 400, 9.0), buy(MONDAY, A, 200, 9.0)],
     'fills: found 400 shares of 600000.XSHG sold on 2024-03-04, expected at most 300: so many the account holds before it, and '
     'none of the 200 that were bought on the day (T+1); book earlier fills and bonus shares first'),
    ([buy(MONDAY, B, 100, 200.0)],
     'fills: with the fills of 2024-03-04 the account has -10,005.00 yuan, expected 0 or more; book '
     'money that came in first, a row with the side CASH'),
])
def test_what_does_not_add_up(fills, message):
    with pytest.raises(DataError) as error:
        add_up(10_000.0, [Holding(A, 300, 300, 9.0)], [], fills, 'fills')
    assert str(error.value) == message


def test_sales_pay_for_purchases_of_the_same_day_in_any_order():
    fills = [buy(MONDAY, B, 100, 25.0), sell(MONDAY, A, 300, 9.0)]
    assert add_up(0.0, [Holding(A, 300, 300, 9.0)], [], fills, 'fills').cash == pytest.approx(190.0)


def test_a_fund_may_be_sold_on_the_day():
    fills = [buy(MONDAY, FUND, 100, 100.0), sell(MONDAY, FUND, 100, 100.01)]
    assert add_up(20_000.0, [], [], fills, 'fills').holdings() == []


def test_an_event_of_other_shares():
    with pytest.raises(DataError, match=r'events: 2024-03-04 600000\.XSHG bonus: found 200 shares before it, expected 300'):
        add_up(0.0, [Holding(A, 300, 300, 9.0)], [EventRow(MONDAY, A, 'bonus', 200, 400, 0.0)], [], 'events')


def test_what_a_broker_shows():
    books = add_up(100.0, [Holding(A, 300, 300, 9.0), Holding(B, 100, 100, 9.0)], [], [], 'fills')
    assert differences(books, 100.005, {A: 300, B: 100}) == []
    assert differences(books, 90.0, {A: 200, FUND: 100, B: 100}) == [
        'cash 100.00, the broker shows 90.00', '511880.XSHG 0 shares, the broker shows 100',
        '600000.XSHG 300 shares, the broker shows 200']
