"""When to rebalance: by hand over calendars with holidays, in every way of running."""

import datetime as dt
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.errors import DataError
from bt_microcap.rotation.timing import EveryDays, Monthly, RefreshByMarket, Timer, Weekly
from bt_microcap.rotation.values import yearly_volatility
from tests.support.markets import tiny_market
from tests.support.rotating import Index, index_of, rebalance_days

A = '600001.XSHG'
MODES = pytest.mark.parametrize(('market', 'cheat'), [(False, True), (True, True), (False, False), (True, False)],
                                ids=['feeds at the open', 'market at the open', 'feeds at the close', 'market at the close'])


def calendar(*days):
    """A market of one stock that trades on some days, each month-day of 2024."""
    return tiny_market({A: [10.0] * len(days)}, dates=[f'2024-{day}' for day in days])


def weekdays(start, end, *holidays):
    return [f'{day:%m-%d}' for day in pd.bdate_range(f'2024-{start}', f'2024-{end}') if f'{day:%m-%d}' not in holidays]


# ------------------------------------------------------------------------------------------ every so many days


@MODES
@pytest.mark.parametrize(('params', 'expected'), [
    ({'refresh_rate': 1}, ['01-03', '01-04', '01-05', '01-08', '01-09', '01-10']),
    ({'refresh_rate': 2}, ['01-03', '01-05', '01-09']),
    ({'refresh_rate': 5}, ['01-03', '01-10']),
    ({'refresh_rate': 6}, ['01-03']),
    ({'refresh_rate': 5, 'phase': 1}, ['01-04']),
    ({'refresh_rate': 2, 'phase': 1}, ['01-04', '01-08', '01-10']),
    ({'refresh_rate': 2, 'phase': 3}, ['01-08', '01-10']),  # phase is not taken modulo: the start is shifted
    ({'refresh_rate': 1, 'phase': 5}, ['01-10']),
    ({'refresh_rate': 1, 'phase': 6}, []),
])
def test_every_so_many_trading_days(market, cheat, params, expected):
    # day 0 is the second one
    assert rebalance_days(calendar(*weekdays('01-02', '01-10')), market=market, cheat=cheat, **params) == expected


# ------------------------------------------------------------------------------------------ once a week

# 2024: Friday 01-05, Tuesday 01-16 and Thursday 01-18 are holidays, and the whole week from 01-22
HOLIDAYS = ('01-05', '01-16', '01-18', *weekdays('01-22', '01-26'))
JANUARY = weekdays('01-02', '02-02', *HOLIDAYS)


@MODES
@pytest.mark.parametrize(('weekday', 'expected'), [
    (1, ['01-08', '01-15', '01-29']),  # the Monday of the closed week falls on the next Monday, which is one itself
    (2, ['01-09', '01-17', '01-29', '01-30']),  # 01-02 is the first day of all, and decides nothing
    (3, ['01-03', '01-10', '01-17', '01-29', '01-31']),
    (4, ['01-04', '01-11', '01-19', '01-29', '02-01']),
    (5, ['01-08', '01-12', '01-19', '01-29', '02-02']),  # Friday 01-05 is closed: on Monday
])
def test_once_a_week(market, cheat, weekday, expected):
    assert rebalance_days(calendar(*JANUARY), market=market, cheat=cheat, weekday=weekday) == expected


@pytest.mark.parametrize(('phase', 'expected'), [
    (0, ['01-09', '01-17', '01-29', '01-30']), (5, ['01-17', '01-29', '01-30']), (4, ['01-17', '01-29', '01-30']),
    (3, ['01-09', '01-17', '01-29', '01-30'])])
def test_once_a_week_from_a_later_day_on(phase, expected):
    # days 0, 1, 2, 3: 01-03, 01-04, 01-08, 01-09
    assert rebalance_days(calendar(*JANUARY), weekday=2, phase=phase) == expected


def test_two_closed_weeks_are_one_day():
    days = [*weekdays('01-02', '01-10'), *weekdays('01-29', '02-02')]
    for weekday, expected in ((2, ['01-09', '01-29', '01-30']), (4, ['01-04', '01-29', '02-01'])):
        assert rebalance_days(calendar(*days), weekday=weekday) == expected


# ------------------------------------------------------------------------------------------ once a month

MONTHS = [*weekdays('01-01', '01-31', '01-01'), '02-01', '02-02', '02-05', *weekdays('03-04', '03-29'),
          *weekdays('04-01', '04-05')]


