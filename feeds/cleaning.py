"""The checks of single rows: what makes one unusable, what is mended, what is taken as not known.

The rules, with what becomes of a row, are in README.md ("Your own data"). Nothing here guesses: a value that does not
follow from the row, or from the stock's last close on a suspended day, is not made up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date

import numpy as np

from .columns import FLAGS, OPTIONAL, PRICES, REQUIRED
from .quarantine import LEFT_OUT, UNKNOWN, Kind, Quarantine
from .rows import Rows, shown

# The smallest A share ever traded was worth some 0.07 bn yuan, the largest some 3,300 bn: a decade of slack each way.
MIN_MARKET_CAP, MAX_MARKET_CAP = 7e6, 3.3e13
FIRST_DAY, LAST_DAY = date(1990, 12, 1).toordinal(), date(2100, 1, 1).toordinal()  # Shenzhen began; nobody's data
SLACK = 1e-6  # yuan: binary noise of adjusted or summed prices, far below the 0.01 tick

CUT = Kind('fields that lack, or too many', LEFT_OUT)
NO_DAY = Kind('no day', LEFT_OUT)
STRANGE_DAY = Kind('a day on which no A share was traded', LEFT_OUT)
LONELY_DAY = Kind('a weekend, or a day on which hardly any stock has a row', LEFT_OUT)
NO_CODE = Kind('no code of a stock', LEFT_OUT)
NO_FLAG = Kind('neither 0 nor 1', LEFT_OUT)
NO_VOLUME = Kind('no volume', LEFT_OUT)
VOLUME_0 = Kind('no volume on a suspended day', 'taken as 0', bad=False)
NO_PRICE = Kind('no price', LEFT_OUT)
SUSPENDED = Kind('no price on a suspended day', 'given the close', bad=False)
LAST_CLOSE = Kind('no price on a suspended day', 'given the last close', bad=False)
NO_LAST_CLOSE = Kind('no price on a suspended day, and none before', LEFT_OUT, bad=False)
CROSSED = Kind('high below low', LEFT_OUT)
HIGH = Kind('high below open or close', 'high widened')
LOW = Kind('low above open or close', 'low widened')
NO_CAP = Kind('no market cap', 'not picked on the next day', bad=False)
ABSURD_CAP = Kind('absurd market cap', 'taken as not known, not picked on the next day')
NOT_POSITIVE = Kind('not above 0', UNKNOWN)
NEGATIVE = Kind('below 0', UNKNOWN)
NO_NUMBER = Kind('no number', UNKNOWN)
LIMITS = Kind('upper limit below the lower one', UNKNOWN)
DOUBLED = Kind('the same row twice', 'one of them left out', bad=False)
CONFLICTING = Kind('a second row of the day with other content', 'all of them left out')

_FIELDS = re.compile(r'\d+ fields instead of \d+')  # what `files` writes for the day of such a row
MEND = 'mend or drop the row'
SUSPENDED_PRICE = 'a price above 0 in a suspended row', 'repeat the last close there, or drop the row'
_PRICE_ORDER = 'check the order of the price columns: some sources write open, close, high, low'


def unit(name: str) -> str:
    """Return what a canonical column holds, with its unit."""
    return REQUIRED.get(name) or OPTIONAL.get(name) or 'yuan'  # circ_market_cap


def trading_days(day: np.ndarray) -> np.ndarray:
    """Return which ordinals can be trading days at all."""
    return (day >= FIRST_DAY) & (day <= LAST_DAY)


def clean(rows: Rows, quarantine: Quarantine) -> Rows:
    """Check rows one by one; return those that can be used, mended where that needs no guess.

    Suspended rows without any price stay, with NaN prices: only the whole table tells the last close.

    Parameters
    ----------
    rows : Rows
        With all required columns. Its arrays may be changed.
    quarantine : Quarantine
        Takes what is found.

    Raises
    ------
    DataError
        The quarantine is strict, and a row is not as it should be.
    """
    quarantine.see(rows)
    keep = np.ones(len(rows), bool)

    def leave_out(kind: Kind, mask: np.ndarray, column: str, expected: str | Sequence[str], mend: str = MEND,
                  found: Sequence[str] | None = None) -> None:
        quarantine.add(kind, rows, np.flatnonzero(mask & keep), column, expected, mend, found)
        keep[mask] = False

    cut = {row: text for (column, row), text in rows.written.items()
           if column == 'row' or column == 'date' and _FIELDS.fullmatch(str(text))}
    if cut:
        mask = np.zeros(len(rows), bool)
        mask[list(cut)] = True
        leave_out(CUT, mask, 'row', 'as many fields as in the header', MEND, [cut[row] for row in sorted(cut)])
    no_day = (rows.day <= 0) & keep
    if no_day.any():
        bad = np.flatnonzero(no_day)
        texts = [shown(rows.written.get(('date', row))) for row in bad.tolist()]
        leave_out(NO_DAY, no_day, 'date', 'a day without a time such as 2024-11-01', 'write each date as YYYY-MM-DD', texts)
    strange = ~trading_days(rows.day) & keep
    if strange.any():
        days = [str(date.fromordinal(int(rows.day[row]))) for row in np.flatnonzero(strange).tolist()]
        leave_out(STRANGE_DAY, strange, 'date', f'a trading day from {date.fromordinal(FIRST_DAY)} on', MEND, days)
    known = np.array([code is not None for code in rows.codes] + [False])  # the last: -1, no code at all
    if not known[:-1].all() or (len(rows) and rows.stock.min() < 0):
        no_code = ~known[rows.stock]
        bad = np.flatnonzero(no_code & keep)
        written = [*rows.codes_as_written, None] if rows.codes_as_written else []
        expected: str | list[str] = 'six digits and .XSHG, .XSHE or .BJSE, or sh600000, 600000.SH'
        if rows.files is not None:
            expected = [f'{rows.stem(row)!r} as the file is called; one file per stock' for row in bad.tolist()]
        leave_out(NO_CODE, no_code, 'code', expected, MEND if rows.files is not None else
                  'write codes as 600000.XSHG, 000001.XSHE or 835508.BJSE', [shown(rows.written.get(
                      ('code', row), written[rows.stock[row]] if written else None)) for row in bad.tolist()])
    for name in FLAGS:
        if name in rows.columns:
            values = rows.columns[name]
            bad = (values != 0) & (values != 1)
            if bad.any():
                by_name = name in rows.by_name
                leave_out(NO_FLAG, bad, name, "the day's name: it tells whether the stock is ST" if by_name else '0 or 1',
                          MEND if by_name else unit(name))
    _volume(rows, keep, quarantine, leave_out)
    _prices(rows, keep, quarantine, leave_out)
    _market_cap(rows, keep, quarantine)
    _optional(rows, keep, quarantine)
    rows = rows if keep.all() else rows.take(keep)
    for name in FLAGS:
        if name in rows.columns:
            rows.columns[name] = rows.columns[name].astype('uint8')
    return rows


def _volume(rows: Rows, keep: np.ndarray, quarantine: Quarantine, leave_out: Callable[..., None]) -> None:
    volume = rows.columns['volume']
    bad = ~(volume >= 0) & keep
    if not bad.any():
        return
    suspended = rows.columns['paused'] == 1
    what = '0 or more shares', 'write 0 where nothing was traded'
    leave_out(NO_VOLUME, bad & ~suspended, 'volume', *what)
    quarantine.add(VOLUME_0, rows, np.flatnonzero(bad & suspended), 'volume', *what)
    volume[bad & suspended] = 0.0


def _prices(rows: Rows, keep: np.ndarray, quarantine: Quarantine, leave_out: Callable[..., None]) -> None:
    opens, high, low, close = (rows.columns[name] for name in PRICES)
    good = (low > 0) & (low <= opens) & (low <= close) & (opens <= high) & (close <= high)
    at = np.flatnonzero(~good & keep)  # few: from here on they are looked at one kind after the other
    if not len(at):
        return
    suspended = rows.columns['paused'][at] == 1
    positive = {name: rows.columns[name][at] > 0 for name in PRICES}
    priced = np.logical_and.reduce(list(positive.values()))
    _suspended(rows, at[suspended & ~priced], quarantine)
    for name in PRICES:
        mask = np.zeros(len(rows), bool)
        mask[at[~suspended & ~positive[name]]] = True
        leave_out(NO_PRICE, mask, name, 'a price above 0 in a traded row', 'drop the row if the stock did not trade')
    at = at[~suspended & priced]  # a suspended row may repeat any prices: nothing is traded at them
    crossed = at[low[at] > high[at] + SLACK]
    if len(crossed):
        mask = np.zeros(len(rows), bool)
        mask[crossed] = True
        leave_out(CROSSED, mask, 'high', [f'at least the low {shown(low[row])}' for row in crossed.tolist()], _PRICE_ORDER)
        at = np.setdiff1d(at, crossed)
    for kind, column, edge, sign, words in ((HIGH, high, np.maximum, 1, ('high', 'at least')),
                                            (LOW, low, np.minimum, -1, ('low', 'at most'))):
        edges = edge(opens[at], close[at])
        beyond = sign * (edges - column[at]) > SLACK
        bad, name, bound = at[beyond], words[0], edges[beyond]
        if len(bad):
            expected = [f'{words[1]} the {"open" if opens[row] == edge else "close"} {shown(edge)}'
                        for row, edge in zip(bad.tolist(), bound.tolist(), strict=True)]
            quarantine.add(kind, rows, bad, name, expected, _PRICE_ORDER)
            column[bad] = bound


def _suspended(rows: Rows, at: np.ndarray, quarantine: Quarantine) -> None:
    """Give suspended rows the close; those without one get the stock's last close when the whole table is there."""
    if not len(at):
        return
    close = rows.columns['close'][at]
    preclose = rows.columns['preclose'][at] if 'preclose' in rows.columns else np.full(len(at), np.nan)
    own = close > 0
    close = np.where(own, close, preclose)  # the last close, less ex-rights of the day
    has_close = close > 0
    # what becomes of rows without a close the whole table tells: see `settling`
    told = at if quarantine.strict else at[has_close]
    for name in PRICES:
        first = told[~(rows.columns[name][told] > 0)]
        if len(first):  # one finding a row, of its first column that is wrong
            mine = np.isin(first, at[own])
            quarantine.add(SUSPENDED, rows, first[mine], name, *SUSPENDED_PRICE)
            quarantine.add(LAST_CLOSE, rows, first[~mine], name, *SUSPENDED_PRICE)
            told = np.setdiff1d(told, first)
    for name in PRICES:
        rows.columns[name][at] = np.where(has_close, close, np.nan)


