"""history(): the last days of a column over all stocks, raw and adjusted for ex-rights, both ways of feeding."""

from collections import Counter

import numpy as np
import pytest

from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.history import ex_rights_factor
from bt_microcap.feeds.store import MarketStore
from tests.support.history import NAN, PRICE_COLUMNS, WAYS, A, B, C, ask, asked, same
from tests.support.markets import bar, paused, tiny_market

# ------------------------------------------------------------------------------------------------- raw


@WAYS
def test_the_days_before(market, tiny):
    same(asked(tiny, market, 'close', 3), [
        [[NAN, NAN], [NAN, NAN], [NAN, NAN]],
        [[NAN, NAN], [NAN, NAN], [10.0, NAN]],
        [[NAN, NAN], [10.0, NAN], [11.0, NAN]],
        [[10.0, NAN], [11.0, NAN], [11.0, 20.0]],
        [[11.0, NAN], [11.0, 20.0], [12.0, 21.0]],
        [[11.0, 20.0], [12.0, 21.0], [NAN, 22.0]],
    ])


@WAYS
def test_at_the_close_the_last_row_is_the_bar(market, tiny):
    same(asked(tiny, market, 'close', 2, at_open=False), [
        [[NAN, NAN], [10.0, NAN]],
        [[10.0, NAN], [11.0, NAN]],
        [[11.0, NAN], [11.0, 20.0]],
        [[11.0, 20.0], [12.0, 21.0]],
        [[12.0, 21.0], [NAN, 22.0]],
        [[NAN, 22.0], [13.0, 23.0]],
    ])


@WAYS
def test_it_reaches_back_before_fromdate(market, tiny):
    dates = sorted(set(tiny['date']))
    same(asked(tiny, market, 'close', 3, fromdate=dates[3], todate=dates[4]), [
        [[10.0, NAN], [11.0, NAN], [11.0, 20.0]],
        [[11.0, NAN], [11.0, 20.0], [12.0, 21.0]],
    ])


@WAYS
@pytest.mark.parametrize('at_open', [True, False])
@pytest.mark.parametrize('start', [0, 1, 3])
def test_the_last_row_is_previous(start, at_open, market, tiny):
    """Also on the first bar, where the day before lies outside the run."""
    seen = []

    def each(section, bar):
        for name in ('close', 'volume', 'market_cap', 'paused', 'amount'):
            rows = section.history(name, 2)
            np.testing.assert_array_equal(rows[-1], section.previous(name))
            assert (rows.shape, rows.dtype) == ((2, 2), np.float64)
        seen.append(section.previous('volume').tolist())

    ask(tiny, market, each, at_open, fromdate=sorted(set(tiny['date']))[start])
    assert len(seen) == 6 - start
    if start == 3 and at_open:
        assert seen[0] == [0.0, 300.0]


@WAYS
def test_asked_every_third_day(market):
    """Also a window shorter than the days that were not asked for."""
    table = tiny_market({A: [10.0 + day for day in range(14)], B: [20.0 + 2 * day for day in range(14)]})
    found = {}

    def each(section, bar):
        if bar in (6, 9, 12, 13):
            found[bar] = section.history('close', 2)[:, 0].tolist(), section.history('close', 5)[:, 1].tolist()

    ask(table, market, each)
    assert found == {
        6: ([14.0, 15.0], [22.0, 24.0, 26.0, 28.0, 30.0]),
        9: ([17.0, 18.0], [28.0, 30.0, 32.0, 34.0, 36.0]),
        12: ([20.0, 21.0], [34.0, 36.0, 38.0, 40.0, 42.0]),
        13: ([21.0, 22.0], [36.0, 38.0, 40.0, 42.0, 44.0]),
    }


