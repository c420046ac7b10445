"""What a JoinQuant script may see at each part of the day: never a price, a volume or a cap that is not known yet."""

import math

import pandas as pd
import pytest

from bt_microcap.joinquant.api.errors import ScriptError
from bt_microcap.joinquant.api.session import ScriptWarning

from .scripts import market, run, store

pytestmark = pytest.mark.filterwarnings('ignore::bt_microcap.rotation.tally.NothingTradedWarning')
CODE, ST_NOW, ST_NEXT, NEW = '600001.XSHG', '600002.XSHG', '600003.XSHG', '600004.XSHG'
DAYS = pd.to_datetime(['2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05'])  # looked at on the third day, a Thursday
NAN = math.nan


def table():
    """Four days of which no two share a number: what is handed out tells its day."""
    return market(
        {CODE: [20.0, 21.0, 22.0, 23.0], ST_NOW: [5.0] * 4, ST_NEXT: [5.0] * 4, NEW: [None, None, None, 8.0]}, dates=DAYS,
        open={CODE: [19.5, 20.5, 21.5, 22.5]}, high={CODE: [20.3, 21.3, 22.3, 23.3]}, low={CODE: [19.3, 20.3, 21.3, 22.3]},
        volume={CODE: [1e6, 2e6, 3e6, 4e6]}, amount={CODE: [1.9e7, 4.1e7, 6.3e7, 9e7]},
        market_cap={CODE: [2.0e9, 2.1e9, 2.2e9, 2.3e9]}, circ_market_cap={CODE: [1.0e9, 1.1e9, 1.2e9, 1.3e9]},
        is_st={ST_NOW: [0, 0, 1, 1], ST_NEXT: [0, 0, 0, 1]}, cash_dividend={ST_NOW: [0, 0, 0.1, 0], ST_NEXT: [0, 0, 0, 0.1]},
        pe_ttm={CODE: [5.0, 6.0, 7.0, 8.0]},
        **{'indicator.roe': {CODE: [1.0, 2.0, 3.0, 4.0]}, 'factor.own': {CODE: [0.1, 0.2, 0.3, 0.4]}})


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """The store of all tests here, with an index, and with names and members that change on the last day."""
    levels = pd.DataFrame({'index': '000300', 'date': DAYS, 'open': [100.5, 110.5, 120.5, 130.5],
                           'high': [109.0, 119.0, 129.0, 139.0], 'low': [99.0, 109.0, 119.0, 129.0],
                           'close': [101.0, 111.0, 121.0, 131.0]})
    names = pd.DataFrame({'code': [CODE, CODE], 'date': [DAYS[0], DAYS[3]], 'name': ['old name', 'new name']})
    members = pd.DataFrame({'index': '000300', 'date': [DAYS[0], DAYS[3]], 'code': [CODE, ST_NOW]})
    lives = pd.DataFrame({'code': [CODE, NEW], 'listed': [DAYS[0], DAYS[3]], 'delisted': [DAYS[3], pd.NaT]})
    return store(table(), tmp_path_factory.mktemp('lookahead') / 'store', benchmarks=levels, names=names, constituents=members,
                 listings=lives)


def look(expression, folder, tmp_path, options=''):
    """What an expression gives on the third day before the open, at it, at 14:50 and after the close."""
    return run(f"""
from jqdata import *
from jqlib.technical_analysis import *

def initialize(context):
    {options}
    g.seen = []
    for time in ('9:00', '9:30', '14:50', '15:30'):
        run_daily(look, time)

def look(context):
    code, index = '{CODE}', '000300.XSHG'
    now, previous = context.current_dt, context.previous_date
    today, tomorrow = now.date(), now.date() + datetime.timedelta(days=1)
    if str(today) == '2024-01-04':
        g.seen.append({expression})
""", folder, tmp_path).g.seen


YESTERDAY = [21.0] * 4
TODAY_LATE = [21.0, 21.0, 22.0, 22.0]  # a whole bar: from the close on
LAST_PRICE = [21.0, 21.5, 22.0, 22.0]
NIGHT = [21.0, 21.0, 21.0, 22.0]  # caps and statements of a day: after it

