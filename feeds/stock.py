"""One stock per feed: ordinary Backtrader feeds from a DataFrame or a CSV file, loaded by whole columns."""

from __future__ import annotations

from array import array
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from .columns import OPTIONAL, dates_of, ordinals
from .daily import STOCK_LINES, DailyFeed
from .errors import DataError
from .files import load_table
from .schema import check_table
from .store import MarketStore


class ColumnFeed(DailyFeed):
    """A daily feed whose lines are filled by whole columns instead of row by row.

    Subclasses give the table in `_table`. Every line of the feed takes the column of its name; a column that
    the table lacks is NaN.
    """

    _rows = None  # dict of columns, made once

    def _table(self) -> pd.DataFrame:
        """Return the feed's table, checked; hook of the subclasses."""
        raise NotImplementedError

    def _prepare(self) -> None:
        if self._rows is not None:
            return
        table = self._table()
        self.days = ordinals(table['date'])  # of every row of the source, also outside fromdate..todate
        self.first_day, self.last_day = int(self.days[0]), int(self.days[-1])
        self.explicit_actions = 'cash_dividend' in table.columns or 'share_ratio' in table.columns
        self.has_delisting_period = 'delisting_period' in table.columns
        self._rows = {
            name: table[name].to_numpy('float64') if name in table.columns else np.full(len(table), np.nan)
            for name in self.getlinealiases() if name != 'datetime'
        }
        self._rows['datetime'] = self.days.astype('float64')
        self._extra = {
            name: table[name].to_numpy('float64') for name, kind in table.dtypes.items()
            if name not in self._rows and pd.api.types.is_numeric_dtype(kind)
        }

    def value(self, name: str, ago: int) -> float:
        """Return the value of a line, or of a further numeric column of the table.

        Raises
        ------
        KeyError
            There is neither.
        LookAheadError
            The bar is today's, at the open.
        """
        if name in self._rows:
            return getattr(self.lines, name)[ago]
        column = self.column(name)
        if ago >= 0:
            _ = self.close[ago]  # refused where it is not known yet, as every further column
        return np.nan if column is None else float(column[np.searchsorted(self.days, int(self.datetime[ago]))])

    def column(self, name: str) -> np.ndarray | None:
        """Return a line's or a further numeric column of all rows, also outside ``fromdate`` to ``todate``, as `days`.

        Returns
        -------
        ndarray of float or None
            None for an optional column that the table lacks.

        Raises
        ------
        KeyError
            There is neither.
        """
        column = self._rows.get(name, self._extra.get(name))
        if column is None and name not in OPTIONAL:
            raise KeyError(f'{self._name} has no column {name!r}; it has {", ".join([*self._rows, *self._extra])}')
        return column

    def start(self) -> None:
        """Read the table; called by Cerebro."""
        super().start()
        self._prepare()
        self._row = 0

    def preload(self) -> None:
        """Fill all lines at once, where nothing asks for a walk row by row."""
        if not self._plain() or any(line.mode != line.UnBounded or line.extension for line in self.lines):
            super().preload()
            return
        stamps = self._rows['datetime']
        part = slice(*np.searchsorted(stamps, (self.fromdate, self.todate)) + (0, int(self.todate in stamps)))
        for name, line in zip(self.getlinealiases(), self.lines, strict=True):
            line.array = array('d', self._rows[name][part].tobytes())
        self._row = len(self.days)  # nothing is left to load
        self.home()

    def _load(self) -> bool:
        row = self._row
        if row >= len(self.days):
            return False
        for name, line in zip(self.getlinealiases(), self.lines, strict=True):
            line[0] = self._rows[name][row]
        self._row = row + 1
        return True


class IndexPandas(ColumnFeed):
    """An index (a benchmark, or the whole market) from a DataFrame with date and OHLC columns.

    Params:

      - ``dataname`` (required): DataFrame with ``date``, ``open``, ``high``, ``low``, ``close`` and, if
        wanted, ``volume``; dates ascending.
    """

    def _table(self) -> pd.DataFrame:
        return self.p.dataname


