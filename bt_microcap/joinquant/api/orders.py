"""Orders: given by a script, filled or refused by the broker within the call, told as the platform tells them."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import Any

import backtrader as bt

from ...exchange import execution, rules
from ...exchange.fills import slipped
from .errors import Unsupported
from .order_objects import LimitOrderStyle, MarketOrderStyle, Order, OrderStatus, Trade
from .portfolio import Portfolio
from .session import AFTER, BEFORE, CLOSE, OPEN, Session

LOT = 100  # shares
ALIVE = OrderStatus.new, OrderStatus.open, OrderStatus.filled  # what still waits for all or a part
# Refusals that leave an order which is cancelled; all others give None. The words are the platform's where its log shows them.
CANCELS = {
    execution.LIMIT_UP: '已经涨停，市价买单取消', execution.LIMIT_DOWN: '已经跌停，市价卖单取消',
    execution.SLIPPED: '加上滑点超出涨跌停价，市价单取消', execution.NO_VOLUME: '该标的截至到目前成交量为 0 ，暂时无法成交',
    execution.VOLUME_LIMIT: '超过下单比例限制，剩余撤单',
}
REFUSALS = {
    execution.SUSPENDED: '今日停牌', execution.BELOW_ONE_LOT: '开仓数量不能小于 100',
    execution.STAR_MARKET_ORDER: '科创板市价单需要指定保护限价，取值必须大于 0 且小于 1 万元',
    execution.BOUGHT_TODAY: '可平仓数量不足(T+1)', execution.NOT_HELD: '没有持仓，不能卖出',
}


def is_passed(data: Any, high_limit: float, limit: float, buy: bool) -> bool:
    """Return whether the day's prices do not just touch the price of an order: the platform asks for more than that."""
    return abs((data.low[0] if buy else data.high[0]) - limit) > rules.half_tick(data._name)


