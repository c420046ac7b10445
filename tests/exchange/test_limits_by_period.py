"""The price limits of every board on the first and on the last day of every period, and the calendar's counts."""

from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest

from bt_microcap.exchange import rules
from bt_microcap.exchange.calendar import Calendar

SH, SZ, CHINEXT, STAR, BSE = '600001.XSHG', '000001.XSHE', '300001.XSHE', '688001.XSHG', '835001.BJSE'
TEN, FIVE, TWENTY, THIRTY, FIRST = (9.0, 11.0), (9.5, 10.5), (8.0, 12.0), (7.0, 13.0), (6.4, 14.4)
FREE = (None, None)

# code, first and last day of the period -> limits over a preclose of 10.00: usual, of an ST stock, of the first listed
# day, of the fifth and of the sixth
PERIODS = [
    (SH, '1996-12-16', '1998-04-21', TEN, TEN, FREE, TEN, TEN),
    (SH, '1998-04-22', '2013-12-12', TEN, FIVE, FREE, TEN, TEN),
    (SH, '2013-12-13', '2023-04-09', TEN, FIVE, FIRST, TEN, TEN),
    (SH, '2023-04-10', '2026-07-05', TEN, FIVE, FREE, FREE, TEN),
    (SH, '2026-07-06', '2026-12-31', TEN, TEN, FREE, FREE, TEN),
    (SZ, '1996-12-16', '1998-04-21', TEN, TEN, FREE, TEN, TEN),
    (SZ, '1998-04-22', '2014-06-12', TEN, FIVE, FREE, TEN, TEN),
    (SZ, '2014-06-13', '2023-04-09', TEN, FIVE, FIRST, TEN, TEN),
    (SZ, '2023-04-10', '2026-07-05', TEN, FIVE, FREE, FREE, TEN),
    (SZ, '2026-07-06', '2026-12-31', TEN, TEN, FREE, FREE, TEN),
    (CHINEXT, '2009-10-30', '2014-06-12', TEN, FIVE, FREE, TEN, TEN),
    (CHINEXT, '2014-06-13', '2020-08-23', TEN, FIVE, FIRST, TEN, TEN),
    (CHINEXT, '2020-08-24', '2026-12-31', TWENTY, TWENTY, FREE, FREE, TWENTY),
    (STAR, '2019-07-22', '2026-12-31', TWENTY, TWENTY, FREE, FREE, TWENTY),
    (BSE, '2021-11-15', '2026-12-31', THIRTY, THIRTY, FREE, THIRTY, THIRTY),
    (CHINEXT, '1996-12-16', '2009-10-29', FREE, FREE, FREE, FREE, FREE),
    (STAR, '1996-12-16', '2019-07-21', FREE, FREE, FREE, FREE, FREE),
    (BSE, '1996-12-16', '2021-11-14', FREE, FREE, FREE, FREE, FREE),
]
# the stock, is it ST, number of the day since the listing
STOCKS = ((False, 0), (True, 0), (False, 1), (False, 5), (False, 6))


@pytest.mark.parametrize(('code', 'first', 'last', 'limits'), [(code, first, last, row) for code, first, last, *row in PERIODS])
def test_limits_of_a_period(code, first, last, limits):
    for on in (first, last):
        day = date.fromisoformat(on).toordinal()
        found = [rules.price_limits(code, day, 10.0, is_st, listed) for is_st, listed in STOCKS]
        assert [tuple(None if limit != limit else limit for limit in pair) for pair in found] == limits, on
        many = rules.price_limits_of_day(np.array([code] * 5), day, np.full(5, 10.0), np.array([is_st for is_st, _ in STOCKS]),
                                         np.array([listed for _, listed in STOCKS]))
        np.testing.assert_array_equal(np.array(many).T, found)


def test_every_board_has_its_periods_here():
    told = {(rules.board(code), rules.exchange(code), first) for code, first, _, usual, *_ in PERIODS if usual != FREE}
    assert told == {(*key, str(row.since)) for key, rows in rules.PRICE_LIMITS.items() for row in rows}


# ------------------------------------------------------------------------------------------ the calendar

DAYS = np.array([100, 101, 104, 105, 106, 107, 108, 111, 112])


def stock(first, last, delisted=0):
    days = DAYS[(first <= DAYS) & (last >= DAYS)]
    return SimpleNamespace(days=days, first_day=first, last_day=last, delisted_day=delisted)


