"""Screens, by hand: each with data on both sides of every bound."""

import math

import numpy as np
import pytest

from bt_microcap.feeds.errors import DataError
from bt_microcap.rotation import screens
from tests.support.markets import bar, frame, paused, tiny_market
from tests.support.rotating import kept_by, section_of

A, B, C, D = '600001.XSHG', '600002.XSHG', '600003.XSHG', '600004.XSHG'
SMALL, OTHER = '002001.XSHE', '003001.XSHE'
pytestmark = pytest.mark.filterwarnings('ignore:.*not as they should be')  # a market cap that lacks
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
NAN = math.nan



def market_of(days):
    """A market of two days, of codes -> the day before."""
    return tiny_market({code: [day, bar(50.0, preclose=50.0, cap=9e9, volume=1e7, amount=5e8)] for code, day in days.items()})


# ------------------------------------------------------------------------------------------ bounds of the day before


@WAYS
@pytest.mark.parametrize(('screen', 'expected'), [
    (screens.price_between(2.0), [A, B, C]),
    (screens.price_between(2.01), [B, C]),
    (screens.price_between(0.0, 9.99), [D, A]),
    (screens.price_between(0.0, 10.0), [D, A, B]),
    (screens.price_between(2.0, 10.01), [A, B, C]),
    (screens.price_between(10.0, 10.0), [B]),
    (screens.price_between(10.001, 10.009), []),
])
def test_prices(market, screen, expected):
    # closes 2.00, 10.00, 10.01 and 1.99; the opens say otherwise
    table = market_of({A: (10.5, 2.0), B: (2.5, 10.0), C: (2.5, 10.01), D: (10.5, 1.99)})
    assert sorted(kept_by(screen, table, market)) == sorted(expected)


@WAYS
@pytest.mark.parametrize(('low', 'high', 'expected'), [
    (2.0e9, 3.0e9, [A, B, C]), (2.0e9 + 1, 3.0e9, [B, C]), (2.0e9, 3.0e9 - 1, [A, B]), (3.0e9, 3.0e9, [C]), (3.1e9, 4e9, [])])
def test_caps(market, low, high, expected):
    table = market_of({A: bar(10.0, cap=2.0e9), B: bar(10.0, cap=2.5e9), C: bar(10.0, cap=3.0e9), D: bar(10.0, cap=NAN)})
    assert kept_by(screens.cap_between(low, high), table, market) == expected


@WAYS
@pytest.mark.parametrize(('screen', 'expected'), [
    (screens.amount_between(1e7), [A, B]),
    (screens.amount_between(1e7 + 0.01), [B]),
    (screens.amount_between(0.0, 1e7), [A, C, D]),
    (screens.amount_between(0.0, 1e7 - 0.01), [C, D]),
    (screens.amount_between(9_999_999.0, 1e7), [A, C]),
])
def test_amounts(market, screen, expected):
    table = market_of({A: bar(10.0, amount=1e7), B: bar(10.0, amount=10_000_000.01), C: bar(10.0, amount=9_999_999.0),
                       D: bar(10.0, amount=0.0, volume=0.0)})
    assert kept_by(screen, table, market) == expected


@WAYS
@pytest.mark.parametrize(('days', 'expected'), [(2, [A]), (3, [B])])
def test_the_mean_amount_of_some_days(market, days, expected):
    # A 10, 10, 20 million: 15 of two days, 13.3 of three; B 30, 0 (without a row), 15: 7.5 and 15; the bound is 15 million
    table = tiny_market({A: [bar(10.0, amount=1e7), bar(10.0, amount=1e7), bar(10.0, amount=2e7, volume=2e6), 10.0],
                         B: [bar(10.0, amount=3e7, volume=3e6), None, bar(10.0, amount=1.5e7, volume=1.5e6), 10.0]})
    assert kept_by(screens.amount_between(1.5e7, days=days), table, market) == expected


@WAYS
@pytest.mark.parametrize(('low', 'high', 'expected'), [
    (0.01, 0.02, [A, B]), (0.0101, 0.02, [B]), (0.01, 0.0199, [A]), (0.0, 1.0, [A, B, C]), (0.0, math.inf, [A, B, C])])
