"""What is published of a day before its open, from a file of the user's: suspensions, ST, reference prices, ex-dates."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np

from ..exchange import rules
from ..feeds.errors import DataError
from ..feeds.headings import INVERTED, SYNONYMS
from ..feeds.store import MarketStore
from ..feeds.store.coming import FACTS, ComingDay
from .text_tables import Row, read_rows

YES, NO = ('1', '1.0', 'yes', 'true', '是', '停牌', 'y'), ('0', '0.0', 'no', 'false', '否', '正常', '交易', 'n')
COLUMNS = {**{name: SYNONYMS[name] for name in ('date', 'code', *FACTS)}, 'traded': INVERTED['paused']}
FLAGS = ('paused', 'is_st', 'delisting_period', 'traded')


def with_facts(coming: ComingDay, store: MarketStore, path: Path, rename: Mapping[str, str] | None = None) -> int:
    """Put what a file says of a day over what is known of it.

    Parameters
    ----------
    coming : ComingDay
        Changed in place.
    store : MarketStore
    path : Path
        CSV with ``code`` and any of ``paused``, ``is_st``, ``preclose``, ``high_limit``, ``low_limit``, ``cash_dividend`` (yuan a
        share before tax), ``share_ratio`` and ``delisting_period``; a code that is not in it stays as it is. With a column of
        dates the rows of the day alone count.
    rename : mapping of str to str, optional

    Returns
    -------
    int
        The number of rows that counted.

    Raises
    ------
    DataError
        A row that cannot be understood, or none of the day.
    """
    rows, columns = read_rows(path, COLUMNS, ('code',), rename)
    if not set(columns) - {'code', 'date'}:
        raise DataError(f'{path}: found no column of facts, expected one of {", ".join(FACTS)}')
    day, counted = date.fromordinal(coming.day), 0
    for row in rows:
        if 'date' in columns and row.day('date') != day:
            continue
        code, counted = row.code(), counted + 1
        try:
            stock = store.stock_number(code)
        except KeyError:
            continue  # a file of the whole market may know more
        if coming.trades[stock]:
            _take(coming, stock, code, row, columns)
    if not counted:
        raise DataError(f'{path}: found no row of {day}, the day that orders are made for')
    return counted


def _take(coming: ComingDay, stock: int, code: str, row: Row, columns: Mapping[str, str]) -> None:
    close = float(coming.reference[stock])
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
                if not value >= 0 or name != 'cash_dividend' and not value > 0:
                    raise DataError(f'{row.source}, column {name}: found {value:g}, expected a number above 0')
                coming.facts[name][stock] = value
    dividend, ratio = (coming.facts[name][stock] for name in ('cash_dividend', 'share_ratio'))
    told = row.number('preclose')
    if told == told:
        coming.reference[stock] = told
    elif (dividend == dividend or ratio == ratio) and row.text('cash_dividend') + row.text('share_ratio'):
        # the exchanges' ex-rights reference price: trading rules, 除权（息）参考价
        price = (close - np.nan_to_num(dividend)) / (ratio if ratio == ratio else 1.0)
        price = rules.round_half_up(max(price, rules.tick(code)), rules.steps(code))
        coming.reference[stock] = coming.facts['preclose'][stock] = price
