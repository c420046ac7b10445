"""The fees of an order, by hand."""

import warnings
from datetime import date

import backtrader as bt
import pandas as pd
import pytest

from bt_microcap import AShareCommission
from bt_microcap.exchange.commission import Fees
from bt_microcap.exchange.rules import RuleError
from tests.support.markets import bar, tiny_market
from tests.support.scripted import buy, close, play, sell, steps

A, SZ, BSE = '600001.XSHG', '000002.XSHE', '835001.BJSE'


def day(text):
    return date.fromisoformat(text).toordinal()


# ------------------------------------------------------------------------------------------ one fill


@pytest.mark.parametrize(('size', 'price', 'commission', 'duty'), [
    (100, 10.0, 5.0, 0.0),  # 1,000 yuan x 0.0003 = 0.30: the floor
    (-100, 10.0, 5.0, 1.0),  # the floor on sales too; duty 1,000 x 0.001 comes on top
    (1_000, 16.0, 5.0, 0.0),  # 16,000 x 0.0003 = 4.80
    (-1_000, 16.0, 5.0, 16.0),
    (1_000, 17.0, 5.1, 0.0),  # 17,000 x 0.0003 = 5.10
    (-1_000, 17.0, 5.1, 17.0),
    (10_000, 10.0, 30.0, 0.0),  # 100,000 x 0.0003
    (-10_000, 10.0, 30.0, 100.0),
    (-700, 12.34, 5.0, 8.638),  # 8,638 x 0.001: nothing is rounded to the cent
])
def test_fees_of_one_fill(size, price, commission, duty):
    assert AShareCommission().fees(size, price) == pytest.approx((commission, duty, 0.0, 0.0), abs=1e-9)


@pytest.mark.parametrize(('value', 'commission'), [
    (0.01, 5.0),
    (16_666.66, 5.0),  # x 0.0003 = 4.999998
    (16_666.67, 5.000001),  # the edge of the floor: 5 / 0.0003 = 16,666.666...
    (16_700.0, 5.01),
])
@pytest.mark.parametrize('sign', [1, -1])
def test_the_edge_of_the_floor(value, commission, sign):
    assert AShareCommission().fees(sign, value).commission == pytest.approx(commission, abs=1e-9)


def test_nothing_traded_costs_nothing():
    assert tuple(AShareCommission().fees(0, 10.0)) == (0.0, 0.0, 0.0, 0.0)
    assert AShareCommission().getcommission(0, 10.0) == 0.0


def test_transfer_fee_as_a_rate_is_charged_on_both_sides():
    fees = AShareCommission(transfer_fee=0.00001)
    assert fees.fees(10_000, 10.0).transfer_fee == pytest.approx(1.0)  # 100,000 x 0.00001
    assert fees.fees(-10_000, 10.0).transfer_fee == pytest.approx(1.0)
    assert fees.fees(-10_000, 10.0).total == pytest.approx(30.0 + 100.0 + 1.0)


def test_the_sum_of_the_fees_has_the_dividend_tax_in_it():
    fees = Fees(commission=5.0, stamp_duty=1.0, transfer_fee=0.1)
    assert (fees.dividend_tax, fees.total) == (0.0, pytest.approx(6.1))
    assert fees._replace(dividend_tax=16.0).total == pytest.approx(22.1)


def test_rates_of_ones_own():
    fees = AShareCommission(commission=0.00025, min_commission=0.1, stamp_duty=0.0005)
    assert fees.fees(100, 10.0) == pytest.approx((0.25, 0.0, 0.0, 0.0))  # 1,000 x 0.00025
    assert fees.fees(100, 1.0) == pytest.approx((0.1, 0.0, 0.0, 0.0))
    assert fees.fees(-100, 10.0) == pytest.approx((0.25, 0.5, 0.0, 0.0))


def test_a_free_broker():
    fees = AShareCommission(commission=0.0, min_commission=0.0, stamp_duty=0.0)
    assert fees.fees(-10_000, 10.0).total == 0.0


def test_backtraders_own_questions_are_answered_in_yuan():
    # CommInfoBase would take 0.0003 for 0.0003 % here: percabs
    fees = AShareCommission()
    assert fees.getcommission(10_000, 10.0) == pytest.approx(30.0)
    assert fees.getcommission(-10_000, 10.0) == pytest.approx(130.0)
    assert fees.confirmexec(10_000, 10.0) == pytest.approx(30.0)
    assert fees.getoperationcost(10_000, 10.0) == pytest.approx(100_000.0)
    assert fees.getvaluesize(10_000, 10.0) == pytest.approx(100_000.0)
    assert fees.profitandloss(100, 10.0, 11.0) == pytest.approx(100.0)
    assert fees.stocklike


# ------------------------------------------------------------------------------------------ dated rates


