"""Switches of Backtrader's broker that are honoured or refused, slippage of resting orders, and the volume of a day."""

import backtrader as bt
import pytest

from bt_microcap import AShareBroker, AShareCommission
from tests.support.markets import bar, tiny_market
from tests.support.scripted import buy, close, play, sell, steps

A, B, STAR = '600001.XSHG', '000002.XSHE', '688001.XSHG'
CLOSE, LIMIT, STOP = bt.Order.Close, bt.Order.Limit, bt.Order.Stop
STOP_LIMIT, TRAIL, TRAIL_LIMIT = bt.Order.StopLimit, bt.Order.StopTrail, bt.Order.StopTrailLimit
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])


def trade(days, script, **params):
    """Play a script free of charge over stock A, beside B which stands at 10.00 on every day."""
    table = tiny_market({A: days, B: [10.0] * max(len(days), 3)})
    params.setdefault('commission', AShareCommission(commission=0.0, min_commission=0.0, stamp_duty=0.0))
    return play(table, script, **params)


def prepared(prepare):
    broker = AShareBroker(cash=100_000.0)
    prepare(broker)
    return broker


# ------------------------------------------------------------------------------------- Backtrader's switches


SLIPPAGES = {
    'perc': (lambda: prepared(lambda broker: broker.set_slippage_perc(0.002)), 10.02, 9.98),
    'perc as a param': (lambda: AShareBroker(cash=100_000.0, slip_perc=0.002), 10.02, 9.98),
    'fixed': (lambda: prepared(lambda broker: broker.set_slippage_fixed(0.03)), 10.03, 9.97),
    'fixed as a param': (lambda: AShareBroker(cash=100_000.0, slip_fixed=0.03), 10.03, 9.97),
    'the last one counts': (lambda: prepared(lambda broker: (broker.set_slippage_fixed(0.03), broker.set_slippage_perc(0.002))),
                            10.02, 9.98),
    'in place of ours': (lambda: AShareBroker(cash=100_000.0, slippage=0.02, slip_fixed=0.03), 10.03, 9.97),
    'none': (lambda: prepared(lambda broker: broker.set_slippage_perc(0.0)), 10.0, 10.0),
}


@WAYS
@pytest.mark.parametrize('at_open', [True, False], ids=['at the open', 'on the eve'])
@pytest.mark.parametrize('name', SLIPPAGES)
def test_backtraders_slippage_is_honoured(name, at_open, market):
    made, bought, sold = SLIPPAGES[name]
    first = 1 if at_open else 0
    run = trade([10.0] * 4, {first: buy(A, 1000), first + 1: close(A)}, at_open=at_open, broker=made(), market=market)
    assert run.fills == [(1, A, 1000, bought), (2, A, -1000, sold)]


@pytest.mark.parametrize('option', [{'slip_limit': False}, {'slip_match': False}, {'slip_out': True}], ids=str)
@pytest.mark.parametrize('switch', ['set_slippage_perc', 'set_slippage_fixed'])
def test_another_way_of_slipping_is_refused(switch, option):
    with pytest.raises(ValueError, match='leave slip_limit, slip_match and slip_out'):
        getattr(AShareBroker(), switch)(0.01, **option)
    with pytest.raises(ValueError, match='leave slip_limit'):
        AShareBroker(**{'set_slippage_perc': {'slip_perc': 0.01}, 'set_slippage_fixed': {'slip_fixed': 0.01}}[switch], **option)


SWITCHES = {'coc': True, 'shortcash': False, 'int2pnl': False, 'eosbar': True}


@pytest.mark.parametrize('name', SWITCHES)
def test_a_switch_that_could_do_nothing_is_refused(name):
    other = SWITCHES[name]
    with pytest.raises(ValueError, match=f'AShareBroker has no {name}: '):
        getattr(AShareBroker(), f'set_{name}')(other)
    with pytest.raises(ValueError, match=f'AShareBroker has no {name}: '):
        AShareBroker(**{name: other})
    getattr(AShareBroker(), f'set_{name}')(not other)  # its default
    AShareBroker(**{name: not other})


def test_eosbar_by_its_other_name():
    with pytest.raises(ValueError, match='AShareBroker has no eosbar: '):
        AShareBroker().seteosbar(True)


@WAYS
@pytest.mark.parametrize('as_param', [True, False])
def test_a_filler_is_asked(as_param, market):
    """300 shares an order and bar: the rest of a market order is cancelled, that of a limit order waits."""
    filler = bt.fillers.FixedSize(size=300)
    broker = AShareBroker(cash=100_000.0, filler=filler) if as_param else prepared(lambda broker: broker.set_filler(filler))
    run = trade([10.0] * 6, {1: steps(buy(A, 1000), buy(B, 700, exectype=LIMIT, price=10.0)), 4: close(A)},
                broker=broker, market=market)
    assert run.fills == [(1, A, 300, 10.0), (1, B, 300, 10.0), (2, B, 300, 10.0), (3, B, 100, 10.0), (4, A, -300, 10.0)]
    assert [run.statuses(order)[-1] for order in run.orders] == ['Canceled', 'Completed', 'Completed']
    assert run.orders[0].info.reason == 'volume limit'


