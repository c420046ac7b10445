"""The decision: when to trade, which stocks, how much."""
