"""A JoinQuant account replayed through the plugin and compared with its own export, order by order, day by day.

Only the market data and the picks come from the export; what is ordered, filled, refused, charged and held is
the work of the strategy, the broker and the commission in an ordinary Cerebro.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import backtrader as bt
import pandas as pd

from ..feeds.stock import add_stocks
from ..feeds.universe import CrossSection
from ..profiles import setup
from ..record.blotter import Blotter
from ..rotation.strategy import MicroCapStrategy
from .log import LogOrder, starting_cash
from .market import ImpliedMarket, implied_market

TOLERANCE = 1e-6  # yuan: what a cash figure may differ by after some hundred additions in binary


@dataclass(frozen=True)
class ReplayedOrder:
    """One order of the replay, as it ended."""

    date: date
    code: str
    side: str
    value: float | None  # yuan, the budget of a buy
    quantity: int
    price: float
    fee: float  # yuan, all fees together
    cash: float  # yuan after the fill
    cash_limited_to: int | None
    reason: str | None


class ReplayStrategy(MicroCapStrategy):
    """`MicroCapStrategy` with the picks of a log; everything else is computed.

    Params (beside those of `MicroCapStrategy`):

      - ``picks``: dict of date -> codes, in the order of the log's buy attempts.
    """

    params = (('picks', None),)

    def __init__(self) -> None:
        super().__init__()
        self.replayed_orders: list[ReplayedOrder] = []
        self.holdings: dict[tuple[date, str], tuple[int, float]] = {}

    def today(self) -> date:
        """Return the day of the current bar."""
        return max(data.datetime.date(0) for data in self.datas if len(data))

    def select(self, section: CrossSection) -> list[str]:
        """Return the log's buy attempts of the day."""
        return self.p.picks.get(self.today(), [])

    def notify_order(self, order: bt.Order) -> None:
        """Keep each order as it ended."""
        super().notify_order(order)
        if order.status in (order.Submitted, order.Accepted, order.Partial):
            return
        info = order.info
        fee = sum(fees.total for fees in info.get('fees', ()))
        reason = None if order.status == order.Completed else info.get('reason', order.getstatusname())
        self.replayed_orders.append(ReplayedOrder(
            self.today(), order.data._name, 'BUY' if order.isbuy() else 'SELL', info.get('value'),
            abs(int(order.executed.size)), order.executed.price, fee, info.get('cash', float('nan')),
            info.get('cash_limited_to'), reason))

    def next(self) -> None:
        """Keep the day's positions and marks."""
        super().next()
        for data in self.held():
            self.holdings[self.today(), data._name] = self.broker.positions[data].size, data.close[0]

    def prenext(self) -> None:
        """Keep the day's positions and marks."""
        self.next()


@dataclass
class Comparison:
    """What came of a replay.

    ``fills``, ``refusals`` and ``positions`` are (matched, of how many); `differences` has one line each.
    """

    market: ImpliedMarket
    blotter: Blotter
    fills: tuple[int, int] = (0, 0)
    refusals: tuple[int, int] = (0, 0)
    positions: tuple[int, int] = (0, 0)
    cash_difference: float = 0.0
    differences: list[str] = field(default_factory=list)
    rows: list[tuple] = field(default_factory=list)  # date, code, side, what the log and the plugin say

    @property
    def matched(self) -> bool:
        """Whether everything in the export was reproduced, and nothing beside it."""
        return not self.differences


def replay(
    orders: list[LogOrder], positions: pd.DataFrame, *, stocknum: int = 3, refresh_rate: int = 5, cash: float | None = None
) -> Comparison:
    """Run the plugin over the market that an export implies and compare.

    Parameters
    ----------
    orders : list of LogOrder
        From `parse_log`.
    positions : DataFrame
        From `parse_positions`.
    stocknum, refresh_rate : int
        Params of the account's strategy.
    cash : float, optional
        Yuan at the start; by default what the first budget implies.

    Returns
    -------
    Comparison
    """
    market = implied_market(orders, positions, refresh_rate=refresh_rate, stocknum=stocknum)
    start = starting_cash(orders, stocknum) if cash is None else cash
    cerebro = bt.Cerebro(stdstats=False)
    add_stocks(cerebro, market.table)
    cerebro.addstrategy(ReplayStrategy, stocknum=stocknum, refresh_rate=refresh_rate, picks=market.picks)
    setup(cerebro, 'joinquant', cash=start)
    cerebro.addanalyzer(Blotter, _name='blotter')
    strategy = cerebro.run()[0]
    result = Comparison(market, strategy.analyzers.blotter)
    _compare_orders(result, orders, strategy.replayed_orders, start)
    _compare_positions(result, positions, strategy.holdings)
    return result


