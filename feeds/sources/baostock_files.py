"""Answers of baostock.com that the user saved as files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import time
from typing import Any

import pandas as pd

from . import Request, download
from .answers import Asked
from .baostock_finish import Finish, add_benchmark, add_listings_and_names, index_symbol
from .baostock_tables import DAILY, DIVIDENDS, FILE_PREFIXES, STOCK_BASIC, daily_bars, dividend_events, listings
from .delisting import DerivedPeriods
from .saved import SavedAnswers, canonical_code
from .share_services import ShareService
from .shares import UNFIT, ShareHistory

COMPLETE = time(17, 30)  # o'clock, from when on the bars of a day are there


def read_saved_files(request: Request) -> Iterator[pd.DataFrame]:
    """Yield a canonical table per file of prices."""
    saved, asked = SavedAnswers('baostock', request.folder, DAILY, FILE_PREFIXES), Asked(request)
    start, end = download.download_range(request, COMPLETE)
    request.about['from_files'] = str(request.folder)
    request.about['delisting_period'] = f'not known, no column: no files of {STOCK_BASIC}'
    basic, periods, history = saved.get_all(STOCK_BASIC), None, None
    if len(basic):
        add_listings_and_names(request, stocks := listings(basic))
        periods = DerivedPeriods(stocks, end)
        request.about['delisting_period'] = periods.about()
    request.about['market_cap'] = UNFIT
    if request.shares is not None:
        service = ShareService(request, start, end)
        if service.name not in ('akshare', 'mootdx'):
            history = ShareHistory(service.records({}, request.progress))
        else:
            lives: dict[str, Any] = {code: (None, None) for key in saved.keys(DAILY) if (code := canonical_code(key))}
            history = ShareHistory(service.records(lives, request.progress))
    finish = Finish(request, start, history, periods)
    if saved.keys(DIVIDENDS):
        finish.add(dividend_events(saved.get_all(DIVIDENDS)))
    else:
        request.about['dividends'] = f'not known as such, by preclose: no files of {DIVIDENDS}'
    stocks = [key for key in saved.keys(DAILY) if canonical_code(key) or re.fullmatch(r'\d{4}-?\d{2}-?\d{2}', key)]
    yield from download.iter_tables(
        request, stocks, lambda key: finish(daily_bars(saved.get(DAILY, key), saved.label(DAILY, key), asked)))
    yield from finish.rest()
    if request.shares is not None:
        service.without += sorted(history.unknown.difference(service.without))
        request.about['market_cap'] = service.about()
    if request.benchmark and len(saved.get(DAILY, index_symbol(request.benchmark))):
        add_benchmark(request, saved, saved.get(DAILY, index_symbol(request.benchmark)))
