"""Cases in which a rotation once traded wrong money, each by hand; at no cost, 100,000 yuan."""

import math
import warnings

import numpy as np
import pytest

from bt_microcap import MicroCapStrategy
from bt_microcap.exchange.fills import affordable
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.stock import StockPandas
from bt_microcap.rotation import weights
from bt_microcap.rotation.overlays import Overlay
from bt_microcap.rotation.tally import NothingTradedWarning
from bt_microcap.rotation.values import price
from tests.support.markets import bar, paused, tiny_market
from tests.support.rotating import ANY_CAP, cerebro_of, orders_of, rotate

A, B, C, FUND = '600001.XSHG', '600002.XSHG', '600003.XSHG', '511880.XSHG'
WAYS = pytest.mark.parametrize('market', [True, False], ids=['market', 'feeds'])


class Plan(Overlay):
    """Allows parts of the account on some days, all of it on the others."""

    why = 'plan'

    def __init__(self, **parts):
        self.parts = parts

    def exposure(self, known):
        return self.parts.get(f'_{known.today:%m_%d}', 1.0)


def flat(days, cap, price=10.0):
    return [bar(price, cap=cap)] + [price] * (days - 1)


def parts_in_stocks(run):
    return [round(row.market_value / row.total_value, 3) for row in run.analyzers.blotter.equity]


@WAYS
def test_what_is_blocked_counts_against_the_part_allowed(market):
    """Half of the account is suspended and half is allowed: the other holding goes, and is not bought back."""
    table = tiny_market({A: [bar(10.0, cap=1e9), 10.0, 10.0, bar(10.0, cap=9e9), *[paused()] * 3, 10.0],
                         B: flat(8, 2e9), C: flat(8, 3e9)})
    run = rotate(table, market=market, stocknum=2, keep=True, weights='equal', refresh_rate=1,
                 overlays=(Plan(_01_08=0.5, _01_09=0.5, _01_10=0.5),))
    assert parts_in_stocks(run) == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 1.0]
    assert [order[:4] for order in orders_of(run) if order[0] in ('01-09', '01-10')] == []
    assert run.broker.getvalue() == pytest.approx(100_000)


def test_a_cooldown_runs_from_a_sale_and_not_from_a_refusal():
    table = tiny_market({A: [bar(10.0, cap=1e9), (10.0, 9.0), (8.1, 9.9), *[9.9] * 5], B: flat(8, 5e9)})
    for cooldown in (0, 10):
        run = rotate(table, stocknum=1, keep=True, refresh_rate=3, stop_loss=0.09, cooldown=cooldown)
        assert [order[:3] + order[4:] for order in orders_of(run)] == [
            ('01-03', A, 'BUY', 10_000, ''), ('01-04', A, 'SELL', 0, 'limit down')]


def test_a_fund_is_sold_for_what_is_bought_and_no_more():
    table = tiny_market({A: flat(6, 1e9), FUND: [bar(100.0, cap=math.nan, volume=1e7)] * 6})
    run = rotate(table, stocknum=2, keep=True, refresh_rate=1, parking=FUND, extra_screen=lambda section: section.codes == A)
    # half of the account in the one stock there is, the rest in the fund, where it stays
    assert [order[:5] for order in orders_of(run)] == [
        ('01-03', A, 'BUY', 'rebalance', 5_000), ('01-03', FUND, 'BUY', 'parking', 500)]


def test_the_share_of_falling_stocks_counts_those_that_traded_on_both_days():
    for away in (paused(), None):
        table = tiny_market({A: flat(6, 1e9), B: [bar(10.0, cap=2e9), 10.0, away, (9.5, 9.2), 9.2, 9.2]})
        assert [order[:4] for order in orders_of(rotate(table, falling_share=0.5))] == [('01-03', A, 'BUY', 'rebalance')]
    table = tiny_market({A: flat(6, 1e9), B: [bar(10.0, cap=2e9), 10.0, 10.0, (9.5, 9.2), 9.2, 9.2]})
    assert ('01-08', A, 'SELL', 'market stop') in [order[:4] for order in orders_of(rotate(table, falling_share=0.5))]


