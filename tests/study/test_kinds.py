"""What each kind of study says, against runs of their own and against numbers worked out by hand."""

import datetime as dt

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from bt_microcap import MarketStore, MicroCapStrategy
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.errors import DataError
from bt_microcap.rotation.presets import PRESETS
from bt_microcap.study import studies
from bt_microcap.study.kinds import Capacity, Costs, Phases, Starts, WalkForward
from bt_microcap.study.kinds.capacity import _half
from bt_microcap.study.kinds.costs import _crossing
from bt_microcap.study.kinds.walk_forward import months_later, sale_cost
from bt_microcap.study.trials import Trial, run_trial
from bt_microcap.views.study_texts import _phases, _starts, sentence, yuan
from bt_microcap.views.study_texts import table as text_table
from tests.support.running import run_market
from tests.support.studying import setting_over


@pytest.fixture(scope='module')
def table():
    return demo_market(80, years=2, seed=5, corporate_actions=True)


def made(kind, setting, folder):
    folder.mkdir(exist_ok=True)
    return studies.make(kind, setting, folder, {}, {'title': 'x'}, processes=1)


# -- phases ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('preset', ['original', 'parked', 'small_board'])
def test_phase_k_is_a_run_begun_k_days_later_from_the_same_cash(table, tmp_path, preset):
    params = {**PRESETS[preset].params, 'weekday': 0, 'month_day': 0, 'refresh_rate': 4}
    setting = setting_over(table, **params)
    study = made(Phases(), setting, tmp_path / 'phases')
    assert (study.names, [key[0] for key in study.keys], study.own) == (('phase',), ['0', '1', '2', '3'], ('0',))
    days = setting.days()
    for key in study.keys:
        later = run_trial(setting, Trial(('x',), start=dt.date.fromordinal(int(days[int(key[0])]))))
        returns = study.ledger.returns[key]
        assert not returns[:int(key[0])].any()
        assert returns[int(key[0]):].tolist() == later.returns.tolist()
        assert study.ledger.figures[key]['end_value'] == later.figures['end_value']


def test_what_the_phases_say(table, tmp_path):
    study = made(Phases(), setting_over(table, refresh_rate=3, phase=1), tmp_path / 'phases')
    annual = [study.ledger.figures[key]['annual_return'] for key in study.keys]
    facts = study.facts
    assert len(set(annual)) == 3
    assert (facts['low'], facts['median'], facts['high']) == tuple(sorted(annual))
    assert facts['spread'] == max(annual) - min(annual)
    assert (facts['own'], facts['own_return']) == ('1', annual[1])
    assert facts['own_rank'] == sorted(annual, reverse=True).index(annual[1]) + 1
    assert facts['best'] == str(annual.index(max(annual)))


@pytest.mark.parametrize(('params', 'names', 'count', 'own'), [
    ({'weekday': 2}, ('weekday',), 5, ('2',)),
    ({'month_day': 20}, ('month_day',), 19, ('20',)),  # 18 of every month, and the user's own
    ({'refresh_by': 'volatility', 'max_refresh_rate': 6}, ('phase',), 6, ('0',)),
    ({'refresh_rate': 5, 'phase': 7}, ('phase',), 6, ('7',)),
])
def test_shifts_of_every_rhythm(table, params, names, count, own):
    plan = Phases().plan(setting_over(table, **params))
    assert (plan.names, len(plan.trials), plan.own) == (names, count, own)
    assert own in [trial.key for trial in plan.trials]


class Buys(bt.Strategy):
    """Knows no phase: buys on its first day and holds."""

    def next_open(self):
        if not self.broker.positions:
            self.buy(self.data.stock('000001.XSHE'), size=100)


def test_another_strategy_begins_later(table):
    setting = setting_over(table, Buys)
    plan = Phases(3).plan(setting)
    days = setting.days()
    assert plan.names == ('days_later',)
    assert [trial.start.toordinal() for trial in plan.trials] == days[:3].tolist()


