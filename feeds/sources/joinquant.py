"""Reading from JoinQuant's jqdatasdk: an account, in ``JQDATA_USER`` and ``JQDATA_PASSWORD``.

Asked for in lists of stocks, which stay the same from one run to the next: a new listing comes last. Suspended days are
rows with the last close and the flag ``paused``; the valuation has no rows there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, timedelta
from types import ModuleType

import numpy as np
import pandas as pd

from ..errors import DataError
from . import Request
from . import download as raw

DAILY, VALUATION, SPECIAL = 'get_price', 'get_valuation', 'get_extras'
STOCKS, INDUSTRY, MEMBERS = 'get_all_securities', 'get_industry', 'get_index_stocks'
FILES = {name: name for name in (DAILY, VALUATION, SPECIAL, STOCKS)} | {'get_extras_is_st': SPECIAL}
FIELDS = ['open', 'close', 'high', 'low', 'volume', 'money', 'high_limit', 'low_limit', 'pre_close', 'paused']
LIST, LONG_LIST = 100, 1000  # stocks in a call
WINDOW = timedelta(days=60)  # of a valuation: with 100 stocks below the 5,000 rows that an answer surely holds
ROUND = 1000  # an answer of so many rows or a multiple may have been cut
THROTTLE = (5, 1.0)  # calls in seconds
_TRUTH = {True: 1, False: 0, 'True': 1, 'False': 0}


def daily(frame: pd.DataFrame, valuation: pd.DataFrame, special: pd.DataFrame, source: str = 'joinquant',
          code: str | None = None) -> pd.DataFrame:
    """Return an answer of ``get_price`` (fq=None) as a canonical table.

    Parameters
    ----------
    frame : DataFrame
        time, code and the columns in `FIELDS`; volume in shares, money in yuan.
    valuation : DataFrame
        The answer of ``get_valuation``: code, day, market_cap (亿, 1e8 yuan) and capitalization (万, 10,000 shares). On
        days without a row the last total shares times the close.
    special : DataFrame
        The answer of ``get_extras('is_st')``: days, and a column per stock.
    source : str
        What messages call it.
    code : str, optional
        Canonical code, where the answer is of one stock and has no column code.

    Raises
    ------
    DataError
        A column that lacks, text where a number is expected, or adjusted prices.
    """
    if 'time' not in frame and len(frame.columns):  # a stock alone: its index
        frame = frame.rename(columns={frame.columns[0]: 'time'})
    if 'code' not in frame and code:
        frame = frame.assign(code=code)
    frame = raw.need(frame, ('time', 'code', *FIELDS), source)
    if 'factor' in frame and ((factor := raw.number(frame, 'factor', source).dropna()) != 1).any():
        raise DataError(f'{source}, column factor: found {factor[factor != 1].iloc[0]:g}, adjusted prices; expected raw ones, '
                        'ask with fq=None')
    ours = {'pre_close': 'preclose', 'money': 'amount'}
    table = pd.DataFrame({'date': raw.days(frame, 'time', source), 'code': raw.codes(frame, 'code'),
                          **{ours.get(name, name): raw.number(frame, name, source) for name in FIELDS}})
    table = table[table['code'].notna() & table['close'].notna()].sort_values(['code', 'date'], ignore_index=True)
    table['paused'] = (table['paused'] > 0).astype('uint8')
    table[['volume', 'amount']] = table[['volume', 'amount']].fillna(0.0)
    table['preclose'] = _reference(table)
    raw.check_raw(table, source)
    caps = market_caps(valuation, source.replace(DAILY, VALUATION)).astype({'date': table['date'].dtype})
    table = table.merge(caps.drop_duplicates(['date', 'code']), on=['date', 'code'], how='left')
    shares = table['shares'].fillna(table['market_cap'] / table['close']).groupby(table['code']).ffill()
    table['market_cap'] = table['market_cap'].fillna((shares * table['close']).round(2))
    marks = is_st(special, source.replace(DAILY, SPECIAL)).astype({'date': table['date'].dtype})
    table = table.drop(columns='shares').merge(marks.drop_duplicates(['date', 'code']), on=['date', 'code'], how='left')
    table['is_st'] = (table['is_st'] == 1).astype('uint8')
    table.attrs['source'] = source
    return table


def _reference(table: pd.DataFrame) -> pd.Series:
    """Return the reference price: pre_close, or the middle of the day's limits where it is off (an ex-date)."""
    high, low = table['high_limit'], table['low_limit']
    middle, width = (high + low) / 2, (high - low) / (high + low)
    off = ((middle - table['preclose']).abs() > 0.0151) & width.between(0.04, 0.32) & (table['preclose'] > 1)
    return table['preclose'].mask(off, middle.round(2)).where(table['preclose'] > 0)


