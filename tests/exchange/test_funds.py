"""Listed funds: which codes they have, their lots, price steps, limits, fees, T+0 and distributions, all by hand."""

import math
from datetime import date

import backtrader as bt
import numpy as np
import pytest

from bt_microcap import AShareBroker, AShareCommission
from bt_microcap.exchange import rules
from bt_microcap.exchange.fills import affordable, on_tick, slipped
from bt_microcap.exchange.rules import RuleError
from tests.support.markets import bar, tiny_market
from tests.support.running import run_feeds
from tests.support.scripted import buy, close, play, sell, steps

MONEY, ETF, SHENZHEN, WIDE = '511880.XSHG', '510300.XSHG', '159915.XSHE', '588000.XSHG'
STOCK, STAR = '600001.XSHG', '688001.XSHG'
NAN = math.nan
FREE = {'commission': 0.0, 'min_commission': 0.0, 'stamp_duty': 0.0}
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
PROFILES = pytest.mark.parametrize('profile', ['realistic', 'joinquant'])


def day(text):
    return date.fromisoformat(text).toordinal()


def table_of(days, code=MONEY, stock=10.0, **kwargs):
    """A fund without a market cap beside a stock that stands still."""
    days = [{**(one if isinstance(one, dict) else bar(one)), 'cap': NAN} for one in days]
    return tiny_market({code: days, STOCK: [stock] * len(days)}, **kwargs)


def trade(days, script, code=MONEY, fees=None, **params):
    return play(table_of(days, code), script, commission=AShareCommission(**(fees or FREE)), **params)


def fees_of(order):
    return [(fill.commission, fill.stamp_duty, fill.transfer_fee, fill.dividend_tax) for fill in order.info.fees]


# --------------------------------------------------------------------------------------------- codes


@pytest.mark.parametrize('code', [
    '500001.XSHG', '501018.XSHG', '502010.XSHG', '505888.XSHG', '506000.XSHG', '508000.XSHG', '510050.XSHG', '510300.XSHG',
    '511010.XSHG', '511880.XSHG', '511990.XSHG', '512880.XSHG', '513100.XSHG', '515030.XSHG', '516160.XSHG', '517090.XSHG',
    '518880.XSHG', '520830.XSHG', '530000.XSHG', '551000.XSHG', '560010.XSHG', '563300.XSHG', '588000.XSHG', '589000.XSHG',
    '150019.XSHE', '159001.XSHE', '159915.XSHE', '161725.XSHE', '169101.XSHE', '180101.XSHE', '184801.XSHE',
])
def test_codes_of_funds(code):
    assert (rules.board(code), rules.is_fund(code), rules.is_share(code)) == ('fund', True, False)
    assert (rules.tick(code), rules.steps(code), rules.half_tick(code)) == (0.001, 1000, 0.0005)
    assert rules.LOTS[rules.board(code)] == (100, 100)


@pytest.mark.parametrize('code', [
    '519300.XSHG', '521888.XSHG', '524001.XSHG', '580001.XSHG', '582001.XSHG',  # subscriptions, business around funds, warrants
    '000300.XSHG', '399001.XSHE', '110030.XSHG', '123001.XSHE', '204001.XSHG', '131810.XSHE', '900901.XSHG', '200002.XSHE',
    '510300.XSHE', '159915.XSHG', '510300.BJSE', '510300', '159915', '510300.SH', 'sh510300', '51030.XSHG', '51030a.XSHG', '',
])
def test_neither_a_fund_nor_a_share(code):
    assert (rules.is_fund(code), rules.is_share(code), rules.tick(code)) == (False, False, 0.01)
    assert not rules.sold_same_day(code, day('2024-01-02'))
    with pytest.raises(RuleError, match='not the code of an A share'):
        rules.board(code)


