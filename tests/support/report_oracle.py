"""What a report is to show of a run, from the files of its folder alone, by the definitions that stand in the report.

Plain loops over rows rather than tables, and nothing of the project: it shares no code with what it checks.
"""

import csv
import datetime as dt
import json
import math
import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

LACKING = '–'
FEW_DAYS, FEW_TRADES = 60, 30
PARKING, WITHDRAWN = 'parking', 'condition not met'
OF_DAYS = {'annual_return', 'cagr', 'alpha', 'volatility', 'value_at_risk', 'conditional_value_at_risk', 'skew', 'kurtosis',
           'sharpe', 'sortino', 'calmar', 'beta', 'tracking_error', 'information_ratio', 'information_ratio_annual',
           'positive_days'}
OF_TRADES = {'win_rate', 'payoff', 'profit_factor', 'expectancy', 'expectancy_rate'}
PERCENTS = {'total_return', 'benchmark_return', 'microcap_return', 'excess_return', 'annual_return', 'cagr', 'alpha',
            'max_drawdown', 'volatility', 'value_at_risk', 'conditional_value_at_risk', 'worst_day', 'best_day', 'tracking_error',
            'positive_days', 'win_rate', 'expectancy_rate', 'time_in_market'}
WHOLE = {'closed_trades', 'trades', 'rejections', 'expectancy', 'fees', 'commission', 'tax', 'transfer_fee', 'slippage',
         'longest_drawdown'}
BOARDS = (('688', 'star'), ('689', 'star'), ('30', 'chinext'), ('60', 'main'), ('00', 'main'), ('4', 'bse'), ('8', 'bse'),
          ('92', 'bse'), ('5', 'fund'), ('1', 'fund'))


@dataclass(frozen=True)
class Text:
    """A number as a page is to write it; None where it is not known."""

    value: float | None
    digits: int = 0
    percent: bool = False
    sign: bool = False


def percent(value, digits=1, sign=True):
    """Return a part as percent."""
    return Text(value, digits, True, sign)


def read(path):
    """Return the rows of a CSV file; none where there is no file."""
    if not path.exists():
        return []
    with open(path, encoding='utf-8', newline='') as stream:
        return list(csv.DictReader(stream))


def day_of(text):
    return dt.date.fromisoformat(text)


def product(returns):
    return math.prod(1 + value for value in returns)


def deviation(values):
    """Return the standard deviation of a sample."""
    return statistics.stdev(values) if len(values) > 1 else None


def ratio(above, below):
    """Return a ratio; None where nothing stands below."""
    return above / below if above is not None and below else None


@dataclass
class Trip:
    """A stock from the first share bought until none is left.

    ``earned`` is what it has brought so far, yuan, less what was paid; ``added`` of each day by its number: what it earned on
    that day, with what it was worth at the closes, as a part of the account the day before.
    """

    code: str
    opened: dt.date
    closed: dt.date | None = None
    shares: int = 0
    paid: float = 0.0
    earned: float = 0.0
    added: dict = field(default_factory=lambda: defaultdict(float))
    why: str = ''

    @property
    def rate(self):
        return self.earned / self.paid

    @property
    def added_in_all(self):
        return math.fsum(self.added.values())


