"""The cash that the buys count on, the smallest budgets, and the choice among stocks, by hand."""

import backtrader as bt
import numpy as np
import pytest

from bt_microcap import AShareBroker, AShareCommission, MicroCapStrategy
from bt_microcap.exchange import rules
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import add_stocks
from bt_microcap.feeds.universe import CrossSection
from bt_microcap.rotation import ranks, screens
from tests.support.markets import bar, paused, tiny_market
from tests.support.running import run_feeds, run_market

A, B, C = '600001.XSHG', '600002.XSHG', '600003.XSHG'
CHINEXT, STAR, BSE = '300001.XSHE', '688001.XSHG', '835001.BJSE'
WAYS = pytest.mark.parametrize('run', [run_feeds, run_market])
FREE = {'commission': 0.0, 'min_commission': 0.0, 'stamp_duty': 0.0, 'transfer_fee': 0.0, 'slippage': 0.0}


# ------------------------------------------------------------------------------------------ cash


def estimates(table, commission, *, cheat=False, broker=None, market=False, **params):
    """The cash that the strategy counts on at each rebalance, decided at the close: [(cash, cash after sales)]."""
    seen = []

    class Counting(MicroCapStrategy):
        def cash_after_sales(self, kept):
            cash = super().cash_after_sales(kept)
            seen.append((self.broker.getcash(), cash))
            return cash

    cerebro = bt.Cerebro(stdstats=False, cheat_on_open=cheat)
    if market:
        cerebro.adddata(MarketFeed(dataname=check_table(table)), name='market')
    else:
        add_stocks(cerebro, check_table(table), checked=True)
    cerebro.setbroker(broker or AShareBroker(cash=100_000.0))
    cerebro.broker.addcommissioninfo(commission)
    cerebro.addstrategy(Counting, **{'stocknum': 1, 'refresh_rate': 2, **params})
    cerebro.run()
    return seen


def holding(start='2024-01-02'):
    """A is bought at 10.00 on the second day and costs 10.50 at the close of the third, when B becomes the pick."""
    return tiny_market({A: [bar(10.0, cap=2.1e9), 10.0, bar(10.4, 10.5, cap=2.9e9), 10.5, 10.5],
                        B: [bar(20.0, cap=2.5e9)] + [20.0] * 4}, start=start)


# 9,900 shares at 10.00 leave 1,000 less the commission of 29.70; at 10.50 they are worth 103,950
@pytest.mark.parametrize('market', [False, True])
@pytest.mark.parametrize(('fees', 'start', 'left', 'sale'), [
    ({}, '2024-01-02', 970.3, 103_950 - 31.185 - 103.95),
    ({'stamp_duty': 'dated', 'transfer_fee': 'dated'}, '2024-01-02',
     970.3 - 0.99, 103_950 - 31.185 - 51.975 - 1.0395),  # 0.05 % and 0.001 %
    ({'stamp_duty': 'dated', 'transfer_fee': 'dated'}, '2023-08-23', 970.3 - 0.99, 103_950 - 31.185 - 103.95 - 1.0395),
    ({'min_commission': 50.0}, '2024-01-02', 950.0, 103_950 - 50.0 - 103.95),
])
def test_the_cash_counted_on_at_the_close_is_after_the_fees_of_the_sales(fees, start, left, sale, market):
    # the third day of 2023-08-23 is the Friday before the duty was halved: the fees are those of the day of the decision
    seen = estimates(holding(start), AShareCommission(**fees), market=market)
    assert seen == [pytest.approx((100_000.0, 100_000.0)), pytest.approx((left, left + sale)), seen[2]]


def test_the_cash_counted_on_with_a_comminfo_of_backtraders_own():
    # 0.1 % each way: 9,900 shares are 99,000 + 99; 103,950 - 103.95
    plain = bt.CommissionInfo(commission=0.001, stocklike=True)
    for broker in (None, bt.brokers.BackBroker(cash=100_000.0)):
        seen = estimates(holding(), plain, broker=broker)
        assert seen[1] == pytest.approx((901.0, 901.0 + 103_950 - 103.95))


def test_what_stays_is_not_counted_on():
    # A is suspended on the day of the second decision: it stays, and there is no room for another
    table = tiny_market({A: [bar(10.0, cap=2.1e9), 10.0, paused(), 10.0, 10.0], B: [bar(20.0, cap=2.5e9)] + [20.0] * 4})
    assert len(estimates(table, AShareCommission())) == 2  # the first and the third decision
    # with room for two: A for 50,000 stays, B does not
    seen = estimates(table, AShareCommission(), stocknum=2)
    # 50,000 each: 4,900 x 10 (5,000 would be 50,015) and 2,400 x 20, with 14.70 and 14.40
    assert seen[1] == pytest.approx((2_970.9, 2_970.9 + 48_000 - 14.4 - 48.0))


