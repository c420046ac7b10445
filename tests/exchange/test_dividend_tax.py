"""The tax on dividends by the time held, withheld at the sale: by hand."""

import math

import pandas as pd
import pytest

from bt_microcap import AShareCommission
from tests.support.invariants import check
from tests.support.markets import bar, paused, tiny_market
from tests.support.scripted import buy, close, play, sell, steps

A, B, STAR = '600001.XSHG', '000002.XSHE', '688001.XSHG'
EX = {'cash_dividend': 1.0}


def hold(days, script, dates=None, code=A, **params):
    """Run a script without fees under 'holding'; give the run."""
    free = AShareCommission(commission=0.0, min_commission=0.0, stamp_duty=0.0)
    params = {'dividend_tax': 'holding', 'cash': 100_000.0, **params}
    return play(tiny_market({code: days}, dates=dates), script, commission=free, **params)


def withheld(run):
    """Give the tax that each order paid."""
    return [sum(fees.dividend_tax for fees in order.info.get('fees', ())) for order in run.orders]


@pytest.mark.parametrize(('bought', 'ex', 'sold', 'rate'), [
    ('2024-01-08', '2024-01-15', '2024-02-08', 0.2),  # up to the same day of the next month
    ('2024-01-08', '2024-01-15', '2024-02-09', 0.1),
    ('2024-01-31', '2024-02-05', '2024-02-29', 0.2),  # February has no 31st
    ('2024-01-31', '2024-02-05', '2024-03-01', 0.1),
    ('2023-01-31', '2023-02-06', '2023-02-28', 0.2),
    ('2023-01-31', '2023-02-06', '2023-03-01', 0.1),
    ('2023-12-29', '2024-01-15', '2024-01-29', 0.2),  # over the end of the year
    ('2023-12-29', '2024-01-15', '2024-01-30', 0.1),
    ('2023-06-15', '2024-01-15', '2024-06-14', 0.1),
    ('2023-06-15', '2024-01-15', '2024-06-17', 0.0),  # 15 June 2024 was a Saturday
    ('2024-02-29', '2024-06-03', '2025-02-28', 0.1),
    ('2024-02-29', '2024-06-03', '2025-03-03', 0.0),
    ('2015-09-01', '2015-09-07', '2016-09-02', 0.05),  # the old rule goes by the ex-date
    ('2015-09-01', '2015-09-08', '2016-09-02', 0.0),
    ('2013-03-01', '2013-03-08', '2013-03-20', 0.2),
    ('2012-12-20', '2012-12-31', '2013-01-04', 0.1),
    ('2012-12-20', '2013-01-04', '2013-01-07', 0.2),
    ('2009-03-02', '2009-06-01', '2012-03-05', 0.1),
])
def test_the_rate_goes_by_the_time_held(bought, ex, sold, rate):
    before = str((pd.Timestamp(f'{int(bought[:4]) - 1}-06-01') + pd.offsets.BDay(0)).date())  # no weekend
    days = [10.0, 10.0, bar(9.0, preclose=9.0, **EX), 9.0]
    run = hold(days, {1: buy(A, 1000), 3: close(A)}, dates=[before, bought, ex, sold])
    assert withheld(run) == [0.0, pytest.approx(1000 * rate)]
    assert run.cash == pytest.approx([100_000, 90_000, 91_000, 100_000 - 1000 * rate])  # in full on the ex-date


def test_first_in_first_out_over_the_lots_as_bought():
    dates = ['2024-01-02', '2024-01-03', '2024-02-26', '2024-03-04', '2024-03-05', '2024-03-06', '2024-03-07']
    days = [10.0, 10.0, 10.0, bar(9.0, preclose=9.0, **EX), 9.0, 9.0, 9.0]
    script = {1: buy(A, 300), 2: buy(A, 500), 4: sell(A, 200), 5: sell(A, 300), 6: close(A)}
    # 200 of the first lot at 10 %; its last 100 at 10 % and 200 of the second at 20 %; the other 300 at 20 %
    assert withheld(hold(days, script, dates)) == [0, 0, pytest.approx(20), pytest.approx(50), pytest.approx(60)]


