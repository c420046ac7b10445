"""Queries of a JoinQuant script: which stocks they find, in which order, and in which units."""

import numpy as np
import pytest

from bt_microcap.joinquant.api.errors import ScriptError

from .looking import look
from .scripts import market

NAN = float('nan')
A, B, C, D, E = '000001.XSHE', '002002.XSHE', '300003.XSHE', '600004.XSHG', '688005.XSHG'
BEIJING, FUND = '830006.BJSE', '510300.XSHG'
ALL = [A, B, C, D, E]
# Of each stock: total and float cap in yuan, price over earnings and book, return on equity; NaN is not known.
VALUES = {A: (20e8, 15e8, 10.0, 1.0, 12.0), B: (30e8, 10e8, 20.0, 2.0, NAN), C: (25e8, 25e8, NAN, 3.0, 8.0),
          D: (25e8, 20e8, -5.0, NAN, 8.0), E: (40e8, 8e8, 20.0, 0.5, 15.0),
          BEIJING: (21e8, 21e8, 9.0, 1.0, 9.0), FUND: (22e8, 22e8, 9.0, 1.0, 9.0)}
NAMES = ('market_cap', 'circ_market_cap', 'pe_ratio', 'pb_ratio', 'indicator.roe')


def table(**columns):
    """Two days of five stocks, one of Beijing and a fund, each at 10 yuan."""
    told = {name: {code: values[place] for code, values in VALUES.items()} for place, name in enumerate(NAMES)}
    return market({code: [10.0, 10.0] for code in VALUES}, **{**told, **columns})


def rows(asked, tmp_path, **more):
    """Return what a query finds."""
    return look(f'get_fundamentals({asked})', table(), tmp_path, **more)


def found(conditions, tmp_path, **more):
    """Return the codes that a query with conditions finds."""
    return rows(f'query(valuation.code).filter({conditions})', tmp_path, **more)['code'].tolist()


# ------------------------------------------------------------------------------------------------- which stocks there are


def test_all_shares_of_shanghai_and_shenzhen_are_found_and_neither_beijing_nor_funds(tmp_path):
    answer = rows('query(valuation.code)', tmp_path)

    assert answer['code'].tolist() == ALL
    assert answer.index.tolist() == [0, 1, 2, 3, 4]
    assert found(f'valuation.code.in_(["{BEIJING}", "{FUND}", "{E}"])', tmp_path) == [E]


@pytest.mark.parametrize(('conditions', 'expected'), [
    ('valuation.market_cap > 25', [B, E]),
    ('valuation.market_cap >= 25', [B, C, D, E]),
    ('valuation.market_cap < 25', [A]),
    ('valuation.market_cap <= 25', [A, C, D]),
    ('valuation.market_cap == 25', [C, D]),
    ('valuation.market_cap != 25', [A, B, E]),
    ('25 < valuation.market_cap', [B, E]),
    ('valuation.market_cap.between(20, 30)', [A, B, C, D]),  # both ends in
    ('valuation.circulating_market_cap < 10', [E]),
    ('valuation.market_cap > valuation.circulating_market_cap', [A, B, D, E]),
    ('valuation.market_cap > 20, valuation.market_cap < 40', [B, C, D]),
    ('valuation.market_cap.in_([20, 40])', [A, E]),
    ('valuation.market_cap.notin_([20, 40])', [B, C, D]),
    (f'valuation.code.in_(["{E}", "{A}", "999999.XSHG"])', [A, E]),
    (f'valuation.code.in_({{"{E}", "{A}"}})', [A, E]),
    (f'valuation.code.in_(pd.Index(["{E}"]))', [E]),
    (f'valuation.code.notin_(["{E}", "{A}"])', [B, C, D]),
    (f'~valuation.code.in_(["{E}", "{A}"])', [B, C, D]),
    ('valuation.code.in_([])', []),
    ('valuation.code.notin_([])', ALL),
    (f'valuation.code == "{D}"', [D]),
    (f'valuation.code != "{D}"', [A, B, C, E]),
    ('valuation.code.like("30%")', [C]),
    ('valuation.code.like("%XSHG")', [D, E]),
    ('valuation.code.like("__200%")', [B]),
    ('~valuation.code.like("688%")', [A, B, C, D]),
    ('valuation.code.startswith("6")', [D, E]),
    ('or_(valuation.market_cap < 25, valuation.market_cap > 30)', [A, E]),
    ('and_(valuation.market_cap > 20, valuation.market_cap < 30)', [C, D]),
    ('or_(valuation.market_cap == 20, valuation.market_cap == 30, valuation.market_cap == 40)', [A, B, E]),
    ('(valuation.market_cap < 25) | (valuation.market_cap > 30)', [A, E]),
    ('(valuation.market_cap > 20) & (valuation.market_cap < 30)', [C, D]),
    ('~(valuation.market_cap > 25)', [A, C, D]),
    ('not_(valuation.market_cap > 25)', [A, C, D]),
    ('True', ALL),
    ('False', []),
])
def test_conditions(tmp_path, conditions, expected):
    assert found(conditions, tmp_path) == expected


