"""``get_factor_values``, the helpers of ``jqfactor``, and ``data`` of ``handle_data``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from ...feeds.columns import REQUIRED
from .bars import FIELDS, Bars, as_date
from .errors import ScriptError, Unsupported, needed_columns
from .frames import Column, Frame
from .session import Session

YEAR = 250  # trading days, as the platform counts
# Factors that daily bars give: name -> (columns beyond the bars, days to look back, what to make of them). The definitions are
# those of the platform's list of factors. Each gets arrays of shape (stocks, days), the last day being that of the factor.
Work = Callable[[dict[str, np.ndarray]], np.ndarray]
COMPUTED: dict[str, tuple[tuple[str, ...], int, Work]] = {}


def _add(name: str, columns: tuple[str, ...], days: int, work: Work) -> None:
    COMPUTED[name] = columns, days, work


def _quiet(values: np.ndarray, how: Callable[..., np.ndarray], **kwargs: Any) -> np.ndarray:
    """Return what a function makes of known values alone, NaN where there are none."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return how(values, axis=1, **kwargs)


def _returns(bars: dict[str, np.ndarray]) -> np.ndarray:
    close = bars['close']
    return close[:, 1:] / close[:, :-1] - 1


def _turnover(bars: dict[str, np.ndarray]) -> np.ndarray:
    cap = bars['circ_market_cap']
    return np.where(cap > 0, bars['volume'] * bars['raw_close'] / cap * 100, np.nan)


def _sharpe(n: int) -> Work:
    def work(bars: dict[str, np.ndarray]) -> np.ndarray:
        moves = _returns(bars)
        gained = np.expm1(np.log1p(moves).sum(axis=1) * YEAR / n)
        return (gained - 0.04) / (moves.std(axis=1, ddof=1) * np.sqrt(YEAR))

    return work


for _n in (5, 10, 20, 60, 120, 240):
    _add(f'VOL{_n}', ('volume', 'raw_close', 'circ_market_cap'), _n, lambda bars: _quiet(_turnover(bars), np.nanmean))
for _n in (5, 10, 20):
    _add(f'DAVOL{_n}', ('volume', 'raw_close', 'circ_market_cap'), 120, lambda bars, n=_n: _quiet(
        _turnover(bars)[:, -n:], np.nanmean) / _quiet(_turnover(bars), np.nanmean))
for _n in (6, 12, 20, 60, 120):
    _add(f'ROC{_n}', (), _n + 1, lambda bars: (bars['close'][:, -1] / bars['close'][:, 0] - 1) * 100)
for _n in (5, 10, 20, 60):
    _add(f'BIAS{_n}', (), _n, lambda bars: (bars['close'][:, -1] / bars['close'].mean(axis=1) - 1) * 100)
for _n in (5, 10, 20, 60, 120):
    _add(f'MAC{_n}', (), _n, lambda bars: bars['close'].mean(axis=1) / bars['close'][:, -1])
for _n in (20, 60, 120):
    _add(f'Variance{_n}', (), _n + 1, lambda bars: _returns(bars).var(axis=1, ddof=1) * YEAR)
    _add(f'sharpe_ratio_{_n}', (), _n + 1, _sharpe(_n))
for _name, _n in (('Price1M', 20), ('Price3M', 60), ('Price1Y', 250)):
    _add(_name, (), _n + 1, lambda bars: bars['close'][:, -1] / bars['close'][:, :-1].mean(axis=1) - 1)
for _n in (6, 20):
    _add(f'TVMA{_n}', ('amount',), _n, lambda bars: bars['amount'].mean(axis=1))
    _add(f'TVSTD{_n}', ('amount',), _n, lambda bars: bars['amount'].std(axis=1, ddof=1))
for _n in (10, 20):
    _add(f'VSTD{_n}', ('volume',), _n, lambda bars: bars['volume'].std(axis=1, ddof=1))
_add('turnover_volatility', ('volume', 'raw_close', 'circ_market_cap'), 20, lambda bars: _quiet(
    _turnover(bars), np.nanstd, ddof=1) / 100)
