"""jqlib.technical_analysis against the formulas of the manual, written here once more with pandas or by hand."""

import numpy as np
import pandas as pd
import pytest

from bt_microcap.joinquant.api.errors import ScriptError
from bt_microcap.joinquant.api.session import ScriptWarning

from .looking import look
from .scripts import market

A, B = '600001.XSHG', '000002.XSHE'
HEAD = 'from jqlib.technical_analysis import *'
DAYS = 60  # before the day of the look
MOVES = [0.3, -0.2, 0.5, 0.1, -0.4, 0.0, 0.2, -0.3, 0.6, -0.5, 0.1]  # yuan, over and over


def bars():
    """Return 61 bars of a stock, with shadows above and below, all worked out of whole cents."""
    close, rows = 20.0, []
    for day in range(DAYS + 1):
        opening = close
        close = round(close + MOVES[day % 11], 2)
        rows.append((opening, round(max(opening, close) + 0.01 * (day * 5 % 13), 2),
                     round(min(opening, close) - 0.01 * (day * 3 % 7), 2), close, 1e6 + 1e4 * (day * 17 % 29)))
    return pd.DataFrame(rows, columns=['open', 'high', 'low', 'close', 'volume'])


def table():
    rows = bars()
    return market({A: rows['close'].tolist(), B: [20.0] * (DAYS + 1)}, circ_market_cap={
        A: [5e7 * price for price in rows['close']], B: 2e9}, **{
            name: {A: rows[name].tolist()} for name in ('open', 'high', 'low', 'volume')})


def known():
    """Return the bars before the day of the look."""
    return bars().iloc[:DAYS]


def indicator(asked, tmp_path, day=DAYS, told=None, at='9:30'):
    return look(asked, table() if told is None else told, tmp_path, day, at, head=HEAD)


def ema(values, n):
    return values.ewm(span=n, adjust=False).mean()


def sma(values, n):
    return values.ewm(alpha=1 / n, adjust=False).mean()


def lowest_highest(rows, n):
    return rows['low'].rolling(n).min(), rows['high'].rolling(n).max()


def rsi(rows):
    move = rows['close'].diff()
    return sma(move.clip(lower=0), 6) / sma(move.abs(), 6) * 100


def macd(rows):
    dif = ema(rows['close'], 12) - ema(rows['close'], 26)
    dea = ema(dif, 9)
    return dif, dea, 2 * (dif - dea)


def kdj(rows):
    low, high = lowest_highest(rows, 9)
    k = sma((rows['close'] - low) / (high - low) * 100, 3)
    d = sma(k, 3)
    return k, d, 3 * k - 2 * d


def bands(rows):
    middle = rows['close'].rolling(20).mean()
    away = rows['close'].rolling(20).std(ddof=0)
    return middle + 2 * away, middle, middle - 2 * away


def true_range(rows):
    last = rows['close'].shift()
    return pd.concat([rows['high'] - rows['low'], (rows['high'] - last).abs(), (last - rows['low']).abs()], axis=1).max(axis=1)


def atr(rows):
    return true_range(rows), true_range(rows).rolling(14).mean()


def bias(rows):
    return tuple((rows['close'] / rows['close'].rolling(n).mean() - 1) * 100 for n in (6, 12, 24))


def cci(rows):
    typical = (rows['high'] + rows['low'] + rows['close']) / 3
    away = typical.rolling(14).apply(lambda part: np.abs(part - part.mean()).mean(), raw=True)
    return (typical - typical.rolling(14).mean()) / (0.015 * away)


def wr(rows):
    return tuple((high - rows['close']) / (high - low) * 100 for low, high in (lowest_highest(rows, n) for n in (10, 6)))


def turnover(rows):
    rate = rows['volume'] / 5e7 * 100  # of the float
    return rate, rate.rolling(5).mean()


def dma(rows):
    found = rows['close'].rolling(10).mean() - rows['close'].rolling(50).mean()
    return found, found.rolling(10).mean()


