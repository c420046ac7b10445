"""Numbers of a run that were once wrong, each worked out by hand: what was missed, parked money, ruin, an index with gaps."""

import csv
import json
import math
from datetime import date

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from bt_microcap import AShareCommission, Blotter, MarketFeed, MicroCapStrategy, save_run, setup
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import IndexPandas, StockPandas
from bt_microcap.record.run import level_at
from bt_microcap.record.statistics import growth_of, summary_rows
from tests.support.markets import bar, tiny_market
from tests.support.rotating import rotate
from tests.support.scripted import buy, close, play, sell, steps

A, B, FUND, STAR = '600001.XSHG', '600002.XSHG', '511880.XSHG', '688001.XSHG'
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
DAYS = ['2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05', '2024-01-08', '2024-01-09', '2024-01-10', '2024-01-11',
        '2024-01-12', '2024-01-15']
FREE = {'commission': 0.0, 'min_commission': 0.0, 'stamp_duty': 0.0, 'transfer_fee': 0.0}
FLAT = [10.0] * 10
RISING = [10.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 16.0, 16.0]  # at its limit on day 2 alone
FALLING = [10.0, 10.0, 9.0, 8.2, 7.5, 7.0, 6.5, 6.0, 5.5, 5.0]  # at its limit on day 2 alone


def rows(folder, name):
    with open(folder / name, encoding='utf-8', newline='') as stream:
        return list(csv.DictReader(stream))


def run(stocks, script, folder, market, *, fees=FREE, at_open=True, **params):
    """Save a script over ten days of a market; the orders cost nothing unless `fees` say so. Return the strategy."""
    table = tiny_market({B: FLAT, **stocks}, dates=DAYS)
    result = play(table, script, market=market, commission=AShareCommission(**fees), analyzers=(Blotter,), at_open=at_open,
                  **params)
    save_run(result.strategy, folder, False, show=False)
    return result.strategy


def missed(folder):
    """The rows of missed.csv: day, code, side, reason, shares, the price that it met, until, price, cost."""
    return [(DAYS.index(row['date']), row['code'], row['side'], row['reason'], int(row['shares']), float(row['open']),
             DAYS.index(row['until']), pytest.approx(float(row['price']), rel=1e-12), pytest.approx(float(row['cost']), rel=1e-9))
            for row in rows(folder, 'missed.csv')]


def told(folder):
    return json.loads((folder / 'summary.json').read_text('utf-8'))


# ------------------------------------------------------------------------------------------------- missed.csv


@WAYS
def test_an_order_for_the_close_met_the_close(market, tmp_path):
    """Opens at 10.00, closes at 9.00, its limit; sold at 8.50 on the day after."""
    stocks = {A: [10.0, 10.0, (10.0, 9.0), 8.5, *[8.4] * 6]}
    run(stocks, {1: buy(A, 1000), 2: close(A, exectype=bt.Order.Close), 3: close(A)}, tmp_path, market)
    assert missed(tmp_path) == [(2, A, 'SELL', 'limit down', 1000, 9.0, 3, 8.5, 500.0)]


@WAYS
@pytest.mark.parametrize(('stocks', 'script', 'cash', 'more', 'expected'), [
    # 100,000 yuan pay 9,090 shares at 11.00: 90 lots; up to 16.00
    ({A: RISING}, {2: buy(A, 100_000)}, 100_000.0, {}, [('BUY', 'limit up', 9000, 11.0, 16.0, 45_000.0)]),
    # a tenth of 50,000 is bought at 10.00; what is left pays as many again
    ({A: [bar(10.0, volume=50_000.0)] * 3 + [bar(price, volume=50_000.0) for price in (11, 12, 13, 14, 15, 15, 15)]},
     {2: buy(A, 100_000)}, 100_000.0, {'volume_limit': 0.1}, [('BUY', 'volume limit', 5000, 10.0, 15.0, 25_000.0)]),
    # 10,000 yuan are left of 100,000: nine lots
    ({A: RISING}, {1: buy(B, 9_000), 2: buy(A, 8_000)}, 100_000.0, {}, [('BUY', 'limit up', 900, 11.0, 16.0, 4_500.0)]),
    # less than it pays was asked for
    ({A: RISING}, {2: buy(A, 300)}, 100_000.0, {}, [('BUY', 'limit up', 300, 11.0, 16.0, 1_500.0)]),
    # one lot is 1,100 yuan
    ({A: RISING}, {2: buy(A, 1_000)}, 1_000.0, {}, []),
    # 1,070 yuan pay 1,000 shares at 1.07 to the last fen
    ({A: [0.97, 0.97, 1.07, *[1.17] * 7]}, {2: buy(A, 1_000)}, 1_070.0, {}, [('BUY', 'limit up', 1000, 1.07, 1.17, 100.0)]),
    # STAR: 200 shares or more, then each single one; 20 % up. 4,000 / 12.00 = 333.3
    ({STAR: [10.0, 10.0, 12.0, *[13.0] * 7]}, {2: buy(STAR, 1_000)}, 4_000.0, {}, [('BUY', 'limit up', 333, 12.0, 13.0, 333.0)]),
    ({STAR: [10.0, 10.0, 12.0, *[13.0] * 7]}, {2: buy(STAR, 1_000)}, 2_399.0, {}, []),
    # 5,000 are to be sold, 1,000 are held
    ({A: FALLING}, {1: buy(A, 1_000), 2: sell(A, 5_000)}, 100_000.0, {}, [('SELL', 'limit down', 1000, 9.0, 5.0, 4_000.0)]),
    # of 550 shares five lots could be sold; the odd rest stays
    ({A: FALLING}, {1: buy(A, 1_000), 2: sell(A, 550)}, 100_000.0, {}, [('SELL', 'limit down', 500, 9.0, 5.0, 2_000.0)]),
], ids=['cash', 'after a part', 'cash left', 'asked for', 'no lot', 'to the fen', 'star', 'star, no lot', 'holding', 'lots held'])
def test_no_more_shares_than_could_have_been_traded(stocks, script, cash, more, expected, market, tmp_path):
    run(stocks, script, tmp_path, market, cash=cash, **more)
    assert [(side, reason, shares, met, price, cost) for _, _, side, reason, shares, met, _, price, cost in missed(tmp_path)
            ] == expected


