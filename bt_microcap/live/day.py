"""One day of an account: the strategy runs over all days since the account began, and gives the orders of the next one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import backtrader as bt
import numpy as np
from backtrader.order import Order

from ..feeds.errors import DataError
from ..feeds.invocation import command
from ..feeds.market import MarketFeed
from ..feeds.store import MarketStore
from ..feeds.store.coming import ComingDay, ComingStore, digest
from ..profiles import setup
from ..record.blotter import Blotter
from ..rotation.strategy import MicroCapStrategy
from . import sessions
from .account import Account
from .booking import completed
from .books import BUY, CENT, SELL, EventRow, FillRow, add_up
from .broker import NOT_FILLED, JournalBroker
from .ex_dates import ex_dates_of, match, new_shares_allowed
from .order_list import OrderList, Pricing, listed

LOOKBACK = 250  # trading days before the account's first whose rows are looked after, too: what screens and ranks look back on
MONTHS = 70  # trading days that are looked ahead for the next rebalance

Run = Callable[[bt.Cerebro], bt.Strategy]  # runs the one strategy of a Cerebro


def check_day(store: MarketStore, account: Account, day: date, source: str) -> None:
    """Refuse a day for which an account cannot have orders.

    Raises
    ------
    DataError
        Before the account's first day, booked already, or of a stock that the data has not.
    """
    if day < account.begun:
        raise DataError(f'--date {day}: {account.path} begins on {account.begun}; give that day or a later one')
    # what happens before the open of the day itself belongs to its list
    late = [row.datetime for row in account.fills if row.datetime >= day]
    late += [row.date for row in account.events if row.date > day]
    if late:
        raise DataError(f'--date {day}: {account.path} has booked fills or events of {max(late)}; give a later day')
    if store.day_number(account.begun.toordinal()) == 0:
        raise DataError(f'{source}: begins on {store.span()[0]}, expected days before {account.begun}, on which {account.path} '
                        'begins')
    for when in {row.datetime for row in account.fills}:
        number = store.day_number(when.toordinal())
        if number == len(store.days) or int(store.days[number]) != when.toordinal():
            raise DataError(f'{account.path}: has fills of {when}, on which the exchange does not trade, as {source} tells; '
                            f'take the booking back with {command("fills")} --undo and mend the date')
    for code in dict.fromkeys([*(each.code for each in account.holdings), *(row.code for row in account.fills)]):
        try:
            number = store.stock_number(code)
        except KeyError:
            number = -1
        if number < 0 or store.first[number] >= store.day_number(day.toordinal()):
            raise DataError(f'{account.path}: has traded {code}, which {source} does not have; add its rows with '
                            f'{command("ingest")}, take the booking back with {command("fills")} --undo, or keep it in another '
                            'account')


def check_unchanged(store: MarketStore, account: Account, source: str, accept: bool) -> None:
    """Refuse data whose past days are no longer what they were at the last list.

    Raises
    ------
    DataError
        They are not, and `accept` is False.
    """
    seen = account.seen
    if not seen or accept:
        return
    first, until = (date.fromisoformat(seen[name]).toordinal() for name in ('first', 'until'))
    if digest(store, first, until + 1) != seen['crc32']:
        raise DataError(f'{source}: rows of the days up to {seen["until"]} have changed since the last list, and with them '
                        f'perhaps what the strategy remembers; compare the stores with {command("ingest")}, then give '
                        '--accept-changes to go on')


def check_events(store: MarketStore, account: Account, first: int, source: str) -> None:
    """Refuse new events that the data contradicts: what came of an ex-date twice, or more new shares than it can have brought.

    Parameters
    ----------
    store : MarketStore
    account : Account
    first : int
        Number of the first new event.
    source : str
        What messages call the data.

    Raises
    ------
    DataError
        One of them is so.
    """
    explicit = account.rules['values']['ex_rights'] == 'auto' and store.explicit_actions
    known = {event.code: ex_dates_of(store, event.code, explicit) for event in account.events if event.code}
    matched = match(account.events, known, account.held_before)
    end = store.span()[1]
    for number in range(first, len(account.events)):
        event = account.events[number]
        new = event.shares_after - event.shares_before
        said = f'{event.date} {event.code} {event.action} of {event.cash:,.2f} yuan and {new:,} new shares'
        other = account.events[matched.doubled[number]] if number in matched.doubled else None
        # of another ex-date, which the data does not have yet, something else would have come
        if other is not None and (event.date <= end or abs(event.cash - other.cash) <= 0.05 * abs(other.cash)
                                  and abs(new - (other.shares_after - other.shares_before)) <= 0.05 * abs(new)):
            raise DataError(f'{said}: {source} has one ex-date near it, and what came of it is booked, on {other.date} as '
                            f'{other.action}; take that back with --undo, or leave this out')
        ex_date = next((each for each in known.get(event.code, ()) if each.day == matched.days.get(number)), None)
        if ex_date is not None and event.action == 'bonus' and event.shares_before and not new_shares_allowed(event, ex_date):
            raise DataError(f'{said} on {event.shares_before:,}: by {source} a share became at most {ex_date.ratio:.3f}; the '
                            'quantity is that of the new shares alone')


def seen_of(store: MarketStore, account: Account, day: date) -> dict[str, Any]:
    """Return what an account notes of the data that a list of a day was made of."""
    end = store.day_number(day.toordinal())
    first = max(store.day_number(account.begun.toordinal()) - LOOKBACK, 0)
    low, high = int(store.days[first]), int(store.days[end - 1])
    return {'first': date.fromordinal(low).isoformat(), 'until': date.fromordinal(high).isoformat(),
            'crc32': digest(store, low, high + 1)}


def orders_of(
    store: MarketStore, account: Account, day: date, strategy: type[bt.Strategy], params: dict[str, Any], pricing: Pricing,
    coming: ComingDay | None, run: Run, source: str = 'the data',
) -> OrderList:
    """Return the orders of a day.

    The strategy runs from the account's first day on, its past orders filled by the journal. So it knows what it would know: its
    timer, its stops and cooldowns, and whatever else it keeps.

    Parameters
    ----------
    store : MarketStore
        With the days before it, and for a replay the day itself.
    account : Account
    day : date
    strategy : type
    params : dict
        Of the strategy.
    pricing : Pricing
    coming : ComingDay or None
        What is known of the day before its open; None for a replay: the day is decided at its open, as by a backtest, and filled.
    run : callable
        Runs the Cerebro and returns its strategy.
    source : str
        What messages call the data.

    Raises
    ------
    DataError
        The account knows nothing of an ex-date of one of its holdings.
    """
    market = store if coming is None else ComingStore(store, coming)
    before = date.fromordinal(int(store.days[store.day_number(account.begun.toordinal()) - 1]))
    # bar by bar: Backtrader's quicker way ends in an error where an indicator asks for more bars than there are so far
    cerebro = bt.Cerebro(stdstats=False, runonce=False)
    feed = MarketFeed(dataname=market, fromdate=before, todate=day)
    feed.looks_over = 0  # an account is young: that no stock lies in the band so far proves nothing
    cerebro.adddata(feed, name='market')
    cerebro.addstrategy(strategy, **params)
    broker = _broker(cerebro, account)
    broker.list_day, broker.coming, broker.replay = day.toordinal(), coming, coming is None
    cerebro.addanalyzer(Blotter, _name='blotter')
    cerebro.addanalyzer(_Eve, _name='eve')
    made = run(cerebro)
    _check_booked(account, broker, source)
    made.analyzers.eve.check(account)
    names = _names(store, day)
    orders, blocked = listed(broker, day, names, pricing)
    result = OrderList(day, orders, blocked, broker.opening_cash, broker.opening_holdings,
                       coming is None or coming.published, coming is None)
    blotter = made.analyzers.blotter
    result.unfilled_on, result.unfilled = _unfilled(account, blotter)
    if coming is None:
        result.events = list(broker.happened)
        result.fills = _fills_of_day(broker, blotter, day)
    result.unbooked = [(each.row.code, each.row.date) for each in broker.missing]
    result.ex_dates = list(broker.ex_dates)
    result.days_left, result.exact_days = made.analyzers.eve.days_left, made.analyzers.eve.exact
    return result


def _broker(cerebro: bt.Cerebro, account: Account) -> Any:
    rules = account.rules
    broker: Any = setup(cerebro, rules['profile'], cash=account.cash, broker_class=JournalBroker, **rules['given'])
    broker.account = account
    return broker


class _Eve(bt.Analyzer):
    """Looks at the strategy's timer while the list's day is the current one, and at the day before it."""

    day = 0
    held: dict[str, int] | None = None
    cash = 0.0
    days_left: int | None = None
    exact = True

    def next(self) -> None:
        """Remember what is held, and on the last day ask the timer."""
        broker = self.strategy.broker
        if broker.day < broker.list_day:
            if broker.day >= broker.account.begun.toordinal():
                self.day = broker.day
                self.held = {data._name: position.size for data, position in broker.positions.items()}
                self.cash = broker.getcash()
        elif broker.day == broker.list_day:
            self.days_left, self.exact = days_left(self.strategy)

    def check(self, account: Account) -> None:
        """Refuse to go on where the run does not end the day before with what the account holds.

        Raises
        ------
        DataError
            It does not.
        """
        if self.held is None:
            return
        broker = self.strategy.broker
        books = add_up(account.cash, account.holdings, [event for event in account.events if event.date.toordinal() <= self.day],
                       account.fills, str(account.path), True)
        cash, mine = books.cash, {code: position.shares for code, position in books.positions.items()}
        later = [event for (_, day), events in broker.of_ex_date.items() if day > self.day for event in events]
        later += [event for day, event in broker.others if day > self.day]
        for event in later:  # booked by then, but the run counts it from a later day on
            if event.date.toordinal() <= self.day:
                cash -= event.cash
                mine[event.code] = mine.get(event.code, 0) - (event.shares_after - event.shares_before)
        mine = {code: shares for code, shares in mine.items() if shares}
        # what counts from an ex-date on, and is booked later
        pending = {event.code for events in broker.of_ex_date.values() for event in events if event.date.toordinal() > self.day}
        other = sorted((code, shares) for code, shares in mine.items() ^ self.held.items() if code not in pending)
        if other or not pending and abs(cash - self.cash) > CENT:
            raise DataError(f'{account.path}: its journal adds up to something else than the run over its days, in '
                            f'{other[0][0] if other else f"{cash:,.2f} and {self.cash:,.2f} yuan of cash"}; no list is '
                            'made of it')

    def prenext(self) -> None:
        """Look at a day on which indicators are not ready yet."""
        self.next()


def _unfilled(account: Account, blotter: Blotter) -> tuple[date | None, list[tuple[str, str]]]:
    """Return the last day whose orders have no fill, where nothing was filled since, and these orders as (code, side)."""
    refused = [row for row in blotter.rejections if row.reason == NOT_FILLED and row.date.isoformat() > account.settled]
    last = max((row.date for row in refused), default=None)
    if last is None or any(row.datetime > last for row in account.fills):
        return None, []
    got = {(row.code, row.side) for row in account.fills if row.datetime == last}
    left = [(row.code, row.side) for row in refused if row.date == last and (row.code, row.side) not in got]
    return (last if left else None), left


def _check_booked(account: Account, broker: JournalBroker, source: str) -> None:
    """Refuse a list of fewer shares than are held, and one of another account than the journal's."""
    lacking = [each.row for each in broker.missing if each.shares]
    if lacking:
        row, more = lacking[0], f' (and {len(lacking) - 1} more)' if len(lacking) > 1 else ''
        told = '' if row.action == 'reinvest' else f', or what the data says with {command("fills")} --ex-rights --data STORE'
        raise DataError(
            f'{account.path}: {row.code} went ex-rights on {row.date}{more}, as {source} tells, and brought new shares, of '
            'which the account has no row; book what the broker credited (红股入账, a row with the side bonus) with '
            f'{command("fills")} --fills{told}')


