"""The two forms of the strategy in docs/porting.md, over the built-in market: in what they differ, and that it is all."""

import math
from pathlib import Path

import pytest

from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.store import MarketStore
from tests.joinquant.scripts import fills, run
from tests.joinquant.test_script_original import rotate

PAGE = (Path(__file__).parents[2] / 'docs/porting.md').read_text(encoding='utf-8')
SCRIPT = PAGE.split('```python\n')[1].split('```')[0]
PARAMS = {'stocknum': 10, 'min_cap': 0.0, 'max_cap': math.inf, 'boards': ('main', 'chinext'), 'min_listed_days': 375,
          'skip_limits': True, 'weekday': 2, 'keep': True, 'empty_months': (1, 4), 'stop_loss': 0.09, 'limit_up_hold': True}
# Each edit makes the script do what MicroCapStrategy does, and why it does otherwise by itself.
EDITS = [
    # run_weekly(rebalance, 2) is the second trading day of a week, weekday=2 Tuesday or the next trading day; and at one time
    # run_weekly comes before run_daily, where the params' risk comes before the rebalance
    ("    run_weekly(rebalance, 2, '9:30')\n    run_daily(check_risk, '9:30')\n    run_daily(sell_opened, '14:00')\n",
     "    run_daily(sell_opened, '9:30')\n    run_daily(check_risk, '9:30')\n    run_daily(on_tuesday, '9:30')\n"),
    ('def is_empty(context):', """def on_tuesday(context):
    since = (context.current_dt.isoweekday() - 2) % 7
    if (context.current_dt.date() - context.previous_date).days > since:
        rebalance(context)


def is_empty(context):"""),
    # the stop looks at the last close, not at the open
    ('position.price <=', "get_price(s, end_date=context.previous_date, count=1, fields=['close'])['close'][0] <="),
    # what was at its limit and was not at the next close is sold at the open after it, not on the afternoon
    ("""    g.held_at_limit = []
    if held:
""", """    before = [s for s in g.held_at_limit if s in held]
    g.held_at_limit = []
    g.opened = []
    g.sold_today = []
    if held:
"""),
    ("""        g.held_at_limit = list(bars[bars['close'] == bars['high_limit']]['code'])
""", """        g.held_at_limit = list(bars[bars['close'] == bars['high_limit']]['code'])
        rows = get_price(held, end_date=context.previous_date, fields=['paused'], count=1, panel=False)
        suspended = list(rows[rows['paused'] == 1]['code'])
        g.held_at_limit += [s for s in before if s in suspended and s not in g.held_at_limit]
        g.opened = [s for s in before if s not in g.held_at_limit]
"""),
    ("""    data = get_current_data()
    for s in g.held_at_limit:
        if data[s].last_price < data[s].high_limit:
            order_target_value(s, 0)
""", """    for s in g.opened:
        order_target_value(s, 0)
        g.sold_today.append(s)
"""),
    # what was sold for its risk is not bought again on the same day
    ('            order_target_value(s, 0)\n\n\ndef sell_opened',
     '            order_target_value(s, 0)\n            g.sold_today.append(s)\n\n\ndef sell_opened'),
    ('    listed = [s for s in listed if not data[s].paused',
     '    listed = [s for s in listed if s not in g.sold_today and not data[s].paused'),
    # what is suspended is not tried
    ('        if s not in chosen and', '        if not get_current_data()[s].paused and s not in chosen and'),
]


def days_of(strategy):
    """Return the days of the rebalances that ordered something."""
    return sorted({str(order.date) for order in strategy.analyzers.blotter.orders if order.why == 'rebalance'})


pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')  # what the approximations say


@pytest.fixture(scope='module')
def data():
    return MarketStore.from_table(demo_market())


@pytest.fixture(scope='module')
def rotation(data):
    return rotate(data, **PARAMS)


def test_unchanged_they_trade_on_other_days(data, rotation, tmp_path):
    script = run(SCRIPT, data, tmp_path, cash=1e6)
    ours, theirs = fills(rotation), fills(script)
    assert len(ours) > 500
    assert len(theirs) > 500
    # the empty months are those of both
    assert not {day[5:7] for day, _, size, _ in [*ours, *theirs] if size > 0} & {'01', '04'}
    # The Spring Festival closes the exchanges from the 4th to the 8th of February 2019, and with them on the first Tuesday after
    # the empty month: weekday=2 comes on the next trading day, Monday, the script on the second one of that week.
    assert (ours[0][0], theirs[0][0]) == ('2019-02-11', '2019-02-12')
    assert days_of(rotation)[1:5] == days_of(script)[1:5] == ['2019-02-19', '2019-02-26', '2019-03-05', '2019-03-12']


def test_unchanged_what_has_opened_its_limit_goes_at_the_close_of_the_afternoon(data, rotation, tmp_path):
    script = run(SCRIPT, data, tmp_path, cash=1e6)
    assert {order.why for order in script.analyzers.blotter.orders} == {'rebalance', 'check_risk', 'sell_opened'}
    assert {order.why for order in rotation.analyzers.blotter.orders} == {'rebalance', 'stop loss', 'limit opened', 'empty month'}
    bars = demo_market().set_index(['date', 'code'])[['open', 'close']]
    for strategy, why, column in (
            (script, 'sell_opened', 'close'), (rotation, 'limit opened', 'open'), (script, 'check_risk', 'open')):
        blotter = strategy.analyzers.blotter
        sold = [fill for fill, detail in zip(blotter.fills, blotter.details, strict=True) if detail.why == why]
        assert len(sold) > 30
        for fill in sold:  # less half of 0.246 %, to the cent
            price = bars.loc[(str(fill.datetime), fill.code), column]
            assert fill.price == pytest.approx(price * (1 - 0.00123), abs=0.00501)


def test_with_the_differences_taken_away_they_are_the_same_to_the_last_digit(data, rotation, tmp_path):
    text = SCRIPT
    for old, new in EDITS:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    script = run(text, data, tmp_path, cash=1e6)
    ours, theirs = rotation.analyzers.blotter, script.analyzers.blotter
    assert len(ours.fills) > 500
    assert sorted(theirs.fills) == sorted(ours.fills)  # within a day sales stand in another order
    assert theirs.fills != ours.fills
    assert [row.date for row in theirs.equity] == [row.date for row in ours.equity]
    for found, expected in zip(theirs.equity, ours.equity, strict=True):
        assert found[1:] == pytest.approx(expected[1:], rel=1e-13)  # sums in another order