def test_at_the_open_the_cash_is_there_already():
    seen = estimates(holding(), AShareCommission(), cheat=True)
    # day 0 is the second bar, then the fourth: 9,900 sold at 10.50 before the buys
    assert seen[1] == pytest.approx((970.3 + 103_950 - 31.185 - 103.95,) * 2)


@pytest.mark.parametrize('cheat', [False, True])
@pytest.mark.parametrize('market', [False, True])
def test_a_stock_that_is_listed_late_holds_nothing_up(market, cheat):
    # C comes on the fifth day of six: until then Backtrader waits for it, the strategy does not
    table = tiny_market({A: [bar(10.0, cap=2.1e9)] + [10.0] * 5, C: [None] * 4 + [bar(10.0, cap=9e9), 10.0]})
    seen = estimates(table, AShareCommission(), market=market, cheat=cheat, refresh_rate=1)
    assert len(seen) == (5 if cheat else 6)
    # 9,900 shares leave 970.30 after the first day
    assert seen[0][0] == 100_000.0
    if not cheat:
        assert seen[1][0] == pytest.approx(970.3)


# ------------------------------------------------------------------------------------------ sizes


@WAYS
def test_a_budget_below_one_share_is_an_order_that_the_broker_refuses(run):
    table = tiny_market({A: [bar(100.0, cap=2.1e9)] + [100.0] * 3, B: [bar(9.0, cap=9e9)] + [9.0] * 3})
    blotter = run(table, stocknum=1, cash=99.99, **FREE).analyzers.blotter
    assert [(order.code, order.wanted, order.quantity, order.reason) for order in blotter.orders] == [(A, 1, 0, 'below one lot')]
    assert [row.total_value for row in blotter.equity] == [99.99] * 3


@WAYS
def test_a_pick_that_is_not_listed_yet_is_an_order_that_the_broker_refuses(run):
    class Early(MicroCapStrategy):
        def select(self, section):
            return [C]

    table = tiny_market({A: [10.0] * 4, C: [None, None, 10.0, 10.0]})
    blotter = run(table, strategy=Early, stocknum=1, cash=1_000.0, refresh_rate=100, **FREE).analyzers.blotter
    assert [(order.code, order.wanted, order.quantity, order.reason) for order in blotter.orders] == [(C, 1, 0, 'suspended')]


@WAYS
@pytest.mark.parametrize(('cash', 'wanted'), [(250.0, 2), (300.0, 3), (99.0, 1), (199.99, 1)])
def test_a_buy_asks_for_the_whole_shares_of_its_budget(run, cash, wanted):
    table = tiny_market({A: [bar(100.0, cap=2.1e9)] + [100.0] * 3})
    blotter = run(table, stocknum=1, cash=cash, **FREE).analyzers.blotter
    assert [order.wanted for order in blotter.orders] == [wanted]


@WAYS
def test_a_budget_a_hair_below_whole_shares_asks_for_them(run):
    # 35 / 0.07 is 499.99999999999994 in binary
    table = tiny_market({A: [bar(0.07, cap=2.1e9)] + [0.07] * 3})
    blotter = run(table, stocknum=1, cash=35.0, **FREE).analyzers.blotter
    assert [(order.wanted, order.quantity) for order in blotter.orders] == [(500, 500)]


@WAYS
def test_equal_budgets_of_what_the_sales_left(run):
    # 30,000 in three: 1,000 x 10, 500 x 20, 300 x 30 (the third of 10,000 pays 333)
    table = tiny_market({A: [bar(10.0, cap=2.1e9)] + [10.0] * 3, B: [bar(20.0, cap=2.2e9)] + [20.0] * 3,
                         C: [bar(30.0, cap=2.3e9)] + [30.0] * 3})
    blotter = run(table, stocknum=3, cash=30_000.0, **FREE).analyzers.blotter
    assert [(order.code, order.wanted, order.quantity) for order in blotter.orders] == [
        (A, 1000, 1000), (B, 500, 500), (C, 333, 300)]


def test_the_size_for_a_plain_broker_is_cut_to_lots_and_fees():
    # 1,000 at 3.60: 995 after the fee pay 276 shares of STAR; 200 of the main board
    for code, size in ((STAR, 276), (A, 200)):
        sizes = []

        class Asking(MicroCapStrategy):
            def size(self, data, budget, sizes=sizes):
                sizes.append(super().size(data, budget))
                return sizes[-1]

        cerebro = bt.Cerebro(stdstats=False)
        add_stocks(cerebro, check_table(tiny_market({code: [bar(3.6, cap=2.1e9)] + [3.6] * 2})), checked=True)
        cerebro.setbroker(bt.brokers.BackBroker(cash=1_000.0))
        cerebro.broker.addcommissioninfo(AShareCommission())
        cerebro.addstrategy(Asking, stocknum=1)
        cerebro.run()
        assert sizes == [size]