@WAYS
def test_a_sale_that_waits_over_a_split_is_of_as_many_shares_more(market, tmp_path):
    """1,000 of day 3 are 2,000 of day 4, refused at 4.50; 2.50 on the last day."""
    stocks = {A: [10.0, 10.0, 10.0, 10.0, bar(4.5, preclose=5.0), 4.2, 4.0, 3.6, 3.0, 2.7]}
    run(stocks, {1: buy(A, 1_000), 3: sell(A, 1_000)}, tmp_path, market, at_open=False)
    assert missed(tmp_path) == [(4, A, 'SELL', 'limit down', 2000, 4.5, 9, 2.7, 3_600.0)]


@WAYS
@pytest.mark.parametrize(('delist', 'price', 'cost'), [('last_close', 7.4, 1_600.0), (0.5, 3.7, 5_300.0), ('zero', 0.0, 9_000.0)])
def test_a_stock_that_has_ended_counts_as_it_was_booked_out(delist, price, cost, market, tmp_path):
    stocks = {A: [10.0, 10.0, 9.0, 8.2, (7.5, 7.4)]}
    run(stocks, {1: buy(A, 1_000), 2: close(A)}, tmp_path, market, delist=delist, delist_wait=1)
    assert missed(tmp_path) == [(2, A, 'SELL', 'limit down', 1000, 9.0, 9, price, cost)]


class Chosen(MicroCapStrategy):
    """Both at first, then the one that is held already."""

    def select(self, section):
        return [A, B] if not self.rebalance_picks else [B]


@WAYS
@pytest.mark.parametrize('at_open', [True, False])
def test_a_rebalance_that_gives_no_order_ends_it_too(at_open, market, tmp_path):
    """Half of 100,000 yuan at 11.00 are 45 lots, refused on day 1; day 3 has the other one alone, at 12.00."""
    table = tiny_market({A: [10.0, 11.0, (11.0, 11.5), 12.0, 13.0, 14.0, 15.0, 16.0], B: [10.0] * 8}, dates=DAYS[:8])
    strategy = rotate(table, market=market, strategy=Chosen, stocknum=2, keep=True, refresh_rate=2, cheat=at_open,
                      options={'min_slippage_ticks': 0.0})
    save_run(strategy, tmp_path, False, show=False)
    assert {row['date'] for row in rows(tmp_path, 'orders.csv')} == {DAYS[1 if at_open else 0]}
    assert missed(tmp_path) == [(1, A, 'BUY', 'limit up', 4500, 11.0, 3, 12.0, 4_500.0)]


# ------------------------------------------------------------------------------------------------- orders.csv


