"""Reading from JoinQuant's jqdatasdk: an account, in ``JQDATA_USER`` and ``JQDATA_PASSWORD``.

Asked for in lists of stocks, which stay the same from one run to the next: a new listing comes last. Suspended days are
rows with the last close and the flag ``paused``; the valuation has no rows there. Names by date, and the delisting period by
them, come from the table ``STK_NAME_HISTORY``, where the account may ask for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, timedelta
from types import ModuleType

import numpy as np
import pandas as pd

from ..columns import PRICES
from ..errors import DataError
from . import Request, download
from .answers import (
    Asked,
    as_flag,
    check_unadjusted,
    concat_frames,
    has_text,
    key_columns,
    number_columns,
    one_a_day,
    parse_codes,
    parse_dates,
    parse_numbers,
    reference_table,
    require_columns,
    restore_texts,
)
from .delisting import delisting_changes, delisting_flags

DAILY, VALUATION, ST_FLAGS = 'get_price', 'get_valuation', 'get_extras'
STOCKS, INDUSTRY, CONSTITUENTS, NAMES = 'get_all_securities', 'get_industry', 'get_index_stocks', 'STK_NAME_HISTORY'
FILE_PREFIXES = {name: name for name in (DAILY, VALUATION, ST_FLAGS, STOCKS, NAMES)} | {'get_extras_is_st': ST_FLAGS}
FIELDS = ['open', 'close', 'high', 'low', 'volume', 'money', 'high_limit', 'low_limit', 'pre_close', 'paused']
BATCH_SIZE, INDUSTRY_BATCH_SIZE = 100, 1000  # stocks in a call
VALUATION_WINDOW = timedelta(days=60)  # of a valuation: with 100 stocks below the 5,000 rows that an answer surely holds
ROW_LIMIT_MULTIPLE = 1000  # an answer of so many rows or a multiple may have been cut
RATE_LIMIT = (5, 1.0)  # calls in seconds
QUOTA_WORDS = '最大查询'  # in a refusal for today alone
_BOOLEANS = {True: 1, False: 0, 'True': 1, 'False': 0}


def daily_bars(frame: pd.DataFrame, valuation: pd.DataFrame, extras: pd.DataFrame, source: str = 'joinquant',
               code: str | None = None, names: pd.DataFrame | None = None, asked: Asked | None = None) -> pd.DataFrame:
    """Return an answer of ``get_price`` (fq=None) as a canonical table.

    Parameters
    ----------
    frame : DataFrame
        time, code and the columns in `FIELDS`; volume in shares, money in yuan.
    valuation : DataFrame
        The answer of ``get_valuation``: code, day, market_cap (亿, 1e8 yuan) and capitalization (万, 10,000 shares). On
        days without a row the last total shares times the close; a row without a number is not known.
    extras : DataFrame
        The answer of ``get_extras('is_st')``: days, and a column per stock.
    source : str
        What messages call it.
    code : str, optional
        Canonical code, where the answer is of one stock and has no column code.
    names : DataFrame, optional
        Of `name_changes`, for the column delisting_period; without it there is none.
    asked : Asked, optional
        Which rows must not be of adjusted prices, and are counted where a market cap or a flag is not known; without it all.

    Returns
    -------
    DataFrame
        Text where a number or a day is expected is left as it is.

    Raises
    ------
    DataError
        A column that lacks, or adjusted prices.
    """
    if 'time' not in frame and len(frame.columns):  # a stock alone: its index
        frame = frame.rename(columns={frame.columns[0]: 'time'})
    if 'code' not in frame and code:
        frame = frame.assign(code=code)
    frame = require_columns(frame, ('time', 'code', *FIELDS), source)
    asked = asked or Asked()
    ours = {'pre_close': 'preclose', 'money': 'amount'}
    columns = {ours.get(name, name): name for name in FIELDS}
    table = pd.DataFrame({**key_columns(frame, 'time', 'code'), **number_columns(frame, columns)})
    if 'factor' in frame:
        factor = parse_numbers(frame, 'factor').fillna(1)
        if (adjusted := (factor != 1) & asked.rows(table)).any():
            raise DataError(f'{source}, column factor: found {factor[adjusted].iloc[0]:g}, adjusted prices; expected raw ones, '
                            'ask with fq=None')
    there = np.logical_or.reduce([table[name].notna() | has_text(table, name) for name in (*PRICES, 'volume')])
    table = table[table['code'].notna() & there].sort_values(['code', 'date'], ignore_index=True)  # else not listed on the day
    paused = table['paused'] == 1
    for name in ('volume', 'amount'):
        table[name] = table[name].mask(paused & table[name].isna(), 0.0)
    table['preclose'] = _reference_price(table)
    check_unadjusted(table[asked.rows(table)], source)
    caps = one_a_day(market_caps(valuation, source.replace(DAILY, VALUATION))).assign(valued=True)
    table = table.merge(caps, on=['date', 'code'], how='left')
    table['market_cap'] = _filled_caps(table, paused, asked)
    marks = one_a_day(st_flags(extras, source.replace(DAILY, ST_FLAGS)))
    table = table.drop(columns=['shares', 'valued']).merge(marks, on=['date', 'code'], how='left')
    if len(marks):
        asked.count('is_st', table, table['is_st'].isna())
    table['is_st'] = (table['is_st'] == 1).astype('uint8')
    if names is not None:
        table['delisting_period'] = delisting_flags(table, delisting_changes(names))
    table['paused'] = as_flag(table['paused'])
    table = restore_texts(table)
    table.attrs['source'] = source
    return table


def _filled_caps(table: pd.DataFrame, paused: pd.Series, asked: Asked) -> pd.Series:
    """Return the market caps with those of days that have no valuation: the last total shares times the close."""
    cap = table['market_cap']
    shares = table['shares'].fillna(cap / table['close'].where(table['close'] > 0))
    shares = shares.where(shares > 0).groupby(table['code']).ffill()
    missing = cap.isna() & (paused | table['valued'].isna() | table['shares'].gt(0)) & ~has_text(table, 'market_cap')
    cap = cap.mask(missing, (shares * table['close']).round(2))
    asked.count('market_cap', table, missing & table['valued'].isna() & ~paused & cap.notna())
    return cap


def _reference_price(table: pd.DataFrame) -> pd.Series:
    """Return the reference price: pre_close, or the middle of the day's limits where it is off (an ex-date)."""
    high, low = table['high_limit'], table['low_limit']
    middle, width = (high + low) / 2, (high - low) / (high + low)
    off = ((middle - table['preclose']).abs() > 0.0151) & width.between(0.04, 0.32) & (table['preclose'] > 1)
    return table['preclose'].mask(off, middle.round(2)).where(table['preclose'] > 0)


