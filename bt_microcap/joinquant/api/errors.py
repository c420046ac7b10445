"""What goes wrong in a JoinQuant script, each in one line."""

from __future__ import annotations

from collections.abc import Iterable

from ...exchange.opening import LookAheadError
from ...feeds.errors import DataError


class ScriptError(DataError):
    """A script cannot be run, or has failed: the file, the line, and what to do."""


class Unsupported(DataError):
    """Something of the platform that daily bars and a store cannot give; what to do instead."""


class FutureDataError(LookAheadError):
    """A script asks for what is not known yet, with ``avoid_future_data`` as on the platform."""


def needed_columns(names: Iterable[str], source: str) -> str:
    """Return what is to be said where a store lacks columns.

    Parameters
    ----------
    names : iterable of str
        Of columns, such as ``indicator.roe``.
    source : str
        What the market is called.
    """
    names = sorted(names)
    tables = dict.fromkeys(name.partition('.')[0] for name in names)
    where = '; '.join(SOURCES[table] for table in tables if table in SOURCES)
    return (f'{source} lacks {", ".join(names)}: add columns of {"these names" if len(names) > 1 else "this name"} to the '
            f'table, each row with the value published by that day ({where})')


# Which source has the columns of a table of the platform.
SOURCES = {
    'valuation': 'valuation: tushare daily_basic, jqdatasdk get_valuation',
    'circ_market_cap': 'circ_market_cap: tushare daily_basic circ_mv x 10,000, akshare',
    'indicator': 'indicator: tushare fina_indicator by ann_date, jqdatasdk get_fundamentals, baostock query_profit_data by '
                 'pubDate',
    'income': 'income: tushare income by f_ann_date, jqdatasdk get_fundamentals',
    'balance': 'balance: tushare balancesheet by f_ann_date, jqdatasdk get_fundamentals',
    'cash_flow': 'cash_flow: tushare cashflow by f_ann_date, jqdatasdk get_fundamentals',
    'factor': 'factor: jqdatasdk get_factor_values',
    'cash_dividend': 'cash_dividend: tushare dividend by ex_date, the downloads of ingest that have it',
    'amount': 'amount: every source',
}
