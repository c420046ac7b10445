"""Dated duties, fees and taxes, and where the rules end: literals worked out from the notices."""

import subprocess
import sys
import warnings
from datetime import date
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bt_microcap import AShareCommission
from bt_microcap.exchange import rules, validity
from bt_microcap.exchange.rules import RuleError
from tests.support import oracle_rules

SH, SZ, CHINEXT, STAR, BSE = '600001.XSHG', '000002.XSHE', '300001.XSHE', '688001.XSHG', '835001.BJSE'
DAYS = st.dates(date(1996, 12, 16), date(2026, 12, 31))


def day(text):
    return date.fromisoformat(text).toordinal()


# ------------------------------------------------------------------------------------------ duties, fees, taxes


@pytest.mark.parametrize(('on', 'of_buys', 'of_sales'), [
    ('1996-12-16', 0.003, 0.003), ('1997-05-11', 0.003, 0.003), ('1997-05-12', 0.005, 0.005),
    ('1998-06-11', 0.005, 0.005), ('1998-06-12', 0.004, 0.004), ('2001-11-15', 0.004, 0.004),
    ('2001-11-16', 0.002, 0.002), ('2005-01-23', 0.002, 0.002), ('2005-01-24', 0.001, 0.001),
    ('2007-05-29', 0.001, 0.001), ('2007-05-30', 0.003, 0.003), ('2008-04-23', 0.003, 0.003),
    ('2008-04-24', 0.001, 0.001), ('2008-09-18', 0.001, 0.001), ('2008-09-19', 0.0, 0.001),
    ('2023-08-27', 0.0, 0.001), ('2023-08-28', 0.0, 0.0005), ('2026-12-31', 0.0, 0.0005)])
def test_stamp_duty(on, of_buys, of_sales):
    assert rules.stamp_duty(day(on))[1:] == (of_buys, of_sales)


def test_the_two_dates_told_of_1997_differ_by_a_weekend():
    assert [date(1997, 5, number).weekday() for number in (10, 12)] == [5, 0]


@pytest.mark.parametrize(('on', 'rate'), [
    ('2015-08-01', 0.00002), ('2022-04-28', 0.00002), ('2022-04-29', 0.00001), ('2026-12-31', 0.00001)])
@pytest.mark.parametrize('code', ['', SH, SZ, CHINEXT])
def test_transfer_fee_of_the_value(on, rate, code):
    assert rules.transfer_fee(day(on), code)[1:] == (rate, rate)


@pytest.mark.parametrize(('on', 'rate'), [
    ('2021-11-15', 0.000025), ('2022-04-28', 0.000025), ('2022-04-29', 0.00001), ('2026-12-31', 0.00001)])
def test_transfer_fee_of_beijing(on, rate):
    assert rules.transfer_fee(day(on), BSE)[1:] == (rate, rate)


@pytest.mark.parametrize(('on', 'rate', 'minimum'), [
    ('1996-12-16', 0.0005, 1.0), ('2012-05-31', 0.0005, 1.0), ('2012-06-01', 0.000375, 0.0),
    ('2012-08-31', 0.000375, 0.0), ('2012-09-01', 0.0003, 0.0), ('2015-07-31', 0.0003, 0.0)])
def test_transfer_fee_of_the_face_value_in_shanghai(on, rate, minimum):
    row = rules.transfer_fee(day(on), SH)
    assert isinstance(row, rules.FaceFee)
    assert row[1:] == (rate, minimum)
    assert not isinstance(rules.transfer_fee(day('2015-08-01'), SH), rules.FaceFee)


@pytest.mark.parametrize('on', ['1996-12-16', '2012-06-01', '2015-07-31'])
@pytest.mark.parametrize('code', [SZ, CHINEXT])
def test_shenzhen_had_no_transfer_fee_beside_the_commission(on, code):
    assert rules.transfer_fee(day(on), code)[1:] == (0.0, 0.0)


@pytest.mark.parametrize(('ex_date', 'bought', 'sold', 'rate'), [
    ('1996-12-16', '1996-12-16', '1996-12-20', 0.2), ('2005-06-10', '2005-06-01', '2005-06-20', 0.2),
    ('2005-06-12', '2001-01-02', '2005-06-20', 0.2),  # flat: whatever the time held
    ('2005-06-13', '2001-01-02', '2005-06-20', 0.1), ('2005-06-13', '2005-06-10', '2005-06-20', 0.1),
    ('2012-12-31', '2012-12-20', '2013-01-07', 0.1), ('2013-01-01', '2012-12-20', '2013-01-07', 0.2),
    ('2013-01-01', '2012-11-20', '2013-01-07', 0.1), ('2013-01-01', '2011-11-20', '2013-01-07', 0.05),
    ('2015-09-07', '2014-01-06', '2015-09-30', 0.05), ('2015-09-08', '2014-01-06', '2015-09-30', 0.0),
    ('2015-09-08', '2015-09-01', '2015-09-30', 0.2), ('2015-09-08', '2015-08-03', '2015-09-30', 0.1)])
def test_dividend_tax(ex_date, bought, sold, rate):
    assert rules.dividend_tax(day(ex_date), day(bought), day(sold)) == rate


@given(DAYS, st.sampled_from((SH, SZ, CHINEXT)), st.integers(1, 5_000_000), st.integers(1, 30_000), st.sampled_from((1, -1)))
def test_fees_of_an_order_against_the_model(on, code, shares, cents, sign):
    value = Fraction(shares * cents, 100)
    side = 'BUY' if sign > 0 else 'SELL'
    fees = AShareCommission(stamp_duty='dated', transfer_fee='dated').fees(sign * shares, cents / 100, on.toordinal(), code)
    assert fees.stamp_duty == pytest.approx(float(oracle_rules.stamp_duty_rate(on, side) * value))
    assert fees.transfer_fee == pytest.approx(float(oracle_rules.transfer_fee(on, code, shares, value)))


