"""``jqlib.technical_analysis``: indicators of daily bars, by the formulas of the platform's manual.

Prices are at the level of today, of the days on which a stock was traded, up to ``check_date``. Recursive means (EMA, SMA) begin
with the first of `BARS` bars.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .bars import Bars, as_date
from .errors import Unsupported
from .prices import step_of
from .session import Session

BARS = 500
Series = dict[str, np.ndarray]


def mean(values: np.ndarray, n: int) -> np.ndarray:
    """Return the mean of the last n values; NaN where there are fewer."""
    out = np.full(len(values), np.nan)
    if len(values) >= n:
        out[n - 1:] = np.lib.stride_tricks.sliding_window_view(values, n).mean(axis=1)
    return out


def over(values: np.ndarray, n: int, how: Callable[..., np.ndarray]) -> np.ndarray:
    """Return what a function makes of each last n values."""
    out = np.full(len(values), np.nan)
    if len(values) >= n:
        out[n - 1:] = how(np.lib.stride_tricks.sliding_window_view(values, n), axis=1)
    return out


def smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """Return the recursive mean: each value with a weight, the mean so far with the rest."""
    out = np.empty(len(values))
    last = np.nan
    for place, value in enumerate(values):
        last = value if last != last else last if value != value else weight * value + (1 - weight) * last
        out[place] = last
    return out


def ema(values: np.ndarray, n: int) -> np.ndarray:
    """Return EMA(X, N): the weight is 2 / (N + 1)."""
    return smoothed(values, 2 / (n + 1))


def sma(values: np.ndarray, n: int, m: int = 1) -> np.ndarray:
    """Return SMA(X, N, M): the weight is M / N."""
    return smoothed(values, m / n)


def before(values: np.ndarray, n: int = 1) -> np.ndarray:
    """Return the values of n bars before."""
    return np.concatenate([np.full(min(n, len(values)), np.nan), values[:-n] if n < len(values) else values[:0]])


def divided(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return a quotient; NaN over 0."""
    return np.divide(left, right, out=np.full(len(left), np.nan), where=right != 0)


def true_range(bars: Series) -> np.ndarray:
    """Return the true range."""
    last = before(bars['close'])
    return np.nanmax([bars['high'] - bars['low'], np.abs(bars['high'] - last), np.abs(last - bars['low'])], axis=0)


