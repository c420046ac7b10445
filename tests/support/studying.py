"""Running studies in tests: a setting over a demo market, and the command."""

import contextlib
import io
import sys

from bt_microcap import MarketStore, MicroCapStrategy
from bt_microcap.__main__ import main
from bt_microcap.profiles import CONVENTIONS
from bt_microcap.study.trials import Setting
from tests.support.script_calls import Outcome


def setting_over(table, strategy=MicroCapStrategy, profile='realistic', cash=1e6, rules=None, start=None, end=None, **params):
    store = table if isinstance(table, MarketStore) else MarketStore.from_table(table)
    return Setting(store, strategy, params, profile, rules or {}, cash, start, end, dict(CONVENTIONS[profile]))


def command(*arguments):
    """Run a command of the package in this process."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ['bt-microcap', *map(str, arguments)]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
        finally:
            sys.argv = before
    return Outcome(status, out.getvalue(), err.getvalue())
