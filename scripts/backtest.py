"""Run the micro-cap rotation over a market and write what it did.

Without --data it runs on a built-in synthetic market. It writes trades.csv, equity.csv, rejections.csv,
summary.json and equity.png into --out and prints a summary.
"""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path

import backtrader as bt
import numpy as np

from bt_microcap import PROFILES, Blotter, MicroCapStrategy, report, setup
from bt_microcap.command_line import (
    Parser,
    Progress,
    dated_or_rate,
    day,
    number,
    output_folder,
    script,
)
from bt_microcap.feeds.demo import demo_market
from bt_microcap.feeds.errors import DataError
from bt_microcap.feeds.files import load_table
from bt_microcap.feeds.market import MarketFeed
from bt_microcap.feeds.store import MarketStore

OVERRIDES = ('commission', 'min_commission', 'stamp_duty', 'transfer_fee', 'slippage', 'volume_limit', 'delist', 'ex_rights')


def parse_args(pargs: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = Parser(prog='backtest.py', description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, help='store, or canonical table: .parquet, .csv, .csv.gz (default: the demo market)')
    parser.add_argument('--profile', choices=sorted(PROFILES), default='realistic')
    parser.add_argument('--stocknum', type=number(int, 1), default=3, help='stocks held (default: 3)')
    parser.add_argument('--refresh-rate', type=number(int, 1), default=5, help='trading days between rebalances (default: 5)')
    parser.add_argument('--cash', type=number(float, 0, open_low=True), default=1e6, help='yuan (default: 1e6)')
    parser.add_argument('--min-cap', type=number(float, 0), default=2e9, help='yuan (default: 2e9)')
    parser.add_argument('--max-cap', type=number(float, 0), default=3e9, help='yuan (default: 3e9)')
    parser.add_argument('--start', type=day, help='first day, YYYY-MM-DD')
    parser.add_argument('--end', type=day, help='last day, YYYY-MM-DD')
    parser.add_argument('--out', type=Path, default=Path('out'), help='folder for the results (default: out)')
    parser.add_argument('--no-plot', action='store_true', help='write no picture')
    group = parser.add_argument_group('overriding the profile')
    group.add_argument('--commission', type=number(float, 0, 1), help='rate of the value, both sides')
    group.add_argument('--min-commission', type=number(float, 0), help='yuan an order')
    group.add_argument('--stamp-duty', type=dated_or_rate, metavar='dated|RATE', help='of sales')
    group.add_argument('--transfer-fee', type=dated_or_rate, metavar='dated|RATE', help='both sides')
    group.add_argument('--slippage', type=number(float, 0, 1), help='in all, half of it each way')
    group.add_argument('--volume-limit', type=number(float, 0), metavar='FRACTION', help="of the day's volume, 0 = none")
    group.add_argument('--delist', choices=('last_close', 'zero'), help='worth of a delisted position')
    group.add_argument('--ex-rights', choices=('auto', 'reinvest', 'off'))
    args = parser.parse_args(pargs)
    if args.min_cap > args.max_cap:
        parser.error(f'--min-cap {args.min_cap:g} is above --max-cap {args.max_cap:g}')
    if args.start and args.end and args.start > args.end:
        parser.error(f'--start {args.start} is after --end {args.end}')
    return args


def open_market(data: Path | None) -> tuple[MarketStore, str]:
    """Return the market and what it is called; without data the demo market."""
    if data is None:
        return MarketStore.from_table(demo_market(), checked=True), 'the demo market'
    if data.is_dir():
        return MarketStore.open(data), str(data)
    return MarketStore.from_table(load_table(data), checked=True), str(data)


def bars_of(days: np.ndarray, start: date | None, end: date | None, source: str) -> np.ndarray:
    """Return the days of the run's bars: the day before the first, then every day up to the end."""
    first = int(np.searchsorted(days, start.toordinal())) if start else 0
    last = int(np.searchsorted(days, end.toordinal(), side='right')) if end else len(days)
    bars = days[max(first - 1, 0):last]
    if first >= last or len(bars) < 2:
        raise DataError(
            f'{source}: found no trading day with a day before it from {start or "its start"} to {end or "its end"}; '
            f'it has {len(days)} days from {date.fromordinal(days[0])} to {date.fromordinal(days[-1])}')
    return bars


@script
def main(pargs: list[str] | None = None) -> int:
    """Run the backtest."""
    args = parse_args(pargs)
    store, source = open_market(args.data)
    bars = bars_of(store.days, args.start, args.end, source)
    out = output_folder(args.out)

    cerebro = bt.Cerebro(stdstats=False)  # observers are for cerebro.plot(), which this script does not call
    cerebro.adddata(MarketFeed(dataname=store, fromdate=date.fromordinal(bars[0]), todate=args.end), name='market')
    cerebro.addstrategy(MicroCapStrategy, stocknum=args.stocknum, refresh_rate=args.refresh_rate,
                        min_cap=args.min_cap, max_cap=args.max_cap)
    overrides = {name: getattr(args, name) for name in OVERRIDES if getattr(args, name) is not None}
    setup(cerebro, args.profile, cash=args.cash, **overrides)
    cerebro.addanalyzer(Blotter, _name='blotter')
    cerebro.addanalyzer(Progress, total=len(bars))
    blotter = cerebro.run()[0].analyzers.blotter

    level = store.index()['close'][(store.days >= bars[0]) & (store.days <= bars[-1])]
    figures = report.statistics(blotter, args.cash)
    summary = {
        **figures,
        'market_return': float(level[-1] / level[0] - 1),
        'data': source,
        'profile': args.profile,
        'params': {name: getattr(args, name) for name in ('stocknum', 'refresh_rate', 'min_cap', 'max_cap', 'cash')},
        'rules': {**PROFILES[args.profile], **overrides},
    }
    report.write_run(out, blotter, summary)
    print(report.summary_table(figures, summary['market_return']))
    written = 'trades.csv, equity.csv, rejections.csv, summary.json'
    if not args.no_plot:
        title = f'{args.stocknum} smallest stocks of {args.min_cap / 1e9:g}-{args.max_cap / 1e9:g} bn yuan, ' \
                f'every {args.refresh_rate} days ({args.profile})'
        report.picture(out / 'equity.png', blotter, args.cash, level, title, 'all stocks, equal weight')
        written += ', equity.png'
    print(f'{"written":<14} {out}/: {written}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
