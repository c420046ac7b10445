"""What an order fills at, by hand: slippage, ticks and impact, in runs by the broker and by the strategy."""

import pytest

from bt_microcap import AShareBroker, AShareCommission
from bt_microcap.profiles import PROFILES
from tests.support.invariants import check
from tests.support.markets import bar, tiny_market
from tests.support.running import run_feeds, run_market
from tests.support.scripted import buy, close, play

A, STAR = '600001.XSHG', '688001.XSHG'
FREE = {'commission': 0.0, 'min_commission': 0.0, 'stamp_duty': 0.0, 'transfer_fee': 0.0}


def price_of(opening, size, side='BUY', *, code=A, volume=1e6, **params):
    """Give the (price, size) of the fills of one order, and why it was refused or cut."""
    days = [opening, bar(opening, volume=volume if side == 'BUY' else 1e9), bar(opening, volume=volume), opening]
    script = {1: buy(code, size)} if side == 'BUY' else {1: buy(code, size), 2: close(code)}
    broker = AShareBroker(cash=1e9, **params)
    run = play(tiny_market({code: days}), script, broker=broker, commission=AShareCommission(**FREE))
    day = 1 if side == 'BUY' else 2
    fills = [(fill.price, abs(fill.size)) for fill in run.fills if fill.day == day]
    reasons = [note.reason for note in run.notes if note.day == day and note.status in ('Rejected', 'Canceled')]
    return fills, reasons


@pytest.mark.parametrize(('opening', 'params', 'up', 'down'), [
    (10.0, {}, 10.0, 10.0),
    (10.0, {'slippage': 0.002}, 10.01, 9.99),
    (5.0, {'slippage': 0.002}, 5.01, 5.0),  # 5.005 and 4.995: ties go up
    (10.0, {'slippage': 0.00246}, 10.01, 9.99),  # 10.0123 and 9.9877
    (10.0, {'slippage_ticks': 1.0}, 10.01, 9.99),
    (10.0, {'slippage_ticks': 2.5}, 10.03, 9.98),  # 10.025 and 9.975: ties go up
    (10.0, {'slippage': 0.002, 'slippage_ticks': 2.0}, 10.03, 9.97),
])
def test_slippage_and_ticks_do_not_depend_on_the_size(opening, params, up, down):
    for size in (100, 10_000):
        assert price_of(opening, size, **params) == ([(up, size)], [])
    # the purchase before is at the same parameters
    assert price_of(opening, 1000, 'SELL', **params) == ([(down, 1000)], [])


@pytest.mark.parametrize(('size', 'volume', 'impact', 'up'), [
    (10_000, 1e6, 0.1, 10.1),  # the root of a hundredth is a tenth: 1 %
    (10_000, 40_000, 0.1, 10.5),  # of a quarter a half: 5 %
    (10_000, 10_000, 0.1, 11.0),  # all of the day
    (100, 1e6, 0.03, 10.0),  # 0.03 %: 10.003
    (40_000, 1e6, 0.03, 10.06),  # 0.6 %
])
def test_the_impact_grows_with_the_root_of_the_share(size, volume, impact, up):
    assert price_of(10.0, size, volume=volume, impact=impact) == ([(up, size)], [])


def test_the_impact_of_a_sale():
    # 10,000 of 250,000 shares: a fifth of 0.1
    assert price_of(10.0, 10_000, 'SELL', volume=250_000, impact=0.1) == ([(9.8, 10_000)], [])


def test_an_order_that_is_cut_fills_at_the_price_of_what_is_left():
    # a quarter of 40,000 shares: half of 0.1
    fills, reasons = price_of(10.0, 30_000, volume=40_000, volume_limit=0.25, impact=0.1)
    assert (fills, reasons) == ([(10.5, 10_000)], ['volume limit'])


def test_the_share_is_at_most_the_limit():
    # 410 of 1,000 shares may be bought, 400 are whole lots: the price is that of 400: 10 x (1 + 0.1 x 0.63246) = 10.632
    fills, _ = price_of(10.0, 1000, volume=1000, volume_limit=0.41, impact=0.1)
    assert fills == [(10.63, 400)]


def test_nothing_is_sold_below_one_cent():
    assert price_of(0.02, 1000, 'SELL', slippage_ticks=1.0, volume=1e6) == ([(0.01, 1000)], [])
    table = tiny_market({A: [0.03] * 4}).assign(high_limit=1.0, low_limit=0.01)
    script = {1: buy(A, 100), 2: close(A)}
    for slippage, down in ((1.0, 0.02), (1.9, 0.01)):  # 0.015 and 0.0015
        run = play(table, script, broker=AShareBroker(cash=1e6, slippage=slippage), commission=AShareCommission(**FREE))
        assert run.fills[1][1:] == (A, -100, down)
    run = play(table, script, broker=AShareBroker(cash=1e6, slippage_ticks=7.0), commission=AShareCommission(**FREE))
    assert run.fills[1][1:] == (A, -100, 0.01)


