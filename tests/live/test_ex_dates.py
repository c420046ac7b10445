"""Ex-dates of what is held: published before the day, told by the data, and booked on the day, before it or weeks after."""

from datetime import date

import pandas as pd
import pytest

from bt_microcap import MarketStore, MicroCapStrategy
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.store.coming import facts_before
from bt_microcap.live.booking import book
from bt_microcap.live.books import EventRow, FillRow, Holding
from bt_microcap.live.day import check_events, ex_rights_of, orders_of
from bt_microcap.live.ex_dates import ExDate, match
from bt_microcap.live.facts import with_facts
from bt_microcap.live.statement import read_statement
from tests.support.hand_market import CHEAP, DAYS, MONDAY, TUESDAY, WEDNESDAY, A, market
from tests.support.living import CAGE, evening, new_account, run


def test_an_ex_date_that_is_published(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=0.0, slippage=0.0, **CHEAP, holdings=[Holding(A, 1000, 1000, 12.0)])
    store = market()
    coming = facts_before(store, MONDAY.toordinal())
    path = tmp_path / 'facts.csv'
    path.write_text('code,cash_dividend,share_ratio\n000001,0.4,1.5\n', encoding='utf-8')
    with_facts(coming, store, path)
    params = {'min_price': 100.0}  # nothing is bought
    made = orders_of(store, account, MONDAY, MicroCapStrategy, params, CAGE, coming, run)
    # (10 - 0.4) / 1.5 = 6.4; 1,500 shares; the dividend is not there yet
    (order,) = made.orders
    assert (order.shares, order.reference_price, order.low_limit, order.high_limit) == (1500, 6.4, 5.76, 7.04)
    assert made.cash == 0.0


class Seen(MicroCapStrategy):
    """Notes what it knows of its holdings every day."""

    params = (('refresh_rate', 1000), ('phase', 999), ('stop_loss', 0.5))
    seen = None

    def trade(self, day):
        held = self.known.holdings
        type(self).seen = dict(zip(held.codes.tolist(), zip(held.costs.tolist(), held.prices.tolist(), strict=True), strict=True))
        super().trade(day)


def test_stops_go_by_the_restated_cost(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=1000.0, holdings=[Holding(A, 1000, 1000, 12.0)])
    # the reference price alone is known: 9.5 after a close of 10
    store = market(DAYS[:2], preclose=(None, {(DAYS[1], A): 9.5, (DAYS[0], A): 10.0}))
    made = orders_of(store, account, MONDAY, Seen, {}, CAGE, facts_before(store, MONDAY.toordinal()), run)
    assert made.orders == []
    assert Seen.seen == {A: (pytest.approx(12.0 * 9.5 / 10.0, abs=0.01), 9.5)}  # but for the part of a share
    # on the next day nothing of it is booked yet: the cost stays restated, and the list reminds
    made = evening(store, account, TUESDAY, Seen)
    assert made.unbooked == [(A, MONDAY)]
    assert Seen.seen[A][0] == pytest.approx(11.4, abs=0.01)
    # the dividend comes a day late: it is cash, and no second fall of the cost
    store = market(DAYS[:3], preclose=(None, {(DAYS[1], A): 9.5, (DAYS[0], A): 10.0, (DAYS[2], A): 10.0}))
    account.events = [EventRow(TUESDAY, A, 'dividend', 1000, 1000, 500.0, 1.0, 0.5)]
    made = evening(store, account, WEDNESDAY, Seen)
    assert made.cash == 1500.0
    assert Seen.seen[A][0] == pytest.approx(11.5)  # 12 less what was paid


def test_new_shares_that_nobody_booked(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=1000.0, holdings=[Holding(A, 1000, 1000, 12.0)])
    told = {'cash_dividend': (0.0, {(DAYS[1], A): 0.2}), 'share_ratio': (1.0, {(DAYS[1], A): 1.3})}
    store = market(DAYS[:2], **told)
    message = r'000001\.XSHE went ex-rights on 2024-03-04, .*, of which the account has no row; book .* --ex-rights'
    with pytest.raises(DataError, match=message):
        evening(store, account, TUESDAY)
    # by hand: what the data says; profile realistic: the tax is withheld at the sale
    assert ex_rights_of(store, account) == [EventRow(MONDAY, A, 'dividend', 1000, 1300, 200.0, 1.3, 0.2)]
    account.events = ex_rights_of(store, account)
    assert evening(store, account, TUESDAY).cash == 1200.0
    assert ex_rights_of(store, account) == []


