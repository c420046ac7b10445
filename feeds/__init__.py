"""How a market gets into Cerebro: the canonical table, its checks, and the feeds made from it."""
