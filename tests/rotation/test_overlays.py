"""Stops in runs on tiny markets: the day and the reason of each sale, at, above and below every bound."""

import pytest

from bt_microcap.rotation.overlays import StopLoss, TakeProfit, TrailingStop
from tests.support.markets import bar, paused, tiny_market
from tests.support.rotating import buys_of, orders_of, rotate, sales_of

A, B = '600001.XSHG', '600002.XSHG'
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])


def held(*days):
    """A market in which A is bought at 10.00 on the second day, 2024-01-03; what is given are the days from there on."""
    return tiny_market({A: [10.0, *days]})


def sold(table, market=True, **params):
    """Return (month-day, why, reason) of each sale."""
    return [(day, why, reason) for day, _, why, reason in sales_of(rotate(table, market=market, **params))]


# ------------------------------------------------------------------------------------------ stop-loss


@WAYS
@pytest.mark.parametrize(('close', 'expected'), [
    (9.11, []),  # 8.9 %
    (9.10, [('01-04', 'stop loss', '')]),  # 9 %
    (9.09, [('01-04', 'stop loss', '')]),
    (10.5, []),
])
def test_a_stop_loss_sells_at_the_next_open(market, close, expected):
    # what the open does then is nobody's business: it is sold at 10.00
    table = held((10.0, close), 10.0, 10.0)
    run = rotate(table, market=market, stop_loss=0.09)
    assert [(day, why, reason) for day, _, why, reason in sales_of(run)] == expected
    if expected:
        assert run.analyzers.blotter.fills[-1].price == 10.0
        assert run.analyzers.blotter.fills[-1].quantity == 10_000


@pytest.mark.parametrize(('cost', 'close'), [(7.0, 6.37), (3.0, 2.73), (11.0, 10.01), (6.0, 5.46), (0.2, 0.18), (100.0, 91.0)])
def test_a_loss_of_just_that_size_whatever_its_binary_digits(cost, close):
    loss = round(1 - close / cost, 2)
    table = tiny_market({A: [cost, (cost, close), close]})
    assert sold(table, stop_loss=loss) == [('01-04', 'stop loss', '')]
    above = tiny_market({A: [cost, (cost, close + 0.01), close]})
    assert sold(above, stop_loss=loss) == []


def test_the_cost_is_the_price_paid_with_slippage_and_without_fees():
    # half of 2 % at 10.00: bought at 10.10, and 9.19 is 9.01 % below, 9.20 is 8.91 %
    for close, expected in ((9.20, []), (9.19, [('01-04', 'stop loss', '')])):
        found = sold(held((10.0, close), 10.0), stop_loss=0.09, options={'slippage': 0.02, 'commission': 0.003})
        assert found == expected


def test_a_fall_over_several_days():
    assert sold(held(10.0, 9.7, 9.4, 9.2, 9.1, 9.3), stop_loss=0.09) == [('01-10', 'stop loss', '')]


# What the day after the purchase pays: 1 yuan, told by the row or by its reference price; or two shares for one
EX = {
    'a dividend': ({'preclose': 9.0, 'cash_dividend': 1.0}, 9.0),
    'a reference price': ({'preclose': 9.0}, 9.0),
    'bonus shares': ({'preclose': 5.0, 'share_ratio': 2.0}, 5.0),
    'both': ({'preclose': 4.5, 'cash_dividend': 1.0, 'share_ratio': 2.0}, 4.5),
}
BY_EX = pytest.mark.parametrize(('said', 'cost'), EX.values(), ids=EX.keys())


@WAYS
@BY_EX
def test_an_ex_date_is_no_loss(market, said, cost):
    assert sold(held(10.0, bar(cost, **said), cost, cost), market, stop_loss=0.05) == []


@WAYS
@BY_EX
def test_a_stop_loss_after_an_ex_date_goes_by_the_restated_cost(market, said, cost):
    # 9 % below 9.00 is 8.19, below 5.00 is 4.55, below 4.50 is 4.095
    at = {9.0: 8.19, 5.0: 4.55, 4.5: 4.09}[cost]
    assert sold(held(10.0, bar(cost, at, **said), 9.0), market, stop_loss=0.09) == [('01-05', 'stop loss', '')]
    assert sold(held(10.0, bar(cost, at + 0.01, **said), 9.0), market, stop_loss=0.09) == []