def test_a_fund_is_on_no_board_of_stocks():
    codes = np.array([SHENZHEN, '300001.XSHE', ETF, MONEY, STOCK, STAR])
    assert rules.FUND not in rules.BOARDS
    assert sorted(np.concatenate(list(rules.board_places(codes).values())).tolist()) == [1, 4, 5]
    assert rules.half_ticks(codes).tolist() == [0.0005, 0.005, 0.0005, 0.0005, 0.005, 0.005]


@pytest.mark.parametrize(('code', 'on', 'same_day'), [
    (MONEY, '2014-01-02', True), ('511010.XSHG', '2024-01-02', True), ('518880.XSHG', '2014-01-02', True),
    ('513100.XSHG', '2015-01-16', False), ('513100.XSHG', '2015-01-19', True), ('520830.XSHG', '2024-08-01', True),
    ('510900.XSHG', '2015-01-16', False), ('510900.XSHG', '2015-01-19', True),
    ('159001.XSHE', '2024-01-02', True), ('159005.XSHE', '2024-01-02', True), ('159006.XSHE', '2024-01-02', False),
    (ETF, '2024-01-02', False), (SHENZHEN, '2024-01-02', False), (WIDE, '2024-01-02', False),
    ('161725.XSHE', '2024-01-02', False), (STOCK, '2024-01-02', False), ('511880.XSHE', '2024-01-02', False),
])
def test_which_funds_may_be_sold_on_the_day(code, on, same_day):
    assert rules.sold_same_day(code, day(on)) is same_day


# -------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(('code', 'on', 'preclose', 'listed', 'expected'), [
    (MONEY, '2024-01-02', 100.005, 0, (90.005, 110.006)),  # 90.0045 and 110.0055, ties up
    (ETF, '1996-12-16', 3.456, 0, (3.11, 3.802)),  # 3.1104, 3.8016
    (ETF, '2024-01-02', 3.456, 1, (NAN, NAN)), (ETF, '2024-01-02', 3.456, 2, (3.11, 3.802)),
    (SHENZHEN, '2024-01-02', 2.0, 0, (1.8, 2.2)),
    (WIDE, '2024-01-02', 1.001, 0, (0.801, 1.201)),  # 0.8008, 1.2012
    ('589000.XSHG', '2026-01-05', 1.0, 0, (0.8, 1.2)), (WIDE, '2020-11-13', 1.0, 0, (NAN, NAN)),
    ('588000.XSHE', '2024-01-02', 1.0, 0, None),
    (ETF, '2024-01-02', 0.003, 0, (0.002, 0.004)), (ETF, '2024-01-02', 0.001, 0, (0.001, 0.002)),  # one step at least
    (ETF, '2024-01-02', NAN, 0, (NAN, NAN)),
])
def test_limits_of_a_fund(code, on, preclose, listed, expected):
    many = np.array([STAR, code, STOCK]), day(on), np.array([10.0, preclose, 10.03]), np.zeros(3, bool), np.array([0, listed, 0])
    if expected is None:
        with pytest.raises(RuleError):
            rules.price_limits(code, day(on), preclose)
        with pytest.raises(RuleError):
            rules.price_limits_of_day(*many)
        return
    for delisting in (0, 1):  # funds have no such period
        np.testing.assert_array_equal(rules.price_limits(code, day(on), preclose, False, listed, delisting), expected)
        found = np.transpose(rules.price_limits_of_day(*many, np.array([0, delisting, 0])))
        np.testing.assert_array_equal(found[1], expected)
        np.testing.assert_array_equal(found[2], (9.03, 11.03))  # 9.027, 11.033: the stocks beside it keep their cents


# day of the ETF after a close of 1.000, why a buy is refused
AT_LIMIT = {
    'locked': (bar(1.1), 'limit up'),
    'falls from it': (bar(1.1, 1.05), 'limit up'),
    'no such limit': (bar(1.1, 1.102), None),  # the day goes beyond: it has 20 %
    'below': (bar(1.099), None),
    'the open is beyond': (bar(1.15), None),
    'told by the data': (bar(1.1, 1.102, high_limit=1.1, low_limit=0.9), 'limit up'),
    'wider, told by the data': (bar(1.1, high_limit=1.2, low_limit=0.8), None),
}


