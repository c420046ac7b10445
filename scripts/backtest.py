"""Run the micro-cap rotation over a market: `bt_microcap.commands.backtest` from a checkout."""

import sys

from bt_microcap.commands.backtest import main

if __name__ == '__main__':
    sys.exit(main())
