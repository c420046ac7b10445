"""Answers of tushare.pro that the user saved as files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

import pandas as pd

from . import Request, download
from .answers import Asked, parse_codes, parse_dates, reference_table, require_columns
from .dividends import Dividends
from .saved import SavedAnswers, canonical_code
from .tushare_tables import (
    DAILY,
    DAILY_BASIC,
    DIVIDENDS,
    FIELDS,
    FILE_PREFIXES,
    INDEX_DAILY,
    NAME_CHANGES,
    PRICE_LIMITS,
    ST_STOCKS,
    STOCK_BASIC,
    SUSPENSIONS,
    TableBuilder,
    benchmark,
    dividend_events,
    listings,
    name_changes,
)

FIRST_DAY = date(1990, 12, 19)  # of the market


def read_saved_files(request: Request) -> Iterator[pd.DataFrame]:
    """Yield a canonical table per file of prices."""
    saved, asked = SavedAnswers('tushare', request.folder, DAILY, FILE_PREFIXES), Asked(request)
    request.about['from_files'] = str(request.folder)
    if not saved.keys(DAILY_BASIC):
        request.about['market_cap'] = 'not known: no files of daily_basic'
    if not saved.keys(ST_STOCKS) and not saved.keys(NAME_CHANGES):
        request.about['is_st'] = 'not known, 0 on all days: no files of stock_st or namechange'
    for call, what in ((SUSPENSIONS, 'suspended days, which have no rows'), (PRICE_LIMITS, 'high_limit and low_limit')):
        if not saved.keys(call):
            request.about[call] = f'not known: {what}; no files of {call}'
    changes, basic = saved.get_all(NAME_CHANGES), saved.get_all(STOCK_BASIC)
    tell_delisting_period(request, changes)
    builder, dividends = TableBuilder(name_changes(changes) if len(changes) else None, asked), None
    if saved.keys(DIVIDENDS):
        dividends = Dividends(request.start or FIRST_DAY)
        dividends.add(dividend_events(saved.get_all(DIVIDENDS)))
    else:
        request.about['dividends'] = f'not known as such, by preclose: no files of {DIVIDENDS}'
    if len(basic) or len(changes):
        add_listings_and_names(request, listings(basic), name_changes(changes))
    if request.benchmark:
        request.reference_data['benchmarks'] = benchmark(saved.get_all(INDEX_DAILY), request.benchmark)

    def read_table(key: str) -> pd.DataFrame:
        def one(call: str) -> pd.DataFrame:
            if call == DAILY:
                return saved.get(call, key)
            frame = saved.get_companion(call, key)
            return _of_the_file(frame, key, saved.get(DAILY, key)) if call == SUSPENSIONS and len(frame) else frame

        table = builder.build(one, saved.label(DAILY, key))
        if dividends is not None and len(table):
            source = table.attrs['source']
            table = dividends.lay(table)
            table.attrs['source'] = source
        return table

    last = f'{request.end or date.max:%Y%m%d}'
    keys = [key for key in saved.keys(DAILY) if not (re.fullmatch(r'\d{8}', key) and key > last)]  # files of later days
    yield from download.iter_tables(request, keys, read_table)
    asked.tell(request.about)


def _of_the_file(frame: pd.DataFrame, key: str, prices: pd.DataFrame) -> pd.DataFrame:
    """Return the suspensions of the stock or the days of a file of prices, so that none is told again by another file."""
    frame = require_columns(frame, FIELDS[SUSPENSIONS].split(','), SUSPENSIONS)
    if code := canonical_code(key):
        return frame[parse_codes(frame, 'ts_code') == code]
    days = parse_dates(require_columns(prices, ('trade_date',), DAILY), 'trade_date')
    return frame[parse_dates(frame, 'trade_date').between(days.min(), days.max())]


def tell_delisting_period(request: Request, changes: pd.DataFrame) -> None:
    """Say whether the delisting period is known."""
    request.about['delisting_period'] = 'by the name of the day' if len(changes) else f'not known, no column: no {NAME_CHANGES}'


def add_listings_and_names(request: Request, stocks: pd.DataFrame, changes: pd.DataFrame) -> None:
    """Put listings and names beside the market."""
    if request.codes is not None:
        stocks, changes = (table[table['code'].isin(request.codes)] for table in (stocks, changes))
    if len(stocks):
        request.reference_data['listings'] = reference_table(stocks, ('code', 'listed', 'delisted'))
    request.reference_data['names'] = reference_table(changes, ('code', 'date', 'name'))
