"""The platform of one run: every function that a script may call, and ``context``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import date
from functools import cached_property, reduce
from types import ModuleType
from typing import Any

import numpy as np

from .api import factors, finance, technical
from .api.bars import Bars
from .api.costs import Costs
from .api.current import CurrentData
from .api.errors import Unsupported
from .api.fundamentals import Fundamentals
from .api.namespace import (
    IDLE,
    Log,
    Module,
    constant_names,
    pickle_names,
    refusals,
    six_names,
    sqlalchemy_names,
)
from .api.old_pandas import old_pandas
from .api.orders import Orders
from .api.portfolio import Context, Portfolio
from .api.prices import Prices
from .api.session import Session
from .api.supported import MODULES, REFUSED
from .globals import G
from .schedule import DAILY, MONTHLY, WEEKLY, Schedule

# Options of the platform that say what is so here anyhow, or mean nothing in daily bars.
OPTIONS = ('use_real_price', 'avoid_future_data', 'order_volume_ratio', 'match_with_order_book', 'always_match_market_order',
           't0_mode', 'match_by_signal', 'futures_margin_rate')


class Platform:
    """Everything that a script finds.

    Parameters
    ----------
    strategy : JoinQuantStrategy
    session : Session
    g : G
    span : tuple of date
        First and last day of the run.
    """

    def __init__(self, strategy: Any, session: Session, g: G, span: tuple[date, date]) -> None:
        self.strategy, self.session, self.g = strategy, session, g
        self.log = session.log = Log(session)
        self.schedule = Schedule(session.days)
        self.portfolio = Portfolio(session, strategy.broker)
        self.context = Context(session, self.portfolio, *span)
        self.bars = Bars(session)
        self.prices = Prices(session, self.bars)
        self.fundamentals = Fundamentals(session)
        self.orders = Orders(session, self.portfolio)
        self.costs = Costs(session)
        self.current = CurrentData(session)
        self.reference = strategy.reference
        self.finance = finance.Finance(session)
        self.factors = factors.Factors(session, self.bars)
        self.technical = technical.Technical(session, self.bars)

    # -- what a script is given ------------------------------------------------------------------------------

    @cached_property
    def names(self) -> dict[str, Any]:
        """All names that a script finds without an import."""
        own = {
            'g': self.g, 'log': self.log, 'finance': self.finance,
            **public(self.prices), **public(self.fundamentals), **public(self.orders), **public(self.reference),
            **public(self.factors),
            'get_current_data': lambda *codes: self.current,
            **{name: getattr(self, name) for name in (
                'run_daily', 'run_weekly', 'run_monthly', 'unschedule_all', 'set_option', 'set_benchmark', 'set_universe',
                'record', 'inout_cash', 'normalize_code')},
            **{name: getattr(self.costs, name) for name in ('set_order_cost', 'set_commission', 'set_slippage')},
            **dict.fromkeys(IDLE, self._idle),
        }
        for ours in ('begin_day', 'open_session', 'look'):
            own.pop(ours)
        return {**refusals(REFUSED), **constant_names(), **factors.helpers(), **own}

    @cached_property
    def modules(self) -> dict[str, ModuleType]:
        """The modules that a script finds by an import."""
        names = self.names
        technical_names = public(self.technical)
        jqlib = Module('jqlib', {})
        analysis = Module('jqlib.technical_analysis', technical_names, lambda name: (
            f'{name}() of jqlib.technical_analysis is not supported; there are {", ".join(sorted(technical_names))}'))
        jqlib.__dict__['technical_analysis'] = analysis
        kuanke = Module('kuanke', {})
        kuanke.__dict__['user_space_api'] = Module('kuanke.user_space_api', names)
        found: dict[str, ModuleType] = {
            'jqdata': Module('jqdata', names, lambda name: f'jqdata.{name} is not known here'), 'jqlib': jqlib,
            'jqlib.technical_analysis': analysis, 'kuanke': kuanke, 'kuanke.user_space_api': kuanke.user_space_api,
            'jqfactor': Module('jqfactor', {**public(self.factors), **factors.helpers(), **refusals(
                {name: REFUSED[name] for name in ('Factor', 'calc_factors', 'get_all_factors')})},
                lambda name: f'jqfactor.{name} is not supported'),
            **{name: Module(name, sqlalchemy_names()) for name in ('sqlalchemy', 'sqlalchemy.sql', 'sqlalchemy.sql.expression')},
            'pandas': old_pandas,
            'cPickle': Module('cPickle', pickle_names()), 'six': Module('six', six_names()),
            'six.moves': Module('six.moves', {'range': range, 'zip': zip, 'map': map, 'reduce': reduce}),
        }
        for name, why in MODULES.items():
            found[name] = Module(name, {}, lambda each, name=name, why=why: f'{name}.{each} is not supported: {why}')
        return found

    def show(self, *words: Any, sep: str = ' ', end: str = '\n', file: Any = None, flush: bool = False) -> None:
        """Take what a script prints, into the log."""
        self.session.log_line('INFO', sep.join(map(str, words)))

    def bars_of_yesterday(self) -> factors.BarDict:
        """Return ``data`` of ``handle_data(context, data)``: the bars of the day before."""
        return factors.BarDict(self.session, self.bars)

    def end_day(self) -> None:
        """Note the account at the close."""
        self.portfolio.closing_value = self.strategy.broker.getvalue()

    # -- settings --------------------------------------------------------------------------------------------

    def run_daily(self, func: Callable[..., Any], time: Any = 'open', reference_security: Any = None, *args: Any) -> None:
        """Run a function every day."""
        self.schedule.add(DAILY, func, time)

    def run_weekly(self, func: Callable[..., Any], weekday: int = 1, time: Any = 'open', reference_security: Any = None,
                   force: bool = False) -> None:
        """Run a function on a trading day of every week, counted from its begin or, negative, from its end."""
        self.schedule.add(WEEKLY, func, time, self._count(weekday))

    def run_monthly(self, func: Callable[..., Any], monthday: int = 1, time: Any = 'open', reference_security: Any = None,
                    force: bool = False) -> None:
        """Run a function on a trading day of every month, counted from its begin or, negative, from its end."""
        self.schedule.add(MONTHLY, func, time, self._count(monthday))

    @staticmethod
    def _count(day: Any) -> int:
        if isinstance(day, bool) or not isinstance(day, (int, np.integer)) or not day:
            raise Unsupported(f'found {day!r}, expected the number of a trading day: 1 is the first, -1 the last')
        return int(day)

    def unschedule_all(self) -> None:
        """Forget all functions that run at times."""
        self.schedule.clear()

    def set_option(self, name: str, value: Any = True) -> None:
        """Set an option."""
        self.session.options[name] = value
        if name == 'order_volume_ratio':
            self.costs.set_volume_ratio(float(value))
        elif name == 'use_real_price' and not value or name == 'match_by_signal' and value or name == 't0_mode' and value:
            why = 'prices are always real ones' if name == 'use_real_price' else 'the rules of the exchange stand'
            self.session.say_once(f'set_option({name!r}, {value!r}) is not followed: {why}')
        elif name not in OPTIONS:
            self.session.say_once(f'set_option({name!r}) is not known, and does nothing')

    def set_benchmark(self, security: Any) -> None:
        """Leave the benchmark to the run: the command looks for it in the store."""

    def set_universe(self, security_list: Any) -> None:
        """Set what `history` is about where it is not said."""
        self.session.universe = [security_list] if isinstance(security_list, str) else list(security_list)

    def record(self, **values: Any) -> None:
        """Keep values, to be drawn."""
        for name, value in values.items():
            self.strategy.recorded.setdefault(name, []).append((self.session.today, float(value)))

    def inout_cash(self, cash: float, pindex: int = 0) -> None:
        """Bring in money, or take it out, at the end of the day."""
        self.strategy.broker.add_cash(float(cash))

    def normalize_code(self, code: Any) -> Any:
        """Return codes as the platform writes them."""
        from ..feeds.codes import canonical_code

        return canonical_code(code) if isinstance(code, (str, int)) else [canonical_code(each) for each in code]

    def _idle(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""


def public(of: Any) -> dict[str, Any]:
    """Return the methods that a script calls."""
    return {name: getattr(of, name) for name, value in vars(type(of)).items() if inspect.isfunction(value) and name[0] != '_'}
