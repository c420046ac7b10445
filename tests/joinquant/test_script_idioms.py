"""How public small-cap scripts choose their stocks: each idiom in their style, on a market by hand, with fills by hand."""

import pandas as pd
import pytest

from tests.joinquant.scripts import FREE, fills, market, run, store

# Ascending by market cap. Of every test the account is 100,000 yuan for two stocks: 5,000 shares each at 10 yuan.
A, B, C, D, E = '000001.XSHE', '600002.XSHG', '000003.XSHE', '600004.XSHG', '000005.XSHE'
CAPS = {A: 1.0e9, B: 1.5e9, C: 2.0e9, D: 2.5e9, E: 3.0e9}
DAYS = ['2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05']  # the first is the day before the run

# What the scripts below share: they differ in `passed`.
ROTATION = FREE + """
def initialize(context):
    free_of_costs()
    set_option('use_real_price', True)
    set_option('avoid_future_data', True)
    g.stock_num = 2
    run_daily(rotate, '9:30')


def smallest_first(context):
    q = query(valuation.code).order_by(valuation.market_cap.asc())
    return list(get_fundamentals(q, date=context.previous_date).code)


def rotate(context):
    wanted = passed(context, smallest_first(context))[:g.stock_num]
    for stock in context.portfolio.positions.keys():
        if stock not in wanted:
            order_target_value(stock, 0)
    missing = g.stock_num - len(context.portfolio.positions)
    if missing > 0:
        money = context.portfolio.cash / missing
        for stock in wanted:
            if context.portfolio.positions[stock].total_amount == 0:
                order_target_value(stock, money)


"""


def flat(**more):
    """Five stocks at 10 yuan for four days."""
    return market({code: [10.0] * 4 for code in CAPS}, market_cap=CAPS, dates=DAYS, **more)


def bought(day, *codes):
    return [(day, code, 5000, 10.0) for code in codes]


# ------------------------------------------------------------------------------------------- what a stock is

ST_BY_FLAG = """
def passed(context, stocks):
    now = get_current_data()
    return [s for s in stocks if not now[s].is_st]
"""


def test_what_is_st_today_is_left_out_and_what_was_yesterday_is_not(tmp_path):
    table = flat(is_st={A: {1: 1, 2: 1, 3: 1}, B: {0: 1}, C: {3: 1}})
    # A is ST all the time, B was until the day before the run, C becomes ST on the 5th and is sold for it.
    assert fills(run(ROTATION + ST_BY_FLAG, table, tmp_path)) == [
        *bought('2024-01-03', B, C), ('2024-01-05', C, -5000, 10.0), *bought('2024-01-05', D)]


ST_BY_NAME = """
def passed(context, stocks):
    now = get_current_data()
    return [s for s in stocks if not (now[s].is_st or 'ST' in now[s].name or '*' in now[s].name or '退' in now[s].name)]
"""


def test_st_and_delisting_by_the_name(tmp_path):
    names = pd.DataFrame({'code': list(CAPS), 'date': pd.Timestamp('2023-01-03'), 'name': ['*ST甲', '退市乙', '丙', '丁', '戊']})
    folder = store(flat(), tmp_path / 'market', names=names)
    assert fills(run(ROTATION + ST_BY_NAME, folder, tmp_path)) == bought('2024-01-03', C, D)


def test_without_names_the_flags_make_them(tmp_path):
    table = flat(is_st={A: 1}, delisting_period={B: 1, A: 0, C: 0, D: 0, E: 0})
    script = ROTATION + ST_BY_NAME.replace('now[s].is_st or ', '')
    with pytest.warns(UserWarning, match='has no names: names are the codes, with ST and 退 by the flags'):
        assert fills(run(script, table, tmp_path)) == bought('2024-01-03', C, D)


PAUSED = """
def passed(context, stocks):
    now = get_current_data()
    return [s for s in stocks if not now[s].paused]
"""