# C has no P/E and D no P/B. What is compared with them is neither true nor false, nor is its opposite: SQL's three values.
@pytest.mark.parametrize(('conditions', 'expected'), [
    ('valuation.pe_ratio > 15', [B, E]),
    ('~(valuation.pe_ratio > 15)', [A, D]),
    ('valuation.pe_ratio != 20', [A, D]),
    ('valuation.pe_ratio.notin_([20])', [A, D]),
    ('valuation.pe_ratio.between(0, 15)', [A]),
    ('~valuation.pe_ratio.between(0, 15)', [B, D, E]),
    ('valuation.pe_ratio + 1 > 0', [A, B, E]),
    # or: true with a true side, whatever the other
    ('(valuation.pe_ratio > 15) | (valuation.pb_ratio > 2.5)', [B, C, E]),
    ('(valuation.pb_ratio > 2.5) | (valuation.pe_ratio > 15)', [B, C, E]),
    ('~((valuation.pe_ratio > 15) | (valuation.pb_ratio > 2.5))', [A]),
    ('~((valuation.pe_ratio > 15) | (valuation.pb_ratio > 5))', [A]),  # C: unknown or false is unknown
    # and: false with a false side, whatever the other, so that its opposite is true
    ('(valuation.pe_ratio > 15) & (valuation.pb_ratio > 1)', [B]),
    ('~((valuation.pe_ratio > 15) & (valuation.pb_ratio > 1))', [A, D, E]),  # C: unknown and true is unknown
    ('~((valuation.pe_ratio > 15) & (valuation.pb_ratio > 5))', ALL),  # C: unknown and false is false
    ('valuation.pe_ratio == None', [C]),
    ('valuation.pe_ratio != None', [A, B, D, E]),
    ('valuation.pe_ratio.is_(None)', [C]),
    ('valuation.pe_ratio.isnot(None)', [A, B, D, E]),
    ('valuation.pe_ratio > valuation.pb_ratio', [A, B, E]),
])
def test_what_is_not_known_is_neither_true_nor_false(tmp_path, conditions, expected):
    assert found(conditions, tmp_path) == expected


def test_conditions_of_several_filters_all_hold(tmp_path):
    asked = 'query(valuation.code).filter(valuation.market_cap > 20).filter(valuation.market_cap < 40)'
    assert rows(asked, tmp_path)['code'].tolist() == [B, C, D]


def test_a_query_is_not_changed_by_what_is_made_of_it(tmp_path):
    asked = """
        everything = query(valuation.code).order_by(valuation.market_cap.desc())
        few = everything.filter(valuation.market_cap < 30).limit(1)
        return [get_fundamentals(each)['code'].tolist() for each in (few, everything)]
    """
    assert look(asked, table(), tmp_path) == [[C], [E, B, C, D, A]]


def test_or_of_sqlalchemy_is_ours(tmp_path):
    head = 'from sqlalchemy.sql.expression import or_\nfrom sqlalchemy import and_'
    conditions = 'or_(valuation.market_cap < 25, and_(valuation.market_cap > 30, valuation.pb_ratio < 1))'
    assert found(conditions, tmp_path, head=head) == [A, E]


def test_and_between_conditions_is_refused_for_it_would_drop_one(tmp_path):
    with pytest.raises(ScriptError, match=r'script\.py, line \d+, in look\(\): a condition of a query has no truth of its own'):
        found('valuation.market_cap > 25 and valuation.pb_ratio > 1', tmp_path)


# ------------------------------------------------------------------------------------------------- order, limit, offset


