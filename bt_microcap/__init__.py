"""bt-microcap: A-share micro-cap rotation strategies in Backtrader.

The plugin in one screen::

    cerebro = bt.Cerebro()
    add_stocks(cerebro, load_table('market.parquet'))
    cerebro.addstrategy(MicroCapStrategy, stocknum=3, refresh_rate=5)
    setup(cerebro, profile='realistic')
    cerebro.run()
"""

from .analyzers import PositionsValue, PyFolio, Transactions
from .blotter import Blotter
from .broker import AShareBroker
from .commission import AShareCommission
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
    'MicroCapStrategy',
    'PositionsValue',
    'PyFolio',
    'Trades',
    'Transactions',
    'save_plot',
    'setup',
]