def test_turnovers(market, low, high, expected):
    # 10 and 20 million of 1 billion, 10 million of 2.5 billion; of D the float cap is not known
    table = market_of({A: bar(10.0, amount=1e7, circ_market_cap=1e9), B: bar(10.0, volume=2e6, amount=2e7, circ_market_cap=1e9),
                       C: bar(10.0, amount=1e7, circ_market_cap=2.5e9), D: bar(10.0, amount=1e7)})
    assert kept_by(screens.turnover_between(low, high), table, market) == expected


# ------------------------------------------------------------------------------------------ the listing


@pytest.mark.parametrize(('days', 'expected'), [
    (375, [A, D]), (374, [A, B, D]), (376, [D]), (0, [A, B, C, D]), (1, [A, B, D])])
def test_calendar_days_since_the_listing(days, expected):
    # the day before today is 2024-01-12: A was listed 375 days before it, B 374 days, C on it; of D it is not known
    table = tiny_market({code: [10.0] * 3 for code in (A, B, C, D)}, dates=['2024-01-11', '2024-01-12', '2024-01-15'])
    listings = frame(code=[A, B, C], listed=['2023-01-02', '2023-01-03', '2024-01-12'], delisted=[None] * 3)
    assert kept_by(screens.listed_for(days), table, listings=listings) == expected


@WAYS
@pytest.mark.parametrize(('days', 'expected'), [(5, [A, B]), (6, [A]), (0, [A, B, C]), (1, [A, B])])
def test_calendar_days_since_the_first_row(market, days, expected):
    # B came on the 3rd, five days before the 8th, C on the 8th; A was there on the data's first day
    table = tiny_market({A: [10.0] * 4, B: [None, 10.0, 10.0, 10.0], C: [None, None, 10.0, 10.0]},
                        dates=['2024-01-02', '2024-01-03', '2024-01-08', '2024-01-09'])
    assert kept_by(screens.listed_for(days), table, market) == expected


# ------------------------------------------------------------------------------------------ facts of today


@WAYS
@pytest.mark.parametrize(('screen', 'expected'), [
    (screens.is_st, [B]),
    (screens.is_suspended, [C, D]),
    (screens.in_delisting_period, [OTHER]),
    (screens.tradable, [A, SMALL]),
])
def test_flags_of_today(market, screen, expected):
    # what yesterday said is the opposite
    table = tiny_market({A: [bar(10.0, st=1, delisting_period=1), bar(10.0, delisting_period=0)],
                         B: [bar(10.0, delisting_period=0), bar(10.0, st=1, delisting_period=0)],
                         C: [bar(10.0, delisting_period=0), paused(delisting_period=0)],
                         D: [bar(10.0, delisting_period=0), None],
                         OTHER: [bar(10.0, delisting_period=0), bar(10.0, delisting_period=1)],
                         SMALL: [bar(10.0, delisting_period=0), bar(10.0, delisting_period=0)]})
    assert sorted(kept_by(screen, table, market)) == sorted(expected)


@WAYS
@pytest.mark.parametrize(('screen', 'expected'), [
    (screens.opens_at_high_limit, [A]), (screens.opens_at_low_limit, [C]),
    (~screens.opens_at_high_limit & ~screens.opens_at_low_limit, [B, D])])
def test_opens_at_the_limits(market, screen, expected):
    # 10 % of 10.00; one step away is not at the limit
    table = tiny_market({A: [10.0, 11.0], B: [10.0, 10.99], C: [10.0, 9.0], D: [10.0, 9.01]})
    assert kept_by(screen, table, market) == expected


@WAYS
def test_limits_of_the_data_count_before_those_of_the_rules(market):
    wide, narrow = {'high_limit': 12.0, 'low_limit': 8.0}, {'high_limit': 10.5, 'low_limit': 9.5}
    table = tiny_market({A: [10.0, bar(11.0, **wide)], B: [10.0, bar(10.5, **narrow)], C: [10.0, bar(9.0, **wide)],
                         D: [10.0, bar(9.5, **narrow)]})
    assert kept_by(screens.opens_at_high_limit, table, market) == [B]
    assert kept_by(screens.opens_at_low_limit, table, market) == [D]


@pytest.mark.parametrize(('opening', 'high', 'low'), [
    (11.0, True, False), (10.996, True, False), (10.994, False, False), (9.0, False, True), (9.004, False, True),
    (9.006, False, False), (NAN, False, False), (12.0, True, False), (8.0, False, True)])