@WAYS
def test_a_filler_and_the_volume_limit_hold_together(market):
    """A fiftieth of the bar is 2,000 shares; a tenth of 15,000 is 1,500; the lesser counts, and buys go by the lot."""
    def filler(order, price, ago):
        asked.append((order.size, price, ago))
        return 250.0 if order.data._name == B else 1e9

    asked = []
    broker = prepared(lambda broker: broker.set_filler(filler))
    broker.p.volume_limit = 0.1
    run = trade([10.0, bar(10.0, volume=15_000.0), 10.0], {1: steps(buy(A, 5000), buy(B, 5000))}, broker=broker, market=market)
    assert run.fills == [(1, A, 1500, 10.0), (1, B, 200, 10.0)]
    assert [size for size, _, _ in asked] == [5000, 5000]
    assert {ask[1:] for ask in asked} == {(10.0, 0)}


@WAYS
@pytest.mark.parametrize(('filler', 'bought'), [
    (bt.fillers.FixedBarPerc(perc=5.0), 400),  # 450
    (bt.fillers.BarPointPerc(minmov=0.01, perc=10.0), 900),  # all of the bar at one price
    (bt.fillers.FixedSize(), 5000),
])
def test_backtraders_fillers(filler, bought, market):
    broker = prepared(lambda broker: broker.set_filler(filler))
    run = trade([10.0, bar(10.0, volume=9_000.0), 10.5], {1: buy(A, 5000)}, broker=broker, market=market)
    assert run.fills == [(1, A, bought, 10.0)]


@WAYS
def test_without_broker_coo_an_order_of_the_open_fills_at_the_next_one(market):
    run = trade([10.0, (10.1, 10.2), (10.3, 10.4), 10.5], {1: buy(A, 1000)}, market=market, cerebro={'broker_coo': False})
    assert run.fills == [(2, A, 1000, 10.3)]
    assert run.statuses(run.orders[0]) == ['Accepted', 'Completed']


# ------------------------------------------------------------------------------------------ slippage of what rests

# 1 % each way; order, the next day's (open, close), the fill
RESTING = {
    'stop sale': (sell(A, 1000, exectype=STOP, price=9.6), (10.0, 9.5), -1000, 9.5),  # 9.504
    'stop sale behind a gap': (sell(A, 1000, exectype=STOP, price=9.6), (9.5, 9.6), -1000, 9.41),  # 9.405
    'stop buy': (buy(A, 1000, exectype=STOP, price=10.4), (10.0, 10.5), 1000, 10.5),  # 10.504
    'limit buy up to its limit': (buy(A, 1000, exectype=LIMIT, price=9.8), (10.0, 9.7), 1000, 9.8),
    'limit buy behind a gap, up to its limit': (buy(A, 1000, exectype=LIMIT, price=9.8), (9.75, 9.7), 1000, 9.8),  # 9.8475
    'limit buy behind a wide gap': (buy(A, 1000, exectype=LIMIT, price=9.8), (9.5, 9.7), 1000, 9.6),  # 9.595
    'limit sale behind a gap': (sell(A, 1000, exectype=LIMIT, price=10.2), (10.5, 10.6), -1000, 10.4),  # 10.395
    'limit sale down to its limit': (sell(A, 1000, exectype=LIMIT, price=10.2), (10.25, 10.6), -1000, 10.2),  # 10.1475
    'stop limit sale': (sell(A, 1000, exectype=STOP_LIMIT, price=9.6, plimit=9.55), (10.0, 9.5), -1000, 9.55),  # 9.504
    'stop limit buy': (buy(A, 1000, exectype=STOP_LIMIT, price=10.4, plimit=10.6), (10.0, 10.5), 1000, 10.5),  # 10.504
    'trail': (sell(A, 1000, exectype=TRAIL, price=10.0, trailamount=0.4), (10.0, 9.5), -1000, 9.5),
    'trail limit': (sell(A, 1000, exectype=TRAIL_LIMIT, price=10.0, plimit=9.95, trailamount=0.4), (10.0, 9.5), -1000, 9.55),
    'close': (sell(A, 1000, exectype=CLOSE), (10.0, 9.5), -1000, 9.41),  # 9.405
}


