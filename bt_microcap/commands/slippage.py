"""Compare real fills with what a backtest assumes, and say which --slippage would have matched."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from ..feeds.errors import DataError
from ..feeds.invocation import command
from ..live.account import load
from ..live.books import BUY, SELL, FillRow
from ..live.slippage import Cost, broker_of, cost_of, matching
from ..live.text_tables import read_rows
from ..profiles import PROFILES
from ..record.param_texts import as_text
from ..views.language import ENGLISH, LANGUAGES, say
from ..views.order_text import table
from .command_line import Parser, add_profile_arguments, add_table_arguments, one_line_errors, overrides
from .market_data import open_whole

NEEDED = ('datetime', 'code', 'side', 'quantity', 'price')
COLUMNS = {**dict.fromkeys(NEEDED, ''), 'datetime': 'date 成交日期', 'open': ''}


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser('slippage', description=__doc__.splitlines()[0])
    parser.add_argument('--journal', type=Path, required=True, metavar='FILE', help='ACCOUNT.journal.csv')
    parser.add_argument('--data', type=Path, help='store or table with the opens that the journal does not have')
    add_table_arguments(parser)
    parser.add_argument('--profile', choices=sorted(PROFILES), help="(default: the account's, which lies beside the journal)")
    parser.add_argument('--lang', choices=LANGUAGES, default=ENGLISH, help='(default: en)')
    add_profile_arguments(parser)
    return parser.parse_args(pargs)


@one_line_errors
def main(pargs: list[str] | None = None) -> int:
    """Compare."""
    args = parse_args(pargs)
    fills = fills_of(args)
    values = rules_of(args)
    broker = broker_of(values)
    known = [fill for fill in fills if fill.open > 0]
    if not known:
        raise DataError(f'{args.journal}: found {len(fills)} fills, none with the open of its day; give --data STORE, or book '
                        f'them with {command("fills")} --data STORE')
    parts = say(args.lang, 'in parts of 10,000')
    rows = [['', say(args.lang, 'fills'), say(args.lang, 'value at the open'), say(args.lang, 'cost beyond it'), parts,
             say(args.lang, 'assumed'), parts]]
    kinds = (say(args.lang, 'buys'), (BUY,)), (say(args.lang, 'sales'), (SELL,)), (say(args.lang, 'all'), (BUY, SELL))
    for name, sides in kinds:
        rows.append(_row(name, cost_of([fill for fill in known if fill.side in sides], broker)))
    print('\n'.join(table(rows)))
    if len(known) < len(fills):
        print(say(args.lang, '{count} fills are left out: the open of their day is not known; {call} tells it',
                  call='--data STORE', count=len(fills) - len(known)))
    found = matching(known, broker)
    more = '' if found.keeps_ticks else ' --min-slippage-ticks 0'
    real = cost_of(known, broker).real
    if real <= 0:
        print(say(args.lang, 'the fills were no worse than the opens: {call} is the least', call='--slippage 0'))
        return 0
    print(say(args.lang, 'the backtest would have assumed {yuan} yuan with: {call}', yuan=f'{found.assumed:,.2f}',
              call=f'--slippage {as_text(found.slippage)}{more}'))
    if abs(found.assumed - real) >= 0.01:
        print(say(args.lang, 'prices go by steps: no slippage comes nearer to the {yuan} yuan that the fills cost',
                  yuan=f'{real:,.2f}'))
    return 0


def _row(name: str, cost: Cost) -> list[str]:
    return [name, f'{cost.fills:,}', f'{cost.value:,.2f}', f'{cost.real:,.2f}', f'{1e4 * cost.real_share:.1f}',
            f'{cost.assumed:,.2f}', f'{1e4 * cost.assumed_share:.1f}']


def rules_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the profile's values: those that are given, else the account's beside the journal, else of the realistic one."""
    values: dict[str, Any] = {}
    account = args.journal.with_name(args.journal.name.removesuffix('.journal.csv') + '.json')
    if args.profile is not None:
        values = dict(PROFILES[args.profile])
    elif args.journal.name.endswith('.journal.csv') and account.is_file():
        values = dict(load(account).rules['values'])
    return {**PROFILES['realistic'], **values, **overrides(args)}


def fills_of(args: argparse.Namespace) -> list[FillRow]:
    """Return the fills of a journal, with the opens of the data where the journal has none."""
    if args.journal.suffix == '.json':
        raise DataError(f'--journal {args.journal}: is an account; give {args.journal.with_suffix(".journal.csv")} beside it')
    rows, _ = read_rows(args.journal, COLUMNS, NEEDED, dict(args.rename))
    store = None if args.data is None else open_whole(args.data, args)[0]
    known = set() if store is None else set(store.codes.tolist())
    found = []
    for row in rows:
        day, code, side = row.day('datetime'), row.code(), row.text('side').upper()
        if side not in (BUY, SELL) or day is None:
            raise DataError(f'{row.source}: found {side or "no side"}, expected a fill with its day and BUY or SELL')
        opening = row.number('open')
        if not opening > 0 and store is not None:
            number = store.day_number(day.toordinal())
            if number < len(store.days) and int(store.days[number]) == day.toordinal() and code in known:
                opening = float(store.vector('open', number)[store.stock_number(code)])
        found.append(FillRow(day, code, side, int(abs(row.number('quantity'))), row.number('price'), 0.0, 0.0, 0.0,
                             opening if opening > 0 else math.nan))
    return found
