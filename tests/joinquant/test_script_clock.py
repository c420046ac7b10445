"""When the functions of a JoinQuant script run: on which days, at which time, in which order, and what their context says."""

import datetime as dt

import pandas as pd
import pytest

from bt_microcap.joinquant.api.errors import ScriptError
from bt_microcap.joinquant.api.session import ScriptWarning

from .scripts import fills, market, run

# Most scripts here order nothing; of times a few tests alone look at what is said.
pytestmark = [pytest.mark.filterwarnings(each) for each in (
    'error::RuntimeWarning', 'ignore::bt_microcap.rotation.tally.NothingTradedWarning',
    'ignore::bt_microcap.joinquant.api.session.ScriptWarning')]
CODE = '600001.XSHG'
# A run from 2024-02-01, a Thursday. The exchanges were closed from Friday 02-09 to Friday 02-16; the data end on a Wednesday.
DAYS = ['2024-01-31', '2024-02-01', '2024-02-02',
        '2024-02-05', '2024-02-06', '2024-02-07', '2024-02-08',
        '2024-02-19', '2024-02-20', '2024-02-21', '2024-02-22', '2024-02-23',
        '2024-02-26', '2024-02-27', '2024-02-28', '2024-02-29', '2024-03-01',
        '2024-03-04', '2024-03-05', '2024-03-06']
NOTES = """
def initialize(context):
    g.days = []
    {schedule}


def f(context):
    g.days.append(context.current_dt.strftime('%m-%d'))
"""


def flat(days=4, **columns):
    """One stock at 10 yuan, from Tuesday 2024-01-02; a run begins on Wednesday 2024-01-03."""
    return market({CODE: [10.0] * days}, **columns)


def days_of(schedule, tmp_path, **feed):
    table = market({CODE: [10.0] * len(DAYS)}, dates=DAYS)
    return run(NOTES.format(schedule=schedule), table, tmp_path, feed=feed).g.days


# ------------------------------------------------------------------------------------------------------- on which days


def test_daily_is_every_day_from_the_second_of_the_data(tmp_path):
    assert days_of("run_daily(f, 'open')", tmp_path) == [day[5:] for day in DAYS[1:]]


@pytest.mark.parametrize(('number', 'expected'), [
    (1, ['02-01', '02-05', '02-19', '02-26', '03-04']),  # the first week counts from the run's first day, a Thursday
    (2, ['02-02', '02-06', '02-20', '02-27', '03-05']),
    (3, ['02-02', '02-07', '02-21', '02-28', '03-06']),  # the week of two days: its last one
    # Weeks of two and of four days: the last one. The last week goes on after the data end: its fifth day is none of the run.
    (5, ['02-02', '02-08', '02-23', '03-01']),
    (-1, ['02-02', '02-08', '02-23', '03-01']),
    (-2, ['02-01', '02-07', '02-22', '02-29']),
    (-3, ['02-01', '02-06', '02-21', '02-28', '03-06']),
    (-5, ['02-01', '02-05', '02-19', '02-26', '03-04']),
    (-9, ['02-01', '02-05', '02-19', '02-26', '03-04']),
])
def test_weekly_is_the_nth_trading_day_of_the_week(tmp_path, number, expected):
    assert days_of(f"run_weekly(f, {number}, 'open')", tmp_path) == expected


@pytest.mark.parametrize(('number', 'expected'), [
    (1, ['02-01', '03-01']),
    (3, ['02-05', '03-05']),
    (4, ['02-06', '03-06']),
    (14, ['02-28']),  # of February's fifteen days; those of March are after the data
    (15, ['02-29']),
    (31, ['02-29']),
    (-1, ['02-29']),
    (-4, ['02-26']),
    (-15, ['02-01']),
    (-31, ['02-01', '03-01']),
])
def test_monthly_is_the_nth_trading_day_of_the_month(tmp_path, number, expected):
    assert days_of(f"run_monthly(f, {number}, 'open')", tmp_path) == expected


