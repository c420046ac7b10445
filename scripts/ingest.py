"""Make a store of the whole market: `bt_microcap.commands.ingest` from a checkout."""

import sys

from bt_microcap.commands.ingest import main

if __name__ == '__main__':
    sys.exit(main())