def trix(rows):
    triple = ema(ema(ema(rows['close'], 12), 12), 12)
    return triple.pct_change() * 100, (triple.pct_change() * 100).rolling(9).mean()


def dmi(rows):
    ranges = true_range(rows).rolling(14).sum()
    up, down = rows['high'].diff(), -rows['low'].diff()
    pdi = up.where((up > 0) & (up > down), 0.0).rolling(14).sum() / ranges * 100
    mdi = down.where((down > 0) & (down > up), 0.0).rolling(14).sum() / ranges * 100
    adx = ((mdi - pdi).abs() / (mdi + pdi) * 100).rolling(6).mean()
    return pdi, mdi, adx, (adx + adx.shift(6)) / 2


def brar(rows):
    last = rows['close'].shift()
    br = (rows['high'] - last).clip(lower=0).rolling(26).sum() / (last - rows['low']).clip(lower=0).rolling(26).sum() * 100
    ar = (rows['high'] - rows['open']).rolling(26).sum() / (rows['open'] - rows['low']).rolling(26).sum() * 100
    return br, ar


CASES = {
    'MA': lambda rows: rows['close'].rolling(5).mean(),
    'EMA': lambda rows: ema(rows['close'], 30),
    'EXPMA': lambda rows: ema(rows['close'], 12),
    'SMA': lambda rows: sma(rows['close'], 7),
    'RSI': rsi, 'MACD': macd, 'KDJ': kdj, 'KD': lambda rows: kdj(rows)[:2], 'Bollinger_Bands': bands, 'ATR': atr, 'BIAS': bias,
    'CCI': cci, 'WR': wr, 'HSL': turnover, 'DMA': dma, 'TRIX': trix, 'DMI': dmi, 'BRAR': brar,
    'VOL': lambda rows: (rows['volume'], rows['volume'].rolling(5).mean(), rows['volume'].rolling(10).mean()),
    'MTM': lambda rows: rows['close'].diff(12),
    'ROC': lambda rows: (rows['close'] / rows['close'].shift(12) - 1) * 100,
    'OBV': lambda rows: (np.sign(rows['close'].diff()).fillna(0) * rows['volume']).rolling(30).sum(),
    'BBI': lambda rows: sum(rows['close'].rolling(n).mean() for n in (3, 6, 12, 24)) / 4,
    'PSY': lambda rows: (rows['close'].diff() > 0).astype(float).rolling(12).mean() * 100,
}