class StockPandas(ColumnFeed):
    """One stock from a DataFrame in the canonical layout.

    The feed's name is the stock's code. Lines beside OHLCV: ``market_cap`` (yuan), ``is_st`` and ``paused``
    (0 or 1), ``preclose``, ``high_limit``, ``low_limit`` (yuan), ``cash_dividend`` (yuan a share before tax),
    ``share_ratio`` (new shares per old one), ``delisting_period`` (0 or 1); NaN where the table has no such column.

    Params:

      - ``dataname`` (required): DataFrame with the rows of one code, see `schema.REQUIRED`.
      - ``checked`` (default: ``False``): True when the table has passed `schema.check_table` already.
      - ``strict`` (default: ``False``): refuse the first row that is not as it should be, instead of mending it or leaving it
        out with a warning.
    """

    lines = STOCK_LINES

    params = (
        ('checked', False),  # the table has passed schema.check_table
        ('strict', False),  # refuse rows that are not as they should be
    )

    def __init__(self) -> None:
        super().__init__()
        self._prepare()  # here, so that bad input is said where the feed is made

    def _read(self) -> pd.DataFrame:
        table = self.p.dataname
        return table if self.p.checked else check_table(table, strict=self.p.strict, need_cap=False)

    def _source(self) -> str:
        return 'the table'

    def _table(self) -> pd.DataFrame:
        table = self._read()
        code = table['code'].iloc[0]
        other = (table['code'] != code).to_numpy()
        if other.any():
            raise DataError(
                f"{self._source()}, row {int(other.argmax())}, column code: found {table['code'].iloc[int(other.argmax())]} "
                f'beside {code}, expected one stock per feed; use add_stocks(cerebro, table) for a table of many')
        if not self._name:
            self._name = code
        return table


class StockCSV(StockPandas):
    """One stock from a CSV file in the canonical layout (``.csv`` or ``.csv.gz``, UTF-8).

    Lines and params as `StockPandas`; ``dataname`` is the path.
    """

    def _read(self) -> pd.DataFrame:
        return load_table(self.p.dataname, strict=self.p.strict, need_cap=False)

    def _source(self) -> str:
        return str(self.p.dataname)


def market_index(store: MarketStore) -> pd.DataFrame:
    """Return the market's equal-weight index as a table for `IndexPandas`; see `MarketStore.index`."""
    return pd.DataFrame({'date': dates_of(store.days), **store.index()})


def add_stocks(
    cerebro: bt.Cerebro, table: pd.DataFrame, benchmark: pd.DataFrame | None = None, *, checked: bool = False,
    strict: bool = False, **kwargs: Any,
) -> list[StockPandas]:
    """Add the market's index as the first feed, then one feed per stock of a table.

    The index is the clock of the run, so that it has every trading day, whatever the stocks do.

    Parameters
    ----------
    cerebro : bt.Cerebro
    table : DataFrame
        Canonical table of any number of stocks.
    benchmark : DataFrame, optional
        An index (date and OHLC) to show instead of the equal-weight market.
    checked : bool
        True when the table has passed `schema.check_table` already.
    strict : bool
        Refuse the first row that is not as it should be, instead of mending it or leaving it out with a warning.
    **kwargs
        Params of every feed, such as ``fromdate`` and ``todate``.

    Returns
    -------
    list of StockPandas
        In the order of their codes.
    """
    if not checked:
        table = check_table(table, strict=strict)
    index = market_index(MarketStore.from_table(table, checked=True))
    if benchmark is not None:  # on the market's own days: they are the bars of the run
        index = benchmark.set_index('date').reindex(index['date'], method='ffill').reset_index()
    name = 'market' if benchmark is None else 'benchmark'
    cerebro.adddata(IndexPandas(dataname=index, **kwargs), name=name)
    feeds = []
    low = pd.Timestamp(kwargs['fromdate']) if kwargs.get('fromdate') else None
    high = pd.Timestamp(kwargs['todate']) if kwargs.get('todate') else None
    for code, rows in table.groupby('code', sort=True, observed=True):
        if (low is not None and rows['date'].iloc[-1] < low) or (high is not None and rows['date'].iloc[0] > high):
            continue  # a feed without a bar in the range would only cost time
        feed = StockPandas(dataname=rows, checked=True, **kwargs)
        cerebro.adddata(feed, name=code)
        feeds.append(feed)
    return feeds