def market_caps(frame: pd.DataFrame, source: str = 'joinquant get_valuation') -> pd.DataFrame:
    """Return an answer of ``get_valuation`` as date, code, market_cap (yuan) and shares."""
    frame = require_columns(frame, ('code', 'day', 'market_cap'), source)
    shares = parse_numbers(frame, 'capitalization', 1e4) if 'capitalization' in frame else np.nan
    caps = number_columns(frame, {'market_cap': 'market_cap'}, 1e8)
    return pd.DataFrame({'date': parse_dates(frame, 'day'), 'code': parse_codes(frame, 'code'), **caps, 'shares': shares})


def st_flags(frame: pd.DataFrame, source: str = 'joinquant get_extras') -> pd.DataFrame:
    """Return an answer of ``get_extras('is_st')``, days and a column per stock, as date, code, is_st (0, 1, or not known)."""
    if not len(frame):
        return pd.DataFrame({'date': [], 'code': [], 'is_st': []}).astype({'date': 'datetime64[s]', 'code': object})
    day = frame.columns[0]
    long = frame.astype(object).melt(day, var_name='code', value_name='is_st')
    long['is_st'] = long['is_st'].map(lambda value: _BOOLEANS.get(value, value))
    return pd.DataFrame({
        'date': parse_dates(long, day), 'code': parse_codes(long, 'code'), 'is_st': parse_numbers(long, 'is_st')})


