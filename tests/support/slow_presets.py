"""The presets of the rotation once more, in plain Python row by row: what the pieces of `rotation` are held against.

The account, the orders and the rules of the exchange are those of `oracle`. Here is what is decided, written from the docstrings
of the params: which stocks, on which days, how much, and what the risk overlays do before that.
"""

import copy
import datetime as dt
import math
from collections import Counter
from fractions import Fraction

from tests.support.oracle import CHINEXT, HALF_TICK, MAIN, PROFILE_DEFAULTS, STAR, OracleResult, Run, board_of, exact, known
from tests.support.oracle_rules import BSE, TINY, legal_buy, legal_sale
from tests.support.slow_index import SlowMarket

SPARE = Fraction(2, 100)  # part of the account that is not worth an order
BOARDS = {'main': MAIN, 'chinext': CHINEXT, 'star': STAR, 'bse': BSE}
PARAMS = {  # those that the presets use, with what they are where nothing is said
    'stocknum': 3, 'refresh_rate': 5, 'min_cap': 2e9, 'max_cap': 3e9, 'boards': ('main', 'chinext', 'star'), 'universe': '',
    'min_listed_days': 0, 'skip_limits': False, 'weekday': 0, 'keep': False, 'weights': 'cash', 'band': 0.0, 'stop_loss': 0.0,
    'limit_up_hold': False, 'empty_months': (), 'market_fall': 0.0, 'trend_days': 0, 'market_index': 'market', 'parking': ''}
OPTIONS = {
    'cash': 1e6, 'commission': 0.0003, 'min_commission': 5.0, 'slippage_ticks': 0.0, 'impact': 0.0, 'delist': 'last_close',
    'delist_wait': 60, 'ex_rights': 'auto', 'start': None, 'end': None}


def market_closes(table):
    """Give the closes of the market's index by day: as `slow_index.slow_market_index`, looking at each row once."""
    market, level, closes = SlowMarket(table), 1000.0, []
    last = {}  # code -> day of its last row so far
    for day in range(len(market.days)):
        last.update((code, day) for code in market.codes if day in market.rows[code])
        ratios = [market.ratios(code, day)[3] for code in market.codes
                  if code in last and day - last[code] <= 60 and day - market.age_begins[code] >= 20]
        level *= sum(ratios) / len(ratios) if ratios else 1.0
        closes.append(level)
    return closes


