"""A finished run, made again: as it was, without its costs, and why another cannot be."""

import itertools
import pickle
from datetime import datetime

import backtrader as bt
import pytest

from bt_microcap.exchange.broker import AShareBroker
from bt_microcap.exchange.commission import AShareCommission
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import StockPandas, add_stocks
from bt_microcap.profiles import setup
from bt_microcap.record.blotter import Blotter
from bt_microcap.rotation.presets import PRESETS
from bt_microcap.rotation.strategy import MicroCapStrategy
from bt_microcap.study.again import CannotRepeat, proved, recipe_of, without_costs
from tests.support.markets import bar, tiny_market
from tests.support.preset_runs import SMALL, params_of, run_plugin

ORIGINAL = params_of('original', **SMALL['original'])
FREE = {'commission': 0, 'min_commission': 0, 'stamp_duty': 0, 'transfer_fee': 0, 'slippage': 0, 'slippage_ticks': 0,
        'min_slippage_ticks': 0, 'impact': 0}


@pytest.fixture(scope='module')
def table():
    return check_table(demo_market(60, '2021-03-01', days=150, seed=3, corporate_actions=True, fund=True))


class Own(MicroCapStrategy):
    """Every hook does something."""

    params = (('pause', 3),)

    def is_rebalance_day(self, day):
        return day % self.p.pause == 1

    def screen(self, section):
        return super().screen(section) & (section.previous('close') > 5)

    def rank(self, section):
        return -section.previous('market_cap')

    def budget(self, cash, free):
        return 0.9 * cash / free

    def next(self):
        super().next()
        if len(self) == 40:
            self.broker.add_cash(50_000.0)


class Plain(bt.Strategy):
    """Buys what the sizer says and sells it again, with a stop order beside."""

    params = (('every', 6),)

    def next(self):
        data = self.datas[-1]
        if len(self) % self.p.every == 0:
            self.buy(data)
        elif len(self) % self.p.every == 3 and self.getposition(data).size:
            self.close(data)


def books(strategy):
    found = strategy.analyzers.blotter
    return found.fills, found.rejections, found.equity, found.orders, found.corporate_actions, found.cash_flows


def cerebro_of(table, *, market=True, strategy=MicroCapStrategy, params=ORIGINAL, cerebro=None, **rules):
    cerebro = cerebro or bt.Cerebro(stdstats=False)
    if market:
        cerebro.adddata(MarketFeed(dataname=table), name='market')
    else:
        add_stocks(cerebro, table, checked=True)
    cerebro.addstrategy(strategy, **params)
    setup(cerebro, **rules)
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro


# -------------------------------------------------------------------------------------------------- the same again


@pytest.mark.parametrize('market', [True, False])
@pytest.mark.parametrize('profile', ['joinquant', 'realistic'])
@pytest.mark.parametrize('preset', PRESETS)
def test_the_same_to_the_last_digit(table, preset, profile, market):
    strategy = run_plugin(table, params_of(preset, **SMALL[preset]), profile=profile, cash=2e6, market=market)
    assert len(strategy.analyzers.blotter.fills) > 10
    again = recipe_of(strategy).run()
    assert again is not strategy
    assert books(again) == books(strategy)
    assert again.broker.profile == profile


@pytest.mark.parametrize('market', [True, False])
def test_a_subclass_with_hooks_of_its_own(table, market):
    strategy = run_plugin(table, {**ORIGINAL, 'pause': 4}, strategy=Own, market=market)
    found = books(strategy)
    assert len(found[0]) > 10
    assert [flow.amount for flow in found[-1]] == [50_000.0]
    assert books(recipe_of(strategy).run()) == found


def test_part_of_the_days_and_a_benchmark(table):
    cerebro = bt.Cerebro(stdstats=False)
    days = {'fromdate': datetime(2021, 4, 1), 'todate': datetime(2021, 7, 30)}
    cerebro.adddata(MarketFeed(dataname=table, benchmark='microcap:20', **days), name='market')
    cerebro.addstrategy(MicroCapStrategy, **ORIGINAL)
    setup(cerebro, cash=345_678.0, slippage=0.01, volume_limit=0.02)
    cerebro.addanalyzer(Blotter, _name='blotter')
    strategy = cerebro.run()[0]
    again = recipe_of(strategy).run()
    assert books(again) == books(strategy)
    assert again.broker.startingcash == 345_678.0
    assert again.data.store is strategy.data.store
    assert again.data is not strategy.data
    assert (again.data.close.array == strategy.data.close.array, again.data._name) == (True, 'market')
    assert str(again.analyzers.blotter.equity[-1].date) == '2021-07-30'