@WAYS
@pytest.mark.parametrize('case', AT_LIMIT)
def test_a_limit_that_the_code_does_not_prove(case, market):
    today, reason = AT_LIMIT[case]
    run = trade([1.0, today], {1: buy(SHENZHEN, 100)}, SHENZHEN, market=market)
    assert run.refusals == ([] if reason is None else [(1, SHENZHEN, reason)])
    assert run.fills == ([(1, SHENZHEN, 100, today['open'])] if reason is None else [])


def test_a_stock_that_goes_beyond_its_limit_during_the_day_is_still_at_it():
    run = play(tiny_market({STOCK: [10.0, bar(11.0, 11.02)]}), {1: buy(STOCK, 100)})
    assert run.refusals == [(1, STOCK, 'limit up')]


def test_a_sale_at_a_limit_that_the_code_does_not_prove():
    run = trade([1.0, 1.0, bar(0.9), bar(0.81, 0.805)], {1: buy(ETF, 200), 2: close(ETF), 3: close(ETF)}, ETF)
    assert run.refusals == [(2, ETF, 'limit down')]
    assert run.fills[1:] == [(3, ETF, -200, 0.81)]  # 0.81 is the limit, but the day went below


# ---------------------------------------------------------------------------------- lots and price steps


def test_lots():
    assert [rules.legal_buy(MONEY, size) for size in (99, 100, 199, 250, 1000)] == [0, 100, 100, 200, 1000]
    assert [rules.legal_sell(MONEY, size, 250) for size in (40, 50, 149, 150, 240, 250)] == [0, 50, 100, 150, 200, 250]
    assert affordable(MONEY, 1000, 100.001, 30_005.0, lambda size, price: 5.0) == 200  # 300 cost 30,005.30
    assert affordable(MONEY, 1000, 100.001, 30_005.3, lambda size, price: 5.0) == 300


@WAYS
def test_a_buy_is_cut_to_lots_of_100(market):
    run = trade([100.0] * 3, {1: steps(buy(MONEY, 250), buy(MONEY, 60)), 2: close(MONEY)}, market=market, cash=30_000.0)
    assert run.fills == [(1, MONEY, 200, 100.0), (2, MONEY, -200, 100.0)]
    assert run.refusals == [(1, MONEY, 'below one lot')]


@pytest.mark.parametrize(('buys', 'sells', 'slip'), [
    (100.105, 99.905, {'slippage': 0.002}),  # 100.105005, 99.904995
    (100.128, 99.882, {'slippage': 0.00246}),  # 100.12800615, 99.88199385
    (100.007, 100.003, {'ticks': 2}),
    (100.006, 100.004, {'slippage': 1e-6, 'least': 1}),
    (100.205, 99.805, {'slippage': 0.002, 'impact': 0.01, 'share': 0.01}),  # 0.1 % more: 100.20501, 99.80499
])
def test_fill_prices_at_the_step_of_a_fund(buys, sells, slip):
    share = slip.pop('share', 0.0)
    assert slipped(100.005, True, share, per_yuan=1000, **slip) == buys
    assert slipped(100.005, False, share, per_yuan=1000, **slip) == sells


def test_a_price_of_a_fund_is_one_step_at_least():
    assert slipped(0.001, False, ticks=3, per_yuan=1000) == 0.001
    assert slipped(0.01, False, ticks=3) == 0.01


@pytest.mark.parametrize(('price', 'down', 'up'), [
    (100.0057, 100.005, 100.006), (100.005, 100.005, 100.005), (0.0004, 0.0, 0.001), (2.3, 2.3, 2.3),
])
def test_limit_prices_on_the_step_of_a_fund(price, down, up):
    assert on_tick(price, up=False, per_yuan=1000) == down
    assert on_tick(price, up=True, per_yuan=1000) == up


