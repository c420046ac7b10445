"""The orders of the independent model: what the exchange, the cash and the volume let through. See `oracle`."""

import math
from fractions import Fraction

from tests.support.oracle_rules import (
    CENT,
    HALF_TICK,
    MAIN,
    STAR,
    TINY,
    Lot,
    Position,
    board_of,
    exact,
    legal_buy,
    legal_sale,
    round_half_up,
    square_root,
    stamp_duty_rate,
    transfer_fee,
)


class Orders:
    """Sales, purchases, fees and fills; the account and the table are those of `oracle.Run`."""

    def sell(self, today, position):
        """Sell a position whole, as far as the exchange lets us."""
        code = position.code
        row = self.row(today, code)
        if row is None or row["paused"] == 1:
            return self.reject(today, code, "SELL", "suspended")
        if not row["volume"] > 0:
            return self.reject(today, code, "SELL", "no volume")
        if position.bought_on == today:
            return self.reject(today, code, "SELL", "bought today")
        high, low = self.limits(today, code, row)
        if low is not None and exact(row["open"]) <= low + HALF_TICK:
            return self.reject(today, code, "SELL", "limit down")
        quantity = position.shares
        at_most = self.volume_cap(today, code, row)
        if at_most is not None:
            quantity = legal_sale(board_of(code), at_most, position.shares)
        price = self.fill_price(row, "SELL", quantity)
        if self.slipped(code, row, price, high, low):
            return self.reject(today, code, "SELL", "slipped past the limit")
        if quantity < position.shares:
            self.reject(today, code, "SELL", "volume limit")
        if quantity > 0:
            dividend_tax = position.take(quantity, today)
            self.fill(today, code, "SELL", quantity, price, dividend_tax)
            if position.shares == 0:
                self.positions.remove(position)
        return None

    def buy(self, today, code, budget):
        """Buy a pick for the budget, as far as the exchange and the cash let us."""
        row = self.row(today, code)
        if row is None or row["paused"] == 1:
            return self.reject(today, code, "BUY", "suspended")
        if not row["volume"] > 0:
            return self.reject(today, code, "BUY", "no volume")
        if self.joinquant and code.startswith(("688", "689")):
            return self.reject(today, code, "BUY", "star market order")
        high, low = self.limits(today, code, row)
        if high is not None and exact(row["open"]) >= high - HALF_TICK:
            return self.reject(today, code, "BUY", "limit up")
        if self.joinquant:
            wanted = self.joinquant_size(exact(row["open"]), budget)
        else:
            wanted = self.realistic_size(today, code, row, budget)
        if wanted <= 0:
            return self.reject(today, code, "BUY", "below one lot")
        quantity = wanted
        at_most = self.volume_cap(today, code, row)
        if at_most is not None and at_most < wanted:
            quantity = legal_buy(board_of(code), at_most)
        price = self.fill_price(row, "BUY", quantity)
        if self.slipped(code, row, price, high, low):
            return self.reject(today, code, "BUY", "slipped past the limit")
        if quantity < wanted:
            self.reject(today, code, "BUY", "volume limit")
        if quantity > 0:
            self.fill(today, code, "BUY", quantity, price)
            position = self.held(code)
            if position is None:
                self.positions.append(Position(code, [Lot(today, quantity)]))
            else:  # topped up: it keeps its place in the order
                position.lots.append(Lot(today, quantity))
        return None

    def joinquant_size(self, opening, budget):
        """Size by the raw open, without slippage and fee: cash may end below zero."""
        if budget <= 0:
            return 0
        shares = math.floor(budget / opening)
        if shares * opening > self.cash:
            shares = math.floor(self.cash / opening)
        return legal_buy(MAIN, shares)

    def realistic_size(self, today, code, row, budget):
        """Find the most shares that the money pays for, at the price of so many shares, fees and all."""
        money = min(budget, self.cash)
        board = board_of(code)

        def affordable(shares):
            value = shares * self.fill_price(row, "BUY", shares)
            return value + sum(self.fees(today, code, "BUY", shares, value)) <= money + TINY

        # More shares never cost less: halve the range until one number is left.
        least, most = 0, max(0, math.floor((money + TINY) / self.fill_price(row, "BUY", 0)))
        while least < most:
            middle = (least + most + 1) // 2
            if affordable(middle):
                least = middle
            else:
                most = middle - 1
        return legal_buy(board, least)

    def fill_price(self, row, side, shares):
        """Move the open against us: half the slippage, the impact of so many shares, and the ticks."""
        volume, share = exact(row["volume"]), exact(shares)
        if self.options["volume_limit"]:
            share = min(share, exact(self.options["volume_limit"]) * volume)
        share /= volume
        opening = exact(row["open"])
        spread = opening * exact(self.options["slippage"]) / 2
        if self.options["slippage"]:  # at least so many price steps
            spread = max(spread, exact(self.options["min_slippage_ticks"]) * CENT)
        impact = opening * exact(self.options["impact"]) * square_root(share)
        away = spread + impact + exact(self.options["slippage_ticks"]) * CENT
        return max(round_half_up(opening + away if side == "BUY" else opening - away), CENT)

    def slipped(self, code, row, price, high, low):
        """Tell whether a fill lies outside the day's limits, or past the protective price that STAR asks for."""
        if high is not None and price > high + HALF_TICK:
            return True
        if low is not None and price < low - HALF_TICK:
            return True
        protection = exact(self.options["star_protection"])
        if protection and board_of(code) == STAR:
            opening = exact(row["open"])
            return abs(price - opening) > protection * opening + HALF_TICK
        return False

    def volume_cap(self, today, code, row):
        """Give the most shares that the day's volume still allows after the day's fills; None for no such limit."""
        fraction = self.options["volume_limit"]
        if not fraction:
            return None
        return math.floor(exact(fraction) * exact(row["volume"])) - self.traded.get((today, code), 0)

    def fees(self, today, code, side, shares, value):
        """Give commission, tax and transfer fee of one order, none of them rounded."""
        commission = max(exact(self.options["min_commission"]), exact(self.options["commission"]) * value)
        duty = self.options["stamp_duty"]
        if duty == "dated":
            tax = stamp_duty_rate(today, side) * value
        else:
            tax = exact(duty) * value if side == "SELL" else Fraction(0)
        transfer = self.options["transfer_fee"]
        if transfer == "dated":
            return commission, tax, transfer_fee(today, code, shares, value)
        return commission, tax, exact(transfer) * value

    def fill(self, today, code, side, quantity, price, dividend_tax=0):
        """Move the money and write the trade."""
        value = quantity * price
        commission, tax, transfer = self.fees(today, code, side, quantity, value)
        tax += dividend_tax
        self.cash += value if side == "SELL" else -value
        self.cash -= commission + tax + transfer
        self.traded[today, code] = self.traded.get((today, code), 0) + int(quantity)
        self.result.trades.append(
            {
                "date": today,
                "code": code,
                "side": side,
                "quantity": int(quantity),
                "price": float(price),
                "commission": float(commission),
                "tax": float(tax),
                "transfer_fee": float(transfer),
            }
        )

    def reject(self, date, code, side, reason):
        """Write a refusal, whole or in part."""
        self.result.rejections.append({"date": date, "code": code, "side": side, "reason": reason})

    def act(self, date, code, before, after, cash):
        """Write what happened to a holding without an order."""
        self.result.actions.append(
            {"date": date, "code": code, "before": before, "after": after, "cash": float(cash)}
        )