@MODES
@pytest.mark.parametrize(('number', 'expected'), [
    (1, ['02-01', '03-04', '04-01']),  # 01-02 is the first day of all
    (2, ['01-03', '02-02', '03-05', '04-02']),
    (3, ['01-04', '02-05', '03-06', '04-03']),
    (4, ['01-05', '03-04', '03-07', '04-04']),  # February has three days: on the first of March
    (20, ['01-29', '03-04', '03-29']),
    (21, ['01-30', '03-04', '04-01']),  # March has twenty
])
def test_once_a_month(market, cheat, number, expected):
    assert rebalance_days(calendar(*MONTHS), market=market, cheat=cheat, month_day=number) == expected


def test_a_month_of_which_the_data_has_the_end_alone_proves_nothing():
    days = [*weekdays('01-24', '01-31'), *weekdays('02-01', '02-09')]
    assert rebalance_days(calendar(*days), month_day=7) == ['02-09']  # six days in January, but who knows


def test_data_that_begins_in_the_middle_of_a_month_is_counted_from_its_first_day():
    days = [*weekdays('01-15', '01-31'), *weekdays('02-01', '02-09')]
    assert rebalance_days(calendar(*days), month_day=3) == ['01-17', '02-05']


# ------------------------------------------------------------------------------------------ by the market


def wild(ratio, days=120):
    """Closes whose last 20 returns are so many times as wild as all 120: those before go up and down by 1 %.

    20 s^2 / 19 = ratio^2 (100 x 0.01^2 + 20 s^2) / 119 for returns of +s and -s.
    """
    late = 0.01 * math.sqrt(100 * ratio**2 / (20 * 119 / 19 - 20 * ratio**2))
    returns = [0.01 * (-1) ** day for day in range(days - 20)] + [late * (-1) ** day for day in range(20)]
    return 1000 * np.cumprod([1.0, *(1 + move for move in returns)])


@pytest.mark.parametrize(('ratio', 'least', 'most', 'expected'), [
    (0.3, 2, 20, 20), (0.5, 2, 20, 20), (0.501, 2, 20, 20), (0.53, 2, 20, 19),  # 19.46
    (1.0, 2, 20, 11), (1.499, 2, 20, 2), (1.5, 2, 20, 2), (2.5, 2, 20, 2),
    (1 + 0.5 / 18, 2, 20, 11), (1 + 0.51 / 18, 2, 20, 10),  # 10.5
    (1 - 0.5 / 18, 2, 20, 12), (1 - 0.49 / 18, 2, 20, 11),  # 11.5
    (0.5, 5, 5, 5), (1.0, 1, 2, 2), (1.01, 1, 2, 1), (0.99, 1, 2, 2), (1.0, 1, 4, 3),
])
def test_a_rate_by_volatility(ratio, least, most, expected):
    section = Index(wild(ratio))
    assert RefreshByMarket('volatility', least, most, 7, 'microcap').rate(section) == expected
    assert section.asked == [('microcap', 121)]


def trending(trend):
    """Sixty closes whose last lies so far from the mean of all: x = (1 + t) (5900 + x) / 60, after 59 of 100."""
    return [100.0] * 59 + [(1 + trend) * 5900 / (60 - (1 + trend))]


@pytest.mark.parametrize(('trend', 'least', 'most', 'expected'), [
    (-0.2, 2, 20, 2), (-0.1, 2, 20, 2), (-0.0999, 2, 20, 2), (0.0, 2, 20, 11), (0.0999, 2, 20, 20), (0.1, 2, 20, 20),
    (0.3, 2, 20, 20), (0.2 * 3.5 / 18 - 0.1, 2, 20, 6), (0.2 * 3.49 / 18 - 0.1, 2, 20, 5), (0.0, 1, 2, 2), (-0.001, 1, 2, 1),
])
def test_a_rate_by_trend(trend, least, most, expected):
    section = Index(trending(trend))
    assert RefreshByMarket('trend', least, most, 7).rate(section) == expected
    assert section.asked == [('market', 60)]


@pytest.mark.parametrize(('otherwise', 'least', 'most', 'expected'), [(7, 2, 20, 7), (1, 2, 20, 2), (30, 2, 20, 20)])
def test_a_rate_while_the_index_is_too_short(otherwise, least, most, expected):
    for by, enough in (('volatility', wild(1.0)), ('trend', trending(0.05))):
        timer = RefreshByMarket(by, least, most, otherwise)
        for closes in (enough[1:], enough[-1:], []):
            assert timer.rate(Index(closes)) == expected
    # all 120 returns are 0: no volatility to compare with
    assert RefreshByMarket('volatility', least, most, otherwise).rate(Index([100.0] * 121)) == expected


