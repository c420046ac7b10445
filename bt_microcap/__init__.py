"""bt-microcap: A-share micro-cap rotation strategies in Backtrader.

The plugin in one screen::

    import backtrader as bt
    from bt_microcap import MarketFeed, MicroCapStrategy, setup

    cerebro = bt.Cerebro()
    cerebro.adddata(MarketFeed(dataname='market.parquet'), name='market')
    cerebro.addstrategy(MicroCapStrategy, stocknum=3, refresh_rate=5)
    setup(cerebro, profile='realistic')
    cerebro.run()
"""

from .analyzers import PositionsValue, PyFolio, Transactions
from .blotter import Blotter
from .broker import AShareBroker
from .commission import AShareCommission
from .feeds.files import load_table
from .feeds.market import MarketFeed
from .feeds.stock import add_stocks
from .feeds.store import MarketStore
from .observers import Holdings, Trades
from .plotting import save_plot
from .profiles import JOINQUANT, PROFILES, REALISTIC, setup
from .strategy import MicroCapStrategy

__version__ = '0.1.0'
__all__ = [
    'JOINQUANT',
    'PROFILES',
    'REALISTIC',
    'AShareBroker',
    'AShareCommission',
    'Blotter',
    'Holdings',
    'MarketFeed',
    'MarketStore',
    'MicroCapStrategy',
    'PositionsValue',
    'PyFolio',
    'Trades',
    'Transactions',
    'add_stocks',
    'load_table',
    'save_plot',
    'setup',
]