def market_caps(frame: pd.DataFrame, source: str = 'joinquant get_valuation') -> pd.DataFrame:
    """Return an answer of ``get_valuation`` as date, code, market_cap (yuan) and shares."""
    frame = raw.need(frame, ('code', 'day', 'market_cap'), source)
    shares = raw.number(frame, 'capitalization', source, 1e4) if 'capitalization' in frame else np.nan
    return pd.DataFrame({'date': raw.days(frame, 'day', source), 'code': raw.codes(frame, 'code'),
                         'market_cap': raw.number(frame, 'market_cap', source, 1e8), 'shares': shares})


def is_st(frame: pd.DataFrame, source: str = 'joinquant get_extras') -> pd.DataFrame:
    """Return an answer of ``get_extras('is_st')``, days and a column per stock, as date, code, is_st (0 or 1)."""
    if not len(frame):
        return pd.DataFrame({'date': [], 'code': [], 'is_st': []}).astype({'date': 'datetime64[s]', 'code': object})
    day = frame.columns[0]
    long = frame.astype(object).melt(day, var_name='code', value_name='is_st')
    long['is_st'] = long['is_st'].map(lambda value: _TRUTH.get(value, value))
    return pd.DataFrame({'date': raw.days(long, day, source), 'code': raw.codes(long, 'code'),
                         'is_st': raw.number(long, 'is_st', source).fillna(0)})


def listings(frame: pd.DataFrame, source: str = 'joinquant get_all_securities') -> pd.DataFrame:
    """Return an answer of ``get_all_securities`` as code, name, listed, delisted, by the day of the listing."""
    if 'code' not in frame and len(frame.columns):
        frame = frame.rename(columns={frame.columns[0]: 'code'})
    frame = raw.need(frame, ('code', 'display_name', 'start_date', 'end_date'), source)
    table = pd.DataFrame({'code': raw.codes(frame, 'code'), 'name': frame['display_name'],
                          'listed': raw.days(frame, 'start_date', source), 'delisted': raw.days(frame, 'end_date', source)})
    table['delisted'] = table['delisted'].mask(table['delisted'] >= np.datetime64('2200-01-01'))
    return table[table['code'].notna()].sort_values(['listed', 'code'], ignore_index=True)


def benchmark(frame: pd.DataFrame, index: str, source: str = 'joinquant get_price') -> pd.DataFrame:
    """Return an index' answer of ``get_price`` with the columns of a benchmark."""
    frame = raw.need(frame, ('time', 'open', 'high', 'low', 'close'), source)
    prices = {name: raw.number(frame, name, source) for name in ('open', 'high', 'low', 'close')}
    rows = pd.DataFrame({'index': index, 'date': raw.days(frame, 'time', source), **prices}).dropna()
    return raw.reference_table(rows, ('index', 'date', *prices))


def index_symbol(index: str) -> str:
    """Return six digits of an index as JoinQuant writes them."""
    return index + ('.XSHE' if index.startswith('399') else '.XSHG')


