"""Numbers per stock, worked out by hand: days that lack, ex-dates inside the window, late listings, both ways of feeding."""

import math

import numpy as np
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.rotation import values
from bt_microcap.rotation.values import column, named, today
from tests.support.markets import bar, frame, paused, tiny_market
from tests.support.rotating import section_of, seen_by

A, B, C, D = '600001.XSHG', '600002.XSHG', '600003.XSHG', '600004.XSHG'
NAN = math.nan
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])


def same(found, expected):
    assert found.keys() == expected.keys()
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-12, atol=1e-15)


# ------------------------------------------------------------------------------------------ columns


@WAYS
def test_columns_are_of_the_day_before(market):
    table = tiny_market({A: [bar(10.0, 10.5, cap=2.1e9, roe=5.0), bar(11.0, 11.5, cap=2.2e9, roe=6.0)],
                         B: [bar(20.0, 20.5, cap=2.3e9), None]})
    same(seen_by(values.price, table, market), {A: 10.5, B: 20.5})
    same(seen_by(values.market_cap, table, market), {A: 2.1e9, B: 2.3e9})
    same(seen_by(column('roe'), table, market), {A: 5.0, B: NAN})
    same(seen_by(today('open'), table, market), {A: 11.0, B: NAN})
    same(seen_by(today('paused'), table, market), {A: 0.0, B: NAN})
    same(seen_by(values.price, table, market, at_open=False), {A: 11.5, B: NAN})


@WAYS
def test_a_column_that_is_not_there(market):
    table = tiny_market({A: [10.0] * 3})
    for piece in (column('roe'), values.float_cap):
        with pytest.raises(DataError, match='roe|circ_market_cap'):
            seen_by(piece, table, market)


@pytest.mark.parametrize('name', ['close', 'high', 'low', 'volume', 'amount', 'market_cap', 'roe'])
def test_what_is_not_known_before_the_open(name):
    with pytest.raises(ValueError, match=f"today.. gives no '{name}': known before the open are open, .*column.'{name}'. is that "
                                         'of the day before'):
        today(name)


# ------------------------------------------------------------------------------------------ amount and turnover

TRADED = {A: [bar(10.0, volume=1e5, amount=1e6, circ_market_cap=1e9), bar(10.0, volume=2e5, amount=2e6, circ_market_cap=1e9),
              bar(10.0, volume=6e5, amount=6e6, circ_market_cap=2e9), bar(10.0, volume=9e5, amount=9e6, circ_market_cap=2.5e9)],
          B: [bar(10.0, volume=3e5, amount=3e6, circ_market_cap=1e9), None,
              bar(10.0, volume=1e5, amount=1e6, circ_market_cap=5e8), 10.0],
          C: [None, None, bar(10.0, volume=9e4, amount=9e5), 10.0],
          D: [bar(10.0, amount=NAN, volume=7e5), paused(amount=0.0), bar(5.0, 2.0, preclose=2.0, volume=4e5), 2.0]}


@WAYS
@pytest.mark.parametrize(('days', 'expected'), [
    (1, {A: 6e6, B: 1e6, C: 9e5, D: 8e5}),  # D: 400,000 x 2
    (2, {A: 4e6, B: 5e5, C: 4.5e5, D: 4e5}),
    (3, {A: 3e6, B: 4e6 / 3, C: 3e5, D: 2.6e6}),
    (4, {A: 2.25e6, B: 1e6, C: 2.25e5, D: 1.95e6}),  # the day before the data began counts as 0
])
def test_amount(market, days, expected):
    same(seen_by(values.amount(days), tiny_market(TRADED), market), expected)


@WAYS
def test_amount_without_the_column_is_volume_times_close(market):
    table = tiny_market({A: [bar(10.0, 11.0, volume=30.0), bar(11.0, 12.0, volume=50.0), 12.0]})
    same(seen_by(values.amount(), table, market), {A: 600.0})
    same(seen_by(values.amount(2), table, market), {A: 465.0})


@WAYS
def test_turnover_goes_by_the_float_cap_of_the_day_before(market):
    table = tiny_market(TRADED)
    same(seen_by(values.turnover(), table, market), {A: 0.003, B: 0.002, C: NAN, D: NAN})
    same(seen_by(values.turnover(2), table, market), {A: 0.002, B: 0.001, C: NAN, D: NAN})


