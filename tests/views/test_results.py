"""save_run: what a script writes by one call is what the command writes, whatever the strategy, the feeds and the broker."""

import csv
import json
import warnings

import backtrader as bt
import pandas as pd
import pytest

from bt_microcap import AShareBroker, AShareCommission, Blotter, MarketFeed, MicroCapStrategy, save_run, setup
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import StockPandas, add_stocks
from bt_microcap.feeds.store import MarketStore
from tests.support.markets import bar, tiny_market
from tests.support.running import run_feeds, run_market
from tests.support.script_calls import call

A = '600001.XSHG'
FILES = ['corporate_actions.csv', 'equity.csv', 'missed.csv', 'orders.csv', 'picks.csv', 'positions.csv', 'prices.csv',
         'rejections.csv', 'round_trips.csv', 'summary.json', 'trades.csv']


@pytest.fixture(scope='module')
def table():
    return check_table(demo_market(40, '2021-03-01', days=40, seed=3))


@pytest.fixture(scope='module')
def data(table, tmp_path_factory):
    path = tmp_path_factory.mktemp('market') / 'market.parquet'
    table.to_parquet(path, index=False)
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def rows(folder, name='equity.csv'):
    with open(folder / name, encoding='utf-8', newline='') as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize('profile', ['realistic', 'joinquant'])
def test_as_the_command(profile, tmp_path, data, table, capsys):
    outcome = call('backtest', '--data', data, '--out', tmp_path / 'one', '--profile', profile, '--stocknum', 2)
    strategy = run_market(table, profile=profile, stocknum=2)
    summary = save_run(strategy, tmp_path / 'two', source=str(data))
    assert capsys.readouterr().out == outcome.out.replace('one/', 'two/')
    assert names(tmp_path / 'one') == names(tmp_path / 'two') == sorted([*FILES, 'equity.png', 'indices.csv'])
    for name in {*names(tmp_path / 'one')} - {'summary.json'}:
        assert (tmp_path / 'one' / name).read_bytes() == (tmp_path / 'two' / name).read_bytes(), name
    one, other = (json.loads((tmp_path / which / 'summary.json').read_text('utf-8')) for which in ('one', 'two'))
    assert other == json.loads(json.dumps(summary))
    assert one.pop('preset') is None
    assert one.pop('data_about') and other.pop('data_about')  # one was read from a file, the other is a table in memory
    assert one == other
    assert one['profile'] == profile and one['rules']['dividend_tax'] == {'realistic': 'holding', 'joinquant': 0.2}[profile]


def test_one_feed_a_stock_gives_the_same(tmp_path, table):
    for market in (False, True):
        save_run(run_feeds(table, market=market), tmp_path / str(market), False, show=False)
    for name in set(FILES) - {'summary.json'}:
        assert (tmp_path / 'True' / name).read_bytes() == (tmp_path / 'False' / name).read_bytes(), name
    one, other = (json.loads((tmp_path / which / 'summary.json').read_text('utf-8')) for which in ('True', 'False'))
    assert (one['data'], other['data']) == ('the table', 'feeds of one stock each')
    assert (one['benchmark'], other['benchmark']) == ('market', 'market')
    assert one['benchmark_return'] == other['benchmark_return']
    differ = {name for name in one if one[name] != other[name]}
    # what a market alone knows of itself; its index of the micro-caps is not there to compare with either
    assert differ == {'data', 'data_about', 'benchmark_about', 'market', 'microcap_return', 'microcap_about', 'notes'}
    assert (other['market'], other['microcap_return'], other['microcap_about'], other['notes']) == ({}, None, None, [])
    assert not (tmp_path / 'False' / 'indices.csv').exists()


def test_the_benchmark_of_the_feed(tmp_path, table, capsys):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=table, benchmark='microcap:5', fromdate=table['date'].iloc[-1] - pd.Timedelta(days=20)))
    cerebro.addstrategy(MicroCapStrategy)
    setup(cerebro)
    cerebro.addanalyzer(Blotter, _name='books')  # found by its type
    summary = save_run(cerebro.run()[0], tmp_path, False)
    store = MarketStore.from_table(table)
    days = [str(pd.Timestamp.fromordinal(int(day)).date()) for day in store.days]
    first = days.index(rows(tmp_path)[0]['date'])
    assert first > 10
    close = store.benchmark('microcap:5')['close']
    assert [float(row['benchmark']) for row in rows(tmp_path)] == (close[first:] / close[first - 1]).tolist()
    assert summary['benchmark'] == 'microcap:5' and summary['benchmark_about'].startswith('the 5 smallest A shares')
    assert f'(microcap:5 {close[-1] / close[first - 1] - 1:.2%})' in capsys.readouterr().out


class Plain(bt.Strategy):
    """Buys 100 shares of each feed named like a stock, on the given bar."""

    params = (('bar', 2), ('limit', None))

    def next(self):
        if len(self) == self.p.bar:
            for data in self.datas:
                if '.' in data._name:
                    self.buy(data=data, size=100)


