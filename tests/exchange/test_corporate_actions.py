"""Ex-rights and delistings of what is held, by hand."""

from datetime import date

import pytest

from bt_microcap import AShareCommission
from tests.support.markets import bar, paused, tiny_market
from tests.support.running import run_feeds, run_market
from tests.support.scripted import buy, close, play, sell, steps

A, B, STAR = '600001.XSHG', '000002.XSHE', '688001.XSHG'


def free():
    return AShareCommission(commission=0.0, min_commission=0.0, stamp_duty=0.0)


def hold(days, size=1000, *, sold_on=None, cash=100_000.0, other=None, **params):
    """Buy A on the second day, without fees, and sell it on a later one."""
    market = {A: days, **({} if other is None else {B: other})}
    script = {1: buy(A, size), **({} if sold_on is None else {sold_on: close(A, whole=True)})}
    return play(tiny_market(market), script, cash=cash, commission=free(), **params)


def net_profit(run):
    return run.trades['pnl']['net']['total']


# ------------------------------------------------------------------------------------ explicit columns


@pytest.mark.parametrize(('tax', 'cash', 'cost'), [
    (0.2, 90_400.0, 9.6), (0.0, 90_500.0, 9.5), (0.1, 90_450.0, 9.55)])
def test_a_cash_dividend_is_credited_less_tax_and_lowers_the_cost(tax, cash, cost):
    # 1,000 shares x 0.50 = 500 before tax; 10,000 was paid for the shares
    run = hold([10.0, 10.0, bar(9.5, preclose=9.5, cash_dividend=0.5), 9.5], dividend_tax=tax)
    assert run.cash == pytest.approx([100_000.0, 90_000.0, cash, cash])
    assert run.shares[2] == {A: 1000}
    assert run.value[2] == pytest.approx(cash + 9_500)
    assert [position.price for position in run.broker.positions.values()] == [pytest.approx(cost)]


@pytest.mark.parametrize(('code', 'size', 'ratio', 'shares'), [
    (A, 1000, 1.5, 1500),
    (A, 700, 1.0333, 723),  # 723.31
    (A, 300, 1.1, 330),  # 330.00000000000006 in binary
    (A, 100, 1.15, 115),  # 114.99999999999999 in binary
    (A, 100, 0.5, 50),
    (STAR, 333, 1.3, 432),  # 432.9: floored
])
def test_bonus_shares_are_floored_and_nothing_is_paid_for_the_fraction(code, size, ratio, shares):
    table = tiny_market({code: [10.0, 10.0, bar(10.0, share_ratio=ratio), 10.0]})
    run = play(table, {1: buy(code, size)}, commission=free())
    assert run.shares[1:] == [{code: size}, {code: shares}, {code: shares}]
    assert run.cash[3] == pytest.approx(100_000 - 10 * size)


def test_dividend_and_bonus_on_one_day_the_dividend_on_the_old_shares():
    # 1,000 x 0.5 x 0.8 = 400 in cash, 1,200 shares; reference price (10 - 0.5) / 1.2 = 7.92
    run = hold([10.0, 10.0, bar(7.92, preclose=7.92, cash_dividend=0.5, share_ratio=1.2), 7.92])
    assert (run.shares[2], run.cash[2]) == ({A: 1200}, pytest.approx(90_400.0))
    assert run.value[2] == pytest.approx(90_400 + 9_504)


def test_it_all_happens_before_the_open_and_the_new_shares_can_be_sold():
    run = hold([10.0, 10.0, bar(5.0, preclose=5.0, share_ratio=2.0), 5.0], sold_on=2)
    assert run.fills[1:] == [(2, A, -2000, 5.0)]
    assert run.cash[2] == pytest.approx(100_000.0)


def test_what_is_bought_on_the_ex_date_gets_nothing_and_what_is_sold_before_neither():
    ex = bar(9.0, preclose=9.0, cash_dividend=1.0, share_ratio=1.1)
    days = [10.0, 10.0, ex, 9.0]
    run = play(tiny_market({A: days, B: days}), {1: buy(B, 100), 2: buy(A, 100)}, commission=free())
    assert run.shares[2] == {A: 100, B: 110}
    # 1,000 for B; 100 x 1.00 x 0.8 = 80 for it; 900 for A
    assert run.cash[2] == pytest.approx(98_180.0)
    run = play(tiny_market({A: days}), {0: buy(A, 100), 1: close(A)}, commission=free())
    assert run.cash[2] == pytest.approx(100_000.0)


