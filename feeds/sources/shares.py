"""Total shares by the day from which on they hold, for a source that has none: joined to its closes they are the market caps.

They come from another service, as histories of changes, or from quarterly reports, or from a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DataError
from .answers import parse_dates, require_columns

COLUMNS = ('code', 'date', 'shares', 'until')
NEAR, SAME = 10, 0.02  # days; parts: a record so near to an ex-date, and to its new shares, is that of it
LEAST = 5e6  # shares; the median of A shares is above 1e8
SOURCES = {
    'akshare': 'stock_zh_a_gbjg_em, the share history of eastmoney: one slow call a stock',
    'mootdx': 'xdxr of the TDX servers: one quick call a stock',
    'baostock': 'query_profit_data, quarterly reports: one call a stock and quarter',
}
UNFIT = ('unfit for ranking by market cap: float shares x close, estimated from the turnover, is no market cap: of the 30 '
         'smallest by the one and by the other 4.7 % are the same; make it anew with --shares akshare, mootdx, baostock or '
         'FILE')


def share_table(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return records of shares as one table, by code and day: those with a number, one a day.

    Parameters
    ----------
    parts : iterable of DataFrame
        Columns as in `COLUMNS`: ``date`` from which on ``shares`` are known to hold, ``until`` the day as of which they do.
    """
    found = [part[list(COLUMNS)] for part in parts if len(part)]
    if not found:
        none = np.empty(0, 'datetime64[s]')
        return pd.DataFrame({'code': [], 'date': none, 'shares': [], 'until': none})
    table = pd.concat(found, ignore_index=True)
    table = table[(table['shares'] > 0) & table['date'].notna() & table['code'].notna()]
    table = table.sort_values(['code', 'date', 'until'], kind='stable').drop_duplicates(['code', 'date'], keep='last')
    return table.reset_index(drop=True)


def of_history(
    frame: pd.DataFrame, code: str, day: str, total: str, asked: date, source: str, scale: float = 1.0,
) -> pd.DataFrame:
    """Return a history of changes as records: each holds from its day on, and up to the day on which it was asked for.

    Parameters
    ----------
    frame : DataFrame
        An answer.
    code : str
        Canonical.
    day, total : str
        Its columns with the day of the change and the total shares after it.
    asked : date
        Day of the answer.
    source : str
        What messages call it.
    scale : float
        Shares in its unit.
    """
    frame = require_columns(frame, (day, total), source)
    numbers = pd.to_numeric(frame[total], errors='coerce').astype('float64') * scale
    days = parse_dates(frame, day)
    told = np.datetime64(asked, 's')
    return pd.DataFrame({'code': code, 'date': days, 'shares': numbers.round(),
                         'until': days.where(days > told, told).astype('datetime64[s]')})


def of_file(path: Path) -> pd.DataFrame:
    """Return a file with code, date and total shares as records: as of the file's last day.

    A split on a later day is not in them; one within some days of the stock's own last record may be, as files date it
    differently.

    Raises
    ------
    DataError
        Not readable, a column that lacks, a code or a day that is none.
    """
    from ..side_tables import read_side_table

    table = read_side_table('shares', path)
    if not table['shares'].median() >= LEAST:
        raise DataError(f'{path}, column shares: found {table["shares"].median():g} in the middle, expected the total shares of '
                        'companies, one by one: multiply what is in 万股 by 10,000')
    own = table.groupby('code')['date'].transform('max') + np.timedelta64(NEAR, 'D')
    return share_table([table.assign(until=own.clip(lower=table['date'].max()).astype('datetime64[s]'))])


def check_enough(shares: str | Path, records: pd.DataFrame, codes: list[str]) -> None:
    """Refuse records that most stocks lack: there would be no market caps.

    Raises
    ------
    DataError
        Names some stocks that lack.
    """
    lacking = sorted(set(codes).difference(records['code']))
    if 2 * len(lacking) > len(codes):
        raise DataError(f'--shares {shares}: found total shares of {len(codes) - len(lacking):,} of {len(codes):,} stocks, '
                        f'expected those of most; it has none of {", ".join(lacking[:3])} and others')


