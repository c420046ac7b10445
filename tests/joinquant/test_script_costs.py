"""Fees, slippage and volume as a JoinQuant script sets them, and where the profile or the user stands above it."""

import csv

import backtrader as bt
import pytest

from bt_microcap import Blotter, setup
from bt_microcap.commands.backtest import main
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.joinquant.api.errors import ScriptError
from bt_microcap.joinquant.api.session import ScriptWarning
from bt_microcap.joinquant.strategy import JoinQuantStrategy

from .scripts import fills, store
from .steps import A, B, flat, play, script_of

# 1000 shares are bought at 10 yuan on the 3rd, and sold at 10 yuan on the 4th.
TRADE = {'3 9:30': 'order(A, 1000)', '4 9:30': 'order_target(A, 0)'}
NO_SLIPPAGE = 'set_slippage(FixedSlippage(0)); '
NO_FEES = "set_order_cost(OrderCost(), type='stock'); "


def booked(strategy):
    """Return commission, tax and transfer fee of each fill."""
    return [tuple(round(value, 6) for value in (fill.commission, fill.tax, fill.transfer_fee))
            for fill in strategy.analyzers.blotter.fills]


def prices(strategy):
    return [fill[3] for fill in fills(strategy)]


# ---------------------------------------------------------------------------------------------------------------- fees


@pytest.mark.parametrize(('setting', 'expected'), [
    ('pass', [(5.0, 0.0, 0.0), (5.0, 10.0, 0.0)]),  # of the profile: 0.0003, at least 5; 0.001 of sales
    ('set_order_cost(OrderCost(), type="stock")', [(0.0, 0.0, 0.0), (0.0, 0.0, 0.0)]),
    ('set_order_cost(OrderCost(open_tax=0, close_tax=0.001, open_commission=0.0003, close_commission=0.0003, '
     'close_today_commission=0, min_commission=5), type="stock")', [(5.0, 0.0, 0.0), (5.0, 10.0, 0.0)]),
    ('set_order_cost(OrderCost(0, 0.0005, 0.001, 0.001, 0.9, 5), "stock")', [(10.0, 0.0, 0.0), (10.0, 5.0, 0.0)]),
    # other rates of buys than of sales, and a tax on buys
    ('set_order_cost(OrderCost(open_tax=0.0002, close_tax=0.001, open_commission=0.001, close_commission=0.002, '
     'min_commission=5), type="stock")', [(10.0, 2.0, 0.0), (20.0, 10.0, 0.0)]),
    ('set_order_cost(OrderCost(close_tax=0.001, open_commission=0.0001, close_commission=0.002, min_commission=7))',
     [(7.0, 0.0, 0.0), (20.0, 10.0, 0.0)]),
    ('set_order_cost(OrderCost(open_commission=0.0001, close_commission=0.0001), type="stock")',
     [(1.0, 0.0, 0.0), (1.0, 0.0, 0.0)]),
    ('set_commission(PerTrade(buy_cost=0.001, sell_cost=0.002, min_cost=5))', [(10.0, 0.0, 0.0), (10.0, 10.0, 0.0)]),
    ('set_commission(PerTrade(buy_cost=0.002, sell_cost=0.001, min_cost=0))', [(20.0, 0.0, 0.0), (10.0, 0.0, 0.0)]),
    # of something else than stocks
    ('set_order_cost(OrderCost(open_commission=0.01, close_commission=0.01), type="fund")', [(5.0, 0.0, 0.0), (5.0, 10.0, 0.0)]),
    ('set_order_cost(OrderCost(open_commission=0.01), type="index_futures")', [(5.0, 0.0, 0.0), (5.0, 10.0, 0.0)]),
    (f'set_order_cost(OrderCost(open_commission=0.01), type="stock", ref="{B}")', [(5.0, 0.0, 0.0), (5.0, 10.0, 0.0)]),
])
def test_fees(setting, expected, tmp_path):
    assert booked(play(TRADE, tmp_path, setting=NO_SLIPPAGE + setting)) == expected