def test_what_was_bought_on_or_after_the_ex_date_had_no_dividend():
    days = [10.0, 10.0, bar(9.0, preclose=9.0, **EX), 9.0, 9.0]
    run = hold(days, {1: buy(A, 100), 2: buy(A, 400), 3: sell(A, 300), 4: close(A)})
    assert withheld(run) == [0, 0, pytest.approx(20), 0]  # 100 of the first lot are in the first sale


def test_two_dividends_of_one_lot_each_at_its_own_rule():
    dates = ['2015-08-28', '2015-08-31', '2015-09-07', '2015-09-08', '2016-09-05']
    days = [10.0, 10.0, bar(9.0, preclose=9.0, **EX), bar(8.0, preclose=8.0, **EX), 8.0]
    run = hold(days, {1: buy(A, 100), 4: close(A)}, dates)
    assert withheld(run) == [0, pytest.approx(5)]  # 5 % of the first, nothing of the second


def test_the_tax_base_is_the_shares_before_the_split_of_the_same_day():
    days = [10.0, 10.0, bar(4.5, preclose=4.5, share_ratio=2.0, **EX), 4.5, 4.5]
    run = hold(days, {1: buy(A, 1000), 3: sell(A, 500), 4: close(A)})
    # 1,000 yuan were received; 500 of 2,000 shares are a quarter of it
    assert run.shares[2] == {A: 2000}
    assert withheld(run) == [0, pytest.approx(50), pytest.approx(150)]


def test_a_split_after_the_dividend_changes_nothing_of_the_tax():
    days = [10.0, 10.0, bar(9.0, preclose=9.0, **EX), bar(6.0, preclose=6.0, share_ratio=1.5), 6.0, 6.0]
    run = hold(days, {1: buy(A, 1000), 4: sell(A, 600), 5: close(A)})
    assert withheld(run) == [0, pytest.approx(80), pytest.approx(120)]  # 600 and 900 of 1,500


def test_a_consolidation_and_a_dividend():
    days = [10.0, 10.0, bar(9.0, preclose=9.0, **EX), bar(18.0, preclose=18.0, share_ratio=0.5), 18.0]
    run = hold(days, {1: buy(A, 1000), 4: close(A)})
    assert (run.shares[3], withheld(run)) == ({A: 500}, [0, pytest.approx(200)])


def lots_market():
    """STAR lots of 200, 203 and 201 shares, then 1.01 new for old: 202, 205.03 and 203.01."""
    dates = ['2023-11-01', '2023-11-02', '2024-01-03', '2024-03-04', '2024-03-05', '2024-03-06', '2024-03-07', '2024-03-08']
    days = [10.0, 10.0, 10.0, 10.0, bar(9.9, preclose=9.9, share_ratio=1.01), bar(8.9, preclose=8.9, **EX), 8.9, 8.9]
    return days, dates


def test_the_lots_of_a_split_add_up_to_whole_shares():
    days, dates = lots_market()
    script = {1: buy(STAR, 200), 2: buy(STAR, 203), 3: buy(STAR, 201), 6: sell(STAR, 407), 7: close(STAR)}
    run = hold(days, script, dates, code=STAR)
    # 202, 407.03 and 610.04: 202, 205 and 203 shares, a yuan each; the first two lots are older than a month
    assert run.shares[4] == {STAR: 610}
    assert withheld(run)[3:] == [pytest.approx(40.7), pytest.approx(40.6)]


def test_the_lots_of_a_split_go_by_the_ratio():
    dates = ['2023-11-01', '2023-11-02', '2024-03-04', '2024-03-05', '2024-03-06', '2024-03-07', '2024-03-08']
    days = [10.0, 10.0, 10.0, bar(9.9, preclose=9.9, share_ratio=1.01), bar(8.9, preclose=8.9, **EX), 8.9, 8.9]
    script = {1: buy(STAR, 200), 2: buy(STAR, 290), 5: sell(STAR, 202), 6: close(STAR)}
    run = hold(days, script, dates, code=STAR)
    # 200 x 1.01 = 202 whole shares of the first lot, 10 %; 494.9 in all leave 292 of the second, 20 %
    assert run.shares[3] == {STAR: 494}
    assert withheld(run)[2:] == [pytest.approx(20.2), pytest.approx(58.4)]