def test_a_reference_price_does_not_say_what_came(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=1000.0, holdings=[Holding(A, 1000, 1000, 12.0)])
    store = market(DAYS[:2], preclose=(None, {(DAYS[1], A): 9.8, (DAYS[0], A): 10.0}))
    with pytest.raises(DataError, match='the data has only the reference price: it does not say what came in as shares'):
        ex_rights_of(store, account)




# -- what is booked, and what is not ------------------------------------------------------------

BOTH = {'cash_dividend': (0.0, {(DAYS[1], A): 0.5}), 'share_ratio': (1.0, {(DAYS[1], A): 2.0})}
FALLEN = {(day, A): 4.75 for day in DAYS[1:]}  # (10 - 0.5) / 2


def split_market(days):
    """Return the market in which A pays 0.5 yuan and gives a share for each on Monday."""
    closes = {A: 10.0}
    store = market(days, closes=closes, **BOTH)
    table = store.table()
    late = table['date'] >= DAYS[1]
    for name in ('open', 'high', 'low', 'close', 'preclose'):
        table.loc[late, name] = 4.75
    return MarketStore.from_table(table, checked=True)


def holding(folder, *events):
    account = new_account(folder, MONDAY, cash=0.0, holdings=[Holding(A, 1000, 1000, 10.0)])
    account.events = list(events)
    return account


DIVIDEND = EventRow(MONDAY, A, 'dividend', 1000, 1000, 500.0, 1.0, 0.5)
BONUS = EventRow(MONDAY, A, 'bonus', 1000, 2000, 0.0, 2.0, 0.0)


def test_a_dividend_alone_where_shares_came_too(tmp_path):
    with pytest.raises(DataError, match='brought new shares, of which the account has no row'):
        evening(split_market(DAYS[:2]), holding(tmp_path, DIVIDEND), TUESDAY, Seen)


def test_both_on_the_day(tmp_path):
    made = evening(split_market(DAYS[:2]), holding(tmp_path, DIVIDEND, BONUS), TUESDAY, Seen)
    assert (made.cash, made.unbooked, made.orders) == (500.0, [], [])
    assert Seen.seen == {A: (pytest.approx(4.75), 4.75)}


@pytest.mark.parametrize(('dividend', 'bonus'), [(TUESDAY, MONDAY), (MONDAY, TUESDAY), (TUESDAY, TUESDAY)])
def test_one_of_them_a_day_late(dividend, bonus, tmp_path):
    events = [DIVIDEND._replace(date=dividend), BONUS._replace(date=bonus)]
    if bonus < dividend:
        events[0] = events[0]._replace(shares_before=2000, shares_after=2000, dividend=0.25)
    events.sort(key=lambda event: event.date)
    made = evening(split_market(DAYS[:3]), holding(tmp_path, *events), WEDNESDAY, Seen)
    assert (made.cash, made.unbooked, made.orders) == (500.0, [], [])
    assert Seen.seen == {A: (pytest.approx(4.75), 4.75)}


def test_a_bonus_booked_before_its_day(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=0.0, holdings=[Holding(A, 1000, 1000, 10.0)])
    days = ['2024-02-29', *DAYS]
    table = market(days, closes={A: 10.0}, cash_dividend=(0.0, {}), share_ratio=(1.0, {(DAYS[2], A): 2.0})).table()
    late = table['date'] >= DAYS[2]
    for name in ('open', 'high', 'low', 'close', 'preclose'):
        table.loc[late, name] = 5.0
    account.events = [BONUS]  # the ex-date is on Tuesday
    store = MarketStore.from_table(table[table['date'] <= DAYS[2]], checked=True)
    made = evening(store, account, WEDNESDAY, Seen)
    assert (made.unbooked, made.orders) == ([], [])
    assert Seen.seen == {A: (pytest.approx(5.0), 5.0)}


def test_two_dividends_of_which_the_first_came_late(tmp_path):
    told = {'cash_dividend': (0.0, {(DAYS[1], A): 0.5, (DAYS[3], A): 0.5}), 'share_ratio': (1.0, {})}
    table = market([*DAYS, '2024-03-07'], closes={A: 10.0}, **told).table()
    for day, price in ((DAYS[1], 9.5), (DAYS[3], 9.0)):
        late = table['date'] >= day
        for name in ('open', 'high', 'low', 'close', 'preclose'):
            table.loc[late, name] = price
    events = DIVIDEND._replace(date=TUESDAY), DIVIDEND._replace(date=WEDNESDAY)
    made = evening(MarketStore.from_table(table, checked=True), holding(tmp_path, *events), date(2024, 3, 7), Seen)
    assert made.unbooked == []
    assert Seen.seen == {A: (pytest.approx(9.0), 9.0)}