class ShareHistory:
    """Gives total shares on the rows of tables that come one after the other, the days of each stock ascending.

    Between two records shares change by explicit bonus shares and transfers alone (``share_ratio``), where the record is as of a
    day before the ex-date.

    Parameters
    ----------
    records : DataFrame
        Of `share_table`.
    """

    def __init__(self, records: pd.DataFrame) -> None:
        self._records = {code: (part['date'].to_numpy('datetime64[D]').copy(), part['shares'].to_numpy(float),
                                part['until'].to_numpy('datetime64[D]')) for code, part in records.groupby('code', sort=False)}
        self._splits: dict[str, list[tuple[np.datetime64, float]]] = {}
        self._now: dict[str, tuple[float, np.datetime64]] = {}  # of days one by one: shares, and the day of the next record
        self.unknown: set[str] = set()

    def known_as_of(self, code: str, day: date) -> date | None:
        """Return the earliest day as of which a record is that counts on a day or later; None where there is no record."""
        if code not in self._records:
            return None
        known, _, until = self._records[code]
        first = max(0, int(np.searchsorted(known, np.datetime64(day), 'right')) - 1)
        return until[first:].min().astype(object)

    def split(self, code: str, day: date, ratio: float) -> None:
        """Take bonus shares and transfers on an ex-date before the first table."""
        self._splits.setdefault(code, []).append((np.datetime64(day), ratio))

    def total(self, table: pd.DataFrame) -> np.ndarray:
        """Return the total shares of each row; NaN before the first record.

        Parameters
        ----------
        table : DataFrame
            Canonical, with ``share_ratio`` where that is known.
        """
        out = np.full(len(table), np.nan)
        days = parse_dates(table, 'date').to_numpy('datetime64[D]')
        ratios = table['share_ratio'].to_numpy(float) if 'share_ratio' in table else np.full(len(table), np.nan)
        for row in np.flatnonzero((ratios == ratios) & (ratios != 1) & ~np.isnat(days)):
            code = table['code'].iat[row]
            self._take_split(code, days[row], ratios[row])
        if len(table) > 1 and (days == days[0]).all():  # the whole market on a day: only what changed is looked up
            return np.array([self._on(code, days[0]) for code in table['code'].tolist()]).round()
        for code, rows in table.groupby('code', sort=False).indices.items():
            if code not in self._records:
                self.unknown.add(code)
                continue
            out[rows] = self._of(code, days[rows])
        return out.round()

    def _take_split(self, code: str, day: np.datetime64, ratio: float) -> None:
        """Take bonus shares of a row; a record of them that is dated some days later counts from this day on."""
        self._now.pop(code, None)
        if any(day == other for other, _ in self._splits.get(code, ())):  # told before the first table
            return
        if code in self._records:
            known, shares, _ = self._records[code]
            place = int(np.searchsorted(known, day, 'right'))
            if 0 < place < len(known) and known[place - 1] != day and known[place] - day <= np.timedelta64(NEAR, 'D') and abs(
                    shares[place] / (shares[place - 1] * ratio) - 1) < SAME:
                known[place] = day
                return
        self._splits.setdefault(code, []).append((day, ratio))

    def _of(self, code: str, days: np.ndarray) -> np.ndarray:
        """Return a stock's total shares on some days."""
        known, shares, until = self._records[code]
        place = np.searchsorted(known, days, 'right') - 1  # NaT comes last
        there = (place >= 0) & ~np.isnat(days)
        values = np.where(there, shares[place], np.nan)
        for day, ratio in self._splits.get(code, ()):
            values = np.where(there & (until[place] < day) & (days >= day), values * ratio, values)
        return values

    def _on(self, code: str, day: np.datetime64) -> float:
        if code not in self._records:
            self.unknown.add(code)
            return np.nan
        now = self._now.get(code)
        if now is None or day >= now[1]:
            later = self._records[code][0][self._records[code][0] > day]
            now = float(self._of(code, np.array([day]))[0]), later[0] if len(later) else np.datetime64('2999-01-01')
            self._now[code] = now
        return now[0]