@pytest.mark.parametrize(('params', 'kind', 'said'), [
    ({'refresh_rate': 1}, Phases(), 'the strategy rebalances every day: there is no day to shift'),
    ({'weekday': 1}, Phases(6), 'found 6 shifts, expected at most 5'),
    ({}, Starts(600), 'found 0 month that has 600 trading days after its start'),
    ({}, WalkForward({'stocknum': [1, 2]}, 24, 6), '24 months of data have 0 windows of 24 months to choose on and 6 to run'),
])
def test_what_cannot_be_studied(table, params, kind, said):
    with pytest.raises(DataError, match=said):
        kind.plan(setting_over(table, **params))


def test_more_shifts_than_days(table):
    days = len(setting_over(table).days())
    with pytest.raises(DataError, match=f'found {days} trading days for {days - 19} shifts; give fewer'):
        Phases(days - 19).plan(setting_over(table))


def test_too_few_days(table):
    few = table[table['date'] < sorted(set(table['date']))[50]]
    for kind in (Phases(), Starts(), Costs(), Capacity()):
        with pytest.raises(DataError, match='found 49 trading days, expected 60 or more'):
            kind.plan(setting_over(few))


# -- starts ------------------------------------------------------------------------------------------------


def test_each_start_is_a_run_of_its_own(table, tmp_path):
    study = made(Starts(), setting_over(table), tmp_path / 'starts')
    days = sorted(set(table['date'].dt.date))
    first = {}
    for day in days[1:]:  # the first one of all has no day before it
        first.setdefault(f'{day:%Y-%m}', day)
    left = [month for month, day in first.items() if sum(other >= day for other in days) >= 120]
    assert [key[0] for key in study.keys] == left
    for month in (left[0], left[7], left[-1]):
        single = run_market(table, start=first[month]).analyzers.blotter
        assert study.ledger.figures[(month,)]['end_value'] == single.equity[-1].total_value
    facts = study.facts
    totals = [study.ledger.figures[key]['total_return'] for key in study.keys]
    assert facts['lost'] == sum(total < 0 for total in totals)
    whole = [key for key in study.keys if len(study.ledger.returns[key]) >= 252]
    assert facts['counted'] == len(whole) > 5
    after = {key[0]: float(np.prod(1 + study.ledger.returns[key][:252]) - 1) for key in whole}
    assert facts['after_a_year'] == pytest.approx(after)
    assert facts['worst_year'] == min(after, key=after.get)


# -- costs -------------------------------------------------------------------------------------------------


def test_each_cost_is_a_run_of_its_own_and_only_that_rule_differs(table, tmp_path):
    setting = setting_over(table, rules={'commission': 0.0004})
    study = made(Costs({'slippage': [0.0, 0.03], 'commission': [0.0, 0.001], 'volume_limit': [0.0, 0.002]}), setting,
                 tmp_path / 'costs')
    assert study.keys == [('own', 'own'), ('slippage', '0'), ('slippage', '0.002'), ('slippage', '0.03'), ('commission', '0'),
                          ('commission', '0.0004'), ('commission', '0.001'), ('volume_limit', '0'), ('volume_limit', '0.1'),
                          ('volume_limit', '0.002')]
    single = run_market(table, commission=0.0004, slippage=0.03).analyzers.blotter
    assert study.ledger.figures['slippage', '0.03']['end_value'] == single.equity[-1].total_value
    own = study.ledger.figures['own', 'own']['end_value']
    for key in (('slippage', '0.002'), ('commission', '0.0004'), ('volume_limit', '0.1')):
        assert study.ledger.figures[key]['end_value'] == own
    values = [study.ledger.figures['slippage', text]['annual_return'] for text in ('0', '0.002', '0.03')]
    assert values[0] > values[1] > values[2]
    assert study.facts['slope'] == pytest.approx((values[2] - values[1]) / 28)  # from 0.002 to 0.03 by steps of 0.001
    days = setting.days()
    close = setting.store.index()['close']
    market = (close[-1] / close[0]) ** (252 / len(days)) - 1
    assert study.facts['market_return'] == pytest.approx(market)