class Braked(Seen):
    """Sells all when the account falls."""

    params = (('drawdown_brake', 0.1), ('take_profit', 0.3), ('stop_loss', 0.0))


@pytest.mark.parametrize('when', [DAYS[0], DAYS[2]], ids=['early', 'late'])
def test_neither_cost_nor_value_is_another_one_meanwhile(when, tmp_path):
    """A dividend and a bonus dated before or after their ex-date make no false stop, take profit or brake."""
    account = holding(tmp_path)
    account.begun = date(2024, 2, 29)
    table = split_market(DAYS).table()
    first = table[table['date'] == DAYS[0]]
    days = [first.assign(date=day) for day in pd.to_datetime(['2024-02-28', '2024-02-29'])]
    store = MarketStore.from_table(pd.concat([*days, table], ignore_index=True), checked=True)
    on = date.fromisoformat(when)
    account.events = [DIVIDEND._replace(date=on), BONUS._replace(date=on)]
    for day in DAYS[1:]:
        if day > when:
            made = evening(store, account, date.fromisoformat(day), Braked)
            assert (made.orders, made.blocked) == ([], [])
    assert Braked.seen == {A: (pytest.approx(4.75), 4.75)}
    assert made.cash == 500.0


def test_an_early_bonus_is_not_counted_again_on_its_day(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=0.0, holdings=[Holding(A, 1000, 1000, 10.0)])
    account.events = [BONUS]
    store = market(DAYS[:2], closes={A: 10.0})
    coming = facts_before(store, TUESDAY.toordinal())
    path = tmp_path / 'facts.csv'
    path.write_text('code,share_ratio\n000001,2\n', encoding='utf-8')
    with_facts(coming, store, path)
    made = orders_of(store, account, TUESDAY, MicroCapStrategy, {'min_price': 100.0, 'refresh_rate': 1}, CAGE, coming, run)
    assert [(order.shares, order.reference_price) for order in made.orders] == [(2000, 5.0)]


def test_all_sold_on_the_ex_date_and_new_shares_a_day_later(tmp_path):
    account = holding(tmp_path, DIVIDEND)
    account.fills = [FillRow(MONDAY, A, 'SELL', 1000, 4.75, 5.0, 0.0, 0.0)]
    (bonus,) = read_rows_of(account, tmp_path, '20240305,600000,红股入账,1000,0\n'.replace('600000', '000001'))
    assert (bonus.shares_before, bonus.shares_after) == (0, 1000)
    made = evening(split_market(DAYS[:3]), account, WEDNESDAY, Seen)
    assert made.holdings == 1
    assert Seen.seen == {A: (pytest.approx(4.75), 4.75)}


def read_rows_of(account, folder, row):
    path = folder / 'events.csv'
    path.write_text('发生日期,证券代码,业务名称,成交数量,发生金额\n' + row, encoding='utf-8')
    before = len(account.events)
    book(account, read_statement(path, account), str(path))
    return account.events[before:]


@pytest.mark.parametrize(('event', 'message'), [
    (DIVIDEND._replace(date=TUESDAY), r'has one ex-date near it, and what came of it is booked, on 2024-03-04 as dividend'),
    (BONUS._replace(date=TUESDAY, shares_before=2000, shares_after=3000), r'has one ex-date near it, .* on 2024-03-04 as bonus'),
])
def test_what_came_of_one_ex_date_twice(event, message, tmp_path):
    account = holding(tmp_path, DIVIDEND, BONUS, event)
    with pytest.raises(DataError, match=message):
        check_events(split_market(DAYS), account, 2, 'the data')


def test_more_new_shares_than_can_be(tmp_path):
    account = holding(tmp_path, DIVIDEND, BONUS._replace(shares_after=3000))
    with pytest.raises(DataError, match=r'2,000 new shares on 1,000: by the data a share became at most 2\.000'):
        check_events(split_market(DAYS), account, 0, 'the data')
    check_events(split_market(DAYS), holding(tmp_path, DIVIDEND, BONUS), 0, 'the data')


@pytest.mark.parametrize(('booked', 'lacking'), [
    ((), [('dividend', 1000, 2000, 500.0)]), ((DIVIDEND,), [('bonus', 1000, 2000, 0.0)]),
    ((BONUS,), [('dividend', 2000, 2000, 500.0)]), ((BONUS._replace(date=TUESDAY),), [('dividend', 1000, 1000, 500.0)]),
    ((DIVIDEND, BONUS), [])])
