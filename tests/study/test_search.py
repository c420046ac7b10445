"""The guided search: its trials, its files, going on after an interruption, and ending a run early."""

import json
from datetime import date

import backtrader as bt
import numpy as np
import pytest

pytest.importorskip('optuna')

from bt_microcap import MicroCapStrategy
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.store import MarketStore
from bt_microcap.study import search as searching
from bt_microcap.study.ledger import FIGURES, Ledger
from bt_microcap.study.optuna_study import needed, open_study, quiet
from bt_microcap.study.pruning import Watch, Years, ends_of
from bt_microcap.study.search import search
from bt_microcap.study.space import Dimension
from bt_microcap.study.trials import Trial, run_trial
from tests.support.searching import tried
from tests.support.studying import setting_over
from tests.support.sweeping import figures, rows

STOCKS = Dimension('stocknum', 1, 6)
KEEP = Dimension('keep', choices=(True, False))
STOP = Dimension('stop_loss', 0.0, 0.2)
LIMIT = Dimension('volume_limit', 0.001, 0.02, log=True, of_profile=True)


@pytest.fixture(scope='module')
def store():
    return MarketStore.from_table(demo_market(60, years=1, seed=3))


@pytest.fixture(scope='module')
def long():
    return MarketStore.from_table(demo_market(30, '2019-01-01', years=3, seed=3))


def look(store, space, folder, *, strategy=MicroCapStrategy, params=None, end=None, processes=1, **how):
    folder.mkdir(exist_ok=True)
    setting = setting_over(store, strategy, end=end, **(params or {}))
    return search(setting, space, folder, {'data': 'here'}, processes=processes, **how)


def states(found):
    return [one.state for one in found.tried]


def same(row, outcome):
    assert figures(row) == {name: outcome.figures[name] for name in FIGURES}


# -------------------------------------------------------------------------------------------------- the space


@pytest.mark.parametrize(('dimension', 'all_of_them', 'spec'), [
    (Dimension('a', 1, 4), {1, 2, 3, 4}, '1:4'),
    (Dimension('a', 1, 6, 2), {1, 3, 5}, '1:6:2'),
    (Dimension('a', 0.0, 0.2, 0.05), {0.0, 0.05, 0.1, 0.15, 0.2}, '0:0.2:0.05'),
    (Dimension('a', choices=((), (4,), (1, 4))), {(), (4,), (1, 4)}, 'none;4;1,4'),
    (Dimension('a', choices=(True, False)), {True, False}, 'yes,no'),
    (Dimension('a', choices=(0, 0.5, 'zero')), {0, 0.5, 'zero'}, '0,0.5,zero'),
])
def test_values_are_those_that_were_asked_for(dimension, all_of_them, spec):
    study = needed().create_study(sampler=needed().samplers.RandomSampler(seed=1))
    with quiet():  # of a range that is no whole number of steps
        found = [dimension.suggest(study.ask()) for _ in range(80)]
    assert set(found) == all_of_them
    assert {type(value) for value in found} == {type(value) for value in all_of_them}
    assert dimension.spec == spec


def test_a_range_with_log_looks_closely_at_what_is_small():
    study = needed().create_study(sampler=needed().samplers.RandomSampler(seed=1))
    dimension = Dimension('a', 0.001, 1.0, log=True)
    found = np.array([dimension.suggest(study.ask()) for _ in range(300)])
    assert found.min() >= 0.001 and found.max() <= 1.0
    assert 60 < (found < 0.01).sum() < 140  # a third of the decades
    assert dimension.spec == '0.001:1:log'


# -------------------------------------------------------------------------------------------------- trials and their files


@pytest.mark.parametrize('processes', [1, 2])
def test_each_row_is_a_run_of_its_own(tmp_path, store, processes):
    told = []
    found = look(store, [STOCKS, KEEP, STOP, LIMIT], tmp_path, trials=7, processes=processes, progress=told.append)
    assert [one.number for one in found.tried] == list(range(7))
    assert states(found) == ['complete'] * 7
    assert sum(told) == 7
    written = rows(tmp_path)
    assert list(written[0])[:6] == ['trial', 'stocknum', 'keep', 'stop_loss', 'volume_limit', 'total_return']
    assert [row['trial'] for row in written] == ['0', '1', '2', '3', '4', '5', '6']
    for row in (written[0], written[6]):
        single = run_trial(setting_over(store, rules={'volume_limit': float(row['volume_limit'])}, stocknum=int(row['stocknum']),
                                        keep=row['keep'] == 'yes', stop_loss=float(row['stop_loss'])), Trial(()))
        same(row, single)
    listed = tried(tmp_path)
    assert [row['annual_return'] for row in listed] == [row['annual_return'] for row in written]
    assert list(listed[0]) == [
        'number', 'state', 'stocknum', 'keep', 'stop_loss', 'volume_limit', 'annual_return', 'years', 'same_as', 'why']
    best = max(written, key=lambda row: float(row['annual_return']))
    assert str(found.best[0].number) == best['trial']
    assert found.best[0].objectives == (float(best['annual_return']),)
    assert len({(one.values['stop_loss'], one.values['volume_limit']) for one in found.tried}) == 7