class Run:
    """A run by its folder.

    Parameters
    ----------
    folder : str or Path
    words : mapping of str to str
        What the page says in words, see `report_numbers.differences`.
    """

    def __init__(self, folder, words):
        folder, self.words = Path(folder), words
        self.summary = json.loads((folder / 'summary.json').read_text(encoding='utf-8'))
        for name in ('equity', 'trades', 'orders', 'corporate_actions', 'positions', 'picks', 'missed', 'rejections', 'prices',
                     'indices', 'cash_flows', 'random_picks', 'random_equity', 'without_costs'):
            setattr(self, name, read(folder / f'{name}.csv'))
        self.days = [day_of(row['date']) for row in self.equity]
        self.year, self.free = self.summary['days_a_year'], self.summary['risk_free']
        self.values = [self.summary['params']['cash'], *(float(row['total_value']) for row in self.equity)]
        flows = defaultdict(float)
        for row in self.cash_flows:
            flows[day_of(row['date'])] += float(row['amount'])
        self.flows = [flows.get(day, 0.0) for day in self.days]
        assert set(flows) <= set(self.days)
        self.returns = [(after - flow) / before - 1
                        for before, after, flow in zip(self.values, self.values[1:], self.flows, strict=False)]
        self.growth = self.grown(self.returns)
        self.benchmark = self._index(self.equity, 'benchmark')
        self.microcap = self._index(self.indices, 'microcap')
        whys = defaultdict(set)
        for row in self.orders:
            if int(row['quantity']):
                whys[row['code']].add(row['why'])
        self.parked = {code for code, found in whys.items() if found == {PARKING}}
        self.chosen = [row for row in self.positions if row['code'] not in self.parked]
        self._walk()

    def stock(self, code):
        """Return a code as the page writes it, with the stock's name where it is known."""
        return ' '.join([code, *([self.summary['names'][code]] if code in self.summary['names'] else [])])

    @staticmethod
    def grown(returns):
        """Return what 1 has become before the first day and after each."""
        levels = [1.0]
        for value in returns:
            levels.append(levels[-1] * (1 + value))
        return levels

    @staticmethod
    def _index(rows, name):
        return [1.0, *(float(row[name]) for row in rows)] if rows and name in rows[0] else None

    @staticmethod
    def returns_of(levels):
        """Return the returns of the days."""
        return [after / before - 1 for before, after in zip(levels, levels[1:], strict=False)]

    def _walk(self):
        """Go through trades and corporate actions day by day: round trips, profits, and what is held after each day.

        A fund that only parks idle cash is no stock: it has profits, and is among the last holdings, no more.
        """
        by_day, worth = defaultdict(lambda: ([], [])), defaultdict(dict)
        for row in self.corporate_actions:
            by_day[day_of(row['date'])][0].append(row)
        for row in self.trades:
            by_day[day_of(row['datetime'])][1].append(row)
        for row in self.positions:
            worth[day_of(row['date'])][row['code']] = float(row['value'])
        self.profits, self.trips, self.held, self.opened = defaultdict(float), [], [], []
        trips, before = {}, {}

        def bring(code, money, shares, number, why):
            trip = trips[code]
            self.profits[code] += money
            trip.earned += money
            trip.added[number] += money / self.values[number]
            trip.shares += shares
            if not trip.shares:
                trip.closed, trip.why = self.days[number], why
                trip.added[number] -= before.pop(code, 0.0) / self.values[number]
                if code not in self.parked:
                    self.trips.append(trip)
                del trips[code]

        for number, day in enumerate(self.days):
            actions, trades = by_day.pop(day, ((), ()))
            for row in actions:
                shares = int(row['shares_after']) - int(row['shares_before'])
                bring(row['code'], float(row['cash']), shares, number, row['action'])
            for row in trades:
                code, quantity = row['code'], int(row['quantity'])
                fees = sum(float(row[name]) for name in ('commission', 'tax', 'transfer_fee'))
                value = quantity * float(row['price'])
                trip = trips.setdefault(code, Trip(code, day))
                if row['side'] == 'BUY':
                    trip.paid += value + fees
                    bring(code, -value - fees, quantity, number, '')
                else:
                    bring(code, value - fees, -quantity, number, self._why_sold(code, row['datetime']))
            for code, trip in trips.items():
                trip.added[number] += (worth[day][code] - before.get(code, 0.0)) / self.values[number]
            before = dict(worth[day])
            assert set(before) == set(trips)
            chosen = {code: trip for code, trip in trips.items() if code not in self.parked}
            self.held.append({code: trip.shares for code, trip in chosen.items()})
            self.opened.append({code: trip.opened for code, trip in chosen.items()})
        assert not by_day
        self.open_trips = trips
        for code, value in before.items():
            self.profits[code] += value

    def _why_sold(self, code, day):
        """Return why a stock was sold: the reason of its last order until that day that got something."""
        orders = [row for row in self.orders if (row['code'], row['side']) == (code, 'SELL') and int(row['quantity'])]
        return max((row for row in orders if row['date'] <= day), key=lambda row: row['date'])['why']

    def last_fill_days(self):
        """Return the day of each order's last fill; of an order without one, that on which it was decided.

        The orders of a stock and a side get their shares one after the other, in the order in which they end.
        """
        filled, asked, found = defaultdict(list), defaultdict(int), []
        for row in self.trades:
            so_far = filled[row['code'], row['side']]
            so_far.append((int(row['quantity']) + (so_far[-1][0] if so_far else 0), row['datetime']))
        for row in self.orders:
            key, shares = (row['code'], row['side']), int(row['quantity'])
            asked[key] += shares
            found.append(next(day for so_far, day in filled[key] if so_far >= asked[key]) if shares else row['date'])
        return found

    # -- the figures ------------------------------------------------------------------------------------------

    def annual(self, growth):
        return growth ** (self.year / len(self.days)) - 1 if growth > 0 else -1.0

    def annual_text(self, growth):
        return percent(self.annual(growth))

    def drawdowns(self):
        """Return each fall below a peak: depth, day of the peak, of the bottom, of the recovery or None, calendar days."""
        days = [self.days[0] - dt.timedelta(days=1), *self.days]
        found, peak, at, bottom = [], self.growth[0], 0, None
        for number, level in enumerate(self.growth):
            if level >= peak:
                if bottom is not None:
                    found.append((1 - self.growth[bottom] / peak, days[at], days[bottom], days[number]))
                peak, at, bottom = level, number, None
            elif bottom is None or level < self.growth[bottom]:
                bottom = number
        if bottom is not None:
            found.append((1 - self.growth[bottom] / peak, days[at], days[bottom], None))
        return [(*fall, ((fall[3] or days[-1]) - fall[1]).days) for fall in sorted(found, key=lambda fall: -fall[0])]

    def values_of_figures(self):
        """Return each figure of the page by its definition there; None where it is not defined."""
        returns, year, free = self.returns, self.year, self.free / self.year
        days, root, total = len(returns), math.sqrt(self.year), self.growth[-1]
        falls, mean = self.drawdowns(), statistics.fmean(returns)
        volatility = ratio(deviation(returns), 1 / root)
        below = math.sqrt(statistics.fmean(min(0.0, value - free) ** 2 for value in returns))
        tail = sorted(returns)[:int((days - 1) * 0.05) + 1]
        depth = falls[0][0] if falls else 0.0
        central = [statistics.fmean((value - mean) ** power for value in returns) for power in range(5)]
        found = {
            'total_return': total - 1, 'annual_return': self.annual(total),
            'cagr': total ** (365.25 / ((self.days[-1] - self.days[0]).days + 1)) - 1,
            'max_drawdown': depth, 'longest_drawdown': max((fall[4] for fall in falls), default=0), 'volatility': volatility,
            'value_at_risk': float(np.percentile(returns, 5)), 'conditional_value_at_risk': statistics.fmean(tail),
            'worst_day': min(returns), 'best_day': max(returns),
            'skew': ratio(math.sqrt(days * (days - 1)) * central[3], (days - 2) * central[2] ** 1.5) if days > 2 else None,
            'kurtosis': (days - 1) / (days - 2) / (days - 3) * ((days + 1) * central[4] / central[2] ** 2 - 3 * (days - 1))
            if days > 3 and central[2] else None,
            'sharpe': ratio((mean - free) * year, volatility), 'sortino': ratio((mean - free) * root, below),
            'calmar': ratio(self.annual(total), depth), 'positive_days': sum(value > 0 for value in returns) / days}
        if self.summary['profile'] == 'joinquant':
            found['sharpe'] = ratio(self.annual(total) - self.free, volatility)
        found.update(dict.fromkeys(('benchmark_return', 'microcap_return', 'excess_return', 'alpha', 'beta', 'tracking_error',
                                    'information_ratio', 'information_ratio_annual')))
        if self.microcap:
            found['microcap_return'] = self.microcap[-1] - 1
        if self.benchmark:
            other = self.returns_of(self.benchmark)
            apart = [own - theirs for own, theirs in zip(returns, other, strict=True)]
            beta = self.beta(returns, other)
            left = None if beta is None else statistics.fmean(
                own - free - beta * (theirs - free) for own, theirs in zip(returns, other, strict=True))
            found.update(
                benchmark_return=self.benchmark[-1] - 1, excess_return=total - self.benchmark[-1], beta=beta,
                alpha=None if left is None else (1 + left) ** year - 1,
                tracking_error=ratio(deviation(apart), 1 / root),
                information_ratio=ratio(statistics.fmean(apart), deviation(apart)),
                information_ratio_annual=ratio(statistics.fmean(apart) * root, deviation(apart)))
        found.update(self._figures_of_trades(), **self._figures_of_orders())
        return found

    @staticmethod
    def beta(own, other):
        """Return the covariance over the variance of the other."""
        mean, theirs = statistics.fmean(own), statistics.fmean(other)
        return ratio(math.fsum((a - mean) * (b - theirs) for a, b in zip(own, other, strict=True)),
                     math.fsum((b - theirs) ** 2 for b in other))

    def _figures_of_trades(self):
        profits = [trip.earned for trip in self.trips]
        won, lost = [value for value in profits if value > 0], [-value for value in profits if value < 0]
        mean = {'payoff': ratio(statistics.fmean(won), statistics.fmean(lost)) if won and lost else None,
                'win_rate': ratio(len(won), len(profits)), 'profit_factor': ratio(math.fsum(won), math.fsum(lost))}
        if profits:
            mean.update(expectancy=statistics.fmean(profits), expectancy_rate=statistics.fmean(trip.rate for trip in self.trips),
                        mean_days_held=statistics.fmean(self.days.index(trip.closed) - self.days.index(trip.opened)
                                                        for trip in self.trips))
        return {'closed_trades': len(profits), **dict.fromkeys(('expectancy', 'expectancy_rate', 'mean_days_held')), **mean}

    def _figures_of_orders(self):
        fees = {name: math.fsum(float(row[name]) for row in self.trades) for name in ('commission', 'tax', 'transfer_fee')}
        traded = math.fsum(int(row['quantity']) * float(row['price']) for row in self.trades)
        return {**fees, 'fees': sum(fees.values()), 'slippage': math.fsum(float(row['slippage']) for row in self.orders),
                'turnover': traded / 2 / statistics.fmean(self.values[1:]) * self.year / len(self.days),
                'time_in_market': sum(bool(held) for held in self.held) / len(self.days), 'trades': len(self.trades),
                'rejections': len(self.rejections)}

    def figures(self):
        """Return what the page is to write for each figure."""
        found = {}
        for name, value in self.values_of_figures().items():
            if name in OF_DAYS and len(self.days) < FEW_DAYS:
                found[name] = self.words['few_days']
            elif name in OF_TRADES and len(self.trips) < FEW_TRADES or name == 'mean_days_held' and not self.trips:
                found[name] = self.words['few_trades']
            elif value is None:
                found[name] = self.words['not_defined']
            elif name == 'mean_days_held':
                found[name] = Text(value, 0 if value == int(value) else 1)
            else:
                found[name] = Text(value, 0 if name in WHOLE else 2, name in PERCENTS)
        return found

    def keys(self):
        """Return what the page is to write for each key number."""
        values = self.values_of_figures()
        found = {'end_value': Text(self.values[-1]), 'total_return': percent(values['total_return']),
                 'max_drawdown': percent(values['max_drawdown'], sign=False)}
        if len(self.days) >= FEW_DAYS:
            found['annual_return'] = percent(values['annual_return'])
            if values['sharpe'] is not None:
                found['sharpe'] = Text(values['sharpe'], 2)
        if self.random_picks:
            found['percentile'] = Text(self.chance()['total_return'][1], 1)
        return found

    def chance(self):
        """Return of three figures the own value, its percentile among the random picks, their 5 %, 50 % and 95 %."""
        own, found = self.values_of_figures(), {}
        for name in ('total_return', 'sharpe', 'max_drawdown'):
            others = [float(row[name]) for row in self.random_picks]
            better = -1 if name == 'max_drawdown' else 1
            points = [0.5 if math.isclose(other, own[name], rel_tol=1e-9, abs_tol=1e-12) else float(
                other * better < own[name] * better) for other in others]
            found[name] = (own[name], 100 * statistics.fmean(points), *np.percentile(others, (5, 50, 95)).tolist())
        return found

    def by_month(self, returns):
        """Return the return of each month that the run has a day of."""
        months = defaultdict(list)
        for day, value in zip(self.days, returns, strict=True):
            months[day.year, day.month].append(value)
        return {month: product(values) - 1 for month, values in months.items()}

    def turnover(self):
        """Return half of the value traded in each month over the mean account of its days."""
        traded, values = defaultdict(float), defaultdict(list)
        for row in self.trades:
            traded[row['datetime'][:7]] += int(row['quantity']) * float(row['price'])
        for day, value in zip(self.days, self.values[1:], strict=True):
            values[str(day)[:7]].append(value)
        return {month: traded[month] / 2 / statistics.fmean(found) for month, found in values.items()}

    def side_of(self, code):
        return next(board for prefix, board in BOARDS if code.startswith(prefix))
