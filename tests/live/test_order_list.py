"""The list of a day, on hand-made markets: lots, money, limits, what is blocked, ex-dates."""

from datetime import date

import pandas as pd
import pytest

from bt_microcap import MarketStore, MicroCapStrategy
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.store.coming import facts_before
from bt_microcap.live.books import EventRow, FillRow, Holding
from bt_microcap.live.day import check_day, check_unchanged, ex_rights_of, orders_of, seen_of
from bt_microcap.live.facts import with_facts
from bt_microcap.live.order_list import Pricing, check_size
from tests.support.living import CAGE, evening, new_account, run

A, B, C, D = '000001.XSHE', '300001.XSHE', '600000.XSHG', '688001.XSHG'
DAYS = ['2024-03-01', '2024-03-04', '2024-03-05', '2024-03-06']
MONDAY, TUESDAY, WEDNESDAY = (date.fromisoformat(day) for day in DAYS[1:])
CHEAP = {'commission': 0.0003, 'min_commission': 5.0, 'stamp_duty': 0.0005, 'transfer_fee': 0.0}


def market(days=DAYS[:1], closes=None, **columns):
    """Return a store in which every stock costs the same every day, and is in the band."""
    closes = closes or {A: 10.0, B: 20.0, C: 5.0, D: 50.0}
    rows = []
    for day in days:
        for number, (code, close) in enumerate(closes.items()):
            row = {'date': pd.Timestamp(day), 'code': code, 'open': close, 'high': close, 'low': close, 'close': close,
                   'volume': 1e7, 'market_cap': 2.1e9 + number * 1e8, 'is_st': 0, 'paused': 0, 'preclose': close}
            row.update({name: values.get((day, code), default) for name, (default, values) in columns.items()})
            rows.append(row)
    return MarketStore.from_table(pd.DataFrame(rows), checked=True)


def test_a_first_list(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=90_000.0, slippage=0.0, **CHEAP)
    made = evening(market(), account, MONDAY)
    assert not made.published
    assert (made.cash, made.holdings, made.days_left) == (90_000.0, 0, 0)
    # 30,000 each at the limit price: 10.20 (2 %), 20.40, 5.10 (2 % and ten steps are the same)
    assert [(order.order_id, order.code, order.side, order.shares, order.reference_price, order.limit_price, order.needs_sale)
            for order in made.orders] == [
        ('20240304B000001', A, 'BUY', 2900, 10.0, 10.2, False), ('20240304B300001', B, 'BUY', 1400, 20.0, 20.4, False),
        ('20240304B600000', C, 'BUY', 5800, 5.0, 5.1, False)]
    assert [(order.low_limit, order.high_limit) for order in made.orders] == [(9.0, 11.0), (16.0, 24.0), (4.5, 5.5)]
    # fees at the expected price: 8.7, 8.4, 8.7
    assert [order.fees for order in made.orders] == pytest.approx([8.7, 8.4, 8.7])
    assert [order.cash_after for order in made.orders] == pytest.approx([60_991.3, 32_982.9, 3_974.2])
    assert made.value() == pytest.approx(29_580 + 28_560 + 29_580)


def test_sales_come_first_and_pay(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=20_000.0, slippage=0.0, **CHEAP,
                          holdings=[Holding(D, 1033, 1033, 40.0), Holding(C, 50, 50, 9.0)])
    made = evening(market(), account, MONDAY, pricing=Pricing('auction', 0.05))
    assert [(order.code, order.side, order.shares, order.limit_price, order.needs_sale) for order in made.orders] == [
        (D, 'SELL', 1033, 47.5, False), (C, 'SELL', 50, 4.75, False),  # odd lots whole
        (A, 'BUY', 2300, 10.2, True),  # in the cage: it is given in the session
        (B, 'BUY', 1100, 20.4, True), (C, 'BUY', 4600, 5.1, True)]
    # 20,000 + 51,650 - 15.495 - 25.825 + 250 - 5.125: a third is 23,951.2
    assert made.orders[1].cash_after == pytest.approx(71_853.555)
    assert made.orders[2].cash_after == pytest.approx(71_853.555 - 23_000 - 6.9)


def test_what_the_cash_pays_for_needs_no_sale(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=60_000.0, slippage=0.0, **CHEAP, holdings=[Holding(D, 200, 200, 40.0)])
    made = evening(market(), account, MONDAY)
    assert [(order.code, order.needs_sale) for order in made.orders] == [(D, False), (A, False), (B, False), (C, True)]


def test_blocked(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=4_000.0, holdings=[Holding(D, 200, 200, 40.0)])
    store = market()
    coming = facts_before(store, MONDAY.toordinal())
    path = tmp_path / 'facts.csv'
    path.write_text('代码,停牌\n688001,是\n', encoding='gbk')
    with_facts(coming, store, path)
    made = orders_of(store, account, MONDAY, MicroCapStrategy, {}, CAGE, coming, run)
    assert [(each.code, each.side, each.reason) for each in made.blocked] == [
        (D, 'SELL', 'suspended'), (B, 'BUY', 'below one lot')]
    assert [(order.code, order.shares) for order in made.orders] == [(A, 100), (C, 300)]  # 2,000 for each of two