@WAYS
def test_a_growing_window_and_two_columns(market):
    table = tiny_market({A: [(10.0 + day, 10.5 + day) for day in range(12)], B: [30.0] * 12})
    seen = []

    def each(section, bar):
        for n in (max(1, bar - 1), 1, bar + 2, 2):
            opens, closes = section.history('open', n)[:, 0], section.history('close', n)[:, 0]
            wanted = np.array([10.0 + day if day >= 0 else NAN for day in range(bar - n, bar)])
            np.testing.assert_array_equal(opens, wanted)
            np.testing.assert_array_equal(closes, wanted + 0.5)
            seen.append(n)

    ask(table, market, each)
    assert seen[-4:] == [10, 1, 13, 2]


@WAYS
@pytest.mark.parametrize('adjusted', [False, True])
def test_what_was_handed_out_never_changes(adjusted, market):
    table = demo_market(8, '2021-03-01', days=40, seed=2, corporate_actions=True)
    kept = []

    def each(section, bar):
        for n in (3, 1, 5 if bar < 20 else 9):
            rows = section.history('close', n, adjusted)
            with pytest.raises(ValueError, match='read-only'):
                rows[0, 0] = 1.0
            kept.append((rows, rows.copy()))

    ask(table, market, each)
    assert len(kept) == 120
    for rows, copy in kept:
        np.testing.assert_array_equal(rows, copy)