KNOWN = {  # what looks at nothing that is not known
    "get_current_data()[code].last_price": LAST_PRICE,
    "get_current_data()[code].day_open": [NAN, 21.5, 21.5, 21.5],
    "get_current_data()[code].high_limit": [23.1] * 4,  # of a preclose of 21
    "get_current_data()[code].low_limit": [18.9] * 4,
    "history(1, '1d', 'close', [code])[code][0]": YESTERDAY,
    "history(1, '1d', 'high', [code], df=False)[code][-1]": [21.3] * 4,
    "history(1, '1d', 'volume', [code], skip_paused=True)[code][0]": [2e6] * 4,
    "history(1, '1d', 'avg', [code])[code][0]": [20.5] * 4,  # 4.1e7 / 2e6
    "history(1, '1m', 'close', [code])[code][0]": LAST_PRICE,
    "history(1, '1d', 'close', [index])[index][0]": [111.0] * 4,
    "history(1, '1m', 'close', [index])[index][0]": [111.0, 120.5, 121.0, 121.0],
    "attribute_history(code, 1).iloc[-1].tolist()": [[20.5, 21.0, 21.3, 20.3, 2e6, 4.1e7]] * 4,
    "attribute_history(code, 1, '1d', ['close'], skip_paused=False)['close'][0]": YESTERDAY,
    "attribute_history(code, 1, '1m', ['close'])['close'][0]": LAST_PRICE,
    "attribute_history(index, 1, '1d', ['close'])['close'][0]": [111.0] * 4,
    "get_price(code, count=1, end_date=previous).iloc[-1].tolist()": [[20.5, 21.0, 21.3, 20.3, 2e6, 4.1e7]] * 4,
    "get_price(code, end_date='2024-01-03', count=1, fields='close')['close'][0]": YESTERDAY,
    "get_price(code, start_date='2024-01-03', end_date=previous, fields=['close'])['close'][-1]": YESTERDAY,
    "get_price([code], end_date=previous, count=1, fields=['close'], panel=False)['close'][0]": YESTERDAY,
    "get_price([code], end_date=previous, count=1, fields=['close'])['close'][code][0]": YESTERDAY,
    "get_price(code, count=1, fields=['close'])['close'][-1]": TODAY_LATE,
    "get_price(code, end_date=today, count=1, fields=['high_limit'])['high_limit'][-1]": [23.1] * 4,
    "get_price(code, end_date=today, count=1, fields=['pre_close'])['pre_close'][-1]": [21.0] * 4,
    "get_price(code, end_date=now, frequency='1m', count=1, fields=['close'])['close'][-1]": LAST_PRICE,
    "get_price(code, end_date=tomorrow, frequency='1m', count=1, fields=['close'])['close'][-1]": LAST_PRICE,
    "get_price(code, end_date=previous, frequency='minute', count=1, fields=['close'])['close'][-1]": YESTERDAY,
    "get_price(code, end_date=now, frequency='1m', count=1, fields=['high', 'low']).iloc[-1].tolist()": [
        [price, price] for price in LAST_PRICE],
    "get_bars(code, 1, '1d', ['close'])['close'][-1]": YESTERDAY,
    "get_bars(code, 1, '1d', ['close'], end_dt=tomorrow)['close'][-1]": YESTERDAY,
    "get_bars(code, 1, '1d', ['close'], include_now=True)['close'][-1]": LAST_PRICE,
    "get_bars(code, 1, '1d', ['high'], include_now=True, df=True)['high'].iloc[-1]": [21.3, 21.5, 22.3, 22.3],
    "get_bars(code, 1, '1m', ['close'])['close'][-1]": LAST_PRICE,
    "get_fundamentals(query(valuation.market_cap).filter(valuation.code == code))['market_cap'][0]": YESTERDAY,
    "get_fundamentals(query(valuation.market_cap).filter(valuation.code == code), date=previous)['market_cap'][0]": YESTERDAY,
    "get_fundamentals(query(indicator.roe).filter(valuation.code == code))['roe'][0]": [2.0] * 4,
    "get_fundamentals(query(valuation.pe_ratio).filter(valuation.code == code))['pe_ratio'][0]": [6.0] * 4,
    "get_fundamentals(query(valuation.circulating_market_cap).filter(valuation.code == code)).iloc[0, 0]": [11.0] * 4,
    # 2e6 shares x 21 yuan of a float of 1.1e9
    "get_fundamentals(query(valuation.turnover_ratio).filter(valuation.code == code)).iloc[0, 0]": [2e6 * 21 / 1.1e9 * 100] * 4,
    "get_valuation(code, count=1, fields=['market_cap'])['market_cap'].iloc[-1]": YESTERDAY,
    "get_factor_values(code, 'own', count=1)['own'].iloc[-1, 0]": [0.2] * 4,
    "get_factor_values(code, 'market_cap', end_date=previous, count=1)['market_cap'].iloc[-1, 0]": [2.1e9] * 4,
    "MA(code, previous, 1)[code]": YESTERDAY,
    "len(finance.run_query(query(finance.STK_XR_XD)))": [1] * 4,  # that of today; that of tomorrow is not told
}
AHEAD = {  # what asks for a day that is not over: the last one known is given, and it is said once
    "get_price(code, end_date=now, count=1, fields=['close'])['close'][-1]": TODAY_LATE,
    "get_price(code, end_date=today, count=1).iloc[-1].tolist()": [
        *[[20.5, 21.0, 21.3, 20.3, 2e6, 4.1e7]] * 2, *[[21.5, 22.0, 22.3, 21.3, 3e6, 6.3e7]] * 2],
    "get_price(code, end_date=str(today), count=1, fields='close')['close'][-1]": TODAY_LATE,
    "get_price(code, end_date=now.strftime('%Y%m%d'), count=1, fields='close')['close'][-1]": TODAY_LATE,
    "get_price(code, end_date=str(now), count=1, fields='close')['close'][-1]": TODAY_LATE,
    "get_price(code, end_date=pd.Timestamp(now), count=1, fields='close')['close'][-1]": TODAY_LATE,
    "get_price(code, end_date=np.datetime64(today), count=1, fields='close')['close'][-1]": TODAY_LATE,
    "get_price(code, start_date='2024-01-02', end_date=today, fields='close')['close'][-1]": TODAY_LATE,
    "get_price(code, end_date=today, count=1, fields=['close'], skip_paused=True)['close'][-1]": TODAY_LATE,
    "get_price([code], end_date=today, count=1, fields=['close'], panel=False)['close'].iloc[-1]": TODAY_LATE,
    "get_price([code], end_date=today, count=1, fields=['close'])['close'][code].iloc[-1]": TODAY_LATE,
    "get_price(code, end_date=today, count=1, fields=['open'])['open'][-1]": [20.5, 21.5, 21.5, 21.5],  # told at 9:30
    "get_price(code, end_date=today, count=1, fields=['open', 'close'])['open'][-1]": [20.5, 20.5, 21.5, 21.5],
    "get_price(code, end_date=today, count=1, fields='volume')['volume'][-1]": [2e6, 2e6, 3e6, 3e6],
    "get_price(code, end_date=today, count=1, fields='high')['high'][-1]": [21.3, 21.3, 22.3, 22.3],
    "get_price(code, end_date=today, count=1, fields='low')['low'][-1]": [20.3, 20.3, 21.3, 21.3],
    "get_price(code, end_date=today, count=1, fields='money')['money'][-1]": [4.1e7, 4.1e7, 6.3e7, 6.3e7],
    "get_price(code, end_date=today, count=1, fields='avg')['avg'][-1]": [20.5, 20.5, 21.0, 21.0],
    "get_price(index, end_date=today, count=1, fields='close')['close'][-1]": [111.0, 111.0, 121.0, 121.0],
    "get_fundamentals(query(valuation.market_cap).filter(valuation.code == code), date=today)['market_cap'][0]": NIGHT,
    "get_fundamentals(query(valuation.market_cap).filter(valuation.code == code), date=str(today))['market_cap'][0]": NIGHT,
    "get_fundamentals(query(valuation.market_cap).filter(valuation.code == code), now)['market_cap'][0]": NIGHT,
    "get_fundamentals(query(indicator.roe).filter(valuation.code == code), today)['roe'][0]": [2.0, 2.0, 2.0, 3.0],
    "get_fundamentals_continuously(query(valuation.market_cap).filter(valuation.code == code), end_date=today, count=1, "
    "panel=False)['market_cap'].iloc[-1]": NIGHT,
    "get_valuation(code, end_date=today, count=1, fields=['market_cap'])['market_cap'].iloc[-1]": NIGHT,
    "get_valuation(code, start_date=previous, end_date=today, fields=['market_cap'])['market_cap'].iloc[-1]": NIGHT,
    "get_factor_values(code, 'own', end_date=today, count=1)['own'].iloc[-1, 0]": [0.2] * 4,
    "get_factor_values(code, 'market_cap', end_date=today, count=1)['market_cap'].iloc[-1, 0]": [2.1e9] * 4,
    "MA(code, today, 1)[code]": TODAY_LATE,
}
TOMORROW = {  # even after the close
    "get_price(code, end_date=tomorrow, count=1, fields='close')['close'][-1]": TODAY_LATE,
    "get_price(code, end_date=tomorrow, count=1, fields='open')['open'][-1]": [20.5, 20.5, 21.5, 21.5],
    "get_price(code, end_date=tomorrow, count=1, fields='high_limit')['high_limit'][-1]": [22.0, 22.0, 23.1, 23.1],
    "get_price(code, end_date='2030-01-01', count=1, fields='close')['close'][-1]": TODAY_LATE,
    "get_price(index, end_date=tomorrow, count=1, fields='close')['close'][-1]": [111.0, 111.0, 121.0, 121.0],
    "get_fundamentals(query(valuation.market_cap).filter(valuation.code == code), date=tomorrow)['market_cap'][0]": NIGHT,
    "get_valuation(code, end_date=tomorrow, count=1, fields='market_cap')['market_cap'].iloc[-1]": NIGHT,
    "get_factor_values(code, 'own', end_date=tomorrow, count=1)['own'].iloc[-1, 0]": [0.2] * 4,
    "MA(code, tomorrow, 1)[code]": TODAY_LATE,
}