def ex_rights_of(store: MarketStore, account: Account, source: str = 'the data') -> list[EventRow]:
    """Return what came of ex-dates of holdings that an account knows nothing of, as the data says, up to its end.

    Parameters
    ----------
    store : MarketStore
    account : Account
        Its fills may be booked for the moment only: they need not add up without these events.

    Raises
    ------
    DataError
        The data has only the reference price of one: it does not say what came in as shares, and what as cash.
    """
    number = store.day_number(account.begun.toordinal())
    if not 0 < number < len(store.days):
        return []
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(MarketFeed(dataname=store, fromdate=date.fromordinal(int(store.days[number - 1]))), name='market')
    cerebro.addstrategy(bt.Strategy)
    broker = _broker(cerebro, account)
    broker.list_day, broker.books_ex_rights = int(store.days[-1]) + 1, True
    cerebro.run()
    for row in [each.row for each in broker.missing]:
        if row.action == 'reinvest':
            raise DataError(f'{account.path}: {row.code} went ex-rights on {row.date}, and the data has only the reference '
                            'price: it does not say what came in as shares, and what as cash; book the rows of the broker with '
                            f'{command("fills")} --fills')
    found = []
    for each in broker.missing:
        row = each.lacking(each.row.shares_before)
        if not each.is_all:  # on the shares that the account has then, whatever day the rest is booked on
            row = completed(account, row._replace(shares_before=-1, shares_after=row.shares_after - row.shares_before), source)
        found.append(row)
    return found