@WAYS
def test_no_order_for_the_close_of_a_suspended_day(market):
    for away in (paused(price_1430=11.0), None):
        table = tiny_market({
            A: [bar(10.0, cap=1e9, price_1430=10.0), bar(10.0, price_1430=10.0), bar(10.0, 11.0, price_1430=11.0), away, away,
                bar(11.0, price_1430=11.0), bar(11.0, price_1430=11.0)], B: [bar(10.0, cap=9e9, price_1430=10.0)] * 7})
        run = rotate(table, market=market, limit_up_hold=True)
        assert [order[:4] for order in orders_of(run)] == [('01-03', A, 'BUY', 'rebalance'), ('01-09', A, 'SELL', 'limit opened')]
        assert run.analyzers.blotter.rejections == []


@WAYS
def test_where_the_afternoon_is_not_known_the_close_says_it(market):
    """Closed at 11.00 on 01-03, below its limit on 01-04, without a price at 14:30."""
    days = [bar(10.0, cap=1e9, price_1430=10.0), bar(10.0, 11.0, price_1430=11.0), bar(11.5, price_1430=math.nan),
            bar(11.5, price_1430=11.5), 11.5]
    table = tiny_market({A: days, B: [bar(10.0, cap=9e9, price_1430=10.0)] * 5})
    run = rotate(table, market=market, limit_up_hold=True)
    assert [order[:4] + order[5:] for order in orders_of(run)] == [
        ('01-03', A, 'BUY', 'rebalance', ''), ('01-04', A, 'SELL', 'limit opened', 'condition not met'),
        ('01-05', A, 'SELL', 'limit opened', '')]
    assert [(fill.side, fill.price) for fill in run.analyzers.blotter.fills] == [('BUY', 10.0), ('SELL', 11.5)]


@pytest.mark.parametrize('code', [B, '600009.XSHG'])
def test_a_stock_on_a_feed_beside_the_market_is_not_stopped_by_anothers_close(code):
    class Holding(MicroCapStrategy):
        def trade(self, day):
            if not day:
                self.buy(data=self.getdatabyname(code), size=1000, price=10.0)
            self.limit_risk()

    cerebro = cerebro_of(tiny_market({A: flat(8, 1e9), C: [bar(10.0, cap=9e9), 10.0, 10.0, *[8.0] * 5]}))
    cerebro.adddata(StockPandas(dataname=tiny_market({code: flat(8, 9e9)})), name=code)
    cerebro.addstrategy(Holding, **ANY_CAP, stop_loss=0.05)
    assert [order[:3] for order in orders_of(cerebro.run()[0])] == [('01-03', code, 'BUY')]


def test_stops_go_by_the_ex_rights_that_the_broker_goes_by():
    """The preclose halves, the explicit columns say nothing: `reinvest` restates the cost, and the last close with it."""
    quiet = {'cash_dividend': 0.0, 'share_ratio': 1.0}
    table = tiny_market({A: [bar(10.0, cap=1e9, **quiet), bar(10.0, **quiet), *[bar(5.0, preclose=5.0, **quiet)] * 3],
                         B: [bar(10.0, cap=9e9, **quiet)] * 5})
    for params in ({'take_profit': 0.5}, {'stop_loss': 0.3}, {'trailing_stop': 0.3}):
        run = rotate(table, options={'ex_rights': 'reinvest'}, **params)
        assert [order[:3] for order in orders_of(run)] == [('01-03', A, 'BUY')]
        assert run.broker.getvalue() == 100_000


class Flow(MicroCapStrategy):
    params = (('flow', 0.0),)

    def trade(self, day):
        if day == 2:
            self.broker.add_cash(self.p.flow)
        super().trade(day)