def test_the_minimum_is_once_an_order(tmp_path):
    strategy = play({'3 9:30': 'order(A, 100); order(A, 2000); order(A, 100)'}, tmp_path,
                    setting=NO_SLIPPAGE + 'set_order_cost(OrderCost(0, 0.001, 0.0003, 0.0003, 0, 5), "stock")')
    assert booked(strategy) == [(5.0, 0.0, 0.0), (6.0, 0.0, 0.0), (5.0, 0.0, 0.0)]
    assert round(strategy.broker.getcash(), 6) == 100_000 - 22_000 - 16


def test_commission_of_an_order_is_all_that_it_cost_beside_its_value(tmp_path):
    strategy = play({'3 9:30': 'see(order(A, 1000).commission); see(portfolio.cash)',
                     '4 9:30': 'see(order_target(A, 0).commission); see(portfolio.cash)'}, tmp_path,
                    setting=NO_SLIPPAGE + 'set_order_cost(OrderCost(0.0002, 0.001, 0.001, 0.002, 0, 5), "stock")')
    assert [round(value, 6) for value in strategy.g.seen] == [12.0, 89_988.0, 30.0, 99_958.0]


# ------------------------------------------------------------------------------------------------------------ slippage


@pytest.mark.parametrize(('setting', 'expected'), [
    ('pass', [10.01, 9.99]),  # 10 x 0.00123 = 0.0123
    ('set_slippage(FixedSlippage(0))', [10.0, 10.0]),
    ('set_slippage(FixedSlippage(0.02))', [10.01, 9.99]),
    ('set_slippage(FixedSlippage(0.5), type="stock")', [10.25, 9.75]),
    ('set_slippage(PriceRelatedSlippage(0.01))', [10.05, 9.95]),
    ('set_slippage(PriceRelatedSlippage(0.0))', [10.0, 10.0]),
    ('set_slippage(PriceRelatedSlippage())', [10.01, 9.99]),
    ('set_slippage(StepRelatedSlippage(3))', [10.01, 9.99]),  # 1.5 steps each way, whole ones
    ('set_slippage(StepRelatedSlippage(1))', [10.0, 10.0]),
    ('set_slippage(StepRelatedSlippage(8), "stock")', [10.04, 9.96]),
    ('set_slippage(0.04)', [10.02, 9.98]),
    ('set_slippage(FixedSlippage(0.5), type="fund")', [10.01, 9.99]),
    ('set_slippage(FixedSlippage(0.5)); set_slippage(PriceRelatedSlippage(0.002))', [10.01, 9.99]),
    ('set_slippage(PriceRelatedSlippage(0.1)); set_slippage(FixedSlippage(0.1))', [10.05, 9.95]),
])
def test_slippage(setting, expected, tmp_path):
    assert prices(play(TRADE, tmp_path, setting=NO_FEES + setting)) == expected


def test_what_is_no_slippage_is_said_in_one_line(tmp_path):
    with pytest.raises(ScriptError, match=r'line \d+.*set_slippage\(\) takes'):
        play(TRADE, tmp_path, setting='set_slippage("much")')


# -------------------------------------------------------------------------------------------------------------- volume


@pytest.mark.parametrize(('ratio', 'bought'), [(0.25, 200), (0.1, 100), (0.05, None), (0.999, 900), (1, 5000), (2.0, 5000)])
def test_volume_ratio_cuts_and_cancels_the_rest(ratio, bought, tmp_path):
    strategy = play({'3 9:30': 'o = order(A, 5000); see((str(o.status), o.filled)); order(B, 100)'},
                    tmp_path, flat(A, B, volume={A: 1000.0}),
                    setting=f'free_of_costs(); set_option("order_volume_ratio", {ratio})')
    assert strategy.g.seen == [('held' if ratio >= 1 else 'canceled', bought or 0)]


def test_volume_ratio_of_one_ends_a_limit_that_was_set_before(tmp_path):
    strategy = play({'3 9:30': 'order(A, 5000)', '4 9:00': 'set_option("order_volume_ratio", 1)', '4 9:30': 'order(A, 5000)'},
                    tmp_path, flat(A, volume=1000.0), setting='free_of_costs(); set_option("order_volume_ratio", 0.3)')
    assert [fill[2] for fill in fills(strategy)] == [300, 5000]


