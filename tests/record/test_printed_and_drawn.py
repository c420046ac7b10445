"""What the books say of orders of several fills and of cancelled ones, which figure is printed where, each list in its file."""

import json
from datetime import date

import backtrader as bt
import numpy as np
import pytest

from bt_microcap import AShareBroker, AShareCommission, Blotter
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import add_stocks
from bt_microcap.record.blotter import CashFlow, CorporateAction, Equity, Fill, OrderRecord, Rejection
from bt_microcap.record.files import write_run
from bt_microcap.record.statistics import statistics, summary_table
from tests.support.markets import bar, tiny_market
from tests.support.scripted import Result, Scripted, buy, sell

A = '600001.XSHG'
LIMIT = bt.Order.Limit
DAYS = [date(2024, 1, day) for day in (2, 3, 4, 5, 8, 9)]


def books(days, script, **params):
    """Run a script over one stock and return the blotter."""
    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=True)
    add_stocks(cerebro, check_table(tiny_market({A: days})), checked=True)
    broker = AShareBroker(cash=100_000.0, **params)
    broker.addcommissioninfo(AShareCommission(transfer_fee=0.001))
    cerebro.setbroker(broker)
    cerebro.addstrategy(Scripted, script=script, result=Result(broker))
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro.run()[0].analyzers.blotter


# ------------------------------------------------------------------------------------------ orders of several fills


@pytest.fixture(scope='module')
def several():
    # 1,000 at 10.00 and 4,000 at 9.90: 49,600; sold 4,000 at 10.20 and 1,000 at 10.50
    days = [10.0, bar(10.0, volume=10_000.0), bar(9.9, volume=40_000.0), bar(10.2, volume=40_000.0), bar(10.5, volume=20_000.0)]
    script = {1: buy(A, 5_000, exectype=LIMIT, price=10.0, why='dip'), 3: sell(A, 5_000, exectype=LIMIT, price=10.2)}
    return books(days, script, volume_limit=0.1)


def test_each_fill_has_its_own_fees(several):
    # commission: 5 (for 3), then 49,600 x 0.0003 = 14.88 in all; 12.24, then 51,300 x 0.0003 = 15.39 in all
    # duty 0.1 % of each sale, transfer fee here 0.1 % of each fill
    assert [tuple(fill) for fill in several.fills] == [
        (DAYS[1], A, 'BUY', 1000, 10.0, 5.0, 0.0, 10.0),
        (DAYS[2], A, 'BUY', 4000, 9.9, pytest.approx(9.88), 0.0, pytest.approx(39.6)),
        (DAYS[3], A, 'SELL', 4000, 10.2, pytest.approx(12.24), pytest.approx(40.8), pytest.approx(40.8)),
        (DAYS[4], A, 'SELL', 1000, 10.5, pytest.approx(3.15), pytest.approx(10.5), pytest.approx(10.5)),
    ]


def test_an_order_has_the_mean_price_and_all_fees_of_its_fills(several):
    bought, sold = several.orders
    assert bought == OrderRecord(
        DAYS[1], A, 'BUY', 'dip', 5000, 5000, pytest.approx(9.92), pytest.approx(14.88), 0.0, pytest.approx(49.6), 0.0, 0.0,
        'Completed', '', pytest.approx(0.1))
    assert sold == OrderRecord(
        DAYS[3], A, 'SELL', '', 5000, 5000, pytest.approx(10.26), pytest.approx(15.39), pytest.approx(51.3), pytest.approx(51.3),
        0.0, 0.0, 'Completed', '', pytest.approx(0.1))
    assert several.rejections == []
    assert several.cash_difference() == pytest.approx(0.0, abs=1e-9)