@WAYS
@pytest.mark.parametrize('at_open', [True, False], ids=['at the open', 'on the eve'])
@pytest.mark.parametrize('name', RESTING)
def test_what_rests_slips_too(name, at_open, market):
    step, day, size, price = RESTING[name]
    first = 1 if at_open else 0
    run = trade([10.0, 10.0, day, 10.0], {first: buy(A, 1000), first + 1: step}, at_open=at_open, market=market, slippage=0.02)
    assert run.fills == [(1, A, 1000, 10.1), (2, A, size, price)]
    assert run.orders[1].info['open'] in (10.0, 9.6, 10.4, 9.8, 10.2, 9.5, *day)  # what the fill is compared with


@WAYS
def test_a_stop_that_slips_past_the_limit_of_the_day_waits(market):
    """9.05 x 0.99 = 8.96, below the limit of 9.00; on the next day it opens at 9.20, below the stop no more, but falls to it."""
    run = trade([10.0, 10.0, (9.5, 9.02), (9.2, 9.0)], {1: buy(A, 1000), 2: sell(A, 1000, exectype=STOP, price=9.05)},
                market=market, slippage=0.02)
    assert run.fills == [(1, A, 1000, 10.1), (3, A, -1000, 8.96)]


@WAYS
def test_impact_moves_what_rests(market):
    """0.1 x sqrt(10,000 / 1,000,000) = 1 % of 9.60."""
    run = trade([10.0, 10.0, (10.0, 9.5)], {1: buy(A, 9_000), 2: sell(A, 9_000, exectype=STOP, price=9.6)},
                market=market, impact=0.1)
    # 9,000 of a million: 0.1 x sqrt(0.009) = 0.94868 %: 10.0949 -> 10.09, 9.5089 -> 9.51
    assert run.fills == [(1, A, 9_000, 10.09), (2, A, -9_000, 9.51)]


# ---------------------------------------------------------------------------------------------- a day's volume


@WAYS
@pytest.mark.parametrize('kind', [{}, {'exectype': CLOSE}, {'exectype': LIMIT, 'price': 10.0}, {'exectype': STOP, 'price': 9.0}],
                         ids=['market', 'close', 'limit', 'stop'])
def test_fifteen_orders_take_no_more_than_one(kind, market):
    """A tenth of 20,000 shares a day, whoever asks; on the next day again."""
    days = [10.0, bar(10.0, volume=20_000.0), bar(10.0, volume=20_000.0), 10.0]
    many = steps(*[buy(A, 300, **kind)] * 15)
    run = trade(days, {1: many, 2: buy(A, 300, **kind)}, market=market, volume_limit=0.1)
    sizes = [[size for day, _, size, _ in run.fills if day == on] for on in (1, 2, 3)]
    assert sizes[0] == [300] * 6 + [200]
    if kind.get('exectype') in (LIMIT, STOP):
        assert sizes[1:] == [[100] + [300] * 6 + [100], [200, 300, 300]]
    else:
        assert sizes[1:] == [[300], []]
        assert [refusal[2] for refusal in run.refusals] == ['volume limit'] * 8
        assert run.statuses(run.orders[6]) == ['Accepted', 'Partial', 'Canceled']


@WAYS
def test_buys_and_sales_of_all_kinds_share_the_volume(market):
    """2,000 shares: sales of 800 and 700, a limit buy of 300, and 200 for the buy at the close."""
    days = [10.0, 10.0, bar(10.0, volume=20_000.0), 10.0]
    script = {1: buy(A, 5_000), 2: steps(
        sell(A, 800), sell(A, 700), buy(A, 900, exectype=CLOSE), buy(A, 300, exectype=LIMIT, price=10.0), buy(B, 1_000))}
    run = trade(days, script, market=market, volume_limit=0.1)
    assert run.fills[1:] == [(2, A, -800, 10.0), (2, A, -700, 10.0), (2, B, 1000, 10.0), (2, A, 300, 10.0), (2, A, 200, 10.0)]


@WAYS
def test_the_volume_of_a_stock_sold_out_is_remembered(market):
    """Sold whole and bought back on one day: the position is forgotten, the volume that it took is not."""
    days = [10.0, 10.0, bar(10.0, volume=20_000.0), 10.0]
    run = trade(days, {1: buy(A, 1_500), 2: steps(close(A), buy(A, 1_500))}, market=market, volume_limit=0.1)
    assert run.fills[1:] == [(2, A, -1500, 10.0), (2, A, 500, 10.0)]


@WAYS
def test_odd_shares_within_the_volume(market):
    """STAR buys go by the share, from 200 on: 333 of 3,333; 533 of 5,339, of which the second order gets 233."""
    table = tiny_market({STAR: [10.0, bar(10.0, volume=3_333.0), bar(10.0, volume=5_339.0), 10.0], A: [10.0] * 4})
    run = play(table, {1: buy(STAR, 1000), 2: steps(*[buy(STAR, 300)] * 3)}, market=market, volume_limit=0.1)
    assert run.fills == [(1, STAR, 333, 10.0), (2, STAR, 300, 10.0), (2, STAR, 233, 10.0)]
    assert run.refusals == [(2, STAR, 'volume limit')]
