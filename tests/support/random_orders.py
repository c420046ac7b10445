"""Random scripts of orders: drawn as plain numbers, given by a strategy, the same in both ways of feeding."""

import math

import backtrader as bt
import numpy as np
from hypothesis import strategies as st

from bt_microcap import AShareBroker, AShareCommission, Blotter
from tests.support.looking import add_market

KINDS = ('Market', 'Close', 'Limit', 'Stop', 'StopLimit', 'StopTrail', 'StopTrailLimit')
WHATS = ('order',) * 8 + ('size', 'value', 'percent', 'close', 'bracket', 'bracket', 'oco', 'cancel')


@st.composite
def scripts(draw, days=12):
    """Draw (day, at the open?, what, stock, numbers): one integer seeds the numbers of a whole script."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(4, 30))
    return [{
        'day': int(rng.integers(0, days)), 'at_open': bool(rng.random() < 0.7), 'what': WHATS[int(rng.integers(len(WHATS)))],
        'stock': int(rng.integers(0, 6)), 'kind': KINDS[int(rng.integers(len(KINDS)))], 'buy': bool(rng.random() < 0.6),
        'size': int(rng.choice((50, 100, 150, 200, 300, 333, 1000, 5000, 40_000))),
        'moves': [float(move) for move in rng.normal(0, 0.03, 3)], 'valid': int(rng.choice((0, 0, 0, 1, 2, 4))),
        'value': float(rng.choice((0.0, 0.0, 1_500.0, 20_000.0))), 'whole': bool(rng.random() < 0.2),
        'tradeid': int(rng.random() < 0.15), 'trail': bool(rng.random() < 0.5), 'which': int(rng.integers(0, 30)),
    } for _ in range(count)]


@st.composite
def broker_options(draw):
    return {name: draw(st.sampled_from(values)) for name, values in {
        'slippage': (0.0, 0.0, 0.002, 0.02), 'slippage_ticks': (0.0, 0.0, 2.0), 'impact': (0.0, 0.0, 0.1),
        'volume_limit': (0.0, 0.1, 0.01, 0.0007), 'ex_rights': ('auto', 'auto', 'reinvest', 'off'),
        'dividend_tax': (0.2, 'holding', 0.0), 'delist': ('last_close', 'zero', 0.3), 'delist_wait': (0, 2, 60),
        'star_protection': (0.0, 0.02)}.items()}


class RandomOrders(bt.Strategy):
    """Gives the orders of a script; prices go by the last close before the day, which both ways of feeding know alike."""

    params = (('script', None), ('closes', None), ('codes', None))

    def __init__(self):
        self.given, self.held, self.open_trades, self.log, self.told = [], [], [], [], []
        self.noted = {}  # reference -> number of the order in `given`: references differ from run to run

    def feed(self, code):
        return self.data.stock(code) if hasattr(self.data, 'stock') else self.getdatabyname(code)

    def today(self):
        return len(self.data) - 1

    def next_open(self):
        self._act(True)

    def next(self):
        self.held.append({data._name: position.size for data, position in self.broker.positions.items()})
        sizes = {}
        for data, trades in self._trades.items():
            size = sum(trade.size for series in trades.values() for trade in series if trade.isopen)
            if size:
                sizes[data._name] = size
        self.open_trades.append(sizes)
        self._act(False)

    prenext_open = nextstart_open = lambda self: self.next_open()
    prenext = lambda self: self.next()  # noqa: E731

    def _act(self, at_open):
        for step in self.p.script:
            if step['day'] == self.today() and step['at_open'] == at_open:
                self._do(step)

    def _do(self, step):
        code = self.p.codes[step['stock'] % len(self.p.codes)]
        before = self.today() - 1 + (not step['at_open'])  # the last day whose close is known
        close = self.p.closes[code][before] if before >= 0 else math.nan
        what = step['what']
        if what == 'cancel':
            if self.given and before + 1 < len(self.p.closes[code]):  # after the last close nobody is told of it
                self.cancel(self.given[step['which'] % len(self.given)])
            return
        if close != close and (what != 'order' or step['kind'] != 'Market'):
            return  # not listed: nobody knows a price
        feed = self.feed(code)
        price, other, third = (max(0.01, round(close * (1 + move), 2)) if close == close else None for move in step['moves'])
        side = self.buy if step['buy'] else self.sell
        common = {'tradeid': step['tradeid'], 'why': what}
        if step['valid']:
            common['valid'] = self.data.datetime.datetime() + bt.datetime.timedelta(days=step['valid'])
        if what == 'bracket':
            low, high = sorted((other, third))
            kind = getattr(bt.Order, step['kind'] if step['kind'] in ('Market', 'Limit', 'Stop') else 'Market')
            made = self.buy_bracket(data=feed, size=step['size'], exectype=kind, price=price, stopprice=low, limitprice=high)
        elif what == 'size':
            made = [self.order_target_size(feed, target=step['size'], **common)]
        elif what in ('value', 'percent'):
            target = step['value'] if what == 'value' else step['value'] / 1e5
            made = [getattr(self, f'order_target_{what}')(feed, target=target, price=close, **common)]
        elif what == 'close':
            made = [self.close(feed, whole=step['whole'], **common)]
        else:
            options = {'exectype': getattr(bt.Order, step['kind']), **common}
            if step['kind'] not in ('Market', 'Close'):
                options['price'] = price
            if step['kind'] in ('StopLimit', 'StopTrailLimit'):
                options['plimit'] = other
            if step['kind'].startswith('StopTrail'):
                options.update({'trailpercent': 0.03} if step['trail'] else {'trailamount': max(0.01, round(close * 0.02, 2))})
            if step['buy'] and step['value']:
                options['value'] = step['value']
            if what == 'oco' and self.given:
                options['oco'] = self.given[step['which'] % len(self.given)]
            made = [side(feed, size=step['size'], **options)]
        for order in made:
            if order is not None and order.ref not in self.noted:
                self.noted[order.ref] = len(self.given)
                self.given.append(order)

    def notify_order(self, order):
        number = self.noted.get(order.ref, -1)
        day = self.today()
        self.told.append((number, order.getstatusname()))
        for bit in order.executed.iterpending():
            created = order.created
            limit = {'Limit': created.price, 'StopLimit': created.pricelimit, 'StopTrailLimit': created.pricelimit}.get(
                order.getordername())
            if order.getordername() == 'StopTrailLimit' and order.status == order.Partial:
                limit = None  # it has trailed on since
            self.log.append((day, order.data._name, int(bit.size), bit.price, limit, order.getordername(),
                             bool(order.info.get('booked_out'))))


def run_script(table, script, options, market, cash=100_000.0, cheat=True):
    """Run a script over a table; return the strategy."""
    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=cheat)
    add_market(cerebro, table, market)
    cerebro.setbroker(AShareBroker(cash=cash, **options))
    cerebro.broker.addcommissioninfo(AShareCommission(stamp_duty='dated', transfer_fee='dated'))
    wide = table.pivot(index='date', columns='code', values='close').ffill()
    cerebro.addstrategy(RandomOrders, script=script, codes=sorted(wide.columns), closes={
        code: wide[code].tolist() for code in wide.columns})
    cerebro.addanalyzer(Blotter, _name='blotter')
    return cerebro.run()[0]
