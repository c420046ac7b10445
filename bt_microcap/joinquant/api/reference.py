"""Which stocks there are, what they are called, indices' members, industries, trading days."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from ...exchange import rules
from ...feeds.errors import DataError
from .bars import as_date
from .errors import Unsupported
from .frames import Frame
from .session import Session

LISTED_LONG = date(1990, 12, 19)  # what stands for a listing that is not known: the first day of Shanghai's exchange
STILL_LISTED = date(2200, 1, 1)  # the platform's end_date of what is listed
# Indices that are a board, or all of them, by the codes' first digits, as far as the store does not tell their members.
BOARD_INDICES = {
    '399101': ('002', '003'), '399102': ('300', '301', '302'), '399106': ('000', '001', '002', '003', '300', '301', '302'),
    '399107': ('000', '001', '002', '003', '300', '301', '302'), '000002': ('600', '601', '603', '605', '688', '689'),
    '000985': ('00', '30', '60', '68'),
}


class SecurityInfo:
    """What ``get_security_info`` gives."""

    def __init__(self, code: str, name: str, start: date, end: date, kind: str) -> None:
        self.code, self.display_name, self.name, self.type = code, name, name, kind
        self.start_date, self.end_date, self.parent = start, end, None

    def __repr__(self) -> str:
        return f'Security(code={self.code})'


class Reference:
    """The functions that look things up.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._lives: tuple[list[date], list[date]] | None = None
        self._names: tuple[int, list[str]] = (-1, [])
        self._frames: dict[Any, Frame] = {}

    # -- lives and names -------------------------------------------------------------------------------------

    @property
    def lives(self) -> tuple[list[date], list[date]]:
        """The first and the last day of each stock."""
        if self._lives is None:
            session, store = self.session, self.session.store
            listed, delisted = store.listing_days('listed'), store.listing_days('delisted')
            starts, ends = [], []
            unknown = 0
            for code, first in zip(session.codes.tolist(), store.first.tolist(), strict=True):
                if code in listed:
                    starts.append(date.fromordinal(listed[code]))
                elif first:
                    starts.append(session.date_of(first))
                else:
                    starts.append(LISTED_LONG)
                    unknown += 1
                ends.append(date.fromordinal(delisted[code]) if code in delisted else STILL_LISTED)
            if unknown and not listed:
                session.say_once(f'{session.source} has no listing days: what is there on its first day, {session.date_of(0)}, '
                                 f'counts as listed on {LISTED_LONG}', 'listings')
            self._lives = starts, ends
        return self._lives

    def names(self, place: int) -> list[str]:
        """Return the names as known on a day; without names in the store the codes, with ST and 退 by the flags."""
        session = self.session
        if self._names[0] == place and self._names[1]:
            return self._names[1]
        found: list[str]
        if 'names' in session.store.reference_names:
            known = session.store.reference_data.latest('names', int(session.days[max(place, 0)])).tolist()
            found = [name or code for name, code in zip(known, session.codes.tolist(), strict=True)]
        else:
            session.say_once(f'{session.source} has no names: names are the codes, with ST and 退 by the flags', 'names')
            found = [f'{"ST" if st and not leaving else ""}{code[:6]}{"退" if leaving else ""}' for code, st, leaving in zip(
                session.codes.tolist(), session.fact('is_st'), session.fact('delisting'), strict=True)]
        self._names = place, found
        return found

    def name_now(self, place: int) -> str:
        """Return the name of a stock as known today."""
        return self.names(self.session.place)[place]

    def industry_of(self, place: int) -> str:
        """Return the industry of a stock, as known the day before; empty where it is not known."""
        session = self.session
        if 'industries' not in session.store.reference_names:
            return ''
        return str(session.store.reference_data.latest('industries', int(session.days[session.place - 1]))[place])

    @staticmethod
    def _kind(code: str) -> str:
        if rules.is_fund(code):
            return 'etf'
        return 'stock' if rules.is_share(code) else 'index'

    def get_security_info(self, code: str, date: Any = None) -> SecurityInfo:
        """Return what is known of a stock, or an index."""
        session = self.session
        place = session.number.get(code, -1)
        if place < 0:
            if str(code)[:3] not in ('000', '399'):
                session.stock(code)  # says that there is none
            return SecurityInfo(code, code, Day.of(LISTED_LONG), Day.of(STILL_LISTED), 'index')
        starts, ends = self.lives
        end = ends[place] if ends[place] <= session.today else STILL_LISTED
        return SecurityInfo(code, self.name_now(place), Day.of(starts[place]), Day.of(end), self._kind(code))

    def get_all_securities(self, types: Any = ('stock',), date: Any = None) -> Frame:
        """Return all stocks, or those listed on a day: a frame with display_name, name, start_date, end_date, type."""
        session = self.session
        kinds = [types] if isinstance(types, str) else list(types) or ['stock']
        day = session.today if date is None else as_date(date)
        if day > session.today:
            day = session.today
        key = (tuple(kinds), None if date is None else day, session.today)
        if key in self._frames:
            return self._frames[key].copy()
        starts, ends = self.lives
        fund = any(kind not in ('stock', 'index', 'futures') for kind in kinds)
        chosen = [place for place, code in enumerate(session.codes.tolist())
                  if ('stock' in kinds and session.shares[place] or fund and rules.is_fund(code))
                  and starts[place] <= day and (date is None or ends[place] >= day)]
        names = self.names(session.place)
        told = [ends[place] if ends[place] <= session.today else STILL_LISTED for place in chosen]
        found = Frame({
            'display_name': [names[place] for place in chosen], 'name': [names[place] for place in chosen],
            'start_date': [starts[place] for place in chosen], 'end_date': told,
            'type': [self._kind(code) for code in session.codes[chosen].tolist()],
        }, index=session.codes[chosen].astype(object))
        for name in ('start_date', 'end_date'):
            found[name] = pd.Series([Day.of(day) for day in found[name]], index=found.index, dtype=object)
        self._frames = {key: found}
        return found.copy()

    # -- members ---------------------------------------------------------------------------------------------

    def get_index_stocks(self, index_symbol: str, date: Any = None) -> list[str]:
        """Return the members of an index, as known the day before or on a day."""
        session = self.session
        day = session.previous_date if date is None else min(as_date(date), session.previous_date)
        digits = str(index_symbol)[:6]
        try:
            if 'constituents' not in session.store.reference_names:
                raise DataError('none')
            mask = session.store.reference_data.members(digits, day.toordinal())
        except DataError as error:
            begins = BOARD_INDICES.get(digits)
            if digits == '000001' and str(index_symbol).endswith('XSHG'):
                begins = BOARD_INDICES['000002']
            if begins is None:
                raise Unsupported(f'the members of {index_symbol} are not known: '
                                  f'{lacks_members(session.source, digits, error)}') from None
            session.say_once(f'{session.source} does not tell the members of {digits}: all listed stocks with the codes '
                             f'{", ".join(begins)} count', ('members', digits))
            mask = np.array([code.startswith(begins) for code in session.codes.tolist()]) & session.shares & self._listed(day)
        return session.codes[mask].tolist()

    def _listed(self, day: date) -> np.ndarray:
        starts, ends = self.lives
        return np.array([start <= day <= end for start, end in zip(starts, ends, strict=True)], bool)

    def get_industry_stocks(self, industry_code: str, date: Any = None) -> list[str]:
        """Return the stocks of an industry, by its name in the store, or its code of Shenwan's first level."""
        session = self.session
        wanted = {industry_code, INDUSTRIES.get(str(industry_code), industry_code)}
        known = self._industries(date)
        return session.codes[np.isin(known, list(wanted)) & session.shares].tolist()

    def _industries(self, day: Any = None) -> np.ndarray:
        session = self.session
        if 'industries' not in session.store.reference_names:
            raise Unsupported(f'{session.source} has no industries: give ingest --industries FILE')
        wanted = session.previous_date if day is None else min(as_date(day), session.previous_date)
        return session.store.reference_data.latest('industries', wanted.toordinal())

    def get_industry(self, security: Any, date: Any = None) -> dict[str, Any]:
        """Return the industry of stocks: code -> classification -> code and name; the store's own stands for all."""
        session, known = self.session, self._industries(date)
        codes = [security] if isinstance(security, str) else list(security)
        found = {}
        for code in codes:
            name = str(known[session.stock(code)])
            entry = {'industry_code': INDUSTRY_CODES.get(name, name), 'industry_name': name}
            found[code] = {kind: dict(entry) for kind in ('sw_l1', 'sw_l2', 'sw_l3', 'zjw', 'jq_l1', 'jq_l2')} if name else {}
        session.say_once('the industries of the store stand for every classification', 'industries')
        return found

    def get_industries(self, name: str = 'zjw', date: Any = None) -> Frame:
        """Return the industries: a frame with the name by code."""
        names = sorted({str(each) for each in self._industries(date)} - {''})
        return Frame({'name': names, 'start_date': [LISTED_LONG] * len(names)},
                     index=[INDUSTRY_CODES.get(each, each) for each in names])

    def get_extras(self, info: str, security_list: Any, start_date: Any = None, end_date: Any = None, df: bool = True,
                   count: int | None = None) -> Any:
        """Return ``is_st`` of some stocks on several days: a frame days x codes, or a dict of arrays."""
        session = self.session
        if info != 'is_st':
            raise Unsupported(f"get_extras({info!r}) is not supported: 'is_st' alone is known of stocks")
        codes = [security_list] if isinstance(security_list, str) else list(dict.fromkeys(map(str, security_list)))
        last = session.place if end_date is None else min(session.place, session.place_of(as_date(end_date)))
        low = last - int(count) + 1 if count is not None else (
            session.first_place(as_date(start_date)) if start_date is not None else last)
        stocks, low = session.stocks(codes), max(min(low, last + 1), 0)  # a span without a trading day is empty
        flags = session.gather('is_st', stocks, low, last + 1) == 1
        if session.has('delisting_period'):
            flags |= session.gather('delisting_period', stocks, low, last + 1) == 1
        if not df:
            return {code: flags[number] for number, code in enumerate(codes)}
        return Frame(flags.T, index=pd.DatetimeIndex(session.dates(slice(low, last + 1))), columns=codes)

    # -- days ------------------------------------------------------------------------------------------------

    def get_trade_days(self, start_date: Any = None, end_date: Any = None, count: int | None = None) -> np.ndarray:
        """Return trading days as an array of dates, the last ones up to a day, today by default."""
        session = self.session
        last = session.place if end_date is None else session.place_of(as_date(end_date))
        if count is not None:
            low = last - int(count) + 1
        else:
            low = 0 if start_date is None else session.first_place(as_date(start_date))
        return self._dates(session.days[max(low, 0):last + 1])

    def get_all_trade_days(self) -> np.ndarray:
        """Return all trading days of the store; days to come are public beforehand."""
        return self._dates(self.session.days)

    @staticmethod
    def _dates(days: Iterable[int]) -> np.ndarray:
        out = np.empty(len(list(days)), object)
        out[:] = [date.fromordinal(int(day)) for day in days]
        return out