def listings(frame: pd.DataFrame, source: str = 'joinquant get_all_securities') -> pd.DataFrame:
    """Return an answer of ``get_all_securities`` as code, name, listed, delisted, by the day of the listing."""
    if 'code' not in frame and len(frame.columns):
        frame = frame.rename(columns={frame.columns[0]: 'code'})
    frame = require_columns(frame, ('code', 'display_name', 'start_date', 'end_date'), source)
    table = pd.DataFrame({'code': parse_codes(frame, 'code'), 'name': frame['display_name'],
                          'listed': parse_dates(frame, 'start_date'), 'delisted': parse_dates(frame, 'end_date')})
    table['delisted'] = table['delisted'].mask(table['delisted'] >= np.datetime64('2200-01-01'))
    return table[table['code'].notna()].sort_values(['listed', 'code'], ignore_index=True)


def name_changes(frame: pd.DataFrame, source: str = f'joinquant {NAMES}') -> pd.DataFrame:
    """Return an answer of ``STK_NAME_HISTORY`` as code, date, name; of two names of one day the one entered last counts."""
    frame = require_columns(frame, ('code', 'new_name', 'start_date'), source)
    table = pd.DataFrame({'code': parse_codes(frame, 'code'), 'date': parse_dates(frame, 'start_date'),
                          'name': frame['new_name']})
    if 'id' in frame:
        table = table.iloc[np.argsort(parse_numbers(frame, 'id'), kind='stable')]
    return reference_table(table[table['name'].notna()], ('code', 'date', 'name'))


def benchmark(frame: pd.DataFrame, index: str, source: str = 'joinquant get_price') -> pd.DataFrame:
    """Return an index' answer of ``get_price`` with the columns of a benchmark."""
    frame = require_columns(frame, ('time', 'open', 'high', 'low', 'close'), source)
    prices = {name: parse_numbers(frame, name) for name in ('open', 'high', 'low', 'close')}
    rows = pd.DataFrame({'index': index, 'date': parse_dates(frame, 'time'), **prices}).dropna()
    return reference_table(rows, ('index', 'date', *prices))


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
        self._client: ModuleType = download.import_client('jqdatasdk', 'joinquant')
        self.authenticated = False

    @property
    def client(self) -> ModuleType:
        """The package, with the account checked."""
        if not self.authenticated:
            self._client.auth(self._user, self._password)
            self.authenticated = True
        return self._client

    def daily(self, codes: list[str], first: date, last: date, fields: list[str]) -> pd.DataFrame:
        """Return raw prices."""
        return self.client.get_price(codes, start_date=str(first), end_date=str(last), frequency='daily', fields=fields,
                                     skip_paused=False, fq=None, panel=False)

    def valuation(self, codes: list[str], first: date, last: date) -> pd.DataFrame:
        """Return market caps, in several calls: an answer has a limited number of rows."""
        frames = []
        while first <= last:
            frames.append(self._valuation(codes, first, min(last, first + VALUATION_WINDOW)))
            first += VALUATION_WINDOW + timedelta(days=1)
        return concat_frames(frames)

    def _valuation(self, codes: list[str], first: date, last: date) -> pd.DataFrame:
        frame = self.client.get_valuation(codes, start_date=str(first), end_date=str(last),
                                          fields=['capitalization', 'market_cap'])
        if not len(frame) or len(frame) % ROW_LIMIT_MULTIPLE or first == last:
            return frame
        middle = first + (last - first) // 2
        return concat_frames([self._valuation(codes, first, middle), self._valuation(codes, middle + timedelta(days=1), last)])

    def st_flags(self, codes: list[str], first: date, last: date) -> pd.DataFrame:
        """Return who is ST."""
        return self.client.get_extras('is_st', codes, start_date=str(first), end_date=str(last), df=True).rename_axis(
            'date').reset_index()

    def stocks(self) -> pd.DataFrame:
        """Return all stocks, delisted ones too."""
        return self.client.get_all_securities(types=['stock'], date=None).rename_axis('code').reset_index()

    def names(self) -> pd.DataFrame:
        """Return all names that stocks had, walked by their numbers: an answer has 5,000 rows at most."""
        finance, frames, last = self.client.finance, [], 0
        table = getattr(finance, NAMES)
        while True:
            frames.append(finance.run_query(self.client.query(
                table.id, table.code, table.new_name, table.start_date).filter(table.id > last).order_by(table.id)))
            if not len(frames[-1]):  # the server may cut sooner: only an empty answer is the end
                return concat_frames(frames)
            last = int(frames[-1]['id'].max())  # the client does not take NumPy's integers

    def industries(self, codes: list[str], day: date) -> pd.DataFrame:
        """Return the 申万 industry of stocks."""
        answer: dict[str, dict] = {}
        for first in range(0, len(codes), INDUSTRY_BATCH_SIZE):
            answer |= self.client.get_industry(codes[first:first + INDUSTRY_BATCH_SIZE], date=str(day))
        rows = [(code, kinds['sw_l1']['industry_name']) for code, kinds in answer.items() if 'sw_l1' in kinds]
        return pd.DataFrame(rows, columns=['code', 'industry'], dtype=object)

    def constituents(self, index: str, day: date) -> pd.DataFrame:
        """Return the members of an index."""
        return pd.DataFrame({'code': self.client.get_index_stocks(index_symbol(index), date=str(day))}, dtype=object)


