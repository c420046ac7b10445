"""The future is changed at random: nothing that a JoinQuant script was told or did before may change with it."""

import numpy as np
import pandas as pd
import pytest

from .scripts import market, run, store

pytestmark = [pytest.mark.filterwarnings('ignore::bt_microcap.joinquant.api.session.ScriptWarning'),
              pytest.mark.filterwarnings('ignore::bt_microcap.rotation.tally.NothingTradedWarning')]
CODES = [f'60000{number}.XSHG' for number in range(1, 7)]
DAYS = pd.bdate_range('2024-01-02', periods=9)
PRICES = ['open', 'high', 'low', 'close']
LATE = ['volume', 'market_cap', 'circ_market_cap', 'pe_ttm', 'indicator.roe', 'factor.own']  # told in the night

# It tells all that it can find out, and trades by it: what it does shows in the log, too.
NOSY = """
from jqdata import *
from jqlib.technical_analysis import *


def initialize(context):
    for time in ('9:00', '9:30', '14:50', '15:30'):
        run_daily(look, time)
    run_daily(trade, 'before_open')
    run_daily(trade, 'open')
    run_daily(trade, '14:55')


def show(name, what):
    log.info(name, (what.index.tolist(), what.to_dict('list')) if hasattr(what, 'to_dict') else what)


def look(context):
    if str(context.previous_date) < 'FIRST':
        return
    now, previous = context.current_dt, context.previous_date
    later = now + datetime.timedelta(days=3)
    codes = list(get_all_securities(['stock'], date=later).index)
    show('securities', get_all_securities())
    for code in codes:
        at = get_current_data()[code]
        show(code, (at.last_price, at.day_open, at.high_limit, at.low_limit, at.paused, at.is_st, at.name))
        info = get_security_info(code)
        show('info', (info.display_name, info.start_date, info.end_date))
        show('daily', attribute_history(code, 3))
        show('minute', attribute_history(code, 1, '1m', ['close', 'high', 'low']))
        for end in (None, previous, now, later):
            show('skipped', get_price(code, end_date=end, count=3, fields=['close', 'volume'], skip_paused=True))
        show('bars', get_bars(code, 3, '1d', ['date', 'open', 'high', 'low', 'close', 'volume'], include_now=True, df=True))
        for day in (previous, now, later):
            show('indicators', (MA(code, day, 3), VOL(code, day, 2, 3), HSL(code, day, 2), ATR(code, day, 2)))
    for fq in ('pre', 'post', None):
        show('history', history(4, '1d', 'close', codes, fq=fq))
    show('avg', history(2, '1d', 'avg', codes))
    fields = ['open', 'close', 'high', 'low', 'volume', 'money', 'high_limit', 'low_limit', 'avg', 'pre_close', 'paused']
    for end in (None, previous, now, later):
        show('all', get_price(codes, end_date=end, count=2, fields=fields, panel=False))
        show('open', get_price(codes, end_date=end, count=2, fields=['open', 'high_limit', 'pre_close', 'paused'], panel=False))
        show('last', get_price(codes, end_date=end or now, count=1, frequency='1m', fields=['close'], panel=False))
        show('index', get_price('000300.XSHG', end_date=end, count=2, fields=['open', 'close', 'high', 'low']))
        show('valuation', get_valuation(codes, end_date=end, count=2, fields=['market_cap', 'pe_ratio', 'turnover_ratio']))
        show('st', get_extras('is_st', codes, end_date=end or previous, count=2))
        show('factors', get_factor_values(codes, ['own', 'market_cap', 'VOL5', 'ROC6', 'BIAS5'], end_date=end, count=2))
        show('members', (get_index_stocks('000300.XSHG', date=end), get_index_stocks('000002.XSHG', date=end)))
    asked = query(valuation.code, valuation.market_cap, valuation.circulating_market_cap, valuation.turnover_ratio,
                  indicator.roe).order_by(valuation.market_cap.asc())
    for day in (None, previous, now, later):
        show('fundamentals', get_fundamentals(asked, date=day))
    show('dividends', finance.run_query(query(finance.STK_XR_XD)))
    account = context.portfolio
    show('account', (account.available_cash, account.total_value, account.positions_value, account.returns, account.pnl))
    show('held', [(held.security, held.total_amount, held.closeable_amount, held.avg_cost, held.price, held.value, held.hold_cost)
                  for held in account.positions.values()])
    show('orders', sorted((each.security, each.filled, str(each.status)) for each in get_orders().values()))


def trade(context):
    best = get_fundamentals(query(valuation.code).order_by(valuation.market_cap.asc()).limit(3), context.current_dt)
    prices = history(1, '1m', 'close', list(best['code']))
    for code in list(context.portfolio.positions):
        if code not in prices or prices[code][0] % 0.02 < 0.01:
            order_target_value(code, 0)
    for code in best['code']:
        order_value(code, 10000 + 1000 * prices[code][0])


def handle_data(context, data):
    show('data', [(code, data[code].close, data[code].volume, data[code].mavg(3)) for code in list(get_all_securities().index)])
"""


