"""Measure what a run costs: `bt_microcap.commands.bench` from a checkout."""

import sys

from bt_microcap.commands.bench import main

if __name__ == '__main__':
    sys.exit(main())