def said_ahead(warned):
    return [str(each.message) for each in warned if each.category is ScriptWarning and 'future' in str(each.message)]


@pytest.mark.parametrize('expression', KNOWN)
def test_what_is_known_at_each_part_of_the_day(expression, folder, tmp_path, recwarn):
    for seen, expected in zip(look(expression, folder, tmp_path), KNOWN[expression], strict=True):
        assert seen == pytest.approx(expected, nan_ok=True)
    assert said_ahead(recwarn) == []


@pytest.mark.parametrize('expression', [*AHEAD, *TOMORROW])
def test_what_is_not_known_yet_is_the_last_that_is_and_is_said(expression, folder, tmp_path, recwarn):
    for seen, expected in zip(look(expression, folder, tmp_path), {**AHEAD, **TOMORROW}[expression], strict=True):
        assert seen == pytest.approx(expected)
    if not expression.startswith('MA('):  # of indicators it is said in other words
        assert said_ahead(recwarn)[0].startswith('script.py, line 16: ')
        assert ' is not known at 09:00: ' in said_ahead(recwarn)[0]
        assert len(said_ahead(recwarn)) == 1


@pytest.mark.parametrize('expression', [each for each in (*AHEAD, *TOMORROW) if not each.startswith('MA(')])
def test_with_avoid_future_data_it_is_refused(expression, folder, tmp_path):
    with pytest.raises(ScriptError, match=r'script.py, line 16, in look\(\): .* is not known at 09:00, and the script sets '
                                          'avoid_future_data'):
        look(expression, folder, tmp_path, "set_option('avoid_future_data', True)")


