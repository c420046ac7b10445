"""Replay a JoinQuant account and compare: `bt_microcap.commands.reconcile` from a checkout."""

import sys

from bt_microcap.__main__ import command_main

main = command_main('reconcile')

if __name__ == '__main__':
    sys.exit(main())