def _market_cap(rows: Rows, keep: np.ndarray, quarantine: Quarantine) -> None:
    cap = rows.columns['market_cap']
    odd = ~((cap >= MIN_MARKET_CAP) & (cap <= MAX_MARKET_CAP)) & keep
    if not odd.any():
        return
    expected = f'yuan between {MIN_MARKET_CAP:g} and {MAX_MARKET_CAP:g}'
    missing = odd & ((cap == 0) | (cap != cap))
    fund = rows.of_funds()  # of any size, which nobody asks for
    absurd = np.flatnonzero(odd & ~missing & ~fund)
    written = np.zeros(len(rows), bool)
    written[[row for column, row in rows.written if column == 'market_cap']] = True
    quarantine.add(ABSURD_CAP, rows, absurd, 'market_cap', expected, 'check the row')
    quarantine.add(NO_NUMBER, rows, np.flatnonzero(missing & written), 'market_cap', f'a number ({unit("market_cap")})', MEND)
    silent = missing & ~written & ~fund & (rows.columns['paused'] == 0)  # a suspended stock is not picked anyway
    what = rows, np.flatnonzero(silent & (cap == 0)), 'market_cap', expected, 'check the row'
    quarantine.add(NO_CAP, *what, '0')
    what = rows, np.flatnonzero(silent & (cap != cap)), 'market_cap', expected, MEND
    quarantine.add(NO_CAP, *what, shown(None), lenient=True)
    cap[odd] = np.nan