@pytest.mark.parametrize('name', CASES)
def test_indicators(tmp_path, name):
    expected = CASES[name](known())
    found = indicator(f"{name}('{A}', check_date=context.previous_date)", tmp_path)

    if isinstance(expected, tuple):
        assert isinstance(found, tuple)
        assert [each[A] for each in found] == pytest.approx([series.iloc[-1] for series in expected], rel=1e-9, abs=1e-9)
    else:
        assert list(found) == [A]
        assert found[A] == pytest.approx(expected.iloc[-1], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(('asked', 'expected'), [
    ("MA('{A}', check_date=context.previous_date, timeperiod=3)", lambda rows: rows['close'].iloc[-3:].mean()),
    ("MA('{A}', context.previous_date, 10)", lambda rows: rows['close'].iloc[-10:].mean()),
    ("EMA('{A}', check_date=context.previous_date, timeperiod=5)", lambda rows: ema(rows['close'], 5).iloc[-1]),
    ("RSI('{A}', check_date=context.previous_date, N1=1)", lambda rows: 0.0 if rows['close'].diff().iloc[-1] < 0 else 100.0),
    ("ROC('{A}', check_date=context.previous_date, timeperiod=3)", lambda rows: (rows['close'].iloc[-1] / rows['close'].iloc[-4]
                                                                                 - 1) * 100),
])
def test_lengths_can_be_given(tmp_path, asked, expected):
    assert indicator(asked.format(A=A), tmp_path)[A] == pytest.approx(expected(known()), rel=1e-9, abs=1e-9)


def test_several_stocks_are_one_dict(tmp_path):
    found = indicator(f"MA(['{A}', '{B}'], check_date=context.previous_date, timeperiod=2)", tmp_path)
    assert list(found) == [A, B] and found[B] == 20.0
    upper, middle, lower = indicator(f"Bollinger_Bands(['{B}'], context.previous_date)", tmp_path)
    assert (upper, middle, lower) == ({B: 20.0}, {B: 20.0}, {B: 20.0})


def small(closes, **columns):
    return market({A: closes, B: [20.0] * len(closes)}, **columns)


def test_by_hand(tmp_path):
    told = small([10.0, 11.0, 13.0, 12.0, 12.0])
    # EMA of 3 days has the weight 1/2: 10, 10.5, 11.75, 11.875.
    assert indicator(f"EMA('{A}', context.previous_date, 3)", tmp_path, 4, told)[A] == 11.875
    # Rises 1, 2, 0 and moves 1, 2, 1, with the weight 1/2: 1, 1.5, 0.75 over 1, 1.5, 1.25.
    assert indicator(f"RSI('{A}', context.previous_date, 2)", tmp_path, 4, told)[A] == pytest.approx(60.0)
    assert indicator(f"MTM('{A}', context.previous_date, 2)", tmp_path, 4, told)[A] == 1.0
    # Up, up, down.
    assert indicator(f"PSY('{A}', context.previous_date, 3)", tmp_path, 4, told)[A] == pytest.approx(200 / 3)


def test_a_day_of_its_own(tmp_path):
    told = small([10.0, 11.0, 13.0, 12.0, 12.0])
    for day in ("'2024-01-04'", 'datetime.date(2024, 1, 4)', 'datetime.datetime(2024, 1, 4, 15)'):
        assert indicator(f"MA('{A}', check_date={day}, timeperiod=2)", tmp_path, 4, told)[A] == 12.0
    assert indicator(f"MA('{A}', '2024-01-06', 2)", tmp_path, 4, told)[A] == 12.5  # a Saturday


def test_today_is_in_it_from_the_close_on(tmp_path):
    told = small([10.0, 11.0, 13.0, 12.0, 14.0])
    asked = f"MA('{A}', check_date=context.current_dt, timeperiod=2)['{A}']"

    with pytest.warns(ScriptWarning, match='an indicator of today ends with the bar of the day before, until the close'):
        assert indicator(asked, tmp_path, 4, told) == 12.5
    assert indicator(asked, tmp_path, 4, told, '14:50') == 13.0


def test_suspended_days_are_left_out(tmp_path):
    told = small([10.0, 12.0, 12.0, 14.0, 14.0], paused={A: {2: 1}})
    assert indicator(f"MA('{A}', context.previous_date, 3)", tmp_path, 4, told)[A] == 12.0  # of 10, 12, 14


def test_prices_are_at_the_level_of_today(tmp_path):
    # 10 becomes 5 on day 2, today.
    told = small([10.0, 10.0, 5.0], preclose={A: {2: 5.0}})
    assert indicator(f"MA('{A}', context.previous_date, 2)", tmp_path, 2, told)[A] == 5.0


def test_without_enough_bars_it_is_not_known(tmp_path):
    told = small([10.0, 10.0, 10.0])
    assert np.isnan(indicator(f"MA('{A}', context.previous_date, 5)", tmp_path, 2, told)[A])
    late = market({A: [None, None, 10.0], B: [20.0] * 3})
    assert np.isnan(indicator(f"MACD('{A}', context.previous_date)[0]", tmp_path, 1, late)[A])


def test_other_bars_are_refused(tmp_path):
    with pytest.raises(ScriptError, match="indicators of bars of '1w' are not supported"):
        indicator(f"MA('{A}', context.previous_date, 5, unit='1w')", tmp_path)


def test_an_indicator_that_is_not_here_is_said(tmp_path):
    with pytest.raises(ScriptError, match='SAR'):
        look("SAR('600001.XSHG', context.previous_date)", table(), tmp_path, 1, head='from jqlib.technical_analysis import SAR')
