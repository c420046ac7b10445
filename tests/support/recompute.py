"""The account of a run worked out again from its trades and the data alone.

    python tests/recompute.py DATA.parquet OUT_DIR

reads trades.csv, the days of equity.csv and the rules in summary.json, walks the days in exact fractions and
prints the largest difference to equity.csv in yuan; exit status 1 when it is above a thousandth of a yuan
(per million of the account). It imports nothing of the project.
"""

import csv
import datetime as dt
import json
import math
import sys
from fractions import Fraction
from pathlib import Path

import pandas as pd

MONEY = ('cash', 'market_value', 'total_value')
HALF_TICK = Fraction(1, 200)
TINY = Fraction(1, 10**9)


def exact(number):
    """Return the decimal number that a float is printed as."""
    return Fraction(repr(float(number)))


def known(number):
    return number is not None and number == number


class Market:
    """What the account needs of the canonical table."""

    def __init__(self, table):
        names = ('preclose', 'cash_dividend', 'share_ratio')
        self.explicit = bool({'cash_dividend', 'share_ratio'} & set(table.columns))
        columns = ['date', 'code', 'close', *(name for name in names if name in table.columns)]
        stamps = pd.to_datetime(table['date'])
        table = table[columns].assign(date=stamps.dt.date, code=table['code'].astype(str))
        self.rows = {(row['date'], row['code']): row for row in table.to_dict('records')}
        self.ends = table.groupby('code', observed=True)['date'].max().to_dict()
        self.number = {day: number for number, day in enumerate(sorted(set(table['date'])))}


def walk(market, trades, days, *, cash, ex_rights, dividend_tax, delist, delist_wait):
    """Return the account of each day, and what happened to it without a trade.

    Parameters
    ----------
    market : Market
    trades : list of dict
        Rows of trades.csv.
    days : list of date
        The trading days of the run.
    cash, ex_rights, dividend_tax, delist, delist_wait
        As summary.json says.

    Returns
    -------
    list of tuple
        (date, cash, market value, total value), floats.
    list of tuple
        (kind, date, code): kind is 'ex-rights' or 'delisted'; a delisting has the trading day before its money.
    """
    by_day = {}
    for trade in trades:
        by_day.setdefault(str(trade['datetime']), []).append(trade)
    cash, held, marks, book, events = exact(cash), {}, {}, [], []
    lost = exact({'last_close': 0, 'zero': 1}.get(delist, delist))
    before = {number: day for day, number in market.number.items()}
    for day in days:
        for code in list(held):
            # days without a row until yesterday: the stock is believed delisted when they are enough
            if market.number[day] - 1 - market.number[market.ends[code]] >= delist_wait:
                cash += held.pop(code) * marks[code] * (1 - lost)
                events.append(('delisted', before[market.number[day] - 1], code))
        for code in list(held):
            row = market.rows.get((day, code))
            if row is None or ex_rights == 'off':
                continue
            shares, paid, new = held[code], Fraction(0), held[code]
            told = known(row.get('cash_dividend')) or known(row.get('share_ratio'))  # a row without both tells nothing
            if ex_rights == 'auto' and market.explicit and told:
                if known(row.get('cash_dividend')):
                    paid = shares * exact(row['cash_dividend'])
                    if dividend_tax != 'holding':  # else it is in the sale's tax
                        paid *= 1 - exact(dividend_tax)
                if known(row.get('share_ratio')):
                    new = math.floor(shares * exact(row['share_ratio']) + TINY)
            elif known(row.get('preclose')) and abs(exact(row['preclose']) - marks[code]) > HALF_TICK:
                preclose = exact(row['preclose'])
                whole = shares * marks[code] / preclose
                new = math.floor(whole + TINY)
                paid = max(whole - new, Fraction(0)) * preclose
            if paid or new != shares:
                events.append(('ex-rights', day, code))
            cash, held[code] = cash + paid, new
            if not new:
                del held[code]
        for trade in by_day.pop(str(day), ()):
            code, shares = trade['code'], int(trade['quantity']) * (1 if trade['side'] == 'BUY' else -1)
            held[code] = held.get(code, 0) + shares
            if held[code] < 0:
                raise ValueError(f'{day} {code}: {-held[code]} shares were sold that were not there')
            cash -= shares * exact(trade['price'])
            cash -= sum(exact(trade[name]) for name in ('commission', 'tax', 'transfer_fee'))
            if not held[code]:
                del held[code]
        for code in held:
            if (day, code) in market.rows:
                marks[code] = exact(market.rows[day, code]['close'])
        value = sum((shares * marks[code] for code, shares in held.items()), Fraction(0))
        book.append((day, float(cash), float(value), float(cash + value)))
    if by_day:
        raise ValueError(f'trades on {", ".join(by_day)}, which are no days of the run')
    return book, events


def largest_difference(book, equity):
    """Return how far any figure of the rows of equity.csv is from the book, yuan."""
    if [str(row['date']) for row in equity] != [str(day) for day, *_ in book]:
        raise ValueError('the days of equity.csv are not those of the run')
    return max((abs(float(row[name]) - value) for row, (_, *values) in zip(equity, book, strict=True)
                for name, value in zip(MONEY, values, strict=True)), default=0.0)


def read(path):
    with open(path, encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def recompute(table, folder):
    """Return the largest difference of a run's equity.csv to the account worked out again, and the events."""
    folder = Path(folder)
    summary = json.loads((folder / 'summary.json').read_text('utf-8'))
    rules = {name: summary['rules'][name] for name in ('ex_rights', 'dividend_tax', 'delist', 'delist_wait')}
    equity = read(folder / 'equity.csv')
    days = [dt.date.fromisoformat(row['date']) for row in equity]
    book, events = walk(Market(table), read(folder / 'trades.csv'), days, cash=summary['params']['cash'], **rules)
    return largest_difference(book, equity), events


def main(arguments):
    if len(arguments) != 2:
        print('usage: python tests/recompute.py DATA.parquet OUT_DIR', file=sys.stderr)
        return 2
    data, folder = arguments
    table = pd.read_parquet(data) if data.endswith('.parquet') else pd.read_csv(data)
    difference, events = recompute(table, folder)
    equity = read(Path(folder) / 'equity.csv')
    trades = len(read(Path(folder) / 'trades.csv'))
    print(f'{len(equity)} days, {trades} trades, {len(events)} corporate actions')
    print(f'largest difference {difference:.3g} yuan')
    most = max((float(row['total_value']) for row in equity), default=0.0)
    return 0 if difference <= 1e-3 * max(1.0, most / 1e6) else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