def test_what_is_missing_is_booked_by_the_data(booked, lacking, tmp_path):
    account = holding(tmp_path, *booked)
    found = ex_rights_of(split_market(DAYS[:3]), account)
    assert [(event.action, event.shares_before, event.shares_after, event.cash) for event in found] == lacking
    account.events += found
    books = account.books()
    assert (books.cash, books.positions[A].shares) == (500.0, 2000)
    assert evening(split_market(DAYS[:3]), account, WEDNESDAY, Seen).cash == 500.0
    assert Seen.seen == {A: (pytest.approx(4.75), 4.75)}


def dividend(day, cash=10.0):
    return EventRow(date(2024, 1, day), A, 'dividend', 100, 100, cash, 1.0, cash / 100)


def matched_days(events, ex_dates, held=lambda code, day: 100):
    found = match(events, {A: ex_dates}, held)
    return {number: date.fromordinal(day).day for number, day in found.days.items()}, found.doubled


def january(day, ratio=1.0, paid=0.1, known=True):
    return ExDate(date(2024, 1, day).toordinal(), ratio, paid, known)


def test_of_several_ex_dates_the_one_that_it_came_of():
    both = [january(5), january(20)]
    assert matched_days([dividend(22)], both) == ({0: 20}, {})  # the nearest before it
    assert matched_days([dividend(18)], both) == ({0: 5}, {})
    assert matched_days([dividend(3)], both) == ({0: 5}, {})  # or a few days after it
    assert matched_days([dividend(22), dividend(21), dividend(25)], both) == ({1: 20, 0: 5}, {2: 1})
    assert matched_days([dividend(22, 30.0)], [january(5, paid=0.3), january(20)]) == ({0: 5}, {})  # by its size
    assert matched_days([dividend(22)], [january(5), january(20, ratio=1.5, paid=0.0)]) == ({0: 5}, {})  # that one paid nothing
    assert matched_days([dividend(22)], both, lambda code, day: 100 * (day < both[1].day)) == ({0: 5}, {})  # not held any more
    assert matched_days([dividend(22)], [january(20, ratio=1.05, paid=0.5, known=False)]) == ({0: 20}, {})
    assert matched_days([dividend(22)], []) == ({}, {})


def test_an_ex_date_before_the_account_began(tmp_path):
    """What comes of it later is booked on its own day."""
    account = new_account(tmp_path, TUESDAY, cash=0.0, holdings=[Holding(A, 1000, 1000, 4.75)])
    account.events = [BONUS._replace(date=TUESDAY),
                      DIVIDEND._replace(date=TUESDAY, shares_before=2000, shares_after=2000)]
    made = evening(split_market(DAYS[:3]), account, WEDNESDAY, Seen)
    assert (made.cash, made.holdings) == (500.0, 1)
    # of the cost that was given for half of the shares
    assert Seen.seen == {A: (pytest.approx((4.75 * 1000 - 500) / 2000), 4.75)}
    sale = evening(split_market(DAYS[:3]), account, WEDNESDAY, params={'min_price': 100.0, 'refresh_rate': 1})
    assert [order.shares for order in sale.orders] == [2000]


def test_published_shares_beside_a_booked_dividend(tmp_path):
    account = holding(tmp_path, DIVIDEND)
    store = split_market(DAYS[:2])
    made = evening(store, account, MONDAY, Seen)  # the list of the ex-date itself
    assert (made.cash, made.ex_dates) == (500.0, [(A, False)])
    assert Seen.seen == {A: (pytest.approx(4.75), 4.75)}
    coming = facts_before(store, MONDAY.toordinal())
    sale = orders_of(store, account, MONDAY, MicroCapStrategy, {'min_price': 100.0}, CAGE, coming, run)
    assert [order.shares for order in sale.orders] == [2000]
    account.events = [DIVIDEND, BONUS]
    assert evening(store, account, MONDAY, Seen).ex_dates == []


def test_new_shares_booked_before_their_ex_date_wait_for_it(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=0.0, holdings=[Holding(A, 1000, 1000, 10.0)])
    account.events = [BONUS]
    store = market(DAYS[:2], closes={A: 10.0})  # its ex-date is not known yet
    made = orders_of(store, account, TUESDAY, MicroCapStrategy, {'min_price': 100.0, 'refresh_rate': 1}, CAGE,
                     facts_before(store, TUESDAY.toordinal()), run)
    assert [order.shares for order in made.orders] == [1000]
    account.events = [BONUS._replace(date=TUESDAY)]  # of the list's day itself
    made = orders_of(store, account, TUESDAY, MicroCapStrategy, {'min_price': 100.0, 'refresh_rate': 1}, CAGE,
                     facts_before(store, TUESDAY.toordinal()), run)
    assert [order.shares for order in made.orders] == [2000]