@pytest.mark.parametrize(('on', 'of_buy', 'of_sale'), [
    ('1996-12-16', 300.0, 300.0),  # 100,000 x 0.003
    ('1997-05-09', 300.0, 300.0),
    ('1997-05-12', 500.0, 500.0),
    ('1998-06-12', 400.0, 400.0),
    ('2001-11-16', 200.0, 200.0),
    ('2005-01-24', 100.0, 100.0),
    ('2007-05-29', 100.0, 100.0),
    ('2007-05-30', 300.0, 300.0),  # 100,000 x 0.003
    ('2008-04-23', 300.0, 300.0),
    ('2008-04-24', 100.0, 100.0),  # 0.001 on both sides
    ('2008-09-18', 100.0, 100.0),
    ('2008-09-19', 0.0, 100.0),  # sales only
    ('2023-08-27', 0.0, 100.0),
    ('2023-08-28', 0.0, 50.0),  # 0.0005
    ('2026-12-31', 0.0, 50.0),
])
def test_dated_stamp_duty(on, of_buy, of_sale):
    fees = AShareCommission(stamp_duty='dated')
    assert fees.fees(10_000, 10.0, day(on)).stamp_duty == pytest.approx(of_buy)
    assert fees.fees(-10_000, 10.0, day(on)).stamp_duty == pytest.approx(of_sale)


@pytest.mark.parametrize(('on', 'fee'), [
    ('2015-08-01', 2.0),  # 100,000 x 0.00002
    ('2022-04-28', 2.0),
    ('2022-04-29', 1.0),  # 0.00001
    ('2026-12-31', 1.0),
])
@pytest.mark.parametrize('size', [10_000, -10_000])
def test_dated_transfer_fee(on, fee, size):
    assert AShareCommission(transfer_fee='dated').fees(size, 10.0, day(on)).transfer_fee == pytest.approx(fee)


@pytest.mark.parametrize(('code', 'on', 'shares', 'price', 'fee'), [
    (A, '1996-12-16', 10_000, 10.0, 5.0),  # 10,000 yuan of face value x 0.0005, whatever the price
    (A, '2012-05-31', 10_000, 99.0, 5.0),
    (A, '2012-05-31', 2_100, 10.0, 1.05),
    (A, '2012-05-31', 2_000, 10.0, 1.0),
    (A, '2012-05-31', 1_900, 10.0, 1.0),  # 0.95: the minimum
    (A, '2012-05-31', 100, 10.0, 1.0),
    (A, '2012-06-01', 100, 10.0, 0.0375),  # 0.000375, and no minimum
    (A, '2012-08-31', 10_000, 10.0, 3.75),
    (A, '2012-09-01', 10_000, 10.0, 3.0),  # 0.0003
    (A, '2015-07-31', 10_000, 10.0, 3.0),
    (A, '2015-08-01', 10_000, 10.0, 2.0),  # of the value again
    (SZ, '1996-12-16', 10_000, 10.0, 0.0),
    (SZ, '2015-07-31', 10_000, 10.0, 0.0),
    (SZ, '2015-08-01', 10_000, 10.0, 2.0),
    (BSE, '2021-11-15', 10_000, 10.0, 2.5),
])
@pytest.mark.parametrize('sign', [1, -1])
def test_dated_transfer_fee_by_exchange(code, on, shares, price, fee, sign):
    fees = AShareCommission(transfer_fee='dated').fees(sign * shares, price, day(on), code)
    assert fees.transfer_fee == pytest.approx(fee, abs=1e-12)


@pytest.mark.parametrize(('name', 'on', 'code'), [
    ('stamp_duty', '1996-12-15', A), ('transfer_fee', '1996-12-15', A), ('transfer_fee', '2021-11-14', BSE),
    ('transfer_fee', '2015-07-31', ''),
])
def test_dated_rates_are_not_guessed_where_they_are_not_known(name, on, code):
    option = name.replace('_', '-')
    with pytest.raises(RuleError, match=f'{on}.*--{option} RATE, such as 0'):
        AShareCommission(**{name: 'dated'}).fees(-100, 10.0, day(on), code)


@pytest.mark.parametrize('name', ['stamp_duty', 'transfer_fee'])
def test_dated_without_a_day_says_what_to_do(name):
    fees = AShareCommission(**{name: 'dated'})
    with pytest.raises(ValueError, match=f"{name}='dated' needs the day .* AShareBroker"):
        fees.fees(-100, 10.0)
    with pytest.raises(ValueError, match=name):
        fees.getcommission(-100, 10.0)


