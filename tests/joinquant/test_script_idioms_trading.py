"""How public small-cap scripts trade: each idiom in their style, on a market by hand, with fills by hand."""

import pandas as pd
import pytest

from tests.joinquant.scripts import FREE, fills, held, market, run

A, B, C, D = '000001.XSHE', '600002.XSHG', '000003.XSHE', '600004.XSHG'
DAYS = ['2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05', '2024-01-08']  # the first is the day before the run
IN_SESSION = pytest.mark.filterwarnings('ignore:.*acts at the close, which stands for the session')


# ----------------------------------------------------------------------------------------------- rebalancing

KEEP_OVERLAP = FREE + """
def initialize(context):
    free_of_costs()
    set_option('use_real_price', True)
    g.num = 2
    run_daily(adjust, '9:30')


def adjust(context):
    target = list(get_fundamentals(query(valuation.code).order_by(valuation.market_cap.asc()).limit(g.num)).code)
    for stock in list(context.portfolio.positions.keys()):
        if stock not in target:
            close_position(context.portfolio.positions[stock])
        else:
            log.info('kept ' + stock)
    position_count = len(context.portfolio.positions)
    if g.num > position_count:
        value = context.portfolio.cash / (g.num - position_count)
        for stock in target:
            if context.portfolio.positions[stock].total_amount == 0:
                if open_position(stock, value) and len(context.portfolio.positions) == g.num:
                    break


def open_position(security, value):
    order = order_target_value(security, value)
    return order is not None and order.filled > 0


def close_position(position):
    order = order_target_value(position.security, 0)
    if order is not None and order.status == OrderStatus.held and order.filled == order.amount:
        g.closed = getattr(g, 'closed', []) + [position.security]
        return True
    return False
"""


def test_what_is_picked_again_is_kept_and_the_cash_goes_to_the_free_places(tmp_path):
    # A and B for 50,000 each: 5000 of A at 10, 2500 of B at 20. C passes A by the caps of the 3rd, so on the 4th A goes at 11:
    # 55,000 for C at 5, 11,000 shares. On the 5th B opens suspended and its sale for D is refused; on the 8th it goes at 19.
    caps = {A: [1e9, 4e9, 4e9, 4e9, 4e9], B: [2e9, 2e9, 5e9, 5e9, 5e9], C: [3e9, 1e9, 1e9, 1e9, 1e9], D: 3.5e9}
    table = market({A: [10.0, 10.0, 11.0, 11.0, 11.0], B: [20.0, 20.0, 20.0, 20.0, 19.0], C: [5.0] * 5, D: [8.0] * 5}, dates=DAYS,
                   market_cap=caps, paused={B: {3: 1}})
    found = run(KEEP_OVERLAP, table, tmp_path)
    assert fills(found) == [
        ('2024-01-03', A, 5000, 10.0), ('2024-01-03', B, 2500, 20.0),
        ('2024-01-04', A, -5000, 11.0), ('2024-01-04', C, 11000, 5.0),
        ('2024-01-08', B, -2500, 19.0), ('2024-01-08', D, 5900, 8.0)]  # 47,500 / 8 = 5937
    assert found.g.closed == [A, B]  # not on the 5th
    kept = [(line[:10], line[-11:]) for line in found.log_lines if 'kept' in line]
    assert kept == [('2024-01-04', B), ('2024-01-05', C), ('2024-01-08', C)]
    assert found.broker.getcash() == 300.0


def test_a_position_at_its_lower_limit_is_not_closed_and_takes_a_place(tmp_path):
    table = market({A: [10.0, 10.0, 9.0, 9.0], B: [20.0] * 4, C: [5.0] * 4}, dates=DAYS[:4],
                   market_cap={A: [1e9, 4e9, 4e9, 4e9], B: 2e9, C: [3e9, 1e9, 1e9, 1e9]})
    found = run(KEEP_OVERLAP, table, tmp_path)
    assert fills(found) == [
        ('2024-01-03', A, 5000, 10.0), ('2024-01-03', B, 2500, 20.0),
        ('2024-01-05', A, -5000, 9.0), ('2024-01-05', C, 9000, 5.0)]
    assert found.g.closed == [A]


