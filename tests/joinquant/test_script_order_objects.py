"""What a JoinQuant script reads of its orders and trades, and what the log says of them."""

import re

import pytest

from bt_microcap.joinquant.log import parse_log

from .scripts import fills, market
from .steps import STAR, A, B, flat, play, seen

# ---------------------------------------------------------------------------------------------- orders, trades, status


def test_what_an_order_says_of_itself(tmp_path):
    assert seen({'3 9:30': """
o = order(A, 550)
see((o.security, o.is_buy, o.amount, o.filled, o.price, o.avg_cost, o.side, o.action, o.pindex))
see((str(o.add_time), o.status is OrderStatus.held, str(o.status) == 'held', round(o.commission, 6)))
see(o.status == OrderStatus.held and o.filled == o.amount)""", '4 14:50': """
o = order(A, -200)
see((o.is_buy, o.amount, o.filled, o.price, round(o.avg_cost, 6), o.action, round(o.commission, 6)))
o = order_target(A, 0)
see((o.is_buy, o.amount, o.filled, o.price, round(o.avg_cost, 6), o.action, round(o.commission, 6)))"""},
        tmp_path, flat(A, close={A: {2: 10.4}}),
        setting='set_slippage(FixedSlippage(0)); set_order_cost(OrderCost(0, 0.001, 0.001, 0.001, 0, 5), "stock")') == [
        # 500 x 10 x 0.001 = 5; sales: 200 x 10.40 = 2080: 5 and 2.08 of tax; 300 x 10.40 = 3120: 5 and 3.12
        (A, True, 500, 500, 10.0, 10.0, 'long', 'open', 0), ('2024-01-03 09:30:00', True, True, 5.0), True,
        (False, 200, 200, 10.4, 10.0, 'close', 7.08), (False, 300, 300, 10.4, 10.0, 'close', 8.12)]


def test_the_numbers_of_order_status(tmp_path):
    assert seen({'3 9:30': """
see([(name, OrderStatus[name].value) for name in ('new', 'open', 'filled', 'canceled', 'rejected', 'held')])
see([str(status) for status in (OrderStatus.open, OrderStatus.canceled)])
order(A, 100)"""}, tmp_path) == [
        [('new', 8), ('open', 0), ('filled', 1), ('canceled', 2), ('rejected', 3), ('held', 4)], ['open', 'canceled']]


def test_get_orders_and_get_trades_are_of_today(tmp_path):
    assert seen({'3 9:30': """
a, b, c = order(A, 500), order(B, 200), order(STAR, 100)
see([o.security for o in get_orders().values()])
see([key == o.order_id for key, o in get_orders().items()])
see([o.security for o in get_orders(security=B).values()])
see(list(get_orders(order_id=a.order_id)) == [a.order_id])
see(len(get_orders(status=OrderStatus.held)) + 10 * len(get_orders(status=OrderStatus.canceled)))
see([(t.security, t.amount, t.price, str(t.time), t.order_id == o.order_id) for t, o in zip(get_trades().values(), (a, b))])
see([key == t.trade_id for key, t in get_trades().items()])
see([t.amount for t in get_trades(security=B).values()] + [t.amount for t in get_trades(order_id=a.order_id).values()])""",
                 '3 15:30': 'see((len(get_orders()), len(get_trades())))',
                 '4 9:00': 'see((len(get_orders()), len(get_trades())))'}, tmp_path) == [
        [A, B], [True, True], [B], True, 2,
        [(A, 500, 10.0, '2024-01-03 09:30:00', True), (B, 200, 10.0, '2024-01-03 09:30:00', True)], [True, True], [200, 500],
        (2, 2), (0, 0)]


def test_every_trade_has_a_number_of_its_own(tmp_path):
    # a limit order that fills during the day, between market orders that fill at once
    table = flat(A, B, open={A: {1: 10.0}}, low={A: {1: 9.5}}, close={A: {1: 9.6}})
    assert seen({'3 9:30': """
for shares in (500, 400, 300):
    order(A, shares, LimitOrderStyle(9.7))
    order(B, shares)
see(len(get_orders()))""", '3 14:50': """
see(sorted((t.security, t.amount) for t in get_trades().values()))
see(len({t.trade_id for t in get_trades().values()}))"""}, tmp_path, table) == [
        6, [(B, 300), (B, 400), (B, 500), (A, 300), (A, 400), (A, 500)], 6]


def test_many_orders_of_one_minute_have_numbers_of_their_own(tmp_path):
    assert seen({'3 9:30': """
for _ in range(600):
    order(A, 100)
see((len(get_orders()), len(get_trades())))"""}, tmp_path, cash=1e6) == [(600, 600)]


