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

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors; a name's module is imported when the name is first asked for, see __getattr__
    from .exchange import rules as rules
    from .exchange.broker import AShareBroker
    from .exchange.commission import AShareCommission
    from .feeds.files import load_table
    from .feeds.market import MarketFeed
    from .feeds.stock import add_stocks
    from .feeds.store import MarketStore
    from .joinquant.strategy import JoinQuantStrategy
    from .profiles import JOINQUANT, PROFILES, REALISTIC, setup
    from .record.analyzers import Figures, PositionsValue, PyFolio, Transactions
    from .record.blotter import Blotter
    from .record.observers import Exposure, Holdings, RelativeValue, Trades
    from .record.stock_charts import StockCharts
    from .rotation.strategy import MicroCapStrategy
    from .views.cerebro_plot import figure_of, save_plot
    from .views.html_report import report
    from .views.results import save_run

__version__ = '0.2.0'
__all__ = [
    'JOINQUANT',
    'PROFILES',
    'REALISTIC',
    'AShareBroker',
    'AShareCommission',
    'Blotter',
    'Exposure',
    'Figures',
    'Holdings',
    'JoinQuantStrategy',
    'MarketFeed',
    'MarketStore',
    'MicroCapStrategy',
    'PositionsValue',
    'PyFolio',
    'RelativeValue',
    'StockCharts',
    'Trades',
    'Transactions',
    'add_stocks',
    'figure_of',
    'load_table',
    'report',
    'save_plot',
    'save_run',
    'setup',
]
# module -> its public names
_MODULES = {
    'exchange': ('rules',),
    'exchange.broker': ('AShareBroker',),
    'exchange.commission': ('AShareCommission',),
    'feeds.files': ('load_table',),
    'feeds.market': ('MarketFeed',),
    'feeds.stock': ('add_stocks',),
    'feeds.store': ('MarketStore',),
    'joinquant.strategy': ('JoinQuantStrategy',),
    'profiles': ('JOINQUANT', 'PROFILES', 'REALISTIC', 'setup'),
    'record.analyzers': ('Figures', 'PositionsValue', 'PyFolio', 'Transactions'),
    'record.blotter': ('Blotter',),
    'record.observers': ('Exposure', 'Holdings', 'RelativeValue', 'Trades'),
    'record.stock_charts': ('StockCharts',),
    'rotation.strategy': ('MicroCapStrategy',),
    'views.cerebro_plot': ('figure_of', 'save_plot'),
    'views.html_report': ('report',),
    'views.results': ('save_run',),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: ``import bt_microcap`` alone costs nothing (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = getattr(importlib.import_module(f'.{_HOMES[name]}', __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