def test_within_half_a_step_of_a_limit(opening, high, low):
    section = section_of([A], open=[opening], high_limit=[11.0], low_limit=[9.0])
    assert screens.opens_at_high_limit(section).tolist() == [high]
    assert screens.opens_at_low_limit(section).tolist() == [low]


@WAYS
def test_where_the_day_has_no_limit_nothing_opens_at_it(market):
    table = tiny_market({A: [10.0, bar(30.0, preclose=10.0)], B: [10.0, bar(3.0, preclose=10.0)], C: [10.0, None]})
    for screen in (screens.opens_at_high_limit, screens.opens_at_low_limit):
        assert kept_by(screen, table, market) == []


# ------------------------------------------------------------------------------------------ closes at the limit


@WAYS
@pytest.mark.parametrize(('days', 'expected'), [(1, [A]), (2, [A, B]), (3, [A, B, C]), (9, [A, B, C])])
def test_closes_at_the_limit_of_some_days_ago(market, days, expected):
    # A closed there one day ago, B two, C three; D one step below it, and then opened there only
    table = tiny_market({A: [10.0, 10.0, 10.0, (10.0, 11.0), 11.0], B: [10.0, 10.0, (10.0, 11.0), 11.0, 11.0],
                         C: [10.0, (10.0, 11.0), 11.0, 11.0, 11.0], D: [10.0, (10.0, 10.99), (12.09, 12.0), 12.0, (13.2, 13.2)]})
    assert kept_by(screens.closed_at_high_limit(days), table, market) == expected


@WAYS
def test_a_suspended_day_is_no_close_at_the_limit(market):
    table = tiny_market({A: [10.0, (10.0, 11.0), 11.0], B: [10.0, bar(11.0, preclose=10.0, paused=1, volume=0.0), 11.0],
                         C: [10.0, bar(10.5, high_limit=10.5, low_limit=9.5), 10.5], D: [10.0, None, 11.0]})
    assert kept_by(screens.closed_at_high_limit(), table, market) == [A, C]


@WAYS
def test_a_limit_after_an_ex_date_goes_by_the_reference_price(market):
    # 9.90 is 10 % above the reference price of 9.00, and below the close before
    table = tiny_market({A: [10.0, bar(9.0, 9.9, preclose=9.0), 9.9], B: [10.0, bar(9.0, 9.89, preclose=9.0), 9.89]})
    assert kept_by(screens.closed_at_high_limit(), table, market) == [A]


# ------------------------------------------------------------------------------------------ beside the market

DAYS = ['2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05']
FOUR = tiny_market({code: [10.0] * 4 for code in (A, B, SMALL, OTHER)}, dates=DAYS)
MEMBERS = frame(index=['000300'] * 3, date=['2024-01-01', '2024-01-03', '2024-01-03'], code=[A, A, B])


@pytest.mark.parametrize(('bar', 'expected'), [
    (1, [A]),  # the 3rd: the new list is of this day, and known on the next
    (2, [A, B]), (3, [A, B])])
def test_members_of_the_day_before(bar, expected):
    assert kept_by(screens.members('000300'), FOUR, bar=bar, constituents=MEMBERS) == expected


def test_members_of_an_index_that_nobody_told():
    with pytest.raises(DataError, match='has no members of 000905'):
        kept_by(screens.members('000905'), FOUR, constituents=MEMBERS)
    with pytest.raises(DataError, match='has no constituents'):
        kept_by(screens.members('000300'), FOUR)
    with pytest.raises(DataError, match='feeds of one stock each do not tell'):
        kept_by(screens.members('000300'), FOUR, market=False)


@WAYS
def test_the_small_board_goes_by_codes_where_the_data_has_no_members(market):
    # 002 of Shanghai is an index, 001 and 004 of Shenzhen were never of that board
    codes = (A, SMALL, OTHER, '001001.XSHE', '300001.XSHE')
    table = tiny_market({code: [10.0] * 3 for code in codes})
    assert kept_by(screens.members('399101'), table, market) == [SMALL, OTHER]


def test_the_small_board_by_its_members_where_the_data_has_them():
    told = frame(index=['399101'], date=['2024-01-03'], code=[OTHER])
    assert kept_by(screens.members('399101'), FOUR, constituents=told) == [OTHER]
    assert kept_by(screens.members('399101'), FOUR, bar=1, constituents=told) == [SMALL, OTHER]  # not known yet: by codes
    assert kept_by(screens.members('399101'), FOUR, constituents=MEMBERS) == [SMALL, OTHER]