def test_the_next_day_follows_from_the_rate():
    timer, known = RefreshByMarket('trend', 2, 20, 7), SimpleNamespace(section=Index(trending(-0.2)))
    timer.start(known)
    due = []
    for day in range(30):
        if day == 4:
            known.section = Index(trending(0.0))  # 11 days, from the next rebalance on
        if timer.is_due(known, day):
            due.append(day)
    assert due == [0, 2, 4, 15, 26]
    assert known.section.asked == [('market', 60)] * 3  # on those days alone
    timer.start(known)
    assert timer.is_due(known, 0)


@pytest.mark.parametrize('cheat', [True, False])
def test_a_refresh_by_an_index_of_the_store(cheat):
    """It is the index up to the day before: 60 closes are there on day 59 of the run, the second day 0."""
    table = tiny_market({A: [10.0] * 90})
    closes = trending(-0.2) + [1.0] * 30
    days = [f'{day:%m-%d}' for day in sorted(set(table['date']))]
    found = rebalance_days(table, cheat=cheat, tables={'benchmarks': index_of(table, closes)}, refresh_by='trend',
                           market_index='000300', refresh_rate=19, min_refresh_rate=3, max_refresh_rate=20)
    # 0, 19, 38, 57 by the plain rate; at 76 the index is 60 closes long, far below its mean: 3 days
    assert found == [days[1 + number] for number in (0, 19, 38, 57, 76, 79, 82, 85, 88)]


def test_feeds_know_the_index_of_the_market_alone():
    table = tiny_market({A: [10.0] * 4})
    with pytest.raises(DataError, match="do not tell the benchmark '000300'"):
        rebalance_days(table, market=False, refresh_by='trend', market_index='000300')
    assert rebalance_days(table, market=False, refresh_by='trend', refresh_rate=2) == ['01-03', '01-05']


def test_a_yearly_volatility():
    # returns 0.1 and -0.1: a deviation of the root of 0.02
    assert yearly_volatility(np.array([100.0, 110.0, 99.0])) == pytest.approx(math.sqrt(0.02 * 252))
    assert math.isnan(yearly_volatility(np.array([math.nan, 110.0, 99.0])))


# ------------------------------------------------------------------------------------------ the same days in all modes


@pytest.fixture(scope='module')
def table():
    return demo_market(30, '2021-01-04', days=160, seed=5)


@pytest.mark.parametrize('params', [
    {'refresh_rate': 7, 'phase': 3}, {'weekday': 1}, {'weekday': 5, 'phase': 9}, {'month_day': 1}, {'month_day': 15},
    {'month_day': 22}, {'refresh_by': 'volatility'}, {'refresh_by': 'trend', 'min_refresh_rate': 3, 'phase': 2}])
def test_the_days_are_the_same_however_it_is_run(table, params):
    found = [rebalance_days(table, market=market, cheat=cheat, **params)
             for market, cheat in ((True, True), (True, False), (False, True))]
    assert found[0] == found[1] == found[2] and len(found[0]) > 5


# ------------------------------------------------------------------------------------------ bad ones


@pytest.mark.parametrize(('make', 'said'), [
    (lambda: Weekly(0), 'weekday is 0: expected 1 for Monday to 5 for Friday'),
    (lambda: Weekly(6), 'weekday is 6'),
    (lambda: Weekly('1'), "weekday is '1'"),
    (lambda: Monthly(0), 'month_day is 0: expected a whole number of 1 or more'),
    (lambda: Monthly(24), 'month_day is 24: expected a trading day of a month, at most 23'),
    (lambda: Monthly(1.0), 'month_day is 1.0'),
    (lambda: RefreshByMarket('mood', 2, 20, 5), "refresh_by is 'mood': expected volatility or trend"),
    (lambda: RefreshByMarket('trend', 0, 20, 5), 'min_refresh_rate is 0: expected a whole number of 1 or more'),
    (lambda: RefreshByMarket('trend', 6, 5, 5), 'min_refresh_rate is 6 and max_refresh_rate 5: expected min_refresh_rate <= max'),
    (lambda: RefreshByMarket('trend', 2, True, 5), 'max_refresh_rate is True'),
])
def test_timers_that_mean_nothing(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_a_timer_of_ones_own():
    with pytest.raises(NotImplementedError):
        Timer().is_due(None, 0)
    assert [day for day in range(8) if EveryDays(3).is_due(None, day)] == [0, 3, 6]
    known = SimpleNamespace(today=dt.date(2024, 1, 8), yesterday=dt.date(2024, 1, 5))
    assert [weekday for weekday in range(1, 6) if Weekly(weekday).is_due(known, 0)] == [1]
