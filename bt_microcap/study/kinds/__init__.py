"""Studies: the same strategy run many times, each kind with a question of its own."""

from __future__ import annotations

from .base import Kind
from .capacity import Capacity
from .costs import Costs
from .phases import Phases
from .starts import Starts
from .walk_forward import WalkForward

KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in (Phases, WalkForward, Costs, Capacity, Starts)}
