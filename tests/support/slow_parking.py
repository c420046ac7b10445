"""The slow model of the presets with a fund for the idle cash: what a listed fund's orders are, once more in plain Python."""

import math
from fractions import Fraction

from tests.support.oracle import exact
from tests.support.slow_presets import PresetRun

STEP = Fraction(1, 1000)  # yuan, the price step of a fund
LOT = 100
IDLE = Fraction(2, 100)  # part of the account that is not worth parking
MARGIN = Fraction(1003, 1000)  # so much more is sold than is needed


class ParkedRun(PresetRun):
    """Money that waits is in the fund: it is bought at the end of a day's orders, and sold as far as stocks need it."""

    def fund_row(self, today):
        """Give the fund's row of a day on which it trades, or None."""
        row = self.row(today, self.params['parking'])
        return None if row is None or row['paused'] == 1 else row

    def money(self, today):
        """Count what is parked as money, too."""
        position = self.held(self.params['parking'])
        return self.cash + (0 if position is None else self.value_at_open(today, position))

    def release(self, today, budget, count):
        """Sell as much of the fund as the purchases need; give what there is then for each."""
        position, row, lacking = self.held(self.params['parking']), self.fund_row(today), budget * count - self.cash
        if lacking > 0 and row is not None and position is not None:
            lots = math.ceil(lacking * MARGIN / exact(row['open']) / LOT)
            self.sell_part(today, position, min(position.shares, lots * LOT), 'parking')
            self.seen['fund sold'] += 1
        return min(budget, self.cash / max(1, count))

    def end_day(self, today):
        row = self.fund_row(today)
        worth = self.cash + sum(self.value_at_open(today, position) for position in self.positions)
        if row is not None and self.cash > IDLE * worth and self.cash > LOT * exact(row['open']):
            self.orders.append((today, self.params['parking'], 'BUY', 'parking'))
            self.buy(today, self.params['parking'], self.cash)
            self.seen['fund bought'] += 1

    # -- a fund pays the commission alone, and slips by price steps of its own

    def fill_price(self, row, side, shares):
        if row['code'] != self.params['parking']:
            return super().fill_price(row, side, shares)
        opening, spread = exact(row['open']), exact(self.options['slippage']) / 2
        steps = exact(self.options['min_slippage_ticks'])
        away = steps * STEP if spread and steps else opening * spread
        reached = opening + away if side == 'BUY' else opening - away
        return math.floor(reached / STEP + Fraction(1, 2)) * STEP

    def fees(self, today, code, side, shares, value):
        commission, tax, transfer = super().fees(today, code, side, shares, value)
        return (commission, Fraction(0), Fraction(0)) if code == self.params['parking'] else (commission, tax, transfer)