WHILE_ITERATING = FREE + """
def initialize(context):
    free_of_costs()
    g.turn = 0
    run_daily(turn, 'every_bar')


def turn(context):
    g.turn += 1
    if g.turn %% 2 == 1:
        for code in ('000001.XSHE', '600002.XSHG', '000003.XSHE', '600004.XSHG'):
            order_value(code, 20000)
    else:
        g.before = len(context.portfolio.positions)
        for stock in %s:
            order_target(stock, 0)
        g.after = len(context.portfolio.positions)
"""


@pytest.mark.parametrize('how', [
    'context.portfolio.positions', 'context.portfolio.positions.keys()', 'context.portfolio.long_positions',
    'context.subportfolios[0].long_positions', 'sorted(context.portfolio.positions, reverse=True)'])
def test_all_are_sold_while_the_positions_are_walked(tmp_path, how):
    table = market({code: [10.0] * 3 for code in (A, B, C, D)}, dates=DAYS[:3])
    found = run(WHILE_ITERATING % how, table, tmp_path)
    assert (found.g.before, found.g.after, held(found)) == (4, 0, {})
    assert sorted(fills(found)[4:]) == sorted(('2024-01-04', code, -2000, 10.0) for code in (A, B, C, D))


SELL_FIRST = FREE + """
def initialize(context):
    free_of_costs()
    g.buy_stock_count = 3
    run_daily(trade, time='9:30')


def trade(context):
    picks = get_fundamentals(query(valuation).order_by(valuation.market_cap.asc()).limit(g.buy_stock_count))['code'].tolist()
    for s in context.portfolio.positions:
        if s not in picks:
            order_target(s, 0)
    for s in picks:
        held = len(context.portfolio.positions)
        if held < g.buy_stock_count and s not in context.portfolio.positions:
            order_value(s, context.portfolio.available_cash / (g.buy_stock_count - held))
"""


def test_proceeds_are_spent_in_equal_parts_worked_out_anew_for_each_buy(tmp_path):
    # 100,000 / 3 = 33,333.33 at 10: 3300. 67,000 / 2 = 33,500 at 7: 4785 -> 4700. The 34,100 left at 3: 11,366 -> 11,300.
    # On the 4th C makes place for D: 200 + 11,300 x 3.1 = 35,230 at 8: 4403 -> 4400.
    table = market({A: [10.0] * 3, B: [7.0] * 3, C: [3.0, 3.0, 3.1], D: [8.0] * 3}, dates=DAYS[:3],
                   market_cap={A: 1e9, B: 2e9, C: [3e9, 5e9, 5e9], D: 4e9})
    found = run(SELL_FIRST, table, tmp_path)
    assert fills(found) == [
        ('2024-01-03', A, 3300, 10.0), ('2024-01-03', B, 4700, 7.0), ('2024-01-03', C, 11300, 3.0),
        ('2024-01-04', C, -11300, 3.1), ('2024-01-04', D, 4400, 8.0)]
    assert found.broker.getcash() == pytest.approx(30.0, abs=1e-9)


# --------------------------------------------------------------------------------------------- weeks, months

EVERY = FREE + """
def initialize(context):
    free_of_costs()
    %s


def go(context):
    order('000001.XSHE', 100)
"""


