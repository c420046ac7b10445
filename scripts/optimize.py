"""Run a grid of parameters over a market: `bt_microcap.commands.optimize` from a checkout."""

import sys

from bt_microcap.__main__ import command_main

main = command_main('optimize')

if __name__ == '__main__':
    sys.exit(main())
