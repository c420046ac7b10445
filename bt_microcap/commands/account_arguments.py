"""The account of the commands orders and fills: how one begins, and that later lists are for the same strategy."""

from __future__ import annotations

import argparse
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..feeds.errors import DataError
from ..feeds.invocation import command
from ..feeds.market import MarketFeed
from ..live import sessions
from ..live.account import Account, held
from ..live.books import Holding
from ..live.text_tables import read_rows
from ..profiles import PROFILES
from ..record.param_texts import as_json, as_text
from ..views.language import say
from .command_line import number, overrides
from .market_data import open_whole
from .strategy_arguments import EXPLICIT, Chosen, check_data, check_params, choose

HOLDING_COLUMNS = {
    'code': '证券代码 股票代码 代码 symbol stock_code sid ts_code instrument',
    'shares': 'amount 股票余额 证券数量 持仓数量 当前持仓 当前拥股 股份余额 持有数量 实际数量 数量 quantity volume size',
    'sellable': 'enable_amount 可用余额 可卖数量 可用数量 可用股份 closeable_amount available',
    'cost': 'cost_basis 成本价 成本 参考成本价 摊薄成本价 单位成本 持仓成本价 avg_cost cost_price price',
    'bought': '买入日期 建仓日期 date',
}


def add_account_argument(parser: argparse.ArgumentParser) -> None:
    """Add which account is meant."""
    parser.add_argument('--account', type=Path, required=True, metavar='FILE.json', help='the account file')


def yuan(text: str) -> float:
    """Argument type: yuan, as programs show them: 20,000.00."""
    return number(float, 0, 1e15)(text.replace(',', ''))


def data_of(args: argparse.Namespace, account: Account) -> Path | None:
    """Return where the data of an account is: what is given, else what it began with; None for the demo market.

    Raises
    ------
    DataError
        It is not there any more.
    """
    if args.data is not None or not account.data:
        return args.data
    if not Path(account.data).exists():
        raise DataError(f'{account.path}: its data {account.data} is not there; give --data')
    return Path(account.data)


def init(args: argparse.Namespace) -> int:
    """Make an account.

    Raises
    ------
    DataError
        There is one already, or it could not trade on the data.
    """
    if args.account.suffix != '.json':
        raise DataError(f'--account {args.account}: expected a name that ends in .json')
    chosen = choose(args)
    check_params(chosen)
    store, source = open_whole(args.data, args)
    begun = args.start or args.date or sessions.next_open(datetime.now(timezone.utc))
    sessions.check_fresh(store, begun, source, '--start' if args.start or not args.date else '--date')
    check_data(chosen, MarketFeed(dataname=store).universe())
    holdings = read_holdings(args.holdings, dict(args.rename)) if args.holdings is not None else []
    known = set(store.codes.tolist())
    for each in holdings:
        if each.code not in known:
            raise DataError(f'{args.holdings}: holds {each.code}, which {source} does not have; take it out, or add its rows '
                            f'with {command("ingest")}')
    profile = args.profile or 'realistic'
    given = overrides(args)
    account = Account(args.account, begun, float(args.cash), holdings, noted(args, chosen),
                      {'profile': profile, 'given': given, 'values': {**PROFILES[profile], **given}},
                      data='' if args.data is None else str(args.data.absolute()))
    with held(args.account):
        for path in (account.path, account.journal_path, account.events_path):
            if path.exists():
                raise DataError(f'{path}: is there already; an account begins once: give another name, or move it away')
        account.save()
    print(say(args.lang, '{path}: begins on {date} with {cash} yuan and {holdings} holdings, for {name}', path=args.account,
              date=begun, cash=f'{args.cash:,.2f}', holdings=len(holdings), name=chosen.label or 'original'))
    return 0


def read_holdings(path: Path, rename: dict[str, str] | None = None) -> list[Holding]:
    """Read what an account holds: a CSV with code, shares and cost, or the export of a terminal.

    Raises
    ------
    DataError
        A row that cannot be understood.
    """
    rows, columns = read_rows(path, HOLDING_COLUMNS, ('code', 'shares'), rename)
    if 'cost' not in columns:
        raise DataError(f'{path}: found no column for cost, by which stops go; call it cost, or 成本价, or give --rename')
    found: list[Holding] = []
    for row in rows:
        if not row.text('code') or row.text('code') in ('汇总', '合计'):
            continue
        shares = row.number('shares', 0.0)
        if not shares:
            continue  # sold today
        if shares < 0 or shares != int(shares):
            raise DataError(f'{row.where("shares")}: found {shares:g}, expected whole shares')
        code, cost = row.code(), row.number('cost')
        if any(each.code == code for each in found):
            raise DataError(f'{row.source}: found {code} twice, expected one row a stock')
        if not cost > 0:
            raise DataError(f'{row.where("cost")}: found {row.text("cost") or "nothing"}, expected the yuan that a share cost, '
                            'by which stops go; where profits have made it 0 or less, write what was paid')
        found.append(Holding(code, int(shares), int(shares), cost, row.day('bought') if 'bought' in columns else None))
    return found


def noted(args: argparse.Namespace, chosen: Chosen) -> dict[str, Any]:
    """Return what an account keeps of its strategy: the arguments that chose it, and what came of them."""
    file = ''
    if args.strategy:
        path, name = args.strategy.rpartition(':')[::2]
        file = f'{Path(path).absolute()}:{name}'
    arguments = {'preset': args.preset, 'strategy': file or None, 'set': [list(pair) for pair in args.set],
                 **{name: getattr(args, name) for name in EXPLICIT}}
    return {'arguments': arguments, 'params': as_json(chosen.params), 'content': chosen.about().get('strategy_content')}


def chosen_of(args: argparse.Namespace, account: Account) -> Chosen:
    """Return the strategy of an account; refuse another one, whose state it does not have.

    Raises
    ------
    DataError
        The arguments mean another strategy, or its file has changed.
    """
    kept = account.strategy
    given = {**kept['arguments'], 'set': [tuple(pair) for pair in kept['arguments']['set']]}
    chosen = choose(argparse.Namespace(joinquant=None, **given))
    if args.preset is not None or args.strategy or args.set or any(getattr(args, name) is not None for name in EXPLICIT):
        other = choose(args)
        if other.strategy.__name__ != chosen.strategy.__name__ or as_json(other.params) != as_json(chosen.params):
            raise DataError(f'{account.path}: was begun for {chosen.label or "the original"}, found '
                            f'{other.label or "the original"}; leave the strategy out, or begin another account with --init')
    content = chosen.about().get('strategy_content')
    if content != kept['content'] and not args.accept_changes:
        raise DataError(f'{chosen.path}: has changed since {account.path} was begun, and with it perhaps what the strategy '
                        'remembers; give --accept-changes to go on')
    kept['content'] = content  # accepted: noted with the next list that is written
    check_params(chosen)
    return chosen


def same_rules(args: argparse.Namespace, account: Account) -> None:
    """Refuse other rules than those that an account began with.

    Raises
    ------
    DataError
        An option gives another profile or value.
    """
    kept = account.rules
    if args.profile is not None and args.profile != kept['profile']:
        raise DataError(f'{account.path}: was begun with --profile {kept["profile"]}, found {args.profile}; leave it out, or '
                        'begin another account with --init')
    for name, value in overrides(args).items():
        if kept['values'].get(name) != value:
            option = f'--{name.replace("_", "-")}'
            raise DataError(f'{account.path}: was begun with {option} {as_text(kept["values"].get(name))}, found '
                            f'{as_text(value)}; leave it out, or begin another account with --init')