@pytest.mark.parametrize(('call', 'days'), [
    # the run begins on Wednesday the 3rd; of the week from the 15th Monday is a holiday
    ("run_weekly(go, 1, time='9:30')", ['2024-01-03', '2024-01-08', '2024-01-16']),
    ("run_weekly(go, weekday=2, time='9:30', reference_security='000300.XSHG')", ['2024-01-04', '2024-01-09', '2024-01-17']),
    ("run_weekly(go, 5, 'open')", ['2024-01-05', '2024-01-12', '2024-01-19']),  # of a short week the last day
    ("run_weekly(go, -1, '9:30', force=True)", ['2024-01-05', '2024-01-12', '2024-01-19']),
])
def test_weeks(tmp_path, call, days):
    dates = [day for day in pd.bdate_range('2024-01-02', '2024-01-19') if day != pd.Timestamp('2024-01-15')]
    table = market({A: [10.0] * len(dates)}, dates=dates)
    assert fills(run(EVERY % call, table, tmp_path)) == [(day, A, 100, 10.0) for day in days]


@pytest.mark.parametrize(('call', 'days'), [
    ("run_monthly(go, 1, '9:30')", ['2024-01-30', '2024-02-01', '2024-03-01']),
    ("run_monthly(go, monthday=2, time='open')", ['2024-01-31', '2024-02-02', '2024-03-04']),
    ("run_monthly(go, -1, time='9:30', reference_security='000001.XSHG')", ['2024-01-31', '2024-02-29']),
])
def test_months(tmp_path, call, days):
    dates = ['2024-01-29', '2024-01-30', '2024-01-31', '2024-02-01', '2024-02-02', '2024-02-05', '2024-02-29', '2024-03-01',
             '2024-03-04', '2024-03-05']
    table = market({A: [10.0] * len(dates)}, dates=dates)
    assert fills(run(EVERY % call, table, tmp_path)) == [(day, A, 100, 10.0) for day in days]


EMPTY_MONTHS = FREE + """
def initialize(context):
    free_of_costs()
    g.empty = [1, 4]
    run_daily(prepare, '9:05')
    run_weekly(buy, 1, '9:30')
    run_daily(leave, '14:50')


def prepare(context):
    g.no_trading_today = today_is_between(context)


def today_is_between(context):
    today = context.current_dt.strftime('%m-%d')
    return '04-01' <= today <= '04-30' or '01-01' <= today <= '01-30'


def buy(context):
    if not g.no_trading_today:
        order_target_value('000001.XSHE', context.portfolio.total_value * 0.5)


def leave(context):
    if g.no_trading_today:
        for code, position in context.portfolio.positions.items():
            order_target_value(code, 0)
"""


@IN_SESSION
def test_empty_months_are_left_at_the_close_of_their_first_day(tmp_path):
    dates = ['2024-03-27', '2024-03-28', '2024-04-01', '2024-04-02', '2024-04-08', '2024-04-30', '2024-05-06', '2024-05-07']
    # Half of 100,000 at 10; sold at the close of April 1st, 10.4: 102,000. Half of it at 12: 4250 -> 4200.
    table = market({A: [10.0, 10.0, 10.4, 10.4, 11.0, 11.5, 12.0, 12.0]}, open={A: {2: 10.2}}, dates=dates)
    assert fills(run(EMPTY_MONTHS, table, tmp_path)) == [
        ('2024-03-28', A, 5000, 10.0), ('2024-04-01', A, -5000, 10.4), ('2024-05-06', A, 4200, 12.0)]


# ---------------------------------------------------------------------------------------------- stops, limits

STOPS = FREE + """
def initialize(context):
    free_of_costs()
    g.bought = False
    run_daily(enter, '9:30')
    run_daily(stop_loss, time='%s')


def enter(context):
    if not g.bought:
        order_value('000001.XSHE', 50000)
        order_value('600002.XSHG', 50000)
        g.bought = True


def stop_loss(context):
    for stock in context.portfolio.positions.keys():
        position = context.portfolio.positions[stock]
        if position.closeable_amount > 0 and position.price < position.avg_cost * (1 - 0.08):
            order_target_value(stock, 0)
            log.info('stopped %%s' %% stock)
        elif position.price > position.avg_cost * 1.5:
            order_target_value(stock, 0)
"""