def test_where_a_line_falls_below_a_level():
    points = [(0.0, 0.3), (0.01, 0.1), (0.02, -0.1), (0.03, -0.2)]
    assert _crossing(points, 0.0) == pytest.approx(0.015)
    assert _crossing(points, 0.2) == 0.01  # between none and the first price step nobody trades
    assert _crossing(points, 0.4) is None and _crossing(points, -0.5) is None
    assert _crossing(points, 0.1) == pytest.approx(0.01)


# -- capacity ----------------------------------------------------------------------------------------------


def test_more_money_fills_less_and_costs_more(tmp_path):
    """Of one stock bought once: the part that the volume allows, and the price that the impact makes of it."""
    table = demo_market(60, years=1, seed=3)
    setting = setting_over(table, profile='realistic', stocknum=3)
    sums = (1e6, 1e7, 1e8, 1e9)
    study = made(Capacity(sums), setting, tmp_path / 'capacity')
    rows = study.facts['rows']
    assert [row['cash'] for row in rows] == list(sums)
    filled, costs = [row['filled_share'] for row in rows], [row['cost_rate'] for row in rows]
    assert filled == sorted(filled, reverse=True) and filled[-1] < 0.05
    assert costs == sorted(costs)
    assert (study.facts['volume_limit'], study.facts['impact']) == (0.1, 0.03)
    single = run_market(table, stocknum=3, cash=1e8, impact=0.03).analyzers.blotter
    assert study.ledger.figures[('1e8',)]['end_value'] == single.equity[-1].total_value
    assert [row['profit_a_year'] for row in rows] == [row['cash'] * row['annual_return'] for row in rows]


@pytest.mark.parametrize('seed', range(4))
def test_capacity_is_monotone_where_it_must_be(seed, tmp_path):
    """With a market that stands still and no fees but impact, more money can only lose more of each yuan, and never earns."""
    table = demo_market(60, years=1, seed=seed)
    price = table.groupby('code', observed=True)['open'].transform('first').round(2)
    for name in ('open', 'high', 'low', 'close', 'preclose'):
        table[name] = price
    table['volume'] = 1_000_000.0
    table['market_cap'] = table.groupby('code', observed=True)['market_cap'].transform('first')
    free = dict.fromkeys(('commission', 'min_commission', 'stamp_duty', 'transfer_fee', 'slippage', 'slippage_ticks'), 0.0)
    unknown = table.columns.intersection(['amount', 'high_limit', 'low_limit'])
    setting = setting_over(table.drop(columns=unknown), rules={**free, 'impact': 0.05})
    rows = made(Capacity((1e6, 1e7, 1e8, 1e9)), setting, tmp_path / 'capacity').facts['rows']
    costs = [row['cost_rate'] for row in rows]
    assert costs == sorted(costs) and costs[0] > 0
    filled = [row['filled_share'] for row in rows]
    assert filled == sorted(filled, reverse=True)
    assert max(row['annual_return'] for row in rows) < 0


def test_rules_of_the_users_own_stay(table):
    assert Capacity().rules(setting_over(table)) == {'volume_limit': 0.1, 'impact': 0.03}
    assert Capacity().rules(setting_over(table, profile='joinquant')) == {'volume_limit': 0.1, 'impact': 0.03}
    assert Capacity().rules(setting_over(table, rules={'volume_limit': 0.02, 'impact': 0.5})) == {
        'volume_limit': 0.02, 'impact': 0.5}


def test_where_half_is_gone():
    rows = [{'cash': cash, 'annual_return': annual} for cash, annual in ((1e5, 0.3), (1e6, 0.4), (1e7, 0.3), (1e8, 0.1))]
    assert _half(rows, rows[1]) == pytest.approx(10 ** 7.5)  # half of the way from 0.3 to 0.1, on a log scale
    assert _half(rows[:3], rows[1]) is None
    assert _half(rows, {'cash': 1e5, 'annual_return': -0.1}) is None


