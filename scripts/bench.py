"""Measure what a run costs: `bt_microcap.commands.bench` from a checkout."""

import sys

from bt_microcap.__main__ import command_main

main = command_main('bench')

if __name__ == '__main__':
    sys.exit(main())