def read(request: Request) -> Iterator[pd.DataFrame]:
    """Yield a canonical table per list of stocks.

    Parameters
    ----------
    request : Request
        With ``folder``, answers saved as ``get_price_<code>.csv`` and the like, names as ``STK_NAME_HISTORY.csv``; else
        JoinQuant is asked. Its reference data are names (as of today for stocks that have none by date), listings, industries
        (of each January), members of the benchmark (of each month) and its prices.

    Raises
    ------
    DataError
        No account or a wrong one, no network, or an answer that is not as expected.
    """
    request.about['market_cap'] = 'total market cap as given; suspended days: total shares x last close'
    request.about['is_st'] = 'as given for each day'
    request.about['preclose'] = 'as given; estimated where the limits of the day tell otherwise, on an ex-date: their middle'
    asked = Asked(request)
    if request.folder is not None:
        yield from _read_saved_files(request, download.SavedAnswers('joinquant', request.folder, DAILY, FILE_PREFIXES), asked)
        asked.tell(request.about)
        return
    start, end = download.download_range(request)
    client = Client()
    answers = download.Download('joinquant', request, download.Throttle(*RATE_LIMIT))
    stocks = listings(answers.get_snapshot(STOCKS, client.stocks))
    if request.codes is not None:
        stocks = stocks[stocks['code'].isin(request.codes)]
    changes = _names_by_date(request, answers, client)
    _add_listings_and_names(request, stocks, changes)
    _add_industries_and_benchmark(request, answers, client, list(stocks['code']), (start, end))
    alive = ~(stocks['delisted'] < np.datetime64(start, 's')) & ~(stocks['listed'] > np.datetime64(end, 's'))
    # lists of all stocks, so that they are the same whatever days are asked for
    lists = {f'{part["code"].iloc[0]} to {part["code"].iloc[-1]}, {len(part)}': part
             for part in (stocks.iloc[first:first + BATCH_SIZE] for first in range(0, len(stocks), BATCH_SIZE))
             if alive[part.index].any()}

    def read_table(key: str) -> pd.DataFrame:
        part = lists[key]
        codes, delisted = list(part['code']), part['delisted']
        first = start if part['listed'].isna().any() else max(start, part['listed'].min().date())
        last = end if delisted.isna().any() else min(end, delisted.max().date())
        got = {call: answers.get_range(call, key, first, last, lambda low, high, ask=ask: ask(codes, low, high), day)
               for call, ask, day in ((DAILY, lambda *span: client.daily(*span, FIELDS), 'time'),
                                      (VALUATION, client.valuation, 'day'), (ST_FLAGS, client.st_flags, 'date'))}
        return daily_bars(got[DAILY], got[VALUATION], got[ST_FLAGS], answers.label(DAILY, key), names=changes,
                          asked=asked)

    yield from download.iter_tables(request, list(lists), read_table)
    asked.tell(request.about)


