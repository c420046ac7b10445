"""missed.csv and prices.csv, worked out by hand on markets of a few days."""

import csv
from datetime import date

import backtrader as bt
import pandas as pd
import pytest

from bt_microcap import AShareBroker, AShareCommission, Blotter, MarketFeed, save_run
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import add_stocks
from bt_microcap.record.missed import missed
from bt_microcap.record.rows import OrderRecord, Unfilled
from tests.support.markets import Shape, bar, build, paused, tiny_market
from tests.support.preset_runs import TINY, params_of, run_plugin
from tests.support.scripted import Result, Scripted, buy, sell

A, B, C, D, E, F, G, H, MARK = (f'60000{number}.XSHG' for number in range(1, 10))
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
# the days of the market, by their numbers
DAYS = ['2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05', '2024-01-08', '2024-01-09', '2024-01-10', '2024-01-11',
        '2024-01-12', '2024-01-15']
HEADER = ['date', 'code', 'side', 'reason', 'shares', 'open', 'until', 'price', 'cost']


def rows(folder, name):
    with open(folder / name, encoding='utf-8', newline='') as stream:
        return list(csv.reader(stream))


def run(stocks, script, folder, market, *, at_open=True, **params):
    """Save a script over a market; the orders cost nothing."""
    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=at_open)
    table = check_table(tiny_market(stocks, dates=DAYS[:max(map(len, stocks.values()))]))
    if market:
        cerebro.adddata(MarketFeed(dataname=table), name='market')
    else:
        add_stocks(cerebro, table, checked=True)
    broker = AShareBroker(cash=1e6, **params)
    broker.addcommissioninfo(AShareCommission(commission=0.0, min_commission=0.0, stamp_duty=0.0, transfer_fee=0.0))
    cerebro.setbroker(broker)
    cerebro.addstrategy(Scripted, script=script, result=Result(broker), at_open=at_open)
    cerebro.addanalyzer(Blotter, _name='blotter')
    save_run(cerebro.run()[0], folder, False, show=False)
    return folder


def found(folder):
    """The rows of missed.csv, days by their numbers, numbers as such."""
    header, *lines = rows(folder, 'missed.csv')
    assert header == HEADER
    return [(DAYS.index(line[0]), line[1], line[2], line[3], int(line[4]), float(line[5]), DAYS.index(line[6]),
             pytest.approx(float(line[7]), rel=1e-12), pytest.approx(float(line[8]), rel=1e-9)) for line in lines]


def each(*steps):
    return lambda strategy: [step(strategy) for step in steps]


def rebalance(step=None):
    """A rebalance that is one by an order of the stock that is always traded."""
    mark = buy(MARK, 100, why='rebalance')
    return mark if step is None else each(mark, step)


FLAT = {MARK: [10.0] * 10}


@WAYS
def test_a_buy_at_limit_up_is_followed_to_the_next_rebalance_over_an_ex_date(market, tmp_path):
    # refused at 11.00; two shares for one on day 2; 6.20 on day 4 is 12.40 of the old: 1,000 x 1.40
    stocks = {**FLAT, A: [10.0, bar(11.0), bar(6.0, preclose=5.5), 6.0, bar(6.2, 6.5), *[6.5] * 5]}
    script = {1: rebalance(buy(A, 1000, why='rebalance')), 4: rebalance()}
    assert found(run(stocks, script, tmp_path, market)) == [(1, A, 'BUY', 'limit up', 1000, 11.0, 4, 12.4, 1400.0)]


@WAYS
def test_a_sale_at_limit_down_that_is_tried_again_counts_each_day_once(market, tmp_path):
    # 18.00, 16.20 and, where it is sold, 16.00: 500 x 1.80, then 500 x 0.20; in all what came of selling at 16.00 for 18.00
    stocks = {**FLAT, B: [20.0, 20.0, bar(18.0), bar(16.2), bar(16.0), *[15.0] * 5]}
    again = sell(B, 500, why='stop')
    script = {1: rebalance(buy(B, 500, why='rebalance')), 2: again, 3: again, 4: again, 6: rebalance()}
    assert found(run(stocks, script, tmp_path, market)) == [
        (2, B, 'SELL', 'limit down', 500, 18.0, 3, 16.2, 900.0), (3, B, 'SELL', 'limit down', 500, 16.2, 4, 16.0, 100.0)]


