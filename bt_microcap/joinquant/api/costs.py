"""Fees, slippage and volume as a script sets them, and what they make of the broker."""

from __future__ import annotations

from typing import Any

from ...exchange import rules
from ...exchange.commission import FEES, NO_FEES, AShareCommission, Fees
from .errors import Unsupported


class OrderCost:
    """What a trade costs: ``set_order_cost(OrderCost(...), type='stock')``; rates of the value, and yuan an order."""

    def __init__(self, open_tax: float = 0, close_tax: float = 0, open_commission: float = 0, close_commission: float = 0,
                 close_today_commission: float = 0, min_commission: float = 0) -> None:
        self.open_tax, self.close_tax = float(open_tax), float(close_tax)
        self.open_commission, self.close_commission = float(open_commission), float(close_commission)
        self.close_today_commission, self.min_commission = float(close_today_commission), float(min_commission)


class PerTrade:
    """What a trade costs, the old way: ``set_commission(PerTrade(buy_cost=0.0003, sell_cost=0.0013, min_cost=5))``."""

    def __init__(self, buy_cost: float = 0.0003, sell_cost: float = 0.0013, min_cost: float = 5) -> None:
        self.buy_cost, self.sell_cost, self.min_cost = float(buy_cost), float(sell_cost), float(min_cost)


PerShare = PerTrade


class FixedSlippage:
    """So many yuan between buying and selling, half of it each way."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = float(value)


class PriceRelatedSlippage:
    """Such a part of the price between buying and selling, half of it each way."""

    def __init__(self, value: float = 0.00246) -> None:
        self.value = float(value)


class StepRelatedSlippage:
    """So many price steps between buying and selling, half of it each way, whole steps."""

    def __init__(self, value: float = 0) -> None:
        self.value = float(value)


class ScriptCommission(AShareCommission):
    """`AShareCommission` with what only a script can set: other rates of buys than of sales, and of funds.

    Params:

      - ``sell_commission`` (default: ``0.0003``): rate of sales; ``commission`` is that of buys.
      - ``buy_duty`` (default: ``0.0``): rate of the value of buys, a tax.
      - ``fund_commission``, ``fund_min_commission`` (default: ``0.0003``, ``5.0``): of a listed fund.
    """

    params = (
        ('sell_commission', 0.0003),  # rate of the value of sales
        ('buy_duty', 0.0),  # rate of the value of buys
        ('fund_commission', 0.0003),  # rate of the value, of a listed fund
        ('fund_min_commission', 5.0),  # yuan an order, of a listed fund
    )

    def fees(
        self, size: float, price: float, day: int | None = None, code: str = '', *,
        value_before: float = 0.0, charged: float = 0.0, shares_before: float = 0.0, transfer_charged: float = 0.0,
    ) -> Fees:
        """Return the fees of one fill; see `AShareCommission.fees`."""
        value = abs(size) * price
        if not value:
            return NO_FEES
        found = super().fees(size, price, day, code, value_before=value_before, charged=charged, shares_before=shares_before,
                             transfer_charged=transfer_charged)
        rate, least = self.p.commission if size > 0 else self.p.sell_commission, self.p.min_commission
        if rules.is_fund(code):
            rate, least = self.p.fund_commission, self.p.fund_min_commission
        duty = found.stamp_duty if size < 0 or rules.is_fund(code) else self.p.buy_duty * value
        return found._replace(commission=max(least, rate * (value_before + value)) - charged, stamp_duty=duty)


# Which rule of a profile a rate of a script is, for what the user gave himself.
OPTION_OF = {'sell_commission': 'commission', 'buy_duty': 'stamp_duty', 'fund_commission': 'commission',
             'fund_min_commission': 'min_commission'}


def is_fund_type(kind: Any) -> bool:
    """Return whether the platform's name of a kind of securities is one of listed funds."""
    return isinstance(kind, str) and (kind in ('fund', 'etf', 'lof', 'mmf') or kind.endswith('_fund'))