class Client:
    """The calls, as they are made; the account is checked at the first."""

    def __init__(self) -> None:
        self._user, self._password = os.environ.get('JQDATA_USER'), os.environ.get('JQDATA_PASSWORD')
        if not self._user or not self._password:
            raise DataError('joinquant: found no account, expected it in the environment: export JQDATA_USER=... '
                            'JQDATA_PASSWORD=...')
        self._client: ModuleType = raw.client('jqdatasdk', 'joinquant')
        self._there = False

    @property
    def client(self) -> ModuleType:
        """The package, with the account checked."""
        if not self._there:
            self._client.auth(self._user, self._password)
            self._there = True
        return self._client

    def daily(self, codes: list[str], first: date, last: date, fields: list[str]) -> pd.DataFrame:
        """Return raw prices."""
        return self.client.get_price(codes, start_date=str(first), end_date=str(last), frequency='daily', fields=fields,
                                     skip_paused=False, fq=None, panel=False)

    def valuation(self, codes: list[str], first: date, last: date) -> pd.DataFrame:
        """Return market caps, in several calls: an answer has a limited number of rows."""
        frames = []
        while first <= last:
            frames.append(self._valuation(codes, first, min(last, first + WINDOW)))
            first += WINDOW + timedelta(days=1)
        return raw.joined(frames)

    def _valuation(self, codes: list[str], first: date, last: date) -> pd.DataFrame:
        frame = self.client.get_valuation(codes, start_date=str(first), end_date=str(last),
                                          fields=['capitalization', 'market_cap'])
        if not len(frame) or len(frame) % ROUND or first == last:
            return frame
        middle = first + (last - first) // 2
        return raw.joined([self._valuation(codes, first, middle), self._valuation(codes, middle + timedelta(days=1), last)])

    def special(self, codes: list[str], first: date, last: date) -> pd.DataFrame:
        """Return who is ST."""
        return self.client.get_extras('is_st', codes, start_date=str(first), end_date=str(last), df=True).rename_axis(
            'date').reset_index()

    def stocks(self) -> pd.DataFrame:
        """Return all stocks, delisted ones too."""
        return self.client.get_all_securities(types=['stock'], date=None).rename_axis('code').reset_index()

    def industries(self, codes: list[str], day: date) -> pd.DataFrame:
        """Return the 申万 industry of stocks."""
        answer: dict[str, dict] = {}
        for first in range(0, len(codes), LONG_LIST):
            answer |= self.client.get_industry(codes[first:first + LONG_LIST], date=str(day))
        rows = [(code, kinds['sw_l1']['industry_name']) for code, kinds in answer.items() if 'sw_l1' in kinds]
        return pd.DataFrame(rows, columns=['code', 'industry'], dtype=object)

    def members(self, index: str, day: date) -> pd.DataFrame:
        """Return the members of an index."""
        return pd.DataFrame({'code': self.client.get_index_stocks(index_symbol(index), date=str(day))}, dtype=object)


def read(request: Request) -> Iterator[pd.DataFrame]:
    """Yield a canonical table per list of stocks.

    Parameters
    ----------
    request : Request
        With ``folder``, answers saved as ``get_price_<code>.csv`` and the like; else JoinQuant is asked.
        Its reference data are names
        (as of today), listings, industries (of each January), members of the benchmark (of each month) and its prices.

    Raises
    ------
    DataError
        No account or a wrong one, no network, or an answer that is not as expected.
    """
    request.about['market_cap'] = 'total market cap as given; suspended days: total shares x last close'
    request.about['is_st'] = 'as given for each day'
    if request.folder is not None:
        yield from _saved(request, raw.Saved('joinquant', request.folder, DAILY, FILES))
        return
    start, end = raw.span_of(request)
    client = Client()
    answers = raw.Download('joinquant', request, raw.Throttle(*THROTTLE))
    stocks = listings(answers.listing(STOCKS, client.stocks))
    if request.codes is not None:
        stocks = stocks[stocks['code'].isin(request.codes)]
    _names(request, stocks)
    _reference_data(request, answers, client, list(stocks['code']), (start, end))
    alive = ~(stocks['delisted'] < np.datetime64(start, 's')) & (stocks['listed'] <= np.datetime64(end, 's'))
    # lists of all stocks, so that they are the same whatever days are asked for
    lists = {f'{part["code"].iloc[0]} to {part["code"].iloc[-1]}, {len(part)}': part
             for part in (stocks.iloc[first:first + LIST] for first in range(0, len(stocks), LIST)) if alive[part.index].any()}

    def make(key: str) -> pd.DataFrame:
        part = lists[key]
        codes, delisted = list(part['code']), part['delisted']
        first = max(start, part['listed'].min().date())
        last = end if delisted.isna().any() else min(end, delisted.max().date())
        got = {call: answers.span(call, key, first, last, lambda low, high, ask=ask: ask(codes, low, high), day)
               for call, ask, day in ((DAILY, lambda *span: client.daily(*span, FIELDS), 'time'),
                                      (VALUATION, client.valuation, 'day'), (SPECIAL, client.special, 'date'))}
        return daily(got[DAILY], got[VALUATION], got[SPECIAL], answers.label(DAILY, key))

    yield from raw.tables(request, list(lists), make)