class AtOnce(Plain):
    def next_open(self):
        if len(self.data) == 1:
            self.buy(data=self.data.stock(A), size=100)

    prenext_open = next_open

    def next(self):
        pass


def tiny():
    return check_table(tiny_market({A: [10.0, 10.5, 11.0, 11.5, 12.0]}))


@pytest.mark.filterwarnings('error')
def test_a_plain_strategy_without_a_benchmark_and_with_a_plain_broker(tmp_path, capsys):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(StockPandas(dataname=tiny(), checked=True), name=A)
    cerebro.broker.setcash(5_000.0)
    cerebro.broker.setcommission(0.001)
    cerebro.addstrategy(Plain, limit=float('inf'))
    cerebro.addanalyzer(Blotter, _name='blotter')
    summary = save_run(cerebro.run()[0], tmp_path)
    # 100 shares at the open of the third day, 11.00, 1.10 fee; at 12.00 in the end
    assert (summary['start_value'], summary['trades'], summary['fees']) == (5_000.0, 1, pytest.approx(1.1))
    assert summary['end_value'] == pytest.approx(5_000 + 100 - 1.1)
    assert (summary['benchmark'], summary['benchmark_return'], summary['profile']) == (None, None, 'by hand')
    assert summary['params'] == {'bar': 2, 'limit': 'inf', 'cash': 5_000.0}
    assert summary['rules'] == {'commission': 0.001}
    assert (summary['days_a_year'], summary['strategy']) == (252, 'Plain')
    assert list(rows(tmp_path)[0]) == ['date', 'cash', 'market_value', 'total_value']
    said = capsys.readouterr().out.splitlines()
    assert said[2] == 'return         1.98%'
    assert (tmp_path / 'equity.png').read_bytes().startswith(b'\x89PNG')


def test_a_trade_on_the_first_bar(tmp_path):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=tiny()), name='market')
    cerebro.addstrategy(AtOnce)
    setup(cerebro, cash=5_000.0)
    cerebro.addanalyzer(Blotter, _name='blotter')
    summary = save_run(cerebro.run()[0], tmp_path, show=False)
    found = rows(tmp_path)
    assert (len(found), summary['trades']) == (5, 1)
    assert float(found[0]['benchmark']) == 1.0  # nothing is before it: its own close stands for that
    assert float(found[-1]['benchmark']) == pytest.approx(1.2, rel=1e-9)


def test_a_broker_set_by_hand_tells_its_own_rules(tmp_path):
    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=True)
    cerebro.adddata(MarketFeed(dataname=tiny()), name='market')
    broker = AShareBroker(cash=20_000.0, slippage=0.004, delist_wait=7)
    broker.addcommissioninfo(AShareCommission(commission=0.0002, stamp_duty='dated'))
    cerebro.setbroker(broker)
    cerebro.addstrategy(MicroCapStrategy, stocknum=1)
    cerebro.addanalyzer(Blotter, _name='blotter')
    summary = save_run(cerebro.run()[0], tmp_path, False, show=False)
    assert summary['profile'] == 'by hand'
    assert {name: summary['rules'][name] for name in ('commission', 'stamp_duty', 'slippage', 'delist_wait', 'volume_limit')} == {
        'commission': 0.0002, 'stamp_duty': 'dated', 'slippage': 0.004, 'delist_wait': 7, 'volume_limit': 0.0}
    assert (summary['days_a_year'], summary['risk_free'], summary['params']['cash']) == (252, 0.0, 20_000.0)


def test_conventions_and_what_is_said_beside(tmp_path):
    summary = save_run(run_market(tiny(), profile='joinquant'), tmp_path, False, conventions={'risk_free': 0.01},
                       about={'idea': 'none'}, show=False)
    assert (summary['days_a_year'], summary['risk_free'], summary['idea']) == (250, 0.01, 'none')


class Adding(MicroCapStrategy):
    def trade(self, day):
        if day == 1:
            self.broker.add_cash(1_000.0)