def test_the_days_of_a_calendar_are_those_of_all_its_feeds():
    calendar = Calendar([stock(101, 106), SimpleNamespace(), stock(100, 100), stock(105, 112)])
    assert calendar.days.tolist() == DAYS.tolist()
    assert (calendar.first, calendar.last) == (100, 112)


def test_a_calendar_without_feeds_refuses_nothing():
    calendar = Calendar([SimpleNamespace()])
    assert (calendar.first, calendar.last, len(calendar.days)) == (0, 0, 0)
    assert calendar.is_trading_day(100)
    assert calendar.previous(100) == 100
    assert calendar.is_ours(SimpleNamespace())


def test_trading_days_and_the_day_before():
    calendar = Calendar([stock(100, 112)])
    assert [calendar.is_trading_day(day) for day in (99, 100, 102, 104, 112, 113)] == [False, True, False, True, True, False]
    assert [calendar.previous(day) for day in (101, 104, 103, 112, 113)] == [100, 101, 101, 111, 112]
    assert calendar.previous(100) == 100  # nothing before it


@pytest.mark.parametrize(('day', 'number'), [(101, 1), (104, 2), (105, 3), (112, 8)])
def test_the_number_of_a_listed_day(day, number):
    assert Calendar([stock(100, 112)]).listed_day(stock(101, 112), day) == number


def test_a_listed_day_is_not_known_from_the_first_day_on_nor_told_after_a_month():
    assert Calendar([stock(100, 112)]).listed_day(stock(100, 112), 100) == 0
    assert Calendar([stock(100, 112)]).listed_day(SimpleNamespace(), 101) == 0
    long = Calendar([SimpleNamespace(days=np.arange(100, 200))])
    assert [long.listed_day(SimpleNamespace(first_day=101), day) for day in (130, 131)] == [30, 0]


@pytest.mark.parametrize(('wait', 'ended'), [(0, 107), (1, 108), (2, 111), (4, None)])
def test_without_a_row_a_stock_ends_after_the_wait(wait, ended):
    calendar = Calendar([stock(100, 112)], wait)
    found = [day for day in DAYS.tolist() if calendar.has_ended(stock(100, 106), day)]
    assert found == [day for day in DAYS.tolist() if ended is not None and day >= ended]


def test_the_wait_is_sixty_days_where_nothing_else_is_said():
    calendar = Calendar([SimpleNamespace(days=np.arange(100, 300))])
    assert [calendar.has_ended(SimpleNamespace(last_day=120), day) for day in (180, 181)] == [False, True]


def test_where_the_delisting_day_is_known_it_counts():
    calendar = Calendar([stock(100, 112)], 60)
    assert [calendar.has_ended(stock(100, 104, delisted=106), day) for day in (105, 106, 107)] == [False, False, True]
    assert [calendar.has_ended(stock(100, 106, delisted=104), day) for day in (105, 106, 107)] == [False, False, True]


def test_the_last_day_of_the_data_ends_nothing():
    calendar = Calendar([stock(100, 112)], 0)
    assert not calendar.has_ended(stock(100, 112), 113)
    assert not calendar.has_ended(SimpleNamespace(), 112)
    assert not calendar.has_ended(stock(100, 112), 112)


def test_a_bar_of_the_market_begins_a_day_once():
    class Feed:
        def __init__(self, stamp):
            self.days, self.datetime = DAYS, [stamp]

        def __len__(self):
            return len(self.datetime)

    late = Feed(100.0)
    late.datetime = []  # no bar yet
    calendar = Calendar([Feed(104.0), Feed(101.0), late])
    assert calendar.is_market_bar(104.0, 101)
    assert not calendar.is_market_bar(104.0, 104)
    assert not calendar.is_market_bar(104.999, 101)  # of another feed
    assert not calendar.is_market_bar(105.0, 104)
    assert Calendar([]).is_market_bar(104.999, 101)
    assert not Calendar([]).is_market_bar(104.999, 104)


def test_what_belongs_to_the_market():
    calendar = Calendar([stock(100, 112)])
    feeds = SimpleNamespace(days=DAYS), SimpleNamespace(first_day=100), SimpleNamespace()
    assert [calendar.is_ours(data) for data in feeds] == [True, True, False]
