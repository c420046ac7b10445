"""What a JoinQuant script looks up: securities, indices, industries, trading days."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from bt_microcap.joinquant.api.errors import ScriptError
from bt_microcap.joinquant.api.session import ScriptWarning

from .looking import look
from .scripts import market, store

OLD, NEW, GONE, STAR, BEIJING, FUND = ('000001.XSHE', '002002.XSHE', '300003.XSHE', '688004.XSHG', '830005.BJSE', '510300.XSHG')
DATES = pd.to_datetime(['2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05', '2024-01-08'])
DAYS = [day.date() for day in DATES]
# NEW is listed on Thursday 01-04, which is the last day of GONE.
CLOSES = {OLD: [10.0] * 5, NEW: [None, None, 10.0, 10.0, 10.0], GONE: [10.0, 10.0, 10.0, None, None], STAR: [10.0] * 5,
          BEIJING: [10.0] * 5, FUND: [10.0] * 5}
LISTINGS = pd.DataFrame({'code': list(CLOSES), 'listed': pd.to_datetime([
    '1991-04-03', '2024-01-04', '2010-05-06', '2020-07-22', '2021-11-15', '2012-05-28']), 'delisted': pd.to_datetime([
        None, None, '2024-01-04', None, None, None])})
NAMES = pd.DataFrame({'code': [OLD, NEW, GONE, GONE, STAR], 'date': pd.to_datetime([
    '1991-04-03', '2024-01-04', '2010-05-06', '2024-01-04', '2020-07-22']),
    'name': ['老银行', '新股份', '甲科技', '甲科技退', '芯片']})
MEMBERS = pd.DataFrame({'index': '000300', 'date': pd.to_datetime(['2024-01-01', '2024-01-01', '2024-01-04', '2024-01-04']),
                        'code': [OLD, GONE, OLD, STAR]})
INDUSTRIES = pd.DataFrame({'code': [OLD, GONE, STAR, STAR], 'date': pd.to_datetime([
    '2000-01-01', '2000-01-01', '2000-01-01', '2024-01-04']), 'industry': ['银行', '电子', '计算机', '电子']})
FOREVER = dt.date(2200, 1, 1)


def told(tmp_path, **columns):
    """Return a store that knows listings, names, members of an index, and industries."""
    folder = tmp_path / 'market'
    return folder if folder.is_dir() else store(market(CLOSES, **columns), folder, listings=LISTINGS, names=NAMES,
                                                constituents=MEMBERS, industries=INDUSTRIES)


def seen(asked, tmp_path, day=4, at='9:30', **more):
    return look(asked, told(tmp_path), tmp_path, day, at, **more)


def bare(asked, tmp_path, day=4, at='9:30', **columns):
    """Look at the same market without any of these tables."""
    return look(asked, market(CLOSES, **columns), tmp_path, day, at)


# ------------------------------------------------------------------------------------------------- securities


def test_all_securities_are_a_frame_by_code(tmp_path):
    answer = seen("get_all_securities(['stock'])", tmp_path)

    assert answer.index.tolist() == [OLD, NEW, GONE, STAR]  # neither Beijing nor the fund
    assert answer.columns.tolist() == ['display_name', 'name', 'start_date', 'end_date', 'type']
    assert answer['display_name'].tolist() == ['老银行', '新股份', '甲科技退', '芯片']
    assert answer['start_date'].tolist() == [dt.date(1991, 4, 3), DAYS[2], dt.date(2010, 5, 6), dt.date(2020, 7, 22)]
    assert answer['end_date'].tolist() == [FOREVER, FOREVER, DAYS[2], FOREVER]
    assert answer['type'].tolist() == ['stock'] * 4


@pytest.mark.parametrize(('asked', 'expected'), [
    ('', [OLD, NEW, GONE, STAR]),
    ("'stock'", [OLD, NEW, GONE, STAR]),
    ('types=[]', [OLD, NEW, GONE, STAR]),
    ("types=['etf']", [FUND]),
    ("['fund']", [FUND]),
    ("['stock', 'etf']", [OLD, NEW, GONE, FUND, STAR]),
    ('date=context.current_dt', [OLD, NEW, STAR]),
    ('date=context.previous_date', [OLD, NEW, STAR]),
    ("'stock', date='2024-01-03'", [OLD, GONE, STAR]),
    ("['stock'], '2024-01-04'", [OLD, NEW, GONE, STAR]),  # the last day of GONE, the first one of NEW
    ("'stock', datetime.date(2015, 1, 1)", [OLD, GONE]),
])
def test_all_securities_of_a_kind_on_a_day(tmp_path, asked, expected):
    assert seen(f'list(get_all_securities({asked}).index)', tmp_path) == expected


def test_what_will_be_listed_or_delisted_is_not_told(tmp_path):
    answer = seen("get_all_securities(['stock'])", tmp_path, 1)
    assert answer.index.tolist() == [OLD, GONE, STAR]
    assert answer.loc[GONE, 'end_date'] == FOREVER
    assert answer.loc[GONE, 'display_name'] == '甲科技'
    assert seen(f"get_security_info('{GONE}').end_date", tmp_path, 1) == FOREVER


def test_the_frame_is_the_scripts_own_to_change(tmp_path):
    asked = """
        frame = get_all_securities(['stock'])
        frame['name'] = 'x'
        frame.drop(frame.index[0], inplace=True)
        return len(frame), list(get_all_securities(['stock'])['name'])
    """
    assert seen(asked, tmp_path) == (3, ['老银行', '新股份', '甲科技退', '芯片'])


@pytest.mark.parametrize('asked', [
    'context.previous_date - get_security_info("{code}").start_date < datetime.timedelta(375)',
    '(context.previous_date - get_security_info("{code}").start_date).days < 375',
    'get_security_info("{code}").start_date > context.previous_date - datetime.timedelta(days=375)',
    '(context.current_dt.date() - get_security_info("{code}").start_date).days < 375',
    'get_all_securities()["start_date"]["{code}"] > context.current_dt.date() - datetime.timedelta(375)',
    'get_all_securities().loc["{code}"].start_date > (context.current_dt - datetime.timedelta(375)).date()',
    '"{code}" in get_all_securities()[get_all_securities()["start_date"] > datetime.date(2022, 12, 26)].index',
    '"{code}" not in get_all_securities("stock", context.previous_date - datetime.timedelta(375)).index',
])
def test_the_ways_in_which_scripts_tell_new_shares(tmp_path, asked):
    assert [bool(seen(asked.format(code=code), tmp_path)) for code in (OLD, NEW, STAR)] == [False, True, False]


def test_security_info(tmp_path):
    asked = f"""
        found = get_security_info('{GONE}')
        return found.display_name, found.name, found.start_date, found.end_date, found.type, found.parent
    """
    assert seen(asked, tmp_path) == ('甲科技退', '甲科技退', dt.date(2010, 5, 6), DAYS[2], 'stock', None)
    assert seen(f"get_security_info('{FUND}').type", tmp_path) == 'etf'
    assert seen("get_security_info('000300.XSHG').type", tmp_path) == 'index'
    with pytest.raises(ScriptError, match=r"script\.py, line \d+.*(has no stock '600999.XSHG'|has no such stock)"):
        seen("get_security_info('600999.XSHG')", tmp_path)


def test_without_listings_the_rows_tell(tmp_path):
    with pytest.warns(ScriptWarning, match='no listing days: what is there .* 2024-01-02, counts as listed on 1990-12-19'):
        answer = bare('get_all_securities()', tmp_path)
    assert answer['start_date'].tolist() == [dt.date(1990, 12, 19), DAYS[2], dt.date(1990, 12, 19), dt.date(1990, 12, 19)]
    assert bare('list(get_all_securities(date="2024-01-03").index)', tmp_path) == [OLD, GONE, STAR]


def test_without_names_the_codes_are_the_names_with_st_by_the_flags(tmp_path):
    columns = {'is_st': {OLD: 1}, 'delisting_period': {GONE: 1, OLD: 0, NEW: 0, STAR: 0, BEIJING: 0, FUND: 0}}
    with pytest.warns(ScriptWarning, match='has no names: names are the codes'):
        answer = bare(f"[get_current_data()[code].name for code in ('{OLD}', '{GONE}', '{STAR}')]", tmp_path, 2, **columns)
    assert answer == ['ST000001', '300003退', '688004']


# ------------------------------------------------------------------------------------------------- members


@pytest.mark.parametrize(('date', 'expected'), [
    ('', [OLD, STAR]), (", '2024-01-03'", [OLD, GONE]), (', date="2024-01-04"', [OLD, STAR]),
    (', datetime.date(2024, 1, 2)', [OLD, GONE]), (', context.previous_date', [OLD, STAR])])
def test_members_of_an_index_by_day(tmp_path, date, expected):
    assert seen(f"get_index_stocks('000300.XSHG'{date})", tmp_path) == expected


def test_members_are_those_of_the_day_before(tmp_path):
    assert seen("get_index_stocks('000300.XSHG')", tmp_path, 2) == [OLD, GONE]  # 01-04, on which the list changes
    assert seen("get_index_stocks('000300.XSHG')", tmp_path, 3) == [OLD, STAR]


@pytest.mark.parametrize(('index', 'expected'), [
    ('399101.XSHE', [NEW]), ('399102.XSHE', []), ('399106.XSHE', [OLD, NEW]), ('399107.XSHE', [OLD, NEW]),
    ('000002.XSHG', [STAR]), ('000001.XSHG', [STAR]), ('000985.XSHG', [OLD, NEW, STAR])])
def test_an_index_that_is_a_board_is_told_by_the_codes(tmp_path, index, expected):
    with pytest.warns(ScriptWarning, match=f'does not tell the members of {index[:6]}: all listed stocks with the codes'):
        assert seen(f"get_index_stocks('{index}')", tmp_path) == expected


def test_a_board_on_an_earlier_day(tmp_path):
    assert seen("get_index_stocks('399102.XSHE', '2024-01-03')", tmp_path) == [GONE]
    assert seen("get_index_stocks('399101.XSHE', '2024-01-03')", tmp_path) == []
    assert bare("get_index_stocks('399101.XSHE')", tmp_path) == [NEW]


def test_an_index_that_nobody_tells_is_said(tmp_path):
    with pytest.raises(ScriptError, match='000905; it has 000300; give ingest --members 000905=FILE|has no members of 000905'):
        seen("get_index_stocks('000905.XSHG')", tmp_path)
    with pytest.raises(ScriptError, match='has no members of 000300; give ingest --members 000300=FILE'):
        bare("get_index_stocks('000300.XSHG')", tmp_path)


# ------------------------------------------------------------------------------------------------- industries


@pytest.mark.parametrize(('asked', 'expected'), [
    ("'801080'", [GONE, STAR]), ("'电子'", [GONE, STAR]), ("'801780'", [OLD]), ("'801750'", []),
    ("'801080', '2024-01-03'", [GONE]), ("'801750', date='2024-01-03'", [STAR])])
def test_stocks_of_an_industry(tmp_path, asked, expected):
    assert seen(f'get_industry_stocks({asked})', tmp_path) == expected


def test_industry_of_stocks(tmp_path):
    answer = seen(f"get_industry(['{OLD}', '{STAR}'])", tmp_path)
    assert answer[OLD]['sw_l1'] == {'industry_code': '801780', 'industry_name': '银行'}
    assert answer[STAR]['sw_l1']['industry_name'] == '电子'
    assert seen(f"get_industry('{STAR}', date='2024-01-03')", tmp_path)[STAR]['sw_l1']['industry_name'] == '计算机'
    assert seen(f"get_industry('{NEW}')", tmp_path) == {NEW: {}}  # nobody tells


def test_industries_without_a_table_are_said(tmp_path):
    with pytest.raises(ScriptError, match='has no industries: give ingest --industries FILE'):
        bare("get_industry_stocks('801080')", tmp_path)


# ------------------------------------------------------------------------------------------------- ST


def test_extras_are_days_by_codes(tmp_path):
    columns = {'is_st': {OLD: {1: 1, 2: 1}}, 'delisting_period': {GONE: [0, 1, 1], OLD: 0, NEW: 0, STAR: 0, BEIJING: 0, FUND: 0}}
    asked = f"get_extras('is_st', ['{GONE}', '{OLD}'], {{}})"

    answer = bare(asked.format("start_date='2024-01-01', end_date='2024-01-04'"), tmp_path, 4, **columns)
    assert answer.columns.tolist() == [GONE, OLD] and answer.index.tolist() == list(DATES[:3])
    assert answer.values.tolist() == [[False, False], [True, True], [True, True]]
    assert answer.dtypes.tolist() == [bool, bool]
    answer = bare(asked.format('end_date=context.current_dt, count=2'), tmp_path, 3, **columns)  # today's is told beforehand
    assert answer[OLD].tolist() == [True, False] and answer.index.tolist() == list(DATES[2:4])
    answer = bare(asked.format("end_date='2024-01-03', count=1, df=False"), tmp_path, 4, **columns)
    assert {code: flags.tolist() for code, flags in answer.items()} == {GONE: [True], OLD: [True]}
    answer = bare(f"get_extras('is_st', '{OLD}', count=1, end_date='2024-01-06')", tmp_path, 4, **columns)
    assert answer.values.tolist() == [[False]]


def test_extras_of_a_weekend_are_empty(tmp_path):
    answer = bare(f"get_extras('is_st', ['{OLD}'], start_date='2024-01-06', end_date='2024-01-07')", tmp_path)
    assert (len(answer), answer.columns.tolist()) == (0, [OLD])


def test_other_extras_are_refused(tmp_path):
    with pytest.raises(ScriptError, match=r"get_extras\('acc_net_value'\) is not supported"):
        bare(f"get_extras('acc_net_value', ['{FUND}'], count=1)", tmp_path)


# ------------------------------------------------------------------------------------------------- trading days


@pytest.mark.parametrize(('asked', 'expected'), [
    ('end_date=context.previous_date, count=2', DAYS[2:4]),
    ('end_date="2024-01-07", count=1', [DAYS[3]]),
    ('end_date=context.current_dt, count=2', DAYS[3:5]),
    ('start_date="2024-01-03", end_date="2024-01-05"', DAYS[1:4]),
    ('start_date="2024-01-06", end_date="2024-01-07"', []),
    ('"2023-12-01", "2024-01-03"', DAYS[:2]),
    ('start_date=datetime.date(2024, 1, 4), end_date=context.current_dt.date()', DAYS[2:5]),
])
def test_trade_days(tmp_path, asked, expected):
    assert list(seen(f'get_trade_days({asked})', tmp_path)) == expected


def test_trade_days_are_an_array_of_dates(tmp_path):
    for asked in ('get_trade_days(end_date=context.current_dt, count=3)', 'get_all_trade_days()'):
        answer = seen(asked, tmp_path)
        assert isinstance(answer, np.ndarray) and {type(day) for day in answer} == {dt.date}
    assert list(seen('get_all_trade_days()', tmp_path, 1)) == DAYS  # the calendar of days to come is public