@WAYS
def test_turnover_without_a_float_cap_is_of_the_market_cap(market):
    table = tiny_market({A: [bar(10.0, cap=2e9, amount=1e7), bar(10.0, cap=4e9, amount=3e7), 10.0]})
    same(seen_by(values.turnover(), table, market), {A: 0.0075})
    same(seen_by(values.turnover(2), table, market), {A: 0.005})


# ------------------------------------------------------------------------------------------ looking back

# 1 yuan is paid on the fourth day, at a close of 11: 10/11 of earlier prices. Of the last: two shares for one
PAST = {
    A: [10.0, 12.0, 11.0, bar(10.0, 10.5, preclose=10.0, cash_dividend=1.0), 10.5],
    B: [20.0, 22.0, None, 11.0, 11.0],
    C: [None, None, 30.0, 33.0, 33.0],
    D: [8.0, 10.0, paused(), bar(5.5, 6.0, preclose=5.0), 6.0],
}


@WAYS
@pytest.mark.parametrize(('piece', 'expected'), [
    # closes at the level of the last day: A 100/11, 120/11, 10, 10.5; B 20, 22, 22, 11; C -, -, 30, 33; D 4, 5, 5, 6
    (values.momentum(1), {A: 0.05, B: -0.5, C: 0.1, D: 0.2}),
    (values.momentum(2), {A: 10.5 * 11 / 120 - 1, B: -0.5, C: NAN, D: 0.2}),
    (values.momentum(3), {A: 0.155, B: -0.45, C: NAN, D: 0.5}),
    (values.momentum(4), {A: NAN, B: NAN, C: NAN, D: NAN}),
    (values.moving_average(1), {A: 10.5, B: 11.0, C: 33.0, D: 6.0}),
    (values.moving_average(2), {A: 10.25, B: 16.5, C: 31.5, D: 5.5}),
    (values.moving_average(3), {A: (120 / 11 + 20.5) / 3, B: 55 / 3, C: NAN, D: 16 / 3}),
    (values.moving_average(4), {A: (20 + 20.5) / 4, B: 18.75, C: NAN, D: 5.0}),
    (values.drawdown(1), {A: 0.0, B: 0.0, C: 0.0, D: 0.0}),
    (values.drawdown(2), {A: 0.0, B: 0.5, C: 0.0, D: 0.0}),
    (values.drawdown(3), {A: 1 - 10.5 * 11 / 120, B: 0.5, C: NAN, D: 0.0}),
    (values.drawdown(4), {A: 0.0375, B: 0.5, C: NAN, D: 0.0}),
    # the returns of A are 0.2, -1/12, 0.05; of B 0.1, 0, -0.5; of D 0.25, 0, 0.2
    (values.volatility(2), {A: abs(0.05 + 1 / 12) / math.sqrt(2) * math.sqrt(252), B: math.sqrt(0.125 * 252), C: NAN,
                            D: 0.2 / math.sqrt(2) * math.sqrt(252)}),
    (values.volatility(3), {A: math.sqrt(((0.2 - 1 / 18) ** 2 + (1 / 12 + 1 / 18) ** 2 + (0.05 - 1 / 18) ** 2) / 2 * 252),
                            B: math.sqrt((0.7 ** 2 + 0.4 ** 2 + 1.1 ** 2) / 9 / 2 * 252), C: NAN,
                            D: math.sqrt((0.1 ** 2 + 0.15 ** 2 + 0.05 ** 2) / 2 * 252)}),
], ids=repr)
def test_looking_back(market, piece, expected):
    same(seen_by(piece, tiny_market(PAST), market), expected)


@WAYS
def test_a_volatility_of_literals(market):
    # returns 0.1, -0.05, 0: squared deviations 0.07 / 6 in all, half of it times 252 is 1.47
    table = tiny_market({A: [10.0, 11.0, 10.45, 10.45, 99.0]})
    same(seen_by(values.volatility(3), table, market), {A: math.sqrt(1.47)})


@WAYS
def test_a_stock_without_a_row_the_day_before(market):
    table = tiny_market({A: [10.0, 12.0, 12.0, 12.0], B: [10.0, 12.0, None, 13.0]})
    same(seen_by(values.momentum(2), table, market), {A: 0.2, B: 0.2})
    same(seen_by(values.moving_average(2), table, market), {A: 12.0, B: 12.0})
    same(seen_by(values.price, table, market), {A: 12.0, B: NAN})