@pytest.mark.parametrize(('steps', 'expected'), [
    ('order_by(valuation.market_cap.asc())', [A, C, D, B, E]),  # C and D are equal: by code
    ('order_by(valuation.market_cap)', [A, C, D, B, E]),
    ('order_by(valuation.market_cap.desc())', [E, B, C, D, A]),
    ('order_by(desc(valuation.market_cap))', [E, B, C, D, A]),
    ('order_by(asc(valuation.market_cap))', [A, C, D, B, E]),
    ('order_by(valuation.market_cap.asc(), valuation.circulating_market_cap.asc())', [A, D, C, B, E]),
    ('order_by(valuation.market_cap.asc()).order_by(valuation.circulating_market_cap.asc())', [A, D, C, B, E]),
    ('order_by(valuation.pb_ratio.asc())', [D, E, A, B, C]),  # what is not known is the smallest
    ('order_by(valuation.pb_ratio.desc())', [C, B, A, E, D]),
    ('order_by(valuation.code.desc())', [E, D, C, B, A]),
    ('order_by((valuation.market_cap - valuation.circulating_market_cap).desc())', [E, B, A, D, C]),  # 32, 20, 5, 5, 0
    ('order_by(valuation.market_cap.asc()).limit(2)', [A, C]),
    ('limit(2).order_by(valuation.market_cap.asc())', [A, C]),
    ('order_by(valuation.market_cap.asc()).limit(99)', [A, C, D, B, E]),
    ('order_by(valuation.market_cap.asc()).limit(0)', []),
    ('order_by(valuation.market_cap.asc()).limit(None)', [A, C, D, B, E]),
    ('order_by(valuation.market_cap.asc()).offset(3)', [B, E]),
    ('order_by(valuation.market_cap.asc()).offset(1).limit(2)', [C, D]),
    ('order_by(valuation.market_cap.asc()).limit(2).offset(4)', [E]),
    ('filter(valuation.market_cap > 20).order_by(valuation.market_cap.asc()).limit(3)', [C, D, B]),
])
def test_order_and_limit(tmp_path, steps, expected):
    assert rows(f'query(valuation.code).{steps}', tmp_path)['code'].tolist() == expected


# ------------------------------------------------------------------------------------------------- columns


def test_caps_are_in_yi_and_shares_in_wan_and_turnover_in_percent(tmp_path):
    answer = rows(f"""query(valuation.code, valuation.market_cap, valuation.circulating_market_cap, valuation.capitalization,
        valuation.circulating_cap, valuation.turnover_ratio).filter(valuation.code == '{A}')""", tmp_path)

    assert answer.columns.tolist() == [
        'code', 'market_cap', 'circulating_market_cap', 'capitalization', 'circulating_cap', 'turnover_ratio']
    # 2e9 yuan at 10 yuan are 2e8 shares; 1e7 shares were traded of a float of 1.5e8.
    assert answer.iloc[0].tolist()[:5] == [A, 20.0, 15.0, 20_000.0, 15_000.0]
    assert answer['turnover_ratio'][0] == pytest.approx(100 / 15)


def test_a_column_of_the_store_goes_before_what_is_worked_out(tmp_path):
    told = table(**{'valuation.turnover_ratio': {A: 3.5}, 'valuation.capitalization': {A: 19_000.0}})
    answer = look('get_fundamentals(query(valuation.turnover_ratio, valuation.capitalization))', told, tmp_path)
    assert answer.iloc[0].tolist() == [3.5, 19_000.0]


@pytest.mark.parametrize(('column', 'field'), [('pe_ttm', 'pe_ratio'), ('pb', 'pb_ratio'), ('ps_ttm', 'ps_ratio'),
                                               ('dv_ratio', 'dividend_ratio'), ('turnover_rate', 'turnover_ratio')])
def test_columns_under_the_names_of_a_source_are_the_platforms_fields(tmp_path, column, field):
    told = market({A: [10.0, 10.0]}, **{column: 7.5})
    assert look(f'get_fundamentals(query(valuation.{field}))', told, tmp_path)[field].tolist() == [7.5]


