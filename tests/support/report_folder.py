"""The folder of a run, written by hand: round trips whose profits are told, and nothing else happens."""

import csv
import datetime as dt
import json

START, SHARES, PRICE = 1_000_000.0, 1_000, 10.0


def weekdays(count, first='2021-03-01'):
    """Return so many days that are no Saturdays or Sundays."""
    days, day = [], dt.date.fromisoformat(first)
    while len(days) < count:
        days += [day] if day.weekday() < 5 else []
        day += dt.timedelta(days=1)
    return days


def write(path, columns, rows):
    with open(path, 'w', encoding='utf-8', newline='') as stream:
        writer = csv.writer(stream)
        writer.writerows([columns.split(), *rows])


def folder_of(folder, profits, *, days=300, at=None, volume_share=0.001, slippage=0.0, random=None, rules=None, **summary):
    """Write the files of a run.

    Parameters
    ----------
    folder : Path
        Made here.
    profits : sequence of float
        Yuan: the first stock is bought on the first day and sold on the second, the second bought then, and so on; without fees.
    days : int
        How many the run has, from 1 March 2021 on: all weekdays.
    at : sequence of int, optional
        Numbers of the days on which they are bought instead.
    volume_share, slippage : float
        Of each order, and of the first one in yuan.
    random : sequence of (float, float, float), optional
        Total return, largest drawdown and turnover of each random run.
    rules, **summary
        What summary.json says beside.

    Returns
    -------
    Path
        The folder.
    """
    folder.mkdir()
    calendar = weekdays(days)
    bought = list(at if at is not None else range(len(profits)))
    earned = [0.0] * days
    trades, orders, positions, trips = [], [], [], []
    for number, (day, profit) in enumerate(zip(bought, profits, strict=True)):
        code, price = f'{600_001 + number}.XSHG', PRICE + profit / SHARES
        earned[day + 1] += profit
        for when, side, paid in ((day, 'BUY', PRICE), (day + 1, 'SELL', price)):
            trades.append([calendar[when], code, side, SHARES, paid, 0, 0, 0])
            orders.append([calendar[when], code, side, 'rebalance', SHARES, SHARES, paid, 0, 0, 0, 0,
                           0 if orders else slippage, 'Completed', '', volume_share])
        positions.append([calendar[day], code, SHARES, PRICE, SHARES * PRICE, 2e9, 1, ''])
        trips.append([code, calendar[day], calendar[day + 1], 1, profit, profit / (SHARES * PRICE), 'rebalance'])
    trades.sort(key=lambda row: row[0])
    values = [START + sum(earned[:number + 1]) for number in range(days)]
    held = {row[0] for row in positions}
    equity = [[day, value - 10_000 * (day in held), 10_000 * (day in held), value]
              for day, value in zip(calendar, values, strict=True)]
    write(folder / 'equity.csv', 'date cash market_value total_value', equity)
    write(folder / 'trades.csv', 'datetime code side quantity price commission tax transfer_fee', trades)
    write(folder / 'orders.csv', 'date code side why wanted quantity price commission stamp_duty transfer_fee dividend_tax '
          'slippage status reason volume_share', orders)
    write(folder / 'positions.csv', 'date code shares price value market_cap days_held industry', positions)
    write(folder / 'round_trips.csv', 'code opened closed days_held profit rate_of_return why', trips)
    for name, columns in (('rejections', 'date code side reason'), ('picks', 'date place code'),
                          ('corporate_actions', 'date code action shares_before shares_after cash'),
                          ('missed', 'date code side reason shares open until price cost'),
                          ('prices', 'date code close adjusted')):
        write(folder / f'{name}.csv', columns, [])
    if random is not None:
        write(folder / 'random_picks.csv', 'seed total_return annual_return sharpe max_drawdown turnover fees end_value',
              [[seed, total, total, 0, drawdown, turnover, 0, START] for seed, (total, drawdown, turnover) in enumerate(random)])
        write(folder / 'random_equity.csv', ' '.join(['date', *(f'seed_{seed}' for seed in range(len(random)))]),
              [[day, *[1.0] * len(random)] for day in calendar])
    peaks = [max([START, *values[:number + 1]]) for number in range(days)]
    text = dict.fromkeys(('data', 'strategy', 'title', 'profile', 'version', 'nothing_traded'), '')
    told = {
        **text, 'start_value': START, 'end_value': values[-1], 'total_return': values[-1] / START - 1, 'annual_return': 0.0,
        'sharpe': 0.0, 'max_drawdown': max(1 - value / peak for value, peak in zip(values, peaks, strict=True)), 'turnover': 1.0,
        'fees': 0.0, 'trades': len(trades), 'rejections': 0, 'closed_trades': len(trips), 'days': days, 'days_a_year': 252,
        'risk_free': 0.0, 'time_in_market': 0.5, 'first_day': str(calendar[0]), 'last_day': str(calendar[-1]), 'params': {},
        'rules': rules or {}, 'conventions': {'sharpe': 'daily'}, 'market': {}, 'data_about': {}, 'notes': [],
        'own_params': [], 'names': {},
        'benchmark': '', 'benchmark_return': None, 'microcap_about': '', **summary}
    (folder / 'summary.json').write_text(json.dumps(told), encoding='utf-8')
    return folder