@WAYS
def test_a_section_kept_from_an_earlier_day(market):
    table = tiny_market({A: [10.0 + day for day in range(20)]})
    sections = []

    def each(section, bar):
        sections.append(section)
        for day in {bar, bar // 2, min(bar, 2), max(0, bar - 3)}:
            for n in (2, 4):
                wanted = [10.0 + at if at >= 0 else NAN for at in range(day - n, day)]
                np.testing.assert_array_equal(sections[day].history('close', n)[:, 0], wanted)

    ask(table, market, each)
    assert len(sections) == 20


def test_the_store_is_read_once_a_day(monkeypatch):
    table = demo_market(8, '2021-03-01', days=40, seed=2, corporate_actions=True)
    read, vector = Counter(), MarketStore.vector

    def counted(self, name, day):
        read[name, day] += 1
        return vector(self, name, day)

    monkeypatch.setattr(MarketStore, 'vector', counted)
    ask(table, True, lambda section, bar: [section.history('open', n) for n in (2, 7)])
    assert read == {('open', day): 1 for day in range(39)}  # the last day is today


# --------------------------------------------------------------------------------------------- adjusted


@WAYS
def test_adjusted(market, ex_dates):
    """The ex-dates of today are not in it: those of day 3 come with day 4."""
    found = asked(ex_dates, market, 'close', 4, True)
    same(found[3:], [
        [[NAN, NAN, NAN], [6.0, 9.5, 29.99], [6.3, 9.5, 29.99], [6.6, 9.5, 28.0]],
        [[3.0, 9.5, 29.99], [3.15, 9.5, 29.99], [3.3, 9.5, 28.0], [3.4, 9.6, 28.0]],
    ])
    same(asked(ex_dates, market, 'close', 4, True, at_open=False)[2:4], found[3:])
    np.testing.assert_array_equal(found[1][-1], [10.0, 20.0, 30.0])
    same(asked(ex_dates, market, 'close', 4)[4:], [
        [[10.0, 20.0, 30.0], [6.3, 19.0, 30.0], [6.6, 9.5, 28.0], [3.4, 9.6, 28.0]],
    ])


@WAYS
def test_other_prices_move_with_the_close(market, ex_dates):
    same(asked(ex_dates, market, 'preclose', 4, True)[4:], [
        # the preclose of an ex-date is after its ex-rights already
        [[3.0, 9.5, 29.99], [3.0, 9.5, 30.004 * 29.99 / 30], [3.15, 9.5, 29.99], [3.3, 9.4, 28.0]],
    ])
    same(asked(ex_dates, market, 'open', 3, True)[4:], [
        [[3.05, 9.5, 29.99], [3.3, 9.5, 28.0], [3.4, 9.6, 28.0]],
    ])
    # not in the table: 10 % above the preclose, such as 6.00 -> 6.60, halved by the ex-date after it; 30.004 -> 33.00
    same(asked(ex_dates, market, 'high_limit', 3, True)[4:], [
        [[3.3, 10.45, 33.0 * 29.99 / 30], [3.465, 10.45, 32.99], [3.63, 10.34, 30.8]],
    ])


@WAYS
def test_one_day_is_as_it_was(market, ex_dates):
    same(asked(ex_dates, market, 'close', 1, True), asked(ex_dates, market, 'close', 1))


@WAYS
def test_without_columns_of_ex_rights_nothing_is_adjusted(market, ex_dates):
    table = ex_dates.drop(columns=['preclose', 'cash_dividend', 'share_ratio'])
    same(asked(table, market, 'close', 4, True), asked(table, market, 'close', 4))


@WAYS
def test_an_ex_date_after_days_without_a_row(market):
    """A comes back after its ex-date, B is suspended with rows until it, C has it while it is suspended."""
    table = tiny_market({
        A: [10.0, None, None, bar(5.0, preclose=5.0), 5.5, 5.5],
        B: [10.0, paused(), paused(), bar(8.0, preclose=8.0), 8.2, 8.2],
        C: [10.0, paused(), paused(open=9.0, preclose=9.0), 9.0, 9.1, 9.1],
    })
    wanted = [
        [5.0, 8.0, 9.0],
        [NAN, 8.0, 9.0],
        [NAN, 8.0, 9.0],
        [5.0, 8.0, 9.0],
    ]
    same(asked(table, market, 'close', 4, True)[4:5], [wanted])

    def each(section, bar):
        if bar == 4:  # the last close of A before its ex-date lies before this window
            same([section.history('close', 1, True)], [[[5.0, 8.0, 9.0]]])
        if bar == 5:
            same([section.history('close', 5, True)], [[*wanted, [5.5, 8.2, 9.1]]])

    ask(table, market, each)


@WAYS
def test_adjusted_before_fromdate(market, ex_dates):
    start = sorted(set(ex_dates['date']))[4]
    same(asked(ex_dates, market, 'close', 4, True, fromdate=start), asked(ex_dates, market, 'close', 4, True)[4:])


def test_a_dividend_that_leaves_no_price():
    last_close, preclose = np.array([10.0, 10.0, NAN, 10.0]), np.array([NAN, 0.5, 8.0, NAN])
    factor = ex_rights_factor(last_close, preclose, np.array([10.0, 12.0, 1.0, NAN]), np.full(4, NAN))
    np.testing.assert_array_equal(factor, [NAN, NAN, 1.0, 1.0])


# ---------------------------------------------------------------------------------------------- refused


@WAYS
def test_an_unknown_column(market, tiny):
    """As previous() says it."""
    seen = []

    def each(section, bar):
        if bar == 3:
            said = []
            for question in (lambda: section.previous('roe'), lambda: section.history('roe', 2)):
                with pytest.raises(KeyError, match="no column 'roe'; it has ") as error:
                    question()
                said.append(str(error.value))
            assert said[0] == said[1]
            assert np.isnan(section.history('amount', 2)).all()  # optional: not known
            seen.append(bar)

    ask(tiny, market, each)
    assert seen == [3]


@WAYS
@pytest.mark.parametrize('n', [0, -1, True, np.True_, 2.0, 1.5, '2', None], ids=repr)
def test_a_bad_length(n, market, tiny):
    with pytest.raises(ValueError, match=r'^n is .*: expected a whole number of 1 or more$'):
        asked(tiny, market, 'close', n)


@WAYS
def test_a_length_of_numpy(market, tiny):
    same(asked(tiny, market, 'close', np.int32(2)), asked(tiny, market, 'close', 2))


@WAYS
@pytest.mark.parametrize('name', ['market_cap', 'volume', 'is_st', 'roe', 'cash_dividend'])
def test_only_prices_can_be_adjusted(name, market, tiny):
    with pytest.raises(ValueError, match=f"^'{name}' cannot be adjusted .* {', '.join(PRICE_COLUMNS)}$"):
        asked(tiny, market, name, 2, True)
