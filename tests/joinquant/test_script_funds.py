"""Fees and slippage of funds beside stocks, cash that orders lock, and limits before the open."""

import pytest

from .scripts import fills, market, run

FUND, SHARE = '510300.XSHG', '600001.XSHG'
HEAD = '''
from jqdata import *

FUND, SHARE = '510300' + '.XSHG', '600001' + '.XSHG'


def initialize(context):
    g.seen = []
    {settings}
    run_daily(early, '9:05')
    run_daily(trade, '9:30')


def early(context):
    if context.current_dt.day == 3:
        {early}


def trade(context):
    if context.current_dt.day == 3:
        {trade}
'''


def play(tmp_path, table=None, settings='pass', early='pass', trade='pass', **params):
    """Run what is done on Wednesday 2024-01-03."""
    table = market({FUND: [1.0] * 4, SHARE: [10.0] * 4}) if table is None else table
    return run(HEAD.format(settings=settings, early=early, trade=trade), table, tmp_path, **params)


BOTH = """set_order_cost(OrderCost(close_tax=0.001, open_commission=0.0003, close_commission=0.0003, min_commission=5), 'stock')
    set_order_cost(OrderCost(open_commission=0.00005, close_commission=0.00005, min_commission=0), type='fund')
    set_slippage(FixedSlippage(0.02), type='stock')
    set_slippage(FixedSlippage(0.002), type='fund')"""


def test_a_fund_has_the_fees_and_the_slippage_of_funds(tmp_path):
    strategy = play(tmp_path, settings=BOTH, trade="order(FUND, 50000); order(SHARE, 1000)")
    assert fills(strategy) == [('2024-01-03', FUND, 50_000, 1.001), ('2024-01-03', SHARE, 1000, 10.01)]
    fund, share = strategy.analyzers.blotter.fills
    assert fund.commission == pytest.approx(50_000 * 1.001 * 0.00005)  # 2.5025 yuan
    assert share.commission == 5.0  # 10,010 yuan at 0.03 % are 3.003


def test_what_is_set_for_stocks_alone_leaves_funds_as_they_were(tmp_path):
    settings = "set_slippage(FixedSlippage(0.5), type='stock'); set_order_cost(OrderCost(open_commission=0.01), type='stock')"
    strategy = play(tmp_path, settings=settings, trade="order(FUND, 50000); order(SHARE, 1000)")
    # 1.0 x 1.00123 is 1.001 at three decimals; a stock pays half of 0.5 yuan more
    assert [price for *_, price in fills(strategy)] == [1.001, 10.25]
    assert [fill.commission for fill in strategy.analyzers.blotter.fills] == pytest.approx([50_050 * 0.0003, 102.5])


def test_what_is_set_without_a_type_is_for_all(tmp_path):
    strategy = play(tmp_path, settings='set_slippage(FixedSlippage(0))', trade="order(FUND, 50000); order(SHARE, 1000)")
    assert [price for *_, price in fills(strategy)] == [1.0, 10.0]


def test_a_fund_pays_no_tax(tmp_path):
    settings = "set_slippage(FixedSlippage(0)); set_order_cost(OrderCost(open_tax=0.01, close_tax=0.01), type='stock')"
    strategy = play(tmp_path, settings=settings, trade="order(FUND, 1000); order(SHARE, 1000)")
    assert [fill.tax for fill in strategy.analyzers.blotter.fills] == [0.0, 100.0]


def test_a_second_run_begins_with_the_rules_of_the_profile(tmp_path):
    strategy = play(tmp_path, settings=BOTH, trade="order(FUND, 50000)")
    strategy.cerebro.broker.fund_slip = (0.5, 0.0, False)  # as a script of a run before has left it
    strategy._as_it_was()
    assert strategy.broker.fund_slip is None and strategy.broker.p.slippage == 0.00246


def test_an_order_before_the_open_locks_its_cash(tmp_path):
    early = ("order_value(SHARE, 50000); p = context.portfolio; g.seen.append((p.available_cash, p.locked_cash, p.total_value)); "
             "order_value(FUND, p.cash * 0.5)")
    strategy = play(tmp_path, settings='set_slippage(FixedSlippage(0)); set_order_cost(OrderCost())', early=early,
                    trade='p = context.portfolio; g.seen.append((p.cash, p.locked_cash))')
    # 5,000 shares at yesterday's close of 10 lock 50,000 of 100,000 yuan; half of the rest buys the fund, at 0.03 %
    assert strategy.g.seen == [(50_000.0, 50_000.0, 100_000.0), (24_992.5, 0.0)]
    assert fills(strategy) == [('2024-01-03', SHARE, 5000, 10.0), ('2024-01-03', FUND, 25_000, 1.0)]


@pytest.mark.parametrize('opening', [10.0, 14.0])
def test_before_the_open_a_limit_does_not_tell_the_open(opening, tmp_path):
    # the data has no limits; an open beyond the computed one, as at a relisting, proves that none holds
    table = market({SHARE: [10.0, opening, opening]}, preclose={SHARE: {1: 10.0}}).drop(columns=['high_limit', 'low_limit'])
    look = 'd = get_current_data()[SHARE]; g.seen.append((d.high_limit, d.low_limit))'
    strategy = play(tmp_path, table, early=look, trade=look)
    assert strategy.g.seen == [(11.0, 9.0), (11.0, 9.0) if opening == 10.0 else (float('inf'), 0.0)]