@WAYS
def test_an_order_that_is_filled_in_part_when_the_run_ends(market, tmp_path):
    """A tenth of 20,000 shares a day from day 6 to day 9, at 10.02 for 10.00."""
    stocks = {A: [bar(10.0, volume=20_000.0)] * 10}
    script = {6: steps(buy(A, 200_000, exectype=bt.Order.Limit, price=10.5, why='slowly'),
                       buy(B, 100, exectype=bt.Order.Limit, price=9.5))}  # which is never reached
    run(stocks, script, tmp_path, market, cash=1e7, volume_limit=0.1, slippage=0.004, fees={**FREE, 'commission': 0.0003})
    order, = rows(tmp_path, 'orders.csv')
    assert (order['date'], order['code'], order['side'], order['why'], order['wanted'], order['quantity']) == (
        DAYS[6], A, 'BUY', 'slowly', '200000', '8000')
    # 0.03 % of 80,160 yuan; 8,000 x 0.02
    assert [float(order[name]) for name in ('price', 'commission', 'slippage')] == pytest.approx([10.02, 24.048, 160.0])
    assert (order['status'], order['reason']) == ('Partial', '')
    assert [row['quantity'] for row in rows(tmp_path, 'trades.csv')] == ['2000'] * 4
    summary = told(tmp_path)
    assert (summary['slippage'], summary['fees']) == (pytest.approx(160.0), pytest.approx(24.048))
    assert (summary['median_volume_share'], summary['volume_share_max']) == (pytest.approx(0.1), pytest.approx(0.1))
    assert missed(tmp_path) == []


# ------------------------------------------------------------------------------------------------- parked money


@WAYS
@pytest.mark.parametrize('chosen', [False, True])
def test_parked_money_is_in_no_stock(chosen, market, tmp_path):
    """The fund from day 1 to day 5, 50 yuan lost; the stock from day 2 to day 4, 100 yuan won."""
    stocks = {FUND: [10.0] * 5 + [9.5] * 5, A: [10.0, 10.0, 10.0, 10.5, 11.0, *[11.0] * 5]}
    why = 'rebalance' if chosen else 'parking'  # chosen as a stock, too, it is one
    run(stocks, {1: buy(FUND, 100, why=why), 2: buy(A, 100, why='rebalance'), 4: close(A, why='rebalance'),
                 5: close(FUND, why='parking')}, tmp_path, market)
    summary = told(tmp_path)
    assert summary['days'] == 9
    names = ('closed_trades', 'win_rate', 'payoff', 'expectancy', 'expectancy_rate', 'profit_factor', 'mean_days_held')
    figures = [summary[name] for name in names]
    if chosen:
        # the fund and the stock: 4 and 2 days; -50 and 100 yuan, of 1,000 each
        assert figures == [2, 0.5, 2.0, pytest.approx(25.0), pytest.approx(0.025), pytest.approx(2.0), 3.0]
        assert summary['time_in_market'] == pytest.approx(4 / 9)
    else:
        assert figures == [1, 1.0, None, pytest.approx(100.0), pytest.approx(0.1), None, 2.0]
        assert summary['time_in_market'] == pytest.approx(2 / 9)
    assert [row['code'] for row in rows(tmp_path, 'round_trips.csv')] == [A, FUND]


# ------------------------------------------------------------------------------------------------- ruin


@WAYS
@pytest.mark.parametrize('saved', [False, True])
def test_an_account_of_nothing(saved, market, tmp_path):
    """All the money in a stock that is worth nothing on day 5; some is brought in on day 7."""
    script = {1: buy(A, 10_000)}
    if saved:
        script[7] = lambda strategy: strategy.broker.add_cash(50_000.0)
    strategy = run({A: FLAT[:4]}, script, tmp_path, market, delist='zero', delist_wait=1)
    values = [float(row['total_value']) for row in rows(tmp_path, 'equity.csv')]
    ruined = values.index(0.0)
    assert values == [100_000.0] * ruined + [0.0] * (6 - ruined) + ([50_000.0] * 3 if saved else [0.0] * 3)
    assert 3 < ruined < 6
    # one day of -100 % among nine: the deviation of a sample is sqrt(1 / 9)
    summary = told(tmp_path)
    assert [summary[name] for name in ('total_return', 'annual_return', 'max_drawdown', 'worst_day', 'best_day')] == [
        -1.0, -1.0, 1.0, -1.0, 0.0]
    assert summary['volatility'] == pytest.approx(math.sqrt(252) / 3)
    assert summary['cash_flows'] == (50_000.0 if saved else 0.0)
    assert growth_of(strategy.analyzers.blotter, 100_000.0).tolist() == [1.0] * (ruined + 1) + [0.0] * (9 - ruined)


@WAYS
@pytest.mark.parametrize('again', [False, True])
def test_all_the_money_is_taken_out(again, market, tmp_path):
    script = {3: lambda strategy: strategy.broker.add_cash(-100_000.0)}
    if again:
        script |= {6: lambda strategy: strategy.broker.add_cash(20_000.0), 7: buy(A, 2_000)}
    run({A: [10.0] * 8 + [11.0] * 2}, script, tmp_path, market)
    values = [float(row['total_value']) for row in rows(tmp_path, 'equity.csv')]
    # add_cash comes into effect at the end of its day; it is no return. Of the new money there is a tenth
    assert values == [100_000.0] * 2 + [0.0] * 3 + ([20_000.0] * 2 + [22_000.0] * 2 if again else [0.0] * 4)
    summary = told(tmp_path)
    assert summary['total_return'] == pytest.approx(0.1 if again else 0.0)
    assert (summary['max_drawdown'], summary['cash_flows']) == (0.0, -80_000.0 if again else -100_000.0)
    assert [(row['date'], float(row['amount'])) for row in rows(tmp_path, 'cash_flows.csv')] == [
        (DAYS[3], -100_000.0), *([(DAYS[6], 20_000.0)] if again else [])]


