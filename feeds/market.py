"""The whole market behind one registered feed.

`MarketFeed` is the clock of the run and shows the market's index. The feed of a stock is made when it is first
asked for; its lines read the store's columns at the clock's bar, so that it is always in step and costs
nothing while it is not looked at.
"""

from __future__ import annotations

import copy
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np

from bt_microcap.exchange.bars import OpeningBar
from bt_microcap.exchange.opening import PRE_OPEN

from .columns import INDEX_LINES
from .daily import DailyFeed
from .days import StoreDays
from .errors import DataError
from .history import LIMITS, History
from .market_stock import ClockedLine, DayRows, MarketStock
from .store import MarketStore
from .universe import CrossSection, any_between, check_close, extremes_of

NAN = float('nan')


def open_store(source: Any, strict: bool = False) -> MarketStore:
    """Return a market as a store.

    Parameters
    ----------
    source : MarketStore, DataFrame, str or Path
        A store, a canonical table, a store's folder, or a canonical table's file.
    strict : bool
        Refuse the first row of a table that is not as it should be, instead of mending it or leaving it out with a warning.

    Raises
    ------
    DataError
        Neither a store nor a table, or one with wrong content.
    """
    if isinstance(source, MarketStore):
        return source
    if isinstance(source, (str, Path)) and Path(source).is_dir():
        return MarketStore.open(source)
    from .quarantine import Quarantine  # of tables alone

    made = MarketStore.from_file if isinstance(source, (str, Path)) else MarketStore.from_table
    return made(source, quarantine=Quarantine(True) if strict else None)


class _DatasByName(dict):
    """Cerebro's feeds by name, and a market's stocks, each made when it is first asked for: for ``getdatabyname``."""

    market: MarketFeed

    def __missing__(self, name: str) -> MarketStock:
        return self.market.stock(name)