def part_of(board, shares, held):
    """Round an order for a part of a holding down to a legal one: whole lots, the odd shares in one piece, alone or with them."""
    if shares >= held:
        return held
    if board in (STAR, BSE):
        return shares if shares >= (200 if board == STAR else 100) else 0
    odd = held % 100
    return max(number for number in (shares // 100 * 100, (shares - odd) // 100 * 100 + odd) if number <= shares)


class PresetRun(Run):
    """One run of `MicroCapStrategy` with some params; `seen` counts what happened, `orders` has every order and its reason."""

    def __init__(self, table, params, options, index=None):
        super().__init__(table, options)
        self._begin(params, index)

    def again(self, params, options, index=None):
        """Give another run over the same rows."""
        run = copy.copy(self)
        run.options, run.joinquant, run.result = options, options['profile'] == 'joinquant', OracleResult()
        run.cash, run.positions, run.traded = exact(options['cash']), [], {}
        run._begin(params, index)
        return run

    def _begin(self, params, index):
        unknown = params.keys() - PARAMS.keys()
        if unknown:
            raise ValueError(f'the slow model knows no {sorted(unknown)}')
        self.params = {**PARAMS, **params}
        self.costs = {}  # code -> average price of what is held
        self.watched = set()  # held because they closed at their upper limit
        self.sold_by_overlay, self.limit_held = set(), set()  # of the day
        self.seen, self.orders = Counter(), []
        self.index = []
        if self.params['market_fall'] or self.params['trend_days']:
            if index is None:
                raise ValueError('the index of the market is asked for: give it')
            self.index = index

    def walk(self):
        for number, today in enumerate(self.calendar[1:]):
            yesterday = self.calendar[number]
            if number:
                self.pay_out_delisted(yesterday, today)
                self.apply_ex_rights(today)
            closed = self.limit_risk(today, yesterday)
            if self.is_due(number, today, yesterday):
                if closed:
                    self.seen['rebalance without stocks'] += 1
                elif self.params['weights'] == 'cash':
                    self.rebalance(today, yesterday)
                else:
                    self.rebalance_equal(today, yesterday)
            self.end_day(today)
            self.mark(today)
        return self.result

    def end_day(self, today):
        """Do what comes after the day's orders for stocks."""

    # -- the account: costs, and parts of holdings

    def fill(self, today, code, side, quantity, price, dividend_tax=0):
        position = self.held(code)
        before = position.shares if position else 0
        if side == 'BUY':
            self.costs[code] = (before * self.costs.get(code, 0) + quantity * price) / (before + quantity)
        super().fill(today, code, side, quantity, price, dividend_tax)

    def act(self, date, code, before, after, cash):
        """Restate the cost as well: what came in is cheaper shares."""
        self.costs[code] = (before * self.costs[code] - cash) / after if after else None
        super().act(date, code, before, after, cash)

    def stocks(self):
        """Give the positions in stocks, in the order in which they were opened."""
        return [position for position in self.positions if position.code != self.params['parking']]

    def suspended(self, today, code):
        row = self.row(today, code)
        return row is None or row['paused'] == 1

    def value_at_open(self, today, position):
        """Give what a holding is worth at the open; where it does not trade, at its last close."""
        price = (self.last_close(today, position.code, include_today=False) if self.suspended(today, position.code)
                 else exact(self.row(today, position.code)['open']))
        return position.shares * price

    def sell_whole(self, today, position, why):
        self.orders.append((today, position.code, 'SELL', why))
        self.sell(today, position)

    def buy_for(self, today, code, budget):
        self.orders.append((today, code, 'BUY', 'rebalance'))
        self.buy(today, code, budget)

    def sell_part(self, today, position, wanted, why):
        """Sell some shares of a holding that trades today, as far as the exchange lets us."""
        code, row = position.code, self.row(today, position.code)
        self.orders.append((today, code, 'SELL', why))
        high, low = self.limits(today, code, row)
        if not row['volume'] > 0:
            self.reject(today, code, 'SELL', 'no volume')
            return
        if low is not None and exact(row['open']) <= low + HALF_TICK:
            self.reject(today, code, 'SELL', 'limit down')
            return
        at_most = self.volume_cap(today, code, row)
        quantity = wanted if at_most is None or at_most >= wanted else legal_sale(board_of(code), at_most, position.shares)
        price = self.fill_price(row, 'SELL', quantity)
        if self.slipped(code, row, price, high, low):
            self.reject(today, code, 'SELL', 'slipped past the limit')
            return
        if quantity < wanted:
            self.reject(today, code, 'SELL', 'volume limit')
        if quantity > 0:
            self.fill(today, code, 'SELL', quantity, price, position.take(quantity, today))
            self.seen['part sold'] += 1
            if position.shares == 0:
                self.positions.remove(position)

    # -- when

    def is_due(self, number, today, yesterday):
        """Tell whether to rebalance: every so many days, or when the weekday has come since the trading day before."""
        weekday = self.params['weekday']
        if not weekday:
            return number % self.params['refresh_rate'] == 0
        since = [yesterday + dt.timedelta(days=past) for past in range(1, (today - yesterday).days + 1)]
        return any(day.isoweekday() == weekday for day in since)

    # -- risk

    def limit_risk(self, today, yesterday):
        """Sell what the overlays say, before the rebalance; tell whether no stocks may be held today."""
        params = self.params
        self.sold_by_overlay, self.limit_held = set(), set()
        exits = {}
        if params['stop_loss']:
            for position in self.stocks():
                if self.restated_close(today, position.code) <= self.costs[position.code] * (1 - exact(params['stop_loss'])):
                    exits.setdefault(position.code, 'stop loss')
        if params['limit_up_hold']:
            for code in self.look_at_limits(yesterday):
                exits.setdefault(code, 'limit opened')
            self.limit_held = self.watched - exits.keys()
        closed = ''
        if today.month in params['empty_months']:
            closed = 'empty month'
        elif params['market_fall'] and self.market_fell(yesterday):
            closed = 'market stop'
        elif params['trend_days'] and self.below_trend(yesterday):
            closed = 'index trend'
        if closed:
            self.limit_held = set()
            exits = {position.code: exits.get(position.code, closed) for position in self.stocks()}
            self.seen[closed] += 1
        for position in self.stocks():
            if position.code in exits:
                self.sold_by_overlay.add(position.code)
                if self.suspended(today, position.code):
                    self.seen['exit of a suspended stock'] += 1
                else:
                    fills = len(self.result.trades)
                    self.sell_whole(today, position, exits[position.code])
                    self.seen['sold: ' + exits[position.code]] += len(self.result.trades) > fills
        return bool(closed)

    def restated_close(self, today, code):
        """Give the last close, restated for an ex-date of today."""
        close, row = self.last_close(today, code, include_today=False), self.row(today, code)
        if row is None or self.options['ex_rights'] == 'off':
            return close
        dividend, ratio, preclose = (row.get(name) for name in ('cash_dividend', 'share_ratio', 'preclose'))
        if self.options['ex_rights'] == 'auto' and (known(dividend) or known(ratio)):
            return (close - (exact(dividend) if known(dividend) else 0)) / (exact(ratio) if known(ratio) else 1)
        return exact(preclose) if known(preclose) and abs(exact(preclose) - close) > HALF_TICK else close

    def look_at_limits(self, yesterday):
        """Give what was held for its limit and did not close at it again yesterday; watch what did close at it."""
        opened, watched = [], set()
        for position in self.stocks():
            code, row = position.code, self.row(yesterday, position.code)
            if row is None or row['paused'] == 1:
                if code in self.watched:
                    watched.add(code)  # still at its limit, as far as anybody knows
                continue
            high = self.limits(yesterday, code, row)[0]
            if high is not None and exact(row['close']) >= high - HALF_TICK:
                watched.add(code)
            elif code in self.watched:
                opened.append(code)
        self.watched = watched
        return opened

    def market_fell(self, yesterday):
        at = self.day_number[yesterday]
        return at > 0 and self.index[at] <= self.index[at - 1] * (1 - self.params['market_fall'])

    def below_trend(self, yesterday):
        at, days = self.day_number[yesterday], self.params['trend_days']
        return at + 1 >= days and self.index[at] < sum(self.index[at + 1 - days:at + 1]) / days

    # -- which

    def picks(self, today, yesterday):
        """Give the smallest by the market cap of yesterday, ties by code, of those that may be bought."""
        candidates = []
        for code, row in self.rows[today].items():
            before = self.row(yesterday, code)
            if before is not None and self.params['min_cap'] <= before['market_cap'] <= self.params['max_cap']:  # NaN: in none
                candidates.append((before['market_cap'], code, row))
        found = []
        for _, code, row in sorted(candidates, key=lambda candidate: candidate[:2]):
            if len(found) < self.params['stocknum'] and self.may_buy(today, yesterday, code, row):
                found.append(code)
        return found

    def may_buy(self, today, yesterday, code, row):
        params = self.params
        if row['paused'] == 1 or row['is_st'] == 1 or row.get('delisting_period') == 1:
            return False
        if board_of(code) not in [BOARDS[board] for board in params['boards']] or code in self.sold_by_overlay:
            return False
        if params['universe'] == '399101' and not (code[:3] in ('002', '003') and code.endswith('.XSHE')):
            return False
        listed = self.first_row[code]
        if listed > self.calendar[0] and (yesterday - listed).days < params['min_listed_days']:
            self.seen['too new'] += 1
            return False
        if params['skip_limits'] and not (params['keep'] and self.held(code)) and self.opens_at_limit(today, code, row):
            self.seen['opens at its limit'] += 1
            return False
        return True

    def opens_at_limit(self, today, code, row):
        (high, low), opening = self.limits(today, code, row), exact(row['open'])
        return high is not None and opening >= high - HALF_TICK or low is not None and opening <= low + HALF_TICK

    # -- how much

    def sell_dropped(self, today, picks):
        """Sell what is not picked again, or all; not what is held for its limit, nor what an overlay tried today."""
        for position in self.stocks():
            if position.code in self.sold_by_overlay:
                continue
            if position.code in self.limit_held:
                self.seen['held at its limit'] += position.code not in picks
            elif not self.params['keep']:
                self.sell_whole(today, position, 'rebalance')
            elif position.code in picks:
                self.seen['kept'] += 1
            elif not self.suspended(today, position.code):
                self.sell_whole(today, position, 'rebalance')

    def rebalance(self, today, yesterday):
        """Divide the cash equally between the holdings that are still to be filled."""
        keep = self.params['keep']
        if keep:
            picks = self.picks(today, yesterday)
            self.sell_dropped(today, picks)
        else:
            self.sell_dropped(today, [])
            picks = self.picks(today, yesterday)
        free = self.params['stocknum'] - len(self.stocks())
        if free <= 0:
            return
        buys = [code for code in picks if self.held(code) is None or not keep and code not in self.limit_held]
        budget = self.release(today, self.money(today) / free, min(free, len(buys)))
        for code in buys:
            if len(self.stocks()) < self.params['stocknum']:
                self.buy_for(today, code, budget)

    def money(self, today):
        """Give the money that stocks may be bought for."""
        return self.cash

    def release(self, today, budget, count):
        """Have the money for so many purchases in cash; give what there is for each."""
        return budget

    def rebalance_equal(self, today, yesterday):
        """Bring each pick to the same part of the account, but for what is inside its band."""
        params = self.params
        picks = self.picks(today, yesterday)
        self.sell_dropped(today, picks)
        values = {position.code: self.value_at_open(today, position) for position in self.stocks()}
        total = self.cash + sum(values.values(), Fraction(0))
        left = total - sum((value for code, value in values.items() if code not in picks), Fraction(0))
        target = min(total / params['stocknum'], max(left, Fraction(0)) / max(1, len(picks)))
        room, wanted = params['stocknum'] - len(values), []
        for code, change in self.changes(picks, values, target, left, total * SPARE):
            if change > 0:
                wanted.append((code, change))
            else:
                position, opening = self.held(code), exact(self.row(today, code)['open'])
                part = part_of(board_of(code), math.floor(-change / opening + TINY), position.shares)
                if part:
                    self.sell_part(today, position, part, 'rebalance')
        for code, budget in wanted:
            if code in values:
                if legal_buy(board_of(code), math.floor(budget / exact(self.row(today, code)['open']) + TINY)):
                    self.buy_for(today, code, budget)
                    self.seen['topped up'] += 1
            elif room > 0:
                self.buy_for(today, code, budget)
                room -= self.held(code) is not None

    def changes(self, picks, values, target, left, idle):
        """Give (code, yuan to buy or to sell): what is outside its band, then what is below, while there is much money over."""
        band, changes, inside, after = exact(self.params['band']), [], [], Fraction(0)
        for code in picks:
            value = values.get(code, Fraction(0))
            if code in self.limit_held or code in self.sold_by_overlay:
                after += value
            elif abs(value - target) > band * target:
                changes.append((code, target - value))
                after += target
            else:
                self.seen['inside its band'] += 1
                after += value
                if 0 < value < target:
                    inside.append((value, code))
        over = min(left, target * len(picks)) - after
        if over > idle:
            for value, code in sorted(inside, key=lambda one: one[0]):  # the lowest first, else in the order of the picks
                if over > 0:
                    changes.append((code, min(target - value, over)))
                    over -= changes[-1][1]
                    self.seen['given money left over'] += 1
        return changes


def run_preset(table, params, *, profile='realistic', kind=PresetRun, index=None, **options):
    """Run the slow model; `options` are those of `oracle.run_oracle`, `index` the `market_closes` where they are known.

    Instead of a table an earlier run over it can be given, whose rows are taken.
    """
    unknown = options.keys() - {*OPTIONS, *PROFILE_DEFAULTS[profile]}
    if unknown:
        raise ValueError(f'no option {sorted(unknown)}')
    options = {'profile': profile, **OPTIONS, **PROFILE_DEFAULTS[profile], **options}
    if isinstance(table, PresetRun):
        run = table.again(params, options, index)
    else:
        if index is None and (params.get('market_fall') or params.get('trend_days')):
            index = market_closes(table)
        run = kind(table, params, options, index)
    run.walk()
    return run
