"""The past of an account, as a broker lives through it again: what it held at the start, and what happened without an order."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

from backtrader.order import Order

from ..exchange import corporate_actions, rules
from ..exchange.account import CONSOLIDATED, DELISTED
from ..exchange.bars import OpeningBar
from ..exchange.broker import AShareBroker
from ..exchange.commission import NO_FEES, Fees
from ..exchange.corporate_actions import ExRights
from ..exchange.orders import BuyOrder
from .account import Account
from .books import CASH, OF_CASH, EventRow
from .ex_dates import EARLY, LATE, SURELY_SHARES, ex_dates_of, kinds, match

NOT_ORDERED = 'not ordered'  # of a fill that the strategy did not order


class Missing(NamedTuple):
    """What of an ex-date of a holding is not booked."""

    row: EventRow  # what the data says
    shares: bool  # new shares, so that more is held than the account says
    cash: bool  # a dividend

    @property
    def is_all(self) -> bool:
        """Whether nothing of it is booked."""
        return self.shares == brings_shares(self.row) and self.cash == brings_cash(self.row)

    def lacking(self, held: int) -> EventRow:
        """Return what is missing as an event, on some shares that are held; all of it as the data says it."""
        if self.is_all:
            return self.row
        new = self.row.shares_after - self.row.shares_before if self.shares else 0
        cash = self.row.cash if self.cash else 0.0
        return self.row._replace(action='bonus' if new else 'dividend', shares_before=held, shares_after=held + new, cash=cash,
                                 ratio=(held + new) / held, dividend=cash / held)


class PastBroker(AShareBroker):
    """`JournalBroker` without its orders.

    Ex-dates of past days are told by the data, and what came of them by the account's events, whether these are booked on the
    day, some days before or some weeks after: they count from the ex-date on, so that neither the cost, by which stops go, nor
    the value of the account is another one meanwhile.

    Attributes
    ----------
    account : Account
    list_day : int
        Ordinal of the day for which orders are made.
    replay : bool
        Whether that day is over, and the data knows it: corporate actions then happen as in a backtest. Else the account is
        restated for an ex-date by what is published, and cash that is not there yet does not come in.
    coming : ComingDay, optional
        What is known of the day, where it is not over.
    books_ex_rights : bool
        Whether what is missing of ex-dates is booked where the data says it.
    happened : list of EventRow
        What happened on the list's day without an order.
    missing : list of Missing
        What of ex-dates is not booked.
    ex_dates : list of tuple
        (code, whether most likely new shares come that are not in the list) of holdings that go ex-rights on its day.
    of_ex_date : dict
        (code, ordinal of an ex-date) -> the events that came of it, whatever day they are booked on.
    others : list of tuple
        (ordinal from which it counts, event) of the others.
    opening_cash, opening_holdings, opening_shares : float, int, dict
        Before the orders of the list's day: yuan, stocks, and the shares of each that may be sold.
    """

    account: Account
    list_day = 0
    replay = False
    books_ex_rights = False
    coming: Any = None

    def init(self) -> None:
        """Start with cash and nothing else; called by Cerebro before a run."""
        super().init()
        self.opening_cash, self.opening_holdings = self.cash, 0
        self.happened: list[EventRow] = []
        self.missing: list[Missing] = []
        self.ex_dates: list[tuple[str, bool]] = []
        self._placed = False
        self.opening_shares: dict[str, int] = {}  # code -> shares that may be sold

    def start_run(self) -> None:
        """Put what came of ex-dates on their days, and the rest in order; the opening calls it."""
        super().start_run()
        events = self.account.events
        store = next(data.store for data in self.cerebro.datas if hasattr(data, 'store'))
        explicit = self.p.ex_rights == 'auto' and store.explicit_actions
        codes = {event.code for event in events if event.code}
        self._ex_dates = {code: ex_dates_of(store, code, explicit) for code in codes} if self.p.ex_rights != 'off' else {}
        matched = match(events, self._ex_dates, self.account.held_before).days
        self.of_ex_date: dict[tuple[str, int], list[EventRow]] = {}
        for number, day in sorted(matched.items()):
            self.of_ex_date.setdefault((events[number].code, day), []).append(events[number])
        self._tells_ex_dates = self.p.ex_rights != 'off' and (store.explicit_actions or 'preclose' in store.columns)
        others = [(self._counts_on(event), event) for number, event in enumerate(events) if number not in matched]
        self.others = sorted(others, key=lambda each: each[0])  # stable: as booked within a day
        self._next_event = 0

    def _counts_on(self, event: EventRow) -> int:
        """Return from which day on an event counts that came of no ex-date which the data has.

        New shares that are booked before their ex-date, which tells what they are worth, wait for it for some days.
        """
        on = event.date.toordinal()
        waits = self._is_early(event) and 'shares' in kinds(event) and on != self.list_day
        return on + EARLY + 1 if waits else on

    def _is_early(self, event: EventRow) -> bool:
        """Return whether an event must be of an ex-date to come: the data tells such, and has none before it."""
        on = event.date.toordinal()
        return self._tells_ex_dates and event.action != 'reinvest' and not any(
            0 <= on - each.day <= LATE and all(map(each.brings, kinds(event))) for each in self._ex_dates.get(event.code, ()))

    # -- before the open --------------------------------------------------------------------------------------

    def _settle_delisted(self) -> None:
        """Book what the account has of the day; the day of a replay is the backtest's."""
        if not self._placed and self.day >= self.account.begun.toordinal():
            self._placed = True
            self._place_holdings()
        while self._next_event < len(self.others) and self.others[self._next_event][0] <= self.day:
            self._book_event(self.others[self._next_event][1])
            self._next_event += 1  # money also moves on days without trading
        if self.day == self.list_day and self.replay:
            super()._settle_delisted()

    def _place_holdings(self) -> None:
        """Put what was held at the start into the account, as purchases that cost nothing now."""
        if not self.account.holdings:
            return
        for each in self.account.holdings:
            data, cash = self.cerebro.datasbyname[each.code], self.cash
            self._book_order(BuyOrder, data, [(each.shares, each.cost, NO_FEES)])
            self.cash = cash
            self._bought.pop(data, None)  # it may be sold today
            self.marks[data] = data.close[-1] if data.close[-1] == data.close[-1] else each.cost
            if self.tax_lots is not None:
                self.tax_lots.forget(data)
                before = self.calendar.previous(self.day)
                bought = before if each.bought is None else min(each.bought.toordinal(), before)
                self.tax_lots.buy(data, bought, each.shares)
        # as a fund the account begins with what it holds, too
        held = sum(position.size * self.marks[data] for data, position in self.positions.items())
        self._fundshares = (self.cash + held) / self.p.fundstartval

    def _book_event(self, event: EventRow) -> None:
        data = self.cerebro.datasbyname[event.code] if event.code else None
        held = 0 if data is None or data not in self.positions else self.positions[data].size
        if event.action in OF_CASH or not held:  # a dividend of what is sold meanwhile is cash alone
            self.cash += event.cash
            if event.action == CASH:  # no return: as many shares of the fund more
                self._fundshares += event.cash / (self._fundval or self.p.fundstartval)
                self.cash_flows.append((self.day, event.cash))
            return
        if not event.shares_after and event.shares_before:
            self._book_out(data, event.dividend or event.cash / event.shares_before, event.action)
            return
        cost = self.positions[data].price
        if held == event.shares_before:
            self._restate_by(data, ExRights(event.action, event.shares_after, event.cash, event.ratio, event.dividend))
        else:  # booked on another day than it happened
            shares = held + event.shares_after - event.shares_before
            self._restate_by(data, ExRights(event.action, shares, event.cash, shares / held, event.cash / held))
        if (event.code, self.day) not in self.of_ex_date and self._is_early(event):
            self.positions[data].price = self.positions[data].price_orig = cost  # its ex-date will tell

    def _restate_by(self, data: Any, happened: ExRights) -> None:
        if self.tax_lots is not None and happened.dividend and not rules.is_fund(data._name):
            self.tax_lots.dividend(data, self.day, happened.dividend)
        self._restate(data, happened)

    # -- ex-dates -----------------------------------------------------------------------------------------------

    def _restate_past(self, data: Any, row: EventRow | None) -> None:
        """Book what came of an ex-date of a past day, and note what is missing of it.

        The cost falls by all that the data says of it, whatever is booked so far.
        """
        position, booked = self.positions[data], self.of_ex_date.get((data._name, self.day), ())
        cost = position.price
        for event in booked:
            self._book_event(event)
        if row is None or any(event.action == 'reinvest' for event in booked):
            return
        shares = brings_shares(row) and not any('shares' in kinds(event) for event in booked)
        cash = brings_cash(row) and not any('cash' in kinds(event) for event in booked)
        if not (shares or cash):
            return
        self.missing.append(Missing(row, shares, cash))
        if self.books_ex_rights and row.action != 'reinvest':
            self._book_event(self.missing[-1].lacking(position.size))
        if position.size and row.shares_after:
            position.price = position.price_orig = (row.shares_before * cost - row.cash) / row.shares_after

    def _apply_ex_rights(self) -> None:
        """Apply the ex-rights of the day: of a past one by the account's events, of the list's by what is published."""
        if self.p.ex_rights != 'off':
            if self.day == self.list_day and self.replay:
                super()._apply_ex_rights()
            else:
                for data in list(self.positions):
                    if data in self.marks and self.day < self.list_day:
                        happened = self._ex_rights(data, self.positions[data].size, self.marks[data])
                        if happened is not None or (data._name, self.day) in self.of_ex_date:
                            self._restate_past(data, None if happened is None else self._row_of(data, happened))
                    elif data in self.marks:
                        self._restate_for_list(data)
                held = {data._name for data in self.positions}
                for (code, day), events in self.of_ex_date.items():
                    if day == self.day and code not in held:  # sold before its ex-date: an event of somebody else's
                        for event in events:
                            self._book_event(event)
                self._restate_orders()
        if self.day == self.list_day:
            self.opening_cash, self.opening_holdings = self.cash, len(self.positions)
            self.opening_shares = {data._name: self.sellable(data) for data in self.positions}

    def _restate_for_list(self, data: Any) -> None:
        """Restate a holding for an ex-date of the day to come: its cost, and the new shares that are published, but no cash."""
        if self.coming is None:
            return
        position, last_close = self.positions[data], self.marks[data]
        told_size, cost = position.size, position.price
        dividend, ratio, preclose = (float(self.coming.facts[name][data._number])
                                     for name in ('cash_dividend', 'share_ratio', 'preclose'))
        explicit = self.p.ex_rights == 'auto'
        told = corporate_actions.ex_rights(position.size, last_close, preclose, 0.0, dividend if explicit else float('nan'),
                                           ratio if explicit else float('nan'), rules.half_tick(data._name))
        if told is None:
            return
        booked = self.of_ex_date.get((data._name, self.day), ())
        for event in booked:  # on its day, or before it
            self._book_event(event)
        counted = [*booked, *(event for day, event in self.others if event.code == data._name and 0 <= self.day - day <= EARLY)]
        row = EventRow(date.fromordinal(self.day), data._name, told.action, told_size, told.shares, told.cash, told.ratio,
                       told.dividend)
        shares = brings_shares(row) and not any('shares' in kinds(event) for event in counted)
        cash_comes = brings_cash(row) and not any('cash' in kinds(event) for event in counted)
        if not told.shares:
            return
        if shares or cash_comes:
            self.ex_dates.append((data._name, shares and told.action == 'reinvest'))
        if shares and told.action == 'dividend':  # published, though not booked
            new = position.size + told.shares - told_size
            self._restate(data, ExRights('bonus', new, 0.0, new / position.size))
        # of the reference price alone it is not known what comes in as shares, and what as cash
        position.price = position.price_orig = (told_size * cost - told.cash) / told.shares
        self.marks[data] = preclose

    def _restate(self, data: Any, happened: ExRights) -> None:
        """Restate a position, and note it on the list's day."""
        if self.day == self.list_day:
            self.happened.append(self._row_of(data, happened))
        super()._restate(data, happened)

    def _row_of(self, data: Any, happened: ExRights) -> EventRow:
        """Return a corporate action of the day as the account books it."""
        held, cash, shares = self.positions[data].size, happened.cash, happened.shares
        return EventRow(date.fromordinal(self.day), data._name, happened.action if shares else CONSOLIDATED, held, shares, cash,
                        happened.ratio, happened.dividend if shares else cash / held)

    def _book_out(self, data: Any, price: float, reason: str) -> None:
        """Turn a position into cash, and note it on the list's day; a consolidation is noted already."""
        size = self.positions[data].size
        if self.day == self.list_day and reason == DELISTED:
            self.happened.append(EventRow(date.fromordinal(self.day), data._name, reason, size, 0, size * price, 0.0, price))
        super()._book_out(data, price, reason)

    def _limits(self, data: Any, bar: OpeningBar | None = None) -> tuple[float, float]:
        """Return a day's limits; of the list's day what is published, or what the rules make of it."""
        if self.coming is None or self.day != self.list_day or not hasattr(data, '_number'):
            return super()._limits(data, bar)
        low, high, preclose, is_st, leaving = (
            float(self.coming.facts[name][data._number])
            for name in ('low_limit', 'high_limit', 'preclose', 'is_st', 'delisting_period'))
        if low == low and high == high:
            return low, high
        line = getattr(data, 'delisting_period', None)
        first = leaving == 1.0 and line is not None and len(data) > 1 and line[-1] == 0.0
        computed = rules.price_limits(data._name, self.day, preclose, is_st == 1.0, self.calendar.listed_day(data, self.day),
                                      int(first))
        return (low if low == low else computed[0]), (high if high == high else computed[1])

    # -- fills that nobody ordered --------------------------------------------------------------------------------

    def _book_order(self, kind: type[Order], data: Any, fills: list[tuple[int, float, Fees]]) -> None:
        """Book fills that no strategy ordered as an order of its."""
        size = sum(each[0] for each in fills)
        order = kind(owner=self.cerebro.runningstrats[0], data=data, size=size, simulated=True)
        order.p.simulated = False  # a simulated order is not told to the strategy
        order.addinfo(wanted=size, day=self.day, at_open=False, reason=NOT_ORDERED)
        self._ocoize(order, None)
        order.submit(self)
        order.accept(self)
        for shares, price, fees in fills:
            self._fill(order, shares, price, fees)


def brings_shares(row: EventRow) -> bool:
    """Return whether an ex-date brings new shares, so that more is held than before."""
    if row.action == 'reinvest':  # only the reference price is known
        return row.ratio > SURELY_SHARES
    return row.shares_after != row.shares_before


def brings_cash(row: EventRow) -> bool:
    """Return whether an ex-date brings a dividend."""
    return row.cash > 0 and row.action != 'reinvest' or row.action == 'reinvest' and not brings_shares(row)