def test_decided_at_the_close(table):
    strategy = cerebro_of(table).run(cheat_on_open=False, runonce=False)[0]
    again = recipe_of(strategy).run()
    assert not again.at_open
    assert not again.env.p.runonce
    assert books(again) == books(strategy)


def test_a_plain_strategy_sizer_broker_and_commission(table):
    cerebro = bt.Cerebro(stdstats=False, tradehistory=True)
    code = '600000.XSHG' if '600000.XSHG' in set(table['code']) else table['code'].iloc[0]
    rows = table[table['code'] == code]
    frame = rows.set_index('date')[['open', 'high', 'low', 'close', 'volume']]
    cerebro.adddata(bt.feeds.PandasData(dataname=frame), name='plain')
    cerebro.adddata(StockPandas(dataname=rows, checked=True), name=code)
    cerebro.addstrategy(Plain, every=5)
    cerebro.addsizer(bt.sizers.FixedSize, stake=700)
    cerebro.broker.setcash(200_000.0)
    cerebro.broker.setcommission(commission=0.001, name=code)
    cerebro.broker.set_slippage_perc(0.002)
    cerebro.addanalyzer(Blotter, _name='blotter')
    strategy = cerebro.run()[0]
    again = recipe_of(strategy).run()
    assert {fill.quantity for fill in again.analyzers.blotter.fills} == {700}
    assert books(again) == books(strategy)
    assert [data._name for data in again.datas] == ['plain', code]
    assert type(again.broker) is bt.brokers.BackBroker
    assert again.env.p.tradehistory


def test_switches_of_the_broker_are_kept(table):
    cerebro = cerebro_of(table)
    cerebro.broker.set_slippage_fixed(0.03)
    cerebro.broker.addcommissioninfo(AShareCommission(commission=0.002), name=table['code'].iloc[0])
    strategy = cerebro.run()[0]
    again = recipe_of(strategy).run()
    assert (again.broker.p.slippage_ticks, again.broker._slips_in_yuan) == (3.0, True)
    assert set(again.broker.comminfo) == {None, table['code'].iloc[0]}
    assert books(again) == books(strategy)


def test_observers_analyzers_and_prints_are_left_out(table, capsys):
    class Printing(MicroCapStrategy):
        def stop(self):
            super().stop()
            print('the end')

    cerebro = cerebro_of(table, strategy=Printing, cerebro=bt.Cerebro(writer=True))
    cerebro.addanalyzer(bt.analyzers.DrawDown)
    strategy = cerebro.run()[0]
    assert 'the end' in capsys.readouterr().out
    again = recipe_of(strategy).run()
    assert capsys.readouterr() == ('', '')
    assert (len(again.analyzers), len(again.observers)) == (1, 0)
    assert len(strategy.analyzers) == 2
    assert len(strategy.observers) > 0
    assert books(again) == books(strategy)


def test_other_analyzers_strategy_params_and_rules(table):
    recipe = recipe_of(cerebro_of(table).run()[0])
    again = recipe.run([(bt.analyzers.DrawDown, {'_name': 'fall'})])
    assert again.analyzers.fall.get_analysis().max.drawdown > 0
    other = recipe.run(strategy=Own, params={'stocknum': 2, 'pause': 7}, rules={'stamp_duty': 0.005, 'volume_limit': 0.0})
    by_hand = run_plugin(table, {**ORIGINAL, 'stocknum': 2, 'pause': 7}, strategy=Own, stamp_duty=0.005, volume_limit=0.0)
    assert books(other) == books(by_hand)
    with pytest.raises(ValueError, match="there is no rule 'slipage'"):
        recipe.run(rules={'slipage': 0.0})


def test_in_another_process(table, tmp_path):
    recipe = recipe_of(run_plugin(table, {**ORIGINAL, 'pause': 4}, strategy=Own))
    assert books(pickle.loads(pickle.dumps(recipe)).run()) == books(recipe.run())


