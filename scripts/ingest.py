"""Make a store of the whole market: `bt_microcap.commands.ingest` from a checkout."""

import sys

from bt_microcap.__main__ import command_main

main = command_main('ingest')

if __name__ == '__main__':
    sys.exit(main())
