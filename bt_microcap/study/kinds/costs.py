"""How a result depends on what is assumed of costs and fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ...profiles import PROFILES
from ...record.param_texts import as_text
from ..ledger import Ledger
from ..own_code import runs_script
from ..trials import Setting, Trial
from .base import Kind, Plan, check_length, done, market_return

VALUES: dict[str, Sequence[float]] = {
    'slippage': (0.0, 0.001, 0.002, 0.004, 0.006, 0.01, 0.02),  # in all, half of it each way
    'commission': (0.0, 0.0001, 0.0002, 0.0003, 0.0005, 0.001, 0.002),
    'volume_limit': (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.0),  # 0: none, the mildest
}


@dataclass(frozen=True)
class Costs(Kind):
    """The same strategy under other slippage, commission and volume limits, one of them changed at a time.

    Parameters
    ----------
    values : mapping of str to sequence
        Keys of the profile, each with its values; the user's own is added.
    """

    name: ClassVar[str] = 'costs'
    values: Mapping[str, Sequence[Any]] = field(default_factory=lambda: VALUES)

    def plan(self, setting: Setting) -> Plan:
        """Return a run for each value of each rule, and the user's own."""
        check_length(setting)
        trials = [Trial(('own', 'own'))]
        rules = rules_of(setting)
        for name, values in self.values.items():
            own = rules.get(name)  # not known of a JoinQuant script, which sets its own
            listed = [*values, *([] if own is None or as_text(own) in map(as_text, values) else [own])]
            trials += [Trial((name, as_text(value)), rules={name: value}) for value in sorted(listed, key=_severity(name))]
        return Plan(('rule', 'value'), trials, ('own', 'own'))

    def facts(self, setting: Setting, plan: Plan, ledger: Ledger) -> dict[str, Any]:
        """Return what each step costs, and where nothing is left."""
        keys = done(plan, ledger)
        rules = rules_of(setting)
        days = setting.days()
        own = ledger.figures[plan.own]['annual_return'] if plan.own in ledger else None
        market = market_return(setting, days)
        curves: dict[str, list[list[Any]]] = {}
        for rule, value in keys:
            if rule != 'own':
                curves.setdefault(rule, []).append([value, ledger.figures[rule, value]['annual_return']])
        found: dict[str, Any] = {'own_return': own, 'market_return': market, 'curves': curves,
                                 'own': {name: as_text(rules[name]) for name in self.values if name in rules}, 'slope': None,
                                 'break_even': None, 'market_even': None, 'most': None}
        points = [(float(value), annual) for value, annual in curves.get('slippage', []) if _is_number(value)]
        slipping = [point for point in points if point[0] > 0]
        if len(slipping) > 1:
            # of each further 0.1 %: between none and the least lies the first price step, which is another matter
            across, up = zip(*slipping, strict=True)
            found |= {'slope': float(np.polyfit(across, up, 1)[0]) / 1000, 'most': max(across),
                      'break_even': _crossing(points, 0.0),
                      'market_even': None if market is None else _crossing(points, market)}
        return found


def rules_of(setting: Setting) -> dict[str, Any]:
    """Return the profile of a setting with its own values; of a JoinQuant script, which may set others, only these."""
    return dict(setting.rules) if runs_script(setting.strategy) else {**PROFILES[setting.profile], **setting.rules}


def _severity(name: str) -> Any:
    """Return the order of a rule's values, the mildest first: no volume limit is milder than any, and the larger the milder."""
    if name == 'volume_limit':
        return lambda value: -value if value else -float('inf')
    return lambda value: (isinstance(value, str), value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _crossing(points: list[tuple[float, float]], level: float) -> float | None:
    """Return where a line through some points first falls below a level; None where it never does, or begins below.

    From none to the least slippage it goes in one step, that of the price.
    """
    for (left, high), (right, low) in zip(points, points[1:], strict=False):
        if high >= level > low:
            return right if not left else left + (right - left) * (high - level) / (high - low)
    return None