class Technical:
    """The functions of ``jqlib.technical_analysis``: each gives a dict of code to value, or several of them.

    Parameters
    ----------
    session : Session
    bars : Bars
    """

    def __init__(self, session: Session, bars: Bars) -> None:
        self.session, self.bars = session, bars

    def _series(self, code: str, check_date: Any, unit: str, names: tuple[str, ...]) -> Series:
        session = self.session
        kind, size = step_of(unit)
        if kind != 'day' or size != 1:
            raise Unsupported(f'indicators of bars of {unit!r} are not supported: leave unit out, for daily bars')
        end = session.place_of(as_date(check_date, 'check_date')) + 1
        if end > session.last_place() + 1:
            session.say_once('an indicator of today ends with the bar of the day before, until the close', 'indicator')
            end = session.last_place() + 1
        places = self.bars.traded(code, end)[-BARS:]
        if not len(places):
            return {name: np.full(1, np.nan) for name in names}
        number = session.number.get(code, -1)
        low = int(places[0])
        found: Series = {}
        for name in names:
            if number < 0:
                found[name] = self.bars.index(code)[name][places]
            elif name in ('volume', 'amount', 'circ_market_cap'):
                found[name] = session.gather(name, np.array([number]), low, int(places[-1]) + 1)[0][places - low]
            else:
                found[name] = self.bars.adjusted(name, np.array([number]), low, int(places[-1]) + 1)[0][places - low]
        return found

    def _each(self, codes: Any, check_date: Any, unit: str, names: tuple[str, ...],
              work: Callable[[Series], Any]) -> Any:
        """Return what a function makes of each stock: a dict, or a tuple of dicts where it gives several series."""
        listed = [codes] if isinstance(codes, str) else list(codes)
        found: dict[str, Any] = {code: work(self._series(code, check_date, unit, names)) for code in listed}
        if found and isinstance(next(iter(found.values())), tuple):
            count = len(next(iter(found.values())))
            return tuple({code: float(series[number][-1]) for code, series in found.items()} for number in range(count))
        return {code: float(series[-1]) for code, series in found.items()}

    def MA(self, security_list: Any, check_date: Any, timeperiod: int = 5, unit: str = '1d', include_now: bool = True,  # noqa: N802
           fq_ref_date: Any = None) -> Any:
        """Return the moving average of the closes."""
        return self._each(security_list, check_date, unit, ('close',), lambda bars: mean(bars['close'], timeperiod))

    def EMA(self, security_list: Any, check_date: Any, timeperiod: int = 30, unit: str = '1d', include_now: bool = True,  # noqa: N802
            fq_ref_date: Any = None) -> Any:
        """Return the exponential moving average of the closes."""
        return self._each(security_list, check_date, unit, ('close',), lambda bars: ema(bars['close'], timeperiod))

    def EXPMA(self, security_list: Any, check_date: Any, timeperiod: int = 12, unit: str = '1d', include_now: bool = True,  # noqa: N802
              fq_ref_date: Any = None) -> Any:
        """Return the exponential moving average of the closes."""
        return self.EMA(security_list, check_date, timeperiod, unit)

    def SMA(self, security_list: Any, check_date: Any, N: int = 7, M: int = 1, unit: str = '1d',  # noqa: N802, N803
            include_now: bool = True, fq_ref_date: Any = None) -> Any:
        """Return the smoothed moving average of the closes."""
        return self._each(security_list, check_date, unit, ('close',), lambda bars: sma(bars['close'], N, M))

    def MACD(self, security_list: Any, check_date: Any, SHORT: int = 12, LONG: int = 26, MID: int = 9, unit: str = '1d',  # noqa: N802, N803
             include_now: bool = True, fq_ref_date: Any = None) -> Any:
        """Return DIF, DEA and MACD = 2 (DIF - DEA)."""

        def work(bars: Series) -> tuple[np.ndarray, ...]:
            dif = ema(bars['close'], SHORT) - ema(bars['close'], LONG)
            dea = ema(dif, MID)
            return dif, dea, 2 * (dif - dea)

        return self._each(security_list, check_date, unit, ('close',), work)

    def RSI(self, security_list: Any, check_date: Any, N1: int = 6, unit: str = '1d', include_now: bool = True,  # noqa: N802, N803
            fq_ref_date: Any = None) -> Any:
        """Return SMA(rises, N, 1) over SMA(moves, N, 1), in percent."""

        def work(bars: Series) -> np.ndarray:
            move = bars['close'] - before(bars['close'])
            return divided(sma(np.maximum(move, 0), N1), sma(np.abs(move), N1)) * 100

        return self._each(security_list, check_date, unit, ('close',), work)

    def KDJ(self, security_list: Any, check_date: Any, N: int = 9, M1: int = 3, M2: int = 3, unit: str = '1d',  # noqa: N802, N803
            include_now: bool = True, fq_ref_date: Any = None) -> Any:
        """Return K, D and J."""

        def work(bars: Series) -> tuple[np.ndarray, ...]:
            low, high = over(bars['low'], N, np.min), over(bars['high'], N, np.max)
            k = sma(divided(bars['close'] - low, high - low) * 100, M1)
            d = sma(k, M2)
            return k, d, 3 * k - 2 * d

        return self._each(security_list, check_date, unit, ('close', 'high', 'low'), work)

    def KD(self, security_list: Any, check_date: Any, N: int = 9, M1: int = 3, M2: int = 3, unit: str = '1d',  # noqa: N802, N803
           include_now: bool = True, fq_ref_date: Any = None) -> Any:
        """Return K and D."""
        return self.KDJ(security_list, check_date, N, M1, M2, unit)[:2]

    def Bollinger_Bands(self, security_list: Any, check_date: Any, timeperiod: int = 20, nbdevup: float = 2,  # noqa: N802
                        nbdevdn: float = 2, unit: str = '1d', include_now: bool = True, fq_ref_date: Any = None) -> Any:
        """Return the upper, the middle and the lower band."""

        def work(bars: Series) -> tuple[np.ndarray, ...]:
            middle, away = mean(bars['close'], timeperiod), over(bars['close'], timeperiod, np.std)
            return middle + nbdevup * away, middle, middle - nbdevdn * away

        return self._each(security_list, check_date, unit, ('close',), work)

    def ATR(self, security_list: Any, check_date: Any, timeperiod: int = 14, unit: str = '1d', include_now: bool = True,  # noqa: N802
            fq_ref_date: Any = None) -> Any:
        """Return the true range and its mean."""

        def work(bars: Series) -> tuple[np.ndarray, ...]:
            found = true_range(bars)
            return found, mean(found, timeperiod)

        return self._each(security_list, check_date, unit, ('close', 'high', 'low'), work)

    def BIAS(self, security_list: Any, check_date: Any, N1: int = 6, N2: int = 12, N3: int = 24, unit: str = '1d',  # noqa: N802, N803
             include_now: bool = True, fq_ref_date: Any = None) -> Any:
        """Return how far the close lies from three means, in percent."""
        return self._each(security_list, check_date, unit, ('close',), lambda bars: tuple(
            divided(bars['close'] - mean(bars['close'], n), mean(bars['close'], n)) * 100 for n in (N1, N2, N3)))

    def CCI(self, security_list: Any, check_date: Any, N: int = 14, unit: str = '1d', include_now: bool = True,  # noqa: N802, N803
            fq_ref_date: Any = None) -> Any:
        """Return the commodity channel index."""

        def work(bars: Series) -> np.ndarray:
            typical = (bars['high'] + bars['low'] + bars['close']) / 3
            away = over(typical, N, lambda part, axis: np.abs(part - part.mean(axis=1, keepdims=True)).mean(axis=1))
            return divided(typical - mean(typical, N), 0.015 * away)

        return self._each(security_list, check_date, unit, ('close', 'high', 'low'), work)

    def VOL(self, security_list: Any, check_date: Any, M1: int = 5, M2: int = 10, unit: str = '1d', include_now: bool = True,  # noqa: N802, N803
            fq_ref_date: Any = None) -> Any:
        """Return the volume of the day, shares, and two means of it."""
        return self._each(security_list, check_date, unit, ('volume',), lambda bars: (
            bars['volume'], mean(bars['volume'], M1), mean(bars['volume'], M2)))

    def HSL(self, security_list: Any, check_date: Any, N: int = 5, unit: str = '1d', include_now: bool = True) -> Any:  # noqa: N802, N803
        """Return the turnover of the day and its mean, in percent of the float."""
        if not self.session.has('circ_market_cap'):
            raise Unsupported(f'{self.session.source} has no column circ_market_cap, of which HSL() is made')

        def work(bars: Series) -> tuple[np.ndarray, ...]:
            rate = divided(bars['volume'] * bars['close'], bars['circ_market_cap']) * 100
            return rate, mean(rate, N)

        return self._each(security_list, check_date, unit, ('volume', 'close', 'circ_market_cap'), work)

    def MTM(self, security_list: Any, check_date: Any, timeperiod: int = 12, unit: str = '1d', include_now: bool = True,  # noqa: N802
            fq_ref_date: Any = None) -> Any:
        """Return the close less that of some days before."""
        return self._each(security_list, check_date, unit, ('close',),
                          lambda bars: bars['close'] - before(bars['close'], timeperiod))

    def ROC(self, security_list: Any, check_date: Any, timeperiod: int = 12, unit: str = '1d', include_now: bool = True,  # noqa: N802
            fq_ref_date: Any = None) -> Any:
        """Return the return over some days, in percent."""
        return self._each(security_list, check_date, unit, ('close',), lambda bars: divided(
            bars['close'] - before(bars['close'], timeperiod), before(bars['close'], timeperiod)) * 100)

    def WR(self, security_list: Any, check_date: Any, N: int = 10, N1: int = 6, unit: str = '1d', include_now: bool = True,  # noqa: N802, N803
           fq_ref_date: Any = None) -> Any:
        """Return Williams' %R of two lengths."""

        def work(bars: Series) -> tuple[np.ndarray, ...]:
            found = []
            for n in (N, N1):
                low, high = over(bars['low'], n, np.min), over(bars['high'], n, np.max)
                found.append(divided(high - bars['close'], high - low) * 100)
            return tuple(found)

        return self._each(security_list, check_date, unit, ('close', 'high', 'low'), work)

    def OBV(self, security_list: Any, check_date: Any, timeperiod: int = 30, unit: str = '1d', include_now: bool = True,  # noqa: N802
            fq_ref_date: Any = None) -> Any:
        """Return the on-balance volume of the last days."""

        def work(bars: Series) -> np.ndarray:
            signed = np.sign(np.nan_to_num(bars['close'] - before(bars['close']))) * bars['volume']
            return over(signed, timeperiod, np.sum)

        return self._each(security_list, check_date, unit, ('close', 'volume'), work)

    def DMA(self, security_list: Any, check_date: Any, N1: int = 10, N2: int = 50, M: int = 10, unit: str = '1d',  # noqa: N802, N803
            include_now: bool = True, fq_ref_date: Any = None) -> Any:
        """Return the difference of two means, and its mean."""

        def work(bars: Series) -> tuple[np.ndarray, ...]:
            found = mean(bars['close'], N1) - mean(bars['close'], N2)
            return found, mean(found, M)

        return self._each(security_list, check_date, unit, ('close',), work)

    def BBI(self, security_list: Any, check_date: Any, timeperiod1: int = 3, timeperiod2: int = 6, timeperiod3: int = 12,  # noqa: N802
            timeperiod4: int = 24, unit: str = '1d', include_now: bool = True, fq_ref_date: Any = None) -> Any:
        """Return the mean of four means."""
        lengths = (timeperiod1, timeperiod2, timeperiod3, timeperiod4)
        return self._each(security_list, check_date, unit, ('close',), lambda bars: np.mean(
            [mean(bars['close'], n) for n in lengths], axis=0))

    def PSY(self, security_list: Any, check_date: Any, timeperiod: int = 12, unit: str = '1d', include_now: bool = True,  # noqa: N802
            fq_ref_date: Any = None) -> Any:
        """Return the part of rising days, in percent."""
        return self._each(security_list, check_date, unit, ('close',), lambda bars: mean(
            (bars['close'] > before(bars['close'])).astype(float), timeperiod) * 100)

    def TRIX(self, security_list: Any, check_date: Any, N: int = 12, M: int = 9, unit: str = '1d', include_now: bool = True,  # noqa: N802, N803
             fq_ref_date: Any = None) -> Any:
        """Return the change of a threefold mean, in percent, and its mean."""

        def work(bars: Series) -> tuple[np.ndarray, ...]:
            triple = ema(ema(ema(bars['close'], N), N), N)
            found = divided(triple - before(triple), before(triple)) * 100
            return found, mean(found, M)

        return self._each(security_list, check_date, unit, ('close',), work)

    def DMI(self, security_list: Any, check_date: Any, N: int = 14, MM: int = 6, unit: str = '1d', include_now: bool = True,  # noqa: N802, N803
            fq_ref_date: Any = None) -> Any:
        """Return PDI, MDI, ADX and ADXR."""

        def work(bars: Series) -> tuple[np.ndarray, ...]:
            ranges = over(true_range(bars), N, np.sum)
            up, down = bars['high'] - before(bars['high']), before(bars['low']) - bars['low']
            rising = over(np.where((up > 0) & (up > down), up, 0.0), N, np.sum)
            falling = over(np.where((down > 0) & (down > up), down, 0.0), N, np.sum)
            pdi, mdi = divided(rising, ranges) * 100, divided(falling, ranges) * 100
            adx = mean(divided(np.abs(mdi - pdi), mdi + pdi) * 100, MM)
            return pdi, mdi, adx, (adx + before(adx, MM)) / 2

        return self._each(security_list, check_date, unit, ('close', 'high', 'low'), work)

    def BRAR(self, security_list: Any, check_date: Any, N: int = 26, unit: str = '1d', include_now: bool = True,  # noqa: N802, N803
             fq_ref_date: Any = None) -> Any:
        """Return BR and AR."""

        def work(bars: Series) -> tuple[np.ndarray, ...]:
            last = before(bars['close'])
            br = divided(over(np.maximum(0, bars['high'] - last), N, np.sum), over(np.maximum(0, last - bars['low']), N, np.sum))
            ar = divided(over(bars['high'] - bars['open'], N, np.sum), over(bars['open'] - bars['low'], N, np.sum))
            return br * 100, ar * 100

        return self._each(security_list, check_date, unit, ('open', 'close', 'high', 'low'), work)