# -- walk-forward ------------------------------------------------------------------------------------------

GRID = {'stocknum': [1, 3, 5], 'refresh_rate': [3, 10]}


def test_the_windows(table):
    days = sorted(set(table['date'].dt.date))[1:]
    windows = WalkForward(GRID, 6, 4).windows(setting_over(table))
    assert windows[0].train_start == days[0]
    for number, window in enumerate(windows):
        start = months_later(days[0], 6 + 4 * number)
        assert window.test_start == min(day for day in days if day >= start)
        assert window.train_end == max(day for day in days if day < window.test_start)
        assert window.train_start == min(day for day in days if day >= months_later(days[0], 4 * number))
        if number:
            assert window.test_start == min(day for day in days if day > windows[number - 1].test_end)
    assert len(windows) == 5 and windows[-1].test_end == days[-1]
    anchored = WalkForward(GRID, 6, 4, anchored=True).windows(setting_over(table))
    assert {window.train_start for window in anchored} == {days[0]}
    assert [window[1:] for window in anchored] == [window[1:] for window in windows]


@pytest.mark.parametrize(('day', 'months', 'expected'), [
    ('2021-01-31', 1, '2021-02-28'), ('2020-01-31', 1, '2020-02-29'), ('2021-11-30', 1, '2021-12-30'),
    ('2021-12-31', 2, '2022-02-28'), ('2021-01-04', 24, '2023-01-04'), ('2021-12-15', 12, '2022-12-15')])
def test_months_later(day, months, expected):
    assert months_later(dt.date.fromisoformat(day), months) == dt.date.fromisoformat(expected)


@pytest.mark.parametrize('by', ['annual_return', 'max_drawdown'])
def test_the_choice_and_its_run(table, tmp_path, by):
    setting = setting_over(table)
    kind = WalkForward(GRID, 6, 4, by)
    study = made(kind, setting, tmp_path / 'walk')
    value, expected = 1.0, []
    for window, row in zip(kind.windows(setting), study.facts['windows'], strict=True):
        past, later = {}, {}
        for stocknum in GRID['stocknum']:
            for rate in GRID['refresh_rate']:
                for found, start, end in ((past, *window[:2]), (later, *window[2:])):
                    trial = Trial((), {'stocknum': stocknum, 'refresh_rate': rate}, start=start, end=end)
                    found[stocknum, rate] = run_trial(setting, trial)
        best = (max if by == 'annual_return' else min)(past, key=lambda key: past[key].figures[by])
        assert row['chosen'] == f'stocknum={best[0]} refresh_rate={best[1]}'
        cost = later[best].figures['end_sale_cost'] / later[best].figures['end_value']
        assert row['sale_cost'] == cost
        returns = [*later[best].returns[:-1], (1 + later[best].returns[-1]) * (1 - cost) - 1]
        for one in returns:
            value *= 1 + one
            expected.append(value)
        others = [outcome.figures['total_return'] for outcome in later.values()]
        assert (row['best'], row['worst'], row['median']) == (max(others), min(others), np.median(others))
        own = later[best].figures['total_return']
        assert (row['total_return'], row['rank']) == (own, 1 + sum(other > own for other in others))
    stitched = pd.read_csv(tmp_path / 'walk' / 'stitched.csv')
    assert stitched['level'].tolist() == pytest.approx(expected, rel=1e-12)
    assert study.facts['stitched_total'] == pytest.approx(expected[-1] - 1)
    assert study.facts['stitched_return'] == pytest.approx(expected[-1] ** (252 / len(expected)) - 1)
    days = sorted(set(table['date'].dt.date))
    assert stitched['date'].tolist() == [str(day) for day in days if day >= kind.windows(setting)[0].test_start]


