"""Overlays decide the same at the close as at the next open, where every stock opens at its last close."""

import backtrader as bt
import pytest

from bt_microcap import AShareCommission, Blotter, MicroCapStrategy
from bt_microcap.feeds.schema import check_table
from bt_microcap.feeds.stock import add_stocks
from tests.support.markets import bar, tiny_market
from tests.support.rotating import ANY_CAP, rotate

A, B, C = '600001.XSHG', '600002.XSHG', '600003.XSHG'


def walk(caps, *closes):
    """Closes, each the next day's open; `caps` hold from their day on."""
    opens = (closes[0], *closes[:-1])
    return [bar(*prices, cap=caps.get(day)) for day, prices in enumerate(zip(opens, closes, strict=True))]


# from 2024-01-25 on: February begins on the sixth day. A closes at its limits of 11.00 and 12.10 on days two and three, where it
# is no pick any more
TABLE = tiny_market({
    A: walk({0: 2e9, 2: 9e9, 6: 2e9}, 10.0, 10.0, 11.0, 12.1, 12.0, 11.0, 10.4, 10.5, 9.6, 9.9, 10.2, 10.9, 11.4, 11.0, 10.0),
    B: walk({0: 3e9}, 20.0, 20.5, 21.0, 20.0, 19.0, 18.0, 18.5, 19.5, 20.5, 21.5, 21.0, 20.0, 19.0, 18.6, 19.0),
    C: walk({0: 4e9}, 5.0, 5.0, 5.05, 5.2, 5.0, 4.7, 4.6, 4.8, 5.1, 5.3, 5.2, 5.0, 4.9, 4.8, 4.9)}, start='2024-01-25')
PARAMS = {
    'none': {},
    'stop_loss': {'stop_loss': 0.05},
    'stop_loss and a cooldown': {'stop_loss': 0.05, 'cooldown': 3},
    'trailing_stop': {'trailing_stop': 0.06},
    'take_profit': {'take_profit': 0.08},
    'limit_up_hold': {'limit_up_hold': True},
    'empty_months': {'empty_months': (2,), 'refresh_rate': 2},
    'market_fall': {'market_fall': 0.04},
    'falling_share': {'falling_share': 0.9},
    'trend_days': {'trend_days': 3},
    'drawdown_brake': {'drawdown_brake': 0.06, 'brake_days': 2},
    'rebuy_ban': {'rebuy_ban': 2},
    'weights': {'weights': 'equal', 'band': 0.03},
}


def fills(run):
    return [(f'{fill.datetime:%m-%d}', fill.code, fill.side, fill.quantity, fill.price) for fill in run.analyzers.blotter.fills]


@pytest.mark.parametrize('market', [False, True], ids=['feeds', 'market'])
@pytest.mark.parametrize('name', PARAMS)
def test_at_the_close_and_at_the_open(name, market):
    params = {'stocknum': 2, 'refresh_rate': 1, 'keep': True, **PARAMS[name]}
    opened, closed = (fills(rotate(TABLE, market=market, cheat=cheat, **params)) for cheat in (True, False))
    last = f'{max(TABLE["date"]):%m-%d}'
    # at the open day 0 is the second day; at the close of the first one its orders fill on that day, too
    assert opened == closed and (len(opened) > 2 or name == 'none') and opened[0][0] < last


@pytest.mark.parametrize('name', ['stop_loss', 'trailing_stop', 'take_profit', 'limit_up_hold', 'empty_months', 'drawdown_brake'])
def test_with_a_broker_of_backtraders_own(name):
    """Days, sizes and prices are the same where nobody is refused; it lists what was bought again in another order."""
    params = {'stocknum': 2, 'refresh_rate': 1, 'keep': True, **PARAMS[name]}
    cerebro = bt.Cerebro(stdstats=False)
    add_stocks(cerebro, check_table(TABLE), checked=True)
    cerebro.setbroker(bt.brokers.BackBroker(cash=100_000.0))
    cerebro.broker.addcommissioninfo(AShareCommission(commission=0.0, min_commission=0.0, stamp_duty=0.0, transfer_fee=0.0))
    cerebro.addstrategy(MicroCapStrategy, **ANY_CAP, **params)
    cerebro.addanalyzer(Blotter, _name='blotter')
    assert sorted(fills(cerebro.run()[0])) == sorted(fills(rotate(TABLE, market=False, cheat=False, **params)))