def test_paused_stocks_wait(tmp_path):
    table = flat(paused={A: {1: 1}, C: {2: 1}})
    # On the 4th A is back and C suspended: its sale is refused, so there is no place for A until the 5th.
    found = run(ROTATION + PAUSED, table, tmp_path)
    assert fills(found) == [*bought('2024-01-03', B, C), ('2024-01-05', C, -5000, 10.0), *bought('2024-01-05', A)]
    assert [line[:27] for line in found.log_lines if '今日停牌' in line] == ['2024-01-04 09:30:00 - ERROR']


LISTED_LONG_BY_INFO = """
def passed(context, stocks):
    yesterday = context.previous_date
    return [s for s in stocks if not yesterday - get_security_info(s).start_date < datetime.timedelta(days=375)]
"""

LISTED_LONG_BY_TABLE = """
def passed(context, stocks):
    everything = get_all_securities(types=['stock'], date=context.previous_date)
    everything['age'] = [(context.previous_date - day).days for day in everything['start_date']]
    old = set(everything[everything['age'] >= 375].index)
    return [s for s in stocks if s in old]
"""

LISTED_LONG_BY_BOUND = """
def passed(context, stocks):
    by_date = context.previous_date - datetime.timedelta(days=375)
    old = get_all_securities(date=by_date).index.tolist()
    return [s for s in stocks if s in old]
"""


@pytest.mark.parametrize('how', [LISTED_LONG_BY_INFO, LISTED_LONG_BY_TABLE, LISTED_LONG_BY_BOUND])
def test_new_shares_of_less_than_375_days_are_left_out(tmp_path, how):
    # 2024-01-02 less 375 days is 2022-12-23: B is on that day 375 days old, A a day later. C is 375 days old on the 3rd, and
    # the run of the 4th sees the 3rd: it comes with A, which has been old enough since the 3rd too.
    listings = pd.DataFrame({'code': list(CAPS), 'listed': pd.to_datetime(
        ['2022-12-24', '2022-12-23', '2022-12-25', '2010-01-04', '2010-01-04']), 'delisted': pd.NaT})
    names = pd.DataFrame({'code': list(CAPS), 'date': pd.Timestamp('2010-01-04'), 'name': list('甲乙丙丁戊')})
    folder = store(flat(), tmp_path / 'market', listings=listings, names=names)
    script = 'import datetime\n' + ROTATION + how
    assert fills(run(script, folder, tmp_path)) == [
        *bought('2024-01-03', B, D), ('2024-01-04', D, -5000, 10.0), *bought('2024-01-04', A)]


BY_CODE = """
def passed(context, stocks):
    # 科创板, 北交所
    return [s for s in stocks if not (s[0] == '4' or s[0] == '8' or s[0] == '9' or s[:2] == '68')]
"""

BY_CODE_WITHOUT_CHINEXT = """
def passed(context, stocks):
    for s in stocks[:]:
        if s.startswith(('68', '4', '8', '9', '30')):
            stocks.remove(s)
    return stocks
"""


@pytest.mark.parametrize(('how', 'expected'), [
    (BY_CODE, [('2024-01-03', '300001.XSHE', 5000, 10.0), ('2024-01-03', '000004.XSHE', 5000, 10.0)]),
    (BY_CODE_WITHOUT_CHINEXT, [('2024-01-03', '000004.XSHE', 5000, 10.0), ('2024-01-03', '600005.XSHG', 5000, 10.0)]),
])
def test_boards_by_the_first_digits(tmp_path, how, expected):
    caps = {'688001.XSHG': 1.0e9, '830001.BJSE': 1.1e9, '300001.XSHE': 1.2e9, '000004.XSHE': 1.3e9, '600005.XSHG': 1.4e9}
    table = market({code: [10.0] * 2 for code in caps}, market_cap=caps)
    assert fills(run(ROTATION + how, table, tmp_path)) == expected


# ------------------------------------------------------------------------------------------------ at a limit

