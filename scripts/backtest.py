"""Run the micro-cap rotation over a market: `bt_microcap.commands.backtest` from a checkout."""

import sys

from bt_microcap.__main__ import command_main

main = command_main('backtest')

if __name__ == '__main__':
    sys.exit(main())