@pytest.mark.parametrize(('schedule', 'expected'), [
    ("run_weekly(f, 1, 'open')", ['02-07', '02-19', '02-26']),
    ("run_weekly(f, 3, 'open')", ['02-08', '02-21', '02-28']),
    ("run_monthly(f, 1, 'open')", ['02-07']),
    ("run_monthly(f, 2, 'open')", ['02-08']),
    # The store knows the days after the run's end: the week ends on 03-01, the month on 02-29.
    ("run_weekly(f, -1, 'open')", ['02-08', '02-23']),
    ("run_weekly(f, -3, 'open')", ['02-07', '02-21', '02-28']),
    ("run_monthly(f, -1, 'open')", []),
    ("run_monthly(f, -2, 'open')", ['02-28']),
])
def test_a_run_over_a_part_of_the_store_counts_from_its_own_first_day(tmp_path, schedule, expected):
    part = {'fromdate': dt.datetime(2024, 2, 6), 'todate': dt.datetime(2024, 2, 28)}
    assert days_of(schedule, tmp_path, **part) == expected


def test_a_week_over_the_turn_of_the_year_is_one_week(tmp_path):
    dates = pd.to_datetime(['2024-12-27', '2024-12-30', '2024-12-31', '2025-01-02', '2025-01-03', '2025-01-06'])
    table = market({CODE: [10.0] * 6}, dates=dates)

    assert run(NOTES.format(schedule="run_weekly(f, 3, 'open')"), table, tmp_path).g.days == ['01-02']
    assert run(NOTES.format(schedule="run_weekly(f, 1, 'open')"), table, tmp_path).g.days == ['12-30', '01-06']


@pytest.mark.parametrize('day', ['0', 'True', "'1'", '1.0', 'None'])
def test_a_day_that_is_no_number_of_a_trading_day_is_refused(tmp_path, day):
    for name in ('run_weekly', 'run_monthly'):
        with pytest.raises(ScriptError, match=r'line 4, in initialize\(\): found .* expected the number of a trading day'):
            days_of(f"{name}(f, {day}, 'open')", tmp_path)


# ------------------------------------------------------------------------------------------------------- at which time

# On the day of the run the stock opens above the close before, and closes above its open.
STEPS = {'open': {CODE: [10.0, 10.5]}}
BEFORE, OPEN, CLOSE = 10.0, 10.5, 10.8


@pytest.mark.parametrize(('said', 'clock', 'price'), [
    ("'before_open'", '09:00:00', BEFORE),
    ("'9:00'", '09:00:00', BEFORE),
    ("'9:05'", '09:05:00', BEFORE),
    ("'09:29'", '09:29:00', BEFORE),
    ("'open-10m'", '09:20:00', BEFORE),
    ("'0:30'", '00:30:00', BEFORE),
    ("'open'", '09:30:00', OPEN),
    ("'every_bar'", '09:30:00', OPEN),
    ("'9:30'", '09:30:00', OPEN),
    ("'09:30:00'", '09:30:00', OPEN),
    ("'9:31'", '09:31:00', CLOSE),
    ("'10:00'", '10:00:00', CLOSE),
    ("'open+5m'", '09:35:00', CLOSE),
    ("'open+60m'", '10:30:00', CLOSE),
    ("'14:50'", '14:50:00', CLOSE),
    ("'close-10m'", '14:50:00', CLOSE),
    ("'close'", '15:00:00', CLOSE),
    ("'15:00'", '15:00:00', CLOSE),
    ("datetime.time(14, 30)", '14:30:00', CLOSE),
    ("'15:01'", '15:01:00', CLOSE),
    ("'after_close'", '15:30:00', CLOSE),
    ("'15:30'", '15:30:00', CLOSE),
    ("'close+30m'", '15:30:00', CLOSE),
    ("'23:59'", '23:59:00', CLOSE),
])
def test_what_a_time_means_and_which_price_is_the_last_one_then(tmp_path, said, clock, price):
    strategy = run(f"""
import datetime

def initialize(context):
    run_daily(f, {said})
    g.seen = []

def f(context):
    g.seen.append((str(context.current_dt), get_current_data()['{CODE}'].last_price))
""", market({CODE: [BEFORE, CLOSE]}, **STEPS), tmp_path)

    assert strategy.g.seen == [(f'2024-01-03 {clock}', price)]


@pytest.mark.parametrize('said', ['9.30', '25:00', '9:60', 'noon', 'open + 5h', ''])
def test_a_time_that_is_none_is_refused_with_the_line(tmp_path, said):
    with pytest.raises(ScriptError, match=r"script.py, line 4, in initialize\(\): the time '.*' is not known"):
        days_of(f"run_daily(f, '{said}')", tmp_path)


