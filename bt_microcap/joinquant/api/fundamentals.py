"""``get_fundamentals``, ``get_valuation`` and ``finance.run_query``: the store's columns as the platform's tables.

The market cap, the float cap and what follows from them are worked out of the store's own columns; everything else is a column
named by table and field, such as ``indicator.roe``, in the platform's unit. A row of a column holds what was published by that
day, so what a query finds on a day was known on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from .bars import as_date
from .errors import ScriptError, Unsupported, needed_columns
from .fields import KEYS
from .frames import Frame
from .query import UNNAMED, Query, Table, chosen, value_of
from .session import AFTER, Session

YI, WAN = 1e8, 1e4  # 亿, 万: the platform's units of caps and shares
MOST = 10_000  # rows of an answer
DATES = ('pubDate', 'statDate')  # in the store numbers such as 20200331, for a script texts such as 2020-03-31
# What follows from other columns: field -> the columns.
DERIVED: dict[str, tuple[str, ...]] = {
    'market_cap': ('market_cap',), 'capitalization': ('market_cap', 'close'),
    'circulating_market_cap': ('circ_market_cap',), 'circulating_cap': ('circ_market_cap', 'close'),
    'turnover_ratio': ('volume', 'close', 'circ_market_cap'),
}
# Further names under which a store may have a field of valuation, the first one that is there counts.
ALSO: dict[str, tuple[str, ...]] = {
    'pe_ratio': ('pe_ratio', 'pe_ttm'), 'pb_ratio': ('pb_ratio', 'pb'), 'ps_ratio': ('ps_ratio', 'ps_ttm'),
    'pcf_ratio': ('pcf_ratio', 'pcf_ttm'), 'pe_ratio_lyr': ('pe_ratio_lyr',), 'pcf_ratio2': ('pcf_ratio2',),
    'dividend_ratio': ('dividend_ratio', 'dv_ratio'), 'turnover_ratio': ('turnover_ratio', 'turnover_rate'),
}


def column_for(table: str, field: str, columns: Any) -> str | None:
    """Return which column of a store has a field; empty where it is worked out, None where it cannot be had.

    Parameters
    ----------
    table, field : str
    columns : container of str
        Those of the store.
    """
    name = f'{table}.{field}'
    if name in columns:
        return name
    if field in KEYS and field not in DATES:
        return ''
    if table == 'valuation':
        for other in ALSO.get(field, ()):
            if other in columns:
                return other
        if field in DERIVED and all(each in columns for each in DERIVED[field]):
            return ''
    return None


def lacking(used: Iterable[tuple[str, str]], columns: Any) -> list[str]:
    """Return the columns that a store lacks for some fields."""
    found = set()
    for table, field in used:
        if column_for(table, field, columns) is None:
            derived = DERIVED.get(field, ()) if table == 'valuation' else ()
            found.update([each for each in derived if each not in columns] or [f'{table}.{field}'])
    return sorted(found)


class _Day:
    """The platform's tables on a day: `query.Rows`."""

    def __init__(self, session: Session, place: int) -> None:
        self._session, self._place, self.codes = session, place, session.codes
        self._columns: dict[tuple[str, str], np.ndarray] = {}

    def column(self, table: str, field: str) -> np.ndarray:
        if (table, field) not in self._columns:
            self._columns[table, field] = self._read(table, field)
        return self._columns[table, field]

    def _read(self, table: str, field: str) -> np.ndarray:
        session, place = self._session, self._place
        if field == 'code':
            return self.codes
        if field == 'id':
            return np.arange(len(self.codes), dtype=float)
        if field == 'day':
            return np.full(len(self.codes), session.date_of(place).isoformat())
        name = column_for(table, field, session.store.columns)
        if name is None:
            raise ScriptError(needed_columns(lacking([(table, field)], session.store.columns), session.source))
        if name:
            values = session.vector(name, place)
            return day_texts(values) if field in DATES else values
        parts = [session.vector(each, place) for each in DERIVED[field]]
        with np.errstate(all='ignore'):
            if field in ('market_cap', 'circulating_market_cap'):
                return parts[0] / YI
            if field == 'turnover_ratio':
                volume, close, cap = parts
                return np.where(cap > 0, volume * close / cap * 100, np.nan)
            return np.where(parts[1] > 0, parts[0] / parts[1] / WAN, np.nan)

    def places(self, codes: Iterable[str]) -> np.ndarray:
        mask, number = np.zeros(len(self.codes), bool), self._session.number
        mask[[number[code] for code in codes if code in number]] = True
        return mask

    def there(self, asked: Query) -> np.ndarray:
        """Return which stocks all tables of a query have: they are joined by the code."""
        mask = self._session.shares & (self.column('valuation', 'market_cap') == self.column('valuation', 'market_cap'))
        tables: dict[str, list[str]] = {}
        for table, field in asked.used:
            if table != 'valuation' and field not in KEYS:
                tables.setdefault(table, []).append(field)
        for table, fields in tables.items():
            known = np.zeros(len(self.codes), bool)
            for field in fields:
                values = self.column(table, field)
                known |= values != '' if values.dtype.kind == 'U' else values == values
            mask &= known
        return mask


def day_texts(values: np.ndarray) -> np.ndarray:
    """Return numbers such as 20200331 as texts such as 2020-03-31; empty where it is not known."""
    numbers = np.nan_to_num(values).astype('int64').tolist()
    return np.array([f'{number // 10000:04d}-{number // 100 % 100:02d}-{number % 100:02d}' if number else ''
                     for number in numbers])