def test_the_account_after_each_day(several):
    # 90,000 - 15; - 39,600 - 49.48; + 40,800 - 93.84; + 10,500 - 24.15
    assert several.equity == [
        Equity(DAYS[1], pytest.approx(89_985.0), pytest.approx(10_000.0), pytest.approx(99_985.0)),
        Equity(DAYS[2], pytest.approx(50_335.52), pytest.approx(49_500.0), pytest.approx(99_835.52)),
        Equity(DAYS[3], pytest.approx(91_041.68), pytest.approx(10_200.0), pytest.approx(101_241.68)),
        Equity(DAYS[4], pytest.approx(101_517.53), pytest.approx(0.0), pytest.approx(101_517.53)),
    ]


def test_slippage_of_an_order_is_what_its_fills_cost_beyond_the_price_that_was_reached():
    # bought at 10.10 for 10.00, sold at 9.90 for 10.00: 1 % of each; and a stop of 9.80 sold at 9.70
    days = [10.0, 10.0, 10.0, (10.0, 9.7)]
    script = {1: buy(A, 1000), 2: sell(A, 400), 3: sell(A, 600, exectype=bt.Order.Stop, price=9.8)}
    blotter = books(days, script, slippage=0.02)
    assert [(order.price, order.slippage) for order in blotter.orders] == [
        (10.1, pytest.approx(100.0)), (9.9, pytest.approx(40.0)), (pytest.approx(9.7), pytest.approx(60.0))]


def test_the_part_of_the_volume_is_the_largest_of_the_fills():
    days = [10.0, bar(10.0, volume=10_000.0), bar(10.0, volume=4_000.0)]
    blotter = books(days, {1: buy(A, 1400, exectype=LIMIT, price=10.0)}, volume_limit=0.1)
    assert [order.volume_share for order in blotter.orders] == [0.1]
    days = [10.0, bar(10.0, volume=10_000.0)]
    assert [order.volume_share for order in books(days, {1: buy(A, 200)}).orders] == [0.02]


# ------------------------------------------------------------------------------------------ cancelled orders


def cancel(strategy):
    strategy.cancel(strategy.p.result.orders[0])


def test_an_order_that_the_user_cancels_is_no_refusal():
    blotter = books([10.0] * 5, {1: buy(A, 500, exectype=LIMIT, price=9.0, why='low'), 3: cancel})
    assert blotter.rejections == []
    assert blotter.orders == [OrderRecord(DAYS[1], A, 'BUY', 'low', 500, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 'Canceled', '', 0.0)]
    assert blotter.fills == []


def test_an_order_that_the_user_cancels_after_a_fill():
    days = [10.0] + [bar(10.0, volume=4_000.0)] * 4
    blotter = books(days, {1: buy(A, 1000, exectype=LIMIT, price=10.0), 3: cancel}, volume_limit=0.1)
    assert blotter.rejections == []
    assert [(order.wanted, order.quantity, order.price, order.commission, order.status, order.reason)
            for order in blotter.orders] == [(1000, 800, 10.0, 5.0, 'Canceled', '')]


def test_a_refused_order_and_one_that_the_volume_limit_cuts():
    days = [10.0, bar(11.0), bar(11.0, volume=4_000.0), 11.0]
    blotter = books(days, {1: buy(A, 500), 2: buy(A, 500)}, volume_limit=0.1)
    assert blotter.rejections == [Rejection(DAYS[1], A, 'BUY', 'limit up'), Rejection(DAYS[2], A, 'BUY', 'volume limit')]
    assert [(order.date, order.quantity, order.status, order.reason) for order in blotter.orders] == [
        (DAYS[1], 0, 'Rejected', 'limit up'), (DAYS[2], 400, 'Canceled', 'volume limit')]


# ------------------------------------------------------------------------------------------ what is printed

FIGURES = {
    'start_value': 1_000_000.0, 'end_value': 1_234_567.891, 'total_return': 0.234567891, 'annual_return': 0.11, 'sharpe': 1.234,
    'max_drawdown': 0.0567, 'turnover': 12.34, 'fees': 6_543.21, 'commission': 4_000.1, 'tax': 2_500.2, 'transfer_fee': 42.91,
    'trades': 77, 'rejections': 5, 'days': 488, 'first_day': '2019-01-03', 'last_day': '2020-12-31', 'cash_flows': 0.0,
    'delisted': 0, 'delisted_cash': 0.0, 'median_volume_share': 0.01, 'days_a_year': 252, 'risk_free': 0.0,
}