class Day(date):
    """A listing day, which scripts compare with dates and times, subtract from both, and take ``.date()`` of."""

    @classmethod
    def of(cls, day: date) -> Day:
        """Return a date as such a day."""
        return cls(day.year, day.month, day.day)

    def date(self) -> date:
        """Return the day."""
        return date(self.year, self.month, self.day)

    def to_pydatetime(self) -> datetime:
        """Return the day as a time."""
        return datetime(self.year, self.month, self.day)

    def _with(self, other: Any, how: Any) -> Any:
        if isinstance(other, datetime):
            return how(self.to_pydatetime(), other.replace(tzinfo=None))
        return how(self.date(), other) if isinstance(other, date) else NotImplemented

    def __lt__(self, other: Any) -> Any:
        return self._with(other, operator.lt)

    def __le__(self, other: Any) -> Any:
        return self._with(other, operator.le)

    def __gt__(self, other: Any) -> Any:
        return self._with(other, operator.gt)

    def __ge__(self, other: Any) -> Any:
        return self._with(other, operator.ge)

    def __rsub__(self, other: Any) -> Any:
        return self._with(other, lambda ours, theirs: theirs - ours)

    def __sub__(self, other: Any) -> Any:
        return self.date() - other if isinstance(other, timedelta) else self._with(other, operator.sub)