@pytest.mark.parametrize('told', [{'cash_dividend': 0.0}, {'share_ratio': 1.0}, {'cash_dividend': 0.0, 'share_ratio': 1.0}])
def test_explicit_columns_win_over_preclose(told):
    # one of them says that nothing happens on this day: preclose moves nothing
    run = hold([10.0, 10.0, bar(8.0, preclose=8.0, **told), 8.0])
    assert (run.shares[3], run.cash[3]) == ({A: 1000}, 90_000.0)


def test_a_row_that_tells_nothing_is_reinvested():
    # the table has the columns, this row has neither value: 1,000 x 10.00 / 8.00 = 1,250 shares
    run = hold([10.0, 10.0, bar(8.0, preclose=8.0), bar(8.0, cash_dividend=0.0, share_ratio=1.0)])
    assert (run.shares[3], run.cash[3]) == ({A: 1250}, 90_000.0)


def test_an_order_for_all_given_before_the_ex_date_sells_the_new_shares_too():
    table = tiny_market({A: [10.0, 10.0, bar(5.0, preclose=5.0, share_ratio=2.0), 5.0]})
    script = {0: buy(A, 1000), 1: close(A, whole=True)}
    assert play(table, script, at_open=False).fills[1:] == [(2, A, -2000, 5.0)]
    script[1] = close(A)  # 1,000 at the time of the order: restated as the position is
    assert play(table, script, at_open=False).fills[1:] == [(2, A, -2000, 5.0)]
    script[1] = sell(A, 500)
    assert play(table, script, at_open=False).fills[1:] == [(2, A, -1000, 5.0)]
    # off: nothing is restated; 1,000 shares are there, and all of them are sold
    script[1] = close(A)
    assert play(table, script, at_open=False, ex_rights='off').fills[1:] == [(2, A, -1000, 5.0)]


def test_an_ex_date_on_a_suspended_row_counts_and_is_not_counted_again():
    days = [10.0, 10.0, paused(open=5.0, close=5.0, preclose=5.0, share_ratio=2.0), paused(), 5.0]
    run = hold(days, other=[10.0] * 5)
    assert [shares.get(A, 0) for shares in run.shares] == [0, 1000, 2000, 2000, 2000]
    assert run.value[1:] == pytest.approx([100_000.0] * 4)


# --------------------------------------------------------------------------------------- from preclose


def test_reinvest_keeps_the_value_and_pays_the_fraction_in_cash():
    # 1,000 x 10.00 / 9.40 = 1,063.829...: 1,063 shares and 0.829787 x 9.40 = 7.80 yuan
    run = hold([10.0, 10.0, bar(9.4, preclose=9.4), 9.4])
    assert run.shares[2:] == [{A: 1063}] * 2
    assert run.cash[2:] == pytest.approx([90_007.80] * 2)
    assert run.value[2:] == pytest.approx([100_000.0] * 2)


def test_reinvest_to_a_whole_number_of_shares_pays_nothing():
    # 1,000 x 10.00 / 8.00 = 1,250
    run = hold([10.0, 10.0, bar(8.0, preclose=8.0), 8.0])
    assert (run.shares[2], run.cash[2]) == ({A: 1250}, pytest.approx(90_000.0))


def test_a_whole_number_of_shares_is_not_lost_to_a_binary_rounding():
    # 100 x 4.02 / 3.00 = 134 exactly, 133.99999999999997 in binary
    run = hold([4.02, 4.02, bar(3.0, preclose=3.0), 3.0], size=100)
    assert (run.shares[2], run.cash[2]) == ({A: 134}, pytest.approx(99_598.0))


def test_a_consolidation_raises_preclose_and_lowers_the_shares():
    # 1,000 x 2.00 / 6.00 = 333.33: 333 and a third of 6.00
    run = hold([2.0, 2.0, bar(6.0, preclose=6.0), 6.0])
    assert (run.shares[2], run.cash[2]) == ({A: 333}, pytest.approx(98_002.0))
    assert run.value[2] == pytest.approx(100_000.0)


def test_a_consolidation_below_one_share_leaves_cash():
    # 100 x 0.02 / 5.00 = 0.4 shares: 2 yuan
    run = hold([0.02, 0.02, bar(5.0, preclose=5.0), 5.0], size=100)
    assert (run.shares[2], run.value[2]) == ({}, pytest.approx(100_000.0))
    assert run.refusals == []


