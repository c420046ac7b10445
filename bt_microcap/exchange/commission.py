"""The fees of an order for A shares or a listed fund."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import backtrader as bt

from . import rules

DATED = 'dated'


class Fees(NamedTuple):
    """What one fill costs beside its value, yuan, each not rounded."""

    commission: float
    stamp_duty: float
    transfer_fee: float
    dividend_tax: float = 0.0  # withheld at a sale

    @property
    def total(self) -> float:
        """The sum, yuan."""
        return self.commission + self.stamp_duty + self.transfer_fee + self.dividend_tax


NO_FEES = Fees(0.0, 0.0, 0.0)
# The params of `AShareCommission` that are rates and amounts.
FEES = ('commission', 'min_commission', 'stamp_duty', 'transfer_fee')


class AShareCommission(bt.CommissionInfo):
    """A-share fees: broker's commission on both sides, stamp duty on sales, transfer fee.

    ::

        commission   = max(min_commission, commission * value)    once an order
        stamp duty   = stamp_duty * value                         sales only, outside the minimum
        transfer fee = transfer_fee * value                       both sides, outside the minimum

    A listed fund, told by its code, pays the commission alone, whatever the two other rates are. Stamp duty is for shares and
    depository receipts (印花税法 article 3, since 2022-07-01), and before that funds were exempt (MOF 财税字〔1998〕55号,
    财税〔2002〕128号, 财税〔2004〕173号); the transfer fee is for A shares (CHINACLEAR 2015-07-09: A股交易过户费). Without a
    code, as a plain broker asks, it is taken for a stock.

    Shanghai's dated transfer fee was of the face value before 2015-08-01, and before 2012-06-01 at least 1 yuan an order.

    Nothing is rounded to the cent, as on JoinQuant. It works alone with any Backtrader broker; the plain
    ``BackBroker`` charges the minimum once a fill, `AShareBroker` once an order.

    Params:

      - ``commission`` (default: ``0.0003``): rate of the value, both sides; 0.0003 is 0.03 %.
      - ``min_commission`` (default: ``5.0``): yuan an order.
      - ``stamp_duty`` (default: ``0.001``): rate of the value of sales, or ``'dated'``: the legal rate of the
        day, `rules.STAMP_DUTY`.
      - ``transfer_fee`` (default: ``0.0``): rate of the value, both sides, or ``'dated'``: `rules.TRANSFER_FEE`.

    ``'dated'`` needs the day of the fill: `AShareBroker` gives it. With a plain broker use rates.
    """

    params = (
        ('commission', 0.0003),  # rate of the value, both sides
        ('min_commission', rules.MIN_COMMISSION),  # yuan an order
        ('stamp_duty', 0.001),  # rate of the value of sales, or 'dated'
        ('transfer_fee', 0.0),  # rate of the value, both sides, or 'dated'
        ('stocklike', True),
        ('commtype', bt.CommInfoBase.COMM_PERC),
    )

    def __init__(self) -> None:
        super().__init__()
        self._day: int | None = None  # on which the dated rates below are those in force: a day asks for them many times
        self._duty: rules.Duty | None = None
        self._transfers: dict[str, rules.Duty | rules.FaceFee] = {}  # by exchange, as the end of the code
        for name in ('commission', 'min_commission', 'stamp_duty', 'transfer_fee'):
            value = getattr(self.p, name)
            if value == DATED and name in ('stamp_duty', 'transfer_fee'):
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float('inf'):
                raise ValueError(f'{name} is {value!r}: expected a number of 0 or more' + (
                    " or 'dated'" if name in ('stamp_duty', 'transfer_fee') else ''))
        if self.p.commission > rules.MAX_COMMISSION:
            warnings.warn(
                f'commission={self.p.commission} is above the legal ceiling of {rules.MAX_COMMISSION}: '
                'a rate of 0.03 % is written 0.0003', stacklevel=2)

    def fees(
        self, size: float, price: float, day: int | None = None, code: str = '', *,
        value_before: float = 0.0, charged: float = 0.0, shares_before: float = 0.0, transfer_charged: float = 0.0,
    ) -> Fees:
        """Return the fees of one fill.

        Parameters
        ----------
        size : float
            Shares; positive for a buy, negative for a sale.
        price : float
            Yuan a share.
        day : int, optional
            Ordinal of the day of the fill; needed where a rate is ``'dated'``.
        code : str
            Canonical code of the stock; the dated transfer fee goes by the exchange, see `rules.transfer_fee`. Of a fund there is
            neither stamp duty nor transfer fee.
        value_before : float
            Yuan of the same order's earlier fills.
        charged : float
            Commission that these fills have paid, yuan.
        shares_before : float
            Shares of the same order's earlier fills, without a sign.
        transfer_charged : float
            Transfer fee that these fills have paid, yuan.

        Returns
        -------
        Fees

        Raises
        ------
        ValueError
            A rate is ``'dated'`` and no day is given.
        RuleError
            A rate is ``'dated'`` and not known on that day.
        """
        value = abs(size) * price
        if not value:
            return NO_FEES
        rates = self.p
        commission = max(rates.min_commission, rates.commission * (value_before + value)) - charged
        if rules.is_fund(code):
            return Fees(commission, 0.0, 0.0)
        duty, transfer = rates.stamp_duty, rates.transfer_fee
        if duty == DATED:
            row = self._dated_duty(day)
            duty = row.buy if size > 0 else row.sell
        elif size > 0:
            duty = 0.0
        if transfer == DATED:
            row = self._dated_transfer(day, code)
            if isinstance(row, rules.FaceFee):
                return Fees(commission, duty * value, self._of_face(row, abs(size), shares_before, transfer_charged))
            transfer = row.buy
        return Fees(commission, duty * value, transfer * value)

    @staticmethod
    def _of_face(row: rules.FaceFee, shares: float, before: float, charged: float) -> float:
        """Return one fill's fee of the face value; a minimum is for all fills of the order together."""
        rate = row.rate * rules.FACE_VALUE
        return max(row.minimum, rate * (before + shares)) - charged if row.minimum else rate * shares

    def _dated_duty(self, day: int | None) -> rules.Duty:
        if day is None or day != self._day:
            self._begin(day, 'stamp_duty')
        if self._duty is None:
            self._duty = rules.stamp_duty(day)
        return self._duty

    def _dated_transfer(self, day: int | None, code: str) -> rules.Duty | rules.FaceFee:
        if day is None or day != self._day:
            self._begin(day, 'transfer_fee')
        place = code[-5:]
        if place not in self._transfers:
            self._transfers[place] = rules.transfer_fee(day, code)
        return self._transfers[place]

    def _begin(self, day: int | None, name: str) -> None:
        self._day, self._duty, self._transfers = self._known(day, name), None, {}

    @staticmethod
    def _known(day: int | None, name: str) -> int:
        if day is None:
            raise ValueError(
                f"{name}='dated' needs the day of the fill, which a plain broker does not give: use AShareBroker, "
                f'or give {name} as a rate')
        return day

    def getsize(self, price: float, cash: float) -> int:
        """Return the shares that cash pays for; 1 without a price, so that the order comes to the broker and is refused there."""
        return super().getsize(price, cash) if price > 0 else 1

    def _getcommission(self, size: float, price: float, pseudoexec: bool) -> float:
        return self.fees(size, price).total
