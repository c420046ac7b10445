"""The account as a JoinQuant script sees it: positions, their prices and costs, cash, returns, ex-dates."""

import pytest

from .scripts import fills, held, market
from .steps import STAR, A, B, flat, play, seen

ALL = "[positions[A].total_amount, positions[A].closeable_amount, positions[A].today_amount, round(positions[A].avg_cost, 6)]"

# ---------------------------------------------------------------------------------------------------------- positions


def test_what_is_not_held_is_an_empty_position_and_changes_nothing(tmp_path):
    assert seen({'3 9:30': """
p = positions[B]
see((p.total_amount, p.closeable_amount, p.today_amount, p.avg_cost, p.price, p.value, p.security == B))
see((len(positions), B in positions, positions.get(B), list(positions)))
see((positions['6000' + '99.XSHG'].total_amount, len(positions)))
order(A, 100)
see((positions[B].total_amount, len(positions), len(positions.keys())))
see((B in positions, A in positions, positions.get(A).total_amount))
see((positions.get(B, 7), bool(positions), positions.has_key(A)))"""}, tmp_path) == [
        (0, 0, 0, 0.0, 0.0, 0.0, True), (0, False, None, []), (0, 0), (0, 1, 1), (False, True, 100), (7, True, True)]


@pytest.mark.parametrize('walk', ['for code in positions:', 'for code in positions.keys():', 'for code in list(positions):',
                                  'for code, position in positions.items():',
                                  'for code in [p.security for p in positions.values()]:',
                                  'for code in context.subportfolios[0].long_positions:'])
def test_positions_are_walked_while_they_are_sold(walk, tmp_path):
    strategy = play({'3 9:30': 'order(B, 100); order(A, 200); order(STAR, 300, MarketOrderStyle(11))',
                     '4 9:30': f'{walk}\n    order_target(code, 0, MarketOrderStyle(9))\n    see(code)\nsee(len(positions))'},
                    tmp_path)
    assert strategy.g.seen == [B, A, STAR, 0]
    assert held(strategy) == {}
    assert [fill[1:3] for fill in fills(strategy)[3:]] == [(B, -100), (A, -200), (STAR, -300)]


def test_positions_come_in_the_order_in_which_they_were_bought(tmp_path):
    assert seen({'3 9:30': 'order(B, 100); order(A, 100); see(list(positions))',
                 '4 9:30': 'order(B, 100); see(list(positions)); order_target(B, 100); see(list(positions.keys()))',
                 '5 9:30': 'order_target(B, 0); order(B, 100); see([p.security for p in positions.values()])'}, tmp_path) == [
        [B, A], [B, A], [B, A], [A, B]]


def test_amounts_and_cost_of_a_position(tmp_path):
    # the cost is the mean price of the buys: (1000 x 10 + 500 x 10.60) / 1500 = 10.20, which sales do not change
    table = market({A: [10.0, 10.0, 10.6, 10.6, 10.6]})
    assert seen({'3 9:30': f'order(A, 1000); see({ALL})', '3 15:30': f'see({ALL})', '4 9:00': f'see({ALL})',
                 '4 9:30': f'order(A, 500); see({ALL}); order(A, -200); see({ALL})', '5 9:00': f'see({ALL})',
                 '5 14:50': f'order(A, -300); see({ALL}); order_target(A, 0); see({ALL})'}, tmp_path, table) == [
        [1000, 0, 1000, 10.0], [1000, 0, 1000, 10.0], [1000, 1000, 0, 10.0], [1500, 1000, 500, 10.2], [1300, 800, 500, 10.2],
        [1300, 1300, 0, 10.2], [1000, 1000, 0, 10.2], [0, 0, 0, 0.0]]


def test_the_cost_has_the_slippage_but_not_the_fees(tmp_path):
    assert seen({'3 9:30': 'order(A, 1000); see(round(positions[A].avg_cost, 6))'}, tmp_path, setting='pass') == [10.01]


def test_when_a_position_was_opened(tmp_path):
    times = "see((str(positions[A].init_time), str(positions[A].transact_time)))"
    assert seen({'3 9:30': f'order(A, 200); {times}', '4 14:50': f'order(A, 200); {times}', '5 9:30': times,
                 '8 9:30': f'order(A, -100); {times}; order_target(A, 0); order(A, 100); {times}'}, tmp_path, flat(days=6)) == [
        ('2024-01-03 09:30:00', '2024-01-03 09:30:00'), ('2024-01-03 09:30:00', '2024-01-04 14:50:00'),
        ('2024-01-03 09:30:00', '2024-01-04 14:50:00'), ('2024-01-03 09:30:00', '2024-01-08 09:30:00'),
        ('2024-01-08 09:30:00', '2024-01-08 09:30:00')]