@pytest.mark.parametrize('expression', KNOWN)
def test_with_avoid_future_data_what_is_known_is_the_same(expression, folder, tmp_path):
    seen = look(expression, folder, tmp_path, "set_option('avoid_future_data', True)")
    for each, expected in zip(seen, KNOWN[expression], strict=True):
        assert each == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(('expression', 'expected'), [
    ("[get_current_data()[each].is_st for each in ('600001.XSHG', '600002.XSHG', '600003.XSHG')]", [False, True, False]),
    ("get_extras('is_st', ['600002.XSHG', '600003.XSHG'], end_date=today, count=1).iloc[-1].tolist()", [True, False]),
    ("get_extras('is_st', ['600002.XSHG', '600003.XSHG'], end_date=tomorrow, count=1).iloc[-1].tolist()", [True, False]),
    ("get_extras('is_st', ['600002.XSHG'], end_date=previous, count=1, df=False)['600002.XSHG'].tolist()", [False]),
    ("[str(day) for day in get_trade_days(count=2)]", ['2024-01-03', '2024-01-04']),
    ("[str(day) for day in get_trade_days(end_date=previous, count=2)]", ['2024-01-02', '2024-01-03']),
    ("[str(day) for day in get_trade_days(end_date=tomorrow, count=1)]", ['2024-01-05']),  # the calendar is public
    ("get_current_data()[code].name", 'old name'),
    ("get_security_info(code).display_name", 'old name'),
    ("str(get_security_info(code).end_date)", '2200-01-01'),  # that it leaves tomorrow is not told
    ("sorted(get_all_securities(['stock'], date=tomorrow).index)", ['600001.XSHG', '600002.XSHG', '600003.XSHG']),
    ("sorted(get_all_securities().index)", ['600001.XSHG', '600002.XSHG', '600003.XSHG']),
    ("get_index_stocks(index)", ['600001.XSHG']),
    ("get_index_stocks(index, date=tomorrow)", ['600001.XSHG']),
])
def test_of_tomorrow_no_state_name_or_member_is_told(expression, expected, folder, tmp_path):
    assert look(expression, folder, tmp_path) == [expected] * 4


