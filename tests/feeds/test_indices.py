"""The market's index and the micro-cap index: by hand, and against a slow model."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.store import MarketStore
from bt_microcap.feeds.store import indices as module
from bt_microcap.feeds.store.indices import Choice, first_days, market_index, microcap_index
from tests.support.markets import bar, frame, markets, paused, tiny_market
from tests.support.slow_index import SlowMarket, slow_market_index, slow_members, slow_microcap_index

pytestmark = pytest.mark.filterwarnings('ignore:the table')  # a market cap that is not known is told

A, B, C, D = '000002.XSHE', '600001.XSHG', '600003.XSHG', '688001.XSHG'
BEIJING, B_SHARE = '830001.BJSE', '900901.XSHG'
DATES = ['2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05', '2024-01-08', '2024-01-09']


def store_of(table, listed=None):
    store = MarketStore.from_table(table)
    if listed is None:
        return store
    tables = {'listings': frame(code=list(listed), listed=list(listed.values()), delisted=[None] * len(listed))}
    return MarketStore(store.arrays, store.columns, tables=tables)


# ------------------------------------------------------------------------------------------------------ the market


def by_hand():
    return tiny_market({
        A: [10.0, 11.0, paused(), 11.0, None, 12.1],  # +10 %, a suspended row, 0 %, no row, +10 %
        B: [20.0, 20.0, bar(10.0, 11.0, preclose=10.0), 11.0],  # two for one; no row after the fourth day: 0 %
        C: [None, bar(50.0, 60.0, preclose=20.0), 66.0, (69.3, 72.6), 72.6, 79.86],  # its first day is the second
        BEIJING: [10.0, 10.0, 10.0, 10.0, 11.0, 11.0],
        B_SHARE: [1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
    }, dates=DATES)


def test_market_by_hand():
    """Two days after its first C joins, with +10 %, 0 % and +10 %. The B share never counts."""
    index = market_index(store_of(by_hand()), new_share_days=2)
    close = 1000 * np.cumprod([1, 1 + 0.1 / 3, 1 + 0.1 / 3, 1 + 0.1 / 4, 1 + 0.1 / 4, 1 + 0.2 / 4])
    np.testing.assert_allclose(index[3], close)
    np.testing.assert_allclose(index[0][2:4], [close[1], close[2] * (1 + 0.05 / 4)])  # B opens at 10, C at 69.3
    np.testing.assert_allclose(index[1][2:4], [close[2], close[3]])
    np.testing.assert_allclose(index[2][2:4], [close[1], close[2] * (1 + 0.05 / 4)])
    assert index[4].tolist() == [3e6, 3e6, 2e6, 4e6, 2e6, 3e6]


def test_market_with_the_first_days():
    """From its first day C counts with 60 over the issue price of 20, which is +200 %."""
    index = market_index(store_of(by_hand()), new_share_days=0)
    assert index[3][1] == pytest.approx(1000 * (1 + (0.1 + 2.0) / 4))
    assert market_index(store_of(by_hand()))[3][1] == pytest.approx(1000 * (1 + 0.1 / 3))


@pytest.mark.parametrize(('day', 'wanted'), [
    (bar(5.0, 5.5, share_ratio=2.0), 1.1),  # 10 / 2
    (bar(9.5, 10.45, cash_dividend=0.5), 1.1),  # 10 - 0.5
    (bar(6.0, 6.6, cash_dividend=1.0, share_ratio=1.5), 1.1),  # (10 - 1) / 1.5
    (bar(10.0, 11.0, cash_dividend=0.0, share_ratio=1.0), 1.1),
    (bar(10.0, 11.0, cash_dividend=10.0), 1.0),  # no price is left: nothing is known
    (bar(4.0, 4.4, share_ratio=2.0, preclose=4.0), 1.1),  # the exchange's own reference price goes first
])
def test_explicit_actions(day, wanted):
    table = tiny_market({A: [10.0, None, day]}, dates=DATES[:3])
    filled = tiny_market({C: [1.0, 1.0, 1.0]}, dates=DATES[:3])  # so that the second day is there
    table = pd.concat([table, filled])
    if day['preclose'] is None:
        table = table.drop(columns='preclose')
    index = market_index(store_of(table.sort_values(['date', 'code'])))
    np.testing.assert_allclose(index[3], [1000, 1000, 1000 * (1 + wanted) / 2])


def test_the_first_day_counts_over_preclose():
    table = tiny_market({A: [bar(10.0, 12.0, preclose=10.0), 12.0]}, dates=DATES[:2])
    assert market_index(store_of(table))[3].tolist() == [1200.0, 1200.0]
    assert market_index(store_of(table.drop(columns='preclose')))[3].tolist() == [1000.0, 1000.0]


def test_first_days():
    """Monday 2024-01-01 is a weekday before the data; the Friday before is two; a Saturday's listing is Monday's."""
    table = tiny_market({A: [1.0] * 6, B: [1.0] * 6, C: [1.0] * 6, D: [None] * 4 + [1.0] * 2, B_SHARE: [1.0] * 6}, dates=DATES)
    listed = {A: '2024-01-01', B: '2023-12-29', D: '2024-01-06', '600999.XSHG': '2024-01-03'}
    assert first_days(store_of(table, listed))[[0, 1, 3]].tolist() == [-1, -2, 4]
    assert first_days(store_of(table, {C: '2024-01-02', B: None}))[2] == 0
    first = first_days(store_of(table))
    assert (first[:3] < -1e6).all()  # who knows since when
    assert first[3] == 4
    assert first[4] > 1e6


def test_listing_days_say_who_is_new():
    """B, listed on the data's first day, joins two days later; A, listed two weekdays before, counts at once."""
    table = tiny_market({A: [10.0, 11.0, 11.0, 11.0], B: [10.0, 15.0, 18.0, 18.0]}, dates=DATES[:4])
    index = market_index(store_of(table, {A: '2023-12-29', B: '2024-01-02'}), new_share_days=2)
    np.testing.assert_allclose(index[3], [1000, 1100, 1210, 1210])