def test_the_same_seed_the_same_trials(tmp_path, store):
    space = [STOCKS, STOP, KEEP]
    first = look(store, space, tmp_path / 'a', trials=14, seed=5)
    again = look(store, space, tmp_path / 'b', trials=14, seed=5)
    other = look(store, space, tmp_path / 'c', trials=3, seed=6)
    assert again.tried == first.tried
    assert [one.values for one in other.tried] != [one.values for one in first.tried[:3]]
    # and it matters not in how many goes: each trial has a seed of its own
    look(store, space, tmp_path / 'd', trials=4, seed=5)
    assert look(store, space, tmp_path / 'd', trials=14, seed=5).tried == first.tried


def test_params_that_were_run_are_not_run_again(tmp_path, store, monkeypatch):
    ran = []
    real = searching.run_trial

    def counted(setting, trial, *rest):
        ran.append(dict(trial.params))
        return real(setting, trial, *rest)

    monkeypatch.setattr(searching, 'run_trial', counted)
    found = look(store, [Dimension('stocknum', 1, 3)], tmp_path, trials=12)
    assert states(found) == ['complete'] * 12
    assert sorted(one['stocknum'] for one in ran) == [1, 2, 3]
    written = rows(tmp_path)
    assert len(written) == 12
    for one in found.tried:
        if one.same >= 0:
            assert one.values == found.tried[one.same].values
            assert figures(written[one.number]) == figures(written[one.same])
            assert (found.ledger.returns[one.key] == found.ledger.returns[found.tried[one.same].key]).all()
    assert sum(one.same >= 0 for one in found.tried) == 9
    assert sorted(one.values['stocknum'] for one in found.best) == [1, 2, 3]


def test_several_objectives(tmp_path, store):
    found = look(store, [STOCKS, STOP, KEEP], tmp_path, trials=14, objectives=('annual_return', 'max_drawdown'))
    assert states(found) == ['complete'] * 14
    points = {one.number: one.objectives for one in found.tried}
    front = {number for number, (gain, fall) in points.items()
             if not any(g >= gain and f <= fall and (g, f) != (gain, fall) for g, f in points.values())}
    assert 1 < len(front) < 14
    assert {one.number for one in found.best} == front
    gains = [one.objectives[0] for one in found.best]
    assert gains == sorted(gains, reverse=True)
    for row in rows(tmp_path):
        assert (float(row['annual_return']), float(row['max_drawdown'])) == points[int(row['trial'])]
    study = open_study(tmp_path, (), 0)
    assert [direction.name for direction in study.directions] == ['MAXIMIZE', 'MINIMIZE']


# -------------------------------------------------------------------------------------------------- failures


class Choosy(MicroCapStrategy):
    """Skips one number of stocks, refuses another."""

    params = (('breaks', 0),)

    def __init__(self):
        if self.p.stocknum == 2:
            raise bt.errors.StrategySkipError
        if self.p.stocknum == 3:
            raise ValueError('three is\na crowd')
        super().__init__()

    def next(self):
        super().next()
        if len(self) == self.p.breaks:
            raise ValueError('in the middle')


def test_what_is_skipped_or_refused_has_failed(tmp_path, store):
    found = look(store, [Dimension('stocknum', 1, 4)], tmp_path, strategy=Choosy, trials=16)
    why = {2: 'skipped: the strategy skips these params (StrategySkipError)', 3: 'refused: three is a crowd'}
    assert {one.values['stocknum'] for one in found.tried} == {1, 2, 3, 4}
    for one in found.tried:
        assert (one.state, one.why) == (('failed', why[one.values['stocknum']]) if one.values['stocknum'] in why
                                        else ('complete', ''))
    assert {row['stocknum'] for row in rows(tmp_path)} == {'1', '4'}
    assert [(row['state'], row['why'], row['annual_return'] == '') for row in tried(tmp_path)] == [
        (one.state, one.why, one.state == 'failed') for one in found.tried]