def _optional(rows: Rows, keep: np.ndarray, quarantine: Quarantine) -> None:
    empty = 'leave it empty where it is not known'
    for name, kind, expected in (
        ('preclose', NOT_POSITIVE, 'a price above 0'), ('high_limit', NOT_POSITIVE, 'a price above 0'),
        ('low_limit', NOT_POSITIVE, 'a price above 0'), ('share_ratio', NOT_POSITIVE, 'a ratio above 0'),
        ('cash_dividend', NEGATIVE, '0 or more yuan a share'), ('amount', NEGATIVE, '0 or more yuan'),
        ('circ_market_cap', NEGATIVE, '0 or more yuan'),
    ):
        values = rows.columns.get(name)
        if values is None:
            continue
        bad = (values <= 0 if kind is NOT_POSITIVE else values < 0) & keep
        if bad.any():
            quarantine.add(kind, rows, np.flatnonzero(bad), name, expected, empty)
            values[bad] = np.nan
    for (name, row), text in rows.written.items():  # text where a number was expected
        if keep[row] and name not in ('date', 'code', 'market_cap', 'volume', *PRICES, *FLAGS):
            quarantine.add(NO_NUMBER, rows, np.array([row]), name, f'a number ({unit(name)})', MEND, [shown(text)])
    if 'high_limit' in rows.columns and 'low_limit' in rows.columns:
        high, low = rows.columns['high_limit'], rows.columns['low_limit']
        bad = (high < low) & keep
        if bad.any():
            expected = [f'at least the low_limit {shown(value)}' for value in low[bad].tolist()]
            quarantine.add(LIMITS, rows, np.flatnonzero(bad), 'high_limit', expected, 'the two limits are swapped')
            high[bad] = low[bad] = np.nan