_add('natural_log_of_market_cap', ('market_cap',), 1, lambda bars: np.log(bars['market_cap'][:, -1]))
_add('market_cap', ('market_cap',), 1, lambda bars: bars['market_cap'][:, -1])
_add('circulating_market_cap', ('circ_market_cap',), 1, lambda bars: bars['circ_market_cap'][:, -1])
_add('PSY', (), 13, lambda bars: (_returns(bars) > 0).mean(axis=1) * 100)


def column_with(name: str, columns: Any) -> str:
    """Return the column of a store that holds a factor: ``factor.NAME``, or its bare name; empty where there is none."""
    bare = name if name not in REQUIRED and name not in COMPUTED else ''
    return next((each for each in (f'factor.{name}', bare) if each and each in columns), '')


def lacks_for_factor(name: str, session: Session) -> str:
    """Return the column that the store lacks for a factor; empty where it can be had."""
    columns = session.store.columns
    if column_with(name, columns):
        return ''
    if name not in COMPUTED:
        return f'factor.{name}'
    lacks = [each for each in COMPUTED[name][0] if each != 'raw_close' and each not in columns]
    return lacks[0] if lacks else ''


class Factors:
    """The functions that give factors.

    Parameters
    ----------
    session : Session
    bars : Bars
    """

    def __init__(self, session: Session, bars: Bars) -> None:
        self.session, self.bars = session, bars

    def get_factor_values(self, securities: Any, factors: Any, start_date: Any = None, end_date: Any = None,
                          count: int | None = None) -> dict[str, Frame]:
        """Return factors: name -> frame days x codes."""
        session = self.session
        codes = [securities] if isinstance(securities, str) else [str(code) for code in securities]
        names = [factors] if isinstance(factors, str) else [str(name) for name in factors]
        last = session.place - 1 if end_date is None else session.place_of(as_date(end_date, 'end_date'))
        if last >= session.place:  # worked out in the night after a day
            session.looks_ahead(f'a factor of {session.date_of(last)}', f'that of the day before, {session.previous_date},')
            last = session.place - 1
        if count is not None:
            low = last - int(count) + 1
        else:
            low = last if start_date is None else session.first_place(as_date(start_date, 'start_date'))
        if low >= session.place:  # a span to come: the last day known
            low = last
        low, stocks = max(low, 0), session.stocks(codes)
        last = max(last, low - 1)  # no trading day at all
        index = pd.DatetimeIndex(session.dates(slice(low, last + 1)))
        return {name: Frame(self._factor(name, stocks, low, last + 1), index=index, columns=codes) for name in names}

    def _factor(self, name: str, stocks: np.ndarray, low: int, high: int) -> np.ndarray:
        session = self.session
        lacks = lacks_for_factor(name, session)
        if lacks:
            raise ScriptError(needed_columns([lacks], session.source))
        if column := column_with(name, session.store.columns):
            return session.gather(column, stocks, low, high).T
        columns, days, work = COMPUTED[name]
        first = max(low - days + 1, 0)
        bars = {each: session.gather('close' if each == 'raw_close' else each, stocks, first, high) for each in columns}
        bars['close'] = self.bars.adjusted('close', stocks, first, high)
        out = np.full((high - low, len(stocks)), np.nan)
        with np.errstate(all='ignore'):
            for row, place in enumerate(range(low, high)):
                if place - days + 1 >= first:
                    part = slice(place - days + 1 - first, place + 1 - first)
                    out[row] = work({each: values[:, part] for each, values in bars.items()})
        return out


def helpers() -> dict[str, Any]:
    """Return what ``jqfactor`` has to shape factors with."""
    return {'winsorize': winsorize, 'winsorize_med': winsorize_med, 'standardlize': standardlize, 'neutralize': neutralize}


