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
from .text_tables import Row, read_table

YES, NO = ('1', '1.0', 'yes', 'true', '是', '停牌', 'y'), ('0', '0.0', 'no', 'false', '否', '正常', '交易', 'n')
COLUMNS = {**{name: SYNONYMS[name] for name in ('date', 'code', *FACTS)}, 'traded': INVERTED['paused']}
# Parts of the last close: a dividend is below the first, and so a reference price lies between the two others.
MOST_DIVIDEND, LEAST_REFERENCE, MOST_REFERENCE = 0.5, 0.1, 1.5
FLAGS = ('paused', 'is_st', 'delisting_period', 'traded')


class Facts(NamedTuple):
    """What a file of facts has told."""

    stocks: int  # that it tells of
    listed: int  # stocks of the day in all
    unknown: tuple[str, ...]  # codes that the data does not have, or that are not listed on the day
    unused: tuple[str, ...]  # columns that are not known here


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
    rows, columns, names = read_table(path, COLUMNS, ('code',), rename)
    if not set(columns) - {'code', 'date'}:
        raise DataError(f'{path}: found no column of facts, expected one of {", ".join(FACTS)}')
    day, told, unknown = date.fromordinal(coming.day), {}, []
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
            _take(coming, stock, row, columns, told.setdefault(stock, {}))
        else:
            unknown.append(code)
    if not told and not unknown:
        raise DataError(f'{path}: found no row of {day}, the day that orders are made for')
    for stock, given in told.items():
        _restate(coming, stock, str(store.codes[stock]), 'preclose' in given, path)
    unused = tuple(name for name in names if name and name not in columns.values())
    return Facts(len(told), int(coming.trades.sum()), tuple(unknown), unused)


def _take(coming: ComingDay, stock: int, row: Row, columns: Mapping[str, str], told: dict[str, float]) -> None:
    for name in columns:
        if name in FLAGS and row.text(name):
            text = row.text(name).lower()
            if text not in YES + NO:
                raise DataError(f'{row.where(name)}: found {text!r}, expected 1 or 0')
            on = text in YES
            _put(coming, stock, row, told, 'paused' if name == 'traded' else name, float(not on if name == 'traded' else on))
        elif name in FACTS and name not in FLAGS:
            value = row.number(name)
            if value == value:
                low, high = {'share_ratio': (1.0, 10.0), 'cash_dividend': (0.0, math.inf)}.get(name, (0.001, math.inf))
                if not low <= value <= high:
                    expected = 'shares after per share before: 1.3 for 10 转 3' if name == 'share_ratio' else 'a number above 0'
                    raise DataError(f'{row.where(name)}: found {value:g}, expected {expected}')
                _put(coming, stock, row, told, name, value)


def _put(coming: ComingDay, stock: int, row: Row, told: dict[str, float], name: str, value: float) -> None:
    if told.get(name, value) != value:
        raise DataError(f'{row.where(name)}: found {value:g}, and {told[name]:g} in a row before it; keep one')
    told[name] = coming.facts[name][stock] = value


def _restate(coming: ComingDay, stock: int, code: str, told: bool, path: Path) -> None:
    """Put the reference price of a stock right: as the file or the data has it, else worked out from what comes.

    Raises
    ------
    DataError
        What the file tells cannot be true of a price like the last one.
    """
    preclose, close = float(coming.facts['preclose'][stock]), float(coming.last_close[stock])
    dividend, ratio, low, high = (float(coming.facts[name][stock])
                                  for name in ('cash_dividend', 'share_ratio', 'low_limit', 'high_limit'))
    if dividend >= MOST_DIVIDEND * close:
        raise DataError(f'{path}: {code}: found a dividend of {dividend:g} yuan a share after a close of {close:g}; it is that '
                        'of one share, not of ten')
    known = told or abs(preclose - close) > rules.half_tick(code)  # the data has the day's own
    if not known and (dividend > 0 or ratio > 1):
        # the exchanges' ex-rights reference price: trading rules, 除权（息）参考价
        price = (close - (dividend if dividend == dividend else 0.0)) / (ratio if ratio == ratio else 1.0)
        preclose = coming.facts['preclose'][stock] = rules.round_half_up(max(price, rules.tick(code)), rules.steps(code))
    if not LEAST_REFERENCE * close <= preclose <= MOST_REFERENCE * close:
        raise DataError(f'{path}: {code}: found a reference price of {preclose:g} yuan after a close of {close:g}; mend it')
    if low > preclose or high < preclose:
        raise DataError(f'{path}: {code}: found the limits {low:g} and {high:g} around a reference price of {preclose:g}; mend '
                        'them')
    coming.reference[stock] = preclose