@pytest.mark.parametrize(('preclose', 'shares'), [
    (10.0, 1000), (9.996, 1000), (10.004, 1000),  # within half a tick: rounding of the source
    (9.994, 1000), (9.99, 1001), (10.01, 999),  # 1,000.6, 1,001.001, 999.0009
])
def test_the_threshold_is_half_a_tick(preclose, shares):
    run = hold([10.0, 10.0, bar(10.0, preclose=preclose), 10.0])
    assert run.shares[2] == {A: shares}
    # the fraction: 0.6003602 x 9.994 = 6.00; 0.001001 x 9.99 = 0.01; 0.000999 x 10.01 = 0.01
    paid = {9.994: 6.0, 9.99: 0.01, 10.01: 0.01}.get(preclose, 0.0)
    assert run.cash[2] == pytest.approx(90_000 + paid, abs=1e-6)


def test_off_does_nothing():
    columns = {'cash_dividend': 0.5, 'share_ratio': 1.5}
    run = hold([10.0, 10.0, bar(6.33, preclose=6.33, **columns), 6.33], ex_rights='off')
    assert (run.shares[3], run.cash[3]) == ({A: 1000}, 90_000.0)


def test_reinvest_does_not_look_at_the_explicit_columns():
    columns = {'cash_dividend': 9.0, 'share_ratio': 9.0}
    run = hold([10.0, 10.0, bar(8.0, preclose=8.0, **columns), 8.0], ex_rights='reinvest')
    assert (run.shares[3], run.cash[3]) == ({A: 1250}, pytest.approx(90_000.0))


def test_without_any_column_nothing_happens():
    table = tiny_market({A: [10.0, 10.0, 9.4, 9.4]}).drop(columns='preclose')
    run = play(table, {1: buy(A, 1000)}, commission=free())
    assert (run.shares[3], run.cash[3], run.value[3]) == ({A: 1000}, 90_000.0, pytest.approx(99_400.0))


def test_an_unknown_preclose_does_nothing():
    table = tiny_market({A: [10.0, 10.0, 10.5, 10.5]})
    table.loc[2, 'preclose'] = float('nan')
    run = play(table, {1: buy(A, 1000)}, commission=free())
    assert (run.shares[3], run.value[3]) == ({A: 1000}, pytest.approx(100_500.0))


def test_the_limits_of_the_ex_date_count_from_preclose():
    # 8.00 x 0.9 = 7.20 is the lower limit; 7.21 is not, though far below 9.00
    days = [10.0, 10.0, bar(7.21, preclose=8.0), 7.21]
    assert hold(days, sold_on=2).fills[1:] == [(2, A, -1250, 7.21)]


# ---------------------------------------------------------------------------------------- missing rows


def test_a_position_without_rows_keeps_its_last_close():
    run = hold([10.0, (10.0, 10.4), None, None, 10.6], other=[10.0] * 5)
    # 90,000 + 10,400 over the gap
    assert run.value == pytest.approx([100_000.0, 100_400.0, 100_400.0, 100_400.0, 100_600.0])


def test_ex_rights_over_a_gap_come_with_the_next_row():
    run = hold([10.0, 10.0, None, bar(8.0, preclose=8.0), 8.2], other=[10.0] * 5)
    assert [shares.get(A, 0) for shares in run.shares] == [0, 1000, 1000, 1250, 1250]
    assert run.value == pytest.approx([100_000.0, 100_000.0, 100_000.0, 100_000.0, 100_250.0])


def test_the_last_close_of_reinvest_is_that_of_the_position_not_of_an_earlier_one():
    # sold at 10.00 on day 2, bought again at 12.00 on day 4; 100 x 12 / 10 = 120
    days = [10.0, 10.0, 10.0, 11.0, 12.0, bar(10.0, preclose=10.0), 10.0]
    script = {1: buy(A, 100), 2: close(A), 4: buy(A, 100)}
    run = play(tiny_market({A: days}), script, commission=free())
    assert run.shares[4:] == [{A: 100}, {A: 120}, {A: 120}]


# ------------------------------------------------------------------------------------------ delisting


@pytest.mark.parametrize(('delist', 'cash'), [
    ('last_close', 101_000.0), ('zero', 90_000.0), (0.0, 101_000.0), (0.3, 97_700.0), (0.999, 90_011.0)])