LIMITS_BY_LAST_PRICE = """
def passed(context, stocks):
    now = get_current_data()
    held = context.portfolio.positions
    return [s for s in stocks if s in held or now[s].low_limit < now[s].last_price < now[s].high_limit]
"""

LIMITS_BY_OPEN = """
def passed(context, stocks):
    now = get_current_data()
    stocks = [s for s in stocks if s in context.portfolio.positions.keys() or now[s].day_open != now[s].high_limit]
    return [s for s in stocks if s in context.portfolio.positions.keys() or not now[s].day_open <= now[s].low_limit]
"""

LIMITS_BY_MINUTE = """
def passed(context, stocks):
    last = history(1, unit='1m', field='close', security_list=stocks)
    now = get_current_data()
    stocks = [s for s in stocks if s in context.portfolio.positions.keys() or last[s][-1] < now[s].high_limit]
    return [s for s in stocks if s in context.portfolio.positions.keys() or last[s][-1] > now[s].low_limit]
"""


@pytest.mark.parametrize('how', [LIMITS_BY_LAST_PRICE, LIMITS_BY_OPEN, LIMITS_BY_MINUTE])
@pytest.mark.filterwarnings('ignore:a bar of 1 minute')
def test_what_is_at_a_limit_is_not_bought_but_what_is_held_stays(tmp_path, how):
    # On the first two days A opens at its upper limit and B at its lower one, on the second C, held by then, at its upper one.
    # All close at 10 again.
    table = flat(open={A: {1: 11.0, 2: 11.0}, B: {1: 9.0, 2: 9.0}, C: {2: 11.0}})
    assert fills(run(ROTATION + how, table, tmp_path)) == [
        *bought('2024-01-03', C, D),
        # the 4th: C and D still are the first two, as C is held; else E would come
        ('2024-01-05', C, -5000, 10.0), ('2024-01-05', D, -5000, 10.0), *bought('2024-01-05', A, B)]


def test_a_limit_up_order_is_cancelled_where_the_script_does_not_look(tmp_path):
    table = flat(open={A: {1: 11.0}})
    found = run(ROTATION + 'def passed(context, stocks):\n    return stocks\n', table, tmp_path)
    # On the 4th half of the account is still there, and all of it is for A.
    assert fills(found) == [*bought('2024-01-03', B), *bought('2024-01-04', A)]
    assert sum('已经涨停，市价买单取消' in line for line in found.log_lines) == 1


# ------------------------------------------------------------------------------------------- two-stage queries

SMALL_THEN_GOOD = """
def passed(context, stocks):
    q = query(valuation.code, valuation.market_cap).filter(valuation.code.in_(stocks)).order_by(
        valuation.market_cap.asc()).limit(4)
    small = list(get_fundamentals(q, date=context.previous_date).code)
    q = query(valuation.code, indicator.roe).filter(valuation.code.in_(small), indicator.roe > 3).order_by(
        indicator.roe.desc())
    df = get_fundamentals(q)
    log.info(list(df['roe']))
    return list(df['code'])
"""


def test_small_caps_first_then_the_best_of_them_by_roe(tmp_path):
    # Of the four smallest B has too low a roe, and E the highest one, but is too large.
    table = flat(**{'indicator.roe': {A: 4.0, B: 3.0, C: 9.0, D: 6.5, E: 50.0}})
    found = run(ROTATION + SMALL_THEN_GOOD, table, tmp_path)
    assert fills(found) == bought('2024-01-03', C, D)
    assert '2024-01-03 09:30:00 - INFO  - [9.0, 6.5, 4.0]' in found.log_lines


def test_a_quarter_that_is_published_today_counts_from_tomorrow(tmp_path):
    table = flat(**{'indicator.roe': {A: {0: 4.0, 1: 20.0, 2: 20.0, 3: 20.0}, B: 3.0, C: 9.0, D: 6.5, E: 50.0}})
    assert fills(run(ROTATION + SMALL_THEN_GOOD, table, tmp_path)) == [
        *bought('2024-01-03', C, D), ('2024-01-04', D, -5000, 10.0), *bought('2024-01-04', A)]