def test_price_and_value_are_those_known_at_the_time(tmp_path):
    table = market({A: [10.0, 10.4, 10.9, 10.9, 10.9]}, open={A: {1: 10.0, 2: 10.7}}, paused={A: {3: 1}})
    look = ('see((positions[A].price, round(positions[A].value, 6), round(portfolio.total_value, 6), '
            'round(portfolio.positions_value, 6)))')
    assert seen({'3 9:30': f'order(A, 1000); {look}', '3 14:50': look, '3 15:30': look, '4 9:00': look, '4 9:30': look,
                 '4 10:00': look, '5 9:00': look, '5 9:30': look, '5 14:50': look}, tmp_path, table) == [
        (10.0, 10_000.0, 100_000.0, 10_000.0), (10.4, 10_400.0, 100_400.0, 10_400.0), (10.4, 10_400.0, 100_400.0, 10_400.0),
        (10.4, 10_400.0, 100_400.0, 10_400.0), (10.7, 10_700.0, 100_700.0, 10_700.0), (10.9, 10_900.0, 100_900.0, 10_900.0),
        (10.9, 10_900.0, 100_900.0, 10_900.0), (10.9, 10_900.0, 100_900.0, 10_900.0), (10.9, 10_900.0, 100_900.0, 10_900.0)]


def test_a_holding_without_a_row_keeps_its_last_close(tmp_path):
    table = market({A: [10.0, 10.5, None, None, 10.8], B: [10.0] * 5}, open={A: {1: 10.0}})
    look = 'see((positions[A].price, positions[A].value, portfolio.total_value))'
    assert seen({'3 9:30': 'order(A, 1000)', '4 9:00': look, '4 9:30': look, '4 14:50': look, '5 9:30': look, '8 9:30': look},
                tmp_path, table) == [(10.5, 10_500.0, 100_500.0)] * 4 + [(10.8, 10_800.0, 100_800.0)]


def test_a_position_kept_by_the_script_goes_on_with_the_account(tmp_path):
    assert seen({'3 9:30': """
order(A, 300)
g.held = positions[A]""", '4 9:30': """
order(A, 100)
see((g.held.total_amount, g.held.closeable_amount))
order_target(A, 100)
see((g.held.total_amount, g.held.closeable_amount))"""}, tmp_path) == [(400, 300), (100, 0)]


# --------------------------------------------------------------------------------------------------------- the account


def test_cash_value_and_returns(tmp_path):
    table = market({A: [10.0, 11.0, 10.5, 10.5]}, open={A: {1: 10.0}})
    look = ('see((portfolio.available_cash, portfolio.cash, portfolio.transferable_cash, portfolio.total_value, '
            'portfolio.portfolio_value, round(portfolio.returns, 9)))')
    # the return is that up to the close of the day before
    assert seen({'3 9:00': look, '3 9:30': f'order(A, 1000); {look}', '3 14:50': look, '4 9:00': look, '5 9:30': look},
                tmp_path, table) == [
        (100_000.0, 100_000.0, 100_000.0, 100_000.0, 100_000.0, 0.0), (90_000.0, 90_000.0, 90_000.0, 100_000.0, 100_000.0, 0.0),
        (90_000.0, 90_000.0, 90_000.0, 101_000.0, 101_000.0, 0.0), (90_000.0, 90_000.0, 90_000.0, 101_000.0, 101_000.0, 0.01),
        (90_000.0, 90_000.0, 90_000.0, 100_500.0, 100_500.0, 0.005)]


def test_starting_cash_and_the_subportfolio(tmp_path):
    assert seen({'3 9:30': """
order(A, 1000)
see((portfolio.starting_cash, portfolio.inout_cash, portfolio.locked_cash, len(portfolio.short_positions)))
sub = context.subportfolios[0]
see((len(context.subportfolios), sub.available_cash, sub.total_value, sub.positions_value, sub.inout_cash))
see((sub.positions[A].total_amount, sub.long_positions[A].total_amount, portfolio.long_positions[A].side))"""}, tmp_path,
                cash=50_000.0) == [
        (50_000.0, 50_000.0, 0.0, 0), (1, 40_000.0, 50_000.0, 10_000.0, 50_000.0), (1000, 1000, 'long')]