def winsorize(data: Any, scale: float | None = None, range: Any = None, qrange: Any = None, inclusive: bool = True,  # noqa: A002
              inf2nan: bool = True, axis: int = 1) -> Any:
    """Return values cut to so many standard deviations about the mean, to a range, or to quantiles."""

    def cut(column: Any) -> Any:
        if inf2nan:
            column = column.where(np.isfinite(column.astype(float)))
        if qrange is not None:
            low, high = column.quantile(qrange[0]), column.quantile(qrange[1])
        elif range is not None:
            low, high = range
        else:
            away = (scale or 3) * column.std()
            low, high = column.mean() - away, column.mean() + away
        return column.clip(low, high) if inclusive else column.where((column >= low) & (column <= high))

    return _by_column(data, cut, axis)


def winsorize_med(data: Any, scale: float = 1, inclusive: bool = True, inf2nan: bool = True, axis: int = 1) -> Any:
    """Return values cut to so many median absolute deviations about the median."""

    def cut(column: Any) -> Any:
        if inf2nan:
            column = column.where(np.isfinite(column.astype(float)))
        middle = column.median()
        away = scale * (column - middle).abs().median()
        low, high = middle - away, middle + away
        return column.clip(low, high) if inclusive else column.where((column >= low) & (column <= high))

    return _by_column(data, cut, axis)


def standardlize(data: Any, inf2nan: bool = True, axis: int = 1) -> Any:
    """Return values less their mean, over their standard deviation."""

    def scale(column: Any) -> Any:
        if inf2nan:
            column = column.where(np.isfinite(column.astype(float)))
        return (column - column.mean()) / column.std()

    return _by_column(data, scale, axis)


def neutralize(*args: Any, **kwargs: Any) -> Any:
    """Refuse what needs the platform's classification."""
    raise Unsupported('neutralize() is not supported: it needs the industries and styles of the platform')


def _by_column(data: Any, how: Callable[[Any], Any], axis: int) -> Any:
    if isinstance(data, pd.Series):
        return Column(how(data))
    return Frame(data.apply(how, axis=axis))


class Bar:
    """The bar of the day before of one stock, as ``data[security]``."""

    def __init__(self, bars: Bars, code: str) -> None:
        self._bars, self._session, self.security = bars, bars.session, code

    def __getattr__(self, name: str) -> Any:
        session = self._session
        if name == 'returns':
            window = self._bars.window(['close'], [self.security], session.place - 2, session.place, 'pre')['close'][:, 0]
            return window[-1] / window[0] - 1
        if name in FIELDS:
            field = 'close' if name == 'price' else name
            value = self._bars.window([field], [self.security], session.place - 1, session.place, None)[field][0, 0]
            return bool(value) if name == 'paused' else float(value)
        raise AttributeError(f'data[...] has no {name!r}')

    def _last(self, field: str, n: int) -> np.ndarray:
        session = self._session
        return self._bars.window([field], [self.security], session.place - n, session.place, 'pre')[field][:, 0]

    def mavg(self, n: int, field: str = 'close') -> float:
        """Return the mean of the last n days."""
        return float(np.nanmean(self._last(field, int(n))))

    def stddev(self, n: int, field: str = 'close') -> float:
        """Return the standard deviation of the last n days."""
        return float(np.nanstd(self._last(field, int(n)), ddof=1))

    def vwap(self, n: int) -> float:
        """Return the price of the last n days, weighted by volume."""
        volume = self._last('volume', int(n))
        return float(np.nansum(self._last('avg', int(n)) * volume) / np.nansum(volume)) if np.nansum(volume) else np.nan


class BarDict:
    """``data`` of ``handle_data(context, data)``."""

    def __init__(self, session: Session, bars: Bars) -> None:
        self._session, self._bars = session, bars

    def __getitem__(self, code: str) -> Bar:
        if code not in self._session.number:
            self._bars.index(code)
        return Bar(self._bars, code)

    def __contains__(self, code: object) -> bool:
        return code in self._session.number

    def __iter__(self) -> Iterator[str]:
        return iter(self._session.universe)

    def keys(self) -> list[str]:
        """Return the codes of ``set_universe``."""
        return list(self._session.universe)
