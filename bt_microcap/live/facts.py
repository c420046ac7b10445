"""What is published of a day before its open, from a file of the user's: suspensions, ST, reference prices, ex-dates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

from ..exchange import rules
from ..feeds.errors import DataError
from ..feeds.headings import INVERTED, SYNONYMS
from ..feeds.store import MarketStore
from ..feeds.store.coming import FACTS, ComingDay
from .text_tables import Row, read_rows

YES, NO = ('1', '1.0', 'yes', 'true', '是', '停牌', 'y'), ('0', '0.0', 'no', 'false', '否', '正常', '交易', 'n')
COLUMNS = {**{name: SYNONYMS[name] for name in ('date', 'code', *FACTS)}, 'traded': INVERTED['paused']}
FLAGS = ('paused', 'is_st', 'delisting_period', 'traded')


class Facts(NamedTuple):
    """What a file of facts has told."""

    stocks: int  # that it tells of
    listed: int  # stocks of the day in all
    unknown: tuple[str, ...]  # codes that the data does not have, or that are not listed on the day


def with_facts(coming: ComingDay, store: MarketStore, path: Path, rename: Mapping[str, str] | None = None) -> Facts:
    """Put what a file says of a day over what is known of it.

    Parameters
    ----------
    coming : ComingDay
        Changed in place.
    store : MarketStore
    path : Path
        CSV with ``code`` and any of ``paused``, ``is_st``, ``preclose``, ``high_limit``, ``low_limit``, ``cash_dividend`` (yuan a
        share before tax), ``share_ratio`` (shares after per share before: 1.3 for 10 转 3) and ``delisting_period``; a code
        that is not in it stays as it is. With a column of dates the rows of the day alone count.
    rename : mapping of str to str, optional

    Returns
    -------
    Facts

    Raises
    ------
    DataError
        A row that cannot be understood, or none of the day.
    """
    rows, columns = read_rows(path, COLUMNS, ('code',), rename)
    if not set(columns) - {'code', 'date'}:
        raise DataError(f'{path}: found no column of facts, expected one of {", ".join(FACTS)}')
    day, told, unknown = date.fromordinal(coming.day), set(), []
    for row in rows:
        if 'date' in columns and row.day('date') != day:
            continue
        code = row.code()
        try:
            stock = store.stock_number(code)
        except KeyError:
            unknown.append(code)
            continue
        if coming.trades[stock]:
            _take(coming, stock, row, columns)
            told.add(stock)
        else:
            unknown.append(code)
    if not told and not unknown:
        raise DataError(f'{path}: found no row of {day}, the day that orders are made for')
    for stock in told:
        _restate(coming, stock, str(store.codes[stock]), 'preclose' in columns)
    return Facts(len(told), int(coming.trades.sum()), tuple(unknown))


def _take(coming: ComingDay, stock: int, row: Row, columns: Mapping[str, str]) -> None:
    for name in columns:
        if name in FLAGS and row.text(name):
            text = row.text(name).lower()
            if text not in YES + NO:
                raise DataError(f'{row.source}, column {name}: found {text!r}, expected 1 or 0')
            on = text in YES
            coming.facts['paused' if name == 'traded' else name][stock] = float(not on if name == 'traded' else on)
        elif name in FACTS and name not in FLAGS:
            value = row.number(name)
            if value == value:
                low, high = {'share_ratio': (1.0, 10.0), 'cash_dividend': (0.0, math.inf)}.get(name, (0.001, math.inf))
                if not low <= value <= high:
                    expected = 'shares after per share before: 1.3 for 10 转 3' if name == 'share_ratio' else 'a number above 0'
                    raise DataError(f'{row.source}, column {name}: found {value:g}, expected {expected}')
                coming.facts[name][stock] = value


def _restate(coming: ComingDay, stock: int, code: str, told: bool) -> None:
    """Put the reference price of a stock right: as the file or the data has it, else worked out from what comes."""
    preclose, close = float(coming.facts['preclose'][stock]), float(coming.last_close[stock])
    dividend, ratio = (float(coming.facts[name][stock]) for name in ('cash_dividend', 'share_ratio'))
    known = told or abs(preclose - close) > rules.half_tick(code)  # the data has the day's own
    if not known and (dividend > 0 or ratio > 1):
        # the exchanges' ex-rights reference price: trading rules, 除权（息）参考价
        price = (close - (dividend if dividend == dividend else 0.0)) / (ratio if ratio == ratio else 1.0)
        preclose = coming.facts['preclose'][stock] = rules.round_half_up(max(price, rules.tick(code)), rules.steps(code))
    coming.reference[stock] = preclose
