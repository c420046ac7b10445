"""Make a store of the whole market from canonical tables, extend it, or check it.

    ingest.py parquet|csv FILE... --store DIR [--append]
    ingest.py --check DIR

A store is a folder of memory-mapped arrays: opened at once, read only where it is used, shared by processes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bt_microcap.command_line import Parser, progress, script
from bt_microcap.feeds import store_writer
from bt_microcap.feeds.store import MarketStore, check

ENDINGS = {'parquet': ('.parquet',), 'csv': ('.csv', '.csv.gz')}


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser(prog='ingest.py', description=__doc__.splitlines()[0])
    parser.add_argument('source', nargs='?', choices=sorted(ENDINGS), help='what the files are')
    parser.add_argument('files', nargs='*', type=Path, metavar='FILE', help='canonical tables')
    parser.add_argument('--store', type=Path, metavar='DIR', help='the folder to make or extend')
    parser.add_argument('--append', action='store_true', help='add rows to the store; those it has already are replaced')
    parser.add_argument('--check', type=Path, metavar='DIR', help='read a whole store and compare it with its manifest')
    args = parser.parse_args(pargs)
    if args.check:
        if args.source or args.store or args.append:
            parser.error('--check goes alone: ingest.py --check DIR')
        return args
    if not args.source:
        parser.error(f'found no source, expected one of {", ".join(sorted(ENDINGS))}')
    if not args.store:
        parser.error('found no --store, expected the folder to make or extend')
    if not args.files:
        parser.error('found no files, expected canonical tables')
    for file in args.files:
        if not file.name.lower().endswith(ENDINGS[args.source]):
            parser.error(f'{file}: found no {args.source} file, expected {" or ".join(ENDINGS[args.source])}')
    return args


@script
def main(pargs: list[str] | None = None) -> int:
    """Make, extend or check a store."""
    args = parse_args(pargs)
    if args.check:
        print(f'{args.check}: {check(args.check)} files are as they were written')
        return 0
    bar = progress(total=100, label='rows')
    done = 0

    def show(rows: int, total: int) -> None:
        nonlocal done
        percent = min(100, 100 * rows // max(1, total))
        bar.update(percent - done)
        done = percent

    store = store_writer.ingest(args.files, args.store, append=args.append, progress=show)
    bar.close()
    print(describe(store))
    return 0


def describe(store: MarketStore) -> str:
    """Return one line about a store."""
    first, last = store.span()
    return (f'{store.path}: {len(store):,} stocks, {len(store.days):,} days from {first} to {last}, {store.rows:,} rows, '
            f'columns {", ".join(store.columns)}')


if __name__ == '__main__':
    sys.exit(main())
