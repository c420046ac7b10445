"""The two profiles, and one line that puts one in place."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import backtrader as bt

from .exchange.broker import AShareBroker
from .exchange.commission import DATED, AShareCommission
from .exchange.tax_lots import HOLDING
from .record.observers import Account, DrawDown, Holdings

# As JoinQuant simulates: proved on the log of the original account, see the command reconcile.
JOINQUANT = MappingProxyType({
    'commission': 0.0003,  # of the value, both sides
    'min_commission': 5.0,  # yuan an order
    'stamp_duty': 0.001,  # of sales, whatever the date
    'transfer_fee': 0.0,
    'slippage': 0.00246,  # JoinQuant's default PriceRelatedSlippage, half each way
    'slippage_ticks': 0.0,
    'impact': 0.0,
    'volume_limit': 0.0,
    'size_with_fees': False,  # sized at the raw open: cash may end slightly negative
    'star_market_orders': False,  # refused without a protective limit price
    'star_protection': 0.0,
    'ex_rights': 'auto',
    'dividend_tax': 0.2,  # flat, on the ex-date
    'delist': 'last_close',
})
# As the exchanges and a broker really charge and allow.
REALISTIC = MappingProxyType({
    'commission': 0.0003,
    'min_commission': 5.0,
    'stamp_duty': DATED,  # the law of the day
    'transfer_fee': DATED,
    'slippage': 0.002,  # half each way
    'slippage_ticks': 0.0,
    'impact': 0.0,
    'volume_limit': 0.1,  # of the day's volume; the rest is cancelled
    'size_with_fees': True,
    'star_market_orders': True,
    'star_protection': 0.02,  # the protective limit price that STAR asks of a market order
    'ex_rights': 'auto',
    'dividend_tax': HOLDING,  # by the time held, withheld at the sale
    'delist': 'last_close',
})
PROFILES = MappingProxyType({'joinquant': JOINQUANT, 'realistic': REALISTIC})
_COMMISSION = ('commission', 'min_commission', 'stamp_duty', 'transfer_fee')


def setup(cerebro: bt.Cerebro, profile: str = 'realistic', *, cash: float = 1e6, **overrides: Any) -> AShareBroker:
    """Put broker, commission, cheat-on-open and observers in place.

    Each can be set by hand instead: ``cerebro.setbroker(AShareBroker(...))``,
    ``cerebro.broker.addcommissioninfo(AShareCommission(...))``, ``bt.Cerebro(cheat_on_open=True)``.
    Backtrader's standard observers, one of them per feed, make way for cash and value, drawdown and the
    number of holdings.

    Parameters
    ----------
    cerebro : bt.Cerebro
    profile : str
        ``'realistic'`` or ``'joinquant'``.
    cash : float
        Yuan to start with.
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
    broker = AShareBroker(cash=cash, **{name: value for name, value in values.items() if name not in _COMMISSION})
    broker.addcommissioninfo(AShareCommission(**{name: values[name] for name in _COMMISSION}))
    cerebro.setbroker(broker)
    cerebro.p.cheat_on_open = True
    if cerebro.p.stdstats:
        cerebro.p.stdstats = False
        for observer in (Account, DrawDown, Holdings):
            cerebro.addobserver(observer)
    return broker