def test_one_run_of_a_grid(table):
    cerebro = bt.Cerebro(stdstats=False, optreturn=False, maxcpus=1)
    cerebro.adddata(MarketFeed(dataname=table), name='market')
    cerebro.optstrategy(MicroCapStrategy, min_cap=1e9, max_cap=4e9, stocknum=(2, 5))
    setup(cerebro)
    cerebro.addanalyzer(Blotter, _name='blotter')
    for (strategy,) in cerebro.run():
        assert books(proved(strategy).run()) == books(strategy)


def test_one_run_of_a_sweep_with_other_params(table):
    cerebro = bt.Cerebro(stdstats=False, optreturn=False, maxcpus=1)
    cerebro.adddata(MarketFeed(dataname=table), name='market')
    cerebro.optstrategy(MicroCapStrategy, min_cap=1e9, max_cap=4e9, combination=[(('stocknum', 2), ('refresh_rate', 9))])
    setup(cerebro)
    cerebro.addanalyzer(Blotter, _name='blotter')
    (strategy,), = cerebro.run()
    by_hand = run_plugin(table, {**ORIGINAL, 'stocknum': 4, 'refresh_rate': 9})
    assert books(recipe_of(strategy).run(params={'stocknum': 4})) == books(by_hand)


# -------------------------------------------------------------------------------------------------- without costs


@pytest.mark.parametrize('market', [True, False])
@pytest.mark.parametrize(('profile', 'preset', 'costs'), [
    ('joinquant', 'original', {}),
    ('realistic', 'original', {'slippage_ticks': 2.0, 'impact': 0.1}),
    ('realistic', 'parked', {}),  # a fund slips by min_slippage_ticks alone
])
def test_without_costs_is_the_run_by_hand(table, profile, preset, costs, market):
    params = params_of(preset, **SMALL[preset])
    strategy = run_plugin(table, params, profile=profile, market=market, **costs)
    free = without_costs(strategy)
    by_hand = run_plugin(table, params, profile=profile, market=market, **{**costs, **FREE})
    assert (free.fills, free.rejections, free.equity) == books(by_hand)[:3]
    assert [row.date for row in free.equity] == [row.date for row in strategy.analyzers.blotter.equity]
    assert free.equity[-1].total_value > strategy.analyzers.blotter.equity[-1].total_value
    assert {(fill.commission, fill.transfer_fee) for fill in free.fills} == {(0.0, 0.0)}
    assert {order.slippage for order in free.orders} == {0.0}


def test_the_tax_on_dividends_stays():
    # 1,000 of 1,010 yuan buy 100 shares at 10.00; 0.50 a share are paid, of which JoinQuant withholds a fifth: 40 yuan come in
    market = tiny_market({'600001.XSHG': [
        10.0, 10.0, bar(9.5, preclose=9.5, cash_dividend=0.5, share_ratio=1.0), 9.5]})
    params = {'min_cap': 0.0, 'max_cap': 1e13, 'stocknum': 1, 'refresh_rate': 99}
    strategy = run_plugin(market, params, profile='joinquant', cash=1010.0)
    free = without_costs(strategy)
    assert [(fill.quantity, fill.price, fill.commission) for fill in free.fills] == [(100, 10.0, 0.0)]
    assert [row.total_value for row in free.equity] == pytest.approx([1010.0, 1000.0, 1000.0])
    assert [action.cash for action in free.corporate_actions] == pytest.approx([40.0])


class FlatFee(bt.CommInfoBase):
    """No commission of ours."""

    params = (('stocklike', True), ('commission', 8.0))

    def _getcommission(self, size, price, pseudoexec):
        return self.p.commission


class Dear(AShareCommission):
    """Takes fees that no rate tells."""

    def fees(self, *args, **kwargs):
        found = super().fees(*args, **kwargs)
        return found._replace(commission=found.commission + 1)


@pytest.mark.parametrize(('commission', 'said'), [
    (FlatFee, 'the commission is a FlatFee, expected AShareCommission'),
    (Dear, r'the commission Dear has a fees\(\) of its own'),
])
def test_costs_that_cannot_be_taken_off(table, commission, said):
    cerebro = cerebro_of(table)
    cerebro.broker.addcommissioninfo(commission())
    strategy = cerebro.run()[0]
    assert books(proved(strategy).run()) == books(strategy)  # repeated it can be
    with pytest.raises(CannotRepeat, match=said):
        without_costs(strategy)