@WAYS
def test_the_part_that_the_volume_limit_cut(market, tmp_path):
    # 500 of 1,000; 33.00 for 30.00 on the next rebalance
    stocks = {**FLAT, C: [30.0, 30.0, 30.0, 30.0, bar(30.0, volume=2_000.0), bar(31.0), bar(32.0), bar(33.0, 32.5), 33.0, 33.0]}
    script = {4: rebalance(buy(C, 1000, why='rebalance')), 7: rebalance()}
    assert found(run(stocks, script, tmp_path, market, volume_limit=0.25)) == [
        (4, C, 'BUY', 'volume limit', 500, 30.0, 7, 33.0, 1500.0)]


@WAYS
def test_up_to_the_end_of_the_run(market, tmp_path):
    # no decision after it: the last close, 12.00
    stocks = {**FLAT, D: [*[10.0] * 8, bar(11.0), bar(11.5, 12.0)]}
    assert found(run(stocks, {1: rebalance(), 8: rebalance(buy(D, 100, why='rebalance'))}, tmp_path, market)) == [
        (8, D, 'BUY', 'limit up', 100, 11.0, 9, 12.0, 100.0)]


@WAYS
def test_up_to_the_end_of_the_stock(market, tmp_path):
    # its last row is that of day 5, which closes at 9.30
    stocks = {**FLAT, E: [8.0, 8.0, 8.0, 8.0, bar(8.8), bar(9.0, 9.3)]}
    script = {4: rebalance(buy(E, 1000, why='rebalance')), 7: rebalance()}
    assert found(run(stocks, script, tmp_path, market)) == [(4, E, 'BUY', 'limit up', 1000, 8.8, 7, 9.3, 500.0)]


@WAYS
def test_no_row_on_the_day_of_the_next_decision(market, tmp_path):
    # the close before it, 10.50, not one of later: it was lucky by 0.50 a share
    stocks = {**FLAT, H: [10.0, 10.0, 10.0, 10.0, bar(11.0), bar(10.8), bar(10.6, 10.5), None, bar(10.4, 10.2), 9.9]}
    script = {4: rebalance(buy(H, 100, why='rebalance')), 7: rebalance()}
    assert found(run(stocks, script, tmp_path, market)) == [(4, H, 'BUY', 'limit up', 100, 11.0, 7, 10.5, -50.0)]


@WAYS
def test_what_is_left_out(market, tmp_path):
    """Suspended, with and without a row; not held; withdrawn by a condition; filled."""
    def withdrawn(strategy):
        return strategy.buy(data=strategy.feed(B), size=100, why='rebalance', only_if=lambda data, high: False)

    stocks = {**FLAT, F: [10.0, 10.0, paused(), None, *[10.0] * 6], G: [10.0] * 10, B: [10.0] * 10}
    refused = {2: each(buy(F, 100, why='rebalance'), sell(G, 100), withdrawn), 3: buy(F, 100, why='rebalance'),
               5: rebalance()}
    folder = run(stocks, {1: rebalance(), **refused}, tmp_path, market)
    reasons = [(line[13], int(line[5])) for line in rows(folder, 'orders.csv')[1:]]
    assert reasons == [('', 100), ('suspended', 0), ('not held', 0), ('condition not met', 0), ('suspended', 0), ('', 100)]
    assert found(folder) == []


@WAYS
def test_without_rebalances_every_day_with_an_order_is_a_decision(market, tmp_path):
    stocks = {**FLAT, A: [10.0, bar(11.0), bar(11.2), bar(11.3), *[11.3] * 6]}
    assert found(run(stocks, {1: buy(A, 100), 3: buy(MARK, 100)}, tmp_path, market)) == [
        (1, A, 'BUY', 'limit up', 100, 11.0, 3, 11.3, 30.0)]
    # of the same orders, one says that it is a rebalance: this one is none
    script = {1: buy(A, 100), 3: buy(MARK, 100), 5: rebalance()}
    stocks[A][5] = bar(11.6)
    assert found(run(stocks, script, tmp_path, market)) == [(1, A, 'BUY', 'limit up', 100, 11.0, 5, 11.6, 60.0)]