def test_money_that_comes_or_goes_is_neither_a_fall_nor_a_rise_of_the_account():
    still = tiny_market({A: flat(9, 1e9), B: flat(9, 2e9)})
    run = rotate(still, strategy=Flow, flow=-30_000.0, drawdown_brake=0.2, stocknum=2,
                 extra_screen=lambda section: section.codes == A)
    assert [order[2] for order in orders_of(run)] == ['BUY']
    falling = tiny_market({A: [bar(10.0, cap=1e9), 10, (10, 9.1), (9.1, 8.2), (8.2, 7.4), 7.4, 7.4], B: flat(7, 2e9)})
    for flow in (0.0, 50_000.0):
        run = rotate(falling, strategy=Flow, flow=flow, drawdown_brake=0.2)
        assert ('01-09', A, 'SELL', 'drawdown brake') in [order[:4] for order in orders_of(run)]


def test_an_infinite_weight_is_an_error():
    with pytest.raises(DataError, match=r'weights are \[inf, 1\.0\]: expected numbers of 0 or more'):
        rotate(tiny_market({A: flat(5, 1e9), B: flat(5, 2e9)}), stocknum=2,
               weights=lambda section, picks: np.array([np.inf, 1.0]))


def test_a_screen_that_lets_nothing_through_is_named():
    with pytest.warns(NothingTradedWarning, match='no stock was picked on any of 1 rebalance days: .*extra_screen kept out'):
        rotate(tiny_market({A: flat(5, 1e9)}), extra_screen=price > 1000)


@WAYS
def test_what_a_stop_could_not_sell_counts_against_the_part_allowed(market):
    table = tiny_market({A: [bar(10.0, cap=1e9), (10.0, 9.0), (8.1, 8.1), 8.1, 8.1], B: flat(5, 2e9), C: flat(5, 9e9)})
    run = rotate(table, market=market, stocknum=2, stop_loss=0.09, overlays=(Plan(_01_04=0.5, _01_05=0.5, _01_08=0.5),))
    # of 95,000 yuan by the closes, 90,500 at the open: B goes down by the part that all are too much
    assert [order[:3] + order[4:] for order in orders_of(run)][2:] == [
        ('01-04', A, 'SELL', 0, 'limit down'), ('01-04', B, 'SELL', 2_500, ''), ('01-05', A, 'SELL', 5_000, '')]


def test_a_holding_after_its_last_row_is_the_same_both_ways():
    table = tiny_market({A: [bar(10.0, cap=1e9), 10.0, (9.5, 9.0), *[None] * 5], B: flat(8, 2e9), C: flat(8, 9e9)})
    runs = [rotate(table, market=market, stop_loss=0.05, stocknum=2, refresh_rate=3, overlays=(Plan(_01_08=0.5, _01_09=0.5),))
            for market in (True, False)]
    assert orders_of(runs[0]) == orders_of(runs[1])
    assert runs[0].analyzers.blotter.equity == runs[1].analyzers.blotter.equity


def test_money_freed_by_a_cut_goes_to_all_picks():
    """Ten places, one new pick on the day on which all is allowed again: it does not get what the cut freed."""
    codes = [f'60000{number}.XSHG' for number in range(5)]
    table = tiny_market({code: flat(9, (1 + number) * 1e9) for number, code in enumerate(codes)})
    leaves = {'01-03': codes[:4], '01-09': codes[1:]}
    run = rotate(table, stocknum=4, keep=True, refresh_rate=4, overlays=(Plan(_01_05=0.5),),
                 extra_screen=lambda section: np.isin(section.codes, leaves['01-09' if section.before > 738_892 else '01-03']))
    values = {data._name: run.broker.getposition(data).size * 10 for data in run.held()}
    assert values == dict.fromkeys(codes[1:], 25_000)


def test_what_a_rebalance_brings_down_is_not_cut_before():
    table = tiny_market({A: [bar(10.0, cap=1e9), 10.0, (10.0, 11.0), (11.0, 12.1), 12.1, 12.1],
                         B: [bar(10.0, cap=2e9), 10.0, (10.0, 9.0), (9.0, 8.1), 8.1, 8.1]})
    run = rotate(table, stocknum=2, keep=True, weights='equal', refresh_rate=3, overlays=(Plan(_01_08=0.4, _01_09=0.4),))
    # 60,500 and 40,500 yuan of 101,000: 20,200 each, 3,330 and 2,506 shares too many
    assert [order[1:5] for order in orders_of(run) if order[0] == '01-08'] == [
        (A, 'SELL', 'rebalance', 3_300), (B, 'SELL', 'rebalance', 2_500)]