@WAYS
@PROFILES
def test_fills_and_fees_in_both_profiles(profile, market):
    """1,000 units at 100.005, sold on the next day at 100.016: no stamp duty, no transfer fee; slips a step in `realistic`."""
    orders = []

    class ByHand(bt.Strategy):
        def next_open(self):
            today, data = len(self.data) - 1, self.getdatabyname(MONEY)
            if today == 1:
                orders.append(self.buy(data=data, size=1000, price=data.open[0]))
            elif today == 2:
                orders.append(self.sell(data=data, size=1000, price=data.open[0]))

        prenext_open = nextstart_open = next_open

    strategy = run_feeds(table_of([100.0, 100.005, 100.016, 100.02]), profile=profile, strategy=ByHand, market=market)
    buys, sells = {'realistic': (100.006, 100.015), 'joinquant': (100.128, 99.893)}[profile]  # 99.89298032
    assert [(order.executed.size, order.executed.price) for order in orders] == [(1000, buys), (-1000, sells)]
    # 0.03 % of 100,006 (100,128) and 100,015 (99,893) yuan
    commissions = {'realistic': (30.0018, 30.0045), 'joinquant': (30.0384, 29.9679)}[profile]
    assert [fees_of(order) for order in orders] == [[pytest.approx((commission, 0, 0, 0))] for commission in commissions]
    assert strategy.broker.getcash() == pytest.approx(1e6 - 1000 * buys + 1000 * sells - sum(commissions))


@WAYS
def test_a_limit_order_rests_on_the_step_of_a_fund(market):
    days = [100.0, bar(100.004, 99.9), bar(100.0, 100.2), 100.2]
    script = {1: buy(MONEY, 100, exectype=bt.Order.Limit, price=99.9958),
              2: sell(MONEY, 100, exectype=bt.Order.Limit, price=100.0052)}
    run = trade(days, script, market=market)
    assert run.fills == [(1, MONEY, 100, 99.995), (2, MONEY, -100, 100.006)]


def test_a_fixed_slippage_in_yuan_is_the_same_for_a_fund_and_in_steps_it_is_not():
    def fills(broker):
        broker = broker()
        run = play(table_of([100.0] * 3), {1: steps(buy(MONEY, 100), buy(STOCK, 100))}, broker=broker,
                   commission=AShareCommission(**FREE))
        return [fill.price for fill in run.fills]

    def in_yuan():
        broker = AShareBroker(cash=1e5)
        broker.set_slippage_fixed(0.02)
        return broker

    def none_after_all():
        broker = in_yuan()
        broker.set_slippage_perc(0.0)
        return broker

    assert fills(in_yuan) == fills(lambda: AShareBroker(cash=1e5, slip_fixed=0.02)) == [100.02, 10.02]
    assert fills(lambda: AShareBroker(cash=1e5, slippage_ticks=2)) == [100.002, 10.02]
    assert fills(none_after_all) == [100.0, 10.0]


# ---------------------------------------------------------------------------------------------- fees


@pytest.mark.parametrize('rates', [
    {}, {'stamp_duty': 'dated', 'transfer_fee': 'dated'}, {'stamp_duty': 0.01, 'transfer_fee': 0.01}])
def test_a_fund_pays_the_commission_alone(rates):
    comminfo = AShareCommission(**rates)
    for code in (MONEY, SHENZHEN):
        for on in ('1998-01-05', '2010-01-04', '2024-01-02'):  # both paid stamp duty once, and a fee of the face value
            assert comminfo.fees(1000, 100.0, day(on), code) == pytest.approx((30.0, 0, 0, 0))
            assert comminfo.fees(-1000, 100.1, day(on), code) == pytest.approx((30.03, 0, 0, 0))
    assert comminfo.fees(-100, 1.0, None, ETF) == (5.0, 0, 0, 0)  # the minimum; no day is needed
    assert comminfo.fees(-1000, 100.0, day('2024-01-02'), ETF, value_before=1e5, charged=30.0) == pytest.approx((30.0, 0, 0, 0))
    assert comminfo.fees(0, 1.0, None, ETF).total == 0


