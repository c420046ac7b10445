"""The risk of a rotation, watched every day: what the overlays say is done here."""

from __future__ import annotations

import copy
from typing import Any

from . import choices
from .known import placed
from .overlays import Overlay, checked_exposure
from .parking import Parking
from .screens import is_suspended
from .trading import MarketStrategy

CUT = 0.1  # part of the account by which stocks may exceed the exposure before some are sold between rebalances

# What `MicroCapStrategy` has among its params; `RiskStrategy` says what they mean.
RISK_PARAMS = (
    ('stop_loss', 0.0),  # fraction of the cost
    ('trailing_stop', 0.0),  # fraction of the highest close
    ('take_profit', 0.0),  # fraction of the cost
    ('cooldown', 0),  # trading days
    ('limit_up_hold', False),  # until it opens
    ('empty_months', ()),  # 1 .. 12
    ('market_fall', 0.0),  # fraction, of a day
    ('falling_share', 0.0),  # part of all stocks
    ('trend_days', 0),  # closes
    ('drawdown_brake', 0.0),  # fraction of the peak
    ('brake_days', 20),  # trading days
    ('target_volatility', 0.0),  # a year
    ('volatility_days', 20),  # trading days
    ('market_index', 'market'),  # see CrossSection.benchmark
    ('parking', ''),  # code of a fund
    ('overlays', ()),  # further overlays.Overlay
)


class RiskStrategy(MarketStrategy):
    """Asks risk overlays on every trading day, before anything else, and sells what they say. All are off by default.

    The sales are at the open after the close that gave the reason. After a day on which stocks were not allowed the next
    rebalance buys again.

    Params (`RISK_PARAMS`), see `overlays`:

      - ``stop_loss``, ``trailing_stop``, ``take_profit`` (default: ``0.0``, off): fractions; of the cost, of the highest close,
        of the cost. ``cooldown`` (default: ``0``): trading days after such a sale during which the stock is not bought
        again; 1 is the day of the sale alone.
      - ``limit_up_hold`` (default: ``False``): whether what closed at its upper limit is held until it opens.
      - ``empty_months`` (default: ``()``): months without stocks, such as ``(1, 4)``.
      - ``market_fall``, ``falling_share`` (default: ``0.0``, off): sell all after such a fall of the index, or such a part of
        falling stocks.
      - ``trend_days`` (default: ``0``, off): no stocks while the index is below the mean of so many closes.
      - ``drawdown_brake`` (default: ``0.0``, off): no stocks for ``brake_days`` (``20``) after such a fall of the account.
      - ``target_volatility`` (default: ``0.0``, off): a year; ``volatility_days`` (``20``) of the index tell what it is.
      - ``market_index`` (default: ``'market'``): the index meant, see `CrossSection.benchmark`.
      - ``parking`` (default: ``''``, cash): code of a fund in which the money waits meanwhile.
      - ``overlays`` (default: ``()``): further ones, `overlays.Overlay`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._overlays = self.make_overlays()
        self._parking: Parking | None = None
        self._exposure, self._shut_by = 1.0, ''  # part of the account that may be in stocks today, and which overlay says so
        self._holds: set[str] = set()  # codes that today's rebalance does not sell
        self._out_today: set[str] = set()  # codes that an overlay sold today
        self._was_cut = False  # whether only a part of the account was allowed in stocks on some day

    def start(self) -> None:
        """Begin before the first day."""
        super().start()
        for overlay in self._overlays:
            overlay.start(self.known)
        self.known.follows_value = bool(self._overlays)
        if self.p.parking:
            if not self.known.fills_today:
                raise ValueError(f'parking is {self.p.parking!r}, which needs orders that fill at the open: use setup(cerebro)')
            self._parking = Parking(self, self.p.parking)

    def make_overlays(self) -> list[Overlay]:
        """Return the risk overlays, those of the params and those given; hook. The strategy works on copies of its own."""
        return [copy.deepcopy(overlay) for overlay in choices.risk_overlays(self.p._getkwargs())]

    def held(self) -> list[Any]:
        """Return the feeds of the stocks held, in the order in which the positions were opened; a parked fund is none."""
        held = super().held()
        return [data for data in held if data._name != self.p.parking] if self.p.parking else held

    def suspended(self) -> set[str]:
        """Return the codes of what is held that is suspended today, which is known before the open."""
        section = self.known.section
        places, _ = placed(self.universe, section.codes, self.held())
        return set(section.codes[places[is_suspended(section)[places]]].tolist())

    def may_sell(self, data: Any) -> bool:
        """Return whether a rebalance may sell a holding: it is not held for its limit, and was not tried already today."""
        return data._name not in self._holds and data._name not in self._out_today

    def stopped(self) -> set[str]:
        """Return the codes that are not bought today: sold by an overlay today, or in the cooldown of a stop."""
        known, wait = self.known, self.p.cooldown
        return self._out_today | {code for code, day in known.stopped_on.items() if known.day - day < wait}

    def limit_risk(self, cut: bool = True) -> None:
        """Ask the overlays, on every day before the rebalance, and sell what they say; hook.

        Parameters
        ----------
        cut : bool
            Whether to sell a part of each holding where stocks exceed what is allowed.
        """
        exits: dict[str, str] = {}
        stops: set[str] = set()
        self._exposure, self._shut_by, self._holds = 1.0, '', set()
        for overlay in self._overlays:
            allowed = checked_exposure(overlay, overlay.exposure(self.known))
            if allowed < self._exposure:  # the strictest counts
                self._exposure, self._shut_by = allowed, overlay.why or type(overlay).__name__
            for code, why in overlay.exits(self.known).items():
                exits.setdefault(code, why)
                if overlay.is_stop:
                    stops.add(code)
            self._holds |= set(overlay.holds(self.known))
        self._holds -= exits.keys()
        self._out_today = set()
        held = self.held()
        if not self._exposure > 0:
            exits = {data._name: exits.get(data._name, self._shut_by) for data in held}
            self._holds = set()
        suspended = self.suspended()
        for data in held:
            code = data._name
            if code in exits:
                self._out_today.add(code)
                if code not in suspended:
                    self.sell_whole(data, exits[code], stop=code in stops)
        if 0 < self._exposure < 1:
            self._was_cut = True
            if cut:
                self._cut_to_exposure(suspended)
        if self._exposure > 0:
            for overlay in self._overlays:
                for code, condition in overlay.exits_at_close(self.known).items():
                    if code not in self._out_today and code not in suspended:
                        self.sell_at_close_if(code, condition, overlay.why)

    def _cut_to_exposure(self, suspended: set[str]) -> None:
        """Sell a part of each holding where stocks exceed the exposure by more than `CUT`."""
        # what was ordered to be sold today and is still there was refused, or waits for the next open
        held = [data for data in self.held() if self._fills_now() or data._name not in self._out_today]
        values = self.values_of(held)
        total = self.broker.getvalue()
        invested = sum(values)
        if invested > (self._exposure + CUT) * total:
            for data, value in zip(held, values, strict=True):
                if data._name in suspended or data._name in self._out_today:
                    continue
                self.sell_part(data, value * (1 - self._exposure * total / invested), self._shut_by)