def test_delisted_at_the_last_close_or_at_nothing_free_of_charge(delist, cash):
    table = tiny_market({A: [10.0, 10.0, 11.0], B: [5.0] * 5})
    fees = AShareCommission(commission=0.0, min_commission=0.0)
    run = play(table, {1: buy(A, 1000)}, delist=delist, delist_wait=0, commission=fees)
    # the stamp duty of 0.1 % is not taken: 90,000 + 11,000
    assert run.cash == pytest.approx([100_000.0, 90_000.0, 90_000.0, cash, cash])
    assert run.value[2:] == pytest.approx([101_000.0, cash, cash])
    assert run.shares[2:] == [{A: 1000}, {}, {}]
    assert run.notes[-1] == (3, A, 'SELL', 'Completed', 'delisted')
    assert net_profit(run) == pytest.approx(cash - 100_000)


def test_the_cash_of_a_delisting_is_there_at_the_next_open():
    table = tiny_market({A: [10.0, 10.0, 10.0], B: [5.0] * 5})
    run = play(table, {1: buy(A, 10_000), 3: buy(B, 20_000)}, commission=free(), delist_wait=0)
    assert run.fills[1:] == [(3, A, -10_000, 10.0), (3, B, 20_000, 5.0)]


def test_a_stock_bought_on_its_last_day_is_delisted_too():
    table = tiny_market({A: [10.0, 10.0, (10.0, 10.5)], B: [5.0] * 4})
    run = play(table, {2: buy(A, 100)}, commission=free(), delist_wait=0)
    assert run.cash[2:] == pytest.approx([99_000.0, 100_050.0])


@pytest.mark.parametrize('run', [run_feeds, run_market])
def test_the_blotter_lists_what_happened_without_an_order(run):
    """A, 9,900 shares at 10.01: a dividend of 0.5 and 1.2 for 1, then the end; nothing of it is a fill of the blotter."""
    ex = bar(7.92, preclose=7.92, cash_dividend=0.5, share_ratio=1.2)
    table = tiny_market({A: [bar(10.0, cap=2.1e9), 10.0, ex, 8.0], B: [bar(5.0, cap=2.9e9)] + [5.0] * 5})
    for tax, cash in (('holding', 4_950.0), (0.2, 3_960.0)):
        blotter = run(table, stocknum=1, refresh_rate=20, cash=100_000.0, dividend_tax=tax, delist_wait=0).analyzers.blotter
        assert [(fill.code, fill.side, fill.quantity) for fill in blotter.fills] == [(A, 'BUY', 9900)]
        dividend, delisted = blotter.corporate_actions
        assert dividend[:5] == (date(2024, 1, 4), A, 'dividend', 9900, 11880)
        assert dividend.cash == pytest.approx(cash)
        assert delisted[:5] == (date(2024, 1, 8), A, 'delisted', 11880, 0)
        assert delisted.cash == pytest.approx(11880 * 8.0)
        assert [tuple(row) for row in blotter.rejections] == [(date(2024, 1, 5), A, 'SELL', 'delisted')]
        assert abs(blotter.cash_difference()) < 1e-6


@pytest.mark.parametrize('run', [run_feeds, run_market])
def test_a_consolidation_below_one_share_is_no_trade(run):
    days = [bar(0.02, cap=2.1e9), bar(0.03, preclose=0.03), bar(5000.0, preclose=5000.0), 5000.0]
    table = tiny_market({A: days}).assign(high_limit=9e3, low_limit=0.01)
    blotter = run(table, stocknum=1, refresh_rate=20, cash=9.0, min_commission=0.0).analyzers.blotter
    (fill,) = blotter.fills
    (action,) = blotter.corporate_actions
    # at most 300 shares x 0.03 / 5,000: less than a share, and all of it is paid in cash
    assert action[:5] == (date(2024, 1, 4), A, 'consolidated', fill.quantity, 0)
    assert action.cash == pytest.approx(fill.quantity * 0.03)
    assert (blotter.rejections, blotter.equity[-1].market_value) == ([], 0.0)
    assert abs(blotter.cash_difference()) < 1e-9


def test_the_end_of_the_data_is_no_delisting():
    run = hold([10.0, 10.0, 11.0])
    assert run.shares[2] == {A: 1000}
    assert [note.status for note in run.notes] == ['Accepted', 'Completed']


def test_a_long_gap_is_no_delisting():
    run = hold([10.0, 10.0, None, None, None, 10.0], other=[5.0] * 6)
    assert [shares.get(A, 0) for shares in run.shares] == [0, 1000, 1000, 1000, 1000, 1000]