def test_another_broker_has_no_such_costs(table):
    cerebro = bt.Cerebro(stdstats=False)
    add_stocks(cerebro, table, checked=True)
    cerebro.addstrategy(MicroCapStrategy, **ORIGINAL)
    cerebro.broker.setcash(1e6)
    with pytest.raises(CannotRepeat, match='the broker is a BackBroker, expected AShareBroker'):
        without_costs(cerebro.run()[0])


# -------------------------------------------------------------------------------------------------- what cannot be repeated


class Turn(MicroCapStrategy):
    """Each run is another."""

    numbers = itertools.count(1)

    def __init__(self):
        super().__init__()
        self.number = next(self.numbers)

    def budget(self, cash, free):
        return cash / free / self.number


class Watching(MicroCapStrategy):
    """Needs an observer of the user's."""

    def trade(self, day):
        if self.stats.broker.value[0] != 0:
            super().trade(day)


class OwnCerebro(bt.Cerebro):
    """May do anything."""


class Live(bt.feeds.PandasData):
    """Says that it is live, and is not."""

    def islive(self):
        return True


def weekly(cerebro, table):
    cerebro.resampledata(cerebro.datas[0], timeframe=bt.TimeFrame.Weeks, name='weeks')


def filtered(cerebro, table):
    data = bt.feeds.PandasData(dataname=index_of(table))
    data.addfilter_simple(lambda data: False)
    cerebro.adddata(data, name='index')


def index_of(table):
    return table[table['code'] == table['code'].iloc[0]].set_index('date')[['open', 'high', 'low', 'close', 'volume']]


CASES = {
    'resampled': (weekly, 'the data feed weeks is resampled or replayed'),
    'filtered': (filtered, 'the data feed index is filtered'),
    'live': (lambda cerebro, table: cerebro.adddata(Live(dataname=index_of(table)), name='index'), 'the data feed index is live'),
    'copied': (lambda cerebro, table: cerebro.adddata(cerebro.datas[0].clone(), name='copy'),
               'the data feed copy reads another feed'),
    'timer': (lambda cerebro, table: cerebro.add_timer(bt.timer.SESSION_END), "it has timers of Cerebro's"),
    'history': (lambda cerebro, table: cerebro.add_order_history([], notify=False), 'it has a history of orders or of a fund'),
}


@pytest.mark.parametrize('case', CASES)
def test_why_a_run_cannot_be_repeated(table, case):
    change, said = CASES[case]
    cerebro = cerebro_of(table)
    change(cerebro, table)
    with pytest.raises(CannotRepeat, match=said) as caught:
        recipe_of(cerebro.run()[0])
    assert '\n' not in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_cerebro_of_another_class(table):
    with pytest.raises(CannotRepeat, match='Cerebro is a OwnCerebro'):
        recipe_of(cerebro_of(table, cerebro=OwnCerebro(stdstats=False)).run()[0])


def test_several_strategies(table):
    cerebro = bt.Cerebro(stdstats=False)
    add_stocks(cerebro, table, checked=True)
    cerebro.addstrategy(Plain)
    cerebro.addstrategy(Plain)
    with pytest.raises(CannotRepeat, match='several strategies share one account'):
        recipe_of(cerebro.run()[0])


@pytest.mark.parametrize('given', [None, [], MicroCapStrategy])
def test_no_strategy(given):
    with pytest.raises(CannotRepeat, match='expected a strategy after its run'):
        recipe_of(given)


@pytest.mark.parametrize('blotter', [True, False])
def test_another_result_is_found_out(table, blotter):
    cerebro = cerebro_of(table, strategy=Turn)
    if not blotter:
        cerebro.analyzers.clear()
    with pytest.raises(CannotRepeat, match='run again it gives another result'):
        proved(cerebro.run()[0])


def test_what_needs_an_observer_is_found_out(table):
    cerebro = cerebro_of(table, strategy=Watching)
    cerebro.addobserver(bt.observers.Broker)
    with pytest.raises(CannotRepeat, match='run again, without analyzers and observers of its own, it fails: AttributeError: '):
        proved(cerebro.run()[0])


def test_proved_without_a_blotter(table):
    cerebro = cerebro_of(table)
    cerebro.analyzers.clear()
    strategy = cerebro.run()[0]
    again = proved(strategy).run()
    assert again.analyzers.blotter.equity[-1].total_value == strategy.broker.getvalue()
    assert type(again.broker) is AShareBroker