def test_arithmetic_and_labels(tmp_path):
    answer = rows(f"""query(valuation.code,
        (valuation.market_cap / valuation.pe_ratio).label('earned'), (1 / valuation.pb_ratio).label('bp'),
        (2 * valuation.market_cap - valuation.circulating_market_cap + 1).label('mixed'), (-valuation.pe_ratio).label('minus'),
        (100 - valuation.market_cap).label('rest'), valuation.market_cap.label('cap')
        ).filter(valuation.code.in_(['{A}', '{D}']))""", tmp_path)

    assert answer.columns.tolist() == ['code', 'earned', 'bp', 'mixed', 'minus', 'rest', 'cap']
    assert answer.iloc[0].tolist() == [A, 2.0, 1.0, 26.0, -10.0, 80.0, 20.0]
    assert answer.iloc[1].drop('bp').tolist() == [D, -5.0, 31.0, 5.0, 75.0, 25.0]
    assert np.isnan(answer['bp'][1])


def test_what_is_divided_by_zero_is_not_known(tmp_path):
    told = table(pe_ratio={A: 0.0, B: 2.0, C: 4.0, D: 1.0, E: 5.0})
    asked = 'get_fundamentals(query(valuation.code).filter(valuation.market_cap / valuation.pe_ratio > 7))'
    assert look(asked, told, tmp_path)['code'].tolist() == [B, D, E]  # 15, 25, 8; C has 6.25


def test_arithmetic_without_a_label_is_named_as_sqlalchemy_does(tmp_path):
    answer = rows('query(valuation.market_cap * 2, valuation.market_cap * 3)', tmp_path)
    assert answer.columns.tolist() == ['anon_1', 'anon_2']
    assert answer.iloc[0].tolist() == [40.0, 60.0]


def test_a_whole_table_has_the_fields_that_the_store_gives(tmp_path):
    answer = rows('query(valuation)', tmp_path)

    assert answer.columns.tolist() == ['id', 'code', 'day', 'pe_ratio', 'turnover_ratio', 'pb_ratio', 'capitalization',
                                       'market_cap', 'circulating_cap', 'circulating_market_cap']
    assert answer['code'].tolist() == ALL
    assert answer['day'].tolist() == ['2024-01-02'] * 5
    assert answer['pb_ratio'].tolist()[:3] == [1.0, 2.0, 3.0]


def test_two_whole_tables_repeat_their_keys_under_numbered_names(tmp_path):
    answer = rows('query(valuation, indicator)', tmp_path)

    assert answer.columns.tolist()[-4:] == ['id.1', 'code.1', 'day.1', 'roe']
    assert answer['code'].tolist() == answer['code.1'].tolist() == [A, C, D, E]


def test_a_stock_without_a_value_in_a_further_table_is_not_found(tmp_path):
    # B has no indicator: the tables are joined by the code, and B is in one of them alone.
    assert rows('query(valuation.code, indicator.roe)', tmp_path).values.tolist() == [[A, 12.0], [C, 8.0], [D, 8.0], [E, 15.0]]
    assert rows('query(valuation.code).order_by(indicator.roe.desc())', tmp_path)['code'].tolist() == [E, A, C, D]
    assert found('indicator.roe > 10', tmp_path) == [A, E]
    assert rows('query(indicator.code, indicator.roe)', tmp_path)['code'].tolist() == [A, C, D, E]


def test_an_answer_without_rows_still_has_its_columns(tmp_path):
    answer = rows('query(valuation.code, valuation.market_cap).filter(valuation.market_cap > 999)', tmp_path)
    assert (len(answer), answer.columns.tolist(), list(answer['code'])) == (0, ['code', 'market_cap'], [])


def test_a_field_that_the_platform_does_not_have_is_said(tmp_path):
    with pytest.raises(ScriptError, match=r"script\.py, line \d+.*valuation has no field '?market_value"):
        rows('query(valuation.market_value)', tmp_path)


def test_a_field_that_the_store_does_not_have_is_said_with_its_source(tmp_path):
    with pytest.raises(ScriptError, match=r'lacks income\.net_profit: add columns? .*tushare income by f_ann_date'):
        rows('query(valuation.code).filter(income.net_profit > 0)', tmp_path)


@pytest.mark.parametrize('step', ['group_by(valuation.code)', 'join(indicator)', 'having(valuation.market_cap > 1)'])
def test_steps_that_cannot_be_had_are_refused(tmp_path, step):
    with pytest.raises(ScriptError, match=r'group_by|join|having'):
        rows(f'query(valuation.code).{step}', tmp_path)
