"""What a store knows beside the market: names, listing dates, industries, index members, benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from ..columns import REFERENCE_TABLES, ordinals
from ..errors import DataError
from ..invocation import command

if TYPE_CHECKING:
    import pandas as pd

_OPTIONS = {'names': '--names FILE', 'listings': '--listings FILE', 'industries': '--industries FILE',
            'constituents': '--members INDEX=FILE', 'benchmarks': '--benchmark INDEX=FILE'}


class ReferenceData:
    """Looks things up in the tables beside a market, as they were known on a day.

    Parameters
    ----------
    codes : ndarray of str, shape (stocks,)
    days : ndarray of int, shape (days,)
        Ordinals.
    first : ndarray of int, shape (stocks,)
        Number of the day of each stock's first row.
    table : callable
        Gives a table by its name, of `columns.REFERENCE_TABLES`; without rows where there is none.
    source : str
        What messages call the market.
    names : collection of str
        Which tables there may be: the others are not asked for, which would load pandas.
    """

    def __init__(self, codes: np.ndarray, days: np.ndarray, first: np.ndarray, table: Callable[[str], pd.DataFrame],
                 source: str, names: Collection[str] = tuple(REFERENCE_TABLES)) -> None:
        self._names = names
        self._codes, self._days, self._first, self._read, self._source = codes, days, first, table, source
        self._sorted: dict[str, pd.DataFrame] = {}
        self._kept: dict[Any, np.ndarray] = {}  # what was looked up last: it is asked every day and rarely changes

    def _table(self, name: str) -> pd.DataFrame:
        if name not in self._sorted:
            table = self._read(name) if name in self._names else ()
            if not len(table):
                raise DataError(f'{self._source}: has no {name}; give {command("ingest")} {_OPTIONS[name]}, or make the '
                                'store from a source that has them')
            since = 'date' if 'date' in REFERENCE_TABLES[name] else 'listed'
            table = table.sort_values(since, kind='stable', na_position='first')
            self._sorted[name] = table.assign(day=ordinals(table[since]))
        return self._sorted[name]

    def members(self, index: str, day: int) -> np.ndarray:
        """Return which stocks were in an index.

        Parameters
        ----------
        index : str
            Six digits, such as 000300.
        day : int
            Ordinal; the last list of that day or before counts.

        Returns
        -------
        ndarray of bool, shape (stocks,)

        Raises
        ------
        DataError
            The store has no members of this index, or none as early as this.
        """
        if ('days', index) not in self._kept:
            table = self._table('constituents')
            self._kept['days', index] = np.unique(table.loc[table['index'] == index, 'day'])
        days = self._kept['days', index]
        at = int(np.searchsorted(days, day, side='right'))
        if not at:
            raise DataError(f'{self._source}: has no members of {index} on or before '
                            f'{date.fromordinal(day)}; it has {", ".join(sorted(set(self._table("constituents")["index"])))}')
        return self._keep(('members', index), int(days[at - 1]), self._members)

    def _members(self, name: tuple[str, str], day: int) -> np.ndarray:
        table = self._table('constituents')
        return np.isin(self._codes, table.loc[(table['index'] == name[1]) & (table['day'] == day), 'code'].to_numpy(str))

    def _keep(self, name: Any, version: int, look: Callable[[Any, int], np.ndarray]) -> np.ndarray:
        """Return what was looked up under a name, anew where its version is another one."""
        kept = self._kept.get(name)
        if kept is None or kept[0] != version:
            kept = self._kept[name] = version, look(name, version)
            kept[1].setflags(write=False)
        return kept[1]

    def latest(self, name: str, day: int) -> np.ndarray:
        """Return the names or the industries of all stocks.

        Parameters
        ----------
        name : str
            ``names`` or ``industries``.
        day : int
            Ordinal; what was said on that day or before counts.

        Returns
        -------
        ndarray of str, shape (stocks,)
            Empty where nothing is known.
        """
        return self._keep(name, int(np.searchsorted(self._table(name)['day'].to_numpy(), day, side='right')), self._latest)

    def _latest(self, name: str, rows: int) -> np.ndarray:
        known = self._table(name)[:rows].drop_duplicates('code', keep='last').set_index('code')[REFERENCE_TABLES[name][-1]]
        return known.reindex(self._codes).fillna('').to_numpy(str)

    def listed_days(self, day: int) -> np.ndarray:
        """Return for how many calendar days each stock has been listed; NaN where it is not known.

        Without listings a stock counts as listed on its first row, unless that is on the first day of all.

        Parameters
        ----------
        day : int
            Ordinal.
        """
        return day - self._keep('listed', 0, self._listed) + 1

    def _listed(self, name: str, version: int) -> np.ndarray:
        """Return the ordinals of the listing days; NaN where they are not known."""
        if 'listings' not in self._names or not len(self._read('listings')):
            return np.where(self._first > 0, self._days[self._first], np.nan)
        import pandas as pd

        table = self._table('listings').drop_duplicates('code', keep='last').set_index('code')['listed']
        listed = pd.to_datetime(table.reindex(self._codes)).to_numpy()
        return np.where(np.isnat(listed), np.nan, ordinals(np.where(np.isnat(listed), np.datetime64(0, 'D'), listed)))

    def benchmark(self, index: str) -> dict[str, np.ndarray]:
        """Return an index on all days of the market: open, high, low, close (points), volume (NaN).

        A day that the index lacks repeats its last close; before its first day and after its last it is NaN.

        Raises
        ------
        DataError
            The store has no such index.
        """
        table = self._read('benchmarks')
        rows = table[table['index'] == index]
        if not len(rows):
            found = ', '.join(sorted(set(table['index']))) or 'none'
            raise DataError(f'{self._source}: has no benchmark {index} (found {found}); '
                            f'add it with {command("ingest")} ... --benchmark {index}=FILE, or --benchmark {index} of a download')
        rows = rows.drop_duplicates('date', keep='last').assign(day=lambda table: ordinals(table['date'])).set_index('day')
        last = rows.index.max()
        rows = rows.reindex(self._days)
        close = rows['close'].ffill().where(rows.index <= last)
        return {**{name: rows[name].fillna(close).to_numpy() for name in ('open', 'high', 'low')}, 'close': close.to_numpy(),
                'volume': np.full(len(rows), np.nan)}