@pytest.mark.parametrize('day', ['today', 'tomorrow'])
@pytest.mark.parametrize(('call', 'expected'), [
    ("get_price(code, start_date=DAY, end_date=DAY, fields='close')['close'].tolist()", TODAY_LATE),
    ("get_price([code], start_date=DAY, end_date=DAY, fields=['close'], panel=False)['close'].tolist()", TODAY_LATE),
    ("get_valuation(code, start_date=DAY, end_date=DAY, fields='market_cap')['market_cap'].tolist()", NIGHT),
    ("get_factor_values(code, 'own', start_date=DAY, end_date=DAY)['own'][code].tolist()", [0.2] * 4),
])
@pytest.mark.filterwarnings('ignore::bt_microcap.joinquant.api.session.ScriptWarning')
def test_a_span_that_has_not_begun_gives_the_last_row_known(call, expected, day, folder, tmp_path):
    seen = look(call.replace('DAY', day), folder, tmp_path)

    assert seen == [[pytest.approx(each)] for each in expected]


@pytest.mark.parametrize('day', ['tomorrow', "'2025-01-02'"])
def test_flags_of_days_to_come_are_none(day, folder, tmp_path):
    assert look(f"get_extras('is_st', [code], start_date={day}, end_date={day}).values.tolist()", folder, tmp_path) == [[]] * 4


def test_handle_data_is_given_the_bar_of_the_day_before(folder, tmp_path):
    seen = run(f"""
def initialize(context):
    g.seen = []

def handle_data(context, data):
    bar = data['{CODE}']
    g.seen.append([bar.open, bar.close, bar.high, bar.low, bar.volume, bar.money, bar.price, bar.high_limit, bar.pre_close,
                   bar.mavg(1), bar.vwap(1)])
""", folder, tmp_path).g.seen

    assert seen[1] == pytest.approx([20.5, 21.0, 21.3, 20.3, 2e6, 4.1e7, 21.0, 22.0, 20.0, 21.0, 20.5])
    assert seen[2] == pytest.approx([21.5, 22.0, 22.3, 21.3, 3e6, 6.3e7, 22.0, 23.1, 21.0, 22.0, 21.0])


def test_what_is_held_is_worth_the_last_price(folder, tmp_path):
    seen = run(f"""
def initialize(context):
    set_order_cost(OrderCost(), type='stock')
    set_slippage(FixedSlippage(0))
    g.seen = []
    for time in ('9:00', '9:30', '14:50', '15:30'):
        run_daily(look, time)

def look(context):
    account, held = context.portfolio, context.portfolio.positions['{CODE}']
    if context.current_dt.strftime('%d %H:%M') == '03 09:30':
        order('{CODE}', 1000)  # at the open of 20.5
    if context.current_dt.day == 4:
        g.seen.append([held.price, held.value, account.positions_value, account.total_value, account.portfolio_value,
                       account.returns])
""", folder, tmp_path, cash=100_000.0).g.seen

    # cash: 100,000 - 20,500; the return is that of the day before throughout: its close was 21
    assert seen == [pytest.approx([price, 1000 * price, 1000 * price, 79_500 + 1000 * price, 79_500 + 1000 * price, 0.005])
                    for price in LAST_PRICE]


def test_a_suspended_stock_is_worth_its_last_close_all_day(tmp_path):
    seen = look('[get_current_data()[code].paused, get_current_data()[code].last_price]',
                market({CODE: [20.0, 21.0, 21.0, 23.0]}, dates=DAYS, paused={CODE: {2: 1}}), tmp_path)

    assert seen == [[True, 21.0]] * 4


def test_whether_a_stock_trades_later_today_is_not_told_at_the_open(tmp_path):
    # On the third day nothing changes hands, which nobody knows at the open: the row of the day is there, or never.
    ask = "len(get_price(code, start_date='2024-01-02', end_date=today, fields=['open'], skip_paused=True))"
    seen = [look(ask, market({CODE: [20.0, 21.0, 22.0, 23.0]}, dates=DAYS, volume={CODE: {2: volume}}), tmp_path)[1]
            for volume in (0.0, 1e6)]

    assert seen[0] == seen[1]