def made():
    """Six stocks over nine days that rise and fall, with ex-dates, a suspension, ST and a late listing."""
    rng = np.random.default_rng(14)
    moves = rng.uniform(-0.04, 0.04, (len(CODES), len(DAYS)))
    closes = {code: np.round(10 * np.cumprod(1 + move), 2).tolist() for code, move in zip(CODES, moves, strict=True)}
    closes[CODES[5]][:4] = [None] * 4

    def numbers(low, high):
        return {code: rng.uniform(low, high, len(DAYS)).round(3).tolist() for code in CODES}

    dividends = {CODES[0]: {3: 0.2, 6: 0.1}, CODES[1]: {5: 0.15}}
    preclose = {code: {day: round(closes[code][day - 1] - cash, 2) for day, cash in of.items()} for code, of in dividends.items()}
    return market(
        closes, dates=DAYS, cash_dividend={code: {day: of.get(day, 0.0) for day in range(len(DAYS))}
                                           for code, of in dividends.items()},
        preclose=preclose, volume=numbers(1e6, 2e6), market_cap=numbers(2e9, 3e9),
        circ_market_cap=numbers(1e9, 2e9), is_st={CODES[2]: {4: 1, 5: 1}}, paused={CODES[3]: {5: 1}}, pe_ttm=numbers(5, 50),
        **{'indicator.roe': numbers(1, 9), 'factor.own': numbers(0, 1)})


def changed(table, day, part):
    """The market with another future: all days after one, and of that day what is told after a part of it.

    The prices of a day lie within its limits, as the table would be mended otherwise. Later days end early for some stocks.
    """
    rng = np.random.default_rng([day, 1])
    later, today = table['date'] > DAYS[day], table['date'] == DAYS[day]
    out = table.copy()
    late = later | today if part != 'after' else later
    for name in LATE:
        out.loc[late, name] = (out.loc[late, name] * rng.uniform(0.5, 1.5, late.sum())).round(3)
    scale = rng.uniform(0.93, 1.07, (later.sum(), 1))
    out.loc[later, [*PRICES, 'preclose']] = (out.loc[later, [*PRICES, 'preclose']] * scale).round(2)
    out.loc[later, 'high_limit'], out.loc[later, 'low_limit'] = (out.loc[later, 'preclose'] * side for side in (1.3, 0.7))
    out.loc[later, 'is_st'] = rng.integers(0, 2, later.sum())
    out.loc[later, 'cash_dividend'] = rng.uniform(0, 0.2, later.sum()).round(2)
    out.loc[later & (out['code'] == CODES[0]), 'paused'] = 1
    if part == 'before':  # today's open is not told, either
        out.loc[today, 'open'] = (out.loc[today, 'open'] * rng.uniform(0.98, 1.02, today.sum())).round(2)
    if part != 'after':
        out.loc[today, 'close'] = (out.loc[today, 'close'] * rng.uniform(0.98, 1.02, today.sum())).round(2)
        out.loc[today, 'high'] = out.loc[today, ['open', 'close']].max(axis=1) + 0.05
        out.loc[today, 'low'] = out.loc[today, ['open', 'close']].min(axis=1) - 0.05
    out['amount'] = out['volume'] * out['close']
    out = out[~(later & (out['code'] == CODES[4]))]  # it is never seen again
    fresh = out[out['code'] == CODES[1]].assign(code='600000.XSHG')  # a new stock, the first of all codes
    return pd.concat([fresh[fresh['date'] > DAYS[day]], out]).sort_values(['date', 'code']).reset_index(drop=True)


def told(table, folder, tmp_path, day, part):
    """Everything that a run of the script says up to a part of a day."""
    rng = np.random.default_rng(5)
    levels = pd.DataFrame({'index': '000300', 'date': DAYS, **{name: rng.uniform(90, 110, len(DAYS)) for name in PRICES}})
    members = pd.DataFrame({'index': '000300', 'date': DAYS[0], 'code': CODES[:3]})
    names = pd.DataFrame({'code': CODES[:2], 'date': DAYS[0], 'name': ['甲', '乙']})
    if 'changed' in folder.name:
        hidden = {'before': PRICES, 'open': ['high', 'low', 'close'], 'after': []}[part]
        levels.loc[levels['date'] > DAYS[day], PRICES] += 7
        levels.loc[levels['date'] == DAYS[day], hidden] += 3
        if day + 1 < len(DAYS):
            members = pd.concat([members, pd.DataFrame({'index': '000300', 'date': DAYS[day + 1], 'code': CODES[3:]})])
            names = pd.concat([names, pd.DataFrame({'code': CODES[:2], 'date': DAYS[day + 1], 'name': ['ST甲', '乙退']})])
    path = store(table, folder, benchmarks=levels, constituents=members, names=names)
    text = NOSY.replace('FIRST', f'{DAYS[day - 1]:%Y-%m-%d}')
    lines = run(text, path, tmp_path, cash=200_000.0, feed={'todate': DAYS[day].to_pydatetime()}).log_lines
    until = f'{DAYS[day]:%Y-%m-%d} ' + {'before': '09:29', 'open': '09:31', 'after': '23:59'}[part]
    return [line for line in lines if line < until]  # each begins with its time


@pytest.mark.parametrize('part', ['before', 'open', 'after'])
@pytest.mark.parametrize('day', [3, 5])
def test_no_later_row_changes_what_was_told_and_done_before(day, part, tmp_path):
    table = made()
    before = told(table, tmp_path / 'as it was', tmp_path, day, part)
    after = told(changed(table, day, part), tmp_path / 'changed', tmp_path, day, part)

    assert len(before) > 100  # it was looked at
    assert any('trade price' in line for line in before)
    for one, other in zip(before, after, strict=True):
        assert one == other


def test_the_next_part_of_the_day_does_tell_the_difference(tmp_path):
    table = made()
    before = told(table, tmp_path / 'as it was', tmp_path, 5, 'after')
    for part in ('before', 'open'):
        folder = tmp_path / f'changed {part}'
        other = told(changed(table, 5, part), folder, tmp_path, 5, 'after')
        assert other != before