# ------------------------------------------------------------------------------------------------- the benchmark


def test_an_index_without_a_row_on_the_first_day():
    dates = [date(2024, 1, day) for day in (4, 5, 8)]
    known = np.array([date(2024, 1, day).toordinal() for day in (2, 3, 5, 8)])
    # 110 on the eve, none on the 4th: the close before it stands
    assert level_at(dates, known, np.array([100.0, 110.0, 110.0, 121.0])).tolist() == pytest.approx([1.0, 1.0, 1.0, 1.1])


def test_its_rise_before_the_run_is_no_return_of_the_run(tmp_path):
    closes = [100.0, 110.0, None, 110.0, 110.0, 110.0, 110.0, 110.0, 110.0, 110.0]
    index = pd.DataFrame([{'date': pd.Timestamp(day), 'open': close, 'high': close, 'low': close, 'close': close, 'volume': 1.0}
                          for day, close in zip(DAYS, closes, strict=True) if close])
    cerebro = bt.Cerebro(stdstats=False)
    first = pd.Timestamp(DAYS[1])  # the first bar; the books begin on the day after
    cerebro.adddata(IndexPandas(dataname=index, fromdate=first), name='index')
    cerebro.adddata(StockPandas(dataname=check_table(tiny_market({A: FLAT}, dates=DAYS)), checked=True, fromdate=first), name=A)
    cerebro.addstrategy(bt.Strategy)
    setup(cerebro)
    cerebro.addanalyzer(Blotter, _name='blotter')
    summary = save_run(cerebro.run()[0], tmp_path, False, show=False)
    assert (summary['first_day'], summary['benchmark'], summary['benchmark_return']) == (DAYS[2], 'index', 0.0)
    assert {row['benchmark'] for row in rows(tmp_path, 'equity.csv')} == {'1.0'}


# ------------------------------------------------------------------------------------------------- what the summary says


class AtOnce(bt.Strategy):
    """Buys at the open of the first bar."""

    params = (('cash', 0.5),)

    bought = False

    def prenext_open(self):
        if not self.bought:
            self.bought = True
            self.buy(data=self.data.stock(A), size=100)

    nextstart_open = next_open = prenext_open


def test_the_bars_of_a_run_and_a_param_called_cash(tmp_path):
    table = check_table(tiny_market({A: FLAT, B: FLAT}, dates=DAYS))
    summary = save_run(rotate(table), tmp_path, False, show=False)
    # the rotation trades from the second bar on
    assert (summary['market']['first_bar'], summary['first_day'], summary['market']['last_bar']) == (DAYS[0], DAYS[1], DAYS[9])
    assert (summary['params']['cash'], summary['start_value']) == (100_000.0, 100_000.0)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=table, fromdate=date(2024, 1, 4)), name='market')
    cerebro.addstrategy(AtOnce)
    setup(cerebro, cash=5_000.0)
    cerebro.addanalyzer(Blotter, _name='blotter')
    summary = save_run(cerebro.run()[0], tmp_path, False, show=False)
    # this one on the first, which its first day does not tell of
    assert (summary['market']['first_bar'], summary['first_day'], rows(tmp_path, 'trades.csv')[0]['datetime']) == (
        DAYS[2], DAYS[2], DAYS[2])
    assert (summary['params'], summary['start_value']) == ({'cash': 0.5}, 5_000.0)


@pytest.mark.parametrize(('days', 'warned'), [(59, True), (60, False)])
def test_a_run_of_few_days_is_warned_of(days, warned):
    figures = {'first_day': '2024-01-02', 'last_day': '2024-03-29', 'days': days, 'start_value': 1.0, 'end_value': 1.0,
               'total_return': 0.0, 'annual_return': 0.0, 'days_a_year': 252, 'sharpe': 0.0, 'risk_free': 0.0,
               'max_drawdown': 0.0, 'turnover': 0.0, 'fees': 0.0, 'commission': 0.0, 'tax': 0.0, 'transfer_fee': 0.0, 'trades': 0,
               'rejections': 0, 'cash_flows': 0.0, 'delisted': 0, 'delisted_cash': 0.0, 'median_volume_share': 0.0}
    said = [text for name, text in summary_rows(figures) if name == 'warning']
    assert said == (['only 59 trading days: annual figures and ratios mean nothing'] if warned else [])