def test_the_delisting_pays_no_tax():
    table = tiny_market({A: [10.0, 10.0, bar(9.0, preclose=9.0, **EX)], B: [5.0] * 5})
    run = play(table, {1: buy(A, 1000)}, dividend_tax='holding', delist_wait=0,
               commission=AShareCommission(commission=0.0, min_commission=0.0, stamp_duty=0.0))
    assert run.cash[-1] == pytest.approx(100_000 - 10_000 + 1_000 + 9_000)


def test_a_consolidation_below_one_share_pays_no_tax_and_is_no_trade():
    days = [bar(10.0, cap=2.1e9), 10.0, bar(9.0, preclose=9.0, **EX), bar(9.0, share_ratio=0.001), 9.0]
    table = tiny_market({A: days, B: [bar(5.0, cap=2.9e9)] + [5.0] * 4})
    blotter = check(table, stocknum=1, refresh_rate=20, cash=5_000.0, min_commission=0.0)
    assert [(fill.side, fill.quantity) for fill in blotter.fills] == [('BUY', 400)]
    assert [(action.action, action.shares_before, action.shares_after) for action in blotter.corporate_actions] == [
        ('dividend', 400, 400), ('consolidated', 400, 0)]
    assert blotter.rejections == []
    assert [order.side for order in blotter.orders] == ['BUY']


def test_reinvested_dividends_are_not_taxed():
    days = [10.0, 10.0, bar(9.0, preclose=9.0, **EX), 9.0]
    run = hold(days, {1: buy(A, 900), 3: close(A)}, ex_rights='reinvest')
    assert withheld(run) == [0.0, 0.0]


def test_a_flat_rate_is_taken_on_the_ex_date_and_not_again():
    days = [10.0, 10.0, bar(9.0, preclose=9.0, **EX), 9.0]
    run = hold(days, {1: buy(A, 1000), 3: close(A)}, dividend_tax=0.2)
    assert withheld(run) == [0.0, 0.0]
    assert run.cash[2:] == pytest.approx([90_800, 99_800])


def test_sold_and_bought_again_the_time_starts_anew():
    dates = ['2024-01-02', '2024-01-03', '2024-03-01', '2024-03-04', '2024-03-05']
    days = [10.0, 10.0, 10.0, bar(9.0, preclose=9.0, **EX), 9.0]
    run = hold(days, {1: buy(A, 100), 2: steps(close(A), buy(A, 100)), 4: close(A)}, dates)
    assert withheld(run)[-1] == pytest.approx(20)


def test_an_ex_date_on_a_suspended_day_counts():
    days = [10.0, 10.0, paused(open=9.0, close=9.0, preclose=9.0, **EX), 9.0]
    run = hold(days, {1: buy(A, 1000), 3: close(A)})
    assert (run.cash[2], withheld(run)[-1]) == (pytest.approx(91_000), pytest.approx(200))


def test_it_is_in_the_tax_of_the_trade_and_in_a_column_of_the_order():
    days = [bar(10.0, cap=2.1e9), 10.0, bar(9.0, preclose=9.0, **EX), (9.0, 9.1)]
    blotter = check(tiny_market({A: days}), stocknum=1, refresh_rate=2, cash=20_000.0)
    sale = blotter.fills[1]
    order = next(order for order in blotter.orders if order.side == 'SELL')
    assert order.dividend_tax == pytest.approx(0.2 * sale.quantity)
    assert order.stamp_duty == pytest.approx(sale.quantity * sale.price * 0.0005)
    assert sale.tax == pytest.approx(order.stamp_duty + order.dividend_tax)
    assert math.isclose(blotter.corporate_actions[0].cash, sale.quantity)


@pytest.mark.parametrize('volume', [250.0, 1_100.0, 30_000.0])
def test_a_position_sold_in_pieces_pays_for_each_piece(volume):
    """The volume limit makes many sales and many lots of it; the model follows."""
    days = [bar(10.0, cap=2.1e9, volume=1e6), 10.0, bar(9.0, preclose=9.0, volume=volume, **EX)]
    days += [bar(9.0, volume=volume), bar(8.0, preclose=8.0, volume=volume, **EX), bar(6.4, preclose=6.4, share_ratio=1.25)] * 3
    for rate in (1, 2, 3):
        blotter = check(tiny_market({A: days}), stocknum=1, refresh_rate=rate, cash=50_000.0)
        assert len(blotter.fills) > 1 or volume < 1000