def _saved(request: Request, saved: raw.Saved) -> Iterator[pd.DataFrame]:
    request.about['from_files'] = str(request.folder)
    if not saved.keys(VALUATION):
        request.about['market_cap'] = 'not known: no files of get_valuation'
    if not saved.keys(SPECIAL):
        request.about['is_st'] = 'not known, 0 on all days: no files of get_extras'
    stocks = saved.listing(STOCKS)
    if len(stocks):
        _names(request, listings(stocks))
    index = index_symbol(request.benchmark) if request.benchmark else ''
    if index and len(saved.once(DAILY, index)):
        frame = saved.once(DAILY, index)
        request.reference_data['benchmarks'] = benchmark(
            frame.rename(columns={frame.columns[0]: 'time'} if 'time' not in frame else {}),
                                                request.benchmark, saved.label(DAILY, index))

    def make(key: str) -> pd.DataFrame:
        return daily(saved.once(DAILY, key), saved.beside(VALUATION, key), saved.beside(SPECIAL, key), saved.label(DAILY, key),
                     raw.canonical(key))

    yield from raw.tables(request, [key for key in saved.keys(DAILY) if key != index], make)


def _names(request: Request, stocks: pd.DataFrame) -> None:
    request.reference_data['listings'] = raw.reference_table(stocks, ('code', 'listed', 'delisted'))
    request.reference_data['names'] = raw.reference_table(
        stocks.assign(date=pd.Timestamp(raw.today()).as_unit('s')), ('code', 'date', 'name'))


def _reference_data(request: Request, answers: raw.Download, client: Client, codes: list[str], span: tuple[date, date]) -> None:
    def rows(call: str, key: str, months: int, columns: tuple[str, ...]) -> pd.DataFrame:
        frames = []
        for day in raw.firsts(*span, months):
            frame = raw.need(answers.once(call, f'{key} {day}', lambda day=day: (
                client.industries(codes, day) if call == INDUSTRY else client.members(key, day)), until=day), columns, call)
            frames.append(frame.assign(date=pd.Timestamp(day).as_unit('s'), index=key, code=raw.codes(frame, 'code')))
        return raw.joined(frames)

    with raw.optional(request, 'industries'):
        whole = 'all' if request.codes is None else ' '.join(codes)[:80]
        request.reference_data['industries'] = raw.reference_table(
            rows(INDUSTRY, whole, 12, ('code', 'industry')), ('code', 'date', 'industry'))
    index = request.benchmark
    if index is None:
        return
    frame = answers.span(DAILY, f'index {index}', *span, lambda first, last: client.daily(
        [index_symbol(index)], first, last, ['open', 'high', 'low', 'close']), 'time')
    request.reference_data['benchmarks'] = benchmark(frame, index, answers.label(DAILY, index))
    if not len(request.reference_data['benchmarks']):
        raise DataError(f'{answers.label(DAILY, index)}: found no rows of this index, expected some; check --benchmark')
    with raw.optional(request, 'constituents'):
        request.reference_data['constituents'] = raw.reference_table(
            rows(MEMBERS, index, 1, ('code',)), ('index', 'date', 'code'))