def lacks_members(source: str, digits: str, error: Exception | None = None) -> str:
    """Return what is to be said where a store does not tell the members of an index."""
    said = str(error) if error is not None and str(error) != 'none' else f'{source} has no members of {digits}'
    return f'{said}; give ingest --members {digits}=FILE'


# 申万一级行业, codes of the platform, as of the classification of 2014 and 2021.
INDUSTRIES = {
    '801010': '农林牧渔', '801020': '采掘', '801030': '基础化工', '801040': '钢铁', '801050': '有色金属', '801080': '电子',
    '801110': '家用电器', '801120': '食品饮料', '801130': '纺织服饰', '801140': '轻工制造', '801150': '医药生物',
    '801160': '公用事业', '801170': '交通运输', '801180': '房地产', '801200': '商贸零售', '801210': '社会服务', '801230': '综合',
    '801710': '建筑材料', '801720': '建筑装饰', '801730': '电力设备', '801740': '国防军工', '801750': '计算机', '801760': '传媒',
    '801770': '通信', '801780': '银行', '801790': '非银金融', '801880': '汽车', '801890': '机械设备', '801950': '煤炭',
    '801960': '石油石化', '801970': '环保', '801980': '美容护理',
}
INDUSTRY_CODES = {name: code for code, name in INDUSTRIES.items()}
