"""Make a store of the whole market from what you have, keep it up to date, check it, compare two.

    {ingest} parquet|csv FILE... --store DIR [--append]
    {ingest} xbx FOLDER --store DIR
    {ingest} tushare|baostock|joinquant|akshare --start D [--end D] --store DIR
    {ingest} baostock --start D --shares akshare|mootdx|baostock|FILE --store DIR
    {ingest} --check DIR
    {ingest} --compare DIR DIR

A store is a folder of memory-mapped arrays: opened at once, read only where it is used, shared by processes. The
same command again brings a source's store up to date, and goes on after an interruption; rows from files are added by
--append. A report on the data is printed, and written to DIR.report.txt; rows that were mended or left out are listed in
DIR.quarantine.csv.
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import date
from pathlib import Path
from typing import Any

from ..feeds import sources
from ..feeds.columns import CODE_PATTERN
from ..feeds.errors import DataError
from ..feeds.invocation import title
from ..feeds.store import MANIFEST, MarketStore, check
from .command_line import Parser, add_table_arguments, day, number, one_line_errors, progress
from .market_data import reading

INDEX = re.compile(r'(\d{6})=(.+)')
ENDINGS = {'parquet': ('.parquet',), 'csv': ('.csv', '.csv.gz')}
FOLDERS = ('xbx',)  # sources that need a folder
SHARES = ('akshare', 'mootdx', 'baostock')  # of `feeds.sources.shares`, which brings pandas


def index_file(text: str) -> tuple[str, Path]:
    """Argument type: an index and a file, as 000300=FILE."""
    match = INDEX.fullmatch(text)
    if not match:
        raise argparse.ArgumentTypeError(f'found {text!r}, expected six digits and a file, as 000300=FILE')
    return match[1], Path(match[2])


def index_or_file(text: str) -> str:
    """Argument type: an index as 000300, or with a file as 000300=FILE."""
    if not re.fullmatch(r'\d{6}(=.+)?', text):
        raise argparse.ArgumentTypeError(f'found {text!r}, expected six digits as 000300, or 000300=FILE')
    return text


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser('ingest', description=__doc__.replace('{ingest}', title('ingest')),
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*ENDINGS, *sources.SOURCES]
    parser.add_argument('source', nargs='?', choices=names, metavar='SOURCE', help=', '.join(names))
    parser.add_argument('inputs', nargs='*', type=Path, metavar='INPUT', help='files, or the folder of xbx')
    parser.add_argument('--store', type=Path, metavar='DIR', help='the folder to make or extend')
    parser.add_argument('--append', action='store_true', help='parquet, csv: add rows to the store; those it has are replaced')
    parser.add_argument('--start', type=day, help='first day, YYYY-MM-DD')
    parser.add_argument('--end', type=day, help='last day, YYYY-MM-DD (default of a download: today)')
    parser.add_argument('--codes', nargs='+', metavar='CODE', help='only these stocks, such as 600000.XSHG')
    add_table_arguments(parser, 'parquet, csv')
    parser.add_argument('--benchmark', type=index_or_file, action='append', default=[], metavar='INDEX[=FILE]',
                        help='also keep an index: 000300 of a download, 000300=FILE with date and close')
    parser.add_argument('--members', type=index_file, action='append', default=[], metavar='INDEX=FILE',
                        help='members of an index: code and date of each list, or the days on which each came and went')
    parser.add_argument('--listings', type=Path, metavar='FILE', help='code, listed, delisted')
    parser.add_argument('--names', type=Path, metavar='FILE', help='code, date from which it holds, name')
    parser.add_argument('--industries', type=Path, metavar='FILE', help='code, date from which it holds, industry')
    parser.add_argument('--from-files', type=Path, metavar='FOLDER', help="the source's saved frames instead of a download")
    parser.add_argument('--cache', type=Path, metavar='DIR', help='raw answers of a download (default: beside the store)')
    parser.add_argument('--refresh', type=number(int, 1), default=0, metavar='DAYS',
                        help='of a download: ask for the last DAYS weekdays anew, for rows that were restated')
    parser.add_argument('--shares', metavar='SOURCE|FILE',
                        help=f'baostock: total shares for the market caps, from {", ".join(SHARES)}, or a file with code, date, '
                             'shares')
    parser.add_argument('--skip-bad', action='store_true',
                        help='leave out bad files, and stocks that a service answers with nothing, and report them')
    parser.add_argument('--check', type=Path, metavar='DIR', help='read a whole store and compare it with its manifest')
    parser.add_argument('--compare', type=Path, nargs=2, metavar='DIR', help='compare two stores of the same market')
    args = parser.parse_args(pargs)
    args.store = args.store and args.store.resolve()
    if args.check or args.compare:
        if args.source or args.store or args.append or (args.check and args.compare):
            parser.error(f'--{"check" if args.check else "compare"} goes alone')
        return args
    if not args.source:
        parser.error(f'found no source, expected one of {", ".join(names)}')
    if not args.store:
        parser.error('found no --store, expected the folder to make or extend')
    _check_inputs(parser, args)
    return args


def _check_inputs(parser: Parser, args: argparse.Namespace) -> None:
    if args.source in ENDINGS:
        if not args.inputs:
            parser.error('found no files, expected canonical tables')
        for file in args.inputs:
            if not file.name.lower().endswith(ENDINGS[args.source]):
                parser.error(f'{file}: found no {args.source} file, expected {" or ".join(ENDINGS[args.source])}')
        for name in ('codes', 'from_files', 'cache', 'skip_bad', 'refresh', 'shares'):
            if getattr(args, name):
                parser.error(f'--{name.replace("_", "-")} does nothing with {args.source}: files are taken as they are')
        for name in args.benchmark:
            if '=' not in name:
                parser.error(f'--benchmark {name}: found no file, expected --benchmark {name}=FILE with date and close')
        _check_days(parser, args)
        return
    for name in ('rename', 'scale'):
        if getattr(args, name):
            parser.error(f'--{name} goes with parquet and csv: the columns of {args.source} are known')
    if args.shares and args.source != 'baostock':
        parser.error(f'--shares goes with baostock: {args.source} has market caps')
    if args.refresh and (args.source in FOLDERS or args.from_files):
        parser.error('--refresh goes with a download: files are read as they are')
    if args.append:
        parser.error(f'--append goes with parquet and csv: {args.source} extends a store by itself')
    if args.source in FOLDERS:
        if len(args.inputs) != 1:
            parser.error(f'found {len(args.inputs)} inputs, expected the folder of {args.source}')
    elif args.inputs:
        parser.error(f'found {args.inputs[0]}, expected no input: {args.source} downloads; or give --from-files FOLDER')
    elif not args.start and not args.from_files:
        parser.error('found no --start, expected the first day of the download')
    _check_days(parser, args)
    downloads = [name for name in args.benchmark if '=' not in name]
    if len(downloads) > 1:
        parser.error(f'--benchmark {downloads[1]}: found a second index to download, expected one a command')
    from ..feeds.codes import canonical_code

    for place, text in enumerate(args.codes or ()):
        code = canonical_code(text)
        if code is None or not re.fullmatch(CODE_PATTERN, code):
            parser.error(f'argument --codes: found {text!r}, expected codes such as 600000.XSHG, 000001.XSHE or 835508.BJSE')
        args.codes[place] = code


def _check_days(parser: Parser, args: argparse.Namespace) -> None:
    if args.start and args.end and args.start > args.end:
        parser.error(f'--start {args.start} is after --end {args.end}')


def side_tables(args: argparse.Namespace) -> dict[str, Any]:
    """Return the tables beside the market that the user gives as files."""
    given = [(name, '', getattr(args, name)) for name in ('listings', 'names', 'industries') if getattr(args, name)]
    given += [('constituents', *member) for member in args.members]
    given += [('benchmarks', *index_file(name)) for name in args.benchmark if '=' in name]
    if not given:
        return {}
    import pandas as pd

    from ..feeds.side_tables import read_side_table

    tables: dict[str, Any] = {}
    for name, index, path in given:
        table = read_side_table(name, path, index)
        tables[name] = pd.concat([tables[name], table], ignore_index=True) if name in tables else table
    return tables


class Bar:
    """A progress bar that is told what is done and what there is to do, and shows the time that is left."""

    def __init__(self, label: str) -> None:
        self._label, self._bar, self._done, self._total = label, None, 0, 0

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is."""
        if self._bar is None or total != self._total or done < self._done:
            self.close()
            self._bar, self._done, self._total = progress(total=max(1, total), label=self._label), 0, total
        self._bar.update(done - self._done)
        self._done = done

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def tell(self, text: str) -> None:
        """Print a line above the bar."""
        self.close()
        print(text, file=sys.stderr, flush=True)