def test_every_figure_stands_in_its_row():
    assert summary_table(FIGURES).split('\n') == [
        'period         2019-01-03 .. 2020-12-31 (488 trading days)',
        'value          1,000,000.00 -> 1,234,567.89 yuan',
        'return         23.46%',
        'annual return  11.00% (252 days a year)',
        'Sharpe         1.23 (risk-free 0.00% a year)',
        'max drawdown   5.67%',
        'turnover       12.3 times a year',
        'total fees     6,543.21 yuan (commission 4,000.10, tax 2,500.20, transfer fee 42.91)',
        'trades         77',
        'rejections     5',
    ]


def test_rows_that_are_there_when_there_is_something_to_say():
    figures = {**FIGURES, 'cash_flows': -1_500.5, 'delisted': 2, 'delisted_cash': 123_400.0, 'median_volume_share': 0.0123,
               'days_a_year': 250, 'risk_free': 0.04}
    lines = summary_table(figures, -0.0321).split('\n')
    assert lines[2:5] == ['return         23.46% (market -3.21%)', 'annual return  11.00% (250 days a year)',
                          'Sharpe         1.23 (risk-free 4.00% a year)']
    assert lines[10:] == [
        'cash flows     -1,500.50 yuan came in, which is no return',
        'delisted       2 holdings became 123,400.00 yuan (12.34% of the value at the start)',
        "warning        the median order took 1.2% of its stock's volume of the day, all of it at one price: "
        'with so much money the real fills are worse',
    ]
    assert '(market 0.00%)' in summary_table(FIGURES, 0.0)


class Books:
    """A blotter of four days: 1,000,000, then 1,020,000, 969,000, 1,065,900 and, after 100,000 more came in, 1,112,000."""

    values = (1_020_000.0, 969_000.0, 1_065_900.0, 1_112_000.0)
    equity = [Equity(day, value / 4, value * 3 / 4, value) for day, value in zip(DAYS, values, strict=False)]
    fills = [Fill(DAYS[0], A, 'BUY', 10_000, 10.0, 30.0, 0.0, 1.0), Fill(DAYS[1], A, 'SELL', 5_000, 20.0, 40.0, 100.0, 2.0),
             Fill(DAYS[2], A, 'SELL', 5_000, 10.0, 5.0, 50.0, 4.0)]
    rejections = [Rejection(DAYS[0], A, 'BUY', 'limit up')] * 2
    orders = [OrderRecord(DAYS[0], A, 'BUY', '', 1, quantity, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, '', '', share)
              for quantity, share in ((100, 0.02), (100, 0.04), (0, 0.0), (100, 0.03))]
    corporate_actions = [CorporateAction(DAYS[1], A, 'delisted', 100, 0, 700.0),
                         CorporateAction(DAYS[1], A, 'dividend', 1, 1, 9.0),
                         CorporateAction(DAYS[2], A, 'delisted', 100, 0, 50.5)]
    cash_flows: list = []


def test_the_figures_of_a_run_by_hand():
    # days of +2 %, -5 %, +10 % and 4.325 %
    returns = [0.02, -0.05, 0.1, 1_112_000 / 1_065_900 - 1]
    found = statistics(Books, 1_000_000.0)
    mean = sum(returns) / 4
    deviation = (sum((value - mean) ** 2 for value in returns) / 3) ** 0.5
    expected = {
        'start_value': 1_000_000.0, 'end_value': 1_112_000.0, 'total_return': 0.112, 'annual_return': 1.112 ** 63 - 1,
        'sharpe': mean / deviation * 252 ** 0.5, 'max_drawdown': 0.05,
        # 250,000 traded, half of it over a mean of 1,041,725 in 4 of 252 days
        'turnover': 125_000 / 1_041_725 * 63, 'fees': 232.0, 'commission': 75.0, 'tax': 150.0, 'transfer_fee': 7.0, 'trades': 3,
        'rejections': 2, 'days': 4, 'first_day': '2024-01-02', 'last_day': '2024-01-05', 'cash_flows': 0.0, 'delisted': 2,
        'delisted_cash': 750.5, 'median_volume_share': 0.03, 'days_a_year': 252, 'risk_free': 0.0,
    }
    assert set(expected) <= set(found)
    for name, value in expected.items():
        assert found[name] == (pytest.approx(value) if isinstance(value, float) else value), name


