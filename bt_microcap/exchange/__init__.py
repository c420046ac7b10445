"""The market's side: the exchange's dated rules, fees, fills, the broker, corporate actions."""

from . import rules as rules
