"""Replay a JoinQuant account through the plugin and compare it with its own export, order by order.

Prints how many fills, refusals and daily positions match, the largest cash difference, then each difference.
Exit status 0 only when all match.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..feeds.errors import DataError
from ..feeds.invocation import title
from ..record.files import write_csv, write_run
from .command_line import Parser, number, one_line_errors, output_folder


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser('reconcile', description=__doc__.splitlines()[0])
    parser.add_argument('--log', type=Path, required=True, help='order log as exported (GB18030 or UTF-8)')
    parser.add_argument('--positions', type=Path, required=True, help='daily positions as exported (CSV)')
    parser.add_argument('--stocknum', type=number(int, 1), default=3, help="the account's stocks held (default: 3)")
    parser.add_argument('--refresh-rate', type=number(int, 1), default=5, help="the account's trading days (default: 5)")
    parser.add_argument('--cash', type=number(float, 0, open_low=True),
                        help='yuan at the start (default: as the first order implies)')
    parser.add_argument('--out', type=Path, help='also write the replay and the comparison into this folder')
    return parser.parse_args(pargs)


@one_line_errors
def main(pargs: list[str] | None = None) -> int:
    """Replay and compare."""
    args = parse_args(pargs)
    from ..joinquant import reconcile  # not for --help: with it comes pandas
    from ..joinquant.log import parse_log, parse_positions

    parsed = parse_log(args.log)
    positions = parse_positions(args.positions)
    if not len(positions) and any(order.reason is None for order in parsed):
        raise DataError(f'{args.positions}: found no positions, but the log has fills; export the positions again')
    out = output_folder(args.out) if args.out else None
    result = reconcile.replay(list(parsed), positions, stocknum=args.stocknum, refresh_rate=args.refresh_rate, cash=args.cash)
    for line in reconcile.report_lines(result):
        print(line)
    for notice in parsed.notices:
        print(f'notice: line {notice.line}: {notice.text}')
    if out:
        write_run(out, result.blotter, reconcile.summary(result))
        write_csv(out / 'comparison.csv', reconcile.comparison_columns(), result.rows)
        print(f'written {out}/: comparison.csv, and the files of {title("backtest")}')
    print('all matched' if result.matched else f'{len(result.differences)} differences')
    return 0 if result.matched else 1