# --------------------------------------------------------------------------------------------------- the micro caps


def test_who_may_be_a_member():
    """A day's choice of many, each unfit for another reason; the two of one cap by their codes."""
    days = {
        '000001.XSHE': [bar(1.0, cap=5e8)] * 3,
        '000003.XSHE': [bar(1.0, cap=2e8)] * 3,
        '000004.XSHE': [bar(1.0, cap=2e8)] * 3,
        '000005.XSHE': [bar(1.0, cap=1e8), bar(1.0, cap=1e8, st=1), bar(1.0, cap=1e8)],
        '000006.XSHE': [bar(1.0, cap=1e8), paused(cap=1e8), bar(1.0, cap=1e8)],
        '000007.XSHE': [bar(1.0, cap=1e8), bar(1.0, cap=1e8, delisting_period=1), bar(1.0, cap=1e8)],
        '000008.XSHE': [bar(1.0, cap=1e8), bar(1.0, cap=float('nan')), bar(1.0, cap=1e8)],
        '000009.XSHE': [bar(1.0, cap=1e8), None, bar(1.0, cap=1e8)],
        '300001.XSHE': [None, bar(1.0, cap=1e8), bar(1.0, cap=1e8)],
        BEIJING: [bar(1.0, cap=1e8)] * 3,
        B_SHARE: [bar(1.0, cap=1e8)] * 3,
    }
    table = tiny_market(days, dates=DATES[:3])
    table['delisting_period'] = table['delisting_period'].fillna(0)
    store = store_of(table)

    def codes(count, day=2, new=2):
        return store.codes[Choice(store, count, new).of(day)[0]].tolist()

    assert codes(9) == ['000001.XSHE', '000003.XSHE', '000004.XSHE']
    assert codes(2) == ['000003.XSHE', '000004.XSHE']
    assert codes(1) == ['000003.XSHE']
    assert codes(9, new=1) == ['000001.XSHE', '000003.XSHE', '000004.XSHE', '300001.XSHE']
    assert codes(9, day=0) == []
    assert codes(9, day=1) == [*sorted(days)[:8]]


P, Q, R = A, B, C


def three():
    """P rises on the days 1 and 3, Q on 2, R on 2; the two smallest are P and Q on day 0, then P and R."""
    def row(close, cap, float_cap):
        return bar(close, cap=cap, circ_market_cap=float_cap)

    return tiny_market({
        P: [row(10.0, 1e9, 1e8), row(11.0, 1e9, 1e8), row(11.0, 1e9, 1e8), row(12.1, 1e9, 1e8)],
        Q: [row(10.0, 2e9, 3e8), row(10.0, 4e9, 3e8), row(12.0, 4e9, 3e8), row(12.0, 4e9, 3e8)],
        R: [row(10.0, 3e9, 4e8), row(10.0, 3e9, 4e8), row(11.0, 3e9, 4e8), row(11.0, 3e9, 4e8)],
    }, dates=DATES[:4])


@pytest.mark.parametrize(('options', 'close'), [
    ({}, [1000, 1050, 1102.5, 1157.625]),
    ({'renew': 2, 'phase': 1}, [1000, 1050, 1150, 1207.5]),  # 0.55 of P and 0.5 x 1.2 of Q; then anew, +5 %
    ({'renew': 2}, [1000, 1000, 1050, 1100]),  # nobody before day 2; then 0.5 x 1.1 of P and 0.55 of R
    ({'weight': 'float_cap'}, [1000, 1025, 1107, 1129.14]),  # a quarter of 10 %, four fifths of it, a fifth of it
    ({'weight': 'float_cap', 'renew': 2}, [1000, 1000, 1080, 1100]),  # 0.2 and 0.8, then 0.22 and 0.88
    ({'count': 1}, [1000, 1100, 1100, 1210]),
])
def test_microcap_by_hand(options, close):
    index = microcap_index(store_of(three()), **{'count': 2, **options})
    np.testing.assert_allclose(index[3], close)
    begins = 2 if options.get('renew') == 2 and not options.get('phase') else 1
    assert index[4].tolist() == [0.0] * begins + [1e6 * options.get('count', 2)] * (4 - begins)