@given(DAYS, st.integers(0, 800), st.integers(1, 800))
def test_dividend_tax_against_the_model(ex_date, before, after):
    bought, sold = (date.fromordinal(ex_date.toordinal() + move) for move in (-before, after))
    expected = oracle_rules.dividend_tax_rate(ex_date, bought, sold)
    assert rules.dividend_tax(ex_date.toordinal(), bought.toordinal(), sold.toordinal()) == float(expected)


# ------------------------------------------------------------------------------------------ where the rules end


def everything(on):
    """Give what asks the tables on a day."""
    many = np.array([SH]), on, np.array([10.0]), np.array([False]), np.array([0])
    return {'--start 1996-12-16': lambda: rules.price_limits(SH, on, 10.0),
            'high_limit and low_limit columns': lambda: rules.price_limits_of_day(*many),
            '--stamp-duty RATE, such as 0.003': lambda: rules.stamp_duty(on),
            '--transfer-fee RATE, such as 0.00005': lambda: rules.transfer_fee(on, SH),
            '--dividend-tax RATE, such as 0.2': lambda: rules.dividend_tax(on, on, on + 1)}


@pytest.mark.parametrize('on', ['1996-12-15', '1990-12-19'])
def test_before_the_price_limits_began_nothing_is_guessed(on):
    for remedy, asked in everything(day(on)).items():
        with pytest.raises(RuleError, match=f'1996-12-16 to 2026-12-31; {on} is outside: .*{remedy}'):
            asked()


def test_what_no_source_tells_is_an_error_that_names_the_option():
    with pytest.raises(RuleError, match='from 2021-11-15 on, not on 2021-11-14: .*--transfer-fee RATE, such as 0.000025'):
        rules.transfer_fee(day('2021-11-14'), BSE)
    with pytest.raises(RuleError, match='before 2015-08-01 .* for 2015-07-31 give the code .*--transfer-fee RATE, such as'):
        rules.transfer_fee(day('2015-07-31'))


def test_after_the_tables_the_last_rule_holds_and_one_line_says_so(monkeypatch):
    monkeypatch.setattr(validity, '_told', False)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('always')
        for asked in everything(day('2026-12-31')).values():
            asked()
        assert told == []
        for on in ('2027-01-04', '2027-01-05', '2040-01-02'):
            for asked in everything(day(on)).values():
                asked()
            assert rules.price_limits(SH, day(on), 10.0, True) == (9.0, 11.0)
            assert rules.stamp_duty(day(on))[1:] == (0.0, 0.0005)
            assert rules.transfer_fee(day(on), BSE)[1:] == (0.00001, 0.00001)
            assert rules.dividend_tax(day(on), day('2020-01-02'), day(on)) == 0.0
    assert [(warning.category, str(warning.message)) for warning in told] == [(
        UserWarning, 'the exchange rules here are known until 2026-12-31; 2027-01-04 is run by the last of them')]


def test_a_process_says_it_once():
    script = ('from datetime import date\nfrom bt_microcap.exchange import rules\n'
              'for number in range(4, 9):\n    rules.price_limits("600001.XSHG", date(2027, 1, number).toordinal(), 10.0)\n'
              '    rules.stamp_duty(date(2027, 1, number).toordinal())\n')
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, check=True)
    assert done.stderr.count('known until 2026-12-31; 2027-01-04 is run by the last of them') == 1
    assert done.stderr.count('known until') == 1


# ------------------------------------------------------------------------------------------ the referees


def test_fees_against_both():
    marina, theirs = pytest.importorskip('marina_rules'), pytest.importorskip('dbl_common.fees')
    for on in ('1997-05-12', '1998-06-11', '1998-06-12', '2001-11-15', '2001-11-16', '2005-01-23', '2005-01-24', '2007-05-29',
               '2007-05-30', '2008-04-23', '2008-04-24', '2008-09-18', '2008-09-19', '2023-08-28'):
        ours, (side, rate) = rules.stamp_duty(day(on)), theirs.stamp_tax(on)
        assert (ours.buy, ours.sell) == (rate if side == 'both' else 0.0, rate)
        if on >= '2008-09-19':  # where its records begin
            assert ours.sell == marina.rule_at('stamp_duty_sell', on)
    for on in ('2015-08-01', '2022-04-28', '2022-04-29', '2026-12-31'):
        ours = rules.transfer_fee(day(on))
        assert ours.buy == ours.sell == theirs.transfer_fee_rate(on)
        assert ours.buy == marina.rule_at('transfer_fee_each_side', on)
    for on in ('2000-01-04', '2012-05-31', '2012-06-01', '2012-08-31', '2012-09-01', '2015-07-31'):
        rule = theirs.transfer_fee_rule('600000', on)
        assert (rule.mode, rule.rate) == ('face', rules.transfer_fee(day(on), SH).rate)
        # Shenzhen's it has beside the commission; here it is inside
        assert theirs.transfer_fee_rule('000001', on).rate == 0.0000255
    on = '2024-01-02'
    assert theirs.commission_cap(on) == marina.rule_at('commission_cap', on) == rules.MAX_COMMISSION
    assert marina.rule_at('commission_min_per_order_cny', on) == rules.MIN_COMMISSION
