"""Numbers per stock, of the day before: for ranks, and with a comparison for screens.

Each is a `pieces.Value`: ``momentum(20)`` is called with a section and returns a vector. Those that look back read
``section.history``, whose days are read once and kept in rolling buffers, adjusted for ex-rights (前复权 as of the day before).
"""

from __future__ import annotations

import math

import numpy as np

from ..exchange.opening import PRE_OPEN
from ..feeds.errors import DataError, whole_number
from ..feeds.history import ex_rights_factor
from ..feeds.universe import CrossSection
from ..record.statistics import DAYS_A_YEAR
from .pieces import CHEAP, Value, divided

EX_RIGHTS = ('preclose', 'cash_dividend', 'share_ratio')  # what tells an ex-date, see `feeds.history.ex_rights_factor`


def column(name: str) -> Value:
    """Return any column of the data, of the day before; also one of your own, such as ``roe``.

    That each row of it was known on its day (point in time) is your own duty: a profit of the year stands in rows from its
    announcement on, not from the year's end.

    Parameters
    ----------
    name : str
    """
    return Value(_previous, name, name='column')


def _previous(section: CrossSection, name: str) -> np.ndarray:
    try:
        return section.previous(name)
    except KeyError as error:
        raise DataError(str(error.args[0])) from None


def today(name: str) -> Value:
    """Return a fact of the coming session that is known before its open, such as open, preclose, is_st, paused.

    Parameters
    ----------
    name : str
        Of `exchange.opening.PRE_OPEN`.
    """
    if name not in PRE_OPEN:
        raise ValueError(f'today() gives no {name!r}: known before the open are {", ".join(PRE_OPEN)}; column({name!r}) is '
                         'that of the day before')
    return Value(_today, name, name='today')


def _today(section: CrossSection, name: str) -> np.ndarray:
    return section.today(name)


CHEAP.update((_previous, _today))

market_cap = Value(_previous, 'market_cap', name='column')  # yuan, all shares
float_cap = Value(_previous, 'circ_market_cap', name='column')  # yuan, the tradable shares; of the data that has it
price = Value(_previous, 'close', name='column')  # yuan, raw


def amount(days: int = 1) -> Value:
    """Return the mean yuan traded a day, over the last trading days; a day without a row counts as 0, NaN before the first.

    Where the data has no ``amount`` it is volume x close.

    Parameters
    ----------
    days : int
        Trading days, 1 or more.
    """
    return Value(_amount, whole_number('days', days), name='amount')


def _amount(section: CrossSection, days: int) -> np.ndarray:
    traded = section.history('amount', days)
    unknown = traded != traded
    if unknown.any():
        traded = np.where(unknown, section.history('volume', days) * section.history('close', days), traded)
    unlisted = np.isnan(section.history('close', 1, filled=True)[0])
    return np.where(unlisted, np.nan, np.nansum(traded, axis=0) / days)


def turnover(days: int = 1) -> Value:
    """Return the part of a stock that is traded a day: the mean of `amount` over the float cap of the day before.

    Where the data has no ``circ_market_cap`` it is the part of the whole market cap.

    Parameters
    ----------
    days : int
        Trading days, 1 or more.
    """
    return Value(_turnover, whole_number('days', days), name='turnover')


def _turnover(section: CrossSection, days: int) -> np.ndarray:
    try:
        cap = section.previous('circ_market_cap')
    except KeyError:
        cap = section.previous('market_cap')
    return divided(_amount(section, days), cap)


def _closes(section: CrossSection, days: int) -> np.ndarray:
    return section.history('close', days, adjusted=True, filled=True)


def momentum(days: int) -> Value:
    """Return the return over the last trading days, as a fraction: close / close ``days`` days before - 1.

    A day without a row keeps the close before it. NaN where the stock had no row yet at the start.

    Parameters
    ----------
    days : int
        Trading days, 1 or more.
    """
    return Value(_momentum, whole_number('days', days), name='momentum')


def _momentum(section: CrossSection, days: int) -> np.ndarray:
    closes = _closes(section, days + 1)
    return closes[-1] / closes[0] - 1


def volatility(days: int) -> Value:
    """Return the standard deviation (of a sample, n - 1) of the last daily returns, times the root of 252: a fraction a year.

    A day without a row is a return of 0. NaN where the stock had no row yet at the start.

    Parameters
    ----------
    days : int
        Daily returns, 2 or more.
    """
    return Value(_volatility, whole_number('days', days, 2), name='volatility')


def _volatility(section: CrossSection, days: int) -> np.ndarray:
    return yearly_volatility(_closes(section, days + 1))


def yearly_volatility(closes: np.ndarray) -> np.ndarray:
    """Return the standard deviation (n - 1) of the daily returns of some closes, times the root of 252; NaN for NaN.

    Parameters
    ----------
    closes : ndarray of float, shape (days,) or (days, stocks)
    """
    return (closes[1:] / closes[:-1] - 1).std(axis=0, ddof=1) * math.sqrt(DAYS_A_YEAR)


def moving_average(days: int) -> Value:
    """Return the mean of the last adjusted closes, yuan at the level of the day before: ``price > moving_average(20)``.

    A day without a row keeps the close before it. NaN where the stock had no row yet at the start.

    Parameters
    ----------
    days : int
        Trading days, 1 or more.
    """
    return Value(_moving_average, whole_number('days', days), name='moving_average')


def _moving_average(section: CrossSection, days: int) -> np.ndarray:
    return _closes(section, days).mean(axis=0)


def drawdown(days: int) -> Value:
    """Return how far the last close lies below the highest of the last adjusted closes, as a fraction of it, 0 or more.

    NaN where the stock had no row yet at the start.

    Parameters
    ----------
    days : int
        Trading days, 1 or more.
    """
    return Value(_drawdown, whole_number('days', days), name='drawdown')


def _drawdown(section: CrossSection, days: int) -> np.ndarray:
    closes = _closes(section, days)
    return 1 - closes[-1] / closes.max(axis=0)


def _listed_days(section: CrossSection) -> np.ndarray:
    return section.listed_days()


# Calendar days since the listing, 1 on its day. NaN where it is not known: without listings also for every stock that was there
# on the data's first day, so that `listed_days > 100` leaves those out; `screens.listed_for` keeps them.
listed_days = Value(_listed_days)


def _last_price(section: CrossSection) -> np.ndarray:
    close = section.previous('close')
    return close * ex_rights_factor(close, *(section.today(name) for name in EX_RIGHTS))


# The last close, restated for an ex-date of today: what the cost of a holding is compared with at the open. Yuan.
last_price = Value(_last_price)

NAMED = {'market_cap': market_cap, 'float_cap': float_cap, 'price': price}


def named(name: str) -> Value:
    """Return the value that a param names: ``market_cap``, ``float_cap``, any column, or ``-column`` for its opposite.

    Raises
    ------
    ValueError
        There is no name.
    """
    plain = name.removeprefix('-').strip()
    if not plain:
        raise ValueError(f'rank is {name!r}: expected market_cap, float_cap, a column of the data, or -column for the '
                         'largest first')
    value = NAMED[plain] if plain in NAMED else column(plain)
    return -value if name.startswith('-') else value