def test_dated_duty_in_a_run_goes_by_the_day_of_the_fill():
    table = tiny_market({A: [10.0] * 5}, dates=['2023-08-23', '2023-08-24', '2023-08-25', '2023-08-28', '2023-08-29'])
    run = play(table, {1: buy(A, 5000), 2: sell(A, 2000), 3: close(A)},
               commission=AShareCommission(stamp_duty='dated', transfer_fee='dated'))
    # buy 50,000: commission 15, transfer 0.50
    # sale of 20,000 on Friday the 25th: commission 6, duty 20 (0.1 %), transfer 0.20
    # sale of 30,000 on Monday the 28th: commission 9, duty 15 (0.05 %), transfer 0.30
    assert run.cash[1:4] == pytest.approx([49_984.50, 69_958.30, 99_934.00], abs=1e-9)


# The notice of 2022-04-28 that halved the fee names 0.0025 % as the rate of the Beijing market until then.
def test_transfer_fee_of_the_bse_before_2022_04_29():
    code = '835001.BJSE'
    table = tiny_market({code: [10.0] * 3}, dates=['2022-04-26', '2022-04-27', '2022-04-28'])
    run = play(table, {1: buy(code, 5000)}, commission=AShareCommission(transfer_fee='dated'))
    assert run.cash[1] == pytest.approx(100_000 - 50_000 - 15 - 1.25, abs=1e-9)  # 50,000 x 0.000025


# ------------------------------------------------------------------------------------------ fills of one order


def test_the_minimum_is_paid_once_over_the_fills_of_an_order():
    fees = AShareCommission()
    # three fills of 5,000: 15,000 x 0.0003 = 4.50 in all, so 5; with a fourth 6.00, so 1.00 more
    assert fees.fees(500, 10.0).commission == pytest.approx(5.0)
    assert fees.fees(500, 10.0, value_before=5_000, charged=5.0).commission == pytest.approx(0.0, abs=1e-12)
    assert fees.fees(500, 10.0, value_before=10_000, charged=5.0).commission == pytest.approx(0.0, abs=1e-12)
    assert fees.fees(500, 10.0, value_before=15_000, charged=5.0).commission == pytest.approx(1.0)
    assert fees.fees(500, 10.0, value_before=20_000, charged=6.0).commission == pytest.approx(1.5)


def test_duty_and_transfer_fee_are_of_each_fill_alone():
    fees = AShareCommission(transfer_fee=0.00001).fees(-500, 10.0, value_before=15_000, charged=5.0)
    assert fees == pytest.approx((1.0, 5.0, 0.05, 0.0))


def test_the_minimum_of_the_transfer_fee_is_paid_once_over_the_fills_of_an_order():
    dated = AShareCommission(transfer_fee='dated')

    def fee(shares, before, charged, on='2010-01-04', code=A):
        return dated.fees(-shares, 10.0, day(on), code, shares_before=before, transfer_charged=charged).transfer_fee

    # 1,500 x 0.0005 = 0.75 in all, so 1; with 500 more 1.00 in all; with 1,000 more 1.50, then 2.00
    assert fee(1_000, 0, 0) == pytest.approx(1.0)
    assert fee(500, 1_000, 1.0) == pytest.approx(0.0, abs=1e-12)
    assert fee(500, 1_500, 1.0) == pytest.approx(0.0, abs=1e-12)
    assert fee(1_000, 2_000, 1.0) == pytest.approx(0.5)
    assert fee(1_000, 3_000, 1.5) == pytest.approx(0.5)
    # without a minimum each fill pays for itself, also where an earlier one was on a day that had it
    assert fee(1_000, 1_000, 1.0, '2012-06-01') == pytest.approx(0.375)
    assert fee(1_000, 1_000, 1.0, '2015-08-03') == pytest.approx(0.2)
    assert fee(1_000, 1_000, 0.0, code=SZ) == 0.0


def test_three_fills_of_a_limit_order_pay_one_minimum():
    # a tenth of 1,000 shares a day: 100, 100, 100
    table = tiny_market({A: [bar(10.0, volume=1000)] * 8})
    run = play(table, {1: buy(A, 300, exectype=bt.Order.Limit, price=10.0)}, volume_limit=0.1)
    assert run.fills == [(1, A, 100, 10.0), (2, A, 100, 10.0), (3, A, 100, 10.0)]
    # 1,000 + 5, then 1,000 each without a fee
    assert run.cash[1:5] == pytest.approx([98_995.0, 97_995.0, 96_995.0, 96_995.0])
    assert run.statuses(run.orders[0]) == ['Accepted', 'Partial', 'Partial', 'Completed']


def test_fills_of_a_limit_order_beyond_the_minimum_pay_the_rate():
    # 1,000 shares a day at 10: 10,000 x 0.0003 = 3; floor 5; then 6 - 5 = 1; then 9 - 6 = 3
    table = tiny_market({A: [bar(10.0, volume=10_000)] * 5})
    run = play(table, {1: buy(A, 3000, exectype=bt.Order.Limit, price=10.0)}, volume_limit=0.1)
    assert run.cash[1:4] == pytest.approx([89_995.0, 79_994.0, 69_991.0])


