"""What an order given at the open knows of the day, and what the account is worth then."""

import backtrader as bt
import pytest

from bt_microcap import MicroCapStrategy
from bt_microcap.feeds.universe import LookAheadError
from tests.support.looking import look
from tests.support.markets import paused, tiny_market

A, B = '600001.XSHG', '600002.XSHG'
WAYS = pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])

def moving():
    """A is bought at 10.00 on the second day, and opens 10.2 and closes 10.6 on the third; B stays at 20."""
    return tiny_market({A: [10.0, (10.0, 10.4), (10.2, 10.6), (10.5, 10.9), 10.5], B: [20.0] * 5})


def third_day(step, market, strategy=None):
    """Hold 300 shares of A from the second day on; return what a step of the third day's open gives, and later fills."""
    fills, given = [], []

    class Trader(strategy or bt.Strategy):
        def next_open(self):
            day = len(self.data) - 1
            feed = self.data.stock(A) if market else self.getdatabyname(A)
            if day == 1:
                self.buy(feed, size=300)
            if day == 2:
                given.append(step(self, feed))

        prenext_open = nextstart_open = next_open

        def notify_order(self, order):
            fills.extend((len(self.data) - 1, bit.size, bit.price) for bit in order.executed.iterpending())

    look(moving(), market=market, strategy=Trader)
    assert fills[0] == (1, 300, 10.0)
    return given[0], fills[1:]


TRAIL, TRAIL_LIMIT = bt.Order.StopTrail, bt.Order.StopTrailLimit
# what was ordered of a buy and of a sale -> price and limit price noted in the order, and what fills on the third day
GIVEN = {
    'market': ({}, {}, (10.2, 10.2), (10.2, 10.2), 10.2, 10.2),
    'close': ({'exectype': bt.Order.Close}, {'exectype': bt.Order.Close}, (10.2, 10.2), (10.2, 10.2), 10.6, 10.6),
    'limit': ({'exectype': bt.Order.Limit, 'price': 9.9}, {'exectype': bt.Order.Limit, 'price': 10.8},
              (9.9, 9.9), (10.8, 10.8), None, None),
    'stop': ({'exectype': bt.Order.Stop, 'price': 10.8}, {'exectype': bt.Order.Stop, 'price': 9.9},
             (10.8, 10.8), (9.9, 9.9), None, None),
    'trail from the open': ({'exectype': TRAIL, 'trailamount': 0.5}, {'exectype': TRAIL, 'trailamount': 0.5},
                            (10.7, None), (9.7, None), None, None),
    'trail by a part': ({'exectype': TRAIL, 'trailpercent': 0.05}, {'exectype': TRAIL, 'trailpercent': 0.05},
                        (10.71, None), (9.69, None), None, None),
    'trail from a price': ({'exectype': TRAIL, 'trailamount': 0.5, 'price': 10.5}, {'exectype': TRAIL, 'trailamount': 0.5,
                            'price': 10.5}, (11.0, None), (10.0, None), None, None),
    'trail to a limit': ({'exectype': TRAIL_LIMIT, 'trailamount': 0.5, 'price': 10.5, 'plimit': 10.5},
                         {'exectype': TRAIL_LIMIT, 'trailamount': 0.5, 'price': 10.5, 'plimit': 10.5},
                         (11.0, 11.0), (10.0, 10.0), None, None),
}


@WAYS
@pytest.mark.parametrize('side', ['buy', 'sell'])
@pytest.mark.parametrize('kind', GIVEN)
def test_an_order_does_not_tell_the_close(kind, side, market):
    number = side == 'sell'
    options, noted, filled = (GIVEN[kind][at + number] for at in (0, 2, 4))

    def step(strategy, feed):
        created = getattr(strategy, side)(feed, size=100, **options).created
        return created.price, created.pclose, created.pricelimit

    (price, pclose, limit), fills = third_day(step, market)
    assert (price, pclose) == (pytest.approx(noted[0]), 10.2)
    assert limit != 10.6
    assert noted[1] is None or limit == pytest.approx(noted[1])
    assert [fill for fill in fills if fill[0] == 2] == ([] if filled is None else [(2, 100 if side == 'buy' else -100, filled)])