class MarketFeed(DailyFeed):
    """The whole market as one feed.

    ::

        cerebro.adddata(MarketFeed(dataname='store'), name='market')

    Its own lines show the market's index, equal weight: open, high, low, close (points) and volume (shares). It
    travels to another process as the name of its folder.

    It is the daily clock of the run and of its stocks: it cannot be resampled, replayed or filtered itself. For weekly
    bars beside it add it first: ``cerebro.resampledata(market, timeframe=bt.TimeFrame.Weeks)`` then makes a second feed.

    Params:

      - ``dataname`` (required): a store's folder, a canonical table's file (``.parquet``, ``.csv``, ``.csv.gz``), a
        `MarketStore`, or a DataFrame in the canonical layout.
      - ``fromdate``, ``todate``: first and last day, as in any feed.
      - ``benchmark`` (default: ``''``, the market): what its own lines show: ``market``, ``microcap`` (the 400 smallest
        stocks), one of the two with options, such as ``microcap:100:renew=5:weight=float_cap:new=60``, or six digits of an
        index that the store has; see `MarketStore.benchmark`. One renewed every k days is renewed on the run's day 0, its
        second bar, and every k days from there.
      - ``strict`` (default: ``False``): refuse the first row of a table that is not as it should be, instead of mending it or
        leaving it out with a warning.
    """

    params = (
        ('benchmark', ''),  # see MarketStore.benchmark
        ('strict', False),  # refuse rows of a table that are not as they should be
    )

    opening = None  # of the run, where AShareBroker hides what is not known at the open
    looks_over: int | None = None  # number of the first day that is asked whether a band is ever met; None: of the run

    def __init__(self) -> None:
        super().__init__()
        self.store = open_store(self.p.dataname, self.p.strict)
        self._prepare()
        self._made: dict[str, MarketStock] = {}
        self._template: MarketStock | None = None

    def _prepare(self) -> None:
        self.days = self.store.days
        low, high = (None if day is None else bt.date2num(day) for day in (self.p.fromdate, self.p.todate))
        self.offset = 0 if low is None else int(np.searchsorted(self.days, low))
        self.end = len(self.days) if high is None else int(np.searchsorted(self.days, high, side='right'))
        # what its own lines show: open, high, low, close and volume of every day of the market
        self.level = self._benchmark(self.p.benchmark or 'market')

    def _benchmark(self, spec: str) -> dict[str, np.ndarray]:
        # of all days, also later ones than today; day 0 of the run, its second bar, is a day of renewal
        return self.store.benchmark(spec, self.offset + 1)

    # -- what a strategy asks -------------------------------------------------------------------------------

    def universe(self) -> MarketUniverse:
        """Return the universe of all stocks; `MicroCapStrategy` asks for it."""
        return MarketUniverse(self)

    def stock(self, code: str) -> MarketStock:
        """Return the feed of a stock.

        Parameters
        ----------
        code : str
            Canonical code.

        Raises
        ------
        KeyError
            The market has no such stock.
        DataError
            The run has not begun.
        """
        feed = self._made.get(code)
        if feed is None:
            if not self._started:
                raise DataError(f'{code}: the stocks of a MarketFeed are there during a run, for a strategy that asks '
                                f'self.data.stock({code!r}); feeds for cerebro.adddata or resampledata are StockPandas, or '
                                'those of add_stocks(cerebro, table)')
            number = self.store.stock_number(code)
            if self._template is None:
                self._template = self._make_template()
            feed = self._made[code] = self._template._twin(number)
            self._env.datasbyname[code] = feed
        return feed

    def shared_line(self, empty: bool, start: int) -> bt.linebuffer.LineBuffer:
        """Return the line of the bars' dates, or one without values, for the stocks that begin at a bar."""
        if not start and not empty:
            return self.lines.datetime
        if (empty, start) not in self._shared:
            block = None if empty else self.stamps[start:]
            self._shared[empty, start] = ClockedLine.over(self, self, block, -start, start, 'this line')
        return self._shared[empty, start]

    def closes(self, numbers: np.ndarray) -> np.ndarray | None:
        """Return the closes of many stocks at the current bar; None where only the lines know.

        Parameters
        ----------
        numbers : ndarray of int
            Of the stocks in the store.

        Returns
        -------
        ndarray of float
            Yuan; NaN where a stock has no row.
        """
        if self.store.coming is not None:
            return None
        return self.store.vector('close', self.offset + self.lines.datetime._idx)[numbers]

    @property
    def stocks(self) -> list[MarketStock]:
        """The feeds of stocks made so far, in that order."""
        return list(self._made.values())

    def _make_template(self) -> MarketStock:
        template = MarketStock(dataname=self)
        template.market, template._start, template._bars_line = self, 0, self.lines.datetime
        template._env, template._started = self._env, True
        template._id = self._id
        template._tz, template._tzinput, template._calendar = self._tz, self._tzinput, self._calendar
        template.fromdate, template.todate = self.fromdate, self.todate
        template._laststatus = self._laststatus
        # a memoryview gives Python numbers, faster than an array its NumPy scalars
        columns = [self.store.arrays.get(f'stock/{name}') for name in template.getlinealiases()]
        self.columns = [None if column is None else memoryview(column) for column in columns]
        self.columns[template.getlinealiases().index('datetime')] = self.lines.datetime
        self.labels = [(name, name not in PRE_OPEN) for name in template.getlinealiases()]
        self.by_name = dict(zip(template.getlinealiases(), self.columns, strict=True))
        self.opening_columns = [self.by_name[name] for name in OpeningBar._fields[1:]]
        self.day_rows = DayRows.of(self.store)
        self._shared: dict[tuple[bool, int], ClockedLine] = {}
        self.stamps = memoryview(self.days[self.offset:self.end].astype('float64'))
        self.listed, self.delisted = (self.store.listing_days(name) for name in ('listed', 'delisted'))  # code -> ordinal
        template._line_count = template.lines.fullsize()
        template.explicit_actions = self.store.explicit_actions
        template.has_delisting_period = 'delisting_period' in self.store.columns
        for name in [name for name in template.__dict__ if name.startswith('line') and name != 'lines']:
            del template.__dict__[name]  # line0, line_0, ...: shortcuts to buffers that no twin has
        return template

    # -- what Cerebro asks ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin before the first bar; called by Cerebro.

        Raises
        ------
        DataError
            The feed is resampled, replayed, filtered or in another time zone, or there is a second market.
        """
        if self._filters or self.resampling or self.replaying or self.p.tz or self.p.tzinput:
            raise DataError(
                'a MarketFeed is the daily clock of its stocks: it cannot be resampled, replayed, filtered or put in a time '
                'zone. '
                'cerebro.adddata(market) as it is, then cerebro.resampledata(market, timeframe=bt.TimeFrame.Weeks) for weekly '
                'bars beside it')
        if any(isinstance(data, MarketFeed) and data is not self for data in self._env.datas):
            raise DataError('found two MarketFeeds in one Cerebro: their stocks would share one account and one calendar; '
                            'make one store of both, or run one Cerebro a market')
        super().start()
        self._row = self.offset
        if not isinstance(self._env.datasbyname, _DatasByName):
            self._env.datasbyname = _DatasByName(self._env.datasbyname)
        self._env.datasbyname.market = self

    def preload(self) -> None:
        """Fill the lines at once, where nothing asks for a walk row by row."""
        if not self._plain() or any(line.extension for line in self.lines):
            super().preload()
            return
        part = slice(self.offset, self.end)
        columns = {**self.level, 'datetime': self.days}
        for name, line in zip(self.getlinealiases(), self.lines, strict=True):
            values = columns[name][part] if name in columns else np.full(self.end - self.offset, NAN)
            line.array = array('d', np.asarray(values, 'float64').tobytes())
        self._row = self.end  # nothing is left to load
        self.home()

    def _load(self) -> bool:
        if self._row >= self.end:
            return False
        row, self._row = self._row, self._row + 1
        for name in INDEX_LINES:
            getattr(self.lines, name)[0] = float(self.level[name][row])
        self.lines.openinterest[0] = NAN
        self.lines.datetime[0] = float(self.days[row])
        return True

    # -- travel ---------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state['_loaded'], state['_bars'] = self.lines.datetime.buflen() > 0, len(self)
        for name in ('days', 'level', 'columns', 'by_name', 'opening_columns', 'day_rows', 'labels', 'stamps', 'listed',
                     'delisted', 'opening', '_shared', '_made', '_template'):
            state.pop(name, None)
        state = {name: value for name, value in state.items() if not name.startswith('line')}
        state.pop('l', None)
        state['p'] = state['params'] = copy.copy(self.p)
        state['p'].dataname = state['_dataname'] = None  # the store says where it is
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        loaded, bars = state.pop('_loaded'), state.pop('_bars')
        self.__dict__.update(state)
        self.p.dataname = self._dataname = self.store
        self.lines = self.l = type(self).lines()
        for number, line in enumerate(self.lines):
            for name in (f'line_{number}', f'line{number}'):
                setattr(self, name, line)
        self.line = self.lines[0]
        self._made, self._template = {}, None
        self._prepare()
        if loaded:
            self.preload()
            self.advance(bars, ticks=False)
        for stock in self.__dict__.pop('_arriving', ()):
            stock._arrive()


class _StoreValues:
    """Reads vectors from a store: of a day, of the day before, and the days up to that one."""

    def __init__(self, market: MarketFeed, previous: int, today: int, past: History) -> None:
        store = market.store
        self._market, self._store, self._day, self._cache, self._past = market, store, {True: previous, False: today}, {}, past
        self.before = int(store.days[max(previous, 0)])
        # an index renewed every few days is that of the run's first bar; a listing day is counted by the run's calendar
        self.shared = None, (market.offset, market.end, previous, today)

    @property
    def reference_data(self) -> Any:
        """What the store knows beside the market."""
        return self._store.reference_data

    def vector(self, name: str, previous: bool) -> np.ndarray:
        key = name, previous
        if key not in self._cache:
            day = self._day[previous]
            if not 0 <= day < len(self._store.days):
                self._cache[key] = np.full(len(self._store), NAN)
            else:
                self._cache[key] = self._past.limit(name, day).copy() if name in LIMITS else self._store.vector(name, day)
        return self._cache[key]

    def history(self, name: str, n: int, adjusted: bool, filled: bool) -> np.ndarray:
        return self._past.rows(name, n, self._day[True] + 1, adjusted, filled)

    def benchmark(self, spec: str, n: int) -> np.ndarray:
        end = self._day[True] + 1
        known = self._market._benchmark(spec)['close'][max(end - n, 0):end]
        return np.concatenate([np.full(n - len(known), NAN), known])


class MarketUniverse:
    """The universe of a `MarketFeed`; see `universe.Universe`."""

    def __init__(self, market: MarketFeed) -> None:
        self._market = market
        self.codes = market.store.codes
        self._history = History(StoreDays(market.store, market))

    def feed(self, code: str) -> MarketStock:
        """Return the feed of a stock.

        Raises
        ------
        KeyError
            The market has no such stock.
        """
        return self._market.stock(code)

    def numbers(self, among: np.ndarray, datas: list[Any]) -> np.ndarray | None:
        """Return where some stocks stand in an array; None where it is not that of all codes, or one is none of the market's."""
        if among is not self._market.store.codes:
            return None
        try:
            return np.array([data._number for data in datas], dtype=int)
        except AttributeError:  # a feed beside the market
            return None

    def places(self, among: np.ndarray, codes: list[str]) -> np.ndarray | None:
        """Return where some codes stand in an array, -1 for one that is none of them; None where it is not that of all codes."""
        return None if among is not self._market.store.codes else self._market.store.find(codes)

    def _vectors(self, name: str) -> Iterator[np.ndarray]:
        """Give a column of each day of the run, or of the days that are to be looked over."""
        market = self._market
        first = market.offset if market.looks_over is None else market.looks_over
        return (market.store.vector(name, day) for day in range(first, market.end))

    def ever_between(self, name: str, low: float, high: float) -> bool:
        """Return whether a column lies in a range on any day of the run; see `universe.Universe`."""
        return any_between(self._vectors(name), low, high)

    def extremes(self, name: str) -> tuple[float, float]:
        """Return the least and the largest value of a column on the days of the run; see `universe.Universe`."""
        return extremes_of(self._vectors(name))

    def section(self, at_open: bool) -> CrossSection:
        """Return the cross-section of the current bar; see `universe.StockUniverse.section`."""
        market = self._market
        check_close(at_open, market._env)
        day = market.offset + market.lines.datetime.idx
        values = _StoreValues(market, day - 1 if at_open else day, day, self._history)
        if type(self) is MarketUniverse and type(self._history) is History:  # of others it is not known what they give
            values.shared = market.store.shared, values.shared[1]
        return CrossSection(self.codes, values)
