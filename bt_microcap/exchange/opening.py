"""The opening: the time from the first call of ``next_open`` until the orders are filled, when today is not known yet.

Under cheat-on-open Cerebro has moved every feed to today's finished bar before it asks the strategy for orders at
the open. While the strategy decides, what of that bar is only known after the open must not be readable.
"""

from __future__ import annotations

import math
from array import array
from itertools import islice
from typing import Any

import backtrader as bt

# Known before the open of the day: what a decision at the open may use of that same day.
PRE_OPEN = ('open', 'paused', 'is_st', 'preclose', 'high_limit', 'low_limit', 'cash_dividend', 'share_ratio',
            'delisting_period')


class LookAheadError(ValueError):
    """Something was asked of a day before it is known."""


class Opening(bt.timer.Timer):
    """Rings at the start of every bar, before anybody decides; `AShareBroker` closes it when orders are filled.

    It stands first among Cerebro's timers, which are asked when all feeds have moved and before ``next_open``.
    It never calls ``notify_timer``.

    Parameters
    ----------
    broker : AShareBroker
        Told of the bar by ``start_bar``.
    """

    def __init__(self, broker: Any) -> None:
        super().__init__(when=bt.timer.SESSION_START, owner=self)
        self.broker = broker
        self.deciding = False  # whether what is not known at the open is hidden
        self.now = 0.0  # Backtrader's number of the bar

    def start(self, data: Any) -> None:
        """Guard the lines of all registered feeds; Cerebro calls it when they are loaded and the strategies are made."""
        self.deciding, self.params.cheat = False, True
        self.broker.start_run()
        self._cheat_on_open = self.broker.cerebro.p.cheat_on_open
        for feed in self.broker.cerebro.datas:
            guard(feed, self)
        for strategy in self.broker.cerebro.runningstrats:
            guard_indicators(strategy, self)

    def check(self, dt: float) -> bool:
        """Begin a bar; False: there is nothing to notify."""
        self.now = dt
        self.broker.start_bar(dt)
        self.deciding = self._cheat_on_open
        return False

    def refuse(self, name: str, ago: int) -> LookAheadError:
        """Return the error that says what to use instead."""
        if ago > 0:
            return LookAheadError(f'{name}[{ago}] is of a later day: 0 is the current bar, -1 the one before')
        return LookAheadError(
            f'{name}[0] of today is not known at the open: use {name}[-1], section.previous({name!r}) or '
            f'section.history({name!r}, n); known of today are {", ".join(PRE_OPEN)}. Orders by value take price=data.open[0]')


def opening_of(cerebro: bt.Cerebro) -> Opening | None:
    """Return the opening of a Cerebro, None where its broker has none."""
    return next((timer for timer in cerebro._pretimers if isinstance(timer, Opening)), None)


class GuardedLine(bt.linebuffer.LineBuffer):
    """A line that tells nothing of the future; made by `guard`.

    Later bars are refused always, today's value of what is not known at the open while the strategy decides there. Before the
    first bar there is NaN: Backtrader's own line would count from the END of the data.
    """

    _opening: Opening
    _stamps: bt.linebuffer.LineBuffer  # the feed's datetime
    _label: str
    _late: bool  # not known at the open
    _slow: bool = False  # of bars made of a daily feed's, such as weeks

    def _known(self, ago: int) -> int:
        """Return what to read instead of a bar: the bar itself, or it is refused."""
        # a bar that still stands from before, as of a suspended stock, is known
        if ago <= 0 and not (self._late and self._opening.deciding and self._idx >= 0 and (
                self._stamps.array[self._stamps._idx] >= self._opening.now)):
            return ago
        if self._slow and ago <= 0:
            return ago - 1  # a week that ends today is not over at the open: the one before still stands
        if ago >= 0:
            raise self._opening.refuse(self._label, ago)
        return ago

    def __getitem__(self, ago: int) -> float:
        if ago >= 0 or self._slow:
            ago = self._known(ago)
        at = self._idx + ago
        return self.array[at] if at >= 0 else math.nan

    def get(self, ago: int = 0, size: int = 1) -> array | list:
        """Return some values, the newest of them `ago` bars away; as Backtrader's, but fewer where there are no more."""
        if ago >= 0 or self._slow:
            ago = self._known(ago)
        end = max(0, self._idx + ago + 1)
        begin = max(0, self._idx + ago + 1 - size)
        return list(islice(self.array, begin, end)) if self.useislice else self.array[begin:end]


def guard_indicators(owner: Any, opening: Opening) -> None:
    """Hide in the lines of an owner's indicators, and of theirs, what lies before their first bar and after the current one.

    At the open they show what they showed at yesterday's close. An operation on lines, such as ``close - open``, is a class of
    its own and is left as it is.
    """
    for indicator in owner.getindicators():
        for number, line in enumerate(indicator.lines):
            if type(line) is bt.linebuffer.LineBuffer:
                line.__class__ = GuardedLine
                line._opening, line._label, line._late = opening, indicator.lines._getlinealias(number), False
        if isinstance(indicator, bt.LineIterator):
            guard_indicators(indicator, opening)


def guard(feed: Any, opening: Opening) -> None:
    """Hide in a feed's lines what is not known yet.

    Every registered feed is guarded, also Backtrader's own; a line that is no ordinary ``LineBuffer`` is left as it is. Of
    weekly bars made of a daily feed the week before is shown until the week is over.
    """
    if hasattr(feed, 'opening'):
        feed.opening = opening  # for the stocks of a market, whose lines are made when they are asked for
    for name, line in zip(feed.getlinealiases(), feed.lines, strict=True):
        if name != 'datetime' and type(line) in (bt.linebuffer.LineBuffer, GuardedLine):
            line.__class__ = GuardedLine
            line._opening, line._stamps, line._label = opening, feed.lines.datetime, name
            line._slow = bool(feed.resampling and not feed.replaying)
            line._late = line._slow or name not in PRE_OPEN
