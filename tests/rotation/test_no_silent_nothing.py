"""A run that can do nothing is an error, and one that has done nothing says so."""

import warnings

import numpy as np
import pandas as pd
import pytest

from bt_microcap import MicroCapStrategy
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.store import MarketStore
from bt_microcap.rotation import screens
from bt_microcap.rotation.screens import check_band
from bt_microcap.rotation.strategy import NothingTradedWarning
from tests.support.markets import bar, tiny_market
from tests.support.running import run_feeds, run_market
from tests.support.script_calls import call, one_error_line

A, B = '600001.XSHG', '600002.XSHG'
RUNS = pytest.mark.parametrize('run', [run_feeds, run_market])


def market(days=6, **columns):
    """Two stocks of 7.1e8 and 2.3e12 yuan, and nothing between."""
    return tiny_market({A: [bar(10.0, cap=7.1e8)] * days, B: [bar(20.0, cap=2.3e12)] * days}).assign(**columns)


@RUNS
@pytest.mark.parametrize(('low', 'high', 'text'), [
    (20, 30, 'min_cap 20 and max_cap 30 yuan: they go from 7.1e8 to 2.3e12 yuan; did you mean 20 and 30 亿, 2e9 and 3e9?'),
    (2e5, 3e5, 'min_cap 200000 and max_cap 300000 yuan: they go from 7.1e8 to 2.3e12 yuan; did you mean 200000 and 300000 万, '
               '2e9 and 3e9?'),
    (2e9, 3e9, 'min_cap 2e9 and max_cap 3e9 yuan: they go from 7.1e8 to 2.3e12 yuan'),
    (1, 2, 'min_cap 1 and max_cap 2 yuan: they go from 7.1e8 to 2.3e12 yuan'),  # 1e8 and 2e8 are no caps of the data either
])
def test_a_band_without_any_stock(run, low, high, text):
    with pytest.raises(DataError) as error:
        run(market(), min_cap=low, max_cap=high)
    assert str(error.value) == f'no market cap of the data lies between {text}'


def test_no_market_cap_is_known(monkeypatch):
    store = MarketStore.from_table(market())
    monkeypatch.setattr(store, 'vector', lambda name, day: np.full(2, np.nan))  # as of a store whose source had none
    with pytest.raises(DataError, match='no market cap of the data is known: market_cap is empty in all rows'):
        check_band(MarketFeed(dataname=store).universe(), 2e9, 3e9)


@RUNS
def test_one_row_in_the_band_is_enough(run):
    table = market()
    table.loc[table.index[-1], 'market_cap'] = 2.5e9
    with pytest.warns(NothingTradedWarning) as told:
        run(table, refresh_rate=1)
    assert [str(one.message) for one in told if one.category is NothingTradedWarning] == [
        'no stock was picked on any of 5 rebalance days: no market cap lay between min_cap 2e9 and max_cap 3e9 yuan on any of '
        'them']


@RUNS
def test_a_screen_of_its_own_is_not_asked_about_the_band(run):
    class Everything(MicroCapStrategy):
        def screen(self, section):
            return section.previous('close') > 0

    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert run(market(), strategy=Everything, min_cap=20, max_cap=30).analyzers.blotter.fills


def test_the_data_is_looked_through_once(monkeypatch):
    asked = []
    check = screens.check_band
    monkeypatch.setattr(screens, 'check_band', lambda *args: asked.append(1) or check(*args))
    days = [bar(10.0, cap=1e9), *[10.0] * 4, bar(10.0, cap=2.5e9), 10.0]
    run_market(tiny_market({A: days}), refresh_rate=1)
    assert asked == [1]


def test_picks_without_a_fill():
    days = [10.0, bar(11.0), bar(12.1), bar(13.31)]  # 10 % up at each open
    with pytest.warns(NothingTradedWarning, match=r"^3 picks, but not one order was filled: 3 refused, most often 'limit up'$"):
        run_market(tiny_market({A: days}), refresh_rate=1)


def test_an_own_notify_order_hides_nothing():
    class Own(MicroCapStrategy):
        def notify_order(self, order):
            pass

    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert run_market(tiny_market({A: [10.0] * 5}), strategy=Own).analyzers.blotter.fills


def test_stocks_of_the_band_that_cannot_be_picked():
    with pytest.warns(NothingTradedWarning, match='on 2 of them a market cap lay in the band, but of a stock that is suspended'):
        run_market(tiny_market({A: [bar(10.0, st=1)] * 3}), refresh_rate=1)


def test_a_selection_of_its_own_that_takes_nothing():
    class Nothing(MicroCapStrategy):
        def select(self, section):
            return []

    with pytest.warns(NothingTradedWarning, match='rebalance days: screen and select let none through'):
        run_market(tiny_market({A: [10.0] * 3}), strategy=Nothing)


# ---------------------------------------------------------------------------------------- the command line


@pytest.fixture
def path(tmp_path):
    market().to_parquet(tmp_path / 'market.parquet', index=False)
    return tmp_path / 'market.parquet'


@pytest.mark.parametrize('command', ['backtest', 'optimize'])
def test_the_commands_stop_and_write_nothing(tmp_path, path, command):
    outcome = call(command, '--data', path, '--min-cap', 20, '--max-cap', 30, '--out', tmp_path / 'out', '--no-plot')
    assert one_error_line(outcome).endswith('did you mean 20 and 30 亿, 2e9 and 3e9?')
    assert not (tmp_path / 'out').exists()


def no_fill(tmp_path):
    table = tiny_market({A: [10.0, 11.0, 12.1, 13.31]})
    table.to_parquet(tmp_path / 'up.parquet', index=False)
    return '--data', tmp_path / 'up.parquet', '--out', tmp_path / 'out', '--no-plot'


def test_the_summary_warns_once(tmp_path):
    outcome = call('backtest', *no_fill(tmp_path), '--refresh-rate', 1)
    assert (outcome.status, outcome.err) == (0, '')
    told = [line for line in outcome.lines if line.startswith('warning')]
    assert told == ['warning        only 3 trading days: annual figures and ratios mean nothing',
                    "warning        3 picks, but not one order was filled: 3 refused, most often 'limit up'"]


def test_the_grid_counts_what_filled_nothing(tmp_path):
    outcome = call('optimize', *no_fill(tmp_path), '--stocknum', '1:2', '--refresh-rate', '1', '--maxcpus', 1)
    assert (outcome.status, outcome.err) == (0, '')
    assert outcome.lines[-1] == '2 of 2 combinations filled no order'


@pytest.mark.parametrize('value', ['10', '1.01'])
def test_a_volume_limit_in_percent(tmp_path, path, value):
    line = one_error_line(call('backtest', '--data', path, '--volume-limit', value, '--out', tmp_path / 'out'))
    assert f"argument --volume-limit: found '{value}', expected a fraction of at most 1: 0.1 for 10 %" in line
    assert not (tmp_path / 'out').exists()


def test_what_the_source_did_not_know(tmp_path):
    table = tiny_market({A: [10.0] * 6})
    table['date'] = pd.to_datetime(table['date'])
    store = MarketStore.from_table(table)
    MarketStore(store.arrays, store.columns, {
        'source': 'today', 'is_st': 'not known, 0 on all days: no files', 'market_cap': 'estimated: by the turnover',
        'preclose': 'as given'}).save(tmp_path / 'store')
    outcome = call('backtest', '--data', tmp_path / 'store', '--out', tmp_path / 'out', '--no-plot')
    assert [line for line in outcome.lines if line.startswith('note')] == [
        'note           is_st: not known, 0 on all days: no files', 'note           market_cap: estimated: by the turnover']