@WAYS
@pytest.mark.parametrize(('close', 'expected'), [(9.20, []), (9.19, [('01-04', 'stop loss', '')])])
def test_on_the_ex_date_the_last_close_is_restated_too(market, close, expected):
    # after 1 yuan the cost is 9.00 and the last close 8.20 or 8.19: a loss of 8.9 or 9 %
    table = held((10.0, close), bar(close - 1, preclose=close - 1, cash_dividend=1.0), close - 1)
    assert sold(table, market, stop_loss=0.09)[:1] == expected


@WAYS
def test_with_ex_rights_off_nothing_is_restated(market):
    table = held(10.0, bar(9.0, preclose=9.0), 9.0, 9.0)
    assert sold(table, market, stop_loss=0.09, options={'ex_rights': 'off'}) == [('01-05', 'stop loss', '')]


@WAYS
def test_a_sale_at_the_lower_limit_is_tried_again_while_the_reason_holds(market):
    # 8.10 is the lower limit after 9.00, 7.29 that after 8.10
    table = held((10.0, 9.0), 8.1, 7.29, (7.0, 7.2), 7.2)
    assert sold(table, market, stop_loss=0.09) == [
        ('01-04', 'stop loss', 'limit down'), ('01-05', 'stop loss', 'limit down'), ('01-08', 'stop loss', '')]


@WAYS
def test_what_recovers_before_it_could_be_sold_stays(market):
    # refused at 8.10, which then closes at 9.11
    table = held((10.0, 9.0), bar(8.1, 9.11), 9.2, 9.2)
    assert sold(table, market, stop_loss=0.09) == [('01-04', 'stop loss', 'limit down')]


@WAYS
@pytest.mark.parametrize('gone', [paused(), None], ids=['with a row', 'without'])
def test_what_is_suspended_is_not_tried(market, gone):
    """It is known before the open; after it the last close still gives the reason."""
    table = tiny_market({A: [10.0, (10.0, 9.0), gone, 9.0, 9.0], B: [bar(5.0, cap=9e9)] + [5.0] * 4})
    assert sold(table, market, stop_loss=0.09) == [('01-05', 'stop loss', '')]


@WAYS
@pytest.mark.parametrize(('close', 'expected'), [(9.2, []), (9.19, ['01-08'])])
def test_an_ex_date_on_the_first_day_after_a_suspension_without_rows(market, close, expected):
    # 1 yuan is paid: a cost of 9.00 against the restated close of 8.20 or 8.19
    table = tiny_market({A: [10.0, 10.0, (10.0, close), None, bar(close - 1, preclose=close - 1, cash_dividend=1.0), close - 1],
                         B: [bar(5.0, cap=9e9)] + [5.0] * 5})
    assert [day for day, *_ in sold(table, market, stop_loss=0.09)][:1] == expected


# ------------------------------------------------------------------------------------------ what is bought after it


@WAYS
@pytest.mark.parametrize('keep', [False, True])
def test_it_is_not_bought_again_on_the_same_day(market, keep):
    # A is always the first pick, B the second
    table = tiny_market({A: [bar(10.0, cap=2e9), (10.0, 9.0), 9.0, 9.0, 9.0], B: [bar(5.0, cap=3e9)] + [5.0] * 4})
    found = orders_of(rotate(table, market=market, stop_loss=0.09, refresh_rate=1, keep=keep))
    assert found[:3] == [('01-03', A, 'BUY', 'rebalance', 10_000, ''), ('01-04', A, 'SELL', 'stop loss', 10_000, ''),
                         ('01-04', B, 'BUY', 'rebalance', 18_000, '')]
    assert found[3:5] == [('01-05', B, 'SELL', 'rebalance', 18_000, ''), ('01-05', A, 'BUY', 'rebalance', 10_000, '')]


