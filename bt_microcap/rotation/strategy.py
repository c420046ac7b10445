"""The rotation: which stocks, when, how much, and when not."""

from __future__ import annotations

import math
import warnings
from typing import Any

import backtrader as bt
import numpy as np

from ..exchange import rules
from ..feeds.errors import DataError
from ..feeds.universe import CrossSection
from . import choices, ranks, screens, weights
from .known import places_of
from .risk import RISK_PARAMS, RiskStrategy
from .tally import NothingTradedWarning, Tally

SPARE = 0.02  # part of the account that may be left over where holdings lie below their targets
CASH_BAND = 0.1  # fraction of a target, where equal cash makes way for equal parts of the account


class MicroCapStrategy(RiskStrategy):
    """Every few days sell all, then buy the smallest companies of a market-cap band, equal cash each.

    That is the original, and what the defaults do. The other params are off by default; each turns one thing on.

    With cheat-on-open (see `bt_microcap.setup`) it decides and trades at the open, from the day before and
    what is known before the open. Under a plain ``Cerebro()`` it decides at the close of the day before and
    its orders fill at the next open: the same days, but today's ST and suspension stand in for tomorrow's,
    sizes come from today's close, and the buys count on all sales going through.

    Day 0 is the second bar of the data, the first that has a day before it. At the open today is
    ``self.data.datetime.date(0)``: Backtrader moves the strategy's own ``self.datetime`` only after ``next_open``.

    To change the strategy override one of its steps: `is_rebalance_day` (timer), `screen`, `rank` and
    `select` (selection), `weigh`, `budget` and `size` (sizing), `make_overlays` (risk), `sell_all`, `buy_picks` and
    `buy_stock` (orders).

    Params, which stocks:

      - ``stocknum`` (default: ``3``): largest number of stocks held, 1 or more.
      - ``min_cap``, ``max_cap`` (default: ``2e9``, ``3e9``): the band of the market cap, yuan, both ends in.
      - ``boards`` (default: ``('main', 'chinext', 'star')``): where to buy, of `rules.BOARDS`.
      - ``universe`` (default: ``''``, all A shares): six digits of an index, whose members of the day before alone are bought;
        see `screens.members`.
      - ``min_listed_days`` (default: ``0``): calendar days since the listing; see `screens.listed_for`.
      - ``min_price``, ``max_price`` (default: ``0.0``, ``inf``): of the previous close, yuan, both ends in.
      - ``min_amount`` (default: ``0.0``): yuan traded a day, mean of the last 20 trading days.
      - ``skip_limits`` (default: ``False``): whether what opens at its upper or lower limit is no pick, unless it is held.
      - ``rebuy_ban`` (default: ``0``): trading days after a sale during which the stock is not bought again; 1 is the day of the
        sale alone. With `keep` off, what is held is sold first, and so is banned too.
      - ``max_per_industry`` (default: ``0``, any): picks of one industry; needs a store with industries.
      - ``extra_screen`` (default: ``None``): a `pieces.Screen`, or a function of a section that returns a mask.
      - ``rank`` (default: ``'market_cap'``): what is smallest is bought first: ``market_cap``, ``float_cap``, any column,
        ``-column`` for the largest first, a `pieces.Value`, or a function of a section.

    When:

      - ``refresh_rate`` (default: ``5``): trading days from one rebalance to the next, 1 or more.
      - ``weekday`` (default: ``0``): 1 for Monday to 5 for Friday: once a week instead, see `timing.Weekly`.
      - ``month_day`` (default: ``0``): once a month instead, on that trading day of it, see `timing.Monthly`.
      - ``refresh_by`` (default: ``''``): ``'volatility'`` or ``'trend'``: a refresh rate between ``min_refresh_rate`` (``2``) and
        ``max_refresh_rate`` (``20``) that follows the market; its formula: `timing.RefreshByMarket`.
      - ``phase`` (default: ``0``): trading days by which the start is shifted.

    How much:

      - ``keep`` (default: ``False``): whether what is held and picked again stays, instead of being sold and bought.
      - ``weights`` (default: ``'cash'``): equal parts of the cash for what is bought; with `keep`, from the first day on which an
        overlay allows only a part of the account in stocks, equal parts of that part for all. Else the parts of the account that
        the picks are brought to: ``equal``, ``market_cap``, ``float_cap``, ``inverse_volatility``, or a function, see `weights`;
        each of the ``stocknum`` has its share, so that with fewer picks the rest stays cash.
      - ``band`` (default: ``0.0``): with weights and `keep`, the fraction of its target by which a holding may be off before it
        is traded.
      - ``max_weight`` (default: ``1.0``): with weights, the largest part of the account in one stock when it is bought.

    Risk, every day: the params of `risk.RiskStrategy`, such as ``stop_loss``, ``empty_months``, ``parking``.

    Others:

      - ``plot_stocks`` (default: ``4``): how many of the stocks held ``cerebro.plot()`` draws, the most traded
        first; the others are left out (see `record.stock_charts`).
      - ``combination`` (default: ``()``): pairs of a param's name and its value, which go before all others: one run of any set
        of combinations, for an optimizer.
    """

    params = (
        # which stocks
        ('stocknum', 3),  # holdings
        ('min_cap', 2e9),  # yuan
        ('max_cap', 3e9),  # yuan
        ('boards', ('main', 'chinext', 'star')),  # BSE is off
        ('universe', ''),  # six digits of an index
        ('min_listed_days', 0),  # calendar days
        ('min_price', 0.0),  # yuan
        ('max_price', math.inf),  # yuan
        ('min_amount', 0.0),  # yuan a day
        ('skip_limits', False),  # no pick that opens at its limit
        ('rebuy_ban', 0),  # trading days
        ('max_per_industry', 0),  # picks, 0: any
        ('extra_screen', None),  # a screen
        ('rank', 'market_cap'),  # the smallest first
        # when
        ('refresh_rate', 5),  # trading days
        ('weekday', 0),  # 1 Monday .. 5 Friday
        ('month_day', 0),  # trading day of the month
        ('refresh_by', ''),  # volatility | trend
        ('min_refresh_rate', 2),  # trading days
        ('max_refresh_rate', 20),  # trading days
        ('phase', 0),  # trading days
        # how much
        ('keep', False),  # what is picked again stays
        ('weights', choices.CASH),  # cash | equal | market_cap | float_cap | inverse_volatility
        ('band', 0.0),  # fraction of a target
        ('max_weight', 1.0),  # part of the account
        *RISK_PARAMS,
        # others
        ('plot_stocks', 4),  # charts of stocks in cerebro.plot()
        ('combination', ()),  # (name, value) pairs of an optimizer's run
    )

    def __init__(self) -> None:
        for name, value in self.p.combination:
            setattr(self.p, name, value)
        given = self.p._getkwargs()
        self.check_params(given)
        super().__init__()
        self._timer = choices.timer(given)
        self._screens, self._rank = choices.extra_screens(given), choices.rank(given)
        self._base = screens.tradable & screens.on_boards(self.p.boards)
        self._passed: np.ndarray | None = None  # the mask of the screen, among which `weighted_ranks` ranks
        self._tally = Tally()  # what `nothing_traded` tells
        self._band_checked = False
        self.rebalance_picks: list[tuple[int, list[str]]] = []  # ordinal of the day and the choice of each rebalance

    @classmethod
    def check_params(cls, given: dict[str, Any]) -> None:
        """Refuse params that mean nothing; `given` has every param with its value.

        Raises
        ------
        ValueError
            One is wrong, or two do not go together.
        """
        choices.check_params(given)

    def start(self) -> None:
        """Begin before the first day."""
        super().start()
        self._timer.start(self.known)
        if self.p.universe == screens.SMALL_BOARD:
            try:
                self.universe.section(self.at_open).members(self.p.universe)
            except DataError:
                warnings.warn(f'the data does not tell the members of {self.p.universe} from the start: all codes of its board '
                              f'count, {" and ".join(screens.SMALL_BOARD_CODES)}', stacklevel=2)

    def stop(self) -> None:
        """Say it where the run has done nothing."""
        found = '' if self.p.combination else self.nothing_traded()
        if found:
            warnings.warn(found, NothingTradedWarning, stacklevel=2)

    def nothing_traded(self) -> str:
        """Return why the run has picked no stock, or filled no order; empty where it has."""
        return self._tally.nothing_traded(self.p.min_cap, self.p.max_cap, lambda: choices.described(self.p._getkwargs()))

    def _addnotification(self, order: bt.Order, quicknotify: bool = False) -> None:
        # counted here: a subclass with its own notify_order rarely calls the one of its base
        self._tally.count_order(order)
        super()._addnotification(order, quicknotify)

    # -- when ---------------------------------------------------------------------------------------------

    def trade(self, day: int) -> None:
        """Do the day's work; hook for what must happen every day.

        Parameters
        ----------
        day : int
            Trading days since day 0, the day on which the orders fill.
        """
        due = self.is_rebalance_day(day)
        if self._overlays:
            self.limit_risk(cut=not due)  # a rebalance brings the holdings to what is allowed by itself
        if due:
            if self._exposure > 0:
                self.rebalance()
            else:
                self._tally.shut[self._shut_by] += 1
        if self._parking is not None:
            self._parking.put()

    def is_rebalance_day(self, day: int) -> bool:
        """Return whether to rebalance on a day; hook. Day 0 is one, where ``refresh_rate`` alone says when."""
        return day >= self.p.phase and self._timer.is_due(self.known, day - self.p.phase)

    def rebalance(self) -> None:
        """Sell all, then buy the picks; or what the params make of it."""
        picks = self.select(self.known.section)
        decided = self.known.today if self.at_open else self.known.yesterday
        self.rebalance_picks.append((decided.toordinal(), picks))
        self._tally.rebalances += 1
        self._tally.picks += len(picks)
        # after a cut what is kept has too small a part: equal cash for the others would give them all that was freed
        if self.p.weights == choices.CASH and not (self.p.keep and self._was_cut):
            kept = self.sell_dropped(picks) if self.p.keep else self.sell_all()
            self.buy_picks(picks, kept)
        else:
            self.rebalance_to(self.weigh(self.known.section, picks))

    # -- which --------------------------------------------------------------------------------------------

    def select(self, section: CrossSection) -> list[str]:
        """Return the codes to buy, the first choice first; hook.

        Parameters
        ----------
        section : CrossSection
            What is known of every stock.
        """
        self._passed = mask = self.screen(section)
        groups = section.industries() if self.p.max_per_industry else None
        return ranks.smallest(section.codes, mask, self.rank(section), self.p.stocknum, groups, self.p.max_per_industry)

    def screen(self, section: CrossSection) -> np.ndarray:
        """Return the mask of the stocks that may be bought; hook."""
        in_band = screens.cap_between(self.p.min_cap, self.p.max_cap)(section)
        tally = self._tally
        if in_band.any():
            tally.band_days, self._band_checked = (tally.band_days or 0) + 1, True
        else:
            tally.band_days = tally.band_days or 0
            if not self._band_checked:  # once: where any stock ever lies in it, some days without are no fault
                self._band_checked = True
                screens.check_band(self.universe, self.p.min_cap, self.p.max_cap)
        mask = in_band & self._base(section)
        for screen in self._screens:
            mask = mask & screen(section)
        if self.p.skip_limits:
            stays = {data._name for data in self.held()} if self.p.keep else self._holds
            at_limit = screens.opens_at_high_limit(section) | screens.opens_at_low_limit(section)
            mask &= ~at_limit | screens.mask_of(section.codes, stays)
        if banned := self.banned():
            mask &= ~screens.mask_of(section.codes, banned)
        return mask

    def banned(self) -> set[str]:
        """Return the codes that are not bought today: stopped, sold by an overlay today, or sold lately."""
        out = self.stopped()
        if self.p.rebuy_ban:
            sold = {code for code, day in self.known.sold_on.items() if self.known.day - day < self.p.rebuy_ban}
            held = {data._name for data in self.held()} - self._holds
            out |= sold - held if self.p.keep else sold | held
        return out

    def rank(self, section: CrossSection) -> np.ndarray:
        """Return one number per stock, the smallest is bought first; hook. The param ``rank`` by default."""
        rank = self._rank
        return rank(section, self._passed) if isinstance(rank, ranks.Value) else rank(section)

    # -- how much -----------------------------------------------------------------------------------------

    def weigh(self, section: CrossSection, picks: list[str]) -> dict[str, float]:
        """Return which part of the account each pick is to have; hook, asked where ``weights`` is not ``'cash'`` and after a cut.

        Parameters
        ----------
        section : CrossSection
        picks : list of str
            Codes, the first choice first.

        Returns
        -------
        dict of str to float
            They add up to the part of the account that may be in stocks, less where there are fewer picks than ``stocknum``, or
            where ``max_weight`` cuts all of them.
        """
        if not picks:
            return {}
        weigh = self.p.weights if callable(self.p.weights) else weights.WEIGHTS.get(self.p.weights, weights.equal)
        found = np.asarray(weigh(section, places_of(self.universe, section.codes, picks)), dtype=float)
        whole = self._exposure * min(1.0, len(picks) / self.p.stocknum)
        return dict(zip(picks, weights.shares_of(found, self.p.max_weight, whole).tolist(), strict=True))

    def budget(self, cash: float, free: int) -> float:
        """Return the yuan for each buy; hook.

        Parameters
        ----------
        cash : float
            Yuan after the sales.
        free : int
            Holdings still to be filled, 1 or more.
        """
        return cash / free

    # -- orders -------------------------------------------------------------------------------------------

    def sell_all(self) -> list[Any]:
        """Sell every position whole; hook.

        Returns
        -------
        list of data feeds
            Those that stay: their sale was refused, or is bound to be.
        """
        return self._sell([data for data in self.held() if self.may_sell(data)])

    def sell_dropped(self, picks: list[str]) -> list[Any]:
        """Sell every position whole that was not picked again, but for what is known to be suspended today; hook.

        Returns what stays, as `sell_all`.
        """
        stays = {*picks, *self.suspended()}
        return self._sell([data for data in self.held() if data._name not in stays and self.may_sell(data)])

    def _sell(self, leaving: list[Any]) -> list[Any]:
        for data in leaving:
            self.sell_whole(data, 'rebalance')
        if self._fills_now():
            return self.held()
        ids = {id(data) for data in leaving}  # by identity: == of two feeds compares their closes
        return [data for data in self.held() if id(data) not in ids and data._name not in self._out_today or self.stuck(data)]

    def buy_picks(self, picks: list[str], kept: list[Any]) -> None:
        """Buy down the picks while fewer than ``stocknum`` stocks are held; hook.

        A pick that cannot be bought is not replaced. One that is still held because its sale was refused is topped up.

        Parameters
        ----------
        picks : list of str
            Codes.
        kept : list of data feeds
            What is held after the sales.
        """
        free = self.p.stocknum - len(kept)
        if free <= 0:
            return
        budget = self.budget(self.money_for_stocks(kept), free)
        taken = set(kept)  # of hashes, which go by identity
        buys = [data for data in map(self.universe.feed, picks)
                if data not in taken or not (self.p.keep or data._name in self._holds)]
        if self._parking is not None and (count := min(free, sum(self._is_a_lot(data, budget) for data in buys))):
            budget = min(budget, self._parking.release(budget * count) / count)
        for data in buys:
            if len(taken) >= self.p.stocknum:
                break
            order = self.buy_stock(data, budget)
            if order is not None and order.status != order.Rejected:
                taken.add(data)

    def money_for_stocks(self, kept: list[Any]) -> float:
        """Return the yuan that stocks may be bought for, by the exposure; what is parked in a fund is money, too."""
        cash, parking = self.cash_after_sales(kept), self._parking
        if self._exposure == 1.0 and parking is None:
            return cash
        stocks, parked = sum(self.values_of(kept)), 0.0 if parking is None else parking.value()
        return max(0.0, min(cash + parked, self._exposure * (cash + parked + stocks) - stocks))

    def buy_stock(self, data: Any, budget: float) -> bt.Order | None:
        """Order one stock; hook.

        Parameters
        ----------
        data : data feed
        budget : float
            Yuan.
        """
        return self.buy(data=data, size=self.size(data, budget), price=self.price(data), value=budget, why='rebalance')

    def rebalance_to(self, parts: dict[str, float]) -> None:
        """Bring the holdings to parts of the account: sales first, then buys in the order of the parts.

        Parameters
        ----------
        parts : dict of str to float
            Code -> part of the account. With `keep`, see `weights.changes` for what is traded; without, everything is sold first.
            What stays though it is no part, such as a suspended holding, takes its room: the others are scaled down.
        """
        kept = self.sell_dropped(list(parts)) if self.p.keep else self.sell_all()
        held = dict(zip([data._name for data in kept], self.values_of(kept), strict=True))
        cash = self.cash_after_sales(kept)
        total = cash + (0.0 if self._parking is None else self._parking.value()) + sum(held.values())
        # what stays and was not picked takes its room
        room = self._exposure * total - sum([value for code, value in held.items() if code not in parts])
        whole = sum(parts.values())
        scale = min(1.0, max(0.0, room) / (total * whole)) if whole > 0 < total else 0.0
        changes = weights.changes(
            {code: scale * part * total for code, part in parts.items()}, held, self._holds | self._out_today,
            CASH_BAND if self.p.weights == choices.CASH else self.p.band, room, SPARE * total)
        wanted: list[tuple[Any, float]] = []
        for code, change in changes.items():
            if change < 0:
                self.sell_part(self.universe.feed(code), -change, 'rebalance')
            elif change > 0 and (code not in held or self._is_a_lot(self.universe.feed(code), change)):
                wanted.append((self.universe.feed(code), change))
        if self._parking is not None:
            self._parking.release(sum(budget for data, budget in wanted if self._is_a_lot(data, budget)))
        count = len(kept)
        for data, budget in wanted:
            if data._name in held:
                self.buy_stock(data, budget)
            elif count < self.p.stocknum:
                order = self.buy_stock(data, budget)
                count += order is not None and order.status != order.Rejected

    def _is_a_lot(self, data: Any, budget: float) -> bool:
        """Return whether a budget pays for a legal size at the price known now."""
        return rules.legal_buy(data._name, self.size(data, budget)) > 0