def _read_saved_files(request: Request, saved: download.SavedAnswers, asked: Asked) -> Iterator[pd.DataFrame]:
    request.about['from_files'] = str(request.folder)
    if not saved.keys(VALUATION):
        request.about['market_cap'] = 'not known: no files of get_valuation'
    if not saved.keys(ST_FLAGS):
        request.about['is_st'] = 'not known, 0 on all days: no files of get_extras'
    stocks, names = saved.get_all(STOCKS), saved.get_all(NAMES)
    changes = name_changes(names) if len(names) else None
    if changes is None:
        request.about['delisting_period'] = f'not known, no column: no files of {NAMES}'
    if len(stocks) or changes is not None:
        _add_listings_and_names(request, listings(stocks), changes)
    index = index_symbol(request.benchmark) if request.benchmark else ''
    if index and len(saved.get(DAILY, index)):
        frame = saved.get(DAILY, index)
        request.reference_data['benchmarks'] = benchmark(
            frame.rename(columns={frame.columns[0]: 'time'} if 'time' not in frame else {}),
            request.benchmark, saved.label(DAILY, index))

    def read_table(key: str) -> pd.DataFrame:
        return daily_bars(saved.get(DAILY, key), saved.get_companion(VALUATION, key), saved.get_companion(ST_FLAGS, key),
                          saved.label(DAILY, key), download.canonical_code(key), changes, asked)

    yield from download.iter_tables(request, [key for key in saved.keys(DAILY) if key != index], read_table)


def _names_by_date(request: Request, answers: download.Download, client: Client) -> pd.DataFrame | None:
    """Return the names by date, or nothing where the account may not ask for them."""
    try:
        return name_changes(answers.get_snapshot(NAMES, client.names))
    except download.RefusedError as error:
        if not client.authenticated or QUOTA_WORDS in str(error):  # tomorrow the same run would have them
            raise
        request.about['names'] = f'as of today alone: {error}'
        request.about['delisting_period'] = f'not known, no column: {error}'
        return None


def _add_listings_and_names(request: Request, stocks: pd.DataFrame, changes: pd.DataFrame | None) -> None:
    if request.codes is not None:
        stocks = stocks[stocks['code'].isin(request.codes)]
    if len(stocks):
        request.reference_data['listings'] = reference_table(stocks, ('code', 'listed', 'delisted'))
    names = stocks.assign(date=pd.Timestamp(download.today()).as_unit('s'))[['code', 'date', 'name']]
    if changes is not None:
        if request.codes is not None:
            changes = changes[changes['code'].isin(request.codes)]
        names = names[~names['code'].isin(changes['code'])]
        unknown = f'; 0 for {len(names)} stocks that have no names by date' if len(names) else ''
        request.about['delisting_period'] = f'by the name of the day{unknown}'
        names = concat_frames([changes, names])
    request.reference_data['names'] = reference_table(names, ('code', 'date', 'name'))


def _add_industries_and_benchmark(
    request: Request, answers: download.Download, client: Client, codes: list[str], span: tuple[date, date]
) -> None:
    def rows(call: str, key: str, months: int, columns: tuple[str, ...]) -> pd.DataFrame:
        frames = []
        for day in download.snapshot_dates(*span, months):
            frame = require_columns(answers.get(call, f'{key} {day}', lambda day=day: (
                client.industries(codes, day) if call == INDUSTRY else client.constituents(key, day)), until=day), columns, call)
            frames.append(frame.assign(date=pd.Timestamp(day).as_unit('s'), index=key, code=parse_codes(frame, 'code')))
        return concat_frames(frames)

    with download.skip_on_error(request, 'industries'):
        whole = 'all' if request.codes is None else ' '.join(codes)[:80]
        request.reference_data['industries'] = reference_table(
            rows(INDUSTRY, whole, 12, ('code', 'industry')), ('code', 'date', 'industry'))
    index = request.benchmark
    if index is None:
        return
    frame = answers.get_range(DAILY, f'index {index}', *span, lambda first, last: client.daily(
        [index_symbol(index)], first, last, ['open', 'high', 'low', 'close']), 'time')
    request.reference_data['benchmarks'] = benchmark(frame, index, answers.label(DAILY, index))
    if not len(request.reference_data['benchmarks']):
        raise DataError(f'{answers.label(DAILY, index)}: found no rows of this index, expected some; check --benchmark')
    with download.skip_on_error(request, 'constituents'):
        request.reference_data['constituents'] = reference_table(
            rows(CONSTITUENTS, index, 1, ('code',)), ('index', 'date', 'code'))