def test_small_bonus_that_is_booked_and_in_the_facts(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=0.0, holdings=[Holding(A, 1000, 1000, 10.0)])
    for on in (MONDAY, TUESDAY):
        account.events = [BONUS._replace(date=on, shares_after=1050, ratio=1.05)]
        store = market(DAYS[:2], closes={A: 10.0})
        coming = facts_before(store, TUESDAY.toordinal())
        path = tmp_path / 'facts.csv'
        path.write_text('code,share_ratio\n000001,1.05\n', encoding='utf-8')
        with_facts(coming, store, path)
        made = orders_of(store, account, TUESDAY, MicroCapStrategy, {'min_price': 100.0, 'refresh_rate': 1}, CAGE, coming, run)
        assert [order.shares for order in made.orders] == [1050]


def test_what_the_data_cannot_know_yet_is_no_double(tmp_path):
    account = holding(tmp_path, DIVIDEND, BONUS, EventRow(date(2024, 3, 8), A, 'dividend', 2000, 2000, 600.0, 1.0, 0.3))
    check_events(split_market(DAYS), account, 2, 'the data')  # it ends on 2024-03-06
    account.events[2] = account.events[2]._replace(cash=500.0)  # as the first
    with pytest.raises(DataError, match='has one ex-date near it'):
        check_events(split_market(DAYS), account, 2, 'the data')


# -- facts of a file ------------------------------------------------------------


def facts_of(tmp_path, text, store=None):
    store = store or market()
    coming = facts_before(store, MONDAY.toordinal())
    path = tmp_path / 'facts.csv'
    path.write_text(text, encoding='utf-8')
    told = with_facts(coming, store, path)
    return coming, store.stock_number(A), told


def test_an_ex_date_is_taken_off_once(tmp_path):
    two_rows = 'code,cash_dividend,share_ratio\n000001,0.5,\n000001,,2\n'
    coming, stock, _ = facts_of(tmp_path, two_rows)
    assert coming.reference[stock] == 4.75
    known = market(DAYS[:2], preclose=(None, {(DAYS[1], A): 4.76, (DAYS[0], A): 10.0}))
    coming, stock, _ = facts_of(tmp_path, two_rows, known)
    assert coming.reference[stock] == 4.76  # the exchange's own goes before
    coming, stock, _ = facts_of(tmp_path, 'code,preclose,cash_dividend\n000001,9.49,0.5\n')
    assert coming.reference[stock] == 9.49


def test_a_column_without_a_value_tells_nothing(tmp_path):
    coming, stock, told = facts_of(tmp_path, 'code,preclose,cash_dividend,share_ratio,送转比例\n000001,,0.5,2,1\n')
    assert coming.reference[stock] == 4.75
    assert told.unused == ('送转比例',)


def test_limits_of_a_file(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=90_000.0)
    store = market()
    coming, _, told = facts_of(tmp_path, 'code,high_limit,low_limit\n000001,10.1,9.9\n600999,5,4\n', store)
    assert (told.stocks, told.listed, told.unknown) == (1, 4, ('600999.XSHG',))
    made = orders_of(store, account, MONDAY, MicroCapStrategy, {}, CAGE, coming, run)
    assert (made.orders[0].low_limit, made.orders[0].high_limit, made.orders[0].limit_price) == (9.9, 10.1, 10.1)


@pytest.mark.parametrize(('text', 'message'), [
    ('code,share_ratio\n000001,0.3\n', r'column share_ratio: found 0\.3, expected shares after per share before: 1\.3 for'),
    ('code,share_ratio\n000001,13\n', r'column share_ratio: found 13, expected'),
    ('code,preclose\n000001,-1\n', r'column preclose: found -1, expected a number above 0'),
    ('code,paused\n000001,maybe\n', r"column paused: found 'maybe', expected 1 or 0"),
    ('code,cash_dividend\n000001,6\n', r'found a dividend of 6 yuan a share after a close of 10; it is that of one share'),
    ('code,preclose\n000001,40\n', r'found a reference price of 40 yuan after a close of 10; mend it'),
    ('code,high_limit,low_limit\n000001,9,8\n', r'found the limits 8 and 9 around a reference price of 10; mend them'),
    ('code,paused\n000001,1\n000001,0\n', r'line 3, column paused: found 0, and 1 in a row before it; keep one'),
    ('code,other\n000001,1\n', r'found no column of facts, expected one of paused, is_st, preclose'),
    ('code,date,paused\n000001,2024-03-01,1\n', r'found no row of 2024-03-04, the day that orders are made for'),
])
def test_facts_that_cannot_be(text, message, tmp_path):
    with pytest.raises(DataError, match=message):
        facts_of(tmp_path, text)