def test_without_a_code_it_is_taken_for_a_stock():
    assert AShareCommission().getcommission(-1000, 100.0) == pytest.approx(130.0)
    assert AShareCommission().fees(-1000, 100.0, day('2024-01-02'), STOCK) == pytest.approx((30.0, 100.0, 0, 0))


# ------------------------------------------------------------------------------------------ T+0, T+1


@WAYS
def test_a_money_market_fund_is_sold_on_the_day_of_its_purchase(market):
    run = trade([100.0] * 3, {1: steps(buy(MONEY, 300), sell(MONEY, 100), close(MONEY))}, market=market)
    assert run.fills == [(1, MONEY, 300, 100.0), (1, MONEY, -100, 100.0), (1, MONEY, -200, 100.0)]
    assert (run.refusals, run.shares[1]) == ([], {})


@WAYS
def test_a_fund_on_stocks_is_not(market):
    run = trade([4.0] * 3, {1: steps(buy(ETF, 300), close(ETF)), 2: close(ETF)}, ETF, market=market)
    assert run.refusals == [(1, ETF, 'bought today')]
    assert run.fills == [(1, ETF, 300, 4.0), (2, ETF, -300, 4.0)]


# ------------------------------------------------------------------------------------- distributions


@WAYS
@pytest.mark.parametrize('tax', [0.2, 'holding'])
def test_what_a_fund_pays_out_is_not_taxed(tax, market):
    """1.5521 yuan on each of 1,000 units, and sold within the month; the stock beside it pays as ever."""
    fund = [{**bar(one), 'cap': NAN} for one in (101.56, 101.56)] + [bar(100.01, preclose=100.008, cash_dividend=1.5521, cap=NAN),
                                                                    bar(100.01, cap=NAN)]
    stock = [10.0, 10.0, bar(9.0, preclose=9.0, cash_dividend=1.0), 9.0]
    table = tiny_market({MONEY: fund, STOCK: stock})
    script = {1: steps(buy(MONEY, 1000), buy(STOCK, 1000)), 3: steps(close(MONEY), close(STOCK))}
    run = play(table, script, commission=AShareCommission(**FREE), cash=200_000.0, dividend_tax=tax, market=market)
    paid = 1552.1 + 1000 * (0.8 if tax == 0.2 else 1.0)
    assert run.cash[2] == pytest.approx(200_000 - 101_560 - 10_000 + paid)
    assert [fees_of(order)[0][3] for order in run.orders[2:]] == [0.0, 0.0 if tax == 0.2 else pytest.approx(200.0)]
    assert run.cash[3] == pytest.approx(200_000 - 101_560 - 10_000 + 1552.1 + 800 + 100_010 + 9000)


@WAYS
def test_ex_rights_of_a_few_steps_count(market):
    """0.004 yuan is less than half a cent: for a stock noise, for a fund four steps."""
    days = [100.004, 100.004, bar(100.0, preclose=100.0), 100.0]
    run = trade(days, {1: buy(MONEY, 100_000), 3: close(MONEY)}, market=market, cash=1.1e7)
    assert run.shares[2] == {MONEY: 100_004}  # 100,000 x 100.004 / 100
    assert run.fills[1:] == [(3, MONEY, -100_004, 100.0)]


def test_a_waiting_order_is_restated_on_the_step_of_a_fund():
    ex = bar(49.9, preclose=50.0, share_ratio=2.0, cash_dividend=0.0)
    script = {1: buy(MONEY, 100, exectype=bt.Order.Limit, price=99.803)}
    run = trade([100.0, 100.0, ex, bar(49.95)], script)
    assert run.fills == [(2, MONEY, 200, 49.9)]  # 49.9015, rounded half up to 49.902, is above the open
    run = trade([100.0, 100.0, {**ex, 'open': 50.0, 'close': 49.8}, bar(49.95)], script)
    assert run.fills == [(2, MONEY, 200, 49.902)]
