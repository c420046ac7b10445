"""Every preset against the slow model of `tests.support.slow_presets`, and what the presets promise."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from bt_microcap import MicroCapStrategy
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.store import MarketStore
from bt_microcap.rotation.presets import PRESETS
from tests.support.markets import STARTS, Shape, bar, build, paused, tiny_market
from tests.support.model import compare
from tests.support.preset_runs import SMALL, TINY, hold_against, params_of, run_plugin
from tests.support.slow_index import slow_market_index
from tests.support.slow_parking import ParkedRun
from tests.support.slow_presets import PresetRun, market_closes, run_preset

PROFILES = ('realistic', 'joinquant')
# What must have happened in the markets that are compared, so that it is compared.
SMALL_SEEN = {
    'original': ('fills', 'suspended', 'limit up', 'limit down'),
    'small_board': ('kept', 'sold: stop loss', 'sold: limit opened', 'sold: empty month', 'rebalance without stocks', 'too new',
                    'limit down', 'exit of a suspended stock'),
    'ten_weekly': ('fills', 'kept', 'too new', 'opens at its limit'),
    'microcap400': ('kept', 'inside its band', 'given money left over', 'part sold', 'topped up', 'limit down', 'too new'),
    'parked': ('kept', 'sold: market stop', 'sold: index trend', 'rebalance without stocks', 'exit of a suspended stock'),
}
TINY_SEEN = {
    'original': ('limit up', 'limit down', 'suspended', 'no volume', 'slipped past the limit', 'below one lot'),
    'small_board': ('held at its limit', 'sold: limit opened', 'sold: stop loss', 'sold: empty month', 'kept', 'volume limit',
                    'opens at its limit'),
    'ten_weekly': ('kept', 'limit down', 'no volume', 'opens at its limit', 'too new', 'delisted'),
    'microcap400': ('part sold', 'topped up', 'inside its band', 'limit up', 'limit down', 'volume limit', 'delisted'),
    'parked': ('sold: market stop', 'sold: index trend', 'limit down', 'kept'),
}
pytestmark = pytest.mark.filterwarnings('ignore:the data has no 511880', 'ignore:the data does not tell the members of 399101',
                                        'ignore:the table. .* rows not as they should be',
                                        'ignore::bt_microcap.rotation.tally.NothingTradedWarning')


def demo(seed, days=160, **options):
    table = demo_market(80, '2021-01-04', days=days, seed=seed, corporate_actions=True, **options)
    return table.astype({'code': str})


def wild(seed):
    """A tiny market in which everything rare is frequent, and how it is run."""
    rng = np.random.default_rng([seed, 12])
    columns = {name: bool(rng.random() < 0.5) for name in ('dividends', 'ratios', 'limits', 'nan_caps', 'delisting')}
    table = build(Shape(seed=seed, stocks=int(rng.integers(6, 14)), days=40, start=STARTS[seed % len(STARTS)],
                        preclose=bool(rng.random() < 0.9), cap_step=float(rng.choice([0, 5e8])), wild=True, **columns))
    options = {'cash': float(rng.choice([1e6, 3e4])), 'delist_wait': int(rng.choice([0, 2, 60])),
               'ex_rights': str(rng.choice(['auto', 'auto', 'reinvest']))}
    if rng.random() < 0.3:
        options['volume_limit'] = 0.01
    return table, options


def agree(table, params, *, market=True, kind=PresetRun, **options):
    blotter = run_plugin(table, params, market=market, **options).analyzers.blotter
    return hold_against(run_preset(table, params, kind=kind, **options), blotter)


def test_the_index_of_the_slow_model_is_the_slow_index():
    for table in (demo(1), wild(3)[0]):
        np.testing.assert_allclose(market_closes(table), slow_market_index(table)[3], rtol=1e-12)


@pytest.mark.parametrize('name', PRESETS)
def test_a_preset_is_what_the_slow_model_says(name):
    seen = Counter()
    for seed in range(6):
        table = demo(seed)
        for profile in PROFILES:
            found = agree(table, params_of(name, **SMALL[name]), profile=profile)
            assert found['fills'] >= 10, (seed, profile)
            seen += found
    assert not [what for what in SMALL_SEEN[name] if not seen[what]], seen


@pytest.mark.parametrize('name', PRESETS)
def test_a_preset_in_wild_markets(name):
    seen = Counter()
    for seed in range(20):
        table, options = wild(seed)
        seen += agree(table, params_of(name, **TINY[name]), profile=PROFILES[seed % 2], market=seed % 4 < 2, **options)
    assert not [what for what in TINY_SEEN[name] if not seen[what]], seen


@pytest.mark.parametrize('profile', PROFILES)
def test_idle_money_is_parked_in_the_fund(profile):
    for seed in range(2):
        table = demo(seed, fund=True)
        seen = agree(table, params_of('parked', **SMALL['parked']), profile=profile, kind=ParkedRun)
        assert seen['fund bought'] >= 5 and seen['fund sold'] >= 5 and seen['sold: index trend']


A, B = '600001.XSHG', '600002.XSHG'


@pytest.mark.parametrize('market', [True, False])
@pytest.mark.parametrize('rest', [None, paused()])
def test_a_stop_waits_for_the_end_of_a_suspension(market, rest):
    """The last close counts, however many days it is old, with rows of the suspension or without."""
    # Bought at 10.01; 9.05 is below 9.1091. On the day without trading nothing is ordered.
    table = tiny_market({A: [10.0, 10.0, (9.5, 9.05), rest, (9.06, 9.5), 9.5], B: [bar(10.0, cap=9e9)] * 6})
    blotter = run_plugin(table, {'stocknum': 1, 'stop_loss': 0.09, 'refresh_rate': 100}, market=market).analyzers.blotter
    assert [(str(order.date), order.side, order.why, order.price) for order in blotter.orders] == [
        ('2024-01-03', 'BUY', 'rebalance', 10.01), ('2024-01-08', 'SELL', 'stop loss', 9.05)]


# ------------------------------------------------------------------------------------- the original


def all_params():
    return dict(MicroCapStrategy.params._getitems())


@pytest.mark.parametrize('profile', PROFILES)
@pytest.mark.parametrize('market', [True, False])
def test_the_original_stays_as_it_is(profile, market):
    """However the original is asked for, it does what the model of the original does."""
    table = demo_market(150, '2021-01-04', days=120, seed=4, corporate_actions=True).astype({'code': str})
    ways = ({}, PRESETS['original'].params, all_params(), {'combination': (), 'overlays': ()},
            {'keep': False, 'weights': 'cash', 'skip_limits': False, 'universe': '', 'rank': 'market_cap', 'parking': ''})
    runs = [run_plugin(table, params, profile=profile, market=market).analyzers.blotter for params in ways]
    compare(table, {'profile': profile}, runs[0])
    assert len(runs[0].fills) > 60
    for blotter in runs[1:]:
        assert blotter.get_analysis() == runs[0].get_analysis()


# ---------------------------------------------------------------- the micro-cap index as a strategy

FREE = {'commission': 0.0, 'min_commission': 0.0, 'stamp_duty': 0.0, 'transfer_fee': 0.0, 'slippage': 0.0, 'volume_limit': 0.0,
        'cash': 1e7}


def follow(store, benchmark, **others):
    """Give the daily returns of microcap400 without costs, and of the index."""
    blotter = run_plugin(store, params_of('microcap400', **others), **FREE).analyzers.blotter
    values = np.array([FREE['cash'], *(row.total_value for row in blotter.equity)])
    closes = np.array(store.benchmark(benchmark)['close'])
    assert len(closes) == len(values)
    return values[1:] / values[:-1] - 1, closes[1:] / closes[:-1] - 1


def test_microcap400_follows_the_micro_cap_index():
    store = MarketStore.from_table(demo_market())
    returns, index = follow(store, 'microcap')
    assert np.corrcoef(returns, index)[0, 1] > 0.99


def test_fully_invested_it_has_the_return_of_its_index():
    """The demo market has no 400 companies; of its 100 smallest all the money is in stocks."""
    store = MarketStore.from_table(demo_market(years=2))
    returns, index = follow(store, 'microcap:100', stocknum=100)
    assert np.corrcoef(returns, index)[0, 1] > 0.98
    assert np.std(returns - index) * 252 ** 0.5 < 0.03  # a year
    assert np.polyfit(index, returns, 1)[0] == pytest.approx(1, abs=0.1)


# --------------------------------------------------------------------------------- the shared panels

COLUMNS = ('date', 'code', 'open', 'high', 'low', 'close', 'volume', 'market_cap', 'is_st', 'paused', 'preclose',
           'delisting_period')


def panel(request, name, end=None):
    path = request.config.rootpath.parent / 'shared' / 'data' / 'panels' / f'{name}.parquet'
    if not path.exists():
        pytest.skip(f'the panel {name} of real rows is not here: it may not be passed on')
    table = pd.read_parquet(path, columns=list(COLUMNS))
    if end is not None:
        table = table[table['date'] <= end]
    flags = dict.fromkeys(('is_st', 'paused', 'delisting_period'), int)
    return table.astype({'date': 'datetime64[ns]', 'code': str, 'volume': float, **flags}).reset_index(drop=True)


@pytest.mark.parametrize(('name', 'end'), [('sample280_2018_2022', '2018-12-28'), ('whole_market_2021', '2021-04-30')])
def test_the_presets_over_real_rows(request, name, end):
    """The presets as they are, over a part of the panels, for the slow model's sake."""
    table = panel(request, name, end)
    store, index, model, seen = MarketStore.from_table(table), market_closes(table), table, {}
    for preset in PRESETS:
        options = {'cash': 1e7 if preset == 'microcap400' else 1e6}
        model = run_preset(model, params_of(preset), index=index, **options)
        seen[preset] = hold_against(model, run_plugin(store, params_of(preset), **options).analyzers.blotter)
    assert all(found['fills'] >= 30 for found in seen.values()), seen
    assert seen['small_board']['sold: stop loss'] and seen['small_board']['sold: limit opened']
    assert seen['microcap400']['part sold'] and seen['microcap400']['topped up'] and seen['parked']['sold: index trend']


def test_microcap400_follows_the_index_of_real_rows(request):
    store = MarketStore.from_table(panel(request, 'whole_market_2021'))
    returns, index = follow(store, 'microcap')
    assert np.corrcoef(returns, index)[0, 1] > 0.99
