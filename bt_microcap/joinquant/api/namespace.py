"""All names that a script finds, gathered for one run."""

from __future__ import annotations

import datetime
import io
import json
import math
import pickle
import random
import re
import time
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from . import fields, frames, panel, query
from .costs import FixedSlippage, OrderCost, PerShare, PerTrade, PriceRelatedSlippage, StepRelatedSlippage
from .errors import Unsupported
from .old_pandas import old_pandas
from .order_objects import LimitOrderStyle, MarketOrderStyle, OrderStatus
from .session import Session

LEVELS = {'debug': 0, 'info': 1, 'warning': 2, 'warn': 2, 'error': 3, 'critical': 4}
# What a script may say to the platform and here means nothing.
IDLE = ('enable_profile', 'disable_cache', 'set_redeem_latency', 'unsubscribe_all', 'send_message')
# Found without an import: scripts count on what the platform's own modules bring along.
ALONG = {
    'datetime': datetime, 'np': np, 'numpy': np, 'pd': old_pandas, 'pandas': old_pandas, 'math': math, 'time': time,
    're': re, 'json': json, 'random': random, 'timedelta': datetime.timedelta, 'isnan': np.isnan, 'nan': np.nan, 'NaN': np.nan,
    'inf': np.inf, 'mean': np.mean, 'std': np.std, 'array': np.array, 'zeros': np.zeros, 'ones': np.ones, 'exp': np.exp,
    'sqrt': np.sqrt, 'floor': math.floor, 'ceil': math.ceil, 'sign': np.sign, 'cov': np.cov, 'average': np.average,
    'Series': frames.Column, 'DataFrame': frames.Frame, 'Panel': panel.Panel,
}


class Log:
    """``log.info`` and its like."""

    def __init__(self, session: Session) -> None:
        self._session, self._least = session, {'strategy': 0, 'order': 0}

    def set_level(self, name: str, level: str) -> None:
        """Say from which level on a kind of lines is written."""
        self._least[name] = LEVELS.get(str(level).lower(), 0)

    def shows(self, name: str, level: str) -> bool:
        """Return whether a line is written."""
        return LEVELS.get(level.lower(), 1) >= self._least.get(name, 0)

    def _write(self, level: str, words: tuple[Any, ...]) -> None:
        if self.shows('strategy', level):
            self._session.log_line(level.upper(), *words)

    def info(self, *words: Any, **kwargs: Any) -> None:
        """Write a line."""
        self._write('info', words)

    def debug(self, *words: Any, **kwargs: Any) -> None:
        """Write a line."""
        self._write('debug', words)

    def warn(self, *words: Any, **kwargs: Any) -> None:
        """Write a line."""
        self._write('warning', words)

    warning = warn

    def error(self, *words: Any, **kwargs: Any) -> None:
        """Write a line."""
        self._write('error', words)

    critical = error

    def __call__(self, *words: Any) -> None:  # noqa: D102 - as info()
        self.info(*words)


class Module(types.ModuleType):
    """A module of the platform: what it lacks is said in one line."""

    def __init__(self, name: str, names: dict[str, Any], missing: Callable[[str], str] | None = None) -> None:
        super().__init__(name)
        self.__dict__.update(names)
        self.__all__ = [key for key in names if not key.startswith('_')]
        self.__path__: list[str] = []
        self.__dict__['_missing'] = missing

    def __getattr__(self, name: str) -> Any:
        missing = self.__dict__.get('_missing')
        if name.startswith('__') or missing is None:
            raise AttributeError(name)
        raise Unsupported(missing(name))


class _Refused:
    """A function that cannot be had: said when it is called."""

    def __init__(self, name: str, why: str) -> None:
        self._name, self._why = name, why

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise Unsupported(f'{self._name}() is not supported: {self._why}')

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        raise Unsupported(f'{self._name}.{name} is not supported: {self._why}')


def refusals(table: dict[str, str]) -> dict[str, Any]:
    """Return functions that say why they cannot be had."""
    return {name: _Refused(name, why) for name, why in table.items()}


def constant_names() -> dict[str, Any]:
    """Return what is the same in every run."""
    return {
        **ALONG, 'query': query.query, 'valuation': fields.valuation, 'indicator': fields.indicator, 'balance': fields.balance,
        'income': fields.income, 'cash_flow': fields.cash_flow, 'desc': query.desc, 'asc': query.asc, 'or_': query.or_,
        'and_': query.and_, 'not_': query.not_, 'OrderCost': OrderCost, 'PerTrade': PerTrade, 'PerShare': PerShare,
        'FixedSlippage': FixedSlippage, 'PriceRelatedSlippage': PriceRelatedSlippage, 'StepRelatedSlippage': StepRelatedSlippage,
        'OrderStatus': OrderStatus, 'MarketOrderStyle': MarketOrderStyle, 'LimitOrderStyle': LimitOrderStyle,
    }


def sqlalchemy_names() -> dict[str, Any]:
    """Return what scripts take from sqlalchemy for conditions."""
    return {'or_': query.or_, 'and_': query.and_, 'not_': query.not_, 'desc': query.desc, 'asc': query.asc,
            'func': _Refused('func', 'take the rows with get_fundamentals() and count with pandas')}


def six_names() -> dict[str, Any]:
    """Return what scripts for both Pythons take from six."""
    return {'BytesIO': io.BytesIO, 'StringIO': io.StringIO, 'PY2': False, 'PY3': True, 'iteritems': dict.items,
            'itervalues': dict.values, 'iterkeys': dict.keys, 'string_types': (str,), 'integer_types': (int,), 'text_type': str,
            'moves': _Refused('six.moves', 'import its names: from six.moves import range')}


def pickle_names() -> dict[str, Any]:
    """Return what Python 2 called cPickle."""
    return {name: getattr(pickle, name) for name in pickle.__all__}