def _names(store: MarketStore, day: date) -> dict[str, str]:
    if 'names' not in store.reference_names:
        return {}
    found = store.reference_data.latest('names', day.toordinal() - 1)
    return {code: name for code, name in zip(store.codes.tolist(), found.tolist(), strict=True) if name}


def _fills_of_day(broker: JournalBroker, blotter: Blotter, day: date) -> list[FillRow]:
    """Return what a replay has filled on its day, each with the order that it is of."""
    waiting: dict[tuple, list[Order]] = {}
    for order in broker.listed:
        for bit in order.executed.exbits:
            if int(bit.dt) == day.toordinal():
                side = BUY if order.isbuy() else SELL
                waiting.setdefault((order.data._name, side, abs(int(bit.size)), bit.price), []).append(order)
    found = []
    for fill in blotter.fills:
        orders = waiting.get((fill.code, fill.side, fill.quantity, fill.price)) if fill.datetime == day else None
        if orders:  # else what the account held at its start
            order = orders.pop(0)
            found.append(FillRow(*fill, open=order.info['open'], order_id=broker.id_of(order)))
    return found


def days_left(strategy: bt.Strategy) -> tuple[int | None, bool]:
    """Return how many trading days there are from the current one until the next rebalance, and whether holidays are known.

    None where the strategy has an own idea of its days.
    """
    kind = type(strategy)
    if not isinstance(strategy, MicroCapStrategy) or any(
            getattr(kind, name) is not getattr(MicroCapStrategy, name) for name in ('is_rebalance_day', 'trade')):
        return None, True
    known = strategy.known
    if known.day >= 0 and strategy.rebalance_picks and strategy.rebalance_picks[-1][0] == known.today.toordinal():
        return 0, True
    timer, ahead = copy.copy(strategy._timer), _Ahead(known)
    for number in range(1, MONTHS):
        ahead.number, day = number, known.day + number
        try:
            if day >= strategy.p.phase and timer.is_due(ahead, day - strategy.p.phase):
                return number, ahead.exact
        except Exception:  # a timer of the user's own may look at what nobody knows yet
            return None, True
    return None, True


def _weekday(day: date) -> date:
    day += timedelta(days=1)
    return day + timedelta(days=7 - day.weekday()) if day.weekday() > 4 else day


class _Ahead:
    """What a timer is told of a day to come: the days, where it asks for them, and what is known now of all else."""

    def __init__(self, known: Any) -> None:
        self._known, self._days, self.number, self.exact = known, [known.today], 0, True

    def _day(self, number: int) -> date:
        while len(self._days) <= number:
            last = self._days[-1]
            try:
                self._days.append(sessions.session_from(last + timedelta(days=1)) if self.exact else _weekday(last))
            except DataError:  # no calendar, or its end
                self.exact = False
        return self._days[number]

    @property
    def today(self) -> date:
        return self._day(self.number)

    @property
    def yesterday(self) -> date:
        return self._day(self.number - 1)

    @property
    def trading_days(self) -> np.ndarray:
        days = self._known.trading_days
        ahead = [self._day(number).toordinal() for number in range(1, self.number + 1)]
        return np.append(days[days <= self._days[0].toordinal()], ahead)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._known, name)