# ------------------------------------------------------------------------------------------ ranks and screens

CODES = np.array([A, B, C, CHINEXT, STAR, BSE])


def test_a_nan_rank_is_never_taken():
    rank = np.array([3.0, np.nan, 1.0, 2.0, np.nan, 5.0])
    everything = np.ones(6, bool)
    assert ranks.smallest(CODES, everything, rank, 3) == [C, CHINEXT, A]
    assert ranks.smallest(CODES, everything, rank, 6) == [C, CHINEXT, A, BSE]  # fewer than asked for
    assert ranks.smallest(CODES, everything, np.full(6, np.nan), 3) == []
    assert ranks.smallest(CODES, everything & (CODES != C), rank, 1) == [CHINEXT]


def test_infinite_ranks_are_taken_last():
    rank = np.array([np.inf, 1.0, -np.inf, np.nan, np.inf, 2.0])
    assert ranks.smallest(CODES, np.ones(6, bool), rank, 5) == [C, B, BSE, A, STAR]


def test_ties_fall_by_code():
    codes = np.array([f'{number:06d}.XSHE' for number in range(100)])
    rank = np.repeat([2.0, 1.0], 50)
    rank[[10, 90]] = 1.5, 1.0
    assert ranks.smallest(codes, np.ones(100, bool), rank, 52) == [*codes[50:], codes[10], codes[0]]


@WAYS
def test_a_stock_whose_rank_is_nan_is_not_bought(run):
    class ByVolume(MicroCapStrategy):
        def rank(self, section):
            rank = section.previous('volume')
            return np.where(rank < 500, np.nan, rank)

    table = tiny_market({A: [bar(10.0, cap=2.1e9, volume=400.0)] + [bar(10.0)] * 3,
                         B: [bar(10.0, cap=2.9e9, volume=900.0)] + [bar(10.0)] * 3})
    blotter = run(table, strategy=ByVolume, stocknum=2, **FREE).analyzers.blotter
    assert [fill.code for fill in blotter.fills] == [B]


def on_boards(codes, boards):
    return screens.on_boards(boards)(CrossSection(codes, None))


def test_on_boards_of_one_market_asked_twice():
    for _ in range(2):
        assert on_boards(CODES, ('main',)).tolist() == [True, True, True, False, False, False]
        assert on_boards(CODES, ('star', 'bse')).tolist() == [False] * 4 + [True] * 2
        assert on_boards(CODES, ['chinext']).tolist() == [False, False, False, True, False, False]
        assert on_boards(CODES, ()).tolist() == [False] * 6


def test_on_boards_of_two_markets():
    other = CODES[::-1].copy()
    for _ in range(2):
        assert on_boards(CODES, ('star',)).tolist() == [False, False, False, False, True, False]
        assert on_boards(other, ('star',)).tolist() == [False, True, False, False, False, False]


def test_on_boards_of_many_markets_keeps_few_of_them():
    kept = []  # the codes stay alive, so that no two have one address
    for number in range(40):
        codes = np.array([f'600{number:03d}.XSHG', f'3000{number:02d}.XSHE', f'6880{number:02d}.XSHG'][number % 3:])
        kept.append(codes)
        boards = ['main', 'chinext', 'star'][number % 3:]
        assert on_boards(codes, ('main', 'star')).tolist() == [board != 'chinext' for board in boards]
        assert len(screens._MASKS) <= 8
    assert on_boards(kept[0], ('main',)).tolist() == [True, False, False]


def test_a_mask_of_the_boards_cannot_be_spoiled():
    mask = on_boards(CODES, ('main',))
    with pytest.raises(ValueError, match='read-only'):
        mask[0] = False


def test_a_board_that_does_not_exist():
    with pytest.raises(ValueError, match='boards holds .szse.: expected names of main, chinext, star, bse'):
        on_boards(CODES, ('main', 'szse'))
    assert rules.BOARDS == ('main', 'chinext', 'star', 'bse')


@WAYS
@pytest.mark.parametrize(('low', 'high', 'bought'), [
    (2.1e9, 2.3e9, [A, B, C]), (2.1e9 + 1, 2.3e9, [B, C]), (2.1e9, 2.3e9 - 1, [A, B]), (2.2e9, 2.2e9, [B])])
def test_both_ends_of_the_band_are_in(run, low, high, bought):
    table = tiny_market({A: [bar(10.0, cap=2.1e9)] + [10.0] * 3, B: [bar(10.0, cap=2.2e9)] + [10.0] * 3,
                         C: [bar(10.0, cap=2.3e9)] + [10.0] * 3})
    blotter = run(table, min_cap=low, max_cap=high, **FREE).analyzers.blotter
    assert [fill.code for fill in blotter.fills] == bought