@pytest.mark.parametrize(('ticks', 'filled'), [(99.0, True), (100.0, True), (100.5, False), (101.0, False)])
@pytest.mark.parametrize('side', ['BUY', 'SELL'])
def test_the_limit_of_the_day_may_be_met_but_not_passed(ticks, filled, side):
    # 10.00: from 9.00 to 11.00. A tie at 11.005 goes up, one at 8.995 goes up to 9.00.
    days = [10.0, bar(10.0, volume=1e6), 10.0, 10.0]
    broker = AShareBroker(cash=1e9, slippage_ticks=ticks)
    table = tiny_market({A: days})
    if side == 'BUY':
        run = play(table, {1: buy(A, 100)}, broker=broker, commission=AShareCommission(**FREE))
        assert (len(run.fills) == 1) == filled
    else:
        table['high_limit'] = 20.0  # for the purchase
        table['low_limit'] = 9.0
        run = play(table, {1: buy(A, 100), 2: close(A)}, broker=broker, commission=AShareCommission(**FREE))
        assert (len(run.fills) == 2) == (ticks < 101)
    if len(run.fills) < (1 if side == 'BUY' else 2):
        assert run.refusals[-1][2] == 'slipped past the limit'


@pytest.mark.parametrize('run', [run_feeds, run_market])
def test_the_price_of_nothing_decides_where_nothing_may_be_traded(run):
    """Of 300 shares a quarter is no lot. Without slippage the volume is the reason, with it the limit."""
    table = tiny_market({A: [bar(10.0, cap=2.1e9), bar(10.99, volume=300)]})
    for slippage, reason in ((0.0, 'volume limit'), (0.004, 'slipped past the limit')):
        blotter = run(table, stocknum=1, volume_limit=0.25, impact=0.5, slippage=slippage).analyzers.blotter
        assert [row.reason for row in blotter.rejections] == [reason]


# ------------------------------------------------------------------------------------------ STAR


@pytest.mark.parametrize(('ticks', 'reasons'), [(20.0, []), (21.0, ['slipped past the limit'])])
@pytest.mark.parametrize('side', ['BUY', 'SELL'])
def test_star_protection_both_ways(ticks, reasons, side):
    # 2 % of 10.00: 10.20 and 9.80 may be paid
    days = [10.0] * 4
    broker = AShareBroker(cash=1e9, slippage_ticks=ticks, star_protection=0.02)
    commission = AShareCommission(**FREE)
    if side == 'BUY':
        run = play(tiny_market({STAR: days}), {1: buy(STAR, 500)}, broker=broker, commission=commission)
        assert [reason for *_, reason in run.refusals] == reasons
        return
    table = tiny_market({STAR: [10.0, bar(20.0), 10.0, 10.0]})  # 2 % of 20.00 are 40 ticks
    table = table.assign(preclose=table['open'], high_limit=100.0, low_limit=1.0)
    broker = AShareBroker(cash=1e9, slippage_ticks=ticks, star_protection=0.02, ex_rights='off')
    run = play(table, {1: buy(STAR, 500), 2: close(STAR)}, broker=broker, commission=commission)
    assert run.fills[0][1:] == (STAR, 500, 20.0 + ticks / 100)
    assert [reason for *_, reason in run.refusals] == reasons


def test_other_boards_need_no_protection():
    assert price_of(10.0, 500, slippage_ticks=21.0, star_protection=0.02) == ([(10.21, 500)], [])
    assert price_of(10.0, 500, code='300001.XSHE', slippage_ticks=21.0, star_protection=0.02) == ([(10.21, 500)], [])


def test_the_profiles_protect_as_they_say():
    assert (PROFILES['realistic']['star_protection'], PROFILES['joinquant']['star_protection']) == (0.02, 0.0)
    assert (PROFILES['realistic']['volume_limit'], PROFILES['joinquant']['volume_limit']) == (0.1, 0.0)
    assert {PROFILES[name][key] for name in PROFILES for key in ('impact', 'slippage_ticks')} == {0.0}


# ------------------------------------------------------------------------------------------ sizes


@pytest.mark.parametrize(('cash', 'lots'), [(105_000.0, 100), (104_999.99, 99), (103_953.0, 99)])
def test_a_budget_pays_for_the_size_at_the_price_of_that_size(cash, lots):
    # 10,000 of 40,000 shares: 10.50, 105,000 yuan. 9,900: 0.2475, its root 0.49749: 10.497 -> 10.50, 103,950 yuan.
    table = tiny_market({A: [bar(10.0, cap=2.1e9), bar(10.0, volume=40_000)]})
    options = {**FREE, 'stocknum': 1, 'cash': cash, 'impact': 0.1, 'slippage': 0.0, 'volume_limit': 0.0}
    blotter = check(table, **options)
    assert [(fill.quantity, fill.price) for fill in blotter.fills] == [(lots * 100, 10.5)]


@pytest.mark.parametrize('impact', [0.01, 0.1, 0.5, 2.0])
@pytest.mark.parametrize('volume_limit', [0.0, 0.05, 1.0])
@pytest.mark.parametrize('code', [A, STAR, '300001.XSHE'])
def test_impact_in_a_run(impact, volume_limit, code):
    days = [bar(10.0, cap=2.1e9, volume=200_000), (10.0, 10.2), 10.2, (10.1, 9.9), 10.0, 10.0]
    for cash in (9_999.0, 300_000.0, 5e6):
        check(tiny_market({code: days}), stocknum=1, refresh_rate=2, cash=cash, impact=impact, volume_limit=volume_limit,
              star_protection=0.0)


@pytest.mark.parametrize('option', [{'impact': -0.1}, {'slippage_ticks': -1.0}, {'slippage': 2.0}, {'star_protection': -1.0},
                                    {'volume_limit': -0.1}, {'impact': '0.1'}, {'delist': 1.1}, {'delist': 'half'},
                                    {'dividend_tax': 1.1}, {'dividend_tax': 'held'}, {'impact': float('nan')}])
def test_wrong_values_are_refused(option):
    with pytest.raises(ValueError, match=f'^{next(iter(option))} is '):
        AShareBroker(**option)