def test_a_fund_is_not_sold_for_less_than_a_lot():
    fund = [bar(100.0, cap=math.nan, volume=1e7)] * 6
    # a lot of B costs 60,000 yuan, its part is 50,000
    table = tiny_market({A: flat(6, 1e9), B: flat(6, 2e9, 600.0), FUND: fund})
    run = rotate(table, stocknum=2, keep=True, refresh_rate=1, parking=FUND)
    assert [order[:5] for order in orders_of(run) if order[4]] == [
        ('01-03', A, 'BUY', 'rebalance', 5_000), ('01-03', FUND, 'BUY', 'parking', 500)]
    # A lies 250 yuan below its part of a quarter
    table = tiny_market({A: [bar(10.0, cap=1e9), 10.0, (10.0, 9.9), 9.9, 9.9, 9.9], B: flat(6, 2e9), FUND: fund})
    run = rotate(table, stocknum=4, keep=True, weights='equal', refresh_rate=1, parking=FUND,
                 extra_screen=lambda section: section.codes != FUND)
    assert [order[:3] for order in orders_of(run)] == [('01-03', A, 'BUY'), ('01-03', B, 'BUY'), ('01-03', FUND, 'BUY')]


def test_idle_money_of_weighted_holdings_goes_to_those_below_their_targets():
    # A and B inside the band of a quarter; 30 of 300 yuan are left over
    found = weights.changes({'A': 100.0, 'B': 100.0, 'C': 100.0}, {'A': 80.0, 'B': 90.0, 'C': 100.0}, (), 0.25, 300.0, 6.0)
    assert found == pytest.approx({'A': 20.0, 'B': 10.0})
    found = weights.changes({'A': 100.0, 'B': 100.0, 'C': 100.0}, {'A': 80.0, 'B': 90.0, 'C': 115.0}, (), 0.25, 300.0, 6.0)
    assert found == pytest.approx({'A': 15.0})
    assert weights.changes({'A': 100.0, 'B': 100.0}, {'A': 95.0, 'B': 100.0}, (), 0.25, 200.0, 6.0) == {}
    assert weights.changes({'A': 100.0, 'B': 100.0}, {'A': 80.0, 'B': 100.0}, ('A',), 0.1, 200.0, 6.0) == {}
    assert weights.changes({'A': 100.0, 'B': 100.0}, {'A': 126.0}, (), 0.25, 200.0, 6.0) == {'A': -26.0, 'B': 100.0}
    # two of the same value, one a binary digit less: the order of the targets decides
    found = weights.changes({'B': 100.0, 'A': 100.0}, {'B': 0.1 + 0.2 + 90, 'A': 90.3}, (), 0.25, 190.0, 2.0)
    assert found == pytest.approx({'B': 9.4})
    # just at the band is inside
    assert weights.changes({'A': 100.0}, {'A': 125.0}, (), 0.25, 100.0, 2.0) == {}


def test_an_order_of_an_absurd_size_is_sized_at_once():
    fees = lambda size, at: max(5.0, 0.0003 * size * at)  # noqa: E731
    size = affordable('689930.XSHG', 385226962329376, 5.15, 1980066586372993.8, fees)
    assert size * 5.15 + fees(size, 5.15) <= 1980066586372993.8 + 1
    assert (size + 1_000) * 5.15 * 1.0003 > 1980066586372993.8


def test_no_warning_of_numpy():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        rotate(tiny_market({A: flat(6, 1e9), B: [bar(10.0, cap=2e9), *[None] * 4, 10.0]}), stop_loss=0.1, trailing_stop=0.1,
               weights='inverse_volatility', stocknum=2, keep=True, refresh_rate=1)