def test_the_texts_of_an_order_and_a_trade_have_the_names_of_the_platform(tmp_path):
    order_text, trade_text = seen({'3 9:30': 'see(str(order(A, 500))); see(str(list(get_trades().values())[0]))'}, tmp_path)
    assert order_text.startswith('UserOrder({') and "'status': held, 'amount': 500, 'filled': 500" in order_text
    assert trade_text.startswith('UserTrade({') and trade_text.endswith("'amount': 500, 'price': 10.0})")


# ----------------------------------------------------------------------------------------------------------- the log


def log_of(strategy, tmp_path):
    path = tmp_path / 'log.txt'
    path.write_text('\n'.join(strategy.log_lines) + '\n', encoding='utf-8')
    return parse_log(path)


def told(log):
    """Return the fills and the refusals of a log."""
    return ([(str(o.date), o.code, o.quantity * (1 if o.side == 'BUY' else -1), round(o.price, 6)) for o in log if o.quantity],
            [(str(o.date), o.code, o.side, o.reason) for o in log if not o.quantity])


def test_the_log_tells_the_fills_and_refusals_of_the_run(tmp_path):
    # B opens at its upper limit on the 3rd, is suspended on the 4th, and is at its lower limit on the 5th
    closes = {A: [10.0] * 4, B: [10.0, 10.8, 10.8, 9.72], STAR: [10.0] * 4, '000003.XSHE': [10.0] * 4}
    table = market(closes, open={B: {1: 11.0}}, paused={B: {2: 1}}, volume={'000003.XSHE': {1: 0.0}})
    strategy = play({
        '3 9:30': """
order_value(A, 3456)
order(B, 300)
order(STAR, 300)
order('0000' + '03.XSHE', 300)
order_target_value(A, 0)
order_value(A, 500)""",
        '3 14:50': 'order_target(A, 0); order_target_value(STAR, 0); order(B, 200)',
        # 50 000 - 2160 = 47 840 yuan
        '4 9:30': 'order_target_value(A, 0); order_value(B, 3000); order_value(A, 200_000.5)',
        '4 14:50': 'order(B, 100)',
        '5 9:00': 'order_value(A, 800)',
        '5 9:30': 'order_target_value(B, 0); order_target(A, 0)'}, tmp_path, table, cash=50_000.0)
    found, refused = told(log_of(strategy, tmp_path))
    assert found == fills(strategy) == [
        ('2024-01-03', A, 300, 10.0), ('2024-01-03', B, 200, 10.8), ('2024-01-04', A, -300, 10.0), ('2024-01-04', A, 4700, 10.0),
        ('2024-01-05', A, -4700, 10.0)]
    of_run = [(str(row.date), row.code, row.side, row.reason) for row in strategy.analyzers.blotter.rejections]
    assert [row for row in refused if '初步检查' not in row[3]] == of_run == [
        ('2024-01-03', B, 'BUY', 'limit up'), ('2024-01-03', STAR, 'BUY', 'star market order'),
        ('2024-01-03', '000003.XSHE', 'BUY', 'no volume'), ('2024-01-03', A, 'SELL', 'bought today'),
        ('2024-01-03', A, 'BUY', 'below one lot'), ('2024-01-03', A, 'SELL', 'bought today'),
        ('2024-01-04', B, 'BUY', 'suspended'), ('2024-01-04', B, 'BUY', 'suspended'),
        ('2024-01-05', A, 'BUY', 'below one lot'), ('2024-01-05', B, 'SELL', 'limit down')]


def test_the_log_has_budget_cash_limit_and_fee_of_an_order(tmp_path):
    strategy = play({'3 9:30': 'order_value(A, 123_456.5)', '4 9:30': 'order_target_value(A, 0)'}, tmp_path, setting='pass',
                    cash=63_973.0)
    # sized at 10.00: 6397 -> 6300; filled at 10.01 and 9.99; fees 0.0003, of the sale 0.001 more
    buy, sale = log_of(strategy, tmp_path)
    assert (buy.value, buy.cash_limited_to, buy.quantity, buy.price, round(buy.fee, 6)) == (123_456.5, 6397, 6300, 10.01, 18.9189)
    assert (sale.value, sale.side, sale.quantity, sale.price, round(sale.fee, 6)) == (0.0, 'SELL', 6300, 9.99, 81.8181)
    assert buy.entrust_id != sale.entrust_id