def test_without_a_time_it_is_the_open(tmp_path):
    text = f"""
def initialize(context):
    g.seen = []
    run_daily(f)
    run_weekly(f, 1)
    run_monthly(f, 1)

def f(context):
    g.seen.append((str(context.current_dt), get_current_data()['{CODE}'].last_price))
"""
    assert run(text, market({CODE: [BEFORE, CLOSE]}, **STEPS), tmp_path).g.seen == [('2024-01-03 09:30:00', OPEN)] * 3


@pytest.mark.parametrize(('said', 'filled'), [
    ('9:00', [('2024-01-03', CODE, 100, OPEN)]),  # ordered before the open, filled at it
    ('9:30', [('2024-01-03', CODE, 100, OPEN)]),
    ('14:50', [('2024-01-03', CODE, 100, CLOSE)]),
    ('15:00', [('2024-01-03', CODE, 100, CLOSE)]),
    ('15:10', []),  # refused
])
def test_an_order_fills_at_the_price_of_its_part_of_the_day(tmp_path, said, filled):
    strategy = run(f"""
def initialize(context):
    set_order_cost(OrderCost(), type='stock')
    set_slippage(FixedSlippage(0))
    run_daily(f, '{said}')

def f(context):
    order('{CODE}', 100)
""", market({CODE: [BEFORE, CLOSE]}, **STEPS), tmp_path)

    assert [(day[:10], *rest) for day, *rest in fills(strategy)] == filled


# ------------------------------------------------------------------------------------------------------ in which order


def test_functions_of_one_time_run_monthly_weekly_daily_and_then_those_with_a_name(tmp_path):
    text = """
def initialize(context):
    g.ran = []
    for time in ('after_close', 'open', 'before_open'):  # all kinds at one time, given the other way round
        run_daily(daily_1, time)
        run_weekly(weekly, 1, time)
        run_monthly(monthly, 1, time)
        run_daily(daily_2, time)

def daily_1(context):
    g.ran.append('daily 1')
def daily_2(context):
    g.ran.append('daily 2')
def weekly(context):
    g.ran.append('weekly')
def monthly(context):
    g.ran.append('monthly')
def after_trading_end(context):
    g.ran.append('after')
def handle_data(context, data):
    g.ran.append('handle')
def before_trading_start(context):
    g.ran.append('before')
"""
    one_time = ['monthly', 'weekly', 'daily 1', 'daily 2']
    assert run(text, flat(2), tmp_path).g.ran == [*one_time, 'before', *one_time, 'handle', *one_time, 'after']


def test_functions_run_in_the_order_of_their_times_not_of_the_text(tmp_path):
    text = """
def initialize(context):
    g.ran = []
    for time in ('15:10', '14:50', 'open', '9:05', '10:00', '15:00', '9:00', 'open+1m'):
        run_daily(f, time)

def f(context):
    g.ran.append(context.current_dt.strftime('%d %H:%M'))
"""
    clock = ['09:00', '09:05', '09:30', '09:31', '10:00', '14:50', '15:00', '15:10']
    assert run(text, flat(3), tmp_path).g.ran == [f'{day} {time}' for day in ('03', '04') for time in clock]


def test_the_functions_of_the_platform_run_once_each_in_their_order(tmp_path):
    text = """
ran = []

def initialize(context):
    ran.append('initialize')
def process_initialize(context):
    ran.append('process_initialize')
def after_code_changed(context):
    ran.append('after_code_changed')
def before_trading_start(context):
    ran.append('before ' + str(context.current_dt))
def handle_data(context, data):
    ran.append('handle ' + str(context.current_dt))
def after_trading_end(context):
    ran.append('after ' + str(context.current_dt))
def on_strategy_end(context):
    ran.append('end')
    g.ran = ran
"""
    assert run(text, flat(3), tmp_path).g.ran == [
        'initialize', 'after_code_changed', 'process_initialize',
        'before 2024-01-03 09:00:00', 'handle 2024-01-03 09:30:00', 'after 2024-01-03 15:30:00',
        'before 2024-01-04 09:00:00', 'handle 2024-01-04 09:30:00', 'after 2024-01-04 15:30:00', 'end']


def test_a_script_may_schedule_in_after_code_changed_alone(tmp_path):
    text = """
def after_code_changed(context):
    unschedule_all()
    g.days = []
    run_daily(f, 'open')

def f(context):
    g.days.append(context.current_dt.day)
"""
    assert run(text, flat(), tmp_path).g.days == [3, 4, 5]


