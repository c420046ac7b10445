"""The commands of the terminal, one module each with ``main(arguments)``."""

COMMANDS = {
    'backtest': 'run the micro-cap rotation over a market and write what it did',
    'optimize': 'run a grid of parameters over a market, on several cores',
    'study': 'doubt a strategy: its rebalance day, its start, its costs, more money, params chosen on the past',
    'heatmap': 'draw figures of a grid over any two of its params, and say how good the neighbours of the best are',
    'search': 'look for good parameters by Optuna, on several cores',
    'orders': "list tomorrow's orders for an account, and write them as files that terminals take",
    'fills': 'book what the broker really filled into an account',
    'slippage': 'compare real fills with what a backtest assumes',
    'report': 'make the HTML report of a run, or of several side by side',
    'presets': 'show the presets of the strategy side by side',
    'ingest': 'make a store of the whole market, keep it up to date, check it, compare two',
    'reconcile': 'replay a JoinQuant account and compare it with its own export, order by order',
    'bench': 'measure what a run costs, beside plain Backtrader',
}
