"""Daily bars of some stocks or of an index, as a script may see them: known days, adjusted at the script's day."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import numpy as np

from ...exchange import rules
from ...feeds.columns import dates_of
from ...feeds.errors import DataError
from ...feeds.history import ex_rights_factor
from .errors import Unsupported
from .session import Session

ADJUSTED = ('open', 'close', 'high', 'low', 'avg', 'pre_close', 'preclose', 'high_limit', 'low_limit', 'price')
OURS = {'money': 'amount', 'pre_close': 'preclose'}  # the platform's names of our columns
FIELDS = ('open', 'close', 'low', 'high', 'volume', 'money', 'factor', 'high_limit', 'low_limit', 'avg', 'pre_close', 'paused',
          'open_interest', 'price')
DAYS = ('%Y-%m-%d', '%Y%m%d', '%Y/%m/%d', '%Y-%m-%d %H:%M:%S', '%Y-%m-%d %H:%M')  # how a script writes a day or a time


class Bars:
    """Reads bars for one session.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._index: dict[str, dict[str, np.ndarray]] = {}
        self._trades: dict[int, np.ndarray] = {}  # stock -> on which days of its life it was traded

    def days(self, low: int, high: int) -> np.ndarray:
        """Return days by their numbers, as datetime64."""
        known = dates_of(self.session.days[max(low, 0):high])
        if low >= 0:
            return known
        first = dates_of(self.session.days[:1]).astype('M8[D]')[0]  # before the first day of the store: weekdays
        earlier = np.busday_offset(first, np.arange(low, min(high, 0)), roll='backward')
        return np.concatenate([earlier.astype('M8[s]'), known])

    def window(self, fields: list[str], codes: list[str], low: int, high: int, fq: str | None) -> dict[str, np.ndarray]:
        """Return fields of some stocks or indices on known days.

        Parameters
        ----------
        fields : list of str
            The platform's names.
        codes : list of str
        low, high : int
            Numbers of the first day, and of the day after the last.
        fq : str or None
            ``pre``: at the level of today; ``post``: at that of a stock's first day; None: as they were.

        Returns
        -------
        dict of str to ndarray of float, shape (days, codes)
        """
        session = self.session
        if low < 0:  # the platform has no bars there either: NaN
            session.say_once(f'the script asks for bars before {session.date_of(0)}, the first day of {session.source}: they are '
                             'NaN', 'early')
            known = self.window(fields, codes, 0, max(high, 0), fq)
            lead = np.full((min(high, 0) - low, len(codes)), np.nan)
            return {field: np.concatenate([lead, values]) for field, values in known.items()}
        places = np.array([session.number.get(code, -1) for code in codes], 'int64')
        ours = np.flatnonzero(places >= 0)
        found = {field: np.full((high - low, len(codes)), np.nan) for field in fields}
        if len(ours) and high > low:
            stocks = places[ours]
            level = self._level(stocks, low, high, fq) if fq in ('pre', 'post') else None
            for field in fields:
                found[field][:, ours] = self._field(field, stocks, low, high, level).T
        for number in np.flatnonzero(places < 0):
            levels = self.index(codes[number])
            for field in fields:
                if field in levels:
                    found[field][:, number] = levels[field][low:high]
                elif field == 'paused':
                    found[field][:, number] = 0.0
                elif field == 'factor':
                    found[field][:, number] = 1.0
        return found

    def _field(self, field: str, stocks: np.ndarray, low: int, high: int, level: np.ndarray | None) -> np.ndarray:
        session = self.session
        if field == 'factor':
            return np.ones((len(stocks), high - low)) if level is None else level
        if field == 'open_interest':
            return np.full((len(stocks), high - low), np.nan)
        if field in ('high_limit', 'low_limit'):
            values = np.array([session.limit(field, day)[stocks] for day in range(low, high)]).reshape(-1, len(stocks)).T
        elif field in ('avg', 'price'):
            volume = session.gather('volume', stocks, low, high)
            close = session.gather('close', stocks, low, high)
            if not session.has('amount'):
                raise Unsupported(f"{session.source} has no column amount, of which the field 'avg' is made: ask for 'close'")
            money = session.gather('amount', stocks, low, high)
            values = np.where(volume > 0, np.divide(money, volume, out=np.zeros_like(money), where=volume > 0), close)
        else:
            name = OURS.get(field, field)
            if name == 'amount' and not session.has('amount'):
                raise Unsupported(f"{session.source} has no column amount, which is the field 'money'")
            values = session.gather(name, stocks, low, high)
            if name == 'preclose' and (lacking := values != values).any() and low:
                before = session.gather('close', stocks, low - 1, high - 1)
                values = np.where(lacking, before, values)
        if level is not None:
            if field in ADJUSTED:
                steps = 0.5 / rules.half_ticks(session.codes)[stocks, None]  # of a yuan: a fund has three decimals
                return np.where(steps > rules.STEPS, np.round(values * level, 3), np.round(values * level, 2))
            if field == 'volume':
                return np.round(np.divide(values, level, out=values.copy(), where=level > 0))
        return values

    def _level(self, stocks: np.ndarray, low: int, high: int, fq: str) -> np.ndarray:
        """Return what prices are multiplied by, shape (stocks, days)."""
        session = self.session
        if fq == 'post':
            begin = int(session.store.first[stocks].min())
            factors = self.factors(stocks, begin, high)
            return (1 / np.cumprod(factors, axis=1))[:, low - begin:] if low >= begin else np.concatenate(
                [np.ones((len(stocks), begin - low)), 1 / np.cumprod(factors, axis=1)], axis=1)
        today = session.place
        factors = self.factors(stocks, low, today + 1)  # of each day, that of today included: it is known before the open
        later = np.cumprod(factors[:, ::-1], axis=1)[:, ::-1]  # of a day and all later ones
        shifted = np.concatenate([later[:, 1:], np.ones((len(stocks), 1))], axis=1)
        return shifted[:, :high - low]

    def adjusted(self, name: str, stocks: np.ndarray, low: int, high: int) -> np.ndarray:
        """Return a price at the level of today, not rounded, shape (stocks, days); see `window`."""
        return self.session.gather(name, stocks, low, high) * self._level(stocks, max(low, 0), high, 'pre')

    def factors(self, stocks: np.ndarray, low: int, high: int) -> np.ndarray:
        """Return what the ex-rights of each day make of earlier prices, shape (stocks, days); 1 as a rule."""
        session = self.session
        if not low:
            return np.concatenate([np.ones((len(stocks), 1)), self.factors(stocks, 1, high)], axis=1) if high > 1 else np.ones(
                (len(stocks), high))
        close = session.gather('close', stocks, low - 1, high - 1)
        preclose, dividend, ratio = (session.gather(name, stocks, low, high) for name in (
            'preclose', 'cash_dividend', 'share_ratio'))
        half = np.repeat(rules.half_ticks(session.codes)[stocks], high - low)
        found = ex_rights_factor(close.ravel(), preclose.ravel(), dividend.ravel(), ratio.ravel(), half)
        return np.where(found == found, found, 1.0).reshape(close.shape)

    def index(self, code: str) -> dict[str, np.ndarray]:
        """Return an index on all days, by the platform's names of fields; who asks cuts what is not known yet.

        Raises
        ------
        Unsupported
            Neither a stock nor an index of the store.
        """
        if code not in self._index:
            session = self.session
            digits = str(code)[:6]
            try:
                if 'benchmarks' not in session.store.reference_names:
                    raise DataError('none')
                self._index[code] = session.store.reference_data.benchmark(digits)
            except DataError:
                raise Unsupported(
                    f'{session.source} has neither a stock nor an index {code!r}; an index is added with ingest --benchmark '
                    f'{digits}=FILE') from None
        return self._index[code]

    def traded(self, code: str, high: int) -> np.ndarray:
        """Return the numbers of the days before a day on which a stock or index was traded."""
        session = self.session
        number = session.number.get(code, -1)
        if number < 0:
            return np.flatnonzero(np.isfinite(self.index(code)['close'][:high]))
        first, stock = int(session.store.first[number]), np.array([number])
        if number not in self._trades:  # of its whole life; what is not known yet is cut off below
            last = int(session.store.last[number])
            paused, volume = (session.gather(name, stock, first, last + 1)[0] for name in ('paused', 'volume'))
            self._trades[number] = (paused == 0) & (volume > 0)
        known = min(high, session.last_place() + 1)
        found = first + np.flatnonzero(self._trades[number][:max(known - first, 0)])
        # whether today trades is not known yet, but that it is not suspended
        if high > known and session.gather('paused', stock, known, known + 1)[0, 0] == 0:
            found = np.append(found, known)
        return found


def as_time(day: Any, name: str = 'date') -> datetime:
    """Return a time that a script gives; a day is its midnight. See `as_date`."""
    if isinstance(day, datetime):
        return day
    if isinstance(day, np.datetime64):
        day = day.astype('datetime64[D]').astype(object)
    if isinstance(day, date):
        return datetime.combine(day, time())
    text = str(day).strip()
    for form in DAYS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    raise Unsupported(f'{name} is {day!r}: expected a day such as 2021-01-05')


def as_date(day: Any, name: str = 'date') -> date:
    """Return a day that a script gives: a date, a time, or a text such as 2021-01-05 or 20210105.

    Raises
    ------
    Unsupported
        It is none of these.
    """
    return as_time(day, name).date()