@one_line_errors
def main(pargs: list[str] | None = None) -> int:
    """Make, extend, check or compare stores."""
    args = parse_args(pargs)
    if args.check:
        print(f'{args.check}: {check(args.check)} files are as they were written')
        return 0
    if args.compare:
        from ..feeds.store import compare

        first, second = (MarketStore.open(path) for path in args.compare)
        print('\n'.join(compare.compare(first, second, (str(args.compare[0]), str(args.compare[1])))))
        return 0
    bar = Bar(args.source)
    try:
        store, skipped = ingest(args, bar)
    except KeyboardInterrupt:
        bar.tell('interrupted: the same command goes on' if args.source not in (*ENDINGS, *FOLDERS) else 'interrupted')
        return 130
    finally:
        bar.close()
    print(describe(store))
    if 'columns' in store.about:
        print(f'columns: {store.about["columns"]}')
    from ..feeds import quarantine
    from ..feeds.store import data_report

    found = store.findings()
    lines = data_report.describe(store).lines()
    lines += indices_of(store)
    lines += [f'left out: {reason}' for reason in skipped]
    path = args.store.with_name(args.store.name + '.report.txt')
    written = f'{args.store}/ and {path}'
    listed = args.store.with_name(args.store.name + '.quarantine.csv')
    if len(found):
        quarantine.save(found, listed)
        lines = [*lines, *quarantine.report_lines(found)]
        written = f'{args.store}/, {path} and {listed}'
        lines.append(f'{quarantine.summary_line(found)}; each is in {listed.name}')
    else:
        listed.unlink(missing_ok=True)  # of a store that is no more
    print('\n'.join(lines))
    data_report.save(lines, path)
    print(f'written {written}')
    return 0