def test_a_figure_that_is_not_defined_has_failed_and_no_trade_has_not(tmp_path, store):
    nothing = {'empty_months': tuple(range(1, 13))}
    space = [STOCKS]
    found = look(store, space, tmp_path / 'a', params=nothing, trials=3, objectives=('win_rate',))
    assert [(one.state, one.why) for one in found.tried] == [('failed', 'no figure: win_rate is not defined')] * 3
    assert (rows(tmp_path / 'a'), found.best) == ([], [])
    found = look(store, space, tmp_path / 'b', params=nothing, trials=3)
    assert [(one.state, one.objectives) for one in found.tried] == [('complete', (0.0,))] * 3


def test_a_band_without_any_stock_is_refused(tmp_path, store):
    found = look(store, [Dimension('max_cap', choices=(2.0, 1e12))], tmp_path, params={'min_cap': 1.0}, trials=8)
    assert {(one.values['max_cap'], one.state) for one in found.tried} == {(2.0, 'failed'), (1e12, 'complete')}
    why, = {one.why for one in found.of('failed')}
    assert why.startswith('refused: no market cap of the data lies between min_cap 1 and max_cap 2 yuan')


@pytest.mark.parametrize('trials', [4, 30])
def test_where_all_are_refused_it_ends(tmp_path, store, trials):
    with pytest.raises(DataError) as caught:
        look(store, [STOP], tmp_path, strategy=Choosy, params={'stocknum': 3}, trials=trials)
    assert str(caught.value) == f'each of the first {min(trials, 10)} trials was refused: three is a crowd'
    assert len(tried(tmp_path)) == min(trials, 10)


@pytest.mark.parametrize('when', [1, 40])
def test_an_error_in_a_run_ends_the_search_and_loses_nothing(when, tmp_path, store):
    with pytest.raises(DataError, match=rf'^trial \d breaks={when}: ValueError: in the middle$'):
        look(store, [Dimension('breaks', choices=(0, when))], tmp_path, strategy=Choosy, params={'stocknum': 4}, trials=9, seed=3)
    assert {row['breaks'] for row in rows(tmp_path)} == {'0'}
    assert [one.state.name for one in open_study(tmp_path, (), 0).get_trials()][-1] == 'RUNNING'


# -------------------------------------------------------------------------------------------------- going on


def test_a_trial_in_work_and_a_row_that_is_missing(tmp_path, store):
    space = [STOCKS, STOP]
    whole = look(store, space, tmp_path / 'whole', trials=6)
    folder = tmp_path / 'cut'
    before = look(store, space, folder, trials=4)
    study = open_study(folder, ('maximize',), 0)
    trial = study.ask()
    lost = {one.name: one.suggest(trial) for one in space}
    # as after a kill: one is in work, the row of another is not written yet, and a line is cut off
    kept = (folder / 'results.csv').read_text('utf-8').splitlines(keepends=True)
    (folder / 'results.csv').write_text(''.join(kept[:-1]), encoding='utf-8')
    with open(folder / 'search.journal', 'ab') as stream:
        stream.write(b'{"op_code":4,"worker')
    found = look(store, space, folder, trials=6)
    assert states(found) == ['complete'] * 4 + ['interrupted', 'complete', 'complete']
    assert found.tried[:4] == before.tried
    assert found.tried[5].values == lost
    # the same trials as without the interruption, one number later
    assert [(one.values, one.objectives) for one in found.tried if one.state == 'complete'] == [
        (one.values, one.objectives) for one in whole.tried]
    assert [row['trial'] for row in rows(folder)] == ['0', '1', '2', '3', '5', '6']
    assert (folder / 'results.csv').read_text('utf-8').splitlines(keepends=True)[:5] == kept
    assert look(store, space, folder, trials=2).tried == found.tried  # all are done


def test_files_that_are_gone_or_of_another_search(tmp_path, store):
    look(store, [STOCKS], tmp_path, trials=2)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    for space, how, said in [
        ([Dimension('stocknum', 1, 7)], {}, "results with space stocknum '1:6', found '1:7' now"),
        ([KEEP], {}, "results with dimensions ['stocknum'], found ['keep'] now"),
        ([STOCKS], {'objectives': ('sharpe',)}, "results with by ['annual_return'], found ['sharpe'] now"),
        ([STOCKS], {'seed': 1}, 'results with seed 0, found 1 now'),
        ([STOCKS], {'prune': False}, 'results with prune True, found False now'),
    ]:
        with pytest.raises(DataError, match='give another --out') as caught:
            look(store, space, tmp_path, trials=3, **how)
        assert said in str(caught.value)
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    (tmp_path / 'search.journal').write_text('nothing of the kind\n{}\n', encoding='utf-8')
    with pytest.raises(DataError, match='cannot be read as the journal of a search'):
        look(store, [STOCKS], tmp_path, trials=3)
    (tmp_path / 'search.journal').unlink()
    with pytest.raises(DataError, match='there is no such file, but results of a search are'):
        look(store, [STOCKS], tmp_path, trials=3)
    with Ledger(tmp_path, ('trial', 'stocknum'), json.loads(before['settings.json'])), pytest.raises(DataError, match='at work'):
        look(store, [STOCKS], tmp_path, trials=3)


