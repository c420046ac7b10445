"""How much money a strategy bears."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...record.param_texts import as_text
from ..ledger import Ledger
from ..trials import Setting, Trial
from .base import Kind, Plan, check_length, done
from .costs import rules_of

CASH = (1e5, 3e5, 1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9)  # yuan
# What is assumed where the profile has none: nobody fills a billion at the open as if it were a lot.
VOLUME_LIMIT = 0.1  # of the day's volume
IMPACT = 0.03  # about a day's volatility, see `exchange.fills.slipped`


@dataclass(frozen=True)
class Capacity(Kind):
    """The same strategy with more and more cash, under a volume limit and market impact.

    Parameters
    ----------
    cash : sequence of float
        Yuan, of each run.
    """

    name: ClassVar[str] = 'capacity'
    cash: Sequence[float] = CASH

    def rules(self, setting: Setting) -> dict[str, float]:
        """Return the volume limit and the impact of all runs."""
        own = rules_of(setting)
        return {'volume_limit': own.get('volume_limit') or VOLUME_LIMIT, 'impact': own.get('impact') or IMPACT}

    def plan(self, setting: Setting) -> Plan:
        """Return a run for each sum."""
        check_length(setting)
        rules = self.rules(setting)
        return Plan(('cash',), [Trial((as_text(cash),), rules=rules, cash=cash) for cash in sorted(set(map(float, self.cash)))])

    def facts(self, setting: Setting, plan: Plan, ledger: Ledger) -> dict[str, Any]:
        """Return where half of the return is gone, and with how much money the most is earned."""
        rows = []
        for key in done(plan, ledger):
            cash, figures = float(key[0]), ledger.figures[key]
            traded = figures['traded_value']
            rows.append({
                'cash': cash, 'annual_return': figures['annual_return'], 'profit_a_year': cash * figures['annual_return'],
                'filled_share': figures['filled_share'],
                'cost_rate': (figures['fees'] + figures['slippage_yuan']) / traded if traded else None})
        best = max(rows, key=lambda row: row['annual_return'])
        most = max(rows, key=lambda row: row['profit_a_year'])
        return {'rows': rows, **self.rules(setting), 'best_cash': best['cash'], 'best_return': best['annual_return'],
                'half_cash': _half(rows, best), 'most_cash': most['cash'], 'most_profit': most['profit_a_year'],
                'last_cash': rows[-1]['cash'], 'last_return': rows[-1]['annual_return']}


def _half(rows: list[dict[str, Any]], best: dict[str, Any]) -> float | None:
    """Return the cash beyond that of the best run at which half of its return is left, on a log scale between two runs."""
    level = best['annual_return'] / 2
    if level <= 0:
        return None
    after = rows[rows.index(best):]
    for left, right in zip(after, after[1:], strict=False):
        if left['annual_return'] >= level > right['annual_return']:
            part = (left['annual_return'] - level) / (left['annual_return'] - right['annual_return'])
            return math.exp(math.log(left['cash']) * (1 - part) + math.log(right['cash']) * part)
    return None
