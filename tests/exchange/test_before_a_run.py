"""What the broker refuses before a run begins and after it has ended, and the columns of the positions' values."""

import backtrader as bt
import pytest

from bt_microcap import AShareBroker, MicroCapStrategy, PositionsValue, setup
from bt_microcap.feeds.schema import check_table
from tests.support.looking import add_market
from tests.support.markets import bar, tiny_market

A = '600001.XSHG'
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])


def cerebro_of(market):
    cerebro = bt.Cerebro(stdstats=False)
    add_market(cerebro, check_table(tiny_market({A: [bar(10.0, cap=2.1e9), 10.0, 10.5]})), market)
    cerebro.addstrategy(MicroCapStrategy, stocknum=1)
    return cerebro


def test_money_that_comes_in_before_or_after_a_run_is_refused():
    cerebro = cerebro_of(False)
    broker = setup(cerebro, cash=100_000.0)
    for _ in range(2):
        with pytest.raises(ValueError, match='add_cash.. before the run would be forgotten: use setcash'):
            broker.add_cash(1_000.0)
        cerebro.run()
    with pytest.raises(ValueError, match='before the run'):
        AShareBroker().add_cash(1.0)


@pytest.mark.parametrize(('option', 'value'), [('margin', 1000.0), ('mult', 10.0), ('leverage', 2.0), ('interest', 0.03),
                                               ('interest_long', True)])
def test_a_commission_for_what_is_no_share_is_refused(option, value):
    with pytest.raises(ValueError, match=f'AShareBroker has no {option}: '):
        AShareBroker().setcommission(commission=0.001, **{option: value})


def test_a_plain_commission_is_taken():
    broker = AShareBroker()
    broker.setcommission(commission=0.001, margin=None, mult=1.0, leverage=1.0, interest=0.0, interest_long=False)
    assert broker.comminfo[None].getcommission(100, 10.0) == pytest.approx(1.0)


@WAYS
@pytest.mark.parametrize(('params', 'header', 'row'), [
    ({'headers': True}, [A], [10_500.0]), ({'headers': True, 'cash': True}, [A, 'cash'], [10_500.0, 90_000.0]),
    ({'cash': True}, None, [10_500.0, 90_000.0]), ({}, None, [10_500.0])])
def test_the_columns_of_the_positions(params, header, row, market):
    cerebro = cerebro_of(market)
    fees = dict.fromkeys(('commission', 'min_commission', 'stamp_duty', 'transfer_fee', 'slippage'), 0.0)
    setup(cerebro, cash=100_000.0, volume_limit=0.001, **fees)  # 1,000 of 1,000,000 shares
    cerebro.addanalyzer(PositionsValue, _name='positions', **params)
    found = cerebro.run()[0].analyzers.positions.get_analysis()
    assert found.pop('Datetime', None) == header
    assert list(found.values())[-1] == row