class Orders:
    """The functions that order.

    Parameters
    ----------
    session : Session
    portfolio : Portfolio
    """

    def __init__(self, session: Session, portfolio: Portfolio) -> None:
        self.session, self.portfolio = session, portfolio
        self.broker, self.strategy = portfolio.broker, session.strategy
        self._count = itertools.count(int(session.days[session.place]) * 86_400)  # of orders and fills alike
        self.today: dict[int, Order] = {}
        self.trades: dict[int, Trade] = {}
        self._waiting: list[tuple[Order, Any]] = []  # given before the open
        portfolio.waiting = self._locked
        self.given = 0  # orders so far, those refused too

    def begin_day(self) -> None:
        """Forget the orders of the day before."""
        self.today, self.trades, self._waiting = {}, {}, []

    # -- what a script calls ---------------------------------------------------------------------------------

    def order(self, security: str, amount: float, style: Any = None, side: str = 'long', pindex: int = 0,
              close_today: bool = False) -> Order | None:
        """Buy so many shares, or sell where it is negative."""
        return self._give(security, f'OrderAmount: _amount={amount}', style, side, shares=float(amount))

    def order_target(self, security: str, amount: float, style: Any = None, side: str = 'long', pindex: int = 0,
                     close_today: bool = False) -> Order | None:
        """Buy or sell up to so many shares."""
        return self._give(security, f'OrderTarget: _amount={amount}', style, side, target_shares=float(amount))

    def order_value(self, security: str, value: float, style: Any = None, side: str = 'long', pindex: int = 0,
                    close_today: bool = False) -> Order | None:
        """Buy for so many yuan, or sell where it is negative."""
        return self._give(security, f'OrderValue: _value={float(value)}', style, side, value=float(value))

    def order_target_value(self, security: str, value: float, style: Any = None, side: str = 'long', pindex: int = 0,
                           close_today: bool = False) -> Order | None:
        """Buy or sell up to a value of so many yuan."""
        return self._give(security, f'OrderTargetValue: _value={float(value)}', style, side, target_value=float(value))

    def cancel_order(self, order: Any) -> Order | None:
        """Withdraw an order that waits."""
        found = self.today.get(getattr(order, 'order_id', order))
        if found is None or found.status not in ALIVE:
            return None
        self._waiting = [(waiting, how) for waiting, how in self._waiting if waiting is not found]
        if found.given is not None and found.given.alive():
            self.broker.cancel(found.given)
        self._ended(found, OrderStatus.canceled)
        return found

    def get_orders(self, order_id: Any = None, security: str | None = None, status: Any = None) -> dict[int, Order]:
        """Return the orders of today, by their numbers."""
        self.look()
        return {number: order for number, order in self.today.items()
                if (order_id is None or number == order_id) and (security is None or order.security == security)
                and (status is None or order.status == status)}

    def get_open_orders(self) -> dict[int, Order]:
        """Return the orders of today that wait."""
        return {number: order for number, order in self.get_orders().items()
                if order.status in ALIVE}

    def get_trades(self, order_id: Any = None, security: str | None = None) -> dict[int, Trade]:
        """Return the fills of today, by their numbers."""
        self.get_orders()
        return {number: trade for number, trade in self.trades.items()
                if (order_id is None or trade.order_id == order_id) and (security is None or trade.security == security)}

    def look(self, end: bool = False) -> None:
        """Take over what orders that wait have been filled; at the end of the day they are cancelled."""
        for order in self.today.values():
            if order.status not in ALIVE:
                continue
            before = order.filled
            self._look(order)
            if order.filled != before:
                self._tell_fill(order)
            if end and order.status in ALIVE:
                self.cancel_order(order)
                self.session.write('INFO', f'订单取消完成：{order.record()}')

    # -- how it is done --------------------------------------------------------------------------------------

    def _give(self, security: str, mode: str, style: Any, side: str, **how: float) -> Order | None:
        session = self.session
        if side != 'long':
            raise Unsupported(f'side={side!r}: stocks are not sold short here; leave side out')
        for value in how.values():
            if not math.isfinite(value):
                raise Unsupported(f'{mode}: found {value}, expected a number; the price or cash it is made of is not known')
        if isinstance(style, (int, float)):
            style = LimitOrderStyle(float(style))
        style = style or MarketOrderStyle()
        self.given += 1
        if security not in session.number:
            session.say_once(f'{session.source} has no stock {security!r}: its orders are refused, as of a code that is not '
                             'listed', ('no stock', security))
            return None
        if session.part == AFTER:
            session.write('ERROR', f'订单委托失败：已收盘: security={security} {mode}')
            session.say_once('orders after the close are refused', 'after')
            return None
        if 'target_shares' in how or 'target_value' in how:  # what waits for the stock would come on top
            for other in [other for other in self.today.values() if other.security == security]:
                self.cancel_order(other)
        order = self._made(security, how, mode, style)
        if order is None:
            return None
        if session.part != BEFORE:
            return self._place(order, how)
        order.status = OrderStatus.new
        self._waiting.append((order, how))
        return order

    def _locked(self) -> float:
        """Return the yuan that buys which wait are for, at the last price or their limit."""
        locked = 0.0
        for order in self.today.values():
            if order.is_buy and order.status in ALIVE:
                price = order.style.limit_price if isinstance(order.style, LimitOrderStyle) else (
                    self.session.fact('last_price')[self.session.number[order.security]])
                locked += (rules.legal_buy(order.security, order.amount) - order.filled) * price
        return min(locked, max(self.broker.getcash(), 0.0))

    def open_session(self) -> None:
        """Give what was ordered before the open."""
        waiting, self._waiting = self._waiting, []
        for order, how in waiting:
            again = self._made(order.security, how, order.mode, order.style, order)
            if again is None:
                self._ended(order, OrderStatus.canceled)
            else:
                self._place(order, how)

    def _made(self, security: str, how: dict[str, float], mode: str, style: Any, order: Order | None = None) -> Order | None:
        """Return an order with its size in shares; None where there is nothing to trade."""
        session = self.session
        data = self.strategy.universe.feed(security)
        held = self.portfolio.positions[security].total_amount
        price = session.fact('last_price')[session.number[security]]
        if 'shares' in how:
            wanted = int(how['shares'])
        elif 'target_shares' in how:
            wanted = int(how['target_shares']) - held
        elif 'value' in how:
            wanted = self._shares(how['value'], price)
        elif how['target_value'] <= 0:
            wanted = -held
        else:
            wanted = self._shares(how['target_value'] - held * price, price)
        whole = wanted < 0 and -wanted >= held
        if wanted < 0 and not whole and self._by_lots(security) and wanted % LOT:
            wanted = -(-wanted // LOT * LOT)  # the platform sells a part in lots; the exchange lets the odd rest go with them
            session.write('INFO', f'平仓数量必须是100的整数倍，调整为 {-wanted}: Order(security={security} mode={mode} '
                                  'action=close)')
        if wanted < 0 and not held or not wanted:
            if wanted or not held:
                session.write('WARNING', f'下单失败，初步检查下单数量为0: Order(security={security} mode={mode} action=close)')
            return None
        if order is None:
            order = Order(0, security, abs(wanted), mode, style, wanted > 0, session.now)
            order.order_id = order.entrust_id = next(self._count)
            self.today[order.order_id] = order
        order.amount, order.is_buy, order.whole = abs(wanted), wanted > 0, whole
        order.action = 'open' if order.is_buy else 'close'
        order.cost_before = self.portfolio.positions[security].avg_cost
        order.data = data
        return order

    def _by_lots(self, security: str) -> bool:
        """Return whether a part of a holding is sold in whole lots alone."""
        return getattr(self.broker, 'profile', '') == 'joinquant' and rules.board(security) != rules.STAR

    @staticmethod
    def _shares(value: float, price: float) -> int:
        """Return the shares that a value stands for at the last price, without fee or slippage; a buy is for one at least."""
        if not value:
            return 0
        if not price > 0:  # not listed yet, or no longer: let the broker say so
            return int(math.copysign(1, value))
        shares = math.floor(abs(value) / price + 1e-9)
        return max(1, shares) if value > 0 else -shares

    def _place(self, order: Order, how: dict[str, float]) -> Order | None:
        """Give an order to the broker, and tell what became of it."""
        session, strategy, data = self.session, self.strategy, order.data
        price = session.fact('last_price')[session.number[order.security]]
        at_close = session.part == CLOSE
        info: dict[str, Any] = {'why': strategy.function_name}
        limit = getattr(order.style, 'limit_price', None)
        if isinstance(order.style, LimitOrderStyle) and not session.fact('paused')[session.number[order.security]] and not (
                self._reaches(order, price, limit)):
            return self._rest(order, limit, info)
        kind = bt.Order.Close if at_close else bt.Order.Market
        if limit is not None and rules.board(order.security) == rules.STAR:
            info['protection'] = float(limit)
        elif not order.is_buy:
            info['needs_protection'] = True  # on the platform also a sale
        if order.is_buy:
            if 'value' in how or 'target_value' in how:
                info['value'] = how['value'] if 'value' in how else how['target_value'] - (
                    self.portfolio.positions[order.security].value)
            given = strategy.buy(data=data, size=order.amount, price=price, exectype=kind, **info)
        elif order.whole:
            given = strategy.close(data=data, price=price, exectype=kind, whole=True, **info)
        else:
            size = rules.legal_sell(order.security, order.amount, self.portfolio.positions[order.security].total_amount)
            given = strategy.sell(data=data, size=size or order.amount, price=price, exectype=kind, **info)
        order.given = given
        return self._tell(order)

    def _reaches(self, order: Order, price: float, limit: float) -> bool:
        """Return whether a limit order fills at once: slippage does not take it past its limit, and the day's limits let it."""
        fill = slipped(price, order.is_buy, **{**self.broker._slip_of(order.security), 'impact': 0.0})  # the volume is not known
        number, half = self.session.number[order.security], rules.half_tick(order.security)
        if order.is_buy:
            return fill <= limit + half and price < self.session.fact('high_limit')[number] - half
        return fill >= limit - half and price > self.session.fact('low_limit')[number] + half

    def _rest(self, order: Order, limit: float, info: dict[str, Any]) -> Order | None:
        """Let a limit order wait for the rest of the day; at the close there is none."""
        if self.session.part != OPEN:
            self.session.write('INFO', f'订单取消完成：{order.record()}')
            self._ended(order, OrderStatus.canceled)
            return order
        if order.is_buy and not (size := rules.legal_buy(order.security, order.amount)):
            order.error = REFUSALS[execution.BELOW_ONE_LOT]
            self.session.write('ERROR', f'订单委托失败：{order.record()}')
            self.today.pop(order.order_id, None)
            return None
        if order.is_buy:
            order.amount = size
        give = self.strategy.buy if order.is_buy else self.strategy.sell
        order.given = give(data=order.data, size=order.amount, price=limit, exectype=bt.Order.Limit,
                           valid=self.session.now.replace(hour=23, minute=59),
                           only_if=partial(is_passed, limit=limit, buy=order.is_buy), **info)
        order.status = OrderStatus.open
        self.session.say_once("a limit order that is not reached at the open waits for the day, and fills where the day's "
                              'prices reach it', 'limit')
        return order

    def _tell(self, order: Order) -> Order | None:
        """Return the order, or None where it was refused; write what the platform's log says."""
        given, write = order.given, self.session.write
        reason = given.info.get('reason')
        self._look(order)
        limited = given.info.get('cash_limited_to')
        if order.is_buy and (order.filled or limited is not None) and order.filled != order.amount:
            said = [f'因为资金有限，下单数量调整为 {limited}'] if limited is not None else []
            lots = rules.legal_buy(order.security, order.amount if limited is None else limited)
            if lots != (order.amount if limited is None else limited):
                said.append(f'开仓数量必须是 100 的整数倍，调整为 {lots}')
                if limited is None:
                    write('INFO', f'开仓数量必须是100的整数倍，调整为 {lots}: {order.record(False)}')
            order.error = '\n'.join(said)
            write('INFO', f'下单检查标的数量：{order.record()}')
            order.amount = lots or order.amount
        if given.status == bt.Order.Rejected and reason in CANCELS and order.is_buy and self._below_a_lot(order):
            reason = execution.BELOW_ONE_LOT  # the platform looks at the size before it matches
        if given.status == bt.Order.Rejected and reason not in CANCELS:
            order.error = REFUSALS.get(reason, str(reason))
            self.today.pop(order.order_id, None)
            if reason == execution.SUSPENDED:
                write('ERROR', f'下单失败，证券({order.security})今日停牌: {order.record()}')
            else:
                write('ERROR', f'订单委托失败：{order.record()}')
            self._ended(order, OrderStatus.rejected)
            return None
        if order.filled:
            self._tell_fill(order)
        if reason in CANCELS and order.filled < order.amount:
            write('WARNING', f'{CANCELS[reason]}: {order.record()}')
            write('INFO', f'订单取消完成：{order.record()}')
            self._ended(order, OrderStatus.canceled)
        elif order.filled:
            order.amount = order.filled if order.whole or not order.is_buy else order.amount
            self._ended(order, OrderStatus.held if order.filled >= order.amount else OrderStatus.canceled)
        return order

    def _below_a_lot(self, order: Order) -> bool:
        """Return whether a buy was for less than a lot, or the cash does not pay for one."""
        price = order.given.created.price
        size = min(order.amount, self.broker.getcash() // price) if price > 0 else order.amount
        return not rules.legal_buy(order.security, size)

    def _tell_fill(self, order: Order) -> None:
        """Write what the platform's log says of a fill."""
        write = self.session.write
        write('INFO', f'order {order.record()} trade price: {order.price!r}, amount:{order.filled}, '
                      f'commission: {order.commission!r}')
        order.finish_time = self.session.now
        write('INFO', f'订单已委托：{order.record()}')

    def _look(self, order: Order) -> None:
        """Take over what the broker has filled."""
        given = order.given
        if given is None:
            return
        filled = int(abs(given.executed.size))
        if filled != order.filled:
            spent = given.info.get('filled_value', 0.0)
            amount, cost = filled - order.filled, spent - order.filled * order.price
            number = next(self._count)
            self.trades[number] = Trade(number, order, amount, cost / amount, self.session.now)
            order.filled = filled
            bits = given.executed.exbits
            order.price = bits[-1].price if len(bits) == 1 else spent / filled
            order.commission = math.fsum(fees.total for fees in given.info.get('fees', ()))
            position = self.portfolio.positions[order.security]
            order.avg_cost = order.price if order.is_buy else order.cost_before
            self.portfolio.note(order.security, position.total_amount, order.is_buy)
        if order.status in ALIVE and not given.alive():
            self._ended(order, OrderStatus.held if filled and given.status == bt.Order.Completed else OrderStatus.canceled)
        elif order.status == OrderStatus.open and filled:
            order.status = OrderStatus.filled

    def _ended(self, order: Order, status: OrderStatus) -> None:
        order.status, order.finish_time = status, self.session.now