def test_a_member_whose_float_is_not_known():
    table = three()
    table.loc[(table['code'] == R) & (table['date'] == DATES[1]), 'circ_market_cap'] = np.nan
    index = microcap_index(store_of(table), 2, weight='float_cap')
    np.testing.assert_allclose(index[3][:3], [1000, 1025, 1025 * (1 + 0.75 * 0.2)])  # P and Q once more


def test_members_that_do_not_trade():
    """P has a suspended row, Q none any more: 0 %, and R, held too, moves a third."""
    table = tiny_market({P: [10.0, 10.0, paused(), 12.0], Q: [10.0, 10.0], R: [10.0, 10.0, 13.0, 13.0]}, dates=DATES[:4])
    np.testing.assert_allclose(microcap_index(store_of(table), 9, renew=9, phase=1)[3], [1000, 1000, 1100, 1100 + 200 / 3])


def test_float_caps_that_the_market_lacks():
    with pytest.raises(DataError, match=r'the market: found no column circ_market_cap, which weight=float_cap needs; add it to '
                                        r'the table .* ingest.* xbx, which keeps it'):
        microcap_index(store_of(by_hand()), weight='float_cap')


# ------------------------------------------------------------------------------------------------- a slow model


@st.composite
def cases(draw):
    """A market with a B share and float caps, listing days of some stocks, and an index."""
    table = draw(markets(min_days=4, max_days=30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    code = table['code'].iloc[0]
    table = pd.concat([table, table[table['code'] == code].assign(code=B_SHARE)]).sort_values(['date', 'code'])
    table['circ_market_cap'] = np.where(rng.random(len(table)) < 0.1, np.nan, table['market_cap'] * rng.random(len(table)))
    codes = sorted(set(table['code']))
    days = pd.date_range(table['date'].min() - pd.Timedelta(days=9), periods=20)
    listed = {code: days[rng.integers(len(days))] for code in codes if rng.random() < draw(st.sampled_from((0.0, 0.4)))}
    options = {
        'count': draw(st.integers(1, 8)), 'new': draw(st.sampled_from((0, 0, 1, 3, 6, 20))), 'renew': draw(st.integers(1, 6)),
        'weight': draw(st.sampled_from(('equal', 'float_cap')))}
    options['phase'] = draw(st.integers(0, options['renew'] - 1))
    return table, listed, options


@given(cases(), st.sampled_from((1, 7, 40, 1 << 20)))
@settings(max_examples=100, deadline=None)
def test_a_slow_model_says_the_same(case, chunk):
    table, listed, options = case
    store = store_of(table, listed)
    before, module.CHUNK = module.CHUNK, chunk
    try:
        market = market_index(store, options['new'])
        wanted = slow_market_index(table, options['new'], listed)
        np.testing.assert_allclose(market, wanted, rtol=1e-9)
        new = options.pop('new')
        microcap = microcap_index(store, new_share_days=new, **options)
        np.testing.assert_allclose(microcap, slow_microcap_index(table, new=new, listed=listed, **options), rtol=1e-9)
    finally:
        module.CHUNK = before


# ---------------------------------------------------------------------------------------------------- no future


@given(cases(), st.integers(1, 29))
@settings(max_examples=40, deadline=None)
def test_a_day_does_not_choose_its_own_members(case, number):
    """Whatever happens on a day and after it: its members are those of the rows before."""
    table, listed, options = case
    days = np.unique(table['date'])
    number = min(number, len(days) - 1)
    later = (table['date'] >= days[number]).to_numpy()
    changed = table.copy()
    changed.loc[later, 'market_cap'] = 5e9 - table.loc[later, 'market_cap'] / 10
    moved = ['open', 'high', 'low', 'close', 'amount', 'circ_market_cap']
    changed.loc[later, [name for name in moved if name in changed]] *= 1.05
    changed.loc[later, ['is_st', 'paused']] = 1 - changed.loc[later, ['is_st', 'paused']]

    def chosen(rows):
        store = store_of(rows, listed)
        stocks, weights = Choice(store, options['count'], options['new'], options['weight']).of(number)
        index = microcap_index(store, options['count'], options['new'], 1, 0, options['weight'])
        return dict(zip(store.codes[stocks].tolist(), weights.tolist(), strict=True)), index[:, :number].tolist()

    members, index = chosen(table)
    assert members == slow_members(SlowMarket(table, listed), number, options['count'], options['new'], options['weight'])
    assert chosen(changed) == (members, index)