def test_money_paid_in_is_there_the_next_day_and_is_no_return(tmp_path):
    look = ('see((portfolio.cash, portfolio.inout_cash, portfolio.starting_cash, portfolio.total_value, '
            'round(portfolio.returns, 9)))')
    assert seen({'3 9:30': f'order(A, 1000); inout_cash(5000); {look}', '4 9:30': look}, tmp_path) == [
        (90_000.0, 100_000.0, 100_000.0, 100_000.0, 0.0), (95_000.0, 105_000.0, 105_000.0, 105_000.0, 0.0)]


# ------------------------------------------------------------------------------------------------------------ ex-dates

LOOK = ('see((portfolio.cash, positions[A].total_amount, positions[A].closeable_amount, positions[A].price, '
        'round(positions[A].avg_cost, 6), round(portfolio.total_value, 6)))')


def test_dividend_and_bonus_shares_are_there_before_the_open_of_the_ex_date(tmp_path):
    # 0.50 yuan a share less 20 % of tax: 400 yuan; 1000 shares become 1200; (10 - 0.50) / 1.2 = 7.92; the cost is 9600 / 1200
    table = market({A: [10.0, 10.0, 8.0, 8.0]}, preclose={A: {2: 7.92}}, cash_dividend={A: {2: 0.5}}, share_ratio={A: {2: 1.2}})
    strategy = play({'3 9:30': 'order(A, 1000)', '3 15:30': LOOK, '4 9:00': LOOK,
                     '4 9:30': f'{LOOK}; order_target(A, 0); {LOOK}'}, tmp_path, table)
    assert strategy.g.seen == [
        (90_000.0, 1000, 0, 10.0, 10.0, 100_000.0), (90_400.0, 1200, 1200, 7.92, 8.0, 99_904.0),
        (90_400.0, 1200, 1200, 8.0, 8.0, 100_000.0), (100_000.0, 0, 0, 0.0, 0.0, 100_000.0)]


def test_a_fraction_of_a_bonus_share_is_lost(tmp_path):
    table = market({A: [10.0, 10.0, 9.0, 9.0]}, preclose={A: {2: 9.01}}, share_ratio={A: {2: 1.1099}})
    assert seen({'3 9:30': 'order(A, 300)', '4 9:00': 'see((positions[A].total_amount, portfolio.cash))'}, tmp_path, table) == [
        (332, 97_000.0)]  # 332.97


def test_without_columns_the_reference_price_tells_the_ex_date(tmp_path):
    # 10 000 yuan at 9.50 are 1052 shares and 6 yuan; the value stays, and the cost is 9994 / 1052
    table = market({A: [10.0, 10.0, 9.6, 9.6]}, preclose={A: {2: 9.5}})
    assert seen({'3 9:30': 'order(A, 1000)', '4 9:00': LOOK, '4 9:30': LOOK}, tmp_path, table) == [
        (90_006.0, 1052, 1052, 9.5, 9.5, 100_000.0), (90_006.0, 1052, 1052, 9.6, 9.5, 100_105.2)]


def test_an_order_before_the_open_of_an_ex_date_sells_the_new_shares_too(tmp_path):
    table = market({A: [10.0, 10.0, 8.0, 8.0]}, preclose={A: {2: 8.0}}, share_ratio={A: {2: 1.25}})
    strategy = play({'3 9:30': 'order(A, 1000)', '4 9:00': 'order_target_value(A, 0)'}, tmp_path, table)
    assert fills(strategy) == [('2024-01-03', A, 1000, 10.0), ('2024-01-04', A, -1250, 8.0)]


def test_a_delisted_holding_becomes_cash(tmp_path):
    table = market({A: [10.0, 10.0, 9.9, None, None, None], B: [10.0] * 6})
    assert seen({'3 9:30': 'order(A, 1000)', '5 9:00': 'see((len(positions), portfolio.cash, portfolio.total_value))',
                 '8 9:30': 'order(B, 100); see(list(positions))'}, tmp_path, table, delist_wait=0) == [
        (0, 99_900.0, 99_900.0), [B]]