# -------------------------------------------------------------------------------------------------- pruning


def test_after_which_days_a_run_is_judged():
    days = np.array([date(2019, 12, 30).toordinal(), date(2019, 12, 31).toordinal(),
                     *range(date(2020, 1, 2).toordinal(), date(2021, 1, 1).toordinal()),
                     *range(date(2021, 1, 5).toordinal(), date(2021, 3, 1).toordinal())])
    assert ends_of(days) == {date(2020, 12, 31).toordinal(): 2}  # two days are too few, and the last year ends by itself
    assert ends_of(days[:2]) == ends_of(days[:0]) == {}


def last_day(store, year):
    return date.fromordinal(max(int(day) for day in store.days if date.fromordinal(int(day)).year == year))


@pytest.mark.parametrize('figure', ['annual_return', 'excess_return', 'expectancy', 'fees', 'filled_share'])
def test_the_figure_so_far_is_that_of_a_run_that_ends_there(long, figure):
    setting = setting_over(long, stocknum=3)
    told = {}
    watch = Watch(ends_of(setting.days()), figure, lambda year, value: told.setdefault(year, value) is None)
    whole = run_trial(setting, Trial(()), [(Years, {'watch': watch})])
    assert sorted(told) == [1, 2]
    for year, value in told.items():
        short = run_trial(setting_over(long, end=last_day(long, 2018 + year), stocknum=3), Trial(()))
        assert value == short.figures[figure]
    # to look on changes nothing
    plain = run_trial(setting, Trial(()))
    assert whole.figures == plain.figures
    assert (whole.returns == plain.returns).all()
    assert watch.bars == len(long.days)


class Counting(MicroCapStrategy):
    """Notes how many bars its runs had."""

    bars = []  # noqa: RUF012

    def stop(self):
        Counting.bars.append(len(self))
        super().stop()


def test_a_pruned_run_ends_at_once(long):
    Counting.bars.clear()
    end = last_day(long, 2020)
    watch = Watch(ends_of(setting_over(long).days()), 'annual_return', lambda year, value: year == 2)
    outcome = run_trial(setting_over(long, Counting, stocknum=3), Trial(()), [(Years, {'watch': watch})])
    assert watch.stopped
    assert Counting.bars == [watch.bars] == [int((long.days <= end.toordinal()).sum())]
    assert outcome.figures['last_day'] == str(end)
    assert outcome.days[-1] == end.toordinal()


def test_pruning_by_years(tmp_path, long):
    space = [Dimension('stocknum', 1, 12), STOP]
    found = look(long, space, tmp_path / 'a', trials=16)
    complete, pruned = found.of('complete'), found.of('pruned')
    assert states(found)[:5] == ['complete'] * 5
    assert len(complete) + len(pruned) == 16
    assert len(pruned) > 2
    assert {one.years for one in complete} == {3}
    assert {one.years for one in pruned} <= {1, 2}
    assert [row['trial'] for row in rows(tmp_path / 'a')] == [str(one.number) for one in complete]
    study = open_study(tmp_path / 'a', ('maximize',), 0)
    after = {one.number: one.intermediate_values for one in study.get_trials()}
    for one in found.tried:  # one process: those before it were over
        before = [other.number for other in complete if other.number < one.number]
        if one.same >= 0:
            continue
        for year, value in sorted(after[one.number].items()):
            median = np.median([after[number][year] for number in before]) if len(before) >= 5 else -np.inf
            best = max(after[one.number][earlier] for earlier in range(1, year + 1))
            ended = one.state == 'pruned' and year == one.years
            assert (best < median) == ended
            if ended:
                assert one.objectives == (value,)
    for one in complete[-2:]:
        same(rows(tmp_path / 'a')[complete.index(one)], run_trial(setting_over(long, **one.values), Trial(())))
    # without it the same begin, and none ends early
    whole = look(long, space, tmp_path / 'b', trials=7, prune=False)
    assert states(whole) == ['complete'] * 7
    assert [one.values for one in whole.tried[:6]] == [one.values for one in found.tried[:6]]
    assert [one.objectives for one in whole.tried[:5]] == [one.objectives for one in found.tried[:5]]