def test_volume_ratio_is_of_all_orders_of_a_day_together(tmp_path):
    # Stricter than the platform, which limits each order and asks its users not to give several: volume cannot be had twice.
    strategy = play({'3 9:30': 'order(A, 5000); see(said(order(A, 5000)))', '4 9:30': 'see(said(order(A, 5000)))'}, tmp_path,
                    flat(A, volume=1000.0), setting='free_of_costs(); set_option("order_volume_ratio", 0.3)')
    assert [fill[2] for fill in fills(strategy)] == [300, 300]
    assert strategy.g.seen == [('canceled', 5000, 0, 0.0), ('canceled', 5000, 300, 10.0)]


# ------------------------------------------------------------------------------------------- whose settings count

OWN = ('set_order_cost(OrderCost(0.01, 0.01, 0.02, 0.02, 0, 77), type="stock"); set_slippage(FixedSlippage(1)); '
       'set_option("order_volume_ratio", 0.0001)')


def test_the_profile_realistic_keeps_its_own_and_says_so_once(tmp_path):
    with pytest.warns(ScriptWarning) as caught:
        strategy = play({**TRADE, '4 9:00': 'set_slippage(FixedSlippage(2))'}, tmp_path, flat(A), setting=OWN,
                        profile='realistic')
    # 2024: a price step each way, 0.0005 of sales, 0.00001 both ways
    assert prices(strategy) == [10.01, 9.99]
    assert booked(strategy) == [(5.0, 0.0, 0.1001), (5.0, 4.995, 0.0999)]
    said = [str(warning.message).split(' of the script')[0] for warning in caught if 'realistic' in str(warning.message)]
    assert said == ['set_order_cost()', 'set_slippage()', "set_option('order_volume_ratio')"]


@pytest.mark.parametrize(('given', 'price', 'fees'), [
    ({}, [10.5, 9.5], [(210.0, 105.0, 0.0), (190.0, 95.0, 0.0)]),
    ({'slippage': 0.0}, [10.0, 10.0], [(200.0, 100.0, 0.0), (200.0, 100.0, 0.0)]),
    ({'slippage': 0.01}, [10.05, 9.95], [(201.0, 100.5, 0.0), (199.0, 99.5, 0.0)]),
    ({'slippage': 0.0, 'slippage_ticks': 2.0}, [10.02, 9.98], [(200.4, 100.2, 0.0), (199.6, 99.8, 0.0)]),
    ({'slippage': 0.0, 'commission': 0.001}, [10.0, 10.0], [(77.0, 100.0, 0.0), (77.0, 100.0, 0.0)]),
    ({'slippage': 0.0, 'commission': 0.001, 'min_commission': 1.0}, [10.0, 10.0], [(10.0, 100.0, 0.0), (10.0, 100.0, 0.0)]),
    ({'slippage': 0.0, 'stamp_duty': 0.002}, [10.0, 10.0], [(200.0, 0.0, 0.0), (200.0, 20.0, 0.0)]),
    ({'slippage': 0.0, 'transfer_fee': 0.003}, [10.0, 10.0], [(200.0, 100.0, 30.0), (200.0, 100.0, 30.0)]),
])
def test_what_the_user_gives_wins_over_the_script(given, price, fees, tmp_path):
    strategy = play(TRADE, tmp_path, flat(A), setting=OWN.rpartition('; ')[0], **given)
    assert prices(strategy) == price
    assert booked(strategy) == fees


def test_a_least_slippage_of_the_user_stands(tmp_path):
    strategy = play(TRADE, tmp_path, flat(A), setting=NO_FEES + 'set_slippage(PriceRelatedSlippage(0.0001))',
                    min_slippage_ticks=3.0)
    assert prices(strategy) == [10.03, 9.97]


def test_a_volume_limit_of_the_user_wins_over_the_script(tmp_path):
    strategy = play({'3 9:30': 'order(A, 5000)'}, tmp_path, flat(A, volume=1000.0), volume_limit=0.5,
                    setting='free_of_costs(); set_option("order_volume_ratio", 0.1)')
    assert [fill[2] for fill in fills(strategy)] == [500]