@pytest.mark.parametrize('time', ['10:00', '14:50'])
@IN_SESSION
def test_a_stop_in_the_session_looks_at_the_close_and_sells_at_it(tmp_path, time):
    # Bought at 10, so 9.2 is the line. A closes at 9.1 on its first day, and may not be sold: T+1. On the 4th it opens at 9.1 but
    # closes at 9.21, above; on the 5th at 9.15. B closes at its lower limit on the 4th, 9.0: cancelled; next day at 8.9.
    table = market({A: [10.0, 9.1, 9.21, 9.15, 9.0], B: [10.0, 10.0, 9.0, 8.9, 8.0]},
                   open={A: {1: 10.0, 2: 9.1, 3: 9.2}, B: {2: 9.5, 3: 9.3}}, dates=DAYS)
    found = run(STOPS % time, table, tmp_path)
    assert fills(found)[2:] == [('2024-01-05', A, -5000, 9.15), ('2024-01-05', B, -5000, 8.9)]
    assert [line for line in found.log_lines if 'stopped' in line] == [
        f'2024-01-04 {time}:00 - INFO  - stopped {B}', f'2024-01-05 {time}:00 - INFO  - stopped {A}',
        f'2024-01-05 {time}:00 - INFO  - stopped {B}']
    assert sum('已经跌停，市价卖单取消' in line for line in found.log_lines) == 1


def test_a_stop_at_half_past_nine_looks_at_the_open(tmp_path):
    table = market({A: [10.0, 9.1, 9.3, 9.15, 9.0], B: [10.0] * 5},
                   open={A: {1: 10.0, 2: 9.3, 3: 9.19, 4: 9.1}}, dates=DAYS)
    # The closes of the 3rd and 4th do not count; the open of the 5th, 9.19, is below 9.2.
    assert fills(run(STOPS % '9:30', table, tmp_path))[2:] == [('2024-01-05', A, -5000, 9.19)]


def test_the_average_cost_is_that_of_all_buys(tmp_path):
    script = FREE + """
def initialize(context):
    free_of_costs()
    g.costs = []
    run_daily(more, '9:30')


def more(context):
    order('000001.XSHE', 1000)
    position = context.portfolio.positions['000001.XSHE']
    g.costs.append((position.avg_cost, position.total_amount, position.closeable_amount))
"""
    table = market({A: [10.0, 10.0, 10.6, 11.2]}, dates=DAYS[:4])
    found = run(script, table, tmp_path)
    # (10 + 10.6) / 2, (10 + 10.6 + 11.2) / 3
    assert [(round(cost, 9), amount, free) for cost, amount, free in found.g.costs] == [
        (10.0, 1000, 0), (10.3, 2000, 1000), (10.6, 3000, 2000)]


LIMIT_UP_HELD = FREE + """
def initialize(context):
    free_of_costs()
    set_option('avoid_future_data', True)
    g.stock_num = 1
    g.at_limit = []
    run_daily(look_back, '9:05')
    run_daily(rotate, '9:30')
    run_daily(sell_opened, '14:00')


def look_back(context):
    g.holding = [position.security for position in list(context.portfolio.positions.values())]
    g.at_limit = []
    if g.holding:
        df = get_price(g.holding, end_date=context.previous_date, frequency='daily', fields=['close', 'high_limit'], count=1,
                       panel=False, fill_paused=False)
        df = df[df['close'] == df['high_limit']]
        g.at_limit = list(df.code)


def rotate(context):
    target = list(get_fundamentals(query(valuation.code).order_by(valuation.market_cap.asc()).limit(g.stock_num)).code)
    for stock in g.holding:
        if stock not in target and stock not in g.at_limit:
            order_target_value(stock, 0)
    if len(context.portfolio.positions) < g.stock_num:
        order_value(target[0], context.portfolio.cash)


def sell_opened(context):
    for stock in g.at_limit:
        df = get_price(stock, end_date=context.current_dt, frequency='1m', fields=['close', 'high_limit'], skip_paused=False,
                       fq='pre', count=1, panel=False, fill_paused=True)
        if df.iloc[0, 0] < df.iloc[0, 1]:
            log.info('opened: %s' % stock)
            order_target_value(stock, 0)
        else:
            log.info('still there: %s' % stock)
"""