# --------------------------------------------------------------------------------------------------- a changed schedule

UNSCHEDULES = """
def initialize(context):
    g.ran = []
    run_daily(first, '9:30')
    run_daily(late, '15:30')

def first(context):
    g.ran.append('first %d' % context.current_dt.day)
    if context.current_dt.day == 4:
        unschedule_all()
        run_daily(other, '9:00')

def late(context):
    g.ran.append('late %d' % context.current_dt.day)
def other(context):
    g.ran.append('other %d' % context.current_dt.day)
def handle_data(context, data):
    g.ran.append('handle %d' % context.current_dt.day)
"""


def test_unschedule_all_within_a_run_leaves_what_is_scheduled_after_it_and_the_functions_with_a_name(tmp_path):
    ran = run(UNSCHEDULES, flat(5), tmp_path).g.ran

    assert ran[:5] == ['first 3', 'handle 3', 'late 3', 'first 4', 'handle 4']
    assert [each for each in ran if each.endswith((' 5', ' 8'))] == ['other 5', 'handle 5', 'other 8', 'handle 8']


def test_what_was_unscheduled_does_not_run_later_on_the_same_day(tmp_path):
    assert 'late 4' not in run(UNSCHEDULES, flat(5), tmp_path).g.ran


def test_a_function_given_twice_runs_twice(tmp_path):
    assert days_of("run_daily(f, 'open'); run_daily(f, 'open')", tmp_path)[:4] == ['02-01', '02-01', '02-02', '02-02']


# ---------------------------------------------------------------------------------------------------------- the context


def test_the_context_tells_the_time_the_day_before_and_the_span_of_the_run(tmp_path):
    text = """
def note(context):
    g.seen.append((str(context.current_dt), str(context.previous_date)))

def initialize(context):
    g.seen = []
    note(context)
    g.span = (context.run_params.start_date, context.run_params.end_date, context.run_params.type,
              context.run_params.frequency)
    run_daily(note, '9:05')
    run_daily(note, '15:30')
"""
    dates = ['2024-01-04', '2024-01-05', '2024-01-08', '2024-01-09', '2024-01-10']
    part = {'fromdate': dt.datetime(2024, 1, 5), 'todate': dt.datetime(2024, 1, 9)}  # from a Friday; the store has more
    g = run(text, market({CODE: [10.0] * 5}, dates=dates), tmp_path, feed=part).g

    assert g.seen == [('2024-01-08 00:00:00', '2024-01-05'),
                      ('2024-01-08 09:05:00', '2024-01-05'), ('2024-01-08 15:30:00', '2024-01-05'),
                      ('2024-01-09 09:05:00', '2024-01-08'), ('2024-01-09 15:30:00', '2024-01-08')]
    assert g.span == (dt.date(2024, 1, 8), dt.date(2024, 1, 9), 'simple_backtest', 'day')


# ------------------------------------------------------------------------------------------------- what is said of times


def test_of_each_function_that_acts_at_the_close_it_is_said_once(tmp_path, recwarn):
    run("""
def initialize(context):
    run_daily(early, '9:05')
    run_daily(at_open, 'open')
    run_daily(noon, '11:00')
    run_daily(noon, '13:00')
    run_weekly(late, -1, '14:50')
    run_daily(after, 'after_close')

def early(context):
    pass
def at_open(context):
    pass
def noon(context):
    pass
def late(context):
    pass
def after(context):
    pass
""", flat(10), tmp_path)

    assert [str(each.message) for each in recwarn if each.category is ScriptWarning] == [
        'script.py: noon() at 11:00 acts at the close, which stands for the session in daily bars',
        'script.py: late() at 14:50 acts at the close, which stands for the session in daily bars']


def test_a_new_run_says_it_again(tmp_path):
    for _ in range(2):
        with pytest.warns(ScriptWarning, match=r'f\(\) at 14:50 acts at the close'):
            run(NOTES.format(schedule="run_daily(f, '14:50')"), flat(), tmp_path)


def test_orders_after_the_close_are_refused_and_it_is_said_once(tmp_path, recwarn):
    strategy = run(f"""
def initialize(context):
    g.given = []
def after_trading_end(context):
    g.given.append(order('{CODE}', 100))
""", flat(), tmp_path)

    assert strategy.g.given == [None, None, None]
    assert fills(strategy) == []
    assert [str(each.message) for each in recwarn if each.category is ScriptWarning] == ['orders after the close are refused']
