"""The list of drawdowns: by hand, and against ffn."""

from datetime import date

import numpy as np
import pytest

from bt_microcap.record.drawdowns import Drawdown, drawdowns

DAYS = [date(2024, 1, day) for day in (2, 3, 4, 5, 8, 9, 10, 11, 12, 15, 16)]


def test_by_hand():
    # 100 twice, then 90 and 80 twice, 100 again; 110, 99, 111; 120, 114, 108 to the end
    levels = [100.0, 100.0, 90.0, 80.0, 80.0, 100.0, 110.0, 99.0, 120.0, 114.0, 108.0]
    assert drawdowns(DAYS, levels) == [
        Drawdown(date(2024, 1, 3), date(2024, 1, 5), date(2024, 1, 9), pytest.approx(0.2), 6),
        Drawdown(date(2024, 1, 10), date(2024, 1, 11), date(2024, 1, 12), pytest.approx(0.1), 2),
        Drawdown(date(2024, 1, 12), date(2024, 1, 16), None, pytest.approx(0.1), 4),
    ]
    assert [fall.start.day for fall in drawdowns(DAYS, levels, 2)] == [3, 10]
    assert len(drawdowns(DAYS, levels, None)) == 3


def test_the_deepest_come_first():
    levels = [100.0, 99.0, 100.0, 70.0, 101.0, 90.0, 102.0, 102.0, 60.0, 61.0, 103.0]
    assert [(fall.start.day, fall.bottom.day, fall.depth) for fall in drawdowns(DAYS, levels, 3)] == [
        (11, 12, pytest.approx(1 - 60 / 102)), (4, 5, pytest.approx(0.3)), (8, 9, pytest.approx(1 - 90 / 101))]
    assert len(drawdowns(DAYS, levels)) == 4


def test_no_more_than_ten_unless_asked():
    days = [date.fromordinal(738_000 + day) for day in range(24)]
    levels = [1.0, 0.9] * 12
    assert len(drawdowns(days, levels)) == 10
    assert len(drawdowns(days, levels, None)) == 12


@pytest.mark.parametrize('levels', [[], [1.0], [1.0, 1.0, 1.0], [1.0, 2.0, 3.0]])
def test_without_a_fall(levels):
    assert drawdowns(DAYS[:len(levels)], levels) == []


def test_a_fall_from_the_first_day_to_the_last():
    assert drawdowns(DAYS[:3], [4.0, 2.0, 1.0]) == [Drawdown(DAYS[0], DAYS[2], None, 0.75, 2)]


def test_as_many_levels_as_days():
    with pytest.raises(ValueError, match='found 2 levels, expected one for each of the 3 days'):
        drawdowns(DAYS[:3], [1.0, 2.0])


@pytest.mark.parametrize('seed', range(6))
def test_as_ffn(seed):
    ffn = pytest.importorskip('ffn', reason='needs the package ffn')
    import pandas as pd

    returns = np.random.default_rng(seed).normal(0.0003 * (seed - 2), 0.01, 400)
    index = pd.bdate_range('2020-01-02', periods=401)
    days = [day.date() for day in index]
    levels = pd.Series(np.concatenate([[1.0], np.cumprod(1 + returns)]), index=index)
    theirs = ffn.drawdown_details(ffn.to_drawdown_series(levels))
    after = dict(zip(days, [*days[1:], None], strict=True))  # theirs begin on the day after the peak
    ours = sorted(drawdowns(days, levels.to_numpy(), None))
    assert [(after[fall.start], fall.end or days[-1]) for fall in ours] == [
        (row.Start.date(), row.End.date()) for row in theirs.itertuples()]
    assert [fall.days - (after[fall.start] - fall.start).days for fall in ours] == list(theirs['Length'])
    assert [fall.depth for fall in ours] == pytest.approx([-float(value) for value in theirs['drawdown']], rel=1e-12)
    assert max(fall.depth for fall in ours) == pytest.approx(-float(ffn.calc_max_drawdown(levels)), rel=1e-12)
    for fall in ours:
        assert levels[pd.Timestamp(fall.bottom)] == pytest.approx(levels[pd.Timestamp(fall.start)] * (1 - fall.depth))
