"""The two profiles, and one line that puts one in place."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import backtrader as bt

from .exchange.broker import AShareBroker
from .exchange.commission import DATED, FEES, AShareCommission
from .exchange.tax_lots import HOLDING
from .record.analyzers import use_ours
from .record.observers import Account, DrawDown, Exposure, Holdings, RelativeValue
from .record.statistics import DAYS_A_YEAR, JOINQUANT_DAYS_A_YEAR, JOINQUANT_RISK_FREE

# As JoinQuant simulates: proved on the log of the original account, see the command reconcile.
JOINQUANT = MappingProxyType({
    'commission': 0.0003,  # of the value, both sides
    'min_commission': 5.0,  # yuan an order
    'stamp_duty': 0.001,  # of sales, whatever the date
    'transfer_fee': 0.0,
    'slippage': 0.00246,  # JoinQuant's default PriceRelatedSlippage, half each way
    'slippage_ticks': 0.0,
    'min_slippage_ticks': 0.0,
    'impact': 0.0,
    'volume_limit': 0.0,
    'size_with_fees': False,  # sized at the raw open: cash may end slightly negative
    'star_market_orders': False,  # refused without a protective limit price
    'star_protection': 0.0,
    'ex_rights': 'auto',
    'dividend_tax': 0.2,  # flat, on the ex-date
    'delist': 'last_close',
    'delist_wait': 60,  # trading days
})
# As the exchanges and a broker really charge and allow.
REALISTIC = MappingProxyType({
    'commission': 0.0003,
    'min_commission': 5.0,
    'stamp_duty': DATED,  # the law of the day
    'transfer_fee': DATED,
    'slippage': 0.002,  # half each way
    'slippage_ticks': 0.0,
    'min_slippage_ticks': 1.0,  # below 10 yuan 0.1 % is less than a price step, and nobody trades inside the spread
    'impact': 0.0,
    'volume_limit': 0.1,  # of the day's volume; the rest is cancelled
    'size_with_fees': True,
    'star_market_orders': True,
    'star_protection': 0.02,  # the protective limit price that STAR asks of a market order
    'ex_rights': 'auto',
    'dividend_tax': HOLDING,  # by the time held, withheld at the sale
    'delist': 'last_close',
    'delist_wait': 60,  # trading days
})
# How each profile counts its figures: the keyword arguments of `record.statistics.statistics`.
CONVENTIONS = MappingProxyType({
    'joinquant': MappingProxyType({'days_a_year': JOINQUANT_DAYS_A_YEAR, 'risk_free': JOINQUANT_RISK_FREE, 'sharpe': 'annual'}),
    'realistic': MappingProxyType({'days_a_year': DAYS_A_YEAR, 'risk_free': 0.0, 'sharpe': 'daily'}),
})
PROFILES = MappingProxyType({'joinquant': JOINQUANT, 'realistic': REALISTIC})


def setup(
    cerebro: bt.Cerebro, profile: str = 'realistic', *, cash: float = 1e6, broker_class: type[AShareBroker] = AShareBroker,
    **overrides: Any,
) -> AShareBroker:
    """Put broker, commission, cheat-on-open and observers in place.

    Each can be set by hand instead: ``cerebro.setbroker(AShareBroker(...))``,
    ``cerebro.broker.addcommissioninfo(AShareCommission(...))``, ``bt.Cerebro(cheat_on_open=True)``.
    Backtrader's standard observers, one of them per feed, make way for cash and value, drawdown, the value relative to the
    benchmark, the invested part and the number of holdings. Of Backtrader's analyzers and observers those that would not see
    the stocks of a `MarketFeed` (``PyFolio``, ``Transactions``, ``PositionsValue``, ``Trades``) are replaced by ours, with the
    same layouts.

    **Look-ahead.** While a strategy decides at the open, from before ``next_open`` (and cheat timers) until the orders are
    filled, today's close, high, low, volume, amount, market cap and every further column of every registered feed, and
    of every stock of a `MarketFeed`, raise `LookAheadError`; open, preclose, limits, flags and ex-date facts are
    readable. An indicator shows at the open what it showed at yesterday's close. NOT guarded: ``line.array`` and other ways
    around ``line[0]`` and ``line.get()``; a feed's line of a class of its own; an operation on lines (``close - open``) before
    its first bar and after the current one; data that a script reads by itself; and any run with another broker than
    `AShareBroker`, where only the cross-section (``section``) keeps the future out. A later bar (``[1]``) of a feed or of an
    indicator is always refused, and before its first bar there is NaN, where Backtrader's own lines count from the end of
    the data.

    Parameters
    ----------
    cerebro : bt.Cerebro
    profile : str
        ``'realistic'`` or ``'joinquant'``.
    cash : float
        Yuan to start with.
    broker_class : type
        `AShareBroker`, or a subclass of it.
    **overrides
        Any key of the profile.

    Returns
    -------
    AShareBroker
        The broker that was put in place.

    Raises
    ------
    ValueError
        No such profile or key.
    """
    if profile not in PROFILES:
        raise ValueError(f'profile is {profile!r}: expected one of {", ".join(PROFILES)}')
    unknown = [name for name in overrides if name not in PROFILES[profile]]
    if unknown:
        raise ValueError(f'setup() has no option {unknown[0]!r}: expected one of {", ".join(PROFILES[profile])}')
    values = {**PROFILES[profile], **overrides}
    broker = broker_class(cash=cash, **{name: value for name, value in values.items() if name not in FEES})
    broker.addcommissioninfo(AShareCommission(**{name: values[name] for name in FEES}))
    broker.before_run.append(use_ours)
    broker.given = tuple(overrides)  # what a script's own settings do not change, see `joinquant.api.costs`
    broker.profile = profile  # what summary.json says, and by which conventions the figures are counted
    cerebro.setbroker(broker)
    cerebro.p.cheat_on_open = True
    if cerebro.p.stdstats:
        cerebro.p.stdstats = False
        cerebro.addobserver(Account, obsname='broker')  # as Backtrader's: its AnnualReturn asks for it by this name
        for observer in (DrawDown, RelativeValue, Exposure, Holdings):
            cerebro.addobserver(observer)
    return broker