def ingest(args: argparse.Namespace, bar: Bar) -> tuple[MarketStore, list[str]]:
    """Make or extend the store; return it, and the files that were left out."""
    from ..feeds.store import writer  # not for --help: with it comes pandas

    sides = side_tables(args)
    if args.source in ENDINGS:
        return writer.ingest(args.inputs, args.store, append=args.append, progress=bar, reading=reading(args),
                             strict=args.strict, reference_data=sides), []
    about: dict[str, Any] = {'source': args.source}
    there = (args.store / MANIFEST).exists()
    if there and args.codes:
        check_others(args)
    if args.source == 'baostock':
        args.shares = shares_of(args, bar) if there else args.shares
        if args.shares:
            about['shares'] = args.shares
    before = MarketStore.open(args.store) if there else None
    request = sources.Request(
        folder=args.inputs[0] if args.inputs else args.from_files, start=args.start,
        end=args.end or (None if args.inputs or args.from_files else date.today()), codes=args.codes,
        cache=args.cache or args.store.with_name(args.store.name + '.cache'),
        benchmark=next((name for name in args.benchmark if '=' not in name), None), skip_bad=args.skip_bad,
        refresh=args.refresh, shares=args.shares, progress=bar, say=bar.tell, about=about,
        before=before.codes.tolist() if before is not None else [], since=before.span()[0] if before is not None else None)
    store = writer.ingest_tables(
        sources.read(args.source, request), args.store, append=there, about=request.about, reference_data=request.reference_data,
        strict=args.strict, given=sides, renamed=request.renamed)
    return store, request.skipped


def check_others(args: argparse.Namespace) -> None:
    """Refuse to bring some stocks of a store up to date: the others would have no rows then, and look as if they had ended.

    Raises
    ------
    DataError
        The store has other stocks, and the download goes beyond its last day.
    """
    store = MarketStore.open(args.store)
    others = len(set(store.codes.tolist()).difference(args.codes))
    last = store.span()[1]
    if others and (args.end or date.today()) > last:
        raise DataError(f'{args.store}: found {others:,} other stocks, which would have no rows after {last} and look as if they '
                        f'had ended; leave out --codes, give --end {last}, or another --store')


def shares_of(args: argparse.Namespace, bar: Bar) -> str | None:
    """Return where the shares of a store that is brought up to date come from: where they came from before.

    Raises
    ------
    DataError
        From a file that is not given again: without it all market caps would become other ones.
    """
    before = MarketStore.open(args.store).about.get('shares')
    if args.shares or not before:
        return args.shares
    if before not in SHARES:
        raise DataError(f'{args.store}: found a store with --shares {before}, expected the file again: give --shares FILE, or '
                        f'one of {", ".join(SHARES)}')
    bar.tell(f'--shares {before}, as the store was made')
    return before


def indices_of(store: MarketStore) -> list[str]:
    """Return a line for each index that a store keeps."""
    prices = store.reference_table('benchmarks').groupby('index')['date'].nunique()
    members = store.reference_table('constituents').groupby('index')['date'].nunique()
    return [f'index {index}: prices of {prices.get(index, 0):,} days, {members.get(index, 0):,} lists of members'
            for index in sorted({*prices.index, *members.index})]


def describe(store: MarketStore) -> str:
    """Return one line about a store."""
    first, last = store.span()
    return (f'{store.path}: {len(store):,} stocks, {len(store.days):,} days from {first} to {last}, {store.rows:,} rows, '
            f'columns {", ".join(store.columns)}')