def test_limits_of_size(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=30e6, slippage=0.0, **CHEAP)
    made = evening(market(closes={A: 10.0, B: 20.0, C: 5.0}), account, MONDAY)
    assert [(order.order_id, order.shares) for order in made.orders] == [
        ('20240304B000001', 980_000), ('20240304B300001', 300_000), ('20240304B300001-2', 190_000),
        ('20240304B600000', 1_000_000), ('20240304B600000-2', 960_100)]
    check_size(made, 31e6, 5)
    message = r'2024-03-04 are worth [\d,.]+ yuan at their limit prices, --max-order-value allows 1,000,000\.00; nothing'
    with pytest.raises(DataError, match=message):
        check_size(made, 1e6, None)
    with pytest.raises(DataError, match='2024-03-04 has 5 orders, --max-orders allows 4; nothing is written'):
        check_size(made, None, 4)


# -- ex-dates --------------------------------------------------------------------------------------------------------------


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
    assert Seen.seen == {A: (pytest.approx(12.0 * 9.5 / 10.0), 9.5)}
    # on the next day nothing of it is booked yet: the cost stays restated, and the list reminds
    made = evening(store, account, TUESDAY, Seen)
    assert made.unbooked == [(A, MONDAY)]
    assert Seen.seen[A][0] == pytest.approx(11.4, abs=0.01)
    # the dividend comes a day late: it is cash, and no second fall of the cost
    store = market(DAYS[:3], preclose=(None, {(DAYS[1], A): 9.5, (DAYS[0], A): 10.0, (DAYS[2], A): 10.0}))
    account.events = [EventRow(TUESDAY, A, 'dividend', 1000, 1000, 500.0, 1.0, 0.5)]
    made = evening(store, account, WEDNESDAY, Seen)
    assert made.cash == 1500.0
    assert Seen.seen[A][0] == pytest.approx(11.4, abs=0.01)


def test_new_shares_that_nobody_booked(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=1000.0, holdings=[Holding(A, 1000, 1000, 12.0)])
    told = {'cash_dividend': (0.0, {(DAYS[1], A): 0.2}), 'share_ratio': (1.0, {(DAYS[1], A): 1.3})}
    store = market(DAYS[:2], **told)
    message = r'000001\.XSHE went ex-rights on 2024-03-04, .*, and the account has no row of what came of it; book .* --ex-rights'
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


# -- fills that nobody ordered, and others --------------------------------------------------------------------------------------


def test_what_was_really_filled_counts(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=90_000.0, slippage=0.0, **CHEAP)
    store = market(DAYS)
    # of three orders one was filled, in two parts, one not, and one that nobody asked for
    account.fills = [FillRow(MONDAY, A, 'BUY', 1000, 10.1, 5.0, 0.0, 0.0, fill_id='1'),
                     FillRow(MONDAY, A, 'BUY', 500, 10.2, 0.0, 0.0, 0.0, fill_id='2'),
                     FillRow(MONDAY, D, 'BUY', 300, 51.0, 5.0, 0.0, 0.0, fill_id='3')]
    params = {'refresh_rate': 2}
    made = evening(store, account, TUESDAY, params=params)
    assert made.unfilled == [(B, 'BUY'), (C, 'BUY')]
    assert made.cash == pytest.approx(90_000 - 10_105 - 5_100 - 15_305)
    assert (made.holdings, made.days_left, made.orders) == (2, 1, [])
    made = evening(store, account, WEDNESDAY, params=params)
    assert [(order.code, order.side, order.shares) for order in made.orders[:2]] == [(A, 'SELL', 1500), (D, 'SELL', 300)]


# -- safety ----------------------------------------------------------------------------------------------------------------


def test_days_that_cannot_be(tmp_path):
    store, account = market(DAYS), new_account(tmp_path, TUESDAY, cash=1e5)
    with pytest.raises(DataError, match='--date 2024-03-04: .*account.json begins on 2024-03-05'):
        check_day(store, account, MONDAY, 'the data')
    account.fills = [FillRow(WEDNESDAY, A, 'BUY', 100, 10.0, 5.0, 0.0, 0.0)]
    with pytest.raises(DataError, match='has booked fills or events of 2024-03-06; give a later day'):
        check_day(store, account, WEDNESDAY, 'the data')
    account.fills = [FillRow(TUESDAY, '600001.XSHG', 'BUY', 100, 10.0, 5.0, 0.0, 0.0)]
    with pytest.raises(DataError, match=r'has traded 600001\.XSHG, which the data does not have'):
        check_day(store, account, WEDNESDAY, 'the data')


def test_past_days_that_changed(tmp_path):
    account = new_account(tmp_path, MONDAY, cash=1e5)
    account.seen = seen_of(market(DAYS[:2]), account, TUESDAY)
    assert (account.seen['first'], account.seen['until']) == ('2024-03-01', '2024-03-04')
    check_unchanged(market(DAYS), account, 'the data', False)  # it only grew
    other = market(DAYS, market_cap=(2.2e9, {}))
    with pytest.raises(DataError, match='rows of the days up to 2024-03-04 have changed since the last list'):
        check_unchanged(other, account, 'the data', False)
    check_unchanged(other, account, 'the data', True)