def _compare_orders(result: Comparison, orders: list[LogOrder], attempts: list[ReplayedOrder], cash: float) -> None:
    waiting: dict[tuple, list[ReplayedOrder]] = defaultdict(list)
    for attempt in attempts:
        if attempt.reason != 'delisted':  # the table ends where the export does: no order of the strategy's
            waiting[attempt.date, attempt.code, attempt.side].append(attempt)
    counts = {True: [0, 0], False: [0, 0]}  # filled -> [matched, all]
    for order in orders:
        filled = order.reason is None
        counts[filled][1] += 1
        queue = waiting[order.date, order.code, order.side]
        attempt = queue.pop(0) if queue else None
        if filled:
            signed = order.quantity if order.side == 'BUY' else -order.quantity
            cash -= signed * order.price + order.fee
        found = _differences(order, attempt, cash)
        if attempt is not None and attempt.reason is None and filled:
            result.cash_difference = max(result.cash_difference, abs(attempt.cash - cash))
        if not found:
            counts[filled][0] += 1
        result.differences += [f'{order.date} {order.code} {order.side} (log line {order.line}): {text}' for text in found]
        result.rows.append((
            order.date, order.code, order.side, order.reason or 'filled', order.quantity, order.price, order.fee,
            *((attempt.reason or 'filled', attempt.quantity, attempt.price, attempt.fee, attempt.cash) if attempt else ('',) * 5),
            'yes' if not found else 'no'))
    for queue in waiting.values():
        for attempt in queue:
            result.differences.append(
                f'{attempt.date} {attempt.code} {attempt.side}: the plugin ordered '
                f'({attempt.reason or f"{attempt.quantity} at {attempt.price}"}), the log has no such order')
    sequence = [(order.date, order.code, order.side) for order in orders]
    replayed = [(attempt.date, attempt.code, attempt.side) for attempt in attempts if attempt.reason != 'delisted']
    if sorted(sequence) == sorted(replayed) and sequence != replayed:
        first = next(index for index, pair in enumerate(zip(sequence, replayed, strict=True)) if pair[0] != pair[1])
        result.differences.append(f'order {first + 1}: the log has {sequence[first]}, the plugin {replayed[first]}')
    result.fills, result.refusals = tuple(counts[True]), tuple(counts[False])


def _differences(order: LogOrder, attempt: ReplayedOrder | None, cash: float) -> list[str]:
    """Say in what one order of the log and of the replay differ."""
    if attempt is None:
        return ['the plugin placed no such order']
    if order.reason != attempt.reason:
        return [f'log: {order.reason or "filled"}, plugin: {attempt.reason or "filled"}']
    found = []
    if order.side == 'BUY' and order.value is not None and abs(order.value - (attempt.value or 0.0)) > TOLERANCE:
        found.append(f'budget: log {order.value!r}, plugin {attempt.value!r}')
    if order.reason is not None:
        return found
    if order.quantity != attempt.quantity:
        found.append(f'size: log {order.quantity}, plugin {attempt.quantity}')
    if abs(order.price - attempt.price) > TOLERANCE:
        found.append(f'price: log {order.price!r}, plugin {attempt.price!r}')
    if abs(order.fee - attempt.fee) > TOLERANCE:
        found.append(f'fee: log {order.fee!r}, plugin {attempt.fee!r}')
    if order.cash_limited_to != attempt.cash_limited_to:
        found.append(f'limited by cash to: log {order.cash_limited_to}, plugin {attempt.cash_limited_to}')
    if abs(attempt.cash - cash) > TOLERANCE:
        found.append(f'cash after the fill: log {cash!r}, plugin {attempt.cash!r}')
    return found


def _compare_positions(result: Comparison, positions: pd.DataFrame, holdings: dict[tuple[date, str], tuple[int, float]]) -> None:
    left = dict(holdings)
    matched = 0
    for row in positions.itertuples():
        key = row.date.date(), row.code
        size, mark = left.pop(key, (0, float('nan')))
        found = []
        if size != row.quantity:
            found.append(f'shares: export {row.quantity}, plugin {size}')
        elif abs(mark - row.price) > TOLERANCE:
            found.append(f'mark: export {row.price}, plugin {mark}')
        elif abs(size * mark - row.market_value) > 1.0:  # the export rounds it to the yuan
            found.append(f'market value: export {row.market_value}, plugin {size * mark}')
        matched += not found
        result.differences += [f'{key[0]} {row.code} position: {text}' for text in found]
    last = positions['date'].max().date() if len(positions) else date.max
    for (day, code), (size, _) in left.items():
        if day <= last:
            result.differences.append(f'{day} {code} position: the plugin holds {size} shares, the export none')
    result.positions = matched, len(positions)


def report_lines(result: Comparison) -> list[str]:
    """Return what a reconciliation prints: the counts, the largest cash difference, then each difference."""
    lines = [
        f'fills matched {result.fills[0]}/{result.fills[1]}',
        f'refusals matched {result.refusals[0]}/{result.refusals[1]}',
        f'positions matched {result.positions[0]}/{result.positions[1]}',
        f'largest cash difference {result.cash_difference:.3g} yuan',
    ]
    lines += [f'difference: {text}' for text in result.differences]
    lines += [f'stale mark: {mark}' for mark in result.market.stale_marks]
    lines += [f'note: {text}' for text in result.market.notes]
    return lines


def comparison_columns() -> tuple[str, ...]:
    """Return the header of orders.csv, the rows of `Comparison.rows`."""
    log = tuple(f'log_{name}' for name in ('outcome', 'quantity', 'price', 'fee'))
    plugin = tuple(f'plugin_{name}' for name in ('outcome', 'quantity', 'price', 'fee', 'cash'))
    return ('date', 'code', 'side', *log, *plugin, 'matched')


def summary(result: Comparison) -> dict[str, Any]:
    """Return the content of summary.json."""
    return {
        'fills': list(result.fills), 'refusals': list(result.refusals), 'positions': list(result.positions),
        'largest_cash_difference': result.cash_difference, 'differences': result.differences,
        'stale_marks': [str(mark) for mark in result.market.stale_marks], 'notes': result.market.notes,
        'made_up': [f'{day} {code}: {what}' for day, code, what in result.market.placeholders],
    }