def test_money_that_came_in_and_files_of_a_run_before(tmp_path, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        strategy = run_market(tiny(), strategy=Adding)
    save_run(strategy, tmp_path)
    assert rows(tmp_path, 'cash_flows.csv') == [{'date': rows(tmp_path)[1]['date'], 'amount': '1000.0'}]
    assert capsys.readouterr().out.splitlines()[-1] == (
        f'written        {tmp_path}/: trades.csv, equity.csv, rejections.csv, orders.csv, corporate_actions.csv, positions.csv, '
        'round_trips.csv, picks.csv, missed.csv, prices.csv, indices.csv, summary.json, cash_flows.csv, equity.png')
    (tmp_path / 'quarantine.csv').write_text('of another run')
    (tmp_path / 'mine.txt').write_text('of the user')
    save_run(run_market(tiny()), tmp_path, plot=False)
    assert names(tmp_path) == sorted([*FILES, 'indices.csv', 'mine.txt'])


def test_rows_that_were_left_out_are_listed(tmp_path, capsys):
    days = [10.0] * 6
    table = tiny_market({A: days, '600002.XSHG': days})
    table.loc[3, 'close'] = 0.0
    with pytest.warns(UserWarning):
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(MarketFeed(dataname=table), name='market')
    cerebro.addstrategy(MicroCapStrategy)
    setup(cerebro)
    cerebro.addanalyzer(Blotter, _name='blotter')
    save_run(cerebro.run()[0], tmp_path, False)
    assert len(rows(tmp_path, 'quarantine.csv')) == 1
    said = 'note           1 row not as they should be: 1 no price (row left out); each is in quarantine.csv'
    assert said in capsys.readouterr().out


def test_why_nothing_was_traded(tmp_path, capsys):
    days = [10.0, bar(11.0), bar(12.1), bar(13.31)]  # 10 % up at each open
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        save_run(run_market(tiny_market({A: days}), refresh_rate=1), tmp_path, False)
    assert "warning        3 picks, but not one order was filled: 3 refused, most often 'limit up'" in capsys.readouterr().out


@pytest.mark.parametrize('cpus', [1, 2])
def test_whole_strategies_of_an_optimizer(cpus, tmp_path, table):
    cerebro = bt.Cerebro(stdstats=False, optreturn=False, maxcpus=cpus)
    cerebro.adddata(MarketFeed(dataname=table), name='market')
    cerebro.optstrategy(MicroCapStrategy, stocknum=[1, 2])
    setup(cerebro)
    cerebro.addanalyzer(Blotter, _name='blotter')
    for (strategy,) in cerebro.run():
        save_run(strategy, tmp_path / str(strategy.p.stocknum), False, show=False)
    for stocknum in (1, 2):
        here, there = tmp_path / str(stocknum), tmp_path / 'alone'
        save_run(run_market(table, stocknum=stocknum), there, False, show=False)
        for name in set(FILES) - {'summary.json'}:
            assert (here / name).read_bytes() == (there / name).read_bytes(), name
        one, other = (json.loads((folder / 'summary.json').read_text('utf-8')) for folder in (here, there))
        assert one == other
        assert one['data'] == 'the table'  # not the folder in which it travels to another process


def test_what_is_no_strategy_after_its_run(tmp_path, table):
    def refuse(what):
        with pytest.raises(ValueError) as error:
            save_run(what, tmp_path / 'out')
        assert not (tmp_path / 'out').exists()
        return str(error.value)

    cerebro = bt.Cerebro(stdstats=False, maxcpus=1)
    add_stocks(cerebro, tiny())
    cerebro.optstrategy(Plain, bar=[2])
    cerebro.addanalyzer(bt.analyzers.Returns)
    results = cerebro.run()
    no_blotter = ("found no Blotter among the strategy's analyzers: cerebro.addanalyzer(Blotter, _name='blotter') before "
                  'cerebro.run()')
    assert refuse(results[0][0]) == no_blotter
    assert refuse(results[0]).startswith('found a list, expected a strategy after its run: save_run(cerebro.run()[0], folder)')
    cerebro = bt.Cerebro(stdstats=False)
    add_stocks(cerebro, tiny())
    cerebro.addstrategy(Plain)
    found = cerebro.run()
    assert refuse(found).startswith('found a list, expected a strategy after its run: save_run(cerebro.run()[0], folder)')
    assert refuse(found[0]) == no_blotter
    assert refuse(3) == 'found 3, expected a strategy after its run: save_run(cerebro.run()[0], folder)'


def test_before_the_run_is_over(tmp_path):
    said = []

    class Early(MicroCapStrategy):
        def stop(self):
            with pytest.raises(ValueError) as error:
                save_run(self, tmp_path / 'out')
            said.append(str(error.value))

    run_market(tiny(), strategy=Early)
    assert said == ['the run is not over: save_run is called after cerebro.run(), not by the strategy']


def test_titles(tmp_path, table, monkeypatch):
    import matplotlib.figure

    titles = []
    monkeypatch.setattr(matplotlib.figure.Figure, 'savefig',
                        lambda figure, path, **kwargs: (titles.append(figure.axes[0].get_title()), path.write_bytes(b'')))

    class Mine(MicroCapStrategy):
        params = (('most', 3.0),)

    save_run(run_market(table, stocknum=2), tmp_path, show=False)
    save_run(run_market(table, stocknum=2), tmp_path, show=False, name='My best')
    save_run(run_market(table, stocknum=2, strategy=Mine), tmp_path, show=False)
    save_run(run_market(table, strategy=Mine, profile='joinquant'), tmp_path, show=False)
    assert titles == ['2 smallest stocks of 2-3 bn yuan, every 5 days (realistic)', 'My best (realistic)',
                      'Mine, stocknum=2 (realistic)', 'Mine (joinquant)']


def test_no_window_is_asked_for(tmp_path, table):
    import matplotlib
    import matplotlib.pyplot as plt

    before = matplotlib.get_backend(), plt.get_fignums()
    save_run(run_market(table), tmp_path, show=False)
    assert (matplotlib.get_backend(), plt.get_fignums()) == before