def test_it_never_sees_its_test_window(table, tmp_path):
    """All rows from a test window on are turned around in time: what was chosen before is the same."""
    kind = WalkForward(GRID, 6, 4)
    setting = setting_over(table)
    window = kind.windows(setting)[1]
    later = table['date'] >= pd.Timestamp(window.test_start)
    scrambled = table.copy()
    rng = np.random.default_rng(0)
    scrambled = scrambled.drop(columns='amount', errors='ignore')
    for name in ('open', 'high', 'low', 'close', 'volume', 'market_cap', 'preclose'):
        scrambled[name] = scrambled[name].astype(float)
    factor = dict(zip(sorted(set(table['code'])), rng.uniform(0.5, 2, table['code'].nunique()), strict=True))
    for name in ('open', 'high', 'low', 'close', 'preclose'):
        scrambled.loc[later, name] *= scrambled.loc[later, 'code'].map(factor).astype(float)
    scrambled.loc[later, 'volume'] *= 0.5
    scrambled.loc[later, 'market_cap'] = rng.permutation(scrambled.loc[later, 'market_cap'].to_numpy())
    before = made(kind, setting, tmp_path / 'before').facts['windows']
    after = made(kind, setting_over(MarketStore.from_table(scrambled, checked=True)), tmp_path / 'after').facts['windows']
    assert [row['chosen'] for row in before[:2]] == [row['chosen'] for row in after[:2]]
    assert [row['past_return'] for row in before[:2]] == [row['past_return'] for row in after[:2]]
    assert before[0] == after[0]
    assert before[1]['total_return'] != after[1]['total_return']


def test_what_selling_the_last_holdings_costs(tmp_path):
    """Each holding's own order: its fees by the day's rates, its slippage in price steps; worked out from positions.csv."""
    table = demo_market(60, start='2023-01-03', years=1, seed=3)
    rules = {'slippage': 0.03, 'commission': 0.002}
    found = run_trial(setting_over(table, rules=rules, stocknum=4), Trial(('x',))).figures
    single = run_market(table, stocknum=4, **rules)
    day, expected = single.analyzers.blotter.equity[-1].date, 0.0
    held = [row for row in single.analyzers.blotter.get_analysis()['positions'] if row[0] == day]
    assert day >= dt.date(2023, 8, 28) and len(held) == 4  # stamp duty is 0.05 % since
    for _, _code, shares, price in held:
        fill = int(price * (1 - 0.015) * 100 + 0.5) / 100
        expected += shares * (price - fill) + shares * fill * (0.0005 + 0.00001) + max(5, shares * fill * 0.002)
    assert found['end_sale_cost'] == pytest.approx(expected)
    assert sale_cost(found) == pytest.approx(expected / found['end_value'])
    assert sale_cost({'end_sale_cost': 0.0, 'end_value': 0.0}) == 0.0


def test_the_rules_of_the_choice_are_charged(table, tmp_path):
    study = made(WalkForward({'slippage': [0.04, 0.05]}, 6, 4), setting_over(table), tmp_path / 'walk')
    assert all(row['sale_cost'] > 0.018 for row in study.facts['windows'])


def test_two_names_of_one_run_are_equal(table, tmp_path):
    facts = made(WalkForward({'max_price': [1e4, 2e4]}, 6, 4), setting_over(table), tmp_path / 'walk').facts
    assert {row['rank'] for row in facts['windows']} == {1}
    assert all(row['total_return'] == row['median'] == row['best'] for row in facts['windows'])
    assert facts['better'] == 0  # of none of them: they are the median


def test_short_months_are_no_end(table):
    """February and October have fewer than 20 trading days: only the last window may be left out for that."""
    windows = WalkForward({'stocknum': [1, 2]}, 6, 1).windows(setting_over(table))
    days = sorted(set(table['date'].dt.date))
    assert len(windows) >= 17
    assert windows[-1].test_end >= days[-20]
    for one, other in zip(windows, windows[1:], strict=False):
        assert other.test_start == min(day for day in days if day > one.test_end)


