"""Backtrader's analyzers in an optimizer's runs: what a worker sends back holds no feed and no view of the market."""

import backtrader as bt
import pytest

from bt_microcap import Blotter, MicroCapStrategy, setup
from bt_microcap import PyFolio as OurPyFolio
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from tests.support.looking import add_market

BAND = {'min_cap': 4e8, 'max_cap': 6e9}
A = bt.analyzers
# every analyzer of Backtrader's, with params where it needs some
ANALYZERS = {
    'AnnualReturn': {}, 'Calmar': {}, 'DrawDown': {}, 'TimeDrawDown': {}, 'GrossLeverage': {}, 'LogReturnsRolling': {},
    'PeriodStats': {}, 'PositionsValue': {'headers': True, 'cash': True}, 'PyFolio': {}, 'Returns': {}, 'SharpeRatio': {
        'timeframe': bt.TimeFrame.Days}, 'SharpeRatio_A': {'timeframe': bt.TimeFrame.Weeks}, 'SQN': {}, 'TimeReturn': {
        'timeframe': bt.TimeFrame.Months}, 'TradeAnalyzer': {}, 'Transactions': {'headers': True}, 'VWR': {},
}
SHORT = ('SharpeRatio', 'Calmar', 'PyFolio', 'TradeAnalyzer')  # where not all are asked for


@pytest.fixture(scope='module')
def table():
    return check_table(demo_market(16, '2021-03-01', days=45, seed=13, corporate_actions=True))


def test_none_is_forgotten():
    kinds = {kind for kind in vars(A).values() if isinstance(kind, type) and issubclass(kind, bt.Analyzer)}
    assert {getattr(A, name) for name in ANALYZERS} == kinds - {bt.Analyzer, bt.TimeFrameAnalyzerBase}


def cerebro_of(table, market, names=tuple(ANALYZERS), **options):
    cerebro = bt.Cerebro(**options)
    add_market(cerebro, table, market)
    setup(cerebro, 'realistic')
    for name in names:
        cerebro.addanalyzer(getattr(A, name), _name=name.lower(), **ANALYZERS[name])
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro


def analyses(strategy, names=tuple(ANALYZERS)):
    found = {name: getattr(strategy.analyzers, name.lower()).get_analysis() for name in names}
    return {name: repr(plain(analysis)) for name, analysis in found.items()}


def plain(value):
    """Dictionaries of any kind as plain ones."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


@pytest.fixture(scope='module')
def alone(table):
    """What each analyzer says of a run of its own, by the number of stocks and the way of feeding."""
    found = {}
    for market in (False, True):
        for stocknum in (2, 4):
            cerebro = cerebro_of(table, market)
            cerebro.addstrategy(MicroCapStrategy, stocknum=stocknum, **BAND)
            found[market, stocknum] = analyses(cerebro.run()[0])
    assert all(text not in ('{}', '[]', 'None') for told in found.values() for text in told.values())
    assert found[True, 2] != found[True, 4]
    return found


def views_and_feeds(root):
    """Walk all that hangs on an object; return what of it is a feed, a view, or belongs to Cerebro."""
    bad, seen, heap = [], set(), [root]
    while heap:
        item = heap.pop()
        if id(item) in seen or isinstance(item, (str, bytes, int, float, type, type(None))):
            continue
        seen.add(id(item))
        if isinstance(item, (memoryview, bt.feed.AbstractDataBase, bt.Cerebro, MarketFeed)):
            bad.append(type(item).__name__)
            continue
        if isinstance(item, dict):
            heap.extend(item.keys())
            heap.extend(item.values())
        elif isinstance(item, (list, tuple, set, frozenset)):
            heap.extend(item)
        heap.extend(vars(item).values() if hasattr(item, '__dict__') else ())
    return bad


@pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
def test_all_analyzers_in_two_processes(market, table, alone):
    cerebro = cerebro_of(table, market, maxcpus=2)
    cerebro.optstrategy(MicroCapStrategy, stocknum=[2, 4], **BAND)
    found = {run.p.stocknum: analyses(run) for (run,) in cerebro.run()}
    for stocknum in (2, 4):
        for name, told in alone[market, stocknum].items():
            assert found[stocknum][name] == told, name


@pytest.mark.parametrize('options', [{'maxcpus': 2}, {'maxcpus': 2, 'optdatas': False}, {'maxcpus': 1}], ids=str)
@pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
def test_nothing_that_comes_back_holds_a_feed(market, options, table):
    cerebro = cerebro_of(table, market, **options)
    cerebro.optstrategy(MicroCapStrategy, stocknum=[2, 4], **BAND)
    for (run,) in cerebro.run():
        assert {type(analyzer).__name__: views_and_feeds(analyzer)[:3] for analyzer in run.analyzers} == {
            type(analyzer).__name__: [] for analyzer in run.analyzers}
        assert views_and_feeds(run) == []


@pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
def test_whole_strategies_come_back(market, table, alone):
    """With optreturn=False the strategy comes back, with its feeds, but they travel as what they are made of."""
    cerebro = cerebro_of(table, market, SHORT, maxcpus=2, optreturn=False)
    cerebro.optstrategy(MicroCapStrategy, stocknum=[2, 4], **BAND)
    found = {}
    for (strategy,) in cerebro.run():
        assert isinstance(strategy, MicroCapStrategy)
        assert strategy.broker.getvalue() == strategy.analyzers.blotter.equity[-1].total_value
        found[strategy.p.stocknum] = analyses(strategy, SHORT)
    for stocknum in (2, 4):
        assert found[stocknum] == {name: alone[market, stocknum][name] for name in SHORT}


@pytest.mark.parametrize('optdatas', [True, False])
@pytest.mark.parametrize('switches', [{}, {'preload': False}, {'runonce': False}, {'stdstats': False}], ids=str)
def test_switches_of_the_optimizer(switches, optdatas, table, alone):
    cerebro = cerebro_of(table, True, SHORT, maxcpus=2, optdatas=optdatas, **switches)
    cerebro.optstrategy(MicroCapStrategy, stocknum=[2, 4], **BAND)
    for (run,) in cerebro.run():
        assert analyses(run, SHORT) == {name: alone[True, run.p.stocknum][name] for name in SHORT}


def test_our_pyfolio_in_two_processes(table):
    items = []
    for processes in (1, 2):
        cerebro = cerebro_of(table, True, (), maxcpus=processes)
        cerebro.addanalyzer(OurPyFolio, _name='pyfolio')
        cerebro.optstrategy(MicroCapStrategy, stocknum=[2, 4], **BAND)
        runs = sorted((run for (run,) in cerebro.run()), key=lambda run: run.p.stocknum)
        items.append([[frame.to_dict() for frame in run.analyzers.pyfolio.get_pf_items()] for run in runs])
    assert repr(items[0]) == repr(items[1])
    assert all(len(transactions['amount']) > 5 for _, _, transactions, _ in items[0])