INDUSTRIES = frame(code=[A, B, B, SMALL], date=['2024-01-01', '2024-01-01', '2024-01-03', '2024-01-01'],
                   industry=['banks', 'banks', 'steel', 'food'])


@pytest.mark.parametrize(('bar', 'names', 'expected'), [
    (1, ('banks',), [A, B]), (2, ('banks',), [A]), (2, ('steel',), [B]), (3, ('banks', 'food'), [SMALL, A]), (3, ('tea',), []),
    (3, ('',), [OTHER]), (3, (), [])])
def test_industries_of_the_day_before(bar, names, expected):
    assert kept_by(screens.in_industries(*names), FOUR, bar=bar, industries=INDUSTRIES) == expected


def test_industries_that_nobody_told():
    with pytest.raises(DataError, match='has no industries'):
        kept_by(screens.in_industries('banks'), FOUR)
    with pytest.raises(DataError, match='feeds of one stock each do not tell'):
        kept_by(screens.in_industries('banks'), FOUR, market=False)


# ------------------------------------------------------------------------------------------ codes


@pytest.mark.parametrize(('digits', 'expected'), [
    (('600',), [A, B]), (('600001',), [A]), (('688', '30'), ['300001.XSHE', '688001.XSHG']), (('3',), ['300001.XSHE']),
    (('00',), [SMALL]), (('01',), []), ((), []), (('6', '600'), [A, B, '688001.XSHG'])])
def test_first_digits(digits, expected):
    section = section_of([SMALL, '300001.XSHE', A, B, '688001.XSHG'])
    screen = screens.code_begins_with(*digits)
    assert section.codes[screen(section)].tolist() == expected
    assert section.codes[~screen(section)].tolist() == [code for code in section.codes.tolist() if code not in expected]


def test_one_of_is_read_anew():
    chosen = {A}
    section, screen = section_of([A, B, C]), screens.one_of(chosen)
    left = ~screen
    assert (screen(section).tolist(), left(section).tolist()) == ([True, False, False], [False, True, True])
    chosen.add(C)
    assert (screen(section).tolist(), left(section).tolist()) == ([True, False, True], [False, True, False])
    chosen.clear()
    assert (screen(section).tolist(), left(section).tolist()) == ([False] * 3, [True] * 3)


@pytest.mark.parametrize('codes', [(A, C), [C, A, A], {A, C}, dict.fromkeys((C, A)), [A, '000000.XSHE', C, '999999.XSHG'],
                                   ['600001', C.replace('XSHG', 'SH').replace('XSHE', 'SZ')]])
def test_codes_of_any_collection(codes):
    assert screens.one_of(codes)(section_of([A, B, C])).tolist() == [True, False, True]


@pytest.mark.parametrize('code', ['600001.XSHG2', '', 'a stock'])
def test_what_is_no_code_is_refused(code):
    with pytest.raises(ValueError, match='one_of holds .*expected a code such as 600000.XSHG'):
        screens.one_of([A, code])(section_of([A, B]))


@pytest.mark.parametrize(('make', 'said'), [
    (lambda: screens.listed_for(-1), 'days is -1: expected a whole number of 0 or more'),
    (lambda: screens.closed_at_high_limit(0), 'days is 0: expected a whole number of 1 or more'),
    (lambda: screens.amount_between(1.0, days=0), 'days is 0'),
    (lambda: screens.turnover_between(1.0, days=1.5), 'days is 1.5'),
    (lambda: screens.on_boards('sz'), "boards holds 'sz': expected names of main, chinext, star, bse"),
])
def test_screens_that_mean_nothing(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_boards():
    codes = [SMALL, '300001.XSHE', '510300.XSHG', A, '688001.XSHG', '830001.BJSE', '900901.XSHG']
    section = section_of(codes)
    found = {board: section.codes[screens.on_boards(board)(section)].tolist() for board in ('main', 'chinext', 'star', 'bse')}
    assert found == {'main': [SMALL, A], 'chinext': ['300001.XSHE'], 'star': ['688001.XSHG'], 'bse': ['830001.BJSE']}
    assert not np.any(screens.on_boards(())(section))
