"""Make the list of tomorrow's orders for an account.

It says what the strategy sells and buys at the next open, with legal lots, limit prices, fees and the cash after; nothing is
ever sent. Without --out it only shows the list; with it files are written and the account remembers what was asked for.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

from ..feeds.errors import DataError
from ..feeds.store import MarketStore
from ..feeds.store.coming import ComingDay, facts_before
from ..live import sessions
from ..live.account import Account, changing, load
from ..live.booking import without_fills
from ..live.books import BUY, SELL, FillRow
from ..live.day import check_day, check_unchanged, orders_of, seen_of
from ..live.facts import Facts, with_facts
from ..live.formats import FORMATS, HOLDINGS, cats, chinese, dts, ptrade, qmt, xt
from ..live.order_list import Blocked, ListedOrder, OrderList, Pricing, as_issued, check_size
from ..live.prices import AUCTION, CAGE, CHOICES, CLOSE
from ..live.text_tables import csv_text
from ..profiles import PROFILES
from ..record.run import unknown_of
from ..views.language import CHINESE, ENGLISH, LANGUAGES, say, translate
from ..views.order_text import notes, shown
from .account_arguments import add_account_argument, chosen_of, data_of, init, same_rules, yuan
from .command_line import (
    Parser,
    add_profile_arguments,
    add_table_arguments,
    check_output_folder,
    day,
    fraction,
    number,
    one_line_errors,
)
from .market_data import open_whole
from .strategy_arguments import add_strategy_arguments, run_one

SHOWN = ('table', 'csv', 'json')
CHINESE_LIST = 'chinese'  # of FORMATS
# files that not every list has
AFTER_SALES = 'after_sales'  # folder of what is given when the sales are filled
OPTIONAL = ('fills.csv', *qmt.FILES.values(), xt.FILE, dts.FILE, cats.FILE, ptrade.FILE, chinese.FILE,
            *(f'{AFTER_SALES}/{name}' for name in (xt.FILE, dts.FILE, cats.FILE)))


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser('orders', description=__doc__.splitlines()[0])
    add_account_argument(parser)
    parser.add_argument('--data', type=Path, help='store, or canonical table: .parquet, .csv, .csv.gz (default: what the '
                                                  'account began with; of a new one the demo market)')
    add_table_arguments(parser)
    parser.add_argument('--date', type=day, metavar='D', help='the day of the orders, YYYY-MM-DD (default: the next open, by '
                                                              'the clock)')
    parser.add_argument('--facts', type=Path, metavar='FILE',
                        help='CSV of what is published of that day before its open: code, and paused, is_st, preclose, '
                             'cash_dividend, share_ratio, high_limit or low_limit')
    parser.add_argument('--replay', action='store_true',
                        help='a day that the data has: decide at its open as a backtest does, and write what it fills to '
                             'fills.csv')
    parser.add_argument('--out', type=Path, help='folder for the files; without it nothing is written')
    parser.add_argument('--format', action='append', choices=[*FORMATS, *HOLDINGS], default=[], metavar='NAME',
                        help='a file for a terminal, any number of times: '
                             + '; '.join(f'{name}: {form.about}' for name, form in {**FORMATS, **HOLDINGS}.items()))
    parser.add_argument('--broker-account', default='', metavar='ID', help="the broker's number of the account, which some "
                                                                           "files have")
    parser.add_argument('--show', choices=SHOWN, default='table', help='what is printed (default: table)')
    parser.add_argument('--lang', choices=LANGUAGES, default=ENGLISH, help='of the table (default: en)')
    group = parser.add_argument_group('limit prices')
    group.add_argument('--price', choices=CHOICES, default=CAGE,
                       help=f'{CAGE}: as far from the reference price as the exchange takes it in continuous trading, 2 %% as '
                            f"a rule; {AUCTION}: the day's limit, for the opening auction, at most --away from it; "
                            f'{CLOSE}: --away from it (default: {CAGE})')
    group.add_argument('--away', type=fraction, metavar='FRACTION',
                       help=f'of the reference price: 0.03 for 3 %% (default: {AUCTION} no cap, {CLOSE} 0.01)')
    group = parser.add_argument_group('safety')
    group.add_argument('--max-order-value', type=number(float, 0, 1e15), metavar='YUAN',
                       help='refuse a list that is worth more in all, at its limit prices')
    group.add_argument('--max-orders', type=number(int, 0), metavar='N', help='refuse a list with more orders')
    group.add_argument('--accept-changes', action='store_true',
                       help='go on though the data of past days, or the file of the strategy, has changed since the last list')
    group = parser.add_argument_group('a new account')
    group.add_argument('--init', action='store_true', help='make the account file')
    group.add_argument('--cash', type=yuan, metavar='YUAN', help='that the account has')
    group.add_argument('--holdings', type=Path, metavar='FILE',
                       help='CSV of what it holds: code, shares, cost; the export of a terminal, or the file of --format ptrade')
    group.add_argument('--start', type=day, metavar='D',
                       help='its first day, on which the strategy rebalances (default: the next open, by the clock)')
    add_strategy_arguments(parser)
    parser.add_argument('--profile', choices=sorted(PROFILES), help='fees, lots and slippage that are expected (default: '
                                                                    'realistic)')
    add_profile_arguments(parser)
    args = parser.parse_args(pargs)
    for name, given in (('--cash', args.cash), ('--holdings', args.holdings), ('--start', args.start)):
        if given is not None and not args.init:
            parser.error(f'{name} goes with --init: it is how an account begins')
    if args.init and args.cash is None:
        parser.error('--init needs --cash YUAN, the cash that the account has')
    if args.replay and args.facts:
        parser.error('--facts and --replay: a day that is over has its facts in the data')
    if args.away is not None and args.price == CAGE:
        parser.error(f'--away goes with --price {AUCTION} or {CLOSE}: the cage is what the exchange says')
    for name in args.format:
        form = {**FORMATS, **HOLDINGS}[name]
        if args.out is None:
            parser.error(f'--format {name} needs --out DIR to write it into')
        if form.needs_account and not args.broker_account:
            parser.error(f"--format {name} needs --broker-account ID, the broker's number of the account")
    return args


@one_line_errors
def main(pargs: list[str] | None = None) -> int:
    """Make the list."""
    args = parse_args(pargs)
    if args.joinquant:
        raise DataError('--joinquant: a JoinQuant script decides during the day, by prices that nobody knows before it; give '
                        '--preset or --strategy')
    if args.init:
        return init(args)
    if args.out is None:
        made, account, _ = listed(args, load(args.account))
        show(account, made, args)
        return 0
    check_output_folder(args.out)
    with changing(args.account) as account:
        made, account, store = listed(args, account)
        files = files_of(made, account, args)
        try:
            show(account, made, args)
            sys.stdout.flush()
        except BrokenPipeError:  # who reads it has seen enough; the files are wanted all the same
            sys.stdout = None
        write(files, args)
        account.issue(made.day, as_issued(made.orders))
        account.seen = seen_of(store, account, made.day)
        account.save()
    return 0


def show(account: Account, made: OrderList, args: argparse.Namespace) -> None:
    """Print a list; what is to be known beside it goes to stderr where the list itself is for a program."""
    print(of_account(account, made, args))
    if args.show != 'table':
        for text in notes(made, args.lang):
            print(text, file=sys.stderr)


def listed(args: argparse.Namespace, account: Account) -> tuple[OrderList, Account, MarketStore]:
    """Return the list that the arguments mean, the account, and the data.

    Raises
    ------
    DataError
        It is not safe to make it.
    """
    chosen = chosen_of(args, account)
    same_rules(args, account)
    store, source = open_whole(data_of(args, account), args)
    on = args.date or sessions.next_open(datetime.now(timezone.utc))
    if args.replay and store.day_number(on.toordinal()) == len(store.days):
        raise DataError(f'--replay --date {on}: {source} ends on {store.span()[1]}; a replay needs the rows of its day')
    sessions.check_fresh(store, on, source)
    check_day(store, account, on, source)
    check_unchanged(store, account, source, args.accept_changes)
    coming: ComingDay | None = None
    facts: Facts | None = None
    if not args.replay:
        coming = facts_before(store, on.toordinal())
        if args.facts is not None:
            facts = with_facts(coming, store, args.facts)
    made = orders_of(store, account, on, chosen.strategy, chosen.params, Pricing(args.price, args.away), coming,
                     lambda cerebro: run_one(cerebro, chosen), source)
    made.facts, made.without_fills = facts, without_fills(account, on)
    made.unfit = '; '.join(text for text in unknown_of(store) if 'unfit' in text)
    check_size(made, args.max_order_value, args.max_orders)
    return made, account, store


def of_account(account: Account, made: OrderList, args: argparse.Namespace) -> str:
    """Return what is printed of a list."""
    if args.show == 'csv':
        return csv_text(ListedOrder._fields, made.orders).removesuffix('\n')
    if args.show == 'json':
        return json.dumps(json_of(made, account, args.lang), indent=2, ensure_ascii=False)
    values = {'date': made.day, 'count': len(made.orders), 'cash': f'{made.cash:,.2f}', 'holdings': made.holdings,
              'sales': f'{made.value_of(SELL):,.2f}', 'buys': f'{made.value_of(BUY):,.2f}'}
    if made.replay:
        head = say(args.lang, '{date}: orders: {count}; sold for {sales}, bought for {buys} yuan; cash before {cash} yuan, '
                              'holdings {holdings}', **values)
    else:
        head = say(args.lang, '{date}: orders: {count}; sales {sales} and buys {buys} yuan at their limit prices; cash before '
                              '{cash} yuan, holdings {holdings}', **values)
    return f'{head}\n{shown(made, args.lang)}'


def json_of(made: OrderList, account: Account, language: str) -> dict[str, Any]:
    """Return a list as JSON has it."""
    def plain(row: Any) -> dict[str, Any]:
        return {name: None if isinstance(value, float) and math.isnan(value) else
                value.isoformat() if isinstance(value, date) else value for name, value in row._asdict().items()}

    return {'date': made.day.isoformat(), 'account': str(account.path), 'cash': made.cash, 'holdings': made.holdings,
            'value': made.value(), 'published': made.published, 'replay': made.replay, 'days_left': made.days_left,
            'notes': notes(made, language),
            'orders': [plain(order) for order in made.orders], 'blocked': [plain(each) for each in made.blocked]}


def files_of(made: OrderList, account: Account, args: argparse.Namespace) -> dict[str, bytes]:
    """Return the files of a list by their names.

    Raises
    ------
    DataError
        An extra is not there.
    """
    files: dict[str, bytes] = {
        'orders.csv': csv_text(ListedOrder._fields, made.orders).encode('utf-8-sig'),
        'blocked.csv': csv_text(Blocked._fields, made.blocked).encode('utf-8-sig'),
        'orders.json': (json.dumps(json_of(made, account, args.lang), indent=2, ensure_ascii=False) + '\n').encode(),
    }
    if made.replay:
        files['fills.csv'] = fills_of(made).encode()
    for name in dict.fromkeys(args.format):
        if name in FORMATS:
            orders, form = made.orders, FORMATS[name]
            if name == CHINESE_LIST:
                orders = [order._replace(why=translate(order.why, CHINESE), note=translate(order.note, CHINESE))
                          for order in orders]
            if form.for_programs and any(order.needs_sale for order in orders):  # a program would give them too early
                later = form.write([order for order in orders if order.needs_sale], args.broker_account)
                files |= {f'{AFTER_SALES}/{file}': content for file, content in later.items()}
                orders = [order for order in orders if not order.needs_sale]
            files |= form.write(orders, args.broker_account)
        else:
            books = account.books()
            books.day = made.day  # what was bought before may be sold on it
            files |= HOLDINGS[name].write(books.holdings(), args.broker_account)
    return files


def write(files: dict[str, bytes], args: argparse.Namespace) -> None:
    """Write the files of a list."""
    args.out.mkdir(parents=True, exist_ok=True)
    known = {*files, *OPTIONAL}
    for name in known - files.keys():  # of an earlier list: an old basket must not be read for this one
        (args.out / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (args.out / AFTER_SALES).rmdir()  # where it is empty
    for name, content in files.items():
        (args.out / name).parent.mkdir(exist_ok=True)
        part = args.out / f'{name}.part'
        part.write_bytes(content)
        part.replace(args.out / name)
    print(say(args.lang, 'written: {path}/: {files}', path=args.out, files=', '.join(files)),
          file=sys.stdout if args.show == 'table' else sys.stderr)


def fills_of(made: OrderList) -> str:
    """Return what a replay fills, and what happens without an order, as the command ``fills`` reads it."""
    header = (*FillRow._fields, 'shares_before', 'shares_after', 'cash', 'ratio', 'dividend')
    rows: list[tuple] = []
    for event in made.events:
        rows.append((event.date, event.code, event.action, *[''] * (len(FillRow._fields) - 3), event.shares_before,
                     event.shares_after, event.cash, event.ratio, event.dividend))
    rows += [(*fill, *[''] * 5) for fill in made.fills]
    return csv_text(header, rows)