def test_figures_by_other_conventions():
    mean, deviation = np.mean([0.02, -0.05, 0.1, 1_112_000 / 1_065_900 - 1]), np.std(
        [0.02, -0.05, 0.1, 1_112_000 / 1_065_900 - 1], ddof=1)
    found = statistics(Books, 1_000_000.0, days_a_year=250, risk_free=0.04)
    assert found['annual_return'] == pytest.approx(1.112 ** 62.5 - 1)
    assert found['sharpe'] == pytest.approx((mean - 0.04 / 250) / deviation * 250 ** 0.5)
    assert (found['days_a_year'], found['risk_free']) == (250, 0.04)
    found = statistics(Books, 1_000_000.0, days_a_year=250, risk_free=0.04, sharpe='annual')
    assert found['sharpe'] == pytest.approx((1.112 ** 62.5 - 1 - 0.04) / (deviation * 250 ** 0.5))


def test_money_that_comes_in_is_no_return():
    class Flows(Books):
        cash_flows = [CashFlow(DAYS[3], 60_000.0), CashFlow(DAYS[3], 40_000.0)]

    # 1,012,000 of 1,065,900 on the last day, after 1.0659: 1.012, and 5.0568 % below the highest
    found = statistics(Flows, 1_000_000.0)
    assert found['total_return'] == pytest.approx(0.012)
    assert found['max_drawdown'] == pytest.approx(1 - 1_012 / 1_065.9)
    assert found['cash_flows'] == 100_000.0
    assert found['end_value'] == 1_112_000.0


@pytest.mark.parametrize('equity', [[], [Equity(DAYS[0], 0.0, 1_000_000.0, 1_000_000.0)]])
def test_figures_of_no_day_and_of_one(equity):
    class Few(Books):
        fills: list = []

    Few.equity = equity
    found = statistics(Few, 1_000_000.0)
    assert [found[name] for name in ('total_return', 'annual_return', 'sharpe', 'max_drawdown', 'turnover')] == [0.0] * 5
    assert (found['days'], found['first_day']) == (len(equity), '2024-01-02' if equity else None)


# ------------------------------------------------------------------------------------------ what is written


@pytest.mark.parametrize('flows', [[], [CashFlow(DAYS[3], 100_000.0)]])
def test_each_list_in_its_own_file(flows, tmp_path):
    class Written(Books):
        cash_flows = flows

    write_run(tmp_path / 'a' / 'b', Written, {'x': 1, '名': '甲'})
    found = {path.name: path.read_text(encoding='utf-8').split('\n') for path in (tmp_path / 'a' / 'b').iterdir()}
    assert found.pop('cash_flows.csv', None) == (['date,amount', '2024-01-05,100000.0', ''] if flows else None)
    assert set(found) == {'trades.csv', 'equity.csv', 'rejections.csv', 'orders.csv', 'corporate_actions.csv', 'summary.json'}
    assert found['trades.csv'][1] == '2024-01-02,600001.XSHG,BUY,10000,10.0,30.0,0.0,1.0'
    assert found['equity.csv'][2] == '2024-01-03,242250.0,726750.0,969000.0'
    assert found['rejections.csv'][1:] == ['2024-01-02,600001.XSHG,BUY,limit up'] * 2 + ['']
    assert found['orders.csv'][0] == ','.join(OrderRecord._fields)
    assert found['corporate_actions.csv'][3] == '2024-01-04,600001.XSHG,delisted,100,0,50.5'
    assert json.loads('\n'.join(found['summary.json'])) == {'x': 1, '名': '甲'}
