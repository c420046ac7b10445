"""``history``, ``attribute_history``, ``get_price``, ``get_bars``: bars of known days.

Daily bars are all there is. Of minute bars the last one alone can be asked for, ``count=1``, which scripts use as the last price:
before the open that is yesterday's close, at the open the open, later the close.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import time
from typing import Any

import numpy as np
import pandas as pd

from .bars import FIELDS, Bars, as_date, as_time
from .errors import Unsupported
from .frames import Frame
from .panel import Panel
from .session import BEFORE, CLOSE, Session

MINUTES = re.compile(r'(\d*)\s*(?:m|minute|min)$')
DAYS = re.compile(r'(\d*)\s*(?:d|day|daily)$')
WEEKS = re.compile(r'1?\s*(w|M)$')
BARS = ['open', 'close', 'high', 'low', 'volume', 'money']


def step_of(unit: str) -> tuple[str, int]:
    """Return what a unit means: ``day`` or ``minute`` and how many of them, or ``week``, ``month``.

    Raises
    ------
    Unsupported
        It is none of these.
    """
    text = str(unit).strip()
    for kind, form in (('minute', MINUTES), ('day', DAYS)):
        if found := form.fullmatch(text.lower() if kind == 'minute' and not text.endswith('M') else text):
            return kind, int(found[1] or 1)
    if found := WEEKS.fullmatch(text):
        return {'w': 'week', 'M': 'month'}[found[1]], 1
    raise Unsupported(f'a bar of {unit!r} is not known: expected 1d, or 1m with count=1 for the last price')


class Prices:
    """The functions that give bars.

    Parameters
    ----------
    session : Session
    bars : Bars
    """

    def __init__(self, session: Session, bars: Bars) -> None:
        self.session, self.bars = session, bars

    # -- which days ------------------------------------------------------------------------------------------

    def _end(self, end: Any, fields: Iterable[str], what: str) -> int:
        """Return the number of the day after the last that is meant, none later than what is known."""
        session = self.session
        wanted = session.place_of(as_date(end, 'end_date'))
        known = session.last_place()
        if wanted > known and wanted == session.place and not set(fields) - {
                'high_limit', 'low_limit', 'pre_close', 'paused', 'factor', *(() if session.part == BEFORE else ('open',))}:
            return wanted + 1  # all of it is told before the open
        if wanted > known:
            session.looks_ahead(f'{what} of {session.date_of(wanted)}',
                                f'the last day known, {session.date_of(known)},')
            wanted = known
        return wanted + 1

    def history(self, count: int, unit: str = '1d', field: str = 'avg', security_list: Any = None, df: bool = True,
                skip_paused: bool = False, fq: str | None = 'pre') -> Any:
        """Return one field of several stocks on the last days before today: a frame days x codes, or a dict of arrays."""
        codes = self._codes(security_list)
        kind, size = step_of(unit)
        if kind == 'minute':
            self._last_minute(count, size)
            return self._shaped(dict(zip(codes, self._last(codes, [field]), strict=True)), field, df)
        self._daily(kind, unit)
        end = self.session.place
        if size > 1:
            window = self._grouped([field], codes, int(count), size, end, fq)
            found = window[0][field]
            return Frame(found, index=_index(window[1]), columns=codes) if df else dict(zip(codes, found.T, strict=True))
        if skip_paused:
            columns = {code: self._without_pauses([field], code, int(count), end, fq)[0][field] for code in codes}
            if not df:
                return columns
            return Frame(columns)
        low = end - int(count)
        found = self.bars.window([field], codes, low, end, fq)[field]
        if not df:
            return {code: found[:, place] for place, code in enumerate(codes)}
        return Frame(found, index=_index(self.bars.days(low, end)), columns=codes)

    def _shaped(self, rows: dict[str, dict[str, float]], field: str, df: bool) -> Any:
        if not df:
            return {code: np.array([row[field]]) for code, row in rows.items()}
        return Frame(np.array([[row[field] for row in rows.values()]]), index=_index(np.array([self.session.now], 'M8[s]')),
                     columns=list(rows))  # of an array: a column each would cost ten times as much

    def attribute_history(self, security: str, count: int, unit: str = '1d', fields: Any = tuple(BARS), skip_paused: bool = True,
                          df: bool = True, fq: str | None = 'pre') -> Any:
        """Return several fields of one stock on the last days before today: a frame days x fields, or a dict of arrays."""
        names = [fields] if isinstance(fields, str) else list(fields)
        kind, size = step_of(unit)
        if kind == 'minute':
            self._last_minute(count, size)
            row = self._last([security], names)[0]
            found, index = {name: np.array([row[name]]) for name in names}, np.array([self.session.now], 'M8[s]')
        else:
            self._daily(kind, unit)
            end, count = self.session.place, int(count)
            if size > 1:
                grouped, index = self._grouped(names, [security], count, size, end, fq)
                found = {name: values[:, 0] for name, values in grouped.items()}
            elif skip_paused:
                found, index = self._without_pauses(names, security, count, end, fq)
            else:
                window = self.bars.window(names, [security], end - count, end, fq)
                found, index = {name: window[name][:, 0] for name in names}, self.bars.days(end - count, end)
        return Frame(found, index=_index(index)) if df else found

    def get_price(self, security: Any, start_date: Any = None, end_date: Any = None, frequency: str = 'daily', fields: Any = None,
                  skip_paused: bool = False, fq: str | None = 'pre', count: int | None = None, panel: bool = True,
                  fill_paused: bool = True, round: bool = True) -> Any:  # noqa: A002 - the platform's name
        """Return bars: of one stock a frame days x fields; of several a long frame, or with ``panel`` a `Panel`."""
        session = self.session
        single = isinstance(security, str)
        codes = self._codes(security)
        names = list(BARS) if fields is None else [fields] if isinstance(fields, str) else list(fields)
        self._check(names)
        kind, size = step_of(frequency)
        if count is not None and start_date is not None:
            raise Unsupported('get_price() takes start_date or count, not both, as on the platform')
        if kind == 'minute':
            self._last_minute(1 if count is None and start_date is not None and end_date is not None and as_date(
                start_date) == session.today else count, size)
            rows = self._last(codes, names, end_date, fields is not None)
            index = np.array([session.now], 'M8[s]')
            found = {name: np.array([[row[name] for row in rows]]) for name in names}
        else:
            self._daily(kind, frequency)
            what = f'the {"bar" if len(names) > 1 else names[0]}'
            high = session.last_place() + 1 if end_date is None else self._end(end_date, names, what)
            low = 0 if start_date is None else session.first_place(as_date(start_date, 'start_date'))
            if count is not None:
                low = high - int(count)
            elif low >= high and (end_date is None or as_date(end_date) >= session.today):  # a span to come: the last day known
                low = max(high - 1, 0)
            if size > 1:
                low = max(low, 0) if count is None else low
                found, index = self._grouped(names, codes, (high - low) // size if count is None else int(count), size, high, fq)
            elif skip_paused and (single or not panel):
                parts = []
                for code in codes:
                    traded = self.bars.traded(code, high)
                    traded = traded[-int(count):] if count is not None else traded[traded >= low]
                    parts.append((code, *self._at(names, code, traded, fq)))
                if single:
                    return Frame(parts[0][1], index=_index(session.dates(parts[0][2])), columns=names)
                return _long([(code, session.dates(places), values) for code, values, places in parts], names)
            else:
                found, index = self.bars.window(names, codes, low, high, fq), self.bars.days(low, high)
                if not fill_paused:
                    paused = self.bars.window(['paused'], codes, low, high, None)['paused'] == 1
                    found = {name: np.where(paused & (name != 'paused'), np.nan, values) for name, values in found.items()}
        if single:
            return Frame({name: found[name][:, 0] for name in names}, index=_index(index), columns=names)
        if panel:
            return Panel({name: Frame(found[name], index=_index(index), columns=codes) for name in names})
        return _long([(code, index, {name: found[name][:, place] for name in names}) for place, code in enumerate(codes)], names)

    def get_bars(self, security: Any, count: int, unit: str = '1d', fields: Any = ('date', 'open', 'high', 'low', 'close'),
                 include_now: bool = False, end_dt: Any = None, fq_ref_date: Any = None, df: bool = False) -> Any:
        """Return the last bars on which a stock was traded: a structured array or a frame; of several a dict, or a long frame."""
        session = self.session
        names = [fields] if isinstance(fields, str) else list(fields)
        asked = [name for name in names if name != 'date']
        self._check(asked)
        kind, size = step_of(unit)
        single = isinstance(security, str)
        codes = self._codes(security)
        fq = None if fq_ref_date is None else 'pre'
        if kind == 'minute':
            self._last_minute(count, size)
            parts = [(code, np.array([session.now], 'M8[s]'), {name: np.array([row[name]]) for name in asked})
                     for code, row in zip(codes, self._last(codes, asked), strict=True)]
        else:
            last, opening = self._bars_end(end_dt, include_now)
            parts = []
            for code in codes:
                traded = self.bars.traded(code, last)
                if kind in ('week', 'month') and not include_now:  # the week that is not over is none
                    traded = traded[self._period(kind, traded) < self._period(kind, np.array([session.place]))]
                if kind != 'day' or size != 1:
                    values, places = self._periods(asked, code, traded, int(count), kind, size, fq)
                elif opening and not self._is_paused(code):
                    values, places = self._at(asked, code, traded[len(traded) - int(count) + 1:], fq)
                    now = self._last([code], asked, given=False)[0]
                    values = {name: np.append(values[name], 0.0 if name in ('volume', 'money') else now[name]) for name in asked}
                    places = np.append(places, session.place)
                else:
                    values, places = self._at(asked, code, traded[-int(count):], fq)
                parts.append((code, session.dates(places), values))
        made = {}
        for code, index, values in parts:
            columns = {name: index.astype('M8[D]').astype(object) if name == 'date' else values[name] for name in names}
            made[code] = Frame(columns) if df else _records(columns)
        if single:
            return made[codes[0]]
        if not df:
            return made
        return Frame(pd.concat(made))  # by code and number

    def _bars_end(self, end: Any, include_now: bool) -> tuple[int, bool]:
        """Return the number of the day after the last bar, and whether today's open is a bar of its own behind it.

        A day without a time ends at its begin, as on the platform; so does a time before the close, but for today's with
        ``include_now``.
        """
        session = self.session
        moment = session.now if end is None else as_time(end)
        day = session.place_of(moment.date())
        if day >= session.place and (end is None or moment.time() > time()):
            if include_now and session.part >= CLOSE:
                return session.place + 1, False
            return session.place, include_now and session.part == CLOSE - 1
        over = session.date_of(day) < moment.date() or moment.time() >= time(15)
        return min(session.place, day + 1 if over else day), False

    def _is_paused(self, code: str) -> bool:
        number = self.session.number.get(code, -1)
        return number >= 0 and self.session.fact('paused')[number]

    def _period(self, kind: str, places: np.ndarray) -> np.ndarray:
        """Return the number of the week or month of some days."""
        days = self.session.dates(places)
        return (days.astype('M8[D]').astype(int) + 3) // 7 if kind == 'week' else days.astype('M8[M]').astype(int)

    # -- what they share -------------------------------------------------------------------------------------

    def _codes(self, codes: Any) -> list[str]:
        if isinstance(codes, str):
            return [codes]
        if codes is None:
            return [str(code) for code in self.session.universe]
        return list(dict.fromkeys(str(code) for code in codes))

    @staticmethod
    def _check(names: list[str]) -> None:
        unknown = [name for name in names if name not in FIELDS]
        if unknown:
            raise Unsupported(f'bars have no field {unknown[0]!r}; they have {", ".join(FIELDS)}')

    @staticmethod
    def _daily(kind: str, unit: str) -> None:
        if kind != 'day':
            raise Unsupported(f'bars of {unit!r} are not supported here: ask for 1d, or get_bars()')

    def _grouped(
        self, names: list[str], codes: list[str], count: int, size: int, high: int, fq: str | None
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return bars of several days each, the last of them ending with the last day."""
        low = high - count * size
        window = self.bars.window(names, codes, low, high, fq)
        index = self.bars.days(low, high)[size - 1::size]
        return {name: joined(name, values.reshape(count, size, len(codes)), 1) for name, values in window.items()}, index

    def _periods(
        self, names: list[str], code: str, traded: np.ndarray, count: int, kind: str, size: int, fq: str | None
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return the last bars of weeks, months or several days on which a stock was traded, and the number of each last day."""
        if kind == 'day':
            keys = (np.arange(len(traded)) - len(traded)) // size  # the last bar ends with the last day
        else:
            keys = self._period(kind, traded)
        wanted = np.unique(keys)[-count:]
        traded, keys = traded[np.isin(keys, wanted)], keys[np.isin(keys, wanted)]
        values, _ = self._at(names, code, traded, fq)
        parts = [np.flatnonzero(keys == key) for key in wanted]
        found = {name: np.array([joined(name, column[part], 0) for part in parts]) for name, column in values.items()}
        return found, traded[[part[-1] for part in parts]] if parts else traded

    def _last_minute(self, count: Any, size: int) -> None:
        if count is None or int(count) != 1:
            raise Unsupported('minute bars are not there: daily bars know the last price alone, with count=1')

    def _last(self, codes: list[str], names: list[str], end: Any = None, given: bool = True) -> list[dict[str, float]]:
        """Return the last price and what belongs to it, a dict a stock."""
        session = self.session
        place = session.place
        if end is not None and (wanted := session.place_of(as_date(end, 'end_date'))) < place:
            window = self.bars.window(names, codes, wanted, wanted + 1, 'pre')
            return [{name: float(window[name][0, column]) for name in names} for column in range(len(codes))]
        rows = []
        for code in codes:
            number = session.number.get(code, -1)
            if number < 0:
                level = self.bars.index(code)
                known = 'open' if session.part == CLOSE - 1 else 'close'
                last = float(level[known][place if session.part > BEFORE else place - 1])
                price = {'high_limit': np.inf, 'low_limit': 0.0, 'paused': 0.0, 'factor': 1.0}
            else:
                last = session.fact('last_price')[number]
                price = {'high_limit': session.fact('high_limit')[number], 'low_limit': session.fact('low_limit')[number],
                         'pre_close': session.fact('last_close')[number], 'paused': float(session.fact('paused')[number]),
                         'factor': 1.0}
            row = {}
            for name in names:
                if name in ('volume', 'money') and not given:
                    row[name] = np.nan
                    continue
                if name in ('volume', 'money'):
                    raise Unsupported(f'the {name} of a minute is not there: daily bars know the last price alone')
                row[name] = price.get(name, last)
            rows.append(row)
        session.say_once('a bar of 1 minute stands for the last price known from daily bars: before 9:30 the last close, at the '
                         'open the open, later the close', 'minute')
        return rows

    def _without_pauses(
        self, names: list[str], code: str, count: int, end: int, fq: str | None
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return fields of the last days on which a stock was traded, and these days; NaN where there are too few, as there."""
        values, places = self._at(names, code, self.bars.traded(code, end)[-count:], fq)
        lacks = count - len(places)
        if not lacks:
            return values, self.session.dates(places)
        first = int(places[0]) if len(places) else end
        index = np.concatenate([self.bars.days(first - lacks, first), self.session.dates(places)])
        return {name: np.concatenate([np.full(lacks, np.nan), each]) for name, each in values.items()}, index

    def _at(self, names: list[str], code: str, places: np.ndarray, fq: str | None) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return fields of a stock on some days."""
        if not len(places):
            return {name: np.empty(0) for name in names}, places
        low = int(places[0])
        window = self.bars.window(names, [code], low, int(places[-1]) + 1, fq)
        return {name: window[name][places - low, 0] for name in names}, places


def joined(name: str, values: np.ndarray, axis: int) -> Any:
    """Return what several bars are together: the first open, the highest high, the sum of the volumes, the last of others."""
    if name in ('open', 'pre_close'):
        return np.take(values, 0, axis)
    if name in ('high', 'low', 'volume', 'money'):
        return {'high': np.max, 'low': np.min}.get(name, np.sum)(values, axis=axis)
    return np.take(values, -1, axis)


def _index(days: np.ndarray) -> Any:
    return pd.DatetimeIndex(days)


def _long(parts: list[tuple[str, np.ndarray, dict[str, np.ndarray]]], names: list[str]) -> Frame:
    """Return bars of several stocks below each other, with the columns time and code."""
    times = np.concatenate([index for _, index, _ in parts]) if parts else np.empty(0, 'M8[s]')
    codes = np.repeat(np.array([code for code, _, _ in parts], object), [len(index) for _, index, _ in parts])
    columns = {name: np.concatenate([values[name] for _, _, values in parts]) if parts else np.empty(0) for name in names}
    return Frame({'time': times, 'code': codes, **columns})


def _records(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Return columns as a structured array."""
    kinds = [(name, 'O' if values.dtype == object else 'f8') for name, values in columns.items()]
    out = np.empty(len(next(iter(columns.values()))), dtype=kinds)
    for name, values in columns.items():
        out[name] = values
    return out

