"""A JoinQuant script as a Backtrader strategy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import numpy as np

from ..exchange.broker import AShareBroker
from ..rotation.tally import NothingTradedWarning
from ..rotation.trading import MarketStrategy
from .api.errors import ScriptError
from .api.reference import Reference
from .api.session import AFTER, BEFORE, CLOSE, OPEN, Session
from .globals import G
from .loading import Script, parsed
from .platform import Platform
from .reading import Reading, check
from .schedule import NAMED, Job, part_of

G_PREFIX = 'g.'


class JoinQuantStrategy(MarketStrategy):
    """Runs a JoinQuant (聚宽) script as it is, on the user's own market.

    ::

        cerebro.adddata(MarketFeed(dataname='market'), name='market')
        cerebro.addstrategy(JoinQuantStrategy, script='small_cap.py', **{'g.stocknum': 5})
        setup(cerebro, profile='joinquant')

    Functions before 9:30 know the day before, and of today what the exchanges tell beforehand; those at 9:30 trade at the open;
    those at later times trade at the close, which stands for the whole afternoon; those after 15:00 know the day. A script
    is code of its author's, and runs as any other code: read a stranger's first.

    Under the profile ``joinquant`` the script's own ``set_order_cost``, ``set_slippage`` and ``order_volume_ratio`` count, but
    for what `setup` was given; under ``realistic`` those of the profile.

    Params:

      - ``script`` (required): the file.
      - ``g`` (default: ``()``): pairs of a name and a value, or a dict: what ``g`` is to hold instead of what ``initialize`` puts
        there; a text is read by the type of that. A keyword ``g.stocknum`` does the same, and so varies in ``optstrategy``.
      - ``quiet`` (default: ``False``): whether the log is only kept, in ``log_lines``, and not printed.

    Attributes
    ----------
    log_lines : list of str
        What the script and its orders have logged.
    recorded : dict of str to list of (date, float)
        What ``record()`` was given.
    """

    params = (
        ('script', ''),  # file
        ('g', ()),  # pairs
        ('quiet', False),  # whether nothing is printed
    )

    def __init__(self, **given: Any) -> None:
        wrong = [name for name in given if not name.startswith(G_PREFIX)]
        if wrong:
            raise TypeError(f'JoinQuantStrategy has no param {wrong[0]!r}; it has script, g, quiet, and any g.NAME')
        self.p.g = tuple({**dict(self.p.g), **{name.removeprefix(G_PREFIX): value for name, value in given.items()}}.items())
        self.check_params(self.p._getkwargs())
        super().__init__()
        self.function_name = ''  # of the script, while it runs
        self.log_lines: list[str] = []
        self.recorded: dict[str, list[tuple[date, float]]] = {}
        self.calls: dict[str, int] = {}  # function of the script -> how often it ran
        self._reading = Reading(Path(self.p.script), *parsed(Path(self.p.script)))
        self._began = False
        if self._reading.recorded:
            from .recording import observer_of

            self._addobserver(False, observer_of(self._reading.recorded))

    @classmethod
    def check_params(cls, given: Mapping[str, Any]) -> None:
        """Refuse params that mean nothing.

        Raises
        ------
        ScriptError
            There is no such script.
        """
        if not given['script']:
            raise ScriptError("JoinQuantStrategy needs script='FILE.py', a JoinQuant script")
        if not Path(given['script']).is_file():
            raise ScriptError(f'{given["script"]}: there is no such file; give that of a JoinQuant script')

    # -- the run --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Load the script, and call its ``initialize``.

        Raises
        ------
        ScriptError
            The script asks for what cannot be had, or fails.
        ValueError
            There is no market, or neither our broker nor cheat-on-open.
        """
        super().start()
        markets = [data for data in self.datas if hasattr(data, 'universe')]
        if not markets:
            raise ValueError('JoinQuantStrategy needs the whole market as one feed: cerebro.adddata(MarketFeed(dataname=...), '
                             "name='market')")
        if not (isinstance(self.broker, AShareBroker) and self.at_open):
            raise ValueError("JoinQuantStrategy trades at the open, by AShareBroker: setup(cerebro, profile='joinquant')")
        self._as_it_was()
        self.session = session = Session(self, markets[0])
        session.echo = not self.p.quiet and not getattr(self.cerebro, '_dooptimize', False)
        session.log_lines = self.log_lines
        session.where = lambda: self._script.where()
        self.reference = Reference(session)
        bars = session.days[markets[0].offset:markets[0].end]
        self._platform = Platform(self, session, G(dict(self.p.g)), self._dates(bars))
        check(self._reading, self._platform)
        self._script = Script(self._reading.path, self._reading.tree, self._platform.names, self._platform.modules,
                              self._platform.show)
        if self._reading.remark:
            session.say_once(f'{self._reading.path}: {self._reading.remark}')
        session.place = min(markets[0].offset + 1, len(session.days) - 1)
        session.now = datetime.combine(session.today, time())
        self._schedule = self._platform.schedule
        self._schedule.first = session.today
        self._begin_script()
        self.broker.at_close.append(self._at_close)

    @staticmethod
    def _dates(bars: np.ndarray) -> tuple[date, date]:
        return date.fromordinal(int(bars[min(1, len(bars) - 1)])), date.fromordinal(int(bars[-1]))

    def _as_it_was(self) -> None:
        """Give the broker the rules that it had before a script of an earlier run set others."""
        broker = self.broker
        if not hasattr(broker, 'own_rules'):
            broker.own_rules = dict(broker.p._getkwargs()), dict(broker.comminfo), broker._slips_in_yuan
        rules, fees, in_yuan = broker.own_rules
        for name in ('slippage', 'slippage_ticks', 'min_slippage_ticks', 'volume_limit'):
            setattr(broker.p, name, rules[name])
        broker.comminfo.clear()
        broker.comminfo.update(fees)
        broker._slips_in_yuan, broker.fund_slip = in_yuan, None

    def _begin_script(self) -> None:
        script, names = self._script, self._script.names
        script.run()
        context = self._platform.context
        for name in ('initialize', 'after_code_changed', 'process_initialize'):
            if callable(names.get(name)):
                script.call(names[name], context, name=name)
        self._platform.g.settled(self._reading.path)
        for name in ('before_trading_start', 'handle_data', 'after_trading_end'):
            if callable(names.get(name)):
                self._schedule.add(NAMED, names[name], name)
        if not self._schedule.jobs:
            raise ScriptError(f'{self._reading.path}: nothing is to run: expected run_daily(), run_weekly(), run_monthly() in '
                              'initialize(), or a function handle_data(context, data)')

    def trade(self, day: int) -> None:
        """Run what the script does before and at the open."""
        session, platform = self.session, self._platform
        self._began = True
        session.begin_day()
        platform.orders.begin_day()
        self._run(BEFORE)
        session.turn(OPEN)
        session.now = datetime.combine(session.today, time(9, 30))
        platform.orders.open_session()
        self._run(OPEN)

    def _at_close(self) -> None:
        """Run what the script does later in the session."""
        if self._began:
            self.session.turn(CLOSE)
            self.session.now = datetime.combine(self.session.today, time(15))
            self._platform.orders.look()
            self._run(CLOSE)

    def next(self) -> None:
        """Run what the script does after the close."""
        super().next()
        if self._began and self.broker.is_market_bar:
            self.session.turn(AFTER)
            self._platform.orders.look(end=True)
            self._run(AFTER)
            self._platform.end_day()

    def _run(self, part: int) -> None:
        for job in self._schedule.due(self.session.today):
            # one before it may have taken it off the schedule
            if part_of(job.at) == part and job in self._schedule.jobs:
                self._call(job)

    def _call(self, job: Job) -> None:
        session, name = self.session, getattr(job.function, '__name__', 'function')
        session.now = datetime.combine(session.today, job.at)
        self.function_name = name
        self.calls[name] = self.calls.get(name, 0) + 1
        if session.part == CLOSE:
            session.say_once(f'{self._reading.path.name}: {name}() at {job.said} acts at the close, which stands for the session '
                             'in daily bars', ('close', name))
        args: list[Any] = [self._platform.context]
        if job.kind == NAMED and job.said == 'handle_data':
            args.append(self._platform.bars_of_yesterday())
        self._script.call(job.function, *args, name=name)
        self.function_name = ''

    def stop(self) -> None:
        """End the script, and say where the run has done nothing."""
        if self._began:
            ending = self._script.names.get('on_strategy_end')
            if callable(ending):
                self._script.call(ending, self._platform.context, name='on_strategy_end')
        if self._at_close in self.broker.at_close:
            self.broker.at_close.remove(self._at_close)
        found = self.nothing_traded()
        if found:
            warnings.warn(found, NothingTradedWarning, stacklevel=2)
        self.g = self._platform.g
        if getattr(self.cerebro, '_dooptimize', False):  # what travels back are results, no code
            for name in ('session', 'reference', '_platform', '_script', '_schedule', '_reading'):
                self.__dict__.pop(name, None)

    def nothing_traded(self) -> str:
        """Return why the run has filled no order; empty where it has."""
        platform = getattr(self, '_platform', None)
        if platform is None or platform.portfolio.traded:
            return ''
        ran = ', '.join(f'{name}() {count} times' for name, count in self.calls.items()) or 'nothing'
        orders = platform.orders.given
        return (f'no order was filled: {self._reading.path.name} ran {ran}, and gave '
                + (f'{orders} orders, all refused; the log says why' if orders else 'no order'))