@WAYS
def test_targets_by_value_take_the_open_on_the_rotations_strategy(market):
    class Idle(MicroCapStrategy):
        def trade(self, day):
            pass

    def target(kind, value, **kwargs):
        return third_day(lambda strategy, feed: getattr(strategy, kind)(feed, target=value, **kwargs), market, Idle)[1]

    # 300 shares at 10.20 are 3,060 yuan; the account is worth 97,000 + 3,060 = 100,060
    assert target('order_target_value', 5_100.0) == [(2, 200, 10.2)]  # 2,040 more
    assert target('order_target_value', 2_040.0) == [(2, -100, 10.2)]
    assert target('order_target_value', 3_060.0) == []
    assert target('order_target_value', 0.0) == [(2, -300, 10.2)]
    assert target('order_target_percent', 0.1) == [(2, 600, 10.2)]  # 10,006 - 3,060 = 6,946 -> 680.98 shares
    assert target('order_target_percent', 0.0) == [(2, -300, 10.2)]
    assert target('order_target_value', 5_060.0, price=20.0) == [(2, 100, 10.2)]  # a price given counts: 2,000 / 20


@WAYS
@pytest.mark.parametrize('kind', ['order_target_value', 'order_target_percent'])
def test_targets_by_value_are_refused_on_another_strategy(kind, market):
    target = {'order_target_value': 5_100.0, 'order_target_percent': 0.1}[kind]
    with pytest.raises(LookAheadError, match=r'price=data\.open\[0\]'):
        third_day(lambda strategy, feed: getattr(strategy, kind)(feed, target=target), market)
    fills = third_day(lambda strategy, feed: getattr(strategy, kind)(feed, target=target, price=feed.open[0]), market)[1]
    assert fills == [(2, {'order_target_value': 200, 'order_target_percent': 600}[kind], 10.2)]


@WAYS
@pytest.mark.parametrize('sizer', [bt.sizers.PercentSizer, bt.sizers.AllInSizer])
def test_a_sizer_that_reads_the_close_is_refused(sizer, market):
    def step(strategy, feed):
        strategy.setsizer(sizer())
        return strategy.buy(strategy.data.stock(B) if market else strategy.getdatabyname(B))  # not held: sized by the price

    with pytest.raises(LookAheadError, match=r'close\[0\]'):
        third_day(step, market)


@WAYS
def test_the_account_counts_at_the_open(market):
    """Cash 97,000 and 300 shares; B is not held. After the close the shares count 10.60."""
    def step(strategy, feed):
        other = strategy.data.stock(B) if market else strategy.getdatabyname(B)
        broker = strategy.broker
        return [broker.getvalue(), broker.getvalue([feed]), broker.getvalue([other]), broker.getvalue([other, feed]),
                broker.get_value(mkt=True), broker.getcash()]

    assert third_day(step, market)[0] == pytest.approx([100_060.0, 3_060.0, 0.0, 3_060.0, 3_060.0, 97_000.0])
    closes = []
    look(moving(), market=market, closing=lambda strategy: closes.append(
        (strategy.broker.getvalue(), strategy.broker.getvalue([strategy.feed(A)]))),
        opening=lambda strategy: strategy.today() == 1 and strategy.buy(strategy.feed(A), size=300))
    assert closes == [(100_000.0, 0.0), (100_120.0, 3_120.0), (100_180.0, 3_180.0), (100_270.0, 3_270.0), (100_150.0, 3_150.0)]


def suspended():
    return tiny_market({A: [10.0] * 7,
                        B: [(20.0, 20.5), (20.2, 20.4), None, paused(), (20.4, 20.7), (20.5, 21.0), (20.5, 21.0)]})


@WAYS
def test_a_suspended_holding_counts_at_its_last_close_at_the_open(market):
    values = []

    def opening(strategy):
        if strategy.today() == 1:
            strategy.buy(strategy.feed(B), size=100)
        values.append(strategy.broker.getvalue())

    look(suspended(), market=market, opening=opening)
    # bought at 20.2, closed at 20.4; no row, then a suspended one; then opens of 20.4, 20.5 and 20.5
    assert values == pytest.approx([100_000, 100_000, 100_020, 100_020, 100_020, 100_030, 100_030])