class Fundamentals:
    """The functions that give fundamentals.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._days: dict[int, _Day] = {}

    def _day(self, place: int) -> _Day:
        if place not in self._days:
            if len(self._days) > 4:
                self._days.clear()
            self._days[place] = _Day(self.session, place)
        return self._days[place]

    def _place(self, day: Any, what: str) -> int:
        """Return the number of the day that is meant: the day before, or a given one that is known."""
        session = self.session
        known = session.place if session.part == AFTER else session.place - 1
        if day is None:
            return session.place - 1
        wanted = session.place_of(as_date(day))
        if wanted > known:
            session.looks_ahead(f'{what} of {session.date_of(wanted)}', f'that of the day before, {session.date_of(known)},')
            return known
        if wanted < 0:
            raise Unsupported(f'{what} of {as_date(day)}: {session.source} begins on {session.date_of(0)}')
        return wanted

    def get_fundamentals(self, query_object: Query, date: Any = None, statDate: Any = None) -> Frame:  # noqa: N803
        """Return what a query finds: of the day before, or as known on a day."""
        if statDate is not None:
            raise Unsupported('statDate asks for statements by quarter, and the store has values by day: leave statDate out, or '
                              'give date')
        if not isinstance(query_object, Query):
            raise Unsupported(f'get_fundamentals() takes a query(...), found {query_object!r}')
        return self._answer(query_object, self._place(date, 'the valuation'))

    def _answer(self, asked: Query, place: int) -> Frame:
        """Return the rows of a query on a day."""
        session = self.session
        whole = [part for part in asked.asked if isinstance(part, Table)]
        if whole:  # of a whole table the fields that the store has
            asked = self._narrowed(asked)
        missing = lacking(asked.used, session.store.columns)
        if missing:
            raise ScriptError(needed_columns(missing, session.source))
        rows = self._day(place)
        places = chosen(asked, rows, rows.there(asked))[:MOST]
        columns: dict[str, Any] = {}
        unnamed = 0
        for column in asked.columns:
            if column.name == UNNAMED:
                unnamed += 1
            name, count = column.name if column.name != UNNAMED else f'anon_{unnamed}', 0
            while name in columns:
                count += 1
                name = f'{column.name}.{count}'
            values = np.asarray(value_of(column, rows))[places]
            columns[name] = values.astype(object) if values.dtype.kind == 'U' else values
        return Frame(columns)

    def _narrowed(self, asked: Query) -> Query:
        columns = self.session.store.columns
        parts: list[Any] = []
        for part in asked.asked:
            if isinstance(part, Table):
                fields = [field for field in part._whole if column_for(part._name, field, columns) is not None]
                if len([field for field in fields if field not in KEYS]) == 0:
                    raise ScriptError(needed_columns([f'{part._name}.{part._whole[5]}'], self.session.source)
                                      + f'; the script asks for the whole table {part._name}')
                parts += [getattr(part, field) for field in fields]
            else:
                parts.append(part)
        return asked._more(asked=tuple(parts))

    def get_fundamentals_continuously(self, query_object: Query, end_date: Any = None, count: int = 1, panel: bool = True) -> Any:
        """Return what a query finds on several days, in a long frame with the column day."""
        if panel:
            raise Unsupported('get_fundamentals_continuously() with a panel is not supported: give panel=False')
        last = self._place(end_date, 'the valuation')
        parts = []
        for place in range(max(last - int(count) + 1, 0), last + 1):
            found = self._answer(query_object, place)
            found['day'] = self.session.date_of(place).isoformat()
            parts.append(found)
        return Frame(pd.concat(parts, ignore_index=True))

    def get_valuation(self, security: Any, start_date: Any = None, end_date: Any = None, fields: Any = None,
                      count: int | None = None) -> Frame:
        """Return fields of valuation of some stocks on several days, in a long frame with code and day."""
        session = self.session
        codes = [security] if isinstance(security, str) else [str(code) for code in security]
        names = [fields] if isinstance(fields, str) else list(fields or (
            field for field in ('pe_ratio', 'pb_ratio', 'ps_ratio', 'pcf_ratio', *DERIVED)
            if column_for('valuation', field, session.store.columns) is not None))
        missing = lacking([('valuation', name) for name in names], session.store.columns)
        if missing:
            raise ScriptError(needed_columns(missing, session.source))
        last = self._place(end_date, 'the valuation')
        first = last - int(count or 1) + 1 if start_date is None else session.first_place(as_date(start_date))
        if first > (session.place if session.part == AFTER else session.place - 1):  # a span to come: the last day known
            first = last
        stocks, parts = session.stocks(codes), []
        for place in range(max(first, 0), last + 1):
            rows = self._day(place)
            parts.append([rows.column('valuation', name)[stocks] for name in names])
        days = [session.date_of(place) for place in range(max(first, 0), last + 1)]
        columns: dict[str, Any] = {'code': np.repeat(np.array(codes, object), len(days)), 'day': days * len(codes)}
        for number, name in enumerate(names):
            columns[name] = np.array([part[number] for part in parts]).reshape(len(days), len(codes)).T.ravel()
        found = Frame(columns)
        return found[found[names].notna().any(axis=1)].reset_index(drop=True) if len(names) else found