# ----------------------------------------------------------------------------------------- dividends, factors

DIVIDENDS = """
def passed(context, stocks):
    until = context.previous_date
    since = until - datetime.timedelta(days=365)
    q = query(finance.STK_XR_XD.code, finance.STK_XR_XD.a_registration_date, finance.STK_XR_XD.bonus_amount_rmb).filter(
        finance.STK_XR_XD.a_registration_date >= since, finance.STK_XR_XD.a_registration_date <= until,
        finance.STK_XR_XD.code.in_(stocks))
    df = finance.run_query(q).fillna(0).set_index('code').groupby('code').sum(numeric_only=True)
    caps = get_fundamentals(query(valuation.code, valuation.market_cap).filter(valuation.code.in_(list(df.index))), date=until)
    df = pd.concat([df, caps.set_index('code')], axis=1)
    df['ratio'] = df['bonus_amount_rmb'] / 10000 / df['market_cap']  # 万 by 亿
    return list(df.sort_values('ratio', ascending=False).index)
"""


def test_the_highest_dividends_of_the_last_year(tmp_path):
    # Yuan a share: A 0.1 in 2024, B 0.3 and 0.2, C 0.4 on a share of 10 yuan all. D paid more than a year before the run.
    # The caps follow the price, so the ratio is that of the dividend to the price before it.
    dates = ['2022-05-09', '2022-05-10', '2023-06-01', '2023-06-02', '2023-12-01', '2023-12-04', '2024-01-02', '2024-01-03']
    table = market({code: [10.0] * 8 for code in CAPS}, market_cap=CAPS, dates=dates, cash_dividend={
        A: {3: 0.1}, B: {3: 0.3, 5: 0.2}, C: {5: 0.4}, D: {1: 2.0}})
    script = 'import datetime\nimport pandas as pd\n' + ROTATION + DIVIDENDS
    assert fills(run(script, table, tmp_path, feed={'fromdate': pd.Timestamp('2024-01-02')})) == bought('2024-01-03', B, C)


FACTORS = """
def passed(context, stocks):
    found = get_factor_values(securities=stocks, factors=['ROC6', 'sales_growth'], end_date=context.previous_date, count=1)
    df = pd.DataFrame(index=stocks)
    df['momentum'] = list(found['ROC6'].T.iloc[:, 0])
    df['growth'] = list(found['sales_growth'].T.iloc[:, 0])
    df = df.dropna()
    df['score'] = 0.5 * df['momentum'].rank(ascending=True) + 0.5 * df['growth'].rank(ascending=True)
    return list(df.sort_values('score', ascending=False).index)
"""


def test_ranked_by_two_factors(tmp_path):
    # The price six days before the day before was 8, 9, 10, 11, 12: ROC6 25, 11.1, 0, -9.1, -16.7 %, ranks 5, 4, 3, 2, 1.
    # sales_growth is 1, 5, 2, 6, 3: ranks 1, 4, 2, 5, 3. Sums 6, 8, 5, 7, 4: B, then D.
    before = {A: 8.0, B: 9.0, C: 10.0, D: 11.0, E: 12.0}
    growth = {A: 1.0, B: 5.0, C: 2.0, D: 6.0, E: 3.0}
    table = market({code: [price] + [round(price + (10 - price) * step / 3, 2) for step in (1, 2, 3)] + [10.0] * 4
                    for code, price in before.items()}, market_cap=CAPS, **{'factor.sales_growth': growth})
    script = 'import pandas as pd\n' + ROTATION + FACTORS
    found = run(script, table, tmp_path, feed={'fromdate': table['date'].unique()[6]})
    assert fills(found) == bought('2024-01-11', B, D)