@WAYS
@pytest.mark.parametrize(('cooldown', 'again'), [(0, '01-05'), (1, '01-05'), (2, '01-08'), (3, '01-09'), (9, None)])
def test_a_cooldown_is_counted_in_trading_days_the_day_of_the_sale_among_them(market, cooldown, again):
    """As the param rebuy_ban: 1 is the day of the sale alone. A weekend between is no day."""
    table = tiny_market({A: [bar(10.0, cap=2e9), (10.0, 9.0)] + [9.0] * 5, B: [bar(5.0, cap=3e9)] + [5.0] * 6})
    found = buys_of(rotate(table, market=market, stop_loss=0.09, refresh_rate=1, cooldown=cooldown, keep=True))
    assert [day for day, code, _ in found if code == A] == ['01-03', *([again] if again else [])]


@WAYS
def test_a_cooldown_begins_with_the_last_try(market):
    # refused on 01-04, sold on 01-05; with 2 days it is bought again on 01-09
    table = tiny_market({A: [bar(10.0, cap=2e9), (10.0, 9.0), 8.1, (8.0, 8.0), 8.0, 8.0], B: [bar(5.0, cap=3e9)] + [5.0] * 5})
    found = buys_of(rotate(table, market=market, stop_loss=0.09, refresh_rate=1, cooldown=2, keep=True))
    assert [day for day, code, _ in found if code == A] == ['01-03', '01-09']


def test_a_cooldown_is_not_for_a_sale_of_the_rebalance():
    # B is the smallest on the second day, A again on the third
    table = tiny_market({A: [bar(10.0, cap=2e9), bar(10.0, cap=4e9), bar(10.0, cap=2e9), 10.0, 10.0],
                         B: [bar(5.0, cap=3e9)] + [5.0] * 4})
    found = buys_of(rotate(table, stop_loss=0.09, refresh_rate=1, cooldown=9, keep=True))
    assert [(day, code) for day, code, _ in found] == [('01-03', A), ('01-04', B), ('01-05', A)]


# ------------------------------------------------------------------------------------------ take profit


@WAYS
@pytest.mark.parametrize(('close', 'expected'), [
    (10.79, []), (10.80, [('01-04', 'take profit', '')]), (10.81, [('01-04', 'take profit', '')]), (9.0, [])])
def test_a_take_profit(market, close, expected):
    assert sold(held((10.0, close), 10.0, 10.0), market, take_profit=0.08) == expected


@WAYS
@BY_EX
def test_a_take_profit_after_an_ex_date(market, said, cost):
    # 8 % above 9.00 is 9.72, above 5.00 is 5.40, above 4.50 is 4.86
    at = {9.0: 9.72, 5.0: 5.4, 4.5: 4.86}[cost]
    assert sold(held(10.0, bar(cost, at, **said), 9.0), market, take_profit=0.08) == [('01-05', 'take profit', '')]
    assert sold(held(10.0, bar(cost, at - 0.01, **said), 9.0), market, take_profit=0.08) == []


def test_a_profit_of_more_than_all():
    table = tiny_market({A: [10.0, 10.0, 11.0, 12.1, 13.3, 14.6, 16.0, 17.6, 19.3, 20.0, 20.0]})
    assert sold(table, take_profit=1.0) == [('01-16', 'take profit', '')]


# ------------------------------------------------------------------------------------------ trailing stop


@WAYS
@pytest.mark.parametrize(('closes', 'expected'), [
    ((11.0, 12.0, 10.81, 10.85), []),
    ((11.0, 12.0, 10.80, 10.85), [('01-08', 'trailing stop', '')]),
    ((11.0, 12.0, 10.79, 10.85), [('01-08', 'trailing stop', '')]),
    ((9.01, 9.1, 9.1, 9.1), []),  # the first peak is the cost
    ((9.0, 9.1, 9.1, 9.1), [('01-04', 'trailing stop', '')]),
    ((10.5, 9.46, 9.5, 9.5), []), ((10.5, 9.45, 9.5, 9.5), [('01-05', 'trailing stop', '')]),
])
def test_a_trailing_stop(market, closes, expected):
    first, *rest = closes
    assert sold(held((10.0, first), *rest, 10.85), market, trailing_stop=0.1)[:1] == expected