@WAYS
def test_decided_at_the_close_it_met_the_open_of_the_next_day(market, tmp_path):
    """Ordered at the close of day 1, refused at the open of day 2; ordered anew at the close of day 4: the open of day 5."""
    stocks = {**FLAT, A: [10.0, 10.0, bar(11.0), 11.0, bar(11.2), bar(11.5, 12.0), *[12.0] * 4]}
    script = {1: rebalance(buy(A, 1000, why='rebalance')), 4: rebalance()}
    assert found(run(stocks, script, tmp_path, market, at_open=False)) == [(2, A, 'BUY', 'limit up', 1000, 11.0, 5, 11.5, 500.0)]
    # a sale that is tried at each close: no day is counted twice
    stocks = {**FLAT, B: [20.0, 20.0, 20.0, bar(18.0), bar(16.2), bar(16.0), *[15.0] * 4]}
    again = sell(B, 500, why='stop')
    script = {1: rebalance(buy(B, 500, why='rebalance')), 2: again, 3: again, 4: again, 7: rebalance()}
    assert found(run(stocks, script, tmp_path, market, at_open=False)) == [
        (3, B, 'SELL', 'limit down', 500, 18.0, 4, 16.2, 900.0), (4, B, 'SELL', 'limit down', 500, 16.2, 5, 16.0, 100.0)]
    assert [line[0] for line in rows(tmp_path, 'rejections.csv')[1:]] == [DAYS[3], DAYS[4]]


def test_of_no_orders_nothing_was_missed():
    assert missed([], [], [date(2024, 1, 2)], {}, []) == []
    order = OrderRecord(date(2024, 1, 2), A, 'BUY', '', 100, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 'Rejected', 'limit up')
    assert missed([order], [], [date(2024, 1, 2)], {}, [Unfilled(10.0, 100)]) == []  # a stock that is not among the feeds


# ------------------------------------------------------------------------------------ held against a slow walk


def told(value):
    return value is not None and value == value


def factor_of(row, last_close):
    """What the ex-rights of a row make of earlier prices: by what it tells, else by its preclose."""
    dividend, ratio = row.get('cash_dividend'), row.get('share_ratio')
    if told(dividend) or told(ratio):
        return (last_close - (dividend if told(dividend) else 0.0)) / (ratio if told(ratio) else 1.0) / last_close
    moved = told(row['preclose']) and abs(row['preclose'] - last_close) > 0.005
    return row['preclose'] / last_close if moved else 1.0


def legal(code, shares):
    """A buy: whole lots of 100; on STAR 200 shares or more, on the Beijing exchange 100 or more, each single one."""
    least = 200 if code.startswith(('688', '689')) else 100
    if shares < least:
        return 0
    return int(shares) if least == 200 or code.endswith('BJSE') else int(shares) // 100 * 100


def legal_sale(code, shares, held):
    """A sale: all that is held, else as a buy; the odd rest goes with the lots, where the order is for both."""
    if shares >= held:
        return held
    odd = held % 100
    lots = legal(code, shares)
    return lots if lots == shares or not odd or shares - lots < odd else lots + odd


def expected_rows(folder, table):
    """The rows of missed.csv from the other files and the table alone, an order at a time.

    All orders are for the open, where no more could have been bought than the cash after that day's fills pays.
    """
    market = {}
    for row in table.to_dict('records'):
        market.setdefault(str(row['code']), {})[str(row['date'].date())] = row
    orders = [dict(zip(header, line, strict=True)) for header, *lines in [rows(folder, 'orders.csv')] for line in lines]
    cash = {line[0]: float(line[1]) for line in rows(folder, 'equity.csv')[1:]}
    held = {tuple(line[:2]): int(line[2]) for line in rows(folder, 'positions.csv')[1:]}
    rebalances = [line[0] for line in rows(folder, 'picks.csv')[1:]]
    last_day = max(cash)
    result = []
    for order in orders:
        day, code = order['date'], order['code']
        if order['status'] == 'Completed' or order['reason'] in ('', 'suspended', 'not held', 'condition not met'):
            continue
        stock, opening = market[code], market[code][day]['open']
        shares = int(order['wanted']) - int(order['quantity'])
        if order['side'] == 'BUY':
            shares = legal(code, min(shares, (max(cash[day], 0.0) + 1e-9) / opening))
        else:
            shares = legal_sale(code, shares, held.get((day, code), 0))
        if not shares:
            continue
        later = [one['date'] for one in orders if one['date'] > day and (one['code'] == code or one['why'] == 'rebalance')]
        later += [one for one in rebalances if one > day]
        until = min(later, default=last_day)
        price, close, factor = None, stock[day]['close'], 1.0
        for other in sorted(other for other in stock if day < other <= until):
            factor *= factor_of(stock[other], close)
            price, close = (stock[other]['open'] if other == until and later else None), stock[other]['close']
        price = (close if price is None else price) / factor
        sign = 1 if order['side'] == 'BUY' else -1
        result.append((day, code, order['side'], order['reason'], shares, opening, until, pytest.approx(price, rel=1e-9),
                       pytest.approx(sign * shares * (price - opening), rel=1e-6, abs=1e-6 * shares)))
    return result


