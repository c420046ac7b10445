"""The whole market behind one registered feed.

`MarketFeed` is the clock of the run and shows the market's index. The feed of a stock is made when it is first
asked for; its lines read the store's columns at the clock's bar, so that it is always in step and costs
nothing while it is not looked at.
"""

from __future__ import annotations

import copy
from array import array
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np

from .columns import INDEX_LINES, ordinals
from .daily import STOCK_LINES, DailyFeed
from .store import MarketStore
from .universe import CrossSection

NAN = float('nan')


def open_store(source: Any) -> MarketStore:
    """Return a market as a store.

    Parameters
    ----------
    source : MarketStore, DataFrame, str or Path
        A store, a canonical table, a store's folder, or a canonical table's file.

    Raises
    ------
    DataError
        Neither a store nor a table, or one with wrong content.
    """
    if isinstance(source, MarketStore):
        return source
    if not isinstance(source, (str, Path)):
        return MarketStore.from_table(source)
    if Path(source).is_dir():
        return MarketStore.open(source)
    from .files import load_table  # with it comes pandas, which a run from a store does without

    return MarketStore.from_table(load_table(source), checked=True)


class _ClockedLine(bt.linebuffer.LineBuffer):
    """A line that reads a stock's block of days at the clock's bar; NaN outside it."""

    @classmethod
    def over(cls, owner: Any, clock: bt.linebuffer.LineBuffer, block: Any, shift: int) -> _ClockedLine:
        """Return a line over a block of days; Backtrader's own construction would look for the owner, at ten times the cost."""
        line = object.__new__(cls)
        line._clock, line._block, line._shift = clock, block, shift
        line._size = 0 if block is None else len(block)
        line._owner = owner  # the feed: where an indicator on the line is drawn, and whose bars it counts
        return line

    lines = property(lambda self: [self])
    mode = bt.linebuffer.LineBuffer.UnBounded
    bindings = ()
    useislice = False
    extension = 0
    _tz = None
    idx = property(lambda self: self._clock._idx)
    lencount = property(lambda self: self._clock.lencount)
    # whether operators make lines (in __init__) or compare values (in next): as the market's, which Cerebro tells
    _opstage = property(lambda self: self._clock._opstage, lambda self, stage: None)

    @property
    def array(self) -> array:
        """The column over all bars of the run, made when it is asked for: plots and indicators do."""
        bars = len(self._clock.array)
        out = np.full(bars, NAN)
        low, high = max(0, -self._shift), min(bars, self._size - self._shift)
        if low < high:
            out[low:high] = self._block[low + self._shift:high + self._shift]
        return array('d', out.tobytes())

    def __getitem__(self, ago: int) -> float:
        at = self._clock._idx + self._shift + ago
        if 0 <= at < self._size:
            return self._block[at]
        if at - self._shift >= len(self._clock.array):
            raise IndexError('array index out of range')  # after the last bar, as in any line
        return NAN

    def __len__(self) -> int:
        return self._clock.lencount

    def buflen(self) -> int:
        """Return the bars of the run."""
        return len(self._clock.array)

    def _stay(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the clock moves, and the columns are what they are."""

    reset = home = forward = backwards = rewind = advance = extend = addbinding = qbuffer = minbuffer = _stay


class _Lines:
    """The lines of one `MarketStock`, made when they are first asked for."""

    def __init__(self, feed: MarketStock) -> None:
        self._feed = feed
        self._made: dict[int, Any] = {}

    def __getitem__(self, number: int) -> Any:
        line = self._made.get(number)
        if line is None:
            if not 0 <= number < len(self):
                raise IndexError(number)
            line = self._made[number] = self._feed._make_line(number)
        return line

    def __len__(self) -> int:
        return self._feed._line_count

    def __iter__(self) -> Any:
        return (self[number] for number in range(len(self)))


class MarketStock(bt.feed.DataBase):
    """The feed of one stock of a `MarketFeed`; made by `MarketFeed.stock`, with the lines of `StockPandas`.

    It has every bar of the run. Outside the stock's life all is NaN; on a day without a row inside it the prices
    repeat the last close, ``volume`` is 0, ``paused`` is 1 and the rest is NaN.
    """

    lines = STOCK_LINES

    market: MarketFeed
    _clock = property(lambda self: self.market)  # the bars that count for the minimum periods of indicators
    _opstage = property(lambda self: self._market_stage(), lambda self, stage: None)  # as the market's: see _ClockedLine

    def _market_stage(self) -> int:
        market = self.__dict__.get('market')  # none yet while the template is made
        return 1 if market is None else market._opstage

    def _twin(self, number: int) -> MarketStock:
        """Return a feed like this one for a stock of the store: Backtrader's own construction costs ten times as much."""
        store = self.market.store
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._number = number
        twin._name = twin._dataname = str(store.codes[number])
        twin._shift = self.market.offset - int(store.first[number])
        twin.first_day = self.market.listed.get(twin._name, int(store.days[store.first[number]]))
        twin.last_day = int(store.days[store.last[number]])
        twin.plotinfo = copy.copy(self.plotinfo)
        lines = object.__new__(type(self.lines))
        lines.lines = _Lines(twin)
        twin.lines = twin.l = lines
        return twin

    def _make_line(self, number: int) -> Any:
        market, store = self.market, self.market.store
        column = market.columns[number]
        if not isinstance(column, memoryview):
            return column  # the clock, or a line that the table lacks
        start = int(store.arrays['start'][self._number])
        bars = max(0, market.end - market.offset + self._shift)  # nothing after the last bar
        stop = min(int(store.arrays['start'][self._number + 1]), start + bars)
        return _ClockedLine.over(self, market.lines.datetime, column[start:stop], self._shift)

    def __getattr__(self, name: str) -> Any:
        try:
            line = getattr(self.lines, name)
            if isinstance(line, bt.linebuffer.LineBuffer):
                self.__dict__[name] = line  # not found the long way again
            return line
        except AttributeError:
            number = name.removeprefix('line').removeprefix('_') or '0'
            if name.startswith('line') and number.isdigit():  # line, line0, line_0: Backtrader's shortcuts
                return self.lines[int(number)]
            raise


class MarketFeed(DailyFeed):
    """The whole market as one feed.

    ::

        cerebro.adddata(MarketFeed(dataname='store'), name='market')

    Its own lines show the market's index, equal weight: open, high, low, close (points) and volume (shares). It
    travels to another process as the name of its folder.

    Params:

      - ``dataname`` (required): a store's folder, a canonical table's file (``.parquet``, ``.csv``, ``.csv.gz``), a
        `MarketStore`, or a DataFrame in the canonical layout.
      - ``fromdate``, ``todate``: first and last day, as in any feed.
      - ``benchmark`` (default: ``''``): six digits of an index that the store has; its own lines show it instead.
    """

    params = (('benchmark', ''),)  # an index of the store

    def __init__(self) -> None:
        super().__init__()
        self.store = open_store(self.p.dataname)
        self._prepare()
        self._made: dict[str, MarketStock] = {}
        self._template: MarketStock | None = None

    def _prepare(self) -> None:
        self.days = self.store.days
        # what its own lines show: open, high, low, close and volume of every day of the market
        self.level = self.store.reference_data.benchmark(self.p.benchmark) if self.p.benchmark else self.store.index()
        low, high = (None if day is None else bt.date2num(day) for day in (self.p.fromdate, self.p.todate))
        self.offset = 0 if low is None else int(np.searchsorted(self.days, low))
        self.end = len(self.days) if high is None else int(np.searchsorted(self.days, high, side='right'))

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
        """
        feed = self._made.get(code)
        if feed is None:
            number = self.store.stock_number(code)
            if self._template is None:
                self._template = self._make_template()
            feed = self._made[code] = self._template._twin(number)
            self._env.datasbyname[code] = feed
        return feed

    @property
    def stocks(self) -> list[MarketStock]:
        """The feeds of stocks made so far, in that order."""
        return list(self._made.values())

    def _make_template(self) -> MarketStock:
        template = MarketStock(dataname=self)
        template.market = self
        template._env, template._started = self._env, True
        template._id = self._id
        template._tz, template._tzinput, template._calendar = self._tz, self._tzinput, self._calendar
        template.fromdate, template.todate = self.fromdate, self.todate
        template._laststatus = self._laststatus
        # a memoryview gives Python numbers, faster than an array its NumPy scalars
        nothing = _ClockedLine.over(self, self.lines.datetime, None, 0)
        columns = [self.store.arrays.get(f'stock/{name}') for name in template.getlinealiases()]
        self.columns = [nothing if column is None else memoryview(column) for column in columns]
        self.columns[template.getlinealiases().index('datetime')] = self.lines.datetime
        self.listed: dict[str, int] = {}  # code -> ordinal
        if 'listings' in self.store.reference_names:
            known = self.store.reference_table('listings').dropna(subset='listed')
            self.listed = dict(zip(known['code'], ordinals(known['listed']).tolist(), strict=True))
        template._line_count = template.lines.fullsize()
        template.explicit_actions = self.store.explicit_actions
        for name in [name for name in template.__dict__ if name.startswith('line') and name != 'lines']:
            del template.__dict__[name]  # line0, line_0, ...: shortcuts to buffers that no twin has
        return template

    # -- what Cerebro asks ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin before the first bar; called by Cerebro."""
        super().start()
        self._row = self.offset

    def preload(self) -> None:
        """Fill the lines at once, where nothing asks for a walk row by row."""
        if not self._plain():
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
        state['_loaded'] = self.lines.datetime.buflen() > 0
        for name in ('days', 'level', 'columns', 'listed', '_made', '_template'):
            state.pop(name, None)
        state = {name: value for name, value in state.items() if not name.startswith('line')}
        state.pop('l', None)
        state['p'] = state['params'] = copy.copy(self.p)
        state['p'].dataname = state['_dataname'] = None  # the store says where it is
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        loaded = state.pop('_loaded')
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


class _StoreValues:
    """Reads vectors from a store: of a day, and of the day before."""

    def __init__(self, store: MarketStore, previous: int, today: int) -> None:
        self._store, self._day, self._cache = store, {True: previous, False: today}, {}
        self.before = int(store.days[max(previous, 0)])

    @property
    def reference_data(self) -> Any:
        """What the store knows beside the market."""
        return self._store.reference_data

    def vector(self, name: str, previous: bool) -> np.ndarray:
        key = name, previous
        if key not in self._cache:
            day = self._day[previous]
            self._cache[key] = (self._store.vector(name, day) if 0 <= day < len(self._store.days)
                                else np.full(len(self._store), NAN))
        return self._cache[key]


class MarketUniverse:
    """The universe of a `MarketFeed`; see `universe.Universe`."""

    def __init__(self, market: MarketFeed) -> None:
        self._market = market
        self.codes = market.store.codes

    def feed(self, code: str) -> MarketStock:
        """Return the feed of a stock.

        Raises
        ------
        KeyError
            The market has no such stock.
        """
        return self._market.stock(code)

    def section(self, at_open: bool) -> CrossSection:
        """Return the cross-section of the current bar; see `universe.StockUniverse.section`."""
        market = self._market
        day = market.offset + market.lines.datetime.idx
        return CrossSection(self.codes, _StoreValues(market.store, day - 1 if at_open else day, day))
