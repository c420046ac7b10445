"""What a user is given of a run, where it was once wrong: messages, names, warnings, the cost of what is held."""

import csv
import json

import pytest

from bt_microcap import AShareCommission, Blotter, MicroCapStrategy, report, save_run
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.errors import DataError
from bt_microcap.views.report.reading import read_run
from bt_microcap.views.report.tables import last_holdings
from tests.support.markets import bar, frame, tiny_market
from tests.support.rotating import cerebro_of, rotate
from tests.support.script_calls import call
from tests.support.scripted import buy, close, play, sell, steps

A, B, C = '600001.XSHG', '600002.XSHG', '600003.XSHG'
FLAT = [10.0] * 10
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])


def rows(folder, name):
    with open(folder / name, encoding='utf-8', newline='') as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def extra():
    pytest.importorskip('bokeh')
    pytest.importorskip('jinja2')


# ------------------------------------------------------------------------------------------------- report()


@pytest.mark.usefixtures('extra')
def test_messages_name_the_call_that_was_made(tmp_path):
    cerebro = cerebro_of(tiny_market({A: FLAT}))
    cerebro.addstrategy(MicroCapStrategy)
    found = cerebro.run()
    path = tmp_path / 'report.html'
    for given, said in (
        (found, 'found a list, expected a strategy after its run: report(cerebro.run()[0], path); of an optimizer each result is '
                'a list of its own: report(cerebro.run()[0][0], path)'),
        (3, 'found 3, expected a strategy after its run: report(cerebro.run()[0], path)'),
        ([], 'found a list, expected a strategy after its run: report(cerebro.run()[0], path); of an optimizer each result is '
             'a list of its own: report(cerebro.run()[0][0], path)'),
    ):
        with pytest.raises(ValueError) as caught:
            report(given, path)
        assert str(caught.value) == said
        assert not path.exists()


@pytest.mark.usefixtures('extra')
def test_before_the_run_is_over(tmp_path):
    said = []

    class Early(MicroCapStrategy):
        def stop(self):
            with pytest.raises(ValueError) as caught:
                report(self, tmp_path / 'report.html')
            said.append(str(caught.value))

    rotate(tiny_market({A: FLAT}), strategy=Early)
    assert said == ['the run is not over: report is called after cerebro.run(), not by the strategy']


@pytest.mark.usefixtures('extra')
def test_a_folder_is_no_file(tmp_path):
    strategy = rotate(tiny_market({A: FLAT}))
    run = tmp_path / 'run'
    save_run(strategy, run, False, show=False)
    before = sorted(run.iterdir())
    for given in (strategy, run, [run, run]):
        with pytest.raises(DataError) as caught:
            report(given, run, random_picks=0)
        assert str(caught.value) == f'{run}: found a folder, expected a file to write'
    assert sorted(run.iterdir()) == before


@WAYS
@pytest.mark.usefixtures('extra')
@pytest.mark.parametrize('ends', ['ruined', 'saved', 'taken out'])
def test_the_report_of_an_account_of_nothing(ends, market, tmp_path):
    def add(yuan):
        return lambda strategy: strategy.broker.add_cash(yuan)

    script = {'ruined': {1: buy(A, 10_000)}, 'saved': {1: buy(A, 10_000), 7: add(50_000.0)},
              'taken out': {3: add(-100_000.0)}}[ends]
    result = play(tiny_market({B: FLAT, A: FLAT[:4]}), script, market=market, analyzers=(Blotter,), delist='zero', delist_wait=1,
                  commission=AShareCommission(commission=0.0, min_commission=0.0))
    text = report(result.strategy, tmp_path / 'report.html', random_picks=0).read_text('utf-8')
    assert ('-100.00%' in text) is (ends != 'taken out')
    assert 'nan%' not in text and 'inf%' not in text


# ------------------------------------------------------------------------------------------------- names


NAMES = {'names': frame(code=[A, A, B, C, A], date=['2024-01-02', '2024-01-05', '2024-01-02', '2024-01-02', '2024-01-16'],
                        name=['Old', 'ST New', 'Other', 'Never picked', 'Of later'])}


def test_names_as_known_on_the_last_day(tmp_path):
    table = tiny_market({A: FLAT, B: FLAT, C: [bar(10.0, cap=9e9), *FLAT[1:]]})  # until 2024-01-15
    summary = save_run(rotate(table, tables=NAMES, stocknum=2), tmp_path, False, show=False)
    assert summary['names'] == {A: 'ST New', B: 'Other'}
    assert save_run(rotate(table, stocknum=2), tmp_path, False, show=False)['names'] == {}


# ------------------------------------------------------------------------------------------------- warnings


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp('market') / 'market.parquet'
    demo_market(40, '2021-03-01', days=40, seed=3).to_parquet(path, index=False)
    return path


@pytest.mark.parametrize(('language', 'begins'), [('en', 'warning: the data has no '), ('zh', '警告：')])
def test_a_warning_is_printed_and_stands_in_the_summary(language, begins, data, tmp_path):
    outcome = call('backtest', '--data', data, '--out', tmp_path, '--no-plot', '--lang', language, '--set', 'parking=511880.XSHG')
    warned, = outcome.err.splitlines()
    assert (outcome.status, warned.startswith(begins), '511880.XSHG' in warned) == (0, True, True)
    told = json.loads((tmp_path / 'summary.json').read_text('utf-8'))['notes']
    assert told.count('the data has no 511880.XSHG, the param parking: the money waits as cash') == 1


# ------------------------------------------------------------------------------------------------- what is held


@WAYS
def test_the_cost_of_a_share_that_is_left(market, tmp_path):
    """Fees of 0.1 % each way, and 0.1 % of sales.

    A: 1,000 at 10.00; half a yuan a share on day 3; 400 sold at 9.60 on day 5. B: of the round trip before nothing remains.
    """
    stocks = {C: FLAT, B: FLAT, A: [10.0, 10.0, 10.0, bar(9.5, preclose=9.5, cash_dividend=0.5), 9.5, 9.6, 9.6, 9.7, 9.7, 9.8]}
    script = {1: buy(A, 1_000), 2: buy(B, 100), 5: steps(close(B), sell(A, 400), buy(B, 200))}
    result = play(tiny_market(stocks), script, market=market, analyzers=(Blotter,), dividend_tax=0.0,
                  commission=AShareCommission(commission=0.001, min_commission=0.0, stamp_duty=0.001, transfer_fee=0.0))
    save_run(result.strategy, tmp_path, False, show=False)
    first, second = last_holdings(read_run(tmp_path))
    # 10,010 paid; 500 and 3,840 - 3.84 - 3.84 came back: 5,677.68 for 600 shares
    assert (first['code'], first['shares'], first['days_held']) == (A, 600, 9)
    assert [first[name] for name in ('cost', 'price', 'value', 'profit')] == pytest.approx([9.4628, 9.8, 5_880.0, 202.32])
    assert (second['code'], second['shares'], second['days_held']) == (B, 200, 5)
    # 2,002 for 200; the round trip before cost 1 + 1 + 1 yuan
    assert [second[name] for name in ('cost', 'price', 'value', 'profit')] == pytest.approx([10.01, 10.0, 2_000.0, -2.0])
    account = 100_000 + 202.32 - 2.0 - 3.0
    assert [first['weight'], second['weight']] == pytest.approx([5_880 / account, 2_000 / account])
