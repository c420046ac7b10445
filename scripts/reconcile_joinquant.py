"""Replay a JoinQuant account and compare: `bt_microcap.commands.reconcile` from a checkout."""

import sys

from bt_microcap.commands.reconcile import main

if __name__ == '__main__':
    sys.exit(main())