def test_fills_of_a_sale_pay_one_minimum_and_duty_each():
    table = tiny_market({A: [10.0, 10.0] + [bar(10.0, volume=1000)] * 4})
    run = play(table, {1: buy(A, 300), 2: sell(A, 300, exectype=bt.Order.Limit, price=10.0)}, volume_limit=0.1)
    assert [fill[:3] for fill in run.fills] == [(1, A, 300), (2, A, -100), (3, A, -100), (4, A, -100)]
    # 100,000 - 3,005 = 96,995; + 1,000 - 5 - 1; + 1,000 - 1; + 1,000 - 1
    assert run.cash[1:5] == pytest.approx([96_995.0, 97_989.0, 98_988.0, 99_987.0])


def test_two_orders_of_a_day_pay_two_minimums():
    run = play(tiny_market({A: [10.0] * 3}), {1: steps(buy(A, 100), buy(A, 100))})
    assert run.cash[1] == pytest.approx(100_000 - 2_000 - 10)


def test_a_comminfo_of_backtraders_own_works_with_the_broker():
    run = play(tiny_market({A: [10.0] * 4}), {1: buy(A, 1000), 2: close(A)},
               commission=bt.CommissionInfo(commission=0.001, stocklike=True))
    assert run.cash[1:3] == pytest.approx([89_990.0, 99_980.0])  # 10 each way


# ------------------------------------------------------------------------------------------ without our broker


class BuyThenSell(bt.Strategy):
    def next(self):
        if len(self) == 1:
            self.buy(size=5000)
        if len(self) == 3:
            self.close()

    def notify_order(self, order):
        if order.status in (order.Partial, order.Completed):
            self.cash = [*getattr(self, 'cash', []), self.broker.getcash()]


def plain(prices, filler=None, **fees):
    frame = pd.DataFrame(dict.fromkeys(('open', 'high', 'low', 'close'), prices),
                         index=pd.bdate_range('2024-01-02', periods=len(prices)))
    frame['volume'] = 1e6
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=frame))
    cerebro.addstrategy(BuyThenSell)
    cerebro.broker.setcash(100_000)
    if filler:
        cerebro.broker.set_filler(filler)
    cerebro.broker.addcommissioninfo(AShareCommission(**fees))
    return cerebro.run()[0].cash


def test_alone_in_a_plain_cerebro_to_the_cent():
    # 5,000 x 10.01 = 50,050, commission 15.015; 5,000 x 10.20 = 51,000, commission 15.30, duty 51
    assert plain([10.0, 10.01, 10.1, 10.2, 10.3]) == pytest.approx([49_934.985, 100_868.685], abs=1e-9)


def test_alone_in_a_plain_cerebro_on_the_floor():
    # 5,000 x 1.00 = 5,000: floor 5; 5,000 x 1.10 = 5,500: floor 5, duty 5.50, transfer 0.055
    assert plain([1.0, 1.0, 1.0, 1.1, 1.1], transfer_fee=0.00001) == pytest.approx(
        [94_994.95, 94_994.95 + 5_500 - 5 - 5.5 - 0.055], abs=1e-9)


def test_the_plain_broker_knows_no_orders_and_charges_the_minimum_once_a_fill():
    cash = plain([1.0] * 12, filler=bt.broker.fillers.FixedSize(size=2500))
    assert cash[:2] == pytest.approx([97_495.0, 94_990.0])  # 2,500 + 5, twice


def test_dated_rates_with_the_plain_broker_say_what_to_do():
    with pytest.raises(ValueError, match='use AShareBroker, or give stamp_duty as a rate'):
        plain([10.0] * 5, stamp_duty='dated')


# ------------------------------------------------------------------------------------------ wrong parameters


@pytest.mark.parametrize('name', ['commission', 'min_commission', 'stamp_duty', 'transfer_fee'])
@pytest.mark.parametrize('value', [-0.0001, float('nan'), float('inf'), '0.0003', True, None])
def test_a_rate_must_be_a_number_of_0_or_more(name, value):
    with pytest.raises(ValueError, match=f'^{name} is '):
        AShareCommission(**{name: value})


@pytest.mark.parametrize('name', ['commission', 'min_commission'])
def test_only_the_laws_rates_can_be_dated(name):
    with pytest.raises(ValueError, match=name):
        AShareCommission(**{name: 'dated'})


@pytest.mark.parametrize('value', [0.03, 0.3, 0.0031])
def test_a_commission_above_the_ceiling_warns(value):
    with pytest.warns(UserWarning, match='above the legal ceiling of 0.003'):
        AShareCommission(commission=value)


@pytest.mark.parametrize('value', [0.0, 0.0003, 0.003])
def test_a_legal_commission_does_not_warn(value):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        AShareCommission(commission=value)