def test_highs_of_the_day_are_no_peak():
    table = held((10.0, 10.0), bar(11.0, 10.0), 9.5, 9.5)  # opens at 11, closes at 10: 10 % below 11 is 9.9
    assert sold(table, trailing_stop=0.1) == []


@WAYS
@pytest.mark.parametrize(('said', 'opening', 'at'), [
    ({'preclose': 11.0, 'cash_dividend': 1.0}, 11.0, 9.9),  # 12 less 1 is 11
    ({'preclose': 11.0}, 11.0, 9.9),
    ({'preclose': 6.0, 'share_ratio': 2.0}, 6.0, 5.4),
])
def test_a_peak_is_restated_over_an_ex_date(market, said, opening, at):
    for close, expected in ((at, ['01-08']), (at + 0.01, [])):
        table = held((10.0, 11.0), 12.0, bar(opening, close, **said), at)
        assert [day for day, *_ in sold(table, market, trailing_stop=0.1)] == expected


@WAYS
def test_a_peak_before_the_last_close_is_restated_by_the_same_factor(market):
    # peak 12.00, last close 11.50, then 1 yuan: 12 x 10.5 / 11.5 is 10.9565, and a tenth below it 9.861
    for close, expected in ((9.86, ['01-09']), (9.87, [])):
        table = held((10.0, 11.0), 12.0, 11.5, bar(10.5, close, preclose=10.5, cash_dividend=1.0), 9.9)
        assert [day for day, *_ in sold(table, market, trailing_stop=0.1)] == expected


@WAYS
def test_a_new_purchase_begins_with_a_new_peak(market):
    # peak 12, sold at 10.80 on 01-08; bought again at 10.80 on 01-09: its bound is 9.72
    table = tiny_market({A: [10.0, (10.0, 11.0), 12.0, 10.8, 10.8, 10.8, 9.8, 9.72, 9.72]})
    found = orders_of(rotate(table, market=market, trailing_stop=0.1, refresh_rate=2, keep=True))
    assert [(day, side, why) for day, _, side, why, *_ in found] == [
        ('01-03', 'BUY', 'rebalance'), ('01-08', 'SELL', 'trailing stop'), ('01-09', 'BUY', 'rebalance'),
        ('01-12', 'SELL', 'trailing stop')]


@WAYS
def test_what_is_sold_and_bought_on_one_day_is_a_new_purchase(market):
    # without keep it is bought anew at 12.00 on 01-05: from there 10.80 is the bound. Kept, its peak is the close of 13.00
    days = [10.0, (10.0, 13.0), (12.0, 12.0), (12.0, 11.6), 11.6]
    for keep, expected in ((False, []), (True, ['01-08'])):
        found = sales_of(rotate(tiny_market({A: days}), market=market, trailing_stop=0.1, refresh_rate=1, keep=keep))
        assert [day for day, _, why, _ in found if why == 'trailing stop'] == expected


@WAYS
def test_a_day_without_a_row_forgets_no_peak(market):
    table = tiny_market({A: [10.0, 12.0, None, 10.9, 10.79, 10.79], B: [bar(5.0, cap=9e9)] + [5.0] * 5})
    assert sold(table, market, trailing_stop=0.1) == [('01-09', 'trailing stop', '')]


# ------------------------------------------------------------------------------------------ bad ones


@pytest.mark.parametrize(('make', 'said'), [
    (lambda: StopLoss(0), 'stop_loss is 0: expected a fraction above 0 and below 1: 0.09 for 9 %'),
    (lambda: StopLoss(1.0), 'stop_loss is 1.0'),
    (lambda: StopLoss(9), 'stop_loss is 9'),
    (lambda: StopLoss(-0.09), 'stop_loss is -0.09'),
    (lambda: StopLoss('9%'), "stop_loss is '9%'"),
    (lambda: StopLoss(True), 'stop_loss is True'),
    (lambda: TrailingStop(float('nan')), 'trailing_stop is nan'),
    (lambda: TakeProfit(0.0), 'take_profit is 0.0: expected a fraction above 0: 0.09 for 9 %'),
])
def test_stops_that_mean_nothing(make, said):
    with pytest.raises(ValueError, match=said):
        make()
