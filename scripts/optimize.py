"""Run a grid of parameters over a market: `bt_microcap.commands.optimize` from a checkout."""

import sys

from bt_microcap.commands.optimize import main

if __name__ == '__main__':
    sys.exit(main())