# -- files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('kind', [Phases(), Starts(), Costs(), Capacity((1e5, 1e6)), WalkForward(GRID, 6, 4)])
def test_a_study_is_read_back_and_goes_on(table, tmp_path, kind):
    setting = setting_over(MarketStore.from_table(table), MicroCapStrategy)
    first = made(kind, setting, tmp_path / 'study')
    read = studies.read(tmp_path / 'study')
    assert (read.kind, read.names, read.own, read.about, read.keys) == (
        first.kind, first.names, first.own, first.about, first.keys)
    assert read.facts == first.facts
    before = {path.name: path.read_bytes() for path in (tmp_path / 'study').iterdir()}
    asked = []
    studies.make(kind, setting, tmp_path / 'study', {}, {'title': 'x'}, progress=lambda total: asked.append)
    assert asked == [len(first.keys)]  # all of them were there
    assert {path.name: path.read_bytes() for path in (tmp_path / 'study').iterdir()} == before
    with pytest.raises(DataError, match='the folder has results with cash None, found 1 now'):
        studies.make(kind, setting, tmp_path / 'study', {'cash': 1}, {})


class OwnRhythm(MicroCapStrategy):
    """Says by itself when to rebalance, and knows nothing of a phase."""

    def is_rebalance_day(self, day):
        return day % 7 == 0


class OwnTrade(MicroCapStrategy):
    def trade(self, day):
        if day % 6 == 0:
            self.rebalance()


@pytest.mark.parametrize('strategy', [OwnRhythm, OwnTrade])
def test_a_rhythm_of_its_own_is_begun_later(table, tmp_path, strategy):
    study = made(Phases(), setting_over(table, strategy, weekday=2), tmp_path / 'phases')
    assert (study.names, study.facts['distinct']) == (('days_later',), 5)


def test_shifts_that_are_all_one_run_tell_nothing():
    facts = {'distinct': 1, 'count': 4, 'param': 'phase', 'low': 0.1, 'median': 0.1, 'high': 0.1, 'spread': 0.0}
    assert _phases(facts, 'en') == ('All 4 shifts gave the same run: its own rhythm knows no shift, so that nothing is told of '
                                    'luck.')


class Idle(bt.Strategy):
    pass


def test_a_strategy_that_never_trades(table, tmp_path):
    for kind in (Phases(), Starts(), Costs(), Capacity((1e5, 1e6))):
        study = made(kind, setting_over(table, Idle), tmp_path / kind.name)
        assert sentence(study, 'en') == 'No run has filled any order: there is nothing to tell.'


def test_what_is_told_of_the_year_after_the_start():
    facts = {'count': 9, 'low': 0.1, 'high': 0.5, 'median': 0.3, 'worst': '2020-01', 'lost': 0, 'counted': 4, 'under': 0,
             'worst_year_return': 0.113}
    assert _starts(facts, 'en').endswith('lost money; a year after the start none of 4 was below its money.')
    assert _starts({**facts, 'under': 1, 'worst_year_return': -0.113}, 'en').endswith(
        '; a year after the start 1 of 4 were below their money, the worst by 11.3%.')


def test_fewer_shifts_in_the_same_folder(table, tmp_path):
    made(Phases(), setting_over(table), tmp_path / 'phases')
    study = made(Phases(2), setting_over(table), tmp_path / 'phases')
    assert [key[0] for key in study.keys] == [row[0] for row in text_table(study, 'en')[1]] == ['0', '1']
    assert study.facts['count'] == 2
    assert len(studies.read(tmp_path / 'phases').keys) == 2


@pytest.mark.parametrize(('value', 'english', 'chinese'), [
    (18_200_000, '18.2 million', '1,820 万'), (1.07e7, '10.7 million', '1,070 万'), (1e9, '1 billion', '10 亿'),
    (123_456, '123,456', '12.3 万'), (4_604, '4,604', '4,604'), (-7.57e6, '-7.57 million', '-757 万')])
def test_yuan_in_words(value, english, chinese):
    assert (yuan(value, 'en'), yuan(value, 'zh')) == (english, chinese)
