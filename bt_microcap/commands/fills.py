"""Book what the broker really filled into an account.

The file's columns are recognised as a broker's program calls them. All of it is booked, or nothing; a fill twice is refused.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..exchange import rules
from ..feeds.errors import DataError
from ..feeds.store import MarketStore
from ..live import sessions
from ..live.account import Account, changing
from ..live.booking import book, compared, last_fills
from ..live.books import FillRow, differences, order_stem
from ..live.day import check_events, ex_rights_of
from ..live.statement import Fees, Statement, read_statement, together
from ..views.language import ENGLISH, LANGUAGES, say
from ..views.order_text import compared_lines
from .account_arguments import add_account_argument, data_of, read_holdings, yuan
from .command_line import Parser, add_table_arguments, day, one_line_errors
from .market_data import open_whole


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser('fills', description=__doc__.splitlines()[0])
    add_account_argument(parser)
    parser.add_argument('--fills', type=Path, action='append', default=[], metavar='FILE',
                        help='what was filled, as the broker exports it: CSV, or text with tabs, in UTF-8 or GBK; several files '
                             'are booked together')
    parser.add_argument('--skip-booked', action='store_true',
                        help="leave out fills whose number is booked already, of an export that grows from day to day")
    parser.add_argument('--unfilled', type=day, metavar='D',
                        help='nothing more was filled of the lists up to that day: they remind no longer')
    parser.add_argument('--date', type=day, metavar='D', help='of all rows, where the file has no dates')
    parser.add_argument('--undo', action='store_true', help='take the last booking back; its rows are kept in ACCOUNT.undone.csv')
    parser.add_argument('--ex-rights', action='store_true',
                        help='book ex-dates of holdings that the account knows nothing of as the data says, as a backtest does')
    parser.add_argument('--data', type=Path, help='store or table, by which fills are checked and their opens noted (default: '
                                                  'what the account began with)')
    add_table_arguments(parser, 'the file')
    parser.add_argument('--cash', type=yuan, metavar='YUAN', help='that the broker shows now: refuse what differs')
    parser.add_argument('--holdings', type=Path, metavar='FILE', help='that the broker shows now: refuse what differs')
    parser.add_argument('--lang', choices=LANGUAGES, default=ENGLISH, help='(default: en)')
    args = parser.parse_args(pargs)
    if args.undo and (args.fills or args.ex_rights or args.unfilled):
        parser.error('--undo takes a booking back, and books nothing: give it alone')
    if not (args.fills or args.ex_rights or args.undo or args.unfilled) and args.cash is None and args.holdings is None:
        parser.error('give --fills FILE, --ex-rights, --undo, --unfilled, or what the broker shows, --cash or --holdings')
    return args


@one_line_errors
def main(pargs: list[str] | None = None) -> int:
    """Book a statement."""
    args = parse_args(pargs)
    with changing(args.account) as account:
        if args.undo:
            return undo(account, args)
        statement, before = Statement([], [], [], 0, {}), (len(account.fills), len(account.events))
        source = ', '.join(map(str, args.fills)) or str(account.journal_path)
        if args.fills:
            fees = Fees(account.rules['values'], account.fills)
            read = [read_statement(path, account, args.date, dict(args.rename), dict(args.scale), fees, args.skip_booked)
                    for path in args.fills]
            statement = together(read)
            book(account, statement, source)
        if args.unfilled is not None:
            if args.unfilled > sessions.today():
                raise DataError(f'--unfilled {args.unfilled}: is to come; today is {sessions.today()}')
            account.settled = max(account.settled, args.unfilled.isoformat())
        booked, data = 0, data_of(args, account)
        if data is not None:
            booked = _with_data(args, account, data, before)
        elif args.ex_rights:
            raise DataError('--ex-rights: the demo market has no ex-dates; give --data')
        books = account.books(source)
        if found := differences(books, args.cash, _shown(args.holdings)):
            raise DataError(f'{args.account}: {"; ".join(found)}; nothing is booked: a fill, a dividend or a fee is missing, or '
                            'is there twice')
        if account.bookings[-1:] != [before] and (len(account.fills), len(account.events)) != before:
            account.bookings.append(before)  # of ex-dates alone
        account.save()
        day, on_day = last_fills(account, statement.fills)
    print(say(args.lang, '{path}: {count} fills and {events} events booked; {cash} yuan of cash and {holdings} holdings',
              path=args.account, count=len(statement.fills), events=len(statement.events) + booked,
              cash=f'{books.cash:,.2f}', holdings=len(books.positions)))
    if args.unfilled is not None:
        print(say(args.lang, 'lists up to {date} remind no longer', date=account.settled))
    if statement.computed:
        print(say(args.lang, 'fees of {count} fills are not in the file: they are those of the account\'s profile',
                  count=statement.computed))
    for text in statement.skipped:
        print(say(args.lang, 'left out: {text}', text=text))
    if day is not None:
        for line in compared_lines(compared(account, on_day, day), args.lang):
            print(line)
    return 0


def undo(account: Account, args: argparse.Namespace) -> int:
    """Take the last booking back."""
    fills, events = account.undo()
    account.save()
    books = account.books()
    print(say(args.lang, '{path}: {count} fills and {events} events taken back; {cash} yuan of cash and {holdings} holdings',
              path=args.account, count=len(fills), events=len(events), cash=f'{books.cash:,.2f}', holdings=len(books.positions)))
    return 0


def _with_data(args: argparse.Namespace, account: Account, data: Path, before: tuple[int, int]) -> int:
    """Check what is new by the data, note the opens, and book ex-dates where that is asked for; return how many."""
    # --rename and --scale are about the file of fills
    store, source = open_whole(data, argparse.Namespace(**{**vars(args), 'rename': [], 'scale': [], 'strict': False}))
    account.fills[before[0]:] = [_met(fill, store, source) for fill in account.fills[before[0]:]]
    check_events(store, account, before[1], source)
    if not args.ex_rights:
        return 0
    events = ex_rights_of(store, account)
    account.events += events
    check_events(store, account, before[1], source)
    return len(events)


def _met(fill: FillRow, store: MarketStore, source: str) -> FillRow:
    """Return a fill with the open of its day, where the data has that day.

    Raises
    ------
    DataError
        It cannot have been filled then, or at its price.
    """
    number, day = store.day_number(fill.datetime.toordinal()), fill.datetime.toordinal()
    if number == len(store.days):
        return fill
    said = f'{fill.datetime} {fill.code} {fill.side} {fill.quantity:,} at {fill.price:g}'
    if int(store.days[number]) != day:
        raise DataError(f'{said}: the exchange does not trade on that day, as {source} tells; mend the date')
    try:
        stock = store.stock_number(fill.code)
    except KeyError:
        raise DataError(f'{said}: {source} has no such stock; mend the code, or keep what is beside the strategy in another '
                        'account') from None
    low, high, opened = (float(store.vector(name, number)[stock]) for name in ('low', 'high', 'open'))
    half = rules.half_tick(fill.code)
    if fill.order_id.startswith(order_stem(fill.datetime, fill.code, fill.side)):
        return fill  # of a replay, whose slippage may lead beyond the day's prices
    if not low - half <= fill.price <= high + half:  # NaN: no row
        traded = f'between {low:g} and {high:g}' if low == low else 'not at all'
        raise DataError(f'{said}: it traded {traded} on that day, as {source} tells; mend the row')
    return fill if fill.open == fill.open else fill._replace(open=opened)


def _shown(path: Path | None) -> dict[str, int] | None:
    return None if path is None else {each.code: each.shares for each in read_holdings(path)}