@WAYS
def test_a_window_that_begins_in_a_suspension_without_rows(market):
    """A day without a row keeps the close before it; not known is only what had no row yet."""
    table = tiny_market({A: [10.0, 10.0, 12.0, 12.0], B: [10.0, None, 12.0, 12.0]})
    same(seen_by(values.momentum(1), table, market), {A: 0.2, B: 0.2})


@WAYS
def test_a_dividend_on_the_first_day_after_a_suspension_without_rows(market):
    # 10 until the second day, then 1 yuan is paid: the level is 0.9 of before
    table = tiny_market({A: [10.0, 10.0, None, bar(9.0, 9.9, preclose=9.0, cash_dividend=1.0), 9.9], B: [5.0] * 5})
    same(seen_by(values.momentum(2), table, market), {A: 0.1, B: 0.0})
    same(seen_by(values.momentum(1), table, market), {A: 0.1, B: 0.0})  # the window begins after the last close
    same(seen_by(values.moving_average(4), table, market), {A: 9.225, B: 5.0})


@WAYS
def test_an_ex_date_of_today_changes_the_last_price_alone(market):
    table = tiny_market({A: [10.0, 11.0, bar(10.0, preclose=10.0)], B: [10.0, 11.0, bar(5.0, preclose=99.0, share_ratio=2.0)],
                         C: [10.0, 11.0, bar(10.0, preclose=99.0, cash_dividend=1.0)], D: [10.0, 11.0, None]})
    same(seen_by(values.last_price, table, market), {A: 10.0, B: 5.5, C: 10.0, D: 11.0})
    same(seen_by(values.momentum(1), table, market), dict.fromkeys((A, B, C, D), 0.1))
    same(seen_by(values.moving_average(2), table, market), dict.fromkeys((A, B, C, D), 10.5))


def test_listed_days_of_listings():
    table = tiny_market({A: [10.0] * 3, B: [10.0] * 3, C: [None, 10.0, 10.0]}, dates=['2024-01-02', '2024-01-03', '2024-01-04'])
    listings = frame(code=[A, B, C], listed=['2024-01-01', '2024-01-03', '2024-01-04'], delisted=[None] * 3)
    same(seen_by(values.listed_days, table, listings=listings), {A: 3.0, B: 1.0, C: NAN})  # listed today


@WAYS
def test_listed_days_of_first_rows(market):
    table = tiny_market({A: [10.0] * 4, B: [None, 10.0, 10.0, 10.0], C: [None, None, 10.0, 10.0]},
                        dates=['2024-01-02', '2024-01-03', '2024-01-08', '2024-01-09'])
    same(seen_by(values.listed_days, table, market), {A: NAN, B: 6.0, C: 1.0})


# ------------------------------------------------------------------------------------------ names and bad numbers


def test_values_by_name():
    section = section_of([A, B], market_cap=[1.0, 2.0], circ_market_cap=[3.0, 4.0], close=[5.0, 6.0], pb=[7.0, 8.0])
    found = {name: named(name)(section).tolist() for name in (
        'market_cap', '-market_cap', 'float_cap', '-float_cap', 'price', 'close', 'pb', '-pb')}
    assert found == {'market_cap': [1.0, 2.0], '-market_cap': [-1.0, -2.0], 'float_cap': [3.0, 4.0], '-float_cap': [-3.0, -4.0],
                     'price': [5.0, 6.0], 'close': [5.0, 6.0], 'pb': [7.0, 8.0], '-pb': [-7.0, -8.0]}


@pytest.mark.parametrize('name', ['', '-', '- '])
def test_no_name(name):
    with pytest.raises(ValueError, match='rank is .*: expected market_cap, float_cap, a column of the data, or -column'):
        named(name)


@pytest.mark.parametrize(('make', 'least'), [
    (values.amount, 1), (values.turnover, 1), (values.momentum, 1), (values.moving_average, 1), (values.drawdown, 1),
    (values.volatility, 2)])
def test_days_that_mean_nothing(make, least):
    make(least)
    for days in (least - 1, -1, 2.0, True, '5'):
        with pytest.raises(ValueError, match=f'days is .*: expected a whole number of {least} or more'):
            make(days)