class Costs:
    """What a script's settings make of the broker.

    They count where the profile is ``joinquant``, and there only what the user has not given himself: an option, or a keyword of
    `setup`. Under ``realistic`` the rules of the profile stand, whatever the script says.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Any) -> None:
        self.session = session
        self._rates: dict[str, float] = {}  # what the script has made of the fees

    def _may(self, name: str, what: str) -> bool:
        """Return whether the script may set a rule; say it where not."""
        broker = self.session.strategy.broker
        if getattr(broker, 'profile', '') == 'realistic':
            self.session.say_once(f'{what} of the script is not used: the profile realistic has its own; --profile joinquant '
                                  "takes the script's", ('profile', what))
            return False
        return name not in getattr(broker, 'given', ())

    def set_order_cost(self, cost: OrderCost, type: str = 'stock', ref: Any = None) -> None:  # noqa: A002 - the platform's name
        """Set the fees of stocks, or of funds."""
        if ref is not None or type != 'stock' and not is_fund_type(type):
            return  # futures, bonds: nothing of them is traded here
        if type == 'stock':
            self._set_rates({'commission': cost.open_commission, 'sell_commission': cost.close_commission,
                             'min_commission': cost.min_commission, 'stamp_duty': cost.close_tax, 'buy_duty': cost.open_tax},
                            'set_order_cost()')
        else:
            self._set_rates({'fund_commission': max(cost.open_commission, cost.close_commission),
                             'fund_min_commission': cost.min_commission}, 'set_order_cost()')

    def set_commission(self, cost: PerTrade) -> None:
        """Set the fees, the old way: what a sale costs beyond a buy is the tax."""
        self._set_rates({'commission': cost.buy_cost, 'sell_commission': min(cost.buy_cost, cost.sell_cost),
                         'min_commission': cost.min_cost, 'stamp_duty': max(0.0, cost.sell_cost - cost.buy_cost),
                         'buy_duty': 0.0, 'fund_commission': cost.buy_cost, 'fund_min_commission': cost.min_cost},
                        'set_commission()')

    def _set_rates(self, rates: dict[str, float], what: str) -> None:
        broker = self.session.strategy.broker
        now = broker.comminfo[None]
        if type(now) not in (AShareCommission, ScriptCommission):
            return  # a commission of the user's own
        wanted = {name: value for name, value in rates.items() if self._may(OPTION_OF.get(name, name), what)}
        if not wanted:
            return
        if not self._rates:  # what the broker goes by before the script says anything
            self._rates = {name: getattr(now.p, name) for name in FEES}
            self._rates.update(sell_commission=self._rates['commission'], buy_duty=0.0, fund_commission=self._rates['commission'],
                               fund_min_commission=self._rates['min_commission'])
        self._rates.update(wanted)
        rates = self._rates
        plain = (rates['sell_commission'], rates['buy_duty'], rates['fund_commission'], rates['fund_min_commission']) == (
            rates['commission'], 0.0, rates['commission'], rates['min_commission'])
        broker.addcommissioninfo(AShareCommission(**{name: rates[name] for name in FEES}) if plain else ScriptCommission(**rates))

    def set_slippage(self, slippage: Any, type: Any = None, ref: Any = None) -> None:  # noqa: A002 - the platform's name
        """Set the slippage of all, of stocks, or of funds."""
        if ref is not None or not (type in (None, 'stock') or is_fund_type(type)):
            return
        broker = self.session.strategy.broker
        if not (self._may('slippage', 'set_slippage()') and 'slippage_ticks' not in getattr(broker, 'given', ())):
            return
        if isinstance(slippage, (int, float)):
            slippage = FixedSlippage(slippage)
        if isinstance(slippage, PriceRelatedSlippage):
            slip = slippage.value, 0.0, False
        elif isinstance(slippage, FixedSlippage):
            slip = 0.0, slippage.value / 2 / rules.TICK, True
        elif isinstance(slippage, StepRelatedSlippage):
            slip = 0.0, float(int(slippage.value) // 2), False
        else:
            raise Unsupported(f'set_slippage() takes FixedSlippage or PriceRelatedSlippage, found {slippage!r}')
        if is_fund_type(type):
            broker.fund_slip = slip
            return
        if type is None:
            broker.fund_slip = None
        elif broker.fund_slip is None:  # of stocks alone: funds keep theirs
            broker.fund_slip = broker.p.slippage, broker.p.slippage_ticks, broker._slips_in_yuan
        broker.p.slippage, broker.p.slippage_ticks, broker._slips_in_yuan = slip
        if 'min_slippage_ticks' not in getattr(broker, 'given', ()):
            broker.p.min_slippage_ticks = 0.0

    def set_volume_ratio(self, ratio: float) -> None:
        """Set the largest part of a day's volume; the whole of it, the platform's default, is what the profile says."""
        if self._may('volume_limit', "set_option('order_volume_ratio')"):
            broker = self.session.strategy.broker
            broker.p.volume_limit = float(ratio) if float(ratio) < 1 else broker.own_rules[0]['volume_limit']