@WAYS
@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
@pytest.mark.filterwarnings('ignore')
def test_where_everything_rare_is_frequent(profile, market, tmp_path):
    reasons, spread = set(), 0
    for seed in range(6):
        tells = seed % 2 == 0
        table = check_table(build(Shape(seed, 12, 40, date(2021, 11, 1), dividends=tells, ratios=tells, wild=True)))
        for preset in ('original', 'ten_weekly', 'microcap400'):
            strategy = run_plugin(table, params_of(preset, **TINY[preset]), profile=profile, market=market, delist_wait=2)
            save_run(strategy, tmp_path, False, show=False)
            expected = expected_rows(tmp_path, table)
            assert [(*line[:4], int(line[4]), float(line[5]), line[6], float(line[7]), float(line[8]))
                    for line in rows(tmp_path, 'missed.csv')[1:]] == expected
            reasons |= {row[3] for row in expected}
            spread += sum((pd.Timestamp(row[6]) - pd.Timestamp(row[0])).days > 1 for row in expected)
    assert {'limit up', 'limit down', 'no volume'} <= reasons
    assert spread > 20


# ------------------------------------------------------------------------------------------------- prices.csv


@WAYS
def test_closes_as_they_were_and_adjusted(market, tmp_path):
    """Ten for ten on day 2, half a yuan of dividend on day 5; no row on day 4, and none after day 6: the run goes on."""
    stocks = {**FLAT, A: [bar(9.0, 10.0), (10.0, 12.0), bar(6.0, 6.0, preclose=6.0), 6.6, None, bar(6.1, 6.1, preclose=6.1), 6.0]}
    folder = run(stocks, {1: buy(A, 1000)}, tmp_path, market)
    # 12.00 becomes 6.00, 6.60 becomes 6.10: at the level of the last day 12 is 6 x 6.1 / 6.6; day 0 is before the run
    header, *lines = rows(folder, 'prices.csv')
    assert header == ['date', 'code', 'close', 'adjusted']
    assert [(line[0], line[1], float(line[2]), pytest.approx(float(line[3]), rel=1e-12)) for line in lines] == [
        (DAYS[1], A, 12.0, 6.0 * 6.1 / 6.6), (DAYS[2], A, 6.0, 6.0 * 6.1 / 6.6), (DAYS[3], A, 6.6, 6.1),
        (DAYS[4], A, 6.6, 6.1), (DAYS[5], A, 6.1, 6.1), (DAYS[6], A, 6.0, 6.0)]


@WAYS
@pytest.mark.parametrize(('count', 'shown'), [
    (14, [13, 12, 11, 10, 9, 8, 0, 1, 2, 3, 4, 5]), (12, [11, 10, 9, 8, 7, 6, 0, 1, 2, 3, 4, 5]), (4, [3, 2, 1, 0])])
def test_which_stocks_are_worth_a_chart(count, shown, market, tmp_path):
    """Six that brought most, the largest profit first, and six that cost most, the largest loss first; each once."""
    # bought at 10.00, at the end 9.95, 9.96, ...: the later the code the more it brought
    codes = [f'6001{number:02d}.XSHG' for number in range(count)]
    stocks = {code: [10.0, 10.0, round(9.95 + number / 100, 2)] for number, code in enumerate(codes)}
    folder = run(stocks, {1: each(*(buy(code, 100) for code in reversed(codes)))}, tmp_path, market)
    assert list(dict.fromkeys(line[1] for line in rows(folder, 'prices.csv')[1:])) == [codes[number] for number in shown]
    assert len(rows(folder, 'prices.csv')) == 1 + 2 * len(shown)