def test_a_script_changes_its_costs_during_the_run(tmp_path):
    strategy = play({'3 9:30': 'order(A, 1000)',
                     '4 9:00': 'set_slippage(FixedSlippage(0.2)); set_order_cost(OrderCost(0, 0, 0.002, 0.003, 0, 0), "stock")',
                     '4 9:30': 'order(A, 1000)',
                     '5 9:30': """
order(A, -1000)
set_order_cost(OrderCost(), "stock")
set_slippage(StepRelatedSlippage(2))
order(A, -500)"""},
                    tmp_path, flat(A), setting=NO_SLIPPAGE + NO_FEES)
    assert prices(strategy) == [10.0, 10.1, 9.9, 9.99]
    assert booked(strategy) == [(0.0, 0.0, 0.0), (20.2, 0.0, 0.0), (29.7, 0.0, 0.0), (0.0, 0.0, 0.0)]


def optimized(values, tmp_path, profile='joinquant'):
    """Run the script for each value of g.own in one process: where it is 1 it sets costs of its own, else none."""
    script = tmp_path / 'script.py'
    script.write_text(script_of(TRADE, f'g.own = 0\nif g.own:\n    {OWN}'), encoding='utf-8')
    cerebro = bt.Cerebro(stdstats=False, maxcpus=1, optreturn=False)
    cerebro.adddata(MarketFeed(dataname=check_table(flat(A))), name='market')
    cerebro.optstrategy(JoinQuantStrategy, script=str(script), quiet=True, **{'g.own': values})
    setup(cerebro, profile, cash=100_000.0)
    cerebro.addanalyzer(Blotter, _name='blotter')
    return [run[0] for run in cerebro.run(maxcpus=1)]


def test_runs_of_an_optimizer_do_not_leave_their_costs_to_the_next(tmp_path):
    runs = optimized([1, 0, 1, 0], tmp_path)
    assert [prices(run) for run in runs] == [[10.5, 9.5], [10.01, 9.99]] * 2
    # 1000 shares at most, as 0.0001 of 1e7; the next run has no such limit, nor fees
    assert [booked(run) for run in runs] == [[(210.0, 105.0, 0.0), (190.0, 95.0, 0.0)], [(5.0, 0.0, 0.0), (5.0, 9.99, 0.0)]] * 2


# ------------------------------------------------------------------------------------------------------------- command


def traded(folder):
    with (folder / 'trades.csv').open(encoding='utf-8', newline='') as file:
        return [(row['datetime'], row['side'], int(row['quantity']), float(row['price']), *(
            round(float(row[name]), 6) for name in ('commission', 'tax', 'transfer_fee'))) for row in csv.DictReader(file)]


@pytest.mark.parametrize(('options', 'expected'), [
    ([], [('2024-01-03', 'BUY', 1200, 10.1, 36.36, 2.424, 0.0), ('2024-01-04', 'SELL', 1200, 10.9, 52.32, 13.08, 0.0)]),
    (['--slippage', '0'],
     [('2024-01-03', 'BUY', 1200, 10.0, 36.0, 2.4, 0.0), ('2024-01-04', 'SELL', 1200, 11.0, 52.8, 13.2, 0.0)]),
    # the profile's own: 0.0003 and at least 5, 0.0005 of sales, 0.00001, and 0.1 % or a price step each way
    (['--profile', 'realistic'],
     [('2024-01-03', 'BUY', 1200, 10.01, 5.0, 0.0, 0.12012), ('2024-01-04', 'SELL', 1200, 10.99, 5.0, 6.594, 0.13188)]),
])
def test_fees_in_trades_csv(options, expected, tmp_path):
    # bought: 1200 x 10.10 = 12 120, x 0.003 = 36.36, x 0.0002 = 2.424; sold: 1200 x 10.90 = 13 080, x 0.004, x 0.001
    table = flat(A, open={A: {2: 11.0}}, high_limit={A: {2: 12.0}})
    path = store(table, tmp_path / 'market')
    script = tmp_path / 'script.py'
    script.write_text(script_of({'3 9:30': 'order(A, 1200)', '4 9:30': 'order_target(A, 0)'}, (
        'set_slippage(FixedSlippage(0.2)); set_order_cost(OrderCost(0.0002, 0.001, 0.003, 0.004, 0, 5), type="stock")')),
        encoding='utf-8')
    assert main(['--joinquant', str(script), '--data', str(path), '--out', str(tmp_path / 'out'), '--no-plot', '--cash', '100000',
                 *options]) == 0
    assert traded(tmp_path / 'out') == expected