def test_the_words_of_the_log_are_those_of_the_platform(tmp_path):
    table = flat(A, B, STAR, open={B: {1: 11.0}}, paused={B: {2: 1}})
    strategy = play({'3 9:30': 'order(A, 650); order(B, 100); order(STAR, 200); order(A, 99)',
                     '4 9:30': 'order(B, 100); order(A, -250)'}, tmp_path, table)
    said = [line.split(' - ', 2)[1:] for line in strategy.log_lines]
    heads = [(level.strip(), text.split('Order(')[0].removesuffix('Stock')) for level, text in said]
    assert heads[:9] == [
        ('INFO', '开仓数量必须是100的整数倍，调整为 600: '), ('INFO', '下单检查标的数量：'), ('INFO', 'order '),
        ('INFO', '订单已委托：'),
        ('WARNING', '已经涨停，市价买单取消: '), ('INFO', '订单取消完成：'),
        ('ERROR', '订单委托失败：'), ('ERROR', '订单委托失败：'),
        ('ERROR', f'下单失败，证券({B})今日停牌: ')]
    assert '科创板市价单需要指定保护限价，取值必须大于 0 且小于 1 万元' in said[6][1]
    assert '开仓数量不能小于 100' in said[7][1]
    assert any(re.search('平仓数量必须是 ?100 ?的整数倍，调整为 200', text) for _, text in said[9:])
    assert heads[-2:] == [('INFO', 'order '), ('INFO', '订单已委托：')]
    assert strategy.log_lines[2].startswith('2024-01-03 09:30:00 - INFO  - order StockOrder(entrust_id=')
    assert strategy.log_lines[2].endswith(') trade price: 10.0, amount:600, commission: 0.0')


def test_the_log_tells_a_limit_order_that_fills_during_the_day(tmp_path):
    table = flat(A, open={A: {1: 10.0}}, low={A: {1: 9.5}}, close={A: {1: 9.6}})
    strategy = play({'3 9:30': 'order(A, 500, LimitOrderStyle(9.7))', '4 9:30': 'order(A, 200, LimitOrderStyle(8.8))'},
                    tmp_path, table)
    found, refused = told(log_of(strategy, tmp_path))
    assert found == fills(strategy) == [('2024-01-03', A, 500, 9.7)]
    assert [row[:3] for row in refused] == [('2024-01-04', A, 'BUY')]


def test_the_log_tells_what_the_volume_ratio_cut(tmp_path):
    table = flat(A, B, volume={A: 1000.0, B: 500.0})
    strategy = play({'3 9:30': 'see(said(order(A, 500))); see(said(order(B, 500)))'}, tmp_path, table,
                    setting='free_of_costs(); set_option("order_volume_ratio", 0.1)')
    assert strategy.g.seen == [('canceled', 500, 100, 10.0), ('canceled', 500, 0, 0.0)]
    found, refused = told(log_of(strategy, tmp_path))
    assert found == fills(strategy) == [('2024-01-03', A, 100, 10.0)]
    assert refused == [('2024-01-03', B, 'BUY', 'volume limit')]


@pytest.mark.parametrize('call', ['order_target_value(B, -12.5)', 'order_target(B, -100)', 'order(B, -100)', 'order_value(B, -1)',
                                  'order_value(B, 0)', 'order_target(B, 0)'])
def test_an_order_for_nothing_leaves_a_log_that_can_be_read(call, tmp_path):
    strategy = play({'3 9:30': f'order(A, 100); see({call})'}, tmp_path)
    assert strategy.g.seen == [None]
    assert told(log_of(strategy, tmp_path))[0] == [('2024-01-03', A, 100, 10.0)]
    assert '下单失败，初步检查下单数量为0' in strategy.log_lines[-1]


@pytest.mark.parametrize('call', ['order_target_value(A, 9950)', 'order_target_value(A, 10_050)', 'order_target(A, 950)',
                                  'order(A, -50)', 'order(A, 50)', 'order_target(A, 1000)'])
def test_a_difference_below_one_lot_leaves_a_log_that_can_be_read(call, tmp_path):
    strategy = play({'3 9:30': 'order(A, 1000)', '4 9:30': f'see({call})'}, tmp_path)
    assert strategy.g.seen == [None]
    assert told(log_of(strategy, tmp_path))[0] == [('2024-01-03', A, 1000, 10.0)]


def test_a_sale_ordered_before_the_open_as_a_buy_is_told_as_a_sale(tmp_path):
    table = flat(A, open={A: {2: 10.9}})
    strategy = play({'3 9:30': 'order(A, 2000)', '4 9:00': 'order_target_value(A, 20_500)'}, tmp_path, table)
    assert told(log_of(strategy, tmp_path))[0] == fills(strategy) == [
        ('2024-01-03', A, 2000, 10.0), ('2024-01-04', A, -100, 10.9)]


def test_the_level_of_orders_keeps_their_lines_out_of_the_log(tmp_path):
    strategy = play({'3 9:30': "order(A, 100); log.info('hello'); order(B, 50)"}, tmp_path,
                    setting="free_of_costs(); log.set_level('order', 'error')")
    assert [line.split(' - ')[1].strip() for line in strategy.log_lines] == ['INFO', 'ERROR']
    assert strategy.log_lines[0] == '2024-01-03 09:30:00 - INFO  - hello'