@IN_SESSION
@pytest.mark.filterwarnings('ignore:a bar of 1 minute')
def test_limit_up_is_held_until_it_opens_and_then_sold_in_the_afternoon(tmp_path):
    # A is bought at 10 and closes at its limits 11 and 12.1. B is smaller from the 3rd on; A is at its limit on that evening and
    # so stays on the 4th, though it opens below; it closes at the limit again. On the 5th it closes at 12.5 of 13.31: sold there,
    # and B comes on the 8th: 125,000 / 20 = 6250 -> 6200.
    table = market({A: [10.0, 11.0, 12.1, 12.5, 12.6], B: [20.0] * 5}, open={A: {1: 10.0, 2: 11.5, 3: 13.0}}, dates=DAYS,
                   market_cap={A: [1e9, 5e9, 5e9, 5e9, 5e9], B: 2e9})
    found = run(LIMIT_UP_HELD, table, tmp_path)
    assert fills(found) == [('2024-01-03', A, 10000, 10.0), ('2024-01-05', A, -10000, 12.5), ('2024-01-08', B, 6200, 20.0)]
    assert [line for line in found.log_lines if 'opened:' in line or 'there:' in line] == [
        f'2024-01-04 14:00:00 - INFO  - still there: {A}', f'2024-01-05 14:00:00 - INFO  - opened: {A}']


NO_REBUY = FREE + """
def initialize(context):
    free_of_costs()
    g.limit_days = 2
    g.hold_list = []
    g.history_hold_list = []
    g.not_buy_again_list = []
    run_daily(prepare, time='9:05', reference_security='000300.XSHG')
    run_daily(trade, '9:30')


def prepare(context):
    g.hold_list = [p.security for p in context.portfolio.positions.values()]
    g.history_hold_list.append(g.hold_list)
    if len(g.history_hold_list) >= g.limit_days:
        g.history_hold_list = g.history_hold_list[-g.limit_days:]
    g.not_buy_again_list = list(set(stock for day in g.history_hold_list for stock in day))


def trade(context):
    ranked = list(get_fundamentals(query(valuation.code).order_by(valuation.market_cap.asc())).code)
    target = [s for s in ranked if s not in g.not_buy_again_list or s in g.hold_list and s == ranked[0]][:1]
    for s in g.hold_list:
        if s not in target:
            order_target_value(s, 0)
    for s in target:
        if s not in context.portfolio.positions:
            order_value(s, context.portfolio.cash)
"""


def test_what_was_held_lately_is_not_bought_again(tmp_path):
    # A first. By the caps of the 3rd B is the smallest, by those from the 4th on A again: but A was held on the mornings of the
    # 4th, and that counts on the 4th and 5th. So C on the 5th; on the 8th B (held on the 5th) is out, and A may come.
    table = market({code: [10.0] * 5 for code in (A, B, C)}, dates=DAYS,
                   market_cap={A: [1e9, 3e9, 1e9, 1e9, 1e9], B: 2e9, C: 4e9})
    assert fills(run(NO_REBUY, table, tmp_path)) == [
        ('2024-01-03', A, 10000, 10.0), ('2024-01-04', A, -10000, 10.0), ('2024-01-04', B, 10000, 10.0),
        ('2024-01-05', B, -10000, 10.0), ('2024-01-05', C, 10000, 10.0),
        ('2024-01-08', C, -10000, 10.0), ('2024-01-08', A, 10000, 10.0)]