def test_the_end_of_a_run_before_the_last_row_is_no_delisting():
    # the table goes on to the sixth day; the run ends on the fourth, when A is merely away
    days = [bar(10.0, cap=2.1e9), 10.0, 10.0, None, None, 10.0]
    table = tiny_market({A: days, B: [bar(5.0, cap=2.9e9)] + [5.0] * 5})
    blotter = run_feeds(table, stocknum=1, cash=100_000.0, end=date(2024, 1, 5)).analyzers.blotter
    assert [fill.code for fill in blotter.fills] == [A]
    assert blotter.rejections == []


def test_orders_for_a_delisted_stock_are_refused():
    table = tiny_market({A: [10.0, 10.0, 10.0], B: [5.0] * 6})
    run = play(table, {1: buy(A, 100), 4: steps(buy(A, 100), sell(A, 100))}, commission=free(), delist_wait=0)
    assert run.refusals == [(4, A, 'suspended'), (4, A, 'suspended')]
    assert run.cash[5] == pytest.approx(100_000.0)


# ------------------------------------------------------------------------------------------ trades

EVENTS = {
    'dividend': [bar(9.5, preclose=9.5, cash_dividend=0.5), 9.5, 9.9],
    'bonus': [bar(6.67, preclose=6.67, share_ratio=1.5), 6.7, 6.9],
    'both': [bar(7.92, preclose=7.92, cash_dividend=0.5, share_ratio=1.2), 7.8, 8.1],
    'reinvest': [bar(9.4, preclose=9.4), 9.5, 9.3],
    'twice': [bar(9.4, preclose=9.4), bar(7.0, preclose=7.0), 7.1],
    'below one share': [bar(50_000.0, preclose=50_000.0), 50_000.0, 50_000.0],
}
# 1,000 shares at 10.00 without fees, the tax of the dividend at 20 %, sold on the last day
PROFITS = {
    'dividend': 300.0,  # 400 + 9,900 - 10,000
    'bonus': 350.0,  # 1,500 x 6.90 - 10,000
    'both': 120.0,  # 400 + 1,200 x 8.10 - 10,000
    'reinvest': -106.3,  # 1,063 shares and 7.80; 1,063 x 9.30 = 9,885.90
    # 1,063 shares and 7.80; 1,063 x 9.40 / 7.00 = 1,427.457...: 1,427 and 3.20; 1,427 x 7.10 = 10,131.70
    'twice': 142.7,
    'below one share': 0.0,  # a fifth of a share in cash
}


@pytest.mark.parametrize('event', EVENTS)
def test_trades_and_account_tell_the_same_profit(event):
    run = hold([10.0, 10.0, *EVENTS[event]], sold_on=4)
    assert run.value[-1] - 100_000 == pytest.approx(PROFITS[event], abs=1e-6)
    assert net_profit(run) == pytest.approx(PROFITS[event], abs=1e-6)
    assert run.trades['total']['closed'] == 1


def test_the_profits_of_many_trades_with_fees_add_up_to_the_change_of_the_account():
    days = [10.0, 10.0, bar(9.4, preclose=9.4), 9.5, 9.3, bar(8.0, preclose=8.1), 8.2, 8.3]
    script = {1: steps(buy(A, 1000), buy(B, 500)), 2: sell(A, 300), 3: buy(A, 200), 4: close(B), 6: close(A)}
    table = tiny_market({A: days, B: [20.0, 20.0, 20.4, 20.8, 20.6, 20.0, 20.0, 20.0]})
    run = play(table, script, slippage=0.002)
    assert run.shares[-1] == {}
    assert net_profit(run) == pytest.approx(run.value[-1] - 100_000, abs=1e-6)
    assert run.trades['total']['closed'] == 2
    # B by hand: 500 at 20.02 = 10,010 + 5; at 20.60 x 0.999 = 20.5794 -> 20.58: 10,290 - 5 - 10.29
    run = play(tiny_market({B: [20.0, 20.0, 20.6]}), {1: buy(B, 500), 2: close(B)}, slippage=0.002)
    assert net_profit(run) == pytest.approx(259.71)


def test_two_open_trades_of_one_position_are_restated_each_by_its_own_size():
    table = tiny_market({A: [10.0, 10.0, bar(5.0, preclose=5.0), 5.5]})
    script = {1: steps(buy(A, 100, tradeid=1), buy(A, 300, tradeid=2)),
              3: steps(sell(A, 200, tradeid=1), sell(A, 600, tradeid=2))}
    run = play(table, script, commission=free())
    assert run.value[3] == pytest.approx(100_400.0)  # 800 x 5.50 - 4,000
    assert run.trades['total']['closed'] == 2
