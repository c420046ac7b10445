"""One stock of a `MarketFeed`: a feed whose lines read the store's columns at the market's bar.

It is made when it is first asked for, is always in step, and costs nothing while it is not looked at.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from functools import cached_property
from typing import Any, NoReturn

import backtrader as bt
import numpy as np

from bt_microcap.exchange.bars import NAN, OpeningBar

from .columns import OPTIONAL
from .daily import STOCK_LINES
from .errors import DataError


class DayRows:
    """Finds the row of a stock among those of a day, whose columns lie day by day.

    The stocks that are traded on a day are found on the same few pages; stock by stock each would touch a page a column.

    Parameters
    ----------
    store : MarketStore
    """

    def __init__(self, store: Any) -> None:
        self._starts, self._stocks = memoryview(store.arrays['day_start']), memoryview(store.arrays['day_stock'])
        self.columns = {name: memoryview(store.arrays[f'day/{name}']) for name in store.columns if f'day/{name}' in store.arrays}
        self.opening = [self.columns.get(name) for name in OpeningBar._fields[1:]]

    @classmethod
    def of(cls, store: Any) -> DayRows | None:
        """Return the rows of a store; None where it lacks a column by day that an opening has by stock."""
        lacking = [name for name in OpeningBar._fields[1:]
                   if f'stock/{name}' in store.arrays and f'day/{name}' not in store.arrays]
        return None if lacking or store.coming is not None else cls(store)

    def find(self, day: int, stock: int) -> int:
        """Return the row of a stock on a day, both by their numbers; -1 where it has none."""
        end = self._starts[day + 1]
        row = bisect_left(self._stocks, stock, self._starts[day], end)
        return row if row < end and self._stocks[row] == stock else -1


class ClockedLine(bt.linebuffer.LineBuffer):
    """A line that reads a stock's block of days at the clock's bar; NaN outside it."""

    @classmethod
    def over(
        cls, owner: Any, market: Any, block: Any, shift: int, start: int = 0, label: str = '', late: bool = False
    ) -> ClockedLine:
        """Return a line over a block of days; Backtrader's own construction would look for the owner, at ten times the cost.

        Parameters
        ----------
        owner : data feed
        market : MarketFeed
            Its bars are the clock.
        block : memoryview, optional
            Values of some days without a gap; None: there are none.
        shift : int
            Place in the block of the market's first bar.
        start : int
            The market's bar that is the line's first: a line of a stock that is listed later begins later, so that
            indicators on it begin with its first row.
        label : str
            The line's name.
        late : bool
            Whether today's value is not known at the open.
        """
        line = object.__new__(cls)
        line._clock, line._market = market.lines.datetime, market
        line._block, line._shift, line._start, line._label, line._late = block, shift, start, label, late
        line._size = 0 if block is None else len(block)
        line._owner = owner  # the feed: where an indicator on the line is drawn, and whose bars it counts
        line._values = None
        return line

    lines = property(lambda self: [self])
    mode = bt.linebuffer.LineBuffer.UnBounded
    bindings = ()
    useislice = False
    extension = 0
    _tz = None
    idx = _idx = property(lambda self: self._clock._idx - self._start)
    lencount = property(lambda self: max(0, self._clock.lencount - self._start))
    # whether operators make lines (in __init__) or compare values (in next): as the market's, which Cerebro tells
    _opstage = property(lambda self: self._clock._opstage, lambda self, stage: None)

    @property
    def array(self) -> array:
        """The column over all bars of the run, made when it is asked for: plots and indicators do."""
        bars = self.buflen()
        if self._values is None or len(self._values) != bars:
            shift = self._shift + self._start
            out = np.full(bars, NAN)
            low, high = max(0, -shift), min(bars, self._size - shift)
            if low < high:
                out[low:high] = self._block[low + shift:high + shift]
            self._values = array('d', out.tobytes())
        return self._values

    def __getitem__(self, ago: int) -> float:
        clock = self._clock
        if ago >= 0:
            opening = self._market.opening
            if opening is not None and (ago or opening.deciding and self._late and clock.array[clock._idx] >= opening.now):
                raise opening.refuse(self._label, ago)
        at = clock._idx + self._shift + ago
        if 0 <= at < self._size:
            return self._block[at]
        if at - self._shift >= len(clock.array):
            raise IndexError('array index out of range')  # after the last bar, as in any line
        return NAN

    def get(self, ago: int = 0, size: int = 1) -> array:
        """Return some values, the newest of them `ago` bars away; as Backtrader's, but fewer where there are no more."""
        if ago >= 0:
            _ = self[ago]  # refused where it is not known yet
        end = self._idx + ago + 1
        return self.array[max(0, end - size):max(0, end)]

    def __len__(self) -> int:
        return self.lencount

    def buflen(self) -> int:
        """Return the bars of the run, from the line's first on."""
        return max(0, len(self._clock.array) - self._start)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()  # what travels to another process is no view
        state['_block'] = None if self._block is None else array('d', self._block)
        return state

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

    It has every bar of the run from its first row on. After its last all is NaN; on a day without a row the prices
    repeat the last close, ``volume`` is 0, ``paused`` is 1 and the rest is NaN.
    """

    lines = STOCK_LINES

    market: Any  # the MarketFeed
    _clock = property(lambda self: self.market)  # the bars that count for the minimum periods of indicators
    _opstage = property(lambda self: self._market_stage(), lambda self, stage: None)  # as the market's: see ClockedLine

    def _market_stage(self) -> int:
        market = self.__dict__.get('market')  # none yet while the template is made
        return 1 if market is None else market._opstage

    def _stage1(self) -> None:
        """Do nothing, nor in `_stage2`: the market has the stage, and no line is made for being told of it."""

    _stage2 = _stage1

    def __len__(self) -> int:
        bars = self._bars_line.lencount - self._start
        return bars if bars > 0 else 0

    def _twin(self, number: int) -> MarketStock:
        """Return a feed like this one for a stock of the store: Backtrader's own construction costs ten times as much."""
        store = self.market.store
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._number, twin._bars_line = number, self.market.lines.datetime
        twin._name = twin._dataname = str(store.codes[number])
        twin._shift = self.market.offset - int(store.first[number])
        twin.first_day = self.market.listed.get(twin._name, int(store.days[store.first[number]]))
        twin.last_day = int(store.days[store.last[number]])
        twin.delisted_day = self.market.delisted.get(twin._name, 0)
        twin._start = max(0, -twin._shift)
        twin._first = int(store.arrays['start'][number])
        # rows of its block, none after the last bar
        bars = max(0, self.market.end - self.market.offset + twin._shift)
        twin._size = min(int(store.arrays['start'][number + 1]) - twin._first, bars)
        twin._opening_row, twin._day_row = None, -1  # the bar that `opening_bar` was asked for, its row among the day's
        twin.plotinfo = object.__new__(type(self.plotinfo))
        twin.plotinfo.__dict__ = self.plotinfo.__dict__.copy()
        lines = object.__new__(type(self.lines))
        lines.lines = _Lines(twin)
        twin.lines = twin.l = lines
        return twin

    def _make_line(self, number: int) -> Any:
        market, store = self.market, self.market.store
        column = market.columns[number]
        if not isinstance(column, memoryview):
            return market.shared_line(column is None, self._start)
        block = column[self._first:self._first + self._size]
        if store.coming is not None:
            block = store.until_coming(block, market.labels[number][0], self._number)
        return ClockedLine.over(self, market, block, self._shift, self._start, *market.labels[number])

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


    def opening_bar(self) -> OpeningBar:
        """Return what is known at the open of the current bar, without making the lines; see `exchange.bars`."""
        clock = self._bars_line
        row = clock._idx
        if self._opening_row != row:
            market, at, stamp = self.market, row + self._shift, clock.array[row] if row >= 0 else NAN
            self._day_row = -1
            if market.store.coming is not None:  # the lines know what is not published
                bar = OpeningBar(stamp, *(getattr(self.lines, name)[0] for name in OpeningBar._fields[1:]))
            elif not 0 <= at < self._size:
                bar = OpeningBar(stamp, *[NAN] * 7)
            else:
                columns, at = market.opening_columns, at + self._first
                if market.day_rows is not None and (found := market.day_rows.find(market.offset + row, self._number)) >= 0:
                    self._day_row = at = found
                    columns = market.day_rows.opening
                bar = OpeningBar(stamp, *[NAN if column is None else column[at] for column in columns])
            self._opening_row, self._opening_bar = row, bar
        return self._opening_bar

    def _current(self, name: str) -> float:
        """Return the value of a line at the current bar without making the line, known at the open or not: for the broker."""
        market, row = self.market, self._bars_line._idx
        if market.store.coming is not None or row < self._start:
            return getattr(self.lines, name)[0]
        if self._opening_row == row and self._day_row >= 0 and name in market.day_rows.columns:
            return market.day_rows.columns[name][self._day_row]
        at = row + self._shift
        column = market.by_name[name]
        return NAN if column is None or at >= self._size else column[self._first + at]

    @cached_property
    def ex_days(self) -> list[int]:
        """Ordinals of the days on which ex-rights may be, ascending: the others need not be looked at by a holder."""
        store, number = self.market.store, self._number
        close, preclose = store.block('close', number), store.block('preclose', number)
        moved = np.zeros(len(close), bool)
        if preclose is not None:
            moved[1:] |= np.abs(preclose[1:] - close[:-1]) > 1e-6  # far below half a price step; NaN is no
        for name, nothing in (('cash_dividend', 0.0), ('share_ratio', 1.0)):
            column = store.block(name, number)
            if column is not None:
                moved |= (column == column) & (column != nothing)
        return store.days[int(store.first[number]) + np.flatnonzero(moved)].tolist()

    def value(self, name: str, ago: int) -> float:
        """Return the value of a line, or of a further column of the market, as `stock.StockPandas` does."""
        if name in self.getlinealiases():
            return getattr(self.lines, name)[ago]
        if ago >= 0:
            _ = self.close[ago]  # refused where it is not known yet, as every further column
        store = self.market.store
        block, at = store.block(name, self._number), self.market.lines.datetime.idx + self._shift + ago
        if block is None and name not in OPTIONAL:
            raise KeyError(f'{self._name} has no column {name!r}; it has {", ".join(store.columns)}')
        return float(block[at]) if block is not None and 0 <= at < len(block) else NAN

    # -- travel: as the market and a name, no view of it ------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        return {'market': self.market, '_name': self._name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if 'store' in self.market.__dict__:
            self._arrive()
        else:  # the market is still on its way, and will ask
            self.market.__dict__.setdefault('_arriving', []).append(self)

    def _arrive(self) -> None:
        """Become what the market's feed of this name is."""
        market = self.market
        if market._template is None:
            market._template = market._make_template()
        twin = market._template._twin(market.store.stock_number(self._name))
        self.__dict__.update(twin.__dict__)
        self.lines.lines._feed = self
        market._made[self._name] = self

    # -- what only a registered feed can do -------------------------------------------------------------------

    def _not_registered(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise DataError(f'{self._name}: a stock of a MarketFeed is no feed of its own: it cannot be added to Cerebro, resampled, '
                        'replayed or filtered; add_stocks(cerebro, table) or StockPandas gives feeds that can, and '
                        'section.history() gives the days before today')

    setenvironment = resample = replay = addfilter = addfilter_simple = clone = copyas = _not_registered
